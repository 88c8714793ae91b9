"""Where prompts are found: adding a prompt is adding a file.

A name (``def1``, ``upstream/def1``) is looked up in the folders given by ``--prompts-dir``, then in those of the
environment variable ``BAH_PROMPTS``, then among the prompts that ship with bah-mllm; the first file wins. Anything
that ends with ``.jinja`` and is a file is taken as it is. What lies in a folder ``partials`` can be included by other
prompts and is no prompt itself.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from importlib.resources import files
from pathlib import Path, PurePosixPath

from bah_mllm.core.errors import PromptError
from bah_mllm.core.reading import Refusal, read_text
from bah_mllm.core.saying import shortened
from bah_mllm.prompting.rendering import check_prompt
from bah_mllm.prompting.template import PromptTemplate, parse_template

__all__ = ["PROMPTS_VARIABLE", "SUFFIX", "PromptEntry", "find_prompt", "list_prompts", "new_prompt", "prompt_folders"]

PROMPTS_VARIABLE = "BAH_PROMPTS"
SUFFIX = ".jinja"
PARTIALS = "partials"


@dataclass(frozen=True, slots=True)
class PromptEntry:
    """A line of ``prompts list``.

    Args:
        name: As given to ``--prompt``.
        path: The file that the name finds.
        template: The prompt, or None where the file is wrong.
        problem: What is wrong with the file, or None.
    """

    name: str
    path: Path
    template: PromptTemplate | None
    problem: str | None = None


def prompt_folders(dirs: Sequence[Path] = ()) -> list[Path]:
    """Return the folders in which names are looked up, first to last.

    Args:
        dirs: From ``--prompts-dir``.

    Raises:
        PromptError: A folder is not there.
    """
    from_environment = [Path(item) for item in os.environ.get(PROMPTS_VARIABLE, "").split(os.pathsep) if item]
    for origin, folders in (("--prompts-dir", dirs), (PROMPTS_VARIABLE, from_environment)):
        for folder in folders:
            if not folder.is_dir():
                raise PromptError(
                    f"{origin} names {folder}, which is not a folder.", remedy=f"Correct {origin}, or make the folder."
                )
    return [*dirs, *from_environment, _packaged_folder()]


def _packaged_folder() -> Path:
    package = Path(str(files("bah_mllm")))
    for folder in (package / "_prompts", package.parent / "prompts"):  # a wheel; a checkout
        if folder.is_dir():
            return folder
    raise PromptError(
        f"The prompts that ship with bah-mllm are not beside {package}.", remedy="Install bah-mllm again with pip."
    )


def find_prompt(name: str, dirs: Sequence[Path] = ()) -> PromptTemplate:
    """Return the prompt of a name or path.

    Args:
        name: A name such as ``upstream/def1``, or the path of a ``.jinja`` file.
        dirs: Folders that come before all others.

    Raises:
        PromptError: There is none, it lies outside its folder, or the file is wrong.
    """
    folders = prompt_folders(dirs)
    direct = Path(name).expanduser()
    if name.endswith(SUFFIX) and _is_file(direct):
        return _load(direct, name=direct.stem, folders=[direct.parent, *folders])
    name = name.removesuffix(SUFFIX)
    path = _locate(name + SUFFIX, folders)
    if path is not None and not _is_partial(PurePosixPath(name)):
        return _load(path, name=name, folders=folders)
    names = [entry_name for entry_name, _ in _iterate(folders)]
    near = get_close_matches(name, names, n=3, cutoff=0.6)
    hint = f"Did you mean {' or '.join(map(repr, near))}? " if near else ""
    raise PromptError(
        f"There is no prompt named {name!r}.", remedy=f"{hint}Choose one of: {', '.join(names)}; or give a .jinja file."
    )


def list_prompts(dirs: Sequence[Path] = ()) -> list[PromptEntry]:
    """Return every prompt that a name finds, sorted by name; a wrong file is an entry with a problem.

    Args:
        dirs: Folders that come before all others.
    """
    folders = prompt_folders(dirs)
    entries: list[PromptEntry] = []
    for name, path in _iterate(folders):
        try:
            checked = check_prompt(_load(path, name=name, folders=folders))
            entries.append(PromptEntry(name, path, checked.template))
        except PromptError as error:
            entries.append(PromptEntry(name, path, None, error.problem))
    return entries


def _iterate(folders: Sequence[Path]) -> list[tuple[str, Path]]:
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.rglob(f"*{SUFFIX}")):
            inner = PurePosixPath(path.relative_to(folder).as_posix())
            if not _is_partial(inner) and path.is_file() and _lies_in(path, folder):
                found.setdefault(str(inner.with_suffix("")), path)
    return sorted(found.items())


def _is_partial(inner: PurePosixPath) -> bool:
    return PARTIALS in inner.parts[:-1]


def _locate(file_name: str, folders: Sequence[Path]) -> Path | None:
    """Return the first file of that name, or None.

    Raises:
        PromptError: The name leads out of its folder.
    """
    inner = PurePosixPath(file_name)
    if inner.is_absolute() or ".." in inner.parts or "\\" in file_name or "\0" in file_name or Path(file_name).drive:
        raise _outside(file_name)
    for folder in folders:
        path = folder / inner
        if _is_file(path):
            if not _lies_in(path, folder):
                raise _outside(file_name)
            return path
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name too long for the file system, or with a null byte
        return False


def _lies_in(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _outside(file_name: str) -> PromptError:
    return PromptError(
        f"The prompt name {shortened(file_name)} leads out of the folder of prompts.",
        remedy="Give the path of an existing .jinja file, or a name inside the folder.",
    )


def _load(path: Path, *, name: str, folders: Sequence[Path]) -> PromptTemplate:
    return parse_template(_read(path), name=name, path=path, load_partial=partial(_load_partial, folders=folders))


def _load_partial(file_name: str, *, folders: Sequence[Path]) -> tuple[Path, str]:
    path = _locate(file_name, folders) if file_name.endswith(SUFFIX) else None
    if path is None:
        raise PromptError(
            f"There is no file {shortened(file_name)} to include.",
            remedy=f"Put a {SUFFIX} file of that name into one of: {', '.join(map(str, folders))}.",
        )
    text = _read(path)
    if text.lstrip().startswith("+++"):
        raise PromptError(
            f"The file {path} is a prompt with front matter, and cannot be included.",
            remedy="Move the text that both share into a file without front matter.",
        )
    return path, text


def _read(path: Path) -> str:
    return read_text(path, Refusal(PromptError, f"The prompt file {path}", "Check the file, and save it as UTF-8."))


_STARTER = """+++
# Count this up with every change of the text below.
version = 1
# What the prompt is meant for: "frame" (a window), "video", or both.
level = ["frame", "video"]
# Exactly what the text below uses, and "video" where it asks about one. There are: video, transcript, question (its
# number), question_text (its words), window_transcript (words spoken inside the window), cues (observed signs).
needs = ["video", "transcript"]
# Every answer that counts: 0 is no ambivalence or hesitancy, 1 is some.
labels = { "Non-Ambivalent" = 0, "Ambivalent" = 1 }
source = "Where the text comes from"
description = "One line for `bah-mllm prompts list`"
+++
Video transcript: {{ transcript }}. Is the person 'Non-Ambivalent' or 'Ambivalent'? Respond with only one word:
"""


def new_prompt(path: Path) -> Path:
    """Write a commented starter file, and return its path.

    Args:
        path: Where; the suffix ``.jinja`` is added where it is missing. Missing folders are made.

    Raises:
        PromptError: There is a file already, or it cannot be written.
    """
    path = path if path.suffix == SUFFIX else path.with_name(path.name + SUFFIX)
    if path.exists():
        raise PromptError(f"The file {path} exists already.", remedy="Choose another name, or edit that file.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(_STARTER)
    except OSError as error:
        raise PromptError(
            f"The file {path} cannot be written: {error.strerror}.", remedy="Choose a folder that you can write to."
        ) from None
    return path
