"""Recognising what kind of data set a path leads to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from bah_mllm.core.errors import ConfigError, DataError, PrerequisiteError
from bah_mllm.core.saying import say
from bah_mllm.core.tables import is_table
from bah_mllm.dataset.bah import DEMO_MARKER, has_bah_parts, has_split_files, open_bah
from bah_mllm.dataset.dataset import Dataset
from bah_mllm.dataset.manifest import open_folder, open_manifest

__all__ = ["KINDS", "dataset_and_split", "demo_root", "following_links", "open_dataset"]

KINDS = ("bah", "split-files", "manifest", "folder")
_FOLLOWING = "BAH_FOLLOW_LINKS"  # in the environment, which worker processes inherit


def open_dataset(root: Path | str, *, kind: str | None = None, follow_links: bool | None = None) -> Dataset:
    """Return the data set at a path.

    Args:
        root: BAH's folder (either edition, the demo set, or the split files alone), a manifest file or the folder of
            one named ``manifest.csv``, ``manifest.parquet`` or the like, or a folder of videos.
        kind: One of ``KINDS`` where it should not be recognised but taken for granted.
        follow_links: Whether links, and paths of a manifest, may lead outside the data set; None: whether
            ``following_links`` says so.

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
    if follow_links is None:
        follow_links = os.environ.get(_FOLLOWING, "") == "1"
    if kind == "manifest":
        return open_manifest(_manifest_at(path), follow_links=follow_links)
    if not path.is_dir():
        raise DataError(
            f"{path.name} is a file, but no manifest.",
            remedy="Give the folder of the data set, or a manifest ending in .csv, .parquet or another table's suffix.",
        )
    path = path.resolve()
    opening = open_folder if kind == "folder" else open_bah
    return opening(path, follow_links=follow_links)


@contextmanager
def following_links(*, is_allowed: bool) -> Iterator[None]:
    """Let links lead outside the data sets that are opened meanwhile, here and in processes started from here.

    Args:
        is_allowed: False leaves everything as it is.
    """
    before = os.environ.get(_FOLLOWING)
    if is_allowed:
        os.environ[_FOLLOWING] = "1"
    try:
        yield
    finally:
        if is_allowed and before is None:
            del os.environ[_FOLLOWING]


def _kind_of(path: Path) -> str:
    if path.is_file():
        return "manifest" if is_table(path) else "file"
    if has_split_files(path):
        return "bah"
    if _manifests_in(path):
        return "manifest"
    return "bah" if has_bah_parts(path) else "folder"


def _manifests_in(folder: Path) -> list[Path]:
    # manifest.json is a name that web pages and other programs take for something else
    return sorted(
        path
        for path in folder.glob("manifest.*")
        if is_table(path) and path.is_file() and ".json" not in (suffix.lower() for suffix in path.suffixes)
    )


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


def dataset_and_split(
    data: str | None, split: str | None, *, follow_links: bool | None = None
) -> tuple[Dataset, str | None]:
    """Open the data set that ``--data`` names (None: the demo set) and settle which split is meant.

    Args:
        data: Path of the data set.
        split: Name of a split; None is ``test``, or everything where there is none.
        follow_links: See ``open_dataset``.

    Raises:
        ConfigError: The data set has no such split.
    """
    dataset = open_dataset(Path(data) if data is not None else demo_root(), follow_links=follow_links)
    for note in dataset.notes:
        say(f"note: {note}")
    if split is None:
        split = "test" if "test" in dataset.splits else None
    elif split not in dataset.splits:
        there = ", ".join(dataset.splits) or "none"
        raise ConfigError(
            f"{dataset.name} has no split {split!r} (there are: {there}).", remedy="Choose --split from these."
        )
    return dataset, split
