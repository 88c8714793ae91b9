"""Videos as the light members take them: texts, features, the question asked, and what is known of the label."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bah_mllm.core.errors import ConfigError, PrerequisiteError
from bah_mllm.core.records import Status, Transcript, Video
from bah_mllm.cues.store import read_cues
from bah_mllm.dataset import Dataset
from supervised.features.words import MINILM, WordEncoder
from supervised.light import observed, wording
from supervised.light.recipe import LightRecipe

if TYPE_CHECKING:
    from jaxtyping import Float, Int

__all__ = ["QUESTIONS", "Embed", "Examples", "describe", "embed_texts", "embedder", "read_examples"]

QUESTIONS = range(1, 8)


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Videos that can be predicted, and why the others cannot.

    Args:
        videos: In the order of the data.
        texts: What was said in each.
        names: Of the features.
        features: Shape (videos, features), float64, finite.
        question: 1 to 7, 0 where unknown, shape (videos,).
        cue_words: How many cue words each text has, shape (videos,).
        embeddings: Sentence embeddings of unit length, shape (videos, width); None where no member asks for them.
        left_out: The other videos, by id, and why.
    """

    videos: tuple[Video, ...]
    texts: tuple[str, ...]
    names: tuple[str, ...]
    features: Float[np.ndarray, "videos features"]
    question: Int[np.ndarray, " videos"]
    cue_words: Float[np.ndarray, " videos"]
    embeddings: Float[np.ndarray, "videos width"] | None
    left_out: Mapping[str, Status]

    def __len__(self) -> int:
        return len(self.videos)

    @property
    def labels(self) -> Int[np.ndarray, " videos"]:
        """1 A/H, 0 none, -1 unknown, shape (videos,)."""
        return np.array([-1 if video.label is None else video.label for video in self.videos], dtype=np.int64)

    @property
    def participants(self) -> np.ndarray:
        """Ids of who answers, shape (videos,)."""
        return np.array([video.participant_id for video in self.videos])

    @property
    def one_hot(self) -> Float[np.ndarray, "videos 7"]:
        """The question asked as a vector of length 1; zeros where it is unknown."""
        hot: np.ndarray = (self.question[:, None] == np.array(QUESTIONS)).astype(np.float64)
        return hot

    def take(self, places: Int[np.ndarray, " some"]) -> Examples:
        """Return some of the videos, by place."""
        return replace(
            self,
            videos=tuple(self.videos[place] for place in places),
            texts=tuple(self.texts[place] for place in places),
            features=self.features[places],
            question=self.question[places],
            cue_words=self.cue_words[places],
            embeddings=None if self.embeddings is None else self.embeddings[places],
        )


Embed = Callable[[Sequence[str]], "Float[np.ndarray, 'texts width']"]


def read_examples(
    recipe: LightRecipe,
    dataset: Dataset,
    videos: Sequence[Video],
    *,
    cues: Path | None = None,
    embed: Embed | None = None,
) -> Examples:
    """Return videos as examples; those without words, question or cues that the recipe needs are left out.

    Args:
        recipe: Says what is needed.
        dataset: Whose videos; knows their transcripts.
        videos: In any order.
        cues: Folder that ``bah-mllm cues extract`` wrote, for recipes with the group ``cues``.
        embed: Makes sentence embeddings, where a member takes them.

    Raises:
        ConfigError: Cues were given and are not used, or are used and were not given.
        DataError: A file of the data set or of the cues is damaged.
    """
    _check_cues(recipe, cues)
    kept: list[tuple[Video, str, dict[str, float], int]] = []
    left_out: dict[str, Status] = {}
    for video in videos:
        transcript = dataset.transcript(video)
        seen = read_cues(cues, video.video_id) if cues is not None else None
        if transcript is None or not transcript.text.strip():
            left_out[video.video_id] = Status.NO_TRANSCRIPT
        elif recipe.needs_question and video.question not in QUESTIONS:
            left_out[video.video_id] = Status.NO_QUESTION
        elif cues is not None and (seen is None or seen[0].problem is not None):
            left_out[video.video_id] = Status.NO_CUES
        else:
            features = _text_features(transcript, recipe)
            if seen is not None:
                features |= observed.cue_features(*seen)
            n_cue_words = wording.count_cue_words(transcript.text, transcript.language)
            kept.append((video, transcript.text, features, n_cue_words))
    names = tuple(describe(recipe))
    texts = tuple(text for _, text, _, _ in kept)
    return Examples(
        videos=tuple(video for video, _, _, _ in kept),
        texts=texts,
        names=names,
        features=np.array([[one[name] for name in names] for _, _, one, _ in kept]).reshape(len(kept), len(names)),
        question=np.array([video.question if video.question in QUESTIONS else 0 for video, _, _, _ in kept], dtype=int),
        cue_words=np.array([n for _, _, _, n in kept], dtype=np.float64),
        embeddings=None if embed is None else embed(texts),
        left_out=left_out,
    )


def describe(recipe: LightRecipe) -> dict[str, str]:
    """Return the features of a recipe and what each is, in the words of the codebook."""
    told = wording.describe() | (observed.describe() if "cues" in recipe.groups else {})
    return {name: what for name, what in told.items() if _group_of(name) in recipe.groups}


def embed_texts(encoder: WordEncoder, texts: Sequence[str]) -> Float[np.ndarray, "texts width"]:
    """Return the mean vector of the words of each text, of unit length; zeros for a text without a word."""
    rows = np.zeros((len(texts), encoder.dim))
    for row, text in zip(rows, texts, strict=True):
        vectors, has_one = encoder.words(text.split())
        if has_one.any():
            mean = vectors[has_one].mean(axis=0, dtype=np.float64)
            row[:] = mean / np.linalg.norm(mean)
    return rows


def _text_features(transcript: Transcript, recipe: LightRecipe) -> dict[str, float]:
    features = wording.text_features(transcript.text, transcript.language)
    return {name: value for name, value in features.items() if _group_of(name) in recipe.groups}


def _group_of(name: str) -> str:
    if name.startswith(("shape.", "sentiment.")):
        return name.partition(".")[0]
    observed_code = name.rpartition(".")[0] in observed.OBSERVED_CODES
    return "cues" if observed_code else "language"


def _check_cues(recipe: LightRecipe, cues: Path | None) -> None:
    if (cues is not None) == ("cues" in recipe.groups):
        return
    if cues is None:
        raise ConfigError(
            f"The recipe {recipe.name!r} takes observed cues, and no folder of them was given.",
            remedy="Run `bah-mllm cues extract` and name its folder with --cues.",
        )
    raise ConfigError(
        f"The recipe {recipe.name!r} takes no observed cues, but a folder of them was given.",
        remedy="Leave --cues out, or take the recipe words_cues_video.",
    )


def embedder(recipe: LightRecipe) -> tuple[LightRecipe, Embed | None, str | None]:
    """Return a recipe with its embedder; without the member where MiniLM is not installed, and a note that says so.

    Raises:
        PrerequisiteError: Nothing would be left to average.
    """
    if "embeddings" not in recipe.members:
        return recipe, None, None
    try:
        encoder = WordEncoder(MINILM)
    except PrerequisiteError as error:
        members = tuple(name for name in recipe.members if name != "embeddings")
        averaged = tuple(name for name in recipe.averaged if name != "embeddings")
        if not averaged:
            raise
        note = f"The member embeddings is left out. {error.problem} To have it: {error.remedy}."
        return recipe.model_copy(update={"members": members, "averaged": averaged}), None, note
    return recipe, partial(embed_texts, encoder), None
