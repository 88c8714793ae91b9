"""What the paper's tables are made over: data and features of the supervised half's tests."""

from __future__ import annotations

from tests.supervised.adaptation.conftest import demo, features, source
from tests.supervised.conftest import paper_root

__all__ = ["demo", "features", "paper_root", "source"]
