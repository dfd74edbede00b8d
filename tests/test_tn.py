"""The rules of telephone numbers, cell by cell, with accepted and refused cells side by side."""

from __future__ import annotations

import pytest

from batcher import tn


def anywhere(digits: int) -> tuple[int, int]:
    """Every country has every number."""
    return 0, 0


def code(parsed: tn.Parsed) -> str:
    return tn.REASONS[parsed.reason].code


def warned(mask: int) -> set[str]:
    return {warning.code for position, warning in enumerate(tn.WARNINGS) if mask >> position & 1}


ACCEPTED = [
    ("ten digits", "9192340123", 19192340123, ""),
    ("1 and ten", "19192340123", 19192340123, ""),
    ("+1 and ten", "+19192340123", 19192340123, ""),
    ("parentheses", "(919) 234-0123", 19192340123, ""),
    ("no blank", "(919)234-0123", 19192340123, ""),
    ("dots", "919.234.0123", 19192340123, ""),
    ("blanks", "919 234 0123", 19192340123, ""),
    ("slashes", "919/234/0123", 19192340123, ""),
    ("hyphens", "1-919-234-0123", 19192340123, ""),
    ("one dot", "919234.0123", 19192340123, ""),
    ("1 in front of parentheses", "1 (919) 234-0123", 19192340123, ""),
    ("+1 in parentheses", "(+1) 919 234 0123", 19192340123, ""),
    ("+ and blank", "+ 1 919 234 0123", 19192340123, ""),
    ("tel scheme", "tel:+1-919-234-0123", 19192340123, ""),
    ("blanks around", "  9192340123\t\r\n", 19192340123, ""),
    ("no-break space", "919\u00a0234\u00a00123", 19192340123, "CLEANED"),
    ("ideographic space", "919\u3000234\u30000123", 19192340123, "CLEANED"),
    ("thin space", "919\u2009234\u202f0123", 19192340123, "CLEANED"),
    ("zero-width space", "919\u200b2340123", 19192340123, "CLEANED"),
    ("byte order mark", "\ufeff9192340123", 19192340123, "CLEANED"),
    ("bidi marks", "\u202a919-234-0123\u202c", 19192340123, "CLEANED"),
    ("left-to-right override", "\u202d(919) 234-0123\u202c", 19192340123, "CLEANED"),
    ("en dashes", "919\u2013234\u20130123", 19192340123, ""),
    ("minus sign inside", "919\u2212234\u22120123", 19192340123, ""),
    ("full-width marks", "\uff0b1\uff08919\uff09234\uff0d0123", 19192340123, ""),
    ("full-width digits", "\uff19\uff11\uff19\uff12\uff13\uff14\uff10\uff11\uff12\uff13", 19192340123, ""),
    ("Arabic-Indic digits", "٩١٩٢٣٤٠١٢٣", 19192340123, ""),
    ("Devanagari digits", "९१९२३४०१२३", 19192340123, ""),
    (".0", "9192340123.0", 19192340123, "FLOAT_TEXT"),
    (".00", "9192340123.00", 19192340123, "FLOAT_TEXT"),
    ("1 and .0", "19192340123.0", 19192340123, "FLOAT_TEXT"),
    ("scientific, ten digits", "9.192340123E+09", 19192340123, "SCI_EXACT"),
    ("scientific, eleven digits", "1.9192340123E+10", 19192340123, "SCI_EXACT"),
    ("scientific, with a last 0", "9.1923401230e9", 19192340123, "SCI_EXACT"),
    ("apostrophe", "'9192340123", 19192340123, ""),
    ("formula guard", '="9192340123"', 19192340123, ""),
    ("+1 and .0", "+19192340123.0", 19192340123, "FLOAT_TEXT"),
    ("+49 and .0", "+49301234567.0", 49301234567, "FLOAT_TEXT"),
    ("011 in parentheses", "(011) 44 1224 003018", 441224003018, ""),
    ("four digits first", "2015-550123", 12015550123, "FICTIONAL_555"),
    ("dots abroad", "+33.1.42.68.53.00", 33142685300, ""),
    ("zero of its own in Italy", "+39 (06) 698 12345", 390669812345, ""),
    ("formula guard of our own", '="+19192340123"', 19192340123, ""),
    ("quotes", '"9192340123"', 19192340123, ""),
    ("011", "011 44 1224 003018", 441224003018, ""),
    ("another country", "+44 1224 003018", 441224003018, ""),
    ("hyphens of another country", "+380-44-123-45-67", 380441234567, ""),
    ("the carrier's own example", "+270985556666", 270985556666, ""),
    ("Excel on a v2 report", "12565806460", 12565806460, ""),
    ("toll-free N11", "1-800-411-0123", 18004110123, ""),
    ("N11 outside geography", "900-411-0123", 19004110123, "PREMIUM"),
    ("N11 of a personal number", "500-911-0123", 15009110123, "NON_GEOGRAPHIC"),
    ("N11 of the government", "1 710 811 0123", 17108110123, "NON_GEOGRAPHIC"),
    ("toll-free", "8882340123", 18882340123, ""),
    ("an area code that libphonenumber does not know", "7292340123", 17292340123, ""),
    ("fiction", "9195550100", 19195550100, "FICTIONAL_555"),
    ("directory assistance", "9195551212", 19195551212, "FICTIONAL_555"),
    ("carrier access", "9199500123", 19199500123, "SPECIAL_NXX"),
    ("test exchange 958", "9199580123", 19199580123, "SPECIAL_NXX"),
    ("test exchange 959", "9199590123", 19199590123, "SPECIAL_NXX"),
    ("pay-per-call", "9199760123", 19199760123, "SPECIAL_NXX"),
    ("premium", "9002340123", 19002340123, "PREMIUM"),
    ("the carrier's example destination", "3332221111", 13332221111, "NON_GEOGRAPHIC"),
    ("personal number", "5332340123", 15332340123, "NON_GEOGRAPHIC"),
    ("government", "7102340123", 17102340123, "NON_GEOGRAPHIC"),
    ("inbound international", "4562340123", 14562340123, "NON_GEOGRAPHIC"),
    ("reserved toll-free", "8222340123", 18222340123, "NON_GEOGRAPHIC"),
    ("two warnings", "7005550100", 17005550100, "NON_GEOGRAPHIC FICTIONAL_555"),
    ("three warnings", "900\u00a0976\u00a00123", 19009760123, "CLEANED PREMIUM SPECIAL_NXX"),
    ("float and fiction", "9195550100.0", 19195550100, "FLOAT_TEXT FICTIONAL_555"),
]  # fmt: skip

