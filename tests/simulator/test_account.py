"""What was executed, under which ids, and what outlives the process."""

from __future__ import annotations

import base64
import json
import re
import zlib
from pathlib import Path

import pytest

from batcher.errors import InputError
from batcher.simulator import Account, Options, read_account, read_faults
from tests.simulator.talk import NOON, Clock, order, talk

PEER = "sites/486/sippeers/500025"


async def test_executed_counts_what_is_doubled():
    """A TN in two orders and a customer order id in two orders are named; refused and read requests count nothing."""
    async with talk() as carrier:
        await carrier.post("tnoptions", order("+19195550001", "+19195550002", customer_order_id="one"))
        await carrier.post("tnoptions", order("+19195550002", "+19195550003", customer_order_id="two"))
        await carrier.post("tnoptions", order("+19195550002", customer_order_id="two"))
        await carrier.post("tnoptions", order("bad"))
        await carrier.get("tnoptions")
        await carrier.ask("PUT", PEER, "<SipPeer><PeerName>a</PeerName></SipPeer>")
        executed = await carrier.json("executed")
    assert executed == {
        "orders": 3,
        "tns": 3,
        "executions": 4,
        "doubled_tns": ["+19195550002"],
        "doubled_customer_order_ids": ["two"],
    }


async def test_the_lists_of_executed_are_cut_at_100():
    """Sorted, the first hundred."""
    tns = [f"+1919555{number:04}" for number in range(150)]
    async with talk() as carrier:
        for _ in range(2):
            await carrier.post("tnoptions", order(*reversed(tns)))
        executed = await carrier.json("executed")
    assert (executed["tns"], executed["doubled_tns"]) == (150, tns[:100])


async def test_order_ids_follow_from_the_tns_and_their_repeats():
    """The same requests meet the same ids in every simulator, whatever the clock says; a repeat gets another."""
    runs = []
    for now in (NOON, NOON + 1e6):
        async with talk(clock=Clock(now)) as carrier:
            requests = (order("+19195550001", "+19195550002"), order("9195550002", "9195550001"), order("+19195550003"))
            runs.append([(await carrier.post("tnoptions", body)).one("OrderId") for body in requests])
    assert runs[0] == runs[1]
    assert len(set(runs[0])) == 3
    assert [len(part) for part in runs[0][0].split("-")] == [8, 4, 4, 4, 12]


async def test_a_journal_brings_everything_back(tmp_path):
    """A second simulator on the same journal answers as the first did, and goes on counting where it stopped."""
    journal = tmp_path / "journal"
    passcode = order("+19195550001", options="<PortOutPasscode>a1b2c3</PortOutPasscode>", customer_order_id="one")
    location = "<SipPeer><PeerName>a</PeerName></SipPeer>"
    async with talk(Account(journal=journal), clock=Clock()) as carrier:
        order_id = (await carrier.post("tnoptions", passcode, api="v1")).one("OrderId")
        await carrier.ask("PUT", PEER, location)
        paths = (f"tnoptions/{order_id}", "tnoptions", PEER, "/_simulator/executed")
        before = [(await carrier.get(path)).text for path in paths]
    async with talk(Account(journal=journal), clock=Clock(NOON + 60)) as carrier:
        after = [(await carrier.get(path)).text for path in paths]
        again = (await carrier.post("tnoptions", passcode)).one("OrderId")
    assert after == before
    assert json.loads(after[3])["executions"] == 2
    assert again != order_id
    assert len(journal.read_text().splitlines()) == 3
    kept = [zlib.decompress(base64.b64decode(json.loads(line)["body"])) for line in journal.read_text().splitlines()]
    assert b"<PortOutPasscode>0000</PortOutPasscode>" in kept[0], "a passcode is not written down"
    assert journal.stat().st_mode & 0o777 == 0o600


async def test_a_torn_last_line_was_never_answered(tmp_path):
    """Killed while writing: the last line is dropped, also from the file, and the next one is whole again."""
    journal = tmp_path / "journal"
    async with talk(Account(journal=journal)) as carrier:
        await carrier.post("tnoptions", order("+19195550001"))
        await carrier.post("tnoptions", order("+19195550002"))
    journal.write_bytes(journal.read_bytes()[:-20])
    async with talk(Account(journal=journal)) as carrier:
        assert (await carrier.json("executed"))["orders"] == 1
        await carrier.post("tnoptions", order("+19195550003"))
    assert len(Account(journal=journal).orders) == 2


