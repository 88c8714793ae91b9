"""Scores against plain, independent passes of the same models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BloomConfig,
    BloomForCausalLM,
    DynamicCache,
    MambaConfig,
    MambaForCausalLM,
    VideoLlavaForConditionalGeneration,
    VideoLlavaImageProcessor,
)

from bah_mllm.core.errors import EngineError
from bah_mllm.core.records import Status
from bah_mllm.engines.packed import PackedPrompt, check_packing, score_packed
from bah_mllm.engines.tiny import tiny_video_llava

ENDINGS = {"raw": ("", ""), "chat": ("<s>USER: ", "\nASSISTANT:")}


def full_pass(model, tokenizer, before, label, *, end=False, **inputs):
    """Log-probability of a label by one plain pass over the whole text: nothing shared, nothing packed."""
    prompt = tokenizer(before, add_special_tokens=not before.startswith("<s>")).input_ids
    tokens = tokenizer(f"{before} {label}", add_special_tokens=not before.startswith("<s>")).input_ids
    tokens += [tokenizer.eos_token_id] if end else []
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([tokens]), **inputs).logits[0]
    logp = logits.double().log_softmax(-1)
    return sum(float(logp[i - 1, tokens[i]]) for i in range(len(prompt), len(tokens)))


@pytest.fixture(scope="module")
def text_models(checkpoints):
    return {
        kind: (
            AutoModelForCausalLM.from_pretrained(checkpoints[kind]),
            AutoTokenizer.from_pretrained(checkpoints[kind]),
        )
        for kind in ("raw", "chat")
    }


@pytest.fixture(scope="module")
def video_model(checkpoints):
    folder = checkpoints["video"]
    return VideoLlavaForConditionalGeneration.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("kind", ["raw", "chat"])
@pytest.mark.parametrize(("batch", "cap"), [(1, 1024), (3, 1024), (3, 1), (2, 90)])
def test_text_scores_equal_full_passes(kind, batch, cap, load, make_job, text_models):
    model, tokenizer = text_models[kind]
    jobs = [make_job(0), make_job(4), make_job(3, ["odd one?"])]
    answers = load(f"text-{kind}", batch_windows=batch, max_packed_tokens=cap).score(jobs)
    before, after = ENDINGS[kind]
    for job, row in zip(jobs, answers, strict=True):
        for prompt, answer in zip(job.prompts, row, strict=True):
            for label, value in answer.logp.items():
                expected = full_pass(model, tokenizer, before + prompt.text + after, label)
                assert value == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("batch", "cap", "attention"), [(1, 1024, "sdpa"), (3, 1024, "sdpa"), (3, 70, "sdpa"), (2, 1, "eager")]
)
def test_video_scores_equal_full_passes(batch, cap, attention, load, make_job, video_model):
    model, tokenizer = video_model
    jobs = [make_job(0), make_job(4), make_job(9, ["odd one?"])]
    answers = load("video-llava", batch_windows=batch, max_packed_tokens=cap, attention=attention).score(jobs)
    for job, row in zip(jobs, answers, strict=True):
        for prompt, answer in zip(job.prompts, row, strict=True):
            before = f"USER: {'<video>' * 40}\n{prompt.text} ASSISTANT:"
            for label, value in answer.logp.items():
                expected = full_pass(model, tokenizer, before, label, pixel_values_videos=library_pixels(job.clip))
                assert value == pytest.approx(expected, abs=1e-4)


def test_without_a_clip_the_same_words_are_scored_without_the_videos_tokens(load, make_job, video_model):
    model, tokenizer = video_model
    seen, unseen = make_job(0), replace(make_job(4), clip=None)
    engine = load("video-llava", batch_windows=2)
    answers = engine.score([unseen, seen])
    assert answers[1] == load("video-llava").score([seen])[0]
    video = tokenizer.convert_tokens_to_ids("<video>")
    for prompt, answer in zip(unseen.prompts, answers[0], strict=True):
        before = f"USER: <video>\n{prompt.text} ASSISTANT:"
        for label, value in answer.logp.items():
            asked = [token for token in tokenizer(before).input_ids if token != video]
            tokens = [token for token in tokenizer(f"{before} {label}").input_ids if token != video]
            with torch.no_grad():
                logp = model(input_ids=torch.tensor([tokens])).logits[0].double().log_softmax(-1)
            expected = sum(float(logp[i - 1, tokens[i]]) for i in range(len(asked), len(tokens)))
            assert value == pytest.approx(expected, abs=1e-4)
    replies = engine.generate([unseen, seen], max_new_tokens=3)
    assert replies[1] == load("video-llava").generate([seen], max_new_tokens=3)[0]
    assert all(answer.reply is not None for answer in replies[0])


def library_pixels(clip, size=28):
    """Frames through the library's own image processor: shape (1, frames, 3, size, size)."""
    processor = VideoLlavaImageProcessor(size={"shortest_edge": size}, crop_size={"height": size, "width": size})
    pixels = processor(images=list(clip.frames), return_tensors="pt", return_legacy_image_output=False)
    return pixels["pixel_values"].unsqueeze(0)


