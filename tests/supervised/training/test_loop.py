"""The loop: what it computes, what survives a kill, which epoch it keeps."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file
from torch import nn

from bah_mllm.core.errors import ConfigError, RunError
from supervised.models import build_model
from supervised.records import IGNORED, StepLoss
from supervised.training.cross_entropy import Classification, ClassificationSettings
from supervised.training.loop import LoopSettings, NotFiniteError, fit, lr_factor
from tests.supervised.made_up import MADE_UP_DIMS, made_up_videos

VIDEOS = made_up_videos(6, seed=1)
DATA = ClassificationSettings(window_frames=32, hop_frames=16, batch_windows=4)


def settings(**values) -> LoopSettings:
    return LoopSettings(**{"epochs": 3, "lr": 0.05, "device": "cpu", **values})


def trained(folder: Path, *, seed: int = 0, validate=None, data: ClassificationSettings = DATA, **values) -> nn.Module:
    torch.manual_seed(seed)
    model = build_model("tcn", {"text": MADE_UP_DIMS["text"]})
    videos = [_text_only(video) for video in VIDEOS]
    fit(model, Classification(videos, data, seed=seed), settings(**values), folder=folder, seed=seed, validate=validate)
    return model


def _text_only(video):
    from dataclasses import replace

    return replace(video, features={"text": video.features["text"]}, is_valid={"text": video.is_valid["text"]})


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([tensor.detach().double().reshape(-1) for tensor in model.state_dict().values()])


def test_one_seed_gives_the_same_weights_twice_and_another_seed_others(tmp_path):
    first, again, other = (trained(tmp_path / name, seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1)))
    assert torch.equal(weights(first), weights(again))
    assert not torch.equal(weights(first), weights(other))


@pytest.mark.parametrize("killed_in", [1, 2])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_an_interrupted_run_goes_on_to_bit_equal_weights(tmp_path, killed_in, optimizer):
    calls = []

    def validate(model):
        calls.append(1)
        if len(calls) == killed_in:
            raise KeyboardInterrupt
        return {"score": float(len(calls) % 2)}

    values = {"optimizer": optimizer, "schedule": "cosine", "lr": 0.01}
    whole = trained(tmp_path / "whole", **values)
    with pytest.raises(KeyboardInterrupt):
        trained(tmp_path / "killed", validate=validate, **values)
    resumed = trained(tmp_path / "killed", **values)
    assert torch.equal(weights(whole), weights(resumed))


def test_a_finished_run_is_not_trained_again(tmp_path):
    model = trained(tmp_path)
    before = (tmp_path / "checkpoint.pt").read_bytes()
    again = trained(tmp_path)
    assert torch.equal(weights(model), weights(again))
    assert (tmp_path / "checkpoint.pt").read_bytes() == before


class Quadratic:
    """A strategy without data: half the squared distance of one parameter from each batch's value."""

    def __init__(self, values, weight=lambda value: 1.0):
        self.values, self._weight = values, weight

    def parameter_groups(self, model):
        return [{"params": list(model.parameters())}]

    def n_batches(self, epoch):
        return len(self.values)

    def begin_epoch(self, model, epoch):
        pass

    def batches(self, epoch):
        yield from self.values

    def weight(self, batch):
        return self._weight(batch)

    def loss(self, model, batch):
        return StepLoss((model.bias - batch).square().sum() / 2, {})

    def state_dict(self):
        return {}

    def load_state_dict(self, state):
        pass


def scalar() -> nn.Linear:
    model = nn.Linear(1, 1)
    nn.init.zeros_(model.bias)
    model.weight.requires_grad_(requires_grad=False)
    return model


def test_steps_are_those_of_plain_gradient_descent(tmp_path):
    model = scalar()
    fit(model, Quadratic([1.0, 3.0]), settings(epochs=1, lr=0.5, momentum=0.0), folder=tmp_path)
    assert model.bias.item() == pytest.approx(0.5 + 0.5 * (3 - 0.5))  # x += lr (value - x), twice by hand


def test_accumulated_batches_are_weighed_by_what_counts_in_them(tmp_path):
    model = scalar()
    strategy = Quadratic([1.0, 4.0], weight=lambda value: 3.0 if value == 1.0 else 1.0)
    fit(model, strategy, settings(epochs=1, lr=1.0, momentum=0.0, accumulate=2), folder=tmp_path)
    assert model.bias.item() == pytest.approx((3 * 1 + 1 * 4) / 4)


