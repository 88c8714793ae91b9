"""Cues of face and body as events, found in a person's signals against what is usual for that person.

One function a row of the codebook, in the order of its tables. ``z`` is the distance from the person's usual in
robust spreads, ``d`` the same in the unit of the signal. A rule is written as a score that is 1 where its threshold is
just reached; an event starts at 1, goes on while the score stays above 0.6, and is slight up to 1.5, clear up to 2.5
and strong above: at a threshold of two spreads these are the three and five spreads of the design research, where all
thresholds below are from unless a comment says otherwise. Rows of grade C are given only where they are strong.

Head angles, places and sizes in the picture depend on where the camera stands: where most of a video is off the
person's usual, the video's own middle takes its place. It also stands in for the resting face of somebody of whom too
little is known; spreads and everything else are then the population's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bah_mllm.cues import body, face
from bah_mllm.cues.codes import CODES, CONFIDENCE, Grade
from bah_mllm.cues.face import Run, runs
from bah_mllm.cues.records import Baseline, CueEvent, Side, Track, Usual

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

__all__ = ["visual_events"]

Span = tuple[float, float]

_STAYS = 0.6  # of the threshold: hysteresis
_CLEAR, _STRONG = 1.5, 2.5  # times the threshold
_GAP_S = 0.2  # events of one rule that are nearer than this are one
_SPEECH_MARGIN_S = 0.15
_FRONTAL_DEG = 20.0  # beyond that yaw the mouth and a single eye cannot be measured
_LEVEL_DEG = 12.0  # beyond that pitch the brows cannot

_DEPENDS_ON_CAMERA = {  # signal -> how far the middle of a video may be off the person's usual
    "head_yaw": 10.0,
    "head_pitch": 8.0,
    "head_roll": 6.0,
    "face_size": 0.01,
    "shoulder_x": 0.03,
    "shoulder_y": 0.03,
    "shoulder_width": 0.03,
    "shoulder_roll": 4.0,
    "neck": 0.05,
}


_SHAPE = frozenset(  # signals of which the resting value belongs to the shape of a face
    [
        "eye_left",
        "eye_right",
        "lid_left",
        "lid_right",
        "gaze_x",
        "gaze_y",
        "brow_left",
        "brow_right",
        "brow_gap",
        "brow_inner",
        "mouth_width",
        "mouth_opening",
        "mouth_curve",
        "corner_left",
        "corner_right",
        "lip_thickness",
    ]
)


def visual_events(
    tracks: Mapping[str, Track],
    baseline: Baseline,
    speech: Sequence[Span],
    *,
    breaths: Sequence[Span] = (),
) -> list[CueEvent]:
    """Return the cues of face and body in one video, in order of time.

    Args:
        tracks: What ``perceive`` gave; signals that are missing or unknown give no events.
        baseline: What is usual for the person.
        speech: Spans with speech in seconds: the mouth is judged outside of them only, smiles excepted.
        breaths: Spans with an audible breath; sighs need one.
    """
    if "head_yaw" not in tracks or not len(tracks["head_yaw"].t_s):
        return []
    seen = _Seen(tracks, baseline, speech, breaths)
    for detector in _DETECTORS:
        seen.events.extend(detector(seen))
    return sorted(seen.events, key=lambda event: (event.start_s, event.stop_s, event.code))


@dataclass(slots=True)
class _Seen:
    """One video as the detectors see it. Detectors run in order and may look at the events found before."""

    tracks: Mapping[str, Track]
    baseline: Baseline
    speech: Sequence[Span]
    breaths: Sequence[Span]
    events: list[CueEvent] = field(default_factory=list)
    compared: dict[str, Usual | None] = field(default_factory=dict)
    off_usual: dict[str, Float[np.ndarray, " samples"]] = field(default_factory=dict)

    def has(self, *names: str) -> bool:
        """Return whether all signals are there, with something usual to compare them with."""
        return all(name in self.tracks and self.usual(name) is not None for name in names)

    def t_s(self, name: str) -> Float[np.ndarray, " samples"]:
        return self.tracks[name].t_s

    def usual(self, name: str) -> Usual | None:
        """Return what a signal is compared with; None where nothing is known.

        That is what is usual for the person, but the middle of the video where the camera stands elsewhere, and for the
        shape of a face where nothing of the person is known: faces differ by more than they move.
        """
        if name not in self.compared:
            self.compared[name] = self._usual(name)
        return self.compared[name]

    def _usual(self, name: str) -> Usual | None:
        usual = self.baseline.usual.get(name)
        limit = _DEPENDS_ON_CAMERA.get(name)
        is_shape = limit is None and name in _SHAPE and not self.is_own(name)
        values = self.tracks[name].values if name in self.tracks else np.zeros(0)
        known = values[np.isfinite(values)]
        if not len(known) or (limit is None and (not is_shape or usual is None)):
            return usual
        middle = float(np.percentile(known, face.PERCENTILES.get(name, 50)))
        if usual is None:
            return Usual(middle, (face.CLAMPS | body.CLAMPS)[name][1])
        is_elsewhere = limit is not None and abs(middle - usual.centre) > limit
        return Usual(middle, usual.spread) if is_shape or is_elsewhere else usual

    def d(self, name: str) -> Float[np.ndarray, " samples"]:
        """Return a signal less what is usual, in its own unit."""
        if name not in self.off_usual:
            usual = self.usual(name)
            assert usual is not None
            self.off_usual[name] = self.tracks[name].values - usual.centre
        return self.off_usual[name]

    def z(self, name: str) -> Float[np.ndarray, " samples"]:
        """Return a signal less what is usual, in usual spreads."""
        usual = self.usual(name)
        assert usual is not None
        return self.d(name) / usual.spread

    def at(self, name: str, t_s: Float[np.ndarray, " samples"]) -> Float[np.ndarray, " samples"]:
        """Return ``d`` of a signal at other times: its nearest sample."""
        times, values = self.tracks[name].t_s, self.d(name)
        after = np.clip(np.searchsorted(times, t_s), 1, max(len(times) - 1, 1))
        if len(times) < 2:
            return np.full(len(t_s), values[0] if len(values) else np.nan)
        nearest = np.where(t_s - times[after - 1] <= times[after] - t_s, after - 1, after)
        return np.asarray(values[nearest])

    def silent(self, t_s: Float[np.ndarray, " samples"]) -> Bool[np.ndarray, " samples"]:
        """Return where nobody speaks, with a margin around speech."""
        return ~_within(t_s, self.speech, _SPEECH_MARGIN_S)

    def found(self, *codes: str) -> list[Span]:
        """Return the spans of events found before."""
        return [(event.start_s, event.stop_s) for event in self.events if event.code in codes]

    def is_own(self, name: str) -> bool:
        """Return whether what is usual for a signal was found on this very person, and not on the population."""
        population = face.POPULATION.get(name) or body.POPULATION.get(name)
        usual = self.baseline.usual.get(name)
        return self.baseline.scope == "participant" and usual is not None and usual != population


# --- from scores to events


@dataclass(frozen=True, slots=True)
class _Rule:
    """How the events of one rule are made from its score.

    Args:
        code: Row of the codebook.
        signal: The one that is reported as value and usual.
        unit: Of that signal.
        source: The model it is from.
        also: Others in the same unit; the one that is furthest off the usual is reported.
        min_s: Shorter events are dropped.
        max_s: Longer ones too.
    """

    code: str
    signal: str
    unit: str
    source: str = "facemesh"
    also: tuple[str, ...] = ()
    min_s: float = 0.3
    max_s: float = float("inf")


def _events(
    seen: _Seen,
    rule: _Rule,
    score: Float[np.ndarray, " samples"],
    *,
    side: Callable[[slice], Side | None] | Side | None = None,
    unless: Iterable[Span] = (),
) -> list[CueEvent]:
    """Return the events where a score reaches 1, but for those that overlap spans by half of their length."""
    t_s = seen.t_s(rule.signal)
    score = np.where(np.isfinite(score), score, -np.inf)
    spans = list(unless)
    found = []
    for run in runs(t_s, score >= 1, stays_on=score >= _STAYS, min_s=rule.min_s, gap_s=_GAP_S):
        is_too_long = run.stop_s - run.start_s > rule.max_s
        if is_too_long or _overlap_s((run.start_s, run.stop_s), spans) > 0.5 * (run.stop_s - run.start_s):
            continue
        part = slice(run.start, run.stop)
        event = _event(seen, rule, run, _height(score[part]), side=side(part) if callable(side) else side)
        if CODES[rule.code].grade != "C" or event.strength == 3:
            found.append(event)
    return found


def _event(seen: _Seen, rule: _Rule, run: Run, height: float, *, side: Side | None = None) -> CueEvent:
    name, value = max(
        ((name, _extreme(seen, name, run)) for name in (rule.signal, *rule.also)), key=lambda one: _off(seen, *one)
    )
    usual = seen.usual(name)
    centre = usual.centre if usual is not None else 0.0
    return CueEvent(
        code=rule.code,
        start_s=round(run.start_s, 3),
        stop_s=round(run.stop_s, 3),
        strength=1 if height < _CLEAR else 2 if height < _STRONG else 3,
        value=None if value is None else round(value, 4),
        usual=round(centre, 4) if seen.is_own(name) else None,
        unit=rule.unit,
        confidence=round(CONFIDENCE[CODES[rule.code].grade] * _known_around(seen, rule.signal, run), 3),
        source=rule.source,
        side=side,
    )


def _extreme(seen: _Seen, name: str, run: Run) -> float | None:
    """Return the value of a signal that is furthest off the usual in a stretch; None where nothing is known."""
    values = seen.tracks[name].values[run.start : run.stop]
    known, usual = values[np.isfinite(values)], seen.usual(name)
    centre = usual.centre if usual is not None else 0.0
    return float(known[np.argmax(np.abs(known - centre))]) if len(known) else None


def _off(seen: _Seen, name: str, value: float | None) -> float:
    usual = seen.usual(name)
    return -1.0 if value is None or usual is None else abs(value - usual.centre) / usual.spread


def _height(score: Float[np.ndarray, " samples"]) -> float:
    """Return how high a score rises, single samples left out."""
    known = score[np.isfinite(score)]
    return float(np.percentile(known, 90)) if len(known) else 1.0


def _known_around(seen: _Seen, name: str, run: Run) -> float:
    """Return which share of a signal is known from half a second before an event to half a second after it."""
    track = seen.tracks[name]
    start, stop = np.searchsorted(track.t_s, [run.start_s - 0.5, run.stop_s + 0.5])
    part = track.values[start:stop]
    return float(np.isfinite(part).mean()) if len(part) else 0.0


def _overlap_s(span: Span, others: Iterable[Span]) -> float:
    return sum(max(0.0, min(span[1], stop) - max(span[0], start)) for start, stop in others)


def _within(
    t_s: Float[np.ndarray, " samples"], spans: Iterable[Span], margin_s: float = 0.0
) -> Bool[np.ndarray, " samples"]:
    inside = np.zeros(len(t_s), dtype=bool)
    for start_s, stop_s in spans:
        inside[np.searchsorted(t_s, start_s - margin_s) : np.searchsorted(t_s, stop_s + margin_s)] = True
    return inside


def _of_known(measure: Callable[[np.ndarray], Any], values: np.ndarray) -> float:
    """Return a measure (median, largest ...) of what is known, NaN where nothing is."""
    known = values[np.isfinite(values)]
    return float(measure(known)) if len(known) else float("nan")


def _all(*conditions: np.ndarray) -> Float[np.ndarray, " samples"]:
    """Return the score of conditions that must all hold: the smallest; booleans are 0 or passed over."""
    scores = [np.where(c, np.inf, 0.0) if c.dtype == bool else c for c in conditions]
    smallest: Float[np.ndarray, " samples"] = np.min(np.stack(scores), axis=0)
    return smallest


def _any(*scores: np.ndarray) -> Float[np.ndarray, " samples"]:
    largest: Float[np.ndarray, " samples"] = np.max(
        np.stack([np.nan_to_num(score, nan=-np.inf) for score in scores]), axis=0
    )
    return largest


def _abs_within(values: np.ndarray, limit: float) -> Bool[np.ndarray, " samples"]:
    within: Bool[np.ndarray, " samples"] = np.abs(values) < limit
    return within


# --- Table 9: face


def _openness(seen: _Seen) -> Track:
    usual = {name: seen.usual(name) for name in ("eye_left", "eye_right")}
    return face.eye_openness(seen.tracks, {name: value for name, value in usual.items() if value is not None})


def _blinks(seen: _Seen) -> list[CueEvent]:
    """Blinks: both eyes dip below 0.35 of their usual opening, for less than 0.4 s; not the flutter of closed ones."""
    if not seen.has("eye_left", "eye_right"):
        return []
    rule, closed = _Rule("face.blink", "eye_left", "ratio"), seen.found("face.close_2")
    dips = [dip for dip in face.blinks(_openness(seen)) if not _overlap_s((dip.start_s, dip.stop_s), closed)]
    return [_event(seen, rule, dip, 1.0) for dip in dips]


def _eyes_closed(seen: _Seen) -> list[CueEvent]:
    """Close 2: both eyes below 0.45 of their usual opening for 0.4 s and more.

    Looking down lowers the lids to 0.4 to 0.6 of it. With head or gaze down, closed means below 0.25.
    """
    if not seen.has("eye_left", "eye_right", "head_pitch"):
        return []
    openness = _openness(seen).values
    is_down = ~_abs_within(np.maximum(seen.d("head_pitch"), 0), 10)
    score = np.where(is_down, 0.25, 0.45) / np.maximum(openness, 0.02)
    rule = _Rule("face.close_2", "eye_left", "ratio", min_s=0.4)
    found = _events(seen, rule, np.minimum(score, 2.0), side="both")  # shut is shut: clear at most, whatever is left
    t_s = seen.t_s("eye_left")
    return [
        _less_certain(event, "B") if is_down[_within(t_s, [(event.start_s, event.stop_s)])].mean() > 0.5 else event
        for event in found
    ]


def _blinks_often(seen: _Seen) -> list[CueEvent]:
    """Close 2, the other half of the row: more blinks in 10 s than this person's rate explains (Poisson z above 2)."""
    if not seen.has("blink_rate") or not seen.tracks["blink_rate"].share_known:
        return []
    usual = seen.usual("blink_rate")
    assert usual is not None
    n_usual = max(usual.centre / 6, 1.0)
    # Square roots of counts spread alike whatever the rate (Anscombe 1948); a plain z takes 3 for 1 as unusual.
    score = np.sqrt(np.maximum(seen.tracks["blink_rate"].values, 0) / 6 + 0.375) - np.sqrt(n_usual + 0.375)
    return _events(seen, _Rule("face.close_2", "blink_rate", "/min", min_s=2.0), score)


