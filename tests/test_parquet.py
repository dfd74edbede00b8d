"""Parquet input: the types that are taken come out digit for digit, all others are refused."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batcher.errors import InputError
from batcher.table import open_source


def written(folder: Path, column: pa.Array, **options: object) -> Path:
    path = folder / "numbers.parquet"
    pq.write_table(pa.table({"tn": column}), path, **options)
    return path


def cells(path: Path) -> list[str]:
    with open_source(path) as source:
        assert source.kind == "parquet"
        frames = [batch.frame for batch in source.batches()]
    assert all(frame.schema == pa.schema([("tn", pa.string())]) for frame in frames)
    return [cell for frame in frames for cell in frame.column(0).to_pylist()]


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        pytest.param(pa.array(["+12015550123", None, ""]), ["+12015550123", "", ""], id="string"),
        pytest.param(pa.array(["2015550123"], pa.large_string()), ["2015550123"], id="large_string"),
        pytest.param(pa.array(["a", None, "a"]).dictionary_encode(), ["a", "", "a"], id="dictionary"),
        pytest.param(pa.array([2015550123, None], pa.int64()), ["2015550123", ""], id="int64"),
        pytest.param(pa.array([2**53 + 1, -1], pa.int64()), ["9007199254740993", "-1"], id="int64 beyond float"),
        pytest.param(pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"], id="uint64"),
        pytest.param(pa.array([Decimal(2015550123), None], pa.decimal128(10, 0)), ["2015550123", ""], id="decimal"),
        pytest.param(pa.array([Decimal("2015550123.00")], pa.decimal128(12, 2)), ["2015550123.00"], id="decimal .00"),
        pytest.param(pa.array([2015550123.0, None, float("nan")]), ["2015550123", "", ""], id="float64"),
        pytest.param(pa.array([12015550123.0, 0.0, -5.0]), ["12015550123", "0", "-5"], id="float64, eleven digits"),
        pytest.param(pa.array([2015550123.5]), ["2015550123.5"], id="float64 with a fraction stays one"),
        pytest.param(pa.array([2.0**53, float("inf")]), ["9.007199254740992e+15", "inf"], id="float64 not exact"),
        pytest.param(pa.array([None, None]), ["", ""], id="nothing but nulls"),
    ],
)
def test_every_type_that_holds_ten_digits_is_text_of_exactly_those(tmp_path, column, expected):
    """Integers never pass through floats, nulls are empty, and what is no integer is not made one."""
    assert cells(written(tmp_path, column)) == expected


@pytest.mark.parametrize(
    ("type_", "code"),
    [
        pytest.param(pa.float32(), "LOSSY_TYPE", id="float32"),
        pytest.param(pa.float16(), "LOSSY_TYPE", id="float16"),
        pytest.param(pa.int32(), "LOSSY_TYPE", id="int32"),
        pytest.param(pa.uint32(), "LOSSY_TYPE", id="uint32"),
        pytest.param(pa.bool_(), "COLUMN_TYPE", id="bool"),
        pytest.param(pa.timestamp("us"), "COLUMN_TYPE", id="timestamp"),
        pytest.param(pa.binary(), "COLUMN_TYPE", id="binary"),
        pytest.param(pa.list_(pa.string()), "COLUMN_TYPE", id="list"),
        pytest.param(pa.struct([("a", pa.string())]), "COLUMN_TYPE", id="struct"),
    ],
)
def test_other_types_are_refused_with_column_and_type(tmp_path, type_, code):
    """float32 turned 1,984 of 2,000 numbers into other valid-looking ones (measured): no TN comes from such a column."""
    path = written(tmp_path, pa.array([None], type_))
    with pytest.raises(InputError) as refused, open_source(path) as source:
        source.check_types("tn", ())
    assert f'{path}: column "tn" holds ' in str(refused.value)
    assert f"({code}). Store it as text" in str(refused.value)


def test_columns_that_hold_no_number_are_carried_along(tmp_path):
    """A time stamp or a flag beside the TNs comes out as text; it needs no exact number."""
    path = tmp_path / "input.parquet"
    table = pa.table(
        {
            "tn": ["2015550123"],
            "at": [datetime(2026, 11, 20, 2, 0, tzinfo=UTC)],
            "on": [True],
            "n": pa.array([7], pa.int32()),
        }
    )
    pq.write_table(table, path)
    with open_source(path) as source:
        source.check_types("tn", ("on", "n"))
        (batch,) = source.batches()
    assert batch.frame.to_pylist() == [
        {"tn": "2015550123", "at": "2026-11-20 02:00:00.000000Z", "on": "true", "n": "7"}
    ]


def test_a_value_that_was_rounded_is_refused(tmp_path):
    """A destination in a float32 column is another number than the one that was meant."""
    path = written(tmp_path, pa.array([2015550123.0], pa.float32()))
    with pytest.raises(InputError, match="LOSSY_TYPE"), open_source(path) as source:
        source.check_types(None, ("tn",))


def test_rows_come_in_order_and_bounded(tmp_path):
    """Row groups of any size come out in batches of at most 65,536 rows, in the order of the file."""
    path = written(tmp_path, pa.array(range(2015550000, 2015750000)), row_group_size=90_000)
    with open_source(path) as source:
        sizes = [batch.frame.num_rows for batch in source.batches()]
        assert not any(batch.malformed.any() for batch in source.batches())
    assert sum(sizes) == 200_000
    assert max(sizes) <= 65_536
    assert cells(path)[::50_000] == ["2015550000", "2015600000", "2015650000", "2015700000"]


@pytest.mark.parametrize("type_", [pa.string(), pa.large_string(), pa.string_view()], ids=str)
def test_a_long_text_that_stands_once_in_the_file_fills_no_memory(tmp_path, type_):
    """A dictionary makes many rows of it; of ordinary ones a batch is as long as ever."""
    numbers = [str(2_015_550_000 + number) for number in range(200)]
    long = pa.array(["x" * 700_000] * 200, type_)
    pq.write_table(pa.table({"tn": numbers, "a.b": long}), tmp_path / "numbers.parquet", compression="zstd")
    assert (tmp_path / "numbers.parquet").stat().st_size < 50_000
    with open_source(tmp_path / "numbers.parquet") as source:
        batches = [(batch.frame.num_rows, batch.frame.nbytes) for batch in source.batches()]
    assert sum(rows for rows, _ in batches) == 200
    assert max(size for _, size in batches) < 100_000_000


def test_a_file_without_rows_is_refused(tmp_path):
    """A table of no rows is an export that went wrong."""
    path = written(tmp_path, pa.array([], pa.string()))
    with open_source(path) as source, pytest.raises(InputError, match="EMPTY_FILE"):
        list(source.batches())


def test_a_column_that_is_there_twice_is_refused(tmp_path):
    """Many readers silently take the first of two."""
    path = tmp_path / "numbers.parquet"
    pq.write_table(pa.table([pa.array(["1"]), pa.array(["2"])], names=["tn", "tn"]), path)
    with pytest.raises(InputError, match='names "tn" more than once'):
        open_source(path)


def test_a_truncated_file_is_refused(tmp_path):
    """The footer stands at the end: without it there is no table."""
    path = written(tmp_path, pa.array(["2015550123"]))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="damaged or truncated Parquet file"):
        open_source(path)


def test_a_flipped_bit_in_a_checksummed_page_is_refused(tmp_path):
    """Page checksums are verified, so that a bad disk does not dial other numbers."""
    tns = pa.array([f"201555{line:04d}" for line in range(5_000)])
    path = written(tmp_path, tns, write_page_checksum=True, compression="none", use_dictionary=False)
    content = bytearray(path.read_bytes())
    content[content.index(b"2015554321") + 9] ^= 1
    path.write_bytes(content)
    with open_source(path) as source, pytest.raises(InputError, match="BAD_CONTAINER"):
        list(source.batches())


def test_files_that_were_put_together_are_refused(tmp_path):
    """`cat a.parquet b.parquet`: the rows of the second would be read from the bytes of the first."""
    (tmp_path / "a").mkdir()
    first = written(tmp_path / "a", pa.array([f"201234{line:04d}" for line in range(1_000)])).read_bytes()
    path = written(tmp_path, pa.array([f"301234{line:04d}" for line in range(1_000)]))
    path.write_bytes(first + path.read_bytes())
    with open_source(path) as source, pytest.raises(InputError, match="several Parquet files in one"):
        list(source.batches())


def test_text_that_is_not_utf8_is_refused(tmp_path):
    """Parquet does not check its strings; what is not text goes no further."""
    path = written(tmp_path, pa.array(["2015550123 Cafe"]), compression="none", use_dictionary=False)
    path.write_bytes(path.read_bytes().replace(b"Cafe", b"Caf\xe9"))
    with open_source(path) as source, pytest.raises(InputError, match="BAD_CONTAINER"):
        list(source.batches())


def test_counts_that_the_file_cannot_hold_are_refused(tmp_path):
    """A few kilobytes that claim a gigabyte are a bomb, not a list of numbers."""
    path = written(tmp_path, pa.array(["x" * 250_000] * 400), use_dictionary=False, compression="zstd")
    assert path.stat().st_size < 50_000
    with pytest.raises(InputError, match="it claims more than a file of its size can hold"):
        open_source(path)


def test_what_pandas_wrote_about_the_file_is_not_believed(tmp_path):
    """Metadata that names another index or other columns changes nothing."""
    table = pa.table({"tn": ["2015550123"]}).replace_schema_metadata(
        {"pandas": '{"index_columns": ["tn"], "columns": '}
    )
    path = tmp_path / "numbers.parquet"
    pq.write_table(table, path)
    assert cells(path) == ["2015550123"]
