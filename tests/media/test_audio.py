"""The sound of a video as an array."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from bah_mllm.core.errors import MediaError
from bah_mllm.media import probe, read_audio


def pitch_hz(samples: np.ndarray, rate_hz: int) -> float:
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.argmax(spectrum) * rate_hz / len(samples))


def level(samples: np.ndarray) -> float:
    middle = samples[len(samples) // 4 : -len(samples) // 4]
    return float(np.sqrt(2 * np.mean(middle.astype(float) ** 2)))


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 22_050, 44_100, 48_000])
@pytest.mark.parametrize("n_channels", [1, 2])
def test_every_rate_and_channel_count_gives_the_same_tone(
    rate_hz: int, n_channels: int, tmp_path: Path, build: SimpleNamespace
) -> None:
    samples = np.stack([build.tone(1.0, rate_hz=rate_hz)] * n_channels)
    heard = read_audio(build.sound(tmp_path / "a.wav", samples, rate_hz=rate_hz, codec="pcm_s16le"))
    assert (heard.dtype, heard.ndim) == (np.float32, 1)
    assert abs(len(heard) - 16_000) <= 32
    assert pitch_hz(heard, 16_000) == pytest.approx(440, abs=2)
    assert level(heard) == pytest.approx(0.5, abs=0.01)  # mixing two equal channels must not make them louder


def test_sound_on_one_of_two_channels_is_heard_at_half_its_level(tmp_path: Path, build: SimpleNamespace) -> None:
    left = build.tone(1.0, rate_hz=16_000)
    path = build.sound(tmp_path / "a.wav", np.stack([left, 0 * left]), rate_hz=16_000, codec="pcm_s16le")
    assert level(read_audio(path)) == pytest.approx(0.25, abs=0.01)


def test_another_sample_rate_can_be_asked_for(tmp_path: Path, build: SimpleNamespace) -> None:
    path = build.sound(tmp_path / "a.wav", build.tone(1.0, rate_hz=48_000)[None], rate_hz=48_000, codec="pcm_s16le")
    heard = read_audio(path, sample_rate_hz=24_000)
    assert abs(len(heard) - 24_000) <= 32
    assert pitch_hz(heard, 24_000) == pytest.approx(440, abs=2)


def test_loud_sound_stays_within_one(tmp_path: Path, build: SimpleNamespace) -> None:
    square = np.sign(build.tone(1.0, rate_hz=48_000))[None]
    heard = read_audio(build.sound(tmp_path / "a.mp4", square, rate_hz=48_000))
    assert 0.99 < np.abs(heard).max() <= 1.0


def test_sound_longer_than_the_video_is_read_whole(tmp_path: Path, build: SimpleNamespace) -> None:
    path = build.video(tmp_path / "a.mp4", 12, fps=24, audio_s=3.0)
    info = probe(path)
    assert (info.n_frames, info.duration_s) == (12, 0.5)
    assert len(read_audio(path)) / 16_000 == pytest.approx(3.0, abs=0.05)


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "aac"), ("a.webm", "libopus"), ("a.mkv", "flac")])
def test_sound_of_common_codecs_is_read(name: str, codec: str, tmp_path: Path, build: SimpleNamespace) -> None:
    video_codec = "libvpx" if name.endswith("webm") else "libx264"
    path = build.video(tmp_path / name, 24, codec=video_codec, audio_s=1.0, audio_codec=codec)
    heard = read_audio(path)
    assert len(heard) / 16_000 == pytest.approx(1.0, abs=0.05)
    assert pitch_hz(heard, 16_000) == pytest.approx(440, abs=2)


def test_sound_that_was_cut_off_is_read_up_to_there(tmp_path: Path, build: SimpleNamespace) -> None:
    samples = build.tone(4.0, rate_hz=48_000)[None]
    whole = build.sound(tmp_path / "whole.mp4", samples, rate_hz=48_000, options={"movflags": "faststart"})
    heard = read_audio(build.cut(whole, tmp_path / "cut.mp4", share=0.5))
    assert 0.5 < len(heard) / 16_000 < 3.5
    assert pitch_hz(heard, 16_000) == pytest.approx(440, abs=2)


def test_a_video_without_sound_is_refused(tmp_path: Path, build: SimpleNamespace) -> None:
    path = build.video(tmp_path / "a.mp4", 5)
    assert not probe(path).has_audio
    with pytest.raises(MediaError, match="has no sound"):
        read_audio(path)


def test_sound_of_which_nothing_decodes_is_refused(tmp_path: Path, build: SimpleNamespace) -> None:
    samples = build.tone(1.0, rate_hz=48_000)[None]
    path = build.sound(tmp_path / "a.mp4", samples, rate_hz=48_000, options={"movflags": "faststart"})
    file = path.read_bytes()
    path.write_bytes(file[: file.index(b"mdat") + 4])
    with pytest.raises(MediaError, match="none of it can be decoded"):
        read_audio(path)


def test_a_stream_that_changes_its_rate_and_channels_is_read_whole(tmp_path: Path, build: SimpleNamespace) -> None:
    mono, stereo = build.tone(1.0, rate_hz=48_000)[None], np.stack([build.tone(1.0, rate_hz=24_000)] * 2)
    parts = [
        build.sound(tmp_path / "mono.aac", mono, rate_hz=48_000),
        build.sound(tmp_path / "stereo.aac", stereo, rate_hz=24_000),
    ]
    path = tmp_path / "both.aac"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    heard = read_audio(path)
    assert len(heard) / 16_000 == pytest.approx(2.0, abs=0.2)
    for half in np.array_split(heard, 2):
        assert pitch_hz(half, 16_000) == pytest.approx(440, abs=3)
        assert level(half) == pytest.approx(0.5, abs=0.03)
