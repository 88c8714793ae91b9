import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bah_mllm.core.errors import DataError
from bah_mllm.dataset.split_files import SplitLine, parse_split_line, read_split, read_split_frames

NAME = "Videos/1/Visite_1/1_Question_2_2024-05-01 10-00-00_Video.mp4"


@given(
    path=st.from_regex(r"Videos/[0-9]{5}/Visite_1/[\w é-]{1,20}\.mp4", fullmatch=True),
    label=st.sampled_from([0, 1]),
    words=st.lists(st.text(st.characters(blacklist_categories=("Z", "C")), min_size=1), min_size=1),
)
def test_a_line_gives_back_what_was_written_whatever_the_words(path, label, words):
    transcript = " ".join(words)
    assert parse_split_line(f"{path},{label},{transcript}", where="x") == SplitLine(path, label, transcript)


@given(st.text())
@example("//")  # POSIX lets two slashes stand for a root of their own
@example("//a.mp4,1,plums")
def test_any_line_is_parsed_or_refused_with_its_place(line):
    problem = ""
    try:
        parsed = parse_split_line(line, where="train.txt, line 7")
    except DataError as error:
        problem = error.problem
    if problem:
        assert problem.startswith("train.txt, line 7")
    else:
        assert parsed.label in (0, 1, None)
        assert ".." not in parsed.video_id.split("/")
        assert not parsed.video_id.startswith("/")


def test_the_transcript_keeps_its_commas_and_loses_invisible_edges():
    assert parse_split_line(f"{NAME},1,\u200b well, yes, \u00e9\u00e0 \u200b", where="x").transcript == "well, yes, éà"


@pytest.mark.parametrize("rest", ["", ",", ",,", ",-1", ",-1,", ", ,\u200b"])
def test_a_withheld_label_and_an_empty_transcript_are_unknown(rest):
    assert parse_split_line(NAME + rest, where="x") == SplitLine(NAME, None, None)


@pytest.mark.parametrize(
    "path", ["../secret.mp4", "/etc/passwd", "Videos/../../x.mp4", "C:\\x.mp4", "..\\x.mp4", "a\x07b"]
)
def test_a_path_that_leads_outside_is_refused(path):
    with pytest.raises(DataError, match=r"train\.txt, line 3"):
        parse_split_line(f"{path},1,word", where="train.txt, line 3")


def test_a_missing_comma_does_not_show_anybodys_words():
    with pytest.raises(DataError) as caught:
        parse_split_line(f"{NAME},marmalade and more", where="train.txt, line 3")
    assert "marmalade" not in caught.value.problem + caught.value.remedy
    assert "train.txt, line 3" in caught.value.problem


def test_lines_end_at_line_feeds_only_and_byte_order_marks_are_skipped(write):
    root = write({"val.txt": f"\ufeff{NAME},1,a\u2028b\x85c\x0bd\r\n\r\n{NAME},0,e".encode()})
    lines = read_split(root / "val.txt")
    assert lines == [(NAME, 1, "a\u2028b\x85c\x0bd"), (NAME, 0, "e")]


@pytest.mark.parametrize(
    "content", [b"Videos/a.mp4,1,ok\nVideos/b.mp4,1,\xff\n", b"Videos/a.mp4,1,ok\nVideos/b.mp4,1,\x00\n"]
)
def test_damaged_bytes_are_named_by_file_and_line(write, content):
    root = write({"val.txt": content})
    with pytest.raises(DataError, match=r"val\.txt, line 2"):
        read_split(root / "val.txt")


def test_frame_lists_give_labels_in_order_of_frames(write):
    root = write(
        {"val.txt": "".join(f"Videos/a, b.mp4/frame-{k}.jpg,{int(k > 9)}\n" for k in (1, 0, 2, 10, *range(3, 10)))}
    )
    assert read_split_frames(root / "val.txt")["a, b.mp4"].tolist() == [0] * 10 + [1]


def test_frame_lists_that_count_from_one_keep_all_their_labels(write):
    root = write({"val.txt": "v.mp4/frame-1.jpg,1\nv.mp4/frame-2.jpg,0\n"})
    assert read_split_frames(root / "val.txt")["v.mp4"].tolist() == [1, 0]


@pytest.mark.parametrize("numbers", [(0, 2), (0, 0, 1), (2, 3)])
def test_a_gap_or_a_repetition_among_frames_is_refused(write, numbers):
    root = write({"val.txt": "".join(f"v.mp4/frame-{k}.jpg,0\n" for k in numbers)})
    with pytest.raises(DataError, match=r"v\.mp4: the frame labels skip or repeat"):
        read_split_frames(root / "val.txt")


@pytest.mark.parametrize("line", ["v.mp4/frame-0.jpg", "v.mp4/frame-0.jpg,2", "frame-0.jpg,1", "v.mp4/face.jpg,1"])
def test_malformed_frame_lines_are_refused(write, line):
    root = write({"val.txt": line + "\n"})
    with pytest.raises(DataError, match=r"val\.txt"):
        read_split_frames(root / "val.txt")
