"""The reports as files: columns, order, forms, masks, and the proof that rows add up."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from batcher.carrier.settle import Settlement
from batcher.engine.job import Output
from batcher.engine.report import write_reports
from batcher.engine.steps import restored
from batcher.errors import InputError
from batcher.model import FAILED
from batcher.simulator import Account, Options
from tests.engine.runs import CHECKER, FAILOVER, SMS, account, begun, read, start, way_to, write_job

PASSCODE = '[[step]]\noperation = "tn-options"\nport_out_passcode = { column = "PIN" }\n'


def reports(folder, ledger, **output):
    form = Output(path=".", **output)
    return write_reports(ledger, folder, folder.path, restored(ledger), api="v2", output=form)


def test_every_report_has_its_columns_even_when_it_is_empty(tmp_path):
    """DESIGN section 6: programs may rely on the header."""
    with begun(tmp_path, SMS, 'TN,"Last, first"\n2012000001,x\n') as (folder, ledger):
        tally = reports(folder, ledger)
        headers = {path.name: path.read_text("utf-8").splitlines()[0] for path in folder.path.glob("*.csv")}
    assert headers == {
        "results.csv": "row,input,tn,status,code,description,order_id,step",
        "warnings.csv": "row,tn,source,code,description,order_id,step",
        "rejects.csv": '"TN","Last, first","batcher_code","batcher_reason"',
        "failed.csv": '"TN","Last, first","batcher_code","batcher_reason"',
    }
    assert (tally.rows, dict(tally.statuses)) == (1, {"pending": 1})


def test_rows_of_many_batches_stand_in_input_order(tmp_path):
    """140,000 rows, two of them rejected in each batch: a line for each, and the first three of a kind as examples."""
    cells = [f"{2012200000 + number}" for number in range(140_000)]
    for row in range(0, 140_000, 10_000):
        cells[row] = f"bad{row}"
    with begun(tmp_path, CHECKER, "TN\n" + "\n".join(cells) + "\n") as (folder, ledger):
        tally = reports(folder, ledger)
        results = read(folder.path / "results.csv")
        rejects = read(folder.path / "rejects.csv")
    assert [line[0] for line in results] == [str(row) for row in range(1, 140_001)]
    assert [line[1] for line in results] == cells
    assert [line[0] for line in rejects] == [f"bad{row}" for row in range(0, 140_000, 10_000)]
    assert [example[:2] for example in tally.examples["LETTERS"]] == [
        (1, "bad0"),
        (10_001, "bad10000"),
        (20_001, "bad20000"),
    ]
    assert dict(tally.statuses) == {"pending": 139_986, "rejected": 14}
    assert dict(tally.codes) == {("rejected", "LETTERS"): 14}


def test_warnings_of_both_sides_stand_by_row(tmp_path):
    """What concerns the order as a whole has no row, and stands first."""
    rows = "TN\n2012000001\n2015550142\n2012000003\n2015550144\n"
    with begun(tmp_path, SMS, rows) as (folder, ledger):
        attempt = ledger.intend(1)
        ledger.accept(1, attempt, "o-1", None, None)
        none = np.zeros(0, np.int32)
        warnings = [
            (2, 12012000003, "", "c3"),
            (1, 12015550142, "W", "c2"),
            (-1, 0, "X", "whole"),
            (-1, 12125550100, "F", "foreign"),
        ]
        ledger.settle(1, "COMPLETE", Settlement(none, none, [], warnings).packed())
        tally = reports(folder, ledger)
        lines = read(folder.path / "warnings.csv")
    assert [(line[0], line[1], line[2], line[3], line[5], line[6]) for line in lines] == [
        ("", "", "carrier", "X", "o-1", "1"),
        ("", "+12125550100", "carrier", "F", "o-1", "1"),
        ("2", "+12015550142", "batcher", "FICTIONAL_555", "o-1", "1"),
        ("2", "+12015550142", "carrier", "W", "o-1", "1"),
        ("3", "+12012000003", "carrier", "", "o-1", "1"),
        ("4", "+12015550144", "batcher", "FICTIONAL_555", "o-1", "1"),
    ]
    assert tally.warnings == {
        ("batcher", "FICTIONAL_555"): 2,
        ("carrier", "X"): 1,
        ("carrier", "F"): 1,
        ("carrier", "W"): 1,
        ("carrier", ""): 1,
    }


def test_parquet_reports_hold_the_same(tmp_path):
    """With types of their own: rows and steps are numbers, an order-level warning has no row."""
    with begun(tmp_path, SMS, "TN,Note\n2012000001,a\n12,b\n2015550142,\n") as (folder, ledger):
        ledger.accept(1, ledger.intend(1), "o-1", None, None)
        blob = Settlement(
            np.array([1], np.int32), np.array([0], np.int32), [(FAILED, "5074", "no")], [(-1, 0, "X", "t")]
        )
        ledger.settle(1, "PARTIAL", blob.packed())
        reports(folder, ledger, format="parquet")
        tables = {path.stem: pq.read_table(path) for path in folder.path.glob("*.parquet")}
    assert set(tables) == {"results", "warnings", "rejects", "failed"}
    results = tables["results"]
    assert [str(field.type) for field in results.schema] == ["int64", *["string"] * 6, "uint8"]
    assert results["status"].to_pylist() == ["succeeded", "rejected", "failed"]
    assert tables["rejects"].to_pylist()[0]["Note"] == "b"
    assert tables["failed"].to_pylist() == [
        {"TN": "2015550142", "Note": "", "batcher_code": "5074", "batcher_reason": "no"}
    ]
    assert tables["warnings"]["row"].to_pylist() == [None, 3]


def test_rows_that_do_not_add_up_are_a_bug(tmp_path):
    """The run fails rather than report a row too few; no report is left half written."""
    with begun(tmp_path, SMS, "TN\n2012000001\n2012000002\n") as (folder, ledger):
        facts = ledger.run()["facts"]
        ledger.judged({**facts, "rows": 3})
        with pytest.raises(AssertionError, match="2 rows reported, 3 were read"):
            reports(folder, ledger)
        assert list(folder.path.glob("*.tmp")) == []


def test_passcodes_appear_in_no_file_of_a_run(tmp_path):
    """Good, bad, repeated, malformed, in conflict, failed at the carrier who repeats them: masked in every file."""
    rows = (
        "PIN,TN,Note\nhush01,2012000001,a\nhush02!,2012000002,b\nhush03,2012000003,c,hush04\nhush05,2012000004,d\n"
        "hush06,2012000004,e\nhush07,12,f\nhush08,2012000005,g\nhush01,2012000001,a\n,2012000006,h\n"
    )
    error = {"tns": ["+12012000005"], "code": "5193", "text": "Passcode hush08 is invalid"}
    simulated = Account(Options(error=[error]))
    job = write_job(tmp_path, PASSCODE, rows)
    summary = start(job, way_to(simulated))
    folder = Path(summary["folder"])
    assert not (folder / "secret.arrow").exists()
    assert {path.suffix for path in folder.iterdir()} >= {".csv", ".db", ".arrow", ".json", ".txt"}
    for path in job.output_path.rglob("*"):
        assert path.is_dir() or b"hush" not in path.read_bytes(), path
    results = read(folder / "results.csv")
    assert [cells[3] for cells in results] == [
        "succeeded",
        "rejected",
        "rejected",
        "rejected",
        "rejected",
        "rejected",
        "failed",
        "duplicate",
        "skipped",
    ]
    assert results[6][5] == "Passcode *** is invalid"
    rejects = read(folder / "rejects.csv")
    assert [cells[:4] for cells in rejects] == [
        ["***", "2012000002", "b", "BAD_VALUE"],
        ["***", "", "", "ROW_MALFORMED"],
        ["***", "2012000004", "d", "DUPLICATE_CONFLICT"],
        ["***", "2012000004", "e", "DUPLICATE_CONFLICT"],
        ["***", "12", "f", "TOO_SHORT"],
    ]
    assert read(folder / "failed.csv")[0][:3] == ["***", "2012000005", "g"]
    assert simulated.tn_options(12012000001, 4e9)["PortOutPasscode"] == "hush01"


def test_a_read_tells_what_it_brought(tmp_path):
    """answers.csv: one line for each answer, in order of rows, in the operation's columns."""
    job = write_job(tmp_path, '[[step]]\noperation = "tn-details"\n', "TN\n2012000001\n12\n2012000002\n")
    summary = start(job, way_to(account()))
    lines = read(Path(summary["folder"]) / "answers.csv")
    assert [line[:2] for line in lines] == [["1", "+12012000001"], ["3", "+12012000002"]]
    header = (Path(summary["folder"]) / "answers.csv").read_text("utf-8").splitlines()[0]
    assert header.split(",")[:6] == ["row", "tn", "status", "account_id", "site_id", "site_name"]
    assert len(header.split(",")) == 24


