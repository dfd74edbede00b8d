"""The ledger beside the event loop: every call made whole, one after the other, whoever stops waiting for it."""

from __future__ import annotations

import gc
import threading
import time

import anyio
import pytest

from batcher.carrier.recorder import Recorder
from batcher.ledger import Ledger


@pytest.fixture
def record(tmp_path):
    ledger = Ledger(tmp_path / "ledger.db")
    yield Recorder(ledger)
    ledger.close()


async def test_calls_are_made_one_after_the_other(record):
    """Calls of many tasks are made in their order, all in one thread that is not the loop's."""
    made = []

    def call(number):
        made.append((number, threading.get_ident()))
        return -number

    answers = {}

    async def ask(number):
        answers[number] = await record(call, number)

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(ask, number)
    assert answers == {number: -number for number in range(20)}
    assert [number for number, _ in made] == list(range(20))
    threads = {thread for _, thread in made}
    assert len(threads) == 1
    assert threading.get_ident() not in threads


async def test_a_call_is_not_torn_by_a_cancellation(record):
    """Who is cancelled while the ledger writes, or before its turn, goes on only when it is written."""
    made = []

    def write(what):
        time.sleep(0.02)
        made.append(what)

    seen_at_the_end = {}

    async def ask(what):
        try:
            await record(write, what)
            await anyio.sleep(60)
        finally:
            seen_at_the_end[what] = what in made

    async with anyio.create_task_group() as group:
        group.start_soon(ask, "under way")
        group.start_soon(ask, "waiting")
        await anyio.sleep(0.005)
        group.cancel_scope.cancel()
    assert made == ["under way", "waiting"]
    assert seen_at_the_end == {"under way": True, "waiting": True}


async def test_who_is_cancelled_already_writes_nothing(record):
    """A cancelled task does not begin anything new."""
    made: list[int] = []
    with anyio.CancelScope() as scope:
        scope.cancel()
        await record(made.append, 1)
    assert scope.cancelled_caught
    assert not made


async def test_an_error_reaches_who_called(record):
    """What the ledger raises is raised in the task that called it, and the next call is as good as ever."""
    with pytest.raises(ZeroDivisionError):
        await record(divmod, 1, 0)
    assert await record(divmod, 7, 2) == (3, 1)


async def test_the_thread_ends_with_its_recorder(tmp_path):
    """A run of many steps does not leave a thread behind for each."""
    ledger = Ledger(tmp_path / "ledger.db")
    record = Recorder(ledger)
    thread = await record(threading.current_thread)
    del record
    gc.collect()
    thread.join(timeout=10)
    assert not thread.is_alive()
    ledger.close()
