"""Telephone numbers in another form: the same rows in the same order, and every other value as it was."""

from __future__ import annotations

import codecs
import csv
import datetime as dt
import gzip
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batcher import tn
from batcher.engine.renumber import Wish
from batcher.engine.rewrite import rewrite
from batcher.errors import InputError
from batcher.spool import BATCH_ROWS

E164, TEN = Wish("e164"), Wish("ten-digit")
HEADER = "TN,Name\n"
RANGE_TEXT = "A range was written out, one row for each telephone number, as you asked."
LIST_TEXT = "Several telephone numbers stood in the cell: each has a row now, as you asked."


def relaxed(*names: str, **more: Any) -> Wish:
    return Wish("e164", relax=frozenset(names), **more)


def write(folder: Path, content: str | bytes | pa.Table, name: str = "in.csv") -> Path:
    path = folder / name
    if isinstance(content, pa.Table):
        pq.write_table(content, path)
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def cells(path: Path, delimiter: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_bytes().decode(), newline=""), delimiter=delimiter))


def beside(target: Path, what: str) -> list[list[str]]:
    """Rows of OUT.rejects.csv or OUT.warnings.csv, without the header."""
    return cells(target.with_name(f"{target.name}.{what}.csv"))[1:]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def rewritten(folder: Path, content: str | bytes | pa.Table, wish: Wish = E164) -> list[list[str]]:
    """Rows of OUT, without the header; the input is a CSV file, whatever its bytes say."""
    rewrite(write(folder, content), folder / "out.csv", wish)
    return cells(folder / "out.csv")[1:]


def rejects(folder: Path, content: str | bytes | pa.Table, wish: Wish = E164) -> list[str]:
    """Codes of the rejected rows."""
    rewrite(write(folder, content), folder / "out.csv", wish)
    return [row[-2] for row in beside(folder / "out.csv", "rejects")]


# CSV


@pytest.mark.parametrize(
    ("wish", "numbers"),
    [
        pytest.param(E164, ["+12015550123", "+12012000001", "+442079460000"], id="e164"),
        pytest.param(TEN, ["2015550123", "2012000001"], id="ten-digit"),
    ],
)
def test_every_other_value_stays_as_it_was(tmp_path, wish, numbers):
    """Blanks, quotes, formulas, leading zeros: nothing but the number changes, and it is quoted to stay text."""
    others = [" a ", '"q", 007', "=1+1\r\n2"][: len(numbers)]
    text = 'TN,Name\n(201) 555-0123," a "\n1-201-200-0001,"""q"", 007"\n+44 20 7946 0000,"=1+1\r\n2"\n'
    expected = [list(row) for row in zip(numbers, others, strict=True)]
    assert rewritten(tmp_path, text, wish) == expected
    assert (tmp_path / "out.csv").read_text("utf-8").startswith(f'TN,Name\n"{numbers[0]}"," a "\n')


@pytest.mark.parametrize(
    ("content", "delimiter"),
    [
        pytest.param("TN,Name\n2015550123,Zoë\n".encode(), ",", id="comma"),
        pytest.param("TN;Name\r\n2015550123;Zoë\r\n".encode(), ";", id="semicolon, CRLF"),
        pytest.param("TN\tName\n2015550123\tZoë\n".encode(), "\t", id="tab"),
        pytest.param(codecs.BOM_UTF16_LE + "TN\tName\r\n2015550123\tZoë\r\n".encode("utf-16-le"), "\t", id="UTF-16"),
        pytest.param(gzip.compress("TN,Name\n2015550123,Zoë\n".encode()), ",", id="gzip"),
        pytest.param("TN,Name\n2015550123,Zoë\n".encode("cp1252"), ",", id="cp1252"),
        pytest.param("Numbers of November,\n\nTN,Name\n2015550123,Zoë\n".encode(), ",", id="a title"),
        pytest.param("sep=;\nTN;Name\n2015550123;Zoë\n".encode(), ";", id="sep="),
    ],
)
def test_any_csv_becomes_utf8_with_its_own_delimiter(tmp_path, content, delimiter):
    """Titles, byte order marks and sep= lines are not carried along."""
    source = write(tmp_path, content)
    rewrite(source, tmp_path / "out.csv", E164)
    assert cells(tmp_path / "out.csv", delimiter) == [["TN", "Name"], ["+12015550123", "Zoë"]]


def test_what_was_guessed_of_the_file_stands_first_in_the_warnings(tmp_path):
    """No row, no TN."""
    rewritten(tmp_path, "TN,Name\n2012000001,Zoë\n".encode("cp1252"))
    [[row, number, code, text]] = beside(tmp_path / "out.csv", "warnings")
    assert (row, number, code) == ("", "", "ENCODING_GUESSED")
    assert "in.csv is not UTF-8" in text


def test_a_file_without_a_header_stays_without_one(tmp_path):
    """Its first line is a row in the output as well; the rejects name the columns."""
    source = write(tmp_path, "2012000001,a\n55,b\n2012000002,c\n")
    rewrite(source, tmp_path / "out.csv", replace(E164, column="column 1"))
    assert (tmp_path / "out.csv").read_text() == '"+12012000001","a"\n"+12012000002","c"\n'
    assert cells(tmp_path / "out.csv.rejects.csv")[0] == ["column 1", "column 2", "batcher_code", "batcher_reason"]


