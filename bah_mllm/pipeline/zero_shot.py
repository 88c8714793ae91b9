"""The main flow: from a data set to prediction rows on disk.

Read ``run`` from top to bottom. Which windows there are: ``planning``; what is asked about them: ``asking``, under a
control ``lending``; when: ``tasks``. What the model answers: ``bah_mllm.engines``; what becomes of the answer:
``bah_mllm.scoring``; where rows go: ``bah_mllm.predictions``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from bah_mllm.core.engine import Engine, EngineFacts
from bah_mllm.core.errors import BahError, ConfigError, EngineError
from bah_mllm.core.files import refuse_difference
from bah_mllm.core.notes import STAND_IN_MODEL
from bah_mllm.core.records import Answer, Status, WindowJob
from bah_mllm.core.saying import say
from bah_mllm.engines import load_engine, seeing_engines
from bah_mllm.media import prefetch
from bah_mllm.pipeline.asking import WindowTask
from bah_mllm.pipeline.config import RunConfig
from bah_mllm.pipeline.planning import plan_run
from bah_mllm.pipeline.setup import Setup, cues_folder, prepare
from bah_mllm.pipeline.tasks import WindowTasks
from bah_mllm.predictions import DataSeen, Manifest, PredictionRow, RunStore, check_resumable, read_manifest
from bah_mllm.predictions.manifest import MANIFEST_NAME
from bah_mllm.report.progress import Progress, Stopwatch
from bah_mllm.scoring import PARSERS, read_answer

__all__ = ["RunSummary", "check_abilities", "run"]

_TASKS_AHEAD = 4  # decoded while the model works; a clip of 8 frames of 224 pixels takes 1.2 MB
_HOPELESS_AFTER_ROWS = 40  # failures of the engine in a row, from the start on: the set-up is wrong, not the windows
_MANIFEST_EVERY_S = 5.0
_SAME_MODEL = ("checkpoint", "revision", "dtype", "quantize")


@dataclass(frozen=True, slots=True)
class RunSummary:
    """How a run ended.

    Args:
        folder: The run folder.
        n_rows: Rows by status.
        n_reused: Rows that an earlier start had made.
    """

    folder: Path
    n_rows: dict[str, int]
    n_reused: int

    @property
    def n_failed(self) -> int:
        """Rows whose status is a failure."""
        return sum(n for status, n in self.n_rows.items() if Status(status).is_failure)


def run(config: RunConfig) -> RunSummary:
    """Ask an engine about every window of every video and write the rows; go on where an earlier start ended.

    Raises:
        BahError: The run cannot start, or every window fails. What is done stays on disk.
    """
    setup = prepare(config)
    _announce(setup)
    if (finished := _finished_already(setup)) is not None:
        return finished
    watch = Stopwatch()
    # Nothing is written before the model is there and fits: a refused start leaves no folder behind.
    check_resumable(setup.folder, setup.identity)
    with watch.spent_on("loading"):
        engine = load_engine(setup.engine_name, setup.options)
    check_abilities(engine, setup)
    with RunStore(
        setup.folder,
        config=config.model_dump(mode="json"),
        identity=setup.identity,
        notes=setup.notes,
        videos=[video.video_id for video in setup.dataset.videos()],
    ) as store:
        _check_same_model(engine, setup, store.manifest)
        _record_data(setup, store.manifest)
        with watch.spent_on("planning"):
            run_plan = plan_run(setup, engine)
            tasks = WindowTasks(run_plan, store.done)
            n_planned, n_reused = run_plan.n_rows, len(store.done)
        ledger = _Ledger(store, engine, tasks, watch, n_planned)
        with (
            Progress("written", total=n_planned, done=n_reused, unit="rows") as progress,
            closing(prefetch(tasks, _TASKS_AHEAD)) as ready,
        ):
            for batch in watch.waiting("waiting_for_frames", _batches(ready, config.batch)):
                with watch.spent_on("engine"):
                    rows = _answer(engine, batch, config)
                with watch.spent_on("writing"):
                    store.append(rows)
                    ledger.update(rows)
                progress.advance(len(rows), n_failed=sum(Status(row.status).is_failure for row in rows))
        ledger.save()
        store.complete()
    summary = RunSummary(setup.folder, store.manifest.n_rows, n_reused)
    _report(summary, store.manifest)
    return summary


def _batches(tasks: Iterable[WindowTask], n: int) -> Iterator[list[WindowTask]]:
    iterator = iter(tasks)
    while batch := list(islice(iterator, n)):
        yield batch


def _answer(engine: Engine, batch: Sequence[WindowTask], config: RunConfig) -> list[PredictionRow]:
    """Ask the engine about a batch of windows and fill in their rows."""
    watch = Stopwatch()
    asked = [(task.job, task.questions) for task in batch if task.job is not None]
    with watch.spent_on("engine"):
        answers = _ask(engine, [job for job, _ in asked], config)
    seconds = watch.seconds["engine"] / max(1, sum(len(blanks) for _, questions in asked for blanks in questions))
    rows = [row for task in batch for row in task.settled]
    for (job, questions), job_answers in zip(asked, answers, strict=True):
        is_short = job.clip is not None and job.clip.is_short
        for prompt, answer, blanks in zip(job.prompts, job_answers, questions, strict=True):
            reading = read_answer(answer, prompt, PARSERS[config.parser])
            filled = {**asdict(reading), "seconds": seconds, "short_clip": is_short}
            rows += [PredictionRow.model_validate({**blank.model_dump(), **filled}) for blank in blanks]
    return rows


def _ask(engine: Engine, jobs: list[WindowJob], config: RunConfig) -> list[list[Answer]]:
    try:
        if not jobs:
            return []
        if config.answer == "score":
            return engine.score(jobs)
        return engine.generate(jobs, max_new_tokens=config.max_new_tokens)
    except Exception as error:  # noqa: BLE001 - whatever an engine throws costs its batch, never the run
        # Only the name of a foreign error: its message may quote what the model was asked.
        reason = error.problem if isinstance(error, BahError) else type(error).__name__
        return [[Answer(failure=(Status.ENGINE_ERROR, reason))] * len(job.prompts) for job in jobs]


class _Ledger:
    """Keeps the manifest's counters up to date, over all starts of a run, and stops a hopeless one."""

    def __init__(self, store: RunStore, engine: Engine, tasks: WindowTasks, watch: Stopwatch, n_planned: int) -> None:
        self._store, self._engine, self._tasks, self._watch = store, engine, tasks, watch
        self._earlier_counters = Counter(store.manifest.counters)
        self._earlier_seconds = dict(store.manifest.seconds)
        self._earlier_counters["rows_planned"] = max(n_planned, self._earlier_counters["rows_planned"])
        self._saved_at = 0.0
        self._n_failed_in_a_row = 0
        self._any_success = bool(store.done)
        store.manifest.engine = dict(engine.describe())

    def update(self, rows: Sequence[PredictionRow]) -> None:
        """Count rows; save now and then. Leaving the store saves what was counted last, however the run ends."""
        failed = [row for row in rows if row.status is Status.ENGINE_ERROR]
        self._any_success = self._any_success or any(not row.status.is_failure for row in rows)
        self._n_failed_in_a_row += len(failed)
        if not self._any_success and self._n_failed_in_a_row >= _HOPELESS_AFTER_ROWS:
            raise EngineError(
                f"The first {self._n_failed_in_a_row} predictions all failed: {failed[-1].detail if failed else ''}.",
                remedy="Solve this first (`bah-mllm doctor` may help); the same command then goes on.",
            )
        self._count()
        spent = sum(self._watch.seconds.values())
        if spent - self._saved_at > _MANIFEST_EVERY_S:
            self._saved_at = spent
            self.save()

    def save(self) -> None:
        """Write counters and seconds of all starts so far."""
        self._count()
        self._store.save_manifest()

    def _count(self) -> None:
        manifest = self._store.manifest
        manifest.counters = dict(
            self._earlier_counters + Counter(self._tasks.counters) + Counter(self._engine.counters)
        )
        now = {**self._watch.seconds, "decoding_in_background": self._tasks.decoding_s}
        names = dict.fromkeys([*self._earlier_seconds, *now])
        manifest.seconds = {name: round(self._earlier_seconds.get(name, 0.0) + now.get(name, 0.0), 3) for name in names}


