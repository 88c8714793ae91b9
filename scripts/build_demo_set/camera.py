"""From points of a head to pixels of the canvas: how the head is turned, and where the camera sees it."""

import numpy as np
from looks import Expression, Look
from mesh import Points, rotation
from painting import HEIGHT, OVERSAMPLE, WIDTH

CAMERA_DISTANCE = 11.0
PIVOT = np.array([0.0, 0.75, 0.65])  # the head turns about a point between the ears and the neck


class Camera:
    """Sees one person.

    Attributes:
        scale_px: Outer-eye distance on the canvas.
    """

    def __init__(self, look: Look) -> None:
        self.scale_px = look.eye_span_px * OVERSAMPLE
        self._middle = np.array(look.centre) * [WIDTH, HEIGHT] * OVERSAMPLE

    def place(self, points: Points, e: Expression) -> Points:
        """Points of the head, turned and moved."""
        turn = rotation(e.yaw, e.pitch, e.roll)
        return np.asarray((points - PIVOT) @ turn.T + PIVOT + [e.sway_x, e.sway_y, 0])

    def project(self, points: Points) -> Points:
        """Oversampled pixel positions, (n, 2)."""
        near = CAMERA_DISTANCE / (CAMERA_DISTANCE + points[:, 2:])
        return np.asarray(points[:, :2] * near * self.scale_px + self._middle)
