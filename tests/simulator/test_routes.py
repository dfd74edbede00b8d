"""The carrier's lists and look-ups, and the other resources."""

from __future__ import annotations

import pytest

from tests.simulator.talk import NOON, Clock, order, talk

DAY = 86_400.0
CHECK = "<ImportTnCheckerPayload><TelephoneNumbers>{}</TelephoneNumbers>{}</ImportTnCheckerPayload>"


def number(*tns: str) -> str:
    return "".join(f"<TelephoneNumber>{tn}</TelephoneNumber>" for tn in tns)


# Two orders: "first" of the 18th, about …0001 and …0002, PARTIAL; "second" of the 20th, about …0003, COMPLETE.
@pytest.mark.parametrize(
    ("query", "found"),
    [
        pytest.param("", ["second", "first"], id="no filter, newest first"),
        pytest.param("customerOrderId=first", ["first"], id="customerOrderId"),
        pytest.param("customerOrderId=fir", [], id="customerOrderId is matched whole"),
        pytest.param("customerorderid=first", ["second", "first"], id="a misspelt parameter is ignored"),
        pytest.param("nonsense=1", ["second", "first"], id="an unknown parameter is ignored"),
        pytest.param("tn=%2B19195550002", ["first"], id="tn in E.164"),
        pytest.param("tn=9195550003", ["second"], id="tn of ten digits"),
        pytest.param("tn=9195550004", [], id="tn of no order"),
        pytest.param("status=PARTIAL", ["first"], id="status"),
        pytest.param("status=partial&status=COMPLETE", ["second", "first"], id="two statuses"),
        pytest.param("status=FAILED", [], id="status of no order"),
        pytest.param("lastModifiedBy=jbm", ["second", "first"], id="user"),
        pytest.param("lastModifiedBy=smckinnon", [], id="another user"),
        pytest.param("createdDateFrom=2026-11-18", ["second"], id="createdDateFrom is after"),
        pytest.param("createdDateFrom=2026-11-17", ["second", "first"], id="createdDateFrom a day earlier"),
        pytest.param("createdDateTo=2026-11-20", ["first"], id="createdDateTo is before"),
        pytest.param("createdDateTo=2026-11-21", ["second", "first"], id="createdDateTo a day later"),
        pytest.param("modifiedDateFrom=2026-11-20", ["second"], id="modifiedDateFrom includes the day"),
        pytest.param("modifiedDateTo=2026-11-18", ["first"], id="modifiedDateTo includes the day"),
        pytest.param("modifiedDateFrom=2026-11-18&modifiedDateTo=2026-11-19", ["first"], id="a range"),
        pytest.param("lastModifiedAfter=2026-11-18", ["second"], id="lastModifiedAfter is after"),
        pytest.param("lastModifiedAfter=2026-11-20", [], id="lastModifiedAfter the last day"),
        pytest.param("customerOrderId=first&status=COMPLETE", [], id="filters are combined"),
    ],
)
async def test_orders_are_filtered(query, found):
    """Every filter does what the documents say, day by day."""
    clock = Clock(NOON - 2 * DAY)
    error = {"tns": ["+19195550002"], "code": "5074", "text": "Telephone number is not in service."}
    async with talk(options={"error": [error]}, clock=clock) as carrier:
        await carrier.post("tnoptions", order("+19195550001", "+19195550002", customer_order_id="first"))
        clock.now = NOON
        await carrier.post("tnoptions", order("+19195550003", customer_order_id="second"))
        answered = await carrier.get(f"tnoptions?{query}")
    assert answered.status == 200
    assert answered.all("CustomerOrderId") == found
    assert answered.one("TotalCount") == str(len(found))


async def test_an_order_is_found_by_the_start_of_its_id():
    """OrderIdFragment matches from the beginning."""
    async with talk() as carrier:
        ids = [(await carrier.post("tnoptions", order(tn))).one("OrderId") for tn in ("+19195550001", "+19195550002")]
        answered = await carrier.get(f"tnoptions?orderIdFragment={ids[0][:10]}")
        inside = await carrier.get(f"tnoptions?orderIdFragment={ids[0][3:13]}")
    assert (answered.all("OrderId"), inside.all("OrderId")) == ([ids[0]], [])


@pytest.mark.parametrize(
    "query",
    [
        "createdDateFrom=20.11.2026",
        "modifiedDateTo=2026-13-01",
        "lastModifiedAfter=2026-11-1",
        "tn=555",
        "tn=+19195550001",
    ],
)
async def test_a_malformed_filter_is_404(query):
    """The documents: an error in the query string is a 404, also a plus sign that was not escaped."""
    async with talk() as carrier:
        await carrier.post("tnoptions", order("+19195550001"))
        answered = await carrier.ask("GET", f"/api/v1/accounts/14/tnoptions?{query}")
    assert answered.status == 404
    assert answered.text.count("<TnOptionOrderReportResponse>") == 1


@pytest.mark.parametrize(("style", "status"), [("empty", 200), ("204", 204), ("404", 404)])
async def test_an_empty_list_looks_as_the_account_says(style, status):
    """The carrier's way to say "none" is not documented: all three are there to try."""
    async with talk(options={"empty_list": style}) as carrier:
        answered = await carrier.get("tnoptions?customerOrderId=none")
    assert answered.status == status
    assert ("<TotalCount>0</TotalCount>" in answered.text) == (status == 200)


