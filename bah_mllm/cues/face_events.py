"""Cues of the face as events: one function a row of the codebook (paper, Table 9), written with ``rules``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bah_mllm.core.stretches import TimeSpan, overlap_s, stretches, within
from bah_mllm.cues import face
from bah_mllm.cues.records import Baseline, CueEvent, Side, Track
from bah_mllm.cues.rules import (
    STRONG,
    EventRule,
    Seen,
    abs_within,
    all_of,
    any_of,
    event_at,
    events_where,
    less_certain,
    of_known,
)

if TYPE_CHECKING:
    from jaxtyping import Bool

__all__ = ["face_events"]

_FRONTAL_DEG = 20.0  # beyond that yaw the mouth and a single eye cannot be measured
_LEVEL_DEG = 12.0  # beyond that pitch the brows cannot
_HEAD_MOVES = ("body.shake", "body.nod", "body.look_away", "body.throw")  # eyes stay where they were


def face_events(
    tracks: Mapping[str, Track], baseline: Baseline, speech: Sequence[TimeSpan], *, of_body: Sequence[CueEvent]
) -> list[CueEvent]:
    """Return the cues of the face in one video, in order of time.

    Args:
        tracks: What ``perceive`` gave; signals that are missing or unknown give no events.
        baseline: What is usual for the person.
        speech: Spans with speech in seconds: the mouth is judged outside of them only, smiles excepted.
        of_body: What ``body_events`` found: a hand at the face covers an eye, and eyes move with the head.
    """
    return Seen(tracks, baseline, speech, events=list(of_body)).run(_DETECTORS)


def _openness(seen: Seen) -> Track:
    usual = {name: seen.usual(name) for name in ("eye_left", "eye_right")}
    return face.eye_openness(seen.tracks, {name: value for name, value in usual.items() if value is not None})


def _blinks(seen: Seen) -> list[CueEvent]:
    """Blinks: both eyes dip below 0.35 of their usual opening, for less than 0.4 s; not the flutter of closed ones."""
    if not seen.has("eye_left", "eye_right"):
        return []
    rule, closed = EventRule("face.blink", "eye_left", "ratio"), seen.found("face.close_2")
    dips = [dip for dip in face.blinks(_openness(seen)) if not overlap_s(dip.span, closed)]
    return [event_at(seen, rule, dip, 1.0) for dip in dips]


def _eyes_closed(seen: Seen) -> list[CueEvent]:
    """Close 2: both eyes below 0.45 of their usual opening for 0.4 s and more.

    Looking down lowers the lids to 0.4 to 0.6 of it. With head or gaze down, closed means below 0.25.
    """
    if not seen.has("eye_left", "eye_right", "head_pitch"):
        return []
    openness = _openness(seen).values
    is_down = ~abs_within(np.maximum(seen.d("head_pitch"), 0), 10)
    score = np.where(is_down, 0.25, 0.45) / np.maximum(openness, 0.02)
    rule = EventRule("face.close_2", "eye_left", "ratio", min_s=0.4)
    # Shut is shut: clear at most, whatever is left.
    found = events_where(seen, rule, np.minimum(score, 2.0), side="both")
    t_s = seen.t_s("eye_left")
    return [less_certain(event, "B") if is_down[within(t_s, [event.span])].mean() > 0.5 else event for event in found]


def _blinks_often(seen: Seen) -> list[CueEvent]:
    """Close 2, the other half of the row: more blinks in 10 s than this person's rate explains (Poisson z above 2)."""
    if not seen.has("blink_rate") or not seen.tracks["blink_rate"].share_known:
        return []
    n_usual = max(seen.centre("blink_rate") / 6, 1.0)
    # Square roots of counts spread alike whatever the rate (Anscombe 1948); a plain z takes 3 for 1 as unusual.
    score = np.sqrt(np.maximum(seen.tracks["blink_rate"].values, 0) / 6 + 0.375) - np.sqrt(n_usual + 0.375)
    return events_where(seen, EventRule("face.close_2", "blink_rate", "/min", min_s=2.0), score)


def _one_eye_closed(seen: Seen) -> list[CueEvent]:
    """Close 1: one eye below 0.4, the other above 0.75 of its usual opening, for 0.1 s.

    Frontal faces only, and none with a hand at the face, which covers an eye.
    """
    if not seen.has("eye_left", "eye_right", "head_yaw"):
        return []
    shares = {name: seen.tracks[name].values / seen.centre(name, at_least=1e-6) for name in ("eye_left", "eye_right")}
    is_frontal = abs_within(seen.d("head_yaw"), _FRONTAL_DEG)
    covered = seen.found("body.scratch")
    found = []
    for closed, other in (("eye_left", "eye_right"), ("eye_right", "eye_left")):
        rule = EventRule("face.close_1", closed, "ratio", min_s=0.1, max_s=3.0)
        score = all_of(0.4 / np.maximum(shares[closed], 0.02), shares[other] > 0.75, is_frontal)
        found += events_where(seen, rule, score, side="one", unless=covered)
    return found


