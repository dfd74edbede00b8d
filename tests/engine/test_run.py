"""Whole runs, by their reports and by what the simulated account executed."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from batcher.engine.attempt import report
from batcher.engine.check import check
from batcher.engine.folder import RunFolder
from batcher.engine.identity import opened
from batcher.errors import InputError, Interrupted
from tests.engine.runs import (
    CHECKER,
    FAILOVER,
    SMS,
    SMS_OFF,
    A,
    B,
    Quiet,
    StopsAtFirst,
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


class SignalsAtFirst(Quiet):
    """Somebody presses Ctrl-C when the first chunk comes to rest."""

    def advance(self, rows: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)


def test_every_row_ends_in_one_line_of_the_reports(tmp_path):
    """A row is succeeded, failed, rejected, duplicate or skipped, in input order, with its code and its own columns."""
    rows = (
        "Name,TN,To\n"
        "a,(201) 200-0001,2015550142\n"
        "b,12345,2015550142\n"
        "c,+12012000002,911\n"
        'd,2012000003,"name@192.0.2.4:5060"\n'
        "e,201-200-0001,2015550142\n"
        "f,2012000004,\n"
        "g,2012000005,2015550142\n"
        "h,2012000005,2015550143\n"
        "i,2012000006\n"
        "j,2012000007,2012000007\n"
    )
    simulated = account(
        error=[{"tns": ["+12012000003"], "code": "5074", "text": "not in service"}],
        warning=[{"tns": ["+12012000001"], "text": "in processing"}],
    )
    job = write_job(tmp_path, FAILOVER, rows)
    summary = start(job, way_to(simulated))
    folder = Path(summary["folder"])
    [order_id] = simulated.orders
    lines = (folder / "results.csv").read_text("utf-8").splitlines()
    assert lines[0] == "row,input,tn,status,code,description,order_id,step"
    results = read(folder / "results.csv")
    assert [cells[:4] for cells in results] == [
        ["1", "(201) 200-0001", "+12012000001", "succeeded"],
        ["2", "12345", "", "rejected"],
        ["3", "+12012000002", "+12012000002", "rejected"],
        ["4", "2012000003", "+12012000003", "failed"],
        ["5", "201-200-0001", "+12012000001", "duplicate"],
        ["6", "2012000004", "+12012000004", "skipped"],
        ["7", "2012000005", "+12012000005", "rejected"],
        ["8", "2012000005", "+12012000005", "rejected"],
        ["9", "", "", "rejected"],
        ["10", "2012000007", "+12012000007", "succeeded"],
    ]
    assert [cells[4] for cells in results] == [
        "",
        "TOO_SHORT",
        "BAD_VALUE",
        "5074",
        "DUPLICATE",
        "NOTHING_SET",
        "DUPLICATE_CONFLICT",
        "DUPLICATE_CONFLICT",
        "ROW_MALFORMED",
        "",
    ]
    assert results[2][5] == 'column "To": 911 is a service code; calls must not be sent there'
    assert results[3][5:] == ["not in service", order_id, "1"]
    assert results[4][5] == "same as row 1"
    assert [cells[6] for cells in results] == [order_id, "", "", order_id, "", "", "", "", "", order_id]
    assert (folder / "rejects.csv").read_text("utf-8").splitlines()[0] == "Name,TN,To,batcher_code,batcher_reason"
    rejects = read(folder / "rejects.csv")
    assert [cells[:4] for cells in rejects] == [
        ["b", "12345", "2015550142", "TOO_SHORT"],
        ["c", "+12012000002", "911", "BAD_VALUE"],
        ["g", "2012000005", "2015550142", "DUPLICATE_CONFLICT"],
        ["h", "2012000005", "2015550143", "DUPLICATE_CONFLICT"],
        ["i,2012000006", "", "", "ROW_MALFORMED"],
    ]
    assert read(folder / "failed.csv") == [["d", "2012000003", "name@192.0.2.4:5060", "5074", "not in service"]]
    warnings = (folder / "warnings.csv").read_text("utf-8").splitlines()
    assert warnings[0] == "row,tn,source,code,description,order_id,step"
    assert [(cells[:4], cells[5:]) for cells in read(folder / "warnings.csv")] == [
        (["1", "+12012000001", "carrier", ""], [order_id, "1"]),
        (["10", "+12012000007", "batcher", "SELF_FORWARD"], [order_id, "1"]),
    ]
    assert summary["statuses"] == {
        "succeeded": 2,
        "failed": 1,
        "rejected": 5,
        "duplicate": 1,
        "skipped": 1,
        "unknown": 0,
        "pending": 0,
    }
    assert (summary["rows"], summary["exit_code"], summary["orders"]) == (10, 1, {"PARTIAL": 1})
    assert json.loads((folder / "summary.json").read_text("utf-8")) == summary
    assert (job.output_path / "latest").resolve() == folder
    assert simulated.executed()["tns"] == 3
    # The reports are made from the run folder alone, the same to the byte.
    names = ["results.csv", "rejects.csv", "failed.csv", "warnings.csv", "summary.json", "summary.txt"]
    before = {name: (folder / name).read_bytes() for name in names}
    for name in names:
        (folder / name).unlink()
    (tmp_path / "numbers.csv").unlink()
    assert report(job.output_path, None, job) == summary
    assert {name: (folder / name).read_bytes() for name in names} == before
    assert {oct(path.stat().st_mode & 0o777) for path in folder.iterdir() if path.suffix != ".db"} == {"0o600"}


def test_rejects_can_be_mended_and_fed_again(tmp_path):
    """Our own two columns of a file of rejects are not carried on."""
    job = write_job(tmp_path, CHECKER, "TN,Note,batcher_code,batcher_reason,batcher_id\n12,x,TOO_SHORT,few,7\n")
    summary = start(job, way_to(account()))
    header = (Path(summary["folder"]) / "rejects.csv").read_text("utf-8").splitlines()[0]
    assert header == "TN,Note,batcher_code,batcher_reason"


def test_a_line_that_was_cut_off_is_refused_until_somebody_mends_it(tmp_path):
    """Fed again as it was, it is still no row: what stands in its first cell may be half a number."""
    cut = "TN,Note\n2012000001,x\n+44207946095\n"
    job = write_job(tmp_path, CHECKER, cut, before='carry = ["Note"]\n')
    summary = start(job, way_to(account()))
    assert summary["codes"] == {"rejected ROW_MALFORMED": 1}
    rejected = (Path(summary["folder"]) / "rejects.csv").read_text("utf-8")
    assert rejected.splitlines()[1].startswith('"+44207946095","","ROW_MALFORMED",')
    (tmp_path / "numbers.csv").write_text(rejected)
    again = start(job, way_to(account()), no_budget=True)
    assert again["codes"] == {"rejected ROW_MALFORMED": 1}
    (tmp_path / "numbers.csv").write_text(rejected.replace('"+44207946095",""', '"+442079460958","y"'))
    assert start(job, way_to(account()))["statuses"]["succeeded"] == 1


def test_a_finished_run_is_not_repeated_unless_that_is_wanted(tmp_path):
    """once_per = "input" sends the same input once; --again, another input, and then the first again are sent."""
    simulated = account(
        error=[{"tns": ["+12012000002"], "operation": "import-tn-checker", "code": "19006", "text": "no"}]
    )
    way = way_to(simulated)
    job = write_job(tmp_path, CHECKER, A)
    first = start(job, way)
    assert fates(first) == [("succeeded", ""), ("failed", "19006")]
    assert first["exit_code"] == 1
    repeated = start(job, way)
    assert repeated["run"] == first["run"]
    assert repeated["already_done"]
    assert repeated["exit_code"] == 1
    assert len(runs(job)) == 1
    (Path(first["folder"]) / "summary.json").unlink()
    with pytest.raises(InputError, match=r"summary\.json: is gone\. Write it again with batcher report"):
        start(job, way)
    again = start(job, way, again=True)
    assert again["run"] != first["run"]
    other = start(write_job(tmp_path, CHECKER, B), way)
    assert "already_done" not in other
    back = start(write_job(tmp_path, CHECKER, A), way)
    assert "already_done" not in back
    assert len(runs(job)) == 4
    # Names and limits are not part of what a run is; what it does is.
    renamed = write_job(tmp_path, CHECKER, before='[run]\nonce_per = "input"\n', limits="[limits]\nin_flight = 3\n")
    assert start(renamed, way)["run"] == back["run"]
    assert "already_done" not in start(write_job(tmp_path, CHECKER.replace("486", "487")), way)


def test_once_per_day_repeats_on_another_date_and_once_per_start_always(tmp_path):
    """The date is that of the job's time zone: two hours ago was today where it is noon, yesterday where it is midnight."""
    way = way_to(account())
    hour = dt.datetime.now(dt.UTC).hour
    noon, midnight = (f"Etc/GMT{-offset:+d}" for offset in (12 - hour, -hour if hour <= 12 else 24 - hour))

    def by_day(zone):
        return write_job(tmp_path, CHECKER, A, before=f'[run]\nonce_per = "day"\ntimezone = "{zone}"\n')

    first = start(by_day(noon), way)
    with opened(RunFolder(Path(first["folder"]))) as ledger, ledger._transaction() as db:
        db.exec_driver_sql("UPDATE run SET started = started - 7200")
    assert start(by_day(noon), way)["run"] == first["run"]
    assert "already_done" not in start(by_day(midnight), way)
    always = write_job(tmp_path, CHECKER, before='[run]\nonce_per = "start"\n')
    assert "already_done" not in start(always, way)


