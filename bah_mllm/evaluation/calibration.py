"""Do the probabilities mean what they say? Reliability bins, and corrections made from stored rows alone.

A language model's answer leans towards a label for reasons that have nothing to do with the video: the label's words,
its place in the prompt. Corrections for that need no labels, only the same question asked in other ways, which
``run --content-free --both-orders`` stores as rows of other variants. Every correction is named, and its name becomes
part of the system's: ``x`` turns into ``x+content_free``. Nothing is fitted to the labels of the judged videos.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bah_mllm.core.errors import ConfigError, DataError
from bah_mllm.core.records import Level, Status, Unanswered, Variant
from bah_mllm.evaluation.align import align
from bah_mllm.evaluation.counts import N_ECE_BINS, ece_bins
from bah_mllm.evaluation.labels import Labels
from bah_mllm.evaluation.rowtable import RowTable
from bah_mllm.predictions import PredictionRow, rows_to_frame
from bah_mllm.predictions.schema import KEY

if TYPE_CHECKING:
    import pandas as pd
    from jaxtyping import Bool, Float, Int

__all__ = [
    "STEPS",
    "Reliability",
    "ReliabilityBin",
    "Transformed",
    "reliability_bins",
    "reliability_rows",
    "transform_rows",
]

STEPS = ("content_free", "both_orders", "prevalence_match")

_KEY = [name for name in KEY if name != "variant"]
_MAX_LOGIT = 40.0  # of probabilities that rounding has made 0 or 1: beyond what double precision tells from them


class ReliabilityBin(NamedTuple):
    """Items whose scores lie in [low, high); the last bin holds 1.

    Args:
        low: Lower edge.
        high: Upper edge.
        n: Items.
        mean_score: Their mean score; None in an empty bin.
        positive_share: Share of positives among them; None in an empty bin.
    """

    low: float
    high: float
    n: int
    mean_score: float | None
    positive_share: float | None


@dataclass(frozen=True, slots=True)
class Reliability:
    """The bins of one line of a result table."""

    system: str
    window_frames: int | None
    aggregation: str
    bins: tuple[ReliabilityBin, ...]

    def to_json(self) -> dict[str, Any]:
        """Return plain dictionaries and numbers."""
        plain = {name: getattr(self, name) for name in ("system", "window_frames", "aggregation")}
        return plain | {"bins": [one._asdict() for one in self.bins]}


def reliability_bins(
    labels: Int[np.ndarray, " items"], scores: Float[np.ndarray, " items"]
) -> tuple[ReliabilityBin, ...]:
    """Return the 15 bins of equal width behind ``ece``.

    Args:
        labels: 0 or 1, shape (items,).
        scores: Probabilities from 0 to 1, shape (items,).
    """
    place = ece_bins(scores)
    n = np.bincount(place, minlength=N_ECE_BINS)
    score, positive = (np.bincount(place, weights=values, minlength=N_ECE_BINS) for values in (scores, labels))
    edges = np.linspace(0.0, 1.0, N_ECE_BINS + 1)
    return tuple(
        ReliabilityBin(
            float(edges[k]),
            float(edges[k + 1]),
            int(n[k]),
            float(score[k] / n[k]) if n[k] else None,
            float(positive[k] / n[k]) if n[k] else None,
        )
        for k in range(N_ECE_BINS)
    )


def reliability_rows(
    rows: pd.DataFrame | Iterable[PredictionRow],
    labels: Labels,
    *,
    level: Level | str,
    split: str | None,
    unanswered: Unanswered = Unanswered.LEAVE_OUT,
) -> tuple[Reliability, ...]:
    """Return reliability bins of every system; arguments and errors as for ``evaluate_rows``."""
    aligned = align(rows, labels, level=Level(level), split=split, unanswered=unanswered)
    return tuple(
        Reliability(
            one.system,
            one.window_frames,
            one.aggregation,
            reliability_bins(aligned.population.labels[one.items], one.scores),
        )
        for one in aligned.systems
    )


@dataclass(frozen=True, slots=True, eq=False)
class Transformed:
    """Corrected rows, and what became of the others.

    Args:
        rows: Rows of the variant ``main`` under the new names. Rows without a result are among them, as they were.
        name: The correction, as asked for.
        n_rows: Rows of the variant ``main`` with a result that went in, one per key.
        n_without_p: Of these, rows left out because they give a label and no probability.
        n_without_variant: Rows left out because a variant that the correction needs is not there or has no
            probability.
        n_undetermined: Rows left out because rounding has made the scores of two variants 0, or 1, so that their
            ratio is unknown.
        prevalence: What ``prevalence_match`` aimed at; None without it.
        reached: System (and window) to the share of positives reached; empty without ``prevalence_match``.
    """

    rows: pd.DataFrame
    name: str
    n_rows: int
    n_without_p: int
    n_without_variant: int
    n_undetermined: int
    prevalence: float | None = None
    reached: Mapping[str, float] = field(default_factory=dict)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the results must know."""
        facts = [
            (self.n_without_p, f"{self.n_without_p:,} rows give a label and no probability"),
            (self.n_without_variant, f"{self.n_without_variant:,} rows lack the variants that it needs"),
            (self.n_undetermined, f"{self.n_undetermined:,} rows are rounded to 0 or 1 in two variants"),
        ]
        lost = [f"{self.name}: {text}, and count as missing" for holds, text in facts if holds]
        return (
            *lost,
            *(
                f"{self.name}: {share:.3f} of {system}, are positive; {self.prevalence:.3f} were wanted"
                for system, share in self.reached.items()
                if self.prevalence is not None and abs(share - self.prevalence) > 0.01
            ),
        )

    def to_json(self) -> dict[str, Any]:
        """Return what was done, without the rows."""
        names = ("name", "n_rows", "n_without_p", "n_without_variant", "n_undetermined", "prevalence")
        plain = {name: getattr(self, name) for name in names}
        return plain | {"reached": dict(self.reached), "notes": list(self.notes)}


