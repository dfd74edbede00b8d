"""The kernel against the scalar rules of `tn`, and the traps that the first kernels fell into."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batcher import numbering, tn
from batcher.normalize import e164, normalize

#: How many cells are compared, and which: more, or others, on demand.
FUZZ_CELLS = int(os.environ.get("BATCHER_FUZZ_CELLS", "400_000"))
FUZZ_SEED = int(os.environ.get("BATCHER_FUZZ_SEED", "20_260"))

RULES = [
    pytest.param(tn.Rules(), id="default"),
    pytest.param(tn.Rules("v1"), id="v1"),
    pytest.param(tn.Rules(strict=True), id="strict"),
    pytest.param(tn.Rules(relax=frozenset({"extensions", "vanity", "labels"})), id="relaxed"),
    pytest.param(tn.Rules("v1", True, frozenset({"extensions", "vanity", "labels"}), frozenset({851, 371})), id="all"),
]


def judged(cell: str, rules: tn.Rules | None = None) -> tn.Parsed:
    """The reference: one cell by the scalar rules."""
    rules = rules or tn.Rules()
    return tn.parse(cell, rules, international=numbering.abroad, numbering=numbering.of_npa)


def text_series(cells, arrow_type=None) -> pd.Series:
    """A column as the readers hand it over: `str` on large_string, or of an Arrow type."""
    if arrow_type is None:
        return pd.Series(cells, dtype="str")
    return pd.Series(pd.arrays.ArrowExtensionArray(pa.array(cells, arrow_type)))


def told(frame) -> list[tuple[int, str, set[str]]]:
    """The frame's rows with codes in the place of numbers."""
    return [
        (number, tn.REASONS[reason].code, {each.code for bit, each in enumerate(tn.WARNINGS) if mask >> bit & 1})
        for number, reason, mask in frame.itertuples(index=False)
    ]


