"""Draw one frame of a made-up person: a shaded 3-D face on a 3-D head, with eyes, brows and lips drawn on top.

Lengths are in outer-eye distances (`neutral_face.txt`), angles in degrees, colours RGB 0..1. Axes: x right in the
image, y down, z away from the camera. Positive yaw turns the nose to the image's right, positive pitch lowers it,
positive roll turns the head clockwise as the viewer sees it.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2  # noqa: TID253 - a build script: it needs OpenCV from its first line on
import numpy as np
from numpy.typing import NDArray
from room import draw_room

Points = NDArray[np.float64]
Image = NDArray[np.uint8]
Colour = tuple[float, float, float]
Part = tuple[Points, NDArray[np.int64], Points, float]  # points, triangles, colours, how much nearer it counts

WIDTH, HEIGHT = 480, 360
OVERSAMPLE = 2  # drawn at twice the size, then averaged down: smooth edges
SUBPIXEL_BITS = 4
CAMERA_DISTANCE = 11.0
PIVOT = np.array([0.0, 0.75, 0.65])  # the head turns about a point between the ears and the neck
HEAD_CENTRE = np.array([0.0, 0.02, 0.66])
HEAD_RADII = np.array([0.8, 1.02, 0.92])

UPPER_LIDS = ((246, 161, 160, 159, 158, 157, 173), (466, 388, 387, 386, 385, 384, 398))
LOWER_LIDS = ((7, 163, 144, 145, 153, 154, 155), (249, 390, 373, 374, 380, 381, 382))
FOLDS = ((247, 30, 29, 27, 28, 56, 190), (467, 260, 259, 257, 258, 286, 414))  # the skin above each upper lid
EYE_CORNERS = ((33, 133), (263, 362))
BROWS = ((70, 63, 105, 66, 107, 55, 65, 52, 53, 46), (300, 293, 334, 296, 336, 285, 295, 282, 283, 276))
OUTER_LIPS = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291, 409, 270, 269, 267, 0, 37, 39, 40, 185)
INNER_LIPS = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308, 415, 310, 311, 312, 13, 82, 81, 80, 191)
LOWER_LIP = (95, 88, 178, 87, 14, 317, 402, 318, 324, 146, 91, 181, 84, 17, 314, 405, 321, 375,
             96, 89, 179, 86, 15, 316, 403, 319, 325, 77, 90, 180, 85, 16, 315, 404, 320, 307)  # fmt: skip
NOSTRILS = ((60, 99, 240), (290, 328, 460))


@dataclass(frozen=True, slots=True)
class Look:
    """What stays the same about one person: see scenario.toml."""

    skin: Colour
    hair: Colour
    hair_style: str  # short, long, bob, bun or bald
    shirt: Colour
    wall: Colour
    iris: Colour = (0.35, 0.22, 0.12)
    lips: Colour = (0.68, 0.32, 0.3)
    light: tuple[float, float, float] = (-0.5, -0.6, -1.0)  # where the light comes from
    face_width: float = 1.0
    jaw: float = 1.0
    nose: float = 1.0
    eyes: float = 1.0
    lip_fullness: float = 1.0
    brow_height: float = 0.0
    brow_thickness: float = 1.0
    hairline: float = -0.5
    beard: float = 0.0
    glasses: bool = False
    eye_span_px: float = 86.0  # outer-eye distance in the final picture: sets the size of the face
    centre: tuple[float, float] = (0.5, 0.43)  # where the eyes are, as shares of width and height
    scene: str = "shelf"  # shelf, window, door or plain


@dataclass(frozen=True, slots=True)
class Expression:
    """What changes from frame to frame. Neutral: everything 0."""

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    lids: float = 0.0  # 0 open, 1 closed
    brows: float = 0.0  # 1 clearly raised
    smile: float = 0.0  # 1 clear smile
    mouth: float = 0.0  # opening between the lips, outer-eye distances
    gaze_x: float = 0.0  # shift of the iris, outer-eye distances
    gaze_y: float = 0.0
    sway_x: float = 0.0  # shift of head and shoulders
    sway_y: float = 0.0


def rotation(yaw: float, pitch: float, roll: float) -> Points:
    """Matrix for column vectors that rolls, then pitches, then yaws."""
    a, b, c = np.radians([-yaw, pitch, roll])
    turn = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    lower = np.array([[1, 0, 0], [0, np.cos(b), np.sin(b)], [0, -np.sin(b), np.cos(b)]])
    tip = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return np.asarray(turn @ lower @ tip)


def bump(points: Points, centre: tuple[float, float], radius_x: float, radius_y: float) -> Points:
    """Weight per point: 1 at the centre, falling off smoothly (Gaussian) across the face."""
    x, y = (points[:, 0] - centre[0]) / radius_x, (points[:, 1] - centre[1]) / radius_y
    return np.asarray(np.exp(-(x**2) - y**2))


def mesh_triangles() -> NDArray[np.int64]:
    """Triangles of the face mesh: the 3-cliques of mediapipe's tesselation edges, (854, 3)."""
    from mediapipe.python.solutions.face_mesh_connections import FACEMESH_TESSELATION

    neighbours: dict[int, set[int]] = {}
    for a, b in FACEMESH_TESSELATION:
        neighbours.setdefault(a, set()).add(b)
        neighbours.setdefault(b, set()).add(a)
    cliques = {
        tuple(sorted((a, b, c)))
        for a, near in neighbours.items()
        for b, c in itertools.combinations(sorted(near), 2)
        if c in neighbours[b]
    }
    return np.array(sorted(cliques))