def test_the_target_says_the_form(tmp_path):
    """.tsv is separated by tabs; .parquet holds text; without a known ending it is as the input."""
    source = write(tmp_path, "TN;Name;Empty\n2012000001;a;\n")
    rewrite(source, tmp_path / "out.tsv", E164)
    assert cells(tmp_path / "out.tsv", "\t") == [["TN", "Name", "Empty"], ["+12012000001", "a", ""]]
    rewrite(source, tmp_path / "out.PARQUET", TEN)
    table = pq.read_table(tmp_path / "out.PARQUET")
    assert table.to_pylist() == [{"TN": "2012000001", "Name": "a", "Empty": ""}]
    assert set(table.schema.types) == {pa.string()}
    rewrite(source, tmp_path / "out", E164)
    assert cells(tmp_path / "out", ";")[1] == ["+12012000001", "a", ""]


# Parquet

WHEN = dt.datetime(2026, 11, 20, 2, 0, 0, 123456, tzinfo=dt.UTC)
TYPED: dict[str, pa.Array] = {
    "id": pa.array([9_007_199_254_740_993, None, -1], pa.int64()),
    "small": pa.array([1, 2, None], pa.int16()),
    "share": pa.array([0.1, None, float("inf")], pa.float64()),
    "when": pa.array([WHEN, None, WHEN], pa.timestamp("us", "UTC")),
    "day": pa.array([dt.date(2026, 11, 20), None, None]),
    "price": pa.array([Decimal("1.50"), None, Decimal("-0.01")], pa.decimal128(5, 2)),
    "is_on": pa.array([True, None, False]),
    "kind": pa.array(["a", None, "a"]).dictionary_encode(),
    "note": pa.array(["", None, "NA"], pa.large_string()),
    "nothing": pa.array([None, None, None], pa.null()),
}


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param(pa.array(["(201) 200-0001", "12012000002", None]), id="string"),
        pytest.param(pa.array(["2012000001", "2012000002", ""], pa.large_string()), id="large_string"),
        pytest.param(pa.array(["201.200.0001", "201.200.0002", None]).dictionary_encode(), id="dictionary"),
        pytest.param(pa.array([2012000001, 12012000002, None], pa.int64()), id="int64 with a null"),
        pytest.param(pa.array([2012000001, 2012000002, 0], pa.uint64()), id="uint64"),
        pytest.param(pa.array([2012000001.0, 2012000002.0, float("nan")], pa.float64()), id="float64 with NaN"),
        pytest.param(pa.array([Decimal(2012000001), Decimal(2012000002), None], pa.decimal128(12, 0)), id="decimal"),
    ],
)
def test_parquet_keeps_the_types_of_the_other_columns(tmp_path, numbers):
    """To the last bit, nulls as nulls; the TN becomes text in its place."""
    source = write(tmp_path, pa.table({"id": TYPED["id"], "tn": numbers, **TYPED}), "in.parquet")
    summary = rewrite(source, tmp_path / "out.parquet", E164)
    before, after = pq.read_table(source), pq.read_table(tmp_path / "out.parquet")
    assert after.column_names == before.column_names
    assert after["tn"].to_pylist() == ["+12012000001", "+12012000002"]
    assert after["tn"].type == pa.string()
    assert after.drop_columns("tn").equals(before.drop_columns("tn").slice(0, 2))
    assert (summary["written"], summary["rejected"]) == (2, 1)


def test_nulls_of_text_columns_stay_null(tmp_path):
    """Where every column is text too: an empty text is another value than none."""
    table = pa.table({"tn": ["2012000001", "2012000002"], "note": [None, ""], "fax": [None, ""]})
    rewrite(write(tmp_path, table, "in.parquet"), tmp_path / "out.parquet", Wish("e164", also=("fax",)))
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == [
        {"tn": "+12012000001", "note": None, "fax": None},
        {"tn": "+12012000002", "note": "", "fax": ""},
    ]


def test_parquet_becomes_text_digit_for_digit(tmp_path):
    """No number becomes 2.01e+09 on its way to CSV, nulls become empty cells."""
    table = pa.table({"tn": pa.array([2012000001.0]), "id": [2_012_000_000.0], "share": [0.1], "none": [None]})
    source = write(tmp_path, table, "in.parquet")
    for name, delimiter in (("out.csv", ","), ("out.tsv", "\t")):
        rewrite(source, tmp_path / name, TEN)
        assert cells(tmp_path / name, delimiter) == [
            ["tn", "id", "share", "none"],
            ["2012000001", "2012000000", "0.1", ""],
        ]


def test_bytes_pass_from_parquet_to_parquet_and_make_no_text(tmp_path):
    """With what pandas noted: the index of a frame stays one."""
    ids = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([bytes(range(16))], pa.binary(16)))
    table = pa.table({"tn": [2012000001], "id": ids, "raw": [b"\x00\xff"]})
    source = write(tmp_path, table.replace_schema_metadata({"owner": "crm"}), "in.parquet")
    rewrite(source, tmp_path / "out.parquet", E164)
    found = pq.read_table(tmp_path / "out.parquet")
    assert found.select(["id", "raw"]).equals(table.select(["id", "raw"]))
    assert found.schema.metadata == {b"owner": b"crm"}
    with pytest.raises(InputError, match=r'column "id" holds fixed_size_binary\[16\] \(COLUMN_TYPE\)'):
        rewrite(source, tmp_path / "out.csv", E164)
    frame = pd.DataFrame({"tn": [2012000001]}, index=pd.Index(["x"], name="Customer"))
    frame.to_parquet(source)
    rewrite(source, tmp_path / "out.parquet", E164)
    assert pd.read_parquet(tmp_path / "out.parquet").to_dict("index") == {"x": {"tn": "+12012000001"}}


