"""What goes wrong around a whole run: the four records (executed, ledger, reports, script of faults) agree afterwards."""

from __future__ import annotations

import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiohttp import web

from batcher.carrier.auth import Authorization, OAuth2, Secret
from batcher.carrier.client import Timeouts
from batcher.engine.attempt import report
from batcher.engine.folder import RunFolder
from batcher.engine.identity import Way, opened
from batcher.engine.job import Step
from batcher.errors import BatcherError, Interrupted, StorageFailed
from batcher.ledger import ACCEPTED, READY, SENDING, SETTLED, UNKNOWN, file
from batcher.simulator import Account, Fault, create_app, serve
from tests.carrier.line import line, lots
from tests.carrier.turned import Turned
from tests.engine.runs import SMS, Quiet, StopsAtStart, account, fates, read, runs, start, states, way_to, write_job
from tests.processes import asked, at, batcher, environment, simulator, started

TWO = "TN\n2012000001\n2012000002\n"
ONCE: dict[str, Any] = {"doubled_tns": [], "doubled_customer_order_ids": []}


def post(kind: Any, **more: Any) -> Fault:
    return Fault(kind=kind, method="POST", path="tnoptions", **more)


def way_through(simulated: Account, *middlewares: Any, faults: Any = (), **more: Any) -> Way:
    """The way to an account whose server has these middlewares, or another clock."""

    @asynccontextmanager
    async def open_way(_folder: RunFolder) -> AsyncGenerator[str]:
        app = create_app(simulated, faults=faults, **more)
        app.middlewares.extend(middlewares)
        async with serve(app) as address:
            yield f"{address}/api/v2"

    return replace(way_to(simulated), open=open_way)


@contextmanager
def full_disk(bytes_left: int) -> Generator[None]:
    """No file of this process grows beyond so many bytes (EFBIG, which SQLite calls an I/O error)."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# The carrier executes something twice


def test_a_429_that_lies_is_found_in_the_end(tmp_path, monkeypatch):
    """Executed and answered 429, the order goes out again: the audit finds both, exit 5, both ids in the summary."""

    async def measures_nothing(*_: Any) -> None:
        """It would find the first order's double by chance."""

    monkeypatch.setattr("batcher.carrier.look_up.LookUp.measure", measures_nothing)
    simulated = account()
    lie = post("status_after", status=429, headers={"Retry-After": "0"}, nth=(1,))
    summary = start(write_job(tmp_path, SMS, TWO), way_to(simulated, faults=[lie]))
    assert simulated.executed()["orders"] == 2
    assert summary["exit_code"] == 5
    [ids] = summary["doubled_orders"]
    assert sorted(ids) == sorted(simulated.orders)
    assert "EXECUTED MORE THAN ONCE" in (Path(summary["folder"]) / "summary.txt").read_text("utf-8")


@pytest.mark.parametrize("is_lost", [True, False], ids=["lost", "answered"])
def test_an_order_that_a_proxy_repeats(tmp_path, is_lost):
    """Two orders with one CustomerOrderId are found: one counts, exit 5, both ids in the summary.

    They are looked for when the answer was lost; else the first order shows it, which is looked up to measure the list.
    """
    simulated = account()

    @web.middleware
    async def lose(request: web.Request, handler: Any) -> web.StreamResponse:
        response: web.StreamResponse = await handler(request)
        if is_lost and request.method == "POST" and request.transport is not None:
            request.transport.abort()
        return response

    way = way_through(simulated, lose, faults=[post("twice")])
    summary = start(write_job(tmp_path, SMS, TWO), way)
    assert (summary["exit_code"], summary["statuses"]["succeeded"]) == (5, 2)
    [ids] = summary["doubled_orders"]
    assert sorted(ids) == sorted(simulated.orders)
    assert len(ids) == 2


# What the carrier shows of its orders


