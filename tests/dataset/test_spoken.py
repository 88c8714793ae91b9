import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bah_mllm.core.errors import DataError
from bah_mllm.core.records import Chunk, Transcript, Word
from bah_mllm.dataset.spoken import chunked_transcript, read_words, repair_chunk_times, write_words

TIMES = st.none() | st.floats(0, 30, allow_nan=False)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ([], []),
        ([(0.0, 4.0), (4.0, 9.5)], [(0.0, 4.0), (4.0, 9.5)]),
        # Two restarts: each stretch begins where the one before was last heard.
        (
            [(0.0, 28.0), (0.0, 10.0), (10.0, 27.5), (0.5, 3.0)],
            [(0.0, 28.0), (28.0, 38.0), (38.0, 55.5), (56.0, 58.5)],
        ),
        # A stretch of a single chunk, then one that opens with silence.
        ([(0.0, 29.0), (1.2, 7.0)], [(0.0, 29.0), (30.2, 36.0)]),
        # The end of a stretch was not heard: all of its 30 s have passed.
        ([(0.0, 12.0), (12.0, None), (0.0, 5.0)], [(0.0, 12.0), (12.0, 30.0), (30.0, 35.0)]),
        # Overlapping neighbours are no restart.
        ([(2.0, 9.0), (6.0, 12.0)], [(2.0, 9.0), (9.0, 12.0)]),
        ([(0.0, 3.0), (3.0, None)], [(0.0, 3.0), (3.0, None)]),
        ([(None, None), (None, 2.0)], [(0.0, 0.0), (0.0, 2.0)]),
    ],
)
def test_chunk_times_become_seconds_from_the_start(written, meant):
    assert repair_chunk_times(written) == meant


@given(st.lists(st.tuples(TIMES, TIMES)))
def test_repaired_times_never_fall_and_only_the_last_end_may_be_unknown(spans):
    repaired = repair_chunk_times(spans)
    assert len(repaired) == len(spans)
    assert None not in [stop for _, stop in repaired[:-1]]
    flat = [time for span in repaired for time in span if time is not None]
    assert flat == sorted(flat)


def test_chunks_keep_text_language_and_order():
    said = chunked_transcript(
        {
            "text": " Oui, non ",
            "chunks": [
                {"language": "french", "text": " Oui, ", "timestamp": (0.0, 1.0)},
                {"language": "french", "text": "\u200b", "timestamp": (1.0, 1.5)},
                {"language": "english", "text": "non", "timestamp": [1.5, None]},
            ],
        },
        where="x",
    )
    assert said == Transcript("Oui, non", "fr", (Chunk("Oui,", 0.0, 1.0), Chunk("non", 1.5, None)))


@pytest.mark.parametrize(
    "value",
    [
        [1],
        None,
        {"chunks": "many"},
        {"chunks": ["text"]},
        {"chunks": [{"text": "a", "timestamp": [1.0]}]},
        {"chunks": [{"text": "a", "timestamp": ["0", "1"]}]},
        {"chunks": [{"text": "a", "timestamp": [-1.0, 1.0]}]},
        {"chunks": [{"text": "a", "timestamp": [0.0, float("nan")]}]},
        {"chunks": [{"text": "a", "timestamp": [0.0, float("inf")]}]},
    ],
)
def test_malformed_chunks_are_refused_with_their_place(value):
    with pytest.raises(DataError, match=r"^clip\.yml"):
        chunked_transcript(value, where="clip.yml")


def test_words_come_back_as_they_were_written(tmp_path):
    said = Transcript(
        "Ça va, non?", "fr", words=(Word("Ça", 0.25, 0.5), Word("va,", 0.5, 0.75), Word("non?", 2.0, 2.5))
    )
    path = tmp_path / "new folder" / "clip.words.json"
    write_words(path, said, source="a person")
    assert read_words(path) == said
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["source"] == "a person"
    assert content["words"][0] == {"text": "Ça", "start_s": 0.25, "stop_s": 0.5}
    assert [file.name for file in path.parent.iterdir()] == ["clip.words.json"]


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b"[" * 100_000,
        b'{"words": 3}',
        b'{"words": [{"start_s": 0, "stop_s": 1}]}',
        b'{"words": [{"text": "a", "start_s": 1, "stop_s": 0.5}]}',
        b'{"words": [{"text": "a", "start_s": 1, "stop_s": 2}, {"text": "b", "start_s": 0.5, "stop_s": 2}]}',
        b'{"words": [{"text": "a", "start_s": 1, "stop_s": null}]}',
        b'{"words": [{"text": "a", "start_s": NaN, "stop_s": 1}]}',
        b'{"words": [{"text": "a", "start_s": true, "stop_s": 1}]}',
        b'{"words": [{"text": "\xff", "start_s": 0, "stop_s": 1}]}',
    ],
)
def test_malformed_word_files_are_refused(write, content):
    root = write({"clip.words.json": content})
    with pytest.raises(DataError, match=r"^clip\.words\.json"):
        read_words(root / "clip.words.json")
