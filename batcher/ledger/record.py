"""Every change of a run's and a chunk's state, one transaction each, and what is read of them.

Written as compare-and-set: a change names the state (and the attempt) it starts from, so that nobody overwrites
what somebody else recorded.
"""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from batcher.errors import InputError, StorageFailed
from batcher.ledger.file import WRITES, transaction
from batcher.ledger.readings import STALE, Readings
from batcher.ledger.rows import Planned, insert_chunks, scalar
from batcher.ledger.states import (
    ACCEPTED,
    PARKED,
    READY,
    REFUSED,
    RETIRED,
    SENDING,
    SETTLED,
    UNKNOWN,
    move,
    move_all,
)
from batcher.ledger.tables import ATTEMPT, CHUNK, CHUNK_ISSUES, CHUNK_ROWS, EVENT, RUN, STEP

#: A proven absent chunk is sent again at most so often.
MAX_RESENDS = 2

# What is executed for each chunk is made out once: SQLAlchemy knows a statement again by the object.
_NOTE = sa.insert(EVENT)
_KEEP_BEFORE = sa.update(CHUNK_ROWS).where(CHUNK_ROWS.c.chunk == sa.bindparam("_number"))
_ATTEMPT = sa.select(CHUNK.c.attempt).where(CHUNK.c.number == sa.bindparam("_number"))
_OBSERVE = sa.update(CHUNK).where(CHUNK.c.number == sa.bindparam("_number"), CHUNK.c.state == ACCEPTED)
_FORGET_ISSUES = sa.delete(CHUNK_ISSUES).where(CHUNK_ISSUES.c.chunk == sa.bindparam("_number"))
_KEEP_ISSUES = sa.insert(CHUNK_ISSUES)


