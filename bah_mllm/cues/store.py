"""Cues on disk: one JSONL of events per video, and beside it what was looked at and could not be seen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bah_mllm.core.errors import DataError
from bah_mllm.core.files import write_atomically
from bah_mllm.core.reading import MAX_JSON_BYTES, Refusal, parse_json_as, read_json_as, read_text
from bah_mllm.cues.baselines import POPULATION, usual_figures
from bah_mllm.cues.records import CueEvent, Scope, in_order
from bah_mllm.cues.signals import SignalSettings

__all__ = ["EVENTS_SUFFIX", "Observation", "cue_paths", "digest_cues", "read_cues", "write_cues"]

EVENTS_SUFFIX = ".cues.jsonl"
_ABOUT_SUFFIX = ".cues.json"


class Observation(BaseModel):
    """What was looked at in a video.

    Args:
        video_id: Which.
        participant_id: Whose usual behaviour the events are relative to.
        duration_s: Length of the video in seconds.
        absent: Modality to spans in seconds in which it could not be observed, with the reason as key: face not
            visible, no sound, no words.
        not_looked_for: Modality to the reason why its events were not looked for, though it was there: ``words`` in a
            language without word lists.
        usual: What events were compared with: ``pitch_hz``, ``rate_syl_s``, ``pause_s``, ``blinks_per_min``; unknown
            ones are missing.
        usual_scope: Whose each of these is: the participant's own, or a fixed value of the population. Where a file
            does not say, what equals the population's value is the population's.
        scope: ``participant`` where at least one signal is the person's own.
        problem: Why the video cannot be read; None where it can.
        settings: How its signals were measured.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    video_id: str
    participant_id: str
    duration_s: Annotated[float, Field(ge=0)]
    absent: dict[str, list[tuple[float, float]]] = Field(default_factory=dict)
    not_looked_for: dict[str, str] = Field(default_factory=dict)
    usual: dict[str, float] = Field(default_factory=dict)
    usual_scope: dict[str, Scope] = Field(default_factory=dict)
    scope: Scope = "population"
    problem: str | None = None
    settings: SignalSettings = Field(default_factory=SignalSettings)

    @model_validator(mode="after")
    def _say_whose(self) -> Self:
        """Fill in whose the figures are where a file does not say."""
        fixed = usual_figures(POPULATION)
        for figure, value in self.usual.items():
            self.usual_scope.setdefault(figure, "population" if fixed.get(figure) == value else self.scope)
        return self

    def own(self, figure: str) -> float | None:
        """Return what is usual for this very person; None where it is not known."""
        return self.usual[figure] if self.usual_scope.get(figure) == "participant" else None


class _Event(BaseModel):
    """A line of the file, checked on reading."""

    model_config = ConfigDict(extra="forbid")

    code: str
    start_s: float
    stop_s: float
    strength: int
    value: float | None = None
    usual: float | None = None
    unit: str = ""
    confidence: float
    source: str
    side: Literal["one", "both", "up", "down", "side"] | None = None
    text: str | None = None


def cue_paths(folder: Path, video_id: str) -> tuple[Path, Path]:
    """Return the files of a video below a folder: its events, and what was looked at."""
    base = folder / Path(*[part for part in Path(video_id).parts if part not in ("..", "/")])
    return base.with_name(base.name + EVENTS_SUFFIX), base.with_name(base.name + _ABOUT_SUFFIX)


def digest_cues(folder: Path, video_ids: Iterable[str]) -> str:
    """Return a digest of the cues of some videos: extracted anew, they are others. 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for video_id in video_ids:
        for path in cue_paths(folder, video_id):
            digest.update(path.read_bytes() if path.exists() else b"-")
    return digest.hexdigest()


def write_cues(folder: Path, observation: Observation, events: Sequence[CueEvent]) -> Path:
    """Write the events of a video, sorted by start, and return their file; what was looked at goes first."""
    events_path, about_path = cue_paths(folder, observation.video_id)
    events_path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(about_path, (observation.model_dump_json(indent=1) + "\n").encode())
    lines = (
        json.dumps({key: value for key, value in asdict(event).items() if value is not None})
        for event in in_order(events)
    )
    write_atomically(events_path, "".join(f"{line}\n" for line in lines).encode())
    return events_path


def read_cues(folder: Path, video_id: str) -> tuple[Observation, tuple[CueEvent, ...]] | None:
    """Return what was observed in a video; None where nobody looked.

    Raises:
        DataError: A file is damaged; names the line.
    """
    events_path, about_path = cue_paths(folder, video_id)
    if not events_path.exists() or not about_path.exists():
        return None
    observation = read_json_as(about_path, Observation, _damaged(about_path))
    lines = read_text(events_path, _damaged(events_path), max_bytes=MAX_JSON_BYTES).splitlines()
    events = [
        CueEvent(**parse_json_as(line, _Event, _damaged(events_path, number)).model_dump())
        for number, line in enumerate(lines, start=1)
    ]
    return observation, tuple(events)


def _damaged(path: Path, line: int = 1) -> Refusal:
    return Refusal(DataError, str(path), "Delete the file and run `bah-mllm cues extract` again.", line)
