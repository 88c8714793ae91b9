from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bah_mllm.dataset import open_dataset
from bah_mllm.dataset.opening import demo_root

N_FRAMES = 12


@pytest.fixture(scope="session")
def crops(tmp_path_factory):
    """Crops for the first frames of every demo video, in the layout of the shipped ones: brighter where A/H."""
    root = tmp_path_factory.mktemp("crops")
    dataset = open_dataset(demo_root())
    rng = np.random.default_rng(0)
    for video in dataset.videos():
        labels = dataset.frame_labels(video)
        frames = sorted(
            {*np.flatnonzero(labels == 1)[:N_FRAMES].tolist(), *np.flatnonzero(labels == 0)[:N_FRAMES].tolist()}
        )
        folder = root / "cropped-aligned-faces" / video.video_id
        folder.mkdir(parents=True)
        for frame in frames:
            low = 150 if labels[frame] else 30
            pixels = rng.integers(low, low + 60, size=(40, 40, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"frame-{frame}.jpg")
    return Path(root)


@pytest.fixture(scope="session")
def demo():
    return open_dataset(demo_root())
