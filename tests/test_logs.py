"""Logs: no secret in any form, no character that writes to the terminal, one way for all of them."""

from __future__ import annotations

import base64
import io
import json
import logging
from typing import Any

import pytest
import structlog

from batcher.logs import Redactor, configure
from batcher.visible import visible

#: A secret with characters that every form writes differently. No part of it may come out.
CANARY = 'Zq&7<pa"ss/wo+rd ü?%x'
#: Written by hand: what URL, HTML, form and JSON make of it.
FORMS = {
    "plain": 'Zq&7<pa"ss/wo+rd ü?%x',
    "URL": "Zq%267%3Cpa%22ss%2Fwo%2Brd%20%C3%BC%3F%25x",
    "path of a URL": "Zq%267%3Cpa%22ss/wo%2Brd%20%C3%BC%3F%25x",
    "form": "Zq%267%3Cpa%22ss%2Fwo%2Brd+%C3%BC%3F%25x",
    "XML": 'Zq&amp;7&lt;pa"ss/wo+rd ü?%x',
    "HTML": "Zq&amp;7&lt;pa&quot;ss/wo+rd ü?%x",
    "JSON": 'Zq&7<pa\\"ss/wo+rd \\u00fc?%x',
}


@pytest.fixture
def stream():
    """What the logs write to; afterwards nothing is configured, as before."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield io.StringIO()
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def start(stream, **changes: Any):
    settings: dict[str, Any] = {"json": False, "level": "debug", "colors": False, "secrets": [CANARY]}
    return configure(stream, **settings | changes)


@pytest.mark.parametrize("is_json", [False, True], ids=["console", "json"])
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_secret_is_masked_in_every_form(stream, form, is_json):
    """In the event, in a value, in a list, in a nested value."""
    start(stream, json=is_json)
    structlog.get_logger().info(f"asked {form}.", url=f"u={form}&x=1", parts=[form], answer={"said": f"<p>{form}</p>"})
    text = stream.getvalue()
    assert text.count("***") == 4
    for part in ("Zq", "ss", "wo"):
        assert part not in text


@pytest.mark.parametrize("alphabet", [base64.b64encode, base64.urlsafe_b64encode], ids=["base64", "base64url"])
@pytest.mark.parametrize("user", ["", "u", "us", "use", "user"])
def test_a_secret_is_masked_in_base64(stream, user, alphabet):
    """As Basic authentication writes it: after a user of any length, so in any of the three alignments."""
    start(stream)
    secret = "c4nary-of-batcher"
    configure(stream, json=False, level="debug", colors=False, secrets=[secret])
    encoded = alphabet(f"{user}:{secret}:tail".encode()).decode()
    structlog.get_logger().info("header", sent=f"Basic {encoded}")
    shown = stream.getvalue().split("Basic ")[1].strip()
    assert "***" in shown
    # What is left of it beside the mask gives back no three characters of the secret.
    assert len(shown.split("***")[0]) <= len(base64.b64encode(f"{user}:".encode())) + 1


@pytest.mark.parametrize(
    "key", ["Authorization", "password", "port_out_passcode", "client_secret", "access_token", "credentials"]
)
def test_a_value_with_the_name_of_a_secret_is_masked(stream, key):
    """Passcodes come from the input: nobody knows their values beforehand."""
    start(stream)
    structlog.get_logger().info("sent", **{key: "8642QX"}, values={key: "8642QX"})
    assert "8642QX" not in stream.getvalue()


@pytest.mark.parametrize("is_json", [False, True], ids=["console", "json"])
def test_a_secret_is_masked_in_a_traceback(stream, is_json):
    """An exception's text, its cause's text and the source lines beside them go through the same hands."""
    start(stream, json=is_json)
    try:
        try:
            raise ValueError(f"bad header {CANARY}")
        except ValueError as error:
            raise RuntimeError(f"https://u:{CANARY}@host/") from error
    except RuntimeError:
        structlog.get_logger().exception("a bug")
    text = stream.getvalue()
    assert text.count("***") == 2
    assert "Zq" not in text
    assert "RuntimeError" in text
    assert "Traceback" in text


def test_logs_of_libraries_go_the_same_way(stream):
    """Libraries (aiohttp, asyncio) log by the standard library: same stream, same masks, same form; their chatter stays away."""
    start(stream, json=True)
    logging.getLogger("aiohttp.client").warning("cookie %s", CANARY)
    logging.getLogger("asyncio").debug("using selector")
    try:
        raise OSError(f"to {CANARY}")
    except OSError:
        logging.getLogger("asyncio").exception("Task exception was never retrieved")
    cookie, task = map(json.loads, stream.getvalue().splitlines())
    assert cookie["event"] == "cookie ***"
    assert cookie["level"] == "warning"
    assert "OSError: to ***" in task["exception"]


def test_json_is_one_object_a_line(stream):
    """With time, level and the event's own keys; line breaks in a value do not break the line."""
    start(stream, json=True)
    structlog.get_logger().info("chunk settled", chunk=3, rows=4998, why="two\nlines")
    (line,) = stream.getvalue().splitlines()
    logged = json.loads(line)
    assert logged.pop("timestamp").endswith("Z")
    assert logged == {"event": "chunk settled", "level": "info", "chunk": 3, "rows": 4998, "why": "two\nlines"}


def test_control_characters_are_made_visible(stream):
    """What a carrier or a file says cannot move the cursor, forge a line or turn the reading direction."""
    start(stream)
    structlog.get_logger().info("carrier\x1b[2Jsaid", text="a\nb\x9b31m\u202ec")
    try:
        raise ValueError("clear \x1b[2J me")
    except ValueError:
        structlog.get_logger().exception("bug")
    text = stream.getvalue()
    assert "carrier\\u001b[2Jsaid" in text
    assert "a\\u000ab\\u009b31m\\u202ec" in text
    assert "clear \\u001b[2J me" in text
    assert not set(text) & set("\x1b\x9b\u202e")
    # The traceback keeps its own lines.
    assert "\nValueError: clear" in text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("a\x00b", "a\\u0000b", id="NUL"),
        pytest.param("a\rb", "a\\u000db", id="carriage return"),
        pytest.param("a\tb", "a\\u0009b", id="tab"),
        pytest.param("a\u2028b", "a\\u2028b", id="line separator"),
        pytest.param("a\u2066b", "a\\u2066b", id="bidi isolate"),
        pytest.param("Zürich +1 (919) 555-0123", "Zürich +1 (919) 555-0123", id="text stays"),
    ],
)
def test_visible(text, shown):
    """Code points instead of characters that act."""
    assert visible(text) == shown


def test_a_very_long_value_is_cut(stream):
    """No answer of a carrier fills the disk with its log."""
    start(stream)
    structlog.get_logger().info("said", text="x" * 100_000)
    assert len(stream.getvalue()) < 9_000


def test_levels(stream):
    """--quiet leaves warnings alone."""
    start(stream, level="warning")
    structlog.get_logger().info("settled")
    structlog.get_logger().warning("careful")
    assert "settled" not in stream.getvalue()
    assert "careful" in stream.getvalue()


@pytest.mark.parametrize("secret", ["", "abc"], ids=["empty", "short"])
def test_a_secret_of_three_characters_is_not_looked_for(secret):
    """It would blot out half of the text, and is none."""
    assert Redactor([secret]).text("abcabc def") == "abcabc def"


def test_a_secret_that_is_no_text_stops_nobody():
    """A variable may hold bytes that are no UTF-8."""
    assert Redactor(["caf\udce9-au-lait"]).text("x caf\udce9-au-lait y") == "x *** y"