def test_files_of_other_types_are_not_bent(tmp_path):
    """Files of a pattern whose columns differ in type make text, or nothing."""
    write(tmp_path, pa.table({"tn": [2012000001], "n": [1]}), "part-1.parquet")
    write(tmp_path, pa.table({"tn": ["2012000002"], "n": [1.0]}), "part-2.parquet")
    with pytest.raises(InputError, match='Column "n" holds int64 in one file and double in another'):
        rewrite(tmp_path / "part-?.parquet", tmp_path / "out.parquet", E164)
    assert not (tmp_path / "out.parquet").exists()
    rewrite(tmp_path / "part-?.parquet", tmp_path / "out.csv", E164)
    assert cells(tmp_path / "out.csv")[1:] == [["+12012000001", "1"], ["+12012000002", "1"]]


def test_a_column_that_is_empty_in_one_file_has_the_type_of_the_others(tmp_path):
    """A warehouse writes a part without a value as null."""
    write(tmp_path, pa.table({"tn": ["2012000001"], "n": pa.nulls(1)}), "part-1.parquet")
    write(tmp_path, pa.table({"tn": ["2012000002"], "n": ["x"]}), "part-2.parquet")
    write(tmp_path, pa.table({"tn": ["2012000003"], "n": pa.nulls(1)}), "part-3.parquet")
    rewrite(tmp_path / "part-?.parquet", tmp_path / "out.parquet", E164)
    assert pq.read_table(tmp_path / "out.parquet")["n"].to_pylist() == [None, "x", None]


# Rejects, further columns


def test_a_malformed_line_is_there_whichever_column_stood_first(tmp_path):
    """Also where that one was ours, and is left out."""
    assert rejects(tmp_path, "batcher_code,Name,TN\nEMPTY,Joe,\nEMPTY,Zoe\n") == ["EMPTY", "ROW_MALFORMED"]
    found = [row[:2] for row in beside(tmp_path / "out.csv", "rejects")]
    assert found == [["Joe", ""], ["EMPTY,Zoe", ""]]


def test_the_header_once_more_is_no_data_whatever_its_column_is_called(tmp_path):
    source = write(tmp_path, "Anschluss,Ort\n2012000001,x\nAnschluss,Ort\n2012000002,y\n")
    summary = rewrite(source, tmp_path / "out.csv", Wish("e164", column="Anschluss"))
    assert (summary["written"], summary["codes"]) == (2, {"rejected NOT_DATA": 1})


def test_rejected_rows_stand_in_the_rejects_alone_and_can_be_mended(tmp_path):
    """As they were read, with code and reason; mended and fed again, their old reasons are gone."""
    source = write(tmp_path, "Name,TN\na,2012000001\nb,555-01\nc\nd,\n-- 4 rows --\n")
    summary = rewrite(source, tmp_path / "out.csv", E164)
    assert cells(tmp_path / "out.csv")[1:] == [["a", "+12012000001"]]
    rejected = tmp_path / "out.csv.rejects.csv"
    assert cells(rejected) == [
        ["Name", "TN", "batcher_code", "batcher_reason"],
        ["b", "555-01", "TOO_SHORT", tn.REASONS[tn.REASON["TOO_SHORT"]].hint],
        ["c", "", "ROW_MALFORMED", tn.REASONS[tn.REASON["ROW_MALFORMED"]].hint],
        ["d", "", "EMPTY", tn.REASONS[tn.REASON["EMPTY"]].hint],
        ["-- 4 rows --", "", "NOT_DATA", tn.REASONS[tn.REASON["NOT_DATA"]].hint],
    ]
    assert summary["codes"] == {f"rejected {code}": 1 for code in ("TOO_SHORT", "ROW_MALFORMED", "EMPTY", "NOT_DATA")}
    rejected.write_text(rejected.read_text().replace("555-01", "201-200-0002"))
    rewrite(rejected, tmp_path / "again.csv", E164)
    assert cells(tmp_path / "again.csv") == [["Name", "TN"], ["b", "+12012000002"]]
    assert [row[:3] for row in beside(tmp_path / "again.csv", "rejects")][1:] == [
        ["d", "", "EMPTY"],
        ["-- 4 rows --", "", "NOT_DATA"],
    ]


def test_further_columns(tmp_path):
    """Empty ones stay empty; a bad one refuses its row and is named; a bad TN comes first."""
    text = "TN,Fax,Cell\n2012000001,201-200-0009,\n2012000002,x,12\n2012000003,,12\n12,12,\n2012000004, ,+12012000008\n"
    wish = Wish("ten-digit", also=("fax", "Cell"))
    assert rewritten(tmp_path, text, wish) == [
        ["2012000001", "2012000009", ""],
        ["2012000004", "", "2012000008"],
    ]
    assert [(row[0], row[3], row[4].partition(":")[0]) for row in beside(tmp_path / "out.csv", "rejects")] == [
        ("2012000002", "LETTERS", 'column "Fax"'),
        ("2012000003", "TOO_SHORT", 'column "Cell"'),
        ("12", "TOO_SHORT", "Too few digits"),
    ]


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        pytest.param(Wish("e164", also=("tn",)), "name each once", id="the TN, in other letters"),
        pytest.param(Wish("e164", also=("Fax", "fax")), "name each once", id="twice"),
        pytest.param(Wish("e164", also=("Fox",)), 'no column "Fox" .* did you mean "Fax"', id="not there"),
        pytest.param(Wish("e164", column="Phone"), 'no column "Phone"', id="no such TN column"),
    ],
)
def test_columns_are_named_once_and_are_there(tmp_path, wish, told):
    """Otherwise nothing is written."""
    source = write(tmp_path, "TN,Fax\n2012000001,\n")
    with pytest.raises(InputError, match=told):
        rewrite(source, tmp_path / "out.csv", wish)
    assert names(tmp_path) == ["in.csv"]


