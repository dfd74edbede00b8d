"""What every test starts from."""

from __future__ import annotations

import logging
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
