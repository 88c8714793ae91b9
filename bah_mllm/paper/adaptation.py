"""The paper's experiment on personalization: six methods, Tables 22 to 26 and both parts of Figure 13."""

from __future__ import annotations

from collections.abc import Sequence

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.saying import say
from bah_mllm.dataset import demo_root, open_dataset
from bah_mllm.paper.adaptation_results import join_methods
from bah_mllm.paper.adaptation_tables import adaptation_markdown
from bah_mllm.paper.experiments import Experiment, ExperimentRequest, Outcome
from bah_mllm.paper.subgroup_figure import draw_subgroups
from supervised.adaptation.recipe import METHODS
from supervised.adaptation.record import AdaptRecord
from supervised.flows.adapt import adapt, make_request

__all__ = ["adaptation_tables"]


def adaptation_tables(name: str, experiment: Experiment, request: ExperimentRequest) -> Outcome:
    """Run or resume all six methods over all targets, draw both parts of Figure 13, and return the tables.

    One source model is trained, with the recipe of ``source_only``, and all methods start from it. Overrides are for
    every recipe (``features.visual=face-resnet18``), or for one (``mmd:loop.epochs=1``).

    Args:
        name: Of the experiment.
        experiment: Its heading.
        request: Data, features, source model, target split and overrides.

    Raises:
        BahError: Several seeds are asked for; see also ``adapt``.
    """
    if len(request.seeds) != 1:
        raise ConfigError(
            f"The experiment {name} takes one seed, but got {len(request.seeds)}.",
            remedy="Give one, and another --out for each: its deviations are over participants.",
        )
    out = request.out(f"runs/{name}-{request.target_split}")
    records: dict[str, AdaptRecord] = {}
    for method in METHODS:
        asked = make_request(
            method,
            _those_of(method, request.overrides),
            out=out / method,
            data=request.data,
            split=request.split,
            features=request.features,
            source=request.source if method == METHODS[0] else out / METHODS[0] / "source",
            target_split=request.target_split,
            workers=request.workers,
            seed=request.seeds[0],
        )
        say(f"{method} -> {asked.out}")
        records[method] = adapt(asked)
    dataset = open_dataset(demo_root() if request.data is None else request.data)
    people = {person.participant_id: person.metadata for person in dataset.participants()}
    found = join_methods(records, people)
    for part, grouping in (("a", "age_range"), ("b", "sex")):
        draw_subgroups(out / f"figure13{part}.png", found, grouping)
    return Outcome(
        folder=out,
        record={"experiment": name, **found.to_json()},
        markdown=adaptation_markdown(experiment.heading, found),
        has_failures=bool(found.failed),
    )


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
