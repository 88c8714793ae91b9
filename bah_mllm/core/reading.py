"""TOML and JSON that others wrote, read so that no file ends in more than a refusal.

A file that is too large, not UTF-8, malformed, nested too deeply, or that holds a number or a character that nothing
here could use is refused by the error that the caller names, with the file, the line where it is known, and a remedy.
"""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from bah_mllm.core.errors import BahError

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError

__all__ = [
    "MAX_JSON_BYTES",
    "MAX_NUMBER",
    "Refusal",
    "first_problem",
    "parse_json",
    "parse_json_as",
    "parse_toml",
    "read_json",
    "read_json_as",
    "read_text",
    "read_toml",
]

MAX_NUMBER = 2**63 - 1  # whole numbers beyond fit no array and no seed; TOML itself ends there
MAX_TOML_BYTES = 2**20
MAX_JSON_BYTES = 2**28
_MAX_DEPTH = 100
_MAX_PROBLEM_CHARS = 500
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_LONG_NUMBER = re.compile(r"[0-9][0-9_]{1000}")

_Model = TypeVar("_Model", bound="BaseModel")


class Refusal(NamedTuple):
    """How a reader refuses what it reads.

    Args:
        error: The kind of error.
        where: The file as messages call it.
        remedy: What to do about it.
        first_line: Line of the file on which the text starts, counted from 1.
    """

    error: type[BahError]
    where: str
    remedy: str
    first_line: int = 1

    def of(self, problem: str, *, line: int | None = None) -> BahError:
        """Return the error; ``line`` is counted from 1 within the text."""
        at = "" if line is None else f", line {self.first_line + line - 1}"
        if len(problem) > _MAX_PROBLEM_CHARS:  # it quotes a name of any length
            problem = f"{problem[:_MAX_PROBLEM_CHARS]} ..."
        return self.error(f"{self.where}{at}: {problem.rstrip('.')}.", remedy=self.remedy)


