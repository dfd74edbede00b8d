"""How a run ended, in numbers: the exit code, and the object and text of the summary."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from batcher.amount import amount
from batcher.carrier.settle import unpack_settlement
from batcher.engine.folder import RunFolder
from batcher.engine.job import Limits
from batcher.ledger import SETTLED, Head, Ledger
from batcher.spool import private_file

#: Counts by code that the summary tells, most frequent first.
_MOST_CODES = 50
#: Of these, so many in its text.
_SHOWN_CODES = 12
_ORDER_OF_STATUSES = ("succeeded", "failed", "rejected", "duplicate", "skipped", "unknown", "pending")


@dataclass
class Tally:
    """What was counted while the reports were written."""

    rows: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    #: (status, code) of everything that did not simply succeed
    codes: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: (source, code)
    warnings: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: (row, input, description) of the first rejects of each code
    examples: dict[str, list[tuple[int, str, str]]] = field(default_factory=dict)


def exit_code(tally: Tally, limits: Limits, *, doubled: bool) -> int:
    """What a run that nothing stopped ends with."""
    if doubled:
        return 5
    if tally.statuses["unknown"] or tally.statuses["pending"]:
        return 4
    for status, tolerated in (("rejected", limits.tolerated_rejects), ("failed", limits.tolerated_failures)):
        allowed = tolerated if tolerated >= 1 else tolerated * tally.rows
        if tally.statuses[status] > allowed:
            return 1
    return 0


def summarize(folder: RunFolder, ledger: Ledger, tally: Tally, code: int) -> dict[str, Any]:
    """The object of summary.json."""
    row, attempts = ledger.run(), ledger.attempts()
    seconds = sum(attempt["facts"].get("seconds", 0.0) for attempt in attempts)
    settled = tally.statuses["succeeded"] + tally.statuses["failed"]
    halved = ledger.halved_heads()
    return {
        "run": row["id"],
        "job": row["facts"]["job"],
        "operations": [step["operation"] for step in ledger.steps()],
        "account_id": row["facts"]["account_id"],
        "base_url": row["facts"]["base_url"],
        "api": row["facts"]["api"],
        "input": row["facts"]["input"],
        "input_sha256": row["facts"]["input_sha256"],
        "rows": tally.rows,
        "oddities": row["facts"]["oddities"],
        "statuses": {status: tally.statuses[status] for status in _ORDER_OF_STATUSES},
        "codes": counted(tally.codes),
        "warnings": counted(tally.warnings),
        "orders": ledger.orders_by_status(),
        "doubled_orders": [ids for _, ids in ledger.doubles()],
        #: chunks of which the list of orders did not show whether they were executed once
        "unlisted_chunks": ledger.unlisted(),
        #: orders whose refusal named nobody were sent again in halves: how many those were, and the rows that went through
        "halved_orders": len(halved),
        "rows_saved_by_halving": sum(map(_saved, halved, map(ledger.issues, [head.number for head in halved]))),
        "attempts": len(attempts),
        "killed_attempts": sum(attempt["ended"] is None for attempt in attempts),
        "requests": sum(attempt["facts"].get("requests", 0) for attempt in attempts),
        "throttled": sum(attempt["facts"].get("throttled", 0) for attempt in attempts),
        "seconds": round(seconds, 3),
        "tns_per_second": round(settled / seconds, 1) if seconds else 0.0,
        #: something of it may still be sent or asked for by the same command; or by --stale
        "open": ledger.is_open(),
        "stale": ledger.has_stale(),
        "exit_code": code,
        "folder": str(folder.path),
    }


def _saved(head: Head, issues: bytes | None) -> int:
    """Rows of a half that came to a good end."""
    return head.rows - len(unpack_settlement(issues).position) if head.state == SETTLED else 0


def as_if_sent(tally: Tally) -> Tally:
    statuses = tally.statuses.copy()
    statuses["succeeded"] += statuses.pop("pending", 0)
    return replace(tally, statuses=statuses)


def write_summary(into: Path, summary: Mapping[str, Any], text: str) -> None:
    for name, content in (("summary.json", json.dumps(summary, indent=2) + "\n"), ("summary.txt", text)):
        with private_file(into / name) as file:
            file.write(content.encode(errors="backslashreplace"))  # names of files may be no UTF-8


def summary_text(summary: Mapping[str, Any]) -> str:
    """The summary as people read it."""
    total = max(summary["rows"], 1)
    lines = [f"run {summary['run']}   {summary['job']}   {' + '.join(summary['operations'])}", ""]
    lines += [
        f"  {status:<10} {count:>12,}  {100 * count / total:6.2f} %"
        for status, count in summary["statuses"].items()
        if count
    ]
    lines += [f"  {'rows':<10} {summary['rows']:>12,}", ""]
    for title, counts in (("why", summary["codes"]), ("warnings", summary["warnings"])):
        if counts:
            lines += [f"{title}:", *(f"  {count:>12,}  {name}" for name, count in list(counts.items())[:_SHOWN_CODES])]
            lines += [f"{'':>14}  and {len(counts) - _SHOWN_CODES} more: see summary.json"] * (
                len(counts) > _SHOWN_CODES
            )
            lines.append("")
    if summary["orders"]:
        lines.append(
            "orders: " + ", ".join(f"{count:,} {status or 'open'}" for status, count in summary["orders"].items())
        )
    lines.append(
        f"requests: {summary['requests']:,} (429: {summary['throttled']:,})   seconds: {summary['seconds']:,.1f}   "
        f"TNs per second: {summary['tns_per_second']:,.0f}"
    )
    if summary.get("halved_orders"):
        lines.append(
            f"{summary['halved_orders']:,} orders were halves of refused ones whose errors named nobody: "
            f"{amount(summary['rows_saved_by_halving'], 'row')} saved"
        )
    if doubled := summary.get("doubled_orders"):
        lines.append("EXECUTED MORE THAN ONCE: " + "; ".join(" and ".join(ids) for ids in doubled))
    if chunks := summary.get("unlisted_chunks"):
        lines.append(
            f"NOT LISTED by the carrier: whether chunks {', '.join(map(str, chunks))} were executed only once is not known"
        )
    if killed := summary.get("killed_attempts"):
        lines.append(f"  without those of {killed} attempts that were killed")
    return "\n".join(lines) + "\n"


def counted(counter: Counter[tuple[str, str]]) -> dict[str, int]:
    """`status CODE` (or `source CODE`) and how often, most frequent first."""
    return {f"{first} {second}".strip(): count for (first, second), count in counter.most_common(_MOST_CODES)}
