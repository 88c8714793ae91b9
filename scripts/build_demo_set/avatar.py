"""Draw one frame of a made-up person: a shaded 3-D face on a 3-D head, with eyes, brows and lips drawn on top.

Lengths are in outer-eye distances (`neutral_face.txt`), angles in degrees, colours RGB 0..1. Axes: x right in the
image, y down, z away from the camera. Positive yaw turns the nose to the image's right, positive pitch lowers it,
positive roll turns the head clockwise as the viewer sees it.
"""

from functools import cached_property

import cv2  # noqa: TID253 - a build script: it needs OpenCV from its first line on
import numpy as np
from camera import Camera
from facial_parts import FacialParts
from head import Head
from looks import Expression, Look
from mesh import Points, smooth_outline, vertex_normals
from numpy.typing import NDArray
from painting import HEIGHT, OVERSAMPLE, WIDTH, Image, blend, fill_triangles
from room import draw_room


class Avatar:
    """One made-up person, ready to be drawn with any expression."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.head = Head(look)
        self.camera = Camera(look)
        self.parts = FacialParts(look, self.camera)
        self.light = np.array(look.light) / np.linalg.norm(look.light)

    def draw(self, e: Expression) -> Image:
        """One frame, uint8 RGB (HEIGHT, WIDTH, 3), without camera noise."""
        canvas = self.background.copy()
        self._draw_back_hair(canvas, e)
        self._draw_body(canvas, e)
        shape = self.head.express(e)
        self._draw_head(canvas, self.head.face.extend(shape), e)
        self.parts.draw(canvas, shape, e)
        small = cv2.resize(canvas, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        return np.asarray(small, dtype=np.uint8)

    @cached_property
    def background(self) -> Image:
        """The room behind the person."""
        look = self.look
        return draw_room(
            WIDTH * OVERSAMPLE,
            HEIGHT * OVERSAMPLE,
            scene=look.scene,
            wall=look.wall,
            light_from_right=look.light[0] > 0,
            person_left=look.centre[0] < 0.52,
        )

    def _draw_body(self, canvas: Image, e: Expression) -> None:
        """Shoulders and neck; they follow the head only a little."""
        first_row, picture, mask = self.body
        shift_x, shift_y = self.camera.scale_px * 0.6 * e.sway_x, self.camera.scale_px * 0.4 * e.sway_y
        move = np.array([[1, 0, shift_x], [0, 1, shift_y]])
        size = (picture.shape[1], picture.shape[0])
        moved = [cv2.warpAffine(q, move, size, borderMode=cv2.BORDER_REPLICATE) for q in (picture, mask)]
        blend(canvas[first_row:], *moved)

    @cached_property
    def body(self) -> tuple[int, Image, Image]:
        """First row, picture and mask of the body at rest."""
        first_row = int(self.camera.project(np.array([[0.0, 0.4, 0.9]]))[0, 1])
        part = self.background[first_row:]

        def to_px(points: list[tuple[float, float]]) -> NDArray[np.int32]:
            flat = np.array([[x, y, 0.9] for x, y in points])
            return np.asarray((smooth_outline(self.camera.project(flat)) - [0, first_row]).round(), dtype=np.int32)

        layer = part.copy()
        shirt, skin = np.array(self.look.shirt) * 255, np.array(self.look.skin) * 255
        torso = [(-2.4, 4.4), (-2.25, 2.6), (-1.8, 2.08), (-0.8, 1.78), (-0.44, 1.55), (0.44, 1.55), (0.8, 1.78),
                 (1.8, 2.08), (2.25, 2.6), (2.4, 4.4)]  # fmt: skip
        cv2.fillPoly(layer, [to_px(torso)], (shirt * 0.8).tolist())
        lit = 0.12 if self.light[0] > 0 else -0.12
        cv2.fillPoly(layer, [to_px([(x * 0.9 + lit, y + 0.12) for x, y in torso])], (shirt * 0.95).tolist())
        layer = cv2.GaussianBlur(layer, (0, 0), 7.0)
        neck = [(-0.52, 0.8), (-0.5, 1.45), (-0.54, 1.62), (-0.3, 1.86), (0.3, 1.86), (0.54, 1.62), (0.5, 1.45),
                (0.52, 0.8)]  # fmt: skip
        cv2.fillPoly(layer, [to_px([(x * 1.13, y + 0.07) for x, y in neck])], (shirt * 0.66).tolist())
        cv2.fillPoly(layer, [to_px(neck)], (skin * 0.76).tolist())
        layer = cv2.GaussianBlur(layer, (0, 0), 2.0)
        under = [(-0.5, 0.8), (-0.48, 1.28), (0, 1.5), (0.48, 1.28), (0.5, 0.8)]
        cv2.fillPoly(layer, [to_px(under)], (skin * [0.58, 0.55, 0.55]).tolist())
        mask = np.zeros(part.shape[:2], np.uint8)
        for outline in (torso, neck):
            cv2.fillPoly(mask, [to_px(outline)], 255)
        soft = [cv2.GaussianBlur(layer, (0, 0), 3.5), cv2.GaussianBlur(mask, (0, 0), 1.5)]
        return first_row, np.asarray(soft[0], dtype=np.uint8), np.asarray(soft[1], dtype=np.uint8)

    def _shade(self, normals: Points, albedo: Points, gloss: float) -> Points:
        key = np.clip(normals @ self.light, 0, 1)
        fill = np.clip(normals @ (self.light * [-1, 0.2, 1]), 0, 1)
        half = self.light + np.array([0, 0, -1.0])
        shine = np.clip(normals @ (half / np.linalg.norm(half)), 0, 1) ** 24
        lit = 0.42 + 0.58 * key + 0.17 * fill
        return np.asarray(np.clip(albedo * lit[:, None] + gloss * shine[:, None], 0, 1) * 255)

    def _draw_head(self, canvas: Image, face: Points, e: Expression) -> None:
        """Skull, ears, hair and face, painted from back to front."""
        corners, depths, colours = [], [], []
        pieces = [(face, self.head.face.triangles, self.head.face_albedo, 0.06, 0.0)]
        pieces += [(p, t, c, 0.02, bias) for p, t, c, bias in self.head.parts]
        for points, triangles, albedo, gloss, bias in pieces:
            placed = self.camera.place(points, e)
            normals = vertex_normals(placed, triangles)
            kept = triangles[normals[triangles].mean(axis=1)[:, 2] < 0.1]
            corners.append(self.camera.project(placed)[kept])
            depths.append(placed[kept].mean(axis=1)[:, 2] + bias)
            colours.append(self._shade(normals, albedo, gloss)[kept].mean(axis=1))
        order = np.argsort(-np.concatenate(depths), kind="stable")
        fill_triangles(canvas, np.concatenate(corners)[order], np.concatenate(colours)[order], blur_px=2.4)

    def _draw_back_hair(self, canvas: Image, e: Expression) -> None:
        """The inside of long hair, seen behind the neck."""
        if self.look.hair_style not in {"long", "bob"}:
            return
        points, triangles, colours, _ = self.head.parts[-1]
        placed = self.camera.place(points, e)
        order = np.argsort(-placed[triangles].mean(axis=1)[:, 2], kind="stable")
        dark = colours[triangles[order]].mean(axis=1) * 255 * 0.45
        fill_triangles(canvas, self.camera.project(placed)[triangles[order]], dark, blur_px=3.0)
