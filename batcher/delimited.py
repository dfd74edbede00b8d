"""Rows of a CSV file as text, none lost and none shifted: what pyarrow's reader needs around it for that.

Reads what `origin` has opened and `scan` has seen.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
from numpy.typing import NDArray

_BLOCK_BYTES = 1024 * 1024
#: How many characters of malformed lines may wait for the next good row; each counts for what holds it besides.
_MOST_WAITING, _EACH = 64 * 1024 * 1024, 100

#: number of a malformed row, from 1, and its line
_Skipped = deque[tuple[int, str]]


class _Bytes(Protocol):
    def read(self, size: int, /) -> bytes: ...


def read_text(
    rows: _Bytes, delimiter: str, columns: Sequence[str]
) -> Iterator[tuple[pa.RecordBatch, NDArray[np.bool_]]]:
    """All rows in order, a block of the file at a time, and which of them are malformed (see `table.Batch`).

    `rows` stands behind the header.
    """
    # pyarrow can only skip a ragged row. Its number counts the rows that are not blank, and says where the row goes
    # back. Blocks are read ahead, so rows of the next block may be waiting already.
    skipped: _Skipped = deque()
    waiting = 0

    def skip(row: pacsv.InvalidRow) -> str:
        nonlocal waiting
        skipped.append((row.number, row.text))
        waiting += len(row.text) + _EACH
        # They wait for the next good row: a file without one would fill the memory.
        return "skip" if waiting < _MOST_WAITING else "error"

    source = _WholeLineEnds(rows)
    if source.is_blank():
        return
    reader = pacsv.open_csv(
        source,
        read_options=pacsv.ReadOptions(use_threads=False, block_size=_BLOCK_BYTES, column_names=list(columns)),
        parse_options=pacsv.ParseOptions(delimiter=delimiter, newlines_in_values=True, invalid_row_handler=skip),
        convert_options=pacsv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()), strings_can_be_null=False
        ),
    )
    start = 1
    for frame in reader:
        woven, malformed = _weave(frame, start, skipped)
        start += woven.num_rows
        waiting = sum(len(text) + _EACH for _, text in skipped)
        yield woven, malformed
    yield _weave(pa.RecordBatch.from_pylist([], reader.schema), start, skipped)


class _WholeLineEnds:
    """A file whose blocks never end between CR and LF: pyarrow drops such an LF, inside quoted cells too."""

    closed = False

    def __init__(self, rows: _Bytes) -> None:
        self._rows = rows
        #: read already, not handed out yet
        self._held = b""

    def is_blank(self) -> bool:
        """Whether there is not a single row: pyarrow calls that an error."""
        while not self._held:
            block = self._rows.read(_BLOCK_BYTES)
            if not block:
                return True
            self._held = block.lstrip(b"\r\n")
        # A byte order mark here is a character of the first cell: pyarrow would drop it from the start.
        self._held = b"\n" + self._held
        return False

    def read(self, size: int) -> bytes:
        block, self._held = self._held[:size], self._held[size:]
        block += self._rows.read(size - len(block)) if len(block) < size else b""
        if block.endswith(b"\r"):
            self._held = self._held or self._rows.read(1)
            if self._held.startswith(b"\n") and len(block) > 1:
                self._held = b"\r" + self._held
                return block[:-1]
        return block


def _weave(frame: pa.RecordBatch, start: int, skipped: _Skipped) -> tuple[pa.RecordBatch, NDArray[np.bool_]]:
    """Put the skipped rows that belong here back into their places; `start` is the number of the first row."""
    places: list[int] = []
    texts: list[str] = []
    while skipped and skipped[0][0] <= start + frame.num_rows + len(places):
        number, text = skipped.popleft()
        places.append(number - start)
        texts.append(text)
    malformed = np.zeros(frame.num_rows + len(places), bool)
    if not places:
        return frame, malformed
    malformed[places] = True
    rows = pa.array(np.cumsum(~malformed) - 1, mask=malformed)
    columns = [column.take(rows).fill_null("") for column in frame.columns]
    columns[0] = pc.replace_with_mask(columns[0], pa.array(malformed), pa.array(texts))
    return pa.RecordBatch.from_arrays(columns, frame.schema.names), malformed
