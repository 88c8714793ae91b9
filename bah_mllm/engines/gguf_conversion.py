# ruff: noqa: TID253 - engines need torch; nothing light imports this module
"""A ``.gguf`` file to a folder of transformers."""

from __future__ import annotations

from pathlib import Path

from transformers import AutoModelForCausalLM, AutoTokenizer

from bah_mllm.core.loading import import_optional

__all__ = ["convert_gguf"]


def convert_gguf(weights: Path, folder: Path) -> None:
    """Write tokenizer, configuration and dequantised float32 weights as safetensors.

    Args:
        weights: A ``.gguf`` file of an architecture that transformers reads.
        folder: An existing folder.

    Raises:
        PrerequisiteError: The package ``gguf`` is not installed.
    """
    import_optional("gguf", extra="llm", purpose="converting a .gguf file")
    place = {"pretrained_model_name_or_path": str(weights.parent), "gguf_file": weights.name, "local_files_only": True}
    model = AutoModelForCausalLM.from_pretrained(**place)
    # Loading has dequantised the weights, but transformers 5.23 still takes the model for a quantised one, which it
    # refuses to save.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.hf_quantizer = None
    model.is_quantized = False
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(**place).save_pretrained(folder)
