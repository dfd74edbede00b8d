"""What an answer means for each row: by hand, for every word the carrier has."""

from __future__ import annotations

import numpy as np
import pytest

from batcher.carrier.settle import (
    NO_ROW,
    halves,
    named_positions,
    pack_early,
    refuse,
    settle,
    settle_answer,
    split,
    uniform,
    unpack_early,
    unpack_settlement,
)
from batcher.model import FAILED, SKIPPED, SUCCEEDED, UNKNOWN, Chunk, Issue, Product, Reading

A, B, C, D = 19195550100, 12125550101, 18285550102, 19195550103
FOREIGN = 13035550199
ONE_GROUP = ({"sms": "on"},)


def chunk(*tns, group=(), groups=ONE_GROUP):
    """Rows 11, 12, … in the order of the TNs, which is not ascending."""
    count = len(tns)
    return Chunk(
        number=7,
        step=1,
        customer_order_id="b-abcdefghij-7",
        rows=np.arange(11, 11 + count),
        tns=np.array(tns, np.int64),
        envelope={"site_id": "486"},
        groups=tuple(groups),
        group=np.array(group or [0] * count, np.int64),
    )


FOUR = chunk(A, B, C, D)


def error(tn, code="5074", text="Telephone number is not in service."):
    return Issue("error", tn, code, text)


def ends(settlement):
    """(status, code, text) by position."""
    pairs = zip(settlement.position.tolist(), settlement.message.tolist(), strict=True)
    return {position: settlement.messages[message] for position, message in pairs}


def reading(status, *issues, products=()):
    return Reading(order_id="ab-1", status=status, settled=True, issues=issues, products=products)


NOT_IN_SERVICE = (FAILED, "5074", "Telephone number is not in service.")


def test_complete():
    """COMPLETE without a word: every row succeeded, and nothing is kept."""
    settlement = settle(FOUR, reading("COMPLETE"))
    assert ends(settlement) == {}
    assert settlement.packed() is None


def test_partial():
    """PARTIAL: the TNs it names failed with their own code and text, the others succeeded."""
    settlement = settle(FOUR, reading("PARTIAL", error(B), error(D, "5076", "Not available."), error(A)))
    assert ends(settlement) == {0: NOT_IN_SERVICE, 1: NOT_IN_SERVICE, 3: (FAILED, "5076", "Not available.")}
    assert settlement.warnings == []


def test_partial_that_names_nobody():
    """PARTIAL without a TN: nobody knows which, so all are unknown."""
    settlement = settle(FOUR, reading("PARTIAL"))
    why = (UNKNOWN, "PARTIAL", "the order is PARTIAL and names no telephone number")
    assert ends(settlement) == {0: why, 1: why, 2: why, 3: why}


def test_partial_with_an_error_that_names_nobody():
    """Somebody else failed than those who are named: who, is not known."""
    settlement = settle(FOUR, reading("PARTIAL", error(A), Issue("error", 0, "5000", "Some failed.")))
    why = (UNKNOWN, "5000", "the order is PARTIAL, with an error that names no TN: Some failed.")
    assert ends(settlement) == {0: NOT_IN_SERVICE, 1: why, 2: why, 3: why}


def test_partial_that_names_strangers_alone():
    """A PARTIAL order that names only TNs that were not ours says nothing about ours."""
    settlement = settle(FOUR, reading("PARTIAL", error(FOREIGN)))
    assert {status for status, _, _ in ends(settlement).values()} == {UNKNOWN}
    assert len(ends(settlement)) == 4


def test_failed_with_named_rows():
    """FAILED: rows it names fail with their own words, the others with the order's."""
    whole = Issue("error", 0, "5001", "The order could not be processed.")
    settlement = settle(FOUR, reading("FAILED", whole, error(C)))
    order = (FAILED, "5001", "The order could not be processed.")
    assert ends(settlement) == {0: order, 1: order, 2: NOT_IN_SERVICE, 3: order}


@pytest.mark.parametrize("status", ["FAILED", "CANCELLED", "EXCEPTION", "failed"])
def test_failed_without_a_word(status):
    """Any other terminal status fails every row, and says which it was."""
    settlement = settle(FOUR, reading(status))
    why = (FAILED, status.upper(), f"the order ended as {status.upper()}")
    assert ends(settlement) == {0: why, 1: why, 2: why, 3: why}


def test_failed_with_every_row_named():
    """5,000 rows that all failed keep their own words."""
    settlement = settle(chunk(A, B), reading("FAILED", error(A), error(B, "5076", "Not available.")))
    assert ends(settlement) == {0: NOT_IN_SERVICE, 1: (FAILED, "5076", "Not available.")}


def test_failed_for_a_reason_that_came_with_the_acceptance():
    """What was said at the acceptance counts where the end says no more."""
    early = [Issue("error", 0, "5001", "The order could not be processed.")]
    settlement = settle(chunk(A), reading("FAILED"), earlier=early)
    assert ends(settlement) == {0: (FAILED, "5001", "The order could not be processed.")}


