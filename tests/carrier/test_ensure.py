"""Records that are read, written whole and read back; a lost answer is settled by reading."""

from __future__ import annotations

import pytest

from batcher.carrier.limits import Gate
from batcher.errors import CarrierRefused
from batcher.ledger import PARKED, READY, REFUSED, SENDING, SETTLED
from batcher.model import FAILED, SKIPPED
from batcher.simulator import Account, Fault, Options
from tests.carrier.line import line, lot
from tests.carrier.turned import Turned

WANTED = "sip:desk@192.0.2.4"
PEER = {"site_id": "486", "sippeer_id": "500025", "final_destination_uri": "sip:old@192.0.2.9"}


def peer(sippeer_id="500025", first_row=1):
    """A chunk of one location that is to have the wanted destination."""
    values = {"site_id": "486", "sippeer_id": sippeer_id, "final_destination_uri": WANTED}
    return lot(0, first_row=first_row, values=[values])


def ensure(folder, *chunks, faults=(), **more):
    options = {"sippeer": [PEER, {**PEER, "sippeer_id": "500026", "final_destination_uri": WANTED}]}
    return line(folder, chunks or [peer()], operation="sippeer-failover", options=options, faults=faults, **more)


def fault(kind, method, **more):
    return Fault(kind=kind, method=method, path="sites/*", **more)


def destination(way):
    """What stands at the carrier."""
    return way.account.sippeer("9900012", "486", "500025")["FinalDestinationUri"]


NEW = f"<FinalDestinationUri>{WANTED}</FinalDestinationUri>"
OLD = "<FinalDestinationUri>sip:old@192.0.2.9</FinalDestinationUri>"


async def test_changed_unchanged_and_missing(tmp_path):
    """A location is written when it differs, skipped when it is so already, failed when it is not there."""
    async with ensure(tmp_path, peer(), peer("500026", 2), peer("77", 3)) as way:
        await way.run()
        assert [(head.state, head.attempt) for head in way.ledger.heads(1)] == [
            (SETTLED, 1),
            (SETTLED, 0),
            (SETTLED, 0),
        ]
        assert way.failed(1) == {}
        assert way.failed(2) == {0: (SKIPPED, "UNCHANGED", "it is so already")}
        assert way.failed(3) == {0: (FAILED, "13563", "Sip Peer '77' account '9900012' and site '486' does not exist")}
        assert destination(way) == NEW
        assert (await way.executed())["executions"] == 1
        before = way.ledger.chunk(1)[2] or b""
        assert b"sip:old@192.0.2.9" in before
        assert b"PENNSYLVANIA AVE" in before


async def test_many_records_at_a_low_rate(tmp_path, monkeypatch):
    """A record that was read is written before others are read: no matter how long the queue, all come to an end."""
    monkeypatch.setattr("batcher.carrier.ensure._FRESH_SECONDS", 0.3)
    chunks = [peer(str(600_000 + place), place + 1) for place in range(12)]
    options = {"sippeer": [{**PEER, "sippeer_id": str(600_000 + place)} for place in range(12)]}
    async with line(tmp_path, chunks, operation="sippeer-failover", options=options) as way:
        way.wire.gate = Gate(20)
        await way.run(rate=20)
        assert way.states() == [SETTLED] * 12
        assert (await way.executed())["executions"] == 12
        assert way.wire.requests == 36, "each record is read, written and read back once"


async def test_a_role_that_is_missing_stops_the_step(tmp_path):
    """403 for one location fails its row; three in a row are about the credentials, and the rest stays unsent."""
    chunks = [peer("500025"), *(peer(str(600_000 + place), place + 2) for place in range(6))]
    options = {"sippeer": [PEER]}
    faults = [fault("status", "GET", status=403, nth=tuple(range(3, 40)))]
    async with line(tmp_path, chunks, operation="sippeer-failover", options=options, faults=faults) as way:
        await way.conversation.send(1)
        with pytest.raises(CarrierRefused, match="403"):
            await way.run(in_flight=1)
        assert way.states()[0] == SETTLED
        assert way.states().count(READY) == 3


