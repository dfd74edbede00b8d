"""The bytes of a CSV file: header and delimiter, length of lines, encoding, quotes; each with its line number."""

from __future__ import annotations

from pathlib import Path

import pytest

from batcher.errors import InputError
from batcher.table import open_source

MIB = 1024 * 1024


def refusal(folder: Path, content: bytes) -> str:
    path = folder / "numbers.csv"
    path.write_bytes(content)
    with pytest.raises(InputError) as refused, open_source(path) as source:
        source.digest()
    return str(refused.value)


def accepted(folder: Path, content: bytes) -> tuple[str, ...]:
    path = folder / "numbers.csv"
    path.write_bytes(content)
    with open_source(path) as source:
        source.digest()
        return source.columns


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        pytest.param(b"TN,Name\n", ("TN", "Name"), id="comma"),
        pytest.param(b"TN;Name;Note, if any\n", ("TN", "Name", "Note, if any"), id="semicolon, with a comma in a name"),
        pytest.param(b"TN\tName\n", ("TN", "Name"), id="tab"),
        pytest.param(b"TN|Name\n", ("TN", "Name"), id="pipe"),
        pytest.param(b"tn\n", ("tn",), id="one column, not split at its letters"),
        pytest.param(b'"TN";"a,b,c,d"\n', ("TN", "a,b,c,d"), id="commas within quotes do not count"),
        pytest.param(b'"a ""b""",c\n', ('a "b"', "c"), id="doubled quotes"),
        pytest.param(b'"TN\n(ten digits)",Name\n', ("TN\n(ten digits)", "Name"), id="line end in a name"),
        pytest.param(b"\xef\xbb\xbfTN,Name\n", ("TN", "Name"), id="BOM"),
        pytest.param(b'\xef\xbb\xbf"TN","Name"\n', ("TN", "Name"), id="BOM before a quote"),
        pytest.param(b"\r\n\n\rTN,Name", ("TN", "Name"), id="blank lines before it, no line end"),
        pytest.param("Número,Ort\n".encode(), ("Número", "Ort"), id="not ASCII"),
    ],
)
def test_header_and_delimiter_are_read(tmp_path, content, columns):
    """The mark that stands most often in the header separates the columns."""
    assert accepted(tmp_path, content) == columns


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"TN,first;last\n", "line 1: ',' and ';' may each be what separates", id="two delimiters"),
        pytest.param(b'\nTN,"Name\n1,2\n', "line 2: a quote in the header is not closed", id="open quote"),
        pytest.param(b"T\0N,Name\n", "line 1: the header holds NUL", id="NUL"),
    ],
)
def test_a_header_that_can_be_read_in_two_ways_is_refused(tmp_path, content, said):
    """Which column is which is never guessed."""
    assert said in refusal(tmp_path, content)


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_a_byte_that_is_not_utf8_is_told_with_its_line(tmp_path, line_end):
    """Line numbers are those that an editor shows, in the first block and far behind it."""
    lines = [b"TN,Name", *[b"2015550123,Caf\xc3\xa9"] * 90_000]
    assert accepted(tmp_path, line_end.join(lines)) == ("TN", "Name")
    lines[80_000] = b"2015550123,N\xfa\xf1ez"
    said = refusal(tmp_path, line_end.join(lines))
    assert "line 80001: the byte 0xfa is not UTF-8 (BAD_ENCODING). Save it as UTF-8." in said


