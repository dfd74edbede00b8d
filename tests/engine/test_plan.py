"""Which rows travel together, and what the ledger is told of them."""

from __future__ import annotations

import numpy as np
import pytest

from batcher.engine.judge import Secrets
from batcher.engine.outcome import windows
from batcher.engine.plan import filler, plan
from batcher.engine.steps import restored
from tests.engine.runs import CHECKER, FAILOVER, SMS, begun


def chunks(ledger, step=1):
    return [ledger.chunk(number)[1] for number in ledger.numbers(step, "READY")]


def table(header, rows):
    return "\n".join([header, *rows]) + "\n"


def test_chunks_keep_input_order_and_are_full(tmp_path):
    """12,001 rows with four destinations in turn are three orders, their groups inside them; rejects take no place."""
    destinations = ["2015550142", "2015550143", "unchanged", "x@192.0.2.4"]
    rows = [f"{2012000000 + number},{destinations[number % 4]}" for number in range(12_001)]
    rows[3] = "12,2015550142"
    rows.insert(6_000, rows[0])
    with begun(tmp_path, FAILOVER, table("TN,To", rows)) as (_, ledger):
        planned = chunks(ledger)
        prefix = ledger.run()["prefix"]
    assert [len(chunk.rows) for chunk in planned] == [5_000, 5_000, 2_000]
    assert [chunk.customer_order_id for chunk in planned] == [f"b-{prefix}-{number}" for number in (1, 2, 3)]
    assert len(prefix) == 10
    every = np.concatenate([chunk.rows for chunk in planned]).tolist()
    assert every == [number for number in range(1, 12_003) if number not in {4, 6_001}]
    first = planned[0]
    assert first.rows[:4].tolist() == [1, 2, 3, 5]
    assert first.tns[:4].tolist() == [12012000000, 12012000001, 12012000002, 12012000004]
    shown = [first.groups[number]["final_destination_uri"] for number in first.group[:5]]
    assert shown == ["+12015550142", "+12015550143", "unchanged", "+12015550142", "+12015550143"]
    assert {len(chunk.groups) for chunk in planned} == {4}


def test_the_number_of_orders_depends_on_the_rows_alone(tmp_path):
    """Every row another destination: still 5,000 a chunk, over the borders of the batches."""
    rows = [f"{2012000000 + number},name{number}@192.0.2.4" for number in range(70_000)]
    with begun(tmp_path, FAILOVER, table("TN,To", rows)) as (_, ledger):
        planned = chunks(ledger)
        assert [len(chunk.rows) for chunk in planned] == [5_000] * 14
        assert np.concatenate([chunk.rows for chunk in planned]).tolist() == list(range(1, 70_001))
        over = planned[13]  # rows 65,001 to 70,000: two batches
        assert [over.groups[number]["final_destination_uri"] for number in over.group[[0, 535, 536, 4_999]]] == [
            f"name{number}@192.0.2.4" for number in (65_000, 65_535, 65_536, 69_999)
        ]


def test_order_level_values_need_chunks_of_their_own(tmp_path):
    """Rows of one site are one chunk, wherever they stand; the constant holds for all."""
    steps = '[[step]]\noperation = "import-tn-checker"\nsite_id = { column = "Site" }\nsippeer_id = 7\n'
    rows = [f"{2012000000 + number},{number % 3 + 1}" for number in range(9)]
    with begun(tmp_path, steps, table("TN,Site", rows)) as (_, ledger):
        planned = chunks(ledger)
    assert [dict(chunk.envelope) for chunk in planned] == [
        {"site_id": site, "sippeer_id": "7"} for site in ("1", "2", "3")
    ]
    assert [chunk.rows.tolist() for chunk in planned] == [[1, 4, 7], [2, 5, 8], [3, 6, 9]]
    assert [chunk.groups for chunk in planned] == [({},)] * 3


