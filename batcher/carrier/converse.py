"""The four conversations with the carrier, one chunk at a time, each step recorded before the next.

The order of things is what keeps the promises: intent committed, request sent, answer committed, all under
one shield. What an answer means stands in `retry`, what it means for each row in `settle`, what may follow
what in `ledger`; how many chunks are under way at once is the engine's business.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from random import random
from typing import Any, TypeVar

import anyio
import numpy as np
import structlog
from anyio import to_thread
from numpy.typing import NDArray

from batcher.carrier.client import Client
from batcher.carrier.limits import LOOK_UP, POLL, POST, Gate, reset_seconds
from batcher.carrier.retry import GetVerdict, Verdict, backoff_seconds, judge_get, judge_post, poll_seconds
from batcher.carrier.settle import (
    named_positions,
    pack_early,
    refuse,
    settle,
    split,
    uniform,
    unpack_early,
)
from batcher.carrier.xml import refusal
from batcher.errors import (
    BatcherError,
    CarrierRefused,
    CarrierUnavailable,
    NotSent,
    OutcomeUnknown,
    ProtocolError,
    StorageFailed,
)
from batcher.ledger import READY, SENDING, UNKNOWN, Head, Ledger, Planned, planned
from batcher.model import (
    FAILED,
    SKIPPED,
    Answer,
    Check,
    Chunk,
    Ensure,
    Issue,
    Operation,
    Order,
    Product,
    Read,
    Reading,
    Request,
)

_log = structlog.get_logger()
_T = TypeVar("_T")

#: A lost order is looked up until this many clean misses stand in a row, over `absence_seconds`.
CLEAN_MISSES = 3
#: Nothing clean for so many answers in a row: the chunk is parked.
_UNCLEAR_ANSWERS = 10
#: An accepted order that the carrier does not know for so long is parked.
_MISSING_SECONDS = 3600.0
#: So many 429s in a row mean that the carrier limits us without end.
_THROTTLES_IN_A_ROW = 200
#: Failures in a row before anything ever worked; afterwards we hold out for an hour.
_FIRST_FAILURES = 5
_PATIENCE_SECONDS = 3600.0
#: A record that cannot be read after so many tries fails its row.
_READ_TRIES = 8
_NOT_AS_WANTED = "it was written, but reads back as something else"
_WORD = re.compile(r"\w+")
#: An answer that was received must not be lost to a full disk without a fight.
_RECORD_TRIES = 5


def elapsed_clock() -> float:
    """Seconds for waits that guard a send: they go on while the machine is suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass
