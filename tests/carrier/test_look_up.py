"""Orders whose answers were lost: found, proven absent, or left to a person; never sent twice."""

from __future__ import annotations

import anyio
import pytest

from batcher.errors import CarrierRefused, CarrierUnavailable
from batcher.ledger import ACCEPTED, PARKED, READY, SENDING, SETTLED, UNKNOWN
from batcher.simulator import Account, Fault, Options
from tests.carrier.line import FIRST_TN, line, lots
from tests.carrier.turned import Turned


def lists(kind, **more):
    return Fault(kind=kind, method="GET", path="tnoptions", **more)


def doubt(way, *numbers):
    """Put chunks into doubt that never reached the carrier."""
    for number in numbers:
        way.ledger.doubt(number, way.ledger.intend(number), "reset")


async def test_killed_after_the_carrier_executed_it(tmp_path):
    """SENDING at the start of an attempt is looked up before anything else, and not sent again."""
    async with line(tmp_path, lots(2)) as way:
        await way.execute(1)
        account = way.account
        assert way.states() == [SENDING, READY]
    async with line(tmp_path, None, account=account) as way:
        await way.run()
        assert [(head.state, head.doubted) for head in way.ledger.heads(1)] == [(SETTLED, True), (SETTLED, False)]
        executed = await way.executed()
    assert (executed["orders"], executed["doubled_tns"]) == (2, [])


async def test_executed_twice_on_the_way(tmp_path):
    """Two orders with one CustomerOrderId: one counts, both ids are kept."""
    async with line(tmp_path, lots(1), faults=[Fault(kind="twice", method="POST")]) as way:
        await way.execute(1)
        way.ledger.recover(1, repeatable=False)
        await way.conversation.look_up(1)
        head = way.ledger.head(1)
        ((number, orders),) = way.ledger.doubles()
        assert (head.state, number, orders[0]) == (ACCEPTED, 1, head.order_id)
        assert sorted(orders) == sorted(way.account.orders)
        assert len(orders) == 2


async def test_never_listed(tmp_path):
    """An order that no list shows cannot be proven absent: parked, not sent again, looked up at the next start."""
    async with line(tmp_path, lots(1), faults=[Fault(kind="unlisted", method="POST")]) as way:
        await way.execute(1)
        account = way.account
        await way.run()
        head = way.ledger.head(1)
        assert (head.state, head.resends) == (PARKED, 0)
        assert head.why == "its absence cannot be proven: no known order was found by the same query"
        assert (await way.executed())["orders"] == 1
    next(iter(account.orders.values())).is_listed = True
    async with line(tmp_path, None, account=account) as way:
        await way.run()
        assert way.states() == [SETTLED]
        assert (await way.executed())["orders"] == 1


async def test_a_list_that_is_later_than_the_wait(tmp_path):
    """The first accepted order shows how late the list is; until ten times that is over, nothing is sent again."""
    faults = [Fault(kind="reset_after", method="POST", nth=(2,))]
    async with line(tmp_path, lots(2), faults=faults, options={"list_lag": 2.3}) as way:
        for number in (1, 2):
            await way.conversation.send(number)
        async with anyio.create_task_group() as group:
            group.start_soon(way.conversation.measure, 1)
            group.start_soon(way.conversation.look_up, 2)
            orders = way.conversation._orders
            await way.until(lambda: orders is not None and orders._lag > 0.5)
            await anyio.sleep(0.5)
            assert way.states() == [ACCEPTED, UNKNOWN]
            group.cancel_scope.cancel()
        await way.run()
        assert [(head.state, head.resends) for head in way.ledger.heads(1)] == [(SETTLED, 0), (SETTLED, 0)]
        executed = await way.executed()
    assert (executed["orders"], executed["doubled_tns"]) == (2, [])


async def test_absence_in_every_form(tmp_path):
    """Lists that say nothing in any form prove absence, when a known order shows and a random id does not."""

    async def absent(name, options):
        (tmp_path / name).mkdir()
        async with line(tmp_path / name, lots(2), options=options) as way:
            await way.conversation.send(1)
            doubt(way, 2)
            await way.conversation.look_up(2)
            states[name] = (way.states(), way.ledger.head(2).resends)

    states: dict[str, object] = {}
    forms = {
        "empty": {},
        "204": {"empty_list": "204"},
        "404": {"empty_list": "404"},
        "nameless": {"summary_customer_order_id": False},
    }
    async with anyio.create_task_group() as group:
        for name, options in forms.items():
            group.start_soon(absent, name, options)
    assert states == dict.fromkeys(forms, ([ACCEPTED, READY], 1))