def test_complete_with_errors():
    """COMPLETE that names failed TNs contradicts itself: they failed, and a warning tells."""
    settlement = settle(FOUR, reading("COMPLETE", error(C)))
    assert ends(settlement) == {2: NOT_IN_SERVICE}
    assert settlement.warnings == [
        (NO_ROW, 0, "COMPLETE", "the order is COMPLETE and yet names failed telephone numbers")
    ]


def test_a_check_that_names_rows_is_no_contradiction():
    """To name what cannot be imported is what a check is for: no warning. Names without values are not kept."""
    importable = [Product(tn, ()) for tn in (A, B, D)]
    settlement = settle_answer(FOUR, reading("COMPLETE", error(C), products=importable))
    assert ends(settlement) == {2: NOT_IN_SERVICE}
    assert (settlement.warnings, settlement.products) == ([], [])


def test_an_answer_that_leaves_rows_out():
    """Of whom the answer does not speak nothing is known: such a row did not succeed."""
    settlement = settle_answer(FOUR, reading(None, error(C), products=[Product(A, ("x",))]))
    unsaid = (FAILED, "", "the carrier's answer does not speak of this TN")
    assert ends(settlement) == {1: unsaid, 2: NOT_IN_SERVICE, 3: unsaid}


def test_an_answer_with_an_error_about_all():
    """An error that names nobody is that of all who are not named otherwise."""
    settlement = settle_answer(
        FOUR, reading(None, error(C), Issue("error", 0, "5002", "Later."), products=[Product(A, ())])
    )
    assert ends(settlement) == {1: (FAILED, "5002", "Later."), 2: NOT_IN_SERVICE, 3: (FAILED, "5002", "Later.")}


def test_complete_with_an_error_that_names_nobody():
    """Such an error fails nobody, and is not lost."""
    settlement = settle(FOUR, reading("COMPLETE", Issue("error", 0, "5002", "Something went wrong.")))
    assert ends(settlement) == {}
    assert settlement.warnings == [(NO_ROW, 0, "5002", "Something went wrong.")]


def test_foreign_tn():
    """A TN that was not in the chunk settles nothing and is told."""
    settlement = settle(FOUR, reading("PARTIAL", error(FOREIGN, "5076", "Not available."), error(B)))
    assert ends(settlement) == {1: NOT_IN_SERVICE}
    assert settlement.warnings == [(NO_ROW, FOREIGN, "5076", "Not available.")]


def test_the_same_tn_twice():
    """The first error of a TN settles its row, another one is a warning at that row."""
    settlement = settle(FOUR, reading("PARTIAL", error(B), error(B, "5076", "Not available.")))
    assert ends(settlement) == {1: NOT_IN_SERVICE}
    assert settlement.warnings == [(1, B, "5076", "Not available.")]


def test_early_errors():
    """Errors that came with the acceptance count in the end; said again, they are not said twice."""
    early = [error(B), error(C, "5076", "Not available.")]
    settlement = settle(FOUR, reading("PARTIAL", error(B)), earlier=early)
    assert ends(settlement) == {1: NOT_IN_SERVICE, 2: (FAILED, "5076", "Not available.")}
    assert settlement.warnings == []


def test_warnings():
    """What was applied with a remark succeeded; the remark stands at its row, or at the order."""
    issues = [Issue("warning", D, "", "SMS is already Enabled."), Issue("warning", 0, "", "Slow today.")]
    settlement = settle(FOUR, reading("COMPLETE", *issues))
    assert ends(settlement) == {}
    assert settlement.warnings == [(3, D, "", "SMS is already Enabled."), (NO_ROW, 0, "", "Slow today.")]


def test_rows_without_tn_are_not_named():
    """TN 0 is none: an error about the whole never means such a row."""
    settlement = settle(chunk(0, A), reading("COMPLETE", Issue("error", 0, "1", "whole"), error(A)))
    assert ends(settlement) == {1: NOT_IN_SERVICE}


def test_refused_by_name():
    """A refusal that names some: they fail, the others are left to another chunk."""
    settlement = refuse(FOUR, [error(D, "7201", "not valid"), error(A)], named_only=True)
    assert ends(settlement) == {0: NOT_IN_SERVICE, 3: (FAILED, "7201", "not valid")}


def test_refused_as_a_whole():
    """A refusal that names nobody: all rows fail with its code and text."""
    settlement = refuse(FOUR, [Issue("error", 0, "5193", "Passcode.")], named_only=False)
    assert ends(settlement) == dict.fromkeys(range(4), (FAILED, "5193", "Passcode."))


def test_refused_with_every_row_named():
    """Each row keeps its own words; a text about the whole does not replace them."""
    issues = [Issue("error", 0, "5000", "Whole."), error(A), error(B, "7201", "not valid")]
    settlement = refuse(chunk(A, B), issues, named_only=False)
    assert ends(settlement) == {0: NOT_IN_SERVICE, 1: (FAILED, "7201", "not valid")}


