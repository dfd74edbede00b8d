"""Four records of one run, compared: the simulator's, the ledger's, the results, and what was done to it.

Nothing here goes through the program's own reading of its ledger or of the carrier's answers.
"""

from __future__ import annotations

import base64
import csv
import json
import re
import sqlite3
import urllib.request
import zlib
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.crash.drive import Trial

_TN = re.compile(r"<TelephoneNumber>\+([0-9]+)</TelephoneNumber>")
_SUMMARY = re.compile(
    r"<CustomerOrderId>([^<]*)</CustomerOrderId>(?:(?!</TnOptionOrderSummary>).)*?<OrderId>([^<]*)</OrderId>"
    r"|<OrderId>([^<]*)</OrderId>(?:(?!</TnOptionOrderSummary>).)*?<CustomerOrderId>([^<]*)</CustomerOrderId>",
    re.DOTALL,
)
#: Faults of a POST or PUT that let nothing be executed, whose answer does not say what became of it.
_UNEXECUTED, _MUTE = (
    {"reset_before", "status"},
    {"reset_before", "reset_after", "truncate", "garbage", "status_after", "hang"},
)


@dataclass
class Verdict:
    """What the comparison found."""

    lost: int = 0
    doubled: int = 0
    #: everything that does not fit, in words
    faults: list[str] = field(default_factory=list)

    def expect(self, what: str, found: object, wanted: object) -> None:
        if found != wanted:
            self.faults.append(f"{what}: {found!r}, expected {wanted!r}")


def chunks(folder: Path) -> list[dict[str, Any]]:
    """Heads of the chunks in the ledger of the only run."""
    (ledger,) = folder.glob("out/2*/ledger.db")
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute("SELECT * FROM chunk ORDER BY number")]


def events(folder: Path) -> Counter[str]:
    (ledger,) = folder.glob("out/2*/ledger.db")
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as db:
        return Counter(what for (what,) in db.execute("SELECT what FROM event"))


def audited(folder: Path) -> set[int]:
    """Chunks that were looked up after they had come to rest."""
    (ledger,) = folder.glob("out/2*/ledger.db")
    query = "SELECT chunk FROM event WHERE what = 'audited' GROUP BY chunk"
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as db:
        return {chunk for (chunk,) in db.execute(query)}


def journal(folder: Path) -> list[tuple[str, str]]:
    """(operation or location, body) of everything that the simulator executed."""
    path = folder / "journal"
    entries = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [
        (str(entry.get("sippeer_id", "")), zlib.decompress(base64.b64decode(entry["body"])).decode())
        for entry in entries
    ]


def executed_orders(run: Trial) -> dict[str, list[str]]:
    """Order ids by CustomerOrderId, as the carrier lists them (asked until no fault comes between)."""
    request = urllib.request.Request(
        f"{run.address}/api/v2/accounts/9900012/tnoptions", headers={"Authorization": "Basic YTpi"}
    )
    for _ in range(50):
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                text = answer.read().decode()
                break
        except OSError:
            continue
    else:
        raise AssertionError("the simulator's list cannot be read")
    found: dict[str, list[str]] = {}
    for first, order, other, second in _SUMMARY.findall(text):
        found.setdefault(first or second, []).append(order or other)
    return found


def compare(run: Trial, undisturbed: bytes) -> Verdict:
    """All that the four records say about each other."""
    verdict = Verdict()
    lines = list(csv.DictReader(run.results().decode().splitlines()))
    executions = journal(run.folder)
    verdict.expect("simulator: executions", run.executed()["executions"], len(executions))
    _judge_rows(verdict, run, lines)
    if run.case.has_orders:
        _judge_orders(verdict, run, lines, executions)
    else:
        _judge_writes(verdict, run, lines, executions)
    _judge_ledger(verdict, run, executions)
    if run.results() != undisturbed:
        verdict.faults.append("results.csv is not that of an undisturbed run")
    return verdict


def _judge_rows(verdict: Verdict, run: Trial, lines: list[dict[str, str]]) -> None:
    """Results: each row once, in order, with the status that it has to have."""
    rows = Counter(int(line["row"]) for line in lines)
    ends = {int(line["row"]): line["status"] for line in lines}
    wanted = run.case.statuses
    lost = [row for row, status in enumerate(wanted, 1) if rows[row] != 1 or ends[row] != status]
    verdict.lost += len(lost)
    verdict.expect("results: rows", [int(line["row"]) for line in lines], list(range(1, len(wanted) + 1)))
    verdict.expect("results: rows with another status", [(row, ends.get(row)) for row in lost], [])


