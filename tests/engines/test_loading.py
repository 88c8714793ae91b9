"""Finding and loading checkpoints, and what is said when that fails."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import VideoLlavaImageProcessor

from bah_mllm.core.errors import BahError, ConfigError, EngineError, PrerequisiteError
from bah_mllm.core.records import Status
from bah_mllm.engines import EngineOptions, load_engine
from bah_mllm.engines.loading import choose_device, choose_dtype, context_length, find_checkpoint
from bah_mllm.engines.video_llava import Preprocessing

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.malformed
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dtype": "int8"}, "dtype cannot be 'int8'"),
        ({"quantize": "2bit"}, "quantize cannot be '2bit'"),
        ({"attention": "flash"}, "attention cannot be 'flash'"),
        ({"chat_template": "yes"}, "chat_template cannot be 'yes'"),
        ({"device": "gpu"}, "device cannot be 'gpu'"),
        ({"batch_windows": 0}, "batch_windows must be at least 1, but is 0"),
        ({"n_frames": -8}, "n_frames must be at least 1, but is -8"),
    ],
)
def test_an_impossible_option_is_refused_with_its_value(options, words):
    with pytest.raises(ConfigError, match=words):
        EngineOptions(**options)


def test_an_unknown_engine_is_refused_with_the_nearest():
    with pytest.raises(ConfigError, match="no engine named 'video-lava'") as error:
        load_engine("video-lava")
    assert "Did you mean 'video-llava'?" in error.value.remedy


@pytest.mark.parametrize(("engine", "options"), [("text", {"wrapper": "hf"}), ("video-llava", {"wrapper": "vicuna"})])
def test_an_unknown_wrapper_is_refused_before_anything_is_loaded(engine, options):
    with pytest.raises(ConfigError, match="no wrapper"):
        load_engine(engine, EngineOptions(model="not there", **options))


def test_a_chat_template_cannot_be_had_from_a_tokenizer_without_one(load):
    with pytest.raises(ConfigError, match="has no chat template"):
        load("text-raw", chat_template="chat")


@pytest.mark.parametrize("model", ["no/such/folder", "./missing", "missing.gguf", "smolm2", "../../etc/passwd"])
def test_a_model_that_is_not_there_is_refused_with_what_there_is(model):
    with pytest.raises(PrerequisiteError, match="There is no model") as error:
        find_checkpoint(model, revision=None)
    assert "smollm2" in error.value.remedy


def test_pickled_weights_are_refused(tmp_path, checkpoints):
    shutil.copytree(checkpoints["raw"], tmp_path / "m")
    weights = tmp_path / "m" / "model.safetensors"
    torch.save(load_file(weights), tmp_path / "m" / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(PrerequisiteError, match=r"no \.safetensors file") as error:
        load_engine("text", EngineOptions(model=str(tmp_path / "m")))
    assert "pickles" in error.value.remedy


def _truncate(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])


def _drop_a_tensor(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors[next(name for name in sorted(tensors) if name.endswith("q_proj.weight"))]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def _break_config(folder: Path) -> None:
    (folder / "config.json").write_text("{not json", encoding="utf-8")


def _drop_tokenizer(folder: Path) -> None:
    for file in folder.glob("tokenizer*"):
        file.unlink()


@pytest.mark.parametrize("kind", ["raw", "video"])
@pytest.mark.parametrize("damage", [_truncate, _drop_a_tensor, _break_config, _drop_tokenizer])
def test_a_damaged_checkpoint_is_refused(kind, damage, tmp_path, checkpoints):
    folder = shutil.copytree(checkpoints[kind], tmp_path / "m")
    damage(folder)
    with pytest.raises(BahError) as error:
        load_engine("text" if kind == "raw" else "video-llava", EngineOptions(model=str(folder)))
    assert isinstance(error.value, (EngineError, PrerequisiteError))
    assert str(folder) in error.value.problem or "m lacks" in error.value.problem


def test_a_checkpoint_of_another_kind_is_refused(checkpoints):
    with pytest.raises(EngineError, match="of the kind 'llama', not 'video_llava'"):
        load_engine("video-llava", EngineOptions(model=str(checkpoints["raw"])))
    with pytest.raises(EngineError, match="cannot be loaded"):
        load_engine("text", EngineOptions(model=str(checkpoints["video"])))


def test_a_cuda_device_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert choose_device("auto") == torch.device("cuda:0")
    assert choose_device("cuda") == torch.device("cuda")
    with pytest.raises(PrerequisiteError, match="cuda:1 is not there: torch sees 1"):
        choose_device("cuda:1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(PrerequisiteError, match="sees 0 CUDA devices"):
        choose_device("cuda")


def test_auto_is_half_precision_on_cuda_only():
    assert choose_dtype("auto", torch.device("cuda")) is torch.bfloat16
    assert choose_dtype("auto", torch.device("cpu")) is torch.float32
    assert choose_dtype("float16", torch.device("cpu")) is torch.float16


@pytest.mark.parametrize("kind", ["text-raw", "video-llava"])
def test_bfloat16_moves_scores_a_little_only(kind, load, make_job):
    full, half = load(kind), load(kind, dtype="bfloat16")
    assert half.describe()["dtype"] == "bfloat16"
    for one, other in zip(full.score([make_job(0)])[0], half.score([make_job(0)])[0], strict=True):
        assert dict(one.logp) == pytest.approx(dict(other.logp), abs=0.5)
        assert one.logp != other.logp


def test_the_context_is_limited_by_a_sliding_window():
    from transformers import LlamaConfig, MistralConfig, Qwen2Config

    assert context_length(LlamaConfig(max_position_embeddings=100)) == 100
    assert context_length(MistralConfig(max_position_embeddings=100, sliding_window=30)) == 30
    assert context_length(Qwen2Config(max_position_embeddings=100, sliding_window=30, use_sliding_window=False)) == 100


def test_frames_are_normalised_as_the_library_does(checkpoints):
    frames = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 3), dtype=np.uint8)
    processor = VideoLlavaImageProcessor.from_pretrained(checkpoints["video"])
    expected = processor(images=list(frames), return_tensors="pt", return_legacy_image_output=False)["pixel_values"]
    found = Preprocessing.of(find_checkpoint(str(checkpoints["video"]), revision=None)).apply(frames)
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711])[:, None, None]
    assert found.shape == (3, 3, 28, 28)
    assert float(((found - expected) * std).abs().max()) < 1 / 255 / 100


def test_means_are_read_from_the_files_of_older_checkpoints(tmp_path, checkpoints):
    folder = shutil.copytree(checkpoints["video"], tmp_path / "m")
    (folder / "processor_config.json").unlink()
    checkpoint = find_checkpoint(str(folder), revision=None)
    with pytest.raises(EngineError, match="does not say how frames are normalised"):
        Preprocessing.of(checkpoint)
    settings = {"image_mean": [0.1, 0.2, 0.3], "image_std": [1, 2, 4], "rescale_factor": 1}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings), encoding="utf-8")
    pixels = Preprocessing.of(checkpoint).apply(np.full((1, 1, 1, 3), 10, dtype=np.uint8))
    assert pixels.flatten().tolist() == pytest.approx([9.9, 4.9, 2.425])


def test_a_window_with_another_number_of_frames_fails(load, make_job):
    good = make_job(0)
    other = load("video-llava", n_frames=4)
    for answer in other.score([good])[0]:
        assert answer.failure[0] is Status.ENGINE_ERROR
        assert "(4, 28, 28, 3), not uint8 of shape (8, 28, 28, 3)" in answer.failure[1]


def test_another_number_of_frames_can_be_taken(load, make_job):
    from dataclasses import replace

    job = make_job(0)
    clip = replace(job.clip, frames=job.clip.frames[:4], indices=job.clip.indices[:4], t_s=job.clip.t_s[:4])
    engine = load("video-llava", n_frames=4)
    assert all(answer.failure is None for answer in engine.score([replace(job, clip=clip)])[0])
    assert engine.describe()["n_prefix_tokens"] == 4 * 5 + 3


HUB_SCRIPT = """
import sys
from bah_mllm.core.errors import BahError
from bah_mllm.engines import EngineOptions, load_engine
for model in ("someone/tiny", "someone/absent"):
    try:
        engine = load_engine("video-llava", EngineOptions(model=model))
        print(engine.model, engine.describe()["revision"])
    except BahError as error:
        print(type(error).__name__, error.problem, "|", error.remedy)
