"""What goes wrong on the way: a script of faults, chosen by request and counted, never by chance.

A fault is picked by method and path and by how many such requests came before it, or by a share that is drawn
from its seed and that count: the same requests in the same order meet the same faults.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from hashlib import blake2b
from pathlib import Path
from typing import Literal

from aiohttp import web
from pydantic import BaseModel, Field, NonNegativeFloat, PositiveInt

from batcher.simulator.toml import read_toml

Kind = Literal[
    "reset_before",
    "reset_after",
    "hang",
    "truncate",
    "status",
    "status_after",
    "garbage",
    "slow",
    "unlisted",
    "twice",
]

#: Executes the request; `listed=False` keeps the order that it makes out of every list.
Execute = Callable[..., Awaitable[web.Response]]

_HTML = "<html><head><title>Service</title></head><body><h1>It works!</h1></body></html>"


class Fault(BaseModel, frozen=True, extra="forbid"):
    """One entry of the script. Without `nth`, `every` and `share` it meets every request that it matches."""

    kind: Kind
    method: str = "*"
    #: below the account (`tnoptions`, `tnoptions/*`, `sites/*`), else below the API's base (`/tns`, `/oauth2/token`)
    path: str = "*"
    #: which of the matching requests, from 1
    nth: tuple[PositiveInt, ...] = ()
    #: each so-manieth of them; 0: not by this
    every: int = Field(default=0, ge=0)
    #: share of them, drawn from `seed`
    share: float = Field(default=0.0, ge=0.0, le=1.0)
    seed: int = 0
    #: `status`, `status_after`: what is answered
    status: int = Field(default=503, ge=200, le=599)
    body: str = ""
    headers: Mapping[str, str] = {}
    #: `slow`: how long the answer is held back
    seconds: NonNegativeFloat = 1.0
    #: `hang`, `garbage`: whether the request is executed all the same
    executed: bool = True

    def matches(self, method: str, path: str) -> bool:
        """It is about such requests."""
        return fnmatchcase(method, self.method.upper()) and fnmatchcase(path.lower(), self.path.lower())

    def meets(self, ordinal: int) -> bool:
        """It strikes the request that is the `ordinal`-th of those it matches."""
        if not (self.nth or self.every or self.share):
            return True
        if ordinal in self.nth or (self.every and ordinal % self.every == 0):
            return True
        return _draw(self.seed, ordinal) < self.share


class Script:
    """The faults and how many requests each has matched so far."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._faults = tuple(faults)
        self._counts = [0] * len(self._faults)

    def next(self, method: str, path: str) -> Fault | None:
        """The fault that this request meets: the first in the script; all that match count it."""
        met = None
        for number, fault in enumerate(self._faults):
            if not fault.matches(method, path):
                continue
            self._counts[number] += 1
            if met is None and fault.meets(self._counts[number]):
                met = fault
        return met


class _File(BaseModel, frozen=True, extra="forbid"):
    fault: tuple[Fault, ...] = ()


def read_faults(path: Path) -> tuple[Fault, ...]:
    """The script of a fault file (docs/simulator.md); InputError with file and reasons."""
    return read_toml(path, _File).fault


async def play(fault: Fault, request: web.Request, execute: Execute) -> web.StreamResponse:
    """Let the request meet the fault."""
    match fault.kind:
        case "reset_before":
            return _reset(request)
        case "reset_after":
            await execute()
            return _reset(request)
        case "hang":
            return await _hang(fault, execute)
        case "truncate":
            return await _truncate(request, await execute())
        case "status":
            return web.Response(status=fault.status, text=fault.body, headers=fault.headers)
        case "status_after":
            await execute()
            return web.Response(status=fault.status, text=fault.body, headers=fault.headers)
        case "garbage":
            status = (await execute()).status if fault.executed else 200
            return web.Response(status=status, text=_HTML, content_type="text/html")
        case "slow":
            response = await execute()
            await asyncio.sleep(fault.seconds)
            return response
        case "unlisted":
            return await execute(listed=False)
        case "twice":
            await execute()
            return await execute()


def _reset(request: web.Request) -> web.Response:
    """Cut the connection with a reset; the response that is returned reaches nobody."""
    transport = request.transport
    if transport is not None:
        # Without lingering the kernel answers with RST, not FIN: what a crashed server or a firewall looks like.
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()


async def _hang(fault: Fault, execute: Execute) -> web.Response:
    """Never answer: ends when the caller goes away or the server stops, both of which cancel this."""
    if fault.executed:
        await execute()
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


async def _truncate(request: web.Request, whole: web.Response) -> web.StreamResponse:
    """Promise the whole body, send half of it, close."""
    body = whole.body
    assert isinstance(body, bytes)
    response = web.StreamResponse(status=whole.status, headers={"Content-Type": "application/xml; charset=utf-8"})
    response.content_length = len(body)
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


def _draw(seed: int, ordinal: int) -> float:
    """A number from 0 up to 1 that depends on nothing else."""
    digest = blake2b(f"{seed} {ordinal}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
