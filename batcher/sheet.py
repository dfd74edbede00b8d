"""One sheet of a workbook, as its XML says it: what whoever reads it would leave out or misread without a word.

That is errors, uncalculated formulas, numbers in several pieces, odd places, rows that nobody sees, and cells that would fill
the memory. Streams, and does not know which number is a date.
"""

from __future__ import annotations

import re
import zipfile
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

from batcher import markup
from batcher.display import Section, changes
from batcher.scan import Refuse

#: All sheets together, each a rectangle from its first cell to its last. Whoever reads a sheet takes some 100 bytes for a cell.
MAX_CELLS = 4_000_000
#: Characters of all cells, where a text that many of them share counts as often as it is used, and of the shared texts.
MAX_TEXT = 256 * 1024 * 1024

#: What whoever reads a sheet knows as an error; it fails at others.
ERRORS = frozenset({"#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!"})

AS_CSV = "Export the sheet as CSV (UTF-8)"
ANEW = "Save the workbook again from a spreadsheet, or the sheet as CSV (UTF-8)"
_PLACE = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")
_MAX_ROWS, _MAX_COLUMNS = 1_048_576, 16_384


@dataclass(slots=True)
class Cells:
    """What stands in a sheet."""

    #: how many cells hold a value that is no error
    count: int = 0
    #: where errors stand, in the order of rows and then of columns; as numbers, for there may be millions
    _places: array[int] = field(default_factory=lambda: array("Q"))
    _errors: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.count or self._errors)

    def errors(self) -> Iterator[tuple[int, int, str]]:
        """Row and column, both counted from 0, and the error as it is written."""
        for place, error in zip(self._places, self._errors, strict=True):
            yield *divmod(place, _MAX_COLUMNS), error

    def add_error(self, row: int, column: int, error: str) -> None:
        self._places.append(row * _MAX_COLUMNS + column)
        self._errors.append(error)


class Room:
    """What all sheets take together."""

    def __init__(self, refuse: Refuse) -> None:
        self.refuse = refuse
        #: cells of the sheets that were read to their ends
        self.cells = 0
        self._text = 0

    def add_text(self, length: int) -> None:
        self._text += length
        if self._text > MAX_TEXT:
            what = f"its cells hold more than {MAX_TEXT // 1024 // 1024} million characters together"
            raise self.refuse("BAD_CONTAINER", what, AS_CSV)


