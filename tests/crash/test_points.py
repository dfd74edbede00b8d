"""A SIGKILL at every point of every kind of run, and the same command again: nothing lost, nothing doubled.

The first three occurrences of each point for orders, the first of what the other runs do otherwise; `make crash` takes
the first three of every point of all of them.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.crash.cases import CASES, ORDERS
from tests.crash.killed import transactions
from tests.crash.trials import Undisturbed, all_at_once, at_point, line, misfits, undisturbed

if TYPE_CHECKING:
    from tests.crash.cases import Case

#: Transactions that none of these runs needs: orders that no list ever shows; and runs that are superseded, of which
#: test_superseded tells.
_ELSEWHERE = {"not_listed", "retire_run"}


@pytest.fixture(scope="module")
def orders(tmp_path_factory) -> Undisturbed:
    return undisturbed(ORDERS, tmp_path_factory.mktemp("points") / "undisturbed")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.timeout(180)
def test_a_run_that_was_killed_at_a_point_goes_on(case: Case, orders, tmp_path):
    """Simulator, ledger, results and what was done to the run agree; the results are those of a run that nobody killed."""
    alone = orders if case is ORDERS else undisturbed(case, tmp_path / "undisturbed")
    points = alone.points() if case is ORDERS else alone.quick(orders, all_of_chunks=not case.resembles)
    calls = [
        partial(at_point, case, tmp_path / str(number), point, nth, alone.results)
        for number, (point, nth) in enumerate(points)
    ]
    outcomes = list(all_at_once(calls))
    print(f"\n{line(case.name, outcomes)}")
    assert misfits(outcomes) == []
    assert sum(each.lost for each in outcomes) == sum(each.doubled for each in outcomes) == 0
    if not case.resembles:
        assert sum(each.dangerous for each in outcomes) > 0


@pytest.mark.timeout(180)
def test_every_transaction_is_a_point_of_some_run(orders, tmp_path):
    """What a ledger writes is killed before and after, but for what stands in `_ELSEWHERE`."""
    passed = set(orders.passed)
    for case in CASES:
        if case is not ORDERS:
            passed |= set(undisturbed(case, tmp_path / case.name).passed)
    unpassed = {name for name in transactions() if not {f"{name}.before", f"{name}.after"} <= passed}
    assert unpassed == _ELSEWHERE
    assert {f"{write}.{point}" for write in ("post", "put") for point in ("before", "sent", "after", "fault")} <= passed