REFUSED = [
    ("nothing", "", "EMPTY"),
    ("blanks", " \t ", "EMPTY"),
    ("only invisible", "\u200b\ufeff", "EMPTY"),
    ("empty guard", '=""', "EMPTY"),
    ("heading", "TN", "NOT_DATA"),
    ("heading of two words", "Phone Number", "NOT_DATA"),
    ("heading with sign", "phone #", "NOT_DATA"),
    ("heading behind a byte order mark", "\ufeffTelephone Numbers", "NOT_DATA"),
    ("heading with digits", "E.164", "NOT_DATA"),
    ("report title", "Iris Telephone Number Inventory Report", "NOT_DATA"),
    ("trailer", "-- 12400 rows --", "NOT_DATA"),
    ("total", "Total 6,200", "NOT_DATA"),
    ("count of rows", "(12400 rows)", "NOT_DATA"),
    ("comment", "# moved on Monday", "NOT_DATA"),
    ("row commented out", "#9192340123", "NOT_DATA"),
    ("SIP address", "sip:+19192340123@192.0.2.4", "URI"),
    ("location's form", "+19192340123@PSTN", "URI"),
    ("SIP without host", "SIP:9192340123", "URI"),
    ("rounded by Excel", "2.01855E+09", "SCI_NOTATION"),
    ("nine digits of ten", "2.01855123E+09", "SCI_NOTATION"),
    ("rounded UK number", "4.41224E+11", "SCI_NOTATION"),
    ("decimal comma", "4,41224E+11", "SCI_NOTATION"),
    ("signed", "+9.192340123E+09", "SCI_NOTATION"),
    ("011 of no prefix", "01148.266778868E+09", "SCI_NOTATION"),
    ("0 in front", "0.9192340123E+10", "SCI_NOTATION"),
    ("scientific with a fraction", "9.1923401235E+09", "SCI_NOTATION"),
    ("huge exponent", "9E" + "9" * 5000, "SCI_NOTATION"),
    ("fraction", "9192340123.5", "NON_INTEGER"),
    ("fraction behind ten digits with 1", "1919234012.3", "NON_INTEGER"),
    ("fraction of four decimals", "91923401.1234", "NON_INTEGER"),
    ("fraction behind +1", "+1201555012.3", "NON_INTEGER"),
    ("fraction behind +1 of three", "+12015550.123", "NON_INTEGER"),
    ("fraction behind +1 and a blank", "+1 201555012.3", "NON_INTEGER"),
    ("date and time without zeros", "2023-4-5 0815", "BAD_CHARACTER"),
    ("date and time with dots", "2004.8.1 2863", "BAD_CHARACTER"),
    ("fraction abroad", "+49301234567.5", "NON_INTEGER"),
    ("zeros that may be digits", "+49301234567.000", "NON_INTEGER"),
    ("fraction behind blanks abroad", "+49 30 1234567.0", "NON_INTEGER"),
    ("fraction of many groups abroad", "+49.30.1234567.0", "NON_INTEGER"),
    ("trunk zero and more", "+61 (08) 7093 3122", "COUNTRY_AMBIGUOUS"),
    ("trunk zero of Berlin", "+49 (030) 1234567", "COUNTRY_AMBIGUOUS"),
    ("address of the internet", "203.45.213.25", "BAD_CHARACTER"),
    ("groups like an address", "202.405.151.0", "BAD_CHARACTER"),
    ("date and hour", "2024-05-15 10", "BAD_CHARACTER"),
    ("date and hour with slashes", "2024/05/15 10", "BAD_CHARACTER"),
    ("range", "919-234-1000 - 1099", "TN_RANGE"),
    ("short range", "9192341000-1099", "TN_RANGE"),
    ("range of one digit", "9192341000-9", "TN_RANGE"),
    ("range in words", "9192341000 thru 9192341099", "TN_RANGE"),
    ("en dash", "919-234-0100 \u2013 0119", "TN_RANGE"),
    ("range with +1", "+1 919 234 0100-0119", "TN_RANGE"),
    ("range abroad", "+44 1224 003018 - 003020", "TN_RANGE"),
    ("semicolon", "9192340123;9192340124", "MULTIPLE_TNS"),
    ("comma", "9192340123, 9192340124", "MULTIPLE_TNS"),
    ("slash", "919-234-0101 / 0102", "MULTIPLE_TNS"),
    ("bar", "9192340123|9192340124", "MULTIPLE_TNS"),
    ("ampersand", "9192340123 & 24", "MULTIPLE_TNS"),
    ("line break", "9192340123\n9192340124", "MULTIPLE_TNS"),
    ("two of seven digits", "234-0123; 234-0124", "MULTIPLE_TNS"),
    ("twenty digits", "91923401239192340124", "MULTIPLE_TNS"),
    ("two with blank", "9192340123 9192340124", "MULTIPLE_TNS"),
    ("two with +1", "+19192340123 +19192340124", "MULTIPLE_TNS"),
    ("x", "919-234-0123 x123", "EXTENSION"),
    ("x that completes ten digits", "919-234-012 x4", "EXTENSION"),
    ("ext.", "9192340123 ext. 5", "EXTENSION"),
    ("extension", "9192340123 Extension 5", "EXTENSION"),
    ("number sign", "9192340123#5", "EXTENSION"),
    (";ext=", "9192340123;ext=5", "EXTENSION"),
    ("tel with ext", "tel:+19192340123;ext=5", "EXTENSION"),
    ("vanity", "1-800-FLOWERS", "LETTERS"),
    ("label", "Tel: 9192340123", "LETTERS"),
    ("tel without +", "tel:9192340123", "LETTERS"),
    ("country", "9192340123 US", "LETTERS"),
    ("note", "9192340123 (cell)", "LETTERS"),
    ("words", "do not port", "LETTERS"),
    ("letters in front", "abc9192340123", "LETTERS"),
    ("O for 0", "919234O123", "LETTERS"),
    ("l for 1", "9l92340123", "LETTERS"),
    ("mask", "919-234-XXXX", "LETTERS"),
    ("a destination's word", "systemDefault", "LETTERS"),
    ("Cyrillic", "919234\u041e123", "LETTERS"),
    ("Excel: not available", "#N/A", "NOT_A_NUMBER"),
    ("Excel: too narrow", "######", "NOT_A_NUMBER"),
    ("Excel: reference", "#REF!", "NOT_A_NUMBER"),
    ("Excel: division", "#DIV/0!", "NOT_A_NUMBER"),
    ("Excel: name", "#NAME?", "NOT_A_NUMBER"),
    ("formula", "=A2", "NOT_A_NUMBER"),
    ("filler", "N/A", "NOT_A_NUMBER"),
    ("NaN", "nan", "NOT_A_NUMBER"),
    ("dash alone", "\u2014", "NOT_A_NUMBER"),
    ("negative", "-9192340123", "BAD_CHARACTER"),
    ("minus sign", "\u22129192340123", "BAD_CHARACTER"),
    ("currency", "$9192340123", "BAD_CHARACTER"),
    ("percent", "9192340123%", "BAD_CHARACTER"),
    ("thousands", "9,192,340,123", "BAD_CHARACTER"),
    ("dot at the end", "9192340123.", "BAD_CHARACTER"),
    ("parentheses around", "(9192340123)", "BAD_CHARACTER"),
    ("superscript", "²192340123", "BAD_CHARACTER"),
    ("circled digit", "⑨192340123", "BAD_CHARACTER"),
    ("NUL", "919\x002340123", "BAD_CHARACTER"),
    ("tab inside", "919\t2340123", "BAD_CHARACTER"),
    ("right-to-left override", "\u202e9192340123", "BAD_CHARACTER"),
    ("two guards", '""9192340123""', "BAD_CHARACTER"),
    ("two +", "++19192340123", "BAD_CHARACTER"),
    ("+ on ten digits", "+9192340123", "COUNTRY_AMBIGUOUS"),
    ("011 and ten digits", "0119192340123", "COUNTRY_AMBIGUOUS"),
    ("011 1", "011 1 919 234 0123", "COUNTRY_AMBIGUOUS"),
    ("001", "0019192340123", "COUNTRY_AMBIGUOUS"),
    ("00", "00 44 1224 003018", "COUNTRY_AMBIGUOUS"),
    ("trunk 0", "+44 (0)1224 003018", "COUNTRY_AMBIGUOUS"),
    ("Australia without +", "61870933122", "COUNTRY_AMBIGUOUS"),
    ("UK without +", "441224003018", "COUNTRY_AMBIGUOUS"),
    ("UK at home", "01224003018", "COUNTRY_AMBIGUOUS"),
    ("country code 0", "+0441224003018", "COUNTRY_UNKNOWN"),
    ("nine digits", "919234012", "TOO_SHORT"),
    ("one digit", "7", "TOO_SHORT"),
    ("+1 and nine", "+1 919 234 012", "TOO_SHORT"),
    ("nine digits and .0", "919234012.0", "TOO_SHORT"),
    ("011 alone", "011", "TOO_SHORT"),
    ("twelve digits from 1", "191923401234", "TOO_LONG"),
    ("+1 1", "+1 1 919 234 0123", "TOO_LONG"),
    ("sixteen digits", "9192340123919234", "TOO_LONG"),
    ("5,000 digits", "9" * 5000, "TOO_LONG"),
    ("NPA from 1", "1192340123", "NANP_BAD_NPA"),
    ("NPA from 0", "0870933122", "NANP_BAD_NPA"),
    ("NPA N9X", "2982340123", "NANP_BAD_NPA"),
    ("NPA N11", "911-234-0123", "NANP_BAD_NPA"),
    ("NXX from 1", "9191340123", "NANP_BAD_NXX"),
    ("NXX from 0", "+1 919 034 0123", "NANP_BAD_NXX"),
    ("NXX N11", "9194110123", "NANP_BAD_NXX"),
    ("NXX from 1, toll-free", "8001110123", "NANP_BAD_NXX"),
]  # fmt: skip