def test_a_full_size_video_of_2056_tokens_scores_as_a_full_pass(tmp_path, load, make_job):
    folder = tiny_video_llava(tmp_path, seed=5, image_size=224)
    frames = np.random.default_rng(1).integers(0, 256, (8, 224, 224, 3), dtype=np.uint8)
    job = make_job(0, ["What now?"], frames=frames)
    engine = load("video-llava", model=str(folder))
    assert engine.describe()["n_prefix_tokens"] == 2056 + 3  # with <s>, "USER:" and the space after it
    ((answer,),) = engine.score([job])
    model, tokenizer = VideoLlavaForConditionalGeneration.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    before = f"USER: {'<video>' * 2056}\nWhat now? ASSISTANT:"
    pixels = library_pixels(job.clip, size=224)
    for label, value in answer.logp.items():
        expected = full_pass(model, tokenizer, before, label, pixel_values_videos=pixels)
        assert value == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("kind", ["text-raw", "video-llava"])
def test_labels_of_which_one_begins_another_end_with_the_end_token(kind, load, make_job, text_models, video_model):
    labels = {"Ambivalent": 1, "Ambivalent not": 0, "No": 0}
    job = make_job(0, ["How is it?"], labels=labels)
    ((answer,),) = load(kind).score([job])
    if kind == "text-raw":
        (model, tokenizer), before, inputs = text_models["raw"], "How is it?", {}
    else:
        (model, tokenizer), before = video_model, f"USER: {'<video>' * 40}\nHow is it? ASSISTANT:"
        inputs = {"pixel_values_videos": library_pixels(job.clip)}
    for label in labels:
        expected = full_pass(model, tokenizer, before, label, end=True, **inputs)
        assert answer.logp[label] == pytest.approx(expected, abs=1e-4)


def test_text_replies_equal_those_of_plain_generate(load, make_job, text_models):
    model, tokenizer = text_models["raw"]
    jobs = [make_job(0), make_job(3, ["odd one?"])]
    answers = load("text-raw", batch_windows=3).generate(jobs, max_new_tokens=7)
    for job, row in zip(jobs, answers, strict=True):
        for prompt, answer in zip(job.prompts, row, strict=True):
            inputs = tokenizer(prompt.text, return_tensors="pt")
            output = model.generate(**inputs, max_new_tokens=7, do_sample=False)[0, inputs.input_ids.shape[1] :]
            assert answer.reply == tokenizer.decode(output, skip_special_tokens=True).strip()


def test_video_replies_equal_those_of_plain_generate(load, make_job, video_model):
    model, tokenizer = video_model
    jobs = [make_job(0), make_job(6, ["odd one?"])]
    answers = load("video-llava", batch_windows=3).generate(jobs, max_new_tokens=7)
    for job, row in zip(jobs, answers, strict=True):
        for prompt, answer in zip(job.prompts, row, strict=True):
            inputs = tokenizer(f"USER: {'<video>' * 40}\n{prompt.text} ASSISTANT:", return_tensors="pt")
            output = model.generate(
                **inputs, pixel_values_videos=library_pixels(job.clip), max_new_tokens=7, do_sample=False
            )[0, inputs.input_ids.shape[1] :]
            assert answer.reply == tokenizer.decode(output, skip_special_tokens=True).strip()


def test_a_reply_stops_at_the_end_token(load, make_job):
    engine = load("text-raw")
    with torch.no_grad():  # a model that wants to say </s> (token 2) and nothing else
        engine._language_model.model.lm_head.weight.zero_()
        engine._language_model.model.lm_head.weight[2] += 1.0
        engine._language_model.model.model.norm.weight.abs_()
        engine._language_model.model.model.norm.register_forward_hook(lambda *_: torch.ones(_[2].shape))
    ((answer, *_),) = engine.generate([make_job(0)], max_new_tokens=50)
    assert answer.reply == ""
    assert engine.counters["tokens_generated"] == 4  # one for each prompt


def test_frames_are_encoded_once_and_prefixes_prefilled_once_per_window(load, make_job):
    engine = load("video-llava", batch_windows=2)
    engine.score([make_job(0), make_job(4), make_job(8)])  # frames 0 to 15
    assert engine.counters["vision_encodes"] == 16
    assert engine.counters["vision_reused"] == 8
    assert engine.counters["prefix_prefills"] == 3
    engine.score([make_job(6)])
    assert engine.counters["vision_encodes"] == 16
    assert engine.counters["vision_reused"] == 16


def test_reused_frames_give_the_same_scores(load, make_job):
    engine = load("video-llava")
    engine.score([make_job(0), make_job(8)])
    again = engine.score([make_job(4)])
    fresh = load("video-llava").score([make_job(4)])
    for one, other in zip(again[0], fresh[0], strict=True):
        assert dict(one.logp) == pytest.approx(dict(other.logp), abs=1e-5)


