"""A classifier of single frames over one set of features: what adaptation works on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import weight_norm

from supervised.models.base import FeatureModel, only_modality
from supervised.models.normalisation import MaskedBatchNorm1d

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

__all__ = ["Mlp"]


class Mlp(FeatureModel):
    """Linear, ReLU, a bottleneck with or without normalisation, and a weight-normed classifier, frame by frame.

    Args:
        dims: The one modality and the width of its features.
        hidden: Width of the hidden layer.
        bottleneck: Width of the embedding.
        batch_norm: Whether the embedding is normalised over the real frames of a batch; the bottleneck then has no
            bias, which the normalisation would undo.

    Attributes:
        hidden: The first layer.
        bottleneck: The layer that makes the embedding.
        classifier: The last layer; SHOT keeps it as it is.

    References:
        The bottleneck and weight-normed classifier of SHOT: Liang, Hu, Feng 2020, section 3.
    """

    def __init__(
        self, dims: Mapping[str, int], *, hidden: int = 256, bottleneck: int = 256, batch_norm: bool = False
    ) -> None:
        super().__init__(dims)
        self.modality = only_modality("mlp", dims)
        self.hidden = nn.Linear(dims[self.modality], hidden)
        self.bottleneck = nn.Linear(hidden, bottleneck, bias=not batch_norm)
        self.norm = MaskedBatchNorm1d(bottleneck) if batch_norm else None
        self.classifier = weight_norm(nn.Linear(bottleneck, 2))

    def embed(
        self, features: Mapping[str, Float[Tensor, "batch frames _"]], is_real: Bool[Tensor, "batch frames"]
    ) -> Float[Tensor, "batch frames width"]:
        """Return the bottleneck's output for every frame."""
        values = features[self.modality].masked_fill(~is_real[..., None], 0)
        embedding = self.bottleneck(functional.relu(self.hidden(values)))
        return embedding if self.norm is None else self.norm(embedding, is_real)
