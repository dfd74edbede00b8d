"""`kill -9` at seeded random moments of a run of fifty orders: nothing lost, nothing doubled, the same results.

Four kills in `make test`; BATCHER_KILLS=20 takes more, in rounds of four.
"""

from __future__ import annotations

import csv
import os
import random
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.processes import asked, at, batcher, simulator, started

ROWS = 250_000
KILLS_A_ROUND = 4
ROUNDS = -(-int(os.environ.get("BATCHER_KILLS", "4")) // KILLS_A_ROUND)
#: Seconds between a start and its kill: from the first imports to the middle of the orders.
EARLIEST, LATEST = 0.3, 1.6
#: Slow enough that all kills fall into the orders: fifty of them take two and a half seconds, four of them at a time.
SLOW, FAST = 20, 1_000
LATENCY = ("--latency", "0.2")
JOB = """\
[input]
path = "numbers.csv"

[carrier]
account_id = "9900012"

[limits]
requests_per_second = {rate}
absence_seconds = 0.5

[output]
path = "out"

[[step]]
operation = "tn-options"
sms = "on"
"""


def prepare(folder: Path, rate: int, rows: int = ROWS) -> None:
    (folder / "job.toml").write_text(JOB.format(rate=rate))
    lines = "\n".join(map(str, range(9_192_200_000, 9_192_200_000 + rows)))
    (folder / "numbers.csv").write_text(f"tn\n{lines}\n")


def results(folder: Path) -> bytes:
    return (folder / "out" / "latest" / "results.csv").read_bytes()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> bytes:
    """The results of the same job when nobody kills it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    prepare(folder, rate=FAST)
    with simulator(*LATENCY) as address:
        ended = batcher("run", "job.toml", cwd=folder, env=at(address))
    assert ended.returncode == 0, ended.stderr
    return results(folder)


def in_doubt(folder: Path) -> int:
    """How many orders stand between their intent and its answer."""
    count = 0
    for ledger in folder.glob("out/2*/ledger.db"):
        with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as db:
            tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
            if "chunk" in tables:
                count += db.execute("SELECT count(*) FROM chunk WHERE state = 'SENDING'").fetchone()[0]
    return count


def killed(folder: Path, address: str, seconds: float) -> bool:
    """Start the run and kill it so much later; whether it was still alive."""
    with started("run", "job.toml", cwd=folder, env=at(address)) as process:
        try:
            process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return True
    return False


@pytest.mark.parametrize("seed", range(ROUNDS))
def test_a_killed_run_ends_in_the_same_results(seed, undisturbed, tmp_path):
    """Each order is executed once, each row succeeds, and the results are those of a run that nobody killed."""
    prepare(tmp_path, rate=SLOW)
    chance = random.Random(seed)
    kills, hits, orders = 0, 0, 0
    with simulator(*LATENCY) as address:
        for _ in range(KILLS_A_ROUND):
            kills += killed(tmp_path, address, chance.uniform(EARLIEST, LATEST))
            found = in_doubt(tmp_path)
            hits, orders = hits + (found > 0), orders + found
        (tmp_path / "job.toml").write_text(JOB.format(rate=FAST))
        ended = batcher("run", "job.toml", cwd=tmp_path, env=at(address))
        executed = asked(address, "executed")
    print(f"\n{kills} kills, {hits} of them between intent and answer ({orders} orders in doubt)")
    assert ended.returncode == 0, ended.stderr
    assert kills > 0
    assert (executed["orders"], executed["tns"], executed["executions"]) == (50, ROWS, 50)
    assert executed["doubled_tns"] == executed["doubled_customer_order_ids"] == []
    assert results(tmp_path) == undisturbed
    lines = list(csv.DictReader(undisturbed.decode().splitlines()))
    assert [int(line["row"]) for line in lines] == list(range(1, ROWS + 1))
    assert {line["status"] for line in lines} == {"succeeded"}


def test_the_oracle_sees_a_double(tmp_path):
    """A control: what the test above counts on is not blind."""
    prepare(tmp_path, rate=FAST, rows=10)
    with simulator() as address:
        for again in ([], ["--again"]):
            assert batcher("run", "job.toml", *again, cwd=tmp_path, env=at(address)).returncode == 0
        executed = asked(address, "executed")
    assert (executed["orders"], executed["tns"], len(executed["doubled_tns"])) == (2, 10, 10)
