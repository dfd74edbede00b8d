"""The durable record of a run: its steps, chunks, answers and outcomes, in one SQLite file.

Every change of a chunk's state is a function here, one transaction each, written as compare-and-set: it
names the state (and the attempt) it starts from, so that nobody overwrites what somebody else recorded.
The only module that imports SQLAlchemy. No table has a row per TN: rows and issues of a chunk are blobs.
"""

from __future__ import annotations

import json
import os
import sqlite3
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from batcher.blob import pack, unpack
from batcher.errors import InputError, StorageFailed
from batcher.model import Chunk

APPLICATION_ID = 0x746E6261  # "tnba"
VERSION = 1
#: WAL shares memory between processes, which these cannot do.
_NETWORK_FILE_SYSTEMS = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "afs",
    "ceph",
    "glusterfs",
    "fuse.sshfs",
    "fuse.glusterfs",
}
#: A proven absent chunk is sent again at most so often.
MAX_RESENDS = 2

READY, SENDING, ACCEPTED, UNKNOWN = "READY", "SENDING", "ACCEPTED", "UNKNOWN"
SETTLED, REFUSED, PARKED, RETIRED = "SETTLED", "REFUSED", "PARKED", "RETIRED"
#: A run with a chunk in one of these is not finished.
OPEN_STATES = (READY, SENDING, ACCEPTED, UNKNOWN, PARKED)

_METADATA = sa.MetaData()

