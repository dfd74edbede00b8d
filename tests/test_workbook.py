"""Excel workbooks: the one sheet that holds rows, number for number."""

from __future__ import annotations

import datetime as dt
import sys
import zipfile
from pathlib import Path

import openpyxl
import pytest

from batcher.errors import InputError
from batcher.table import open_source


def saved(folder: Path, sheets) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(folder / "numbers.xlsx")
    return folder / "numbers.xlsx"


def test_cells_are_written_with_all_their_digits(tmp_path):
    """Numbers, text, dates and blanks; titles above the header; rows without a value are none."""
    rows = [
        ["Inventory", None, None],
        ["TN", "To", "Since"],
        [2015550123, "sip:desk@192.0.2.4", dt.date(2026, 11, 20)],
        [None, None, None],
        ["+1 201 555 0124", 12015550199.0, True],
        [441224003018, 1.5, 'a "b", c'],
    ]
    with open_source(saved(tmp_path, {"Empty": [], "TNs": rows})) as source:
        assert source.columns == ("TN", "To", "Since")
        cells = [list(row.values()) for batch in source.batches() for row in batch.frame.to_pylist()]
    assert cells == [
        ["2015550123", "sip:desk@192.0.2.4", "2026-11-20"],
        ["+1 201 555 0124", "12015550199", "true"],
        ["441224003018", "1.5", 'a "b", c'],
    ]


def test_characters_of_every_kind(tmp_path):
    """A workbook knows its encoding: nothing is guessed."""
    with open_source(
        saved(tmp_path, {"A": [["TN", "Name"], ["\u202a919\u00a0555 0123\u202c", "Zoë “日本”"]]})
    ) as source:
        [batch] = source.batches()
        assert batch.frame.to_pylist() == [{"TN": "\u202a919\u00a0555 0123\u202c", "Name": "Zoë “日本”"}]
        assert source.warnings == []


def test_which_sheet_is_never_guessed(tmp_path):
    """Several with rows are named; none is too little."""
    with pytest.raises(InputError, match=r"several of its sheets hold rows \(A, B\)"):
        open_source(saved(tmp_path, {"A": [["TN"]], "B": [["x"]]}))
    with pytest.raises(InputError, match="EMPTY_FILE"):
        open_source(saved(tmp_path, {"A": []}))


def test_a_damaged_workbook_is_refused(tmp_path):
    """The container alone makes no workbook."""
    path = tmp_path / "numbers.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", "<nothing/>")
    with pytest.raises(InputError, match=r"damaged or protected workbook .*BAD_CONTAINER"):
        open_source(path)


def test_a_damaged_byte_is_seen_wherever_it_lies(tmp_path):
    """Also in the texts that the sheets share, and where nothing is compressed: the archive knows its sums."""
    path = saved(tmp_path, {"A": [["TN", "To"], ["2015550123", "x"]]})
    with zipfile.ZipFile(path) as whole:
        parts = {name: whole.read(name) for name in whole.namelist()}
    with zipfile.ZipFile(path, "w") as stored:
        for name, content in parts.items():
            stored.writestr(name, content)
    path.write_bytes(path.read_bytes().replace(b"2015550123", b"2015550177"))
    with pytest.raises(InputError, match=r"damaged or protected workbook .*BAD_CONTAINER"):
        open_source(path)


@pytest.mark.parametrize("offset", range(60, 400, 40))
def test_a_damaged_workbook_ends_in_words(tmp_path, offset):
    """Whatever the archive's reader makes of it."""
    path = saved(tmp_path, {"A": [["TN", "To"], ["2015550123", "x"]]})
    with zipfile.ZipFile(path) as whole:
        start = whole.getinfo("xl/worksheets/sheet1.xml").header_offset
    content = bytearray(path.read_bytes())
    content[start + offset] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"BAD_CONTAINER"):
        open_source(path)


def test_without_the_extra_the_message_says_how(tmp_path, monkeypatch):
    """The library is asked for only when there is a workbook."""
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(InputError, match=r"Save the sheet as CSV \(UTF-8\), or install .*tn-batcher\[excel\]"):
        open_source(saved(tmp_path, {"A": [["TN"]]}))


