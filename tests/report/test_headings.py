"""Every metric that the evaluator knows has one name in tables."""

from __future__ import annotations

from bah_mllm.evaluation.events import EventScores
from bah_mllm.evaluation.metrics import METRICS
from bah_mllm.report.headings import HEADINGS
from bah_mllm.report.numbers import above_interval, difference, figure


def test_every_metric_has_a_heading_of_its_own():
    assert set(HEADINGS) == {*METRICS, *EventScores._fields}
    assert len(set(HEADINGS.values())) == len(HEADINGS)


def test_what_is_undefined_is_a_dash_everywhere():
    assert (above_interval(None, None), difference(None, None, None), figure(None, 2)) == ("-", "-", "-")


def test_cells_of_the_terminal_stand_above_each_other():
    assert above_interval(0.5714, (0.25, 1.0)) == ".571\n.25-1.00"
    assert above_interval(0.5714, None) == ".571"
    assert above_interval(12.5, (3.0, 40.0), write=figure) == "12.500\n3.00-40.00"
    assert difference(-0.0831, (-0.1, 0.02), 0.25) == "-0.083\n-0.10 +0.02\np .250"
