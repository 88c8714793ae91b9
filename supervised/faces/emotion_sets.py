"""Readers of the three data sets of basic emotions that the paper pre-trains on (section 4.2).

They read the folders as distributed; nothing is downloaded. Every reader yields pictures of faces with the name of the
emotion, or None where the annotators gave none of the eight.

References:
    RAF-DB (Li et al., CVPR 2017), basic part::

        EmoLabel/list_patition_label.txt    lines "train_00001.jpg 5", 1 surprise ... 7 neutral
        Image/aligned/train_00001_aligned.jpg

    AffectNet (Mollahosseini et al., IEEE TAC 2019), any of::

        train_set/images/5.jpg, train_set/annotations/5_exp.npy; val_set/...
        training.csv, validation.csv with subDirectory_filePath, face_x ... face_height, expression; pictures under
            Manually_Annotated_Images/ or beside the files
        train/3/*.jpg, val/3/*.jpg           a folder a class, by number or name

    Aff-Wild2 (Kollias and Zafeiriou, 2019), expression part::

        EXPR*/Train_Set/<video>.txt          names of the classes, then a number a frame; -1 unlabelled
        cropped_aligned/<video>/00001.jpg    the first line's frame
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bah_mllm.core.arrays import DAMAGED_ARRAYS
from bah_mllm.core.errors import DataError

__all__ = ["BASIC_EMOTIONS", "EMOTION_SETS", "Box", "EmotionImage", "read_affectnet", "read_affwild2", "read_rafdb"]

BASIC_EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")  # those of the paper
_RAFDB = (None, "surprise", "fear", "disgust", "happiness", "sadness", "anger", "neutral")
_AFFECTNET = ("neutral", "happiness", "sadness", "surprise", "fear", "disgust", "anger", "contempt")
_SYNONYMS = {"angry": "anger", "disgusted": "disgust", "afraid": "fear", "fearful": "fear", "happy": "happiness"}
_SYNONYMS |= {"joy": "happiness", "sad": "sadness", "surprised": "surprise"}
_PICTURES = {".jpg", ".jpeg", ".png", ".bmp"}

Box = tuple[int, int, int, int]  # left, top, right, bottom in pixels, half open


class EmotionImage(NamedTuple):
    """A picture of a face.

    Attributes:
        path: File.
        emotion: Lower-case noun (``anger``), or None where there is none.
        box: Part of the picture to take; None for all of it.
    """

    path: Path
    emotion: str | None
    box: Box | None = None


def read_rafdb(root: Path, *, is_train: bool) -> Iterator[EmotionImage]:
    """Yield the aligned faces of RAF-DB's basic part: those of training, or those of the test set.

    Raises:
        DataError: The list of labels is not there, or a line of it is malformed.
    """
    base = next((place for place in (root, root / "basic") if (place / "EmoLabel").is_dir()), root)
    listing = base / "EmoLabel" / "list_patition_label.txt"
    for number, line in enumerate(_lines(listing, "RAF-DB"), start=1):
        name, _, label = line.strip().partition(" ")
        if not label.isdecimal() or not 1 <= int(label) <= 7:
            raise DataError(
                f"Line {number} of RAF-DB's {listing.name} is not a file name and a number from 1 to 7.",
                remedy="Take the list as it is distributed.",
            )
        if name.startswith("train") == is_train:
            yield EmotionImage(base / "Image" / "aligned" / f"{Path(name).stem}_aligned.jpg", _RAFDB[int(label)])


def read_affectnet(root: Path, *, is_train: bool) -> Iterator[EmotionImage]:
    """Yield the faces of AffectNet, training or validation, in whichever layout is there.

    Raises:
        DataError: None of the layouts is there, or a CSV file lacks a column.
    """
    part = "train" if is_train else "val"
    if (root / f"{part}_set" / "annotations").is_dir():
        return _affectnet_arrays(root / f"{part}_set")
    name = "training.csv" if is_train else "validation.csv"
    for place in (root, root / "Manually_Annotated_file_lists"):
        if (place / name).is_file():
            return _affectnet_csv(root, place / name)
    if (root / part).is_dir():
        return _class_folders(root / part)
    raise DataError(
        f"The folder {root.name} has no {part}_set/annotations, {name} or {part}/: it is no AffectNet.",
        remedy="Give the folder into which AffectNet was unpacked.",
    )


def _affectnet_arrays(part: Path) -> Iterator[EmotionImage]:
    pictures = {path.stem: path for path in (part / "images").iterdir() if path.suffix.lower() in _PICTURES}
    for stem in sorted(pictures, key=lambda stem: (len(stem), stem)):
        try:
            number = int(np.load(part / "annotations" / f"{stem}_exp.npy", allow_pickle=False))
        except DAMAGED_ARRAYS:
            yield EmotionImage(pictures[stem], None)
            continue
        yield EmotionImage(pictures[stem], _numbered(number))


def _affectnet_csv(root: Path, listing: Path) -> Iterator[EmotionImage]:
    base = next((one for one in (root / "Manually_Annotated_Images", listing.parent) if one.is_dir()), root)
    with listing.open(encoding="utf-8-sig", newline="") as file:
        table = csv.DictReader(file)
        missing = {"subDirectory_filePath", "expression"} - set(table.fieldnames or ())
        if missing:
            raise DataError(
                f"AffectNet's {listing.name} has no column {sorted(missing)[0]}.",
                remedy="Take the file as distributed.",
            )
        for number, row in enumerate(table, start=2):
            try:
                path = base / Path(row["subDirectory_filePath"])
                yield EmotionImage(path, _numbered(int(row["expression"])), _face_box(row))
            except (TypeError, ValueError):
                raise DataError(
                    f"Line {number} of AffectNet's {listing.name} is malformed.", remedy="Take the file as distributed."
                ) from None


def _face_box(row: dict[str, str]) -> Box | None:
    sides = [row.get(name) for name in ("face_x", "face_y", "face_width", "face_height")]
    if any(side in (None, "", "NULL") for side in sides):
        return None
    x, y, width, height = (int(float(side or 0)) for side in sides)
    return (x, y, x + width, y + height) if width > 0 and height > 0 else None


def _class_folders(part: Path) -> Iterator[EmotionImage]:
    for folder in sorted(path for path in part.iterdir() if path.is_dir()):
        emotion = _numbered(int(folder.name)) if folder.name.isdecimal() else _named(folder.name)
        for path in sorted(folder.iterdir()):
            if path.suffix.lower() in _PICTURES:
                yield EmotionImage(path, emotion)


def read_affwild2(root: Path, *, is_train: bool) -> Iterator[EmotionImage]:
    """Yield the labelled frames of Aff-Wild2's expression part that have a cropped and aligned face.

    Raises:
        DataError: There are no annotations, no faces, or a file does not start with the names of its classes.
    """
    names = ("Train_Set", "Training_Set") if is_train else ("Validation_Set",)
    # Two fixed depths: a search of everything would go through millions of faces.
    patterns = [f"{above}EXPR*/{name}/*.txt" for above in ("", "*/") for name in names]
    annotations = [path for pattern in patterns for path in root.glob(pattern)]
    faces = next(
        (place for place in (root / "cropped_aligned" / "cropped_aligned", root / "cropped_aligned") if place.is_dir()),
        None,
    )
    if not annotations or faces is None:
        raise DataError(
            f"The folder {root.name} has no EXPR*/{names[0]}/*.txt or no cropped_aligned/: it is no Aff-Wild2.",
            remedy="Give the folder with the annotations of expressions and the cropped and aligned faces.",
        )
    for annotation in sorted(annotations):
        header, *labels = _lines(annotation, "Aff-Wild2") or [""]
        classes = [_named(name) for name in header.split(",")]
        if "happiness" not in classes:
            raise DataError(
                f"Aff-Wild2's {annotation.name} does not start with the names of its classes.",
                remedy="Take the annotations of the expression challenge as distributed.",
            )
        there = {path.stem: path for path in (faces / annotation.stem).glob("*.jpg")}
        for number, label in enumerate(labels, start=1):
            if (path := there.get(f"{number:05d}")) is not None and label.strip().isdecimal():
                yield EmotionImage(path, classes[int(label)] if int(label) < len(classes) else None)


def _lines(path: Path, name: str) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{name}'s {path.name} cannot be read ({type(error).__name__}).",
            remedy=f"Give the folder into which {name} was unpacked.",
        ) from None


def _numbered(number: int) -> str | None:
    return _AFFECTNET[number] if 0 <= number < len(_AFFECTNET) else None  # 8 none, 9 uncertain, 10 no face


def _named(name: str) -> str:
    lower = name.strip().lower()
    return _SYNONYMS.get(lower, lower)


EMOTION_SETS = {"rafdb": read_rafdb, "affectnet": read_affectnet, "affwild2": read_affwild2}