_RUN = sa.Table(
    "run",
    _METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    #: SHA-256 of input, settings, account, API version and base URL
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("started", sa.Float, nullable=False),
    #: what the run is about (job, columns, counts), JSON
    sa.Column("facts", sa.Text, nullable=False),
    #: the part of every CustomerOrderId that is this run's own
    sa.Column("prefix", sa.Text, nullable=False),
    #: 1 when the whole input was read and judged
    sa.Column("judged", sa.Integer, nullable=False, default=0),
    #: why unsent rows will never be sent (SUPERSEDED)
    sa.Column("retired", sa.Text),
    sa.Column("finished", sa.Float),
    sa.Column("exit_code", sa.Integer),
)
_ATTEMPT = sa.Table(
    "attempt",
    _METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("started", sa.Float, nullable=False),
    sa.Column("ended", sa.Float),
    sa.Column("exit_code", sa.Integer),
    #: requests and 429s of this attempt, JSON
    sa.Column("facts", sa.Text, nullable=False, default="{}"),
)
_STEP = sa.Table(
    "step",
    _METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("operation", sa.Text, nullable=False),
    #: settings as the job gives them, without secrets, JSON
    sa.Column("settings", sa.Text, nullable=False),
    #: when the whole plan of the step was written; NULL: not planned
    sa.Column("planned", sa.Float),
)
_CHUNK = sa.Table(
    "chunk",
    _METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("step", sa.Integer, sa.ForeignKey("step.number"), nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("customer_order_id", sa.Text, nullable=False),
    #: grows with every intent; whoever records an answer must hold the same number
    sa.Column("attempt", sa.Integer, nullable=False, default=0),
    #: how often it was sent again after its absence was proven
    sa.Column("resends", sa.Integer, nullable=False, default=0),
    sa.Column("parent", sa.Integer),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("first_row", sa.Integer, nullable=False),
    sa.Column("last_row", sa.Integer, nullable=False),
    sa.Column("order_id", sa.Text),
    #: the carrier's own word
    sa.Column("status", sa.Text),
    #: why it is parked or retired, in words or as a code
    sa.Column("why", sa.Text),
    #: 1 when it was ever UNKNOWN
    sa.Column("doubted", sa.Integer, nullable=False, default=0),
    sa.Index("chunk_by_state", "step", "state", "number"),
    sa.Index("chunk_by_row", "step", "first_row", "number"),
)
_CHUNK_ROWS = sa.Table(
    "chunk_rows",
    _METADATA,
    sa.Column("chunk", sa.Integer, sa.ForeignKey("chunk.number"), primary_key=True),
    sa.Column("rows", sa.LargeBinary, nullable=False),
    #: the record an *ensure* read before it wrote
    sa.Column("before", sa.LargeBinary),
)
_CHUNK_ISSUES = sa.Table(
    "chunk_issues",
    _METADATA,
    sa.Column("chunk", sa.Integer, sa.ForeignKey("chunk.number"), primary_key=True),
    sa.Column("issues", sa.LargeBinary, nullable=False),
)
_EVENT = sa.Table(
    "event",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("chunk", sa.Integer),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("detail", sa.Text),
)

_HERE = sa.and_(_CHUNK.c.number == sa.bindparam("_number"), _CHUNK.c.state.in_(sa.bindparam("_was", expanding=True)))
#: Compare-and-set of a chunk's state, with and without the attempt as a fence.
_MOVE = sa.update(_CHUNK).where(_HERE)
_MOVE_FENCED = _MOVE.where(_CHUNK.c.attempt == sa.bindparam("_fence"))
_LOAD = (
    sa.select(_CHUNK, _CHUNK_ROWS.c.rows.label("packed"), _CHUNK_ROWS.c.before)
    .join(_CHUNK_ROWS, _CHUNK_ROWS.c.chunk == _CHUNK.c.number)
    .where(_CHUNK.c.number == sa.bindparam("_number"))
)
_PAGE = (
    sa.select(_CHUNK.c.number)
    .where(
        _CHUNK.c.step == sa.bindparam("step"),
        _CHUNK.c.state == sa.bindparam("state"),
        _CHUNK.c.number > sa.bindparam("after"),
    )
    .order_by(_CHUNK.c.number)
    .limit(sa.bindparam("most"))
)
_NOTE = sa.insert(_EVENT)


@dataclass(frozen=True, slots=True)
class Head:
    """What the ledger knows of a chunk besides its rows."""

    number: int
    step: int
    state: str
    customer_order_id: str
    attempt: int
    resends: int
    rows: int
    first_row: int
    last_row: int
    parent: int | None = None
    order_id: str | None = None
    status: str | None = None
    why: str | None = None
    doubted: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """A chunk as planning writes it: its rows and values packed. The ledger gives it number and id."""

    step: int
    rows: int
    first_row: int
    last_row: int
    packed: bytes
    parent: int | None = None


def planned(
    step: int,
    *,
    rows: NDArray[np.int64],
    tns: NDArray[np.int64],
    envelope: Mapping[str, str],
    groups: Sequence[Mapping[str, str]],
    group: NDArray[np.int64],
    parent: int | None = None,
) -> Planned:
    """Pack the rows of one chunk. Secret values must have been taken out of `groups` and `envelope`."""
    arrays = {
        "rows": np.diff(rows, prepend=0),  # mostly ones: they all but vanish in the compression
        "tns": tns,
        "group": group.astype(np.min_scalar_type(max(len(groups) - 1, 0))),
    }
    packed = pack({"envelope": dict(envelope), "groups": list(map(dict, groups))}, arrays)
    return Planned(step, len(rows), int(rows[0]), int(rows[-1]), packed, parent)


class Ledger:
    """An open ledger file. Not thread-safe by itself: one call at a time."""

    def __init__(self, path: Path) -> None:
        """Open `path`, or create it (0600). InputError: newer, damaged, another program's, or on a network disk."""
        refuse_network(path.parent)
        fresh = not path.exists() or path.stat().st_size == 0
        if fresh:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600))
        self.path = path
        self._engine = sa.create_engine(
            f"sqlite:///{path}", poolclass=sa.pool.StaticPool, connect_args={"check_same_thread": False, "timeout": 10}
        )
        sa.event.listen(self._engine, "connect", _on_connect)
        sa.event.listen(self._engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        try:
            with self._transaction() as db:
                if fresh:
                    _METADATA.create_all(db)
                    db.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
                    db.exec_driver_sql(f"PRAGMA user_version={VERSION}")
                else:
                    _recognize(db, path)
        except sa.exc.DatabaseError as error:
            raise InputError(f"{path}: not a readable ledger ({error.orig}). Nothing was sent.") from error

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _transaction(self) -> Generator[sa.Connection]:
        try:
            with self._engine.begin() as db:
                yield db
        except sa.exc.OperationalError as error:
            raise StorageFailed(f"{self.path}: the ledger could not be written ({error.orig}).") from error

    # ── the run ──────────────────────────────────────────────────────────────────────────────────────────────────

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
                sa.insert(_RUN).values(
                    id=run_id, digest=digest, started=time.time(), prefix=prefix, facts=json.dumps(facts)
                )
            )
            db.execute(
                sa.insert(_STEP),
                [
                    {"number": number, "operation": name, "settings": json.dumps(settings)}
                    for number, (name, settings) in enumerate(steps, 1)
                ],
            )

    def run(self) -> dict[str, Any]:
        """The run's row; `facts` decoded. InputError when the file holds no run."""
        with self._transaction() as db:
            row = db.execute(sa.select(_RUN)).mappings().first()
        if row is None:
            raise InputError(f"{self.path}: holds no run. Nothing was sent from it: delete its folder.")
        return {**row, "facts": json.loads(row["facts"])}

    def judged(self, facts: Mapping[str, Any]) -> None:
        """The whole input was read and every row judged; nothing of it changes from here on."""
        with self._transaction() as db:
            db.execute(sa.update(_RUN).values(judged=1, facts=json.dumps(facts)))

    def finish(self, exit_code: int) -> None:
        """No chunk is open: the run ended with this code."""
        with self._transaction() as db:
            db.execute(sa.update(_RUN).values(finished=time.time(), exit_code=exit_code))

    def retire_run(self, code: str) -> None:
        """Unsent chunks of the run will not be sent any more; `code` is what their rows say."""
        with self._transaction() as db:
            db.execute(sa.update(_CHUNK).where(_CHUNK.c.state == READY).values(state=RETIRED, why=code))
            db.execute(sa.update(_RUN).values(retired=code))
            db.execute(_NOTE, {"at": time.time(), "chunk": None, "what": "retired", "detail": code})

    def retire_stale(self, before: float) -> int:
        """Retire the unsent chunks of steps planned before that wall-clock time; how many."""
        stale = sa.select(_STEP.c.number).where(_STEP.c.planned < before)
        with self._transaction() as db:
            moved = db.execute(
                sa.update(_CHUNK)
                .where(_CHUNK.c.state == READY, _CHUNK.c.step.in_(stale))
                .values(state=RETIRED, why="STALE")
            )
        return moved.rowcount

    def begin_attempt(self, facts: Mapping[str, Any]) -> int:
        """A process starts to work on this run; the attempt's number."""
        with self._transaction() as db:
            result = db.execute(sa.insert(_ATTEMPT).values(started=time.time(), facts=json.dumps(facts)))
            return int(result.lastrowid)

    def end_attempt(self, number: int, exit_code: int, facts: Mapping[str, Any]) -> None:
        with self._transaction() as db:
            db.execute(
                sa.update(_ATTEMPT)
                .where(_ATTEMPT.c.number == number)
                .values(ended=time.time(), exit_code=exit_code, facts=json.dumps(facts))
            )

    def attempts(self) -> list[dict[str, Any]]:
        with self._transaction() as db:
            rows = db.execute(sa.select(_ATTEMPT).order_by(_ATTEMPT.c.number)).mappings().all()
        return [{**row, "facts": json.loads(row["facts"])} for row in rows]

    def steps(self) -> list[dict[str, Any]]:
        """number, operation, settings (decoded) and planned (epoch seconds or None) of each step."""
        with self._transaction() as db:
            rows = db.execute(sa.select(_STEP).order_by(_STEP.c.number)).mappings().all()
        return [{**row, "settings": json.loads(row["settings"])} for row in rows]

    # ── planning ─────────────────────────────────────────────────────────────────────────────────────────────────

    def begin_plan(self, step: int) -> None:
        """Forget a half-written plan of this step."""
        doomed = sa.select(_CHUNK.c.number).where(_CHUNK.c.step == step)
        with self._transaction() as db:
            assert db.scalar(sa.select(_STEP.c.planned).where(_STEP.c.number == step)) is None, "a planned step is kept"
            db.execute(sa.delete(_CHUNK_ROWS).where(_CHUNK_ROWS.c.chunk.in_(doomed)))
            db.execute(sa.delete(_CHUNK).where(_CHUNK.c.step == step))

    def add_chunks(self, chunks: Sequence[Planned]) -> None:
        """A piece of a plan."""
        with self._transaction() as db:
            _insert_chunks(db, chunks)

    def end_plan(self, step: int) -> None:
        """The plan of this step is whole: its chunks may be sent from now on."""
        with self._transaction() as db:
            db.execute(sa.update(_STEP).where(_STEP.c.number == step).values(planned=time.time()))

    # ── transitions of a chunk ───────────────────────────────────────────────────────────────────────────────────

    def intend(self, number: int, before: bytes | None = None) -> int:
        """READY → SENDING; the attempt that may record the answer. No byte leaves before this is committed."""
        with self._transaction() as db:
            _move(db, number, (READY,), {"state": SENDING, "attempt": _CHUNK.c.attempt + 1})
            if before is not None:
                db.execute(sa.update(_CHUNK_ROWS).where(_CHUNK_ROWS.c.chunk == number).values(before=before))
            attempt = _scalar(db, sa.select(_CHUNK.c.attempt).where(_CHUNK.c.number == number))
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
            resends = _scalar(db, sa.select(_CHUNK.c.resends).where(_CHUNK.c.number == number))
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
                sa.update(_CHUNK).where(_CHUNK.c.number == number, _CHUNK.c.state == ACCEPTED).values(status=status)
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
            _note(db, number, "refused", {"children": _insert_chunks(db, children)})

    def recover(self, step: int, *, repeatable: bool) -> int:
        """What a dead process left in SENDING: UNKNOWN, or READY where repeating is harmless. How many."""
        state, doubted = (READY, 0) if repeatable else (UNKNOWN, 1)
        with self._transaction() as db:
            moved = db.execute(
                sa.update(_CHUNK)
                .where(_CHUNK.c.step == step, _CHUNK.c.state == SENDING)
                .values(state=state, doubted=doubted, why="found in SENDING at the start of an attempt")
            )
        return moved.rowcount

    def unpark(self, step: int) -> int:
        """PARKED → UNKNOWN (ACCEPTED where its order id is known): every start looks again. How many."""
        with self._transaction() as db:
            state = sa.case((_CHUNK.c.order_id.is_(None), UNKNOWN), else_=ACCEPTED)
            moved = db.execute(
                sa.update(_CHUNK).where(_CHUNK.c.step == step, _CHUNK.c.state == PARKED).values(state=state)
            )
        return moved.rowcount

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────

    def numbers(self, step: int, state: str, *, after: int = 0, most: int = 1_000_000) -> list[int]:
        """Chunk numbers of a step in a state, ascending."""
        with self._transaction() as db:
            return list(db.scalars(_PAGE, {"step": step, "state": state, "after": after, "most": most}))

    def head(self, number: int) -> Head:
        """InputError when there is no such chunk."""
        with self._transaction() as db:
            row = db.execute(sa.select(_CHUNK).where(_CHUNK.c.number == number)).mappings().first()
        if row is None:
            raise InputError(f"There is no chunk {number} in {self.path}.")
        return _head(row)

    def heads(self, step: int) -> Iterator[Head]:
        """All chunks of a step, by first row and number, a page at a time."""
        place = (-1, -1)
        where = sa.tuple_(_CHUNK.c.first_row, _CHUNK.c.number) > sa.tuple_(sa.bindparam("row"), sa.bindparam("number"))
        page = (
            sa.select(_CHUNK)
            .where(_CHUNK.c.step == step, where)
            .order_by(_CHUNK.c.first_row, _CHUNK.c.number)
            .limit(512)
        )
        while True:
            with self._transaction() as db:
                rows = db.execute(page, {"row": place[0], "number": place[1]}).mappings().all()
            if not rows:
                return
            yield from map(_head, rows)
            place = (rows[-1]["first_row"], rows[-1]["number"])

    def chunk(self, number: int) -> tuple[Head, Chunk, bytes | None]:
        """Head, rows and values (secrets left out), and the record that was read before a write."""
        with self._transaction() as db:
            row = db.execute(_LOAD, {"_number": number}).mappings().one()
        fields, arrays = unpack(row["packed"])
        chunk = Chunk(
            number=number,
            step=row["step"],
            customer_order_id=row["customer_order_id"],
            rows=arrays["rows"].cumsum(),
            tns=arrays["tns"],
            envelope=fields["envelope"],
            groups=tuple(fields["groups"]),
            group=arrays["group"].astype(np.int64),
        )
        return _head(row), chunk, row["before"]

    def issues(self, number: int) -> bytes | None:
        with self._transaction() as db:
            return db.scalar(sa.select(_CHUNK_ISSUES.c.issues).where(_CHUNK_ISSUES.c.chunk == number))

    def chunks_by_state(self, step: int | None = None) -> dict[str, int]:
        """How many chunks are in each state."""
        query = sa.select(_CHUNK.c.state, sa.func.count()).group_by(_CHUNK.c.state)
        if step is not None:
            query = query.where(_CHUNK.c.step == step)
        with self._transaction() as db:
            return dict(db.execute(query).tuples().all())

    def rows_by_state(self, step: int) -> dict[str, int]:
        """How many rows the chunks of a step hold in each state."""
        query = (
            sa.select(_CHUNK.c.state, sa.func.sum(_CHUNK.c.rows)).where(_CHUNK.c.step == step).group_by(_CHUNK.c.state)
        )
        with self._transaction() as db:
            return {state: int(count) for state, count in db.execute(query)}

    def orders_by_status(self) -> dict[str, int]:
        """How many orders the carrier made, by its own word."""
        query = (
            sa.select(_CHUNK.c.status, sa.func.count()).where(_CHUNK.c.order_id.isnot(None)).group_by(_CHUNK.c.status)
        )
        with self._transaction() as db:
            return {status or "": count for status, count in db.execute(query)}

    def known_order(self, step: int) -> tuple[str, str] | None:
        """(CustomerOrderId, order id) of some order of this step that the carrier confirmed."""
        query = sa.select(_CHUNK.c.customer_order_id, _CHUNK.c.order_id).where(
            _CHUNK.c.step == step, _CHUNK.c.order_id.isnot(None), _CHUNK.c.state.in_((ACCEPTED, SETTLED))
        )
        with self._transaction() as db:
            row = db.execute(query.limit(1)).first()
        return None if row is None else (row[0], row[1])

    def events(self, number: int) -> list[dict[str, Any]]:
        """What happened to a chunk, oldest first."""
        query = (
            sa.select(_EVENT.c.at, _EVENT.c.what, _EVENT.c.detail).where(_EVENT.c.chunk == number).order_by(_EVENT.c.id)
        )
        with self._transaction() as db:
            return [dict(row) for row in db.execute(query).mappings()]

    def doubles(self) -> list[tuple[int, list[str]]]:
        """Chunks for which a look-up found more than one order: (number, order ids)."""
        query = sa.select(_EVENT.c.chunk, _EVENT.c.detail).where(_EVENT.c.what == "found").order_by(_EVENT.c.id)
        with self._transaction() as db:
            found = [(chunk, json.loads(detail)) for chunk, detail in db.execute(query)]
        return [(chunk, [detail["order_id"], *detail["others"]]) for chunk, detail in found if detail["others"]]


