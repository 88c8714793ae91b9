"""TOML and JSON of strangers: sound files are read as the standard readers read them, all else is refused."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from pydantic import BaseModel

from bah_mllm.core.errors import ConfigError, DataError, RunError
from bah_mllm.core.reading import Refusal, parse_json, parse_toml, read_json, read_json_as, read_text, read_toml

REFUSAL = Refusal(DataError, "a file", "Mend it.")
DEEP = 5_000


class Record(BaseModel):
    name: str
    n: int


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a = 1\nb = [\n", "a file, line 2: no valid TOML"),
        (f"ok = 1\na = {'9' * 5000}", "a file, line 2: a number has too many digits"),
        (f"a = 0x{'f' * 5000}", "a whole number in it is beyond 9,223,372,036,854,775,807"),
        (f"a = {'9' * 20}", "beyond 9,223,372,036,854,775,807"),
        (f"a = {'[' * DEEP}{']' * DEEP}", "nested"),
        ("{}".format("a." * DEEP + "a = 1"), "nested more than 100 levels deep"),
        (f"[{'a.' * DEEP}a]", "nested more than 100 levels deep"),
        ('a = "x\\u0000"', "null character"),
        ('a = "\\ud800"', "no valid TOML"),
        ("a = 1\na = 2", "no valid TOML"),
        ("a = 1\0", "no valid TOML"),
    ],
)
def test_toml_that_nothing_could_use_is_refused(text, told):
    with pytest.raises(DataError, match=r"^a file") as caught:
        parse_toml(text, REFUSAL)
    assert told in caught.value.problem
    assert caught.value.remedy == "Mend it."
    assert len(caught.value.problem) < 200


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"a": 1,\n}', "a file, line 2: no valid JSON"),
        (f'{{"a":\n{"9" * 5000}}}', "a file, line 2: a number has too many digits"),
        (f'{{"a": {"9" * 400}}}', "beyond 9,223,372,036,854,775,807"),
        ("[" * DEEP + "]" * DEEP, "nested more than 100 levels deep"),
        ("[" * 10**6, "nested too deeply"),
        ('{"a":' * DEEP, "nested too deeply"),
        ('{"a": 1, "a": 2}', "the key 'a' appears twice"),
        ('{"a": "\\ud800"}', "half of a surrogate pair"),
        ('{"\\u0000": 1}', "null character"),
        ("", "no valid JSON"),
    ],
)
def test_json_that_nothing_could_use_is_refused(text, told):
    with pytest.raises(DataError, match=r"^a file") as caught:
        parse_json(text, REFUSAL)
    assert told.removesuffix("too deeply").removesuffix("more than 100 levels deep") in caught.value.problem
    assert len(caught.value.problem) < 200


def test_sound_files_are_read_as_the_standard_readers_read_them(tmp_path: Path):
    toml = '# é\r\nname = "Zoë"\r\nspans = [[0.5, 1e3], []]\r\nn = 9223372036854775807\r\n[a.b]\r\nok = true\r\n'
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbf" + toml.encode())
    assert read_toml(tmp_path / "a.toml", REFUSAL) == tomllib.loads(toml)
    value = {"name": "Zoë \U0001f600", "n": -(2**63) + 1, "none": None, "deep": [[[[1.5e300]]]], "text": "a\tb\n"}
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1)):
        (tmp_path / "a.json").write_text(text, encoding="utf-8-sig")
        assert read_json(tmp_path / "a.json", REFUSAL) == value


def test_a_file_that_is_too_large_or_not_utf_8_or_not_there_is_refused(tmp_path: Path):
    (tmp_path / "big.toml").write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(ConfigError, match="a file: larger than 1 MB"):
        read_toml(tmp_path / "big.toml", REFUSAL._replace(error=ConfigError))
    (tmp_path / "latin.toml").write_bytes('a = "é"'.encode("latin-1"))
    with pytest.raises(DataError, match="a file: not UTF-8 at byte 5"):
        read_toml(tmp_path / "latin.toml", REFUSAL)
    for odd in (tmp_path, tmp_path / "none", tmp_path / "nu\0ll"):
        with pytest.raises(DataError, match="a file: it cannot be read"):
            read_text(odd, REFUSAL)
    with pytest.raises(DataError, match="larger than 1 MB"):
        read_text(Path("/dev/zero"), REFUSAL)


def test_a_record_is_refused_by_its_field_and_never_by_its_value(tmp_path: Path):
    (tmp_path / "r.json").write_text('{"name": "Ann", "n": "secret"}')
    with pytest.raises(RunError, match=r"^r\.json: n: Input should be a valid integer") as caught:
        read_json_as(tmp_path / "r.json", Record, Refusal(RunError, "r.json", "Mend it."))
    assert "secret" not in caught.value.problem
    (tmp_path / "r.json").write_text('{"name": "Ann", "n": 3}')
    assert read_json_as(tmp_path / "r.json", Record, REFUSAL) == Record(name="Ann", n=3)
