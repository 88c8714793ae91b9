"""The Typer application, and what becomes of errors: two lines and exit code 2, or 130 on Ctrl-C, 143 on SIGTERM.

Nothing heavy is imported here or in the command modules: ``bah-mllm --help`` loads no torch, pandas or scikit-learn.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer import TyperException

from bah_mllm.cli import adaptation, cues, data, evaluate, features, models, prompts, runs, system, training, weights
from bah_mllm.cli.interruption import tell_interrupted
from bah_mllm.cli.options import DataCommand, RunSettingsCommand
from bah_mllm.core.errors import BahError
from bah_mllm.core.files import SHARING
from bah_mllm.core.saying import say
from bah_mllm.core.storage import storage_error

__all__ = ["app", "invoke"]

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130  # as Typer has it

app = typer.Typer(
    name="bah-mllm",
    add_completion=False,  # else two completion options fill every help page
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Recognise ambivalence and hesitancy (A/H) in videos: run video LLMs over a data set, judge any predictions.",
)


@app.callback()
def _options(
    *,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of every error.")] = False,
    share: Annotated[
        bool,
        typer.Option("--share", help="Make folders as your umask says, for others, too; else for you alone."),
    ] = False,
) -> None:
    if debug:
        os.environ["BAH_DEBUG"] = "1"
    if share:
        os.environ[SHARING] = "1"


app.command("run", cls=RunSettingsCommand)(runs.run)
app.command("experiment", cls=RunSettingsCommand)(runs.experiment)
app.command("status")(runs.status)
app.command("diff")(runs.diff)
app.command("import", cls=DataCommand)(runs.import_)
app.command("evaluate", cls=DataCommand)(evaluate.evaluate)
app.command("compare", cls=DataCommand)(evaluate.compare)
app.add_typer(prompts.app, name="prompts")
app.add_typer(models.app, name="models")
app.add_typer(data.app, name="data")
app.command("transcribe", cls=DataCommand)(data.transcribe)
app.add_typer(cues.app, name="cues")
app.command("features", cls=DataCommand)(features.features)
app.command("train", cls=DataCommand)(training.train)
app.command("predict", cls=DataCommand)(training.predict)
app.command("adapt", cls=DataCommand)(adaptation.adapt)
app.add_typer(weights.app, name="weights")
app.command("bench")(system.bench)
app.command("doctor")(system.doctor)


def invoke(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code.

    0 done; 2 the user can solve it (two lines on stderr); 3 a run in which rows failed; 130 interrupted, 143 and 129
    by SIGTERM and SIGHUP.
    """
    try:
        command = typer.main.get_command(app)
        code = command.main(args=list(arguments), prog_name="bah-mllm", standalone_mode=False)
        sys.stdout.flush()
    except TyperException as error:
        return _usage_error(error)
    except (KeyboardInterrupt, typer.Abort):
        return tell_interrupted()
    except BrokenPipeError:
        # The reader of our output (`| head`) went away: not an error, and nothing is left to tell it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (BahError, OSError) as error:
        return _refusal(error)
    if code == EXIT_INTERRUPTED:  # Typer turns Ctrl-C into this code
        return tell_interrupted()
    return code if isinstance(code, int) else 0


def _refusal(error: BahError | OSError) -> int:
    told = storage_error(error) if isinstance(error, OSError) else error
    if told is None or os.environ.get("BAH_DEBUG"):
        raise error
    _two_lines(told.problem, told.remedy)
    return EXIT_USER_ERROR


def _usage_error(error: TyperException) -> int:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "bah-mllm"
    if type(error).__name__ == "NoArgsIsHelpError":
        say(error.format_message())
    else:
        _two_lines(error.format_message() + _offending_value(error), f"{path} --help")
    return EXIT_USER_ERROR


def _offending_value(error: TyperException) -> str:
    """Typer's message about a number that is none leaves the value out; pydantic, which found it, knows it."""
    errors = getattr(error.__context__, "errors", None)
    return f" (got {errors()[0]['input']!r})" if callable(errors) else ""


def _two_lines(problem: str, remedy: str) -> None:
    # One line each, whatever a value in them contains.
    lines = (" ".join(text.split()) for text in (problem, remedy))
    say("error: {}\n  try: {}".format(*lines))
