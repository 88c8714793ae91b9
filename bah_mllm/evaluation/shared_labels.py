"""What two systems have in common: equal labels, equal errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Bool, Int

__all__ = ["SharedLabels", "labels_in_common"]


class SharedLabels(NamedTuple):
    """What the hard labels of two systems have in common, over the items that both scored.

    Args:
        share_equal: Share of equal labels.
        kappa: Cohen's kappa, what of that goes beyond chance; None where chance alone makes all labels equal.
        n_both_right: Items that both have right.
        n_first_only_right: Items that only the first has right.
        n_second_only_right: Items that only the second has right.
        n_both_wrong: Items that both have wrong.
        error_overlap: Items that both have wrong, as a share of those that either has wrong; None without errors.
    """

    share_equal: float
    kappa: float | None
    n_both_right: int
    n_first_only_right: int
    n_second_only_right: int
    n_both_wrong: int
    error_overlap: float | None


def labels_in_common(
    labels: Int[np.ndarray, " items"], first: Bool[np.ndarray, " items"], second: Bool[np.ndarray, " items"]
) -> SharedLabels:
    """Return what two systems' hard labels have in common.

    Args:
        labels: 0 or 1, shape (items,), at least one item.
        first: Positive according to the first, shape (items,).
        second: Positive according to the second, shape (items,).

    References:
        Cohen 1960, "A coefficient of agreement for nominal scales".
    """
    is_equal = float((first == second).mean())
    by_chance = float(first.mean() * second.mean() + (~first).mean() * (~second).mean())
    right, other_right = first == (labels == 1), second == (labels == 1)
    n_wrong = int((~right | ~other_right).sum())
    n_both_wrong = int((~right & ~other_right).sum())
    return SharedLabels(
        share_equal=is_equal,
        kappa=(is_equal - by_chance) / (1 - by_chance) if by_chance < 1 else None,
        n_both_right=int((right & other_right).sum()),
        n_first_only_right=int((right & ~other_right).sum()),
        n_second_only_right=int((~right & other_right).sum()),
        n_both_wrong=n_both_wrong,
        error_overlap=n_both_wrong / n_wrong if n_wrong else None,
    )
