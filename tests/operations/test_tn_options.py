"""`tn-options`: values, the order that is built, the answers that are read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lxml import etree
from pydantic import ValidationError

from batcher.carrier import xml
from batcher.errors import InputError, ProtocolError
from batcher.model import Answer, Chunk, Column, Issue, Order, Request
from batcher.operations import get, tn_options

GOLDEN = Path(__file__).parent.parent / "carrier_xml"
OPERATION = get("tn-options")
assert isinstance(OPERATION.talk, Order)
ORDER = OPERATION.talk
FORMATS = ("10digit", "11digit", "e164", "unchanged", "systemDefault")
ROUTES = (
    "6105552502,1,100; sip:clarkkent@dailyplanet.com,2,100; 192.168.20.21,3,50; 7075552509,3,50;"
    "myhost.bandwidth.example,4,100"
)


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.xml").read_bytes()


def check(setting: str, cell: str, **settings: str) -> str:
    return OPERATION.check(setting, cell, tn_options.Settings.model_validate(settings))


def chunk(*groups: dict[str, str], tns: list[int], group: list[int] | None = None) -> Chunk:
    count = len(tns)
    return Chunk(
        number=1,
        step=1,
        customer_order_id="TnOptionOrder1",
        rows=np.arange(1, count + 1),
        tns=np.array(tns, np.int64),
        envelope={},
        groups=groups,
        group=np.array(group if group is not None else range(count), np.int64),
    )


def leaves(body: bytes) -> list[tuple[str, str]]:
    """Every element that has text, with its path, in document order."""
    found = []
    for element in xml.parse(body).iter():
        if not len(element):
            path = [ancestor.tag for ancestor in element.iterancestors()][::-1]
            found.append(("/".join([*map(str, path), str(element.tag)]), (element.text or "").strip()))
    return found


ACCEPTED = {
    "number_format": [(word, word) for word in FORMATS] + [("E164", "e164"), (" systemdefault ", "systemDefault")],
    "rpid_format": [(word, word) for word in FORMATS],
    "rewrite_user": [("testUser1", "testUser1"), ("x" * 25, "x" * 25), ("Unchanged", "unchanged")],
    "call_forward": [
        ("6042661720", "+16042661720"),
        ("(604) 266-1720", "+16042661720"),
        ("+16042661720", "+16042661720"),
        ("1-604-266-1720", "+16042661720"),
        ("systemDefault", "systemDefault"),
        ("UNCHANGED", "unchanged"),
    ],
    "calling_name_display": [
        ("on", "on"),
        ("OFF", "off"),
        ("unchanged", "unchanged"),
        ("systemdefault", "systemDefault"),
    ],
    "port_out_passcode": [
        ("a1b2c3", "a1b2c3"),
        ("1234", "1234"),
        ("ABCDEfgh12", "ABCDEfgh12"),
        ("unchanged", "unchanged"),
    ],
    "protected": [("true", "true"), ("FALSE", "false"), ("unchanged", "unchanged"), ("systemDefault", "systemDefault")],
    "sms": [("on", "on"), ("Off", "off"), ("unchanged", "unchanged")],
    "final_destination_uri": [
        ("8042105760", "+18042105760"),
        ("+1 804-210-5760", "+18042105760"),
        ("sip:8042105760@10.1.2.3:5060", "8042105760@10.1.2.3:5060"),
        ("SIP:+12345678901@1.2.3.4:5060", "+12345678901@1.2.3.4:5060"),
        ("desk@192.0.2.4", "desk@192.0.2.4"),
        ("front.desk@192.0.2.4:65535", "front.desk@192.0.2.4:65535"),
        ("systemDefault", "systemDefault"),
        ("unchanged", "unchanged"),
    ],
    "nnid": [("2183991", "2183991"), ("systemDefault", "systemDefault")],
    "espid": [("4A2B", "4A2B"), ("unchanged", "unchanged")],
    "pindrop_enabled": [("true", "true"), ("False", "false")],
    "call_verification_enabled": [("true", "true"), ("false", "false")],
    "a2p_message_class": [("M", "M"), ("x" * 64, "x" * 64)],
    "a2p_campaign_id": [("campaignId010", "campaignId010")],
    "a2p_action": [(word, word) for word in ("asSpecified", "systemDefault", "off", "delete", "unchanged")],
    "routes": [
        ("6105552502,1,100", "6105552502,1,100"),
        ("(610) 555-2502, 1, 100, tn, Head office", "6105552502,1,100,TN,Head office"),
        ("192.0.2.4,1,50,Ipv4;pbx.example.com,1,50,FQDN;", "192.0.2.4,1,50,IPv4;pbx.example.com,1,50,FQDN"),
        ("sip:desk@192.0.2.4:5060,1,100,,Desk", "sip:desk@192.0.2.4:5060,1,100,,Desk"),
    ],
    "route_action": [(word, word) for word in ("asSpecified", "off", "unchanged")],
}

REFUSED = {
    "number_format": ["9digit", "12digit", "on"],
    "rpid_format": ["false", "E.164"],
    "rewrite_user": ["x" * 26, "a\tb", "a\u200bb"],
    "call_forward": ["911", "411", "123", "+441224003018", "desk@192.0.2.4", "2018551020 x4", "on", "1018551020"],
    "calling_name_display": ["true", "yes"],
    "port_out_passcode": ["abc", "a" * 11, "a-b-c", "passwörd", "12 34"],
    "protected": ["on", "yes", "1"],
    "sms": ["true", "systemDefault", "enabled"],
    "final_destination_uri": [
        "+18045550142@PSTN",
        "sip:+18045550142@pstn",
        "911",
        "211",
        "911@192.0.2.4",
        "sip:911@192.0.2.4",
        "8045550142@pbx.example.com",
        "desk@192.0.2.256",
        "desk@192.0.2",
        "desk@192.0.2.04",
        "desk@192.0.2.4:0",
        "desk@192.0.2.4:65536",
        "desk@192.0.2.4:",
        "desk@192.0.2.4:5060:1",
        "a@b@192.0.2.4",
        "de sk@192.0.2.4",
        "de-sk@192.0.2.4",
        "@192.0.2.41",
        "a@1.2.3.4",
        "a" * 50 + "@192.0.2.44",
        "sip:8045550142",
        "sips:desk@192.0.2.4",
        "+441224003018",
        "804555014",
        "none",
    ],
    "nnid": ["12a", "-1", "1.0", "\u0661"],
    "espid": ["x" * 65, "a\nb"],
    "pindrop_enabled": ["on", "unchanged"],
    "call_verification_enabled": ["systemDefault"],
    "a2p_message_class": ["x" * 65],
    "a2p_campaign_id": ["a\x00b"],
    "a2p_action": ["on", "asspecifed"],
    "routes": [
        ";",
        "6105552502",
        "6105552502,1",
        "6105552502,1,100,TN,name,more",
        "6105552502,0,100",
        "6105552502,1,0",
        "6105552502,2,100",
        "6105552502,1,100;7075552509,3,100",
        "6105552502,1,50;+16105552502,1,50",
        "6105552502,1,100,FQDN",
        "6105552502,1,100,phone",
        "911,1,100",
        "sip:911@192.0.2.4,1,100",
        "sip:desk@192.0.2.4:70000,1,100",
        "192.0.2.256,1,100",
        "localhost,1,100",
    ],
    "route_action": ["systemDefault", "delete"],
}


def test_every_setting_has_cases():
    """The two tables below leave no setting out."""
    assert set(ACCEPTED) == set(REFUSED) == set(tn_options.Settings.model_fields) - {"sip_prefix"}


@pytest.mark.parametrize(
    ("setting", "cell", "value"), [(setting, *case) for setting, cases in ACCEPTED.items() for case in cases]
)
def test_a_value_that_the_carrier_takes(setting: str, cell: str, value: str):
    """Each documented value passes, words without regard to case, TNs in the forms of a TN column."""
    assert check(setting, cell) == value


@pytest.mark.parametrize(("setting", "cell"), [(setting, cell) for setting, cells in REFUSED.items() for cell in cells])
def test_a_value_that_the_carrier_refuses(setting: str, cell: str):
    """What the carrier would refuse, or would send calls astray, is told before anything is sent."""
    with pytest.raises(ValueError, match=r"\w"):
        check(setting, cell)


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ("+18045550142@PSTN", "form for a location"),
        ("911", "service code"),
        ("911@192.0.2.4", "service code 911"),
        ("desk@pbx.example.com", "'pbx.example.com' is not an IPv4 address"),
        ("desk@192.0.2.4:99999", "port '99999' is not a number from 1 to 65535"),
        ("a@1.2.3.4", "9 characters; a final destination has 10 to 60"),
        ("804555014", "Too few digits"),
    ],
)
def test_a_refused_destination_says_why(cell: str, why: str):
    """The reason names the value and what is wrong with it."""
    with pytest.raises(ValueError, match=why) as caught:
        check("final_destination_uri", cell)

    assert cell in str(caught.value)


@pytest.mark.parametrize(("sip_prefix", "value"), [("strip", "desk@192.0.2.4"), ("keep", "sip:desk@192.0.2.4")])
def test_sip_prefix(sip_prefix: str, value: str):
    """The prefix goes or stays as the job says, and none is invented."""
    assert check("final_destination_uri", "sip:desk@192.0.2.4", sip_prefix=sip_prefix) == value
    assert check("final_destination_uri", "desk@192.0.2.4", sip_prefix=sip_prefix) == "desk@192.0.2.4"


def test_sip_prefix_can_be_refused():
    """With `refuse` a prefix is told, and a value without one passes."""
    with pytest.raises(ValueError, match="sip_prefix"):
        check("final_destination_uri", "sip:desk@192.0.2.4", sip_prefix="refuse")
    assert check("final_destination_uri", "desk@192.0.2.4", sip_prefix="refuse") == "desk@192.0.2.4"


@pytest.mark.parametrize("cell", ["s3c", "s3cret-s3cret", "s3crets3crets3cret"])
def test_a_refused_passcode_is_not_repeated(cell: str):
    """A passcode is the right to take a number away: it stands in no message."""
    with pytest.raises(ValueError, match="4 to 10 letters and digits") as caught:
        check("port_out_passcode", cell)

    assert cell not in str(caught.value)


def test_a_passcode_of_the_wrong_type_is_not_repeated():
    """Neither does the error about a job file repeat it."""
    with pytest.raises(ValidationError) as caught:
        tn_options.Settings.model_validate({"port_out_passcode": 987654})

    assert "987654" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"sms": True},
        {"protected": 1},
        {"nnid": True},
        {"call_forward": 6042661720},
        {"sip_prefix": "drop"},
        {"smss": "on"},
    ],
    ids=str,
)
def test_settings_are_strict(settings: dict[str, object]):
    """A wrong type or name in a job file is an error, never converted."""
    with pytest.raises(ValidationError):
        tn_options.Settings.model_validate(settings)


def test_settings_take_values_and_columns():
    """Each value may be one for all rows, or stand in a column."""
    settings = tn_options.Settings.model_validate({"protected": True, "nnid": 5, "sms": Column("SMS")})

    assert (settings.protected, settings.nnid, settings.sms) == (True, 5, Column("SMS"))


@pytest.mark.parametrize(
    ("values", "setting"),
    [
        ({"a2p_action": "off", "a2p_message_class": "M"}, "a2p_action"),
        ({"a2p_action": "systemDefault", "a2p_campaign_id": "c"}, "a2p_action"),
        ({"a2p_action": "delete", "a2p_campaign_id": "c"}, "a2p_action"),
        ({"a2p_action": "unchanged", "a2p_message_class": "M"}, "a2p_action"),
        ({"routes": "6105552502,1,1", "call_forward": "+16042661720"}, "routes"),
        ({"routes": "6105552502,1,1", "route_action": "asSpecified", "rewrite_user": "u"}, "routes"),
        ({"routes": "6105552502,1,1", "route_action": "off"}, "route_action"),
        ({"route_action": "asSpecified"}, "route_action"),
        ({"a2p_action": "asSpecified", "a2p_message_class": "M"}, None),
        ({"a2p_message_class": "M", "a2p_campaign_id": "c"}, None),
        ({"routes": "6105552502,1,1", "call_forward": "systemDefault", "rewrite_user": "unchanged"}, None),
        ({"routes": "6105552502,1,1", "route_action": "unchanged", "rewrite_user": "u"}, None),
        ({"route_action": "off", "call_forward": "+16042661720"}, None),
        ({"sms": "on"}, None),
    ],
)
def test_values_that_contradict_one_another(values: dict[str, str], setting: str | None):
    """Options that the carrier refuses together (5134, 5184, 5203 to 5208) are told with the setting to change."""
    told = tn_options.agree(values)

    assert (told and told[0]) == setting


EXAMPLE = (
    {
        "number_format": "10digit",
        "rpid_format": "10digit",
        "rewrite_user": "testUser1",
        "call_forward": "6042661720",
        "calling_name_display": "on",
        "port_out_passcode": "a1b2c3",
        "protected": "true",
        "sms": "on",
        "final_destination_uri": "sip:+12345678901@1.2.3.4:5060",
        "a2p_message_class": "M",
        "a2p_campaign_id": "campaignId010",
        "a2p_action": "asSpecified",
    },
    {
        "calling_name_display": "off",
        "protected": "false",
        "sms": "off",
        "routes": ROUTES,
        "route_action": "asSpecified",
    },
    {"pindrop_enabled": "true"},
    {"call_verification_enabled": "true"},
)


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_the_carriers_example_can_be_said(api: str):
    """The published request comes out of settings, element for element, in both versions' forms."""
    groups = [{name: check(name, cell, sip_prefix="keep") for name, cell in cells.items()} for cells in EXAMPLE]

    request = ORDER.post(chunk(*groups, tns=[12018551020, 12018551025, 12018551026, 12018551027]), api)

    assert request.body is not None
    assert (request.method, request.path, request.query) == ("POST", "tnoptions", ())
    assert leaves(request.body) == leaves(golden(f"openapi_{api}__CreateTnOptionOrder_req_example"))