"""


@pytest.mark.slow
def test_a_hub_model_is_taken_from_the_cache_and_its_commit_recorded(tmp_path, checkpoints):
    commit = "0123456789abcdef0123456789abcdef01234567"
    folder = tmp_path / "models--someone--tiny"
    shutil.copytree(checkpoints["video"], folder / "snapshots" / commit)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit, encoding="utf-8")
    environment = os.environ | {"HF_HUB_CACHE": str(tmp_path), "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(REPOSITORY)}
    result = subprocess.run(
        [sys.executable, "-c", HUB_SCRIPT], env=environment, capture_output=True, text=True, check=True, timeout=300
    )
    found, absent = result.stdout.strip().splitlines()
    assert found == f"tiny {commit}"
    assert absent.startswith("PrerequisiteError The configuration of someone/absent is neither in the cache")
    assert "`hf download someone/absent`" in absent


def test_the_light_modules_load_neither_torch_nor_transformers():
    program = (
        "import sys, bah_mllm.engines, bah_mllm.engines.scripted, bah_mllm.engines.models as m; m.list_models();"
        "m.cache_root(); print(sorted({'torch', 'transformers', 'pandas', 'av'} & set(sys.modules)))"
    )
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    result = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, timeout=300
    )
    assert result.stdout.strip() == "[]"


def test_a_missing_package_is_named_with_the_extra_that_brings_it(monkeypatch):
    for module in ("bah_mllm.engines.text", "bah_mllm.engines.loading", "bah_mllm.engines.language_model"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(PrerequisiteError, match="'transformers' is not installed") as error:
        load_engine("text")
    assert "bah-mllm[llm]" in error.value.remedy
