"""The values of a step's settings over a batch of rows: each distinct cell is judged once.

Gives codes per row and a short list of texts, so that nothing here costs Python per row.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from batcher.engine.job import Binding, Step

#: Judged cells that are remembered from batch to batch; free text must not fill the memory.
_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True)
class Evaluated:
    """One setting over the rows of a batch: row i has `texts[codes[i]]`."""

    binding: Binding
    codes: NDArray[np.int64]
    #: as the carrier wants it; None: the cell is empty (or refused)
    texts: Sequence[str | None]
    #: why the carrier would refuse it; None: it would not
    refusals: Sequence[str | None]
    #: of each text, equal texts alike; 0 where there is none
    hashes: NDArray[np.uint64]

    def is_set(self) -> NDArray[np.bool_]:
        return np.array([text is not None for text in self.texts])[self.codes]

    def is_refused(self) -> NDArray[np.bool_]:
        return np.array([why is not None for why in self.refusals])[self.codes]


class Values:
    """The settings of one step, evaluated batch after batch."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self._known: dict[str, dict[str, tuple[str | None, str | None, int]]] = {}

    def columns(self) -> set[str]:
        return {binding.column for binding in self.step.bindings if binding.column is not None}

    def of(self, columns: Mapping[str, pa.Array], rows: int) -> list[Evaluated]:
        """Every bound setting over a batch; `columns` by name, `rows` long."""
        return [self.evaluate(binding, columns, rows) for binding in self.step.bindings]

    def evaluate(self, binding: Binding, columns: Mapping[str, pa.Array], rows: int) -> Evaluated:
        """One of them."""
        if binding.column is None:
            texts = [binding.constant]
            return Evaluated(
                binding, np.zeros(rows, np.int64), texts, [None], np.array([_hash(binding.constant)], np.uint64)
            )
        encoded = pc.dictionary_encode(columns[binding.column])
        judged = [self._judge(binding, cell) for cell in encoded.dictionary.to_pylist()]
        return Evaluated(
            binding,
            encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64),
            [text for text, _, _ in judged],
            [why for _, why, _ in judged],
            np.array([digest for _, _, digest in judged], np.uint64),
        )

    def _judge(self, binding: Binding, cell: str) -> tuple[str | None, str | None, int]:
        known = self._known.setdefault(binding.setting, {})
        if len(known) > _REMEMBERED:
            known.clear()
        if cell not in known:
            known[cell] = judge_cell(self.step, binding.setting, cell)
        return known[cell]


def judge_cell(step: Step, setting: str, cell: str) -> tuple[str | None, str | None, int]:
    """(text for the carrier, why it would refuse it, hash) of one cell; an empty one sets nothing."""
    bare = _unguarded(cell.strip()).strip()
    if not bare:
        why = "is empty, and the carrier needs it" if setting in step.operation.required else None
        return None, why, 0
    try:
        text = step.operation.check(setting, bare, step.settings)
    except ValueError as error:
        return None, str(error), 0
    return text, None, _hash(text)


def _unguarded(cell: str) -> str:
    """Without what keeps a spreadsheet from changing it (`spool.Form.excel_safe`)."""
    if cell.startswith('="') and cell.endswith('"') and len(cell) > 3:
        return cell[2:-1]
    return cell[1:] if cell.startswith("'") and not cell[1:2].isalnum() else cell


def hashed(evaluated: Sequence[Evaluated], rows: int) -> NDArray[np.uint64]:
    """One number per row: rows with the same values in these settings have the same."""
    total = np.zeros(rows, np.uint64)
    for values in evaluated:
        if values.binding.column is not None:
            name = f"{values.binding.step}.{values.binding.setting}"
            total += values.hashes[values.codes] * np.uint64(_hash(name) | 1)
    return total


def combinations(
    evaluated: Sequence[Evaluated], rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Distinct combinations of these settings among `rows` (positions): a position of each, and which one each row has."""
    combined, bound = np.zeros(len(rows), np.int64), 1
    for values in evaluated:
        if len(values.texts) > 1:
            combined, bound = combined * len(values.texts) + values.codes[rows], bound * len(values.texts)
        if bound > 1 << 40:
            _, combined = np.unique(combined, return_inverse=True)
            bound = len(rows)
    if bound == 1:
        return rows[:1], combined
    _, first, which = np.unique(combined, return_index=True, return_inverse=True)
    return rows[first], which


def values_at(evaluated: Sequence[Evaluated], position: int) -> dict[str, str]:
    """The settings that one row sets, by name."""
    texts = {values.binding.setting: values.texts[values.codes[position]] for values in evaluated}
    return {setting: text for setting, text in texts.items() if text is not None}


def _hash(text: str | None) -> int:
    return 0 if text is None else int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
