"""`sippeer-failover`: one element of a record changes, the rest stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lxml import etree

from batcher.carrier import xml
from batcher.errors import ProtocolError
from batcher.model import Answer, Chunk, Ensure, Request
from batcher.operations import get, sippeer_failover

GOLDEN = Path(__file__).parent.parent / "carrier_xml"
OPERATION = get("sippeer-failover")
assert isinstance(OPERATION.talk, Ensure)
ENSURE = OPERATION.talk
WANTED = "sip:failover@192.0.2.4:5060"
CHUNK = Chunk(
    1,
    1,
    "b-a-1",
    np.array([1]),
    np.array([0]),
    {},
    ({"site_id": "486", "sippeer_id": "304985", "final_destination_uri": WANTED},),
    np.array([0]),
)
PATH = "sites/486/sippeers/304985"


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.xml").read_bytes()


def answer(record: str) -> Answer:
    return Answer(200, f"<SipPeerResponse><SipPeer>{record}</SipPeer></SipPeerResponse>".encode())


def parts(record: etree._Element) -> list[tuple[str, bytes]]:
    """Each child element with all that it holds."""
    return [(str(child.tag), etree.tostring(child, with_tail=False)) for child in record]


def put(reading: Answer) -> etree._Element:
    request = ENSURE.decide(reading, CHUNK, "v2")
    assert request is not None
    assert (request.method, request.path) == ("PUT", PATH)
    assert request.body is not None
    return xml.parse(request.body, "SipPeer")


def test_the_record_is_asked_for():
    """The record stands under its site and location."""
    assert ENSURE.get(CHUNK, "v2") == Request("GET", PATH)


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_the_rest_of_the_record_goes_back_as_it_came(api: str):
    """Every element of the published record returns byte for byte, the destination in its place, the id left out."""
    body = golden(f"openapi_{api}__ReadSipPeer_resp200_example")
    before = xml.parse(body).find("SipPeer")
    assert before is not None

    written = parts(put(Answer(200, body)))

    assert [part for part in written if part[0] != "FinalDestinationUri"] == [
        part for part in parts(before) if part[0] != "PeerId"
    ]
    assert [tag for tag, _ in written][:4] == ["PeerName", "Description", "IsDefaultPeer", "FinalDestinationUri"]


@pytest.mark.parametrize("name", ["With_VoiceHosts", "With_VoiceHostGroups"])
def test_a_destination_is_replaced_where_it_stands(name: str):
    """Hosts, trunks, address and what else the published records hold stay beside the new destination."""
    before = xml.parse(golden(f"openapi_v2__CreateSipPeer_req_{name}"))

    written = put(Answer(200, b"<SipPeerResponse>" + etree.tostring(before) + b"</SipPeerResponse>"))

    expected = [
        (tag, f"<FinalDestinationUri>{WANTED}</FinalDestinationUri>".encode() if tag == "FinalDestinationUri" else part)
        for tag, part in parts(before)
    ]
    assert parts(written) == expected


def test_what_stands_already_is_left_alone():
    """A location that has the destination is not written."""
    there = answer(f"<PeerId>304985</PeerId><PeerName>n</PeerName><FinalDestinationUri>{WANTED}</FinalDestinationUri>")
    other = answer("<PeerName>n</PeerName><FinalDestinationUri>sip:a@b.example</FinalDestinationUri>")

    assert ENSURE.decide(there, CHUNK, "v2") is None
    assert ENSURE.holds(there, CHUNK)
    assert not ENSURE.holds(other, CHUNK)
    assert not ENSURE.holds(answer("<PeerName>n</PeerName>"), CHUNK)


@pytest.mark.parametrize(
    "reading",
    [
        pytest.param(Answer(400, golden("openapi_v2__ReadSipPeer_resp400_example")), id="no such location"),
        pytest.param(Answer(200, b""), id="empty"),
        pytest.param(Answer(200, golden("openapi_v2__ReadSipPeer_resp200_example")[:-9]), id="cut"),
        pytest.param(Answer(200, golden("openapi_v2__ListSipPeers_resp200_example")), id="a list"),
        pytest.param(answer(""), id="empty record"),
        pytest.param(answer("<Description>d</Description>"), id="no name"),
        pytest.param(answer("<PeerId>304986</PeerId><PeerName>n</PeerName>"), id="another location"),
        pytest.param(
            Answer(200, b"<SipPeerResponse><SipPeer><PeerName>a</PeerName></SipPeer><SipPeer/></SipPeerResponse>"),
            id="two",
        ),
    ],
)
def test_a_record_that_cannot_be_read_is_not_overwritten(reading: Answer):
    """Writing half a record would null the other half: nothing is written."""
    with pytest.raises(ProtocolError):
        ENSURE.decide(reading, CHUNK, "v2")
    with pytest.raises(ProtocolError):
        ENSURE.holds(reading, CHUNK)


@pytest.mark.parametrize(
    ("setting", "cell", "value"),
    [
        ("site_id", "486", "486"),
        ("sippeer_id", " 304985 ", "304985"),
        ("final_destination_uri", "sip:failover@192.0.2.4", "sip:failover@192.0.2.4"),
        ("final_destination_uri", "SIP:+12345678901@1.2.3.4:5060", "sip:+12345678901@1.2.3.4:5060"),
        ("final_destination_uri", "sip:front-desk@pbx.example.com:5061", "sip:front-desk@pbx.example.com:5061"),
        ("final_destination_uri", "+13332221111@PSTN", "+13332221111@PSTN"),
        ("final_destination_uri", "+18045550142@pstn", "+18045550142@PSTN"),
    ],
)
def test_a_value_that_the_carrier_takes(setting: str, cell: str, value: str):
    """The two forms of the carrier's guide pass."""
    assert OPERATION.check(setting, cell, sippeer_failover.Settings()) == value


@pytest.mark.parametrize(
    ("setting", "cell"),
    [("site_id", cell) for cell in ("../9", "4 8", "x" * 65)]
    + [("sippeer_id", cell) for cell in ("304985/tns", "\u0663")]
    + [
        ("final_destination_uri", cell)
        for cell in (
            "8045550142",
            "+18045550142",
            "8045550142@PSTN",
            "+11045550142@PSTN",
            "+441224003018@PSTN",
            "desk@192.0.2.4",
            "sips:desk@192.0.2.4",
            "sip:911@192.0.2.4",
            "sip:desk@192.0.2.256",
            "sip:desk@localhost",
            "sip:desk@192.0.2.4:0",
            "sip:desk@192.0.2.4:65536",
            "sip:de sk@192.0.2.4",
            "sip:a&b@192.0.2.4",
            "systemDefault",
            "unchanged",
        )
    ],
)
def test_a_value_that_the_carrier_refuses(setting: str, cell: str):
    """A TN's form, words for "none", service codes and impossible hosts are told before anything is sent."""
    with pytest.raises(ValueError, match=r"\w"):
        OPERATION.check(setting, cell, sippeer_failover.Settings())


def test_what_the_operation_declares():
    """A location is named by site and id, and each record travels alone; a row without a destination sets nothing."""
    assert OPERATION.key == ("site_id", "sippeer_id")
    assert OPERATION.required == ("site_id", "sippeer_id")
    assert OPERATION.max_rows(sippeer_failover.Settings()) == 1
    assert OPERATION.path["v2"] == "sites/{site_id}/sippeers/{sippeer_id}"
