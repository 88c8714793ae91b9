"""Which engines there are, and what each can do and takes, known before anything of it is imported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bah_mllm.core.engine import Capabilities, EngineFacts
from bah_mllm.core.errors import PrerequisiteError
from bah_mllm.core.loading import find_named, load_object
from bah_mllm.engines.options import EngineOptions

if TYPE_CHECKING:
    from bah_mllm.core.engine import Engine

__all__ = [
    "ENGINES",
    "ENGINE_FOR_DATA",
    "ENGINE_FOR_DEMO_SET",
    "EngineEntry",
    "facts_before_loading",
    "find_engine",
    "install_command",
    "load_engine",
    "seeing_engines",
]

_TRANSFORMERS = ("torch", "transformers", "safetensors", "tokenizers", "huggingface_hub")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineEntry:
    """What is known of an engine before it is loaded.

    Args:
        path: Its class, as "module:Class"; called with ``EngineOptions``.
        sees_video: It takes the pixels of a clip; one that does not gets cues in place of the video. None where its
            model decides, which only ``is_free`` engines may leave open.
        hears: It takes the sound of a clip.
        scores_labels: It returns log-probabilities of labels.
        generates: It returns replies.
        frame_size_px: Height and width of the frames that it takes; ``any`` where its checkpoint decides.
        default_model: What it loads where no model is named.
        default_model_gb: What that costs to download, in GB; 0 where nothing is downloaded by itself.
        trial_model: An embedded model that shows that everything works on the demo set; None where there is none.
        gpu_gib: Memory of the CUDA device that its default model wants, in GiB; 0 where it runs on a CPU.
        extra: The extra of bah-mllm that installs ``packages``.
        packages: Import names of what it needs beside the base install.
        options: Those of ``EngineOptions`` that it reads and not every engine does.
        model_class: Class of transformers that tells the size of its models for an estimate; None where none does.
        is_stand_in: Whatever model it is given, its answers say nothing about A/H.
        is_free: Loading it costs nothing, so that a plan may do it.
    """

    path: str
    sees_video: bool | None
    default_model: str
    hears: bool = False
    scores_labels: bool = True
    generates: bool = True
    frame_size_px: int | Literal["any"] = "any"
    default_model_gb: int = 0
    trial_model: str | None = None
    gpu_gib: int = 0
    extra: str | None = None
    packages: tuple[str, ...] = ()
    options: frozenset[str] = frozenset()
    model_class: str | None = None
    is_stand_in: bool = False
    is_free: bool = False


_OPTIONS_OF_TRANSFORMERS = frozenset({"revision", "device", "dtype", "quantize", "attention", "max_packed_tokens"})

ENGINES: dict[str, EngineEntry] = {
    "video-llava": EngineEntry(
        path="bah_mllm.engines.video_llava:VideoLlavaEngine",
        sees_video=True,
        default_model="LanguageBind/Video-LLaVA-7B-hf",
        default_model_gb=15,
        trial_model="tiny-video-llava",
        gpu_gib=16,
        extra="llm",
        packages=_TRANSFORMERS,
        options=_OPTIONS_OF_TRANSFORMERS | {"n_frames", "wrapper"},
        model_class="VideoLlavaForConditionalGeneration",
    ),
    "text": EngineEntry(
        path="bah_mllm.engines.text:TextEngine",
        sees_video=False,
        default_model="smollm2",
        extra="llm",
        packages=_TRANSFORMERS,
        options=_OPTIONS_OF_TRANSFORMERS | {"chat_template"},
        model_class="AutoModelForCausalLM",
    ),
    "scripted": EngineEntry(
        path="bah_mllm.engines.scripted:ScriptedEngine",
        sees_video=None,
        default_model="text",
        options=frozenset({"n_frames"}),
        is_stand_in=True,
        is_free=True,
    ),
}

ENGINE_FOR_DATA = "video-llava"
"""The engine where a data set is given and no engine: the paper's."""

ENGINE_FOR_DEMO_SET = "text"
"""The engine where neither is given: its embedded model is small enough to try things out."""


@dataclass(slots=True)
class _NotLoaded:
    """Stands where the engine will be, so that the same planning code runs without it."""

    name: str
    model: str
    capabilities: Capabilities

    def control_markers(self) -> Sequence[str]:
        return ()


def find_engine(name: str) -> EngineEntry:
    """Return what is known of an engine.

    Raises:
        ConfigError: There is none of this name; says what is near and what there is.
    """
    return find_named(ENGINES, name, kind="engine")


def facts_before_loading(name: str, options: EngineOptions) -> EngineFacts:
    """Return what planning needs to know of an engine, without loading a model.

    Args:
        name: A key of ``ENGINES``.
        options: How it would be loaded.

    Raises:
        ConfigError: There is no such engine, or an option does not fit it.
    """
    entry = find_engine(name)
    if entry.is_free:
        return load_engine(name, options)
    sees_video = bool(entry.sees_video)
    return _NotLoaded(
        name,
        Path(options.model or entry.default_model).name,
        Capabilities(
            sees_video=sees_video,
            hears=entry.hears,
            scores_labels=entry.scores_labels,
            generates=entry.generates,
            n_frames=options.n_frames if sees_video else 0,
            frame_size_px=entry.frame_size_px if sees_video and entry.frame_size_px != "any" else 0,
        ),
    )


def load_engine(name: str, options: EngineOptions | None = None) -> Engine:
    """Load a model.

    Args:
        name: A key of ``ENGINES``.
        options: How to load and run it; the defaults where None.

    Raises:
        ConfigError: There is no such engine, or an option does not fit it.
        PrerequisiteError: A package, a device or the weights are not there.
        EngineError: The checkpoint is there, but is not a model that this engine can run.
    """
    entry = find_engine(name)
    try:
        engine_class = load_object(entry.path)
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package not in entry.packages:
            raise
        raise PrerequisiteError(
            f"The package {package!r} is not installed, but the engine {name!r} needs it.",
            remedy=install_command(entry),
        ) from None
    engine: Engine = engine_class(options or EngineOptions())
    return engine


def install_command(entry: EngineEntry) -> str:
    """Return the command that installs what an engine needs."""
    if entry.extra is None:
        return f"pip install {' '.join(entry.packages)}"
    return f"pip install 'bah-mllm[{entry.extra}]' -c constraints.txt"


def seeing_engines() -> str:
    """Return the flags of engines that see video, for a remedy: "--engine a or --engine b"."""
    return " or ".join(
        f"--engine {name}" + (" with a model that sees" if entry.sees_video is None else "")
        for name, entry in ENGINES.items()
        if entry.sees_video is not False
    )
