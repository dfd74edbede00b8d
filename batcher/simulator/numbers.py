"""Telephone numbers as the simulated carrier reads and writes them, and sets of them named in an account file.

Inside they are integers of their E.164 digits; 0 is a text that is no TN. The client's rules are not used here:
the two sides have to agree by the carrier's documents, not by shared code.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Tns = NDArray[np.int64]

_NANP = r"(?:\+1)?[2-9][0-9]{2}[2-9][0-9]{6}"
_ALL_NANP = re.compile(rf"(?:{_NANP}\n)*")
_ONE_NANP = re.compile(_NANP)
_FOREIGN = re.compile(r"\+[2-9][0-9]{6,14}")
_PATTERN = re.compile(r"\+[0-9]{1,15}\*?|\*")
_LONGEST = 15
_NANP_START, _NANP_END = 1_000_000_0000, 2_000_000_0000


def read_tn(text: str, api: str) -> int:
    """E.164 digits of ten digits or `+…`, 0 for anything else; v1 knows +1 alone (API.md 1.4)."""
    if _ONE_NANP.fullmatch(text):
        return int(text) if text.startswith("+") else _NANP_START + int(text)
    return int(text) if api == "v2" and _FOREIGN.fullmatch(text) else 0


def read_tns(texts: Sequence[str], api: str) -> Tns:
    """As `read_tn`, for a whole order: one pass when all are good +1 TNs."""
    joined = "\n".join(texts) + "\n"
    if joined.count("\n") != len(texts) or not _ALL_NANP.fullmatch(joined):
        return np.array([read_tn(text, api) for text in texts], np.int64)
    tns = np.array(list(map(int, texts)), np.int64)
    tns[tns < _NANP_START] += _NANP_START
    return tns


def wire(tn: int, api: str) -> str:
    """The TN as that version answers it: v1 ten digits (E.164 where it is not +1), v2 E.164."""
    if api == "v1" and is_nanp(tn):
        return str(tn - _NANP_START)
    return f"+{tn}"


def is_nanp(tn: int) -> bool:
    """It is a +1 number."""
    return _NANP_START <= tn < _NANP_END


@dataclass(frozen=True)
class TnSet:
    """TNs named one by one (`+19195550123`), by their first digits (`+1919555*`), or all (`*`)."""

    #: ascending
    exact: Tns
    #: inclusive
    ranges: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, patterns: Sequence[str]) -> TnSet:
        """ValueError names the pattern that is none."""
        for pattern in patterns:
            if not _PATTERN.fullmatch(pattern):
                raise ValueError(f'"{pattern}" is no TN; write +19195550123, +1919555* or *')
        exact = sorted(int(pattern) for pattern in patterns if not pattern.endswith("*"))
        starts = [pattern.strip("+*") for pattern in patterns if pattern.endswith("*")]
        return cls(np.array(exact, np.int64), tuple(reach for start in starts for reach in _ranges(start)))

    def holds(self, tns: Tns) -> NDArray[np.bool_]:
        """Which of `tns` are in the set."""
        mask = np.isin(tns, self.exact)
        for low, high in self.ranges:
            mask |= (tns >= low) & (tns <= high)
        return mask


def _ranges(start: str) -> list[tuple[int, int]]:
    """The numbers that begin with `start`, one range for each length up to 15 digits."""
    if not start:
        return [(1, 10**_LONGEST - 1)]
    first = int(start)
    return [(first * 10**more, (first + 1) * 10**more - 1) for more in range(_LONGEST - len(start) + 1)]
