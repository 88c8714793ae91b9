"""The engine without a model, and the small machinery around engines."""

from __future__ import annotations

import json
import math
import time

import pytest

from bah_mllm.core.errors import ConfigError, OutOfMemoryError
from bah_mllm.engines import EngineOptions, load_engine
from bah_mllm.engines.batching import is_out_of_memory
from bah_mllm.engines.lru import Lru


def scripted(tmp_path, **script):
    path = tmp_path / "script.json"
    path.write_text(json.dumps(script), encoding="utf-8")
    return load_engine("scripted", EngineOptions(model=str(path)))


def test_scores_depend_on_video_window_prompt_and_seed(make_job):
    def score(seed=0, **job):
        engine = load_engine("scripted", EngineOptions(seed=seed))
        return engine.score([make_job(**job)])[0][0].logp["Ambivalent"]

    base = {"texts": ["one?"]}
    values = [score(**base), score(start=8, **base), score(video_id="b.mp4", **base), score(texts=["two?"])]
    values.append(score(seed=1, **base))
    assert len(set(values)) == 5
    assert score(**base) == values[0]


def test_a_rule_sets_the_share_of_positive_labels(tmp_path, make_job):
    rules = [{"prompt": "p0", "p_positive": 0.8}, {"video_id": "b.mp4", "p_positive": 0.0}]
    engine = scripted(tmp_path, rules=rules)
    labels = {"yes": 1, "maybe": 1, "no": 0}
    first, second = engine.score([make_job(texts=["a", "b"], video_id="b.mp4", labels=labels)])[0]
    p = {label: math.exp(value) for label, value in first.logp.items()}
    assert p["yes"] == p["maybe"]
    assert (p["yes"] + p["maybe"]) / sum(p.values()) == pytest.approx(0.8)
    assert 0 < math.exp(second.logp["yes"]) < 1e-10


def test_a_rule_sets_the_reply_and_the_limit_cuts_it(tmp_path, make_job):
    engine = scripted(tmp_path, rules=[{"prompt": "p0", "reply": "I would say Ambivalent"}])
    first, second = engine.generate([make_job(texts=["a", "b"])], max_new_tokens=3)[0]
    assert first.reply == "I would say"
    assert second.reply in ("Ambivalent", "Non-Ambivalent")


def test_the_likeliest_label_is_the_reply(make_job):
    engine = load_engine("scripted")
    job = make_job()
    for score, reply in zip(engine.score([job])[0], engine.generate([job], max_new_tokens=3)[0], strict=True):
        assert score.logp[reply.reply] == max(score.logp.values())


def test_a_script_can_ask_for_clips_and_take_its_time(tmp_path, make_job):
    engine = scripted(tmp_path, sees_video=True, frame_size_px=224, seconds_per_job=0.05)
    assert engine.capabilities.sees_video
    assert engine.capabilities.frame_size_px == 224
    start = time.monotonic()
    engine.score([make_job(0), make_job(8)])
    assert time.monotonic() - start >= 0.1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"see_video": true}', "see_video"),
        ('{"rules": [{"p_positive": 2}]}', r"rules\.0\.p_positive"),
        ("[]", "should be an object"),
        ("\xff\xfe not json", "not UTF-8 at byte 0"),
    ],
)
def test_a_wrong_script_is_refused_with_the_place(content, words, tmp_path):
    (tmp_path / "s.json").write_text(content, encoding="latin-1")
    with pytest.raises(ConfigError, match=words):
        load_engine("scripted", EngineOptions(model=str(tmp_path / "s.json")))


def test_a_script_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read") as error:
        load_engine("scripted", EngineOptions(model=str(tmp_path / "none.json")))
    assert "text, video, or a JSON file" in error.value.remedy


def test_memory_running_out_is_told_from_other_errors():
    import torch

    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(OutOfMemoryError("full", remedy="Use less."))
    assert not is_out_of_memory(RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**60)  # what torch raises on a CPU
    assert is_out_of_memory(error.value)


def test_what_was_not_used_for_longest_is_forgotten_first():
    cache: Lru[str, bytes] = Lru(max_size=10, size_of=len)
    for key in "abc":
        cache.put(key, b"1234")
    assert [cache.get(key) for key in "abc"] == [None, b"1234", b"1234"]
    cache.get("b")
    cache.put("d", b"1")
    cache.put("e", b"12")
    assert [cache.get(key) is not None for key in "bcde"] == [True, False, True, True]
    cache.put("b", b"")  # in place of an earlier value
    cache.put("f", b"1234567")
    assert [cache.get(key) is not None for key in "bdef"] == [True, True, True, True]
    cache.put("huge", b"x" * 11)
    assert cache.get("huge") is None
    assert [cache.get(key) is not None for key in "bdef"] == [True, True, True, True]
