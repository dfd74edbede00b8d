"""What a telephone number is: the one statement of the rules, for a single cell.

Structure decides: ten digits NPA-NXX-XXXX, or + and a country code. Nothing is repaired by guessing, so that an accepted TN
consists of exactly the digits that were typed. What the published lists say of area codes and of other countries is asked of
the caller (`numbering`, `international`); columns of cells are the business of `normalize`, which gives the same answers faster.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from batcher import cell as cells
from batcher.cell import is_not_data
from batcher.codes import MASK, REASON, REASONS, WARNINGS, Reason

__all__ = [
    "IN_SERVICE",
    "MASK",
    "MAX_DIGITS",
    "NORTH_AMERICA",
    "REASON",
    "REASONS",
    "WARNINGS",
    "International",
    "Numbering",
    "Parsed",
    "Reason",
    "Rules",
    "from_wire",
    "is_not_data",
    "north_american",
    "parse",
    "span",
    "split",
    "structure",
    "to_wire",
]

#: Says (reason, warnings) of the digits of a number that is not +1; it may get 16 digits, never more.
International = Callable[[int], tuple[int, int]]
#: Says what the published lists know of an NPA: the mask of NPA_UNRECOGNIZED, NOT_US, or 0.
Numbering = Callable[[int], int]


@dataclass(frozen=True, slots=True)
class Rules:
    """How much a job allows. ValueError for a version or a name that does not exist."""

    #: "v1" takes North American numbers alone
    api: str = "v2"
    #: refuse scientific notation even with all digits, and area codes that are not known to be in service
    strict: bool = False
    #: of "extensions", "vanity" and "labels": what is dropped or dialled with a warning instead of refused
    relax: frozenset[str] = frozenset()
    #: area codes (NPAs) that are in service, whatever the published lists say
    known_npas: frozenset[int] = frozenset()

    def __post_init__(self) -> None:
        if self.api not in {"v1", "v2"}:
            raise ValueError(f"There is no API {self.api!r}: it is v1 or v2.")
        if unknown := sorted(self.relax - cells.RELAXATIONS.keys()):
            raise ValueError(f"{unknown[0]!r} cannot be relaxed: there are {', '.join(sorted(cells.RELAXATIONS))}.")


class Parsed(NamedTuple):
    """What one cell says; a rejected cell has no TN and no warnings."""

    #: E.164 digits, 0 when rejected
    tn: int
    #: index into REASONS, 0 when accepted
    reason: int
    #: a bit 1 << position for each of WARNINGS
    warnings: int


_DEFAULT = Rules()

#: The TNs of the North American numbering plan, +1.
NORTH_AMERICA = range(1_200_000_0000, 1_999_999_9999 + 1)
#: Longest E.164 number in digits (ITU-T E.164, 6.2.1).
MAX_DIGITS = 15

#: NPAs that were in service before libphonenumber 9.0.43 (2026) knew them, by their regulators' notices and the first
#: carriers' announcements: IL 2023, NY 2023, OH 2024, MN 2024, TX 2025, CA 2025, TN 2025, LA 2025, MI 2025, MS 2026.
IN_SERVICE = frozenset({861, 624, 436, 924, 621, 357, 729, 457, 679, 471})

#: Toll-free area codes (NANPA): they carry no warning.
TOLL_FREE = frozenset({800, 833, 844, 855, 866, 877, 888})
# Area codes outside geography.
_EASILY_RECOGNIZED = frozenset(range(200, 1000, 100)) | {
    hundreds * 100 + pair * 11 for hundreds in range(2, 10) for pair in range(2, 9)
}
_OUTSIDE_GEOGRAPHY = (_EASILY_RECOGNIZED - TOLL_FREE - {900}) | {456, 532, 710, *range(521, 530)}
_KNOWN = _OUTSIDE_GEOGRAPHY | IN_SERVICE | {900}
# Where area codes are places, N11 is a service (411); elsewhere it may be an exchange (1-800-411-PAIN).
_HAVE_N11 = _OUTSIDE_GEOGRAPHY | TOLL_FREE | {900}
_SPECIAL_EXCHANGES = frozenset({950, 958, 959, 976})

_BARE = re.compile(r"\+?[0-9]{1,15}")
_NOT_DIGITS = re.compile(r"[^0-9]+")
_TRUNK_ZERO = re.compile(r"\( *0[0-9 ]*\)")
#: Where it belongs to the number: Italy, San Marino, the Vatican.
_OWN_ZERO = ("39", "378", "379")
#: Nobody groups digits like this: it is a float's text, and its fraction would be digits of the number.
_FRACTION = re.compile(r"[^.]*\.[0-9]{1,3}|.*\.[0-9]")
_WIRE = re.compile(r"\+?[1-9][0-9]{0,14}")


def parse(
    cell: str,
    rules: Rules = _DEFAULT,
    *,
    international: International | None = None,
    numbering: Numbering | None = None,
) -> Parsed:
    """The TN that stands in one cell, or the first reason why there is none.

    Without `international`, a number that is not +1 is refused as COUNTRY_UNKNOWN; without `numbering` every area code
    that can exist counts as a US one in service. Nothing is raised for any text.
    """
    text, warnings = cells.visible(cell)
    if not _BARE.fullmatch(text):
        text, spelled = cells.spelled_out(cells.without_guard(text), strict=rules.strict)
        text, code, dropped = cells.relaxed(text, rules.relax)
        if code:
            return Parsed(0, REASON[code], 0)
        warnings |= spelled | dropped
    tn, reason, told = _judge(text, rules, international, numbering)
    if not reason and rules.api == "v1" and tn not in NORTH_AMERICA:
        reason = REASON["NOT_IN_V1"]
    return Parsed(0, reason, 0) if reason else Parsed(tn, 0, warnings | told)


def structure(tn: int, rules: Rules = _DEFAULT, numbering: Numbering | None = None) -> tuple[int, int]:
    """(Reason, warnings) of an eleven-digit +1 number by the North American numbering plan (NANPA).

    Whether the area code is in service only warns, unless the rules are strict: the published lists lag behind by years.
    """
    npa, nxx = tn // 10_000_000 % 1000, tn // 10_000 % 1000
    if npa < 200 or npa // 10 % 10 == 9 or npa % 100 == 11:
        return REASON["NANP_BAD_NPA"], 0
    warnings = numbering(npa) if numbering else 0
    if npa in _KNOWN or npa in rules.known_npas:
        warnings &= ~MASK["NPA_UNRECOGNIZED"]
    if rules.strict and warnings & MASK["NPA_UNRECOGNIZED"]:
        return REASON["NANP_BAD_NPA"], 0
    if nxx < 200 or (nxx % 100 == 11 and npa not in _HAVE_N11):
        return REASON["NANP_BAD_NXX"], 0
    if npa == 900:
        warnings |= MASK["PREMIUM"]
    elif npa in _OUTSIDE_GEOGRAPHY:
        warnings |= MASK["NON_GEOGRAPHIC"]
    if nxx == 555:
        warnings |= MASK["FICTIONAL_555"]
    if nxx in _SPECIAL_EXCHANGES:
        warnings |= MASK["SPECIAL_NXX"]
    return 0, warnings


def split(cell: str, international: International | None = None) -> tuple[str, ...]:
    """The parts of a MULTIPLE_TNS cell as they were typed, each of them one accepted TN by itself; else ().

    Digits that run together are never cut. Without `international`, only +1 TNs are accepted.
    """
    if parse(cell).reason == REASON["MULTIPLE_TNS"]:
        for parts in cells.apart(cells.without_guard(cells.visible(cell)[0])):
            if len(parts) > 1 and all(parse(part, international=international).tn for part in parts):
                return tuple(parts)
    return ()


def span(cell: str) -> range | None:
    """The TNs of a TN_RANGE cell, `201-555-1000 - 1099`: ascending within one NPA-NXX, thus at most 10,000; else None.

    Behind the first TN stand either the last four digits or another whole TN; one or two digits may mean anything.
    """
    if parse(cell).reason != REASON["TN_RANGE"]:
        return None
    if not (ends := cells.ends(cells.without_guard(cells.visible(cell)[0]))):
        return None
    first, last = parse(ends[0]).tn, parse(ends[1]).tn
    if re.fullmatch(r"[0-9]{4}", ends[1]):
        last = first // 10_000 * 10_000 + int(ends[1])
    is_ascending = 0 < first < last and first // 10_000 == last // 10_000
    return range(first, last + 1) if is_ascending else None


def north_american(ten_digits: int) -> int:
    """The TN of ten digits: +1 and these. Inside, ten digits alone would be a number of another country."""
    assert 2_000_000_000 <= ten_digits <= 9_999_999_999, f"{ten_digits} is no ten-digit number"
    return 10_000_000_000 + ten_digits


def to_wire(tn: int, api: str) -> str:
    """The form that one API version wants: v1 ten digits, v2 E.164. ValueError where v1 has none."""
    if api == "v2" and tn > 0:
        return f"+{tn}"
    if api == "v1" and tn in NORTH_AMERICA:
        return str(tn)[1:]
    raise ValueError(f"{tn} has no form in the API {api}: v1 takes North American numbers, v2 any number but 0.")


def from_wire(text: str) -> int:
    """The TN of a carrier's answer, with or without + and 1; 0 when it is none."""
    text = text.strip()
    if not _WIRE.fullmatch(text):
        return 0
    if len(text) != 10 or text[0] == "+":
        return int(text)
    return north_american(int(text)) if text[0] != "1" else 0