class Wire:
    """The way to the carrier: one client, one rate gate, and what was seen on it."""

    client: Client
    gate: Gate
    clock: Callable[[], float] = time.monotonic
    requests: int = 0
    throttled: int = 0
    #: seconds of the last answers to writes
    latencies: list[float] = field(default_factory=list)
    _throttles: int = 0
    _failures: int = 0
    _worked: float | None = None

    async def ask(
        self, request: Request, rank: int, on_sent: Callable[[], None] | None = None
    ) -> Answer | NotSent | OutcomeUnknown:
        """Send one request through the gate; faults of the wire come back as values.

        Raises CarrierUnavailable when nothing works any more.
        """
        await self.gate.take(rank)
        return await self.send(request, on_sent)

    async def send(
        self, request: Request, on_sent: Callable[[], None] | None = None
    ) -> Answer | NotSent | OutcomeUnknown:
        """Send without asking the gate: for a request whose slot was taken before its intent."""
        self.requests += 1
        started = self.clock()
        try:
            answer = await self.client.send(request, on_sent=on_sent)
        except (NotSent, OutcomeUnknown) as fault:
            self._failed(fault)
            return fault
        if answer.status == 429:
            self._throttle(answer)
            return answer
        self._throttles = 0
        if answer.status < 500:
            self._failures, self._worked = 0, elapsed_clock()
        if request.method != "GET":
            self.latencies = [*self.latencies[-99:], self.clock() - started]
        return answer

    async def get(self, request: Request, rank: int, tries: int | None = None) -> tuple[GetVerdict, Answer | None]:
        """Ask until there is an answer worth reading, or `tries` failed; raises CarrierRefused on 401 and 403."""
        failures = 0
        while True:
            outcome = await self.ask(request, rank)
            answer = outcome if isinstance(outcome, Answer) else None
            readable = answer is not None and 400 <= answer.status < 500 and bool(refusal(answer))
            verdict = judge_get(outcome, readable_errors=readable)
            if verdict is GetVerdict.DENIED:
                raise denied(answer)
            if verdict in {GetVerdict.OK, GetVerdict.MISSING, GetVerdict.REFUSED}:
                return verdict, answer
            if verdict is GetVerdict.THROTTLED:
                continue
            failures += 1
            if failures == tries:
                return verdict, answer
            await anyio.sleep(backoff_seconds(failures, random))

    def _throttle(self, answer: Answer) -> None:
        self.throttled += 1
        self._throttles += 1
        if self._throttles >= _THROTTLES_IN_A_ROW:
            raise CarrierUnavailable(f"The carrier answered 429 {self._throttles} times in a row. Try again later.")
        seconds = reset_seconds(answer.headers, now=time.time(), misses=self._throttles - 1)
        self.gate.pause(self.clock() + seconds)
        _log.info("rate limited", seconds=round(seconds, 1))

    def _failed(self, fault: NotSent | OutcomeUnknown) -> None:
        self._failures += 1
        seconds = backoff_seconds(self._failures, random)
        worked = self._worked
        hopeless = self._failures >= _FIRST_FAILURES if worked is None else elapsed_clock() - worked > _PATIENCE_SECONDS
        if isinstance(fault, NotSent) and hopeless:
            raise CarrierUnavailable(f"{fault} Nothing more was sent; the same command goes on.") from fault
        if isinstance(fault, NotSent):
            self.gate.pause(self.clock() + seconds)
        _log.warning("no answer", why=str(fault), failures=self._failures)


