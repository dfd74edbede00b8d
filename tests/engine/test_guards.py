"""What keeps a mistake from reaching every row: the sample, the budget, the age of what is sent; and where they were blind."""

from __future__ import annotations

import errno
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from batcher.carrier.client import Client
from batcher.carrier.wire import Wire
from batcher.engine.folder import RunFolder
from batcher.engine.identity import opened
from batcher.engine.job import Step
from batcher.errors import CarrierRefused, Interrupted
from batcher.ledger import READY
from batcher.model import Answer, Request
from batcher.simulator import Fault
from tests.engine.runs import SMS, account, fates, runs, start, states, way_to, write_job

FAST = "[limits]\nrequests_per_second = 500\nabsence_seconds = 0\n"
#: Slow enough that the first orders end before the last are sent.
PACED = "[limits]\nrequests_per_second = 25\nabsence_seconds = 0\n"


def rows(count: int) -> str:
    return "TN\n" + "".join(f"{2_012_000_001 + number}\n" for number in range(count))


def ends_as(monkeypatch, status: str) -> None:
    """Every order ends so, and names no TN."""
    monkeypatch.setattr("batcher.simulator.orders.status", lambda *_: status)


def answers_with(monkeypatch, answer: Answer, *, at_once: int | None = None) -> list[int]:
    """Every order is answered so, those behind the first `at_once` later; how many TNs each asks for."""
    send, asked_for = Client.send, []

    async def answered(client: Client, request: Request, **more: Any) -> Answer:
        if request.body is None:
            return await send(client, request, **more)
        asked_for.append(request.body.count(b"<TelephoneNumber>"))
        more["on_sent"]()
        if at_once is not None and len(asked_for) > at_once:
            await anyio.sleep(0.5)
        return answer

    monkeypatch.setattr(Client, "send", answered)
    return asked_for


def test_a_sample_whose_end_is_unknown_stops_the_others(tmp_path, monkeypatch):
    """PARTIAL that names nobody: who of them went through?"""
    ends_as(monkeypatch, "PARTIAL")
    simulated = account()
    job = write_job(tmp_path, SMS, rows(20), limits=f"{FAST}canary_rows = 3\n")
    with pytest.raises(CarrierRefused, match=r"3 of the first 3 rows \(limits\.canary_rows\) failed or are unknown"):
        start(job, way_to(simulated))
    assert simulated.executed()["tns"] == 3


@pytest.mark.parametrize("options", [{}, {"first": 2}], ids=["canary_rows", "first"])
def test_a_sample_that_was_executed_twice_stops_the_others(tmp_path, options):
    """Something on the way repeats requests: nothing more goes that way."""
    simulated = account()
    way = way_to(simulated, faults=[Fault(kind="twice", method="POST", path="tnoptions", nth=(1,))])
    job = write_job(tmp_path, SMS, rows(20), limits=f"{FAST}canary_rows = 2\n")
    with pytest.raises(CarrierRefused, match=r"Executed more than once: [0-9a-f-]+ and [0-9a-f-]+\. Nothing more"):
        start(job, way, **options)
    assert simulated.executed()["tns"] == 2
    assert start(job, way, no_budget=True)["exit_code"] == 5
    assert simulated.executed()["tns"] == 20


@pytest.mark.parametrize("options", [{}, {"first": 1}], ids=["canary_rows", "first"])
def test_what_a_killed_start_left_open_is_looked_up_though_the_sample_failed(tmp_path, monkeypatch, options):
    """It went on with --no-budget and died: nothing new is sent, and nothing stays in doubt."""
    monkeypatch.setattr(Step, "max_rows", property(lambda _: 5))
    simulated = account(error=[{"tns": ["+12012000001"], "code": "5074", "text": "no"}])
    way = way_to(simulated)
    job = write_job(tmp_path, SMS, rows(20), limits=f"{FAST}canary_rows = 1\nin_flight = 1\n")
    with pytest.raises(CarrierRefused):
        start(job, way)
    [folder] = runs(job)
    with opened(RunFolder(folder)) as ledger:
        ledger.intend(ledger.numbers(1, READY)[0])
    with pytest.raises((CarrierRefused, Interrupted)):
        start(job, way, **options)
    assert states(folder) == {"READY": 4, "SETTLED": 1}
    assert simulated.executed()["executions"] == 1


def test_the_question_about_a_sample_that_is_at_rest(tmp_path):
    """--first given again sends nothing more, and asks nothing more."""
    job = write_job(tmp_path, SMS, rows(3), limits=FAST)
    with pytest.raises(Interrupted):
        start(job, way := way_to(account()), first=1)
    asked: list[Any] = []

    def yes(waiting: Any) -> bool:
        asked.append(waiting)
        return True

    with pytest.raises(Interrupted):
        start(job, way, first=1, confirm=yes)
    assert (asked[0]["rows"], asked[0]["orders"], asked[0]["more_steps"]) == (0, 0, False)


@pytest.mark.parametrize("status", ["FAILED", "EXCEPTION", "CANCELLED"])
def test_every_bad_end_counts_in_the_budget(tmp_path, monkeypatch, status):
    """Whatever it is called: all rows of the order fail."""
    monkeypatch.setattr(Step, "max_rows", property(lambda _: 1))
    ends_as(monkeypatch, status)
    with pytest.raises(CarrierRefused, match="orders that came to an end were refused or FAILED"):
        start(write_job(tmp_path, SMS, rows(80), limits=PACED), way_to(account()))


