"""What a run would do, without loading a model: plan, first prompt, and an estimate of time and memory."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any

from bah_mllm.core.records import RenderedPrompt
from bah_mllm.core.saying import tell
from bah_mllm.engines import facts_before_loading, find_engine
from bah_mllm.pipeline.asking import Asking
from bah_mllm.pipeline.config import RunConfig
from bah_mllm.pipeline.planning import RunPlan, plan_run
from bah_mllm.pipeline.setup import Setup, prepare
from bah_mllm.pipeline.zero_shot import check_abilities
from bah_mllm.predictions import read_journal
from bah_mllm.predictions.store import JOURNAL_NAME

__all__ = ["dry_run"]

_CHARS_PER_TOKEN = 4.0  # of English in the vocabularies of Llama and SmolLM2
_SHARE_OF_PEAK = 0.4  # of what a large matrix product reaches, in a language model's prefill
_BYTES = {"float32": 4.0, "bfloat16": 2.0, "float16": 2.0}
_QUANTIZED_BYTES = {"4bit": 0.6, "8bit": 1.1}


def dry_run(config: RunConfig) -> None:
    """Print what ``run`` would do with this configuration.

    Raises:
        BahError: As ``run`` would before it loads a model.
    """
    setup = prepare(config)
    engine = facts_before_loading(setup.engine_name, setup.options)
    check_abilities(engine, setup)
    run_plan = plan_run(setup, engine)
    n_done = sum(not row.status.is_failure for row in read_journal(setup.folder / JOURNAL_NAME))
    asking = Asking(run_plan)
    n_windows = run_plan.n_windows

    tell("plan")
    tell(f"  data       {setup.dataset.name}, {setup.split or 'all'}: {len(run_plan.plans)} videos")
    for plan in run_plan.plans:
        if plan.problem is not None:
            tell(f"  unusable   {plan.video.video_id}: {plan.problem}")
    tell(f"  folder     {setup.folder} ({n_done:,} rows there already)")
    tell(f"  engine     {engine.name}, model {engine.model}, {config.answer}")
    for length, n in run_plan.windows_per_length().items():
        tell(f"  windows    {n:,} of {length} frames" if length is not None else f"  windows    {n:,} whole videos")
    tell(f"  prompts    {', '.join(template.name for template in setup.templates)} ({len(setup.variants)} variant(s))")
    tell(f"  passes     {n_windows:,} windows through the model, one decoding pass a video")
    tell(f"  rows       {run_plan.n_rows:,}")
    prompt = _first_prompt(run_plan, asking)
    if prompt is not None:
        tell(f"first prompt ({prompt.name})\n---\n{prompt.text}\n---")
    n_texts = n_windows if asking.varies_by_window else len(run_plan.usable)
    n_prompt_chars = len(prompt.text) if prompt is not None else 0
    tell(_estimate(setup, n_windows=n_windows, n_texts=n_texts, n_prompt_chars=n_prompt_chars))


def _first_prompt(run_plan: RunPlan, asking: Asking) -> RenderedPrompt | None:
    """Return the first prompt that can be rendered, as the model would be asked it."""
    for plan in run_plan.plans:
        for span in run_plan.spans(plan):
            job = asking.task(plan, span, None).job
            if job is not None:
                return job.prompts[0]
    return None


@dataclass(frozen=True, slots=True)
class _Size:
    """A model's size, from its configuration alone."""

    n_parameters: int
    kv_bytes_per_token: float
    tokens_per_frame: int


def _estimate(setup: Setup, *, n_windows: int, n_texts: int, n_prompt_chars: int) -> str:
    """Say how long the run would take.

    Args:
        setup: The run.
        n_windows: Windows that the model looks at.
        n_texts: How often each prompt's text is read: once a window, or once a video for a model without eyes.
        n_prompt_chars: Length of one prompt.
    """
    entry = find_engine(setup.engine_name)
    if entry.model_class is None:
        return f"estimate    none: the {setup.engine_name} engine has no model of transformers"
    size = _model_size(entry.model_class, setup.options.model or entry.default_model)
    if size is None:
        return "estimate    none: the checkpoint's configuration is not on this machine"
    import torch

    cuda = torch.cuda.is_available() and setup.config.device != "cpu"
    dtype = setup.config.dtype if setup.config.dtype != "auto" else ("bfloat16" if cuda else "float32")
    n_questions = len(setup.templates) * len(setup.variants)
    prompt_tokens = n_prompt_chars / _CHARS_PER_TOKEN
    video_tokens = size.tokens_per_frame * setup.config.frames
    tokens = n_windows * video_tokens + n_texts * n_questions * prompt_tokens
    flops = 2.0 * size.n_parameters * tokens
    seconds = flops / (_SHARE_OF_PEAK * _matmul_flops(torch, "cuda" if cuda else "cpu", getattr(torch, dtype)))
    weights = size.n_parameters * _QUANTIZED_BYTES.get(setup.config.quantize or "", _BYTES[dtype])
    cache = setup.config.batch * (video_tokens + n_questions * prompt_tokens) * size.kv_bytes_per_token * _BYTES[dtype]
    return (
        f"estimate    {_duration(seconds)} on this {'GPU' if cuda else 'CPU'} in {dtype}, decoding beside it; "
        f"{(weights + cache) / 2**30:.1f} GiB of memory\n"
        f"            ({size.n_parameters / 1e6:,.0f} M parameters x {tokens:,.0f} tokens at {_SHARE_OF_PEAK:.0%} of a "
        "matrix product's speed measured now: right within a factor of about 2)"
    )


def _model_size(model_class: str, model: str) -> _Size | None:
    """Count parameters without allocating them; None where the configuration cannot be read offline."""
    from bah_mllm.core.loading import is_installed
    from bah_mllm.engines.models import MODELS, find_model

    if not is_installed("transformers") or not is_installed("accelerate"):
        return None
    import transformers
    from accelerate import init_empty_weights

    try:
        source = find_model(model) if model in MODELS else model
        config: Any = transformers.AutoConfig.from_pretrained(source, local_files_only=True)
        kind = getattr(transformers, model_class)
        with init_empty_weights():
            # Classes that choose by the configuration make it public; those of one architecture do not.
            empty = kind.from_config(config) if hasattr(kind, "from_config") else kind._from_config(config)  # noqa: SLF001
    except Exception:  # noqa: BLE001 - an estimate is a courtesy: whatever is wrong, the run itself will say it
        return None
    text = getattr(config, "text_config", config)
    head_dim = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    n_kv_heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    vision = getattr(config, "vision_config", None)
    tokens_per_frame = (vision.image_size // vision.patch_size) ** 2 + 1 if vision is not None else 0
    return _Size(
        n_parameters=sum(parameter.numel() for parameter in empty.parameters()),
        kv_bytes_per_token=2.0 * text.num_hidden_layers * n_kv_heads * head_dim,
        tokens_per_frame=tokens_per_frame,
    )


def _matmul_flops(torch: Any, device: str, dtype: Any) -> float:  # noqa: ANN401 - torch is not imported here
    """Measure the speed of a matrix product, in operations a second; about a third of a second of work."""
    size = 4096 if device == "cuda" else 768
    a = torch.rand(size, size, device=device).to(dtype)
    a @ a
    started, n = perf_counter(), 0
    while perf_counter() - started < 0.3:
        a @ a
        if device == "cuda":
            torch.cuda.synchronize()
        n += 1
    return float(2.0 * size**3 * n / (perf_counter() - started))


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"about {seconds / length:.0f} {unit}"
    return f"about {max(1.0, seconds):.0f} seconds"