def test_other_pixels_under_the_same_frame_number_are_not_mixed_up(load, make_job):
    black = np.zeros((64, 28, 28, 3), dtype=np.uint8)
    engine = load("video-llava")
    engine.score([make_job(0)])
    ((found, *_),) = engine.score([make_job(0, frames=black)])
    ((expected, *_),) = load("video-llava").score([make_job(0, frames=black)])
    assert dict(found.logp) == pytest.approx(dict(expected.logp), abs=1e-5)


def test_prompts_share_the_work_of_what_they_share(load, make_job, checkpoints):
    """Tokens fed: the video once, each distinct beginning once."""
    engine = load("video-llava")
    tokenizer = AutoTokenizer.from_pretrained(checkpoints["video"])
    job = make_job(0, ["Classify the emotion in one word:", "Classify the emotion in two words:"])
    engine.score([job])
    texts = [f"USER: <video>\n{prompt.text} ASSISTANT: {label}" for prompt in job.prompts for label in prompt.labels]
    fed = {tuple(ids[:n]) for ids in tokenizer(texts).input_ids for n in range(1, len(ids))}
    assert engine.counters["tokens_fed"] == len(fed) + 39  # <video> is 40 tokens


def test_prompts_asked_before_are_answered_from_memory(load, make_job):
    engine = load("text-raw", batch_windows=2)
    same = ["What is it?", "Why is it?"]
    answers = engine.score([make_job(start, same) for start in (0, 8, 16)])
    assert answers[0] == answers[1] == answers[2]
    assert engine.counters["prompts_scored"] == 2
    assert engine.counters["prompts_reused"] == 4
    engine.score([make_job(0, same[:1], labels={"yes": 1, "no": 0})])  # other labels are another question
    assert engine.counters["prompts_scored"] == 3


def test_replies_given_before_are_given_from_memory_for_the_same_length_only(load, make_job):
    engine = load("text-raw")
    first = engine.generate([make_job(start, ["What is it?"]) for start in (0, 8)], max_new_tokens=4)
    assert first[0] == first[1]
    assert engine.counters["prompts_reused"] == 1
    n_generated = engine.counters["tokens_generated"]
    engine.generate([make_job(0, ["What is it?"])], max_new_tokens=4)
    assert engine.counters["tokens_generated"] == n_generated
    engine.generate([make_job(0, ["What is it?"])], max_new_tokens=5)
    assert engine.counters["tokens_generated"] > n_generated
    assert engine.score([make_job(0, ["What is it?"])])[0][0].logp is not None


def test_scores_that_are_not_numbers_are_failures(load, make_job):
    engine = load("text-raw")
    with torch.no_grad():
        engine._language_model.model.lm_head.weight[300] = float("nan")
    ((answer,),) = engine.score([make_job(0, ["What is it?"])])
    assert answer.failure == (Status.ENGINE_ERROR, "the scores are not numbers; another dtype may help")


def test_a_cache_is_given_back_as_it_was_even_after_an_error(text_models, monkeypatch):
    model, _ = text_models["raw"]
    cache = DynamicCache(config=model.config)
    with torch.no_grad():
        model(input_ids=torch.tensor([[1, 300, 301]]), past_key_values=cache, use_cache=True)
    prompts = [PackedPrompt((310, 311), ((320, 321), (330,)))]
    first = score_packed(model, [prompts], cache=cache)
    with monkeypatch.context() as patch:

        def fail(*_, **__):
            raise torch.OutOfMemoryError("halfway")

        patch.setattr(model.model.layers[1], "forward", fail)
        with pytest.raises(torch.OutOfMemoryError):
            score_packed(model, [prompts], cache=cache)
    assert [layer.get_seq_length() for layer in cache.layers] == [3, 3]
    assert score_packed(model, [prompts], cache=cache) == first


def test_a_row_without_prompts_is_left_alone(text_models):
    model, _ = text_models["raw"]
    prompts = [PackedPrompt((310, 311), ((320,), (330,)))]
    assert score_packed(model, [[], prompts, []]) == [[], *score_packed(model, [prompts]), []]
    assert score_packed(model, []) == []


@pytest.mark.parametrize(
    "model",
    [
        MambaForCausalLM(MambaConfig(vocab_size=64, hidden_size=32, num_hidden_layers=1, state_size=4)),
        BloomForCausalLM(BloomConfig(vocab_size=64, hidden_size=32, n_layer=1, n_head=2)),
    ],
    ids=["recurrent state", "positions from the mask"],
)
def test_models_that_cannot_be_scored_in_packs_are_refused(model):
    with pytest.raises(EngineError, match="in packs"):
        check_packing(model.eval())


@pytest.mark.parametrize("ignored", ["attention_mask", "position_ids"])
def test_a_model_that_silently_ignores_the_layout_is_refused(ignored, checkpoints, monkeypatch):
    model = AutoModelForCausalLM.from_pretrained(checkpoints["raw"])
    forward = model.forward

    def forward_without(**arguments):
        arguments.pop(ignored, None)
        return forward(**arguments)

    check_packing(model)
    monkeypatch.setattr(model, "forward", forward_without)
    with pytest.raises(EngineError, match="differently from one by one") as error:
        check_packing(model)
    assert error.value.remedy.startswith("Choose another model")
