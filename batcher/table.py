"""The user's input files: opened once, checked as bytes, then read as text in bounded batches.

CSV (also in UTF-16, compressed, with titles or without a header), Parquet and, with the extra, Excel workbooks; several
files as one. No cell is interpreted here: what a number is, `tn` and `normalize` decide.
"""

from __future__ import annotations

import codecs
import difflib
import glob
import hashlib
import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import structlog
from numpy.typing import NDArray

from batcher import delimited, parquet, workbook
from batcher.errors import InputError
from batcher.header import NOTHING, TN_HEADER, Header, plain_name, read_header
from batcher.origin import STDIN, Encoding, MissingInput, open_origin
from batcher.scan import BOM, MAX_LINE_BYTES, NotUtf8, Scan, whole_characters
from batcher.spool import BATCH_ROWS

_log = structlog.get_logger()

MAX_COLUMNS = 1_000
#: Files that may be read as one.
MAX_FILES = 256

_BLOCK_BYTES = 1024 * 1024
_HEAD_BYTES = len(BOM) + 4 * MAX_LINE_BYTES

_EXPORT = "Export it as CSV (UTF-8) or Parquet"
#: (first bytes, what it is)
_REFUSED = (
    (b"PK\x03\x04", "a zip archive"),
    (b"PARE", "an encrypted Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"ORC", "an ORC file"),
    (b"BZh", "compressed with bzip2"),
    (b"\xfd7zXZ", "compressed with xz"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"%PDF", "a PDF"),
)
_MARKUP = (b"<html", b"<!doctype", b"<?xml")
#: (byte order mark, encoding)
_MARKS: tuple[tuple[bytes, Encoding], ...] = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive rows of an input, in its order."""

    #: every column text (`pa.string()`), no nulls
    frame: pa.RecordBatch
    #: per row: it has more or fewer cells than the header. Its first cell then holds the line as it stood, up to
    #: 1,000 characters, and its other cells are empty: nothing ever slips into another column.
    malformed: NDArray[np.bool_]
    #: the same rows in the types of a Parquet file; of other files, `frame` itself
    typed: pa.RecordBatch


def open_source(path: Path, *, wanted: Collection[str] = (), spool: Path | None = None) -> Source:
    """Open a file, the files of a pattern (`*`, `?`, `[…]`), or standard input ("-"), once, and read the header.

    `wanted` are columns that somebody will ask for: they tell a header from the titles above it. What comes by standard
    input or out of a workbook is kept in an unnamed file in the folder `spool`. InputError: it cannot be opened, is no
    regular file, is of another kind, or its header cannot be trusted (repeated names, over 1,000 columns).
    """
    spool = spool or path.parent
    parts: list[_Part] = []
    try:
        for each in _files(path):
            parts.append(_Part(each, wanted, spool))  # ruff: ignore[manual-list-comprehension] - closed below
        return Source(path, parts)
    except BaseException:
        for part in parts:
            part.close()
        raise


def _files(path: Path) -> list[Path]:
    if path == STDIN or not glob.has_magic(str(path)) or path.exists():
        return [path]
    # Byte order, whatever the locale: the same files are the same input everywhere.
    found = sorted(glob.glob(str(path)), key=os.fsencode)  # ruff: ignore[glob] - a Path cannot say where a pattern begins
    if not found:
        raise MissingInput(f"{path}: no file has such a name. Check the path of the input.")
    if len(found) > MAX_FILES:
        raise InputError(f"{path}: {len(found):,} files have such a name; at most {MAX_FILES} are read as one.")
    return [Path(name) for name in found]


def find_tn_column(columns: Sequence[str], named: str | None, where: str = "") -> str:
    """Say which column holds the TNs: the one that is named, else the one whose header says so.

    A name is taken exactly, else without regard to case, spaces and punctuation. InputError with
    NO_TN_COLUMN or AMBIGUOUS_TN_COLUMN, and `where` (file and line of the header) in front: which
    numbers are changed is never guessed. Only a whole header counts, so a destination, contact,
    call-forward or fax column is never taken unnamed.
    """
    if named is not None and named in columns:
        return named
    wanted = TN_HEADER if named is None else re.compile(re.escape(plain_name(named)))
    found = [name for name in columns if wanted.fullmatch(plain_name(name))]
    if len(found) == 1:
        return found[0]
    front = f"{where}: " if where else ""
    remedy = 'Name it: [input] tn = "…" in the job file, or --tn; above numbers without a header, write a line "TN".'
    if found:
        raise InputError(f"{front}each of {_listed(found)} may hold the TNs (AMBIGUOUS_TN_COLUMN). {remedy}")
    if named is None:
        what, hint = "no header says which column holds the TNs", "."
    else:
        close = difflib.get_close_matches(named, columns, 1)
        what, hint = f'there is no column "{named}"', f' - did you mean "{close[0]}"?' if close else "."
    raise InputError(f"{front}{what} (NO_TN_COLUMN){hint} The columns are {_listed(columns)}. {remedy}")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 20:,} more" if len(names) > 20 else ""
    return ", ".join(f'"{name}"' for name in names[:20]) + more


class Source:
    """An input held open until `close`: what was checked and hashed is what is read. One pass at a time."""

    #: links resolved; of several files, the pattern
    path: Path
    #: in the order of the first file; distinct, none empty
    columns: tuple[str, ...]

    def __init__(self, path: Path, parts: Sequence[_Part]) -> None:
        self._parts = parts
        self.path = parts[0].path if len(parts) == 1 else path
        self.columns = parts[0].columns
        for part in parts:
            if set(part.columns) != set(self.columns):
                raise InputError(
                    f"{part.path}: its columns are {_listed(part.columns)}, those of {parts[0].path} are "
                    f"{_listed(self.columns)} (PARSE_ERROR). Files that are read as one have the same columns."
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for part in self._parts:
            part.close()

    @property
    def kind(self) -> str:
        """What the file is: "csv" or "parquet"; of several, the first."""
        return self._parts[0].kind

    @property
    def delimiter(self) -> str:
        """What separates the columns of a CSV file; a comma where there is only one, and of a Parquet file."""
        given = self._parts[0].header.delimiter
        return "," if given in {"", NOTHING} else given

    @property
    def has_header(self) -> bool:
        """Whether the file itself names its columns."""
        return not self._parts[0].header.is_missing

    @property
    def files(self) -> list[Path]:
        """The files that are read, links resolved; "-" for standard input."""
        return [part.path for part in self._parts]

    @property
    def schema(self) -> pa.Schema:
        """The columns' own types: those of a Parquet file, otherwise text."""
        return self._parts[0].schema()

    @property
    def warnings(self) -> list[tuple[str, str]]:
        """(code, text) of what somebody should know about the files; complete when they were read."""
        return [warning for part in self._parts for warning in part.warnings]

    def check_types(self, tn_column: str | None, value_columns: Collection[str]) -> None:
        """InputError when the TNs, or values to be set, lie in columns whose type has lost digits."""
        for part in self._parts:
            part.check_types(tn_column, value_columns)

    def digest(self) -> str:
        """SHA-256 of the unpacked bytes in hex, from one pass that checks every byte; made once.

        Of several files: of their digests, in the order of their names. InputError: a line of a CSV file is over
        64 KiB, has characters of no encoding, or opens a quote that is not closed where its cell ends (each with its
        number); it cannot be unpacked; or the file was changed meanwhile.
        """
        digests = [part.digest() for part in self._parts]
        return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()

    def batches(self) -> Iterator[Batch]:
        """All rows in order, at most 65,536 at a time; blank lines are no rows. Checks the bytes first (`digest`).

        InputError: there is no row, the file is damaged, or it was changed meanwhile.
        """
        self.digest()
        rows = 0
        for part in self._parts:
            for batch in part.batches():
                rows += batch.frame.num_rows
                yield _in_order(batch, self.columns)
        if not rows:
            raise InputError(f"{self.path}: it has a header and no rows (EMPTY_FILE). Check what wrote it.")


def _in_order(batch: Batch, columns: Sequence[str]) -> Batch:
    if tuple(batch.frame.schema.names) == tuple(columns):
        return batch
    first, frame = batch.frame.column(0), batch.frame.select(columns)
    if batch.malformed.any():
        # The line of a malformed row stands in the first column, whichever that is.
        lines = pa.array(batch.malformed)
        frame = pa.RecordBatch.from_arrays(
            [pc.if_else(lines, first if place == 0 else "", column) for place, column in enumerate(frame.columns)],
            frame.schema.names,
        )
    return Batch(frame, batch.malformed, batch.typed.select(columns))


def _is_text(start: bytes) -> bool:
    """Whether a name goes on behind what would be a file's magic: `PARENT_ID` is no encrypted Parquet."""
    return bool(start) and all(byte >= 0x20 or byte in b"\t\r\n" for byte in start) and start.isascii()


class _Part:
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
            stream = self._origin.unpacked()
            while block := stream.read(_BLOCK_BYTES):
                digest.update(block)
        else:
            stream = self._origin.text(digest.update)
            scan = Scan(self.header.delimiter, self._refusal, stream.read(self.header.start))
            while block := stream.read(_BLOCK_BYTES):
                scan.feed(block)
            scan.finish()
        self._origin.check_unchanged()
        return digest.hexdigest()

    def batches(self) -> Iterator[Batch]:
        try:
            yield from self._batches()
        except (pa.ArrowException, OSError) as error:
            code = "PARSE_ERROR" if self.kind == "csv" else "BAD_CONTAINER"
            raise self._refusal(code, f"cannot be read ({error})", "Export it anew") from error
        self._origin.check_unchanged()

    def _batches(self) -> Iterator[Batch]:
        if self.kind == "parquet":
            for typed in parquet.read_rows(self._origin.file, BATCH_ROWS):
                yield Batch(parquet.as_text(typed), np.zeros(typed.num_rows, bool), typed)
            return
        stream = self._origin.text()
        stream.read(self.header.start)
        for frame, malformed in delimited.read_text(stream, self.header.delimiter, self.columns):
            self._check_no_other_header(frame)
            for start in range(0, frame.num_rows, BATCH_ROWS):
                rows = frame.slice(start, BATCH_ROWS)
                yield Batch(rows, malformed[start : start + BATCH_ROWS], rows)

    def _check_no_other_header(self, frame: pa.RecordBatch) -> None:
        """A second header is no data; one that names the columns in another order makes what follows it something else."""
        again = pc.is_in(frame.column(0), pa.array(self.columns[1:], pa.string()))
        for row in np.flatnonzero(again.to_numpy(zero_copy_only=False)).tolist():
            cells = [column[row].as_py() for column in frame.columns]
            if sorted(cells) == sorted(self.columns):
                what = f"a second header names the columns in another order ({_listed(cells)})"
                raise self._refusal("PARSE_ERROR", what, "Files that were put together have to have the same columns")

    def _kind(self, head: bytes) -> str:
        text = head.removeprefix(BOM).lstrip()
        if not text:
            raise self._refusal("EMPTY_FILE", "it is empty", "Check what wrote it")
        if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
            raise self._refusal("BAD_ENCODING", "it is UTF-32 text", "Save it as UTF-8")
        if workbook.is_one(self._origin.file):
            return "excel"
        for magic, what in _REFUSED:
            if head.startswith(magic) and not _is_text(head[len(magic) : len(magic) + 4]):
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
            what = f"its header names {_listed(repeated)} more than once"
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
