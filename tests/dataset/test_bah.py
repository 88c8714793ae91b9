import shutil
import subprocess
import sys

import pytest

from bah_mllm.core.errors import ConfigError, DataError
from bah_mllm.core.records import Chunk, Participant, Transcript
from bah_mllm.core.timeline import Segment
from bah_mllm.dataset import check_publishable, demo_root, open_dataset, publishable, submittable


def test_the_records_say_what_the_split_files_and_names_say(bah_root, names):
    dataset = open_dataset(bah_root)
    assert (dataset.kind, dataset.edition, dataset.is_synthetic) == ("bah", None, False)
    assert dataset.splits == ("train", "val", "test")
    assert [video.video_id for video in dataset.videos()] == [names.first, names.spaced, names.second, names.third]
    first, spaced = dataset.videos("train")
    assert (first.participant_id, first.question, first.label, first.split) == ("10001", 2, 1, "train")
    assert first.transcript == Transcript("plums, and pears")
    assert first.path == bah_root.resolve() / names.first
    assert (spaced.question, spaced.transcript.text) == (7, "quinces")
    (third,) = dataset.videos("test")
    assert (third.path, third.transcript, third.segments) == (None, None, None)


def test_nothing_that_tells_the_label_is_on_a_video(bah_root):
    for video in open_dataset(bah_root).videos():
        assert "Pause" not in repr(video)
        assert "QQ" not in repr(video)
        assert "certainty" not in repr(video)


def test_an_unknown_split_is_refused_with_those_there_are(bah_root):
    with pytest.raises(DataError, match="no split 'dev'") as caught:
        open_dataset(bah_root).videos("dev")
    assert "train, val, test" in caught.value.remedy


@pytest.mark.parametrize("way", ["id", "stem", "file", "bare", "no_suffix", "bare_no_suffix", "older"])
def test_a_video_answers_to_every_unique_form_of_its_name(bah_root, names, way):
    bare = names.second.removeprefix("Videos/")
    forms = {
        "id": names.second,
        "stem": names.second.rpartition("/")[2].removesuffix(".mp4"),
        "file": names.second.rpartition("/")[2],
        "bare": bare,
        "no_suffix": names.second.removesuffix(".mp4"),
        "bare_no_suffix": bare.removesuffix(".mp4"),
        "older": bare.replace("Visite_1", "Visite 1"),
    }
    assert open_dataset(bah_root).video(forms[way]).video_id == names.second


def test_an_ambiguous_name_lists_the_candidates_and_a_full_id_stays_unique(write):
    root = write({"split/train.txt": "Videos/1/a.mp4,1,x\nVideos/2/a.mp4,0,y\n"})
    dataset = open_dataset(root)
    with pytest.raises(DataError, match="2 videos") as caught:
        dataset.video("a")
    assert "Videos/1/a.mp4, Videos/2/a.mp4" in caught.value.remedy
    assert dataset.video("Videos/2/a.mp4").label == 0


def test_an_unknown_name_is_met_with_the_nearest_one(bah_root, names):
    with pytest.raises(DataError) as caught:
        open_dataset(bah_root).video("10002_Question_1_2024-05-02_11-00-01_Video")
    assert names.second in caught.value.remedy


def test_frame_labels_come_from_the_best_source_there_is(bah_root, names):
    dataset = open_dataset(bah_root)
    first, spaced, second, third = dataset.videos()
    assert dataset.frame_labels(first, n_frames=99).tolist() == [0, 0, 1, 1, 1, 0]  # annotated frame by frame
    assert dataset.frame_labels(spaced, n_frames=5).tolist() == [0, 1, 1, 0, 0]  # frames 1 to 2, both included
    assert dataset.frame_labels(second, n_frames=3).tolist() == [0, 0, 0]  # a video without A/H
    assert dataset.frame_labels(third, n_frames=5, fps=2.0).tolist() == [0, 0, 1, 1, 0]  # 1 s to 2 s
    with pytest.raises(DataError, match="length is unknown"):
        dataset.frame_labels(spaced)


def test_frame_lists_stand_in_where_the_annotations_are_missing(bah_root, names):
    (bah_root / "video_annotation_transcript.yaml").unlink()
    dataset = open_dataset(bah_root)
    assert dataset.frame_labels(dataset.video(names.first), n_frames=9) is None
    folder = bah_root / "split-frames"
    folder.mkdir()
    (folder / "train.txt").write_text(
        "".join(f"{names.first}/frame-{k}.jpg,{label}\n" for k, label in enumerate([0, 1, 1])), encoding="utf-8"
    )
    dataset = open_dataset(bah_root)
    assert dataset.frame_labels(dataset.video(names.first)).tolist() == [0, 1, 1]


