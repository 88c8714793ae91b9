"""Two signs that contradict each other are a clash where both are sure and last together; else they are none."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bah_mllm.core.records import Word
from bah_mllm.cues.clashes import clash_events
from bah_mllm.cues.codes import CODES, CONFIDENCE
from bah_mllm.cues.records import CueEvent


def event(code, start_s=2.0, stop_s=3.0, *, value=None, usual=None, confidence=0.7):
    return CueEvent(code, start_s, stop_s, 2, value, usual, "z" if value else "", confidence, "rule")


def below(code):
    return event(code, value=1.0, usual=3.0)


def above(code):
    return event(code, value=3.0, usual=1.0)


CLASHES = [
    ("clash.fl", event("face.smile"), event("language.negative")),
    ("clash.fl", event("face.smile"), event("language.no_mot")),
    ("clash.fl", event("face.frown"), event("language.positive")),
    ("clash.fl", event("face.pout"), event("language.success")),
    ("clash.fa", event("face.smile"), below("audio.pitch")),
    ("clash.fa", event("face.smile"), below("audio.volume")),
    ("clash.fb", event("body.nod"), event("face.frown")),
    ("clash.fb", event("body.nod"), event("face.lip_press")),
    ("clash.la", event("language.positive"), below("audio.volume")),
    ("clash.ab", event("body.nod"), below("audio.slow")),
]


@pytest.mark.parametrize(("code", "one", "other"), CLASHES)
def test_signs_that_contradict_each_other_clash_while_both_last(code, one, other):
    one, other = replace(one, start_s=1.5), replace(other, stop_s=3.5)
    for events in ([one, other], [other, one]):
        (clash,) = clash_events(events, ())
        assert (clash.code, clash.start_s, clash.stop_s) == (code, 2.0, 3.0)
        assert clash.confidence == pytest.approx(CONFIDENCE["C"] * 0.7)


@pytest.mark.parametrize(("code", "one", "other"), CLASHES)
def test_signs_that_are_unsure_or_hardly_meet_do_not(code, one, other):
    assert clash_events([replace(one, confidence=0.5), other], ()) == []
    assert clash_events([one, replace(other, start_s=2.75, stop_s=4.0)], ()) == []
    assert len(clash_events([one, replace(other, start_s=2.65, stop_s=4.0)], ())) == 1


@pytest.mark.parametrize(
    "sign", [above("audio.pitch"), event("audio.volume"), event("language.mot"), event("body.nod")]
)
def test_a_smile_goes_with_most_things(sign):
    assert clash_events([event("face.smile"), sign], ()) == []


@pytest.mark.parametrize(
    ("head", "word"),
    [
        ("body.shake", "Yes,"),
        ("body.shake", "Ouais."),
        ("body.nod", "no"),
        ("body.nod", "«Non»"),
        ("body.nod", "Never!"),
    ],
)
def test_a_head_that_says_otherwise_clashes_with_yes_and_no(head, word):
    (clash,) = clash_events([event(head)], [Word("well", 1.8, 1.9), Word(word, 2.2, 2.4), Word(word, 2.5, 2.6)])
    assert (clash.code, clash.start_s, clash.stop_s) == ("clash.lb", 2.0, pytest.approx(2.8))
    other = {"body.shake": "body.nod", "body.nod": "body.shake"}[head]
    assert clash_events([event(other)], [Word(word, 2.2, 2.4)]) == []
    assert clash_events([event(head)], [Word(word, 4.0, 4.2)]) == []


def test_every_clash_of_the_codebook_can_happen():
    can = {code for code, _, _ in CLASHES} | {"clash.lb"}
    assert can == {code for code, entry in CODES.items() if entry.modality == "clash" and entry.detectable}
