"""All cues of one video: heard, of the body, of the face, said, stated, and those that contradict each other."""

from __future__ import annotations

from collections.abc import Sequence

from bah_mllm.core.records import Transcript
from bah_mllm.cues.body_events import body_events
from bah_mllm.cues.clashes import clash_events
from bah_mllm.cues.face_events import face_events
from bah_mllm.cues.language import language_events
from bah_mllm.cues.records import Baseline, CueEvent, in_order
from bah_mllm.cues.signals import Signals
from bah_mllm.cues.sound_events import sound_events

__all__ = ["find_events"]


def find_events(
    signals: Signals, baseline: Baseline, transcript: Transcript | None, *, stated: Sequence[CueEvent] = ()
) -> list[CueEvent]:
    """Return every event that the detectors find in one video.

    Args:
        signals: Of the video.
        baseline: What is usual for its person.
        transcript: Its words; None where unknown, and then nothing is said about them.
        stated: What a language model found in them.
    """
    words = transcript.words if transcript is not None else ()
    heard = sound_events(signals.tracks, signals.speech, words, baseline) if signals.has_sound else []
    breaths = [event.span for event in heard if event.code == "audio.breath"]
    of_body = body_events(signals.tracks, baseline, breaths=breaths)
    of_face = face_events(signals.tracks, baseline, signals.speech, of_body=of_body)
    said = language_events(transcript) if transcript is not None else []
    events = [*heard, *in_order([*of_body, *of_face]), *said, *stated]
    return [*events, *clash_events(events, words)]
