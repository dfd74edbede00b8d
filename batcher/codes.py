"""The closed set of codes that a cell of telephone numbers can get, each with a sentence for people.

Positions are numbers of the record: reasons and warnings are kept and compared as such.
"""

from __future__ import annotations

from typing import NamedTuple


class Reason(NamedTuple):
    """A code of the reports and a sentence for people: what is wrong, and the way out."""

    code: str
    hint: str


#: Why a cell is refused, in order of precedence; the first stands for *accepted*.
REASONS = (
    Reason("", ""),
    Reason(
        "ROW_MALFORMED",
        "Too few or too many cells for the header: quote those that hold the delimiter; clear batcher_code when mended.",
    ),
    Reason("EMPTY", "The cell is empty: fill in a telephone number or delete the row."),
    Reason("NOT_DATA", "This is a heading, a total or a comment: delete the row, or mend it if a number was meant."),
    Reason("URI", "This is an address: write the telephone number alone."),
    Reason("SCI_NOTATION", "Scientific notation loses digits: format the column as text and export it again."),
    Reason("NON_INTEGER", "The number has a fraction: write the telephone number as text."),
    Reason("TN_RANGE", "This is a range: write one row for each telephone number."),
    Reason("MULTIPLE_TNS", "The cell holds several telephone numbers: write one row for each."),
    Reason("EXTENSION", "A telephone number has no extension: remove it if the whole line is meant."),
    Reason("LETTERS", "The cell holds letters: write the telephone number in digits alone."),
    Reason("NOT_A_NUMBER", "This is a spreadsheet's error, formula or filler: write the telephone number itself."),
    Reason("BAD_CHARACTER", "Only digits, blanks and ( ) . - / belong here, with a + in front where needed."),
    Reason("COUNTRY_UNKNOWN", "No country has this code: check the digits after the +."),
    Reason(
        "COUNTRY_AMBIGUOUS",
        "The country is not certain, or a digit is too many: write + and its code, no 00 or (0); never + and ten digits of +1.",
    ),
    Reason("TOO_SHORT", "Too few digits: North America has ten; numbers of other countries need + and their code."),
    Reason("TOO_LONG", "Too many digits: North America has ten, or eleven with a leading 1."),
    Reason("INTL_BAD_LENGTH", "Numbers of this country have another length: check the digits after the country code."),
    Reason(
        "NANP_BAD_NPA",
        "No North American area code is like this (strict: none in service): for another country add + and its code.",
    ),
    Reason("NANP_BAD_NXX", "Digits 4 to 6 cannot be an exchange: they start with 2 to 9 and are no N11 like 411."),
    Reason("NOT_IN_V1", "Ten digits (API v1) are for North American numbers only: this one needs E.164 (API v2)."),
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
    Reason("EXTENSION", "An extension was dropped, as you allow: check that the whole line is meant."),
    Reason("LETTERS", "A label was dropped, or letters were read as keys, as you allow: check the number."),
    Reason("NPA_UNRECOGNIZED", "No such area code is known to be in service: check the number."),
    Reason("NOT_US", "The area code is Canada's or another country's that shares +1, not a US one."),
)
#: Mask of one warning by code.
MASK = {warning.code: 1 << position for position, warning in enumerate(WARNINGS)}
