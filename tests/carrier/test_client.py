"""The client over real loop-back sockets: a raw server for nasty answers, aiohttp's for friendly ones."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import socket
import ssl
import struct
import traceback

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer

from batcher.carrier.auth import Authorization, Basic, OAuth2, Secret, Token
from batcher.carrier.client import Client, Timeouts, check_base_url, default_base_url
from batcher.errors import CarrierRefused, InputError, NotSent, OutcomeUnknown
from batcher.model import Request

CANARY = "canary-7f3a"
POST = Request("POST", "tnoptions", body=b"<TnOptionOrder/>")
GET = Request("GET", "tnoptions")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<ok/>"


class RawServer:
    """Reads whole requests and lets `answer(number, writer)` do what it likes with the connection."""

    def __init__(self, answer=None, *, tls=None):
        self.answer = answer or self.ok
        self.tls = tls
        #: (head, body) of each request
        self.requests = []
        self.connections = 0
        #: how each connection ended: "eof" or the name of the error
        self.ends = []
        self.writers = []
        self.arrived = asyncio.Event()
        self.ended = asyncio.Event()

    def ok(self, number, writer):
        writer.write(OK)

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self.server.close()
        for writer in self.writers:
            writer.transport.abort()
        await asyncio.sleep(0.01)

    async def serve(self, reader, writer):
        self.connections += 1
        self.writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length")), 0)
                self.requests.append((head, await reader.readexactly(length)))
                self.arrived.set()
                if (answering := self.answer(len(self.requests), writer)) is not None:
                    await answering
                await writer.drain()
        except asyncio.IncompleteReadError:
            self.ends.append("eof")
        except (OSError, RuntimeError) as error:
            self.ends.append(type(error).__name__)
        self.ended.set()
        writer.close()

    def methods(self):
        return [head.split(b" ", 1)[0].decode() for head, _ in self.requests]


def says(text):
    """Make an answer of these bytes, after which the connection is closed."""

    async def answer(number, writer):
        with contextlib.suppress(ConnectionError):
            writer.write(text)
            await writer.drain()
            writer.close()

    return answer


def reset(number, writer):
    opened = writer.get_extra_info("socket")
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def hang(number, writer):
    """Never answer."""


def hang_in_the_body(number, writer):
    writer.write(b"HTTP/1.1 201 Created\r\nContent-Length: 500\r\n\r\n<half>")


def client(port, *, scheme="http", api="v2", authorization=None, **kwargs):
    base_url = check_base_url(f"{scheme}://127.0.0.1:{port}{'/api/v2' if api == 'v2' else '/api/v1'}", api)
    return Client(base_url, "9900012", authorization or Authorization(Token(Secret(CANARY))), **kwargs)


def whole_text(error):
    """Everything that a log could show of an error and of those behind it."""
    texts = ["".join(traceback.format_exception(error))]
    while error is not None:
        texts.append(f"{error!r} {error} {error.args!r}")
        error = error.__cause__ or error.__context__
    return " ".join(texts)


def free_port():
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return opened.getsockname()[1]


# What is sent, and what comes back


async def test_a_request_carries_what_the_carrier_wants():
    """Path, query, body and headers arrive as they should, with + and spaces percent-encoded."""
    async with RawServer() as server, client(server.port) as carrier:
        answer = await carrier.send(
            Request("GET", "sites/1/tns/+19195550123", query=(("customerOrderId", "b-x y+z&a=1"), ("tn", "+1919")))
        )
        assert (answer.status, answer.body) == (200, b"<ok/>")
        await carrier.send(POST)
        await carrier.send(Request("GET", "/addresses"))
    heads = [head.decode().split("\r\n") for head, _ in server.requests]
    assert heads[0][0] == (
        "GET /api/v2/accounts/9900012/sites/1/tns/%2B19195550123?customerOrderId=b-x%20y%2Bz%26a%3D1&tn=%2B1919 HTTP/1.1"
    )
    assert heads[1][0] == "POST /api/v2/accounts/9900012/tnoptions HTTP/1.1"
    assert heads[2][0] == "GET /api/v2/addresses HTTP/1.1"
    assert server.requests[1][1] == b"<TnOptionOrder/>"
    assert {
        f"Authorization: Bearer {CANARY}",
        "Accept: application/xml",
        "Accept-Encoding: identity",
        "Content-Type: application/xml; charset=utf-8",
        "Connection: close",
    } <= set(heads[1])
    assert any(line.startswith("User-Agent: tn-batcher/0") for line in heads[0])
    assert not any(line.startswith("Content-Type") for line in heads[0])


@pytest.mark.parametrize("status", [200, 201, 204, 301, 400, 403, 404, 408, 413, 429, 500, 503])
async def test_every_real_answer_is_an_answer(status):
    """Whatever its status, a whole answer comes back with its body and lower-case header names."""
    body = b"" if status == 204 else b"<x/>"
    text = b"HTTP/1.1 %d X\r\nX-RateLimit-Reset: 17\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)
    async with RawServer(says(text)) as server, client(server.port) as carrier:
        for request in (GET, POST):
            answer = await carrier.send(request)
            assert (answer.status, answer.body, answer.headers["x-ratelimit-reset"]) == (status, body, "17")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_never_followed(status):
    """Nothing is sent to the place that a redirect names, neither order nor credentials."""
    async with RawServer() as elsewhere:
        text = f"HTTP/1.1 {status} X\r\nLocation: http://127.0.0.1:{elsewhere.port}/x\r\nContent-Length: 0\r\n\r\n"
        async with RawServer(says(text.encode())) as server, client(server.port) as carrier:
            for request in (GET, POST, Request("PUT", "x", body=b"<x/>")):
                assert (await carrier.send(request)).status == status
        assert len(server.requests) == 3
    assert elsewhere.connections == 0


@pytest.mark.parametrize(
    "path",
    ["..", "a/../b", "a//b", "", "a/", "a b", "a%2e", "a?x=1", "a#b", "é", "tns/\uff11", "x" * 65, "a\\b", "a\nb"],
)
async def test_a_path_that_leaves_the_account_is_refused(path):
    """Only plain parts enter an address: no dot segments, no query, nothing encoded already."""
    async with RawServer() as server, client(server.port) as carrier:
        with pytest.raises(InputError, match="cannot be part of a path"):
            await carrier.send(Request("GET", path))
    assert server.connections == 0


@pytest.mark.parametrize("account_id", ["", "../9", "99 00", "9900012/sites", "9" * 65])
def test_an_account_that_is_none_is_refused(account_id):
    """An account id that could change the path is refused before anything is opened."""
    with pytest.raises(InputError, match="account_id"):
        Client("https://api.bandwidth.com/api/v2", account_id, None)


# Connections


async def test_posts_go_on_fresh_connections_and_gets_on_kept_ones():
    """A kept-alive connection may die while an order is on its way: orders never use one."""
    async with RawServer() as server, client(server.port) as carrier:
        for _ in range(3):
            await carrier.send(GET)
        assert server.connections == 1
        for request in (POST, POST, Request("PUT", "x", body=b"<x/>"), Request("DELETE", "x")):
            await carrier.send(request)
        assert server.connections == 5


@pytest.mark.parametrize("end", [says(b""), reset], ids=["closed", "reset"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_a_write_is_never_sent_again_by_itself(method, end):
    """A write whose connection breaks is seen once by the server, and its outcome is unknown."""
    sent = []
    async with RawServer(end) as server, client(server.port) as carrier:
        with pytest.raises(OutcomeUnknown, match="broke off"):
            await carrier.send(Request(method, "sites", body=b"<x/>"), on_sent=lambda: sent.append(1))
        await asyncio.sleep(0.02)
    assert server.methods() == [method]
    assert sent == [1]


async def test_a_get_survives_a_kept_connection_that_died():
    """A GET on a connection that the server has dropped is asked again, since that harms nobody."""

    def drop_the_second(number, writer):
        if number == 2:
            writer.close()
        else:
            writer.write(OK)

    async with RawServer(drop_the_second) as server, client(server.port) as carrier:
        await carrier.send(GET)
        assert (await carrier.send(GET)).status == 200
    assert server.methods() == ["GET", "GET", "GET"]


async def test_connections_are_given_up_by_the_kernel_too():
    """Every socket has TCP_USER_TIMEOUT, so that a dead route does not hold it for a quarter of an hour."""
    async with RawServer() as server, client(server.port, timeouts=Timeouts(read=7)) as carrier:
        await carrier.send(GET)
        opened = carrier._socket((socket.AF_INET, socket.SOCK_STREAM, 0, "", ()))
        with opened:
            assert opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 7000


# Nasty answers


def http(head, body=b""):
    return b"HTTP/1.1 201 Created\r\n" + head + b"\r\n\r\n" + body


NASTY = {
    "closed without an answer": says(b""),
    "reset without an answer": reset,
    "half a status line": says(b"HTTP/1.1 20"),
    "garbage": says(b"\x16\x03\x01 what is this\r\n\r\n"),
    "bad status": says(b"HTTP/1.1 OK 201\r\n\r\n"),
    "HTTP 0.9": says(b"<order/>\r\n"),
    "two lengths": says(http(b"Content-Length: 5\r\nContent-Length: 6", b"<ok/>\n")),
    "length and chunks": says(http(b"Content-Length: 5\r\nTransfer-Encoding: chunked", b"5\r\n<ok/>\r\n0\r\n\r\n")),
    "a header of a megabyte": says(http(b"X: " + b"x" * 1_000_000 + b"\r\nContent-Length: 0")),
    "fifty thousand headers": says(http(b"X: y\r\n" * 50_000 + b"Content-Length: 0")),
    "closed inside the head": says(b"HTTP/1.1 201 Created\r\nContent-Le"),
    "closed inside the body": says(http(b"Content-Length: 500", b"<half>")),
    "closed inside a chunk": says(http(b"Transfer-Encoding: chunked", b"50\r\n<half>")),
    "a chunk that is none": says(http(b"Transfer-Encoding: chunked", b"zz\r\n<half>")),
    "no last chunk": says(http(b"Transfer-Encoding: chunked", b"5\r\n<ok/>\r\n")),
    "gzip": says(http(b"Content-Encoding: gzip\r\nContent-Length: 5", b"<ok/>")),
    "gzip twice": says(http(b"Content-Encoding: gzip, gzip\r\nContent-Length: 5", b"<ok/>")),
    "larger than allowed": says(http(b"Content-Length: 1001", b"x" * 1001)),
    "endless": says(http(b"Transfer-Encoding: chunked", b"fff\r\n" + b"x" * 4095 + b"\r\n")),
    "no answer": hang,
    "an answer that stops": hang_in_the_body,
}


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize("answer", [pytest.param(answer, id=name) for name, answer in NASTY.items()])
async def test_an_answer_that_cannot_be_read_leaves_the_outcome_unknown(method, answer):
    """No broken, cut, oversized, encoded or missing answer is taken for a refusal, or for an acceptance."""
    request = Request(method, "tnoptions", body=b"<x/>" if method == "POST" else None, max_bytes=1000)
    sent = []
    async with (
        RawServer(answer) as server,
        client(server.port, timeouts=Timeouts(connect=5, read=0.3, total=0.3)) as carrier,
    ):
        with pytest.raises(OutcomeUnknown) as caught:
            await carrier.send(request, on_sent=lambda: sent.append(1))
        assert sent
        assert CANARY not in whole_text(caught.value)
        if method == "POST":
            assert server.methods() == ["POST"]


async def test_an_answer_of_just_the_allowed_size_is_read():
    """The cap is the largest size that is still read."""
    text = http(b"Content-Length: 1000", b"x" * 1000)
    async with RawServer(says(text)) as server, client(server.port) as carrier:
        assert len((await carrier.send(Request("GET", "x", max_bytes=1000))).body) == 1000


async def test_an_oversized_answer_is_cut_off_at_once():
    """A gigabyte that the server wants to send is not read: the connection is reset at the cap."""
    written = 0

    async def flood(number, writer):
        nonlocal written
        writer.write(http(b"Content-Length: 1000000000"))
        with contextlib.suppress(ConnectionError):
            for _ in range(10_000):
                writer.write(b"x" * 100_000)
                written += 100_000
                await writer.drain()

    async with RawServer(flood) as server, client(server.port) as carrier:
        with pytest.raises(OutcomeUnknown, match="more than 1000 bytes"):
            await carrier.send(Request("GET", "x", max_bytes=1000))
        await asyncio.wait_for(server.ended.wait(), 5)
    assert written < 50_000_000


@pytest.mark.parametrize("answer", [hang, hang_in_the_body], ids=["no answer", "half an answer"])
@pytest.mark.parametrize(
    "timeouts", [Timeouts(read=0.2, total=60), Timeouts(read=60, total=0.2)], ids=["read", "total"]
)
async def test_a_connection_is_dead_after_a_time_out(answer, timeouts):
    """On a time-out the connection is reset, so that the server cannot take the request for a live one later."""
    async with RawServer(answer) as server, client(server.port, timeouts=timeouts) as carrier:
        with pytest.raises(OutcomeUnknown, match=r"0\.2 s"):
            await carrier.send(POST)
        await asyncio.wait_for(server.ended.wait(), 5)
        assert server.ends == ["ConnectionResetError"]


async def test_a_body_on_its_way_stops_at_a_time_out():
    """What still waits in our buffers when the time is over never reaches a server that would read it later."""
    connected = asyncio.get_running_loop().create_future()
    finished = asyncio.Event()

    async def read_nothing(reader, writer):
        connected.set_result(writer.get_extra_info("socket"))
        await finished.wait()
        writer.transport.abort()

    async with (
        await asyncio.start_server(read_nothing, "127.0.0.1", 0) as server,
        client(server.sockets[0].getsockname()[1], timeouts=Timeouts(total=1.0)) as carrier,
    ):
        with pytest.raises(OutcomeUnknown, match=r"no answer within 1 s"):
            await carrier.send(Request("POST", "tnoptions", body=b"x" * 20_000_000))
        await asyncio.sleep(0.01)
        state = (await connected).getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
        finished.set()
        await asyncio.sleep(0.01)
    # TCP_CLOSE of linux/tcp_states.h: a reset has arrived, though the server has not read a byte.
    assert state == 7


async def test_cancelling_passes_through_and_tells_whether_it_left():
    """A cancelled write raises CancelledError, its connection is reset, and `on_sent` has told that it may count."""
    sent = asyncio.Event()
    async with RawServer(hang) as server, client(server.port) as carrier:
        task = asyncio.create_task(carrier.send(POST, on_sent=sent.set))
        await asyncio.wait_for(server.arrived.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert sent.is_set()
        await asyncio.wait_for(server.ended.wait(), 5)
        assert server.ends == ["ConnectionResetError"]


async def test_a_slow_answer_within_the_time_is_an_answer():
    """An answer that comes in pieces is read to its end."""

    async def slowly(number, writer):
        for piece in (b"HTTP/1.1 201 Created\r\nContent-Le", b"ngth: 5\r\n\r\n<o", b"k/>"):
            writer.write(piece)
            await asyncio.sleep(0.02)

    async with RawServer(slowly) as server, client(server.port) as carrier:
        answer = await carrier.send(POST)
        assert (answer.status, answer.body) == (201, b"<ok/>")


# Not sent


@pytest.mark.parametrize("request_", [GET, POST], ids=["GET", "POST"])
async def test_a_refused_connection_means_not_sent(request_):
    """Nothing listens: no byte left, and the reason is told."""
    sent = []
    base_url = check_base_url(f"http://localhost:{free_port()}/api/v2", "v2")
    async with Client(base_url, "9900012", None) as carrier:
        with pytest.raises(
            NotSent, match=r"to localhost: cannot connect to port [0-9]+ \(.*refused|Connect call failed"
        ):
            await carrier.send(request_, on_sent=lambda: sent.append(1))
    assert not sent


async def test_a_name_that_does_not_resolve_means_not_sent():
    """No address: no byte left, and the reason is told."""
    base_url = check_base_url("https://carrier.invalid/api/v2", "v2", allowed_hosts=["carrier.invalid"])
    async with Client(base_url, "9900012", Authorization(Token(Secret(CANARY)))) as carrier:
        with pytest.raises(NotSent, match=r"to carrier\.invalid: the name cannot be resolved") as caught:
            await carrier.send(POST)
    assert CANARY not in whole_text(caught.value)


async def test_a_connection_that_is_not_made_in_time_means_not_sent():
    """A server that takes the connection but never shakes hands has seen no byte of the request."""
    async with (
        RawServer(hang) as server,
        client(server.port, scheme="https", timeouts=Timeouts(connect=0.2)) as carrier,
    ):
        with pytest.raises(NotSent, match=r"no connection within 0\.2 s"):
            await carrier.send(POST)
    assert server.requests == []


# TLS


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def cafile(authority, tmp_path_factory):
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def server_side(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


async def test_a_private_authority_is_trusted_by_its_file(authority, cafile):
    """With `cafile` a certificate of that authority is accepted, and the answer read over TLS."""
    async with (
        RawServer(tls=server_side(authority.issue_cert("127.0.0.1"))) as server,
        client(server.port, scheme="https", cafile=cafile) as carrier,
    ):
        assert (await carrier.send(GET)).body == b"<ok/>"
        assert (await carrier.send(POST)).body == b"<ok/>"


def expired(authority):
    return authority.issue_cert("127.0.0.1", not_after=dt.datetime(2020, 1, 1, tzinfo=dt.UTC))


@pytest.mark.parametrize(
    ("issue", "trusts", "expected"),
    [
        pytest.param(
            lambda ca: ca.issue_cert("127.0.0.1"), False, "unable to get local issuer certificate", id="unknown"
        ),
        pytest.param(lambda ca: ca.issue_cert("api.example"), True, "IP address mismatch", id="another host"),
        pytest.param(expired, True, "certificate has expired", id="expired"),
    ],
)
async def test_a_certificate_that_is_not_right_means_not_sent(authority, cafile, issue, trusts, expected):
    """No header reaches a server with a wrong certificate, and the message names the reason."""
    async with (
        RawServer(tls=server_side(issue(authority))) as server,
        client(server.port, scheme="https", cafile=cafile if trusts else None) as carrier,
    ):
        with pytest.raises(NotSent, match=rf"TLS: the certificate is refused \(.*{expected}") as caught:
            await carrier.send(POST)
    assert server.requests == []
    assert CANARY not in whole_text(caught.value)


async def test_a_server_without_tls_means_not_sent():
    """A peer that speaks plain HTTP on an https address gets nothing."""

    async def plain(reader, writer):
        await reader.read(10)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with (
        await asyncio.start_server(plain, "127.0.0.1", 0) as server,
        client(server.sockets[0].getsockname()[1], scheme="https") as carrier,
    ):
        with pytest.raises(NotSent, match="TLS: "):
            await carrier.send(POST)


async def test_a_server_with_old_tls_means_not_sent(authority, cafile):
    """TLS 1.0 is not agreed to, although the certificate is right: nothing is sent."""
    context = server_side(authority.issue_cert("127.0.0.1"))
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1
    async with RawServer(tls=context) as server, client(server.port, scheme="https", cafile=cafile) as carrier:
        # The server's side may reset the connection before its alert is read: both say that nothing was agreed.
        with pytest.raises(NotSent, match=r"TLS: |cannot connect to port") as caught:
            await carrier.send(POST)
    assert server.requests == []
    assert CANARY not in whole_text(caught.value)


async def test_a_certificate_that_signed_itself_means_not_sent():
    """Nobody vouches for it: nothing is sent, and the message says so."""
    own = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with own.cert_pem.tempfile() as certificate, own.private_key_pem.tempfile() as key:
        context.load_cert_chain(certificate, key)
    async with RawServer(tls=context) as server, client(server.port, scheme="https") as carrier:
        with pytest.raises(NotSent, match=r"TLS: the certificate is refused \(.*self-signed certificate"):
            await carrier.send(POST)
    assert server.requests == []


def test_old_tls_is_not_spoken(cafile):
    """TLS 1.2 is the least, and certificates and names are always checked."""
    context = Client("https://api.bandwidth.com/api/v2", "9900012", None, cafile=cafile)._tls
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.parametrize("content", [None, "not a certificate"], ids=["missing", "no certificate"])
def test_a_certificate_file_that_cannot_be_used_is_named(tmp_path, content):
    """A wrong `cafile` stops the start."""
    path = tmp_path / "ca.pem"
    if content:
        path.write_text(content)
    with pytest.raises(InputError, match=r"cafile .*ca\.pem"):
        Client("https://api.bandwidth.com/api/v2", "9900012", None, cafile=str(path))


# Authorization


class Carrier:
    """A friendly carrier that gives tokens and takes only the newest."""

    def __init__(self):
        self.tokens = 0
        self.token_requests = []
        self.token_status = 200
        self.revoked = False
        self.seen = []

    async def give_token(self, request):
        self.token_requests.append((request.headers["Authorization"], await request.text()))
        if self.token_status != 200:
            return web.Response(status=self.token_status)
        self.tokens += 1
        self.revoked = False
        return web.json_response({"access_token": f"t{self.tokens}", "token_type": "Bearer", "expires_in": 3600})

    async def order(self, request):
        self.seen.append((request.method, request.headers["Authorization"]))
        is_known = not self.revoked and request.headers["Authorization"] == f"Bearer t{self.tokens}"
        return web.Response(status=201 if is_known else 401, body=b"<ok/>")

    def server(self):
        app = web.Application()
        app.router.add_post("/api/v1/oauth2/token", self.give_token)
        app.router.add_route("*", "/api/v2/accounts/9900012/tnoptions", self.order)
        return TestServer(app)


def oauth():
    return Authorization(OAuth2("id", Secret(CANARY)))


async def test_the_token_comes_from_the_same_host():
    """The token is asked of the v1 token path of the base URL's host, as RFC 6749 has it, and then used."""
    carrier = Carrier()
    async with carrier.server() as server, client(server.port, authorization=oauth()) as wire:
        assert (await wire.send(POST)).status == 201
        assert (await wire.send(GET)).status == 201
    # id:canary-7f3a in base64
    assert carrier.token_requests == [("Basic aWQ6Y2FuYXJ5LTdmM2E=", "grant_type=client_credentials")]
    assert carrier.seen == [("POST", "Bearer t1"), ("GET", "Bearer t1")]