def transform_rows(
    rows: pd.DataFrame | Iterable[PredictionRow], name: str, *, prevalence: float | None = None
) -> Transformed:
    """Correct probabilities by what the same rows, asked in other ways, tell about a system's leaning.

    Args:
        rows: Rows of all variants, of any number of systems; of rows with one key the last holds.
        name: One of these, or several joined by ``+``, done from left to right:

            - ``content_free``: probabilities are divided by those of the same prompt without content, and brought back
              to a sum of one: the log odds of the content-free row are subtracted (Zhao et al. 2021, "Calibrate before
              use"). That row is asked in the usual order of labels.
            - ``both_orders``: the mean of the probabilities under both orders of the labels.
            - ``prevalence_match``: all log odds of a system (and window) are moved by the same number, such that the
              share of rows above 0.5, weighted with their frames, comes as near as possible to ``prevalence``. It
              looks at the scores of all rows given together, never at their labels. Ranks stay.
        prevalence: Share of positives in the training split; for ``prevalence_match``.

    Raises:
        ConfigError: There is no such correction, or its prevalence is missing or impossible.
        DataError: No row can be corrected.
    """
    steps = name.split("+")
    _check(steps, prevalence)
    import pandas as pd

    table = rows if isinstance(rows, pd.DataFrame) else rows_to_frame(list(rows))
    RowTable.read(table)  # refuses what the schema does not allow
    table = table.drop_duplicates(subset=list(KEY), keep="last")
    of_variant = {variant: table[table["variant"] == variant.value] for variant in Variant}
    main = of_variant[Variant.MAIN].copy()
    is_ok = (main["status"] == Status.OK.value).to_numpy(dtype=bool)
    p = pd.to_numeric(main["p_positive"]).to_numpy(dtype=np.float64, na_value=np.nan).copy()
    lacks_p = is_ok & np.isnan(p)
    done = _apply(steps, main, p, of_variant, prevalence)
    lacks_variant, is_undetermined = (is_ok & ~lacks_p & some for some in (done.lacks_variant, done.is_undetermined))
    is_lost = lacks_p | lacks_variant | is_undetermined
    if is_ok.any() and not (is_ok & ~is_lost).any():
        raise DataError(
            f"None of {int(is_ok.sum()):,} prediction rows can be corrected by {name!r}: their variants are missing.",
            remedy="Make the run with --content-free --both-orders, which stores them.",
        )
    main["p_positive"] = np.where(is_ok, done.p, np.nan)
    main["system"] = main["system"] + f"+{name}"
    return Transformed(
        rows=main[~is_lost].reset_index(drop=True),
        name=name,
        n_rows=int(is_ok.sum()),
        n_without_p=int(lacks_p.sum()),
        n_without_variant=int(lacks_variant.sum()),
        n_undetermined=int((is_undetermined & ~lacks_variant).sum()),
        prevalence=prevalence if done.reached else None,
        reached=MappingProxyType(done.reached),
    )


class _Done(NamedTuple):
    """Corrected probabilities, NaN where there are none, and why."""

    p: Float[np.ndarray, " rows"]
    lacks_variant: Bool[np.ndarray, " rows"]
    is_undetermined: Bool[np.ndarray, " rows"]
    reached: Mapping[str, float]