def _announce(setup: Setup) -> None:
    if setup.config.data is None:
        is_stand_in = STAND_IN_MODEL in setup.notes
        say(
            "No data set is given: this is the demo set (synthetic)" + (", read by a stand-in." if is_stand_in else ".")
        )
    n_people = len({video.participant_id for video in setup.videos})
    split = f"split {setup.split}" if setup.split else "all videos"
    say(f"{setup.dataset.name}, {split}: {len(setup.videos)} videos of {n_people} participants -> {setup.folder}")


def _finished_already(setup: Setup) -> RunSummary | None:
    """Return the summary of a run that is complete without failures, so that no model is loaded for nothing."""
    if not (setup.folder / MANIFEST_NAME).exists():
        return None
    manifest = read_manifest(setup.folder)
    summary = RunSummary(setup.folder, manifest.n_rows, n_reused=sum(manifest.n_rows.values()))
    same_videos = manifest.config.get("limit") == setup.config.limit
    if manifest.state != "complete" or manifest.identity != setup.identity or summary.n_failed or not same_videos:
        return None
    say(f"already complete: {summary.n_reused:,} rows.")
    return summary


def check_abilities(engine: EngineFacts, setup: Setup) -> None:
    """Refuse what the engine cannot do.

    Raises:
        ConfigError: It cannot answer in the way asked for, or a prompt shows it nothing.
    """
    able = engine.capabilities
    if setup.config.answer == "score" and not able.scores_labels:
        raise ConfigError(f"The engine {engine.name} cannot score labels.", remedy="Use --answer generate.")
    if setup.config.answer == "generate" and not able.generates:
        raise ConfigError(f"The engine {engine.name} cannot generate replies.", remedy="Use --answer score.")
    for template in setup.templates:
        if not able.sees_video and not template.variables and cues_folder(setup.config) is None:
            raise ConfigError(
                f"The prompt {template.name!r} shows nothing but the video, and the engine {engine.name} sees none.",
                remedy=f"Use a prompt with the transcript, or an engine that sees: {seeing_engines()}.",
            )


