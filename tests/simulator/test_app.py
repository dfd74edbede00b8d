"""The server itself: its addresses, its end, what it tells tests."""

from __future__ import annotations

import asyncio
import io

import aiohttp
import pytest

from batcher.errors import InputError
from batcher.simulator import Account, Fault, create_app, serve
from tests.simulator.talk import AUTHORIZATION, order, talk


@pytest.mark.parametrize(
    ("base", "tn"),
    [
        pytest.param("/api/v2", "+19195550001", id="v2"),
        pytest.param("/api/v1", "9195550001", id="v1"),
        pytest.param("/api", "9195550001", id="api"),
        pytest.param("/v1.0", "9195550001", id="v1.0"),
        pytest.param("/api/v1.0", "9195550001", id="api v1.0"),
        pytest.param("/API/V2", "+19195550001", id="capitals"),
    ],
)
@pytest.mark.parametrize("path", ["accounts/14/tnoptions", "Accounts/14/TnOptions"])
async def test_every_base_of_the_carrier_is_known(base, tn, path):
    """Both versions and the aliases of v1, without regard to case."""
    async with talk() as carrier:
        answered = await carrier.post(f"{base}/{path}", order("+19195550001"))
    assert (answered.status, answered.one("TelephoneNumber")) == (201, tn)


@pytest.mark.parametrize(
    "path", ["/", "/api/v2", "/api/v3/accounts/14/tnoptions", "/api/v2/accounts/14", "/accounts/14/tnoptions"]
)
async def test_other_addresses_are_404(path):
    """No guessing."""
    async with talk() as carrier:
        assert (await carrier.get(path)).status == 404


async def test_the_end_waits_for_nobody():
    """Idle connections, hanging and slow requests are cut; the port is free at once, their clients see the end."""
    faults = [Fault(kind="hang", path="tnoptions"), Fault(kind="slow", seconds=60, path="sites/*")]
    async with aiohttp.ClientSession(headers=AUTHORIZATION) as session:
        async with asyncio.timeout(5), serve(create_app(Account(), faults=faults)) as url:
            async with session.get(f"{url}/_simulator/executed") as idle:
                assert idle.status == 200
            waiting = [
                asyncio.create_task(session.get(f"{url}/api/v2/accounts/14/{path}"))
                for path in ("tnoptions", "tnoptions", "sites/1/sippeers/2")
            ]
            done, _ = await asyncio.wait(waiting, timeout=0.3)
            assert not done
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(outcome, aiohttp.ClientError) for outcome in outcomes)


async def test_a_taken_port_is_told():
    """InputError with the address and the way out."""
    async with serve(create_app(Account())) as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises(InputError, match=rf"Cannot listen on 127\.0\.0\.1:{port}"):
            async with serve(create_app(Account()), port=port):
                pass


async def test_arrivals_tell_time_and_method():
    """Every request for the carrier, also a refused one; not the token's and not the simulator's own."""
    async with talk(rate_limit=2) as carrier:
        await carrier.post("/api/v1/oauth2/token", "")
        for _ in range(2):
            await carrier.get("tnoptions")
        await carrier.post("tnoptions", order("+19195550001"))
        arrivals = await carrier.json("arrivals")
    assert [method for _, method in arrivals] == ["GET", "GET", "POST"]
    assert sorted(arrivals) == arrivals


async def test_latency_holds_back_the_answer_not_the_execution():
    """The order is there although its client did not wait for the answer."""
    async with talk(latency=30) as carrier:
        with pytest.raises(TimeoutError):
            await carrier.post("tnoptions", order("+19195550001"), timeout=aiohttp.ClientTimeout(total=0.3))
        assert (await carrier.json("executed"))["orders"] == 1


async def test_a_request_of_more_than_8_mib_is_413():
    """As any sane server."""
    async with talk() as carrier:
        answered = await carrier.post("tnoptions", io.BytesIO(b" " * (8 * 1024 * 1024 + 1)))
        executed = await carrier.json("executed")
    assert (answered.status, executed["executions"]) == (413, 0)


async def test_a_tn_that_is_none_has_no_options():
    """404 with an empty object."""
    async with talk() as carrier:
        answered = await carrier.get("/_simulator/tns/555")
    assert (answered.status, answered.text) == (404, "{}")