def _one_eye_closed(seen: _Seen) -> list[CueEvent]:
    """Close 1: one eye below 0.4, the other above 0.75 of its usual opening, for 0.1 s.

    Frontal faces only, and none with a hand at the face, which covers an eye.
    """
    if not seen.has("eye_left", "eye_right", "head_yaw"):
        return []
    shares = {}
    for name in ("eye_left", "eye_right"):
        usual = seen.usual(name)
        assert usual is not None
        shares[name] = seen.tracks[name].values / max(usual.centre, 1e-6)
    is_frontal = _abs_within(seen.d("head_yaw"), _FRONTAL_DEG)
    covered = seen.found("body.scratch")
    found = []
    for closed, other in (("eye_left", "eye_right"), ("eye_right", "eye_left")):
        rule = _Rule("face.close_1", closed, "ratio", min_s=0.1, max_s=3.0)
        score = _all(0.4 / np.maximum(shares[closed], 0.02), shares[other] > 0.75, is_frontal)
        found += _events(seen, rule, score, side="one", unless=covered)
    return found


def _squint(seen: _Seen) -> list[CueEvent]:
    """Squint: both eyes at 0.5 to 0.8 of their usual opening, lower lids up, neither head nor gaze down, for 0.4 s."""
    if not seen.has("eye_left", "eye_right", "lid_left", "lid_right", "head_pitch", "gaze_y"):
        return []
    openness = _openness(seen).values
    lids_up = (seen.z("lid_left") + seen.z("lid_right")) / 2
    is_down = (seen.d("gaze_y") > 0.04) | (seen.d("head_pitch") > 8)
    score = _all(0.2 / np.maximum(1 - openness, 0.01) < 1, openness > 0.5, lids_up / 2, ~is_down)
    return _events(seen, _Rule("face.squint", "eye_left", "ratio", min_s=0.4), score, side="both")


