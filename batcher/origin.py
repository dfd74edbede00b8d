"""Where the bytes of an input come from: a file or standard input, opened once, unpacked, and as UTF-8.

Links are followed here and nowhere else. What the bytes mean, `header`, `scan` and `parquet` decide.
"""

from __future__ import annotations

import codecs
import os
import re
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Literal

import pyarrow as pa

from batcher.errors import InputError

#: In place of a path: what is piped in, or pasted.
STDIN = Path("-")
_BLOCK_BYTES = 1024 * 1024
#: A zstd file may begin with a frame that says nothing (as pzstd writes it).
_CODECS = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    *((bytes([byte]) + b"\x2a\x4d\x18", "zstd") for byte in range(0x50, 0x60)),
)
#: What a compressed file may unpack to: so many bytes, or this multiple of its size if that is more.
_UNPACKED_BYTES, _MAX_RATIO = 64 * 1024 * 1024, 200

#: What the CR and LF of plain text make in UTF-16; it is no character.
_PLAIN_LINE_END = "\u0a0d"
#: A letter of Western Europe in UTF-8. In Windows-1252 it would be a letter that hardly any of its marks follows.
_UTF8_LETTER = re.compile(rb"\xc3[\x80-\xbf]")
_ADDRESS = re.compile(r"[a-z0-9]+:/", re.IGNORECASE)

Encoding = Literal["utf-8", "utf-16-le", "utf-16-be", "cp1252"]


class MissingInput(InputError):
    """There is no such file, or nothing came: a run that is resumed can do without."""


