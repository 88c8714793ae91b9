"""From a decoded frame to the picture that a model takes."""

from __future__ import annotations

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter

from bah_mllm.media import RESIZERS

SHAPES = [(48, 64), (64, 48), (480, 640), (1, 1), (31, 57), (57, 31), (225, 224), (224, 225), (333, 500), (40, 399)]


def resized(picture: np.ndarray, name: str, size_px: int) -> np.ndarray:
    return RESIZERS[name](av.VideoFrame.from_ndarray(picture, format="rgb24"), size_px, VideoReformatter())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size_px", [224, 37])
def test_exact_is_the_processor_of_video_llava_pixel_by_pixel(shape: tuple[int, int], size_px: int) -> None:
    module = pytest.importorskip("transformers.models.video_llava.image_processing_video_llava")
    processor = module.VideoLlavaImageProcessor()
    picture = np.random.default_rng(sum(shape)).integers(0, 256, (*shape, 3), dtype=np.uint8)
    theirs = processor.resize(picture, {"shortest_edge": size_px}, resample=3, input_data_format="channels_last")
    theirs = processor.center_crop(theirs, {"height": size_px, "width": size_px}, input_data_format="channels_last")
    np.testing.assert_array_equal(resized(picture, "exact", size_px), theirs)


@pytest.mark.parametrize("shape", [(480, 640), (301, 97), (224, 224)])
def test_exact_is_the_whole_clip_processor_before_normalisation(shape: tuple[int, int]) -> None:
    module = pytest.importorskip("transformers.models.clip.image_processing_pil_clip")
    processor = module.CLIPImageProcessorPil(do_rescale=False, do_normalize=False)
    picture = np.random.default_rng(7).integers(0, 256, (*shape, 3), dtype=np.uint8)
    theirs = np.asarray(processor(picture, input_data_format="channels_last")["pixel_values"][0])
    np.testing.assert_array_equal(resized(picture, "exact", 224), theirs.transpose(1, 2, 0))


@pytest.mark.parametrize("shape", SHAPES)
def test_upstream_squeezes_the_whole_picture_into_the_square(shape: tuple[int, int]) -> None:
    from PIL import Image

    picture = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    expected = np.array(Image.fromarray(picture).resize((56, 56)))
    np.testing.assert_array_equal(resized(picture, "upstream", 56), expected)


@pytest.mark.parametrize("shape", [(480, 640), (640, 480), (301, 97), (97, 301), (224, 224)])
def test_fast_shows_the_same_part_of_the_picture_as_exact(shape: tuple[int, int]) -> None:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    picture = np.stack([255 * rows / shape[0], 255 * columns / shape[1], 128 + 0 * rows], axis=2).astype(np.uint8)
    fast, exact = resized(picture, "fast", 64), resized(picture, "exact", 64)
    assert fast.shape == (64, 64, 3)
    assert np.abs(fast.astype(int) - exact).max() <= 4  # a smooth picture; shifted by one pixel it would differ by more


@pytest.mark.parametrize("name", sorted(RESIZERS))
def test_pictures_are_square_bytes_in_red_green_blue(name: str) -> None:
    picture = np.zeros((50, 90, 3), np.uint8)
    picture[..., 0], picture[..., 1] = 200, 100
    shown = resized(picture, name, 32)
    assert (shown.dtype, shown.shape) == (np.uint8, (32, 32, 3))
    assert np.abs(shown.reshape(-1, 3).astype(int) - [200, 100, 0]).max() <= 1
