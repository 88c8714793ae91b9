"""A trained folder, and what it says about videos.

It holds ``model.skops`` (the fitted members) and ``light.json`` (recipe, calibrations, checksum). ``model.skops`` holds
the vocabulary of the training transcripts, words of participants: it is as private as the transcripts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple
from zipfile import ZIP_DEFLATED

import numpy as np
from pydantic import BaseModel, ConfigDict

from bah_mllm.core.errors import RunError
from bah_mllm.core.files import write_atomically
from bah_mllm.core.loading import import_optional
from bah_mllm.core.reading import Refusal, read_json_as
from bah_mllm.core.records import Level, Status, Video
from bah_mllm.dataset import Dataset
from supervised.features.words import MINILM, WordEncoder
from supervised.light.crossval import Platt, average
from supervised.light.examples import Embed, embed_texts, read_examples
from supervised.light.members import MEMBERS, FittedMember
from supervised.light.recipe import LightRecipe
from supervised.training.predicting import Predicted
from supervised.training.record import TrainRecord
from supervised.training.requests import Predictor, PredictRequest

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = [
    "ABOUT",
    "MODEL",
    "LightPrediction",
    "Trained",
    "light_predictor",
    "load_trained",
    "predict_light",
    "save_trained",
]

MODEL, ABOUT = "model.skops", "light.json"
# The only type in our members that skops does not vouch for; scikit-learn checks its tables when it is restored.
_TRUSTED = ("sklearn.tree._tree.Tree",)
_REASONS = {
    Status.NO_TRANSCRIPT: "the members read the transcript, and there is none",
    Status.NO_QUESTION: "the members are told the question, and it is unknown; take words_video_noquestion",
    Status.NO_CUES: "the members take observed cues, and nobody looked at the video",
}


class LightPrediction(NamedTuple):
    """What the average says about a video.

    Attributes:
        video: Which.
        p: Calibrated probability of A/H, or None.
        status: Why there is none: ``no_transcript``, ``no_question`` or ``no_cues``; None where there is one.
    """

    video: Video
    p: float | None
    status: Status | None


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """What a trained folder holds.

    Args:
        recipe: As it was trained: without members that could not be had.
        features: Their names, in order.
        fitted: Member to its estimators and numbers.
        platt: Member to its calibration.
        embed: Makes sentence embeddings, where an averaged member takes them.
    """

    recipe: LightRecipe
    features: tuple[str, ...]
    fitted: Mapping[str, FittedMember]
    platt: Mapping[str, Platt]
    embed: Embed | None = None

    def predict(self, dataset: Dataset, videos: Sequence[Video], *, cues: Path | None) -> list[LightPrediction]:
        """Return the average's probability of each video, in order, or why there is none; see ``predict_light``.

        Raises:
            RunError: The members were trained on other features.
        """
        examples = read_examples(self.recipe, dataset, videos, cues=cues, embed=self.embed)
        if examples.names != self.features:
            raise RunError(
                "The members were trained on other features than this version computes.",
                remedy="Train again into a new folder.",
            )
        p: Float[np.ndarray, " videos"] = np.zeros(0)
        if len(examples):
            members: dict[str, Float[np.ndarray, " videos"]] = {
                name: self.platt[name](MEMBERS[name].score(self.recipe, self.fitted[name], examples))
                for name in self.recipe.averaged
            }
            p = average(members, self.recipe)
        found = {video.video_id: float(one) for video, one in zip(examples.videos, p, strict=True)}
        return [
            LightPrediction(video, found.get(video.video_id), examples.left_out.get(video.video_id)) for video in videos
        ]


class _About(BaseModel):
    """The file beside the members; checked when it is read."""

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[1] = 1
    recipe: LightRecipe
    features: tuple[str, ...]
    platt: dict[str, Platt]
    model_sha256: str


def save_trained(folder: Path, trained: Trained) -> None:
    """Write ``model.skops``, then ``light.json``, which makes the folder complete."""
    skops = import_optional("skops.io", extra="train", purpose="keeping fitted models")
    model: bytes = skops.dumps(dict(trained.fitted), compression=ZIP_DEFLATED)
    about = _About(
        recipe=trained.recipe,
        features=trained.features,
        platt=dict(trained.platt),
        model_sha256=hashlib.sha256(model).hexdigest(),
    )
    write_atomically(folder / MODEL, model)
    write_atomically(folder / ABOUT, (about.model_dump_json(indent=1) + "\n").encode())


def load_trained(folder: Path) -> Trained:
    """Read a trained folder. Nothing is unpickled.

    Raises:
        RunError: The folder is incomplete, changed since it was written, or holds types that are not trusted.
        PrerequisiteError: An averaged member takes sentence embeddings, and MiniLM is not installed here.
    """
    skops = import_optional("skops.io", extra="train", purpose="reading fitted models")
    for name in (ABOUT, MODEL):
        if not (folder / name).is_file():
            raise RunError(f"There is no {name} in {folder}.", remedy="Name the folder of a light recipe, or train it.")
    about = read_json_as(
        folder / ABOUT, _About, Refusal(RunError, str(folder / ABOUT), "Train again into a new folder.")
    )
    model = (folder / MODEL).read_bytes()
    if hashlib.sha256(model).hexdigest() != about.model_sha256:
        raise RunError(
            f"{folder / MODEL} is not the file that was written with {ABOUT}: it was changed or torn.",
            remedy="Train again into a new folder, or copy both files again.",
        )
    strangers = sorted(set(skops.get_untrusted_types(data=model)) - set(_TRUSTED))
    if strangers:
        raise RunError(
            f"{folder / MODEL} holds types that are not trusted: {', '.join(strangers[:3])}.",
            remedy="Train again; do not load model files of unknown origin.",
        )
    embed = partial(embed_texts, WordEncoder(MINILM)) if "embeddings" in about.recipe.averaged else None
    return Trained(
        about.recipe, about.features, skops.loads(model, trusted=list(_TRUSTED)), platt=about.platt, embed=embed
    )


def predict_light(
    folder: Path, dataset: Dataset, videos: Sequence[Video], *, cues: Path | None = None
) -> list[LightPrediction]:
    """Return the average's probability of each video, in the order given, or why there is none.

    Args:
        folder: That ``train_light`` wrote.
        dataset: Whose videos.
        videos: Any; labels are not looked at.
        cues: Folder of observed cues, for recipes that take them.

    Raises:
        BahError: As ``load_trained``; or cues are needed and were not given, or the other way round.
    """
    return load_trained(folder).predict(dataset, videos, cues=cues)


def light_predictor(
    recipe: LightRecipe,  # noqa: ARG001 - as the other predictors
    record: TrainRecord,
    request: PredictRequest,
    dataset: Dataset,
    folder: Path,
) -> Predictor:
    """Return how a trained folder predicts a video.

    Raises:
        BahError: As ``load_trained``.
    """
    trained = load_trained(folder)
    cues = request.cues or (None if record.cues is None else Path(record.cues))

    def predict(video: Video) -> Predicted:
        (one,) = trained.predict(dataset, [video], cues=cues)
        return Predicted(one.p) if one.status is None else Predicted(None, one.status, _REASONS[one.status])

    return Predictor(Level.VIDEO, predict)
