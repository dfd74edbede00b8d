"""Where each row stands, a window of rows at a time: what was decided here, overlaid by what the carrier said.

Windows are the batches of the input. Chunks keep input order, so a sweep needs only the few that reach into
the window; their outcomes are read from the ledger once.
"""

from __future__ import annotations

import heapq
from collections import UserList
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from batcher.carrier.settle import NO_ROW, Settlement, unpack_settlement
from batcher.engine.duplicates import CONFLICT
from batcher.engine.folder import RunFolder
from batcher.ledger import ACCEPTED, READY, REFUSED, RETIRED, SETTLED, Head, Ledger
from batcher.model import DUPLICATE, PENDING, REJECTED, SKIPPED, SUCCEEDED, UNKNOWN
from batcher.spool import read_fixed

_T = TypeVar("_T")

#: `why` of a row that is not sent because it sets nothing.
NOTHING_SET = 64
#: `why` of a row whose binding n holds a value the carrier would refuse is this + n.
BAD_VALUE = 128
MAX_BINDINGS = 256 - BAD_VALUE


class Interned(UserList[_T]):
    """Values by number, each once; 0 is the one that stands for nothing."""

    def __init__(self, nothing: _T) -> None:
        super().__init__([nothing])
        self._numbers = {nothing: 0}

    def number(self, value: _T) -> int:
        number = self._numbers.setdefault(value, len(self))
        if number == len(self):
            self.append(value)
        return number


@dataclass
class Window:
    """Consecutive rows and where they stand. Arrays have one entry per row."""

    #: number of the first row
    first: int
    tn: NDArray[np.int64]
    same: NDArray[np.int64]
    #: why it stopped here: a reason of tn.REASONS, NOTHING_SET, or BAD_VALUE + binding
    why: NDArray[np.uint8]
    #: index into model.STATUSES
    status: NDArray[np.uint8]
    #: number of the step where the row stands
    step: NDArray[np.uint8]
    #: index into `messages`
    message: NDArray[np.int32]
    #: index into `orders`
    order: NDArray[np.int32]
    #: (code, text)
    messages: Interned[tuple[str, str]] = field(default_factory=lambda: Interned(("", "")))
    orders: Interned[str] = field(default_factory=lambda: Interned(""))
    #: (row or 0, TN or 0, code, text, order id, step), by row
    warnings: list[tuple[int, int, str, str, str, int]] = field(default_factory=list)
    #: (row, values), by row
    products: list[tuple[int, Sequence[str]]] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.tn)


def windows(ledger: Ledger, folder: RunFolder, sizes: Sequence[int]) -> Iterator[Window]:
    """Every row's standing, in input order; `sizes` are the rows of each batch of the input."""
    steps = ledger.steps()
    sweeps = [_Sweep(ledger, step["number"]) for step in steps]
    last_planned = max((step["number"] for step in steps if step["planned"] is not None), default=0)
    retired = ledger.run()["retired"]
    start = 0
    for size in sizes:
        window = _decided_here(folder, start, size)
        for sweep in sweeps:
            sweep.lay_over(window, stale=_STALE if sweep.step == last_planned else _STALE_BEFORE)
            if sweep.step < len(sweeps):
                _pass_on(window, folder, sweep.step + 1)
        if retired:
            # Rows that no chunk holds yet (of a step that was never planned) retire with the run.
            unsaid = (window.status == PENDING) & (window.message == 0)
            window.message[unsaid] = window.messages.number((retired, _RETIRED_TEXT[retired]))
        window.warnings.sort(key=itemgetter(0))
        window.products.sort(key=itemgetter(0))
        yield window
        start += size


def _decided_here(folder: RunFolder, start: int, size: int) -> Window:
    tn = read_fixed(folder.tn, "<i8", start, size)
    same = read_fixed(folder.same, "<i8", start, size)
    why = read_fixed(folder.why(1), "u1", start, size).copy()
    status = np.full(size, PENDING, np.uint8)
    status[why != 0] = REJECTED
    status[why == NOTHING_SET] = SKIPPED
    status[same > 0] = DUPLICATE
    status[same == CONFLICT] = REJECTED
    zeros = np.zeros(size, np.int32)
    return Window(start + 1, tn, same, why, status, np.ones(size, np.uint8), zeros, zeros.copy())


