"""Excel workbooks: the one sheet that holds rows, number for number."""

from __future__ import annotations

import datetime as dt
import sys
import zipfile
from pathlib import Path

import openpyxl
import pytest

from batcher.errors import InputError
from batcher.table import open_source


def saved(folder: Path, sheets) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(folder / "numbers.xlsx")
    return folder / "numbers.xlsx"


def test_cells_are_written_with_all_their_digits(tmp_path):
    """Numbers, text, dates and blanks; titles above the header; rows without a value are none."""
    rows = [
        ["Inventory", None, None],
        ["TN", "To", "Since"],
        [2015550123, "sip:desk@192.0.2.4", dt.date(2026, 11, 20)],
        [None, None, None],
        ["+1 201 555 0124", 12015550199.0, True],
        [441224003018, 1.5, 'a "b", c'],
    ]
    with open_source(saved(tmp_path, {"Empty": [], "TNs": rows})) as source:
        assert source.columns == ("TN", "To", "Since")
        cells = [list(row.values()) for batch in source.batches() for row in batch.frame.to_pylist()]
    assert cells == [
        ["2015550123", "sip:desk@192.0.2.4", "2026-11-20"],
        ["+1 201 555 0124", "12015550199", "true"],
        ["441224003018", "1.5", 'a "b", c'],
    ]


def test_characters_of_every_kind(tmp_path):
    """A workbook knows its encoding: nothing is guessed."""
    with open_source(
        saved(tmp_path, {"A": [["TN", "Name"], ["\u202a919\u00a0555 0123\u202c", "Zoë “日本”"]]})
    ) as source:
        [batch] = source.batches()
        assert batch.frame.to_pylist() == [{"TN": "\u202a919\u00a0555 0123\u202c", "Name": "Zoë “日本”"}]
        assert source.warnings == []


def test_which_sheet_is_never_guessed(tmp_path):
    """Several with rows are named; none is too little."""
    with pytest.raises(InputError, match=r"several of its sheets hold rows \(A, B\)"):
        open_source(saved(tmp_path, {"A": [["TN"]], "B": [["x"]]}))
    with pytest.raises(InputError, match="EMPTY_FILE"):
        open_source(saved(tmp_path, {"A": []}))


@pytest.mark.parametrize("state", ["hidden", "veryHidden"])
def test_a_sheet_that_nobody_sees_is_refused_when_it_holds_rows(tmp_path, state):
    """Whoever looked at the workbook saw other rows, or none."""
    path = saved(tmp_path, {"Seen": [], "Old": [["TN"], [2015550123]], "Lists": []})
    book = openpyxl.load_workbook(path)
    book["Old"].sheet_state = book["Lists"].sheet_state = state
    book.save(path)
    with pytest.raises(InputError, match=r'its sheet "Old" is hidden and holds rows \(BAD_CONTAINER\)\. Show it'):
        open_source(path)
    book["Old"].sheet_state = "visible"
    book.save(path)
    with open_source(path) as source:
        assert source.columns == ("TN",)


def test_numbers_with_the_format_of_a_time(tmp_path):
    """Eighty thousand hours are a time; a telephone number is none."""
    path = saved(tmp_path, {"A": [["TN"], [2015550123]]})
    book = openpyxl.load_workbook(path)
    book["A"]["A2"].number_format = "[h]:mm"
    book.save(path)
    with pytest.raises(InputError, match=r"has the format of a time, .*BAD_CONTAINER.*Format the column as text"):
        open_source(path)


