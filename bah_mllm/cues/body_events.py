"""Cues of head, shoulders and hands as events: one function a row (paper, Table 12), written with ``rules``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bah_mllm.core.stretches import Stretch, TimeSpan, overlap_s, stretches, within
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
    from jaxtyping import Float

__all__ = ["body_events"]

_LEVEL_DEG = 12.0  # beyond that pitch ears over shoulders say nothing about the shoulders


def body_events(tracks: Mapping[str, Track], baseline: Baseline, *, breaths: Sequence[TimeSpan] = ()) -> list[CueEvent]:
    """Return the cues of head, shoulders and hands in one video, in order of time.

    Args:
        tracks: What ``perceive`` gave; signals that are missing or unknown give no events.
        baseline: What is usual for the person.
        breaths: Spans with an audible breath in seconds; sighs need one.
    """
    return Seen(tracks, baseline, breaths=breaths).run(_DETECTORS)


_MIN_SWING_DEG = {"head_yaw": 3.0, "head_pitch": 2.5}
_OWN_SWINGS = 2.2  # times the person's own oscillation
_MAX_HALF_PERIOD_S = 0.6  # between alternate peaks


def _swings(seen: Seen) -> list[CueEvent]:
    """Shake and nod: three alternate peaks of yaw or pitch, 0.6 s apart at most, beyond the person's own swaying."""
    found = []
    for code, name, other in (("body.shake", "head_yaw", "head_pitch"), ("body.nod", "head_pitch", "head_yaw")):
        if not seen.has(f"{name}_band", f"{other}_band"):
            continue
        values, rival = seen.tracks[f"{name}_band"].values, seen.tracks[f"{other}_band"].values
        usual = seen.usual(f"{name}_band")
        assert usual is not None
        gate = max(_MIN_SWING_DEG[name], _OWN_SWINGS * usual.spread)
        rule = EventRule(code, f"{name}_band", "deg")
        for stretch in _alternations(seen.t_s(name), values, gate):
            part = slice(stretch.start, stretch.stop)
            amplitude = of_known(np.std, values[part])
            if amplitude > of_known(np.std, rival[part]):  # turning the head also moves the other angle a little
                found.append(event_at(seen, rule, stretch, amplitude * np.sqrt(2) / gate))
    return found


def _alternations(
    t_s: Float[np.ndarray, " samples"], values: Float[np.ndarray, " samples"], gate: float
) -> list[Stretch]:
    """Return the stretches in which a signal goes beyond +gate and -gate in turn, three peaks at least."""
    lobes = sorted(
        [(stretch, sign) for sign in (1, -1) for stretch in stretches(t_s, sign * values > gate)],
        key=lambda lobe: lobe[0].start,
    )
    chains: list[list[tuple[Stretch, int, int]]] = []
    for stretch, sign in lobes:
        peak = stretch.start + int(np.argmax(sign * values[stretch.start : stretch.stop]))
        last = chains[-1][-1] if chains else None
        if last is not None and last[1] == -sign and t_s[peak] - t_s[last[2]] <= _MAX_HALF_PERIOD_S:
            chains[-1].append((stretch, sign, peak))
        else:
            chains.append([(stretch, sign, peak)])
    return [
        Stretch(chain[0][0].start, chain[-1][0].stop, chain[0][0].start_s, chain[-1][0].stop_s)
        for chain in chains
        if len(chain) >= 3
    ]


