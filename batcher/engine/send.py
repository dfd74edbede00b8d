"""The steps of a run on their way to the carrier, one after the other, until they are done or a signal comes."""

from __future__ import annotations

import math
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import anyio
import numpy as np
import structlog

from batcher.amount import amount
from batcher.carrier.client import Client
from batcher.carrier.converse import Conversation
from batcher.carrier.limits import Gate
from batcher.carrier.settle import unpack_settlement
from batcher.carrier.wire import Wire
from batcher.engine.folder import RunFolder
from batcher.engine.identity import Way
from batcher.engine.job import Job, Step
from batcher.engine.judge import Secrets
from batcher.engine.plan import filler
from batcher.engine.steps import plan_step, restored
from batcher.engine.submit import GRACE_SECONDS, Submission
from batcher.errors import BatcherError, CarrierRefused, Interrupted
from batcher.ledger import OPEN_STATES, READY, REFUSED, SETTLED, Ledger
from batcher.model import FAILED, UNKNOWN

_log = structlog.get_logger()

#: Until a signal that the event loop has been woken for is told.
_DELIVERY_SECONDS = 0.001


class Progress(Protocol):
    """Somebody who watches."""

    def start(self, title: str, rows: int, done: int) -> None: ...

    def advance(self, rows: int) -> None: ...

    def stop(self) -> None: ...


@dataclass(frozen=True)
class Options:
    """What the command line says about this one start."""

    #: a new run, even though the newest finished one had the same input and job
    again: bool = False
    #: send chunks that are older than limits.max_age
    stale: bool = False
    #: send even when more rows are rejected than limits.max_rejected allows
    no_budget: bool = False
    #: so many rows, spread over the kinds of settings, and nothing else; None: all
    first: int | None = None
    #: how long to wait for open orders; None: until they are done
    wait_seconds: float | None = None
    #: asked before the first request of a run goes to the carrier, with what would be sent; False: don't
    confirm: Callable[[Mapping[str, Any]], bool] | None = None


@dataclass(frozen=True)
class Dispatch:
    """All that the sending of any step of one run needs."""

    folder: RunFolder
    ledger: Ledger
    job: Job
    wire: Wire
    options: Options
    progress: Progress

    def submission(self, step: Step, *, first: bool = False) -> Submission:
        """One step on its way; with `first`, its sample alone."""
        ledger, limits, options = self.ledger, self.job.limits, self.options
        planned = ledger.steps()[step.number - 1]["planned"]
        conversation = Conversation(
            step.operation,
            self.wire,
            ledger,
            api=self.job.carrier.api,
            step=step.number,
            fill=filler(step, Secrets.of(restored(ledger)), self.folder),
            absence_seconds=limits.absence_seconds,
            send_before=math.inf if options.stale or planned is None else planned + limits.max_age,
        )
        return Submission(
            conversation,
            rate=limits.requests_per_second,
            in_flight=limits.in_flight,
            settled=self.progress.advance,
            wait_seconds=math.inf if options.wait_seconds is None else options.wait_seconds,
            first=first,
            has_budget=not options.no_budget,
        )

    def is_open(self, step: Step) -> bool:
        return any(self.ledger.chunks_by_state(step.number).get(state) for state in OPEN_STATES)


async def send_steps(
    folder: RunFolder,
    ledger: Ledger,
    steps: Sequence[Step],
    job: Job,
    way: Way,
    options: Options,
    progress: Progress,
    count: dict[str, int],
) -> None:
    """Send every step in its turn; Interrupted after a signal."""
    limits = job.limits
    async with way.open(folder) as base_url, Client(base_url, way.account_id, way.authorization) as client:
        wire = Wire(client, Gate(limits.requests_per_second))
        dispatch = Dispatch(folder, ledger, job, wire, options, progress)
        try:
            for step in steps:
                plan_step(step, folder, ledger, canary=limits.canary_rows, first=options.first)
                await _send_step(step, dispatch)
                if dispatch.is_open(step):
                    break
            # One chunk that stays open keeps no other from being looked up.
            for step in steps:
                await _audit(step, dispatch)
        finally:
            count |= {"requests": wire.requests, "throttled": wire.throttled}


