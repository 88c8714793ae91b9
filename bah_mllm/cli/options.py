"""Options that several commands take: all settings of a run, made from ``RunConfig``, and a few by themselves.

A setting of a run is written once, as a field of ``RunConfig``: its option has the field's type, default and
description.
"""

from __future__ import annotations

import inspect
import math
import re
from enum import Enum
from functools import cache
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import typer
from typer.core import TyperCommand

from bah_mllm.core.records import MAX_SEED
from bah_mllm.core.saying import one_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic.fields import FieldInfo

__all__ = [
    "Data",
    "DataCommand",
    "Draws",
    "Features",
    "FramesFrom",
    "Json",
    "Root",
    "RunSettingsCommand",
    "Seed",
    "Seeds",
    "Split",
    "finite",
]

Root = Annotated[str | None, typer.Argument(help="Data set root, manifest or folder.", show_default="the demo set")]
Data = Annotated[str | None, typer.Option(help="Data set.", show_default="the demo set")]
Split = Annotated[str | None, typer.Option(help="Split.", show_default="test, or everything")]
Features = Annotated[Path, typer.Option(help="Folder that `bah-mllm features` wrote.")]
Seeds = Annotated[str, typer.Option(help="Seeds as A:B (half open), or A,B,C.")]
Seed = Annotated[int, typer.Option(help="Seed.", min=0, max=MAX_SEED)]
Draws = Annotated[int, typer.Option(help="Bootstrap draws for the 95 % intervals; 0 for none.", min=0, max=100_000)]
FramesFrom = Annotated[
    int | None,
    typer.Option(help="Number of a video's first frame in a file of predictions.", min=0, max=1, show_default="0"),
]
Json = Annotated[str | None, typer.Option("--json", help="Write JSON to PATH, - for stdout.")]


def finite(value: float | None) -> float | None:
    """Return a number as it is; refuse nan and inf, which pass every range."""
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a number to count with.")
    return value


class DataCommand(TyperCommand):
    """A command that opens a data set: it takes ``--follow-links``, which holds for all that it opens."""

    def get_params(self, ctx: Any) -> Any:  # noqa: ANN401 - Typer's own copy of click is private
        """Return the command's own parameters and the option, before the help."""
        *own, last = super().get_params(ctx)
        return [*own, _follow_links_option(), last]

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - as above
        """Call the command's function with links allowed or not."""
        from bah_mllm.dataset import following_links

        with following_links(is_allowed=ctx.params.pop("follow_links")):
            return super().invoke(ctx)


@cache
def _follow_links_option() -> Any:  # noqa: ANN401 - as above
    def takes_links(
        *,
        follow_links: Annotated[
            bool,
            typer.Option(
                "--follow-links",
                help="Let links and paths of the data set lead outside of it; for data that you trust.",
            ),
        ] = False,
    ) -> None:
        """Do nothing: its parameter is what Typer reads."""

    reader = typer.Typer(add_completion=False)
    reader.command()(takes_links)
    return typer.main.get_command(reader).params[0]


class RunSettingsCommand(TyperCommand):
    """A command with an option for every setting of a run, before its own ``--config``, which stands for all of them.

    Its function takes a context, whose ``obj`` holds the settings that stand on the command line, by their names in
    ``RunConfig``. They are read from there when this command is looked at, not for a list of commands: pydantic would
    double the time of ``bah-mllm --help``.
    """

    context_class = typer.Context  # what functions say they take; by itself Typer makes a private base of it

    def get_params(self, ctx: Any) -> Any:  # noqa: ANN401 - Typer's own copy of click is private
        """Return the command's own parameters with the settings among them."""
        own = super().get_params(ctx)
        at = [parameter.name for parameter in own].index("config")
        return [*own[:at], *_options_of_settings().values(), *own[at:]]

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - as above
        """Call the command's function: Typer hands it its own parameters, the context the settings."""
        ctx.obj = {}
        for name, option in _options_of_settings().items():
            value = ctx.params.pop(option.name)
            if ctx.get_parameter_source(option.name).name != "DEFAULT":
                ctx.obj[name] = value
        from bah_mllm.dataset import following_links

        with following_links(is_allowed=bool(ctx.obj.get("follow_links"))):
            return super().invoke(ctx)


@cache
def _options_of_settings() -> Mapping[str, Any]:
    """Return the option of every setting, by the setting's name, as Typer makes them for a function's parameters."""
    from bah_mllm.pipeline.config import RunConfig

    def takes_settings() -> None:
        """Do nothing: its parameters are what Typer reads."""

    parameters = [_parameter(name, field) for name, field in RunConfig.model_fields.items()]
    takes_settings.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    reader = typer.Typer(add_completion=False)
    reader.command()(takes_settings)
    return dict(zip(RunConfig.model_fields, typer.main.get_command(reader).params, strict=True))


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    """Make the parameter from which Typer makes the option of a setting."""
    from bah_mllm.pipeline.config import OPTION_OF_SETTING, Unset

    option = OPTION_OF_SETTING.get(name, name)
    unset = next((one.words for one in field.metadata if isinstance(one, Unset)), True)
    # With its flag given, Typer adds no --no-... to a setting that is off by default.
    info = typer.Option(f"--{option.replace('_', '-')}", help=_help(field), show_default=unset)
    default = field.default
    if isinstance(default, tuple):
        default = list(default)
    elif isinstance(default, Enum):
        default = default.value
    kind: Any = _kind(field.annotation)
    return inspect.Parameter(
        option,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind if default is not None else kind | None, info],
    )


def _kind(annotation: Any) -> Any:  # noqa: ANN401 - types of all kinds
    """Return the type that Typer reads an option as; whether a value fits, ``RunConfig`` tells."""
    if get_origin(annotation) is tuple:
        return list[str]
    types = [part for part in get_args(annotation) or (annotation,) if part is not NoneType]
    return types[0] if types[0] in (bool, int) else str


def _help(field: FieldInfo) -> str:
    choices, text = _choices(field.annotation), field.description or ""
    if all(re.search(rf"\b{re.escape(choice)}\b", text) for choice in choices):
        return text
    head, mark, tail = text.partition(";")
    return f"{head.removesuffix('.')}: {one_of(choices)}{mark or '.'}{tail}"


def _choices(annotation: Any) -> tuple[str, ...]:  # noqa: ANN401 - types of all kinds
    """Return the values of a closed list, alone, optional or repeated; none where any text will do."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return tuple(choice.value for choice in annotation)
    return tuple(choice for part in get_args(annotation) for choice in _choices(part))
