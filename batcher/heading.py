"""Lines below the header of a CSV file that are the header of another one: what follows them has other columns.

They get there by putting files together. What is below such a line would be read in the wrong columns, so the file is
refused; the same header once more is harmless.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from batcher.cell import HEADINGS, OTHERS, plain_name
from batcher.header import NOTHING

#: A telephone number by its looks, which is no name of a column: nine digits, as no date has, without a letter.
_NUMBER = r"[0-9](?:[\W_]*[0-9]){8}"
_NUMBER_ALONE = rf"^[\W_]*{_NUMBER}[\W_0-9]*$"
#: A word that may be a value too is a name when a number stands below it, so many rows below at most.
_ROWS_BELOW = 1_000
#: Cells that say nothing.
_NOTHING_SAID = {
    *("", "na", "nan", "none", "null", "unknown", "tbd", "tba", "blank", "empty", "pending"),
    *("unassigned", "notassigned", "notavailable", "nonumber", "nophone", "vacant", "spare", "disconnected"),
    *("unlisted", "private", "restricted", "reserved", "inactive", "deleted", "ported"),
}
#: A cell with so many is meant for a number, whatever else it holds.
_DIGITS_OF_A_TN = 7
#: In a single column, a heading that stands so near the top has titles above it, or numbers of somebody else.
_TOP_ROWS = 10


@dataclass(frozen=True)
class _Word:
    """A line that is another header if a number stands below one of its words."""

    #: rows, from 0 on in the frame, where it stands
    rows: NDArray[np.intp]
    cells: Sequence[str]
    places: Sequence[int]
    #: the number below has its cell for itself; else it may stand in any text
    alone: bool = False


class Headings:
    """Looks through the frames of one file, in order."""

    def __init__(
        self, columns: Sequence[str], delimiter: str, *, tn_column: str | None = None, is_missing: bool = False
    ) -> None:
        """`tn_column`: by which a row is known, if somebody says so; `is_missing`: the names are ours."""
        self._here = list(map(plain_name, columns))
        self._known = {*self._here, *HEADINGS} - {""}
        self._names = pa.array(sorted(self._known | OTHERS), pa.string())
        named = {plain_name(tn_column)} if tn_column in columns and tn_column is not None else HEADINGS
        self._tn_places = [place for place, name in enumerate(self._here) if name in named]
        self._delimiter, self._is_missing = delimiter, is_missing
        self._rows = 0
        #: words in the last rows of the frames so far; their rows count from the start of the next
        self._words: list[_Word] = []

    def find(self, frame: pa.RecordBatch, malformed: NDArray[np.bool_]) -> tuple[int, list[str]] | None:
        """(row, from 1, and cells) of a line that is another file's header; None where there is none."""
        here = _Frame(frame, malformed, self._delimiter)
        words = list(self._words)
        suspects = self._suspects(here)
        for rows, cells in here.distinct(suspects):
            is_below_titles = not self._rows and suspects[0] < rows[0] < _TOP_ROWS
            verdict = self._judge(cells, is_below_titles=bool(is_below_titles))
            if verdict is True:
                return self._rows + int(rows[0]) + 1, cells
            if verdict:
                # A row of this file without a TN: what is below its words may be remarks.
                is_row = any(place < len(cells) and not cells[place].strip() for place in self._tn_places)
                words.append(_Word(rows, cells, verdict, is_row))
        for word in words:
            if (row := here.first_above_a_number(word)) is not None:
                return self._rows + row + 1, list(word.cells)
        self._rows += frame.num_rows
        kept = [(word, word.rows[word.rows + _ROWS_BELOW >= frame.num_rows]) for word in words]
        self._words = [
            _Word(rows - frame.num_rows, word.cells, word.places, word.alone) for word, rows in kept if rows.size
        ]
        return None

    def _suspects(self, here: _Frame) -> NDArray[np.intp]:
        """Rows without a number in which a cell is called like a column, and ragged lines without one."""
        frame = here.frame
        rows: NDArray[np.intp] = np.arange(frame.num_rows)
        for column in frame.columns:
            # Nearly every row has its number in one of the first columns.
            numbers = pc.match_substring_regex(column.take(pa.array(rows)), _NUMBER_ALONE)
            rows = rows[~numbers.to_numpy(zero_copy_only=False)]
        if self._delimiter == NOTHING or not rows.size:
            return rows
        named = here.malformed[rows].copy()
        for column in frame.columns:
            plain = pc.replace_substring_regex(pc.utf8_lower(column.take(pa.array(rows))), r"[^\pL\pN]+", "")
            named |= pc.is_in(plain, self._names).to_numpy(zero_copy_only=False)
        return rows[named]

    def _judge(self, cells: Sequence[str], *, is_below_titles: bool) -> bool | list[int]:
        """Whether a line without a number is another header; the places of the words that make it look so."""
        names = list(map(plain_name, cells))
        if len(names) == 1:
            return self._is_other_column(names[0], is_below_titles=is_below_titles)
        said = [place for place, name in enumerate(names) if name not in _NOTHING_SAID]
        named = [place for place in said if names[place] in self._known]
        moved = [place for place in named if self._here[place : place + 1] != [names[place]]]
        if len(said) < 2 or any(names[place].isdigit() for place in said if place not in named):
            return False
        if any(sum(map(str.isdigit, names[place])) >= _DIGITS_OF_A_TN for place in self._tn_places if place in said):
            return False
        if any(place in said and self._is_others(names[place], names, said) for place in self._tn_places):
            return True
        if not named:
            return False
        if len(named) == len(said):
            # A word in another place may be a value ("TN" is Tennessee), but not the name of another column here.
            return bool(moved) and (any(names[place] not in HEADINGS for place in moved) or moved)
        if moved:
            return moved
        # All other names of this file, each in its own place, beside a strange one for the TN; or a file without any.
        others = len(self._here) - len(self._tn_places)
        return not self._tn_places or (any(place in said for place in self._tn_places) and len(named) >= others)

    def _is_others(self, name: str, names: Sequence[str], said: Sequence[int]) -> bool:
        """Whether a word in the place of the TN says that what is below it is none: alone it may be a remark (`fax`)."""
        if name not in OTHERS or name in self._here:
            return False
        return name != "fax" or any(names[place] in self._known | OTHERS for place in said if names[place] != name)

    def _is_other_column(self, name: str, *, is_below_titles: bool) -> bool:
        """The same for a file of a single column; below titles a heading is the header, and numbers among them are none."""
        if self._here == [name] and not self._is_missing:
            return False
        return name in OTHERS or (name in HEADINGS and is_below_titles)


