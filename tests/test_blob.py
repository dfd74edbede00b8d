"""What the ledger keeps comes back as it was, or not at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from batcher.blob import pack, unpack

FIELDS = {"envelope": {"site_id": "486"}, "groups": [{"sms": "on"}, {"caller": "Müller & Söhne"}], "nothing": None}
ARRAYS: dict[str, NDArray[Any]] = {
    "tns": np.array([19195550100, 0, 442079460000], np.int64),
    "group": np.array([0, 1, 0], np.uint8),
    "position": np.array([-1, 7], np.int32),
}


def test_round_trip():
    """Fields, values and types of the arrays come back."""
    fields, arrays = unpack(pack(FIELDS, ARRAYS))
    assert fields == {
        "envelope": {"site_id": "486"},
        "groups": [{"sms": "on"}, {"caller": "Müller & Söhne"}],
        "nothing": None,
    }
    assert {name: (array.dtype.str, array.tolist()) for name, array in arrays.items()} == {
        "tns": ("<i8", [19195550100, 0, 442079460000]),
        "group": ("|u1", [0, 1, 0]),
        "position": ("<i4", [-1, 7]),
    }


def test_empty():
    """No fields, no arrays, and arrays without entries are blobs like others."""
    assert unpack(pack({}, {})) == ({}, {})
    fields, arrays = unpack(pack({}, {"rows": np.zeros(0, np.int64), "more": np.ones(2, np.int32)}))
    assert fields == {}
    assert [(name, array.tolist()) for name, array in arrays.items()] == [("rows", []), ("more", [1, 1])]


def test_big_endian_is_written_little():
    """A blob is the same on every machine."""
    there = np.array([1, 19195550100], ">i8")
    assert pack({}, {"tns": there}) == pack({}, {"tns": there.astype("<i8")})


def test_consecutive_rows_all_but_vanish():
    """5,000 consecutive rows (as differences) and TNs take less than 12 bytes a row."""
    arrays = {
        "rows": np.ones(5_000, np.int64),
        "tns": np.random.default_rng(7).integers(12_000_000_000, 19_999_999_999, 5_000),
    }
    assert len(pack({}, arrays)) < 60_000


def test_every_flipped_bit_is_damage():
    """A bit that flips on the disk never becomes another TN: ValueError, unless nothing hangs on it."""
    whole = pack({"groups": [{"sms": "on"}]}, {"tns": np.arange(19195550100, 19195550150)})
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        try:
            _, arrays = unpack(bytes(damaged))
        except ValueError:
            continue
        assert arrays["tns"].tolist() == list(range(19195550100, 19195550150))


@pytest.mark.parametrize("length", [0, 3, 8, 20, -1])
def test_a_cut_blob_is_damage(length):
    """What was cut short is refused with ValueError."""
    with pytest.raises(ValueError, match=r"."):
        unpack(pack(FIELDS, ARRAYS)[:length])


def test_something_else_is_no_blob():
    """Text, and a length that no chunk comes near, are refused before memory is asked for."""
    for other in (b"SQLite format 3\0 and more", b"\xff\xff\xff\xff" + bytes(40)):
        with pytest.raises(ValueError, match="damaged blob"):
            unpack(other)
