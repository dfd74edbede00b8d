"""A chunk as the ledger keeps it: its head in columns, its rows and values packed into one blob."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from batcher.blob import pack, unpack
from batcher.ledger.states import READY
from batcher.ledger.tables import CHUNK, CHUNK_ROWS, RUN
from batcher.model import Chunk


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
    level: int = 0
    family: int | None = None
    after: int | None = None
    first: bool = False
    order_id: str | None = None
    status: str | None = None
    why: str | None = None
    doubted: bool = False


@dataclass(frozen=True, slots=True)
class Planned:
    """A chunk as planning writes it: its rows and values packed. The ledger gives it number and id.

    `sister` is the place, in the list that is written, of the half that goes first.
    """

    step: int
    rows: int
    first_row: int
    last_row: int
    packed: bytes
    parent: int | None = None
    level: int = 0
    family: int | None = None
    sister: int | None = None
    first: bool = False


def planned(
    step: int,
    *,
    rows: NDArray[np.int64],
    tns: NDArray[np.int64],
    envelope: Mapping[str, str],
    groups: Sequence[Mapping[str, str]],
    group: NDArray[np.int64],
    **more: Any,
) -> Planned:
    """Pack the rows of one chunk. Secret values must have been taken out of `groups` and `envelope`."""
    arrays = {
        "rows": np.diff(rows, prepend=0),  # mostly ones: they all but vanish in the compression
        "tns": tns,
        "group": group.astype(np.min_scalar_type(max(len(groups) - 1, 0))),
    }
    packed = pack({"envelope": dict(envelope), "groups": list(map(dict, groups))}, arrays)
    return Planned(step, len(rows), int(rows[0]), int(rows[-1]), packed, **more)


def chunk_of(row: sa.RowMapping) -> Chunk:
    """The chunk of a row that has `packed` beside its head."""
    fields, arrays = unpack(row["packed"])
    return Chunk(
        number=row["number"],
        step=row["step"],
        customer_order_id=row["customer_order_id"],
        rows=arrays["rows"].cumsum(),
        tns=arrays["tns"],
        envelope=fields["envelope"],
        groups=tuple(fields["groups"]),
        group=arrays["group"].astype(np.int64),
    )


def insert_chunks(db: sa.Connection, chunks: Sequence[Planned]) -> list[int]:
    """Numbers run through all steps; an order that carries such an id is ours and of this run."""
    if not chunks:
        return []
    first = scalar(db, sa.select(sa.func.coalesce(sa.func.max(CHUNK.c.number), 0))) + 1
    prefix = db.scalar(sa.select(RUN.c.prefix))
    heads = [
        {
            "number": number,
            "step": chunk.step,
            "state": READY,
            "customer_order_id": f"b-{prefix}-{number}",
            "parent": chunk.parent,
            "level": chunk.level,
            "family": chunk.family,
            "after": None if chunk.sister is None else first + chunk.sister,
            "first": int(chunk.first),
            "rows": chunk.rows,
            "first_row": chunk.first_row,
            "last_row": chunk.last_row,
        }
        for number, chunk in enumerate(chunks, first)
    ]
    db.execute(sa.insert(CHUNK), heads)
    db.execute(
        sa.insert(CHUNK_ROWS), [{"chunk": first + place, "rows": chunk.packed} for place, chunk in enumerate(chunks)]
    )
    return list(range(first, first + len(chunks)))


def scalar(db: sa.Connection, query: sa.Select[Any]) -> int:
    return int(db.execute(query).scalar_one())


def head_of(row: sa.RowMapping) -> Head:
    values = {name: row[name] for name in Head.__slots__}
    return Head(**{**values, "doubted": bool(values["doubted"]), "first": bool(values["first"])})
