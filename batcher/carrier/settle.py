"""What an answer means for each row of a chunk, and the blob in which the ledger keeps it.

Only what is not plain success is kept. Rows are settled only by TNs that were in the chunk; success is what
was asked for less what was named in an error (`COMPLETE` and `PARTIAL`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import starmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batcher.blob import pack, unpack
from batcher.model import FAILED, SKIPPED, SUCCEEDED, UNKNOWN, Chunk, Issue, Product, Reading

#: Position of an issue that concerns the order as a whole, or a TN that is not ours.
NO_ROW = -1


@dataclass(frozen=True, slots=True)
class Settlement:
    """The outcome of one chunk. Positions index the chunk's rows."""

    #: rows that did not simply succeed: position, and which of `messages` says why
    position: NDArray[np.int32]
    message: NDArray[np.int32]
    #: (status as in model.STATUSES, code, text)
    messages: Sequence[tuple[int, str, str]]
    #: (position or NO_ROW, TN or 0, code, text)
    warnings: Sequence[tuple[int, int, str, str]] = ()
    #: (position, values in the operation's columns)
    products: Sequence[tuple[int, Sequence[str]]] = ()

    def packed(self) -> bytes | None:
        """The blob for the ledger; None when every row simply succeeded and nothing was said."""
        if not (len(self.position) or self.warnings or self.products):
            return None
        fields = {"messages": self.messages, "warnings": self.warnings, "products": self.products}
        return pack(fields, {"position": self.position, "message": self.message})


def unpack_settlement(blob: bytes | None) -> Settlement:
    if blob is None:
        return Settlement(_NONE, _NONE, ())
    fields, arrays = unpack(blob)
    if "early" in fields:  # the order is still open
        return Settlement(_NONE, _NONE, ())
    messages = [tuple(message) for message in fields["messages"]]
    return Settlement(arrays["position"], arrays["message"], messages, fields["warnings"], fields["products"])


def pack_early(issues: Sequence[Issue]) -> bytes | None:
    """Errors that came with the acceptance, kept until the order settles; None when there are none."""
    errors = [tuple(issue) for issue in issues if issue.kind == "error"]
    return pack({"early": errors}, {}) if errors else None


def unpack_early(blob: bytes | None) -> list[Issue]:
    return [] if blob is None else list(starmap(Issue, unpack(blob)[0].get("early", ())))


def settle(chunk: Chunk, reading: Reading, *, earlier: Sequence[Issue] = ()) -> Settlement:
    """Settle every row of a chunk by the carrier's last word on its order.

    `earlier` are errors that came with the acceptance. COMPLETE, PARTIAL: who is not named succeeded; PARTIAL
    with an error that names nobody, or with none, leaves the other rows unknown; any other terminal status fails
    the rows it does not name with the order's own text.
    """
    status = (reading.status or "").upper()
    named, messages, warnings = _name(chunk, [*earlier, *reading.issues])
    whole = [issue for issue in (*reading.issues, *earlier) if issue.kind == "error" and not issue.tn]
    default = None
    if status == "PARTIAL" and whole:
        default = (UNKNOWN, whole[0].code, f"the order is PARTIAL, with an error that names no TN: {whole[0].text}")
    elif status not in {"COMPLETE", "PARTIAL"}:
        text = f"the order ended as {status}"
        default = (FAILED, whole[0].code, whole[0].text) if whole else (FAILED, status, text)
    else:
        # An error that names nobody fails nobody here, but somebody should know.
        warnings += dict.fromkeys((NO_ROW, 0, issue.code, issue.text) for issue in whole)
    if status == "PARTIAL" and not len(named[0]):
        default = (UNKNOWN, "PARTIAL", "the order is PARTIAL and names no telephone number")
    elif status == "COMPLETE" and len(named[0]):
        warnings.append((NO_ROW, 0, "COMPLETE", "the order is COMPLETE and yet names failed telephone numbers"))
    position, message = named if default is None else _fill(len(chunk.rows), *named, default, messages)
    return Settlement(position, message, messages, warnings)


def settle_answer(chunk: Chunk, reading: Reading) -> Settlement:
    """Settle every row of a chunk by the answer to a check or a question.

    A row succeeded when the answer speaks of it; it fails with its error, with an error that names nobody, or because
    nothing was said.
    """
    (position, message), messages, warnings = _name(chunk, reading.issues)
    whole = next((issue for issue in reading.issues if issue.kind == "error" and not issue.tn), None)
    products = _products(chunk, reading.products)
    unsaid = np.ones(len(chunk.rows), bool)
    unsaid[position] = False
    unsaid[[place for place, _ in products]] = False
    rest = np.flatnonzero(unsaid).astype(np.int32)
    if len(rest):
        position = np.concatenate([position, rest])
        message = np.concatenate([message, np.full(len(rest), len(messages), np.int32)])
        said = (whole.code, whole.text) if whole else ("", "the carrier's answer does not speak of this TN")
        messages.append((FAILED, *said))
    kept = [(place, values) for place, values in products if values]
    return Settlement(position, message, messages, warnings, kept)


