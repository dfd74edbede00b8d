"""100,000 rows under a carrier's limit of 5 and of 10 requests a second that the job does not know: its ceiling is 32.

400 checks of 250 rows each, so that there is always something to send. Prints only.
"""

from __future__ import annotations

import csv
import json

import pyarrow as pa
import pyarrow.csv as pacsv
import pytest

from tests.benchmarks.measured import JOB, batcher, tns
from tests.processes import asked, at, simulator

ROWS, CHECKS, CEILING = 100_000, 400, 32
CHECKER = 'site_id = { column = "site" }'


@pytest.mark.timeout(900)
@pytest.mark.parametrize("limit", [5, 10])
def test_a_limit_that_is_lower_than_the_ceiling(tmp_path, limit):
    sites = pa.array([str(26_000 + number) for number in range(CHECKS)])
    table = pa.table({"tn": tns(ROWS), "site": sites.take(pa.array([row * CHECKS // ROWS for row in range(ROWS)]))})
    pacsv.write_csv(table, tmp_path / "numbers.csv", pacsv.WriteOptions(quoting_style="none"))
    job = JOB.format(rate=CEILING, settings=CHECKER).replace("tn-options", "import-tn-checker")
    (tmp_path / "job.toml").write_text(job)
    with simulator("--rate-limit", str(limit)) as address:
        figures = batcher("run", "job.toml", cwd=tmp_path, env=at(address))
        times = [time for time, _ in asked(address, "arrivals")]
    summary = json.loads((tmp_path / "out" / "latest" / "summary.json").read_text())
    assert figures.code == 0, (tmp_path / "said.txt").read_text()[-2_000:]
    with (tmp_path / "out" / "latest" / "results.csv").open(newline="") as file:
        rows = [int(row["row"]) for row in csv.DictReader(file) if row["status"] == "succeeded"]
    assert rows == list(range(1, ROWS + 1))
    seconds, served = times[-1] - times[0], summary["requests"] - summary["throttled"]
    print(
        f"\nlimit {limit:>2} a second: {summary['throttled']:>4} of {summary['requests']} requests got "
        f"429, {100 * served / (limit * seconds):5.1f} % of the quota used in {seconds:.1f} s, no row lost"
    )
