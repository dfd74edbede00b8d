"""Where the runs of a job stand, and what a person decides about a chunk that is parked."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Any

from batcher import operations
from batcher.engine.folder import RunFolder, is_locked, locked, run_folder
from batcher.errors import BatcherError, InputError
from batcher.ledger import ACCEPTED, OPEN_STATES, PARKED, READY, SENDING, UNKNOWN, Head, Ledger, Readings
from batcher.model import Order

_ORDER_ID = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)


def standing(folder: RunFolder, job: Path) -> dict[str, Any]:
    """One run: its state, its chunks by state, what is parked, and what to do next.

    `job` is the job file, or the output folder of runs that have none.
    """
    try:
        ledger = Readings(folder.ledger)
    except BatcherError as error:
        return {"run": folder.run_id, "state": str(error), "rows": 0, "chunks": {}, "parked": [], "next": None}
    try:
        row, chunks, attempts = ledger.run(), ledger.chunks_by_state(), ledger.attempts()
        parked = [ledger.head(number) for step in ledger.steps() for number in ledger.numbers(step["number"], PARKED)]
    finally:
        ledger.close()
    pid = attempts[-1]["facts"].get("pid") if attempts and attempts[-1]["ended"] is None else None
    if pid and is_locked(folder.path.parent):
        state, following = f"under way (pid {pid})", None
    elif not row["judged"]:
        state, following = "was stopped while the input was read", again(job)
    elif row["finished"] is not None:
        state, following = f"finished (exit {row['exit_code']})", None
    elif row["retired"] is not None:
        state, following = f"retired ({row['retired']})", None
    elif parked:
        state, following = "unfinished", f"batcher resolve {job} {parked[0].number} --run {folder.run_id}"
        if chunks.keys() & set(OPEN_STATES) - {PARKED}:
            following = f"{again(job)} (then {following})"
    else:
        state, following = "unfinished", again(job)
    return {
        "run": row["id"],
        "state": state,
        "rows": row["facts"].get("rows", 0),
        "chunks": {
            name: chunks[name] for name in (*OPEN_STATES, *sorted(set(chunks) - set(OPEN_STATES))) if name in chunks
        },
        "parked": [{"chunk": head.number, "rows": head.rows, "why": head.why} for head in parked],
        "next": following,
    }


def again(job: Path) -> str:
    """The command that goes on with a run."""
    return "the batcher run command that began it" if job.is_dir() else f"batcher run {job}"


def resolve(output: Path, run_id: str | None, number: int, *, order_id: str | None, not_sent: bool) -> str:
    """What is known of a chunk, as text; with `order_id` or `not_sent` it is decided by a person.

    InputError when it is in no doubt.
    """
    folder = run_folder(output, run_id)
    with locked(output):
        ledger = Ledger(folder.ledger)
        try:
            head = ledger.head(number)
            if order_id or not_sent:
                _check_open(ledger, head)
            if order_id:
                if not isinstance(operations.get(ledger.steps()[head.step - 1]["operation"]).talk, Order):
                    raise InputError(
                        f"Chunk {number} makes no order: the next start reads its record back, or --not-sent."
                    )
                if not _ORDER_ID.fullmatch(order_id):
                    raise InputError(f'--order "{order_id}" is no order id (letters, digits and dashes).')
                ledger.found(number, order_id, by="a person")
            elif not_sent:
                ledger.release(number)
            return _evidence(ledger, number)
        finally:
            ledger.close()


def _check_open(ledger: Ledger, head: Head) -> None:
    """InputError unless a person may decide about the chunk; an order that one named wrongly is in doubt again."""
    if ledger.run()["retired"] is not None:
        raise InputError(f"{ledger.path.parent.name} was superseded: nothing of it is sent or asked for any more.")
    found = [json.loads(event["detail"]) for event in ledger.events(head.number) if event["what"] == "found"]
    is_named = bool(found) and found[-1].get("by") == "a person"
    if head.state == ACCEPTED and is_named and head.status is None:
        ledger.park(head.number, "a person decides again; the carrier has not shown the order yet")
    elif head.state == SENDING:
        raise InputError(
            f"Chunk {head.number} was on its way when the process ended: the next start looks it up at the carrier. "
            "Decide when that was of no use."
        )
    elif head.state not in {PARKED, UNKNOWN}:
        raise InputError(f"Chunk {head.number} is {head.state}: nothing about it is in doubt.")


def _evidence(ledger: Ledger, number: int) -> str:
    head = ledger.head(number)
    lines = [
        f"chunk {head.number} of step {head.step}: {head.state}",
        f"  rows {head.first_row:,} to {head.last_row:,} ({head.rows:,} of them)",
        f"  CustomerOrderId {head.customer_order_id}   order {head.order_id or 'not known'}",
    ]
    if head.why:
        lines.append(f"  why: {head.why}")
    for event in ledger.events(number):
        when = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(event["at"]))
        detail = ", ".join(f"{key} {value}" for key, value in json.loads(event["detail"] or "{}").items() if value)
        lines.append(f"  {when}  {event['what']}{f' ({detail})' if detail else ''}")
    if head.state in {PARKED, UNKNOWN}:
        lines.append(
            "Search the carrier's orders for the CustomerOrderId: --order ID if it is there, --not-sent if it is not."
        )
    elif head.state == SENDING:
        lines.append("It was on its way when the process ended: the next start looks it up.")
    elif head.state == ACCEPTED:
        lines.append("The next start asks the carrier for this order.")
    elif head.state == READY:
        lines.append("The next start sends it, with the same CustomerOrderId (past limits.max_age with --stale alone).")
    return "\n".join(lines) + "\n"
