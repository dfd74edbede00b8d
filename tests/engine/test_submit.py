"""Many chunks at once: how many are under way, who goes first, and what one error does to the others."""

from __future__ import annotations

from typing import Any

import anyio
import pytest
from aiohttp import web

from batcher.engine.submit import Submission
from batcher.errors import CarrierRefused, StorageFailed
from batcher.ledger import ACCEPTED, READY, REFUSED, SENDING, SETTLED, UNKNOWN
from batcher.simulator import Fault
from tests.carrier.line import FIRST_TN, line, lot, lots

CHECK: dict[str, Any] = {"operation": "import-tn-checker"}
SITE: dict[str, Any] = {"envelope": {"site_id": "486"}, "values": ({},)}


class Traffic:
    """A middleware of the simulator that counts what is under way, and remembers what came."""

    def __init__(self, seconds=0.0):
        self.seconds = seconds
        self.now = self.most = 0
        self.seen = []

    def middleware(self):
        @web.middleware
        async def count(request, handler):
            if "_simulator" in request.path:
                return await handler(request)
            kind = "look-up" if "customerOrderId" in request.query else {"POST": "post", "GET": "poll"}[request.method]
            self.seen.append(kind)
            self.now += 1
            self.most = max(self.most, self.now)
            try:
                await anyio.sleep(self.seconds)
                return await handler(request)
            finally:
                self.now -= 1

        return count


@pytest.mark.parametrize(
    ("in_flight", "most", "seconds"), [(1, 1, 0.1), (3, 3, 0.1), (None, 8, 0.5)], ids=["one", "three", "by itself"]
)
async def test_in_flight(tmp_path, in_flight, most, seconds):
    """Many chunks are under way at once, and never more than the limit; each is sent once."""
    traffic = Traffic(seconds)
    # At 10 requests a second that are answered this fast, 8 in flight are more than enough.
    async with line(tmp_path, lots(12, **SITE), middlewares=[traffic.middleware()], **CHECK) as way:
        await way.run(in_flight=in_flight, rate=10.0)
        assert traffic.most == most
        assert traffic.seen == ["post"] * 12
        assert way.states() == [SETTLED] * 12
        assert [head.attempt for head in way.ledger.heads(1)] == [1] * 12


async def test_slow_answers_need_more_at_once(tmp_path):
    """1.25 x rate x latency + 1: at 100 a second and 0.2 s that is 26 and a little more, not 8."""
    traffic = Traffic(0.2)
    async with line(tmp_path, lots(120, **SITE), middlewares=[traffic.middleware()], **CHECK) as way:
        await way.run(rate=100.0)
        assert 26 <= traffic.most <= 64


async def test_progress(tmp_path):
    """Whoever watches is told the rows of every chunk that came to rest."""
    told: list[int] = []
    chunks = [lot(FIRST_TN, FIRST_TN + 1, **SITE), lot(FIRST_TN + 2, first_row=3, **SITE)]
    async with line(tmp_path, chunks, **CHECK) as way:
        submission = way.start()
        submission._settled = told.append
        await submission.run()
    assert sorted(told) == [1, 2]


async def test_children_are_carried(tmp_path):
    """What a refusal leaves over is sent in the same attempt, even by the last chunk there is."""
    bad = [11995550100 + place for place in range(3)]
    chunks = [lot(FIRST_TN + place, bad[place], first_row=1 + 2 * place, **SITE) for place in range(3)]
    async with line(tmp_path, chunks, **CHECK) as way:
        await way.run(in_flight=2)
        assert way.states() == [REFUSED] * 3 + [SETTLED] * 3
        assert {head.parent for head in way.ledger.heads(1)} == {None, 1, 2, 3}


async def test_one_error_stops_the_others(tmp_path):
    """After a 403 nothing new is sent; what was under way is recorded; no chunk is left in SENDING."""
    faults = [
        Fault(kind="status", method="POST", status=403, nth=(2,)),
        Fault(kind="slow", method="POST", seconds=0.3),
    ]
    async with line(tmp_path, lots(20), faults=faults) as way:
        with pytest.raises(CarrierRefused, match=r"403.*the same command goes on"):
            await way.run(in_flight=3)
        states = way.states()
        executed = await way.executed()
        assert states.count(ACCEPTED) == executed["orders"] <= 2
        assert states.count(READY) == 20 - executed["orders"]


async def test_an_error_while_the_list_is_measured(tmp_path):
    """Refused credentials come out as what they are, wherever they are met."""
    faults = [Fault(kind="status", method="GET", path="tnoptions", status=403)]
    async with line(tmp_path, lots(1), faults=faults) as way:
        with pytest.raises(CarrierRefused, match="403"):
            await way.run()
        assert way.states() == [ACCEPTED]


