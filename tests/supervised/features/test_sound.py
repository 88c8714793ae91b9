"""VGGish rows: the spectrogram, the windows, and one row for every video frame."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bah_mllm.core.errors import DataError, PrerequisiteError
from supervised.features import sound
from supervised.features.sound import VGGish, embed_sound, faithful_starts, load_vggish, log_mel, window_starts

RATE = 16_000


def frame_times(n_frames: int, fps: float = 24.0) -> np.ndarray:
    return np.arange(n_frames) / fps


class Loudness(nn.Module):
    """Stands in for VGGish: tells the sum over bands of each of the 96 mel frames that it is shown."""

    def forward(self, examples: Tensor) -> Tensor:
        return torch.cat([examples.sum(dim=2), torch.zeros(len(examples), 32)], dim=1)


def test_the_spectrogram_is_that_of_torch_and_of_triangles_drawn_one_by_one() -> None:
    samples = np.random.default_rng(0).normal(size=RATE) * 0.1
    padded = torch.from_numpy(np.pad(samples, 56))  # torch centres the 400 samples of a window in its 512
    window = torch.hann_window(400, periodic=True, dtype=torch.float64)
    spectrum = torch.stft(padded, 512, 160, 400, window, center=False, return_complex=True).abs().T.numpy()

    def mel(hz: float) -> float:
        return 2595 * math.log10(1 + hz / 700)

    edges = [mel(125) + k * (mel(7500) - mel(125)) / 65 for k in range(66)]
    wanted = np.zeros((len(spectrum), 64))
    for band in range(64):
        low, middle, high = edges[band : band + 3]
        for index in range(1, 257):
            at = mel(index * RATE / 512)
            weight = max(0.0, min((at - low) / (middle - low), (high - at) / (high - middle)))
            wanted[:, band] += weight * spectrum[:, index]
    found = log_mel(samples)
    assert found.dtype == np.float32
    assert found.shape == (1 + (RATE - 400) // 160, 64)
    assert np.allclose(found, np.log(wanted + 0.01), atol=1e-5)


def test_long_sound_has_the_same_spectrogram_as_its_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = np.random.default_rng(1).normal(size=RATE).astype(np.float32)
    whole = log_mel(samples)
    monkeypatch.setattr(sound, "_BLOCK", 7)
    assert np.array_equal(log_mel(samples), whole)


@pytest.mark.parametrize("n_samples", [0, 399])
def test_less_than_a_window_has_no_spectrogram(n_samples: int) -> None:
    assert log_mel(np.zeros(n_samples, np.float32)).shape == (0, 64)


def test_the_middle_of_a_window_lies_within_5_ms_of_the_middle_of_its_frame() -> None:
    middles_s = np.linspace(0, 20, 997)
    first_sample = window_starts(middles_s) * 160
    last_sample = first_sample + 95 * 160 + 400
    assert np.abs((first_sample + last_sample) / 2 / RATE - middles_s).max() <= 0.005 + 1e-9


def heard(rows: np.ndarray) -> list[int]:
    """Return the frames in whose window something sounds."""
    silence = 64 * math.log(0.01)
    return np.nonzero((rows[:, :96] > silence + 1).any(axis=1))[0].tolist()


def impulse(at_s: float, duration_s: float) -> np.ndarray:
    samples = np.zeros(round(duration_s * RATE), np.float32)
    samples[round(at_s * RATE)] = 1.0
    return samples


def test_an_impulse_is_heard_half_a_second_before_and_after_its_frame() -> None:
    rows, is_valid = embed_sound(Loudness(), impulse(3.0, 6.0), frame_times(144), fps=24.0)
    # frame k has its middle at (k + 1/2) / 24; its window reaches 0.4875 s to each side
    wanted = [k for k in range(144) if abs((k + 0.5) / 24 - 3.0) < 0.4875]
    assert abs(len(heard(rows)) - len(wanted)) <= 1  # a window's edges hardly count
    assert set(heard(rows)) <= set(wanted)
    middle = np.mean([np.argmax(rows[k, :96]) for k in (71, 72)])  # the frames around 3 s
    assert abs(middle - 47.5) <= 1
    assert is_valid.all()


def test_faithful_windows_look_ahead_and_belong_to_the_frame_before() -> None:
    rows, is_valid = embed_sound(Loudness(), impulse(3.0, 6.0), frame_times(144), fps=24.0, is_faithful=True)
    # example i covers [i/24, i/24 + 0.975 s); its row is stored at frame i - 1
    wanted = [i - 1 for i in range(1, 145) if i / 24 <= 3.0 < i / 24 + 0.975]
    assert abs(len(heard(rows)) - len(wanted)) <= 1
    assert set(heard(rows)) <= set(wanted)
    assert is_valid.all()


@pytest.mark.parametrize(("seconds", "fps"), [(2.0, 24.0), (5.03, 29.97), (0.9, 10.0)])
def test_faithful_rows_are_those_of_the_published_steps(seconds: float, fps: float) -> None:
    samples = np.random.default_rng(2).normal(size=round(seconds * RATE)).astype(np.float32)
    n_frames = round(seconds * fps) + 40
    rows, _ = embed_sound(Loudness(), samples, frame_times(n_frames, fps), fps=fps, is_faithful=True, batch=5)
    mel = log_mel(np.concatenate([samples, np.full(RATE, samples[-1])]))
    stored, i = [], 0
    while round(i * 100 / fps) + 96 <= len(mel) and i < 1 + math.floor((len(mel) - 96) / (100 / fps)):
        stored.append(mel[round(i * 100 / fps) :][:96].sum(axis=1))
        i += 1
    read = stored[1:]  # the first row is taken for the header
    wanted = (read + [read[-1]] * n_frames)[:n_frames]
    assert np.allclose(rows[:, :96], wanted, atol=1e-3)


def test_as_many_examples_as_fit() -> None:
    assert faithful_starts(96, fps=24.0).tolist() == [0]
    assert faithful_starts(95, fps=24.0).tolist() == []
    assert faithful_starts(109, fps=24.0).tolist() == [0, 4, 8, 12]  # steps of 100/24 = 4.17


@pytest.mark.parametrize("is_faithful", [False, True])
@pytest.mark.parametrize("sound_s", [0.5, 1.9, 2.0, 2.1, 9.0])
def test_there_is_one_row_a_frame_however_long_the_sound(sound_s: float, *, is_faithful: bool) -> None:
    samples = np.random.default_rng(3).normal(size=round(sound_s * RATE)).astype(np.float32)
    rows, is_valid = embed_sound(Loudness(), samples, frame_times(48), fps=24.0, is_faithful=is_faithful)
    assert rows.shape == (48, 128)
    assert np.isfinite(rows).all()
    n_with_sound = 48 if is_faithful else min(48, math.ceil(sound_s * 24 - 1e-9))
    assert is_valid.tolist() == [k < n_with_sound for k in range(48)]
    assert not rows[~is_valid].any()


def test_frames_that_are_not_evenly_spaced_hear_the_sound_of_their_own_time() -> None:
    times_s = np.array([0.0, 0.1, 0.2, 3.0, 3.1, 3.2])
    rows, _ = embed_sound(Loudness(), impulse(3.1, 4.0), times_s, fps=6 / 3.3)
    assert heard(rows) == [3, 4, 5]


def test_a_video_of_one_frame_has_one_row() -> None:
    rows, is_valid = embed_sound(Loudness(), np.ones(RATE, np.float32), np.zeros(1), fps=None)
    assert rows.shape == (1, 128)
    assert is_valid.tolist() == [True]


def test_faithful_alignment_without_a_frame_rate_is_refused() -> None:
    with pytest.raises(DataError, match="frame rate"):
        embed_sound(Loudness(), np.ones(RATE, np.float32), frame_times(5), fps=None, is_faithful=True)


@pytest.fixture(scope="module")
def network() -> VGGish:
    return load_vggish(random=True)


def test_the_network_has_the_parameters_of_vggish(network: VGGish) -> None:
    assert sum(value.numel() for value in network.parameters()) == 72_141_184  # Hershey et al.'s, as torchvggish counts
    names = {name.rsplit(".", 1)[0] for name in network.state_dict()}
    assert names == {f"features.{k}" for k in (0, 3, 6, 8, 11, 13)} | {f"embeddings.{k}" for k in (0, 2, 4)}


def test_maps_are_flattened_with_the_channel_last_as_tensorflow_does(network: VGGish) -> None:
    examples = torch.randn(2, 96, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        maps = network.features(examples[:, None])
        moved = maps.transpose(1, 3).transpose(1, 2).contiguous()  # torchvggish's own way
        wanted = network.embeddings(moved.view(2, -1))
        assert torch.allclose(network(examples), wanted, atol=1e-5)
    assert maps.shape == (2, 512, 6, 4)
    assert (wanted < 0).any()  # no last ReLU


class Small(VGGish):
    """As few parameters as a test can do with."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.embeddings = nn.Linear(2, 3)