async def test_twenty_401s_at_once_renew_the_token_once():
    """A token that dies under twenty requests is renewed once, and each of them is repeated once."""
    carrier = Carrier()
    async with carrier.server() as server, client(server.port, authorization=oauth()) as wire:
        await wire.send(GET)
        carrier.revoked = True
        answers = await asyncio.gather(*(wire.send(POST) for _ in range(20)))
    assert [answer.status for answer in answers] == [201] * 20
    assert len(carrier.token_requests) == 2
    assert carrier.seen.count(("POST", "Bearer t2")) == 20


async def test_a_second_401_is_the_answer():
    """A request is repeated once with a new token; then the 401 goes to the caller."""
    carrier = Carrier()

    def refuse(number, writer):
        head = server.requests[-1][0]
        if b"oauth2/token" in head:
            carrier.tokens += 1
            body = b'{"access_token":"t%d"}' % carrier.tokens
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        else:
            writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")

    async with RawServer(refuse) as server, client(server.port, authorization=oauth()) as wire:
        assert (await wire.send(POST)).status == 401
    paths = [head.split(b" ")[1] for head, _ in server.requests]
    assert paths.count(b"/api/v2/accounts/9900012/tnoptions") == 2
    assert carrier.tokens == 2


@pytest.mark.parametrize(
    "authorization",
    [Authorization(Token(Secret("old"))), Authorization(Basic("user", Secret("p")))],
    ids=["token", "user and password"],
)
async def test_credentials_that_cannot_change_are_not_tried_twice(authorization):
    """Repeating the same password would only help to lock the account."""
    text = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
    async with RawServer(says(text)) as server, client(server.port, authorization=authorization) as wire:
        assert (await wire.send(POST)).status == 401
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "raised"), [(401, CarrierRefused), (403, CarrierRefused), (500, NotSent), (503, NotSent)]
)
async def test_without_a_token_nothing_is_sent(status, raised):
    """When no token can be had, the order has not been sent, and no secret is in what is said."""
    carrier = Carrier()
    carrier.token_status = status
    sent = []
    async with carrier.server() as server, client(server.port, authorization=oauth()) as wire:
        with pytest.raises(raised) as caught:
            await wire.send(POST, on_sent=lambda: sent.append(1))
        assert CANARY not in whole_text(caught.value) + repr(wire)
    assert (carrier.seen, sent) == ([], [])


