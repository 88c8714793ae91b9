"""Tables are read as people have them; what may mean two things is refused with the line and the value."""

from __future__ import annotations

import codecs
import gzip
import json
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet

from bah_mllm.core.errors import DataError, PrerequisiteError
from bah_mllm.core.tables import Column, Kind, Layout, read_table

LAYOUT = Layout(
    (
        Column("name", is_needed=True, may_be_blank=False),
        Column("share", Kind.NUMBER, is_needed=True, lowest=0, highest=1),
        Column("count", Kind.WHOLE, lowest=0),
        Column("label", Kind.LABEL),
    ),
    expected="name, share; optional count, label",
)
ROWS = [("a b.mp4", 0.25, 3, 1), ("é.mp4", 0.5, None, 0), ("c, d.mp4", None, 10, None)]
PLAIN = 'name,share,count,label\na b.mp4,0.25,3,1\né.mp4,0.5,,0\n"c, d.mp4",,10,\n'


def read(folder: Path, content: str | bytes, name: str = "mine.csv", layout: Layout = LAYOUT):
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_table(path, layout)


def values(table):
    return [tuple(row.values.get(name) for name in LAYOUT.names) for row in table.rows]


SEMICOLONS = "name;share;count;label\na b.mp4;0,25;3;1,0\né.mp4;0,5;;0,0\nc, d.mp4;;10;\n"
SPELLINGS = {
    "plain.csv": PLAIN,
    "semicolons.csv": SEMICOLONS,
    "told.csv": "sep=;\n" + SEMICOLONS,
    "semicolons and points.csv": SEMICOLONS.replace("0,", "0.").replace("1,0", "1.0"),
    "tabs.tsv": SEMICOLONS.replace(";", "\t"),
    "bars.txt": SEMICOLONS.replace(";", "|").replace("0,", "0."),
    "mark.csv": codecs.BOM_UTF8 + PLAIN.encode(),
    "utf16.csv": PLAIN.encode("utf-16"),
    "utf16 without mark.csv": PLAIN.encode("utf-16-le"),
    "utf16 big.csv": codecs.BOM_UTF16_BE + PLAIN.encode("utf-16-be"),
    "utf32.csv": PLAIN.encode("utf-32"),
    "packed.csv.gz": gzip.compress(PLAIN.encode()),
    "packed by another name.csv": gzip.compress(PLAIN.encode()),
    "windows.csv": PLAIN.replace("\n", "\r\n"),
    "mac.csv": PLAIN.replace("\n", "\r"),
    "mixed.csv": PLAIN.replace("\n", "\r\n", 2),
    "no last line end.csv": PLAIN.rstrip("\n"),
    "quoted.csv": '"name","share","count","label"\n"a b.mp4","0.25","3","1"\n'
    '"é.mp4","0.5","","0"\n"c, d.mp4","","10",""\n',
    "quoted decimals.csv": PLAIN.replace("0.25", '"0,25"').replace("0.5", '"0,5"'),
    "capitals.csv": PLAIN.replace("name,share,count,label", " Name , SHARE,Count , Label "),
    "blanks.csv": PLAIN.replace("a b.mp4,0.25,3,1", "  a b.mp4 , 0.25, 3 , 1 "),
    "trailing commas.csv": PLAIN.replace("\n", ",,\n"),
    "trailing commas in rows.csv": PLAIN.replace("3,1\n", "3,1,,\n"),
    "empty rows.csv": PLAIN.replace("\n", "\n,,,\n\n"),
    "comments.csv": "# by a tool\n" + PLAIN.replace("é", "# another, comment\né"),
    "numpy.csv": "# " + PLAIN,
    "floats.csv": PLAIN.replace("0.25,3,1", "2.5e-1,3.0,1.0").replace(",0\n", ",0.0\n").replace(",10,", ",10.0,"),
    "truth.csv": PLAIN.replace("0.25,3,1", "0.25,3,True").replace(",0\n", ",FALSE\n"),
    "gaps.csv": PLAIN.replace("0.5,,0", "0.5,NaN,0").replace(",,10,", ",NA,10,nan"),
    "lines.jsonl": "\n".join(json.dumps(dict(zip(LAYOUT.names, row, strict=True)), ensure_ascii=False) for row in ROWS),
    "list.json": json.dumps([dict(zip(("Name", "SHARE", "count", "label"), row, strict=True)) for row in ROWS]),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_one_table_is_read_alike_in_all_spellings(tmp_path, spelling):
    table = read(tmp_path, SPELLINGS[spelling], spelling)
    assert values(table) == ROWS
    assert [note for note in table.notes if "comments" not in note] == []


def test_an_index_and_columns_of_others_are_left_out_and_named(tmp_path):
    frame = pd.DataFrame(ROWS, columns=["name", "share", "count", "label"]).assign(participant="x", fps=24)
    frame.to_csv(tmp_path / "mine.csv")
    frame.to_parquet(tmp_path / "mine.parquet")
    for name in ("mine.csv", "mine.parquet"):
        table = read_table(tmp_path / name, LAYOUT)
        assert values(table) == ROWS
        (note,) = table.notes
        assert note.endswith("left out: participant, fps")


def test_row_numbers_without_a_name_as_r_writes_them_are_left_out(tmp_path):
    lines = PLAIN.rstrip("\n").split("\n")
    numbered = "\n".join([lines[0], *(f'"{number}",{line}' for number, line in enumerate(lines[1:], start=1))])
    assert values(read(tmp_path, numbered)) == ROWS


def test_excel_files_are_read(tmp_path):
    pytest.importorskip("openpyxl")
    frame = pd.DataFrame(ROWS, columns=["Name", "share", "count", "label"])
    frame.to_excel(tmp_path / "mine.xlsx", index=False)
    assert values(read_table(tmp_path / "mine.xlsx", LAYOUT)) == ROWS


def test_without_openpyxl_the_way_out_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(PrerequisiteError, match="openpyxl") as caught:
        read(tmp_path, b"PK\x03\x04...", "mine.xlsx")
    assert "CSV" in caught.value.remedy


HUGE = "9" * 400
REFUSED = [
    ("name,share\na,1.5\n", "line 2: share = '1.5': is not from 0 to 1"),
    ("name,share\na,0.5\n\nb,-1\n", "line 4: share = '-1'"),
    ("name,share\n,0.5\n", "line 2: name = '': is empty"),
    ("name,share\na,inf\n", "line 2: share = 'inf': is no number"),
    ("name,share\na,1e999\n", "line 2: share = '1e999': is no finite number"),
    (f"name,share\na,{HUGE}\n", "line 2: share = a text of 400 characters: is no finite number"),
    (f"name,share,count\na,1,{HUGE}\n", "line 2: count = a text of 400 characters: is no whole number"),
    ("name,share\na,2024-01-05\n", "line 2: share = '2024-01-05': is no number"),
    ("name,share\na,٣\n", "line 2: share = '٣': is no number"),
    ("name,share\na,1_0\n", "line 2: share = '1_0': is no number"),
    ("name,share\na,50%\n", "line 2: share = '50%': is no number"),
    ("name,share,count\na,1,1.5\n", "line 2: count = '1.5': is no whole number"),
    ('name,share,count\na,1,"1,234"\n', "is no whole number.*thousands without a separator"),
    ("name;share;count\na;1;1.234\n", "is no whole number.*thousands without a separator"),
    ("name;share\na;0,5\nb;0.5\n", "line 3: share = '0.5': has a decimal point, but .* a decimal comma"),
    ("name,share,label\na,1,2\n", "line 2: label = '2': is no label"),
    ("name,share,label\na,1,0.5\n", "line 2: label = '0.5': is no label"),
    ("name,share\na,1,marmalade and toast\n", "line 2 has 3 values, but there are 2 columns"),
    ("count,name,share\n1,a\n", "line 2 has 2 values, but there are 3 columns"),
    ("name,share,NAME\na,1,b\n", "two columns are named 'name'"),
    ("name,share,lable\na,1,1\n", "unknown column 'lable'"),
    ("name,shares\na,1\n", "unknown column 'shares'"),
    ("a,1\nb,0\n", "no column 'name', 'share'"),
    ("", "no column"),
    ("\n\n", "no column"),
    ('name,share\n"a,1\nb,0\n', "line 2: no valid CSV"),
    ("name,share\na\x00,1\n", "line 2: a NUL"),
    (b"name,share\na,1\n\xe9,0.5\n", "line 3: no valid UTF-8 .byte 0xe9"),
    (b"\xff\xfena", "line 1: no valid|no column"),
    (b"\x1f\x8bnot packed", "no whole gzip file"),
    (gzip.compress(PLAIN.encode())[:-9], "no whole gzip file"),
    (b"\xd0\xcf\x11\xe0 old", "old Excel"),
    ('{"name": "a", "share": 1}\n{"name": \n', "line 2: no valid JSON"),
    ('{"name": "a", "share": 1, "share": 0}', "line 1: a key given twice"),
    ('{"name": "a", "share": 1}\n[1]', "line 2: no JSON object"),
    ('{"name": "a", "share": NaN}\n{"name": "a", "share": Infinity}', "line 2: share = inf: is no finite"),
    (f'{{"name": "a", "share": {HUGE}}}', "line 1: share = a number of very many digits: is no finite"),
    (f'{{"name": "a", "share": {"9" * 5000}}}', "line 1: no valid JSON"),
    ('{"name": "\\ud800", "share": 1}', "line 1: name = .*: is no text in UTF-8"),
    ('{"name": "a", "share": [1]}', "line 1: share = a value of type list: is no number"),
    ('{"name": "a", "share": true}', "line 1: share = True: is no number"),
    ('{"a":' * 50_000, "line 1: no valid JSON"),
]


@pytest.mark.parametrize(("content", "said"), REFUSED, ids=range(len(REFUSED)))
def test_what_cannot_be_meant_is_refused_with_line_and_value(tmp_path, content, said):
    with pytest.raises(DataError, match=said) as caught:
        read(tmp_path, content)
    assert "mine.csv" in caught.value.problem
    assert "marmalade" not in caught.value.problem + caught.value.remedy


def test_the_right_spelling_of_a_misspelt_column_is_told(tmp_path):
    with pytest.raises(DataError) as caught:
        read(tmp_path, "nmae,share\na,1\n")
    assert "'name'" in caught.value.remedy


def test_a_header_alone_is_a_table_without_rows(tmp_path):
    assert read(tmp_path, "name,share\n").rows == ()


def test_what_stands_where_in_a_quoted_cell_of_several_lines_does_not_move_line_numbers(tmp_path):
    table = read(tmp_path, '# note\nname,share\n"a\nb",1\n\nc,0\n')
    assert [row.number for row in table.rows] == [3, 6]


def test_parquet_that_is_damaged_or_no_text_is_refused_with_column_and_row(tmp_path):
    bad = pa.array([b"a", b"\xff\xfe"], pa.binary()).cast(pa.binary()).view(pa.utf8())
    parquet.write_table(pa.table({"name": bad, "share": [0.5, 0.5]}), tmp_path / "bad.parquet")
    with pytest.raises(DataError, match=r"row 2: the text in the column 'name' is not UTF-8"):
        read_table(tmp_path / "bad.parquet", LAYOUT)
    whole = tmp_path / "whole.parquet"
    pd.DataFrame({"name": ["a"], "share": [0.5]}).to_parquet(whole)
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read(tmp_path, whole.read_bytes()[:-20], "cut.parquet")
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path, b"PK\x03\x04 broken", "broken.xlsx")


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(DataError, match="cannot be read"):
            read_table(path, LAYOUT)


def test_a_short_row_lacks_only_what_is_optional(tmp_path):
    assert values(read(tmp_path, "name,share,count\na,1\n")) == [("a", 1.0, None, None)]
