"""What all models over features share: one classifier over an embedding of every frame."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from torch import Tensor, nn

from bah_mllm.core.errors import ConfigError
from supervised.records import MODALITIES

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

__all__ = ["FeatureModel", "ModelSpec", "Variant", "check_heads", "only_modality"]

Variant = Literal["corrected", "faithful"]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What builds a model again.

    Args:
        name: A key of ``supervised.models.MODELS``.
        variant: ``corrected`` or ``faithful``.
        dims: Modality -> width of its features, in order; the first one leads.
        options: What was asked for besides, as given.
    """

    name: str
    variant: Variant
    dims: Mapping[str, int]
    options: Mapping[str, Any] = field(default_factory=dict)


class FeatureModel(nn.Module, ABC):
    """A model over frozen features that scores every frame (fulfils ``supervised.records.FrameModel``).

    Args:
        dims: Modality -> width of its features, in order; the first one leads.

    Raises:
        ConfigError: There is no modality, or an unknown one.

    Attributes:
        dims: As given.
        classifier: Maps the embedding to the logits of no A/H and A/H.
        window_frames: The only number of frames that the model takes, or None for any.
        is_published: Whether this is the published code's model: it then goes over videos as that code does.
        mixes_windows: Whether windows of one batch change each other's scores.
        spec: What ``build_model`` was asked for.
    """

    classifier: nn.Module
    spec: ModelSpec
    window_frames: int | None = None
    is_published: bool = False
    mixes_windows: bool = False

    def __init__(self, dims: Mapping[str, int]) -> None:
        super().__init__()
        unknown = set(dims) - set(MODALITIES)
        if not dims or unknown:
            raise ConfigError(
                f"A model over the modalities {', '.join(dims) or 'none'} is not possible.",
                remedy=f"Name one to three of {', '.join(MODALITIES)}.",
            )
        self.dims = dict(dims)

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modalities that the model reads, in order."""
        return tuple(self.dims)

    @abstractmethod
    def embed(
        self, features: Mapping[str, Float[Tensor, "batch frames _"]], is_real: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames width"]:
        """Return what the classifier sees of every frame; what stands in the padding means nothing."""

    def classify(self, embedding: Float[Tensor, "*any width"]) -> Float[Tensor, "*any 2"]:
        """Return the logits of no A/H and A/H."""
        return self.classifier(embedding)

    def forward(
        self, features: Mapping[str, Float[Tensor, "batch frames _"]], is_real: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames 2"]:
        """Return ``classify(embed(...))``.

        Args:
            features: By modality; modalities that the model does not read are ignored.
            is_real: False in the padding, which stands at the end of a window.
        """
        return self.classify(self.embed(features, is_real))


def only_modality(name: str, dims: Mapping[str, int]) -> str:
    """Return the one modality of a model that takes no more.

    Raises:
        ConfigError: There are several.
    """
    if len(dims) != 1:
        raise ConfigError(
            f"The model {name} takes one modality, not {len(dims)} ({', '.join(dims)}).",
            remedy="Name one modality, or choose a fusion: lfan, can, mt or jmt.",
        )
    return next(iter(dims))


def check_heads(width: int, n_heads: int) -> None:
    """Refuse a width that the heads of an attention cannot share.

    Raises:
        ConfigError: The width is no multiple of the heads.
    """
    if width % n_heads:
        raise ConfigError(
            f"{n_heads} heads cannot share a width of {width}.", remedy="Make the width a multiple of the heads."
        )
