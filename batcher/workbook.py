"""Excel workbooks: the one sheet that holds rows, as CSV. Needs the extra `tn-batcher[excel]`.

Whole numbers below 2^53 are written with all their digits, never in scientific notation. What an old one (.xls) shows as an
error reads as text or as empty.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from batcher.errors import InputError
from batcher.origin import Origin, unnamed
from batcher.scan import Refuse

#: A workbook is read whole: at most so many bytes, packed and unpacked.
MAX_BYTES, MAX_UNPACKED_BYTES = 64 * 1024 * 1024, 1024 * 1024 * 1024

#: What reading a damaged, encrypted or odd archive raises; NotImplementedError is a RuntimeError, lxml's a SyntaxError.
_BROKEN = (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, ValueError, OSError, SyntaxError)
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
    except _BROKEN:
        return False


def as_csv(origin: Origin, spool: Path, refuse: Refuse) -> Origin:
    """The sheet as CSV in an unnamed file in `spool`; rows without any value are left out.

    InputError: the extra is not installed, the workbook is too large or damaged, or several sheets hold rows.
    """
    from batcher.sheet import check_cells

    try:
        import python_calamine as calamine
    except ImportError as error:
        remedy = 'Save the sheet as CSV (UTF-8), or install what reads it: pip install "tn-batcher[excel]"'
        raise refuse("BAD_CONTAINER", "it is an Excel workbook", remedy) from error
    try:
        is_packed = os.pread(origin.file.fileno(), 4, 0) == _ZIP
        if origin.size > MAX_BYTES or (is_packed and _unpacked(origin.file) > MAX_UNPACKED_BYTES):
            raise refuse("BAD_CONTAINER", "it is too large for a workbook", "Save the sheet as CSV (UTF-8)")
        count = check_cells(origin.file, refuse) if is_packed else None
        origin.file.seek(0)
        book = calamine.CalamineWorkbook.from_filelike(origin.file)
        sheets = {name: _texts(book.get_sheet_by_name(name).to_python()) for name in book.sheet_names}
    except (calamine.CalamineError, OverflowError, *_BROKEN) as error:
        raise refuse("BAD_CONTAINER", f"it is a damaged or protected workbook ({error})", "Save it anew") from error
    # Whoever wrote it in an unusual way may be misread: what was counted has to be there.
    if count is not None and count != sum(bool(cell) for rows in sheets.values() for row in rows for cell in row):
        raise refuse("BAD_CONTAINER", "not every cell of it can be read", "Save it anew from a spreadsheet, or as CSV")
    sheets = {name: [row for row in rows if any(row)] for name, rows in sheets.items()}
    filled = {name: rows for name, rows in sheets.items() if rows}
    if not filled:
        raise refuse("EMPTY_FILE", "no sheet of it holds a value", "Check what wrote it")
    if len(filled) > 1:
        what = f"several of its sheets hold rows ({', '.join(filled)})"
        raise refuse("BAD_CONTAINER", what, "Save the one that is meant as CSV (UTF-8)")
    origin.close()
    return Origin(origin.path, _written(next(iter(filled.values())), spool))


def _unpacked(file: BinaryIO) -> int:
    with zipfile.ZipFile(file) as archive:
        return sum(entry.file_size for entry in archive.infolist())


def _texts(cells: Sequence[Sequence[Any]]) -> list[list[str]]:
    return [[_text(cell) for cell in row] for row in cells]


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
