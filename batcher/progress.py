"""How far a run has come: a bar on a terminal, otherwise a line every 30 seconds. The only module with tqdm."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any, TextIO

import structlog
from tqdm import tqdm

#: Seconds between two lines where there is no terminal.
LINE_SECONDS = 30.0


class TqdmStream:
    """A stream for log lines that go above the bars instead of through them."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._held = ""

    def write(self, text: str) -> int:
        *lines, self._held = (self._held + text).split("\n")
        for line in lines:
            tqdm.write(line, file=self._stream)
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()


class Bar:
    """Rows that have come to rest, of those that one step sends."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._bar: tqdm[Any] | None = None
        self._stopped = threading.Event()
        self._done = 0

    def start(self, title: str, rows: int, done: int) -> None:
        self._done = done
        if self._stream.isatty():
            self._bar = tqdm(
                total=rows, initial=done, desc=title, unit="row", file=self._stream, dynamic_ncols=True, unit_scale=True
            )
            return
        self._stopped = threading.Event()
        # Orders may take hours; a thread of its own says so even while nothing comes to rest.
        threading.Thread(target=self._tell, args=(title, rows, self._stopped), daemon=True).start()

    def advance(self, rows: int) -> None:
        self._done += rows
        if self._bar is not None:
            self._bar.update(rows)

    def stop(self) -> None:
        self._stopped.set()
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _tell(self, title: str, rows: int, stopped: threading.Event) -> None:
        started = time.monotonic()
        while not stopped.wait(LINE_SECONDS):
            seconds = round(time.monotonic() - started)
            structlog.get_logger().info("progress", step=title, rows=self._done, of=rows, seconds=seconds)