def test_a_stopped_run_is_resumed_without_its_input(tmp_path):
    """What was planned is sent from the run folder alone, and the result is that of a run that was never stopped."""
    simulated = account()
    way = way_to(simulated)
    job = write_job(tmp_path, SMS, A)
    with pytest.raises(Interrupted):
        start(job, way, StopsAtStart())
    [folder] = runs(job)
    assert fates({"folder": folder}) == [("pending", ""), ("pending", "")]
    assert json.loads((folder / "summary.json").read_text("utf-8"))["exit_code"] == 3
    assert simulated.executed()["orders"] == 0
    (tmp_path / "numbers.csv").unlink()
    changed = write_job(tmp_path, SMS_OFF)
    with pytest.raises(InputError, match=folder.name):
        start(changed, way)
    job = write_job(tmp_path, SMS)
    summary = start(job, way)
    assert summary["folder"] == str(folder)
    assert summary["attempts"] == 2
    assert fates(summary) == [("succeeded", ""), ("succeeded", "")]
    assert simulated.executed() == {
        "orders": 1,
        "tns": 2,
        "executions": 1,
        "doubled_tns": [],
        "doubled_customer_order_ids": [],
    }
    with pytest.raises(InputError, match=r"numbers\.csv"):
        start(job, way)  # finished: now the input is needed to know what it is


