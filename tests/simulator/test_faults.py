"""Every kind of fault over a real socket, and which requests it meets."""

from __future__ import annotations

import aiohttp
import pytest

from batcher.errors import InputError
from batcher.simulator import Fault, read_faults
from tests.simulator.talk import AUTHORIZATION, order, talk

BODY = order("+19195550001", customer_order_id="one")
LOST = (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)
SOON = aiohttp.ClientTimeout(total=0.3)
LATE = aiohttp.ClientTimeout(total=30)


async def executions(carrier) -> int:
    return int((await carrier.json("executed"))["executions"])


@pytest.mark.parametrize(
    ("fault", "error", "executed"),
    [
        pytest.param(Fault(kind="reset_before"), LOST, 0, id="reset before"),
        pytest.param(Fault(kind="reset_after"), LOST, 1, id="reset after"),
        pytest.param(Fault(kind="hang"), TimeoutError, 1, id="hang, executed"),
        pytest.param(Fault(kind="hang", executed=False), TimeoutError, 0, id="hang, not executed"),
        pytest.param(Fault(kind="truncate"), aiohttp.ClientPayloadError, 1, id="truncated"),
        pytest.param(Fault(kind="slow", seconds=30), TimeoutError, 1, id="slow"),
    ],
)
async def test_an_answer_is_lost(fault, error, executed):
    """The client is left without an answer; the order is there or not, as the fault says."""
    async with talk(faults=[fault]) as carrier:
        with pytest.raises(error):
            await carrier.post("tnoptions", BODY, timeout=SOON if error is TimeoutError else LATE)
        assert await executions(carrier) == executed


@pytest.mark.parametrize(
    ("fault", "status", "text", "executed"),
    [
        pytest.param(Fault(kind="status", status=503), 503, "", 0, id="status"),
        pytest.param(Fault(kind="status", status=413, body="big"), 413, "big", 0, id="status with body"),
        pytest.param(Fault(kind="status_after"), 503, "", 1, id="503 after execution"),
        pytest.param(Fault(kind="status_after", status=201, body="<a/>"), 201, "<a/>", 1, id="201 without an id"),
        pytest.param(Fault(kind="garbage"), 201, "<html>", 1, id="HTML"),
        pytest.param(Fault(kind="garbage", executed=False), 200, "<html>", 0, id="HTML, not executed"),
        pytest.param(Fault(kind="slow", seconds=0), 201, "<?xml", 1, id="slow but there"),
        pytest.param(Fault(kind="unlisted"), 201, "<?xml", 1, id="unlisted"),
        pytest.param(Fault(kind="twice"), 201, "<?xml", 2, id="executed twice"),
    ],
)
async def test_an_answer_is_wrong(fault, status, text, executed):
    """Status and body are the fault's; the order is there or not, as it says."""
    async with talk(faults=[fault]) as carrier:
        answered = await carrier.post("tnoptions", BODY)
        assert await executions(carrier) == executed
    assert answered.status == status
    assert answered.text.startswith(text)


async def test_headers_of_a_fault():
    """A redirect, for one."""
    fault = Fault(kind="status", status=302, headers={"Location": "https://example.net/"})
    async with talk(faults=[fault]) as carrier:
        answered = await carrier.post("tnoptions", BODY, allow_redirects=False)
    assert (answered.status, answered.headers["Location"]) == (302, "https://example.net/")


async def test_a_truncated_answer_promises_all_of_it():
    """Status and full Content-Length arrive, half of the body, then the end."""
    async with talk(faults=[Fault(kind="truncate", nth=(2,))]) as carrier:
        where = f"{carrier.url}/api/v2/accounts/14/sites/1/sippeers/2"
        async with carrier.session.get(where, headers=AUTHORIZATION) as whole:
            length = len(await whole.read())
        async with carrier.session.get(where, headers=AUTHORIZATION) as response:
            assert (response.status, int(response.headers["Content-Length"])) == (200, length)
            with pytest.raises(aiohttp.ClientPayloadError):
                await response.read()


async def test_an_unlisted_order_is_found_by_its_id_alone():
    """Executed, known by id, in no list."""
    async with talk(faults=[Fault(kind="unlisted")]) as carrier:
        order_id = (await carrier.post("tnoptions", BODY)).one("OrderId")
        listed = await carrier.get("tnoptions?customerOrderId=one")
        found = await carrier.get(f"tnoptions/{order_id}")
    assert (listed.all("OrderId"), found.status) == ([], 200)


