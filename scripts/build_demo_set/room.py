"""The room behind the person, a little out of focus."""

import cv2  # noqa: TID253 - a build script: it needs OpenCV from its first line on
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Tint = NDArray[np.float64]
Box = tuple[float, float, float, float]  # left, top, right, bottom as shares of the picture
BOOKS = np.array([[0.75, 0.4, 0.35], [0.4, 0.55, 0.7], [0.8, 0.75, 0.6], [0.45, 0.6, 0.45]]) * 180


def _box(room: Image, box: Box, tint: Tint, *, line_px: int = -1) -> None:
    height, width = room.shape[:2]
    (x0, y0), (x1, y1) = ((int(x * width), int(y * height)) for x, y in (box[:2], box[2:]))
    cv2.rectangle(room, (x0, y0), (x1, y1), tint.tolist(), line_px)


def _shelf(room: Image, wall: Tint, *, on_right: bool) -> None:
    left = 0.66 if on_right else 0.01
    for row, board in enumerate((0.32, 0.64)):
        _box(room, (left, board, left + 0.33, board + 0.025), wall * 0.55)
        edge = left + 0.01
        for k in range(11):
            thick, tall = 0.018 + 0.007 * ((k * 5 + row) % 3), 0.14 + 0.02 * ((k * 7 + row) % 4)
            _box(room, (edge, board - tall, edge + thick, board), BOOKS[(k * 3 + row) % 4])
            edge += thick + 0.003


def _window(room: Image, wall: Tint, *, on_right: bool) -> None:
    left = 0.7 if on_right else 0.03
    _box(room, (left, 0.05, left + 0.27, 0.62), np.array([225.0, 235.0, 242.0]))
    for x in (left, left + 0.135, left + 0.27):
        _box(room, (x - 0.007, 0.05, x + 0.007, 0.62), wall * 0.8)
    for y in (0.05, 0.33, 0.62):
        _box(room, (left, y - 0.01, left + 0.27, y + 0.01), wall * 0.8)


def _door(room: Image, wall: Tint, *, on_right: bool) -> None:
    left = 0.68 if on_right else 0.05
    _box(room, (left, 0.02, left + 0.26, 1.0), wall * 0.82)
    for top in (0.08, 0.52):
        _box(room, (left + 0.04, top, left + 0.22, top + 0.38), wall * 0.72, line_px=6)


def _picture(room: Image, wall: Tint, *, on_right: bool) -> None:
    left = 0.74 if on_right else 0.06
    _box(room, (left, 0.1, left + 0.2, 0.42), wall * 0.45)
    _box(room, (left + 0.015, 0.12, left + 0.185, 0.4), np.array([150.0, 185.0, 200.0]))
    _box(room, (left + 0.015, 0.31, left + 0.185, 0.4), np.array([95.0, 135.0, 95.0]))
    at = int((left + 0.14) * room.shape[1]), int(0.2 * room.shape[0])
    cv2.circle(room, at, int(0.03 * room.shape[1]), (240, 215, 140), -1)


SCENES = {"shelf": _shelf, "window": _window, "door": _door, "picture": _picture}


def draw_room(
    width: int, height: int, *, scene: str, wall: tuple[float, float, float], light_from_right: bool, person_left: bool
) -> Image:
    """A wall, brighter on the side of the light, with what hangs or stands there; `plain` is the wall alone."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    bright = 1.08 - 0.3 * np.hypot(x - (0.8 if light_from_right else 0.2), y - 0.25)
    tint = np.array(wall)
    room = np.ascontiguousarray((np.clip(tint * bright[..., None], 0, 1) * 255).astype(np.uint8))
    if scene != "plain":
        SCENES[scene](room, tint * 255, on_right=light_from_right if scene == "window" else person_left)
    return np.asarray(cv2.GaussianBlur(room, (0, 0), 5.0), dtype=np.uint8)