def test_the_carriers_failover_guide_can_be_said():
    """A failover destination for two TNs is the request of the guide, and our id before it."""
    values = {
        "final_destination_uri": check("final_destination_uri", "sip:+12345678901@1.2.3.4:5060", sip_prefix="keep")
    }

    body = ORDER.post(chunk(values, tns=[12013452345, 12013452346], group=[0, 0]), "v1").body

    assert body is not None
    ours = ("TnOptionOrder/CustomerOrderId", "TnOptionOrder1")
    assert leaves(body) == [ours, *leaves(golden("guides__setFailoverUri_3_0"))]


@pytest.mark.parametrize(
    ("api", "forward", "destination"), [("v1", "6042661720", "8042105760"), ("v2", "+16042661720", "8042105760")]
)
def test_tns_as_values_take_the_form_of_the_version(api: str, forward: str, destination: str):
    """A number to forward to has the version's form; a final destination has ten digits in both."""
    values = {"call_forward": "+16042661720", "final_destination_uri": "+18042105760"}

    body = ORDER.post(chunk(values, tns=[12018551020]), api).body

    assert body is not None
    group = xml.parse(body).find("TnOptionGroups/TnOptionGroup")
    assert group is not None
    assert (group.findtext("CallForward"), group.findtext("FinalDestinationURI")) == (forward, destination)


