# ruff: noqa: TID253 - engines need torch; nothing light imports this module
"""Tiny checkpoints with random weights and the real classes: they run everything and know nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    VideoLlavaConfig,
    VideoLlavaForConditionalGeneration,
    VideoLlavaImageProcessor,
)

__all__ = ["tiny_causal_lm", "tiny_video_llava"]

_N_TOKENS = 1024

# What the tokenizer learns its words from. Written for this purpose; nobody said it.
_TEXT = """
The kettle is on the table beside the window, and the green cup stands on a shelf above it.
In the morning we walk to the market, where apples, bread and cheese are sold until noon.
A train leaves every hour; the next one goes to the coast and stops at four small towns.
Classify the emotion in the video as either 'Non-Ambivalent' or 'Ambivalent'. Respond with only one word:
Definition: having contradictory or conflicting feelings towards something or someone simultaneously.
Desires for change and against change. Video transcript: one, two, three. Answer yes or no.
USER: What is in the picture? ASSISTANT: A red ball lies in the grass. The person looks away and smiles.
Le chat dort pres de la fenetre, et la pluie tombe doucement sur le toit de la maison.
"""

_CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() + ': ' + message['content'] + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)


def tiny_causal_lm(folder: Path, *, seed: int = 0, has_chat_template: bool = False, n_positions: int = 2048) -> Path:
    """Write a Llama of 2 layers with random weights, and return its folder.

    Args:
        folder: Created where it is missing.
        seed: Of the weights.
        has_chat_template: The tokenizer brings one, of the form ``USER: ... ASSISTANT:``.
        n_positions: How many tokens it takes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _train_tokenizer([])
    if has_chat_template:
        tokenizer.chat_template = "{{ bos_token }}" + _CHAT_TEMPLATE
    with _seeded(seed):
        model = LlamaForCausalLM(_language_config(tokenizer, n_positions))
    _save(model, tokenizer, folder)
    return folder


def tiny_video_llava(folder: Path, *, seed: int = 0, image_size: int = 28, n_positions: int = 4096) -> Path:
    """Write a Video-LLaVA of 2 + 2 layers with random weights, and return its folder.

    Args:
        folder: Created where it is missing.
        seed: Of the weights.
        image_size: Height and width of frames in pixels, a multiple of 14: 28 gives 5 tokens a frame; 224 gives 257,
            as the real one.
        n_positions: How many tokens it takes, those of the video included.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _train_tokenizer(["<image>", "<video>"])
    n_tokens_a_frame = (image_size // 14) ** 2 + 1
    config = VideoLlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=image_size,
            patch_size=14,
            projection_dim=64,
        ),
        text_config=_language_config(tokenizer, n_positions),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_index=tokenizer.convert_tokens_to_ids("<video>"),
        image_seq_length=n_tokens_a_frame - 1,
        video_seq_length=8 * n_tokens_a_frame,
    )
    with _seeded(seed):
        model = VideoLlavaForConditionalGeneration(config)
    _save(model, tokenizer, folder)
    _write_processor(folder, image_size)
    return folder


class _seeded:  # noqa: N801 - used as a verb
    """Seeds torch's weights for a while, and gives the caller's random state back."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __enter__(self) -> None:
        self._state = torch.get_rng_state()
        torch.manual_seed(self._seed)

    def __exit__(self, *_: object) -> None:
        torch.set_rng_state(self._state)


def _language_config(tokenizer: PreTrainedTokenizerFast, n_positions: int) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=n_positions,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        # Three times the usual: scores of random weights then differ visibly between prompts.
        initializer_range=0.06,
    )


def _train_tokenizer(more_special: Sequence[str]) -> PreTrainedTokenizerFast:
    """Train a tokenizer of Llama's kind: byte-pair merges, byte fallback, spaces as part of words."""
    special = ["<unk>", "<s>", "</s>"]
    bytes_ = [f"<0x{value:02X}>" for value in range(256)]
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))  # noqa: S106
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", behavior="merged_with_next")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    # The byte tokens are put in below: among the special tokens they would be dropped from replies.
    trainer = trainers.BpeTrainer(
        vocab_size=_N_TOKENS - len(bytes_), special_tokens=special, show_progress=False, initial_alphabet=[]
    )
    tokenizer.train_from_iterator(_TEXT.strip().splitlines(), trainer)
    state = json.loads(tokenizer.to_str())
    words = [word for word in state["model"]["vocab"] if word not in special]
    state["model"]["vocab"] = {word: index for index, word in enumerate([*special, *bytes_, *words])}
    tokenizer = Tokenizer.from_str(json.dumps(state))
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",  # noqa: S106 - not a password
        bos_token="<s>",  # noqa: S106
        eos_token="</s>",  # noqa: S106
        pad_token="<pad>",  # noqa: S106
        padding_side="left",
        additional_special_tokens=[AddedToken(token, special=True, normalized=False) for token in more_special],
    )


def _save(model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    model.eval().save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _write_processor(folder: Path, image_size: int) -> None:
    """Write what ``VideoLlavaProcessor.save_pretrained`` writes; building one needs torchvision for its video part."""
    size = {"size": {"shortest_edge": image_size}, "crop_size": {"height": image_size, "width": image_size}}
    image = VideoLlavaImageProcessor(**size).to_dict()
    video = {key: value for key, value in image.items() if key != "image_processor_type"}
    processor = {
        "image_processor": image,
        "video_processor": video | {"video_processor_type": "VideoLlavaVideoProcessor", "do_sample_frames": False},
        "processor_class": "VideoLlavaProcessor",
        "patch_size": 14,
        "vision_feature_select_strategy": "default",
        "num_additional_image_tokens": 1,
        "image_token": "<image>",
        "video_token": "<video>",
    }
    (folder / "processor_config.json").write_text(json.dumps(processor, indent=2), encoding="utf-8")
