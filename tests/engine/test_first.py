"""How far a mistake reaches: `--first`, `limits.canary_rows`, and how many rows a run may have."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from batcher.engine.job import Step
from batcher.errors import CarrierRefused, InputError, Interrupted
from tests.engine.runs import (
    CHECKER,
    FAILOVER,
    SMS,
    Quiet,
    StopsAtStart,
    account,
    fates,
    runs,
    start,
    way_to,
    write_job,
)

SEVEN = "TN,To\n" + "".join(f"201200000{last},{'2015550142' if last < 5 else '2015550143'}\n" for last in range(1, 8))
FAST = "[limits]\nrequests_per_second = 500\nabsence_seconds = 0\n"


def test_the_first_rows_go_alone(tmp_path):
    """--first sends a few rows of each kind and ends with 3; the same command without it sends the others."""
    simulated = account()
    job = write_job(tmp_path, FAILOVER, SEVEN)
    with pytest.raises(Interrupted, match=r"The first 3 rows came to an end\. .* without --first goes on") as stopped:
        start(job, way_to(simulated), first=3)
    assert stopped.value.exit_code == 3
    [folder] = runs(job)
    sent = ["succeeded"] * 2 + ["pending"] * 2 + ["succeeded"] + ["pending"] * 2
    assert [status for status, _ in fates({"folder": folder})] == sent
    # Given again it sends nothing more, whatever number it names.
    with pytest.raises(Interrupted, match="The first 3 rows"):
        start(job, way_to(simulated), first=6)
    assert simulated.executed()["tns"] == 3
    summary = start(job, way_to(simulated))
    assert (summary["exit_code"], summary["statuses"]["succeeded"], summary["run"]) == (0, 7, folder.name)
    assert simulated.executed() == {
        "orders": 2,
        "tns": 7,
        "executions": 2,
        "doubled_tns": [],
        "doubled_customer_order_ids": [],
    }


def test_the_first_rows_of_a_run_that_was_planned_without_them(tmp_path):
    """Nothing of it was sent: it is planned anew."""
    simulated = account()
    job = write_job(tmp_path, FAILOVER, SEVEN)
    with pytest.raises(Interrupted):
        start(job, way_to(simulated), StopsAtStart())
    with pytest.raises(Interrupted, match="The first 2 rows"):
        start(job, way_to(simulated), first=2)
    assert simulated.executed()["tns"] == 2
    assert start(job, way_to(simulated))["statuses"]["succeeded"] == 7


def test_there_are_no_first_rows_when_others_were_sent(tmp_path):
    """Exit 2, and nothing is sent; without --first the run goes on."""
    simulated = account(settle={"seconds": 1_000})
    job = write_job(tmp_path, FAILOVER, SEVEN)
    assert start(job, way_to(simulated), wait_seconds=0)["exit_code"] == 4
    with pytest.raises(InputError, match="rows of it were sent already; --first is for the first ones"):
        start(job, way_to(simulated), first=2)
    simulated.options = simulated.options.model_copy(update={"settle": "at once"})
    assert start(job, way_to(simulated))["statuses"]["succeeded"] == 7
    assert simulated.executed()["orders"] == 1


@pytest.mark.parametrize(
    "options",
    [{"error": [{"tns": ["+12012000005"], "code": "5074", "text": "no"}]}, {"unnamed": ["+12012000005"]}],
    ids=["failed", "refused"],
)
def test_a_canary_that_fails_stops_the_others(tmp_path, options):
    """limits.canary_rows: one row of the sample fails, exit 5 and nothing else is sent; --no-budget sends it all the same."""
    simulated = account(**options)
    job = write_job(tmp_path, FAILOVER, SEVEN, limits=f"{FAST}canary_rows = 3\n")
    with pytest.raises(CarrierRefused, match=r"1 of the first 3 rows \(limits\.canary_rows\) failed") as stopped:
        start(job, way_to(simulated))
    assert stopped.value.exit_code == 5
    [folder] = runs(job)
    assert Counter(status for status, _ in fates({"folder": folder})) == {"succeeded": 2, "failed": 1, "pending": 4}
    with pytest.raises(CarrierRefused, match="1 of the first 3 rows"):
        start(job, way_to(simulated))
    executed = simulated.executed()["tns"]
    summary = start(job, way_to(simulated), no_budget=True)
    assert (summary["exit_code"], summary["statuses"]["succeeded"], summary["statuses"]["failed"]) == (1, 6, 1)
    assert simulated.executed()["tns"] == executed + 4


LOCATIONS = (
    '[[step]]\noperation = "sippeer-failover"\nsite_id = 486\nsippeer_id = { column = "P" }\n'
    'final_destination_uri = "sip:a@192.0.2.4"\n'
)


def test_a_canary_of_what_is_so_already_has_not_failed(tmp_path):
    """Locations that need no change are skipped, and the others follow."""
    simulated = account(sippeer=[{"site_id": "486", "sippeer_id": f"50{number}"} for number in range(1, 9)])
    rows = "P\n" + "".join(f"50{number}\n" for number in range(1, 9))
    first = write_job(tmp_path, LOCATIONS, "P\n501\n502\n", limits=FAST)
    assert start(first, way_to(simulated))["statuses"]["succeeded"] == 2
    job = write_job(tmp_path, LOCATIONS, rows, limits=f"{FAST}canary_rows = 2\n")
    summary = start(job, way_to(simulated))
    assert (summary["statuses"]["skipped"], summary["statuses"]["succeeded"]) == (2, 6)


def test_a_sample_of_which_nothing_was_sent_is_drawn_anew(tmp_path):
    """--first sends as many rows as it says, whatever was planned before."""
    simulated = account()
    job = write_job(tmp_path, FAILOVER, SEVEN, limits=f"{FAST}canary_rows = 6\n")
    with pytest.raises(Interrupted):
        start(job, way_to(simulated), StopsAtStart())
    with pytest.raises(Interrupted, match="The first 2 rows"):
        start(job, way_to(simulated), first=2)
    assert simulated.executed()["tns"] == 2


def test_the_first_rows_are_those_that_change_something(tmp_path):
    """A check harms nobody: all of it goes. Of the step behind it, so many rows."""
    simulated = account()
    job = write_job(tmp_path, CHECKER + FAILOVER, SEVEN, limits=FAST)
    with pytest.raises(Interrupted, match=r"The first 2 rows came to an end"):
        start(job, way_to(simulated), first=2)
    [folder] = runs(job)
    assert Counter(status for status, _ in fates({"folder": folder})) == {"succeeded": 2, "pending": 5}
    assert simulated.executed()["tns"] == 2
    asked: list[Any] = []
    with pytest.raises(Interrupted):
        start(job, way_to(simulated), confirm=asked.append)
    assert (asked[0]["operations"], asked[0]["rows"]) == (["import-tn-checker", "tn-options"], 5)
    assert start(job, way_to(simulated))["statuses"]["succeeded"] == 7
    assert simulated.executed()["doubled_tns"] == []


def test_every_step_that_changes_something_has_its_canary(tmp_path):
    """The first step goes well, the sample of the second fails: nothing more is sent of it."""
    simulated, bad = account(), account(error=[{"tns": ["+12012000001"], "code": "5074", "text": "no"}])

    class GoesWrong(Quiet):
        sent = 0

        def start(self, *_: object) -> None:
            """A step's sample, and then its other rows."""
            self.sent += 1
            if self.sent == 3:
                simulated.errors = bad.errors  # type: ignore[method-assign]

    job = write_job(tmp_path, FAILOVER + SMS, SEVEN, limits=f"{FAST}canary_rows = 1\n")
    with pytest.raises(CarrierRefused, match=r"1 of the first 1 row \(limits\.canary_rows\) failed"):
        start(job, way_to(simulated), GoesWrong())
    [folder] = runs(job)
    assert Counter(status for status, _ in fates({"folder": folder})) == {"failed": 1, "pending": 6}
    assert start(job, way_to(simulated), no_budget=True)["statuses"]["succeeded"] == 6