def _look_away(seen: Seen) -> list[CueEvent]:
    """Look away: head more than 12 degrees aside or 10 up or down for 0.3 s; the turns of a shake or nod are not."""
    if not seen.has("head_yaw", "head_pitch"):
        return []
    yaw, pitch = seen.d("head_yaw"), seen.d("head_pitch")
    score = any_of(np.abs(yaw) / 12, np.abs(pitch) / 10)

    def direction(part: slice) -> Side:
        aside, down = of_known(np.median, np.abs(yaw[part])) / 12, of_known(np.median, pitch[part]) / 10
        return "side" if aside > abs(down) else "down" if down > 0 else "up"

    swinging = seen.found("body.shake", "body.nod")
    is_aside = np.nan_to_num(np.abs(yaw) / 12) >= np.nan_to_num(np.abs(pitch) / 10)
    found = []
    for name, part in (("head_yaw", is_aside), ("head_pitch", ~is_aside)):
        rule = EventRule("body.look_away", name, "deg")
        found += events_where(seen, rule, np.where(part, score, 0.0), side=direction, unless=swinging)
    return found


def _tilt(seen: Seen) -> list[CueEvent]:
    """Tilt: head more than 8 degrees to one shoulder for 0.7 s; to the other one, it is another tilt."""
    if not seen.has("head_roll"):
        return []
    rule, roll = EventRule("body.tilt", "head_roll", "deg", min_s=0.7), seen.d("head_roll")
    return [event for score in (roll / 8, -roll / 8) for event in events_where(seen, rule, score, side="side")]


def _throw(seen: Seen) -> list[CueEvent]:
    """Throw: the head turns by more than 120 degrees a second for 0.06 s, into a new pose."""
    names = ("head_yaw", "head_pitch", "head_roll")
    if not seen.has(*names) or len(seen.t_s("head_yaw")) < 5:
        return []
    t_s = seen.t_s("head_yaw")
    angles = np.stack([seen.d(name) for name in names], axis=1)
    speed = np.full(len(t_s), np.nan)
    speed[1:] = np.linalg.norm(np.diff(angles, axis=0), axis=1) / np.maximum(np.diff(t_s), 1e-3)
    fast = stretches(t_s, speed > 120, min_s=0.06)
    found = []
    for stretch in fast:
        before, after = _mean_pose(t_s, angles, stretch.start_s - 0.4), _mean_pose(t_s, angles, stretch.stop_s)
        turn_deg = float(np.linalg.norm(after - before))
        height = of_known(np.max, speed[stretch.start : stretch.stop]) / 120
        if turn_deg > 20 and height >= 1.8:  # 216 degrees a second: strong, a quick look aside stays below
            found.append(event_at(seen, EventRule("body.throw", "head_yaw", "deg"), stretch, STRONG))
    return found


def _mean_pose(
    t_s: Float[np.ndarray, " samples"], angles: Float[np.ndarray, "samples 3"], start_s: float
) -> Float[np.ndarray, " 3"]:
    part = angles[(t_s >= start_s) & (t_s <= start_s + 0.4)]
    part = part[np.isfinite(part).all(axis=1)]
    return part.mean(axis=0) if len(part) else np.full(3, np.nan)


def _sigh(seen: Seen) -> list[CueEvent]:
    """Sigh: shoulders rise and fall within 1 to 4 s around an audible breath."""
    if not seen.breaths or not seen.has("shoulder_y", "shoulder_width"):
        return []
    # 0.05 widths are about 2 cm; half of that is what a person's shoulders do in usual breathing.
    score = -seen.d("shoulder_y") / seen.centre("shoulder_width") / 0.05 * STRONG
    rule = EventRule("body.sigh", "shoulder_y", "heights", source="pose", min_s=0.6, max_s=4.0)
    return [event for event in events_where(seen, rule, score) if overlap_s(event.span, seen.breaths)]


def _shrug(seen: Seen) -> list[CueEvent]:
    """Shrug: ears over shoulders 12 % lower for 0.2 to 2 s, head upright and shoulder width steady (no lean)."""
    if not seen.has("neck", "shoulder_width", "head_pitch", "head_roll"):
        return []
    t_s = seen.t_s("neck")
    score = all_of(
        -seen.d("neck") / seen.centre("neck", at_least=1e-3) / 0.12,
        abs_within(seen.d("shoulder_width") / seen.centre("shoulder_width", at_least=1e-3), 0.08),
        abs_within(seen.at("head_pitch", t_s), _LEVEL_DEG),
    )
    return events_where(seen, EventRule("body.shrug", "neck", "widths", source="pose", min_s=0.4, max_s=2.4), score)


