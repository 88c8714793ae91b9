"""Video and sound files: what is in them, one-pass decoding into clips, frame sampling, audio.

Media files are untrusted: every way in which one can be broken ends in a ``MediaError``, or in a shorter video with the
damage counted, never in a crash, an endless loop or a guess.

Conventions: frame k is the k-th decoded frame, k = 0, 1, ...; counts and frame rates in headers are not trusted.
"""

from bah_mllm.media.audio import read_audio
from bah_mllm.media.decoding import ClipSpec, DecodeReport, read_clips
from bah_mllm.media.frames import DAMAGED, FramePass, frame_times, read_frames
from bah_mllm.media.prefetching import prefetch
from bah_mllm.media.probe import MediaInfo, probe
from bah_mllm.media.resizing import RESIZERS
from bah_mllm.media.sampling import SAMPLERS, SampledIndices, sample_indices

__all__ = [
    "DAMAGED",
    "RESIZERS",
    "SAMPLERS",
    "ClipSpec",
    "DecodeReport",
    "FramePass",
    "MediaInfo",
    "SampledIndices",
    "frame_times",
    "prefetch",
    "probe",
    "read_audio",
    "read_clips",
    "read_frames",
    "sample_indices",
]
