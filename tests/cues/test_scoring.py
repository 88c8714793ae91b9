"""Cues against annotations: words of a disfluency corpus, and events. The corpus lines were made up for these tests."""

import itertools
import random
from dataclasses import asdict

import pytest

from bah_mllm.core.errors import DataError
from bah_mllm.cues.records import CueEvent
from bah_mllm.cues.scoring import score_events, score_words


def corpus(tmp_path, *speakers, name="words.csv"):
    """Write speakers, each a list of ``word tags``, half a second a word."""
    lines = []
    for number, said in enumerate(speakers):
        lines.append(f"Speaker: {number}A")
        for place, entry in enumerate(said):
            word, _, tags = entry.partition(" ")
            lines.append(f"(1:0:{place})\t{place * 0.5}\t{place * 0.5 + 0.4}\t{word}\tX\t{tags or '<f/>'}<cc/>")
        lines.append("")
    path = tmp_path / name
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


# "um" is marked and found; "y'all" is marked and no rule knows it; "uh" is found and not marked.
# "the the" is a repetition that is found; "red blue" a substitution that no rule finds; "w-" is broken off.
FIRST = [
    "um <e/>",
    'the <rms id="3"/>',
    'the <rps id="3"/><rpnrep id="3"/>',
    'red <rms id="9"/>',
    'blue <rps id="9"/><rpnsub id="9"/>',
    "uh",
    "door",
]
# The same id again for another repair of another kind; a marked repetition with a word between, which is not found.
SECOND = [
    "yall <e/>",
    "saw",
    'w- <rms id="3"/>',
    'water <rps id="3"/><rpnsub id="3"/>',
    'stones <rms id="4"/>',
    'quickly <rm id="4"/>',
    'stones <rps id="4"/><rpnrep id="4"/>',
]


def test_words_are_scored_over_all_speakers(tmp_path):
    scores = score_words(corpus(tmp_path, FIRST, SECOND))
    # edit terms: flagged um, uh; marked um, yall -> 1 of 2 and 1 of 2
    assert asdict(scores.edit_terms) == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "n": 2}
    # reparandum: flagged the, w-; marked the, red, w-, stones, quickly -> 2 of 2, 2 of 5, 2*2/(2+5)
    assert asdict(scores.reparandum) == {"precision": 1.0, "recall": 0.4, "f1": pytest.approx(4 / 7), "n": 5}
    assert asdict(scores.repetition_events) == {"recall": 0.5, "n": 2}
    assert asdict(scores.partial) == {"recall": 1.0, "n": 1}
    assert (scores.n_words, scores.n_speakers) == (14, 2)


def test_tags_and_parts_of_speech_are_no_input(tmp_path):
    marked = score_words(corpus(tmp_path, FIRST))
    bare = score_words(corpus(tmp_path, [entry.split()[0] for entry in FIRST], name="bare.csv"))
    assert bare.edit_terms.recall is None
    assert marked.edit_terms.n == 1
    # two words are flagged as edit terms with and without their tags: none of them is marked in the second file
    assert marked.edit_terms.precision == 0.5
    assert bare.edit_terms.precision == 0.0


def test_one_speaker_does_not_repair_another(tmp_path):
    scores = score_words(corpus(tmp_path, ["we", "saw", "the"], ["the", "dog"]))
    assert asdict(scores.reparandum) == {"precision": None, "recall": None, "f1": None, "n": 0}


def test_marks_of_uncertain_words_are_taken_off(tmp_path):
    scores = score_words(corpus(tmp_path, ["$unc$um <e/>", "door"]))
    assert scores.edit_terms.recall == 1.0


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("(1:0:1)\t0.0\t0.4\tdoor\tNN", "line 3 has 5 values, but there are 6 columns"),
        ("(1:0:1)\tsoon\t0.4\tdoor\tNN\t<f/>", "line 3: start = 'soon': is no number"),
        ("(1:0:1)\tnan\t0.4\tdoor\tNN\t<f/>", "line 3: start = 'nan': is empty"),
        ("id,start,end,door,POS,tags", "line 3 has 1 values, but there are 6 columns"),
    ],
)
def test_a_malformed_line_is_named_without_its_words(tmp_path, line, problem):
    path = corpus(tmp_path, ["um"])
    path.write_text("\n".join([*path.read_text().splitlines()[:2], line]))
    with pytest.raises(DataError) as caught:
        score_words(path)
    assert str(path) in caught.value.problem
    assert problem in caught.value.problem
    assert "door" not in caught.value.problem


