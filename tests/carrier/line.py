"""The whole line to a simulated carrier for one test: server, client, wire, ledger and the chunks planned in it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import numpy as np

from batcher import operations
from batcher.carrier.auth import Authorization, Basic, Secret
from batcher.carrier.client import DEFAULT_TIMEOUTS, Client, Timeouts
from batcher.carrier.converse import Conversation
from batcher.carrier.limits import Gate
from batcher.carrier.settle import Settlement, unpack_settlement
from batcher.carrier.wire import Wire
from batcher.engine.submit import Submission
from batcher.ledger import Head, Ledger, Planned, Readings, planned
from batcher.simulator import Account, Fault, Options, create_app, serve

PREFIX = "abcdefghij"
#: +1 919 555 0100 and its neighbours
FIRST_TN = 19195550100


def lot(
    *tns: int,
    first_row: int = 1,
    values: Sequence[Mapping[str, str]] = ({"sms": "on"},),
    group: Sequence[int] | None = None,
    envelope: Mapping[str, str] | None = None,
) -> Planned:
    """A chunk of step 1 as planning writes it; rows follow one another from `first_row`."""
    return planned(
        1,
        rows=np.arange(first_row, first_row + len(tns)),
        tns=np.array(tns, np.int64),
        envelope=envelope or {},
        groups=values,
        group=np.array(group or [0] * len(tns), np.int64),
    )


def lots(count: int, **more: Any) -> list[Planned]:
    """That many chunks of one TN each, from FIRST_TN on."""
    return [lot(FIRST_TN + place, first_row=place + 1, **more) for place in range(count)]


@dataclass
class Line:
    """What a test holds in its hands; `start` is another attempt at what the ledger holds."""

    url: str
    account: Account
    client: Client
    wire: Wire
    ledger: Ledger
    conversation: Conversation

    def start(self, *, rate: float = 1000.0, in_flight: int | None = None) -> Submission:
        """A submission of step 1; its `settled` is not looked at."""
        return Submission(self.conversation, rate=rate, in_flight=in_flight, settled=lambda _: None)

    async def run(self, **more: Any) -> None:
        """Send, poll and settle everything."""
        await self.start(**more).run()

    async def execute(self, number: int) -> None:
        """The carrier executes a chunk of which the ledger only knows the intent: what a killed process leaves."""
        self.ledger.intend(number)
        await self.post(number)

    async def post(self, number: int) -> None:
        """The request of a chunk, sent past the ledger."""
        await self.client.send(self.talk.post(self.ledger.chunk(number)[1], "v2"))

    @property
    def talk(self) -> Any:
        """How the operation talks."""
        return self.conversation.operation.talk

    def heads(self) -> list[Head]:
        """All chunks by number; through a connection of its own, since the ledger's may be in use."""
        readings = Readings(self.ledger.path)
        try:
            return sorted(readings.heads(1), key=lambda head: head.number)
        finally:
            readings.close()

    def states(self) -> list[str]:
        """State of every chunk, by number."""
        return [head.state for head in self.heads()]

    def outcome(self, number: int) -> Settlement:
        """What the ledger keeps of a chunk's end."""
        return unpack_settlement(self.ledger.issues(number))

    def failed(self, number: int) -> dict[int, tuple[int, str, str]]:
        """(status, code, text) of the positions that did not simply succeed."""
        end = self.outcome(number)
        pairs = zip(end.position.tolist(), end.message.tolist(), strict=True)
        return {position: end.messages[message] for position, message in pairs}

    async def executed(self) -> Any:
        """The simulator's own count."""
        return await self._look("executed")

    async def arrivals(self, method: str) -> int:
        """How many such requests came."""
        return [name for _, name in await self._look("arrivals")].count(method)

    async def until(self, happened: Callable[[], bool]) -> None:
        """Wait for something that tells nobody."""
        while not happened():  # ruff: ignore[async-busy-wait]
            await anyio.sleep(0.005)

    async def executes(self, writes: int) -> None:
        """Wait until the simulator has executed so many writes."""
        await self.until(lambda: self.account.executions >= writes)

    async def _look(self, what: str) -> Any:
        async with aiohttp.ClientSession() as session, session.get(f"{self.url}/_simulator/{what}") as response:
            return await response.json()


def new_ledger(path: Path, operation: str, chunks: Sequence[Planned]) -> Ledger:
    """A run of one step, planned and not sent."""
    ledger = Ledger(path)
    ledger.create_run("20261120T020000Z-4f2a9c", digest="d", prefix=PREFIX, facts={}, steps=[(operation, {})])
    ledger.begin_plan(1)
    ledger.add_chunks(chunks)
    ledger.end_plan(1)
    return ledger


@asynccontextmanager
async def line(
    folder: Path,
    chunks: Sequence[Planned] | None,
    *,
    operation: str = "tn-options",
    account: Account | None = None,
    options: Mapping[str, Any] | None = None,
    faults: Sequence[Fault] = (),
    authorization: Authorization | None = None,
    timeouts: Timeouts = DEFAULT_TIMEOUTS,
    rate: float = 1000.0,
    absence_seconds: float = 0.2,
    secret: dict[str, str] | None = None,
    base: str | None = None,
    middlewares: Sequence[Any] = (),
) -> AsyncGenerator[Line]:
    """A simulator and everything that speaks to it. Without `chunks` the ledger of an earlier line goes on.

    `base` is spoken to instead of the simulator.
    """
    account = account or Account(Options(**(options or {})))
    app = create_app(account, faults=faults)
    app.middlewares.extend(middlewares)
    path = folder / "ledger.db"
    ledger = Ledger(path) if chunks is None else new_ledger(path, operation, chunks)
    authorization = authorization or Authorization(Basic("jbm", Secret("secret")))
    try:
        async with (
            serve(app) as url,
            Client(f"{base or url}/api/v2", "9900012", authorization, timeouts=timeouts) as client,
        ):
            wire = Wire(client, Gate(rate))
            conversation = Conversation(
                operations.get(operation),
                wire,
                ledger,
                api="v2",
                step=1,
                fill=lambda chunk: replace(
                    chunk, groups=tuple({**values, **(secret or {})} for values in chunk.groups)
                ),
                absence_seconds=absence_seconds,
            )
            yield Line(url, account, client, wire, ledger, conversation)
    finally:
        ledger.close()
