"""Safe reading of YAML from strangers, in pieces where a file is large.

Only plain data and ``!!python/tuple`` are understood. Values are built from the parser's events rather than from
nodes: three times less memory, and the tag, the depth and the growth by aliases are seen before anything is built.

Measured on the demo set's annotations, which are written as BAH's, against PyYAML's C loader with tuples and a check
for keys given twice: 0.039 s and a peak of 1.9 MB here, 0.097 s and 9.6 MB there. On 100,000 nested brackets this
module raises a DataError that names the line; the C loader crashes the process.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from bah_mllm.core.errors import DataError
from bah_mllm.core.reading import MAX_NUMBER

__all__ = ["YamlEntries", "load_yaml", "parse_yaml"]

_Event = Any  # the classes of events share too little to be told apart by type

_PREFIX = "tag:yaml.org,2002:"
_TUPLE = f"{_PREFIX}python/tuple"
_MAX_DEPTH = 50
_MAX_DIGITS = 100  # in base 2 or 60, with separators
_MAX_BYTES = 2**30  # BAH's annotations have 91 MB
_MAX_ALIASED_VALUES = 1_000_000  # values repeated by aliases: BAH repeats next to none, a "billion laughs" 10 ** 9


class _Loader(yaml.CSafeLoader):
    """The safe loader, with tuples, and without expanding what aliases repeat."""

    def __init__(self, data: bytes, *, where: str, first_line: int) -> None:
        super().__init__(data)
        self._where = where
        self._first_line = first_line
        self._anchors: dict[str, tuple[object, int]] = {}
        self._plain: dict[str, object] = {}  # numbers and the like, as written: most are a 0 or 1 seen before
        self._n_values = 0
        self._n_aliased = 0

    def load_document(self) -> object:
        """Return the only document of the stream; None where it is empty."""
        self._next()  # the start of the stream
        if self.check_event(yaml.StreamEndEvent):
            return None
        self._next()
        value = self._value(self._next(), depth=0)
        self._next()
        if not self.check_event(yaml.StreamEndEvent):
            raise self._error(self._next(), "a second document", "Keep one document in the file.")
        return value

    def _next(self) -> _Event:
        return self.get_event()

    def _error(self, event: _Event, problem: str, remedy: str) -> DataError:
        line = event.start_mark.line + self._first_line
        return DataError(f"{self._where}, line {line}: {problem}.", remedy=remedy)

    def _value(self, event: _Event, *, depth: int) -> object:
        if depth > _MAX_DEPTH:
            raise self._error(event, f"more than {_MAX_DEPTH} levels deep", "Get the file again from its source.")
        if isinstance(event, yaml.AliasEvent):
            return self._aliased(event)
        before = self._n_values + self._n_aliased
        self._n_values += 1
        value: object
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event)
        elif isinstance(event, yaml.SequenceStartEvent):
            value = self._sequence(event, depth=depth)
        else:
            value = self._mapping(event, depth=depth)
        if event.anchor:
            self._anchors[event.anchor] = (value, self._n_values + self._n_aliased - before)
        return value

    def _aliased(self, event: yaml.AliasEvent) -> object:
        if event.anchor not in self._anchors:
            raise self._error(
                event, f"alias *{str(event.anchor)[:200]} without an anchor", "Get the file again from its source."
            )
        value, size = self._anchors[event.anchor]
        self._n_aliased += size
        if self._n_aliased > _MAX_ALIASED_VALUES:
            raise self._error(
                event,
                f"aliases repeat more than {_MAX_ALIASED_VALUES:,} values",
                "Do not use this file: it is built to exhaust memory.",
            )
        return value

    def _scalar(self, event: yaml.ScalarEvent) -> object:
        if event.tag is None and event.implicit[0]:
            if event.value not in self._plain:
                value = self._built(event)
                if value is event.value:
                    return value
                self._plain[event.value] = value
            return self._plain[event.value]
        return self._built(event)

    def _built(self, event: yaml.ScalarEvent) -> object:
        if event.tag is None or event.tag == "!":
            if not event.implicit[0]:
                return event.value
            tag = self.resolve(yaml.ScalarNode, event.value, (True, False))  # type: ignore[no-untyped-call]
        else:
            tag = event.tag
        if tag in (f"{_PREFIX}str", f"{_PREFIX}timestamp"):  # a date is a name here, not a moment
            return event.value
        build = _SCALARS.get(tag)
        if build is None:
            raise self._unknown_tag(event, tag)
        remedy = "Correct the value, or quote it."
        if tag == f"{_PREFIX}int" and len(event.value) > _MAX_DIGITS:
            raise self._error(event, f"a whole number beyond {MAX_NUMBER:,}", remedy)
        try:
            value = build(self, yaml.ScalarNode(tag, event.value))
        except (ValueError, KeyError, ArithmeticError, yaml.YAMLError):
            raise self._error(event, f"a value that is no {tag.removeprefix(_PREFIX)}", remedy) from None
        if isinstance(value, int) and abs(value) > MAX_NUMBER:
            raise self._error(event, f"a whole number beyond {MAX_NUMBER:,}", remedy)
        return value

    def _sequence(self, event: yaml.SequenceStartEvent, *, depth: int) -> object:
        if event.tag not in (None, "!", f"{_PREFIX}seq", _TUPLE):
            raise self._unknown_tag(event, event.tag)
        items = []
        while not isinstance(item := self._next(), yaml.SequenceEndEvent):
            items.append(self._value(item, depth=depth + 1))
        return tuple(items) if event.tag == _TUPLE else items

    def _mapping(self, event: yaml.MappingStartEvent, *, depth: int) -> object:
        if event.tag not in (None, "!", f"{_PREFIX}map"):
            raise self._unknown_tag(event, event.tag)
        entries: dict[object, object] = {}
        while not isinstance(start := self._next(), yaml.MappingEndEvent):
            key = self._value(start, depth=depth + 1)
            if not isinstance(key, str | int | float | None):
                raise self._error(start, "a key that is no plain value", "Write keys as text or numbers.")
            if key in entries:
                raise self._error(start, f"the key {str(key)[:200]!r} appears twice", "Keep one of the two entries.")
            entries[key] = self._value(self._next(), depth=depth + 1)
        return entries

    def _unknown_tag(self, event: _Event, tag: str) -> DataError:
        name = tag.replace(_PREFIX, "!!")
        return self._error(
            event,
            f"the tag {name[:200]!r} is not allowed in data",
            "Remove the tag; of YAML's tags for Python only !!python/tuple is read.",
        )


_SCALARS = {
    f"{_PREFIX}null": yaml.CSafeLoader.construct_yaml_null,
    f"{_PREFIX}bool": yaml.CSafeLoader.construct_yaml_bool,
    f"{_PREFIX}int": yaml.CSafeLoader.construct_yaml_int,
    f"{_PREFIX}float": yaml.CSafeLoader.construct_yaml_float,
}


def parse_yaml(data: bytes, *, where: str, first_line: int = 1) -> object:
    """Return the value of a YAML document.

    Args:
        data: UTF-8, with or without byte order mark.
        where: Name of the file, for messages.
        first_line: Line of the file at which ``data`` starts.

    Raises:
        DataError: It is not YAML, not UTF-8, holds a tag other than ``!!python/tuple``, is more than 50 levels deep
            or repeats more than a million values by aliases. Names file and line, never the content.
    """
    loader = None
    try:
        loader = _Loader(data, where=where, first_line=first_line)
        return loader.load_document()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + first_line}" if mark is not None else ""
        reason = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
        raise DataError(
            f"{where}{line}: no valid YAML ({reason}).",
            remedy="Get the file again from its source, or correct the line.",
        ) from None
    finally:
        if loader is not None:
            loader.dispose()


def load_yaml(path: Path) -> object:
    """Return the value of a YAML file, as ``parse_yaml`` does."""
    return parse_yaml(read_bytes(path), where=path.name)


def read_bytes(path: Path) -> bytes:
    """Return a file's content.

    Raises:
        DataError: It cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise DataError(
            f"{path.name} cannot be read: {error.strerror}.", remedy="Check that the file is there and may be read."
        ) from None
    if len(content) > _MAX_BYTES:
        raise DataError(
            f"{path.name} is larger than {_MAX_BYTES // 2**20:,} MB.", remedy="Give the file that is meant."
        )
    return content


