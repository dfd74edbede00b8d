"""Every change of a run's and a chunk's state, one transaction each, and what is read of them.

Written as compare-and-set: a change names the state (and the attempt) it starts from, so that nobody overwrites
what somebody else recorded.
"""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from batcher.errors import InputError, StorageFailed
from batcher.ledger.file import open_file
from batcher.ledger.rows import Head, Planned, chunk_of, head_of, insert_chunks, scalar
from batcher.ledger.tables import (
    ACCEPTED,
    ATTEMPT,
    CHUNK,
    CHUNK_ISSUES,
    CHUNK_ROWS,
    EVENT,
    PARKED,
    READY,
    REFUSED,
    RETIRED,
    RUN,
    SENDING,
    SETTLED,
    STEP,
    UNKNOWN,
)
from batcher.model import Chunk

#: A proven absent chunk is sent again at most so often.
MAX_RESENDS = 2

_HERE = sa.and_(CHUNK.c.number == sa.bindparam("_number"), CHUNK.c.state.in_(sa.bindparam("_was", expanding=True)))
#: Compare-and-set of a chunk's state, with and without the attempt as a fence.
_MOVE = sa.update(CHUNK).where(_HERE)
_MOVE_FENCED = _MOVE.where(CHUNK.c.attempt == sa.bindparam("_fence"))
_LOAD = (
    sa.select(CHUNK, CHUNK_ROWS.c.rows.label("packed"), CHUNK_ROWS.c.before)
    .join(CHUNK_ROWS, CHUNK_ROWS.c.chunk == CHUNK.c.number)
    .where(CHUNK.c.number == sa.bindparam("_number"))
)
_PAGE = (
    sa.select(CHUNK.c.number)
    .where(
        CHUNK.c.step == sa.bindparam("step"),
        CHUNK.c.state == sa.bindparam("state"),
        CHUNK.c.number > sa.bindparam("after"),
    )
    .order_by(CHUNK.c.number)
    .limit(sa.bindparam("most"))
)
_NOTE = sa.insert(EVENT)


