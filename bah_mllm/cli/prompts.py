"""``bah-mllm prompts list | show | render | check | new``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bah_mllm.cli.options import Json
from bah_mllm.core.errors import BahError, PromptError
from bah_mllm.core.records import Variant
from bah_mllm.core.saying import hand_out, one_of, say, tell

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Find, read, try and write prompts.")

_Dirs = Annotated[list[Path] | None, typer.Option("--prompts-dir", help="Folder with prompt files of your own.")]
_Name = Annotated[str, typer.Argument(help="Name of a prompt, or a .jinja file.")]


@app.command("list")
def list_(
    *,
    prompts_dir: _Dirs = None,
    json_path: Json = None,
) -> None:
    """List every prompt that a name finds.

    Example: bah-mllm prompts list
    """
    from bah_mllm.core.json_output import write_json
    from bah_mllm.prompting import list_prompts

    entries = list_prompts(prompts_dir or [])
    if json_path is not None:
        write_json(
            [
                {
                    "name": entry.name,
                    "problem": entry.problem,
                    "level": list(entry.template.front.level) if entry.template else None,
                    "needs": list(entry.template.front.needs) if entry.template else None,
                    "description": entry.template.front.description if entry.template else None,
                    "digest": entry.template.digest if entry.template else None,
                }
                for entry in entries
            ],
            json_path,
        )
        return
    width = max((len(entry.name) for entry in entries), default=0)
    for entry in entries:
        about = " ".join(entry.template.front.description.split()) if entry.template else f"BROKEN: {entry.problem}"
        tell(f"{entry.name:{width}}  {about}")


@app.command()
def show(name: _Name, *, prompts_dir: _Dirs = None) -> None:
    """Print a prompt's file and where it lies.

    Example: bah-mllm prompts show transcript_def1
    """
    from bah_mllm.prompting import find_prompt

    template = find_prompt(name, prompts_dir or [])
    say(f"# {template.path} (sha256 {template.digest[:12]})")
    hand_out(template.path.read_text(encoding="utf-8-sig"))


@app.command()
def render(
    name: _Name,
    *,
    transcript: Annotated[str | None, typer.Option(help="What was said in the video.")] = None,
    question: Annotated[str | None, typer.Option(help="Number of the question (1 to 7), or its text.")] = None,
    window_transcript: Annotated[str | None, typer.Option(help="What was said inside the window.")] = None,
    cues: Annotated[str | None, typer.Option(help="Cues observed in the window.")] = None,
    variant: Annotated[str, typer.Option(help=f"{one_of(Variant)}.")] = Variant.MAIN.value,
    prompts_dir: _Dirs = None,
) -> None:
    """Print exactly the prompt's text, without the engine's wrapper; a run also makes control tokens harmless.

    Example: bah-mllm prompts render transcript_def1 --transcript "I want to stop, but I like it"
    """
    from bah_mllm.prompting import find_prompt, render_text

    given = {
        "transcript": transcript,
        "question": question,
        "window_transcript": window_transcript,
        "cues": cues,
    }
    if variant not in list(Variant):
        raise PromptError(f"There is no variant {variant!r}.", remedy=f"Choose one of: {', '.join(Variant)}.")
    template = find_prompt(name, prompts_dir or [])
    values = {key: value for key, value in given.items() if value is not None}
    hand_out(render_text(template, values, variant=Variant(variant)) + "\n")


@app.command()
def check(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names or files.", show_default="every prompt found")
    ] = None,
    *,
    prompts_dir: _Dirs = None,
) -> int:
    """Check prompts: front matter, syntax, needs against variables, labels; exit code 2 where one is wrong.

    Example: bah-mllm prompts check transcript_def1
    """
    from bah_mllm.prompting import check_prompt, find_prompt, list_prompts

    dirs = prompts_dir or []
    n_wrong = 0
    for name in names or [entry.name for entry in list_prompts(dirs)]:
        try:
            report = check_prompt(find_prompt(name, dirs))
        except BahError as error:
            n_wrong += 1
            tell(f"{name}: WRONG: {error.problem}")
            say(f"error: {error.problem}\n  try: {error.remedy}")
            continue
        tell(f"{name}: ok")
        for warning in report.warnings:
            tell(f"  note: {warning}")
    return 2 if n_wrong else 0


@app.command()
def new(path: Annotated[Path, typer.Argument(help="File to write, ending in .jinja.")]) -> None:
    """Write a commented starter prompt; an existing file is left alone.

    Example: bah-mllm prompts new my_prompts/mine.jinja
    """
    from bah_mllm.prompting import new_prompt

    new_prompt(path)
    say(f"wrote {path}; use it with --prompt {path}")
