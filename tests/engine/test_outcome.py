"""Where each row stands, by the state of its chunk and by what was settled."""

from __future__ import annotations

import numpy as np
import pytest

from batcher.carrier.settle import NO_ROW, Settlement, pack_early, split
from batcher.engine.outcome import windows
from batcher.engine.steps import plan_step, restored
from batcher.ledger import planned
from batcher.model import FAILED, STATUSES, UNKNOWN, Issue
from tests.engine.runs import CHECKER, SMS, begun

#: Row 2 is rejected, row 4 repeats row 1.
ROWS = "TN\n2012000001\n12\n2012000003\n2012000001\n2012000005\n2012000006\n"
LEFT = {2: ("rejected", "", "", 1), 4: ("duplicate", "", "", 1)}


def standing(ledger, folder, sizes=(6,)):
    """(status, code, order id, step) of each row."""
    found: list[tuple[str, str, str, int]] = []
    for window in windows(ledger, folder, list(sizes)):
        assert window.first == len(found) + 1
        found += [
            (STATUSES[status], window.messages[message][0], window.orders[order], int(step))
            for status, message, order, step in zip(
                window.status, window.message, window.order, window.step, strict=True
            )
        ]
    return found


def all_rows(fate):
    return [LEFT.get(row, fate) for row in range(1, 7)]


def settlement(positions, statuses, **more):
    """Rows at these positions end with a message each: (status, code)."""
    messages = [(status, code, f"text of {code}") for status, code in statuses]
    return Settlement(
        np.array(positions, np.int32), np.arange(len(positions), dtype=np.int32), messages, **more
    ).packed()


def accept(ledger, number, order_id):
    attempt = ledger.intend(number)
    ledger.accept(number, attempt, order_id, "RECEIVED", None)


def doubt(ledger):
    ledger.doubt(1, ledger.intend(1), "reset")


def park(ledger):
    doubt(ledger)
    ledger.park(1, "nobody knows")


def park_accepted(ledger):
    accept(ledger, 1, "o-1")
    ledger.park(1, "not shown")


def early(ledger):
    ledger.accept(1, ledger.intend(1), "o-1", None, pack_early([Issue("error", 12012000001, "5074", "no")]))


@pytest.mark.parametrize(
    ("act", "fate"),
    [
        pytest.param(lambda ledger: None, ("pending", "", "", 1), id="READY"),
        pytest.param(lambda ledger: ledger.intend(1), ("unknown", "SENDING", "", 1), id="SENDING"),
        pytest.param(doubt, ("unknown", "UNKNOWN", "", 1), id="UNKNOWN"),
        pytest.param(park, ("unknown", "PARKED", "", 1), id="PARKED"),
        pytest.param(park_accepted, ("unknown", "PARKED", "o-1", 1), id="PARKED with its order"),
        pytest.param(lambda ledger: accept(ledger, 1, "o-1"), ("unknown", "ACCEPTED", "o-1", 1), id="ACCEPTED"),
        pytest.param(early, ("unknown", "ACCEPTED", "o-1", 1), id="ACCEPTED with early errors"),
        pytest.param(lambda ledger: ledger.retire_stale(4e9), ("pending", "STALE", "", 1), id="STALE"),
        pytest.param(lambda ledger: ledger.retire_run("SUPERSEDED"), ("pending", "SUPERSEDED", "", 1), id="SUPERSEDED"),
    ],
)
def test_rows_of_an_open_chunk_stand_where_it_stands(tmp_path, act, fate):
    """Not sent is pending; sent and not settled is unknown; what was decided here stays."""
    with begun(tmp_path, SMS, ROWS) as (folder, ledger):
        act(ledger)
        assert standing(ledger, folder) == all_rows(fate)


def test_an_open_order_says_what_the_carrier_says_of_it(tmp_path):
    """Its status stands in the description."""
    with begun(tmp_path, SMS, ROWS) as (folder, ledger):
        accept(ledger, 1, "o-1")
        ledger.observe(1, "PROCESSING")
        [window] = windows(ledger, folder, [6])
        assert window.messages[window.message[0]] == (
            "ACCEPTED",
            "the carrier has not finished the order (PROCESSING)",
        )


def test_rows_of_a_settled_chunk_have_fates_of_their_own(tmp_path):
    """Positions are those of the chunk, not of the input; whom nobody named succeeded."""
    with begun(tmp_path, SMS, ROWS) as (folder, ledger):
        accept(ledger, 1, "o-1")
        warnings = [(NO_ROW, 0, "W0", "order"), (3, 12012000006, "W1", "row 6"), (NO_ROW, 12015550100, "W2", "foreign")]
        ledger.settle(1, "PARTIAL", settlement([1, 2], [(FAILED, "5074"), (UNKNOWN, "X")], warnings=warnings))
        assert standing(ledger, folder) == [
            ("succeeded", "", "o-1", 1),
            LEFT[2],
            ("failed", "5074", "o-1", 1),
            LEFT[4],
            ("unknown", "X", "o-1", 1),
            ("succeeded", "", "o-1", 1),
        ]
        expected = [
            (0, 0, "W0", "order", "o-1", 1),
            (0, 12015550100, "W2", "foreign", "o-1", 1),
            (6, 12012000006, "W1", "row 6", "o-1", 1),
        ]
        [window] = windows(ledger, folder, [6])
        assert window.warnings == expected
        parts = [warning for part in windows(ledger, folder, [1, 2, 3]) for warning in part.warnings]
        assert parts == expected  # each told once, however the rows are cut