@pytest.mark.parametrize(("cell", "number", "warnings"), [pytest.param(*row[1:], id=row[0]) for row in ACCEPTED])
def test_accepts(cell, number, warnings):
    """An accepted TN consists of exactly the digits that were typed, and says what is unusual."""
    parsed = tn.parse(cell, international=anywhere)
    assert (parsed.tn, code(parsed), warned(parsed.warnings)) == (number, "", set(warnings.split()))


@pytest.mark.parametrize(("cell", "reason"), [pytest.param(*row[1:], id=row[0]) for row in REFUSED])
def test_refuses(cell, reason):
    """A cell that is no TN beyond doubt is refused with the first reason that applies, and without a warning."""
    parsed = tn.parse(cell, international=anywhere)
    assert (parsed.tn, code(parsed), parsed.warnings) == (0, reason, 0)


EXTENSIONS = [
    ("x", "919-234-0123 x123", 19192340123, "EXTENSION"),
    ("ext.", "(919) 234-0123 ext. 5", 19192340123, "EXTENSION"),
    ("extension", "1 919 234 0123, Extension 5", 19192340123, "EXTENSION"),
    ("number sign", "9192340123#5", 19192340123, "EXTENSION"),
    (";ext=", "tel:+19192340123;ext=5", 19192340123, "EXTENSION"),
    ("abroad", "+44 1224 003018 x5", 441224003018, "EXTENSION"),
    ("and fiction", "9195550123x1", 19195550123, "EXTENSION FICTIONAL_555"),
    ("no-break space", "9192340123\u00a0x1", 19192340123, "CLEANED EXTENSION"),
]
VANITY = [
    ("seven letters", "1-800-FLOWERS", 18003569377, "LETTERS"),
    ("two groups", "800-CALL-NOW", 18002255669, "LETTERS"),
    ("small letters", "1 (800) flowers", 18003569377, "LETTERS"),
    ("+1", "+1-800-FLOWERS", 18003569377, "LETTERS"),
    ("four letters", "919-234-TAXI", 19192348294, "LETTERS"),
    ("all keys", "800-PQRSTUV", 18007777888, "LETTERS"),
    ("W to Z", "919234WXYZ", 19192349999, "LETTERS"),
    ("digits before letters", "1-800-4-MYTAXI", 18004698294, "LETTERS"),
    ("N11 where it is one", "1-800-411-PAIN", 18004117246, "LETTERS"),
]
LABELS = [
    ("Tel:", "Tel: 9192340123", 19192340123, "LETTERS"),
    ("tel:", "tel:9192340123", 19192340123, "LETTERS"),
    ("Ph.", "Ph.(919) 234-0123", 19192340123, "LETTERS"),
    ("Phone", "PHONE 919-234-0123", 19192340123, "LETTERS"),
    ("Tel.:", "Tel.: +1 919 234 0123", 19192340123, "LETTERS"),
    ("Office", "Office: 9192340123", 19192340123, "LETTERS"),
    ("US", "US 9192340123", 19192340123, "LETTERS"),
    ("behind", "9192340123 US", 19192340123, "LETTERS"),
    ("USA behind", "919-234-0123 USA", 19192340123, "LETTERS"),
    ("in parentheses", "9192340123 (cell)", 19192340123, "LETTERS"),
    ("in parentheses in front", "(mobile) 9192340123", 19192340123, "LETTERS"),
    ("both ends", "Cell: 9192340123 (US)", 19192340123, "LETTERS"),
]
NOT_RELAXED = [
    ("extension that completes ten digits", "919-234-012 x4", "TOO_SHORT"),
    ("extension of seven digits", "9192340123 x2340124", "EXTENSION"),
    ("extension and word", "9192340123 ext. 5 or 6", "EXTENSION"),
    ("two extensions", "9192340123 x5 x6", "EXTENSION"),
    ("extension of a float", "1919234012.0 x5", "NON_INTEGER"),
    ("fraction of an extension", "9192340123x.00", "EXTENSION"),
    ("two TNs with x", "9192340123x9192340124", "MULTIPLE_TNS"),
    ("eight letters", "1-800-FLOWERSS", "LETTERS"),
    ("letters in the area code", "80F-LOW-ERSX", "LETTERS"),
    ("letters for the area code", "FLO-WERSNOW", "LETTERS"),
    ("letters in front", "FLOWERS-800", "LETTERS"),
    ("three letters behind a local number", "555-1234 USA", "TOO_SHORT"),
    ("three letters", "555-1234-FAX", "LETTERS"),
    ("two blocks", "800-CALL NOW", "LETTERS"),
    ("mask", "919-234-XXXX", "LETTERS"),
    ("mask of seven", "919-XXX-XXXX", "LETTERS"),
    ("mask of N", "919-234-NNNN", "LETTERS"),
    ("mask of N and X", "919-234-NNXX", "LETTERS"),
    ("mask of X behind letters", "919-234-ABXX", "LETTERS"),
    ("mask of X and Y", "919-234-XYZX", "LETTERS"),
    ("remark of four letters", "919-234-SOLD", "LETTERS"),
    ("remark of seven letters", "919-NOTUSED", "LETTERS"),
    ("label on a float abroad", "Tel: +49301234567.0", "NON_INTEGER"),
    ("O for 0", "919234O123", "LETTERS"),
    ("O for 0 at the end", "919234OOOO", "LETTERS"),
    ("lookalikes", "919-234-OIlS", "LETTERS"),
    ("one letter", "919-234-012B", "LETTERS"),
    ("no word of a number", "201-PENDING", "LETTERS"),
    ("nor this one", "201 UNKNOWN", "LETTERS"),
    ("vanity abroad", "+45-3212-CALL", "LETTERS"),
    ("vanity behind 011", "011290-CALL", "LETTERS"),
    ("Cyrillic", "800-\u0424LOWERS", "LETTERS"),
    ("fax", "Fax: 9192340123", "LETTERS"),
    ("fax behind", "9192340123 (fax)", "LETTERS"),
    ("do not port", "9192340123 do not port", "LETTERS"),
    ("label without a border", "Tel9192340123", "LETTERS"),
    ("two labels", "Tel: Cell: 9192340123", "LETTERS"),
    ("label and negative", "Tel: -9192340123", "LETTERS"),
    ("label alone", "Cell:", "LETTERS"),
    ("label and two TNs", "Tel: 9192340123 / 9192340124", "MULTIPLE_TNS"),
    ("label on a local number", "Cell: 234-0123", "TOO_SHORT"),
    ("dots", "9192340123...", "BAD_CHARACTER"),
]
ALL_RELAXED = tn.Rules(relax=frozenset({"extensions", "vanity", "labels"}))