def test_columns_are_carried_behind_the_results(tmp_path):
    """A ticket's number stays with its row; a column that is not there is refused before anything is sent."""
    rows = "TN,TicketId,Note\n2012000001,T-1,a\n12,T-2,b\n"
    with begun(tmp_path, SMS, rows) as (folder, ledger):
        reports(folder, ledger, carry=["Note", "TicketId"])
        results = read(folder.path / "results.csv")
        header = (folder.path / "results.csv").read_text().splitlines()[0]
    assert header == "row,input,tn,status,code,description,order_id,step,Note,TicketId"
    assert [cells[8:] for cells in results] == [["a", "T-1"], ["b", "T-2"]]
    with begun(tmp_path / "ragged", SMS, "TicketId,TN\nT-1,2012000001\nT-2,2012000002,x\n") as (folder, ledger):
        reports(folder, ledger, carry=["TicketId"])
        results = read(folder.path / "results.csv")
    assert [cells[8:] for cells in results] == [["T-1"], [""]], "which cell of a malformed line is which nobody knows"
    job = write_job(tmp_path / "job", SMS, rows, before='carry = ["Ticket"]\n')
    with pytest.raises(InputError, match=r'output\.carry: .* no column "Ticket" - did you mean "TicketId"'):
        start(job, way_to(account()))


