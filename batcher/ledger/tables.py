"""The tables of a ledger, declared once.

No table has a row per TN: rows and issues of a chunk are blobs.
"""

from __future__ import annotations

import sqlalchemy as sa

METADATA = sa.MetaData()

RUN = sa.Table(
    "run",
    METADATA,
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
ATTEMPT = sa.Table(
    "attempt",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("started", sa.Float, nullable=False),
    sa.Column("ended", sa.Float),
    sa.Column("exit_code", sa.Integer),
    #: requests and 429s of this attempt, JSON
    sa.Column("facts", sa.Text, nullable=False, default="{}"),
)
STEP = sa.Table(
    "step",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("operation", sa.Text, nullable=False),
    #: settings as the job gives them, without secrets, JSON
    sa.Column("settings", sa.Text, nullable=False),
    #: when the whole plan of the step was written; NULL: not planned
    sa.Column("planned", sa.Float),
)
CHUNK = sa.Table(
    "chunk",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("step", sa.Integer, sa.ForeignKey("step.number"), nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("customer_order_id", sa.Text, nullable=False),
    #: grows with every intent; whoever records an answer must hold the same number
    sa.Column("attempt", sa.Integer, nullable=False, default=0),
    #: how often it was sent again after its absence was proven
    sa.Column("resends", sa.Integer, nullable=False, default=0),
    #: the refused chunk whose rows it holds
    sa.Column("parent", sa.Integer),
    #: how often its rows were halved to find the one that an error does not name, and the chunk that this began with
    sa.Column("level", sa.Integer, nullable=False, default=0),
    sa.Column("family", sa.Integer),
    #: the other half, which goes first: once it is accepted, the fault is known to be here
    sa.Column("after", sa.Integer),
    #: 1 when it holds rows of the sample that goes before all others
    sa.Column("first", sa.Integer, nullable=False, default=0),
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
CHUNK_ROWS = sa.Table(
    "chunk_rows",
    METADATA,
    sa.Column("chunk", sa.Integer, sa.ForeignKey("chunk.number"), primary_key=True),
    sa.Column("rows", sa.LargeBinary, nullable=False),
    #: the record an *ensure* read before it wrote
    sa.Column("before", sa.LargeBinary),
)
CHUNK_ISSUES = sa.Table(
    "chunk_issues",
    METADATA,
    sa.Column("chunk", sa.Integer, sa.ForeignKey("chunk.number"), primary_key=True),
    sa.Column("issues", sa.LargeBinary, nullable=False),
)
EVENT = sa.Table(
    "event",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", sa.Float, nullable=False),
    sa.Column("chunk", sa.Integer),
    sa.Column("what", sa.Text, nullable=False),
    sa.Column("detail", sa.Text),
)
