"""The scenario file as typed records."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from looks import Look
from speech import Voice


@dataclass(frozen=True, slots=True)
class Participant:
    """A made-up person."""

    pid: str
    split: str
    language: str  # en or fr
    voice: Voice
    look: Look
    meta: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Video:
    """One answer: who, to which question, saying what."""

    participant: Participant
    question: int
    video_id: str
    script: str
    certainty: str | None
    seed: tuple[int, int]

    @property
    def name(self) -> str:
        """File name."""
        return self.video_id.rpartition("/")[2]


def _look(values: dict[str, Any]) -> Look:
    return Look(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


def read_scenario(path: Path) -> list[Video]:
    """All videos, in the order of the file."""
    scenario = tomllib.loads(path.read_text(encoding="utf-8"))
    videos: list[Video] = []
    for p in scenario["participant"]:
        person = Participant(p["pid"], p["split"], p["language"], Voice(**p["voice"]), _look(p["look"]), p["meta"])
        for v in p["video"]:
            day, time = v["recorded"].split("_")
            when = f"{scenario['date']}-{day}{v.get('separator', '_')}{time}"
            name = f"{person.pid}_Question_{v['question']}_{when}_Video{v.get('suffix', '')}.mp4"
            videos.append(
                Video(
                    participant=person,
                    question=v["question"],
                    video_id=f"Videos/{person.pid}/Visite_1/{name}",
                    script=v["script"],
                    certainty=v.get("certainty"),
                    seed=(scenario["seed"], len(videos)),
                )
            )
    return videos