async def test_the_first_location_is_forbidden(tmp_path):
    """Others can be read: it fails by itself, and holds nobody up. Alone, it is about the credentials."""
    chunks = [peer("700000"), *(peer(str(600_000 + place), place + 2) for place in range(3))]
    options = {"sippeer": [{**PEER, "sippeer_id": str(600_000 + place)} for place in range(3)]}
    faults = [Fault(kind="status", method="GET", path="sites/486/sippeers/700000", status=403)]
    async with line(tmp_path, chunks, operation="sippeer-failover", options=options, faults=faults) as way:
        await way.run()
        assert way.states() == [SETTLED] * 4
        assert way.failed(1) == {0: (FAILED, "403", "answered with status 403")}
        assert (await way.executed())["executions"] == 3


async def test_the_only_location_is_forbidden(tmp_path, monkeypatch):
    """Nothing could be read at all: a person has to look, and the row stays unsent."""
    monkeypatch.setattr("batcher.carrier.ensure._OTHERS_SECONDS", 0.2)
    async with ensure(tmp_path, faults=[fault("status", "GET", status=403)]) as way:
        with pytest.raises(CarrierRefused, match="403"):
            await way.run()
        assert way.states() == [READY]


async def test_a_write_that_is_forbidden_after_others_were_not(tmp_path):
    """It says why, so the row fails; the same at the next start, whose first write it is."""
    chunks = [peer(), peer("600000", 2)]
    options = {"sippeer": [PEER, {**PEER, "sippeer_id": "600000"}]}
    body = "<SipPeerResponse><ResponseStatus><ErrorCode>1016</ErrorCode><Description>no</Description></ResponseStatus></SipPeerResponse>"
    faults = [Fault(kind="status", method="PUT", path="sites/486/sippeers/600000", status=403, body=body)]
    account = Account(Options(**options))
    async with line(tmp_path, chunks, operation="sippeer-failover", account=account, faults=faults) as way:
        await way.conversation.send(1)
    async with line(tmp_path, None, operation="sippeer-failover", account=account, faults=faults) as way:
        await way.run()
        assert way.states() == [SETTLED, REFUSED]
        assert way.failed(2) == {0: (FAILED, "1016", "no")}


@pytest.mark.parametrize("nth", [1, 2], ids=["before the write", "after it"])
async def test_a_glitch_while_a_record_is_read(tmp_path, nth):
    """A page of a proxy's instead of the record says nothing: it is asked for again."""
    async with ensure(tmp_path, faults=[fault("garbage", "GET", nth=(nth,))]) as way:
        await way.run()
        assert way.states() == [SETTLED]
        assert way.failed(1) == {}
        assert (await way.executed())["executions"] == 1


async def test_a_very_low_rate(tmp_path, monkeypatch):
    """However long its turn takes to come, a record is read, written and read back once each."""
    async with ensure(tmp_path) as way:
        way.wire.gate = Gate(0.15)
        monkeypatch.setattr("batcher.carrier.ensure.elapsed_clock", Turned.of(way.wire))
        await way.run(rate=0.15)
        assert way.states() == [SETTLED]
        assert way.wire.requests == 3


async def test_reads_back_as_something_else(tmp_path):
    """A write that was answered with success and did nothing is not called done: parked."""
    async with ensure(tmp_path, faults=[fault("status", "PUT", status=200, body="<SipPeerResponse/>")]) as way:
        await way.run()
        head = way.ledger.head(1)
        assert (head.state, head.why) == (PARKED, "it was written, but reads back as something else")
        assert (await way.executed())["executions"] == 0


@pytest.mark.parametrize(
    "lost",
    [
        fault("reset_after", "PUT"),
        fault("truncate", "PUT"),
        fault("status_after", "PUT", status=502),
        fault("status_after", "PUT", status=400, body="<html/>"),
    ],
    ids=["reset", "truncated", "502", "unreadable 400"],
)
async def test_a_lost_answer_of_a_write_that_was_executed(tmp_path, lost):
    """It reads back as wanted: done, and written once."""
    async with ensure(tmp_path, faults=[lost]) as way:
        await way.run()
        head = way.ledger.head(1)
        assert (head.state, head.resends, way.failed(1)) == (SETTLED, 0, {})
        assert (await way.executed())["executions"] == 1


async def test_a_write_that_was_never_executed(tmp_path):
    """It reads back as it was before, for long enough: it is written again."""
    async with ensure(tmp_path, faults=[fault("reset_before", "PUT", nth=(1,))]) as way:
        await way.run()
        head = way.ledger.head(1)
        assert (head.state, head.resends, head.attempt) == (SETTLED, 1, 2)
        assert destination(way) == NEW
        assert (await way.executed())["executions"] == 1


