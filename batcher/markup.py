"""XML that is read in a stream, with the place of every byte. Knows nothing of what it says."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import IO
from xml.parsers import expat

_BLOCK_BYTES = 1024 * 1024
#: A tag or a remark is held whole, and so is each name.
_MAX_HELD_BYTES, _MAX_NAMES = 16 * 1024 * 1024, 100_000
#: Every open tag is held: whoever handles them counts.
MAX_DEPTH = 1_000


class TooDeep(ValueError):
    """More tags than MAX_DEPTH are open."""

    def __init__(self) -> None:
        super().__init__(f"more than {MAX_DEPTH:,} of its tags stand in each other")


def parser() -> expat.XMLParserType:
    """Reads UTF-8 whatever is declared, as whoever reads a workbook does; nothing is defined in it, and nothing fetched."""
    made = expat.ParserCreate("utf-8")
    made.StartDoctypeDeclHandler = _refuse_doctype
    return made


def _refuse_doctype(*_: object) -> None:
    raise ValueError("it has a document type")


def parse(reader: expat.XMLParserType, content: IO[bytes], goes_on: Callable[[], bool] = lambda: True) -> None:
    """Hands the events of a document to the reader's handlers, up to its end, or until it does not go on.

    ValueError for what is not well-formed, or holds a tag of many megabytes.
    """
    count = 0
    try:
        while goes_on():
            block = content.read(_BLOCK_BYTES)
            reader.Parse(block, not block)
            if not block:
                return
            count += len(block)
            if count - max(reader.CurrentByteIndex, 0) > _MAX_HELD_BYTES:
                raise ValueError("a tag in it does not end")
            if len(reader.intern) > _MAX_NAMES:
                raise ValueError("its tags have too many names")
    except expat.ExpatError as error:
        raise ValueError(str(error)) from error


def read_through(content: IO[bytes]) -> None:
    """Up to the end, where its sum is checked."""
    while content.read(_BLOCK_BYTES):
        pass


@lru_cache(1_000)
def local(name: str) -> str:
    """The name of a tag or an attribute without its prefix."""
    return name.rpartition(":")[2]
