from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bah_mllm.core.errors import DataError
from supervised.faces.emotion_sets import read_affectnet, read_affwild2, read_rafdb
from supervised.faces.pictures import emotion_faces, read_batches


def picture(path, value=128, size=(20, 20)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, value, value)).save(path)


def text(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def shown(images, root):
    return [(str(one.path.relative_to(root)), one.emotion) for one in images]


class TestRafdb:
    NUMBERS = "surprise fear disgust happiness sadness anger neutral".split()  # noqa: SIM905 - as its readme lists them

    @pytest.mark.parametrize("inner", ["", "basic"])
    def test_parts_and_emotions_are_those_of_its_list(self, tmp_path, inner):
        lines = [f"train_{number:05d}.jpg {number}" for number in range(1, 8)] + ["test_0001.jpg 4"]
        text(tmp_path / inner / "EmoLabel" / "list_patition_label.txt", "\n".join(lines) + "\n")
        base = Path(inner) / "Image" / "aligned"
        assert shown(read_rafdb(tmp_path, is_train=True), tmp_path) == [
            (str(base / f"train_{number:05d}_aligned.jpg"), name) for number, name in enumerate(self.NUMBERS, start=1)
        ]
        assert shown(read_rafdb(tmp_path, is_train=False), tmp_path) == [
            (str(base / "test_0001_aligned.jpg"), "happiness")
        ]

    @pytest.mark.parametrize("line", ["train_00001.jpg", "train_00001.jpg 8", "train_00001.jpg x", ""])
    def test_a_malformed_line_is_named(self, tmp_path, line):
        text(tmp_path / "EmoLabel" / "list_patition_label.txt", f"train_1.jpg 1\n{line}\n")
        with pytest.raises(DataError, match="Line 2 of RAF-DB's"):
            list(read_rafdb(tmp_path, is_train=True))

    def test_another_folder_is_refused(self, tmp_path):
        with pytest.raises(DataError, match="cannot be read"):
            list(read_rafdb(tmp_path, is_train=True))


class TestAffectnet:
    NUMBERS = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")  # its paper

    def test_arrays_beside_pictures(self, tmp_path):
        for number in range(11):
            picture(tmp_path / "train_set" / "images" / f"{number}.jpg")
            (tmp_path / "train_set" / "annotations").mkdir(exist_ok=True)
            np.save(tmp_path / "train_set" / "annotations" / f"{number}_exp.npy", np.array(str(number)))
        found = [one.emotion for one in read_affectnet(tmp_path, is_train=True)]
        assert found == [*self.NUMBERS, None, None, None]

    def test_pictures_without_a_usable_array_have_no_emotion(self, tmp_path):
        for name in ("1", "2", "3"):
            picture(tmp_path / "val_set" / "images" / f"{name}.jpg")
        annotations = tmp_path / "val_set" / "annotations"
        annotations.mkdir()
        np.save(annotations / "1_exp.npy", np.array(6))
        np.save(annotations / "2_exp.npy", np.array([{}], dtype=object))  # would have to be unpickled
        assert [one.emotion for one in read_affectnet(tmp_path, is_train=False)] == ["anger", None, None]

    def test_csv_with_boxes(self, tmp_path):
        header = (
            "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression,valence,arousal"
        )
        text(tmp_path / "training.csv", f"{header}\n689/a.jpg,5,6,10,12,x,1,.1,.2\n690/b.png,NULL,,,,x,9,-2,-2\n")
        (tmp_path / "Manually_Annotated_Images").mkdir()
        first, second = read_affectnet(tmp_path, is_train=True)
        assert first.path == tmp_path / "Manually_Annotated_Images" / "689" / "a.jpg"
        assert (first.emotion, first.box) == ("happiness", (5, 6, 15, 18))
        assert (second.emotion, second.box) == (None, None)

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            ("subDirectory_filePath\na.jpg\n", "no column expression"),
            ("subDirectory_filePath,expression\na.jpg,x\n", "Line 2"),
            ("subDirectory_filePath,expression\na.jpg\n", "Line 2"),
        ],
    )
    def test_a_malformed_csv_is_refused(self, tmp_path, content, said):
        text(tmp_path / "validation.csv", content)
        with pytest.raises(DataError, match=said):
            list(read_affectnet(tmp_path, is_train=False))

    def test_a_folder_a_class(self, tmp_path):
        for name in ("3", "Angry", "9"):
            picture(tmp_path / "train" / name / "x.png")
        assert [one.emotion for one in read_affectnet(tmp_path, is_train=True)] == ["surprise", None, "anger"]

    def test_another_folder_is_refused(self, tmp_path):
        with pytest.raises(DataError, match="is no AffectNet"):
            list(read_affectnet(tmp_path, is_train=True))


