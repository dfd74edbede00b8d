"""The one place that configures structlog: console or JSON on stderr, with every secret masked.

What is logged may come from a carrier's answer or an input file, so control characters are made visible.
"""

from __future__ import annotations

import base64
import html
import logging
import re
import urllib.parse
from collections.abc import Iterable, MutableMapping
from json import dumps
from typing import Any, Protocol, TextIO, cast

import structlog

from batcher.visible import visible

_MASK = "***"
_SECRET_KEY = re.compile(r"authorization|password|passcode|secret|token|credential", re.IGNORECASE)
_LONGEST = 8_000
_URL_SAFE = str.maketrans("+/", "-_")


class Stream(Protocol):
    """What logs are written to: a file, or one that gives way to a progress bar."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> None: ...


class Redactor:
    """The last processor before the renderer: masks what has a secret's name, or is one in any common form."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets if len(secret) >= 4 for form in _forms(secret)}
        self._known = re.compile("|".join(map(re.escape, sorted(forms, key=len, reverse=True)))) if forms else None

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {key: _MASK if _SECRET_KEY.search(key) else self._clean(value) for key, value in event.items()}

    def text(self, text: str) -> str:
        """A text without the known secrets."""
        return self._known.sub(_MASK, text) if self._known else text

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)[:_LONGEST]
        if isinstance(value, dict):
            return {key: _MASK if _SECRET_KEY.search(str(key)) else self._clean(inner) for key, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._clean(inner) for inner in value]
        return value if isinstance(value, int | float | bool | None) else self.text(str(value))


def _forms(secret: str) -> Iterable[str]:
    yield secret
    secret = secret.encode(errors="replace").decode()  # a variable may hold bytes that are no text
    yield from (urllib.parse.quote(secret, safe=""), urllib.parse.quote(secret), urllib.parse.quote_plus(secret))
    yield from (html.escape(secret, quote=False), html.escape(secret))
    yield dumps(secret)[1:-1]
    raw = secret.encode()
    # A secret inside a longer text has one of three alignments in base64; its edges mix with its neighbours.
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + raw).decode().rstrip("=")
        form = encoded[(0, 2, 3)[before] : len(encoded) - 1]
        yield from (form, form.translate(_URL_SAFE))


def _escape(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    shown = {key: visible(value) if isinstance(value, str) else value for key, value in event.items()}
    if isinstance(trace := event.get("exception"), str):
        shown["exception"] = "\n".join(map(visible, trace.split("\n")))
    return shown


def is_json() -> bool:
    """Whether logs are configured, each line as an object."""
    if not structlog.is_configured():
        return False
    return isinstance(structlog.get_config()["processors"][-1], structlog.processors.JSONRenderer)


def configure(stream: Stream, *, json: bool, level: str, colors: bool, secrets: Iterable[str] = ()) -> Redactor:
    """Send all logs, also those of libraries, to `stream`; `secrets` never appear in them."""
    redactor = Redactor(secrets)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer = structlog.processors.JSONRenderer() if json else structlog.dev.ConsoleRenderer(colors=colors)
    last: list[Any] = [redactor, renderer] if json else [redactor, _escape, renderer]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=cast("TextIO", stream)),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    strip: Any = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[strip, *last]))
    logging.basicConfig(handlers=[handler], level=logging.WARNING, force=True)
    return redactor