def refuse(chunk: Chunk, issues: Sequence[Issue], *, named_only: bool) -> Settlement:
    """Settle a refused chunk: the rows named, or all of them with the refusal's own code and text."""
    named, messages, warnings = _name(chunk, issues)
    if named_only:
        return Settlement(*named, messages, warnings)
    whole = next((issue for issue in issues if not issue.tn), issues[0])
    return Settlement(*_fill(len(chunk.rows), *named, (FAILED, whole.code, whole.text), messages), messages)


def uniform(chunk: Chunk, status: int, code: str, text: str) -> Settlement:
    """All rows of the chunk end the same way (SUCCEEDED says nothing more)."""
    if status == SUCCEEDED:
        return Settlement(_NONE, _NONE, ())
    assert status in {FAILED, SKIPPED, UNKNOWN}
    count = len(chunk.rows)
    return Settlement(np.arange(count, dtype=np.int32), np.zeros(count, np.int32), [(status, code, text)])


def named_positions(chunk: Chunk, issues: Iterable[Issue]) -> NDArray[np.int64]:
    """Positions of the chunk's rows that errors name, ascending."""
    tns = np.array([issue.tn for issue in issues if issue.kind == "error" and issue.tn], dtype=np.int64)
    found = _positions(chunk, tns)
    return np.unique(found[found != NO_ROW])


_NONE = np.zeros(0, np.int32)


def _positions(chunk: Chunk, tns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where each TN stands in the chunk; NO_ROW for a TN that is not in it (or 0)."""
    order = np.argsort(chunk.tns, kind="stable")
    place = np.minimum(np.searchsorted(chunk.tns, tns, sorter=order), len(order) - 1)
    found = order[place]
    return np.where((chunk.tns[found] == tns) & (tns != 0), found, NO_ROW)


def _name(
    chunk: Chunk, issues: Sequence[Issue]
) -> tuple[tuple[NDArray[np.int32], NDArray[np.int32]], list[tuple[int, str, str]], list[tuple[int, int, str, str]]]:
    """(positions, message numbers) of named rows, the messages, and what is only a warning."""
    positions = _positions(chunk, np.array([issue.tn for issue in issues], dtype=np.int64)).tolist()
    numbers: dict[tuple[int, str, str], int] = {}
    named: dict[int, int] = {}
    warnings: list[tuple[int, int, str, str]] = []
    # What came with the acceptance mostly comes again in the end: said twice, it is one thing.
    for position, issue in dict.fromkeys(zip(positions, issues, strict=True)):
        if issue.kind == "error" and position != NO_ROW and position not in named:
            named[position] = numbers.setdefault((FAILED, issue.code, issue.text), len(numbers))
        elif issue.kind == "warning" or issue.tn:
            # A foreign TN, or a second error for the same one: worth telling, but it settles nothing.
            warnings.append((position, issue.tn, issue.code, issue.text))
    pair = (np.fromiter(named, np.int32, len(named)), np.fromiter(named.values(), np.int32, len(named)))
    return pair, list(numbers), warnings


def _fill(
    count: int,
    position: NDArray[np.int32],
    message: NDArray[np.int32],
    default: tuple[int, str, str],
    messages: list[tuple[int, str, str]],
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    filled = np.full(count, len(messages), np.int32)
    filled[position] = message
    messages.append(default)
    return np.arange(count, dtype=np.int32), filled


def _products(chunk: Chunk, products: Sequence[Product]) -> list[tuple[int, Sequence[str]]]:
    found = _positions(chunk, np.array([product.tn for product in products], dtype=np.int64)).tolist()
    return [(position, product.values) for position, product in zip(found, products, strict=True) if position != NO_ROW]


def halves(chunk: Chunk) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The positions of a chunk's rows in two parts of about the same size; what one group sets stays together if it can."""
    count = len(chunk.rows)
    if len(chunk.groups) == 1:
        return np.arange(count // 2), np.arange(count // 2, count)
    ends = np.cumsum(np.bincount(chunk.group, minlength=len(chunk.groups)))
    last = int(np.argmin(np.abs(ends[:-1] - count / 2)))
    return np.flatnonzero(chunk.group <= last), np.flatnonzero(chunk.group > last)


def split(chunk: Chunk, keep: NDArray[np.int64]) -> dict[str, Any]:
    """The rows at these positions as the fields and arrays of a chunk of their own."""
    used, group = np.unique(chunk.group[keep], return_inverse=True)
    return {
        "rows": chunk.rows[keep],
        "tns": chunk.tns[keep],
        "envelope": chunk.envelope,
        "groups": tuple(chunk.groups[index] for index in used),
        "group": group,
    }
