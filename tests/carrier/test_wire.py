"""The way to the carrier: faults come back as values, 429s shut the gate, and somebody gives up in the end."""

from __future__ import annotations

import socket
from typing import Any

import anyio
import pytest

from batcher.carrier.limits import LOOK_UP, POLL, POST
from batcher.carrier.retry import GetVerdict, Verdict
from batcher.carrier.wire import denied, in_words, said
from batcher.errors import CarrierRefused, CarrierUnavailable, GateShut, NotSent, OutcomeUnknown
from batcher.model import Answer, Issue, Request
from batcher.simulator import Fault
from tests.carrier.line import line, lots
from tests.carrier.turned import Turned

LIST = Request("GET", "tnoptions")


async def test_faults_are_values(tmp_path):
    """A broken connection is an outcome like others; only the answers count as signs of life."""
    faults = [Fault(kind="truncate", nth=(1,)), Fault(kind="status", status=503, nth=(2,))]
    async with line(tmp_path, lots(1), faults=faults) as way:
        assert isinstance(await way.wire.ask(LIST, LOOK_UP), OutcomeUnknown)
        assert in_words(await way.wire.ask(LIST, POST)) == "status 503"
        assert in_words(await way.wire.ask(LIST, POLL)) == "status 200"
        assert way.wire.breaker.failures == 0
        assert (way.wire.requests, way.wire.gate.granted) == (3, 3)


async def test_a_get_is_repeated(tmp_path):
    """A failed GET is asked again until it has an answer, or until the tries are used up."""
    faults = [Fault(kind="status", status=503, nth=(1, 3, 4)), Fault(kind="status", status=429, nth=(5,))]
    async with line(tmp_path, lots(1), faults=faults) as way:
        verdict, answer = await way.wire.get(LIST, POLL)
        assert (verdict, answer and answer.status, way.wire.requests) == (GetVerdict.OK, 200, 2)
        verdict, answer = await way.wire.get(LIST, POLL, tries=1)
        assert (verdict, answer and answer.status, way.wire.requests) == (GetVerdict.REPEAT, 503, 3)


async def test_a_429_is_no_try(tmp_path):
    """What was limited was not answered: the gate shuts, and the one try is still to come."""
    faults = [Fault(kind="status", status=429, headers={"Retry-After": "0"}, nth=(1, 2))]
    async with line(tmp_path, lots(1), faults=faults) as way:
        verdict, _ = await way.wire.get(LIST, POLL, tries=1)
        assert verdict is GetVerdict.OK
        assert (way.wire.throttled, way.wire.gate.throttled) == (2, 2)


async def test_a_429_shuts_the_gate_for_all(tmp_path):
    """Until the reset nobody passes, whatever the rank."""
    faults = [Fault(kind="status", status=429, headers={"Retry-After": "7"}, nth=(1,))]
    async with line(tmp_path, lots(1), faults=faults) as way:
        clock = Turned.of(way.wire)
        assert in_words(await way.wire.ask(LIST, POLL)) == "status 429"
        assert 7 <= way.wire.gate.paused_seconds() <= 7.7
        await way.wire.ask(LIST, LOOK_UP)
        assert clock.now >= 7


@pytest.mark.parametrize("status", [401, 403])
async def test_a_get_that_is_not_allowed(tmp_path, status):
    """Refused credentials are not asked again."""
    async with line(tmp_path, lots(1), faults=[Fault(kind="status", status=status)]) as way:
        with pytest.raises(CarrierRefused, match=str(status)):
            await way.wire.get(LIST, POLL)
        assert way.wire.requests == 1