def with_cells(folder: Path, cells: str) -> Path:
    """A workbook with a header, a row, and these cells in the XML of a third row."""
    path = saved(folder, {"A": [["TN", "To"], [2015550123, "x"]]})
    with zipfile.ZipFile(path) as whole:
        parts = {name: whole.read(name) for name in whole.namelist()}
    sheet = parts["xl/worksheets/sheet1.xml"]
    parts["xl/worksheets/sheet1.xml"] = sheet.replace(b"</sheetData>", f"{cells}</sheetData>".encode())
    with zipfile.ZipFile(path, "w") as spoiled:
        for name, content in parts.items():
            spoiled.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ('<row r="3"><c r="A3"><f>1+1</f></c></row>', "A!A3 holds a formula that was never calculated"),
        ('<row r="3"><c r="A3"><f>1+1</f><v/></c></row>', "A!A3 holds a formula that was never calculated"),
        (
            "<row r='3'><c r='A3'><f t='shared' si='0'/><v></v></c></row>",
            "A!A3 holds a formula that was never calculated",
        ),
        (
            '<x:row xmlns:x="urn:x" r="3"><x:c r="A3"><x:f>1+1</x:f></x:c></x:row>',
            "A!A3 holds a formula that was never calculated",
        ),
        ('<row r="1048576"><c s="1" r="XFD1048576"><v>1</v></c></row>', "up to A!XFD1048576, its sheets span more"),
        ('<row r="3"><c r="XFD3"><v>1</v></c></row><row r="1048576"><c><v>1</v></c></row>', "up to A!A1048576, its"),
        (
            '<row r="3">' + "<c/>" * 16_383 + '<c><v>1</v></c></row><row r="1048576"><c><v>1</v></c></row>',
            "up to A!A1048576, its",
        ),
        ('<row r="3"><c r="A3"><v>1</v></c><c r="A3"><v>2</v></c></row>', "there twice"),
        ('<row r="2"><c r="A2"><v>1</v></c></row>', "there twice"),
        ('<row r="3"><c r="A4"><v>1</v></c></row>', "stands in another row than it says"),
        ('<row r="3"><c r="xfd1048576"><v>1</v></c></row>', "stands in another row than it says"),
        ('<row r="3"><c r="A3"><v><![CDATA[2015550124]]></v></c></row>', "A!A3 holds a value in several pieces"),
        ('</sheetData><sheetData><row r="3"><c r="A3"><v>2015550124</v></c></row>', "not every cell of it can be read"),
        ('<row r="3"><c r="A3"><!--x--><f>1+1</f></c></row>', "A!A3 holds a formula that was never calculated"),
        ('<row r="3"><c r="A3" t="str"><f>1+1</f></c></row>', "A!A3 holds a formula that was never calculated"),
        ("<c " * 60_000, "damaged or protected"),
    ],
)
def test_what_would_read_as_empty_or_fill_the_memory_is_refused(tmp_path, cells, told):
    """An error, a formula that was never calculated: the cell is not nothing, however its XML is written."""
    with pytest.raises(InputError, match=rf"{told}.*BAD_CONTAINER"):
        open_source(with_cells(tmp_path, cells))


@pytest.mark.parametrize(
    "cells",
    [
        '<row r="3"><c r="A3" t="str"><f>IF(B3="","",B3)</f><v></v></c></row>',
        '<row r="3"><c r="A3"><v/></c></row>',
        '<row r="1048576"><c r="XFC1048576" s="1"></c><c r="XFD1048576" s="1"/></row>',
    ],
    ids=["a formula whose result is empty", "empty", "a colour far away"],
)
def test_what_is_empty_is_no_row(tmp_path, cells):
    """Excel writes such cells itself."""
    with open_source(with_cells(tmp_path, cells)) as source:
        assert [batch.frame.to_pylist() for batch in source.batches()] == [[{"TN": "2015550123", "To": "x"}]]


def test_marks_inside_a_cell_separate_nothing(tmp_path):
    """What Excel keeps in one cell stays in one."""
    with open_source(saved(tmp_path, {"A": [["TN", "a;b;c"], ["2015550123", "sep=;"]]})) as source:
        assert source.columns == ("TN", "a;b;c")
