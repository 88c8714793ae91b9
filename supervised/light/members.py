"""The members: each is fitted on examples and gives every example a score, a log-odds or something like it.

A fitted member is a dict of scikit-learn estimators and plain numbers, so that skops can keep it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bah_mllm.core.errors import DataError
from supervised.light.examples import QUESTIONS, Examples
from supervised.light.recipe import LightRecipe

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["MEMBERS", "FittedMember", "Member", "log_odds", "sigmoid"]

FittedMember = dict[str, Any]
_LARGEST = 1e-6  # probabilities are kept that far from 0 and 1 where a logarithm is taken
# Words of one letter ("I") and with an apostrophe ("don't") are words here.
_WORD = r"(?u)\b\w[\w'\u2019]*"
_FEW_VIDEOS = 100


class Member(NamedTuple):
    """How a member is fitted, and how it scores.

    Attributes:
        fit: Of recipe, examples (all labelled, both classes) and seed; ``DataError`` where words are too rare.
        score: Of recipe, what ``fit`` returned, and examples; shape (videos,), higher is more likely A/H.
    """

    fit: Callable[[LightRecipe, Examples, int], FittedMember]
    score: Callable[[LightRecipe, FittedMember, Examples], Float[np.ndarray, " videos"]]


def log_odds(p: Float[np.ndarray, " videos"]) -> Float[np.ndarray, " videos"]:
    """Return the natural log-odds of probabilities, finite also for 0 and 1."""
    p = np.clip(p, _LARGEST, 1 - _LARGEST)
    odds: np.ndarray = np.log(p / (1 - p))
    return odds


def sigmoid(score: Float[np.ndarray, " videos"]) -> Float[np.ndarray, " videos"]:
    """Return probabilities of log-odds."""
    p: np.ndarray = 1 / (1 + np.exp(-np.clip(score, -500, 500)))
    return p


# --- words


def _fit_tfidf(recipe: LightRecipe, examples: Examples, seed: int) -> FittedMember:
    return _fit_words(recipe, examples, seed, use_idf=True)


def _fit_presence(recipe: LightRecipe, examples: Examples, seed: int) -> FittedMember:
    return _fit_words(recipe, examples, seed, use_idf=False)


def _fit_words(recipe: LightRecipe, examples: Examples, seed: int, *, use_idf: bool) -> FittedMember:
    """Fit a logistic regression on single words and pairs: TF-IDF, or whether they occur; every text of length 1."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    min_videos = recipe.min_videos if len(examples) >= _FEW_VIDEOS else 1
    vectorizer = TfidfVectorizer(
        token_pattern=_WORD,
        ngram_range=(1, 2),
        min_df=min_videos,
        sublinear_tf=use_idf,
        binary=not use_idf,
        use_idf=use_idf,
    )
    try:
        vectorizer.fit(examples.texts)
    except ValueError:
        raise DataError(
            f"No word occurs in {min_videos} or more of {len(examples)} transcripts.",
            remedy="Check the transcripts, lower min_videos with --set, or take a recipe without members on words.",
        ) from None
    classifier = LogisticRegression(C=recipe.tfidf_c, max_iter=1000, random_state=seed)
    fitted = {"vectorizer": vectorizer, "classifier": classifier}
    classifier.fit(_word_vectors(recipe, fitted, examples), examples.labels)
    return fitted


def _score_words(recipe: LightRecipe, fitted: FittedMember, examples: Examples) -> Float[np.ndarray, " videos"]:
    score: np.ndarray = fitted["classifier"].decision_function(_word_vectors(recipe, fitted, examples))
    return score


def _word_vectors(recipe: LightRecipe, fitted: FittedMember, examples: Examples) -> Any:  # noqa: ANN401 - a sparse matrix
    from scipy.sparse import csr_matrix, hstack

    words = fitted["vectorizer"].transform(examples.texts)
    if not recipe.question:
        return words
    return hstack([words, csr_matrix(examples.one_hot * recipe.question_weight)]).tocsr()


# --- features


def _fit_extra_trees(recipe: LightRecipe, examples: Examples, seed: int) -> FittedMember:
    from sklearn.ensemble import ExtraTreesClassifier

    return _fit_table(
        recipe,
        examples,
        ExtraTreesClassifier(
            recipe.n_trees,
            min_samples_leaf=recipe.min_leaf,
            max_features=recipe.tree_features,
            random_state=seed,
        ),
    )