def test_a_route_says_its_type_and_name_where_the_job_does():
    """Type and name of a route are sent as given; a plan without an action is meant as it stands."""
    body = ORDER.post(
        chunk({"routes": check("routes", "6105552502,1,100,TN,Head office")}, tns=[12018551020]), "v2"
    ).body

    assert body is not None
    plan = "TnOptionOrder/TnOptionGroups/TnOptionGroup/OriginationRoutePlan"
    assert [leaf for leaf in leaves(body) if leaf[0].startswith(plan)] == [
        (f"{plan}/Route/Endpoint", "6105552502"),
        (f"{plan}/Route/Priority", "1"),
        (f"{plan}/Route/Weight", "100"),
        (f"{plan}/Route/EndpointType", "TN"),
        (f"{plan}/Route/Name", "Head office"),
        (f"{plan}/Action", "asSpecified"),
    ]


def test_rows_stand_under_their_own_values():
    """Rows of one group stand together in input order; a group without rows is left out; text is escaped."""
    groups = ({"sms": "on"}, {"sms": "off"}, {"rewrite_user": "a&b<c>"})

    body = ORDER.post(chunk(*groups, tns=[12018551023, 12018551021, 12018551022], group=[2, 0, 2]), "v2").body

    assert body is not None
    found = {
        (group[0].tag, group[0].text): [row.text for row in group[-1]]
        for group in xml.parse(body).iterfind("TnOptionGroups/TnOptionGroup")
    }
    assert found == {
        ("Sms", "on"): ["+12018551021"],
        ("RewriteUser", "a&b<c>"): ["+12018551023", "+12018551022"],
    }