RELAXED = [
    pytest.param(name, *row[1:], id=f"{name}: {row[0]}")
    for name, rows in (("extensions", EXTENSIONS), ("vanity", VANITY), ("labels", LABELS))
    for row in rows
]


@pytest.mark.parametrize(("name", "cell", "number", "warnings"), RELAXED)
def test_relaxed_rules_warn(name, cell, number, warnings):
    """What a job allows is accepted with the code of the rule as a warning, and refused by every other job."""
    for rules in (tn.Rules(relax=frozenset({name})), ALL_RELAXED):
        parsed = tn.parse(cell, rules, international=anywhere)
        assert (parsed.tn, code(parsed), warned(parsed.warnings)) == (number, "", set(warnings.split()))
    others = tn.Rules(relax=ALL_RELAXED.relax - {name})
    for rules in (tn.Rules(), others):
        assert code(tn.parse(cell, rules, international=anywhere)) == (
            "EXTENSION" if name == "extensions" else "LETTERS"
        )


@pytest.mark.parametrize(("cell", "reason"), [pytest.param(*row[1:], id=row[0]) for row in NOT_RELAXED])
def test_relaxed_rules_never_guess(cell, reason):
    """Even with everything relaxed a mask stays a mask, nothing is cut to length, and no number is completed."""
    parsed = tn.parse(cell, ALL_RELAXED, international=anywhere)
    assert (parsed.tn, code(parsed), parsed.warnings) == (0, reason, 0)


