"""How an event comes about: a score over time, stretches where it is high, and what is told about each of them.

``z`` is the distance from the person's usual in robust spreads, ``d`` the same in the unit of the signal. A rule is
written as a score that is 1 where its threshold is just reached; an event starts at 1, goes on while the score stays
above 0.6, and is slight up to 1.5, clear up to 2.5 and strong above: at a threshold of two spreads these are the three
and five spreads of the design research, where all thresholds of face and body are from unless a comment says otherwise.
Rows of grade C are given only where they are strong.

Head angles, places and sizes in the picture depend on where the camera stands: where most of a video is off the
person's usual, the video's own middle takes its place. It also stands in for the resting face of somebody of whom too
little is known; spreads and everything else are then the population's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bah_mllm.core.stretches import Stretch, TimeSpan, overlap_s, stretches, within
from bah_mllm.cues import face
from bah_mllm.cues.baselines import CLAMPS, is_own
from bah_mllm.cues.codes import CODES, CONFIDENCE, Grade
from bah_mllm.cues.records import Baseline, CueEvent, Side, Track, Usual, in_order

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

__all__ = [
    "STRONG",
    "EventRule",
    "Measured",
    "Seen",
    "abs_within",
    "all_of",
    "any_of",
    "event_at",
    "events_where",
    "less_certain",
    "measured_event",
    "of_known",
    "strength_of",
]

STRONG = 2.5
"""Times the threshold from which on an event is strong."""

_STAYS = 0.6  # of the threshold: hysteresis
_CLEAR = 1.5
_GAP_S = 0.2  # events of one rule that are nearer than this are one
_SPEECH_MARGIN_S = 0.15

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


@dataclass(slots=True)
class Seen:
    """One video as the detectors of face and body see it; they run in order and may look at events found before.

    Args:
        tracks: What ``perceive`` gave; signals that are missing or unknown give no events.
        baseline: What is usual for the person.
        speech: Spans with speech in seconds.
        breaths: Spans with an audible breath.
        events: Found so far.
    """

    tracks: Mapping[str, Track]
    baseline: Baseline
    speech: Sequence[TimeSpan] = ()
    breaths: Sequence[TimeSpan] = ()
    events: list[CueEvent] = field(default_factory=list)
    _compared: dict[str, Usual | None] = field(default_factory=dict)
    _off_usual: dict[str, Float[np.ndarray, " samples"]] = field(default_factory=dict)

    def run(self, detectors: Iterable[Callable[[Seen], list[CueEvent]]]) -> list[CueEvent]:
        """Return what detectors find, in order of time; nothing where no face was ever looked for."""
        n_before = len(self.events)
        if "head_yaw" in self.tracks and len(self.tracks["head_yaw"].t_s):
            for detector in detectors:
                self.events.extend(detector(self))
        return in_order(self.events[n_before:])

    def has(self, *names: str) -> bool:
        """Return whether all signals are there, with something usual to compare them with."""
        return all(name in self.tracks and self.usual(name) is not None for name in names)

    def t_s(self, name: str) -> Float[np.ndarray, " samples"]:
        """Return the times of a signal."""
        return self.tracks[name].t_s

    def usual(self, name: str) -> Usual | None:
        """Return what a signal is compared with; None where nothing is known.

        That is what is usual for the person, but the middle of the video where the camera stands elsewhere, and for the
        shape of a face where nothing of the person is known: faces differ by more than they move.
        """
        if name not in self._compared:
            self._compared[name] = self._usual(name)
        return self._compared[name]

    def _usual(self, name: str) -> Usual | None:
        usual = self.baseline.usual.get(name)
        limit = _DEPENDS_ON_CAMERA.get(name)
        is_shape = limit is None and name in _SHAPE and not is_own(self.baseline, name)
        values = self.tracks[name].values if name in self.tracks else np.zeros(0)
        known = values[np.isfinite(values)]
        if not len(known) or (limit is None and (not is_shape or usual is None)):
            return usual
        middle = float(np.percentile(known, face.PERCENTILES.get(name, 50)))
        if usual is None:
            return Usual(middle, CLAMPS[name][1], "population")
        is_elsewhere = limit is not None and abs(middle - usual.centre) > limit
        return replace(usual, centre=middle) if is_shape or is_elsewhere else usual

    def centre(self, name: str, *, at_least: float | None = None) -> float:
        """Return the usual value of a signal that ``has`` knows, no less than a bound that keeps a divisor off 0."""
        usual = self.usual(name)
        assert usual is not None
        return usual.centre if at_least is None else max(usual.centre, at_least)

    def d(self, name: str) -> Float[np.ndarray, " samples"]:
        """Return a signal less what is usual, in its own unit."""
        if name not in self._off_usual:
            self._off_usual[name] = self.tracks[name].values - self.centre(name)
        return self._off_usual[name]

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
        return ~within(t_s, self.speech, _SPEECH_MARGIN_S)

    def found(self, *codes: str) -> list[TimeSpan]:
        """Return the spans of events found before."""
        return [(event.start_s, event.stop_s) for event in self.events if event.code in codes]


@dataclass(frozen=True, slots=True)
class EventRule:
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


class Measured(NamedTuple):
    """What is told of an event in figures.

    Args:
        value: What was measured, in ``unit``; None where unknown.
        unit: Of value and usual.
        usual: The same for this person usually; None where unknown.
        decimals: To which both are written down.
    """

    value: float | None
    unit: str
    usual: float | None = None
    decimals: int = 4


def events_where(
    seen: Seen,
    rule: EventRule,
    score: Float[np.ndarray, " samples"],
    *,
    side: Callable[[slice], Side | None] | Side | None = None,
    unless: Iterable[TimeSpan] = (),
) -> list[CueEvent]:
    """Return the events where a score reaches 1, but for those that overlap spans by more than half of their length.

    Args:
        seen: The video.
        rule: What they are and how long they last.
        score: At the times of the rule's signal, NaN where unknown.
        side: Of the body or direction, or what tells it from the samples of an event.
        unless: Spans in seconds of what explains the score otherwise.
    """
    t_s = seen.t_s(rule.signal)
    score = np.where(np.isfinite(score), score, -np.inf)
    spans = list(unless)
    found = []
    for stretch in stretches(t_s, score >= 1, stays_on=score >= _STAYS, min_s=rule.min_s, gap_s=_GAP_S):
        is_too_long = stretch.length_s > rule.max_s
        if is_too_long or overlap_s(stretch.span, spans) > 0.5 * stretch.length_s:
            continue
        part = slice(stretch.start, stretch.stop)
        event = event_at(seen, rule, stretch, _height(score[part]), side=side(part) if callable(side) else side)
        if CODES[rule.code].grade != "C" or event.strength == 3:
            found.append(event)
    return found


def event_at(seen: Seen, rule: EventRule, stretch: Stretch, height: float, *, side: Side | None = None) -> CueEvent:
    """Return the event of one stretch, with the value of its signal that is furthest off the usual.

    Args:
        seen: The video.
        rule: What it is.
        stretch: When it is.
        height: How high its score rises; 1 is the threshold.
        side: Of the body, or direction.
    """
    name, value = max(
        ((name, _extreme(seen, name, stretch)) for name in (rule.signal, *rule.also)), key=lambda one: _off(seen, *one)
    )
    usual = seen.usual(name)
    return measured_event(
        rule.code,
        stretch.span,
        strength_of(height),
        Measured(value, rule.unit, usual.centre if usual is not None and is_own(seen.baseline, name) else None),
        certainty=_known_around(seen, rule.signal, stretch),
        source=rule.source,
        side=side,
    )


def measured_event(
    code: str,
    span: TimeSpan,
    strength: int,
    measured: Measured,
    *,
    certainty: float = 1.0,
    source: str,
    side: Side | None = None,
) -> CueEvent:
    """Return an event of something measured, in the figures that are written down.

    Args:
        code: Row of the codebook.
        span: Start and end in seconds.
        strength: 1 slight, 2 clear, 3 strong.
        measured: What was measured.
        certainty: How well the input was known, 0 to 1; the grade of the detector is multiplied by it.
        source: What it was seen or heard in.
        side: Of the body, or direction.
    """
    return CueEvent(
        code=code,
        start_s=round(max(0.0, span[0]), 3),
        stop_s=round(span[1], 3),
        strength=strength,
        value=None if measured.value is None else round(float(measured.value), measured.decimals),
        usual=None if measured.usual is None else round(float(measured.usual), measured.decimals),
        unit=measured.unit,
        confidence=round(CONFIDENCE[CODES[code].grade] * certainty, 3),
        source=source,
        side=side,
    )


def strength_of(height: float) -> int:
    """Return the strength of an event whose score rises so high; 1 is the threshold.

    >>> strength_of(1.0), strength_of(1.5), strength_of(2.5)
    (1, 2, 3)
    """
    return 1 if height < _CLEAR else 2 if height < STRONG else 3


def less_certain(event: CueEvent, grade: Grade) -> CueEvent:
    """Return an event with the confidence of a lower grade than its row's, for circumstances that make it doubtful."""
    factor = CONFIDENCE[grade] / CONFIDENCE[CODES[event.code].grade]
    return replace(event, confidence=round(event.confidence * factor, 3))