def test_an_order_that_is_not_shown_is_left_open(tmp_path):
    """404 for an order of ours until --wait is over: exit 4; it is asked for again, and never sent again."""
    simulated = account()
    job = write_job(tmp_path, SMS, TWO)
    hidden = Fault(kind="status", method="GET", path="tnoptions/*", status=404)
    summary = start(job, way_to(simulated, faults=[hidden]), wait_seconds=0.5)
    assert (summary["exit_code"], fates(summary)) == (4, [("unknown", "ACCEPTED")] * 2)
    assert start(job, way_to(simulated))["statuses"]["succeeded"] == 2
    assert simulated.executed()["orders"] == 1


def test_complete_and_yet_with_errors(tmp_path):
    """Who is named failed, whatever the order is called, and warnings.csv says that it contradicts itself."""
    simulated = account(error=[{"tns": ["+12012000002"], "code": "5074", "text": "not in service"}])

    @web.middleware
    async def complete(request: web.Request, handler: Any) -> web.StreamResponse:
        response: web.StreamResponse = await handler(request)
        if isinstance(response, web.Response) and isinstance(response.body, bytes):
            response.body = response.body.replace(b"PARTIAL", b"COMPLETE")
        return response

    summary = start(write_job(tmp_path, SMS, TWO), way_through(simulated, complete))
    assert fates(summary) == [("succeeded", ""), ("failed", "5074")]
    warned = read(Path(summary["folder"]) / "warnings.csv")
    assert [cells[3:5] for cells in warned] == [
        ["COMPLETE", "the order is COMPLETE and yet names failed telephone numbers"]
    ]


# The connection


