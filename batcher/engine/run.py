"""A run from start to end: which run this is, what is left of it to do, and how it ended.

First start, resume after a crash, and a later look at open orders are the same way, entered at different points;
the ledger says where. Nothing is sent before the whole input was read, judged and planned.
"""

from __future__ import annotations

import secrets as entropy
import shutil
import time
from collections.abc import Mapping, Sequence
from typing import Any

import anyio
import structlog

from batcher.engine.attempt import close, may_send, said_of
from batcher.engine.folder import RunFolder, locked, new_run_id, prepare_output
from batcher.engine.identity import (
    Way,
    already_done,
    folders_of,
    has_sent,
    job_digest,
    last_rows,
    newest,
    open_input,
    opened,
    refuse_elsewhere,
    resumable,
    run_digest,
    run_row,
)
from batcher.engine.job import Job
from batcher.engine.judge import columns_of, take_in
from batcher.engine.report import check_carried
from batcher.engine.send import Options, Progress, send_steps
from batcher.engine.steps import kept, plan_step, restored
from batcher.engine.superseded import beside, supersede
from batcher.engine.survey import numbers, oddities, refusals
from batcher.errors import BatcherError, InputError, Interrupted
from batcher.ledger import READY, RETIRED, Ledger
from batcher.spool import digest_of
from batcher.table import Source

_log = structlog.get_logger()


class Declined(Interrupted):
    """Somebody was asked, and said no."""


def run(job: Job, way: Way, options: Options, progress: Progress) -> dict[str, Any]:
    """Do what the job says, or finish what was begun; the object of summary.json.

    Raises InputError before anything was sent, LockHeld, and whatever stopped the run midway: its reports are
    written by then, and the same command goes on.
    """
    prepare_output(job.output_path)
    with locked(job.output_path):
        return _run_locked(job, way, options, progress)


def _run_locked(job: Job, way: Way, options: Options, progress: Progress) -> dict[str, Any]:
    unfinished, finished = newest(job.output_path, way)
    for folder in unfinished:
        refuse_elsewhere(folder, way, job)
    if finished is not None:
        _forget_secrets(finished)
    last = unfinished[-1] if unfinished else None
    row = None if last is None else run_row(last)
    of_job = job_digest(job, way)
    source = open_input(job, is_needed=row is None or row["retired"] is not None)
    try:
        if last is not None and row is not None:
            if source is None and row["facts"]["job_digest"] != of_job:
                raise InputError(
                    f"{job.input_path}: is gone, and the job is not the one of the unfinished run {last.run_id}. "
                    "Put back either of them."
                )
            digest = row["digest"] if source is None else run_digest(source.digest(), of_job)
            if (same := resumable(unfinished, digest)) is not None:
                _log.info("resuming", run=same.run_id)
                others = [folder for folder in unfinished if folder is not same]
                return _work(same, job, way, options, progress, others)
        assert source is not None
        digest = run_digest(source.digest(), of_job)
        if finished is not None and any(each.run_id > finished.run_id and has_sent(each) for each in unfinished):
            # What it did is not the last word any more: a newer run has sent something.
            finished = None
        if finished is not None and options.stale and _is_stale(finished, digest):
            _log.info("sending what had grown stale", run=finished.run_id)
            return _work(finished, job, way, options, progress, unfinished)
        if finished is not None and (done := already_done(finished, digest, job, again=options.again)):
            return beside(supersede(unfinished, job, way, progress), done)
        # An input that cannot be run takes nobody's place: it is judged before another run is put to rest.
        folder = _create(job, way, source, of_job, options)
    finally:
        if source is not None:
            source.close()
    try:
        return _work(folder, job, way, options, progress, unfinished)
    except Declined:
        if unfinished:  # they can still go on
            shutil.rmtree(folder.path, ignore_errors=True)
        raise


def _is_stale(folder: RunFolder, digest: str) -> bool:
    """Whether a finished run of the same input and job holds chunks that had grown stale; they may be sent again."""
    if run_row(folder)["digest"] != digest:
        return False
    with opened(folder, check=False) as ledger:
        return ledger.has_stale()


def _forget_secrets(folder: RunFolder) -> None:
    """Of a finished run, unless it holds what --stale may send: an attempt may have been killed before it did so."""
    if folder.secret.exists():
        with opened(folder, check=False) as ledger:
            if not may_send(ledger):
                folder.secret.unlink(missing_ok=True)


def _create(job: Job, way: Way, source: Source, of_job: str, options: Options) -> RunFolder:
    """Read, judge and keep the whole input in a new run folder."""
    tn_column = columns_of(job, source)
    digest = run_digest(source.digest(), of_job)
    folder = RunFolder(job.output_path / new_run_id(job.output_path, digest))
    # One that is there without a ledger was left by a process that was killed right here.
    folder.path.mkdir(mode=0o700, exist_ok=True)
    try:
        last = last_rows(job.output_path, way.base_url)
        facts = begin(folder, job, way, source, of_job, tn_column, last)
        _refuse_oddities(facts, job, is_limited=not options.no_budget)
    except BatcherError:
        shutil.rmtree(folder.path, ignore_errors=True)
        raise
    return folder


