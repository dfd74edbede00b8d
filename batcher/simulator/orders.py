"""An executed order, and what becomes of it with time.

Made for 2,000 orders of 5,000 TNs: TNs are one array, the groups are compressed, errors are worked out anew when
somebody asks.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET  # ruff: ignore[suspicious-xml-etree-import] - only what read_order wrote is parsed
import zlib
from dataclasses import dataclass

import numpy as np

from batcher.simulator.numbers import Tns
from batcher.simulator.options import Settle


@dataclass(slots=True)
class Order:
    """One executed tnoptions order. Times are epoch seconds."""

    account_id: str
    user: str
    order_id: str
    customer_order_id: str | None
    created: float
    #: distinct, ascending
    tns: Tns
    #: the groups as XML, compressed
    packed: bytes
    #: number of TNs that fail
    failed: int
    #: False: it never appears in a list
    is_listed: bool
    #: GETs by id so far
    polls: int = 0
    #: when the poll that found it settled was
    settled: float = 0.0

    def groups(self) -> str:
        """The groups as XML, TNs in E.164, passcodes included."""
        return zlib.decompress(self.packed).decode()

    def has(self, tn: int) -> bool:
        """The order is about this TN."""
        at = int(np.searchsorted(self.tns, tn))
        return at < len(self.tns) and int(self.tns[at]) == tn

    def settings(self, tn: int) -> dict[str, str]:
        """What the order sets for one TN, by element; what it leaves unchanged is absent."""
        for group in ET.fromstring(f"<all>{self.groups()}</all>"):  # ruff: ignore[suspicious-xml-element-tree-usage] - written by read_order
            if any(number.text == f"+{tn}" for number in group.iterfind("TelephoneNumbers/TelephoneNumber")):
                values = {child.tag: _value(child) for child in group if child.tag != "TelephoneNumbers"}
                return {name: value for name, value in values.items() if value != "unchanged"}
        return {}


def poll(order: Order, settle: Settle, now: float) -> None:
    """Somebody asked for the order by its id."""
    order.polls += 1
    if not order.settled and is_settled(order, settle, now):
        order.settled = now


def is_settled(order: Order, settle: Settle, now: float) -> bool:
    """The carrier will not change it any more."""
    if settle == "at once":
        return True
    if "polls" in settle:
        return order.polls > settle["polls"]
    return now - order.created >= settle["seconds"]


def status(order: Order, settle: Settle, now: float) -> str:
    """RECEIVED, PROCESSING, or what it settled as."""
    if not is_settled(order, settle, now):
        return "RECEIVED" if _is_fresh(order, settle, now) else "PROCESSING"
    if not order.failed:
        return "COMPLETE"
    return "FAILED" if order.failed == len(order.tns) else "PARTIAL"


def modified(order: Order, settle: Settle, now: float) -> float:
    """When the order last changed."""
    if settle == "at once" or not is_settled(order, settle, now):
        return order.created
    return order.settled if "polls" in settle else order.created + settle["seconds"]


def _is_fresh(order: Order, settle: Settle, now: float) -> bool:
    """The carrier has not begun with it: nobody polled yet, or the first half of its seconds."""
    if settle != "at once" and "seconds" in settle:
        return now - order.created < settle["seconds"] / 2
    return order.polls == 0


def _value(child: ET.Element) -> str:
    return ET.tostring(child, encoding="unicode") if len(child) else child.text or ""