@pytest.mark.parametrize("scheme", ["unresolved", "refused", "no handshake"])
async def test_out_of_reach_for_an_hour(tmp_path, scheme):
    """No byte left: no chunk is in doubt, the run ends for later, and the next one sends each chunk once."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        if scheme == "no handshake":
            silent.listen(64)
        port = silent.getsockname()[1]
        base = {"unresolved": "http://carrier.invalid", "refused": f"http://127.0.0.1:{port}"}.get(
            scheme, f"https://127.0.0.1:{port}"
        )
        async with line(tmp_path, lots(3), base=base, timeouts=Timeouts(connect=0.05)) as way:
            clock = Turned.of(way.wire)
            with pytest.raises(BatcherError, match="the same command goes on") as stopped:
                await way.run()
            assert stopped.value.exit_code == 6
            assert clock.now > 3_600
            assert [(head.state, head.doubted, head.resends) for head in way.heads()] == [(READY, False, 0)] * 3
    async with line(tmp_path, None) as way:
        await way.run()
        assert way.states() == [SETTLED] * 3
        assert await way.executed() == {"orders": 3, "tns": 3, "executions": 3, **ONCE}


async def test_a_carrier_that_is_away_for_a_while(tmp_path):
    """While the breaker is open nothing but the canary is tried; when the carrier is back all goes on, each order once."""
    account_there, back = Account(), anyio.Event()
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    async with line(tmp_path, lots(6), base=f"http://127.0.0.1:{port}") as way:
        clock = Turned.of(way.wire)

        async def sleep(seconds: float) -> None:
            await clock.sleep(seconds)
            if clock.now > 600:
                await back.wait()

        way.wire.sleep = sleep
        async with anyio.create_task_group() as group:
            group.start_soon(lambda: way.run(in_flight=1))
            await way.until(lambda: clock.now > 600)
            assert way.wire.breaker.is_open
            tried = way.wire.requests
            async with serve(create_app(account_there), port=port):
                back.set()
                await way.until(lambda: way.states() == [SETTLED] * 6)
        # Five failures, then one try after each of the pauses of 30, 60, 120, 240 and 300 s.
        assert tried <= 10
        assert account_there.executed() == {"orders": 6, "tns": 6, "executions": 6, **ONCE}


async def test_a_carrier_that_never_answers_holds_one_place(tmp_path):
    """The place is free again after the time-out: the others go, and what hung is found and executed once."""
    async with line(tmp_path, lots(4), faults=[post("hang", nth=(1,))], timeouts=Timeouts(total=0.4)) as way:
        await way.run(in_flight=1)
        assert [(head.state, head.doubted) for head in way.heads()] == [(SETTLED, True)] + [(SETTLED, False)] * 3
        assert await way.executed() == {"orders": 4, "tns": 4, "executions": 4, **ONCE}


async def test_slow_answers(tmp_path):
    """Within the time an answer is an answer; beyond it the order is in doubt, and found."""
    faults = [post("slow", seconds=0.1, nth=(1,)), post("slow", seconds=5, nth=(2,))]
    async with line(tmp_path, lots(2), faults=faults, timeouts=Timeouts(total=0.6)) as way:
        await way.run(in_flight=1)
        assert [(head.state, head.doubted, head.resends) for head in way.heads()] == [
            (SETTLED, False, 0),
            (SETTLED, True, 0),
        ]
        assert (await way.executed())["orders"] == 2


HOSTILE = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><TnOptionOrderResponse>&b;</TnOptionOrderResponse>'


POLLS: dict[str, dict[str, Any]] = {
    "reset": {"kind": "reset_before"},
    "truncated": {"kind": "truncate"},
    "HTML": {"kind": "garbage"},
    "hostile XML": {"kind": "status", "status": 200, "body": HOSTILE},
    "malformed XML": {"kind": "status", "status": 200, "body": "<TnOptionOrder>"},
    "empty": {"kind": "status", "status": 200},
    "408": {"kind": "status", "status": 408},
    "500": {"kind": "status", "status": 500},
    "503": {"kind": "status", "status": 503, "headers": {"Retry-After": "0"}},
    "302": {"kind": "status", "status": 302, "headers": {"Location": "/elsewhere"}},
    "404": {"kind": "status", "status": 404},
    "429": {"kind": "status", "status": 429, "headers": {"Retry-After": "0"}},
}


async def test_a_poll_is_repeated(tmp_path):
    """Whatever became of a look at an order: it is asked again, and settles by the first answer that can be read."""

    async def settles(name: str, fault: dict[str, Any]) -> None:
        (tmp_path / name).mkdir()
        faults = [Fault(method="GET", path="tnoptions/*", nth=(1,), **fault)]
        async with line(tmp_path / name, lots(1), faults=faults) as way:
            await way.run()
            ends[name] = (way.states(), way.failed(1), await way.arrivals("POST"))

    ends: dict[str, object] = {}
    async with anyio.create_task_group() as group:
        for name, fault in POLLS.items():
            group.start_soon(settles, name, fault)
    assert ends == dict.fromkeys(POLLS, ([SETTLED], {}, 1))


async def test_hostile_xml_in_answer_to_an_order(tmp_path):
    """It says nothing about what was done: the order is looked up, and found."""
    async with line(tmp_path, lots(1), faults=[post("status_after", status=201, body=HOSTILE)]) as way:
        await way.run()
        assert [(head.state, head.doubted) for head in way.heads()] == [(SETTLED, True)]
        assert (await way.executed())["orders"] == 1


@pytest.mark.parametrize("kind", ["text/html", "application/json", None])
async def test_the_content_type_decides_nothing(tmp_path, kind):
    """An order that can be read is one, however it is labelled."""

    @web.middleware
    async def relabel(request: web.Request, handler: Any) -> web.StreamResponse:
        response: web.StreamResponse = await handler(request)
        if "_simulator" not in request.path:
            response.headers.popall("Content-Type", None)
            if kind is not None:
                response.headers["Content-Type"] = kind
        return response

    async with line(tmp_path, lots(1), middlewares=[relabel]) as way:
        await way.run()
        assert [(head.state, head.doubted) for head in way.heads()] == [(SETTLED, False)]


def later(seconds: float) -> str:
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + seconds))


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        pytest.param(dict, 0, 2, id="no header"),
        pytest.param(lambda: {"X-RateLimit-Reset": "1"}, 0, 1, id="past"),
        pytest.param(lambda: {"X-RateLimit-Reset": f"{time.time() + 7:.0f}"}, 4, 10, id="seconds"),
        pytest.param(lambda: {"X-RateLimit-Reset": f"{1000 * (time.time() + 7):.0f}"}, 4, 10, id="milliseconds"),
        pytest.param(lambda: {"X-RateLimit-Reset": f"{time.time() + 86_400:.0f}"}, 300, 302, id="a day"),
        pytest.param(lambda: {"X-RateLimit-Reset": "soon"}, 0, 2, id="garbage"),
        pytest.param(lambda: {"X-RateLimit-Reset": "9" * 5_000}, 0, 2, id="5,000 digits"),
        pytest.param(lambda: {"Retry-After": "7"}, 7, 8, id="Retry-After"),
        pytest.param(lambda: {"Retry-After": later(7)}, 4, 10, id="Retry-After as a date"),
        pytest.param(lambda: {"Retry-After": "7", "X-RateLimit-Reset": "1"}, 7, 8, id="both"),
    ],
)
async def test_every_shape_of_a_429(tmp_path, headers, least, most):
    """Nobody passes before the reset, nothing is in doubt, no re-send is counted; a reset far away is cut to 300 s."""
    async with line(tmp_path, lots(2), faults=[post("status", status=429, headers=headers(), nth=(1,))]) as way:
        clock = Turned.of(way.wire)
        await way.conversation.send(1)
        assert [(head.state, head.doubted, head.resends) for head in way.heads()] == [(READY, False, 0)] * 2
        began = clock.now
        await way.conversation.send(2)
        assert least <= clock.now - began <= most
        await way.conversation.send(1)
        assert way.states() == [ACCEPTED] * 2
        assert (await way.executed())["orders"] == 2


# Memory


_FLOOD = """
import asyncio, resource, sys
from batcher.carrier.client import Client
from batcher.errors import OutcomeUnknown
from batcher.model import MAX_ANSWER_BYTES, MAX_LIST_BYTES, Request

