"""The frozen values that travel between the floors, in the words of the field.

Nothing happens here. TNs are integers of their E.164 digits everywhere (+1 919 555 0123 is
19195550123); 0 means *none*. Rows count the data rows of the input from 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

#: The carrier's API versions: v1 speaks ten digits, v2 E.164.
APIS = ("v1", "v2")

#: What a row can end as, in the order of the numbers that arrays of statuses hold.
STATUSES = ("pending", "unknown", "succeeded", "failed", "rejected", "duplicate", "skipped")
PENDING, UNKNOWN, SUCCEEDED, FAILED, REJECTED, DUPLICATE, SKIPPED = range(len(STATUSES))

#: Largest answer to one order, check or record that is read, in bytes (a fully failed order is 1 MB).
MAX_ANSWER_BYTES = 4 * 1024 * 1024
#: Largest list of orders that is read, in bytes.
MAX_LIST_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Column:
    """A setting whose value stands in a column of the input."""

    column: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """At most `max_rows` rows that travel in one request.

    `rows`, `tns` and `group` have the same length and stand in input order.
    """

    #: number within the run, from 1, running through all steps
    number: int
    #: number of the step, from 1
    step: int
    #: `b-` + the run's random part + `-` + number; at most 40 characters
    customer_order_id: str
    #: row numbers (int64, ascending, from 1)
    rows: NDArray[np.int64]
    #: E.164 digits (int64), 0 where the row has no TN
    tns: NDArray[np.int64]
    #: order-level values by setting name, as text in the carrier's form
    envelope: Mapping[str, str]
    #: distinct sets of row-level values by setting name, as text in the carrier's form
    groups: tuple[Mapping[str, str], ...]
    #: index into `groups` of each row (int64)
    group: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, before host, account and credentials are added.

    `path` is relative to `accounts/{account}/`; with a leading slash, to the API's base.
    """

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    #: largest answer that is read, in bytes
    max_bytes: int = MAX_ANSWER_BYTES


@dataclass(frozen=True, slots=True)
class Answer:
    """A real HTTP answer, read to its end."""

    status: int
    body: bytes
    #: names in lower case
    headers: Mapping[str, str] = field(default_factory=dict)


class Issue(NamedTuple):
    """Something the carrier said about one TN (or, with tn 0, about the order as a whole)."""

    #: "error" or "warning"
    kind: str
    #: E.164 digits, 0 for the order as a whole
    tn: int
    code: str
    text: str


class Product(NamedTuple):
    """What one TN brought, in the order of the operation's answer columns."""

    tn: int
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """What an answer says about a chunk, in our words."""

    order_id: str | None = None
    customer_order_id: str | None = None
    #: the carrier's own word (RECEIVED, PARTIAL, …)
    status: str | None = None
    #: the carrier will not change it any more
    settled: bool = False
    issues: Sequence[Issue] = ()
    products: Sequence[Product] = ()


@dataclass(frozen=True, slots=True)
class Find:
    """How an order whose answer was lost is found again by its CustomerOrderId.

    `look_up(customer_order_id, api)` asks the list; `orders(answer)` gives the (order id, customer
    order id or None) pairs it holds, or None when the answer is no valid, complete list;
    `recent(day, api)` asks for the orders since that day, to prove that the list works at all, and
    `some(answer)` gives those of its pairs that an answer shows, though it may be cut.
    """

    look_up: Callable[[str, str], Request]
    orders: Callable[[Answer], list[tuple[str, str | None]] | None]
    recent: Callable[[str, str], Request]
    some: Callable[[Answer], Sequence[tuple[str, str | None]]]


@dataclass(frozen=True, slots=True)
class Order:
    """Post, then poll until it settles."""

    post: Callable[[Chunk, str], Request]
    #: reads the answer to the post and to the poll alike
    read: Callable[[Answer], Reading]
    #: (order id, api)
    poll: Callable[[str, str], Request]
    find: Find


@dataclass(frozen=True, slots=True)
class Check:
    """Post, and the answer is the result; harmless to repeat."""

    post: Callable[[Chunk, str], Request]
    read: Callable[[Answer], Reading]


@dataclass(frozen=True, slots=True)
class Ensure:
    """Get a record, decide, write it whole, read it back."""

    get: Callable[[Chunk, str], Request]
    #: the request that makes it so; None where it is so already
    decide: Callable[[Answer, Chunk, str], Request | None]
    holds: Callable[[Answer, Chunk], bool]


@dataclass(frozen=True, slots=True)
class Read:
    """Ask, and keep the answers."""

    pages: Callable[[Chunk, str], Sequence[Request]]
    read: Callable[[Answer], Reading]
    #: names of a product's values, the columns of answers.csv after `row,tn`
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing the carrier can do; one file in `batcher/operations/`."""

    name: str
    #: one line for `batcher operations`
    summary: str
    #: a frozen pydantic model; each field is a value for every row, a Column, or an option
    settings: type[Any]
    talk: Order | Check | Ensure | Read
    #: most rows of one request
    max_rows: Callable[[Any], int]
    #: path by API version, with {setting} where a value of the row goes
    path: Mapping[str, str]
    #: (setting name, cell, settings) -> the value as the carrier wants it; ValueError says why not
    check: Callable[[str, str, Any], str]
    #: what names a row: ("tn",) or settings
    key: tuple[str, ...] = ("tn",)
    #: settings that hold for a whole order: rows that differ in them need orders of their own
    envelope: tuple[str, ...] = ()
    #: settings that are never written down
    secret: tuple[str, ...] = ()
    #: settings that only steer `check` and are not sent
    options: tuple[str, ...] = ()
    #: settings without which a row is refused
    required: tuple[str, ...] = ()
    #: (values of one row by setting) -> (setting, why) when they contradict one another
    agree: Callable[[Mapping[str, str]], tuple[str, str] | None] | None = None
    #: error codes that no TN is to blame for: "order" when it is the whole order, "value" when it is what a group sets
    blame: Mapping[str, str] = field(default_factory=dict)
    #: settings whose value may be a TN that calls go to: one that equals its own row's TN is a loop
    destinations: tuple[str, ...] = ()
