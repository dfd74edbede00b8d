"""What whole programs cost: wall and CPU seconds, most memory, and inputs of any size."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from tests.processes import COMMAND, environment

#: A small parent: a child starts with the memory of who forked it, and would be measured with ours.
_PARENT = """
import json, os, sys, time
started = time.monotonic()
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(child, 0)
figures = {"code": os.waitstatus_to_exitcode(status), "seconds": time.monotonic() - started,
           "cpu_seconds": usage.ru_utime + usage.ru_stime, "megabytes": usage.ru_maxrss / 1024}
os.write(3, json.dumps(figures).encode())
"""
JOB = """\
[input]
path = "numbers.csv"
tn = "tn"

[carrier]
account_id = "9900012"

[limits]
requests_per_second = {rate}

[output]
path = "out"

[[step]]
operation = "tn-options"
{settings}
"""


@dataclass(frozen=True)
class Measured:
    """One program, from its start to its end."""

    code: int
    seconds: float
    cpu_seconds: float
    #: the most that was resident at any time
    megabytes: float

    def __str__(self) -> str:
        return f"{self.seconds:8.1f} s wall {self.cpu_seconds:8.1f} s CPU {self.megabytes:7.0f} MB"


def measured(command: Sequence[str | Path], *, cwd: Path, env: Mapping[str, str] | None = None) -> Measured:
    """Run a program to its end; its output goes to `said.txt`."""
    figures, said = cwd / "figures.json", cwd / "said.txt"
    shell = ["sh", "-c", 'exec 3>"$0" "$@"', figures, sys.executable, "-S", "-c", _PARENT, *command]
    with said.open("wb") as out:
        subprocess.run(list(map(str, shell)), cwd=cwd, env=environment(env), stdout=out, stderr=out, check=True)
    return Measured(**json.loads(figures.read_text()))


def batcher(*arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> Measured:
    """Run a command of ours to its end; as installed: not compiled anew each time, whatever the environment says."""
    return measured([*COMMAND, *arguments], cwd=cwd, env={"PYTHONDONTWRITEBYTECODE": ""} | dict(env or {}))


def tns(rows: int) -> np.ndarray:
    """So many distinct TNs of ten digits, none fictional, toll-free or N11."""
    line = np.arange(rows, dtype=np.int64)
    exchanges = np.array([nxx for nxx in range(220, 1_000) if nxx // 100 != 5 and nxx % 100 >= 20], np.int64)
    npas = np.array([201, 303, 404, 503, 602, 704, 919], np.int64)
    place = line // 10_000
    return npas[place // len(exchanges)] * 10**7 + exchanges[place % len(exchanges)] * 10**4 + line % 10_000


def write_numbers(path: Path, numbers: np.ndarray, destinations: int = 40) -> None:
    """A CSV of TNs and one of so many destinations each, in turn."""
    names = pa.array([f"desk{n}@192.0.2.{n % 250}" for n in range(destinations)])
    table = pa.table({"tn": numbers, "destination": names.take(pa.array(np.arange(len(numbers)) % destinations))})
    pacsv.write_csv(table, path, pacsv.WriteOptions(quoting_style="none"))
