"""Who is adapted to, and which frames train, select and test."""

from __future__ import annotations

import csv
from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from supervised.adaptation.protocol import split_sizes, split_target


def table23() -> list[dict[str, str]]:
    text = files("bah_mllm.paper").joinpath("paper_tables/table23_counts.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(line for line in text.splitlines() if not line.startswith("#")))


def test_the_rule_gives_all_56_rows_of_the_papers_table():
    rows = table23()
    assert len(rows) == 56
    for row in rows:
        printed = {name: int(row[name]) for name in ("train_ah", "train_n", "val_ah", "val_n", "test_ah", "test_n")}
        positives = sum(printed[f"{part}_ah"] for part in ("train", "val", "test"))
        negatives = sum(printed[f"{part}_n"] for part in ("train", "val", "test"))
        assert split_sizes(positives, negatives)._asdict() == printed, row["participant"]


def test_the_papers_table_holds_every_frame_of_the_test_split():
    rows = table23()
    total = sum(int(row[name]) for row in rows for name in row if name.endswith(("_ah", "_n")))
    positives = sum(int(row[name]) for row in rows for name in row if name.endswith("_ah"))
    assert (total, positives) == (256_744, 50_664)


@given(st.integers(0, 3000), st.integers(0, 3000))
def test_sizes_are_never_negative_and_add_up(n_positive, n_negative):
    sizes = split_sizes(n_positive, n_negative)
    assert min(sizes) >= 0
    assert sizes.train_ah + sizes.val_ah + sizes.test_ah == n_positive
    assert sizes.train_n + sizes.val_n + sizes.test_n == n_negative


def frames(lengths: tuple[int, ...], positive: dict[int, tuple[int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Videos of some lengths at 24 frames a second, with one span of positives in some of them."""
    labels = [np.zeros(n, dtype=np.int64) for n in lengths]
    for video, (start, stop) in positive.items():
        labels[video][start:stop] = 1
    videos = np.repeat(np.arange(len(lengths)), lengths)
    return np.concatenate(labels), videos, np.concatenate([np.arange(n) / 24 for n in lengths])


PERSON = frames((700, 500, 900, 400, 800, 300, 600), {0: (100, 300), 2: (0, 240), 4: (400, 700), 6: (50, 90)})


def parts_of(split) -> dict[str, np.ndarray]:
    return {"train": split.train, "val": split.val, "test": split.test}


@pytest.mark.parametrize("kind", ["frame", "segment", "video"])
def test_no_frame_is_in_two_parts_and_none_is_lost_uncounted(kind):
    labels, videos, t_s = PERSON
    split = split_target(labels, videos, t_s, kind=kind, seed=0, participant_id="a")
    rows = np.concatenate(list(parts_of(split).values()))
    assert len(np.unique(rows)) == len(rows) == len(labels) - split.n_left_out
    assert split.kind == kind
    assert (split.n_left_out > 0) == (kind == "segment")


def test_the_frame_split_has_the_papers_sizes():
    labels, videos, t_s = PERSON
    split = split_target(labels, videos, t_s, kind="frame", seed=0, participant_id="a")
    sizes = split_sizes(int(labels.sum()), int((labels == 0).sum()))
    found = [(labels[rows] == value).sum() for rows in parts_of(split).values() for value in (1, 0)]
    assert found == list(sizes)


@pytest.mark.parametrize("kind", ["segment", "video"])
def test_parts_come_near_their_shares_of_both_classes(kind):
    labels, videos, t_s = PERSON
    split = split_target(labels, videos, t_s, kind=kind, seed=0, participant_id="a")
    for value, total in ((1, labels.sum()), (0, (labels == 0).sum())):
        assert 0.4 < (labels[split.train] == value).sum() / total < 0.9
        assert 0.08 < (labels[split.test] == value).sum() / total < 0.45


def test_the_video_split_never_divides_a_video():
    labels, videos, t_s = PERSON
    split = split_target(labels, videos, t_s, kind="video", seed=1, participant_id="a")
    owners = [set(videos[rows].tolist()) for rows in parts_of(split).values()]
    assert all(not first & second for n, first in enumerate(owners) for second in owners[n + 1 :])


@given(st.integers(0, 50))
@settings(max_examples=20)
def test_the_segment_split_leaves_a_second_around_every_test_frame(seed):
    labels, videos, t_s = PERSON
    split = split_target(labels, videos, t_s, kind="segment", seed=seed, participant_id="a")
    for mine, others in ((split.train, [split.val, split.test]), (split.val, [split.test])):
        foreign = np.concatenate(others)
        for video in np.unique(videos[foreign]):
            own_s = t_s[mine[videos[mine] == video]]
            foreign_s = t_s[foreign[videos[foreign] == video]]
            if len(own_s):
                assert np.abs(own_s[:, None] - foreign_s[None, :]).min() > 1.0


def test_test_frames_have_positives_where_the_target_has_any():
    labels, videos, t_s = frames((300, 300, 300), {1: (10, 60)})
    split = split_target(labels, videos, t_s, kind="video", seed=0, participant_id="a")
    assert labels[split.test].any()


def test_a_target_depends_on_its_id_and_the_seed_alone():
    labels, videos, t_s = PERSON
    splits = [
        split_target(labels, videos, t_s, kind="frame", seed=seed, participant_id=who).test.tolist()
        for seed, who in ((0, "a"), (0, "a"), (1, "a"), (0, "b"))
    ]
    assert splits[0] == splits[1]
    assert splits[0] != splits[2]
    assert splits[0] != splits[3]


@pytest.mark.parametrize("kind", ["frame", "segment", "video"])
@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_tiny_targets_are_split_without_error(kind, n):
    labels = np.array([1, 0, 1, 0, 0][:n], dtype=np.int64)
    split = split_target(labels, np.zeros(n, dtype=np.int64), np.arange(n) / 24, kind=kind, seed=0, participant_id="a")
    assert sum(map(len, parts_of(split).values())) + split.n_left_out == n