def _frown(seen: _Seen) -> list[CueEvent]:
    """Frown: inner brows nearer (z below -2.2) and lower (z below -1.2)."""
    if not seen.has("brow_gap", "brow_inner", "head_yaw", "head_pitch"):
        return []
    score = _all(
        -seen.z("brow_gap") / 2.2,
        -seen.z("brow_inner") / 1.2,
        _abs_within(seen.d("head_yaw"), _FRONTAL_DEG),
        _abs_within(seen.d("head_pitch"), _LEVEL_DEG),
    )
    # Eyes pressed shut draw the brows together as well.
    return _events(seen, _Rule("face.frown", "brow_gap", "spans"), score, unless=seen.found("face.close_2"))


def _eyebrow(seen: _Seen) -> list[CueEvent]:
    """Eyebrow: one or both raised (z above 2.5) or lowered (z below -2.5); lowering with a frown is the frown."""
    if not seen.has("brow_left", "brow_right", "head_pitch", "head_yaw"):
        return []
    left, right = seen.z("brow_left"), seen.z("brow_right")
    is_straight = _abs_within(seen.d("head_pitch"), _LEVEL_DEG) & _abs_within(seen.d("head_yaw"), _FRONTAL_DEG)
    rule = _Rule("face.eyebrow", "brow_left", "spans", also=("brow_right",))

    def one_or_both(part: slice) -> Side:
        smaller = _of_known(np.median, np.minimum(left[part], right[part]))
        return "both" if smaller > 0.5 * _of_known(np.median, np.maximum(left[part], right[part])) else "one"

    raised = _events(seen, rule, _all(np.maximum(left, right) / 2.5, is_straight), side=one_or_both)
    lowered = _all(-np.maximum(left, right) / 2.5, is_straight)
    return raised + _events(seen, rule, lowered, side="down", unless=seen.found("face.frown", "face.squint"))


