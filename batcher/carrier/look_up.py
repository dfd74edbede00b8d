"""Finding an order whose answer was lost, or proving that it is not there.

A hit is an order with our CustomerOrderId. Only clean misses count towards absence, over time, and only if the same
form of query finds a known order. Everything else leaves the chunk to a person.
"""

from __future__ import annotations

import time
from random import random
from secrets import token_hex

import anyio
import structlog

from batcher.carrier.limits import LOOK_UP
from batcher.carrier.recorder import Recorder
from batcher.carrier.retry import GetVerdict, backoff_seconds, judge_get
from batcher.carrier.wire import READ_TRIES, Wire, denied, elapsed_clock
from batcher.errors import CarrierUnavailable, ProtocolError
from batcher.ledger import Head
from batcher.model import Answer, Order, Request

_log = structlog.get_logger()

#: A lost order is looked up until this many clean misses stand in a row, over `absence_seconds`.
CLEAN_MISSES = 3
#: So many answers in a row that cannot be read, or none at all for so long: the chunk is parked.
_UNCLEAR_ANSWERS, _UNCLEAR_SECONDS = 10, 3600.0


class LookUp:
    """The look-ups of one step's orders."""

    def __init__(
        self,
        talk: Order,
        wire: Wire,
        record: Recorder,
        *,
        api: str,
        step: int,
        absence_seconds: float,
        proving: set[int],
    ) -> None:
        self._talk, self._wire, self._record, self._api, self._step = talk, wire, record, api, step
        self._absence_seconds = absence_seconds
        #: who has clean misses so far
        self._proving = proving
        #: seconds until the list showed an order that was accepted: the longest seen in this run
        self._lag = record.ledger.list_lag()
        #: whoever judges by the lag waits for a measurement under way
        self._measuring = anyio.Lock()

    async def look_up(self, number: int) -> None:
        """Resolve an UNKNOWN chunk: found, proven absent, or parked."""
        head: Head = await self._record(self._record.ledger.head, number)
        request = self._talk.find.look_up(head.customer_order_id, self._api)
        misses, since, unclear, failures, form = 0, 0.0, 0, 0, 0
        clear_at = elapsed_clock()
        while True:
            orders, status = await self._orders(request, head.customer_order_id)
            if orders:
                await self._record(self._record.ledger.found, number, orders[0], orders[1:])
                self._wire.writes.worked()
                _log.info("found", chunk=number, order_id=orders[0])
                return None
            if orders is None:
                # A wire that is down says nothing about the order; answers that cannot be read do not get better.
                misses, failures, unclear = 0, failures + 1, unclear + bool(status)
                self._proving.discard(number)
                if unclear >= _UNCLEAR_ANSWERS or elapsed_clock() - clear_at > _UNCLEAR_SECONDS:
                    unclear_why = f"{failures} look-ups in a row without a clear answer"
                    return await self._record(self._record.ledger.park, number, unclear_why)
            else:
                if status != form:
                    misses, form = 0, status
                since = since if misses else elapsed_clock()
                misses, failures, unclear, clear_at = misses + 1, 0, 0, elapsed_clock()
                self._proving.add(number)
            if misses >= CLEAN_MISSES and elapsed_clock() - since >= self._absence():
                if why := await self._unproven(form):
                    return await self._record(self._record.ledger.park, number, why)
                # The proof may have shown that the list is later than was known.
                if (waited := elapsed_clock() - since) >= self._absence():
                    why = f"{misses} clean misses over {waited:.0f} s"
                    state = await self._record(self._record.ledger.absent, number, why)
                    _log.info("proven absent", chunk=number, state=state)
                    return None
            await anyio.sleep(max(1.0, self._absence() / CLEAN_MISSES) if misses else backoff_seconds(failures, random))

    async def audit(self, number: int, *, is_last: bool = False) -> None:
        """What the list shows of a chunk at rest; asked again while that is not clear, or less than is known.

        CarrierUnavailable when no answer is clear: the next start asks again. A list that does not show an order that is
        known to be there proves nothing: then the chunk stays unaudited; and so it does when `is_last`, nobody will ask
        again, and the list alone cannot be read.
        """
        head: Head = await self._record(self._record.ledger.head, number)
        request = self._talk.find.look_up(head.customer_order_id, self._api)
        is_clear = False
        for tries in range(_UNCLEAR_ANSWERS):
            orders, _ = await self._orders(request, head.customer_order_id)
            is_clear = is_clear or orders is not None
            if orders is not None and (head.order_id is None or head.order_id in orders):
                await self._record(self._record.ledger.audited, number, orders)
                if strange := [order_id for order_id in orders if order_id != head.order_id]:
                    _log.error("executed more than once", chunk=number, order_id=head.order_id, others=strange)
                return
            await self._wire.sleep(backoff_seconds(tries + 1, random))
        if not is_clear and not (is_last and await self._wire.is_answered()):
            raise CarrierUnavailable(
                f"Whether chunk {number} was executed only once could not be asked: no list of orders can be read. "
                "The same command asks again."
            )
        await self._record(self._record.ledger.not_listed, number)
        _log.error("not listed: whether it was executed once is not known", chunk=number, order_id=head.order_id)

    def _absence(self) -> float:
        return max(self._absence_seconds, 10 * self._lag)

    async def _unproven(self, form: int) -> str | None:
        """Why clean misses of this form prove nothing; None: they do."""
        if not await self._list_works():
            return "its absence cannot be proven: no known order was found by the same query"
        nobody = f"b-{token_hex(8)}-0"
        orders, status = await self._orders(self._talk.find.look_up(nobody, self._api), nobody)
        if orders != [] or status != form:
            return "its absence cannot be proven: an id that nobody has gets another answer"
        return None

    async def _orders(self, request: Request, customer_order_id: str) -> tuple[list[str] | None, int]:
        """Order ids that carry exactly this CustomerOrderId, and the answer's status.

        None when it is not clear; then the status is 0 where the wire or the carrier was down.
        """
        while True:
            outcome = await self._wire.ask(request, LOOK_UP)
            verdict = judge_get(outcome)
            if verdict is not GetVerdict.THROTTLED:  # the gate waits, and it says nothing about the order
                break
        if isinstance(outcome, Answer) and verdict is GetVerdict.DENIED:
            raise denied(outcome)
        if not isinstance(outcome, Answer) or outcome.status >= 500:
            return None, 0
        if (listed := self._talk.find.orders(outcome)) is None:
            return None, outcome.status
        ours = []
        for order_id, named in listed:
            # Summaries may leave the CustomerOrderId out: then the order itself has to say whose it is.
            whose = named if named is not None else await self._whose(order_id)
            if whose is None:
                return None, outcome.status
            if whose == customer_order_id:
                ours.append(order_id)
        return ours, outcome.status

    async def _whose(self, order_id: str) -> str | None:
        """The CustomerOrderId that an order itself shows, "" when it has none; None when it cannot be read."""
        verdict, answer = await self._wire.get(self._talk.poll(order_id, self._api), LOOK_UP, tries=READ_TRIES)
        if verdict is not GetVerdict.OK or answer is None:
            return None
        try:
            return self._talk.read(answer).customer_order_id or ""
        except ProtocolError:
            return None

    async def measure(self, number: int) -> None:
        """Look up the first accepted order at once: it proves that the list works, and how late it is."""
        async with self._measuring:
            head: Head = await self._record(self._record.ledger.head, number)
            if head.order_id is None:
                return
            orders = await self._finds(head.customer_order_id, head.order_id)
            if orders is not None and len(orders) > 1:
                # A proxy that repeats requests does so without our knowing: here it shows by chance.
                await self._record(self._record.ledger.audited, number, orders)
                _log.error("executed more than once", chunk=number, order_id=head.order_id, orders=orders)

    async def _list_works(self) -> bool:
        """A known order is found, now, by the form of query that missed ours."""
        async with self._measuring:
            known = await self._record(self._record.ledger.known_order, self._step) or await self._recent()
            return known is not None and await self._finds(*known) is not None

    async def _recent(self) -> tuple[str, str] | None:
        """Nothing of ours was accepted yet: any recent order of the account will do."""
        # Days are coarse and may exclude their edge: two back.
        day = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 2 * 86_400))
        _, answer = await self._wire.get(self._talk.find.recent(day, self._api), LOOK_UP, tries=READ_TRIES)
        for order_id, named in [] if answer is None else self._talk.find.some(answer)[:10]:
            if whose := named or await self._whose(order_id):
                return whose, order_id
        return None

    async def _finds(self, customer_order_id: str, order_id: str) -> list[str] | None:
        """What the list shows of a known order in the end; None when not even that one. How late it was is remembered."""
        missing_since: float | None = None
        request = self._talk.find.look_up(customer_order_id, self._api)
        for tries in range(_UNCLEAR_ANSWERS):
            orders, _ = await self._orders(request, customer_order_id)
            now = elapsed_clock()
            if orders is not None and missing_since is None:
                missing_since = now  # an outage is no lag: it counts from the first clear answer
            if missing_since is not None and (waited := now - missing_since) > self._lag:
                self._lag = waited
                await self._record(self._record.ledger.note_lag, waited)
            if orders and order_id in orders:
                return orders
            await anyio.sleep(backoff_seconds(tries + 1, random))
        return None