async def test_an_error_of_the_ledger(tmp_path, monkeypatch):
    """A ledger that cannot be read any more stops the step as StorageFailed, not as a group of errors."""
    async with line(tmp_path, lots(1)) as way:
        submission = way.start()

        def full(*_, **__):
            raise StorageFailed("ledger.db: disk I/O error")

        monkeypatch.setattr(way.ledger, "numbers", full)
        with pytest.raises(StorageFailed, match="disk I/O error"):
            await submission.run()


async def test_an_intent_that_cannot_be_written(tmp_path, monkeypatch):
    """Nothing is sent without a committed intent."""
    async with line(tmp_path, lots(3)) as way:

        def full(*_, **__):
            raise StorageFailed("ledger.db: database or disk is full")

        monkeypatch.setattr(way.ledger, "intend", full)
        with pytest.raises(StorageFailed, match="disk is full"):
            await way.run()
        assert way.states() == [READY] * 3
        assert await way.arrivals("POST") == 0


async def test_an_answer_that_cannot_be_written_at_once(tmp_path, monkeypatch):
    """A full disk gets some chances before the outcome of a request is given up."""
    async with line(tmp_path, lots(1)) as way:
        accept, tries = way.ledger.accept, []

        def later(*arguments):
            tries.append(arguments)
            if len(tries) == 1:
                raise StorageFailed("ledger.db: database or disk is full")
            accept(*arguments)

        monkeypatch.setattr(way.ledger, "accept", later)
        await way.conversation.send(1)
        assert (way.states(), len(tries), way.account.executions) == ([ACCEPTED], 2, 1)


@pytest.mark.parametrize(
    ("ends", "bad"),
    [
        pytest.param("FFF", 3, id="three failed"),
        pytest.param("RRR", 3, id="three refused"),
        pytest.param("CFCCRCCCCF", 3, id="the tenth"),
        pytest.param("CFCCRCCCCCF", None, id="the eleventh"),
        pytest.param("FFCCCCCCCCFFF", None, id="two of ten"),
        pytest.param("PPPPPPPPPP", None, id="partial"),
    ],
)
async def test_the_error_budget(tmp_path, ends, bad):
    """Three of the first ten orders that came to an end refused or FAILED: nothing more is sent."""
    statuses = {"F": "FAILED", "C": "COMPLETE", "P": "PARTIAL"}
    async with line(tmp_path, lots(len(ends) + 1)) as way:
        for number, end in enumerate(ends, 1):
            attempt = way.ledger.intend(number)
            if end == "R":
                # What goes on as a part of a refused one is no order of its own in this count.
                way.ledger.refuse(number, attempt, None, [lot(FIRST_TN)])
                continue
            way.ledger.accept(number, attempt, f"ab-{number}", "RECEIVED", None)
            way.ledger.settle(number, statuses[end], None)
        submission = Submission(way.conversation, rate=1000.0, in_flight=1, settled=lambda _: None, has_budget=True)
        if bad is None:
            await submission.run()
            assert READY not in way.states()
            return
        with pytest.raises(
            CarrierRefused, match=rf"{bad} of the first {len(ends)} orders that came to an end were refused or FAILED"
        ):
            await submission.run()
        assert await way.arrivals("POST") == 0
        assert way.ledger.head(len(ends) + 1).state == READY


async def test_a_budget_that_is_used_up_on_the_way(tmp_path):
    """The third refusal stops what was not sent yet, and no half of anything goes out; without a budget all goes on."""
    chunks = [lot(FIRST_TN + 2 * place, FIRST_TN + 2 * place + 1, first_row=2 * place + 1) for place in range(6)]
    unnamed = {"unnamed": [f"+{FIRST_TN + place}" for place in (0, 2, 4)]}
    async with line(tmp_path, chunks, options=unnamed) as way:
        submission = Submission(way.conversation, rate=1000.0, in_flight=1, settled=lambda _: None, has_budget=True)
        with pytest.raises(CarrierRefused, match="3 of the first 3 orders"):
            await submission.run()
        assert (await way.arrivals("POST"), way.account.executions) == (3, 0)
        assert way.states() == [REFUSED] * 3 + [READY] * 9
        await way.run()
        assert (await way.executed())["tns"] == 9


async def test_who_goes_first(tmp_path):
    """Look-ups of doubtful chunks go before posts, posts before polls."""
    async with line(tmp_path, lots(9)) as way:
        for number in (1, 2, 3):
            await way.execute(number)
        for number in (4, 5, 6):
            await way.conversation.send(number)
        account = way.account
    traffic = Traffic()
    async with line(tmp_path, None, account=account, middlewares=[traffic.middleware()], rate=20) as way:
        submission = way.start()
        submission._measured = True  # the look-up that measures the list would come between
        await submission.run()
        assert way.states() == [SETTLED] * 9
    assert traffic.seen[:6] == ["look-up"] * 3 + ["post"] * 3
    assert set(traffic.seen[6:]) == {"poll"}
    assert len(account.orders) == 9