def test_the_column_is_found_whatever_its_case(tmp_path):
    """It keeps its name."""
    source = write(tmp_path, "To,Phone Number,e164\n911,2012000001,x\n")
    rewrite(source, tmp_path / "out.csv", Wish("e164", "phone_number"))
    assert cells(tmp_path / "out.csv") == [["To", "Phone Number", "e164"], ["911", "+12012000001", "x"]]


def test_a_lossy_column_is_refused(tmp_path):
    """A further one as well."""
    table = pa.table({"tn": ["2012000001"], "fax": pa.array([2012000001.0], pa.float32())})
    with pytest.raises(InputError, match=r'column "fax" holds float, too small for ten digits \(LOSSY_TYPE\)'):
        rewrite(write(tmp_path, table, "in.parquet"), tmp_path / "out.parquet", Wish("e164", also=("fax",)))


# Forms, and back


def test_ten_digits_are_for_north_america(tmp_path):
    """Abroad there is no such form."""
    assert rejects(tmp_path, "TN\n+442079460000\n2012000001\n", TEN) == ["NOT_IN_V1"]
    assert cells(tmp_path / "out.csv")[1:] == [["2012000001"]]


MIXED = (
    "TN,Fax,Name\n"
    '"201,200,0001",,a\n'
    "+1 (201) 200-0002,12012000009,b\n"
    '="2012000003",,c\n'
    "2.012000004E+09,,d\n"
    "2012000005.0,,e\n"
    "١٢٠١٢٠٠٠٠٠٦,,f\n"
    "+442079460000,,g\n"
)


def test_what_was_rewritten_is_rewritten_to_itself(tmp_path):
    """Byte for byte, in both forms, and through the other form and back."""
    source = write(tmp_path, MIXED)
    once, twice, ten, back = (tmp_path / f"{name}.csv" for name in ("once", "twice", "ten", "back"))
    both = Wish("e164", also=("Fax",))
    rewrite(source, once, both)
    rewrite(once, twice, both)
    assert twice.read_bytes() == once.read_bytes()
    assert beside(twice, "rejects") == beside(twice, "warnings") == []
    assert [row[0] for row in cells(once)[1:]] == [*(f"+1201200000{n}" for n in range(2, 7)), "+442079460000"]
    rewrite(once, ten, Wish("ten-digit", also=("Fax",)))
    assert [row[:2] for row in cells(ten)[1:3]] == [["2012000002", "2012000009"], ["2012000003", ""]]
    rewrite(ten, back, both)
    assert cells(back) == cells(once)[:-1]
    rewrite(ten, twice, Wish("ten-digit", also=("Fax",)))
    assert twice.read_bytes() == ten.read_bytes()


def test_a_line_of_titles_that_became_the_header_is_found_again(tmp_path):
    """The carrier's own inventory report, with one column."""
    source = write(tmp_path, "Iris Telephone Number Inventory Report\n2012000001\n")
    rewrite(source, tmp_path / "once.csv", E164)
    rewrite(tmp_path / "once.csv", tmp_path / "twice.csv", E164)
    assert (tmp_path / "twice.csv").read_text() == 'Iris Telephone Number Inventory Report\n"+12012000001"\n'


# Strict, and relaxed


def test_strict_refuses_what_is_warned_about_otherwise(tmp_path):
    """Scientific notation with all digits, and area codes that nobody knows."""
    text = "TN\n2.012000001E+09\n3722000001\n2012000002\n"
    assert rewritten(tmp_path, text) == [["+12012000001"], ["+13722000001"], ["+12012000002"]]
    warnings = beside(tmp_path / "out.csv", "warnings")
    assert [row[:3] for row in warnings] == [
        ["1", "+12012000001", "SCI_EXACT"],
        ["2", "+13722000001", "NPA_UNRECOGNIZED"],
    ]
    assert rejects(tmp_path, text, Wish("e164", strict=True)) == ["SCI_NOTATION", "NANP_BAD_NPA"]
    assert cells(tmp_path / "out.csv")[1:] == [["+12012000002"]]


def test_an_area_code_that_is_known_here_is_known(tmp_path):
    """Alone, and as the beginning of a range."""
    text = "TN\n371-234-0100\n371-234-0101 - 0102\n"
    wish = relaxed("ranges", strict=True, known_npas=frozenset({371}))
    assert rewritten(tmp_path, text, wish) == [["+13712340100"], ["+13712340101"], ["+13712340102"]]


@pytest.mark.parametrize(
    ("name", "cell", "code", "number"),
    [
        pytest.param("extensions", "201-200-0001 x12", "EXTENSION", "+12012000001", id="extensions"),
        pytest.param("vanity", "1-800-FLOWERS", "LETTERS", "+18003569377", id="vanity"),
        pytest.param("labels", "Tel: 201-200-0001", "LETTERS", "+12012000001", id="labels"),
    ],
)
def test_a_relaxed_rule_accepts_with_a_warning(tmp_path, name, cell, code, number):
    """Otherwise the cell is refused by the same code; in further columns as well."""
    text = f"TN,Fax\n{cell},{cell}\n"
    assert rejects(tmp_path, text) == [code]
    wish = Wish("e164", also=("Fax",), relax=frozenset({name}))
    assert rewritten(tmp_path, text, wish) == [[number, number]]
    own, further = beside(tmp_path / "out.csv", "warnings")
    assert (own[:3], further[:3]) == (["1", number, code], ["1", number, code])
    assert further[3] == f'column "Fax": {own[3]}'