def _extreme(seen: Seen, name: str, stretch: Stretch) -> float | None:
    """Return the value of a signal that is furthest off the usual in a stretch; None where nothing is known."""
    values = seen.tracks[name].values[stretch.start : stretch.stop]
    known, usual = values[np.isfinite(values)], seen.usual(name)
    centre = usual.centre if usual is not None else 0.0
    return float(known[np.argmax(np.abs(known - centre))]) if len(known) else None


def _off(seen: Seen, name: str, value: float | None) -> float:
    usual = seen.usual(name)
    return -1.0 if value is None or usual is None else abs(value - usual.centre) / usual.spread


def _height(score: Float[np.ndarray, " samples"]) -> float:
    """Return how high a score rises, single samples left out."""
    known = score[np.isfinite(score)]
    return float(np.percentile(known, 90)) if len(known) else 1.0


def _known_around(seen: Seen, name: str, stretch: Stretch) -> float:
    """Return which share of a signal is known from half a second before an event to half a second after it."""
    track = seen.tracks[name]
    start, stop = np.searchsorted(track.t_s, [stretch.start_s - 0.5, stretch.stop_s + 0.5])
    part = track.values[start:stop]
    return float(np.isfinite(part).mean()) if len(part) else 0.0


def of_known(measure: Callable[[np.ndarray], Any], values: np.ndarray) -> float:
    """Return a measure (median, largest ...) of what is known, NaN where nothing is."""
    known = values[np.isfinite(values)]
    return float(measure(known)) if len(known) else float("nan")


def all_of(*conditions: np.ndarray) -> Float[np.ndarray, " samples"]:
    """Return the score of conditions that must all hold: the smallest; booleans are 0 or passed over."""
    scores = [np.where(c, np.inf, 0.0) if c.dtype == bool else c for c in conditions]
    smallest: Float[np.ndarray, " samples"] = np.min(np.stack(scores), axis=0)
    return smallest


def any_of(*scores: np.ndarray) -> Float[np.ndarray, " samples"]:
    """Return the score of conditions of which one is enough: the largest of those known."""
    largest: Float[np.ndarray, " samples"] = np.max(
        np.stack([np.nan_to_num(score, nan=-np.inf) for score in scores]), axis=0
    )
    return largest


def abs_within(values: np.ndarray, limit: float) -> Bool[np.ndarray, " samples"]:
    """Return where values lie nearer to 0 than a limit; false where unknown."""
    inside: Bool[np.ndarray, " samples"] = np.abs(values) < limit
    return inside