async def flood(reader, writer):
    await reader.readuntil(b"\\r\\n\\r\\n")
    writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 1000000000\\r\\n\\r\\n")
    try:
        for _ in range(1000):
            writer.write(b"x" * 1_000_000)
            await writer.drain()
    except ConnectionError:
        pass
    writer.close()

async def main():
    server = await asyncio.start_server(flood, "127.0.0.1", 0)
    base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/v2"
    async with Client(base, "9900012", None) as client:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for request in (
            Request("POST", "tnoptions", body=b"<x/>", max_bytes=MAX_ANSWER_BYTES),
            Request("GET", "tnoptions", max_bytes=MAX_LIST_BYTES),
        ):
            try:
                await client.send(request)
            except OutcomeUnknown:
                continue
            raise AssertionError("it was read")
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    server.close()

asyncio.run(main())
"""


def test_an_answer_without_end_does_not_fill_the_memory():
    """A gigabyte in answer to an order, and to a list: less than 100 MB more, server included."""
    ended = subprocess.run([sys.executable, "-c", _FLOOD], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) < 100_000


# Clocks


@pytest.mark.parametrize("days", [-1, 1])
def test_a_clock_that_is_a_day_off(tmp_path, days):
    """The reset of a 429 goes by the carrier's own clock; a lost order is found, an absent one sent again, once each."""
    simulated = account()
    faults = [post("reset_after", nth=(1,)), post("reset_before", nth=(2,))]
    way = way_through(simulated, faults=faults, clock=lambda: time.time() + days * 86_400, rate_limit=20)
    job = write_job(tmp_path, SMS, TWO, limits="[limits]\nrequests_per_second = 200\nabsence_seconds = 0.1\n")
    summary = start(job, way)
    assert (summary["exit_code"], summary["statuses"]["succeeded"]) == (0, 2)
    assert summary["seconds"] < 60
    assert simulated.executed() == {"orders": 1, "tns": 2, "executions": 1, **ONCE}


