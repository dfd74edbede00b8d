"""Unfinished runs whose input or job is no more, and the run that takes their place."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from batcher.carrier.converse import Conversation
from batcher.engine.folder import RunFolder
from batcher.engine.identity import opened
from batcher.engine.job import read_job
from batcher.errors import CarrierRefused, InputError, Interrupted
from batcher.operations import get
from batcher.simulator import Fault
from tests.engine.runs import (
    CHECKER,
    SMS,
    SMS_OFF,
    A,
    B,
    StopsAtStart,
    account,
    fates,
    read,
    runs,
    start,
    states,
    way_to,
    write_job,
)


@pytest.mark.parametrize("what", ["input", "job"])
def test_a_changed_input_or_job_supersedes_the_unfinished_run(tmp_path, what):
    """Its open orders are looked at once, its unsent rows end as SUPERSEDED, its reports say so; then the new run goes."""
    simulated = account(settle={"polls": 1_000})
    way = way_to(simulated)
    job = write_job(tmp_path, SMS, A)
    start(job, way, wait_seconds=0.7)
    [old] = runs(job)
    assert states(old) == {"ACCEPTED": 1}
    [order] = simulated.orders.values()
    polls = order.polls
    changed = write_job(tmp_path, SMS, B) if what == "input" else write_job(tmp_path, SMS_OFF, A)
    with pytest.raises(Interrupted):
        start(changed, way, StopsAtStart())
    assert order.polls == polls + 1
    assert fates({"folder": old}) == [("unknown", "ACCEPTED")] * 2
    assert json.loads((old / "summary.json").read_text("utf-8"))["exit_code"] == 4
    assert len(runs(job)) == 2
    middle = runs(job)[1]
    # The second one has sent nothing: all of it retires, and the first input is sent again.
    simulated.options = simulated.options.model_copy(update={"settle": "at once"})
    summary = start(write_job(tmp_path, SMS, A), way)
    assert fates({"folder": middle}) == [("pending", "SUPERSEDED")] * 2
    assert fates(summary) == [("succeeded", "")] * 2
    assert simulated.executed()["orders"] == 2
    assert len(runs(job)) == 3
    assert (job.output_path / "latest").resolve() == Path(summary["folder"])


def test_a_signal_while_a_run_is_put_to_rest(tmp_path, monkeypatch):
    """Its reports say what is known by then; the next start puts it to rest, and goes on with the new one."""
    ask_once = Conversation.ask_once

    async def interrupted(conversation: Conversation, number: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await ask_once(conversation, number)

    simulated = account(settle={"seconds": 1_000})
    way = way_to(simulated)
    job = write_job(tmp_path, SMS, A)
    start(job, way, wait_seconds=0)
    simulated.options = simulated.options.model_copy(update={"settle": "at once"})
    changed = write_job(tmp_path, SMS_OFF, A)
    with monkeypatch.context() as patch:
        patch.setattr(Conversation, "ask_once", interrupted)
        with pytest.raises(Interrupted):
            start(changed, way)
    old, new = runs(job)
    assert fates({"folder": old}) == [("unknown", "ACCEPTED")] * 2
    assert json.loads((old / "summary.json").read_text("utf-8"))["exit_code"] == 3
    assert states(new) == {"READY": 1}
    assert start(changed, way)["exit_code"] == 0
    assert simulated.executed()["orders"] == 2


def test_a_column_that_only_the_new_input_has_is_carried_by_the_new_run_alone(tmp_path):
    """Superseding writes the old run's reports without it; its own rows, resumed, are refused before anything is sent."""
    simulated = account()
    job = write_job(tmp_path, SMS, A)
    with pytest.raises(Interrupted):
        start(job, way_to(simulated), StopsAtStart())
    carrying = write_job(tmp_path, SMS, A, before='carry = ["Ticket"]\n')
    with pytest.raises(InputError, match='"Ticket"'):
        start(carrying, way_to(simulated))
    assert simulated.executed()["orders"] == 0
    carrying = write_job(tmp_path, SMS, "TN,Ticket\n2012000001,T1\n", before='carry = ["Ticket"]\n')
    summary = start(carrying, way_to(simulated))
    assert (summary["exit_code"], summary["statuses"]["succeeded"]) == (0, 1)
    assert fates({"folder": runs(job)[0]}) == [("pending", "SUPERSEDED")] * 2


