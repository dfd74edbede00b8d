"""The one seam for the wire: a request goes out, a real answer comes back or an error that says what may have happened.

The only module that imports aiohttp's client. It knows hosts, connections, time-outs and the 401
that renews a token. What an answer means, when to ask again and how fast, is left to others.
"""

from __future__ import annotations

import io
import ipaddress
import re
import socket
import ssl
import struct
from asyncio import Transport
from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib.metadata import version
from types import SimpleNamespace, TracebackType
from typing import Self
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
from yarl import URL  # aiohttp's own type for addresses: a plain text would be quoted a second time

from batcher.carrier.auth import Authorization, TokenLimited
from batcher.errors import BatcherError, InputError, NotSent, OutcomeUnknown
from batcher.model import Answer, Request

#: Paths of a base URL by API version; the first is the one of `default_base_url` (carrier/API.md 1.1).
BASE_PATHS = {"v1": ("/api/v1", "/api", "/api/v1.0", "/v1.0"), "v2": ("/api/v2",)}
#: Hosts of the carrier.
KNOWN_HOSTS = ("api.bandwidth.com", "dashboard.bandwidth.com", "test.api.bandwidth.com", "test.dashboard.bandwidth.com")
#: Where tokens come from, on the same host in both versions.
TOKEN_PATH = "/api/v1/oauth2/token"  # ruff: ignore[hardcoded-password-string] - a path, not a password
#: Largest answer to a token request, in bytes.
MAX_TOKEN_BYTES = 64 * 1024

_PATH_PART = re.compile(r"[A-Za-z0-9+-]{1,64}", re.ASCII)
_VISIBLE = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a request may take, in seconds."""

    #: to resolve the name, connect and shake hands
    connect: float = 10
    #: between two reads
    read: float = 60
    #: for all of it
    total: float = 120


DEFAULT_TIMEOUTS = Timeouts()


def default_base_url(api: str) -> str:
    """Give the carrier's base URL of an API version, "v1" or "v2"."""
    return f"https://{KNOWN_HOSTS[0]}{BASE_PATHS[api][0]}"