@pytest.mark.parametrize("days", [-1, 1])
async def test_any_recent_order_is_found_by_a_clock_that_is_a_day_off(tmp_path, monkeypatch, days):
    """Nothing of ours was accepted: the days that are asked for hold an order of today all the same, so absence is proven."""
    async with line(tmp_path, lots(2)) as way:
        await way.post(2)  # somebody's recent order
        way.ledger.doubt(1, way.ledger.intend(1), "reset")
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() + days * 86_400)  # ruff: ignore[shared-clock-mock]
        await way.conversation.look_up(1)
        assert (way.states()[0], way.heads()[0].resends) == (READY, 1)


async def test_a_wall_clock_that_jumps_proves_nothing(tmp_path, monkeypatch):
    """A day that the wall clock skips is no absence: three clean misses still need their seconds."""
    async with line(tmp_path, lots(2), absence_seconds=1000.0) as way:
        await way.conversation.send(2)
        way.ledger.doubt(1, way.ledger.intend(1), "reset")
        waits: list[float] = []

        class EnoughError(Exception):
            pass

        async def jump(seconds: float) -> None:
            waits.append(seconds)
            monkeypatch.setattr(time, "time", lambda: 4_000_000_000.0)  # ruff: ignore[shared-clock-mock]
            if len(waits) > 5:
                raise EnoughError
            await anyio.lowlevel.checkpoint()

        monkeypatch.setattr(anyio, "sleep", jump)
        with pytest.raises(EnoughError):
            await way.conversation.look_up(1)
        assert way.states()[0] == UNKNOWN


# Credentials


async def test_a_token_that_dies_in_the_middle_of_a_run(tmp_path):
    """One new token for all that were under way; no chunk is lost, doubled or in doubt."""
    tokens, posts = 0, 0

    @web.middleware
    async def revoke(request: web.Request, handler: Any) -> web.StreamResponse:
        nonlocal tokens, posts
        tokens += request.path.endswith("oauth2/token")
        posts += request.path.endswith("tnoptions") and request.method == "POST"
        if posts > 4 and request.headers.get("Authorization") == "Bearer simulated-token-1":
            return web.Response(status=401)
        response: web.StreamResponse = await handler(request)
        return response

    options = {"credentials": {"client_id": "me", "client_secret": "invented"}}
    authorization = Authorization(OAuth2("me", Secret("invented")))
    async with line(tmp_path, lots(20), options=options, authorization=authorization, middlewares=[revoke]) as way:
        await way.run(in_flight=8)
        assert tokens == 2
        assert [(head.state, head.attempt, head.doubted) for head in way.heads()] == [(SETTLED, 1, False)] * 20
        assert way.account.executed() == {"orders": 20, "tns": 20, "executions": 20, **ONCE}


async def test_a_token_that_is_limited(tmp_path):
    """A 429 to the request for a token shuts the gate like any other, and nobody asks before its reset."""
    asked: list[float] = []

    @web.middleware
    async def limit(request: web.Request, handler: Any) -> web.StreamResponse:
        if request.path.endswith("oauth2/token"):
            asked.append(time.monotonic())
            if len(asked) == 1:
                await anyio.sleep(0.3)
                return web.Response(status=429, headers={"Retry-After": "2"})
        response: web.StreamResponse = await handler(request)
        return response

    options = {"credentials": {"client_id": "me", "client_secret": "invented"}}
    authorization = Authorization(OAuth2("me", Secret("invented")))
    async with line(tmp_path, lots(9), options=options, authorization=authorization, middlewares=[limit]) as way:
        await way.run()
        assert len(asked) == 2
        assert asked[1] - asked[0] >= 2
        # However many waited for the token, it was one answer.
        assert (way.wire.throttled, way.wire.breaker.failures) == (1, 0)
        assert [(head.state, head.doubted) for head in way.heads()] == [(SETTLED, False)] * 9


# The disk