def _squint(seen: Seen) -> list[CueEvent]:
    """Squint: both eyes at 0.5 to 0.8 of their usual opening, lower lids up, neither head nor gaze down, for 0.4 s."""
    if not seen.has("eye_left", "eye_right", "lid_left", "lid_right", "head_pitch", "gaze_y"):
        return []
    openness = _openness(seen).values
    lids_up = (seen.z("lid_left") + seen.z("lid_right")) / 2
    is_down = (seen.d("gaze_y") > 0.04) | (seen.d("head_pitch") > 8)
    score = all_of(0.2 / np.maximum(1 - openness, 0.01) < 1, openness > 0.5, lids_up / 2, ~is_down)
    return events_where(seen, EventRule("face.squint", "eye_left", "ratio", min_s=0.4), score, side="both")


def _frown(seen: Seen) -> list[CueEvent]:
    """Frown: inner brows nearer (z below -2.2) and lower (z below -1.2)."""
    if not seen.has("brow_gap", "brow_inner", "head_yaw", "head_pitch"):
        return []
    score = all_of(
        -seen.z("brow_gap") / 2.2,
        -seen.z("brow_inner") / 1.2,
        abs_within(seen.d("head_yaw"), _FRONTAL_DEG),
        abs_within(seen.d("head_pitch"), _LEVEL_DEG),
    )
    # Eyes pressed shut draw the brows together as well.
    return events_where(seen, EventRule("face.frown", "brow_gap", "spans"), score, unless=seen.found("face.close_2"))


def _eyebrow(seen: Seen) -> list[CueEvent]:
    """Eyebrow: one or both raised (z above 2.5) or lowered (z below -2.5); lowering with a frown is the frown."""
    if not seen.has("brow_left", "brow_right", "head_pitch", "head_yaw"):
        return []
    left, right = seen.z("brow_left"), seen.z("brow_right")
    is_straight = abs_within(seen.d("head_pitch"), _LEVEL_DEG) & abs_within(seen.d("head_yaw"), _FRONTAL_DEG)
    rule = EventRule("face.eyebrow", "brow_left", "spans", also=("brow_right",))

    def one_or_both(part: slice) -> Side:
        smaller = of_known(np.median, np.minimum(left[part], right[part]))
        return "both" if smaller > 0.5 * of_known(np.median, np.maximum(left[part], right[part])) else "one"

    raised = events_where(seen, rule, all_of(np.maximum(left, right) / 2.5, is_straight), side=one_or_both)
    lowered = all_of(-np.maximum(left, right) / 2.5, is_straight)
    return raised + events_where(seen, rule, lowered, side="down", unless=seen.found("face.frown", "face.squint"))


def _gaze(seen: Seen) -> list[CueEvent]:
    """Gaze: iris more than 0.09 aside or 0.06 up or down in the eye box while the head stays within 15 degrees."""
    if not seen.has("gaze_x", "gaze_y", "head_yaw", "head_pitch", "eye_left", "eye_right"):
        return []
    x, y = seen.d("gaze_x"), seen.d("gaze_y")
    is_straight = abs_within(seen.d("head_yaw"), 15) & abs_within(seen.d("head_pitch"), 10)
    score = all_of(any_of(np.abs(x) / 0.09, np.abs(y) / 0.06), _openness(seen).values > 0.6, is_straight)

    def direction(part: slice) -> Side:
        aside, up = of_known(np.median, np.abs(x[part])) / 0.09, of_known(np.median, y[part]) / 0.06
        return "side" if aside > abs(up) else "down" if up > 0 else "up"

    before = seen.found("face.eye_roll", *_HEAD_MOVES)
    rule = EventRule("face.gaze", "gaze_x", "eyes", also=("gaze_y",))
    return events_where(seen, rule, score, side=direction, unless=before)


def _eye_roll(seen: Seen) -> list[CueEvent]:
    """Eye roll: iris up (0.06) with a sweep aside of 0.12 and back within 1.2 s."""
    if not seen.has("gaze_x", "gaze_y"):
        return []
    t_s, x, y = seen.t_s("gaze_y"), seen.d("gaze_x"), -seen.d("gaze_y")
    found = []
    for stretch in stretches(t_s, y > 0.06, stays_on=y > 0.03, min_s=0.2, gap_s=0.1):
        part = x[stretch.start : stretch.stop]
        sweep = of_known(np.max, part) - of_known(np.min, part)
        height = min(sweep / 0.12, of_known(np.max, y[stretch.start : stretch.stop]) / 0.06)
        # Twice the thresholds are about all that an iris can do: strong here.
        if height >= 1.8 and stretch.length_s < 1.2:
            found.append(event_at(seen, EventRule("face.eye_roll", "gaze_y", "eyes"), stretch, STRONG))
    return found