def _judge(
    text: str, rules: Rules, international: International | None, numbering: Numbering | None
) -> tuple[int, int, int]:
    """(TN, reason, warnings) of digits with punctuation, by country and length."""
    digits = _NOT_DIGITS.sub("", text)
    has_plus = "+" in text
    if (has_plus or digits.startswith("011")) and _FRACTION.fullmatch(text):
        return 0, REASON["NON_INTEGER"], 0
    if has_plus and digits[0] != "1":
        return _judge_abroad(digits, text, international)
    if not has_plus and digits.startswith("011") and len(digits) > 3:
        return _judge_abroad(digits[3:], text, international)
    if not has_plus and digits.startswith("00"):
        return 0, REASON["COUNTRY_AMBIGUOUS"], 0
    if len(digits) == 10 and not has_plus:
        digits = "1" + digits
    if len(digits) < 11:
        return 0, REASON["TOO_SHORT"], 0
    if digits[0] != "1" and len(digits) <= MAX_DIGITS:
        return 0, REASON["COUNTRY_AMBIGUOUS"], 0
    if len(digits) > 11:
        return 0, REASON["TOO_LONG"], 0
    return int(digits), *structure(int(digits), rules, numbering)


def _judge_abroad(digits: str, text: str, international: International | None) -> tuple[int, int, int]:
    """The same for the digits behind a + that is not +1, or behind the prefix 011."""
    # `+2015551234` would do for Egypt by accident; whoever wrote it meant +1.
    is_north_american = len(digits) == 10 and not structure(int("1" + digits))[0]
    # Not what the text begins with: (011).
    has_trunk_zero = _TRUNK_ZERO.search(text, 1) and not digits.startswith(_OWN_ZERO)
    if digits[0] == "1" or is_north_american or has_trunk_zero:
        return 0, REASON["COUNTRY_AMBIGUOUS"], 0
    if digits[0] == "0" or international is None:
        return 0, REASON["COUNTRY_UNKNOWN"], 0
    # Sixteen digits are too many in every country: the rest of a long cell changes nothing.
    tn = int(digits[: MAX_DIGITS + 1])
    return tn, *international(tn)
