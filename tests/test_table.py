"""Opening an input: what is refused before a row is read, what the header says, and that the file holds still."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pyarrow as pa
import pytest

from batcher.errors import InputError
from batcher.spool import BATCH_ROWS
from batcher.table import find_tn_column, open_source


def written(folder: Path, content: bytes) -> Path:
    path = folder / "numbers.csv"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"", "EMPTY_FILE", id="empty"),
        pytest.param(b"\xef\xbb\xbf\r\n\r\n", "EMPTY_FILE", id="BOM and blank lines"),
        pytest.param(
            b"PK\x03\x04\x14\x00\x06\x00", "a zip archive, or a workbook that was cut short (BAD_CONTAINER)", id="zip"
        ),
        pytest.param(
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
            "old workbook (.xls) cannot be checked (BAD_CONTAINER). Save it as .xlsx",
            id="xls",
        ),
        pytest.param(b"\x1f\x8b\x08\x00", "cannot be unpacked (gzip", id="no gzip"),
        pytest.param(b"\x28\xb5\x2f\xfd\x04\x00", "cannot be unpacked (zstd", id="no zstd"),
        pytest.param(b"\n <HTML><body>Please log in", "web page or XML, not a table (BAD_CONTAINER)", id="html"),
        pytest.param(b"<!DOCTYPE html>\n", "web page or XML, not a table (BAD_CONTAINER)", id="doctype"),
        pytest.param("TN\n2015550123\n".encode("utf-16-le"), "line 1: the header holds NUL", id="UTF-16 without BOM"),
        pytest.param(b"TN,Name,TN\n1,2,3\n", 'names "TN" more than once', id="column twice"),
        pytest.param(b",".join(b"c%d" % n for n in range(1001)) + b"\n", "it has 1,001 columns", id="1,001 columns"),
        pytest.param(b"," * 1_000_000, "the header is over 64 KiB long (PARSE_ERROR)", id="a million empty names"),
        pytest.param(b"BZh91AY&SY\x17\x9b", "it is compressed with bzip2 (BAD_CONTAINER)", id="bzip2"),
        pytest.param(b"%PDF-1.4\n", "it is a PDF (BAD_CONTAINER)", id="PDF"),
        pytest.param(b"PAR1\x15\x04 and no more", "damaged or truncated Parquet file", id="no Parquet"),
    ],
)
def test_a_file_of_another_kind_is_refused_with_its_name_a_code_and_a_remedy(tmp_path, content, said):
    """What cannot be read as a table with trustworthy columns is refused when it is opened."""
    path = written(tmp_path, content)
    with pytest.raises(InputError) as refused:
        open_source(path)
    assert said in str(refused.value)
    assert str(refused.value).startswith(str(path))


def test_the_widest_file_is_read(tmp_path):
    """1,000 columns are within the limit."""
    header = b",".join(b"c%d" % number for number in range(1000))
    with open_source(written(tmp_path, header + b"\n" + b"," * 999 + b"\n")) as source:
        assert len(source.columns) == 1000
        assert [len(batch.malformed) for batch in source.batches()] == [1]


@pytest.mark.parametrize("kind", ["directory", "fifo", "device", "proc", "missing", "loop"])
def test_only_regular_files_are_opened(tmp_path, kind):
    """A directory, pipe, device, kernel file or broken link is refused, and none of them blocks."""
    path = tmp_path / "numbers.csv"
    match kind:
        case "directory":
            path.mkdir()
        case "fifo":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "proc":
            path.symlink_to("/proc/self/environ")
        case "loop":
            path.symlink_to(path)
    with pytest.raises(InputError, match=r"numbers\.csv|/proc/"):
        open_source(path)


def test_a_link_is_followed_once_and_the_real_path_is_told(tmp_path):
    """The source names the file that is read, not the link."""
    real = written(tmp_path, b"TN\n2015550123\n")
    link = tmp_path / "tonight"
    link.symlink_to(real)
    with open_source(link) as source:
        assert source.path == real
        link.unlink()
        assert source.columns == ("TN",)
        assert sum(len(batch.malformed) for batch in source.batches()) == 1


def test_the_digest_is_that_of_the_bytes(tmp_path):
    """`digest` is the SHA-256 that any other tool gives, BOM and line ends included."""
    content = b"\xef\xbb\xbfTN\r\n2015550123\r\n"
    with open_source(written(tmp_path, content)) as source:
        assert source.digest() == hashlib.sha256(content).hexdigest()
        assert source.kind == "csv"


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path):
    """Rows that were added after the check are never half taken in."""
    path = written(tmp_path, b"TN\n2015550123\n")
    with open_source(path) as source:
        source.digest()
        with path.open("ab") as file:
            file.write(b"2015550124\n")
        with pytest.raises(InputError, match="changed while it was read"):
            list(source.batches())


def test_a_file_that_is_rewritten_in_place_is_refused(tmp_path):
    """The same size does not make it the same file."""
    path = written(tmp_path, b"TN\n2015550123\n")
    with open_source(path) as source:
        path.write_bytes(b"TN\n2015550124\n")
        os.utime(path, ns=(1, 1))
        with pytest.raises(InputError, match="changed while it was read"):
            source.digest()


def test_a_file_that_is_replaced_is_read_as_it_was_opened(tmp_path):
    """A new file under the old name is another file; the one that was opened is read to its end."""
    path = written(tmp_path, b"TN\n2015550123\n")
    with open_source(path) as source:
        other = tmp_path / "new.csv"
        other.write_bytes(b"TN\n2015550199\n")
        other.replace(path)
        assert [batch.frame.to_pydict() for batch in source.batches()] == [{"TN": ["2015550123"]}]


def test_a_header_without_rows_is_refused(tmp_path):
    """An export that brought nothing is a mistake, not an order of nothing."""
    with open_source(written(tmp_path, b"TN,Name\n\n")) as source, pytest.raises(InputError, match="EMPTY_FILE"):
        list(source.batches())


def test_batches_are_text_without_nulls_and_bounded(tmp_path):
    """However short the rows, a batch holds at most 65,536 of them; all columns are plain Arrow text."""
    with open_source(written(tmp_path, b"a,b\n" + b",1\n" * 200_000)) as source:
        batches = list(source.batches())
    assert max(batch.frame.num_rows for batch in batches) <= BATCH_ROWS == 65_536
    assert sum(batch.frame.num_rows for batch in batches) == 200_000
    assert {batch.frame.schema for batch in batches} == {pa.schema([("a", pa.string()), ("b", pa.string())])}
    assert not any(column.null_count for batch in batches for column in batch.frame.columns)


@pytest.mark.parametrize(
    ("columns", "named", "found"),
    [
        pytest.param(["Site", "TN"], None, "TN", id="tn"),
        pytest.param(["Name", "Phone Number", "Fax"], None, "Phone Number", id="beside a fax number"),
        pytest.param(["telephone_numbers"], None, "telephone_numbers", id="plural with underscore"),
        pytest.param(["Phone #"], None, "Phone #", id="phone #"),
        pytest.param(["E.164"], None, "E.164", id="E.164"),
        pytest.param(["FullNumber", "City"], None, "FullNumber", id="the carrier's own report"),
        pytest.param(
            ["Iris Telephone Number Inventory Report"], None, "Iris Telephone Number Inventory Report", id="iris"
        ),
        pytest.param(["TN", "Fax"], "Fax", "Fax", id="a name wins over a header"),
        pytest.param(["tn", "TN"], "TN", "TN", id="exactly, before case is forgotten"),
        pytest.param(["Old TN", "New TN"], "old_tn", "Old TN", id="without case and punctuation"),
    ],
)
def test_the_tn_column_is_found(columns, named, found):
    """A column that is named is taken; else the one whose whole header says that it holds TNs."""
    assert find_tn_column(columns, named) == found


@pytest.mark.parametrize(
    ("columns", "named", "said"),
    [
        pytest.param(["Name", "Site"], None, "NO_TN_COLUMN", id="no such header"),
        pytest.param(
            ["Destination Number", "Contact Phone", "CallForward", "Fax Number"], None, "NO_TN_COLUMN", id="others"
        ),
        pytest.param(["TN", "Phone"], None, "AMBIGUOUS_TN_COLUMN", id="two headers"),
        pytest.param(["tn", "TN "], "Tn", "AMBIGUOUS_TN_COLUMN", id="two of the name"),
        pytest.param(["TN"], "Phone", 'no column "Phone" (NO_TN_COLUMN). The columns are "TN"', id="name not there"),
        pytest.param(["#", "TN"], "", 'no column "" (NO_TN_COLUMN)', id="no name"),
        pytest.param(["#", "TN"], "☎", 'no column "☎" (NO_TN_COLUMN)', id="a name of signs"),
        pytest.param(
            ["Phone", "Fax"],
            "Phnoe",
            'no column "Phnoe" (NO_TN_COLUMN) - did you mean "Phone"? The columns are "Phone", "Fax"',
            id="name misspelt",
        ),
    ],
)
def test_the_tn_column_is_never_guessed(columns, named, said):
    """None or several: the file is refused, with its columns and the line that the job file wants."""
    with pytest.raises(InputError) as refused:
        find_tn_column(columns, named)
    assert said in str(refused.value)
    assert '[input] tn = "…"' in str(refused.value)


@pytest.mark.parametrize(
    ("columns", "named", "said"),
    [
        pytest.param(["Name"], None, "numbers.csv, line 1: no header says", id="no such header"),
        pytest.param(["TN", "Phone"], None, 'numbers.csv, line 1: each of "TN", "Phone" may', id="two headers"),
        pytest.param(["TN"], "Phone", 'numbers.csv, line 1: there is no column "Phone"', id="name not there"),
    ],
)
def test_the_place_of_the_header_stands_in_front(columns, named, said):
    """As every other mistake in an input begins."""
    with pytest.raises(InputError) as refused:
        find_tn_column(columns, named, "numbers.csv, line 1")
    assert str(refused.value).startswith(said)
