"""Bar and progress lines: neither glues itself to a log line, and a run without a terminal still says that it lives."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
import termios
import threading

import pytest
import structlog

from batcher import progress
from batcher.progress import Bar, TqdmStream

#: Logs a line after each of twenty pieces of work, with a bar on the same terminal.
WORK = """
import sys
import structlog
from batcher.logs import configure
from batcher.progress import Bar, TqdmStream
configure(TqdmStream(sys.stderr), json=False, level="info", colors=False)
bar = Bar(sys.stderr)
bar.start("tn-options", 20_000, 0)
for number in range(20):
    bar.advance(1_000)
    structlog.get_logger().info("settled", chunk=number)
bar.stop()
print("end", file=sys.stderr)
"""


def on_terminal(code: str) -> str:
    """What a program writes to a terminal of 100 columns, as it arrives there."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, 100))
    with subprocess.Popen([sys.executable, "-c", code], stderr=theirs) as process:
        os.close(theirs)
        text = b""
        while True:
            try:
                block = os.read(ours, 65_536)
            except OSError:  # the other end is closed
                break
            if not block:
                break
            text += block
        assert process.wait() == 0
    os.close(ours)
    return text.decode()


def screen(text: str) -> list[str]:
    """The lines that somebody sees in the end: a carriage return writes over what stood there."""
    lines = []
    for line in text.split("\n"):
        cells: list[str] = []
        for part in re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", line).split("\r"):
            cells[: len(part)] = part
        lines.append("".join(cells).rstrip())
    return lines


def test_log_lines_go_above_the_bar():
    """Each log line stands alone on the terminal; the bar shows once, whole, at the end."""
    lines = screen(on_terminal(WORK))
    logged = [line for line in lines if "settled" in line]
    assert len(logged) == 20
    for number, line in enumerate(logged):
        assert re.fullmatch(rf"20\S+Z \[info +\] settled +chunk={number}", line)
    bars = [line for line in lines if "row/s" in line or "tn-options" in line]
    assert len(bars) == 1
    assert bars[0].startswith("tn-options: 100%|")
    assert "20.0k/20.0k" in bars[0]
    assert lines[-2:] == ["end", ""]


def test_a_stream_that_is_no_terminal_gets_plain_lines():
    """No bar, no control character, only what was logged."""
    result = subprocess.run([sys.executable, "-c", WORK], capture_output=True, text=True)
    assert not result.stdout
    lines = result.stderr.splitlines()
    assert [line.split()[-1] for line in lines] == [*(f"chunk={number}" for number in range(20)), "end"]
    assert "\r" not in result.stderr
    assert "\x1b" not in result.stderr


def test_a_piece_of_a_line_waits_for_its_end():
    """A log line is never torn by a bar."""
    stream = io.StringIO()
    lines = TqdmStream(stream)
    assert lines.write("half ") == 5
    assert not stream.getvalue()
    lines.write("a line\nand the next\nrest")
    assert stream.getvalue() == "half a line\nand the next\n"


class Told:
    """Stands for the log: keeps events and says when there are enough."""

    def __init__(self, enough: int) -> None:
        self.events: list[str] = []
        self.is_enough = threading.Event()
        self._enough = enough

    def __call__(self, _logger, _method, event):
        self.events.append(json.dumps(event))
        if len(self.events) >= self._enough:
            self.is_enough.set()
        raise structlog.DropEvent


@pytest.fixture
def told():
    log = Told(enough=3)
    structlog.configure(processors=[log])
    yield log
    structlog.reset_defaults()


def test_without_a_terminal_a_line_comes_from_time_to_time(told, monkeypatch):
    """Also while no order comes to rest for hours: a silent cron job looks like a dead one."""
    assert progress.LINE_SECONDS == 30
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.01)
    bar = Bar(io.StringIO())
    bar.start("tn-options", 12_038, 38)
    bar.advance(5_000)
    assert told.is_enough.wait(10)
    bar.stop()
    assert json.loads(told.events[-1]) == {
        "event": "progress",
        "step": "tn-options",
        "rows": 5_038,
        "of": 12_038,
        "seconds": 0,
    }


def test_a_bar_can_be_started_again(told, monkeypatch):
    """A job has several steps; each says its own rows, and none speaks after its end."""
    monkeypatch.setattr(progress, "LINE_SECONDS", 0.01)
    bar = Bar(io.StringIO())
    bar.start("import-tn-checker", 10, 0)
    bar.stop()
    told.events.clear()
    bar.start("tn-options", 20, 0)
    assert told.is_enough.wait(10)
    bar.stop()
    assert {json.loads(event)["step"] for event in told.events} == {"tn-options"}
