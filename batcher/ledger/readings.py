"""What is read of a ledger: the run, its steps and chunks, what happened to them. Nobody is kept from writing."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from batcher.errors import InputError, StorageFailed
from batcher.ledger.file import open_file
from batcher.ledger.rows import Head, chunk_of, head_of
from batcher.ledger.states import ACCEPTED, OPEN_STATES, PARKED, READY, REFUSED, RETIRED, SENDING, SETTLED, UNKNOWN
from batcher.ledger.tables import ATTEMPT, CHUNK, CHUNK_ISSUES, CHUNK_ROWS, EVENT, RUN, STEP
from batcher.model import Chunk

_LOAD = (
    sa.select(CHUNK, CHUNK_ROWS.c.rows.label("packed"), CHUNK_ROWS.c.before)
    .join(CHUNK_ROWS, CHUNK_ROWS.c.chunk == CHUNK.c.number)
    .where(CHUNK.c.number == sa.bindparam("_number"))
)
_HEAD = sa.select(CHUNK).where(CHUNK.c.number == sa.bindparam("_number"))
_KEPT = (
    sa.select(CHUNK, CHUNK_ROWS.c.rows.label("packed"), CHUNK_ISSUES.c.issues)
    .join(CHUNK_ROWS, CHUNK_ROWS.c.chunk == CHUNK.c.number)
    .outerjoin(CHUNK_ISSUES, CHUNK_ISSUES.c.chunk == CHUNK.c.number)
    .where(CHUNK.c.number == sa.bindparam("_number"))
)
_ISSUES = sa.select(CHUNK_ISSUES.c.issues).where(CHUNK_ISSUES.c.chunk == sa.bindparam("_number"))
_LAST_PLANNED = sa.select(sa.func.max(STEP.c.number)).where(STEP.c.planned.isnot(None)).scalar_subquery()
#: Chunks that --stale sends after all.
STALE = sa.and_(CHUNK.c.state == RETIRED, CHUNK.c.why == "STALE", CHUNK.c.step == _LAST_PLANNED)
#: What an order that did not fail as a whole ends with; "" and None: a question, or a record that was so already.
_GOOD_ENDS = {None, "", "COMPLETE", "PARTIAL"}
#: A request with so small a part of the most rows is not too large: whoever says so refuses everything.
_TOO_LARGE_SHARE = 4
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


def _last_event(what: str) -> sa.ColumnElement[int]:
    """When something happened to a chunk last, as the number of that event; 0: never."""
    here = sa.select(sa.func.max(EVENT.c.id)).where(EVENT.c.chunk == CHUNK.c.number, EVENT.c.what == what)
    return sa.func.coalesce(here.scalar_subquery(), 0)


class Readings:
    """A ledger to look at; one call at a time, the others wait."""

    def __init__(self, path: Path, *, check: bool = False) -> None:
        """Open or create the file; what it may not be, `open_file` refuses. Without `check`, only to look at it."""
        self.path = path
        self._engine = open_file(path, check=check)
        # Kept: to take one out of the pool and to put it back costs more than most transactions.
        self._connection = self._engine.connect()
        # A loop that Ctrl-C tore down leaves its last call to the ledger's thread, while the reports are begun in another.
        self._one = threading.Lock()

    def close(self) -> None:
        self._connection.close()
        self._engine.dispose()

    @contextmanager
    def _reading(self) -> Generator[sa.Connection]:
        """For one question, which is a transaction by itself: to begin and end one would cost as much again."""
        with self._one, self._trouble(), self._connection.begin():
            yield self._connection

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

    def has_stale(self) -> bool:
        """Whether --stale would send something: chunks retired as STALE in the step planned last.

        A later step that is planned already would never see the rows of an earlier one.
        """
        with self._reading() as db:
            return db.execute(sa.select(CHUNK.c.number).where(STALE).limit(1)).first() is not None

    def run(self) -> dict[str, Any]:
        """The run's row; `facts` decoded. Of a run that was killed before it was written down: one not judged."""
        with self._reading() as db:
            row = db.execute(sa.select(RUN)).mappings().first()
        if row is None:
            return {**dict.fromkeys(RUN.c.keys()), "id": self.path.parent.name, "judged": 0, "facts": {}}
        return {**row, "facts": json.loads(row["facts"])}

    def attempts(self) -> list[dict[str, Any]]:
        with self._reading() as db:
            rows = db.execute(sa.select(ATTEMPT).order_by(ATTEMPT.c.number)).mappings().all()
        return [{**row, "facts": json.loads(row["facts"])} for row in rows]

    def steps(self) -> list[dict[str, Any]]:
        """number, operation, settings (decoded) and planned (epoch seconds or None) of each step."""
        with self._reading() as db:
            rows = db.execute(sa.select(STEP).order_by(STEP.c.number)).mappings().all()
        return [{**row, "settings": json.loads(row["settings"])} for row in rows]

    def is_open(self) -> bool:
        """Whether anything of the run may still be planned, sent or asked for."""
        if any(self.chunks_by_state().get(state) for state in OPEN_STATES):
            return True
        return self.run()["retired"] is None and any(step["planned"] is None for step in self.steps())

    def has_sent(self, step: int | None = None) -> bool:
        """Whether any intent was ever written down, of a step or of the run."""
        query = sa.select(EVENT.c.id).where(EVENT.c.what == "sending")
        if step is not None:
            query = query.join(CHUNK, CHUNK.c.number == EVENT.c.chunk).where(CHUNK.c.step == step)
        with self._reading() as db:
            return db.execute(query.limit(1)).first() is not None

    def list_lag(self) -> float:
        """The longest lag of the list that was seen in this run, in seconds."""
        with self._reading() as db:
            lags = db.scalars(sa.select(EVENT.c.detail).where(EVENT.c.what == "list lag"))
            return max(map(json.loads, lags), default=0.0)

    def numbers(self, step: int, state: str, *, after: int = 0, most: int = 1_000_000) -> list[int]:
        """Chunk numbers of a step in a state, ascending."""
        with self._reading() as db:
            return list(db.scalars(_PAGE, {"step": step, "state": state, "after": after, "most": most}))

    def sendable(
        self, step: int, *, after: int, most: int, first: bool = False, halves_last: bool = False
    ) -> list[int]:
        """READY chunks of a step, ascending, less halves whose sister's fate is still open; or of the sample alone.

        `halves_last`: while a planned chunk has no answer yet, none of a chunk that was refused without a name.
        """
        sister, whole = CHUNK.alias(), CHUNK.alias()
        waits: sa.ColumnElement[bool] = sa.exists().where(
            sister.c.number == CHUNK.c.after, sister.c.state.in_((READY, SENDING, UNKNOWN))
        )
        if halves_last:
            unanswered = (whole.c.level == 0, whole.c.state.in_((READY, SENDING)), whole.c.first >= int(first))
            waits |= (CHUNK.c.level > 0) & sa.exists().where(whole.c.step == step, *unanswered)
        query = sa.select(CHUNK.c.number).where(
            CHUNK.c.step == step, CHUNK.c.state == READY, CHUNK.c.number > after, CHUNK.c.first >= int(first), ~waits
        )
        with self._reading() as db:
            return list(db.scalars(query.order_by(CHUNK.c.number).limit(most)))

    def first_heads(self, step: int) -> list[Head]:
        """The chunks that hold the sample of a step, and those that they became."""
        query = sa.select(CHUNK).where(CHUNK.c.step == step, CHUNK.c.first == 1).order_by(CHUNK.c.number)
        with self._reading() as db:
            return list(map(head_of, db.execute(query).mappings().all()))

    def last_refusal(self, step: int) -> str:
        """What the carrier said when it last refused a chunk of a step; "" when it refused none."""
        query = sa.select(EVENT.c.detail).join(CHUNK, CHUNK.c.number == EVENT.c.chunk)
        here = query.where(CHUNK.c.step == step, EVENT.c.what == "refused").order_by(EVENT.c.id.desc()).limit(1)
        with self._reading() as db:
            detail = db.scalar(here)
        return str(json.loads(detail).get("why", "")) if detail else ""

    def halved_heads(self) -> list[Head]:
        """The chunks that are parts of a refused one whose error named nobody, and were sent."""
        query = sa.select(CHUNK).where(CHUNK.c.level > 0, CHUNK.c.attempt > 0).order_by(CHUNK.c.number)
        with self._reading() as db:
            return list(map(head_of, db.execute(query).mappings().all()))

    def is_family_refused(self, family: int) -> bool:
        """Whether nothing of a chunk whose rows were halved again and again was accepted yet, or may have been."""
        taken = CHUNK.c.state.in_((UNKNOWN, PARKED, ACCEPTED, SETTLED))
        with self._reading() as db:
            return db.execute(sa.select(CHUNK.c.number).where(CHUNK.c.family == family, taken).limit(1)).first() is None

    def is_family_under_way(self, family: int, below: int) -> bool:
        """Whether a part of it `below` that level has not been answered yet."""
        query = sa.select(CHUNK.c.number).where(
            CHUNK.c.family == family, CHUNK.c.state == SENDING, CHUNK.c.level < below
        )
        with self._reading() as db:
            return db.execute(query.limit(1)).first() is not None

    def first_verdicts(self, step: int, most: int) -> list[tuple[int, bool]]:
        """(chunk, whether it was refused or came to a bad end) of the chunks of a step that had an end first.

        Those that were planned, and the halves of what was too large: its size says nothing about what is in it. But what
        is too large at a quarter of the largest is refused by something else than its size.
        """
        ended = sa.select(EVENT.c.chunk, CHUNK.c.state, CHUNK.c.status).join(CHUNK, CHUNK.c.number == EVENT.c.chunk)
        parent = EVENT.alias()
        is_half = sa.exists().where(parent.c.chunk == CHUNK.c.parent, parent.c.what == "halved")
        is_first = CHUNK.c.parent.is_(None) | is_half
        largest = sa.select(sa.func.max(CHUNK.c.rows)).where(CHUNK.c.step == step).scalar_subquery()
        is_small = (EVENT.c.what == "halved") & (CHUNK.c.rows * _TOO_LARGE_SHARE <= largest)
        has_ended = EVENT.c.what.in_(("refused", "settled")) | is_small
        query = ended.where(has_ended, CHUNK.c.step == step, is_first).order_by(EVENT.c.id)
        with self._reading() as db:
            rows = db.execute(query.limit(most)).all()
        return [(number, state == REFUSED or status not in _GOOD_ENDS) for number, state, status in rows]

    def unaudited(self, step: int, *, with_open: bool = False) -> list[int]:
        """Chunks of a step at rest that were in doubt, or sent more than once, and were not looked up since they were sent last.

        With `with_open`, also those of which nothing more will be sent or asked: the run is about to be retired.
        """
        sent, audited = map(_last_event, ("sending", "audited"))
        resting = CHUNK.c.state.in_((SETTLED, REFUSED, RETIRED, *((READY, ACCEPTED, PARKED) if with_open else ())))
        query = sa.select(CHUNK.c.number).where(
            CHUNK.c.step == step, resting, (CHUNK.c.doubted == 1) | (CHUNK.c.attempt > 1), sent > audited
        )
        with self._reading() as db:
            return list(db.scalars(query.order_by(CHUNK.c.number)))

    def unlisted(self) -> list[int]:
        """Chunks that may have been executed twice, of which the carrier's list did not show enough to tell."""
        tried, sent, audited = map(_last_event, ("not listed", "sending", "audited"))
        # Few are: what happened last to each of the others, nobody has to find out.
        few = CHUNK.c.number.in_(sa.select(EVENT.c.chunk).where(EVENT.c.what == "not listed"))
        query = sa.select(CHUNK.c.number).where(few, tried > sent, tried > audited).order_by(CHUNK.c.number)
        with self._reading() as db:
            return list(db.scalars(query))

    def head(self, number: int) -> Head:
        """InputError when there is no such chunk."""
        with self._reading() as db:
            row = db.execute(_HEAD, {"_number": number}).mappings().first()
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

    def kept(self, number: int) -> tuple[Head, Chunk, bytes | None]:
        """Head, rows and values (secrets left out), and the errors so far."""
        with self._reading() as db:
            row = db.execute(_KEPT, {"_number": number}).mappings().one()
            return head_of(row), chunk_of(row), row["issues"]

    def issues(self, number: int) -> bytes | None:
        with self._reading() as db:
            return db.scalar(_ISSUES, {"_number": number})

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
        """Chunks that the carrier holds other orders of than ours: (number, ids of all)."""
        query = sa.select(EVENT.c.chunk, CHUNK.c.order_id, EVENT.c.detail).join(CHUNK, CHUNK.c.number == EVENT.c.chunk)
        with self._reading() as db:
            rows = db.execute(query.where(EVENT.c.what.in_(("found", "audited"))).order_by(EVENT.c.id)).all()
        shown: dict[int, list[str]] = {}
        for number, own, detail in rows:
            said = json.loads(detail)
            # An order of a chunk that has none by our record was executed all the same.
            strange = [order_id for order_id in said.get("orders", said.get("others", ())) if order_id != own]
            if strange:
                shown.setdefault(number, [own] if own else []).extend(strange)
        return [(number, list(dict.fromkeys(ids))) for number, ids in shown.items()]
