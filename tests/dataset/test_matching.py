"""Names of videos in files of other tools: which video of a data set is meant, or none, or nobody can tell."""

import pytest

from bah_mllm.core.errors import DataError
from bah_mllm.dataset import match_names, nearest_name, open_dataset

IDS = ["Videos/1/Visite_1/1_Question_2.mp4", "Videos/1/Visite_1/1_Question_3.mp4", "Videos/2/Visite_1/2_Question_2.mp4"]


@pytest.fixture
def dataset(write):
    return open_dataset(write({"split/test.txt": "".join(f"{name},1,words\n" for name in IDS)}))


@pytest.mark.parametrize(
    "name",
    [
        "{0}",
        "1/Visite_1/1_Question_2.mp4",
        "1/Visite 1/1_Question_2.mp4",
        "1_Question_2.mp4",
        "1_Question_2",
        "./{0}",
        "BAH_DB/{0}",
        "/home/somebody/BAH_DB/{0}",
        "/home/somebody/1/Visite 1/1_Question_2.mp4",
        "D:\\data\\Videos\\1\\Visite_1\\1_Question_2.mp4",
        "\\\\server\\share\\Videos\\1\\Visite_1\\1_Question_2.mp4",
        "file:///data/{0}",
        "/elsewhere/1/1_Question_2.mp4",
        "/elsewhere/1_Question_2.mkv",
    ],
)
def test_a_video_is_known_by_all_that_people_call_it(dataset, name):
    name = name.format(IDS[0])
    found = match_names([name], dataset)
    assert found.ids == {name: IDS[0]}
    assert found.unknown == ()
    assert found.by_ending == ((name,) if name.startswith("/elsewhere") else ())


@pytest.mark.parametrize("name", ["other.mp4", "x/1_Question_2.mp4", "/data/3_Question_2.mp4", "", "/", ".."])
def test_an_unknown_video_stays_as_it_is(dataset, name):
    found = match_names([name], dataset)
    assert (found.ids, found.unknown) == ({name: name}, (name,))
    assert nearest_name(name, dataset) in IDS


def test_an_ending_of_two_videos_is_refused(write):
    dataset = open_dataset(write({"anna/1.mp4": b"", "bea/1.mp4": b""}))
    for name in ("/data/1.mp4", "1"):
        with pytest.raises(DataError, match="any of 2 videos") as caught:
            match_names([name], dataset)
        assert "anna/1.mp4" in caught.value.remedy


def test_the_longest_ending_decides(write):
    dataset = open_dataset(write({"x/anna/1.mp4": b"", "x/bea/1.mp4": b""}))
    assert match_names(["/data/bea/1.mp4"], dataset).ids == {"/data/bea/1.mp4": "x/bea/1.mp4"}


def test_of_two_names_that_end_like_one_video_the_one_that_ends_more_like_it_is_it(write):
    dataset = open_dataset(write({"x/anna/1.mp4": b"", "x/anna/2.mp4": b""}))
    found = match_names(["/data/anna/1.mp4", "/data/carl/1.mp4"], dataset)
    assert found.ids["/data/anna/1.mp4"] == "x/anna/1.mp4"
    assert found.unknown == ("/data/carl/1.mp4",)


def test_where_whole_paths_agree_an_ending_alone_means_nothing(write):
    dataset = open_dataset(write({"anna/1.mp4": b"", "bea/1.mp4": b""}))
    found = match_names(["/data/anna/1.mp4", "/data/carl/1.mp4"], dataset)
    assert found.ids["/data/anna/1.mp4"] == "anna/1.mp4"
    assert found.unknown == ("/data/carl/1.mp4",)
