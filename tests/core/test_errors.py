"""Errors that a user can cause."""

from __future__ import annotations

import pickle

from bah_mllm.core.errors import DataError


def test_a_problem_that_quotes_a_huge_value_keeps_its_start_and_its_end() -> None:
    error = DataError(f"The split {'x' * 100_000} is unknown: a.csv, line 7.", remedy="Name another.")
    assert len(error.problem) < 1_600
    assert error.problem.startswith("The split xxx")
    assert error.problem.endswith("is unknown: a.csv, line 7.")
    again = pickle.loads(pickle.dumps(error))
    assert (again.problem, again.remedy) == (error.problem, error.remedy)


def test_a_problem_of_usual_length_is_kept_whole() -> None:
    problem = "x" * 1_500
    assert DataError(problem, remedy="Mend it.").problem == problem
