"""Reading an input and writing a report, against a bare one-thread pyarrow scan of the same file. Prints only."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from batcher.spool import ArrowWriter, Form, Table
from batcher.table import open_source

ROWS = 1_000_000


def cpu_seconds(work: Callable[[], object]) -> float:
    """Median of three runs."""
    times = []
    for _ in range(3):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times)


def told(what: str, seconds: float, beside: float | None = None) -> None:
    ratio = "" if beside is None else f"   {beside / seconds:4.0%} of the scan"
    print(f"{what:48} {ROWS / seconds / 1e6:6.2f} M rows per CPU second{ratio}")


@pytest.fixture(scope="module")
def numbers(tmp_path_factory) -> Path:
    """A million rows of 44 bytes: a TN and three columns of text."""
    chance = random.Random(1)
    path: Path = tmp_path_factory.mktemp("bench") / "numbers.csv"
    with path.open("w", encoding="utf-8") as file:
        file.write("tn,destination,site,note\n")
        for number in range(ROWS):
            file.write(
                f"{chance.randrange(2 * 10**9, 10**10)},804555{number % 10_000:04d},site{number % 100},x{number:06d}\n"
            )
    return path


def scan(path: Path) -> None:
    columns = dict.fromkeys(("tn", "destination", "site", "note"), pa.string())
    reader = pacsv.open_csv(
        path,
        read_options=pacsv.ReadOptions(use_threads=False, block_size=1 << 20),
        convert_options=pacsv.ConvertOptions(column_types=columns),
    )
    for _ in reader:
        pass


@pytest.mark.parametrize("is_quoted", [False, True], ids=["bare", "every cell quoted"])
def test_csv_in(numbers, tmp_path, is_quoted):
    path = numbers
    if is_quoted:
        path = tmp_path / "quoted.csv"
        text = numbers.read_bytes().strip().replace(b",", b'","').replace(b"\n", b'"\n"')
        path.write_bytes(b'"' + text + b'"\n')

    def check() -> None:
        with open_source(path) as source:
            source.digest()

    def read() -> None:
        with open_source(path) as source:
            for _ in source.batches():
                pass

    def spool() -> None:
        with open_source(path) as source:
            schema = pa.schema([(name, pa.string()) for name in source.columns])
            with ArrowWriter(tmp_path / "input.arrow", schema) as writer:
                for batch in source.batches():
                    writer.append(batch.frame)

    print()
    bare = cpu_seconds(lambda: scan(path))
    told("bare scan", bare)
    told("digest and checks", cpu_seconds(check), bare)
    told("digest, checks, batches", cpu_seconds(read), bare)
    told("digest, checks, batches, input.arrow", cpu_seconds(spool), bare)


def test_parquet_in(numbers, tmp_path):
    path = tmp_path / "numbers.parquet"
    strings = pacsv.ConvertOptions(column_types=dict.fromkeys(("tn", "destination", "site", "note"), pa.string()))
    pq.write_table(pacsv.read_csv(numbers, convert_options=strings), path, compression="zstd")

    def read() -> None:
        with open_source(path) as source:
            for _ in source.batches():
                pass

    def bare() -> None:
        for _ in pq.ParquetFile(path, pre_buffer=False).iter_batches(65_536, use_threads=False):
            pass

    print()
    seconds = cpu_seconds(bare)
    told("bare Parquet scan", seconds)
    told("digest, batches", cpu_seconds(read), seconds)


@pytest.mark.parametrize("file_format", ["csv", "parquet"])
def test_report_out(tmp_path, file_format):
    count = 50_000
    words = pa.DictionaryArray.from_arrays(pa.array([0, 1] * (count // 2), pa.int8()), ["succeeded", "failed"])
    columns = {
        "row": pa.array(range(count)),
        "input": pa.array([f"{2015550000 + number}" for number in range(count)]),
        "tn": pa.array([f"+1{2015550000 + number}" for number in range(count)]),
        "status": words,
        "code": pa.array([""] * count),
        "order_id": pa.array(["6db1ecd9-7ff8-4b2c-9f4c-1f2b3c4d5e6f"] * count).dictionary_encode(),
    }
    frame = pa.RecordBatch.from_pydict(columns)

    def write() -> None:
        with Table(tmp_path / f"results.{file_format}", frame.schema, Form(file_format)) as report:
            for _ in range(ROWS // count):
                report.append(frame)

    print()
    told(f"report, {file_format}", cpu_seconds(write))
