"""The ledger as the event loop uses it: one transaction at a time, in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import anyio
from anyio import to_thread

from batcher.errors import StorageFailed
from batcher.ledger import Ledger

_T = TypeVar("_T")

#: An answer that was received must not be lost to a full disk without a fight: tries, a second apart.
_TRIES = 5


class Recorder:
    """Calls of one ledger, each awaited and none torn by a cancellation."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._thread = anyio.CapacityLimiter(1)

    async def __call__(self, call: Callable[..., _T], *arguments: Any, **named: Any) -> _T:
        """One transaction, off the event loop."""
        return await to_thread.run_sync(partial(call, *arguments, **named), limiter=self._thread)

    async def keep(self, call: Callable[..., None], *arguments: Any, **named: Any) -> None:
        """Record what came back from the carrier; a full disk gets a few chances."""
        for left in reversed(range(_TRIES)):
            try:
                return await self(call, *arguments, **named)
            except StorageFailed:
                if not left:
                    raise
                await anyio.sleep(1)
        return None
