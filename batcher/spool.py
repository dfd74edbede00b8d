"""The files batcher writes, private, and whole or not at all; and how its own are read back.

`private_file` is the one way to write. Above it stand the Arrow and fixed-width files of the run
folder, read back in blocks by later passes, and the reports. Knows nothing of what the rows mean.
"""

from __future__ import annotations

import codecs
import fcntl
import hashlib
import os
import stat
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
from numpy.typing import DTypeLike, NDArray

from batcher.errors import InputError, LockHeld, StorageFailed

#: Rows of one batch at most, read or written.
BATCH_ROWS = 65_536
#: Processes that clear the same file away at the same time come between each other so often at most.
_MOST_CLAIMS = 10


@contextmanager
def private_file(path: Path) -> Generator[BinaryIO]:
    """Write a file of mode 0600 that is there whole or not at all.

    The bytes go to `<name>.tmp` in the same folder. Leaving the block puts them on disk and renames
    the file to `path`; an exception removes it. StorageFailed for every OSError, naming `path`; LockHeld
    while another process writes the same file, InputError when what has the temporary name is not ours.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with os.fdopen(_claimed(temporary), "wb") as file:  # closed last: that gives the name free
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
                temporary.replace(path)
            except BaseException:
                with suppress(OSError):
                    temporary.unlink(missing_ok=True)
                raise
        _sync_folder(path.parent)
    except OSError as error:
        why = f"{path}: cannot be written ({error}). Check space and permissions there"
        raise StorageFailed(f"{why}, then give the same command again.") from error


def _claimed(temporary: Path) -> int:
    """A new file of that name, open and locked: nobody else removes or renames it."""
    for _ in range(_MOST_CLAIMS):
        try:
            handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            _clear(temporary)
            continue
        if _is_locked(handle, temporary):
            return handle
        os.close(handle)  # somebody cleared it away before it was locked
    raise LockHeld(f"{temporary}: others write there all the time. Name another output, or wait for them.")


def _clear(temporary: Path) -> None:
    """Remove what a killed process left, or a link that waits there, which is not followed."""
    if temporary.is_symlink():
        temporary.unlink(missing_ok=True)
        return
    try:
        handle = os.open(temporary, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if stat.S_IMODE(os.fstat(handle).st_mode) != 0o600:
            raise InputError(f"{temporary}: is in the way, and was not left by batcher. Move it away.")
        if _is_locked(handle, temporary):
            temporary.unlink()
    finally:
        os.close(handle)


def _is_locked(handle: int, temporary: Path) -> bool:
    """Lock an open file; whether it still has that name. LockHeld when a living process holds it."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(handle), temporary.lstat())
    except BlockingIOError as error:
        raise LockHeld(f"{temporary}: another process is writing this file. Wait for it, or stop it.") from error
    except FileNotFoundError:
        return False


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def digest_of(path: Path) -> str:
    """SHA-256 of one of our own files, in hex."""
    with _reading(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _reading(path: Path) -> Generator[None]:
    try:
        yield
    except pa.ArrowException as error:
        raise _damaged(path, str(error)) from error
    except OSError as error:
        raise StorageFailed(f"{path}: cannot be read ({error}).") from error


def _damaged(path: Path, why: str) -> InputError:
    return InputError(f"{path}: is damaged ({why}); this run cannot go on. Restore its folder, or start a new run.")


class _Writing:
    """A private file that appears when its `with` block ends well, or with `close`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stack = ExitStack()
        self._file = self._stack.enter_context(private_file(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def close(self) -> None:
        self._stack.close()


class ArrowWriter(_Writing):
    """Writes rows of text to an Arrow file (IPC, lz4) of the run folder."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        super().__init__(path)
        #: rows so far
        self.rows = 0
        options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
        self._writer = self._stack.enter_context(pa.ipc.new_file(self._file, schema, options=options))

    def append(self, frame: pa.RecordBatch) -> None:
        for start in range(0, frame.num_rows, BATCH_ROWS):
            self._writer.write_batch(frame.slice(start, BATCH_ROWS))
        self.rows += frame.num_rows


class InputFile:
    """An Arrow file of the run folder, read by batch and column. Not mapped: mapped pages count as memory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._readers: dict[tuple[str, ...], pa.RecordBatchFileReader] = {}
        with _reading(path):
            self._file = pa.OSFile(str(path))
            whole = pa.ipc.open_file(self._file)
            self.schema: pa.Schema = whole.schema
            self.batches: int = whole.num_record_batches
            self.rows: int = whole.count_rows()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Number of the first row of each batch, from 1, and behind them that of the row after the last."""
        counts = [self.read(number, self.schema.names[:1]).num_rows for number in range(self.batches)]
        return np.cumsum([1, *counts], dtype=np.int64)

    def read(self, batch: int, columns: Sequence[str] | None = None) -> pa.RecordBatch:
        """One batch, numbered from 0, with these columns in this order (None: all); reads no others from disk."""
        names = tuple(self.schema.names if columns is None else columns)
        with _reading(self.path):
            if names not in self._readers:
                fields = [self.schema.names.index(name) for name in names]
                options = pa.ipc.IpcReadOptions(included_fields=fields, use_threads=False)
                self._readers[names] = pa.ipc.open_file(self._file, options=options)
            return self._readers[names].get_batch(batch).select(names)


def read_input(path: Path, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
    """All batches of an Arrow file in order, with these columns only (None: all)."""
    with InputFile(path) as file:
        for number in range(file.batches):
            yield file.read(number, columns)


class FixedWriter(_Writing):
    """Writes numbers of one width, little-endian, one after another."""

    def __init__(self, path: Path, dtype: DTypeLike) -> None:
        super().__init__(path)
        self._dtype = np.dtype(dtype).newbyteorder("<")
        self._sha256 = hashlib.sha256()

    def append(self, values: NDArray[Any]) -> None:
        """Values of the file's own type, or of one that fits into it without loss (TypeError)."""
        raw = values.astype(self._dtype, casting="safe", copy=False).tobytes()
        self._sha256.update(raw)
        self._file.write(raw)

    def digest(self) -> str:
        """SHA-256, in hex, of what was written so far."""
        return self._sha256.hexdigest()


def read_fixed(path: Path, dtype: DTypeLike, start: int, count: int) -> NDArray[Any]:
    """`count` values of a FixedWriter's file from number `start` (from 0) on; they cannot be written to."""
    little = np.dtype(dtype).newbyteorder("<")
    with _reading(path), path.open("rb", buffering=0) as file:
        raw = os.pread(file.fileno(), count * little.itemsize, start * little.itemsize)
    if len(raw) != count * little.itemsize:
        raise _damaged(path, f"values {start:,} to {start + count:,} are not all there")
    return np.frombuffer(raw, little)


@dataclass(frozen=True, slots=True)
class Form:
    """How a table is written."""

    kind: Literal["csv", "parquet"] = "csv"
    #: what separates the columns of CSV
    delimiter: str = ","
    #: CSV begins with the names of its columns
    has_header: bool = True
    #: in CSV, no cell is a formula to a spreadsheet, and TNs stay text there
    excel_safe: bool = False


class Table(_Writing):
    """Writes a table as CSV (every text quoted, so that a TN stays text) or Parquet (zstd).

    A column that takes few values may come as an Arrow dictionary: smaller and faster in both.
    """

    def __init__(self, path: Path, schema: pa.Schema, form: Form) -> None:
        super().__init__(path)
        self.schema, self._form = schema, form
        self._is_safe = form.excel_safe and form.kind == "csv"
        names = pa.array(schema.names, pa.string())
        self._written = (
            pa.schema(zip(_excel_safe(names).to_pylist(), schema.types, strict=True)) if self._is_safe else schema
        )
        self._writer: pacsv.CSVWriter | pq.ParquetWriter
        if form.kind == "csv":
            if self._is_safe:
                self._file.write(codecs.BOM_UTF8)  # by which spreadsheets know UTF-8
            is_plain = set('",;\t|\r\n').isdisjoint("".join(self._written.names))  # also for whoever sniffs the mark
            options = pacsv.WriteOptions(
                include_header=form.has_header,
                delimiter=form.delimiter,
                quoting_header="none" if is_plain else "needed",
                # Eight times the default rows at once are written half as fast again (measured).
                batch_size=8_192,
            )
            self._writer = pacsv.CSVWriter(self._file, self._written, write_options=options)
        else:
            self._writer = pq.ParquetWriter(self._file, schema, compression="zstd")
        self._stack.enter_context(self._writer)

    def append(self, frame: pa.RecordBatch) -> None:
        if self._is_safe:
            columns = [_excel_safe(column) if column.type == pa.string() else column for column in frame.columns]
            frame = pa.RecordBatch.from_arrays(columns, schema=self._written)
        self._writer.write_batch(frame)


#: What a spreadsheet runs or hides, also behind blanks and quotes (OWASP, CSV injection), full-width forms included.
_FORMULA = r"^[\s\"']*[=+\-@|%\t\r\n\x{FF1D}\x{FF0B}\x{FF0D}\x{FF20}]"
_GUARDED = r"^(?:'|=\"[^\"]*\"$)"
#: Telephone numbers, and what a spreadsheet would shorten or round.
_DIGITS = r"^(?:\+[1-9][0-9]{6,14}|[0-9]{10,}|0[0-9]+)$"


def _excel_safe(column: pa.Array) -> pa.Array:
    """TNs and long numbers as `="+1…"`, an apostrophe before what would be a formula; the tool itself reads both."""
    is_formula = pc.match_substring_regex(column, _FORMULA)
    are_digits = pc.match_substring_regex(column, _DIGITS)
    # What is guarded already stays as it is.
    is_formula = pc.and_not(is_formula, pc.match_substring_regex(column, _GUARDED))
    guarded = pc.if_else(is_formula, pc.binary_join_element_wise("'", column, ""), column)
    return pc.if_else(are_digits, pc.binary_join_element_wise('="', column, '"', ""), guarded)