async def test_a_token_request_that_breaks_means_not_sent():
    """Whatever happened to the token request, the order has not been sent."""
    async with RawServer(reset) as server, client(server.port, authorization=oauth()) as wire:
        with pytest.raises(NotSent, match=r"No token: POST to 127\.0\.0\.1: the connection broke off") as caught:
            await wire.send(POST)
        assert CANARY not in whole_text(caught.value)
    assert len(server.requests) == 1


# Base URLs


@pytest.mark.parametrize(
    ("url", "api", "expected"),
    [
        pytest.param("https://api.bandwidth.com/api/v2", "v2", "https://api.bandwidth.com/api/v2", id="v2"),
        pytest.param("https://api.bandwidth.com/api/v1/", "v1", "https://api.bandwidth.com/api/v1", id="slash"),
        pytest.param("https://dashboard.bandwidth.com/api", "v1", "https://dashboard.bandwidth.com/api", id="/api"),
        pytest.param(
            "https://dashboard.bandwidth.com:443/v1.0", "v1", "https://dashboard.bandwidth.com/v1.0", id="443, v1.0"
        ),
        pytest.param("HTTPS://API.Bandwidth.com/api/v2", "v2", "https://api.bandwidth.com/api/v2", id="capitals"),
        pytest.param(
            "https://test.api.bandwidth.com/api/v2", "v2", "https://test.api.bandwidth.com/api/v2", id="test host"
        ),
        pytest.param(
            "https://test.dashboard.bandwidth.com/api/v1.0",
            "v1",
            "https://test.dashboard.bandwidth.com/api/v1.0",
            id="test dashboard",
        ),
        pytest.param("http://127.0.0.1:8080/api/v2", "v2", "http://127.0.0.1:8080/api/v2", id="loopback"),
        pytest.param("http://127.8.9.1:80/api/v2", "v2", "http://127.8.9.1/api/v2", id="loopback network"),
        pytest.param("http://[::1]:8080/api/v1", "v1", "http://[::1]:8080/api/v1", id="loopback v6"),
        pytest.param("http://localhost:9/api/v1", "v1", "http://localhost:9/api/v1", id="localhost"),
        pytest.param("https://localhost:8443/api/v1", "v1", "https://localhost:8443/api/v1", id="localhost with TLS"),
        pytest.param("https://carrier.example/api/v2", "v2", "https://carrier.example/api/v2", id="allowed host"),
    ],
)
def test_a_base_url_is_taken(url, api, expected):
    """The carrier's hosts, allowed ones and this machine are taken, in one plain form."""
    assert check_base_url(url, api, allowed_hosts=("Carrier.example",)) == expected


