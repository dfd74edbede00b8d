"""The whole input, read once and judged row by row before anything is planned or sent.

Writes the run folder's own record of the rows: `input.arrow` as they were read, what each is about (`tn.i8`),
which row it repeats (`same.i8`), and why it stops here (`why.N.u1`). Later passes read these, never the user's file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from batcher.engine.duplicates import CONFLICT, Duplicates
from batcher.engine.folder import RunFolder
from batcher.engine.job import Binding, Job, Step, is_change
from batcher.engine.mistakes import near
from batcher.engine.outcome import BAD_VALUE, MAX_BINDINGS, NOTHING_SET
from batcher.engine.ragged import rescued, unmended, why_ragged
from batcher.engine.totals import are_totals
from batcher.engine.values import Evaluated, Values, combinations, hashed, values_at
from batcher.errors import InputError
from batcher.normalize import normalize
from batcher.part import Batch
from batcher.spool import BATCH_ROWS, ArrowWriter, FixedWriter, digest_of
from batcher.table import Source, find_tn_column, open_source
from batcher.tn import REASON, REASONS

#: Name of the column of `input.arrow` that says which lines were malformed; no header can be empty.
MALFORMED = ""
#: What stands in place of a secret cell that is not empty.
MASK = "***"


@dataclass(frozen=True)
class Secrets:
    """Which columns of `secret.arrow` hold the secret values of a job: by (step, setting)."""

    columns: Mapping[tuple[int, str], str]

    @classmethod
    def of(cls, steps: Sequence[Step]) -> Secrets:
        return cls(
            {
                (binding.step, binding.setting): binding.column or f"={binding.step}.{binding.setting}"
                for step in steps
                for binding in step.bindings
                if binding.setting in step.operation.secret
            }
        )

    def __bool__(self) -> bool:
        return bool(self.columns)


def bindings(steps: Sequence[Step]) -> list[Binding]:
    """All bindings of a job, in the order in which BAD_VALUE counts them."""
    return [binding for step in steps for binding in step.bindings]


def source_of(job: Job) -> Source:
    """The job's input, opened."""
    named = {binding.column for binding in bindings(job.steps) if binding.column}
    return open_source(
        job.input_path, wanted=named | ({job.input.tn} if job.input.tn else set()), spool=job.output_path
    )


def columns_of(job: Job, source: Source) -> str | None:
    """The TN column of the input; InputError when it, or a column that a setting names, is not there."""
    tn_column = find_tn_column(source.columns, job.input.tn, str(source.path)) if job.needs_tn else None
    wanted = {(binding.step, binding.setting): binding.column for binding in bindings(job.steps) if binding.column}
    missing = [
        job.lines.told(
            ("step", step - 1, setting), f'{source.path} has no column "{column}"{near(column, source.columns)}'
        )
        for (step, setting), column in wanted.items()
        if column not in source.columns
    ]
    missing += [
        job.lines.told(("output", "carry"), f'{source.path} has no column "{name}"{near(name, source.columns)}')
        for name in job.output.carry
        if name not in source.columns
    ]
    if missing:
        raise InputError("\n".join([*missing, f"Its columns are: {', '.join(source.columns)}."]))
    source.check_types(tn_column, set(wanted.values()))
    if len(bindings(job.steps)) > MAX_BINDINGS:
        raise InputError(f"A job sets at most {MAX_BINDINGS} values in all its steps together.")
    hidden = set(Secrets.of(job.steps).columns.values())
    shown = {b.column for b in bindings(job.steps) if b.setting not in job.steps[b.step - 1].operation.secret}
    if twice := hidden & {tn_column, *shown}:
        # Its cells are masked wherever they are kept: the other one would read the mask.
        raise InputError(f'Column "{min(twice)}" holds a secret value and cannot be used for anything else.')
    return tn_column