def refuse_network(folder: Path) -> None:
    """InputError when the folder lies on a network file system, where WAL is not safe."""
    mounts = Path("/proc/self/mountinfo")
    if not mounts.exists():
        return
    where, best = str(folder.resolve()), ("", "")
    for line in mounts.read_text("utf-8", "replace").splitlines():
        left, _, right = line.partition(" - ")
        point, kind = left.split()[4], right.split()[0]
        inside = where == point or where.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best[0]):
            best = (point, kind)
    if best[1] in _NETWORK_FILE_SYSTEMS:
        raise InputError(
            f"{folder} lies on a network file system ({best[1]}): the ledger is not safe there. Choose a local [output] path."
        )


def _on_connect(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by the "begin" listener, not by the driver
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "trusted_schema=OFF",
        "secure_delete=ON",
        "busy_timeout=10000",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _recognize(db: sa.Connection, path: Path) -> None:
    application, version = (
        db.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("application_id", "user_version")
    )
    if application != APPLICATION_ID:
        raise InputError(f"{path} is not a ledger of batcher.")
    if version != VERSION:
        raise InputError(
            f"{path} was written by another version of batcher (ledger version {version}, this one reads {VERSION})."
        )
    damage = db.exec_driver_sql("PRAGMA quick_check(1)").scalar()
    if damage != "ok":
        raise InputError(f"{path} is damaged ({damage}). Nothing was sent.")


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
    db.execute(sa.delete(_CHUNK_ISSUES).where(_CHUNK_ISSUES.c.chunk == number))
    if issues is not None:
        db.execute(sa.insert(_CHUNK_ISSUES).values(chunk=number, issues=issues))


def _insert_chunks(db: sa.Connection, chunks: Sequence[Planned]) -> list[int]:
    """Numbers run through all steps; an order that carries such an id is ours and of this run."""
    if not chunks:
        return []
    first = _scalar(db, sa.select(sa.func.coalesce(sa.func.max(_CHUNK.c.number), 0))) + 1
    prefix = db.scalar(sa.select(_RUN.c.prefix))
    heads = [
        {
            "number": number,
            "step": chunk.step,
            "state": READY,
            "customer_order_id": f"b-{prefix}-{number}",
            "parent": chunk.parent,
            "rows": chunk.rows,
            "first_row": chunk.first_row,
            "last_row": chunk.last_row,
        }
        for number, chunk in enumerate(chunks, first)
    ]
    db.execute(sa.insert(_CHUNK), heads)
    db.execute(
        sa.insert(_CHUNK_ROWS), [{"chunk": first + place, "rows": chunk.packed} for place, chunk in enumerate(chunks)]
    )
    return list(range(first, first + len(chunks)))


def _scalar(db: sa.Connection, query: sa.Select[Any]) -> int:
    return int(db.execute(query).scalar_one())


def _head(row: sa.RowMapping) -> Head:
    values = {name: row[name] for name in Head.__slots__}
    return Head(**{**values, "doubted": bool(values["doubted"])})
