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

import io
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any, Literal, cast

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn

from bah_mllm.core.errors import ConfigError, RunError
from bah_mllm.core.files import write_atomically
from bah_mllm.core.loading import import_optional
from bah_mllm.core.saying import say
from bah_mllm.report.progress import Progress
from supervised.models.tensor_files import DAMAGED
from supervised.records import Strategy

__all__ = ["Fitted", "LoopSettings", "NotFiniteError", "Shard", "fit", "lr_factor", "processes"]

_CHECKPOINT = "checkpoint.pt"
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
            (SHOT and NRC); ``step``, times ``gamma`` every ``step_epochs``, not below ``lr_min`` (the published code's
            MYSTEP).
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

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int = Field(ge=1)
    accumulate: int = Field(default=1, ge=1)
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: float = Field(gt=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    nesterov: bool = False
    weight_decay: float = Field(default=0.0, ge=0)
    schedule: Literal["constant", "cosine", "poly", "step"] = "constant"
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


@dataclass(frozen=True, slots=True)
class Shard:
    """Which part of every batch this process takes.

    Args:
        rank: 0 for the first process.
        world: How many processes there are.
    """

    rank: int = 0
    world: int = 1

    @classmethod
    def current(cls, device: str = "auto") -> Shard:
        """Return the part of this process, as ``accelerate launch`` started it."""
        state = processes(device)
        return cls(state.process_index, state.num_processes)


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


@dataclass(slots=True)
class _Progress:
    """What a checkpoint holds besides weights."""

    next_epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best: float | None = None
    selected_epoch: int = -1
    is_finished: bool = False


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
    if settings.select != "last" and validate is None:
        raise ConfigError(
            f"Epochs cannot be selected by {settings.select!r}: there is nothing to validate on.",
            remedy="Give a validation split with labels, or add --set loop.select=last.",
        )
    state = processes(settings.device)
    quiet = quiet or not state.is_main_process
    model.to(state.device)
    optimizer = _optimizer(strategy.parameter_groups(model), settings)
    scaler = torch.amp.GradScaler(state.device.type, enabled=settings.precision == "fp16")
    folder.mkdir(parents=True, exist_ok=True)
    progress = _resume(folder, model, optimizer, scaler, strategy)
    n_resumed = progress.next_epoch
    bar = Progress("trained", total=settings.epochs, done=n_resumed, unit="epochs", is_quiet=quiet)
    stepper = _Stepper(model, strategy, settings, optimizer, scaler, bar)
    devices = [state.device] if state.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), bar:
        while not progress.is_finished:
            epoch = progress.next_epoch
            started = perf_counter()
            torch.manual_seed(int(np.random.SeedSequence([seed, epoch, state.process_index]).generate_state(1)[0]))
            model.train()
            strategy.begin_epoch(model, epoch)
            if settings.freeze_normalisation:
                _freeze_normalisation(model)
            entry = {"epoch": float(epoch), **stepper.train_epoch(epoch)}
            _share_statistics(model, state)
            metrics = _validated(model, validate, state)
            entry |= {**metrics, "seconds": perf_counter() - started}
            progress.history.append(entry)
            _select(progress, settings, metrics)
            if state.is_main_process:
                _save(folder, progress, model, optimizer, scaler, strategy)
                _log(folder, progress.history, settings)
            if not quiet:
                say(_line(entry, settings, progress))
            bar.advance()
            state.wait_for_everyone()
    if not quiet and settings.select != "last" and progress.best is None:
        say(f"note: {settings.select} was undefined in every epoch, so the last one is kept")
    _load_selected(folder, progress, model)
    model.eval()
    return Fitted(progress.next_epoch, progress.selected_epoch, progress.history, n_resumed)


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
    t = min(1.0, (step - warmup) / total)
    floor = settings.lr_min / settings.lr
    if settings.schedule == "cosine":
        return floor + (1 - floor) * (1 + math.cos(math.pi * t)) / 2
    if settings.schedule == "poly":
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
        bar: Progress,
    ) -> None:
        self._model, self._strategy, self._settings = model, strategy, settings
        self._optimizer, self._scaler, self._bar = optimizer, scaler, bar
        self._state = processes(settings.device)

    def train_epoch(self, epoch: int) -> dict[str, float]:
        """Return the last learning rate and the weighted means of the loss and its parts."""
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
        return {"lr": lr, **{name: total / weight_sum for name, total in self._summed_by_name(sums).items()}}

    def _step(self, group: list[Any], sums: dict[str, float], epoch: int) -> float:
        """Make one step; add this process's weighted losses to ``sums``; return the weight over all processes."""
        weights = [self._strategy.weight(batch) for batch in group]
        total = self._summed(sum(weights))
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
        self._sum_gradients()
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
        return torch.autocast(self._state.device.type, _DTYPES[self._settings.precision])

    def _summed(self, weight: float) -> float:
        if self._state.num_processes == 1:
            return weight
        from accelerate.utils import reduce

        return float(reduce(torch.tensor(weight, dtype=torch.float64, device=self._state.device), "sum").item())

    def _summed_by_name(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Add up the sums of all processes, of which one may have had no batch."""
        if self._state.num_processes == 1:
            return dict(sums)
        from accelerate.utils import gather_object

        parts = gather_object([dict(sums)])
        names = dict.fromkeys(name for part in parts for name in part)
        return {name: sum(part.get(name, 0.0) for part in parts) for name in names}

    def _sum_gradients(self) -> None:
        """Add up the gradients of all processes, those that a process does not have counting as zero."""
        if self._state.num_processes == 1:
            return
        from accelerate.utils import reduce

        trained = [p for group in self._optimizer.param_groups for p in group["params"]]
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in trained])
        flat = reduce(flat, "sum")
        for parameter, piece in zip(trained, flat.split([p.numel() for p in trained]), strict=True):
            parameter.grad = piece.view_as(parameter).clone()


def processes(device: str) -> Any:  # noqa: ANN401 - accelerate has no types
    """Return accelerate's ``PartialState``: device, rank and number of processes. The first call decides for all.

    Args:
        device: ``auto`` or ``cpu``.
    """
    from accelerate import PartialState

    return PartialState(cpu=True) if device == "cpu" else PartialState()


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


def _share_statistics(model: nn.Module, state: Any) -> None:  # noqa: ANN401
    """Average running statistics over processes, so that all go on with the same ones."""
    if state.num_processes == 1:
        return
    from accelerate.utils import reduce

    for buffer in model.buffers():
        if buffer.is_floating_point():
            buffer.copy_(reduce(buffer.clone(), "mean"))


def _validated(
    model: nn.Module,
    validate: Callable[[nn.Module], Mapping[str, float | None]] | None,
    state: Any,  # noqa: ANN401
) -> dict[str, float]:
    """Return the metrics of the main process; undefined ones as nan."""
    if validate is None:
        return {}
    found: list[dict[str, float]] = [{}]
    if state.is_main_process:
        model.eval()
        with torch.no_grad():
            found = [{key: math.nan if value is None else float(value) for key, value in validate(model).items()}]
    if state.num_processes > 1:
        from accelerate.utils import broadcast_object_list

        broadcast_object_list(found)
    return found[0]


def _select(progress: _Progress, settings: LoopSettings, metrics: Mapping[str, float]) -> None:
    """Note whether this epoch is the one to keep, and whether it is the last."""
    epoch = progress.next_epoch
    progress.next_epoch += 1
    if settings.select != "last" and settings.select not in metrics:
        raise ConfigError(
            f"Epochs cannot be selected by {settings.select!r}.",
            remedy=f"Choose last, or one of: {', '.join(sorted(metrics))}.",
        )
    value = metrics[settings.select] if settings.select != "last" else math.nan
    if progress.best is None or value >= progress.best:  # nan is never the better one
        progress.selected_epoch = epoch
        progress.best = value if math.isfinite(value) else progress.best
    waited = epoch - progress.selected_epoch
    is_stuck = settings.patience_epochs is not None and waited >= settings.patience_epochs
    progress.is_finished = progress.next_epoch >= settings.epochs or (
        is_stuck and progress.next_epoch >= settings.min_epochs
    )


def _selected_file(folder: Path, epoch: int) -> Path:
    return folder / f"selected-{epoch}.safetensors"


def _save(
    folder: Path,
    progress: _Progress,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    strategy: Strategy,
) -> None:
    from safetensors.torch import save

    selected = _selected_file(folder, progress.selected_epoch)
    if progress.selected_epoch == progress.next_epoch - 1:
        # Of its own epoch, and before the checkpoint that names it: a kill in between loses an epoch, no weights.
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
        write_atomically(selected, save(weights))
    checkpoint = {
        "progress": asdict(progress),
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scaler": scaler.state_dict(),
        "strategy": strategy.state_dict(),
    }
    buffer = io.BytesIO()
    torch.save(checkpoint, buffer)
    write_atomically(folder / _CHECKPOINT, buffer.getvalue())
    for old in folder.glob("selected-*.safetensors"):
        if old != selected:
            old.unlink()


def _resume(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    strategy: Strategy,
) -> _Progress:
    path = folder / _CHECKPOINT
    if not path.exists():
        return _Progress()
    device = next(model.parameters()).device
    try:
        checkpoint = cast("dict[str, Any]", torch.load(path, map_location=device, weights_only=True))
        model.load_state_dict(checkpoint["model"])
        optimizer.load_state_dict(checkpoint["optimizer"])
        scaler.load_state_dict(checkpoint["scaler"])
        strategy.load_state_dict(checkpoint["strategy"])
        return _Progress(**checkpoint["progress"])
    except DAMAGED as error:
        raise RunError(
            f"The checkpoint {path} is damaged, or of another model ({type(error).__name__}).",
            remedy="Train elsewhere with --out, or delete the folder to begin anew.",
        ) from None


def _load_selected(folder: Path, progress: _Progress, model: nn.Module) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path, device = _selected_file(folder, progress.selected_epoch), next(model.parameters()).device
    try:
        model.load_state_dict(load_file(path, device=str(device)))
    except (FileNotFoundError, SafetensorError, RuntimeError):
        raise RunError(
            f"The selected weights {path} are missing, damaged or of another model.",
            remedy="Train elsewhere with --out, or delete the folder to begin anew.",
        ) from None


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


def _line(entry: Mapping[str, float], settings: LoopSettings, progress: _Progress) -> str:
    """Return what a person wants to see of an epoch."""
    shown = [f"{name} {value:.4f}" for name, value in entry.items() if name not in ("epoch", "lr", "seconds")]
    left_s = entry["seconds"] * (settings.epochs - progress.next_epoch)
    kept = " (kept)" if settings.select != "last" and progress.selected_epoch == progress.next_epoch - 1 else ""
    return (
        f"epoch {progress.next_epoch}/{settings.epochs}: {', '.join(shown)}, lr {entry['lr']:.2g}, "
        f"{entry['seconds']:.1f} s, at most {left_s:.0f} s left{kept}"
    )
