"""The user's input files: opened once, checked as bytes, then read as text in bounded batches.

Knows CSV (UTF-8; comma, semicolon, tab or pipe) and Parquet, and refuses every other kind before a
row is read. No cell is interpreted here: what a number is, `tn` and `normalize` decide.
"""

from __future__ import annotations

import codecs
import difflib
import hashlib
import os
import re
import stat
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from batcher import delimited, parquet
from batcher.errors import InputError
from batcher.scan import BOM, MAX_LINE_BYTES, Scan, read_header
from batcher.spool import BATCH_ROWS

MAX_COLUMNS = 1_000

_BLOCK_BYTES = 1024 * 1024

_EXPORT = "Export it as CSV (UTF-8) or Parquet"
#: (first bytes, reason code, what it is, the way out)
_REFUSED = (
    (b"PK\x03\x04", "BAD_CONTAINER", "a zip archive or an Excel workbook", _EXPORT),
    (b"\xd0\xcf\x11\xe0", "BAD_CONTAINER", "an old Excel workbook", _EXPORT),
    (b"\x1f\x8b", "BAD_CONTAINER", "compressed with gzip", "Unpack it first (gunzip)"),
    (b"\x28\xb5\x2f\xfd", "BAD_CONTAINER", "compressed with zstd", "Unpack it first (unzstd)"),
    (b"PARE", "BAD_CONTAINER", "an encrypted Parquet file", _EXPORT),
    (b"ARROW1", "BAD_CONTAINER", "an Arrow file", _EXPORT),
    (codecs.BOM_UTF16_LE, "BAD_ENCODING", "UTF-16 text", "Save it as UTF-8"),
    (codecs.BOM_UTF16_BE, "BAD_ENCODING", "UTF-16 text", "Save it as UTF-8"),
)
_MARKUP = (b"<html", b"<!doctype", b"<?xml")

