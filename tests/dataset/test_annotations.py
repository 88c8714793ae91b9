import pytest

from bah_mllm.core.clock import FrameClock
from bah_mllm.core.errors import DataError
from bah_mllm.core.timeline import Segment
from bah_mllm.dataset.annotations import labels_of_segments, open_annotations, parse_clock


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("00:00:02.200", 2.2), ("01:02:03.004", 3723.004), ("02:03", 123.0), ("7.5", 7.5), (7, 7.0), (2.5, 2.5)],
)
def test_clock_times_are_seconds(text, seconds):
    assert parse_clock(text, where="x") == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "1:2:3:4", "-1", "00:00:0x", None, True, float("nan"), "٣", "9" * 50])
def test_other_times_are_refused(text):
    with pytest.raises(DataError, match=r"^x"):
        parse_clock(text, where="x")


def test_segments_in_frames_win_over_seconds_and_are_cut_at_the_end():
    segments = [Segment(start_frame=1, stop_frame=3, start_s=0.0, stop_s=9.0), Segment(start_frame=4, stop_frame=9)]
    assert labels_of_segments(segments, n_frames=6, clock=FrameClock(25.0), where="x").tolist() == [0, 1, 1, 0, 1, 1]


def test_segments_in_seconds_cover_the_frames_shown_meanwhile():
    # At 2 frames a second frames are shown from 0, .5, 1, 1.5, 2 and 2.5 s.
    labels = labels_of_segments([Segment(start_s=0.7, stop_s=1.5)], n_frames=6, clock=FrameClock(2.0), where="x")
    assert labels.tolist() == [0, 1, 1, 0, 0, 0]
    shortest = labels_of_segments([Segment(start_s=1.0, stop_s=1.0)], n_frames=6, clock=FrameClock(2.0), where="x")
    assert shortest.tolist() == [0, 0, 1, 0, 0, 0]


def test_seconds_need_a_frame_rate():
    with pytest.raises(DataError, match="frame rate"):
        labels_of_segments([Segment(start_s=0.7, stop_s=1.5)], n_frames=6, clock=None, where="x")


@pytest.mark.parametrize(
    "entry",
    [
        "text",
        "{global_ah: 2}",
        "{global_ah: marmalade}",
        "{frame_annotation: marmalade}",
        "{frame_annotation: [[v/frame-0.jpg, 0], [v/frame-1.jpg]]}",
        "{frame_annotation: [[v/frame-0.jpg, 0.5]]}",
        "{frame_annotation: [[v/frame-0.jpg, marmalade]]}",
        "{frame_annotation: [[v/frame-1.jpg, 0], [v/frame-3.jpg, 0]]}",
        "{fr_detailed_ah: [5]}",
        "{fr_detailed_ah: [[5, 4]]}",
        "{fr_detailed_ah: [[-1, 4]]}",
        "{fr_detailed_ah: [[marmalade, 4]]}",
        "{time_detailed_ah: [['00:00:03', '00:00:02']]}",
        "{transcript: [marmalade]}",
    ],
)
def test_malformed_entries_are_named_without_words_and_spare_the_others(write, entry):
    root = write({"annotation.yml": f"v.mp4: {entry}\nok.mp4: {{global_ah: 1}}\n"})
    annotations = open_annotations(root / "annotation.yml")
    with pytest.raises(DataError) as caught:
        annotations.of("v.mp4")
    assert "annotation.yml, v.mp4" in caught.value.problem
    assert "marmalade" not in caught.value.problem + caught.value.remedy
    assert annotations.of("ok.mp4").label == 1


def test_a_file_is_read_once_until_it_changes(write):
    path = write({"annotation.yml": "v.mp4: {global_ah: 1}\n"}) / "annotation.yml"
    assert open_annotations(path) is open_annotations(path)
    path.write_text("v.mp4: {global_ah: 0, more: 1}\n", encoding="utf-8")
    assert open_annotations(path).of("v.mp4").label == 0


def test_cues_go_to_their_segment_or_to_none(write):
    text = (
        "a.mp4: {fr_detailed_ah: [[0, 1], [3, 4]], all_cues: [{audio: [Pause], body: null}, {}], "
        "certainty_ah: [1, 3]}\n"
        "b.mp4: {fr_detailed_ah: [[0, 1]], all_cues: [{audio: [Pause]}, {audio: [Breath]}], certainty_ah: [1, 3]}\n"
    )
    annotations = open_annotations(write({"annotation.yml": text}) / "annotation.yml")
    first, second = annotations.of("a.mp4").segments
    assert (first.cues, first.certainty, second.cues, second.certainty) == ({"audio": ["Pause"]}, "1", {}, "3")
    assert annotations.of("b.mp4").segments == (Segment(start_frame=0, stop_frame=2),)
