"""Imports what commands take long to import, so that kills fall into work: for processes that are forked from here."""

from importlib import import_module

for _name in (
    "mediapipe",
    "sklearn.ensemble",
    "sklearn.feature_extraction.text",
    "sklearn.linear_model",
    "skops.io",
    "torch",
    "bah_mllm.cli.app",
    "bah_mllm.pipeline.cues",
    "bah_mllm.pipeline.zero_shot",
    "supervised.features.command",
    "supervised.flows.adapt",
    "supervised.flows.predict",
    "supervised.flows.train",
    "supervised.fusion.train",
    "supervised.light.train",
    "tests.robustness.worlds",
):
    import_module(_name)
