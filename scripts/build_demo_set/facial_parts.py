"""Eyes, brows, mouth and glasses, drawn on top of a face."""

import cv2  # noqa: TID253 - a build script: it needs OpenCV from its first line on
import numpy as np
from camera import Camera
from looks import Expression, Look
from mesh import (
    BROWS,
    EYE_CORNERS,
    FOLDS,
    INNER_LIPS,
    LOWER_LIDS,
    NOSTRILS,
    OUTER_LIPS,
    UPPER_LIDS,
    Points,
    rotation,
    smooth_outline,
)
from painting import SUBPIXEL_BITS, Image, paint_outline


class FacialParts:
    """Draws what the mesh of a face has no surface for."""

    def __init__(self, look: Look, camera: Camera) -> None:
        self.look = look
        self.camera = camera
        self.scale_px = camera.scale_px

    def draw(self, canvas: Image, shape: Points, e: Expression) -> None:
        """Draw all of them.

        Args:
            canvas: Drawn on in place.
            shape: Points of the face mesh with the expression, shape (468, 3).
            e: The expression and the pose.
        """
        marks = self.camera.project(self.camera.place(shape, e))
        self._draw_eyes(canvas, marks, e)
        self._draw_brows(canvas, marks)
        self._draw_mouth(canvas, marks)
        if self.look.glasses:
            self._draw_glasses(canvas, shape, e)

    def _draw_eyes(self, canvas: Image, marks: Points, e: Expression) -> None:
        look, unit = self.look, self.scale_px
        head = rotation(e.yaw, e.pitch, e.roll)
        line = np.array(look.hair) * 60 + np.array(look.skin) * 25
        for upper, lower, (outer, inner), fold in zip(UPPER_LIDS, LOWER_LIDS, EYE_CORNERS, FOLDS, strict=True):
            rim = smooth_outline(marks[[outer, *upper, inner, *reversed(lower)]])
            top = marks[[outer, *upper, inner]]
            opening = np.linalg.norm(marks[upper[3]] - marks[lower[3]])
            if opening > 0.012 * unit:
                self._draw_eyeball(canvas, rim, (marks[outer] + marks[inner]) / 2, opening, head, e)
            lid = np.concatenate([top, top[::-1] + np.array([0, -0.022 * unit])])
            paint_outline(canvas, smooth_outline(lid), line, soft_px=0.9, strength=0.92)
            bottom = marks[[outer, *lower, inner]]
            paint_outline(
                canvas, np.concatenate([bottom, bottom[::-1] + np.array([0, 0.010 * unit])]), line, strength=0.35
            )
            crease = marks[list(fold)]
            band = np.concatenate([crease, crease[::-1] + np.array([0, -0.012 * unit])])
            paint_outline(canvas, band, np.array(look.skin) * 120, soft_px=1.6, strength=0.55)

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
        glint = at + np.array([-0.3 if self.look.light[0] < 0 else 0.3, -0.32]) * radius
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
            paint_outline(canvas, smooth_outline(outline), colour, soft_px=2.4, strength=0.9)

    def _draw_mouth(self, canvas: Image, marks: Points) -> None:
        unit, lips = self.scale_px, np.array(self.look.lips) * 255
        outer, inner = marks[list(OUTER_LIPS)], marks[list(INNER_LIPS)]
        lower = np.concatenate([outer[:11], inner[10::-1]])
        upper = np.concatenate([outer[10:], outer[:1], inner[:1], inner[:9:-1]])
        paint_outline(canvas, lower, lips, soft_px=2.2, strength=0.85)
        paint_outline(canvas, upper, lips * 0.84, soft_px=2.2, strength=0.85)
        opening = np.linalg.norm(marks[13] - marks[14])
        if opening > 0.02 * unit:
            paint_outline(canvas, smooth_outline(inner), np.array([62, 24, 26]), soft_px=1.2)
            rim = inner[11:][::-1][1:-1]  # upper inner lip without the corners
            height = min(0.42 * opening, 0.055 * unit) * np.sin(np.linspace(0, np.pi, len(rim))) ** 0.7
            teeth = np.concatenate([rim, (rim + np.stack([0 * height, height], axis=1))[::-1]])
            paint_outline(canvas, teeth, np.array([206, 199, 190]), soft_px=1.6, strength=0.9)
        else:
            seam = np.concatenate([inner[:11] + np.array([0, 0.012 * unit]), inner[10:] + np.array([0, -0.004 * unit])])
            paint_outline(canvas, seam, lips * 0.42, soft_px=1.2, strength=0.8)
        for a, b, c in NOSTRILS:
            hole = np.array([marks[a], marks[b], marks[c]])
            spot = hole.mean(0) + np.array([0, -0.01 * unit])
            t = np.linspace(0, 2 * np.pi, 14)
            around = spot + np.stack([0.040 * np.cos(t), 0.017 * np.sin(t)], axis=1) * unit
            paint_outline(canvas, around, np.array(self.look.skin) * 70, soft_px=2.2, strength=0.8)

    def _draw_glasses(self, canvas: Image, shape: Points, e: Expression) -> None:
        t = np.linspace(0, 2 * np.pi, 40)
        ink, width = (46, 42, 44), max(2, int(0.02 * self.scale_px))
        ends = []
        for side in (-1, 1):
            middle = shape[list(EYE_CORNERS[(side + 1) // 2])].mean(0)
            ring = np.stack([middle[0] + 0.28 * np.cos(t), middle[1] + 0.03 + 0.2 * np.sin(t), 0 * t - 0.24], axis=1)
            cv2.polylines(
                canvas,
                [self.camera.project(self.camera.place(ring, e)).astype(np.int32)],
                isClosed=True,
                color=ink,
                thickness=width,
                lineType=cv2.LINE_AA,
            )
            ends.append([middle[0] - side * 0.28, middle[1] - 0.01, -0.24])
            arm = np.array([[middle[0] + side * 0.28, middle[1] - 0.02, -0.24], [side * 0.8, 0.03, 0.5]])
            cv2.polylines(
                canvas,
                [self.camera.project(self.camera.place(arm, e)).astype(np.int32)],
                isClosed=False,
                color=ink,
                thickness=width,
                lineType=cv2.LINE_AA,
            )
        bridge = self.camera.project(self.camera.place(np.array(ends), e)).astype(np.int32)
        cv2.polylines(canvas, [bridge], isClosed=False, color=ink, thickness=width, lineType=cv2.LINE_AA)
