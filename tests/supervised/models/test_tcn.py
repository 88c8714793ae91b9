"""Temporal convolutions against their formula, and how far they see."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from supervised.models import build_model
from supervised.models.tcn import CAN_WIDTHS, LFAN_WIDTHS, TemporalConvolutions


@pytest.mark.parametrize(
    ("widths", "frames"),
    [
        (LFAN_WIDTHS["visual"], 121),
        (LFAN_WIDTHS["audio"], 121),
        (LFAN_WIDTHS["text"], 121),
        (CAN_WIDTHS["visual"], 249),
        (CAN_WIDTHS["audio"], 121),
        (CAN_WIDTHS["text"], 121),
    ],
)
@pytest.mark.parametrize("is_causal", [True, False], ids=["causal", "centred"])
def test_a_frame_sees_as_many_as_in_the_published_code(widths: tuple[int, ...], frames: int, is_causal: bool) -> None:
    torch.manual_seed(0)
    n_frames, t = 601, 300
    narrow = [max(width // 32, 2) for width in widths]  # the depth counts, not the width
    model = TemporalConvolutions(3, narrow, kernel_frames=5, dropout=0.1, is_causal=is_causal).double().eval()
    values = torch.randn(1, n_frames, 3, dtype=torch.float64, requires_grad=True)
    model(values, torch.ones(1, n_frames, dtype=torch.bool))[0, t].sum().backward()
    seen = values.grad[0].abs().sum(-1).nonzero().flatten()
    assert len(seen) == seen[-1] - seen[0] + 1 == frames
    assert seen[-1] == (t if is_causal else t + frames // 2)


def test_a_block_is_its_formula_written_out() -> None:
    torch.manual_seed(1)
    n_frames, dim, width, dilation = 14, 3, 4, 2
    model = TemporalConvolutions(dim, [dim, width], kernel_frames=5, dropout=0.1).double().eval()
    block = model.network[1]
    values = torch.randn(1, n_frames, dim, dtype=torch.float64)

    def leaky(x: np.ndarray) -> np.ndarray:
        return np.where(x > 0, x, 0.01 * x)

    def convolve(x: np.ndarray, layer: torch.nn.Conv1d) -> np.ndarray:
        gain, direction = (p.detach().numpy() for p in (layer.parametrizations.weight.original0,
                                                        layer.parametrizations.weight.original1))  # fmt: skip
        weight = gain * direction / np.sqrt((direction**2).sum(axis=(1, 2), keepdims=True))
        out = np.tile(layer.bias.detach().numpy(), (len(x), 1))
        for t in range(len(x)):
            for tap in range(5):
                past = t - (4 - tap) * dilation
                if past >= 0:
                    out[t] += weight[:, :, tap] @ x[past]
        return out

    with torch.no_grad():
        is_padding = torch.zeros(1, 1, n_frames, dtype=torch.bool)
        x = values[0].numpy()
        hidden = leaky(convolve(leaky(convolve(x, block.conv1)), block.conv2))
        residual = x @ block.downsample.weight[:, :, 0].numpy().T + block.downsample.bias.numpy()
        got = block(values.transpose(1, 2), is_padding)[0].T.numpy()
    np.testing.assert_allclose(got, leaky(hidden + residual), rtol=1e-12, atol=1e-12)


def test_the_single_modality_baseline_has_the_streams_of_lfan() -> None:
    convolutions = {"visual": 2_215_296, "audio": 139_104, "text": 2_608_512}  # counted in the published code
    out = {"visual": 128, "audio": 32, "text": 128}
    for modality, dim in {"visual": 512, "audio": 128, "text": 768}.items():
        model = build_model("tcn", {modality: dim})
        n_parameters = sum(parameter.numel() for parameter in model.parameters())
        assert n_parameters == convolutions[modality] + 2 * out[modality] + 2 * out[modality] + 2
