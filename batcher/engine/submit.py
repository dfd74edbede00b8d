"""How many chunks are under way at once, and what comes next for each: the only task group of a step.

Each chunk is carried by one task from READY to wherever it can go. The queue of record is the ledger: a task
that dies loses nothing, for the next start finds the chunk where it was left.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import anyio
from anyio.abc import TaskGroup

from batcher.carrier.converse import Conversation
from batcher.errors import BatcherError
from batcher.ledger import ACCEPTED, READY, UNKNOWN, Head
from batcher.model import Check, Ensure, Order, Read

#: Writes under way at once, without a word in the job.
LEAST_IN_FLIGHT, MOST_IN_FLIGHT = 8, 64
#: On the first signal, writes under way get so long to be answered.
GRACE_SECONDS = 30.0
_PAGE = 256


class Submission:
    """One step on its way to the carrier."""

    def __init__(
        self, conversation: Conversation, *, rate: float, in_flight: int | None, settled: Callable[[int], None]
    ) -> None:
        """`settled` is told how many rows each chunk that came to rest holds."""
        self._conversation = conversation
        self._ledger = conversation.ledger
        self._step = conversation.step
        self._rate = rate
        self._in_flight = in_flight
        self._settled = settled
        self._slots = anyio.CapacityLimiter(in_flight or LEAST_IN_FLIGHT)
        self._group: TaskGroup | None = None
        self._active = 0
        self._changed = anyio.Event()
        self._error: BatcherError | None = None
        self._measured = False

    async def run(self, *, send: bool = True) -> None:
        """Carry every open chunk of the step to its end; raises the first error that stops the run.

        Without `send`, nothing new leaves: what is in doubt is looked up, and open orders are asked once.
        """
        talk, record = self._conversation.operation.talk, self._conversation.record
        await record(self._ledger.recover, self._step, repeatable=isinstance(talk, Check | Read))
        await record(self._ledger.unpark, self._step)
        async with anyio.create_task_group() as self._group:
            for number in await record(self._ledger.numbers, self._step, UNKNOWN):
                self._start(number, UNKNOWN, send)
            for number in await record(self._ledger.numbers, self._step, ACCEPTED):
                self._start(number, ACCEPTED, send)
            if send:
                await self._produce()
        self._group = None
        if self._error is not None:
            raise self._error

    def stop(self, grace_seconds: float) -> None:
        """No new sends; writes under way get so long, everything else ends at once."""
        if self._group is not None:
            self._conversation.stop(grace_seconds)
            self._group.cancel_scope.cancel()

    async def _produce(self) -> None:
        last = 0
        while True:
            changed = self._changed
            page = await self._conversation.record(self._ledger.numbers, self._step, READY, after=last, most=_PAGE)
            for number in page:
                await self._slots.acquire_on_behalf_of(number)
                self._start(number, READY, True)
                last = number
            if not page and not self._active:
                return
            if not page:
                # A chunk under way may be refused and leave its other rows as a new one.
                await changed.wait()

    def _start(self, number: int, state: str, send: bool) -> None:
        assert self._group is not None
        self._active += 1
        self._group.start_soon(self._guard, number, state, send)

    async def _guard(self, number: int, state: str, send: bool) -> None:
        try:
            await self._carry(number, state, send)
        except BatcherError as error:
            self._error = self._error or error
            self.stop(GRACE_SECONDS)
        finally:
            self._active -= 1
            self._changed.set()
            self._changed = anyio.Event()

    async def _carry(self, number: int, state: str, send: bool) -> None:
        conversation, resumed = self._conversation, state == ACCEPTED
        head: Head | None = None
        while state in {READY, ACCEPTED, UNKNOWN}:
            if state == READY:
                if not send:
                    return
                await self._send(number, waiting=head is not None)
            elif state == UNKNOWN:
                await conversation.look_up(number)
            elif send:
                await conversation.follow(number, at_once=resumed)
            else:
                await self._ask_once(number)
                return
            resumed = False
            head = await conversation.record(self._ledger.head, number)
            state = head.state
            if state == ACCEPTED and not self._measured and isinstance(conversation.operation.talk, Order):
                self._measured = True
                assert self._group is not None
                self._group.start_soon(conversation.measure, number)
        if head is not None:
            self._settled(head.rows)

    async def _ask_once(self, number: int) -> None:
        """Take what an open order says now, and leave it open when it is."""
        head = await self._conversation.record(self._ledger.head, number)
        reading = await self._conversation.poll(head, tries=1)
        if reading is not None and reading.settled:
            await self._conversation.settle(number, reading)

    async def _send(self, number: int, *, waiting: bool) -> None:
        if waiting:
            await self._slots.acquire_on_behalf_of(number)
        try:
            await self._conversation.send(number)
        finally:
            self._slots.release_on_behalf_of(number)
        self._slots.total_tokens = self._wanted()

    def _wanted(self) -> int:
        """Little's law with a quarter to spare: ceil(1.25 x rate x 95th percentile of latency) + 1."""
        if self._in_flight is not None:
            return self._in_flight
        latencies = sorted(self._conversation.wire.latencies) or [0.0]
        slow = latencies[min(len(latencies) - 1, math.floor(0.95 * len(latencies)))]
        if isinstance(self._conversation.operation.talk, Ensure | Read):
            slow *= 3  # a chunk is several requests there
        return max(LEAST_IN_FLIGHT, min(MOST_IN_FLIGHT, math.ceil(1.25 * self._rate * slow) + 1))