@pytest.mark.parametrize(
    ("chosen", "met"),
    [
        pytest.param({}, [1, 2, 3, 4, 5, 6], id="all"),
        pytest.param({"nth": [1, 4]}, [1, 4], id="nth"),
        pytest.param({"every": 3}, [3, 6], id="every"),
        pytest.param({"nth": [1], "every": 3}, [1, 3, 6], id="nth and every"),
        pytest.param({"share": 1.0}, [1, 2, 3, 4, 5, 6], id="share of all"),
        pytest.param({"method": "GET"}, [], id="another method"),
        pytest.param({"path": "tnoptions/*"}, [], id="another path"),
        pytest.param({"path": "TNOPT*", "nth": [2]}, [2], id="path without regard to case"),
    ],
)
async def test_faults_choose_their_requests(chosen, met):
    """By method, path and the number of the request among those that match."""
    fault = Fault(kind="status", status=500, **({"method": "POST"} | chosen))
    seen = []
    async with talk(faults=[fault]) as carrier:
        for number in range(1, 7):
            if (await carrier.post("tnOptions", BODY)).status == 500:
                seen.append(number)
            if chosen.get("method") != "GET":
                assert (await carrier.get("tnoptions")).status == 200
    assert seen == met


async def test_a_share_follows_from_its_seed():
    """The same seed meets the same requests in every run, another seed others; about the share that was asked for."""

    async def met(seed):
        async with talk(faults=[Fault(kind="status", share=0.3, seed=seed)]) as carrier:
            return [number for number in range(200) if (await carrier.get("tnoptions")).status == 503]

    first, again, other = await met(1), await met(1), await met(2)
    assert first == again != other
    assert 40 <= len(first) <= 80


async def test_the_first_fault_of_the_script_wins():
    """All faults count the request, one strikes."""
    faults = [Fault(kind="status", status=500, nth=[1]), Fault(kind="status", status=502, nth=[1, 2])]
    async with talk(faults=faults) as carrier:
        seen = [(await carrier.get("tnoptions")).status for _ in range(3)]
    assert seen == [500, 502, 200]


async def test_the_token_endpoint_can_fail_too():
    """Its path for a script is /oauth2/token."""
    async with talk(faults=[Fault(kind="status", path="/oauth2/token", status=500)]) as carrier:
        assert (await carrier.post("/api/v1/oauth2/token", "")).status == 500
        assert (await carrier.get("tnoptions")).status == 200


def test_a_fault_file_is_read(tmp_path):
    """The entries come in the order of the file."""
    path = tmp_path / "faults.toml"
    path.write_text(
        '[[fault]]\nkind = "reset_after"\nmethod = "POST"\npath = "tnoptions"\nnth = [1, 4]\n'
        '[[fault]]\nkind = "status"\nstatus = 429\nshare = 0.3\nseed = 7\nheaders = { "Retry-After" = "2" }\n'
    )
    assert read_faults(path) == (
        Fault(kind="reset_after", method="POST", path="tnoptions", nth=(1, 4)),
        Fault(kind="status", status=429, share=0.3, seed=7, headers={"Retry-After": "2"}),
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param('[[fault]]\nkind = "rest"', "fault 1.kind: Input should be 'reset_before'", id="unknown kind"),
        pytest.param(
            '[[fault]]\nkind = "hang"\n[[fault]]\nkind = "hang"\nevry = 2', "fault 2.evry: unknown key", id="key"
        ),
        pytest.param(
            '[[fault]]\nkind = "hang"\nnth = [0]', "fault 1.nth 1: Input should be greater than 0", id="zeroth"
        ),
        pytest.param('[[fault]]\nkind = "hang"\nshare = 3', "fault 1.share", id="share above one"),
        pytest.param("[fault]", "fault: ", id="a table, not a list of tables"),
    ],
)
def test_a_bad_fault_file_is_refused(tmp_path, text, reason):
    """The message names the file, the entry and the reason."""
    path = tmp_path / "faults.toml"
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        read_faults(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert reason in str(refused.value)