def _gaze(seen: _Seen) -> list[CueEvent]:
    """Gaze: iris more than 0.09 aside or 0.06 up or down in the eye box while the head stays within 15 degrees."""
    if not seen.has("gaze_x", "gaze_y", "head_yaw", "head_pitch", "eye_left", "eye_right"):
        return []
    x, y = seen.d("gaze_x"), seen.d("gaze_y")
    is_straight = _abs_within(seen.d("head_yaw"), 15) & _abs_within(seen.d("head_pitch"), 10)
    score = _all(_any(np.abs(x) / 0.09, np.abs(y) / 0.06), _openness(seen).values > 0.6, is_straight)

    def direction(part: slice) -> Side:
        aside, up = _of_known(np.median, np.abs(x[part])) / 0.09, _of_known(np.median, y[part]) / 0.06
        return "side" if aside > abs(up) else "down" if up > 0 else "up"

    before = seen.found("face.eye_roll", *_HEAD_MOVES)
    return _events(seen, _Rule("face.gaze", "gaze_x", "eyes", also=("gaze_y",)), score, side=direction, unless=before)


def _eye_roll(seen: _Seen) -> list[CueEvent]:
    """Eye roll: iris up (0.06) with a sweep aside of 0.12 and back within 1.2 s."""
    if not seen.has("gaze_x", "gaze_y"):
        return []
    t_s, x, y = seen.t_s("gaze_y"), seen.d("gaze_x"), -seen.d("gaze_y")
    found = []
    for run in runs(t_s, y > 0.06, stays_on=y > 0.03, min_s=0.2, gap_s=0.1):
        part = x[run.start : run.stop]
        sweep = _of_known(np.max, part) - _of_known(np.min, part)
        height = min(sweep / 0.12, _of_known(np.max, y[run.start : run.stop]) / 0.06)
        # Twice the thresholds are about all that an iris can do: strong here.
        if height >= 1.8 and run.stop_s - run.start_s < 1.2:
            found.append(_event(seen, _Rule("face.eye_roll", "gaze_y", "eyes"), run, _STRONG))
    return found