def test_relaxations_join():
    """A label, an extension and letters may stand in one cell; each is told."""
    parsed = tn.parse("Tel: 1-800-FLOWERS x5", ALL_RELAXED)
    assert (parsed.tn, warned(parsed.warnings)) == (0, set())
    parsed = tn.parse("Tel: 919-234-0123 x5", ALL_RELAXED)
    assert (parsed.tn, warned(parsed.warnings)) == (19192340123, {"EXTENSION", "LETTERS"})
    parsed = tn.parse("Tel: 1-800-FLOWERS", ALL_RELAXED)
    assert (parsed.tn, warned(parsed.warnings)) == (18003569377, {"LETTERS"})


@pytest.mark.parametrize("row", [pytest.param(row, id=row[0]) for row in ACCEPTED])
def test_relaxed_rules_change_nothing_else(row):
    """Whatever is accepted anyway is accepted in the same way."""
    assert tn.parse(row[1], ALL_RELAXED, international=anywhere) == tn.parse(row[1], international=anywhere)


def test_rules_name_what_can_be_relaxed():
    """A misspelled name, or a version that does not exist, is told at once."""
    with pytest.raises(ValueError, match="'letters' cannot be relaxed: there are extensions, labels, vanity"):
        tn.Rules(relax=frozenset({"letters", "vanity"}))
    with pytest.raises(ValueError, match="no API 'v3'"):
        tn.Rules(api="v3")
    assert tn.Rules() == tn.Rules(api="v2", strict=False, relax=frozenset())


