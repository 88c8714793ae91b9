"""Features on disk: one row per decoded frame, memory-mapped, a set for each extractor.

::

    FEATURES/face-resnet18/set.json                  modality, width, settings
                           index.jsonl               a line per video: its digest, frames and fps, or its problem
                           arrays/<digest>.npy       rows of all videos with that content
                           arrays/<digest>.valid.npy, arrays/<digest>.flipped.npy

The digest is of all that decides about the rows, so videos of the same content share them. Every file appears whole or
not at all, and the last line of a video in the index counts: a killed run goes on where it was.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from bah_mllm.core.arrays import read_array
from bah_mllm.core.errors import ConfigError, DataError
from bah_mllm.core.files import digest_file, refuse_difference, write_atomically
from bah_mllm.core.notes import random_features
from bah_mllm.core.reading import Refusal, read_json_as
from supervised.features.index import IndexEntry, SetIndex, damaged_set, wait_for_set

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

__all__ = ["DamagedFeaturesError", "FeatureSet", "FeatureStore", "StoredFeatures", "notes_on_features"]

Modality = Literal["visual", "audio", "text"]

_SET, _ARRAYS = "set.json", "arrays"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_DIGEST = re.compile(r"[0-9a-f]{64}")


class DamagedFeaturesError(DataError):
    """Features that were extracted are not there any more as they were written, or hold NaN or infinity."""


class FeatureSet(BaseModel):
    """What a set of features is.

    Args:
        name: ``<extractor>-<weights>``, as recipes name it.
        modality: ``visual``, ``audio`` or ``text``.
        dim: Width of a row.
        has_flipped: Every video has a twin of horizontally flipped pictures.
        settings: All that decides about the rows besides the videos: weights, layers, alignment ...
        is_stand_in: Random weights have a part in the rows, so that no result on them is one. Whoever built the network
            says so; of a description without it, as they were written at first, ``settings`` tell.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    modality: Modality
    dim: int = Field(ge=1)
    has_flipped: bool = False
    settings: dict[str, Any] = Field(default_factory=dict)
    is_stand_in: bool = False

    @model_validator(mode="before")
    @classmethod
    def _tell_a_stand_in(cls, described: object) -> object:
        if isinstance(described, Mapping) and "is_stand_in" not in described:
            return {**described, "is_stand_in": _has_random_weights(described.get("settings"))}
        return described

    def made_by(self) -> dict[str, Any]:
        """Return all that decides about the rows, as plain values: the same as before sets told of stand-ins."""
        return self.model_dump(exclude={"is_stand_in"})


def _has_random_weights(settings: object) -> bool:
    """Tell random weights by their settings: a file of weights may have any name, ``random`` too."""
    if not isinstance(settings, Mapping) or settings.get("weights") != "random":
        return False
    is_file = "network" in settings and bool(settings.get("weights_digest"))  # VGGish has a digest with a file only
    return not is_file


@dataclass(frozen=True, slots=True, eq=False)
class StoredFeatures:
    """The features of one video.

    Args:
        values: float16 or float32, shape (n_frames, dim), memory-mapped; zeros where not valid.
        is_valid: Shape (n_frames,): False where the modality says nothing of a frame.
        n_frames: Frames of the decoded video, at least 1.
        fps: Frames a second; None where the file does not tell.
    """

    values: Float[np.ndarray, "frames dim"]
    is_valid: Bool[np.ndarray, " frames"]
    n_frames: int
    fps: float | None


