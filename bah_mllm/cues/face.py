"""Signals of the face and the head, measured on mesh points.

Mesh points are turned into a face frame first (head pose taken out, lengths divided by the distance of the outer eye
corners), so that a face that is nearer, elsewhere, turned or mirrored gives the same numbers.

=====================  =========  ==========================================================================
Signal                 Unit       What it is
=====================  =========  ==========================================================================
``eye_left, _right``   ratio      eye aspect ratio: opening of the lids over the width of the eye
``lid_left, _right``   eyes       height of the lower lid over the line between the corners of that eye
``gaze_x, gaze_y``     eyes       iris from the middle of the eye box, to the image's right and down; NaN while closed
``brow_left, _right``  spans      height of the brow over the eye corners
``brow_gap``           spans      distance of the inner ends of the brows
``brow_inner``         spans      height of the inner ends of the brows over the inner eye corners
``mouth_width``        spans      distance of the mouth corners
``mouth_opening``      spans      gap between the lips at the middle
``corner_left, _right``  spans    height of a mouth corner over the base of the nose, below 0 (the upper lip will not do
                                  as a reference: it goes up with the corners when smiling with the mouth open)
``mouth_curve``        spans      height of the corners over the middle between the lips
``lip_thickness``      spans      upper and lower lip at the middle, the gap left out
``head_yaw``           deg        nose to the image's right
``head_pitch``         deg        nose down
``head_roll``          deg        clockwise in the image
``head_yaw_band``      deg        head_yaw within 0.7 to 4.5 Hz: what shaking is made of; also ``head_pitch_band``
``face_x, face_y``     heights    place of the eyes' middle in the picture
``face_size``          heights    span as a share of the height of the picture
``blink_rate``         /min       blinks in the 10 s around
=====================  =========  ==========================================================================

A span is the distance of the outer eye corners, an eye the width of that eye. Left and right are sides of the image.
All of them come from the face mesh (``facemesh``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from bah_mllm.core.stretches import Stretch, stretches
from bah_mllm.cues.records import Track, Usual

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = [
    "CLAMPS",
    "N_POINTS",
    "OUTER_EYES",
    "PERCENTILES",
    "POPULATION",
    "band",
    "derived_face_tracks",
    "face_signals",
]

N_POINTS = 478  # of the mesh with irises
OUTER_EYES = (33, 263)  # points: outer corners of the eyes, left and right in the image

# Population range of the robust spread of each signal over one person's videos. mouth_width, corner_*, brow_*,
# brow_gap, mouth_opening and lip_thickness: design research on five real clips; the others: set so that the rest noise
# of the mesh on a still face (a third of the lower value and less) does not count, and lively people keep their cues.
CLAMPS: dict[str, tuple[float, float]] = {
    "eye_left": (0.015, 0.035),
    "eye_right": (0.015, 0.035),
    "lid_left": (0.010, 0.025),
    "lid_right": (0.010, 0.025),
    "gaze_x": (0.015, 0.04),
    "gaze_y": (0.010, 0.03),
    "brow_left": (0.008, 0.018),
    "brow_right": (0.008, 0.018),
    "brow_gap": (0.004, 0.010),
    "brow_inner": (0.008, 0.018),
    "mouth_width": (0.015, 0.035),
    "mouth_opening": (0.015, 0.05),
    "corner_left": (0.006, 0.014),
    "corner_right": (0.006, 0.014),
    "mouth_curve": (0.010, 0.030),
    "lip_thickness": (0.008, 0.022),
    "head_yaw": (1.5, 6.0),
    "head_pitch": (1.5, 5.0),
    "head_roll": (1.0, 4.0),
    "head_yaw_band": (0.3, 5.0),
    "head_pitch_band": (0.3, 5.0),
    "face_x": (0.01, 0.05),
    "face_y": (0.01, 0.05),
    "face_size": (0.005, 0.02),
    "blink_rate": (3.0, 15.0),
}

# What a person does by default is the median of a signal, but for these: eyes blink and lids lower, so that open eyes
# are the upper quarter (design research); lips part in speech, so that a mouth at rest is the lower quarter.
PERCENTILES: dict[str, float] = {"eye_left": 75, "eye_right": 75, "mouth_opening": 25, "mouth_curve": 25}

# For people of whom too little is known. Eye aspect ratio: Soukupová and Čech, "Real-time eye blink detection using
# facial landmarks" (2016), open eyes; blink rate: Bentivoglio et al. (1997), at rest 17 a minute; the others: about the
# middle of the demo set's eight avatars and two real people. Spreads are the upper ends of the range above, but for
# swaying of the head, where they lie between a calm person (0.9) and a lively one (3.3).
POPULATION: dict[str, Usual] = {
    name: Usual(centre, CLAMPS[name][1], "population")
    for name, centre in {
        "eye_left": 0.30,
        "eye_right": 0.30,
        "lid_left": -0.13,
        "lid_right": -0.13,
        "gaze_x": 0.0,
        "gaze_y": -0.03,
        "brow_left": 0.28,
        "brow_right": 0.28,
        "brow_gap": 0.32,
        "brow_inner": 0.29,
        "mouth_width": 0.60,
        "mouth_opening": 0.02,
        "corner_left": -0.26,
        "corner_right": -0.26,
        "mouth_curve": 0.0,
        "lip_thickness": 0.20,
        "head_yaw": 0.0,
        "head_pitch": 0.0,
        "head_roll": 0.0,
        "blink_rate": 17.0,
    }.items()
} | {"head_yaw_band": Usual(0.0, 1.5, "population"), "head_pitch_band": Usual(0.0, 1.5, "population")}

# Points that hardly move with expressions, and where they are in a face that looks straight ahead: x right, y down,
# z away, in spans. From the astronaut portrait in scikit-image (NASA, public domain), made symmetric. Corners of the
# mouth are left out on purpose: with them a puckered mouth flips the pose.
_RIGID: dict[int, tuple[float, float, float]] = {
    33: (-0.5, -0.0, 0.0),
    133: (-0.1917, 0.0208, -0.0594),
    263: (0.5, -0.0, 0.0),
    362: (0.1917, 0.0208, -0.0594),
    168: (0.0, -0.079, -0.2398),
    6: (0.0, -0.0031, -0.297),
    197: (0.0, 0.0679, -0.3599),
    195: (0.0, 0.1318, -0.4262),
    4: (0.0, 0.2946, -0.5325),
    10: (0.0, -0.5709, -0.1512),
    151: (0.0, -0.4148, -0.1989),
    9: (0.0, -0.2494, -0.2395),
    127: (-0.761, 0.1373, 0.5223),
    356: (0.761, 0.1373, 0.5223),
    234: (-0.7583, 0.2949, 0.5616),
    454: (0.7583, 0.2949, 0.5616),
}
_REFERENCE = np.array(list(_RIGID.values()))
_REFERENCE = _REFERENCE - _REFERENCE.mean(axis=0)

# Points of each eye: outer corner, inner corner, upper lid (2), lower lid (2), iris; of the brow above: three of its
# lower edge; left and right as seen in the image.
_EYES = {"left": (33, 133, (160, 158), (144, 153), 468), "right": (263, 362, (387, 385), (373, 380), 473)}
_BROWS = {"left": (63, 105, 66), "right": (293, 334, 296)}
_INNER_BROWS, _INNER_EYES = (107, 336), (133, 362)
_CORNERS = {"left": 61, "right": 291}
_NOSE_BASE = 2
_UPPER_LIP, _LOWER_LIP = (0, 13), (14, 17)  # outside to inside, inside to outside

_CLOSED = 0.45  # share of the usual opening below which an eye shows no gaze

_BLINK_BELOW, _BLINK_BOTTOM, _BLINK_MAX_S = 0.55, 0.35, 0.4
_RATE_WINDOW_S, _RATE_STEP_S = 10.0, 1.0


def face_signals(
    points: Float[np.ndarray, "frames points 3"], height_px: float
) -> dict[str, Float[np.ndarray, " frames"]]:
    """Return the signals of mesh points, frame by frame, without those that need neighbouring frames.

    Args:
        points: Mesh points of upright pictures in pixels (x right, y down, z away), shape (frames, 478, 3); NaN where
            there is no face.
        height_px: Height of the picture.

    Returns:
        Signal name to values, shape (frames,), NaN without a face.
    """
    span = np.linalg.norm(points[:, 33] - points[:, 263], axis=1)
    span = np.where(span > 0, span, np.nan)
    rotation = _rotations(points, span)
    middle = (points[:, 33] + points[:, 263]) / 2
    frontal = np.einsum("fpi,fij->fpj", (points - middle[:, None]) / span[:, None, None], rotation)[..., :2]
    signals = _eye_signals(frontal) | _brow_signals(frontal) | _mouth_signals(frontal)
    signals["head_yaw"] = np.degrees(np.arctan2(-rotation[:, 0, 2], rotation[:, 2, 2]))
    signals["head_pitch"] = np.degrees(np.arcsin(np.clip(-rotation[:, 1, 2], -1, 1)))
    signals["head_roll"] = np.degrees(np.arctan2(rotation[:, 1, 0], rotation[:, 1, 1]))
    signals["face_x"], signals["face_y"] = middle[:, 0] / height_px, middle[:, 1] / height_px
    signals["face_size"] = span / height_px
    return signals


def _rotations(
    points: Float[np.ndarray, "frames points 3"], span: Float[np.ndarray, " frames"]
) -> Float[np.ndarray, "frames 3 3"]:
    """Return the rotation from the straight face to each face (Kabsch 1976), NaN where there is no face."""
    now = points[:, list(_RIGID)] / span[:, None, None]
    known = np.isfinite(now).all(axis=(1, 2))
    centred = np.where(known[:, None, None], now - now.mean(axis=1, keepdims=True), 1.0)
    u, _, vt = np.linalg.svd(np.einsum("pi,fpj->fij", _REFERENCE, centred))
    v = np.swapaxes(vt, 1, 2)
    v[:, :, 2] *= np.sign(np.linalg.det(v @ np.swapaxes(u, 1, 2)))[:, None]  # a rotation, not a reflection
    return np.where(known[:, None, None], v @ np.swapaxes(u, 1, 2), np.nan)


def _eye_signals(frontal: Float[np.ndarray, "frames points 2"]) -> dict[str, Float[np.ndarray, " frames"]]:
    signals, gazes = {}, []
    for side, (outer, inner, upper, lower, iris) in _EYES.items():
        width = np.linalg.norm(frontal[:, outer] - frontal[:, inner], axis=1)
        middle = (frontal[:, outer] + frontal[:, inner]) / 2
        upper_y, lower_y = frontal[:, list(upper), 1].mean(axis=1), frontal[:, list(lower), 1].mean(axis=1)
        signals[f"eye_{side}"] = np.maximum(lower_y - upper_y, 0) / width
        signals[f"lid_{side}"] = (middle[:, 1] - lower_y) / width
        gazes.append((frontal[:, iris] - middle) / width[:, None])
    gaze = np.mean(gazes, axis=0)
    signals["gaze_x"], signals["gaze_y"] = gaze[:, 0], gaze[:, 1]
    return signals


def _brow_signals(frontal: Float[np.ndarray, "frames points 2"]) -> dict[str, Float[np.ndarray, " frames"]]:
    signals = {
        f"brow_{side}": frontal[:, list(_EYES[side][:2]), 1].mean(axis=1) - frontal[:, list(brow), 1].mean(axis=1)
        for side, brow in _BROWS.items()
    }
    left, right = _INNER_BROWS
    signals["brow_gap"] = np.linalg.norm(frontal[:, left] - frontal[:, right], axis=1)
    signals["brow_inner"] = frontal[:, list(_INNER_EYES), 1].mean(axis=1) - frontal[:, list(_INNER_BROWS), 1].mean(
        axis=1
    )
    return signals


def _mouth_signals(frontal: Float[np.ndarray, "frames points 2"]) -> dict[str, Float[np.ndarray, " frames"]]:
    (upper_out, upper_in), (lower_in, lower_out) = _UPPER_LIP, _LOWER_LIP
    nose_y = frontal[:, _NOSE_BASE, 1]
    signals = {f"corner_{side}": nose_y - frontal[:, corner, 1] for side, corner in _CORNERS.items()}
    signals["mouth_width"] = np.linalg.norm(frontal[:, _CORNERS["left"]] - frontal[:, _CORNERS["right"]], axis=1)
    corners_y = frontal[:, list(_CORNERS.values()), 1].mean(axis=1)
    signals["mouth_curve"] = frontal[:, [upper_in, lower_in], 1].mean(axis=1) - corners_y
    signals["mouth_opening"] = np.maximum(frontal[:, lower_in, 1] - frontal[:, upper_in, 1], 0)
    signals["lip_thickness"] = np.maximum(frontal[:, upper_in, 1] - frontal[:, upper_out, 1], 0) + np.maximum(
        frontal[:, lower_out, 1] - frontal[:, lower_in, 1], 0
    )
    return signals


def derived_face_tracks(tracks: Mapping[str, Track]) -> dict[str, Track]:
    """Return face tracks with those that need neighbouring frames; gaze made unknown while the eyes are closed.

    Args:
        tracks: What ``face_signals`` gave, over time.
    """
    openness = eye_openness(tracks, None)
    derived = dict(tracks)
    for name in ("gaze_x", "gaze_y"):
        track = tracks[name]
        derived[name] = Track(track.t_s, np.where(openness.values < _CLOSED, np.nan, track.values))
    for name in ("head_yaw", "head_pitch"):
        derived[f"{name}_band"] = band(tracks[name])
    derived["blink_rate"] = _blink_rate(openness)
    return derived


def eye_openness(tracks: Mapping[str, Track], usual: Mapping[str, Usual] | None) -> Track:
    """Return how far the eyes are open, both together: 1 as usual, 0 closed.

    Args:
        tracks: With ``eye_left`` and ``eye_right``.
        usual: The person's; None takes what three quarters of the video stay under instead.
    """
    shares = []
    for name in ("eye_left", "eye_right"):
        values = tracks[name].values
        known = values[np.isfinite(values)]
        open_at = usual[name].centre if usual is not None else (np.percentile(known, 75) if len(known) else np.nan)
        shares.append(values / max(open_at, 1e-6))
    return Track(tracks["eye_left"].t_s, np.mean(shares, axis=0))


def band(track: Track) -> Track:
    """Return what of a signal swings at 0.7 to 4.5 Hz: smoothed over 0.1 s, less its mean over 1.1 s.

    A mean over w seconds cuts off near 0.44 / w Hz, so that 0.1 s passes what is below 4.5 Hz and 1.1 s removes what is
    below 0.4 Hz; a swing at 0.7 Hz keeps three quarters of its size.
    """
    slow, fast = _mean_over(track, 1.1), _mean_over(track, 0.1)
    return Track(track.t_s, np.where(np.isfinite(track.values), fast - slow, np.nan))


def _mean_over(track: Track, width_s: float) -> Float[np.ndarray, " samples"]:
    """Return the mean of what is known within half a width on either side of each sample, NaN where nothing is."""
    known = np.isfinite(track.values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(known, track.values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(known)])
    start = np.searchsorted(track.t_s, track.t_s - width_s / 2 - 1e-9, side="left")
    stop = np.searchsorted(track.t_s, track.t_s + width_s / 2 + 1e-9, side="right")
    n_known = counts[stop] - counts[start]
    return np.where(n_known > 0, (sums[stop] - sums[start]) / np.maximum(n_known, 1), np.nan)


def blinks(openness: Track) -> list[Stretch]:
    """Return the blinks: dips below 0.35 of the usual opening that last less than 0.4 s.

    Only where there are at least ten samples a second: blinks last 0.1 to 0.4 s.

    Args:
        openness: Of both eyes, as ``eye_openness`` gives it.
    """
    if len(openness.t_s) < 3 or np.median(np.diff(openness.t_s)) > 0.1:
        return []
    dips = stretches(openness.t_s, openness.values < _BLINK_BOTTOM, stays_on=openness.values < _BLINK_BELOW)
    return [dip for dip in dips if dip.length_s < _BLINK_MAX_S]


def _blink_rate(openness: Track) -> Track:
    """Return blinks a minute in the 10 s around every second of a video, NaN where less than 8 s of them are known."""
    if not len(openness.t_s) or openness.share_known == 0:
        return Track(np.zeros(0), np.zeros(0))
    at_s = np.array([(blink.start_s + blink.stop_s) / 2 for blink in blinks(openness)])
    # Seconds that have frames, not all seconds up to the last one: times of a damaged file may jump by years.
    t_s = np.unique(np.floor(openness.t_s / _RATE_STEP_S)) * _RATE_STEP_S + _RATE_STEP_S / 2
    start, stop = t_s - _RATE_WINDOW_S / 2, t_s + _RATE_WINDOW_S / 2
    step_s = float(np.median(np.diff(openness.t_s))) if len(openness.t_s) > 1 else 0.0
    known_at = openness.t_s[np.isfinite(openness.values)]
    known_s = (np.searchsorted(known_at, stop) - np.searchsorted(known_at, start)) * step_s
    n_blinks = np.searchsorted(at_s, stop) - np.searchsorted(at_s, start)
    return Track(t_s, np.where(known_s >= 8, 60 * n_blinks / np.maximum(known_s, 1), np.nan))
