"""mediapipe Tasks as a backend: through its real classes, on bundles built from the models in mediapipe's package.

The package carries no ``.task`` file. Its pose and hand models, put into bundles here, work in Tasks; of the face there
is only an older model, which loads and runs there, but with other points, so that those of Tasks are made by hand.
"""

from __future__ import annotations

import gc
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from bah_mllm.core.errors import ConfigError
from bah_mllm.cues.mediapipe_backend import MediapipeBackend
from bah_mllm.cues.tasks_backend import TaskModels, TasksBackend
from bah_mllm.dataset import demo_root

mediapipe = pytest.importorskip("mediapipe")

MODULES = Path(mediapipe.__file__).parent / "modules"


def with_normalisation(model, mean, spread):
    from mediapipe.tasks.python.metadata.metadata_writers.metadata_writer import MetadataWriter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its temporary files to the garbage collector
        writer = MetadataWriter.create(bytearray((MODULES / model).read_bytes()))
        writer.add_image_input([mean], [spread])
        content = bytes(writer.populate()[0])
        del writer
        gc.collect()
    return content


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    bundles = {
        "face": {
            "face_detector.tflite": (MODULES / "face_detection/face_detection_short_range.tflite").read_bytes(),
            "face_landmarks_detector.tflite": (MODULES / "face_landmark/face_landmark.tflite").read_bytes(),
        },
        "pose": {
            "pose_detector.tflite": with_normalisation("pose_detection/pose_detection.tflite", 127.5, 127.5),
            "pose_landmarks_detector.tflite": with_normalisation("pose_landmark/pose_landmark_full.tflite", 0.0, 255.0),
        },
        "hand": {
            "hand_detector.tflite": (MODULES / "palm_detection/palm_detection_full.tflite").read_bytes(),
            "hand_landmarks_detector.tflite": (MODULES / "hand_landmark/hand_landmark_full.tflite").read_bytes(),
        },
    }
    for kind, parts in bundles.items():
        with zipfile.ZipFile(folder / f"{kind}.task", "w") as bundle:
            for name, content in parts.items():
                bundle.writestr(name, content)
    return TaskModels(folder / "face.task", pose=folder / "pose.task", hand=folder / "hand.task")


@pytest.fixture(scope="module")
def pictures():
    import av

    path = next(demo_root().glob("Videos/90004/*/*Question_1*.mp4"))
    with av.open(str(path)) as container:
        return [
            frame.to_ndarray(format="rgb24") for _, frame in zip(range(12), container.decode(video=0), strict=False)
        ]


def test_bodies_are_those_of_the_other_backend(models, pictures, capfd):
    with TasksBackend(models) as tasks, MediapipeBackend() as other:
        for k, picture in enumerate(pictures):
            seen, expected = tasks.pose(picture, k / 24), other.pose(picture, k / 24)
            face = tasks.face(picture, k / 24)
            assert face is None or face.shape == (478, 3)
            assert tasks.hands(picture, k / 24) == []
    assert capfd.readouterr().err == ""
    shoulders_and_nose = [0, 11, 12]
    np.testing.assert_allclose(seen[shoulders_and_nose, :2], expected[shoulders_and_nose, :2], atol=4)  # pixels
    np.testing.assert_allclose(seen[:, 3], expected[:, 3], atol=0.05)


def test_without_a_pose_or_hand_model_nothing_is_said_about_them(models, pictures):
    with TasksBackend(TaskModels(models.face)) as backend:
        assert backend.pose(pictures[0], 0.0) is None
        assert backend.hands(pictures[0], 0.0) == []


def landmark(x, y, z, visibility=None):
    from mediapipe.tasks.python.components.containers.landmark import NormalizedLandmark

    return NormalizedLandmark(x=x, y=y, z=z, visibility=visibility)


class Answers:
    """Stands where a landmarker of Tasks does, and gives real results of it."""

    def __init__(self, result):
        self.result, self.times_ms = result, []

    def detect_for_video(self, image, t_ms):
        assert image.height, image.width == (40, 80)
        self.times_ms.append(t_ms)
        return self.result

    def close(self):
        pass


def test_results_of_tasks_become_points_in_pixels(models):
    from mediapipe.tasks.python import vision

    mesh = [landmark(0.25 + k / 4780, 0.5, -0.125) for k in range(478)]
    small = [landmark(0.75 + k / 47800, 0.5, 0.0) for k in range(478)]
    hand = [landmark(0.5, 0.25, 0.0625)] * 21
    person = [landmark(0.5, 0.25, 0.125, visibility=0.75)] * 33
    rgb = np.zeros((40, 80, 3), np.uint8)
    with TasksBackend(TaskModels(models.face)) as backend:
        backend._face = Answers(vision.FaceLandmarkerResult([small, mesh, mesh[:468]], [], []))
        backend._pose = Answers(vision.PoseLandmarkerResult([person], []))
        backend._hands = Answers(vision.HandLandmarkerResult([], [hand, hand], []))
        face = backend.face(rgb, 0.0)
        np.testing.assert_allclose(face[0], [20, 20, -10])  # x and z in widths, y in heights of the picture
        np.testing.assert_allclose(face[:, 0].max(), 80 * (0.25 + 477 / 4780))
        np.testing.assert_allclose(backend.pose(rgb, 0.0), np.tile([40, 10, 10, 0.75], (33, 1)))
        np.testing.assert_allclose(backend.hands(rgb, 0.0), np.tile([40, 10, 5], (2, 21, 1)))
        backend.face(rgb, 0.0001)
        backend.face(rgb, 0.5)
        assert backend._face.times_ms == [0, 1, 500], "the clock of Tasks must tick"
        backend._face = Answers(vision.FaceLandmarkerResult([], [], []))
        assert backend.face(rgb, 1.0) is None


@pytest.mark.parametrize("content", [None, b"", b"no model", "hand"])
def test_a_missing_broken_or_other_model_is_said_in_two_lines(models, tmp_path, content):
    path = tmp_path / "face_landmarker.task"
    if content is not None:
        path.write_bytes(models.hand.read_bytes() if content == "hand" else content)
    with pytest.raises(ConfigError, match=r"face_landmarker\.task") as caught:
        TasksBackend(TaskModels(path))
    assert str(tmp_path) not in caught.value.problem
    assert "face_landmarker.task" in caught.value.remedy


def test_signals_seen_with_other_models_are_other_signals(models, tmp_path):
    digests = {TaskModels(models.face).digest(), models.digest(), TaskModels(models.face, hand=models.hand).digest()}
    assert len(digests) == 3
    copy = tmp_path / "elsewhere.task"
    copy.write_bytes(models.face.read_bytes())
    assert TaskModels(copy).digest() == TaskModels(models.face).digest()