def _open_wide(seen: _Seen) -> list[CueEvent]:
    """Open: both eyes wider than usual (z above 2.5)."""
    if not seen.has("eye_left", "eye_right", "head_pitch"):
        return []
    both = np.minimum(seen.z("eye_left"), seen.z("eye_right"))
    score = _all(both / 2.5, _abs_within(seen.d("head_pitch"), _LEVEL_DEG))
    return _events(seen, _Rule("face.open", "eye_left", "ratio"), score, side="both")


def _smile(seen: _Seen) -> list[CueEvent]:
    """Smile: corners up (z above 2) and mouth wider (z above 1); in silence also much wider (3) and up a little.

    Up is meant against the nose. In silence it may also be against the middle of the mouth, which shows smiles with the
    mouth open even where nothing is known of the person but these; when speaking, vowels look like that too.
    """
    if not _has_mouth(seen):
        return []
    t_s, width = seen.t_s("mouth_width"), seen.z("mouth_width")
    left, right = seen.z("corner_left"), seen.z("corner_right")
    lift = (left + right) / 2
    score = _all(
        _any(
            _all(lift / 2, width),
            _all(seen.z("mouth_curve") / 2, width, seen.silent(t_s)),
            _all(width / 3, lift / 0.5, seen.silent(t_s)),
        ),
        _abs_within(seen.d("head_yaw"), _FRONTAL_DEG),
    )

    def one_or_both(part: slice) -> Side:
        return "one" if abs(_of_known(np.median, left[part] - right[part])) > 2 else "both"

    return _events(seen, _Rule("face.smile", "mouth_width", "spans", min_s=0.4), score, side=one_or_both)


def _pout(seen: _Seen) -> list[CueEvent]:
    """Pout: in silence and with closed lips, mouth narrow (z below -3) or corners down (z below -3)."""
    if not _has_mouth(seen):
        return []
    lift = (seen.z("corner_left") + seen.z("corner_right")) / 2
    score = _all(
        _any(-seen.z("mouth_width"), -lift) / 3,
        seen.z("mouth_opening") < 1.5,
        _is_quiet_mouth(seen),
    )
    rule = _Rule("face.pout", "mouth_width", "spans", also=("corner_left", "corner_right"), min_s=0.4)
    return _events(seen, rule, score, unless=seen.found("face.smile"))


