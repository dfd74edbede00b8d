"""What may follow what: every transition of a chunk, and everything else refused."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
import sqlalchemy as sa

from batcher.errors import InputError, StorageFailed
from batcher.ledger import (
    ACCEPTED,
    OPEN_STATES,
    PARKED,
    READY,
    REFUSED,
    RETIRED,
    SENDING,
    SETTLED,
    UNKNOWN,
    Ledger,
    planned,
)
from batcher.ledger.tables import CHUNK, CHUNK_ISSUES

PREFIX = "abcdefghij"
STATES = (READY, SENDING, ACCEPTED, UNKNOWN, PARKED, SETTLED, REFUSED, RETIRED)


def lot(first_row=1, rows=2, *, step=1, parent=None):
    """Consecutive rows with consecutive TNs, all in one group."""
    return planned(
        step,
        rows=np.arange(first_row, first_row + rows),
        tns=np.arange(19195550100, 19195550100 + rows),
        envelope={},
        groups=[{"sms": "on"}],
        group=np.zeros(rows, np.int64),
        parent=parent,
    )


@pytest.fixture
def ledger(tmp_path):
    """A run of two steps, nothing planned."""
    opened = Ledger(tmp_path / "ledger.db")
    steps = [("tn-options", {"sms": "on"}), ("tn-details", {})]
    opened.create_run("20261120T020000Z-4f2a9c", digest="d", prefix=PREFIX, facts={"rows": 4}, steps=steps)
    yield opened
    opened.close()


def plan(ledger, count=1, rows=2):
    ledger.begin_plan(1)
    ledger.add_chunks([lot(1 + rows * place, rows) for place in range(count)])
    ledger.end_plan(1)


def put(ledger, state, *, attempt=1, order_id=None):
    """Chunk 1 as it would stand in this state."""
    with ledger._transaction() as db:
        db.execute(sa.update(CHUNK).where(CHUNK.c.number == 1).values(state=state, attempt=attempt, order_id=order_id))


#: every way to move one chunk: call, the states it may start from, and where it ends
TRANSITIONS = {
    "intend": (lambda ledger: ledger.intend(1), {READY}, SENDING),
    "unsend": (lambda ledger: ledger.unsend(1, 1, "429"), {SENDING}, READY),
    "doubt": (lambda ledger: ledger.doubt(1, 1, "reset"), {SENDING}, UNKNOWN),
    "accept": (lambda ledger: ledger.accept(1, 1, "ab-1", "RECEIVED", None), {SENDING}, ACCEPTED),
    "found": (lambda ledger: ledger.found(1, "ab-1"), {UNKNOWN, PARKED}, ACCEPTED),
    "absent": (lambda ledger: ledger.absent(1, "3 misses"), {UNKNOWN}, READY),
    "release": (lambda ledger: ledger.release(1), {UNKNOWN, PARKED}, READY),
    "park": (lambda ledger: ledger.park(1, "who knows"), {UNKNOWN, ACCEPTED}, PARKED),
    "settle": (lambda ledger: ledger.settle(1, "COMPLETE", None), {ACCEPTED}, SETTLED),
    "settle a read": (lambda ledger: ledger.settle(1, None, None, was=READY), {READY}, SETTLED),
    "settle a check": (lambda ledger: ledger.settle(1, None, None, was=SENDING, attempt=1), {SENDING}, SETTLED),
    "settle a write": (lambda ledger: ledger.settle(1, None, None, was=UNKNOWN, attempt=1), {UNKNOWN}, SETTLED),
    "retire": (lambda ledger: ledger.retire(1, "STALE"), {READY}, RETIRED),
    "divide": (lambda ledger: ledger.divide(1, [lot(), lot()]), {READY}, REFUSED),
    "refuse": (lambda ledger: ledger.refuse(1, 1, None), {SENDING}, REFUSED),
    "halve": (lambda ledger: ledger.halve(1, 1, []), {SENDING}, REFUSED),
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("name", TRANSITIONS)
def test_transition(ledger, name, state):
    """A change happens from the states it names and from no other; a refused one changes nothing and says so."""
    call, allowed, target = TRANSITIONS[name]
    plan(ledger)
    put(ledger, state)
    if state in allowed:
        call(ledger)
        assert ledger.head(1).state == target
        return
    before = (ledger.head(1), ledger.events(1), ledger.issues(1))
    with pytest.raises(AssertionError, match=r"chunk 1 is not in .*somebody else changed it"):
        call(ledger)
    assert (ledger.head(1), ledger.events(1), ledger.issues(1)) == before


@pytest.mark.parametrize("name", [name for name, (_, allowed, _) in TRANSITIONS.items() if SENDING in allowed])
@pytest.mark.parametrize("attempt", [0, 2])
def test_the_attempt_is_a_fence(ledger, name, attempt):
    """An answer to another attempt than the present one is not recorded."""
    plan(ledger)
    put(ledger, SENDING, attempt=attempt)
    with pytest.raises(AssertionError, match=r"\(attempt 1\)"):
        TRANSITIONS[name][0](ledger)
    assert ledger.head(1).state == SENDING


@pytest.mark.parametrize("state", STATES)
def test_whole_step_changes(tmp_path, state):
    """recover, unpark, retire_run, retire_stale and observe touch the one state they are for."""
    ends = {}
    for number, (name, call) in enumerate(
        {
            "recover": lambda ledger: ledger.recover(1, repeatable=False),
            "recover a check": lambda ledger: ledger.recover(1, repeatable=True),
            "unpark": lambda ledger: ledger.unpark(1),
            "retire_run": lambda ledger: ledger.retire_run("SUPERSEDED"),
            "retire_stale": lambda ledger: ledger.retire_stale(time.time() + 1),
            "recover another step": lambda ledger: ledger.recover(2, repeatable=False),
        }.items()
    ):
        ledger = Ledger(tmp_path / f"{number}.db")
        ledger.create_run("r", digest="d", prefix=PREFIX, facts={}, steps=[("tn-options", {})])
        plan(ledger)
        put(ledger, state)
        call(ledger)
        if ledger.head(1).state != state:
            ends[name] = ledger.head(1).state
        ledger.close()
    assert ends == {
        SENDING: {"recover": UNKNOWN, "recover a check": READY},
        PARKED: {"unpark": UNKNOWN},
        READY: {"retire_run": RETIRED, "retire_stale": RETIRED},
    }.get(state, {})


def test_open_states():
    """A run is finished when no chunk is in one of these (ENGINE.md)."""
    assert set(OPEN_STATES) == {READY, SENDING, ACCEPTED, UNKNOWN, PARKED}


def test_a_run_and_its_steps(ledger):
    """What was written of the run is read back, decoded."""
    run = ledger.run()
    assert (run["id"], run["digest"], run["prefix"], run["facts"], run["judged"]) == (
        "20261120T020000Z-4f2a9c",
        "d",
        PREFIX,
        {"rows": 4},
        0,
    )
    assert (run["retired"], run["finished"], run["exit_code"]) == (None, None, None)
    ledger.judged({"rows": 5})
    ledger.finish(1)
    run = ledger.run()
    assert (run["judged"], run["facts"], run["exit_code"]) == (1, {"rows": 5}, 1)
    assert run["finished"] >= run["started"]
    assert [(step["number"], step["operation"], step["settings"], step["planned"]) for step in ledger.steps()] == [
        (1, "tn-options", {"sms": "on"}, None),
        (2, "tn-details", {}, None),
    ]


def test_a_ledger_without_a_run_is_one_not_judged(tmp_path):
    """A process that died between making the file and naming the run leaves nothing that anybody must mend."""
    (tmp_path / "20261120T020000Z-4f2a9c").mkdir()
    ledger = Ledger(tmp_path / "20261120T020000Z-4f2a9c" / "ledger.db")
    run = ledger.run()
    ledger.close()
    assert (run["id"], run["judged"], run["finished"], run["retired"]) == ("20261120T020000Z-4f2a9c", 0, None, None)


def test_attempts(ledger):
    """Each start of a run is numbered, and tells how it ended."""
    assert ledger.begin_attempt({"pid": 1}) == 1
    ledger.end_attempt(1, 3, {"pid": 1, "requests": 7})
    assert ledger.begin_attempt({"pid": 2}) == 2
    first, second = ledger.attempts()
    assert (first["exit_code"], first["facts"]) == (3, {"pid": 1, "requests": 7})
    assert (second["exit_code"], second["ended"], second["facts"]) == (None, None, {"pid": 2})


def test_a_plan_in_pieces(ledger):
    """Numbers run on from piece to piece and through the steps; each id is ours, legal and short enough."""
    ledger.begin_plan(1)
    ledger.add_chunks([lot(1), lot(3)])
    ledger.add_chunks([])
    ledger.add_chunks([lot(5)])
    assert ledger.steps()[0]["planned"] is None
    ledger.end_plan(1)
    ledger.begin_plan(2)
    ledger.add_chunks([lot(1, step=2)])
    ledger.end_plan(2)
    assert all(step["planned"] for step in ledger.steps())
    heads = [*ledger.heads(1), *ledger.heads(2)]
    assert [(head.number, head.step, head.state, head.rows, head.first_row, head.last_row) for head in heads] == [
        (1, 1, READY, 2, 1, 2),
        (2, 1, READY, 2, 3, 4),
        (3, 1, READY, 2, 5, 6),
        (4, 2, READY, 2, 1, 2),
    ]
    assert [head.customer_order_id for head in heads] == [
        "b-abcdefghij-1",
        "b-abcdefghij-2",
        "b-abcdefghij-3",
        "b-abcdefghij-4",
    ]
    assert ledger.numbers(1, READY) == [1, 2, 3]
    assert ledger.numbers(2, READY) == [4]
    assert ledger.rows_by_state(1) == {READY: 6}


def test_the_longest_id(ledger):
    """With the largest number there can be, an id has at most the 40 characters that the carrier takes."""
    plan(ledger)
    with ledger._transaction() as db:
        db.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
        db.execute(sa.update(CHUNK).values(number=10**12))
        db.exec_driver_sql("UPDATE chunk_rows SET chunk = 1000000000000")
    ledger.add_chunks([lot(3)])
    assert ledger.head(10**12 + 1).customer_order_id == "b-abcdefghij-1000000000001"
    assert len("b-abcdefghij-1000000000001") <= 40


def test_a_half_plan_is_forgotten(ledger):
    """A step whose plan never came to its end is planned afresh, with the same numbers."""
    ledger.begin_plan(1)
    ledger.add_chunks([lot(1), lot(3)])
    ledger.begin_plan(1)
    assert ledger.numbers(1, READY) == []
    ledger.add_chunks([lot(1, 3)])
    ledger.end_plan(1)
    assert [(head.number, head.rows) for head in ledger.heads(1)] == [(1, 3)]
    assert ledger.chunk(1)[1].rows.tolist() == [1, 2, 3]


def test_a_planned_step_is_kept(ledger):
    """Nobody plans a step again whose chunks may have been sent."""
    plan(ledger)
    with pytest.raises(AssertionError, match="a planned step is kept"):
        ledger.begin_plan(1)
    assert ledger.numbers(1, READY) == [1]


def test_intend_keeps_what_was_there_before(ledger):
    """The record that was read before a write is durable before the write; each intent is a new attempt."""
    plan(ledger)
    assert ledger.intend(1, b"<SipPeer/>") == 1
    ledger.unsend(1, 1, "not sent")
    assert ledger.chunk(1)[2] == b"<SipPeer/>"
    assert ledger.intend(1) == 2
    assert ledger.chunk(1)[2] == b"<SipPeer/>"
    assert ledger.head(1).attempt == 2


def test_an_intent_is_on_the_disk(tmp_path, ledger):
    """Another process sees the intent as soon as `intend` is back."""
    plan(ledger)
    ledger.intend(1)
    other = Ledger(tmp_path / "ledger.db")
    assert other.head(1).state == SENDING
    other.close()


def test_sent_again_at_most_twice(ledger):
    """Proven absent: READY with the same id, twice; the third time it is left to a person."""
    plan(ledger)
    for resends in (1, 2):
        ledger.doubt(1, ledger.intend(1), "reset")
        assert ledger.absent(1, "3 misses") == READY
        assert (ledger.head(1).resends, ledger.head(1).customer_order_id) == (resends, "b-abcdefghij-1")
    ledger.doubt(1, ledger.intend(1), "reset")
    assert ledger.absent(1, "3 misses") == PARKED
    assert (ledger.head(1).resends, ledger.head(1).why) == (2, "absent again after 2 re-sends")
    ledger.unpark(1)
    assert ledger.absent(1, "3 misses") == PARKED
    ledger.release(1)
    assert (ledger.head(1).state, ledger.head(1).resends, ledger.head(1).why) == (READY, 0, None)


def test_not_executed_is_free(ledger):
    """A 429 or a refused connection is no re-send, however often."""
    plan(ledger)
    for _ in range(5):
        ledger.unsend(1, ledger.intend(1), "status 429")
    head = ledger.head(1)
    assert (head.state, head.attempt, head.resends, head.doubted) == (READY, 5, 0, False)


def test_recover(ledger):
    """SENDING at the start of an attempt is in doubt, never READY, unless repeating is harmless."""
    plan(ledger, 3)
    for number in (1, 2):
        ledger.intend(number)
    assert ledger.recover(1, repeatable=False) == 2
    assert [(head.state, head.doubted) for head in ledger.heads(1)] == [
        (UNKNOWN, True),
        (UNKNOWN, True),
        (READY, False),
    ]
    ledger.intend(3)
    assert ledger.recover(1, repeatable=True) == 1
    assert (ledger.head(3).state, ledger.head(3).doubted) == (READY, False)


def test_unpark(ledger):
    """Every start looks again: for the order where its id is known, else for whether there is one."""
    plan(ledger, 2)
    ledger.doubt(1, ledger.intend(1), "reset")
    ledger.park(1, "nothing clear")
    ledger.accept(2, ledger.intend(2), "ab-2", "RECEIVED", None)
    ledger.park(2, "not shown")
    assert ledger.unpark(1) == 2
    assert [(head.state, head.order_id) for head in ledger.heads(1)] == [(UNKNOWN, None), (ACCEPTED, "ab-2")]


def test_a_person_releases_a_parked_order(ledger):
    """Released, a chunk forgets the order that nobody can find."""
    plan(ledger)
    ledger.accept(1, ledger.intend(1), "ab-1", "RECEIVED", None)
    ledger.park(1, "not shown")
    ledger.release(1)
    head = ledger.head(1)
    assert (head.state, head.order_id, head.status, head.why) == (READY, None, None, None)


def test_retire_stale(ledger):
    """Only unsent chunks of steps that were planned before the limit grow stale."""
    plan(ledger, 3)
    ledger.intend(2)
    assert ledger.retire_stale(time.time() - 3600) == 0
    assert ledger.retire_stale(time.time() + 3600) == 2
    assert [(head.state, head.why) for head in ledger.heads(1)] == [
        (RETIRED, "STALE"),
        (SENDING, None),
        (RETIRED, "STALE"),
    ]
    assert ledger.run()["retired"] is None


def test_retire_run(ledger):
    """A superseded run keeps what was sent and retires what was not."""
    plan(ledger, 2)
    ledger.accept(1, ledger.intend(1), "ab-1", "RECEIVED", None)
    ledger.retire_run("SUPERSEDED")
    assert ledger.run()["retired"] == "SUPERSEDED"
    assert [(head.state, head.why) for head in ledger.heads(1)] == [(ACCEPTED, None), (RETIRED, "SUPERSEDED")]


def test_children_of_a_refusal(ledger):
    """The other rows of a refused chunk get the next numbers, in the transaction of the refusal."""
    plan(ledger, 2)
    ledger.refuse(1, ledger.intend(1), b"issues", [lot(1, 1, parent=1), lot(2, 1, parent=1)])
    assert [(head.number, head.state, head.parent, head.first_row) for head in ledger.heads(1)] == [
        (1, REFUSED, None, 1),
        (3, READY, 1, 1),
        (4, READY, 1, 2),
        (2, READY, None, 3),
    ]
    assert ledger.head(4).customer_order_id == "b-abcdefghij-4"
    assert ledger.issues(1) == b"issues"


def test_a_refusal_is_whole_or_not_at_all(ledger):
    """Children of a refusal that is not recorded are not there either."""
    plan(ledger)
    with pytest.raises(AssertionError, match="somebody else changed it"):
        ledger.refuse(1, 1, b"issues", [lot(1, 1, parent=1)])
    assert ledger.chunks_by_state() == {READY: 1}
    assert ledger.issues(1) is None


def test_issues_are_replaced(ledger):
    """What was said at the acceptance gives way to what is said in the end."""
    plan(ledger)
    ledger.accept(1, ledger.intend(1), "ab-1", "RECEIVED", b"early")
    assert ledger.issues(1) == b"early"
    ledger.settle(1, "PARTIAL", b"late")
    assert ledger.issues(1) == b"late"
    assert ledger.head(1).status == "PARTIAL"


def test_plain_success_keeps_nothing(ledger):
    """A chunk that simply succeeded has no issues, whatever was said before."""
    plan(ledger)
    ledger.accept(1, ledger.intend(1), "ab-1", "RECEIVED", b"early")
    ledger.settle(1, "COMPLETE", None)
    assert ledger.issues(1) is None


def test_observe(ledger):
    """The carrier's word for an open order is kept; a settled one's is final."""
    plan(ledger)
    ledger.accept(1, ledger.intend(1), "ab-1", "RECEIVED", None)
    ledger.observe(1, "PROCESSING")
    assert ledger.head(1).status == "PROCESSING"
    ledger.settle(1, "COMPLETE", None)
    ledger.observe(1, "PROCESSING")
    assert ledger.head(1).status == "COMPLETE"


def test_many_heads(ledger):
    """1,300 chunks come a page at a time, in the order of their rows, none twice and none left out."""
    plan(ledger, 1_300)
    ledger.refuse(600, ledger.intend(600), None, [lot(1_199, 1, parent=600), lot(1_200, 1, parent=600)])
    heads = list(ledger.heads(1))
    assert len(heads) == 1_302
    assert [head.number for head in heads[598:603]] == [599, 600, 1301, 1302, 601]
    assert [head.first_row for head in heads[598:603]] == [1197, 1199, 1199, 1200, 1201]
    assert len({head.number for head in heads}) == 1_302


def test_numbers_by_page(ledger):
    """Pages of numbers follow one another."""
    plan(ledger, 5)
    ledger.intend(2)
    assert ledger.numbers(1, READY, most=2) == [1, 3]
    assert ledger.numbers(1, READY, after=3, most=2) == [4, 5]
    assert ledger.numbers(1, READY, after=5, most=2) == []


@pytest.mark.parametrize("groups", [1, 256, 257, 70_000], ids=lambda count: f"{count} groups")
def test_a_chunk_comes_back(ledger, groups):
    """Rows with gaps, rows without a TN, values and groups are what they were, however many groups there are."""
    rows = np.array([3, 4, 1_000_000], np.int64)
    tns = np.array([19195550100, 0, 442079460000], np.int64)
    values = [{"final_destination_uri": f"{place}@192.0.2.1"} for place in range(groups)]
    group = np.array([groups - 1, 0, groups // 2], np.int64)
    ledger.begin_plan(1)
    ledger.add_chunks([planned(1, rows=rows, tns=tns, envelope={"site_id": "486"}, groups=values, group=group)])
    head, chunk, before = ledger.chunk(1)
    assert (head.rows, head.first_row, head.last_row, before) == (3, 3, 1_000_000, None)
    assert (chunk.number, chunk.step, chunk.customer_order_id) == (1, 1, "b-abcdefghij-1")
    assert chunk.rows.tolist() == [3, 4, 1_000_000]
    assert chunk.tns.tolist() == [19195550100, 0, 442079460000]
    assert chunk.envelope == {"site_id": "486"}
    assert len(chunk.groups) == groups
    assert [chunk.groups[place] for place in chunk.group] == [
        {"final_destination_uri": f"{groups - 1}@192.0.2.1"},
        {"final_destination_uri": "0@192.0.2.1"},
        {"final_destination_uri": f"{groups // 2}@192.0.2.1"},
    ]
    assert {str(array.dtype) for array in (chunk.rows, chunk.tns, chunk.group)} == {"int64"}


def test_events(ledger):
    """What was sent, when, and what came back, oldest first; no bodies."""
    plan(ledger)
    ledger.unsend(1, ledger.intend(1), "status 429")
    ledger.doubt(1, ledger.intend(1), "reset")
    ledger.found(1, "ab-1", ["ab-2"])
    ledger.settle(1, "COMPLETE", None)
    events = ledger.events(1)
    assert [(event["what"], json.loads(event["detail"])) for event in events] == [
        ("sending", {"attempt": 1}),
        ("not executed", {"why": "status 429"}),
        ("sending", {"attempt": 2}),
        ("in doubt", {"why": "reset"}),
        ("found", {"order_id": "ab-1", "others": ["ab-2"], "by": "a look-up"}),
        ("settled", {"status": "COMPLETE"}),
    ]
    assert [event["at"] for event in events] == sorted(event["at"] for event in events)
    assert ledger.events(2) == []


def test_doubles(ledger):
    """A look-up that found two orders keeps both ids, the one that counts first."""
    plan(ledger, 2)
    for number in (1, 2):
        ledger.doubt(number, ledger.intend(number), "reset")
    ledger.found(1, "ab-1")
    ledger.found(2, "cd-1", ["cd-2"])
    assert ledger.doubles() == [(2, ["cd-1", "cd-2"])]


def test_counts(ledger):
    """Chunks and rows by state, orders by the carrier's own word."""
    plan(ledger, 3)
    assert ledger.known_order(1) is None
    ledger.accept(1, ledger.intend(1), "ab-1", "RECEIVED", None)
    ledger.accept(2, ledger.intend(2), "ab-2", None, None)
    ledger.settle(1, "COMPLETE", None)
    assert ledger.chunks_by_state() == {SETTLED: 1, ACCEPTED: 1, READY: 1}
    assert ledger.chunks_by_state(2) == {}
    assert ledger.rows_by_state(1) == {SETTLED: 2, ACCEPTED: 2, READY: 2}
    assert ledger.orders_by_status() == {"COMPLETE": 1, "": 1}
    assert ledger.known_order(1) in {("b-abcdefghij-1", "ab-1"), ("b-abcdefghij-2", "ab-2")}
    assert ledger.known_order(2) is None