def _refuse_oddities(facts: Mapping[str, Any], job: Job, *, is_limited: bool) -> None:
    """InputError for what the limits forbid, and, with `strict`, for anything odd about the file; else it is logged."""
    for oddity in facts["oddities"]:
        _log.warning("the input is odd", why=oddity)
    if is_limited and (refused := refusals(facts, job.limits)):
        raise InputError("\n".join(f"{facts['input']}: {why} Nothing was sent." for why in refused))
    if job.input.strict and facts["oddities"]:
        raise InputError(
            "\n".join(f"{facts['input']}: {oddity} (strict) Nothing was sent." for oddity in facts["oddities"])
        )


def begin(
    folder: RunFolder, job: Job, way: Way, source: Source, of_job: str, tn_column: str | None, last: int | None = None
) -> dict[str, Any]:
    """Write the ledger's first page and take the input in; a folder that is not judged counts for nothing.

    `last` is how many rows the run before had, if there was one.
    """
    facts: dict[str, Any] = {
        "job": job.name,
        "input": str(source.path),
        "input_sha256": source.digest(),
        "job_digest": of_job,
        "account_id": way.account_id,
        "base_url": way.base_url,
        "api": job.carrier.api,
        "last_rows": last,
    }
    with opened(folder) as ledger:
        prefix = "".join(entropy.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(10))
        steps = [(step.operation.name, kept(step)) for step in job.steps]
        ledger.create_run(
            folder.run_id, digest=run_digest(source.digest(), of_job), prefix=prefix, facts=facts, steps=steps
        )
        started = time.process_time()
        facts |= take_in(source, job, folder, tn_column)
        facts["numbers"] = numbers(folder, facts["rows"], job.rules)
        facts["oddities"] = oddities(facts)
        ledger.judged(facts)
        _log.info("input read", rows=facts["rows"], cpu_seconds=round(time.process_time() - started, 2))
    return facts


def _work(
    folder: RunFolder, job: Job, way: Way, options: Options, progress: Progress, others: Sequence[RunFolder]
) -> dict[str, Any]:
    """One attempt at a run: plan, send, wait, report. The unfinished `others`, whose place it takes, are settled first."""
    with opened(folder) as ledger:
        steps = restored(ledger)
        _check_files(folder, ledger)
        check_carried(folder, ledger, job.output)
        if options.stale:
            ledger.revive_stale()
        if not options.stale and (stale := ledger.retire_stale(time.time() - job.limits.max_age)):
            _log.warning("too old to send; --stale sends them all the same", chunks=stale)
        plan_step(steps[0], folder, ledger, canary=job.limits.canary_rows, first=options.first)
        if options.confirm is not None and not options.confirm(_waiting(ledger, way, job, options)):
            raise Declined("Nothing was sent. The same command asks again.")
        superseded = supersede(others, job, way, progress)
        for older in folders_of(job.output_path, way.base_url):
            # Each is finished or retired, and from here on not the newest: none of it is sent any more.
            if older.run_id < folder.run_id:
                older.secret.unlink(missing_ok=True)
        said = said_of(job)
        attempt = ledger.begin_attempt(said)
        started = time.monotonic()
        error: Exception | None = None
        wire: dict[str, int] = {"requests": 0, "throttled": 0}
        try:
            anyio.run(send_steps, folder, ledger, steps, job, way, options, progress, wire)
        except Exception as stopped:  # ruff: ignore[blind-except] - raised again below, when the reports are written
            error = stopped
        except KeyboardInterrupt:
            error = Interrupted("Stopped by a signal. The same command goes on.")
        facts = {**said, "seconds": time.monotonic() - started, **wire}
        summary = close(folder, ledger, steps, job, attempt, facts, error)
    if error is not None:
        if isinstance(error, BatcherError):
            error.summary = summary
        raise error
    return beside(superseded, summary)


def _check_files(folder: RunFolder, ledger: Ledger) -> None:
    """The files of the run folder are part of the record: InputError when one was changed."""
    for name, digest in ledger.run()["facts"]["files"].items():
        if not (folder.path / name).is_file() or digest_of(folder.path / name) != digest:
            raise InputError(
                f"{folder.path / name}: was changed or is gone; this run cannot go on. {_remedy(folder, ledger)}"
            )


def _remedy(folder: RunFolder, ledger: Ledger) -> str:
    """What a person can do about a run whose record is damaged."""
    sent = sum(count for state, count in ledger.chunks_by_state().items() if state not in {READY, RETIRED})
    if not sent:
        return f"Nothing of it was sent: delete {folder.path}, and start again."
    return (
        f"Restore it from a copy. Without one, look at the carrier for orders whose CustomerOrderId begins with "
        f"b-{ledger.run()['prefix']}- ({sent} chunks were sent), then move {folder.path} away."
    )


def _waiting(ledger: Ledger, way: Way, job: Job, options: Options) -> dict[str, Any]:
    """What would be sent first: of the first step that is not settled; its sample alone, if that is all that is wanted."""
    step = next((row["number"] for row in ledger.steps() if ledger.chunks_by_state(row["number"]).get(READY)), 1)
    heads = ledger.first_heads(step) if options.first else []
    sample = [head.rows for head in heads if head.state == READY]
    return {
        "account_id": way.account_id,
        "base_url": way.base_url,
        "job": job.name,
        "operations": [step.operation.name for step in job.steps],
        "orders": len(sample) if heads else ledger.chunks_by_state(step).get(READY, 0),
        "rows": sum(sample) if heads else ledger.rows_by_state(step).get(READY, 0),
        "more_steps": not heads and ledger.steps()[-1]["planned"] is None,
    }
