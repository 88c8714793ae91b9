"""Recipes: the shipped ones, what replaces their values, and what is said of wrong ones."""

import math

import numpy as np
import pytest

from bah_mllm.core.errors import ConfigError
from supervised.kinds import KINDS
from supervised.reading import list_recipes, parse_recipe, read_recipe
from supervised.training.data import training_windows


@pytest.mark.parametrize("name", list_recipes())
def test_every_shipped_recipe_is_valid_and_names_its_source(name):
    recipe = read_recipe(name)
    assert recipe.name == name
    assert len(recipe.source) > 20 or recipe.source.removeprefix("as ") in list_recipes()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("loop.lr=-1", "loop.lr"),
        ("loop.speed=3", "loop.speed"),
        ("loop.lr", "not key=value"),
        ("features.smell=x", "smell"),
        ("prediction.hop_frames=9", "hop_frames"),
        ("kind=magic", "magic"),
    ],
)
def test_a_wrong_override_says_where(override, message):
    with pytest.raises(ConfigError, match=message):
        read_recipe("lfan", [override])


def test_overrides_replace_single_values():
    recipe = read_recipe("lfan", ["loop.lr=0.25", "model.variant=faithful", "data.window_frames=none"])
    assert (recipe.loop.lr, recipe.model.variant, recipe.data.window_frames) == (0.25, "faithful", None)
    assert recipe.loop.epochs == 60


def test_a_modality_without_a_feature_set_is_left_out_everywhere():
    recipe = read_recipe("lfan", ["features.text=none", "features.visual=face-tiny"])
    assert recipe.features == {"visual": "face-tiny", "audio": "vggish"}
    assert recipe.standardise == ("audio",)


def test_a_recipe_without_any_modality_is_refused():
    with pytest.raises(ConfigError, match="features"):
        read_recipe("tcn_visual", ["features.visual=none"])


def test_an_unknown_recipe_names_the_nearest():
    with pytest.raises(ConfigError) as caught:
        read_recipe("lfann")
    assert "Did you mean 'lfan'?" in caught.value.remedy


def test_every_kind_is_recognised_by_its_name_and_an_unknown_one_lists_them():
    assert {read_recipe(name).kind for name in list_recipes()} == set(KINDS)
    with pytest.raises(ConfigError, match="kind = None") as caught:
        parse_recipe({"name": "mine"}, where="mine.toml")
    assert all(kind in caught.value.remedy for kind in KINDS)


@pytest.mark.parametrize("name", list_recipes())
def test_a_recipe_comes_back_from_what_is_recorded_of_it(name):
    recipe = read_recipe(name)
    assert parse_recipe(recipe.model_dump(mode="json"), where="train.json") == recipe


@pytest.mark.parametrize("name", ["lfan", "can", "mt", "jmt"])
def test_readme_recipes_differ_from_the_others_in_their_windows_alone(name):
    usual, readme = (read_recipe(one).model_dump(mode="json") for one in (name, f"{name}_readme"))
    windows = {"window_frames": 696, "hop_frames": 48}
    expected = {**usual, "name": readme["name"], "source": readme["source"], "data": {**usual["data"], **windows}}
    assert readme == expected


def test_the_updates_that_the_readme_recipes_add_are_those_that_they_name():
    # the paper's histogram of durations: 15 bins of 6.2 s from 3 s on; counts of windows in closed form, at bin centres
    counts = [244, 528, 584, 416, 306, 270, 148, 112, 74, 56, 54, 34, 14, 8, 6]
    n_frames = [int(24 * (3 + 6.2 * (k + step / 100))) for k in range(15) for step in range(100)]

    def windows_a_video(window: int, hop: int) -> float:
        of_each = [max(1, 1 + math.ceil((n - window) / hop)) for n in n_frames]
        return sum(n * count for n, count in zip(of_each, np.repeat(counts, 100), strict=True)) / sum(counts) / 100

    assert windows_a_video(300, 200) == pytest.approx(3.2, abs=0.05)
    assert windows_a_video(696, 48) == pytest.approx(4.0, abs=0.05)
    assert windows_a_video(696, 48) / windows_a_video(300, 200) == pytest.approx(1.24, abs=0.01)
    planned = [len(training_windows(n, window_frames=696, hop_frames=48)) for n in n_frames[::50]]
    assert planned == [max(1, 1 + math.ceil((n - 696) / 48)) for n in n_frames[::50]]
