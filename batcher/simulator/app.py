"""The simulator's server: HTTP around the routes, with credentials, rate limit, faults and latency.

`create_app` makes the application of one account, `serve` runs it on this machine.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from email.utils import formatdate

from aiohttp import web

from batcher.errors import InputError
from batcher.simulator.account import Account
from batcher.simulator.answers import Reply
from batcher.simulator.credentials import Door
from batcher.simulator.faults import Fault, Script, play
from batcher.simulator.numbers import read_tn
from batcher.simulator.routes import Call, answer
from batcher.simulator.throttle import HeaderStyle, Throttle

MAX_REQUEST_BYTES = 8 * 1024 * 1024
#: Account of the answers whose path names none, when the account file names none either.
ANY_ACCOUNT_ID = "9900000"

#: `/api`, `/v1.0` and their like are v1 (API.md 1.1).
_PATH = re.compile(
    r"/(?:api/(?P<version>v1\.0|v1|v2)|api|v1\.0)(?:/accounts/(?P<account_id>[^/]+)/(?P<path>.+)|(?P<base_path>/.+))",
    re.IGNORECASE,
)
_TOKEN_PATH = "/oauth2/token"  # ruff: ignore[hardcoded-password-string] - a path
#: Open connections and hanging requests are cut this long after the end, in seconds.
_SHUTDOWN_SECONDS = 0.1


def create_app(
    account: Account,
    *,
    faults: Sequence[Fault] = (),
    latency: float = 0.0,
    rate_limit: float | None = None,
    rate_limit_header: HeaderStyle = "reset",
    clock: Callable[[], float] = time.time,
) -> web.Application:
    """The application of one account.

    `latency` in seconds holds back each answer after its request was executed; `rate_limit` in requests per
    second; `clock` gives epoch seconds, and everything the simulator does with time goes by it.
    """
    server = _Server(account, Script(faults), Throttle(rate_limit, rate_limit_header), latency, clock)
    app = web.Application(client_max_size=MAX_REQUEST_BYTES)
    app.router.add_get("/_simulator/executed", server.executed)
    app.router.add_get("/_simulator/arrivals", server.show_arrivals)
    app.router.add_get("/_simulator/tns/{tn}", server.tn)
    app.router.add_route("*", "/{path:.*}", server.carrier)
    return app


@asynccontextmanager
async def serve(app: web.Application, *, host: str = "127.0.0.1", port: int = 0) -> AsyncGenerator[str, None]:
    """Run the application while the context is open; gives `http://127.0.0.1:PORT`. Port 0 takes a free one."""
    # A handler that hangs or waits is cancelled when its caller goes away, and cannot hold up the end.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise InputError(f"Cannot listen on {host}:{port}: {error.strerror}. Choose another port.") from error
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


class _Server:
    """What one application holds open: its account, its counters, its clock."""

    def __init__(
        self, account: Account, script: Script, throttle: Throttle, latency: float, clock: Callable[[], float]
    ) -> None:
        self._account = account
        self._script = script
        self._throttle = throttle
        self._latency = latency
        self._clock = clock
        self._door = Door(account.options.credentials, token_seconds=account.options.token_seconds)
        #: when each request for the carrier came (monotonic seconds), and its method
        self._arrivals: list[tuple[float, str]] = []

    async def carrier(self, request: web.Request) -> web.StreamResponse:
        """Any request that the real carrier would see."""
        found = _PATH.fullmatch(request.path)
        if found is None:
            return web.Response(status=404)
        path = found["path"] or found["base_path"]

        async def execute(*, listed: bool = True) -> web.Response:
            return await self._execute(request, found, listed=listed)

        if path.lower() != _TOKEN_PATH:
            self._arrivals.append((time.monotonic(), request.method))
            headers = self._throttle.refusal(self._clock())
            if headers is not None:
                return self._dated(web.Response(status=429, headers=headers | {"Connection": "close"}))
        fault = self._script.next(request.method, path)
        return await (execute() if fault is None else play(fault, request, execute))

    async def _execute(self, request: web.Request, found: re.Match[str], *, listed: bool) -> web.Response:
        body = await request.read()
        # From here to the answer nothing is awaited: a request is executed as a whole or not at all.
        if (found["base_path"] or "").lower() == _TOKEN_PATH:
            response = await self._token(request)
        else:
            response = self._answered(request, found, body, listed=listed)
        if self._latency:
            await asyncio.sleep(self._latency)
        return self._dated(response)

    async def _token(self, request: web.Request) -> web.Response:
        if request.method != "POST":
            return web.Response(status=405)
        if (await request.post()).get("grant_type") != "client_credentials":
            return web.json_response({"error": "unsupported_grant_type"}, status=400)
        token = self._door.token(request.headers.get("Authorization"), self._clock())
        if token is None:
            return web.json_response({"error": "invalid_client"}, status=401)
        return web.json_response(token)

    def _answered(self, request: web.Request, found: re.Match[str], body: bytes, *, listed: bool) -> web.Response:
        now = self._clock()
        user = self._door.user(request.headers.get("Authorization"), now)
        if user is None:
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="simulator"'})
        own = self._account.options.account_id
        if own is not None and found["account_id"] not in {None, own}:
            return web.Response(status=403)
        call = Call(
            method=request.method,
            path=found["path"] or found["base_path"],
            query=list(request.query.items()),
            body=body,
            api="v2" if (found["version"] or "").lower() == "v2" else "v1",
            account_id=found["account_id"] or own or ANY_ACCOUNT_ID,
            user=user,
            now=now,
            listed=listed,
        )
        return _response(answer(self._account, call))

    def _dated(self, response: web.Response) -> web.Response:
        """With the simulator's own time: clients correct the reset of a 429 by it."""
        response.headers["Date"] = formatdate(self._clock(), usegmt=True)
        return response

    async def executed(self, _request: web.Request) -> web.Response:
        """The oracle of the tests (DESIGN.md 9)."""
        return web.json_response(self._account.executed())

    async def show_arrivals(self, _request: web.Request) -> web.Response:
        """When the requests came, for measuring a rate."""
        return web.json_response(self._arrivals)

    async def tn(self, request: web.Request) -> web.Response:
        """The options that settled orders gave one TN, in either form."""
        tn = read_tn(request.match_info["tn"], "v2")
        return web.json_response(self._account.tn_options(tn, self._clock()), status=200 if tn else 404)


def _response(reply: Reply) -> web.Response:
    kind = "application/xml" if reply.text else None
    return web.Response(
        status=reply.status,
        body=reply.text.encode(),
        headers=reply.headers,
        content_type=kind,
        charset="utf-8" if reply.text else None,
    )
