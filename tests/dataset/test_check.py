import json
from types import SimpleNamespace

import pytest

from bah_mllm.core.clock import FrameClock
from bah_mllm.core.errors import MediaError
from bah_mllm.dataset import check_dataset, open_dataset, stats_dataset
from bah_mllm.dataset.editions import published_sizes, recognise_edition


def problems_of(report):
    return {(problem.where, problem.what) for problem in report.problems}


def test_a_report_counts_what_is_there_and_what_is_not(bah_root, names):
    report = check_dataset(open_dataset(bah_root))
    train = report.splits[0].found
    assert (train.participants, train.participants_ah, train.videos, train.videos_ah) == (1, 1, 2, 2)
    assert train.frames is None  # one of its two videos has segments only
    assert (report.n_videos, report.n_without_file, report.n_without_transcript, report.n_without_label) == (4, 2, 1, 0)
    assert (report.n_participants, report.n_may_publish, report.n_may_challenge) == (3, 1, 2)
    assert report.compared_with == "v1"  # nearer than the larger edition
    assert report.splits[0].differences["videos"] == 2 - 616
    assert problems_of(report) == {
        (names.second, "its video file is missing"),
        (names.third, "its video file is missing"),
        (names.spaced, "its file of timed words is missing"),
        (
            "meta_data.yml, participant 10002",
            "'Use in publications' says neither yes nor no, which counts as a refusal",
        ),
        ("meta_data.yml, participant 10003", "has no entry, which counts as a refusal"),
    }
    assert not report.parts["faces"]
    assert json.loads(json.dumps(report.as_dict()))["splits"][2]["found"]["videos"] == 1


def test_every_broken_file_is_reported_and_the_rest_is_counted(bah_root, names):
    annotations = bah_root / "video_annotation_transcript.yaml"
    text = annotations.read_text(encoding="utf-8")
    text = text.replace(f"{names.second}:\n  frame_annotation: []\n  global_ah: 0", f"{names.second}:\n  global_ah: 1")
    text = text.replace("  fr_detailed_ah:\n  - [1, 2]", "  fr_detailed_ah: !!python/name:os.system x")
    annotations.write_text(text.replace("    - 4\n", "    - 9\n"), encoding="utf-8")
    stem = names.first.rpartition("/")[2].removesuffix(".mp4")
    (bah_root / "transcription" / names.first / f"{stem}.yml").write_text("text: 'a\n", encoding="utf-8")
    (bah_root / "meta_data.yml").write_text("- x\n", encoding="utf-8")
    found = {
        where: what
        for where, what in problems_of(check_dataset(open_dataset(bah_root)))
        if "missing" not in what and "refusal" not in what
    }
    chunks = f"transcription/{names.first}/{stem}.yml"
    assert set(found) == {names.first, names.spaced, names.second, "meta_data.yml", chunks}
    assert "python/name" in found[names.spaced]
    assert found[names.second] == "label 0 in the split file, 1 in the annotations"


def test_decoding_finds_unreadable_files_and_lengths_that_differ(bah_root, names):
    def probe(path):
        if "Question_7" in path.name:
            raise MediaError("It is no video.", remedy="Get it again.")
        return SimpleNamespace(n_frames=7, clock=FrameClock(25.0), duration_s=0.28)

    report = check_dataset(open_dataset(bah_root), probe_video=probe)
    assert report.n_probed == 2
    assert (names.spaced, "It is no video.") in problems_of(report)
    assert (names.first, "6 frames are annotated, 7 can be decoded") in problems_of(report)


def test_frames_are_counted_where_all_are_known(bah_root, names):
    (bah_root / "split/train.txt").write_text(f"{names.first},1,plums\n", encoding="utf-8")
    report = check_dataset(
        open_dataset(bah_root),
        probe_video=lambda _: SimpleNamespace(n_frames=6, clock=FrameClock(25.0), duration_s=36.0),
    )
    train, val, _ = (split.found for split in report.splits)
    assert (train.frames, train.frames_ah, train.hours) == (6, 3, pytest.approx(0.01))
    assert (val.frames, val.hours) == (None, None)