async def test_nothing_is_sent_without_an_intent_on_the_disk(tmp_path):
    """A disk that takes nothing more stops the run before a byte leaves; with space the same command goes on."""
    async with line(tmp_path, lots(3)) as way:
        with full_disk((tmp_path / "ledger.db-wal").stat().st_size), pytest.raises(StorageFailed) as stopped:
            await way.run()
        assert stopped.value.exit_code == 6
        assert (way.states(), await way.arrivals("POST")) == ([READY] * 3, 0)
        await way.run()
        assert way.states() == [SETTLED] * 3


async def test_an_answer_that_cannot_be_kept(tmp_path, monkeypatch):
    """Executed, and no space to say so: the run ends for later, and the next one finds the order and sends nothing."""
    monkeypatch.setattr("batcher.carrier.recorder._TRIES", 2)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)

    @web.middleware
    async def fill_up(request: web.Request, handler: Any) -> web.StreamResponse:
        response: web.StreamResponse = await handler(request)
        if request.method == "POST":
            size = (tmp_path / "ledger.db-wal").stat().st_size
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, limit[1]))
        return response

    try:
        async with line(tmp_path, lots(1), middlewares=[fill_up]) as way:
            with pytest.raises(StorageFailed):
                await way.conversation.send(1)
            resource.setrlimit(resource.RLIMIT_FSIZE, limit)
            assert (way.states(), way.account.executions) == ([SENDING], 1)
            account_there = way.account
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    async with line(tmp_path, None, account=account_there) as way:
        await way.run()
        assert [(head.state, head.attempt) for head in way.heads()] == [(SETTLED, 1)]
        assert (await way.executed())["orders"] == 1


def test_reports_that_do_not_fit(tmp_path):
    """Exit 6 with everything settled in the ledger; `report` writes them when there is space, and nothing is sent again."""
    simulated = account()
    job = write_job(tmp_path, SMS, "TN\n" + "".join(f"{2012000000 + row}\n" for row in range(5_000)))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)

    class Fills(Quiet):
        def stop(self) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limit[1]))

    try:
        with pytest.raises(StorageFailed, match="cannot be written") as stopped:
            start(job, way_to(simulated), Fills())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert stopped.value.exit_code == 6
    [folder] = runs(job)
    assert states(folder) == {"SETTLED": 1}
    assert report(job.output_path, None, job)["statuses"]["succeeded"] == 5_000
    assert start(job, way_to(simulated))["statuses"]["succeeded"] == 5_000
    assert simulated.executions == 1


def test_a_ledger_that_somebody_else_holds(tmp_path, monkeypatch):
    """Another process in a transaction: exit 6 after a wait, and nothing is sent; then the same command goes on."""
    simulated = account()
    job = write_job(tmp_path, SMS, TWO)
    with pytest.raises(Interrupted):
        start(job, way_to(simulated), StopsAtStart())
    monkeypatch.setattr(file, "BUSY_SECONDS", 0.1)
    hold = (
        "import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "db.execute('BEGIN IMMEDIATE')\nprint('held', flush=True)\nsys.stdin.read()\n"
    )
    path = runs(job)[0] / "ledger.db"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(StorageFailed, match="locked") as stopped:
            start(job, way_to(simulated))
        other.communicate("")
    assert stopped.value.exit_code == 6
    assert simulated.executions == 0
    assert start(job, way_to(simulated))["statuses"]["succeeded"] == 2


async def test_a_ledger_that_is_taken_in_the_middle(tmp_path, monkeypatch):
    """An intent that has to wait too long is none: nothing is sent."""
    monkeypatch.setattr(file, "BUSY_SECONDS", 0.1)
    async with line(tmp_path, lots(2)) as way:
        with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageFailed, match="locked"):
                await way.run()
            assert await way.arrivals("POST") == 0
        await way.run()
        assert way.states() == [SETTLED] * 2


def test_an_output_folder_that_vanishes(tmp_path):
    """It takes the ledger with it: the run stops, and sends nothing more."""
    simulated = account()
    job = write_job(tmp_path, SMS, TWO)

    class Removes(Quiet):
        def start(self, title: str, rows: int, done: int) -> None:
            shutil.rmtree(job.output_path)

    with pytest.raises(StorageFailed) as stopped:
        start(job, way_to(simulated), Removes())
    assert stopped.value.exit_code == 6
    assert simulated.executions == 0


