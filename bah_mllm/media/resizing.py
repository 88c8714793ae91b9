"""From a decoded frame to the square RGB picture that a model takes."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import UInt8

__all__ = [
    "RESIZERS",
    "SQUARE",
    "clockwise_turns",
    "pixel_aspect_of",
    "resize_exact",
    "resize_fast",
    "resize_upstream",
    "shown_shape",
    "square_width",
    "upright_rgb",
]


Frame: TypeAlias = Any  # of PyAV, which has no types we can rely on
Reformatter: TypeAlias = Any
Stream: TypeAlias = Any
SQUARE = Fraction(1)
_LEAST_ASPECT = Fraction(1, 4)  # of a pixel: 1440 x 1080 for 16:9 has 4:3, PAL 16:15, anamorphic film 2:1


def resize_exact(
    frame: Frame, size_px: int, reformatter: Reformatter, pixel_aspect: Fraction = SQUARE
) -> UInt8[np.ndarray, "size size 3"]:
    """Resize as the processors of Video-LLaVA and CLIP do, up to normalisation.

    Shortest edge to ``size_px`` by PIL's bicubic with antialiasing, then the centre cropped.

    References:
        transformers 5.23, ``VideoLlavaImageProcessor`` (``get_resize_output_image_size``, ``center_crop``); equal to it
        pixel by pixel.
    """
    from PIL import Image

    upright = _upright(_rgb(frame, reformatter, pixel_aspect), frame)
    height, width = _scaled_shape(upright.shape[0], upright.shape[1], size_px)
    picture = Image.fromarray(upright).resize((width, height), Image.Resampling.BICUBIC)
    return _crop_center(np.asarray(picture), size_px)


def resize_fast(
    frame: Frame, size_px: int, reformatter: Reformatter, pixel_aspect: Fraction = SQUARE
) -> UInt8[np.ndarray, "size size 3"]:
    """Resize to the same shape as ``exact``, by the bicubic scaler of the decoder: about three times as fast.

    Pixels differ from ``exact``: this scaler weighs neighbours otherwise.
    """
    height, width = _scaled_shape(frame.height, square_width(frame, pixel_aspect), size_px)
    small = _reformatted(frame, reformatter, width=width, height=height, interpolation="BICUBIC")
    return _crop_center(_upright(small, frame), size_px)


def resize_upstream(
    frame: Frame, size_px: int, reformatter: Reformatter, pixel_aspect: Fraction = SQUARE
) -> UInt8[np.ndarray, "size size 3"]:
    """Resize straight to a square, whatever the aspect, as the authors' public zero-shot code does.

    References:
        ``PIL.Image.resize((224, 224))`` with PIL's default filter, bicubic.
    """
    from PIL import Image

    picture = Image.fromarray(_upright(_rgb(frame, reformatter, pixel_aspect), frame))
    return np.array(picture.resize((size_px, size_px), Image.Resampling.BICUBIC))


# Name -> (decoded frame, size in pixels, PyAV reformatter to reuse, width of a pixel over its height) -> RGB picture.
RESIZERS: dict[str, Callable[[Any, int, Any, Fraction], UInt8[np.ndarray, "size size 3"]]] = {
    "exact": resize_exact,
    "fast": resize_fast,
    "upstream": resize_upstream,
}


def clockwise_turns(frame: Frame) -> int:
    """Return how many clockwise quarter turns bring a decoded frame upright: 0 to 3, from its display matrix."""
    counterclockwise_deg: int = frame.rotation  # PyAV cuts 89.99 to 89
    return round(-counterclockwise_deg / 90) % 4


def upright_rgb(
    frame: Frame, reformatter: Reformatter, pixel_aspect: Fraction = SQUARE
) -> UInt8[np.ndarray, "height width 3"]:
    """Return a decoded frame as an upright picture in its own size, widened or narrowed to square pixels."""
    return _upright(_rgb(frame, reformatter, pixel_aspect), frame)


def pixel_aspect_of(stream: Stream) -> Fraction:
    """Return the width of a stream's pixels over their height: 1 where it says nothing.

    Camcorders store 1440 x 1080 pixels of 4:3 for a picture of 16:9. Ratios beyond any camera's are damage.
    """
    ratio = stream.sample_aspect_ratio
    return Fraction(ratio) if ratio and _LEAST_ASPECT <= ratio <= 1 / _LEAST_ASPECT else SQUARE


def square_width(frame: Frame, pixel_aspect: Fraction) -> int:
    """Return the width at which a frame's pixels are square."""
    width: int = max(1, round(frame.width * pixel_aspect))
    return width


def shown_shape(frame: Frame, pixel_aspect: Fraction) -> tuple[int, int]:
    """Return height and width of the upright picture with square pixels."""
    height, width = frame.height, square_width(frame, pixel_aspect)
    return (width, height) if clockwise_turns(frame) % 2 else (height, width)


def _rgb(frame: Frame, reformatter: Reformatter, pixel_aspect: Fraction) -> UInt8[np.ndarray, "height width 3"]:
    """Return a decoded frame as RGB with square pixels."""
    width = square_width(frame, pixel_aspect)
    options = {} if width == frame.width else {"width": width, "height": frame.height, "interpolation": "BICUBIC"}
    return _reformatted(frame, reformatter, **options)


def _reformatted(frame: Frame, reformatter: Reformatter, **options: object) -> UInt8[np.ndarray, "height width 3"]:
    # One thread: swscale would otherwise start one for every core, in every process that decodes.
    array: np.ndarray = reformatter.reformat(frame, format="rgb24", threads=1, **options).to_ndarray()
    return array


def _upright(array: np.ndarray, frame: Frame) -> UInt8[np.ndarray, "height width 3"]:
    return np.ascontiguousarray(np.rot90(array, -clockwise_turns(frame)))


def _scaled_shape(height: int, width: int, size_px: int) -> tuple[int, int]:
    """Return (height, width) with the shortest edge at ``size_px``, the other one rounded down."""
    if width <= height:
        return int(size_px * height / width), size_px
    return size_px, int(size_px * width / height)


def _crop_center(array: np.ndarray, size_px: int) -> UInt8[np.ndarray, "size size 3"]:
    top, left = (array.shape[0] - size_px) // 2, (array.shape[1] - size_px) // 2
    return np.ascontiguousarray(array[top : top + size_px, left : left + size_px])
