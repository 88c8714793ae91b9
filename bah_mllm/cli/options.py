"""Options that several commands take: all settings of a run, made from ``RunConfig``, and a few by themselves.

A setting of a run is written once, as a field of ``RunConfig``: its option has the field's type, default and
description.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import typer

from bah_mllm.pipeline.config import OPTION_OF_SETTING, RunConfig, Unset, one_of

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

__all__ = ["Data", "Features", "Json", "Root", "Seeds", "Split", "given_settings", "takes_run_settings"]

Root = Annotated[str | None, typer.Argument(help="Data set root, manifest or folder.", show_default="the demo set")]
Data = Annotated[str | None, typer.Option(help="Data set.", show_default="the demo set")]
Split = Annotated[str | None, typer.Option(help="Split.", show_default="test, or everything")]
Features = Annotated[Path, typer.Option(help="Folder that `bah-mllm features` wrote.")]
Seeds = Annotated[str, typer.Option(help="Seeds as A:B (half open), or A,B,C.")]
Json = Annotated[str | None, typer.Option("--json", help="Write JSON to PATH, - for stdout.")]


def takes_run_settings(command: Callable[..., int]) -> Callable[..., int]:
    """Give a command an option for every setting of a run, before its own ``--config``, which stands for all of them.

    Typer reads the options of a command from its signature: the settings take the place of ``**settings`` there.
    ``given_settings`` then tells those that were given.
    """
    signature = inspect.signature(command, eval_str=True)
    parameters = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    at = [p.name for p in parameters].index("config")
    parameters[at:at] = [_parameter(name, field) for name, field in RunConfig.model_fields.items()]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return command


def given_settings(context: typer.Context) -> dict[str, Any]:
    """Return the settings of a run that stand on the command line, by their names in ``RunConfig``."""
    options = {name: OPTION_OF_SETTING.get(name, name) for name in RunConfig.model_fields}
    return {name: context.params[option] for name, option in options.items() if _is_given(context, option)}


def _is_given(context: typer.Context, option: str) -> bool:
    source = context.get_parameter_source(option)
    return source is not None and source.name != "DEFAULT"


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    """Make the parameter from which Typer makes the option of a setting."""
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
