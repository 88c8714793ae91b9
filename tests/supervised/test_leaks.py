"""Training says where people answer in more than one split."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Call = Callable[..., tuple[int, str, str]]

WORDS = ["I want to go but I am tired", "painting makes me happy", "maybe I should, maybe not", "tea is what I drink"]


def manifest(folder: Path, *, shared: bool) -> Path:
    rows = []
    for split in ("train", "val", "test"):
        for k in range(12):
            person = "p0" if shared and k == 0 else f"{split}{k}"
            transcript = f"{WORDS[k % 4]} {split} {k}"
            rows.append({"path": f"{split}{k}.mp4", "participant": person, "split": split, "label": 1 - k % 2})
            rows[-1] |= {"question": 1 + k % 7, "transcript": transcript}
    path = folder / "manifest.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("shared", [True, False])
def test_people_in_two_splits_are_warned_of(bah: Call, tmp_path: Path, shared: bool) -> None:
    path = manifest(tmp_path, shared=shared)
    code, _, stderr = bah("train", "--recipe", "words_video", "--data", path, "--out", tmp_path / "out")
    assert code == 0, stderr
    assert ("warning: 1 participant(s) answer in more than one split" in stderr) == shared
    assert ("participant p0 is in more than one split: train, val, test" in stderr) == shared
