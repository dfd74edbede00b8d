"""What the commands show: results in words, one question, and errors without control characters or secrets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from batcher.errors import BatcherError, CarrierRefused, CarrierUnavailable
from batcher.way import secrets


def confirm(waiting: Mapping[str, Any]) -> bool:
    if not waiting["rows"] and not waiting["more_steps"]:
        return True
    more = ", and the rows of later steps" if waiting["more_steps"] else ""
    click.echo(
        f"{waiting['job']}: {' + '.join(waiting['operations'])} for {waiting['rows']:,} rows in {waiting['orders']:,} orders{more}\n"
        f"  to account {waiting['account_id']} at {waiting['base_url']}",
        err=True,
    )
    return click.confirm("Send?", default=False, err=True)


def print_json(value: Any) -> None:
    click.echo(json.dumps(value, indent=2))


def show(text: str) -> None:
    """Lines on stdout; what a carrier or a file says in them cannot write to the terminal."""
    from batcher.logs import visible

    click.echo("\n".join(map(visible, text.split("\n"))), nl=False)


def run_text(summary: Mapping[str, Any]) -> str:
    from batcher.engine.summary import summary_text

    if "already_done" in summary:
        head = f"Already done at {summary['already_done']}; nothing was sent. Use --again to send it again.\n\n"
    else:
        head = ""
    folder = Path(summary["folder"])
    files = "".join(
        f"  {path}\n" for path in sorted(folder.iterdir()) if path.suffix in {".csv", ".parquet", ".json", ".txt"}
    )
    return f"{head}{summary_text(summary)}\n{files}"


def check_text(summary: Mapping[str, Any]) -> str:
    total = max(summary["rows"], 1)
    lines = [f"{summary['input']}: {summary['rows']:,} rows"]
    for status_name, count in summary["statuses"].items():
        if count:
            word = "to be sent" if status_name == "pending" else status_name
            lines.append(f"  {word:<12} {count:>12,}  {100 * count / total:6.2f} %")
    lines += [f"    {count:>12,}  {code}" for code, count in summary["codes"].items()]
    lines.append(
        f"{' + '.join(summary['operations'])}: {summary['planned_orders']:,} orders"
        f" for step 1, about {summary['planned_seconds']:,.0f} s at the given rate"
    )
    if summary["first_rejects"]:
        lines.append(f"first rejects (all: {summary['folder']}):")
        lines += [f'  row {row}: "{cell[:60]}" {code}: {text}' for row, cell, code, text in summary["first_rejects"]]
    lines.append("nothing was sent")
    return "\n".join(lines) + "\n"


def told(error: BatcherError) -> str:
    from batcher.logs import Redactor, visible

    lines = Redactor(secrets()).text(str(error)).split("\n")
    prefix = {CarrierRefused: "stopped: ", CarrierUnavailable: "stopped: "}.get(type(error), "")
    return prefix + "\n".join(map(visible, lines))
