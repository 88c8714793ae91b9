"""Neighbours, affinities and the loss of NRC, on a bank small enough to be done by hand."""

from __future__ import annotations

import math

import pytest
import torch

from supervised.adaptation.neighbours import Frames, find_neighbours, neighbour_loss

# Angles in degrees: neighbours are the nearest in angle. No two differences from one row are equal.
ANGLES = (0.0, 10.0, 21.0, 90.0, 103.0, 118.0)
SCORES = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7], [0.2, 0.8], [0.1, 0.9]])


def bank(angles: tuple[float, ...] = ANGLES) -> torch.Tensor:
    return torch.tensor([[math.cos(math.radians(a)), math.sin(math.radians(a))] for a in angles])


def test_neighbours_are_the_nearest_others_and_reciprocal_ones_count_fully():
    found = find_neighbours(bank(), torch.tensor([0, 3]), k=2, m=1)
    assert found.near.tolist() == [[1, 2], [4, 5]]
    assert found.expanded.tolist() == [[[0], [1]], [[3], [4]]]
    # 1's nearest is 0 (10 against 11 degrees): reciprocal; 2's is 1: not. 4's nearest is 3 (13 against 15); 5's is 4.
    assert found.affinity.flatten().tolist() == pytest.approx([1.0, 0.1, 1.0, 0.1])


def test_overwritten_affinities_are_all_alike():
    found = find_neighbours(bank(), torch.tensor([0, 3]), k=2, m=1, overwrite_affinities=True)
    assert found.affinity.flatten().tolist() == pytest.approx([0.1] * 4)


def test_the_loss_is_the_one_done_by_hand():
    index = torch.tensor([0, 3])
    p = torch.tensor([[0.7, 0.3], [0.4, 0.6]])
    found = neighbour_loss(p, SCORES, index, find_neighbours(bank(), index, k=2, m=1))
    near_0 = 1.0 * (0.8 * 0.7 + 0.2 * 0.3) + 0.1 * (0.6 * 0.7 + 0.4 * 0.3)
    near_3 = 1.0 * (0.2 * 0.4 + 0.8 * 0.6) + 0.1 * (0.1 * 0.4 + 0.9 * 0.6)
    expanded_0 = 0.1 * ((0.9 * 0.7 + 0.1 * 0.3) + (0.8 * 0.7 + 0.2 * 0.3))
    expanded_3 = 0.1 * ((0.3 * 0.4 + 0.7 * 0.6) + (0.2 * 0.4 + 0.8 * 0.6))
    own_0, own_3 = 0.9 * 0.7 + 0.1 * 0.3, 0.3 * 0.4 + 0.7 * 0.6
    assert float(found["near"]) == pytest.approx(-(near_0 + near_3) / 2)
    assert float(found["expanded"]) == pytest.approx(-(expanded_0 + expanded_3) / 2)
    assert float(found["self"]) == pytest.approx(-(own_0 + own_3) / 2)


def test_only_the_answers_of_the_batch_carry_gradient():
    scores = SCORES.clone().requires_grad_()
    p = torch.full((2, 2), 0.5, requires_grad=True)
    index = torch.tensor([0, 3])
    sum(neighbour_loss(p, scores, index, find_neighbours(bank(), index, k=2, m=1)).values()).backward()
    assert scores.grad is None
    assert (p.grad != 0).all()


def test_a_duplicate_is_a_neighbour_and_the_row_itself_never_is():
    twins = bank((0.0, 50.0, 120.0, 180.0, 240.0, 240.0))
    found = find_neighbours(twins, torch.arange(6), k=3, m=2)
    assert all(row not in near for row, near in enumerate(found.near.tolist()))
    assert found.near[4, 0] == 5
    assert found.near[5, 0] == 4
    assert found.affinity[4, 0] == found.affinity[5, 0] == 1


def test_fewer_rows_than_neighbours_take_all_others():
    found = find_neighbours(bank()[:3], torch.tensor([0]), k=5, m=4)
    kept = found.near[0][found.is_there[0]].tolist()
    assert sorted(kept) == [1, 2]
    assert torch.isfinite(neighbour_loss(SCORES[:1], SCORES[:3], torch.tensor([0]), found)["near"])


def test_a_lone_row_has_no_neighbours_and_its_loss_is_that_of_itself():
    found = find_neighbours(bank()[:1], torch.tensor([0]), k=3, m=2)
    terms = neighbour_loss(SCORES[:1], SCORES[:1], torch.tensor([0]), found)
    assert not found.is_there.any()
    assert (float(terms["near"]), float(terms["expanded"])) == (0, 0)


def test_frames_of_the_same_moment_can_be_left_out():
    frames = Frames(torch.tensor([0, 0, 0, 0, 1, 1]), torch.tensor([0.0, 0.5, 1.0, 1.5, 0.2, 9.0]))
    found = find_neighbours(bank(), torch.tensor([0]), k=2, m=1, frames=frames, exclude_within_s=1.0)
    # 1 and 2 are of the same video within a second; 3 is 1.5 s away, 4 of another video.
    assert found.near.tolist() == [[3, 4]]