def test_a_batch_that_counts_nothing_makes_no_step(tmp_path):
    model = scalar()
    fitted = fit(model, Quadratic([5.0], weight=lambda _: 0.0), settings(epochs=1), folder=tmp_path)
    assert model.bias.item() == 0.0
    assert math.isnan(fitted.history[0]["loss"])


@pytest.mark.parametrize(
    ("values", "make"),
    [
        (
            {"schedule": "cosine", "lr_min": 0.01},
            lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 12, eta_min=0.01),
        ),
        (
            {"schedule": "step", "step_epochs": 1, "gamma": 0.5},
            lambda o: torch.optim.lr_scheduler.StepLR(o, 3, gamma=0.5),
        ),
        (
            {"schedule": "poly"},
            lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda step: (1 + 10 * step / 12) ** -0.75),
        ),
    ],
)
def test_schedules_are_those_of_torch(values, make):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    theirs = make(optimizer)
    mine = settings(epochs=4, lr=0.1, **values)
    for step in range(12):
        assert 0.1 * lr_factor(mine, step, steps_per_epoch=3) == pytest.approx(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()


def test_the_step_schedule_stops_at_its_floor():
    mine = settings(epochs=9, lr=1.0, schedule="step", step_epochs=1, gamma=0.1, lr_min=0.005)
    assert lr_factor(mine, 8, steps_per_epoch=1) == 0.005


def test_warm_up_rises_and_then_the_schedule_begins():
    mine = settings(epochs=10, lr=1.0, schedule="cosine", warmup_epochs=2)
    factors = [lr_factor(mine, step, steps_per_epoch=2) for step in range(20)]
    assert factors[:4] == sorted(factors[:4])
    assert factors[3] < 1.0
    assert factors[4] == 1.0
    assert factors[4:] == sorted(factors[4:], reverse=True)


def test_the_epoch_with_the_best_metric_is_kept_and_of_equal_ones_the_later(tmp_path):
    scores, seen = iter([0.5, 0.9, 0.9, 0.1]), []

    def validate(model):
        seen.append(model.bias.item())
        return {"score": next(scores)}

    model = scalar()
    values = settings(epochs=4, lr=0.1, momentum=0.0, select="score")
    fitted = fit(model, Quadratic([1.0]), values, folder=tmp_path, validate=validate)
    assert fitted.selected_epoch == 2
    assert model.bias.item() == seen[2]


def test_training_stops_when_the_metric_no_longer_improves_but_not_before_min_epochs(tmp_path):
    for name, min_epochs, expected in (("early", 1, 3), ("later", 5, 5)):
        scores = iter([0.5, 0.4, 0.3, 0.2, 0.1, 0.0])
        values = settings(epochs=6, select="score", patience_epochs=2, min_epochs=min_epochs)
        fitted = fit(
            scalar(), Quadratic([1.0]), values, folder=tmp_path / name, validate=lambda _, s=scores: {"score": next(s)}
        )
        assert (fitted.n_epochs, fitted.selected_epoch) == (expected, 0)


def test_an_undefined_metric_never_wins(tmp_path):
    scores = iter([0.2, None, 0.1])
    values = settings(epochs=3, select="score")
    fitted = fit(scalar(), Quadratic([1.0]), values, folder=tmp_path, validate=lambda _: {"score": next(scores)})
    assert fitted.selected_epoch == 0


def test_a_metric_that_is_undefined_in_every_epoch_keeps_the_last_and_says_so(tmp_path, capsys):
    values = settings(epochs=3, select="score", patience_epochs=1)
    fitted = fit(scalar(), Quadratic([1.0]), values, folder=tmp_path, validate=lambda _: {"score": None})
    assert (fitted.n_epochs, fitted.selected_epoch) == (3, 2)
    assert "score was undefined in every epoch" in capsys.readouterr().err


def test_selecting_without_validation_is_refused_before_training(tmp_path):
    with pytest.raises(ConfigError, match="nothing to validate on"):
        fit(scalar(), Quadratic([1.0]), settings(select="val_ap"), folder=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_training_loss_is_no_metric_to_select_by(tmp_path):
    with pytest.raises(ConfigError, match="'loss'"):
        fit(scalar(), Quadratic([1.0]), settings(select="loss"), folder=tmp_path, validate=lambda _: {"score": 1.0})


def test_selecting_by_an_unknown_metric_says_which_there_are(tmp_path):
    with pytest.raises(ConfigError, match="'val_f2'") as caught:
        fit(scalar(), Quadratic([1.0]), settings(select="val_f2"), folder=tmp_path, validate=lambda _: {"val_f1": 1.0})
    assert "val_f1" in caught.value.remedy


def test_a_loss_that_is_not_finite_is_an_error_not_a_model(tmp_path):
    with pytest.raises(NotFiniteError, match="nan in epoch 0"):
        fit(scalar(), Quadratic([math.nan]), settings(), folder=tmp_path)


def test_a_checkpoint_of_another_model_is_refused(tmp_path):
    fit(scalar(), Quadratic([1.0]), settings(epochs=1), folder=tmp_path)
    with pytest.raises(RunError, match="of another model"):
        fit(nn.Linear(2, 2), Quadratic([1.0]), settings(epochs=2), folder=tmp_path)


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda _: b"no checkpoint", lambda _: b""])
def test_a_damaged_checkpoint_is_an_error_with_a_remedy(tmp_path, damage):
    fit(scalar(), Quadratic([1.0]), settings(epochs=1), folder=tmp_path)
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(RunError, match="damaged") as caught:
        fit(scalar(), Quadratic([1.0]), settings(epochs=2), folder=tmp_path)
    assert "--out" in caught.value.remedy


