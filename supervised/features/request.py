"""What features are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bah_mllm.core.errors import ConfigError
from supervised.features.words import DEFAULT_TEXT_MODEL

__all__ = ["AUDIO", "TEXT", "FeatureRequest"]

AUDIO, TEXT = ("vggish",), ("bert",)
_DTYPES = ("float16", "float32")


@dataclass(frozen=True, slots=True)
class FeatureRequest:
    """What to extract, and how.

    Args:
        visual: Backbones, keys of ``supervised.models.backbones.BACKBONES``.
        audio: Of ``AUDIO``.
        text: Of ``TEXT``.
        weights: Backbone or ``vggish`` -> file, folder or hub name.
        text_model: Folder, hub name, or ``minilm``.
        is_random: Take random values for networks without weights.
        has_flipped: Also the features of the faces flipped horizontally.
        detector: Of ``faces.DETECTORS``; for videos without shipped crops.
        face_weights: Of RetinaFace; where uniface keeps them if None.
        detect_every: Look for the face in every so many frames.
        is_faithful: Align sound and words as the published code does; adds ``-faithful`` to their names.
        is_held: Keep a word through the silence after it.
        suffix: Added to the names of all sets.
        dtype: ``float16`` or ``float32``, on disk; rows too large for the first are kept in the second.
        device: ``auto``, ``cpu``, ``cuda`` ...
        batch: Faces that a backbone sees at once, at least 1.

    Raises:
        ConfigError: Nothing is asked for, or something that there is not.
    """

    visual: tuple[str, ...] = ()
    audio: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    weights: Mapping[str, str] = field(default_factory=dict)
    text_model: str = DEFAULT_TEXT_MODEL
    is_random: bool = False
    has_flipped: bool = False
    detector: str = "auto"
    face_weights: Path | None = None
    detect_every: int = 1
    is_faithful: bool = False
    is_held: bool = False
    suffix: str = ""
    dtype: str = "float16"
    device: str = "auto"
    batch: int = 32

    def __post_init__(self) -> None:
        if not (self.visual or self.audio or self.text):
            raise ConfigError(
                "No features are asked for.", remedy="Add --visual resnet18, --audio vggish or --text bert."
            )
        asked = [("--audio", name, AUDIO) for name in self.audio] + [("--text", name, TEXT) for name in self.text]
        for option, value, choices in (*asked, ("--dtype", self.dtype, _DTYPES)):
            if value not in choices:
                raise ConfigError(f"There is no {option} {value!r}.", remedy=f"Choose one of: {', '.join(choices)}.")
        for name in self.weights:
            if name not in (*self.visual, *self.audio):
                raise ConfigError(
                    f"There are weights of {name!r}, which is not asked for.",
                    remedy=f"Write --weights NAME=PATH for: {', '.join((*self.visual, *self.audio)) or 'nothing'}.",
                )
        if self.detect_every < 1 or self.batch < 1:
            raise ConfigError(
                f"Faces cannot be looked for in every {self.detect_every} frames, {self.batch} at once.",
                remedy="Give 1 or more.",
            )