def _lip_press(seen: _Seen) -> list[CueEvent]:
    """Lip press: in silence, lips thin (z below -2.5) and closed; smiles and pouts thin the lips too and go first."""
    if not _has_mouth(seen):
        return []
    score = _all(-seen.z("lip_thickness") / 2.5, seen.z("mouth_opening") < 1, _is_quiet_mouth(seen))
    before = seen.found("face.smile", "face.pout")
    return _events(seen, _Rule("face.lip_press", "lip_thickness", "spans", min_s=0.4), score, unless=before)


def _hanging(seen: _Seen) -> list[CueEvent]:
    """Hanging: mouth open (z above 3) for 0.6 s without speech; an open smile is a smile."""
    if not _has_mouth(seen):
        return []
    score = _all(seen.z("mouth_opening") / 3, _is_quiet_mouth(seen))
    rule = _Rule("face.hanging", "mouth_opening", "spans", min_s=0.6)
    return _events(seen, rule, score, unless=seen.found("face.smile"))


def _mouth(seen: _Seen) -> list[CueEvent]:
    """Mouth: another shape in silence, lopsided or thick-lipped (z above 3), that no other row explains."""
    if not _has_mouth(seen):
        return []
    lopsided = np.abs(seen.z("corner_left") - seen.z("corner_right")) / np.sqrt(2)
    score = _all(_any(lopsided, seen.z("lip_thickness")) / 3, _is_quiet_mouth(seen))
    rule = _Rule("face.mouth", "lip_thickness", "spans", also=("corner_left", "corner_right"), min_s=0.4)
    rows = ("face.smile", "face.pout", "face.lip_press", "face.hanging")
    return _events(seen, rule, score, unless=seen.found(*rows))


def _has_mouth(seen: _Seen) -> bool:
    names = ("mouth_width", "mouth_opening", "mouth_curve", "corner_left", "corner_right", "lip_thickness")
    return seen.has(*names, "head_yaw")


def _is_quiet_mouth(seen: _Seen) -> Bool[np.ndarray, " samples"]:
    is_frontal = _abs_within(seen.d("head_yaw"), _FRONTAL_DEG)
    return np.logical_and(seen.silent(seen.t_s("mouth_width")), is_frontal)


# --- Table 12: head and body

_HEAD_MOVES = ("body.shake", "body.nod", "body.look_away", "body.throw")
_MIN_SWING_DEG = {"head_yaw": 3.0, "head_pitch": 2.5}
_OWN_SWINGS = 2.2  # times the person's own oscillation
_MAX_HALF_PERIOD_S = 0.6  # between alternate peaks


def _swings(seen: _Seen) -> list[CueEvent]:
    """Shake and nod: three alternate peaks of yaw or pitch, 0.6 s apart at most, beyond the person's own swaying."""
    found = []
    for code, name, other in (("body.shake", "head_yaw", "head_pitch"), ("body.nod", "head_pitch", "head_yaw")):
        if not seen.has(f"{name}_band", f"{other}_band"):
            continue
        values, rival = seen.tracks[f"{name}_band"].values, seen.tracks[f"{other}_band"].values
        usual = seen.usual(f"{name}_band")
        assert usual is not None
        gate = max(_MIN_SWING_DEG[name], _OWN_SWINGS * usual.spread)
        rule = _Rule(code, f"{name}_band", "deg")
        for run in _alternations(seen.t_s(name), values, gate):
            part = slice(run.start, run.stop)
            amplitude = _of_known(np.std, values[part])
            if amplitude > _of_known(np.std, rival[part]):  # turning the head also moves the other angle a little
                found.append(_event(seen, rule, run, amplitude * np.sqrt(2) / gate))
    return found


def _alternations(t_s: Float[np.ndarray, " samples"], values: Float[np.ndarray, " samples"], gate: float) -> list[Run]:
    """Return the stretches in which a signal goes beyond +gate and -gate in turn, three peaks at least."""
    lobes = sorted(
        [(run, 1) for run in runs(t_s, values > gate)] + [(run, -1) for run in runs(t_s, values < -gate)],
        key=lambda lobe: lobe[0].start,
    )
    chains: list[list[tuple[Run, int, int]]] = []
    for run, sign in lobes:
        peak = run.start + int(np.argmax(sign * values[run.start : run.stop]))
        last = chains[-1][-1] if chains else None
        if last is not None and last[1] == -sign and t_s[peak] - t_s[last[2]] <= _MAX_HALF_PERIOD_S:
            chains[-1].append((run, sign, peak))
        else:
            chains.append([(run, sign, peak)])
    return [
        Run(chain[0][0].start, chain[-1][0].stop, chain[0][0].start_s, chain[-1][0].stop_s)
        for chain in chains
        if len(chain) >= 3
    ]


