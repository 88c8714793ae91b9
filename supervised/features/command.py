"""What ``bah-mllm features`` does: extract, and tell what there is, what is lacking and where the time went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from bah_mllm.core.errors import ConfigError
from bah_mllm.core.json_output import check_json_path, write_json
from bah_mllm.core.saying import say
from bah_mllm.dataset import demo_root
from supervised.features.extracting import Extraction, extract_features
from supervised.features.request import FeatureRequest

__all__ = ["parse_weights", "run_features"]


def parse_weights(pairs: Sequence[str]) -> dict[str, str]:
    """Return name -> path of arguments written NAME=PATH.

    Raises:
        ConfigError: One is written otherwise, or a name is there twice.
    """
    weights: dict[str, str] = {}
    for pair in pairs:
        name, separator, path = pair.partition("=")
        if not (name and separator and path) or name in weights:
            raise ConfigError(
                f"--weights {pair!r} is not NAME=PATH with a new name.",
                remedy="Write --weights resnet18=FILE, say; once for each network.",
            )
        weights[name] = path
    return weights


def run_features(
    root: str | None, out: Path, request: FeatureRequest, *, split: str | None, workers: int, json_path: str | None
) -> int:
    """Extract features, report on stderr (and as JSON where asked for), and return how many videos lack some.

    Args:
        root: Of the data set; None is the demo set.
        out: Folder of the feature sets.
        request: What to extract, and how.
        split: Only this split.
        workers: Videos worked on at the same time.
        json_path: File for the report as JSON, ``-`` for stdout, or None.

    Raises:
        ConfigError: As ``extract_features``; or the JSON cannot be written.
        DataError: As ``extract_features``.
        PrerequisiteError: As ``extract_features``.
        RunError: As ``extract_features``.
    """
    check_json_path(json_path)
    if root is None:
        say("no data set given: features of the demo set (synthetic)")
    target = demo_root() if root is None else Path(root)
    done = extract_features(target, out, request, split=split, workers=workers)
    _say_what_there_is(done)
    if json_path is not None:
        write_json(_as_json(done), json_path)
    return done.n_problems


def _say_what_there_is(done: Extraction) -> None:
    for name, counts in done.sets.items():
        reused = f", {counts.n_reused:,} of them from before" if counts.n_reused else ""
        lacking = f"; {len(counts.problems):,} videos have none" if counts.problems else ""
        say(f"{name}: {counts.n_videos:,} videos, {counts.n_frames:,} frames{reused}{lacking}")
        for problem, n_videos in Counter(counts.problems.values()).most_common(3):
            say(f"  {n_videos:,} videos: {problem}")
    damaged = {video_id: note for counts in done.sets.values() for video_id, note in counts.damaged.items()}
    if damaged:
        video_id, note = next(iter(damaged.items()))
        say(f"note: {len(damaged):,} videos seem damaged or cut off; what decodes has features ({video_id}: {note})")
    spent = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in sorted(done.seconds.items(), key=lambda x: -x[1]))
    say(f"{done.wall_s:.1f} s in all{f'; summed over workers: {spent}' if spent else ''}")


def _as_json(done: Extraction) -> dict[str, object]:
    sets = {
        name: {
            "videos": counts.n_videos,
            "frames": counts.n_frames,
            "reused": counts.n_reused,
            "problems": counts.problems,
            "damaged": counts.damaged,
        }
        for name, counts in done.sets.items()
    }
    return {
        "sets": sets,
        "seconds": {name: round(value, 3) for name, value in done.seconds.items()},
        "wall_s": round(done.wall_s, 3),
    }
