"""Prompt files: what they may say, how they are checked, and how they are filled in."""

from __future__ import annotations

import hashlib

import pytest

from bah_mllm.core.errors import PromptError
from bah_mllm.core.records import Level
from bah_mllm.prompting import (
    find_prompt,
    render_text,
)
from tests.prompting.conftest import QUESTION, problem_of, source


def test_a_prompt_file_is_read(load):
    template = load(level='["frame", "video"]', needs='["video", "transcript"]', source='"me"', description='"it"')
    assert template.name == "mine"
    assert template.front.level == (Level.FRAME, Level.VIDEO)
    assert template.front.needs == ("video", "transcript")
    assert template.variables == ("transcript",)
    assert list(template.front.labels.items()) == [("No", 0), ("Yes", 1)]


def test_one_level_can_be_written_without_brackets(load):
    assert load(level='"frame"').front.level == (Level.FRAME,)


def test_the_digest_is_that_of_the_file(write):
    text = source()
    assert find_prompt(write(text)).digest == hashlib.sha256(text.encode()).hexdigest()


def test_the_digest_follows_included_files(write, load):
    write("one", "part.jinja")
    first = load('{{ transcript }}{% include "part.jinja" %}').digest
    write("two", "part.jinja")
    assert load('{{ transcript }}{% include "part.jinja" %}').digest != first


@pytest.mark.parametrize("change", [lambda t: t.replace("\n", "\r\n"), lambda t: "\ufeff" + t, lambda t: "\n" + t])
def test_line_ends_and_byte_order_marks_of_editors_do_not_matter(write, change):
    assert render_text(find_prompt(write(change(source()))), {"transcript": "x"}) == f"x {QUESTION}"


def test_empty_lines_below_the_front_matter_are_not_part_of_the_prompt(load):
    assert render_text(load("\n \n  {{ transcript }}"), {"transcript": "x"}) == "  x"


@pytest.mark.parametrize(
    ("fields", "line", "words"),
    [
        ({"labels": '{ "No" = 0 }'}, 5, "at least one label"),
        ({"labels": '{ "No" = 0, "Never" = 0 }'}, 5, "at least one label"),
        ({"labels": '{ "No" = 0, "Yes" = 1, "Perhaps" = 2 }'}, 5, "none for anything else"),
        ({"labels": "{}"}, 5, "at least one label"),
        ({"labels": '{ "" = 0, "Yes" = 1 }'}, 5, "words on one line"),
        ({"labels": '{ " " = 0, "Yes" = 1 }'}, 5, "words on one line"),
        ({"labels": '{ "No " = 0, "Yes" = 1 }'}, 5, "words on one line"),
        ({"labels": '{ "yes" = 0, "Yes" = 1 }'}, 5, "upper and lower case"),
        ({"labels": '{ "No" = false, "Yes" = true }'}, 5, "integer"),
        ({"labels": '{ "No" = "0", "Yes" = "1" }'}, 5, "integer"),
        ({"labels": '["No", "Yes"]'}, 5, "labels"),
        ({"labels": None}, 2, "labels: Field required"),
        ({"level": '["clip"]'}, 3, "'frame' or 'video'"),
        ({"level": "[]"}, 3, "level"),
        ({"needs": '["smell"]'}, 4, "'transcript'"),
        ({"needs": '"transcript"'}, 4, "needs"),
        ({"version": "0"}, 2, "greater than or equal to 1"),
        ({"temperature": "0.7"}, 6, "temperature: Extra inputs"),
        ({"source": "no quotes"}, 6, "Invalid value"),
        ({"labels": '{ "No" = 0, "No" = 1 }'}, 5, "Duplicate"),
        ({"source": '"never closed'}, 6, "Illegal character"),
    ],
)
def test_wrong_front_matter_is_named_by_line(write, fields, line, words):
    problem = problem_of(write(source(**fields)))
    assert f"line {line}:" in problem
    assert words in problem


@pytest.mark.parametrize("text", ["", "Just text", "+++\nversion = 1\n", "---\nversion: 1\n---\n", "+++ +++"])
def test_a_file_without_front_matter_is_refused(write, text):
    assert "line 1: a prompt must begin with front matter" in problem_of(write(text))


@pytest.mark.parametrize("text", [b"+++\n\xff\xfe", b"\x00\x01\x02", b"+++\nversion = 1\n+++\n\xe9"])
def test_a_file_of_bytes_is_refused(write, text):
    assert problem_of(write(text))


def test_a_huge_file_is_refused(write):
    assert "200,000" in problem_of(write(source("x" * 300_000)))