async def test_proven_absent_while_others_are_sent(tmp_path, monkeypatch):
    """A doubtful chunk that becomes READY again is carried by its own task alone, and sent once."""
    async with line(tmp_path, lots(4)) as way:
        await way.conversation.send(1)
        for number in (3, 4):
            way.ledger.doubt(number, way.ledger.intend(number), "reset")
        submission = way.start()
        find = way.conversation.look_up

        async def absent(number):
            # Chunk 2 is done, and wakes the producer, while 3 and 4 are READY and wait for the gate.
            await find(number)
            submission._changed.set()
            submission._changed = anyio.Event()
            await anyio.sleep(0.1)

        monkeypatch.setattr(way.conversation, "look_up", absent)
        await submission.run()
        assert [(head.state, head.attempt) for head in way.ledger.heads(1)] == [
            (SETTLED, 1),
            (SETTLED, 1),
            (SETTLED, 2),
            (SETTLED, 2),
        ]
        executed = await way.executed()
    assert (executed["orders"], executed["doubled_tns"]) == (4, [])


async def test_a_proof_under_way_is_waited_for(tmp_path):
    """However short the wait: an order that was lost is found missing and sent again in one start."""
    async with line(tmp_path, lots(2), faults=[Fault(kind="reset_before", method="POST", nth=(2,))]) as way:
        submission = Submission(way.conversation, rate=1000.0, in_flight=1, settled=lambda _: None, wait_seconds=0.1)
        await submission.run()
        assert [head.resends for head in way.ledger.heads(1)] == [0, 1]
        assert set(way.states()) <= {ACCEPTED, SETTLED}
        assert (await way.executed())["orders"] == 2


async def test_nothing_new_leaves(tmp_path):
    """Without `send`: doubtful chunks are looked up, open orders asked once and left open, the rest stays unsent."""
    async with line(tmp_path, lots(5), options={"settle": {"polls": 1}}) as way:
        await way.execute(1)
        await way.conversation.send(2)
        way.ledger.doubt(3, way.ledger.intend(3), "reset")
        account = way.account
        traffic = Traffic()
    async with line(tmp_path, None, account=account, middlewares=[traffic.middleware()]) as way:
        await way.start().run(send=False)
        assert way.states() == [ACCEPTED, ACCEPTED, READY, READY, READY]
        assert "post" not in traffic.seen
        assert traffic.seen.count("poll") == 2
        await way.start().run(send=False)
        assert way.states() == [SETTLED, SETTLED, READY, READY, READY]
    assert len(account.orders) == 2


async def test_checks_found_in_sending_are_asked_again(tmp_path):
    """A check that a killed process left in SENDING is harmless: READY, and asked again."""
    async with line(tmp_path, lots(2, **SITE), **CHECK) as way:
        way.ledger.intend(1)
        assert way.states() == [SENDING, READY]
        await way.run()
        assert way.states() == [SETTLED, SETTLED]
        assert [head.doubted for head in way.ledger.heads(1)] == [False, False]


async def test_stopped_before_it_began(tmp_path):
    """A signal that comes first of all is not lost."""
    async with line(tmp_path, lots(2)) as way:
        submission = way.start()
        submission.stop(30)
        await submission.run()
        assert (way.states(), way.wire.requests) == ([READY, READY], 0)


async def test_a_list_that_shows_nothing_holds_nobody_up(tmp_path):
    """How late the list is matters only while something is under way: the step ends without an answer."""
    async with line(tmp_path, lots(1), options={"list_lag": 10_000}) as way:
        with anyio.fail_after(10):
            await way.run()
        assert way.states() == [SETTLED]


async def test_two_attempts_after_an_abrupt_end(tmp_path):
    """What is in doubt, open and unsent is carried to its end by the next attempt: nothing lost, nothing doubled."""
    async with line(tmp_path, lots(12)) as way:
        submission = way.start(in_flight=4)
        async with anyio.create_task_group() as group:
            group.start_soon(submission.run)
            await way.executes(5)
            submission.stop(0)
        account = way.account
        assert SENDING not in way.states()
        assert set(way.states()) <= {READY, ACCEPTED, UNKNOWN, SETTLED}
    async with line(tmp_path, None, account=account) as way:
        await way.run()
        assert way.states() == [SETTLED] * 12
        executed = await way.executed()
    assert (executed["orders"], executed["tns"], executed["doubled_tns"]) == (12, 12, [])
