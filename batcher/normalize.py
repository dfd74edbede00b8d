"""The rules of `tn` for whole columns: text, and numbers of the types that hold ten digits exactly.

The kernel decides the usual shapes and gives exactly what `tn.parse` would give. Everything else goes through `tn.parse`,
once for each distinct cell, with libphonenumber's metadata for what the published lists say.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import chain

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from batcher import kernel, numbering, tn
from batcher.kernel import ABROAD, UNDECIDED, Verdicts

#: Rows that are decided together: their scratch arrays stay in a core's cache.
SLICE_ROWS = 65_536

_DEFAULT = tn.Rules()
# Ten digits, and eleven from 1: all of these integers are judged by structure.
_NEAR = range(1_000_000_000, 20_000_000_000)
_EXACT = {pa.int64(), pa.uint64(), pa.float64()}
# Larger floats are not exact.
_EXACT_FLOAT = 2.0**53
_AROUND_NAMES = " \t\r\n\ufeff"


def normalize(raw: pd.Series, rules: tn.Rules = _DEFAULT) -> pd.DataFrame:
    """Turn raw telephone numbers into E.164, or say why not.

    Takes text of any punctuation, one cell a row, and columns of int64, uint64, float64 or decimal, each number by its
    value: whole ones as their digits, fractions as NON_INTEGER. A missing cell or NaN counts as empty, one that repeats the
    column's name as NOT_DATA. Gives a frame with
    the same index and three columns: `tn` (int64 of the E.164 digits, 19195550123; 0 when rejected), `reason` (uint8, index
    into `tn.REASONS`; 0 when accepted) and `warnings` (uint16, mask of `tn.WARNINGS`). Never raises for a bad number;
    TypeError for a column of any other type.
    """
    # Half the time of the stream by which Arrow would take a Series for chunks.
    column = pa.array(raw)
    column = column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_null(column.type) or pa.types.is_string_view(column.type):
        column = column.cast(pa.large_string())
    verdicts = Verdicts.empty(len(column))
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        _normalize_text(column, verdicts, rules, raw.name if isinstance(raw.name, str) else "")
    elif column.type in _EXACT or (pa.types.is_decimal(column.type) and column.type.scale >= 0):
        _normalize_numbers(column, verdicts, rules)
    else:
        raise TypeError(
            f"The column of telephone numbers is {column.type}, expected text (or int64, uint64, float64 or decimal,"
            " which hold ten digits exactly): read it as text."
        )
    return pd.DataFrame(verdicts._asdict(), index=raw.index, copy=False)


def e164(tns: NDArray[np.int64]) -> pa.Array:
    """The TNs as Arrow text, "+19195550123"; "" for 0."""
    is_near = is_north_american(tns)
    # Twelve bytes a row, written as three words of four characters: "+1NP" "ANXX" "XXXX".
    ten_digits = tns[is_near] - 10_000_000_000
    six_digits = ten_digits // 10_000
    two_digits = six_digits // 10_000
    heads, four_digits = _words()
    words = np.empty((len(ten_digits), 3), "<u4")
    words[:, 0] = heads[two_digits]
    words[:, 1] = four_digits[six_digits - two_digits * 10_000]
    words[:, 2] = four_digits[ten_digits - six_digits * 10_000]
    offsets = np.zeros(len(tns) + 1, np.int32)
    np.cumsum(is_near * np.int32(12), out=offsets[1:])
    text = pa.StringArray.from_buffers(len(tns), pa.py_buffer(offsets), pa.py_buffer(words))
    is_abroad = ~is_near & (tns > 0)
    if not is_abroad.any():
        return text
    return pc.replace_with_mask(text, is_abroad, pa.array([f"+{tn}" for tn in tns[is_abroad].tolist()], pa.string()))


@cache
def _words() -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Four characters as one word each: "+100" to "+199", and "0000" to "9999"."""
    heads = "".join(f"+1{number:02d}" for number in range(100))
    four_digits = "".join(f"{number:04d}" for number in range(10_000))
    return np.frombuffer(heads.encode(), "<u4"), np.frombuffer(four_digits.encode(), "<u4")


