"""Which frames get which label: confident ones, and those of centroids."""

from __future__ import annotations

import torch

from supervised.adaptation.pseudo_labels import centroid_labels, confident_labels


def answers(*p_positive: float) -> torch.Tensor:
    return torch.tensor([[1 - p, p] for p in p_positive], dtype=torch.float64)


def test_frames_are_kept_above_the_threshold_and_not_at_it():
    p = answers(0.75, 0.76, 0.74)
    assert confident_labels(p, p, tau=0.75, agree=False).is_kept.tolist() == [False, True, False]


def test_the_score_is_the_mean_of_both_views():
    found = confident_labels(answers(0.99), answers(0.72), tau=0.85, agree=False)
    assert found.is_kept.tolist() == [True]


def test_the_surer_view_names_the_class_and_the_mirrored_one_on_a_tie():
    found = confident_labels(answers(0.99, 0.10, 0.75), answers(0.05, 0.97, 0.25), tau=0.5, agree=False)
    assert found.labels.tolist() == [1, 1, 0]


def test_views_that_disagree_are_kept_unless_they_must_agree():
    p, flipped = answers(0.99, 0.99), answers(0.01, 0.98)
    assert confident_labels(p, flipped, tau=0.9, agree=False).is_kept.tolist() == [True, True]
    assert confident_labels(p, flipped, tau=0.9, agree=True).is_kept.tolist() == [False, True]


def test_nothing_is_kept_of_nothing():
    empty = torch.zeros(0, 2)
    assert confident_labels(empty, empty, tau=0.5, agree=True).is_kept.tolist() == []


def never_positive() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two clear clusters; the model leans to A/H in the smaller one, but nowhere above a half."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.tensor([0] * 160 + [1] * 40)
    centres = torch.tensor([[2.0, 0.0], [-2.0, 0.5]])
    embedding = centres[labels] + 0.2 * torch.randn(200, 2, generator=generator)
    p_positive = torch.where(labels == 1, 0.4, 0.1)
    return embedding, torch.stack([1 - p_positive, p_positive], dim=1), labels


def test_a_class_that_is_never_answered_is_found_by_its_centroid():
    embedding, p, labels = never_positive()
    found = centroid_labels(embedding, p, drop_empty=False)
    assert int(found.sum()) == 40
    assert torch.equal(found, labels)


def test_dropping_empty_classes_leaves_every_frame_negative():
    embedding, p, _ = never_positive()
    assert int(centroid_labels(embedding, p, drop_empty=True).sum()) == 0


def test_a_dropped_class_does_not_shift_the_numbers_of_the_others():
    embedding, p, _ = never_positive()
    assert centroid_labels(embedding, p.flip(1), drop_empty=True).tolist() == [1] * 200


def test_centroids_of_constant_embeddings_give_a_label_and_no_nan():
    p = answers(0.2, 0.9, 0.4).float()
    assert centroid_labels(torch.zeros(3, 4), p, drop_empty=False).tolist() in ([0, 0, 0], [1, 1, 1])


def test_two_rounds_are_those_done_by_hand():
    embedding = torch.tensor([[3.0], [1.0], [-1.0], [-3.0]])
    p = answers(0.9, 0.8, 0.6, 0.1).float()
    # Rows of length 1 with a 1 appended; A/H leans to +, none to -; the third row lies nearer to the negative side.
    assert centroid_labels(embedding, p, drop_empty=False).tolist() == [1, 1, 0, 0]
