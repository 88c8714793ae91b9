"""The paper's experiment on personalization: six methods, Tables 22 to 26 and both parts of Figure 13."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bah_mllm.core.files import write_atomically
from bah_mllm.core.saying import say
from bah_mllm.dataset import demo_root, open_dataset
from bah_mllm.paper.adaptation_published import (
    paper_people,
    paper_sizes,
    paper_summary,
    paper_targets,
    participant_of_sizes,
)
from bah_mllm.paper.subgroup_figure import draw_subgroups
from supervised.adaptation.recipe import METHODS
from supervised.adaptation.report import experiment_lines
from supervised.adaptation.summary import TRIVIAL, subgroup_means, summarise
from supervised.flows.adapt import adapt, make_request

__all__ = ["adaptation_experiment"]


def adaptation_experiment(
    *,
    out: Path,
    data: str | None,
    source: Path | None = None,
    overrides: Sequence[str] = (),
    **settings: Any,  # noqa: ANN401 - of every request
) -> dict[str, Any]:
    """Run or resume all six methods over all targets, and write the tables and figures beside them.

    One source model is trained, with the recipe of ``source_only``, and all methods start from it.

    Args:
        out: A run folder for each method, ``table22.md`` (Tables 22 to 26), ``table22.json``, ``figure13a.png`` (age)
            and ``figure13b.png`` (sex).
        data: Root of a data set; None is the demo set.
        source: Folder of a trained model; None trains one.
        overrides: For every recipe (``features.visual=face-resnet18``), or for one (``mmd:loop.epochs=1``).
        settings: ``features``, ``split``, ``target_split``, ``workers`` and ``seed``: see ``AdaptRequest``.

    Returns:
        What ``table22.json`` holds: settings, ``summary``, ``targets``, and the values of the ``paper``, None for a
        synthetic data set.

    Raises:
        BahError: See ``adapt``.
    """
    records: dict[str, dict[str, Any]] = {}
    for method in METHODS:
        request = make_request(
            method,
            _those_of(method, overrides),
            out=out / method,
            data=data,
            source=source if method == METHODS[0] else out / METHODS[0] / "source",
            **settings,
        )
        say(f"{method} -> {request.out}")
        records[method] = adapt(request)
    dataset = open_dataset(demo_root() if data is None else data)
    people = {person.participant_id: person.metadata for person in dataset.participants()}
    found = _joined(records, people)
    write_atomically(out / "table22.json", (json.dumps(found, indent=1, allow_nan=False) + "\n").encode())
    write_atomically(out / "table22.md", ("\n".join(experiment_lines(found)) + "\n").encode())
    for figure, grouping in (("figure13a", "age_range"), ("figure13b", "sex")):
        draw_subgroups(out / f"{figure}.png", found, grouping)
    say(f"the tables are in {out / 'table22.md'}")
    return found


def _those_of(method: str, overrides: Sequence[str]) -> list[str]:
    """Return the overrides for every recipe and for this one."""
    chosen = []
    for override in overrides:
        prefix, colon, rest = override.partition(":")
        if colon and prefix in METHODS:
            chosen += [rest] if prefix == method else []
        elif method != METHODS[0] or not override.startswith("loop."):  # the source model is not adapted to anybody
            chosen.append(override)
    return chosen


def _joined(records: Mapping[str, Mapping[str, Any]], people: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Return the records of all methods as one, with the paper's values."""
    first = records[METHODS[0]]
    kept = [one for one in first["targets"] if all(one not in record["failed"] for record in records.values())]
    targets = {
        one: {
            **{name: first["targets"][one]["metrics"][name] for name in TRIVIAL},
            **{method: records[method]["targets"][one]["metrics"][method] for method in METHODS},
        }
        for one in kept
    }
    sizes = {one: first["targets"][one]["sizes"] for one in kept}
    return {
        "experiment": "table22",
        "data": first["data"],
        "features": first["features"],
        "notes": first["notes"],
        "target_split": first["target_split"],
        "selection": {method: record["selection"] for method, record in records.items()},
        "excluded": first["excluded"],
        "failed": {method: record["failed"] for method, record in records.items() if record["failed"]},
        "summary": summarise(targets, people, [*METHODS, *TRIVIAL]),
        "targets": {one: {"sizes": sizes[one], "metrics": targets[one]} for one in kept},
        "paper": None if first["data"]["is_synthetic"] else _paper(sizes),  # the paper's numbers are about people
    }


def _paper(sizes: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """Return the paper's values: Table 22, Figure 13, and Tables 23 to 26 for targets that have the paper's frames."""
    printed = {who: target for who, target in paper_targets().items() if target["source_only"]["f1"] is not None}
    same: dict[str, Any] = {}
    for one, parts in sizes.items():
        who = participant_of_sizes(*(parts[f"train_{c}"] + parts[f"val_{c}"] + parts[f"test_{c}"] for c in ("ah", "n")))
        if who is not None:
            same[one] = {
                "participant": who,
                "sizes": paper_sizes()[who]._asdict(),
                "metrics": {method: dict(cells) for method, cells in paper_targets()[who].items()},
            }
    return {
        "source": "BAH paper, Tables 22 to 26 and Figure 13; columns SHOT and NRC of Tables 24 to 26 exchanged",
        "table22": {
            method: {metric: {"mean": mean, "std": std} for metric, (mean, std) in cells.items()}
            for method, cells in paper_summary().items()
        },
        "subgroups": subgroup_means(printed, paper_people(), METHODS),
        "targets": same,
    }
