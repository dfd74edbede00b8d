"""Credentials: where they come from, and the Authorization header that they become.

It knows the environment variables, their files and the life of a token. The token request itself
is sent by whoever calls; no secret is ever part of a message.
"""

from __future__ import annotations

import base64
import difflib
import json
import math
import os
import re
import stat
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import NoReturn

import anyio

from batcher.errors import CarrierRefused, InputError, NotSent, OutcomeUnknown
from batcher.model import Answer

#: Sends the token request with this Authorization value and gives the answer.
Fetch = Callable[[str], Awaitable[Answer]]

#: The carrier ends Basic authentication on this day.
BASIC_AUTH_END = date(2026, 12, 2)
#: Largest file that a `…_FILE` variable may name, in bytes.
MAX_SECRET_BYTES = 64 * 1024
#: Life of a token whose answer does not say it, in seconds; the carrier's own clients assume as much.
DEFAULT_TOKEN_SECONDS = 3600.0
#: How long before its end a token is replaced, in seconds.
EARLY_SECONDS = 60.0

_PAIRS = (("BATCHER_CLIENT_ID", "BATCHER_CLIENT_SECRET"), ("BATCHER_USERNAME", "BATCHER_PASSWORD"), ("BATCHER_TOKEN",))
_NAMES = tuple(name for pair in _PAIRS for name in pair)
_KNOWN = (
    *_NAMES,
    *(f"{name}_FILE" for name in _NAMES),
    "BATCHER_ACCOUNT_ID",
    "BATCHER_BASE_URL",
    "BATCHER_LOG_FORMAT",
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_TOKEN = re.compile(r"[\x21-\x7e]+")


class Secret:
    """A text that shows itself only to `reveal`: not when printed, formatted, copied or pickled."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Give the text itself."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret is not written down")


@dataclass(frozen=True, slots=True)
class OAuth2:
    """Client credentials: exchanged for a token that lives about an hour."""

    client_id: str
    client_secret: Secret


@dataclass(frozen=True, slots=True)
class Basic:
    """User and password, sent with every request; the carrier ends this on 2026-12-02."""

    username: str
    password: Secret


@dataclass(frozen=True, slots=True)
class Token:
    """A token that somebody else fetched; nothing renews it."""

    token: Secret


Credentials = OAuth2 | Basic | Token


def credentials_from(environ: Mapping[str, str], *, warnings: list[str] | None = None) -> Credentials:
    """Read the credentials: the client pair, else user and password, else a token; each also as `…_FILE`.

    An empty variable counts as not set. A file that others may read is a warning, appended to
    `warnings`. Raises InputError when nothing or only half a pair is set, when a variable is given
    twice, and when a file cannot be used.
    """
    notes: list[str] = [] if warnings is None else warnings
    for pair in _PAIRS:
        values = [_value(environ, name, notes) for name in pair]
        if any(values) and not all(values):
            missing = pair[values.index("")]
            given = pair[1 - values.index("")]
            raise InputError(f"{given} is set, but {missing} is not: set it, or {missing}_FILE.")
        if all(values):
            return _credentials(pair[0], values)
    raise InputError(
        "No credentials. Set BATCHER_CLIENT_ID and BATCHER_CLIENT_SECRET (an API credential of the account), "
        "or BATCHER_USERNAME and BATCHER_PASSWORD, or BATCHER_TOKEN; each can also be read from a file: "
        "BATCHER_CLIENT_SECRET_FILE=/path and so on."
    )


def unknown_variables(environ: Mapping[str, str]) -> list[str]:
    """Say of each BATCHER_* variable that nobody reads which one may be meant; sorted by name."""
    notes = []
    for name in sorted(environ):
        if name.startswith("BATCHER_") and name not in _KNOWN:
            near = difflib.get_close_matches(name, _KNOWN, n=1, cutoff=0.8)
            notes.append(f"{name}: unknown variable" + (f" - did you mean {near[0]}?" if near else "."))
    return notes


def basic_auth_warning(today: date) -> str:
    """Say that user and password will end, or have ended, and what to do."""
    end = f"has ended on {BASIC_AUTH_END}" if today >= BASIC_AUTH_END else f"will end on {BASIC_AUTH_END}"
    return (
        f"Authentication by user and password {end} at the carrier. "
        "Create an API credential there and set BATCHER_CLIENT_ID and BATCHER_CLIENT_SECRET."
    )


def _value(environ: Mapping[str, str], name: str, notes: list[str]) -> str:
    direct, path = environ.get(name, ""), environ.get(f"{name}_FILE", "")
    if direct and path:
        raise InputError(f"Both {name} and {name}_FILE are set: leave one out.")
    text = _read_secret(f"{name}_FILE", path, notes) if path else direct
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"{name}: holds bytes that are not UTF-8.") from None
    if _CONTROL.search(text):
        source = f"{name}_FILE: {path}" if path else name
        raise InputError(
            f"{source}: holds a line break or another control character; only the bare value belongs there."
        )
    return text


def _credentials(first: str, values: list[str]) -> Credentials:
    if first == "BATCHER_CLIENT_ID":
        return OAuth2(values[0], Secret(values[1]))
    if first == "BATCHER_TOKEN":
        if not _TOKEN.fullmatch(values[0]):
            raise InputError("BATCHER_TOKEN: a token has no spaces and only ASCII characters.")
        return Token(Secret(values[0]))
    if ":" in values[0]:
        # RFC 7617: a user with a colon would end there, and the rest would count as password.
        raise InputError("BATCHER_USERNAME: a user name has no colon in it.")
    return Basic(values[0], Secret(values[1]))


def _read_secret(variable: str, path: str, notes: list[str]) -> str:
    """Read one secret; links are followed, since mounted secrets are links."""
    try:
        # Without O_NONBLOCK a pipe would hold us here for ever.
        descriptor = os.open(Path(path).resolve(strict=True), os.O_RDONLY | os.O_NONBLOCK)
        try:
            _check_file(variable, path, os.fstat(descriptor), notes)
            content = os.read(descriptor, MAX_SECRET_BYTES + 1)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        raise InputError(f"{variable}: {path}: {getattr(error, 'strerror', None) or error}.") from error
    if len(content) > MAX_SECRET_BYTES:
        raise InputError(f"{variable}: {path}: more than {MAX_SECRET_BYTES} bytes; it should hold one secret.")
    # A strict decoder's error would carry the secret's bytes.
    text = content.decode(errors="replace").rstrip("\r\n")
    if not text or "\ufffd" in text:
        raise InputError(f"{variable}: {path}: {'not text in UTF-8' if text else 'empty'}.")
    return text


def _check_file(variable: str, path: str, status: os.stat_result, notes: list[str]) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{variable}: {path}: not a regular file.")
    if status.st_mode & stat.S_IWOTH:
        raise InputError(f"{variable}: {path}: everybody may write to it; run: chmod o-w {path}")
    if status.st_mode & stat.S_IROTH:
        notes.append(f"{variable}: {path}: everybody may read it; chmod 600 would do.")


def _basic(user: str, password: Secret) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password.reveal()}".encode()).decode()


def _seconds_since_boot() -> float:
    # Unlike the monotonic clock this one goes on while the machine is suspended.
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class TokenLimited(NotSent):
    """The token request was answered with 429: so is what it was for."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer)
        self.answer = answer

    def __str__(self) -> str:
        return "No token: the token request was answered with 429."


class Authorization:
    """Keeps the value of the Authorization header fresh; holds the token, in memory only."""

    def __init__(
        self,
        credentials: Credentials,
        *,
        wall: Callable[[], float] = time.time,
        boottime: Callable[[], float] = _seconds_since_boot,
    ) -> None:
        self._credentials = credentials
        self._clocks = (wall, boottime)
        self._lock = anyio.Lock()
        self._token: str | None = None
        self._fetched_at = (0.0, 0.0)
        self._lifetime_seconds = 0.0
        self._fetches = 0
        self._failure: NotSent | CarrierRefused | None = None

    def __repr__(self) -> str:
        return f"Authorization({self._credentials!r})"

    async def header(self, fetch: Fetch, *, stale: str | None = None) -> str:
        """Give the header's value; `stale` is one that was just answered with 401.

        A token is fetched through `fetch` when there is none, 60 s before it ends, and when it is
        the stale one: once, however many ask at the same time, and all of them share the outcome.
        Raises CarrierRefused when the credentials are refused, NotSent when no token could be
        had now (TokenLimited after a 429). User and password, or a given token, are what they are: the same value comes back.
        """
        match self._credentials:
            case Basic(username, password):
                return _basic(username, password)
            case Token(token):
                return f"Bearer {token.reveal()}"
            case OAuth2() as client:
                return await self._bearer(client, fetch, stale)

    async def _bearer(self, client: OAuth2, fetch: Fetch, stale: str | None) -> str:
        if self._token and self._token != stale and not self._is_due():
            return self._token
        fetches = self._fetches
        async with self._lock:
            if self._fetches == fetches:
                await self._renew(client, fetch)
            if self._failure is not None:
                # Each task raises its own copy: a traceback belongs to one task.
                raise type(self._failure)(*self._failure.args) from self._failure
            assert self._token is not None
            return self._token

    async def _renew(self, client: OAuth2, fetch: Fetch) -> None:
        asked_at = self._now()
        try:
            answer = await fetch(_basic(client.client_id, client.client_secret))
            self._token, self._lifetime_seconds = _read_token(answer)
        except OutcomeUnknown as error:
            # A token too many harms nobody, and the request it was for has not been sent.
            self._failure = NotSent(f"No token: {error}")
        except (NotSent, CarrierRefused) as error:
            self._failure = error
        else:
            self._failure = None
            self._fetched_at = asked_at
        self._fetches += 1

    def _now(self) -> tuple[float, float]:
        return self._clocks[0](), self._clocks[1]()

    def _is_due(self) -> bool:
        # The larger elapsed time counts: a wall clock can be set back, and machines differ in suspend.
        elapsed = max(now - then for now, then in zip(self._now(), self._fetched_at, strict=True))
        # A token of less than two minutes is used for half its life.
        return elapsed >= self._lifetime_seconds - min(EARLY_SECONDS, self._lifetime_seconds / 2)


def _read_token(answer: Answer) -> tuple[str, float]:
    """Give the header's value and the token's life in seconds (RFC 6749 section 5.1)."""
    if answer.status == 429:
        raise TokenLimited(answer)
    if answer.status >= 500:
        raise NotSent(f"No token: the token request was answered with {answer.status}.")
    if answer.status in {400, 401, 403}:
        raise CarrierRefused(
            f"Carrier refused the credentials ({answer.status}). Check BATCHER_CLIENT_ID and BATCHER_CLIENT_SECRET."
        )
    if answer.status != 200:
        raise CarrierRefused(
            f"The token request was answered with {answer.status}. Check base_url, BATCHER_CLIENT_ID and "
            "BATCHER_CLIENT_SECRET."
        )
    try:
        reply = json.loads(answer.body)
        token, lifetime = reply["access_token"], float(reply.get("expires_in", DEFAULT_TOKEN_SECONDS))
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        # The parser's error would quote the answer, and with it a token.
        token, lifetime = None, 0.0
    if not (isinstance(token, str) and _TOKEN.fullmatch(token) and 0 < lifetime < math.inf):
        raise CarrierRefused("The token request was answered with something that is no token. Check base_url.")
    return f"Bearer {token}", lifetime
