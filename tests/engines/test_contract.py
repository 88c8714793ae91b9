"""One suite for every engine."""

from __future__ import annotations

import json
import math
from itertools import chain

import pytest
import torch

from bah_mllm.core.records import Answer, Status
from bah_mllm.engines import ENGINES

KINDS = ["scripted-text", "scripted-video", "text-raw", "text-chat", "video-llava"]
every_engine = pytest.mark.parametrize("kind", KINDS)


def logps(answers: list[list[Answer]]) -> list[list[dict[str, float]]]:
    return [[dict(answer.logp) for answer in row] for row in answers]


def assert_same(found, expected, tolerance=1e-4):
    assert [len(row) for row in found] == [len(row) for row in expected]
    for one, other in zip(chain.from_iterable(found), chain.from_iterable(expected), strict=True):
        assert one == pytest.approx(other, abs=tolerance)


def break_engine(engine, monkeypatch, *, memory_windows=None, bad_video=None):
    """Make the machinery below an engine fail as real models do."""
    if engine.name == "scripted":
        changes = {"memory_windows": memory_windows, "fail_on": frozenset({bad_video} if bad_video else ())}
        engine.script = engine.script.model_copy(update=changes)
        return

    def failing(batch_method):
        def run(jobs, *arguments):
            if memory_windows is not None and len(jobs) > memory_windows:
                raise torch.OutOfMemoryError("CUDA out of memory")
            if any(job.video_id == bad_video for job in jobs):
                raise ValueError(f"cannot tokenise {jobs[0].prompts[0].text}")
            return batch_method(jobs, *arguments)

        return run

    for method in ("_score_batch", "_generate_batch"):
        monkeypatch.setattr(engine, method, failing(getattr(engine, method)))


def test_the_suite_covers_every_engine_in_the_registry():
    assert {next(name for name in ENGINES if kind.startswith(name)) for kind in KINDS} == set(ENGINES)


@every_engine
def test_answers_come_in_the_order_and_shape_of_the_jobs(kind, load, make_job):
    engine = load(kind, batch_windows=2)
    jobs = [make_job(0), make_job(8, ["one?"]), make_job(16)]
    answers = engine.score(jobs)
    assert [len(row) for row in answers] == [4, 1, 4]
    for job, row in zip(jobs, answers, strict=True):
        for prompt, answer in zip(job.prompts, row, strict=True):
            assert (answer.reply, answer.failure) == (None, None)
            assert list(answer.logp) == list(prompt.labels)


@every_engine
def test_label_probabilities_add_up_to_at_most_one(kind, load, make_job):
    for answer in chain.from_iterable(load(kind).score([make_job(0), make_job(9)])):
        assert all(math.isfinite(value) and value < 0 for value in answer.logp.values())
        assert sum(math.exp(value) for value in answer.logp.values()) <= 1 + 1e-6


@every_engine
def test_no_jobs_give_no_answers(kind, load):
    engine = load(kind)
    assert engine.score([]) == []
    assert engine.generate([], max_new_tokens=3) == []


@every_engine
def test_scores_do_not_depend_on_batch_order_or_other_prompts(kind, load, make_job):
    jobs = [make_job(start) for start in (0, 8, 3, 21)]
    together = logps(load(kind, batch_windows=4).score(jobs))
    backwards = logps(load(kind, batch_windows=3).score(jobs[::-1]))[::-1]
    alone = [
        [logps(load_one.score([make_job(job.window.start, [prompt.text])]))[0][0] for prompt in job.prompts]
        for load_one, job in ((load(kind), job) for job in jobs)
    ]
    assert_same(together, backwards)
    assert_same(together, alone)


@every_engine
def test_scores_differ_between_prompts(kind, load, make_job):
    (row,) = logps(load(kind).score([make_job(2)]))
    assert len({round(values["Ambivalent"], 3) for values in row}) == len(row)


