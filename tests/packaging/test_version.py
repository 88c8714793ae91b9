"""One version, wherever it is written."""

import re
import tomllib
from pathlib import Path

import yaml

CHECKOUT = Path(__file__).parents[2]


def test_the_newest_changes_and_the_citation_are_of_the_version_that_is_built() -> None:
    version = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    headings = re.findall(r"^## (\S+)", (CHECKOUT / "CHANGELOG.md").read_text("utf-8"), flags=re.MULTILINE)
    assert headings[0] == version
    assert yaml.safe_load((CHECKOUT / "CITATION.cff").read_text("utf-8"))["version"] == version