def test_the_first_rows_alone_are_asked_about(tmp_path):
    asked: list[Any] = []
    job = write_job(tmp_path, FAILOVER, SEVEN)
    with pytest.raises(Interrupted):
        start(job, way_to(account()), first=3, confirm=asked.append)
    assert (asked[0]["rows"], asked[0]["orders"], asked[0]["more_steps"]) == (3, 1, False)


def test_a_sample_that_is_all_there_is_stops_nobody(tmp_path):
    """Its failures are those of the run."""
    simulated = account(error=[{"tns": ["+12012000005"], "code": "5074", "text": "no"}])
    job = write_job(tmp_path, FAILOVER, SEVEN, limits=f"{FAST}canary_rows = 50\n")
    assert start(job, way_to(simulated))["exit_code"] == 1


def test_the_budget_is_each_step_s_own(tmp_path, monkeypatch):
    """Good checks before it do not let bad orders pass."""
    monkeypatch.setattr(Step, "max_rows", property(lambda _: 1))
    simulated = account(unnamed=["*"])
    rows = "TN\n" + "".join(f"{2_012_000_001 + number}\n" for number in range(30))
    job = write_job(tmp_path, CHECKER + SMS, rows, limits=f"{FAST}in_flight = 1\n")
    with pytest.raises(
        CarrierRefused, match=r"3 of the first [0-9]+ orders that came to an end were refused or FAILED"
    ):
        start(job, way_to(simulated))
    assert simulated.executed()["executions"] == 0