class _Block(NamedTuple):
    start: int
    stop: int
    first_line: int


_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_TOP_LEVEL = re.compile(rb"\n([^ \t\r\n#-][^\r\n]*)")  # a fixed first byte: four times faster than ^ on every line
_KEY = re.compile(rb"""^("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[\w./(][^"'{}\[\]\r\n]*?)[ \t]*:(?=[ \t]|$)""")


class YamlEntries:
    """The entries of one large mapping, each parsed when it is asked for.

    The 91 MB of BAH's annotations take about 20 seconds as a whole; one video of them takes milliseconds. A file that
    is not laid out with its keys at the start of lines is parsed whole, on first use.
    """

    def __init__(self, path: Path) -> None:
        """Index the file.

        Raises:
            DataError: It cannot be read, a key appears twice, or it is no mapping.
        """
        self._path = path
        self._whole: dict[str, object] | DataError | None = None
        self._blocks = self._index(read_bytes(path))

    def __iter__(self) -> Iterator[str]:
        yield from (self._parse_whole() if self._blocks is None else self._blocks)

    def __getitem__(self, key: str) -> object:
        """Return the value of a key.

        Raises:
            KeyError: There is no such key.
            DataError: The entry is malformed.
        """
        if self._blocks is None or isinstance(self._whole, dict):
            return self._parse_whole()[key]
        block = self._blocks[key]
        with self._path.open("rb") as file:
            file.seek(block.start)
            data = file.read(block.stop - block.start)
        problem: DataError | None = None
        try:
            entry = parse_yaml(data, where=self._path.name, first_line=block.first_line)
        except DataError as error:
            entry, problem = None, error
        if isinstance(entry, dict) and [str(name) for name in entry] == [key]:
            (value,) = entry.values()
            return value
        # Perhaps an alias to another entry, or quoted text that looks like a key: the whole file can tell.
        try:
            return self._parse_whole()[key]
        except (DataError, KeyError):
            raise problem or DataError(
                f"{self._path.name}, line {block.first_line}: the entry cannot be read.",
                remedy="Get the file again from its source, or start every entry on a line of its own.",
            ) from None

    def _index(self, data: bytes) -> dict[str, _Block] | None:
        starts: list[tuple[str, int]] = []
        for match in _TOP_LEVEL.finditer(b"\n" + data.removeprefix(_BYTE_ORDER_MARK)):
            key = _KEY.match(match[1])
            if key is None:
                return None
            starts.append((self._key(key[1]), match.start()))  # the added line feed makes up for the found one
        if not starts and data.strip():
            return None
        offset = len(_BYTE_ORDER_MARK) if data.startswith(_BYTE_ORDER_MARK) else 0
        bounds = [start + offset for _, start in starts] + [len(data)]
        blocks: dict[str, _Block] = {}
        line = 1 + data[: bounds[0]].count(b"\n")
        for (key_text, _), start, stop in zip(starts, bounds, bounds[1:], strict=False):
            if key_text in blocks:
                raise DataError(
                    f"{self._path.name}, line {line}: the key {key_text[:200]!r} appears twice.",
                    remedy="Keep one of the two entries.",
                )
            blocks[key_text] = _Block(start, stop, line)
            line += data.count(b"\n", start, stop)
        return blocks

    def _key(self, raw: bytes) -> str:
        if raw[:1] in (b'"', b"'"):
            return str(parse_yaml(raw, where=self._path.name))
        return raw.decode("utf-8", "replace")

    def _mapping(self, value: object) -> dict[str, object]:
        if not isinstance(value, dict):
            raise DataError(f"{self._path.name} holds no mapping.", remedy="Get the file again from its source.")
        return {str(key): entry for key, entry in value.items()}

    def _parse_whole(self) -> dict[str, object]:
        if self._whole is None:
            try:
                self._whole = self._mapping(load_yaml(self._path) or {})
            except DataError as error:
                self._whole = error
        if isinstance(self._whole, DataError):
            raise self._whole
        return self._whole