# Starts


_FIFTY = """
import os, sys, time
import batcher.engine.run, batcher.engine.check, batcher.screen, batcher.logs, batcher.simulator
from batcher.__main__ import main
go, ready = os.pipe()
children = {}
for _ in range(50):
    child = os.fork()
    if not child:
        os.close(ready)
        os.read(go, 1)
        sys.stdout = sys.stderr = open(os.devnull, "w")
        try:
            main(["run", "job.toml"])
        except SystemExit as end:
            os._exit(end.code or 0)
    children[child] = None
os.close(go)
os.close(ready)
ended = [os.waitstatus_to_exitcode(os.wait()[1]) for _ in range(49)]
# So far the carrier has answered nobody.
open("answer", "x").close()
print(*ended, os.waitstatus_to_exitcode(os.wait()[1]))
"""
JOB = '[input]\npath = "numbers.csv"\n[carrier]\naccount_id = "9900012"\n[output]\npath = "out"\n' + SMS


def prepared(folder: Path, rows: str = TWO) -> Path:
    (folder / "job.toml").write_text(JOB)
    (folder / "numbers.csv").write_text(rows)
    return folder


async def test_fifty_starts_at_once(tmp_path):
    """Exactly one runs; the others have ended with 7 before it gets its first answer."""
    prepared(tmp_path)
    simulated = Account()

    @web.middleware
    async def wait(request: web.Request, handler: Any) -> web.StreamResponse:
        while not (tmp_path / "answer").exists():  # ruff: ignore[async-busy-wait]
            await anyio.sleep(0.02)
        response: web.StreamResponse = await handler(request)
        return response

    app = create_app(simulated)
    app.middlewares.append(wait)
    async with serve(app) as address:
        command = [sys.executable, "-c", _FIFTY]
        ended = await anyio.run_process(command, cwd=tmp_path, env=environment(at(address)), check=False)
    assert ended.returncode == 0, ended.stderr.decode()
    assert ended.stdout.decode().split() == ["7"] * 49 + ["0"]
    assert simulated.executed() == {"orders": 1, "tns": 2, "executions": 1, **ONCE}


def test_a_second_signal_ends_it_at_once(tmp_path):
    """The first waits for the answer that never comes, the second does not; the next start finds the order. Exit 3."""
    prepared(tmp_path)
    (tmp_path / "faults.toml").write_text('[[fault]]\nkind = "hang"\nmethod = "POST"\nnth = [1]\n')
    with simulator("--faults", tmp_path / "faults.toml") as address:
        first = started("run", "job.toml", cwd=tmp_path, env=at(address))
        while not asked(address, "executed")["orders"]:
            time.sleep(0.02)
        first.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            first.wait(0.5)
        first.send_signal(signal.SIGTERM)
        first.communicate(timeout=20)
        assert first.returncode == 3
        again = batcher("run", "job.toml", cwd=tmp_path, env=at(address))
        assert again.returncode == 0, again.stderr
        assert asked(address, "executed") == {"orders": 1, "tns": 2, "executions": 1, **ONCE}


def test_a_plan_is_kept_by_later_versions(tmp_path, monkeypatch):
    """Another version would cut the rows otherwise: chunks and their ids come from the ledger all the same."""
    simulated = account()
    job = write_job(tmp_path, SMS, TWO)
    with pytest.raises(Interrupted):
        start(job, way_to(simulated), StopsAtStart())
    with opened(RunFolder(runs(job)[0])) as ledger:
        planned = ledger.head(1).customer_order_id
    monkeypatch.setattr(Step, "max_rows", property(lambda _: 1))
    assert start(job, way_to(simulated))["statuses"]["succeeded"] == 2
    assert [order.customer_order_id for order in simulated.orders.values()] == [planned]