class TestAffwild2:
    HEADER = "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other"

    @pytest.mark.parametrize("above", ["", "annotations/"])
    def test_line_k_belongs_to_frame_k(self, tmp_path, above):
        text(tmp_path / f"{above}EXPR_Classification_Challenge/Train_Set/7-60.txt", f"{self.HEADER}\n4\n-1\n6\n7\n1\n")
        for frame in (1, 2, 3, 4):  # no face in the fifth
            picture(tmp_path / "cropped_aligned" / "7-60" / f"{frame:05d}.jpg")
        assert shown(read_affwild2(tmp_path, is_train=True), tmp_path / "cropped_aligned" / "7-60") == [
            ("00001.jpg", "happiness"),
            ("00003.jpg", "surprise"),
            ("00004.jpg", "other"),
        ]

    @pytest.mark.parametrize("content", ["4\n4\n", ""])
    def test_a_file_without_names_of_classes_is_refused(self, tmp_path, content):
        text(tmp_path / "EXPR_Set/Validation_Set/a.txt", content)
        (tmp_path / "cropped_aligned").mkdir()
        with pytest.raises(DataError, match=r"a\.txt does not start"):
            list(read_affwild2(tmp_path, is_train=False))

    def test_another_folder_is_refused(self, tmp_path):
        with pytest.raises(DataError, match="is no Aff-Wild2"):
            list(read_affwild2(tmp_path, is_train=True))


def test_sets_are_joined_and_other_emotions_counted(tmp_path):
    text(tmp_path / "raf/EmoLabel/list_patition_label.txt", "train_1.jpg 6\ntrain_2.jpg 7\n")
    picture(tmp_path / "raf/Image/aligned/train_1_aligned.jpg")
    for name in ("1", "6", "7"):
        picture(tmp_path / "affectnet/train" / name / "x.png")
    roots = {"rafdb": tmp_path / "raf", "affectnet": tmp_path / "affectnet"}
    faces = emotion_faces(roots, ("anger", "happiness"), is_train=True)
    assert faces.labels.tolist() == [0, 1, 0]
    assert faces.counts() == {"anger": 2, "happiness": 1}
    assert faces.notes == [
        "rafdb: 1 faces, 1 of other or no emotions left out",
        "affectnet: 2 faces, 1 of other or no emotions left out",
    ]


def test_the_box_of_a_face_is_cut_out(tmp_path):
    part = Image.new("RGB", (40, 30), (0, 0, 0))
    part.paste((200, 100, 50), (5, 6, 15, 18))
    (tmp_path / "Manually_Annotated_Images").mkdir()
    part.save(tmp_path / "Manually_Annotated_Images" / "a.png")
    header = "subDirectory_filePath,face_x,face_y,face_width,face_height,expression"
    text(tmp_path / "training.csv", f"{header}\na.png,5,6,10,12,6\n")
    faces = emotion_faces({"affectnet": tmp_path}, ("anger", "fear"), is_train=True)
    (batch,) = read_batches(faces, [[0]], side_px=8)
    assert batch.faces.shape == (1, 8, 8, 3)
    assert (batch.faces.numpy() == [200, 100, 50]).all()
