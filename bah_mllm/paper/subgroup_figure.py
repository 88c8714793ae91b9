"""Figure 13 of the paper: mean F1 of every method by age group and by sex, the paper's values as marks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bah_mllm.core.loading import import_optional
from bah_mllm.paper.adaptation_results import AdaptationResults
from bah_mllm.report.pictures import save_png
from supervised.adaptation.recipe import METHODS
from supervised.adaptation.summary import SMALLEST_GROUP, GroupMeans

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_subgroups"]

_LABELS = {"source_only": "Source-only", "mmd": "UDA (MMD)", "sub_based": "UDA (Sub-Based)", "shot": "SFUDA (SHOT)"}
_LABELS |= {"nrc": "SFUDA (NRC)", "oracle": "Oracle"}
# Okabe and Ito, "Color universal design", 2008; hatches tell the bars apart without colour.
_COLOURS = ("#999999", "#0072B2", "#56B4E9", "#E69F00", "#F0E442", "#009E73")
_HATCHES = ("", "//", "\\\\", "xx", "..", "++")
_TITLES = {"age_range": "age group", "sex": "sex"}


def draw_subgroups(path: Path, found: AdaptationResults, grouping: str) -> None:
    """Draw a figure into a PNG file; it says so where no subgroup is large enough.

    Args:
        path: File to write; its folder is there.
        found: Results of all methods.
        grouping: ``age_range`` or ``sex``.

    Raises:
        PrerequisiteError: matplotlib is not installed.
    """
    matplotlib = import_optional("matplotlib", extra="report", purpose="drawing figures")
    from matplotlib.figure import Figure

    ours = found.summary.subgroups[grouping]
    theirs = {} if found.paper is None else found.paper.subgroups[grouping]
    groups = sorted({*ours, *theirs})
    with matplotlib.rc_context({"font.family": "DejaVu Sans", "hatch.linewidth": 0.5}):
        figure = Figure(figsize=(11, 4.8), dpi=100, layout="constrained")
        axes = figure.add_subplot()
        if groups:
            _bars(axes, groups, ours, theirs)
            axes.legend(fontsize=8, ncols=4)
        else:
            why = f"Fewer than {SMALLEST_GROUP} targets in every {_TITLES[grouping]}: there is no mean to draw."
            axes.text(0.5, 0.5, why, ha="center", transform=axes.transAxes)
            axes.set_xticks([])
        axes.set_ylabel("mean F1 of A/H over targets")
        synthetic = " (demo set, synthetic)" if found.is_synthetic else ""
        axes.set_title(f"Adaptation by {_TITLES[grouping]}, target split by {found.target_split}{synthetic}")
        save_png(path, figure, dpi=100)


def _bars(axes: Axes, groups: list[str], ours: Mapping[str, GroupMeans], theirs: Mapping[str, GroupMeans]) -> None:
    width = 0.8 / len(METHODS)
    for number, method in enumerate(METHODS):
        places = [place + (number - (len(METHODS) - 1) / 2) * width for place in range(len(groups))]
        style: dict[str, Any] = {
            "color": _COLOURS[number],
            "hatch": _HATCHES[number],
            "edgecolor": "#333333",
            "linewidth": 0.5,
        }
        axes.bar(places, [_f1(ours, group, method) for group in groups], width, label=_LABELS[method], **style)
        marks = [(place, _f1(theirs, group, method)) for place, group in zip(places, groups, strict=True)]
        known = [(place, value) for place, value in marks if value]
        label = "the paper's value" if number == 0 else None
        if theirs:
            axes.plot([x for x, _ in known], [y for _, y in known], "D", color="black", markersize=4, label=label)
    sizes = [f"= {ours[group].n}" if group in ours else f"< {SMALLEST_GROUP}" for group in groups]
    labels = [f"{group}\n(n {size})" for group, size in zip(groups, sizes, strict=True)]
    axes.set_xticks(range(len(groups)), labels)
    axes.set_ylim(0, 1)


def _f1(groups: Mapping[str, GroupMeans], group: str, method: str) -> float:
    return (groups[group].f1.get(method) or 0.0) if group in groups else 0.0
