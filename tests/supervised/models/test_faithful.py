"""The published code's structure, counts and faults. Figures: that code, run on random features."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bah_mllm.core.errors import ConfigError
from supervised.models import build_model

DIMS = {"visual": 512, "audio": 128, "text": 768}
WINDOW_FRAMES = 48

# trainable parameters, all of them
TOTAL = {"lfan": 5_001_378, "can": 5_816_514, "mt": 5_983_810, "jmt": 6_347_586}
CONVOLUTIONS = {
    "lfan": {"visual": 2_215_296, "audio": 139_104, "text": 2_608_512},
    "can": {"visual": 2_379_648, "audio": 439_872, "text": 2_608_512},
}
NORMS = {"lfan": 576, "can": 640, "mt": 640, "jmt": 640}
HEAD = {"lfan": 450, "can": 149_378, "mt": 17_026, "jmt": 17_026}
FUSION = {"lfan": 37_440, "can": 189_184, "mt": 538_112, "jmt": 901_888}
UNUSED_CONVOLUTION = 49_280
WITHOUT_GRADIENT = {"lfan": 0, "can": UNUSED_CONVOLUTION, "mt": 2_707_712, "jmt": 3_038_592}


def count(*modules: nn.Module | None) -> int:
    return sum(parameter.numel() for module in modules if module is not None for parameter in module.parameters())


def faithful(name: str) -> nn.Module:
    torch.manual_seed(0)
    options = {"window_frames": WINDOW_FRAMES} if name == "lfan" else {}
    return build_model(name, DIMS, variant="faithful", **options)


def features(n_windows: int, *, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(n_windows, WINDOW_FRAMES, dim, generator=generator) for name, dim in DIMS.items()}


def everywhere(n_windows: int) -> torch.Tensor:
    return torch.ones(n_windows, WINDOW_FRAMES, dtype=torch.bool)


@pytest.mark.parametrize("name", TOTAL)
def test_parameters_are_as_many_as_in_the_published_code_in_every_part(name: str) -> None:
    model = faithful(name)
    assert count(model) == TOTAL[name]
    convolutions = CONVOLUTIONS["lfan" if name == "lfan" else "can"]
    assert {m: count(stream) for m, stream in model.streams.temporal.items()} == convolutions
    assert count(model.streams.norm) == NORMS[name]
    head = [model.classifier] if name == "lfan" else [model.mix, model.norm, model.classifier]
    assert count(*head) == HEAD[name]
    unused = count(model.unused) if name == "can" else 0
    rest = count(model) - count(model.streams) - count(*head) - unused
    assert rest == FUSION[name]
    assert unused == (UNUSED_CONVOLUTION if name == "can" else 0)


@pytest.mark.parametrize("name", TOTAL)
def test_as_many_parameters_learn_nothing_as_in_the_published_code(name: str) -> None:
    model = faithful(name).train()
    logits = model(features(2), everywhere(2))
    labels = torch.randint(0, 2, (2 * WINDOW_FRAMES,), generator=torch.Generator().manual_seed(1))
    nn.functional.cross_entropy(logits.flatten(0, 1), labels).backward()
    dead = sum(p.numel() for p in model.parameters() if p.grad is None or not p.grad.any())
    assert dead == WITHOUT_GRADIENT[name]


@pytest.mark.parametrize("name", ["mt", "jmt"])
def test_a_prediction_of_mt_and_jmt_depends_on_its_batch_mates(name: str) -> None:
    # .0150 (MT) and .0216 (JMT) in the published code, at 48 frames and 2 windows
    model = faithful(name).eval()
    together = features(2)
    with torch.no_grad():
        shift = model(together, everywhere(2))[:1] - model({m: v[:1] for m, v in together.items()}, everywhere(1))
    assert 2e-3 < shift.abs().max() < 0.1


@pytest.mark.parametrize("name", ["lfan", "can"])
def test_a_prediction_of_lfan_and_can_does_not(name: str) -> None:
    model = faithful(name).eval()
    together = features(2)
    with torch.no_grad():
        shift = model(together, everywhere(2))[:1] - model({m: v[:1] for m, v in together.items()}, everywhere(1))
    assert shift.abs().max() < 1e-5


@pytest.mark.parametrize(("name", "is_read"), [("lfan", True), ("can", True), ("mt", False), ("jmt", False)])
def test_mt_and_jmt_leave_text_out(name: str, is_read: bool) -> None:
    model = faithful(name).eval()
    before = features(1)
    after = before | {"text": before["text"] + 1}
    with torch.no_grad():
        assert torch.equal(model(before, everywhere(1)), model(after, everywhere(1))) is not is_read


@pytest.mark.parametrize("n_frames", [24, 47, 49, 96])
def test_lfan_takes_windows_of_one_length_only(n_frames: int) -> None:
    model = faithful("lfan")
    windows = {name: torch.zeros(1, n_frames, dim) for name, dim in DIMS.items()}
    with pytest.raises(ConfigError, match=f"windows of 48 frames only, got {n_frames}") as caught:
        model(windows, torch.ones(1, n_frames, dtype=torch.bool))
    assert "window_frames" in caught.value.remedy


def test_padding_counts_as_frames() -> None:
    model = faithful("can").train()
    is_real = everywhere(2)
    is_real[1, 10:] = False
    model(features(2), is_real)
    fresh = faithful("can").train()
    fresh(features(2), everywhere(2))
    assert torch.equal(model.norm.running_mean, fresh.norm.running_mean)


def test_mt_without_audio_is_refused() -> None:
    with pytest.raises(ConfigError, match="reads visual and audio features, not visual, text"):
        build_model("mt", {"visual": 512, "text": 768}, variant="faithful")


def layer_of(encoder: nn.Module) -> nn.TransformerEncoderLayer:
    """Return PyTorch's own post-norm layer with an encoder's weights."""
    layer = nn.TransformerEncoderLayer(128, 1, 128, dropout=0.0)
    layer.self_attn.load_state_dict(encoder.attention.state_dict())
    layer.linear1.load_state_dict(encoder.feedforward[0].state_dict())
    layer.linear2.load_state_dict(encoder.feedforward[2].state_dict())
    layer.norm1.load_state_dict(encoder.norm1.state_dict())
    layer.norm2.load_state_dict(encoder.norm2.state_dict())
    return layer.train()


@pytest.mark.parametrize("name", ["mt", "jmt"])
def test_mt_and_jmt_are_what_pytorchs_own_layers_make_in_the_wrong_layout(name: str) -> None:
    model = faithful(name).eval()
    n_windows = 2
    with torch.no_grad():
        streams = model.streams(features(n_windows), everywhere(n_windows))
        visual, audio = streams["visual"], model.project(streams["audio"])
        by_time = {"visual": visual.permute(1, 0, 2), "audio": audio.permute(1, 0, 2)}
        pairs = [("visual", "audio"), ("audio", "visual")]
        if name == "jmt":
            by_time["joint"] = model.joint(torch.cat((visual, audio), -1)).permute(1, 0, 2)
            pairs += [("joint", "visual"), ("visual", "joint"), ("joint", "audio"), ("audio", "joint")]
        encoded = {key: layer_of(model.encoders[key])(values) for key, values in by_time.items()}
        answers = [model.cross[f"{a}_{b}"](encoded[a], encoded[b], encoded[b])[0] for a, b in pairs]
        tokens = torch.stack(answers, dim=2).reshape(WINDOW_FRAMES * n_windows, len(pairs), 128)
        tokens = layer_of(model.answers_encoder)(tokens)  # sequence: frames of all windows; batch: the answers
        tokens = model.answers_attention(tokens, tokens, tokens)[0]
        last = tokens.reshape(WINDOW_FRAMES, n_windows, len(pairs), 128)[:, :, -1].permute(1, 0, 2)
        norm = model.norm
        mixed = (model.mix(last) - norm.running_mean) / torch.sqrt(norm.running_var + 1e-5) * norm.weight + norm.bias
        expected = model.classifier(nn.functional.leaky_relu(mixed, 0.01))
        torch.testing.assert_close(model(features(n_windows), everywhere(n_windows)), expected, atol=1e-5, rtol=1e-4)