def test_selected_weights_that_are_gone_are_not_made_up(tmp_path):
    fit(scalar(), Quadratic([1.0]), settings(epochs=1), folder=tmp_path)
    (tmp_path / "selected-0.safetensors").unlink()
    with pytest.raises(RunError, match="missing"):
        fit(scalar(), Quadratic([1.0]), settings(epochs=1), folder=tmp_path)


def test_label_smoothing_with_class_weights_accumulates_like_one_batch():
    data = DATA.model_copy(update={"class_weights": (1.0, 3.0), "label_smoothing": 0.1, "batch_windows": 2})
    whole = DATA.model_copy(update={"class_weights": (1.0, 3.0), "label_smoothing": 0.1, "batch_windows": 4})
    videos = [_text_only(video) for video in VIDEOS]
    strategies = [Classification(videos, one, seed=0) for one in (data, whole)]

    class Linear(nn.Module):
        def forward(self, features, is_real):
            z = features["text"][..., 0]
            return torch.stack([torch.zeros_like(z), z], dim=-1)

    halves, (both, *_) = (list(strategy.batches(0)) for strategy in strategies)
    parts = [(strategies[0].weight(b), strategies[0].loss(Linear(), b).total.item()) for b in halves[:2]]
    total = sum(weight for weight, _ in parts)
    assert strategies[1].weight(both) == pytest.approx(total)
    expected = sum(weight * loss for weight, loss in parts) / total
    assert strategies[1].loss(Linear(), both).total.item() == pytest.approx(expected, rel=1e-5)


def test_patience_without_a_metric_is_refused():
    with pytest.raises(ValidationError, match="patience_epochs"):
        settings(patience_epochs=2)


def test_the_log_has_a_line_an_epoch_and_tensorboard_is_written_on_request(tmp_path):
    trained(tmp_path, validate=lambda _: {"score": 0.25}, tensorboard=True)
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert lines[0].split(",")[:3] == ["epoch", "lr", "loss"]
    assert len(lines) == 4
    assert lines[1].split(",")[lines[0].split(",").index("score")] == "0.25"
    assert list((tmp_path / "tensorboard").iterdir())


def test_frozen_normalisation_keeps_its_statistics(tmp_path):
    free, frozen = trained(tmp_path / "a"), trained(tmp_path / "b", freeze_normalisation=True)
    fresh = build_model("tcn", {"text": MADE_UP_DIMS["text"]})
    names = [name for name, _ in fresh.named_buffers() if "running_mean" in name]
    assert names
    for name in names:
        assert torch.equal(frozen.state_dict()[name], fresh.state_dict()[name])
        assert not torch.equal(free.state_dict()[name], fresh.state_dict()[name])


