"""Lines below the header of a CSV file that are the header of another one: what follows them has other columns.

They get there by putting files together. What is below such a line would be read in the wrong columns, so the file is
refused; the same header once more is harmless.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from batcher import tn
from batcher.cell import HEADINGS, plain_name
from batcher.header import NOTHING

#: What no name of a column has: a number.
_NUMBER = "[0-9](?:[^0-9]*[0-9]){3}"
#: For a word that may be a value too, so many rows below it are looked at for a number.
_ROWS_BELOW = 20
#: Cells that say nothing.
_NOTHING_SAID = {"", "na", "nan", "none", "null", "unknown", "tbd"}


class Headings:
    """Looks through the frames of one file, in order."""

    def __init__(self, columns: Sequence[str], delimiter: str) -> None:
        self._here = list(map(plain_name, columns))
        self._known = {*self._here, *HEADINGS} - {""}
        self._names = pa.array(sorted(self._known), pa.string())
        self._delimiter = delimiter
        self._rows = 0
        #: words that are names if a number stands below: (row, its cells, places of the words)
        self._words: list[tuple[int, list[str], list[int]]] = []

    def find(self, frame: pa.RecordBatch, malformed: NDArray[np.bool_]) -> tuple[int, list[str]] | None:
        """(row, from 1, and cells) of the first line that is another file's header; None where there is none."""
        for place in self._suspects(frame, malformed).tolist():
            cells = self._cells(frame, malformed, place)
            verdict = self._judge(cells)
            if verdict is True:
                return self._rows + place + 1, cells
            if verdict:
                self._words.append((self._rows + place, cells, verdict))
        found = next((word for word in self._words if self._stands_above_a_number(word, frame, malformed)), None)
        self._rows += frame.num_rows
        self._words = [word for word in self._words if word[0] + _ROWS_BELOW >= self._rows]
        return None if found is None else (found[0] + 1, found[1])

    def _suspects(self, frame: pa.RecordBatch, malformed: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Rows without a number in which a cell is called like a column, and ragged lines without one."""
        rows: NDArray[np.intp] = np.arange(frame.num_rows)
        for column in frame.columns:
            # Nearly every row has its number in one of the first columns.
            numbers = pc.match_substring_regex(column.take(pa.array(rows)), _NUMBER)
            rows = rows[~numbers.to_numpy(zero_copy_only=False)]
        if self._delimiter == NOTHING or not rows.size:
            return rows
        named = malformed[rows].copy()
        for column in frame.columns:
            plain = pc.replace_substring_regex(pc.utf8_lower(column.take(pa.array(rows))), r"[^\pL\pN]+", "")
            named |= pc.is_in(plain, self._names).to_numpy(zero_copy_only=False)
        return rows[named]

    def _cells(self, frame: pa.RecordBatch, malformed: NDArray[np.bool_], place: int) -> list[str]:
        first = frame.column(0)[place].as_py()
        if self._delimiter == NOTHING:
            return re.split(r"[,;\t|]", first)
        if malformed[place]:
            return next(csv.reader([first], delimiter=self._delimiter), [])
        return [column[place].as_py() for column in frame.columns]

    def _judge(self, cells: Sequence[str]) -> bool | list[int]:
        """Whether a line without a number is another header; the places of the words that make it look so."""
        names = list(map(plain_name, cells))
        said = [place for place, name in enumerate(names) if name not in _NOTHING_SAID]
        named = [place for place in said if names[place] in self._known]
        moved = [place for place in named if self._here[place : place + 1] != [names[place]]]
        if not named or len(said) < 2 or any(map(str.isdigit, names)):
            return False
        if len(named) == len(said):
            return bool(moved)
        # Names of this file beside strange ones; a word in another place may be a value ("TN" is Tennessee).
        return moved or True

    def _stands_above_a_number(
        self, word: tuple[int, list[str], list[int]], frame: pa.RecordBatch, malformed: NDArray[np.bool_]
    ) -> bool:
        row, _, places = word
        below = range(max(row + 1 - self._rows, 0), min(row + 1 + _ROWS_BELOW - self._rows, frame.num_rows))
        lines = [self._cells(frame, malformed, each) for each in below]
        return any(tn.parse(cells[place]).tn for cells in lines for place in places if place < len(cells))
