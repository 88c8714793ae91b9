"""Attentions of the corrected fusions, against loops and PyTorch's own layers."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from supervised.models import build_model

DIMS = {"visual": 12, "audio": 7, "text": 9}


def softmax(x: np.ndarray) -> np.ndarray:
    weights = np.exp(x - x.max())
    return weights / weights.sum()


def test_lfan_weighs_the_modalities_of_one_frame_head_by_head() -> None:
    torch.manual_seed(0)
    fusion = build_model("lfan", DIMS).double().eval().fusion
    streams = {"visual": torch.randn(1, 1, 128), "audio": torch.randn(1, 1, 32), "text": torch.randn(1, 1, 128)}
    streams = {name: values.double() for name, values in streams.items()}
    with torch.no_grad():
        got = fusion(streams)[0, 0].numpy()
        projected = {name: layer(streams[name])[0, 0].numpy() for name, layer in fusion.project.items()}
        joined = []
        for head in range(2):  # of 16 channels each; a head's query, key and value stand side by side
            own = {name: row[48 * head : 48 * (head + 1)] for name, row in projected.items()}
            query, key, value = ({name: row[16 * i : 16 * (i + 1)] for name, row in own.items()} for i in range(3))
            for asker in DIMS:
                weights = softmax(np.array([query[asker] @ key[asked] / 4 for asked in DIMS]))
                answer = sum(weight * value[asked] for weight, asked in zip(weights, DIMS, strict=True))
                joined.append(answer + value[asker])
        expected = fusion.norm(fusion.out(torch.from_numpy(np.concatenate(joined)))).numpy()
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-12)


def pytorchs(attention: nn.Module) -> nn.MultiheadAttention:
    """Return PyTorch's attention with the weights of ours."""
    dim = attention.query.in_features
    theirs = nn.MultiheadAttention(dim, attention.n_heads, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([attention.query.weight, attention.key.weight, attention.value.weight]))
        theirs.in_proj_bias.zero_()
        theirs.out_proj.weight.copy_(attention.out.weight)
        theirs.out_proj.bias.zero_()
        if attention.out.bias is not None:
            theirs.out_proj.bias.copy_(attention.out.bias)
    return theirs


def encode(encoder: nn.Module, tokens: torch.Tensor, is_padding: torch.Tensor | None = None) -> torch.Tensor:
    tokens = encoder.norm1(tokens + pytorchs(encoder.attention)(tokens, tokens, tokens, key_padding_mask=is_padding)[0])
    return encoder.norm2(tokens + encoder.feedforward(tokens))


def test_jmt_is_what_pytorchs_own_attention_makes_of_real_frames_and_of_the_answers_of_each_frame() -> None:
    torch.manual_seed(0)
    model = build_model("jmt", DIMS, n_heads=2).eval()
    is_real = torch.arange(11) < torch.tensor([11, 6])[:, None]
    features = {name: torch.randn(2, 11, dim) for name, dim in DIMS.items()}
    with torch.no_grad():
        streams = model.streams(features, is_real)
        streams["audio"] = model.project["audio"](streams["audio"])
        streams["joint"] = model.joint(torch.cat([streams[name] for name in DIMS], -1))
        encoded = {name: encode(model.encoders[name], values, ~is_real) for name, values in streams.items()}
        pairs = [("visual", "audio"), ("audio", "visual"), ("visual", "text"), ("text", "visual")]
        pairs += [("audio", "text"), ("text", "audio")]
        pairs += [pair for name in DIMS for pair in (("joint", name), (name, "joint"))]
        answers = [
            pytorchs(model.cross[f"{asker}_{asked}"])(
                encoded[asker], encoded[asked], encoded[asked], key_padding_mask=~is_real
            )[0]
            for asker, asked in pairs
        ]
        assert len(answers) == 12 == len(model.cross)
        for row, t in ((0, 0), (0, 10), (1, 5)):
            tokens = encode(model.answers_encoder, torch.stack([answer[row, t] for answer in answers])[None])
            last = pytorchs(model.answers_attention)(tokens, tokens, tokens)[0][0, -1]
            mixed = model.mix(last) / np.sqrt(1 + 1e-5)  # statistics before any training: mean 0, variance 1
            expected = model.classifier(nn.functional.leaky_relu(mixed))
            torch.testing.assert_close(model(features, is_real)[row, t], expected, atol=1e-6, rtol=1e-5)


def test_can_weighs_every_channel_by_a_softmax_over_all_of_them() -> None:
    torch.manual_seed(0)
    model = build_model("can", DIMS).double().eval()
    features = {name: torch.randn(1, 3, dim, dtype=torch.float64) for name, dim in DIMS.items()}
    is_real = torch.ones(1, 3, dtype=torch.bool)
    with torch.no_grad():
        streams = model.streams(features, is_real)
        for t in range(3):
            channels = np.concatenate([model.project[name](streams[name])[0, t].numpy() for name in DIMS])
            weights = softmax(model.weigh.weight.numpy() @ channels + model.weigh.bias.numpy())
            mixed = model.mix.weight.numpy() @ (weights * channels) / np.sqrt(1 + 1e-5)
            hidden = np.where(mixed > 0, mixed, 0.01 * mixed)
            expected = model.classifier.weight.numpy() @ hidden + model.classifier.bias.numpy()
            np.testing.assert_allclose(model(features, is_real)[0, t].numpy(), expected, rtol=1e-10)
