"""A run that somebody began by mistake beside another: what was sent stays sent once, and what has ended stays ended."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from batcher.errors import Interrupted
from tests.engine.runs import SMS, StopsAtStart, account, runs, start, states, way_to, write_job

A = "TN\n2012000001\n2012000002\n"
B = "TN\n2012000003\n2012000004\n"


def test_what_was_done_is_not_done_again_after_a_mistake(tmp_path):
    """B was stopped before it sent anything: A is the last word, however often it is asked for."""
    simulated = account()
    way = way_to(simulated)
    start(write_job(tmp_path, SMS, A), way)
    with pytest.raises(Interrupted):
        start(write_job(tmp_path, SMS, B), way, StopsAtStart())
    for _ in range(3):
        assert start(write_job(tmp_path, SMS, A), way)["already_done"]
    assert simulated.executed()["executions"] == 1


def test_what_was_sent_after_all_stays_done(tmp_path):
    """The same for rows that had grown stale."""
    simulated = account()
    way = way_to(simulated)
    old = write_job(tmp_path, SMS, A, limits='[limits]\nmax_age = "0s"\n')
    assert start(old, way)["exit_code"] == 4
    with pytest.raises(Interrupted):
        start(write_job(tmp_path, SMS, B), way, StopsAtStart())
    assert start(write_job(tmp_path, SMS, A), way, stale=True)["exit_code"] == 0
    assert start(write_job(tmp_path, SMS, A), way)["already_done"]
    assert simulated.executed()["executions"] == 1


@pytest.mark.parametrize("how", ["the question", "a signal"])
def test_an_unfinished_run_goes_on_after_a_mistake(tmp_path, how):
    """B has sent nothing, and stands in nobody's way: A is resumed, not sent anew."""
    simulated = account(settle={"seconds": 1_000})
    way = way_to(simulated)
    start(write_job(tmp_path, SMS, A), way, wait_seconds=0)

    def interrupted(_: object) -> bool:
        raise click.Abort if how == "the question" else KeyboardInterrupt

    with pytest.raises((click.Abort, KeyboardInterrupt)):
        start(write_job(tmp_path, SMS, B), way, confirm=interrupted)
    assert [states(folder) for folder in runs(write_job(tmp_path, SMS, A))] == [{"ACCEPTED": 1}, {"READY": 1}]
    simulated.options = simulated.options.model_copy(update={"settle": "at once"})
    summary = start(job := write_job(tmp_path, SMS, A), way)
    assert (summary["exit_code"], summary["superseded"]["statuses"]["pending"]) == (0, 2)
    assert [states(folder) for folder in runs(job)] == [{"SETTLED": 1}, {"RETIRED": 1}]
    assert Path(summary["folder"]) == runs(job)[0]
    assert simulated.executed()["executions"] == 1
    assert start(job, way)["already_done"]
