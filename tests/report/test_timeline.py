"""A video over time: everything lies where it was in time, whatever is missing, and no word gets into a log."""

from __future__ import annotations

import itertools
import logging
import sys

import numpy as np
import pytest
from PIL import Image

from bah_mllm.core.errors import PrerequisiteError
from bah_mllm.report.timeline import Timeline, TimelineEvent
from bah_mllm.report.timeline_picture import draw_timeline
from bah_mllm.report.timeline_text import timeline_text

FACE, BODY = (0x00, 0x72, 0xB2), (0xE6, 0x9F, 0x00)
# #F0E442 at 35 % over white, by hand: 255 - 0.35 * (255 - channel).
SHADE = (250, 246, 189)


def draw(path, **parts):
    signals = {name: parts.pop(name, {}) for name in ("tracks", "usual")}
    return draw_timeline(path, Timeline(**{"title": "v", "duration_s": 10.0, **parts}), **signals)


def pixels(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def near(picture, colour):
    return np.abs(picture - colour).max(axis=2) <= 2


def longest_run(row):
    """First and last column of the longest run of true values, and its length."""
    runs = [list(group) for is_true, group in itertools.groupby(range(len(row)), key=row.__getitem__) if is_true]
    best = max(runs, key=len, default=[0])
    return best[0], best[-1] + 1, len(best) if runs else 0


def bar(picture, colour):
    """Columns of the longest bar of a colour below the head, where the legend has its patches."""
    return max((longest_run(row) for row in near(picture[92:], colour)), key=lambda run: run[2])


@pytest.fixture
def figures(monkeypatch):
    """The figures drawn, for what pixels tell badly."""
    from matplotlib.figure import Figure

    drawn, save = [], Figure.savefig

    def keep(self, *args, **kwargs):
        drawn.append(self)
        return save(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", keep)
    return drawn


def constant(value, *, n=101):
    return np.linspace(0, 10, n), np.full(n, value)


def test_a_bar_lies_where_its_event_is(tmp_path):
    whole = TimelineEvent("face.smile", 0.0, 10.0, 2, "face")
    part = TimelineEvent("body.nod", 4.0, 6.5, 2, "body")
    picture = pixels(draw(tmp_path / "a.png", events=[part, whole]))
    left, _, width = bar(picture, FACE)
    start, stop, _ = bar(picture, BODY)
    assert width > 1200
    assert (start - left) / width == pytest.approx(0.4, abs=0.002)
    assert (stop - left) / width == pytest.approx(0.65, abs=0.002)


def test_a_stronger_event_has_a_taller_bar(tmp_path):
    heights = []
    for strength in (1, 2, 3):
        event = TimelineEvent("face.smile", 2.0, 8.0, strength, "face")
        found = near(pixels(draw(tmp_path / f"{strength}.png", events=[event]))[92:], FACE)
        heights.append(sum(longest_run(row)[2] > 500 for row in found))
    assert 4 <= heights[0] < heights[1] < heights[2]


def test_an_annotated_segment_is_shaded_over_signals_cues_and_words(tmp_path, figures):
    picture = pixels(
        draw(
            tmp_path / "a.png",
            tracks={"head_yaw": constant(0.0)},
            events=[TimelineEvent("face.smile", 0.0, 10.0, 1, "face")],
            words=[("a", 1.0, 1.2)],
            segments=[(2.0, 5.0)],
        )
    )
    left, _, width = bar(picture, FACE)
    rows_of_shade = [longest_run(row) for row in near(picture[92:], SHADE)]
    # Grid lines at every two seconds cut the shade: what counts is where the first run starts and the last ends.
    columns = np.flatnonzero(near(picture[92:], SHADE).any(axis=0))
    assert (columns[0] - left) / width == pytest.approx(0.2, abs=0.003)
    assert (columns[-1] + 1 - left) / width == pytest.approx(0.5, abs=0.003)
    for axis in figures[0].axes:
        box = axis.get_window_extent()
        top, bottom = len(picture) - round(box.y1) - 92, len(picture) - round(box.y0) - 92
        assert any(length > 100 for _, _, length in rows_of_shade[top:bottom])


def test_a_picture_is_1600_px_wide_and_as_high_as_it_needs(tmp_path):
    tracks = {name: constant(0.0) for name in ("head_yaw", "head_pitch", "eye_left", "pitch")}
    empty, full = pixels(draw(tmp_path / "a.png")), pixels(draw(tmp_path / "new" / "b.png", tracks=tracks))
    assert empty.shape[1] == full.shape[1] == 1600
    assert full.shape[0] - empty.shape[0] >= 4 * 80


def test_at_most_eight_signals_are_drawn_in_their_order_with_units(tmp_path, figures):
    names = ["loudness", "pitch", "brow_left", "brow_right", "mouth_opening", "eye_left", "eye_right"]
    names += ["head_roll", "head_pitch", "head_yaw", "gaze_x", "level"]
    draw(tmp_path / "a.png", tracks={name: constant(1.0) for name in names})
    labels = [axis.get_ylabel() for axis in figures[0].axes[:-1]]
    firsts = [
        "head yaw",
        "head pitch",
        "head roll",
        "eye openness",
        "mouth opening",
        "brow height",
        "pitch",
        "loudness",
    ]
    assert [label.split(",")[0] for label in labels] == firsts
    assert all("," in label for label in labels)
    assert "deg" in labels[0]
    assert "dB" in labels[7]


def test_the_band_is_the_centre_and_one_spread_to_both_sides(tmp_path, figures):
    draw(tmp_path / "a.png", tracks={"head_roll": constant(0.0)}, usual={"head_roll": (1.0, 2.5), "pitch": (0.0, 1.0)})
    panel = figures[0].axes[0]
    low, high = -1.5, 3.5
    extents = [patch.get_path().get_extents(patch.get_patch_transform()) for patch in panel.patches]
    assert [(box.y0, box.y1) for box in extents] == [pytest.approx((low, high))]
    assert panel.get_ylim()[0] <= low < high <= panel.get_ylim()[1]


def test_a_blink_is_seen_within_ten_minutes_even_at_the_very_end(tmp_path):
    for start_s in (300.0, 599.9):
        blink = TimelineEvent("face.blink", start_s, start_s + 0.1, 3, "face")
        assert bar(pixels(draw(tmp_path / "a.png", duration_s=600.0, events=[blink])), FACE)[2] >= 2


def test_the_words_of_ten_minutes_are_all_shown_and_none_covers_another(tmp_path, figures):
    rng = np.random.default_rng(3)
    starts_s = np.sort(rng.uniform(0, 595, 1300))
    words = [("x" * int(rng.integers(1, 9)), float(start_s), float(start_s) + 0.2) for start_s in starts_s]
    draw(tmp_path / "a.png", duration_s=600.0, words=words)
    axis = figures[0].axes[-1]
    assert len(axis.texts) == len(words)
    rows = {}
    for text in axis.texts:
        rows.setdefault(text.get_position()[1], []).append(text.get_window_extent())
    for boxes in rows.values():
        ordered = sorted(boxes, key=lambda box: box.x0)
        assert all(first.x1 <= second.x0 + 0.5 for first, second in itertools.pairwise(ordered))


def test_words_without_room_are_counted(tmp_path, figures):
    draw(tmp_path / "a.png", words=[("everything", 5.0, 5.1)] * 200)
    axis = figures[0].axes[-1]
    assert 0 < len(axis.texts) < 200
    assert f"{200 - len(axis.texts)} left out" in axis.get_ylabel()


def test_no_word_gets_into_warnings_logs_or_the_terminal(tmp_path, caplog, capfd, recwarn):
    caplog.set_level(logging.WARNING)
    words = [
        ("\u5bc6\u8a9e", 1.0, 1.5),
        ("\U0001f600", 2.0, 2.1),
        ("$\\secret_{$", 3.0, 3.2),
        ("a\nb\x1b[2J", 4.0, 4.0),
    ]
    draw(tmp_path / "a.png", words=[*words, ("", 5.0, 5.1), ("\ud800", 6.0, 6.1), ("long" * 500, 7.0, 7.1)])
    said = caplog.text + "".join(capfd.readouterr())
    assert not said
    assert not recwarn.list


@pytest.mark.parametrize("duration_s", [0.0, 0.02, 10.0, 7200.0])
def test_a_video_of_any_length_can_be_empty(tmp_path, duration_s):
    picture = pixels(draw(tmp_path / "a.png", duration_s=duration_s))
    assert picture.shape[1] == 1600
    assert len(picture) < 300
    text = timeline_text(Timeline(title="v", duration_s=duration_s, events=[], segments=[]))
    assert text.startswith("v\n")
    assert ("no cues" in text) == (duration_s > 0)


def test_unknown_signals_and_spans_outside_the_video_do_no_harm(tmp_path, figures):
    t_s, unknown = constant(np.nan)
    mixed = np.where(np.arange(101) % 3 == 0, 1.0, np.inf)
    empty = np.zeros(0)
    draw(
        tmp_path / "a.png",
        title="$\\z_{$",
        tracks={"head_yaw": (t_s, unknown), "head_roll": (t_s, mixed), "pitch": (empty, empty)},
        usual={"head_yaw": (0.0, 1.0), "pitch": (0.0, 1.0)},
        events=[
            TimelineEvent("body.nod", 20.0, 30.0, 1, "body"),
            TimelineEvent("$\\x_{$", 9.0, 12.0, 3, "$\\y_{$\x1b"),
        ],
        words=[("late", 11.0, 11.1), ("early", -1.0, 0.5), ("none", float("nan"), float("nan"))],
        segments=[(-5.0, 1.0), (9.0, 99.0), (4.0, 4.0), (8.0, 7.0)],
    )
    yaw, roll, pitch, cues = figures[0].axes
    assert [axis.texts[0].get_text() for axis in (yaw, pitch)] == ["never observed"] * 2
    assert not roll.texts
    assert [len(axis.patches) for axis in (yaw, pitch)] == [2, 2]  # the two segments, and no band without a signal
    assert [label.get_text() for label in cues.get_yticklabels()] == ["$\\x_{$"]
    assert all(axis.get_xlim() == (0, 10) for axis in figures[0].axes)


def test_settings_of_the_user_do_not_change_the_picture(tmp_path):
    import matplotlib as mpl

    parts = {"title": "a_b", "tracks": {"head_yaw": constant(0.0)}, "words": [("a_b", 1.0, 2.0)]}
    plain = pixels(draw(tmp_path / "a.png", **parts))
    with mpl.rc_context({"text.usetex": True, "axes.facecolor": "black", "savefig.bbox": "tight"}):
        assert np.array_equal(pixels(draw(tmp_path / "b.png", **parts)), plain)


def test_without_matplotlib_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(PrerequisiteError, match="matplotlib") as caught:
        draw(tmp_path / "a.png")
    assert caught.value.remedy.startswith("pip install 'bah-mllm[report]'")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("start_s", "stop_s", "strength"), [(2, 2, 1), (3, 2, 1), (0, float("nan"), 1), (0, 1, 4)])
def test_an_event_that_makes_no_sense_is_refused(start_s, stop_s, strength):
    with pytest.raises(ValueError, match="face"):
        TimelineEvent("face.smile", start_s, stop_s, strength, "face")


def row_of(text, label):
    return next(line for line in text.splitlines() if line.startswith(f"{label} "))


def test_blocks_lie_under_the_seconds_of_the_ruler():
    events = [TimelineEvent("face.smile", 20.0, 30.0, 3, "face"), TimelineEvent("face.smile", 40.0, 45.0, 1, "face")]
    text = timeline_text(Timeline(title="v", duration_s=60.0, events=events, segments=[(20.0, 40.0)]))
    numbers = next(line for line in text.splitlines() if line.strip().startswith("seconds"))
    column = {seconds: numbers.index(f" {seconds} ") + 1 for seconds in (20, 30, 40, 45)}
    smile, annotated = row_of(text, "face.smile"), row_of(text, "A/H")
    assert smile.index("█") == pytest.approx(column[20], abs=1)
    assert smile.rindex("█") + 1 == pytest.approx(column[30], abs=1)
    assert (smile.index("░"), smile.rindex("░") + 1) == pytest.approx((column[40], column[45]), abs=1)
    assert (annotated.index("█"), annotated.rindex("█") + 1) == pytest.approx((column[20], column[40]), abs=1)


@pytest.mark.parametrize("duration_s", [0.04, 0.5, 1.0, 11.7, 96.123, 600.0, 36000.0])
def test_text_is_at_most_100_columns_wide_and_every_number_stands_over_a_tick(duration_s):
    events = [
        TimelineEvent("language.filler_sound", 0.0, duration_s, 2, "words"),
        TimelineEvent("face." + "x" * 60, duration_s * 0.99, duration_s, 2, "face"),
    ]
    lines = timeline_text(
        Timeline(title="\u5bc6" * 200, duration_s=duration_s, events=events, segments=[])
    ).splitlines()
    assert max(map(len, lines)) == 100
    assert len(lines[0]) <= 50  # each takes two columns
    at = lines[1].index("seconds") + len("seconds")
    starts = [k for k in range(at, len(lines[1])) if lines[1][k] != " " and lines[1][k - 1] == " "]
    assert len(starts) >= 4
    assert all(lines[2][k] == "+" for k in starts)
    assert "▒" in lines[5]


def test_rows_are_ordered_by_modality_and_the_strongest_event_wins_a_column():
    spans = [("clash.fl", "clash"), ("language.hedging", "words"), ("body.nod", "body"), ("face.smile", "face")]
    events = [TimelineEvent(code, 1.0, 2.0, 3, modality) for code, modality in spans]
    events += [TimelineEvent("audio.pause", 1.0, 2.0, 3, "voice"), TimelineEvent("face.smile", 0.0, 10.0, 1, "face")]
    text = timeline_text(Timeline(title="v", duration_s=10.0, events=events, segments=[]))
    codes = [line.split()[0] for line in text.splitlines() if "." in line.split(" ")[0]]
    assert codes == ["face.smile", "body.nod", "audio.pause", "language.hedging", "clash.fl"]
    smile = row_of(text, "face.smile")
    assert smile.count("░") == pytest.approx(9 * smile.count("█"), rel=0.3)
    assert smile.endswith("| 2")


def test_the_terminal_obeys_nothing_in_titles_and_codes():
    event = TimelineEvent("face.\x1b[2J", 1.0, 2.0, 3, "face")
    text = timeline_text(Timeline(title="v\x1b]0;x\x07\r\n", duration_s=10.0, events=[event], segments=[]))
    assert all(character.isprintable() or character == "\n" for character in text)
