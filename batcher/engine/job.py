"""The job file: what a run is to do, as frozen values, or every mistake in it at once.

TOML, values only. Each mistake is told as `file:line: key: what is wrong - did you mean "…"?`. What a value of
a setting may be is the operation's business; here the constants are handed to its `check` before anything is read.
"""

from __future__ import annotations

import datetime as dt
import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from batcher.engine.mistakes import Lines, by_line, near, shown, told, unreadable
from batcher.errors import InputError
from batcher.model import Column
from batcher.tn import Rules

if TYPE_CHECKING:
    from batcher.model import Operation

_MAX_BYTES = 1 << 20
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(s|m|h|d)")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def seconds_of(text: str) -> float:
    """`90s`, `15m`, `24h`, `3d` as seconds; ValueError for anything else."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise ValueError(f'"{text}" is no duration; write 90s, 15m, 24h or 3d')
    return float(found[1]) * _UNIT_SECONDS[found[2]]


def _duration(value: object) -> float:
    if not isinstance(value, str):
        raise ValueError(f"{shown(value)} is no duration; write it in quotes: 90s, 15m, 24h or 3d")  # ruff: ignore[type-check-without-type-error]
    return seconds_of(value)


def _share(value: object) -> float:
    """A count (≥ 1) stays a count; "2%" becomes 0.02, and "100%" any count."""
    if isinstance(value, str) and (found := re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*%", value.strip())):
        share = float(found[1]) / 100
        if share <= 1:
            return share if share < 1 else math.inf
    elif isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return float(value)
    raise ValueError(f'{shown(value)} is neither a count (100) nor a share ("2%")')


def check_account(value: str) -> str:
    """The account id as it is; ValueError when it can be none."""
    if not re.fullmatch(r"[A-Za-z0-9-]{1,64}", value):
        raise ValueError(f'"{value}" is no account id: 1 to 64 letters, digits and dashes')
    return value


def _place(value: str) -> str:
    """A path with `~` spelled out."""
    if "\0" in value:
        raise ValueError("a path cannot hold a NUL character")
    try:
        return str(Path(value).expanduser())
    except RuntimeError as error:
        raise ValueError(f'"{value}": there is no such home folder') from error


def _zone(value: str) -> str:
    try:
        zone_of(value)
    except (OSError, LookupError, ValueError) as error:
        raise ValueError(f'"{value}" is no time zone; write "UTC" or "America/New_York"') from error
    return value


def zone_of(name: str) -> dt.tzinfo:
    """The time zone of that name; UTC needs no database of them."""
    return dt.UTC if name == "UTC" else ZoneInfo(name)


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class Input(_Table):
    path: Annotated[str, AfterValidator(_place)] = Field(min_length=1)
    """The file: CSV or Parquet, relative to the job file."""
    tn: str | None = None
    """Column of the TN; found by its header when left out."""
    strict: bool = False
    """Numbers in scientific notation with all their digits, unknown area codes and odd files are refused, not only told."""
    relax: tuple[Literal["extensions", "vanity", "labels"], ...] = Field((), strict=False)
    """What is refused otherwise is taken with a warning: extensions are dropped, letters dialled, labels removed."""
    known_npas: tuple[Annotated[int, Field(ge=200, le=999)], ...] = Field((), strict=False)
    """Area codes that are in service, whatever the published lists say."""


class Carrier(_Table):
    account_id: Annotated[str, AfterValidator(check_account)] | None = None
    """The account; or BATCHER_ACCOUNT_ID."""
    api: Literal["v1", "v2"] = "v2"
    """v1 speaks ten digits, v2 E.164."""
    base_url: str | None = None
    """Where the API is; or BATCHER_BASE_URL. Default: the carrier's own."""


class Run(_Table):
    once_per: Literal["input", "day", "start"] = "input"
    """When a finished run may be repeated."""
    timezone: Annotated[str, AfterValidator(_zone)] = "UTC"
    """What decides the date of `once_per = "day"`."""


