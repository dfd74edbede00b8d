"""The files batcher writes: private, whole or not at all, and read back as they were written."""

from __future__ import annotations

import codecs
import csv
import hashlib
import os
import resource
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from batcher.errors import InputError, LockHeld, StorageFailed
from batcher.spool import (
    ArrowWriter,
    FixedWriter,
    Form,
    InputFile,
    Table,
    digest_of,
    private_file,
    read_fixed,
    read_input,
)

SCHEMA = pa.schema([("tn", pa.string()), ("name", pa.string())])


def frame(first: int, count: int) -> pa.RecordBatch:
    numbers = range(first, first + count)
    return pa.RecordBatch.from_arrays(
        [pa.array([f"tn{number}" for number in numbers]), pa.array([f"name {number}" for number in numbers])],
        schema=SCHEMA,
    )


@contextmanager
def small_disk():
    """No file of this process may grow over 100 kB: writing fails as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_appears_whole_and_private(tmp_path):
    """Until the block ends the old file stands there; then the new one, mode 0600, and nothing beside it."""
    path = tmp_path / "summary.json"
    path.write_text("old")
    with private_file(path) as file:
        file.write(b"new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_was_not_finished_is_not_there(tmp_path):
    """An exception leaves what was there before, and no remains; it goes on unchanged."""
    path = tmp_path / "summary.json"
    path.write_text("old")

    def fail() -> None:
        with private_file(path) as file:
            file.write(b"half")
            raise KeyError(path)

    with pytest.raises(KeyError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_attempt_left_is_replaced_and_a_link_is_not_followed(tmp_path):
    """A leftover temporary file, or a link put in its place, does no harm."""
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    path = tmp_path / "summary.json"
    (tmp_path / "summary.json.tmp").symlink_to(victim)
    with private_file(path) as file:
        file.write(b"new")
    assert victim.read_text() == "untouched"
    assert path.read_text() == "new"
    assert not path.is_symlink()


def test_what_another_process_left_half_written_is_cleared_away(tmp_path):
    """Nobody holds it any more."""
    path = tmp_path / "out.csv"
    (tmp_path / "out.csv.tmp").touch(0o600)
    with private_file(path) as file:
        file.write(b"new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_two_who_write_the_same_file(tmp_path):
    """The second is refused, and takes nothing from the first."""
    path = tmp_path / "out.csv"
    with private_file(path) as file:
        file.write(b"first")
        with pytest.raises(LockHeld, match=r"out\.csv\.tmp: another process is writing this file"), private_file(path):
            pytest.fail("it was let in")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_of_somebody_else_is_not_cleared_away(tmp_path):
    """What bears the temporary name, and was not made by us, stays."""
    (tmp_path / "out.csv.tmp").write_text("mine")
    (tmp_path / "out.csv.tmp").chmod(0o644)
    with pytest.raises(InputError, match="is in the way"), private_file(tmp_path / "out.csv"):
        pytest.fail("it was let in")
    assert (tmp_path / "out.csv.tmp").read_text() == "mine"


def test_many_processes_write_one_file(tmp_path):
    """Whoever comes through wrote it whole; the others are told, and nothing stays beside it."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from batcher.errors import LockHeld\n"
        "from batcher.spool import private_file\n"
        "word, done = sys.argv[1].encode(), 0\n"
        "for _ in range(300):\n"
        "    try:\n"
        "        with private_file(Path('out')) as file:\n"
        "            file.write(word * 1000)\n"
        "        done += 1\n"
        "    except LockHeld:\n"
        "        continue\n"
        "print(done)\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, word], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        for word in "abcd"
    ]
    written = [int(process.communicate(timeout=60)[0]) for process in processes]
    assert sum(written) > 0
    assert (tmp_path / "out").read_text() in {word * 1000 for word in "abcd"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("kind", ["plain", "arrow", "fixed", "csv", "parquet"])
def test_a_full_disk_is_told_with_the_file_and_leaves_nothing(tmp_path, kind):
    """Whatever is being written: StorageFailed names it, and no half file stays."""
    noise = pa.RecordBatch.from_arrays(
        [pa.array([os.urandom(30).hex() for _ in range(20_000)]), pa.array(["x"] * 20_000)], schema=SCHEMA
    )

    def write() -> None:
        match kind:
            case "plain":
                with private_file(tmp_path / "out") as file:
                    file.write(bytes(1_000_000))
            case "arrow":
                with ArrowWriter(tmp_path / "out", SCHEMA) as arrow:
                    arrow.append(noise)
            case "fixed":
                with FixedWriter(tmp_path / "out", "<i8") as fixed:
                    fixed.append(np.arange(100_000))
            case "csv" | "parquet":
                with Table(tmp_path / f"out.{kind}", SCHEMA, Form(kind)) as report:
                    report.append(noise)

    with small_disk(), pytest.raises(StorageFailed, match=rf"{tmp_path}/out.*cannot be written.*File too large"):
        write()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_told(tmp_path):
    """The message names the file that could not be made."""
    with pytest.raises(StorageFailed, match=r"results\.json"), private_file(tmp_path / "gone" / "results.json"):
        pass


def test_rows_are_read_back_by_batch_and_column(tmp_path):
    """Batches keep their borders, at most 65,536 rows; any of them is read alone, with the columns asked for."""
    path = tmp_path / "input.arrow"
    with ArrowWriter(path, SCHEMA) as writer:
        for first, count in ((1, 3), (4, 70_000), (70_004, 2)):
            writer.append(frame(first, count))
        assert writer.rows == 70_005
    with InputFile(path) as file:
        assert (file.rows, file.batches, file.schema) == (70_005, 4, SCHEMA)
        assert file.starts.tolist() == [1, 4, 65_540, 70_004, 70_006]
        assert file.read(3, ["name"]).to_pydict() == {"name": ["name 70004", "name 70005"]}
        assert file.read(0, ["name", "tn"]).schema.names == ["name", "tn"]
        assert file.read(0).equals(frame(1, 3))
    assert [batch.num_rows for batch in read_input(path, ["tn"])] == [3, 65_536, 4_464, 2]
    assert pa.Table.from_batches(read_input(path)).equals(pa.Table.from_batches([frame(1, 70_005)]))
    assert digest_of(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_damaged_spool_file_is_refused(tmp_path):
    """A run folder that somebody touched is not gone on with."""
    path = tmp_path / "input.arrow"
    with ArrowWriter(path, SCHEMA) as writer:
        writer.append(frame(1, 3))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match=r"input\.arrow: is damaged"):
        list(read_input(path))
    path.unlink()
    with pytest.raises(StorageFailed, match=r"input\.arrow: cannot be read"):
        list(read_input(path))


@pytest.mark.parametrize(("dtype", "width"), [("<i8", 8), ("u1", 1), (">i4", 4)], ids=["i8", "u1", "big-endian i4"])
def test_numbers_of_fixed_width_are_read_back_from_anywhere(tmp_path, dtype, width):
    """Appended arrays stand one after another, little-endian, and their SHA-256 is that of the file."""
    path = tmp_path / "tn.i8"
    with FixedWriter(path, dtype) as writer:
        writer.append(np.array([1, 2, 3], "u1"))
        writer.append(np.array([], "u1"))
        writer.append(np.array([4, 5], "u1"))
        digest = writer.digest()
    assert path.stat().st_size == 5 * width
    assert path.read_bytes()[::width] == b"\x01\x02\x03\x04\x05"
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_fixed(path, dtype, 1, 3).tolist() == [2, 3, 4]
    assert read_fixed(path, dtype, 5, 0).tolist() == []
    with pytest.raises(InputError, match="values 3 to 6 are not all there"):
        read_fixed(path, dtype, 3, 3)


def test_a_number_that_does_not_fit_is_never_cut(tmp_path):
    """Eleven digits in four bytes would be another number."""
    with pytest.raises(TypeError), FixedWriter(tmp_path / "tn", "<i4") as writer:
        writer.append(np.array([12015550123]))
    assert list(tmp_path.iterdir()) == []


def report_into(folder: Path, file_format: Literal["csv", "parquet"]) -> Path:
    schema = pa.schema(
        [
            ("row", pa.int64()),
            ("tn", pa.string()),
            ("status", pa.dictionary(pa.int8(), pa.string())),
            ("order_id", pa.string()),
        ]
    )
    with Table(folder / f"results.{file_format}", schema, Form(file_format)) as report:
        for row in (1, 2):
            status = pa.DictionaryArray.from_arrays(pa.array([row - 1], pa.int8()), ["succeeded", 'failed, "why"'])
            columns = [pa.array([row]), pa.array(["+12015550123"]), status, pa.array([None], pa.string())]
            report.append(pa.RecordBatch.from_arrays(columns, schema=schema))
        assert not report.path.exists()
    return report.path


def test_a_report_in_csv_keeps_text_as_text(tmp_path):
    """Header as it is, every text in quotes, nothing for what is not there."""
    path = report_into(tmp_path, "csv")
    assert path == tmp_path / "results.csv"
    assert path.read_text() == (
        'row,tn,status,order_id\n1,"+12015550123","succeeded",\n2,"+12015550123","failed, ""why""",\n'
    )
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_report_in_parquet_holds_the_same(tmp_path):
    """Same columns, same values, compressed with zstd."""
    path = report_into(tmp_path, "parquet")
    assert path == tmp_path / "results.parquet"
    table = pq.read_table(path)
    assert table.column_names == ["row", "tn", "status", "order_id"]
    assert table["status"].to_pylist() == ["succeeded", 'failed, "why"']
    assert table["order_id"].to_pylist() == [None, None]
    assert pq.ParquetFile(path).metadata.row_group(0).column(1).compression == "ZSTD"


def test_a_header_with_commas_is_quoted(tmp_path):
    """The input's own columns may be named anything and still read back."""
    with Table(tmp_path / "rejects.csv", pa.schema([('Name, "first"', pa.string())]), Form()) as report:
        report.append(pa.RecordBatch.from_pydict({'Name, "first"': ["x"]}))
    with report.path.open(newline="") as file:
        assert list(csv.reader(file)) == [['Name, "first"'], ["x"]]


def test_a_report_without_rows_has_its_header(tmp_path):
    """Nothing rejected is an empty list, not a missing file."""
    Table(tmp_path / "rejects.csv", SCHEMA, Form()).close()
    assert (tmp_path / "rejects.csv").read_text() == "tn,name\n"


SAFE = Form(excel_safe=True)


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("+12015550123", '="+12015550123"'),
        ("2015550123", '="2015550123"'),
        ("0044", '="0044"'),
        ("486", "486"),
        ('="2015550123"', '="2015550123"'),
        ("'+12015550123", "'+12015550123"),
        ("=1+1", "'=1+1"),
        ("+1 201", "'+1 201"),
        ("-5", "'-5"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ('"=x', "'\"=x"),
        (" \t=x", "' \t=x"),
        ("\r=x", "'\r=x"),
        ("|calc", "'|calc"),
        ("%x", "'%x"),
        ("\uff1dx", "'\uff1dx"),
        ("plain - text", "plain - text"),
        ("", ""),
    ],
)
def test_no_cell_is_a_formula_to_a_spreadsheet(tmp_path, cell, written):
    """TNs stay text, an apostrophe keeps everything else from being run; Parquet is not changed."""
    schema = pa.schema([("x", pa.string())])
    for form in (SAFE, Form("parquet", excel_safe=True)):
        with Table(tmp_path / f"out.{form.kind}", schema, form) as table:
            table.append(pa.RecordBatch.from_pydict({"x": [cell]}, schema=schema))
    content = (tmp_path / "out.csv").read_bytes()
    assert content.startswith(codecs.BOM_UTF8)  # without it, Excel takes é for two characters
    assert list(csv.reader(content.decode("utf-8-sig").splitlines(keepends=True))) == [["x"], [written]]
    assert pq.read_table(tmp_path / "out.parquet")["x"].to_pylist() == [cell]


def test_the_name_of_a_column_is_no_formula_either(tmp_path):
    """The header comes from somebody's file as well."""
    schema = pa.schema([("=HYPERLINK(1)", pa.string()), ("n", pa.int64())])
    with Table(tmp_path / "out.csv", schema, SAFE) as table:
        table.append(pa.RecordBatch.from_pydict({"=HYPERLINK(1)": ["x"], "n": [1]}, schema=schema))
    assert (tmp_path / "out.csv").read_text("utf-8-sig") == '\'=HYPERLINK(1),n\n"x",1\n'


def test_a_table_is_written_as_its_form_says(tmp_path):
    """Another mark, and no header."""
    schema = pa.schema([("a;b", pa.string()), ("c", pa.int64())])
    for form in (Form(delimiter=";"), Form(delimiter="\t", has_header=False)):
        with Table(tmp_path / f"{form.has_header}.csv", schema, form) as table:
            table.append(pa.RecordBatch.from_pydict({"a;b": ["x"], "c": [1]}, schema=schema))
    assert (tmp_path / "True.csv").read_text() == '"a;b";"c"\n"x";1\n'
    assert (tmp_path / "False.csv").read_text() == '"x"\t1\n'