#: Headers of a column of TNs, in lower case without spaces and punctuation.
_TN_HEADER = re.compile(
    r"tn|did|phone|phonenumbers?|telephone|telephonenumbers?|fullnumber|number|e164|msisdn"
    r"|iristelephonenumberinventoryreport"
)


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive rows of an input, in its order."""

    #: every column text (`pa.string()`), no nulls
    frame: pa.RecordBatch
    #: per row: it has more or fewer cells than the header. Its first cell then holds the line as it stood, up to
    #: 1,000 characters, and its other cells are empty: nothing ever slips into another column.
    malformed: NDArray[np.bool_]


def open_source(path: Path) -> Source:
    """Open a CSV or Parquet file, once, and read its header.

    Links are followed here and nowhere else. InputError: it cannot be opened, is no regular file, is
    of another kind, or its header cannot be trusted (empty or repeated names, over 1,000 columns).
    """
    try:
        real = path.resolve(strict=True)
        handle = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, RuntimeError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be opened: {why}. Check the path of the input.") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise InputError(f"{path}: is not a regular file. Give a CSV or Parquet file.")
    file = os.fdopen(handle, "rb")
    try:
        return Source(real, file)
    except BaseException:
        file.close()
        raise


def find_tn_column(columns: Sequence[str], named: str | None, where: str = "") -> str:
    """Say which column holds the TNs: the one that is named, else the one whose header says so.

    A name is taken exactly, else without regard to case, spaces and punctuation. InputError with
    NO_TN_COLUMN or AMBIGUOUS_TN_COLUMN, and `where` (file and line of the header) in front: which
    numbers are changed is never guessed. Only a whole header counts, so a destination, contact,
    call-forward or fax column is never taken unnamed.
    """
    if named is not None and named in columns:
        return named
    wanted = _TN_HEADER if named is None else re.compile(re.escape(_plain(named)))
    found = [name for name in columns if wanted.fullmatch(_plain(name))]
    if len(found) == 1:
        return found[0]
    front = f"{where}: " if where else ""
    remedy = 'Name it: [input] tn = "…" in the job file, or --tn.'
    if found:
        raise InputError(f"{front}each of {_listed(found)} may hold the TNs (AMBIGUOUS_TN_COLUMN). {remedy}")
    if named is None:
        what, hint = "no header says which column holds the TNs", "."
    else:
        close = difflib.get_close_matches(named, columns, 1)
        what, hint = f'there is no column "{named}"', f' - did you mean "{close[0]}"?' if close else "."
    raise InputError(f"{front}{what} (NO_TN_COLUMN){hint} The columns are {_listed(columns)}. {remedy}")


def _plain(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 20:,} more" if len(names) > 20 else ""
    return ", ".join(f'"{name}"' for name in names[:20]) + more


class Source:
    """An input held open until `close`: what was checked and hashed is what is read. One pass at a time."""

    #: links resolved
    path: Path
    #: "csv" or "parquet"
    kind: str
    #: in the order of the file; distinct, none empty
    columns: tuple[str, ...]

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self._file = file
        self._stat = os.fstat(file.fileno())
        self._digest = ""
        self._delimiter = ""
        head = self._read(len(BOM) + MAX_LINE_BYTES + 2)
        self.kind = self._kind(head)
        if self.kind == "csv":
            is_whole = len(head) == self._stat.st_size
            self._delimiter, names = read_header(head, is_whole=is_whole, refuse=self._refusal)
        else:
            names = parquet.read_names(file, self._stat.st_size, self._refusal)
        self._check_names(names)
        self.columns = tuple(names)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    def check_types(self, tn_column: str | None, value_columns: Collection[str]) -> None:
        """InputError when the TNs, or values to be set, lie in columns whose type has lost digits."""
        if self.kind == "parquet":
            if tn_column is not None:
                parquet.check_numbers(self._file, tn_column, self._refusal)
            for name in value_columns:
                parquet.check_values(self._file, name, self._refusal)

    def digest(self) -> str:
        """SHA-256 of the file's bytes in hex, from one pass that checks every byte; made once.

        InputError: a line of a CSV file is over 64 KiB, is not UTF-8, or opens a quote that is not
        closed where its cell ends (each with its number); or the file was changed meanwhile.
        """
        if not self._digest:
            self._file.seek(0)
            digest = hashlib.sha256()
            scan = Scan(self._delimiter, self._refusal) if self.kind == "csv" else None
            while block := self._read(_BLOCK_BYTES):
                digest.update(block)
                if scan:
                    scan.feed(block)
            if scan:
                scan.finish()
            self._check_unchanged()
            self._digest = digest.hexdigest()
        return self._digest

    def batches(self) -> Iterator[Batch]:
        """All rows in order, at most 65,536 at a time; blank lines are no rows. Checks the bytes first (`digest`).

        InputError: there is no row, the file is damaged, or it was changed meanwhile.
        """
        self.digest()
        self._file.seek(0)
        rows = 0
        try:
            for batch in self._rows():
                rows += batch.frame.num_rows
                yield batch
        except (pa.ArrowException, OSError) as error:
            code = "PARSE_ERROR" if self.kind == "csv" else "BAD_CONTAINER"
            raise self._refusal(code, f"cannot be read ({error})", "Export it anew") from error
        if not rows:
            raise self._refusal("EMPTY_FILE", "it has a header and no rows", "Check what wrote it")
        self._check_unchanged()

    def _rows(self) -> Iterator[Batch]:
        if self.kind == "parquet":
            for frame in parquet.read_text(self._file, BATCH_ROWS):
                yield Batch(frame, np.zeros(frame.num_rows, bool))
            return
        for frame, malformed in delimited.read_text(self._file, self._delimiter, self.columns, self._refusal):
            for start in range(0, frame.num_rows, BATCH_ROWS):
                rows = slice(start, start + BATCH_ROWS)
                yield Batch(frame.slice(start, BATCH_ROWS), malformed[rows])

    def _kind(self, head: bytes) -> str:
        text = head.removeprefix(BOM).lstrip()
        if not text and len(head) == self._stat.st_size:
            raise self._refusal("EMPTY_FILE", "it is empty", "Check what wrote it")
        for magic, code, what, remedy in _REFUSED:
            if head.startswith(magic):
                raise self._refusal(code, f"it is {what}", remedy)
        if text[:20].lower().startswith(_MARKUP):
            raise self._refusal("BAD_CONTAINER", "it is a web page, not a table", "Download the table itself")
        return "parquet" if head.startswith(b"PAR1") else "csv"

    def _check_names(self, names: list[str]) -> None:
        if len(names) > MAX_COLUMNS:
            raise self._refusal("PARSE_ERROR", f"it has {len(names):,} columns", f"At most {MAX_COLUMNS:,} are read")
        unnamed = [str(number) for number, name in enumerate(names, 1) if not name.strip()]
        if unnamed:
            what = f"its header leaves out the name of column {', '.join(unnamed[:20])}"
            raise self._refusal("PARSE_ERROR", what, "Give every column a name")
        if repeated := [name for name, times in Counter(names).items() if times > 1]:
            what = f"its header names {_listed(repeated)} more than once"
            raise self._refusal("PARSE_ERROR", what, "Give every column a name of its own")

    def _check_unchanged(self) -> None:
        now = os.fstat(self._file.fileno())
        if (now.st_size, now.st_mtime_ns) != (self._stat.st_size, self._stat.st_mtime_ns):
            raise InputError(f"{self.path}: was changed while it was read. Start again when nobody writes to it.")

    def _read(self, size: int) -> bytes:
        try:
            return self._file.read(size)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read: {error.strerror}.") from error

    def _refusal(self, code: str, what: str, remedy: str, *, offset: int | None = None) -> InputError:
        where = str(self.path) if offset is None else f"{self.path}, line {self._line(offset)}"
        return InputError(f"{where}: {what} ({code}). {remedy}.")

    def _line(self, offset: int) -> int:
        """Count the line that holds a byte; LF, CR and CRLF each end one."""
        self._file.seek(0)
        line, last = 1, b""
        while block := self._read(min(offset, _BLOCK_BYTES)):
            offset -= len(block)
            is_split_pair = last == b"\r" and block.startswith(b"\n")
            line += block.count(b"\n") + block.count(b"\r") - block.count(b"\r\n") - is_split_pair
            last = block[-1:]
        return line