async def test_a_refused_order_is_not_in_the_journal(tmp_path):
    """What was not executed leaves no line."""
    async with talk(Account(journal=tmp_path / "journal")) as carrier:
        await carrier.post("tnoptions", order("bad"))
    assert not (tmp_path / "journal").exists()


async def test_a_journal_of_another_account_is_refused(tmp_path):
    """Orders that this account would not have taken: the message names the file and the carrier's reason."""
    journal = tmp_path / "journal"
    uri = order("+19195550001", options="<FinalDestinationURI>sip:desk@192.0.2.4</FinalDestinationURI>")
    async with talk(Account(journal=journal)) as carrier:
        await carrier.post("tnoptions", uri)
    with pytest.raises(InputError, match=r"journal: does not fit this account: 5120"):
        Account(Options(sip_prefix="refused"), journal=journal)


@pytest.mark.parametrize("line", ["grumble\n", "{}\n", '{"body": "x"}\n', "[1]\n"])
def test_a_file_that_is_no_journal_is_refused(tmp_path, line):
    """The message names file and line."""
    (tmp_path / "journal").write_text(line)
    with pytest.raises(InputError, match=r"journal, line 1: not a line of a simulator's journal"):
        Account(journal=tmp_path / "journal")


ACCOUNT_FILE = """
account_id = "9900012"
holds = ["+1919*"]
settle = { polls = 3 }
list_lag = 5
token_seconds = 60

[credentials]
client_id = "me"
client_secret = "hidden"

[[error]]
tns = ["+19195550199"]
code = "5074"
text = "Telephone number is not in service."

[[warning]]
tns = ["+1919556*"]
text = "SMS is already Enabled or number is in processing."

[[sippeer]]
site_id = "486"
sippeer_id = "500025"
"""


def test_an_account_file_is_read(tmp_path):
    """Every key of the file arrives in the options; secrets stay out of their text."""
    path = tmp_path / "account.toml"
    path.write_text(ACCOUNT_FILE)
    options = read_account(path).options
    assert (options.account_id, options.holds, options.settle, options.list_lag) == (
        "9900012",
        ("+1919*",),
        {"polls": 3},
        5,
    )
    assert (options.error[0].code, options.warning[0].tns) == ("5074", ("+1919556*",))
    assert options.sippeer[0].sippeer_id == "500025"
    assert "hidden" not in repr(options)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("acount_id = '1'", "acount_id: unknown key", id="unknown key"),
        pytest.param("settle = 'later'", "settle", id="unknown word"),
        pytest.param("settle = { polls = 1, seconds = 2 }", 'write "at once"', id="two ways to settle"),
        pytest.param("settle = { polls = -1 }", "greater than or equal to 0", id="negative"),
        pytest.param("holds = ['555']", '"555" is no TN; write +19195550123', id="no TN"),
        pytest.param("[[error]]\ntns = ['*']", "error 1.text: Field required", id="missing text"),
        pytest.param("account_id = ", "not a TOML file", id="not TOML"),
        pytest.param("[credentials]\nclient_secret = 7", "credentials.client_secret", id="secret of another type"),
    ],
)
def test_a_bad_account_file_is_refused(tmp_path, text, reason):
    """The message names the file and the reason, never a value that may be a secret."""
    path = tmp_path / "account.toml"
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        read_account(path)
    assert str(refused.value).startswith(f"{path}: ")
    assert reason in str(refused.value)


def test_the_examples_of_the_guide_are_true(tmp_path):
    """Both files shown in docs/simulator.md can be read as they stand there."""
    guide = (Path(__file__).parents[2] / "docs" / "simulator.md").read_text()
    account, faults = re.findall(r"```toml\n(.*?)```", guide, re.DOTALL)
    (tmp_path / "account.toml").write_text(account)
    (tmp_path / "faults.toml").write_text(faults)
    assert set(read_account(tmp_path / "account.toml").options.model_fields_set) == set(Options.model_fields)
    assert len(read_faults(tmp_path / "faults.toml")) == 4


def test_a_missing_account_file_is_refused(tmp_path):
    """As any file that cannot be read."""
    with pytest.raises(InputError, match=r"nowhere\.toml: cannot be read: No such file"):
        read_account(tmp_path / "nowhere.toml")
