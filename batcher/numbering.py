"""What libphonenumber's metadata says of area codes, and of the numbers of other countries.

It only informs: the lists lag behind by years, so `tn` decides what follows from them. The metadata is read directly, for
the digits as they were typed: the library's own `parse` drops a trunk 0, and takes ten times as long.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from batcher.tn import MASK, MAX_DIGITS, REASON

_KINDS = (
    *("fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost"),
    *("personal_number", "voip", "pager", "uan", "voicemail"),
)
# Territories whose carriers are American ones, under the same regulator, count as the United States.
_AMERICAN = frozenset({"US", "AS", "GU", "MP", "PR", "VI"})


def of_npa(npa: int) -> int:
    """What is known of an area code: the mask of NPA_UNRECOGNIZED, of NOT_US, or 0.

    Toll-free numbers and others that belong to all of +1 are no other country's.
    """
    return _npas().get(npa, MASK["NPA_UNRECOGNIZED"])


def abroad(digits: int) -> tuple[int, int]:
    """(Reason, warnings) of the digits of a number that is not +1, as they were typed."""
    text = str(digits)
    code = text[: _code_lengths()[int(text[:3].ljust(3, "0"))]]
    country = _country(code) if code else None
    # A country code may be cut off: half a code is none.
    if country is None:
        return REASON["COUNTRY_UNKNOWN"], 0
    national = text[len(code) :]
    if len(text) > MAX_DIGITS or not country.fits[len(national)]:
        return REASON["INTL_BAD_LENGTH"], 0
    return 0, 0 if country.pattern.fullmatch(national) else MASK["INTL_UNVERIFIED"]


def all_abroad(digits: pa.StringArray) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """The same for many, each of three digits at least and MAX_DIGITS at most: country by country."""
    reasons = np.full(len(digits), REASON["COUNTRY_UNKNOWN"], np.uint8)
    warnings = np.zeros(len(digits), np.uint16)
    totals = pc.binary_length(digits).to_numpy()
    heads = digits.cast(pa.int64()).to_numpy() // 10 ** (totals - np.int64(3))
    lengths = _code_lengths()[heads]
    codes = heads // np.array([1000, 100, 10, 1])[lengths]
    for code in np.unique(codes[lengths > 0]).tolist():
        rows = np.flatnonzero(codes == code)
        if (country := _country(str(code))) is None:
            continue
        start = len(str(code))
        fits = country.fits[totals[rows] - start]
        national = [text[start:] for text in digits.take(pa.array(rows)).to_pylist()]
        is_known = np.fromiter(map(bool, map(country.pattern.fullmatch, national)), np.bool_, len(rows))
        reasons[rows] = np.where(fits, 0, REASON["INTL_BAD_LENGTH"])
        warnings[rows] = np.where(fits & ~is_known, MASK["INTL_UNVERIFIED"], 0)
    return reasons, warnings


class _Country(NamedTuple):
    #: whether so many digits may follow the country code
    fits: NDArray[np.bool_]
    #: what a valid number looks like without the country code
    pattern: re.Pattern[str]


@cache
def _code_lengths() -> NDArray[np.int8]:
    """By the first three digits of a number: how many of them are a country code, 0 where none is one."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE

    lengths = np.zeros(1000, np.int8)
    for code in COUNTRY_CODE_TO_REGION_CODE:
        places = 10 ** (3 - len(str(code)))
        lengths[code * places : (code + 1) * places] = len(str(code))
    return lengths


@cache
def _country(code: str) -> _Country | None:
    regions = _regions(int(code))
    if not regions:
        return None
    patterns = re.compile("|".join(map(_pattern, regions)))
    lengths = list(regions[0][1].general_desc.possible_length)
    return _Country(np.isin(np.arange(max(MAX_DIGITS, *lengths) + 1), lengths), patterns)


def _regions(code: int) -> list[tuple[str, Any]]:
    """Name and metadata of each region with a country code."""
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE, PhoneMetadata

    names = COUNTRY_CODE_TO_REGION_CODE.get(code, ())
    return [(name, PhoneMetadata.metadata_for_region_or_calling_code(code, name)) for name in names]


def _pattern(region: tuple[str, Any]) -> str:
    descriptions = [getattr(region[1], kind) for kind in _KINDS]
    return "|".join(each.national_number_pattern for each in descriptions if each and each.national_number_pattern)


@cache
def _npas() -> dict[int, int]:
    """`of_npa` for each area code in which some region of +1 has numbers."""
    regions = _regions(1)
    # Small countries are told by their area codes, as in libphonenumber itself; a pattern of theirs holds +1's shared
    # numbers besides. The United States and Canada have no such list: an exchange of each hundred is tried.
    small = [(name, re.compile(region.leading_digits)) for name, region in regions if region.leading_digits]
    large = [(name, re.compile(_pattern((name, region)))) for name, region in regions if not region.leading_digits]
    npas = {}
    for npa in range(200, 1000):
        names = {name for name, leading in small if leading.fullmatch(str(npa))}
        samples = [f"{npa}{hundred}340123" for hundred in range(2, 10)]
        names |= {name for name, pattern in large if any(map(pattern.fullmatch, samples))}
        if names:
            npas[npa] = 0 if names & _AMERICAN else MASK["NOT_US"]
    return npas
