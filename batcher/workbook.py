"""Excel workbooks: the one sheet that holds rows, as CSV. Needs the extra `tn-batcher[excel]`.

Whole numbers below 2^53 are written with all their digits, never in scientific notation. Errors are texts, as they are shown.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import os
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from batcher.errors import InputError
from batcher.origin import Origin, unnamed
from batcher.scan import Refuse

if TYPE_CHECKING:
    from python_calamine import CalamineSheet

    from batcher.sheet import Cells

#: Of a workbook, packed and unpacked.
MAX_BYTES, MAX_UNPACKED_BYTES = 64 * 1024 * 1024, 1024 * 1024 * 1024

#: What reading a damaged, encrypted or odd archive raises; NotImplementedError is a RuntimeError.
_BROKEN = (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, ValueError, OSError)
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
    """The sheet as CSV in an unnamed file in `spool`; rows without any value are left out, errors are texts.

    InputError: the extra is not installed, the workbook is old, too large or damaged, a cell of it would be misread, or
    several sheets hold rows.
    """
    from batcher.archive import check_cells

    if os.pread(origin.file.fileno(), 4, 0) == _OLD:
        # Its errors and the formulas without a value read as empty, and nothing tells.
        raise refuse("BAD_CONTAINER", "the cells of an old workbook (.xls) cannot be checked", "Save it as .xlsx")
    try:
        import python_calamine as calamine
    except ImportError as error:
        remedy = 'Save the sheet as CSV (UTF-8), or install what reads it: pip install "tn-batcher[excel]"'
        raise refuse("BAD_CONTAINER", "it is an Excel workbook", remedy) from error
    try:
        if origin.size > MAX_BYTES or _unpacked(origin.file) > MAX_UNPACKED_BYTES:
            raise refuse("BAD_CONTAINER", "it is too large for a workbook", "Save the sheet as CSV (UTF-8)")
        sheets = check_cells(origin.file, refuse)
        chosen = _chosen(sheets, refuse)
        origin.file.seek(0)
        book = calamine.CalamineWorkbook.from_filelike(origin.file)
        if set(book.sheet_names) != set(sheets):
            raise _unread(refuse)
        for name in set(book.sheet_names) - {chosen}:
            if any(_rows(book.get_sheet_by_name(name), sheets[name], refuse)):
                raise _unread(refuse)
        kept = _written(_rows(book.get_sheet_by_name(chosen), sheets[chosen], refuse), spool)
    except OverflowError as error:
        what = "a number of it has the format of a time, and is too large for one"
        raise refuse("BAD_CONTAINER", what, "Format the column as text, or save the sheet as CSV (UTF-8)") from error
    except (calamine.CalamineError, *_BROKEN) as error:
        raise refuse("BAD_CONTAINER", f"it is a damaged or protected workbook ({error})", "Save it anew") from error
    origin.close()
    return Origin(origin.path, kept)


def _chosen(sheets: Mapping[str, Cells], refuse: Refuse) -> str:
    """The name of the sheet that holds rows."""
    filled = [name for name, cells in sheets.items() if cells]
    if not filled:
        raise refuse("EMPTY_FILE", "no sheet of it holds a value", "Check what wrote it")
    if len(filled) > 1:
        what = f"several of its sheets hold rows ({', '.join(filled)})"
        raise refuse("BAD_CONTAINER", what, "Save the one that is meant as CSV (UTF-8)")
    return filled[0]


def _rows(sheet: CalamineSheet, cells: Cells, refuse: Refuse) -> Iterator[list[str]]:
    """The rows that hold a text, one by one, with their errors. InputError when other cells than the counted are there."""
    # Rows come from the first of the sheet on, columns from the first that holds a value.
    _, left = sheet.start or (0, 0)
    errors, count = cells.errors(), 0
    error = next(errors, None)
    for number, row in enumerate(sheet.iter_rows()):
        texts = [_text(cell) for cell in row]
        count += sum(map(bool, texts))
        while error is not None and error[0] == number:
            place = error[1] - left
            if not 0 <= place < len(texts) or texts[place]:
                raise _unread(refuse)
            texts[place] = error[2]
            error = next(errors, None)
        if any(texts):
            yield texts
    # Whoever wrote it in an unusual way may be misread: what was counted has to be there.
    if count != cells.count or error is not None:
        raise _unread(refuse)


def _unread(refuse: Refuse) -> InputError:
    return refuse("BAD_CONTAINER", "not every cell of it can be read", "Save it anew from a spreadsheet, or as CSV")


def _unpacked(file: BinaryIO) -> int:
    with zipfile.ZipFile(file) as archive:
        return sum(entry.file_size for entry in archive.infolist())


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


def _written(rows: Iterable[Sequence[str]], spool: Path) -> BinaryIO:
    try:
        kept = unnamed(spool)
        text = io.TextIOWrapper(kept, "utf-8", newline="", write_through=True)
        try:
            # Quoted, nothing that stands in a cell is taken for what separates the columns.
            csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
        except BaseException:
            text.close()
            raise
        text.detach()
    except OSError as error:
        raise InputError(f"{spool}: the rows of a workbook cannot be kept here ({error.strerror}).") from error
    return kept
