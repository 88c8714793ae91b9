"""Names, notes and replies of strangers cannot command the terminal, and stand exactly in JSON and files."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from bah_mllm.cli.app import invoke
from bah_mllm.core.json_output import write_json
from bah_mllm.core.records import Level, Status
from bah_mllm.core.saying import say, tell, visible
from bah_mllm.predictions import PredictionRow, RunStore
from bah_mllm.report.console import plain_console
from tests.prompting.conftest import source

# Written down once more, from the Unicode tables: C0 but tab and line feed, DEL and C1, marks of direction, no width.
UNSEEN = re.compile(
    r"[^\t\n\x20-\x7e\xa0-\xac\xae-\U0010ffff]|[\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
EVIL = "\x1b[31m\x07\x9b2J\u202e\u2066\u200b[/red][bold]x"
IN_PATHS = "\x9b2J\u202e\u2066\u200b[/red][bold]x"  # ids of a data set have no C0 characters


@pytest.fixture
def printed(capfd):
    def run(*arguments: str) -> str:
        capfd.readouterr()
        code = invoke(arguments)
        out, err = capfd.readouterr()
        assert code in (0, 2, 3), err
        assert "Traceback" not in err
        assert not UNSEEN.search(out + err), repr(UNSEEN.search(out + err))
        return out + err

    return run


@pytest.fixture
def evil(tmp_path: Path) -> Path:
    """A data set, predictions, two runs and a prompt with such characters wherever a name or a note may stand."""
    videos = [f"{n}{IN_PATHS}.mp4" for n in range(8)]
    with (tmp_path / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "participant", "split", "label", "transcript"])
        for n, video in enumerate(videos):
            writer.writerow([video, f"p{n // 2}{EVIL}", f"te{IN_PATHS}st", n % 2, f"words {EVIL}"])
    for name, offset in (("a", 0.0), ("b", 0.05)):
        with (tmp_path / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["video_id", "p", "system"])
            writer.writerows([video, 0.1 * n + offset, f"sys{name}{EVIL}"] for n, video in enumerate(videos))
            writer.writerow([f"stranger{EVIL}.mp4", 0.5, f"sys{name}{EVIL}"])
        with RunStore(tmp_path / f"run_{name}", config={}, identity={"x": EVIL + name}, notes=[f"note {EVIL}"]) as run:
            rows = [("ok", 0.1 * n + offset, None) for n in range(7)] + [("engine_error", None, f"because {EVIL}")]
            run.append(
                PredictionRow(system=f"s{EVIL}", video_id=video, participant_id="p", level=Level.VIDEO, p_positive=p,
                              status=Status(status), detail=detail)
                for video, (status, p, detail) in zip(videos, rows, strict=True)
            )  # fmt: skip
    (tmp_path / f"odd{IN_PATHS.replace('/', '')}.jinja").write_text(
        source("\n{{ transcript|\x1b[31mshout }}"), encoding="utf-8"
    )
    (tmp_path / "fine.jinja").write_text(source(description='"\\u001b[31m \\u202e about"'), encoding="utf-8")
    return tmp_path


def test_nothing_that_is_printed_commands_the_terminal(evil: Path, printed) -> None:
    data = ("--data", str(evil / "manifest.csv"), "--level", "video")
    few = ("--draws", "10")
    split = f"te{IN_PATHS}st"
    assert "�" in printed("evaluate", str(evil / "a.csv"), *data, *few, "--subgroups", "--split", split)
    printed("evaluate", str(evil / "a.csv"), *data, *few, "--json", "-")
    assert "�" in printed("evaluate", str(evil / "a.csv"), *data, "--split", f"none{EVIL}")
    assert "�" in printed("compare", str(evil / "a.csv"), str(evil / "b.csv"), *data, *few)
    assert "�" in printed("evaluate", str(evil / "run_a"), *data, *few)
    assert "�" in printed("status", str(evil / "run_a"))
    assert "�" in printed("diff", str(evil / "run_a"), str(evil / "run_b"))
    assert "�" in printed("data", "check", str(evil / "manifest.csv"))
    assert "�" in printed("data", "stats", str(evil / "manifest.csv"))
    assert "�" in printed("prompts", "list", "--prompts-dir", str(evil))
    assert "�" in printed("prompts", "check", *map(str, evil.glob("*.jinja")))
    printed("run", "--data", str(evil / "manifest.csv"), "--prompt", f"no{EVIL}")
    printed("import", str(evil / "a.csv"), *data[:2], "--out", str(evil / f"out{IN_PATHS}"))
    printed("train", "--recipe", f"no{EVIL}", "--out", str(evil / "t"))
    printed(f"no{EVIL}")
    printed("doctor")


def test_json_on_a_terminal_is_escaped_and_means_the_same(capfd, tmp_path: Path) -> None:
    value = {f"é{EVIL}": ["\U000e0041\ufeff", "\udce9", "plain"]}
    write_json(value, "-")
    text = capfd.readouterr().out
    assert not UNSEEN.search(text)
    assert json.loads(text) == value
    write_json(value, str(tmp_path / "value.json"))
    assert json.loads((tmp_path / "value.json").read_text(encoding="utf-8")) == value


def test_what_is_seen_stays_and_columns_stay_straight(capfd) -> None:
    from rich.table import Table

    kept = "Zoë: 日本 👍🏽\t→ “x”\n"
    assert visible(kept) == kept
    assert visible("a\r\x1bb\x7f\u200d") == "a��b��"
    table = Table("a", "b")
    table.add_row("\x1b\x07\x0b", "1")
    table.add_row("abc", "2")
    plain_console(has_markup=False).print(table)
    lines = capfd.readouterr().out.splitlines()
    assert len({len(line) for line in lines}) == 1
    say(EVIL)
    tell(EVIL)
    out, err = capfd.readouterr()
    assert out == err == "�[31m��2J���[/red][bold]x\n"


def test_a_prompt_goes_into_a_pipe_as_it_is(capfd) -> None:
    assert invoke(["prompts", "render", "transcript_def1", "--transcript", "a\u200db"]) == 0
    assert "a\u200db" in capfd.readouterr().out
