"""What a telephone number is: the one statement of the rules, for a single cell.

Structure decides: ten digits NPA-NXX-XXXX, or + and a country code. Nothing is repaired by guessing, so that an accepted TN
consists of exactly the digits that were typed. Whether another country has such a number is asked of the caller
(`international`); columns of cells are the business of `normalize`, which gives the same answers faster.
"""

from __future__ import annotations

import operator
import re
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

#: Says (reason, warnings) of the digits of a number that is not +1; it may get 16 digits, never more.
International = Callable[[int], tuple[int, int]]


class Reason(NamedTuple):
    """A code of the reports and a sentence for people: what is wrong, and the way out."""

    code: str
    hint: str


class Parsed(NamedTuple):
    """What one cell says; a rejected cell has no TN and no warnings."""

    #: E.164 digits, 0 when rejected
    tn: int
    #: index into REASONS, 0 when accepted
    reason: int
    #: a bit 1 << position for each of WARNINGS
    warnings: int


#: Why a cell is refused, in order of precedence; the first stands for *accepted*.
REASONS = (
    Reason("", ""),
    Reason("ROW_MALFORMED", "The line has too few or too many cells: quote cells that contain the delimiter."),
    Reason("EMPTY", "The cell is empty: fill in a telephone number or delete the row."),
    Reason("NOT_DATA", "This is a heading, a total or a comment: delete the row."),
    Reason("URI", "This is an address: write the telephone number alone."),
    Reason("SCI_NOTATION", "A spreadsheet rounded the number away: format the column as text and export it again."),
    Reason("NON_INTEGER", "The number has a fraction: write the telephone number as text."),
    Reason("TN_RANGE", "This is a range: write one row for each telephone number."),
    Reason("MULTIPLE_TNS", "The cell holds several telephone numbers: write one row for each."),
    Reason("EXTENSION", "A telephone number has no extension: remove it if the whole line is meant."),
    Reason("LETTERS", "The cell holds letters: write the telephone number in digits alone."),
    Reason("NOT_A_NUMBER", "This is a spreadsheet's error, formula or filler: write the telephone number itself."),
    Reason("BAD_CHARACTER", "Only digits, blanks and ( ) . - / belong here, with a + in front where needed."),
    Reason("COUNTRY_UNKNOWN", "No country has this code: check the digits after the +."),
    Reason("COUNTRY_AMBIGUOUS", "The country is not certain: write + and its code (+1?), without 00 and without (0)."),
    Reason("TOO_SHORT", "Too few digits: North America has ten; numbers of other countries need + and their code."),
    Reason("TOO_LONG", "Too many digits: North America has ten, or eleven with a leading 1."),
    Reason("INTL_BAD_LENGTH", "Numbers of this country have another length: check the digits after the country code."),
    Reason(
        "NANP_BAD_NPA", "No North American area code looks like this: if it is another country, add + and its code."
    ),
    Reason("NANP_BAD_NXX", "Digits 4 to 6 cannot be an exchange: they start with 2 to 9 and are no N11 like 411."),
    Reason("NOT_IN_V1", 'API v1 knows North American numbers only: use api = "v2" for this one.'),
)
#: Index into REASONS by code.
REASON = {reason.code: index for index, reason in enumerate(REASONS)}

#: What an accepted TN may be warned about; position n is the bit 1 << n of a mask.
WARNINGS = (
    Reason("CLEANED", "Invisible characters were removed: check where the numbers were copied from."),
    Reason("FLOAT_TEXT", "The cell ended in .0: export the column as text."),
    Reason("SCI_EXACT", "The cell was in scientific notation, with all digits: export the column as text."),
    Reason("NON_GEOGRAPHIC", "The area code is non-geographic: the carrier may not hold such numbers."),
    Reason("PREMIUM", "A 900 number: calls to it are charged at a premium."),
    Reason("SPECIAL_NXX", "Exchange 950, 958, 959 or 976: carrier access, test lines or pay-per-call."),
    Reason("FICTIONAL_555", "Exchange 555: directory assistance or fiction, rarely a customer's number."),
    Reason("INTL_UNVERIFIED", "The length is right, but no number of that country is known to look like this."),
)
_CLEANED, _FLOAT_TEXT, _SCI_EXACT, _NON_GEOGRAPHIC, _PREMIUM, _SPECIAL_NXX, _FICTIONAL_555, _ = (
    1 << position for position in range(len(WARNINGS))
)

#: The TNs of the North American numbering plan, +1.
NORTH_AMERICA = range(1_200_000_0000, 1_999_999_9999 + 1)
#: Longest E.164 number in digits (ITU-T E.164, 6.2.1).
MAX_DIGITS = 15

#: Headings of a TN column, in small letters and digits only; in a cell they are a repeated header.
HEADINGS = frozenset({
    *("tn", "did", "phone", "phonenumber", "telephonenumber", "telephonenumbers", "fullnumber", "number"),
    *("e164", "msisdn", "iristelephonenumberinventoryreport"),
})  # fmt: skip

