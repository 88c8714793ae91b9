"""What this installation can do, what it lacks, and what to do about it."""

from __future__ import annotations

import importlib
import importlib.util
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bah_mllm.core.errors import BahError
from bah_mllm.core.loading import is_installed

if TYPE_CHECKING:
    from bah_mllm.engines import EngineEntry

__all__ = ["Check", "examine", "print_report"]

State = Literal["ok", "absent", "problem"]

_CORE_DISTRIBUTIONS = ("av", "numpy", "pandas", "pyarrow", "scikit-learn", "pydantic", "jinja2", "typer", "rich")
_FREE_GB_WANTED = 2.0  # room for a run and the embedded model; a 7B checkpoint needs 15 more


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report.

    Args:
        topic: Heading it belongs to.
        name: What was looked at.
        state: ``absent`` is optional and missing; ``problem`` should be solved.
        detail: Version, figure or reason.
        remedy: What to do; empty where the state is ``ok``.
    """

    topic: str
    name: str
    state: State
    detail: str
    remedy: str = ""


def examine() -> list[Check]:
    """Look at versions, packages, devices, models, data and disk; never raises for what it finds."""
    checks: list[Check] = []
    for section in (_versions, _extras, _devices, _models, _packaged_files, _name_clash, _disk):
        try:
            checks += section()
        except Exception as error:  # noqa: BLE001 - a broken package must not keep the doctor from the other findings
            checks.append(
                Check(
                    section.__name__.strip("_"),
                    "look-up",
                    "problem",
                    f"{type(error).__name__}: {error}",
                    "Reinstall with: pip install -e '.[llm]' -c constraints.txt",
                )
            )
    return checks + list(_what_would_run(checks))


def _versions() -> Iterator[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    fits = (3, 11) <= sys.version_info[:2] <= (3, 12)
    yield Check("versions", "python", "ok" if fits else "problem", version, "" if fits else "Use CPython 3.11 or 3.12.")
    yield Check("versions", "platform", "ok", platform.platform())
    yield _distribution("versions", "bah-mllm")
    for name in _CORE_DISTRIBUTIONS:
        yield _distribution("versions", name)
    # pyarrow 26 beside numpy 1 installs without complaint and then fails on import.
    try:
        importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        yield Check("versions", "pyarrow import", "problem", str(error), "pip install 'pyarrow<26' -c constraints.txt")


def _distribution(topic: str, name: str, *, remedy: str = "") -> Check:
    try:
        return Check(topic, name, "ok", metadata.version(name))
    except metadata.PackageNotFoundError:
        return Check(topic, name, "absent" if remedy else "problem", "not installed", remedy or f"pip install {name}")


def _extras() -> Iterator[Check]:
    wanted: dict[str, list[str]] = {}
    for requirement in metadata.requires("bah-mllm") or []:
        match = re.match(r"^([A-Za-z0-9._-]+).*extra == ['\"]([a-z]+)['\"]", requirement)
        if match and match[1] != "bah-mllm" and match[2] not in ("all", "dev"):
            wanted.setdefault(match[2], []).append(match[1])
    for extra, names in sorted(wanted.items()):
        found = [_distribution("extras", name, remedy="x") for name in names]
        missing = [check.name for check in found if check.state != "ok"]
        detail = ", ".join(f"{check.name} {check.detail}" for check in found if check.state == "ok")
        if missing:
            detail = f"missing: {', '.join(missing)}" + (f" (there: {detail})" if detail else "")
        remedy = f"pip install 'bah-mllm[{extra}]' -c constraints.txt" if missing else ""
        yield Check("extras", extra, "absent" if missing else "ok", detail, remedy)


def _devices() -> Iterator[Check]:
    if not is_installed("torch"):
        yield Check("devices", "torch", "absent", "not installed", "pip install 'bah-mllm[llm]' -c constraints.txt")
        return
    torch = importlib.import_module("torch")
    yield Check("devices", "cpu", "ok", f"{torch.get_num_threads()} threads")
    if not torch.cuda.is_available():
        yield Check("devices", "cuda", "absent", "no device", "A 7B video model on a CPU takes minutes per window.")
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        bf16 = "bf16" if torch.cuda.is_bf16_supported() else "no bf16"
        detail = f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB, {bf16}"
        yield Check("devices", f"cuda:{index}", "ok", detail)


def _models() -> Iterator[Check]:
    from bah_mllm.engines import ENGINES
    from bah_mllm.engines.models import list_models

    for model in list_models():
        name = model.model.name
        if model.is_ready:
            yield Check("models", name, "ok", "ready")
        else:
            yield Check("models", name, "absent", "not on this machine", f"bah-mllm models get {name}")
    if not is_installed("huggingface_hub"):
        return
    hub = importlib.import_module("huggingface_hub")
    for entry in ENGINES.values():
        if not entry.default_model_gb:
            continue
        if isinstance(hub.try_to_load_from_cache(entry.default_model, "config.json"), str):
            yield Check("models", entry.default_model, "ok", "in the hub's cache")
        else:
            remedy = f"It is downloaded ({entry.default_model_gb} GB) when a run first needs it."
            yield Check("models", entry.default_model, "absent", "not in the hub's cache", remedy)


def _packaged_files() -> Iterator[Check]:
    from bah_mllm.dataset import demo_root, open_dataset
    from bah_mllm.prompting import list_prompts

    def count(name: str, look: Callable[[], int], unit: str) -> Check:
        try:
            return Check("files", name, "ok", f"{look()} {unit}")
        except BahError as error:
            return Check("files", name, "problem", error.problem, error.remedy)

    yield count("prompts", lambda: len(list_prompts([])), "prompts")
    yield count("demo set", lambda: len(open_dataset(demo_root()).videos(None)), "videos (synthetic)")


def _name_clash() -> Iterator[Check]:
    spec = importlib.util.find_spec("supervised")
    source = Path(spec.origin) if spec is not None and spec.origin is not None else None
    if source is None:
        yield Check("files", "supervised", "problem", "not importable", "Reinstall bah-mllm.")
    elif "BAH_MLLM_SUPERVISED" not in source.read_text(encoding="utf-8", errors="replace"):
        yield Check(
            "files",
            "supervised",
            "problem",
            "another package of that import name comes first (mljar-supervised?)",
            "pip uninstall mljar-supervised, then reinstall bah-mllm; or use an environment of its own.",
        )
    else:
        yield Check("files", "supervised", "ok", "ours")


def _disk() -> Iterator[Check]:
    from bah_mllm.engines.models import cache_root

    for name, folder in (("here", Path.cwd()), ("models", cache_root())):
        while not folder.exists():
            folder = folder.parent  # noqa: PLW2901 - the nearest folder that exists tells the disk
        free_gb = shutil.disk_usage(folder).free / 2**30
        enough = free_gb >= _FREE_GB_WANTED
        yield Check(
            "disk",
            name,
            "ok" if enough else "problem",
            f"{free_gb:.1f} GiB free",
            "" if enough else "Free some space, or move the cache with BAH_CACHE.",
        )


def _what_would_run(checks: list[Check]) -> Iterator[Check]:
    from bah_mllm.engines import ENGINES

    state = {(check.topic, check.name): check.state for check in checks}
    yield _would_run("evaluate, status, prompts, data", [])
    for name, entry in ENGINES.items():
        yield _would_run(f"run --engine {name} ({entry.default_model})", _lacks(entry, state), _abilities(entry))
    readers = [entry for entry in ENGINES.values() if "quantize" in entry.options]
    lacks = min((_lacks_packages(entry) for entry in readers), key=len, default=[])
    if state.get(("extras", "quant")) != "ok":
        lacks.append(("bitsandbytes", "pip install 'bah-mllm[quant]' -c constraints.txt"))
    yield _would_run("run --quantize 4bit | 8bit", lacks)


def _lacks(entry: EngineEntry, state: Mapping[tuple[str, str], State]) -> list[tuple[str, str]]:
    """Return what an engine wants and this machine lacks, each with its remedy; what comes first is solved first."""
    lacks = _lacks_packages(entry)
    if state.get(("models", entry.default_model)) == "absent" and not entry.default_model_gb:
        lacks.append((f"the model {entry.default_model}", f"bah-mllm models get {entry.default_model}"))
    if entry.gpu_gib and not any(topic == "devices" and name.startswith("cuda:") for topic, name in state):
        smaller = f" ({entry.gpu_gib // 2} GiB do with --quantize 4bit)" if "quantize" in entry.options else ""
        lacks.append((f"a CUDA device of {entry.gpu_gib} GiB", f"Use a machine with a GPU{smaller}."))
    return lacks


def _lacks_packages(entry: EngineEntry) -> list[tuple[str, str]]:
    from bah_mllm.engines import install_command

    missing = [package for package in entry.packages if not is_installed(package)]
    return [(", ".join(missing), install_command(entry))] if missing else []


def _abilities(entry: EngineEntry) -> str:
    able = {
        "sees video": entry.sees_video,
        "sees video if its model does": entry.sees_video is None,
        "hears": entry.hears,
        "scores labels": entry.scores_labels,
        "generates": entry.generates,
        "a stand-in": entry.is_stand_in,
    }
    return "; " + ", ".join(ability for ability, is_so in able.items() if is_so)


def _would_run(name: str, lacks: list[tuple[str, str]], about: str = "") -> Check:
    if not lacks:
        return Check("what would run", name, "ok", f"would run{about}")
    wants = ", ".join(want for want, _ in lacks)
    return Check("what would run", name, "absent", f"would not run well: wants {wants}{about}", lacks[0][1])


def print_report(checks: list[Check]) -> None:
    """Print the checks for a person: a mark, what was found, and the remedy below what is not in order."""
    from bah_mllm.report.console import plain_console

    marks = {"ok": "[green]ok[/]     ", "absent": "[yellow]absent[/] ", "problem": "[red]problem[/]"}
    console = plain_console(wraps_softly=True)
    topic = ""
    for check in checks:
        if check.topic != topic:
            topic = check.topic
            console.print(f"\n[bold]{topic}[/]")
        console.print(f"  {marks[check.state]} {check.name}: ", end="")
        console.print(check.detail, markup=False)
        if check.remedy:
            console.print(f"            try: {check.remedy}", markup=False)


def as_json(checks: list[Check]) -> list[dict[str, Any]]:
    """Return the checks as plain values."""
    return [asdict(check) for check in checks]
