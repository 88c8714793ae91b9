"""Engines: models behind one Protocol (``bah_mllm.core.engine.Engine``). This module stays light: no torch.

How to add one: README.md beside this file.
"""

from bah_mllm.engines.options import EngineOptions
from bah_mllm.engines.registry import (
    ENGINE_FOR_DATA,
    ENGINE_FOR_DEMO_SET,
    ENGINES,
    EngineEntry,
    facts_before_loading,
    find_engine,
    install_command,
    load_engine,
    seeing_engines,
)

__all__ = [
    "ENGINES",
    "ENGINE_FOR_DATA",
    "ENGINE_FOR_DEMO_SET",
    "EngineEntry",
    "EngineOptions",
    "facts_before_loading",
    "find_engine",
    "install_command",
    "load_engine",
    "seeing_engines",
]
