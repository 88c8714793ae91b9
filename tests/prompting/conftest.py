"""Prompt files made by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from bah_mllm.core.errors import PromptError
from bah_mllm.prompting import (
    find_prompt,
)

QUESTION = "Is it 'No' or 'Yes'?"


def source(body=f"{{{{ transcript }}}} {QUESTION}", **fields):
    front = {
        "version": "1",
        "level": '["video"]',
        "needs": '["transcript"]',
        "labels": '{ "No" = 0, "Yes" = 1 }',
    } | fields
    lines = [f"{key} = {value}" for key, value in front.items() if value is not None]
    return "\n".join(["+++", *lines, "+++", body, ""])


@pytest.fixture
def write(tmp_path):
    def write_prompt(text, name="mine.jinja"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
        return str(path)

    return write_prompt


@pytest.fixture
def load(write):
    return lambda *args, **fields: find_prompt(write(source(*args, **fields)))


def problem_of(path):
    with pytest.raises(PromptError) as caught:
        find_prompt(path)
    assert Path(path).name in caught.value.problem
    assert caught.value.remedy
    return caught.value.problem
