"""The telephone numbers of a file in another form; every other value, and the order of the rows, stays as it is.

For people whose reports or programs must change from ten digits to E.164, or back. Nothing is sent anywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise, starmap
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from batcher import tn
from batcher.engine.ragged import unmended
from batcher.engine.renumber import EXPANDED, Judged, Piece, Wish, judge, pieces
from batcher.engine.summary import counted
from batcher.engine.words import REASON_COLUMNS, with_unseen
from batcher.errors import InputError, paths_refused
from batcher.normalize import e164
from batcher.origin import STDIN, is_kernels
from batcher.part import Batch, select
from batcher.spool import Form, Table
from batcher.table import Source, find_tn_column, open_source

#: Names of files that would promise something else than what is written.
_UNWRITTEN = {".gz", ".zst", ".zip", ".bz2", ".xz", ".xls", ".xlsx", ".ods", ".json"}
#: A link may lead to another, so often.
_MOST_LINKS = 40
#: So much text of rows that are written is in memory at once.
_PORTION_BYTES = 32 * 1024 * 1024
_WARNINGS = pa.schema([("row", pa.int64()), *((name, pa.string()) for name in ("tn", "code", "description"))])


@dataclass
class _Count:
    rows: int = 0
    written: int = 0
    codes: Counter[tuple[str, str]] = field(default_factory=Counter)
    warnings: Counter[tuple[str, str]] = field(default_factory=Counter)


def rewrite(path: Path, target: Path, wish: Wish, *, kept: Sequence[Path] = ()) -> dict[str, Any]:
    """Write `target`, `target`.rejects.csv and `target`.warnings.csv, each whole or not at all; the summary.

    A row whose TN, or whose cell in one of the further columns, is refused stands in the rejects alone. InputError: the
    input is refused, has no such column, or it, or a file that is to be `kept`, would be written over.
    """
    named = {name for name in (wish.column, *wish.also) if name}
    with open_source(path, wanted=named, spool=target.parent if target.parent.is_dir() else Path()) as source:
        with paths_refused():
            place = _followed(target)
            _check_target(target, place, [*source.files, *kept])
        columns = _columns(source, wish)
        count = _Count()
        # What an earlier run said of its rejects says nothing about them now.
        own = [name for name in source.columns if name in columns or name not in REASON_COLUMNS.names]
        form = _form(source, target)
        is_typed = form.kind == source.kind == "parquet"
        if not is_typed:
            source.check_texts(own)
        with ExitStack() as stack:

            def table(name: Path, schema: pa.Schema, form: Form) -> Table:
                return stack.enter_context(Table(name, schema, form))

            rejects = table(_beside(target, "rejects"), pa.schema([*map(_text, own), *REASON_COLUMNS]), Form())
            warnings = table(_beside(target, "warnings"), _WARNINGS, Form())
            # Closed first: where it cannot be, nothing new stands beside the old one.
            written = table(place, _schema(source, own, columns, is_typed=is_typed), form)
            source.digest()
            for code, text in source.warnings:
                count.warnings["batcher", code] += 1
                warnings.append(pa.RecordBatch.from_pylist([{"tn": "", "code": code, "description": text}], _WARNINGS))
            for batch in source.batches(columns[0]):
                batch = unmended(batch, source.delimiter)  # ruff: ignore[redefined-loop-name] - the same rows
                judged = judge(batch, columns, wish)
                for piece in pieces(judged):
                    _append(written, batch, piece, columns, wish, is_typed=is_typed)
                    _append_warnings(warnings, piece, columns, count.rows + 1, count)
                    count.written += len(piece.rows)
                _append_rejects(rejects, batch, judged, columns, count)
                count.rows += len(batch.malformed)
        return _summary(source, target, wish, count)


def _followed(target: Path) -> Path:
    """Where a link leads: what it points at is written, and it stays. InputError for what is the kernel's (/dev/stdout)."""
    place = target
    for _ in range(_MOST_LINKS):
        if is_kernels(place.absolute()):
            break
        if not place.is_symlink():
            return place
        place = place.parent / place.readlink()
    raise InputError(f"{target}: is no file to write to, but a link in a circle or a device. Name a file.")


