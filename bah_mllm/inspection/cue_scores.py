"""How well cues are found: against true events, what annotators named in segments, or a disfluency corpus."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from bah_mllm.core.clock import FrameClock
from bah_mllm.core.errors import ConfigError, DataError, MediaError
from bah_mllm.core.json_output import check_json_path, write_json
from bah_mllm.core.reading import MAX_JSON_BYTES, Refusal, parse_json_as, read_text
from bah_mllm.core.records import Video
from bah_mllm.core.timeline import Segment
from bah_mllm.cues.agreement import Agreement, AnnotatedSegment, agreement, named_cues
from bah_mllm.cues.records import CueEvent
from bah_mllm.cues.scoring import EventScore, WordScores, score_events, score_words
from bah_mllm.cues.store import read_cues
from bah_mllm.dataset import Dataset, demo_root, open_dataset
from bah_mllm.media import probe
from bah_mllm.report.console import plain_console

__all__ = ["SegmentScores", "print_scores", "score_folder", "score_segments"]


class _TrueEvent(BaseModel):
    """A line of a file of true events; what else it says is left aside."""

    model_config = ConfigDict(allow_inf_nan=False)

    video_id: str
    code: str
    start_s: float
    stop_s: float


def print_scores(
    folder: Path | None,
    *,
    words: Path | None,
    truth: Path | None,
    data: str | None,
    split: str | None,
    tolerance_s: float,
    json_path: str | None,
) -> None:
    """Print how well cues were found, or write it as JSON (``-`` for stdout).

    Args:
        folder: What ``cues extract`` wrote.
        words: A disfluency corpus to judge the language rules on instead.
        truth: JSONL of true events; the demo set's where neither it nor ``data`` is given.
        data: A data set whose annotators named cues in segments; ``demo`` is the demo set.
        split: Only this split of it.
        tolerance_s: How far an event may lie off.
        json_path: Where JSON goes.

    Raises:
        ConfigError: Neither a folder of cues nor a corpus is given, or two kinds of truth.
        DataError: A file is malformed.
    """
    check_json_path(json_path)
    if sum(given is not None for given in (words, truth, data)) > 1:
        raise ConfigError("Cues are judged against one truth at a time.", remedy="Give --words, --truth or --data.")
    if words is not None:
        scores: WordScores | SegmentScores | dict[str, EventScore] = score_words(words)
    elif folder is None:
        raise ConfigError("There is nothing to score.", remedy="Name a folder of cues, or a corpus with --words.")
    elif data is not None:
        root = demo_root() if data == "demo" else Path(data)
        scores = score_segments(folder, open_dataset(root), split=split, tolerance_s=tolerance_s)
    else:
        scores = score_folder(folder, truth or demo_root() / "events.jsonl", tolerance_s=tolerance_s)
    if json_path is not None:
        write_json(_plain(scores), json_path)
    elif isinstance(scores, SegmentScores):
        _print_table({code: asdict(row) for code, row in scores.codes.items()})
        _print_table({modality: asdict(row) for modality, row in scores.modalities.items()})
        _print_counts(scores)
    else:
        _print_table(_plain(scores))


def _plain(scores: WordScores | SegmentScores | Mapping[str, EventScore]) -> dict[str, Any]:
    if isinstance(scores, Mapping):
        return {code: asdict(score) for code, score in scores.items()}
    return asdict(scores)


def _print_table(rows: Mapping[str, Any]) -> None:
    from rich.table import Table

    table = Table("what", *dict.fromkeys(key for row in rows.values() if isinstance(row, dict) for key in row))
    heads = [str(column.header) for column in table.columns][1:]
    for name, row in rows.items():
        if isinstance(row, dict):
            table.add_row(name, *(_cell(row.get(head)) for head in heads))
    plain_console(has_markup=False).print(table)


def _print_counts(scores: SegmentScores) -> None:
    unknown = ", ".join(f"{n:,} under {sheet}" for sheet, n in scores.n_unknown_entries.items()) or "none"
    plain_console(has_markup=False).print(
        f"{scores.n_segments:,} segments with cues in {scores.n_videos:,} videos; left out: "
        f"{scores.n_segments_without_cues:,} segments without, "
        f"{scores.n_segments_without_times:,} without times, "
        f"{scores.n_videos_not_extracted:,} videos that nobody looked at. "
        f"Entries that name no row of the codebook: {unknown}."
    )


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def score_folder(folder: Path, truth: Path, *, tolerance_s: float) -> dict[str, EventScore]:
    """Return recall, precision and false events per minute of each code, over the videos that were looked at.

    Raises:
        DataError: A line of the truth is malformed; names it.
    """
    refusal = Refusal(DataError, str(truth), "Write one JSON object a line: video_id, code, start_s, stop_s.")
    lines = read_text(truth, refusal, max_bytes=MAX_JSON_BYTES).splitlines()
    true_events: dict[str, list[_TrueEvent]] = defaultdict(list)
    for number, line in enumerate(lines, start=1):
        event = parse_json_as(line, _TrueEvent, refusal._replace(first_line=number))
        true_events[event.video_id].append(event)
    found: list[CueEvent] = []
    wanted: list[tuple[str, float, float]] = []
    offset_s = seconds = 0.0
    for video_id, events in sorted(true_events.items()):
        known = read_cues(folder, video_id)
        if known is None:
            continue
        observation, seen = known
        # Videos one behind the other, far enough apart that no event is taken for another video's.
        found += [replace(e, start_s=e.start_s + offset_s, stop_s=e.stop_s + offset_s) for e in seen]
        wanted += [(e.code, e.start_s + offset_s, e.stop_s + offset_s) for e in events]
        offset_s += observation.duration_s + 2 * tolerance_s + 1.0
        seconds += observation.duration_s
    if not seconds:
        raise DataError(f"{folder} holds no cues of the videos in {truth}.", remedy="Extract them first.")
    return score_events(found, wanted, tolerance_s=tolerance_s, minutes=seconds / 60)


@dataclass(frozen=True, slots=True)
class SegmentScores:
    """How cues found agree with those that annotators named in segments, and what was left out.

    Args:
        codes: By code, those that either side names.
        modalities: By modality of these.
        n_videos: Videos that were looked at and have segments.
        n_videos_not_extracted: Videos with segments that nobody looked at.
        n_segments: Segments compared.
        n_segments_without_cues: Segments left out because nothing is named in them.
        n_segments_without_times: Segments left out because nobody knows when they are.
        n_unknown_entries: Sheet to how many of its entries name no row of the codebook.
    """

    codes: dict[str, Agreement]
    modalities: dict[str, Agreement]
    n_videos: int
    n_videos_not_extracted: int
    n_segments: int
    n_segments_without_cues: int
    n_segments_without_times: int
    n_unknown_entries: dict[str, int]


@dataclass(slots=True)
class _Compared:
    """What is collected over the videos of a data set."""

    segments: list[AnnotatedSegment] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)
    n_videos: int = 0
    n_without_cues: int = 0
    n_without_times: int = 0
    n_not_extracted: int = 0


def score_segments(folder: Path, dataset: Dataset, *, split: str | None, tolerance_s: float) -> SegmentScores:
    """Return how cues found agree with those that annotators named in segments.

    Args:
        folder: What ``cues extract`` wrote.
        dataset: With annotated segments.
        split: Only this split.
        tolerance_s: How far outside of a segment an event may lie that counts for it.

    Returns:
        Scores without the segments in which nothing is named: BAH has many, which does not say that nothing was to be
        seen.

    Raises:
        DataError: No segment with cues lies in a video that was looked at.
    """
    compared = _Compared()
    for video in dataset.videos(split):
        _compare(compared, folder, dataset, video, tolerance_s)
    if not compared.segments:
        raise DataError(
            f"No segment of {dataset.name} with annotated cues lies in a video whose cues are in {folder}.",
            remedy="Run `bah-mllm cues extract` on a data set whose annotations hold `all_cues`.",
        )
    rows = agreement(compared.segments)
    return SegmentScores(
        codes={name: row for name, row in rows.items() if "." in name},
        modalities={name: row for name, row in rows.items() if "." not in name},
        n_videos=compared.n_videos,
        n_videos_not_extracted=compared.n_not_extracted,
        n_segments=len(compared.segments),
        n_segments_without_cues=compared.n_without_cues,
        n_segments_without_times=compared.n_without_times,
        n_unknown_entries=dict(compared.unknown),
    )


def _compare(compared: _Compared, folder: Path, dataset: Dataset, video: Video, tolerance_s: float) -> None:
    segments = dataset.segments(video)
    if not segments:
        return
    known = read_cues(folder, video.video_id)
    if known is None:
        compared.n_not_extracted += 1
        return
    compared.n_videos += 1
    for segment, span in zip(segments, _spans(segments, video), strict=True):
        named = named_cues(segment.cues)
        compared.unknown.update(named.n_unknown)
        if not named.codes:
            compared.n_without_cues += 1
        elif span is None:
            compared.n_without_times += 1
        else:
            start_s, stop_s = span
            within = tuple(e for e in known[1] if e.start_s < stop_s + tolerance_s and e.stop_s > start_s - tolerance_s)
            compared.segments.append(AnnotatedSegment(named.codes, within, stop_s - start_s))


def _spans(segments: tuple[Segment, ...], video: Video) -> Iterator[tuple[float, float] | None]:
    """Yield start and end of each segment in seconds; None where only frames are known and no rate, or no length."""
    clock: FrameClock | None = None
    if any(segment.start_s is None for segment in segments) and video.path is not None:
        try:
            clock = probe(video.path).clock
        except MediaError:
            clock = None
    for segment in segments:
        start_s, stop_s = segment.start_s, segment.stop_s
        if start_s is None and clock is not None and segment.start_frame is not None and segment.stop_frame is not None:
            start_s, stop_s = clock.time_of(segment.start_frame), clock.time_of(segment.stop_frame)
        yield (start_s, stop_s) if start_s is not None and stop_s is not None and start_s < stop_s else None
