"""Cues as text: what stood out, when, within a budget, and what could not be seen."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bah_mllm.core.errors import DataError
from bah_mllm.cues.records import CueEvent
from bah_mllm.cues.rendering import render_cues
from bah_mllm.cues.store import Observation, cue_paths, read_cues, write_cues


def event(code: str, start_s: float, stop_s: float, strength: int = 2, **more: object) -> CueEvent:
    settings: dict[str, object] = {"value": 3.0, "usual": None, "unit": "z", "confidence": 1.0, "source": "facemesh"}
    return CueEvent(code=code, start_s=start_s, stop_s=stop_s, strength=strength, **{**settings, **more})  # type: ignore[arg-type]


def observation(**more: object) -> Observation:
    return Observation(video_id="Videos/p/v.mp4", participant_id="p", duration_s=25.0, **more)  # type: ignore[arg-type]


def test_nothing_unusual_is_said() -> None:
    assert render_cues(observation(), []) == "nothing unusual"


def test_times_count_from_the_start_of_the_window() -> None:
    events = [event("face.smile", 12.2, 13.6), event("audio.pause", 22.0, 22.9, value=0.9, usual=0.3, unit="s")]
    text = render_cues(observation(), events, start_s=10.0, stop_s=24.0)
    lines = text.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("[0-10] ")
    assert lines[0].endswith(" 1.4s@2")
    assert lines[1].startswith("[10-14] ")
    assert lines[1].endswith(" 0.9s@12 (usual 0.3s)")


def test_an_event_that_began_before_the_window_is_told_at_its_start() -> None:
    assert render_cues(observation(), [event("face.smile", 8.0, 12.0)], start_s=10.0, stop_s=20.0).endswith("@0")
    assert render_cues(observation(), [event("face.smile", 8.0, 9.9)], start_s=10.0) == "nothing unusual"


def test_the_strongest_stay_within_the_budget_and_every_modality_is_kept() -> None:
    weak = [event("face.eyebrow", n / 2, n / 2 + 0.4, 1) for n in range(18)]
    voice = event("audio.volume", 9.0, 9.5, 1, confidence=0.1)
    strong = event("face.smile", 5.0, 6.0, 3)
    text = render_cues(observation(), [*weak, voice, strong], stop_s=10.0, tokens_per_10s=40)
    assert "@9" in text
    assert "strongly" in text
    assert len(text) < 40 * 5
    longer = render_cues(observation(), [*weak, voice, strong], stop_s=10.0, tokens_per_10s=400)
    assert longer.count(";") == len(weak) + 1


def test_modalities_can_be_taken_away() -> None:
    events = [event("face.smile", 1.0, 2.0), event("audio.pause", 3.0, 4.0, unit="s")]
    assert "@1" not in render_cues(observation(), events, modalities=["voice"])
    assert render_cues(observation(), events, modalities=["words"]) == "nothing unusual"


def test_what_could_not_be_seen_is_said_where_it_could_not() -> None:
    seen = observation(absent={"face": [(12.0, 20.0)], "voice": [(0.0, 25.0)]})
    lines = render_cues(seen, []).splitlines()
    assert lines[0] == "[0-10] no sound 0-10"
    assert lines[1] == "[10-20] face not visible 12-20; no sound 10-20"
    assert "no sound" not in render_cues(seen, [], modalities=["face"])


def test_what_is_usual_stands_above_once_and_only_where_it_is_the_persons() -> None:
    usual = {"pitch_hz": 159.4, "rate_syl_s": 4.04, "blinks_per_min": 18.0}
    text = render_cues(observation(usual=usual, scope="participant"), [])
    assert text.splitlines()[0] == "usual for this person: pitch 159 Hz, 4.0 syllables/s, 18 blinks/min"
    assert render_cues(observation(usual=usual), []) == "nothing unusual"


def test_what_stands_in_from_the_population_is_not_told_as_the_persons() -> None:
    usual = {"rate_syl_s": 4.0, "pause_s": 0.49, "blinks_per_min": 22.0}
    whose = {"rate_syl_s": "population", "pause_s": "population", "blinks_per_min": "participant"}
    silent = observation(usual=usual, usual_scope=whose, scope="participant")
    assert render_cues(silent, []).splitlines()[0] == "usual for this person: 22 blinks/min"
    assert render_cues(silent, [], modalities=["voice"]) == "nothing unusual"


def test_a_rate_of_the_persons_own_that_equals_the_populations_is_told() -> None:
    own = observation(usual={"rate_syl_s": 4.0}, usual_scope={"rate_syl_s": "participant"}, scope="participant")
    assert render_cues(own, []).splitlines()[0] == "usual for this person: 4.0 syllables/s"


def test_files_with_one_scope_for_all_signals_are_read(tmp_path: Path) -> None:
    write_cues(tmp_path, observation(), [])
    _, about = cue_paths(tmp_path, "Videos/p/v.mp4")
    earlier = json.loads(about.read_text())
    del earlier["usual_scope"]
    earlier |= {"usual": {"pitch_hz": 101.0, "rate_syl_s": 4.0, "blinks_per_min": 17.0}, "scope": "participant"}
    about.write_text(json.dumps(earlier))
    found = read_cues(tmp_path, "Videos/p/v.mp4")
    assert found is not None
    assert found[0].usual_scope == {
        "pitch_hz": "participant",
        "rate_syl_s": "population",
        "blinks_per_min": "population",
    }
    assert render_cues(found[0], []).splitlines()[0] == "usual for this person: pitch 101 Hz"


def test_cues_come_back_as_they_were_written(tmp_path: Path) -> None:
    events = [event("audio.pause", 3.0, 4.0, unit="s", usual=0.25), event("language.hedging", 1.0, 1.5, text="I think")]
    write_cues(tmp_path, observation(absent={"face": [(0.0, 2.5)]}), events)
    found = read_cues(tmp_path, "Videos/p/v.mp4")
    assert found is not None
    assert found[0].absent == {"face": [(0.0, 2.5)]}
    assert list(found[1]) == [events[1], events[0]], "in order of time"
    assert read_cues(tmp_path, "Videos/p/other.mp4") is None


def test_a_damaged_file_is_named_with_its_line(tmp_path: Path) -> None:
    write_cues(tmp_path, observation(), [event("face.smile", 1.0, 2.0)])
    path, _ = cue_paths(tmp_path, "Videos/p/v.mp4")
    path.write_text(path.read_text() + '{"code": 3}\n')
    with pytest.raises(DataError, match="line 2"):
        read_cues(tmp_path, "Videos/p/v.mp4")


def test_an_id_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    for path in cue_paths(tmp_path / "cues", "/../../etc/passwd"):
        assert path.resolve().is_relative_to(tmp_path / "cues")


def test_normal_blinking_is_not_told() -> None:
    assert render_cues(observation(), [event("face.blink", 3.0, 3.2)]) == "nothing unusual"


def test_what_was_not_looked_for_is_said_and_not_silently_absent() -> None:
    seen = observation(not_looked_for={"words": "no word lists for the language de"})
    said = "fillers, hedges and repetitions not looked for: no word lists for the language de"
    assert render_cues(seen, []).splitlines() == [said, "nothing unusual"]
    assert render_cues(seen, [], modalities=["face"]) == "nothing unusual"
