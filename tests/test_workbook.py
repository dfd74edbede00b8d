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