def check_base_url(url: str, api: str, *, allowed_hosts: Collection[str] = ()) -> str:
    """Give the base URL in its plain form, or raise InputError.

    https to the carrier's hosts or `allowed_hosts` on port 443; http or https to this machine
    (`localhost` or a loopback address) on any port. The path must be one of the API version's.
    """
    if "@" in url or "?" in url or "#" in url or not _VISIBLE.fullmatch(url):
        # The address is not shown: what stands there may be a password.
        raise InputError("base_url: no user name, query, fragment, white space or non-ASCII character belongs there.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise InputError(f"base_url {url}: {error}.") from error
    _check_host(url, parts.scheme, host, port, allowed_hosts)
    path = parts.path.removesuffix("/")
    if path not in BASE_PATHS[api]:
        raise InputError(f"base_url {url}: the path of api = {api!r} is {BASE_PATHS[api][0]}, not {path or '/'}.")
    name = f"[{host}]" if ":" in host else host
    is_default_port = port in {None, 443 if parts.scheme == "https" else 80}
    return f"{parts.scheme}://{name}{'' if is_default_port else f':{port}'}{path}"


def _check_host(url: str, scheme: str, host: str, port: int | None, allowed_hosts: Collection[str]) -> None:
    is_here = _is_loopback(host)
    if scheme != "https" and not (scheme == "http" and is_here):
        raise InputError(f"base_url {url}: only https, or http to this machine (127.0.0.1, ::1, localhost).")
    if is_here:
        return
    if host not in {*KNOWN_HOSTS, *(allowed.lower() for allowed in allowed_hosts)}:
        raise InputError(
            f"base_url {url}: {host or 'no host'} is not a host of the carrier ({', '.join(KNOWN_HOSTS)}); "
            "name it in allowed_hosts if it is right."
        )
    if port not in {None, 443}:
        raise InputError(f"base_url {url}: port {port}, but the carrier is spoken to on 443 only.")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class _Sending:
    """One try of one request; `left` says that its first byte may have gone out."""

    def __init__(self, on_sent: Callable[[], None] | None) -> None:
        self.on_sent = on_sent
        self.left = False


class _Request(aiohttp.ClientRequest):
    """A request that remembers its connection, so that it can be reset when nothing comes back."""

    transport: Transport | None = None

    async def send(self, conn: aiohttp.connector.Connection) -> aiohttp.ClientResponse:
        self.transport = conn.transport
        return await super().send(conn)


class _BrokeOff(aiohttp.ClientError):
    """A write's connection broke; not one of the errors after which aiohttp sends PUT and DELETE again."""


class Client:
    """Speaks to one account of one API version at the carrier; an async context manager."""

    def __init__(
        self,
        base_url: str,
        account_id: str,
        authorization: Authorization | None,
        *,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        cafile: str | None = None,
    ) -> None:
        """Take a `base_url` that `check_base_url` gave; `cafile` names the certificate of a private CA."""
        if not _PATH_PART.fullmatch(account_id):
            raise InputError(f"account_id {account_id!r}: expected the digits of a Bandwidth account.")
        self._base_url = base_url
        self._account_id = account_id
        self._authorization = authorization
        self._timeouts = timeouts
        self._tls = _tls(cafile)

    def __repr__(self) -> str:
        return f"Client({self._base_url!r}, {self._account_id!r})"

    async def __aenter__(self) -> Self:
        self._reads = self._session(force_close=False)
        # A kept-alive connection may die in the very moment of sending, and an order would be in doubt.
        self._writes = self._session(force_close=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._reads.close()
        await self._writes.close()

    async def send(self, request: Request, *, on_sent: Callable[[], None] | None = None) -> Answer:
        """Send a request and read the answer to its end, whatever its status; redirects are answers.

        `on_sent` is called just before the first byte may leave (a second time when a token had to
        be renewed): cancelled without it, nothing was sent. A 401 renews the token and repeats the
        request once; a 429 to the request for a token is the answer.

        Raises NotSent when no byte left, OutcomeUnknown when one may have and no
        whole, plain answer of at most `request.max_bytes` came back, CarrierRefused when no token
        is to be had, InputError for a path that is none.
        """
        url = self._url(request)
        if self._authorization is None:
            return await self._exchange(request, url, {}, on_sent)
        try:
            used = await self._authorization.header(self._fetch_token)
            answer = await self._exchange(request, url, {"Authorization": used}, on_sent)
            if answer.status != 401:
                return answer
            fresh = await self._authorization.header(self._fetch_token, stale=used)
        except TokenLimited as limited:
            return limited.answer
        if fresh == used:
            return answer
        return await self._exchange(request, url, {"Authorization": fresh}, on_sent)

    def _url(self, request: Request) -> URL:
        for part in request.path.removeprefix("/").split("/"):
            # A dot segment would reach another account: yarl makes /accounts/14/../9/ into /accounts/9/.
            if not _PATH_PART.fullmatch(part):
                raise InputError(f"{part!r} cannot be part of a path: expected 1 to 64 letters, digits, + or -.")
        path = request.path if request.path.startswith("/") else f"/accounts/{self._account_id}/{request.path}"
        query = urlencode(request.query, quote_via=quote, safe="")
        return URL(f"{self._base_url}{quote(path)}{'?' if query else ''}{query}", encoded=True)

    async def _fetch_token(self, authorization: str) -> Answer:
        """Ask for a token by client credentials (RFC 6749 section 4.4)."""
        request = Request("POST", TOKEN_PATH, body=b"grant_type=client_credentials", max_bytes=MAX_TOKEN_BYTES)
        headers = {
            "Authorization": authorization,
            "Accept": "application/json",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        return await self._exchange(request, URL(self._base_url).with_path(TOKEN_PATH), headers, None)

    async def _exchange(
        self, request: Request, url: URL, headers: dict[str, str], on_sent: Callable[[], None] | None
    ) -> Answer:
        if request.body is not None:
            headers = {"Content-Type": "application/xml; charset=utf-8"} | headers
        session = self._reads if request.method == "GET" else self._writes
        sending = _Sending(on_sent)
        try:
            response = await session.request(
                request.method,
                url,
                # aiohttp warns of plain bytes beyond a mebibyte, since it would write them at one go.
                data=None if request.body is None else io.BytesIO(request.body),
                headers=headers,
                allow_redirects=False,
                trace_request_ctx=sending,
            )
            return await _read(response, request.max_bytes)
        except BatcherError:
            raise
        except Exception as error:
            # Whatever it is: once a byte may have left, only the carrier knows what became of it.
            if not sending.left and not isinstance(error, (aiohttp.ClientError, OSError)):
                raise
            kind = OutcomeUnknown if sending.left else NotSent
            failure = kind(f"{request.method} to {url.host}: {_reason(error, self._timeouts)}")
            cause = None if isinstance(error, aiohttp.ClientResponseError) else error
        # Raised out here, without context: aiohttp's error about an answer shows the request's credentials.
        raise failure from cause

    def _session(self, *, force_close: bool) -> aiohttp.ClientSession:
        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(_mark_sent)
        timeouts = self._timeouts
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                # Our own gate limits: time spent in a queue here would count against the time-outs.
                limit=0,
                ssl=self._tls,
                force_close=force_close,
                socket_factory=self._socket,
            ),
            timeout=aiohttp.ClientTimeout(
                total=timeouts.total,
                connect=timeouts.connect,
                sock_connect=timeouts.connect,
                sock_read=timeouts.read,
            ),
            headers={
                "Accept": "application/xml",
                # A truncated gzip answer is accepted without a word, and a small one may unpack to gigabytes.
                "Accept-Encoding": "identity",
                "User-Agent": f"tn-batcher/{version('tn-batcher')}",
            },
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            trace_configs=[trace],
            middlewares=(_send_once,) if force_close else (),
            request_class=_Request,
        )

    def _socket(self, address: aiohttp.connector.AddrInfoType) -> socket.socket:
        opened = socket.socket(address[0], address[1], address[2])
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # What the other side does not acknowledge within this time is given up by the kernel too.
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(self._timeouts.read * 1000))
        return opened


