"""Replies as models write them when nobody stops them: thoughts, reasons, denials, hedges; values read by hand."""

from __future__ import annotations

import time

import pytest

from bah_mllm.scoring import PARSERS
from bah_mllm.scoring.thinking import without_thoughts

LABELS = {"Non-Ambivalent": 0, "Ambivalent": 1}

THOUGHTS = [
    ("<think>She could be Ambivalent or not.</think>\n\nNon-Ambivalent", 0),
    ("<think>\nThe answer is Non-Ambivalent? No.\n</think>\nAmbivalent", 1),
    ("<thinking>Answer: Ambivalent</thinking> Non-Ambivalent.", 0),
    ("<reasoning>not ambivalent at first</reasoning><answer>Ambivalent</answer>", 1),
    ("[THINK]Ambivalent. No, wait.[/THINK]Non-Ambivalent", 0),
    ("<|begin_of_thought|>Ambivalent<|end_of_thought|><|begin_of_solution|>Non-Ambivalent<|end_of_solution|>", 0),
    ("<|START_THINKING|>Non-Ambivalent<|END_THINKING|>Ambivalent", 1),
    ("<THINK>Ambivalent</THINK>Non-Ambivalent", 0),
    ("◁think▷Ambivalent◁/think▷Non-Ambivalent", 0),
    ("<seed:think>Ambivalent</seed:think>Non-Ambivalent", 0),
    ("She smiles, so Ambivalent fits.\n</think>\nNon-Ambivalent", 0),  # the template has opened the tag
    (
        "<|channel|>analysis<|message|>Ambivalent?<|end|><|start|>assistant<|channel|>final<|message|>Non-Ambivalent",
        0,
    ),
    ("analysisShe says yes: Ambivalent.assistantfinalNon-Ambivalent", 0),
    ("<think>one</think>Ambivalent<think>two, Non-Ambivalent</think>", 1),
    ("<think>Ambivalent", None),
    ("<think>So the answer is Ambivalent. Answer: Ambivalent", None),
    ("[THINK] Non-Ambivalent", None),
    ("<|begin_of_thought|> Answer: Ambivalent", None),
    ("<reasoning>Ambivalent", None),
    ("<think>Ambivalent</think>", None),
    ("Ambivalent <think> let me check", None),
    ("I think the person is ambivalent", 1),  # no tag
]
STATED = [
    ("The answer is Non-Ambivalent, since an Ambivalent person would hesitate.", 0),
    ("The answer is Non-Ambivalent because an Ambivalent person would look away.", 0),
    ("The answer is Ambivalent, as a Non-Ambivalent person speaks without pauses.", 1),
    ("Answer: Ambivalent. A Non-Ambivalent speaker would not sigh.", 1),
    ("Answer: Non-Ambivalent (Ambivalent would need mixed signals)", 0),
    ("Answer: Ambivalent\nReason: nothing Non-Ambivalent was seen", 1),
    ("Final answer: Non-Ambivalent\n\nNote that ambivalent people often pause.", 0),
    ("My final answer is **Non-Ambivalent**, although Ambivalent was close.", 0),
    ("\\boxed{Non-Ambivalent}, since Ambivalent is not supported", 0),
    ("$\\boxed{\\text{Ambivalent}}$", 1),
    ("The answer is not Ambivalent, it is Non-Ambivalent.", 0),
    ("The answer is: 'Ambivalent'. The other option was 'Non-Ambivalent'.", 1),
    ("**Non-Ambivalent**\n\nAn Ambivalent person would show conflicting feelings.", 0),
    ("The classification is **Ambivalent**, not **Non-Ambivalent**.", 1),
    ("I considered Ambivalent and Non-Ambivalent; this is **Ambivalent**.", 1),
    ("Non-Ambivalent, because an ambivalent person would hesitate.", 0),
    ("Ambivalent: a non-ambivalent person does not shrug.", 1),
    ('{"emotion": "Non-Ambivalent", "reason": "An Ambivalent person would pause."}', 0),
    ('```json\n{"reason": "not Ambivalent at all", "emotion": "Non-Ambivalent"}\n```', 0),
    ('{"ambivalent": true}', 1),
    ('{"Ambivalent": false}', 0),
    ('["Ambivalent"]', 1),
    ("The answer is Non-Ambivalent. I hope this answer is helpful.", 0),
    ("The answer is Ambivalent, or maybe Non-Ambivalent.", None),
    ("The person speaks like a Non-Ambivalent one. Therefore, the emotion shown is Ambivalent.", 1),
    ("Some ambivalent cues are there, but overall I would say Non-Ambivalent.", 0),
    ("Ambivalent. Wait, on second thought: Non-Ambivalent.", 0),
    ("Non-Ambivalent. However, ambivalent moments occur.", 0),
    ("Ambivalent... no, Non-Ambivalent.", 0),
    ("It is more Ambivalent than Non-Ambivalent.", 1),
    ("La réponse est Non-Ambivalent, car une personne ambivalente hésiterait.", 0),
]
DENIED = [
    ("far from ambivalent", 0),
    ("The person is far from ambivalent.", 0),
    ("She is anything but ambivalent.", 0),
    ("He is anything but non-ambivalent.", 1),
    ("The speaker is hardly ambivalent about quitting.", 0),
    ("The person shows no signs of being ambivalent.", 0),
    ("There are no signs of ambivalent behaviour.", 0),
    ("no signs of ambivalence", 0),
    ("She lacks ambivalent cues.", 0),
    ("The speaker lacks any ambivalence.", 0),
    ("She lacks confidence and is ambivalent.", 1),
    ("She is neither hesitant nor ambivalent.", 0),
    ("She is neither ambivalent nor hesitant.", 0),
    ("Rather than ambivalent, the person seems decided.", 0),
    ("The person is decided rather than ambivalent.", 0),
    ("Instead of Ambivalent, I would choose Non-Ambivalent.", 0),
    ("This is by no means ambivalent.", 0),
    ("The person is nowhere near ambivalent.", 0),
    ("I would not call this person ambivalent.", 0),
    ("It would be wrong to call her ambivalent.", 0),
    ("Ambivalent is not the right label.", 0),
    ("'Ambivalent' does not apply here.", 0),
    ("Nothing ambivalent about her.", 0),
    ("He is not hesitant or ambivalent.", 0),
    ("She does not come across as ambivalent.", 0),
    ("The person is without doubt ambivalent.", 1),
    ("not unambivalent", 1),
    ("Elle est loin d'être ambivalente.", 0),
    ("Elle n'est ni hésitante ni ambivalente.", 0),
    ("Tout sauf ambivalente.", 0),
    ("The person shows no ambivalence at all.", 0),
    ("Never once does she seem ambivalent.", 0),
    ("I wouldn't go with ambivalent.", 0),
    ("Non-\nAmbivalent", 0),
    ("La personne semble non-ambivalente.", 0),
]
REASONED = [
    ("The person is Non-Ambivalent, since an Ambivalent person would hesitate.", 0),
    ("An Ambivalent person would hesitate. This person is Non-Ambivalent.", 0),
    ("While she seems non-ambivalent at first, she is ambivalent.", 1),
    ("Although he claims to be non-ambivalent, his face is ambivalent.", 1),
    ("If she were ambivalent, she would pause; she is non-ambivalent.", 0),
    ("Unlike an ambivalent speaker, this one is clearly non-ambivalent.", 0),
    ("It is hard to say whether it is Ambivalent or Non-Ambivalent, but I would say Ambivalent.", 1),
    ("Asked for either 'Non-Ambivalent' or 'Ambivalent': she is ambivalent.", 1),
    ("The person is ambivelent.", 1),
    ("Non-Ambivalant", 0),
    ("non ambivilent", 0),
    ("The person shows clear ambivalence about quitting.", 1),
]
UNDECIDED = [
    "either 'Non-Ambivalent' or 'Ambivalent'",
    "The emotion in the video is either 'Non-Ambivalent' or 'Ambivalent'.",
    "Please choose either Ambivalent or Non-Ambivalent.",
    "The person could be Ambivalent or Non-Ambivalent.",
    "The person is both Ambivalent and Non-Ambivalent.",
    "Ambivalent/Non-Ambivalent",
    "Answer: Ambivalent/Non-Ambivalent",
    "Answer: either Ambivalent or Non-Ambivalent",
    "Answer: unclear",
    "She is sometimes ambivalent and sometimes non-ambivalent.",
    "Possibly ambivalent, possibly non-ambivalent.",
    "The person is ambivalent, but could also be non-ambivalent.",
    "An ambivalent person would hesitate.",
    "Is it ambivalent or non-ambivalent?",
    "I cannot tell whether the person is ambivalent.",
    '{"answer": "Ambivalent or Non-Ambivalent"}',
    '{"Ambivalent": 0.6, "Non-Ambivalent": 0.4}',
    "The person is torn.",
    "The person may or may not be ambivalent.",
    "Ambivalent (80%), Non-Ambivalent (20%)",
    "Is there ambivalence?",
]