@pytest.mark.parametrize(
    ("url", "api", "expected"),
    [
        pytest.param("http://api.bandwidth.com/api/v2", "v2", "only https", id="http"),
        pytest.param("http://carrier.example/api/v2", "v2", "only https", id="http to an allowed host"),
        pytest.param("http://10.0.0.1/api/v2", "v2", "only https", id="http in the house"),
        pytest.param("http://2130706433/api/v2", "v2", "only https", id="loopback as a number"),
        pytest.param("http://127.1/api/v2", "v2", "only https", id="loopback, short"),
        pytest.param("http://localhost.example/api/v2", "v2", "only https", id="nearly localhost"),
        pytest.param("ftp://api.bandwidth.com/api/v2", "v2", "only https", id="ftp"),
        pytest.param("api.bandwidth.com/api/v2", "v2", "only https", id="no scheme"),
        pytest.param("https:///api/v2", "v2", "no host", id="no host"),
        pytest.param("https://api.bandwidth.com.evil.example/api/v2", "v2", "allowed_hosts", id="suffix"),
        pytest.param("https://evil-api.bandwidth.com/api/v2", "v2", "allowed_hosts", id="prefix"),
        pytest.param("https://api.bandwidth.com./api/v2", "v2", "allowed_hosts", id="dot at the end"),
        pytest.param("https://api.bandwidth.com:8443/api/v2", "v2", "port 8443", id="port"),
        pytest.param("https://api.bandwidth.com:80/api/v2", "v2", "port 80", id="port 80"),
        pytest.param("https://api.bandwidth.com:99999/api/v2", "v2", "Port out of range", id="impossible port"),
        pytest.param("https://[::1/api/v2", "v2", "Invalid IPv6", id="broken v6"),
        pytest.param("https://api.bandwidth.com/api/v1", "v2", "api = 'v2' is /api/v2, not /api/v1", id="v1 for v2"),
        pytest.param("https://api.bandwidth.com/v1.0", "v2", "not /v1.0", id="v1.0 for v2"),
        pytest.param("https://api.bandwidth.com/api/v2", "v1", "api = 'v1' is /api/v1, not /api/v2", id="v2 for v1"),
        pytest.param("https://api.bandwidth.com", "v2", "not /", id="no path"),
        pytest.param("https://api.bandwidth.com/api/v1/../v2", "v2", "not /api/v1/../v2", id="dot segments"),
        pytest.param("https://api.bandwidth.com/api/v2//", "v2", "not /api/v2/", id="two slashes"),
        pytest.param("https://api.bandwidth.com/api/v2/accounts", "v2", "not /api/v2/accounts", id="too long"),
        pytest.param("https://api.bandwidth.com\\@evil.example/api/v2", "v2", "no user name", id="backslash"),
        pytest.param("https://user:canary-7f3a@api.bandwidth.com/api/v2", "v2", "no user name", id="userinfo"),
        pytest.param("https://api.bandwidth.com/api/v2?key=canary-7f3a", "v2", "query", id="query"),
        pytest.param("https://api.bandwidth.com/api/v2?", "v2", "query", id="empty query"),
        pytest.param("https://api.bandwidth.com/api/v2#x", "v2", "fragment", id="fragment"),
        pytest.param("https://api.bandwidth.com/api/v2 ", "v2", "white space", id="space"),
        pytest.param("https://api.bandwidth.com/api\n/v2", "v2", "white space", id="line break"),
        pytest.param("https://api.bändwidth.com/api/v2", "v2", "non-ASCII", id="accent"),
        pytest.param("", "v2", "base_url", id="empty"),
    ],
)
def test_a_base_url_is_refused(url, api, expected):
    """Whatever could carry credentials or orders to somebody else is refused, and no password is shown."""
    with pytest.raises(InputError) as caught:
        check_base_url(url, api, allowed_hosts=("carrier.example",))
    assert expected in str(caught.value)
    assert CANARY not in whole_text(caught.value)


@pytest.mark.parametrize(
    ("api", "expected"), [("v1", "https://api.bandwidth.com/api/v1"), ("v2", "https://api.bandwidth.com/api/v2")]
)
def test_the_default_base_url(api, expected):
    """Without a base_url the carrier's own gateway is used."""
    assert default_base_url(api) == expected
    assert check_base_url(expected, api) == expected