@pytest.mark.parametrize(
    ("code", "value", "is_refused"),
    [
        ('"+44"0', 2079460000, True),
        ("\\+\\4\\40", 2079460000, True),
        ("+0", 2079460000, True),
        ("00000000000", 2079460000, True),
        ('"1"0', 12015550123, True),
        ("[$+44]0", 2075551234, True),
        ('[<=9999999]000-0000;"+44 "0', 2075551234, True),
        ('[>9999999999]"+"0;0', 2015550123, False),
        ("[$-409]0", 2015550123, False),
        ("0.00E+00", 2015550123, False),
        ("00000\\-0000", 70301234, False),
        ("000000000", 1234567, False),
        ("+0", 12015550123, False),
        ('"+1 "(000) 000-0000', 2015550123, False),
        ("(###) ###-####", 2015550123, False),
        ("[<=9999999]###-####;(###) ###-####", 2015550123, False),
        ("0000000000", 2015550123, False),
        ('"No. 4 of "0', 12, False),
        ("yyyy-mm-dd hh:mm", 45000, False),
        ("+0.0%;-0.0%", 3, False),
    ],
)
def test_digits_that_only_a_format_shows(tmp_path, code, value, is_refused):
    """Whoever looks at the cell sees another number than whoever reads it."""
    path = saved(tmp_path, {"A": [["TN"], [value]]})
    book = openpyxl.load_workbook(path)
    book["A"]["A2"].number_format = code
    book.save(path)
    if is_refused:
        with pytest.raises(InputError, match=rf"A!A2 shows digits that its value, {value}, does not have"):
            open_source(path)
    else:
        open_source(path).close()


@pytest.mark.parametrize("spelled", ["2.07946E9", "2079460000.0"])
def test_a_value_may_be_spelled_as_a_float(tmp_path, spelled):
    path = saved(tmp_path, {"A": [["TN"], [2079460000]]})
    book = openpyxl.load_workbook(path)
    book["A"]["A2"].number_format = '"+44"0'
    book.save(path)
    with zipfile.ZipFile(path) as whole:
        parts = {name: whole.read(name) for name in whole.namelist()}
    with zipfile.ZipFile(path, "w") as again:
        for name, content in parts.items():
            again.writestr(name, content.replace(b"2079460000", spelled.encode()))
    with pytest.raises(InputError, match=r"A!A2 shows digits that its value"):
        open_source(path)


def test_a_workbook_that_was_cut_short(tmp_path):
    path = saved(tmp_path, {"A": [["TN"], [2015550123]]})
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"a zip archive, or a workbook that was cut short \(BAD_CONTAINER\)"):
        open_source(path)


def test_a_damaged_workbook_is_refused(tmp_path):
    """The container alone makes no workbook."""
    path = tmp_path / "numbers.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xl/workbook.xml", "<nothing/>")
    with pytest.raises(InputError, match=r"damaged or protected workbook .*BAD_CONTAINER"):
        open_source(path)


def test_a_damaged_byte_is_seen_wherever_it_lies(tmp_path):
    """Also in the texts that the sheets share, and where nothing is compressed: the archive knows its sums."""
    path = saved(tmp_path, {"A": [["TN", "To"], ["2015550123", "x"]]})
    with zipfile.ZipFile(path) as whole:
        parts = {name: whole.read(name) for name in whole.namelist()}
    with zipfile.ZipFile(path, "w") as stored:
        for name, content in parts.items():
            stored.writestr(name, content)
    path.write_bytes(path.read_bytes().replace(b"2015550123", b"2015550177"))
    with pytest.raises(InputError, match=r"damaged or protected workbook .*BAD_CONTAINER"):
        open_source(path)


@pytest.mark.parametrize("offset", range(60, 400, 40))
def test_a_damaged_workbook_ends_in_words(tmp_path, offset):
    """Whatever the archive's reader makes of it."""
    path = saved(tmp_path, {"A": [["TN", "To"], ["2015550123", "x"]]})
    with zipfile.ZipFile(path) as whole:
        start = whole.getinfo("xl/worksheets/sheet1.xml").header_offset
    content = bytearray(path.read_bytes())
    content[start + offset] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"BAD_CONTAINER"):
        open_source(path)


def test_without_the_extra_the_message_says_how(tmp_path, monkeypatch):
    """The library is asked for only when there is a workbook."""
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(InputError, match=r"Save the sheet as CSV \(UTF-8\), or install .*tn-batcher\[excel\]"):
        open_source(saved(tmp_path, {"A": [["TN"]]}))


