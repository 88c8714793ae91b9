"""What is in a media file, from its packets and its first picture rather than from its header."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

from bah_mllm.core.clock import FrameClock
from bah_mllm.core.errors import MediaError
from bah_mllm.media.containers import audio_stream, decode, open_media, packets, video_stream, video_streams
from bah_mllm.media.resizing import clockwise_turns, pixel_aspect_of, shown_shape
from bah_mllm.media.timing import clock_of, joined_ticks

__all__ = ["MediaInfo", "probe"]

_REORDERED = 16  # packets among which the last one shown is: no codec here stores further ahead


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """What is in a video file.

    Args:
        n_frames: Video packets that are to be shown, at least 1. The count of frames that decode, unless the file is
            damaged or packs its frames unusually; ``read_clips`` finds the true one.
        fps: Average frames a second, above 0; None where it cannot be known (a single frame, or no times and no rate).
        width_px: Width as shown, after rotation, of square pixels.
        height_px: Height as shown, after rotation.
        rotation_deg: Clockwise turn from the stored to the shown picture: 0, 90, 180 or 270.
        duration_s: From the first frame to the end of the last one; None where the file has no times.
        has_audio: There is a stream of sound with at least one packet.
        audio_duration_s: From the first to the end of the last packet of sound; None without sound or times.
        video_codec: FFmpeg's name of the codec (``h264``).
        audio_codec: FFmpeg's name of the codec (``aac``), or None.
        clock: When each frame is shown; None where ``fps`` is.
        n_video_streams: Streams of moving pictures or covers; the one that FFmpeg would play is read, others are not.
    """

    n_frames: int
    fps: float | None
    width_px: int
    height_px: int
    rotation_deg: int
    duration_s: float | None
    has_audio: bool
    audio_duration_s: float | None
    video_codec: str
    audio_codec: str | None
    clock: FrameClock | None = None
    n_video_streams: int = 1


@dataclass
class _Tally:
    """The packets of one stream that are to be shown, with their times in ticks where they have any."""

    n_packets: int = 0
    time_base: Fraction = Fraction(0)
    stored: list[tuple[int | None, int | None]] = field(default_factory=list)
    durations: list[int] = field(default_factory=list)

    def add(self, packet: Any) -> None:  # noqa: ANN401
        self.n_packets += 1
        self.time_base = packet.time_base or self.time_base
        self.durations.append(packet.duration or 0)
        self.stored.append((packet.dts, packet.pts))

    @cached_property
    def shown(self) -> list[int]:
        """Times of showing, in their order; asked for once all packets are in."""
        return joined_ticks(self.stored, self.time_base)

    def fps(self, header_rates: tuple[Fraction | None, ...]) -> float | None:
        """Return packets a second from their times; a header only sharpens what they say, or stands in without times.

        Matroska rounds times to milliseconds: 24 fps would come out as 24.007 in a second of video. Where the rate in
        the header agrees with the times to within one tick, it is the exact one. Times of decoding count too: in a file
        that was cut off they have no holes, while the times of showing lack the frames that were stored further on.
        """
        shown = self.shown
        for ticks in (shown, joined_ticks([(dts, dts) for dts, _ in self.stored], self.time_base)):
            n_intervals, span_s = len(ticks) - 1, _span(ticks) * self.time_base
            for rate in header_rates:
                if rate and n_intervals > 0 and abs(n_intervals / Fraction(rate) - span_s) <= self.time_base:
                    return float(rate)
        span_s = _span(shown) * self.time_base
        if span_s > 0:
            return float((len(shown) - 1) / span_s)
        has_no_times = not shown and self.n_packets > 1
        return next((float(rate) for rate in header_rates if rate), None) if has_no_times else None

    def duration_s(self, fps: float | None = None) -> float | None:
        """Return the time from the first to the end of the last packet; None without times.

        Where the last packet does not say how long it is shown, it counts as one frame at ``fps``.
        """
        shown = self.shown
        if not shown:
            return self.n_packets / fps if fps is not None else None
        duration_s = float((_span(shown) + self._last_duration()) * self.time_base)
        return duration_s + 1 / fps if not self._last_duration() and fps is not None else duration_s

    def _last_duration(self) -> int:
        """Return how long the packet that is shown last is shown, in ticks; 0 where it does not say."""
        tail = [
            (pts if pts is not None else dts, duration)
            for (dts, pts), duration in zip(self.stored[-_REORDERED:], self.durations[-_REORDERED:], strict=True)
        ]
        return max(((ticks, duration) for ticks, duration in tail if ticks is not None), default=(0, 0))[1]


def probe(path: Path) -> MediaInfo:
    """Return what is in a video file.

    Reads the whole file but decodes only up to the first picture.

    Raises:
        MediaError: The file is missing, empty or unreadable, has no video, or none of it decodes.
    """
    with open_media(path) as container:
        video, audio = video_stream(container, path), audio_stream(container)
        tallies = {video.index: _Tally()} | ({audio.index: _Tally()} if audio else {})
        for packet in packets(container, *filter(None, (video, audio))):
            if not packet.is_discard:  # packets before the start that an edit list cuts off are decoded, never shown
                tallies[packet.stream_index].add(packet)
        shown, heard = tallies[video.index], tallies[audio.index] if audio else _Tally()
        fps = shown.fps(header_rates=(video.average_rate, video.guessed_rate))
        n_video_streams, pixel_aspect = len(video_streams(container)), pixel_aspect_of(video)
        video_codec, audio_codec = video.codec_context.name, audio.codec_context.name if audio else None
    frame = _first_frame(path) if shown.n_packets else None
    if frame is None:
        raise MediaError(
            f"{path} has a video stream, but no frame of it can be decoded.",
            remedy="Copy the file again, or convert it to H.264.",
        )
    height_px, width_px = shown_shape(frame, pixel_aspect)
    return MediaInfo(
        n_frames=shown.n_packets,
        fps=fps,
        width_px=width_px,
        height_px=height_px,
        rotation_deg=90 * clockwise_turns(frame),
        duration_s=shown.duration_s(fps),
        has_audio=heard.n_packets > 0,
        audio_duration_s=heard.duration_s(),
        video_codec=video_codec,
        audio_codec=audio_codec,
        clock=clock_of(shown.shown, shown.time_base, fps, n_frames=shown.n_packets),
        n_video_streams=n_video_streams,
    )


def _first_frame(path: Path) -> Any | None:  # noqa: ANN401
    with open_media(path) as container:
        return next((frame for frame in decode(container, video_stream(container, path)) if frame is not None), None)


def _span(ticks: list[int]) -> int:
    return max(ticks) - min(ticks) if ticks else 0