@pytest.mark.parametrize(("reply", "expected"), THOUGHTS)
def test_thoughts_are_cut_before_reading(reply, expected):
    assert PARSERS["default"](reply, LABELS) == expected


@pytest.mark.parametrize(("reply", "expected"), STATED)
def test_a_stated_answer_wins_over_what_stands_around_it(reply, expected):
    assert PARSERS["default"](reply, LABELS) == expected


@pytest.mark.parametrize(("reply", "expected"), DENIED)
def test_a_denied_label_is_its_opposite(reply, expected):
    assert PARSERS["default"](reply, LABELS) == expected


@pytest.mark.parametrize(("reply", "expected"), REASONED)
def test_reasons_concessions_and_echoes_do_not_hide_the_answer(reply, expected):
    assert PARSERS["default"](reply, LABELS) == expected


@pytest.mark.parametrize("reply", UNDECIDED)
def test_a_reply_that_does_not_decide_is_unparsed(reply):
    assert PARSERS["default"](reply, LABELS) is None


@pytest.mark.parametrize(
    ("labels", "reply", "expected"),
    [
        ({"No": 0, "Yes": 1}, "<think>yes?</think>No", 0),
        ({"No": 0, "Yes": 1}, "The answer is yes, since no other reading fits.", 1),
        ({"A": 0, "B": 1}, "<reasoning>A or B</reasoning>\nAnswer: (B)", 1),
        ({"certain": 0, "hesitant": 1}, "far from certain", 1),
        ({"certain": 0, "hesitant": 1}, "The speaker shows ambivalence", None),
    ],
)
def test_labels_of_ones_own_are_read_as_well(labels, reply, expected):
    assert PARSERS["default"](reply, labels) == expected


def test_thoughts_of_a_megabyte_are_cut_in_a_moment():
    started = time.process_time()
    assert PARSERS["default"]("<think>" + "ambivalent " * 100_000 + "</think>Non-Ambivalent", LABELS) == 0
    for piece in ("<think", "<|channel|>", "{", '{"a', "[THINK]", "if ", "neither ", "lacks any "):
        PARSERS["default"](piece * (1_000_000 // len(piece)), LABELS)
    assert time.process_time() - started < 6


def test_a_reply_without_tags_is_left_as_it_is():
    assert without_thoughts("I think [so] <b>Ambivalent</b>") == "I think [so] <b>Ambivalent</b>"


def test_the_parser_of_the_public_code_reads_thoughts_as_it_always_did():
    assert PARSERS["upstream"]("<think>Ambivalent</think>Non-Ambivalent", LABELS) == 1
