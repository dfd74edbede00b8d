"""Excel workbooks: the one sheet that holds rows, number for number."""

from __future__ import annotations

import datetime as dt
import sys
import zipfile
from pathlib import Path

import openpyxl
import pytest

from batcher import workbook
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
    with pytest.raises(InputError, match=r"damaged workbook .*BAD_CONTAINER"):
        open_source(path)


def test_without_the_extra_the_message_says_how(tmp_path, monkeypatch):
    """The library is asked for only when there is a workbook."""
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(InputError, match=r"Save the sheet as CSV \(UTF-8\), or install .*tn-batcher\[excel\]"):
        open_source(saved(tmp_path, {"A": [["TN"]]}))


def test_what_would_read_as_empty_is_refused(tmp_path):
    """An error, a formula that was never calculated: the cell is not nothing. And one far away fills no memory."""
    rows = [["TN", "To"], [2015550123, "x"]]
    with pytest.raises(InputError, match="formula without its value"):
        open_source(saved(tmp_path, {"A": [*rows, ["=1+1", "y"]]}))
    assert not workbook._FORMULA.search(b'<c r="B2" t="str"><f>IF(C2="","",C2)</f><v></v></c>')
    book = openpyxl.Workbook()
    book.active["XFD1048576"] = "x"
    book.save(tmp_path / "far.xlsx")
    with pytest.raises(InputError, match="far away from the others"):
        open_source(tmp_path / "far.xlsx")
    path = saved(tmp_path, {"A": rows})
    with zipfile.ZipFile(path) as whole:
        parts = {name: whole.read(name) for name in whole.namelist()}
    sheet = b'<c r="A9" t="e"><v>#N/A</v></c></row></sheetData>'
    parts["xl/worksheets/sheet1.xml"] = parts["xl/worksheets/sheet1.xml"].replace(b"</row></sheetData>", sheet)
    with zipfile.ZipFile(path, "w") as spoiled:
        for name, content in parts.items():
            spoiled.writestr(name, content)
    with pytest.raises(InputError, match="an error such as #N/A"):
        open_source(path)


def test_marks_inside_a_cell_separate_nothing(tmp_path):
    """What Excel keeps in one cell stays in one."""
    with open_source(saved(tmp_path, {"A": [["TN", "a;b;c"], ["2015550123", "sep=;"]]})) as source:
        assert source.columns == ("TN", "a;b;c")
