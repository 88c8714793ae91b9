"""What is usual for a person is pooled over that person's videos, robustly and within bounds."""

import numpy as np
import pytest

from bah_mllm.cues import body, face
from bah_mllm.cues.baselines import MINIMUM_S, is_own, pool
from bah_mllm.cues.records import Track, Usual

CLAMPS = {"height": (0.5, 2.0), "head_yaw": (1.0, 6.0)}


def track(values, hz=24.0):
    return Track(np.arange(len(values)) / hz, np.asarray(values, dtype=float))


def normal(centre, spread, n=2400, seed=0):
    return np.random.default_rng(seed).normal(centre, spread, n)


def usual_of(*videos, percentiles=None, population=None):
    baseline = pool(
        "p1", [{"height": video} for video in videos], CLAMPS, population or {}, percentiles=percentiles or {}
    )
    return baseline.usual.get("height")


def test_centre_and_spread_are_those_of_the_distribution_whatever_rare_cues_there_are():
    values = normal(10, 1.2)
    values[:200] += 30  # cues: far off, but rare
    usual = usual_of(track(values))
    assert usual.centre == pytest.approx(10, abs=0.2)
    assert usual.spread == pytest.approx(1.2, abs=0.15)
    assert usual.z(np.array([usual.centre + 2 * usual.spread])) == pytest.approx([2.0])


@pytest.mark.parametrize(("spread", "clamped"), [(0.0, 0.5), (0.1, 0.5), (9.0, 2.0)])
def test_the_spread_stays_within_the_range_of_the_population(spread, clamped):
    assert usual_of(track(normal(0, spread) if spread else np.zeros(2400))).spread == clamped


def test_all_videos_of_a_person_count():
    videos = [track(normal(centre, 0.7, n=800, seed=centre)) for centre in (1, 2, 3)]
    assert usual_of(*videos).centre == pytest.approx(2, abs=0.1)
    assert usual_of(videos[0]).centre == pytest.approx(1, abs=0.1)


def test_unknown_samples_do_not_count():
    values = normal(5, 1.0)
    holes = np.where(np.arange(len(values)) % 3 == 0, np.nan, values)
    holes[1] = np.inf
    assert usual_of(track(holes)).centre == pytest.approx(5, abs=0.1)


def test_a_signal_known_for_too_short_takes_the_population_or_is_left_out():
    population = {"height": Usual(7.0, 1.5, "population")}
    short, long = track(normal(5, 1, n=int(MINIMUM_S * 24) - 5)), track(normal(5, 1, n=int(MINIMUM_S * 24) + 5))
    assert usual_of(short, population=population) == population["height"]
    assert usual_of(short) is None
    assert usual_of(long, population=population).centre == pytest.approx(5, abs=0.2)
    assert usual_of(short, short, population=population).centre == pytest.approx(5, abs=0.2)  # two videos are enough


def test_seconds_count_and_not_samples():
    """Twelve seconds of a signal sampled twice a second are as good as of one sampled 24 times."""
    assert usual_of(track(normal(5, 1, n=27), hz=2.0)) is not None
    assert usual_of(track(normal(5, 1, n=27), hz=24.0)) is None


def test_a_minimum_of_its_own_can_be_given_to_a_signal():
    videos = [{"height": track(normal(5, 1, n=24 * 15))}]
    assert "height" in pool("p1", videos, CLAMPS, {}).usual
    assert "height" not in pool("p1", videos, CLAMPS, {}, minima_s={"height": 20}).usual


def test_times_that_jump_do_not_make_a_signal_known_for_long():
    jumpy = Track(np.arange(5) * 3600.0, np.arange(5.0))
    assert usual_of(jumpy) is None


def test_the_centre_may_be_another_percentile_than_the_middle():
    values = np.linspace(0, 100, 2401)
    assert usual_of(track(values), percentiles={"height": 75}).centre == pytest.approx(75)
    assert usual_of(track(values)).centre == pytest.approx(50)


def test_eyes_are_usually_open_even_if_they_are_closed_for_a_third_of_the_time():
    values = np.where(np.arange(2400) % 3 == 0, 0.02, 0.3)
    usual = pool("p1", [{"eye_left": track(values)}], face.CLAMPS, face.POPULATION).usual["eye_left"]
    assert usual.centre == pytest.approx(0.3)


def test_the_baseline_says_what_it_was_made_from():
    yaw = np.where(np.arange(1000) < 400, np.nan, 1.0)
    baseline = pool("p7", [{"head_yaw": track(yaw)}, {}], CLAMPS, {}, speech_s=31.5)
    assert (baseline.participant_id, baseline.n_videos, baseline.n_frames) == ("p7", 2, 600)
    assert (baseline.speech_s, baseline.scope) == (31.5, "participant")


@pytest.mark.parametrize("videos", [[], [{}], [{"height": track([])}], [{"height": track([np.nan] * 900)}]])
def test_without_anything_known_the_baseline_is_the_population(videos):
    population = {"height": Usual(7.0, 1.5, "population")}
    baseline = pool("p1", videos, CLAMPS, population)
    assert baseline.scope == "population"
    assert baseline.usual == population


def test_population_values_lie_within_the_bounds_of_their_signal():
    for module in (face, body):
        for name, usual in module.POPULATION.items():
            lowest, highest = module.CLAMPS[name]
            assert lowest <= usual.spread <= highest
        assert all(0 < lowest < highest for lowest, highest in module.CLAMPS.values())


def test_each_signal_says_whether_it_is_the_persons_own():
    clamps = {"height": (0.5, 2.0), "weight": (0.5, 2.0)}
    population = {"height": Usual(7.0, 1.5), "weight": Usual(5.0, 1.5)}
    baseline = pool("p1", [{"height": track(normal(5, 1)), "weight": track(normal(5, 1, n=24))}], clamps, population)
    assert {name: one.scope for name, one in baseline.usual.items()} == {
        "height": "participant",
        "weight": "population",
    }
    assert is_own(baseline, "height")
    assert not is_own(baseline, "weight")


def test_a_person_who_equals_the_population_is_still_known():
    same = Usual(5.0, 0.5)
    baseline = pool("p1", [{"height": track(np.full(2400, 5.0))}], CLAMPS, {"height": same})
    assert is_own(baseline, "height")
