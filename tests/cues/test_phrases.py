"""Filler sounds and words, found only where they say nothing."""

import pytest

from tests.cues.spoken import cues, fillers


@pytest.mark.parametrize("sound", ["um", "Um,", "ummm...", "UH", "uhhh", "erm", "hmm", "Mmm,", "ah", "eh"])
def test_english_filler_sounds_are_found_however_they_are_written(sound):
    assert cues(f"the bus {sound} was late", "en")[0][0] == "filler_sound"


@pytest.mark.parametrize("sound", ["euh", "Euh,", "euuuh", "heu", "hum", "bah", "mmm"])
def test_french_filler_sounds_are_found_however_they_are_written(sound):
    assert cues(f"le bus {sound} était en retard", "fr")[0][0] == "filler_sound"


@pytest.mark.parametrize("text", ["uh huh that is true", "uh-huh that is true", "go and get em all"])
def test_sounds_that_say_yes_and_words_that_look_like_sounds_are_no_fillers(text):
    assert "uh" not in fillers(text)
    assert "em" not in fillers(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("we were, you know, on the road", ["you", "know,"]),
        ("Do you know the way to the lake", []),
        ("I mean, the soup was cold", ["I", "mean,"]),
        ("that is what I mean", []),
        ("Well, the shop was closed", ["Well,"]),
        ("she sings very well", []),
        ("he slept well.", []),
        ("it was um like a big cave", ["um", "like"]),
        ("I would like to paint the door", []),
        ("it tastes like honey", []),
        ("So, um, the train left", ["So,", "um,"]),
        ("it rained so we stayed in", []),
        ("it was actually green", []),
        ("Actually, it was green", ["Actually,"]),
    ],
)
def test_english_words_are_fillers_only_where_they_say_nothing(text, expected):
    assert fillers(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("on a pris, tu sais, le grand chemin", ["tu", "sais,"]),
        ("est-ce que tu sais nager", []),
        ("En fait, la porte est bleue", ["En", "fait,"]),
        ("on en fait de la soupe", []),
        ("du coup on est restés", ["du", "coup"]),
        ("Ben, il pleuvait", ["Ben,"]),
        ("c'était genre minuit", ["genre"]),
        ("ce genre de film me plaît", []),
        ("Alors, on a mangé", ["Alors,"]),
        ("il dormait alors que je lisais", []),
        ("je ne sais pas quoi", []),
    ],
)
def test_french_words_are_fillers_only_where_they_say_nothing(text, expected):
    assert fillers(text, "fr") == expected


def test_a_pause_marks_a_filler_where_there_is_no_punctuation():
    assert fillers("the roof leaks / so / uh we moved") == ["so", "uh"]
    assert fillers("the roof leaks so we moved") == []
