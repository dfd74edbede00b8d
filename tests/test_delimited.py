"""Rows of a CSV file: each in its place, none lost, none shifted."""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path

import pytest

from batcher.table import open_source

MIB = 1024 * 1024


def rows_of(folder: Path, content: bytes) -> list[tuple[bool, list[str]]]:
    """Per row: whether it is malformed, and its cells."""
    path = folder / "numbers.csv"
    path.write_bytes(content)
    rows: list[tuple[bool, list[str]]] = []
    with open_source(path) as source:
        for batch in source.batches():
            cells = zip(*[column.to_pylist() for column in batch.frame.columns], strict=True)
            rows += zip(batch.malformed.tolist(), map(list, cells), strict=True)
    return rows


@pytest.mark.parametrize(
    ("content", "cells"),
    [
        pytest.param(b"a,b\n1,2\n3,4\n", [["1", "2"], ["3", "4"]], id="LF"),
        pytest.param(b"a,b\r\n1,2\r\n3,4\r\n", [["1", "2"], ["3", "4"]], id="CRLF"),
        pytest.param(b"a,b\r1,2\r3,4\r", [["1", "2"], ["3", "4"]], id="CR"),
        pytest.param(b"a,b\n1,2\r\n3,4\r5,6", [["1", "2"], ["3", "4"], ["5", "6"]], id="mixed, no final line end"),
        pytest.param(b"\xef\xbb\xbfa;b\n1,0;2\n", [["1,0", "2"]], id="BOM, semicolon"),
        pytest.param(b"a,b\n\n1,2\n\r\n\n3,4\n\n", [["1", "2"], ["3", "4"]], id="blank lines are no rows"),
        pytest.param(b"a,b\n,\n", [["", ""]], id="a row of empty cells is one"),
        pytest.param(b'a\n""\n\n1\n', [[""], ["1"]], id="one column: an empty cell in quotes"),
        pytest.param(b'a,b\n"1\r\n2","x ""y"""\n', [["1\r\n2", 'x "y"']], id="quoted line end and quotes"),
        pytest.param(b"a,b\n0042,NA\nnull,1e9\n", [["0042", "NA"], ["null", "1e9"]], id="nothing is interpreted"),
        pytest.param(b"a,b\n 1 ,true\n", [[" 1 ", "true"]], id="blanks stay"),
        pytest.param(b"a,b\n1\0,2\n", [["1\0", "2"]], id="NUL stays"),
        pytest.param('a,b\n="2015550123",\uff15\n'.encode(), [['="2015550123"', "\uff15"]], id="guard, wide digit"),
    ],
)
def test_cells_are_the_text_that_stands_in_the_file(tmp_path, content, cells):
    """Line ends, quoting and BOM are taken off; not a character else changes."""
    assert rows_of(tmp_path, content) == [(False, row) for row in cells]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param(b"1\n2,x\n3,y\n", [(True, ["1", ""]), (False, ["2", "x"]), (False, ["3", "y"])], id="first"),
        pytest.param(
            b"1,x\n2,y,z\n3,z\n", [(False, ["1", "x"]), (True, ["2,y,z", ""]), (False, ["3", "z"])], id="middle"
        ),
        pytest.param(b"1,x\n-- 1 rows --\n", [(False, ["1", "x"]), (True, ["-- 1 rows --", ""])], id="last"),
        pytest.param(b"1,x\n2", [(False, ["1", "x"]), (True, ["2", ""])], id="cut off"),
        pytest.param(b"1\n2\n3\n", [(True, ["1", ""]), (True, ["2", ""]), (True, ["3", ""])], id="every one"),
        pytest.param(b'1,"a,b","c"\n', [(True, ['1,"a,b","c"', ""])], id="with its quotes"),
        pytest.param(
            b"\n1\n\n   \n2,x\n", [(True, ["1", ""]), (True, ["   ", ""]), (False, ["2", "x"])], id="blank lines"
        ),
    ],
)
def test_a_row_of_another_length_is_kept_in_its_place_and_marked(tmp_path, rows, expected):
    """Its line stands in the first cell and the others are empty, so that no cell slips into another column."""
    assert rows_of(tmp_path, b"a,b\n" + rows) == expected


def test_a_long_malformed_line_is_kept_whole(tmp_path):
    """Its TN may stand at its end, and it is to be mended."""
    line = "x" * 50_000 + ",9192340123,oops"
    [(malformed, cells)] = rows_of(tmp_path, f"a,b\n{line}\n".encode())
    assert malformed
    assert cells == [line, ""]


def test_malformed_rows_keep_their_places_over_many_blocks(tmp_path):
    """Over 3 MiB, with malformed rows around every border between two blocks and strewn between, none moves."""
    lines = [b"%d,row %d,x" % (number, number) for number in range(1, 220_001)]
    borders, offset = set(), len(b"n,text,more\n")
    for number, line in enumerate(lines):
        if (offset + len(line) + 1) // MIB > offset // MIB:
            borders |= set(range(number - 3, number + 4, 2))
        offset += len(line) + 1
    broken = borders | set(range(0, 220_000, 977)) | {219_999}
    assert len(borders) >= 12
    for number in broken:
        # Of the same length, so that the borders stay where they are.
        lines[number] = lines[number].replace(b",x", b"-x") if number % 2 else lines[number].replace(b" ", b",")
    rows = rows_of(tmp_path, b"n,text,more\n" + b"\n".join(lines) + b"\n")
    assert len(rows) == 220_000
    for number, (malformed, cells) in enumerate(rows):
        assert malformed == (number in broken)
        assert cells[0].split(",")[0] == str(number + 1)


def test_blocks_of_nothing_but_malformed_rows_are_kept(tmp_path):
    """A file whose rows all have a cell too many comes out whole, as malformed rows."""
    lines = [b"%d,a,b" % number for number in range(150_000)]
    rows = rows_of(tmp_path, b"n,text\n" + b"\n".join(lines))
    assert rows == [(True, [line.decode(), ""]) for line in lines]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_quoted_line_ends_across_blocks_are_whole(tmp_path, line_end):
    """Cells with line ends in them come out to the byte, wherever a block ends; so do the rows around them."""
    chance = random.Random(7)
    lines = [f'{number},"{"x" * chance.randrange(9)}{line_end}{number}",z' for number in range(120_000)]
    lines[10_000:110_000:1_000] = [f"{number},short" for number in range(10_000, 110_000, 1_000)]
    text = line_end.join(["n,text,more", *lines]) + line_end
    assert len(text) > 2 * MIB
    rows = rows_of(tmp_path, text.encode())
    read = list(csv.reader(io.StringIO(text, newline="")))[1:]
    assert [cells for malformed, cells in rows if not malformed] == [cells for cells in read if len(cells) == 3]
    assert [number for number, (malformed, _) in enumerate(rows) if malformed] == list(range(10_000, 110_000, 1_000))


@pytest.mark.parametrize("shift", [-2, -1, 0, 1])
def test_a_line_end_split_by_a_block_is_kept_within_quotes(tmp_path, shift):
    """An LF that starts a block after a CR stays in a quoted cell (pyarrow alone drops it)."""
    before = b"n,text\r\n" + b"0,x\r\n" * 200_000 + b'1,"'
    note = b"x" * (MIB - len(before) - 1 + shift)
    rows = rows_of(tmp_path, before + note + b'\r\ny"\r\n2,z\r\n')
    assert rows[-2:] == [(False, ["1", f"{note.decode()}\r\ny"]), (False, ["2", "z"])]
