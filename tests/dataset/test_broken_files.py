"""`data check` names every file beside the videos that cannot be read, also where nothing has to read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bah_mllm.dataset import open_dataset
from bah_mllm.dataset.check import check_dataset


def problems(root: Path) -> list[tuple[str, str]]:
    return [(problem.where, problem.what) for problem in check_dataset(open_dataset(root)).problems]


@pytest.fixture
def words(bah_root, names):
    """Word times beside the chunks of the first video, which are then read in their place."""
    chunks = bah_root / "transcription" / names.first / f"{Path(names.first).stem}.yml"
    path = chunks.with_name(f"{Path(names.first).stem}.words.json")
    path.write_text('{"words": [{"text": "plums", "start_s": 0, "stop_s": 1}]}')
    return path


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("a: [b", "no valid YAML"),
        ("- a", "no transcript with a text and chunks"),
        ("chunks: 3\n", "no transcript with a text and chunks"),
        ("chunks:\n- text: [a, b]\n  timestamp: [0, 1]\n", "chunk 0: the text is no text"),
        ("text: {a: 1}\nchunks: []\n", "the text is no text"),
        ("chunks:\n- text: a\n  timestamp: [0, soon]\n", "no number of seconds"),
        ("text: " + "9" * 5000, "a whole number beyond"),
        ("text: 0x" + "f" * 5000, "a whole number beyond"),
        ("text: " + "1:" * 5000 + "1", "a whole number beyond"),
        ("text: " + "[" * 5000 + "]" * 5000, "levels deep"),
        ("\x00\x01", "no valid YAML"),
    ],
)
def test_broken_chunks_are_a_problem_also_where_word_times_win(words, bah_root, content, told):
    chunks = words.with_name(words.name.replace(".words.json", ".yml"))
    chunks.write_text(content)
    name = chunks.relative_to(bah_root).as_posix()
    found = [what for where, what in problems(bah_root) if where == name]
    assert len(found) == 1
    assert told in found[0]
    assert len(found[0]) < 200


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "no valid JSON"),
        ("[]", "no object with a list 'words'"),
        ('{"words": [], "text": 3}', "'text' or 'language' is no text"),
        ('{"words": [], "language": ["en"]}', "'text' or 'language' is no text"),
        ('{"words": [{"text": "a", "start_s": 1e999, "stop_s": 2}]}', "no number of seconds"),
        ('{"words": [{"text": "a", "start_s": "0", "stop_s": 2}]}', "no number of seconds"),
        ('{"words": [{"start_s": 0, "stop_s": 2}]}', "word 0 has no text"),
        ('{"words": [], "words": []}', "appears twice"),
    ],
)
def test_broken_word_times_are_one_problem(words, bah_root, content, told):
    words.write_text(content)
    found = [what for _, what in problems(bah_root) if words.name in what]
    assert len(found) == 1
    assert told in found[0]


def test_a_file_of_words_of_nobody_and_a_missing_one_are_problems(bah_root, names):
    (bah_root / "transcription" / "stray.yml").write_text("a: [b")
    found = problems(bah_root)
    assert ("transcription/stray.yml" in dict(found)) is True
    assert (names.spaced, "its file of timed words is missing") in found  # its split has one of another video
    assert (names.third, "its file of timed words is missing") not in found


def test_metadata_that_cannot_be_read_are_problems_by_participant_and_without_values(bah_root):
    path = bah_root / "meta_data.yml"
    path.write_text(path.read_text().replace("Gender: Male", "Gender: [secret]"))
    found = [problem for problem in problems(bah_root) if "meta_data" in problem[0]]
    assert found == [
        ("meta_data.yml, participant 10001", "'Gender' is no plain value, and left out"),
        (
            "meta_data.yml, participant 10002",
            "'Use in publications' says neither yes nor no, which counts as a refusal",
        ),
        ("meta_data.yml, participant 10003", "has no entry, which counts as a refusal"),
    ]


@pytest.mark.parametrize(
    "content", ["a: [b", "- a", "10001: 3", "a: 1\na: 2", b"a: \xff", "a: !!python/object:os.system x"]
)
def test_a_broken_file_of_metadata_is_one_problem(bah_root, content):
    path = bah_root / "meta_data.yml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert len([where for where, _ in problems(bah_root) if "meta_data" in where]) == 1


def test_an_entry_of_the_annotations_that_belongs_to_no_split_is_read_too(bah_root):
    path = bah_root / "video_annotation_transcript.yaml"
    path.write_text(path.read_text() + "Videos/9/x.mp4:\n  global_ah: 7\n")
    assert (
        "Videos/9/x.mp4",
        "video_annotation_transcript.yaml, Videos/9/x.mp4: global_ah is neither 0 nor 1.",
    ) in problems(bah_root)