def test_what_a_stopped_run_left_open_is_asked_for_all_the_same(tmp_path, monkeypatch):
    """The budget keeps new orders from leaving, and nothing else."""
    monkeypatch.setattr(Step, "max_rows", property(lambda _: 1))
    simulated = account(unnamed=[f"+{12_012_000_001 + number}" for number in range(3)], settle={"seconds": 1_000})
    rows = "TN\n" + "".join(f"{2_012_000_001 + number}\n" for number in (3, 4, 0, 1, 2, 5, 6))
    job = write_job(tmp_path, SMS, rows, limits=f"{FAST}in_flight = 1\n")
    with pytest.raises(CarrierRefused, match=r"were refused or FAILED \(5070 Telephone number is invalid\.\)"):
        start(job, way_to(simulated))
    [folder] = runs(job)
    assert Counter(status for status, _ in fates({"folder": folder}))["unknown"] == 2
    simulated.options = simulated.options.model_copy(update={"settle": "at once"})
    with pytest.raises(CarrierRefused):
        start(job, way_to(simulated))
    assert Counter(status for status, _ in fates({"folder": folder})) == {"succeeded": 2, "failed": 3, "pending": 2}
    assert simulated.executed()["orders"] == 2


def test_a_canary_that_lives_lets_the_others_go(tmp_path):
    """In orders of their own, and each row once."""
    simulated = account()
    job = write_job(tmp_path, FAILOVER, SEVEN, limits=f"{FAST}canary_rows = 3\n")
    assert start(job, way_to(simulated))["statuses"]["succeeded"] == 7
    assert [order.tns.tolist() for order in simulated.orders.values()] == [
        [12012000001, 12012000002, 12012000005],
        [12012000003, 12012000004, 12012000006, 12012000007],
    ]


def test_more_rows_than_allowed_send_nothing(tmp_path):
    """limits.max_rows, exit 2; no run is left behind, and --no-budget sends it all the same."""
    simulated = account()
    job = write_job(tmp_path, FAILOVER, SEVEN, limits=f"{FAST}max_rows = 6\n")
    with pytest.raises(InputError, match=r"7 rows, and limits\.max_rows allows 6: .* Nothing was sent") as refused:
        start(job, way_to(simulated))
    assert refused.value.exit_code == 2
    assert (runs(job), simulated.executions) == ([], 0)
    assert start(job, way_to(simulated), no_budget=True)["statuses"]["succeeded"] == 7


@pytest.mark.parametrize("rows", [5, 10], ids=["fewer", "more"])
def test_another_number_of_rows_than_last_night_sends_nothing(tmp_path, rows):
    """limits.max_row_count_change, exit 2, against the last finished run; a change within it goes."""
    simulated, limits = account(), f'{FAST}max_row_count_change = "20%"\n'

    def tonight(count):
        return write_job(
            tmp_path, SMS, "TN\n" + "".join(f"{2012000000 + row}\n" for row in range(count)), limits=limits
        )

    assert start(tonight(7), way_to(simulated))["exit_code"] == 0
    with pytest.raises(InputError, match=rf"It has {rows} rows, the last finished run had 7.* Nothing was sent"):
        start(tonight(rows), way_to(simulated))
    assert simulated.executions == 1
    assert start(tonight(8), way_to(simulated))["exit_code"] == 0
    assert start(tonight(rows), way_to(simulated), no_budget=True)["exit_code"] == 0
