"""Build the synthetic demo set from scenario.toml.

    apt-get install espeak-ng libespeak-ng1
    pip install mediapipe==0.10.21 "numpy<2" opencv-contrib-python av pyyaml
    python scripts/build_demo_set/build.py              # all of it, into bah_mllm/dataset/demo_set: 10 to 15 minutes
    python scripts/build_demo_set/build.py --out DIR --only 90004
    python scripts/build_demo_set/build.py --text-only   # words, labels and events, without drawing the videos again

The same scenario, seed and library versions give the same words, labels, events, pictures and sound; the text files
come out byte for byte. The mp4 files may not: measured, x264 packs the same pictures a little differently from run to
run, so a rebuild changes their bytes and not their content. mediapipe is needed for the triangles of its face mesh
only; the tests use it to measure what was drawn.
"""

import argparse
import math
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import annotate
import cv2  # noqa: TID253
import numpy as np
from avatar import Avatar
from encode import mix, write_mp4
from motion import FPS, animate, planted_moves
from scenario import Video, read_scenario
from speech import RATE_HZ, Performance, perform

SCENARIO = Path(__file__).with_name("scenario.toml")
OUT = Path(__file__).parents[2] / "bah_mllm" / "dataset" / "demo_set"
LEAD_S, TAIL_S = 0.45, 0.45


def rehearse(video: Video) -> Performance:
    """Speak the script, with enough time at the end for the last movement to finish."""
    performance = perform(video.script, video.participant.voice, lead_s=LEAD_S, tail_s=TAIL_S)
    ends_s = max([0.0, *(event.stop_s for event, _ in planted_moves(performance))]) + 0.3
    missing = max(0, round(ends_s * RATE_HZ) - len(performance.sound))
    performance.sound = np.concatenate([performance.sound, np.zeros(missing)])
    return performance


def segments_of(performance: Performance) -> list[tuple[float, float]]:
    """Spans between {ah} and {/ah}."""
    starts = [t_s for t_s, verb, _ in performance.directions if verb == "ah"]
    stops = [t_s for t_s, verb, _ in performance.directions if verb == "/ah"]
    return list(zip(sorted(starts), sorted(stops), strict=True))


def stage(video: Video, out: Path, *, text_only: bool) -> annotate.Take:
    """Make one video; returns what the annotation files say about it."""
    cv2.setNumThreads(1)  # one video a core is faster than many threads on one picture
    rng = np.random.default_rng(video.seed)
    performance = rehearse(video)
    n_frames = math.ceil(len(performance.sound) / RATE_HZ * FPS)
    expressions, seen = animate(performance, n_frames, rng)
    if not text_only:
        avatar = Avatar(video.participant.look)
        sound = mix(performance.sound, n_frames, rng)
        write_mp4(out / video.video_id, (avatar.draw(expression) for expression in expressions), sound, rng)
    return annotate.Take(
        video=video,
        n_frames=n_frames,
        words=performance.words,
        sentences=performance.sentences,
        segments_s=segments_of(performance),
        events=performance.events + seen,
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description="Build the synthetic demo set.")
    parser.add_argument("--out", type=Path, default=OUT, help="data set root to write (default: the package's)")
    parser.add_argument("--only", help="draw this participant's videos only (the text files cover all)")
    parser.add_argument("--text-only", action="store_true", help="leave the mp4 files as they are")
    parser.add_argument("--jobs", type=int, default=2, help="videos drawn at the same time (default: 2)")
    options = parser.parse_args()
    videos = read_scenario(SCENARIO)
    # A new process for each video: espeak-ng's timing depends by a few samples on what it spoke before.
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        jobs = [
            pool.submit(
                stage, v, options.out, text_only=options.text_only or options.only not in {None, v.participant.pid}
            )
            for v in videos
        ]
        takes = []
        for job in jobs:
            takes.append(job.result())
            print(f"{takes[-1].video.video_id}: {takes[-1].n_frames} frames", flush=True)
    annotate.write_transcripts(options.out, takes)
    annotate.write_splits(options.out, takes)
    annotate.write_annotations(options.out, takes)
    annotate.write_metadata(options.out, takes)


if __name__ == "__main__":
    main()
