"""The cues of one video as a timeline, for those who agreed to be shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bah_mllm.cues.records import CueEvent
from bah_mllm.cues.store import Observation, write_cues
from bah_mllm.dataset import demo_root

Call = Callable[..., tuple[int, str, str]]


def test_a_timeline_is_drawn_and_printed_for_those_who_agreed(bah: Call, tmp_path: Path) -> None:
    agreed, refused = (next(demo_root().glob(f"Videos/{person}/*/*.mp4")) for person in ("90004", "90003"))
    for path, person in ((agreed, "90004"), (refused, "90003")):
        video_id = path.relative_to(demo_root()).as_posix()
        about = Observation(
            video_id=video_id,
            participant_id=person,
            duration_s=10.0,
            settings={"face_hz": 25.0, "body_hz": 3.0, "backend": "none", "version": 1},
        )
        write_cues(tmp_path / "cues", about, [CueEvent("face.smile", 2.0, 4.0, 2, 3.0, None, "z", 1.0, "facemesh")])
    picture = tmp_path / "a.png"
    code, stdout, stderr = bah("cues", "show", tmp_path / "cues", agreed.stem, "--out", picture)
    assert code == 0, stderr
    assert "face.smile" in stdout
    assert picture.read_bytes().startswith(b"\x89PNG")
    hidden = tmp_path / "b.png"
    code, stdout, stderr = bah("cues", "show", tmp_path / "cues", refused.stem, "--out", hidden)
    assert (code, stdout) == (2, "")
    assert "90003" in stderr
    assert not hidden.exists()
    code, stdout, _ = bah("cues", "show", tmp_path / "cues", refused.stem, "--out", hidden, "--private")
    assert code == 0
    assert "private: not for publication" in stdout
