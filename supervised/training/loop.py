"""The one training loop: any model, any ``Strategy``, one device or several processes, killed and resumed.

What is random in an epoch depends on the seed, the epoch and the process alone, and a checkpoint is written at the end
of each epoch: a run killed anywhere goes on from its last epoch to the same weights as an uninterrupted one (bit-equal
on a CPU with the same number of threads).

Several processes (``accelerate launch``; ``torchrun`` on CPUs) share each batch: a strategy made with their ``shard``
yields its part, and gradients are summed over processes with the weights of the parts, so that the step is the one that
a single process would make. Normalisation layers see their own part only, and dropout draws anew in every process: with
``freeze_normalisation`` and without dropout the results agree to float noise, otherwise only in kind.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn

from bah_mllm.core.errors import ConfigError, RunError
from bah_mllm.core.files import write_atomically
from bah_mllm.core.loading import import_optional
from bah_mllm.core.saying import say
from bah_mllm.report.progress import Progress
from supervised.records import Strategy
from supervised.training.checkpoints import Checkpoints, TrainingState
from supervised.training.processes import Processes

__all__ = ["Fitted", "LoopSettings", "NotFiniteError", "fit", "lr_factor"]

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


class NotFiniteError(RunError):
    """A loss is infinite or no number: an outcome of the method on these data, unlike a damaged folder."""


class LoopSettings(BaseModel):
    """How a model is optimised.

    Args:
        epochs: Passes over the data, at least 1.
        accumulate: Batches for one step of the optimiser; their losses are weighed by what counts in them.
        optimizer: ``sgd`` or ``adamw``.
        lr: Peak learning rate; groups of parameters may multiply it.
        momentum: Of SGD.
        nesterov: Nesterov's momentum, SGD only.
        weight_decay: Of all parameters that are trained.
        schedule: ``constant``; ``cosine`` from ``lr`` to ``lr_min``; ``poly``, lr (1 + 10 t)^-0.75 with t from 0 to 1
            (SHOT); ``poly_ahead``, the same one step ahead, as the public code of SHOT has it, which counts a step
            before it sets the rate; ``step``, times ``gamma`` every ``step_epochs``, not below ``lr_min`` (the
            published code's MYSTEP).
        lr_min: Floor of ``cosine`` and ``step``.
        step_epochs: Of ``step``.
        gamma: Of ``step``.
        warmup_epochs: Linear rise from 0 before the schedule, as a number of epochs; may be a fraction.
        precision: ``fp32``, ``bf16`` or ``fp16`` (with loss scaling) for forward passes; weights stay fp32.
        clip_norm: Largest norm of the gradient; None for any.
        select: ``last``, or the validation metric whose best epoch is kept (ties: the later one). An epoch in which the
            metric is undefined never beats one in which it is defined; the last one is kept where it is undefined in
            all, as AP is where the validation labels are of one class.
        patience_epochs: Stop after so many epochs without a better metric; None never stops early.
        min_epochs: Never stop before.
        freeze_normalisation: Statistics of normalisation layers stay as they are.
        device: ``auto`` or ``cpu``.
        tensorboard: Also write TensorBoard events beside ``log.csv``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    epochs: int = Field(ge=1)
    accumulate: int = Field(default=1, ge=1)
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: float = Field(gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(default=0.0, ge=0)
    schedule: Literal["constant", "cosine", "poly", "poly_ahead", "step"] = "constant"
    lr_min: float = Field(default=0.0, ge=0)
    step_epochs: int = Field(default=50, ge=1)
    gamma: float = Field(default=0.1, gt=0, le=1)
    warmup_epochs: float = Field(default=0.0, ge=0)
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    clip_norm: float | None = Field(default=None, gt=0)
    select: str = "last"
    patience_epochs: int | None = Field(default=None, ge=1)
    min_epochs: int = Field(default=1, ge=1)
    freeze_normalisation: bool = False
    device: Literal["auto", "cpu"] = "auto"
    tensorboard: bool = False

    @model_validator(mode="after")
    def _patience_needs_a_metric(self) -> LoopSettings:
        if self.patience_epochs is not None and self.select == "last":
            raise ValueError("patience_epochs needs select = a validation metric")
        return self


@dataclass(slots=True)
class Fitted:
    """How training ended.

    Args:
        n_epochs: Epochs that were trained, those of earlier starts included.
        selected_epoch: Whose weights the model now has, from 0.
        history: One entry an epoch: ``epoch``, ``lr``, ``loss`` and its parts, validation metrics, ``seconds``.
        n_resumed: Epochs that an earlier start had trained.
    """

    n_epochs: int
    selected_epoch: int
    history: list[dict[str, float]]
    n_resumed: int = 0

    def selected_metrics(self) -> dict[str, float]:
        """Return what validation said of the kept epoch, and which one it is: ``epoch``."""
        kept = self.history[self.selected_epoch]
        return {name: value for name, value in kept.items() if name.startswith("val_") or name == "epoch"}


def fit(
    model: nn.Module,
    strategy: Strategy,
    settings: LoopSettings,
    *,
    folder: Path,
    seed: int = 0,
    validate: Callable[[nn.Module], Mapping[str, float | None]] | None = None,
    quiet: bool = False,
) -> Fitted:
    """Train a model and leave the selected weights in it; go on where an earlier start in the folder ended.

    Args:
        model: Trained in place; moved to the device.
        strategy: Batches and losses.
        settings: How to optimise.
        folder: For the checkpoint, the selected weights and ``log.csv``; made if it is not there.
        seed: With the epoch and the process it decides about everything random.
        validate: Metrics of the model in evaluation mode, after each epoch; higher is better, None is undefined.
        quiet: Say nothing.

    Raises:
        ConfigError: ``settings.select`` names no metric of ``validate``.
        NotFiniteError: The loss is not finite.
        RunError: The checkpoint is damaged or belongs to another model.
    """
    _check_selection(settings, can_validate=validate is not None)
    shared = Processes.current(settings.device)
    quiet = quiet or not shared.is_first
    model.to(shared.device)
    optimizer = _optimizer(strategy.parameter_groups(model), settings)
    scaler = torch.amp.GradScaler(shared.device.type, enabled=settings.precision == "fp16")
    checkpoints = Checkpoints(folder, model, optimizer, scaler, strategy)
    state = checkpoints.resume()
    n_resumed = state.next_epoch
    bar = Progress("trained", total=settings.epochs, done=n_resumed, unit="epochs", is_quiet=quiet)
    stepper = _Stepper(model, strategy, settings, optimizer, scaler, shared, bar)
    with torch.random.fork_rng(devices=[shared.device] if shared.device.type == "cuda" else []), bar:
        while not state.is_finished:
            started = perf_counter()
            entry = stepper.train_epoch(state.next_epoch, seed)
            metrics = {} if validate is None else _validated(model, validate, shared)
            state.history.append({**entry, **metrics, "seconds": perf_counter() - started})
            _select(state, settings, metrics)
            if shared.is_first:
                checkpoints.save(state)
                _log(folder, state.history, settings)
            if not quiet:
                say(_line(settings, state))
            bar.advance()
            shared.wait()
    if not quiet and settings.select != "last" and state.best is None:
        say(f"note: {settings.select} was undefined in every epoch, so the last one is kept")
    checkpoints.load_selected(state)
    model.eval()
    return Fitted(state.next_epoch, state.selected_epoch, state.history, n_resumed)


def _check_selection(settings: LoopSettings, *, can_validate: bool) -> None:
    if settings.select != "last" and not can_validate:
        raise ConfigError(
            f"Epochs cannot be selected by {settings.select!r}: there is nothing to validate on.",
            remedy="Give a validation split with labels, or add --set loop.select=last.",
        )


def lr_factor(settings: LoopSettings, step: int, *, steps_per_epoch: int) -> float:
    """Return what the learning rate is multiplied by at a step of the optimiser, counted from 0.

    >>> settings = LoopSettings(epochs=10, lr=1.0, schedule="step", step_epochs=4, gamma=0.1)
    >>> [round(lr_factor(settings, step, steps_per_epoch=1), 3) for step in (0, 3, 4, 8)]
    [1.0, 1.0, 0.1, 0.01]
    """
    warmup = settings.warmup_epochs * steps_per_epoch
    if step < warmup:
        return (step + 1) / (warmup + 1)
    total = max(1.0, settings.epochs * steps_per_epoch - warmup)
    is_ahead = settings.schedule == "poly_ahead"
    t = min(1.0, (step + is_ahead - warmup) / total)
    floor = settings.lr_min / settings.lr
    if settings.schedule == "cosine":
        return floor + (1 - floor) * (1 + math.cos(math.pi * t)) / 2
    if settings.schedule in ("poly", "poly_ahead"):
        return float((1 + 10 * t) ** -0.75)
    if settings.schedule == "step":
        return max(floor, settings.gamma ** int((step - warmup) / steps_per_epoch // settings.step_epochs))
    return 1.0


class _Stepper:
    """Steps of the optimiser over the batches of an epoch."""

    def __init__(
        self,
        model: nn.Module,
        strategy: Strategy,
        settings: LoopSettings,
        optimizer: torch.optim.Optimizer,
        scaler: torch.amp.GradScaler,
        shared: Processes,
        bar: Progress,
    ) -> None:
        self._model, self._strategy, self._settings = model, strategy, settings
        self._optimizer, self._scaler, self._shared, self._bar = optimizer, scaler, shared, bar

    def train_epoch(self, epoch: int, seed: int) -> dict[str, float]:
        """Return ``epoch``, the last learning rate, and the weighted means of the loss and its parts."""
        torch.manual_seed(int(np.random.SeedSequence([seed, epoch, self._shared.shard.rank]).generate_state(1)[0]))
        self._model.train()
        self._strategy.begin_epoch(self._model, epoch)
        if self._settings.freeze_normalisation:
            _freeze_normalisation(self._model)
        found = {"epoch": float(epoch), **self._steps(epoch)}
        self._shared.average_statistics(self._model)
        return found

    def _steps(self, epoch: int) -> dict[str, float]:
        steps_per_epoch = max(1, math.ceil(self._strategy.n_batches(epoch) / self._settings.accumulate))
        batches = self._strategy.batches(epoch)
        sums: dict[str, float] = defaultdict(float)
        weight_sum, factor = 0.0, 1.0
        for number, group in enumerate(_groups(batches, self._settings.accumulate)):
            step = epoch * steps_per_epoch + min(number, steps_per_epoch - 1)
            factor = lr_factor(self._settings, step, steps_per_epoch=steps_per_epoch)
            for parameters in self._optimizer.param_groups:
                parameters["lr"] = self._settings.lr * parameters["lr_factor"] * factor
            weight_sum += self._step(group, sums, epoch)
            if weight_sum:
                self._bar.advance(0, note=f"step {number + 1}/{steps_per_epoch}, loss {sums['loss'] / weight_sum:.4f}")
        lr = self._settings.lr * factor
        if not weight_sum:
            return {"lr": lr, "loss": math.nan}
        return {"lr": lr, **{name: total / weight_sum for name, total in self._shared.totals(sums).items()}}

    def _step(self, group: list[Any], sums: dict[str, float], epoch: int) -> float:
        """Make one step; add this process's weighted losses to ``sums``; return the weight over all processes."""
        weights = [self._strategy.weight(batch) for batch in group]
        total = self._shared.total(sum(weights))
        if not total:
            return 0.0
        self._optimizer.zero_grad(set_to_none=True)
        for batch, weight in zip(group, weights, strict=True):
            if not weight:
                continue
            with self._autocast():
                loss = self._strategy.loss(self._model, batch)
            if not torch.isfinite(loss.total):
                raise NotFiniteError(
                    f"The loss is {loss.total.item()} in epoch {epoch}.",
                    remedy="Lower the learning rate, or run `bah-mllm features` again if features are damaged.",
                )
            if loss.total.requires_grad:
                self._scaler.scale(loss.total * (weight / total)).backward()
            for name, value in {"loss": loss.total.item(), **loss.parts}.items():
                sums[name] += value * weight
        self._shared.add_gradients([p for group in self._optimizer.param_groups for p in group["params"]])
        if self._settings.clip_norm is not None:
            self._scaler.unscale_(self._optimizer)
            nn.utils.clip_grad_norm_(self._model.parameters(), self._settings.clip_norm)
        if any(p.grad is not None for g in self._optimizer.param_groups for p in g["params"]):
            self._scaler.step(self._optimizer)
            self._scaler.update()
        return total

    def _autocast(self) -> Any:  # noqa: ANN401 - one of two context managers
        if self._settings.precision == "fp32":
            return nullcontext()
        return torch.autocast(self._shared.device.type, _DTYPES[self._settings.precision])


def _groups(batches: Iterator[Any], n: int) -> Iterator[list[Any]]:
    while group := list(islice(batches, n)):
        yield group


def _optimizer(groups: list[dict[str, Any]], settings: LoopSettings) -> torch.optim.Optimizer:
    groups = [{"lr_factor": 1.0, **group, "params": list(group["params"])} for group in groups]
    groups = [group for group in groups if group["params"]]
    if not groups:
        raise ConfigError("The model has no parameter to train.", remedy="Unfreeze a part of it, or only predict.")
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=settings.lr, weight_decay=settings.weight_decay)
    return torch.optim.SGD(
        groups,
        lr=settings.lr,
        momentum=settings.momentum,
        nesterov=settings.nesterov and settings.momentum > 0,
        weight_decay=settings.weight_decay,
    )


def _freeze_normalisation(model: nn.Module) -> None:
    for module in model.modules():
        if "running_mean" in dict(module.named_buffers(recurse=False)):
            module.eval()


def _validated(
    model: nn.Module, validate: Callable[[nn.Module], Mapping[str, float | None]], shared: Processes
) -> dict[str, float]:
    """Return the metrics of the first process; undefined ones as nan."""
    found = {}
    if shared.is_first:
        model.eval()
        with torch.no_grad():
            found = {name: math.nan if value is None else float(value) for name, value in validate(model).items()}
    return shared.from_first(found)


def _select(state: TrainingState, settings: LoopSettings, metrics: Mapping[str, float]) -> None:
    """Note whether this epoch is the one to keep, and whether it is the last."""
    epoch = state.next_epoch
    state.next_epoch += 1
    if settings.select != "last" and settings.select not in metrics:
        raise ConfigError(
            f"Epochs cannot be selected by {settings.select!r}.",
            remedy=f"Choose last, or one of: {', '.join(sorted(metrics))}.",
        )
    value = metrics[settings.select] if settings.select != "last" else math.nan
    if state.best is None or value >= state.best:  # nan is never the better one
        state.selected_epoch = epoch
        state.best = value if math.isfinite(value) else state.best
    waited = epoch - state.selected_epoch
    is_stuck = settings.patience_epochs is not None and waited >= settings.patience_epochs
    state.is_finished = state.next_epoch >= settings.epochs or (is_stuck and state.next_epoch >= settings.min_epochs)


def _log(folder: Path, history: list[dict[str, float]], settings: LoopSettings) -> None:
    """Write ``log.csv`` anew, and the last epoch to TensorBoard where asked for."""
    names = list(dict.fromkeys(name for entry in history for name in entry))
    lines = [",".join(names), *(",".join(f"{entry.get(name, math.nan):.6g}" for name in names) for entry in history)]
    write_atomically(folder / "log.csv", ("\n".join(lines) + "\n").encode())
    if settings.tensorboard:
        import_optional("tensorboard", extra="train", purpose="loop.tensorboard")
        from torch.utils.tensorboard import SummaryWriter

        with SummaryWriter(str(folder / "tensorboard"), purge_step=len(history) - 1) as writer:
            for name, value in history[-1].items():
                writer.add_scalar(name, value, len(history) - 1)


def _line(settings: LoopSettings, state: TrainingState) -> str:
    """Return what a person wants to see of the epoch that was done last."""
    entry = state.history[-1]
    shown = [f"{name} {value:.4f}" for name, value in entry.items() if name not in ("epoch", "lr", "seconds")]
    left_s = entry["seconds"] * (settings.epochs - state.next_epoch)
    kept = " (kept)" if settings.select != "last" and state.is_last_selected else ""
    return (
        f"epoch {state.next_epoch}/{settings.epochs}: {', '.join(shown)}, lr {entry['lr']:.2g}, "
        f"{entry['seconds']:.1f} s, at most {left_s:.0f} s left{kept}"
    )
