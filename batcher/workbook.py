"""Excel workbooks: the one sheet that holds rows, as CSV. Needs the extra `tn-batcher[excel]`.

Numbers are written with all their digits, never in scientific notation.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import os
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from batcher.errors import InputError
from batcher.origin import Origin, unnamed
from batcher.scan import Refuse

#: A workbook is read whole: at most so many bytes, packed and unpacked.
MAX_BYTES, MAX_UNPACKED_BYTES = 64 * 1024 * 1024, 1024 * 1024 * 1024

#: A sheet is a rectangle up to its last cell.
MAX_CELLS = 20_000_000
_SHEET = re.compile(r"xl/worksheets/[^/]+\.xml")
# Names may have a prefix, and attributes any order and either quote.
_CELL = rb"<(?:\w+:)?c(?=[\s>])"
_ERROR = re.compile(_CELL + rb"""[^>]*\st\s*=\s*["']e["']""")
# Excel writes t="str" and an empty <v> for a formula whose result is the empty text.
_FORMULA = re.compile(
    _CELL + rb"""(?![^>]*\st\s*=\s*["']str["'])[^>]*>\s*<(?:\w+:)?f(?=[\s/>])[^>]*(?:/>|>[^<]*</(?:\w+:)?f>)"""
    rb"""\s*(?:<(?:\w+:)?v\s*(?:/>|>\s*</(?:\w+:)?v>)\s*)?</(?:\w+:)?c>"""
)
# An empty cell that has a colour only takes no room.
_PLACE = re.compile(_CELL + rb"""(?:[^>]*\s)?r\s*=\s*["']([A-Z]{1,3})([0-9]{1,7})["'][^>]*(?<!/)>(?!\s*</)""")
_UNPLACED = re.compile(_CELL + rb"""(?![^>]*\sr\s*=)[^>]*(?<!/)>(?!\s*</)""")
_ROW = re.compile(rb"""<(?:\w+:)?row\s(?:[^>]*\s)?r\s*=\s*["']([0-9]{1,7})["'][^>]*(?<!/)>""")
_OLD = b"\xd0\xcf\x11\xe0"
_ZIP = b"PK\x03\x04"


def is_one(file: BinaryIO) -> bool:
    """Whether a file is a workbook, old or new."""
    magic = os.pread(file.fileno(), 4, 0)
    if magic != _ZIP:
        return magic == _OLD
    try:
        with zipfile.ZipFile(file) as archive:
            return any(name.startswith("xl/workbook") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):
        return False


def as_csv(origin: Origin, spool: Path, refuse: Refuse) -> Origin:
    """The sheet as CSV in an unnamed file in `spool`; rows without any value are left out.

    InputError: the extra is not installed, the workbook is too large or damaged, or several sheets hold rows.
    """
    try:
        import python_calamine as calamine
    except ImportError as error:
        remedy = 'Save the sheet as CSV (UTF-8), or install what reads it: pip install "tn-batcher[excel]"'
        raise refuse("BAD_CONTAINER", "it is an Excel workbook", remedy) from error
    if origin.size > MAX_BYTES or _unpacked(origin.file) > MAX_UNPACKED_BYTES:
        raise refuse("BAD_CONTAINER", "it is too large for a workbook", "Save the sheet as CSV (UTF-8)")
    _check_cells(origin.file, refuse)
    origin.file.seek(0)
    try:
        book = calamine.CalamineWorkbook.from_filelike(origin.file)
        sheets = {name: _rows(book.get_sheet_by_name(name).to_python()) for name in book.sheet_names}
    except (calamine.CalamineError, OSError, ValueError, OverflowError) as error:
        raise refuse("BAD_CONTAINER", f"it is a damaged workbook ({error})", "Save it anew") from error
    filled = {name: rows for name, rows in sheets.items() if rows}
    if not filled:
        raise refuse("EMPTY_FILE", "no sheet of it holds a value", "Check what wrote it")
    if len(filled) > 1:
        what = f"several of its sheets hold rows ({', '.join(filled)})"
        raise refuse("BAD_CONTAINER", what, "Save the one that is meant as CSV (UTF-8)")
    origin.close()
    return Origin(origin.path, _written(next(iter(filled.values())), spool))


def _unpacked(file: BinaryIO) -> int:
    try:
        with zipfile.ZipFile(file) as archive:
            return sum(entry.file_size for entry in archive.infolist())
    except zipfile.BadZipFile:
        return 0  # an old one is not packed


def _check_cells(file: BinaryIO, refuse: Refuse) -> None:
    """Refuse cells that would read as empty (errors, formulas without a value), and one far away that fills the memory."""
    try:
        with zipfile.ZipFile(file) as archive:
            for name in archive.namelist():
                if _SHEET.fullmatch(name):
                    _check_sheet(archive.read(name), refuse)
    except zipfile.BadZipFile:
        return  # an old one


def _check_sheet(xml: bytes, refuse: Refuse) -> None:
    if _ERROR.search(xml):
        raise refuse("BAD_CONTAINER", "a cell holds an error such as #N/A", "Mend it, and save the workbook again")
    if _FORMULA.search(xml):
        remedy = "Open the workbook in a spreadsheet and save it again"
        raise refuse("BAD_CONTAINER", "a cell holds a formula without its value", remedy)
    columns, rows = set(), {0}
    for place in _PLACE.finditer(xml):
        columns.add(place[1])
        rows.add(int(place[2]))
    if _UNPLACED.search(xml):
        rows.update(int(row[1]) for row in _ROW.finditer(xml))
    height, width = max(rows), max(map(_number, columns), default=1)
    if height * width > MAX_CELLS:
        raise refuse(
            "BAD_CONTAINER", "a cell stands far away from the others", "Delete it, and save the workbook again"
        )


def _number(letters: bytes) -> int:
    """Number of a column, "A" being the first and "AA" the 27th."""
    number = 0
    for letter in letters:
        number = 26 * number + letter - 64
    return number


def _rows(cells: Sequence[Sequence[Any]]) -> list[list[str]]:
    rows = [[_text(cell) for cell in row] for row in cells]
    return [row for row in rows if any(row)]


def _text(cell: Any) -> str:
    match cell:
        case bool():
            return str(cell).lower()
        case float() if cell.is_integer() and abs(cell) < 2**53:
            return str(int(cell))
        case dt.datetime() | dt.date() | dt.time():
            return cell.isoformat()
        case _:
            return str(cell)


def _written(rows: Sequence[Sequence[str]], spool: Path) -> BinaryIO:
    try:
        kept = unnamed(spool)
        text = io.TextIOWrapper(kept, "utf-8", newline="", write_through=True)
        # Quoted, nothing that stands in a cell is taken for what separates the columns.
        csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
        text.detach()
    except OSError as error:
        raise InputError(f"{spool}: the rows of a workbook cannot be kept here ({error.strerror}).") from error
    return kept