def adversarial_cells(count: int) -> list[str]:
    """Cells that are nearly numbers: usual shapes with something wrong, with runs of what confuses counters between them."""
    rng = random.Random(FUZZ_SEED)
    shapes = [
        *("{a}{b}{c}", "1{a}{b}{c}", "+1{a}{b}{c}", "({a}) {b}-{c}", "{a}.{b}.{c}", "{a}{b}{c}.0", "1{a}{b}{c}.0"),
        *("+1 ({a}) {b}-{c}", " {a}{b}{c}", "{a}-{b}-{c}  ", "1{a}{b}{c}{c}", "{a}{b}{c}{a}{b}{c}", "+44 {a}{b}{c}"),
        *("011{a}{b}{c}", "00{a}{b}{c}", "{a}{b}", "{a}{b}{c} x{a}", "{a}{b}{c}.{a}", "{a}{b}{c}-{a}", "+{a}{b}{c}"),
        *("{a}/{b}/{c}", "{a} {b} {c}{b}{b}", "{a}{b}.{c}", "1{a}{b}{a}.{b}", "(0){a}{b}{c}", "{a}.{b}{c}E+09", "{a}"),
        *(
            "1-{a}-FLOWERS",
            "{a}-{b}-TAXI",
            "{a}-{b}-XXXX",
            "Tel: {a}{b}{c}",
            "({a}) {b}-{c} (cell)",
            "{a}{b}{c} ext. {a}",
        ),
        *("({a}){b}-{c}", "1 ({a}) {b}-{c}", "+1-{a}-{b}-{c}", "1.{a}.{b}.{c}", "+44{b}{c}{a}", "+{a}{b}{c}{a}"),
    ]
    marks = [
        *" ().-+/01289xX#,;'\"=@eE\t\r\n\x00\x7f",
        *("\u0663", "\uff11", "\u00b2", "\u2460", "\u00a0", "\u2009", "\u200b", "\u202d", "\u202e", "\ufeff", "\u2013"),
        *(
            "\u2212",
            "\uff0b",
            "\U0001d7d0",
            "\u00e9",
            "ext",
            ".0",
            ".00",
            "+1",
            "1-",
            " - ",
            "(0)",
            "()",
            "11",
            "0" * 20,
        ),
    ]
    runs = [
        " " * 45,
        "1" * 256,
        "(" * 300,
        "9" * 512,
        "-" * 40 + "1",
        "+" * 257,
        "2" * 70_000,
        " " * 300 + "9192340123",
    ]
    codes = ["201", "919", "234", "411", "555", "800", "911", "298", "019", "100", "976", "900", "533", "822"]

    def one() -> str:
        c = f"{rng.randrange(10_000):04d}"
        cell = rng.choice(shapes).format(a=rng.choice(codes), b=rng.choice(codes), c=c)
        for _ in range(rng.choice((0, 0, 1, 1, 2, 3))):
            place = rng.randint(0, len(cell))
            cell = cell[:place] + rng.choice(marks) + cell[place + rng.randint(0, 1) :]
        return cell

    def noise() -> str:
        return "".join(rng.choices("0011229.-+() ", k=rng.randint(0, 16)))

    # The rules take ten microseconds a cell: they judge each once, and the kernel meets it beside different neighbours.
    cells = rng.choices([one() if rng.random() < 0.8 else noise() for _ in range(count // 10)], k=count)
    for place in rng.sample(range(count), 200):
        cells[place] = rng.choice(runs)
    return cells


@pytest.fixture(scope="module")
def adversarial() -> list[str]:
    return adversarial_cells(FUZZ_CELLS)


@pytest.mark.parametrize("rules", RULES)
def test_agrees_with_the_rules_on_400_000_adversarial_cells(adversarial, rules):
    """TN, reason and warnings are those of `tn.parse` in every row, whatever stands in the rows around it."""
    distinct = {cell: place for place, cell in enumerate(dict.fromkeys(adversarial))}
    expected = np.array([judged(cell, rules) for cell in distinct])[[distinct[cell] for cell in adversarial]]
    for arrow_type in (pa.string(), pa.large_string()):
        frame = normalize(text_series(adversarial, arrow_type), rules)
        wrong = np.flatnonzero((frame.to_numpy(np.int64) != expected).any(axis=1))
        assert [(adversarial[row], frame.iloc[row].tolist(), expected[row].tolist()) for row in wrong[:5]] == []
    print(f"\n{len(adversarial):,} cells compared, {len(distinct):,} distinct")
    assert (frame["reason"] == 0).sum() > len(adversarial) // 20


def test_the_kernel_decides_the_usual_shapes(monkeypatch):
    """No usual cell takes the slow way."""
    monkeypatch.setattr(tn, "parse", None)
    cells = [
        *(
            "9192340123",
            "19192340123",
            "+19192340123",
            "(919) 234-0123",
            "919.234.0123",
            "919 234 0123",
            "1 (919) 234-0123",
        ),
        *("+1-919-234-0123", "9192340123.0", "19192340123.0", " 9192340123  ", "", "   ", "919234012", "441224003018"),
        *("191923401234", "1192340123", "9191340123", "1-911-234-0123"),
    ]
    assert [reason for _, reason, _ in told(normalize(text_series(cells)))] == [
        *[""] * 11,
        *(
            "EMPTY",
            "EMPTY",
            "TOO_SHORT",
            "COUNTRY_AMBIGUOUS",
            "TOO_LONG",
            "NANP_BAD_NPA",
            "NANP_BAD_NXX",
            "NANP_BAD_NPA",
        ),
    ]


@given(
    st.lists(st.text(st.one_of(st.sampled_from("0123456789 ().-+"), st.characters(codec="utf-8")), max_size=20)),
    st.integers(0, 3),
)
@settings(max_examples=150, deadline=None)
def test_agrees_with_the_rules_on_any_text(cells, offset):
    """The same for cells that nobody thought of, and for slices that do not start at the first row."""
    column = pa.array(cells, pa.string()).slice(min(offset, len(cells)))
    frame = normalize(text_series(column, pa.string()))
    expected = [tuple(judged(cell)) for cell in cells[offset:]]
    assert list(frame.itertuples(index=False, name=None)) == expected


@given(
    st.lists(st.from_regex(r"\s?\+?1?[ .-]?\(?[0-9]{3}\)?[ .-]{0,2}[0-9]{3}[ .-]?[0-9]{4}(\.0)?\s?", fullmatch=True))
)
@settings(max_examples=100, deadline=None)
def test_agrees_with_the_rules_on_near_numbers(cells):
    """The same for cells that the kernel mostly accepts."""
    expected = [tuple(judged(cell)) for cell in cells]
    assert list(normalize(text_series(cells)).itertuples(index=False, name=None)) == expected


def test_agrees_with_the_structure_of_every_prefix():
    """All 1,000,000 NPA-NXX are judged as `tn.structure` judges them: a sample of 30,000, and all special codes."""
    rng = random.Random(1)
    special = [
        0,
        100,
        199,
        200,
        211,
        299,
        411,
        456,
        533,
        555,
        710,
        800,
        811,
        822,
        888,
        900,
        911,
        950,
        958,
        959,
        976,
        999,
    ]
    prefixes = [npa * 1000 + nxx for npa in special for nxx in special] + rng.sample(range(200_000, 1_000_000), 30_000)
    prefixes += [npa * 1000 + nxx for npa in range(200, 1000) for nxx in (111, 234, 411, 555)]
    # Written with a leading 1, no prefix looks like another country's.
    frame = normalize(text_series([f"1{prefix:06d}0123" for prefix in prefixes]))
    for prefix, number, reason, mask in zip(prefixes, *(frame[name] for name in frame), strict=True):
        full = 10_000_000_123 + prefix * 10_000
        assert (reason, mask) == tn.structure(full, numbering=numbering.of_npa), prefix
        assert number == (0 if reason else full)


@pytest.mark.parametrize(
    ("cell", "number", "reason"),
    [
        pytest.param("201-555-123 x4", 0, "EXTENSION", id="the extension completes ten digits"),
        pytest.param("abc2015551234", 0, "LETTERS", id="letters around ten digits"),
        pytest.param("2015551234.0", 12015551234, "", id="float text is not eleven digits"),
        pytest.param("1201555123.0", 0, "NANP_BAD_NPA", id="float text of ten digits from 1"),
        pytest.param("+2015551234", 0, "COUNTRY_AMBIGUOUS", id="Egypt by accident"),
        pytest.param("٢٠١٥٥٥١٢٣٤", 12015551234, "", id="digits that are not ASCII"),
        pytest.param("2015551234" + " " * 300 + "1" * 246, 0, "TOO_LONG", id="256 digits"),
        pytest.param("2" * 266, 0, "TOO_LONG", id="266 digits: ten, if counted in a byte"),
        pytest.param("+" * 256 + "2015551234", 0, "BAD_CHARACTER", id="256 plus signs: none, if counted in a byte"),
        pytest.param("$" * 65_536 + "2015551234", 0, "BAD_CHARACTER", id="65,536 other characters"),
        pytest.param("1" * 65_546, 0, "TOO_LONG", id="65,546 digits"),
        pytest.param(" +12015551234", 12015551234, "", id="blank in front of +"),
        pytest.param("2015551234\x00", 0, "BAD_CHARACTER", id="NUL behind"),
        pytest.param("2015551234;2015551235", 0, "MULTIPLE_TNS", id="the second TN is not lost"),
    ],
)
def test_traps(cell, number, reason):
    """Each trap is seen, and the rows around it are not disturbed."""
    neighbour: tuple[int, str, set[str]] = (19192340123, "", set())
    before, (tn_found, reason_found, _), after = told(normalize(text_series(["9192340123", cell, "(919) 234-0123"])))
    assert (before, tn_found, reason_found, after) == (neighbour, number, reason, neighbour)


def test_gives_a_frame_beside_the_input():
    """The index is the input's, the columns are small integers, and nothing is raised for a missing cell."""
    raw = pd.Series(["9192340123", None, "x"], index=[7, 8, 11], dtype="str", name="phone")
    frame = normalize(raw)
    assert frame.index.equals(raw.index)
    assert frame.dtypes.astype(str).to_dict() == {"tn": "int64", "reason": "uint8", "warnings": "uint16"}
    assert told(frame) == [(19192340123, "", set()), (0, "EMPTY", set()), (0, "LETTERS", set())]


def test_a_column_s_name_below_it_is_no_data():
    """Whatever it is, and only as a whole: files that were put together repeat their header."""
    cells = ["Anschluss", "\ufeff anschluss ", "Anschluss 2", "9192340123", "", "x"]
    told_reasons = [reason for _, reason, _ in told(normalize(pd.Series(cells, dtype="str", name="Anschluss")))]
    assert told_reasons == ["NOT_DATA", "NOT_DATA", "LETTERS", "", "EMPTY", "LETTERS"]
    for name in ("", None, 7):
        unnamed = told(normalize(pd.Series(["\ufeff", "none", "7"], dtype="str", name=name)))
        assert [reason for _, reason, _ in unnamed] == ["EMPTY", "NOT_A_NUMBER", "TOO_SHORT"]
    number = normalize(pd.Series(["9192340123", ""], dtype="str", name="9192340123"))
    assert told(number) == [(19192340123, "", set()), (0, "EMPTY", set())]


@pytest.mark.parametrize("arrow_type", [pa.string(), pa.large_string()], ids=str)
def test_reads_any_arrow_layout(arrow_type):
    """Slices, null bitmaps with rubbish behind them, several chunks and empty chunks give the same rows."""
    cells = ["1", "9192340123", None, "(919) 234-0124", "", "9192340125"]
    chunk = pa.array(cells, arrow_type)
    validity = pa.py_buffer(b"\x02")
    hidden = pa.Array.from_buffers(
        arrow_type, 2, [validity, *pa.array(["9" * 70, "9192340126"], arrow_type).buffers()[1:]]
    )
    empty = pa.array([], arrow_type)
    chunked = pa.chunked_array([empty, chunk.slice(1, 3), hidden, chunk.slice(5), empty, chunk.slice(4, 1)])
    frame = normalize(pd.Series(pd.arrays.ArrowExtensionArray(chunked)))
    assert [(number, reason) for number, reason, _ in told(frame)] == [
        (19192340123, ""),
        (0, "EMPTY"),
        (19192340124, ""),
        (0, "EMPTY"),
        (19192340126, ""),
        (19192340125, ""),
        (0, "EMPTY"),
    ]


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(pd.Series([], dtype="str"), id="str"),
        pytest.param(pd.Series([], dtype=pd.ArrowDtype(pa.string())), id="string"),
        pytest.param(pd.Series([None, None], dtype="str").iloc[2:], id="slice of missing cells"),
    ],
)
def test_empty_column(raw):
    """No rows give no rows."""
    assert list(normalize(raw).columns) == ["tn", "reason", "warnings"]
    assert normalize(raw).empty


def test_columns_of_all_missing_or_empty_cells():
    """Arrow may leave out the text buffer altogether."""
    assert normalize(text_series([None, None]))["reason"].tolist() == [2, 2]
    assert normalize(text_series(["", ""], pa.string()))["reason"].tolist() == [2, 2]


def test_dictionary_column():
    """A dictionary of text or of numbers is what it holds."""
    column = text_series(["9192340123", "9192340123"], pa.dictionary(pa.int32(), pa.string()))
    assert normalize(column)["tn"].tolist() == [19192340123] * 2
    column = text_series([9192340123, 9192340123], pa.dictionary(pa.int32(), pa.int64()))
    assert normalize(column)["tn"].tolist() == [19192340123] * 2


NUMBERS: list[tuple[int | None, int, str]] = [
    (9192340123, 19192340123, ""),  # ten digits
    (19192340123, 19192340123, ""),  # 1 and ten
    (1192340123, 0, "NANP_BAD_NPA"),  # ten digits from 1
    (9994110123, 0, "NANP_BAD_NPA"),  # no NPA
    (9194110123, 0, "NANP_BAD_NXX"),  # no NXX
    (0, 0, "TOO_SHORT"),  # 0
    (919234012, 0, "TOO_SHORT"),  # nine digits
    (441224003018, 0, "COUNTRY_AMBIGUOUS"),  # UK without +
    (191923401234, 0, "TOO_LONG"),  # twelve digits from 1
    (2**53, 0, "TOO_LONG"),  # sixteen digits
    (None, 0, "EMPTY"),  # missing
]
COLUMNS = [
    *("int64", "uint64", "float64", "Int64", "UInt64", "Float64"),
    *(
        pd.ArrowDtype(arrow_type)
        for arrow_type in (
            *(pa.int64(), pa.uint64(), pa.float64(), pa.decimal128(20, 0), pa.decimal128(18, 0), pa.decimal128(38, 20)),
            *(pa.decimal128(20, 2), pa.decimal256(60, 0), pa.decimal256(60, 5), pa.decimal64(18, 0)),
        )
    ),
]


def number_series(values, dtype) -> pd.Series:
    if isinstance(dtype, pd.ArrowDtype) and pa.types.is_decimal(dtype.pyarrow_dtype):
        values = [None if value is None else Decimal(value) for value in values]
    series: pd.Series = pd.Series(values, dtype=dtype)
    return series


@pytest.mark.parametrize("dtype", COLUMNS, ids=str)
def test_numbers(dtype):
    """Each type that holds ten digits exactly is judged by its values; digits behind a decimal's point only warn."""
    has_missing = dtype not in {"int64", "uint64"}
    rows = [row for row in NUMBERS if has_missing or row[0] is not None]
    found = told(normalize(number_series([row[0] for row in rows], dtype)))
    assert [(number, reason) for number, reason, _ in found] == [row[1:] for row in rows]
    has_scale = isinstance(dtype, pd.ArrowDtype) and getattr(dtype.pyarrow_dtype, "scale", 0) > 0
    assert all(warnings == ({"FLOAT_TEXT"} if has_scale and number else set()) for number, _, warnings in found)


ODD = [
    pytest.param("float64", 9192340123.5, "NON_INTEGER", id="fraction"),
    pytest.param("float64", 919234.0123, "NON_INTEGER", id="fraction of ten digits in all"),
    pytest.param("float64", -0.5, "NON_INTEGER", id="negative fraction"),
    pytest.param("float64", 1e-300, "NON_INTEGER", id="tiny fraction"),
    pytest.param("float64", -9192340123.0, "BAD_CHARACTER", id="negative"),
    pytest.param("float64", -0.0, "TOO_SHORT", id="negative zero"),
    pytest.param("float64", float("nan"), "EMPTY", id="NaN"),
    pytest.param("float64", float("inf"), "LETTERS", id="infinity"),
    pytest.param("float64", 1e300, "SCI_NOTATION", id="huge"),
    pytest.param("float64", 2.0**53 - 1, "TOO_LONG", id="largest exact float"),
    pytest.param("int64", -9192340123, "BAD_CHARACTER", id="negative integer"),
    pytest.param("int64", 2**63 - 1, "TOO_LONG", id="largest int64"),
    pytest.param("int64", -(2**63), "BAD_CHARACTER", id="smallest int64"),
    pytest.param("int64", 91923401239192340, "TOO_LONG", id="seventeen digits"),
    pytest.param("uint64", 2**64 - 1, "MULTIPLE_TNS", id="largest uint64: twenty digits"),
    pytest.param(pd.ArrowDtype(pa.decimal128(12, 2)), "9192340123.50", "NON_INTEGER", id="decimal fraction"),
    pytest.param(pd.ArrowDtype(pa.decimal128(12, 4)), "919234.0123", "NON_INTEGER", id="decimal of ten digits in all"),
    pytest.param(pd.ArrowDtype(pa.decimal128(12, 4)), "919234.0000", "TOO_SHORT", id="zeros are no digits of a TN"),
    pytest.param(pd.ArrowDtype(pa.decimal128(12, 4)), "-919234.0000", "BAD_CHARACTER", id="negative decimal"),
    pytest.param(pd.ArrowDtype(pa.decimal128(38, 38)), "0." + "1" * 38, "NON_INTEGER", id="decimal of decimals alone"),
    pytest.param(pd.ArrowDtype(pa.decimal128(38, 0)), "9" * 38, "TOO_LONG", id="38 digits"),
]  # fmt: skip


@pytest.mark.parametrize(("dtype", "value", "reason"), ODD)
def test_odd_numbers(dtype, value, reason):
    """Fractions, signs and sizes that no TN has are refused, and disturb no neighbour."""
    column = number_series([value], dtype)
    assert told(normalize(column)) == [(0, reason, set())]


def test_numbers_follow_the_rules_of_the_job():
    """Strict rules and the lists of area codes hold for numbers as for text."""
    column = pd.Series([3712340123, 2042340123])
    assert told(normalize(column)) == [(13712340123, "", {"NPA_UNRECOGNIZED"}), (12042340123, "", {"NOT_US"})]
    assert told(normalize(column, tn.Rules(strict=True)))[0] == (0, "NANP_BAD_NPA", set())
    assert told(normalize(column, tn.Rules(known_npas=frozenset({371}))))[0] == (13712340123, "", set())


@pytest.mark.parametrize(
    "column",
    [
        pytest.param(pd.Series([9192340123.0], dtype="float32"), id="float32"),
        pytest.param(pd.Series([919234012], dtype="int32"), id="int32"),
        pytest.param(pd.Series([919234012], dtype="uint32"), id="uint32"),
        pytest.param(pd.Series([True]), id="bool"),
        pytest.param(pd.Series([pd.Timestamp("2026-01-02")]), id="timestamp"),
        pytest.param(pd.Series([b"9192340123"], dtype=pd.ArrowDtype(pa.binary())), id="binary"),
        pytest.param(pd.Series([["9192340123"]], dtype=pd.ArrowDtype(pa.list_(pa.string()))), id="list"),
    ],
)
def test_other_types_are_refused(column):
    """What cannot hold ten digits exactly has lost some before anybody looked."""
    with pytest.raises(TypeError, match="expected text"):
        normalize(column)


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize(
    "arrow_type",
    [pa.int64(), pa.uint64(), pa.float64(), pa.decimal128(38, 0), pa.decimal128(24, 2), pa.decimal256(50, 3)],
    ids=str,
)
def test_numbers_agree_with_their_text(arrow_type, rules):
    """Around every boundary, each number is judged as `tn.parse` judges its digits; a decimal's zeros warn besides."""
    rng = random.Random(FUZZ_SEED)
    edges = [10**power + more for power in range(1, 20) for more in (-2, -1, 0, 1, 2)] + [2 * 10**9, 2 * 10**10, 2**53]
    values: list[Any] = [0, None, 2**63 - 1, *edges, *(edge + rng.randint(-999, 999) for edge in edges * 20)]
    values += [rng.randrange(10 ** rng.randint(9, 12)) for _ in range(2_000)]
    values += [rng.randrange(10**9, 2 * 10**10) for _ in range(10_000)]
    if arrow_type != pa.uint64():
        values += [-value for value in values[2:200]]
    values = [value for value in values if value is None or (arrow_type == pa.uint64()) <= (value >= 0)]
    values = [value for value in values if value is None or -(2**63) <= value < 2**63]
    if arrow_type == pa.float64():
        values = [value if value is None else float(value) for value in values]
        values += [rng.uniform(-1, 1) * 10 ** rng.randint(-5, 20) for _ in range(2_000)]
    if pa.types.is_decimal(arrow_type):
        values = [value if value is None else Decimal(value) for value in values]
        if arrow_type.scale:
            values += [Decimal(rng.randrange(10**12)) / 10**arrow_type.scale for _ in range(2_000)]
    expected = [_of_number(value, arrow_type, rules) for value in values]
    frame = normalize(pd.Series(pd.arrays.ArrowExtensionArray(pa.array(values, arrow_type))), rules)
    found = list(frame.itertuples(index=False, name=None))
    assert [each for each in zip(values, found, expected, strict=True) if each[1] != each[2]][:5] == []


def _of_number(value: Any, arrow_type: pa.DataType, rules: tn.Rules) -> tuple[int, int, int]:
    if value is None:
        return judged("", rules)
    if value != value // 1:
        return 0, tn.REASON["NON_INTEGER"], 0
    is_inexact = isinstance(value, float) and abs(value) >= 2**53
    text = pa.scalar(value).cast(pa.string()).as_py() if is_inexact else str(int(value))
    number, reason, warnings = judged(text, rules)
    has_zeros = pa.types.is_decimal(arrow_type) and arrow_type.scale > 0
    return number, reason, warnings | (tn.MASK["FLOAT_TEXT"] if has_zeros and number else 0)


@pytest.mark.parametrize(
    ("cell", "number", "reason", "warnings"),
    [
        pytest.param("+44 1224 003018", 441224003018, "", set(), id="valid"),
        pytest.param("+61870933122", 61870933122, "", set(), id="valid, Australia"),
        pytest.param("+270985556666", 270985556666, "", {"INTL_UNVERIFIED"}, id="the carrier's example keeps its 0"),
        pytest.param("+390236618300", 390236618300, "", set(), id="Italy's 0 belongs to the number"),
        pytest.param("+80012345678", 80012345678, "", set(), id="no country at all"),
        pytest.param("+4401224003018", 0, "INTL_BAD_LENGTH", set(), id="trunk 0"),
        pytest.param("+44122400", 0, "INTL_BAD_LENGTH", set(), id="too short"),
        pytest.param("+44", 0, "INTL_BAD_LENGTH", set(), id="country code alone"),
        pytest.param("+4915123456789012", 0, "INTL_BAD_LENGTH", set(), id="16 digits, valid to libphonenumber"),
        pytest.param("+999123456789", 0, "COUNTRY_UNKNOWN", set(), id="no such country"),
        pytest.param("+2", 0, "COUNTRY_UNKNOWN", set(), id="half a country code"),
    ],
)
def test_other_countries(cell, number, reason, warnings):
    """Country code and length decide with the digits as typed; the rest of libphonenumber's knowledge only warns."""
    assert told(normalize(text_series([cell]))) == [(number, reason, warnings)]


def test_v1_takes_north_american_numbers_only():
    """A number that v1 cannot name is refused there, and only there."""
    raw = text_series(["+441224003018", "+19192340123", "9005550123", "x"])
    assert [reason for _, reason, _ in told(normalize(raw))] == ["", "", "", "LETTERS"]
    assert told(normalize(raw, tn.Rules("v1"))) == [
        (0, "NOT_IN_V1", set()),
        (19192340123, "", set()),
        (19005550123, "", {"PREMIUM", "FICTIONAL_555"}),
        (0, "LETTERS", set()),
    ]


def test_e164():
    """Text comes back from the integers, of every length and in every order."""
    tns = np.array([19192340123, 0, 441224003018, 12000000000, 19999999999, 4532123456, 270985556666], np.int64)
    expected = ["+19192340123", "", "+441224003018", "+12000000000", "+19999999999", "+4532123456", "+270985556666"]
    assert e164(tns).to_pylist() == expected
    assert e164(tns[::-2]).to_pylist() == expected[::-2]
    assert e164(tns[:2]).to_pylist() == expected[:2]
    assert e164(tns[:0]).to_pylist() == []
    assert e164(tns).type == pa.string()
    e164(tns).validate(full=True)


@pytest.mark.parametrize("rules", RULES)
def test_normalizing_twice_changes_nothing(adversarial, rules):
    """What was accepted is accepted again as the same TN, from E.164 as well as from v1's ten digits."""
    accepted = normalize(text_series(adversarial, pa.large_string()), rules).query("reason == 0")["tn"].to_numpy()
    assert np.array_equal(normalize(text_series(e164(accepted), pa.string()), rules)["tn"], accepted)
    near = accepted[(accepted > 12_000_000_000) & (accepted < 20_000_000_000)]
    assert np.array_equal(normalize(pd.Series(near - 10_000_000_000), rules)["tn"], near)
    text = [tn.to_wire(number, "v1") for number in near[:50_000].tolist()]
    assert np.array_equal(normalize(text_series(text), rules)["tn"], near[:50_000])


def test_the_world_is_loaded_when_a_foreign_number_is_met():
    """Importing us loads no metadata, and a file of North American numbers only that of +1."""
    program = (
        "import sys, pandas as pd; from batcher.normalize import normalize\n"
        "assert 'phonenumbers' not in sys.modules\n"
        "normalize(pd.Series(['9192340123', 'x', '+1 919 234 0123 x5']))\n"
        "assert 'phonenumbers.data.region_GB' not in sys.modules\n"
        "normalize(pd.Series(['+441224003018'])); assert 'phonenumbers.data.region_GB' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("api", ["v1", "v2"])
def test_agrees_with_the_rules_on_what_looks_like_a_date_or_an_address(api):
    """Ten digits with the last four together are no number when a year and a month stand in front."""
    rng = random.Random(3)
    marks = ["-", ".", "/", " "]
    cells = [
        f"{rng.choice(('', '1', '+1', '1 '))}{rng.choice((19, 20, 21, 12))}{rng.randrange(100):02d}{mark}{rng.randrange(1, 14)}"
        f"{mark}{rng.randrange(1, 33)}{rng.choice((' ', '', '-', 'T'))}{rng.randrange(10 ** rng.randint(1, 5))}"
        for mark in marks
        for _ in range(5_000)
    ]
    rules = tn.Rules(api)
    told = normalize(pd.Series(cells, dtype="str"), rules)
    parsed = [tn.parse(cell, rules, international=numbering.abroad, numbering=numbering.of_npa) for cell in cells]
    assert told["tn"].tolist() == [each.tn for each in parsed]
    assert told["reason"].tolist() == [each.reason for each in parsed]
    assert sum(each.reason == tn.REASON["BAD_CHARACTER"] for each in parsed) > 500
