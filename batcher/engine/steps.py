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
from batcher.ledger import Ledger
from batcher.model import Column
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


def plan_step(step: Step, folder: RunFolder, ledger: Ledger, first: int = 0) -> None:
    """Plan a step, unless its plan is whole already; `first` as in `plan`."""
    if ledger.steps()[step.number - 1]["planned"] is not None:
        return
    started = time.process_time()
    steps = restored(ledger)
    with InputFile(folder.input) as rows:
        sizes = np.diff(rows.starts).tolist()
    chunks = plan(step, Secrets.of(steps), folder, ledger, lambda: windows(ledger, folder, sizes), first)
    _log.info("planned", step=step.number, chunks=chunks, cpu_seconds=round(time.process_time() - started, 2))
