"""What a tnoptions order is refused for as a whole."""

from __future__ import annotations

import pytest

from tests.simulator.talk import group, order, talk

TN = "+19195550123"


def groups(*texts: str) -> str:
    return f"<TnOptionOrder><TnOptionGroups>{''.join(texts)}</TnOptionGroups></TnOptionOrder>"


def uri(value: str) -> str:
    return order(TN, options=f"<FinalDestinationURI>{value}</FinalDestinationURI>")


REFUSED = [
    pytest.param("<TnOptionOrder>", "400", id="cut off"),
    pytest.param("grumble", "400", id="not XML"),
    pytest.param("", "400", id="nothing"),
    pytest.param('<!DOCTYPE a [<!ENTITY b "c">]>' + order(TN), "400", id="doctype"),
    pytest.param("<LidbOrder/>", "400", id="another order"),
    pytest.param("<TnOptionOrder/>", "5073", id="no groups"),
    pytest.param(order(), "5073", id="no TNs"),
    pytest.param(order(TN, options=""), "5115", id="no option"),
    pytest.param(order(TN, options="<SMS>on</SMS>"), "5115", id="unknown option"),
    pytest.param(groups(group(TN), group("+19195550124", options="")), "5115", id="second group without option"),
    pytest.param(order(TN, "9195550123"), "5093", id="the same TN in two forms"),
    pytest.param(groups(group(TN), group(TN)), "5093", id="the same TN in two groups"),
    pytest.param(order("+1919555012"), "5070", id="nine digits"),
    pytest.param(order("19195550123"), "5070", id="eleven digits"),
    pytest.param(order("+11195550123"), "5070", id="NPA 119"),
    pytest.param(order("(919) 555-0123"), "5070", id="punctuation"),
    pytest.param(order("+1٩195550123"), "5070", id="foreign digits"),
    pytest.param(order(TN, customer_order_id="under_score"), "5052", id="underscore in the id"),
    pytest.param(order(TN, customer_order_id="a" * 41), "5052", id="id of 41"),
    pytest.param(order(TN, options="<Sms>yes</Sms>"), "5113", id="Sms"),
    pytest.param(order(TN, options="<Sms>systemDefault</Sms>"), "5113", id="Sms has no default"),
    pytest.param(order(TN, options="<NumberFormat>E164</NumberFormat>"), "5081", id="NumberFormat"),
    pytest.param(order(TN, options="<RPIDFormat>9digit</RPIDFormat>"), "5089", id="RPIDFormat"),
    pytest.param(order(TN, options="<CallForward>555</CallForward>"), "5080", id="CallForward"),
    pytest.param(order(TN, options="<CallingNameDisplay>true</CallingNameDisplay>"), "5079", id="CallingNameDisplay"),
    pytest.param(order(TN, options="<Protected>on</Protected>"), "5108", id="Protected"),
    pytest.param(order(TN, options="<PortOutPasscode>123</PortOutPasscode>"), "5193", id="short passcode"),
    pytest.param(order(TN, options="<PortOutPasscode>12-34</PortOutPasscode>"), "5193", id="passcode with dash"),
    pytest.param(uri("desk@voip.example.net"), "5119", id="host name"),
    pytest.param(uri("desk@192.0.2.256"), "5119", id="no IPv4 address"),
    pytest.param(uri("nowhere-at-all"), "5122", id="no host"),
    pytest.param(uri("a@1.1.1.1"), "5122", id="nine characters"),
    pytest.param(uri("desk@192.0.2.4:99999"), "5122", id="port"),
    pytest.param(uri("de sk@192.0.2.4"), "5121", id="space"),
    pytest.param(uri("d" * 50 + "@192.0.2.4:5060"), "5117", id="65 characters"),
    pytest.param(uri("5551234567890"), "5118", id="digits that are no TN"),
]


@pytest.mark.parametrize(("body", "code"), REFUSED)
async def test_an_order_is_refused_whole(body, code):
    """400 with the published code in the order's envelope, and nothing is executed."""
    async with talk() as carrier:
        answered = await carrier.post("tnoptions", body)
        executed = await carrier.json("executed")
    assert (answered.status, answered.one("ErrorCode")) == (400, code)
    assert answered.text.startswith('<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<TnOptionOrderResponse>')
    assert executed["executions"] == 0


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(uri("desk@192.0.2.4"), id="URI without port"),
        pytest.param(uri("desk@192.0.2.4:5060"), id="URI with port"),
        pytest.param(uri("9195550199"), id="URI is a TN"),
        pytest.param(uri("systemDefault"), id="URI cleared"),
        pytest.param(uri("unchanged"), id="URI unchanged"),
        pytest.param(order(TN, options="<CallForward>systemDefault</CallForward>"), id="forward cleared"),
        pytest.param(order(TN, options="<Protected>TRUE</Protected>"), id="Protected in capitals"),
        pytest.param(order("+442079460123"), id="v2 takes other countries"),
        pytest.param(order(TN, customer_order_id="b-k2v7q1x9ap-12"), id="our customer order id"),
    ],
)
async def test_an_order_is_accepted(body):
    """What the documents allow is taken."""
    async with talk() as carrier:
        assert (await carrier.post("tnoptions", body)).status == 201


async def test_v1_knows_plus_one_alone():
    """A v1 request with a TN of another country is refused whole."""
    async with talk() as carrier:
        answered = await carrier.post("tnoptions", order(TN, "+442079460123"), api="v1")
    assert (answered.status, answered.one("ErrorCode")) == (400, "5070")


async def test_the_limit_holds_over_all_groups():
    """5,000 TNs in two groups are taken; one more is 5095."""
    tns = [f"+1919{number}" for number in range(2_000_000, 2_005_001)]
    async with talk() as carrier:
        most = await carrier.post("tnoptions", groups(group(*tns[:2_500]), group(*tns[2_500:5_000])))
        more = await carrier.post("tnoptions", groups(group(*tns[:2_500]), group(*tns[2_500:])))
    assert most.status == 201
    assert most.all("TelephoneNumber") == tns[:5_000]
    assert (more.status, more.one("ErrorCode")) == (400, "5095")


@pytest.mark.parametrize(("sip_prefix", "status"), [("accepted", 201), ("refused", 400)])
async def test_the_account_decides_about_the_sip_prefix(sip_prefix, status):
    """The documents forbid the prefix, their examples show it: an account file says which account this is."""
    async with talk(options={"sip_prefix": sip_prefix}) as carrier:
        answered = await carrier.post("tnoptions", uri("sip:desk@192.0.2.4"))
    assert answered.status == status
    assert ("5120" in answered.text) == (status == 400)


async def test_a_refusal_that_names_nobody():
    """An order that holds a TN of `unnamed` is refused as a whole, and the answer holds no TN; others are taken."""
    async with talk(options={"unnamed": ["+1919555019*"]}) as carrier:
        answered = await carrier.post("tnoptions", order(TN, "+19195550199"))
        other = await carrier.post("tnoptions", order(TN))
        executed = await carrier.json("executed")
    assert (answered.status, answered.one("ErrorCode"), "919" in answered.text) == (400, "5070", False)
    assert (other.status, executed["tns"]) == (201, 1)


async def test_nested_options_are_kept():
    """A2pSettings and OriginationRoutePlan come back as they were sent."""
    nested = "<A2pSettings><MessageClass>M</MessageClass><Action>asSpecified</Action></A2pSettings>"
    async with talk() as carrier:
        answered = await carrier.post("tnoptions", order(TN, options=nested))
    assert (answered.status, nested in answered.text) == (201, True)
