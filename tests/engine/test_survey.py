"""What a careful colleague sees in a file: kinds of numbers, what is odd, and how many rejects are too many."""

from __future__ import annotations

import re
from typing import Any

import pytest

from batcher.engine.job import Limits
from batcher.engine.survey import numbers, oddities, refusals
from batcher.tn import Rules
from tests.engine.runs import CHECKER, begun, write_job

#: A file about which there is nothing to say.
PLAIN: dict[str, Any] = {
    "last_rows": None,
    "rows": 100,
    "rejected": 0,
    "sendable": 100,
    "reasons": {},
    "numbers": {"numbers": 100, "largest_exchanges": [["201200", 99], ["201201", 1]]},
}


def kinds(folder, *cells: str) -> dict[str, Any]:
    with begun(folder, CHECKER, "TN\n" + "".join(f"{cell}\n" for cell in cells), planned=False) as (run, ledger):
        found: dict[str, Any] = ledger.run()["facts"]["numbers"]
        assert numbers(run, len(cells), Rules()) == found
        assert re.fullmatch(r"[0-9]+(\.[0-9]+)+", found.pop("metadata"))
        return found


def test_kinds_of_numbers(tmp_path):
    """Toll-free, Canadian and foreign ones, each by its row; rejected cells hold no number."""
    cells = ["8002000001", "8332000001", "4162000001", "+442079460000", "2012000001", "2012000001", "12", "7872000001"]
    assert kinds(tmp_path, *cells) == {
        "numbers": 7,
        "toll_free": 2,
        "not_us": 1,
        "not_plus_1": 1,
        "unknown_npas": {},
        "largest_exchanges": [["201200", 2], ["833200", 1], ["800200", 1], ["787200", 1], ["416200", 1]],
    }


def test_area_codes_that_no_list_knows(tmp_path):
    """Those that are in service before the lists know them are known, and so are those outside of geography."""
    cells = ["3722000001", "3722000002", "9612000001", "8612000001", "6242000001", "7002000001", "7102000001"]
    found = kinds(tmp_path, *cells, "4562000001", "5002000001", "9002000001")
    assert found["unknown_npas"] == {"372": 2, "961": 1}


def test_only_the_largest_exchanges_are_named(tmp_path):
    """Five, the most frequent first."""
    cells = [f"201{200 + nxx}0001" for nxx in range(7) for _ in range(7 - nxx)]
    assert kinds(tmp_path, *cells)["largest_exchanges"] == [
        ["201200", 7],
        ["201201", 6],
        ["201202", 5],
        ["201203", 4],
        ["201204", 3],
    ]


def test_more_rows_than_a_batch_are_counted_together(tmp_path):
    """Over the border."""
    found = kinds(tmp_path, *["2012000001"] * 70_000, "2022000001")
    assert found["largest_exchanges"] == [["201200", 70_000], ["202200", 1]]


def test_rows_without_a_number(tmp_path):
    """A job about locations has none."""
    steps = (
        '[[step]]\noperation = "sippeer-failover"\nsite_id = 486\nsippeer_id = { column = "P" }\n'
        'final_destination_uri = "sip:a@192.0.2.4"\n'
    )
    with begun(tmp_path, steps, "P\n1\n2\n", planned=False) as (_, ledger):
        facts = ledger.run()["facts"]
    assert (facts["numbers"]["numbers"], facts["numbers"]["largest_exchanges"]) == (0, [])
    assert facts["oddities"] == []


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        pytest.param({}, [], id="nothing"),
        pytest.param(
            {"reasons": {"SCI_NOTATION": 1}},
            ["1 cell in scientific notation: a spreadsheet has rounded numbers. Format the column as text"],
            id="scientific notation",
        ),
        pytest.param({"sendable": 0}, ["No row is left to be sent."], id="nothing to send"),
        pytest.param({"rejected": 5}, [], id="5 percent"),
        pytest.param({"last_rows": 150}, [], id="fewer rows"),
        pytest.param(
            {"last_rows": 201},
            ["It has 100 rows, and the last finished run had 201: is the file whole?"],
            id="half of the rows",
        ),
        pytest.param({"last_rows": 66}, ["It has 100 rows, and the last finished run had 66"], id="many more rows"),
        pytest.param({"rejected": 6}, ["6 of 100 rows are rejected (6.0 %): is it the right column?"], id="6 percent"),
        pytest.param({"rows": 99, "rejected": 50}, [], id="few rows"),
        pytest.param(
            {"numbers": {"numbers": 100, "largest_exchanges": [["201200", 100]]}},
            ["All 100 numbers begin with 201200: is the file whole?"],
            id="one exchange",
        ),
        pytest.param({"numbers": {"numbers": 99, "largest_exchanges": [["201200", 99]]}}, [], id="few of one exchange"),
        pytest.param(
            {"numbers": {"numbers": 101, "largest_exchanges": [["201200", 100]]}}, [], id="one exchange, one abroad"
        ),
    ],
)
def test_what_is_odd(facts, said):
    """In sentences that say what to look at."""
    found = oddities({**PLAIN, **facts})
    assert [sentence[: len(start)] for sentence, start in zip(found, said, strict=True)] == said


