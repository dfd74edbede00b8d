"""Locations: a PUT overwrites the whole record."""

from __future__ import annotations

import pytest

from tests.simulator.talk import talk

PEER = "sites/486/sippeers/500025"


async def test_a_location_has_a_full_record_by_default():
    """Without an account file every location exists, with all that a careless PUT would lose."""
    async with talk() as carrier:
        answered = await carrier.get(PEER)
    assert answered.status == 200
    assert answered.one("PeerId") == "500025"
    assert len(answered.all("HostName")) == 3
    assert (answered.one("Display"), answered.one("Enforced")) == ("true", "true")
    assert (answered.one("City"), answered.all("FinalDestinationUri")) == ("Washington", [])


async def test_what_a_put_leaves_out_is_lost():
    """The guide's minimal body sets the failover and takes hosts, address and caller name away."""
    body = (
        "<SipPeer><PeerName>location</PeerName><FinalDestinationUri>+13332221111@PSTN</FinalDestinationUri></SipPeer>"
    )
    async with talk() as carrier:
        written = await carrier.ask("PUT", PEER, body)
        read = await carrier.get(PEER)
        other = await carrier.get("sites/486/sippeers/500026")
        executed = await carrier.json("executed")
    assert written.text == read.text
    assert read.one("FinalDestinationUri") == "+13332221111@PSTN"
    assert (read.one("Display"), read.one("Enforced"), read.one("IsDefaultPeer")) == ("false", "false", "false")
    assert (read.all("HostName"), read.all("City"), read.all("Description")) == ([], [], [])
    assert other.one("City") == "Washington"
    assert (executed["orders"], executed["executions"]) == (0, 1)


async def test_a_record_written_back_whole_is_unchanged():
    """GET, PUT of the same record, GET: nothing changed."""
    async with talk() as carrier:
        before = await carrier.get(PEER)
        record = before.text[before.text.index("<SipPeer>") : before.text.index("</SipPeerResponse>")]
        written = await carrier.ask("PUT", PEER, record)
    assert written.text == before.text


@pytest.mark.parametrize(
    ("uri", "status"),
    [
        pytest.param("sip:desk@192.0.2.4", 200, id="sip, address"),
        pytest.param("sip:+19195550123@voip.example.net:5060", 200, id="sip, name and port"),
        pytest.param("+13332221111@PSTN", 200, id="PSTN"),
        pytest.param("", 200, id="empty clears"),
        pytest.param("desk@192.0.2.4", 400, id="no prefix"),
        pytest.param("3332221111@PSTN", 400, id="PSTN without +1"),
        pytest.param("3332221111", 400, id="bare TN"),
    ],
)
async def test_the_final_destination_is_checked(uri, status):
    """Other than on a TN, the prefix is required here; anything else is 13510, and nothing is written."""
    body = f"<SipPeer><PeerName>a</PeerName><FinalDestinationUri>{uri}</FinalDestinationUri></SipPeer>"
    async with talk() as carrier:
        answered = await carrier.ask("PUT", PEER, body)
        executed = await carrier.json("executed")
    assert (answered.status, executed["executions"]) == (status, int(status == 200))
    assert ("<ErrorCode>13510</ErrorCode>" in answered.text) == (status == 400)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param("<SipPeer/>", "13500", id="no name"),
        pytest.param(f"<SipPeer><PeerName>{'a' * 51}</PeerName></SipPeer>", "13501", id="long name"),
        pytest.param(
            f"<SipPeer><PeerName>a</PeerName><Description>{'a' * 51}</Description></SipPeer>", "13503", id="description"
        ),
        pytest.param("grumble", "400", id="not XML"),
    ],
)
async def test_a_record_is_refused(body, code):
    """400 with the published code."""
    async with talk() as carrier:
        answered = await carrier.ask("PUT", PEER, body)
    assert (answered.status, answered.one("ErrorCode")) == (400, code)


async def test_a_location_that_is_not_there_cannot_be_written():
    """With locations in the account file, only those exist; each begins with what the file says."""
    there = {"site_id": "486", "sippeer_id": "500025", "peer_name": "hq", "final_destination_uri": "sip:a@192.0.2.9"}
    async with talk(options={"sippeer": [there]}) as carrier:
        read = await carrier.get(PEER)
        missing = await carrier.ask("PUT", "sites/486/sippeers/1", "<SipPeer><PeerName>a</PeerName></SipPeer>")
    assert (read.one("PeerName"), read.one("FinalDestinationUri")) == ("hq", "sip:a@192.0.2.9")
    assert (missing.status, missing.one("ErrorCode")) == (400, "13563")