def test_ranges_are_written_out(tmp_path):
    """In the row's place, its other cells repeated, a warning a row; what is no plain range stays refused."""
    text = (
        "TN,Name\n2012000001,a\n201-200-1000 - 1002,b\n2012002000-2012002001,c\n2012003000 - 2012002000,d\n"
        "2012003000 - 12,e\n+44 20 7946 0000 - 0009,f\n2012000009,g\n"
    )
    assert rejects(tmp_path, text) == ["TN_RANGE"] * 5
    source = write(tmp_path, text)
    summary = rewrite(source, tmp_path / "out.csv", relaxed("ranges"))
    assert cells(tmp_path / "out.csv")[1:] == [
        ["+12012000001", "a"],
        ["+12012001000", "b"],
        ["+12012001001", "b"],
        ["+12012001002", "b"],
        ["+12012002000", "c"],
        ["+12012002001", "c"],
        ["+12012000009", "g"],
    ]
    assert [row[1] for row in beside(tmp_path / "out.csv", "rejects")] == ["d", "e", "f"]
    assert beside(tmp_path / "out.csv", "warnings") == [
        [row, number, "TN_RANGE", RANGE_TEXT]
        for row, number in (
            ("2", "+12012001000"),
            ("2", "+12012001001"),
            ("2", "+12012001002"),
            ("3", "+12012002000"),
            ("3", "+12012002001"),
        )
    ]
    assert [summary[name] for name in ("rows", "written", "rejected", "added")] == [7, 7, 3, 3]
    assert summary["warnings"] == {"batcher TN_RANGE": 5}


def test_a_whole_exchange_is_the_largest_range(tmp_path):
    """Ten thousand rows; never across an exchange."""
    text = "TN\n201-200-0000 - 9999\n2012009999 - 2012010000\n"
    rows = rewritten(tmp_path, text, relaxed("ranges"))
    assert (len(rows), rows[0], rows[-1]) == (10_000, ["+12012000000"], ["+12012009999"])
    assert [row[0] for row in beside(tmp_path / "out.csv", "rejects")] == ["2012009999 - 2012010000"]


def test_lists_become_rows(tmp_path):
    """Each number in a row of its own, in the order of the cell; with one bad number nothing is taken apart."""
    text = 'TN,Name\n"2012000001; (201) 200-0002",a\n2012000003 / 2012000004,b\n"2012000005, 12",c\n'
    assert rejects(tmp_path, text) == ["MULTIPLE_TNS"] * 3
    assert rewritten(tmp_path, text, relaxed("lists")) == [
        ["+12012000001", "a"],
        ["+12012000002", "a"],
        ["+12012000003", "b"],
        ["+12012000004", "b"],
    ]
    assert [row[1:3] for row in beside(tmp_path / "out.csv", "rejects")] == [["c", "MULTIPLE_TNS"]]
    assert beside(tmp_path / "out.csv", "warnings")[0] == ["1", "+12012000001", "MULTIPLE_TNS", LIST_TEXT]


def test_each_number_of_a_list_is_judged_as_it_is_alone(tmp_path):
    """With the warnings of its own spelling; strictly, with its refusal; and numbers of other countries are numbers."""
    text = 'TN\n"9.192340218E+09; 919-234-0219"\n"9192340221.0, 919234\u200b0222"\n"+441224003018; 9192340223"\n'
    assert rewritten(tmp_path, text, relaxed("lists")) == [
        ["+19192340218"],
        ["+19192340219"],
        ["+19192340221"],
        ["+19192340222"],
        ["+441224003018"],
        ["+19192340223"],
    ]
    told = [(row[1], row[2]) for row in beside(tmp_path / "out.csv", "warnings")]
    assert ("+19192340218", "SCI_EXACT") in told
    assert {("+19192340221", "FLOAT_TEXT"), ("+19192340221", "CLEANED"), ("+19192340222", "CLEANED")} <= set(told)
    assert rejects(tmp_path, text, relaxed("lists", strict=True)) == ["SCI_NOTATION"]
    assert rejects(tmp_path, text, replace(relaxed("lists"), to="ten-digit")) == ["NOT_IN_V1"]


def test_a_ragged_line_that_is_fed_again_is_no_list(tmp_path):
    """It stands whole in the first cell of the rejects: its second number is a destination."""
    text = "TN,To,Note\n9192340001,9192340002\n9192340003,9192340004,ok\n"
    assert rejects(tmp_path, text, relaxed("lists")) == ["ROW_MALFORMED"]
    again = (tmp_path / "out.csv.rejects.csv").read_bytes()
    assert rejects(tmp_path, again, relaxed("lists")) == ["ROW_MALFORMED"]
    assert cells(tmp_path / "out.csv")[1:] == []
    mended = again.replace(b'"9192340001,9192340002","",""', b'"9192340001","9192340002",""')
    assert rewritten(tmp_path, mended, relaxed("lists")) == [["+19192340001", "9192340002", ""]]


def test_a_long_ragged_line_is_rejected_whole(tmp_path):
    """Its TN may stand at its end."""
    line = "x" * 60_000 + ",9192340001,9192340009,oops"
    rewritten(tmp_path, f"Note,TN,Dest\n{line}\n")
    assert beside(tmp_path / "out.csv", "rejects")[0][0] == line


def test_a_list_may_be_longer_than_a_batch(tmp_path):
    """Its rows are written at once."""
    text = 'TN\n"' + "\n".join(str(2_012_000_000 + number) for number in range(70_000)) + '"\n2013000000\n'
    assert len(rewritten(tmp_path, text, relaxed("lists"))) == 70_001


def test_a_column_of_the_users_own_stays(tmp_path):
    """Only what an earlier run wrote beside its rejects is left out."""
    text = "TN,batcher_id,batcher_code,batcher_reason\n2012000001,7,EMPTY,x\n12,8,EMPTY,x\n"
    assert rewritten(tmp_path, text) == [["+12012000001", "7"]]
    assert beside(tmp_path / "out.csv", "rejects")[0][:3] == ["12", "8", "TOO_SHORT"]


