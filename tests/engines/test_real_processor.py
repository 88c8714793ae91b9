"""The library's own video processor, which needs torchvision, in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).parents[2]

SCRIPT = """
import json, sys
import numpy as np, torch
# The wheel of torchvision is built for CUDA; beside a torch for CPUs its import misses two operators nobody calls here.
library = torch.library.Library("torchvision", "DEF")
library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
from transformers import AutoProcessor, VideoLlavaForConditionalGeneration
from transformers.models.video_llava.video_processing_video_llava import VideoLlavaVideoProcessor

folder, frames, text, labels = sys.argv[1], np.load(sys.argv[2]), sys.argv[3], sys.argv[4:]
processor = AutoProcessor.from_pretrained(folder)
assert isinstance(processor.video_processor, VideoLlavaVideoProcessor), type(processor.video_processor)
model = VideoLlavaForConditionalGeneration.from_pretrained(folder)
prompt = f"USER: <video>\\n{text} ASSISTANT:"
n_prompt = processor(text=prompt, videos=frames, return_tensors="pt").input_ids.shape[1]
logp = {}
for label in labels:
    inputs = processor(text=f"{prompt} {label}", videos=frames, return_tensors="pt")
    with torch.no_grad():
        scores = model(**inputs).logits[0].log_softmax(-1)
    ids = inputs.input_ids[0]
    logp[label] = sum(float(scores[i - 1, ids[i]]) for i in range(n_prompt, len(ids)))
np.save(sys.argv[2] + ".pixels.npy", inputs["pixel_values_videos"].numpy())
print(json.dumps(logp))
"""


@pytest.mark.slow
def test_scores_equal_those_of_the_real_processor_and_a_plain_pass(tmp_path, load, make_job, checkpoints):
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (site / "the_environment_of_the_tests.pth").write_text(sysconfig.get_path("purelib"), encoding="utf-8")
    pip = [python, "-m", "pip", "install", "--quiet", "--no-deps", "torchvision==0.28.0"]
    subprocess.run(pip, check=True, timeout=300)

    job = make_job(0, ["What is it?"])
    engine = load("video-llava")
    np.save(tmp_path / "frames.npy", job.clip.frames)
    command = [python, "-W", "ignore", "-c", SCRIPT, checkpoints["video"], tmp_path / "frames.npy", "What is it?"]
    result = subprocess.run(
        [*command, *job.prompts[0].labels],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(REPOSITORY)},
    )
    assert result.returncode == 0, result.stderr
    expected = json.loads(result.stdout.strip().splitlines()[-1])
    assert dict(engine.score([job])[0][0].logp) == pytest.approx(expected, abs=1e-4)
    pixels = np.load(tmp_path / "frames.npy.pixels.npy")[0]
    assert np.abs(engine._preprocessing.apply(job.clip.frames).numpy() - pixels).max() < 1e-5