def _check_target(target: Path, place: Path, kept: Sequence[Path]) -> None:
    if target.name in {"", "-", ".", ".."}:
        raise InputError(f"{target}: is no file to write to. Name one, ending in .csv, .tsv or .parquet.")
    outputs = (target, place, _beside(target, "rejects"), _beside(target, "warnings"))
    for written in outputs:
        if not written.parent.is_dir():
            raise InputError(f"{written}: cannot be written: its folder does not exist. Make the folder first.")
        if written.exists() and not written.is_file():
            raise InputError(f"{written}: cannot be written: it is there, and no regular file. Name another output.")
    if target.suffix.lower() in _UNWRITTEN:
        raise InputError(f"{target}: only CSV and Parquet are written, uncompressed. Name it .csv or .parquet.")
    # What is being written is called .tmp until it is whole.
    places = [place for written in outputs for place in (written, written.with_name(f"{written.name}.tmp"))]
    for file in kept:
        read = Path("/dev/stdin") if file == STDIN else file
        for written in places:
            if written.exists() and read.exists() and written.samefile(read):
                raise InputError(f"{written}: is the input, which is not written over. Name another output.")


def _beside(target: Path, name: str) -> Path:
    return target.with_name(f"{target.name}.{name}.csv")


def _columns(source: Source, wish: Wish) -> list[str]:
    """The column of the TN and the further ones; InputError when one is not there, twice, or has lost digits."""
    columns = [find_tn_column(source.columns, name, str(source.path)) for name in (wish.column, *wish.also)]
    if len(set(columns)) < len(columns):
        raise InputError("--also names a column that is rewritten already: name each once.")
    for name in columns:
        source.check_types(name, ())
    return columns


def _form(source: Source, target: Path) -> Form:
    """The form that the target's name says, else the input's own."""
    kinds: Mapping[str, Literal["csv", "parquet"]] = {
        ".parquet": "parquet",
        ".csv": "csv",
        ".tsv": "csv",
        ".txt": "csv",
    }
    kind = kinds.get(target.suffix.lower(), "parquet" if source.kind == "parquet" else "csv")
    delimiter = "\t" if target.suffix.lower() == ".tsv" else source.delimiter
    return Form(kind, delimiter=delimiter, has_header=source.has_header)


def _text(name: str) -> pa.Field:
    return pa.field(name, pa.string())


def _schema(source: Source, own: Sequence[str], columns: Sequence[str], *, is_typed: bool) -> pa.Schema:
    """Parquet made from Parquet keeps its types; everything else holds text."""
    types = source.schema
    fields = [types.field(name) if is_typed and name not in columns else _text(name) for name in own]
    return pa.schema(fields, source.noted if is_typed else None)


def _written_form(tns: NDArray[np.int64], wish: Wish) -> pa.Array:
    text = e164(tns)
    return pc.utf8_slice_codeunits(text, 2) if wish.to == "ten-digit" else text


def _append(target: Table, batch: Batch, piece: Piece, columns: Sequence[str], wish: Wish, *, is_typed: bool) -> None:
    source = batch.typed if is_typed else batch.frame
    kept = [name for name in target.schema.names if name not in columns]
    # A cell of many numbers stands in none of the rows that it becomes.
    for place in _portions(batch.frame.select(kept), piece.rows):
        rows = pa.array(piece.rows[place])
        arrays = {name: source.column(name).take(rows) for name in kept}
        for name, column in zip(columns, piece.tns, strict=True):
            arrays[name] = _written_form(column[place], wish)
            if is_typed:
                is_missing = source.column(name).is_null(nan_is_null=True).take(rows)
                arrays[name] = pc.if_else(is_missing, None, arrays[name])
        _append_rows(target, arrays, len(rows))


def _portions(frame: pa.RecordBatch, rows: NDArray[np.int64]) -> Iterator[slice]:
    """Cut rows that are written so that a wide one, which a range repeats ten thousand times, does not fill the memory."""
    widths = sum((pc.binary_length(column).to_numpy() for column in frame.columns), np.zeros(frame.num_rows, np.int64))
    portion = np.cumsum(widths[rows]) // _PORTION_BYTES
    ends = [*(np.flatnonzero(np.diff(portion)) + 1).tolist(), len(rows)]
    yield from starmap(slice, pairwise([0, *ends]))


