"""What a frame's score may depend on: its own window's real frames, and only earlier ones where causal."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from supervised.models import FeatureModel, build_model

DIMS = {"visual": 12, "audio": 7, "text": 9}
SUBSETS = [("visual",), ("text",), ("visual", "audio"), ("text", "visual"), ("audio", "visual", "text")]
FUSIONS = [(name, subset) for name in ("lfan", "can", "mt", "jmt") for subset in SUBSETS]
MODELS = [("tcn", ("visual",)), ("mlp", ("audio",)), *FUSIONS]
NARROW = (10, 10, 8, 8)  # channels: fewer than the defaults, which only cost time here
LENGTHS = (40, 23, 5, 1)  # frames of the windows in a batch


def lively(name: str, modalities: tuple[str, ...], **options: object) -> FeatureModel:
    """Return a model in evaluation mode whose every value differs from its initial one, as after training."""
    torch.manual_seed(3)
    if name == "mlp":
        options |= {"batch_norm": True}
    else:
        options |= {"widths": NARROW if name == "tcn" else dict.fromkeys(modalities, NARROW)}
    model = build_model(name, {modality: DIMS[modality] for modality in modalities}, **options)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.momentum = 1.0
        model.train()(*padded_batch(model))  # running statistics of this very data
    return model.eval()


def padded_batch(model: FeatureModel, *, padding: float = 0.0, n_frames: int = LENGTHS[0]) -> tuple[dict, Tensor]:
    """Return windows of LENGTHS frames; the same values in every call."""
    generator = torch.Generator().manual_seed(5)
    is_real = torch.arange(n_frames) < torch.tensor(LENGTHS)[:, None]
    features = {}
    for modality, dim in model.dims.items():
        values = torch.randn(len(LENGTHS), LENGTHS[0], dim, generator=generator)
        values = nn.functional.pad(values, (0, 0, 0, n_frames - LENGTHS[0]))
        features[modality] = values.masked_fill(~is_real[..., None], padding)
    return features, is_real


def rows(features: Mapping[str, Tensor], which: slice, frames: slice) -> dict[str, Tensor]:
    return {modality: values[which, frames] for modality, values in features.items()}


@pytest.mark.parametrize("is_causal", [True, False], ids=["causal", "centred"])
@pytest.mark.parametrize(("name", "modalities"), MODELS)
def test_a_window_scores_the_same_alone_and_in_any_padded_batch(
    name: str, modalities: tuple[str, ...], is_causal: bool
) -> None:
    model = lively(name, modalities, **({} if name == "mlp" else {"is_causal": is_causal}))
    features, is_real = padded_batch(model, n_frames=61)
    with torch.no_grad():
        together = model(features, is_real)
        for row, length in enumerate(LENGTHS):
            own, frames = slice(row, row + 1), slice(0, length)
            alone = model(rows(features, own, frames), torch.ones(1, length, dtype=torch.bool))
            assert (together[own, frames] - alone).abs().max() < 1e-5


@pytest.mark.parametrize("is_causal", [True, False], ids=["causal", "centred"])
@pytest.mark.parametrize(("name", "modalities"), MODELS)
def test_what_stands_in_the_padding_changes_nothing(name: str, modalities: tuple[str, ...], is_causal: bool) -> None:
    model = lively(name, modalities, **({} if name == "mlp" else {"is_causal": is_causal}))
    with torch.no_grad():
        scores = []
        for padding in (0.0, 1e3, float("nan")):
            features, is_real = padded_batch(model, padding=padding)
            scores.append(model(features, is_real)[is_real])
    assert torch.equal(scores[0], scores[1])
    assert torch.equal(scores[0], scores[2])
    assert scores[0].isfinite().all()
    assert scores[0].std(dim=0).min() > 1e-2  # there is something to change


@pytest.mark.parametrize(("name", "modalities"), [("tcn", ("visual",)), *FUSIONS])
def test_training_takes_nothing_from_the_padding(name: str, modalities: tuple[str, ...]) -> None:
    outcomes = []
    for padding in (0.0, 1e3):
        model = lively(name, modalities, dropout=0.0).train()
        features, is_real = padded_batch(model, padding=padding)
        model(features, is_real)[is_real].square().sum().backward()
        outcomes.append([p.grad for p in model.parameters()] + list(model.buffers()))
    assert all(torch.equal(a, b) for a, b in zip(*outcomes, strict=True))


CAUSAL = [(name, subset, {}) for name, subset in [("tcn", ("visual",)), *FUSIONS] if name in ("tcn", "lfan", "can")]
CAUSAL += [(name, subset, {"is_attention_causal": True}) for name, subset in FUSIONS if name in ("mt", "jmt")]


@pytest.mark.parametrize(("name", "modalities", "options"), CAUSAL)
def test_a_causal_model_does_not_see_the_future(
    name: str, modalities: tuple[str, ...], options: Mapping[str, bool]
) -> None:
    model = lively(name, modalities, **options)
    features, is_real = padded_batch(model)
    future = {modality: values.clone() for modality, values in features.items()}
    for values in future.values():
        values[:, 20:] += 1
    with torch.no_grad():
        before, after = model(features, is_real), model(future, is_real)
    assert (before - after)[:, :20].abs().max() < 1e-6
    assert (before - after)[0, 20:].abs().mean() > 1e-2


@pytest.mark.parametrize("name", ["mt", "jmt"])
def test_attention_over_time_sees_everything_by_default_as_in_the_paper(name: str) -> None:
    model = lively(name, ("visual", "audio"))
    features, is_real = padded_batch(model)
    future = {modality: values + (torch.arange(LENGTHS[0]) > 30)[:, None] for modality, values in features.items()}
    with torch.no_grad():
        assert (model(features, is_real) - model(future, is_real))[0, 0].abs().max() > 1e-5


@pytest.mark.parametrize("modality", DIMS)
@pytest.mark.parametrize("name", ["lfan", "can", "mt", "jmt"])
def test_every_modality_is_fused(name: str, modality: str) -> None:
    model = lively(name, ("visual", "audio", "text"))
    features, is_real = padded_batch(model)
    other = features | {modality: -features[modality]}
    with torch.no_grad():
        shift = (model(features, is_real) - model(other, is_real))[is_real].abs()
    assert shift.mean() > 0.02


@pytest.mark.parametrize("name", ["lfan", "can", "mt", "jmt"])
def test_the_embedding_is_what_the_classifier_sees(name: str) -> None:
    model = lively(name, ("visual", "text"))
    features, is_real = padded_batch(model)
    with torch.no_grad():
        embedding = model.embed(features, is_real)
        assert torch.equal(model.classify(embedding), model(features, is_real))
        torch.testing.assert_close(model.classify(embedding[0, 3]), model(features, is_real)[0, 3])