def with_cells(folder: Path, cells: str) -> Path:
    """A workbook with a header, a row, and these cells in the XML of a third row."""
    path = saved(folder, {"A": [["TN", "To"], [2015550123, "x"]]})
    with zipfile.ZipFile(path) as whole:
        parts = {name: whole.read(name) for name in whole.namelist()}
    sheet = parts["xl/worksheets/sheet1.xml"]
    parts["xl/worksheets/sheet1.xml"] = sheet.replace(b"</sheetData>", f"{cells}</sheetData>".encode())
    with zipfile.ZipFile(path, "w") as spoiled:
        for name, content in parts.items():
            spoiled.writestr(name, content)
    return path


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        ('<row r="3"><c r="A3"><f>1+1</f></c></row>', "A!A3 holds a formula that was never calculated"),
        ('<row r="3"><c r="A3"><f>1+1</f><v/></c></row>', "A!A3 holds a formula that was never calculated"),
        (
            "<row r='3'><c r='A3'><f t='shared' si='0'/><v></v></c></row>",
            "A!A3 holds a formula that was never calculated",
        ),
        (
            '<x:row xmlns:x="urn:x" r="3"><x:c r="A3"><x:f>1+1</x:f></x:c></x:row>',
            "A!A3 holds a formula that was never calculated",
        ),
        ('<row r="3" hidden="1"><c r="A3"><v>2015550124</v></c></row>', "A!A3 stands in a hidden row"),
        ('<row r="3" ht="0" customHeight="1"><c r="A3"><v>2015550124</v></c></row>', "A!A3 stands in a hidden row"),
        ('<row r="1048576"><c s="1" r="XFD1048576"><v>1</v></c></row>', "up to A!XFD1048576, its sheets span more"),
        ('<row r="3"><c r="XFD3"><v>1</v></c></row><row r="1048576"><c><v>1</v></c></row>', "up to A!A1048576, its"),
        (
            '<row r="3">' + "<c/>" * 16_383 + '<c><v>1</v></c></row><row r="1048576"><c><v>1</v></c></row>',
            "up to A!A1048576, its",
        ),
        ('<row r="3"><c r="A3"><v>1</v></c><c r="A3"><v>2</v></c></row>', "there twice"),
        ('<row r="2"><c r="A2"><v>1</v></c></row>', "there twice"),
        ('<row r="3"><c r="A4"><v>1</v></c></row>', "stands in another row than it says"),
        ('<row r="3"><c r="xfd1048576"><v>1</v></c></row>', "stands in another row than it says"),
        ('<row r="3"><c r="A3"><v><![CDATA[2015550124]]></v></c></row>', "A!A3 holds a value in several pieces"),
        ('</sheetData><sheetData><row r="3"><c r="A3"><v>2015550124</v></c></row>', "not every cell of it can be read"),
        ('<row r="3"><c r="A3"><!--x--><f>1+1</f></c></row>', "A!A3 holds a formula that was never calculated"),
        ('<row r="3"><c r="A3" t="str"><f>1+1</f></c></row>', "A!A3 holds a formula that was never calculated"),
        ("<c " * 60_000, "damaged or protected"),
    ],
)
def test_what_would_read_as_empty_or_fill_the_memory_is_refused(tmp_path, cells, told):
    """An error, a formula that was never calculated: the cell is not nothing, however its XML is written."""
    with pytest.raises(InputError, match=rf"{told}.*BAD_CONTAINER"):
        open_source(with_cells(tmp_path, cells))


@pytest.mark.parametrize(
    "cells",
    [
        '<row r="3"><c r="A3" t="str"><f>IF(B3="","",B3)</f><v></v></c></row>',
        '<row r="3"><c r="A3"><v/></c></row>',
        '<row r="1048576"><c r="XFC1048576" s="1"></c><c r="XFD1048576" s="1"/></row>',
    ],
    ids=["a formula whose result is empty", "empty", "a colour far away"],
)
def test_what_is_empty_is_no_row(tmp_path, cells):
    """Excel writes such cells itself."""
    with open_source(with_cells(tmp_path, cells)) as source:
        assert [batch.frame.to_pylist() for batch in source.batches()] == [[{"TN": "2015550123", "To": "x"}]]