def lists(npa: int) -> int:
    """Published lists: 204 is Canada's, 371 and those of special services are unknown, and so are new ones."""
    return tn.MASK["NOT_US"] if npa == 204 else 0 if npa in {201, 800, 900, 919} else tn.MASK["NPA_UNRECOGNIZED"]


LISTED = [
    ("known", "9192340123", 19192340123, ""),
    ("Canada", "2042340123", 12042340123, "NOT_US"),
    ("Canada and fiction", "204-555-0123", 12045550123, "NOT_US FICTIONAL_555"),
    ("unknown", "3712340123", 13712340123, "NPA_UNRECOGNIZED"),
    ("in service, says the regulator", "7292340123", 17292340123, ""),
    ("premium", "9002340123", 19002340123, "PREMIUM"),
    ("non-geographic", "3332221111", 13332221111, "NON_GEOGRAPHIC"),
    ("toll-free", "8002340123", 18002340123, ""),
]


@pytest.mark.parametrize(("cell", "number", "warnings"), [pytest.param(*row[1:], id=row[0]) for row in LISTED])
def test_lists_of_area_codes_warn(cell, number, warnings):
    """What the published lists say of an area code warns, except where more is known than they say."""
    parsed = tn.parse(cell, numbering=lists)
    assert (parsed.tn, code(parsed), warned(parsed.warnings)) == (number, "", set(warnings.split()))


@pytest.mark.parametrize(
    ("cell", "number", "reason"),
    [
        pytest.param("9.192340123E+09", 0, "SCI_NOTATION", id="scientific with all digits"),
        pytest.param("371-234-0123", 0, "NANP_BAD_NPA", id="unknown area code"),
        pytest.param("371-134-0123", 0, "NANP_BAD_NPA", id="unknown area code and a wrong exchange"),
        pytest.param("204-134-0123", 0, "NANP_BAD_NXX", id="another country and a wrong exchange"),
        pytest.param("2042340123", 12042340123, "", id="another country"),
        pytest.param("7292340123", 17292340123, "", id="in service, says the regulator"),
        pytest.param("3332221111", 13332221111, "", id="non-geographic"),
        pytest.param("9192340123.0", 19192340123, "", id="float text"),
        pytest.param("+3712340123", 0, "COUNTRY_AMBIGUOUS", id="+ on ten digits of an unknown area code"),
    ],
)
def test_strict(cell, number, reason):
    """Strict rules refuse what loses digits elsewhere, and area codes that nobody knows; without lists they know all."""
    parsed = tn.parse(cell, tn.Rules(strict=True), international=anywhere, numbering=lists)
    assert (parsed.tn, code(parsed)) == (number, reason)
    assert tn.parse("3712340123", tn.Rules(strict=True)).tn == 13712340123
    known = tn.Rules(strict=True, known_npas=frozenset({371}))
    assert tn.parse("3712340123", known, international=anywhere, numbering=lists) == (13712340123, 0, 0)


def test_v1_takes_north_american_numbers_only():
    """A number that v1 cannot name is refused there, after every other reason."""
    v1 = tn.Rules("v1")
    assert tn.parse("9192340123", v1).tn == 19192340123
    assert tn.parse("+44 1224 003018", v1, international=anywhere) == (0, tn.REASON["NOT_IN_V1"], 0)
    assert code(tn.parse("+44 1224 003018", v1)) == "COUNTRY_UNKNOWN"
    assert code(tn.parse("+44 (0)1224 003018", v1, international=anywhere)) == "COUNTRY_AMBIGUOUS"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        pytest.param("Phone Number", True, id="heading"),
        pytest.param(' \ufeff"TN" ', True, id="heading behind a byte order mark, quoted"),
        pytest.param("TN,SiteId,SipPeerId", True, id="line of headings"),
        pytest.param('"Phone Number";Fax;Notes', True, id="line of headings, quoted"),
        pytest.param("Iris Telephone Number Inventory Report,,,", True, id="title"),
        pytest.param("-- 12400 rows --", True, id="trailer"),
        pytest.param("Total,6200,,", True, id="line of a total"),
        pytest.param("# moved on Monday; ask Ann, please", True, id="comment with delimiters"),
        pytest.param("TN,9192340123", False, id="a heading in front of a number"),
        pytest.param("9192340123,TN", False, id="a number in front of a heading"),
        pytest.param("Totally,9192340123", False, id="a name"),
        pytest.param("9192340123", False, id="number"),
        pytest.param("", False, id="nothing"),
        pytest.param(",,,", False, id="delimiters"),
        pytest.param("#N/A", False, id="a spreadsheet's error"),
    ],
)
def test_is_not_data(text, answer):
    """Headings, totals and comments are known in a cell and in a line that has the wrong number of cells."""
    assert tn.is_not_data(text) is answer


