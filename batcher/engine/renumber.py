"""What becomes of each row of a file whose telephone numbers are written in another form: refused, written, or several.

Knows rows and rules; files are `rewrite`'s business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from batcher import tn
from batcher.cell import visible
from batcher.engine.ragged import why_ragged
from batcher.engine.totals import are_totals
from batcher.normalize import normalize
from batcher.numbering import abroad, of_npa
from batcher.part import Batch
from batcher.spool import BATCH_ROWS

#: API version that writes numbers in that form.
FORMS = {"e164": "v2", "ten-digit": "v1"}
#: What a row may become several of.
EXPANDING = {"ranges": "TN_RANGE", "lists": "MULTIPLE_TNS"}
EXPANDED = {
    "TN_RANGE": "A range was written out, one row for each telephone number, as you asked.",
    "MULTIPLE_TNS": "Several telephone numbers stood in the cell: each has a row now, as you asked.",
}


@dataclass(frozen=True)
class Wish:
    """What is wanted of a file."""

    to: Literal["e164", "ten-digit"]
    #: column of the TN; found by its header when left out
    column: str | None = None
    #: further columns of TNs, whose cells may be empty
    also: tuple[str, ...] = ()
    strict: bool = False
    #: names of tn.Rules.relax and of EXPANDING
    relax: frozenset[str] = frozenset()
    known_npas: frozenset[int] = frozenset()

    @property
    def rules(self) -> tn.Rules:
        """How cells are judged."""
        return tn.Rules(FORMS[self.to], self.strict, self.relax - EXPANDING.keys(), self.known_npas)


@dataclass(frozen=True, slots=True)
class Judged:
    """What becomes of a batch; arrays have one entry per row."""

    #: index into tn.REASONS, 0 when it is written; and the column that it is about
    reason: NDArray[np.uint16]
    column: NDArray[np.uint16]
    #: per column: TN, 0 where the cell is empty; and mask of warnings
    tns: list[NDArray[np.int64]]
    warnings: list[NDArray[np.uint16]]
    #: rows that become several, by position
    several: Mapping[int, _Several]


@dataclass(frozen=True, slots=True)
class _Several:
    """The TNs that a cell of more than one holds."""

    #: of the rule that was relaxed
    code: str
    tns: Sequence[int]
    #: index into tn.REASONS when they are refused all the same
    reason: int
    #: mask of warnings of each TN, or of all together
    warnings: Sequence[int]


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows as they are written. Arrays have one entry per row of the output."""

    #: position in the batch; a row that became several stands here so often
    rows: NDArray[np.int64]
    tns: list[NDArray[np.int64]]
    warnings: list[NDArray[np.uint16]]
    #: what became several: the code of the rule that was relaxed, and where
    several: list[tuple[str, slice]]


def judge(batch: Batch, columns: Sequence[str], wish: Wish) -> Judged:
    frames = [_normalized(batch.typed, name, wish.rules) for name in columns]
    reason, column = further = np.zeros((2, len(batch.malformed)), np.uint16)
    for place, frame in reversed(list(enumerate(frames))):
        further = np.array([reason, column])
        refused = frame["reason"].to_numpy()
        bad = (refused != 0) & ((refused != tn.REASON["EMPTY"]) | (place == 0))
        reason[bad], column[bad] = refused[bad], place
    reason[are_totals(batch.frame, columns[0], np.where(column == 0, reason, 0))] = tn.REASON["NOT_DATA"]
    if batch.malformed.any():
        reason[batch.malformed] = why_ragged(batch.frame.column(0).filter(pa.array(batch.malformed)))
        column[batch.malformed] = 0
    several = dict(_several(batch.frame.column(columns[0]), column == 0, reason, wish))
    for row, found in several.items():
        # What was said of the TN no longer counts; what is wrong with the further columns does.
        reason[row], column[row] = (found.reason, 0) if found.reason else further[:, row]
    tns = [frame["tn"].to_numpy() for frame in frames]
    warnings = [frame["warnings"].to_numpy() for frame in frames]
    return Judged(reason, column, tns, warnings, several)


def _normalized(frame: pa.RecordBatch, name: str, rules: tn.Rules) -> pd.DataFrame:
    cells = pa.Table.from_arrays([frame.column(name)], [name])
    return normalize(cells.to_pandas(types_mapper=pd.ArrowDtype)[name], rules)


def _several(
    cells: pa.Array, may_be: NDArray[np.bool_], reason: NDArray[np.uint16], wish: Wish
) -> Iterator[tuple[int, _Several]]:
    """(position, TNs) of rows that become several; none of them needs to be guessed."""
    for name in wish.relax & EXPANDING.keys():
        code = EXPANDING[name]
        for row in np.flatnonzero((reason == tn.REASON[code]) & may_be).tolist():
            cell = cells[row].as_py()
            _, cleaned = visible(cell)
            if name == "ranges" and (found := tn.span(cell)):
                # One area code, one exchange: one judgement.
                refused, warnings = tn.structure(found[0], wish.rules, of_npa)
                yield row, _Several(code, found, refused, [warnings | cleaned])
            elif name == "lists" and (parts := tn.split(cell, abroad)):
                listed = [tn.parse(part, wish.rules, international=abroad, numbering=of_npa) for part in parts]
                refused = next((each.reason for each in listed if each.reason), 0)
                yield (
                    row,
                    _Several(code, [each.tn for each in listed], refused, [each.warnings | cleaned for each in listed]),
                )


def pieces(judged: Judged) -> Iterator[Piece]:
    """The rows that are written, BATCH_ROWS at a time or all that one row becomes: ranges make many out of few."""
    going = np.flatnonzero(judged.reason == 0)
    sizes = np.ones(len(going), np.int64)
    several = {row: found for row, found in judged.several.items() if judged.reason[row] == 0}
    sizes[np.searchsorted(going, list(several))] = [len(found.tns) for found in several.values()]
    ends = np.cumsum(sizes)
    start = 0
    while start < len(going):
        before = int(ends[start - 1]) if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + BATCH_ROWS, "right")))
        rows = np.repeat(going[start:stop], sizes[start:stop])
        tns, warnings = [column[rows] for column in judged.tns], [masks[rows] for masks in judged.warnings]
        places = []
        for number in np.flatnonzero(sizes[start:stop] > 1) + start:
            found = several[int(going[number])]
            place = slice(int(ends[number] - sizes[number]) - before, int(ends[number]) - before)
            tns[0][place], warnings[0][place] = found.tns, found.warnings
            places.append((found.code, place))
        yield Piece(rows, tns, warnings, places)
        start = stop
