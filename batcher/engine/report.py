"""What became of every row, as files: written from the run folder alone, whole or not at all, in input order.

Memory is bounded by a batch of the input; the ledger's issues are merged beside it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from batcher import tn as rules
from batcher.engine.duplicates import CONFLICT
from batcher.engine.folder import RunFolder
from batcher.engine.job import Step
from batcher.engine.judge import MALFORMED, bindings
from batcher.engine.outcome import BAD_VALUE, NOTHING_SET, Window, windows
from batcher.engine.values import Values, judge_cell, values_at
from batcher.ledger import Ledger
from batcher.model import DUPLICATE, FAILED, REJECTED, SKIPPED, STATUSES, Read
from batcher.normalize import e164, normalize
from batcher.spool import InputFile, Report, private_file

_RESULTS = pa.schema(
    [
        ("row", pa.int64()),
        ("input", pa.string()),
        ("tn", pa.string()),
        ("status", pa.string()),
        ("code", pa.string()),
        ("description", pa.string()),
        ("order_id", pa.string()),
        ("step", pa.uint8()),
    ]
)
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
_REASON_COLUMNS = [pa.field("batcher_code", pa.string()), pa.field("batcher_reason", pa.string())]
_CONFLICT = (
    "DUPLICATE_CONFLICT",
    "another row has the same TN with other settings, and none of them is sent: keep one",
)
_NOTHING = ("NOTHING_SET", "the row sets nothing")
_SELF_FORWARD = ("SELF_FORWARD", "the destination is the number itself: calls would loop")
#: Counts by code that the summary tells, most frequent first.
_MOST_CODES = 50


@dataclass
class Tally:
    """What was counted while the reports were written."""

    rows: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    #: (status, code) of everything that did not simply succeed
    codes: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: (source, code)
    warnings: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: (row, input, code, description) of the first rejects
    rejects: list[tuple[int, str, str, str]] = field(default_factory=list)


class Reporter:
    """Tells each row's fate in words, batch by batch."""

    def __init__(self, facts: Mapping[str, Any], steps: Sequence[Step], api: str) -> None:
        self._steps, self._api = steps, api
        self._tn_column: str | None = facts["tn_column"]
        self._bindings = bindings(steps)
        self._values = [Values(step) for step in steps]
        self.columns = [name for name in facts["columns"] if not name.startswith("batcher_")]
        self._secret = {b.column for b in self._bindings if b.setting in steps[b.step - 1].operation.secret}

    def input_of(self, frame: pa.RecordBatch) -> pa.Array:
        """The cell that names the row; several are joined by a slash."""
        if self._tn_column is not None:
            return frame.column(self._tn_column)
        key = self._steps[0].operation.key
        cells = [
            pa.repeat(pa.scalar(b.constant), frame.num_rows) if b.column is None else frame.column(b.column)
            for b in self._steps[0].bindings
            if b.setting in key
        ]
        return pc.binary_join_element_wise(*cells, "/")

    def explain(self, window: Window, frame: pa.RecordBatch) -> tuple[pa.Array, pa.Array]:
        """(code, description) of each row: the carrier's, or why it was stopped here."""
        message = window.message.copy()
        messages = list(window.messages)

        def say(mask: NDArray[np.bool_], code: str, text: str) -> None:
            if mask.any():
                messages.append((code, text))
                message[mask] = len(messages) - 1

        rejected = window.status == REJECTED
        for why in np.unique(window.why[rejected & (window.same != CONFLICT)]):
            mask = rejected & (window.why == why)
            if why >= BAD_VALUE:
                self._say_bad_value(int(why) - BAD_VALUE, np.flatnonzero(mask), frame, message, messages)
            else:
                say(mask, *rules.REASONS[why])
        say(rejected & (window.same == CONFLICT), *_CONFLICT)
        say((window.status == SKIPPED) & (window.why == NOTHING_SET), *_NOTHING)
        codes = pa.array([code for code, _ in messages], pa.string()).take(pa.array(message))
        texts = pa.array([text for _, text in messages], pa.string()).take(pa.array(message))
        repeats = window.status == DUPLICATE
        if repeats.any():
            first = pc.binary_join_element_wise("same as row ", pa.array(window.same).cast(pa.string()), "")
            codes = pc.if_else(pa.array(repeats), "DUPLICATE", codes)
            texts = pc.if_else(pa.array(repeats), first, texts)
        return codes, texts

    def _say_bad_value(
        self,
        number: int,
        positions: NDArray[np.int64],
        frame: pa.RecordBatch,
        message: NDArray[np.int32],
        messages: list[tuple[str, str]],
    ) -> None:
        """Name the column and say what is wrong, once per distinct cell."""
        binding = self._bindings[number]
        step = self._steps[binding.step - 1]
        known: dict[str, int] = {}
        cells = (
            [""] * len(positions)
            if binding.column is None
            else frame.column(binding.column).take(positions).to_pylist()
        )
        for position, cell in zip(positions.tolist(), cells, strict=True):
            why = None if binding.column is None else judge_cell(step, binding.setting, cell)[1]
            text = f'column "{binding.column}": {why}' if why else self._clash(step, frame, position)
            if text not in known:
                messages.append(("BAD_VALUE", text))
                known[text] = len(messages) - 1
            message[position] = known[text]

    def _clash(self, step: Step, frame: pa.RecordBatch, position: int) -> str:
        row = frame.slice(position, 1)
        columns = {name: row.column(name) for name in self._values[step.number - 1].columns()}
        values = values_at(self._values[step.number - 1].of(columns, 1), 0)
        clash = step.operation.agree(values) if step.operation.agree else None
        return f"{clash[0]}: {clash[1]}" if clash else "a value that the carrier would refuse"

    def own_warnings(self, window: Window, frame: pa.RecordBatch) -> list[tuple[NDArray[np.int64], str, str]]:
        """(positions, code, text) of what we want somebody to know about rows that were not stopped here."""
        if self._tn_column is None:
            return []
        goes = (window.status != REJECTED) & (window.status != DUPLICATE)
        cells = pa.Table.from_arrays([frame.column(self._tn_column)], ["tn"]).to_pandas()["tn"]
        masks = normalize(cells, api=self._api)["warnings"].to_numpy()
        found = [
            (np.flatnonzero(goes & (masks >> bit & 1 == 1)), *rules.WARNINGS[bit]) for bit in range(len(rules.WARNINGS))
        ]
        found += [(np.flatnonzero(goes & loops), *_SELF_FORWARD) for loops in self._loops(window, frame)]
        return [entry for entry in found if len(entry[0])]

    def _loops(self, window: Window, frame: pa.RecordBatch) -> list[NDArray[np.bool_]]:
        loops = []
        for values in self._values:
            destinations = values.step.operation.destinations
            names = values.columns() - self._secret
            columns = {name: frame.column(name) for name in names}
            for value in values.of(columns, len(window)) if destinations and not self._secret else []:
                if value.binding.setting in destinations:
                    tns = np.array([rules.from_wire(text or "") for text in value.texts], np.int64)
                    loops.append((tns[value.codes] == window.tn) & (window.tn != 0))
        return loops