def test_more_order_level_values_than_are_held_open(tmp_path):
    """200 sites over three batches: every row travels once, with its own site, in chunks that keep input order."""
    steps = '[[step]]\noperation = "import-tn-checker"\nsite_id = { column = "Site" }\n'
    sites = [str(number * number % 199 + 1) for number in range(140_000)]
    rows = [f"{2012200000 + number},{site}" for number, site in enumerate(sites)]
    with begun(tmp_path, steps, table("TN,Site", rows)) as (_, ledger):
        planned = chunks(ledger)
    seen = np.concatenate([chunk.rows for chunk in planned])
    assert np.sort(seen).tolist() == list(range(1, 140_001))
    for chunk in planned:
        assert len(chunk.rows) <= 5_000
        assert (np.diff(chunk.rows) > 0).all()
        assert {sites[row - 1] for row in chunk.rows.tolist()} == {chunk.envelope["site_id"]}
        assert chunk.tns.tolist() == [12012199999 + row for row in chunk.rows.tolist()]


def test_a_plan_that_was_cut_off_is_made_afresh(tmp_path):
    """A process that died while it planned leaves chunks that nobody sends; numbers begin again."""
    rows = table("TN", [str(2012000000 + number) for number in range(12_000)])
    with begun(tmp_path, SMS, rows, planned=False) as (folder, ledger):
        [step] = restored(ledger)

        def dies():
            yield from windows(ledger, folder, [4_000, 4_000])
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            plan(step, Secrets.of([step]), folder, ledger, dies)
        ledger.add_chunks([])
        assert ledger.steps()[0]["planned"] is None
        assert plan(step, Secrets.of([step]), folder, ledger, lambda: windows(ledger, folder, [12_000])) == 3
        assert ledger.steps()[0]["planned"] is not None
        assert ledger.numbers(1, "READY") == [1, 2, 3]
        with pytest.raises(AssertionError):
            plan(step, Secrets.of([step]), folder, ledger, lambda: windows(ledger, folder, [12_000]))


def test_a_half_written_plan_is_thrown_away(tmp_path):
    """Pieces that were committed before the end do not stay beside the new plan."""
    with begun(tmp_path, SMS, "TN\n2012000001\n2012000002\n", planned=False) as (folder, ledger):
        [step] = restored(ledger)
        plan(step, Secrets.of([step]), folder, ledger, lambda: windows(ledger, folder, [2]))
        with ledger._transaction() as db:
            db.exec_driver_sql("UPDATE step SET planned = NULL")
        plan(step, Secrets.of([step]), folder, ledger, lambda: windows(ledger, folder, [2]))
        [chunk] = chunks(ledger)
        assert chunk.rows.tolist() == [1, 2]


def test_a_step_without_rows_is_planned_too(tmp_path):
    """No chunk, and yet the plan is whole."""
    with begun(tmp_path, CHECKER, "TN\n12\n") as (_, ledger):
        assert ledger.steps()[0]["planned"] is not None
        assert chunks(ledger) == []


def test_passcodes_stay_out_of_the_ledger_and_are_put_back(tmp_path):
    """Rows with other passcodes are other groups; the filler gives each its own, from a column or a constant."""
    steps = (
        '[[step]]\noperation = "tn-options"\nsms = "on"\nport_out_passcode = { column = "PIN" }\n'
        '[[step]]\noperation = "tn-options"\nport_out_passcode = "hush9"\n'
    )
    rows = "TN,PIN\n2012000001,hush1\n2012000002,hush2\n2012000003,\n2012000004,hush1\n2012000005\n"
    with begun(tmp_path, steps, rows) as (folder, ledger):
        first, second = restored(ledger)
        secrets = Secrets.of([first, second])
        [chunk] = chunks(ledger)
        assert chunk.rows.tolist() == [1, 2, 3, 4]
        assert [set(values) for values in chunk.groups] == [{"sms"}] * 3
        filled = filler(first, secrets, folder)(chunk)
        assert [filled.groups[number].get("port_out_passcode") for number in chunk.group] == [
            "hush1",
            "hush2",
            None,
            "hush1",
        ]
        assert {values["sms"] for values in filled.groups} == {"on"}
        filled = filler(second, secrets, folder)(chunk)
        assert [values["port_out_passcode"] for values in filled.groups] == ["hush9"] * 3
        for path in folder.path.iterdir():
            assert path == folder.secret or b"hush" not in path.read_bytes()


def test_a_step_without_secrets_needs_no_filling(tmp_path):
    """Its chunk is handed back as it is."""
    with begun(tmp_path, SMS, "TN\n2012000001\n") as (folder, ledger):
        [step] = restored(ledger)
        [chunk] = chunks(ledger)
        assert filler(step, Secrets.of([step]), folder)(chunk) is chunk