class Origin:
    """An input held open until `close`: what was checked and hashed is what is read. One pass at a time."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        #: links resolved
        self.path = path
        #: the bytes as they lie on the disk
        self.file = file
        #: how characters are written; whoever finds out more sets it
        self.encoding: Encoding = "utf-8"
        self._stat = os.fstat(file.fileno())
        self.size = self._stat.st_size
        magic = os.pread(file.fileno(), 8, 0)
        self.codec = next((name for start, name in _CODECS if magic.startswith(start)), None)

    def close(self) -> None:
        self.file.close()

    def unpacked(self) -> Stream:
        """The bytes from the beginning, unpacked."""
        return Stream(self, None)

    def text(self, seen: Callable[[bytes], None] | None = None) -> Stream:
        """The same in UTF-8; `seen` gets each block as it was before."""
        return Stream(self, None if self.encoding == "utf-8" else codecs.getincrementaldecoder(self.encoding)(), seen)

    def check_unchanged(self) -> None:
        """InputError when somebody wrote to the file since it was opened."""
        now = os.fstat(self.file.fileno())
        if (now.st_size, now.st_mtime_ns) != (self.size, self._stat.st_mtime_ns):
            raise InputError(f"{self.path}: was changed while it was read. Start again when nobody writes to it.")


class Stream:
    """One pass over the bytes of an origin; what pyarrow and the checks read from."""

    closed = False

    def __init__(
        self,
        origin: Origin,
        decoder: codecs.IncrementalDecoder | None,
        seen: Callable[[bytes], None] | None = None,
    ) -> None:
        self._origin, self._decoder, self._seen = origin, decoder, seen
        origin.file.seek(0)
        self._source = (
            origin.file
            if origin.codec is None
            else pa.CompressedInputStream(pa.PythonFile(_Lent(origin.file), "r"), origin.codec)
        )
        self._unpacked = 0
        self._held = self._last = b""
        self._ended = False

    def read(self, size: int) -> bytes:
        """So many bytes, fewer at the end; InputError when the file cannot be read or unpacked."""
        parts, length = [self._held], len(self._held)
        while length < size and not self._ended:
            block = self._next(size - length)
            parts.append(block)
            length += len(block)
        text = b"".join(parts)
        self._held = text[size:]
        return text[:size]

    def _next(self, size: int) -> bytes:
        """A block in UTF-8; empty at the end, or in the middle of a character."""
        path = self._origin.path
        try:
            block: bytes = self._source.read(size)
        except (OSError, pa.ArrowException) as error:
            if self._origin.codec is None:
                raise InputError(f"{path}: cannot be read: {error}.") from error
            what = f"it cannot be unpacked ({self._origin.codec}: {error})"
            raise InputError(f"{path}: {what} (BAD_CONTAINER). It was cut short or damaged: export it anew.") from error
        self._ended = not block
        self._unpacked += len(block)
        if self._origin.codec and self._unpacked > max(_UNPACKED_BYTES, _MAX_RATIO * self._origin.size):
            what = f"it unpacks to more than {_MAX_RATIO} times its size"
            raise InputError(f"{path}: {what} (BAD_CONTAINER). Unpack it yourself, if it is what it should be.")
        if self._seen is not None and block:
            self._seen(block)
        if self._decoder is None:
            return block
        try:
            text = self._decoder.decode(block, final=self._ended)
        except UnicodeError as error:
            why = f"it is not all {self._origin.encoding} ({error})"
            raise InputError(f"{path}: {why} (BAD_ENCODING). Save it as UTF-8.") from error
        is_mixed = _PLAIN_LINE_END in text
        if self._origin.encoding == "cp1252":
            is_mixed = _UTF8_LETTER.search(self._last + block) is not None
            self._last = block[-1:]
        if is_mixed:
            why = f"some of it is {self._origin.encoding}, and some is not: files of two encodings were put together"
            raise InputError(f"{path}: {why} (BAD_ENCODING). Save each as UTF-8 first.")
        return text.encode()


class _Lent:
    """A file that whoever reads it does not close."""

    closed = False

    def __init__(self, file: BinaryIO) -> None:
        self.read = file.read

    def close(self) -> None:
        """It is read again."""


def open_origin(path: Path, spool: Path) -> Origin:
    """Open a file, or keep what comes by standard input ("-") in an unnamed file in the folder `spool`.

    InputError: it cannot be opened, or is no regular file. No pipe or device is ever waited for.
    """
    if path == STDIN:
        return Origin(path, _from_stdin(spool))
    if _ADDRESS.match(str(path)):
        raise InputError(f"{path}: addresses are not read. Download the file, and give its path.")
    try:
        real = path.resolve(strict=True)
        handle = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise MissingInput(
            f"{path}: cannot be opened: No such file or directory. Check the path of the input."
        ) from error
    except (OSError, RuntimeError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be opened: {why}. Check the path of the input.") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode) or is_kernels(real):
        os.close(handle)
        raise InputError(f"{path}: is not a regular file. Give a CSV or Parquet file.")
    return Origin(real, os.fdopen(handle, "rb"))


def is_kernels(path: Path) -> bool:
    """Whether an absolute path is in a folder of the kernel's, whatever its files say of themselves."""
    folder = path.parts[1:3]
    return folder[:1] in {("proc",), ("sys",)} or (folder[:1] == ("dev",) and folder != ("dev", "shm"))


def _from_stdin(spool: Path) -> BinaryIO:
    if sys.stdin.isatty():
        sys.stderr.write("reading from the terminal; Ctrl-D on an empty line ends it\n")
    try:
        kept = unnamed(spool)
        ended = False
        while not ended:
            block = sys.stdin.buffer.read(_BLOCK_BYTES) or b""
            kept.write(block)
            # Whoever types has ended it once: to read on would ask for a second Ctrl-D.
            ended = len(block) < _BLOCK_BYTES
        kept.flush()
    except OSError as error:
        raise InputError(f"{spool}: what came by standard input cannot be kept here ({error.strerror}).") from error
    if not kept.tell():
        kept.close()
        raise MissingInput("standard input: nothing came (EMPTY_FILE). Pipe the rows in, or paste them.")
    return kept


def unnamed(folder: Path) -> BinaryIO:
    """A private file without a name: nobody else can open it, and no crash can leave it behind."""
    return tempfile.TemporaryFile(dir=folder)
