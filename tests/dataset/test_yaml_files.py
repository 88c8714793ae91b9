import time

import pytest

from bah_mllm.core.errors import DataError
from bah_mllm.dataset.yaml_files import YamlEntries, load_yaml, parse_yaml


def test_plain_data_and_tuples_are_read():
    value = parse_yaml(
        b"a: !!python/tuple [1, 2.5, null]\nb: {c: 'x', d: yes}\n'82': &t [2024-05-01]\ne: *t\n", where="f"
    )
    assert value == {"a": (1, 2.5, None), "b": {"c": "x", "d": True}, "82": ["2024-05-01"], "e": ["2024-05-01"]}


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.system",
        "!!python/name:os.system",
        "!!python/object/new:x.y",
        "!!binary",
        "!!set",
        "!mine",
    ],
)
@pytest.mark.parametrize("body", ["[ls]", "{a: 1}", "text"])
def test_other_tags_are_refused_with_file_line_and_tag(tag, body):
    with pytest.raises(DataError) as caught:
        parse_yaml(f"ok: 1\nbad: {tag} {body}\n".encode(), where="meta.yml")
    assert "meta.yml, line 2" in caught.value.problem
    assert tag in caught.value.problem


def test_a_billion_laughs_are_refused_at_once():
    lines = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    began = time.process_time()
    with pytest.raises(DataError, match=r"bomb\.yml, line \d+: aliases repeat"):
        parse_yaml("\n".join(lines).encode(), where="bomb.yml")
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"[" * 100_000, "levels deep"),
        (b"a: " * 100_000, "no valid YAML"),
        (b"a: *nowhere", "alias"),
        (b"a: 1\na: 2", "twice"),
        (b"<<: {a: 1}", "merge"),
        (b"? [a]\n: 1", "no plain value"),
        (b"a: " + b"1" * 6000, "a whole number beyond"),
        (b"a: 1\n---\nb: 2", "second document"),
        (b"a: '\x00'", "no valid YAML"),
        (b"a: \xff", "no valid YAML"),
        (b"a: &x [*x]", "alias"),
    ],
)
def test_hostile_documents_are_refused(text, reason):
    with pytest.raises(DataError, match=reason) as caught:
        parse_yaml(text, where="hostile.yml")
    assert caught.value.problem.startswith("hostile.yml")


def test_an_empty_file_holds_nothing(write):
    assert load_yaml(write({"a.yml": ""}) / "a.yml") is None


def test_malformed_text_is_not_repeated_in_the_message():
    with pytest.raises(DataError) as caught:
        parse_yaml(b"text: 'marmalade\nchunks: [", where="f")
    assert "marmalade" not in caught.value.problem + caught.value.remedy


@pytest.mark.parametrize(
    "text",
    [
        "a: {x: 1}\n'b c': [2]\n# note\nd:\n- 3\n\n",
        "\ufeffa: {x: 1}\r\n'b c': [2]\r\nd:\r\n- 3\r\n",
        '---\na: {x: 1}\n"b c": [2]\nd: [3]\n',
        "{a: {x: 1}, b c: [2], d: [3]}",
        "? a\n: x: 1\n? b c\n: [2]\n? d\n: [3]\n",
        "a: &one {x: 1}\nb c: [2]\nd: [3]\n",
    ],
)
def test_entries_are_the_same_piece_by_piece_as_in_one(write, text):
    entries = YamlEntries(write({"a.yaml": text}) / "a.yaml")
    assert {key: entries[key] for key in entries} == {"a": {"x": 1}, "b c": [2], "d": [3]}


def test_an_alias_to_another_entry_is_followed(write):
    entries = YamlEntries(write({"a.yaml": "a: &one [1]\nb: *one\n"}) / "a.yaml")
    assert entries["b"] == [1]


def test_quoted_text_that_looks_like_an_entry_stays_text(write):
    entries = YamlEntries(write({"a.yaml": 'a: "one\nb: two"\nc: 3\n'}) / "a.yaml")
    assert entries["a"] == "one b: two"
    assert entries["c"] == 3


def test_a_broken_entry_leaves_the_others_readable_and_names_its_line(write):
    entries = YamlEntries(write({"a.yaml": "a: 1\nb:\n  c: !!python/name:x 2\nd: !!set 4\ne: 5\n"}) / "a.yaml")
    assert (entries["a"], entries["e"]) == (1, 5)
    with pytest.raises(DataError, match=r"a\.yaml, line 3: .*python/name"):
        entries["b"]
    with pytest.raises(DataError, match=r"a\.yaml, line 4: .*!!set"):
        entries["d"]


@pytest.mark.parametrize("text", ["- a\n- b\n", "just text\n"])
def test_a_file_that_is_no_mapping_is_refused(write, text):
    with pytest.raises(DataError, match="no mapping"):
        list(YamlEntries(write({"a.yaml": text}) / "a.yaml"))


def test_a_key_that_appears_twice_is_refused(write):
    with pytest.raises(DataError, match=r"a\.yaml, line 3: the key 'x' appears twice"):
        YamlEntries(write({"a.yaml": "x: 1\ny: 2\nx: 3\n"}) / "a.yaml")
