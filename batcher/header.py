"""The first lines of a CSV file: where its header is, what separates its columns, and what they are called.

Spreadsheets and reports put titles above it, `sep=` lines, or no header at all. Nothing is guessed: what may be
read in two ways is refused.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import count

from batcher import tn
from batcher.errors import InputError
from batcher.scan import BOM, MAX_LINE_BYTES, QUOTED, Refuse

#: Headers of a column of TNs, in lower case without spaces and punctuation.
TN_HEADER = re.compile(
    r"tn|did|phone|phonenumbers?|telephone|telephonenumbers?|fullnumber|number|e164|msisdn"
    r"|iristelephonenumberinventoryreport"
)

#: So many lines may stand above a header.
_MOST_TITLES = 10
#: The first record: quoted cells may hold line ends.
_RECORD = re.compile(rb'(?:%s|[^"\r\n])++' % QUOTED)
#: What separates the columns where there is only one: a list of numbers in a line is one cell.
NOTHING = "\x1f"
_NUMBERS = {0, *(tn.REASON[code] for code in ("TN_RANGE", "MULTIPLE_TNS", "EXTENSION"))}
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

    def is_title(self) -> bool:
        """One cell alone, whatever blank ones a spreadsheet put behind it."""
        return sum(map(bool, map(str.strip, self.cells))) == 1


def read_header(head: bytes, *, is_whole: bool, wanted: Collection[str], refuse: Refuse) -> Header:
    """Find the header in the start of a file in UTF-8, a line of the longest length included.

    It is the first line that is not blank, unless a line of titles stands there and a line below it names telephone
    numbers or a column of `wanted`. A first line that holds a telephone number is a row.
    """
    names = _is_named(wanted)
    first: _Line | None = None
    titles: list[str] = []
    for line in _lines(head, is_whole=is_whole, refuse=refuse):
        first = first or line
        # A column alone may have the same words as a title; then more columns below are the header.
        if any(map(names, line.cells)) and not (line is first and _is_below(head, line, names, is_whole, refuse)):
            return _header(head, line, titles)
        titles.append(" ".join(filter(None, map(str.strip, line.cells))))
        if not line.is_title() or len(titles) > _MOST_TITLES:
            break
    if first is None:
        raise refuse("PARSE_ERROR", "the first line cannot be read", "Check what wrote the file", offset=0)
    if any(_is_tn(cell) for cell in first.cells):
        return _headless(first)
    return _header(head, first, [])


def _is_below(head: bytes, first: _Line, names: Callable[[str], bool], is_whole: bool, refuse: Refuse) -> bool:
    """Whether the first line is a title: a cell alone, and the header with several columns follows."""
    if not first.is_title():
        return False
    rest = _lines(head, is_whole=is_whole, refuse=refuse)
    next(rest)
    for _, line in zip(range(_MOST_TITLES), rest, strict=False):
        if not line.is_title():
            return any(map(names, line.cells))
    return False


def _header(head: bytes, line: _Line, titles: list[str]) -> Header:
    columns = tuple(name if name.strip() else f"column {place}" for place, name in enumerate(line.cells, 1))
    start = line.end + (2 if head[line.end : line.end + 2] == b"\r\n" else 1)
    return Header(line.delimiter, columns, start, tuple(titles))


def _headless(line: _Line) -> Header:
    columns = [f"column {place}" for place in range(1, len(line.cells) + 1)]
    numbers = [place for place, cell in enumerate(line.cells) if _is_tn(cell)]
    if len(numbers) == 1:
        columns[numbers[0]] = "TN"
    return Header(line.delimiter, tuple(columns), line.start, is_missing=True)


def _is_tn(cell: str) -> bool:
    """Whether a cell holds a telephone number, or several, or one with something behind it: no name does."""
    return tn.parse(cell).reason in _NUMBERS


def _is_named(wanted: Collection[str]) -> Callable[[str], bool]:
    plain = {plain_name(name) for name in wanted}
    return lambda cell: plain_name(cell) in plain or TN_HEADER.fullmatch(plain_name(cell)) is not None


def plain_name(name: str) -> str:
    """A column's name without regard to case, spaces and punctuation."""
    return "".join(character for character in name.casefold() if character.isalnum())


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
    if head[end : end + 1] == b'"':
        raise refuse("PARSE_ERROR", "a quote in the header is not closed", "Close it", offset=start)
    if end - start > MAX_LINE_BYTES or (end == len(head) and not is_whole):
        raise refuse("PARSE_ERROR", "the header is over 64 KiB long", "Check what wrote the file", offset=start)
    if b"\0" in head[start:end]:
        raise refuse("BAD_ENCODING", "the header holds NUL characters", "Save the file as UTF-8", offset=start)
    return head[start:end].decode()


def _sniff(line: str, offset: int, refuse: Refuse) -> str:
    """The one of `,` `;` tab `|` that stands most often in a line outside of quotes; NOTHING where none does."""
    bare = re.sub(QUOTED.decode(), "", line)
    counts = {mark: bare.count(mark) for mark in ",;\t|"}
    best = [mark for mark, count in counts.items() if count == max(counts.values())]
    if not counts[best[0]]:
        return NOTHING
    if len(best) > 1:
        what = f"{' and '.join(map(repr, best))} may each be what separates the columns"
        raise refuse("PARSE_ERROR", what, "Quote the names that contain one of them", offset=offset)
    return best[0]
