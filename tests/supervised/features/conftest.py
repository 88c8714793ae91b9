"""Videos with a pattern and sound, made on the spot, a data set of three, and networks that fit into a test."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from shutil import copytree

import av
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from supervised.features import extractors

SIZE_PX = 96
WORDS = ["i", "tea", "cake", "maybe", "not", "ing", "want", "like", "but", "the"]


def _write(
    path: Path,
    n_frames: int,
    *,
    fps: int = 24,
    times_ms: list[int] | None = None,
    sound: np.ndarray | None = None,
) -> Path:
    """Write a video of one picture, with frames at given times, and sound at 16 kHz, kept as it is."""
    yy, xx = np.mgrid[:SIZE_PX, :SIZE_PX]
    picture = np.stack([xx * 2, yy * 2, 128 + 90 * np.sin(xx / 5) * np.cos(yy / 7)], axis=-1).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "qp": "8"})
        stream.width = stream.height = SIZE_PX
        stream.pix_fmt = "yuv420p"
        track = container.add_stream("pcm_s16le", rate=16_000, layout="mono") if sound is not None else None
        if times_ms is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        container.start_encoding()
        for k in range(n_frames):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = (k, Fraction(1, fps)) if times_ms is None else (times_ms[k], Fraction(1, 1000))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if track is not None and sound is not None:
            samples = (np.clip(sound, -1, 1) * 32_767).astype(np.int16)[None]
            heard = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            heard.sample_rate, heard.pts = 16_000, 0
            container.mux(track.encode(heard))
            container.mux(track.encode(None))
    return path


@pytest.fixture(scope="session")
def write_video() -> Callable[..., Path]:
    return _write


@pytest.fixture(scope="session")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a random BERT of 5 layers that reads 24 tokens and knows a handful of sub-words."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    pieces = [
        *WORDS,
        "##s",
        "##ing",
        "##y",
        *"abcdefghijklmnopqrstuvwxyz.?!",
        *[f"##{c}" for c in "abcdefghjklmnopqrtuvwxz"],
    ]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(pieces)]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    tokenizer = BertTokenizerFast(vocab=str(folder / "vocab.txt"), model_max_length=24)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=5,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=24,
    )
    BertModel(config).save_pretrained(folder)
    return folder


N_FRAMES = {"a": 30, "b": 13, "c": 41}


def _name_of(letter: str) -> str:
    number = "abcdef".index(letter) + 1
    return f"Videos/9{number}/Visite_1/9{number}_Question_{number}_2025-01-01_10-00-00_Video.mp4"


@pytest.fixture(scope="session")
def name_of() -> Callable[[str], str]:
    """Return the id of a video by its letter."""
    return _name_of


@pytest.fixture(scope="session")
def n_frames_by_letter() -> dict[str, int]:
    return N_FRAMES


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory, write_video: Callable[..., Path]) -> Path:
    """Three videos with sound, crops and words in BAH's layout."""
    root = tmp_path_factory.mktemp("data") / "BAH_DB"
    rng = np.random.default_rng(0)
    for letter, n_frames in N_FRAMES.items():
        sound = rng.normal(size=round(16_000 * n_frames / 24)) * 0.1
        write_video((root / _name_of(letter)).with_suffix(".mkv"), n_frames, sound=sound).rename(
            root / _name_of(letter)
        )
        folder = root / "cropped-aligned-faces" / _name_of(letter)
        folder.mkdir(parents=True)
        for k in range(n_frames):
            if k != 5:  # a gap
                picture = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
                Image.fromarray(picture).resize((256, 256)).save(folder / f"frame-{k}.jpg")
    (root / "split").mkdir()
    (root / "split" / "train.txt").write_text(f"{_name_of('a')},1,I want tea but maybe not\n{_name_of('b')},0,cake\n")
    (root / "split" / "test.txt").write_text(f"{_name_of('c')},1,I like the cake\n")
    return root


@pytest.fixture
def root(pristine: Path, tmp_path: Path) -> Path:
    """Return a copy that a test may damage."""
    return Path(copytree(pristine, tmp_path / "BAH_DB"))


class Energy(nn.Module):
    """Stands in for VGGish: the mean of each of the 64 bands, twice."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, examples: Tensor) -> Tensor:
        return self.scale * examples.mean(dim=1).repeat(1, 2)


@pytest.fixture
def small_vggish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extractors, "load_vggish", lambda weights, *, random: Energy())
