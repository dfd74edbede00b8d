"""What the commands show: results in words, one question, and errors without control characters or secrets.

Also what becomes of it when it cannot be written: a result is an error, a log is dropped.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, Literal, NoReturn, TextIO, cast

import click

from batcher.amount import amount
from batcher.errors import BatcherError, CarrierRefused, CarrierUnavailable, StorageFailed
from batcher.visible import visible
from batcher.way import secrets


class Guarded:
    """A standard stream whose failures go to one place, whoever writes to it."""

    def __init__(self, stream: TextIO, failed: Callable[[OSError], object]) -> None:
        self._stream = stream
        self._failed = failed

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._failed(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._failed(error)


def _refuse(error: OSError) -> NoReturn:
    if isinstance(error, BrokenPipeError):
        raise click.exceptions.Exit(1) from error  # `| head` has read enough, and wants no word about it
    raise StorageFailed(f"stdout: the result could not be written ({error.strerror}).") from error


@contextmanager
def guarded_streams() -> Generator[None]:
    """Writing to stdout raises StorageFailed when it fails, writing to stderr never raises.

    Afterwards nothing is left in their buffers that would turn the exit code into the interpreter's 120.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # It was closed. The lowest free descriptor is its own, which no file of ours may get.
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # ruff: ignore[open-file-with-context-handler, builtin-open] - pathlib is not loaded yet
    streams = (sys.stdout, sys.stderr)
    out, err = Guarded(sys.stdout, _refuse), Guarded(sys.stderr, lambda _error: None)
    try:
        with redirect_stdout(cast("TextIO", out)), redirect_stderr(cast("TextIO", err)):
            yield
    finally:
        for stream in streams:
            try:
                stream.flush()
            except OSError:
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def confirm(waiting: Mapping[str, Any]) -> bool:
    if not waiting["rows"] and not waiting["more_steps"]:
        return True
    more = ", and the rows of later steps" if waiting["more_steps"] else ""
    click.echo(
        f"{waiting['job']}: {' + '.join(waiting['operations'])} for {amount(waiting['rows'], 'row')} in {amount(waiting['orders'], 'order')}{more}\n"
        f"  to account {waiting['account_id']} at {waiting['base_url']}",
        err=True,
    )
    return click.confirm("Send?", default=False, err=True)


def print_json(value: Any) -> None:
    import json

    click.echo(json.dumps(value, indent=2))


def show(text: str) -> None:
    """Lines on stdout; what a carrier or a file says in them cannot write to the terminal."""
    click.echo("\n".join(map(visible, text.split("\n"))), nl=False)


def tell(text: str, level: Literal["error", "warning"], code: int) -> None:
    """A last word on stderr, as the logs are written."""
    from batcher.logs import is_json

    if is_json():
        import structlog

        getattr(structlog.get_logger(), level)(text, exit_code=code)
    else:
        click.echo(text, file=sys.stderr)


def run_text(summary: Mapping[str, Any]) -> str:
    from pathlib import Path

    from batcher.engine.summary import summary_text

    if "already_done" in summary:
        # What has grown stale is told below, with its own way out.
        again = "" if summary.get("stale") else " Use --again to send it again."
        head = f"Already done at {summary['already_done']}; nothing was sent.{again}\n\n"
    else:
        head = ""
    folder = Path(summary["folder"])
    files = "".join(
        f"  {path}\n" for path in sorted(folder.iterdir()) if path.suffix in {".csv", ".parquet", ".json", ".txt"}
    )
    return f"{_doubled(summary)}{head}{summary_text(summary)}{_superseded(summary)}{_open(summary)}\n{files}"


def _doubled(summary: Mapping[str, Any]) -> str:
    if not summary["doubled_orders"]:
        return ""
    lines = [f"  {', '.join(ids)}\n" for ids in summary["doubled_orders"]]
    return (
        f"DOUBLED ORDERS in run {summary['run']}: the carrier holds more than one order for the same rows.\n"
        f"{''.join(lines)}  A person has to look at them at the carrier.\n\n"
    )


def _open(summary: Mapping[str, Any]) -> str:
    """What exit code 4 means for what is done next."""
    counts = {"unknown": "unknown", "pending": "not sent"}
    found = [
        f"{amount(summary['statuses'][name], 'row')} {word}"
        for name, word in counts.items()
        if summary["statuses"][name]
    ]
    if summary["exit_code"] != 4 or not found:
        return ""
    if summary.get("open", True):
        advice = f"give the same command again{', with --stale for what was too old' if summary.get('stale') else ''}"
    elif summary["stale"]:
        advice = "--stale sends what was too old"
    else:
        advice = "look at the orders of these rows at the carrier (results names them); --again sends all of it again"
    return f"not all is known yet ({', '.join(found)}): {advice}, or see batcher status\n"


