"""The rate limit, with a turned clock."""

from __future__ import annotations

import pytest

from tests.simulator.talk import NOON, Clock, order, talk


@pytest.mark.parametrize(
    ("style", "header"),
    [
        pytest.param("reset", ("X-RateLimit-Reset", "1795176002"), id="epoch seconds, rounded up"),
        pytest.param("reset-ms", ("X-RateLimit-Reset", "1795176002000"), id="epoch milliseconds"),
        pytest.param("retry-after", ("Retry-After", "2"), id="seconds"),
        pytest.param("retry-after-date", ("Retry-After", "Fri, 20 Nov 2026 12:00:02 GMT"), id="date"),
        pytest.param("none", None, id="no header"),
    ],
)
async def test_a_429_says_when_to_come_back(style, header):
    """429 with an empty body closes the connection, carries the simulator's Date, and names the reset in the style asked for."""
    async with talk(rate_limit=1, rate_limit_header=style, clock=Clock(NOON + 0.5)) as carrier:
        await carrier.get("tnoptions")
        refused = await carrier.post("tnoptions", order("+19195550001"))
    assert (refused.status, refused.text) == (429, "")
    assert refused.headers["Connection"] == "close"
    assert refused.headers["Date"] == "Fri, 20 Nov 2026 12:00:00 GMT"
    named = {name: refused.headers[name] for name in ("X-RateLimit-Reset", "Retry-After") if name in refused.headers}
    assert named == (dict([header]) if header else {})


async def test_the_limit_is_a_sliding_second():
    """Three a second: the fourth waits for the first to be a second ago; what was refused counts for nothing."""
    clock = Clock()
    seen = []
    async with talk(rate_limit=3, clock=clock) as carrier:
        for seconds in (0.0, 0.4, 0.8, 0.9, 0.99, 1.0, 1.1, 1.4):
            clock.now = NOON + seconds
            seen.append((await carrier.get("tnoptions")).status)
    assert seen == [200, 200, 200, 429, 429, 200, 429, 200]


async def test_a_limit_below_one_a_second():
    """0.5: one in two seconds."""
    clock = Clock()
    async with talk(rate_limit=0.5, clock=clock) as carrier:
        seen = []
        for seconds in (0, 1, 2):
            clock.now = NOON + seconds
            seen.append((await carrier.get("tnoptions")).status)
    assert seen == [200, 429, 200]


async def test_a_429_executes_nothing():
    """Neither the order nor the credentials of a limited request are looked at."""
    async with talk(rate_limit=1, clock=Clock()) as carrier:
        await carrier.get("tnoptions")
        refused = await carrier.post("tnoptions", order("+19195550001"), headers={})
        executed = await carrier.json("executed")
    assert (refused.status, executed["executions"]) == (429, 0)
