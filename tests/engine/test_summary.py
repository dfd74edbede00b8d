"""How a run ended: exit codes and the summary for people."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from batcher.engine.summary import Tally, as_if_sent, counted, exit_code, summary_text, write_summary
from tests.engine.runs import SMS, write_job


def limits(tmp_path, rejects="0", failures="0"):
    table = f"[limits]\ntolerated_rejects = {rejects}\ntolerated_failures = {failures}\n"
    return write_job(tmp_path, SMS, limits=table).limits


def tally(**statuses):
    return Tally(rows=sum(statuses.values()), statuses=Counter(statuses))


@pytest.mark.parametrize(
    ("statuses", "rejects", "failures", "code"),
    [
        ({"succeeded": 5}, "0", "0", 0),
        ({"succeeded": 1, "duplicate": 2, "skipped": 2}, "0", "0", 0),
        ({"succeeded": 4, "rejected": 1}, "0", "0", 1),
        ({"succeeded": 4, "failed": 1}, "0", "0", 1),
        ({"succeeded": 98, "rejected": 2}, '"2%"', "0", 0),
        ({"succeeded": 97, "rejected": 3}, '"2%"', "0", 1),
        ({"succeeded": 98, "failed": 2}, '"2%"', "0", 1),
        ({"succeeded": 98, "failed": 2}, "0", "2", 0),
        ({"succeeded": 98, "failed": 2}, "0", "1", 1),
        ({"succeeded": 90, "rejected": 5, "failed": 5}, '"5%"', '"5%"', 0),
        ({"rejected": 3}, '"100%"', "0", 0),
        ({"succeeded": 4, "unknown": 1}, '"100%"', '"100%"', 4),
        ({"succeeded": 4, "pending": 1}, "0", "0", 4),
        ({"rejected": 4, "unknown": 1}, "0", "0", 4),
    ],
    ids=str,
)
def test_the_exit_code_says_how_it_ended(tmp_path, statuses, rejects, failures, code):
    """DESIGN section 7: tolerated shares are of all rows; what is not known outweighs what failed."""
    assert exit_code(tally(**statuses), limits(tmp_path, rejects, failures), doubled=False) == code


def test_a_doubled_order_outweighs_everything(tmp_path):
    """A person has to look."""
    assert exit_code(tally(succeeded=5, unknown=1), limits(tmp_path), doubled=True) == 5


def test_a_check_takes_what_would_be_sent_for_done(tmp_path):
    """Its exit code is that of a run in which nothing fails."""
    assert exit_code(as_if_sent(tally(pending=5)), limits(tmp_path), doubled=False) == 0
    assert exit_code(as_if_sent(tally(pending=4, rejected=1)), limits(tmp_path), doubled=False) == 1


def test_counts_stand_by_frequency():
    """The fifty most frequent, each with its status."""
    counter = Counter({("failed", "5074"): 2, ("rejected", "EMPTY"): 9, ("batcher", ""): 1})
    assert list(counted(counter).items()) == [("rejected EMPTY", 9), ("failed 5074", 2), ("batcher", 1)]
    assert len(counted(Counter({("failed", str(number)): 1 for number in range(80)}))) == 50


def test_the_summary_is_written_for_people_and_for_programs(tmp_path):
    """Rows by status with shares, codes, orders and the speed."""
    summary = {
        "run": "20261120T020000Z-4f2a9c",
        "job": "nightly",
        "operations": ["import-tn-checker", "tn-options"],
        "rows": 12_400,
        "statuses": {"succeeded": 12_276, "failed": 0, "rejected": 124},
        "codes": {"rejected EMPTY": 124},
        "warnings": {},
        "orders": {"COMPLETE": 2, "": 1},
        "requests": 1_234,
        "throttled": 5,
        "seconds": 61.25,
        "tns_per_second": 200.4,
    }
    text = summary_text(summary)
    assert text == (
        "run 20261120T020000Z-4f2a9c   nightly   import-tn-checker + tn-options\n"
        "\n"
        "  succeeded        12,276   99.00 %\n"
        "  rejected            124    1.00 %\n"
        "  rows             12,400\n"
        "\n"
        "why:\n"
        "           124  rejected EMPTY\n"
        "\n"
        "orders: 2 COMPLETE, 1 open\n"
        "requests: 1,234 (429: 5)   seconds: 61.2   TNs per second: 200\n"
    )
    write_summary(tmp_path, summary, text)
    assert json.loads((tmp_path / "summary.json").read_text("utf-8")) == summary
    assert (tmp_path / "summary.txt").read_text("utf-8") == text
    assert (tmp_path / "summary.json").stat().st_mode & 0o777 == 0o600
