"""Which rows travel together: the chunks of a step, written to the ledger before anything of it is sent.

Chunks keep input order; equal settings stand together inside one as groups. Only rows whose order-level
values differ (site, location) need chunks of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from itertools import chain, islice

import numpy as np
from numpy.typing import NDArray

from batcher.engine.folder import RunFolder
from batcher.engine.job import Step
from batcher.engine.judge import Secrets
from batcher.engine.outcome import Window
from batcher.engine.sample import sample
from batcher.engine.values import Evaluated, Values, combinations, judge_cell, values_at
from batcher.ledger import Ledger, Planned, planned
from batcher.model import PENDING, Chunk
from batcher.spool import InputFile

#: Chunks are committed in pieces of so many.
_PIECE = 64
_NOBODY = np.zeros(0, np.int64)
#: Chunks that are filled at the same time; with more order-level values than this the fullest goes out early.
_MOST_OPEN = 64


def plan(
    step: Step,
    secrets: Secrets,
    folder: RunFolder,
    ledger: Ledger,
    windows: Callable[[], Iterator[Window]],
    first: int = 0,
) -> int:
    """Write the whole plan of a step; how many chunks. `windows` says which rows wait for it.

    With `first`, a sample of so many rows goes before all others, in chunks of its own.
    """
    ledger.begin_plan(step.number)
    chosen = sample(step.number, first, _evaluated(step, secrets, folder, windows())) if first else _NOBODY
    chunks = chain(
        (replace(chunk, first=True) for chunk in _chunks(step, secrets, folder, windows(), chosen, among=True))
        if first
        else (),
        _chunks(step, secrets, folder, windows(), chosen, among=False),
    )
    count = 0
    while piece := list(islice(chunks, _PIECE)):
        ledger.add_chunks(piece)
        count += len(piece)
    ledger.end_plan(step.number)
    return count


@dataclass
class _Filling:
    """A chunk that is being filled: slices of rows, and the groups they belong to."""

    envelope: dict[str, str]
    rows: list[NDArray[np.int64]] = field(default_factory=list)
    tns: list[NDArray[np.int64]] = field(default_factory=list)
    group: list[NDArray[np.int64]] = field(default_factory=list)
    #: values (with secrets, so that equal ones meet) -> number of the group
    groups: dict[tuple[tuple[str, str], ...], int] = field(default_factory=dict)
    count: int = 0

    def add(
        self,
        rows: NDArray[np.int64],
        tns: NDArray[np.int64],
        which: NDArray[np.int64],
        values: Sequence[tuple[tuple[str, str], ...]],
    ) -> None:
        used, local = np.unique(which, return_inverse=True)
        numbers = np.array([self.groups.setdefault(values[index], len(self.groups)) for index in used], np.int64)
        self.rows.append(rows)
        self.tns.append(tns)
        self.group.append(numbers[local])
        self.count += len(rows)

    def close(self, step: Step) -> Planned:
        secret = step.operation.secret
        groups = [{name: text for name, text in values if name not in secret} for values in self.groups]
        return planned(
            step.number,
            rows=np.concatenate(self.rows),
            tns=np.concatenate(self.tns),
            envelope=self.envelope,
            groups=groups,
            group=np.concatenate(self.group),
        )


def _chunks(
    step: Step,
    secrets: Secrets,
    folder: RunFolder,
    windows: Iterator[Window],
    chosen: NDArray[np.int64],
    *,
    among: bool,
) -> Iterator[Planned]:
    """Chunks of the waiting rows that are among the chosen ones, or of the others."""
    filling: dict[tuple[tuple[str, str], ...], _Filling] = {}
    for window, evaluated in _evaluated(step, secrets, folder, windows):
        waiting = np.flatnonzero((window.status == PENDING) & (window.step == step.number))
        if len(chosen):
            waiting = waiting[np.isin(waiting + window.first, chosen) == among]
        if not len(waiting):
            continue
        for envelope, rows, which, values in _parts(step, evaluated, waiting):
            yield from _fill(step, filling, envelope, window, rows, which, values)
        while len(filling) > _MOST_OPEN:
            fullest = max(filling, key=lambda key: filling[key].count)
            yield filling.pop(fullest).close(step)
    for chunk in filling.values():
        yield chunk.close(step)


def _fill(
    step: Step,
    filling: dict[tuple[tuple[str, str], ...], _Filling],
    envelope: dict[str, str],
    window: Window,
    rows: NDArray[np.int64],
    which: NDArray[np.int64],
    values: Sequence[tuple[tuple[str, str], ...]],
) -> Iterator[Planned]:
    key, start = tuple(envelope.items()), 0
    while start < len(rows):
        chunk = filling.setdefault(key, _Filling(envelope))
        end = start + step.max_rows - chunk.count
        part = rows[start:end]
        chunk.add(part + window.first, window.tn[part], which[start:end], values)
        start = end
        if chunk.count == step.max_rows:
            yield filling.pop(key).close(step)


def _parts(
    step: Step, evaluated: Sequence[Evaluated], waiting: NDArray[np.int64]
) -> Iterator[tuple[dict[str, str], NDArray[np.int64], NDArray[np.int64], list[tuple[tuple[str, str], ...]]]]:
    """Rows with the same order-level values: those values, positions, which group each has, and the groups."""
    outer = [value for value in evaluated if value.binding.setting in step.operation.envelope]
    inner = [value for value in evaluated if value.binding.setting not in step.operation.envelope]
    examples, whose = combinations(outer, waiting)
    for number, example in enumerate(examples):
        rows = waiting[whose == number] if len(examples) > 1 else waiting
        group_examples, which = combinations(inner, rows)
        groups = [tuple(values_at(inner, int(position)).items()) for position in group_examples]
        yield values_at(outer, int(example)), rows, which, groups


def _evaluated(
    step: Step, secrets: Secrets, folder: RunFolder, windows: Iterator[Window]
) -> Iterator[tuple[Window, list[Evaluated]]]:
    """Each window beside the step's values in it."""
    values = Values(step)
    hidden = {column for (number, _), column in secrets.columns.items() if number == step.number}
    with InputFile(folder.input) as shown, InputFile(folder.secret) if hidden else nullcontext() as secret:
        for number, window in enumerate(windows):
            columns = {name: shown.read(number, [name]).column(0) for name in values.columns() - hidden}
            if secret is not None:
                columns |= {name: secret.read(number, [name]).column(0) for name in hidden}
            yield window, values.of(columns, len(window))