def test_half_precision_trains_to_nearly_the_same_loss(tmp_path):
    losses = {}
    for precision in ("fp32", "bf16"):
        trained(tmp_path / precision, precision=precision, lr=0.01)
        lines = (tmp_path / precision / "log.csv").read_text().splitlines()
        losses[precision] = float(lines[-1].split(",")[2])
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.03)


def test_accumulating_two_batches_equals_one_of_both(tmp_path):
    # one step of all windows: later steps would enlarge the rounding of a sum's order
    n_windows = len(Classification([_text_only(video) for video in VIDEOS], DATA, seed=0)._windows)
    big = DATA.model_copy(update={"batch_windows": n_windows})
    small = DATA.model_copy(update={"batch_windows": n_windows * 2 // 3})  # two batches of unequal weight
    frozen = {"freeze_normalisation": True, "epochs": 1, "precision": "fp32"}
    torch.manual_seed(0)
    model = build_model("tcn", {"text": MADE_UP_DIMS["text"]}, dropout=0.0)
    start = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    videos = [_text_only(video) for video in VIDEOS]
    results = []
    for name, data, accumulate in (("one", big, 1), ("two", small, 2)):
        model.load_state_dict(start)
        fit(
            model,
            Classification(videos, data, seed=0),
            settings(accumulate=accumulate, **frozen),
            folder=tmp_path / name,
        )
        results.append(weights(model))
    assert (results[0] - results[1]).abs().max() < 1e-6
    assert (results[0] - torch.cat([t.double().reshape(-1) for t in start.values()])).abs().max() > 1e-3


def test_the_loss_is_the_weighted_cross_entropy_of_what_is_labelled():
    data = DATA.model_copy(update={"class_weights": (1.0, 3.0)})
    strategy = Classification([_text_only(video) for video in VIDEOS], data, seed=0)
    batch = next(iter(strategy.batches(0)))
    assert batch is not None

    class Constant(nn.Module):
        def forward(self, features, is_real):
            return torch.tensor([0.0, 1.0]).expand(*is_real.shape, 2)

    known = batch.labels[batch.labels != IGNORED].numpy()
    per_frame = np.where(known == 1, math.log(1 + math.exp(-1)), math.log(1 + math.exp(1)))
    frame_weights = np.where(known == 1, 3.0, 1.0)
    expected = (per_frame * frame_weights).sum() / frame_weights.sum()
    assert strategy.loss(Constant(), batch).total.item() == pytest.approx(expected, rel=1e-5)
    assert strategy.weight(batch) == pytest.approx(frame_weights.sum())


_SCRIPT = """
import sys, torch
from pathlib import Path
from accelerate import PartialState
state = PartialState(cpu=True)
Path(f"{sys.argv[1]}-{state.process_index}-of-{state.num_processes}").touch()
from supervised.models import build_model
from supervised.training.cross_entropy import Classification, ClassificationSettings
from supervised.training.loop import LoopSettings, fit
from supervised.training.processes import Shard
from tests.supervised.made_up import MADE_UP_DIMS, made_up_videos
torch.manual_seed(0)
model = build_model("lfan", MADE_UP_DIMS, dropout=0.0)
data = ClassificationSettings(window_frames=32, hop_frames=16, batch_windows=5)
strategy = Classification(made_up_videos(6, seed=1), data, seed=0, shard=Shard.current("cpu"))
settings = LoopSettings(epochs=2, lr=0.05, device="cpu", freeze_normalisation=True)
fit(model, strategy, settings, folder=Path(sys.argv[1]), quiet=True)
"""


@pytest.mark.slow
def test_two_processes_make_the_steps_of_one(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(_SCRIPT)
    two = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    subprocess.run([sys.executable, str(script), str(tmp_path / "one")], check=True, env=environment)
    subprocess.run([*two, str(script), str(tmp_path / "two")], check=True, env=environment)
    there = {path.name for path in tmp_path.glob("*-of-*")}
    assert there == {"one-0-of-1", "two-0-of-2", "two-1-of-2"}  # `accelerate launch --cpu` starts one process only
    one, both = (load_file(tmp_path / name / "selected-1.safetensors") for name in ("one", "two"))
    assert max((one[name] - both[name]).abs().max().item() for name in one) < 1e-5
    losses = [np.loadtxt(tmp_path / name / "log.csv", delimiter=",", skiprows=1)[:, 2] for name in ("one", "two")]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)