def test_sets_that_differ_in_the_plan_alone():
    """A plan with its action spelled out means the same as without: both are sent, neither is taken for wrong."""
    plan = {"routes": "6105552502,1,100"}

    body = ORDER.post(chunk(plan, plan | {"route_action": "asSpecified"}, tns=[12018551020, 12018551021]), "v2").body

    assert body is not None
    assert [row.text for row in xml.parse(body).iter("TelephoneNumber")] == ["+12018551020", "+12018551021"]


TWO = chunk({"sms": "on"}, {"call_forward": "+16042661720"}, tns=[12018551020, 12018551021])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(b"+12018551021", b"+12018551022", id="another TN"),
        pytest.param(b"<TelephoneNumber>+12018551021</TelephoneNumber>", b"", id="a TN less"),
        pytest.param(
            b"<TelephoneNumber>+12018551021<",
            b"<TelephoneNumber>+12018551021</TelephoneNumber><TelephoneNumber>+12018551020<",
            id="a TN twice",
        ),
        pytest.param(b"<Sms>on", b"<Sms>off", id="another value"),
        pytest.param(b"<Sms>on</Sms>", b"<Sms>on</Sms><Protected>true</Protected>", id="a value more"),
        pytest.param(b"+16042661720", b"6042661720", id="the other version's form"),
        pytest.param(b"TnOptionOrder1", b"TnOptionOrder2", id="another order id"),
    ],
)
def test_an_order_that_was_built_wrong_is_not_sent(before: bytes, after: bytes):
    """Reading back what was built finds every difference from the plan."""
    body = ORDER.post(TWO, "v2").body
    assert body is not None
    assert before in body

    tn_options.verify(body, TWO, "v2")
    with pytest.raises(AssertionError, match="chunk 1: "):
        tn_options.verify(body.replace(before, after), TWO, "v2")


