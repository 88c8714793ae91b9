"""The manifest of a run, ``run.json``: what a stranger needs to run the same again, and what the run did."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from bah_mllm.core.errors import RunError
from bah_mllm.core.files import write_atomically
from bah_mllm.core.reading import Refusal, read_json_as
from bah_mllm.dataset import Dataset

__all__ = ["MANIFEST_NAME", "DataSeen", "Manifest", "package_versions", "read_manifest", "write_manifest"]

MANIFEST_NAME = "run.json"

_PACKAGES = (
    "bah-mllm",
    "av",
    "numpy",
    "pandas",
    "pyarrow",
    "torch",
    "transformers",
    "bitsandbytes",
    "jinja2",
    "pillow",
)


class DataSeen(BaseModel):
    """The data set of a run, as it was at the last start.

    Args:
        name: Of the data set.
        edition: Release of BAH, or None.
        fingerprint: Digest of its files and labels; None before the first start has looked.
        follows_links: Links may lead outside of its folder (``--follow-links``).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str | None = None
    edition: str | None = None
    fingerprint: str | None = None
    follows_links: bool = False

    @classmethod
    def of(cls, dataset: Dataset) -> Self:
        """Look at a data set as it is now."""
        return cls(
            name=dataset.name,
            edition=dataset.edition,
            fingerprint=dataset.fingerprint(),
            follows_links=dataset.follows_links,
        )


class Manifest(BaseModel):
    """Everything about a run but its rows.

    Args:
        schema_version: Of this file.
        run_id: Name of the run folder.
        created: Time of the first start, ISO 8601 with offset.
        updated: Time of the last write of this file.
        state: ``running`` also after a kill; ``complete`` once every planned row is there.
        n_starts: How often the run was started, resumptions included.
        config: The resolved configuration; can be fed back with ``--config run.json``.
        identity: The part of the set-up that decides about results; must agree for a run to be resumed.
        data: The data set as it was at the last start.
        systems: Whose rows the run holds; None in runs of older versions, which did not say.
        engine: What the engine says of itself (checkpoint, revision, dtype, device, wrapper ...).
        packages: Versions of the packages that can move a number.
        n_rows: Rows by status, on completion.
        counters: Frames decoded, vision encodes, tokens fed ...; summed over all starts.
        seconds: Where the time went, summed over all starts.
        is_shared: Whether the folder was made for others, too, not for its owner alone.
        notes: What the reader should know (synthetic data, stand-in model ...).
    """

    model_config = ConfigDict(extra="forbid")

    schema_version: Literal[1] = 1
    run_id: str
    created: str
    updated: str
    state: Literal["running", "complete"] = "running"
    n_starts: int = 1
    config: dict[str, Any]
    identity: dict[str, Any]
    data: DataSeen = DataSeen()
    systems: list[str] | None = None
    engine: dict[str, Any] = Field(default_factory=dict)
    packages: dict[str, str] = Field(default_factory=dict)
    n_rows: dict[str, int] = Field(default_factory=dict)
    counters: dict[str, int] = Field(default_factory=dict)
    seconds: dict[str, float] = Field(default_factory=dict)
    is_shared: bool = False
    notes: list[str] = Field(default_factory=list)


def package_versions() -> dict[str, str]:
    """Return the versions of the installed packages that can move a number."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def read_manifest(folder: Path) -> Manifest:
    """Read ``run.json`` of a run folder.

    Raises:
        RunError: The folder holds no manifest, or a damaged one.
    """
    path = folder / MANIFEST_NAME
    if not path.exists():
        raise RunError(
            f"{folder} is not a run folder: it holds no {MANIFEST_NAME}.",
            remedy="Give the folder that `bah-mllm run` wrote (runs/<id>, or what --out named).",
        )
    remedy = "Restore the file, or start the run again in a new folder with --out."
    return read_json_as(path, Manifest, Refusal(RunError, str(path), remedy))


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write ``run.json`` so that a kill leaves the old or the new one, never a part."""
    text = json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"
    write_atomically(folder / MANIFEST_NAME, text.encode("utf-8"))
