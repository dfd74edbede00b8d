"""Each row's fate in words: what the results say of it, and what somebody should know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from batcher import tn as rules
from batcher.engine.duplicates import CONFLICT
from batcher.engine.job import Step
from batcher.engine.judge import Secrets, bindings
from batcher.engine.outcome import BAD_VALUE, NOTHING_SET, Window
from batcher.engine.ragged import CODE_COLUMN, is_ours
from batcher.engine.values import Values, judge_cell, values_at
from batcher.model import DUPLICATE, REJECTED, SKIPPED
from batcher.normalize import normalize
from batcher.visible import PATTERN, visible

#: Characters of a cell that are shown beside its reason.
_MOST_SHOWN = 100
_CONFLICT = (
    "DUPLICATE_CONFLICT",
    "another row has the same TN with other settings, and none of them is sent: keep one",
)
_NOTHING = ("NOTHING_SET", "the row sets nothing")
#: Warnings of rules that were relaxed.
_RELAXED = np.uint16(rules.MASK["EXTENSION"] | rules.MASK["LETTERS"])
_SELF_FORWARD = ("SELF_FORWARD", "the destination is the number itself: calls would loop")


#: Behind the columns of a row that was rejected, or that failed.
REASON_COLUMNS = pa.schema([(CODE_COLUMN, pa.string()), ("batcher_reason", pa.string())])


def with_unseen(texts: pa.Array, cells: pa.Array, rejected: NDArray[np.bool_]) -> pa.Array:
    """The reasons of rejected cells; where one holds characters that nobody sees, with what it reads like."""
    odd = rejected & pc.match_substring_regex(cells, PATTERN).to_numpy(zero_copy_only=False)
    if not odd.any():
        return texts
    mask = pa.array(odd)
    pairs = zip(texts.filter(mask).to_pylist(), cells.filter(mask).to_pylist(), strict=True)
    shown = [f'{text} The cell reads "{visible(cell[:_MOST_SHOWN])}".' for text, cell in pairs]
    return pc.replace_with_mask(texts, mask, pa.array(shown, pa.string()))


class Reporter:
    """Tells each row's fate in words, batch by batch."""

    def __init__(self, facts: Mapping[str, Any], steps: Sequence[Step], api: str) -> None:
        self._steps = steps
        self._rules = rules.Rules(
            api, strict=facts["strict"], relax=frozenset(facts["relax"]), known_npas=frozenset(facts["known_npas"])
        )
        self._tn_column: str | None = facts["tn_column"]
        self._bindings = bindings(steps)
        self._values = [Values(step) for step in steps]
        #: malformed lines are not kept
        self._is_masked = not set(Secrets.of(steps).columns.values()).isdisjoint(facts["columns"])
        used = {self._tn_column, *(binding.column for binding in self._bindings)}
        #: of the input, less what we wrote into a file of rejects that is fed again
        self.columns = [name for name in facts["columns"] if name in used or not is_ours(name)]

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
            if why == rules.REASON["ROW_MALFORMED"] and self._is_masked:
                for position in np.flatnonzero(mask).tolist():
                    hint = f"{rules.REASONS[why].hint} It is row {window.first + position}; its line may hold a secret."
                    messages.append(("ROW_MALFORMED", hint))
                    message[position] = len(messages) - 1
            elif why >= BAD_VALUE:
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
        # A reason about a setting's cell, or about two rows, says nothing of how the TN's own cell reads.
        own = rejected & (window.why < BAD_VALUE) & (window.same != CONFLICT)
        return codes, with_unseen(texts, self.input_of(frame), own) if own.any() else texts

    def _say_bad_value(
        self,
        number: int,
        positions: NDArray[np.int64],
        frame: pa.RecordBatch,
        message: NDArray[np.int32],
        messages: list[tuple[str, str]],
    ) -> None:
        """Name the column and say what is wrong with the cell."""
        binding = self._bindings[number]
        step = self._steps[binding.step - 1]
        refused: dict[str, str | None] = {}
        known: dict[str, int] = {}
        cells = (
            [""] * len(positions)
            if binding.column is None
            else frame.column(binding.column).take(positions).to_pylist()
        )
        for position, cell in zip(positions.tolist(), cells, strict=True):
            if binding.column is not None and cell not in refused:
                refused[cell] = judge_cell(step, binding.setting, cell)[1]
            why = refused.get(cell)
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
        # Of a row that repeats another, only what was dropped from its cell is its own.
        goes = window.status != REJECTED
        repeats = window.status == DUPLICATE
        cells = pa.Table.from_arrays([frame.column(self._tn_column)], ["tn"]).to_pandas()["tn"]
        masks = normalize(cells, self._rules)["warnings"].to_numpy().copy()
        masks[repeats] &= _RELAXED
        found = [
            (np.flatnonzero(goes & (masks >> bit & 1 == 1)), *rules.WARNINGS[bit]) for bit in range(len(rules.WARNINGS))
        ]
        found += [(np.flatnonzero(goes & ~repeats & loops), *_SELF_FORWARD) for loops in self._loops(window, frame)]
        return [entry for entry in found if len(entry[0])]

    def _loops(self, window: Window, frame: pa.RecordBatch) -> list[NDArray[np.bool_]]:
        loops = []
        for values in self._values:
            for binding in values.step.bindings:
                if binding.setting in values.step.operation.destinations:
                    columns = {binding.column: frame.column(binding.column)} if binding.column else {}
                    value = values.evaluate(binding, columns, len(window))
                    tns = np.array([rules.from_wire(text or "") for text in value.texts], np.int64)
                    loops.append((tns[value.codes] == window.tn) & (window.tn != 0))
        return loops
