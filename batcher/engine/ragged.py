"""Lines of a CSV file with more or fewer cells than its header: which are rows all the same, and why the others are none."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain, pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from batcher.part import Batch
from batcher.tn import REASON, is_not_data, parse

#: What a row of a file of rejects was refused for.
CODE_COLUMN = "batcher_code"
#: So many digits in a cell are a number, or what may be the rest of one: 0101 behind 919-555-0100.
_FEW_DIGITS = 3
#: A record that was broken apart has so many pieces at most.
_MOST_PIECES = 3
#: Blanks and what separates cells.
_SAYS_NOTHING = " \t,;|"


def rescued(batches: Iterable[Batch], delimiter: str) -> Iterator[Batch]:
    """Ragged rows of a file whose first column is the TN's are rows: nothing can have shifted it.

    In a short one another cell follows the TN, so that it was not cut off; not where the columns are parted by tabs, for
    whoever trims lines takes them off the front, and not where it and its neighbours may be pieces of one record. In a long
    one nothing but the TN may be a number; nothing else of it is kept.
    """
    edge = _MOST_PIECES - 1
    before = behind = np.zeros(edge, np.int64)
    for batch, following in pairwise(chain(batches, [None])):
        assert batch is not None
        lines = _lines(batch.frame, batch.malformed, delimiter)
        if following is not None:
            behind = _counts(_lines(following.frame, following.malformed[:edge], delimiter), edge)
        own = _counts(lines, len(batch.malformed))
        own[_trimmed(lines, batch.frame.num_columns)] = 0
        counts = np.concatenate([before, own, behind])
        are_pieces = _are_pieces(counts, batch.frame.num_columns)[edge:-edge]
        yield _rescued(batch, delimiter, {row: cells for row, cells in lines.items() if not are_pieces[row]})
        before, behind = counts[-2 * edge : -edge], np.zeros(edge, np.int64)


def _lines(frame: pa.RecordBatch, malformed: NDArray[np.bool_], delimiter: str) -> dict[int, list[str]]:
    """The cells of ragged rows, by row."""
    found = {}
    for row in np.flatnonzero(malformed).tolist():
        with suppress(csv.Error):
            found[row] = next(csv.reader([frame.column(0)[row].as_py()], delimiter=delimiter), [])
    return found


def _counts(lines: Mapping[int, list[str]], rows: int) -> NDArray[np.int64]:
    """How many cells each of the first rows has that is ragged; 0 for the others."""
    counts = np.zeros(rows, np.int64)
    for row, cells in lines.items():
        counts[row] = len(cells)
    return counts


def _trimmed(lines: Mapping[int, list[str]], columns: int) -> list[int]:
    """Short rows of which many follow one another, each with a TN in front: whoever wrote them left empty cells out."""
    found: list[int] = []
    together: list[int] = []
    for row in [*lines, -1]:
        if together and row != together[-1] + 1:
            found += together if len(together) > _MOST_PIECES else []
            together = []
        if row >= 0 and len(lines[row]) < columns and parse(lines[row][0] if lines[row] else "").tn:
            together.append(row)
    return found


def _are_pieces(counts: NDArray[np.int64], columns: int) -> NDArray[np.bool_]:
    """Which rows have, with their neighbours, as many cells as one record that line ends in a cell broke apart."""
    are_pieces = np.zeros(len(counts), bool)
    is_short = (counts > 0) & (counts < columns)
    for number in range(2, _MOST_PIECES + 1):
        together = sliding_window_view(counts, number).sum(axis=1) - (number - 1) == columns
        together &= sliding_window_view(is_short, number).all(axis=1)
        for place in range(number):
            are_pieces[place : len(counts) - number + 1 + place] |= together
    return are_pieces


def _rescued(batch: Batch, delimiter: str, lines: Mapping[int, list[str]]) -> Batch:
    names = batch.frame.schema.names
    found: dict[int, list[str]] = {}
    for row, cells in lines.items():
        if 1 < len(cells) < len(names) and delimiter != "\t":
            found[row] = cells + [""] * (len(names) - len(cells))
        elif len(cells) > len(names) > 1 and not any(map(_may_be_number, cells[1:])):
            found[row] = cells[:1] + [""] * (len(names) - 1)
    if not found:
        return batch
    malformed = batch.malformed.copy()
    malformed[list(found)] = False
    mask = pa.array(batch.malformed & ~malformed)
    columns = [
        pc.replace_with_mask(column, mask, pa.array([cells[number] for cells in found.values()], pa.string()))
        for number, column in enumerate(batch.frame.columns)
    ]
    frame = pa.RecordBatch.from_arrays(columns, names)
    return Batch(frame, malformed, frame)


def unmended(batch: Batch, delimiter: str) -> Batch:
    """Ragged rows of a file of rejects that nobody has mended are ragged still: each stands whole in its first cell."""
    names = batch.frame.schema.names
    if CODE_COLUMN not in names:
        return batch
    ragged = pc.equal(batch.frame.column(CODE_COLUMN), "ROW_MALFORMED")
    if not ragged.true_count:
        return batch
    others = [column for name, column in zip(names[1:], batch.frame.columns[1:], strict=True) if not is_ours(name)]
    for column in others:
        ragged = pc.and_(ragged, pc.equal(column, ""))
    if not others:
        # Of a single column, nothing else tells.
        ragged = pc.and_(ragged, pc.match_substring(batch.frame.column(0), delimiter))
    return Batch(batch.frame, batch.malformed | ragged.to_numpy(zero_copy_only=False), batch.typed)


def is_ours(name: str) -> bool:
    """Whether a column is one that we wrote into a file of rejects."""
    return name.lower().startswith("batcher_")


def _may_be_number(cell: str) -> bool:
    """Whatever may be dialled, whole, in part or in letters."""
    return sum(map(str.isdigit, cell)) >= _FEW_DIGITS or cell.strip().isdigit()


def why_ragged(lines: pa.Array) -> NDArray[np.uint8]:
    """Why each of these lines is no row: nothing stands in it, it is none of the data, or ragged."""
    return np.fromiter((REASON[_why(line)] for line in lines.to_pylist()), np.uint8, len(lines))


def _why(line: str) -> str:
    if not line.strip(_SAYS_NOTHING):
        return "EMPTY"
    return "NOT_DATA" if is_not_data(line) else "ROW_MALFORMED"
