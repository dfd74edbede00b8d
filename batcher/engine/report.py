"""What became of every row, as files: written from the run folder alone, whole or not at all, in input order.

Memory is bounded by a batch of the input; the ledger's issues are merged beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from batcher.engine.folder import RunFolder
from batcher.engine.job import RESULTS, Output, Step
from batcher.engine.judge import MALFORMED
from batcher.engine.outcome import Window, windows
from batcher.engine.summary import Tally
from batcher.engine.words import REASON_COLUMNS, Reporter
from batcher.errors import InputError
from batcher.ledger import Ledger
from batcher.model import FAILED, REJECTED, STATUSES, Read
from batcher.normalize import e164
from batcher.part import select
from batcher.spool import Form, InputFile, Table

_RESULTS = pa.schema([(name, {"row": pa.int64(), "step": pa.uint8()}.get(name, pa.string())) for name in RESULTS])
_WARNINGS = pa.schema(
    [
        ("row", pa.int64()),
        ("tn", pa.string()),
        ("source", pa.string()),
        ("code", pa.string()),
        ("description", pa.string()),
        ("order_id", pa.string()),
        ("step", pa.uint8()),
    ]
)
#: Rejects of each code that are shown.
_EXAMPLES = 3


def check_carried(folder: RunFolder, ledger: Ledger, output: Output) -> None:
    """InputError when a column that is to be carried is not in the input of the run."""
    if missing := [name for name in output.carry if name not in ledger.run()["facts"]["columns"]]:
        raise InputError(f'[output] carry: the input of run {folder.run_id} has no column "{missing[0]}".')


def write_reports(
    ledger: Ledger, folder: RunFolder, into: Path, steps: Sequence[Step], *, api: str, output: Output
) -> Tally:
    """Write every report of a run into a folder; AssertionError when the rows do not add up.

    InputError when a column that is to be carried is not in the input.
    """
    facts = ledger.run()["facts"]
    check_carried(folder, ledger, output)
    reporter = Reporter(facts, steps, api)
    tally = Tally()
    form = Form(output.format, excel_safe=output.excel_safe)
    carried = pa.schema([*_RESULTS, *((name, pa.string()) for name in output.carry)])
    again = pa.schema([*((name, pa.string()) for name in reporter.columns), *REASON_COLUMNS])
    with ExitStack() as stack:
        rows = stack.enter_context(InputFile(folder.input))

        def report(name: str, schema: pa.Schema) -> Table:
            return stack.enter_context(Table(into / f"{name}.{form.kind}", schema, form))

        results, warnings = report("results", carried), report("warnings", _WARNINGS)
        rejects, failed = report("rejects", again), report("failed", again)
        answers = _answers(steps, report)
        _append_file_warnings(warnings, facts["warnings"], tally)
        sizes = np.diff(rows.starts).tolist()
        for number, window in enumerate(windows(ledger, folder, sizes)):
            frame = rows.read(number)
            frame = select(
                frame, frame.column(MALFORMED).to_numpy(zero_copy_only=False), [*reporter.columns, MALFORMED]
            )
            codes, texts = reporter.explain(window, frame)
            # Which cell of a malformed line is which nobody knows: none is carried.
            carry = rows.read(number, output.carry).columns if output.carry else []
            own = [pc.if_else(frame.column(MALFORMED), "", column) for column in carry]
            _append_results(results, reporter, window, frame, codes, texts, own)
            _append_warnings(warnings, reporter, window, frame, tally)
            for target, status in ((rejects, REJECTED), (failed, FAILED)):
                mask = pa.array(window.status == status)
                if mask.true_count:
                    kept = [column.filter(mask) for column in (*frame.columns[:-1], codes, texts)]
                    target.append(pa.RecordBatch.from_arrays(kept, schema=again))
            if answers is not None:
                _append_answers(answers, window)
            _count(tally, reporter, window, frame, codes, texts)
    assert tally.rows == facts["rows"] == tally.statuses.total(), (
        f"{tally.rows} rows reported, {facts['rows']} were read"
    )
    return tally


def _append_results(
    target: Table,
    reporter: Reporter,
    window: Window,
    frame: pa.RecordBatch,
    codes: pa.Array,
    texts: pa.Array,
    carried: Sequence[pa.Array],
) -> None:
    columns = [
        pa.array(np.arange(window.first, window.first + len(window))),
        reporter.input_of(frame),
        e164(window.tn),
        pa.array(STATUSES).take(pa.array(window.status)),
        codes,
        texts,
        pa.array(window.orders, pa.string()).take(pa.array(window.order)),
        pa.array(window.step),
        *carried,
    ]
    target.append(pa.RecordBatch.from_arrays(columns, schema=target.schema))


def _append_file_warnings(target: Table, warnings: Sequence[tuple[str, str]], tally: Tally) -> None:
    """What concerns no single row stands first."""
    for code, text in warnings:
        tally.warnings["batcher", code] += 1
        values = {"source": "batcher", "code": code, "description": text, "tn": "", "order_id": ""}
        target.append(pa.RecordBatch.from_pylist([values], _WARNINGS))


def _append_warnings(target: Table, reporter: Reporter, window: Window, frame: pa.RecordBatch, tally: Tally) -> None:
    parts = []
    for positions, code, text in reporter.own_warnings(window, frame):
        tally.warnings["batcher", code] += len(positions)
        parts.append(
            pa.RecordBatch.from_arrays(
                [
                    pa.array(positions + window.first),
                    e164(window.tn[positions]),
                    *(pa.repeat(pa.scalar(word), len(positions)) for word in ("batcher", code, text)),
                    pa.array(window.orders, pa.string()).take(pa.array(window.order[positions])),
                    pa.array(window.step[positions]),
                ],
                schema=_WARNINGS,
            )
        )
    if window.warnings:
        said, tns, codes, texts, orders, steps = zip(*window.warnings, strict=True)
        tally.warnings.update(("carrier", code) for code in codes)
        parts.append(
            pa.RecordBatch.from_arrays(
                [
                    pa.array([row or None for row in said], pa.int64()),
                    e164(np.array(tns, np.int64)),
                    pa.repeat(pa.scalar("carrier"), len(said)),
                    *(pa.array(column, pa.string()) for column in (codes, texts, orders)),
                    pa.array(steps, pa.uint8()),
                ],
                schema=_WARNINGS,
            )
        )
    if parts:
        table = pa.Table.from_batches(parts).combine_chunks()
        order = np.argsort(table["row"].fill_null(0).to_numpy(), kind="stable")
        for batch in table.take(pa.array(order)).to_batches():
            target.append(batch)


def _answers(steps: Sequence[Step], report: Any) -> Table | None:
    """The table of answers, when the last step reads."""
    talk = steps[-1].operation.talk
    if not isinstance(talk, Read):
        return None
    schema = pa.schema([("row", pa.int64()), ("tn", pa.string()), *((name, pa.string()) for name in talk.columns)])
    target: Table = report("answers", schema)
    return target


def _append_answers(target: Table, window: Window) -> None:
    if not window.products:
        return
    rows = np.array([row for row, _ in window.products], np.int64)
    columns = zip(*(values for _, values in window.products), strict=True)
    arrays = [
        pa.array(rows),
        e164(window.tn[rows - window.first]),
        *(pa.array(column, pa.string()) for column in columns),
    ]
    target.append(pa.RecordBatch.from_arrays(arrays, schema=target.schema))


def _count(
    tally: Tally, reporter: Reporter, window: Window, frame: pa.RecordBatch, codes: pa.Array, texts: pa.Array
) -> None:
    tally.rows += len(window)
    for status, count in enumerate(np.bincount(window.status, minlength=len(STATUSES)).tolist()):
        if not count:
            continue
        tally.statuses[STATUSES[status]] += count
        here = codes.filter(pa.array(window.status == status))
        for entry in pc.value_counts(here).to_pylist():
            if entry["values"]:
                tally.codes[STATUSES[status], entry["values"]] += entry["counts"]
    rejected = np.flatnonzero(window.status == REJECTED)
    if rejected.size:
        cells = pc.if_else(frame.column(MALFORMED), frame.column(0), reporter.input_of(frame))
        _add_examples(tally, window, rejected, cells, codes, texts)


def _add_examples(
    tally: Tally, window: Window, rejected: NDArray[np.int64], cells: pa.Array, codes: pa.Array, texts: pa.Array
) -> None:
    encoded = codes.take(pa.array(rejected)).dictionary_encode()
    for number, code in enumerate(encoded.dictionary.to_pylist()):
        known = tally.examples.setdefault(code, [])
        if len(known) < _EXAMPLES:
            positions = rejected[encoded.indices.to_numpy() == number][: _EXAMPLES - len(known)].tolist()
            known += [(window.first + place, cells[place].as_py(), texts[place].as_py()) for place in positions]
