"""One video over time as a picture: signals, observed cues, words and annotated A/H segments.

The picture has, from top to bottom and on one time axis: a panel a signal with what is usual for the person, one row a
cue with a bar an event (the taller, the stronger), and the words. Colours are those of Okabe and Ito ("Color universal
design", 2008), which people with any of the common colour vision deficiencies can tell apart; nothing is told by
colour alone.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bah_mllm.core.files import write_atomically
from bah_mllm.core.loading import import_optional
from bah_mllm.report.timeline import (
    NAME_OF_STRENGTH,
    Timeline,
    TimelineRow,
    inside,
    printable,
    shortened,
    timeline_rows,
)

if TYPE_CHECKING:
    from jaxtyping import Float
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Band", "Curve", "draw_timeline"]

Curve = tuple["Float[np.ndarray, ' samples']", "Float[np.ndarray, ' samples']"]
"""Times in seconds, ascending, and values, NaN where unknown."""
Band = tuple[float, float]
"""Centre and spread."""

_COLOUR_OF_MODALITY = {
    "face": "#0072B2",
    "body": "#E69F00",
    "voice": "#009E73",
    "audio": "#009E73",  # the codebook's name for voice
    "words": "#CC79A7",
    "language": "#CC79A7",  # the codebook's name for words
    "clash": "#D55E00",
    "extra": "#56B4E9",
}
_OTHER_COLOUR = "#555555"
_SEGMENT_COLOUR = "#F0E442"
_LINE_COLOURS = ("#222222", "#D55E00")
_HEIGHT_OF_STRENGTH = {1: 0.28, 2: 0.55, 3: 0.85}

_DPI = 100
_WIDTH_PX, _LEFT_PX, _RIGHT_PX, _TOP_PX, _BOTTOM_PX = 1600, 180, 100, 92, 48
_SIGNAL_PX, _EVENT_ROW_PX, _GAP_PX = 84, 21, 9
_PLOT_PX = _WIDTH_PX - _LEFT_PX - _RIGHT_PX
_MIN_BAR_PX = 3.0  # a blink within ten minutes is a third of a pixel long
_CHARACTER_PX = 0.602 * _DPI / 72  # advance width of DejaVu Sans Mono at one point
_MAX_WORD_CHARACTERS = 24

_MAX_LABEL_COLUMNS, _MAX_MODALITY_COLUMNS = 26, 12


class _WordSize(NamedTuple):
    points: float
    row_px: int
    max_rows: int


_WORD_SIZES = (_WordSize(8.5, 18, 12), _WordSize(6.8, 12, 64))  # the second for minutes of speech


class _Panel(NamedTuple):
    """A panel of the picture: what it is called, and the signals in it with the name of each in the legend."""

    label: str
    lines: Mapping[str, str]


_PANELS = (
    _Panel("head yaw, deg\n(+ image right)", {"head_yaw": ""}),
    _Panel("head pitch, deg\n(+ down)", {"head_pitch": ""}),
    _Panel("head roll, deg\n(+ clockwise)", {"head_roll": ""}),
    _Panel("eye openness,\naspect ratio", {"eye_left": "image left", "eye_right": "image right"}),
    _Panel("mouth opening,\neye-corner spans", {"mouth_opening": ""}),
    _Panel("brow height,\neye-corner spans", {"brow_left": "image left", "brow_right": "image right"}),
    _Panel("pitch, semitones\nre 100 Hz", {"pitch": ""}),
    _Panel("loudness, dB\nre own speech", {"loudness": ""}),
)


class _PlacedWord(NamedTuple):
    text: str
    start_s: float
    stop_s: float
    row: int


class _Words(NamedTuple):
    placed: Sequence[_PlacedWord]
    size: _WordSize
    n_left_out: int

    @property
    def n_rows(self) -> int:
        return 1 + max(word.row for word in self.placed)


def draw_timeline(path: Path, timeline: Timeline, *, tracks: Mapping[str, Curve], usual: Mapping[str, Band]) -> Path:
    """Draw a video over time into a PNG file of 1600 pixels' width, and return the file.

    Args:
        path: File to write; its folder is made where missing.
        timeline: What is shown below the signals.
        tracks: Signal name to times in seconds (ascending) and values (NaN where unknown). Drawn are head_yaw,
            head_pitch, head_roll, eye_left and eye_right, mouth_opening, brow_left and brow_right, pitch, loudness, in
            this order, as far as they are there.
        usual: Signal name to centre and spread of what is usual for the person, in the unit of the signal.

    Raises:
        PrerequisiteError: matplotlib is not installed.
    """
    matplotlib = import_optional("matplotlib", extra="report", purpose="drawing a timeline")
    from matplotlib import style
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    span_s = timeline.duration_s if timeline.duration_s > 0 else 1.0
    panels = [panel for panel in _PANELS if any(name in tracks for name in panel.lines)]
    rows = timeline_rows(timeline)
    spoken = _place_words(timeline.words, span_s, timeline.duration_s)
    heights_px = [_SIGNAL_PX] * len(panels) + [_EVENT_ROW_PX * max(2, len(rows))]
    if spoken.placed:
        heights_px.append(spoken.size.row_px * spoken.n_rows + 6)
    with style.context("default"), matplotlib.rc_context({"font.size": 8.5, "axes.linewidth": 0.6}):
        figure = Figure(dpi=_DPI)
        FigureCanvasAgg(figure)
        axes = _stack(figure, heights_px, span_s)
        for axis in axes:
            _shade(axis, timeline.segments, timeline.duration_s)
        for panel, axis in zip(panels, axes, strict=False):
            _draw_signals(axis, panel, tracks, usual)
        _draw_events(axes[len(panels)], rows, span_s)
        if spoken.placed:
            _draw_words(axes[-1], spoken)
        if not timeline.duration_s > 0:
            axes[-1].set_xlabel("length unknown")
        _head(figure, timeline.title, rows, has_segments=bool(timeline.segments), has_usual=bool(panels))
        buffer = io.BytesIO()
        with warnings.catch_warnings():
            # A word in a script that the font lacks becomes a box; the warning would put its characters into a log.
            warnings.filterwarnings("ignore", message=r"(?s).*[Gg]lyph")
            figure.savefig(buffer, format="png", dpi=_DPI)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, buffer.getvalue())
    return path


def _place_words(words: Sequence[tuple[str, float, float]], span_s: float, duration_s: float) -> _Words:
    """Give words rows in turn, as few as leave room for each, and as large as possible.

    Taking turns keeps the order of reading: down a column, then on to the next.
    """
    cut = []
    for text, start_s, stop_s in sorted(words, key=lambda word: word[1]):
        shown = printable(text)
        shown = shown if len(shown) <= _MAX_WORD_CHARACTERS else shown[: _MAX_WORD_CHARACTERS - 1] + "…"
        # A word may lack a length, but not a place.
        if shown and 0 <= start_s < duration_s:
            cut.append((shown, start_s, min(max(stop_s, start_s), duration_s)))
    for size in _WORD_SIZES:
        character_s = size.points * _CHARACTER_PX * span_s / _PLOT_PX
        ends_s = [max(stop_s, start_s + (len(text) + 1) * character_s) for text, start_s, stop_s in cut]
        for n_rows in range(1, size.max_rows + 1):
            if all(ends_s[k] <= cut[k + n_rows][1] for k in range(len(cut) - n_rows)):
                return _Words([_PlacedWord(*word, k % n_rows) for k, word in enumerate(cut)], size, 0)
    placed: list[_PlacedWord] = []
    free_s = [0.0] * size.max_rows
    for word, end_s in zip(cut, ends_s, strict=True):
        after = placed[-1].row + 1 if placed else 0
        in_turn = [(after + k) % size.max_rows for k in range(size.max_rows)]
        row = next((row for row in in_turn if free_s[row] <= word[1]), None)
        if row is not None:
            placed.append(_PlacedWord(*word, row))
            free_s[row] = end_s
    return _Words(placed, size, len(cut) - len(placed))


def _stack(figure: Figure, heights_px: Sequence[int], span_s: float) -> list[Axes]:
    """Return axes below one another on one time axis, and make the figure as high as they need."""
    height_px = _TOP_PX + sum(heights_px) + _GAP_PX * (len(heights_px) - 1) + _BOTTOM_PX
    figure.set_size_inches(_WIDTH_PX / _DPI, height_px / _DPI)
    axes, top_px = [], height_px - _TOP_PX
    for height in heights_px:
        box = (_LEFT_PX / _WIDTH_PX, (top_px - height) / height_px, _PLOT_PX / _WIDTH_PX, height / height_px)
        axis = figure.add_axes(box)
        axis.set_xlim(0, span_s)
        axis.tick_params(labelbottom=False, length=3)
        axis.grid(axis="x", color="#dddddd", linewidth=0.5)
        axis.set_axisbelow(True)
        axes.append(axis)
        top_px -= height + _GAP_PX
    axes[-1].tick_params(labelbottom=True)
    axes[-1].set_xlabel("time, s")
    axes[0].tick_params(top=True, labeltop=True)
    return axes


def _shade(axis: Axes, segments: Sequence[tuple[float, float]], duration_s: float) -> None:
    for start_s, stop_s in inside(segments, duration_s):
        axis.axvspan(start_s, stop_s, facecolor=_SEGMENT_COLOUR, alpha=0.35, linewidth=0, zorder=0)
        for border_s in (start_s, stop_s):
            axis.axvline(border_s, color="#666666", linewidth=0.8, linestyle=(0, (4, 2)), zorder=1)


def _draw_signals(
    axis: Axes,
    panel: _Panel,
    tracks: Mapping[str, Curve],
    usual: Mapping[str, Band],
) -> None:
    axis.set_ylabel(panel.label, rotation=0, ha="right", va="center")
    axis.yaxis.set_label_coords(-44 / _PLOT_PX, 0.5)
    axis.locator_params(axis="y", nbins=4)
    is_known = False
    for (name, side), colour, style in zip(panel.lines.items(), _LINE_COLOURS, ("-", "--"), strict=False):
        if name not in tracks:
            continue
        t_s, values = tracks[name]
        known = np.isfinite(values)
        is_known |= bool(known.any())
        values = np.where(known, values, np.nan)
        axis.plot(t_s, values, color=colour, linewidth=1.1, linestyle=style, label=side)
        alone = known & ~np.r_[False, known[:-1]] & ~np.r_[known[1:], False]
        axis.plot(t_s[alone], values[alone], ".", color=colour, markersize=3)  # a line needs two
        if name in usual and known.any():
            centre, spread = usual[name]
            axis.axhspan(centre - spread, centre + spread, facecolor=colour, alpha=0.15, linewidth=0, zorder=0.5)
            axis.axhline(centre, color=colour, linewidth=0.6, linestyle=":", zorder=1)
    if not is_known:
        axis.text(0.5, 0.5, "never observed", transform=axis.transAxes, ha="center", va="center", color="#555555")
        axis.set_yticks([])
    if is_known and len(panel.lines) > 1:
        axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=7, handlelength=1.6)


def _draw_events(axis: Axes, rows: Sequence[TimelineRow], span_s: float) -> None:
    """Draw a row a code; the name of each modality stands at the right."""
    axis.grid(visible=False, axis="y")
    if not rows:
        axis.set_yticks([])
        axis.set_ylabel("cues", rotation=0, ha="right", va="center")
        axis.text(0.5, 0.5, "no cues", transform=axis.transAxes, ha="center", va="center", color="#555555")
        return
    least_s = _MIN_BAR_PX * span_s / _PLOT_PX
    for place, row in enumerate(rows):
        for strength, height in _HEIGHT_OF_STRENGTH.items():
            lengths_s = [(e.start_s, max(e.stop_s - e.start_s, least_s)) for e in row.events if e.strength == strength]
            # Of a bar at the very end, the part that makes it visible lies before the end.
            bars = [(min(start_s, span_s - length_s), length_s) for start_s, length_s in lengths_s]
            colour = _COLOUR_OF_MODALITY.get(row.modality, _OTHER_COLOUR)
            axis.broken_barh(bars, (place - height / 2, height), facecolor=colour, linewidth=0, zorder=3)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_yticks(range(len(rows)), [shortened(row.code, _MAX_LABEL_COLUMNS) for row in rows], parse_math=False)
    axis.tick_params(axis="y", length=0)
    modalities = [row.modality for row in rows]
    for modality in dict.fromkeys(modalities):
        first, n = modalities.index(modality), modalities.count(modality)
        axis.axhspan(first - 0.5, first + n - 0.5, facecolor="none", edgecolor="#999999", linewidth=0.5)
        axis.annotate(
            shortened(modality, _MAX_MODALITY_COLUMNS),
            (1.006, first + n / 2 - 0.5),
            xycoords=("axes fraction", "data"),
            va="center",
            parse_math=False,
        )


def _draw_words(axis: Axes, words: _Words) -> None:
    axis.set_ylim(words.n_rows + 0.2, 0)
    axis.set_yticks([])
    left_out = f"\n({words.n_left_out:,} left out:\nno room)" if words.n_left_out else ""
    axis.set_ylabel(f"words{left_out}", rotation=0, ha="right", va="center")
    below = [word.row + 0.95 for word in words.placed]
    axis.hlines(
        below, [w.start_s for w in words.placed], [w.stop_s for w in words.placed], color="#888888", linewidth=1.2
    )
    for word in words.placed:
        axis.text(
            word.start_s,
            word.row + 0.84,
            word.text,
            family="DejaVu Sans Mono",
            fontsize=words.size.points,
            va="baseline",
            parse_math=False,
        )


def _head(figure: Figure, title: str, rows: Sequence[TimelineRow], *, has_segments: bool, has_usual: bool) -> None:
    """Add title and legend."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    height_px = figure.get_figheight() * _DPI
    left = _LEFT_PX / _WIDTH_PX
    figure.text(left, 1 - 18 / height_px, shortened(title, 160), fontsize=11, va="center", parse_math=False)
    handles: list[Any] = []
    if has_usual:
        handles.append(Patch(facecolor="#222222", alpha=0.15, label="usual for this person (centre ± spread)"))
    if has_segments:
        handles.append(Patch(facecolor=_SEGMENT_COLOUR, alpha=0.5, edgecolor="#666666", label="annotated A/H"))
    for modality in dict.fromkeys(row.modality for row in rows):
        colour = _COLOUR_OF_MODALITY.get(modality, _OTHER_COLOUR)
        handles.append(Patch(facecolor=colour, label=shortened(modality, _MAX_MODALITY_COLUMNS)))
    for strength, height in _HEIGHT_OF_STRENGTH.items() if rows else ():
        points = height * _EVENT_ROW_PX * 72 / _DPI
        name = f"{NAME_OF_STRENGTH[strength]} cue"
        handles.append(Line2D([], [], color="#888888", linewidth=points, solid_capstyle="butt", label=name))
    if handles:
        place = (left, 1 - 46 / height_px)
        legend = figure.legend(
            handles=handles, loc="center left", bbox_to_anchor=place, ncol=len(handles), frameon=False
        )
        for text in legend.get_texts():
            text.set_parse_math(False)
