# ruff: noqa: TID253 - engines need torch; nothing light imports this module
"""The ``video-llava`` engine: Video-LLaVA through transformers.

What a window costs, and how it is shared:

* Each frame goes through the vision tower once, whatever windows, window sizes and prompts see it.
* ``USER: <video>`` is the same length for every window, so that a batch of them is prefilled without padding, once for
  all prompts.
* All prompts with all labels of a window follow in one packed pass (``bah_mllm.engines.packed``).

Nothing is approximated: scores equal those of one full forward pass for each prompt and label. With the paper's five
prompts a window and prompt took a quarter of the time of generating six tokens (one CPU thread, float32, 68 M
parameters, 2,056 video tokens); with one prompt there is no gain, only scores.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import DynamicCache, VideoLlavaForConditionalGeneration

from bah_mllm.core.engine import Capabilities
from bah_mllm.core.errors import ConfigError, EngineError
from bah_mllm.core.records import Answer, Status, WindowJob
from bah_mllm.engines import ENGINES
from bah_mllm.engines.batching import Batches, fill_in, new_counters
from bah_mllm.engines.language_model import LanguageModel
from bah_mllm.engines.loading import (
    Checkpoint,
    describe_model,
    find_checkpoint,
    find_file,
    load_config,
    load_model,
    load_tokenizer,
)
from bah_mllm.engines.lru import Lru
from bah_mllm.engines.packed import PackedPrompt
from bah_mllm.engines.wording import Wording, Wrapper

if TYPE_CHECKING:
    from jaxtyping import Float, UInt8

    from bah_mllm.engines import EngineOptions

__all__ = ["WRAPPERS", "Preprocessing", "VideoLlavaEngine"]

_MAX_FEATURE_BYTES = 2**30  # in main memory: about 500 frames of the 7B model in bfloat16, the windows of a video
_VIDEO = "<video>"

WRAPPERS = {
    # The model card's, and the authors' in their public zero-shot code.
    "hf": Wrapper("hf", before=f"USER: {_VIDEO}\n", after=" ASSISTANT:"),
    # With the system sentence of the template `llava_v1` in Video-LLaVA's own repository (videollava/conversation.py).
    "llava_v1": Wrapper(
        "llava_v1",
        before="A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, "
        f"detailed, and polite answers to the human's questions. USER: {_VIDEO}\n",
        after=" ASSISTANT:",
    ),
}


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """From frames that are already resized and cropped to what the vision tower takes, as the checkpoint says.

    Args:
        mean: Of each colour, on the scale of 0 to 1.
        std: Of each colour, on the same scale.
        rescale_factor: From 0 ... 255 to that scale.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    rescale_factor: float = 1 / 255

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Preprocessing:
        """Read it from the checkpoint's processor files, without building the processor, which needs torchvision.

        Raises:
            EngineError: No such file is there, or it does not say.
        """
        for name, part in (
            ("processor_config.json", "video_processor"),  # written by transformers 5
            ("video_preprocessor_config.json", None),
            ("preprocessor_config.json", None),
        ):
            file = find_file(checkpoint, name)
            settings = json.loads(file.read_text(encoding="utf-8")) if file else {}
            settings = settings.get(part) or {} if part else settings
            if "image_mean" in settings and "image_std" in settings:
                (r, g, b), (rs, gs, bs) = settings["image_mean"], settings["image_std"]
                return cls((r, g, b), (rs, gs, bs), settings.get("rescale_factor", 1 / 255))
        raise EngineError(
            f"The checkpoint {checkpoint.source} does not say how frames are normalised.",
            remedy="Add the processor_config.json or preprocessor_config.json that belongs to it.",
        )

    def apply(self, frames: UInt8[np.ndarray, "frames size size 3"]) -> Float[torch.Tensor, "frames 3 size size"]:
        """Return normalised frames, colours first, in float32."""
        scaled = torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() * self.rescale_factor
        return (scaled - torch.tensor(self.mean)[:, None, None]) / torch.tensor(self.std)[:, None, None]