def test_a_broken_frame_list_spares_the_other_splits(bah_root, names):
    (bah_root / "video_annotation_transcript.yaml").unlink()
    folder = bah_root / "split-frames"
    folder.mkdir()
    (folder / "test.txt").write_text("broken\n", encoding="utf-8")
    (folder / "val.txt").write_text(f"{names.second}/frame-0.jpg,0\n", encoding="utf-8")
    dataset = open_dataset(bah_root)
    assert dataset.frame_labels(dataset.video(names.second)).tolist() == [0]
    with pytest.raises(DataError, match=r"test\.txt, line 1"):
        dataset.frame_labels(dataset.video(names.third))


def test_changing_returned_labels_changes_nothing_else(bah_root, names):
    dataset = open_dataset(bah_root)
    dataset.frame_labels(dataset.video(names.first))[:] = 7
    assert dataset.frame_labels(dataset.video(names.first)).tolist() == [0, 0, 1, 1, 1, 0]


def test_segments_are_half_open_and_carry_evaluation_material(bah_root, names):
    dataset = open_dataset(bah_root)
    assert dataset.segments(dataset.video(names.first)) == (
        Segment(2, 5, 0.08, 0.2, certainty="2", cues={"audio": ("Pause",)}),
    )
    assert dataset.segments(dataset.video(names.second)) == ()


def test_transcripts_join_the_split_files_text_with_repaired_times(bah_root, names):
    dataset = open_dataset(bah_root)
    said = dataset.transcript(dataset.video(names.first))
    assert said == Transcript("plums, and pears", "en", (Chunk("plums,", 0.0, 28.0), Chunk("and pears", 28.0, None)))
    assert dataset.transcript(dataset.video(names.second)) == Transcript("apples")
    assert dataset.transcript(dataset.video(names.third)) is None


def test_word_times_win_over_chunks(bah_root, names):
    stem = names.first.rpartition("/")[2].removesuffix(".mp4")
    (bah_root / "transcription" / names.first / f"{stem}.words.json").write_text(
        '{"text": "plums", "language": "en", "words": [{"text": "plums", "start_s": 0.1, "stop_s": 0.4}]}',
        encoding="utf-8",
    )
    dataset = open_dataset(bah_root)
    said = dataset.transcript(dataset.video(names.first))
    assert said.text == "plums, and pears"
    assert [(word.text, word.start_s, word.stop_s) for word in said.words] == [("plums", 0.1, 0.4)]


def test_consent_is_what_was_said_and_nothing_else(bah_root):
    dataset = open_dataset(bah_root)
    assert dataset.participant("10001") == Participant(
        "10001",
        may_publish=True,
        may_challenge=True,
        metadata={
            "age": "51",
            "age_range": "45 - 54 years",
            "province": "Ontario (ON)",
            "ethnicity_detailed": "something long",
            "ethnicity": "Asian",
            "sex": "Male",
            "is_student": "No",
        },
    )
    # "perhaps" is no yes; an unquoted No is YAML's false, and still reads No; a null is unknown.
    assert dataset.participant("10002") == Participant("10002", may_challenge=True, metadata={"is_student": "No"})
    assert dataset.participant("10003") == Participant("10003")
    kept = publishable(dataset, dataset.videos())
    assert {video.participant_id for video in kept.videos} == {"10001"}
    assert (kept.n_videos_left_out, kept.n_participants_left_out) == (2, 2)
    assert submittable(dataset, dataset.videos()).n_videos_left_out == 1


def test_a_single_video_is_refused_unless_its_participant_agreed_to_publication(bah_root):
    dataset = open_dataset(bah_root)
    for video in dataset.videos():
        if video.participant_id == "10001":
            check_publishable(dataset, video, remedy="Look away.")
        else:
            with pytest.raises(ConfigError, match=f"Participant {video.participant_id} is not known") as caught:
                check_publishable(dataset, video, remedy="Look away.")
            assert caught.value.remedy == "Look away."


def test_without_metadata_nobody_has_agreed(bah_root):
    (bah_root / "meta_data.yml").unlink()
    dataset = open_dataset(bah_root)
    assert publishable(dataset, dataset.videos()).videos == ()
    assert submittable(dataset, dataset.videos()).videos == ()


