"""Aligned faces: the warp to the template, shipped crops, and what counts as no face."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from bah_mllm.core.errors import ConfigError, DataError, MediaError, PrerequisiteError
from bah_mllm.dataset import demo_root, open_dataset
from bah_mllm.media import read_frames
from supervised.features.crops import (
    FACE_PX,
    TEMPLATE_PX,
    MeshDetector,
    RetinaFaceDetector,
    align_face,
    choose_detector,
    faces_in_video,
    find_shipped,
    shipped_faces,
    similarity,
)

SCALED = TEMPLATE_PX * (FACE_PX / 112)


def turned(points: np.ndarray, *, degrees: float, scale: float, shift: tuple[float, float]) -> np.ndarray:
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return scale * points @ turn.T + shift


@pytest.mark.parametrize("seed", range(4))
def test_the_similarity_is_the_least_squares_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points, target = rng.normal(size=(5, 2)), rng.normal(size=(5, 2))
    # a x - b y + c = u and b x + a y + d = v, solved as a linear system
    x, y = points.T
    zero, one = np.zeros(5), np.ones(5)
    system = np.concatenate([np.stack([x, -y, one, zero], 1), np.stack([y, x, zero, one], 1)])
    a, b, c, d = np.linalg.lstsq(system, target.T.reshape(-1), rcond=None)[0]
    assert np.allclose(similarity(points, target), [[a, -b, c], [b, a, d]])


def test_a_mirrored_face_is_not_mirrored_back() -> None:
    matrix = similarity(TEMPLATE_PX * (-1, 1), TEMPLATE_PX)
    assert matrix is not None
    assert np.linalg.det(matrix[:, :2]) > 0


@pytest.mark.parametrize(("degrees", "scale"), [(0, 1.0), (20, 0.6), (-35, 1.4)])
def test_marks_on_a_picture_land_on_the_template(degrees: float, scale: float) -> None:
    points = turned(TEMPLATE_PX - 56, degrees=degrees, scale=scale, shift=(150, 130))
    yy, xx = np.mgrid[:260, :300]
    for mark, wanted in zip(points, SCALED, strict=True):
        spot = np.exp(-((xx - mark[0]) ** 2 + (yy - mark[1]) ** 2) / (2 * (4 * scale) ** 2))
        face = align_face(np.repeat((255 * spot).astype(np.uint8)[..., None], 3, axis=2), points)
        assert face is not None
        weights = face[..., 0].astype(float)
        centre = [(weights * axis).sum() / weights.sum() for axis in np.mgrid[:FACE_PX, :FACE_PX][::-1]]
        assert np.allclose(centre, wanted, atol=0.7)


@pytest.mark.parametrize("points", [np.full((5, 2), 3.0), np.full((5, 2), np.nan)])
def test_impossible_points_give_no_face(points: np.ndarray) -> None:
    assert align_face(np.zeros((20, 20, 3), np.uint8), points) is None


def test_a_face_of_the_demo_set_lies_on_the_template_when_it_is_found_again() -> None:
    path = open_dataset(demo_root()).videos()[0].path
    assert path is not None
    finder, checker = MeshDetector(), MeshDetector()
    for (face, t_s), _ in zip(faces_in_video(path, finder), range(6), strict=False):
        assert face is not None
        assert face.shape == (FACE_PX, FACE_PX, 3)
        again = checker.points(face, t_s)
        assert again is not None
        assert np.abs(again - SCALED).max() < 12  # px of 256: mouth and nose of a person differ from the template
    finder.close()
    checker.close()


@dataclass
class Scripted:
    """Finds the points that it is told to, by the time of the frame."""

    points_at: Callable[[float], np.ndarray | None]
    name: str = "scripted"
    looked_s: list[float] = field(default_factory=list)

    def points(self, rgb: np.ndarray, t_s: float) -> np.ndarray | None:
        self.looked_s.append(t_s)
        return self.points_at(t_s)

    def close(self) -> None:
        pass


def moving(t_s: float) -> np.ndarray:
    return turned(TEMPLATE_PX, degrees=0, scale=0.4, shift=(10 * t_s, 4))


@pytest.mark.parametrize("n_frames", [1, 8, 9, 10, 11])
def test_every_frame_has_a_face_in_order_whatever_the_rest_of_the_last_stretch(
    write_video: Callable[..., Path], tmp_path: Path, n_frames: int
) -> None:
    path = write_video(tmp_path / "a.mp4", n_frames)
    every, fourth = Scripted(moving), Scripted(moving)
    wanted = list(faces_in_video(path, every))
    found = list(faces_in_video(path, fourth, detect_every=4))
    assert len(wanted) == len(found) == len(every.looked_s) == n_frames
    assert [t_s for _, t_s in found] == [t_s for _, t_s in wanted]
    for (face, _), (same, _) in zip(found, wanted, strict=True):  # it moves evenly, so interpolation is exact
        assert face is not None
        assert np.abs(face.astype(int) - same.astype(int)).max() <= 2
    looks = sorted({*range(0, n_frames, 4), n_frames - 1})
    assert np.allclose(fourth.looked_s, np.array(looks) / 24, atol=1e-3)


def test_frames_are_decoded_as_they_are_wanted_and_not_kept(write_video: Callable[..., Path], tmp_path: Path) -> None:
    detector = Scripted(moving)
    faces = faces_in_video(write_video(tmp_path / "a.mp4", 40), detector)
    for _ in range(3):
        next(faces)
    assert len(detector.looked_s) == 3


def test_between_a_face_and_none_nothing_is_made_up(write_video: Callable[..., Path], tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 13)
    gone = Scripted(lambda t_s: None if 0.3 < t_s < 0.4 else moving(t_s))  # at frame 8
    has_face = [face is not None for face, _ in faces_in_video(path, gone, detect_every=4)]
    assert has_face == [True] * 5 + [False] * 7 + [True]


def test_a_video_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(MediaError):
        list(faces_in_video(tmp_path / "a.mp4", Scripted(moving)))
    with pytest.raises(ConfigError, match="every 0 frames"):
        list(faces_in_video(tmp_path / "a.mp4", Scripted(moving), detect_every=0))


def write_crop(path: Path, grey: int, size: tuple[int, int] = (FACE_PX, FACE_PX)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (grey, grey, grey)).save(path)


@pytest.mark.parametrize(
    "folder",
    [
        "cropped-aligned-faces/Videos/1/Visite_1/a b.mp4",
        "cropped-aligned-faces/1/Visite 1/a b.mp4",
        "cropped_aligned/Videos/1/Visite_1/a b.mp4",
        "test_unlabeled/cropped-aligned-faces/Videos/1/Visite_1/a b.mp4",
    ],
)
def test_shipped_crops_are_found_under_every_spelling_and_in_order_of_their_numbers(
    tmp_path: Path, folder: str
) -> None:
    for number in (10, 9, 0):
        write_crop(tmp_path / folder / f"frame-{number}.jpg", 100)
    (tmp_path / folder / "notes.txt").write_text("not a crop")
    assert list(find_shipped(tmp_path, "Videos/1/Visite_1/a b.mp4")) == [0, 9, 10]
    assert find_shipped(tmp_path, "Videos/2/Visite_1/a b.mp4") == {}


def test_gaps_whole_frames_and_broken_files_are_no_faces(tmp_path: Path) -> None:
    video_id = "Videos/1/a.mp4"
    folder = tmp_path / "cropped-aligned-faces" / video_id
    write_crop(folder / "frame-0.jpg", 10, size=(640, 480))  # the whole frame, as before the first face
    write_crop(folder / "frame-1.jpg", 50)
    write_crop(folder / "frame-3.jpg", 150, size=(112, 112))  # another size of crop
    (folder / "frame-4.jpg").write_bytes(b"\xff\xd8 broken")
    write_crop(folder / "frame-9.jpg", 200)  # beyond the video
    faces = list(shipped_faces(find_shipped(tmp_path, video_id), 6))
    assert [face is not None for face in faces] == [False, True, False, True, False, False]
    assert abs(int(faces[1].mean()) - 50) <= 1
    assert faces[3].shape == (FACE_PX, FACE_PX, 3)


def test_crops_behind_a_link_that_leads_outside_are_refused(tmp_path: Path) -> None:
    write_crop(tmp_path / "elsewhere" / "frame-0.jpg", 1)
    root = tmp_path / "root" / "cropped-aligned-faces"
    root.mkdir(parents=True)
    (root / "a.mp4").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="outside the data set"):
        find_shipped(tmp_path / "root", "a.mp4")


@pytest.fixture
def uniface_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNIFACE_CACHE_DIR", str(tmp_path))
    return tmp_path


def test_retinaface_is_taken_where_its_weights_are_and_never_fetched(uniface_folder: Path) -> None:
    assert choose_detector("auto") == "mediapipe"
    with pytest.raises(PrerequisiteError, match="weights of RetinaFace are not there") as caught:
        RetinaFaceDetector()
    assert "--detector mediapipe" in caught.value.remedy
    (uniface_folder / "retinaface_r50.onnx").write_bytes(b"something")
    assert choose_detector("auto") == "retinaface"
    with pytest.raises(ConfigError, match="no face detector 'dlib'"):
        choose_detector("dlib")


def test_a_wrong_file_of_retinaface_weights_is_told_and_left_alone(uniface_folder: Path) -> None:
    path = uniface_folder / "retinaface_r50.onnx"
    path.write_bytes(b"something else")
    with pytest.raises(DataError, match="is not uniface's"):
        RetinaFaceDetector(path)
    assert path.read_bytes() == b"something else"


def test_of_several_faces_the_one_with_the_highest_score_counts_and_colours_are_turned(
    uniface_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import hashlib

    import uniface
    from uniface.constants import MODEL_REGISTRY, RetinaFaceWeights

    seen = {}

    class Model:
        def __init__(self, **options: object) -> None:
            seen["options"] = options

        def detect(self, image: np.ndarray) -> list[SimpleNamespace]:
            seen["image"] = image
            return [
                SimpleNamespace(confidence=score, landmarks=np.full((5, 2), score, np.float32))
                for score in (0.93, 0.99, 0.91)
            ][: seen.get("n", 3)]

    (uniface_folder / "retinaface_r50.onnx").write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    monkeypatch.setitem(MODEL_REGISTRY, RetinaFaceWeights.RESNET50, SimpleNamespace(sha256=digest, url="x.onnx"))
    monkeypatch.setattr(uniface, "RetinaFace", Model)
    detector = RetinaFaceDetector()
    assert seen["options"]["confidence_threshold"] == 0.9
    picture = np.zeros((4, 4, 3), np.uint8)
    picture[..., 0] = 200  # red
    points = detector.points(picture, 0.0)
    assert points is not None
    assert np.allclose(points, 0.99)
    assert seen["image"][0, 0].tolist() == [0, 0, 200]  # it takes BGR
    seen["n"] = 0
    assert detector.points(picture, 0.0) is None


def test_frames_of_the_demo_set_are_all_read(tmp_path: Path) -> None:
    path = open_dataset(demo_root()).videos()[0].path
    assert path is not None
    n_frames = sum(1 for _ in read_frames(path))
    assert len(list(faces_in_video(path, Scripted(moving), detect_every=50))) == n_frames
