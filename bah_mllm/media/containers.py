"""Opening of media files and reading of their packets and frames, whatever state the files are in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bah_mllm.core.errors import MediaError

__all__ = ["audio_stream", "decode", "open_media", "packets", "video_stream", "video_streams"]

# Demuxers a media file may ask for. FFmpeg chooses by content, whatever the name: without this list a text file named
# .mp4 could be a playlist that opens other files or addresses.
_FORMATS = "mov,matroska,webm,avi,mpegts,mpeg,mpegvideo,asf,flv,ogg,mxf,wav,mp3,flac,aac"


@contextmanager
def open_media(path: Path) -> Iterator[Any]:
    """Open a media file; closed on leaving.

    Raises:
        MediaError: The file is missing, empty, or no media file that can be read.
    """
    import av

    if not path.is_file():
        raise MediaError(
            f"There is no file {path}.", remedy="Check the path, or run `bah-mllm data check ROOT` on the data set."
        )
    try:
        if path.stat().st_size == 0:
            raise MediaError(f"{path} is empty.", remedy="Copy the file again from its source.")
        container = av.open(
            f"file:{path.resolve()}",  # the prefix keeps names such as `concat:a.mp4` from being read as addresses
            metadata_errors="replace",
            container_options={"protocol_whitelist": "file", "format_whitelist": _FORMATS},
        )
    except (av.FFmpegError, OSError, UnicodeError) as error:
        raise MediaError(
            f"{path} cannot be opened as video or sound: {_reason(error)}.",
            remedy="Copy the file again: it is no media file, is damaged, or was cut off before its index was written.",
        ) from error
    with container:
        yield container


def video_stream(container: Any, path: Path) -> Any:  # noqa: ANN401 - PyAV has no types we can rely on
    """Return the stream of moving pictures that FFmpeg would play: one that moves, marked as default, the largest.

    Raises:
        MediaError: There is none (a cover picture of a sound file is none).
    """
    streams = video_streams(container)
    if not streams:
        raise MediaError(f"{path} holds no video that can be decoded.", remedy="Give a file with a video stream.")
    if len(streams) > 1:
        moving = _moving(path, {stream.index for stream in streams})
        streams.sort(key=lambda stream: (-(stream.index in moving), *_preference(stream)))
    # Slices in parallel, not frames: that would give other pictures of damaged files from run to run.
    streams[0].thread_type = "SLICE"
    return streams[0]


def video_streams(container: Any) -> list[Any]:  # noqa: ANN401
    """Return all streams of pictures that can be decoded, but those marked as cover pictures."""
    import av.stream

    cover = av.stream.Disposition.attached_pic
    return [one for one in container.streams.video if not one.disposition & cover and one.codec_context is not None]


def _preference(stream: Any) -> tuple[int, int, int]:  # noqa: ANN401
    import av.stream

    codec = stream.codec_context
    is_default = bool(stream.disposition & av.stream.Disposition.default)
    return -is_default, -(codec.width or 0) * (codec.height or 0), stream.index


def _moving(path: Path, candidates: set[int]) -> set[int]:
    """Return which streams have more than one picture: a cover that nobody marked as one has a single one."""
    seen: Counter[int] = Counter()
    with open_media(path) as container:
        for packet in packets(container, *(container.streams[index] for index in sorted(candidates))):
            seen[packet.stream_index] += 1
            if min(seen[index] for index in candidates) > 1:
                break
    return {index for index, n in seen.items() if n > 1}


def audio_stream(container: Any) -> Any | None:  # noqa: ANN401
    """Return the first stream of sound, or None."""
    return next((stream for stream in container.streams.audio if stream.codec_context is not None), None)


def packets(container: Any, *streams: Any) -> Iterator[Any]:  # noqa: ANN401
    """Yield the packets of the streams in file order, up to the end or to the first place that cannot be read."""
    import av

    try:
        for packet in container.demux(*streams):
            if packet.size:  # PyAV ends with empty packets, and an empty packet in the middle would end the decoding
                yield packet
    except (av.FFmpegError, OSError):
        return


def decode(container: Any, stream: Any) -> Iterator[Any | None]:  # noqa: ANN401
    """Yield every frame of a stream in the order of showing, and None for each packet that cannot be decoded."""
    import av

    for packet in packets(container, stream):
        try:
            yield from packet.decode()
        except av.FFmpegError:
            yield None
    try:
        yield from stream.codec_context.decode(None)
    except av.FFmpegError:
        return  # nothing was held back


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error).rstrip(".")
