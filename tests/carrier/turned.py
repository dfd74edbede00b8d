"""A clock for a wire and its gate that only sleeping turns."""

from __future__ import annotations

from typing import Self

import anyio.lowlevel

from batcher.carrier.wire import Wire


class Turned:
    """Seconds that pass when somebody sleeps them."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await anyio.lowlevel.checkpoint()

    @classmethod
    def of(cls, wire: Wire) -> Self:
        """The clock of this wire from now on."""
        clock = cls()
        wire.clock = wire.gate._clock = clock
        wire.breaker.clock = wire.writes.clock = clock
        wire.gate._sleep = wire.sleep = clock.sleep
        return clock