@pytest.mark.parametrize(
    ("cell", "parts"),
    [
        pytest.param("9192340123; (919) 234-0124", ("9192340123", "(919) 234-0124"), id="semicolon"),
        pytest.param("919-234-0123 / 919-234-0124", ("919-234-0123", "919-234-0124"), id="slash"),
        pytest.param("919/234/0123;919/234/0124", ("919/234/0123", "919/234/0124"), id="slashes within"),
        pytest.param("+19192340123 +19192340124", ("+19192340123", "+19192340124"), id="plus signs"),
        pytest.param("9192340123 9192340124", ("9192340123", "9192340124"), id="blank"),
        pytest.param('"9192340123,9192340124,9192340125"', ("9192340123", "9192340124", "9192340125"), id="three"),
        pytest.param("9192340123\n9192340124\n", ("9192340123", "9192340124"), id="lines"),
        pytest.param("91923401239192340124", (), id="run together"),
        pytest.param("919-234-0101 / 0102", (), id="end only"),
        pytest.param("9192340123;919234012", (), id="one is too short"),
        pytest.param("9192340123;+441224003018", (), id="one is abroad"),
        pytest.param("9192340123;9192340124 x5", (), id="one has an extension"),
        pytest.param("9192340123", (), id="one"),
        pytest.param("9192340123;ext=5", (), id="extension"),
        pytest.param("9,192,340,123", (), id="thousands"),
    ],
)
def test_split(cell, parts):
    """A cell of several TNs is taken apart only where each part is one by itself."""
    assert tn.split(cell) == parts


@pytest.mark.parametrize(
    ("cell", "first", "last"),
    [
        pytest.param("201-555-1000 - 1099", 12015551000, 12015551099, id="blanks"),
        pytest.param("2015551000-1099", 12015551000, 12015551099, id="hyphen"),
        pytest.param("(201) 555-1000 thru 1099", 12015551000, 12015551099, id="thru"),
        pytest.param("2015551000 to 2015551099", 12015551000, 12015551099, id="whole TN"),
        pytest.param("+1 201 555 1000 - +1 201 555 1099", 12015551000, 12015551099, id="whole TNs with +1"),
        pytest.param("2015551000 \u2013 (201) 555-1099", 12015551000, 12015551099, id="en dash"),
        pytest.param("2015550000-9999", 12015550000, 12015559999, id="whole exchange"),
    ],
)
def test_span(cell, first, last):
    """A range within one exchange is all its TNs."""
    assert tn.span(cell) == range(first, last + 1)


@pytest.mark.parametrize(
    "cell",
    [
        pytest.param("2015551099-1000", id="descending"),
        pytest.param("2015551000-1000", id="one"),
        pytest.param("2015551000-9", id="one digit"),
        pytest.param("2015551000-99", id="two digits"),
        pytest.param("2015551000-5551099", id="seven digits"),
        pytest.param("2015551000 to 2015561000", id="two exchanges"),
        pytest.param("2011551000-1099", id="no exchange"),
        pytest.param("2015551000-1099-1199", id="three ends"),
        pytest.param("2015551000-1099 x5", id="extension"),
        pytest.param("+44 1224 003018 - 003020", id="abroad"),
        pytest.param("201-555-1000", id="no range"),
        pytest.param("", id="nothing"),
    ],
)
def test_no_span(cell):
    """What is not certainly a range within one exchange is none."""
    assert tn.span(cell) is None


def test_every_code_and_warning_is_met():
    """Each code of a cell has a row above; the rest is given by the reader of files or by the caller."""
    refused = {reason for *_, reason in REFUSED}
    assert {reason.code for reason in tn.REASONS} - refused == {"", "ROW_MALFORMED", "INTL_BAD_LENGTH", "NOT_IN_V1"}
    met = {warning for row in (*ACCEPTED, *EXTENSIONS, *VANITY, *LISTED) for warning in row[3].split()}
    assert {warning.code for warning in tn.WARNINGS} - met == {"INTL_UNVERIFIED"}


def test_codes_stand_in_order_of_precedence():
    """The order of REASONS is the order in which a cell is tried; people get a sentence with each."""
    assert [reason.code for reason in tn.REASONS] == [
        *("", "ROW_MALFORMED", "EMPTY", "NOT_DATA", "URI", "SCI_NOTATION", "NON_INTEGER", "TN_RANGE", "MULTIPLE_TNS"),
        *("EXTENSION", "LETTERS", "NOT_A_NUMBER", "BAD_CHARACTER", "COUNTRY_UNKNOWN", "COUNTRY_AMBIGUOUS"),
        *("TOO_SHORT", "TOO_LONG", "INTL_BAD_LENGTH", "NANP_BAD_NPA", "NANP_BAD_NXX", "NOT_IN_V1"),
    ]
    assert tn.REASON["EMPTY"] == 2
    assert all(text.hint.endswith(".") for text in (*tn.REASONS[1:], *tn.WARNINGS))


