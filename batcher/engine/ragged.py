"""Lines of a CSV file with more or fewer cells than its header: which are rows all the same, and why the others are none."""

from __future__ import annotations

import csv
from contextlib import suppress

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from batcher.delimited import MAX_MALFORMED_TEXT
from batcher.part import Batch
from batcher.tn import REASON, Rules, is_not_data, parse

_NUMBER = Rules(relax=frozenset({"extensions"}))

#: What may be no data, seen from afar: a comment, a total, a count.
_NOT_DATA = r"(?i)^\s*(?:--|#|(?:grand )?(?:sub)?total|\(?[0-9,]+ (?:row|record|line))"


def whole(batch: Batch, delimiter: str) -> Batch:
    """Ragged rows of a file whose first column is the TN's are rows: nothing can have shifted it.

    In a short one another cell follows the TN, so that it was not cut off. A long one is no list of numbers; nothing else
    of it is kept.
    """
    names = batch.frame.schema.names
    found: dict[int, list[str]] = {}
    for row in np.flatnonzero(batch.malformed).tolist():
        line = batch.frame.column(0)[row].as_py()
        with suppress(csv.Error):
            cells = next(csv.reader([line], delimiter=delimiter), [])
            if len(line) == MAX_MALFORMED_TEXT:
                continue
            if 1 < len(cells) < len(names):
                found[row] = cells + [""] * (len(names) - len(cells))
            elif len(cells) > len(names) > 1 and not parse(cells[1], _NUMBER).tn:
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


def why_ragged(lines: pa.Array) -> NDArray[np.uint8]:
    """Why each of these lines is no row: it is none of the data, or ragged."""
    reasons = np.full(len(lines), REASON["ROW_MALFORMED"], np.uint8)
    for place in np.flatnonzero(pc.match_substring_regex(lines, _NOT_DATA)):
        if is_not_data(lines[place].as_py()):
            reasons[place] = REASON["NOT_DATA"]
    return reasons