def test_labels_that_contradict_their_frames_are_a_problem(bah_root, names):
    annotations = bah_root / "video_annotation_transcript.yaml"
    annotations.write_text(
        annotations.read_text(encoding="utf-8").replace("\n    - 1\n", "\n    - 0\n"), encoding="utf-8"
    )
    report = check_dataset(open_dataset(bah_root))
    assert (names.first, "label 1, but 0 positive frames") in problems_of(report)


def test_a_broken_file_that_serves_all_videos_is_reported_once(bah_root):
    (bah_root / "video_annotation_transcript.yaml").write_text("- x\n", encoding="utf-8")
    report = check_dataset(open_dataset(bah_root))
    assert sum("no mapping" in problem.what for problem in report.problems) == 1


def test_frame_lists_that_contradict_the_annotations_are_a_problem(bah_root, names):
    folder = bah_root / "split-frames"
    folder.mkdir()
    lines = [f"{names.first}/frame-{k}.jpg,{label}\n" for k, label in enumerate([0, 0, 1, 1, 0, 0])]
    (folder / "train.txt").write_text("".join(lines), encoding="utf-8")
    report = check_dataset(open_dataset(bah_root))
    assert any(where == names.first and "disagree" in what for where, what in problems_of(report))


def split_text(split, videos, positives):
    return "".join(f"Videos/{split}{k}/v.mp4,{int(k < positives)},word\n" for k in range(videos))


@pytest.mark.parametrize(
    ("sizes", "edition"),
    [({"train": (616, 340), "val": (110, 59)}, "v1"), ({"test": (525, 318)}, "iclr2026"), ({"val": (110, 58)}, None)],
)
def test_editions_are_told_apart_by_their_counts(write, sizes, edition):
    root = write({f"split/{split}.txt": split_text(split, *size) for split, size in sizes.items()})
    assert open_dataset(root).edition == edition


@pytest.mark.parametrize(
    ("folder", "edition"), [("BAH-ICLR2026", "iclr2026"), ("bah_iclr-26", "iclr2026"), ("bah-v1", "v1"), ("bah", None)]
)
def test_a_part_of_an_edition_is_told_by_the_folders_name(folder, edition):
    assert recognise_edition({}, folder=folder) == edition


def test_published_sizes_add_up_to_the_published_totals():
    totals = {edition: sum(size.videos for size in splits.values()) for edition, splits in published_sizes().items()}
    assert totals == {"v1": 1118, "iclr2026": 1427}
    assert sum(size.frames for size in published_sizes()["v1"].values()) == 714_005
    assert sum(size.frames_ah for size in published_sizes()["iclr2026"].values()) == 156_255


def test_numbers_of_a_data_set(bah_root):
    stats = stats_dataset(open_dataset(bah_root))
    assert [(row.split, row.question, row.n_videos, row.n_positive, row.prior) for row in stats.questions] == [
        ("train", 2, 1, 1, 1.0),
        ("train", 7, 1, 1, 1.0),
        ("val", 1, 1, 0, 0.0),
        ("test", 4, 1, 1, 1.0),
    ]
    assert stats.prevalence == {"train": 1.0, "val": 0.0, "test": 1.0}
    assert stats.videos_per_participant == {1: 2, 2: 1}
    assert stats.words == (1, 1, 3)
    assert stats.durations_s is None
    assert json.loads(json.dumps(stats.as_dict()))["questions"][2]["prior"] == 0.0


def test_durations_leave_out_what_cannot_be_decoded(bah_root):
    def probe(path):
        if "Question_7" in path.name:
            raise MediaError("It is no video.", remedy="Get it again.")
        return SimpleNamespace(n_frames=7, clock=FrameClock(25.0), duration_s=12.5)

    assert stats_dataset(open_dataset(bah_root), probe_video=probe).durations_s == (12.5, 12.5, 12.5)
