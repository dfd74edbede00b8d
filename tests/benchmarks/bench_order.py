"""CPU of one order of 5,000 TNs on its way to the carrier, part by part, and of the ledger for a million TNs.

Run it alone: `python -m pytest tests/benchmarks/bench_order.py -s`. Prints only: medians of five, in milliseconds of this
process (the simulator has its own), each part by itself, then the submit phase as a whole. That one also holds tasks, log
lines and what a start costs once, and its parts cost more there than by themselves.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lxml import etree

from batcher import logs, operations
from batcher.carrier.auth import Authorization, Basic, Secret
from batcher.carrier.client import Client
from batcher.carrier.converse import Conversation
from batcher.carrier.limits import Gate
from batcher.carrier.settle import settle
from batcher.carrier.wire import Wire
from batcher.engine.submit import Submission
from batcher.ledger import ACCEPTED, SETTLED, Ledger, planned
from batcher.model import Answer, Chunk, Issue, Reading, Request
from batcher.operations import tn_options
from tests.benchmarks.measured import tns
from tests.carrier.line import new_ledger
from tests.processes import simulator

ROWS, ORDERS, RUNS = 5_000, 100, 5
TNS = tns(ROWS * ORDERS) + 10_000_000_000


@contextmanager
def timed(into: list[float]) -> Generator[None]:
    """Milliseconds of CPU of this process."""
    started = time.process_time()
    try:
        yield
    finally:
        into.append((time.process_time() - started) * 1e3)


def median_of(work: Callable[[], object], each: int = 1) -> float:
    """Milliseconds of CPU for one of `each` things that `work` does."""
    found: list[float] = []
    for _ in range(RUNS):
        with timed(found):
            work()
    return statistics.median(found) / each


def groups_of(count: int) -> tuple[dict[str, str], ...]:
    return tuple({"final_destination_uri": f"desk{n}@192.0.2.{n % 250}"} for n in range(count))


def plan(path: Path, groups: int) -> Ledger:
    """A ledger in which every order is planned and none sent."""
    group = np.arange(ROWS) % groups
    chunks = [
        planned(
            1,
            rows=np.arange(first + 1, first + ROWS + 1),
            tns=TNS[first : first + ROWS],
            envelope={},
            groups=groups_of(groups),
            group=group,
        )
        for first in range(0, ROWS * ORDERS, ROWS)
    ]
    return new_ledger(path, "tn-options", chunks)


def client_at(address: str) -> Client:
    return Client(f"{address}/api/v2", "9900012", Authorization(Basic("simulated", Secret("simulated-password"))))


async def exchanged(client: Client, chunk: Chunk) -> tuple[Answer, Answer]:
    """The answers to the post of an order and to one poll of it."""
    posted = await client.send(Request("POST", "tnoptions", body=tn_options.build(chunk, "v2")))
    order_id = tn_options.read(posted).order_id
    assert order_id is not None
    return posted, await client.send(tn_options.poll(order_id, "v2"))


async def wire_cost(client: Client, chunk: Chunk) -> float:
    """POST and GET, without building and reading."""
    body, found = tn_options.build(chunk, "v2"), []
    for _ in range(RUNS):
        spent: list[float] = []
        for _ in range(20):
            with timed(spent):
                posted = await client.send(Request("POST", "tnoptions", body=body))
            request = tn_options.poll(tn_options.read(posted).order_id or "", "v2")
            with timed(spent):
                await client.send(request)
        found.append(sum(spent) / 20)
    return statistics.median(found)


def ledger_cost(folder: Path, groups: int, issues: Callable[[Chunk], bytes | None] = lambda _: None) -> float:
    """Everything that the ledger is asked and told for one order, as a Submission does it."""
    found: list[float] = []
    for run in range(RUNS):
        ledger = plan(folder / f"{groups}-{run}.db", groups)
        with timed(found):
            for number in range(1, ORDERS + 1):
                _, chunk, _ = ledger.chunk(number)
                attempt = ledger.intend(number)
                ledger.accept(number, attempt, f"ef945508-{number}", "RECEIVED", None)
                assert ledger.head(number).state == ledger.head(number).state == ACCEPTED
                ledger.kept(number)
                ledger.settle(number, "COMPLETE", issues(chunk))
                assert ledger.head(number).state == SETTLED
        ledger.close()
    return statistics.median(found) / ORDERS


async def phase_cost(folder: Path, groups: int) -> float:
    """The submit phase as a whole: all orders, as fast as they go."""
    found: list[float] = []
    for run in range(RUNS):
        ledger = plan(folder / f"phase-{groups}-{run}.db", groups)
        with simulator() as address:
            async with client_at(address) as client:
                conversation = Conversation(
                    operations.get("tn-options"),
                    Wire(client, Gate(100_000)),
                    ledger,
                    api="v2",
                    step=1,
                    fill=lambda chunk: chunk,
                    absence_seconds=60,
                )
                submission = Submission(conversation, rate=100_000, in_flight=None, settled=lambda _: None)
                with timed(found):
                    await submission.run()
        assert ledger.chunks_by_state() == {SETTLED: ORDERS}
        ledger.close()
    return statistics.median(found) / ORDERS


@pytest.fixture(autouse=True)
def log():
    """As in a run: lines are made, and nobody reads them."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        logs.configure(nowhere, json=False, level="info", colors=False)
        yield