async def test_a_list_may_omit_the_customer_order_id():
    """The filter works all the same."""
    async with talk(options={"summary_customer_order_id": False}) as carrier:
        await carrier.post("tnoptions", order("+19195550001", customer_order_id="first"))
        answered = await carrier.get("tnoptions?customerOrderId=first")
    assert (answered.one("TotalCount"), answered.all("CustomerOrderId")) == ("1", [])


async def test_lists_lag_behind():
    """A fresh order is found by its id at once, in lists only after the lag."""
    clock = Clock()
    async with talk(options={"list_lag": 30}, clock=clock) as carrier:
        order_id = (await carrier.post("tnoptions", order("+19195550001"))).one("OrderId")
        assert (await carrier.get(f"tnoptions/{order_id}")).status == 200
        clock.now += 29.9
        early = await carrier.get("tnoptions")
        clock.now += 0.1
        late = await carrier.get("tnoptions")
    assert (early.all("OrderId"), late.all("OrderId")) == ([], [order_id])


async def test_a_list_is_cut_at_1000_orders():
    """TotalCount still counts all."""
    async with talk() as carrier:
        for tn in range(9_192_000_000, 9_192_001_001):
            await carrier.post("tnoptions", order(str(tn)))
        answered = await carrier.get("tnoptions")
    assert (answered.one("TotalCount"), len(answered.all("OrderId"))) == ("1001", 1000)


async def test_accounts_do_not_see_each_other():
    """Without an account file any account id is taken, each with its own orders."""
    async with talk() as carrier:
        order_id = (await carrier.post("tnoptions", order("+19195550001"))).one("OrderId")
        other = await carrier.get("/api/v2/accounts/15/tnoptions")
        missing = await carrier.get(f"/api/v2/accounts/15/tnoptions/{order_id}")
    assert (other.one("TotalCount"), missing.status) == ("0", 404)


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        pytest.param(CHECK.format("", "<SiteId>1</SiteId>"), ["5073"], id="empty list"),
        pytest.param(CHECK.format(number("+19195550001"), ""), ["7309"], id="no site"),
        pytest.param(
            CHECK.format(number("+19195550001", "9195550001"), "<SiteId>1</SiteId>"), ["7201"], id="duplicate"
        ),
        pytest.param(
            CHECK.format(number("1", "+19195550001", "2"), "<SiteId>1</SiteId>"), ["7201", "7201"], id="invalid"
        ),
        pytest.param(
            CHECK.format(number(*map(str, range(9_192_000_000, 9_192_005_001))), "<SiteId>1</SiteId>"),
            ["5095"],
            id="5,001",
        ),
        pytest.param("grumble", ["400"], id="not XML"),
    ],
)
async def test_a_check_is_refused_whole(body, codes):
    """400 with one flat Errors for each reason."""
    async with talk() as carrier:
        answered = await carrier.post("importTnChecker", body)
    assert (answered.status, answered.all("Code")) == (400, codes)


async def test_a_check_needs_no_sippeer_and_no_execution():
    """SipPeerId is optional; a check counts as no execution; v1 answers ten digits in the order asked."""
    body = CHECK.format(number("9195550002", "9195550001"), "<SiteId>1</SiteId>")
    async with talk() as carrier:
        answered = await carrier.post("importTnChecker", body, api="v1")
        executed = await carrier.json("executed")
    assert answered.all("TelephoneNumber") == ["9195550002", "9195550001"]
    assert executed == {
        "orders": 0,
        "tns": 0,
        "executions": 0,
        "doubled_tns": [],
        "doubled_customer_order_ids": [],
    }


async def test_tn_details_follow_the_orders():
    """Sms and Protected show what the last settled order made of the TN; a TN of somebody else is 404."""
    both = "<Sms>off</Sms><Protected>true</Protected>"
    async with talk(options={"holds": ["+1919*"]}) as carrier:
        before = await carrier.get("/api/v1/tns/9195550001/tndetails")
        await carrier.post("tnoptions", order("+19195550001", options=both))
        after = await carrier.get("/api/v1/tns/9195550001/tndetails")
        strange = await carrier.get("/api/v1/tns/2125550001/tndetails")
    assert (before.one("SmsEnabled"), before.all("TnAttribute")) == ("true", [])
    assert (after.one("SmsEnabled"), after.all("TnAttribute")) == ("false", ["Protected"])
    assert after.one("FullNumber") == "9195550001"
    assert strange.status == 404


async def test_a_list_of_tns_takes_2500():
    """POST /tns says which TNs are the account's; invalid and strange ones are named; 2,501 are 15607."""
    few = "<TnList><Tn>9195550001</Tn><Tn>2125550001</Tn><Tn>12</Tn></TnList>"
    many = "".join(f"<Tn>{tn}</Tn>" for tn in range(9_192_000_000, 9_192_002_501))
    async with talk(options={"holds": ["+1919*"]}) as carrier:
        answered = await carrier.post("/api/v1/tns", few)
        refused = await carrier.post("/api/v1/tns", f"<TnList>{many}</TnList>")
    assert (answered.status, answered.all("FullNumber")) == (200, ["9195550001"])
    assert answered.all("Code") == ["15608", "15610"]
    assert (refused.status, refused.one("ErrorCode")) == (400, "15607")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("DELETE", "tnoptions", 405),
        ("GET", "importTnChecker", 405),
        ("GET", "nothing", 404),
        ("GET", "tnoptions/a/b", 404),
    ],
)
async def test_what_the_simulator_does_not_know(method, path, status):
    """Unknown paths are 404, unknown methods of known paths 405."""
    async with talk() as carrier:
        assert (await carrier.ask(method, path)).status == status
