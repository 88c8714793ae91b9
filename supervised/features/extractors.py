"""Extractors: each makes the rows of one or several feature sets for one video."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from bah_mllm.core.errors import ConfigError, DataError, MediaError, PrerequisiteError
from bah_mllm.core.files import digest_file
from bah_mllm.media import FramePass, read_audio
from supervised.features.crops import choose_detector, faces_in_video, open_detector, shipped_faces
from supervised.features.request import FeatureRequest
from supervised.features.sound import SAMPLE_RATE_HZ, embed_sound, load_vggish
from supervised.features.store import FeatureSet
from supervised.features.videos import Content, Reading, Rows
from supervised.features.words import WordEncoder, text_of_frames
from supervised.models.backbones import build_backbone, freeze

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

__all__ = ["Extractor", "open_extractors"]

_VERSION = 1  # counts up when rows change for the same settings


class Extractor(Protocol):
    """Makes the rows of feature sets.

    Attributes:
        sets: The sets, by name.
    """

    sets: dict[str, FeatureSet]

    def digest(self, name: str, content: Content, content_digest: bytes) -> str:
        """Return the digest of all that decides about a video's rows in a set.

        Args:
            name: Of ``sets``.
            content: The video.
            content_digest: Of the bytes of its file, empty where that is missing.
        """
        ...

    def extract(self, reading: Reading, names: Sequence[str]) -> dict[str, Rows]:
        """Return the rows of a video for some of the sets.

        Raises:
            MediaError: The video or its sound cannot be read.
            DataError: Something else that it needs is not there.
        """
        ...


class _Faces:
    """Backbones over aligned faces, all in one pass over the video."""

    def __init__(self, request: FeatureRequest) -> None:
        self._request = request
        self._device = _device(request.device)
        self._detector = choose_detector(request.detector)
        self._backbones = {}
        self._of_crops: tuple[Content | None, bytes] = None, b""
        self.sets: dict[str, FeatureSet] = {}
        for backbone_name in request.visual:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(0)  # random weights are the same in every process
                backbone = build_backbone(backbone_name, request.weights.get(backbone_name), random=request.is_random)
            name = f"face-{backbone_name}{request.suffix}"
            settings = {
                **backbone.settings,
                "faces": f"shipped crops, else {self._detector}",
                "detect_every": request.detect_every,
                "dtype": request.dtype,
            }
            self.sets[name] = FeatureSet(
                name=name,
                modality="visual",
                dim=backbone.dim,
                has_flipped=request.has_flipped,
                settings=settings,
                is_stand_in=backbone.is_stand_in,
            )
            self._backbones[name] = freeze(backbone).to(self._device, memory_format=torch.channels_last)

    def digest(self, name: str, content: Content, content_digest: bytes) -> str:
        if self._of_crops[0] is not content:  # they are read once for all backbones
            crops = hashlib.sha256()
            for number, path in content.crops.items():
                crops.update(f"{number}:".encode() + bytes.fromhex(digest_file(path)))
            self._of_crops = content, crops.digest()
        return _digest(self.sets[name], content_digest, self._of_crops[1])

    def extract(self, reading: Reading, names: Sequence[str]) -> dict[str, Rows]:
        rows: dict[str, list[np.ndarray]] = {name: [] for name in names}
        flipped: dict[str, list[np.ndarray]] = {name: [] for name in names}
        masks = []
        for faces, is_valid in _batches(self._faces(reading), self._request.batch):
            masks.append(is_valid)
            with reading.watch.spent_on("backbone"):
                for name in names:
                    rows[name].append(self._embed(name, faces, is_valid))
                    if self._request.has_flipped:
                        flipped[name].append(self._embed(name, faces[:, :, ::-1], is_valid))
        if not masks:
            raise MediaError("no frame can be decoded", remedy="Copy the file again, or convert it to H.264.")
        is_valid = np.concatenate(masks)
        source = "shipped crops" if reading.content.crops else self._detector
        note = f"{source}: a face in {int(is_valid.sum()):,} of {len(is_valid):,} frames"
        return {
            name: _kept(
                Rows(
                    np.concatenate(rows[name]),
                    is_valid,
                    reading.fps,
                    np.concatenate(flipped[name]) if flipped[name] else None,
                    note,
                ),
                self._request.dtype,
            )
            for name in names
        }

    def _faces(self, reading: Reading) -> Iterator[UInt8[np.ndarray, "px px 3"] | None]:
        crops, watch = reading.content.crops, reading.watch
        if crops:
            n_frames = max(crops) + 1 if reading.content.path is None else len(reading.times_s)
            yield from watch.waiting("decode", shipped_faces(crops, n_frames))
            return
        frame_pass = FramePass(reading.path)
        with watch.spent_on("load"):
            detector = open_detector(self._detector, self._request.face_weights)
        times_s, every = [], self._request.detect_every
        try:
            for face, t_s in faces_in_video(frame_pass, detector, detect_every=every, watch=watch):
                times_s.append(t_s)
                yield face
        finally:
            detector.close()
        reading.tell_times(times_s, frame_pass)

    def _embed(
        self, name: str, faces: UInt8[np.ndarray, "faces px px 3"], is_valid: Bool[np.ndarray, " frames"]
    ) -> Float[np.ndarray, "frames dim"]:
        rows = np.zeros((len(is_valid), self.sets[name].dim), np.float32)
        if len(faces):
            batch = torch.from_numpy(np.ascontiguousarray(faces)).to(self._device)
            with torch.inference_mode():
                rows[is_valid] = self._backbones[name](batch).float().cpu().numpy()
        return rows


class _Sound:
    """VGGish over the sound of the video."""

    def __init__(self, request: FeatureRequest) -> None:
        weights = request.weights.get("vggish")
        file = Path(weights).expanduser() if weights is not None else None
        self._request = request
        self._network = load_vggish(file, random=request.is_random).to(_device(request.device))
        self._network.to(memory_format=torch.channels_last)
        name = f"vggish{_faithful(request)}{request.suffix}"
        settings = {
            "network": "vggish",
            "weights": file.name if file is not None else "random",
            "weights_digest": digest_file(file)[:16] if file is not None else "",
            "alignment": "faithful: looks ahead, shifted by one frame"
            if request.is_faithful
            else "centred, on the clock of the pictures",
            "dtype": request.dtype,
        }
        self.sets = {
            name: FeatureSet(name=name, modality="audio", dim=128, settings=settings, is_stand_in=file is None)
        }

    def digest(self, name: str, content: Content, content_digest: bytes) -> str:  # noqa: ARG002
        return _digest(self.sets[name], content_digest)

    def extract(self, reading: Reading, names: Sequence[str]) -> dict[str, Rows]:
        times_s = reading.times_s
        with reading.watch.spent_on("sound"):
            samples = read_audio(
                reading.path, sample_rate_hz=SAMPLE_RATE_HZ, from_first_sample=self._request.is_faithful
            )
        with reading.watch.spent_on("vggish"):
            values, is_valid = embed_sound(
                self._network, samples, times_s, fps=reading.fps, is_faithful=self._request.is_faithful
            )
        rows = _kept(Rows(values, is_valid, reading.fps), self._request.dtype)
        return dict.fromkeys(names, rows)


class _Words:
    """A BERT-family model over the transcript."""

    def __init__(self, request: FeatureRequest) -> None:
        self._request = request
        self._encoder = WordEncoder(request.text_model, device=str(_device(request.device)))
        name = f"bert{_faithful(request)}{request.suffix}"
        settings = {
            "model": self._encoder.name,
            "weights_digest": self._encoder.digest,
            "layers": "sum of the last 4",
            "alignment": "faithful: sub-words spread evenly" if request.is_faithful else "words by their times",
            "silence": "held" if request.is_held and not request.is_faithful else "zeros",
            "dtype": request.dtype,
        }
        self.sets = {
            name: FeatureSet(name=name, modality="text", dim=self._encoder.dim, settings=settings, is_stand_in=False)
        }

    def digest(self, name: str, content: Content, content_digest: bytes) -> str:
        said = asdict(content.transcript) if content.transcript is not None else None
        return _digest(self.sets[name], content_digest, json.dumps(said).encode())

    def extract(self, reading: Reading, names: Sequence[str]) -> dict[str, Rows]:
        if reading.content.transcript is None:
            raise DataError(reading.content.transcript_problem, remedy="Run `bah-mllm transcribe` first.")
        times_s, duration_s = reading.times_s, reading.duration_s
        with reading.watch.spent_on("words"):
            values, is_valid, note = text_of_frames(
                self._encoder,
                reading.content.transcript,
                times_s,
                duration_s=duration_s,
                hold=self._request.is_held,
                is_faithful=self._request.is_faithful,
            )
        rows = _kept(Rows(values, is_valid, reading.fps, note=note), self._request.dtype)
        return dict.fromkeys(names, rows)


def open_extractors(request: FeatureRequest) -> tuple[Extractor, ...]:
    """Load the networks that a request needs.

    Raises:
        PrerequisiteError: Weights or a package are missing.
        ConfigError: There is no such backbone or detector.
        DataError: Weights cannot be read.
    """
    kinds = ((request.visual, _Faces), (request.audio, _Sound), (request.text, _Words))
    return tuple(kind(request) for names, kind in kinds if names)


def _batches(
    faces: Iterable[np.ndarray | None], size: int
) -> Iterator[tuple[UInt8[np.ndarray, "faces px px 3"], Bool[np.ndarray, " frames"]]]:
    """Yield the faces of so many frames at a time, without those that have none, and the mask of those that have."""
    iterator = iter(faces)
    while held := list(islice(iterator, size)):
        found = [face for face in held if face is not None]
        stacked = np.stack(found) if found else np.zeros((0, 1, 1, 3), np.uint8)
        yield stacked, np.array([face is not None for face in held])


def _kept(rows: Rows, dtype: str) -> Rows:
    """Return rows as they are kept: in float32, with a note, where float16 cannot hold them (random deep networks)."""
    arrays = [array for array in (rows.values, rows.flipped) if array is not None]
    if dtype == "float16" and max(float(np.abs(array).max(initial=0)) for array in arrays) > np.finfo(np.float16).max:
        dtype, rows = "float32", rows.noted("kept as float32, being too large for float16")
    flipped = None if rows.flipped is None else rows.flipped.astype(dtype)
    return replace(rows, values=rows.values.astype(dtype), flipped=flipped)


def _faithful(request: FeatureRequest) -> str:
    return "-faithful" if request.is_faithful else ""


def _digest(info: FeatureSet, *parts: bytes) -> str:
    digest = hashlib.sha256(json.dumps([_VERSION, info.made_by()], sort_keys=True).encode())
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"There is no device {name!r}.", remedy="Write auto, cpu, cuda or cuda:1.") from None
    if device.type == "cuda" and not torch.cuda.is_available():
        raise PrerequisiteError("There is no CUDA device.", remedy="Leave --device out, or write cpu.")
    return device