class Ledger:
    """An open ledger file. Not thread-safe by itself: one call at a time."""

    def __init__(self, path: Path, *, check: bool = True) -> None:
        """Open or create the file; what it may not be, `open_file` refuses. Without `check`, only to look at it."""
        self.path = path
        self._engine = open_file(path, check=check)

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _transaction(self) -> Generator[sa.Connection]:
        with self._trouble(), self._engine.begin() as db:
            yield db

    @contextmanager
    def _reading(self) -> Generator[sa.Connection]:
        """A transaction that keeps nobody from writing."""
        with self._trouble(), self._engine.connect() as connection:
            db = connection.execution_options(reads=True)
            with db.begin():
                yield db

    @contextmanager
    def _trouble(self) -> Generator[None]:
        try:
            yield
        except (sa.exc.IntegrityError, sa.exc.ProgrammingError):
            raise  # a bug of ours, not of the disk
        except sa.exc.DatabaseError as error:
            raise StorageFailed(f"{self.path}: the ledger cannot be read or written ({error.orig}).") from error
        except ValueError as error:
            raise StorageFailed(f"{self.path}: the ledger is damaged ({error}).") from error

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

    def run(self) -> dict[str, Any]:
        """The run's row; `facts` decoded. Of a run that was killed before it was written down: one not judged."""
        with self._reading() as db:
            row = db.execute(sa.select(RUN)).mappings().first()
        if row is None:
            return {**dict.fromkeys(RUN.c.keys()), "id": self.path.parent.name, "judged": 0, "facts": {}}
        return {**row, "facts": json.loads(row["facts"])}

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
            db.execute(sa.update(CHUNK).where(CHUNK.c.state == READY).values(state=RETIRED, why=code))
            db.execute(sa.update(RUN).values(retired=code))
            db.execute(_NOTE, {"at": time.time(), "chunk": None, "what": "retired", "detail": code})

    def retire_stale(self, before: float) -> int:
        """Retire the unsent chunks of steps planned before that wall-clock time; how many."""
        stale = sa.select(STEP.c.number).where(STEP.c.planned < before)
        with self._transaction() as db:
            moved = db.execute(
                sa.update(CHUNK)
                .where(CHUNK.c.state == READY, CHUNK.c.step.in_(stale))
                .values(state=RETIRED, why="STALE")
            )
        return moved.rowcount

    def retire(self, number: int, code: str) -> None:
        """READY → RETIRED: one chunk that will not be sent any more."""
        with self._transaction() as db:
            _move(db, number, (READY,), {"state": RETIRED, "why": code})
            _note(db, number, "retired", {"why": code})

    def revive_stale(self) -> int:
        """RETIRED as STALE → READY, and the run is not finished any more. How many."""
        with self._transaction() as db:
            stale = sa.and_(CHUNK.c.state == RETIRED, CHUNK.c.why == "STALE")
            moved = db.execute(sa.update(CHUNK).where(stale).values(state=READY, why=None))
            if moved.rowcount:
                db.execute(sa.update(RUN).values(finished=None, exit_code=None))
                db.execute(_NOTE, {"at": time.time(), "chunk": None, "what": "revived", "detail": None})
        return moved.rowcount

    def note_lag(self, seconds: float) -> None:
        """An order was in the list only so long after its acceptance."""
        with self._transaction() as db:
            db.execute(_NOTE, {"at": time.time(), "chunk": None, "what": "list lag", "detail": json.dumps(seconds)})

    def list_lag(self) -> float:
        """The longest lag of the list that was seen in this run, in seconds."""
        with self._reading() as db:
            lags = db.scalars(sa.select(EVENT.c.detail).where(EVENT.c.what == "list lag"))
            return max(map(json.loads, lags), default=0.0)

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

    def attempts(self) -> list[dict[str, Any]]:
        with self._reading() as db:
            rows = db.execute(sa.select(ATTEMPT).order_by(ATTEMPT.c.number)).mappings().all()
        return [{**row, "facts": json.loads(row["facts"])} for row in rows]

    def steps(self) -> list[dict[str, Any]]:
        """number, operation, settings (decoded) and planned (epoch seconds or None) of each step."""
        with self._reading() as db:
            rows = db.execute(sa.select(STEP).order_by(STEP.c.number)).mappings().all()
        return [{**row, "settings": json.loads(row["settings"])} for row in rows]

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
            _move(db, number, (READY,), {"state": SENDING, "attempt": CHUNK.c.attempt + 1})
            if before is not None:
                db.execute(sa.update(CHUNK_ROWS).where(CHUNK_ROWS.c.chunk == number).values(before=before))
            attempt = scalar(db, sa.select(CHUNK.c.attempt).where(CHUNK.c.number == number))
            _note(db, number, "sending", {"attempt": attempt})
        return attempt

    def unsend(self, number: int, attempt: int, why: str) -> None:
        """SENDING → READY: provably not executed (not sent, 429, 401)."""
        with self._transaction() as db:
            _move(db, number, (SENDING,), {"state": READY}, attempt)
            _note(db, number, "not executed", {"why": why})

    def doubt(self, number: int, attempt: int, why: str) -> None:
        """SENDING → UNKNOWN: it may have been executed."""
        with self._transaction() as db:
            _move(db, number, (SENDING,), {"state": UNKNOWN, "why": why, "doubted": 1}, attempt)
            _note(db, number, "in doubt", {"why": why})

    def accept(self, number: int, attempt: int, order_id: str, status: str | None, early: bytes | None) -> None:
        """SENDING → ACCEPTED: the carrier answered with an order id, and perhaps with errors already."""
        with self._transaction() as db:
            _move(
                db,
                number,
                (SENDING,),
                {"state": ACCEPTED, "order_id": order_id, "status": status, "why": None},
                attempt,
            )
            _set_issues(db, number, early)
            _note(db, number, "accepted", {"order_id": order_id, "status": status})

    def found(self, number: int, order_id: str, others: Sequence[str] = ()) -> None:
        """UNKNOWN or PARKED → ACCEPTED: a look-up, or a person, found the order. `others`: doubles of it."""
        with self._transaction() as db:
            _move(db, number, (UNKNOWN, PARKED), {"state": ACCEPTED, "order_id": order_id, "why": None})
            _note(db, number, "found", {"order_id": order_id, "others": list(others)})

    def absent(self, number: int, why: str) -> str:
        """UNKNOWN or PARKED → READY, with the same CustomerOrderId; after two re-sends → PARKED. The new state."""
        with self._transaction() as db:
            resends = scalar(db, sa.select(CHUNK.c.resends).where(CHUNK.c.number == number))
            state = READY if resends < MAX_RESENDS else PARKED
            reason = None if state == READY else f"absent again after {resends} re-sends"
            _move(
                db, number, (UNKNOWN, PARKED), {"state": state, "resends": min(resends + 1, MAX_RESENDS), "why": reason}
            )
            _note(db, number, "proven absent", {"why": why, "state": state})
        return state

    def release(self, number: int) -> None:
        """UNKNOWN or PARKED → READY: a person says that it never reached the carrier."""
        with self._transaction() as db:
            values = {"state": READY, "resends": 0, "order_id": None, "status": None, "why": None}
            _move(db, number, (UNKNOWN, PARKED), values)
            _note(db, number, "released by a person", {})

    def park(self, number: int, why: str) -> None:
        """UNKNOWN or ACCEPTED → PARKED: a person, or a later start, has to look."""
        with self._transaction() as db:
            _move(db, number, (UNKNOWN, ACCEPTED), {"state": PARKED, "why": why})
            _note(db, number, "parked", {"why": why})

    def observe(self, number: int, status: str) -> None:
        """The carrier's word for an order that is still open."""
        with self._transaction() as db:
            db.execute(
                sa.update(CHUNK).where(CHUNK.c.number == number, CHUNK.c.state == ACCEPTED).values(status=status)
            )

    def settle(
        self, number: int, status: str | None, issues: bytes | None, *, was: str = ACCEPTED, attempt: int | None = None
    ) -> None:
        """`was` → SETTLED, with everything that is not plain success."""
        with self._transaction() as db:
            _move(db, number, (was,), {"state": SETTLED, "status": status, "why": None}, attempt)
            _set_issues(db, number, issues)
            _note(db, number, "settled", {"status": status})

    def refuse(self, number: int, attempt: int, issues: bytes | None, children: Sequence[Planned] = ()) -> None:
        """SENDING → REFUSED: nothing was created; rows that nobody named go on as `children`."""
        with self._transaction() as db:
            _move(db, number, (SENDING,), {"state": REFUSED, "why": None}, attempt)
            _set_issues(db, number, issues)
            _note(db, number, "refused", {"children": insert_chunks(db, children)})

    def recover(self, step: int, *, repeatable: bool) -> int:
        """What a dead process left in SENDING: UNKNOWN, or READY where repeating is harmless. How many."""
        state, doubted = (READY, 0) if repeatable else (UNKNOWN, 1)
        with self._transaction() as db:
            moved = db.execute(
                sa.update(CHUNK)
                .where(CHUNK.c.step == step, CHUNK.c.state == SENDING)
                .values(state=state, doubted=doubted, why="found in SENDING at the start of an attempt")
            )
        return moved.rowcount

    def unpark(self, step: int) -> int:
        """PARKED → UNKNOWN (ACCEPTED where its order id is known): every start looks again. How many."""
        with self._transaction() as db:
            state = sa.case((CHUNK.c.order_id.is_(None), UNKNOWN), else_=ACCEPTED)
            moved = db.execute(
                sa.update(CHUNK).where(CHUNK.c.step == step, CHUNK.c.state == PARKED).values(state=state)
            )
        return moved.rowcount

    def numbers(self, step: int, state: str, *, after: int = 0, most: int = 1_000_000) -> list[int]:
        """Chunk numbers of a step in a state, ascending."""
        with self._reading() as db:
            return list(db.scalars(_PAGE, {"step": step, "state": state, "after": after, "most": most}))

    def head(self, number: int) -> Head:
        """InputError when there is no such chunk."""
        with self._reading() as db:
            row = db.execute(sa.select(CHUNK).where(CHUNK.c.number == number)).mappings().first()
        if row is None:
            raise InputError(f"There is no chunk {number} in {self.path}.")
        return head_of(row)

    def heads(self, step: int) -> Iterator[Head]:
        """All chunks of a step, by first row and number, a page at a time."""
        place = (-1, -1)
        where = sa.tuple_(CHUNK.c.first_row, CHUNK.c.number) > sa.tuple_(sa.bindparam("row"), sa.bindparam("number"))
        page = (
            sa.select(CHUNK).where(CHUNK.c.step == step, where).order_by(CHUNK.c.first_row, CHUNK.c.number).limit(512)
        )
        while True:
            with self._reading() as db:
                rows = db.execute(page, {"row": place[0], "number": place[1]}).mappings().all()
            if not rows:
                return
            yield from map(head_of, rows)
            place = (rows[-1]["first_row"], rows[-1]["number"])

    def chunk(self, number: int) -> tuple[Head, Chunk, bytes | None]:
        """Head, rows and values (secrets left out), and the record that was read before a write."""
        with self._reading() as db:
            row = db.execute(_LOAD, {"_number": number}).mappings().one()
            return head_of(row), chunk_of(row), row["before"]

    def issues(self, number: int) -> bytes | None:
        with self._reading() as db:
            return db.scalar(sa.select(CHUNK_ISSUES.c.issues).where(CHUNK_ISSUES.c.chunk == number))

    def chunks_by_state(self, step: int | None = None) -> dict[str, int]:
        """How many chunks are in each state."""
        query = sa.select(CHUNK.c.state, sa.func.count()).group_by(CHUNK.c.state)
        if step is not None:
            query = query.where(CHUNK.c.step == step)
        with self._reading() as db:
            return {state: int(count) for state, count in db.execute(query)}

    def rows_by_state(self, step: int) -> dict[str, int]:
        """How many rows the chunks of a step hold in each state."""
        query = sa.select(CHUNK.c.state, sa.func.sum(CHUNK.c.rows)).where(CHUNK.c.step == step).group_by(CHUNK.c.state)
        with self._reading() as db:
            return {state: int(count) for state, count in db.execute(query)}

    def orders_by_status(self) -> dict[str, int]:
        """How many orders the carrier made, by its own word."""
        query = sa.select(CHUNK.c.status, sa.func.count()).where(CHUNK.c.order_id.isnot(None)).group_by(CHUNK.c.status)
        with self._reading() as db:
            return {status or "": count for status, count in db.execute(query)}

    def known_order(self, step: int) -> tuple[str, str] | None:
        """(CustomerOrderId, order id) of some order of this step that the carrier confirmed."""
        query = sa.select(CHUNK.c.customer_order_id, CHUNK.c.order_id).where(
            CHUNK.c.step == step, CHUNK.c.order_id.isnot(None), CHUNK.c.state.in_((ACCEPTED, SETTLED))
        )
        with self._reading() as db:
            row = db.execute(query.limit(1)).first()
        return None if row is None else (row[0], row[1])

    def events(self, number: int) -> list[dict[str, Any]]:
        """What happened to a chunk, oldest first."""
        query = sa.select(EVENT.c.at, EVENT.c.what, EVENT.c.detail).where(EVENT.c.chunk == number).order_by(EVENT.c.id)
        with self._reading() as db:
            return [dict(row) for row in db.execute(query).mappings()]

    def doubles(self) -> list[tuple[int, list[str]]]:
        """Chunks for which a look-up found more than one order: (number, order ids)."""
        query = sa.select(EVENT.c.chunk, EVENT.c.detail).where(EVENT.c.what == "found").order_by(EVENT.c.id)
        with self._reading() as db:
            found = [(chunk, json.loads(detail)) for chunk, detail in db.execute(query)]
        return [(chunk, [detail["order_id"], *detail["others"]]) for chunk, detail in found if detail["others"]]


def _move(
    db: sa.Connection, number: int, was: tuple[str, ...], values: Mapping[str, Any], attempt: int | None = None
) -> None:
    statement, names = (_MOVE, {}) if attempt is None else (_MOVE_FENCED, {"_fence": attempt})
    moved = db.execute(statement.values(values), {"_number": number, "_was": was, **names})
    if moved.rowcount != 1:
        raise AssertionError(f"chunk {number} is not in {'/'.join(was)} (attempt {attempt}): somebody else changed it")


def _note(db: sa.Connection, number: int, what: str, detail: Mapping[str, Any]) -> None:
    db.execute(_NOTE, {"at": time.time(), "chunk": number, "what": what, "detail": json.dumps(detail)})


def _set_issues(db: sa.Connection, number: int, issues: bytes | None) -> None:
    db.execute(sa.delete(CHUNK_ISSUES).where(CHUNK_ISSUES.c.chunk == number))
    if issues is not None:
        db.execute(sa.insert(CHUNK_ISSUES).values(chunk=number, issues=issues))
