"""One file of an input: recognized by its first bytes, its header read, its bytes checked, then its rows as text.

Knows nothing of the other files of an input, and interprets no cell.
"""

from __future__ import annotations

import codecs
import hashlib
import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import structlog
from numpy.typing import NDArray

from batcher import delimited, parquet, workbook
from batcher.errors import InputError
from batcher.header import Header, read_header
from batcher.heading import Headings
from batcher.origin import STDIN, Encoding, open_origin
from batcher.scan import BOM, MAX_LINE_BYTES, NotUtf8, Scan, whole_characters
from batcher.spool import BATCH_ROWS

_log = structlog.get_logger()

MAX_COLUMNS = 1_000

_BLOCK_BYTES = 1024 * 1024
_HEAD_BYTES = len(BOM) + 4 * MAX_LINE_BYTES

_EXPORT = "Export it as CSV (UTF-8) or Parquet"
#: (first bytes, what it is)
_REFUSED = (
    (b"PK\x03\x04", "a zip archive, or a workbook that was cut short"),
    (b"PARE", "an encrypted Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"ORC", "an ORC file"),
    (b"BZh91AY&SY", "compressed with bzip2"),
    (b"\xfd7zXZ", "compressed with xz"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"%PDF-", "a PDF"),
)
#: The end of one Parquet file and the start of another.
_BETWEEN_FILES = b"PAR1PAR1"
#: What pyarrow says, and what it means.
_IN_WORDS = {
    "Expected ": ("64 MiB of lines in a row have another number of cells than the header", "Check its delimiter"),
    "straddling object": ("a row is longer than 1 MiB", "Check the quotes in it"),
}
_MARKUP = (b"<html", b"<!doctype", b"<?xml")
#: (byte order mark, encoding)
_MARKS: tuple[tuple[bytes, Encoding], ...] = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive rows of an input, in its order."""

    #: every column text (`pa.string()`), no nulls
    frame: pa.RecordBatch
    #: per row: it has more or fewer cells than the header. Its first cell then holds the line as it stood, and its other
    #: cells are empty: nothing ever slips into another column.
    malformed: NDArray[np.bool_]
    #: the same rows in the types of a Parquet file; of other files, `frame` itself
    typed: pa.RecordBatch


def select(frame: pa.RecordBatch, malformed: NDArray[np.bool_], columns: Sequence[str]) -> pa.RecordBatch:
    """These columns of a batch's frame; the line of a malformed row stands in the first of them, whichever that is."""
    chosen, held = frame.select(columns), frame.schema.names[0]
    if not malformed.any() or columns[0] == held:
        return chosen
    moved = dict(zip(columns, chosen.columns, strict=True))
    if held in moved:
        moved[held] = pc.if_else(pa.array(malformed), "", moved[held])
    moved[columns[0]] = pc.if_else(pa.array(malformed), frame.column(held), moved[columns[0]])
    return pa.RecordBatch.from_arrays(list(moved.values()), list(moved))


def listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 20:,} more" if len(names) > 20 else ""
    return ", ".join(f'"{name}"' for name in names[:20]) + more


def _is_text(start: bytes) -> bool:
    """Whether a name goes on behind what would be a file's magic: `PARENT_ID` is no encrypted Parquet."""
    return bool(start) and all(byte >= 0x20 or byte in b"\t\r\n" for byte in start) and start.isascii()


