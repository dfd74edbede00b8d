"""The durable record of a run: its steps, chunks, answers and outcomes, in one SQLite file.

The only package that imports SQLAlchemy.
"""

from batcher.ledger.file import APPLICATION_ID, VERSION, refuse_network
from batcher.ledger.readings import Readings
from batcher.ledger.record import MAX_RESENDS, Ledger
from batcher.ledger.rows import Head, Planned, planned
from batcher.ledger.states import (
    ACCEPTED,
    OPEN_STATES,
    PARKED,
    READY,
    REFUSED,
    RETIRED,
    SENDING,
    SETTLED,
    UNKNOWN,
)

__all__ = [
    "ACCEPTED",
    "APPLICATION_ID",
    "MAX_RESENDS",
    "OPEN_STATES",
    "PARKED",
    "READY",
    "REFUSED",
    "RETIRED",
    "SENDING",
    "SETTLED",
    "UNKNOWN",
    "VERSION",
    "Head",
    "Ledger",
    "Planned",
    "Readings",
    "planned",
    "refuse_network",
]
