"""Where runs stand, and what a person decides about a chunk in doubt."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from batcher.engine.folder import RunFolder, locked
from batcher.engine.identity import opened
from batcher.engine.status import resolve, standing
from batcher.errors import InputError, LockHeld
from batcher.ledger import Ledger, planned
from tests.engine.runs import SMS, begun

ROWS = "tn\n9195550123\n9195550124\n"
JOB = Path("job.toml")
ORDER = "6db1ecd9-7ff8-4b2c-9f4c-1f2b3c4d5e6f"


@pytest.fixture
def run(tmp_path):
    """A run of one chunk, planned and not sent, in the output folder `tmp_path`."""
    with begun(tmp_path, SMS, ROWS) as (folder, ledger):
        yield folder, ledger


def doubt(ledger: Ledger) -> None:
    ledger.doubt(1, ledger.intend(1), "the connection was reset")


def park(ledger: Ledger) -> None:
    doubt(ledger)
    ledger.park(1, "no known order to compare with")


@pytest.mark.parametrize(
    ("happens", "state", "chunks", "following"),
    [
        pytest.param(lambda ledger: None, "unfinished", {"READY": 1}, "batcher run job.toml", id="nothing sent yet"),
        pytest.param(doubt, "unfinished", {"UNKNOWN": 1}, "batcher run job.toml", id="in doubt"),
        pytest.param(park, "unfinished", {"PARKED": 1}, "batcher resolve job.toml 1 --run run", id="parked"),
        pytest.param(
            lambda ledger: ledger.retire_run("SUPERSEDED"), "retired (SUPERSEDED)", {"RETIRED": 1}, None, id="retired"
        ),
        pytest.param(lambda ledger: ledger.finish(1), "finished (exit 1)", {"READY": 1}, None, id="finished"),
    ],
)
def test_what_to_do_next(run, happens, state, chunks, following):
    """State, chunks by state, and the command to type; nothing to do where nothing is left."""
    folder, ledger = run
    happens(ledger)
    found = standing(folder, JOB)
    assert (found["state"], found["rows"], found["chunks"], found["next"]) == (state, 2, chunks, following)


def test_a_parked_chunk_says_why(run):
    """Its number is what `batcher resolve` wants."""
    folder, ledger = run
    park(ledger)
    assert standing(folder, JOB)["parked"] == [{"chunk": 1, "rows": 2, "why": "no known order to compare with"}]


def test_an_input_that_was_not_read_to_its_end(tmp_path):
    """Nothing was planned, so nothing was sent: the same command begins anew."""
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    with opened(folder) as ledger:
        ledger.create_run("run", digest="d", prefix="abcdefghij", facts={}, steps=[("tn-options", {})])
    found = standing(folder, JOB)
    assert (found["state"], found["rows"]) == ("was stopped while the input was read", 0)
    assert found["next"] == "batcher run job.toml"


def test_a_run_that_is_under_way_is_left_alone(run):
    """Its folder is held: there is nothing to type. Of a dead one, the same command goes on, whoever has its number now."""
    folder, ledger = run
    ledger.begin_attempt({"pid": os.getpid()})
    with locked(folder.path.parent):
        found = standing(folder, JOB)
        assert (found["state"], found["next"]) == (f"under way (pid {os.getpid()})", None)
    found = standing(folder, JOB)
    assert (found["state"], found["next"]) == ("unfinished", "batcher run job.toml")


def test_what_is_unsent_goes_on_beside_what_is_parked(run):
    """A chunk that waits for a person keeps no other from being sent."""
    folder, ledger = run
    park(ledger)
    ledger.add_chunks(
        [planned(1, rows=np.array([2]), tns=np.array([12012000002]), envelope={}, groups=[{}], group=np.array([0]))]
    )
    assert standing(folder, JOB)["next"] == "batcher run job.toml (then batcher resolve job.toml 1 --run run)"


def test_what_was_on_its_way_is_looked_up_first(run):
    """Somebody sees it after a kill: nobody has asked the carrier yet."""
    folder, ledger = run
    ledger.intend(1)
    shown = resolve(folder.path.parent, "run", 1, order_id=None, not_sent=False)
    assert "SENDING" in shown
    assert shown.endswith("It was on its way when the process ended: the next start looks it up.\n")
    with pytest.raises(InputError, match="the next start looks it up at the carrier"):
        resolve(folder.path.parent, "run", 1, order_id=None, not_sent=True)


def test_an_order_that_a_look_up_found_is_in_no_doubt(run):
    """Nobody may say that it was never sent; what a person named may be decided again."""
    folder, ledger = run
    doubt(ledger)
    ledger.found(1, "ab-1")
    with pytest.raises(InputError, match="Chunk 1 is ACCEPTED: nothing about it is in doubt"):
        resolve(folder.path.parent, "run", 1, order_id=None, not_sent=True)


def test_runs_without_a_job_file_are_named_by_their_folder(run, tmp_path):
    """What began them is not written down; what a person decides is."""
    folder, ledger = run
    assert standing(folder, tmp_path)["next"] == "the batcher run command that began it"
    park(ledger)
    assert standing(folder, tmp_path)["next"] == f"batcher resolve {tmp_path} 1 --run {folder.run_id}"


def test_the_evidence(run, tmp_path):
    """Rows, CustomerOrderId, every event in order, and what to search for."""
    _folder, ledger = run
    park(ledger)
    lines = resolve(tmp_path, None, 1, order_id=None, not_sent=False).splitlines()
    assert lines[:2] == ["chunk 1 of step 1: PARKED", "  rows 1 to 2 (2 of them)"]
    assert lines[2] == f"  CustomerOrderId b-{ledger.run()['prefix']}-1   order not known"
    assert [line.partition("Z  ")[2] for line in lines[4:7]] == [
        "sending (attempt 1)",
        "in doubt (why the connection was reset)",
        "parked (why no known order to compare with)",
    ]
    assert lines[7].startswith("Search the carrier's orders for the CustomerOrderId: --order ID if it is there")


def test_a_person_names_the_order(run, tmp_path):
    """The chunk goes on from there: the next start asks for that order and sends nothing."""
    _, ledger = run
    park(ledger)
    text = resolve(tmp_path, "run", 1, order_id=ORDER, not_sent=False)
    assert "chunk 1 of step 1: ACCEPTED" in text
    assert f"order {ORDER}" in text
    assert text.endswith("The next start asks the carrier for this order.\n")
    assert ledger.chunks_by_state() == {"ACCEPTED": 1}


def test_a_person_says_it_was_never_sent(run, tmp_path):
    """The chunk is sent again, with its own CustomerOrderId."""
    _, ledger = run
    park(ledger)
    text = resolve(tmp_path, None, 1, order_id=None, not_sent=True)
    assert text.endswith(
        "The next start sends it, with the same CustomerOrderId (past limits.max_age with --stale alone).\n"
    )
    assert ledger.chunks_by_state() == {"READY": 1}


def test_an_order_that_was_mistyped_can_be_named_again(run, tmp_path):
    """Until the carrier has shown the order, a person may decide otherwise."""
    _, ledger = run
    park(ledger)
    resolve(tmp_path, "run", 1, order_id="mistyped", not_sent=False)
    assert ledger.head(1).order_id == "mistyped"
    resolve(tmp_path, "run", 1, order_id=ORDER, not_sent=False)
    assert (ledger.head(1).state, ledger.head(1).order_id) == ("ACCEPTED", ORDER)
    ledger.observe(1, "RECEIVED")
    with pytest.raises(InputError, match="nothing about it is in doubt"):
        resolve(tmp_path, "run", 1, order_id="another", not_sent=False)


def test_a_superseded_run_is_left_as_it_is(run, tmp_path):
    """Nobody would ever ask for an order that was named there."""
    _, ledger = run
    park(ledger)
    ledger.retire_run("SUPERSEDED")
    with pytest.raises(InputError, match="was superseded"):
        resolve(tmp_path, "run", 1, order_id=ORDER, not_sent=False)


def test_a_record_has_no_order(tmp_path):
    """What is written by PUT cannot be found by an order's id."""
    rows = "Site,Peer,To\n486,1,sip:desk@192.0.2.4\n"
    steps = (
        '[[step]]\noperation = "sippeer-failover"\nsite_id = { column = "Site" }\n'
        'sippeer_id = { column = "Peer" }\nfinal_destination_uri = { column = "To" }\n'
    )
    with begun(tmp_path, steps, rows) as (_, ledger):
        park(ledger)
        with pytest.raises(InputError, match="makes no order"):
            resolve(tmp_path, "run", 1, order_id=ORDER, not_sent=False)