def take_in(source: Source, job: Job, folder: RunFolder, tn_column: str | None) -> dict[str, Any]:
    """Read, judge and keep every row; the facts of the input for the ledger (rows, columns, digests of the files)."""
    secrets = Secrets.of(job.steps)
    hidden = set(secrets.columns.values())
    masked = pa.schema([*((name, pa.string()) for name in source.columns), (MALFORMED, pa.bool_())])
    judges = [Values(step) for step in job.steps]
    reasons, values, start = np.zeros(256, np.int64), Counter[str](), 0
    with ExitStack() as stack:
        kept = stack.enter_context(ArrowWriter(folder.input, masked))
        secret_schema = pa.schema([(name, pa.string()) for name in sorted(hidden)])
        secret = stack.enter_context(ArrowWriter(folder.secret, secret_schema)) if secrets else None
        tns = stack.enter_context(FixedWriter(folder.tn, "<i8"))
        whys = [stack.enter_context(FixedWriter(folder.why(step.number), "u1")) for step in job.steps]
        duplicates = stack.enter_context(Duplicates(folder.path))
        batches = source.batches(tn_column)
        for batch in rescued(batches, source.delimiter) if _is_certain(job, source, tn_column) else batches:
            batch = unmended(batch, source.delimiter)  # ruff: ignore[redefined-loop-name] - the same rows
            size = batch.frame.num_rows
            columns = dict(zip(source.columns, batch.frame.columns, strict=True))
            judged = judge(job, judges, batch, tn_column)
            tns.append(judged.tn)
            for writer, why in zip(whys, judged.why, strict=True):
                writer.append(why)
            reasons += np.bincount(judged.why[0], minlength=256)
            values.update(judged.counts)
            going = np.flatnonzero(judged.why[0] == 0)
            duplicates.add(judged.key[going], going + start + 1, judged.settings[going])
            if secret is not None:
                secret.append(_secret_batch(job, secret_schema, columns, size))
            shown = [_mask(column) if name in hidden else column for name, column in columns.items()]
            if hidden & set(source.columns):
                # A malformed line stands whole in its first cell, and may hold a secret anywhere.
                shown[0] = pc.if_else(pa.array(batch.malformed), MASK, shown[0])
            kept.append(pa.RecordBatch.from_arrays([*shown, pa.array(batch.malformed)], schema=masked))
            start += size
        same = stack.enter_context(FixedWriter(folder.same, "<i8"))
        conflicts = repeats = 0
        for block in duplicates.same(start, BATCH_ROWS):
            same.append(block)
            conflicts += int((block == CONFLICT).sum())
            repeats += int((block > 0).sum())
        digests = {writer.path.name: writer.digest() for writer in (tns, same, *whys)}
    digests |= {path.name: digest_of(path) for path in (folder.input, folder.secret) if path.exists()}
    return {
        "rows": start,
        "columns": list(source.columns),
        "tn_column": tn_column,
        "files": digests,
        "warnings": source.warnings,
        "reasons": {REASONS[code].code: n for code, n in enumerate(reasons.tolist()[: len(REASONS)]) if code and n},
        "rejected": int(reasons.sum() - reasons[0] - reasons[NOTHING_SET]) + conflicts,
        "conflicts": conflicts,
        "sendable": int(reasons[0]) - conflicts - repeats,
        "values": dict(values),
        "strict": job.rules.strict,
        "relax": sorted(job.rules.relax),
        "known_npas": sorted(job.rules.known_npas),
    }


@dataclass(frozen=True, slots=True)
class Judged:
    """What was decided of a batch of rows before anything is sent."""

    #: E.164 digits, 0 where there is none
    tn: NDArray[np.int64]
    #: what the row is about: the TN, or a hash of its key
    key: NDArray[np.int64]
    #: per step, why the row stops there; that of step 1 holds every rejection
    why: list[NDArray[np.uint8]]
    #: hash of all that the row sets in all steps
    settings: NDArray[np.uint64]
    #: rows that go on, by the setting that they set (`1.sms`) and by those that reset it (`1.sms systemDefault`)
    counts: Mapping[str, int]


