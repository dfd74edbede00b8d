"""The rows that go first: spread over the groups, in order, as many as are wanted."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest

from batcher.engine.job import Binding
from batcher.engine.outcome import Window
from batcher.engine.sample import sample
from batcher.engine.values import Evaluated
from batcher.model import PENDING, REJECTED, SUCCEEDED


def windows(*pieces):
    """Windows of rows, each a list of (status, group); rows count from 1 through all of them."""
    start, found = 0, []
    for rows in pieces:
        zeros = np.zeros(len(rows), np.int64)
        status = np.array([status for status, _ in rows], np.uint8)
        step, message = np.ones(len(rows), np.uint8), np.zeros(len(rows), np.int32)
        window = Window(start + 1, zeros, zeros, zeros.astype(np.uint8), status, step, message, message)
        groups = sorted({group for _, group in rows})
        values = Evaluated(
            Binding(1, "sms", "S", None),
            np.array([groups.index(group) for _, group in rows], np.int64),
            [str(group) for group in groups],
            [None] * len(groups),
            # What is told apart are hashes of the values, the same ones in every window.
            np.array([group * 7_919 + 1 for group in groups], np.uint64),
        )
        found.append((window, [values]))
        start += len(rows)
    return found


def waiting(*groups):
    return [(PENDING, group) for group in groups]


@pytest.mark.parametrize(
    ("most", "pieces", "rows"),
    [
        pytest.param(3, [waiting(1, 1, 1, 1, 2, 3)], [1, 5, 6], id="one of each group"),
        pytest.param(4, [waiting(1, 1, 1, 1, 2, 3)], [1, 2, 5, 6], id="and what is left to the first"),
        pytest.param(4, [waiting(1, 1, 1), waiting(2, 2, 2)], [1, 2, 4, 5], id="over two batches"),
        pytest.param(2, [waiting(5, 4, 3, 2, 1)], [1, 2], id="more groups than places"),
        pytest.param(2, [waiting(1, 1, 1, 1), waiting(2), waiting(3)], [1, 5], id="a late group takes a place"),
        pytest.param(9, [waiting(1, 2, 1)], [1, 2, 3], id="fewer rows than wanted"),
        pytest.param(1, [[(REJECTED, 1), (PENDING, 1)]], [2], id="only rows that wait"),
        pytest.param(3, [[(SUCCEEDED, 1)]], [], id="nobody waits"),
    ],
)
def test_which_rows_go_first(most, pieces, rows):
    """The first row of every group before the second of any, ascending."""
    assert sample(1, most, windows(*pieces)).tolist() == rows


def test_rows_of_another_step_wait_for_that():
    """A sample is one of its own step."""
    assert sample(2, 3, windows(waiting(1, 2))).tolist() == []


@pytest.mark.parametrize("seed", range(60))
def test_the_heap_is_no_guess(seed):
    """Any rows, in any batches: the same rows as when all are put in order by how many of their group stand before."""
    chance = random.Random(seed)
    groups = chance.choice([1, 2, 5, 40])
    pieces = [
        [
            (chance.choice([PENDING, PENDING, REJECTED]), int(chance.triangular(0, groups, 0)))
            for _ in range(chance.randint(1, 30))
        ]
        for _ in range(chance.randint(1, 4))
    ]
    seen: Counter[int] = Counter()
    order = []
    for row, (status, group) in enumerate((row for piece in pieces for row in piece), 1):
        if status == PENDING:
            order.append((seen[group], row))
            seen[group] += 1
    for most in (1, 2, 7, 25, 200):
        expected = sorted(row for _, row in sorted(order)[:most])
        assert sample(1, most, windows(*pieces)).tolist() == expected