class FeatureStore:
    """The sets of features below a folder. Several processes may read and add at the same time.

    Args:
        root: The folder; made on the first write.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root).expanduser()
        self._sets: dict[str, FeatureSet] = {}
        self._indices: dict[str, SetIndex] = {}
        self._checked: set[Path] = set()

    def __repr__(self) -> str:
        return f"FeatureStore({str(self.root)!r})"

    def names(self) -> tuple[str, ...]:
        """Return the names of the sets, sorted."""
        return tuple(sorted(path.parent.name for path in self.root.glob(f"*/{_SET}")))

    def info(self, name: str) -> FeatureSet:
        """Return what a set is.

        Raises:
            DataError: There is no such set, or its description is damaged.
        """
        if name not in self._sets:
            self._sets[name] = self._read_set(name)
        return self._sets[name]

    def video_ids(self, name: str) -> tuple[str, ...]:
        """Return the videos that have features in a set, sorted."""
        return tuple(sorted(key for key, entry in self._entries(name).items() if entry.problem is None))

    def problem(self, name: str, video_id: str) -> str | None:
        """Return why a video has no features in a set; None where it has some."""
        entry = self._entries(name).get(video_id)
        return "its features were not extracted" if entry is None else entry.problem

    def digest(self, name: str, video_id: str) -> str | None:
        """Return the digest of all that decided about a video's rows in a set; None where it has none."""
        entry = self._entries(name).get(video_id)
        return None if entry is None or entry.problem is not None else entry.digest

    def n_frames(self, name: str, video_id: str) -> int:
        """Return how many rows a video has in a set, 0 where it has none; reads the index only."""
        entry = self._entries(name).get(video_id)
        return 0 if entry is None else entry.n_frames

    def note(self, name: str, video_id: str) -> str:
        """Return what a reader should know of a video's features (words without times ...), or ``""``."""
        entry = self._entries(name).get(video_id)
        return "" if entry is None else entry.note

    def read(self, name: str, video_id: str, *, flipped: bool = False) -> StoredFeatures:
        """Return the features of a video, memory-mapped.

        Args:
            name: Of the set.
            video_id: As in the data set.
            flipped: The twin of horizontally flipped pictures.

        Raises:
            DamagedFeaturesError: A file is missing, damaged, or holds NaN or infinity.
            DataError: There is no such set, the video has no features in it (``problem`` says why) or no flipped twin.
        """
        info, problem = self.info(name), self.problem(name, video_id)
        if problem is not None:
            raise DataError(f"{video_id} has no features {name}: {problem}.", remedy="Run `bah-mllm features` on it.")
        if flipped and not info.has_flipped:
            raise DataError(
                f"The features {name} have no flipped twin.", remedy="Run `bah-mllm features` with --flipped."
            )
        entry = self._entries(name)[video_id]
        base = self._arrays(name) / str(entry.digest)
        of_video = f"{name} of {video_id}"
        suffixes = (".flipped.npy" if flipped else ".npy", ".valid.npy")
        values, is_valid = (
            self._load(base.with_name(base.name + suffix), of_video, sha256=entry.sha256.get(suffix))
            for suffix in suffixes
        )
        if values.shape != (entry.n_frames, info.dim) or is_valid.shape != (entry.n_frames,):
            raise DamagedFeaturesError(
                f"The features {name} of {video_id} have the shape {values.shape} and a mask of {is_valid.shape}, "
                f"not ({entry.n_frames}, {info.dim}).",
                remedy="Delete the set's folder and run `bah-mllm features` again.",
            )
        return StoredFeatures(values, np.array(is_valid, bool), entry.n_frames, entry.fps)

    def create(self, info: FeatureSet) -> None:
        """Make a set, or check that the one of that name is the same.

        Raises:
            ConfigError: The name cannot be that of a folder.
            DataError: The description of the set that is there is damaged.
            RunError: A set of that name was made in another way; names what differs first.
        """
        if not _NAME.fullmatch(info.name):
            raise ConfigError(
                f"{info.name!r} cannot be the name of a feature set.",
                remedy="Use letters, digits and .-_+ only, a letter or digit first.",
            )
        with wait_for_set(self.root / info.name):
            if (self.root / info.name / _SET).exists():
                there = self._read_set(info.name)
                refuse_difference(
                    f"The feature set {info.name}",
                    there.model_dump(mode="json"),
                    info.model_dump(mode="json"),
                    remedy="Give the same settings, another --out, or a --suffix for the names of the new sets.",
                )
            else:
                text = info.model_dump_json(indent=1) + "\n"
                write_atomically(self.root / info.name / _SET, text.encode())
        self._sets[info.name] = info

    def add(
        self,
        name: str,
        video_id: str,
        values: np.ndarray,
        is_valid: np.ndarray | None = None,
        *,
        fps: float | None,
        flipped: np.ndarray | None = None,
        digest: str | None = None,
        note: str = "",
    ) -> None:
        """Write the features of a video.

        Args:
            name: A set that ``create`` made.
            video_id: As in the data set; features that it has are replaced.
            values: One row per decoded frame, shape (n_frames, dim), n_frames at least 1. Kept as float16 where they
                are that, else as float32; rows that are not valid are kept as zeros.
            is_valid: Shape (n_frames,); all True where None.
            fps: Frames a second, or None where unknown.
            flipped: The twin of horizontally flipped pictures; given exactly where the set has one.
            digest: 64 hexadecimal digits of all that decides about the rows; of the rows themselves where None.
            note: What a reader of these features should know.

        Raises:
            DataError: A shape does not fit the set, or a valid row holds NaN or infinity.
        """
        info = self.info(name)
        if (flipped is not None) != info.has_flipped:
            what = "needs a flipped twin of" if info.has_flipped else "has no flipped twins, but got one of"
            raise DataError(f"The set {name} {what} {video_id}.", remedy="Make the set with the right has_flipped.")
        is_valid = np.ones(len(values), bool) if is_valid is None else np.asarray(is_valid, bool)
        arrays = {".npy": _checked_rows(values, is_valid, info, video_id), ".valid.npy": is_valid}
        if flipped is not None:
            arrays[".flipped.npy"] = _checked_rows(flipped, is_valid, info, video_id)
        contents = {suffix: _npy(array) for suffix, array in arrays.items()}
        digest = hashlib.sha256(b"".join(contents.values())).hexdigest() if digest is None else digest
        if not _DIGEST.fullmatch(digest):
            raise ValueError(f"a digest has 64 hexadecimal digits, not {digest!r}")
        folder = self._arrays(name)
        folder.mkdir(exist_ok=True)
        for suffix, content in contents.items():
            write_atomically(folder / f"{digest}{suffix}", content)
            self._checked.discard(folder / f"{digest}{suffix}")
        sha256 = {suffix: hashlib.sha256(content).hexdigest() for suffix, content in contents.items()}
        entry = IndexEntry(video_id=video_id, digest=digest, n_frames=len(is_valid), fps=fps, note=note, sha256=sha256)
        self._index(name).append(entry)

    def share(self, name: str, video_id: str, digest: str) -> bool:
        """Give a video the features that another one of the same digest has; return whether there are any."""
        entries = self._entries(name)
        of_video = entries.get(video_id)
        if of_video is not None and of_video.digest == digest:
            return True
        twin = next((entry for entry in entries.values() if entry.digest == digest), None)
        if twin is None:
            return False
        self._index(name).append(twin.model_copy(update={"video_id": video_id}))
        return True

    def fail(self, name: str, video_id: str, problem: str, *, digest: str | None = None) -> None:
        """Write that a video has no features in a set, and why.

        Args:
            name: A set that ``create`` made.
            video_id: As in the data set.
            problem: The end of the sentence "it has no features: ...". Never a participant's words.
            digest: Of what was tried, so that it is not tried again before something changes.
        """
        self.info(name)
        self._index(name).append(IndexEntry(video_id=video_id, digest=digest, problem=problem))

    def _read_set(self, name: str) -> FeatureSet:
        path = self.root / name / _SET
        if not path.exists():
            there = ", ".join(self.names()) or "none"
            near = get_close_matches(name, self.names(), n=1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise DataError(
                f"There are no features {name!r} in {self.root} (there are: {there}).",
                remedy=f"{hint}Name one that is there, as in --set features.visual=NAME, or run `bah-mllm features`.",
            )
        return read_json_as(path, FeatureSet, damaged_set(path))

    def _index(self, name: str) -> SetIndex:
        self.info(name)
        return self._indices.setdefault(name, SetIndex(self.root / name))

    def _entries(self, name: str) -> dict[str, IndexEntry]:
        return self._index(name).entries()

    def _arrays(self, name: str) -> Path:
        return self.root / name / _ARRAYS

    def _load(self, path: Path, of_video: str, *, sha256: str | None) -> np.ndarray:
        remedy = "Delete the set's folder and run `bah-mllm features` again."
        refusal = Refusal(DamagedFeaturesError, f"The features {of_video} ({path.name})", remedy)
        array = read_array(path, refusal, mapped="r")
        if path not in self._checked:
            if array.dtype.kind not in "fb" or not bool(np.isfinite(array).all()):
                raise refusal.of("they hold NaN or infinity")
            if sha256 is not None and digest_file(path) != sha256:
                raise refusal.of("the file is damaged: it is not the one that was written")
            self._checked.add(path)
        return array


def notes_on_features(sets: Iterable[FeatureSet]) -> list[str]:
    """Return a note on every feature set that random weights made."""
    return [random_features(one.name) for one in sets if one.is_stand_in]


def _checked_rows(
    values: np.ndarray, is_valid: np.ndarray, info: FeatureSet, video_id: str
) -> Float[np.ndarray, "frames dim"]:
    """Return rows as they are kept: float16 or float32, zeros where not valid."""
    if values.ndim != 2 or values.shape[1] != info.dim or is_valid.shape != values.shape[:1] or not len(values):
        raise DataError(
            f"Features {info.name} of {video_id} must have the shape (frames, {info.dim}) and a mask of one value a "
            f"frame, but got {values.shape} and {is_valid.shape}.",
            remedy="Give one row for every frame that decodes.",
        )
    with np.errstate(over="ignore"):
        rows = np.where(is_valid[:, None], values, 0).astype(np.float16 if values.dtype == np.float16 else np.float32)
    if not np.isfinite(rows).all():
        n_bad = int((~np.isfinite(rows).all(axis=1)).sum())
        raise DataError(
            f"{n_bad:,} of {len(rows):,} rows of the features {info.name} of {video_id} hold NaN or infinity.",
            remedy="Check the weights, keep the features as float32, or mark these frames as not valid.",
        )
    return rows


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
