"""The carrier's rate limit: one gate that every request of an account passes, how long a 429 shuts it, and the rate after it.

It knows slots, ranks and pauses. What is sent is left to others.
"""

from __future__ import annotations

import math
import random
import re
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

import anyio

from batcher.errors import GateShut

#: Who goes first: look-ups of doubtful chunks, then posts, then polls.
LOOK_UP, POST, POLL = range(3)

#: Slots that may be caught up after the event loop stood still, and by requests that were held up behind the gate.
MAX_LATE_SLOTS, MAX_LATE_LEAVES = 2, 1
#: So long may requests stand behind the gate once some were held up there: the slow commits to come cost nothing then.
MOST_BEHIND_SECONDS = 0.2
#: Longest single sleep, so that a rate or pause that changed is noticed, in seconds.
MAX_SLEEP_SECONDS = 1.0
#: Shortest and longest wait after a 429 that says when to come back, in seconds.
MIN_RESET_SECONDS, MAX_RESET_SECONDS = 0.05, 300.0
#: After a 429 the rate is so much of what it was, unless the gate is shut for long: then it is the quota that was used up.
SLOWER, LONG_GATE_SECONDS = 0.7, 2.5
#: The rate grows by so much of the ceiling in a second of work, and never falls below so much of it.
FASTER_A_SECOND, SLOWEST = 0.01, 0.02
#: Where the last 429 came is about where the next one will, when some seconds went well in between: a rate up to so much of
#: it falls less, and in this band around it the rate grows by less, a share of it a second. (Simulated: 5 a second below a
#: ceiling of 32, 92 % instead of 78 %.)
KNOWN, KNOWN_SECONDS, LESS_SLOW = 1.15, 5.0, 0.9
NEAR_FROM, NEAR_TO, NEAR_FASTER = 0.85, 1.1, 0.005
#: Longest wait after a 429 that does not, in seconds.
MAX_BLIND_SECONDS = 60.0

_SECONDS = re.compile(r"[0-9]{1,15}(\.[0-9]{1,6})?")


class _Waiter:
    """One task in the queue; `called` is set when it got a slot or is to keep the time."""

    __slots__ = ("called", "granted")

    def __init__(self) -> None:
        self.called = anyio.Event()
        self.granted = False