class Conversation:
    """One step's operation, spoken with the carrier through a wire and kept in a ledger."""

    def __init__(
        self,
        operation: Operation,
        wire: Wire,
        ledger: Ledger,
        *,
        api: str,
        step: int,
        fill: Callable[[Chunk], Chunk],
        absence_seconds: float,
    ) -> None:
        self.operation, self.wire, self.ledger, self.api, self.step = operation, wire, ledger, api, step
        self.absence_seconds = absence_seconds
        self._fill = fill
        #: one writer at a time: the ledger is not thread-safe
        self._thread = anyio.CapacityLimiter(1)
        #: scopes of the writes under way, so that a second signal can end them
        self._sending: set[anyio.CancelScope] = set()
        #: this path took an order before: a later 403 or 404 says nothing about the configuration
        self._accepted_before = False
        #: the form of look-up that is used to prove absence has found a known order; seconds until it did
        self._control: float | None = None

    async def record(self, transition: Callable[..., _T], *arguments: Any, **named: Any) -> _T:
        """One transaction of the ledger, off the event loop."""
        return await to_thread.run_sync(partial(transition, *arguments, **named), limiter=self._thread)

    async def _keep(self, transition: Callable[..., None], *arguments: Any, **named: Any) -> None:
        """Record what came back from the carrier; a full disk gets a few chances."""
        for left in reversed(range(_RECORD_TRIES)):
            try:
                return await self.record(transition, *arguments, **named)
            except StorageFailed:
                if not left:
                    raise
                await anyio.sleep(1)
        return None

    def stop(self, seconds: float) -> None:
        """End the writes under way after so many seconds; what they were is recorded."""
        for scope in self._sending:
            scope.deadline = min(scope.deadline, anyio.current_time() + seconds)

    async def send(self, number: int) -> None:
        """Take a READY chunk as far as it goes without waiting for its order."""
        _, chunk, _ = await self.record(self.ledger.chunk, number)
        chunk = self._fill(chunk)
        talk = self.operation.talk
        if isinstance(talk, Order | Check):
            await self._post(chunk, talk)
        elif isinstance(talk, Ensure):
            await self._ensure(chunk, talk)
        else:
            assert isinstance(talk, Read)
            await self._read(chunk, talk)

    # ── order and check ──────────────────────────────────────────────────────────────────────────────────────────

    async def _post(self, chunk: Chunk, talk: Order | Check) -> None:
        request = talk.post(chunk, self.api)
        await self.wire.gate.take(POST)
        with anyio.CancelScope(shield=True):
            attempt = await self.record(self.ledger.intend, chunk.number)
            outcome = await self._write(request, chunk.number, attempt)
            await self._note_post(chunk, talk, attempt, outcome)

    async def _write(self, request: Request, number: int, attempt: int) -> Answer | NotSent | OutcomeUnknown:
        """Send a write; ended early by `stop`, it is not sent or unknown like any other fault."""
        sent: list[bool] = []
        outcome: Answer | NotSent | OutcomeUnknown | None = None
        with anyio.CancelScope() as scope:
            self._sending.add(scope)
            try:
                outcome = await self.wire.send(request, lambda: sent.append(True))
            except BatcherError as error:
                # No token, or nothing that could be asked for: it was never executed.
                await self._keep(self.ledger.unsend, number, attempt, str(error))
                raise
            finally:
                self._sending.discard(scope)
        if outcome is None:
            outcome = OutcomeUnknown("stopped while waiting") if sent else NotSent("stopped before it left")
        return outcome

    async def _note_post(
        self, chunk: Chunk, talk: Order | Check, attempt: int, outcome: Answer | NotSent | OutcomeUnknown
    ) -> None:
        number, log = chunk.number, _log.bind(chunk=chunk.number)
        answer = outcome if isinstance(outcome, Answer) else None
        reading: Reading | None = None
        issues: Sequence[Issue] = ()
        if answer is not None and 200 <= answer.status < 300:
            try:
                reading = talk.read(answer)
            except ProtocolError as error:
                log.warning("unreadable answer", status=answer.status, why=str(error))
        elif answer is not None and 400 <= answer.status < 500:
            issues = self._masked(refusal(answer), chunk)
        is_check = isinstance(talk, Check)
        verdict = judge_post(
            outcome,
            order_id=None if reading is None else "a check has none" if is_check else reading.order_id,
            readable_errors=bool(issues),
            accepted_before=self._accepted_before,
        )
        if verdict is Verdict.ACCEPTED:
            assert reading is not None
            self._accepted_before = True
            if is_check:
                settlement = settle(chunk, reading)
                await self._keep(
                    self.ledger.settle, number, reading.status, settlement.packed(), was=SENDING, attempt=attempt
                )
                log.info("checked", failed=len(settlement.position))
                return
            early = pack_early(self._masked(reading.issues, chunk))
            await self._keep(self.ledger.accept, number, attempt, reading.order_id, reading.status, early)
            log.info("accepted", order_id=reading.order_id, rows=len(chunk.rows))
        elif verdict is Verdict.REFUSED:
            await self._refused(chunk, attempt, issues)
        elif verdict is Verdict.TOO_LARGE:
            await self._halve(chunk, attempt)
        elif verdict in {Verdict.THROTTLED, Verdict.NOT_SENT}:
            await self._keep(self.ledger.unsend, number, attempt, _in_words(outcome))
        elif verdict in {Verdict.DENIED, Verdict.MISCONFIGURED}:
            await self._keep(self.ledger.unsend, number, attempt, _in_words(outcome))
            assert answer is not None
            raise denied(answer)
        elif is_check:
            # Harmless to repeat: nothing is in doubt.
            await self._keep(self.ledger.unsend, number, attempt, _in_words(outcome))
            await anyio.sleep(backoff_seconds(min(attempt, 8), random))
        else:
            await self._keep(self.ledger.doubt, number, attempt, _in_words(outcome))
            log.warning("in doubt", why=_in_words(outcome))

    async def _refused(self, chunk: Chunk, attempt: int, issues: Sequence[Issue]) -> None:
        """Nothing was created. Rows that are named fail; the others go out again as a chunk of their own."""
        named = named_positions(chunk, issues)
        rest = _without(len(chunk.rows), named)
        splittable = 0 < len(named) < len(chunk.rows)
        settlement = refuse(chunk, issues, named_only=splittable)
        children = [self._child(chunk, rest)] if splittable else []
        await self._keep(self.ledger.refuse, chunk.number, attempt, settlement.packed(), children)
        _log.warning("refused", chunk=chunk.number, code=issues[0].code, why=issues[0].text, named=len(named))

    async def _halve(self, chunk: Chunk, attempt: int) -> None:
        """413: nothing was created; each half goes out as a chunk of its own."""
        count = len(chunk.rows)
        if count == 1:
            return await self._refused(
                chunk, attempt, [Issue("error", 0, "413", "the carrier finds this request too large")]
            )
        places = _without(count, [])
        children = [self._child(chunk, places[: count // 2]), self._child(chunk, places[count // 2 :])]
        await self._keep(self.ledger.refuse, chunk.number, attempt, None, children)
        return None

    def _child(self, chunk: Chunk, keep: NDArray[np.int64]) -> Planned:
        bare = self._bare(chunk)
        return planned(chunk.step, **split(bare, keep), parent=chunk.number)

    def _bare(self, chunk: Chunk) -> Chunk:
        """The chunk without its secret values, as it may be written down."""
        secret = self.operation.secret
        groups = tuple({k: v for k, v in values.items() if k not in secret} for values in chunk.groups)
        return replace(chunk, groups=groups)

    def _masked(self, issues: Sequence[Issue], chunk: Chunk) -> Sequence[Issue]:
        """The carrier may repeat a passcode in its text: it goes no further."""
        secret = {values[name] for values in chunk.groups for name in self.operation.secret if name in values}
        if not secret:
            return issues
        return [
            issue._replace(text=_WORD.sub(lambda word: "***" if word[0] in secret else word[0], issue.text))
            for issue in issues
        ]

    # ── following an order ───────────────────────────────────────────────────────────────────────────────────────

    async def follow(self, number: int, *, at_once: bool = False) -> None:
        """Poll an ACCEPTED order until it settles, however long that takes."""
        polls, missing_since, seen = 0, None, None
        while True:
            if not at_once:
                await anyio.sleep(poll_seconds(polls, random))
            at_once, polls = False, polls + 1
            head: Head = await self.record(self.ledger.head, number)
            reading = await self.poll(head)
            if reading is None:
                missing_since = missing_since or elapsed_clock()
                if elapsed_clock() - missing_since > _MISSING_SECONDS:
                    await self.record(self.ledger.park, number, f"the carrier does not show order {head.order_id}")
                    return
                continue
            missing_since = None
            if reading.settled:
                await self.settle(number, reading)
                return
            if reading.status and reading.status != seen:
                seen = reading.status
                await self.record(self.ledger.observe, number, seen)

    async def poll(self, head: Head, tries: int | None = None) -> Reading | None:
        """What the carrier says of an order; None when it does not know it, or says nothing readable."""
        talk = self.operation.talk
        assert isinstance(talk, Order)
        assert head.order_id is not None
        verdict, answer = await self.wire.get(talk.poll(head.order_id, self.api), POLL, tries)
        if verdict is not GetVerdict.OK or answer is None:
            return None
        try:
            return talk.read(answer)
        except ProtocolError as error:
            _log.warning("unreadable order", chunk=head.number, order_id=head.order_id, why=str(error))
            return None

    async def settle(self, number: int, reading: Reading) -> None:
        """Record what a settled order means for each row of its chunk."""
        head, chunk, _ = await self.record(self.ledger.chunk, number)
        early = unpack_early(await self.record(self.ledger.issues, number))
        masked = replace(reading, issues=self._masked(reading.issues, self._fill(chunk)))
        settlement = settle(chunk, masked, earlier=early)
        await self.record(self.ledger.settle, number, reading.status, settlement.packed())
        failed = len(settlement.position)
        _log.info("settled", chunk=number, order_id=head.order_id, status=reading.status, rows=head.rows, failed=failed)

    # ── looking up what is in doubt ──────────────────────────────────────────────────────────────────────────────

    async def look_up(self, number: int) -> None:
        """Resolve an UNKNOWN chunk: found, proven absent, or parked."""
        if isinstance(self.operation.talk, Ensure):
            return await self._read_back(number)
        talk = self.operation.talk
        assert isinstance(talk, Order)
        head: Head = await self.record(self.ledger.head, number)
        request = talk.find.look_up(head.customer_order_id, self.api)
        misses, since, unclear = 0, 0.0, 0
        while True:
            orders = await self._orders(request, head.customer_order_id)
            if orders:
                await self.record(self.ledger.found, number, orders[0], orders[1:])
                _log.info("found", chunk=number, order_id=orders[0])
                return None
            if orders is None:
                misses, unclear = 0, unclear + 1
                if unclear >= _UNCLEAR_ANSWERS:
                    return await self.record(self.ledger.park, number, f"{unclear} look-ups without a clear answer")
            else:
                since = since if misses else elapsed_clock()
                misses, unclear = misses + 1, 0
            waited = elapsed_clock() - since
            if misses >= CLEAN_MISSES and waited >= self._absence():
                return await self._absent(number, misses, waited)
            await anyio.sleep(max(1.0, self._absence() / CLEAN_MISSES) if misses else backoff_seconds(unclear, random))

    def _absence(self) -> float:
        return max(self.absence_seconds, 10 * (self._control or 0.0))

    async def _absent(self, number: int, misses: int, waited: float) -> None:
        if not await self._list_works():
            await self.record(
                self.ledger.park, number, "its absence cannot be proven: no known order was found by the same query"
            )
            return
        state = await self.record(self.ledger.absent, number, f"{misses} clean misses over {waited:.0f} s")
        _log.info("proven absent", chunk=number, state=state)

    async def _orders(self, request: Request, customer_order_id: str) -> list[str] | None:
        """Order ids that carry exactly this CustomerOrderId; None when the answer is not clear."""
        talk = self.operation.talk
        assert isinstance(talk, Order)
        outcome = await self.wire.ask(request, LOOK_UP)
        if isinstance(outcome, Answer) and judge_get(outcome) is GetVerdict.DENIED:
            raise denied(outcome)
        listed = talk.find.orders(outcome) if isinstance(outcome, Answer) else None
        if listed is None:
            return None
        ours = []
        for order_id, named in listed:
            # Summaries may leave the CustomerOrderId out: then the order itself has to say whose it is.
            whose = named if named is not None else await self._whose(order_id)
            if whose is None:
                return None
            if whose == customer_order_id:
                ours.append(order_id)
        return ours

    async def _whose(self, order_id: str) -> str | None:
        talk = self.operation.talk
        assert isinstance(talk, Order)
        _, answer = await self.wire.get(talk.poll(order_id, self.api), LOOK_UP, _READ_TRIES)
        listed = (talk.find.orders(answer) if answer else None) or []
        return next((named or "" for found, named in listed if found == order_id), None)

    async def measure(self, number: int) -> None:
        """Look up the first accepted order at once: it proves that the list works, and how late it is."""
        head: Head = await self.record(self.ledger.head, number)
        started = elapsed_clock()
        if head.order_id is not None and await self._finds(head.customer_order_id, head.order_id):
            self._control = elapsed_clock() - started
            _log.debug("list lag", seconds=round(self._control, 2))

    async def _list_works(self) -> bool:
        """A known order is found by the form of query that missed ours."""
        if self._control is not None:
            return True
        talk = self.operation.talk
        assert isinstance(talk, Order)
        known = await self.record(self.ledger.known_order, self.step)
        if known is None:
            # Nothing of ours was accepted yet: any order of the account since yesterday will do.
            day = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 86_400))
            outcome = await self.wire.ask(talk.find.recent(day, self.api), LOOK_UP)
            listed = (talk.find.orders(outcome) or []) if isinstance(outcome, Answer) else []
            for order_id, named in listed[:10]:
                whose = named or await self._whose(order_id)
                if whose:
                    known = (whose, order_id)
                    break
        return known is not None and await self._finds(*known)

    async def _finds(self, customer_order_id: str, order_id: str) -> bool:
        talk = self.operation.talk
        assert isinstance(talk, Order)
        request = talk.find.look_up(customer_order_id, self.api)
        for tries in range(_UNCLEAR_ANSWERS):
            orders = await self._orders(request, customer_order_id)
            if orders and order_id in orders:
                return True
            await anyio.sleep(backoff_seconds(tries + 1, random))
        return False

    # ── ensure ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _ensure(self, chunk: Chunk, talk: Ensure) -> None:
        """Get the record, write it whole with one element changed, read it back."""
        number = chunk.number
        verdict, answer = await self.wire.get(talk.get(chunk, self.api), POST, _READ_TRIES)
        try:
            request = talk.decide(answer, chunk, self.api) if verdict is GetVerdict.OK and answer else None
            unread = [] if verdict is GetVerdict.OK else said(answer)
        except ProtocolError as error:
            request, unread = None, [Issue("error", 0, "", f"its record could not be read: {error}")]
        if request is None or answer is None:
            settlement = (
                uniform(chunk, FAILED, unread[0].code, unread[0].text)
                if unread
                else uniform(chunk, SKIPPED, "UNCHANGED", "it is so already")
            )
            await self.record(self.ledger.settle, number, None, settlement.packed(), was=READY)
            return
        await self.wire.gate.take(POST)
        with anyio.CancelScope(shield=True):
            attempt = await self.record(self.ledger.intend, number, answer.body)
            outcome = await self._write(request, number, attempt)
            written = await self._note_put(chunk, attempt, outcome)
        if written:
            await self._confirm(chunk, talk, attempt)

    async def _note_put(self, chunk: Chunk, attempt: int, outcome: Answer | NotSent | OutcomeUnknown) -> bool:
        """Record what became of a PUT; True when it was answered with success."""
        answer = outcome if isinstance(outcome, Answer) else None
        issues = said(answer) if answer is not None and 400 <= answer.status < 500 else []
        verdict = judge_post(
            outcome, order_id="put", readable_errors=bool(issues), accepted_before=self._accepted_before
        )
        if verdict is Verdict.ACCEPTED:
            self._accepted_before = True
            return True
        if verdict in {Verdict.REFUSED, Verdict.TOO_LARGE}:
            settlement = uniform(chunk, FAILED, issues[0].code, issues[0].text)
            await self._keep(self.ledger.refuse, chunk.number, attempt, settlement.packed())
        elif verdict in {Verdict.THROTTLED, Verdict.NOT_SENT}:
            await self._keep(self.ledger.unsend, chunk.number, attempt, _in_words(outcome))
        elif verdict in {Verdict.DENIED, Verdict.MISCONFIGURED}:
            await self._keep(self.ledger.unsend, chunk.number, attempt, _in_words(outcome))
            assert answer is not None
            raise denied(answer)
        else:
            await self._keep(self.ledger.doubt, chunk.number, attempt, _in_words(outcome))
        return False

    async def _confirm(self, chunk: Chunk, talk: Ensure, attempt: int) -> None:
        """The PUT was answered with success: only what reads back as wanted is done."""
        verdict, answer = await self.wire.get(talk.get(chunk, self.api), POLL, _READ_TRIES)
        if verdict is GetVerdict.OK and answer and self._holds(talk, answer, chunk):
            await self.record(self.ledger.settle, chunk.number, "COMPLETE", None, was=SENDING, attempt=attempt)
            _log.info("written", chunk=chunk.number)
            return
        await self.record(self.ledger.doubt, chunk.number, attempt, _NOT_AS_WANTED)
        await self.record(self.ledger.park, chunk.number, _NOT_AS_WANTED)

    async def _read_back(self, number: int) -> None:
        """A PUT whose answer was lost: as wanted → done; still as it was before → again; else parked."""
        talk = self.operation.talk
        assert isinstance(talk, Ensure)
        head, chunk, before = await self.record(self.ledger.chunk, number)
        chunk, since = self._fill(chunk), elapsed_clock()
        while True:
            verdict, answer = await self.wire.get(talk.get(chunk, self.api), LOOK_UP, _READ_TRIES)
            if verdict is GetVerdict.OK and answer and self._holds(talk, answer, chunk):
                await self.record(self.ledger.settle, number, "COMPLETE", None, was=UNKNOWN, attempt=head.attempt)
                return
            if verdict is not GetVerdict.OK or answer is None or answer.body != before:
                await self.record(self.ledger.park, number, "it reads back neither as wanted nor as it was before")
                return
            left = self.absence_seconds - (elapsed_clock() - since)
            if left <= 0:
                await self.record(self.ledger.absent, number, "it reads back as it was before")
                return
            await anyio.sleep(left)

    @staticmethod
    def _holds(talk: Ensure, answer: Answer, chunk: Chunk) -> bool:
        try:
            return talk.holds(answer, chunk)
        except ProtocolError:
            return False

    # ── read ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _read(self, chunk: Chunk, talk: Read) -> None:
        """Ask for every page of a chunk; harmless to repeat."""
        requests = talk.pages(chunk, self.api)
        single = len(requests) == len(chunk.rows)
        issues: list[Issue] = []
        products: list[Product] = []
        for place, request in enumerate(requests):
            _, answer = await self.wire.get(request, POST, _READ_TRIES)
            asked = int(chunk.tns[place]) if single else 0
            try:
                reading = talk.read(answer) if answer else Reading(issues=said(None))
            except ProtocolError as error:
                reading = Reading(issues=[Issue("error", 0, "", f"its answer could not be read: {error}")])
            issues += [issue._replace(tn=issue.tn or asked) for issue in reading.issues]
            products += [product._replace(tn=product.tn or asked) for product in reading.products]
        settlement = settle(chunk, Reading(status="COMPLETE", settled=True, issues=issues, products=products))
        await self.record(self.ledger.settle, chunk.number, "COMPLETE", settlement.packed(), was=READY)
        _log.info("read", chunk=chunk.number, rows=len(chunk.rows), failed=len(settlement.position))


def denied(answer: Answer | None) -> CarrierRefused:
    """The carrier refuses us as a whole: which of our settings a person has to look at."""
    status = 0 if answer is None else answer.status
    remedy = {
        401: "refused the credentials (401). Check BATCHER_CLIENT_ID and BATCHER_CLIENT_SECRET (or the others in use).",
        403: "does not allow this (403). Check [carrier] account_id and the roles of the credentials.",
    }
    return CarrierRefused(
        "The carrier "
        + remedy.get(status, f"does not know this path ({status}). Check [carrier] base_url, api and account_id.")
        + " Unsent rows stay pending; the same command goes on."
    )


def said(answer: Answer | None) -> list[Issue]:
    """What an answer that is no success says, never empty."""
    if answer is None:
        return [Issue("error", 0, "", f"no readable answer after {_READ_TRIES} tries")]
    return refusal(answer) or [Issue("error", 0, str(answer.status), f"answered with status {answer.status}")]


def _in_words(outcome: Answer | NotSent | OutcomeUnknown) -> str:
    return f"status {outcome.status}" if isinstance(outcome, Answer) else str(outcome)


def _without(count: int, positions: Any) -> NDArray[np.int64]:
    return np.setdiff1d(np.arange(count), positions)
