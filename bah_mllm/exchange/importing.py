"""Bring the predictions of another tool into a run folder, so that every command takes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bah_mllm.core.files import digest_file
from bah_mllm.core.saying import say
from bah_mllm.dataset import dataset_and_split
from bah_mllm.pipeline.foreign import read_foreign_rows
from bah_mllm.predictions import COLUMNS, DataSeen, PredictionRow, RunStore

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["import_predictions"]


def import_predictions(
    file: Path,
    *,
    data: str | None,
    split: str | None,
    system: str | None,
    out: Path,
    frames_from: int | None = None,
) -> int:
    """Write the rows of a table into a run folder and return how many there are.

    Args:
        file: With ``video_id, p`` and, at frame level, ``frame``, ``start_frame, stop_frame`` or ``start_s, stop_s``;
            optional ``system``.
        data: Data set whose videos they are about; None is the demo set.
        split: Which split, for the manifest.
        system: Name of the system where the file has none; the file's stem where None.
        out: Run folder, new.
        frames_from: Number of a video's first frame in the file, 0 or 1; None is 0, unless the file looks like 1.

    Raises:
        BahError: The file is malformed, or the folder holds another run.
    """
    dataset, split = dataset_and_split(data, split)
    table = read_foreign_rows(file, dataset, system=system, frames_from=frames_from)
    people = {video.video_id: video.participant_id for video in dataset.videos()}
    table["participant_id"] = [people.get(video_id, "") for video_id in table["video_id"]]
    config = {"data": data, "split": split, "level": table["level"].iloc[0]}
    identity: dict[str, Any] = {"imported": digest_file(file), "split": split, "data": dataset.name}
    notes = [f"imported from {file.name}"]
    if frames_from:
        identity["frames_from"] = frames_from
        notes.append(f"frames were counted from {frames_from} there")
    with RunStore(out, config=config, identity=identity, notes=notes) as store:
        store.manifest.data = DataSeen.of(dataset)
        store.append(_rows_of(table))
        store.complete()
    n_unknown = sum(participant == "" for participant in table["participant_id"])
    unknown = f", {n_unknown:,} of videos that {dataset.name} does not have" if n_unknown else ""
    say(f"{len(table):,} rows{unknown}")
    return len(table)


def _rows_of(table: pd.DataFrame) -> list[PredictionRow]:
    columns = [name for name in COLUMNS if name in table.columns]
    records = json.loads(table[columns].to_json(orient="records"))
    return [PredictionRow.model_validate({k: v for k, v in record.items() if v is not None}) for record in records]
