"""Loading of optional packages and of classes named in registries, on first use."""

from __future__ import annotations

import importlib
import importlib.util
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, TypeVar

from bah_mllm.core.errors import ConfigError, PrerequisiteError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

__all__ = ["find_named", "import_optional", "is_installed", "load_named", "load_object"]

Entry = TypeVar("Entry")


def is_installed(package: str) -> bool:
    """Return whether a package can be imported, without importing it."""
    return importlib.util.find_spec(package) is not None


def import_optional(package: str, *, extra: str, purpose: str) -> ModuleType:
    """Import a package of an optional extra.

    Args:
        package: Import name.
        extra: The extra of bah-mllm that installs it.
        purpose: What needs it, as the end of a sentence ("decoding with ...").

    Raises:
        PrerequisiteError: It is not installed.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name and error.name.split(".")[0] != package.split(".", maxsplit=1)[0]:
            raise
        raise PrerequisiteError(
            f"The package {package!r} is not installed, but {purpose} needs it.",
            remedy=f"pip install 'bah-mllm[{extra}]' -c constraints.txt",
        ) from None


def find_named(registry: Mapping[str, Entry], name: str, *, kind: str) -> Entry:
    """Return what a registry holds under a name.

    Raises:
        ConfigError: The name is not in the registry; says what is near and what there is.
    """
    if name not in registry:
        near = get_close_matches(name, registry, n=1)
        hint = f"Did you mean {near[0]!r}? " if near else ""
        raise ConfigError(
            f"There is no {kind} named {name!r}.", remedy=f"{hint}Choose one of: {', '.join(sorted(registry))}."
        )
    return registry[name]


def load_object(path: str) -> Any:  # noqa: ANN401 - classes and functions of any kind
    """Return the object at a path, "module:Object"."""
    module, _, attribute = path.partition(":")
    return getattr(importlib.import_module(module), attribute)


def load_named(registry: Mapping[str, str], name: str, *, kind: str) -> Any:  # noqa: ANN401 - classes of any kind
    """Return the object that a registry ("name" -> "module:Object") names.

    Raises:
        ConfigError: The name is not in the registry; says what is near and what there is.
    """
    return load_object(find_named(registry, name, kind=kind))
