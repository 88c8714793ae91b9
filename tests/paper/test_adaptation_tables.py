"""Tables 22 to 26 and Figure 13, from adaptations on the demo set."""

from __future__ import annotations

import json

import pytest

from supervised.adaptation import METHODS
from supervised.adaptation.record import DataAdaptedOn
from supervised.adaptation.summary import GroupMeans, Summary


@pytest.mark.slow
def test_the_whole_experiment_is_one_call(tmp_path, features, source):
    found = _whole_experiment(tmp_path, features, source)
    assert set(found["summary"]["systems"]) == {*METHODS, "all-positive", "all-negative"}
    table = (tmp_path / "table22.md").read_text()
    assert "demo set (synthetic)" in table
    assert found["paper"] is None  # its numbers are about people
    assert not any(word in table for word in ("paper F1", "(paper", "Paper:", "| paper |"))
    assert (
        "| target | train A/H | train not A/H | val A/H | val not A/H | test A/H | test not A/H | left out |" in table
    )
    assert all(f"## Table {number}" in table for number in range(22, 27))
    for part in "ab":
        assert (tmp_path / f"figure13{part}.png").read_bytes().startswith(b"\x89PNG")
    assert _whole_experiment(tmp_path, features, source) == found


def _whole_experiment(out, features, source) -> dict:
    from bah_mllm.paper.experiments import ExperimentRequest, run_experiment

    quick = ["loop.epochs=1", "features.visual=made-up", "sub_based:subject_stage.loop.epochs=1"]
    request = ExperimentRequest(settings={"out": str(out)}, features=features, source=source, overrides=quick)
    assert run_experiment("table22", request, json_path=None) is False
    return json.loads((out / "table22.json").read_text())


def test_a_figure_without_groups_says_why_it_is_empty(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    from bah_mllm.paper.adaptation_results import AdaptationResults
    from bah_mllm.paper.subgroup_figure import draw_subgroups

    drawn = []
    save = Figure.savefig

    def remember(figure, *args, **kinds):
        drawn.append(figure.axes[0])
        save(figure, *args, **kinds)

    monkeypatch.setattr(Figure, "savefig", remember)
    of_sex = {"F": GroupMeans(n=2, f1=dict.fromkeys(METHODS, 0.5))}
    summary = Summary(n_targets=2, systems={}, wins={}, subgroups={"age_range": {}, "sex": of_sex})
    nothing = {name: {} for name in ("features", "selection", "excluded", "failed", "targets")}
    data = DataAdaptedOn(name="demo", edition=None, is_synthetic=True)
    found = AdaptationResults(data=data, notes=(), target_split="frame", summary=summary, paper=None, **nothing)
    for grouping in ("age_range", "sex"):
        draw_subgroups(tmp_path / f"{grouping}.png", found, grouping)
    empty, full = drawn
    assert [text.get_text() for text in empty.texts] == [
        "Fewer than 2 targets in every age group: there is no mean to draw."
    ]
    assert empty.get_legend() is None
    assert full.get_legend() is not None
    assert not full.texts


def test_on_people_the_papers_values_stand_beside_ours(tmp_path, features, source, monkeypatch):
    from bah_mllm.paper import adaptation

    original = adaptation.adapt

    def adapt_people(request):
        record = original(request)
        of_people = record.data.model_copy(update={"is_synthetic": False})
        return record.model_copy(update={"data": of_people, "notes": ["of random weights"]})

    monkeypatch.setattr(adaptation, "adapt", adapt_people)
    found = _whole_experiment(tmp_path, features, source)
    assert found["paper"]["table22"]["shot"]["f1"] == {"mean": 0.2487, "std": 0.1189}
    table = (tmp_path / "table22.md").read_text()
    assert "demo set (synthetic)" not in table
    lines = table.splitlines()
    assert lines.index("**of random weights**") < next(n for n, line in enumerate(lines) if line.startswith("|"))
    (shot,) = (line for line in table.splitlines() if line.startswith("| shot |") and "0.2487 ± 0.1189" in line)
    assert shot.split(" | ")[-3] == "0.2487 ± 0.1189"
    assert "| 35-44 (paper, n = 14) |" in table


@pytest.mark.slow
def test_the_experiments_command_makes_the_papers_tables(bah, tmp_path, features, source):
    quick = ["loop.epochs=1", "features.visual=made-up", "sub_based:subject_stage.loop.epochs=1"]
    options = [part for one in quick for part in ("--set", one)]
    options += ["--features", features, "--source", source, "--out", tmp_path / "out", "--target-split", "video"]
    code, out, err = bah("experiment", "table22", *options)
    assert code == 0, err
    assert "## Table 22" in out
    assert (tmp_path / "out/figure13a.png").exists()
    code, _, err = bah("experiment", "table22", *options, "--seeds", "0:2")
    assert code == 2
    assert "one seed" in err
