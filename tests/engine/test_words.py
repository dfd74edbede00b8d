"""What is said of a row, in words."""

from __future__ import annotations

from batcher.engine.judge import MALFORMED
from batcher.engine.outcome import windows
from batcher.engine.steps import restored
from batcher.engine.words import Reporter
from batcher.spool import InputFile
from tests.engine.runs import FAILOVER, SMS, begun


def told(folder, ledger, rows):
    """(codes, texts, own warnings) of a run of one batch."""
    reporter = Reporter(ledger.run()["facts"], restored(ledger), "v2")
    with InputFile(folder.input) as file:
        frame = file.read(0, [*reporter.columns, MALFORMED])
    [window] = windows(ledger, folder, [rows])
    codes, texts = reporter.explain(window, frame)
    warnings = [(position + 1, code) for places, code, _ in reporter.own_warnings(window, frame) for position in places]
    return codes.to_pylist(), texts.to_pylist(), sorted(warnings), reporter.input_of(frame).to_pylist()


def test_a_row_that_was_stopped_says_why(tmp_path):
    """Code and sentence; a bad value names its column and shows what stands there."""
    rows = (
        "TN,To\nabc,2015550142\n2012000001,a@b\n2012000002,\n2012000003,2015550142\n2012000003,unchanged\n"
        "2012000004,2015550142\n(201) 200-0004,2015550142\n2012000005,sip:911@192.0.2.4\n"
    )
    with begun(tmp_path, FAILOVER, rows) as (folder, ledger):
        codes, texts, _, cells = told(folder, ledger, 8)
    assert codes == [
        "LETTERS",
        "BAD_VALUE",
        "NOTHING_SET",
        "DUPLICATE_CONFLICT",
        "DUPLICATE_CONFLICT",
        "",
        "DUPLICATE",
        "BAD_VALUE",
    ]
    assert texts[0] == "The cell holds letters: write the telephone number in digits alone."
    assert texts[1] == "column \"To\": 'a@b': the host 'b' is not an IPv4 address"
    assert texts[2] == "the row sets nothing"
    assert texts[3] == "another row has the same TN with other settings, and none of them is sent: keep one"
    assert texts[6] == "same as row 6"
    assert texts[7] == "column \"To\": '911@192.0.2.4' names the service code 911; calls must not be sent there"
    assert cells[6] == "(201) 200-0004"


def test_values_that_contradict_each_other_are_named(tmp_path):
    """Each cell would do by itself; the sentence says what they are together, also where one is a constant."""
    steps = '[[step]]\noperation = "tn-options"\nroutes = { column = "R" }\nroute_action = "off"\nsms = "on"\n'
    rows = 'TN,R\n2012000001,"192.0.2.4,1,1"\n2012000002,\n2012000003,"192.0.2.4,2,1"\n'
    with begun(tmp_path, steps, rows) as (folder, ledger):
        codes, texts, _, _ = told(folder, ledger, 3)
    assert codes == ["BAD_VALUE", "", "BAD_VALUE"]
    assert texts[0] == "route_action: off allows no routes"
    assert texts[2] == 'column "R": priorities run from 1 without a gap; priority 1 is missing'


def test_warnings_are_ours_about_rows_that_go(tmp_path):
    """Rejects and duplicates are not warned about; a number that calls itself is, however it is written."""
    rows = (
        "TN,To\n2012000001.0,2015550142\n2015550143,2015550142\n2012000004,+1 201-200-0004\n2012000005,2012000005@192.0.2.4\n"
        "2015550143,2015550142\n2012000006.0,911\n"
    )
    with begun(tmp_path, FAILOVER, rows) as (folder, ledger):
        _, _, warnings, _ = told(folder, ledger, 6)
    assert warnings == [(1, "FLOAT_TEXT"), (2, "FICTIONAL_555"), (3, "SELF_FORWARD")]


def test_a_loop_is_told_beside_a_passcode(tmp_path):
    """What is masked does not hide what is not."""
    steps = (
        '[[step]]\noperation = "tn-options"\ncall_forward = { column = "To" }\nport_out_passcode = { column = "PIN" }\n'
        '[[step]]\noperation = "tn-options"\nport_out_passcode = "hush9"\n'
    )
    rows = "TN,To,PIN\n2012000001,2012000001,hush1\n2012000002,2012000001,a\n"
    with begun(tmp_path, steps, rows) as (folder, ledger):
        codes, texts, warnings, _ = told(folder, ledger, 2)
    assert warnings == [(1, "SELF_FORWARD")]
    assert codes == ["", "BAD_VALUE"]
    assert texts[1] == 'column "PIN": a passcode has 4 to 10 letters and digits (or is unchanged, systemDefault)'


def test_a_row_without_a_tn_is_named_by_its_key(tmp_path):
    """Its cells, and constants, joined by a slash in the order of the settings."""
    steps = (
        '[[step]]\noperation = "sippeer-failover"\nsite_id = 486\nsippeer_id = { column = "P" }\n'
        'final_destination_uri = "sip:desk@192.0.2.4"\n'
    )
    with begun(tmp_path, steps, "P\n1\n \n") as (folder, ledger):
        codes, texts, warnings, cells = told(folder, ledger, 2)
    assert cells == ["486/1", "486/ "]
    assert codes == ["", "BAD_VALUE"]
    assert texts[1] == 'column "P": is empty, and the carrier needs it'
    assert warnings == []


def test_what_nobody_sees_is_shown(tmp_path):
    """A rejected cell stays as it was typed; its reason shows the characters that made it so."""
    rows = "TN\n2012\u202e000001\n20120\x0000002\n2012000\n"
    with begun(tmp_path, SMS, rows) as (folder, ledger):
        codes, texts, _, _ = told(folder, ledger, 3)
    assert codes == ["BAD_CHARACTER", "BAD_CHARACTER", "TOO_SHORT"]
    assert texts[0].endswith('The cell reads "2012\\u202e000001".')
    assert texts[1].endswith('The cell reads "20120\\u000000002".')
    assert "reads" not in texts[2]


def test_a_reason_about_another_cell_does_not_show_the_number(tmp_path):
    """The TN was read; what is wrong is its destination."""
    with begun(tmp_path, FAILOVER, "TN,To\n\u200b2012000001,911\n") as (folder, ledger):
        codes, texts, _, _ = told(folder, ledger, 1)
    assert codes == ["BAD_VALUE"]
    assert "reads" not in texts[0]