# Area codes outside geography (NANPA). Toll-free ones carry no warning and may have N11 exchanges (1-800-411-PAIN).
_TOLL_FREE = frozenset({800, 833, 844, 855, 866, 877, 888})
_EASILY_RECOGNIZED = frozenset(range(200, 1000, 100)) | {
    hundreds * 100 + pair * 11 for hundreds in range(2, 10) for pair in range(2, 9)
}
_OUTSIDE_GEOGRAPHY = (_EASILY_RECOGNIZED - _TOLL_FREE - {900}) | {456, 532, 710, *range(521, 530)}
_SPECIAL_EXCHANGES = frozenset({950, 958, 959, 976})

# U+202E is left out: it shows the digits in another order than they are stored.
_INVISIBLE = re.compile(r"[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202d\u2060-\u2064\u2066-\u206f\ufeff]")
_FULL_WIDTH = {"\uff08": "(", "\uff09": ")", "\uff0b": "+", "\u2212": "-"}
_BLANKS = " \t\r\n"

# Patterns are linear in the length of the cell: no two neighbouring repetitions match the same character.
_BARE = re.compile(r"\+?[0-9]{1,15}")
_GUARD = re.compile(r'="(.*)"|"(.*)"|\'(.*)', re.DOTALL)
_NOT_DATA = re.compile(
    r"--|#(?!#*$|N/A$|[A-Z0-9/_]+[!?]$|GETTING_DATA$)|(?:grand )?(?:sub)?total\b|\(?[0-9,]{1,9} (?:row|record|line)s?\b",
    re.IGNORECASE,
)
_URI = re.compile(r"sips?:|.*@", re.IGNORECASE | re.DOTALL)
_SCIENTIFIC = re.compile(r"([+-]?)([0-9]+)(?:[.,]([0-9]*))?e([+-]?[0-9]+)", re.IGNORECASE)
# Digits around a single dot are a fraction unless people group them so: they leave four or more behind the last dot.
_DECIMAL = re.compile(r"([0-9]+)\.([0-9]{1,3})|([0-9]{8,})\.([0-9]+)")
_RANGE = re.compile(
    r"[( ]*(?:(?:\+[( ]*)?1[ ().\-]*)?[2-9](?:[ ().\-]*[0-9]){9} *(?:-+|thru|through|to) *[(+]?[0-9]"
    # Elsewhere a hyphen may part the groups of one number; only between blanks it is a range.
    r"|\+ *[2-9](?:[ ().\-/]*[0-9]){8,} +(?:-+|thru|through|to) +[(+]?[0-9]",
    re.IGNORECASE,
)
_SEPARATOR = re.compile(r"[;,/|&\r\n+]")
_STARTS_WITH_DIGIT = re.compile(r"[^0-9A-Za-z]*[0-9]")
_EXTENSION = re.compile(r"(?<![a-z])ext(?:n|ension)?(?![a-z])|x(?=[ .:]*[0-9]+$)|#(?= *[0-9]+$)", re.IGNORECASE)
_NOT_A_NUMBER = re.compile(r"[#=].*|n/?a|nan|null|none|[\W_]*", re.IGNORECASE | re.DOTALL)
_PUNCTUATED = re.compile(r"[( ]*(?:\+[( ]*)?[0-9](?:[0-9 ().\-/]*[0-9])?")
_NOT_DIGITS = re.compile(r"[^0-9]+")
_TRUNK_ZERO = re.compile(r"\( *0 *\)")

_WIRE = re.compile(r"\+?[1-9][0-9]{0,14}")


def parse(cell: str, *, international: International | None = None) -> Parsed:
    """The TN that stands in one cell, or the first reason why there is none.

    Without `international`, a number that is not +1 is refused as COUNTRY_UNKNOWN. Nothing is raised for any text.
    """
    text, warnings = _visible(cell)
    if not _BARE.fullmatch(text):
        text = _without_guard(text)
        text, spelled = _spelled_out(text)
        warnings |= spelled
        for code, applies in _REFUSALS:
            if applies(text):
                return Parsed(0, REASON[code], 0)
    tn, reason, told = _judge(text, international)
    return Parsed(0, reason, 0) if reason else Parsed(tn, 0, warnings | told)


def structure(tn: int) -> tuple[int, int]:
    """(Reason, warnings) of an eleven-digit +1 number by the North American numbering plan (NANPA).

    It does not ask whether the area code is in service: the published lists lag behind by years.
    """
    npa, nxx = tn // 10_000_000 % 1000, tn // 10_000 % 1000
    if npa < 200 or npa // 10 % 10 == 9 or npa % 100 == 11:
        return REASON["NANP_BAD_NPA"], 0
    if nxx < 200 or (nxx % 100 == 11 and npa not in _TOLL_FREE):
        return REASON["NANP_BAD_NXX"], 0
    warnings = _PREMIUM if npa == 900 else _NON_GEOGRAPHIC if npa in _OUTSIDE_GEOGRAPHY else 0
    if nxx == 555:
        warnings |= _FICTIONAL_555
    if nxx in _SPECIAL_EXCHANGES:
        warnings |= _SPECIAL_NXX
    return 0, warnings


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