def _pass_on(window: Window, folder: RunFolder, step: int) -> None:
    """Rows that succeeded go on to the next step; some set nothing there."""
    going = window.status == SUCCEEDED
    why = read_fixed(folder.why(step), "u1", window.first - 1, len(window))
    window.status[going], window.step[going], window.message[going], window.order[going] = PENDING, step, 0, 0
    idle = going & (why == NOTHING_SET)
    window.status[idle], window.why[idle] = SKIPPED, NOTHING_SET


_RETIRED_TEXT = {"SUPERSEDED": "not sent: the input or the job changed, and a newer run took its place"}
_STALE = "not sent: older than limits.max_age; run with --stale to send it all the same"
_STALE_BEFORE = "not sent: older than limits.max_age, and a later step went on without it; run with --again"
_OPEN_TEXT = {
    ACCEPTED: "the carrier has not finished the order",
    "SENDING": "sent, and the answer is not known yet",
    "UNKNOWN": "sent, and its fate is not known yet",
    "PARKED": "its fate is not known; see batcher resolve",
}


@dataclass(slots=True)
class _Open:
    """A chunk that reaches into the sweep: per position, where its row stands."""

    head: Head
    rows: NDArray[np.int64]
    tns: NDArray[np.int64]
    settlement: Settlement


class _Sweep:
    """The chunks of one step, in order of their rows."""

    def __init__(self, ledger: Ledger, step: int) -> None:
        self.step = step
        self._ledger = ledger
        self._heads = ledger.heads(step)
        self._next = next(self._heads, None)
        #: by number: of two chunks with the same row, the later one (a refused chunk's child) says more
        self._open: list[tuple[int, _Open]] = []

    def lay_over(self, window: Window, *, stale: str) -> None:
        """`stale` says in words what became of chunks that are retired as STALE."""
        last = window.first + len(window) - 1
        while self._next is not None and self._next.first_row <= last:
            heapq.heappush(self._open, (self._next.number, self._read(self._next.number)))
            self._next = next(self._heads, None)
        for _, chunk in sorted(self._open, key=itemgetter(0)):
            _lay_chunk(window, chunk, stale)
        self._open = [entry for entry in self._open if entry[1].head.last_row > last]

    def _read(self, number: int) -> _Open:
        head, chunk, _ = self._ledger.chunk(number)
        settled = head.state in {SETTLED, REFUSED}
        return _Open(head, chunk.rows, chunk.tns, unpack_settlement(self._ledger.issues(number) if settled else None))


def _lay_chunk(window: Window, chunk: _Open, stale: str) -> None:
    begin, end = np.searchsorted(chunk.rows, [window.first, window.first + len(window)])
    if begin == end:
        return
    head, settlement = chunk.head, chunk.settlement
    at = chunk.rows[begin:end] - window.first
    order = window.orders.number(head.order_id or "")
    status, message = _standing(window, head, stale)
    window.status[at], window.message[at], window.order[at] = status, message, order
    inside = (settlement.position >= begin) & (settlement.position < end)
    if inside.any():
        used, which = np.unique(settlement.message[inside], return_inverse=True)
        said = [settlement.messages[number] for number in used]
        statuses = np.array([status for status, _, _ in said], np.uint8)
        numbers = np.array([window.messages.number((code, text)) for _, code, text in said], np.int32)
        place = chunk.rows[settlement.position[inside]] - window.first
        window.status[place], window.message[place] = statuses[which], numbers[which]
    for position, tn, code, text in settlement.warnings:
        if (position == NO_ROW and begin == 0) or begin <= position < end:
            row = 0 if position == NO_ROW else int(chunk.rows[position])
            whose = tn or (0 if position == NO_ROW else int(chunk.tns[position]))
            window.warnings.append((row, whose, code, text, head.order_id or "", head.step))
    window.products += [
        (int(chunk.rows[position]), values) for position, values in settlement.products if begin <= position < end
    ]


def _standing(window: Window, head: Head, stale: str) -> tuple[int, int]:
    """(status, message) of the rows of a chunk that its settlement does not name."""
    if head.state == SETTLED:
        return SUCCEEDED, 0
    if head.state in {READY, REFUSED}:
        return PENDING, 0
    if head.state == RETIRED:
        text = stale if head.why == "STALE" else _RETIRED_TEXT.get(head.why or "", "")
        return PENDING, window.messages.number((head.why or "", text))
    text = (
        f"{_OPEN_TEXT[head.state]} ({head.status})"
        if head.state == ACCEPTED and head.status
        else _OPEN_TEXT[head.state]
    )
    return UNKNOWN, window.messages.number((head.state, text))
