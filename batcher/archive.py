"""A workbook's archive: which part is which sheet, the texts that cells share, and whether every cell can be read.

Streams: no part that may be large is held.
"""

from __future__ import annotations

import zipfile
from array import array
from collections.abc import Mapping
from typing import BinaryIO

from batcher import markup
from batcher.display import read_displays
from batcher.scan import Refuse
from batcher.sheet import ANEW, AS_CSV, Cells, Room, Sheet

MAX_STRINGS = 2_000_000

#: What is held whole of a workbook, each.
_MAX_HELD_BYTES = 16 * 1024 * 1024
_BOOK, _LINKS, _STRINGS, _STYLES = (
    "xl/workbook.xml",
    "xl/_rels/workbook.xml.rels",
    "xl/sharedstrings.xml",
    "xl/styles.xml",
)


def check_cells(file: BinaryIO, refuse: Refuse) -> dict[str, Cells]:
    """What every sheet holds, by its name; a filled one that the workbook does not list goes by the name of its part.

    InputError for a cell that would be misread, with its sheet and place, and for more than fits into the memory. ValueError
    for what is damaged. Every part is read to its end, which checks it.
    """
    with zipfile.ZipFile(file) as archive:
        parts = _parts(archive, refuse)
        (names, hidden), room = _names(archive, parts), Room(refuse)
        displays = read_displays(archive, parts[_STYLES]) if _STYLES in parts else {}
        strings = _Strings(room)
        if _STRINGS in parts:
            strings.read(archive, parts.pop(_STRINGS))
        found = {}
        for lower, part in parts.items():
            if lower in names or (lower.startswith("xl/") and lower.endswith(".xml")):
                sheet = Sheet(names.get(lower, part), strings.lengths, displays, room)
                sheet.read(archive, part)
                if sheet.cells and lower in hidden:
                    what = f'its sheet "{sheet.name}" is hidden and holds rows'
                    raise refuse("BAD_CONTAINER", what, f"Show it, or delete it. {ANEW}")
                if sheet.cells or lower in names:
                    found[sheet.name] = sheet.cells
            else:
                with archive.open(part) as content:
                    markup.read_through(content)
        return found


def _parts(archive: zipfile.ZipFile, refuse: Refuse) -> dict[str, str]:
    """Names of the parts by themselves in small letters: whoever reads a workbook takes both for the same."""
    parts = {name.lower(): name for name in archive.namelist()}
    if len(parts) < len(archive.namelist()):
        raise ValueError("a part of it is there twice")
    if "xl/workbook.bin" in parts:
        raise refuse("BAD_CONTAINER", "the cells of a binary workbook (.xlsb) cannot be checked", "Save it as .xlsx")
    for name in (_BOOK, _LINKS, _STYLES):
        if name in parts and archive.getinfo(parts[name]).file_size > _MAX_HELD_BYTES:
            raise refuse("BAD_CONTAINER", f"its part {parts[name]} is too large", AS_CSV)
    return parts


def _names(archive: zipfile.ZipFile, parts: Mapping[str, str]) -> tuple[dict[str, str], set[str]]:
    """Names of the sheets by their parts, in small letters; and the parts of those that are hidden."""
    links = {}
    sheets = []

    def link(tag: str, attributes: dict[str, str]) -> None:
        if markup.local(tag) == "Relationship":
            links[attributes.get("Id", "")] = attributes.get("Target", "")

    def sheet(tag: str, attributes: dict[str, str]) -> None:
        if markup.local(tag) == "sheet":
            number = next((value for key, value in attributes.items() if markup.local(key) == "id"), "")
            sheets.append((attributes.get("name", ""), number, attributes.get("state", "visible") != "visible"))

    for name, handle in ((_LINKS, link), (_BOOK, sheet)):
        if name not in parts:
            raise ValueError(f"{name} is missing")
        parser = markup.parser()
        parser.StartElementHandler = handle
        with archive.open(parts[name]) as content:
            markup.parse(parser, content)
    places = ["xl/" + links.get(number, "").removeprefix("/").removeprefix("xl/").lower() for _, number, _ in sheets]
    names = {place: name for place, (name, _, _) in zip(places, sheets, strict=True)}
    if len(names) < len(sheets) or len(set(names.values())) < len(sheets):
        raise ValueError("two sheets are the same, or have the same name")
    return names, {place for place, (_, _, is_hidden) in zip(places, sheets, strict=True) if is_hidden}


class _Strings:
    """The texts that cells share: how long each of them is."""

    def __init__(self, room: Room) -> None:
        #: of each text, by its number
        self.lengths = array("I")
        self._room = room
        self._length = self._depth = 0
        self._is_text = self._is_phonetic = False

    def read(self, archive: zipfile.ZipFile, part: str) -> None:
        parser = markup.parser()
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._add
        with archive.open(part) as content:
            markup.parse(parser, content)

    def _start(self, tag: str, _: dict[str, str]) -> None:
        name = markup.local(tag)
        self._depth += 1
        if self._depth > markup.MAX_DEPTH:
            raise markup.TooDeep
        if name == "si":
            self._length = 0
        elif name == "rPh":
            self._is_phonetic = True
        elif name == "t":
            self._is_text = not self._is_phonetic

    def _add(self, text: str) -> None:
        if self._is_text:
            self._length += len(text)
            self._room.add_text(len(text))

    def _end(self, tag: str) -> None:
        name = markup.local(tag)
        self._depth -= 1
        if name == "si":
            self.lengths.append(self._length)
            if len(self.lengths) > MAX_STRINGS:
                what = f"its cells share more than {MAX_STRINGS:,} texts"
                raise self._room.refuse("BAD_CONTAINER", what, AS_CSV)
        elif name == "rPh":
            self._is_phonetic = False
        elif name == "t":
            self._is_text = False