@every_engine
def test_one_failing_video_leaves_the_others_alone_and_quotes_nobody(kind, load, make_job, monkeypatch):
    jobs = [make_job(0), make_job(4, ["my secret words"], video_id="bad.mp4"), make_job(8)]
    expected = logps(load(kind).score([jobs[0], jobs[2]]))
    engine = load(kind, batch_windows=3)
    break_engine(engine, monkeypatch, bad_video="bad.mp4")
    for answers in (engine.score(jobs), engine.generate(jobs, max_new_tokens=2)):
        ((status, reason),) = [answer.failure for answer in answers[1]]
        assert status is Status.ENGINE_ERROR
        assert "Error" in reason
        assert "secret" not in reason
        assert all(answer.failure is None for answer in chain(answers[0], answers[2]))
    scores = engine.score(jobs)
    assert_same(logps([scores[0], scores[2]]), expected)


@every_engine
def test_a_full_memory_halves_the_batch_and_goes_on(kind, load, make_job, monkeypatch):
    jobs = [make_job(start) for start in range(0, 40, 8)]
    expected = logps(load(kind).score(jobs))
    engine = load(kind, batch_windows=4)
    break_engine(engine, monkeypatch, memory_windows=1)
    assert_same(logps(engine.score(jobs)), expected)
    assert engine.counters["batch_halvings"] == 2  # 4 to 2 to 1, then it stays there
    engine.score(jobs)
    assert engine.counters["batch_halvings"] == 2


@every_engine
def test_a_window_that_does_not_fit_at_all_is_an_answer(kind, load, make_job, monkeypatch):
    engine = load(kind, batch_windows=2)
    break_engine(engine, monkeypatch, memory_windows=0)
    for row in engine.score([make_job(0), make_job(8)]):
        assert all(answer.failure == (Status.ENGINE_ERROR, row[0].failure[1]) for answer in row)
        assert "memory" in row[0].failure[1]


@every_engine
def test_an_interrupt_is_not_taken_for_a_failing_model(kind, load, make_job, monkeypatch):
    engine = load(kind)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(engine, "_answer" if engine.name == "scripted" else "_score_batch", interrupt)
    with pytest.raises(KeyboardInterrupt):
        engine.score([make_job(0)])


@every_engine
def test_replies_are_texts_and_the_same_every_time(kind, load, make_job):
    jobs = [make_job(0), make_job(8, ["one?"])]
    first = load(kind).generate(jobs, max_new_tokens=5)
    second = load(kind, batch_windows=2).generate(jobs, max_new_tokens=5)
    assert [len(row) for row in first] == [4, 1]
    assert all(isinstance(answer.reply, str) and answer.logp is None for answer in chain.from_iterable(first))
    assert first == second


@every_engine
def test_counters_have_the_same_names_and_only_grow(kind, load, make_job):
    engine = load(kind)
    names = list(load("scripted-text").counters)
    before = dict(engine.counters)
    assert before == dict.fromkeys(names, 0)
    engine.score([make_job(0)])
    middle = dict(engine.counters)
    engine.generate([make_job(0)], max_new_tokens=2)
    assert middle["prompts_scored"] == 4
    assert engine.counters["tokens_generated"] > 0
    assert all(before[name] <= middle[name] <= engine.counters[name] for name in names)


@every_engine
def test_an_engine_says_how_to_run_the_same_model_again(kind, load):
    engine = load(kind)
    described = json.loads(json.dumps(engine.describe()))
    assert {"checkpoint", "revision", "port", "seed"} <= set(described)
    assert engine.model in described["checkpoint"]


@every_engine
def test_capabilities_and_markers_are_stated(kind, load):
    engine = load(kind, n_frames=4)
    sees = kind in ("scripted-video", "video-llava")
    assert engine.name in ENGINES
    assert engine.capabilities.scores_labels
    assert engine.capabilities.generates
    assert engine.capabilities.sees_video == sees
    assert (engine.capabilities.n_frames, engine.capabilities.frame_size_px) == ((4, 28) if sees else (0, 0))
    markers = engine.control_markers()
    assert "</s>" in markers
    assert all(isinstance(marker, str) and marker.strip() for marker in markers)
    assert ("<video>" in markers) or not sees