def write_reports(
    ledger: Ledger,
    folder: RunFolder,
    into: Path,
    steps: Sequence[Step],
    *,
    api: str,
    file_format: Literal["csv", "parquet"],
) -> Tally:
    """Write every report of a run into a folder; AssertionError when the rows do not add up."""
    facts = ledger.run()["facts"]
    reporter = Reporter(facts, steps, api)
    tally = Tally()
    again = pa.schema([*((name, pa.string()) for name in reporter.columns), *_REASON_COLUMNS])
    with ExitStack() as stack:
        rows = stack.enter_context(InputFile(folder.input))

        def report(name: str, schema: pa.Schema) -> Report:
            return stack.enter_context(Report(into, name, schema, file_format))

        results, warnings = report("results", _RESULTS), report("warnings", _WARNINGS)
        rejects, failed = report("rejects", again), report("failed", again)
        answers = _answers(steps, report)
        sizes = np.diff(rows.starts).tolist()
        for number, window in enumerate(windows(ledger, folder, sizes)):
            frame = rows.read(number, [*reporter.columns, MALFORMED])
            codes, texts = reporter.explain(window, frame)
            _append_results(results, reporter, window, frame, codes, texts)
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
    target: Report, reporter: Reporter, window: Window, frame: pa.RecordBatch, codes: pa.Array, texts: pa.Array
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
    ]
    target.append(pa.RecordBatch.from_arrays(columns, schema=_RESULTS))


def _append_warnings(target: Report, reporter: Reporter, window: Window, frame: pa.RecordBatch, tally: Tally) -> None:
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


def _answers(steps: Sequence[Step], report: Any) -> Report | None:
    """The table of answers, when the last step reads."""
    talk = steps[-1].operation.talk
    if not isinstance(talk, Read):
        return None
    schema = pa.schema([("row", pa.int64()), ("tn", pa.string()), *((name, pa.string()) for name in talk.columns)])
    target: Report = report("answers", schema)
    return target


def _append_answers(target: Report, window: Window) -> None:
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
    for position in np.flatnonzero(window.status == REJECTED)[: 10 - len(tally.rejects)].tolist():
        cell = reporter.input_of(frame)[position].as_py()
        tally.rejects.append((window.first + position, cell, codes[position].as_py(), texts[position].as_py()))


def write_summary(into: Path, summary: Mapping[str, Any], text: str) -> None:
    for name, content in (("summary.json", json.dumps(summary, indent=2) + "\n"), ("summary.txt", text)):
        with private_file(into / name) as file:
            file.write(content.encode())


def summary_text(summary: Mapping[str, Any]) -> str:
    """The summary as people read it."""
    total = max(summary["rows"], 1)
    lines = [f"run {summary['run']}   {summary['job']}   {' + '.join(summary['operations'])}", ""]
    lines += [
        f"  {status:<10} {count:>12,}  {100 * count / total:6.2f} %"
        for status, count in summary["statuses"].items()
        if count
    ]
    lines += [f"  {'rows':<10} {summary['rows']:>12,}", ""]
    for title, counts in (("why", summary["codes"]), ("warnings", summary["warnings"])):
        if counts:
            lines += [f"{title}:", *(f"  {count:>12,}  {name}" for name, count in list(counts.items())[:12]), ""]
    if summary["orders"]:
        lines.append(
            "orders: " + ", ".join(f"{count:,} {status or 'open'}" for status, count in summary["orders"].items())
        )
    lines.append(
        f"requests: {summary['requests']:,} (429: {summary['throttled']:,})   seconds: {summary['seconds']:,.1f}   "
        f"TNs per second: {summary['tns_per_second']:,.0f}"
    )
    return "\n".join(lines) + "\n"


def counted(counter: Counter[tuple[str, str]]) -> dict[str, int]:
    """`status CODE` (or `source CODE`) and how often, most frequent first."""
    return {f"{first} {second}".strip(): count for (first, second), count in counter.most_common(_MOST_CODES)}
