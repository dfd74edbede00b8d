"""One start of a run: what is kept of it, and how it ends. Reports, exit code, and whether anything is left to send.

`report` writes the same reports again, long after.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from batcher.engine.folder import RunFolder, locked, run_folder
from batcher.engine.identity import opened
from batcher.engine.job import Job, Limits, Output, Step
from batcher.engine.report import write_reports
from batcher.engine.steps import restored
from batcher.engine.summary import exit_code, summarize, summary_text, write_summary
from batcher.errors import BatcherError, InputError
from batcher.ledger import Ledger

_log = structlog.get_logger()


def said_of(job: Job) -> dict[str, Any]:
    """Whose attempt it is, and by what its reports can be written again without the job file."""
    return {
        "pid": os.getpid(),
        "limits": job.limits.model_dump(),
        "output": job.output.model_dump(),
    }


def close(
    folder: RunFolder,
    ledger: Ledger,
    steps: Sequence[Step],
    job: Job,
    attempt: int,
    facts: Mapping[str, Any],
    error: Exception | None,
) -> dict[str, Any]:
    """Write the reports, decide how the attempt ended, and finish the run when nothing of it is open."""
    tally = write_reports(ledger, folder, folder.path, steps, api=job.carrier.api, output=job.output)
    code = (
        getattr(error, "exit_code", BatcherError.exit_code)
        if error is not None
        else exit_code(tally, job.limits, doubled=bool(ledger.doubles() or ledger.unlisted()))
    )
    ledger.end_attempt(attempt, code, facts)
    summary = summarize(folder, ledger, tally, code)
    write_summary(folder.path, summary, summary_text(summary))
    _point_latest(folder)
    if not ledger.is_open() and error is None:
        ledger.finish(code)
    if error is None and not may_send(ledger):
        folder.secret.unlink(missing_ok=True)
    return summary


def may_send(ledger: Ledger) -> bool:
    """Whether any chunk of the run may still have to be sent: an open order too, should it prove not to be ours.

    What is stale is sent with --stale, of a retired run nothing.
    """
    if ledger.run()["retired"] is not None:
        return False
    return ledger.is_open() or ledger.has_stale()


def _point_latest(folder: RunFolder) -> None:
    """A convenience: without it the reports are no worse."""
    link = folder.path.parent / f".latest.{os.getpid()}"
    try:
        link.unlink(missing_ok=True)
        link.symlink_to(folder.run_id)
        link.replace(folder.path.parent / "latest")
    except OSError as error:
        _log.warning("the link to the newest run could not be made", folder=str(folder.path), why=error.strerror)


def report(folder_of_runs: Path, run_id: str | None, job: Job | None) -> dict[str, Any]:
    """Write a run's reports again from its folder, without a job as its last attempt wrote them; the object of summary.json."""
    folder = run_folder(folder_of_runs, run_id)
    with locked(folder_of_runs), opened(folder) as ledger:
        if not ledger.run()["judged"]:
            raise InputError(f"{folder.path}: its input was never read to the end; run the job again.")
        steps = restored(ledger)
        api = ledger.run()["facts"]["api"]
        attempts = ledger.attempts()
        said, code = (attempts[-1]["facts"], attempts[-1]["exit_code"]) if attempts else ({}, None)
        limits = job.limits if job else Limits.model_construct(**said.get("limits", {}))
        output = job.output if job else Output.model_construct(**said.get("output", {}))
        tally = write_reports(ledger, folder, folder.path, steps, api=api, output=output)
        code = exit_code(tally, limits, doubled=bool(ledger.doubles() or ledger.unlisted())) if code is None else code
        summary = summarize(folder, ledger, tally, code)
        write_summary(folder.path, summary, summary_text(summary))
    return summary