def test_marks_inside_a_cell_separate_nothing(tmp_path):
    """What Excel keeps in one cell stays in one."""
    with open_source(saved(tmp_path, {"A": [["TN", "a;b;c"], ["2015550123", "sep=;"]]})) as source:
        assert source.columns == ("TN", "a;b;c")


def parts_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as whole:
        return {name: whole.read(name) for name in whole.namelist()}


def packed(path: Path, parts: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def with_rows(folder: Path, rows: str, *, shared: str = "") -> Path:
    """A workbook whose sheet "Sheet 1" holds these rows of XML and nothing else, and these shared texts."""
    path = saved(folder, {"Sheet 1": [["x"]]})
    parts = parts_of(path)
    head, _, tail = parts["xl/worksheets/sheet1.xml"].partition(b"<sheetData>")
    parts["xl/worksheets/sheet1.xml"] = (
        head + f"<sheetData>{rows}</sheetData>".encode() + tail.partition(b"</sheetData>")[2]
    )
    space = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    parts["xl/sharedStrings.xml"] = f'<sst xmlns="{space}">{shared}</sst>'.encode()
    return packed(path, parts)


def cells_of(path: Path) -> list[dict[str, str]]:
    with open_source(path) as source:
        return [row for batch in source.batches() for row in batch.frame.to_pylist()]


HEADER = '<row r="1"><c r="A1" t="inlineStr"><is><t>TN</t></is></c><c r="B1" t="inlineStr"><is><t>To</t></is></c></row>'


def test_an_old_workbook_is_refused(tmp_path):
    """Errors and uncalculated formulas in it would read as empty, and nobody could tell."""
    path = tmp_path / "numbers.xls"
    path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(4096))
    with pytest.raises(
        InputError, match=r"old workbook \(\.xls\) cannot be checked \(BAD_CONTAINER\). Save it as \.xlsx\."
    ):
        open_source(path)


def test_a_binary_workbook_is_refused(tmp_path):
    """Also when it claims to be both."""
    path = saved(tmp_path, {"A": [["TN"], [2015550123]]})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("xl/workbook.bin", b"")
    with pytest.raises(InputError, match=r"\(\.xlsb\) cannot be checked \(BAD_CONTAINER\). Save it as \.xlsx\."):
        open_source(path)


def test_an_error_is_the_text_of_its_cell(tmp_path):
    """It spoils no other row; a row of nothing else stays one."""
    rows = (
        '<row r="2"><c r="A2"><v>2015550123</v></c><c r="B2" t="e"><f>1/0</f><v>#DIV/0!</v></c></row>'
        '<row r="3"><c r="A3" t="e"><v>#N/A</v></c><c r="B3" t="str"><v>x</v></c></row>'
        "<row r='4'><c t='e' r='B4'><v>#NAME?</v></c></row>"
        '<x:row xmlns:x="urn:x" r="6"><x:c r="A6" s="1" t = "e"><x:v>#REF!</x:v></x:c></x:row>'
    )
    assert cells_of(with_rows(tmp_path, HEADER + rows)) == [
        {"TN": "2015550123", "To": "#DIV/0!"},
        {"TN": "#N/A", "To": "x"},
        {"TN": "", "To": "#NAME?"},
        {"TN": "#REF!", "To": ""},
    ]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param(
            '<row r="4"><c r="C4" t="str"><v>TN</v></c><c r="D4" t="str"><v>To</v></c></row>'
            '<row r="7"><c r="C7" t="e"><v>#N/A</v></c><c r="D7"><v>1</v></c></row>'
            '<row r="9"><c r="C9"><v>2</v></c><c r="D9" t="e"><v>#NUM!</v></c></row>',
            [{"TN": "#N/A", "To": "1"}, {"TN": "2", "To": "#NUM!"}],
            id="empty rows and columns in front",
        ),
        pytest.param(
            '<row r="2"><c r="B2" t="str"><v>TN</v></c><c r="C2" t="str"><v>To</v></c></row>'
            '<row r="3"><c r="A3"/><c r="B3"><v>1</v></c><c r="C3" t="e"><v>#NULL!</v></c></row>'
            '<row r="1048576"><c r="B1048576" t="e"><v>#VALUE!</v></c></row>',
            [{"TN": "1", "To": "#NULL!"}, {"TN": "#VALUE!", "To": ""}],
            id="the last row",
        ),
        pytest.param(
            "<row/><row><c/><c t='str'><v>TN</v></c><c t='str'><v>To</v></c></row>"
            "<row/><row><c/><c t='e'><v>#N/A</v></c><c><v>7</v></c></row>",
            [{"TN": "#N/A", "To": "7"}],
            id="cells that do not say where they stand",
        ),
    ],
)
def test_errors_stand_where_they_stood(tmp_path, rows, expected):
    """Wherever the first cell with a value is."""
    assert cells_of(with_rows(tmp_path, rows)) == expected


