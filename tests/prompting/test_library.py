"""Prompts are found by name, in the right order, and never outside their folders."""

import subprocess
import sys
from pathlib import Path

import pytest

from bah_mllm.core.errors import PromptError
from bah_mllm.prompting import check_prompt, find_prompt, list_prompts, new_prompt, render_text
from tests.prompting.conftest import source

PROMPT = """+++
version = 1
level = "video"
needs = []
labels = { "No" = 0, "Yes" = 1 }
+++
"""


@pytest.fixture(autouse=True)
def _no_prompts_from_the_environment(monkeypatch):
    monkeypatch.delenv("BAH_PROMPTS", raising=False)


@pytest.fixture
def folder(tmp_path):
    def make(name, **prompts):
        for prompt, text in prompts.items():
            path = tmp_path / name / f"{prompt.replace('__', '/')}.jinja"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(PROMPT + text, encoding="utf-8")
        return tmp_path / name

    return make


def text_of(name, *dirs):
    return render_text(find_prompt(name, dirs), {})


def test_a_file_in_a_given_folder_is_a_prompt_at_once(folder):
    mine = folder("mine", hello="'No' or 'Yes'?", deep__er="deep")
    assert text_of("hello", mine) == "'No' or 'Yes'?"
    assert text_of("hello.jinja", mine) == "'No' or 'Yes'?"
    assert text_of("deep/er", mine) == "deep"
    assert find_prompt("deep/er", [mine]).name == "deep/er"


def test_given_folders_come_before_the_environment_and_that_before_what_ships(folder, monkeypatch):
    first, second, third = (folder(name, simple=name, **{f"only_{name}": "x"}) for name in ("a", "b", "c"))
    monkeypatch.setenv("BAH_PROMPTS", f"{second}:{third}" if sys.platform != "win32" else f"{second};{third}")
    assert text_of("simple", first) == "a"
    assert text_of("simple") == "b"
    assert text_of("only_c") == "x"
    monkeypatch.setenv("BAH_PROMPTS", "")
    assert text_of("simple").startswith("Classify")


def test_a_path_is_a_prompt_of_its_own(folder, monkeypatch):
    mine = folder("mine", hello="hi")
    assert text_of(str(mine / "hello.jinja")) == "hi"
    assert find_prompt(str(mine / "hello.jinja")).name == "hello"
    monkeypatch.chdir(mine)
    assert text_of("./hello.jinja") == "hi"
    assert text_of("../mine/hello.jinja") == "hi"


def test_a_prompt_given_by_path_includes_from_beside_it_and_from_what_ships(tmp_path):
    (tmp_path / "part.jinja").write_text("part ")
    path = tmp_path / "mine.jinja"
    path.write_text(PROMPT + '{% include "part.jinja" %}{% include "partials/definition1_and_question.jinja" %}')
    assert text_of(str(path)).startswith("part Definition: Ambivalence is")


def test_an_unknown_name_gets_the_nearest_and_the_list(folder):
    with pytest.raises(PromptError, match="no prompt named 'transcript_deff1'") as caught:
        find_prompt("transcript_deff1", [folder("mine", hello="x")])
    assert "Did you mean 'transcript_def1'" in caught.value.remedy
    assert "hello, " in caught.value.remedy
    assert "upstream/def1" in caught.value.remedy


@pytest.mark.parametrize("name", ["../secret", "mine/../../secret", "/etc/passwd", "..\\secret", "a\0b"])
def test_a_name_cannot_leave_its_folder(folder, name):
    folder(".", secret="secret")
    with pytest.raises(PromptError, match="leads out of the folder"):
        find_prompt(name, [folder("mine", hello="x")])


def test_a_link_cannot_lead_out_of_its_folder(folder):
    folder(".", secret="secret")
    mine = folder("mine", hello="x")
    (mine / "link.jinja").symlink_to(mine.parent / "secret.jinja")
    with pytest.raises(PromptError, match="leads out of the folder"):
        find_prompt("link", [mine])
    assert "link" not in [entry.name for entry in list_prompts([mine])]


@pytest.mark.parametrize("name", ["", ".", "..", "upstream", "partials/definition1_and_question", "x" * 5000, "é{{7}}"])
def test_what_is_no_prompt_is_refused(name):
    with pytest.raises(PromptError):
        find_prompt(name)


@pytest.mark.parametrize("origin", ["--prompts-dir", "BAH_PROMPTS"])
def test_a_folder_that_is_not_there_is_named_with_its_origin(tmp_path, monkeypatch, origin):
    missing = tmp_path / "missing"
    if origin == "BAH_PROMPTS":
        monkeypatch.setenv(origin, str(missing))
    with pytest.raises(PromptError, match=f"{origin} names .*missing"):
        find_prompt("simple", [missing] if origin == "--prompts-dir" else [])


def test_a_wrong_file_does_not_hide_the_others_in_the_list(folder):
    mine = folder("mine", good="x", bad="{{ x")
    entries = {entry.name: entry for entry in list_prompts([mine])}
    assert entries["good"].template is not None
    assert entries["bad"].template is None
    assert "line 7" in entries["bad"].problem
    assert list(entries) == sorted(entries)
    assert not any("partials" in name for name in entries)


def test_the_starter_file_is_a_prompt_in_order(tmp_path):
    path = new_prompt(tmp_path / "new" / "mine")
    assert path == tmp_path / "new" / "mine.jinja"
    check = check_prompt(find_prompt(str(path)))
    assert check.warnings == ()
    assert check.sample.startswith("Video transcript: [transcript].")


def test_a_starter_file_never_overwrites(tmp_path):
    path = tmp_path / "mine.jinja"
    path.write_text("precious")
    with pytest.raises(PromptError, match="exists already"):
        new_prompt(path)
    assert path.read_text() == "precious"


def test_a_starter_file_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PromptError, match="cannot be written"):
        new_prompt(tmp_path / "file" / "mine.jinja")


def test_prompts_are_found_from_any_folder_and_load_nothing_heavy(tmp_path):
    code = (
        "import sys; from bah_mllm.prompting import find_prompt; import bah_mllm.scoring; find_prompt('simple');"
        "print(sorted({'torch', 'pandas', 'sklearn', 'numpy', 'av'} & set(sys.modules)))"
    )
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {root!r}); {code}"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout.strip(), done.returncode) == ("[]", 0), done.stderr


@pytest.mark.parametrize(
    "text",
    [
        source("{% autoescape true %}{{ transcript }}{% endautoescape %}"),
        source("{{ transcript }}{{ " + "9" * 5_000 + " }}"),
        source(source="[" * 5_000 + "]" * 5_000),
        source(source="9" * 5_000),
        source("{{ transcript|truncate(-5) }}"),
        source("{{ transcript" + "|trim" * 30_000 + " }}"),
        b"\xff\xfe\x00",
        b"+" * 2**21,
    ],
)
def test_one_file_that_nothing_could_read_leaves_the_others_listed(write, tmp_path, text):
    write(source(), "fine.jinja")
    write(text, "odd.jinja")
    entries = {entry.name: entry for entry in list_prompts([tmp_path])}
    assert entries["fine"].template is not None
    assert entries["odd"].template is None
    assert entries["odd"].problem
    assert entries["transcript_def1"].problem is None