class Sheet:
    """One sheet: its cells in their order, each judged where it ends."""

    def __init__(self, name: str, lengths: array[int], displays: Mapping[int, tuple[Section, ...]], room: Room) -> None:
        self.name = name
        self.cells = Cells()
        self._lengths, self._displays, self._room = lengths, displays, room
        #: None before the first tag
        self._is_sheet: bool | None = None
        self._row = self._column = 0
        #: the rectangle of cells with a value: its first and last row, its first and last column
        self._top = self._bottom = self._left = self._right = 0
        self._is_cell = self._is_hidden = False
        self._depth = 0

    def read(self, archive: zipfile.ZipFile, part: str) -> None:
        """Up to its end, also what turns out to be no sheet."""
        self._parser = parser = markup.parser()
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = self._add
        parser.CommentHandler = parser.StartCdataSectionHandler = self._split
        parser.ProcessingInstructionHandler = self._split
        with archive.open(part) as content:
            markup.parse(parser, content, lambda: self._is_sheet is not False)
            markup.read_through(content)
        self._room.cells += self._area()

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = markup.local(tag)
        self._depth += 1
        if self._depth > markup.MAX_DEPTH:
            raise markup.TooDeep
        if self._is_cell:
            self._start_inside(name)
        elif name == "c":
            self._start_cell(attributes)
        elif name == "row":
            self._row, self._column = self._later(int(attributes.get("r") or self._row + 1), self._row), 0
            self._is_hidden = attributes.get("hidden") in {"1", "true"} or attributes.get("ht") == "0"
        elif self._is_sheet is None:
            self._is_sheet = name == "worksheet"
            if not self._is_sheet:
                self._parser.StartElementHandler = self._parser.EndElementHandler = None

    def _start_cell(self, attributes: dict[str, str]) -> None:
        said = attributes.get("r")
        place = _PLACE.fullmatch(said) if said else None
        if said and (place is None or int(place[2]) != self._row):
            raise self._refusal("BAD_CONTAINER", f"{self.name}!{said} stands in another row than it says", ANEW)
        self._column = self._later(_number(place[1]) if place else self._column + 1, self._column)
        if self._row > _MAX_ROWS or self._column > _MAX_COLUMNS:
            raise self._refusal("BAD_CONTAINER", f"{self._place()} lies outside of any sheet", ANEW)
        self._kind, self._style = attributes.get("t", "n"), attributes.get("s", "0")
        self._is_cell, self._leaf, self._is_phonetic, self._is_split = True, "", False, False
        self._values, self._formulas, self._text, self._length, self._begin = 0, 0, "", 0, -1

    def _start_inside(self, name: str) -> None:
        if self._leaf == "v":
            self._is_split = True
        elif name == "v":
            self._leaf = "v"
            self._values += 1
        elif name == "is":
            self._values += 1
        elif name == "f":
            self._leaf = "f"
            self._formulas += 1
        elif name == "rPh":
            self._is_phonetic = True
        elif name == "t" and not self._is_phonetic:
            self._leaf = "t"

    def _add(self, text: str) -> None:
        if not self._is_cell:
            return
        if self._leaf == "v":
            if self._begin < 0:
                self._begin = self._parser.CurrentByteIndex
            self._text += text
            self._room.add_text(len(text))
        elif self._leaf == "t":
            self._length += len(text)
            self._room.add_text(len(text))

    def _split(self, *_: str) -> None:
        if self._is_cell and self._leaf == "v":
            self._is_split = True

    def _end(self, tag: str) -> None:
        self._depth -= 1
        if not self._is_cell:
            return
        name = markup.local(tag)
        if name == "v":
            # A reference such as &#48; is longer in the file than what it stands for. Whoever reads a number stops there,
            # but not whoever reads the text of a formula.
            if self._text and self._kind != "str":
                self._is_split |= self._parser.CurrentByteIndex - self._begin != len(self._text.encode())
            self._leaf = ""
        elif name in {"f", "t"}:
            self._leaf = ""
        elif name == "rPh":
            self._is_phonetic = False
        elif name == "c":
            self._is_cell = False
            self._judge()

    def _judge(self) -> None:
        if self._is_split or self._values > 1:
            raise self._refusal("BAD_CONTAINER", f"{self._place()} holds a value in several pieces", ANEW)
        # Excel writes t="str" and an empty <v> for a formula whose result is the empty text.
        if self._formulas and not (self._text or self._length or (self._kind == "str" and self._values)):
            what = f"{self._place()} holds a formula that was never calculated"
            raise self._refusal("BAD_CONTAINER", what, f"Open it in a spreadsheet. {ANEW}")
        if self._values and self._is_hidden:
            # Of a filtered list, some mean what they see, and others all of it.
            what = f"{self._place()} stands in a hidden row"
            raise self._refusal("BAD_CONTAINER", what, f"Show all rows (clear the filter), or delete those. {ANEW}")
        if self._displays and self._kind == "n" and self._style.isdigit():
            display = self._displays.get(int(self._style))
            if display is not None and changes(display, self._text):
                what = f"{self._place()} shows digits that its value, {self._text}, does not have"
                raise self._refusal("BAD_CONTAINER", what, f"Write whole numbers, in the format of text. {ANEW}")
        if self._values:
            self._lay_out()
        if self._kind == "e":
            if self._text not in ERRORS:
                what = f'{self._place()} holds the error "{self._text[:20]}", which cannot be read'
                raise self._refusal("BAD_CONTAINER", what, f"Mend it. {ANEW}")
            self.cells.add_error(self._row - 1, self._column - 1, self._text)
        elif self._is_filled():
            self.cells.count += 1

    def _is_filled(self) -> bool:
        if self._kind != "s" or not self._text:
            return bool(self._text) or self._length > 0
        if not (self._text.isascii() and self._text.isdigit() and int(self._text) < len(self._lengths)):
            raise self._refusal("BAD_CONTAINER", f"{self._place()} holds a text that is not there", ANEW)
        length = self._lengths[int(self._text)]
        self._room.add_text(length)
        return length > 0

    def _lay_out(self) -> None:
        """Make room for a cell; an empty one with a value's tags may be given some."""
        if not self._top:
            self._top, self._left = self._row, self._column
        self._bottom = self._row
        self._left, self._right = min(self._left, self._column), max(self._right, self._column)
        if self._room.cells + self._area() > MAX_CELLS:
            what = f"up to {self._place()}, its sheets span more than {MAX_CELLS:,} cells"
            raise self._refusal("BAD_CONTAINER", what, f"Delete what stands far away from the others. {AS_CSV}")

    def _area(self) -> int:
        return (self._bottom - self._top + 1) * (self._right - self._left + 1) if self._top else 0

    def _later(self, now: int, before: int) -> int:
        """A row's or column's number, which follows the one before; of two with the same one would be lost."""
        if now <= before:
            what = f"{self.name}, row {self._row or now}: cells are there twice, or in no order"
            raise self._refusal("BAD_CONTAINER", what, ANEW)
        return now

    def _place(self) -> str:
        return f"{self.name}!{_letters(self._column)}{self._row}"

    @property
    def _refusal(self) -> Refuse:
        return self._room.refuse


@cache
def _number(letters: str) -> int:
    """Number of a column, "A" being the first and "AA" the 27th."""
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - 64
    return number


def _letters(number: int) -> str:
    letters = ""
    while number:
        number, letter = divmod(number - 1, 26)
        letters = chr(65 + letter) + letters
    return letters