def test_an_error_left_of_everything_is_a_column(tmp_path):
    """The first of them, whose name is the error."""
    rows = (
        '<row r="3"><c r="B3" t="e"><v>#REF!</v></c><c r="C3" t="str"><v>In</v></c><c r="D3" t="str"><v>TN</v></c><c r="E3" t="str"><v>To</v></c></row>'
        '<row r="4"><c r="C4" t="e"><v>#N/A</v></c><c r="D4"><v>1</v></c></row>'
    )
    assert cells_of(with_rows(tmp_path, rows)) == [{"#REF!": "", "In": "#N/A", "TN": "1", "To": ""}]


def test_an_error_that_nobody_reads_is_refused(tmp_path):
    """With its place, and as it is written."""
    rows = HEADER + '<row r="27"><c r="AB27" t="e"><v>#GETTING_DATA</v></c></row>'
    with pytest.raises(
        InputError, match=r'Sheet 1!AB27 holds the error "#GETTING_DATA", which cannot be read \(BAD_CONTAINER'
    ):
        open_source(with_rows(tmp_path, rows))


def test_a_formula_that_was_never_calculated_is_named(tmp_path):
    """Sheet and cell, also where the cell does not say its place."""
    rows = HEADER + '<row r="7"><c/><c><f>A1+1</f></c></row>'
    with pytest.raises(
        InputError, match=r"Sheet 1!B7 holds a formula that was never calculated \(BAD_CONTAINER\)\. Open it"
    ):
        open_source(with_rows(tmp_path, rows))


@pytest.mark.parametrize("kind", ["n", "str", "s", "b", "d", "e"])
@pytest.mark.parametrize(
    "value",
    [
        "<v>201234567<![CDATA[80]]></v>",
        "<v><![CDATA[2012345678]]>0</v>",
        "<v>2012345678<!-- -->0</v>",
        "<v><!-- -->20123456780</v>",
        "<v>2012345678<?x y?>0</v>",
        "<v>2012345678<x/>0</v>",
        "<v>2012345678<x>0</x></v>",
        "<v>2012345678</v><v>0</v>",
        "<v>2012345678</v><is><t>0</t></is>",
        "<is><t>2012345678</t></is><is><t>0</t></is>",
    ],
)
def test_a_value_in_several_pieces_is_refused(tmp_path, kind, value):
    """Whoever reads only the first would change somebody else's number."""
    rows = f'{HEADER}<row r="2"><c r="A2" t="{kind}">{value}</c></row>'
    with pytest.raises(InputError, match=r"Sheet 1!A2 holds a value in several pieces \(BAD_CONTAINER\)"):
        open_source(with_rows(tmp_path, rows))


