"""Unfinished runs whose input or job is no more: what they sent is settled, what they did not is retired."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import structlog

from batcher.carrier.client import Client
from batcher.carrier.limits import Gate
from batcher.carrier.wire import Wire
from batcher.engine.attempt import close, said_of
from batcher.engine.folder import RunFolder
from batcher.engine.identity import Way, opened
from batcher.engine.job import Job
from batcher.engine.send import Dispatch, Options, Progress, until_signal
from batcher.engine.steps import restored
from batcher.engine.summary import summary_text, write_summary
from batcher.errors import BatcherError, Interrupted

_log = structlog.get_logger()


def supersede(folders: Sequence[RunFolder], job: Job, way: Way, progress: Progress) -> list[dict[str, Any]]:
    """Settle what runs have sent whose input or job is no more: nothing new of them leaves. Their summaries."""
    return [_put_to_rest(folder, job, way, progress) for folder in folders]


def _put_to_rest(folder: RunFolder, job: Job, way: Way, progress: Progress) -> dict[str, Any]:
    _log.warning("input or job changed: the unfinished run is settled and retired", run=folder.run_id)
    with opened(folder) as ledger:
        steps = restored(ledger)
        # What it is to carry is said of the new input, not of this one.
        carry = tuple(name for name in job.output.carry if name in ledger.run()["facts"]["columns"])
        job = replace(job, output=job.output.model_copy(update={"carry": carry}))
        said = {**said_of(job), "supersedes": True}
        attempt = ledger.begin_attempt(said)
        started = time.monotonic()
        error: Exception | None = None
        count: dict[str, int] = {}

        async def settle() -> None:
            async with way.open(folder) as base_url, Client(base_url, way.account_id, way.authorization) as client:
                wire = Wire(client, Gate(job.limits.requests_per_second))
                dispatch = Dispatch(folder, ledger, job, wire, Options(), progress)
                for step in steps:
                    submission = dispatch.submission(step)
                    await until_signal(submission, partial(submission.run, send=False))
                    await until_signal(submission, partial(submission.audit, with_open=True))
                count.update(requests=wire.requests, throttled=wire.throttled)

        try:
            anyio.run(settle)
            # What was proven absent meanwhile is an unsent chunk, and retires like the others.
            ledger.retire_run("SUPERSEDED")
        except BatcherError as stopped:
            error = stopped  # nothing retires: the next start looks again
        except KeyboardInterrupt:
            error = Interrupted("Stopped by a signal. The same command goes on.")
        facts = {**said, "seconds": time.monotonic() - started, "requests": 0, "throttled": 0, **count}
        summary = close(folder, ledger, steps, job, attempt, facts, error)
    if error is not None:
        raise error
    return summary


def beside(superseded: Sequence[Mapping[str, Any]], summary: dict[str, Any]) -> dict[str, Any]:
    """The summary of a run that took another's place: what that one leaves open is told as well."""
    if not superseded:
        return summary
    codes = [
        5 if each["doubled_orders"] or each["unlisted_chunks"] else 4 if each["statuses"]["unknown"] else 0
        for each in superseded
    ]
    worst = superseded[codes.index(max(codes))]
    names = ("run", "statuses", "doubled_orders", "unlisted_chunks", "exit_code", "folder")
    kept = {name: worst[name] for name in names}
    summary = {**summary, "superseded": kept, "exit_code": max(*codes, summary["exit_code"])}
    if "already_done" not in summary:
        write_summary(Path(summary["folder"]), summary, summary_text(summary))
    return summary