class _Frame:
    """Rows of one file, some of them ragged lines that stand whole in their first cell."""

    def __init__(self, frame: pa.RecordBatch, malformed: NDArray[np.bool_], delimiter: str) -> None:
        self.frame, self.malformed, self._delimiter = frame, malformed, delimiter
        self._above: dict[tuple[int, str], NDArray[np.intp]] = {}

    def distinct(self, rows: NDArray[np.intp]) -> list[tuple[NDArray[np.intp], list[str]]]:
        """(rows, cells) of each different line among these rows: the same words stand in many of them."""
        if not rows.size:
            return []
        taken = [column.take(pa.array(rows)) for column in self.frame.columns]
        lines = pc.binary_join_element_wise(*taken, NOTHING).dictionary_encode()
        which = lines.indices.to_numpy()
        order = np.argsort(which, kind="stable")
        groups = np.split(rows[order], np.cumsum(np.bincount(which))[:-1])
        return [(group, self._cells(int(group[0]))) for group in groups]

    def _cells(self, row: int) -> list[str]:
        first = self.frame.column(0)[row].as_py()
        if self._delimiter == NOTHING:
            return re.split(r"[,;\t|]", first)
        if self.malformed[row]:
            with suppress(csv.Error):
                return next(csv.reader([first], delimiter=self._delimiter), [])
            return []
        return [column[row].as_py() for column in self.frame.columns]

    def first_above_a_number(self, word: _Word) -> int | None:
        """The first of a line's rows with a number near below one of its words."""
        found = []
        for place in word.places:
            numbers = self._numbers(place, _NUMBER_ALONE if word.alone else _NUMBER)
            after = np.searchsorted(numbers, word.rows, "right")
            is_near = np.append(numbers, np.iinfo(np.intp).max)[after] <= word.rows + _ROWS_BELOW
            found += word.rows[is_near][:1].tolist()
        return min(found, default=None)

    def _numbers(self, place: int, number: str) -> NDArray[np.intp]:
        """Rows in which a number, as the pattern says, stands in this place."""
        if (place, number) not in self._above:
            rows = np.zeros(self.frame.num_rows, bool)
            if place < self.frame.num_columns and self._delimiter != NOTHING:
                rows = pc.match_substring_regex(self.frame.column(place), number).to_numpy(zero_copy_only=False).copy()
            apart = np.ones(len(rows), bool) if self._delimiter == NOTHING else self.malformed
            for row in np.flatnonzero(apart).tolist():
                cell = self._cells(row)[place : place + 1]
                rows[row] = bool(cell) and re.search(number, cell[0]) is not None
            self._above[place, number] = np.flatnonzero(rows)
        return self._above[place, number]