def _hands(seen: Seen) -> list[CueEvent]:
    """Hands: faster than this person's hands usually are (z above 2.5), for 0.4 s."""
    if not seen.has("hand_speed"):
        return []
    rule = EventRule("body.hands", "hand_speed", "spans/s", source="hands", min_s=0.4)
    return events_where(seen, rule, seen.z("hand_speed") / 2.5, unless=seen.found("body.scratch"))


def _posture(seen: Seen) -> list[CueEvent]:
    """Posture: shoulders shifted by 0.12 widths or sloping by 6 degrees, or the face 8 % nearer or farther; 0.4 s."""
    found = []
    if seen.has("shoulder_x", "shoulder_y", "shoulder_width", "shoulder_roll"):
        width = seen.centre("shoulder_width", at_least=1e-3)
        shift = np.hypot(seen.d("shoulder_x"), seen.d("shoulder_y")) / width
        score = any_of(shift / 0.12, np.abs(seen.d("shoulder_roll")) / 6)
        rule = EventRule("body.posture", "shoulder_x", "heights", source="pose", also=("shoulder_y",), min_s=0.4)
        found += events_where(seen, rule, score, unless=seen.found("body.shrug"))
    if seen.has("face_size"):
        score = np.abs(seen.d("face_size")) / seen.centre("face_size", at_least=1e-3) / 0.08
        covered = [event.span for event in found]
        unless = covered + seen.found("body.look_away", "body.shake", "body.nod")
        found += events_where(seen, EventRule("body.posture", "face_size", "heights", min_s=0.4), score, unless=unless)
    return found


def _scratch(seen: Seen) -> list[CueEvent]:
    """Scratch: a hand within 1.2 spans of the nose for 0.2 s; resting there is less certain than moving."""
    if "hand_face" not in seen.tracks or not seen.has("hand_speed"):
        return []
    score = 1.2 / np.maximum(seen.tracks["hand_face"].values, 0.2)
    rule = EventRule("body.scratch", "hand_face", "spans", source="hands", min_s=0.4)
    found = []
    for event in events_where(seen, rule, score):
        during = within(seen.t_s("hand_speed"), [event.span])
        speeds = seen.tracks["hand_speed"].values[during]
        is_moving = bool(np.isfinite(speeds).any()) and of_known(np.median, speeds) > 0.5
        found.append(event if is_moving else less_certain(event, "C"))
    return found


_RESTLESS_S = 3.0


def _restless(seen: Seen) -> list[CueEvent]:
    """Restless: shoulders that keep moving faster than usual (z above 2, here 5) over 3 s, as in rocking or swaying."""
    if not seen.has("shoulder_speed"):
        return []
    t_s, z = seen.t_s("shoulder_speed"), seen.z("shoulder_speed")
    score = np.full(len(t_s), np.nan)
    for k, middle_s in enumerate(t_s):
        start, stop = np.searchsorted(t_s, [middle_s - _RESTLESS_S / 2, middle_s + _RESTLESS_S / 2])
        part = z[start:stop]
        if np.isfinite(part).mean() > 0.8 and t_s[stop - 1] - t_s[start] > 0.8 * _RESTLESS_S:
            score[k] = of_known(np.median, part) / 2
    return events_where(seen, EventRule("body.restless", "shoulder_speed", "widths/s", source="pose", min_s=1.0), score)


# Order matters: a row that another one must give way to comes before it.
_DETECTORS: tuple[Callable[[Seen], list[CueEvent]], ...] = (
    _swings,
    _look_away,
    _tilt,
    _throw,
    _scratch,
    _hands,
    _shrug,
    _posture,
    _restless,
    _sigh,
)
