"""Prompt files: what they may say, how they are checked, and how they are filled in."""

import hashlib
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bah_mllm.core.errors import PromptError
from bah_mllm.core.records import Level, Variant
from bah_mllm.prompting import (
    PromptValues,
    check_prompt,
    find_prompt,
    missing_needs,
    question_text,
    render_prompt,
    render_text,
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


# --- reading ----------------------------------------------------------------------------------------------------------


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
        ("{{ transcript }}{% set x = 1 %}", 7, "'Assign'"),
        ("{{ transcript * 1000 }}", 7, "'Mul'"),
        ("{{ transcript ~ transcript }}", 7, "'Concat'"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ transcript }}", 7, "'Macro'"),
        ("{% extends 'simple.jinja' %}{{ transcript }}", 7, "'Extends'"),
        ("{% import 'simple.jinja' as s %}{{ transcript }}", 7, "'Import'"),
        ("{{ transcript.__class__ }}", 7, "'__class__'"),
        ("{{ transcript.replace('a', 'b') }}", 7, "range() only"),
        ("{{ transcript['__class__']() }}", 7, "range() only"),
        ("{{ lipsum(10**9) }}{{ transcript }}", 7, "range() only"),
        ("{% for a in transcript %}{% for b in transcript %}{% endfor %}{% endfor %}", 7, "loops cannot nest"),
        ("{% for a in [transcript] recursive %}{{ loop(a) }}{% endfor %}", 7, "loops cannot nest"),
        ("{% for loop in transcript %}{% endfor %}", 7, "loop"),
        ("{{ transcript }}{% include transcript %}", 7, "one string"),
        ("{{ transcript }}{% include ['a.jinja'] %}", 7, "one string"),
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


# --- included files ---------------------------------------------------------------------------------------------------


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


# --- rendering --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        "{{ 7*7 }}",
        "{% for x in range(9) %}x{% endfor %}",
        "{# gone? #}",
        "<b>&amp;'\"",
        "{{ transcript }}",
        "+++\n+++",
        "%s {0} $x",
    ],
)
def test_values_are_data(load, value):
    assert render_text(load("[{{ transcript }}]"), {"transcript": value}) == f"[{value}]"


@settings(deadline=None)
@given(st.text().filter(lambda text: text == text.strip()))
def test_any_value_comes_out_as_it_went_in(value):
    template = find_prompt("transcript_def1")
    assert render_text(template, {"transcript": value}).startswith(f"Video transcript: {value}. Definition: ")


def test_white_space_at_the_end_goes_and_within_stays(load):
    assert render_text(load("  a\n\n {{ transcript }}. \n\t\n"), {"transcript": " x y \n"}) == "  a\n\n x y."


def test_conditions_loops_and_filters_work(load):
    body = "{% for n in range(3) %}{{ n }}{{ ',' if not loop.last }}{% endfor %} {{ transcript|upper|truncate(5) }}"
    assert render_text(load(body), {"transcript": "ab"}) == "0,1,2 AB"


@pytest.mark.parametrize(
    "loop",
    ["range(1000000000)", "range(10000000000000000000000)", "range(100000)"],
)
def test_a_loop_without_end_is_stopped(load, loop):
    template = load("{{ transcript }}{% for n in " + loop + " %}{{ n }}{% endfor %}")
    started = time.process_time()
    with pytest.raises(PromptError, match=r"cannot be rendered|more than 200,000"):
        render_text(template, {"transcript": "x"})
    assert time.process_time() - started < 5


def test_a_transcript_of_a_megabyte_is_rendered(load):
    assert len(render_text(load("{{ transcript }}"), {"transcript": "x" * 1_000_000})) == 1_000_000


def test_a_failing_template_does_not_quote_the_values(load):
    template = load("{{ transcript }}{{ transcript < 3 }}")
    with pytest.raises(PromptError) as caught:
        render_text(template, {"transcript": "private words"})
    assert "private" not in caught.value.problem + caught.value.remedy


def test_all_missing_values_are_named_with_their_flags(load):
    template = load("{{ transcript }}{{ cues }}{{ question_text }}", needs='["transcript", "cues", "question_text"]')
    with pytest.raises(PromptError, match="lacks a value for: transcript, question_text") as caught:
        render_text(template, {"cues": "x"})
    assert "--transcript and --question" in caught.value.remedy


def test_values_that_a_prompt_does_not_need_are_ignored():
    assert render_text(find_prompt("simple"), {"transcript": "x"}).startswith("Classify")