def outward(points: Points, triangles: NDArray[np.int64], centre: Points) -> NDArray[np.int64]:
    """The same triangles, each wound so that its normal points away from the centre."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    inside = np.einsum("ij,ij->i", np.cross(b - a, c - a), (a + b + c) / 3 - centre) < 0
    return np.where(inside[:, None], triangles[:, ::-1], triangles)


class Subdivision:
    """Cuts each triangle of a mesh into four, so that flat facets are too small to be seen."""

    def __init__(self, triangles: NDArray[np.int64], n_points: int) -> None:
        edges = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
        self.edges, where = np.unique(edges, axis=0, return_inverse=True)
        ab, bc, ca = (where.reshape(-1) + n_points).reshape(3, -1)
        a, b, c = triangles.T
        corners = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
        self.triangles = np.concatenate([np.stack(t, axis=1) for t in corners])

    def extend(self, values: Points) -> Points:
        """Values at the points, then at the edges' middles."""
        return np.concatenate([values, values[self.edges].mean(axis=1)])


def vertex_normals(points: Points, triangles: NDArray[np.int64]) -> Points:
    """Unit normal at each point: the mean over the triangles that meet there, weighted by their area."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    face = np.cross(b - a, c - a)
    total = np.zeros_like(points)
    for k in range(3):
        for axis in range(3):
            total[:, axis] += np.bincount(triangles[:, k], face[:, axis], len(points))
    return np.asarray(total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-9))


def smooth_outline(points: Points, steps: int = 5) -> Points:
    """Closed curve through the points (Catmull-Rom)."""
    before, after, after_next = np.roll(points, 1, 0), np.roll(points, -1, 0), np.roll(points, -2, 0)
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    p0, p1, p2, p3 = (p[:, None, :] for p in (before, points, after, after_next))
    curve = p1 + 0.5 * t * (p2 - p0 + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0)))
    return np.asarray(curve.reshape(-1, 2))


def blend(under: Image, over: Image, weight: Image) -> None:
    """Lay one picture over another, in place; weight 0..255 per pixel."""
    share = weight.astype(np.float32) * np.float32(1 / 255)
    under[:] = cv2.blendLinear(over, np.ascontiguousarray(under), share, 1 - share)


class Avatar:
    """One made-up person, ready to be drawn with any expression."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.neutral = self._personal_shape(np.loadtxt(Path(__file__).with_name("neutral_face.txt")))
        triangles = outward(self.neutral, mesh_triangles(), HEAD_CENTRE + np.array([0, 0.3, 0]))
        self.face = Subdivision(triangles, len(self.neutral))
        self.face_albedo = self.face.extend(self._skin_map())
        self.light = np.array(look.light) / np.linalg.norm(look.light)
        self.scale_px = look.eye_span_px * OVERSAMPLE

    # --- shape and colour of the person -------------------------------------------------------------------------

    def _personal_shape(self, points: Points) -> Points:
        look = self.look
        p = points.copy()
        # The portrait smiles a little: narrower mouth with level corners.
        for side in (-1, 1):
            w = bump(points, (side * 0.35, 0.63), 0.16, 0.16)
            p[:, 0] -= side * 0.075 * w
            p[:, 1] += 0.065 * w
        mouth = bump(points, (0, 0.7), 0.5, 0.17)
        p[:, 1] += (look.lip_fullness - 1) * (points[:, 1] - 0.693) * mouth
        p[:, 0] *= look.face_width
        jaw = np.clip((points[:, 1] - 0.4) / 0.8, 0, 1)
        p[:, 0] *= 1 + (look.jaw - 1) * jaw
        p[:, 1] += 0.12 * (look.jaw - 1) * jaw
        nose = bump(points, (0, 0.33), 0.16, 0.2)
        p[:, 2] -= 0.12 * (look.nose - 1) * nose
        p[:, 0] *= 1 + 0.6 * (look.nose - 1) * bump(points, (0, 0.4), 0.2, 0.1)
        for side in (-1, 1):
            w = bump(points, (side * 0.35, -0.01), 0.22, 0.1)
            p[:, 1] += (look.eyes - 1) * (points[:, 1] + 0.01) * w * 1.5
            p[:, 1] -= look.brow_height * bump(points, (side * 0.33, -0.24), 0.3, 0.09)
        return p

    def _skin_map(self) -> Points:
        look, p = self.look, self.neutral
        skin = np.tile(np.array(look.skin), (len(p), 1))
        warm = sum(bump(p, (side * 0.45, 0.38), 0.22, 0.18) for side in (-1, 1)) + 0.7 * bump(p, (0, 0.38), 0.13, 0.12)
        skin *= 1 + np.outer(warm, [0.05, -0.07, -0.07])
        socket = sum(bump(p, (side * 0.33, 0.02), 0.26, 0.12) for side in (-1, 1))
        skin *= 1 - np.outer(socket, [0.10, 0.13, 0.12])
        skin *= 1 - np.outer(bump(p, (0, 0.9), 0.22, 0.05), [0.1, 0.12, 0.12])
        cheekbone = np.clip((np.abs(p[:, 0]) - 0.2) / 0.35, 0, 1) * np.clip((p[:, 1] - 0.45) / 0.3, 0, 1)
        chin = np.clip((p[:, 1] - 0.88) / 0.12, 0, 1)
        moustache = bump(p, (0, 0.53), 0.33, 0.055)
        beard = look.beard * np.clip(np.maximum(np.maximum(cheekbone, chin), moustache), 0, 1)
        return np.asarray(skin * (1 - beard[:, None]) + np.outer(beard, np.array(look.hair) * 1.1))

    @cached_property
    def head_parts(self) -> list[Part]:
        """Skull, ears and hair; the hair comes last."""
        look = self.look
        skin = np.array(look.skin) * [0.97, 0.95, 0.95]
        radii = HEAD_RADII * [look.face_width, 1, 1]
        parts = [self._shell(HEAD_CENTRE, radii, lambda az: np.full_like(az, 0.9), skin, strands=0)]
        if look.hair_style in {"short", "bald", "bun"}:
            for side in (-1, 1):
                ear = np.array([side * 0.79 * look.face_width, 0.22, 0.62])
                parts.append(self._shell(ear, np.array([0.09, 0.23, 0.13]), lambda az: np.full_like(az, 0.23), skin, 0))
        if look.hair_style == "bun":
            bun = np.array([0.0, -1.12, 0.85])
            parts.append(self._shell(bun, np.array([0.36, 0.3, 0.36]), lambda az: np.full_like(az, 0.3), look.hair, 9))
        if look.hair_style != "bald":
            parts.append(self._hair(radii))
        return parts

    def _hair(self, radii: Points) -> Part:
        look = self.look
        volume = {"short": 1.07, "bun": 1.05, "bob": 1.14, "long": 1.16}[look.hair_style]
        bottom = {"short": 0.75, "bun": 0.7, "bob": 1.0, "long": 1.75}[look.hair_style]
        temple = {"short": 0.12, "bun": 0.0, "bob": bottom, "long": bottom}[look.hair_style]

        def reach(azimuth: Points) -> Points:
            """How far down hair grows, below the head's centre, by the angle from the front."""
            degrees = np.abs(np.degrees(azimuth))
            front = look.hairline - HEAD_CENTRE[1]
            locks = 0.05 * np.sin(11 * azimuth + 1.3) + 0.03 * np.sin(29 * azimuth) if look.hair_style == "short" else 0
            parted = 0.06 * np.tanh(6 * (azimuth - 0.25)) if look.hair_style in {"short", "long"} else 0
            sweep = np.where(degrees < 57, parted, 0)
            corners = [0, 25, 45, 57, 68, 100, 180]
            lengths = [front, front + 0.02, front + 0.12, -0.2, temple, max(temple, 0.2), bottom]
            return locks * (degrees < 70) + sweep + np.interp(degrees, corners, lengths)

        return self._shell(
            HEAD_CENTRE,
            radii * volume * [1, 1.05, 1],
            reach,
            look.hair,
            strands=23,
            bottom_flares=look.hair_style in {"long", "bob"},
        )

    def _shell(
        self, centre: Points, radii: Points, reach: Callable[[Points], Points], colour: object, strands: int,
        *, bottom_flares: bool = False,
    ) -> Part:  # fmt: skip
        """An egg-shaped surface from its top down to `reach(azimuth)`; below the middle it hangs straight down."""
        n_around, n_down = (64, 16) if radii[0] > 0.5 else (24, 10)  # ears and buns need fewer
        azimuth, level = np.meshgrid(np.linspace(-np.pi, np.pi, n_around + 1), np.linspace(0, 1, n_down), indexing="ij")
        end = reach(azimuth)
        end_angle = np.where(end < 0, np.arccos(np.clip(-end / radii[1], -1, 1)), np.pi / 2)
        hang = np.maximum(end, 0)
        angle = end_angle * np.minimum(level * np.where(hang > 0, 1.6, 1), 1)
        drop = hang * np.clip((level - 0.625) / 0.375, 0, 1)
        if strands == 0:  # skin: a closed ellipsoid
            angle, drop = np.pi * level, 0 * drop
        ring = np.sin(angle) * (1 + (0.16 * drop * np.abs(np.sin(azimuth)) if bottom_flares else 0))
        points = np.stack([ring * np.sin(azimuth), -np.cos(angle), -ring * np.cos(azimuth)], axis=-1) * radii
        points[..., 1] += drop
        shade = 1 + (0.16 * np.sin(azimuth * strands + 3 * np.sin(2 * azimuth)) + 0.05 * np.sin(azimuth * 61)) * (
            strands > 0
        )
        index = np.arange(points[..., 0].size).reshape(points.shape[:2])
        a, b, c, d = (q.ravel() for q in (index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]))
        triangles = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)])
        flat = points.reshape(-1, 3)
        colours = shade.reshape(-1, 1) * np.asarray(colour, dtype=float)
        return flat + centre, outward(flat, triangles, np.zeros(3)), colours, (-0.12 if strands else 0.06)

    # --- expression and pose ------------------------------------------------------------------------------------

    def _express(self, e: Expression) -> Points:
        p, n = self.neutral.copy(), self.neutral
        for side in (-1, 1):
            w = bump(n, (side * 0.33, -0.25 - self.look.brow_height), 0.34, 0.12)
            p[:, 1] -= 0.1 * e.brows * w
            corner = bump(n, (side * 0.28, 0.68), 0.14, 0.12)
            p[:, 0] += side * 0.11 * e.smile * corner
            p[:, 1] -= 0.09 * e.smile * corner
            p[:, 2] += 0.05 * e.smile * corner
            p[:, 1] -= 0.03 * e.smile * bump(n, (side * 0.42, 0.36), 0.2, 0.15)
        lips = list(OUTER_LIPS + INNER_LIPS)
        p[lips, 1] += 0.12 * e.smile * (0.69 - p[lips, 1])  # a smile thins the lips
        jaw = np.clip((n[:, 1] - 0.74) / 0.1, 0, 1) * np.exp(-((n[:, 0] / 0.62) ** 2))
        taper = np.clip(1 - (np.abs(n[:, 0]) / 0.31) ** 2, 0, 1)
        lower = np.isin(np.arange(len(n)), LOWER_LIP)
        jaw[lower] = taper[lower] ** 0.6
        p[:, 1] += e.mouth * jaw
        p[:, 0] -= 0.25 * e.mouth * np.sign(n[:, 0]) * sum(bump(n, (s * 0.28, 0.65), 0.1, 0.1) for s in (-1, 1))
        for upper, under, fold in zip(UPPER_LIDS, LOWER_LIDS, FOLDS, strict=True):
            lid, rim, skin = list(upper), list(under), list(fold)
            p[rim, 1] -= 0.012 * e.lids
            p[lid] += e.lids * (p[rim] - p[lid])
            p[skin, 1] += 0.02 * e.lids
        return p

    def _pose(self, e: Expression) -> Points:
        return rotation(e.yaw, e.pitch, e.roll)

    def _place(self, points: Points, e: Expression) -> Points:
        return np.asarray((points - PIVOT) @ self._pose(e).T + PIVOT + [e.sway_x, e.sway_y, 0])

    def _project(self, points: Points) -> Points:
        """Oversampled pixel positions, (n, 2)."""
        near = CAMERA_DISTANCE / (CAMERA_DISTANCE + points[:, 2:])
        middle = np.array(self.look.centre) * [WIDTH, HEIGHT] * OVERSAMPLE
        return np.asarray(points[:, :2] * near * self.scale_px + middle)

    # --- drawing ------------------------------------------------------------------------------------------------

    def draw(self, e: Expression) -> Image:
        """One frame, uint8 RGB (HEIGHT, WIDTH, 3), without camera noise."""
        canvas = self.background.copy()
        self._draw_back_hair(canvas, e)
        self._draw_body(canvas, e)
        shape = self._express(e)
        marks = self._project(self._place(shape, e))
        self._draw_head(canvas, self.face.extend(shape), e)
        self._draw_eyes(canvas, marks, e)
        self._draw_brows(canvas, marks)
        self._draw_mouth(canvas, marks)
        if self.look.glasses:
            self._draw_glasses(canvas, shape, e)
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
        shift_x, shift_y = self.scale_px * 0.6 * e.sway_x, self.scale_px * 0.4 * e.sway_y
        move = np.array([[1, 0, shift_x], [0, 1, shift_y]])
        size = (picture.shape[1], picture.shape[0])
        moved = [cv2.warpAffine(q, move, size, borderMode=cv2.BORDER_REPLICATE) for q in (picture, mask)]
        blend(canvas[first_row:], *moved)

    @cached_property
    def body(self) -> tuple[int, Image, Image]:
        """First row, picture and mask of the body at rest."""
        first_row = int(self._project(np.array([[0.0, 0.4, 0.9]]))[0, 1])
        part = self.background[first_row:]

        def to_px(points: list[tuple[float, float]]) -> NDArray[np.int32]:
            flat = np.array([[x, y, 0.9] for x, y in points])
            return np.asarray((smooth_outline(self._project(flat)) - [0, first_row]).round(), dtype=np.int32)

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
        pieces = [(face, self.face.triangles, self.face_albedo, 0.06, 0.0)]
        pieces += [(p, t, c, 0.02, bias) for p, t, c, bias in self.head_parts]
        for points, triangles, albedo, gloss, bias in pieces:
            placed = self._place(points, e)
            normals = vertex_normals(placed, triangles)
            kept = triangles[normals[triangles].mean(axis=1)[:, 2] < 0.1]
            corners.append(self._project(placed)[kept])
            depths.append(placed[kept].mean(axis=1)[:, 2] + bias)
            colours.append(self._shade(normals, albedo, gloss)[kept].mean(axis=1))
        order = np.argsort(-np.concatenate(depths), kind="stable")
        self._fill(canvas, np.concatenate(corners)[order], np.concatenate(colours)[order], blur_px=2.4)

    def _draw_back_hair(self, canvas: Image, e: Expression) -> None:
        """The inside of long hair, seen behind the neck."""
        if self.look.hair_style not in {"long", "bob"}:
            return
        points, triangles, colours, _ = self.head_parts[-1]
        placed = self._place(points, e)
        order = np.argsort(-placed[triangles].mean(axis=1)[:, 2], kind="stable")
        dark = colours[triangles[order]].mean(axis=1) * 255 * 0.45
        self._fill(canvas, self._project(placed)[triangles[order]], dark, blur_px=3.0)

    def _fill(self, canvas: Image, corners: Points, colours: Points, *, blur_px: float) -> None:
        """Paint triangles (n, 3, 2) in the given order, blur them so that facets vanish, and lay them on the canvas."""
        x0, y0 = np.maximum(corners.min((0, 1)).astype(int) - 10, 0)
        x1, y1 = corners.max((0, 1)).astype(int) + 11
        part = canvas[y0:y1, x0:x1]
        layer = np.dstack([part, np.zeros(part.shape[:2], np.uint8)])  # the fourth channel is the mask
        polygon = ((corners - [x0, y0]) * 2**SUBPIXEL_BITS).round().astype(np.int32)
        colour = np.column_stack([colours, np.full(len(colours), 255.0)]).tolist()
        for k in range(len(polygon)):
            cv2.fillConvexPoly(layer, polygon[k], colour[k], cv2.LINE_8, SUBPIXEL_BITS)
        blend(part, cv2.GaussianBlur(layer[..., :3], (0, 0), blur_px), cv2.GaussianBlur(layer[..., 3], (0, 0), 1.6))

    def _paint(
        self, canvas: Image, outline: Points, colour: object, *, soft_px: float = 1.0, strength: float = 1.0
    ) -> None:
        """Fill an outline with soft edges; only its surroundings are touched."""
        x0, y0 = np.maximum(outline.min(0).astype(int) - 12, 0)
        x1, y1 = outline.max(0).astype(int) + 13
        part = canvas[y0:y1, x0:x1]
        if part.size == 0:
            return
        mask = np.zeros(part.shape[:2], np.uint8)
        at = ((outline - [x0, y0]) * 2**SUBPIXEL_BITS).round().astype(np.int32)
        cv2.fillPoly(mask, [at], 255, cv2.LINE_AA, SUBPIXEL_BITS)
        weight = cv2.GaussianBlur(mask, (0, 0), soft_px)[..., None] * (strength / 255.0)
        part[:] = (np.asarray(colour, dtype=float) * weight + part * (1 - weight)).astype(np.uint8)

    def _draw_eyes(self, canvas: Image, marks: Points, e: Expression) -> None:
        look, unit = self.look, self.scale_px
        head = self._pose(e)
        line = np.array(look.hair) * 60 + np.array(look.skin) * 25
        for upper, lower, (outer, inner), fold in zip(UPPER_LIDS, LOWER_LIDS, EYE_CORNERS, FOLDS, strict=True):
            rim = smooth_outline(marks[[outer, *upper, inner, *reversed(lower)]])
            top = marks[[outer, *upper, inner]]
            opening = np.linalg.norm(marks[upper[3]] - marks[lower[3]])
            if opening > 0.012 * unit:
                self._draw_eyeball(canvas, rim, (marks[outer] + marks[inner]) / 2, opening, head, e)
            lid = np.concatenate([top, top[::-1] + np.array([0, -0.022 * unit])])
            self._paint(canvas, smooth_outline(lid), line, soft_px=0.9, strength=0.92)
            bottom = marks[[outer, *lower, inner]]
            self._paint(
                canvas, np.concatenate([bottom, bottom[::-1] + np.array([0, 0.010 * unit])]), line, strength=0.35
            )
            crease = marks[list(fold)]
            band = np.concatenate([crease, crease[::-1] + np.array([0, -0.012 * unit])])
            self._paint(canvas, band, np.array(look.skin) * 120, soft_px=1.6, strength=0.55)

    def _draw_eyeball(
        self, canvas: Image, rim: Points, middle: Points, opening: float, head: Points, e: Expression
    ) -> None:
        unit = self.scale_px
        x0, y0 = rim.min(0).astype(int) - 8
        x1, y1 = rim.max(0).astype(int) + 9
        if x0 < 0 or y0 < 0:
            return
        part = canvas[y0:y1, x0:x1]
        eye = np.empty_like(part)
        eye[:] = (226, 222, 218)
        # The eyeball turns with the head, and by the gaze within its socket.
        shift = np.array([e.gaze_x * head[0, 0], e.gaze_y]) * unit
        at = middle - [x0, y0] + shift + [0, -0.006 * unit]
        radius = 0.078 * unit

        def disc(r: float, colour: object) -> None:
            centre = tuple(round(float(v) * 2**SUBPIXEL_BITS) for v in at)
            cv2.circle(eye, centre, int(r * 2**SUBPIXEL_BITS), tuple(colour), -1, cv2.LINE_AA, SUBPIXEL_BITS)  # type: ignore[call-overload,arg-type]

        iris = np.array(self.look.iris) * 255
        disc(radius, (iris * 0.45).tolist())
        disc(radius * 0.86, iris.tolist())
        disc(radius * 0.42, [14, 12, 12])
        glint = at + np.array([-0.3 if self.light[0] < 0 else 0.3, -0.32]) * radius
        cv2.circle(eye, tuple(int(v) for v in glint), max(1, int(radius * 0.17)), (248, 248, 248), -1, cv2.LINE_AA)
        rows = np.arange(eye.shape[0])[:, None, None] + y0
        shadow = np.clip((rows - rim[:, 1].min()) / (0.35 * opening + 1), 0.55, 1)
        eye = cv2.GaussianBlur((eye * shadow).astype(np.uint8), (0, 0), 0.9)
        mask = np.zeros(part.shape[:2], np.uint8)
        cv2.fillPoly(
            mask, [((rim - [x0, y0]) * 2**SUBPIXEL_BITS).round().astype(np.int32)], 255, cv2.LINE_AA, SUBPIXEL_BITS
        )
        weight = cv2.GaussianBlur(mask, (0, 0), 0.7)[..., None] / 255.0
        part[:] = (eye * weight + part * (1 - weight)).astype(np.uint8)

    def _draw_brows(self, canvas: Image, marks: Points) -> None:
        colour = np.array(self.look.hair) * 0.75 * 255 + 8
        for brow in BROWS:
            top, under = marks[list(brow[:5])], marks[list(brow[5:])][::-1]
            middle = (top + under) / 2
            # Thin at the temple, full near the nose: half the mesh's band is what looks natural.
            share = np.array([0.16, 0.42, 0.55, 0.62, 0.55])[:, None] * self.look.brow_thickness
            outline = np.concatenate([middle + (top - middle) * share, (middle + (under - middle) * share)[::-1]])
            self._paint(canvas, smooth_outline(outline), colour, soft_px=2.4, strength=0.9)

    def _draw_mouth(self, canvas: Image, marks: Points) -> None:
        unit, lips = self.scale_px, np.array(self.look.lips) * 255
        outer, inner = marks[list(OUTER_LIPS)], marks[list(INNER_LIPS)]
        lower = np.concatenate([outer[:11], inner[10::-1]])
        upper = np.concatenate([outer[10:], outer[:1], inner[:1], inner[:9:-1]])
        self._paint(canvas, lower, lips, soft_px=2.2, strength=0.85)
        self._paint(canvas, upper, lips * 0.84, soft_px=2.2, strength=0.85)
        opening = np.linalg.norm(marks[13] - marks[14])
        if opening > 0.02 * unit:
            self._paint(canvas, smooth_outline(inner), np.array([62, 24, 26]), soft_px=1.2)
            rim = inner[11:][::-1][1:-1]  # upper inner lip without the corners
            height = min(0.42 * opening, 0.055 * unit) * np.sin(np.linspace(0, np.pi, len(rim))) ** 0.7
            teeth = np.concatenate([rim, (rim + np.stack([0 * height, height], axis=1))[::-1]])
            self._paint(canvas, teeth, np.array([206, 199, 190]), soft_px=1.6, strength=0.9)
        else:
            seam = np.concatenate([inner[:11] + np.array([0, 0.012 * unit]), inner[10:] + np.array([0, -0.004 * unit])])
            self._paint(canvas, seam, lips * 0.42, soft_px=1.2, strength=0.8)
        for a, b, c in NOSTRILS:
            hole = np.array([marks[a], marks[b], marks[c]])
            spot = hole.mean(0) + np.array([0, -0.01 * unit])
            t = np.linspace(0, 2 * np.pi, 14)
            around = spot + np.stack([0.040 * np.cos(t), 0.017 * np.sin(t)], axis=1) * unit
            self._paint(canvas, around, np.array(self.look.skin) * 70, soft_px=2.2, strength=0.8)

    def _draw_glasses(self, canvas: Image, shape: Points, e: Expression) -> None:
        t = np.linspace(0, 2 * np.pi, 40)
        ink, width = (46, 42, 44), max(2, int(0.02 * self.scale_px))
        ends = []
        for side in (-1, 1):
            middle = shape[list(EYE_CORNERS[(side + 1) // 2])].mean(0)
            ring = np.stack([middle[0] + 0.28 * np.cos(t), middle[1] + 0.03 + 0.2 * np.sin(t), 0 * t - 0.24], axis=1)
            cv2.polylines(
                canvas,
                [self._project(self._place(ring, e)).astype(np.int32)],
                isClosed=True,
                color=ink,
                thickness=width,
                lineType=cv2.LINE_AA,
            )
            ends.append([middle[0] - side * 0.28, middle[1] - 0.01, -0.24])
            arm = np.array([[middle[0] + side * 0.28, middle[1] - 0.02, -0.24], [side * 0.8, 0.03, 0.5]])
            cv2.polylines(
                canvas,
                [self._project(self._place(arm, e)).astype(np.int32)],
                isClosed=False,
                color=ink,
                thickness=width,
                lineType=cv2.LINE_AA,
            )
        bridge = self._project(self._place(np.array(ends), e)).astype(np.int32)
        cv2.polylines(canvas, [bridge], isClosed=False, color=ink, thickness=width, lineType=cv2.LINE_AA)