@pytest.mark.parametrize("content", ["- a\n", "'10001': yes\n", "'10001': !!python/name:os.system x\n"])
def test_malformed_metadata_are_refused(bah_root, content):
    (bah_root / "meta_data.yml").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"meta_data\.yml"):
        open_dataset(bah_root).participants()


def test_an_unknown_participant_is_met_with_the_nearest_one(bah_root):
    with pytest.raises(DataError) as caught:
        open_dataset(bah_root).participant("1002")
    assert "10002" in caught.value.remedy


@pytest.mark.parametrize("folder", ["", "folds/fold-0", "folds/split-0", "split"])
def test_split_files_are_found_in_every_layout(write, folder):
    root = write({f"{folder}/{split}.txt".lstrip("/"): f"Videos/{split}/v.mp4,1,x\n" for split in ("test", "train")})
    dataset = open_dataset(root)
    assert (dataset.kind, dataset.splits, len(dataset)) == ("split-files", ("train", "test"), 2)
    tasks = {task.name: task.is_possible for task in dataset.tasks()}
    assert tasks["score_transcripts"]
    assert tasks["evaluate_videos"]
    assert not tasks["score_videos"]
    assert not tasks["evaluate_frames"]
    assert "videos" in dataset.missing


def test_the_eighth_abaw_spelling_finds_its_files(write):
    name = "10001/Visite 1/10001_Question_3_2024-05-01 10-00-00_Video.mp4"
    frames = "".join(f"  - [{name}/frame-{k}.jpg, {k}]\n" for k in (0, 1))
    root = write(
        {
            "train.txt": "Videos/10001/Visite_1/10001_Question_3_2024-05-01 10-00-00_Video.mp4,1,x\n",
            name: b"",
            "annotation.yml": f"{name}:\n  frame_annotation:\n{frames}  global_ah: 1\n",
        }
    )
    dataset = open_dataset(root)
    (video,) = dataset.videos()
    assert (video.participant_id, video.question, video.path) == ("10001", 3, root.resolve() / name)
    assert dataset.frame_labels(video).tolist() == [0, 1]


def test_a_challenges_test_split_has_no_labels_and_a_name_of_its_own(bah_root):
    name = "Videos/10009/Visite_1/10009_Question_5_2024-06-01_10-00-00_Video.mp4"
    folder = bah_root / "test_unlabeled"
    (folder / name).parent.mkdir(parents=True)
    (folder / name).touch()
    (folder / "split").mkdir()
    (folder / "split/test.txt").write_text(f"{name},,grapes\n", encoding="utf-8")
    (folder / "transcription" / name).mkdir(parents=True)
    (folder / "transcription" / name / name.rpartition("/")[2].replace(".mp4", ".yml")).write_text(
        "text: grapes\nchunks:\n- {text: grapes, language: french, timestamp: [0.0, 1.0]}\n", encoding="utf-8"
    )
    dataset = open_dataset(bah_root)
    assert dataset.splits[-1] == "test_unlabeled"
    (video,) = dataset.videos("test_unlabeled")
    assert (video.label, video.transcript.text, video.path) == (None, "grapes", folder.resolve() / name)
    assert dataset.transcript(video).language == "fr"
    alone = open_dataset(folder)
    assert (alone.splits, len(alone)) == (("test",), 1)


def test_without_split_files_annotations_and_files_make_the_list(bah_root, names):
    shutil.rmtree(bah_root / "split")
    extra = bah_root / "Videos/10004/Visite_1/10004_Question_6_2024-06-01_10-00-00_Video.mp4"
    extra.parent.mkdir(parents=True)
    extra.touch()
    dataset = open_dataset(bah_root)
    assert dataset.splits == ()
    assert [video.label for video in dataset.videos()] == [1, 1, 0, 1, None]
    assert dataset.video(names.first).transcript.text == "plums, and pears"
    with pytest.raises(DataError, match="no split 'train'"):
        dataset.videos("train")


def test_a_link_that_leads_outside_is_refused(bah_root, names, tmp_path_factory):
    outside = tmp_path_factory.mktemp("elsewhere") / "secret.mp4"
    outside.touch()
    target = bah_root / names.second
    target.parent.mkdir(parents=True)
    target.symlink_to(outside)
    with pytest.raises(DataError, match="leads outside") as caught:
        open_dataset(bah_root)
    assert names.second in caught.value.problem


