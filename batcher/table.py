"""The user's input files: opened once, checked as bytes, then read as text in bounded batches.

CSV (also in UTF-16, compressed, with titles or without a header), Parquet and, with the extra, Excel workbooks; several
files as one. No cell is interpreted here: what a number is, `tn` and `normalize` decide.
"""

from __future__ import annotations

import difflib
import glob
import hashlib
import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Self

import pyarrow as pa

from batcher.cell import HEADINGS, plain_name
from batcher.errors import InputError, paths_refused
from batcher.header import NOTHING
from batcher.origin import STDIN, MissingInput
from batcher.part import Batch, Part, listed, select

#: Files that may be read as one.
MAX_FILES = 256


def open_source(path: Path, *, wanted: Collection[str] = (), spool: Path | None = None) -> Source:
    """Open a file, the files of a pattern (`*`, `?`, `[…]`), or standard input ("-"), once, and read the header.

    `wanted` are columns that somebody will ask for: they tell a header from the titles above it. What comes by standard
    input or out of a workbook is kept in an unnamed file in the folder `spool`. InputError: it cannot be opened, is no
    regular file, is of another kind, or its header cannot be trusted (repeated names, over 1,000 columns).
    """
    spool = spool or path.parent
    parts: list[Part] = []
    try:
        for each in _files(path):
            parts.append(Part(each, wanted, spool))  # ruff: ignore[manual-list-comprehension] - closed below
        return Source(path, parts)
    except BaseException:
        for part in parts:
            part.close()
        raise


def _files(path: Path) -> list[Path]:
    with paths_refused():
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
    # A name of signs alone is like any other such name: it has to be the same.
    wanted = HEADINGS if named is None else {plain_name(named)} - {""}
    found = [name for name in columns if plain_name(name) in wanted]
    if len(found) == 1:
        return found[0]
    front = f"{where}: " if where else ""
    remedy = 'Name it: [input] tn = "…" in the job file, or --tn; above numbers without a header, write a line "TN".'
    if found:
        raise InputError(f"{front}each of {listed(found)} may hold the TNs (AMBIGUOUS_TN_COLUMN). {remedy}")
    if named is None:
        what, hint = "no header says which column holds the TNs", "."
    else:
        close = difflib.get_close_matches(named, columns, 1)
        what, hint = f'there is no column "{named}"', f' - did you mean "{close[0]}"?' if close else "."
        remedy = 'Name one of them: [input] tn = "…" in the job file, --tn or --also.'
    raise InputError(f"{front}{what} (NO_TN_COLUMN){hint} The columns are {listed(columns)}. {remedy}")


class Source:
    """An input held open until `close`: what was checked and hashed is what is read. One pass at a time."""

    #: links resolved; of several files, the pattern
    path: Path
    #: in the order of the first file; distinct, none empty
    columns: tuple[str, ...]

    def __init__(self, path: Path, parts: Sequence[Part]) -> None:
        self._parts = parts
        self.path = parts[0].path if len(parts) == 1 else path
        self.columns = parts[0].columns
        for part in parts:
            if set(part.columns) != set(self.columns):
                raise InputError(
                    f"{part.path}: its columns are {listed(part.columns)}, those of {parts[0].path} are "
                    f"{listed(self.columns)} (PARSE_ERROR). Files that are read as one have the same columns."
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
        """The columns' own types: those of a Parquet file, otherwise text; of several files, the first that holds any."""
        schemas = [part.schema() for part in self._parts]
        kinds = {name: [schema.field(name) for schema in schemas] for name in self.columns}
        return pa.schema([next((each for each in kind if each.type != pa.null()), kind[0]) for kind in kinds.values()])

    @property
    def warnings(self) -> list[tuple[str, str]]:
        """(code, text) of what somebody should know about the files; complete when they were read."""
        return [warning for part in self._parts for warning in part.warnings]

    def check_types(self, tn_column: str | None, value_columns: Collection[str]) -> None:
        """InputError when the TNs, or values to be set, lie in columns whose type has lost digits."""
        for part in self._parts:
            part.check_types(tn_column, value_columns)

    def check_texts(self, columns: Collection[str]) -> None:
        """InputError when a column has no text form of its own: bytes."""
        for part in self._parts:
            part.check_texts(columns)

    @property
    def noted(self) -> dict[bytes, bytes]:
        """What others noted about a Parquet file; of several files, the first."""
        return self._parts[0].noted()

    def digest(self) -> str:
        """SHA-256 of the unpacked bytes in hex, from one pass that checks every byte; made once.

        Of several files: of their digests, in the order of their names. InputError: a line of a CSV file is over
        64 KiB, has characters of no encoding, or opens a quote that is not closed where its cell ends (each with its
        number); it cannot be unpacked; or the file was changed meanwhile.
        """
        digests = [part.digest() for part in self._parts]
        return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()

    def batches(self, tn_column: str | None = None) -> Iterator[Batch]:
        """All rows in order, at most 65,536 at a time; blank lines are no rows. Checks the bytes first (`digest`).

        InputError: there is no row, the file is damaged, or was changed meanwhile, or a header with other columns
        stands in it, for which it helps to know the `tn_column`.
        """
        self.digest()
        rows = 0
        for part in self._parts:
            for batch in part.batches(tn_column):
                rows += batch.frame.num_rows
                yield _in_order(batch, self.columns)
        if not rows:
            raise InputError(f"{self.path}: it has a header and no rows (EMPTY_FILE). Check what wrote it.")


def _in_order(batch: Batch, columns: Sequence[str]) -> Batch:
    if tuple(batch.frame.schema.names) == tuple(columns):
        return batch
    return Batch(select(batch.frame, batch.malformed, columns), batch.malformed, batch.typed.select(columns))
