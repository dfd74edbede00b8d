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
    # As installed: not compiled anew each time, whatever the environment says.
    return 1_000 * measured(command, cwd=cwd, env={"PYTHONDONTWRITEBYTECODE": ""}).seconds


def test_help(tmp_path):
    """One beside the other, so that what else the machine does slows both; the first pair is not counted."""
    pairs = [
        (milliseconds([SCRIPT, "--help"], tmp_path), milliseconds([sys.executable, "-c", "pass"], tmp_path))
        for _ in range(RUNS + 1)
    ][1:]
    shown, nothing = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = statistics.median(shown / nothing for shown, nothing in pairs)
    print(f"\nmedians of {RUNS} pairs: batcher --help {shown:.0f} ms, python -c pass {nothing:.0f} ms: {ratio:.2f} x")
