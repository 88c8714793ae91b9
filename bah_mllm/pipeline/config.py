"""The configuration of a zero-shot run: flags over ``--config`` over ``bah-mllm.toml`` over the defaults here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.reading import Refusal, read_json, read_toml
from bah_mllm.core.records import MAX_SEED, Level
from bah_mllm.core.saying import one_of, shortened
from bah_mllm.core.timeline import MAX_FRAMES, Length
from bah_mllm.engines import ENGINE_FOR_DATA, ENGINE_FOR_DEMO_SET, ENGINES, EngineOptions
from bah_mllm.engines.options import Attention, ChatTemplate, Dtype, Quantization
from bah_mllm.scoring import PARSERS

__all__ = [
    "OPTION_OF_SETTING",
    "PROJECT_CONFIG",
    "CueModality",
    "RunConfig",
    "Unset",
    "flag_of",
    "load_run_config",
    "project_settings",
]

PROJECT_CONFIG = "bah-mllm.toml"
CueModality = Literal["face", "voice", "words", "body", "clash"]


@dataclass(frozen=True, slots=True)
class Unset:
    """What None stands for in a setting, in words that follow "default": ``Unset("the demo set")``."""

    words: str


_ENGINE = EngineOptions()  # the defaults of what is handed on to the engine are written there

# A setting that may be given several times is called by the singular on the command line.
OPTION_OF_SETTING = {"prompts": "prompt", "windows": "window", "prompts_dirs": "prompts_dir"}


def _engines_that_read(option: str) -> str:
    return " or ".join(f"--engine {name}" for name, entry in ENGINES.items() if option in entry.options)


class RunConfig(BaseModel):
    """What ``bah-mllm run`` does.

    Type, default and description of a field make an option of the command line, too (``bah_mllm.cli.options``), where
    the names of a closed list of choices are put behind a description that leaves any of them out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompts: Annotated[tuple[str, ...], Field(min_length=1, description="Prompt name or file; repeat for several.")] = (
        "transcript_def1",
    )
    windows: Annotated[
        tuple[str, ...],
        Field(min_length=1, description="Length in frames (120) or seconds (5s); repeat for several."),
    ] = ("120",)
    data: Annotated[
        str | None,
        Field(description="Data set root, manifest (a table) or folder of videos."),
        Unset("the demo set"),
    ] = None
    follow_links: Annotated[
        bool, Field(description="Let links and paths of the data set lead outside of it; for data that you trust.")
    ] = False
    split: Annotated[str | None, Field(description="Split to run."), Unset("test, or everything")] = None
    level: Annotated[Level, Field(description="frame (windows over each video) or video.")] = Level.FRAME
    limit: Annotated[int | None, Field(ge=1, le=MAX_FRAMES, description="Only the first N videos of the split.")] = None
    prompts_dirs: Annotated[tuple[str, ...], Field(description="Folder with prompt files of your own.")] = ()
    hop: Annotated[str | None, Field(description="Start to start, frames or seconds."), Unset("the window")] = None
    frames: Annotated[int, Field(ge=1, le=512, description="Frames sampled from a window.")] = _ENGINE.n_frames
    sampler: Annotated[Literal["linspace", "hf", "center"], Field(description="How these frames are chosen.")] = (
        "linspace"
    )
    resize: Annotated[
        Literal["exact", "fast", "upstream"],
        Field(description="exact (as the model's processor), fast or upstream."),
    ] = "exact"
    engine: Annotated[
        str | None,
        Field(description=f"{one_of(ENGINES)}."),
        Unset(f"{ENGINE_FOR_DATA}; demo set: {ENGINE_FOR_DEMO_SET}"),
    ] = None
    model: Annotated[
        str | None,
        Field(description="Checkpoint folder, hub id or embedded model (`models list`)."),
        Unset("the engine's"),
    ] = _ENGINE.model
    revision: Annotated[str | None, Field(description="Revision of a hub model.")] = _ENGINE.revision
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:[0-9]+)?)$", description="auto, cpu or cuda[:N].")] = (
        _ENGINE.device
    )
    dtype: Annotated[Dtype, Field(description="Type of the weights; auto is bfloat16 on CUDA, else float32.")] = (
        _ENGINE.dtype
    )
    quantize: Annotated[Quantization | None, Field(description="Fewer bits for the weights, by bitsandbytes.")] = (
        _ENGINE.quantize
    )
    attention: Annotated[Attention, Field(description="Attention kernel.")] = _ENGINE.attention
    wrapper: Annotated[
        str | None,
        Field(description=f"Text around the prompt, for {_engines_that_read('wrapper')}."),
        Unset("the engine's"),
    ] = _ENGINE.wrapper
    chat_template: Annotated[
        ChatTemplate, Field(description=f"Whether the tokenizer's is used, for {_engines_that_read('chat_template')}.")
    ] = _ENGINE.chat_template
    answer: Annotated[
        Literal["score", "generate"],
        Field(description="score (exact label probabilities) or generate (parsed reply, as the paper)."),
    ] = "score"
    parser: Annotated[str, Field(description=f"{one_of(PARSERS)}, for generate.")] = "default"
    max_new_tokens: Annotated[int, Field(ge=1, le=100_000, description="Length of a reply in tokens.")] = 10
    both_orders: Annotated[bool, Field(description="Also ask with the label order swapped.")] = False
    content_free: Annotated[bool, Field(description="Also ask with the content emptied, for calibration.")] = False
    cues: Annotated[
        str | None,
        Field(
            description="Folder that `cues extract` wrote; shuffled, or shuffled:FOLDER, shows somebody else's, a "
            "control."
        ),
        Unset("on the demo set, its own"),
    ] = None
    cue_modalities: Annotated[tuple[CueModality, ...], Field(description="Cues that are told; repeat for several.")] = (
        get_args(CueModality)
    )
    cue_tokens_per_10s: Annotated[int, Field(ge=1, le=100_000, description="Budget of cue text.")] = 60
    control: Annotated[
        Literal["no-video", "black-video", "no-transcript", "shuffled-transcript", "shuffled-cues"] | None,
        Field(description="A control run, to see what the answers rest on."),
    ] = None
    out: Annotated[str | None, Field(description="Run folder; the same command resumes it."), Unset("runs/<id>")] = None
    batch: Annotated[int, Field(ge=1, le=100_000, description="Windows that the model takes at once.")] = (
        _ENGINE.batch_windows
    )
    seed: Annotated[int, Field(ge=0, le=MAX_SEED, description="Seed.")] = _ENGINE.seed

    @model_validator(mode="before")
    @classmethod
    def _shuffled_cues_are_a_control(cls, values: object) -> object:
        """Read ``cues = "shuffled"`` and ``"shuffled:FOLDER"`` as the control that they ask for."""
        cues = values.get("cues") if isinstance(values, dict) else None
        if not isinstance(values, dict) or not isinstance(cues, str) or cues.partition(":")[0] != "shuffled":
            return values
        control = values.get("control") or "shuffled-cues"
        if control != "shuffled-cues":
            raise ConfigError(
                f"Shuffled cues are a control of their own, beside {control}.", remedy="Make two runs, one for each."
            )
        return {**values, "cues": cues.partition(":")[2] or None, "control": control}

    @field_validator("windows", mode="before")
    @classmethod
    def _windows_as_text(cls, value: object) -> object:
        if isinstance(value, (str, int)):
            value = (value,)
        return tuple(str(item) for item in value) if isinstance(value, (list, tuple)) else value

    @field_validator("hop", mode="before")
    @classmethod
    def _hop_as_text(cls, value: object) -> object:
        return str(value) if isinstance(value, int) else value

    @field_validator("prompts", mode="before")
    @classmethod
    def _prompts_as_list(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _lengths_can_be_read(self) -> RunConfig:
        for text in (*self.windows, *([self.hop] if self.hop else [])):
            Length.parse(text)
        if len({Length.parse(text).seconds is None for text in self.windows}) > 1:
            raise ConfigError(
                f"The windows {', '.join(self.windows)} are partly frames and partly seconds.",
                remedy="Give all of them in frames or all in seconds; run twice for both.",
            )
        for name in ("data", "out", "split"):
            if getattr(self, name) == "":
                raise ConfigError(f"--{name} is empty.", remedy=f"Give --{name} a value, or leave it out.")
        for name in ("prompts", "windows"):
            values = getattr(self, name)
            twice = {value for value in values if values.count(value) > 1}
            if twice:
                raise ConfigError(
                    f"The {OPTION_OF_SETTING[name]} {sorted(twice)[0]!r} is given twice.",
                    remedy=f"Give each {flag_of(name)} once.",
                )
        return self


def load_run_config(flags: Mapping[str, Any], config_file: Path | None = None) -> RunConfig:
    """Merge flags over a config file over the project's ``bah-mllm.toml`` over the defaults.

    Args:
        flags: Values given on the command line; None, and an empty list, mean "not given".
        config_file: TOML with the fields of ``RunConfig`` (on top or under ``[run]``), or the ``run.json`` of a run.

    Raises:
        ConfigError: A file cannot be read, or a value does not fit; names the field and where it came from.
    """
    merged: dict[str, Any] = {}
    origin: dict[str, str] = {}
    sources: list[tuple[str, Mapping[str, Any]]] = [(PROJECT_CONFIG, project_settings())]
    if config_file is not None:
        sources.append((str(config_file), _read_settings(config_file)))
    sources.append(("", {key: value for key, value in flags.items() if value is not None and value != []}))
    for source, values in sources:
        merged.update(values)
        origin.update(dict.fromkeys(values, source))
    try:
        return RunConfig(**merged)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        where = f"{name} in {origin[name]}" if origin.get(name) else flag_of(name)
        what = "is not a setting" if first["type"] == "extra_forbidden" else str(first["msg"])
        raise ConfigError(
            f"{where}: {what} (got {shortened(first.get('input'))}).",
            remedy="See `bah-mllm run --help` for what it takes.",
        ) from None


def flag_of(setting: str) -> str:
    """Return the option of a setting, as on the command line."""
    return "--" + OPTION_OF_SETTING.get(setting, setting).replace("_", "-")


def project_settings() -> Mapping[str, Any]:
    """Return the settings of ``bah-mllm.toml`` in the current folder; empty where there is none.

    Raises:
        ConfigError: The file cannot be read, or holds no settings.
    """
    path = Path(PROJECT_CONFIG)
    return _read_settings(path) if path.is_file() else {}


def _read_settings(path: Path) -> Mapping[str, Any]:
    if not path.exists():
        raise ConfigError(f"There is no config file {path}.", remedy="Check the path after --config.")
    refusal = Refusal(ConfigError, str(path), "Write TOML, or give a run.json.")
    values = read_json(path, refusal) if path.suffix == ".json" else read_toml(path, refusal)
    nested = values.get("config" if path.suffix == ".json" else "run") if isinstance(values, dict) else None
    if isinstance(nested, dict):
        # A table of its own, beside settings that other commands share (data, split).
        shared = {key: values[key] for key in ("data", "split", "prompts_dirs") if key in values}
        return {**shared, **nested} if path.suffix != ".json" else nested
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no settings.", remedy='Write TOML such as: data = "BAH_DB".')
    return values