@pytest.mark.parametrize(
    ("body", "line", "words"),
    [
        ("{{ transcript", 7, "unexpected end of template"),
        ("{{ transcript }}\n\n{% if %}", 9, "Expected an expression"),
        ("{{ transcript }}\n{% endif %}", 8, "endif"),
        ("{{ transcript }}{% frobnicate %}", 7, "frobnicate"),
        ("{{ transcript|shout }}", 7, "no filter 'shout'"),
        ("{% if transcript is loud %}{% endif %}", 7, "no test 'loud'"),
        ("{{ transcript }}\n{{ transcipt }}", 8, "'transcipt' is used but not among the needs"),
        ("{{ transcript }}{{ cues }}", 7, "'cues' is used but not among the needs"),
        ("{{ transcript }} {{ video }}", 7, "'video' is used but not among the needs"),
        ("No variable", 4, "does not use 'transcript'"),
        ("{# {{ transcript }} #}", 4, "does not use 'transcript'"),
        ("{% raw %}{{ transcript }}{% endraw %}", 4, "does not use 'transcript'"),
        ("{{ transcript }}{% set x = 1 %}", 7, "{% set %}"),
        ("{{ transcript * 1000 }}", 7, "use * of"),
        ("{{ transcript ~ transcript }}", 7, "use ~ of"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ transcript }}", 7, "{% macro %}"),
        ("{% extends 'simple.jinja' %}{{ transcript }}", 7, "{% extends %}"),
        ("{% import 'simple.jinja' as s %}{{ transcript }}", 7, "{% import %}"),
        ("{{ transcript.__class__ }}", 7, "'__class__'"),
        ("{{ transcript.replace('a', 'b') }}", 7, "range() only"),
        ("{{ transcript['__class__']() }}", 7, "range() only"),
        ("{{ lipsum(10**9) }}{{ transcript }}", 7, "range() only"),
        ("{% for a in transcript %}{% for b in transcript %}{% endfor %}{% endfor %}", 7, "loops cannot nest"),
        ("{% for a in [transcript] recursive %}{{ loop(a) }}{% endfor %}", 7, "loops cannot nest"),
        ("{% for loop in transcript %}{% endfor %}", 7, "loop"),
        ("{{ transcript }}{% include transcript %}", 7, "one string"),
        ("{{ transcript }}{% include ['a.jinja'] %}", 7, "one string"),
        ("\n{% autoescape true %}{{ transcript }}{% endautoescape %}", 8, "{% autoescape %}"),
        ("{% filter upper %}{{ transcript }}{% endfilter %}", 7, "{% filter %}"),
        ("{% call f() %}{{ transcript }}{% endcall %}", 7, "{% call %}"),
        ("{% with x = 1 %}{{ transcript }}{% endwith %}", 7, "{% with %}"),
        ("{{ transcript }}\n{{ " + "9" * 5_000 + " }}", 8, "too many digits"),
        ("{{ transcript }}\n{{ 0x" + "f" * 5_000 + " }}", 8, "too many digits"),
        ("{{ transcript }}{{ 'a' * 10**9 }}", 7, "use * of"),
        ("{{ transcript }}{{ 'a'|center(10**9) }}", 7, "no filter 'center'"),
        ("{{ transcript }}{{ '%s'|format(1) }}", 7, "no filter 'format'"),
        ("{{ transcript }}{{ '\\ud800' }}", 7, "half of a surrogate pair"),
        ("{{ transcript }}{{ '\\0' }}", 7, "null character"),
        ("{{ transcript }}\n\0", 8, "null character"),
    ],
)
def test_a_wrong_template_is_named_by_line(write, body, line, words):
    problem = problem_of(write(source(body)))
    assert f"line {line}:" in problem
    assert words in problem


def test_deep_brackets_are_an_error_and_not_a_crash(write):
    assert "too deeply" in problem_of(write(source("{{ transcript }}{{ " + "(" * 20_000 + "1" + ")" * 20_000 + " }}")))
    assert "too deeply" in problem_of(write(source("{% if transcript %}" * 500 + "x" + "{% endif %}" * 500)))


def test_a_slip_gets_the_nearest_name(write):
    with pytest.raises(PromptError) as caught:
        find_prompt(write(source("{{ transcript }} {{ transcipt }}")))
    assert "Did you mean 'transcript'?" in caught.value.remedy


def test_a_file_is_included_without_its_last_line_end(write, load):
    write("Respond.\n", "partials/end.jinja")
    assert (
        render_text(load('{{ transcript }} {% include "partials/end.jinja" %} Now.'), {"transcript": "x"})
        == "x Respond. Now."
    )


def test_variables_of_included_files_count_as_used(write, load):
    write("{{ transcript }}", "partials/said.jinja")
    write('{% include "partials/said.jinja" %}', "partials/more.jinja")
    assert render_text(load('{% include "partials/more.jinja" %}'), {"transcript": "x"}) == "x"


def test_a_variable_of_an_included_file_that_is_not_declared_names_that_file(write):
    write("a\n{{ cues }}", "part.jinja")
    with pytest.raises(PromptError, match=r"part\.jinja, line 2: 'cues'"):
        find_prompt(write(source('{{ transcript }}{% include "part.jinja" %}')))


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "../secret.jinja", "/etc/passwd", "/etc/x.jinja", "a\\..\\b.jinja", "x"]
)
def test_an_include_cannot_leave_its_folder(write, tmp_path, name):
    (tmp_path / "secret.jinja").write_text("secret")
    body = '{{ transcript }}{% include "' + name.replace("\\", "\\\\") + '" %}'
    with pytest.raises(PromptError, match=r"leads out|no file"):
        find_prompt(write(source(body), "inner/mine.jinja"))


def test_files_that_include_each_other_are_refused(write):
    write('{% include "b.jinja" %}', "a.jinja")
    write('{% include "a.jinja" %}', "b.jinja")
    with pytest.raises(PromptError, match="includes itself"):
        find_prompt(write(source('{{ transcript }}{% include "a.jinja" %}')))


def test_files_that_double_with_each_include_are_refused(write):
    for n in range(40):
        write(f'{{% include "{n + 1}.jinja" %}}' * 2, f"{n}.jinja")
    write("", "40.jinja")
    with pytest.raises(PromptError, match="more than 100 files"):
        find_prompt(write(source('{{ transcript }}{% include "0.jinja" %}')))


def test_a_prompt_cannot_be_included(write):
    write(source(), "other.jinja")
    with pytest.raises(PromptError, match="front matter, and cannot be included"):
        find_prompt(write(source('{{ transcript }}{% include "other.jinja" %}')))
