"""Whatever bytes stand in a table, its readers end in rows or in a refusal of two lines, never in a traceback."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from bah_mllm.core.errors import BahError
from bah_mllm.cues.scoring import score_words
from bah_mllm.dataset import Dataset, check_dataset, open_dataset
from bah_mllm.pipeline.foreign import read_foreign_rows
from tests.conftest import _write_grey_video

pytestmark = pytest.mark.slow

N_INPUTS = 10_000
COLUMNS = {
    "predictions": ["video_id", "p", "system", "frame", "start_frame", "stop_frame", "start_s", "stop_s"],
    "manifest": ["path", "participant", "question", "split", "label", "transcript", "segments"],
    "words": ["id", "start", "end", "word", "POS", "tags"],
}
CELLS = st.one_of(
    st.sampled_from(
        [
            *("a.mp4", "b.mp4", "0", "1", "0.5", "0,5", "1.0", "True", "", " ", "nan", "NA", "-1", "1e999", "inf"),
            *("9" * 400, "9" * 5000, "1,234.5", "1.234,5", "1'000", "0x10", "1_0", "٣", "½", "\u202e", "\x1b[31m"),
            *("../a.mp4", "/a.mp4", "C:\\a.mp4", "a.mp4/frame-3.jpg", "a\nb.mp4", "[[0, 1]]", "[[1, 0]]", "[" * 9000),
            *('[[0, 1e999]]', "[[0, NaN]]", f"[[0, {'9' * 400}]]", '{"a": 1}', "2024-01-05", "Speaker: 1A", "#"),
            *('"', "'", "-inf", '<rms id="1"/>', '<rpnrep id="1"/>', "=1+1", "\ud800", "\ufeff", "\x85", "\u2028"),
            "a" * 200_000,
        ]
    ),
    st.text(max_size=12),
    st.floats().map(str),
    st.integers().map(str),
)  # fmt: skip
USUAL_COLUMNS = {
    "predictions": [
        *(["video_id", "p"], ["video_id", "p", "frame"], ["video_id", "p", "system", "frame"]),
        *(["video_id", "p", "start_frame", "stop_frame"], ["start_s", "stop_s", "video_id", "p"]),
    ],
    "manifest": [["path"], ["path", "label"], ["path", "participant", "split"], COLUMNS["manifest"]],
    "words": [COLUMNS["words"], ["start", "end", "word", "tags"]],
}
USUAL = {
    "video_id": ["a.mp4", "b.mp4", "/data/b.mp4"],
    "p": ["0.5", "0.25", "1", ""],
    "system": ["x", "y"],
    "frame": ["0", "7"],
    "start_frame": ["0", "3"],
    "stop_frame": ["4", "9.0"],
    "start_s": ["0"],
    "stop_s": ["1.5"],
    "path": ["a.mp4", "b.mp4"],
    "participant": ["7", "007"],
    "question": ["1", "2.0", ""],
    "split": ["train", "test"],
    "label": ["1", "0", "True", ""],
    "transcript": ["well, yes", ""],
    "segments": ["[[0, 1]]", "[]", ""],
    "id": ["(1:0:1)"],
    "start": ["0.5"],
    "end": ["1"],
    "word": ["um", "door"],
    "POS": ["NN"],
    "tags": ["<f/>", "<e/>"],
}
SHARES = st.floats(0, 1)


def cells_of(column: str) -> st.SearchStrategy[str]:
    """Return mostly what such a column holds, now and then anything."""
    usual = st.sampled_from(USUAL[column])
    return st.integers(0, 24).flatmap(lambda at: usual if at else CELLS)


@st.composite
def tables(draw: st.DrawFn, purpose: str) -> tuple[str, bytes]:
    """Draw a name, and bytes that are more or less a table for this purpose."""
    is_gentle = draw(st.integers(0, 3)) > 0
    names = draw(st.sampled_from(USUAL_COLUMNS[purpose]))
    if not is_gentle:
        names = draw(st.lists(st.sampled_from(COLUMNS[purpose]), max_size=7, unique=draw(st.booleans())))
    spellings = ["{}"] * 20 + [" {} ", *([] if is_gentle else ["{}s", "", "x"])]
    header = [draw(st.sampled_from(spellings)).format(draw(st.sampled_from([name, name.upper()]))) for name in names]
    rows = draw(st.lists(st.tuples(*map(cells_of, names)).map(list), min_size=int(is_gentle), max_size=4))
    form = draw(st.sampled_from(["text", "text", "text", "json", "parquet", "excel"]))
    data = FORMS[form](draw, header, rows)
    if draw(st.booleans()):
        data = gzip.compress(data, 1, mtime=0) if draw(st.booleans()) else data
    for _ in range(0 if is_gentle else draw(st.sampled_from([0, 1, 3]))):
        place = int(draw(SHARES) * len(data))  # not by bytes: Excel's files hold the time of day
        junk = draw(st.sampled_from([b"\x00", b"\xff", b'"', b"\n", b"\r", b";", b",", b"\xc3", b"{", b"PAR1", b"PK"]))
        data = data[:place] + junk + data[place + draw(st.integers(0, 3)) :]
    if not is_gentle and draw(st.booleans()):
        data = data[: int(draw(SHARES) * len(data))]
    suffix = {"text": "csv", "json": "jsonl", "parquet": "parquet", "excel": "xlsx"}[form]
    if not is_gentle:
        suffix = draw(st.sampled_from(["csv", "tsv", "json", "csv.gz", "parquet", "xlsx"]))
    return f"table.{suffix}", data


def text(draw: st.DrawFn, header: list[str], rows: list[list[str]]) -> bytes:
    separator = draw(st.sampled_from([",", ";", "\t", "|", ", "]))
    quote = '"' if draw(st.integers(0, 4)) else ""
    lines = [separator.join(f"{quote}{cell}{quote}" for cell in row) for row in [header, *rows]]
    lines = draw(
        st.sampled_from(
            [lines, lines, lines, lines[1:], ["# made by hand", *lines], ["sep=;", *lines], [*lines, *lines]]
        )
    )
    encoding = draw(st.sampled_from(["utf-8"] * 9 + ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1"]))
    return draw(st.sampled_from(["\n", "\r\n", "\r"])).join(lines).encode(encoding, "replace")


def json_lines(draw: st.DrawFn, header: list[str], rows: list[list[str]]) -> bytes:
    values = [dict(zip(header, map(draw_json(draw), row), strict=False)) for row in rows]
    if draw(st.booleans()):
        return json.dumps(values).encode()
    return "\n".join(json.dumps(value) for value in values).encode()


def draw_json(draw: st.DrawFn) -> Callable[[str], object]:
    return lambda cell: draw(
        st.sampled_from([cell] * 20 + [0, 1, 0.5, True, None, float("nan"), 10**400, [cell], {"a": cell}])
    )


def parquet(draw: st.DrawFn, header: list[str], rows: list[list[str]]) -> bytes:
    clean = [[cell.encode("utf-8", "replace").decode() for cell in row] for row in rows]
    frame = pd.DataFrame(clean, columns=[f"{name}" for name in header])
    frame = frame.loc[:, ~frame.columns.duplicated()]
    if not draw(st.integers(0, 3)) and len(frame.columns):
        first = frame.columns[-1]
        kinds = [0.5, True, b"\xff\xfe", [0.5], {"a": 1}, float("inf"), pd.Timestamp(0), pd.Timedelta(1), 2**63 - 1]
        kind = draw(st.sampled_from(kinds))
        frame[first] = pd.Series([kind] * len(frame), index=frame.index)
    buffer = io.BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()


def excel(draw: st.DrawFn, header: list[str], rows: list[list[str]]) -> bytes:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in [header, *rows]:
        cells = (cell for cell in row if cell.isprintable() and len(cell) < 999)
        book.active.append(
            [draw(st.sampled_from([cell] * 9 + [0.5, 1, True, None, pd.Timestamp(0)])) for cell in cells]
        )
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


FORMS = {"text": text, "json": json_lines, "parquet": parquet, "excel": excel}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    (folder / "manifest.csv").write_text("path,participant,label\na.mp4,p,1\nb.mp4,q,0\n")
    _write_grey_video(folder / "a.mp4", 12)
    return folder


@pytest.fixture(scope="module")
def dataset(folder: Path) -> Dataset:
    return open_dataset(folder / "manifest.csv")


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("purpose", sorted(COLUMNS))
def test_no_table_ends_in_a_traceback(folder: Path, dataset: Dataset, purpose: str) -> None:
    read = {
        "predictions": lambda path: read_foreign_rows(path, dataset),
        "manifest": lambda path: json.dumps(check_dataset(open_dataset(path)).as_dict()).encode(),
        "words": score_words,
    }[purpose]

    @settings(max_examples=N_INPUTS // len(COLUMNS) + 1, suppress_health_check=list(HealthCheck), database=None)
    @given(table=tables(purpose))
    def try_it(table: tuple[str, bytes]) -> None:
        name, data = table
        path = folder / name
        path.write_bytes(data)
        refusal = None
        try:
            read(path)
        except BahError as error:
            refusal = error
        finally:
            path.unlink()
        event("read" if refusal is None else "refused")
        if refusal is not None:
            f"{refusal.problem}{refusal.remedy}".encode()  # can be written anywhere
            assert any(part in refusal.problem for part in (path.stem, "may be any of"))

    try_it()
