"""What the XML of a workbook's sheets says, where whoever reads it would say nothing: errors, uncalculated formulas, odd places."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Container
from functools import cache
from typing import Any, BinaryIO

from lxml import etree

from batcher.scan import Refuse

#: A sheet is a rectangle up to its last cell.
MAX_CELLS = 20_000_000

_PLACE = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")
#: No file, host or entity is asked for what a document says, and no remark stands between its digits.
_SAFE: dict[str, Any] = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "huge_tree": False,
    "remove_comments": True,
    "remove_pis": True,
}
_ANEW = "Save the workbook again from a spreadsheet, or as CSV"
_BLOCK_BYTES = 1024 * 1024


def check_cells(file: BinaryIO, refuse: Refuse) -> int | None:
    """How many cells hold a value; None in a binary workbook. InputError for what would read as empty, and for one cell far
    away that fills the memory. Every part is read to its end, which checks it.
    """
    with zipfile.ZipFile(file) as archive:
        parts = [name for name in archive.namelist() if name.startswith("xl/") and not name.endswith("/")]
        if "xl/workbook.bin" in parts:
            return None
        for name in parts:
            with archive.open(name) as part:
                while part.read(_BLOCK_BYTES):
                    pass
        strings = [name for name in parts if name.lower() == "xl/sharedstrings.xml"]
        empty = _empty_strings(archive.read(strings[0])) if strings else set()
        return sum(_check_sheet(archive, name, empty, refuse) for name in parts if name.lower().endswith(".xml"))


def _empty_strings(xml: bytes) -> set[str]:
    """Numbers of the shared texts that are empty."""
    found = set()
    for number, (_, item) in enumerate(etree.iterparse(io.BytesIO(xml), tag="{*}si", **_SAFE)):
        if not any(text.text for text in item.iter("{*}t")):
            found.add(str(number))
        item.clear()
    return found


def _check_sheet(archive: zipfile.ZipFile, name: str, empty: Container[str], refuse: Refuse) -> int:
    """How many cells of a sheet hold a value; 0 of what is no sheet."""
    count, row, column, height, width, space = 0, 0, 0, 0, 0, ""
    with archive.open(name) as part:
        for event, element in etree.iterparse(part, events=("start", "end"), tag=("{*}row", "{*}c"), **_SAFE):
            is_row = element.tag.endswith("row")
            if is_row and event == "start":
                if not row and not element.getroottree().getroot().tag.endswith("worksheet"):
                    return 0
                row, column, space = _later(int(element.get("r") or row + 1), row, refuse), 0, element.tag[:-3]
            elif is_row:
                del element.getparent()[0]
            elif event == "end":
                said = element.get("r")
                place = _PLACE.fullmatch(said) if said else None
                column = _later(_number(place[1]) if place else column + 1, column, refuse)
                if said and (place is None or int(place[2]) != row):
                    raise refuse("BAD_CONTAINER", "a cell stands in another row than it says", _ANEW)
                if _is_filled(element, space, empty, refuse):
                    count, height, width = count + 1, row, max(width, column)
                    if height * width > MAX_CELLS:
                        raise refuse("BAD_CONTAINER", "a cell stands far away from the others", f"Delete it. {_ANEW}")
    return count


def _is_filled(cell: etree._Element, space: str, empty: Container[str], refuse: Refuse) -> bool:
    """Whether a cell holds a value; `space` is its namespace, as in "{…}c".

    InputError for an error, and for a formula that was never calculated.
    """
    kind, value = cell.get("t"), cell.find(f"{space}v")
    text = "" if value is None else value.text or ""
    if kind == "e":
        raise refuse("BAD_CONTAINER", "a cell holds an error such as #N/A", f"Mend it. {_ANEW}")
    # Excel writes t="str" and an empty <v> for a formula whose result is the empty text.
    if not text and not (kind == "str" and value is not None) and cell.find(f"{space}f") is not None:
        raise refuse("BAD_CONTAINER", "a cell holds a formula without its value", f"Open it in a spreadsheet. {_ANEW}")
    if kind == "inlineStr":
        return any(part.text for part in cell.iter("{*}t"))
    return bool(text) and not (kind == "s" and text in empty)


def _later(now: int, before: int, refuse: Refuse) -> int:
    """A row's or column's number, which follows the one before; of two with the same one would be lost."""
    if now <= before:
        raise refuse("BAD_CONTAINER", "its cells are there twice, or in no order", _ANEW)
    return now


@cache
def _number(letters: str) -> int:
    """Number of a column, "A" being the first and "AA" the 27th."""
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - 64
    return number
