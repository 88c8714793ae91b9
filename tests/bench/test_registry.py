"""The list of benchmarks: one place that the command, its help and its errors read."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bah_mllm.bench import BENCHES, OF_SUPERVISED
from bah_mllm.core.loading import load_named


def test_the_help_names_every_benchmark(bah):
    code, out, _ = bah("bench", "--help")
    assert code == 0
    assert f"One of: {', '.join(BENCHES)}." in " ".join(out.split())


def test_an_unknown_benchmark_is_refused_with_what_there_is(bah):
    code, _, err = bah("bench", "engin")
    assert code == 2
    assert "no benchmark named 'engin'" in err
    assert "Did you mean 'engine'?" in err
    assert all(name in err for name in BENCHES)


@pytest.mark.parametrize("name", BENCHES)
def test_every_benchmark_is_there_and_documented(name):
    measure = load_named(BENCHES, name, kind="benchmark")
    assert measure.__module__ == BENCHES[name].partition(":")[0]
    assert measure.__doc__


def test_those_that_need_the_supervised_half_are_those_whose_modules_train():
    for name in BENCHES:
        load_named(BENCHES, name, kind="benchmark")
    trains = {name for name, path in BENCHES.items() if hasattr(sys.modules[path.partition(":")[0]], "fit")}
    assert trains == set(OF_SUPERVISED)


def test_the_list_is_read_without_what_the_benchmarks_take():
    heavy = "{'torch', 'numpy', 'av', 'sklearn', 'mediapipe'}"
    code = f"import sys, bah_mllm.bench; print(sorted({heavy} & sys.modules.keys()))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
