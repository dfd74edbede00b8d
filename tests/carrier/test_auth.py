"""Where credentials come from, what shows them, and the life of a token under a turned clock."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import pickle
from datetime import date

import pytest

from batcher.carrier.auth import (
    Authorization,
    Basic,
    OAuth2,
    Secret,
    Token,
    TokenLimited,
    basic_auth_warning,
    credentials_from,
    unknown_variables,
)
from batcher.errors import CarrierRefused, InputError, NotSent, OutcomeUnknown
from batcher.model import Answer

CANARY = "canary-7f3a"


def secret_file(tmp_path, content=b"s3cret\n", mode=0o600):
    path = tmp_path / "secret"
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_a_secret_shows_itself_only_on_request():
    """No way of printing, formatting, copying or pickling a credential shows the secret."""
    secret = Secret(CANARY)
    shown = [str(secret), repr(secret), f"{secret}", f"{secret!r}", f"{[secret]}", repr(OAuth2("id", secret))]
    shown.append(repr(Authorization(Basic("user", secret))))
    assert not any(CANARY in text for text in shown)
    assert str(secret) == "***"
    assert secret.reveal() == CANARY
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="not written down"):
            attempt(secret)


def test_the_client_pair_counts_first():
    """Client id and secret win over user and password, and those over a token."""
    environ = {
        "BATCHER_CLIENT_ID": "id",
        "BATCHER_CLIENT_SECRET": "s",
        "BATCHER_USERNAME": "user",
        "BATCHER_PASSWORD": "p",
        "BATCHER_TOKEN": "t",
    }
    found = credentials_from(environ)
    assert isinstance(found, OAuth2)
    assert (found.client_id, found.client_secret.reveal()) == ("id", "s")
    del environ["BATCHER_CLIENT_ID"], environ["BATCHER_CLIENT_SECRET"]
    found = credentials_from(environ)
    assert isinstance(found, Basic)
    assert (found.username, found.password.reveal()) == ("user", "p")
    environ |= {"BATCHER_USERNAME": "", "BATCHER_PASSWORD": ""}
    found = credentials_from(environ)
    assert isinstance(found, Token)
    assert found.token.reveal() == "t"


@pytest.mark.parametrize("content", [b"s3cret", b"s3cret\n", b"s3cret\r\n"], ids=["bare", "newline", "CRLF"])
def test_a_secret_may_stand_in_a_file(tmp_path, content):
    """…_FILE names a file with the secret; its last line break is not part of it."""
    path = secret_file(tmp_path, content)
    warnings: list[str] = []
    found = credentials_from({"BATCHER_CLIENT_ID": "id", "BATCHER_CLIENT_SECRET_FILE": str(path)}, warnings=warnings)
    assert isinstance(found, OAuth2)
    assert found.client_secret.reveal() == "s3cret"
    assert warnings == []


def test_a_mounted_secret_is_a_link_and_readable_by_all(tmp_path):
    """A link is followed, and a file that everybody may read is taken with a warning."""
    path = secret_file(tmp_path, mode=0o444)
    link = tmp_path / "link"
    link.symlink_to(path)
    warnings: list[str] = []
    found = credentials_from({"BATCHER_TOKEN_FILE": str(link)}, warnings=warnings)
    assert isinstance(found, Token)
    assert found.token.reveal() == "s3cret"
    assert warnings == [f"BATCHER_TOKEN_FILE: {link}: everybody may read it; chmod 600 would do."]


def missing(tmp_path):
    return tmp_path / "missing"


def folder(tmp_path):
    return tmp_path


def pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        pytest.param(missing, "No such file", id="missing"),
        pytest.param(folder, "not a regular file", id="folder"),
        pytest.param(pipe, "not a regular file", id="pipe"),
        pytest.param(
            lambda tmp: secret_file(tmp, mode=0o602), "everybody may write to it; run: chmod o-w", id="writable"
        ),
        pytest.param(lambda tmp: secret_file(tmp, b""), "empty", id="empty"),
        pytest.param(lambda tmp: secret_file(tmp, b"\n"), "empty", id="only a line break"),
        pytest.param(lambda tmp: secret_file(tmp, b"x" * 65_537), "more than 65536 bytes", id="too large"),
        pytest.param(lambda tmp: secret_file(tmp, CANARY.encode() + b"\xff"), "not text in UTF-8", id="not UTF-8"),
        pytest.param(lambda tmp: secret_file(tmp, CANARY.encode() + b"\nb"), "line break", id="two lines"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path, make, expected):
    """A secret file that is missing, unsafe or no secret stops the start, and its content is not shown."""
    path = make(tmp_path)
    with pytest.raises(InputError, match=expected) as caught:
        credentials_from({"BATCHER_TOKEN_FILE": str(path)})
    assert "BATCHER_TOKEN_FILE" in str(caught.value)
    assert str(path) in str(caught.value)
    assert CANARY not in f"{caught.value!r}{caught.value.__cause__!r}{caught.value.__context__!r}"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param(
            {"BATCHER_CLIENT_ID": "id"},
            ["BATCHER_CLIENT_ID is set", "BATCHER_CLIENT_SECRET is not", "BATCHER_CLIENT_SECRET_FILE"],
            id="half of the client pair",
        ),
        pytest.param(
            {"BATCHER_PASSWORD": CANARY, "BATCHER_TOKEN": CANARY},
            ["BATCHER_PASSWORD is set", "BATCHER_USERNAME is not"],
            id="half of user and password",
        ),
        pytest.param(
            {"BATCHER_TOKEN": CANARY, "BATCHER_TOKEN_FILE": "/run/token"},
            ["Both BATCHER_TOKEN and BATCHER_TOKEN_FILE are set"],
            id="given twice",
        ),
        pytest.param(
            {},
            [
                "BATCHER_CLIENT_ID",
                "BATCHER_CLIENT_SECRET",
                "BATCHER_USERNAME",
                "BATCHER_PASSWORD",
                "BATCHER_TOKEN",
                "BATCHER_CLIENT_SECRET_FILE",
            ],
            id="none",
        ),
        pytest.param({"BATCHER_TOKEN": f"{CANARY}\r\nX: y"}, ["BATCHER_TOKEN", "line break"], id="line break"),
        pytest.param({"BATCHER_TOKEN": f"{CANARY} b"}, ["BATCHER_TOKEN", "no spaces"], id="space in a token"),
        pytest.param({"BATCHER_TOKEN": f"{CANARY}é"}, ["BATCHER_TOKEN", "ASCII"], id="accent in a token"),
        pytest.param(
            {"BATCHER_USERNAME": f"a:{CANARY}", "BATCHER_PASSWORD": CANARY}, ["BATCHER_USERNAME", "colon"], id="colon"
        ),
    ],
)
def test_credentials_that_cannot_be_right_are_refused(environ, expected):
    """What is missing, doubled or malformed is named with its variable, never with its value."""
    with pytest.raises(InputError) as caught:
        credentials_from(environ)
    for text in expected:
        assert text in str(caught.value)
    assert CANARY not in str(caught.value)


def test_unknown_variables_are_named_with_the_nearest_known():
    """A mistyped BATCHER_* variable is found, and everything else is left alone."""
    environ = {
        "BATCHER_CLIENT_SECERT": "x",
        "BATCHER_QQ": "x",
        "BATCHER_ACCOUNT_ID": "x",
        "BATCHER_BASE_URL": "x",
        "BATCHER_LOG_FORMAT": "x",
        "BATCHER_TOKEN_FILE": "x",
        "_BATCHER_COMPLETE": "x",
        "PATH": "x",
    }
    assert unknown_variables(environ) == [
        "BATCHER_CLIENT_SECERT: unknown variable - did you mean BATCHER_CLIENT_SECRET?",
        "BATCHER_QQ: unknown variable.",
    ]


@pytest.mark.parametrize(
    ("today", "expected"),
    [
        (date(2026, 12, 1), "will end on 2026-12-02"),
        (date(2026, 12, 2), "has ended on 2026-12-02"),
        (date(2027, 5, 1), "has ended on 2026-12-02"),
    ],
)
def test_the_end_of_basic_authentication_is_announced(today, expected):
    """Who still uses user and password is told the date and the way out."""
    assert expected in basic_auth_warning(today)
    assert "BATCHER_CLIENT_ID and BATCHER_CLIENT_SECRET" in basic_auth_warning(today)


class Carrier:
    """A token endpoint: gives token-1, token-2, …, or what `answers` says, after `seconds` of waiting."""

    def __init__(self, *answers, expires_in=3600):
        self.answers = list(answers)
        self.expires_in = expires_in
        self.asked = []
        self.was_asked = asyncio.Event()

    async def fetch(self, authorization):
        self.asked.append(authorization)
        self.was_asked.set()
        await asyncio.sleep(0)
        if self.answers:
            answer = self.answers.pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        return token(f"token-{len(self.asked)}", self.expires_in)


def token(text, expires_in=3600):
    body = {"access_token": text, "token_type": "Bearer", "expires_in": expires_in}
    return Answer(200, json.dumps(body).encode())


class Clocks:
    """A wall clock and a boot clock that stand still until they are set."""

    def __init__(self):
        self.wall = 1_792_461_600.0
        self.boot = 5_000.0

    def authorization(self):
        return Authorization(OAuth2("id", Secret("s3cret")), wall=lambda: self.wall, boottime=lambda: self.boot)


async def test_a_user_and_password_or_a_token_are_sent_as_they_are():
    """Basic is base64 of UTF-8 (RFC 7617), a given token is a Bearer; nothing is fetched for either."""
    carrier = Carrier()
    basic = Authorization(Basic("Aladdin", Secret("open sesame")))
    assert await basic.header(carrier.fetch) == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    accented = Authorization(Basic("test", Secret("123£")))
    assert await accented.header(carrier.fetch, stale="Basic dGVzdDoxMjPCow==") == "Basic dGVzdDoxMjPCow=="
    assert await Authorization(Token(Secret("abc"))).header(carrier.fetch) == "Bearer abc"
    assert carrier.asked == []


async def test_a_token_is_fetched_once_and_kept():
    """Twenty requests at once need one token request, made with client id and secret."""
    carrier, clocks = Carrier(), Clocks()
    authorization = clocks.authorization()
    headers = await asyncio.gather(*(authorization.header(carrier.fetch) for _ in range(20)))
    assert set(headers) == {"Bearer token-1"}
    assert await authorization.header(carrier.fetch) == "Bearer token-1"
    assert carrier.asked == ["Basic aWQ6czNjcmV0"]


async def test_twenty_401s_at_once_cause_one_refresh():
    """A token that the carrier forgot is replaced once, and a late 401 for it does not replace the new one."""
    carrier, clocks = Carrier(), Clocks()
    authorization = clocks.authorization()
    old = await authorization.header(carrier.fetch)
    headers = await asyncio.gather(*(authorization.header(carrier.fetch, stale=old) for _ in range(20)))
    assert set(headers) == {"Bearer token-2"}
    assert await authorization.header(carrier.fetch, stale=old) == "Bearer token-2"
    assert len(carrier.asked) == 2


@pytest.mark.parametrize(
    ("wall", "boot", "tokens"),
    [
        pytest.param(3539, 3539, 1, id="fresh"),
        pytest.param(3540, 3540, 2, id="a minute before its end"),
        pytest.param(-86_400, 3540, 2, id="wall clock set back"),
        pytest.param(3540, 10, 2, id="boot clock stood still"),
    ],
)
async def test_a_token_is_replaced_a_minute_before_its_end(wall, boot, tokens):
    """The larger elapsed time of wall clock and boot clock decides."""
    carrier, clocks = Carrier(), Clocks()
    authorization = clocks.authorization()
    await authorization.header(carrier.fetch)
    clocks.wall += wall
    clocks.boot += boot
    assert await authorization.header(carrier.fetch) == f"Bearer token-{tokens}"


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        pytest.param(Answer(200, b'{"access_token": "t"}'), 3540, id="no lifetime: an hour"),
        pytest.param(token("t", "600"), 540, id="lifetime as text"),
        pytest.param(token("t", 30), 15, id="short life: half of it"),
    ],
)
async def test_the_life_of_a_token(answer, seconds):
    """Without expires_in an hour is assumed; a very short life does not mean a request for each request."""
    carrier, clocks = Carrier(answer), Clocks()
    authorization = clocks.authorization()
    await authorization.header(carrier.fetch)
    clocks.boot += seconds - 1
    await authorization.header(carrier.fetch)
    assert len(carrier.asked) == 1
    clocks.boot += 1
    await authorization.header(carrier.fetch)
    assert len(carrier.asked) == 2


@pytest.mark.parametrize(
    ("answer", "raised", "expected"),
    [
        pytest.param(
            Answer(401, b""),
            CarrierRefused,
            r"refused the credentials \(401\). Check BATCHER_CLIENT_ID and BATCHER_CLIENT_SECRET",
            id="401",
        ),
        pytest.param(Answer(400, b'{"error":"invalid_client"}'), CarrierRefused, "BATCHER_CLIENT_SECRET", id="400"),
        pytest.param(Answer(403, b""), CarrierRefused, "BATCHER_CLIENT_SECRET", id="403"),
        pytest.param(Answer(404, b""), CarrierRefused, "404. Check base_url", id="404"),
        pytest.param(Answer(302, b""), CarrierRefused, "302. Check base_url", id="302"),
        pytest.param(Answer(200, b"<html>canary"), CarrierRefused, "no token", id="HTML"),
        pytest.param(Answer(200, b"\xff"), CarrierRefused, "no token", id="not text"),
        pytest.param(Answer(200, b"[" * 60_000), CarrierRefused, "no token", id="nested without end"),
        pytest.param(Answer(200, b'["canary"]'), CarrierRefused, "no token", id="a list"),
        pytest.param(Answer(200, b"{}"), CarrierRefused, "no token", id="empty object"),
        pytest.param(token(17), CarrierRefused, "no token", id="token is a number"),
        pytest.param(token(""), CarrierRefused, "no token", id="token is empty"),
        pytest.param(token("canary\r\nX-Evil: 1"), CarrierRefused, "no token", id="token with a line break"),
        pytest.param(token("canary", -5), CarrierRefused, "no token", id="negative life"),
        pytest.param(token("canary", "NaN"), CarrierRefused, "no token", id="life is no number"),
        pytest.param(token("canary", 10**400), CarrierRefused, "no token", id="life beyond all numbers"),
        pytest.param(token("canary", [1]), CarrierRefused, "no token", id="life is a list"),
        pytest.param(Answer(429, b""), TokenLimited, "429", id="429"),
        pytest.param(Answer(500, b""), NotSent, "500", id="500"),
        pytest.param(Answer(503, b""), NotSent, "503", id="503"),
        pytest.param(NotSent("DNS"), NotSent, "DNS", id="unreachable"),
        pytest.param(OutcomeUnknown("reset"), NotSent, "reset", id="reset"),
    ],
)
async def test_a_token_that_cannot_be_had(answer, raised, expected):
    """Refused credentials stop the run with the remedy, passing trouble means that the request was not sent."""
    carrier, clocks = Carrier(answer), Clocks()
    authorization = clocks.authorization()
    with pytest.raises(raised, match=expected) as caught:
        await authorization.header(carrier.fetch)
    error = caught.value
    while error is not None:
        assert "canary" not in f"{error!r}"
        error = error.__cause__ or error.__context__


async def test_everybody_who_waits_shares_a_failure():
    """Twenty requests do not try wrong credentials twenty times; the next one asks again."""
    carrier, clocks = Carrier(Answer(503, b"")), Clocks()
    authorization = clocks.authorization()
    waiting = [authorization.header(carrier.fetch) for _ in range(20)]
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [NotSent] * 20
    assert len(carrier.asked) == 1
    assert await authorization.header(carrier.fetch) == "Bearer token-2"


async def test_a_cancelled_fetch_leaves_the_others_going():
    """When the one who fetches is cancelled, the next one fetches."""
    carrier, clocks = Carrier(), Clocks()
    authorization = clocks.authorization()
    first = asyncio.create_task(authorization.header(carrier.fetch))
    second = asyncio.create_task(authorization.header(carrier.fetch))
    await carrier.was_asked.wait()
    first.cancel()
    assert await second == "Bearer token-2"
    assert first.cancelled()


def test_bytes_that_are_no_text():
    """A variable that is not UTF-8 is refused by name, not a bug later on."""
    with pytest.raises(InputError, match=r"BATCHER_PASSWORD: holds bytes that are not UTF-8"):
        credentials_from({"BATCHER_USERNAME": "me", "BATCHER_PASSWORD": "caf\udce9"})
