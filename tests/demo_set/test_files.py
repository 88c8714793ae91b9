"""The demo set's files: sizes, formats, and that they tell the same story."""

import re
import tomllib
from collections import Counter

import av
import pytest
import yaml

MIB = 1024 * 1024
FPS = 24


def test_the_set_is_small_enough_to_ship(root):
    files = [p for p in root.rglob("*") if p.is_file()]
    assert sum(p.stat().st_size for p in files) < 8 * MIB
    assert max(p.stat().st_size for p in files) < MIB
    assert max(p.stat().st_size for p in files if p.suffix == ".mp4") < 400 * 1024


def test_it_holds_data_only(root):
    assert {p.suffix for p in root.rglob("*") if p.is_file()} == {
        ".md", ".toml", ".mp4", ".yml", ".yaml", ".json", ".jsonl", ".txt", ".csv"
    }  # fmt: skip


def test_it_says_that_it_is_synthetic(root):
    marker = tomllib.loads((root / "bah-demo.toml").read_text("utf-8"))
    assert marker == {"name": "bah-mllm demo set (synthetic)", "edition": "demo", "synthetic": True, "version": 1}
    assert "no real person" in (root / "README.md").read_text("utf-8").lower()


def test_file_names_are_bahs(root, annotations):
    pattern = (
        r"Videos/(9\d{4})/Visite_1/\1_Question_[1-7]_\d{4}-\d\d-\d\d[_ ]\d\d-\d\d-\d\d_Video(-DESKTOP-\w{7})?\.mp4"
    )
    names = {p.relative_to(root).as_posix() for p in root.glob("Videos/*/*/*.mp4")}
    assert names == set(annotations)
    assert all(re.fullmatch(pattern, name) for name in names)
    assert any(" " in name for name in names)
    assert any("-DESKTOP-" in name for name in names)
    assert {int(name.split("_Question_")[1][0]) for name in names} == set(range(1, 8))


def test_every_video_decodes_to_its_annotated_frames_with_sound_of_the_same_length(root, annotations, sound_of):
    for video_id, row in annotations.items():
        with av.open(str(root / video_id)) as container:
            stream = container.streams.video[0]
            assert (stream.codec_context.name, container.streams.audio[0].codec_context.name) == ("h264", "aac")
            times = [frame.time for frame in container.decode(video=0)]
        sound = sound_of(video_id)
        assert len(times) == len(row["frame_annotation"]), video_id
        assert times == pytest.approx([k / FPS for k in range(len(times))], abs=1e-3), video_id
        assert len(sound.samples) / sound.rate_hz == pytest.approx(len(times) / FPS, abs=0.1), video_id
        assert 7 <= len(times) / FPS <= 15, video_id


def test_frame_labels_segments_and_video_labels_agree(annotations):
    for video_id, row in annotations.items():
        paths = [path for path, _ in row["frame_annotation"]]
        labels = [label for _, label in row["frame_annotation"]]
        assert paths == [f"{video_id}/frame-{k}.jpg" for k in range(len(paths))]
        inside = {k for first, last in row["fr_detailed_ah"] for k in range(first, last + 1)}
        assert [int(k in inside) for k in range(len(labels))] == labels, video_id
        assert row["global_ah"] == max(labels)
        assert len(row["certainty_ah"]) == len(row["all_cues"]) == len(row["fr_detailed_ah"])
        for (first, last), clock in zip(row["fr_detailed_ah"], row["time_detailed_ah"], strict=True):
            seconds = [int(c[:2]) * 3600 + int(c[3:5]) * 60 + float(c[6:]) for c in clock]
            assert seconds == pytest.approx([first / FPS, (last + 1) / FPS], abs=1e-3)
            assert 2 <= (last + 1 - first) / FPS <= 6


