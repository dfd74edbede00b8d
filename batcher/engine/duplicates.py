"""Which rows name a TN that stood in the input before, and which contradict each other about it.

Exact, in bounded memory: (TN, row, hash of the settings) is scattered into bucket files by TN, each bucket is
sorted by itself, and what was found is scattered once more by row, so that it can be written in one sweep.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

_BUCKETS = 64
_SEEN = np.dtype([("key", "<i8"), ("row", "<i8"), ("settings", "<u8")])
_FOUND = np.dtype([("row", "<i8"), ("same", "<i8")])
#: What `same` says of a row whose TN stands elsewhere with other settings.
CONFLICT = -1


class Duplicates:
    """Collects the rows of an input, then says row by row what each is the same as."""

    def __init__(self, folder: Path) -> None:
        """Bucket files go into `folder` and are removed on exit."""
        self._folder = folder
        self._stack = ExitStack()
        self._seen = [self._open(f"seen.{number}") for number in range(_BUCKETS)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _open(self, name: str) -> BinaryIO:
        path = self._folder / f"{name}.bucket"
        file = self._stack.enter_context(path.open("w+b"))
        path.unlink()  # nobody else needs the name, and no crash can leave the file behind
        return file

    def add(self, keys: NDArray[np.int64], rows: NDArray[np.int64], settings: NDArray[np.uint64]) -> None:
        """Rows that may be sent: what they are about (TN), their numbers, and a hash of what they set."""
        seen = np.empty(len(keys), _SEEN)
        seen["key"], seen["row"], seen["settings"] = keys, rows, settings
        # One byte a key: numpy sorts those by radix.
        bucket = ((keys.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(58)).astype(np.uint8)
        order = np.argsort(bucket, kind="stable")
        ends = np.searchsorted(bucket[order], np.arange(_BUCKETS + 1, dtype=np.uint8))
        for file, start, end in zip(self._seen, ends[:-1], ends[1:], strict=True):
            if end > start:
                file.write(seen[order[start:end]].tobytes())

    def same(self, rows: int, block: int) -> Iterator[NDArray[np.int64]]:
        """Per row, `block` rows at a time: 0, the first row with that TN, or CONFLICT (on all its rows)."""
        spans = max(1, -(-rows // _BUCKETS))
        spans += -spans % block  # a span is a whole number of blocks
        found = [self._open(f"found.{number}") for number in range(-(-rows // spans))]
        for file in self._seen:
            hits = _within(_read(file, _SEEN))
            span = (hits["row"] - 1) // spans
            for number in np.unique(span):
                found[number].write(hits[span == number].tobytes())
        for number, file in enumerate(found):
            first, last = number * spans, min(rows, (number + 1) * spans)
            same = np.zeros(last - first, np.int64)
            hits = _read(file, _FOUND)
            same[hits["row"] - 1 - first] = hits["same"]
            for start in range(0, len(same), block):
                yield same[start : start + block]


def _read(file: BinaryIO, dtype: np.dtype[np.void]) -> NDArray[np.void]:
    file.seek(0)
    return np.frombuffer(file.read(), dtype)


def _within(seen: NDArray[np.void]) -> NDArray[np.void]:
    """The rows of one bucket that share their key with another: the first wins unless settings differ."""
    order = np.argsort(seen["key"], kind="stable")  # rows were added in input order
    keys = seen["key"][order]
    new = np.r_[True, keys[1:] != keys[:-1]] if len(keys) else np.zeros(0, bool)
    start = np.flatnonzero(new)
    group = np.cumsum(new) - 1
    several = np.diff(np.r_[start, len(keys)])[group] > 1
    order, group = order[several], group[several]
    settings, rows = seen["settings"][order], seen["row"][order]
    leader = np.r_[True, group[1:] != group[:-1]] if len(group) else np.zeros(0, bool)
    led_by = np.flatnonzero(leader)[np.cumsum(leader) - 1]
    differs = np.zeros(int(new.sum()), bool)
    differs[group[settings != settings[led_by]]] = True
    found = np.empty(len(rows), _FOUND)
    found["row"] = rows
    found["same"] = np.where(differs[group], CONFLICT, np.where(leader, 0, rows[led_by]))
    repeated: NDArray[np.void] = found[found["same"] != 0]
    return repeated
