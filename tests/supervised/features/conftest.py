"""Videos with a pattern and sound, made on the spot, and a BERT that fits into a test."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

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
    import torch
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
