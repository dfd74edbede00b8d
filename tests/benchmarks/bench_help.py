"""How long somebody waits for `batcher --help`, beside a Python that does nothing. Prints only."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.measured import measured

RUNS = 15
#: What people type.
SCRIPT = str(Path(sys.executable).with_name("batcher"))


def milliseconds(command: Sequence[str], cwd: Path) -> float:
    # As installed: not compiled anew each time, whatever the environment says. The first run is not counted.
    times = [measured(command, cwd=cwd, env={"PYTHONDONTWRITEBYTECODE": ""}).seconds for _ in range(RUNS + 1)]
    return 1_000 * statistics.median(times[1:])


def test_help(tmp_path):
    shown, nothing = (
        milliseconds([SCRIPT, "--help"], tmp_path),
        milliseconds([sys.executable, "-c", "pass"], tmp_path),
    )
    print(
        f"\nmedians of {RUNS}: batcher --help {shown:.0f} ms, python -c pass {nothing:.0f} ms: {shown / nothing:.2f} x"
    )