async def test_after_five_failures_one_question_at_a_time(tmp_path):
    """Pauses of 30, 60, 120 s up to five minutes, each behind a canary; an answer to it, whatever it is, lets all go on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    async with line(tmp_path, lots(1), base=nobody) as way:
        clock = Turned.of(way.wire)
        for _ in range(5):
            assert isinstance(await way.wire.ask(LIST, POST), NotSent)
        assert way.wire.breaker.is_open
        asked: list[tuple[str, int]] = []
        send = way.client.send

        async def answer_at_last(request: Request, **more: Any) -> Answer:
            asked.append((request.path, round(clock.now - start)))
            return Answer(404, b"") if len(asked) >= 6 else await send(request, **more)

        start = clock.now
        way.client.send = answer_at_last  # type: ignore[method-assign]
        async with anyio.create_task_group() as group:
            for rank in (POST, POLL, LOOK_UP):
                group.start_soon(way.wire.ask, LIST, rank)
        paths, moments = zip(*asked, strict=True)
        assert paths == ("sites",) * 6 + ("tnoptions",) * 3
        assert moments[:6] == (30, 90, 210, 450, 750, 1050)
        assert not way.wire.breaker.is_open


async def test_writes_that_are_not_answered_hold_only_writes(tmp_path):
    """Questions go on; behind each pause one write tries, and none besides until it is known what became of it."""
    async with line(tmp_path, lots(1)) as way:
        clock, wire = Turned.of(way.wire), way.wire
        for _ in range(5):
            await wire.turn(POST, is_write=True)
            wire.note_write(Verdict.UNKNOWN)
        await wire.turn(LOOK_UP)
        await wire.turn(POLL)
        await wire.turn(POST)  # a question may have that rank: it is no try
        assert clock.now < 1
        granted = wire.gate.granted
        await wire.turn(POST, is_write=True)
        assert 30 <= clock.now < 32
        assert wire.gate.granted == granted + 1  # who waits takes no slot
        assert wire.writes.is_shut
        await wire.turn(POST)
        assert not wire.writes.admits()
        wire.note_write(Verdict.THROTTLED)
        await wire.turn(POST, is_write=True)
        wire.note_write(Verdict.UNKNOWN)
        await wire.turn(POST, is_write=True)
        assert 90 <= clock.now < 95
        wire.note_write(Verdict.REFUSED)
        before = clock.now
        await wire.turn(POST, is_write=True)
        await wire.turn(POST, is_write=True)
        assert clock.now - before < 1


async def test_writes_without_success_for_an_hour(tmp_path):
    """The run ends for now, though questions are answered."""
    async with line(tmp_path, lots(1)) as way:
        clock, wire = Turned.of(way.wire), way.wire

        async def write_on() -> None:
            for _ in range(100):
                await wire.turn(POST, is_write=True)
                wire.note_write(Verdict.UNKNOWN)

        with pytest.raises(CarrierUnavailable, match="No write is answered"):
            await write_on()
        assert 3_600 < clock.now < 4_000


async def test_an_outage_of_questions_ends_too(tmp_path):
    """A carrier that answers 503 for an hour is as good as gone."""
    async with line(tmp_path, lots(1), faults=[Fault(kind="status", status=503)]) as way:
        clock = Turned.of(way.wire)
        with pytest.raises(CarrierUnavailable, match="503"):
            await way.wire.get(LIST, POLL)
        assert 3_600 < clock.now < 4_300


async def test_one_thing_that_is_out_of_order_is_no_outage(tmp_path):
    """Somebody answers the canary: the question that gets 503 again and again is asked as long as it may be."""
    faults = [Fault(kind="status", status=503, path="tnoptions")]
    async with line(tmp_path, lots(1), faults=faults) as way:
        clock = Turned.of(way.wire)
        verdict, _ = await way.wire.get(LIST, POLL, tries=40)
        assert verdict is GetVerdict.REPEAT
        assert clock.now > 7 * 30


async def test_one_thing_that_is_forbidden(tmp_path):
    """Who knows that others could be read takes a 403 as an answer about this one thing; else it is about us."""
    async with line(tmp_path, lots(1), faults=[Fault(kind="status", status=403)]) as way:
        with pytest.raises(CarrierRefused, match="403"):
            await way.wire.get(LIST, POLL)
        assert (await way.wire.get(LIST, POLL, forbidden=True))[0] is GetVerdict.REFUSED


async def test_what_was_held_up_leaves_one_by_one(tmp_path):
    """Slots that were taken long ago are no leave to send at once; a 429 counts from the slot."""
    faults = [Fault(kind="status", status=429, headers={"Retry-After": "1"}, nth=(3,))]
    async with line(tmp_path, lots(1), faults=faults) as way:
        clock = Turned.of(way.wire)
        rate = way.wire.gate.requests_per_second
        left = []
        for _ in range(4):
            await way.wire.turn(LOOK_UP)
        slots, clock.now = clock.now, clock.now + 5.0
        for _ in range(2):
            await way.wire.send(LIST)
            left.append(clock.now - slots - 5.0)
        assert left == pytest.approx([0.0, 0.0])
        await way.wire.send(LIST)
        assert clock.now - slots - 5.0 == pytest.approx(1 / rate)
        # Behind a gate that is shut for long, it takes its turn anew; that is no try.
        assert way.wire.gate.paused_seconds() > 1
        assert isinstance(await way.wire.send(LIST), GateShut)
        verdict, _ = await way.wire.get(LIST, POLL, tries=1)
        assert verdict is GetVerdict.OK
        assert clock.now - slots >= 6.0
        assert way.wire.breaker.failures == 0


async def test_latencies_are_those_of_writes(tmp_path):
    """How many may be under way follows from the last hundred writes; polls do not count."""
    async with line(tmp_path, lots(1)) as way:
        await way.wire.ask(LIST, POLL)
        assert way.wire.latencies == []
        for _ in range(101):
            await way.wire.send(Request("POST", "nowhere", body=b"<x/>"))
        assert len(way.wire.latencies) == 100
        assert all(seconds > 0 for seconds in way.wire.latencies)


def test_words():
    """What is shown names the status and what to look at."""
    assert "BATCHER_CLIENT_ID" in str(denied(Answer(401, b"")))
    assert "roles of the credentials" in str(denied(Answer(403, b"")))
    assert "base_url, api and account_id" in str(denied(Answer(404, b"")))
    assert said(None) == [Issue("error", 0, "", "no readable answer, however often it was asked")]
    assert said(Answer(404, b"")) == [Issue("error", 0, "404", "answered with status 404")]
    assert in_words(Answer(429, b"")) == "status 429"
    assert in_words(NotSent("refused")) == "refused"