def _judge_orders(verdict: Verdict, run: Trial, lines: list[dict[str, str]], executions: list[tuple[str, str]]) -> None:
    """Simulator, ledger and results name the same orders with the same TNs, each once."""
    tns = [_TN.findall(body) for _, body in executions]
    times = Counter(tn for order in tns for tn in order)
    verdict.doubled = sum(count > 1 for count in times.values())
    said = run.executed()
    verdict.expect("simulator: TNs", said["tns"], len(times))
    verdict.expect("simulator: TNs executed twice", said["doubled_tns"], [])
    verdict.expect("simulator: ids executed twice", said["doubled_customer_order_ids"], [])
    changed = {line["tn"].lstrip("+"): line["order_id"] for line in lines if line["order_id"]}
    missing = [line["tn"] for line in lines if line["status"] == "succeeded" and line["tn"].lstrip("+") not in times]
    verdict.lost += len(missing)
    verdict.expect("results: succeeded, and never executed", missing, [])
    verdict.expect("simulator: executed, and without an order in the results", sorted(set(times) - set(changed)), [])
    listed = executed_orders(run)
    heads = {chunk["customer_order_id"]: [chunk["order_id"]] for chunk in chunks(run.folder) if chunk["order_id"]}
    verdict.expect("orders by CustomerOrderId, simulator and ledger", listed, heads)
    in_orders = {order_id for (order_id, *_) in heads.values()}
    verdict.expect("orders, results and ledger", {*changed.values()} - {""}, in_orders)


def _judge_writes(verdict: Verdict, run: Trial, lines: list[dict[str, str]], executions: list[tuple[str, str]]) -> None:
    """Each record that succeeded was written once; questions change nothing."""
    times = Counter(peer for peer, _ in executions)
    verdict.doubled = sum(count > 1 for count in times.values())
    verdict.expect("simulator: records written twice", [peer for peer, count in times.items() if count > 1], [])
    if "peer" in run.case.lines[0]:
        succeeded = {run.case.lines[int(line["row"])] for line in lines if line["status"] == "succeeded"}
        verdict.lost += len(succeeded - set(times))
        verdict.expect("records written", set(times), succeeded)
    else:
        verdict.expect("simulator: executions", len(executions), 0)


def _judge_ledger(verdict: Verdict, run: Trial, executions: list[tuple[str, str]]) -> None:
    """Every chunk at rest, and no more doubt and no more tries than what was done to the run explains."""
    heads, happened = chunks(run.folder), events(run.folder)
    # What the run does not want to send, or cannot decide, stays where it is.
    left = {3: {"READY"}, 4: {"RETIRED", "PARKED"}}.get(run.case.exit_code, set())
    at_rest = {"SETTLED", "REFUSED", *left}
    open_ones = [(head["number"], head["state"]) for head in heads if head["state"] not in at_rest]
    verdict.expect("ledger: chunks that are not at rest", open_ones, [])
    kinds = Counter(kind for kind, _, method, _ in map(str.split, played(run.folder)) if method in {"POST", "PUT"})
    attempts = sum(head["attempt"] for head in heads)
    if run.case.has_orders:
        doubtful = {head["number"] for head in heads if head["order_id"] and (head["doubted"] or head["attempt"] > 1)}
        verdict.expect("ledger: chunks to be looked up at the end, and not", doubtful - audited(run.folder), set())
    verdict.expect("ledger: attempts and events", happened["sending"], attempts)
    came = run.arrived()
    arrived = came["POST"] + came["PUT"]
    # What died between its intent and its answer may, or may not, have come to the carrier.
    if not 0 <= attempts - arrived <= run.in_doubt:
        verdict.faults.append(f"{attempts} sent by the ledger, {arrived} came, {run.in_doubt} died in between")
    doubted = sum(head["doubted"] for head in heads)
    explained = run.in_doubt + sum(kinds[kind] for kind in _MUTE)
    if doubted > explained:
        verdict.faults.append(f"{doubted} chunks were in doubt, and {explained} doubts were injected")
    if run.case.has_orders and len(run.case.job.split("[[step]]")) == 2:
        refused = sum(head["state"] == "REFUSED" and head["attempt"] > 0 for head in heads)
        unexecuted = sum(kinds[kind] for kind in _UNEXECUTED)
        if not 0 <= arrived - len(executions) - unexecuted <= refused + run.in_doubt:
            verdict.faults.append(
                f"{arrived} came, {len(executions)} were executed; {unexecuted} faults and {refused} refusals explain less"
            )


def played(folder: Path) -> list[str]:
    """The faults that the simulator played: kind, status, method and path of each."""
    return (folder / "faults").read_text().splitlines()
