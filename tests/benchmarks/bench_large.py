"""Ten million rows (BATCHER_BENCH_ROWS): plain, and in the three ways in which everything goes wrong. Prints only."""

from __future__ import annotations

import os

import numpy as np
import pytest

from tests.benchmarks.measured import JOB, batcher, tns, write_numbers
from tests.processes import at, simulator

ROWS = int(os.environ.get("BATCHER_BENCH_ROWS", "10_000_000"))
FAILS = '[[error]]\ntns = ["*"]\ncode = "5074"\ntext = "Telephone number is not in service."\n'
#: what it is called: (the TNs, what the simulator is told, the exit code)
CASES = {
    "plain": (tns, "", 0),
    "every row fails": (tns, FAILS, 1),
    "every row is rejected": (lambda rows: tns(rows) // 10, "", 1),
    "every TN twice": (lambda rows: np.tile(tns(rows // 2), 2), "", 0),
}


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("name", CASES)
def test_many_rows(name, tmp_path):
    numbers, account, code = CASES[name]
    write_numbers(tmp_path / "numbers.csv", numbers(ROWS))
    settings = 'final_destination_uri = { column = "destination" }'
    if name == "every TN twice":
        settings = 'sms = "on"'  # with two destinations they would be conflicts
    (tmp_path / "job.toml").write_text(JOB.format(rate=100_000, settings=settings))
    (tmp_path / "account.toml").write_text(account)
    with simulator("--account", tmp_path / "account.toml") as address:
        figures = batcher("run", "job.toml", cwd=tmp_path, env=at(address))
    assert figures.code == code, (tmp_path / "said.txt").read_text()[-2_000:]
    (run,) = tmp_path.glob("out/2*")
    ledger = sum(path.stat().st_size for path in run.glob("ledger.db*")) / 1e6
    folder = sum(path.stat().st_size for path in run.iterdir()) / 1e6
    print(f"\n{ROWS:>12,} rows, {name:24} {figures}   ledger {ledger:6.1f} MB   run folder {folder:7.1f} MB")
