"""The first lines of a CSV file: where its header is, what separates its columns, and what they are called.

Spreadsheets and reports put titles above it, `sep=` lines, or no header at all. Nothing is guessed: what may be
read in two ways is refused.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice, takewhile

from batcher import tn
from batcher.cell import HEADINGS, OTHERS, plain_name
from batcher.errors import InputError
from batcher.numbering import abroad
from batcher.scan import BOM, MAX_LINE_BYTES, QUOTED, Refuse

#: So many lines may stand above a header.
_MOST_TITLES = 10
#: A cell, whichever mark it is that ends it: a quote is one only where the cell begins, and then it may hold line ends.
_CELL = rb'(?:%s|[^",;\t|\r\n][^,;\t|\r\n]*+|)' % QUOTED
_RECORD = re.compile(rb"%s(?:[,;\t|]%s)*+" % (_CELL, _CELL))
_QUOTED_CELL = re.compile(rf"(^|[,;\t|]){QUOTED.decode()}")
#: What separates the columns where there is only one: a list of numbers in a line is one cell.
NOTHING = "\x1f"
#: What we call a column that has no name.
_OURS = re.compile(r"column[0-9]{1,4}")
_LABELLED = tn.Rules(relax=frozenset({"labels"}))
_NUMBERS = {0, *(tn.REASON[code] for code in ("TN_RANGE", "MULTIPLE_TNS", "EXTENSION"))}
_OTHER_WORD = re.compile(r"(?<![^\W_])(?:fax|forward|destination|contact|callback)", re.IGNORECASE)
_YEAR = re.compile(r"[0-9]{4}")
_SEPARATOR = re.compile(rb"sep=([,;\t|])(?=[\r\n]|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Header:
    """How a CSV file is to be read."""

    delimiter: str
    columns: tuple[str, ...]
    #: bytes before its first row
    start: int
    #: title lines above it
    titles: tuple[str, ...] = ()
    #: the file has none: its first line is a row, and the names are ours
    is_missing: bool = False


@dataclass(frozen=True, slots=True)
class _Line:
    start: int
    end: int
    delimiter: str
    cells: tuple[str, ...]

    @property
    def filled(self) -> int:
        """Cells that are not blank; a spreadsheet may have put any number of blank ones behind them."""
        return sum(map(bool, map(str.strip, self.cells)))

    def holds_number(self) -> bool:
        """Whether one of its cells is a telephone number, or several, or one with something behind it: no name is."""
        return any(map(_is_tn, self.cells))


def read_header(head: bytes, *, is_whole: bool, wanted: Collection[str], refuse: Refuse) -> Header:
    """Find the header in the start of a file in UTF-8, a line of the longest length included.

    It is the first line that is not blank, unless lines of titles stand there, and a line below them names telephone numbers or a
    column of `wanted`: it is longer than any of them, or as long, and a number stands under that name. A first line that holds
    a telephone number is a row, and so is any without a name where `wanted` has one of ours for a column.
    """
    is_name = _is_named(wanted)
    lines = list(islice(_lines(head, is_whole=is_whole, refuse=refuse), _MOST_TITLES + 1))
    if not lines:
        raise refuse("PARSE_ERROR", "the first line cannot be read", "Check what wrote the file", offset=0)
    if lines[0].holds_number():
        if any(any(map(is_name, line.cells)) and not line.holds_number() for line in lines[1:2]):
            what = "a telephone number stands above what looks like the header"
            raise refuse("PARSE_ERROR", what, "Delete the lines above the header", offset=lines[0].start)
        return _headless(lines[0])
    if any(map(_OURS.fullmatch, map(plain_name, wanted))) and not any(map(is_name, lines[0].cells)):
        return _headless(lines[0])  # somebody has seen that there is none, whatever its first row holds
    # A number is no title: what stands below one is none of the header.
    above = list(takewhile(lambda line: not line.holds_number(), lines))
    for place, line in enumerate(above):
        # A title alone may have the same words as a column; then the longer line below is the header.
        is_longest = all(_filled(title, line) < line.filled for title in above[:place])
        is_longest = is_longest or _is_proven(lines, place, is_name)
        # What has a number of any kind in it, below the first line, is data.
        is_header = not place or not any(cell.strip().isdigit() for cell in line.cells)
        if any(map(is_name, line.cells)) and is_longest and is_header:
            if not place and line.filled == 1 and any(map(is_name, _next_longer(above))):
                continue
            if not any(plain_name(cell) in map(plain_name, wanted) for cell in line.cells):
                _check_titles(above[:place], line, refuse)
            return _header(head, line, [" ".join(filter(None, map(str.strip, title.cells))) for title in above[:place]])
    return _header(head, lines[0], [])


def _check_titles(titles: Sequence[_Line], header: _Line, refuse: Refuse) -> None:
    """InputError where a line above a header that nobody named may be the header, or the upper half of one.

    The name of a TN column may stand there as a value, below a heading of other numbers.
    """
    names = {column for column, cell in enumerate(header.cells) if column and plain_name(cell) in HEADINGS}
    for title in titles:
        # What has fewer cells is no header, nor a half of it: it is a title with a comma.
        is_half = title.delimiter == header.delimiter and title.filled >= header.filled
        # A year is in a title's words, not in a column's name.
        filled = {
            column for column, cell in enumerate(title.cells) if is_half and cell.strip() and not _YEAR.search(cell)
        }
        is_alone = title.filled == 1
        if names & filled or any(_is_of_others(cell, is_alone=is_alone) for cell in title.cells):
            what = "the header may be this line, or one below it"
            raise refuse(
                "PARSE_ERROR", what, 'Delete one, or name the column: [input] tn = "…", --tn', offset=title.start
            )


def _is_of_others(cell: str, *, is_alone: bool) -> bool:
    """Whether a cell may be a heading of numbers that are no TNs of this file; alone in its line it is one to the letter."""
    return plain_name(cell) in OTHERS or (not is_alone and _OTHER_WORD.search(cell) is not None)


def _is_proven(lines: Sequence[_Line], place: int, is_name: Callable[[str], bool]) -> bool:
    """Whether a line is no shorter than what stands above it, where nothing is a name, and has a number below its name."""
    names = [column for column, cell in enumerate(lines[place].cells) if is_name(cell)]
    below = lines[place + 1].cells if place + 1 < len(lines) else ()
    are_titles = all(
        _filled(title, lines[place]) <= lines[place].filled and not any(map(is_name, title.cells))
        for title in lines[:place]
    )
    return are_titles and any(_is_tn(below[column]) for column in names if column < len(below))


def _filled(title: _Line, header: _Line) -> int:
    """Cells of a title as the header's delimiter parts them: commas in it say nothing where that is another mark."""
    if title.delimiter == header.delimiter:
        return title.filled
    return 1 + sum(cell.count(header.delimiter) for cell in title.cells)