def _look_away(seen: _Seen) -> list[CueEvent]:
    """Look away: head more than 12 degrees aside or 10 up or down for 0.3 s; the turns of a shake or nod are not."""
    if not seen.has("head_yaw", "head_pitch"):
        return []
    yaw, pitch = seen.d("head_yaw"), seen.d("head_pitch")
    score = _any(np.abs(yaw) / 12, np.abs(pitch) / 10)

    def direction(part: slice) -> Side:
        aside, down = _of_known(np.median, np.abs(yaw[part])) / 12, _of_known(np.median, pitch[part]) / 10
        return "side" if aside > abs(down) else "down" if down > 0 else "up"

    swinging = seen.found("body.shake", "body.nod")
    is_aside = np.nan_to_num(np.abs(yaw) / 12) >= np.nan_to_num(np.abs(pitch) / 10)
    found = []
    for name, part in (("head_yaw", is_aside), ("head_pitch", ~is_aside)):
        rule = _Rule("body.look_away", name, "deg")
        found += _events(seen, rule, np.where(part, score, 0.0), side=direction, unless=swinging)
    return found


def _tilt(seen: _Seen) -> list[CueEvent]:
    """Tilt: head more than 8 degrees to one shoulder for 0.7 s; to the other one, it is another tilt."""
    if not seen.has("head_roll"):
        return []
    rule, roll = _Rule("body.tilt", "head_roll", "deg", min_s=0.7), seen.d("head_roll")
    return [event for score in (roll / 8, -roll / 8) for event in _events(seen, rule, score, side="side")]


def _throw(seen: _Seen) -> list[CueEvent]:
    """Throw: the head turns by more than 120 degrees a second for 0.06 s, into a new pose."""
    names = ("head_yaw", "head_pitch", "head_roll")
    if not seen.has(*names) or len(seen.t_s("head_yaw")) < 5:
        return []
    t_s = seen.t_s("head_yaw")
    angles = np.stack([seen.d(name) for name in names], axis=1)
    speed = np.full(len(t_s), np.nan)
    speed[1:] = np.linalg.norm(np.diff(angles, axis=0), axis=1) / np.maximum(np.diff(t_s), 1e-3)
    fast = runs(t_s, speed > 120, min_s=0.06)
    found = []
    for run in fast:
        before, after = _mean_pose(t_s, angles, run.start_s - 0.4), _mean_pose(t_s, angles, run.stop_s)
        turn_deg = float(np.linalg.norm(after - before))
        height = _of_known(np.max, speed[run.start : run.stop]) / 120
        if turn_deg > 20 and height >= 1.8:  # 216 degrees a second: strong, a quick look aside stays below
            found.append(_event(seen, _Rule("body.throw", "head_yaw", "deg"), run, _STRONG))
    return found


def _mean_pose(
    t_s: Float[np.ndarray, " samples"], angles: Float[np.ndarray, "samples 3"], start_s: float
) -> Float[np.ndarray, " 3"]:
    part = angles[(t_s >= start_s) & (t_s <= start_s + 0.4)]
    part = part[np.isfinite(part).all(axis=1)]
    return part.mean(axis=0) if len(part) else np.full(3, np.nan)


def _sigh(seen: _Seen) -> list[CueEvent]:
    """Sigh: shoulders rise and fall within 1 to 4 s around an audible breath."""
    if not seen.breaths or not seen.has("shoulder_y", "shoulder_width"):
        return []
    usual_width = seen.usual("shoulder_width")
    assert usual_width is not None
    # 0.05 widths are about 2 cm; half of that is what a person's shoulders do in usual breathing.
    score = -seen.d("shoulder_y") / usual_width.centre / 0.05 * _STRONG
    rule = _Rule("body.sigh", "shoulder_y", "heights", source="pose", min_s=0.6, max_s=4.0)
    return [event for event in _events(seen, rule, score) if _overlap_s((event.start_s, event.stop_s), seen.breaths)]