def read_text(path: Path, refusal: Refusal, *, max_bytes: int = MAX_TOML_BYTES) -> str:
    r"""Return a file's text without its byte order mark, line ends as ``\n``.

    Raises:
        BahError: The refusal's: the file cannot be read, is larger than ``max_bytes`` or not UTF-8.
    """
    try:
        text = _read_bytes(path, refusal, max_bytes=max_bytes).decode("utf-8")
    except UnicodeDecodeError as error:
        raise refusal.of(f"not UTF-8 at byte {error.start:,}") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _read_bytes(path: Path, refusal: Refusal, *, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(max_bytes + 1)
    except OSError as error:
        raise refusal.of(f"it cannot be read: {error.strerror}") from None
    except (MemoryError, ValueError) as error:  # a name with a null byte is a ValueError
        raise refusal.of(f"it cannot be read ({type(error).__name__})") from None
    if len(content) > max_bytes:
        raise refusal.of(f"larger than {max_bytes // 2**20:,} MB, which no such file is")
    return content.removeprefix(_BYTE_ORDER_MARK)


def read_toml(path: Path, refusal: Refusal) -> dict[str, Any]:
    """Return the content of a TOML file of at most 1 MB.

    Raises:
        BahError: The refusal's: it cannot be read, or ``parse_toml`` refuses it.
    """
    return parse_toml(read_text(path, refusal), refusal)


def parse_toml(text: str, refusal: Refusal) -> dict[str, Any]:
    """Return the content of a TOML document.

    Raises:
        BahError: The refusal's: it is no TOML, more than 100 levels deep, or holds a whole number beyond 64 bits or a
            null character.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # Python 3.11 has the line in the message only.
        match = re.search(r"\(at line (\d+), column \d+\)", str(error))
        line = int(match[1]) if match else max(1, len(text.splitlines()))
        problem = re.sub(r"\s*\(at [^)]*\)", "", str(error))
        raise refusal.of(f"no valid TOML: {problem}", line=line) from None
    except ValueError:  # Python's limit for the digits of a number
        raise refusal.of("a number has too many digits", line=_line_of(_LONG_NUMBER, text)) from None
    except (RecursionError, MemoryError):
        raise refusal.of("nested too deeply") from None
    _check_values(content, refusal)
    return content


def read_json(path: Path, refusal: Refusal) -> Any:  # noqa: ANN401 - as json.loads
    """Return the value in a JSON file of at most 256 MB.

    Raises:
        BahError: The refusal's: it cannot be read, or ``parse_json`` refuses it.
    """
    return parse_json(read_text(path, refusal, max_bytes=MAX_JSON_BYTES), refusal)


def parse_json(text: str, refusal: Refusal) -> Any:  # noqa: ANN401 - as json.loads
    """Return the value of a JSON document.

    Raises:
        BahError: The refusal's: it is no JSON, gives a key twice, is more than 100 levels deep, or holds a whole number
            beyond 64 bits, half of a surrogate pair or a null character.
    """
    try:
        value = json.loads(text, object_pairs_hook=_once_each)
    except json.JSONDecodeError as error:
        raise refusal.of(f"no valid JSON: {error.msg}", line=error.lineno) from None
    except _KeyTwiceError as error:
        raise refusal.of(f"the key {error.key!r} appears twice") from None
    except ValueError:
        raise refusal.of("a number has too many digits", line=_line_of(_LONG_NUMBER, text)) from None
    except (RecursionError, MemoryError):
        raise refusal.of("nested too deeply") from None
    _check_values(value, refusal)
    return value


def read_json_as(path: Path, model: type[_Model], refusal: Refusal) -> _Model:
    """Return the record in a JSON file.

    Raises:
        BahError: The refusal's: ``read_json`` refuses the file, or its content is no such record; names the field.
    """
    from pydantic import ValidationError

    text = read_text(path, refusal, max_bytes=MAX_JSON_BYTES)
    parse_json(text, refusal)  # pydantic's own parser takes numbers of any length and keys given twice
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise refusal.of(first_problem(error)) from None


def parse_json_as(line: str | bytes, model: type[_Model], refusal: Refusal) -> _Model:
    """Return the record in a line of a file, fast; the model says how large its numbers may be.

    Args:
        line: A JSON object.
        model: Of what the object says.
        refusal: Its ``first_line`` is the line's number.

    Raises:
        BahError: The refusal's: it is no such record; names line and field.
    """
    from pydantic import ValidationError

    try:
        return model.model_validate_json(line)
    except ValidationError as error:
        raise refusal.of(first_problem(error), line=1) from None


def first_problem(error: ValidationError) -> str:
    """Return the first thing that is wrong with a record, behind the name of its field; the value is not told."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    field = ".".join(str(part) for part in first["loc"])
    message = str(first["msg"]).removeprefix("Value error, ").rstrip(".")
    return f"{field}: {message}" if field else message


class _KeyTwiceError(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        raise _KeyTwiceError(next(name for name in names if names.count(name) > 1))
    return values


def _check_values(content: object, refusal: Refusal) -> None:
    """Refuse what a parser takes, but nothing that reads it could use; without recursion."""
    pending = [(content, 0)]
    while pending:
        value, depth = pending.pop()
        if depth > _MAX_DEPTH:
            raise refusal.of(f"nested more than {_MAX_DEPTH} levels deep")
        if isinstance(value, dict):
            pending += [(inner, depth + 1) for pair in value.items() for inner in pair]
        elif isinstance(value, list):
            pending += [(inner, depth + 1) for inner in value]
        elif isinstance(value, str):
            if "\0" in value or _SURROGATE.search(value):
                raise refusal.of("a text in it holds a null character or half of a surrogate pair")
        elif isinstance(value, int) and abs(value) > MAX_NUMBER:
            raise refusal.of(f"a whole number in it is beyond {MAX_NUMBER:,}")


def _line_of(pattern: re.Pattern[str], text: str) -> int | None:
    match = pattern.search(text)
    return text.count("\n", 0, match.start()) + 1 if match else None
