"""Bytes as they come: compressed, in other encodings, by standard input, in several files."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import os
import pty
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from batcher.errors import InputError
from batcher.origin import MissingInput
from batcher.table import open_source

TEXT = "TN,Name\n2015550123,Zoë\n2015550124,b\n"
ROWS = [["2015550123", "Zoë"], ["2015550124", "b"]]


def zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    packed: bytes = sink.getvalue().to_pybytes()
    return packed


def rows_of(path: Path) -> list[list[str]]:
    with open_source(path) as source:
        return [list(row.values()) for batch in source.batches() for row in batch.frame.to_pylist()]


def written(folder: Path, content: bytes, name: str = "numbers.csv") -> Path:
    (folder / name).write_bytes(content)
    return folder / name


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(TEXT.encode(), id="UTF-8"),
        pytest.param(codecs.BOM_UTF8 + TEXT.encode(), id="UTF-8 with BOM"),
        pytest.param(codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"), id="UTF-16"),
        pytest.param(codecs.BOM_UTF16_BE + TEXT.replace(",", "\t").encode("utf-16-be"), id="UTF-16 big-endian, tab"),
        pytest.param(TEXT.encode("cp1252"), id="cp1252"),
        pytest.param(gzip.compress(TEXT.encode()), id="gzip"),
        pytest.param(
            gzip.compress(b"TN,Name\n2015550123,Zo") + gzip.compress("ë\n2015550124,b\n".encode()), id="members"
        ),
        pytest.param(zstd(TEXT.encode()), id="zstd"),
        pytest.param(zstd(b"TN,Name\n") + zstd("2015550123,Zoë\n2015550124,b\n".encode()), id="zstd in two frames"),
        pytest.param(b"P*M\x18\x04\0\0\0abcd" + zstd(TEXT.encode()), id="zstd behind a frame that says nothing"),
        pytest.param(gzip.compress(codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le")), id="UTF-16 in gzip"),
        pytest.param(gzip.compress(TEXT.encode("cp1252")), id="cp1252 in gzip"),
    ],
)
def test_the_same_rows_however_they_were_saved(tmp_path, content):
    """Names of files say nothing: the first bytes decide."""
    assert rows_of(written(tmp_path, content)) == ROWS


def test_far_behind_the_first_block(tmp_path):
    """Compressed, recoded, and read in many blocks: not a character is lost at their edges."""
    lines = [f"{2_012_000_000 + number},Zoë {number}" for number in range(200_000)]
    text = "TN,Name\r\n" + "\r\n".join(lines)
    for content in (
        gzip.compress(text.encode(), 1),
        codecs.BOM_UTF16_LE + text.encode("utf-16-le"),
        text.encode("cp1252"),
    ):
        rows = rows_of(written(tmp_path, content))
        assert [",".join(row) for row in rows] == lines


def test_the_digest_is_that_of_what_was_packed(tmp_path):
    """The same rows are the same input, packed or not; of several files, in the order of their names."""
    plain = hashlib.sha256(TEXT.encode()).hexdigest()
    for content in (TEXT.encode(), gzip.compress(TEXT.encode()), zstd(TEXT.encode())):
        with open_source(written(tmp_path, content)) as source:
            assert source.digest() == plain
    written(tmp_path, TEXT.encode(), "a.txt")
    written(tmp_path, TEXT.encode(), "b.txt")
    with open_source(tmp_path / "*.txt") as source:
        assert source.digest() == hashlib.sha256(f"{plain}\n{plain}".encode()).hexdigest()


def test_a_guessed_encoding_is_a_warning(tmp_path):
    """Windows' encoding is taken where UTF-8 cannot be; the file is told, whole or found out late."""
    for content in (
        TEXT.encode("cp1252"),
        b"TN,Name\n" + b"2015550123,x\n" * 90_000 + b"2015550124,Zo\xeb\n",
        b"TN,Name\n2015550124,Zo\xeb",
    ):
        with open_source(written(tmp_path, content)) as source:
            assert sum(batch.frame.num_rows for batch in source.batches())
            [(code, text)] = source.warnings
        assert code == "ENCODING_GUESSED"
        assert "numbers.csv is not UTF-8 and was read as Windows-1252" in text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(
            "TN,Zoë\n1,N".encode() + b"\xfa\n", "line 2: the byte 0xfa is not UTF-8 (BAD_ENCODING)", id="damaged"
        ),
        pytest.param(b"\xef\xbb\xbfTN,x\n1,\xfa\n", "line 2: the byte 0xfa is not UTF-8", id="UTF-8 by its mark"),
        pytest.param(
            "TN,Zoë\n".encode() + b"1,x\n" * 200_000 + b"1,\xfa\n", "0xfa is not UTF-8 (BAD_ENCODING)", id="late"
        ),
        pytest.param(
            b"\xef\xbb\xbf2015550123\n" + b"2015550123\n" * 90_000 + b"caf\xe9\n", "0xe9 is not UTF-8", id="no header"
        ),
        pytest.param(b"TN,x\n1,\x81\xfa\n", "not all cp1252", id="no character of Windows'"),
        pytest.param(codecs.BOM_UTF16_LE + b"T\0N\0\n\0\0\xd8\n\0", "not all utf-16-le", id="half a pair"),
        pytest.param(
            codecs.BOM_UTF16_LE + "TN\r\n2015550123\r\n".encode("utf-16-le") + b"2015550124\r\n" * 4,
            "files of two encodings were put together (BAD_ENCODING)",
            id="ASCII behind UTF-16",
        ),
        pytest.param(
            b"TN,x\n1,M\xfcller\n" + b"1,x\n" * 300_000 + "1,Müller\n".encode(),
            "files of two encodings were put together (BAD_ENCODING)",
            id="UTF-8 behind cp1252",
        ),
        pytest.param("TN\n1\n".encode("utf-32"), "UTF-32 text (BAD_ENCODING)", id="UTF-32"),
        pytest.param(gzip.compress(TEXT.encode())[:-4], "it cannot be unpacked (gzip", id="gzip cut short"),
        pytest.param(gzip.compress(TEXT.encode()) + b"rest", "it cannot be unpacked (gzip", id="something behind"),
        pytest.param(zstd(TEXT.encode())[:-4], "it cannot be unpacked (zstd", id="zstd cut short"),
        pytest.param(gzip.compress(b""), "it is empty (EMPTY_FILE)", id="nothing in gzip"),
        pytest.param(gzip.compress(b"PAR1\x15\x04" + b"x" * 99), "a Parquet file in gzip", id="Parquet in gzip"),
    ],
)
def test_what_cannot_be_trusted_is_refused(tmp_path, content, said):
    """Before a row is used; with the line where there is one."""
    path = written(tmp_path, content)
    with pytest.raises(InputError) as refused, open_source(path) as source:
        source.digest()
    assert said in str(refused.value)