def is_north_american(tns: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the TNs are +1 numbers."""
    return (tns >= tn.NORTH_AMERICA[0]) & (tns <= tn.NORTH_AMERICA[-1])


def _normalize_text(cells: pa.ChunkedArray, out: Verdicts, rules: tn.Rules, name: str) -> None:
    end = 0
    for part in _slices(cells):
        start, end = end, end + len(part)
        kernel.decide(part.fill_null(""), out.rows(start, end), rules=rules)
    for left, judge in ((UNDECIDED, _parse), (ABROAD, _judge_abroad)):
        rows = np.flatnonzero(out.reason == left)
        if rows.size:
            distinct = cells.take(pa.array(rows)).combine_chunks().dictionary_encode()
            told = judge(distinct.dictionary, rules, name)
            out.put(rows, told.take(distinct.indices.to_numpy()))


def _slices(column: pa.ChunkedArray) -> Iterator[pa.Array]:
    for chunk in column.chunks:
        for offset in range(0, len(chunk), SLICE_ROWS):
            yield chunk.slice(offset, SLICE_ROWS)


def _parse(cells: pa.Array, rules: tn.Rules, name: str) -> Verdicts:
    texts = cells.to_pylist()
    parsed = (tn.parse(text, rules, international=numbering.abroad, numbering=numbering.of_npa) for text in texts)
    # Straight into an array: thousands of tuples kept at once would set off the garbage collector.
    told = Verdicts(*np.fromiter(chain.from_iterable(parsed), np.int64).reshape(-1, len(tn.Parsed._fields)).T)
    # The name of the column again is a header: no rule of cells knows a name of any kind.
    if wanted := name.strip(_AROUND_NAMES).lower():
        is_name = np.fromiter((text.strip(_AROUND_NAMES).lower() == wanted for text in texts), np.bool_, len(texts))
        told.reason[is_name & (told.reason > 0)] = tn.REASON["NOT_DATA"]
    return told


def _judge_abroad(cells: pa.Array, rules: tn.Rules, _: str) -> Verdicts:
    digits = pc.utf8_trim(cells, " +").cast(pa.string())
    reasons, warnings = numbering.all_abroad(digits)
    if rules.api == "v1":
        reasons[reasons == 0] = tn.REASON["NOT_IN_V1"]
    is_accepted = reasons == 0
    return Verdicts(digits.cast(pa.int64()).to_numpy() * is_accepted, reasons, warnings * is_accepted)


def _normalize_numbers(column: pa.ChunkedArray, out: Verdicts, rules: tn.Rules) -> None:
    end = 0
    for part in _slices(column):
        start, end = end, end + len(part)
        _decide_numbers(part, out.rows(start, end), rules)


def _decide_numbers(part: pa.Array, out: Verdicts, rules: tn.Rules) -> None:
    """Decides integers of ten digits, and eleven from 1, by arithmetic; the others as the text that they are."""
    whole, is_fraction = _read_floats(part) if pa.types.is_float64(part.type) else _read_exact(part)
    # Scalars of their own type: Arrow would squeeze an uint64 into an int64.
    first, last = (pa.scalar(number, whole.type) for number in (_NEAR[0], _NEAR[-1]))
    is_near = pc.and_(pc.greater_equal(whole, first), pc.less_equal(whole, last))
    is_near = pc.and_(is_near.fill_null(False), pa.array(~is_fraction))
    near = pc.if_else(is_near, whole, first).cast(pa.int64()).to_numpy()
    ten_digits = near - (near >= 10_000_000_000) * 10_000_000_000
    prefixes = ten_digits // 10_000
    kernel.judge(out, prefixes, ten_digits - prefixes * 10_000, rules=rules)
    if pa.types.is_decimal(part.type) and part.type.scale > 0:
        out.warnings[out.reason == 0] |= np.uint16(tn.MASK["FLOAT_TEXT"])
    rest = np.flatnonzero(~is_near.to_numpy(zero_copy_only=False))
    if rest.size:
        told = Verdicts.empty(len(rest))
        texts = _texts(part.take(pa.array(rest)), whole.take(pa.array(rest)))
        _normalize_text(pa.chunked_array([texts]), told, rules, "")
        out.put(rest, told)
        fractions = np.flatnonzero(is_fraction)
        out.tn[fractions], out.reason[fractions], out.warnings[fractions] = 0, tn.REASON["NON_INTEGER"], 0


def _read_exact(part: pa.Array) -> tuple[pa.Array, NDArray[np.bool_]]:
    """Integers, null where there is none, and which numbers are fractions.

    A decimal is judged by its value: digits behind its point never become digits of a TN.
    """
    if not pa.types.is_decimal(part.type):
        return part, np.zeros(len(part), bool)
    if part.type.scale >= part.type.precision:
        # All are below one, where Arrow does not round: a float tells 0 from a fraction.
        return _read_floats(part.cast(pa.float64()))
    if part.type.bit_width < 128:
        part = part.cast(pa.decimal128(part.type.precision, part.type.scale))
    whole = pc.trunc(part)
    is_fraction = pc.not_equal(whole, part).fill_null(False).to_numpy(zero_copy_only=False)
    return whole.cast(pa.decimal128(38, 0) if part.type.bit_width == 128 else pa.decimal256(76, 0)), is_fraction


def _read_floats(part: pa.Array) -> tuple[pa.Array, NDArray[np.bool_]]:
    """The same for floats; beyond 2^53 none is exact."""
    values = part.to_numpy(zero_copy_only=False)  # nulls become NaN
    is_whole = values == np.trunc(values)
    is_exact = is_whole & (np.abs(values) < _EXACT_FLOAT)
    return pa.array(np.where(is_exact, values, 0).astype(np.int64), mask=~is_exact), ~is_whole & ~np.isnan(values)


def _texts(part: pa.Array, whole: pa.Array) -> pa.Array:
    """Integers as their digits (never 2.018551234e+09), larger floats as they print, null where the cell is empty."""
    texts = whole.cast(pa.string())
    if not pa.types.is_float64(part.type):
        return texts
    return pc.coalesce(texts, pc.if_else(pc.is_nan(part), None, part).cast(pa.string()))
