"""The command line: thin commands over the pipeline. ``main`` is the entry point ``bah-mllm``."""

from bah_mllm.cli.app import main

__all__ = ["main"]
