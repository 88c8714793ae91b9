import pytest

from bah_mllm.core.errors import DataError
from bah_mllm.core.timeline import Segment
from bah_mllm.dataset import open_dataset

HEADER = "path,participant,question,split,label,transcript,segments\n"


def test_every_column_arrives(write):
    root = write(
        {
            "set/manifest.csv": HEADER
            + 'clips/a b.mp4,anna,3,train,1,"well, ""yes""","[[0.5, 1.5], [2, 3]]"\n'
            + "clips/b.mp4,bea,,test,0,no,[]\n"
            + "clips/10001_Question_6_x.mp4,,,,,,\n",
            "set/clips/a b.mp4": b"",
        }
    )
    dataset = open_dataset(root / "set/manifest.csv")
    assert (dataset.kind, dataset.splits, dataset.edition) == ("manifest", ("train", "test"), None)
    first, second, third = dataset.videos()
    assert (first.video_id, first.participant_id, first.question, first.label) == ("clips/a b.mp4", "anna", 3, 1)
    assert first.transcript.text == 'well, "yes"'
    assert first.segments == (Segment(start_s=0.5, stop_s=1.5), Segment(start_s=2.0, stop_s=3.0))
    assert first.path == root.resolve() / "set/clips/a b.mp4"
    assert (second.label, second.segments, second.path, second.question) == (0, (), None, None)
    assert (third.participant_id, third.question, third.label, third.split) == ("10001", 6, None, None)
    assert third.segments is None
    assert dataset.frame_labels(first, n_frames=8, fps=2.0).tolist() == [0, 1, 1, 0, 1, 1, 0, 0]


def test_parquet_says_the_same_as_csv(write):
    import pyarrow as pa
    from pyarrow import parquet

    rows = {
        "path": ["a.mp4", "b.mp4"],
        "question": [2.0, None],
        "label": [True, None],
        "segments": [[[0.5, 1.5]], []],
        "transcript": ["one, two", None],
    }
    root = write(
        {"manifest.csv": 'path,question,label,segments,transcript\na.mp4,2,1,"[[0.5,1.5]]","one, two"\nb.mp4,,,[],\n'}
    )
    parquet.write_table(pa.table(rows), root / "other.parquet")
    assert open_dataset(root / "other.parquet").videos() == open_dataset(root).videos()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("participant,label\nx,1\n", "no column 'path'"),
        ("a.mp4,anna,marmalade\n", "no column 'path'"),
        ("path,path\na,b\n", "two columns"),
        ("path,lable\na.mp4,1\n", "unknown column 'lable'"),
        ("path\n", "lists no video"),
        ("", "no column"),
        ("path,label\n../a.mp4,1\n", "line 2: the path"),
        ("path,label\n/a.mp4,1\n", "line 2: the path"),
        ("path,label\na.mp4,1\n,1\n", "line 3: path = '': is empty"),
        ("path,label\na.mp4,2\n", "label = '2': is no label"),
        ("path,label\na.mp4,marmalade and toast\n", "label = a text of 19"),
        ("path,question\na.mp4,0\n", "question = '0': is not from 1"),
        ("path,question\na.mp4,two\n", "question = 'two': is no whole number"),
        ("path,transcript\na.mp4,marmalade, toast\n", "line 2 has 3 values, but there are 2 columns"),
        ('path,transcript\na.mp4,"marmalade\n', "no valid CSV"),
        ("path,segments\na.mp4,marmalade\n", "no JSON list"),
        ('path,segments\na.mp4,"[[2, 1]]"\n', "no JSON list"),
        ('path,segments\na.mp4,"[[0, NaN]]"\n', "no JSON list"),
        ('path,segments\na.mp4,"[[-1, 1]]"\n', "no JSON list"),
        ('path,segments\na.mp4,"[[true, 2]]"\n', "no JSON list"),
        ("path,segments\na.mp4," + "[" * 50_000 + "\n", "no JSON list"),
        ('path,label,segments\na.mp4,0,"[[0, 1]]"\n', "label is 0, but there are 1"),
        ("path,label,segments\na.mp4,1,[]\n", "label is 1, but there are 0"),
        ("path,label\na.mp4,1\na.mp4,0\n", "label 1"),
        ("path\na\x00.mp4\n", "NUL"),
    ],
)
def test_malformed_manifests_are_refused_without_anybodys_words(write, text, problem):
    root = write({"manifest.csv": text})
    with pytest.raises(DataError, match=problem) as caught:
        open_dataset(root)
    assert "marmalade" not in caught.value.problem + caught.value.remedy


def test_damaged_parquet_is_refused(write):
    with pytest.raises(DataError, match=r"manifest\.parquet cannot be read"):
        open_dataset(write({"manifest.parquet": b"PAR1 not at all"}))


def test_a_missing_label_follows_from_the_segments(write):
    root = write({"manifest.csv": 'path,segments\na.mp4,"[[0, 1]]"\nb.mp4,[]\nc.mp4,\n'})
    assert [video.label for video in open_dataset(root).videos()] == [1, 0, None]