def test_one_unreadable_ledger_does_not_hide_the_other_runs(run, tmp_path):
    """Its line says what is wrong with it."""
    folder, ledger = run
    ledger.close()
    folder.ledger.write_bytes(b"no ledger" * 100)
    found = standing(folder, JOB)
    assert "not a readable ledger" in found["state"]
    assert found["next"] is None


@pytest.mark.parametrize("words", [{"order_id": ORDER, "not_sent": False}, {"order_id": None, "not_sent": True}])
def test_what_is_in_no_doubt_cannot_be_decided(run, tmp_path, words):
    """Neither an unsent chunk nor one whose order is known."""
    _, ledger = run
    with pytest.raises(InputError, match="Chunk 1 is READY: nothing about it is in doubt"):
        resolve(tmp_path, None, 1, **words)
    ledger.accept(1, ledger.intend(1), ORDER, "RECEIVED", None)
    with pytest.raises(InputError, match="Chunk 1 is ACCEPTED: nothing about it is in doubt"):
        resolve(tmp_path, None, 1, **words)


@pytest.mark.parametrize("order_id", ["a/../b", "two words", "x" * 65, "é"])
def test_an_order_id_is_checked(run, tmp_path, order_id):
    """It becomes part of a path at the carrier."""
    _, ledger = run
    park(ledger)
    with pytest.raises(InputError, match="is no order id"):
        resolve(tmp_path, None, 1, order_id=order_id, not_sent=False)
    assert ledger.chunks_by_state() == {"PARKED": 1}


def test_nothing_is_decided_while_a_run_is_under_way(run, tmp_path):
    """It may be looking for that very order."""
    with locked(tmp_path), pytest.raises(LockHeld):
        resolve(tmp_path, None, 1, order_id=None, not_sent=False)


def test_a_chunk_or_run_that_is_not_there(run, tmp_path):
    """Named, with what there is."""
    with pytest.raises(InputError, match="no chunk 7"):
        resolve(tmp_path, None, 7, order_id=None, not_sent=False)
    with pytest.raises(InputError, match=r"no run other \(runs: run\)"):
        resolve(tmp_path, "other", 1, order_id=None, not_sent=False)