def _tls(cafile: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=cafile)
    except OSError as error:
        raise InputError(f"cafile {cafile}: {error.strerror or error}.") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(("http/1.1",))
    return context


async def _mark_sent(  # ruff: ignore[unused-async]
    _session: aiohttp.ClientSession, context: SimpleNamespace, _params: aiohttp.TraceRequestHeadersSentParams
) -> None:
    sending: _Sending = context.trace_request_ctx
    sending.left = True
    if sending.on_sent is not None:
        sending.on_sent()


async def _send_once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Middleware of writes: a broken connection is dead at once, and aiohttp does not send PUT or DELETE again."""
    try:
        return await handler(request)
    except BaseException as error:
        assert isinstance(request, _Request)
        _reset(request.transport)
        is_unsent = isinstance(error, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError))
        if isinstance(error, (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)) and not is_unsent:
            raise _BrokeOff("the connection broke off before an answer came") from error
        raise


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> Answer:
    transport = response.connection.transport if response.connection else None
    try:
        headers = {name.lower(): value for name, value in response.headers.items()}
        if (encoding := headers.get("content-encoding", "identity")) != "identity":
            raise OutcomeUnknown(f"The answer ({response.status}) is encoded as {encoding[:40]!r}, unasked.")
        body = bytearray()
        async for block in response.content.iter_chunked(65_536):
            body += block
            if len(body) > max_bytes:
                raise OutcomeUnknown(f"The answer ({response.status}) has more than {max_bytes} bytes.")
        return Answer(response.status, bytes(body), headers)
    except BaseException:
        _reset(transport)
        response.close()
        raise


def _reset(transport: Transport | None) -> None:
    """Kill the connection: what still waits in its buffers does not reach the carrier later."""
    if transport is None:
        return
    opened = transport.get_extra_info("socket")
    if opened is not None and opened.fileno() >= 0:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _reason(error: Exception, timeouts: Timeouts) -> str:
    """Say in words what went wrong; the bodies and headers that some errors quote stay out."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"the name cannot be resolved ({error.os_error.strerror or error.os_error})"
        case aiohttp.ClientConnectorCertificateError():
            why = getattr(error.certificate_error, "verify_message", "")
            return f"TLS: the certificate is refused ({why or type(error.certificate_error).__name__})"
        case aiohttp.ClientConnectorSSLError():
            return f"TLS: {getattr(error.os_error, 'reason', None) or error.os_error.strerror}"
        case aiohttp.ConnectionTimeoutError():
            return f"no connection within {timeouts.connect:g} s"
        case aiohttp.ClientConnectorError():
            return f"cannot connect to port {error.port} ({error.os_error.strerror or error.os_error})"
        case aiohttp.ClientResponseError():
            return f"the answer is not HTTP ({error.message.splitlines()[0][:100] if error.message else 'malformed'})"
        case aiohttp.ClientPayloadError():
            return "the answer broke off or is malformed"
        case aiohttp.SocketTimeoutError():
            return f"nothing came for {timeouts.read:g} s"
        case TimeoutError():
            return f"no answer within {timeouts.total:g} s"
        case _BrokeOff() | aiohttp.ClientConnectionError():
            return "the connection broke off before an answer came"
        case _:
            return type(error).__name__
