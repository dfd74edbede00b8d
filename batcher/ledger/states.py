"""The states of a chunk, and every way from one to another: the only place where a chunk's state is written.

A move is compare-and-set: it names the states it starts from (and the attempt that may record an answer), so that
nobody overwrites what somebody else recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import sqlalchemy as sa

from batcher.ledger.tables import CHUNK

READY, SENDING, ACCEPTED, UNKNOWN = "READY", "SENDING", "ACCEPTED", "UNKNOWN"
SETTLED, REFUSED, PARKED, RETIRED = "SETTLED", "REFUSED", "PARKED", "RETIRED"
STATES = (READY, SENDING, ACCEPTED, UNKNOWN, SETTLED, REFUSED, PARKED, RETIRED)
#: A run with a chunk in one of these is not finished.
OPEN_STATES = (READY, SENDING, ACCEPTED, UNKNOWN, PARKED)

#: (from, to) and when. What is not here never happens: `move` refuses it.
TRANSITIONS: Mapping[tuple[str, str], str] = {
    (READY, SENDING): "the intent; no byte leaves before it is committed",
    (READY, SETTLED): "a question was answered, or a record is so already: nothing had to be written",
    (READY, REFUSED): "its sister half was accepted, so the fault is in this one: it goes on as two halves, unsent",
    (READY, RETIRED): "too old, or another run took this one's place",
    (SENDING, READY): "provably not executed (not sent, 429, 401), or harmless to repeat",
    (SENDING, UNKNOWN): "it may have been executed",
    (SENDING, ACCEPTED): "an answer with an order id",
    (SENDING, SETTLED): "an answer that is the result, or a record that reads back as wanted",
    (SENDING, REFUSED): "nothing was created, and the answer says why",
    (UNKNOWN, ACCEPTED): "a look-up found the order",
    (UNKNOWN, SETTLED): "the record reads back as wanted",
    (UNKNOWN, READY): "proven absent, at most twice, or a person says that it was never sent",
    (UNKNOWN, PARKED): "neither found nor proven absent",
    (ACCEPTED, SETTLED): "the order has ended",
    (ACCEPTED, PARKED): "the carrier does not show the order for an hour, or shows another one under its id",
    (PARKED, UNKNOWN): "every start looks again",
    (PARKED, ACCEPTED): "every start asks for its order again, or a person named it",
    (PARKED, READY): "a person says that it was never sent",
    (RETIRED, READY): "--stale sends what had grown too old",
}


@cache
def _moving(was: tuple[str, ...], to: str, *, fenced: bool) -> sa.Update:
    """Compare-and-set of one chunk's state, with or without the attempt as a fence.

    Kept, for SQLAlchemy would make the text of a new one out anew each time; no IN, which is expanded each time.
    """
    here = [CHUNK.c.number == sa.bindparam("_number"), sa.or_(*(CHUNK.c.state == each for each in was))]
    if fenced:
        here.append(CHUNK.c.attempt == sa.bindparam("_fence"))
    moving = sa.update(CHUNK).where(*here)
    return moving.values(attempt=CHUNK.c.attempt + 1) if to == SENDING else moving


def move(
    db: sa.Connection,
    number: int,
    was: tuple[str, ...],
    to: str,
    values: Mapping[str, Any] | None = None,
    *,
    attempt: int | None = None,
) -> None:
    """Move one chunk; AssertionError when it is in none of the states `was`, or `attempt` is not its last.

    Each intent (`to` SENDING) is an attempt of its own.
    """
    _check(was, to)
    fence = {} if attempt is None else {"_fence": attempt}
    moving = _moving(was, to, fenced=bool(fence))
    moved = db.execute(moving, {"_number": number, "state": to, **fence, **(values or {})})
    if moved.rowcount != 1:
        raise AssertionError(f"chunk {number} is not in {'/'.join(was)} (attempt {attempt}): somebody else changed it")


def move_all(
    db: sa.Connection, was: str, to: str, where: sa.ColumnElement[bool], values: Mapping[str, Any] | None = None
) -> int:
    """Move every chunk that is in the state `was` and meets `where`; how many."""
    _check((was,), to)
    return db.execute(
        sa.update(CHUNK).where(CHUNK.c.state == was, where).values({"state": to, **(values or {})})
    ).rowcount


def _check(was: tuple[str, ...], to: str) -> None:
    if strange := [each for each in was if (each, to) not in TRANSITIONS]:
        raise AssertionError(f"a chunk never goes from {strange[0]} to {to}")