class Ledger(Readings):
    """A ledger to write in; one call at a time, the others wait."""

    def __init__(self, path: Path, *, check: bool = True) -> None:
        """Open or create the file; it is checked for damage, unless it is only looked at."""
        super().__init__(path, check=check)

    @contextmanager
    def _transaction(self) -> Generator[sa.Connection]:
        if not self.path.exists():
            # SQLite would go on to write into a file that nobody finds again.
            raise StorageFailed(f"{self.path}: the ledger is gone; nothing more is sent.")
        with self._one, self._trouble(), transaction(self._connection, WRITES):
            yield self._connection

    def create_run(
        self,
        run_id: str,
        *,
        digest: str,
        prefix: str,
        facts: Mapping[str, Any],
        steps: Sequence[tuple[str, Mapping[str, Any]]],
    ) -> None:
        """Write down what this run is, before anything of the input is kept."""
        with self._transaction() as db:
            db.execute(
                sa.insert(RUN).values(
                    id=run_id, digest=digest, started=time.time(), prefix=prefix, facts=json.dumps(facts)
                )
            )
            db.execute(
                sa.insert(STEP),
                [
                    {"number": number, "operation": name, "settings": json.dumps(settings)}
                    for number, (name, settings) in enumerate(steps, 1)
                ],
            )

    def judged(self, facts: Mapping[str, Any]) -> None:
        """The whole input was read and every row judged; nothing of it changes from here on."""
        with self._transaction() as db:
            db.execute(sa.update(RUN).values(judged=1, facts=json.dumps(facts)))

    def finish(self, exit_code: int) -> None:
        """No chunk is open: the run ended with this code."""
        with self._transaction() as db:
            db.execute(sa.update(RUN).values(finished=time.time(), exit_code=exit_code))

    def retire_run(self, code: str) -> None:
        """Unsent chunks of the run will not be sent any more; `code` is what their rows say."""
        with self._transaction() as db:
            move_all(db, READY, RETIRED, sa.true(), {"why": code})
            db.execute(sa.update(RUN).values(retired=code))
            db.execute(_NOTE, {"at": time.time(), "chunk": None, "what": "retired", "detail": code})

    def retire_stale(self, before: float) -> int:
        """Retire the unsent chunks of steps planned before that wall-clock time; how many."""
        stale = sa.select(STEP.c.number).where(STEP.c.planned < before)
        with self._transaction() as db:
            return move_all(db, READY, RETIRED, CHUNK.c.step.in_(stale), {"why": "STALE"})

    def retire(self, number: int, code: str) -> None:
        """READY → RETIRED: one chunk that will not be sent any more."""
        with self._transaction() as db:
            move(db, number, (READY,), RETIRED, {"why": code})
            _note(db, number, "retired", {"why": code})

    def revive_stale(self) -> int:
        """RETIRED as STALE → READY, and the run is not finished any more. How many; see `has_stale`."""
        with self._transaction() as db:
            moved = move_all(db, RETIRED, READY, STALE, {"why": None})
            if moved:
                db.execute(sa.update(RUN).values(finished=None, exit_code=None))
                db.execute(_NOTE, {"at": time.time(), "chunk": None, "what": "revived", "detail": None})
        return moved

    def note_lag(self, seconds: float) -> None:
        """An order was in the list only so long after its acceptance."""
        with self._transaction() as db:
            db.execute(_NOTE, {"at": time.time(), "chunk": None, "what": "list lag", "detail": json.dumps(seconds)})

    def begin_attempt(self, facts: Mapping[str, Any]) -> int:
        """A process starts to work on this run; the attempt's number."""
        with self._transaction() as db:
            result = db.execute(sa.insert(ATTEMPT).values(started=time.time(), facts=json.dumps(facts)))
            return int(result.lastrowid)

    def end_attempt(self, number: int, exit_code: int, facts: Mapping[str, Any]) -> None:
        with self._transaction() as db:
            db.execute(
                sa.update(ATTEMPT)
                .where(ATTEMPT.c.number == number)
                .values(ended=time.time(), exit_code=exit_code, facts=json.dumps(facts))
            )

    def forget_plan(self, step: int) -> None:
        """A plan of which nothing was sent is made anew; InputError when something was."""
        sent = sa.select(CHUNK.c.number).where(CHUNK.c.step == step, (CHUNK.c.state != READY) | (CHUNK.c.attempt > 0))
        with self._transaction() as db:
            if db.execute(sent.limit(1)).first() is not None:
                raise InputError(
                    f"{self.path.parent.name}: rows of it were sent already; --first is for the first ones."
                )
            db.execute(sa.update(STEP).where(STEP.c.number == step).values(planned=None))

    def begin_plan(self, step: int) -> None:
        """Forget a half-written plan of this step."""
        doomed = sa.select(CHUNK.c.number).where(CHUNK.c.step == step)
        with self._transaction() as db:
            assert db.scalar(sa.select(STEP.c.planned).where(STEP.c.number == step)) is None, "a planned step is kept"
            db.execute(sa.delete(CHUNK_ROWS).where(CHUNK_ROWS.c.chunk.in_(doomed)))
            db.execute(sa.delete(CHUNK).where(CHUNK.c.step == step))

    def add_chunks(self, chunks: Sequence[Planned]) -> None:
        """A piece of a plan."""
        with self._transaction() as db:
            insert_chunks(db, chunks)

    def end_plan(self, step: int) -> None:
        """The plan of this step is whole: its chunks may be sent from now on."""
        with self._transaction() as db:
            db.execute(sa.update(STEP).where(STEP.c.number == step).values(planned=time.time()))

    def intend(self, number: int, before: bytes | None = None) -> int:
        """READY → SENDING; the attempt that may record the answer. No byte leaves before this is committed."""
        with self._transaction() as db:
            move(db, number, (READY,), SENDING)
            if before is not None:
                db.execute(_KEEP_BEFORE, {"_number": number, "before": before})
            attempt = int(db.execute(_ATTEMPT, {"_number": number}).scalar_one())
            _note(db, number, "sending", {"attempt": attempt})
        return attempt

    def unsend(self, number: int, attempt: int, why: str) -> None:
        """SENDING → READY: provably not executed (not sent, 429, 401)."""
        with self._transaction() as db:
            move(db, number, (SENDING,), READY, attempt=attempt)
            _note(db, number, "not executed", {"why": why})

    def doubt(self, number: int, attempt: int, why: str) -> None:
        """SENDING → UNKNOWN: it may have been executed."""
        with self._transaction() as db:
            move(db, number, (SENDING,), UNKNOWN, {"why": why, "doubted": 1}, attempt=attempt)
            _note(db, number, "in doubt", {"why": why})

    def accept(self, number: int, attempt: int, order_id: str, status: str | None, early: bytes | None) -> None:
        """SENDING → ACCEPTED: the carrier answered with an order id, and perhaps with errors already."""
        with self._transaction() as db:
            values = {"order_id": order_id, "status": status, "why": None}
            move(db, number, (SENDING,), ACCEPTED, values, attempt=attempt)
            _set_issues(db, number, early)
            _note(db, number, "accepted", {"order_id": order_id, "status": status})

    def found(self, number: int, order_id: str, others: Sequence[str] = (), by: str = "a look-up") -> None:
        """UNKNOWN or PARKED → ACCEPTED: a look-up, or a person, found the order. `others`: doubles of it."""
        with self._transaction() as db:
            move(db, number, (UNKNOWN, PARKED), ACCEPTED, {"order_id": order_id, "why": None})
            _note(db, number, "found", {"order_id": order_id, "others": list(others), "by": by})

    def absent(self, number: int, why: str) -> str:
        """UNKNOWN → READY, with the same CustomerOrderId; after two re-sends → PARKED. The new state."""
        with self._transaction() as db:
            resends = scalar(db, sa.select(CHUNK.c.resends).where(CHUNK.c.number == number))
            state = READY if resends < MAX_RESENDS else PARKED
            why_parked = None if state == READY else f"absent again after {resends} re-sends"
            move(db, number, (UNKNOWN,), state, {"resends": min(resends + 1, MAX_RESENDS), "why": why_parked})
            _note(db, number, "proven absent", {"why": why, "state": state})
        return state

    def release(self, number: int) -> None:
        """UNKNOWN or PARKED → READY: a person says that it never reached the carrier."""
        with self._transaction() as db:
            values = {"resends": 0, "order_id": None, "status": None, "why": None}
            move(db, number, (UNKNOWN, PARKED), READY, values)
            _note(db, number, "released by a person", {})

    def park(self, number: int, why: str) -> None:
        """UNKNOWN or ACCEPTED → PARKED: a person, or a later start, has to look."""
        with self._transaction() as db:
            move(db, number, (UNKNOWN, ACCEPTED), PARKED, {"why": why})
            _note(db, number, "parked", {"why": why})

    def observe(self, number: int, status: str) -> None:
        """The carrier's word for an order that is still open."""
        with self._transaction() as db:
            db.execute(_OBSERVE, {"_number": number, "status": status})

    def settle(
        self, number: int, status: str | None, issues: bytes | None, *, was: str = ACCEPTED, attempt: int | None = None
    ) -> None:
        """`was` → SETTLED, with everything that is not plain success."""
        with self._transaction() as db:
            move(db, number, (was,), SETTLED, {"status": status, "why": None}, attempt=attempt)
            _set_issues(db, number, issues)
            _note(db, number, "settled", {"status": status})

    def refuse(
        self, number: int, attempt: int, issues: bytes | None, children: Sequence[Planned] = (), why: str = ""
    ) -> None:
        """SENDING → REFUSED: nothing was created, the carrier said `why`; rows that nobody named go on as `children`."""
        with self._transaction() as db:
            move(db, number, (SENDING,), REFUSED, {"why": None}, attempt=attempt)
            _set_issues(db, number, issues)
            _note(db, number, "refused", {"children": insert_chunks(db, children), "why": why})

    def halve(self, number: int, attempt: int, children: Sequence[Planned]) -> None:
        """SENDING → REFUSED: too large, so that nothing was created; its halves go on as `children`. Nobody has failed."""
        with self._transaction() as db:
            move(db, number, (SENDING,), REFUSED, {"why": None}, attempt=attempt)
            _note(db, number, "halved", {"children": insert_chunks(db, children)})

    def divide(self, number: int, children: Sequence[Planned]) -> None:
        """READY → REFUSED: unsent, for its sister half was accepted; its rows go on as `children`."""
        with self._transaction() as db:
            move(db, number, (READY,), REFUSED)
            _note(db, number, "divided", {"children": insert_chunks(db, children)})

    def audited(self, number: int, order_ids: Sequence[str]) -> None:
        """What the carrier's list shows of a chunk that may have been executed twice."""
        with self._transaction() as db:
            _note(db, number, "audited", {"orders": list(order_ids)})

    def not_listed(self, number: int) -> None:
        """The carrier's list does not show an order that is there: whether it was executed once is not known."""
        with self._transaction() as db:
            _note(db, number, "not listed", {})

    def recover(self, step: int, *, repeatable: bool) -> int:
        """What a dead process left in SENDING: UNKNOWN, or READY where repeating is harmless. How many."""
        why = "found in SENDING at the start of an attempt"
        with self._transaction() as db:
            if repeatable:
                return move_all(db, SENDING, READY, CHUNK.c.step == step, {"why": why})
            return move_all(db, SENDING, UNKNOWN, CHUNK.c.step == step, {"why": why, "doubted": 1})

    def unpark(self, step: int) -> int:
        """PARKED → UNKNOWN (ACCEPTED where its order id is known): every start looks again. How many."""
        with self._transaction() as db:
            here, known = CHUNK.c.step == step, CHUNK.c.order_id.isnot(None)
            return move_all(db, PARKED, ACCEPTED, here & known) + move_all(db, PARKED, UNKNOWN, here)


def _note(db: sa.Connection, number: int, what: str, detail: Mapping[str, Any]) -> None:
    db.execute(_NOTE, {"at": time.time(), "chunk": number, "what": what, "detail": json.dumps(detail)})


def _set_issues(db: sa.Connection, number: int, issues: bytes | None) -> None:
    db.execute(_FORGET_ISSUES, {"_number": number})
    if issues is not None:
        db.execute(_KEEP_ISSUES, {"chunk": number, "issues": issues})
