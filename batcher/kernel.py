"""Columns of text in, verdicts out: the usual shapes of North American numbers, decided over Arrow buffers without a loop.

What is decided here is decided exactly as `tn.parse` would; every other cell is left to the caller as UNDECIDED or ABROAD.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from batcher import numbering, tn

#: In the place of a reason: the cell is left to `tn.parse`.
UNDECIDED = np.uint8(255)
#: The same for + and three to fifteen digits that are not +1: their country is to be asked, and nothing else.
ABROAD = np.uint8(254)

_CODE = {code: np.uint8(index) for code, index in tn.REASON.items()}
_FLOAT_TEXT = np.uint16(tn.MASK["FLOAT_TEXT"])

# Digits in front of a slice's text, so that words which end early in the first row can be read.
_PAD_BYTES = 16
# Longer cells are left to `tn.parse`: scratch arrays stay small, and counts of a cell fit beside each other.
_MAX_BYTES = 40
# What a byte adds to the running counts: digits are counted below bit 7, what is no punctuation above.
_BYTE_COUNTS = bytes(1 if byte in b"0123456789" else 0 if byte in b" ().-" else 128 for byte in range(256))
_BLANK, _OPENING, _CLOSING, _PLUS, _HYPHEN, _DOT, _ZERO, _ONE = b" ()+-.01"
_POINT_ZERO = int.from_bytes(b".0", "little")
# Two digits' nibbles may be 165, four 16,665: garbage in an undecided row stays within the table of prefixes.
_PREFIXES = 165 * 10_000 + 16_665 + 1


class Verdicts(NamedTuple):
    """The verdicts on some rows, column by column; TN and warnings are 0 where a row was not accepted."""

    tn: NDArray[np.int64]
    reason: NDArray[np.uint8]
    warnings: NDArray[np.uint16]

    @classmethod
    def empty(cls, rows: int) -> Verdicts:
        return cls(np.empty(rows, np.int64), np.empty(rows, np.uint8), np.empty(rows, np.uint16))

    def rows(self, start: int, end: int) -> Verdicts:
        """Views, to be written through."""
        return Verdicts(self.tn[start:end], self.reason[start:end], self.warnings[start:end])

    def take(self, rows: NDArray[np.integer[Any]]) -> Verdicts:
        return Verdicts(self.tn[rows], self.reason[rows], self.warnings[rows])

    def put(self, rows: NDArray[np.integer[Any]], told: Verdicts) -> None:
        self.tn[rows], self.reason[rows], self.warnings[rows] = told


class _Digits(NamedTuple):
    """Ten digits of each row, as they stand in text; anything where `is_read` is False."""

    is_read: NDArray[np.bool_]
    #: the first two, the second above bit 8
    two: NDArray[Any]
    #: the other eight
    eight: NDArray[Any]


def decide(part: pa.Array, out: Verdicts, *, rules: tn.Rules) -> None:
    """Decide what can be decided of text without nulls; the reason of the other rows becomes UNDECIDED or ABROAD."""
    text, starts, ends = _bytes(part)
    lengths = ends - starts
    front, eight = _words_at(text, "<u8", ends - 16), _words_at(text, "<u8", ends - 8)
    is_read, two, _ = digits = _plain(front, eight, lengths)
    rest = np.flatnonzero(~is_read)
    if rest.size:
        grouped = _grouped(front[rest], eight[rest], lengths[rest])
        is_read[rest], two[rest], eight[rest] = grouped
        rest = rest[~grouped.is_read & (lengths[rest] <= _MAX_BYTES)]
    if not rest.size:
        settle(out, digits, rules=rules)
        return
    punctuated, is_float, refused = _punctuated(part.take(pa.array(rest)))
    is_read[rest], two[rest], eight[rest] = punctuated
    settle(out, digits, rules=rules)
    out.reason[rest[~punctuated.is_read]] = refused[~punctuated.is_read]
    floats = rest[is_float & punctuated.is_read]
    out.warnings[floats[out.reason[floats] == 0]] |= _FLOAT_TEXT


def settle(out: Verdicts, digits: _Digits, *, rules: tn.Rules) -> None:
    """Judge ten digits by their structure."""
    is_read, two, eight = digits
    # Neighbours are joined to two and four digits, all at once.
    twos = (eight & 0x0F0F0F0F0F0F0F0F) * 2561 >> 8 & 0x00FF00FF00FF00FF
    fours = (twos * 6553601 >> 16 & 0x0000FFFF0000FFFF).view(np.uint32).astype(np.int64)
    prefixes = (((two & 15) * 10 + (two >> 8 & 15)) * 10_000).astype(np.int64) + fours[0::2]
    judge(out, prefixes, fours[1::2], rules=rules)
    unread = np.flatnonzero(~is_read)
    out.tn[unread], out.reason[unread], out.warnings[unread] = 0, UNDECIDED, 0


def judge(out: Verdicts, prefixes: NDArray[np.int64], lines: NDArray[np.int64], *, rules: tn.Rules) -> None:
    """Judge NPA-NXX (201555) and line (100) by the structure of +1 numbers."""
    kinds, reasons, warnings = _structures(rules.strict, rules.known_npas)
    kind = kinds[prefixes]
    np.take(reasons, kind, out=out.reason, mode="clip")
    np.take(warnings, kind, out=out.warnings, mode="clip")
    np.multiply(prefixes * 10_000 + lines + 10_000_000_000, out.reason == 0, out=out.tn)


@cache
def _structures(
    strict: bool, known_npas: frozenset[int]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint16]]:
    """`tn.structure` by NPA and NXX: a kind for 201-555 at 201555, and the reason and warnings of each kind.

    A million calls would take a second: area codes that are judged alike are judged once, and so are exchanges.
    """
    rules = tn.Rules(strict=strict, known_npas=known_npas)

    def judged(npa: int, nxx: int) -> tuple[int, int]:
        return tn.structure(10_000_000_000 + npa * 10_000_000 + nxx * 10_000, rules, numbering.of_npa)

    # With and without N11, and in an area code that may have it.
    npas = [(judged(code, 234), judged(code, 411)) for code in range(1000)]
    nxxs = [(judged(201, code), judged(800, code)) for code in range(1000)]
    npa_kinds, nxx_kinds = sorted(set(npas)), sorted(set(nxxs))
    verdicts = [judged(npas.index(npa), nxxs.index(nxx)) for npa in npa_kinds for nxx in nxx_kinds]
    rows = np.array([npa_kinds.index(npa) * len(nxx_kinds) for npa in npas], np.uint8)
    columns = np.array([nxx_kinds.index(nxx) for nxx in nxxs], np.uint8)
    kinds = np.zeros(_PREFIXES, np.uint8)
    kinds[:1_000_000] = (rows[:, None] + columns).ravel()
    reasons, warnings = zip(*verdicts, strict=True)
    return kinds, np.array(reasons, np.uint8), np.array(warnings, np.uint16)


def _plain(front: NDArray[np.uint64], eight: NDArray[np.uint64], lengths: NDArray[np.int64]) -> _Digits:
    """Ten digits behind nothing, 1 or +1."""
    two = front >> 48
    has_one, has_plus = _is(front, 5, _ONE), _is(front, 4, _PLUS)
    is_plain = (lengths == 10) | (has_one & ((lengths == 11) | (has_plus & (lengths == 12))))
    is_plain &= _are_digits(eight, range(8)) & _are_digits(two, range(2)) & ~_is(two, 0, _ZERO)
    return _Digits(is_plain, two, eight)


def _grouped(front: NDArray[np.uint64], eight: NDArray[np.uint64], lengths: NDArray[np.int64]) -> _Digits:
    """`919-234-0123`, `(919)234-0123` and `(919) 234-0123`, behind nothing, `1-` or `+1-`; hyphens may be dots or blanks."""
    # The blank of "(919) 234" is shifted out, and then its parenthesis: digits and what stands before are in one place.
    is_spaced = _is(front, 6, _CLOSING) & _is(front, 7, _BLANK)
    front <<= is_spaced * np.uint64(8)
    is_enclosed = _is(front, 7, _CLOSING) & _is(front, 3, _OPENING)
    before = front << (is_enclosed * np.uint64(8))
    n_before = lengths - 12 - is_spaced - is_enclosed
    has_one = _is_separator(before, 3) & _is(before, 2, _ONE)
    opens = (n_before == 0) | (has_one & ((n_before == 2) | ((n_before == 3) & _is(before, 1, _PLUS))))
    is_grouped = opens & (is_enclosed | _is_separator(front, 7)) & _is_separator(eight, 3)
    is_grouped &= _are_digits(front, (4, 5, 6)) & _are_digits(eight, (0, 1, 2, 4, 5, 6, 7)) & ~_is(front, 4, _ZERO)
    joined = (front >> 48 & 0xFF) | (eight & 0xFFFFFF) << 8 | eight & 0xFFFFFFFF00000000
    return _Digits(is_grouped, front >> 32 & 0xFFFF, joined)


def _punctuated(part: pa.Array) -> tuple[_Digits, NDArray[np.bool_], NDArray[np.uint8]]:
    """Any other punctuation, `.0` at the end, blanks around: digits, whether there was a `.0`, reasons of the unread rows.

    A number is read only where its last four digits stand together and nothing but one (, or the + of +1, stands before
    the first: `tn.parse` then sees no fraction, range or sign in it.
    """
    text, starts, ends = _bytes(part)
    # Sums of a row are exact although the running ones overflow: no cell is long.
    running = np.cumsum(np.frombuffer(text.tobytes().translate(_BYTE_COUNTS), np.uint8), dtype=np.uint16)
    counts = running[ends - 1] - running[starts - 1]
    n_digits = (counts & 127).astype(np.int64)
    after_digits = np.cumsum(n_digits) + _PAD_BYTES
    digits = np.compress(_is_digit(text), text)
    _trim(text, starts, ends)
    lengths = ends - starts

    first, tail = text[starts], _words_at(text, "<u4", ends - 4)
    has_plus = first == _PLUS
    opens = _is_digit(first) | (((first == _OPENING) | has_plus) & _is_digit(text[starts + 1]))
    # Digits and one other byte that is punctuation, and the last two are ".0": spelled like a float.
    is_float = (counts == lengths - 1) & (tail >> 16 == _POINT_ZERO)
    n_digits -= is_float
    after_digits -= is_float

    two = _words_at(digits, "<u2", after_digits - 10).astype(np.uint64)
    is_ten = (n_digits == 10) & ~has_plus & ~_is(two, 0, _ZERO)
    is_eleven = (n_digits == 11) & (digits[after_digits - 11] == _ONE)
    is_usual = opens & (counts >> 7 == has_plus) & (is_ten | is_eleven) & (is_float | _are_digits(tail, range(4)))
    # 2023-4-5 0815 may be a date and a time: `tn.parse` knows.
    is_like_year = ((first == _ONE) | (first == _ONE + 1)) & _is_digit(text[starts + 3])
    is_usual &= ~(is_like_year & _is_separator(_words_at(text, "u1", starts + 4), 0))
    refused = _refusals_of_bare_digits(first, n_digits, lengths)
    # Ten digits behind a + may be a North American number: `tn.parse` knows.
    is_abroad = has_plus & (counts == lengths + 127) & (n_digits >= 3) & (n_digits <= tn.MAX_DIGITS) & (n_digits != 10)
    refused[is_abroad & (text[starts + 1] > _ONE)] = ABROAD
    return _Digits(is_usual, two, _words_at(digits, "<u8", after_digits - 8)), is_float, refused


def _refusals_of_bare_digits(
    first: NDArray[np.uint8], n_digits: NDArray[np.int64], lengths: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """The reasons of empty cells, and of cells with too few or too many digits and nothing else."""
    # A leading 0 may be another country's way, and 20 digits are two TNs: `tn.parse` knows.
    is_bare = (n_digits == lengths) & (first != _ZERO) & (n_digits <= tn.MAX_DIGITS)
    reasons = np.full(len(first), UNDECIDED)
    reasons[is_bare & (n_digits < 10)] = _CODE["TOO_SHORT"]
    reasons[is_bare & (n_digits > 10) & (first != _ONE)] = _CODE["COUNTRY_AMBIGUOUS"]
    reasons[is_bare & (n_digits > 11) & (first == _ONE)] = _CODE["TOO_LONG"]
    reasons[lengths == 0] = _CODE["EMPTY"]
    return reasons


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


def _is(words: NDArray[Any], place: int, byte: int) -> NDArray[np.bool_]:
    answer: NDArray[np.bool_] = words >> 8 * place & 255 == byte
    return answer


def _is_separator(words: NDArray[Any], place: int) -> NDArray[np.bool_]:
    byte = (words >> 8 * place).astype(np.uint8)
    answer: NDArray[np.bool_] = (byte == _HYPHEN) | (byte == _DOT) | (byte == _BLANK)
    return answer


def _is_digit(text: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return text - np.uint8(_ZERO) < 10


@cache
def _masks(dtype: np.dtype[Any], places: range | tuple[int, ...]) -> list[Any]:
    return [dtype.type(sum(byte << 8 * place for place in places)) for byte in (0xF0, 0x30, 0x06)]


def _are_digits(words: NDArray[Any], places: range | tuple[int, ...]) -> NDArray[np.bool_]:
    """Whether these bytes of a word are digits: each is 0x30 to 0x3F, and still is with six added."""
    high, zeros, six = _masks(words.dtype, places)
    answer: NDArray[np.bool_] = (words & high == zeros) & (words + six & high == zeros)
    return answer
