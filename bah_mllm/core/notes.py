"""What must stand beside every result that is no result on real people, or of a model that has seen the answers."""

from __future__ import annotations

__all__ = ["STAND_IN_MODEL", "SYNTHETIC", "learnt_from", "random_features"]

SYNTHETIC = "demo set (synthetic): it shows that everything works, not how well A/H is recognised"
STAND_IN_MODEL = "the model is a stand-in: its scores say nothing about A/H"


def random_features(name: str) -> str:
    """Return the note on a feature set that random weights made."""
    return f"features {name} come from random weights: a stand-in, not a result"


def learnt_from(videos: str) -> str:
    """Return the note on rows of a model that was trained on the videos it is asked about."""
    return f"the model has learnt from {videos}: its rows say nothing of new people"
