"""Conversations with a simulated carrier over real HTTP, and what the ledger says afterwards."""

from __future__ import annotations

import socket
import time
from collections import Counter
from typing import Any

import anyio
import pytest

from batcher.blob import unpack
from batcher.carrier.auth import Authorization, OAuth2, Secret
from batcher.carrier.client import Timeouts
from batcher.errors import CarrierRefused, CarrierUnavailable
from batcher.ledger import ACCEPTED, PARKED, READY, REFUSED, SETTLED, UNKNOWN
from batcher.model import FAILED
from batcher.simulator import Fault
from tests.carrier.line import FIRST_TN, line, lot, lots
from tests.carrier.turned import Turned

A, B, C, D = range(FIRST_TN, FIRST_TN + 4)
#: an NPA never begins with 1: the carrier refuses it by name
BAD = 11995550100
CHECK: dict[str, Any] = {"operation": "import-tn-checker"}
SITE: dict[str, Any] = {"envelope": {"site_id": "486"}, "values": ({},)}


def post(kind, **more):
    return Fault(kind=kind, method="POST", path="tnoptions", **more)


NAMED = """<TnOptionOrderResponse><ErrorList><Error><Code>5074</Code><Description>Not in service.</Description>
<TelephoneNumber>+19195550101</TelephoneNumber></Error></ErrorList></TnOptionOrderResponse>"""


async def test_orders_settle(tmp_path):
    """COMPLETE, PARTIAL, FAILED and a warning: each row ends as the carrier says, each order is sent once."""
    options = {
        "error": [{"tns": ["+19195550101", "+19195550102"], "code": "5074", "text": "Not in service."}],
        "warning": [{"tns": ["+19195550100"], "text": "SMS is already Enabled."}],
        "settle": {"polls": 1},
    }
    chunks = [lot(A), lot(B, D, first_row=2), lot(C, first_row=4)]
    async with line(tmp_path, chunks, options=options) as way:
        await way.run()
        executed = await way.executed()
        heads = list(way.ledger.heads(1))
        assert [(head.state, head.status) for head in heads] == [
            (SETTLED, "COMPLETE"),
            (SETTLED, "PARTIAL"),
            (SETTLED, "FAILED"),
        ]
        assert way.failed(1) == {}
        assert [tuple(warning) for warning in way.outcome(1).warnings] == [(0, A, "", "SMS is already Enabled.")]
        assert way.failed(2) == {0: (FAILED, "5074", "Not in service.")}
        assert way.failed(3) == {0: (FAILED, "5074", "Not in service.")}
        assert [head.order_id for head in heads] == list(way.account.orders)
        assert [order.customer_order_id for order in way.account.orders.values()] == [
            head.customer_order_id for head in heads
        ]
    assert (executed["orders"], executed["tns"], executed["doubled_tns"]) == (3, 4, [])


#: answers after which an order is there all the same
LOST = {
    "reset": post("reset_after", nth=(1,)),
    "truncated": post("truncate", nth=(2,)),
    "not XML": post("garbage", nth=(3,)),
    "500": post("status_after", nth=(4,), status=500),
    "503": post("status_after", nth=(5,), status=503, body="<html>busy</html>"),
    "201 without an id": post("status_after", nth=(6,), status=201, body="<TnOptionOrderResponse/>"),
    "201 without a body": post("status_after", nth=(7,), status=201),
    "unreadable 400": post("status_after", nth=(8,), status=400, body="<html/>"),
    "302": post("status_after", nth=(9,), status=302, headers={"Location": "/elsewhere"}),
    "408": post("status_after", nth=(10,), status=408),
    "never": post("hang", nth=(11,)),
}


async def test_a_lost_answer_of_an_executed_order(tmp_path):
    """Whatever became of the answer, the order is found by its id, and executed once."""
    faults = list(LOST.values())
    async with line(tmp_path, lots(len(LOST)), faults=faults, timeouts=Timeouts(total=0.5)) as way:
        await way.run(in_flight=1)
        executed = await way.executed()
        assert await way.arrivals("POST") == len(LOST)
        for head, lost in zip(way.ledger.heads(1), LOST, strict=True):
            assert (head.state, head.status, head.doubted, head.resends) == (SETTLED, "COMPLETE", True, 0), lost
            assert [event["what"] for event in way.ledger.events(head.number)] == [
                "sending",
                "in doubt",
                "found",
                "settled",
            ]
    assert (executed["orders"], executed["doubled_customer_order_ids"]) == (len(LOST), [])


