"""The steps of a run as its ledger keeps them, and the plan of each."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import structlog

from batcher import operations
from batcher.engine.folder import RunFolder
from batcher.engine.identity import options_of
from batcher.engine.job import Binding, Step
from batcher.engine.judge import Secrets
from batcher.engine.outcome import windows
from batcher.engine.plan import plan
from batcher.ledger import OPEN_STATES, Ledger
from batcher.model import Column, Ensure, Order
from batcher.spool import InputFile

_log = structlog.get_logger()


def kept(step: Step) -> dict[str, Any]:
    """A step as the ledger keeps it; a secret constant only lives in secret.arrow."""
    secret = step.operation.secret
    return {
        "options": options_of(step),
        "bindings": [
            [b.setting, b.column, "" if b.constant and b.setting in secret else b.constant] for b in step.bindings
        ],
    }


def restored(ledger: Ledger) -> tuple[Step, ...]:
    """The steps of a run as its ledger keeps them."""
    steps = []
    for row in ledger.steps():
        operation, number = operations.get(row["operation"]), row["number"]
        kept = [Binding(number, *binding) for binding in row["settings"]["bindings"]]
        values = {
            b.setting: Column(b.column) if b.column else b.constant for b in kept if b.setting not in operation.options
        }
        settings = operation.settings.model_construct(**values, **row["settings"]["options"])
        steps.append(Step(number, operation, settings, tuple(kept)))
    return tuple(steps)


def plan_step(step: Step, folder: RunFolder, ledger: Ledger, *, canary: int = 0, first: int | None = None) -> None:
    """Plan a step, unless its plan is whole already.

    A sample of `first` rows, or else of `canary` rows, goes before all others, if the step changes anything at the
    carrier. One that is asked for now takes the place of another plan; InputError when some of that was sent.
    """
    changes = isinstance(step.operation.talk, Order | Ensure)
    if ledger.steps()[step.number - 1]["planned"] is not None:
        if not (changes and first and _wants_another_sample(step, ledger, first)):
            return
        ledger.forget_plan(step.number)
    started = time.process_time()
    steps, size = restored(ledger), (first or canary) if changes else 0
    with InputFile(folder.input) as rows:
        sizes = np.diff(rows.starts).tolist()
    chunks = plan(step, Secrets.of(steps), folder, ledger, lambda: windows(ledger, folder, sizes), size)
    _log.info("planned", step=step.number, chunks=chunks, cpu_seconds=round(time.process_time() - started, 2))


def _wants_another_sample(step: Step, ledger: Ledger, first: int) -> bool:
    """Whether no sample is planned of what is still open, or one of another size of which nothing was sent."""
    rows, heads = ledger.rows_by_state(step.number), ledger.first_heads(step.number)
    if not any(rows.get(state) for state in OPEN_STATES):
        return False
    is_other = sum(head.rows for head in heads) != min(first, sum(rows.values()))
    return not heads or (is_other and not ledger.has_sent(step.number))
