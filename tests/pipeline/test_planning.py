"""Windows and blank rows of a run, counted by hand, before anything is decoded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bah_mllm.core.engine import Capabilities
from bah_mllm.core.records import Status, Variant, Video
from bah_mllm.core.timeline import Window
from bah_mllm.pipeline.config import RunConfig
from bah_mllm.pipeline.planning import Lengths, RunPlan, Span, VideoPlan, plan_run
from bah_mllm.pipeline.setup import prepare
from tests.pipeline.conftest import N_FRAMES


class Facts:
    """What planning needs of an engine."""

    name = "some"
    model = "m"

    def __init__(self, *, sees_video: bool = True) -> None:
        self.capabilities = Capabilities(sees_video=sees_video, scores_labels=True, generates=True)

    def control_markers(self) -> tuple[str, ...]:
        return ()


@pytest.fixture
def plan(pristine_root: Path, tmp_path: Path) -> Callable[..., RunPlan]:
    def make(*, sees_video: bool = True, **settings: object) -> RunPlan:
        config = RunConfig(
            data=str(pristine_root), split="test", engine="scripted", model="video", out=str(tmp_path / "r"), **settings
        )
        return plan_run(prepare(config), Facts(sees_video=sees_video))

    return make


def test_rows_and_windows_are_those_counted_by_hand(plan: Callable[..., RunPlan]) -> None:
    found = plan(windows=("24", "60"), prompts=("simple", "transcript_def1"), both_orders=True)
    spans = {
        window: {(q, start, min(start + window, n)) for q, n in N_FRAMES.items() for start in range(0, n, window)}
        for window in (24, 60)
    }
    per_length = {window: len(some) for window, some in spans.items()}
    assert found.windows_per_length() == per_length
    # Videos of 24 and of 8 frames are one window for both lengths, and so are frames 120 to 130 of a third: asked once.
    assert found.n_windows == len(spans[24] | spans[60]) == sum(per_length.values()) - 3
    assert found.n_rows == 4 * sum(per_length.values())


def test_lengths_that_come_to_the_same_frames_are_one(plan: Callable[..., RunPlan]) -> None:
    found = plan(windows=("1s", "1.01s", "0.5s"), hop="0.5s")
    assert found.lengths(found.plans[0]) == (Lengths(24, 12, 1.0, 0.5), Lengths(12, 12, 0.5, 0.5))


def test_the_true_count_of_frames_plans_a_video_again(plan: Callable[..., RunPlan]) -> None:
    found = plan(windows=("24",))
    spans = found.spans(found.plans[0], 30)
    assert [span.window for span in spans] == [Window(0, 24), Window(24, 30)]


def test_blank_rows_say_what_was_asked_and_that_nobody_answered(plan: Callable[..., RunPlan]) -> None:
    found = plan(windows=("24",), content_free=True, control="black-video")
    (main, *_), (content_free, *_) = found.blank_rows(
        found.plans[0], Span(Window(0, 24), (Lengths(24, 24, None, None), Lengths(30, 30, None, None)))
    )
    assert (main.variant, content_free.variant) == (Variant.MAIN, Variant.CONTENT_FREE)
    assert main.system == "transcript_def1~black-video@some:m"
    assert (main.start_frame, main.stop_frame, main.window_frames, main.hop_frames) == (0, 24, 24, 24)
    assert main.status is Status.ENGINE_ERROR
    assert main.p_positive is None


def test_a_video_whose_file_is_not_there_has_one_span_without_frames(plan: Callable[..., RunPlan]) -> None:
    found = plan(windows=("24", "60"))
    lost = VideoPlan(Video("v", participant_id="p"), None, "the video file is missing")
    assert found.spans(lost) == (Span(None, (Lengths(24, 24, None, None), Lengths(60, 60, None, None))),)


def test_files_are_left_alone_where_words_are_enough(plan: Callable[..., RunPlan]) -> None:
    found = plan(level="video", prompts=("transcript_def1",), sees_video=False)
    assert not found.needs_pixels
    assert all(one.info is None and one.problem is None for one in found.plans)
    assert found.n_windows == len(N_FRAMES)


def test_a_hop_longer_than_the_window_is_noted_once(
    plan: Callable[..., RunPlan], capsys: pytest.CaptureFixture[str]
) -> None:
    plan(windows=("8",), hop="24")
    assert capsys.readouterr().err.count("the frames between two windows get no score") == 1
    plan(windows=("8",), hop="8")
    assert "get no score" not in capsys.readouterr().err
