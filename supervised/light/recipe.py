"""The recipe of a light baseline: which members, on which features, with which settings."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from supervised.training.recipe import TrainingRecipe

__all__ = ["AVERAGE", "FIXED", "PRIOR", "FeatureGroup", "LightRecipe", "MemberName"]

MemberName = Literal[
    "tfidf",
    "word_presence",
    "extra_trees",
    "gradient_boosting",
    "logistic_regression",
    "embeddings",
    "question_prior",
    "cue_count",
]
FeatureGroup = Literal["shape", "language", "sentiment", "cues"]

AVERAGE = "average"
PRIOR = "question_prior"
FIXED = frozenset({PRIOR, "cue_count"})
"""Members whose probabilities are not calibrated: a table of shares, and a rule that sees no labels."""


class LightRecipe(TrainingRecipe):
    """Members at video level, and which of them are averaged.

    Args:
        kind: ``light``.
        name: Of the recipe.
        source: Where the numbers are from.
        train_splits: Splits to learn from.
        members: What is fitted and reported.
        averaged: Whose calibrated probabilities make the prediction; the others are for comparison.
        groups: Features of the members ``extra_trees``, ``gradient_boosting`` and ``logistic_regression``: the shape
            of the answer, language, sentiment, and ``cues`` of a folder that ``bah-mllm cues extract`` wrote.
        question: Whether the members are told which question was asked; ``question_prior`` always is.
        n_folds: Folds by participant, fewer where there are too few participants.
        n_repeats: How often the folds are dealt anew for the report.
        min_videos: Videos in which a word or pair of words must occur; 1 where there are fewer than a hundred videos.
        tfidf_c: Inverse strength of regularisation of both members on words.
        question_weight: Length of the question's vector beside that of a text or an embedding, which is 1.
        logistic_c: Inverse strength of regularisation on standardised features.
        n_trees: Of the extra trees.
        min_leaf: Videos in a leaf of the extra trees.
        tree_features: Share of the features that a split of a tree chooses from, above 0.
        boosting_rounds: Trees of the gradient boosting.
        boosting_rate: Its learning rate.
        boosting_depth: Depth of its trees.
        embeddings_c: Inverse strength of regularisation on sentence embeddings.
    """

    kind: Literal["light"]
    train_splits: tuple[str, ...] = Field(default=("train",), min_length=1)
    members: tuple[MemberName, ...] = Field(min_length=1)
    averaged: tuple[MemberName, ...] = Field(min_length=1)
    groups: tuple[FeatureGroup, ...] = Field(default=("shape", "language", "sentiment"), min_length=1)
    question: bool = True
    n_folds: int = Field(default=5, ge=2, le=1_000)
    n_repeats: int = Field(default=1, ge=1, le=10_000)
    min_videos: int = Field(default=3, ge=1)
    tfidf_c: float = Field(default=2.0, gt=0)
    question_weight: float = Field(default=0.5, gt=0)
    logistic_c: float = Field(default=0.01, gt=0)
    n_trees: int = Field(default=300, ge=1, le=100_000)
    min_leaf: int = Field(default=5, ge=1)
    tree_features: float = Field(default=0.2, gt=0, le=1)
    boosting_rounds: int = Field(default=200, ge=1, le=100_000)
    boosting_rate: float = Field(default=0.03, gt=0)
    boosting_depth: int = Field(default=2, ge=1, le=100)
    embeddings_c: float = Field(default=1.0, gt=0)

    @property
    def reads_words(self) -> bool:
        """Whether transcripts and questions are trained on: they are."""
        return True

    @model_validator(mode="after")
    def _averages_members(self) -> LightRecipe:
        if strangers := [name for name in self.averaged if name not in self.members]:
            raise ValueError(f"averaged names {', '.join(strangers)}, which members lacks")
        if len(set(self.members)) < len(self.members) or len(set(self.averaged)) < len(self.averaged):
            raise ValueError("a member is named twice")
        return self

    @property
    def needs_question(self) -> bool:
        """Whether a video without a known question can be predicted."""
        return self.question or "question_prior" in self.averaged