def judge(job: Job, judges: Sequence[Values], batch: Batch, tn_column: str | None) -> Judged:
    """Judge a batch; precedence of reasons as in tn.REASONS, then BAD_VALUE."""
    rows = len(batch.malformed)
    columns = dict(zip(batch.frame.schema.names, batch.frame.columns, strict=True))
    first = np.zeros(rows, np.uint8)
    tn = np.zeros(rows, np.int64)
    if tn_column is not None:
        # Numbers of a Parquet file are judged as such: their text would be read by the rules of text.
        cells = pa.Table.from_arrays([batch.typed.column(tn_column)], [tn_column])
        frame = normalize(cells.to_pandas(types_mapper=pd.ArrowDtype)[tn_column], job.rules)
        tn, first = frame["tn"].to_numpy().copy(), frame["reason"].to_numpy().astype(np.uint8)
        first[are_totals(batch.frame, tn_column, first)] = REASON["NOT_DATA"]
    if batch.malformed.any():
        tn[batch.malformed] = 0
        first[batch.malformed] = why_ragged(batch.frame.column(0).filter(pa.array(batch.malformed)))
    evaluated = [values.of(columns, rows) for values in judges]
    _refuse_values(first, evaluated, job.steps)
    why = [first]
    for number, (step, values) in enumerate(zip(job.steps, evaluated, strict=True)):
        idle = ~_sets_something(step, values, rows)
        here = first if number == 0 else np.zeros(rows, np.uint8)
        here[idle & (first == 0)] = NOTHING_SET
        if number:
            why.append(here)
    flat = [value for values in evaluated for value in values]
    names = [value for value in flat if value.binding.setting in job.steps[0].operation.key]
    key = tn if tn_column is not None else hashed(names, rows).view(np.int64)
    return Judged(tn, key, why, hashed(flat, rows), _counted(flat, why[0] == 0))


def _counted(values: Sequence[Evaluated], going: NDArray[np.bool_]) -> dict[str, int]:
    counts = {}
    for value in values:
        name = f"{value.binding.step}.{value.binding.setting}"
        rows = np.bincount(value.codes[going], minlength=len(value.texts)).tolist()
        counts[name] = sum(n for n, text in zip(rows, value.texts, strict=True) if text is not None)
        if resets := sum(n for n, text in zip(rows, value.texts, strict=True) if text == "systemDefault"):
            counts[f"{name} systemDefault"] = resets
    return counts


def _is_certain(job: Job, source: Source, tn_column: str | None) -> bool:
    """Whether the TN is all that is used of a row, and its first cell: then a ragged line cannot have shifted anything."""
    used = {binding.column for binding in bindings(job.steps) if binding.column} | set(job.output.carry)
    return tn_column == source.columns[0] and not used - {tn_column} and len(source.files) == 1


def _refuse_values(first: NDArray[np.uint8], evaluated: Sequence[Sequence[Evaluated]], steps: Sequence[Step]) -> None:
    number = 0
    for step, values in zip(steps, evaluated, strict=True):
        numbers = {value.binding.setting: BAD_VALUE + number + place for place, value in enumerate(values)}
        for value in values:
            in_key = value.binding.setting in step.operation.key
            first[(first == 0) & value.is_refused()] = numbers[value.binding.setting]
            if in_key:
                first[(first == 0) & ~value.is_set()] = REASON["EMPTY"]
        if step.operation.agree is not None and len(values) > 1 and any(value.binding.column for value in values):
            positions = np.flatnonzero(first == 0)
            examples, which = combinations(values, positions)
            for combination, example in enumerate(examples):
                clash = step.operation.agree(values_at(values, int(example)))
                if clash is not None:
                    first[positions[which == combination]] = numbers[clash[0]]
        number += len(values)


def _sets_something(step: Step, values: Sequence[Evaluated], rows: int) -> NDArray[np.bool_]:
    """A step that can change nothing of a row (a check, a reading) never says NOTHING_SET."""
    if not any(is_change(step.operation, name) for name in step.operation.settings.model_fields):
        return np.ones(rows, bool)
    changing = [value.is_set() for value in values if is_change(step.operation, value.binding.setting)]
    return np.logical_or.reduce(changing) if changing else np.zeros(rows, bool)


def _mask(column: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(pc.utf8_trim_whitespace(column), ""), "", MASK)


def _secret_batch(job: Job, schema: pa.Schema, columns: Mapping[str, pa.Array], rows: int) -> pa.RecordBatch:
    constants = {f"={b.step}.{b.setting}": b.constant for b in bindings(job.steps) if b.constant is not None}
    arrays = [
        columns[name] if name in columns else pa.repeat(pa.scalar(constants[name]), rows) for name in schema.names
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