def counted(rows: int, rejected: int = 0, last_rows: int | None = None) -> dict[str, Any]:
    return {"rows": rows, "rejected": rejected, "last_rows": last_rows}


@pytest.mark.parametrize(
    ("written", "rows", "allowed"),
    [
        pytest.param("", 10_000, 500, id="5 percent by default"),
        pytest.param("", 150, 100, id="at least 100 rows"),
        pytest.param('max_rejected = "2%"', 10_000, 200, id="a share"),
        pytest.param('max_rejected = "2%"', 10, 100, id="a share of few rows"),
        pytest.param("max_rejected = 3", 10_000, 3, id="a count"),
        pytest.param("max_rejected = 1", 10_000, 1, id="one"),
        pytest.param("max_rejected = 0", 10_000, 0, id="none"),
        pytest.param('max_rejected = "100%"', 10_000, 10_000, id="any"),
    ],
)
def test_how_many_rejects_are_too_many(tmp_path, written, rows, allowed):
    """One more than is allowed; with both figures and the ways out."""
    limits = write_job(tmp_path, CHECKER, limits=f"[limits]\n{written}\n").limits
    assert refusals(counted(rows, allowed), limits) == []
    refused = refusals(counted(rows, allowed + 1), limits)
    if allowed == rows:
        assert refused == []
    else:
        [why] = refused
        assert f"{allowed + 1:,} of {rows:,} rows are rejected, and limits.max_rejected allows {allowed:,}." in why
        assert "--no-budget" in why


def test_the_default_is_five_percent():
    """Also where there is no job file."""
    assert refusals(counted(10_000, 500), Limits()) == []
    assert len(refusals(counted(10_000, 501), Limits())) == 1


def test_more_rows_than_anybody_meant(tmp_path):
    """As many as are allowed may go."""
    limits = write_job(tmp_path, CHECKER, limits="[limits]\nmax_rows = 1000\n").limits
    assert refusals(counted(1_000), limits) == []
    assert refusals(counted(1_001), limits) == [
        "It has 1,001 rows, and limits.max_rows allows 1,000: is it the right file?"
    ]


@pytest.mark.parametrize(
    ("written", "rows", "is_refused"),
    [
        ('"20%"', 800, False),
        ('"20%"', 799, True),
        ('"20%"', 1_200, False),
        ('"20%"', 1_201, True),
        ('"100%"', 0, False),
        ('"100%"', 2_000, False),
        ('"100%"', 2_001, True),
        ("50", 950, False),
        ("50", 949, True),
        ("50", 1_051, True),
        ("0", 1_001, True),
        ("0", 1_000, False),
    ],
)
def test_the_count_of_rows_changes_little_from_night_to_night(tmp_path, written, rows, is_refused):
    """More or fewer than in the last finished run, by a count or a share; without such a run nothing is compared."""
    limits = write_job(tmp_path, CHECKER, limits=f"[limits]\nmax_row_count_change = {written}\n").limits
    assert bool(refusals(counted(rows, last_rows=1_000), limits)) is is_refused
    assert refusals(counted(rows), limits) == []