def test_what_was_proven_absent_is_looked_up_once_more_before_it_retires(tmp_path):
    """The carrier may have executed it after all: a superseded run is audited like any other."""
    way = way_to(account())
    start(write_job(tmp_path / "other", SMS, B), way)  # an order by which the list is seen to work
    job = write_job(tmp_path, SMS, A)
    with pytest.raises(Interrupted):
        start(job, way, StopsAtStart())
    [old] = runs(job)
    with opened(RunFolder(old)) as ledger:
        ledger.doubt(1, ledger.intend(1), "reset")
    assert start(write_job(tmp_path, SMS_OFF, A), way)["exit_code"] == 0
    with opened(RunFolder(old)) as ledger:
        assert (ledger.head(1).state, ledger.head(1).order_id) == ("RETIRED", None)
        assert [event["what"] for event in ledger.events(1)][-2:] == ["proven absent", "audited"]
        assert ledger.unaudited(1) == []


@pytest.mark.parametrize("why", ["rejects", "strict"])
def test_an_input_that_is_refused_takes_nobodys_place(tmp_path, why):
    """Too many rejects, or an odd file: the unfinished run stays as it was, and its own input goes on."""
    simulated = account()
    job = write_job(tmp_path, SMS, A)
    with pytest.raises(Interrupted):
        start(job, way_to(simulated), StopsAtStart())
    if why == "strict":
        other = write_job(tmp_path, SMS, "TN\n2.01200E+09\n2012000003\n")
        other = replace(other, input=other.input.model_copy(update={"strict": True}))
    else:
        other = write_job(tmp_path, SMS, "TN\n" + "12\n" * 101 + "2012000003\n")
    with pytest.raises(InputError, match="Nothing was sent"):
        start(other, way_to(simulated))
    [folder] = runs(job)
    assert states(folder) == {"READY": 1}
    assert start(write_job(tmp_path, SMS, A), way_to(simulated))["statuses"]["succeeded"] == 2


def test_a_superseded_run_never_counts_as_done(tmp_path):
    """A is stopped, an input that cannot be read takes its place in vain, A goes on; B retires it, and A is new again."""
    simulated = account()
    way = way_to(simulated)
    job = write_job(tmp_path, CHECKER, A)
    with pytest.raises(Interrupted):
        start(job, way, StopsAtStart())
    with pytest.raises(InputError, match="NO_TN_COLUMN"):
        start(write_job(tmp_path, CHECKER, "Name\nx\n"), way)
    [old] = runs(job)
    assert states(old) == {"READY": 1}
    with pytest.raises(Interrupted):
        start(write_job(tmp_path, CHECKER, B), way, StopsAtStart())
    assert fates({"folder": old}) == [("pending", "SUPERSEDED")] * 2
    # B did not come to its end either; what A once was is over.
    shutil.rmtree(runs(job)[1])
    summary = start(write_job(tmp_path, CHECKER, A), way)
    assert "already_done" not in summary
    assert fates(summary) == [("succeeded", "")] * 2


def test_a_carrier_out_of_reach_keeps_the_superseded_run_for_the_next_start(tmp_path):
    """What was sent is settled before anything of the new run leaves, whenever that can be; its input is judged by then."""
    simulated = account(settle={"seconds": 1_000})
    job = write_job(tmp_path, SMS, A)
    start(job, way_to(simulated), wait_seconds=0.7)
    [old] = runs(job)
    changed = write_job(tmp_path, SMS, B)
    refuses = way_to(simulated, faults=[Fault(kind="status", status=403, method="GET")])
    with pytest.raises(CarrierRefused, match="403"):
        start(changed, refuses)
    assert [states(folder) for folder in runs(job)] == [{"ACCEPTED": 1}, {"READY": 1}]
    simulated.options = simulated.options.model_copy(update={"settle": "at once"})
    summary = start(changed, way_to(simulated))
    assert fates({"folder": old}) == [("succeeded", "")] * 2
    assert fates(summary) == [("succeeded", "")] * 2
    assert len(runs(job)) == simulated.executed()["executions"] == 2


def test_a_list_that_is_never_readable_holds_nobody_up(tmp_path, monkeypatch):
    """Whether the old order was executed once is not known, and told; tonight's run goes, and so does tomorrow's."""
    monkeypatch.setattr("batcher.carrier.look_up.backoff_seconds", lambda *_: 0.01)
    simulated = account()
    lost = Fault(kind="reset_after", method="POST", nth=(1,))
    unreadable = Fault(kind="garbage", method="GET", path="tnoptions")
    job = write_job(tmp_path, SMS, A)
    assert start(job, way_to(simulated, faults=[lost, unreadable]))["exit_code"] == 4
    changed = write_job(tmp_path, SMS, B)
    summary = start(changed, way_to(simulated, faults=[unreadable]))
    assert fates(summary) == [("succeeded", "")] * 2
    assert (summary["exit_code"], summary["superseded"]["unlisted_chunks"]) == (5, [1])
    [old, _] = runs(job)
    assert fates({"folder": old}) == [("unknown", "PARKED")] * 2
    write_job(tmp_path, SMS, A + "2012000009\n")
    assert start(changed, way_to(simulated))["exit_code"] == 0


