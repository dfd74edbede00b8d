"""How many chunks are under way at once, and what comes next for each: the only task group of a step.

Each chunk is carried by one task from READY to wherever it can go. The queue of record is the ledger: a task
that dies loses nothing, for the next start finds the chunk where it was left.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable

import anyio
from anyio.abc import TaskGroup

from batcher.carrier.converse import Conversation
from batcher.carrier.limits import POLL, POST
from batcher.carrier.wire import LEAST_AT_ONCE
from batcher.errors import CarrierRefused
from batcher.ledger import ACCEPTED, READY, REFUSED, SETTLED, UNKNOWN, Head
from batcher.model import Check, Ensure, Order, Read

#: On the first signal, writes under way get so long to be answered.
GRACE_SECONDS = 30.0
#: Of the first orders that came to an end, so many that were refused or FAILED stop the run.
FIRST_ORDERS, MOST_BAD_ORDERS = 10, 3
#: Among so many orders, the end of one more is asked for early.
_ORDERS_A_POLL = 100
_PAGE = 256
#: How often a chunk that waits for a slot looks whether there should be more.
_GROW_SECONDS = 0.1
#: How often `--wait` looks whether a proof that it waits for has ended.
_PROVING_SECONDS = 0.5


class Submission:
    """One step on its way to the carrier."""

    def __init__(
        self,
        conversation: Conversation,
        *,
        rate: float,
        in_flight: int | None,
        settled: Callable[[int], None],
        wait_seconds: float = math.inf,
        first: bool = False,
        has_budget: bool = False,
    ) -> None:
        """`settled` is told how many rows each chunk that came to rest holds.

        When nothing is left to be sent, orders are waited for so many seconds more. With `first`, the sample alone is sent; with `has_budget`, too many
        refusals among the first orders stop everything.
        """
        self._conversation = conversation
        self._ledger = conversation.ledger
        self._step = conversation.step
        self._rate = rate
        self._in_flight = in_flight
        self._settled = settled
        self._wait_seconds = wait_seconds
        self._first = first
        self._has_budget = has_budget
        self._slots = anyio.CapacityLimiter(in_flight or LEAST_AT_ONCE)
        self._group: TaskGroup | None = None
        self._measuring: TaskGroup | None = None
        self._scope = anyio.CancelScope()
        self._under_way: set[int] = set()
        self._changed = anyio.Event()
        self._error: Exception | None = None
        #: chunks on their way to be sent
        self._unsent: set[int] = set()
        self._measured = False
        #: orders whose end is asked for before the others', how many of the first ended badly, and how many were sent
        self._telling: set[int] = set()
        self._bad = self._sent = 0
        self._deadline = math.inf

    async def run(self, *, send: bool = True) -> None:
        """Carry every open chunk of the step to its end; raises the first error that stops the run.

        Without `send`, nothing new leaves: what is in doubt is looked up, and open orders are asked once.
        """
        talk, record = self._conversation.operation.talk, self._conversation.record
        with self._scope:
            await record(self._ledger.recover, self._step, repeatable=isinstance(talk, Check | Read))
            await record(self._ledger.unpark, self._step)
            async with anyio.create_task_group() as self._measuring:
                async with anyio.create_task_group() as self._group:
                    self._group.start_soon(self._guard, self._begin, send)
                # How late the list is matters to nobody any more.
                self._measuring.cancel_scope.cancel()
        if self._error is not None:
            raise self._error

    async def audit(self, *, with_open: bool = False) -> None:
        """Look up every chunk that was in doubt or sent more than once: the carrier should hold one order of it, or none.

        `with_open`: also those that are not at rest, of which nothing more will be sent or asked.
        """
        if not isinstance(self._conversation.operation.talk, Order):
            return
        with self._scope:
            numbers = await self._conversation.record(self._ledger.unaudited, self._step, with_open=with_open)
            async with anyio.create_task_group() as group:
                for number in numbers:
                    await self._slot(number)
                    group.start_soon(self._guard, self._audit, number, with_open)
        if self._error is not None:
            raise self._error

    async def _audit(self, number: int, is_last: bool) -> None:
        try:
            await self._conversation.audit(number, is_last=is_last)
        finally:
            self._slots.release_on_behalf_of(number)

    def stop(self, grace_seconds: float) -> None:
        """No new sends; writes under way get so long, everything else ends at once."""
        self._conversation.stop(grace_seconds)
        self._scope.cancel()

    async def _begin(self, send: bool) -> None:
        """Doubtful chunks first, then open orders, then what is to be sent."""
        # An earlier start may have stopped here: what it left open is looked up and asked for all the same.
        if send and (refused := await self._over_budget()):
            self._error, send = refused, False
        for state in (UNKNOWN, ACCEPTED):
            for number in await self._conversation.record(self._ledger.numbers, self._step, state):
                if number not in self._under_way:
                    self._start(number, state, send)
        if send:
            await self._produce()

    async def _produce(self) -> None:
        last = 0
        while True:
            changed = self._changed
            page = await self._conversation.record(
                self._ledger.sendable,
                self._step,
                after=last,
                most=_PAGE,
                first=self._first,
                # Before anything is halved, it has to be known that not everything is refused.
                halves_last=self._has_budget,
            )
            for number in page:
                last = number
                if number in self._under_way:
                    continue  # proven absent just now: its own task sends it again
                await self._slot(number)
                self._start(number, READY, True)
            if page:
                continue
            if not self._under_way and not last:
                return
            if self._under_way:
                # A chunk under way may be refused and leave its other rows as new ones, or let its sister go.
                await self._wait(changed)
            last = 0

    async def _check_budget(self) -> None:
        """CarrierRefused when too many of the first orders were refused or FAILED: something is wrong with all of them."""
        if refused := await self._over_budget():
            raise refused

    async def _over_budget(self) -> CarrierRefused | None:
        if not self._has_budget:
            return None
        record = self._conversation.record
        verdicts = await record(self._ledger.first_verdicts, self._step, FIRST_ORDERS)
        self._has_budget = len(verdicts) < FIRST_ORDERS
        self._bad = sum(is_bad for _, is_bad in verdicts)
        if self._bad < MOST_BAD_ORDERS or not await record(self._ledger.numbers, self._step, READY, most=1):
            return None
        said = await record(self._ledger.last_refusal, self._step)
        return CarrierRefused(
            f"{self._bad} of the first {len(verdicts)} orders that came to an end were refused or FAILED"
            f"{f' ({said})' if said else ''}: nothing more is sent. Mend the input or the job; or give --no-budget, and the "
            "same command goes on. failed.csv holds the rows that failed."
        )

    def _rank(self, number: int) -> int:
        """Polls wait for what is to be sent, but not those of a few orders: they tell whether to go on at all.

        One at first, and one more for so many sent; two more for each that ended badly. Each takes the place of an order.
        """
        if not self._has_budget:
            return POLL
        if len(self._telling) < 1 + 2 * self._bad + self._sent // _ORDERS_A_POLL:
            self._telling.add(number)
        return POST if number in self._telling else POLL

    async def _wait(self, changed: anyio.Event) -> None:
        """Until a chunk comes to rest; when all are sent, at most so long."""
        if self._unsent:
            self._deadline = math.inf
            await changed.wait()
            return
        if math.isinf(self._deadline):
            self._deadline = anyio.current_time() + self._wait_seconds
        with anyio.CancelScope(deadline=self._deadline) as scope:
            await changed.wait()
        if not scope.cancelled_caught or self._unsent:
            return
        if self._conversation.proving:
            # What was proven so far would be lost, and the next start would begin at nothing.
            self._deadline = anyio.current_time() + _PROVING_SECONDS
        else:
            self.stop(GRACE_SECONDS)

    def _start(self, number: int, state: str, send: bool) -> None:
        assert self._group is not None
        self._under_way.add(number)
        if state == READY:
            self._unsent.add(number)
        self._group.start_soon(self._guard, self._carry, number, state, send)

    async def _guard(self, call: Callable[..., Awaitable[None]], *arguments: object) -> None:
        """The first error of any task stops the others; out of the group it would come wrapped into another."""
        try:
            await call(*arguments)
        except Exception as error:  # ruff: ignore[blind-except] - it is raised again by `run`
            self._error = self._error or error
            self.stop(GRACE_SECONDS)

    async def _carry(self, number: int, state: str, send: bool) -> None:
        try:
            await self._carry_on(number, state, send)
        finally:
            self._under_way.discard(number)
            self._unsent.discard(number)
            self._conversation.proving.discard(number)
            self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def _carry_on(self, number: int, state: str, send: bool) -> None:
        conversation, resumed = self._conversation, state == ACCEPTED
        head: Head | None = None
        while state in {READY, ACCEPTED, UNKNOWN}:
            if state == READY:
                if not send:
                    return
                await self._check_budget()
                await self._send(number, waiting=head is not None)
            elif state == UNKNOWN:
                await conversation.look_up(number)
            elif send:
                await conversation.follow(number, at_once=resumed, rank=lambda: self._rank(number))
            else:
                await conversation.ask_once(number)
                return
            resumed, was = False, state
            head = await conversation.record(self._ledger.head, number)
            state = head.state
            if state in {REFUSED, SETTLED} and send:
                await self._check_budget()
            if state == READY:
                self._unsent.add(number)
            elif number in self._unsent:
                self._unsent.discard(number)
                self._tell()
            # Only now: between the end of a proof and this, the wait for it would be over.
            conversation.proving.discard(number)
            # An order that was found is in the list already: it says nothing about how late the list is.
            if was == READY and state == ACCEPTED and not self._measured:
                self._measured = True
                assert self._measuring is not None
                self._measuring.start_soon(self._guard, conversation.measure, number)
        if head is not None:
            self._settled(head.rows)

    async def _send(self, number: int, *, waiting: bool) -> None:
        if waiting:
            await self._slot(number)
        try:
            await self._conversation.send(number)
            self._sent += 1
        finally:
            self._slots.release_on_behalf_of(number)
        self._slots.total_tokens = self._wanted()

    async def _slot(self, number: int) -> None:
        """Wait for a slot; there are more of them when it shows that answers take long."""
        while True:
            with anyio.move_on_after(_GROW_SECONDS) as scope:
                await self._slots.acquire_on_behalf_of(number)
            if not scope.cancelled_caught:
                return
            self._slots.total_tokens = self._wanted()

    def _wanted(self) -> int:
        if self._in_flight is not None:
            return self._in_flight
        # A chunk is several requests there.
        requests = 3 if isinstance(self._conversation.operation.talk, Ensure | Read) else 1
        return self._conversation.wire.at_once(self._rate * requests)
