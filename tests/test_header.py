"""The first lines of a CSV file: titles, `sep=`, no header at all, and what may be read in two ways."""

from __future__ import annotations

from pathlib import Path

import pytest

from batcher.errors import InputError
from batcher.table import find_tn_column, open_source


def opened(folder: Path, text: str, *, wanted=()) -> tuple[tuple[str, ...], list[list[str]]]:
    """(columns, rows) of a file."""
    path = folder / "numbers.csv"
    path.write_text(text, "utf-8", newline="")
    with open_source(path, wanted=wanted) as source:
        rows = [list(row.values()) for batch in source.batches() for row in batch.frame.to_pylist()]
        return source.columns, rows


REPORT = "Iris Telephone Number Inventory Report"


@pytest.mark.parametrize(
    ("text", "columns", "rows"),
    [
        pytest.param("sep=;\nTN;Name\n2015550123;a,b\n", ("TN", "Name"), [["2015550123", "a,b"]], id="sep="),
        pytest.param("\ufeffSEP=\t\r\nTN\tName\r\n1\t2\r\n", ("TN", "Name"), [["1", "2"]], id="sep=tab, BOM, CRLF"),
        pytest.param(
            "sep=,\nTN,Name;First\n1,x\n", ("TN", "Name;First"), [["1", "x"]], id="sep= decides between two marks"
        ),
        pytest.param(f"{REPORT}\n2015550123\n", (REPORT,), [["2015550123"]], id="the title is the header"),
        pytest.param(
            f"{REPORT}\nFullNumber,City\n2015550123,X\n",
            ("FullNumber", "City"),
            [["2015550123", "X"]],
            id="a title above the header",
        ),
        pytest.param(
            f"{REPORT},,\nmade 2026-11-20,,\n\nFullNumber,City,State\n2015550123,X,NJ\n",
            ("FullNumber", "City", "State"),
            [["2015550123", "X", "NJ"]],
            id="a spreadsheet's titles, a blank line",
        ),
        pytest.param(
            "Customer list,,\n,,\nPhone Number,Name,X\n9195550123,x,1\n",
            ("Phone Number", "Name", "X"),
            [["9195550123", "x", "1"]],
            id="a blank row of commas",
        ),
        pytest.param(
            "Report for Acme, Inc.\nAccount,9900012\nName,Phone,City\nx,9195550123,y\n",
            ("Name", "Phone", "City"),
            [["x", "9195550123", "y"]],
            id="titles with commas",
        ),
        pytest.param(
            "2015551234\n2015551235\nTN\n2015551236\n",
            ("TN",),
            [["2015551234"], ["2015551235"], ["TN"], ["2015551236"]],
            id="numbers are no titles",
        ),
        pytest.param(
            "TN,,\n2015551234,Phone,8042105760\n",
            ("TN", "column 2", "column 3"),
            [["2015551234", "Phone", "8042105760"]],
            id="a row with a name in it",
        ),
        pytest.param(
            'TN,Disk 3"\n2015551234,x\n2015551235,4"\n',
            ("TN", 'Disk 3"'),
            [["2015551234", "x"], ["2015551235", '4"']],
            id="an inch",
        ),
        pytest.param(
            "TN\n\ufeff2015551234\n2015551235\n",
            ("TN",),
            [["\ufeff2015551234"], ["2015551235"]],
            id="a mark before the first row",
        ),
        pytest.param(
            ",nummer,type\n0,unknown,phone\n1,2015550001,2015550009\n",
            ("column 1", "nummer", "type"),
            [["0", "unknown", "phone"], ["1", "2015550001", "2015550009"]],
            id="a row is no header, whatever word it holds",
        ),
        pytest.param("PARENT_ID,TN\n1,2015551234\n", ("PARENT_ID", "TN"), [["1", "2015551234"]], id="no Parquet"),
        pytest.param(
            "Tel: 919-555-0123\n919-555-0124\n", ("TN",), [["Tel: 919-555-0123"], ["919-555-0124"]], id="a label"
        ),
        pytest.param(
            "Kunde,Art,Ort\nAcme,phone,X\n", ("Kunde", "Art", "Ort"), [["Acme", "phone", "X"]], id="a row is no header"
        ),
        pytest.param(
            "Exported 2026-11-02\nPhone Number\n2012345678\n",
            ("Phone Number",),
            [["2012345678"]],
            id="as short as a title",
        ),
        pytest.param(
            "City of Fairfax telephone inventory\nTN,City\n9195550100,Cary\n",
            ("TN", "City"),
            [["9195550100", "Cary"]],
            id="a city's title",
        ),
        pytest.param(
            "Contact: noc@example.com\nTN,City\n9195550100,Cary\n",
            ("TN", "City"),
            [["9195550100", "Cary"]],
            id="whom to ask",
        ),
        pytest.param(
            "Inventory report, October 2026\nSite,TN\nA,9195550100\n",
            ("Site", "TN"),
            [["A", "9195550100"]],
            id="a title with a date",
        ),
        pytest.param("Report, 2026\nTN,a\n2012345678,x\n", ("TN", "a"), [["2012345678", "x"]], id="as long as a title"),
        pytest.param(
            "Report, 2026, Acme\nTN;Name\n2012345678;x\n", ("TN", "Name"), [["2012345678", "x"]], id="commas in a title"
        ),
        pytest.param("Customers\nTN;Name\n1;x\n", ("TN", "Name"), [["1", "x"]], id="any title"),
        pytest.param("2015550123\n2015550124\n", ("TN",), [["2015550123"], ["2015550124"]], id="no header"),
        pytest.param(
            'Acme,"(201) 555-0123",x\nB,2015550124,y\n',
            ("column 1", "column 2", "column 3"),
            [["Acme", "(201) 555-0123", "x"], ["B", "2015550124", "y"]],
            id="no header, several columns",
        ),
        pytest.param(
            ",TN,Name,\n0,1,x,\n", ("column 1", "TN", "Name", "column 4"), [["0", "1", "x", ""]], id="unnamed"
        ),
        pytest.param("TN\nTN\n1\n", ("TN",), [["TN"], ["1"]], id="a repeated header is a row"),
        pytest.param("TN\n1,2\n", ("TN",), [["1,2"]], id="in a single column a comma separates nothing"),
        pytest.param("919-555-0100 - 0119\nx\n", ("TN",), [["919-555-0100 - 0119"], ["x"]], id="a range is a row"),
        pytest.param("Total\n1\n", ("Total",), [["1"]], id="a name nobody knows"),
    ],
)
def test_the_header_is_found(tmp_path, text, columns, rows):
    """Titles are left out, rows never; names that are missing are given."""
    assert opened(tmp_path, text) == (columns, rows)