@pytest.mark.parametrize("value", ["2012345678&#48;", "&#50;0123456780", "20123&#x34;56780", "&#50;", "20&amp;12"])
@pytest.mark.parametrize("kind", ["n", "s", "b", "d", "e"])
def test_a_number_with_a_reference_is_refused(tmp_path, kind, value):
    """It would be read up to there."""
    rows = f'{HEADER}<row r="2"><c r="A2" t="{kind}"><v>{value}</v></c></row>'
    with pytest.raises(InputError, match=r"Sheet 1!A2 holds a value in several pieces \(BAD_CONTAINER\)"):
        open_source(with_rows(tmp_path, rows))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2012345678&#48;", "20123456780"),
        ("2012345678<!-- x -->0", "20123456780"),
        ("201234567<![CDATA[80]]>", "20123456780"),
        ("2012345678<?x y?>0", "20123456780"),
        ("A&amp;T &#233;", "A&T é"),
    ],
)
def test_texts_in_several_pieces_are_read_whole(tmp_path, text, expected):
    """Inline, shared, with formats; what says how they are pronounced is no part of them."""
    rows = (
        f'<row r="2"><c r="A2" t="inlineStr"><is><t>{text}</t></is></c><c r="B2" t="s"><v>0</v></c></row>'
        f'<row r="3"><c r="A3" t="s"><v>1</v></c><c r="B3" t="inlineStr"><is><r><t>a</t></r><r><t>{text}</t></r></is></c></row>'
    )
    shared = f"<si><t>{text}</t><rPh><t>9</t></rPh></si><si><r><t>{text}</t></r><r><t>b</t></r></si>"
    assert cells_of(with_rows(tmp_path, HEADER + rows, shared=shared)) == [
        {"TN": expected, "To": expected},
        {"TN": f"{expected}b", "To": f"a{expected}"},
    ]


def test_the_text_of_a_formula_may_hold_references(tmp_path):
    """As every writer makes them of an ampersand."""
    rows = f'{HEADER}<row r="2"><c r="A2"><v>1</v></c><c r="B2" t="str"><f>"A&amp;T"</f><v>A&amp;T&#10;x</v></c></row>'
    assert cells_of(with_rows(tmp_path, rows)) == [{"TN": "1", "To": "A&T\nx"}]


@pytest.mark.parametrize("number", ["2", "-1", "1.0", " 1", "+1", "x", "1_0"])
def test_a_shared_text_that_is_not_there_is_refused(tmp_path, number):
    """Whoever reads it would take the first."""
    rows = f'{HEADER}<row r="2"><c r="A2" t="s"><v>{number}</v></c></row>'
    with pytest.raises(InputError, match=r"Sheet 1!A2 holds a text that is not there \(BAD_CONTAINER\)"):
        open_source(with_rows(tmp_path, rows, shared="<si><t>2015550123</t></si><si><t>2015550124</t></si>"))


def test_a_value_where_a_text_should_stand_is_not_lost(tmp_path):
    """Whoever reads it sees an empty cell."""
    rows = f'{HEADER}<row r="2"><c r="A2" t="inlineStr"><v>2015550123</v></c></row>'
    with pytest.raises(InputError, match="not every cell of it can be read"):
        open_source(with_rows(tmp_path, rows))


def test_a_part_that_is_there_twice_is_refused(tmp_path):
    """Which of them is read, nobody knows."""
    path = saved(tmp_path, {"A": [["TN"], [2015550123]]})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("xl/worksheets/SHEET1.xml", b"<worksheet/>")
    with pytest.raises(InputError, match=r"a part of it is there twice.*BAD_CONTAINER"):
        open_source(path)


def test_a_sheet_that_two_names_stand_for_is_refused(tmp_path):
    """It would be laid out as often as it is named."""
    path = saved(tmp_path, {"A": [["TN"], [2015550123]], "B": []})
    parts = parts_of(path)
    links = parts["xl/_rels/workbook.xml.rels"].replace(b"sheet2.xml", b"sheet1.xml")
    with pytest.raises(InputError, match=r"two sheets are the same.*BAD_CONTAINER"):
        open_source(packed(path, {**parts, "xl/_rels/workbook.xml.rels": links}))