class Limits(_Table):
    requests_per_second: float = Field(10, gt=0, allow_inf_nan=False)
    """The ceiling for all requests together."""
    in_flight: int | None = Field(None, ge=1, le=128)
    """Most writes under way at once; chosen from rate and latency when left out."""
    absence_seconds: float = Field(60, ge=0, allow_inf_nan=False)
    """How long a lost order must be missing before it counts as never executed."""
    max_age: Annotated[float, BeforeValidator(_duration)] = 86_400.0
    """Unsent chunks older than this are not sent any more."""
    max_rows: int | None = Field(None, ge=1)
    """More rows than this, and nothing is sent."""
    max_row_count_change: Annotated[float | None, BeforeValidator(_share)] = None
    """More or fewer rows than in the last finished run by this, a count or a share, and nothing is sent."""
    canary_rows: int = Field(0, ge=0, le=1_000_000)
    """So many rows, of each kind of setting some, go first; the others only if none of them failed."""
    tolerated_rejects: Annotated[float, BeforeValidator(_share)] = 0.0
    """Rejected rows, a count or a share, that still end with exit code 0."""
    tolerated_failures: Annotated[float, BeforeValidator(_share)] = 0.0
    """Failed rows, a count or a share, that still end with exit code 0."""
    max_rejected: Annotated[float, BeforeValidator(_share)] = 0.05
    """More rejected rows than this, a count or a share (but at least 100), and nothing is sent."""


#: Columns of results.csv, before those that are carried.
RESULTS = ("row", "input", "tn", "status", "code", "description", "order_id", "step")


class Output(_Table):
    path: Annotated[str, AfterValidator(_place)] = Field(min_length=1)
    """Folder of the runs, relative to the job file."""
    format: Literal["csv", "parquet"] = "csv"
    """Form of the reports."""
    carry: tuple[str, ...] = Field((), strict=False)
    """Columns of the input that stand behind those of `results`."""
    excel_safe: bool = False
    """CSV for spreadsheets: TNs stay text, and no cell is run as a formula."""

    @field_validator("carry")
    @classmethod
    def _new_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name in RESULTS or names.count(name) > 1:
                raise ValueError(f'"{name}" is a column of the results already, or named twice')
        return names


class JobFile(_Table):
    """What a job file may hold; the settings of a step depend on its operation."""

    input: Input
    carrier: Carrier = Carrier()
    run: Run = Run()
    limits: Limits = Limits()
    output: Output
    step: list[dict[str, Any]] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Binding:
    """Where the value of one setting of one step comes from: a column, or the same for every row."""

    step: int
    setting: str
    column: str | None
    #: as the operation's `check` gave it back; None for a column
    constant: str | None


@dataclass(frozen=True)
class Step:
    """One operation of the job, its settings checked."""

    number: int
    operation: Operation
    #: instance of `operation.settings`
    settings: Any
    bindings: tuple[Binding, ...]

    @property
    def max_rows(self) -> int:
        return self.operation.max_rows(self.settings)


@dataclass(frozen=True)
class Job:
    """A job ready to run: all paths absolute, all constants checked."""

    #: the file, or None when the command line said it all
    path: Path | None
    name: str
    input_path: Path
    input: Input
    carrier: Carrier
    run: Run
    limits: Limits
    output_path: Path
    output: Output
    steps: tuple[Step, ...]
    #: where its keys stand, for what only the input shows to be a mistake
    lines: Lines = field(compare=False, repr=False)

    @property
    def rules(self) -> Rules:
        """How cells of telephone numbers are judged."""
        given = self.input
        return Rules(self.carrier.api, given.strict, frozenset(given.relax), frozenset(given.known_npas))

    @property
    def needs_tn(self) -> bool:
        return self.steps[0].operation.key == ("tn",)


def read_job(path: Path) -> Job:
    """Read a job file. InputError lists every mistake with its line."""
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
    try:
        if len(raw) > _MAX_BYTES:
            raise ValueError("larger than 1 MiB")
        text = raw.decode("utf-8-sig")
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(unreadable(path, error)) from error
    return _build(tables, Lines(str(path), text), path=path, folder=path.resolve().parent)


def job_from(tables: Mapping[str, Any], *, folder: Path) -> Job:
    """The same from the command line's own words; paths relative to `folder`."""
    return _build(tables, Lines("command line", ""), path=None, folder=folder)


def _build(tables: Mapping[str, Any], lines: Lines, *, path: Path | None, folder: Path) -> Job:
    mistakes: list[str] = []
    file: JobFile | None = None
    try:
        file = JobFile.model_validate(tables)
    except ValidationError as error:
        mistakes += [told(lines, (), problem, JobFile) for problem in error.errors()]
    found = tables.get("step")
    steps = [
        step
        for number, table in enumerate(found if isinstance(found, list) else [], 1)
        if isinstance(table, dict) and (step := _step(number, table, lines, mistakes)) is not None
    ]
    mistakes += _misfits(steps, lines)
    if mistakes or file is None:
        raise InputError("\n".join(sorted(set(mistakes), key=by_line)))
    return Job(
        path=path,
        name=path.stem if path else "-".join(step.operation.name for step in steps),
        input_path=Path("-") if file.input.path == "-" else folder / file.input.path,
        input=file.input,
        carrier=file.carrier,
        run=file.run,
        limits=file.limits,
        output_path=(folder / file.output.path).resolve(),
        output=file.output,
        steps=tuple(steps),
        lines=lines,
    )


