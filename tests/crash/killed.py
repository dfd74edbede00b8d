"""The real program, killed at a named point: `python -m tests.crash.killed POINT OCCURRENCE -- run job.toml`.

Points lie before and after every transaction of the ledger, every write to the carrier, every renaming of a file and
the other steps in between; the classes are patched in this process, so that the product knows none of it. `-` kills
nowhere. At its point the process sends itself a real SIGKILL.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import anyio

from batcher import __main__
from batcher.carrier import breaker
from batcher.carrier.client import Client, Timeouts
from batcher.carrier.converse import Conversation
from batcher.engine import attempt, superseded
from batcher.engine.job import Step
from batcher.errors import BatcherError
from batcher.ledger import Ledger
from batcher.model import Answer, Request
from tests.crash.planted import BUGS, SILENT

#: No point: the run goes on to its end.
NOWHERE = "-"
#: How the process is set up, besides the command line.
ROWS, BUG, TRACE, HASTE, PATIENCE = (f"CRASH_{name}" for name in ("ROWS", "BUG", "TRACE", "HASTE", "PATIENCE"))
#: What ends the doubt about a chunk that was meant to be sent.
RECORDED = ("accept", "unsend", "doubt", "refuse", "halve", "settle")


class Points:
    """Counts the points that are passed, writes them down, and kills at one of them."""

    def __init__(self, point: str, occurrence: int, trace: str | None) -> None:
        self._last = (point, occurrence)
        self._seen: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._trace = os.open(trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if trace else None

    def passed(self, point: str, chunk: int | str = "") -> None:
        with self._lock:
            self._seen[point] += 1
            if self._trace is not None:
                os.write(self._trace, f"{point} {chunk}\n".encode())
            if (point, self._seen[point]) == self._last:
                os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: Any, method: str, name: str | None = None) -> None:
        """A point before and one after a plain method or function."""
        original, name = getattr(owner, method), name or method

        @wraps(original)
        def call(*arguments: Any, **named: Any) -> Any:
            chunk = arguments[1] if len(arguments) > 1 and isinstance(arguments[1], int) else ""
            self.passed(f"{name}.before", chunk)
            result = original(*arguments, **named)
            self.passed(f"{name}.after", chunk)
            return result

        setattr(owner, method, call)


def transactions() -> list[str]:
    """The methods of a ledger that write: each is one transaction."""
    return [name for name, value in vars(Ledger).items() if callable(value) and not name.startswith("_")]


def instrument(points: Points) -> None:
    """Points around all that lasts beyond the process, and all that leaves it."""
    for name in transactions():
        points.around(Ledger, name)
    for name in ("write_reports", "write_summary", "_point_latest"):
        points.around(attempt, name, name.lstrip("_"))
    points.around(superseded, "write_summary")
    _around_renames(points)
    _around_writes(points)
    original = Conversation.audit

    async def audit(self: Conversation, number: int, *, is_last: bool = False) -> None:
        points.passed("audit.before", number)
        await original(self, number, is_last=is_last)
        points.passed("audit.after", number)

    Conversation.audit = audit  # type: ignore[method-assign]


def _around_renames(points: Points) -> None:
    original = Path.replace

    def replace(self: Path, target: Any) -> Path:
        name = f"rename {Path(target).name}"
        points.passed(f"{name}.before")
        result = original(self, target)
        points.passed(f"{name}.after")
        return result

    Path.replace = replace  # type: ignore[method-assign, assignment]


def _around_writes(points: Points) -> None:
    """`before`: no byte has left. `sent`: one may have. `after`: the answer was read whole. `fault`: there was none.

    Nothing is recorded yet.
    """
    original = Client.send

    async def send(self: Client, request: Request, *, on_sent: Callable[[], None] | None = None) -> Answer:
        if request.method == "GET":
            return await original(self, request, on_sent=on_sent)
        name = request.method.lower()

        def sent() -> None:
            points.passed(f"{name}.sent")
            if on_sent is not None:
                on_sent()

        points.passed(f"{name}.before")
        try:
            answer = await original(self, request, on_sent=sent)
        except BatcherError:
            points.passed(f"{name}.fault")
            raise
        points.passed(f"{name}.after")
        return answer

    Client.send = send  # type: ignore[method-assign]


def set_up() -> None:
    """Small chunks, short waits and impatient requests, where the environment asks for them."""
    if rows := os.environ.get(ROWS):
        Step.max_rows = property(lambda step: min(int(rows), step.operation.max_rows(step.settings)))  # type: ignore[assignment]
    if haste := os.environ.get(HASTE):
        sleep, factor = anyio.sleep, float(haste)

        async def hasten(delay: float) -> None:
            await sleep(delay * factor)

        anyio.sleep = hasten
    if patience := os.environ.get(PATIENCE):
        timeouts = Timeouts(connect=float(patience), read=float(patience), total=2 * float(patience))
        assert Client.__init__.__kwdefaults__ is not None
        Client.__init__.__kwdefaults__["timeouts"] = timeouts
        breaker.FIRST_PAUSE_SECONDS = 0.5


def main(words: Sequence[str]) -> None:
    point, occurrence, dashes, *command = words
    assert dashes == "--", "write POINT OCCURRENCE -- run job.toml"
    set_up()
    if bug := os.environ.get(BUG):
        {**BUGS, **SILENT}[bug]()
    instrument(Points(point, int(occurrence), os.environ.get(TRACE)))
    __main__.main(command)


if __name__ == "__main__":
    main(sys.argv[1:])