async def _send_step(step: Step, dispatch: Dispatch) -> None:
    """Send one step: its sample first, where one is wanted, and the others only if nothing of that went wrong."""
    if not dispatch.is_open(step):
        return
    ledger, options = dispatch.ledger, dispatch.options
    if (options.first or dispatch.job.limits.canary_rows) and (heads := ledger.first_heads(step.number)):
        if any(head.state in OPEN_STATES for head in heads):
            await _send(step, dispatch, first=True)
            # Who looks at the sample has to see what was executed twice.
            await _audit(step, dispatch)
        try:
            if not _goes_on(step, ledger, options):
                return
        except BatcherError:
            # What an earlier start left open is looked up and asked for all the same.
            if set(ledger.chunks_by_state(step.number)) & (set(OPEN_STATES) - {READY}):
                submission = dispatch.submission(step)
                await until_signal(submission, partial(submission.run, send=False))
            raise
    await _send(step, dispatch)


async def _send(step: Step, dispatch: Dispatch, *, first: bool = False) -> None:
    submission = dispatch.submission(step, first=first)
    rows = dispatch.ledger.rows_by_state(step.number)
    done = sum(count for state, count in rows.items() if state not in OPEN_STATES)
    dispatch.progress.start(step.operation.name, sum(rows.values()), done)
    try:
        await until_signal(submission, submission.run)
    finally:
        dispatch.progress.stop()


async def _audit(step: Step, dispatch: Dispatch) -> None:
    submission = dispatch.submission(step)
    await until_signal(submission, submission.audit)


def _goes_on(step: Step, ledger: Ledger, options: Options) -> bool:
    """Whether the sample of a step is at rest, so that the others may follow. Interrupted when only the sample was wanted.

    CarrierRefused when one of its rows failed or is unknown, or any order may have been executed twice.
    """
    heads = ledger.first_heads(step.number)
    if any(head.state in OPEN_STATES for head in heads):
        return False
    rows = sum(head.rows for head in heads if head.parent is None)
    is_waiting = bool(ledger.chunks_by_state(step.number).get(READY)) or ledger.steps()[-1]["planned"] is None
    if is_waiting and not options.no_budget and (twice := _twice(ledger)):
        raise CarrierRefused(f"{twice} Nothing more is sent; --no-budget goes on.")
    if options.first and is_waiting:
        raise Interrupted(f"The first {amount(rows, 'row')} came to an end. The same command without --first goes on.")
    failed = sum(_failed(ledger.issues(head.number)) for head in heads if head.state in {SETTLED, REFUSED})
    if failed and is_waiting and not options.no_budget:
        raise CarrierRefused(
            f"{failed:,} of the first {amount(rows, 'row')} (limits.canary_rows) failed or are unknown: nothing more is sent. failed.csv says why. "
            "Mend the input or the job; or give --no-budget, and the same command goes on."
        )
    return True


def _twice(ledger: Ledger) -> str:
    """What of the run was executed more than once, or may have been."""
    if doubles := ledger.doubles():
        return f"Executed more than once: {'; '.join(' and '.join(ids) for _, ids in doubles)}."
    if chunks := ledger.unlisted():
        return f"Whether chunks {', '.join(map(str, chunks))} were executed only once is not known."
    return ""


def _failed(issues: bytes | None) -> int:
    """How many rows of a chunk failed, or may have; what is skipped was so already."""
    settlement = unpack_settlement(issues)
    bad = [number for number, (status, _, _) in enumerate(settlement.messages) if status in {FAILED, UNKNOWN}]
    return int(np.isin(settlement.message, bad).sum())


async def until_signal(submission: Submission, work: Callable[[], Awaitable[None]]) -> None:
    """Work for a step; the first signal lets writes under way finish, the second does not. Interrupted after one."""
    signals_seen = 0
    error: Exception | None = None

    async def watch() -> None:
        nonlocal signals_seen
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for number in signals:
                _log.warning("stopping; again stops at once", signal=signal.Signals(number).name)
                submission.stop(0 if signals_seen else GRACE_SECONDS)
                signals_seen += 1

    before = signal.getsignal(signal.SIGTERM)
    async with anyio.create_task_group() as group:
        group.start_soon(watch)
        try:
            await work()
            # A signal that came with the last answer is on its way to us.
            await anyio.sleep(_DELIVERY_SECONDS)
        except Exception as stopped:  # ruff: ignore[blind-except]
            error = stopped  # raised outside of the group, so that it is not wrapped into one
        group.cancel_scope.cancel()
    # The receiver leaves SIGTERM with its default, which would end the next plan or the reports without a word.
    signal.signal(signal.SIGTERM, before)
    if error is not None:
        raise error
    if signals_seen:
        raise Interrupted("Stopped by a signal. The same command goes on.")