def test_a_run_that_sent_nothing_holds_nobody_up(tmp_path):
    """A wrong account that was mended is no other account's unfinished business."""
    job = write_job(tmp_path, SMS, A)
    with pytest.raises(Interrupted):
        start(job, way_to(account(), account_id="9900013"), StopsAtStart())
    summary = start(job, way_to(account()))
    assert fates(summary) == [("succeeded", "")] * 2
    assert fates({"folder": runs(job)[0]}) == [("pending", "SUPERSEDED")] * 2


def test_what_a_superseded_run_leaves_open_is_told(tmp_path):
    """A doubled order found while its run is put to rest ends the next one with 5, both ids shown."""
    simulated = account(settle={"seconds": 1_000})
    start(write_job(tmp_path, SMS, A), way_to(simulated), wait_seconds=0)
    job = write_job(tmp_path, SMS, B)
    summary = start(job, way_to(simulated), wait_seconds=0)
    assert (summary["exit_code"], summary["superseded"]["statuses"]["unknown"]) == (4, 2)
    simulated.options = simulated.options.model_copy(update={"settle": "at once"})
    assert start(job, way_to(simulated))["exit_code"] == 0


def test_a_doubled_order_of_a_superseded_run_is_told(tmp_path):
    """Found while the run is put to rest, it ends the next one with 5, both ids shown."""
    simulated = account()
    with pytest.raises(Interrupted):
        start(write_job(tmp_path, SMS, A), way_to(simulated), StopsAtStart())
    with opened(RunFolder(runs(read_job(tmp_path / "job.toml"))[0])) as ledger:
        # Somebody on the way repeated the request, and the process died before an answer came.
        ledger.intend(1)
        talk: Any = get("tn-options").talk
        body = talk.post(ledger.chunk(1)[1], "v2").body
        for _ in range(2):
            simulated.post_order(body, api="v2", account_id="9900012", user="me", now=time.time() - 60)
    summary = start(write_job(tmp_path, SMS, B), way_to(simulated))
    assert summary["exit_code"] == 5
    assert [len(ids) for ids in summary["superseded"]["doubled_orders"]] == [2]


def test_rows_that_wait_for_a_step_that_was_never_planned_retire_too(tmp_path):
    """The first step is still open when the run is superseded: nothing of the second goes out."""
    simulated = account(settle={"seconds": 1_000})
    steps = SMS + CHECKER
    job = write_job(tmp_path, steps, A)
    start(job, way_to(simulated), wait_seconds=0.7)
    simulated.options = simulated.options.model_copy(update={"settle": "at once"})
    with pytest.raises(Interrupted):
        start(write_job(tmp_path, steps, B), way_to(simulated), StopsAtStart())
    results = read(runs(job)[0] / "results.csv")
    assert [(cells[3], cells[4], cells[7]) for cells in results] == [("pending", "SUPERSEDED", "2")] * 2


def test_no_leaves_the_unfinished_run_its_place(tmp_path):
    """Another input was given by mistake: with the right one the run goes on, and nothing is sent twice."""
    simulated = account(settle={"seconds": 1_000})
    job = write_job(tmp_path, SMS, A)
    start(job, way_to(simulated), wait_seconds=0)
    with pytest.raises(Interrupted):
        start(write_job(tmp_path, SMS, B), way_to(simulated), confirm=lambda _: False)
    assert [states(folder) for folder in runs(job)] == [{"ACCEPTED": 1}]
    simulated.options = simulated.options.model_copy(update={"settle": "at once"})
    assert start(write_job(tmp_path, SMS, A), way_to(simulated))["exit_code"] == 0
    assert simulated.executed()["executions"] == 1


def test_a_then_half_of_b_then_a_sends_a_again(tmp_path):
    """What B has sent is the last word at the carrier, though B never finished."""
    simulated = account()
    on = write_job(tmp_path, SMS, A)
    start(on, way_to(simulated))
    simulated.options = simulated.options.model_copy(update={"settle": {"seconds": 1_000}})
    start(write_job(tmp_path, SMS.replace('"on"', '"off"'), A), way_to(simulated), wait_seconds=0)
    simulated.options = simulated.options.model_copy(update={"settle": "at once"})
    summary = start(write_job(tmp_path, SMS, A), way_to(simulated))
    assert "already_done" not in summary
    assert simulated.executed()["orders"] == 3
    assert simulated.tn_options(12012000001, time.time() + 1)["Sms"] == "on"
