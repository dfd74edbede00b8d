"""The rules of `tn` for whole columns: a kernel over Arrow buffers, and `tn.parse` for what is left.

The kernel decides the usual shapes and gives exactly what `tn.parse` would give. Everything else goes through `tn.parse`,
once for each distinct cell, with libphonenumber's metadata for numbers that are not +1.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from batcher import tn as rules

#: Rows that are decided together: their scratch arrays stay in a core's cache.
SLICE_ROWS = 65_536

_CODE = {code: np.uint8(index) for code, index in rules.REASON.items()}
_MASK = {warning.code: np.uint16(1 << position) for position, warning in enumerate(rules.WARNINGS)}
# In the place of a reason: the cell is left to `tn.parse`.
_UNDECIDED = np.uint8(255)

# Digits in front of a slice's text, so that words which end early in the first row can be read.
_PAD_BYTES = 16
# What a byte adds to the running counts: digits are counted below bit 32, what is no punctuation above.
_DIGITS_COUNTED = 2**32 - 1
_BYTE_COUNTS = np.full(256, 1 << 32)
_BYTE_COUNTS[list(b" ().-")] = 0
_BYTE_COUNTS[list(b"0123456789")] = 1

_BLANK, _OPENING, _PLUS, _ZERO, _ONE = b" (+01"
_POINT_ZERO = int.from_bytes(b".0", "little")
# Longer cells are left to `tn.parse`: scratch arrays stay small whatever the input holds.
_MAX_BYTES = 40

#: The verdicts on some rows, in the columns of `normalize`.
_Verdicts = dict[str, NDArray[Any]]


def normalize(raw: pd.Series, *, api: str = "v2") -> pd.DataFrame:
    """Turn raw telephone numbers into E.164, or say why not.

    Takes text of any punctuation, one cell a row; a missing cell counts as empty. Gives a frame with the same index and
    three columns: `tn` (int64 of the E.164 digits, 19195550123; 0 when rejected), `reason` (uint8, index into
    `tn.REASONS`; 0 when accepted) and `warnings` (uint16, mask of `tn.WARNINGS`). With api "v1" a number that is not +1
    is rejected. Never raises for a bad number; TypeError for a column that is not text.
    """
    cells = pa.chunked_array(raw)
    if pa.types.is_dictionary(cells.type) or pa.types.is_null(cells.type):
        cells = cells.cast(pa.large_string())
    if not (pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type)):
        raise TypeError(
            f"The column of telephone numbers is {cells.type}, expected text: read it without type inference."
        )
    dtypes = {"tn": np.int64, "reason": np.uint8, "warnings": np.uint16}
    verdicts: _Verdicts = {name: np.empty(len(cells), dtype) for name, dtype in dtypes.items()}
    end = 0
    for chunk in cells.chunks:
        for offset in range(0, len(chunk), SLICE_ROWS):
            part = chunk.slice(offset, SLICE_ROWS)
            start, end = end, end + len(part)
            _decide(part.fill_null(""), {name: column[start:end] for name, column in verdicts.items()})
    _parse_undecided(cells, verdicts)
    if api == "v1":
        _refuse_abroad(verdicts)
    return pd.DataFrame(verdicts, index=raw.index, copy=False)


def e164(tns: NDArray[np.int64]) -> pa.Array:
    """The TNs as Arrow text, "+19195550123"; "" for 0."""
    is_near = _is_north_american(tns)
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


def _is_north_american(tns: NDArray[np.int64]) -> NDArray[np.bool_]:
    return (tns >= rules.NORTH_AMERICA[0]) & (tns <= rules.NORTH_AMERICA[-1])


def _refuse_abroad(verdicts: _Verdicts) -> None:
    is_abroad = (verdicts["tn"] > 0) & ~_is_north_american(verdicts["tn"])
    verdicts["tn"][is_abroad] = 0
    verdicts["reason"][is_abroad] = _CODE["NOT_IN_V1"]
    verdicts["warnings"][is_abroad] = 0


def _decide(part: pa.Array, out: _Verdicts) -> None:
    """Decides cells of the usual shapes; the reason of all others becomes _UNDECIDED.

    Ten digits behind nothing, 1 or +1 are read where they stand; what else there is, first loses its punctuation.
    """
    text, starts, ends = _bytes(part)
    lengths = ends - starts
    head, eight = _words_at(text, "<u4", ends - 12), _words_at(text, "<u8", ends - 8)
    has_one, has_plus = head >> 8 & 255 == _ONE, head & 255 == _PLUS
    is_plain = (lengths == 10) | (has_one & ((lengths == 11) | (has_plus & (lengths == 12))))
    is_plain &= _are_digits(eight, 8) & _are_digits(head >> 16, 2) & (head >> 16 & 255 != _ZERO)
    _settle(out, is_plain, head, eight)
    rest = np.flatnonzero(~is_plain & (lengths <= _MAX_BYTES))
    if rest.size:
        found = {name: column[rest] for name, column in out.items()}
        _decide_punctuated(part.take(pa.array(rest)), found)
        for name, column in out.items():
            column[rest] = found[name]


def _decide_punctuated(part: pa.Array, out: _Verdicts) -> None:
    """Decides punctuated numbers, `.0` at their end, blanks around them, and bare digits that are too few or too many.

    A punctuated number is decided only where its last four digits stand together and nothing but one (, or the + of +1,
    stands before the first: `tn.parse` then sees no fraction, range or sign in it.
    """
    text, starts, ends = _bytes(part)
    running = np.take(_BYTE_COUNTS, text)
    # In place: a second array of this size would be fetched from the system, and given back, for each slice.
    np.cumsum(running, out=running)
    running_end = running[ends - 1]
    counts = running_end - running[starts - 1]
    digits = np.compress(_is_digit(text), text)
    _trim(text, starts, ends)
    lengths = ends - starts

    first, tail = text[starts], _words_at(text, "<u4", ends - 4)
    has_plus = first == _PLUS
    opens = _is_digit(first) | (((first == _OPENING) | has_plus) & _is_digit(text[starts + 1]))
    # Digits and one other byte that is punctuation, and the last two are ".0": spelled like a float.
    is_float = (counts == lengths - 1) & (tail >> 16 == _POINT_ZERO)
    n_digits = (counts & _DIGITS_COUNTED) - is_float
    after_digits = (running_end & _DIGITS_COUNTED) - is_float

    head, eight = _words_at(digits, "<u4", after_digits - 12), _words_at(digits, "<u8", after_digits - 8)
    is_ten = (n_digits == 10) & ~has_plus & (head >> 16 & 255 != _ZERO)
    is_eleven = (n_digits == 11) & (head >> 8 & 255 == _ONE)
    is_usual = opens & (counts >> 32 == has_plus) & (is_ten | is_eleven) & (is_float | _are_digits(tail, 4))
    _settle(out, is_usual, head, eight)
    out["warnings"][is_float & (out["reason"] == 0)] |= _MASK["FLOAT_TEXT"]
    rest = np.flatnonzero(~is_usual)
    out["reason"][rest] = _refusals_of_bare_digits(first[rest], n_digits[rest], lengths[rest])


def _settle(out: _Verdicts, is_decided: NDArray[np.bool_], head: NDArray[Any], eight: NDArray[Any]) -> None:
    """Judges ten digits by their structure: the last two characters of `head` and the eight of `eight`."""
    first_two = (head >> 16 & 15) * 10 + (head >> 24 & 15)
    # Neighbours are joined to two, four and eight digits, all at once.
    twos = (eight & 0x0F0F0F0F0F0F0F0F) * 2561 >> 8 & 0x00FF00FF00FF00FF
    fours = twos * 6553601 >> 16 & 0x0000FFFF0000FFFF
    last_eight = fours * 42949672960001 >> 32
    # What was not decided may not even be digits.
    prefixes = np.where(is_decided, first_two * 10_000 + last_eight // 10_000, 0)
    judged = _structures()[prefixes]
    out["reason"][:] = np.where(is_decided, judged >> 8, _UNDECIDED)
    accepted = out["reason"] == 0
    out["tn"][:] = (first_two * np.uint64(100_000_000) + last_eight + np.uint64(10_000_000_000)) * accepted
    out["warnings"][:] = (judged & 255) * accepted


def _bytes(part: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """The cells' text in one piece with a margin on both sides, and where in it each cell starts and ends."""
    _, offsets, data = part.buffers()
    width = np.int32 if pa.types.is_string(part.type) else np.int64
    bounds = np.frombuffer(offsets, width)[part.offset : part.offset + len(part) + 1].astype(np.int64)
    text = np.empty(bounds[-1] - bounds[0] + 2 * _PAD_BYTES, np.uint8)
    text[:_PAD_BYTES] = _ZERO
    text[-_PAD_BYTES:] = _BLANK
    if data is not None:
        text[_PAD_BYTES:-_PAD_BYTES] = np.frombuffer(data, np.uint8)[bounds[0] : bounds[-1]]
    bounds += _PAD_BYTES - bounds[0]
    return text, bounds[:-1].copy(), bounds[1:].copy()


def _trim(text: NDArray[np.uint8], starts: NDArray[np.int64], ends: NDArray[np.int64]) -> None:
    """Moves starts and ends inwards over blanks."""
    for edges, last, step in ((starts, 0, 1), (ends, -1, -1)):
        rows = np.flatnonzero(text[edges + last] == _BLANK)
        while (rows := rows[(starts[rows] < ends[rows]) & (text[edges[rows] + last] == _BLANK)]).size:
            edges[rows] += step


def _words_at(text: NDArray[np.uint8], dtype: str, places: NDArray[np.int64]) -> NDArray[Any]:
    """The bytes from each place on, as one word."""
    word = np.dtype(dtype)
    return np.ndarray(len(text) - word.itemsize + 1, word, text, strides=(1,))[places]


def _is_digit(text: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return text - np.uint8(_ZERO) < 10


def _are_digits(words: NDArray[Any], size: int) -> NDArray[np.bool_]:
    """Whether a word's lowest bytes are digits: each is 0x30 to 0x3F, and still is with six added."""
    high, zeros, six = (words.dtype.type(int.from_bytes(bytes([byte] * size))) for byte in (0xF0, 0x30, 0x06))
    answer: NDArray[np.bool_] = (words & high == zeros) & (words + six & high == zeros)
    return answer


@cache
def _structures() -> NDArray[np.uint16]:
    """`tn.structure` by NPA and NXX, 201-555 at 201555: the reason above bit 8, the warnings below.

    A million calls would take half a second: NPA and NXX are asked apart, with exchanges of their own where N11 is one.
    """

    def judge(npa: int, nxx: int) -> tuple[int, int]:
        return rules.structure(10_000_000_000 + npa * 10_000_000 + nxx * 10_000)

    codes = range(1000)
    npas = np.array([judge(npa, 234) for npa in codes], np.uint16)
    exchanges = np.array([[judge(npa, nxx) for nxx in codes] for npa in (201, 800)], np.uint16)
    nxxs = exchanges[np.array([judge(npa, 411)[0] == 0 for npa in codes], np.intp)]
    reasons = np.where(npas[:, None, 0], npas[:, None, 0], nxxs[:, :, 0])
    warnings = (npas[:, None, 1] | nxxs[:, :, 1]) * (reasons == 0)
    judged: NDArray[np.uint16] = reasons << 8 | warnings
    return judged.ravel()


def _refusals_of_bare_digits(
    first: NDArray[np.uint8], n_digits: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """The reasons of empty cells, and of cells with too few or too many digits and nothing else."""
    # A leading 0 may be another country's way, and 20 digits are two TNs: `tn.parse` knows.
    is_bare = (n_digits == lengths) & (first != _ZERO) & (n_digits <= rules.MAX_DIGITS)
    reasons = np.full(len(first), _UNDECIDED)
    reasons[is_bare & (n_digits < 10)] = _CODE["TOO_SHORT"]
    reasons[is_bare & (n_digits > 10) & (first != _ONE)] = _CODE["COUNTRY_AMBIGUOUS"]
    reasons[is_bare & (n_digits > 11) & (first == _ONE)] = _CODE["TOO_LONG"]
    reasons[lengths == 0] = _CODE["EMPTY"]
    return reasons


def _parse_undecided(cells: pa.ChunkedArray, verdicts: _Verdicts) -> None:
    rows = np.flatnonzero(verdicts["reason"] == _UNDECIDED)
    if not rows.size:
        return
    distinct = cells.take(pa.array(rows)).combine_chunks().dictionary_encode()
    names = rules.Parsed._fields
    # Straight into an array: thousands of tuples kept at once would set off the garbage collector.
    parsed = (rules.parse(cell, international=_judge_abroad) for cell in distinct.dictionary.to_pylist())
    numbers = np.fromiter(chain.from_iterable(parsed), np.int64).reshape(-1, len(names))[distinct.indices]
    for place, name in enumerate(names):
        verdicts[name][rows] = numbers[:, place]


def _judge_abroad(digits: int) -> tuple[int, int]:
    """(Reason, warnings) of the digits of a number that is not +1, as they were typed."""
    text = str(digits)
    for length in (1, 2, 3):
        if country := _country(text[:length]):
            break
    else:
        return rules.REASON["COUNTRY_UNKNOWN"], 0
    national = text[length:]
    if len(text) > rules.MAX_DIGITS or len(national) not in country.lengths:
        return rules.REASON["INTL_BAD_LENGTH"], 0
    return 0, 0 if country.pattern.fullmatch(national) else int(_MASK["INTL_UNVERIFIED"])


class _Country(NamedTuple):
    #: how many digits may follow the country code
    lengths: frozenset[int]
    #: what a valid number looks like without the country code
    pattern: re.Pattern[str]


@cache
def _country(code: str) -> _Country | None:
    """What libphonenumber knows of a country code.

    The metadata is asked for the digits as typed: the library's `parse` drops a trunk 0, and takes ten times as long.
    """
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

    names = COUNTRY_CODE_TO_REGION_CODE.get(int(code), ())
    regions: list[Any] = [PhoneMetadata.metadata_for_region_or_calling_code(int(code), name) for name in names]
    if not regions:
        return None
    kinds = (
        *("fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost"),
        *("personal_number", "voip", "pager", "uan", "voicemail"),
    )
    descriptions = [getattr(region, kind) for region in regions for kind in kinds]
    patterns = [each.national_number_pattern for each in descriptions if each and each.national_number_pattern]
    return _Country(frozenset(regions[0].general_desc.possible_length), re.compile("|".join(patterns)))
