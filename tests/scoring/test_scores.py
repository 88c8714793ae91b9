"""Label scores and what becomes of an engine's answer."""

import math
from decimal import Decimal, getcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bah_mllm.core.errors import EngineError
from bah_mllm.core.records import Answer, RenderedPrompt, Status
from bah_mllm.predictions.schema import PredictionRow
from bah_mllm.scoring import PARSERS, p_positive, read_answer

LABELS = {"Non-Ambivalent": 0, "Ambivalent": 1}
logps = st.floats(min_value=-600, max_value=0)


def prompt(labels=LABELS, n_neutralised=0):
    return RenderedPrompt(name="simple", text="Classify", labels=labels, n_neutralised=n_neutralised)


def result(answer, **kwargs):
    return read_answer(answer, prompt(**kwargs), PARSERS["default"])


def test_two_labels_share_the_probability_by_their_odds():
    score = p_positive({"Non-Ambivalent": math.log(0.2), "Ambivalent": math.log(0.6)}, LABELS)
    assert score.p_positive == pytest.approx(0.75, abs=1e-12)
    assert score.mass == pytest.approx(0.8, abs=1e-12)


def test_probabilities_of_labels_with_the_same_value_add_up():
    labels = {"certain": 0, "hesitant": 1, "torn": 1}
    score = p_positive({"certain": math.log(0.1), "hesitant": math.log(0.2), "torn": math.log(0.1)}, labels)
    assert score.p_positive == pytest.approx(0.75, abs=1e-12)
    assert score.mass == pytest.approx(0.4, abs=1e-12)


@given(st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), logps, min_size=4))
def test_p_agrees_with_forty_digit_arithmetic(logp):
    getcontext().prec = 40
    labels = {"a": 0, "b": 1, "c": 0, "d": 1}
    exact = {label: Decimal(value).exp() for label, value in logp.items()}
    expected = (exact["b"] + exact["d"]) / sum(exact.values())
    assert p_positive(logp, labels).p_positive == pytest.approx(float(expected), rel=1e-9, abs=1e-300)


@given(st.floats(min_value=-1e6, max_value=0))
def test_a_tie_is_exactly_one_half(logp):
    assert p_positive({"Non-Ambivalent": logp, "Ambivalent": logp}, LABELS).p_positive == 0.5


def test_labels_far_below_floating_point_keep_their_ratio():
    score = p_positive({"Non-Ambivalent": -5000.0, "Ambivalent": -5000.0 + math.log(3)}, LABELS)
    assert score.p_positive == pytest.approx(0.75, abs=1e-9)
    assert score.mass == 0.0


def test_the_mass_never_exceeds_one():
    assert p_positive({"Non-Ambivalent": -0.5, "Ambivalent": -0.1}, LABELS).mass == 1.0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_score_that_is_not_finite_is_named(bad):
    with pytest.raises(EngineError, match="'Ambivalent'") as caught:
        p_positive({"Non-Ambivalent": -1.0, "Ambivalent": bad}, LABELS)
    assert "'Non-Ambivalent'" not in caught.value.problem


def test_a_missing_score_is_named():
    with pytest.raises(EngineError, match="'Ambivalent'"):
        p_positive({"Non-Ambivalent": -1.0}, LABELS)


# --- rows -------------------------------------------------------------------------------------------------------------


def test_scores_become_a_probability_and_leave_the_label_to_the_evaluator():
    row = result(Answer(logp={"Non-Ambivalent": math.log(0.2), "Ambivalent": math.log(0.6), "other": -9.0}))
    assert row.p_positive == pytest.approx(0.75)
    assert (row.label, row.status, row.detail, row.reply) == (None, Status.OK, None, None)
    assert set(row.logp) == set(LABELS)


def test_scores_that_are_not_finite_become_an_engine_error():
    row = result(Answer(logp={"Non-Ambivalent": -1.0, "Ambivalent": math.nan}))
    assert (row.status, row.p_positive, row.logp) == (Status.ENGINE_ERROR, None, None)
    assert "'Ambivalent'" in row.detail


def test_a_reply_becomes_a_label():
    row = result(Answer(reply="Not ambivalent."))
    assert (row.label, row.p_positive, row.status, row.reply) == (0, None, Status.OK, "Not ambivalent.")


def test_a_reply_with_neither_label_is_unparsed_and_kept():
    row = result(Answer(reply="Happy"))
    assert (row.label, row.status, row.reply) == (None, Status.UNPARSED, "Happy")


def test_the_parser_that_is_asked_for_is_used():
    assert read_answer(Answer(reply="Happy"), prompt(), PARSERS["upstream"]).label == 1


def test_a_failure_keeps_its_status_and_reason():
    row = result(Answer(failure=(Status.TOO_LONG, "5,000 tokens do not fit into 4,096.")))
    assert (row.status, row.detail) == (Status.TOO_LONG, "5,000 tokens do not fit into 4,096.")


def test_an_answer_without_content_is_an_engine_error():
    assert result(Answer()).status is Status.ENGINE_ERROR


@pytest.mark.parametrize(
    "answer",
    [
        Answer(logp={"Non-Ambivalent": -1.0, "Ambivalent": -2.0}),
        Answer(logp={"Non-Ambivalent": -1.0}),
        Answer(reply="Ambivalent"),
        Answer(failure=(Status.ENGINE_ERROR, "It stopped.")),
    ],
)
def test_neutralised_markers_are_told_in_every_row(answer):
    assert "2 control markers in the text made harmless" in result(answer, n_neutralised=2).detail


@pytest.mark.parametrize(
    "answer",
    [
        Answer(logp={"Non-Ambivalent": -1.0, "Ambivalent": -2.0}),
        Answer(logp={"Non-Ambivalent": -1.0, "Ambivalent": math.inf}),
        Answer(reply="Ambivalent"),
        Answer(reply="half a pair: \ud83d"),
        Answer(failure=(Status.ENGINE_ERROR, "It stopped.")),
        Answer(),
    ],
)
def test_every_result_fits_into_a_row_that_can_be_written(answer):
    row = result(answer)
    written = PredictionRow(
        system="simple@scripted:test", video_id="v", participant_id="p", level="video",
        p_positive=row.p_positive, label=row.label, status=row.status, detail=row.detail,
        logp=None if row.logp is None else dict(row.logp), reply=row.reply,
    )  # fmt: skip
    assert PredictionRow.model_validate_json(written.model_dump_json().encode("utf-8")) == written