def _append_rows(target: Table, arrays: dict[str, pa.Array], rows: int) -> None:
    for item in target.schema:
        if pa.types.is_null(arrays[item.name].type):
            arrays[item.name] = pa.nulls(rows, item.type)
        if arrays[item.name].type != item.type:
            raise InputError(
                f'Column "{item.name}" holds {item.type} in one file and {arrays[item.name].type} in another '
                "(COLUMN_TYPE): rewrite them one by one, or to a .csv file."
            )
    target.append(pa.RecordBatch.from_arrays([arrays[name] for name in target.schema.names], schema=target.schema))


def _append_rejects(target: Table, batch: Batch, judged: Judged, columns: Sequence[str], count: _Count) -> None:
    own = target.schema.names[:-2]
    rows = np.flatnonzero(judged.reason)
    if not rows.size:
        return
    codes, texts = [], []
    for reason, column in zip(judged.reason[rows].tolist(), judged.column[rows].tolist(), strict=True):
        code, hint = tn.REASONS[reason]
        codes.append(code)
        texts.append(_about(columns, column, hint))
    count.codes.update(("rejected", code) for code in codes)
    frame = select(batch.frame, batch.malformed, own).take(pa.array(rows))
    about = judged.column[rows]
    shown = pa.array(texts, pa.string())
    for place in np.unique(about):
        shown = with_unseen(shown, batch.frame.column(columns[place]).take(pa.array(rows)), about == place)
    arrays = [*frame.columns, pa.array(codes, pa.string()), shown]
    target.append(pa.RecordBatch.from_arrays(arrays, schema=target.schema))


def _about(columns: Sequence[str], place: int, text: str) -> str:
    """What is said of a further column names it."""
    return f'column "{columns[place]}": {text}' if place else text


def _append_warnings(target: Table, piece: Piece, columns: Sequence[str], first: int, count: _Count) -> None:
    parts: list[tuple[NDArray[np.int64], int, str, str]] = []
    is_first = np.append(True, piece.rows[1:] != piece.rows[:-1])
    for column, masks in enumerate(piece.warnings):
        for bit, (code, text) in enumerate(tn.WARNINGS):
            # A further column is told once, however many rows became of its own.
            is_warned = (masks >> bit & 1 == 1) & (is_first | (column == 0))
            parts.append((np.flatnonzero(is_warned), column, code, _about(columns, column, text)))
    for code, text in EXPANDED.items():
        found = [np.arange(place.start, place.stop) for why, place in piece.several if why == code]
        parts.append((np.concatenate([np.empty(0, np.int64), *found]), 0, code, text))
    batches = []
    for places, column, code, text in parts:
        if places.size:
            count.warnings["batcher", code] += len(places)
            words = (pa.repeat(pa.scalar(word), len(places)) for word in (code, text))
            arrays = [pa.array(piece.rows[places] + first), e164(piece.tns[column][places]), *words]
            batches.append((places, pa.RecordBatch.from_arrays(arrays, schema=_WARNINGS)))
    if batches:
        order = np.argsort(np.concatenate([places for places, _ in batches]), kind="stable")
        table = pa.Table.from_batches([batch for _, batch in batches]).take(pa.array(order)).combine_chunks()
        for batch in table.to_batches():
            target.append(batch)


def _summary(source: Source, target: Path, wish: Wish, count: _Count) -> dict[str, Any]:
    rejected = sum(count.codes.values())
    return {
        "input": str(source.path),
        "input_sha256": source.digest(),
        "output": str(target),
        "rejects": str(_beside(target, "rejects")),
        "warnings_file": str(_beside(target, "warnings")),
        "to": wish.to,
        "rows": count.rows,
        "written": count.written,
        "rejected": rejected,
        #: rows that stand in the output beyond those of the input
        "added": count.written + rejected - count.rows,
        "codes": counted(count.codes),
        "warnings": counted(count.warnings),
        "exit_code": 1 if rejected else 0,
    }