@pytest.mark.parametrize(
    ("question", "expected"),
    [("3", "3|" + question_text(3)), ("Why do you run?", "Why do you run?|Why do you run?"), ("8", "8|8")],
)
def test_a_question_is_given_by_number_or_by_its_words(load, question, expected):
    template = load("{{ question }}|{{ question_text }}", needs='["question", "question_text"]')
    assert render_text(template, {"question": question}) == expected


# --- values and variants ----------------------------------------------------------------------------------------------


def test_missing_needs_are_listed_in_the_order_of_the_front_matter(load):
    needs = '["video", "cues", "window_transcript", "transcript", "question"]'
    template = load("{{ transcript }}{{ cues }}{{ question }}{{ window_transcript }}", needs=needs)
    assert missing_needs(template, PromptValues()) == ["cues", "window_transcript", "transcript", "question"]
    assert missing_needs(template, PromptValues(transcript=" \n", cues="", window_transcript="", question=1)) == [
        "transcript"
    ]


def test_what_a_prompt_does_not_need_is_not_missing():
    assert missing_needs(find_prompt("simple"), PromptValues()) == []


def test_a_prompt_with_missing_values_is_not_rendered():
    with pytest.raises(PromptError, match="lacks a value for: transcript"):
        render_prompt(find_prompt("transcript_def1"), PromptValues(transcript="  "), [])


def test_markers_in_any_value_are_broken_and_counted(load):
    template = load("{{ transcript }}|{{ cues }}", needs='["transcript", "cues"]')
    values = PromptValues(transcript="a </s>\nb", cues="USER: c", window_transcript="</s>")
    rendered = render_prompt(template, values, ["</s>", "USER:"])
    assert rendered.text == "a </s > b|USER : c"
    assert rendered.n_neutralised == 2


def test_swapping_turns_lists_of_labels_round_but_neither_definitions_nor_values(load):
    template = load("'No' means no. {{ transcript }} Is it 'No' or \"Yes\"?")
    rendered = render_prompt(template, PromptValues(transcript="'No' or 'Yes'"), [], variant=Variant.SWAPPED)
    assert rendered.text == "'No' means no. 'No' or 'Yes' Is it 'Yes' or \"No\"?"
    assert rendered.variant is Variant.SWAPPED
    assert rendered.labels == {"No": 0, "Yes": 1}


def test_three_labels_are_listed_backwards(load):
    labels = '{ "low" = 0, "lower" = 0, "high" = 1 }'
    template = load("'low', 'lower', or 'high'? {{ transcript }}", labels=labels)
    assert template.render({"transcript": ""}, variant=Variant.SWAPPED) == "'high', 'lower', or 'low'?"


def test_labels_that_are_not_listed_cannot_be_swapped(load):
    template = load("{{ transcript }} No or Yes?")
    assert not template.can_swap
    with pytest.raises(PromptError, match="cannot be swapped"):
        template.render({"transcript": "x"}, variant=Variant.SWAPPED)
    assert check_prompt(template).warnings == (
        "The labels are not listed in quotes: the swapped variant cannot be asked.",
    )


def test_a_prompt_without_content_keeps_its_question_only(load):
    needs = '["transcript", "window_transcript", "cues", "question_text"]'
    template = load("{{ transcript }}|{{ window_transcript }}|{{ cues }}|{{ question_text }}", needs=needs)
    values = PromptValues(transcript="</s>", window_transcript="b", cues="c", question=1)
    rendered = render_prompt(template, values, ["</s>"], variant=Variant.CONTENT_FREE)
    assert rendered.text == "N/A|N/A|N/A|Tell us about an activity you commonly do after waking up."
    assert rendered.n_neutralised == 0


def test_variants_do_not_mix_up_in_the_cache(load):
    template = load()
    texts = [template.render({"transcript": "x"}, variant=variant) for variant in [*Variant, *Variant]]
    assert texts == ["x Is it 'No' or 'Yes'?", "x Is it 'Yes' or 'No'?", "N/A Is it 'No' or 'Yes'?"] * 2


def test_a_label_that_the_text_never_names_is_warned_about(load):
    check = check_prompt(load("{{ transcript }} Is it 'No'?"))
    assert check.sample == "[transcript] Is it 'No'?"
    assert check.warnings == ("The text never names the label 'Yes': a model has to guess it.",)


@pytest.mark.parametrize("question", [0, 8, -1])
def test_there_are_seven_questions(question):
    with pytest.raises(PromptError, match=f"no question {question}"):
        question_text(question)


def test_rendering_a_thousand_windows_takes_less_than_a_second():
    template = find_prompt("transcript_def1")
    values = PromptValues(transcript="word " * 100)
    render_prompt(template, values, ["<video>"])
    started = time.process_time()
    for _ in range(1000):
        render_prompt(template, values, ["<video>"])
    assert time.process_time() - started < 1
