"""Prompts with their values filled in, in every variant."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bah_mllm.core.errors import PromptError
from bah_mllm.core.records import Variant
from bah_mllm.prompting import (
    PromptValues,
    check_prompt,
    find_prompt,
    missing_needs,
    question_text,
    render_prompt,
    render_text,
)


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


@pytest.mark.parametrize(
    "filter_", ["truncate(-5)", "truncate(1)", "truncate(9, true, '', -1)", "truncate('a')", "trim(1)"]
)
def test_a_filter_that_fails_is_named_with_its_line(load, filter_):
    template = load("{{ transcript }}\n\n{{ transcript|upper|" + filter_ + " }}")
    with pytest.raises(PromptError, match=rf"mine\.jinja, line 9: the filter '{filter_.split('(')[0]}' fails"):
        render_text(template, {"transcript": "secret words"})


def test_a_failure_in_an_included_file_names_that_file(load, write):
    write("\n{{ transcript|truncate(-5) }}", "partials/cut.jinja")
    with pytest.raises(PromptError, match=r"partials/cut\.jinja, line 2: the filter 'truncate' fails"):
        render_text(load('{{ transcript }}{% include "partials/cut.jinja" %}'), {"transcript": "x"})


def test_what_fails_outside_of_filters_is_named_by_its_line(load):
    with pytest.raises(PromptError, match=r"mine\.jinja, line 8: its template fails \(ValueError\)"):
        render_text(load("{{ transcript }}\n{{ transcript[::0] }}"), {"transcript": "secret words"})


def test_a_value_that_is_not_utf_8_is_refused(load):
    with pytest.raises(PromptError, match="value of transcript is not UTF-8"):
        render_text(load("{{ transcript }}"), {"transcript": b"caf\xe9".decode("utf-8", "surrogateescape")})


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