def test_a_folder_of_videos_is_a_data_set_without_labels(write):
    root = write({"anna/two.MP4": b"1", "anna/one.mov": b"", "x é.webm": b"", ".trash/old.mp4": b"", "notes.md": b""})
    dataset = open_dataset(root)
    assert (dataset.kind, dataset.splits) == ("folder", ())
    assert [(video.video_id, video.participant_id) for video in dataset.videos()] == [
        ("anna/one.mov", "anna"),
        ("anna/two.MP4", "anna"),
        ("x é.webm", "x é"),
    ]
    assert {video.label for video in dataset.videos()} == {None}
    assert dataset.video("two").path.read_bytes() == b"1"
    assert dataset.frame_labels(dataset.video("two"), n_frames=5) is None
    assert {task.name for task in dataset.tasks() if task.is_possible} == {"score_videos"}


def test_word_times_beside_a_video_belong_to_it(write):
    words = '{"words": [{"text": "so", "start_s": 0.1, "stop_s": 0.4}]}'
    dataset = open_dataset(write({"a.mp4": b"", "a.words.json": words, "b.mp4": b""}))
    assert dataset.transcript(dataset.video("a")).text == "so"
    assert dataset.transcript(dataset.video("b")) is None


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(DataError, match="neither a data set nor a video"):
        open_dataset(tmp_path)


def test_a_full_id_wins_over_the_same_name_in_a_folder(write):
    dataset = open_dataset(write({"a.mp4": b"", "anna/a.mp4": b""}))
    assert dataset.video("a.mp4").video_id == "a.mp4"
    with pytest.raises(DataError, match="2 videos"):
        dataset.video("a")


def test_a_relative_path_stays_good_when_the_working_folder_changes(write, monkeypatch, tmp_path_factory):
    monkeypatch.chdir(write({"set/a.mp4": b"1"}))
    dataset = open_dataset("set")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert dataset.video("a").path.read_bytes() == b"1"


LABELS = "path,participant,label\na.mp4,p1,{}\nb.mp4,p2,{}\nc.mp4,p3,{}\n"


@pytest.mark.parametrize(
    "content",
    [
        LABELS.format("1.0", "0.0", ""),
        LABELS.format("True", "false", "nan"),
        LABELS.format("1", "0", "NA").replace(",", ";"),
        LABELS.format("1,0", "0,0", "")
        .replace("mp4,", "mp4;")
        .replace("path,participant,", "path;participant;")
        .replace("p1,", "p1;")
        .replace("p2,", "p2;")
        .replace("p3,", "p3;"),
        LABELS.format("1", "0", "").replace(",", "\t").encode("utf-16"),
        LABELS.format("1", "0", "").replace("path", "Path").replace("label", " LABEL "),
        LABELS.format("1", "0", "").replace("\n", ",,\n"),
    ],
)
def test_labels_are_read_as_spreadsheets_and_data_frames_write_them(write, content):
    dataset = open_dataset(write({"manifest.csv": content}))
    assert [video.label for video in dataset.videos()] == [1, 0, None]
    assert [video.participant_id for video in dataset.videos()] == ["p1", "p2", "p3"]


@pytest.mark.parametrize("name", ["manifest.tsv", "manifest.jsonl", "manifest.csv.gz"])
def test_manifests_are_found_by_all_their_suffixes(write, name):
    import gzip

    text = {"manifest.tsv": "path\tlabel\na.mp4\t1\n", "manifest.jsonl": '{"path": "a.mp4", "label": 1}\n'}
    content = text.get(name, gzip.compress(b"path,label\na.mp4,1\n"))
    root = write({name: content, "a.mp4": b""})
    for path in (root, root / name):
        dataset = open_dataset(path)
        assert (dataset.kind, [video.label for video in dataset.videos()]) == ("manifest", [1])


def test_rows_that_contradict_each_other_are_refused_with_both_lines(write):
    for header, first, second in (("label", "1", "0"), ("split", "train", "test"), ("participant", "a", "b")):
        root = write({"manifest.csv": f"path,{header}\na.mp4,{first}\nb.mp4,{first}\na.mp4,{second}\n"})
        with pytest.raises(DataError, match=f"lines 2 and 4: two values of {header} for one video"):
            open_dataset(root)


def test_rows_that_repeat_each_other_count_once(write):
    dataset = open_dataset(write({"manifest.csv": "path,label\na.mp4,1\na.mp4,1\n"}))
    assert len(dataset) == 1
    assert [problem.what for problem in dataset.problems] == ["listed twice, in lines 2 and 3; it counts once"]


def test_label_0_without_segments_means_that_no_frame_is_positive(write):
    text = 'path,label,segments\na.mp4,0,\nb.mp4,1,\nc.mp4,,\nd.mp4,1,"[[0, 1]]"\n'
    dataset = open_dataset(write({"manifest.csv": text}))
    labels = [dataset.frame_labels(video, n_frames=4, fps=2.0) for video in dataset.videos()]
    assert [None if found is None else found.tolist() for found in labels] == [[0, 0, 0, 0], None, None, [1, 1, 0, 0]]


@pytest.mark.parametrize("digits", [400, 5000])
def test_a_number_of_very_many_digits_is_refused_with_its_line(write, digits):
    for text in (
        f'path,segments\na.mp4,\nb.mp4,"[[1, {"9" * digits}]]"\n',
        f"path,question\na.mp4,\nb.mp4,{'9' * digits}\n",
    ):
        with pytest.raises(DataError, match=r"manifest\.csv, line 3: "):
            open_dataset(write({"manifest.csv": text}))


def test_columns_of_others_are_left_out_and_named(write):
    dataset = open_dataset(write({"manifest.csv": ",path,fps,doctor\n0,a.mp4,24,x\n"}))
    assert dataset.notes == ("manifest.csv: columns that mean nothing here are left out: fps, doctor",)
