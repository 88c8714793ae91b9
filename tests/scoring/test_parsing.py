"""Replies of models and what they mean, written by hand; parsers must agree."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bah_mllm.core.errors import ConfigError
from bah_mllm.scoring import PARSERS, find_parser

LABELS = {"Non-Ambivalent": 0, "Ambivalent": 1}

PLAIN = [
    ("Ambivalent", 1),
    ("Non-Ambivalent", 0),
    ("ambivalent", 1),
    ("AMBIVALENT", 1),
    ("non-ambivalent", 0),
    ("NON-AMBIVALENT.", 0),
    ("Non Ambivalent", 0),
    ("NonAmbivalent", 0),
    ("Non\u2011Ambivalent", 0),
    ("Non \u2013 Ambivalent", 0),
    ("Ambivalent.", 1),
    ("Ambivalent!", 1),
    ("  Ambivalent \n", 1),
    ("Ambivalent</s>", 1),
    ("Non-Ambivalent<|im_end|>", 0),
    ("'Ambivalent'", 1),
    ('"Non-Ambivalent"', 0),
    ("\u201cAmbivalent\u201d", 1),
    ("\u2018Non-Ambivalent\u2019", 0),
    ("« Ambivalent »", 1),
    ("**Ambivalent**", 1),
    ("_Non-Ambivalent_", 0),
    ("`Ambivalent`", 1),
    ("# Non-Ambivalent", 0),
    ("- Ambivalent", 1),
    ("\uff21mbivalent", 1),
]
STATED = [
    ("Answer: Ambivalent", 1),
    ("Answer: Non-Ambivalent.", 0),
    ("**Answer:** Ambivalent", 1),
    ("The answer is Non-Ambivalent.", 0),
    ("Answer:\n\nAmbivalent", 1),
    ("ASSISTANT: Non-Ambivalent", 0),
    ("Classification: Ambivalent", 1),
    ('{"label": "Ambivalent"}', 1),
    ('{"label": "Non-Ambivalent", "confidence": 0.8}', 0),
    ("The answer is \\boxed{Ambivalent}", 1),
    ("\\boxed{\\text{Non-Ambivalent}}", 0),
    ("It could be Ambivalent or Non-Ambivalent. Final answer: Non-Ambivalent", 0),
    ("At first Non-Ambivalent. Answer: Non-Ambivalent. On reflection: Answer: Ambivalent", 1),
    ("Ambivalent.\n\nExplanation: the smile is at odds with what a Non-Ambivalent person shows.", 1),
    ("Is it Non-Ambivalent or Ambivalent?\nNon-Ambivalent", 0),
    ("Réponse : Ambivalent", 1),
    ("Ambivalent: yes", 1),
    ("Ambivalent: No", 0),
    ("Ambivalent? No.", 0),
    ("Ambivalent? Yes.", 1),
]
NEGATED = [
    ("Not ambivalent", 0),
    ("not 'Ambivalent'", 0),
    ("The person is not ambivalent.", 0),
    ("The person isn't ambivalent.", 0),
    ("The person isn\u2019t ambivalent.", 0),
    ("They are not really ambivalent", 0),
    ("He does not appear to be ambivalent.", 0),
    ("She doesn't seem ambivalent", 0),
    ("There are no signs of being ambivalent", 0),
    ("The emotion cannot be classified as ambivalent.", 0),
    ("never ambivalent", 0),
    ("hardly ambivalent", 0),
    ("unambivalent", 0),
    ("un-ambivalent", 0),
    ("Not non-ambivalent", 1),
    ("Ambivalent, not non-ambivalent", 1),
    ("Ambivalent rather than Non-Ambivalent", 1),
    ("The person is not ambivalent but non-ambivalent.", 0),
    ("La personne n'est pas ambivalente.", 0),
    ("pas du tout ambivalent", 0),
    ("La personne est ambivalente", 1),
    ("Not only ambivalent but torn", 1),
    ("No, the person is ambivalent.", 1),
    ("The person cannot decide, so: ambivalent", 1),
    ("The person in the video is ambivalent about whether to stop.", 1),
    ("The emotion in the video is Non-Ambivalent because she smiles throughout.", 0),
]
VERBOSE = [
    ("Based on the video, the emotion can be classified as 'Ambivalent'.", 1),
    ("The person appears to be non-ambivalent, as they speak with confidence.", 0),
    ("The emotion is neither clearly positive nor negative, so it is Ambivalent.", 1),
    ("Ambivalent (the person does not seem sure)", 1),
    ("It does not seem that the person is ambivalent.", 0),
    ("I don't think the person is ambivalent.", 0),
    ("I do not believe this is ambivalent", 0),
    ("There is no evidence that the person is ambivalent.", 0),
    ("It's hard to say, but I would go with Ambivalent.", 1),
    ("<think>ambivalent or non-ambivalent</think>\nAmbivalent", 1),
    ("Non-Ambivalent Non-Ambivalent", 0),
    ("Not Ambivalent (Non-Ambivalent)", 0),
    ("A) Ambivalent", 1),
]
UNPARSED = [
    "She does not smile while being ambivalent",
    "They are both ambivalent and not ambivalent",
    "Ambivalent: 0.8\nNon-Ambivalent: 0.2",
    "",
    "   \n",
    ".",
    "A",
    "A.",
    "Answer: A",
    "Yes",
    "No",
    "1",
    "Happy",
    "The person is talking in a kitchen.",
    "Ambivalence",
    "Ambivalence is the state of having contradictory or conflicting feelings",
    "Ambi",
    "ambivalently",
    "Ambivalent or Non-Ambivalent",
    "Non-Ambivalent / Ambivalent",
    "'Non-Ambivalent' or 'Ambivalent'. Respond with only one word:",
    "Classify the emotion in the video as either 'Non-Ambivalent' or 'Ambivalent'. Respond with only one word:",
    "USER: Is it 'Non-Ambivalent' or 'Ambivalent'? ASSISTANT:",
    "Non-Ambivalent. Ambivalent.",
    "1. Ambivalent\n2. Non-Ambivalent",
    "Neither ambivalent nor sure",
    "Neither Ambivalent nor Non-Ambivalent",
    "I cannot determine whether the person is ambivalent.",
    "I'm not sure the person is ambivalent",
    "It is unclear if she is ambivalent",
    "Ambivalent or not, who knows",
    "Is the person ambivalent?",
    "Ambivalent?",
    "Answer: I cannot tell, perhaps ambivalent or non-ambivalent",
    "The person is ambivalent. Answer: unknown",
    "I'm sorry, I can't say that anyone is ambivalent.",
    "\u200b\ufeff\x00",
]


@pytest.mark.parametrize(("reply", "expected"), PLAIN + STATED + NEGATED + VERBOSE)
def test_a_reply_with_an_answer_is_read(reply, expected):
    assert PARSERS["default"](reply, LABELS) == expected


@pytest.mark.parametrize("reply", UNPARSED)
def test_a_reply_without_a_clear_answer_is_unparsed(reply):
    assert PARSERS["default"](reply, LABELS) is None


@pytest.mark.parametrize("reply", [reply for reply, _ in PLAIN + STATED])
def test_the_order_of_labels_in_the_template_does_not_matter(reply):
    backwards = dict(reversed(LABELS.items()))
    assert PARSERS["default"](reply, backwards) == PARSERS["default"](reply, LABELS)


@pytest.mark.parametrize(
    ("labels", "reply", "expected"),
    [
        ({"No": 0, "Yes": 1}, "Yes", 1),
        ({"No": 0, "Yes": 1}, "no.", 0),
        ({"No": 0, "Yes": 1}, "The answer is no.", 0),
        ({"No": 0, "Yes": 1}, "Nothing is known", None),
        ({"No": 0, "Yes": 1}, "Yes or no", None),
        ({"A": 0, "B": 1}, "B", 1),
        ({"A": 0, "B": 1}, "(A)", 0),
        ({"A": 0, "B": 1}, "A person speaks", None),
        ({"A": 0, "B": 1}, "Answer: B.", 1),
        ({"0": 0, "1": 1}, "1", 1),
        ({"certain": 0, "hesitant": 1, "torn": 1}, "The person seems torn and hesitant", 1),
        ({"certain": 0, "hesitant": 1, "torn": 1}, "non-hesitant", 0),
        ({"of one mind": 0, "in two minds": 1}, "She is in two minds.", 1),
        ({"torn": 0, "torn apart": 1}, "The person is torn apart", 1),
        ({"a+b": 0, "(.*)": 1}, "a+b", 0),
        ({"-": 0, "+": 1}, "+", 1),
    ],
)
def test_labels_of_ones_own_are_read(labels, reply, expected):
    assert PARSERS["default"](reply, labels) == expected


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("USER: \nClassify. ASSISTANT: Non-Ambivalent", 0),
        ("Non-Ambivalent", 0),
        (" Non-Ambivalent \n", 0),
        ("Non-Ambivalent.", 1),
        ("non-ambivalent", 1),
        ("Ambivalent", 1),
        ("", 1),
        ("I cannot say", 1),
        ("Non-Ambivalent: certain", 1),
    ],
)
def test_the_parser_of_the_public_code_takes_all_but_one_spelling_as_positive(reply, expected):
    assert PARSERS["upstream"](reply, LABELS) == expected


@given(
    st.text(max_size=300)
    | st.lists(st.sampled_from([*LABELS, "not", "?", ":", "answer", "\n", "un", "'"])).map(" ".join)
)
def test_no_reply_makes_a_parser_fail(reply):
    assert PARSERS["default"](reply, LABELS) in (0, 1, None)
    assert PARSERS["upstream"](reply, LABELS) in (0, 1)


@pytest.mark.parametrize("piece", ["not a ", "answer: ", "ambivalent ", "<", "non ", "is the "])
def test_a_reply_of_a_megabyte_is_read_in_a_moment(piece):
    started = time.process_time()
    PARSERS["default"](piece * (1_000_000 // len(piece)), LABELS)
    assert time.process_time() - started < 2


def test_an_unknown_parser_is_refused_with_the_known_ones():
    with pytest.raises(ConfigError, match="'strict'") as caught:
        find_parser("strict")
    assert "default, upstream" in caught.value.remedy
