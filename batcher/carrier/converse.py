"""The conversations with the carrier, one chunk at a time, each step recorded before the next.

The order of things is what keeps the promises: intent committed, request sent, answer committed, all under
one shield. What an answer means stands in `retry`, what it means for each row in `settle`, what may follow
what in `ledger`; how many chunks are under way at once is the engine's business.
"""

from __future__ import annotations

import math
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from random import random

import anyio
import structlog

from batcher.carrier.ensure import Ensuring
from batcher.carrier.limits import POLL, POST
from batcher.carrier.look_up import LookUp
from batcher.carrier.recorder import Recorder
from batcher.carrier.refusals import Refusals
from batcher.carrier.retry import GetVerdict, Verdict, backoff_seconds, judge_post, poll_seconds
from batcher.carrier.settle import (
    pack_early,
    settle,
    settle_answer,
    unpack_early,
)
from batcher.carrier.wire import FORBIDDEN_IN_A_ROW, READ_SECONDS, Wire, denied, elapsed_clock, in_words, said
from batcher.carrier.xml import refusal
from batcher.errors import BatcherError, NotSent, OutcomeUnknown, ProtocolError
from batcher.ledger import MAX_RESENDS, READY, SENDING, SETTLED, Head, Ledger
from batcher.model import Answer, Check, Chunk, Ensure, Issue, Operation, Order, Product, Read, Reading, Request

_log = structlog.get_logger()

