"""What one cell of a column of telephone numbers says before any digit is judged: its text, and what else it may be.

Says which cells are no number at all, and removes what the rules allow to be removed. Digits belong to `tn`.
"""

from __future__ import annotations

import operator
import re
import string
import unicodedata
from collections.abc import Callable

from batcher.codes import MASK

#: Headings of a TN column, in small letters and digits only; in a cell they are a repeated header.
HEADINGS = frozenset({
    *("tn", "tns", "did", "dids", "didnumber", "didnumbers", "phone", "phonenumber", "phonenumbers", "phoneno", "tel"),
    *("telephone", "telephonenumber", "telephonenumbers", "telephoneno", "telno", "fullnumber", "number", "numbers", "e164", "msisdn", "msisdns"),
    *("iristelephonenumberinventoryreport",),
})  # fmt: skip
#: Headings of numbers that are no TNs of this file: a fax, where calls go to, what it was before.
OTHERS = frozenset(
    {
        *(
            "fax",
            "faxno",
            "faxnumber",
            "destination",
            "destinationnumber",
            "dest",
            "forward",
            "forwardto",
            "forwardnumber",
        ),
        *("forwardingnumber", "callforward", "callforwardnumber", "contactphone", "contactnumber", "oldtn", "newtn"),
        *("sourcetn", "oldnumber", "newnumber", "altphone", "alternatephone", "secondaryphone"),
    }
)

# U+202E is left out: it shows the digits in another order than they are stored.
_INVISIBLE = re.compile(r"[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202d\u2060-\u2064\u2066-\u206f\ufeff]")
_FULL_WIDTH = {"\uff08": "(", "\uff09": ")", "\uff0b": "+", "\u2212": "-"}
_BLANKS = " \t\r\n"

# Patterns are linear in the length of the cell: no two neighbouring repetitions match the same character.
_GUARD = re.compile(r'="(.*)"|"(.*)"|\'(.*)', re.DOTALL)
_NOT_DATA = re.compile(
    r"--|#(?!#*$|N/A$|[A-Z0-9/_]+[!?]$|GETTING_DATA$)|(?:grand )?(?:sub)?total\b|\(?[0-9,]{1,9} (?:row|record|line)s?\b",
    re.IGNORECASE,
)
_DELIMITER = re.compile(r"[,;|\t]")
_URI = re.compile(r"sips?:|.*@", re.IGNORECASE | re.DOTALL)
_SCIENTIFIC = re.compile(r"([+-]?)([0-9]+)(?:[.,]([0-9]*))?e([+-]?[0-9]+)", re.IGNORECASE)
# Digits around a single dot are a fraction unless people group them so: they leave four or more behind the last dot.
_DECIMAL = re.compile(r"([0-9]+)\.([0-9]{1,3})|([0-9]{8,})\.([0-9]+)|(\+[0-9]{8,})\.(00?)")
_RANGE = re.compile(
    r"([( ]*(?:(?:\+[( ]*)?1[ ().\-]*)?[2-9](?:[ ().\-]*[0-9]){9}) *(?:-+|thru|through|to) *([(+]?[0-9])"
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
#: Digits and dots or hyphens, and no number: an address of the internet, a date with or without its time.
_OTHERWISE = re.compile(
    r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}|(?:19|20)[0-9]{2}([-/.])(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12][0-9]|3[01])(?![0-9]).*"
)

# Seven digits would be a number of their own.
_DROPPED_EXTENSION = re.compile(r"(?:ext(?:n|ension)?\.?|x|#)[ :=]*[0-9]{1,6}", re.IGNORECASE)
#: What people write behind a number or in place of its end, and nobody dials.
_NO_VANITY = frozenset({
    *("cell", "phone", "mobile", "office", "total", "thru", "through", "home", "work", "main", "desk", "line", "port"),
    *("unknown", "pending", "invalid", "deleted", "removed", "disconnected", "inactive", "unused", "void", "none", "null"),
    *("test", "dead", "spare", "ported", "vacant", "sold", "gone", "left", "temp", "open", "fail", "notused", "dontuse"),
    *("expired", "blocked", "private", "unlisted", "closed", "retired", "reserved", "cancelled", "canceled", "dnu"),
})  # fmt: skip
_LABEL = "(?:tel|phone|ph|cell|mobile|office|usa|us)"
_LABEL_BEFORE = re.compile(rf"(?:\({_LABEL}\)|{_LABEL}[ .:])[ .:]*(?=[+(0-9])", re.IGNORECASE)
_LABEL_BEHIND = re.compile(rf"(?<=[0-9 ])\({_LABEL}\)\Z|(?<=[0-9]) +{_LABEL}\Z", re.IGNORECASE)
_VANITY = re.compile(r"([^A-Za-z]*)([A-Za-z]+(?:-[A-Za-z]+)*)")
_KEYPAD = str.maketrans(string.ascii_uppercase, "22233344455566677778889999", "-")


def visible(cell: str) -> tuple[str, int]:
    """The cell in ASCII as far as it has an exact counterpart, and CLEANED where something invisible was removed."""
    if cell.isascii():
        return cell.strip(_BLANKS), 0
    shown = _INVISIBLE.sub("", cell)
    folded = "".join(map(_ascii, shown))
    is_cleaned = shown != cell or folded.count(" ") > cell.count(" ")
    return folded.strip(_BLANKS), MASK["CLEANED"] if is_cleaned else 0


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


def without_guard(text: str) -> str:
    """Takes off one layer of what keeps Excel from reading a number, and the `tel:` of RFC 3966."""
    if guarded := _GUARD.fullmatch(text):
        text = guarded[guarded.lastindex or 0].strip(_BLANKS)
    return text[4:] if text[:5].lower() == "tel:+" else text


