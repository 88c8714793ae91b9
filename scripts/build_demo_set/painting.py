"""Paint shapes with soft edges onto a picture that is larger than what is kept of it."""

import cv2  # noqa: TID253 - a build script: it needs OpenCV from its first line on
import numpy as np
from mesh import Points
from numpy.typing import NDArray

Image = NDArray[np.uint8]

WIDTH, HEIGHT = 480, 360
OVERSAMPLE = 2  # drawn at twice the size, then averaged down: smooth edges
SUBPIXEL_BITS = 4


def blend(under: Image, over: Image, weight: Image) -> None:
    """Lay one picture over another, in place; weight 0..255 per pixel."""
    share = weight.astype(np.float32) * np.float32(1 / 255)
    under[:] = cv2.blendLinear(over, np.ascontiguousarray(under), share, 1 - share)


def fill_triangles(canvas: Image, corners: Points, colours: Points, *, blur_px: float) -> None:
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


def paint_outline(
    canvas: Image, outline: Points, colour: object, *, soft_px: float = 1.0, strength: float = 1.0
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
