"""The whole input judged before anything is sent, and what is kept of it."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from batcher.engine.duplicates import CONFLICT
from batcher.engine.judge import MALFORMED, columns_of
from batcher.engine.outcome import BAD_VALUE, NOTHING_SET
from batcher.engine.renumber import Wish
from batcher.engine.rewrite import rewrite
from batcher.errors import InputError
from batcher.spool import InputFile, read_fixed
from batcher.table import open_source
from batcher.tn import REASON, REASONS
from tests.engine.runs import CHECKER, FAILOVER, SMS, account, begun, fates, start, way_to, write_job

PASSCODE = '[[step]]\noperation = "tn-options"\nsms = { column = "S" }\nport_out_passcode = { column = "PIN" }\n'


def kept(folder, rows, steps=1):
    tns = read_fixed(folder.tn, "<i8", 0, rows).tolist()
    same = read_fixed(folder.same, "<i8", 0, rows).tolist()
    return tns, same, *(read_fixed(folder.why(number), "u1", 0, rows).tolist() for number in range(1, steps + 1))


def test_each_row_is_judged_once_and_for_good(tmp_path):
    """Digits, what it repeats, and why it stops: the first reason by the order of the codes."""
    rows = (
        "TN,To\n2012000001,2015550142\n,2015550142\nx,911\n2012000001,911\n2012000002,\n12012000001,+12015550142\n"
        "2012000003,2015550142\n2012000003,2015550143\n2012000004\n2012000005,911\n+442079460000,unchanged\n"
    )
    with begun(tmp_path, FAILOVER, rows, planned=False) as (folder, ledger):
        facts = ledger.run()["facts"]
        tns, same, why = kept(folder, 11)
    assert tns == [
        12012000001, 0, 0, 12012000001, 12012000002, 12012000001, 12012000003, 12012000003, 0, 12012000005, 442079460000,
    ]  # fmt: skip
    assert why == [
        0,
        REASON["EMPTY"],
        REASON["LETTERS"],
        BAD_VALUE,
        NOTHING_SET,
        0,
        0,
        0,
        REASON["ROW_MALFORMED"],
        BAD_VALUE,
        0,
    ]
    # Only rows that would be sent are compared: the bad value in row 4 is no conflict.
    assert same == [0, 0, 0, 0, 0, 1, CONFLICT, CONFLICT, 0, 0, 0]
    assert (facts["rows"], facts["columns"], facts["tn_column"]) == (11, ["TN", "To"], "TN")
    assert set(facts["files"]) == {"tn.i8", "same.i8", "why.1.u1", "input.arrow"}


def test_the_rows_are_kept_as_they_were_read(tmp_path):
    """Text, blanks and all; malformed lines are marked."""
    with begun(tmp_path, CHECKER, 'TN,Note\n 2012000001 ,"a, b"\n2012000002\n', planned=False) as (folder, _):
        with InputFile(folder.input) as file:
            assert file.read(0).to_pydict() == {
                "TN": [" 2012000001 ", "2012000002"],
                "Note": ["a, b", ""],
                MALFORMED: [False, True],
            }
        assert not folder.secret.exists()


def test_a_bad_value_of_a_later_step_stops_the_row_before_the_first(tmp_path):
    """So does one TN with two settings in the second step."""
    steps = CHECKER + '[[step]]\noperation = "tn-options"\nsms = { column = "S" }\nnnid = { column = "N" }\n'
    rows = "TN,S,N\n2012000001,on,x\n2012000002,on,\n2012000002,off,\n2012000003,,\n2012000004,maybe,x\n"
    with begun(tmp_path, steps, rows, planned=False) as (folder, _):
        _, same, first, second = kept(folder, 5, steps=2)
    # Bindings count through all steps: site_id 0, sms 1, nnid 2.
    assert first == [BAD_VALUE + 2, 0, 0, 0, BAD_VALUE + 1]
    assert same == [0, CONFLICT, CONFLICT, 0, 0]
    assert second == [0, 0, 0, NOTHING_SET, 0]


def test_values_that_contradict_each_other_stop_the_row(tmp_path):
    """The carrier would refuse the whole order (5208)."""
    steps = '[[step]]\noperation = "tn-options"\nroutes = { column = "R" }\nroute_action = { column = "A" }\n'
    rows = 'TN,R,A\n2012000001,"192.0.2.4,1,1",off\n2012000002,"192.0.2.4,1,1",\n2012000003,,off\n'
    with begun(tmp_path, steps, rows, planned=False) as (folder, _):
        assert kept(folder, 3)[2] == [BAD_VALUE + 1, 0, 0]


def test_rows_may_be_named_by_other_columns(tmp_path):
    """A location twice is a duplicate, twice with other settings a conflict; an empty name is refused."""
    steps = (
        '[[step]]\noperation = "sippeer-failover"\nsite_id = 486\nsippeer_id = { column = "P" }\n'
        'final_destination_uri = { column = "To" }\n'
    )
    rows = "P,To\n1,sip:a@192.0.2.4\n1,SIP:a@192.0.2.4\n2,sip:a@192.0.2.4\n2,sip:b@192.0.2.4\n,sip:a@192.0.2.4\n"
    with begun(tmp_path, steps, rows, planned=False) as (folder, _):
        tns, same, why = kept(folder, 5)
    assert tns == [0] * 5
    assert same == [0, 1, CONFLICT, CONFLICT, 0]
    assert why == [0, 0, 0, 0, BAD_VALUE + 1]


def test_passcodes_are_masked_wherever_rows_are_kept(tmp_path):
    """Only secret.arrow has them; a malformed line may hold one anywhere, and is masked whole."""
    rows = "PIN,TN,S\nhush1,2012000001,on\n ,2012000002,on\nhush2,2012000003,on,extra\nno,2012000004,\n"
    with begun(tmp_path, PASSCODE, rows, planned=False) as (folder, _):
        with InputFile(folder.input) as file, InputFile(folder.secret) as secret:
            assert file.read(0, ["PIN"]).to_pydict() == {"PIN": ["***", "", "***", "***"]}
            assert secret.read(0, ["PIN"]).to_pydict()["PIN"][:2] == ["hush1", " "]
        assert folder.secret.stat().st_mode & 0o777 == 0o600
        assert kept(folder, 4)[2] == [0, 0, REASON["ROW_MALFORMED"], BAD_VALUE + 0]
        for path in folder.path.iterdir():
            assert path == folder.secret or not re.search(rb"hush|2012000003,on", path.read_bytes())


def test_a_constant_passcode_stands_in_secret_arrow_alone(tmp_path):
    """The rows hold none: a malformed line is shown as it was."""
    steps = '[[step]]\noperation = "tn-options"\nport_out_passcode = "hush1"\n'
    with begun(tmp_path, steps, "TN,N\n2012000001,a\n2012000002\n", planned=False) as (folder, _):
        with InputFile(folder.input) as file, InputFile(folder.secret) as secret:
            assert file.read(0, ["TN"]).to_pydict() == {"TN": ["2012000001", "2012000002"]}
            assert secret.read(0).to_pylist() == [{"=1.port_out_passcode": "hush1"}] * 2
        for path in folder.path.iterdir():
            assert path == folder.secret or b"hush1" not in path.read_bytes()


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        (
            FAILOVER,
            r'job\.toml:10: step\.1\.final_destination_uri: .*numbers\.csv has no column "To" - did you mean "Too"\?',
        ),
        (PASSCODE.replace('"PIN"', '"TN"').replace('"S"', '"Too"'), 'Column "TN" holds a secret value'),
        (PASSCODE.replace('"PIN"', '"Too"').replace('"S"', '"Too"'), 'Column "Too" holds a secret value'),
        (
            PASSCODE.replace('"PIN"', '"Too"').replace('sms = { column = "S" }\n', "")
            + '[[step]]\noperation = "tn-options"\nespid = { column = "Too" }\n',
            'Column "Too" holds a secret value',
        ),
    ],
    ids=["not there", "the TN", "another setting", "of another step"],
)
def test_columns_that_cannot_be_used_are_refused(tmp_path, steps, told):
    """Before a row is read; with the nearest name. A mask is never sent in place of a value."""
    job = write_job(tmp_path, steps, "TN,Too\n2012000001,a\n")
    with open_source(job.input_path) as source, pytest.raises(InputError, match=told):
        columns_of(job, source)


def test_many_batches_are_one_input(tmp_path):
    """Rows of a second batch repeat rows of the first."""
    numbers = [f"{2012000000 + number % 70_000}" for number in range(140_000)]
    with begun(tmp_path, CHECKER, "TN\n" + "\n".join(numbers) + "\n", planned=False) as (folder, _):
        tns, same, why = kept(folder, 140_000)
    assert tns == [10_000_000_000 + int(number) for number in numbers]
    assert same == [0] * 70_000 + list(range(1, 70_001))
    assert not np.any(why)


@pytest.mark.parametrize(
    ("rows", "codes"),
    [
        ("TN,Name,Note\n2012000001,x\n2012000002,x,y\n", ["", ""]),
        ("TN,Name,Note\n2012000001,x,y,z\n", [""]),
        ('TN,Name,Note\n"(201) 200-0001","Acme, Inc.",x,y\n', [""]),
        (
            "TN,Name,Note\n2012000001,moved from:\n2012000009,active\n2012000002,x,y\n",
            ["ROW_MALFORMED", "ROW_MALFORMED", ""],
        ),
        ("TN,A,B,Name\n2012000001,was:\n2012000009,or\n2012000008,y\n", ["ROW_MALFORMED"] * 3),
        ("TN,A,B,C,Name\n2012000001,x\n2012000002,y\n", ["", ""]),
        ("TN,A,Name\n2012000001,x\n2012000002,y\n2012000003,z\n2012000004,\n", [""] * 4),
        ("TN,Name\n2012000001\n", ["ROW_MALFORMED"]),
        ("Name,TN,Note\nx,2012000001\n", ["ROW_MALFORMED"]),
        ("Name,TN,Note\nx,y,2012000001,z\n", ["ROW_MALFORMED"]),
        ("Name,TN,Note,More\nx,2012000001,n\n", ["ROW_MALFORMED"]),
        ("TN,Name\n2012000001,2012000002,Joe\n", ["ROW_MALFORMED"]),
        ("TN,Name\n2012000001,0101,0102\n", ["ROW_MALFORMED"]),
        ("TN,Name\n2012000001,Joe,0102\n", ["ROW_MALFORMED"]),
        ("TN,A,B\nTN,A\n", ["NOT_DATA"]),
        ("TN,A,Name\n2012000001,,2012000002,Joe\n", ["ROW_MALFORMED"]),
        ("TN\tA\tName\n2012000001\tJoe\n", ["ROW_MALFORMED"]),
        ("TN\n2012000001,2012000002\n", ["MULTIPLE_TNS"]),
        ("TN,Name\n-- 1 row --\nTotal 6,200,,\n", ["NOT_DATA", "NOT_DATA"]),
        ("TN,A,B\n   \n,\n,,,,\n", ["EMPTY", "EMPTY", "EMPTY"]),
    ],
    ids=[
        "short",
        "long",
        "long, quoted",
        "two pieces of a record",
        "three pieces of a record",
        "two short ones that are none",
        "empty cells left out",
        "cut off",
        "short at the TN",
        "shifted",
        "short behind",
        "two numbers",
        "parts of numbers",
        "a number behind",
        "the header, shorter",
        "a number in the middle",
        "a tab that was trimmed",
        "one column",
        "no data",
        "nothing",
    ],
)
def test_a_ragged_row_is_taken_only_where_its_tn_is_certain(tmp_path, rows, codes):
    """Where nothing but the TN is used. With any setting from a column, a ragged row is refused."""
    with begun(tmp_path / "only", SMS, rows) as (folder, ledger):
        why = read_fixed(folder.why(1), "u1", 0, ledger.run()["facts"]["rows"])
    assert [REASONS[code].code for code in why.tolist()] == codes
    used = rows.replace("Name", "To", 1)
    if "To" in used:
        with begun(tmp_path / "used", FAILOVER, used) as (folder, ledger):
            ragged = read_fixed(folder.why(1), "u1", 0, 1)[0]
        assert REASONS[ragged].code in {"ROW_MALFORMED", "NOT_DATA"}


def test_totals_and_comments_stand_in_any_column_before_the_number(tmp_path):
    """They are counted as what they are; a row of somebody called Total is one."""
    rows = "Group,Name,TN\nSales,x,2012000001\nTotal,,2\n,Grand Total,2\n,Subtotal: 5,\n# moved,,\n-- end --,,x\nTotal,y,2012000002\n,,\nTotally,,\n"
    with begun(tmp_path, SMS, rows) as (folder, ledger):
        why = read_fixed(folder.why(1), "u1", 0, ledger.run()["facts"]["rows"])
    assert [REASONS[code].code for code in why.tolist()] == ["", *["NOT_DATA"] * 5, "", "EMPTY", "EMPTY"]
    rewrite(tmp_path / "numbers.csv", tmp_path / "out.csv", Wish("e164"))
    rejected = (tmp_path / "out.csv.rejects.csv").read_text().splitlines()[1:]
    assert [line.split(",")[3].strip('"') for line in rejected] == [*["NOT_DATA"] * 5, "EMPTY", "EMPTY"]


def test_a_ragged_row_of_several_files_is_refused(tmp_path):
    """Each file may have its columns in an order of its own."""
    job = write_job(tmp_path, SMS, "TN,To\n2012000001,2012000009\n")
    (tmp_path / "numbers.csv").rename(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text("To,TN\n2012000008,2012000002,extra\n2012000007,2012000003\n")
    job = replace(job, input_path=tmp_path / "[ab].csv")
    summary = start(job, way_to(simulated := account()))
    assert fates(summary) == [("succeeded", ""), ("rejected", "ROW_MALFORMED"), ("succeeded", "")]
    assert sorted(tn for order in simulated.orders.values() for tn in order.tns.tolist()) == [12012000001, 12012000003]
