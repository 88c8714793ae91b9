"""Nobody but core writes files: what everybody writes is replaced in one step, so that a kill leaves no half of it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

EXCEPTIONS = {
    "bah_mllm/predictions/store.py": "the journal is appended row by row, and its torn tail cut off",
    "bah_mllm/engines/models.py": "a download is streamed, and a model's folder is renamed into place as a whole",
    "bah_mllm/engines/tiny.py": "writes into such a folder",
    "bah_mllm/prompting/library.py": "a new prompt never replaces a file: it is opened for creation only",
    "supervised/adaptation/domains.py": "arrays for processes that map them, in a folder that goes with the process",
    "supervised/features/index.py": "an index is appended line by line, under a lock",
    "supervised/faces/pictures.py": "thousands of pictures, in a folder that is renamed into place as a whole",
    "bah_mllm/bench/cues.py": "a clip to measure with, in a folder that goes with the process",
    "bah_mllm/bench/decode.py": "the same",
    "bah_mllm/bench/training.py": "the same",
}

_WRITERS = {"write_text", "write_bytes", "save", "savez", "savez_compressed", "save_file", "savefig", "to_csv"}


_MODE = re.compile(r"[rwaxbt+]*[wax+][rwaxbt+]*")


def writes_in(source: str) -> list[int]:
    """Return the lines that write a file; writing into something called a buffer is memory, not a file."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [call.lineno for call in calls if _is_writing(call)]


def _is_writing(call: ast.Call) -> bool:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
    if name == "open":
        texts = [one.value for one in arguments if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        return any(_MODE.fullmatch(text) for text in texts)
    receiver = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
    if name == "save" and not receiver.startswith(
        ("np", "torch", "Image")
    ):  # safetensors' gives bytes, others are ours
        return False
    return name in _WRITERS and bool(call.args) and not any("buffer" in ast.unparse(one) for one in call.args)


@pytest.mark.parametrize(
    ("source", "is_writing"),
    [
        ("path.write_text('a')", True),
        ("path.open('ab')", True),
        ("open(path, mode='w')", True),
        ("path.open('rb+')", True),
        ("np.save(folder / 'a.npy', values)", True),
        ("torch.save(state, path)", True),
        ("Image.fromarray(face).save(path)", True),
        ("path.open('rb')", False),
        ("path.open(encoding='utf-8')", False),
        ("np.save(buffer, values)", False),
        ("torch.save(state, buffer)", False),
        ("checkpoints.save(state)", False),
        ("save(tensors)", False),
    ],
)
def test_writing_is_told_from_reading(source: str, is_writing: bool) -> None:
    assert bool(writes_in(source)) is is_writing


def test_nobody_but_core_writes_files() -> None:
    found = {}
    for package in ("bah_mllm", "supervised"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith("bah_mllm/core/") and (lines := writes_in(path.read_text(encoding="utf-8"))):
                found[name] = lines
    assert set(found) == set(EXCEPTIONS), (
        "write through core.files.write_atomically, or name the exception and its reason"
    )
