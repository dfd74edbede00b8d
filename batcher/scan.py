"""CSV as bytes: what has to hold before a parser may see them.

Finds the header and its delimiter, and refuses over-long lines, text that is not UTF-8 and quotes
that are not closed, with the byte where the trouble starts. Opens no file.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from typing import Protocol

from batcher.errors import InputError

BOM = codecs.BOM_UTF8
#: Bytes of one physical line at most.
MAX_LINE_BYTES = 64 * 1024
#: Bytes of one quoted cell at most: the parser holds no more in one block.
MAX_CELL_BYTES = 1024 * 1024

_QUOTED = rb'"[^"]*+(?:""[^"]*+)*+"'
#: The first record: quoted cells may hold line ends.
_RECORD = re.compile(rb'(?:%s|[^"\r\n])++' % _QUOTED)
_CLOSED = re.compile(_QUOTED)


class Refuse(Protocol):
    """Makes the error that names the file, the line of the byte `offset`, a reason code and the way out."""

    def __call__(self, code: str, what: str, remedy: str, *, offset: int | None = None) -> InputError: ...


def read_header(head: bytes, *, is_whole: bool, refuse: Refuse) -> tuple[str, list[str]]:
    """Take the delimiter and the column names from the first line that is not blank.

    `head` is the start of the file, a line of the longest length included. The delimiter is the one
    of `,` `;` tab `|` that stands most often in that line outside of quotes, a comma where none does.
    """
    start = len(head) - len(head.removeprefix(BOM).lstrip(b"\r\n"))
    record = _RECORD.match(head, start)
    end = record.end() if record else start
    if head[end : end + 1] == b'"':
        raise refuse("PARSE_ERROR", "a quote in the header is not closed", "Close it", offset=start)
    if end - start > MAX_LINE_BYTES or (end == len(head) and not is_whole):
        raise refuse("PARSE_ERROR", "the header is over 64 KiB long", "Check what wrote the file", offset=start)
    if b"\0" in head[start:end]:
        raise refuse("BAD_ENCODING", "the header holds NUL characters", "Save the file as UTF-8", offset=start)
    whole_characters(head[start:end], start, refuse)
    text = head[start:end].decode()
    delimiter = _sniff(text, start, refuse)
    return delimiter, next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))


def _sniff(header: str, offset: int, refuse: Refuse) -> str:
    bare = re.sub(_QUOTED.decode(), "", header)
    counts = {mark: bare.count(mark) for mark in ",;\t|"}
    best = [mark for mark, count in counts.items() if count == max(counts.values())]
    if len(best) > 1 and counts[best[0]]:
        what = f"{' and '.join(map(repr, best))} may each be what separates the columns"
        raise refuse("PARSE_ERROR", what, "Quote the names that contain one of them", offset=offset)
    return best[0]


def whole_characters(text: bytes, offset: int, refuse: Refuse) -> int:
    """Refuse what is not UTF-8, and count the bytes up to the last whole character."""
    if text.isascii():
        return len(text)
    try:
        return codecs.utf_8_decode(text, "strict", False)[1]
    except UnicodeDecodeError as error:
        what = f"the byte 0x{text[error.start]:02x} is not UTF-8"
        raise refuse("BAD_ENCODING", what, "Save the file as UTF-8", offset=offset + error.start) from error


class Scan:
    """Takes a file's bytes block by block, keeps only what the next block needs, raises what `refuse` makes."""

    def __init__(self, delimiter: str, refuse: Refuse) -> None:
        mark = re.escape(delimiter.encode())
        self._refuse = refuse
        #: as many whole cells, each with the mark that ends it, as there are; a quote inside a bare cell is text
        self._cells = re.compile(rb'(?:(?:%s|[^"%s\r\n][^%s\r\n]*+|)[%s\r\n])*+' % (_QUOTED, mark, mark, mark))
        self._ends = delimiter.encode() + b"\r\n"
        #: offset of the next block
        self._at = 0
        #: offset where the open line starts
        self._line = 0
        #: start of a character whose rest is in the next block
        self._character = b""
        #: start of a cell whose end is in the next block; of a bare one, any byte
        self._cell = b""

    def feed(self, block: bytes) -> None:
        self._check_lines(block)
        self._check_encoding(block)
        self._check_quotes(block.removeprefix(BOM) if self._at == 0 else block, self._at + len(block))
        self._at += len(block)

    def finish(self) -> None:
        if self._character:
            raise self._refuse(
                "BAD_ENCODING", "it ends within a character", "It was cut short: export it anew", offset=self._at
            )
        self._check_quotes(b"\n", self._at + 1, is_last=True)

    def _check_lines(self, block: bytes) -> None:
        start = self._line - self._at
        while len(block) - start > MAX_LINE_BYTES:
            # The last line end within reach: every line before it is short enough as well.
            end = _last_line_end(block, start, start + MAX_LINE_BYTES + 1)
            if end < 0:
                raise self._refuse(
                    "PARSE_ERROR", "longer than 64 KiB", "Check what wrote the file", offset=self._at + start
                )
            start = end + 1
        self._line = self._at + max(start, _last_line_end(block, start, len(block)) + 1)

    def _check_encoding(self, block: bytes) -> None:
        if block.isascii() and not self._character:
            return
        text = self._character + block
        self._character = text[whole_characters(text, self._at - len(self._character), self._refuse) :]

    def _check_quotes(self, block: bytes, end: int, *, is_last: bool = False) -> None:
        text = self._cell + block
        if b'"' not in text:
            self._cell = text[-1:].strip(self._ends)
            return
        cells = self._cells.match(text)
        self._cell = text[cells.end() if cells else 0 :]
        if not self._cell.startswith(b'"'):
            return
        closed = _CLOSED.match(self._cell)
        goes_on = closed is not None and closed.end() < len(self._cell)
        if goes_on or is_last or len(self._cell) > MAX_CELL_BYTES:
            raise self._refuse(
                "PARSE_ERROR",
                "a cell opens with a quote that is not closed where the cell ends",
                "Close it, and double each quote inside a quoted cell",
                offset=end - len(self._cell),
            )


def _last_line_end(block: bytes, start: int, end: int) -> int:
    start = max(start, 0)
    return max(block.rfind(b"\n", start, end), block.rfind(b"\r", start, end))