async def test_a_write_that_took_effect_after_it_was_given_up(tmp_path):
    """It is as wanted, and we may have made it so: that is no row that was not sent on purpose."""
    async with ensure(tmp_path) as way:
        answer = await way.client.send(way.talk.get(way.ledger.chunk(1)[1], "v2"))
        attempt = way.ledger.intend(1, answer.body)
        way.ledger.doubt(1, attempt, "no answer")
        way.ledger.absent(1, "it reads back as it was before")
        await way.client.send(way.talk.decide(answer, way.ledger.chunk(1)[1], "v2"))
        await way.run()
        assert (way.states(), way.failed(1), destination(way)) == ([SETTLED], {}, NEW)
        assert (await way.executed())["executions"] == 1


async def test_killed_in_the_middle(tmp_path):
    """SENDING at the start is read back: as it was before, it is written again; as wanted, it is done."""
    async with ensure(tmp_path) as way:
        answer = await way.client.send(way.talk.get(way.ledger.chunk(1)[1], "v2"))
        way.ledger.intend(1, answer.body)
        account = way.account
        assert way.states() == [SENDING]
    async with line(tmp_path, None, account=account, operation="sippeer-failover") as way:
        await way.run()
        assert (way.states(), destination(way)) == ([SETTLED], NEW)
        assert way.ledger.head(1).resends == 1


async def test_somebody_else_wrote_in_between(tmp_path):
    """Neither as wanted nor as it was before: left to a person, and not overwritten."""
    theirs = (
        "<SipPeerResponse><SipPeer><PeerId>500025</PeerId><PeerName>location</PeerName><FinalDestinationUri>"
        "sip:theirs@192.0.2.8</FinalDestinationUri></SipPeer></SipPeerResponse>"
    )
    faults = [fault("reset_before", "PUT"), fault("status", "GET", status=200, body=theirs, nth=(2,))]
    async with ensure(tmp_path, faults=faults) as way:
        await way.run()
        head = way.ledger.head(1)
        assert (head.state, head.why) == (PARKED, "it reads back neither as wanted nor as it was before")
        assert destination(way) == OLD


async def test_a_failed_look_back_is_no_contradiction(tmp_path, monkeypatch):
    """When only the reading back failed, it is read again: nothing is known to be wrong."""
    monkeypatch.setattr("batcher.carrier.ensure.READ_SECONDS", -1)
    async with ensure(tmp_path, faults=[fault("status", "GET", status=503, nth=(2,))]) as way:
        await way.run()
        assert way.states() == [SETTLED]
        assert "in doubt" in [event["what"] for event in way.ledger.events(1)]


async def test_refused(tmp_path):
    """A readable refusal of the write fails the row with code and text."""
    body = (
        "<SipPeerResponse><ResponseStatus><ErrorCode>13510</ErrorCode><Description>not a valid Destination URI"
        "</Description></ResponseStatus></SipPeerResponse>"
    )
    async with ensure(tmp_path, faults=[fault("status", "PUT", status=400, body=body)]) as way:
        await way.run()
        assert way.states() == [REFUSED]
        assert way.failed(1) == {0: (FAILED, "13510", "not a valid Destination URI")}


async def test_429(tmp_path):
    """A write that was limited is not executed: the record is read anew and written once."""
    faults = [fault("status", "PUT", status=429, headers={"Retry-After": "0"}, nth=(1,))]
    async with ensure(tmp_path, faults=faults) as way:
        await way.run()
        head = way.ledger.head(1)
        assert (head.state, head.attempt, head.resends) == (SETTLED, 2, 0)
        assert (await way.executed())["executions"] == 1


@pytest.mark.parametrize("status", [401, 403, 404, 405])
async def test_wrong_configuration(tmp_path, status):
    """Before any write went through, such an answer stops the run; the chunk is unsent."""
    async with ensure(tmp_path, faults=[fault("status", "PUT", status=status)]) as way:
        with pytest.raises(CarrierRefused, match=str(status)):
            await way.run()
        assert way.states() == [READY]


async def test_a_record_that_cannot_be_read(tmp_path):
    """What cannot be read is not written: the row fails."""
    async with ensure(tmp_path, faults=[fault("garbage", "GET", executed=False)]) as way:
        await way.run()
        assert (way.states(), way.account.executions) == ([SETTLED], 0)
        assert way.failed(1)[0][2].startswith("its record could not be read: ")