async def test_a_request_that_was_never_executed(tmp_path):
    """Reset, refused by a proxy or never answered: proven absent, sent again under the same id, executed once."""
    faults = [
        post("reset_before", nth=(2,)),
        post("status", nth=(3,), status=503),
        post("hang", nth=(4,), executed=False),
    ]
    async with line(tmp_path, lots(4), faults=faults, timeouts=Timeouts(total=0.5)) as way:
        await way.run(in_flight=1)
        executed = await way.executed()
        assert [(head.state, head.resends) for head in way.ledger.heads(1)] == [
            (SETTLED, 0),
            (SETTLED, 1),
            (SETTLED, 1),
            (SETTLED, 1),
        ]
        assert {order.customer_order_id for order in way.account.orders.values()} == {
            "b-abcdefghij-1",
            "b-abcdefghij-2",
            "b-abcdefghij-3",
            "b-abcdefghij-4",
        }
        assert [event["what"] for event in way.ledger.events(2)] == [
            "sending",
            "in doubt",
            "proven absent",
            "sending",
            "accepted",
            "settled",
        ]
    assert (executed["orders"], executed["doubled_tns"]) == (4, [])


@pytest.mark.parametrize(
    "headers",
    [{"X-RateLimit-Reset": "1"}, {"Retry-After": "0.05"}, {"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}],
    ids=["reset in the past", "seconds", "date in the past"],
)
async def test_429(tmp_path, headers):
    """429 is not executed: the chunk waits at the gate, is sent again, and no re-send is counted."""
    faults = [Fault(kind="status", method="POST", nth=(1, 2), status=429, headers=headers)]
    async with line(tmp_path, [lot(A, **SITE)], faults=faults, **CHECK) as way:
        await way.run()
        head = way.ledger.head(1)
        assert (head.state, head.attempt, head.resends, head.doubted) == (SETTLED, 3, 0, False)
        assert (way.wire.throttled, await way.arrivals("POST")) == (2, 3)


async def test_429_without_end(tmp_path, monkeypatch):
    """Limited again and again, the run stops for later; the chunk was never sent."""
    monkeypatch.setattr("batcher.carrier.wire._THROTTLES_IN_A_ROW", 5)
    faults = [post("status", status=429, headers={"Retry-After": "0"})]
    async with line(tmp_path, lots(1), faults=faults) as way:
        with pytest.raises(CarrierUnavailable, match="answered 429 5 times in a row"):
            await way.run()
        assert way.states() == [READY]


async def test_a_check(tmp_path):
    """The answer is the result: nothing is polled; rows that it names fail."""
    options = {"error": [{"tns": ["+19195550101"], "code": "19006", "text": "No.", "operation": "import-tn-checker"}]}
    async with line(tmp_path, [lot(A, B, **SITE)], options=options, **CHECK) as way:
        await way.run()
        assert way.failed(1) == {1: (FAILED, "19006", "No.")}
        assert way.outcome(1).warnings == []
        assert (way.states(), await way.arrivals("POST"), await way.arrivals("GET")) == ([SETTLED], 1, 0)


async def test_a_check_is_repeated(tmp_path):
    """A check whose answer was lost is simply asked again: nothing can be doubled."""
    faults = [Fault(kind="reset_after", method="POST", nth=(1,))]
    async with line(tmp_path, [lot(A, **SITE)], faults=faults, **CHECK) as way:
        await way.run()
        head = way.ledger.head(1)
        assert (head.state, head.attempt, head.resends, head.doubted) == (SETTLED, 2, 0, False)


async def test_refused_by_name(tmp_path):
    """400 that names TNs: they fail with code and text, the others go out as a chunk of their own."""
    async with line(tmp_path, [lot(A, BAD, C, first_row=5, **SITE)], **CHECK) as way:
        await way.run()
        assert way.states() == [REFUSED, SETTLED]
        assert way.failed(1) == {1: (FAILED, "7201", f"+{BAD} is not a valid NANP telephone number.")}
        head, child, _ = way.ledger.chunk(2)
        assert (head.parent, head.customer_order_id) == (1, "b-abcdefghij-2")
        assert (child.rows.tolist(), child.tns.tolist(), child.envelope) == ([5, 7], [A, C], {"site_id": "486"})
        assert way.failed(2) == {}


async def test_refused_with_every_row_named(tmp_path):
    """When all are named there is nobody left to be sent."""
    async with line(tmp_path, [lot(BAD, **SITE)], **CHECK) as way:
        await way.run()
        assert way.states() == [REFUSED]
        assert way.failed(1)[0][1] == "7201"


@pytest.mark.parametrize("status", [400, 409, 422])
async def test_refused_as_a_whole(tmp_path, status):
    """A refusal that names nobody fails every row with its code and text; nothing was executed."""
    body = (
        "<TnOptionOrderResponse><ResponseStatus><ErrorCode>5115</ErrorCode><Description>Nothing is set."
        "</Description></ResponseStatus></TnOptionOrderResponse>"
    )
    async with line(tmp_path, [lot(A, B)], faults=[post("status", status=status, body=body)]) as way:
        await way.run()
        assert way.states() == [REFUSED]
        assert way.failed(1) == dict.fromkeys((0, 1), (FAILED, "5115", "Nothing is set."))
        assert way.account.executions == 0


UNNAMED = (FAILED, "5070", "Telephone number is invalid.")


def tns(way, number):
    """The TNs of a chunk, counted from FIRST_TN."""
    return (way.ledger.chunk(number)[1].tns - FIRST_TN).tolist()


async def test_refused_without_a_name(tmp_path):
    """The chunk goes on as halves; what stands beside an accepted half is not sent to be refused; one row fails."""
    chunk = lot(*range(FIRST_TN, FIRST_TN + 8), first_row=11)
    async with line(tmp_path, [chunk], options={"unnamed": [f"+{FIRST_TN + 7}"]}) as way:
        await way.run(in_flight=1)
        told = [(head.parent, head.level, head.after, head.attempt, head.state) for head in way.heads()]
        assert told == [
            (None, 0, None, 1, REFUSED),
            (1, 1, None, 1, SETTLED),
            (1, 1, 2, 0, REFUSED),
            (3, 2, None, 1, SETTLED),
            (3, 2, 4, 0, REFUSED),
            (5, 3, None, 1, SETTLED),
            (5, 3, 6, 1, REFUSED),
        ]
        assert {head.family for head in way.heads()} == {None, 1}
        assert [tns(way, number) for number in range(2, 8)] == [[0, 1, 2, 3], [4, 5, 6, 7], [4, 5], [6, 7], [6], [7]]
        assert way.ledger.chunk(7)[1].rows.tolist() == [18]
        assert [way.failed(number) for number in range(1, 8)] == [{}] * 6 + [{0: UNNAMED}]
        assert "divided" in [event["what"] for event in way.ledger.events(3)]
        assert await way.arrivals("POST") == 5
        executed = await way.executed()
    assert (executed["tns"], executed["doubled_tns"]) == (7, [])


async def test_refused_without_a_name_in_both_halves(tmp_path):
    """The second half is sent when the first one was refused as well: two rows fail, and the others go through."""
    chunk = lot(*range(FIRST_TN, FIRST_TN + 8))
    unnamed = [f"+{FIRST_TN + 1}", f"+{FIRST_TN + 6}"]
    async with line(tmp_path, [chunk], options={"unnamed": unnamed}) as way:
        await way.run()
        ends = {head.number: way.failed(head.number) for head in way.heads() if way.failed(head.number)}
        assert list(ends.values()) == [{0: UNNAMED}, {0: UNNAMED}]
        assert [tns(way, number) for number in ends] == [[1], [6]]
        assert way.ledger.head(3).attempt == 1
        executed = await way.executed()
    assert (executed["tns"], executed["doubled_tns"]) == (6, [])


async def test_a_value_that_is_refused(tmp_path):
    """What a group sets is to blame: the groups go on apart, and none of them is halved."""
    chunk = lot(A, B, C, D, values=({"sms": "perhaps"}, {"sms": "on"}), group=[0, 1, 0, 1])
    async with line(tmp_path, [chunk]) as way:
        await way.run()
        assert way.states() == [REFUSED, REFUSED, SETTLED]
        assert [tns(way, 2), tns(way, 3)] == [[0, 2], [1, 3]]
        assert {code for _, code, _ in way.failed(2).values()} == {"5113"}
        assert (len(way.failed(2)), way.failed(3)) == (2, {})


async def test_an_order_that_is_refused_for_itself(tmp_path):
    """No row is to blame for such a code: nothing is halved, all rows fail."""
    body = (
        "<TnOptionOrderResponse><ResponseStatus><ErrorCode>5114</ErrorCode><Description>Not allowed."
        "</Description></ResponseStatus></TnOptionOrderResponse>"
    )
    chunk = lot(A, B, C, values=({"sms": "on"}, {"sms": "off"}), group=[0, 1, 1])
    async with line(tmp_path, [chunk], faults=[post("status", status=400, body=body)]) as way:
        await way.run()
        assert way.states() == [REFUSED]
        assert way.failed(1) == dict.fromkeys(range(3), (FAILED, "5114", "Not allowed."))


async def test_a_family_without_hope(tmp_path):
    """Where nothing of a chunk was accepted after five halvings, the error is about all of them: the rest just fails."""
    chunk = lot(*range(FIRST_TN, FIRST_TN + 128))
    async with line(tmp_path, [chunk], options={"unnamed": ["*"]}) as way:
        await way.run()
        heads = way.heads()
        assert set(way.states()) == {REFUSED}
        assert Counter(head.level for head in heads) == {level: 2**level for level in range(6)}
        assert sum(len(way.failed(head.number)) for head in heads) == 128
        assert (await way.executed())["executions"] == 0


async def test_halving_ends_at_the_eighth(tmp_path):
    """Two rows that are still together then fail together; the others went through."""
    chunk = lot(*range(FIRST_TN, FIRST_TN + 512))
    async with line(tmp_path, [chunk], options={"unnamed": [f"+{FIRST_TN + 300}"]}) as way:
        await way.run()
        last = max(way.heads(), key=lambda head: head.level)
        assert (last.level, last.rows) == (8, 2)
        ends = {head.number: way.failed(head.number) for head in way.heads() if way.failed(head.number)}
        [(number, failed)] = ends.items()
        assert (tns(way, number), failed) == ([300, 301], dict.fromkeys((0, 1), UNNAMED))
        assert (await way.executed())["tns"] == 510


async def test_too_large(tmp_path):
    """413: the halves go out as chunks of their own; a single row that is too large fails."""
    faults = [Fault(kind="status", method="POST", status=413, nth=(1, 3))]
    async with line(tmp_path, [lot(A, B, C, **SITE)], faults=faults, **CHECK) as way:
        await way.run(in_flight=1)
        assert way.states() == [REFUSED, SETTLED, REFUSED, SETTLED, SETTLED]
        parts = [(head.parent, way.ledger.chunk(head.number)[1].tns.tolist()) for head in way.ledger.heads(1)]
        assert sorted(parts, key=str) == [(1, [A]), (1, [B, C]), (3, [B]), (3, [C]), (None, [A, B, C])]
    (tmp_path / "one").mkdir()
    faults = [Fault(kind="status", method="POST", status=413)]
    async with line(tmp_path / "one", [lot(A, **SITE)], faults=faults, **CHECK) as way:
        await way.run()
        assert way.states() == [REFUSED]
        assert way.failed(1) == {0: (FAILED, "413", "the carrier finds this request too large")}


async def test_a_token_that_ended_is_renewed(tmp_path):
    """One 401 renews the token and repeats the request; a second one stops the run, the chunk unsent."""
    options = {"credentials": {"client_id": "me", "client_secret": "invented"}}
    authorization = Authorization(OAuth2("me", Secret("invented")))
    faults = [post("status", status=401, nth=(1,))]
    async with line(tmp_path, lots(1), options=options, faults=faults, authorization=authorization) as way:
        await way.conversation.send(1)
        assert (way.states(), way.account.executions, await way.arrivals("POST")) == ([ACCEPTED], 1, 2)
    (tmp_path / "again").mkdir()
    authorization = Authorization(OAuth2("me", Secret("invented")))
    faults = [post("status", status=401)]
    async with line(tmp_path / "again", lots(1), options=options, faults=faults, authorization=authorization) as way:
        with pytest.raises(CarrierRefused, match=r"refused the credentials \(401\)"):
            await way.run()
        assert (way.states(), await way.arrivals("POST")) == ([READY], 2)


@pytest.mark.parametrize(
    ("status", "why"),
    [
        (403, r"does not allow this \(403\)"),
        (404, r"does not know this path \(404\)"),
        (405, r"does not know this path \(405\)"),
        (415, r"does not know this path \(415\)"),
    ],
)
async def test_wrong_configuration(tmp_path, status, why):
    """Before this path took an order, such an answer stops the run; afterwards the chunk is in doubt."""
    async with line(tmp_path, lots(2), faults=[post("status", status=status, nth=(1, 3))]) as way:
        with pytest.raises(CarrierRefused, match=why):
            await way.conversation.send(1)
        assert way.states() == [READY, READY]
        await way.conversation.send(1)
        await way.conversation.send(2)
        assert way.states() == [ACCEPTED, UNKNOWN]


async def test_a_path_that_took_an_order_in_an_earlier_attempt(tmp_path):
    """A 404 after a restart is no wrong configuration either, when an order of this step is known."""
    async with line(tmp_path, lots(2)) as way:
        await way.conversation.send(1)
        account = way.account
    async with line(tmp_path, None, account=account, faults=[post("status", status=404)]) as way:
        await way.conversation.send(2)
        assert way.states() == [ACCEPTED, UNKNOWN]


async def test_nobody_is_there(tmp_path):
    """A refused connection is provably unsent: some tries later the run stops for later, the chunks READY."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    async with line(tmp_path, lots(3), base=nobody) as way:
        Turned.of(way.wire)
        with pytest.raises(CarrierUnavailable, match=r"cannot connect to port .*the same command goes on"):
            await way.run()
        assert way.states() == [READY] * 3
        assert [head.resends for head in way.ledger.heads(1)] == [0, 0, 0]
        assert way.wire.requests >= 2


async def test_after_a_resend_already_there_is_no_failure(tmp_path):
    """A re-sent order that "is being processed already" may be our own: it is looked up, not failed."""
    body = (
        "<TnOptionOrderResponse><ErrorList><Error><Code>5218</Code><Description>Already processing on another order."
        "</Description><TelephoneNumber>+19195550100</TelephoneNumber></Error></ErrorList></TnOptionOrderResponse>"
    )
    async with line(tmp_path, lots(1), faults=[post("status", status=400, body=body)]) as way:
        way.ledger.doubt(1, way.ledger.intend(1), "reset")
        way.ledger.absent(1, "3 misses")
        await way.conversation.send(1)
        assert way.states() == [UNKNOWN]
        # Nothing was found, and it is refused once more: then it means what it says.
        way.ledger.absent(1, "3 misses")
        await way.conversation.send(1)
        assert way.states() == [REFUSED]
    (tmp_path / "first").mkdir()
    async with line(tmp_path / "first", lots(1), faults=[post("status", status=400, body=body)]) as way:
        await way.conversation.send(1)
        assert way.states() == [REFUSED]


async def test_errors_that_come_with_the_acceptance(tmp_path):
    """They are kept with ACCEPTED and count when the order has settled, though its last answer omits them."""
    body = """<TnOptionOrderResponse><TnOptionOrder><OrderId>0f0f</OrderId><ProcessingStatus>RECEIVED</ProcessingStatus>
    <ErrorList><Error><Code>5074</Code><Description>Not in service.</Description>
    <TelephoneNumber>+19195550101</TelephoneNumber></Error></ErrorList></TnOptionOrder></TnOptionOrderResponse>"""
    last = "<TnOptionOrder><OrderId>0f0f</OrderId><ProcessingStatus>PARTIAL</ProcessingStatus></TnOptionOrder>"
    faults = [post("status", status=201, body=body), Fault(kind="status", path="tnoptions/0f0f", status=200, body=last)]
    async with line(tmp_path, [lot(A, B)], faults=faults) as way:
        await way.conversation.send(1)
        assert (way.states(), way.ledger.head(1).status, way.failed(1)) == ([ACCEPTED], "RECEIVED", {})
        await way.conversation.follow(1, at_once=True)
        assert way.states() == [SETTLED]
        assert way.failed(1) == {1: (FAILED, "5074", "Not in service.")}


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (404, "", "the carrier does not show order {}"),
        (503, "", "order {} cannot be asked for: status 503"),
        (200, "<html/>", "order {} cannot be read: expected <TnOptionOrderResponse>"),
    ],
)
async def test_an_order_that_the_carrier_does_not_show(tmp_path, monkeypatch, status, body, why):
    """For too long: parked with its order id, and what was said; the next start asks again."""
    monkeypatch.setattr("batcher.carrier.converse._MISSING_SECONDS", 0.0)
    faults = [Fault(kind="status", method="GET", path="tnoptions/*", status=status, body=body, nth=(1,))]
    async with line(tmp_path, lots(1), faults=faults) as way:
        await way.conversation.send(1)
        await way.conversation.follow(1, at_once=True)
        head = way.ledger.head(1)
        assert head.state == PARKED
        assert head.why is not None
        assert head.why.startswith(why.format(head.order_id))
        await way.run()
        assert way.states() == [SETTLED]
        assert (await way.executed())["orders"] == 1


async def test_stopped_in_the_middle_of_a_post(tmp_path):
    """The first signal waits for the answer, and records it; nothing else is begun."""
    async with line(tmp_path, lots(3), faults=[post("slow", seconds=0.3)]) as way:
        submission = way.start(in_flight=1)
        async with anyio.create_task_group() as group:
            group.start_soon(submission.run)
            await way.executes(1)
            submission.stop(30)
        assert way.states() == [ACCEPTED, READY, READY]
        assert (await way.executed())["orders"] == 1


async def test_stopped_at_once(tmp_path):
    """The second signal does not wait: a request that left is in doubt, and found at the next start."""
    async with line(tmp_path, lots(2), faults=[post("hang")]) as way:
        submission = way.start(in_flight=1)
        async with anyio.create_task_group() as group:
            group.start_soon(submission.run)
            await way.executes(1)
            submission.stop(30)
            submission.stop(0)
        assert way.states() == [UNKNOWN, READY]
        assert way.ledger.head(1).why == "stopped while waiting"
        account = way.account
    async with line(tmp_path, None, account=account) as way:
        await way.run()
        assert way.states() == [SETTLED, SETTLED]
        executed = await way.executed()
    assert (executed["orders"], executed["doubled_tns"]) == (2, [])


async def test_stopped_while_a_check_waits_to_be_repeated(tmp_path):
    """Waiting is no writing: nothing has to be waited for."""
    faults = [Fault(kind="status", method="POST", status=503)]
    async with line(tmp_path, [lot(A, **SITE)], faults=faults, **CHECK) as way:
        for _ in range(6):
            way.ledger.unsend(1, way.ledger.intend(1), "status 503")
        submission = way.start()
        # The seventh try is followed by a wait of 16 s and more.
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                group.start_soon(submission.run)
                await way.until(lambda: (way.heads()[0].attempt, way.heads()[0].state) == (7, READY))
                submission.stop(30)
        assert way.states() == [READY]


PASSCODE = "Zq7Xw9Kp2"


@pytest.mark.parametrize("named", ["", "<TelephoneNumber>+19195550100</TelephoneNumber>"], ids=["whole", "named"])
async def test_a_passcode_stays_out_of_the_ledger(tmp_path, capfd, named):
    """The carrier repeats a passcode in a refusal and in an order's errors: neither ledger nor log shows it."""
    error = f"<Error><Code>5193</Code><Description>Passcode '{PASSCODE}' is bad.</Description>{named}</Error>"
    refusal = f"<TnOptionOrderResponse><ErrorList>{error}</ErrorList></TnOptionOrderResponse>"
    options = {"error": [{"tns": ["+19195550102"], "code": "5195", "text": f"Pin {PASSCODE} exists."}]}
    chunks = [lot(A, B), lot(C, D, first_row=3)]
    faults = [post("status", status=400, body=refusal, nth=(1,))]
    async with line(tmp_path, chunks, faults=faults, options=options, secret={"port_out_passcode": PASSCODE}) as way:
        await way.conversation.send(1)
        await way.conversation.send(2)
        await way.conversation.follow(2, at_once=True)
        assert way.account.tn_options(D, time.time())["PortOutPasscode"] == PASSCODE
        assert way.failed(1)[0] == (FAILED, "5193", "Passcode '***' is bad.")
        assert way.failed(2) == {0: (FAILED, "5195", "Pin *** exists.")}
        blobs = [unpack(way.ledger.issues(number) or b"") for number in (1, 2)]
        assert way.ledger.chunk(2)[1].groups == ({"sms": "on"},)
        files = [path.read_bytes() for path in tmp_path.iterdir()]
    files += [path.read_bytes() for path in tmp_path.iterdir()]
    assert len(files) == 4
    assert PASSCODE not in str(blobs)
    assert not any(PASSCODE.encode() in content for content in files)
    assert PASSCODE not in "".join(capfd.readouterr())


async def test_a_passcode_that_looks_like_a_tn(tmp_path):
    """Ten digits that the carrier repeats are taken neither for a TN nor into the ledger."""
    body = (
        "<TnOptionOrderResponse><ErrorList><Error><Code>5193</Code><Description>Passcode 9195550177 is bad."
        "</Description></Error><Error><Code>5074</Code><Description>Not in service.</Description>"
        "<TelephoneNumber>+19195550100</TelephoneNumber></Error></ErrorList></TnOptionOrderResponse>"
    )
    secret = {"port_out_passcode": "9195550177"}
    async with line(tmp_path, [lot(A, B)], faults=[post("status", status=400, body=body)], secret=secret) as way:
        await way.conversation.send(1)
        assert way.failed(1) == {0: (FAILED, "5074", "Not in service.")}
        assert "9195550177" not in str(unpack(way.ledger.issues(1) or b""))


async def test_a_child_carries_no_passcode(tmp_path):
    """The rows that go on after a refusal are planned without the secret, and sent with it."""
    faults = [post("status", status=400, body=NAMED, nth=(1,))]
    secret = {"port_out_passcode": PASSCODE}
    async with line(tmp_path, [lot(A, B, C)], faults=faults, secret=secret) as way:
        await way.conversation.send(1)
        assert way.ledger.chunk(2)[1].groups == ({"sms": "on"},)
        assert way.ledger.chunk(2)[1].tns.tolist() == [A, C]
        await way.conversation.send(2)
        assert way.account.tn_options(C, time.time())["PortOutPasscode"] == PASSCODE


async def test_read(tmp_path):
    """One request a TN: what it brought stands at its row, what the carrier does not know fails."""
    options = {"holds": ["+19195550100", "+19195550102"]}
    chunk = lot(A, B, C, values=({},), envelope={"detail": "full"})
    async with line(tmp_path, [chunk], operation="tn-details", options=options) as way:
        await way.run()
        end = way.outcome(1)
        assert [(place, values[0]) for place, values in end.products] == [(0, "Inservice"), (2, "Inservice")]
        assert way.failed(1) == {1: (FAILED, "", "The resource does not exist")}
        assert end.warnings == []
        assert await way.arrivals("GET") == 3


async def test_read_in_one_request(tmp_path):
    """One request for all: those that are not on the account fail by name; a failed answer is asked for again."""
    options = {"holds": ["+19195550100", "+19195550102"]}
    faults = [Fault(kind="status", path="/tns", status=503, nth=(1,))]
    chunk = lot(A, B, C, values=({},), envelope={"detail": "summary"})
    async with line(tmp_path, [chunk], operation="tn-details", options=options, faults=faults) as way:
        await way.run()
        assert [place for place, _ in way.outcome(1).products] == [0, 2]
        assert {position: code for position, (_, code, _) in way.failed(1).items()} == {1: "15610"}


@pytest.mark.parametrize("detail", ["full", "summary"])
async def test_a_glitch_while_reading(tmp_path, detail):
    """A page of a proxy's instead of the answer says nothing: it is asked for again."""
    chunk = lot(A, B, values=({},), envelope={"detail": detail})
    async with line(tmp_path, [chunk], operation="tn-details", faults=[Fault(kind="garbage", nth=(1,))]) as way:
        await way.run()
        assert way.failed(1) == {}


async def test_the_first_tn_is_forbidden(tmp_path):
    """Others can be read: it fails by itself."""
    faults = [Fault(kind="status", path="/tns/+19195550100/*", status=403)]
    chunk = lot(A, B, C, values=({},), envelope={"detail": "full"})
    async with line(tmp_path, [chunk], operation="tn-details", faults=faults) as way:
        await way.run()
        assert way.failed(1) == {0: (FAILED, "403", "Forbidden")}


@pytest.mark.parametrize(
    ("detail", "status"), [("full", 403), ("summary", 403), ("summary", 404)], ids=["all TNs", "in one", "no such path"]
)
async def test_reading_is_not_allowed(tmp_path, detail, status):
    """What holds for all TNs is about us: nobody fails, the step stops."""
    chunk = lot(A, B, values=({},), envelope={"detail": detail})
    async with line(tmp_path, [chunk], operation="tn-details", faults=[Fault(kind="status", status=status)]) as way:
        with pytest.raises(CarrierRefused, match=str(status)):
            await way.run()
        assert way.states() == [READY]


async def test_an_outage_fails_no_question(tmp_path, monkeypatch):
    """However long the carrier answers 503: the rows stay unsent for the next start, whatever method asks."""
    monkeypatch.setattr("batcher.carrier.converse.READ_SECONDS", 0.0)
    chunk = lot(A, B, values=({},), envelope={"detail": "summary"})
    async with line(tmp_path, [chunk], operation="tn-details", faults=[Fault(kind="status", status=503)]) as way:
        way.wire.patience_seconds = -1.0
        with pytest.raises(CarrierUnavailable):
            await way.run()
        assert way.states() == [READY]


async def test_a_page_that_was_not_answered_succeeds_for_nobody(tmp_path):
    """When the one request for all rows is refused, no row counts as read."""
    body = (
        "<TelephoneNumbersResponse><ErrorList><Error><Code>15607</Code><Description>Too many.</Description></Error>"
        "</ErrorList></TelephoneNumbersResponse>"
    )
    faults = [Fault(kind="status", path="/tns", status=400, body=body)]
    chunk = lot(A, B, values=({},), envelope={"detail": "summary"})
    async with line(tmp_path, [chunk], operation="tn-details", faults=faults) as way:
        await way.run()
        assert way.failed(1) == dict.fromkeys((0, 1), (FAILED, "15607", "Too many."))


async def test_an_order_of_another_chunk_settles_nothing(tmp_path):
    """A person who names the wrong order, or a mixed-up answer: the chunk is parked, its rows are not succeeded."""
    async with line(tmp_path, lots(2)) as way:
        await way.conversation.send(1)
        order_id = way.ledger.head(1).order_id
        assert order_id is not None
        way.ledger.doubt(2, way.ledger.intend(2), "reset")
        way.ledger.found(2, order_id)
        await way.conversation.follow(2, at_once=True)
        head = way.ledger.head(2)
        assert head.state == PARKED
        assert head.why is not None
        assert "which is another chunk's" in head.why


async def test_a_chunk_that_is_done_is_not_sent(tmp_path):
    """Whoever comes late to a chunk finds it settled and leaves it alone."""
    async with line(tmp_path, lots(1, envelope={"site_id": "486"}), operation="import-tn-checker") as way:
        await way.conversation.send(1)
        assert way.states() == [SETTLED]
        await way.conversation.send(1)
        assert (way.states(), await way.arrivals("POST")) == ([SETTLED], 1)
