"""The rows of a CSV file as bytes: what has to hold before a parser may see them.

Refuses over-long lines, text that is not UTF-8 and quotes that are not closed, with the byte where the trouble starts.
Opens no file.
"""

from __future__ import annotations

import codecs
import re
from typing import Protocol

from batcher.errors import InputError

BOM = codecs.BOM_UTF8
#: Bytes of one physical line at most.
MAX_LINE_BYTES = 64 * 1024
#: Bytes of one quoted cell at most: the parser holds no more in one block.
MAX_CELL_BYTES = 1024 * 1024

QUOTED = rb'"[^"]*+(?:""[^"]*+)*+"'
_CLOSED = re.compile(QUOTED)


class Refuse(Protocol):
    """Makes the error that names the file, the line of the byte `offset`, a reason code and the way out."""

    def __call__(self, code: str, what: str, remedy: str, *, offset: int | None = None) -> InputError: ...


class NotUtf8(Exception):
    """A byte at `offset` that cannot stand in UTF-8; `was_utf8` when characters before it could be nothing else."""

    def __init__(self, offset: int, byte: int, *, was_utf8: bool) -> None:
        super().__init__(f"the byte 0x{byte:02x} is not UTF-8")
        self.offset, self.was_utf8 = offset, was_utf8


def whole_characters(text: bytes, offset: int, *, was_utf8: bool = False) -> int:
    """Count the bytes up to the last whole character; NotUtf8 for what cannot be UTF-8. `offset`: where `text` stands."""
    if text.isascii():
        return len(text)
    try:
        return codecs.utf_8_decode(text, "strict", False)[1]
    except UnicodeDecodeError as error:
        was_utf8 = was_utf8 or not text[: error.start].isascii()
        raise NotUtf8(offset + error.start, text[error.start], was_utf8=was_utf8) from error


class Scan:
    """Takes the bytes of a file's rows block by block, behind the bytes `before`, and keeps only what the next block needs.

    Raises what `refuse` makes, and NotUtf8.
    """

    def __init__(self, delimiter: str, refuse: Refuse, before: bytes = b"") -> None:
        mark = re.escape(delimiter.encode())
        self._refuse = refuse
        #: as many whole cells, each with the mark that ends it, as there are; a quote inside a bare cell is text
        self._cells = re.compile(rb'(?:(?:%s|[^"%s\r\n][^%s\r\n]*+|)[%s\r\n])*+' % (QUOTED, mark, mark, mark))
        self._ends = delimiter.encode() + b"\r\n"
        #: offset of the next block
        self._at = len(before)
        #: offset where the open line starts
        self._line = len(before)
        #: characters were seen that stand in no other encoding
        self._is_utf8 = not before.isascii()
        #: start of a character whose rest is in the next block
        self._character = b""
        #: start of a cell whose end is in the next block; of a bare one, any byte
        self._cell = b""

    def feed(self, block: bytes) -> None:
        self._check_lines(block)
        self._check_encoding(block)
        self._check_quotes(block, self._at + len(block))
        self._at += len(block)

    def finish(self) -> None:
        # One byte is a letter of Windows-1252 at the end of a file without a last line end; two begin a character.
        if len(self._character) == 1 and not self._is_utf8:
            raise NotUtf8(self._at - len(self._character), self._character[0], was_utf8=False)
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
        whole = whole_characters(text, self._at - len(self._character), was_utf8=self._is_utf8)
        self._is_utf8 = self._is_utf8 or not text[:whole].isascii()
        self._character = text[whole:]

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
                "a cell opens with a quote that is not closed where the cell ends (or after 1 MiB)",
                "Close it, and double each quote inside a quoted cell",
                offset=end - len(self._cell),
            )


def _last_line_end(block: bytes, start: int, end: int) -> int:
    start = max(start, 0)
    return max(block.rfind(b"\n", start, end), block.rfind(b"\r", start, end))
