"""The command line: words in, one of the engine's functions called, words and an exit code out.

Only click and the standard library are imported here at the top: `--help` must not wait for pandas.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from batcher import __version__
from batcher.amount import amount
from batcher.arguments import (
    JOB_OR_FOLDER,
    JSON,
    KNOWN_NPAS,
    LOG_FORMAT,
    PATH,
    QUIET,
    VERBOSE,
    job_options,
    load,
    read_npas,
    runs_of,
)
from batcher.errors import BatcherError, InputError, StorageFailed
from batcher.process import keep_private, keep_quick, keep_small
from batcher.screen import check_text, confirm, print_json, rewrite_text, run_text, show
from batcher.way import secrets, way_of

if TYPE_CHECKING:
    from pathlib import Path

_Command = TypeVar("_Command", bound=click.Command)


class _Group(click.Group):
    """Says what it can do in the order of use, not of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # ruff: ignore[unused-method-argument]
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        keep_private()
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stop:
            raise click.Abort from stop  # click itself would write an empty line, which is no line of a JSON log


def _examples(*lines: str) -> Callable[[_Command], _Command]:
    """Put examples above everything else that a command's help says."""

    def add(command: _Command) -> _Command:
        shown = "\n".join(f"  {line}" for line in lines)
        text = inspect.cleandoc(command.help or "")
        command.short_help = text.partition(". ")[0].rstrip(".")
        command.help = f"\b\nExamples:\n{shown}\n\n{text}"
        return command

    return add


@_examples("batcher check jobs/nightly_failover.toml", "batcher run jobs/nightly_failover.toml --simulate")
@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="batcher")
def cli() -> None:
    """Change telephone numbers in bulk at Bandwidth: CSV or Parquet in, orders out, one result per row back.

    Exit codes: 0 done, 1 some rows failed or were rejected, 2 refused before anything was sent, 3 interrupted,
    4 not all is known yet, 5 a person has to look, 6 try again later, 7 another run is under way, 70 a bug.
    """


@_examples("batcher check jobs/nightly_failover.toml", "batcher check --operation tn-options --set sms=on numbers.csv")
@cli.command()
@job_options
def check(job: Path, as_json: bool, **words: Any) -> int:
    """Read, judge and plan; say what would be sent. Nothing is sent, and no credentials are needed."""
    from batcher.engine.check import check as look

    _configure_logs(words)
    loaded = load(job, words)
    summary = look(loaded, way_of(loaded, simulate=True))
    if as_json:
        print_json(summary)
    else:
        show(check_text(summary))
    return int(summary["exit_code"])


@_examples(
    "batcher run jobs/nightly_failover.toml --simulate", "batcher run /etc/batcher/nightly.toml --log-format json"
)
@cli.command()
@job_options
@click.option("--simulate", is_flag=True, help="Send to the built-in simulator, over real HTTP on this machine.")
@click.option("--yes", is_flag=True, help="Do not ask before sending to the real carrier.")
@click.option("--again", is_flag=True, help="Send even what a finished run has sent already.")
@click.option("--stale", is_flag=True, help="Send also what is older than limits.max_age.")
@click.option("--no-budget", is_flag=True, help="Send whatever limits forbid, and however many orders are refused.")
@click.option("--first", type=click.IntRange(1, 1_000_000), metavar="N", help="Send N rows, of each kind some; exit 3.")
@click.option("--wait", metavar="DURATION", help="Wait for open orders at most so long (90s, 15m, 6h); then exit 4.")
def run(
    job: Path,
    as_json: bool,
    simulate: bool,
    yes: bool,
    again: bool,
    stale: bool,
    no_budget: bool,
    first: int | None,
    wait: str | None,
    **words: Any,
) -> int:
    """Check, send, wait for the orders, report. The same command again resumes after a crash."""
    from batcher.engine import run as engine
    from batcher.engine.job import seconds_of
    from batcher.engine.send import Options

    bar = _configure_logs(words)
    loaded = load(job, words)
    try:
        wait_seconds = None if wait is None else seconds_of(wait)
    except ValueError as error:
        raise InputError(f"--wait: {error}.") from error
    way = way_of(loaded, simulate=simulate)
    ask = not (simulate or yes) and sys.stdin.isatty() and sys.stderr.isatty()
    options = Options(
        again=again,
        stale=stale,
        no_budget=no_budget,
        first=first,
        wait_seconds=wait_seconds,
        confirm=confirm if ask else None,
    )
    try:
        summary = engine.run(loaded, way, options, bar)
    except BatcherError as error:
        if error.summary is not None:
            _show_stopped(error.summary, as_json=as_json)
        raise
    _show_run(summary, as_json=as_json)
    return int(summary["exit_code"])


