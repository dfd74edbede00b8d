"""Who may call."""

from __future__ import annotations

import aiohttp
import pytest

from tests.simulator.talk import AUTHORIZATION, Clock, talk

TOKEN = "/api/v1/oauth2/token"
GRANT = "grant_type=client_credentials"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
NAMED = {
    "account_id": "14",
    "token_seconds": 60,
    "credentials": {"client_id": "me", "client_secret": "s3", "username": "jbm", "password": "secret"},
}


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": aiohttp.encode_basic_auth(name, password)}


async def mint(carrier, headers, form=GRANT, path=TOKEN):
    async with carrier.session.post(carrier.url + path, data=form, headers=FORM | headers) as response:
        return response.status, await response.json()


async def test_a_token_lives_as_long_as_it_says():
    """Client credentials give a numbered token; by the simulator's clock it ends, and the call is 401."""
    clock = Clock()
    async with talk(options=NAMED, clock=clock) as carrier:
        status, token = await mint(carrier, basic("me", "s3"))
        bearer = {"Authorization": f"Bearer {token['access_token']}"}
        clock.now += 59.9
        young = await carrier.get("tnoptions", headers=bearer)
        clock.now += 0.1
        old = await carrier.get("tnoptions", headers=bearer)
        second = (await mint(carrier, basic("me", "s3")))[1]
    assert (status, token) == (200, {"access_token": "simulated-token-1", "token_type": "Bearer", "expires_in": 60})
    assert (young.status, old.status) == (200, 401)
    assert second["access_token"] == "simulated-token-2"


@pytest.mark.parametrize("path", [TOKEN, "/api/v2/oauth2/token"])
async def test_the_token_endpoint_refuses(path):
    """Wrong secrets are 401, other grants 400; an hour is the default life."""
    async with talk(options={"credentials": NAMED["credentials"]}) as carrier:
        assert (await mint(carrier, basic("me", "wrong"), path=path))[0] == 401
        assert (await mint(carrier, {}, path=path))[0] == 401
        assert (await mint(carrier, basic("me", "s3"), form="grant_type=password", path=path))[0] == 400
        assert (await mint(carrier, basic("me", "s3"), path=path))[1]["expires_in"] == 3600


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param(AUTHORIZATION, 200, id="user"),
        pytest.param(basic("jbm", "wrong"), 401, id="wrong password"),
        pytest.param(basic("smckinnon", "secret"), 401, id="another user"),
        pytest.param(basic("me", "s3"), 401, id="the client is no user"),
        pytest.param({}, 401, id="nothing"),
        pytest.param({"Authorization": "Bearer simulated-token-1"}, 401, id="token never issued"),
        pytest.param({"Authorization": "Basic ????"}, 401, id="not base64"),
        pytest.param({"Authorization": "Digest a"}, 401, id="another scheme"),
    ],
)
async def test_named_credentials_are_demanded(headers, status):
    """An account file that names credentials takes no others."""
    async with talk(options=NAMED) as carrier:
        assert (await carrier.get("tnoptions", headers=headers)).status == status


async def test_without_an_account_file_anybody_may_call():
    """Any credentials, but some; a token has to be one of the simulator's."""
    async with talk() as carrier:
        answers = [
            (await carrier.get("tnoptions", headers=headers)).status
            for headers in (basic("any", "body"), {}, {"Authorization": "Bearer invented"})
        ]
        status, token = await mint(carrier, basic("any", "body"))
        bearer = await carrier.get("tnoptions", headers={"Authorization": f"Bearer {token['access_token']}"})
    assert answers == [200, 401, 401]
    assert (status, bearer.status) == (200, 200)


async def test_another_account_is_forbidden():
    """403 for an account id that the credentials do not reach."""
    async with talk(options=NAMED) as carrier:
        assert (await carrier.get("/api/v2/accounts/15/tnoptions")).status == 403