def filler(step: Step, secrets: Secrets, folder: RunFolder) -> Callable[[Chunk], Chunk]:
    """What puts the secret values back into a chunk that was loaded from the ledger."""
    hidden = {setting: column for (number, setting), column in secrets.columns.items() if number == step.number}
    if not hidden:
        return lambda chunk: chunk
    secret = InputFile(folder.secret)

    def fill(chunk: Chunk) -> Chunk:
        groups = [dict(values) for values in chunk.groups]
        _, first = np.unique(chunk.group, return_index=True)
        for setting, column in hidden.items():
            cells = _cells(secret, column, chunk.rows[first])
            for values, cell in zip(groups, cells, strict=True):
                # A constant was judged when the job was read.
                text = cell if column.startswith("=") else judge_cell(step, setting, cell)[0]
                if text is not None:
                    values[setting] = text
        return replace(chunk, groups=tuple(groups))

    return fill


def _cells(file: InputFile, column: str, rows: NDArray[np.int64]) -> list[str]:
    """Cells of a column by row number (from 1), each batch read once."""
    batches = np.searchsorted(file.starts, rows, side="right") - 1
    cells = np.empty(len(rows), object)
    for batch in np.unique(batches):
        here = batches == batch
        cells[here] = file.read(int(batch), [column]).column(0).take(rows[here] - file.starts[batch]).to_pylist()
    return list(cells)