class Gate:
    """Lets requests through one by one, 1/rate apart (GCRA with burst 1, https://en.wikipedia.org/wiki/GCRA).

    The rate begins at the ceiling `requests_per_second`, falls with each 429 and grows back while there is work.

    The first task of the queue keeps the time for all: it sleeps to the next slot and then looks
    again who is first. So nothing is reserved ahead, a pause holds those who already wait, and
    twenty thousand waiting polls cost one timer.
    """

    def __init__(
        self,
        requests_per_second: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._ceiling = requests_per_second
        self._interval = 1 / requests_per_second
        #: the rate at which the last 429 came, and when
        self._limited, self._slowed_at = 0.0, -math.inf
        #: work without a pause since then has not made the rate grow yet
        self._grown_at = -math.inf
        self._next_slot = -math.inf
        #: when the next request may leave that was not held up, and how many wait for that
        self._next_leave = -math.inf
        self._leaving, self._behind = anyio.Lock(fast_acquire=True), 0
        self._paused_until = -math.inf
        # Ordered dicts, not deques: a cancelled poll is taken out of the middle at once.
        self._queues: tuple[OrderedDict[_Waiter, None], ...] = (OrderedDict(), OrderedDict(), OrderedDict())
        self._keeper: _Waiter | None = None
        #: requests let through so far
        self.granted = 0
        #: pauses asked for so far
        self.throttled = 0

    @property
    def requests_per_second(self) -> float:
        """The present rate."""
        return 1 / self._interval

    def limit(self, seconds: float, sent_at: float) -> None:
        """A 429 shuts the gate for so long. Those of requests sent before the rate last fell do not slow it further."""
        if sent_at > self._slowed_at and seconds < LONG_GATE_SECONDS:
            rate, now = self.requests_per_second, self._clock()
            is_known = rate <= KNOWN * self._limited and now - self._slowed_at > KNOWN_SECONDS
            self._limited, self._slowed_at = rate, now
            self._set_rate(rate * (LESS_SLOW if is_known else SLOWER))
        self.pause(self._clock() + seconds)

    def _set_rate(self, rate: float) -> None:
        self._interval = 1 / min(self._ceiling, max(rate, SLOWEST * self._ceiling))
        self._next_slot = min(self._next_slot, self._clock() + self._interval)

    def _grow(self) -> None:
        now, worked_since = self._clock(), max(self._grown_at, self._paused_until)
        rate = self.requests_per_second
        if now > worked_since > -math.inf and rate < self._ceiling:
            is_near = NEAR_FROM * self._limited <= rate <= NEAR_TO * self._limited
            faster = NEAR_FASTER * self._limited if is_near else FASTER_A_SECOND * self._ceiling
            self._set_rate(rate + faster * (now - worked_since))
        self._grown_at = now

    def pause(self, until: float) -> None:
        """Let nobody through before `until` (time of the gate's clock); never shortens a pause."""
        self.throttled += 1
        self._paused_until = max(self._paused_until, until)

    def paused_seconds(self) -> float:
        """Seconds that the present pause still lasts; 0 when there is none."""
        return max(0.0, self._paused_until - self._clock())

    async def take(self, rank: int) -> None:
        """Wait for a slot: LOOK_UP before POST before POLL, first come, first served inside a rank."""
        if self._first() is None:
            # What nobody waited for is not saved up: idle time earns no burst, and no higher rate.
            self._next_slot = max(self._next_slot, self._clock())
            self._grown_at = self._clock()
        waiter = _Waiter()
        self._queues[rank][waiter] = None
        try:
            if self._keeper is not None:
                await waiter.called.wait()
            if not waiter.granted:
                self._keeper = waiter
                await self._keep_time(waiter)
        except BaseException:
            self._leave(waiter, rank)
            raise
        finally:
            if self._keeper is waiter:
                self._hand_over()

    async def leave(self) -> None:
        """Wait a little when a request with a slot, and those behind it, were held up: they do not leave all at once.

        Between slot and first byte an intent is committed, and a disk may take as long as ten slots for it. GateShut when
        that would take long: what was decided by then, or read of a record, would be old.
        """
        self._behind += 1
        try:
            async with self._leaving:  # first come, first served
                while (seconds := self._leaves_at() - self._clock()) > 0:
                    if self.paused_seconds() > MAX_SLEEP_SECONDS:
                        raise GateShut("the gate was shut before it left")
                    await self._sleep(min(seconds, MAX_SLEEP_SECONDS))
                self._next_leave = max(self._clock(), self._next_leave) + self._interval
        finally:
            self._behind -= 1

    def _leaves_at(self) -> float:
        return max(self._next_leave - MAX_LATE_LEAVES * self._interval, self._paused_until)

    async def _keep_time(self, keeper: _Waiter) -> None:
        """Grant slot after slot to whoever is first, until it is the keeper's own turn."""
        while not keeper.granted:
            seconds = self._due() - self._clock()
            if seconds > 0:
                await self._sleep(min(seconds, MAX_SLEEP_SECONDS))
            else:
                self._grant()

    def _due(self) -> float:
        # Slots are forfeited where many are held up behind the gate: else they would stand there as long as there is work.
        most_behind = max(MAX_LATE_SLOTS * self._interval, MOST_BEHIND_SECONDS)
        leaves = self._next_leave + self._behind * self._interval - most_behind
        return max(self._next_slot, self._paused_until, leaves)

    def _grant(self) -> None:
        # The slot is counted from when it was due, not from when the timer woke up: else every
        # overshoot is lost for ever. Only what a stall made very late is forfeited.
        self._grow()
        due = max(self._due(), self._clock() - MAX_LATE_SLOTS * self._interval)
        self._next_slot = due + self._interval
        self.granted += 1
        queue = next(queue for queue in self._queues if queue)
        waiter, _ = queue.popitem(last=False)
        waiter.granted = True
        waiter.called.set()

    def _leave(self, waiter: _Waiter, rank: int) -> None:
        """Take a cancelled task out of the queue; a slot it got but cannot use goes to the next."""
        self._queues[rank].pop(waiter, None)
        if waiter.granted:
            self._next_slot -= self._interval
            self.granted -= 1

    def _hand_over(self) -> None:
        self._keeper = self._first()
        if self._keeper is not None:
            self._keeper.called.set()

    def _first(self) -> _Waiter | None:
        return next((next(iter(queue)) for queue in self._queues if queue), None)


def reset_seconds(
    headers: Mapping[str, str],
    *,
    now: float,
    misses: int,
    random: Callable[[], float] = random.random,
) -> float:
    """Seconds to wait after a 429.

    `headers` have names in lower case, `now` is the wall clock (epoch seconds), `misses` the number
    of 429s in a row before this one that did not say when to come back. `Retry-After` (seconds or
    date) counts before `X-RateLimit-Reset` (epoch seconds; above 1e11 milliseconds). Times are
    compared with the answer's own `Date`, since our clock may be wrong.
    """
    sent = _date(headers.get("date", ""))
    seconds = _stated_seconds(headers, now if sent is None else sent)
    if seconds is None:
        return max(MIN_RESET_SECONDS, random() * min(MAX_BLIND_SECONDS, 2.0 ** min(misses, 16)))
    seconds = min(max(seconds, MIN_RESET_SECONDS), MAX_RESET_SECONDS)
    return seconds + random() * min(1.0, 0.1 * seconds)


def _stated_seconds(headers: Mapping[str, str], now: float) -> float | None:
    retry_after = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(retry_after):
        return float(retry_after)
    if (when := _date(retry_after)) is not None:
        return when - now
    reset = headers.get("x-ratelimit-reset", "").strip()
    if not _SECONDS.fullmatch(reset):
        return None
    at = float(reset)
    return (at / 1000 if at > 1e11 else at) - now


def _date(text: str) -> float | None:
    try:
        parsed = parsedate_to_datetime(text)
        # An HTTP date is GMT even where it names no zone (asctime form).
        return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