async def test_what_proves_nothing(tmp_path):
    """A random id that gets another answer, or a known order that does not show: parked, and the reason is kept."""

    async def parked(name, faults, options):
        (tmp_path / name).mkdir()
        async with line(tmp_path / name, lots(1), faults=faults, options=options) as way:
            doubt(way, 1)
            await way.conversation.look_up(1)
            whys[name] = (way.states(), way.ledger.head(1).why)

    whys: dict[str, object] = {}
    # Three empty 200s for our id, one order of somebody else, then an empty 204 for an id that nobody has.
    other = (
        "<TnOptionOrders><TotalCount>1</TotalCount><TnOptionOrderSummary><CustomerOrderId>theirs</CustomerOrderId>"
        "<OrderId>ab-1</OrderId></TnOptionOrderSummary></TnOptionOrders>"
    )
    forms = [lists("status", nth=(4, 5), status=200, body=other), lists("status", nth=(6,), status=204)]
    async with anyio.create_task_group() as group:
        group.start_soon(parked, "forms", forms, {})
        group.start_soon(parked, "nobody", [], {})
    no_order = "its absence cannot be proven: no known order was found by the same query"
    another = "its absence cannot be proven: an id that nobody has gets another answer"
    assert whys == {"nobody": ([PARKED], no_order), "forms": ([PARKED], another)}


async def test_an_audit_finds_what_was_executed_twice(tmp_path):
    """Both ids are kept; a chunk that was audited is not asked about again; one order is one order."""
    async with line(tmp_path, lots(3)) as way:
        await way.post(1)
        for number in (1, 2):
            way.ledger.unsend(number, way.ledger.intend(number), "429")
        submission = way.start()
        submission._measured = True  # the look-up that measures the list would find it already
        await submission.run()
        assert way.ledger.unaudited(1) == [1, 2]
        await submission.audit()
        ((number, orders),) = way.ledger.doubles()
        assert (number, len(orders), way.ledger.unaudited(1)) == (1, 2, [])
        assert sorted(orders) == sorted(o.order_id for o in way.account.orders.values() if o.has(FIRST_TN))
        assert orders[0] == way.ledger.head(1).order_id


async def test_an_audit_of_an_order_that_was_never_accepted(tmp_path):
    """A refused chunk of which the carrier holds an order all the same was executed: its id is told."""
    async with line(tmp_path, lots(1)) as way:
        await way.post(1)
        way.ledger.unsend(1, way.ledger.intend(1), "429")
        way.ledger.refuse(1, way.ledger.intend(1), None)
        await way.conversation.audit(1)
        assert way.ledger.doubles() == [(1, list(way.account.orders))]


async def test_an_audit_without_a_clear_answer(tmp_path):
    """A list that nobody can read ends the run for later; one that never shows the order proves nothing, and is told."""
    faults = [
        lists("status", nth=(1,), status=503),
        lists("status", nth=(2,), status=429, headers={"Retry-After": "0"}),
    ]
    async with line(tmp_path, lots(1), faults=faults) as way:
        doubt(way, 1)
        way.ledger.found(1, "never-listed")
        Turned.of(way.wire)
        await way.conversation.audit(1)
        assert (way.ledger.doubles(), way.ledger.unlisted()) == ([], [1])
        await way.post(1)
        way.ledger.park(1, "not shown")
        way.ledger.found(1, next(iter(way.account.orders)))
        way.ledger.settle(1, "COMPLETE", None)
        await way.conversation.audit(1)
        assert (way.ledger.unaudited(1), way.ledger.doubles(), way.ledger.unlisted()) == ([], [], [])


async def test_an_audit_of_a_list_that_nobody_can_read(tmp_path):
    """The next start asks again."""
    async with line(tmp_path, lots(1), faults=[lists("garbage")]) as way:
        doubt(way, 1)
        way.ledger.found(1, "ab-1")
        Turned.of(way.wire)
        with pytest.raises(CarrierUnavailable, match="chunk 1 was executed only once could not be asked"):
            await way.conversation.audit(1)
        assert way.ledger.unlisted() == []


async def test_an_error_restarts_the_count(tmp_path):
    """Two clean misses, a failure, then an order: three misses in a row never were."""
    faults = [lists("status", nth=(3,), status=503)]
    async with line(tmp_path, lots(1), faults=faults) as way:
        doubt(way, 1)
        async with anyio.create_task_group() as group:
            group.start_soon(way.conversation.look_up, 1)
            await way.until(lambda: way.wire.requests == 3)
            await way.post(1)
        assert way.states() == [ACCEPTED]
        assert (await way.executed())["orders"] == 1