def test_weights_are_read_by_name_and_others_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from safetensors.torch import save_file

    monkeypatch.setattr(sound, "VGGish", Small)
    state = {"embeddings.weight": torch.full((3, 2), 0.25), "embeddings.bias": torch.arange(3.0)}
    torch.save(state | {"pproc.pca_means": torch.zeros(4)}, tmp_path / "vggish.pth")
    save_file(state, tmp_path / "vggish.safetensors")
    for name in ("vggish.pth", "vggish.safetensors"):
        assert load_vggish(tmp_path / name).state_dict()["embeddings.bias"].tolist() == [0, 1, 2]
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(DataError, match=r"other\.pth does not hold the parameters of VGGish"):
        load_vggish(tmp_path / "other.pth")


def test_a_pickled_object_is_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound, "VGGish", Small)
    torch.save(Small(), tmp_path / "whole.pth")
    with pytest.raises(DataError, match="cannot be read as tensors"):
        load_vggish(tmp_path / "whole.pth")


def test_without_weights_random_ones_must_be_asked_for_and_are_the_same_each_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sound, "VGGish", Small)
    with pytest.raises(PrerequisiteError, match="needs weights"):
        load_vggish()
    with pytest.raises(PrerequisiteError, match="no weights of VGGish at"):
        load_vggish(tmp_path / "missing.pth")
    first, second = load_vggish(random=True).state_dict(), load_vggish(random=True).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
