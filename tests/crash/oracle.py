"""The simulator in a process of its own, as witness: it keeps what it executed and which faults it played, on disk."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import anyio
from aiohttp import web

from batcher.simulator import Account, Fault, Options, app, create_app, serve
from batcher.simulator.faults import Script
from batcher.simulator.orders import Order
from batcher.simulator.tnoptions import Refused

#: by TN: the code and text with which every order that holds it is refused as a whole; TOO_LARGE: if it holds many more
Poison = Mapping[int, tuple[str, str]]
TOO_LARGE, MOST_TNS = "413", 3


class _Picky(Account):
    """An account that refuses whole orders for what stands in them, so that the same rows always meet the same end."""

    def __init__(self, options: Options, journal: Path, poison: Poison) -> None:
        super().__init__(options, journal=journal)
        self._poison = poison

    def post_order(self, body: bytes, **about: object) -> Order:
        for tn, (code, text) in self._poison.items():
            if f"+{tn}<".encode() in body:
                if code != TOO_LARGE:
                    raise Refused(code, text)
                if (count := body.count(b"<TelephoneNumber>")) > MOST_TNS:
                    raise web.HTTPRequestEntityTooLarge(max_size=MOST_TNS, actual_size=count)
        return super().post_order(body, **about)  # type: ignore[arg-type]


def run(
    address: Connection, folder: Path, options: Options, faults: Sequence[Fault], latency: float, poison: Poison
) -> None:
    """Serve until somebody ends the process, or closes the pipe through which the address goes."""
    log = os.open(folder / "faults", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    class Logged(Script):
        def next(self, method: str, path: str) -> Fault | None:
            fault = super().next(method, path)
            if fault is not None:
                os.write(log, f"{fault.kind} {fault.status} {method} {path}\n".encode())
            return fault

    setattr(app, "Script", Logged)  # ruff: ignore[set-attr-with-constant] - a patch, and mypy need not know it
    account = _Picky(options, folder / "journal", poison)

    async def forever() -> None:
        async with serve(create_app(account, faults=faults, latency=latency)) as where:
            address.send(where)
            await anyio.wait_readable(address)

    anyio.run(forever)
