"""`make crash`: every point of every run, then seeds of chaos, then the same against two planted bugs; one table.

BATCHER_CRASH_SEED (default 0) is the first seed, BATCHER_CRASH_COUNT (100) how many, BATCHER_CRASH_AT_ONCE (6) how many
runs are under way at the same time. Ends with 1 when anything was lost, doubled or does not fit, or a bug was not caught.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tests.crash.cases import CASES, ORDERS, chaos
from tests.crash.planted import BUGS
from tests.crash.trials import (
    AT_ONCE,
    HEADING,
    Outcome,
    all_at_once,
    at_point,
    in_chaos,
    injected,
    line,
    misfits,
    undisturbed,
)


def main() -> int:
    seed, count = (
        int(os.environ.get(f"BATCHER_CRASH_{name}", default)) for name, default in (("SEED", 0), ("COUNT", 100))
    )
    started, folder = time.monotonic(), Path(tempfile.mkdtemp(prefix="crash."))
    print(f"seeds {seed} to {seed + count - 1}, runs that do not fit stay in {folder}\n\n{HEADING}")
    sound = _at_points(folder)
    chaotic = _in_chaos(folder, range(seed, seed + count))
    sound += chaotic
    print(line("all", sound))
    caught = [_control(folder, bug, range(seed, seed + max(4, count // 10))) for bug in BUGS]
    print(f"\nchaos: {injected(chaotic)}")
    for fault in misfits(sound):
        print(fault)
    print(
        f"\n{time.monotonic() - started:.0f} s; {'every planted bug was caught' if all(caught) else 'A PLANTED BUG PASSED'}"
    )
    return int(bool(misfits(sound)) or not all(caught))


def _at_points(folder: Path) -> list[Outcome]:
    outcomes: list[Outcome] = []
    for case in CASES:
        here = folder / case.name
        alone = undisturbed(case, here / "undisturbed")
        calls = [
            partial(at_point, case, here / f"{point} {nth}", point, nth, alone.results) for point, nth in alone.points()
        ]
        outcomes += _told(f"points: {case.name}", calls)
    return outcomes


def _in_chaos(folder: Path, seeds: range, bug: str = "") -> list[Outcome]:
    here = folder / (bug or "chaos")
    calm = undisturbed(chaos(1, 0), here / "undisturbed")
    return _told(
        f"control, chaos: {bug}" if bug else "chaos",
        [partial(in_chaos, seed, here / f"{seed}", calm.results, bug) for seed in seeds],
    )


def _control(folder: Path, bug: str, seeds: range) -> bool:
    """Whether the bug shows: at the points around the POST, and in chaos."""
    alone = undisturbed(ORDERS, folder / f"{bug} at points" / "undisturbed")
    points = [point for point in alone.points() if point[0] in {"post.before", "post.after", "post.fault"}]
    here = folder / f"{bug} at points"
    calls = [
        partial(at_point, ORDERS, here / f"{point} {nth}", point, nth, alone.results, bug) for point, nth in points
    ]
    outcomes = (_told(f"control, points: {bug}", calls), _in_chaos(folder, seeds, bug))
    return all(sum(each.doubled for each in some) > 0 for some in outcomes)


def _told(title: str, calls: Sequence[Callable[[], Outcome]]) -> list[Outcome]:
    outcomes = list(all_at_once(calls, int(os.environ.get("BATCHER_CRASH_AT_ONCE", AT_ONCE))))
    print(line(title, outcomes), flush=True)
    return outcomes


if __name__ == "__main__":
    sys.exit(main())
