"""How orders settle."""

from __future__ import annotations

import pytest

from tests.simulator.talk import NOON, Clock, order, talk

TNS = ("+19195550001", "+19195550002")
OUT_OF_SERVICE = {"code": "5074", "text": "Telephone number is not in service."}


async def statuses(carrier, order_id, times):
    return [(await carrier.get(f"tnoptions/{order_id}")).one("ProcessingStatus") for _ in range(times)]


async def test_an_order_settles_after_polls():
    """Polls = 2: two polls find it at work, the third settled; lists do not count as polls."""
    async with talk(options={"settle": {"polls": 2}}) as carrier:
        posted = await carrier.post("tnoptions", order(*TNS))
        listed = [(await carrier.get("tnoptions")).one("OrderStatus") for _ in range(3)]
        found = await statuses(carrier, posted.one("OrderId"), 3)
    assert posted.one("ProcessingStatus") == "RECEIVED"
    assert listed == ["RECEIVED"] * 3
    assert found == ["PROCESSING", "PROCESSING", "COMPLETE"]


async def test_an_order_settles_after_seconds():
    """Seconds = 20: received for the first half, processing for the second, then done and modified at that moment."""
    clock = Clock()
    async with talk(options={"settle": {"seconds": 20}}, clock=clock) as carrier:
        order_id = (await carrier.post("tnoptions", order(*TNS))).one("OrderId")
        found = []
        for now in (NOON + 9, NOON + 11, NOON + 19.9, NOON + 20):
            clock.now = now
            found += await statuses(carrier, order_id, 1)
        modified = (await carrier.get(f"tnoptions/{order_id}")).one("LastModifiedDate")
    assert found == ["RECEIVED", "PROCESSING", "PROCESSING", "COMPLETE"]
    assert modified == "2026-11-20T12:00:20.000Z"


@pytest.mark.parametrize(
    ("failing", "status", "errors"),
    [
        pytest.param([], "COMPLETE", [], id="none fails"),
        pytest.param(["+19195550002"], "PARTIAL", ["5074"], id="one fails"),
        pytest.param(["+1919555*"], "FAILED", ["5074", "5074"], id="all fail"),
        pytest.param(["*"], "FAILED", ["5074", "5074"], id="everything fails"),
    ],
)
async def test_errors_decide_the_status(failing, status, errors):
    """COMPLETE without errors, PARTIAL with some, FAILED with all; one TN to an error."""
    rules = [{"tns": failing, **OUT_OF_SERVICE}]
    async with talk(options={"error": rules}) as carrier:
        order_id = (await carrier.post("tnoptions", order(*TNS))).one("OrderId")
        found = await carrier.get(f"tnoptions/{order_id}")
    assert (found.one("ProcessingStatus"), found.all("Code")) == (status, errors)


async def test_an_unsettled_order_tells_no_errors():
    """Errors and warnings appear with the settled order."""
    rules = [{"tns": ["*"], **OUT_OF_SERVICE}]
    async with talk(options={"settle": {"polls": 1}, "error": rules}) as carrier:
        order_id = (await carrier.post("tnoptions", order(*TNS))).one("OrderId")
        early, late = [await carrier.get(f"tnoptions/{order_id}") for _ in range(2)]
    assert (early.all("Code"), late.all("Code")) == ([], ["5074", "5074"])


async def test_a_stranger_fails_first_and_failed_tns_get_no_warning():
    """5076 goes before the account file's own errors; a TN has one error, and then no warning."""
    options = {
        "holds": ["+19195550001"],
        "error": [{"tns": ["*"], **OUT_OF_SERVICE}],
        "warning": [{"tns": ["*"], "text": "noted"}],
    }
    async with talk(options=options) as carrier:
        order_id = (await carrier.post("tnoptions", order(*TNS))).one("OrderId")
        found = await carrier.get(f"tnoptions/{order_id}")
    assert (found.all("Code"), found.all("Warning")) == (["5074", "5076"], [])


async def test_options_are_remembered_when_the_order_settles():
    """The last settled order wins, `unchanged` and failed TNs change nothing, `systemDefault` clears."""
    options = {"settle": {"polls": 1}, "error": [{"tns": ["+19195550002"], **OUT_OF_SERVICE}]}
    first = "<Sms>on</Sms><PortOutPasscode>a1b2c3</PortOutPasscode><RewriteUser>x</RewriteUser>"
    second = "<Sms>unchanged</Sms><RewriteUser>systemDefault</RewriteUser><Protected>true</Protected>"
    async with talk(options=options) as carrier:
        ids = [(await carrier.post("tnoptions", order(*TNS, options=text))).one("OrderId") for text in (first, second)]
        unsettled = await carrier.json("tns/+19195550001")
        await statuses(carrier, ids[0], 2)
        settled = await carrier.json("tns/9195550001")
        await statuses(carrier, ids[1], 2)
        both, failed = [await carrier.json(f"tns/{tn}") for tn in TNS]
    assert unsettled == {}
    assert settled == {"Sms": "on", "PortOutPasscode": "a1b2c3", "RewriteUser": "x"}
    assert both == {"Sms": "on", "PortOutPasscode": "a1b2c3", "Protected": "true"}
    assert failed == {}
