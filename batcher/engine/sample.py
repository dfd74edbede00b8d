"""The rows that go before all others: a few of each kind of setting, so that a mistake shows before it is everywhere."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from batcher.engine.outcome import Window
from batcher.engine.values import Evaluated, hashed
from batcher.model import PENDING


def sample(step: int, most: int, evaluated: Iterable[tuple[Window, Sequence[Evaluated]]]) -> NDArray[np.int64]:
    """Numbers of at most so many waiting rows, ascending, spread over the groups of settings.

    The first row of each group comes before the second of any; in memory are never more rows and groups than are wanted.
    """
    seen: Counter[int] = Counter()
    #: (-how many of its group stand before it, -row): the first to go is the one that is least wanted
    chosen: list[tuple[int, int]] = []
    for window, values in evaluated:
        waiting = np.flatnonzero((window.status == PENDING) & (window.step == step))
        groups, first, whose = np.unique(hashed(values, len(window))[waiting], return_index=True, return_inverse=True)
        rows = waiting[np.argsort(whose, kind="stable")] + window.first
        ends = np.cumsum(np.bincount(whose, minlength=len(groups)))
        for number in np.argsort(first):
            if len(seen) == most:
                break  # each place has the first row of a group
            group, start = int(groups[number]), ends[number - 1] if number else 0
            for row in rows[start : ends[number]][:most].tolist():
                entry = (-seen[group], -row)
                seen[group] += 1
                if len(chosen) < most:
                    heapq.heappush(chosen, entry)
                elif heapq.heappushpop(chosen, entry) == entry:
                    break  # and none of this group's later rows is wanted more
    return np.sort(np.array([-row for _, row in chosen], np.int64))