#: An accepted order that the carrier does not know for so long is parked.
_MISSING_SECONDS = 3600.0
#: "It is being processed already", "it has this passcode already": after a re-send, that may be our own order.
_ALREADY_THERE = {"5195", "5218", "7205", "11020", "16103"}
#: Polls from their request to their settlement, at once.
_POLLS_AT_ONCE = 16
#: A check whose answer cannot be read so often fails its rows.
_UNREADABLE_CHECKS = 3
_WORD = re.compile(r"\w+")


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
        send_before: float = math.inf,
    ) -> None:
        """What is not sent before the wall-clock time `send_before` goes stale."""
        self._send_before = send_before
        #: the same by the clock that nobody sets
        self._send_before_elapsed = elapsed_clock() + send_before - time.time()
        self.operation, self.wire, self.ledger, self.step = operation, wire, ledger, step
        self.record = Recorder(ledger)
        self._api, self._fill, talk = api, fill, operation.talk
        #: scopes of the writes under way, and when they have to end
        self._sending: set[anyio.CancelScope] = set()
        #: chunks whose absence, or whose record, is being proven: what was seen so far would be lost
        self.proving: set[int] = set()
        self._deadline = float("inf")
        self._unreadable: Counter[int] = Counter()
        #: this operation's questions were answered before; 403s in a row since
        self._read_before, self._forbidden = bool(ledger.numbers(step, SETTLED, most=1)), 0
        #: an answer is the largest thing in memory: few are asked for, read and settled at the same time
        self._polls, self._early_polls = anyio.CapacityLimiter(_POLLS_AT_ONCE), anyio.CapacityLimiter(_POLLS_AT_ONCE)
        #: this path took an order before: a later 403 or 404 says nothing about the configuration
        self._accepted_before = ledger.known_order(step) is not None
        self._refusals = Refusals(operation, self.record)
        self._orders = (
            LookUp(talk, wire, self.record, api=api, step=step, absence_seconds=absence_seconds, proving=self.proving)
            if isinstance(talk, Order)
            else None
        )
        self._ensuring = (
            Ensuring(
                talk,
                wire,
                self.record,
                self._write,
                api=api,
                step=step,
                fill=fill,
                absence_seconds=absence_seconds,
                proving=self.proving,
                goes_stale=self.goes_stale,
            )
            if isinstance(talk, Ensure)
            else None
        )

    def stop(self, seconds: float) -> None:
        """End the writes under way after so many seconds; what they were is recorded."""
        self._deadline = min(self._deadline, anyio.current_time() + seconds)
        for scope in self._sending:
            scope.deadline = self._deadline

    async def goes_stale(self, number: int) -> bool:
        """Whether it is too late to send a chunk: then it is retired, unless that was done already."""
        if time.time() <= self._send_before and elapsed_clock() <= self._send_before_elapsed:
            return False
        head = await self.record(self.ledger.head, number)
        if head.state == READY:
            await self.record(self.ledger.retire, number, "STALE")
        return True

    async def send(self, number: int) -> None:
        """Take a READY chunk as far as it goes without waiting for its order."""
        head, chunk, _ = await self.record(self.ledger.chunk, number)
        if head.state != READY or await self.goes_stale(number):
            return
        if await self._refusals.divided(head, chunk):
            return
        chunk, talk = self._fill(chunk), self.operation.talk
        if self._ensuring is not None:
            # Where a person said that it was never sent, no re-send is counted.
            await self._ensuring.send(chunk, doubted=head.doubted and head.resends > 0)
        elif isinstance(talk, Read):
            await self._read(chunk, talk)
        else:
            assert isinstance(talk, Order | Check)
            # Once a look-up after such a refusal has proven that nothing is there, the refusal stands.
            await self._post(head, chunk, talk, resent=head.doubted and head.resends < MAX_RESENDS)

    async def look_up(self, number: int) -> None:
        """Resolve an UNKNOWN chunk."""
        if self._ensuring is not None:
            await self._ensuring.read_back(number)
        else:
            assert self._orders is not None
            await self._orders.look_up(number)

    async def measure(self, number: int) -> None:
        """Look up the first accepted order at once: it proves that the list works, and how late it is."""
        if self._orders is not None:
            await self._orders.measure(number)

    async def audit(self, number: int, *, is_last: bool = False) -> None:
        """Look up a chunk at rest that may have been executed more than once."""
        if self._orders is not None:
            await self._orders.audit(number, is_last=is_last)

    async def _post(self, head: Head, chunk: Chunk, talk: Order | Check, *, resent: bool) -> None:
        request = talk.post(chunk, self._api)
        await self.wire.turn(POST, is_write=True)
        # Its turn may have come late: a gate that was shut, a breaker, a machine that slept.
        if await self.goes_stale(chunk.number):
            self.wire.writes.unsaid()
            return
        with anyio.CancelScope(shield=True):
            attempt = await self.record(self.ledger.intend, chunk.number)
            outcome = await self._write(request, chunk.number, attempt)
            verdict = await self._note_post(head, chunk, talk, attempt, outcome, resent=resent)
        if verdict is Verdict.UNKNOWN and isinstance(talk, Check):
            self.wire.hold_out(in_words(outcome))
            await anyio.sleep(backoff_seconds(min(attempt, 8), random))

    async def _write(self, request: Request, number: int, attempt: int) -> Answer | NotSent | OutcomeUnknown:
        """Send a write; ended early by `stop`, it is not sent or unknown like any other fault."""
        sent: list[bool] = []
        outcome: Answer | NotSent | OutcomeUnknown | None = None
        with anyio.CancelScope(deadline=self._deadline) as scope:
            self._sending.add(scope)
            try:
                outcome = await self.wire.send(request, lambda: sent.append(True))
            except BatcherError as error:
                # No token, or nothing that could be asked for: it was never executed.
                await self.record.keep(self.ledger.unsend, number, attempt, str(error))
                raise
            finally:
                self._sending.discard(scope)
        if outcome is None:
            outcome = OutcomeUnknown("stopped while waiting") if sent else NotSent("stopped before it left")
        return outcome

    async def _note_post(
        self,
        head: Head,
        chunk: Chunk,
        talk: Order | Check,
        attempt: int,
        outcome: Answer | NotSent | OutcomeUnknown,
        *,
        resent: bool,
    ) -> Verdict:
        number, log = chunk.number, _log.bind(chunk=chunk.number)
        answer = outcome if isinstance(outcome, Answer) else None
        reading: Reading | None = None
        issues: Sequence[Issue] = ()
        if answer is not None and 200 <= answer.status < 300:
            try:
                reading = talk.read(answer)
            except ProtocolError as error:
                log.warning("unreadable answer", status=answer.status, why=str(error))
            if reading is not None and reading.customer_order_id not in {None, chunk.customer_order_id}:
                log.warning("the answer to another order", shown=reading.customer_order_id)
                reading = None
        elif answer is not None and 400 <= answer.status < 500:
            issues = self._masked(refusal(answer), chunk)
        is_check = isinstance(talk, Check)
        verdict = judge_post(
            outcome,
            order_id=None if reading is None else "a check has none" if is_check else reading.order_id,
            readable_errors=bool(issues),
            accepted_before=self._accepted_before,
        )
        if verdict is Verdict.REFUSED and resent and any(issue.code in _ALREADY_THERE for issue in issues):
            verdict = Verdict.UNKNOWN
        self.wire.note_write(verdict)
        if verdict is Verdict.ACCEPTED:
            assert reading is not None
            self._accepted_before = True
            if is_check:
                settlement = settle_answer(chunk, reading)
                await self.record.keep(
                    self.ledger.settle, number, reading.status, settlement.packed(), was=SENDING, attempt=attempt
                )
                log.info("checked", failed=len(settlement.position))
                return verdict
            early = pack_early(self._masked(reading.issues, chunk))
            await self.record.keep(self.ledger.accept, number, attempt, reading.order_id, reading.status, early)
            log.info("accepted", order_id=reading.order_id, rows=len(chunk.rows))
        elif verdict is Verdict.REFUSED:
            await self._refusals.refused(head, chunk, attempt, issues)
        elif verdict is Verdict.TOO_LARGE:
            await self._refusals.too_large(head, chunk, attempt)
        elif verdict in {Verdict.THROTTLED, Verdict.NOT_SENT}:
            await self.record.keep(self.ledger.unsend, number, attempt, in_words(outcome))
        elif verdict in {Verdict.DENIED, Verdict.MISCONFIGURED}:
            await self.record.keep(self.ledger.unsend, number, attempt, in_words(outcome))
            assert answer is not None
            raise denied(answer)
        elif is_check and self._is_unreadable(number, answer):
            issues = [Issue("error", 0, "", f"{in_words(outcome)}, which cannot be read")]
            await self._refusals.fail(chunk, attempt, issues)
        elif is_check:
            # Harmless to repeat: nothing is in doubt.
            await self.record.keep(self.ledger.unsend, number, attempt, in_words(outcome))
        else:
            await self.record.keep(self.ledger.doubt, number, attempt, in_words(outcome))
            log.warning("in doubt", why=in_words(outcome))
        return verdict

    def _is_unreadable(self, number: int, answer: Answer | None) -> bool:
        """Whether a check has come back unreadable too often; what passes (408, 5xx, no answer) does not count."""
        if answer is None or answer.status == 408 or answer.status >= 500:
            return False
        self._unreadable[number] += 1
        return self._unreadable[number] >= _UNREADABLE_CHECKS

    def _masked(self, issues: Sequence[Issue], chunk: Chunk) -> Sequence[Issue]:
        """The carrier may repeat a passcode in its text: it goes no further."""
        secret = {values[name] for values in chunk.groups for name in self.operation.secret if name in values}
        if not secret:
            return issues
        tns = set(chunk.tns.tolist())
        return [
            issue._replace(
                # A passcode of ten digits in the text may have been taken for a TN.
                tn=0 if issue.tn not in tns and str(issue.tn)[1:] in secret else issue.tn,
                text=_WORD.sub(lambda word: "***" if word[0] in secret else word[0], issue.text),
            )
            for issue in issues
        ]

    async def follow(self, number: int, *, at_once: bool = False, rank: Callable[[], int] = lambda: POLL) -> None:
        """Poll an ACCEPTED order until it settles, however long that takes; each poll goes with that rank."""
        polls, missing_since, seen = 0, None, None
        # Nobody else moves the chunk meanwhile.
        head: Head = await self.record(self.ledger.head, number)
        while True:
            if not at_once:
                await anyio.sleep(poll_seconds(polls, random))
            at_once, polls = False, polls + 1
            # More at once where answers take long, or the rate is not used.
            self._polls.total_tokens = max(_POLLS_AT_ONCE, self.wire.at_once(self.wire.gate.requests_per_second))
            # Those that go first do not queue behind those that wait at the gate.
            async with self._polls if (ranked := rank()) == POLL else self._early_polls:
                forgiven = self._forbidden < FORBIDDEN_IN_A_ROW
                reading, why = await self.poll(head, tries=1, rank=ranked, forbidden=forgiven)
                if reading is not None:
                    missing_since = None
                    if not await self.is_ours(head, reading):
                        return
                    if reading.settled:
                        await self.settle(number, reading)
                        return
            if reading is None:
                if missing_since is None:
                    missing_since = elapsed_clock()
                    _log.warning("an order is not shown", chunk=number, order_id=head.order_id, why=why)
                if elapsed_clock() - missing_since > _MISSING_SECONDS:
                    await self.record(self.ledger.park, number, why)
                    return
            elif reading.status and reading.status != seen:
                seen = reading.status
                await self.record(self.ledger.observe, number, seen)

    async def poll(
        self, head: Head, tries: int | None = None, rank: int = POLL, *, forbidden: bool = False
    ) -> tuple[Reading | None, str]:
        """What the carrier says of an order, or why that is None: it does not know it, or says nothing readable."""
        talk = self.operation.talk
        assert isinstance(talk, Order)
        assert head.order_id is not None
        request = talk.poll(head.order_id, self._api)
        # It was allowed to make this order: one 403 is a glitch, several in a row are about us.
        verdict, answer = await self.wire.get(request, rank, tries=tries, forbidden=forbidden)
        self._forbidden = self._forbidden + 1 if answer is not None and answer.status == 403 else 0
        if verdict is GetVerdict.MISSING:
            return None, f"the carrier does not show order {head.order_id}"
        if verdict is not GetVerdict.OK or answer is None:
            why = "there is no answer" if answer is None else in_words(answer)
            return None, f"order {head.order_id} cannot be asked for: {why}"
        try:
            return talk.read(answer), ""
        except ProtocolError as error:
            return None, f"order {head.order_id} cannot be read: {error}"

    async def ask_once(self, number: int) -> None:
        """Take what an open order says now, and leave it open when it is."""
        async with self._polls:
            head: Head = await self.record(self.ledger.head, number)
            reading, _ = await self.poll(head, tries=1)
            if reading is not None and await self.is_ours(head, reading) and reading.settled:
                await self.settle(number, reading)

    async def is_ours(self, head: Head, reading: Reading) -> bool:
        """Whether a poll shows the order of this chunk; a chunk with another's order is parked, never settled by it."""
        pairs = ((reading.order_id, head.order_id), (reading.customer_order_id, head.customer_order_id))
        if all(shown in {None, wanted} for shown, wanted in pairs):
            return True
        why = f"order {head.order_id} is shown as {reading.order_id} of {reading.customer_order_id}, which is another chunk's"
        await self.record(self.ledger.park, head.number, why)
        _log.error("another order", chunk=head.number, order_id=head.order_id, shown=reading.order_id)
        return False

    async def settle(self, number: int, reading: Reading) -> None:
        """Record what a settled order means for each row of its chunk."""
        head, chunk, early = await self.record(self.ledger.kept, number)
        masked = replace(reading, issues=self._masked(reading.issues, self._fill(chunk)))
        settlement = settle(chunk, masked, earlier=unpack_early(early))
        await self.record(self.ledger.settle, number, reading.status, settlement.packed())
        failed = len(settlement.position)
        _log.info("settled", chunk=number, order_id=head.order_id, status=reading.status, rows=head.rows, failed=failed)

    async def _read(self, chunk: Chunk, talk: Read) -> None:
        """Ask for every page of a chunk; harmless to repeat."""
        requests = talk.pages(chunk, self._api)
        single = len(requests) == len(chunk.rows)
        issues: list[Issue] = []
        products: list[Product] = []
        last: Answer | None = None
        for place, request in enumerate(requests):
            # A 403 is about one TN when others can be read; several in a row, or all, are about us.
            verdict, answer = await self.wire.get(
                request,
                POST,
                seconds=READ_SECONDS,
                forbidden=single and self._forbidden < FORBIDDEN_IN_A_ROW,
                read=talk.read,
            )
            self._forbidden = self._forbidden + 1 if answer is not None and answer.status == 403 else 0
            self._read_before = self._read_before or verdict is GetVerdict.OK
            if verdict is GetVerdict.MISSING and not single and answer is not None and not refusal(answer):
                raise denied(answer)
            last = answer or last
            asked = int(chunk.tns[place]) if single else 0
            try:
                reading = talk.read(answer) if answer else Reading(issues=said(None))
            except ProtocolError as error:
                reading = Reading(issues=[Issue("error", 0, "", f"its answer could not be read: {error}")])
            issues += [issue._replace(tn=issue.tn or asked) for issue in reading.issues]
            products += [product._replace(tn=product.tn or asked) for product in reading.products]
        if self._forbidden and not self._read_before:
            raise denied(last)
        settlement = settle_answer(chunk, Reading(issues=issues, products=products))
        await self.record(self.ledger.settle, chunk.number, "COMPLETE", settlement.packed(), was=READY)
        _log.info("read", chunk=chunk.number, rows=len(chunk.rows), failed=len(settlement.position))
