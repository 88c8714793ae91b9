"""What a prompt file says about itself: the TOML between its two lines ``+++``."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StrictInt, ValidationError, field_validator

from bah_mllm.core.errors import PromptError
from bah_mllm.core.reading import Refusal, first_problem, parse_toml
from bah_mllm.core.records import Level

__all__ = ["CONTENT_NEEDS", "FrontMatter", "Need", "TemplateSource", "line_of_key", "split_front_matter"]


class Need(StrEnum):
    """What a prompt may ask for. All but ``video`` are variables of the template."""

    VIDEO = "video"
    TRANSCRIPT = "transcript"
    QUESTION = "question"
    QUESTION_TEXT = "question_text"
    WINDOW_TRANSCRIPT = "window_transcript"
    CUES = "cues"


CONTENT_NEEDS = frozenset({Need.TRANSCRIPT, Need.WINDOW_TRANSCRIPT, Need.CUES})


class FrontMatter(BaseModel):
    """What a prompt file says about itself.

    Args:
        version: Counts up with every change of the text.
        level: Which predictions the prompt is meant for.
        needs: What it must be given; exactly the variables it uses, and ``video`` where it asks about one.
        labels: Text of each answer to 0 (no A/H) or 1 (A/H present); both values occur.
        source: Where the text comes from.
        description: One line for ``prompts list``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Annotated[int, Field(ge=1)] | str
    level: Annotated[tuple[Level, ...], Field(min_length=1, validation_alias=AliasChoices("level", "levels"))]
    needs: tuple[Need, ...]
    labels: dict[str, StrictInt]
    source: str = ""
    description: str = ""

    @field_validator("level", mode="before")
    @classmethod
    def _one_or_more(cls, level: object) -> object:
        return [level] if isinstance(level, str) else level

    @field_validator("labels")
    @classmethod
    def _two_sides(cls, labels: dict[str, int]) -> dict[str, int]:
        if any(not label.strip() or label != " ".join(label.split()) for label in labels):
            raise ValueError("a label must be words on one line, without white space around them")
        if len({label.casefold() for label in labels}) < len(labels):
            raise ValueError("two labels differ only in upper and lower case")
        if set(labels.values()) != {0, 1}:
            raise ValueError("at least one label must stand for 0 and one for 1, and none for anything else")
        return labels


class TemplateSource(NamedTuple):
    """A template's text, where it comes from, and the line of the file on which it starts, counted from 1."""

    text: str
    path: Path
    first_line: int


_FENCED = re.compile(
    r"\A\s*\+\+\+[ \t]*\n(?P<front>.*?)^\+\+\+[ \t]*(?:\n|\Z)(?P<blank>[ \t\n]*\n)?", re.DOTALL | re.MULTILINE
)


def split_front_matter(text: str, path: Path) -> tuple[FrontMatter, TemplateSource, TemplateSource]:
    """Return the front matter of a prompt file, its text, and the template below it.

    Args:
        text: All of the file.
        path: Where it was read; named in errors.

    Raises:
        PromptError: There is no front matter, or it is malformed; names the line.
    """
    match = _FENCED.match(text)
    if match is None:
        raise PromptError(
            f"The file {path}, line 1: a prompt must begin with front matter between two lines '+++'.",
            remedy="Write a starter with `bah-mllm prompts new FILE`, and compare.",
        )
    front = TemplateSource(match["front"], path, _line_at(text, match.start("front")))
    body = TemplateSource(text[match.end() :], path, _line_at(text, match.end()))
    refusal = Refusal(
        PromptError,
        f"The file {path}",
        "Write a starter with `bah-mllm prompts new FILE`, and compare.",
        front.first_line,
    )
    fields = parse_toml(front.text, refusal)
    try:
        return FrontMatter.model_validate(fields), front, body
    except ValidationError as error:
        location = error.errors(include_url=False, include_context=False, include_input=False)[0]["loc"]
        line = line_of_key(front.text, str(location[0]) if location else "")
        raise refusal.of(f"the front matter is wrong: {first_problem(error)}", line=line) from None


def _line_at(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def line_of_key(front_text: str, key: str) -> int:
    """Return the line on which a field of the front matter begins, counted from 1; 1 where it is not there."""
    match = re.search(rf"^[ \t]*\[?[ \t]*[\"']?{re.escape(key)}\b", front_text, re.MULTILINE) if key else None
    return _line_at(front_text, match.start()) if match else 1
