"""The reports as files: columns, order, forms, masks, and the proof that rows add up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from batcher.carrier.settle import Settlement
from batcher.engine.report import write_reports
from batcher.engine.steps import restored
from batcher.model import FAILED
from batcher.simulator import Account, Options
from tests.engine.runs import CHECKER, SMS, account, begun, read, start, way_to, write_job

PASSCODE = '[[step]]\noperation = "tn-options"\nport_out_passcode = { column = "PIN" }\n'


def reports(folder, ledger, file_format="csv"):
    return write_reports(ledger, folder, folder.path, restored(ledger), api="v2", file_format=file_format)


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
    """140,000 rows, two of them rejected in each batch: a line for each, and the first ten rejects for the summary."""
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
    assert [(row, cell) for row, cell, _, _ in tally.rejects] == [
        (row + 1, f"bad{row}") for row in range(0, 100_000, 10_000)
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
        reports(folder, ledger, "parquet")
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
