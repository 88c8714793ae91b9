"""openai-whisper as a recogniser."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
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

__all__ = ["OpenAIWhisper", "whisper_cache"]


class OpenAIWhisper(Recogniser):
    """openai-whisper: the reference implementation. Models are its names, or paths of its ``.pt`` checkpoints.

    Checkpoints are read with ``torch.load(weights_only=True)``, which whisper asks for itself: a pickle that wants to
    run code is refused.
    """

    name = "openai-whisper"
    package = "openai-whisper"

    @cached_property
    def _model(self) -> Any:  # noqa: ANN401 - a class of an untyped package
        whisper = import_optional("whisper", extra="asr", purpose=PURPOSE)
        device = None if self.device == "auto" else self.device
        if self.download and not Path(self.model_name).is_file() and self.model_name in whisper.available_models():
            try:
                return whisper.load_model(self.model_name, device=device)
            except OSError as error:  # no network, or no answer
                reason = f"the model {self.model_name} cannot be downloaded ({type(error).__name__})."
                raise self._not_loaded(reason) from error
        path = self._checkpoint(whisper.available_models())
        try:
            model = whisper.load_model(str(path), device=device)
        except (pickle.UnpicklingError, KeyError, TypeError, RuntimeError, EOFError, ValueError) as error:
            raise self._not_loaded(f"{path} is no checkpoint of a Whisper model ({type(error).__name__}).") from error
        heads = whisper._ALIGNMENT_HEADS.get(path.stem)  # noqa: SLF001 - whisper knows them by name only, not by path
        if heads is not None:
            with suppress(RuntimeError):  # a file that merely bears the name has another number of heads
                model.set_alignment_heads(heads)
        return model

    def load(self) -> None:
        """Load the model."""
        _ = self._model

    def _checkpoint(self, names: Sequence[str]) -> Path:
        """Return the file of the model, which may be one that whisper has downloaded before."""
        given = Path(self.model_name).expanduser()
        if given.is_file():
            return given
        if self.model_name not in names:
            raise ConfigError(
                f"{self.model_name} is neither a file nor a model of openai-whisper.",
                remedy=f"Choose one of: {', '.join(names)}; or give the path of a `.pt` file.",
            )
        root = whisper_cache()
        for stem in (self.model_name, {"large": "large-v3", "turbo": "large-v3-turbo"}.get(self.model_name, "")):
            if stem and (root / f"{stem}.pt").is_file():
                return root / f"{stem}.pt"
        raise self._not_loaded(f"the model {self.model_name} is not in {root}.")

    def _language_probabilities(self, samples: Float[np.ndarray, " samples"]) -> Mapping[str, float]:
        if not self._model.is_multilingual:
            return {"en": 1.0}
        whisper = import_optional("whisper", extra="asr", purpose=PURPOSE)
        mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(samples), self._model.dims.n_mels)
        _, p = self._model.detect_language(mel.to(self._model.device))
        return dict(p)

    def _known_languages(self) -> Sequence[str]:
        if not self._model.is_multilingual:
            return ("en",)
        names = import_optional("whisper.tokenizer", extra="asr", purpose=PURPOSE).LANGUAGES
        return tuple(names)[: self._model.num_languages]

    def _pieces(
        self, samples: Float[np.ndarray, " samples"], clips: Sequence[TimeSpan], language: str, prompt: str | None
    ) -> Iterable[Piece]:
        heard = self._model.transcribe(
            samples,
            language=language,
            temperature=0.0,  # one greedy pass with beams: the same recording always gives the same words
            beam_size=5,
            fp16=self._model.device.type == "cuda",
            word_timestamps=True,
            condition_on_previous_text=False,  # else a mistake repeats itself through the recording
            initial_prompt=prompt,
            carry_initial_prompt=prompt is not None,
            clip_timestamps=[t_s for clip in clips for t_s in clip],
        )
        for segment in heard["segments"]:
            yield Piece(tuple((w["word"], float(w["start"]), float(w["end"])) for w in segment.get("words", [])))


def whisper_cache() -> Path:
    """Return the folder where openai-whisper keeps what it has downloaded."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "whisper"