def _check_same_model(engine: Engine, setup: Setup, manifest: Manifest) -> None:
    """Refuse a model that differs from the one that began this run."""
    now = engine.describe()
    begun_with = {name: manifest.engine[name] for name in _SAME_MODEL if name in manifest.engine}
    refuse_difference(
        f"The run {setup.folder}",
        begun_with,
        {name: now.get(name) for name in begun_with},
        remedy="Write this run elsewhere with --out, or load the same model to go on.",
    )


def _record_data(setup: Setup, manifest: Manifest) -> None:
    """Note in the manifest where files or labels of the data set changed between two starts of a run."""
    seen = DataSeen.of(setup.dataset)
    before, now = manifest.data.fingerprint, seen.fingerprint
    if before is not None and now is not None and before != now:
        manifest.notes.append(f"the data set changed between two starts: fingerprint {before[:12]}, then {now[:12]}")
    manifest.data = seen


def _report(summary: RunSummary, manifest: Manifest) -> None:
    rows = ", ".join(f"{n:,} {status}" for status, n in summary.n_rows.items()) or "none"
    reused = f" ({summary.n_reused:,} from before)" if summary.n_reused else ""
    say(f"rows: {rows}{reused}")
    work = {name: n for name, n in manifest.counters.items() if n and name != "rows_planned"}
    say("work: " + ", ".join(f"{name.replace('_', ' ')} {n:,}" for name, n in work.items()))
    say("time: " + ", ".join(f"{name.replace('_', ' ')} {s:.1f} s" for name, s in manifest.seconds.items()))
    if manifest.config.get("answer") == "generate":
        say("note: replies are kept in the rows, and a reply may repeat what a participant said.")
    if summary.n_failed:
        say(f"{summary.n_failed:,} rows failed: see `bah-mllm status {summary.folder}`. The same command tries again.")
