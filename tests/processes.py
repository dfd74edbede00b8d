"""Programs as users start them: batcher in a process of its own, and a simulator in another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

COMMAND = [sys.executable, "-m", "batcher"]


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours, without what would reach into a run."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("BATCHER_", "NO_COLOR"))}
    return clean | dict(more or {})


def batcher(
    *arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], cwd=cwd, env=environment(env), capture_output=True, text=True, timeout=60
    )


def started(*arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Start a command and let it run."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        cwd=cwd,
        env=environment(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def simulator(*arguments: str | Path) -> Generator[str]:
    """`batcher simulate` on a free port; gives its address."""
    process = started("simulate", "--port", "0", *arguments, cwd=Path.cwd())
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("simulator at http://"), process.communicate()
        yield line.split()[2]
    finally:
        process.terminate()
        process.communicate()


def asked(address: str, what: str) -> Any:
    """What the simulator says of itself (`executed`, `arrivals`)."""
    with urllib.request.urlopen(f"{address}/_simulator/{what}", timeout=10) as answer:
        return json.load(answer)


def at(address: str, api: str = "v2") -> dict[str, str]:
    """Variables that send a run to a simulator, which takes any credentials."""
    who = {"BATCHER_USERNAME": "simulated", "BATCHER_PASSWORD": "simulated-password"}
    return who | {"BATCHER_BASE_URL": f"{address}/api/{api}"}