@pytest.mark.parametrize("step", [1, 2])
def test_ctrl_c_between_two_requests_leaves_reports(tmp_path, step):
    """Before the signals are watched, and between two steps: every row is accounted for, and the same command ends it."""
    job, carrier = write_job(tmp_path, SMS + FAILOVER, "tn,To\n9195550123,9195550199\n"), account()

    class Presses(Quiet):
        def start(self, title: str, rows: int, done: int) -> None:
            steps.append(title)
            if len(steps) == step:
                signal.raise_signal(signal.SIGINT)

    steps: list[str] = []
    with pytest.raises(Interrupted):
        start(job, way_to(carrier), Presses())
    assert [cells[3] for cells in read(runs(job)[-1] / "results.csv")] == ["pending"]
    assert start(job, way_to(carrier))["statuses"]["succeeded"] == 1
    assert carrier.executed()["orders"] == 2


def test_open_orders_are_waited_for_no_longer_than_asked(tmp_path):
    """--wait leaves an open order in the ledger and ends with 4; the next start takes it up, and sends nothing.

    It is about open orders: everything is sent first, however short it is.
    """
    simulated = account(settle={"seconds": 1_000})
    way = way_to(simulated)
    job = write_job(tmp_path, SMS, A)
    summary = start(job, way, wait_seconds=0)
    assert fates(summary) == [("unknown", "ACCEPTED")] * 2
    assert summary["exit_code"] == 4
    simulated.options = simulated.options.model_copy(update={"settle": "at once"})
    summary = start(job, way)
    assert fates(summary) == [("succeeded", "")] * 2
    assert summary["exit_code"] == 0
    assert simulated.executed()["executions"] == 1


