"""T4: `batcher check` and `batcher normalize` on one and on ten million rows (BATCHER_BENCH_ROWS): rows a second, memory.

Medians of three. Prints only.
"""

from __future__ import annotations

import os
import statistics
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest

from tests.benchmarks.measured import JOB, Measured, batcher, tns

ROWS = int(os.environ.get("BATCHER_BENCH_ROWS", "10_000_000"))
COMMANDS = {
    "check": ["check", "job.toml"],
    "normalize": ["normalize", "numbers.csv", "out.csv", "--to", "e164"],
    "normalize, Parquet": ["normalize", "numbers.parquet", "out.parquet", "--to", "e164"],
}


def write(folder: Path, rows: int) -> None:
    """One number in two plain, the others with +1, in groups, or in parentheses; 2 % are no numbers."""
    digits = pa.array(tns(rows)).cast(pa.string())
    parts = [pc.utf8_slice_codeunits(digits, *ends) for ends in ((0, 3), (3, 6), (6, 10))]
    shapes = [
        digits,
        pc.binary_join_element_wise("+1", digits, ""),
        pc.binary_join_element_wise(*parts, "-"),
        pc.binary_join_element_wise("(", parts[0], ") ", parts[1], "-", parts[2], ""),
        pa.repeat(pa.scalar("n/a"), rows),
    ]
    which = np.array([0] * 50 + [1] * 16 + [2] * 16 + [3] * 16 + [4] * 2)[np.arange(rows) % 100]
    names = pa.array([f"desk{n}@192.0.2.{n}" for n in range(40)]).take(pa.array(np.arange(rows) % 40))
    table = pa.table({"tn": pc.choose(pa.array(which), *shapes), "destination": names, "note": names})
    pacsv.write_csv(table, folder / "numbers.csv", pacsv.WriteOptions(quoting_style="none"))
    pq.write_table(table, folder / "numbers.parquet")
    settings = 'final_destination_uri = { column = "destination" }'
    (folder / "job.toml").write_text(JOB.format(rate=10, settings=settings))


def middle(runs: list[Measured]) -> Measured:
    """Each figure's median."""
    names = ("seconds", "cpu_seconds", "megabytes")
    return Measured(runs[0].code, *(statistics.median(getattr(run, name) for run in runs) for name in names))


@pytest.mark.timeout(3_600)
def test_files(tmp_path):
    print()
    found: dict[tuple[str, int], Measured] = {}
    for rows in (ROWS // 10, ROWS):
        write(tmp_path, rows)
        for name, command in COMMANDS.items():
            figures = middle([batcher(*command, cwd=tmp_path) for _ in range(3)])
            assert figures.code == 1, (tmp_path / "said.txt").read_text()[-2_000:]
            found[name, rows] = figures
            print(f"{rows:>12,} rows, {name:20} {figures}  {rows / figures.seconds / 1e6:6.2f} million rows a second")
    for name in COMMANDS:
        ratio = found[name, ROWS].megabytes / found[name, ROWS // 10].megabytes
        print(f"{name:20} memory at {ROWS:,} rows is {ratio:.2f} x that at {ROWS // 10:,} (T4: 1.10 x, 300 MB)")
