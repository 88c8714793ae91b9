"""Files that went wrong, made from sound ones: bytes flipped, cut, repeated or moved, and hostile pieces put in."""

from __future__ import annotations

import random

__all__ = ["mutated"]

_PIECES = (
    b"9" * 5_000, b"9" * 400, b"0x" + b"f" * 5_000, b"1:" * 2_000, b"-1", b"1e999", b"nan", b"NaN", b"Infinity",
    b"null", b"true", b"[" * 3_000, b"]" * 3_000, b"[" * 400 + b"]" * 400, b'{"a":' * 2_000, b"{" * 50, b"a." * 3_000,
    b"(" * 2_000, b"\\ud800", b"\\u0000", b"\\", b"\x00", b"\x1b[31m", b"\xff\xfe", b"\xed\xa0\x80", b"\xef\xbb\xbf",
    b"\xe2\x80\xae", b"\r\n", b"\r", b"\n", b"\t", b" ", b'"', b"'", b'"""', b"+++\n", b"---\n", b"{{ ", b" }}",
    b"{% ", b" %}", b"{# ", b"|truncate(-5)", b"|upper", b"{% autoescape true %}", b"{% include 'mine.jinja' %}",
    b"{% for i in range(10**9) %}", b"{{ 'a' * 10**9 }}", b"{{ range(1000000000) }}", b"{{ transcript[::0] }}",
    b"{% macro f() %}{{ f() }}{% endmacro %}", b"&a [*a]", b"&a [1]", b"*a", b"!!python/object:os.system x",
    b"!!int x", b"<<: {a: 1}", b"? [a]\n", b"[a]\n", b"..", b"/etc/passwd", b"\xc3\xa9", b"x" * 3_000, b"#", b",",
    b":", b"=", b"{}", b"[]", b"[[1, 2], [3]]", b"1979-05-27",
)  # fmt: skip


def mutated(sound: bytes, seed: int) -> bytes:
    """Return the content after one to four mishaps; the same for the same seed."""
    rng = random.Random(seed)
    content = bytearray(sound)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 4))):
        _mishap(content, rng)
    return bytes(content)


def _mishap(content: bytearray, rng: random.Random) -> None:
    start, stop = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    stop = min(stop, start + 200)
    kind = rng.randrange(8)
    if kind == 0 and content:
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    elif kind == 1:
        del content[start:]
    elif kind == 2:
        del content[start:stop]
    elif kind == 3:
        content[stop:stop] = content[start:stop] * rng.choice((1, 1, 2, 50))
    elif kind == 4:
        content[start:stop] = rng.choice(_PIECES)
    elif kind == 5 and content:
        content[rng.randrange(len(content))] = rng.randrange(256)
    elif kind == 6:
        values = [place for place, letter in enumerate(content) if letter in b"0123456789"]
        if values:  # a number becomes another one
            place = rng.choice(values)
            content[place : place + 1] = rng.choice((b"0", b"9" * 400, b"-7", b"1e999", b"nan", b"[1]", b'"a"', b"3.5"))
    else:
        content[start:start] = rng.choice(_PIECES)