def test_a_child_says_more_than_its_parent(tmp_path):
    """A refused chunk: the rows it names failed; the others stand where the new chunk stands."""
    with begun(tmp_path, SMS, ROWS) as (folder, ledger):
        _, chunk, _ = ledger.chunk(1)
        child = planned(1, **split(chunk, np.array([0, 2, 3])), parent=1)
        ledger.refuse(1, ledger.intend(1), settlement([1], [(FAILED, "5070")]), [child])
        pending = ("pending", "", "", 1)
        refused = [pending, LEFT[2], ("failed", "5070", "", 1), LEFT[4], pending, pending]
        assert standing(ledger, folder) == refused
        accept(ledger, 2, "o-2")
        ledger.settle(2, "PARTIAL", settlement([1], [(FAILED, "5074")]))
        done = ("succeeded", "", "o-2", 1)
        expected = [done, LEFT[2], refused[2], LEFT[4], ("failed", "5074", "o-2", 1), done]
        assert standing(ledger, folder) == expected
        for sizes in ([1] * 6, [2, 4], [5, 1]):
            assert standing(ledger, folder, sizes) == expected


def test_a_row_stands_at_the_step_where_it_stopped(tmp_path):
    """Only rows that succeeded go on; planned or not, the next step is where they wait."""
    steps = SMS + '[[step]]\noperation = "import-tn-checker"\nsite_id = 486\n'
    with begun(tmp_path, steps, ROWS) as (folder, ledger):
        accept(ledger, 1, "o-1")
        ledger.settle(1, "PARTIAL", settlement([1], [(FAILED, "5074")]))
        failed, waits = ("failed", "5074", "o-1", 1), ("pending", "", "", 2)
        assert standing(ledger, folder) == [waits, LEFT[2], failed, LEFT[4], waits, waits]
        plan_step(restored(ledger)[1], folder, ledger)
        _, chunk, _ = ledger.chunk(2)
        assert chunk.rows.tolist() == [1, 5, 6]
        attempt = ledger.intend(2)
        ledger.settle(2, "COMPLETE", settlement([2], [(FAILED, "19006")]), was="SENDING", attempt=attempt)
        done = ("succeeded", "", "", 2)
        expected = [done, LEFT[2], failed, LEFT[4], done, ("failed", "19006", "", 2)]
        assert standing(ledger, folder) == expected
        assert standing(ledger, folder, [3, 3]) == expected


def test_rows_of_a_step_that_is_not_planned_retire_with_the_run(tmp_path):
    """What was done stays done at its own step."""
    with begun(tmp_path, SMS + CHECKER, ROWS) as (folder, ledger):
        accept(ledger, 1, "o-1")
        ledger.settle(1, "COMPLETE", settlement([3], [(FAILED, "5074")]))
        ledger.retire_run("SUPERSEDED")
        waits = ("pending", "SUPERSEDED", "", 2)
        assert standing(ledger, folder) == [waits, LEFT[2], waits, LEFT[4], waits, ("failed", "5074", "o-1", 1)]


def test_windows_say_the_same_however_the_rows_are_cut(tmp_path):
    """Interleaved chunks (one a site), every third settled with failures and products, seen whole and in pieces."""
    steps = '[[step]]\noperation = "import-tn-checker"\nsite_id = { column = "S" }\n'
    sites = [str(number * 7 % 11) for number in range(300)]
    rows = "TN,S\n" + "".join(f"{2012000000 + number},{site}\n" for number, site in enumerate(sites))
    with begun(tmp_path, steps, rows) as (folder, ledger):
        for number in ledger.numbers(1, "READY"):
            _, chunk, _ = ledger.chunk(number)
            if number % 3 == 0:
                every = range(0, len(chunk.rows), 2)
                products = [(position, (f"p{chunk.rows[position]}",)) for position in every]
                blob = settlement(list(every), [(FAILED, f"c{position}") for position in every], products=products)
                ledger.settle(number, "COMPLETE", blob, was="SENDING", attempt=ledger.intend(number))
            elif number % 3 == 1:
                ledger.intend(number)
        expected = standing(ledger, folder, [300])
        assert {fate[0] for fate in expected} == {"pending", "unknown", "failed", "succeeded"}
        for sizes in ([1] * 300, [7] * 42 + [6], [299, 1]):
            assert standing(ledger, folder, sizes) == expected
            found = [product for window in windows(ledger, folder, sizes) for product in window.products]
            assert found == sorted(found)
            assert all(values == [f"p{row}"] for row, values in found)
