"""The configuration of a zero-shot run: flags over ``--config`` over ``bah-mllm.toml`` over the defaults here."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.records import Level
from bah_mllm.core.timeline import Length

__all__ = ["PROJECT_CONFIG", "RunConfig", "load_run_config", "project_settings"]

PROJECT_CONFIG = "bah-mllm.toml"


class RunConfig(BaseModel):
    """What ``bah-mllm run`` does.

    Args:
        data: Root of a data set, a manifest or a folder of videos; None is the demo set.
        split: Which split to run; None is ``test`` where the data set has splits, else everything.
        level: ``frame`` slides windows over each video, ``video`` asks once per video.
        prompts: Prompt names or paths, all asked about the same windows.
        prompts_dirs: Folders searched for prompts before the shipped ones.
        windows: Lengths of the windows, in frames (``120``) or seconds (``5s``); one decoding pass serves all.
            Ignored at video level, where the window is the whole video.
        hop: Start to start; the window's length where None.
        engine: Name of an engine; None is ``video-llava``, on the demo set ``text``.
        model: Checkpoint folder, hub id or the name of an embedded model; None is the engine's default.
        revision: Revision of a hub model.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:1``.
        dtype: ``auto`` is bfloat16 on CUDA and float32 on the CPU.
        quantize: 4-bit or 8-bit weights through bitsandbytes.
        attention: Attention kernel.
        wrapper: Text around the prompt; None is the engine's default.
        chat_template: For text engines: the tokenizer's chat template, none, or whichever it has.
        frames: Frames sampled from a window.
        sampler: How they are chosen.
        resize: How they are brought to the model's size.
        batch: Windows that the engine takes at once.
        answer: ``score`` takes exact label probabilities; ``generate`` parses a greedy reply, as the paper did.
        parser: Reads the replies of ``generate``.
        max_new_tokens: Length of a reply.
        both_orders: Also ask with the order of the labels swapped.
        content_free: Also ask with the content emptied, for calibration.
        cues: Folder that ``bah-mllm cues extract`` wrote, for prompts that name cues; text engines get them in place of
            the video. None takes the demo set's own on the demo set. ``shuffled`` and ``shuffled:FOLDER`` stand for the
            same with control ``shuffled-cues``.
        cue_modalities: Which modalities of cues are told.
        cue_tokens_per_10s: Budget of cue text.
        control: Take away or mix up what the model is given, to see what its answers rest on: ``no-video`` (the prompt
            alone), ``black-video``, ``no-transcript`` (``N/A`` instead) or ``shuffled-transcript`` (somebody else's) or
            ``shuffled-cues`` (somebody else's).
        limit: Run only the first so many videos of the split.
        out: The run's folder; None is ``runs/<id>``, the id a digest of what decides about results.
        seed: Of whatever draws random numbers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: str | None = None
    split: str | None = None
    level: Level = Level.FRAME
    prompts: Annotated[tuple[str, ...], Field(min_length=1)] = ("transcript_def1",)
    prompts_dirs: tuple[str, ...] = ()
    windows: Annotated[tuple[str, ...], Field(min_length=1)] = ("120",)
    hop: str | None = None
    engine: str | None = None
    model: str | None = None
    revision: str | None = None
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:[0-9]+)?)$")] = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    quantize: Literal["4bit", "8bit"] | None = None
    attention: Literal["sdpa", "eager"] = "sdpa"
    wrapper: str | None = None
    chat_template: Literal["auto", "chat", "raw"] = "auto"
    frames: Annotated[int, Field(ge=1, le=512)] = 8
    sampler: Literal["linspace", "hf", "center"] = "linspace"
    resize: Literal["exact", "fast", "upstream"] = "exact"
    batch: Annotated[int, Field(ge=1)] = 1
    answer: Literal["score", "generate"] = "score"
    parser: str = "default"
    max_new_tokens: Annotated[int, Field(ge=1)] = 10
    both_orders: bool = False
    content_free: bool = False
    cues: str | None = None
    cue_modalities: tuple[Literal["face", "voice", "words", "body", "clash"], ...] = (
        "face",
        "voice",
        "words",
        "body",
        "clash",
    )
    cue_tokens_per_10s: Annotated[int, Field(ge=1)] = 60
    control: Literal["no-video", "black-video", "no-transcript", "shuffled-transcript", "shuffled-cues"] | None = None
    limit: Annotated[int, Field(ge=1)] | None = None
    out: str | None = None
    seed: int = 0

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
        for name, values in (("prompt", self.prompts), ("window", self.windows)):
            twice = {value for value in values if values.count(value) > 1}
            if twice:
                raise ConfigError(
                    f"The {name} {sorted(twice)[0]!r} is given twice.", remedy=f"Give each --{name} once."
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
        where = f"{name} in {origin[name]}" if origin.get(name) else f"--{name.replace('_', '-')}"
        what = "is not a setting" if first["type"] == "extra_forbidden" else str(first["msg"])
        raise ConfigError(
            f"{where}: {what} (got {first.get('input')!r}).", remedy="See `bah-mllm run --help` for what it takes."
        ) from None


def project_settings() -> Mapping[str, Any]:
    """Return the settings of ``bah-mllm.toml`` in the current folder; empty where there is none."""
    path = Path(PROJECT_CONFIG)
    return _read_settings(path) if path.is_file() else {}


def _read_settings(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        values = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError(f"There is no config file {path}.", remedy="Check the path after --config.") from None
    except (tomllib.TOMLDecodeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.", remedy="Write TOML, or give a run.json.") from None
    nested = values.get("config" if path.suffix == ".json" else "run") if isinstance(values, dict) else None
    if isinstance(nested, dict):
        # A table of its own, beside settings that other commands share (data, split).
        shared = {key: values[key] for key in ("data", "split", "prompts_dirs") if key in values}
        return {**shared, **nested} if path.suffix != ".json" else nested
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no settings.", remedy='Write TOML such as: data = "BAH_DB".')
    return values