def test_a_listed_path_that_leads_outside_is_refused(bah_root):
    (bah_root / "split/val.txt").write_text("Videos/x.mp4,1,a\n../outside.mp4,1,b\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"val\.txt, line 2"):
        open_dataset(bah_root)


def test_a_repeated_video_counts_once_and_a_contradiction_is_refused(bah_root, names):
    val = bah_root / "split/val.txt"
    val.write_text(f"{names.second},0,a\n{names.second},0,a\n{names.first},1,plums\n", encoding="utf-8")
    dataset = open_dataset(bah_root)
    assert [video.video_id for video in dataset.videos("val")] == [names.second]
    assert dataset.video(names.first).split == "train"
    assert [problem.where for problem in dataset.problems] == [names.second, names.first]
    val.write_text(f"{names.first},0,plums\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"label 1 \(split train\) and 0 \(split val\)"):
        open_dataset(bah_root)


def test_a_participant_in_two_splits_is_a_problem(bah_root):
    with (bah_root / "split/val.txt").open("a", encoding="utf-8") as file:
        file.write("Videos/10001/Visite_1/10001_Question_5_2024-05-01_10-00-00_Video.mp4,0,figs\n")
    (problem,) = open_dataset(bah_root).problems
    assert problem.where == "participant 10001"
    assert "train, val" in problem.what


def test_the_fingerprint_ignores_the_place_and_the_order_but_no_label_or_word(bah_root, tmp_path_factory):
    before = open_dataset(bah_root).fingerprint()
    moved = tmp_path_factory.mktemp("another") / "name"
    shutil.copytree(bah_root, moved)
    train = moved / "split/train.txt"
    lines = train.read_text(encoding="utf-8").splitlines()
    train.write_bytes("\r\n".join(reversed(lines)).encode())
    assert open_dataset(moved).fingerprint() == before
    for old, new in (("pears", "pear"), (",1,quinces", ",0,quinces")):
        train.write_text("\n".join(lines).replace(old, new), encoding="utf-8")
        assert open_dataset(moved).fingerprint() != before
    train.write_text("\n".join(lines), encoding="utf-8")
    (moved / "meta_data.yml").unlink()
    assert open_dataset(moved).fingerprint() != before


def test_a_marker_names_the_demo_set(bah_root):
    (bah_root / "bah-demo.toml").write_text('name = "demo"\nedition = "demo"\nsynthetic = true\n', encoding="utf-8")
    dataset = open_dataset(bah_root)
    assert (dataset.name, dataset.edition, dataset.is_synthetic, dataset.kind) == ("demo", "demo", True, "bah")


@pytest.mark.parametrize("content", ["name = ", "synthetic = 'yes'"])
def test_a_malformed_marker_is_refused(bah_root, content):
    (bah_root / "bah-demo.toml").write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"bah-demo\.toml"):
        open_dataset(bah_root)


def test_a_demo_set_that_was_never_built_says_so(monkeypatch, tmp_path):
    from bah_mllm.core.errors import PrerequisiteError
    from bah_mllm.dataset import opening

    monkeypatch.setattr(opening, "files", lambda _: tmp_path)
    with pytest.raises(PrerequisiteError, match="demo set is not installed"):
        demo_root()
    (tmp_path / "demo_set").mkdir()
    (tmp_path / "demo_set/bah-demo.toml").touch()
    assert demo_root() == tmp_path / "demo_set"


def test_a_path_without_data_is_refused(tmp_path, bah_root):
    with pytest.raises(DataError, match="no data set at"):
        open_dataset(tmp_path / "nowhere")
    with pytest.raises(DataError, match="is a file"):
        open_dataset(bah_root / "split/train.txt")
    with pytest.raises(ConfigError, match="no kind"):
        open_dataset(bah_root, kind="bha")


def test_opening_needs_neither_the_locale_nor_heavy_packages(bah_root):
    with (bah_root / "split/val.txt").open("a", encoding="utf-8") as file:
        file.write("Videos/10005/Visite_1/10005_Question_5_é_Video.mp4,0,pêches\n")
    script = (
        "import sys\nfrom bah_mllm.dataset import open_dataset\n"
        f"video = open_dataset({str(bah_root)!r}).videos('val')[-1]\n"
        "assert video.transcript.text == 'p\\u00eaches'\n"
        "heavy = {'pandas', 'pyarrow', 'torch', 'sklearn', 'av', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    environment = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONPATH": ":".join(sys.path)}
    subprocess.run([sys.executable, "-c", script], check=True, env=environment)
