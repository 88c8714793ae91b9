"""Reports on a data set: what is there, what is broken, what can be done with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bah_mllm.core.clock import FrameClock
from bah_mllm.core.errors import MediaError
from bah_mllm.core.json_output import check_json_path, write_json
from bah_mllm.core.timeline import Window
from bah_mllm.dataset import DataReport, Dataset, DataStats, check_dataset, demo_root, open_dataset, stats_dataset
from bah_mllm.media import ClipSpec, DecodeReport, probe, read_clips
from bah_mllm.report.console import plain_console

__all__ = ["print_check", "print_stats"]


@dataclass(frozen=True, slots=True)
class _Decoded:
    """What a video file turned out to hold."""

    n_frames: int
    clock: FrameClock | None
    duration_s: float | None


def _decode(path: Path) -> _Decoded:
    """Read a video through; raises MediaError where it is broken, wholly or in part."""
    info = probe(path)
    report = DecodeReport()
    # A window on the last frame makes the reader go to the end; only that frame is converted.
    for _ in read_clips(path, lambda n: [Window(n - 1, n)], ClipSpec(n_frames=1, size_px=8), info=info, report=report):
        pass
    if report.n_corrupt:
        raise MediaError(
            f"{path.name} is damaged or cut off: {report.n_frames or 0:,} frames decode, {report.n_corrupt:,} do not.",
            remedy="Copy the file again; what decodes is used until then.",
        )
    return _Decoded(report.n_frames or info.n_frames, info.clock, info.duration_s)


def _open(root: str | None) -> Dataset:
    return open_dataset(root if root is not None else demo_root())


def print_check(root: str | None, *, decode: bool, json_path: str | None) -> bool:
    """Print, or write as JSON, what ``check_dataset`` finds; return whether it found problems."""
    check_json_path(json_path)
    report = check_dataset(_open(root), probe_video=_decode if decode else None)
    if json_path is not None:
        write_json(report.as_dict(), json_path)
    else:
        _print_check(report)
    return bool(report.problems)


def print_stats(root: str | None, *, json_path: str | None) -> None:
    """Print, or write as JSON, counts and prevalences."""
    stats = stats_dataset(_open(root))
    if json_path is not None:
        write_json(stats.as_dict(), json_path)
    else:
        _print_stats(stats)


def _print_check(report: DataReport) -> None:
    from rich.markup import escape
    from rich.table import Table

    console = plain_console()
    synthetic = ", synthetic" if report.is_synthetic else ""
    edition = escape(report.edition or "unknown")
    console.print(f"[bold]{escape(report.name)}[/] ({report.kind}, edition {edition}{synthetic})")
    console.print(f"fingerprint {report.fingerprint[:16]}")
    table = Table("part", "there")
    for part, is_there in report.parts.items():
        table.add_row(part, "yes" if is_there else "-")
    console.print(table)
    counts = ("participants", "participants_ah", "videos", "videos_ah", "frames", "frames_ah")
    title = "splits" + (f" (in brackets: published for {report.compared_with})" if report.compared_with else "")
    table = Table("split", *counts, title=title, title_justify="left")
    for split in report.splits:
        cells = []
        for name in counts:
            found = getattr(split.found, name)
            text = "-" if found is None else f"{found:,}"
            if name in split.differences and split.published is not None:
                text += f" ({getattr(split.published, name):,})"
            cells.append(text)
        table.add_row(escape(split.split), *cells)
    console.print(table)
    console.print(
        f"{report.n_videos:,} videos: {report.n_without_file:,} without file, {report.n_without_transcript:,} without "
        f"words, {report.n_without_label:,} without label; {report.n_participants:,} participants, of whom "
        f"{report.n_may_publish:,} agreed to publication and {report.n_may_challenge:,} to challenges"
    )
    for task in report.tasks:
        mark = "[green]possible[/]    " if task.is_possible else "[yellow]not possible[/]"
        console.print(f"{mark} {task.name}: {task.reason}")
    for note in report.notes:
        console.print(f"note: {note}", markup=False)
    if report.left_out:
        kinds = ", ".join(f"{n:,} {suffix}" for suffix, n in report.left_out.items())
        console.print(f"files that look like media and are left out: {kinds}", markup=False)
    for problem in report.problems:
        console.print(f"[red]problem[/] {escape(problem.where)}: {escape(problem.what)}", soft_wrap=True)
    read = f"{report.n_probed:,} video files read" if report.n_probed else "video files not read (--decode reads them)"
    console.print(f"{len(report.problems):,} problems; {read}")


def _print_stats(stats: DataStats) -> None:
    from rich.markup import escape
    from rich.table import Table

    console = plain_console()
    synthetic = ", synthetic" if stats.is_synthetic else ""
    console.print(f"[bold]{escape(stats.name)}[/] (edition {escape(stats.edition or 'unknown')}{synthetic})")
    questions = sorted({question.question for question in stats.questions if question.question is not None})
    table = Table("split", "videos", "A/H", "share", *(f"Q{number}" for number in questions))
    for split, size in stats.splits.items():
        shares = {question.question: question.prior for question in stats.questions if question.split == split}
        prevalence = stats.prevalence.get(split)
        table.add_row(
            escape(split),
            f"{size.videos:,}",
            f"{size.videos_ah:,}",
            "-" if prevalence is None else f"{prevalence:.3f}",
            *("-" if (share := shares.get(number)) is None else f"{share:.2f}" for number in questions),
        )
    console.print(table)
    if stats.words is not None:
        fewest, median, most = stats.words
        console.print(f"words of a transcript: {fewest:.0f} to {most:.0f}, median {median:.0f}")
    people = ", ".join(f"{n} with {videos}" for videos, n in sorted(stats.videos_per_participant.items()))
    console.print(f"participants by number of videos: {people}")
