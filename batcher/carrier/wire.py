"""The way to the carrier: every request passes one gate and two breakers, and every fault comes back as a value.

It knows what was seen on the way (429s, faults, latencies) and when to give up. What an answer means for a chunk is
`converse`'s business.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import random

import anyio
import structlog

from batcher.carrier.breaker import Breaker
from batcher.carrier.client import Client
from batcher.carrier.limits import LOOK_UP, MAX_RESET_SECONDS, Gate, reset_seconds
from batcher.carrier.retry import GetVerdict, Verdict, backoff_seconds, judge_get
from batcher.carrier.xml import refusal
from batcher.errors import CarrierRefused, CarrierUnavailable, GateShut, NotSent, OutcomeUnknown, ProtocolError
from batcher.model import MAX_LIST_BYTES, Answer, Issue, Request

_log = structlog.get_logger()

#: A question beside the main one is given up after so many tries.
READ_TRIES = 8
#: So many answers in a row that nobody can read are glitches; the next one counts.
UNREADABLE_TRIES = 2
#: A record that cannot be read for so long fails its row, while others can be read.
READ_SECONDS = 3600.0
#: So many 403s in a row are about us, not about single records.
FORBIDDEN_IN_A_ROW = 3
#: Asked after a pause of the breaker: whatever is answered to it shows that somebody answers.
CANARY = Request("GET", "sites", max_bytes=MAX_LIST_BYTES)
#: How often a task that a breaker holds looks again.
_LOOK_SECONDS = 1.0
#: Requests under way at once.
LEAST_AT_ONCE, MOST_AT_ONCE = 8, 64
_ENOUGH_LATENCIES = 20
#: So many 429s in a row mean that the carrier limits us without end.
_THROTTLES_IN_A_ROW = 200


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
    #: when the writes under way began, by number
    _under_way: dict[int, float] = field(default_factory=dict)
    _throttles: int = 0
    #: the last 429
    _limited: Answer | None = None
    #: requests that got no answer, or a 5xx
    breaker: Breaker = field(default_factory=lambda: Breaker(elapsed_clock))
    #: writes whose outcome is in doubt, though questions may be answered; told by whoever reads the answers
    writes: Breaker = field(default_factory=lambda: Breaker(elapsed_clock))
    #: without any success for so long there is no use in going on
    patience_seconds: float = 3600.0
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep
    _trying: anyio.Lock = field(default_factory=anyio.Lock)

    async def turn(self, rank: int, *, is_write: bool = False) -> None:
        """Wait until a request of this rank may go. Raises CarrierUnavailable when nothing works any more."""
        while True:
            await self._hold()
            if is_write and self.writes.is_shut:
                # Before the gate: whoever may not go takes no slot from those who may.
                self.hold_out("No write is answered.", self.writes)
                await self.sleep(min(_LOOK_SECONDS, self.writes.pause_seconds() or _LOOK_SECONDS))
                continue
            await self.gate.take(rank)
            if not self.breaker.is_open and (not is_write or self.writes.admits()):
                return

    async def _hold(self) -> None:
        """While the breaker is open, one task asks the canary after each pause, and the others wait."""
        while self.breaker.is_open:
            async with self._trying:
                if self.breaker.is_open:
                    _log.warning("nothing is answered; waiting", seconds=round(self.breaker.pause_seconds(), 1))
                    await self.sleep(self.breaker.pause_seconds())
                    await self.gate.take(LOOK_UP)
                    await self.send(CANARY)

    async def ask(self, request: Request, rank: int) -> Answer | NotSent | OutcomeUnknown:
        """Send one request through the gate; faults of the wire come back as values.

        Raises CarrierUnavailable when nothing works any more.
        """
        await self.turn(rank)
        return await self.send(request)

    async def is_answered(self) -> bool:
        """Whether anybody answers at all, to the question that anybody can answer."""
        while isinstance(outcome := await self.ask(CANARY, LOOK_UP), GateShut):
            pass  # its next turn comes when the gate is open
        return isinstance(outcome, Answer) and outcome.status < 500

    async def send(
        self, request: Request, on_sent: Callable[[], None] | None = None
    ) -> Answer | NotSent | OutcomeUnknown:
        """Send without asking the gate: for a request whose slot was taken before its intent."""
        granted = self.clock()
        try:
            await self.gate.leave()
        except GateShut as shut:
            return shut
        self.requests += 1
        number, started = self.requests, self.clock()
        if request.method != "GET":
            self._under_way[number] = started
        try:
            answer = await self.client.send(request, on_sent=on_sent)
        except (NotSent, OutcomeUnknown) as fault:
            self._failed(str(fault), pause=isinstance(fault, NotSent))
            if isinstance(fault, NotSent) or request.method == "GET":
                self.hold_out(str(fault))
            return fault
        finally:
            self._under_way.pop(number, None)
        if answer.status == 429:
            self._throttle(answer, granted)
            return answer
        self._throttles = 0
        if answer.status < 500:
            self.breaker.worked()
        else:
            self._failed(f"status {answer.status}", pause=False)
            if request.method == "GET":
                self.hold_out(f"The carrier answers {answer.status}.")
        if request.method != "GET":
            self.latencies = [*self.latencies[-99:], self.clock() - started]
        return answer

    async def get(
        self,
        request: Request,
        rank: int,
        *,
        tries: int | None = None,
        seconds: float | None = None,
        forbidden: bool = False,
        read: Callable[[Answer], object] | None = None,
    ) -> tuple[GetVerdict, Answer | None]:
        """Ask until there is an answer worth reading, or `tries` failed, or `seconds` have gone by without one.

        An answer of which `read` makes nothing (a proxy's page) is asked for again, a few times. Raises CarrierRefused
        on 401 and 403; with `forbidden`, a 403 is an answer about this one thing.
        """
        failures, started, unreadable = 0, elapsed_clock(), 0
        while True:
            outcome = await self.ask(request, rank)
            answer = outcome if isinstance(outcome, Answer) else None
            readable = answer is not None and 400 <= answer.status < 500 and bool(refusal(answer))
            verdict = judge_get(outcome, readable_errors=readable)
            if verdict is GetVerdict.DENIED:
                if forbidden and answer is not None and answer.status == 403:
                    return GetVerdict.REFUSED, answer
                raise denied(answer)
            if verdict is GetVerdict.OK and read is not None and answer is not None and unreadable < UNREADABLE_TRIES:
                try:
                    read(answer)
                except ProtocolError as error:
                    _log.warning("unreadable answer", status=answer.status, why=str(error))
                    unreadable += 1
                    verdict = GetVerdict.REPEAT
            if verdict in {GetVerdict.OK, GetVerdict.MISSING, GetVerdict.REFUSED}:
                return verdict, answer
            if verdict is GetVerdict.THROTTLED:
                continue
            self.hold_out(in_words(outcome))
            failures += 1
            if failures == tries or (seconds is not None and elapsed_clock() - started > seconds):
                return verdict, answer
            await self.sleep(backoff_seconds(failures, random))

    def at_once(self, rate: float) -> int:
        """How many requests have to be under way to use a rate: ceil(1.25 x rate x 95th percentile of latency) + 1.

        Little's law with a quarter to spare. Until enough writes were answered, those under way show how long it takes.
        """
        latencies = sorted(self.latencies) or [0.0]
        slow = latencies[min(len(latencies) - 1, math.floor(0.95 * len(latencies)))]
        if len(latencies) < _ENOUGH_LATENCIES and self._under_way:
            slow = max(slow, self.clock() - min(self._under_way.values()))
        return max(LEAST_AT_ONCE, min(MOST_AT_ONCE, math.ceil(1.25 * rate * slow) + 1))

    def hold_out(self, why: str, breaker: Breaker | None = None) -> None:
        """Raise CarrierUnavailable when nothing has worked for too long."""
        if (breaker or self.breaker).down_seconds() > self.patience_seconds:
            raise CarrierUnavailable(f"{why} Nothing works any more; the same command goes on.")

    def note_write(self, verdict: Verdict) -> None:
        """What became of a write, as its answer was understood."""
        if verdict in {Verdict.UNKNOWN, Verdict.NOT_SENT}:
            self.writes.failed()
        elif verdict is Verdict.THROTTLED:
            self.writes.unsaid()
        else:
            self.writes.worked()

    def _throttle(self, answer: Answer, sent_at: float) -> None:
        if answer is self._limited:
            return  # the answer to a request for a token, which many waited for: it is one
        self._limited = answer
        self.throttled += 1
        self._throttles += 1
        if self._throttles >= _THROTTLES_IN_A_ROW:
            raise CarrierUnavailable(f"The carrier answered 429 {self._throttles} times in a row. Try again later.")
        seconds = reset_seconds(answer.headers, now=time.time(), misses=self._throttles - 1)
        self.gate.limit(seconds, sent_at)
        if seconds < MAX_RESET_SECONDS:
            _log.info("rate limited", seconds=round(seconds, 1))
        else:
            _log.warning("rate limited for very long; it is tried again before", seconds=round(seconds, 1))

    def _failed(self, why: str, *, pause: bool) -> None:
        self.breaker.failed()
        if pause and not self.breaker.is_open:
            self.gate.pause(self.clock() + backoff_seconds(self.breaker.failures, random))
        _log.warning("no answer", why=why, failures=self.breaker.failures)


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
        return [Issue("error", 0, "", "no readable answer, however often it was asked")]
    return refusal(answer) or [Issue("error", 0, str(answer.status), f"answered with status {answer.status}")]


def in_words(outcome: Answer | NotSent | OutcomeUnknown) -> str:
    return f"status {outcome.status}" if isinstance(outcome, Answer) else str(outcome)