def test_an_encoding_that_was_guessed_is_told(tmp_path):
    """A line of the warnings that belongs to no row."""
    job = write_job(tmp_path, SMS, "TN\n")
    job.input_path.write_bytes(b"TN,Name\n2012000001,Zo\xeb\n")
    summary = start(job, way_to(account()))
    [warning] = read(job.output_path / "latest" / "warnings.csv")
    assert (warning[0], warning[2], warning[3]) == ("", "batcher", "ENCODING_GUESSED")
    assert summary["warnings"] == {"batcher ENCODING_GUESSED": 1}


def test_our_own_columns_are_not_piled_up(tmp_path):
    """A file of rejects that is fed again has its columns once."""
    with begun(tmp_path, SMS, "TN,batcher_code,batcher_reason,batcher_row\n12,TOO_SHORT,x,7\n") as (folder, ledger):
        reports(folder, ledger)
        header = (folder.path / "rejects.csv").read_text().splitlines()[0]
    assert header == "TN,batcher_code,batcher_reason"


def test_a_malformed_line_is_there_whichever_column_stood_first(tmp_path):
    """Also where that one was ours, and is left out."""
    with begun(tmp_path, SMS, "batcher_code,Name,TN\nEMPTY,Joe,\nEMPTY,Zoe\n") as (folder, ledger):
        reports(folder, ledger)
        rows = read(folder.path / "rejects.csv")
    assert [row[:3] for row in rows] == [["Joe", "", "EMPTY"], ["EMPTY,Zoe", "", "ROW_MALFORMED"]]


def test_reports_for_spreadsheets_can_be_fed_again(tmp_path):
    """What guards a cell from a spreadsheet is taken off when we read it."""
    rows = "TN,To\n2012000001,+12015550199\n201200000,+12015550199\n"
    job = write_job(tmp_path, FAILOVER, rows, before="excel_safe = true\n")
    start(job, way_to(account()))
    results = read(job.output_path / "latest" / "results.csv")
    assert results[0][2] == '="+12012000001"'
    rejects = (job.output_path / "latest" / "rejects.csv").read_text("utf-8")
    assert '"=""+12015550199"""' in rejects
    again = write_job(tmp_path / "again", FAILOVER, rejects.replace("201200000", "2012000002"))
    summary = start(again, way_to(simulated := account()))
    assert summary["statuses"]["succeeded"] == 1
    assert simulated.tn_options(12012000002, time.time() + 1)["FinalDestinationURI"] == "2015550199"