def test_swapped_values_are_found():
    """The right TNs under each other's values are a difference too."""
    swapped = chunk({"call_forward": "+16042661720"}, {"sms": "on"}, tns=[12018551020, 12018551021])
    body = ORDER.post(swapped, "v2").body
    assert body is not None

    with pytest.raises(AssertionError):
        tn_options.verify(body, TWO, "v2")


ID_201 = "ddbdc72e-dc27-490c-904e-d0c11291b095"


@pytest.mark.parametrize(
    "name",
    [
        "openapi_v1__CreateTnOptionOrder_resp201_example",
        "openapi_v2__CreateTnOptionOrder_resp201_example",
        "docs__001_1",
        "docs__001_3",
    ],
)
def test_the_answer_to_the_post(name: str):
    """A new order has its id, is open and has no errors."""
    reading = ORDER.read(Answer(201, golden(name)))

    assert (reading.order_id, reading.status, reading.settled, reading.issues) == (ID_201, "RECEIVED", False, [])


@pytest.mark.parametrize(
    "name",
    ["openapi_v1__GetTnOptionOrder_resp200_example", "openapi_v2__GetTnOptionOrder_resp200_example", "docs__001_4"],
)
def test_the_answer_to_a_poll(name: str):
    """A bare order is read like a wrapped one; its warnings are kept."""
    reading = ORDER.read(Answer(200, golden(name)))

    assert (reading.order_id, reading.status, reading.settled) == (
        "409033ee-88ec-43e3-85f3-538f30733963",
        "COMPLETE",
        True,
    )
    assert reading.issues == [Issue("warning", 12174101601, "", "SMS is already Enabled or number is in processing.")]


