"""Bugs planted into the running program: a harness that does not catch them proves nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

from batcher.carrier.look_up import LookUp
from batcher.errors import CarrierUnavailable
from batcher.ledger import Ledger


def intent_after_the_post() -> None:
    """The ledger is written when the answer is there: a process that dies before that leaves no trace of its POST."""
    intend, meant = Ledger.intend, {}

    def only_mean(self: Ledger, number: int, before: bytes | None = None) -> int:
        meant[number] = before
        return self.head(number).attempt + 1

    def late(original: Callable[..., None]) -> Callable[..., None]:
        @wraps(original)
        def record(self: Ledger, number: int, *arguments: Any, **named: Any) -> None:
            if number in meant:
                intend(self, number, meant.pop(number))
            original(self, number, *arguments, **named)

        return record

    Ledger.intend = only_mean  # type: ignore[method-assign]
    for name in ("accept", "unsend", "doubt", "refuse", "settle"):
        setattr(Ledger, name, late(getattr(Ledger, name)))


def requeue_in_doubt() -> None:
    """What may have been executed is simply sent again."""
    recover = Ledger.recover

    def to_ready(self: Ledger, step: int, *, repeatable: bool) -> int:
        del repeatable
        return recover(self, step, repeatable=True)

    Ledger.recover = to_ready  # type: ignore[method-assign]
    Ledger.doubt = Ledger.unsend  # type: ignore[method-assign]


def nobody_looks_again() -> None:
    """No order that was in doubt, or sent more than once, is looked up at the end."""
    Ledger.unaudited = lambda *_, **__: []  # type: ignore[method-assign]


def park_in_doubt() -> None:
    """What is in doubt is left to a person, who knows: nothing is lost or doubled, and nothing was proven."""

    async def park(self: LookUp, number: int) -> None:
        await self._record(self._record.ledger.park, number, "nobody looked")

    LookUp.look_up = park  # type: ignore[method-assign]


def give_up() -> None:
    """Each first start ends with 6, for others to go on."""

    def stop(*_: Any, **__: Any) -> None:
        raise CarrierUnavailable("planted")

    if not list(Path.cwd().glob("out/2*/summary.json")):
        Ledger.recover = stop  # type: ignore[method-assign, assignment]


#: What doubles TNs, or loses rows.
BUGS: Mapping[str, Callable[[], None]] = {
    "ledger written after the POST": intent_after_the_post,
    "requeue in doubt": requeue_in_doubt,
}
#: What does neither, and is no better for it.
SILENT: Mapping[str, Callable[[], None]] = {
    "nobody looks again": nobody_looks_again,
    "park in doubt": park_in_doubt,
    "give up": give_up,
}