def test_split_files_and_annotations_agree(root, splits, annotations):
    for name, rows in splits.items():
        frames = (root / "split-frames" / f"{name}.txt").read_text("utf-8").splitlines()
        expected = [f"{path},{label}" for v, _, _ in rows for path, label in annotations[v]["frame_annotation"]]
        assert frames == expected
        for video_id, label, transcript in rows:
            assert (label, transcript) == (annotations[video_id]["global_ah"], annotations[video_id]["transcript"])
    assert sorted(v for rows in splits.values() for v, _, _ in rows) == sorted(annotations)
    assert yaml.safe_load((root / "split" / "class_id.yaml").read_text()) == {"With A-H": 1, "No A-H": 0}
    table = (root / "bah-video.csv").read_text("utf-8").splitlines()
    assert table[0] == "video-path,label,question"
    for line in table[1:]:
        video_id, label, question = line.rsplit(",", 2)
        assert int(label) == annotations[video_id]["global_ah"]
        assert f"_Question_{question}_" in video_id


def test_splits_share_no_participant_and_hold_both_classes(splits, annotations):
    people = {name: {v.split("/")[1] for v, _, _ in rows} for name, rows in splits.items()}
    assert {name: len(p) for name, p in people.items()} == {"train": 3, "val": 2, "test": 3}
    assert len(set.union(*people.values())) == 8
    for name, rows in splits.items():
        assert {label for _, label, _ in rows} == {0, 1}
        frames = Counter(y for v, _, _ in rows for _, y in annotations[v]["frame_annotation"])
        assert 0.1 < frames[1] / frames.total() < 0.4, name
        for person in people[name]:
            assert {label for v, label, _ in rows if v.split("/")[1] == person} == {0, 1}


def test_transcripts_words_and_split_files_agree(root, words, splits, annotations):
    languages = Counter()
    open_ends = 0
    for video_id, _, transcript in (row for rows in splits.values() for row in rows):
        spoken = words[video_id]
        languages[spoken["language"]] += 1
        assert spoken["text"] == transcript == " ".join(w["text"] for w in spoken["words"])
        edges = [t for w in spoken["words"] for t in (w["start_s"], w["stop_s"])]
        assert edges == sorted(edges)
        assert edges[0] > 0
        assert edges[-1] < len(annotations[video_id]["frame_annotation"]) / FPS
        text = next((root / "transcription" / video_id).glob("*.yml")).read_text("utf-8")
        assert "!!python/tuple" in text
        chunks = yaml.load(text.replace("!!python/tuple ", ""), Loader=yaml.CSafeLoader)
        assert chunks["text"].strip() == transcript
        assert "".join(c["text"] for c in chunks["chunks"]).strip() == transcript
        assert {c["language"] for c in chunks["chunks"]} == {{"en": "english", "fr": "french"}[spoken["language"]]}
        open_ends += sum(c["timestamp"][1] is None for c in chunks["chunks"])
    assert languages == {"en": 18, "fr": 6}
    assert open_ends == 1


def test_metadata_covers_everybody_with_refusals_of_both_kinds(root, annotations):
    meta = yaml.safe_load((root / "meta_data.yml").read_text("utf-8"))
    assert set(meta) == {video_id.split("/")[1] for video_id in annotations}
    assert "No" in {row["Use in publications"] for row in meta.values()}
    assert "No" in {row["Use in challenges"] for row in meta.values()}
    keys = {"Age", "Age range", "Birth country", "Canada province", "Ethnicity", "Ethnicity simplified", "Gender"}
    assert all(set(row) == keys | {"Is student", "Use in challenges", "Use in publications"} for row in meta.values())


def test_events_lie_inside_their_videos_and_cues_are_not_the_label(events, annotations):
    with_cues_outside = 0
    for video_id, rows in events.items():
        length_s = len(annotations[video_id]["frame_annotation"]) / FPS
        assert all(0 <= e["start_s"] < e["stop_s"] <= length_s for e in rows)
        assert any(e["code"] == "face.blink" for e in rows), video_id
        visible = {e["code"] for e in rows} - {"face.blink"}
        with_cues_outside += bool(visible) and not annotations[video_id]["global_ah"]
    assert with_cues_outside >= 8
    codes = Counter(e["code"] for rows in events.values() for e in rows)
    assert set(codes) == {
        "audio.pause", "audio.slow", "body.look_away", "body.nod", "body.shake", "body.tilt", "face.blink",
        "face.close_2", "face.eyebrow", "face.gaze", "face.hanging", "face.smile", "language.filler_sound",
        "language.hedging", "language.repetition"
    }  # fmt: skip