def test_a_text_that_many_cells_share_counts_each_time(tmp_path):
    """A few kilobytes would fill 20 GB."""
    rows = "".join(f'<row r="{row}"><c r="A{row}" t="s"><v>0</v></c></row>' for row in range(1, 20_001))
    with pytest.raises(
        InputError, match=r"more than 256 million characters together \(BAD_CONTAINER\). Export the sheet as CSV"
    ):
        open_source(with_rows(tmp_path, rows, shared=f"<si><t>{'x' * 1_000_000}</t></si>"))


def test_many_shared_texts_are_refused(tmp_path):
    """Each takes its place, though it is empty."""
    with pytest.raises(InputError, match=r"share more than 2,000,000 texts \(BAD_CONTAINER\). Export the sheet as CSV"):
        open_source(with_rows(tmp_path, HEADER, shared="<si/>" * 2_000_001))


def corners(last: int) -> str:
    return f'<row r="1"><c r="A1"><v>1</v></c></row><row r="{last}"><c r="T{last}"><v>1</v></c></row>'


def test_sheets_are_laid_out_together(tmp_path):
    """Each is small enough alone: twenty columns, 150,000 rows."""
    path = saved(tmp_path, {"A": [], "B": []})
    parts = parts_of(path)
    for name in ("xl/worksheets/sheet1.xml", "xl/worksheets/sheet2.xml"):
        head, _, tail = parts[name].partition(b"<sheetData")
        parts[name] = (
            head
            + f"<sheetData>{corners(150_000)}</sheetData>".encode()
            + tail.partition(b">")[2].removeprefix(b"</sheetData>")
        )
    with pytest.raises(
        InputError, match=r"up to B!T150000, its sheets span more than 4,000,000 cells \(BAD_CONTAINER\)"
    ):
        open_source(packed(path, parts))


@pytest.mark.parametrize(
    ("rows", "place"),
    [
        (corners(200_001), "T200001"),
        ('<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="S1048576"><v>1</v></c></row>', "S1048576"),
    ],
)
def test_a_cell_far_away_is_named(tmp_path, rows, place):
    """All that lies between would fill the memory."""
    with pytest.raises(InputError, match=rf"up to Sheet 1!{place}, its sheets span more than 4,000,000 cells.*Export"):
        open_source(with_rows(tmp_path, rows))


@pytest.mark.parametrize("place", ["XFE3", "ZZZ3", "A1048577"])
def test_a_place_outside_of_any_sheet_is_refused(tmp_path, place):
    """Excel ends at XFD1048576."""
    row = place.lstrip("AEFXZ")
    with pytest.raises(InputError, match=rf"Sheet 1!{place} lies outside of any sheet \(BAD_CONTAINER\)"):
        open_source(with_rows(tmp_path, f'<row r="{row}"><c r="{place}" t="e"><v>#N/A</v></c></row>'))


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        pytest.param("<a>" * 1_001, "more than 1,000 of its tags stand in each other", id="deep"),
        pytest.param("".join(f"<a{number}/>" for number in range(300_000)), "its tags have too many names", id="names"),
        pytest.param(f"<!--{'x' * 20_000_000}-->", "a tag in it does not end", id="a remark of 20 MB"),
    ],
)
def test_xml_that_fills_the_memory_is_refused(tmp_path, rows, told):
    """Though no cell is large."""
    with pytest.raises(InputError, match=rf"{told}.*BAD_CONTAINER"):
        open_source(with_rows(tmp_path, HEADER + rows))


def test_many_rows_are_read(tmp_path):
    """Ten blocks of a megabyte: wherever they are cut, no number is taken for pieces."""
    rows = "".join(
        f'<row r="{row}"><c r="A{row}"><v>{2_010_000_000 + row}</v></c><c r="B{row}" t="s"><v>0</v></c></row>'
        for row in range(2, 131_073)
    )
    with open_source(with_rows(tmp_path, HEADER + rows, shared="<si><t>x</t></si>")) as source:
        frames = [batch.frame for batch in source.batches()]
    assert sum(frame.num_rows for frame in frames) == 131_071
    assert frames[0].column("TN")[0].as_py() == "2010000002"
    assert frames[-1].to_pylist()[-1] == {"TN": "2010131072", "To": "x"}
