"""Parquet input as text, digit for digit, without pandas and its metadata.

A column of TNs must hold a ten-digit number exactly, one of values has a plain text form; any other is carried along. Reads
a handle that `part` has opened.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from batcher.scan import Refuse

_TEXT = {pa.string(), pa.large_string(), pa.string_view()}
_BYTES = {pa.binary(), pa.large_binary(), pa.binary_view()}
_EXACT = {*_TEXT, pa.int64(), pa.uint64(), pa.float64(), pa.null()}
#: How many rows a file may have for each of its bytes; more is a forged count (arrow#49955).
_MAX_ROWS = 1_000
#: What its pages may unpack to: so many bytes, or this multiple of its size if that is more.
_UNPACKED_BYTES, _MAX_RATIO = 64 * 1024 * 1024, 200
#: How much of a file is in memory at once, as text.
_BATCH_BYTES = 64 * 1024 * 1024


def read_names(file: BinaryIO, size: int, refuse: Refuse) -> list[str]:
    """Check the footer of a file of `size` bytes, and give the names of its columns."""
    try:
        parquet = _open(file)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        what = f"a damaged or truncated Parquet file ({error})"
        raise refuse("BAD_CONTAINER", what, "Export it anew") from error
    metadata = parquet.metadata
    unpacked = sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
    if metadata.num_rows > _MAX_ROWS * size or unpacked > max(_UNPACKED_BYTES, _MAX_RATIO * size):
        raise refuse("BAD_CONTAINER", "it claims more than a file of its size can hold", "Export it anew")
    for column in parquet.schema_arrow:
        held = _held(column)
        if pa.types.is_nested(held):
            # A few bytes may stand for a list of gigabytes: such columns are not even read.
            raise refuse("COLUMN_TYPE", f'column "{column.name}" holds {held}', "Store it as text, or leave it out")
    return list(parquet.schema_arrow.names)


def schema_of(file: BinaryIO) -> pa.Schema:
    """Its columns in their own types, without what others noted about them."""
    schema = _open(file).schema_arrow.remove_metadata()
    return pa.schema([item.with_type(pa.string()) if pa.types.is_string_view(item.type) else item for item in schema])


def noted(file: BinaryIO) -> dict[bytes, bytes]:
    """What others noted about the file (pandas: which columns are the index); never read here, only handed on."""
    return _open(file).schema_arrow.metadata or {}


def read_rows(file: BinaryIO, batch_rows: int) -> Iterator[pa.RecordBatch]:
    """All rows in order, at most so many at a time and fewer of wide ones, every column of its own type."""
    most = min(batch_rows, _BATCH_BYTES // _width(file) or 1)
    for batch in _open(file).iter_batches(most, use_threads=False):
        # Views cannot be taken from or written.
        yield batch.cast(schema_of(file)) if any(map(pa.types.is_string_view, batch.schema.types)) else batch


def _width(file: BinaryIO) -> int:
    """Bytes that a row may take; a text that stands once in the file may be that of every row."""
    names = [item.name for item in _open(file).schema_arrow if _held(item) in _TEXT | _BYTES]
    parquet = pq.ParquetFile(file, read_dictionary=names, pre_buffer=False)
    width = 1
    for number in range(parquet.num_row_groups):
        group = parquet.metadata.row_group(number)
        chunks = [group.column(place) for place in range(group.num_columns)]
        listed = [chunk.path_in_schema for chunk in chunks if chunk.has_dictionary_page]
        columns = [name for name in names if name in listed]
        # The first row brings the whole dictionary along.
        texts = next(parquet.iter_batches(1, row_groups=[number], columns=columns, use_threads=False), None)
        longest = (
            [pc.max(pc.binary_length(column.dictionary)).as_py() or 0 for column in texts.columns] if texts else []
        )
        width = max(width, group.total_byte_size // max(group.num_rows, 1) + sum(longest))
    return width


def as_text(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The same rows, every column `pa.string()` without nulls."""
    frame = pa.RecordBatch.from_arrays([_as_text(column) for column in batch.columns], batch.schema.names)
    # Parquet readers hand on the bytes of a string unseen.
    frame.validate(full=True)
    return frame


def _open(file: BinaryIO) -> pq.ParquetFile:
    # The buffer lets a column be read in pieces instead of whole, a row group at a time.
    return pq.ParquetFile(file, pre_buffer=False, buffer_size=1024 * 1024, page_checksum_verification=True)


def check_numbers(file: BinaryIO, name: str, refuse: Refuse) -> None:
    """Refuse a column of TNs whose type cannot hold ten digits, or holds none."""
    held = _held(_open(file).schema_arrow.field(name))
    if held in _EXACT or pa.types.is_decimal(held):
        return
    what, remedy = f'column "{name}" holds {held}', "Store it as text"
    if pa.types.is_integer(held) or pa.types.is_floating(held):
        raise refuse("LOSSY_TYPE", f"{what}, too small for ten digits", remedy)
    raise refuse("COLUMN_TYPE", what, remedy)


def check_text(file: BinaryIO, name: str, refuse: Refuse) -> None:
    """Refuse a column whose values have no text form of their own: bytes."""
    held = _held(_open(file).schema_arrow.field(name))
    if _are_bytes(held):
        raise refuse("COLUMN_TYPE", f'column "{name}" holds {held}', "Store it as text, or leave it out")


def check_values(file: BinaryIO, name: str, refuse: Refuse) -> None:
    """Refuse a column of values that rounds what it holds (a destination may be a TN), or has no text form."""
    check_text(file, name, refuse)
    held = _held(_open(file).schema_arrow.field(name))
    if pa.types.is_floating(held) and not pa.types.is_float64(held):
        raise refuse("LOSSY_TYPE", f'column "{name}" holds {held}, too small for ten digits', "Store it as text")


def _held(column: pa.Field) -> pa.DataType:
    """What the values are, without what they are called (an extension such as arrow.uuid) or how they are packed."""
    held = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    return held.storage_type if isinstance(held, pa.BaseExtensionType) else held


def _are_bytes(held: pa.DataType) -> bool:
    return held in _BYTES or pa.types.is_fixed_size_binary(held)


def _as_text(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if isinstance(column.type, pa.BaseExtensionType):
        column = column.storage
    if _are_bytes(column.type):
        # Nobody uses such a column: reports show what is in it.
        column = pa.array([value and value.hex() for value in column.to_pylist()], pa.string())
    if pa.types.is_float64(column.type):
        column = _float_text(column)
    return column.cast(pa.string()).fill_null("")


def _float_text(column: pa.Array) -> pa.Array:
    """Whole numbers below 2^53 as integers (never 2.018551234e+09), NaN as null, the rest as floats print."""
    values = column.to_numpy(zero_copy_only=False)  # nulls become NaN
    is_whole = (np.abs(values) < 2.0**53) & (values == np.trunc(values))
    whole = pa.array(np.where(is_whole, values, 0).astype(np.int64)).cast(pa.string())
    return pc.if_else(pa.array(is_whole), whole, pa.array(values, mask=np.isnan(values)).cast(pa.string()))
