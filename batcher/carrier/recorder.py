"""The ledger as the event loop uses it: one transaction at a time, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar, cast

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from batcher.errors import StorageFailed
from batcher.ledger import Ledger

_T = TypeVar("_T")
_Calls = SimpleQueue[tuple[Callable[[], Any], "asyncio.Future[Any]"] | None]

#: An answer that was received must not be lost to a full disk without a fight: tries, a second apart.
_TRIES = 5


class Recorder:
    """Calls of one ledger, each awaited and none torn by a cancellation."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        # To hand a call to a worker of anyio's costs three times as much, and an order makes ten of them.
        self._calls: _Calls = SimpleQueue()
        threading.Thread(target=_work, args=(self._calls,), name="ledger", daemon=True).start()
        weakref.finalize(self, self._calls.put, None)

    async def __call__(self, call: Callable[..., _T], *arguments: Any, **named: Any) -> _T:
        """One transaction, off the event loop, in the order of the calls."""
        await checkpoint_if_cancelled()
        outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._calls.put((partial(call, *arguments, **named), outcome))
        with anyio.CancelScope(shield=True):
            result = await outcome
        return cast("_T", result)

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


def _work(calls: _Calls) -> None:
    """Make one call after the other until there is a None."""
    while (item := calls.get()) is not None:
        call, outcome = item
        if outcome.cancelled():
            continue  # the loop was torn down before it was begun
        try:
            tell, what = outcome.set_result, call()
        except BaseException as error:  # ruff: ignore[blind-except] - raised in the task that waits for it
            tell, what = outcome.set_exception, error
        with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
            outcome.get_loop().call_soon_threadsafe(_tell, outcome, tell, what)
        # Or the last chunk, and whoever asked for it, would be kept until the next call.
        del item, call, outcome, tell, what


def _tell(outcome: asyncio.Future[Any], tell: Callable[[Any], None], what: object) -> None:
    if not outcome.done():  # the loop itself may have been torn down meanwhile
        tell(what)
