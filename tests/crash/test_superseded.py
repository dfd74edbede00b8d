"""A run that was killed with orders in doubt, and whose input changed: it is put to rest, wherever that is killed too."""

from __future__ import annotations

import csv
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import takewhile
from pathlib import Path

import pytest

from tests.crash.cases import FIRST_TN, ORDERS
from tests.crash.drive import Trial, trial
from tests.crash.records import executed_orders
from tests.crash.trials import all_at_once

#: An order that is open when its run is superseded stays so; here none is.
CASE = replace(ORDERS, name="superseded", faults=(), options=ORDERS.options.model_copy(update={"settle": "at once"}))
ROWS = len(CASE.lines) - 1
#: Where the old run changes; the reading of an input and the reports are killed elsewhere.
_TRANSACTIONS = {
    "begin_attempt",
    "recover",
    "found",
    "absent",
    "settle",
    "audited",
    "retire_run",
    "end_attempt",
    "finish",
}


def _go(run: Trial) -> None:
    """Die with orders in doubt; then one row is added to the input."""
    assert run.kill_at("post.after", 3), run.log()
    (run.folder / "rows.csv").write_text("\n".join([*CASE.lines, f"{FIRST_TN + ROWS + 1},on"]) + "\n")


def _results(run_folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((run_folder / "results.csv").read_text().splitlines()))


def _heads(run_folder: Path) -> list[tuple[str, str, str | None]]:
    with closing(sqlite3.connect(f"file:{run_folder / 'ledger.db'}?mode=ro", uri=True)) as db:
        return list(db.execute("SELECT state, customer_order_id, order_id FROM chunk"))


def _killed_at(point: str, occurrence: int, folder: Path) -> list[str]:
    """What does not fit, in words, after one more kill while the old run is put to rest."""
    with trial(CASE, folder) as run:
        _go(run)
        run.kill_at(point, occurrence)
        run.finish()
        # Between them may lie what a process left that died while it read the input.
        old, new = min((folder / "out").glob("2*")), (folder / "out" / "latest").resolve()
        first, second = _results(old), _results(new)
        ended = {line["row"]: line["status"] for line in second}
        listed = executed_orders(run)
        named = {customer: order for at in (old, new) for _, customer, order in _heads(at) if order}
        found = {
            "old rows": [int(line["row"]) for line in first] == list(range(1, ROWS + 1)),
            "old rows are pending or have an order": all(
                (line["status"] == "pending") != bool(line["order_id"]) for line in first
            ),
            "old chunks are at rest": {state for state, _, _ in _heads(old)} <= {"SETTLED", "RETIRED"},
            "new rows": list(ended) == [str(row) for row in range(1, ROWS + 2)],
            "new rows have ended": Counter(ended.values()) == {"succeeded": ROWS - 1, "failed": 2},
            "each chunk was executed once": {name: [order] for name, order in named.items()} == listed,
        }
    return [f"{point} {occurrence}: {name}" for name, fits in found.items() if not fits]


@pytest.mark.timeout(180)
def test_a_superseded_run_is_put_to_rest_wherever_it_is_killed(tmp_path):
    """What it had sent is found and settled, what it had not is retired, and the new run sends every row once."""
    with trial(CASE, tmp_path / "undisturbed") as run:
        _go(run)
        assert run.finish() == CASE.exit_code, run.log()
        passed = list(takewhile(lambda point: point != "finish.after", (point for point, _ in run.passed())))
    points = [point for point in dict.fromkeys(passed) if point.partition(".")[0] in _TRANSACTIONS]
    assert {"retire_run.before", "retire_run.after", "recover.after", "found.before"} <= set(points)
    calls = [partial(_killed_at, point, 1, tmp_path / str(number)) for number, point in enumerate(points)]
    assert [fault for faults in all_at_once(calls) for fault in faults] == []