@pytest.mark.timeout(600)
@pytest.mark.parametrize("groups", [1, 40])
async def test_an_order(tmp_path, groups):
    """T7 and T10: build, POST and GET, parse and ledger; the reading back of the request stands apart."""
    chunk = Chunk(
        1, 1, "b-abcdefghij-1", np.arange(1, ROWS + 1), TNS[:ROWS], {}, groups_of(groups), np.arange(ROWS) % groups
    )
    body = tn_options.build(chunk, "v2")
    with simulator() as address:
        async with client_at(address) as client:
            answers = await exchanged(client, chunk)
            wire = await wire_cost(client, chunk)

    def twenty(call: Callable[[], object]) -> float:
        return median_of(lambda: [call() for _ in range(20)], 20)

    build, again = twenty(partial(tn_options.build, chunk, "v2")), twenty(partial(tn_options.verify, body, chunk, "v2"))
    parse = [twenty(partial(tn_options.read, answer)) for answer in answers]
    bare = [twenty(partial(etree.fromstring, answer.body)) for answer in answers]
    ledger, whole = ledger_cost(tmp_path, groups), await phase_cost(tmp_path, groups)
    parts = build + wire + sum(parse) + ledger
    print(f"\nan order of {ROWS:,} TNs in {groups} group(s), {len(body):,} bytes; CPU in ms, medians of {RUNS}")
    print(f"  build                {build:6.3f}")
    print(
        f"  POST and GET         {wire:6.3f}   answers of {len(answers[0].body):,} and {len(answers[1].body):,} bytes"
    )
    for name, own, lxml in zip(("POST", "GET"), parse, bare, strict=True):
        print(f"  parse, answer to {name:4}{own:6.3f}   bare lxml.fromstring {lxml:.3f}: {own / lxml:.2f} x")
    print(f"  ledger               {ledger:6.3f}")
    print(
        f"  sum of these         {parts:6.3f}   less the answer to the POST, were it not echoed: {parts - parse[0]:.3f}"
    )
    print(f"  reading back         {again:6.3f}   (apart)")
    print(f"  the submit phase     {whole:6.3f}   in all; {whole - parts - again:.3f} unexplained by the parts")


@pytest.mark.timeout(600)
def test_the_ledger(tmp_path):
    """T11: CPU seconds of the ledger for 200 orders, when all succeed and when every row fails by name."""

    def by_name(chunk: Chunk) -> bytes | None:
        listed = [Issue("error", tn, "5074", "Telephone number is not in service.") for tn in chunk.tns.tolist()]
        return settle(chunk, Reading(status="FAILED", issues=listed)).packed()

    cases: Sequence[tuple[str, Any]] = (("all succeed", lambda _: None), ("every row fails", by_name))
    print()
    for name, issues in cases:
        (tmp_path / name).mkdir()
        milliseconds = ledger_cost(tmp_path / name, 40, issues)
        print(
            f"ledger, {name:16} {milliseconds * 200 / 1e3:6.3f} CPU s for a million TNs ({milliseconds:.3f} ms an order)"
        )
