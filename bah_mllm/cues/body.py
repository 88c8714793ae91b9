"""Signals of shoulders and hands, measured on points of the body.

=================  ============  =============================================================================
Signal             Unit          What it is
=================  ============  =============================================================================
``shoulder_x, _y``  heights      place of the shoulders' middle in the picture (``pose``)
``shoulder_width``  heights      distance of the shoulders (``pose``)
``shoulder_roll``  deg           slope of the line through them, clockwise (``pose``)
``shoulder_speed``  widths/s     speed of their middle, in shoulder widths (``pose``)
``neck``           widths        height of the ears over the shoulders, in shoulder widths (``pose``)
``hands_visible``  hands         how many hands are seen, 0 to 2 (``hands``)
``hand_speed``     spans/s       speed of the faster hand, 0 where none is seen (``hands``)
``hand_face``      spans         nearest point of a hand to the nose; NaN without hand or face (``hands``)
=================  ============  =============================================================================

Heights are those of the picture, spans the distance of the outer eye corners (without a face 0.23 shoulder widths).
Shoulders outside of the picture, that the model is unsure of, or of somebody else than the face, are unknown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bah_mllm.cues.records import Track, Usual

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["CLAMPS", "N_BODY_POINTS", "N_HAND_POINTS", "POPULATION", "body_tracks"]

N_BODY_POINTS = 33
N_HAND_POINTS = 21

# Population range of the robust spread of each signal over one person's videos: from a third of what the detectors
# take for an event down to the jitter of the pose model on a still person.
CLAMPS: dict[str, tuple[float, float]] = {
    "shoulder_x": (0.01, 0.05),
    "shoulder_y": (0.01, 0.05),
    "shoulder_width": (0.01, 0.05),
    "shoulder_roll": (0.7, 3.0),
    "shoulder_speed": (0.03, 0.15),
    "neck": (0.01, 0.04),
    "hands_visible": (0.2, 1.0),
    "hand_speed": (0.3, 2.0),
    "hand_face": (0.3, 1.0),
}

# For people of whom too little is known: where they sit differs too much to be given.
POPULATION: dict[str, Usual] = {
    "shoulder_speed": Usual(0.05, CLAMPS["shoulder_speed"][1], "population"),
    "shoulder_roll": Usual(0.0, CLAMPS["shoulder_roll"][1], "population"),
    "hands_visible": Usual(0.0, CLAMPS["hands_visible"][1], "population"),
    "hand_speed": Usual(0.0, CLAMPS["hand_speed"][1], "population"),
}

_POSE_NOSE, _EARS, _SHOULDERS = 0, (7, 8), (11, 12)
_SAME_NOSE_SPANS = 2.0  # two noses nearer than that cannot be of two people; of one, they are within half a span
_MIN_VISIBILITY = 0.5
_MAX_Y = 1.05  # shares of the height: the model guesses on below the lower edge, and further down it only guesses
_SPAN_OF_WIDTH = 0.23  # outer eye corners about 9 cm apart, shoulders about 39 cm
_WRIST_AND_TIPS = (0, 4, 8, 12, 16, 20)


def body_tracks(
    t_s: Float[np.ndarray, " samples"],
    pose: Float[np.ndarray, "samples points 4"],
    hands: Float[np.ndarray, "samples hands knuckles 3"],
    nose: Float[np.ndarray, "samples 2"],
    span: Float[np.ndarray, " samples"],
) -> dict[str, Track]:
    """Return the signals of body and hands.

    Args:
        t_s: Times, ascending.
        pose: Body points (x, y, z in heights of the picture, visibility 0 to 1), shape (samples, 33, 4); NaN where
            nobody is found.
        hands: Points of up to two hands in heights, shape (samples, 2, 21, 3); NaN where there is none.
        nose: Tip of the nose in heights, shape (samples, 2); NaN without a face.
        span: Distance of the outer eye corners in heights, shape (samples,); NaN without a face.
    """
    # The model picks its own main person, who need not be the one whose face is followed.
    is_other = np.linalg.norm(pose[:, _POSE_NOSE, :2] - nose, axis=1) > _SAME_NOSE_SPANS * span
    values = _shoulder_values(np.where(is_other[:, None, None], np.nan, pose))
    middle = np.stack([values["shoulder_x"], values["shoulder_y"]], axis=1)
    values["shoulder_speed"] = _speed(t_s, middle) / values["shoulder_width"]
    span = np.where(np.isfinite(span), span, _SPAN_OF_WIDTH * values["shoulder_width"])
    values["hands_visible"] = np.isfinite(hands[:, :, 0, 0]).sum(axis=1).astype(float)
    values["hand_speed"] = _hand_speed(t_s, hands[..., :2]) / span
    distances = np.linalg.norm(hands[..., :2] - nose[:, None, None], axis=-1).reshape(len(t_s), -1)
    nearest = np.min(np.where(np.isfinite(distances), distances, np.inf), axis=1, initial=np.inf)
    values["hand_face"] = np.where(np.isfinite(nearest), nearest, np.nan) / span
    return {name: Track(t_s, array) for name, array in values.items()}


def _shoulder_values(pose: Float[np.ndarray, "samples points 4"]) -> dict[str, Float[np.ndarray, " samples"]]:
    # The model calls the person's own sides; in the image the order depends on mirroring, so they are sorted by x.
    shoulders = pose[:, list(_SHOULDERS)]
    is_seen = (shoulders[..., 3] >= _MIN_VISIBILITY).all(axis=1) & (shoulders[..., 1] <= _MAX_Y).all(axis=1)
    shoulders = np.where(is_seen[:, None, None], shoulders, np.nan)
    order = np.argsort(shoulders[..., 0], axis=1)
    left, right = (np.take_along_axis(shoulders, order[:, k : k + 1, None], axis=1)[:, 0] for k in (0, 1))
    width = np.linalg.norm((right - left)[:, :2], axis=1)
    width = np.where(width > 0.02, width, np.nan)
    ears_y = pose[:, list(_EARS), 1].mean(axis=1)
    return {
        "shoulder_x": (left[:, 0] + right[:, 0]) / 2,
        "shoulder_y": (left[:, 1] + right[:, 1]) / 2,
        "shoulder_width": width,
        "shoulder_roll": np.degrees(np.arctan2(right[:, 1] - left[:, 1], right[:, 0] - left[:, 0])),
        "neck": ((left[:, 1] + right[:, 1]) / 2 - ears_y) / width,
    }


def _speed(t_s: Float[np.ndarray, " samples"], place: Float[np.ndarray, "samples 2"]) -> Float[np.ndarray, " samples"]:
    """Return the speed from the sample before, NaN at the first one and where a place is unknown."""
    speed = np.full(len(t_s), np.nan)
    speed[1:] = np.linalg.norm(np.diff(place, axis=0), axis=1) / np.diff(t_s)
    return speed


def _hand_speed(
    t_s: Float[np.ndarray, " samples"], hands: Float[np.ndarray, "samples hands points 2"]
) -> Float[np.ndarray, " samples"]:
    """Return the mean speed of wrist and finger tips of the faster hand, each matched to the nearest hand before.

    0 where no hand is seen; NaN where a hand has only just come into sight.
    """
    tips = hands[:, :, list(_WRIST_AND_TIPS)]
    speed = np.where(np.isfinite(hands[:, :, 0, 0]).any(axis=1), np.nan, 0.0)
    if len(t_s) < 2:
        return speed
    steps = np.linalg.norm(tips[1:, :, None] - tips[:-1, None], axis=-1).mean(axis=-1)  # samples, hands now, before
    nearest = np.min(np.where(np.isfinite(steps), steps, np.inf), axis=2)
    fastest = np.max(np.where(np.isfinite(nearest), nearest, -np.inf), axis=1)
    speed[1:] = np.where(np.isfinite(fastest), fastest / np.diff(t_s), speed[1:])
    return speed