def test_a_failed_order_of_the_example_list():
    """An order with errors gives them by TN."""
    listed = xml.parse(golden("openapi_v2__GetTnOptionOrders_resp200_example")).find(".//TnOptionOrder")
    assert listed is not None

    reading = ORDER.read(Answer(200, etree.tostring(listed)))

    assert (reading.status, reading.settled) == ("FAILED", True)
    text = "Telephone number is not available."
    assert reading.issues == [Issue("error", tn, "5076", text) for tn in (12018551025, 12018551020)]


@pytest.mark.parametrize(
    ("status", "settled"),
    [
        ("RECEIVED", False),
        ("PROCESSING", False),
        ("COMPLETE", True),
        ("PARTIAL", True),
        ("FAILED", True),
        ("CANCELLED", True),
        ("EXCEPTION", True),
        ("complete", True),
        ("SOMETHING_NEW", False),
    ],
)
def test_when_an_order_is_settled(status: str, *, settled: bool):
    """An order settles with the statuses that nothing follows; a word we do not know leaves it open."""
    body = f"<TnOptionOrder><OrderId>a-1</OrderId><ProcessingStatus>{status}</ProcessingStatus></TnOptionOrder>"

    reading = ORDER.read(Answer(200, body.encode()))

    assert (reading.status, reading.settled) == (status.upper(), settled)


def test_an_id_that_is_only_in_the_location():
    """The last part of Location stands in for a missing OrderId; nothing else of it is used."""
    answer = Answer(
        201,
        b"<TnOptionOrderResponse><TnOptionOrder><ProcessingStatus>RECEIVED</ProcessingStatus></TnOptionOrder></TnOptionOrderResponse>",
        {"location": f"https://dashboard.bandwidth.com:443/v1.0/accounts/9900012/tnoptions/{ID_201}"},
    )

    assert ORDER.read(answer).order_id == ID_201


def test_an_id_that_could_leave_its_path_is_none():
    """An id with other characters than letters, digits and dashes never gets into a URL."""
    body = b"<TnOptionOrder><OrderId>../9</OrderId><ProcessingStatus>RECEIVED</ProcessingStatus></TnOptionOrder>"

    assert ORDER.read(Answer(201, body)).order_id is None
    with pytest.raises(InputError):
        ORDER.poll("../9", "v2")


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(golden("openapi_v2__GetTnOptionOrder_resp404_example"), id="no order"),
        pytest.param(golden("openapi_v2__GetTnOptionOrders_resp200_example"), id="a list"),
        pytest.param(b"<html/>", id="another root"),
        pytest.param(golden("openapi_v2__GetTnOptionOrder_resp200_example")[:-20], id="cut"),
    ],
)
def test_an_answer_that_is_not_one_order(body: bytes):
    """What is not exactly one order settles nothing."""
    with pytest.raises(ProtocolError):
        ORDER.read(Answer(200, body))


def test_poll_and_look_up_are_gets():
    """An order is asked for by its id, by ours, or by its day."""
    large = 64 * 1024 * 1024
    assert ORDER.poll(ID_201, "v2") == Request("GET", f"tnoptions/{ID_201}")
    assert ORDER.find.look_up("b-a-1", "v2") == Request(
        "GET", "tnoptions", (("customerOrderId", "b-a-1"),), max_bytes=large
    )
    assert ORDER.find.recent("2026-11-20", "v1") == Request(
        "GET", "tnoptions", (("createdDateFrom", "2026-11-20"),), max_bytes=large
    )


SUMMARY = "<TnOptionOrderSummary><OrderId>{}</OrderId>{}</TnOptionOrderSummary>"
OURS = SUMMARY.format("a-1", "<CustomerOrderId>b-x-1</CustomerOrderId>") + SUMMARY.format("a-2", "")
DETAILED = f"<TotalCount>2</TotalCount>{OURS.replace('Summary', '')}"
GONE = golden("openapi_v2__GetTnOptionOrder_resp404_example")


