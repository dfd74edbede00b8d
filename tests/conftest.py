"""What every test starts from."""

from __future__ import annotations

import gc
import logging
import signal
from collections.abc import Iterator

import pytest
import structlog


@pytest.fixture(autouse=True)
def fresh_logs() -> Iterator[None]:
    """A command that was run in this process leaves its logs configured, for a stream that is closed by then."""
    yield
    structlog.reset_defaults()
    for handler in [handler for handler in logging.getLogger().handlers if type(handler) is logging.StreamHandler]:
        logging.getLogger().removeHandler(handler)


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    """A command that was run in this process ignores signals when it has ended, and its children would inherit that."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    was_collecting = gc.isenabled()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    gc.unfreeze()
    if was_collecting:
        gc.enable()
