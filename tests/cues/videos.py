"""Video files of given pictures."""

import av
import numpy as np


def write_video(path, pictures, fps=24, ticks_ms=None):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        if ticks_ms is not None:
            from fractions import Fraction

            stream.codec_context.time_base = Fraction(1, 1000)
        for k, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            if ticks_ms is not None:
                frame.pts, frame.time_base = ticks_ms[k], stream.codec_context.time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def grey(n, height=48, width=64, level=100):
    return [np.full((height, width, 3), level, np.uint8)] * n