def _shrug(seen: _Seen) -> list[CueEvent]:
    """Shrug: ears over shoulders 12 % lower for 0.2 to 2 s, head upright and shoulder width steady (no lean)."""
    if not seen.has("neck", "shoulder_width", "head_pitch", "head_roll"):
        return []
    usual, width = seen.usual("neck"), seen.usual("shoulder_width")
    assert usual is not None
    assert width is not None
    t_s = seen.t_s("neck")
    score = _all(
        -seen.d("neck") / max(usual.centre, 1e-3) / 0.12,
        _abs_within(seen.d("shoulder_width") / max(width.centre, 1e-3), 0.08),
        _abs_within(seen.at("head_pitch", t_s), _LEVEL_DEG),
    )
    return _events(seen, _Rule("body.shrug", "neck", "widths", source="pose", min_s=0.4, max_s=2.4), score)


def _hands(seen: _Seen) -> list[CueEvent]:
    """Hands: faster than this person's hands usually are (z above 2.5), for 0.4 s."""
    if not seen.has("hand_speed"):
        return []
    rule = _Rule("body.hands", "hand_speed", "spans/s", source="hands", min_s=0.4)
    return _events(seen, rule, seen.z("hand_speed") / 2.5, unless=seen.found("body.scratch"))


def _posture(seen: _Seen) -> list[CueEvent]:
    """Posture: shoulders shifted by 0.12 widths or sloping by 6 degrees, or the face 8 % nearer or farther; 0.4 s."""
    found = []
    if seen.has("shoulder_x", "shoulder_y", "shoulder_width", "shoulder_roll"):
        width = seen.usual("shoulder_width")
        assert width is not None
        shift = np.hypot(seen.d("shoulder_x"), seen.d("shoulder_y")) / max(width.centre, 1e-3)
        score = _any(shift / 0.12, np.abs(seen.d("shoulder_roll")) / 6)
        rule = _Rule("body.posture", "shoulder_x", "heights", source="pose", also=("shoulder_y",), min_s=0.4)
        found += _events(seen, rule, score, unless=seen.found("body.shrug"))
    if seen.has("face_size"):
        usual = seen.usual("face_size")
        assert usual is not None
        score = np.abs(seen.d("face_size")) / max(usual.centre, 1e-3) / 0.08
        covered = [(event.start_s, event.stop_s) for event in found]
        unless = covered + seen.found("body.look_away", "body.shake", "body.nod")
        found += _events(seen, _Rule("body.posture", "face_size", "heights", min_s=0.4), score, unless=unless)
    return found


def _scratch(seen: _Seen) -> list[CueEvent]:
    """Scratch: a hand within 1.2 spans of the nose for 0.2 s; resting there is less certain than moving."""
    if "hand_face" not in seen.tracks or not seen.has("hand_speed"):
        return []
    score = 1.2 / np.maximum(seen.tracks["hand_face"].values, 0.2)
    rule = _Rule("body.scratch", "hand_face", "spans", source="hands", min_s=0.4)
    found = []
    for event in _events(seen, rule, score):
        during = _within(seen.t_s("hand_speed"), [(event.start_s, event.stop_s)])
        speeds = seen.tracks["hand_speed"].values[during]
        is_moving = bool(np.isfinite(speeds).any()) and _of_known(np.median, speeds) > 0.5
        found.append(event if is_moving else _less_certain(event, "C"))
    return found


def _less_certain(event: CueEvent, grade: Grade) -> CueEvent:
    """Return an event with the confidence of a lower grade than its row's, for circumstances that make it doubtful."""
    factor = CONFIDENCE[grade] / CONFIDENCE[CODES[event.code].grade]
    return replace(event, confidence=round(event.confidence * factor, 3))


_RESTLESS_S, _RESTLESS_STEP_S = 3.0, 0.5


def _restless(seen: _Seen) -> list[CueEvent]:
    """Restless: shoulders that keep moving faster than usual (z above 2, here 5) over 3 s, as in rocking or swaying."""
    if not seen.has("shoulder_speed"):
        return []
    t_s, z = seen.t_s("shoulder_speed"), seen.z("shoulder_speed")
    score = np.full(len(t_s), np.nan)
    for k, middle_s in enumerate(t_s):
        start, stop = np.searchsorted(t_s, [middle_s - _RESTLESS_S / 2, middle_s + _RESTLESS_S / 2])
        part = z[start:stop]
        if np.isfinite(part).mean() > 0.8 and t_s[stop - 1] - t_s[start] > 0.8 * _RESTLESS_S:
            score[k] = _of_known(np.median, part) / 2
    return _events(seen, _Rule("body.restless", "shoulder_speed", "widths/s", source="pose", min_s=1.0), score)


# Order matters: a row that another one must give way to comes before it.
_DETECTORS: tuple[Callable[[_Seen], list[CueEvent]], ...] = (
    _swings,
    _look_away,
    _tilt,
    _throw,
    _scratch,
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
    _hands,
    _shrug,
    _posture,
    _restless,
    _sigh,
)
