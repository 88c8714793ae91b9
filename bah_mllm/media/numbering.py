"""Which number a frame has where some before it do not decode: labels are by number, so later frames keep theirs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bah_mllm.media.containers import decode, open_media, packets, video_stream

__all__ = ["ShownFrame", "shown_frames"]


class ShownFrame(NamedTuple):
    """A frame in the order of showing.

    Args:
        frame: As PyAV has it.
        pts: Its time of showing in ticks, or None.
        dts: Its time of decoding in ticks, or None.
        is_stand_in: It is the frame before, in place of one that does not decode.
    """

    frame: Any
    pts: int | None
    dts: int | None
    is_stand_in: bool = False


def shown_frames(container: Any, stream: Any, path: Path) -> Iterator[ShownFrame | None]:  # noqa: ANN401 - of PyAV
    """Yield every frame of a stream in the order of showing, and None for each packet that cannot be decoded.

    A frame in the middle that does not decode is shown by the one before it (at the start: by the first that does), so
    that the k-th frame yielded is frame k of the file. How many are lacking goes by the times of the packets; a file
    whose packets are not one a frame, each with a time of its own, loses them. So does the end of a file, which is then
    shorter.

    Args:
        container: An open file.
        stream: What ``video_stream`` chose.
        path: The file, whose packets are read once more where one does not decode.
    """
    n_shown, before, has_failed, agrees = 0, None, False, True
    numbers: Mapping[int, int] | None = None
    in_order: list[int] = []
    for frame in decode(container, stream):
        if frame is None:
            has_failed = True
            yield None
            continue
        if has_failed and agrees:
            if numbers is None:
                numbers = _packet_numbers(path)
                in_order = list(numbers)
            if before is not None and before.pts in numbers:
                agrees = numbers[before.pts] == n_shown - 1
            lacking = in_order[n_shown : numbers.get(frame.pts, 0)] if agrees else []
            for ticks in lacking:
                yield ShownFrame(before if before is not None else frame, ticks, None, is_stand_in=True)
            n_shown += len(lacking)
        yield ShownFrame(frame, frame.pts, frame.dts)
        n_shown, before = n_shown + 1, frame


def _packet_numbers(path: Path) -> Mapping[int, int]:
    """Return the time of every packet to be shown, in order, and its place; nothing where times are not one each."""
    with open_media(path) as container:
        stream = video_stream(container, path)
        ticks = [packet.pts for packet in packets(container, stream) if not packet.is_discard]
    if None in ticks or len(set(ticks)) != len(ticks):
        return {}
    return {tick: number for number, tick in enumerate(sorted(ticks))}