def test_numbers_of_a_range_are_judged_as_they_are_alone(tmp_path):
    """The same warnings; what strict refuses of one number, it refuses of a range."""
    text = "TN\n900-200-1000 - 1001\n372-200-1000 - 1001\n2012000001; 4162000001\n"
    rewritten(tmp_path, text, relaxed("ranges", "lists"))
    assert [row[:3] for row in beside(tmp_path / "out.csv", "warnings")] == [
        ["1", "+19002001000", "PREMIUM"],
        ["1", "+19002001000", "TN_RANGE"],
        ["1", "+19002001001", "PREMIUM"],
        ["1", "+19002001001", "TN_RANGE"],
        ["2", "+13722001000", "NPA_UNRECOGNIZED"],
        ["2", "+13722001000", "TN_RANGE"],
        ["2", "+13722001001", "NPA_UNRECOGNIZED"],
        ["2", "+13722001001", "TN_RANGE"],
        ["3", "+12012000001", "MULTIPLE_TNS"],
        ["3", "+14162000001", "NOT_US"],
        ["3", "+14162000001", "MULTIPLE_TNS"],
    ]
    assert rejects(tmp_path, text, relaxed("ranges", strict=True)) == ["NANP_BAD_NPA", "MULTIPLE_TNS"]


def test_a_range_beside_a_bad_further_column_is_refused(tmp_path):
    """Its row would lose that value; a good one is repeated, and told about once."""
    text = "TN,Fax\n201-200-1000 - 1001,12\n201-200-2000 - 2001,9002000001\n"
    wish = relaxed("ranges", also=("Fax",))
    assert rewritten(tmp_path, text, wish) == [["+12012002000", "+19002000001"], ["+12012002001", "+19002000001"]]
    [[number, fax, code, reason]] = beside(tmp_path / "out.csv", "rejects")
    assert (number, fax, code) == ("201-200-1000 - 1001", "12", "TOO_SHORT")
    assert reason.startswith('column "Fax": ')
    premium = [row for row in beside(tmp_path / "out.csv", "warnings") if row[2] == "PREMIUM"]
    assert [row[:2] for row in premium] == [["2", "+19002000001"]]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_ranges_at_the_border_of_two_batches(tmp_path, form):
    """70,000 rows, more of them written than a batch holds: none is lost, doubled or out of order."""
    numbers = [str(2_012_000_000 + number) for number in range(70_000)]
    for npa, place in ((301, BATCH_ROWS - 2), (302, BATCH_ROWS - 1), (303, BATCH_ROWS)):
        numbers[place] = f"{npa}-200-0000 - 9999"
    table = pa.table({"tn": numbers, "n": list(range(70_000))})
    summary = rewrite(write(tmp_path, table, "in.parquet"), tmp_path / f"out.{form}", relaxed("ranges"))
    expected: list[tuple[str, int]] = []
    for n, number in enumerate(numbers):
        wide = range(int(number[:3]) * 10_000_000 + 2_000_000, int(number[:3]) * 10_000_000 + 2_010_000)
        expected += [(f"+1{each}", n) for each in (wide if "-" in number else [int(number)])]
    if form == "csv":
        found = [(row[0], int(row[1])) for row in cells(tmp_path / "out.csv")[1:]]
    else:
        found = [(row["tn"], row["n"]) for row in pq.read_table(tmp_path / "out.parquet").to_pylist()]
    assert found == expected
    assert [summary[name] for name in ("rows", "written", "rejected", "added")] == [70_000, 99_997, 0, 29_997]
    warned = [int(row[0]) for row in beside(tmp_path / f"out.{form}", "warnings")]
    assert warned == sorted([BATCH_ROWS - 1, BATCH_ROWS, BATCH_ROWS + 1] * 10_000)


# The summary


def test_the_summary_adds_up(tmp_path):
    """The rows are those written without those added, and those rejected; digest and files are named."""
    source = write(tmp_path, HEADER + "2012000001,a\n201-200-1000 - 1004,b\nx,c\n")
    summary = rewrite(source, tmp_path / "out.csv", relaxed("ranges"))
    assert summary == {
        "input": str(source),
        "input_sha256": hashlib.sha256(source.read_bytes()).hexdigest(),
        "output": str(tmp_path / "out.csv"),
        "rejects": str(tmp_path / "out.csv.rejects.csv"),
        "warnings_file": str(tmp_path / "out.csv.warnings.csv"),
        "to": "e164",
        "rows": 3,
        "written": 6,
        "rejected": 1,
        "added": 4,
        "codes": {"rejected LETTERS": 1},
        "warnings": {"batcher TN_RANGE": 5},
        "exit_code": 1,
    }


@pytest.mark.parametrize(
    ("content", "counts"),
    [
        pytest.param("TN\n2012000001\n", (1, 1, 0), id="one row"),
        pytest.param("TN\nx\n", (1, 0, 1), id="one row, rejected"),
        pytest.param("TN,A\n" + "x,1\n" * 70_000, (70_000, 0, 70_000), id="all rejected"),
        pytest.param("TN,A\n" + "2012000001,\n" * 70_000, (70_000, 70_000, 0), id="the same again and again"),
        pytest.param(pa.table({"tn": pa.array([None, None], pa.null())}), (2, 0, 2), id="no value at all"),
        pytest.param(pa.table({"tn": pa.array(["", "2012000001"]).dictionary_encode()}), (2, 1, 1), id="dictionary"),
    ],
)
@pytest.mark.parametrize("target", ["out.csv", "out.parquet"])
def test_small_and_odd_inputs(tmp_path, content, counts, target):
    """Output, rejects and summary agree, and the header is there even without a row."""
    summary = rewrite(write(tmp_path, content), tmp_path / target, E164)
    assert tuple(summary[name] for name in ("rows", "written", "rejected")) == counts
    if target == "out.csv":
        rows = cells(tmp_path / target)
        assert rows[0][0].lower() == "tn"
        assert len(rows) == counts[1] + 1
    else:
        assert pq.read_table(tmp_path / target).num_rows == counts[1]
    assert len(beside(tmp_path / target, "rejects")) == counts[2]