def test_a_character_across_two_blocks_is_whole(tmp_path):
    """Reading in blocks never breaks a character; one that the file's end breaks is told."""
    filler = b"2015550123,x\n" * 90_000
    before = b"TN,Name\n" + filler[: MIB - 8 - 13 * 100]
    before = before[: before.rindex(b"\n") + 1]
    cell = b"x" * (MIB - len(before) - 2)
    euro = "€".encode()
    assert accepted(tmp_path, before + cell + euro + b",y\n" + filler) == ("TN", "Name")
    assert "it ends within a character (BAD_ENCODING)" in refusal(tmp_path, before + cell + euro[:2])


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
def test_a_line_may_be_64_kib_long_and_no_longer(tmp_path, line_end):
    """The cap holds for every physical line, at each place relative to the blocks that are read."""
    short = b"2015550123,x" + line_end
    for rows in (0, 70_000, 75_000):
        head = b"TN,Name" + line_end + short * rows
        longest = b"2015550123," + b"x" * (64 * 1024 - 11)
        tail = line_end + short * 3
        assert accepted(tmp_path, head + longest + tail) == ("TN", "Name")
        said = refusal(tmp_path, head + longest + b"x" + tail)
        assert f"line {rows + 2}: longer than 64 KiB (PARSE_ERROR)" in said


def test_a_file_of_one_endless_line_is_refused_without_reading_it_into_memory(tmp_path):
    """A line that never ends is refused at its 65,537th byte."""
    assert "line 2: longer than 64 KiB" in refusal(tmp_path, b"TN\n" + b"1" * (5 * MIB))


def test_lines_of_a_quoted_cell_count_one_by_one(tmp_path):
    """A long note over many lines is no long line."""
    note = b'"' + b"word\n" * 40_000 + b'"'
    assert accepted(tmp_path, b"TN,Note\n1," + note + b"\n") == ("TN", "Note")
    long = b'"' + b"word\n" * 5 + b"x" * (64 * 1024 + 1) + b'"'
    assert "line 7: longer than 64 KiB" in refusal(tmp_path, b"TN,Note\n1," + long + b"\n")


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        pytest.param(b'1,a\n2,"b\n3,c\n', 3, id="open to the end"),
        pytest.param(b'1,"\n', 2, id="nothing but a quote"),
        pytest.param(b'1,"a""', 2, id="a doubled quote at the end closes nothing"),
        pytest.param(b'1,a\n2,"b\n3,c\n4,"d"\n5,e\n', 3, id="another row's quote would close it"),
        pytest.param(b'"1","a"\n"2","b\n"3","c"\n', 3, id="all cells quoted"),
        pytest.param(b'1,"a"b\n', 2, id="text behind the closing quote"),
        pytest.param(b'1,"a" \n', 2, id="blank behind the closing quote"),
    ],
)
def test_a_quote_that_is_not_closed_is_refused_where_it_opens(tmp_path, rows, line):
    """Rows are never swallowed by a cell that forgot to end."""
    said = refusal(tmp_path, b"TN,Note\n" + rows)
    assert (
        f"line {line}: a cell opens with a quote that is not closed where the cell ends (or after 1 MiB) (PARSE_ERROR)"
        in said
    )


def test_a_quote_that_opens_far_behind_is_found_with_its_line(tmp_path):
    """Blocks before it are checked and let go; a quote open for over 1 MiB is not waited for."""
    rows = b'2015550123,"fine"\n' * 100_000
    for after in (b"", b"2015550123,x\n" * 200_000):
        said = refusal(tmp_path, b"TN,Note\n" + rows + b'2015550123,"open\n' + after)
        assert "line 100002: a cell opens with a quote" in said


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(b'1,5" pipe\n', id="inch"),
        pytest.param(b'1,x"y"z\n', id="within a bare cell"),
        pytest.param(b'="2015550123",a\n', id="a spreadsheet's text guard"),
        pytest.param(b'1, "a\n', id="after a blank it is text"),
        pytest.param(b'"",""\n', id="empty cells"),
        pytest.param(b'"a""","""b"\n', id="doubled at either end"),
        pytest.param(b'1,"a\r\n\r\nb"\r\n', id="line ends in quotes"),
        pytest.param(b'1,"last"', id="no final line end"),
        pytest.param(b"1,\0\n", id="NUL in a cell"),
    ],
)
def test_quotes_that_mean_themselves_are_left_alone(tmp_path, rows):
    """Only a cell that starts with a quote is a quoted cell."""
    assert accepted(tmp_path, b"TN,Note\n" + rows) == ("TN", "Note")
