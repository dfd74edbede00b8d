"""How a command reaches the carrier: account, address and credentials from job and environment, or the simulator."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from batcher.errors import InputError

if TYPE_CHECKING:
    from batcher.engine.folder import RunFolder
    from batcher.engine.identity import Way
    from batcher.engine.job import Job

#: The account of a simulated run that names none.
_SIMULATED_ACCOUNT = "9900012"


def way_of(job: Job, *, simulate: bool) -> Way:
    """How the carrier is reached; InputError when account or credentials are missing or can be none."""
    import structlog

    from batcher.carrier.auth import (
        Authorization,
        Basic,
        Secret,
        basic_auth_warning,
        credentials_from,
        unknown_variables,
    )
    from batcher.carrier.client import check_base_url, default_base_url
    from batcher.engine.identity import Way

    account_id = job.carrier.account_id or _account_of_environment()
    if simulate:
        return Way(
            account_id or _SIMULATED_ACCOUNT,
            "simulator",
            Authorization(Basic("simulator", Secret("simulator"))),
            lambda folder: _simulated(folder, job.carrier.api),
        )
    if not account_id:
        raise InputError(f"{job.path or 'command line'}: no account: set [carrier] account_id or BATCHER_ACCOUNT_ID.")
    warnings = unknown_variables(os.environ)
    credentials = credentials_from(os.environ, warnings=warnings)
    if isinstance(credentials, Basic):
        import datetime as dt

        warnings.append(basic_auth_warning(dt.datetime.now(dt.UTC).date()))
    for warning in warnings:
        structlog.get_logger().warning(warning)
    url = job.carrier.base_url or os.environ.get("BATCHER_BASE_URL") or default_base_url(job.carrier.api)
    base_url = check_base_url(url, job.carrier.api)
    return Way(account_id, base_url, Authorization(credentials), lambda _folder: _given(base_url))


def _account_of_environment() -> str | None:
    from batcher.engine.job import check_account

    account_id = os.environ.get("BATCHER_ACCOUNT_ID")
    try:
        return check_account(account_id) if account_id else None
    except ValueError as error:
        raise InputError(f"BATCHER_ACCOUNT_ID: {error}.") from error


@asynccontextmanager
async def _given(base_url: str) -> AsyncGenerator[str]:
    yield base_url


@asynccontextmanager
async def _simulated(folder: RunFolder, api: str) -> AsyncGenerator[str]:
    """The built-in simulator; its journal stays in the run folder, so that a killed trial can be resumed."""
    from batcher.simulator import Account, create_app, serve

    app = create_app(Account(journal=folder.path / "simulator.jsonl"))
    async with serve(app) as address:
        yield f"{address}/api/{api}"


def secrets() -> list[str]:
    """What must never be shown: the secrets of this environment, also those that its files hold."""
    from pathlib import Path

    names = ("BATCHER_CLIENT_SECRET", "BATCHER_PASSWORD", "BATCHER_TOKEN")
    files = [Path(os.environ.get(f"{name}_FILE", "")) for name in names]
    # Whether a file can be used at all is told where it is needed.
    readable = [path for path in files if path.is_file() and os.access(path, os.R_OK)]
    found = [os.environ.get(name, "") for name in names]
    found += [path.read_bytes().decode(errors="replace").rstrip("\r\n") for path in readable]
    return [secret for secret in found if secret]