def test_a_column_that_is_asked_for_tells_the_header_from_the_title(tmp_path):
    """Without a word that everybody knows, the job's own words count."""
    text = "Locations\nSite,Peer\n486,1\n"
    assert opened(tmp_path, text, wanted=["peer"]) == (("Site", "Peer"), [["486", "1"]])
    assert opened(tmp_path, text)[0] == ("Locations",)


@pytest.mark.parametrize("first", [",Ann", "N/A,Ann", "919234012,Ann", "Ann,"])
def test_a_first_row_without_a_number_is_a_row_where_there_is_no_header(tmp_path, first):
    """Somebody names a column as we do: nobody's first row is taken for its name."""
    text = f"{first}\n9192340123,Bob\n"
    assert opened(tmp_path, text, wanted=["Column 1"]) == (
        ("column 1", "column 2"),
        [first.split(","), ["9192340123", "Bob"]],
    )
    assert opened(tmp_path, ",Name\n9192340123,Bob\n", wanted=["column 1", "Name"])[0] == ("column 1", "Name")


def test_two_numbers_in_a_first_line_name_nothing(tmp_path):
    """Which of them is meant is asked for, by the names that the message tells."""
    columns, rows = opened(tmp_path, "2015550123,2015550199\n2015550124,2015550198\n")
    assert columns == ("column 1", "column 2")
    assert len(rows) == 2
    with pytest.raises(InputError, match=r"NO_TN_COLUMN.*\"column 1\", \"column 2\""):
        find_tn_column(columns, None)
    assert find_tn_column(columns, "Column 2") == "column 2"


@pytest.mark.parametrize(
    "first",
    ["+441224003018,2015559999", "201555123,2015559999", ",2015559999", "2015551234,2015559999", "n/a,2015559999"],
)
def test_which_number_of_a_first_line_is_meant_is_never_guessed(tmp_path, first):
    """The other cell may be the TN, damaged or of another country."""
    columns, rows = opened(tmp_path, f"{first}\n2015551234,8042105760\n")
    assert columns == ("column 1", "column 2")
    assert len(rows) == 2
    with pytest.raises(InputError, match="NO_TN_COLUMN"):
        find_tn_column(columns, None)


@pytest.mark.parametrize("text", ["800-555-0199\nTN,N\n9195550100,a\n", "800-555-0199\nTN\n9195550100\n"])
def test_a_number_above_a_header_is_refused(tmp_path, text):
    """It may be a row of a file without a header, or the telephone number of a title."""
    with pytest.raises(InputError, match=r"a telephone number stands above what looks like the header .*PARSE_ERROR"):
        opened(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        "Name,Fax\nBob,none\nAl,phone\nTina,2015551234\n",
        "Site,Forward To\nLobby,voicemail\nDesk,number\nAttic,2015551234\n",
        "Customer,Emergency Contact\nName,Number\nAcme,2015550134\n",
        "Customer,Forward To,\n,Number,Type\nAcme,2015550134,x\n",
        "Fax\nNumber\n2015550134\n",
        "Name,Fax,\nAl,phone,x\nTina,2015551234,y\n",
        "Customer,Old\nName,Number\nAcme,2015550134\n",
    ],
    ids=["fax", "forward", "contact", "half a heading", "one column", "longer", "two lines"],
)
def test_a_name_below_the_heading_of_other_numbers_is_no_header(tmp_path, text):
    """Which line is the header somebody has to say: by deleting one, or by naming the column."""
    (tmp_path / "numbers.csv").write_text(text)
    with pytest.raises(InputError, match=r"line 1: the header may be this line, or one below it \(PARSE_ERROR\)"):
        open_source(tmp_path / "numbers.csv")
    with open_source(tmp_path / "numbers.csv", wanted=["Number", "phone"]) as source:
        assert len(source.columns) >= 1


def test_what_was_left_out_or_named_is_logged(tmp_path, capsys):
    """Nobody has to guess how the file was read."""
    opened(tmp_path, f"{REPORT}\nFullNumber,City\n2015550123,X\n")
    assert REPORT in capsys.readouterr().out
    opened(tmp_path, "2015550123\n")
    assert "there is no header: the first line is a row" in capsys.readouterr().out
