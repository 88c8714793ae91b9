"""Files that went wrong for each reader: what it cannot read it refuses, and nothing ends in another error."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bah_mllm.core.errors import BahError
from tests.fuzz.mutations import mutated
from tests.fuzz.sound_files import PREPARED

pytestmark = pytest.mark.slow

_N_FILES = int(os.environ.get("BAH_FUZZ_FILES", "300"))  # for each reader; 10,000 take an hour
_TELLING = ("prompt list", "data check")  # these name what is wrong in what they return


@pytest.mark.parametrize("name", PREPARED)
def test_what_went_wrong_is_read_or_refused(name: str, tmp_path: Path) -> None:
    path, read = PREPARED[name](tmp_path)
    sound = path.read_bytes()
    refusals: list[BahError] = []

    @settings(max_examples=_N_FILES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.integers(0, 2**63))
    def one(seed: int) -> None:
        path.write_bytes(mutated(sound, seed))
        try:
            read(path)
        except BahError as error:
            refusals.append(error)

    one()
    assert refusals or name in _TELLING  # the mishaps reach the reader
    assert all(error.problem and error.remedy and len(error.problem) < 2_000 for error in refusals)