def _apply(
    steps: Sequence[str],
    main: pd.DataFrame,
    p: Float[np.ndarray, " rows"],
    of_variant: Mapping[Variant, pd.DataFrame],
    prevalence: float | None,
) -> _Done:
    """Do one step after the other."""
    lacks_variant, is_undetermined = np.zeros(len(main), dtype=bool), np.zeros(len(main), dtype=bool)
    reached: dict[str, float] = {}
    for step in steps:
        if step == "prevalence_match":
            assert prevalence is not None
            p, reached = _match_prevalence(main, p, prevalence)
            continue
        other = _p_of_variant(main, of_variant[_NEEDED[step]])
        combined = _COMBINE[step](p, other)
        lacks_variant |= np.isnan(other)
        is_undetermined |= np.isnan(combined) & ~np.isnan(p) & ~np.isnan(other)
        p = combined
    return _Done(p, lacks_variant, is_undetermined, reached)


def _check(steps: Sequence[str], prevalence: float | None) -> None:
    odd = [step for step in steps if step not in STEPS]
    if odd or len(set(steps)) < len(steps):
        wrong = f"is no correction {odd[0]!r}" if odd else f"are corrections named twice in {'+'.join(steps)!r}"
        raise ConfigError(f"There {wrong}.", remedy=f"Choose from {', '.join(STEPS)}, joined by '+', each once.")
    if "prevalence_match" in steps and (prevalence is None or not 0 < prevalence < 1):
        raise ConfigError(
            f"The prevalence to match is {prevalence}.",
            remedy="Give the share of positives in a labelled training split, above 0 and below 1.",
        )


def _p_of_variant(main: pd.DataFrame, variant: pd.DataFrame) -> Float[np.ndarray, " rows"]:
    """Return the probability that the variant of each row gives, NaN where there is none."""
    keys = variant[_KEY].astype(object).where(variant[_KEY].notna(), None)
    known = dict(zip(keys.itertuples(index=False, name=None), variant["p_positive"], strict=True))
    wanted = main[_KEY].astype(object).where(main[_KEY].notna(), None)
    found = [known.get(key) for key in wanted.itertuples(index=False, name=None)]
    values: Float[np.ndarray, " rows"] = np.array([np.nan if p is None else p for p in found], dtype=np.float64)
    return values


def _mean(p: Float[np.ndarray, " rows"], other: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
    return np.asarray((p + other) / 2)


def _divide(p: Float[np.ndarray, " rows"], by: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
    """Return ``p / by`` against ``(1 - p) / (1 - by)``, as a probability; NaN where both are 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        positive, negative = p * (1 - by), (1 - p) * by
        share: Float[np.ndarray, " rows"] = positive / (positive + negative)
    return share


_NEEDED = {"content_free": Variant.CONTENT_FREE, "both_orders": Variant.SWAPPED}
_COMBINE: Mapping[str, Callable[..., Float[np.ndarray, " rows"]]] = {"content_free": _divide, "both_orders": _mean}


def _match_prevalence(
    main: pd.DataFrame, p: Float[np.ndarray, " rows"], prevalence: float
) -> tuple[Float[np.ndarray, " rows"], dict[str, float]]:
    """Return moved probabilities, and the share of positives reached by each system and window."""
    import pandas as pd

    logit = np.clip(_logit(p), -_MAX_LOGIT, _MAX_LOGIT)
    start, stop, window, window_s = (
        pd.to_numeric(main[name]).to_numpy(dtype=np.float64, na_value=np.nan)
        if name in main
        else np.full(len(main), np.nan)
        for name in ("start_frame", "stop_frame", "window_frames", "window_s")
    )
    weight = np.where(np.isnan(start), 1.0, stop - start)
    # A window in seconds has another number of frames in each video, and is one window all the same.
    unit = np.where(np.isnan(window_s), np.where(np.isnan(window), "", "frames"), "s")
    length = np.where(np.isnan(window_s), window, window_s)
    names = [
        f"{system}, {level} level" + (f", window {size:g} {kind}" if kind else "")
        for system, level, size, kind in zip(main["system"], main["level"], length, unit, strict=True)
    ]
    moved = p.copy()
    shares: dict[str, float] = {}
    for name in sorted(set(names)):
        chosen = np.flatnonzero((np.array(names) == name) & ~np.isnan(p))
        if len(chosen):
            cut, shares[name] = _cut(logit[chosen], weight[chosen], prevalence)
            moved[chosen] = 1 / (1 + np.exp(cut - logit[chosen]))
    return moved, shares


def _cut(
    logit: Float[np.ndarray, " rows"], weight: Float[np.ndarray, " rows"], prevalence: float
) -> tuple[float, float]:
    """Return the log odds above which the share of weight comes nearest to the prevalence, and that share."""
    values, place = np.unique(logit, return_inverse=True)
    at_value = np.bincount(place, weights=weight)
    candidates = np.append(values[0] - 1, values)
    above = 1 - np.append(0, np.cumsum(at_value)) / at_value.sum()
    nearest = int(np.abs(above - prevalence).argmin())
    return float(candidates[nearest]), float(np.clip(above[nearest], 0, 1))


def _logit(p: Float[np.ndarray, " rows"]) -> Float[np.ndarray, " rows"]:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(p) - np.log1p(-p))
