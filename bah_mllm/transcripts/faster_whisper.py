"""faster-whisper as a recogniser."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.loading import import_optional
from bah_mllm.core.stretches import TimeSpan
from bah_mllm.transcripts.recognition import PURPOSE, Piece, Recogniser

if TYPE_CHECKING:
    from jaxtyping import Float

__all__ = ["FasterWhisper"]


class FasterWhisper(Recogniser):
    """faster-whisper: the same models in CTranslate2, 8 bit on a CPU and half precision on a GPU.

    Models are its names, or folders with ``model.bin`` and ``tokenizer.json`` (data only; nothing in them runs).
    """

    name = "faster-whisper"
    package = "faster-whisper"

    @cached_property
    def _model(self) -> Any:  # noqa: ANN401 - a class of an untyped package
        module = import_optional("faster_whisper", extra="asr", purpose=PURPOSE)
        given = Path(self.model_name).expanduser()
        if given.is_dir():
            missing = [name for name in ("model.bin", "tokenizer.json") if not (given / name).is_file()]
            if missing:  # without its tokenizer, faster-whisper would fetch one
                raise self._not_loaded(f"{given} has no {' and no '.join(missing)}.")
        elif "/" not in self.model_name and self.model_name not in module.available_models():
            raise ConfigError(
                f"{self.model_name} is neither a folder nor a model of faster-whisper.",
                remedy=f"Choose one of: {', '.join(module.available_models())}; or give the path of a folder.",
            )
        name = str(given) if given.is_dir() else self.model_name
        device, compute_type = self._device()
        try:
            return module.WhisperModel(
                name, device=device, compute_type=compute_type, local_files_only=not self.download
            )
        except (RuntimeError, ValueError, OSError, KeyError) as error:
            if given.is_dir():
                raise self._not_loaded(f"{given} is no CTranslate2 model ({type(error).__name__}).") from error
            problem = "is not on this machine, nor can it be downloaded" if self.download else "is not on this machine"
            raise self._not_loaded(f"the model {name} {problem}.") from error

    def load(self) -> None:
        """Load the model."""
        _ = self._model

    def _device(self) -> tuple[str, str]:
        ctranslate2 = import_optional("ctranslate2", extra="asr", purpose=PURPOSE)
        has_cuda = ctranslate2.get_cuda_device_count() > 0
        device = ("cuda" if has_cuda else "cpu") if self.device == "auto" else self.device
        return device, "float16" if device == "cuda" else "int8"

    def _language_probabilities(self, samples: Float[np.ndarray, " samples"]) -> Mapping[str, float]:
        if not self._model.model.is_multilingual:
            return {"en": 1.0}
        _, _, p = self._model.detect_language(audio=samples)
        return dict(p)

    def _known_languages(self) -> Sequence[str]:
        return tuple(self._model.supported_languages)

    def _pieces(
        self, samples: Float[np.ndarray, " samples"], clips: Sequence[TimeSpan], language: str, prompt: str | None
    ) -> Iterable[Piece]:
        segments, _ = self._model.transcribe(
            samples,
            language=language,
            temperature=0.0,
            beam_size=5,
            word_timestamps=True,
            condition_on_previous_text=False,
            hotwords=prompt,  # stands where an initial prompt would, but in every stretch instead of the first
            clip_timestamps=[t_s for clip in clips for t_s in clip],
            vad_filter=False,  # done
        )
        for segment in segments:
            yield Piece(tuple((w.word, float(w.start), float(w.end)) for w in segment.words or ()))
