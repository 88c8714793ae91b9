"""Windows, batches, standardisation, and what becomes of bad data."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bah_mllm.core.errors import ConfigError, DataError
from bah_mllm.core.timeline import Window
from bah_mllm.dataset import open_dataset
from supervised.features.store import DamagedFeaturesError, FeatureSet, FeatureStore
from supervised.records import IGNORED
from supervised.training.cross_entropy import Classification, ClassificationSettings
from supervised.training.data import (
    Standard,
    TrainingWindow,
    _clock,
    fit_standard,
    load_videos,
    make_batch,
    training_windows,
)
from tests.supervised.made_up import made_up_videos

SETS = {"audio": "a", "text": "t"}


@given(st.integers(1, 400), st.integers(1, 100), st.integers(1, 100))
def test_training_windows_are_full_reach_the_end_and_start_every_hop(n_frames, window_frames, hop_frames):
    windows = training_windows(n_frames, window_frames=window_frames, hop_frames=hop_frames)
    assert windows[0].start == 0
    assert windows[-1].stop == n_frames
    assert {len(window) for window in windows} == {min(n_frames, window_frames)}
    assert all(window.start % hop_frames == 0 for window in windows[:-1])
    assert len(set(windows)) == len(windows)


def test_a_window_of_none_is_the_whole_video():
    assert training_windows(77, window_frames=None) == [Window(0, 77)]


def test_a_batch_is_padded_with_zeros_that_count_nowhere():
    videos = made_up_videos(2, seed=0, n_frames=20)
    windows = [TrainingWindow(0, Window(0, 20)), TrainingWindow(1, Window(3, 8))]
    batch = make_batch(videos, windows, index=[7, 9], standard=Standard())
    assert batch.index.tolist() == [7, 9]
    assert batch.is_real.sum(dim=1).tolist() == [20, 5]
    assert (batch.labels[1, 5:] == IGNORED).all()
    assert (batch.features["text"][1, 5:] == 0).all()
    np.testing.assert_array_equal(batch.features["text"][1, :5].numpy(), videos[1].features["text"][3:8])
    np.testing.assert_array_equal(batch.labels[1, :5].numpy(), videos[1].frame_labels[3:8])


def test_unlabelled_frames_count_in_no_loss():
    video = made_up_videos(1, seed=0, n_frames=8)[0]
    video = replace(video, frame_labels=np.array([0, 1, -1, -1, 1, 0, -1, 0], np.int8))
    batch = make_batch([video], [TrainingWindow(0, Window(0, 8))], index=[0], standard=Standard())
    assert batch.labels[0].tolist() == [0, 1, IGNORED, IGNORED, 1, 0, IGNORED, 0]


def test_standardised_features_have_mean_0_and_deviation_1_over_valid_frames():
    videos = made_up_videos(5, seed=3)
    videos[0].is_valid["text"][:10] = False
    standard = fit_standard(videos, ["text"])
    pooled = np.concatenate([video.features["text"][video.is_valid["text"]] for video in videos]).astype(np.float64)
    np.testing.assert_allclose(standard.mean["text"], pooled.mean(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(standard.sd["text"], pooled.std(axis=0, ddof=1), rtol=1e-5)
    values = standard.apply("text", videos[0].features["text"], videos[0].is_valid["text"])
    assert (values[:10] == 0).all()
    assert np.array_equal(
        standard.apply("audio", videos[0].features["audio"], videos[0].is_valid["audio"]), videos[0].features["audio"]
    )


def test_a_constant_dimension_becomes_zero():
    videos = made_up_videos(2, seed=3)
    for video in videos:
        video.features["text"][:, 2] = 4.0
    values = fit_standard(videos, ["text"]).apply("text", videos[0].features["text"], videos[0].is_valid["text"])
    assert (values[:, 2] == 0).all()


def test_undersampling_keeps_as_many_negatives_as_positives_and_others_each_epoch():
    videos = made_up_videos(60, seed=4, planted="conjunction")  # a quarter is positive
    settings = ClassificationSettings(window_frames=None, batch_windows=60, undersample=1.0)
    strategy = Classification(videos, settings, seed=0)
    kept = []
    for epoch in (0, 1):
        labels = next(iter(strategy.batches(epoch))).labels
        n_positive, n_negative = (int((labels == value).sum()) for value in (1, 0))
        assert n_positive == sum(int(video.frame_labels.sum()) for video in videos)
        assert n_negative == pytest.approx(n_positive, rel=0.15)
        kept.append(labels)
    assert kept[0].shape != kept[1].shape or not bool((kept[0] == kept[1]).all())


def test_balanced_weights_let_both_classes_weigh_the_same():
    videos = made_up_videos(20, seed=4, planted="conjunction")
    settings = ClassificationSettings(window_frames=None, batch_windows=20, class_weights="balanced")
    strategy = Classification(videos, settings, seed=0)
    labels = next(iter(strategy.batches(0))).labels
    counts = [int((labels == value).sum()) for value in (0, 1)]
    weights = strategy._class_weights.tolist()
    assert counts[0] * weights[0] == pytest.approx(counts[1] * weights[1], rel=1e-5)
    assert sum(n * w for n, w in zip(counts, weights, strict=True)) == pytest.approx(sum(counts), rel=1e-5)


def test_every_window_comes_once_an_epoch_whatever_the_number_of_processes():
    from supervised.training.processes import Shard

    videos = made_up_videos(5, seed=4)
    settings = ClassificationSettings(window_frames=16, batch_windows=3)

    def seen(shard):
        strategy = Classification(videos, settings, seed=1, shard=shard)
        return [[] if batch is None else batch.index.tolist() for batch in strategy.batches(2)]

    alone = seen(Shard())
    parts = [seen(Shard(rank, 2)) for rank in (0, 1)]
    everything = [index for batch in alone for index in batch]
    assert sorted(everything) == list(range(len(everything)))
    assert [sorted(a + b) for a, b in zip(*parts, strict=True)] == [sorted(batch) for batch in alone]


@pytest.mark.parametrize("supervision", ["frame", "video"])
def test_training_on_one_class_is_refused_with_the_counts(supervision):
    videos = [replace(v, frame_labels=np.zeros(v.n_frames, np.int8), label=0) for v in made_up_videos(3, seed=0)]
    settings = ClassificationSettings(batch_windows=2, supervision=supervision)
    with pytest.raises(DataError, match="0 are 1"):
        Classification(videos, settings, seed=0)


def test_flipped_features_are_taken_for_half_of_the_windows():
    videos = [replace(v, flipped={"visual": -v.features["visual"]}) for v in made_up_videos(200, seed=6, n_frames=8)]
    settings = ClassificationSettings(batch_windows=200, flip=True)
    batch = next(iter(Classification(videos, settings, seed=0).batches(0)))
    own = np.stack([videos[index].features["visual"] for index in batch.index])
    is_flipped = (batch.features["visual"].numpy() == -own).all(axis=(1, 2))
    assert ((batch.features["visual"].numpy() == own).all(axis=(1, 2)) ^ is_flipped).all()
    assert 70 < is_flipped.sum() < 130


def test_videos_with_bad_features_are_left_out_and_say_why(planted_root):
    root, features = planted_root
    dataset, store = open_dataset(root), FeatureStore(features)
    silent, short = (video.video_id for video in dataset.videos("train")[1:3])
    store.fail("a", silent, "the file has no sound")
    store.add("t", short, np.zeros((5, 6), np.float32), fps=10.0)
    loaded = load_videos(FeatureStore(features), SETS, dataset, dataset.videos("train"))
    assert len(loaded.videos) == 8 - 2
    assert "no sound" in loaded.left_out[silent]
    assert "different lengths" in loaded.left_out[short]


def test_features_that_hold_nan_are_refused_with_set_and_video(planted_root):
    root, features = planted_root
    dataset = open_dataset(root)
    damaged = dataset.videos("train")[3].video_id
    _damage(FeatureStore(features), damaged)
    with pytest.raises(DamagedFeaturesError, match=rf"The features [at] of {re.escape(damaged)} .*: they hold NaN"):
        load_videos(FeatureStore(features), SETS, dataset, dataset.videos("train"))


def test_more_videos_can_be_loaded_than_files_may_be_open(planted_root):
    resource = pytest.importorskip("resource")
    from pathlib import Path

    root, features = planted_root
    dataset = open_dataset(root)
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)
    n_open = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc/self/fd").exists() else 64
    resource.setrlimit(resource.RLIMIT_NOFILE, (n_open + 8, allowed[1]))
    try:  # 12 videos have 24 arrays of two sets, and as many masks
        loaded = load_videos(FeatureStore(features), SETS, dataset, dataset.videos())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, allowed)
    assert len(loaded.videos) == 12


def _damage(store: FeatureStore, video_id: str) -> None:
    entry = store._entries("t")[video_id]
    path = store.root / "t" / "arrays" / f"{entry.digest}.npy"
    values = np.load(path)
    values[1, 1] = np.nan
    np.save(path, values)


def test_a_set_of_another_modality_is_refused(planted_root):
    manifest, features = planted_root
    dataset = open_dataset(manifest)
    with pytest.raises(ConfigError, match="is text, but the recipe takes it as audio"):
        load_videos(FeatureStore(features), {"audio": "t"}, dataset, dataset.videos("train"))


def test_labels_beyond_the_frames_are_cut_and_missing_ones_unlabelled(planted_root, monkeypatch):
    manifest, features = planted_root
    dataset = open_dataset(manifest)
    labels = np.array([1, 0, 1], np.int8)
    monkeypatch.setattr(dataset, "frame_labels", lambda *args, **kwargs: labels)
    loaded = load_videos(FeatureStore(features), SETS, dataset, dataset.videos("val"))
    for video in loaded.videos:
        assert video.frame_labels[:4].tolist() == [1, 0, 1, -1]
    assert loaded.notes == ["2 videos have another number of frame labels than frames"]


def test_a_hop_beyond_the_window_leaves_frames_out_but_reaches_the_end():
    windows = training_windows(11, window_frames=2, hop_frames=4)
    assert windows == [Window(0, 2), Window(4, 6), Window(8, 10), Window(9, 11)]
    assert training_windows(1, window_frames=1, hop_frames=4) == [Window(0, 1)]


def test_a_store_without_the_set_is_an_error(tmp_path, planted_root):
    dataset = open_dataset(planted_root[0])
    store = FeatureStore(tmp_path / "empty")
    with pytest.raises(DataError):
        load_videos(store, {"audio": "a"}, dataset, dataset.videos("train"))
    store.create(FeatureSet(name="a", modality="audio", dim=3))
    assert not load_videos(store, {"audio": "a"}, dataset, dataset.videos("train")).videos


def test_segments_in_seconds_of_a_broken_file_meet_frames_by_the_average_rate_and_that_is_said(tmp_path, capsys):
    (tmp_path / "a.mp4").write_bytes(b"no video")
    (tmp_path / "m.csv").write_text('path,participant,label,segments\na.mp4,p1,1,"[[2.0, 3.0]]"\n')
    dataset = open_dataset(tmp_path / "m.csv")
    clock = _clock(dataset, dataset.videos()[0], 10.0)
    assert clock is not None
    assert clock.span(2.0, 3.0) == (20, 30)
    assert "a.mp4 cannot be read: its segments meet frames by the average rate" in capsys.readouterr().err
