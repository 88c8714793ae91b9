"""Recipes: TOML files that say what is trained, on what and how, with the source of every number.

``read_recipe("lfan")`` reads a shipped one, ``read_recipe("mine.toml")`` a file. Overrides (``--set loop.lr=0.01``)
replace single values; the resolved recipe is kept beside what was trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.loading import load_object
from bah_mllm.core.reading import Refusal, parse_toml, read_toml
from bah_mllm.core.saying import shortened
from supervised.kinds import KINDS
from supervised.training.recipe import Recipe

__all__ = ["list_recipes", "parse_recipe", "read_recipe"]


def list_recipes() -> tuple[str, ...]:
    """Return the names of the shipped recipes, sorted."""
    return tuple(
        sorted(path.name.removesuffix(".toml") for path in _shipped().iterdir() if path.name.endswith(".toml"))
    )


def read_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        name: Of a shipped recipe, or the path of a TOML file.
        overrides: ``key.key=value``, the value as TOML has it; a word that is no TOML value is taken as text.

    Returns:
        A model of the class that ``KINDS`` has for the recipe's kind.

    Raises:
        ConfigError: There is no such recipe, or it is malformed; says where.
    """
    path = Path(name)
    if path.suffix == ".toml":
        if not path.is_file():
            raise ConfigError(f"There is no recipe file {name!r}.", remedy="Check the path given to --recipe.")
    else:
        if name not in list_recipes():
            near = get_close_matches(name, list_recipes(), n=1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise ConfigError(
                f"There is no recipe named {name!r}.",
                remedy=f"{hint}Choose one of: {', '.join(list_recipes())}; or give a .toml file.",
            )
        path = Path(str(_shipped())) / f"{name}.toml"
    content = read_toml(path, Refusal(ConfigError, f"The recipe {name!r}", "Mend it, or start from a shipped one."))
    for override in overrides:
        _override(content, override)
    return parse_recipe(content, where=name)


def parse_recipe(content: dict[str, Any], *, where: str) -> Recipe:
    """Return plain values as a recipe of their kind.

    Raises:
        ConfigError: They are none; says which value is wrong, and where.
    """
    kind = content.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ConfigError(
            f"The recipe {where!r} has kind = {kind!r}.", remedy=f"Choose kind from: {', '.join(sorted(KINDS))}."
        )
    recipe_class = cast("type[Recipe]", load_object(KINDS[kind].recipe))
    try:
        return recipe_class.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        at = f" at {'.'.join(str(part) for part in first['loc'])}" if first["loc"] else ""
        got = "" if isinstance(first["input"], dict) else f" (got {shortened(first['input'])})"
        raise ConfigError(
            f"The recipe {where!r} is wrong{at}: {first['msg'].removeprefix('Value error, ')}{got}.",
            remedy="Mend it, or leave that --set out.",
        ) from None


def _shipped() -> Any:  # noqa: ANN401 - a Traversable
    return files("supervised") / "recipes"


def _override(content: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    *tables, last = key.strip().split(".")
    if not equals or not last:
        raise ConfigError(f"--set {override!r} is not key=value.", remedy="Write it as loop.lr=0.01.")
    try:
        value = parse_toml(f"value = {text}", Refusal(ConfigError, "--set", "Write it as loop.lr=0.01."))["value"]
    except ConfigError:
        value = text.strip()
    if value == "none":  # TOML has no null
        value = None
    inner = content
    for table in tables:
        inner = inner.setdefault(table, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"--set {override!r}: {table!r} is no table.", remedy="Check the recipe's sections.")
    inner[last] = value