def test_no_such_chunk(ledger):
    """A chunk that a person asks for and that is not there is named."""
    with pytest.raises(InputError, match=r"There is no chunk 7 in .*ledger\.db"):
        ledger.head(7)


def test_a_full_disk_is_for_later(ledger):
    """What cannot be written is StorageFailed, and nothing of the transaction is there afterwards."""
    plan(ledger)
    with ledger._transaction() as db:
        pages = db.exec_driver_sql("PRAGMA page_count").scalar()
    connection = ledger._engine.connect()
    connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    connection.close()
    with pytest.raises(
        StorageFailed, match=r"ledger\.db: the ledger cannot be read or written \(database or disk is full\)"
    ):
        ledger.add_chunks([lot(1 + 2 * place) for place in range(500)])
    assert ledger.chunks_by_state() == {READY: 1}


def test_a_commit_that_fails_leaves_nothing_open(tmp_path, ledger):
    """When the disk refuses the very COMMIT, nothing of the transaction is kept, and the next one is as good as ever."""
    plan(ledger)

    def park_against_the_rules():
        with ledger._transaction() as db:
            db.exec_driver_sql("PRAGMA defer_foreign_keys=ON")  # refused at the COMMIT, not before
            db.execute(sa.update(CHUNK).values(state=PARKED))
            db.execute(sa.insert(CHUNK_ISSUES), {"chunk": 77, "issues": b""})

    with pytest.raises(sa.exc.IntegrityError):
        park_against_the_rules()
    assert ledger.head(1).state == READY
    ledger.accept(1, ledger.intend(1), "ab-1", "RECEIVED", None)
    other = Ledger(tmp_path / "ledger.db")
    assert (other.head(1).state, other.head(1).order_id) == (ACCEPTED, "ab-1")
    other.close()