def test_an_unfinished_run_stays_with_its_account_address_and_version(tmp_path):
    """What was sent to one account is finished there before anything goes to another."""
    url = "https://api.bandwidth.com/api/v2"
    job = write_job(tmp_path, SMS, A)
    assert start(job, way_to(account(settle={"seconds": 1_000}), base_url=url), wait_seconds=0)["exit_code"] == 4
    [folder] = runs(job)
    for elsewhere in (
        (job, way_to(account(), account_id="9900013", base_url=url)),
        (job, way_to(account(), base_url="https://test.api.bandwidth.com/api/v2")),
        (write_job(tmp_path, SMS, before='[carrier]\napi = "v1"\n'), way_to(account(), base_url=url)),
    ):
        with pytest.raises(InputError, match=folder.name):
            start(*elsewhere)
    assert states(folder) == {"ACCEPTED": 1}


def test_a_trial_counts_for_nothing_at_the_carrier(tmp_path):
    """A finished run stays the newest of its kind, and an unfinished trial is nobody's predecessor."""
    job, real, trial = write_job(tmp_path, SMS, A), account(), account()
    at_carrier = way_to(real, base_url="https://api.bandwidth.com/api/v2")
    first = start(job, at_carrier)
    with pytest.raises(Interrupted):
        start(job, way_to(trial), StopsAtStart())
    assert start(job, at_carrier)["run"] == first["run"]
    assert start(job, way_to(trial))["statuses"]["succeeded"] == 2
    assert start(job, at_carrier)["already_done"]
    assert real.executed()["orders"] == trial.executed()["orders"] == 1


def test_a_link_that_is_none_is_found_before_anything_is_sent(tmp_path):
    """A copy that followed links leaves a folder in its place."""
    job, simulated = write_job(tmp_path, SMS, A), account()
    (job.output_path / "latest").mkdir(parents=True)
    with pytest.raises(InputError, match="latest: is there, and no link"):
        start(job, way_to(simulated))
    assert simulated.executed()["orders"] == 0


def test_a_run_that_was_stopped_brings_its_summary(tmp_path):
    """Whoever catches the error can tell where every row stands."""
    job = write_job(tmp_path, SMS, A)
    with pytest.raises(Interrupted) as stopped:
        start(job, way_to(account()), StopsAtStart())
    assert stopped.value.summary is not None
    assert stopped.value.summary["statuses"]["pending"] == 2
    assert stopped.value.summary["exit_code"] == 3


@pytest.mark.parametrize("name", ["tn.i8", "same.i8", "why.1.u1", "input.arrow"])
def test_a_run_folder_that_was_changed_is_refused(tmp_path, name):
    """The files of a run are its record: one flipped bit, or a file that is gone, sends nothing."""
    simulated = account()
    job = write_job(tmp_path, SMS, A)
    with pytest.raises(Interrupted):
        start(job, way_to(simulated), StopsAtStart())
    path = runs(job)[0] / name
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=name):
        start(job, way_to(simulated))
    path.unlink()
    with pytest.raises(InputError, match=name):
        start(job, way_to(simulated))
    assert simulated.executed()["orders"] == 0


def test_unsent_rows_grow_stale(tmp_path):
    """Past limits.max_age they are not sent, unless --stale says so; the run ends with 4."""
    simulated = account()
    way = way_to(simulated)
    old = '[limits]\nrequests_per_second = 500\nmax_age = "0s"\n'
    job = write_job(tmp_path, CHECKER, A, limits=old)
    with pytest.raises(Interrupted):
        start(job, way, StopsAtStart())
    stopped = tmp_path / "stopped"
    shutil.copytree(job.output_path, stopped, symlinks=True)
    summary = start(job, way)
    assert fates(summary) == [("pending", "STALE")] * 2
    assert summary["exit_code"] == 4
    sent = start(replace(job, output_path=stopped), way, stale=True)
    assert fates(sent) == [("succeeded", "")] * 2


