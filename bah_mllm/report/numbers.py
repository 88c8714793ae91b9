"""How tables write numbers: four digits in files, three without the leading zero in the terminal's narrow columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

__all__ = ["UNDEFINED", "above_interval", "decimal", "difference", "figure", "with_deviation", "with_interval"]

UNDEFINED = "-"


def figure(value: float | None, places: int = 4) -> str:
    """Return a number with so many decimals, or a dash where there is none.

    >>> figure(0.25), figure(None)
    ('0.2500', '-')
    """
    return UNDEFINED if value is None else f"{value:.{places}f}"


def with_interval(value: float | None, bounds: Sequence[float] | None) -> str:
    """Return a number with its 95 % interval where one is known.

    >>> with_interval(0.25, (0.1, 0.4))
    '0.2500 [0.10, 0.40]'
    """
    if value is None or bounds is None:
        return figure(value)
    return f"{figure(value)} [{bounds[0]:.2f}, {bounds[1]:.2f}]"


def with_deviation(mean: float | None, sd: float | None) -> str:
    """Return a mean with its standard deviation where one is known.

    >>> with_deviation(0.1547, 0.1608), with_deviation(0.1547, None)
    ('0.1547 ± 0.1608', '0.1547')
    """
    return figure(mean) if mean is None or sd is None else f"{figure(mean)} ± {figure(sd)}"


def decimal(value: float, places: int) -> str:
    """Return a number from 0 to 1 without its leading zero: seven columns of a terminal hold an interval.

    >>> decimal(0.25, 2), decimal(1, 2)
    ('.25', '1.00')
    """
    text = f"{value:.{places}f}"
    return text.removeprefix("0") if text.startswith("0.") else text


def above_interval(
    value: float | None, bounds: tuple[float, float] | None, *, write: Callable[[float, int], str] = decimal
) -> str:
    """Return a number, on the next line its 95 % interval where one is known, for a cell in the terminal.

    Args:
        value: None is a dash.
        bounds: Of the interval.
        write: ``figure`` for numbers that may lie above 1.
    """
    lines = [UNDEFINED if value is None else write(value, 3)]
    if bounds is not None:
        lines.append(f"{write(bounds[0], 2)}-{write(bounds[1], 2)}")
    return "\n".join(lines)


def difference(value: float | None, bounds: tuple[float, float] | None, p_value: float | None) -> str:
    """Return a difference with its sign, below it interval and p-value where known, for a cell in the terminal."""
    if value is None:
        return UNDEFINED
    lines = [f"{value:+.3f}"]
    if bounds is not None:
        lines.append(f"{bounds[0]:+.2f} {bounds[1]:+.2f}")
    if p_value is not None:
        lines.append(f"p {decimal(p_value, 3)}")
    return "\n".join(lines)
