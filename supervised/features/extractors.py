"""Extractors: each makes the rows of one or several feature sets for one video."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import torch

from bah_mllm.core.errors import ConfigError, DataError, MediaError, PrerequisiteError
from bah_mllm.core.files import digest_file
from bah_mllm.core.records import Transcript
from bah_mllm.media import FramePass, frame_times, probe, read_audio
from bah_mllm.report.progress import Stopwatch
from supervised.features.crops import choose_detector, faces_in_video, open_detector, shipped_faces
from supervised.features.sound import SAMPLE_RATE_HZ, embed_sound, load_vggish
from supervised.features.store import FeatureSet
from supervised.features.words import DEFAULT_TEXT_MODEL, WordEncoder, text_of_frames
from supervised.models.backbones import build_backbone, freeze

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, UInt8

__all__ = ["AUDIO", "TEXT", "Content", "Extractor", "FeatureRequest", "Reading", "Rows", "open_extractors"]

AUDIO, TEXT = ("vggish",), ("bert",)
_DTYPES = ("float16", "float32")
_VERSION = 1  # counts up when rows change for the same settings
_DEFAULT_STEP_S = 1 / 24


@dataclass(frozen=True, slots=True)
class FeatureRequest:
    """What to extract, and how.

    Args:
        visual: Backbones, keys of ``supervised.models.backbones.BACKBONES``.
        audio: Of ``AUDIO``.
        text: Of ``TEXT``.
        weights: Backbone or ``vggish`` -> file, folder or hub name.
        text_model: Folder, hub name, or ``minilm``.
        is_random: Take random values for networks without weights.
        has_flipped: Also the features of the faces flipped horizontally.
        detector: Of ``faces.DETECTORS``; for videos without shipped crops.
        face_weights: Of RetinaFace; where uniface keeps them if None.
        detect_every: Look for the face in every so many frames.
        is_faithful: Align sound and words as the published code does; adds ``-faithful`` to their names.
        is_held: Keep a word through the silence after it.
        suffix: Added to the names of all sets.
        dtype: ``float16`` or ``float32``, on disk; rows too large for the first are kept in the second.
        device: ``auto``, ``cpu``, ``cuda`` ...
        batch: Faces that a backbone sees at once, at least 1.

    Raises:
        ConfigError: Nothing is asked for, or something that there is not.
    """

    visual: tuple[str, ...] = ()
    audio: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    weights: Mapping[str, str] = field(default_factory=dict)
    text_model: str = DEFAULT_TEXT_MODEL
    is_random: bool = False
    has_flipped: bool = False
    detector: str = "auto"
    face_weights: Path | None = None
    detect_every: int = 1
    is_faithful: bool = False
    is_held: bool = False
    suffix: str = ""
    dtype: str = "float16"
    device: str = "auto"
    batch: int = 32

    def __post_init__(self) -> None:
        if not (self.visual or self.audio or self.text):
            raise ConfigError(
                "No features are asked for.", remedy="Add --visual resnet18, --audio vggish or --text bert."
            )
        asked = [("--audio", name, AUDIO) for name in self.audio] + [("--text", name, TEXT) for name in self.text]
        for option, value, choices in (*asked, ("--dtype", self.dtype, _DTYPES)):
            if value not in choices:
                raise ConfigError(f"There is no {option} {value!r}.", remedy=f"Choose one of: {', '.join(choices)}.")
        for name in self.weights:
            if name not in (*self.visual, *self.audio):
                raise ConfigError(
                    f"There are weights of {name!r}, which is not asked for.",
                    remedy=f"Write --weights NAME=PATH for: {', '.join((*self.visual, *self.audio)) or 'nothing'}.",
                )
        if self.detect_every < 1 or self.batch < 1:
            raise ConfigError(
                f"Faces cannot be looked for in every {self.detect_every} frames, {self.batch} at once.",
                remedy="Give 1 or more.",
            )


@dataclass(frozen=True, slots=True)
class Content:
    """What is known of a video before it is read.

    Args:
        video_id: As in the data set.
        path: The video file; None where it is missing.
        crops: Shipped faces by frame number; empty where there are none.
        transcript: What is said, or None.
        transcript_problem: Why there is none.
    """

    video_id: str
    path: Path | None
    crops: Mapping[int, Path]
    transcript: Transcript | None
    transcript_problem: str = "there is no transcript"


class Rows(NamedTuple):
    """The features of a video for one set.

    Attributes:
        values: Shape (n_frames, dim).
        is_valid: Shape (n_frames,).
        fps: Frames a second, or None.
        flipped: The twin, or None.
        note: For the index.
    """

    values: Float[np.ndarray, "frames dim"]
    is_valid: Bool[np.ndarray, " frames"]
    fps: float | None
    flipped: Float[np.ndarray, "frames dim"] | None = None
    note: str = ""

    def noted(self, note: str) -> Rows:
        """Return these rows with one more note, if it says anything."""
        return self._replace(note="; ".join(filter(None, (self.note, note))))


@dataclass(slots=True)
class Reading:
    """A video while its features are made: what one extractor learns of its frames serves the next one.

    Args:
        content: The video.
        watch: Counts time.
    """

    content: Content
    watch: Stopwatch = field(default_factory=Stopwatch)
    _times_s: np.ndarray | None = None
    _pass: FramePass | None = None
    _fps: float | None = None

    @property
    def path(self) -> Path:
        """The video file.

        Raises:
            MediaError: It is missing.
        """
        if self.content.path is None:
            raise MediaError("the video file is missing", remedy="Run `bah-mllm data check ROOT` to see what is there.")
        return self.content.path

    @property
    def times_s(self) -> Float[np.ndarray, " frames"]:
        """When each frame appears; read from the file where no pass over it has been made yet."""
        if self._times_s is None:
            self._pass = FramePass(self.path)
            with self.watch.spent_on("decode"):
                self._times_s = frame_times(self._pass)
        return self._times_s

    def tell_times(self, times_s: Sequence[float], frame_pass: FramePass) -> None:
        """Take the times of all frames from a finished pass over the file."""
        self._times_s, self._pass = np.array(times_s, dtype=np.float64), frame_pass

    @property
    def damage(self) -> str:
        """What the pass over the file showed of damage (``FramePass.damage``); ``""`` where none was made."""
        return "" if self._pass is None else self._pass.damage

    @property
    def fps(self) -> float | None:
        """Frames a second; None where the file does not tell or is missing."""
        if self._fps is None and self.content.path is not None:
            self._fps = probe(self.content.path).fps
        return self._fps

    @property
    def duration_s(self) -> float:
        """From the first frame to the end of the last one."""
        return float(self.times_s[-1] + (1 / self.fps if self.fps else _DEFAULT_STEP_S))


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
                name=name, modality="visual", dim=backbone.dim, has_flipped=request.has_flipped, settings=settings
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
            "alignment": "faithful: looks ahead, shifted by one frame" if request.is_faithful else "centred",
            "dtype": request.dtype,
        }
        self.sets = {name: FeatureSet(name=name, modality="audio", dim=128, settings=settings)}

    def digest(self, name: str, content: Content, content_digest: bytes) -> str:  # noqa: ARG002
        return _digest(self.sets[name], content_digest)

    def extract(self, reading: Reading, names: Sequence[str]) -> dict[str, Rows]:
        times_s = reading.times_s
        with reading.watch.spent_on("sound"):
            samples = read_audio(reading.path, sample_rate_hz=SAMPLE_RATE_HZ)
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
        self.sets = {name: FeatureSet(name=name, modality="text", dim=self._encoder.dim, settings=settings)}

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
    return rows._replace(values=rows.values.astype(dtype), flipped=flipped)


def _faithful(request: FeatureRequest) -> str:
    return "-faithful" if request.is_faithful else ""


def _digest(info: FeatureSet, *parts: bytes) -> str:
    digest = hashlib.sha256(json.dumps([_VERSION, info.model_dump()], sort_keys=True).encode())
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
