"""Recognising what kind of data set a path leads to."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from bah_mllm.core.errors import ConfigError, DataError, PrerequisiteError
from bah_mllm.dataset.bah import DEMO_MARKER, has_bah_parts, has_split_files, open_bah
from bah_mllm.dataset.dataset import Dataset
from bah_mllm.dataset.manifest import MANIFEST_SUFFIXES, open_folder, open_manifest

__all__ = ["KINDS", "dataset_and_split", "demo_root", "open_dataset"]

KINDS = ("bah", "split-files", "manifest", "folder")


def open_dataset(root: Path | str, *, kind: str | None = None) -> Dataset:
    """Return the data set at a path.

    Args:
        root: BAH's folder (either edition, the demo set, or the split files alone), a manifest file or the folder of
            one named ``manifest.csv`` or ``manifest.parquet``, or a folder of videos.
        kind: One of ``KINDS`` where it should not be recognised but taken for granted.

    Raises:
        DataError: There is no data set there, or it is malformed.
        ConfigError: There is no such kind.
    """
    path = Path(root).expanduser()
    if kind is not None and kind not in KINDS:
        raise ConfigError(f"There is no kind of data set named {kind!r}.", remedy=f"Choose one of: {', '.join(KINDS)}.")
    if not path.exists():
        raise DataError(f"There is no data set at {str(root)!r}.", remedy="Check the path of the data set.")
    kind = kind or _kind_of(path)
    if kind == "manifest":
        return open_manifest(_manifest_at(path))
    if not path.is_dir():
        raise DataError(
            f"{path.name} is a file, but no manifest.",
            remedy="Give the folder of the data set, or a manifest ending in .csv or .parquet.",
        )
    path = path.resolve()
    return open_folder(path) if kind == "folder" else open_bah(path)


def _kind_of(path: Path) -> str:
    if path.is_file():
        return "manifest" if path.suffix.lower() in MANIFEST_SUFFIXES else "file"
    if has_split_files(path):
        return "bah"
    if _manifests_in(path):
        return "manifest"
    return "bah" if has_bah_parts(path) else "folder"


def _manifests_in(folder: Path) -> list[Path]:
    return [path for suffix in sorted(MANIFEST_SUFFIXES) if (path := folder / f"manifest{suffix}").is_file()]


def _manifest_at(path: Path) -> Path:
    found = [path] if path.is_file() else _manifests_in(path)
    if not found:
        raise DataError(f"There is no manifest in {path.name!r}.", remedy="Give the manifest file itself.")
    return found[0].resolve()


def demo_root() -> Path:
    """Return the folder of the demo set that ships with bah-mllm.

    Raises:
        PrerequisiteError: It is not there: a checkout in which it was never built.
    """
    folder = Path(str(files("bah_mllm.dataset"))) / "demo_set"
    if not (folder / DEMO_MARKER).is_file():
        raise PrerequisiteError(
            "The demo set is not installed.",
            remedy="Install bah-mllm from its wheel, or build the demo set with the script in scripts/.",
        )
    return folder


def dataset_and_split(data: str | None, split: str | None) -> tuple[Dataset, str | None]:
    """Open the data set that ``--data`` names (None: the demo set) and settle which split is meant.

    Raises:
        ConfigError: The data set has no such split.
    """
    dataset = open_dataset(Path(data) if data is not None else demo_root())
    if split is None:
        split = "test" if "test" in dataset.splits else None
    elif split not in dataset.splits:
        there = ", ".join(dataset.splits) or "none"
        raise ConfigError(
            f"{dataset.name} has no split {split!r} (there are: {there}).", remedy="Choose --split from these."
        )
    return dataset, split
