"""Runs that are killed, resumed and compared: at every point, and at random moments with every fault around them."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from tests.crash.cases import Case, chaos
from tests.crash.drive import RUN, Trial, ended, trial
from tests.crash.killed import NOWHERE
from tests.crash.records import compare, played

_T = TypeVar("_T")
#: Each point is killed at when it is passed for the first, second and third time.
OCCURRENCES = 3
#: Sum of the shares of all kinds of faults in chaos; some draws coincide, and 30 % of the requests meet one.
SHARE = 0.34
#: Kills in one run of chaos, and the moments they come at, in seconds after the start.
KILLS_A_SEED, EARLIEST, LATEST = 8, 0.15, 0.9
AT_ONCE = 6


@dataclass(frozen=True)
class Outcome:
    """What became of one killed run."""

    name: str
    kills: Sequence[str]
    dangerous: int
    freezes: int
    starts: int
    resolved: int
    #: requests that came to the simulator, and those of them that met a fault
    requests: int
    struck: int
    lost: int
    doubled: int
    #: what does not fit, in words
    faults: Sequence[str]


@dataclass(frozen=True)
class Undisturbed:
    """A run that nobody killed: its results, and the points it passed."""

    results: bytes
    passed: Counter[str]
    #: those of the points that are about one chunk, or one request
    of_chunks: frozenset[str]

    def points(self, occurrences: int = OCCURRENCES) -> list[tuple[str, int]]:
        """Every point with the first occurrences of it."""
        return [(point, nth) for point, times in self.passed.items() for nth in range(1, min(times, occurrences) + 1)]

    def quick(self, known: Undisturbed, *, all_of_chunks: bool) -> list[tuple[str, int]]:
        """The first occurrences of what is not passed by a known run, and of all that has to do with a single chunk."""
        more = known.of_chunks if all_of_chunks else ()
        return [(point, 1) for point in self.passed if point not in known.passed or point in more]


def undisturbed(case: Case, folder: Path) -> Undisturbed:
    """Run a case to its end without a kill (but those that come before)."""
    with trial(case, folder) as run:
        _go_before(run)
        code = ended(run.start(NOWHERE, 1, *case.command))
        passed = run.passed()
        code = ended(run.start()) if case.command else code
        assert code == case.exit_code, f"{case.name}: {code}\n{run.log()}"
        of_chunks = frozenset(point for point, chunk in passed if chunk or point.startswith(("post", "put")))
        found = Undisturbed(run.results(), Counter(point for point, _ in passed), of_chunks)
        verdict = compare(run, found.results)
        assert not verdict.faults, (case.name, verdict.faults)
    return found


def at_point(case: Case, folder: Path, point: str, occurrence: int, results: bytes, bug: str = "") -> Outcome:
    """Kill a run at a point, resume it with the same command, and compare. Nothing but the kill disturbs it."""
    with trial(case, folder, bug) as run:
        _go_before(run)
        is_killed = run.kill_at(point, occurrence, *case.command)
        # Nothing can be proven absent while the account holds no order at all; and a kill before leaves chance a place.
        is_provable = bool(run.executed()["orders"]) and not (case.before or case.command)
        return _judged(run, f"{case.name}, {point} {occurrence}", results, is_provable=is_provable, is_killed=is_killed)


def in_chaos(seed: int, folder: Path, results: bytes, bug: str = "", share: float = SHARE) -> Outcome:
    """Kill and freeze a run at random moments, with faults all around; let it end, and compare."""
    chance = random.Random(seed)
    with trial(chaos(seed, share), folder, bug) as run:
        for _ in range(KILLS_A_SEED):
            moment = chance.uniform(EARLIEST, LATEST)
            frozen = (moment / 2, chance.uniform(0.05, 0.5)) if chance.random() < 0.3 else None
            if not run.kill_after(moment, frozen):
                break
        return _judged(run, f"seed {seed}", results)


def _go_before(run: Trial) -> None:
    for point, occurrence in run.case.before:
        assert run.kill_at(point, occurrence, *RUN), (
            f"{run.case.name}: {point} {occurrence} was not reached\n{run.log()}"
        )
    if run.case.began is not None:
        assert ended(run.start(NOWHERE, 1, *RUN)) == run.case.began, f"{run.case.name}\n{run.log()}"


def _judged(
    run: Trial, name: str, results: bytes, *, is_provable: bool = False, is_killed: bool | None = None
) -> Outcome:
    """`is_killed`: whether the one kill of a run that nothing else disturbs took place."""
    code = run.finish()
    verdict = compare(run, results)
    verdict.expect("exit code", code, run.case.exit_code)
    if is_killed is not None:
        verdict.expect("starts that gave up", run.given_up, 0)
        verdict.expect("chunks left to a person", run.resolved if is_provable else 0, 0)
        verdict.expect("it was killed", is_killed or bool(run.case.before), True)
    came, struck = sum(run.arrived().values()), len(played(run.folder))
    if not verdict.faults:
        shutil.rmtree(run.folder)  # what does not fit is kept, to be looked at
    kept = (came, struck, verdict.lost, verdict.doubled, tuple(verdict.faults))
    return Outcome(name, tuple(run.kills), run.dangerous, run.freezes, run.starts, run.resolved, *kept)


def all_at_once(calls: Iterable[Callable[[], _T]], at_once: int = AT_ONCE) -> Iterator[_T]:
    """The results of all, several under way at the same time: a run mostly waits."""
    with ThreadPoolExecutor(at_once) as pool:
        yield from pool.map(lambda call: call(), calls)


HEADING = (
    f"{'':<52}{'runs':>6}{'kills':>7}{'between intent and record':>27}{'rows lost':>11}{'TNs twice':>11}{'misfits':>9}"
)


def line(title: str, outcomes: Sequence[Outcome]) -> str:
    """One line of the table: kills, how many met an order between intent and recorded answer, and what they did."""
    kills, dangerous = sum(len(each.kills) for each in outcomes), sum(each.dangerous for each in outcomes)
    share = f"{dangerous} ({100 * dangerous / max(kills, 1):.0f} %)"
    lost, doubled = sum(each.lost for each in outcomes), sum(each.doubled for each in outcomes)
    misfits = sum(bool(each.faults) for each in outcomes)
    return f"{title:<52}{len(outcomes):>6}{kills:>7}{share:>27}{lost:>11}{doubled:>11}{misfits:>9}"


def injected(outcomes: Sequence[Outcome]) -> str:
    """What was done to the runs besides the kills."""
    requests, struck = sum(each.requests for each in outcomes), sum(each.struck for each in outcomes)
    return (
        f"{requests:,} requests, {struck:,} ({struck / max(requests, 1):.0%}) met a fault; {sum(e.starts for e in outcomes):,}"
        f" starts, {sum(e.freezes for e in outcomes):,} freezes, {sum(e.resolved for e in outcomes):,} parked chunks decided by hand"
    )


def misfits(outcomes: Sequence[Outcome]) -> list[str]:
    """The runs whose records do not fit, in words."""
    return [f"{each.name}: kills {list(each.kills)}: {'; '.join(each.faults)}" for each in outcomes if each.faults]