def test_warnings_keep_their_bits():
    """Masks are stored: a warning's position never changes."""
    assert [warning.code for warning in tn.WARNINGS] == [
        *("CLEANED", "FLOAT_TEXT", "SCI_EXACT", "NON_GEOGRAPHIC"),
        *("PREMIUM", "SPECIAL_NXX", "FICTIONAL_555", "INTL_UNVERIFIED"),
        *("EXTENSION", "LETTERS", "NPA_UNRECOGNIZED", "NOT_US"),
    ]


def test_another_country_is_the_callers_to_judge():
    """Numbers that are not +1 are refused unless somebody vouches for them, and take over what that one says."""
    assert code(tn.parse("+441224003018")) == "COUNTRY_UNKNOWN"
    asked = []

    def judge(digits):
        asked.append(digits)
        return (tn.REASON["INTL_BAD_LENGTH"], 0) if digits == 4412 else (0, 1 << 7)

    assert code(tn.parse("+44 12", international=judge)) == "INTL_BAD_LENGTH"
    parsed = tn.parse("\u202a+44 1224 003018\u202c", international=judge)
    assert (parsed.tn, warned(parsed.warnings)) == (441224003018, {"CLEANED", "INTL_UNVERIFIED"})
    tn.parse("+" + "4" * 5000, international=judge)
    assert asked == [4412, 441224003018, 4444444444444444]


@pytest.mark.parametrize(
    "cell",
    [
        *("(" * 600_000, "2" + " " * 600_000, ";" * 600_000, "+" * 600_000, "x 1" * 200_000, "=" + '"' * 600_000),
        *("2345678901" + "-" * 600_000 + "a", "+2" + " 1" * 200_000 + " -" * 100_000, "#" * 600_000 + "a"),
        *("1" * 300_000 + "e" + "1" * 300_000, "1" * 600_000 + ".5", "x" + " " * 600_000, "\u00a0" * 600_000 + "1"),
        *(
            "tel:" + " " * 600_000 + "x",
            "1" + " " * 600_000 + "cell.",
            "1 cell" * 200_000,
            "1" * 600_000 + "-a" * 300_000,
        ),
        *("9192340123 x" + ":" * 600_000 + "a", "919234012;" * 100_000, "9192340123" + " " * 600_000 + "-" * 600_000),
    ],
    ids=lambda cell: repr(cell[:12]),
)
def test_long_cells_take_no_longer_than_they_are(cell):
    """A hostile cell is refused in time that grows with its length: a quadratic pattern would run into the timeout."""
    assert tn.parse(cell).reason
    assert not tn.parse(cell, ALL_RELAXED).tn
    assert not tn.split(cell)
    assert tn.span(cell) is None


@pytest.mark.parametrize(
    ("number", "reason", "warnings"),
    [
        (19192340123, "", ""),
        (18004110123, "", ""),
        (19115550123, "NANP_BAD_NPA", ""),
        (19194110123, "NANP_BAD_NXX", ""),
        (19009760123, "", "PREMIUM SPECIAL_NXX"),
    ],
)
def test_structure(number, reason, warnings):
    """NPA and NXX decide, and a refused number carries no warnings."""
    index, mask = tn.structure(number)
    assert (tn.REASONS[index].code, warned(mask)) == (reason, set(warnings.split()))


@pytest.mark.parametrize(
    ("number", "api", "text"),
    [(19195550123, "v1", "9195550123"), (19195550123, "v2", "+19195550123"), (441224003018, "v2", "+441224003018")],
)
def test_wire_form(number, api, text):
    """v1 gets ten digits, v2 E.164, and both are read back as the same TN."""
    assert tn.to_wire(number, api) == text
    assert tn.from_wire(text) == number


@pytest.mark.parametrize(
    ("number", "api"), [(441224003018, "v1"), (9195550123, "v1"), (0, "v2"), (0, "v1"), (19195550123, "v3")]
)
def test_no_wire_form(number, api):
    """What has no form on the wire is never sent in another one."""
    with pytest.raises(ValueError, match="has no form"):
        tn.to_wire(number, api)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("9195550123", 19195550123),
        ("19195550123", 19195550123),
        (" +19195550123\n", 19195550123),
        ("441224003018", 441224003018),
        ("+4532123456", 4532123456),
        ("", 0),
        ("1195550123", 0),
        ("0195550123", 0),
        ("919-555-0123", 0),
        ("+", 0),
        ("++19195550123", 0),
        ("1234567890123456", 0),
        ("٩١٩٥٥٥٠١٢٣", 0),
        ("none", 0),
    ],
)
def test_reads_the_carriers_answers(text, number):
    """The carrier's TNs are read with or without + and 1; anything else is none."""
    assert tn.from_wire(text) == number


def test_north_american_refuses_other_lengths():
    """Ten digits are asserted where a +1 TN is made: ten digits alone would be another country."""
    assert tn.north_american(9195550123) == 19195550123
    for digits in (19195550123, 195550123, 1195550123):
        with pytest.raises(AssertionError):
            tn.north_american(digits)
