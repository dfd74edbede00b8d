"""Rows whose TN is none because they are none themselves: totals and comments whose words stand in front of the TN's column."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from batcher.tn import REASON, is_not_data

#: What the TN's own cell of such a row is refused for: it is blank, a count, or a word.
_REFUSED = [REASON[code] for code in ("EMPTY", "TOO_SHORT", "LETTERS", "NOT_A_NUMBER")]
#: How such a row may begin; whether it does, `is_not_data` says.
_BEGINNING = r"(?i)^[\s\"'=]*(?:--|#|(?:grand )?(?:sub)?total\b|\(?[0-9,]{1,9} (?:row|record|line)s?\b)"


def are_totals(frame: pa.RecordBatch, tn_column: str, reasons: NDArray[np.integer]) -> NDArray[np.intp]:
    """Rows, among those with such a reason, whose first cell that is not blank says that they are a total or a comment."""
    place = frame.schema.names.index(tn_column)
    rows = np.flatnonzero(np.isin(reasons, _REFUSED))
    if not place or not rows.size:
        return rows[:0]
    taken = pa.array(rows)
    # The first of the columns in front of the TN's: only where all before it are blank, the next one counts.
    cells = frame.column(place - 1).take(taken)
    for column in reversed(frame.columns[: place - 1]):
        before = column.take(taken)
        cells = pc.if_else(pc.equal(pc.utf8_trim_whitespace(before), ""), cells, before)
    found = np.flatnonzero(pc.match_substring_regex(cells, _BEGINNING).to_numpy(zero_copy_only=False))
    return rows[[row for row in found.tolist() if is_not_data(cells[row].as_py())]]