def _visible(cell: str) -> tuple[str, int]:
    """The cell in ASCII as far as it has an exact counterpart, and CLEANED where something invisible was removed."""
    if cell.isascii():
        return cell.strip(_BLANKS), 0
    shown = _INVISIBLE.sub("", cell)
    folded = "".join(map(_ascii, shown))
    is_cleaned = shown != cell or folded.count(" ") > cell.count(" ")
    return folded.strip(_BLANKS), _CLEANED if is_cleaned else 0


def _ascii(character: str) -> str:
    if character.isascii():
        return character
    match unicodedata.category(character):
        case "Nd":
            return str(unicodedata.decimal(character))
        case "Zs":
            return " "
        case "Pd":
            return "-"
    return _FULL_WIDTH.get(character, character)


def _without_guard(text: str) -> str:
    """Takes off one layer of what keeps Excel from reading a number, and the `tel:` of RFC 3966."""
    if guarded := _GUARD.fullmatch(text):
        text = guarded[guarded.lastindex or 0].strip(_BLANKS)
    return text[4:] if text[:5].lower() == "tel:+" else text


def _spelled_out(text: str) -> tuple[str, int]:
    """A float's text as the integer that it is, where every digit is there; any other text as it was."""
    if number := _SCIENTIFIC.fullmatch(text):
        sign, whole, decimals, exponent = number.groups(default="")
        shift = int(exponent) if len(exponent) < 5 else -1
        if not sign and 0 <= shift <= len(decimals) and not decimals[shift:].strip("0"):
            return whole + decimals[:shift], _SCI_EXACT
    elif number := _DECIMAL.fullmatch(text):
        whole, decimals = filter(None, number.groups())
        if not decimals.strip("0"):
            return whole, _FLOAT_TEXT
    return text, 0


def _is_not_data(text: str) -> bool:
    return bool(_NOT_DATA.match(text)) or re.sub(r"[\W_]+", "", text.lower()) in HEADINGS


def _holds_several(text: str) -> bool:
    """Whether a separator stands between numbers, or the digits of two numbers run together."""
    parts = _SEPARATOR.split(text)
    counts = [len(_NOT_DIGITS.sub("", part)) for part in parts]
    if sum(counts) in {20, 22}:
        return True
    last = max((place for place, part in enumerate(parts) if place and _STARTS_WITH_DIGIT.match(part)), default=0)
    before, after = sum(counts[:last]), sum(counts[last:])
    return before >= 10 or (before >= 7 and after >= 7)


def _has_extension(text: str) -> bool:
    mark = _EXTENSION.search(text)
    return mark is not None and len(_NOT_DIGITS.sub("", text[: mark.start()])) >= 7


def _has_letters(text: str) -> bool:
    return any(map(str.isalpha, text)) and not _NOT_A_NUMBER.fullmatch(text)


def _is_punctuated_otherwise(text: str) -> bool:
    return not _PUNCTUATED.fullmatch(text)


# In order of precedence: the first that applies is told.
_REFUSALS: tuple[tuple[str, Callable[[str], object]], ...] = (
    ("EMPTY", operator.not_),
    ("NOT_DATA", _is_not_data),
    ("URI", _URI.match),
    ("SCI_NOTATION", _SCIENTIFIC.fullmatch),
    ("NON_INTEGER", _DECIMAL.fullmatch),
    ("TN_RANGE", _RANGE.match),
    ("MULTIPLE_TNS", _holds_several),
    ("EXTENSION", _has_extension),
    ("LETTERS", _has_letters),
    ("NOT_A_NUMBER", _NOT_A_NUMBER.fullmatch),
    ("BAD_CHARACTER", _is_punctuated_otherwise),
)


def _judge(text: str, international: International | None) -> tuple[int, int, int]:
    """(TN, reason, warnings) of digits with punctuation, by country and length."""
    digits = _NOT_DIGITS.sub("", text)
    has_plus = "+" in text
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
    return int(digits), *structure(int(digits))


def _judge_abroad(digits: str, text: str, international: International | None) -> tuple[int, int, int]:
    """The same for the digits behind a + that is not +1, or behind the prefix 011."""
    # `+2015551234` would do for Egypt by accident; whoever wrote it meant +1.
    is_north_american = len(digits) == 10 and not structure(int("1" + digits))[0]
    if digits[0] == "1" or is_north_american or _TRUNK_ZERO.search(text):
        return 0, REASON["COUNTRY_AMBIGUOUS"], 0
    if digits[0] == "0" or international is None:
        return 0, REASON["COUNTRY_UNKNOWN"], 0
    # Sixteen digits are too many in every country: the rest of a long cell changes nothing.
    tn = int(digits[: MAX_DIGITS + 1])
    return tn, *international(tn)
