"""Which run this is: a new one, one to resume, or one that was done already."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any

import structlog

from batcher.carrier.auth import Authorization
from batcher.engine.folder import RunFolder, run_folders
from batcher.engine.job import Binding, Job, Step, zone_of
from batcher.engine.judge import source_of
from batcher.errors import InputError
from batcher.ledger import READY, RETIRED, Ledger
from batcher.origin import MissingInput
from batcher.table import Source

_log = structlog.get_logger()


#: In the place of a base URL.
SIMULATOR = "simulator"


@dataclass(frozen=True)
class Way:
    """How the carrier is reached: who we are there, and what opens the way for one run."""

    account_id: str
    #: part of the run's identity; SIMULATOR stands for the built-in one
    base_url: str
    authorization: Authorization | None
    #: gives the base URL to speak to, for as long as it is open
    open: Callable[[RunFolder], AbstractAsyncContextManager[str]]


def newest(output: Path, way: Way) -> tuple[list[RunFolder], RunFolder | None]:
    """(unfinished runs, oldest first; the newest finished one). What was not even read to its end is cleared away.

    There is one unfinished run, unless a process was killed when another was about to take its place.

    Trials against the built-in simulator and runs at a carrier do not count for each other.
    """
    unfinished: list[RunFolder] = []
    finished = None
    for folder in folders_of(output, way.base_url):
        with opened(folder) as ledger:
            row, attempts, has_been_sent = ledger.run(), ledger.attempts(), ledger.has_sent()
        if not row["judged"]:
            # Nothing was planned from it, so nothing was sent: its input is read anew.
            shutil.rmtree(folder.path)
        elif row["retired"] is not None and attempts[-1]["ended"] is not None:
            # What an older run did is not the last word any more, if this one has sent anything in between.
            finished = None if has_been_sent else finished
        elif row["finished"] is not None:
            finished = folder
        else:
            unfinished.append(folder)
    return unfinished, finished


def last_rows(output: Path, base_url: str) -> int | None:
    """How many rows the newest finished run had; None without one. Looks only, whoever runs there meanwhile."""
    rows = [run_row(folder) for folder in folders_of(output, base_url)]
    return next((row["facts"]["rows"] for row in reversed(rows) if row["finished"] is not None), None)


def folders_of(output: Path, base_url: str) -> list[RunFolder]:
    """The runs of an output folder that went the same way, to a carrier or to the built-in simulator; oldest first."""
    return [
        folder
        for folder in run_folders(output)
        if (run_row(folder)["facts"].get("base_url", base_url) == SIMULATOR) == (base_url == SIMULATOR)
    ]


@contextmanager
def opened(folder: RunFolder, *, check: bool = True) -> Generator[Ledger]:
    ledger = Ledger(folder.ledger, check=check)
    try:
        yield ledger
    finally:
        ledger.close()


def run_row(folder: RunFolder) -> dict[str, Any]:
    with opened(folder, check=False) as ledger:
        return ledger.run()


def has_sent(folder: RunFolder) -> bool:
    """Whether a run has ever meant to send something."""
    with opened(folder, check=False) as ledger:
        return ledger.has_sent()


def resumable(unfinished: Sequence[RunFolder], digest: str) -> RunFolder | None:
    """The newest unfinished run of this input and job; None when a newer one has sent something, or none can go on.

    One that was begun by mistake, and has sent nothing, takes nobody's place.
    """
    for folder in reversed(unfinished):
        row = run_row(folder)
        if row["digest"] == digest and row["retired"] is None:
            return folder
        if has_sent(folder):
            break
    return None


def refuse_elsewhere(folder: RunFolder, way: Way, job: Job) -> None:
    """InputError when the unfinished run has sent something to another account, host or version."""
    with opened(folder, check=False) as ledger:
        facts, states = ledger.run()["facts"], ledger.chunks_by_state()
    if not set(states) - {READY, RETIRED}:
        return
    was, now = itemgetter("account_id", "base_url", "api")(facts), (way.account_id, way.base_url, job.carrier.api)
    if was != now:
        raise InputError(
            f"{folder.path}: this run is not finished, and it went to account {was[0]} at {was[1]} ({was[2]}), "
            f"not to {now[0]} at {now[1]} ({now[2]}). Finish it there first, or move its folder away."
        )


def open_input(job: Job, *, is_needed: bool) -> Source | None:
    """The input; None when it is gone and a run that is resumed can do without."""
    try:
        return source_of(job)
    except MissingInput:
        if is_needed:
            raise
        _log.info("the input is gone; resuming from the run folder alone", input=str(job.input_path))
        return None


def run_digest(input_digest: str, job_digest: str) -> str:
    return hashlib.sha256(f"{input_digest}\n{job_digest}".encode()).hexdigest()


def job_digest(job: Job, way: Way) -> str:
    """What decides the effect of a job besides its input. Secret constants go in by a slow hash."""
    steps = [
        [step.operation.name, [[b.setting, b.column, _hidden(step, b)] for b in step.bindings], options_of(step)]
        for step in job.steps
    ]
    rules = [job.input.tn, job.input.strict, sorted(job.input.relax), sorted(job.rules.known_npas)]
    facts = [way.account_id, way.base_url, job.carrier.api, rules, steps]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _hidden(step: Step, binding: Binding) -> str | None:
    if binding.constant is None or binding.setting not in step.operation.secret:
        return binding.constant
    return hashlib.scrypt(binding.constant.encode(), salt=b"tn-batcher", n=1 << 14, r=8, p=1).hex()


def options_of(step: Step) -> dict[str, Any]:
    return {name: getattr(step.settings, name) for name in step.operation.options}


def already_done(folder: RunFolder, digest: str, job: Job, *, again: bool) -> dict[str, Any] | None:
    """The summary of the newest finished run when the same is not to be done again."""
    row = run_row(folder)
    if again or job.run.once_per == "start" or row["digest"] != digest:
        return None
    if job.run.once_per == "day" and _day(row["started"], job) != _day(time.time(), job):
        return None
    when = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(row["finished"]))
    _log.info("already done; nothing is sent", run=folder.run_id, finished=when)
    try:
        summary: dict[str, Any] = json.loads((folder.path / "summary.json").read_text("utf-8"))
    except FileNotFoundError as error:
        raise InputError(
            f"{error.filename}: is gone. Write it again with batcher report, or send everything again with --again."
        ) from error
    return {**summary, "already_done": when}


def _day(seconds: float, job: Job) -> dt.date:
    return dt.datetime.fromtimestamp(seconds, zone_of(job.run.timezone)).date()