@pytest.mark.parametrize("content", [b"", b"\n\n", b"Speaker: 1A\n", b"\xff\xfe\x00"])
def test_a_file_without_words_is_refused(tmp_path, content):
    path = tmp_path / "words.csv"
    path.write_bytes(content)
    with pytest.raises(DataError):
        score_words(path)


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"none\.csv cannot be read"):
        score_words(tmp_path / "none.csv")


def test_a_header_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path):
    plain = corpus(tmp_path, FIRST)
    other = tmp_path / "other.csv"
    text = "id\tstart\tend\tword\tPOS\ttags\n" + plain.read_text()
    other.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert score_words(other) == score_words(plain)


# --- events


def event(code, start_s, stop_s):
    return CueEvent(code, start_s, stop_s, 1, None, None, "", 1.0, "words")


def test_events_are_paired_one_to_one():
    truth = [("face.smile", 1.0, 2.0), ("face.smile", 4.0, 5.0), ("face.blink", 3.0, 3.2)]
    found = [event("face.smile", 1.5, 1.6), event("face.smile", 1.7, 2.4), event("audio.pause", 7.0, 8.0)]
    scores = score_events(found, truth, tolerance_s=0.2, minutes=2.0)
    assert list(scores) == ["audio.pause", "face.blink", "face.smile"]
    smile = scores["face.smile"]
    assert (smile.n_found, smile.n_truth, smile.n_matched) == (2, 2, 1)
    assert (smile.precision, smile.recall, smile.false_per_min) == (0.5, 0.5, 0.5)
    assert (scores["face.blink"].precision, scores["face.blink"].recall) == (None, 0.0)
    assert (scores["audio.pause"].precision, scores["audio.pause"].recall) == (0.0, None)
    assert scores["audio.pause"].false_per_min == 0.5


@pytest.mark.parametrize(("start_s", "n_matched"), [(2.19, 1), (2.21, 0)])
def test_a_tolerance_bridges_a_gap_of_that_size(start_s, n_matched):
    scores = score_events([event("face.smile", start_s, 3.0)], [("face.smile", 1.0, 2.0)], tolerance_s=0.2, minutes=1.0)
    assert scores["face.smile"].n_matched == n_matched


def test_a_long_event_does_not_take_the_only_partner_of_another():
    truth = [("face.smile", 0.0, 1.0), ("face.smile", 9.0, 10.0)]
    found = [event("face.smile", 0.0, 10.0), event("face.smile", 0.2, 0.8)]
    for order in itertools.permutations(found):
        assert score_events(order, truth, tolerance_s=0.0, minutes=1.0)["face.smile"].n_matched == 2


def test_pairs_are_as_many_as_trying_all_of_them_finds():
    rng = random.Random(7)
    for _ in range(60):
        spans = [
            [(start, start + rng.uniform(0.1, 3)) for start in (rng.uniform(0, 6) for _ in range(4))] for _ in "ab"
        ]
        best = max(
            sum(a[0] <= b[1] and b[0] <= a[1] for a, b in zip(spans[0], order, strict=True))
            for order in itertools.permutations(spans[1])
        )
        scores = score_events(
            [event("face.smile", *span) for span in spans[0]],
            [("face.smile", *span) for span in spans[1]],
            tolerance_s=0.0,
            minutes=1.0,
        )
        assert scores["face.smile"].n_matched == best


def test_nothing_found_and_nothing_there_gives_no_scores():
    assert score_events([], [], tolerance_s=0.2, minutes=1.0) == {}


def test_no_time_looked_at_is_refused():
    with pytest.raises(ValueError, match="0 minutes"):
        score_events([], [], tolerance_s=0.2, minutes=0)