# What is not written over, and whole or not at all


def linked(place: Path, source: Path, how: str) -> None:
    if how == "symlink":
        place.symlink_to(source)
    else:
        place.hardlink_to(source)


@pytest.mark.parametrize("how", ["symlink", "hard link"])
@pytest.mark.parametrize("name", ["out.csv", "out.csv.rejects.csv", "out.csv.warnings.csv", "out.csv.tmp"])
def test_a_link_to_the_input_is_not_written_over(tmp_path, name, how):
    """By whatever name the input would be lost, that of the unfinished output included."""
    source = write(tmp_path, HEADER + "2012000001,a\n")
    linked(tmp_path / name, source, how)
    for path in (source, tmp_path / name):
        with pytest.raises(InputError, match=rf"{name}: is the input, which is not written over"):
            rewrite(path, tmp_path / "out.csv", E164)
    assert source.read_text() == HEADER + "2012000001,a\n"
    assert names(tmp_path) == ["in.csv", name]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("in.csv", "in.csv"),
        ("in.csv", "../here/in.csv"),
        ("i?.csv", "in.csv"),
        ("out.csv.rejects.csv", "out.csv"),
        ("out.csv.tmp", "out.csv"),
    ],
    ids=["itself", "by another path", "one of a pattern", "the rejects", "the unfinished"],
)
def test_the_input_is_not_written_over(tmp_path, source, target):
    """It stays, and nothing stands beside it."""
    folder = tmp_path / "here"
    folder.mkdir()
    name = source.replace("?", "n")
    write(folder, HEADER + "2012000001,a\n", name)
    with pytest.raises(InputError, match="is the input"):
        rewrite(folder / source, folder / target, E164)
    assert names(folder) == [name]
    assert (folder / name).read_text() == HEADER + "2012000001,a\n"


@pytest.mark.parametrize(
    ("target", "told"),
    [
        pytest.param("nowhere/out.csv", "its folder does not exist", id="no folder"),
        pytest.param("folder", "no regular file", id="a folder"),
        pytest.param("held.csv", "held.csv.rejects.csv: cannot be written", id="rejects are a folder"),
        pytest.param("pipe", "no regular file", id="a pipe"),
        pytest.param("out.csv.gz", "Name it .csv or .parquet", id="compressed"),
        pytest.param("out.xlsx", "Name it .csv or .parquet", id="a workbook"),
    ],
)
def test_a_target_that_cannot_be(tmp_path, target, told):
    """Said before the input is read."""
    source = write(tmp_path, HEADER + "2012000001,a\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "held.csv.rejects.csv").mkdir()
    os.mkfifo(tmp_path / "pipe")
    before = names(tmp_path)
    with pytest.raises(InputError, match=told):
        rewrite(source, tmp_path / target, E164)
    assert names(tmp_path) == before


@pytest.mark.parametrize(
    "content",
    [
        pytest.param((HEADER + "2012000001,a\n" * 200_000 + '2012000002,"open\n').encode(), id="unclosed quote"),
        pytest.param(gzip.compress((HEADER + "2012000001,a\n" * 200_000).encode())[:-9], id="truncated gzip"),
        pytest.param(b"TN,Name\n", id="no rows"),
        pytest.param(b"", id="empty"),
        pytest.param(b"PAR1" + bytes(99), id="damaged Parquet"),
    ],
)
def test_a_damaged_input_leaves_what_was_there(tmp_path, content):
    """An older output is not touched, and nothing unfinished stays."""
    outputs = ["out.csv", "out.csv.rejects.csv", "out.csv.warnings.csv"]
    source = write(tmp_path, content)
    with pytest.raises(InputError):
        rewrite(source, tmp_path / "out.csv", E164)
    assert names(tmp_path) == ["in.csv"]
    for name in outputs:
        (tmp_path / name).write_text("older")
    with pytest.raises(InputError):
        rewrite(source, tmp_path / "out.csv", E164)
    assert names(tmp_path) == ["in.csv", *outputs]
    assert {(tmp_path / name).read_text() for name in outputs} == {"older"}


def test_damage_in_the_middle_of_parquet_leaves_what_was_there(tmp_path):
    """Found when rows were written already."""
    table = pa.table({"tn": [str(2_012_000_000 + number) for number in range(200_000)]})
    path = tmp_path / "in.parquet"
    pq.write_table(table, path, row_group_size=50_000, write_page_checksum=True, compression="none")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)
    (tmp_path / "out.csv").write_text("older")
    with pytest.raises(InputError, match="BAD_CONTAINER"):
        rewrite(path, tmp_path / "out.csv", E164)
    assert names(tmp_path) == ["in.parquet", "out.csv"]
    assert (tmp_path / "out.csv").read_text() == "older"


def test_a_link_stays_one_and_what_it_leads_to_is_written(tmp_path):
    """`current.csv` may point at the file of the day."""
    source = write(tmp_path, HEADER + "2012000001,a\n")
    (tmp_path / "day.csv").write_text("older")
    (tmp_path / "current.csv").symlink_to("day.csv")
    (tmp_path / "latest.csv").symlink_to(tmp_path / "current.csv")
    rewrite(source, tmp_path / "latest.csv", E164)
    assert cells(tmp_path / "day.csv")[1:] == [["+12012000001", "a"]]
    assert (tmp_path / "current.csv").is_symlink()
    assert "latest.csv.rejects.csv" in names(tmp_path)