def _superseded(summary: Mapping[str, Any]) -> str:
    """How the run ended whose place this one took."""
    if "superseded" not in summary:
        return ""
    before = summary["superseded"]
    counts = ", ".join(f"{count:,} {status}" for status, count in before["statuses"].items() if count)
    unknown = before["statuses"]["unknown"]
    unlisted = ", ".join(map(str, before.get("unlisted_chunks", [])))
    twice = f"; whether its chunks {unlisted} were executed only once is not known" if unlisted else ""
    advice = f"; what became of {amount(unknown, 'row')} has to be looked up at the carrier" if unknown else ""
    return (
        f"\nin the place of run {before['run']}, whose input or job has changed: {counts} "
        f"(exit {before['exit_code']}){advice}{twice}\n  its reports: {before['folder']}\n{_doubled(before)}"
    )


def check_text(summary: Mapping[str, Any]) -> str:
    """What a careful colleague would want to know before anything is sent."""
    total = max(summary["rows"], 1)
    lines = [f"{summary['input']}: {amount(summary['rows'], 'row')}"]
    for status_name, count in summary["statuses"].items():
        if count:
            word = "to be sent" if status_name == "pending" else status_name
            lines.append(f"  {word:<12} {count:>12,}  {100 * count / total:6.2f} %")
    lines += [f"    {count:>12,}  {code}" for code, count in summary["codes"].items()]
    lines += [*_numbers_text(summary["numbers"]), *_values_text(summary)]
    if summary["warnings"]:
        lines += ["warnings:", *(f"  {count:>14,}  {code}" for code, count in summary["warnings"].items())]
    if summary["examples"]:
        lines.append(f"rejects, the first of each kind (all: {summary['folder']}):")
        for code, rows in summary["examples"].items():
            # A setting's reason names its column and its cell: each row has its own.
            said = {text for _, _, text in rows}
            lines.append(f"  {code}{f': {rows[0][2]}' if len(said) == 1 else ''}")
            lines += [
                f'    row {row}: "{visible(cell[:60])}"{f" - {visible(text)}" if len(said) > 1 else ""}'
                for row, cell, text in rows
            ]
    lines.append(
        f"{' + '.join(summary['operations'])}: {amount(summary['planned_orders'], summary['planned_as'].removesuffix('s'))} in step 1, "
        f"{amount(summary['planned_requests'], 'request')}, about {summary['planned_seconds']:,.0f} s at the given rate"
    )
    lines += [f"look at this: {oddity}" for oddity in summary["oddities"] if oddity not in summary["refused"]]
    lines += [f"a run would be refused: {why}" for why in summary["refused"]]
    lines.append("nothing was sent")
    return "\n".join(lines) + "\n"


def _numbers_text(numbers: Mapping[str, Any]) -> list[str]:
    total = numbers["numbers"]
    if not total:
        return []
    shares = [
        f"{word} {100 * numbers[name] / total:.1f} %"
        for name, word in (("toll_free", "toll-free"), ("not_us", "not US"), ("not_plus_1", "not +1"))
        if numbers[name]
    ]
    lines = [f"{amount(total, 'telephone number')}{': ' if shares else ''}{', '.join(shares)}"]
    largest = ", ".join(f"{start[:3]}-{start[3:]} {count:,}" for start, count in numbers["largest_exchanges"])
    if largest:
        lines.append(f"  most frequent NPA-NXX: {largest}")
    if unknown := numbers["unknown_npas"]:
        shown = ", ".join(f"{npa} ({count:,})" for npa, count in list(unknown.items())[:10])
        more = " and more" if len(unknown) > 10 else ""
        lines.append(f"  area codes that libphonenumber {numbers['metadata']} does not know: {shown}{more}")
    return lines


def _values_text(summary: Mapping[str, Any]) -> list[str]:
    values, several = summary["values"], len(summary["operations"]) > 1
    lines = [
        f"  {count:>14,}  {name if several else name.partition('.')[2]}" for name, count in values.items() if count
    ]
    if summary["conflicts"]:
        lines.append(f"  {summary['conflicts']:>14,}  rows contradict each other about one TN")
    return ["rows by what they set:", *lines] if lines else []


def rewrite_text(summary: Mapping[str, Any]) -> str:
    """What became of a file whose numbers were rewritten."""
    lines = [f"{amount(summary['rows'], 'row')} read, {summary['written']:,} written in {summary['to']}"]
    if summary["added"]:
        lines.append(
            f"  {summary['added']:>12,}  more than were read: ranges and lists, each number in a row of its own"
        )
    lines += [f"  {count:>12,}  {code}" for code, count in {**summary["codes"], **summary["warnings"]}.items()]
    files = [summary["output"], summary["rejects"], summary["warnings_file"]]
    return "\n".join([*lines, "", *(f"  {file}" for file in files)]) + "\n"


def told(error: BatcherError) -> str:
    from batcher.logs import Redactor

    lines = Redactor(secrets()).text(str(error)).split("\n")
    prefix = {CarrierRefused: "stopped: ", CarrierUnavailable: "stopped: "}.get(type(error), "")
    return prefix + "\n".join(map(visible, lines))