async def test_429_is_no_answer(tmp_path, monkeypatch):
    """A look-up that is limited waits at the gate; it brings the chunk no nearer to being parked."""
    monkeypatch.setattr("batcher.carrier.look_up._UNCLEAR_ANSWERS", 2)
    faults = [lists("status", nth=(1, 2, 3), status=429, headers={"Retry-After": "0"})]
    async with line(tmp_path, lots(1), faults=faults) as way:
        await way.execute(1)
        way.ledger.recover(1, repeatable=False)
        await way.conversation.look_up(1)
        assert way.states() == [ACCEPTED]


@pytest.mark.parametrize(
    "fault",
    [
        lists("garbage"),
        lists("reset_before"),
        lists("truncate"),
        lists("status", status=200, body="<TnOptionOrders><TotalCount>5</TotalCount></TnOptionOrders>"),
        lists("status", status=400, body="<html/>"),
    ],
    ids=["html", "reset", "truncated", "cut list", "400"],
)
async def test_nothing_clear(tmp_path, monkeypatch, fault):
    """Answers that say neither yes nor no leave the chunk to a person in the end."""
    monkeypatch.setattr("batcher.carrier.look_up._UNCLEAR_ANSWERS", 2)
    monkeypatch.setattr("batcher.carrier.look_up._UNCLEAR_SECONDS", 0.1)
    async with line(tmp_path, lots(1), faults=[fault]) as way:
        doubt(way, 1)
        await way.conversation.look_up(1)
        head = way.ledger.head(1)
        assert (head.state, head.why, head.resends) == (PARKED, "2 look-ups in a row without a clear answer", 0)


async def test_an_outage_of_the_list_parks_nobody(tmp_path, monkeypatch):
    """A list that is down says nothing about the order: it is asked again until it is back."""
    monkeypatch.setattr("batcher.carrier.look_up._UNCLEAR_ANSWERS", 2)
    async with line(tmp_path, lots(1), faults=[lists("status", status=503, nth=(1, 2, 3))]) as way:
        await way.execute(1)
        way.ledger.recover(1, repeatable=False)
        await way.conversation.look_up(1)
        assert way.states() == [ACCEPTED]


async def test_the_list_must_work_when_absence_is_proven(tmp_path):
    """A list that worked before and is empty for everybody now proves nothing: nobody is sent again."""
    gone = [lists("status", status=404, nth=tuple(range(2, 200)))]
    async with line(tmp_path, lots(2), faults=gone) as way:
        await way.conversation.send(1)
        await way.conversation.measure(1)
        await way.execute(2)
        way.ledger.recover(1, repeatable=False)
        with anyio.move_on_after(8):
            await way.conversation.look_up(2)
        assert way.states()[1] in {UNKNOWN, PARKED}
        assert (await way.executed())["orders"] == 2


async def test_the_lag_of_the_list_outlives_the_attempt(tmp_path):
    """How late the list is was seen before the crash; the next attempt waits as long, though old orders show at once."""
    async with line(tmp_path, lots(2), options={"list_lag": 2.0}) as way:
        await way.conversation.send(1)
        await way.conversation.measure(1)
        assert way.ledger.list_lag() >= 2
        await way.execute(2)
        account = way.account
    async with line(tmp_path, None, account=account) as way:
        await way.run()
        assert [(head.state, head.resends) for head in way.ledger.heads(1)] == [(SETTLED, 0), (SETTLED, 0)]
        executed = await way.executed()
    assert (executed["orders"], executed["doubled_tns"]) == (2, [])


@pytest.mark.parametrize("status", [401, 403])
async def test_looking_is_not_allowed(tmp_path, status):
    """Refused credentials stop the run; the chunk stays in doubt."""
    async with line(tmp_path, lots(1), faults=[lists("status", status=status)]) as way:
        doubt(way, 1)
        with pytest.raises(CarrierRefused, match=str(status)):
            await way.conversation.look_up(1)
        assert way.states() == [UNKNOWN]


async def test_somebody_elses_orders(tmp_path):
    """A list that ignores the filter is read order by order: only our CustomerOrderId is ours."""
    account = Account(Options(summary_customer_order_id=False))
    async with line(tmp_path, lots(3), account=account) as way:
        for number in (1, 2):
            await way.conversation.send(number)
        await way.execute(3)
        way.ledger.recover(1, repeatable=False)
        everything = await way.client.send(way.talk.find.recent("2000-01-01", "v2"))
        assert len(way.talk.find.orders(everything)) == 3
        await way.conversation.look_up(3)
        ours = [order.order_id for order in account.orders.values() if order.customer_order_id == "b-abcdefghij-3"]
        assert way.ledger.head(3).order_id == ours[0]
        assert way.ledger.doubles() == []
