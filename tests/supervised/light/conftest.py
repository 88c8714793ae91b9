"""Made-up answers of made-up people: A/H is planted in the words, and more often in answers to some questions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bah_mllm.dataset import Dataset, open_dataset
from supervised.light.recipe import LightRecipe

THINGS = ("running", "the piano", "green tea", "the violin", "old films", "long walks", "gardening", "chess", "pottery")
PLAIN = ("I do {0} every morning.", "We like {0} at home.", "It is about {0} and {1}.", "My sister showed me {0}.")
TORN = (
    "I want {0} but I never start.",
    "Maybe I should try {0}, yet I am tired.",
    "I wish I did {0} less, but it is fun.",
)
P_OF_QUESTION = (0.2, 0.6, 0.6, 0.9, 0.5, 0.4, 0.9)


def answer(rng: np.random.Generator, *, torn: bool) -> str:
    said = [str(rng.choice(PLAIN)) for _ in range(rng.integers(2, 5))]
    if torn:
        said[rng.integers(len(said))] = str(rng.choice(TORN))
    return " ".join(sentence.format(*rng.permutation(THINGS)[:2]) for sentence in said)


def line(participant: int, question: int, label: int, words: str) -> str:
    person = 80000 + participant
    return f"Videos/{person}/Visite_1/{person}_Question_{question}_2025-01-01_10-00-00_Video.mp4,{label},{words}\n"


def write_splits(root: Path, **splits: list[str]) -> Path:
    (root / "split").mkdir(parents=True)
    for name, lines in splits.items():
        (root / "split" / f"{name}.txt").write_text("".join(lines), encoding="utf-8")
    return root


def invent(n_participants: int, *, seed: int = 0, first: int = 0, truthful: bool = True) -> list[str]:
    """Return lines of a split file; with ``truthful=False`` labels have nothing to do with words or question."""
    rng = np.random.default_rng(seed)
    lines = []
    for participant in range(first, first + n_participants):
        for question in rng.permutation(np.arange(1, 8))[:4]:
            label = int(rng.random() < P_OF_QUESTION[question - 1])
            words = answer(rng, torn=rng.random() < (0.85 if label else 0.15))
            lines.append(line(participant, int(question), label if truthful else int(rng.random() < 0.5), words))
    return lines


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("light") / "DB"
    unseen = [*invent(25, seed=2, first=60), line(90, 4, 1, ""), line(91, 9, 0, "I do chess every morning.")]
    return open_dataset(write_splits(root, train=invent(30), val=invent(10, seed=1, first=40), test=unseen))


@pytest.fixture(scope="session")
def chance(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Labels have nothing to do with words or questions."""
    root = tmp_path_factory.mktemp("chance") / "DB"
    return open_dataset(write_splits(root, train=invent(40, truthful=False)))


@pytest.fixture
def split_lines(tmp_path: Path) -> Callable[[list[tuple[int, int, int, str]]], Dataset]:
    """Make a data set with a training split of (participant, question, label, words)."""

    def make(rows: list[tuple[int, int, int, str]]) -> Dataset:
        return open_dataset(write_splits(tmp_path / "few", train=[line(*row) for row in rows]))

    return make


@pytest.fixture(scope="session")
def recipe() -> Callable[..., LightRecipe]:
    def make(**changed: object) -> LightRecipe:
        settings: dict[str, object] = {
            "kind": "light",
            "name": "trial",
            "source": "none",
            "members": ("tfidf", "extra_trees", "logistic_regression", "question_prior", "cue_count"),
            "averaged": ("tfidf", "extra_trees"),
            "n_trees": 20,
            "boosting_rounds": 20,
        }
        return LightRecipe.model_validate(settings | changed)

    return make
