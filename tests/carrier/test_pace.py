"""The rate gate against simulated limits, half an hour of virtual time each: how much of the quota is used, how often 429.

`-s` prints the figures.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable

import pytest

from batcher.carrier.limits import POST, Gate, reset_seconds
from batcher.errors import GateShut

MINUTES = 30
#: To commit an intent, and on a disk that stalls, which it does at so many commits.
COMMIT_SECONDS, STALL_SECONDS, STALLS = 0.002, 0.1, 0.002
EPOCH = 1_800_000_000


class Carrier:
    """Serves `quota(second)` requests in each second, less those of `others(second)`; the rest get 429 until the next.

    `slides`: within any second instead, the reset rounded up to a whole one.
    """

    def __init__(
        self,
        quota: Callable[[int], int],
        others: Callable[[int], int],
        latency: float,
        slides: bool,
        stalls: float,
    ) -> None:
        self.now, self._stalls = 0.0, stalls
        self.latency, self._slides = latency, slides
        self.served = self.throttled = 0
        self._quota, self._others = quota, others
        self._used: deque[float] = deque()
        #: (time, seconds that the gate shuts, when it was sent) of answers under way
        self._answers: list[tuple[float, float, float]] = []
        self._chance = random.Random(7)

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        until = self.now + seconds
        self.answer(until)
        self.now = until

    def answer(self, until: float) -> None:
        while self._answers and self._answers[0][0] <= until:
            self.now, shut, sent_at = heapq.heappop(self._answers)
            self.gate.limit(shut, sent_at)

    def arrive(self, slot: float) -> None:
        second = math.floor(self.now)
        while self._used and self._used[0] <= (self.now - 1 if self._slides else second):
            self._used.popleft()
        if len(self._used) < self._quota(second) - self._others(second):
            self._used.append(self.now)
            self.served += 1
            return
        self.throttled += 1
        reset = math.ceil(self._used[0] + 1) if self._slides and self._used else second + 1
        headers = {"x-ratelimit-reset": str(EPOCH + reset)}
        shut = reset_seconds(headers, now=EPOCH + self.now, misses=0, random=self._chance.random)
        heapq.heappush(self._answers, (self.now + self.latency, shut, slot))

    def available(self, ceiling: float) -> float:
        """What could have been served at best."""
        return sum(min(ceiling, self._quota(second) - self._others(second)) for second in range(MINUTES * 60))

    async def run(self, ceiling: float) -> None:
        """Requests one by one; between slot and departure an intent is committed, which takes long now and then."""
        self.gate = Gate(ceiling, clock=self, sleep=self.sleep)
        while self.now < MINUTES * 60:
            await self.gate.take(POST)
            slot = self.now
            await self.sleep(STALL_SECONDS if self._chance.random() < self._stalls else COMMIT_SECONDS)
            try:
                await self.gate.leave()
            except GateShut:
                continue
            self.answer(self.now)
            self.arrive(slot)


def nobody(_second: int) -> int:
    return 0


def noise(second: int) -> int:
    """Somebody else of the account: nothing for a minute, then up to six a second."""
    return random.Random(second).randint(0, 6) if second // 60 % 2 else 0


@pytest.mark.parametrize(("stalls", "less"), [(0.0, 0.0), (STALLS, 0.05)], ids=["a quick disk", "a disk that stalls"])
@pytest.mark.parametrize("slides", [False, True], ids=["in each second", "in any second"])
@pytest.mark.parametrize("latency", [0.2, 2.0])
@pytest.mark.parametrize(
    ("ceiling", "quota", "others", "used", "limited"),
    [
        pytest.param(10, lambda _: 10, nobody, 0.93, 100, id="the ceiling is the limit"),
        pytest.param(32, lambda _: 10, nobody, 0.88, 400, id="a ceiling three times the limit"),
        pytest.param(32, lambda _: 5, nobody, 0.88, 500, id="a ceiling six times the limit"),
        pytest.param(32, lambda second: 5 if second < 900 else 30, nobody, 0.82, 500, id="a limit that rises"),
        pytest.param(
            50, lambda second: 20 if second // 120 % 2 else 40, nobody, 0.77, 1_200, id="a limit that changes"
        ),
        pytest.param(20, lambda _: 20, noise, 0.76, 250, id="a limit that is shared"),
    ],
)
async def test_how_much_of_the_quota_is_used(ceiling, quota, others, used, limited, latency, slides, stalls, less):
    """Most of it, with few 429s, and never more than the ceiling; somewhat less where commits stall."""
    carrier = Carrier(quota, others, latency, slides, stalls)
    await carrier.run(ceiling)
    share = carrier.served / carrier.available(ceiling)
    print(f"\n{carrier.served:,} served, {100 * share:.1f} % of the quota, {carrier.throttled} times 429")
    assert share >= used - less
    assert carrier.throttled <= limited