def _show_run(summary: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(summary)
    else:
        show(run_text(summary))


def _show_stopped(summary: Mapping[str, Any], *, as_json: bool) -> None:
    """A result that cannot be written does not hide what stopped the run."""
    import structlog

    try:
        _show_run(summary, as_json=as_json)
    except (StorageFailed, click.exceptions.Exit):
        structlog.get_logger().warning("stdout: the result could not be written", folder=summary["folder"])


@_examples("batcher status jobs/nightly_failover.toml", "batcher status jobs/nightly_failover.toml --json")
@cli.command()
@JOB_OR_FOLDER
@JSON
def status(job: Path, as_json: bool) -> None:
    """Show the runs of a job: their chunks by state, and what to do next. JOB may be the runs' folder itself."""
    from batcher.engine.folder import run_folders
    from batcher.engine.status import again, standing

    folder, _ = runs_of(job)
    runs = [standing(found, job) for found in run_folders(folder)]
    if as_json:
        print_json(runs)
        return
    if not runs:
        click.echo(f"{folder}: no run yet.\nnext: {again(job)}")
    for entry in runs:
        chunks = ", ".join(f"{count} {state}" for state, count in entry["chunks"].items()) or "nothing planned"
        click.echo(f"{entry['run']}  {entry['state']}  {amount(entry['rows'], 'row')}  chunks: {chunks}")
        for parked in entry["parked"]:
            show(f"    chunk {parked['chunk']}: {parked['why']}\n")
        if entry["next"]:
            click.echo(f"    next: {entry['next']}")


@_examples(
    "batcher report jobs/nightly_failover.toml",
    "batcher report jobs/nightly_failover.toml --run 20261120T020000Z-4f2a9c",
)
@cli.command()
@JOB_OR_FOLDER
@click.option("--run", "run_id", metavar="ID", help="Which run; the newest when left out.")
@LOG_FORMAT
@JSON
def report(job: Path, run_id: str | None, log_format: str, as_json: bool) -> None:
    """Write the reports of a run again from its ledger. JOB may be the runs' folder itself."""
    from batcher.engine.attempt import report as write_again

    _configure_logs({"quiet": True, "log_format": log_format})
    folder, loaded = runs_of(job)
    _show_run(write_again(folder, run_id, loaded), as_json=as_json)


@_examples("batcher resolve jobs/nightly_failover.toml 3", "batcher resolve jobs/nightly_failover.toml 3 --not-sent")
@cli.command()
@JOB_OR_FOLDER
@click.argument("chunk", type=int)
@click.option("--run", "run_id", metavar="ID", help="Which run; the newest when left out.")
@click.option("--order", "order_id", metavar="ID", help="It is this order at the carrier.")
@click.option("--not-sent", is_flag=True, help="It never reached the carrier: send it again.")
def resolve(job: Path, chunk: int, run_id: str | None, order_id: str | None, not_sent: bool) -> None:
    """Show what is known of a parked chunk; decide it with --order or --not-sent. JOB may be the runs' folder itself."""
    from batcher.engine import status as standing

    if order_id and not_sent:
        raise InputError("--order and --not-sent contradict each other.")
    show(standing.resolve(runs_of(job)[0], run_id, chunk, order_id=order_id, not_sent=not_sent))
    if order_id or not_sent:
        click.echo(f"next: {standing.again(job)}")


@_examples(
    "batcher normalize report.csv report-v2.csv --to e164",
    "batcher normalize - numbers.csv --to ten-digit --relax lists",
)
@cli.command()
@click.argument("source", type=PATH, metavar="IN")
@click.argument("target", type=PATH, metavar="OUT")
@click.option("--to", type=click.Choice(["e164", "ten-digit"]), required=True, help="+19195550123, or 9195550123.")
@click.option("--tn", metavar="COLUMN", help="Column of the TN; found by its header when left out.")
@click.option("--also", multiple=True, metavar="COLUMN", help="A further column of TNs; empty cells stay empty.")
@click.option(
    "--relax",
    multiple=True,
    type=click.Choice(["extensions", "vanity", "labels", "ranges", "lists"]),
    help="Take with a warning: drop extensions, dial letters, remove labels; write out ranges, split lists into rows.",
)
@click.option("--strict", is_flag=True, help="Refuse scientific notation and unknown area codes.")
@KNOWN_NPAS
@LOG_FORMAT
@VERBOSE
@QUIET
@JSON
def normalize(
    source: Path,
    target: Path,
    to: Literal["e164", "ten-digit"],
    tn: str | None,
    also: tuple[str, ...],
    relax: tuple[str, ...],
    strict: bool,
    known_npas: Path | None,
    as_json: bool,
    **words: Any,
) -> int:
    """Write a file with its telephone numbers in another form; all else stays. Rejected rows go to OUT.rejects.csv."""
    from batcher.engine.renumber import Wish
    from batcher.engine.rewrite import rewrite

    _configure_logs(words)
    wish = Wish(to, tn, also, strict=strict, relax=frozenset(relax), known_npas=read_npas(known_npas))
    summary = rewrite(source, target, wish, kept=[known_npas] if known_npas else [])
    if as_json:
        print_json(summary)
    else:
        show(rewrite_text(summary))
    return int(summary["exit_code"])


@_examples("batcher operations", "batcher operations tn-options")
@cli.command()
@click.argument("name", required=False)
def operations(name: str | None) -> None:
    """List what there is, or the settings, columns and limits of one operation."""
    from batcher import operations as registry

    if name is None:
        for known in registry.names():
            click.echo(f"{known:<20} {registry.get(known).summary}")
        return
    operation = registry.get(name)
    click.echo(f"{operation.name}: {operation.summary}\n")
    click.echo(f"conversation: {type(operation.talk).__name__.lower()}")
    click.echo(f"a row is named by: {', '.join(operation.key)}")
    click.echo(f"path: {', '.join(f'{api} {path}' for api, path in operation.path.items())}")
    click.echo(f"rows in one request: at most {operation.max_rows(operation.settings.model_construct()):,}")
    click.echo('\nsettings (a value for every row, or { column = "…" }):')
    for key, field in operation.settings.model_fields.items():
        marks = [
            word
            for word, keys in (
                ("required", operation.required),
                ("secret", operation.secret),
                ("holds for a whole order", operation.envelope),
                ("option", operation.options),
            )
            if key in keys
        ]
        description = " ".join((field.description or "").split())
        click.echo(f"  {key:<26} {description}{' (' + ', '.join(marks) + ')' if marks else ''}")


@_examples("batcher new nightly_failover", "batcher new check_then_options")
@cli.command()
@click.argument("name", required=False)
def new(name: str | None) -> None:
    """Copy a job file and its sample here, never over a file that is there."""
    from pathlib import Path

    from batcher import shipped

    if name is None:
        click.echo("\n".join(shipped.names()))
        return
    for path in shipped.copy(name, Path()):
        click.echo(f"wrote {path}")
    click.echo(f"next: batcher check jobs/{name}.toml")


@_examples(
    "batcher simulate --port 8080", "batcher simulate --account account.toml --faults faults.toml --rate-limit 10"
)
@cli.command()
@click.option("--port", type=click.IntRange(0, 65_535), default=8080, show_default=True, help="0: any free one.")
@click.option("--account", type=PATH, help="What the account holds (docs/simulator.md).")
@click.option("--faults", type=PATH, help="Which requests go wrong, and how (docs/simulator.md).")
@click.option("--latency", type=click.FloatRange(0), default=0.0, help="Seconds before each answer.")
@click.option(
    "--rate-limit", type=click.FloatRange(0, min_open=True), help="Requests per second before it answers 429."
)
def simulate(port: int, account: Path | None, faults: Path | None, latency: float, rate_limit: float | None) -> None:
    """Run the carrier's API on this machine, for trials and for other programs."""
    import anyio

    from batcher.simulator import Account, create_app, read_account, read_faults, serve

    keep_quick()
    app = create_app(
        read_account(account) if account else Account(),
        faults=read_faults(faults) if faults else (),
        latency=latency,
        rate_limit=rate_limit,
    )

    async def forever() -> None:
        async with serve(app, port=port) as address:
            click.echo(f"simulator at {address} (api/v1, api/v2); Ctrl-C ends it")
            await anyio.sleep_forever()

    try:
        anyio.run(forever)
    except KeyboardInterrupt:
        click.echo("simulator ended", err=True)


# ── what the commands share ──────────────────────────────────────────────────────────────────────────────────────


def _configure_logs(words: Mapping[str, Any]) -> Any:
    """Logs and bar on stderr; gives the bar. Called by every command that works on rows, when all is imported."""
    from batcher.logs import configure
    from batcher.progress import Bar, TqdmStream

    keep_small()
    keep_quick()
    colors = sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    level = "debug" if words.get("verbose") else "warning" if words.get("quiet") else "info"
    configure(
        TqdmStream(sys.stderr), json=words.get("log_format") == "json", level=level, colors=colors, secrets=secrets()
    )
    return Bar(sys.stderr)
