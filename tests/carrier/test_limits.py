"""The gate under a clock that the tests turn, and the shapes of a 429."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random

import pytest

from batcher.carrier.limits import LOOK_UP, POLL, POST, Gate, reset_seconds
from batcher.errors import GateShut


class Clock:
    """Time stands still until `turn` moves it; every sleep oversleeps by what `late` gives."""

    def __init__(self, late=lambda: 0.0):
        self.now = 0.0
        self.late = late
        self.sleepers = []
        self.order = itertools.count()

    def __call__(self):
        return self.now

    async def sleep(self, seconds):
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self.sleepers, (self.now + seconds + self.late(), next(self.order), woken))
        await woken

    async def turn(self, seconds):
        """Let `seconds` pass, waking each sleeper at its time."""
        end = self.now + seconds
        await settle()
        while self.sleepers and self.sleepers[0][0] <= end:
            at, _, woken = heapq.heappop(self.sleepers)
            self.now = max(self.now, at)
            if not woken.done():
                woken.set_result(None)
            await settle()
        self.now = max(self.now, end)

    def stall(self, seconds):
        """The event loop stands still: time passes and nobody runs."""
        self.now += seconds


async def settle():
    for _ in range(12):
        await asyncio.sleep(0)


class Crowd:
    """Tasks that each take one slot, and the time and name of each that got it."""

    def __init__(self, rate, late=lambda: 0.0):
        self.clock = Clock(late)
        self.gate = Gate(rate, clock=self.clock, sleep=self.clock.sleep)
        self.got = []
        self.tasks = []

    def join(self, rank, name):
        async def one():
            await self.gate.take(rank)
            self.got.append((self.clock.now, name))

        self.tasks.append(asyncio.create_task(one()))
        return self.tasks[-1]

    @property
    def times(self):
        return [at for at, _ in self.got]

    @property
    def names(self):
        return [name for _, name in self.got]

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def most_in_a_second(times):
    return max(sum(1 for other in times if at <= other < at + 1) for at in times)


async def test_slots_are_evenly_spaced():
    """The first request goes at once, each further one 1/rate after the one before."""
    async with Crowd(4) as crowd:
        for number in range(6):
            crowd.join(POLL, number)
        await crowd.clock.turn(1.1)
        assert crowd.got == [(0.0, 0), (0.25, 1), (0.5, 2), (0.75, 3), (1.0, 4)]
        assert crowd.gate.granted == 5


async def test_look_ups_go_before_posts_before_polls():
    """A later arrival of better rank gets the very next slot; inside a rank the first come is served first."""
    async with Crowd(4) as crowd:
        for number in range(3):
            crowd.join(POLL, f"poll {number}")
        await crowd.clock.turn(0.1)
        crowd.join(POST, "post 0")
        crowd.join(POST, "post 1")
        await crowd.clock.turn(0.2)
        crowd.join(LOOK_UP, "look-up")
        await crowd.clock.turn(2)
        assert crowd.names == ["poll 0", "post 0", "look-up", "post 1", "poll 1", "poll 2"]
        assert crowd.times == [0.0, 0.25, 0.5, 0.75, 1.0, 1.25]


async def test_a_pause_holds_those_who_already_wait():
    """After a 429 nobody passes before the reset, however long ago he queued, and then one by one."""
    async with Crowd(4) as crowd:
        for number in range(4):
            crowd.join(POST, number)
        await crowd.clock.turn(0.1)
        crowd.gate.pause(10.0)
        await crowd.clock.turn(5)
        crowd.join(LOOK_UP, "look-up")
        assert crowd.gate.paused_seconds() == pytest.approx(4.9)
        await crowd.clock.turn(6)
        assert crowd.got == [(0.0, 0), (10.0, "look-up"), (10.25, 1), (10.5, 2), (10.75, 3)]
        assert crowd.gate.throttled == 1


async def test_a_pause_is_never_shortened():
    """A second 429 with an earlier reset does not open the gate early; a later one extends it."""
    async with Crowd(4) as crowd:
        crowd.gate.pause(8.0)
        crowd.gate.pause(3.0)
        crowd.join(POST, "post")
        await crowd.clock.turn(7)
        crowd.gate.pause(9.0)
        await crowd.clock.turn(5)
        assert crowd.got == [(9.0, "post")]
        assert crowd.gate.throttled == 3
        assert crowd.gate.paused_seconds() == 0


async def test_idle_time_earns_no_burst():
    """After a quiet hour requests are spaced as ever."""
    async with Crowd(4) as crowd:
        crowd.join(POST, 0)
        await crowd.clock.turn(3600)
        for number in range(1, 4):
            crowd.join(POST, number)
        await crowd.clock.turn(1)
        assert crowd.times == [0.0, 3600.0, 3600.25, 3600.5]


async def test_a_stalled_loop_is_followed_by_no_burst():
    """When the event loop stood still for five seconds, two late slots are caught up and no more."""
    async with Crowd(8) as crowd:
        for number in range(100):
            crowd.join(POLL, number)
        await crowd.clock.turn(2)
        crowd.clock.stall(5)
        before = len(crowd.got)
        await crowd.clock.turn(0)
        assert len(crowd.got) - before == 3
        await crowd.clock.turn(2)
        assert most_in_a_second(crowd.times) <= 8 + 3


@pytest.mark.parametrize("held_up", [0.1, 0.5, 3.0])
async def test_requests_that_were_held_up_behind_the_gate_do_not_leave_all_at_once(held_up):
    """A commit that takes half a second lets the slots of half a second pass; what follows leaves at the rate."""
    async with Crowd(50) as crowd:
        clock, gate, left, waited = crowd.clock, crowd.gate, [], []

        async def one():
            await gate.take(POST)
            slot = clock.now
            # Whoever comes in this second stands behind one slow commit.
            if 2 <= clock.now < 2 + held_up:
                await clock.sleep(2 + held_up - clock.now)
            await gate.leave()
            left.append(clock.now)
            waited.append(clock.now - slot)

        crowd.tasks += [asyncio.create_task(one()) for _ in range(500)]
        await clock.turn(20)
        assert len(left) == 500
        assert most_in_a_second(left) <= 50 + 2
        # It costs what it took, once.
        assert left[-1] - left[0] <= 499 / 50 + held_up
        assert [round(later - sooner, 6) for sooner, later in itertools.pairwise(left[-50:])] == [0.02] * 49
        # What held up others long ago holds nobody up for long.
        assert max(waited[-50:]) <= 0.2


async def test_a_pause_holds_those_behind_the_gate_too():
    """They were let through before the 429, and leave one by one when it is over."""
    async with Crowd(10) as crowd:
        clock, gate, left = crowd.clock, crowd.gate, []

        async def one():
            await gate.take(POST)
            await clock.sleep(1.0 - clock.now)  # a commit that takes until 1.0
            await gate.leave()
            left.append(round(clock.now, 6))

        crowd.tasks += [asyncio.create_task(one()) for _ in range(6)]
        await clock.turn(0.9)
        gate.pause(1.5)
        await clock.turn(10)
        assert left == [1.5, 1.5, 1.6, 1.7, 1.8, 1.9]


async def test_a_long_pause_sends_those_behind_the_gate_back():
    """What they were about to write would be old by then: they are told at once, and take their turn anew."""
    async with Crowd(10) as crowd:
        await crowd.gate.leave()
        crowd.gate.pause(60.0)
        with pytest.raises(GateShut, match="the gate was shut before it left"):
            await crowd.gate.leave()
        assert crowd.clock.now == 0


async def test_who_was_not_held_up_leaves_at_once():
    """Neither the first request, nor one after a rest, nor those on time wait behind the gate."""
    async with Crowd(4) as crowd:
        clock, left = crowd.clock, []

        async def several(number):
            for _ in range(number):
                await crowd.gate.take(POST)
                taken = clock.now
                await crowd.gate.leave()
                left.append(clock.now - taken)

        crowd.tasks.append(asyncio.create_task(several(20)))
        await clock.turn(3600)
        crowd.tasks.append(asyncio.create_task(several(20)))
        await clock.turn(10)
        assert left == [0.0] * 40


@pytest.mark.parametrize("rate", [10, 50])
async def test_late_timers_cost_nothing_in_the_long_run(rate):
    """Timers that fire up to 15 ms late do not lower the rate below 99 %, nor raise it above the ceiling."""
    chance = random.Random(7)
    async with Crowd(rate, late=lambda: chance.uniform(0, 0.015)) as crowd:
        for number in range(rate * 25):
            crowd.join(POLL, number)
        await crowd.clock.turn(20)
        assert rate * 20 * 0.99 <= len(crowd.got) <= rate * 20 + 1
        assert most_in_a_second(crowd.times) <= rate + 3


async def test_a_cancelled_first_in_the_queue_hands_the_clock_over():
    """When the task that keeps the time is cancelled, the next one goes at the same slot."""
    async with Crowd(4) as crowd:
        tasks = [crowd.join(POST, number) for number in range(4)]
        await crowd.clock.turn(0.1)
        tasks[1].cancel()
        await crowd.clock.turn(1)
        assert crowd.got == [(0.0, 0), (0.25, 2), (0.5, 3)]


async def test_a_cancelled_task_gives_its_slot_back():
    """A task that is cancelled in the instant it is let through loses no slot for the others."""
    async with Crowd(4) as crowd:
        tasks = [crowd.join(POLL, "keeper"), crowd.join(POLL, "waits"), crowd.join(POST, "goes first")]
        await settle()
        late = crowd.join(LOOK_UP, "cancelled")
        await settle()
        crowd.clock.now = 0.25
        crowd.gate._grant()
        late.cancel()
        await crowd.clock.turn(1)
        assert crowd.got == [(0.0, "keeper"), (0.25, "goes first"), (0.5, "waits")]
        assert crowd.gate.granted == 3
        assert all(task.done() for task in tasks)


async def test_any_pattern_of_cancellations_leaves_nobody_behind():
    """However tasks are cancelled, every other one is let through and the rate is kept."""
    chance = random.Random(11)
    async with Crowd(16) as crowd:
        kept = []
        for number in range(200):
            task = crowd.join(chance.choice([LOOK_UP, POST, POLL]), number)
            await crowd.clock.turn(chance.choice([0, 0, 0.01, 0.0625]))
            victim = chance.choice(crowd.tasks)
            if chance.random() < 0.5:
                victim.cancel()
            kept.append(task)
        await crowd.clock.turn(20)
        left = [number for number, task in enumerate(kept) if not task.cancelled()]
        assert sorted(crowd.names) == left
        assert crowd.gate.granted == len(left)
        assert most_in_a_second(crowd.times) <= 16 + 3


async def test_a_429_slows_down_once_an_incident():
    """0.7 of the rate; not again for a request sent before, nor where the gate is shut for long: that is the quota.

    Where a 429 came before, and some seconds went well since, the limit is known: there the rate falls to 0.9.
    """
    async with Crowd(10) as crowd:
        await crowd.clock.turn(1)
        crowd.gate.limit(1.0, sent_at=0.5)
        assert crowd.gate.requests_per_second == pytest.approx(7)
        crowd.gate.limit(1.0, sent_at=0.9)
        await crowd.clock.turn(2)
        crowd.gate.limit(3.0, sent_at=2.0)
        assert crowd.gate.requests_per_second == pytest.approx(7)
        assert crowd.gate.paused_seconds() == pytest.approx(3)
        crowd.gate.limit(0.1, sent_at=2.5)
        assert crowd.gate.requests_per_second == pytest.approx(4.9)
        await crowd.clock.turn(6)
        crowd.gate.limit(0.1, sent_at=8.5)
        assert crowd.gate.requests_per_second == pytest.approx(4.41)
        assert crowd.gate.throttled == 5


async def test_the_rate_grows_while_there_is_work():
    """A hundredth of the ceiling a second, neither in a pause nor idle, and never beyond the ceiling.

    Half a hundredth a second where the last 429 came.
    """
    async with Crowd(10) as crowd:
        crowd.join(POST, "first")
        await crowd.clock.turn(1)
        crowd.gate.limit(2.0, sent_at=0.5)
        await crowd.clock.turn(50)
        assert crowd.gate.requests_per_second == pytest.approx(7)
        for number in range(1_000):
            crowd.join(POST, number)
        await crowd.clock.turn(10)
        assert crowd.gate.requests_per_second == pytest.approx(8, abs=0.05)
        await crowd.clock.turn(15)
        assert crowd.gate.requests_per_second == pytest.approx(9, abs=0.05)
        await crowd.clock.turn(60)
        assert crowd.gate.requests_per_second == pytest.approx(10)


async def test_the_rate_never_falls_to_nothing():
    """A carrier that answers 429 to everything for a while is found again."""
    async with Crowd(10) as crowd:
        for second in range(1, 60):
            await crowd.clock.turn(1)
            crowd.gate.limit(0.1, sent_at=second - 0.1)
        assert crowd.gate.requests_per_second == pytest.approx(0.2)


async def test_twenty_thousand_waiting_polls_need_one_timer():
    """Polls in waiting cost no timer each, do not delay a post, and can all be cancelled."""
    async with Crowd(4) as crowd:
        for number in range(20_000):
            crowd.join(POLL, number)
        await settle()
        crowd.join(POST, "post")
        await crowd.clock.turn(0.25)
        assert crowd.names == [0, "post"]
        assert len(crowd.clock.sleepers) == 1
        for task in reversed(crowd.tasks):
            task.cancel()
        await asyncio.gather(*crowd.tasks, return_exceptions=True)
        crowd.join(POST, "after")
        await crowd.clock.turn(1)
        assert crowd.names[-1] == "after"


# Tue, 20 Oct 2026 02:00:00 GMT is 1792461600.
NOW = 1_792_461_600.0
DATE = "Tue, 20 Oct 2026 02:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "shortest", "longest"),
    [
        pytest.param({"retry-after": "5"}, 5, 5.5, id="Retry-After seconds"),
        pytest.param({"retry-after": " 5 "}, 5, 5.5, id="Retry-After with spaces"),
        pytest.param({"retry-after": "1.5"}, 1.5, 1.65, id="Retry-After fraction"),
        pytest.param({"retry-after": "0"}, 0.05, 0.055, id="Retry-After 0"),
        pytest.param({"retry-after": "86400"}, 300, 301, id="Retry-After a day"),
        pytest.param({"retry-after": "Tue, 20 Oct 2026 02:00:07 GMT"}, 7, 7.7, id="Retry-After date"),
        pytest.param({"retry-after": "Tue Oct 20 02:00:07 2026"}, 7, 7.7, id="Retry-After date in asctime form"),
        pytest.param({"retry-after": "Tue, 20 Oct 2026 01:00:00 GMT"}, 0.05, 0.055, id="Retry-After date past"),
        pytest.param(
            {"retry-after": "Tue, 20 Oct 2026 05:00:09 GMT", "date": "Tue, 20 Oct 2026 05:00:00 GMT"},
            9,
            9.9,
            id="Retry-After date by the answer's clock",
        ),
        pytest.param({"x-ratelimit-reset": "1792461620"}, 20, 21, id="reset in 20 s"),
        pytest.param({"x-ratelimit-reset": "1792461602", "date": DATE}, 2, 2.2, id="reset with Date"),
        pytest.param(
            {"x-ratelimit-reset": "1792465204", "date": "Tue, 20 Oct 2026 03:00:00 GMT"},
            4,
            4.4,
            id="reset while our clock is an hour slow",
        ),
        pytest.param(
            {"x-ratelimit-reset": "1792461604", "date": "garbage"}, 4, 4.4, id="reset with a Date that is none"
        ),
        pytest.param({"x-ratelimit-reset": "1792461604500"}, 4.5, 4.95, id="reset in milliseconds"),
        pytest.param({"x-ratelimit-reset": "1792461500"}, 0.05, 0.055, id="reset past"),
        pytest.param({"x-ratelimit-reset": "1892461500"}, 300, 301, id="reset far away"),
        pytest.param({"x-ratelimit-reset": "99999999999"}, 300, 301, id="reset in the year 5138"),
        pytest.param({"retry-after": "3", "x-ratelimit-reset": "1792461690"}, 3, 3.3, id="both: Retry-After counts"),
        pytest.param({"retry-after": "soon", "x-ratelimit-reset": "1792461604"}, 4, 4.4, id="Retry-After garbage"),
        pytest.param({}, 0.05, 4, id="no header"),
        pytest.param({"x-ratelimit-reset": ""}, 0.05, 4, id="empty"),
        pytest.param({"x-ratelimit-reset": "garbage"}, 0.05, 4, id="garbage"),
        pytest.param({"x-ratelimit-reset": "9" * 5000}, 0.05, 4, id="5,000 digits"),
        pytest.param({"retry-after": "9" * 5000}, 0.05, 4, id="5,000 digits in Retry-After"),
        pytest.param({"retry-after": "-5"}, 0.05, 4, id="negative"),
        pytest.param({"x-ratelimit-reset": "-1792461604"}, 0.05, 4, id="negative reset"),
        pytest.param({"retry-after": "NaN", "x-ratelimit-reset": "nan"}, 0.05, 4, id="NaN"),
        pytest.param({"x-ratelimit-reset": "inf"}, 0.05, 4, id="infinity"),
        pytest.param({"x-ratelimit-reset": "1e300"}, 0.05, 4, id="exponent"),
        pytest.param({"retry-after": "\uff15"}, 0.05, 4, id="full-width digit"),
        pytest.param({"retry-after": "Mon, 99 Nov 99999999999999 25:61:61 GMT"}, 0.05, 4, id="impossible date"),
        pytest.param({"retry-after": "1 Jan 99999 00:00:00 +9999999999"}, 0.05, 4, id="impossible zone"),
    ],
)
def test_how_long_a_429_shuts_the_gate(headers, shortest, longest):
    """Every shape of a 429 gives a wait: what it says, from 0.05 to 300 s, never shorter than asked."""
    assert reset_seconds(headers, now=NOW, misses=2, random=lambda: 0.0) == pytest.approx(shortest)
    assert reset_seconds(headers, now=NOW, misses=2, random=lambda: 1.0) == pytest.approx(longest)


@pytest.mark.parametrize(("misses", "longest"), [(0, 1), (1, 2), (5, 32), (6, 60), (100_000, 60)])
def test_a_silent_429_doubles_the_wait(misses, longest):
    """Without a usable reset the wait is anything up to 1 s, doubling with each such 429 to 60 s."""
    assert reset_seconds({}, now=NOW, misses=misses, random=lambda: 1.0) == longest
    assert reset_seconds({}, now=NOW, misses=misses, random=lambda: 0.5) == longest / 2