def _step(number: int, table: Mapping[str, Any], lines: Lines, mistakes: list[str]) -> Step | None:
    from batcher import operations

    place = ("step", number - 1)
    name, known = table.get("operation"), operations.names()
    if not isinstance(name, str):
        mistakes.append(lines.told((*place, "operation"), f"the name of an operation is missing ({', '.join(known)})"))
        return None
    if name not in known:
        hint = near(name, known) or f" (there are: {', '.join(known)})"
        mistakes.append(lines.told((*place, "operation"), f'unknown operation "{name}"{hint}'))
        return None
    operation = operations.get(name)
    before = len(mistakes)
    keys = {key: value for key, value in table.items() if key != "operation"}
    values = {key: _column(place, key, value, operation, lines, mistakes) for key, value in keys.items()}
    given = {key: value for key, value in values.items() if value is not None}
    try:
        settings = operation.settings(**given)
    except ValidationError as error:
        problems = error.errors()
        mistakes += [told(lines, place, problem, operation.settings, secret=operation.secret) for problem in problems]
        # The others are judged all the same, so that all mistakes are told at once.
        wrong = {problem["loc"][0] for problem in problems}
        settings = operation.settings(**{key: value for key, value in given.items() if key not in wrong})
    bindings = tuple(_bind(number, keys, operation, settings, lines, mistakes))
    return Step(number, operation, settings, bindings) if len(mistakes) == before else None


def _column(
    place: tuple[Any, ...], key: str, value: Any, operation: Operation, lines: Lines, mistakes: list[str]
) -> Any:
    """`{ column = "X" }` as a Column; anything else as it is; None after a mistake."""
    if not isinstance(value, dict):
        return value
    if key in operation.options:
        why = "holds for the whole step and cannot come from a column"
    elif set(value) == {"column"} and isinstance(value["column"], str) and value["column"]:
        return Column(value["column"])
    elif set(value) == {"step"}:
        why = "no earlier step of this job brings a value for it"
    else:
        why = 'write a value, or { column = "…" }'
    mistakes.append(lines.told((*place, key), why))
    return None


def _bind(
    number: int, keys: Mapping[str, Any], operation: Operation, settings: Any, lines: Lines, mistakes: list[str]
) -> Iterator[Binding]:
    for name in type(settings).model_fields:
        where, value = ("step", number - 1, name), getattr(settings, name)
        sent = name not in operation.options or name in operation.envelope
        if name in operation.required and name not in keys:
            mistakes.append(lines.told(where, f'{operation.name} needs it: a value, or {{ column = "…" }}'))
        if value is None or not sent:
            continue
        if isinstance(value, Column):
            yield Binding(number, name, value.column, None)
            continue
        try:
            constant = value if name in operation.options else operation.check(name, text_of(value), settings)
        except ValueError as error:
            mistakes.append(lines.told(where, str(error)))
        else:
            yield Binding(number, name, None, constant)


def _misfits(steps: Sequence[Step], lines: Lines) -> Iterator[str]:
    """Steps that set nothing, contradict themselves, or speak of other things than the first."""
    for step in steps:
        place, operation = ("step", step.number - 1), step.operation
        changes = {name for name in operation.settings.model_fields if is_change(operation, name)}
        if changes and not any(binding.setting in changes for binding in step.bindings):
            yield lines.told(place, f"{operation.name} sets nothing (it can set: {', '.join(sorted(changes))})")
        constants = {b.setting: b.constant for b in step.bindings if b.constant is not None}
        clash = operation.agree(constants) if operation.agree else None
        if clash is not None:
            yield lines.told((*place, clash[0]), clash[1])
        if operation.key != steps[0].operation.key:
            own, first = "/".join(operation.key), "/".join(steps[0].operation.key)
            yield lines.told(place, f"the rows of {operation.name} are named by {own}, those of step 1 by {first}")


def is_change(operation: Operation, setting: str) -> bool:
    """A setting that changes something of a row (not its name, not the order's address, not an option)."""
    return setting not in {*operation.key, *operation.envelope, *operation.options}


def text_of(value: Any) -> str:
    """A TOML constant as the text that a cell would hold."""
    return str(value).lower() if isinstance(value, bool) else str(value)