def test_nobody_sets_the_clock_by_which_rows_grow_stale(tmp_path, monkeypatch):
    """The wall clock was set back meanwhile, or stands still: the time that has gone by counts."""
    gone_by = 0.0

    class Waits(Quiet):
        def start(self, *_: object) -> None:
            nonlocal gone_by
            gone_by = 2 * 86_400.0

    monkeypatch.setattr("batcher.carrier.converse.elapsed_clock", lambda: 1_000.0 + gone_by)
    summary = start(write_job(tmp_path, CHECKER, A), way_to(account()), Waits())
    assert fates(summary) == [("pending", "STALE")] * 2


def test_a_passcode_is_there_as_long_as_its_order_is_open(tmp_path):
    """A run with an open order can be taken up again and settled; then its secrets are gone."""
    simulated = account(settle={"seconds": 1_000})
    way = way_to(simulated)
    steps = '[[step]]\noperation = "tn-options"\nport_out_passcode = { column = "Code" }\n'
    job = write_job(tmp_path, steps, "TN,Code\n2012000001,Ab12\n2012000002,Cd34\n")
    assert start(job, way, wait_seconds=0)["exit_code"] == 4
    (folder,) = runs(job)
    assert (folder / "secret.arrow").exists()
    simulated.options = simulated.options.model_copy(update={"settle": "at once"})
    assert start(job, way)["exit_code"] == 0
    assert not (folder / "secret.arrow").exists()


def test_what_grew_stale_can_be_sent_after_all(tmp_path):
    """A run that ended with stale rows is taken up again with --stale: they are sent, and nothing else."""
    simulated = account()
    way = way_to(simulated)
    old = '[limits]\nrequests_per_second = 500\nmax_age = "0s"\n'
    job = write_job(tmp_path, CHECKER, A, limits=old)
    assert start(job, way)["exit_code"] == 4
    sent = start(job, way, stale=True)
    assert fates(sent) == [("succeeded", "")] * 2
    assert len(runs(job)) == 1
    assert start(job, way, stale=True)["already_done"]


def test_a_new_run_that_is_declined_takes_no_secret_away(tmp_path):
    """What had grown stale can be sent with --stale until another run has begun to send."""
    way = way_to(account())
    steps = '[[step]]\noperation = "tn-options"\nport_out_passcode = { column = "Code" }\n'
    old = '[limits]\nrequests_per_second = 500\nmax_age = "0s"\n'
    rows = "TN,Code\n2012000001,Ab12\n"
    assert start(write_job(tmp_path, steps, rows, limits=old), way)["exit_code"] == 4
    with pytest.raises(Interrupted):
        start(write_job(tmp_path, steps, "TN,Code\n2012000002,Ab12\n"), way, confirm=lambda _: False)
    assert (runs(job := write_job(tmp_path, steps, rows))[0] / "secret.arrow").exists()
    assert start(job, way, stale=True)["statuses"]["succeeded"] == 1
    assert not list(tmp_path.rglob("secret.arrow"))


def test_a_secret_that_outlived_its_run_goes_at_the_next_start(tmp_path):
    """A process may be killed between the end of a run and the removal."""
    way = way_to(account())
    job = write_job(tmp_path, '[[step]]\noperation = "tn-options"\nport_out_passcode = "Ab12"\n', A)
    start(job, way)
    left = runs(job)[0] / "secret.arrow"
    left.write_bytes(b"")
    assert start(job, way)["already_done"]
    assert not left.exists()


def test_what_grew_stale_before_a_later_step_is_not_promised(tmp_path):
    """--stale cannot send it any more: its line names the way that can."""
    way, steps = way_to(account()), CHECKER + SMS
    job = write_job(tmp_path, steps, A, limits='[limits]\nrequests_per_second = 500\nmax_age = "0s"\n')
    summary = start(job, way)
    assert "run with --again" in (Path(summary["folder"]) / "results.csv").read_text()
    assert start(job, way, stale=True)["already_done"]


