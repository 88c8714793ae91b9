"""The codebook's rows as codes."""

import re

import pytest

from bah_mllm.cues.codes import CODES, CONFIDENCE, CueCode, detectable_codes, undetectable

# Row names as printed in Tables 9 to 13 of the paper.
TABLES = {
    9: ["Close 2", "Close 1", "Squint", "Frown", "Eyebrow", "Gaze", "Eye roll", "Open", "Smile", "Pout", "Lip press",
        "Hanging", "Mouth", "Wrinkle Chin", "Nose"],
    10: ["Filler sound", "Filler word", "Hedging", "Correction", "Repetition", "Positive", "Negative", "Excuse",
         "Success", "Fail", "Cap", "No cap", "Mot", "No mot", "Opp", "No opp"],
    11: ["Pause", "Cut words", "Slow", "Fast", "Volume", "Shaky voice", "Breath", "Click", "Laugh", "Stuttering"],
    12: ["Look away", "Shake", "Tilt", "Throw", "Sigh", "Nod", "Shrug", "Hands", "Posture", "Scratch", "Restless"],
    13: ["FL", "FA", "FB", "LA", "LB", "AB"],
}  # fmt: skip


@pytest.mark.parametrize("table", TABLES)
def test_every_row_of_the_codebook_is_a_code_named_after_it(table):
    rows = [entry for entry in CODES.values() if entry.table == table]
    assert [entry.row for entry in rows] == TABLES[table]
    for entry in rows:
        assert entry.code == f"{entry.modality}.{entry.row.lower().replace(' ', '_')}"


def test_signs_beside_the_codebook_are_marked_as_such():
    extra = {code for code, entry in CODES.items() if entry.modality == "extra"}
    assert extra == {"face.blink", "audio.pitch", "audio.unlexicalised"}
    assert all(CODES[code].table is None for code in extra)


def test_every_code_is_detectable_or_says_why_not():
    assert set(detectable_codes()) | set(undetectable()) == set(CODES)
    assert not set(detectable_codes()) & set(undetectable())
    assert all(reason for reason in undetectable().values())


def test_what_is_said_about_change_takes_a_language_model():
    com_b = {entry.code for entry in CODES.values() if entry.table == 10} - set(detectable_codes())
    assert com_b == {f"language.{row}" for row in
                     ("positive", "negative", "excuse", "success", "fail", "cap", "no_cap", "mot", "no_mot", "opp",
                      "no_opp")}  # fmt: skip


def test_confidence_falls_with_the_grade():
    assert CONFIDENCE["A"] > CONFIDENCE["B"] > CONFIDENCE["C"] > CONFIDENCE["X"] == 0


def test_phrases_tell_the_codes_apart_in_a_few_words():
    phrases = [entry.phrase for entry in CODES.values()]
    assert len(set(phrases)) == len(phrases)
    assert all(re.fullmatch(r"[a-z]+( [a-z]+){0,4}", phrase) for phrase in phrases)


def test_an_undetectable_code_without_a_reason_is_refused():
    with pytest.raises(ValueError, match=r"face\.nose"):
        CueCode("face.nose", "face", "Nose", 9, "X", detectable=False, reason_if_not="", phrase="", definition="")
