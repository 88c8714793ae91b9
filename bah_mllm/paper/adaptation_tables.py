"""Tables 22 to 26 and the numbers of Figure 13 as Markdown, the paper's values beside ours."""

from __future__ import annotations

from bah_mllm.core.notes import SYNTHETIC
from bah_mllm.paper.adaptation_published import PublishedPerson
from bah_mllm.paper.adaptation_results import AdaptationResults
from bah_mllm.report.headings import HEADINGS
from bah_mllm.report.markup import Table
from bah_mllm.report.numbers import UNDEFINED, figure, with_deviation
from supervised.adaptation.protocol import PartSizes
from supervised.adaptation.recipe import METHODS
from supervised.adaptation.report import SHOWN
from supervised.adaptation.summary import TRIVIAL

__all__ = ["adaptation_markdown"]

_PAPER = ("f1", "wf1", "ap_bah")  # its AP is ap_bah


def adaptation_markdown(heading: str, found: AdaptationResults) -> str:
    """Return all tables below each other."""
    text = [f"# {heading}", "", *_above(found)]
    parts = [
        (f"Table 22: mean ± sd over {found.summary.n_targets} targets", _means(found)),
        ("Table 23: frames of each target", _sizes(found)),
        *(
            (f"Table {number}: {HEADINGS[metric]} of each target", _by_target(found, metric))
            for number, metric in ((24, "f1"), (25, "wf1"), (26, "ap_bah"))
        ),
        *(
            (f"Figure 13{part}: mean F1 by {grouping}", _by_group(found, grouping))
            for part, grouping in (("a", "age_range"), ("b", "sex"))
        ),
    ]
    for title, table in parts:
        text += ["", f"## {title}", "", table.to_markdown()]
    return "\n".join(text) + "\n"


def _above(found: AdaptationResults) -> list[str]:
    """Return what a reader must know before the first table."""
    notes = [SYNTHETIC, *found.notes] if found.is_synthetic else found.notes
    lines = [line for note in notes for line in (f"**{note}**", "")]
    selection = ", ".join(f"{method} {how}" for method, how in found.selection.items())
    lines += [
        f"Target split: {found.target_split}. Features: {', '.join(found.features.values())}.",
        f"Epochs selected by: {selection}.",
    ]
    if found.paper is not None:
        lines.append(
            "Paper: columns SHOT and NRC of its Tables 24 to 26 are exchanged, as Table 22 shows that they must be."
        )
    if found.target_split == "frame":
        lines.append("Test frames have neighbours among the training frames, as in the paper: results are optimistic.")
    lines += [f"Left out: {participant} ({reason})." for participant, reason in found.excluded.items()]
    lines += [
        f"Failed: {method}, {participant} ({reason}); left out of every row."
        for method, failed in found.failed.items()
        for participant, reason in failed.items()
    ]
    return lines


def _means(found: AdaptationResults) -> Table:
    summary, paper = found.summary, found.paper
    headings = ["system", *(HEADINGS[metric] for metric in SHOWN), "F1 > source", "F1 > all-positive"]
    rows = []
    for system in (*METHODS, *TRIVIAL):
        cells = [summary.systems[system][metric] for metric in SHOWN]
        wins = summary.wins.get(system)
        above = [UNDEFINED] * 2 if wins is None else [str(wins.over_source_only), str(wins.over_all_positive)]
        rows.append([system, *(with_deviation(cell.mean, cell.std) for cell in cells), *above])
    if paper is not None:
        headings += [f"paper {HEADINGS[metric]}" for metric in _PAPER]
        for row in rows:
            theirs = paper.spreads.get(row[0])
            row += [with_deviation(*theirs[metric]) if theirs else UNDEFINED for metric in _PAPER]
    return Table(headings, rows)


def _sizes(found: AdaptationResults) -> Table:
    classes = {"ah": "A/H", "n": "not A/H"}
    parts = (name.split("_") for name in PartSizes._fields)
    headings = ["target", *(f"{part} {classes[of]}" for part, of in parts), "left out"]
    rows = [
        [participant, *(str(target.sizes[name]) for name in (*PartSizes._fields, "left_out"))]
        for participant, target in found.targets.items()
    ]
    if found.paper is not None:
        headings.append("paper")
        for row in rows:
            person = _printed(found, row[0])
            row.append(UNDEFINED if person is None else " / ".join(map(str, person.sizes)))
    return Table(headings, rows)


def _printed(found: AdaptationResults, participant: str) -> PublishedPerson | None:
    return None if found.paper is None else found.paper.people.get(participant)


def _by_target(found: AdaptationResults, metric: str) -> Table:
    rows = []
    for participant, target in found.targets.items():
        person = _printed(found, participant)
        theirs = {} if person is None else person.metrics
        cells = []
        for system in (*METHODS, *TRIVIAL):
            value = theirs.get(system, {}).get(metric)
            cells.append(
                figure(target.metrics[system][metric]) + ("" if value is None else f" (paper {figure(value)})")
            )
        rows.append([participant, *cells])
    return Table(["target", *METHODS, *TRIVIAL], rows)


def _by_group(found: AdaptationResults, grouping: str) -> Table:
    sides = {"ours": found.summary.subgroups[grouping]}
    if found.paper is not None:
        sides["paper"] = found.paper.subgroups[grouping]
    rows = [
        [f"{group} ({whose}, n = {cells.n})", *(figure(cells.f1.get(system)) for system in (*METHODS, *TRIVIAL))]
        for whose, groups in sides.items()
        for group, cells in groups.items()
    ]
    return Table(["group", *METHODS, *TRIVIAL], rows)
