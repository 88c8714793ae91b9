"""Statements for and against change in a transcript, kept so that a language model reads the same words once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bah_mllm.core.engine import Engine
from bah_mllm.core.errors import DataError
from bah_mllm.core.files import write_atomically
from bah_mllm.core.records import Transcript
from bah_mllm.core.saying import say
from bah_mllm.cues.comb import comb_events, comb_prompt
from bah_mllm.cues.records import CueEvent

__all__ = ["read_statements"]


def read_statements(folder: Path, transcript: Transcript, reader: Engine, *, video_id: str) -> tuple[CueEvent, ...]:
    """Return what a language model finds in a transcript, from what is kept where it read the same words before.

    Args:
        folder: Of the cues; answers are kept below it, and a file that cannot be read is written anew.
        transcript: The words.
        reader: The model.
        video_id: Whose words, for notes and failures.

    Raises:
        ConfigError: The engine does not generate.
    """
    asked = [comb_prompt().digest, reader.name, reader.model, transcript.text, [asdict(w) for w in transcript.words]]
    file = folder / "statements" / f"{hashlib.sha256(json.dumps(asked).encode()).hexdigest()}.json"
    if (kept := _kept(file)) is not None:
        return kept
    result = comb_events(transcript, reader, video_id=video_id)
    if result.problem is not None or result.n_rejected:
        reason = f": {result.problem}" if result.problem is not None else ""
        say(f"note: {video_id}: {result.n_rejected} statements of the model are rejected{reason}")
    _keep(file, result.events)
    return result.events


def _kept(file: Path) -> tuple[CueEvent, ...] | None:
    try:
        return tuple(CueEvent(**event) for event in json.loads(file.read_bytes()))
    except (OSError, ValueError, TypeError, DataError):
        return None


def _keep(file: Path, events: Sequence[CueEvent]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, json.dumps([asdict(event) for event in events]).encode())