class Part:
    """One file of an input."""

    def __init__(self, path: Path, wanted: Collection[str], spool: Path) -> None:
        self._origin = open_origin(path, spool)
        self.path = self._origin.path
        self.warnings: list[tuple[str, str]] = []
        self._digest = ""
        try:
            if self.path not in {STDIN, Path(os.path.normpath(path.absolute()))}:
                _log.info("the input is a link", path=str(path), file=str(self.path))
            self.header = self._read_header(wanted, spool)
            self.columns = self.header.columns
            self._check_names()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._origin.close()

    def _read_header(self, wanted: Collection[str], spool: Path) -> Header:
        head = self._origin.unpacked().read(_HEAD_BYTES + 1)
        self.kind = self._kind(head)
        if self.kind == "parquet":
            names = parquet.read_names(self._origin.file, self._origin.size, self._refusal)
            return Header("", tuple(names), 0)
        if self.kind == "excel":
            self._origin = workbook.as_csv(self._origin, spool, self._refusal)
            self.kind, head = "csv", self._origin.unpacked().read(_HEAD_BYTES + 1)
        for mark, encoding in _MARKS:
            if head.startswith(mark):
                self._origin.encoding = encoding
        if self._origin.encoding == "utf-8":
            self._guess_encoding(head)
        text = self._origin.text().read(_HEAD_BYTES + 1)
        whole = text[: whole_characters(text[:_HEAD_BYTES], 0)]
        header = read_header(whole, is_whole=len(text) <= _HEAD_BYTES, wanted=wanted, refuse=self._refusal)
        if header.titles:
            _log.info("lines above the header are left out", input=str(self.path), lines=header.titles)
        if header.is_missing:
            _log.info("there is no header: the first line is a row", input=str(self.path), columns=header.columns)
        return header

    def _guess_encoding(self, text: bytes) -> None:
        try:
            whole_characters(text, 0)
        except NotUtf8 as error:
            self._take_for_cp1252(error)

    def _take_for_cp1252(self, error: NotUtf8) -> None:
        """What is not UTF-8 was written by Windows, unless other characters say that it is UTF-8, and damaged."""
        if error.was_utf8 or self._origin.encoding != "utf-8":
            raise self._refusal("BAD_ENCODING", str(error), "Save it as UTF-8", offset=error.offset) from error
        self._origin.encoding = "cp1252"
        text = f"{self.path.name} is not UTF-8 and was read as Windows-1252 (cp1252): save it as UTF-8"
        self.warnings.append(("ENCODING_GUESSED", text))
        _log.warning("the input is not UTF-8; it is read as Windows-1252", input=str(self.path))

    def schema(self) -> pa.Schema:
        if self.kind == "parquet":
            return parquet.schema_of(self._origin.file)
        return pa.schema([(name, pa.string()) for name in self.columns])

    def check_types(self, tn_column: str | None, value_columns: Collection[str]) -> None:
        if self.kind == "parquet":
            if tn_column is not None:
                parquet.check_numbers(self._origin.file, tn_column, self._refusal)
            for name in value_columns:
                parquet.check_values(self._origin.file, name, self._refusal)

    def check_texts(self, columns: Collection[str]) -> None:
        if self.kind == "parquet":
            for name in columns:
                parquet.check_text(self._origin.file, name, self._refusal)

    def noted(self) -> dict[bytes, bytes]:
        return parquet.noted(self._origin.file) if self.kind == "parquet" else {}

    def digest(self) -> str:
        if not self._digest:
            try:
                self._digest = self._checked()
            except NotUtf8 as error:
                self._take_for_cp1252(error)
                self._digest = self._checked()
        return self._digest

    def _checked(self) -> str:
        digest = hashlib.sha256()
        if self.kind == "parquet":
            stream, last = self._origin.unpacked(), b""
            while block := stream.read(_BLOCK_BYTES):
                digest.update(block)
                # The footer of the last of several files is at their end, and would be read over the bytes of the first.
                if _BETWEEN_FILES in last + block[: len(_BETWEEN_FILES)] or _BETWEEN_FILES in block:
                    raise self._refusal("BAD_CONTAINER", "it is several Parquet files in one", "Name them by a pattern")
                last = block[-len(_BETWEEN_FILES) :]
        else:
            stream = self._origin.text(digest.update)
            scan = Scan(self.header.delimiter, self._refusal, stream.read(self.header.start))
            while block := stream.read(_BLOCK_BYTES):
                scan.feed(block)
            scan.finish()
        self._origin.check_unchanged()
        return digest.hexdigest()

    def batches(self, tn_column: str | None = None) -> Iterator[Batch]:
        try:
            yield from self._batches(tn_column)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            code = "PARSE_ERROR" if self.kind == "csv" else "BAD_CONTAINER"
            what, remedy = next(
                (told for sign, told in _IN_WORDS.items() if sign in str(error)),
                (f"cannot be read ({error})", "Export it anew"),
            )
            raise self._refusal(code, what, remedy) from error
        self._origin.check_unchanged()

    def _batches(self, tn_column: str | None) -> Iterator[Batch]:
        if self.kind == "parquet":
            for typed in parquet.read_rows(self._origin.file, BATCH_ROWS):
                yield Batch(parquet.as_text(typed), np.zeros(typed.num_rows, bool), typed)
            return
        stream = self._origin.text()
        stream.read(self.header.start)
        headings = Headings(self.columns, self.header.delimiter, tn_column=tn_column, is_missing=self.header.is_missing)
        for frame, malformed in delimited.read_text(stream, self.header.delimiter, self.columns):
            if other := headings.find(frame, malformed):
                what = f"row {other[0]:,} is a header with other columns ({listed(other[1])})"
                raise self._refusal("PARSE_ERROR", what, "Files that are put together must have the same columns")
            for start in range(0, frame.num_rows, BATCH_ROWS):
                rows = frame.slice(start, BATCH_ROWS)
                yield Batch(rows, malformed[start : start + BATCH_ROWS], rows)

    def _kind(self, head: bytes) -> str:
        text = head.removeprefix(BOM).lstrip()
        if not text:
            what = "it is empty" if len(head) <= _HEAD_BYTES else "its first 256 KiB are blank"
            raise self._refusal("EMPTY_FILE", what, "Check what wrote it")
        if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
            raise self._refusal("BAD_ENCODING", "it is UTF-32 text", "Save it as UTF-8")
        if workbook.is_one(self._origin.file):
            return "excel"
        for magic, what in _REFUSED:
            is_certain = len(magic) > 4
            if head.startswith(magic) and (is_certain or not _is_text(head[len(magic) : len(magic) + 4])):
                raise self._refusal("BAD_CONTAINER", f"it is {what}", _EXPORT)
        if text[:20].lower().startswith(_MARKUP):
            raise self._refusal("BAD_CONTAINER", "it is a web page or XML, not a table", "Download the table itself")
        if not head.startswith(b"PAR1") or _is_text(head[4:8]):
            return "csv"
        if self._origin.codec:
            raise self._refusal("BAD_CONTAINER", f"it is a Parquet file in {self._origin.codec}", "Unpack it first")
        return "parquet"

    def _check_names(self) -> None:
        names = self.columns
        if len(names) > MAX_COLUMNS:
            raise self._refusal("PARSE_ERROR", f"it has {len(names):,} columns", f"At most {MAX_COLUMNS:,} are read")
        if not all(map(str.strip, names)):
            raise self._refusal("PARSE_ERROR", "a column has no name", "Give every column a name")
        if repeated := [name for name, times in Counter(names).items() if times > 1]:
            what = f"its header names {listed(repeated)} more than once"
            raise self._refusal("PARSE_ERROR", what, "Give every column a name of its own")

    def _refusal(self, code: str, what: str, remedy: str, *, offset: int | None = None) -> InputError:
        name = "standard input" if self.path == STDIN else str(self.path)
        where = name if offset is None else f"{name}, line {self._line(offset)}"
        return InputError(f"{where}: {what} ({code}). {remedy}.")

    def _line(self, offset: int) -> int:
        """Count the line that holds a byte; LF, CR and CRLF each end one."""
        stream = self._origin.text()
        line, last = 1, b""
        while block := stream.read(min(offset, _BLOCK_BYTES)):
            offset -= len(block)
            is_split_pair = last == b"\r" and block.startswith(b"\n")
            line += block.count(b"\n") + block.count(b"\r") - block.count(b"\r\n") - is_split_pair
            last = block[-1:]
        return line
