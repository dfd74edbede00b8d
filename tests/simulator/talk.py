"""How these tests talk to the simulator: a real socket, a turned clock, XML compared without its white space."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import aiohttp

from batcher.simulator import Account, Options, create_app, serve

AUTHORIZATION = {"Authorization": aiohttp.encode_basic_auth("jbm", "secret")}
#: 2026-11-20T12:00:00Z
NOON = 1_795_176_000.0


class Clock:
    """Epoch seconds that only a test moves."""

    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@dataclass
class Answered:
    status: int
    text: str
    headers: Any

    def all(self, name: str) -> list[str]:
        """Texts of all elements of that name."""
        return [found.text or "" for found in ET.fromstring(self.text.encode()).iter(name)]

    def one(self, name: str) -> str:
        (text,) = self.all(name)
        return text


class Talk:
    """A client of one simulator, as account 14."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.session = session

    async def ask(self, method: str, path: str, body: str | BytesIO | None = None, **more: Any) -> Answered:
        """`path` below the account; with a leading slash, below the host."""
        where = path if path.startswith("/") else f"/api/{more.pop('api', 'v2')}/accounts/14/{path}"
        headers = more.pop("headers", AUTHORIZATION)
        async with self.session.request(method, self.url + where, data=body, headers=headers, **more) as response:
            return Answered(response.status, await response.text(), response.headers)

    async def get(self, path: str, **more: Any) -> Answered:
        return await self.ask("GET", path, **more)

    async def post(self, path: str, body: str | BytesIO, **more: Any) -> Answered:
        return await self.ask("POST", path, body, **more)

    async def json(self, path: str) -> Any:
        async with self.session.get(f"{self.url}/_simulator/{path}") as response:
            return await response.json()


@asynccontextmanager
async def talk(
    account: Account | None = None, /, *, options: dict[str, Any] | None = None, **app: Any
) -> AsyncGenerator[Talk]:
    """A running simulator and a client of it."""
    account = account or Account(Options(**(options or {})))
    async with serve(create_app(account, **app)) as url, aiohttp.ClientSession() as session:
        yield Talk(url, session)


def order(*tns: str, options: str = "<Sms>on</Sms>", customer_order_id: str | None = None) -> str:
    """A tnoptions request of one group."""
    customer = "" if customer_order_id is None else f"<CustomerOrderId>{customer_order_id}</CustomerOrderId>"
    return f"<TnOptionOrder>{customer}<TnOptionGroups>{group(*tns, options=options)}</TnOptionGroups></TnOptionOrder>"


def group(*tns: str, options: str = "<Sms>on</Sms>") -> str:
    numbers = "".join(f"<TelephoneNumber>{tn}</TelephoneNumber>" for tn in tns)
    return f"<TnOptionGroup>{options}<TelephoneNumbers>{numbers}</TelephoneNumbers></TnOptionGroup>"


def tree(xml: str, *, masked: tuple[str, ...] = ()) -> Any:
    """The document as nested (name, text, children), white space dropped, the text of some elements masked."""
    return _tree(ET.fromstring(xml.encode()), masked)


def _tree(found: ET.Element, masked: tuple[str, ...]) -> Any:
    text = "*" if found.tag in masked else (found.text or "").strip()
    return found.tag, text, [_tree(child, masked) for child in found]


def paths(xml: str) -> set[str]:
    """The nesting alone: every path of element names."""
    return set(_paths(ET.fromstring(xml.encode()), ""))


def _paths(found: ET.Element, above: str) -> list[str]:
    here = f"{above}/{found.tag}"
    return [here] + [path for child in found for path in _paths(child, here)]
