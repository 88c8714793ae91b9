"""Steps of the source-free methods under ``faithful``: rates and momentum as the loops of the public codes set them."""

from __future__ import annotations

import pytest
import torch

from bah_mllm.core.errors import RunError
from supervised.adaptation import recipe as recipes

LR = 1e-4  # of both recipes, appendix E.3.2
BACKBONE = 0.1


def counted_before_the_rate_is_set(max_iter: int) -> list[float]:
    """Return the factors of SHOT's loop: it counts a step, then sets the rate by the count, then makes the step."""
    factors, iter_num = [], 0
    while iter_num < max_iter:
        iter_num += 1
        factors.append((1 + 10 * iter_num / max_iter) ** (-0.75))
    return factors


@pytest.fixture
def steps(monkeypatch) -> list[tuple[list[float], bool]]:
    """Collect the rates of both groups of parameters, and whether momentum is Nesterov's, at every step."""
    seen: list[tuple[list[float], bool]] = []
    step = torch.optim.SGD.step

    def noting(self, *args, **kwargs):
        groups = self.param_groups
        seen.append(([group["lr"] for group in groups], all(group["nesterov"] for group in groups)))
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.SGD, "step", noting)
    return seen


@pytest.mark.parametrize(
    ("method", "factors"), [("shot", counted_before_the_rate_is_set), ("nrc", lambda n: [1.0] * n)]
)
def test_faithful_steps_have_the_rates_and_the_momentum_of_the_public_code(method, factors, run, tmp_path, steps):
    run(method, tmp_path / "run", "faithful=true", "loop.epochs=3", targets=("90007",))
    assert len(steps) > 6
    expected = [[LR * BACKBONE * factor, LR * factor] for factor in factors(len(steps))]
    torch.testing.assert_close(torch.tensor([rates for rates, _ in steps]), torch.tensor(expected))
    assert all(is_nesterov for _, is_nesterov in steps)


@pytest.mark.parametrize("method", ["shot", "nrc"])
def test_other_steps_begin_at_the_full_rate_with_plain_momentum(method, run, tmp_path, steps):
    run(method, tmp_path / "run", "loop.epochs=3", targets=("90007",))
    n = len(steps)
    expected = [LR * (1 + 10 * number / n) ** -0.75 for number in range(n)]
    assert [rates[1] for rates, _ in steps] == pytest.approx(expected)
    assert not any(is_nesterov for _, is_nesterov in steps)


@pytest.mark.parametrize(("method", "what"), [("shot", "nesterov"), ("nrc", "nesterov"), ("sub_based", None)])
def test_a_faithful_run_of_other_steps_is_not_gone_on_with(method, what, run, tmp_path, monkeypatch):
    with monkeypatch.context() as before:
        before.setattr(recipes, "_FAITHFUL_LOOP", {})
        run(method, tmp_path / "run", "faithful=true", targets=("90007",))
        run(method, tmp_path / "plain", targets=("90007",))
    run(method, tmp_path / "plain", targets=("90007",))
    if what is None:
        run(method, tmp_path / "run", "faithful=true", targets=("90007",))
    else:
        with pytest.raises(RunError, match=f"recipe.loop.{what} = False"):
            run(method, tmp_path / "run", "faithful=true", targets=("90007",))