def spelled_out(text: str, *, strict: bool) -> tuple[str, int]:
    """A float's text as the integer that it is, where every digit is there; any other text as it was.

    Strictly, scientific notation stays as it was even so.
    """
    if number := _SCIENTIFIC.fullmatch(text):
        sign, whole, decimals, exponent = number.groups(default="")
        shift = int(exponent) if len(exponent) < 5 else -1
        # No float begins with 0: what looks like the prefix 011 is none.
        if not (sign or strict or whole[0] == "0") and 0 <= shift <= len(decimals) and not decimals[shift:].strip("0"):
            return whole + decimals[:shift], MASK["SCI_EXACT"]
    elif number := _DECIMAL.fullmatch(text):
        whole, decimals = filter(None, number.groups())
        if not decimals.strip("0"):
            return whole, MASK["FLOAT_TEXT"]
    return text, 0


def is_not_data(text: str) -> bool:
    """Whether a cell is a repeated heading, a total or a comment.

    It may be a whole line too: one without digits whose first cell is a heading is the header again.
    """
    return _is_not_data(without_guard(visible(text)[0]))


def _is_not_data(text: str) -> bool:
    if _NOT_DATA.match(text) or plain_name(text) in HEADINGS:
        return True
    first, *others = _DELIMITER.split(text)
    return plain_name(first) in HEADINGS and not any(character.isdigit() for cell in others for character in cell)


def plain_name(text: str) -> str:
    """A column's name without regard to case, spaces and punctuation."""
    return "".join(filter(str.isalnum, text.casefold()))


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
    return not _PUNCTUATED.fullmatch(text) or _OTHERWISE.fullmatch(text) is not None


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


def refusal(text: str) -> str:
    """The code of the first reason why a text is not digits with punctuation; "" when it is."""
    return next((code for code, applies in _REFUSALS if applies(text)), "")


def relaxed(text: str, relax: frozenset[str]) -> tuple[str, str, int]:
    """(Text, refusal, warnings) after what the rules allow to be dropped is gone, each once.

    What is left is refused for the same reasons as any other cell; the warnings are the codes of the rules relaxed.
    """
    code, warnings = refusal(text), 0
    for name, (refused, without) in RELAXATIONS.items():
        if name in relax and code == refused and (bare := without(text)):
            text, warnings = bare, warnings | MASK[code]
            code = refusal(text)
    return text, code, warnings


def _without_extension(text: str) -> str:
    """What stands before `x123`, `ext. 5`, `#5` or `;ext=5`; "" unless up to six digits follow, and nothing else."""
    mark = _EXTENSION.search(text)
    is_dropped = mark and _DROPPED_EXTENSION.fullmatch(text, mark.start())
    return text[: mark.start()].rstrip(" ,;") if mark and is_dropped else ""


def _without_label(text: str) -> str:
    """The text without a known word in front of the digits (`Tel: …`, `US …`), behind them (`… (cell)`), or both."""
    bare = _LABEL_BEHIND.sub("", _LABEL_BEFORE.sub("", text, count=1) if _LABEL_BEFORE.match(text) else text)
    return bare.rstrip(" ") if bare != text else ""


def _as_dialled(text: str) -> str:
    """Letters as the keys of a telephone that bear them, "1-800-FLOWERS" as "1-800-3569377"; "" where they may mean else.

    The letters are the cell's end, hyphens between them aside, and make the number complete: ten places, or 1 and ten,
    of which the area code at least is digits. Three letters may be a word behind a local number (555-1234 USA): there
    are four or more. A mask (XXXX, NNNN, ABXX) has XX in it, or nothing but N, X, Y and Z; O, I, L and S may have been meant
    as digits.
    """
    parts = _VANITY.fullmatch(text)
    if not parts:
        return ""
    digits, letters = _NOT_DIGITS.sub("", parts[1]), parts[2].upper().replace("-", "")
    leading = int(digits.startswith("1"))
    is_complete = len(digits) + len(letters) == 10 + leading and len(digits) >= 3 + leading
    is_abroad = digits.startswith("0") or ("+" in parts[1] and not leading)
    is_mask = len(set(letters)) == 1 or "XX" in letters or set(letters) <= set("NXYZ") or set(letters) <= set("OILSX")
    if is_abroad or not is_complete or len(letters) < 4 or is_mask or letters.lower() in _NO_VANITY:
        return ""
    return parts[1] + letters.translate(_KEYPAD)


#: What may be relaxed: the reason that no longer refuses, and the text without what is wrong with it ("": it is refused).
RELAXATIONS: dict[str, tuple[str, Callable[[str], str]]] = {
    "extensions": ("EXTENSION", _without_extension),
    "labels": ("LETTERS", _without_label),
    "vanity": ("LETTERS", _as_dialled),
}


def apart(text: str) -> list[list[str]]:
    """The ways to take a cell of several numbers apart, the most certain separators first."""
    ways = [
        re.split(r"[;,|&\r\n]", text),
        re.split(r"[;,|&\r\n/]", text),
        re.split(r"[;,|&\r\n/]", text.replace("+", "\n+")),
        text.split(" "),
    ]
    return [[part for each in way if (part := each.strip(_BLANKS))] for way in ways]


def ends(text: str) -> tuple[str, str] | None:
    """What stands before and behind the word or hyphen of a range."""
    found = _RANGE.match(text)
    return (found[1], text[found.start(2) :]) if found and found[1] else None
