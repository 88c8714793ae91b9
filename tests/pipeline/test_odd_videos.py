"""Cues of videos that are not as they should be: events, or a stated absence, and never a crash."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from bah_mllm.cues.store import Observation, read_cues
from bah_mllm.dataset import demo_root
from bah_mllm.media import read_audio

pytest.importorskip("mediapipe")
pytestmark = pytest.mark.slow

Call = Callable[..., tuple[int, str, str]]
Known = dict[str, tuple[Observation, dict[str, list[tuple[float, float]]]]]

FPS, RATE_HZ, START_S, LENGTH_S = 24, 16_000, 4.0, 6.5


def write(path: Path, pictures: Sequence[np.ndarray], sound: np.ndarray | None, *, fps: int = FPS) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast", "crf": "18"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        audio = container.add_stream("aac", rate=RATE_HZ, layout="mono") if sound is not None else None
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        container.mux(stream.encode(None))
        if audio is not None and sound is not None:
            for start in range(0, len(sound), 1024):
                block = (sound[None, start : start + 1024] * 32_767).astype(np.int16)
                frame = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, start, Fraction(1, RATE_HZ)
                container.mux(audio.encode(frame))
            container.mux(audio.encode(None))


def turn_by_note(path: Path) -> None:
    """Note in a file that its picture is to be shown a quarter turn clockwise, as phones do."""
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 44
    struct.pack_into(">9i", content, place, 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(content)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Known:
    """Return what is extracted from one stretch of the demo set in many conditions, by condition."""
    from bah_mllm.cli.app import invoke

    source = next(demo_root().glob("Videos/90001/*/*Question_4*.mp4"))
    with av.open(str(source)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    frames = frames[round(START_S * FPS) : round((START_S + LENGTH_S) * FPS)]
    sound = read_audio(source)[round(START_S * RATE_HZ) : round((START_S + LENGTH_S) * RATE_HZ)]
    folder, cues = tmp_path_factory.mktemp("odd"), tmp_path_factory.mktemp("cues")
    grey = [np.full_like(frames[0], 110)] * len(frames)
    write(folder / "plain.mp4", frames, sound)
    write(folder / "no_face.mp4", grey, sound)
    write(folder / "no_sound.mp4", frames, None)
    write(folder / "silence.mp4", frames, np.zeros_like(sound))
    write(folder / "two_faces.mp4", [np.hstack([a, a[::2, ::2].repeat(2, 0)[:, ::-1]]) for a in frames], sound)
    write(folder / "rotated.mp4", [np.rot90(a) for a in frames], sound)
    turn_by_note(folder / "rotated.mp4")
    write(folder / "mirrored.mp4", [a[:, ::-1] for a in frames], sound)
    write(folder / "dark.mp4", [a // 12 for a in frames], sound)
    write(folder / "four_fps.mp4", frames[::6], sound, fps=4)
    write(folder / "one_frame.mp4", frames[:1], None)
    write(folder / "tiny.mp4", [a[:2, :2] for a in frames[:24]], None)
    whole = (folder / "plain.mp4").read_bytes()
    (folder / "cut_off.mp4").write_bytes(whole[: len(whole) // 2])
    garbled = bytearray(whole)
    garbled[len(whole) // 3 : len(whole) // 3 + 4000] = np.random.default_rng(0).bytes(4000)
    (folder / "garbled.mp4").write_bytes(garbled)
    (folder / "empty.mp4").write_bytes(b"")
    assert invoke(["cues", "extract", str(folder), "--out", str(cues)]) == 3
    read: Known = {}
    for path in folder.glob("*.mp4"):
        found = read_cues(cues, path.name)
        assert found is not None, path.name
        spans: dict[str, list[tuple[float, float]]] = {}
        for event in found[1]:
            spans.setdefault(event.code, []).append((event.start_s, event.stop_s))
        read[path.stem] = (found[0], spans)
    return read


def planted() -> dict[str, list[tuple[float, float]]]:
    """Return what the scenario plants in face and head of that stretch."""
    spans: dict[str, list[tuple[float, float]]] = {}
    for line in (demo_root() / "events.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        start_s, stop_s = row["start_s"] - START_S, row["stop_s"] - START_S
        if "90001_Question_4" in row["video_id"] and start_s > 0 and stop_s < LENGTH_S:
            spans.setdefault(row["code"], []).append((start_s, stop_s))
    return {code: found for code, found in spans.items() if code.startswith(("face.", "body."))}


def meets(one: tuple[float, float], others: Sequence[tuple[float, float]]) -> bool:
    return any(one[0] < stop_s + 0.2 and start_s < one[1] + 0.2 for start_s, stop_s in others)


@pytest.mark.parametrize("condition", ["plain", "no_sound", "two_faces", "rotated", "mirrored"])
def test_cues_are_found_where_the_face_can_be_seen(known: Known, condition: str) -> None:
    about, events = known[condition]
    assert about.problem is None
    assert planted().keys() == {"face.blink", "body.look_away", "body.shake"}
    for code, spans in planted().items():
        for span in spans:
            assert meets(span, events.get(code, [])), (code, span)


def test_a_video_without_a_face_says_so_and_is_still_heard(known: Known) -> None:
    about, events = known["no_face"]
    assert about.absent["face"] == [(0.0, pytest.approx(LENGTH_S, abs=0.1))]
    assert not [code for code in events if code.startswith(("face.", "body."))]
    assert "voice" not in about.absent


@pytest.mark.parametrize(("condition", "is_absent"), [("no_sound", True), ("silence", False)])
def test_a_video_without_sound_says_so_and_is_still_seen(known: Known, condition: str, is_absent: bool) -> None:
    about, events = known[condition]
    assert ("voice" in about.absent) == is_absent
    assert not [code for code in events if code.startswith("audio.")]
    assert events["face.blink"]


def test_a_dark_video_shows_a_face_or_says_that_it_does_not(known: Known) -> None:
    about, events = known["dark"]
    assert about.problem is None
    assert "face" in about.absent or events


def test_four_frames_a_second_are_too_few_for_blinks_and_enough_for_the_head(known: Known) -> None:
    about, events = known["four_fps"]
    assert about.duration_s == pytest.approx(LENGTH_S, abs=0.3)
    assert "face.blink" not in events
    for span in planted()["body.look_away"]:
        assert meets(span, events["body.look_away"])


@pytest.mark.parametrize("condition", ["cut_off", "empty"])
def test_a_file_that_cannot_be_read_says_why_without_its_path(known: Known, condition: str) -> None:
    about, events = known[condition]
    assert about.problem is not None
    assert "/" not in about.problem
    assert events == {}
    assert about.duration_s == 0


@pytest.mark.parametrize("condition", ["one_frame", "tiny", "garbled"])
def test_what_is_left_of_a_video_gives_a_record(known: Known, condition: str) -> None:
    about, _ = known[condition]
    assert about.problem is None
    assert about.duration_s > 0
