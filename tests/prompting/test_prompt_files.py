"""The prompts that ship: golden texts, and the table in their README."""

import json
from pathlib import Path

import pytest

from bah_mllm.core.records import Variant
from bah_mllm.prompting import PromptValues, check_prompt, find_prompt, list_prompts, render_prompt, render_text

HERE = Path(__file__).parent
CASES = [
    case for path in sorted((HERE / "golden").glob("*.json")) for case in json.loads(path.read_text("utf-8"))["cases"]
]
README = HERE.parents[1] / "prompts" / "README.md"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["template"])
def test_a_prompt_reads_to_the_letter(case):
    rendered = render_prompt(find_prompt(case["template"]), PromptValues(**case["values"]), ["<video>", "USER:"])
    assert rendered.text == case["text"]
    assert rendered.labels == {"Non-Ambivalent": 0, "Ambivalent": 1}
    assert rendered.n_neutralised == 0


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["template"])
def test_values_given_by_hand_read_the_same(case):
    by_hand = {name: str(value) for name, value in case["values"].items()}
    assert render_text(find_prompt(case["template"]), by_hand) == case["text"]


def test_every_prompt_that_ships_is_in_order():
    entries = list_prompts()
    assert len(entries) >= 14
    assert [entry.problem for entry in entries if entry.problem] == []
    for entry in entries:
        check = check_prompt(entry.template)
        assert check.warnings == (), entry.name
        assert entry.template.front.source, entry.name
        assert entry.template.front.description, entry.name


@pytest.mark.parametrize("entry", list_prompts(), ids=lambda entry: entry.name)
def test_every_prompt_that_ships_can_be_asked_with_swapped_labels(entry):
    values = {need.value: "something" for need in entry.template.variables}
    swapped = entry.template.render(values, variant=Variant.SWAPPED)
    assert "'Ambivalent' or 'Non-Ambivalent'" in swapped
    assert swapped.replace(
        "'Ambivalent' or 'Non-Ambivalent'", "'Non-Ambivalent' or 'Ambivalent'"
    ) == entry.template.render(values)


def test_the_readme_lists_every_prompt():
    rows = ["| name | needs | what it is | source |", "|---|---|---|---|"]
    for entry in list_prompts():
        front = entry.template.front
        rows.append(f"| `{entry.name}` | {', '.join(front.needs)} | {front.description} | {front.source} |")
    table = "\n".join(rows)
    assert table in README.read_text(encoding="utf-8"), f"put this table at the end of {README}:\n{table}"