class VideoLlavaEngine:
    """Video-LLaVA on sampled frames and text.

    Args:
        options: ``model`` is a folder or hub id of a checkpoint in the format of transformers (default
            ``LanguageBind/Video-LLaVA-7B-hf``, about 15 GB of memory in bfloat16 and 5 GB in 4 bits); ``wrapper`` is
            a key of ``WRAPPERS``.

    Raises:
        PrerequisiteError: Weights, a package or the device are not there.
        EngineError: The checkpoint is not a Video-LLaVA.
        ConfigError: There is no such wrapper.
    """

    name = "video-llava"

    def __init__(self, options: EngineOptions) -> None:
        wrapper = WRAPPERS.get(options.wrapper or "hf")
        if wrapper is None:
            raise ConfigError(
                f"The engine 'video-llava' has no wrapper {options.wrapper!r}.",
                remedy=f"Choose one of: {', '.join(WRAPPERS)}.",
            )
        self._options = options
        self._checkpoint = find_checkpoint(options.model or ENGINES[self.name].default_model, revision=options.revision)
        config = load_config(self._checkpoint, model_type="video_llava")
        self.model = self._checkpoint.name
        self.counters = new_counters()
        tokenizer = load_tokenizer(self._checkpoint)
        model = load_model(VideoLlavaForConditionalGeneration, self._checkpoint, options)
        model.model.image_tower = None  # as large as the video tower, and never used here
        self._preprocessing = Preprocessing.of(self._checkpoint)
        self._video_token: int = config.video_token_id
        self._language_model = LanguageModel(
            model,
            tokenizer,
            Wording(tokenizer, wrapper, cached_up_to=self._video_token),
            max_packed_tokens=options.max_packed_tokens,
            counters=self.counters,
        )
        vision = config.vision_config
        self.capabilities = Capabilities(
            sees_video=True,
            scores_labels=True,
            generates=True,
            n_frames=options.n_frames,
            frame_size_px=vision.image_size,
        )
        # The port keeps the class token of every frame, whatever `vision_feature_select_strategy` says: 257 for 7B.
        n_video_tokens = options.n_frames * ((vision.image_size // vision.patch_size) ** 2 + 1)
        prefix = self._language_model.wording.cached_prefix
        self._prefix = [*prefix[:-1], *[self._video_token] * n_video_tokens]
        self._batches = Batches(max_windows=options.batch_windows, counters=self.counters)
        self._features: Lru[tuple[str, int, bytes], Any] = Lru(
            max_size=_MAX_FEATURE_BYTES, size_of=lambda feature: feature.nbytes
        )

    def describe(self) -> Mapping[str, object]:
        """Return what a stranger needs to run the same model again."""
        wrapper = self._language_model.wording.wrapper
        return describe_model(self._language_model.model, self._checkpoint, self._options) | {
            "wrapper": wrapper.name,
            "wrapper_before": wrapper.before,
            "wrapper_after": wrapper.after,
            "n_frames": self.capabilities.n_frames,
            "frame_size_px": self.capabilities.frame_size_px,
            "n_prefix_tokens": len(self._prefix),
            "image_mean": list(self._preprocessing.mean),
            "image_std": list(self._preprocessing.std),
        }

    def control_markers(self) -> Sequence[str]:
        """Return special tokens of the tokenizer and role markers of the wrapper."""
        return self._language_model.wording.control_markers()

    def score(self, jobs: Sequence[WindowJob]) -> list[list[Answer]]:
        """Return the log-probability of every label; see ``Engine.score``.

        A job without a clip is asked the same text without the video's tokens: what the words alone say.
        """
        return self._batches.run(jobs, self._score_batch)

    def generate(self, jobs: Sequence[WindowJob], *, max_new_tokens: int) -> list[list[Answer]]:
        """Return greedy replies; see ``Engine.generate``."""
        return self._batches.run(jobs, lambda batch: self._generate_batch(batch, max_new_tokens))

    def _score_batch(self, jobs: Sequence[WindowJob]) -> list[list[Answer]]:
        if len({job.clip is None for job in jobs}) > 1:  # prefixes of two lengths cannot share a batch
            return [answers for job in jobs for answers in self._score_batch([job])]
        n_cached = len(self._prefix_of(jobs[0]))
        prepared = [
            [self._check_clip(job) or self._language_model.pack(prompt, n_cached=n_cached) for prompt in job.prompts]
            for job in jobs
        ]
        windows, rows = [], []
        for job, items in zip(jobs, prepared, strict=True):
            row = [(p, item) for p, item in zip(job.prompts, items, strict=True) if isinstance(item, PackedPrompt)]
            if row:  # without a prompt that can be asked, the window need not be encoded
                windows.append(job)
                rows.append(row)
        answers = self._language_model.score(rows, cache=self._prefill(windows)) if rows else []
        return fill_in(prepared, chain.from_iterable(answers))

    def _generate_batch(self, jobs: Sequence[WindowJob], max_new_tokens: int) -> list[list[Answer]]:
        prepared = [
            [
                self._check_clip(job)
                or self._language_model.encode(prompt, n_reserved=len(self._prefix_of(job)) + max_new_tokens)
                for prompt in job.prompts
            ]
            for job in jobs
        ]
        rows = [
            (job, [*self._prefix_of(job), *item])
            for job, items in zip(jobs, prepared, strict=True)
            for item in items
            if not isinstance(item, Answer)
        ]
        replies: list[Answer] = []
        # A row holds a whole video: as many at once as windows fit into memory, also when one window has many prompts.
        for start in range(0, len(rows), self._batches.max_windows):
            part = rows[start : start + self._batches.max_windows]
            replies += self._language_model.reply(
                [tokens for _, tokens in part],
                max_new_tokens=max_new_tokens,
                embed=partial(self._embed, self._encode([job for job, _ in part])),
            )
        return fill_in(prepared, replies)

    def _prefix_of(self, job: WindowJob) -> list[int]:
        """Return the tokens before the prompt: with those of the video where the window has a clip."""
        return self._prefix if job.clip is not None else [t for t in self._prefix if t != self._video_token]

    def _check_clip(self, job: WindowJob) -> Answer | None:
        if job.clip is None:
            return None
        size = self.capabilities.frame_size_px
        expected = (self.capabilities.n_frames, size, size, 3)
        if job.clip.frames.shape != expected or job.clip.frames.dtype != np.uint8:
            found = f"{job.clip.frames.dtype} of shape {job.clip.frames.shape}"
            return Answer(
                failure=(Status.ENGINE_ERROR, f"the model takes frames in uint8 of shape {expected}, not {found}")
            )
        return None

    def _prefill(self, jobs: Sequence[WindowJob]) -> DynamicCache:
        """Return the keys and values of ``USER: <video>`` for each window; the output layer is not run."""
        model = self._language_model.model
        tokens = torch.tensor([self._prefix_of(job) for job in jobs], device=model.device)
        cache = DynamicCache(config=model.config.get_text_config())
        with torch.inference_mode():
            model.model(inputs_embeds=self._embed(self._encode(jobs), tokens), past_key_values=cache, use_cache=True)
        self.counters["prefix_prefills"] += len(jobs)
        self.counters["tokens_fed"] += tokens.numel()
        return cache

    def _embed(self, features: Any, tokens: Any) -> Any:  # noqa: ANN401 - tensors
        """Return input embeddings with the frames' features in place of the video tokens."""
        embeddings = self._language_model.model.get_input_embeddings()(tokens)
        places = (tokens == self._video_token).unsqueeze(-1)
        if features is None:
            return embeddings
        return embeddings.masked_scatter(places, features.to(embeddings.device, embeddings.dtype))

    def _encode(self, jobs: Sequence[WindowJob]) -> Float[torch.Tensor, "tokens width"] | None:
        """Return the features of all frames of the windows, in order; only frames not met before are encoded."""
        shown = [(job.video_id, job.clip) for job in jobs if job.clip is not None]
        if not shown:
            return None
        keys = [
            (video_id, index, hashlib.blake2b(frame.tobytes(), digest_size=16).digest())
            for video_id, clip in shown
            for index, frame in zip(clip.indices, clip.frames, strict=True)
        ]
        frames = dict(zip(keys, (frame for _, clip in shown for frame in clip.frames), strict=True))
        found = {key: self._features.get(key) for key in frames}
        missing = [key for key, feature in found.items() if feature is None]
        if missing:
            pixels = self._preprocessing.apply(np.stack([frames[key] for key in missing]))
            for key, feature in zip(missing, self._run_vision_tower(pixels), strict=True):
                found[key] = feature
                self._features.put(key, feature)
        self.counters["vision_encodes"] += len(missing)
        self.counters["vision_reused"] += len(keys) - len(missing)
        return torch.cat([found[key] for key in keys])

    def _run_vision_tower(self, pixels: Float[torch.Tensor, "frames 3 size size"]) -> Any:  # noqa: ANN401
        model = self._language_model.model
        with torch.inference_mode():
            video = pixels.to(model.device, model.get_input_embeddings().weight.dtype).unsqueeze(0)
            features = model.model.get_video_features(pixel_values_videos=video, return_dict=True).pooler_output
        # In main memory and each by itself: a view would keep the features of all frames encoded with it.
        return [feature.clone() for feature in features.reshape(len(pixels), -1, features.shape[-1]).cpu()]