def test_halves_of_what_was_too_large_count_in_the_budget(tmp_path, monkeypatch):
    """The size was nobody's fault; what became of the halves is."""
    monkeypatch.setattr(Step, "max_rows", property(lambda _: 4))
    simulated = account(error=[{"tns": ["*"], "code": "5074", "text": "no"}])
    send = Client.send

    async def small_ones(client: Client, request: Request, **more: Any) -> Answer:
        if (request.body or b"").count(b"<TelephoneNumber>") > 2:
            more["on_sent"]()
            return Answer(413, b"")
        return await send(client, request, **more)

    monkeypatch.setattr(Client, "send", small_ones)
    with pytest.raises(CarrierRefused, match=r"3 of the first [0-9]+ orders"):
        start(write_job(tmp_path, SMS, rows(200), limits=PACED), way_to(simulated))


def test_nothing_is_halved_before_it_is_known_whether_all_is_refused(tmp_path, monkeypatch):
    """Refusals without a name that come fast do not begin to be divided while others are still on their way."""
    monkeypatch.setattr(Step, "max_rows", property(lambda _: 8))
    error = b"<Code>5070</Code><Description>Telephone number is invalid.</Description>"
    body = b"<TnOptionOrderResponse><ErrorList><Error>" + error + b"</Error></ErrorList></TnOptionOrderResponse>"
    asked_for = answers_with(monkeypatch, Answer(400, body), at_once=2)
    with pytest.raises(CarrierRefused, match=r"[34] of the first [34] orders"):
        start(write_job(tmp_path, SMS, rows(32), limits=FAST), way_to(account()))
    assert asked_for == [8, 8, 8, 8]


def test_who_finds_everything_too_large_is_not_asked_row_by_row(tmp_path, monkeypatch):
    """A proxy that takes nothing: halves of halves tell, and --no-budget goes down to the single row."""
    monkeypatch.setattr(Step, "max_rows", property(lambda _: 8))
    asked_for = answers_with(monkeypatch, Answer(413, b""))
    job = write_job(tmp_path, SMS, rows(80), limits=PACED)
    with pytest.raises(CarrierRefused, match=r"3 of the first [0-9]+ orders"):
        start(job, way_to(account()))
    # Ten of eight rows, twenty of four, and few of two.
    assert (asked_for.count(8), asked_for.count(4)) == (10, 20)
    assert 3 <= asked_for.count(2) < 15
    assert asked_for.count(1) == 0
    assert set(fates(start(job, way_to(account()), no_budget=True))) == {("failed", "413")}


def test_the_budget_hears_of_orders_that_take_a_while(tmp_path, monkeypatch):
    """Polls of the first orders do not stand in line behind those of the others."""
    monkeypatch.setattr(Step, "max_rows", property(lambda _: 1))
    simulated = account(error=[{"tns": ["*"], "code": "5074", "text": "no"}], settle={"seconds": 1.5})
    job = write_job(tmp_path, SMS, rows(150), limits=PACED)
    with pytest.raises(CarrierRefused, match="orders that came to an end were refused or FAILED"):
        start(job, way_to(simulated))
    assert simulated.executed()["orders"] < 130


def test_rows_that_grow_stale_while_they_wait_for_their_turn(tmp_path, monkeypatch):
    """A machine slept, or a gate was shut: nothing old leaves."""
    turn, slept = Wire.turn, 0.0

    async def late(wire: Wire, rank: int, *, is_write: bool = False) -> None:
        nonlocal slept
        await turn(wire, rank, is_write=is_write)
        slept = 2 * 86_400.0 if is_write else slept

    monkeypatch.setattr(Wire, "turn", late)
    monkeypatch.setattr("batcher.carrier.converse.elapsed_clock", lambda: 1_000.0 + slept)
    simulated = account()
    summary = start(write_job(tmp_path, SMS, rows(2), limits=FAST), way_to(simulated))
    assert fates(summary) == [("pending", "STALE")] * 2
    assert simulated.executed()["executions"] == 0


def test_a_superseded_run_that_a_person_has_to_look_at(tmp_path, monkeypatch):
    """Whether its order was executed once is not known: the run that takes its place says so, with its exit code."""
    monkeypatch.setattr("batcher.carrier.look_up.backoff_seconds", lambda *_: 0.01)
    simulated = account(settle={"seconds": 1_000})
    post = partial(Fault, method="POST", path="tnoptions")
    faults = [post(kind="status", status=429, nth=(1,), headers={"Retry-After": "0"}), post(kind="unlisted", nth=(2,))]
    start(write_job(tmp_path, SMS, rows(2), limits=FAST), way_to(simulated, faults=faults), wait_seconds=0)
    simulated.options = simulated.options.model_copy(update={"settle": "at once"})
    summary = start(write_job(tmp_path, SMS, rows(3), limits=FAST), way_to(simulated))
    assert (summary["exit_code"], summary["superseded"]["unlisted_chunks"]) == (5, [1])


def test_no_link_to_the_newest_run(tmp_path, monkeypatch):
    """It is a convenience: what was sent is recorded, and the reports are there."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "symlink_to", full)
    summary = start(write_job(tmp_path, SMS, rows(2), limits=FAST), way_to(account()))
    assert (summary["exit_code"], summary["open"]) == (0, False)
    assert fates(summary) == [("succeeded", "")] * 2