def _next_longer(lines: Sequence[_Line]) -> Sequence[str]:
    """Cells of the first line below the first that has more than one; none where there is no such line."""
    return next((line.cells for line in lines[1:] if line.filled > 1), ())


def _header(head: bytes, line: _Line, titles: list[str]) -> Header:
    columns = tuple(name if name.strip() else f"column {place}" for place, name in enumerate(line.cells, 1))
    start = line.end + (2 if head[line.end : line.end + 2] == b"\r\n" else 1)
    return Header(line.delimiter, columns, start, tuple(titles))


def _headless(line: _Line) -> Header:
    columns = [f"column {place}" for place in range(1, len(line.cells) + 1)] if len(line.cells) > 1 else ["TN"]
    # Of several columns, any may hold the number that is meant: somebody has to say which.
    return Header(line.delimiter, tuple(columns), line.start, is_missing=True)


def _is_tn(cell: str) -> bool:
    return tn.parse(cell, _LABELLED, international=abroad).reason in _NUMBERS


def _is_named(wanted: Collection[str]) -> Callable[[str], bool]:
    plain = {*map(plain_name, wanted), *HEADINGS}
    return lambda cell: plain_name(cell) in plain


def _lines(head: bytes, *, is_whole: bool, refuse: Refuse) -> Iterator[_Line]:
    """The records at the start of a file that are not blank; InputError when the first cannot be trusted."""
    start = len(BOM) if head.startswith(BOM) else 0
    given = None
    for number in count():
        start = len(head) - len(head[start:].lstrip(b"\r\n"))
        if start == len(head):
            return
        if given is None and (found := _SEPARATOR.match(head, start)):
            given, start = found[1].decode(), found.end()
            continue
        record = _RECORD.match(head, start)
        end = record.end() if record else start
        try:
            text = _checked(head, start, end, is_whole=is_whole, refuse=refuse)
            delimiter = given or _sniff(text, start, refuse)
        except InputError:
            if number == 0 or (number == 1 and given):
                raise
            return  # it is no header; as a row it is looked at later
        yield _Line(start, end, delimiter, tuple(next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))))
        start = end


def _checked(head: bytes, start: int, end: int, *, is_whole: bool, refuse: Refuse) -> str:
    if head[end : end + 1] not in {b"", b"\r", b"\n"}:
        raise refuse("PARSE_ERROR", "a quote in the header is not closed where its cell ends", "Close it", offset=start)
    if end - start > MAX_LINE_BYTES or (end == len(head) and not is_whole):
        raise refuse("PARSE_ERROR", "the header is over 64 KiB long", "Check what wrote the file", offset=start)
    if b"\0" in head[start:end]:
        raise refuse("BAD_ENCODING", "the header holds NUL characters", "Save the file as UTF-8", offset=start)
    return head[start:end].decode()


def _sniff(line: str, offset: int, refuse: Refuse) -> str:
    """The one of `,` `;` tab `|` that stands most often in a line outside of quotes; NOTHING where none does."""
    bare = _QUOTED_CELL.sub(r"\1", line)
    counts = {mark: bare.count(mark) for mark in ",;\t|"}
    best = [mark for mark, count in counts.items() if count == max(counts.values())]
    if not counts[best[0]]:
        return NOTHING
    if len(best) > 1:
        what = f"{' and '.join(map(repr, best))} may each be what separates the columns"
        raise refuse("PARSE_ERROR", what, "Quote the names that contain one of them", offset=offset)
    return best[0]
