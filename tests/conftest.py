"""A small data set in BAH's layout, made on the spot, and a way to run commands; used by several folders."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copytree

import av
import numpy as np
import pytest
import yaml
from hypothesis import settings

# How long one example takes says how busy the machine is, not whether the property holds.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")

collect_ignore = ["check_shapes.py"]  # importing it switches the checks on: a plugin, for -p

# participant, question, frames, first and last positive frame (or None), words
VIDEOS = [
    ("90101", 1, 50, None, "I wake up and I make tea."),
    ("90101", 4, 130, (30, 79), "I love cake but I wish I did not."),
    ("90102", 2, 24, None, "Painting makes me happy."),
    ("90102", 7, 61, (0, 23), "I should call the dentist, maybe next week."),
    ("90103", 3, 8, None, "Ironing is dull."),
    ("90103", 5, 90, (40, 41), "I would go, but I am tired."),
]


def _write_grey_video(path: Path, n_frames: int, *, fps: int = 24) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast"})
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        for k in range(n_frames):
            picture = np.full((32, 32, 3), 40 + (k * 5) % 170, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode(None):
            container.mux(packet)


def video_id(participant: str, question: int) -> str:
    return f"Videos/{participant}/Visite_1/{participant}_Question_{question}_2025-01-0{question}_10-00-00_Video.mp4"


@pytest.fixture(scope="session")
def pristine_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "BAH_DB"
    annotations = {}
    lines = []
    for participant, question, n_frames, positive, words in VIDEOS:
        name = video_id(participant, question)
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        _write_grey_video(path, n_frames)
        label = int(positive is not None)
        lines.append(f"{name},{label},{words}\n")
        labels = [int(positive is not None and positive[0] <= k <= positive[1]) for k in range(n_frames)]
        annotations[name] = {
            "global_ah": label,
            "fr_detailed_ah": [list(positive)] if positive else [],
            "frame_annotation": [[f"{name}/frame-{k}.jpg", value] for k, value in enumerate(labels)],
        }
    (root / "split").mkdir()
    (root / "split" / "test.txt").write_text("".join(lines), encoding="utf-8")
    (root / "split" / "train.txt").write_text(
        "".join(
            f"Videos/9020{q}/Visite_1/9020{q}_Question_{q}_2025-01-01_10-00-00_Video.mp4,{q % 2},Words.\n"
            for q in range(1, 8)
        ),
        encoding="utf-8",
    )
    (root / "split" / "class_id.yaml").write_text("No A-H: 0\nWith A-H: 1\n")
    (root / "video_annotation_transcript.yaml").write_text(yaml.safe_dump(annotations), encoding="utf-8")
    return root


@pytest.fixture
def data_root(pristine_root: Path, tmp_path: Path) -> Path:
    """Return a copy that a test may damage."""
    return Path(copytree(pristine_root, tmp_path / "BAH_DB"))


@pytest.fixture
def write_grey_video() -> Callable[..., None]:
    return _write_grey_video


@pytest.fixture
def bah(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., tuple[int, str, str]]:
    """Run a command line from an empty folder; returns exit code, stdout and stderr."""
    from bah_mllm.cli.app import invoke

    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = invoke([str(argument) for argument in arguments])
        captured = capfd.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let commands that a test starts be interrupted also where this process was started in the background."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    for number, handler in before.items():
        if handler is signal.SIG_IGN:  # as nohup and shells leave it to what they start behind &
            signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
