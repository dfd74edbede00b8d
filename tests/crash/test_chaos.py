"""Kills and freezes at random moments, with three of ten requests going wrong; and two bugs that must not pass.

BATCHER_CRASH_SEEDS takes more seeds than four, BATCHER_CRASH_SEED begins with another than 0.
"""

from __future__ import annotations

import os
from functools import partial

import pytest

from tests.crash.cases import ORDERS, chaos
from tests.crash.planted import BUGS, SILENT
from tests.crash.trials import Undisturbed, all_at_once, at_point, in_chaos, injected, line, misfits, undisturbed

FIRST = int(os.environ.get("BATCHER_CRASH_SEED", "0"))
SEEDS = range(FIRST, FIRST + int(os.environ.get("BATCHER_CRASH_SEEDS", "4")))


@pytest.fixture(scope="module")
def calm(tmp_path_factory) -> Undisturbed:
    """The same rows without faults and kills."""
    return undisturbed(chaos(1, 0), tmp_path_factory.mktemp("calm") / "undisturbed")


@pytest.mark.timeout(60 + 30 * len(SEEDS))
def test_chaos_ends_in_the_results_of_a_calm_run(calm, tmp_path):
    """Each row ends as it does without any fault, byte for byte; each TN was executed once."""
    calls = [partial(in_chaos, seed, tmp_path / str(seed), calm.results) for seed in SEEDS]
    outcomes = list(all_at_once(calls))
    print(f"\n{line(f'seeds {SEEDS.start} to {SEEDS.stop - 1}', outcomes)}\n{injected(outcomes)}")
    assert misfits(outcomes) == []
    assert sum(each.lost for each in outcomes) == sum(each.doubled for each in outcomes) == 0
    assert sum(len(each.kills) for each in outcomes) > len(SEEDS)


@pytest.mark.parametrize("bug", BUGS)
def test_a_planted_bug_is_caught(bug, tmp_path):
    """A control: the comparison is not blind, and the kills hit where it hurts."""
    alone = undisturbed(ORDERS, tmp_path / "undisturbed")
    calls = [partial(at_point, ORDERS, tmp_path / str(nth), "post.after", nth, alone.results, bug) for nth in (1, 2, 3)]
    outcomes = list(all_at_once(calls))
    print(f"\n{line(bug, outcomes)}")
    assert sum(each.doubled for each in outcomes) > 0
    assert all(any("executed twice" in fault for fault in each.faults) for each in outcomes if each.doubled)


@pytest.mark.parametrize("bug", SILENT)
def test_a_bug_that_neither_loses_nor_doubles_is_caught(bug, tmp_path):
    """Whoever proves nothing, asks nobody or leaves it to others does not get through either."""
    alone = undisturbed(ORDERS, tmp_path / "undisturbed")
    calls = [partial(at_point, ORDERS, tmp_path / str(nth), "post.after", nth, alone.results, bug) for nth in (1, 2, 3)]
    outcomes = list(all_at_once(calls))
    assert [each.name for each in outcomes if not each.faults] == []