def _open_wide(seen: Seen) -> list[CueEvent]:
    """Open: both eyes wider than usual (z above 2.5)."""
    if not seen.has("eye_left", "eye_right", "head_pitch"):
        return []
    both = np.minimum(seen.z("eye_left"), seen.z("eye_right"))
    score = all_of(both / 2.5, abs_within(seen.d("head_pitch"), _LEVEL_DEG))
    return events_where(seen, EventRule("face.open", "eye_left", "ratio"), score, side="both")


def _smile(seen: Seen) -> list[CueEvent]:
    """Smile: corners up (z above 2) and mouth wider (z above 1); in silence also much wider (3) and up a little.

    Up is meant against the nose. In silence it may also be against the middle of the mouth, which shows smiles with the
    mouth open even where nothing is known of the person but these; when speaking, vowels look like that too.
    """
    if not _has_mouth(seen):
        return []
    t_s, width = seen.t_s("mouth_width"), seen.z("mouth_width")
    left, right = seen.z("corner_left"), seen.z("corner_right")
    lift = (left + right) / 2
    score = all_of(
        any_of(
            all_of(lift / 2, width),
            all_of(seen.z("mouth_curve") / 2, width, seen.silent(t_s)),
            all_of(width / 3, lift / 0.5, seen.silent(t_s)),
        ),
        abs_within(seen.d("head_yaw"), _FRONTAL_DEG),
    )

    def one_or_both(part: slice) -> Side:
        return "one" if abs(of_known(np.median, left[part] - right[part])) > 2 else "both"

    return events_where(seen, EventRule("face.smile", "mouth_width", "spans", min_s=0.4), score, side=one_or_both)


def _pout(seen: Seen) -> list[CueEvent]:
    """Pout: in silence and with closed lips, mouth narrow (z below -3) or corners down (z below -3)."""
    if not _has_mouth(seen):
        return []
    lift = (seen.z("corner_left") + seen.z("corner_right")) / 2
    score = all_of(
        any_of(-seen.z("mouth_width"), -lift) / 3,
        seen.z("mouth_opening") < 1.5,
        _is_quiet_mouth(seen),
    )
    rule = EventRule("face.pout", "mouth_width", "spans", also=("corner_left", "corner_right"), min_s=0.4)
    return events_where(seen, rule, score, unless=seen.found("face.smile"))


def _lip_press(seen: Seen) -> list[CueEvent]:
    """Lip press: in silence, lips thin (z below -2.5) and closed; smiles and pouts thin the lips too and go first."""
    if not _has_mouth(seen):
        return []
    score = all_of(-seen.z("lip_thickness") / 2.5, seen.z("mouth_opening") < 1, _is_quiet_mouth(seen))
    before = seen.found("face.smile", "face.pout")
    return events_where(seen, EventRule("face.lip_press", "lip_thickness", "spans", min_s=0.4), score, unless=before)


def _hanging(seen: Seen) -> list[CueEvent]:
    """Hanging: mouth open (z above 3) for 0.6 s without speech; an open smile is a smile."""
    if not _has_mouth(seen):
        return []
    score = all_of(seen.z("mouth_opening") / 3, _is_quiet_mouth(seen))
    rule = EventRule("face.hanging", "mouth_opening", "spans", min_s=0.6)
    return events_where(seen, rule, score, unless=seen.found("face.smile"))


def _mouth(seen: Seen) -> list[CueEvent]:
    """Mouth: another shape in silence, lopsided or thick-lipped (z above 3), that no other row explains."""
    if not _has_mouth(seen):
        return []
    lopsided = np.abs(seen.z("corner_left") - seen.z("corner_right")) / np.sqrt(2)
    score = all_of(any_of(lopsided, seen.z("lip_thickness")) / 3, _is_quiet_mouth(seen))
    rule = EventRule("face.mouth", "lip_thickness", "spans", also=("corner_left", "corner_right"), min_s=0.4)
    rows = ("face.smile", "face.pout", "face.lip_press", "face.hanging")
    return events_where(seen, rule, score, unless=seen.found(*rows))


def _has_mouth(seen: Seen) -> bool:
    names = ("mouth_width", "mouth_opening", "mouth_curve", "corner_left", "corner_right", "lip_thickness")
    return seen.has(*names, "head_yaw")


def _is_quiet_mouth(seen: Seen) -> Bool[np.ndarray, " samples"]:
    is_frontal = abs_within(seen.d("head_yaw"), _FRONTAL_DEG)
    return np.logical_and(seen.silent(seen.t_s("mouth_width")), is_frontal)


# Order matters: a row that another one must give way to comes before it.
_DETECTORS: tuple[Callable[[Seen], list[CueEvent]], ...] = (
    _eyes_closed,
    _blinks,
    _blinks_often,
    _one_eye_closed,
    _squint,
    _frown,
    _eyebrow,
    _eye_roll,
    _gaze,
    _open_wide,
    _smile,
    _pout,
    _lip_press,
    _hanging,
    _mouth,
)
