"""Write the demo set's text files in BAH's own layout and formats."""

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from motion import FPS
from scenario import Video
from speech import Event, Word

SPLITS = ("train", "val", "test")
LABELS = {"No A-H": 0, "With A-H": 1}
LANGUAGES = {"en": "english", "fr": "french"}
# Our codes, as the annotators' sheets write them, by modality.
CUE_SHEET = {"audio": "audio", "body": "body", "face": "facial", "language": "language"}
OPEN_END = 4  # this video's last chunk ends at null, as Whisper leaves it now and then


@dataclass(frozen=True, slots=True)
class Take:
    """What came out of staging one video."""

    video: Video
    n_frames: int
    words: list[Word]
    sentences: list[tuple[str, float, float]]
    segments_s: list[tuple[float, float]]
    events: list[Event]

    @property
    def transcript(self) -> str:
        """Everything said, on one line."""
        return " ".join(word.text for word in self.words)

    @property
    def segments(self) -> list[tuple[int, int]]:
        """A/H segments as first and last frame, both included."""
        return [(round(start * FPS), round(stop * FPS) - 1) for start, stop in self.segments_s]

    @property
    def frame_labels(self) -> list[int]:
        """0 or 1 for each frame."""
        return [int(any(a <= k <= b for a, b in self.segments)) for k in range(self.n_frames)]

    @property
    def label(self) -> int:
        """The video's label: 1 if any frame has it."""
        return max(self.frame_labels)


class _Dumper(yaml.SafeDumper):
    """Writes tuples as !!python/tuple, as BAH's files have them."""


_Dumper.add_representer(
    tuple, lambda dumper, value: dumper.represent_sequence("tag:yaml.org,2002:python/tuple", value, flow_style=True)
)


def _yaml(value: object) -> str:
    return yaml.dump(value, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=10_000)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def _clock(t_s: float) -> str:
    minutes, seconds = divmod(t_s, 60)
    return f"00:{int(minutes):02d}:{seconds:06.3f}"


def write_transcripts(root: Path, takes: Sequence[Take]) -> None:
    """Chunk-level YAML as BAH has it, and our own word times."""
    for number, take in enumerate(takes):
        folder = root / "transcription" / take.video.video_id
        language = take.video.participant.language
        chunks: list[dict[str, Any]] = []
        for k, (text, start_s, stop_s) in enumerate(take.sentences):
            is_open = number == OPEN_END and k == len(take.sentences) - 1
            span = (round(start_s, 2), None if is_open else round(stop_s, 2))
            chunks.append({"language": LANGUAGES[language], "text": f" {text}", "timestamp": span})
        stem = Path(take.video.name).stem
        _write(folder / f"{stem}.yml", _yaml({"text": f" {take.transcript}", "chunks": chunks}))
        words = [{"text": w.text, "start_s": round(w.start_s, 3), "stop_s": round(w.stop_s, 3)} for w in take.words]
        body = ",\n".join("  " + json.dumps(word, ensure_ascii=False) for word in words)
        head = json.dumps({"text": take.transcript, "language": language, "source": "scripted"}, ensure_ascii=False)
        _write(folder / f"{stem}.words.json", f'{head[:-1]}, "words": [\n{body}\n]}}\n')


def write_splits(root: Path, takes: Sequence[Take]) -> None:
    """split/, split-frames/ and bah-video.csv."""
    for split in SPLITS:
        own = [take for take in takes if take.video.participant.split == split]
        videos = [f"{t.video.video_id},{t.label},{t.transcript}\n" for t in own]
        frames = [f"{t.video.video_id}/frame-{k}.jpg,{y}\n" for t in own for k, y in enumerate(t.frame_labels)]
        _write(root / "split" / f"{split}.txt", "".join(videos))
        _write(root / "split-frames" / f"{split}.txt", "".join(frames))
    _write(root / "split" / "class_id.yaml", _yaml(LABELS))
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["video-path", "label", "question"])
    writer.writerows([take.video.video_id, take.label, take.video.question] for take in takes)
    _write(root / "bah-video.csv", table.getvalue())


def _cues(take: Take, start_s: float, stop_s: float) -> dict[str, list[str] | None]:
    """What an annotator would have ticked for a segment: the planted events that overlap it, blinks left out."""
    cues: dict[str, list[str] | None] = dict.fromkeys(CUE_SHEET.values())
    for event in take.events:
        modality, _, name = event.code.partition(".")
        if event.code == "face.blink" or event.stop_s <= start_s or event.start_s >= stop_s:
            continue
        ticked = cues[CUE_SHEET[modality]] or []
        row = name.replace("_", " ").capitalize()
        cues[CUE_SHEET[modality]] = ticked if row in ticked else [*ticked, row]
    return {**cues, "inconsistencies": None}


def write_annotations(root: Path, takes: Sequence[Take]) -> None:
    """video_annotation_transcript.yaml; frame by frame, one line each."""
    parts = []
    for number, take in enumerate(takes):
        head = {
            "global_ah": take.label,
            "time_detailed_ah": [(_clock(a / FPS), _clock((b + 1) / FPS)) for a, b in take.segments],
            "fr_detailed_ah": list(take.segments),
            "certainty_ah": [take.video.certainty for _ in take.segments],
            "all_cues": [_cues(take, start_s, stop_s) for start_s, stop_s in take.segments_s],
            "annotator_id": number % 3 + 1,
            "transcript": take.transcript,
        }
        # Written by hand to stay at one short line a frame.
        frames = [f"  - [{take.video.video_id}/frame-{k}.jpg, {y}]\n" for k, y in enumerate(take.frame_labels)]
        body = "".join(f"  {line}\n" for line in _yaml(head).splitlines())
        parts.append(f"{take.video.video_id}:\n{body}  frame_annotation:\n{''.join(frames)}")
    _write(root / "video_annotation_transcript.yaml", "".join(parts))


def write_metadata(root: Path, takes: Sequence[Take]) -> None:
    """meta_data.yml, the marker file and the planted events."""
    _write(root / "meta_data.yml", _yaml({t.video.participant.pid: t.video.participant.meta for t in takes}))
    marker = 'name = "bah-mllm demo set (synthetic)"\nedition = "demo"\nsynthetic = true\nversion = 1\n'
    _write(root / "bah-demo.toml", marker)
    lines = []
    for take in takes:
        for event in sorted(take.events, key=lambda e: (e.start_s, e.code)):
            row: dict[str, Any] = {"video_id": take.video.video_id, "code": event.code}
            row |= {"start_s": round(event.start_s, 3), "stop_s": round(event.stop_s, 3)}
            row |= {"side": event.side} if event.side else {}
            row |= {"note": event.note} if event.note else {}
            lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    _write(root / "events.jsonl", "".join(lines))
