"""Which rows repeat which, against a dictionary that does the same the slow way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batcher.engine.duplicates import CONFLICT, Duplicates


def slowly(rows, total):
    """`rows`: (key, row, settings), ascending by row."""
    by_key: dict[int, list[tuple[int, int]]] = {}
    for key, row, value in rows:
        by_key.setdefault(key, []).append((row, value))
    same = [0] * total
    for found in by_key.values():
        is_conflict = len({value for _, value in found}) > 1
        for row, _ in found if is_conflict else found[1:]:
            same[row - 1] = CONFLICT if is_conflict else found[0][0]
    return same


def fast(folder, rows, total, *, lot, block):
    with Duplicates(folder) as duplicates:
        for start in range(0, len(rows), lot):
            keys, numbers, values = zip(*rows[start : start + lot], strict=True)
            duplicates.add(np.array(keys, np.int64), np.array(numbers, np.int64), np.array(values, np.uint64))
        blocks = list(duplicates.same(total, block))
    assert all(len(part) <= block for part in blocks)
    return [same for part in blocks for same in part.tolist()]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-3, 3) | st.integers(-(2**63), 2**63 - 1), st.booleans(), st.integers(0, 2))),
    st.integers(1, 7),
    st.integers(1, 70),
)
def test_it_says_what_a_dictionary_says(tmp_path_factory, cells, lot, block):
    """The first of equal rows wins and the others name it; a conflict marks all its rows; rows left out stay 0."""
    rows = [(key, number, value) for number, (key, is_going, value) in enumerate(cells, 1) if is_going]
    folder = tmp_path_factory.mktemp("duplicates")
    assert fast(folder, rows, len(cells), lot=lot, block=block) == slowly(rows, len(cells))
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("distinct", [1, 90_000, 150_000])
def test_many_rows(tmp_path, distinct):
    """200,000 rows of real TNs, repeats far apart, over many batches and blocks; one TN in all rows too."""
    chance = np.random.default_rng(distinct)
    keys = chance.integers(0, distinct, 200_000) + 12_012_000_000
    values = np.where(chance.random(200_000) < 0.0005, 1, 7).astype(np.uint64) + np.uint64(2**63)
    rows = list(zip(keys.tolist(), range(1, 200_001), values.tolist(), strict=True))
    found = fast(tmp_path, rows, 200_000, lot=65_536, block=4_096)
    assert found == slowly(rows, 200_000)
    assert list(tmp_path.iterdir()) == []


def test_no_file_is_ever_left_behind(tmp_path):
    """Bucket files have no name: not while they are used, and not after a crash."""
    with Duplicates(tmp_path) as duplicates:
        duplicates.add(np.array([1, 1]), np.array([1, 2]), np.array([1, 1], np.uint64))
        assert [same.tolist() for same in duplicates.same(2, 8)] == [[0, 1]]
        assert list(tmp_path.iterdir()) == []


def test_no_rows_at_all(tmp_path):
    """Nothing is the same as nothing."""
    with Duplicates(tmp_path) as duplicates:
        assert list(duplicates.same(0, 8)) == []