def test_the_second_step_takes_what_the_first_succeeded_on(tmp_path):
    """A row's line shows where it stopped; a row that sets nothing later is skipped there."""
    rows = (
        "TN,Sms\n2012000001,on\n2012000002,off\n2012000003,\n2012000004,on\n2012000005,maybe\n"
        "2012000006,on\n2012000006,off\n"
    )
    simulated = account(
        error=[
            {"tns": ["+12012000002"], "operation": "import-tn-checker", "code": "19006", "text": "not importable"},
            {"tns": ["+12012000004"], "code": "5074", "text": "not in service"},
        ]
    )
    job = write_job(tmp_path, CHECKER + '[[step]]\noperation = "tn-options"\nsms = { column = "Sms" }\n', rows)
    summary = start(job, way_to(simulated))
    results = read(Path(summary["folder"]) / "results.csv")
    assert [(cells[3], cells[4], cells[7]) for cells in results] == [
        ("succeeded", "", "2"),
        ("failed", "19006", "1"),
        ("skipped", "NOTHING_SET", "2"),
        ("failed", "5074", "2"),
        ("rejected", "BAD_VALUE", "1"),
        ("rejected", "DUPLICATE_CONFLICT", "1"),
        ("rejected", "DUPLICATE_CONFLICT", "1"),
    ]
    [order] = simulated.orders.values()
    assert order.tns.tolist() == [12012000001, 12012000004]
    assert [cells[6] for cells in results] == [order.order_id, "", "", order.order_id, "", "", ""]
    assert summary["operations"] == ["import-tn-checker", "tn-options"]


@pytest.mark.parametrize("progress", [StopsAtFirst(), SignalsAtFirst()], ids=["error", "signal"])
def test_locations_are_set_one_by_one_and_resumed_where_they_were(tmp_path, progress):
    """Rows named by other columns than a TN; one that has it already is UNCHANGED; a stop in between doubles nothing."""
    rows = "Site,Peer,To\n486,1,sip:desk@192.0.2.4\n486,2,sip:desk@192.0.2.4\n486,3,sip:desk@192.0.2.4\n"
    peers = [{"site_id": "486", "sippeer_id": number} for number in "123"]
    peers[0]["final_destination_uri"] = "sip:desk@192.0.2.4"
    simulated = account(sippeer=peers)
    steps = (
        '[[step]]\noperation = "sippeer-failover"\nsite_id = { column = "Site" }\n'
        'sippeer_id = { column = "Peer" }\nfinal_destination_uri = { column = "To" }\n'
    )
    slow = "[limits]\nrequests_per_second = 20\nin_flight = 1\n"
    job = write_job(tmp_path, steps, rows, limits=slow)
    with pytest.raises(Interrupted):
        start(job, way_to(simulated), progress)
    assert fates({"folder": runs(job)[0]})[0] == ("skipped", "UNCHANGED")
    assert ("pending", "") in fates({"folder": runs(job)[0]})
    summary = start(job, way_to(simulated))
    results = read(Path(summary["folder"]) / "results.csv")
    assert [cells[:5] for cells in results] == [
        ["1", "486/1", "", "skipped", "UNCHANGED"],
        ["2", "486/2", "", "succeeded", ""],
        ["3", "486/3", "", "succeeded", ""],
    ]
    assert simulated.executed()["executions"] == 2


def test_what_a_reading_brought_stands_in_answers(tmp_path):
    """answers.csv has a line for each answer, with the operation's own columns."""
    job = write_job(tmp_path, '[[step]]\noperation = "tn-details"\ndetail = "summary"\n', A)
    summary = start(job, way_to(account()))
    text = (Path(summary["folder"]) / "answers.csv").read_text("utf-8")
    assert text.startswith("row,tn,status,account_id,")
    assert [cells[:3] for cells in read(Path(summary["folder"]) / "answers.csv")] == [
        ["1", "+12012000001", "Inservice"],
        ["2", "+12012000002", "Inservice"],
    ]