def _fit_boosting(recipe: LightRecipe, examples: Examples, seed: int) -> FittedMember:
    from sklearn.ensemble import GradientBoostingClassifier

    return _fit_table(
        recipe,
        examples,
        GradientBoostingClassifier(
            n_estimators=recipe.boosting_rounds,
            learning_rate=recipe.boosting_rate,
            max_depth=recipe.boosting_depth,
            subsample=0.5,
            max_features=0.1,
            min_samples_leaf=8,
            random_state=seed,
        ),
    )


def _fit_logistic(recipe: LightRecipe, examples: Examples, seed: int) -> FittedMember:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifier = LogisticRegression(C=recipe.logistic_c, max_iter=1000, random_state=seed)
    return _fit_table(recipe, examples, make_pipeline(StandardScaler(), classifier))


def _fit_table(recipe: LightRecipe, examples: Examples, classifier: Any) -> FittedMember:  # noqa: ANN401 - an estimator
    return {"classifier": classifier.fit(_table(recipe, examples), examples.labels)}


def _table(recipe: LightRecipe, examples: Examples) -> Float[np.ndarray, "videos columns"]:
    """Return the features, followed by the question as seven columns where members are told it."""
    return np.hstack([examples.features, examples.one_hot]) if recipe.question else examples.features


def _score_table(recipe: LightRecipe, fitted: FittedMember, examples: Examples) -> Float[np.ndarray, " videos"]:
    return log_odds(fitted["classifier"].predict_proba(_table(recipe, examples))[:, 1])


# --- sentence embeddings


def _fit_embeddings(recipe: LightRecipe, examples: Examples, seed: int) -> FittedMember:
    from sklearn.linear_model import LogisticRegression

    classifier = LogisticRegression(C=recipe.embeddings_c, max_iter=1000, random_state=seed)
    return {"classifier": classifier.fit(_vectors(recipe, examples), examples.labels)}


def _score_embeddings(recipe: LightRecipe, fitted: FittedMember, examples: Examples) -> Float[np.ndarray, " videos"]:
    score: np.ndarray = fitted["classifier"].decision_function(_vectors(recipe, examples))
    return score


def _vectors(recipe: LightRecipe, examples: Examples) -> Float[np.ndarray, "videos columns"]:
    assert examples.embeddings is not None
    if not recipe.question:
        return examples.embeddings
    return np.hstack([examples.embeddings, examples.one_hot * recipe.question_weight])


# --- rules


def _fit_question(recipe: LightRecipe, examples: Examples, seed: int) -> FittedMember:  # noqa: ARG001 - one signature for all
    """Count the share of A/H per question; the share of all where a question does not occur."""
    labels = examples.labels
    shares = {}
    for question in QUESTIONS:
        of_question = labels[examples.question == question]
        shares[str(question)] = float(of_question.mean() if len(of_question) else labels.mean())
    return {"shares": shares, "overall": float(labels.mean())}


def _score_question(recipe: LightRecipe, fitted: FittedMember, examples: Examples) -> Float[np.ndarray, " videos"]:  # noqa: ARG001
    shares: Mapping[str, float] = fitted["shares"]
    return log_odds(np.array([shares.get(str(one), fitted["overall"]) for one in examples.question]))


def _fit_cue_count(recipe: LightRecipe, examples: Examples, seed: int) -> FittedMember:  # noqa: ARG001
    """Set a threshold above which as large a share of the texts lies as is A/H; which texts are is not looked at."""
    prevalence = float(examples.labels.mean())
    counts = np.unique(examples.cue_words)
    thresholds = np.concatenate([[counts[0] - 0.5], counts + 0.5])
    shares = np.array([(examples.cue_words > threshold).mean() for threshold in thresholds])
    return {"threshold": float(thresholds[np.abs(shares - prevalence).argmin()])}


def _score_cue_count(recipe: LightRecipe, fitted: FittedMember, examples: Examples) -> Float[np.ndarray, " videos"]:  # noqa: ARG001
    score: np.ndarray = np.log1p(examples.cue_words) - np.log1p(max(fitted["threshold"], -0.5))
    return score


MEMBERS: Mapping[str, Member] = {
    "tfidf": Member(_fit_tfidf, _score_words),
    "word_presence": Member(_fit_presence, _score_words),
    "extra_trees": Member(_fit_extra_trees, _score_table),
    "gradient_boosting": Member(_fit_boosting, _score_table),
    "logistic_regression": Member(_fit_logistic, _score_table),
    "embeddings": Member(_fit_embeddings, _score_embeddings),
    "question_prior": Member(_fit_question, _score_question),
    "cue_count": Member(_fit_cue_count, _score_cue_count),
}