def test_named_positions():
    """Rows that errors name, ascending, each once; warnings, strangers and the whole name none."""
    issues = [error(D), error(B), error(D, "1", "x"), error(FOREIGN), Issue("warning", A, "", ""), error(0)]
    assert named_positions(FOUR, issues).tolist() == [1, 3]
    assert named_positions(FOUR, []).tolist() == []


def test_uniform():
    """All rows end alike; plain success is nothing to keep."""
    assert ends(uniform(chunk(A, B), SKIPPED, "UNCHANGED", "so")) == dict.fromkeys((0, 1), (SKIPPED, "UNCHANGED", "so"))
    assert uniform(FOUR, SUCCEEDED, "", "").packed() is None


def test_products():
    """What a TN brought stands at its row; a stranger's is left out."""
    products = [Product(C, ("Inservice", "486")), Product(FOREIGN, ("x", "y")), Product(A, ("Aging", ""))]
    settlement = settle_answer(FOUR, reading("COMPLETE", products=products))
    assert settlement.products == [(2, ("Inservice", "486")), (0, ("Aging", ""))]


def test_split():
    """Some rows as a chunk of their own: their values, and no group that nobody has."""
    groups = ({"sms": "on"}, {"sms": "off"}, {"protected": "true"})
    part = split(chunk(A, B, C, D, groups=groups, group=[2, 0, 1, 0]), np.array([0, 1, 3]))
    assert part["rows"].tolist() == [11, 12, 14]
    assert part["tns"].tolist() == [A, B, D]
    assert part["envelope"] == {"site_id": "486"}
    assert [part["groups"][index] for index in part["group"]] == [{"protected": "true"}, {"sms": "on"}, {"sms": "on"}]
    assert len(part["groups"]) == 2


@pytest.mark.parametrize(
    ("group", "first", "second"),
    [
        pytest.param([0, 0, 0, 0], [0, 1], [2, 3], id="one group"),
        pytest.param([0, 0, 0, 0, 0], [0, 1], [2, 3, 4], id="an odd number"),
        pytest.param([1, 0, 1, 0], [1, 3], [0, 2], id="two groups"),
        pytest.param([0, 1, 1, 1, 1, 1], [0], [1, 2, 3, 4, 5], id="a small group first"),
        pytest.param([0, 0, 0, 0, 0, 1], [0, 1, 2, 3, 4], [5], id="a small group last"),
        pytest.param([0, 1, 1, 2, 2, 2], [0, 1, 2], [3, 4, 5], id="three groups"),
    ],
)
def test_halves(group, first, second):
    """Every row is in one of two parts of about the same size, none of them empty; no group is torn apart."""
    groups = tuple({"sms": str(number)} for number in range(max(group) + 1))
    parts = halves(chunk(*range(A, A + len(group)), groups=groups, group=group))
    assert [part.tolist() for part in parts] == [first, second]


def test_kept_and_read_back():
    """What the ledger keeps says the same afterwards."""
    products = [Product(A, ("Aging", "é")), Product(C, ()), Product(D, ())]
    whole = settle_answer(FOUR, reading(None, error(B), error(FOREIGN), products=products))
    packed = whole.packed()
    assert packed is not None
    again = unpack_settlement(packed)
    assert ends(again) == {1: NOT_IN_SERVICE}
    assert [tuple(warning) for warning in again.warnings] == [
        (NO_ROW, FOREIGN, "5074", "Telephone number is not in service.")
    ]
    assert [(place, list(values)) for place, values in again.products] == [(0, ["Aging", "é"])]
    assert ends(unpack_settlement(None)) == {}


def test_early_is_kept_until_the_end():
    """Errors of the acceptance are kept, remarks are not; they are no outcome yet."""
    packed = pack_early([error(B), Issue("warning", A, "", "slow")])
    assert unpack_early(packed) == [error(B)]
    assert ends(unpack_settlement(packed)) == {}
    assert pack_early([Issue("warning", A, "", "slow")]) is None
    assert unpack_early(None) == []


def test_five_thousand_errors():
    """Each of 5,000 errors, in an order of its own, settles the row of its TN."""
    tns = [12000000000 + 7919 * place for place in range(5_000)]
    shuffled = np.random.default_rng(20261120).permutation(5_000)
    rows = chunk(*(tns[place] for place in shuffled))
    issues = [error(tn, str(5_000 + place % 3), f"text {place % 3}") for place, tn in enumerate(tns)]
    settlement = settle(rows, reading("FAILED", *issues))
    assert sorted(settlement.position.tolist()) == list(range(5_000))
    assert len(settlement.messages) <= 4
    for position, (status, code, text) in ends(settlement).items():
        kind = int(shuffled[position]) % 3
        assert (status, code, text) == (FAILED, str(5_000 + kind), f"text {kind}")
