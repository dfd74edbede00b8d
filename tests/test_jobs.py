"""Every job that is shipped runs as it stands, against the built-in simulator."""

from __future__ import annotations

import csv
import dataclasses
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from batcher.engine.job import Job, read_job
from batcher.engine.run import run
from batcher.engine.send import Options
from batcher.way import way_of

ROOT = Path(__file__).parent.parent
JOBS = sorted((ROOT / "jobs").glob("*.toml"))
#: How the rows of each sample end, as tests/test_samples.py counts them.
ENDS = {
    "check_then_options": {"succeeded": 1_954, "skipped": 46},
    "import_check": {"succeeded": 5_780, "rejected": 389, "duplicate": 40},
    "import_check_parquet": {"succeeded": 6_140, "rejected": 60},
    "location_failover": {"succeeded": 58, "rejected": 2, "duplicate": 1},
    "nightly_failover": {"succeeded": 12_126, "rejected": 137, "duplicate": 138},
    "tn_details": {"succeeded": 200},
}


class Silence:
    """Nobody watches."""

    def start(self, title: str, rows: int, done: int) -> None: ...

    def advance(self, rows: int) -> None: ...

    def stop(self) -> None: ...


def results_of(folder: Path, job: Job) -> list[dict[str, str]]:
    if job.output.format == "parquet":
        lines: list[dict[str, str]] = pq.read_table(folder / "results.parquet").to_pylist()
        return lines
    with (folder / "results.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.stem)
def test_a_shipped_job_runs(path, tmp_path):
    """Exit 0, every input row in exactly one line of the results, and the numbers that its sample promises."""
    job = read_job(path)
    limits = job.limits.model_copy(update={"requests_per_second": 1_000.0})
    job = dataclasses.replace(job, output_path=tmp_path / "out", limits=limits)
    summary = run(job, way_of(job, simulate=True), Options(), Silence())
    assert summary["exit_code"] == 0
    assert {status: count for status, count in summary["statuses"].items() if count} == ENDS[path.stem]
    results = results_of(Path(summary["folder"]), job)
    assert [int(line["row"]) for line in results] == list(range(1, sum(ENDS[path.stem].values()) + 1))
    assert Counter(line["status"] for line in results) == ENDS[path.stem]


def test_every_job_is_counted():
    """A new job file needs its line above, and a sample to go with it."""
    assert sorted(ENDS) == [path.stem for path in JOBS]