@pytest.mark.parametrize("leads_to", ["/proc/self/fd/1", "/dev/null", "round.csv"])
def test_a_link_to_a_device_is_no_file(tmp_path, leads_to):
    """Not even where it leads to a regular file just now, as /dev/stdout does."""
    source = write(tmp_path, HEADER + "2012000001,a\n")
    (tmp_path / "round.csv").symlink_to("out.csv")
    (tmp_path / "out.csv").symlink_to(leads_to)
    with pytest.raises(InputError, match=r"out\.csv: is no file to write to"):
        rewrite(source, tmp_path / "out.csv", E164)
    assert names(tmp_path) == ["in.csv", "out.csv", "round.csv"]
    assert (tmp_path / "out.csv").is_symlink()


def test_another_file_that_is_read_is_not_written_over(tmp_path):
    """The list of area codes."""
    source, kept = write(tmp_path, HEADER + "2012000001,a\n"), write(tmp_path, "851\n", "npas.txt")
    with pytest.raises(InputError, match=r"npas\.txt: is the input"):
        rewrite(source, kept, E164, kept=[kept])
    assert kept.read_text() == "851\n"


def test_a_full_disk_leaves_nothing_new_beside_the_old(tmp_path):
    """Rejects of rows that are in no output would be taken for those of the output that is there."""
    source = write(tmp_path, HEADER + "".join(f"{2_012_000_000 + n},{n}\nx,{n}\n" for n in range(2_000)))
    for name in ("out.csv", "out.csv.rejects.csv"):
        (tmp_path / name).write_text("older")
    ended = subprocess.run(
        [
            "sh",
            "-c",
            'ulimit -f 40; exec "$@"',
            "sh",
            sys.executable,
            "-m",
            "batcher",
            "normalize",
            source,
            "out.csv",
            "--to",
            "e164",
        ],
        cwd=tmp_path,
        capture_output=True,
        timeout=60,
    )
    assert ended.returncode == 6
    assert {(tmp_path / name).read_text() for name in ("out.csv", "out.csv.rejects.csv")} == {"older"}
    assert names(tmp_path) == ["in.csv", "out.csv", "out.csv.rejects.csv"]


def test_two_at_once_write_one_output(tmp_path):
    """Cron starts overlap: the second is told, and takes nothing from the first."""
    source = write(tmp_path, HEADER + "".join(f"{2_012_000_000 + n % 9_999},{n}\n" for n in range(500_000)))
    command = [sys.executable, "-m", "batcher", "normalize", str(source), "out.csv", "--to", "e164", "-q"]
    first = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    until = time.monotonic() + 30
    while not (tmp_path / "out.csv.tmp").exists() and time.monotonic() < until:
        time.sleep(0.001)
    first.send_signal(signal.SIGSTOP)
    second = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60)
    first.send_signal(signal.SIGCONT)
    assert first.communicate(timeout=60)[0].startswith(b"500,000 rows read, 500,000 written")
    assert (first.returncode, second.returncode) == (0, 7)
    assert b"another process is writing this file" in second.stderr
    assert len((tmp_path / "out.csv").read_bytes().splitlines()) == 500_001


def test_outputs_are_private(tmp_path):
    """Numbers are nobody else's business."""
    rewritten(tmp_path, HEADER + "2012000001,a\n")
    for name in ("out.csv", "out.csv.rejects.csv", "out.csv.warnings.csv"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600


# The command line


def batcher(folder: Path, *words: str, content: bytes | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "batcher", "normalize", *words]
    ended = subprocess.run(command, cwd=folder, input=content or b"", capture_output=True, timeout=60)
    return subprocess.CompletedProcess(command, ended.returncode, ended.stdout.decode(), ended.stderr.decode())


def test_numbers_pasted_on_standard_input(tmp_path):
    """No header, no file; exit 0 when every row was written."""
    ended = batcher(tmp_path, "-", "out.csv", "--to", "ten-digit", content=b"+1 201 200 0001\n(201) 200-0002\n")
    assert (ended.returncode, ended.stdout.splitlines()[0]) == (0, "2 rows read, 2 written in ten-digit")
    assert (tmp_path / "out.csv").read_text() == '"2012000001"\n"2012000002"\n'


def test_json_and_exit_1_for_rejects(tmp_path):
    """Every option of the command reaches the rules."""
    write(tmp_path, "Nr,Fax\n2012000001; 2012000002,\n2012000003 x1,2012000004\nx,\n")
    words = ("--to", "e164", "--tn", "nr", "--also", "Fax", "--relax", "lists", "--relax", "extensions", "--strict")
    ended = batcher(tmp_path, "in.csv", "out.csv", *words, "--json", "-q")
    summary = json.loads(ended.stdout)
    assert (ended.returncode, summary["exit_code"]) == (1, 1)
    assert [summary[name] for name in ("rows", "written", "rejected", "added")] == [3, 3, 1, 1]
    assert [row[0] for row in cells(tmp_path / "out.csv")[1:]] == ["+12012000001", "+12012000002", "+12012000003"]


def test_the_file_behind_standard_input_is_not_written_over(tmp_path):
    """`normalize - numbers.csv < numbers.csv` would replace it."""
    source = write(tmp_path, HEADER + "2012000001,a\n")
    command = [sys.executable, "-m", "batcher", "normalize", "-", str(source), "--to", "e164"]
    with source.open("rb") as file:
        ended = subprocess.run(command, stdin=file, capture_output=True, timeout=60)
    assert ended.returncode == 2
    assert b"is the input, which is not written over" in ended.stderr
    assert source.read_text() == HEADER + "2012000001,a\n"
    assert names(tmp_path) == ["in.csv"]
