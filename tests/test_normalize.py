"""The kernel against the scalar rules of `tn`, and the traps that the first kernels fell into."""

from __future__ import annotations

import random
import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import phonenumbers
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batcher import normalize as kernel
from batcher import tn
from batcher.normalize import e164, normalize


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
    rng = random.Random(20_260)
    shapes = [
        *("{a}{b}{c}", "1{a}{b}{c}", "+1{a}{b}{c}", "({a}) {b}-{c}", "{a}.{b}.{c}", "{a}{b}{c}.0", "1{a}{b}{c}.0"),
        *("+1 ({a}) {b}-{c}", " {a}{b}{c}", "{a}-{b}-{c}  ", "1{a}{b}{c}{c}", "{a}{b}{c}{a}{b}{c}", "+44 {a}{b}{c}"),
        *("011{a}{b}{c}", "00{a}{b}{c}", "{a}{b}", "{a}{b}{c} x{a}", "{a}{b}{c}.{a}", "{a}{b}{c}-{a}", "+{a}{b}{c}"),
        *("{a}/{b}/{c}", "{a} {b} {c}{b}{b}", "{a}{b}.{c}", "1{a}{b}{a}.{b}", "(0){a}{b}{c}", "{a}.{b}{c}E+09", "{a}"),
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
    cells = rng.choices([one() if rng.random() < 0.8 else noise() for _ in range(count // 5)], k=count)
    for place in rng.sample(range(count), 200):
        cells[place] = rng.choice(runs)
    return cells


@pytest.fixture(scope="module")
def adversarial() -> tuple[list[str], list[tn.Parsed]]:
    cells = adversarial_cells(400_000)
    verdicts = {cell: tn.parse(cell, international=kernel._judge_abroad) for cell in set(cells)}
    return cells, [verdicts[cell] for cell in cells]


@pytest.mark.parametrize("arrow_type", [pa.string(), pa.large_string()], ids=str)
def test_agrees_with_the_rules_on_400_000_adversarial_cells(adversarial, arrow_type):
    """TN, reason and warnings are those of `tn.parse` in every row, whatever stands in the rows around it."""
    cells, verdicts = adversarial
    frame = normalize(text_series(cells, arrow_type))
    expected = np.array(verdicts)
    wrong = np.flatnonzero((frame.to_numpy(np.int64) != expected).any(axis=1))
    assert [(cells[row], frame.iloc[row].tolist(), verdicts[row]) for row in wrong[:5]] == []
    assert (frame["reason"] == 0).sum() > 30_000


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
    expected = [tuple(tn.parse(cell, international=kernel._judge_abroad)) for cell in cells[offset:]]
    assert list(frame.itertuples(index=False, name=None)) == expected


@given(
    st.lists(st.from_regex(r"\s?\+?1?[ .-]?\(?[0-9]{3}\)?[ .-]{0,2}[0-9]{3}[ .-]?[0-9]{4}(\.0)?\s?", fullmatch=True))
)
@settings(max_examples=100, deadline=None)
def test_agrees_with_the_rules_on_near_numbers(cells):
    """The same for cells that the kernel mostly accepts."""
    expected = [tuple(tn.parse(cell, international=kernel._judge_abroad)) for cell in cells]
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
        assert (reason, mask) == tn.structure(full), prefix
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
    """A dictionary of text is text; numbers are not, since a float has lost digits before anybody looked."""
    column = text_series(["9192340123", "9192340123"], pa.dictionary(pa.int32(), pa.string()))
    assert normalize(column)["tn"].tolist() == [19192340123] * 2
    with pytest.raises(TypeError, match="is double, expected text"):
        normalize(pd.Series([9192340123.0]))


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


def test_agrees_with_libphonenumber_on_other_countries():
    """Its metadata read directly says what is_possible_number and is_valid_number say of the same digits."""
    rng = random.Random(2)
    for code, regions in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.items():
        for region in regions if code != 1 else ():
            metadata: Any = phonenumbers.PhoneMetadata.metadata_for_region_or_calling_code(code, region)
            example = (metadata.mobile or metadata.fixed_line or metadata.general_desc).example_number or "812345678"
            for _ in range(10):
                place = rng.randrange(len(example))
                typed = example[:place] + rng.choice(("", "0", "1", "5", "77")) + example[place + 1 :]
                zeros = len(typed) - len(str(int(typed)))
                number = phonenumbers.PhoneNumber(
                    country_code=code,
                    national_number=int(typed),
                    italian_leading_zero=zeros > 0,
                    number_of_leading_zeros=zeros,
                )
                if len(f"{code}{typed}") > 15:
                    continue
                reason, warnings = kernel._judge_abroad(int(f"{code}{typed}"))
                possible = (
                    phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE
                )
                assert (reason == 0) == possible, number
                assert (reason == 0 and warnings == 0) == phonenumbers.is_valid_number(number), number


def test_v1_takes_north_american_numbers_only():
    """A number that v1 cannot name is refused there, and only there."""
    raw = text_series(["+441224003018", "+19192340123", "9005550123", "x"])
    assert [reason for _, reason, _ in told(normalize(raw))] == ["", "", "", "LETTERS"]
    assert told(normalize(raw, api="v1")) == [
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


def test_normalizing_twice_changes_nothing(adversarial):
    """What was accepted is accepted again as the same TN, from E.164 as well as from v1's ten digits."""
    cells, _ = adversarial
    accepted = normalize(text_series(cells[:200_000], pa.large_string())).query("reason == 0")["tn"].to_numpy()
    assert np.array_equal(normalize(text_series(e164(accepted), pa.string()))["tn"], accepted)
    near = accepted[(accepted > 12_000_000_000) & (accepted < 20_000_000_000)]
    assert np.array_equal(
        normalize(text_series([tn.to_wire(number, "v1") for number in near[:50_000].tolist()]))["tn"], near[:50_000]
    )


def test_phonenumbers_is_loaded_when_a_foreign_number_is_met():
    """A file of North American numbers never pays for the world's metadata."""
    program = (
        "import sys, pandas as pd; from batcher.normalize import normalize\n"
        "normalize(pd.Series(['9192340123', 'x', '+1 919 234 0123 x5'])); assert 'phonenumbers' not in sys.modules\n"
        "normalize(pd.Series(['+441224003018'])); assert 'phonenumbers' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
