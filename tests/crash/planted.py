"""Two bugs, planted into the running program: a harness that does not catch them proves nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

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


BUGS: Mapping[str, Callable[[], None]] = {
    "ledger written after the POST": intent_after_the_post,
    "requeue in doubt": requeue_in_doubt,
}
