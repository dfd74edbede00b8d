"""The simulated account: its options, its orders and locations, and what was executed.

Nothing here knows HTTP. Outcomes follow from the TNs and the options alone; time is handed in, in epoch seconds.
"""

from __future__ import annotations

import uuid
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batcher.errors import InputError
from batcher.simulator import journal as journals
from batcher.simulator.answers import Remark
from batcher.simulator.numbers import Tns, TnSet
from batcher.simulator.options import Options, Rule
from batcher.simulator.orders import Order, is_settled
from batcher.simulator.sippeers import Record, full_record, read_record
from batcher.simulator.tnoptions import Draft, Refused, read_order
from batcher.simulator.toml import read_toml

TN_OPTIONS, IMPORT_TN_CHECKER, SIPPEER_FAILOVER = "tn-options", "import-tn-checker", "sippeer-failover"

_LISTED_AT_MOST = 100


class Account:
    """Options and state. With a journal, what an earlier simulator executed is there again at the start."""

    def __init__(self, options: Options | None = None, *, journal: Path | None = None) -> None:
        self.options = options or Options()
        #: tnoptions orders by id, in the order of their execution
        self.orders: dict[str, Order] = {}
        #: executed writes: orders and records of locations
        self.executions = 0
        self._holds = TnSet.of(self.options.holds)
        self._unnamed = TnSet.of(self.options.unnamed)
        self._errors = [(rule, TnSet.of(rule.tns)) for rule in self.options.error]
        self._warnings = [(rule, TnSet.of(rule.tns)) for rule in self.options.warning]
        self._peers: dict[tuple[str, str, str], Record] = {}
        self._repeats: Counter[bytes] = Counter()
        self._journal: Path | None = None
        if journal is not None:
            self._replay(journal)
            self._journal = journal

    def post_order(
        self, body: bytes, *, api: str, account_id: str, user: str, now: float, listed: bool = True
    ) -> Order:
        """Execute a tnoptions order, or raise Refused."""
        draft = read_order(body, api=api, refuses_sip_prefix=self.options.sip_prefix == "refused")
        if self._unnamed.holds(draft.tns).any():
            raise Refused("5070", "Telephone number is invalid.")
        about = {"api": api, "account_id": account_id, "user": user, "now": now, "listed": listed}
        self._execute({"operation": TN_OPTIONS} | about, body)
        order = Order(
            account_id=account_id,
            user=user,
            order_id=self._order_id(draft),
            customer_order_id=draft.customer_order_id,
            created=now,
            tns=draft.tns,
            packed=zlib.compress(draft.groups.encode(), 1),
            failed=len({error.tn for error in self.errors(draft.tns)}),
            is_listed=listed,
        )
        self.orders[order.order_id] = order
        return order

    def _order_id(self, draft: Draft) -> str:
        """From the TNs and how often exactly they were executed, so that a repeated run meets the same ids."""
        digest = blake2b(TN_OPTIONS.encode() + draft.tns.tobytes(), digest_size=16).digest()
        self._repeats[digest] += 1
        number = self._repeats[digest].to_bytes(8, "little")
        return str(uuid.UUID(bytes=blake2b(digest + number, digest_size=16).digest(), version=4))

    def put_sippeer(self, body: bytes, *, account_id: str, site_id: str, sippeer_id: str) -> Record:
        """Overwrite a location that exists, or raise Refused."""
        record = read_record(body)
        about = {"account_id": account_id, "site_id": site_id, "sippeer_id": sippeer_id}
        self._execute({"operation": SIPPEER_FAILOVER} | about, body)
        self._peers[account_id, site_id, sippeer_id] = record
        return record

    def _execute(self, entry: dict[str, Any], body: bytes) -> None:
        """Count a write, and write it down before anything comes of it."""
        if self._journal is not None:
            journals.append(self._journal, entry, body)
        self.executions += 1

    def _replay(self, journal: Path) -> None:
        for entry, body in journals.replay(journal):
            about = dict(entry)
            again = self.post_order if about.pop("operation", None) == TN_OPTIONS else self.put_sippeer
            try:
                again(body, **about)
            except (Refused, TypeError) as error:
                raise InputError(
                    f"{journal}: does not fit this account: {error}. Name another file, or the account file it grew under."
                ) from error

    def sippeer(self, account_id: str, site_id: str, sippeer_id: str) -> Record | None:
        """The record of a location, None where there is none."""
        if record := self._peers.get((account_id, site_id, sippeer_id)):
            return record
        if not self.options.sippeer:
            return full_record("location", None)
        for entry in self.options.sippeer:
            if (entry.site_id, entry.sippeer_id) == (site_id, sippeer_id):
                return full_record(entry.peer_name, entry.final_destination_uri)
        return None

    def holds(self, tns: Tns) -> NDArray[np.bool_]:
        """Which of the TNs are on the account."""
        return self._holds.holds(tns)

    def errors(self, tns: Tns, operation: str = TN_OPTIONS) -> list[Remark]:
        """At most one error a TN: it is not the account's, else the first rule that names it. Ascending."""
        found: dict[int, Remark] = {}
        if operation == TN_OPTIONS:
            strangers = tns[~self._holds.holds(tns)].tolist()
            found = {tn: Remark(tn, "5076", "Telephone number is not available.") for tn in strangers}
        for remark in _remarks(self._errors, tns, operation):
            found.setdefault(remark.tn, remark)
        return [found[tn] for tn in sorted(found)]

    def warnings(self, tns: Tns) -> list[Remark]:
        """What the carrier says about TNs that it changed all the same."""
        failed = {error.tn for error in self.errors(tns)} if self._warnings else set()
        return [remark for remark in _remarks(self._warnings, tns, TN_OPTIONS) if remark.tn not in failed]

    def tn_options(self, tn: int, now: float) -> dict[str, str]:
        """What the settled orders made of one TN, by element; a cleared option is absent."""
        options: dict[str, str] = {}
        if self.errors(np.array([tn], np.int64)):
            return options
        for order in self.orders.values():
            if order.has(tn) and is_settled(order, self.options.settle, now):
                options |= order.settings(tn)
        return {name: value for name, value in options.items() if value != "systemDefault"}

    def executed(self) -> dict[str, Any]:
        """What the tests compare a ledger with; the shape is fixed by DESIGN.md 9."""
        tns, doubled = _counted([order.tns for order in self.orders.values()])
        ids = Counter(order.customer_order_id for order in self.orders.values() if order.customer_order_id)
        return {
            "orders": len(self.orders),
            "tns": tns,
            "executions": self.executions,
            "doubled_tns": [f"+{tn}" for tn in doubled],
            "doubled_customer_order_ids": sorted(name for name, times in ids.items() if times > 1)[:_LISTED_AT_MOST],
        }


def read_account(path: Path, *, journal: Path | None = None) -> Account:
    """The account of an account file (docs/simulator.md); InputError with file and reasons."""
    return Account(read_toml(path, Options), journal=journal)


def _remarks(rules: Sequence[tuple[Rule, TnSet]], tns: Tns, operation: str) -> Iterable[Remark]:
    for rule, members in rules:
        if rule.operation == operation:
            for tn in tns[members.holds(tns)].tolist():
                yield Remark(tn, rule.code, rule.text)


def _counted(arrays: list[Tns]) -> tuple[int, list[int]]:
    """How many distinct TNs there are, and the first that stand in more than one array."""
    if not arrays:
        return 0, []
    merged = np.concatenate(arrays)
    merged.sort(kind="stable")
    repeats = merged[1:][merged[1:] == merged[:-1]]
    return len(merged) - len(repeats), np.unique(repeats)[:_LISTED_AT_MOST].tolist()