def test_a_bomb_is_refused(tmp_path):
    """A small file that unpacks to gigabytes is cut at a multiple of its size, and never held in memory."""
    content = b"TN,Name\n" + b"2015550123,x\n" * 6_000_000
    path = written(tmp_path, zstd(content))
    assert path.stat().st_size < len(content) / 200
    with pytest.raises(InputError, match="more than 200 times its size"), open_source(path) as source:
        source.digest()


def test_files_of_a_pattern_are_one_input(tmp_path):
    """In the order of their names; columns by name; rows count through."""
    written(tmp_path, b"TN,Name\n1,a\n", "part-1.csv")
    written(tmp_path, gzip.compress(b"Name;TN\nb;2\nmalformed\n"), "part-10.csv.gz")
    written(tmp_path, b"TN,Name\n3,c\n", "part-2.csv")
    with open_source(tmp_path / "part-*.csv*") as source:
        batches = list(source.batches())
        assert source.path == tmp_path / "part-*.csv*"
    assert [list(row.values()) for batch in batches for row in batch.frame.to_pylist()] == [
        ["1", "a"],
        ["2", "b"],
        ["malformed", ""],
        ["3", "c"],
    ]
    assert [bool(flag) for batch in batches for flag in batch.malformed] == [False, False, True, False]


def test_a_pattern_that_fits_nothing_or_too_much(tmp_path):
    """No match, other columns, and a file whose name looks like a pattern."""
    with pytest.raises(MissingInput, match="no file has such a name"):
        open_source(tmp_path / "part-*.csv")
    written(tmp_path, b"TN,Name\n1,a\n", "part-1.csv")
    written(tmp_path, b"TN,Notes\n1,a\n", "part-2.csv")
    with pytest.raises(InputError, match=r"part-2\.csv: its columns are \"TN\", \"Notes\", those of .*part-1\.csv"):
        open_source(tmp_path / "part-*.csv")
    named = written(tmp_path, b"TN\n9\n", "odd[1].csv")
    assert rows_of(named) == [["9"]]


STDIN = """
import sys
from pathlib import Path
from batcher.errors import InputError
from batcher.table import open_source
try:
    with open_source(Path("-"), spool=Path(sys.argv[1])) as source:
        print([list(row.values()) for batch in source.batches() for row in batch.frame.to_pylist()])
except InputError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b"2015550123\n(201) 555-0124\n", "[['2015550123'], ['(201) 555-0124']]", id="pasted"),
        pytest.param(gzip.compress(b"TN\n1\n"), "[['1']]", id="gzip"),
        pytest.param(b"", "MissingInput standard input: nothing came", id="nothing"),
        pytest.param(b'TN,x\n1,"a\n', "InputError standard input, line 2: a cell opens with a quote", id="refused"),
    ],
)
def test_standard_input(tmp_path, content, said):
    """What is piped in is read as a file is, and leaves none behind."""
    command = [sys.executable, "-c", STDIN, str(tmp_path)]
    ended = subprocess.run(command, input=content, capture_output=True, timeout=60)
    assert not ended.stderr
    assert said in ended.stdout.decode()
    assert list(tmp_path.iterdir()) == []


def test_numbers_typed_on_a_terminal(tmp_path):
    """Ctrl-D on an empty line ends them, the first time."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", STDIN, str(tmp_path)]
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        os.close(theirs)
        os.write(ours, b"TN\n2015550123\n\x04")
        out, err = process.communicate(timeout=60)
        os.close(ours)
    assert (out, err) == (b"[['2015550123']]\n", b"reading from the terminal; Ctrl-D on an empty line ends it\n")


def test_parquet_by_standard_input(tmp_path):
    """A container that is read from its end."""
    sink = io.BytesIO()
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"tn": [2015550123]}), sink)
    command = [sys.executable, "-c", STDIN, str(tmp_path)]
    ended = subprocess.run(command, input=sink.getvalue(), capture_output=True, timeout=60)
    assert ended.stdout.decode().strip() == "[['2015550123']]"