@pytest.mark.parametrize(
    "body",
    [
        f"<TnOptionOrders><TotalCount>2</TotalCount>{OURS}</TnOptionOrders>",
        f"<TnOptionOrderReportResponse><TotalCount>2</TotalCount><Links/>{OURS}</TnOptionOrderReportResponse>",
        f"<TnOptionOrderReportResponse><TnOptionOrders>{DETAILED}</TnOptionOrders></TnOptionOrderReportResponse>",
    ],
    ids=["clients' fixtures", "schema", "example with details"],
)
def test_the_three_roots_of_a_list(body: str):
    """Each documented form of a list gives its orders, with our id where the carrier repeats it."""
    assert ORDER.find.orders(Answer(200, body.encode())) == [("a-1", "b-x-1"), ("a-2", None)]


def test_the_example_of_a_list():
    """The published example, two forms in one document, holds two orders without our ids."""
    assert ORDER.find.orders(Answer(200, golden("openapi_v1__GetTnOptionOrders_resp200_example"))) == [
        (ID_201, None),
        ("409033ee-88ec-43e3-85f3-538f30733963", None),
    ]


@pytest.mark.parametrize(
    "answer",
    [
        Answer(204, b""),
        Answer(404, b""),
        Answer(404, GONE),
        Answer(200, b"<TnOptionOrders><TotalCount>0</TotalCount></TnOptionOrders>"),
        Answer(200, b"<TnOptionOrderReportResponse><TnOptionOrders/></TnOptionOrderReportResponse>"),
    ],
    ids=["204", "404 empty", "404", "none", "empty list"],
)
def test_a_list_that_is_empty(answer: Answer):
    """Every way in which the carrier says that there is nothing is an empty list."""
    assert ORDER.find.orders(answer) == []


THOUSAND = "".join(SUMMARY.format(f"a-{n}", "") for n in range(1_000))


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(500, b"<TnOptionOrders><TotalCount>0</TotalCount></TnOptionOrders>"), id="500"),
        pytest.param(Answer(200, b""), id="200 without a body"),
        pytest.param(Answer(200, b"<html/>"), id="HTML"),
        pytest.param(Answer(404, b"<html><p>Not found</p></html>"), id="404 of a proxy"),
        pytest.param(Answer(200, b"<TnOptionOrders><TotalCount>0</Tot"), id="cut off"),
        pytest.param(Answer(200, b"<TnOptionOrderReportResponse/>"), id="no list in it"),
        pytest.param(Answer(200, GONE), id="an error with 200"),
        pytest.param(
            Answer(200, b"<TnOptionOrders><TotalCount>3</TotalCount>%s</TnOptionOrders>" % OURS.encode()),
            id="one is missing",
        ),
        pytest.param(Answer(200, b"<TnOptionOrders>%s</TnOptionOrders>" % THOUSAND.encode()), id="cut at 1,000"),
        pytest.param(
            Answer(200, b"<TnOptionOrders>%s</TnOptionOrders>" % SUMMARY.format("", "").encode()), id="no order id"
        ),
    ],
)
def test_a_list_that_proves_nothing(answer: Answer):
    """What is no valid, complete list is neither a hit nor a miss."""
    assert ORDER.find.orders(answer) is None


def test_a_list_that_was_cut_shows_some_orders_all_the_same():
    """Enough to see that the list works; what is no list shows none."""
    cut = f"<TnOptionOrders><TotalCount>5000</TotalCount>{SUMMARY.format('a-1', '')}</TnOptionOrders>".encode()
    assert ORDER.find.orders(Answer(200, cut)) is None
    assert ORDER.find.some(Answer(200, cut)) == [("a-1", None)]
    assert ORDER.find.some(Answer(200, b"<html/>")) == ORDER.find.some(Answer(503, cut)) == []


def test_what_the_operation_declares():
    """The passcode is secret, the prefix rule is not sent, and 5,000 TNs make an order."""
    assert OPERATION.secret == ("port_out_passcode",)
    assert OPERATION.options == ("sip_prefix",)
    assert OPERATION.key == ("tn",)
    assert OPERATION.destinations == ("call_forward", "final_destination_uri")
    assert OPERATION.max_rows(tn_options.Settings()) == 5_000
