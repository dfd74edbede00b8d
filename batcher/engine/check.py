"""What a run would do: read, judged and planned like one, and nothing sent."""

from __future__ import annotations

import math
import shutil
from typing import Any

from batcher.engine.folder import RunFolder, locked, prepare_output
from batcher.engine.identity import Way, job_digest, last_rows, opened
from batcher.engine.job import Job, Step
from batcher.engine.judge import columns_of, source_of
from batcher.engine.report import write_reports
from batcher.engine.run import begin
from batcher.engine.steps import plan_step, restored
from batcher.engine.summary import as_if_sent, exit_code, summarize
from batcher.engine.survey import refusals
from batcher.errors import InputError
from batcher.ledger import READY, Ledger
from batcher.model import Check, Ensure, Order, Read


def check(job: Job, way: Way) -> dict[str, Any]:
    """Read, judge and plan without sending; the object of summary.json, rows that would be sent as pending.

    Beside it what kinds of numbers there are, what is odd about the file, and whether a run would refuse it (exit code 2).
    Writes `<output>/check/rejects.csv`.
    """
    prepare_output(job.output_path)
    (job.output_path / "check").mkdir(exist_ok=True, mode=0o700)
    with locked(job.output_path / "check"):
        return _check(job, way)


def _check(job: Job, way: Way) -> dict[str, Any]:
    folder = RunFolder(job.output_path / "check" / ".work")
    shutil.rmtree(folder.path, ignore_errors=True)
    folder.path.mkdir(parents=True, mode=0o700)
    try:
        with source_of(job) as source:
            # What is foretold is a run at the carrier, whatever was tried before.
            last = last_rows(job.output_path, base_url="")
            facts = begin(folder, job, way, source, job_digest(job, way), columns_of(job, source), last)
        with opened(folder) as ledger:
            plan_step(restored(ledger)[0], folder, ledger, canary=job.limits.canary_rows)
            tally = write_reports(ledger, folder, folder.path, job.steps, api=job.carrier.api, output=job.output)
            orders = sum(ledger.chunks_by_state(1).values())
            requests = _requests(restored(ledger)[0], ledger, job.carrier.api)
            summary = summarize(folder, ledger, tally, exit_code(as_if_sent(tally), job.limits, doubled=False))
        rejects = f"rejects.{job.output.format}"
        (folder.path / rejects).replace(folder.path.parent / rejects)
    finally:
        shutil.rmtree(folder.path, ignore_errors=True)
    refused = refusals(facts, job.limits)
    refused += facts["oddities"] if job.input.strict else []
    return {
        **summary,
        "exit_code": InputError.exit_code if refused else summary["exit_code"],
        "run": "check",
        "folder": str(folder.path.parent),
        "planned_orders": orders,
        "planned_as": {Order: "orders", Check: "checks", Ensure: "records", Read: "lots"}[
            type(job.steps[0].operation.talk)
        ],
        "planned_requests": requests,
        "planned_seconds": round(requests / job.limits.requests_per_second, 1),
        "numbers": facts["numbers"],
        "conflicts": facts["conflicts"],
        "values": facts["values"],
        "oddities": facts["oddities"],
        #: why a run would refuse this input
        "refused": refused,
        "examples": tally.examples,
    }


def _requests(step: Step, ledger: Ledger, api: str) -> int:
    """How many requests a planned step takes: an order is posted and polled, a record is got, put and read back."""
    chunks, talk = sum(ledger.chunks_by_state(step.number).values()), step.operation.talk
    if not isinstance(talk, Read):
        return chunks * {Order: 2, Check: 1, Ensure: 3}[type(talk)]
    if not chunks:
        return 0
    _, first, _ = ledger.chunk(ledger.numbers(step.number, READY, most=1)[0])
    rows = sum(ledger.rows_by_state(step.number).values())
    return math.ceil(rows * len(talk.pages(first, api)) / len(first.rows))