def test_a_row_that_nobody_names_is_found_in_a_whole_run(tmp_path):
    """200 rows, two of them refused without a name: these two fail, the others succeed, each executed once."""
    simulated = account(unnamed=["+12012000010", "+12012000190"])
    job = write_job(tmp_path, SMS, "TN\n" + "".join(f"{2012000000 + row}\n" for row in range(200)))
    summary = start(job, way_to(simulated))
    results = read(Path(summary["folder"]) / "results.csv")
    assert [cells[2] for cells in results if cells[3] == "failed"] == ["+12012000010", "+12012000190"]
    assert {cells[4] for cells in results if cells[3] == "failed"} == {"5070"}
    assert (summary["statuses"]["succeeded"], summary["rows_saved_by_halving"]) == (198, 198)
    executed = simulated.executed()
    assert (executed["tns"], executed["doubled_tns"]) == (198, [])


def test_check_says_what_would_be_sent_and_sends_nothing(tmp_path):
    """Only rejects.csv is left; rows that would be sent count as pending."""
    simulated = account()
    job = write_job(tmp_path, SMS, "TN,Note\n2012000001,a\n12,b\n2012000001,c\n2012000002,d\n")
    summary = check(job, way_to(simulated))
    assert summary["statuses"]["pending"] == 2
    assert (summary["planned_orders"], summary["exit_code"], summary["run"]) == (1, 1, "check")
    assert {code: [row[:2] for row in rows] for code, rows in summary["examples"].items()} == {"TOO_SHORT": [(2, "12")]}
    assert sorted(path.name for path in job.output_path.rglob("*")) == ["check", "lock", "rejects.csv"]
    assert [cells[:3] for cells in read(job.output_path / "check" / "rejects.csv")] == [["12", "b", "TOO_SHORT"]]
    assert simulated.executions == 0
    assert start(job, way_to(simulated))["statuses"]["succeeded"] == 2  # a check is no run


def test_nobody_is_asked_twice_and_no_sends_nothing(tmp_path):
    """Somebody who says no leaves the run as it is; the question names account, address, rows and orders."""
    simulated = account()
    asked: list[Any] = []

    def no(waiting):
        asked.append(waiting)
        return False

    job = write_job(tmp_path, CHECKER, A)
    with pytest.raises(Interrupted):
        start(job, way_to(simulated), confirm=no)
    assert asked == [
        {
            "account_id": "9900012",
            "base_url": "simulator",
            "job": "job",
            "operations": ["import-tn-checker"],
            "orders": 1,
            "rows": 2,
            "more_steps": False,
        }
    ]
    assert states(runs(job)[0]) == {"READY": 1}
    assert start(job, way_to(simulated), confirm=lambda _: True)["exit_code"] == 0


def test_an_input_that_fails_while_it_is_read_leaves_no_run(tmp_path):
    """A header without rows is refused, and nothing of it stays."""
    job = write_job(tmp_path, CHECKER, "TN\n")
    with pytest.raises(InputError, match="EMPTY_FILE"):
        start(job, way_to(account()))
    assert runs(job) == []


def test_a_run_that_was_killed_while_its_input_was_read_is_begun_anew(tmp_path):
    """Nothing was sent from it: its folder goes."""
    job = write_job(tmp_path, CHECKER, A)
    first = start(job, way_to(account()))
    half = job.output_path / "20990101T000000Z-abcdef"
    shutil.copytree(first["folder"], half)
    with opened(RunFolder(half)) as ledger, ledger._transaction() as db:
        db.exec_driver_sql("UPDATE run SET judged = 0, finished = NULL")
    assert start(job, way_to(account()))["run"] == first["run"]
    assert not half.exists()


def test_everything_rejected_is_a_run_too(tmp_path):
    """No order, exit code 1, and tolerated when the job says so."""
    job = write_job(tmp_path, CHECKER, "TN\n12\n13\n")
    summary = start(job, way_to(account()))
    assert (summary["exit_code"], summary["orders"], summary["requests"]) == (1, {}, 0)
    tolerant = write_job(tmp_path, CHECKER, limits='[limits]\ntolerated_rejects = "100%"\n')
    assert start(tolerant, way_to(account()), again=True)["exit_code"] == 0
