"""What annotators named in segments, however it is written, and how detectors agree with it."""

from __future__ import annotations

import numpy as np
import pytest

from bah_mllm.cues.agreement import SHEETS, AnnotatedSegment, agreement, named_cues
from bah_mllm.cues.codes import CODES
from bah_mllm.cues.records import CueEvent

SHEET_OF = {modality: sheet for sheet, modality in SHEETS.items()}


def event(code):
    return CueEvent(code, 1.0, 2.0, 1, None, None, "", 1.0, "rule")


@pytest.mark.parametrize("code", [code for code, entry in CODES.items() if entry.table is not None])
def test_every_row_is_known_by_its_name_in_the_codebook_on_its_own_sheet(code):
    entry = CODES[code]
    assert named_cues({SHEET_OF[entry.modality]: [entry.row]}).codes == {code}
    assert named_cues({SHEET_OF[entry.modality]: entry.row.upper().replace(" ", "_")}).codes == {code}


@pytest.mark.parametrize(
    ("sheets", "codes"),
    [
        ({"audio": "Pause"}, {"audio.pause"}),
        ({"audio": "Pause, Slow; volume"}, {"audio.pause", "audio.slow", "audio.volume"}),
        ({"facial": ("Close 2", "close-1")}, {"face.close_2", "face.close_1"}),
        ({"facial": ["3. Smile", "12) Gaze", "2 - Frown"]}, {"face.smile", "face.gaze", "face.frown"}),
        ({"facial": "Close 2 (long)"}, {"face.close_2"}),
        ({"language": "No cap: says that it hurts"}, {"language.no_cap"}),
        ({"language": ["Filler sounds", "filler-word"]}, {"language.filler_sound", "language.filler_word"}),
        ({"body": {"Nod": 1, "Shake": 0, "Tilt": None, "Shrug": "no"}}, {"body.nod"}),
        ({"body": {"head": ["Nod", "Tilt"], "arms": {"Scratch": True}}}, {"body.nod", "body.tilt", "body.scratch"}),
        ({"body": [{"name": "Look away"}]}, {"body.look_away"}),
        ({"audio": ["face.smile", "audio.pause"]}, {"face.smile", "audio.pause"}),
        ({"Facial": ["Pause"]}, {"audio.pause"}),
        ({"inconsistencies": ["FL", "la"]}, {"clash.fl", "clash.la"}),
        ({"audio": None, "body": [], "facial": {}, "language": ""}, set()),
        ({"inconsistencies": ["None", "n/a", float("nan")]}, set()),
    ],
)
def test_entries_are_read_however_they_are_written(sheets, codes):
    named = named_cues(sheets)
    assert named.codes == codes
    assert not named.n_unknown


def test_entries_that_name_no_row_are_counted_by_sheet():
    named = named_cues({"audio": ["Pause", "sings", 7], "language": "rhymes, hedging", "body": {"floats": True}})
    assert named.codes == {"audio.pause", "language.hedging"}
    assert named.n_unknown == {"audio": 2, "language": 1, "body": 1}


def test_agreement_is_that_of_an_independent_count():
    from sklearn.metrics import cohen_kappa_score, precision_score, recall_score

    draw = np.random.default_rng(3)
    codes = ["audio.pause", "audio.slow", "face.smile", "language.excuse"]
    named = draw.random((60, len(codes))) < 0.4
    counts = draw.integers(0, 3, named.shape) * (draw.random(named.shape) < np.where(named, 0.8, 0.3))
    lengths_s = draw.uniform(1, 9, 60)
    segments = [
        AnnotatedSegment(
            frozenset(code for code, is_named in zip(codes, row, strict=True) if is_named),
            tuple(event(code) for code, count in zip(codes, found, strict=True) for _ in range(count)),
            length_s,
        )
        for row, found, length_s in zip(named, counts, lengths_s, strict=True)
    ]
    rows = agreement(segments)
    judged = {code: (named[:, k], counts[:, k]) for k, code in enumerate(codes)}
    judged["audio"] = (named[:, :2].any(axis=1), counts[:, :2].sum(axis=1))
    assert set(rows) == {*codes, "audio", "face", "language"}
    for name, (truth, n_events) in judged.items():
        row, found = rows[name], n_events > 0
        assert (row.n_named, row.n_found, row.n_both) == (truth.sum(), found.sum(), (truth & found).sum())
        assert row.precision == pytest.approx(precision_score(truth, found))
        assert row.recall == pytest.approx(recall_score(truth, found))
        assert row.kappa == pytest.approx(cohen_kappa_score(truth, found))
        assert row.false_per_min == pytest.approx(n_events[~truth].sum() / lengths_s.sum() * 60)
    assert rows["language.excuse"].is_detectable is False


def test_signs_that_annotators_cannot_name_are_left_out():
    rows = agreement([AnnotatedSegment(frozenset({"face.smile"}), (event("face.blink"), event("audio.pitch")), 2.0)])
    assert set(rows) == {"face.smile", "face"}
    assert rows["face"].n_found == 0


def test_ratios_over_nothing_are_none():
    (row, _) = agreement([AnnotatedSegment(frozenset({"face.smile"}), (event("face.smile"),), 2.0)]).values()
    assert (row.precision, row.recall, row.kappa) == (1.0, 1.0, None)
    assert agreement([]) == {}
