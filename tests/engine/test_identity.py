"""Which run this is: what its digest depends on, and what it does not."""

from __future__ import annotations

import pytest

from batcher.engine.identity import job_digest, newest, open_input, run_digest
from batcher.errors import InputError
from tests.engine.runs import CHECKER, FAILOVER, SMS, SMS_OFF, account, begun, way_to, write_job

HUSH = '[[step]]\noperation = "tn-options"\nport_out_passcode = "hush1"\n'


def digest(tmp_path, steps=SMS, *, before="", limits="", **way):
    return job_digest(write_job(tmp_path, steps, before=before, limits=limits), way_to(account(), **way))


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"steps": SMS_OFF}, id="a value"),
        pytest.param({"steps": FAILOVER}, id="a setting"),
        pytest.param({"steps": SMS + CHECKER}, id="a step"),
        pytest.param({"steps": SMS + 'sip_prefix = "keep"\n'}, id="an option"),
        pytest.param({"before": '[carrier]\napi = "v1"\n'}, id="the API version"),
        pytest.param({"account_id": "9900013"}, id="the account"),
        pytest.param({"base_url": "https://api.bandwidth.com/api/v2"}, id="the host"),
    ],
)
def test_what_decides_the_effect_is_part_of_the_digest(tmp_path, changed):
    """ENGINE, Identity: settings, account, API version and base URL."""
    assert digest(tmp_path, **changed) != digest(tmp_path)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"before": 'format = "parquet"\n'}, id="the form of the reports"),
        pytest.param({"before": '[run]\nonce_per = "day"\n'}, id="how often"),
        pytest.param(
            {"limits": '[limits]\nrequests_per_second = 3\ntolerated_rejects = "5%"\n'}, id="rate and tolerance"
        ),
    ],
)
def test_what_does_not_is_not(tmp_path, changed):
    """Names, rate and form of the reports may change between two starts."""
    assert digest(tmp_path, **changed) == digest(tmp_path)


def test_columns_are_bound_by_name(tmp_path):
    """Another column of the same input is another run; so is another passcode, which the digest does not tell."""
    assert digest(tmp_path, FAILOVER) != digest(tmp_path, FAILOVER.replace('"To"', '"Else"'))
    assert digest(tmp_path, HUSH) == digest(tmp_path, HUSH)
    assert digest(tmp_path, HUSH) != digest(tmp_path, HUSH.replace("hush1", "hush2"))


def test_input_and_job_make_the_digest_together():
    """Neither alone, and not the one for the other."""
    assert len({run_digest("a", "b"), run_digest("b", "a"), run_digest("a", "c"), run_digest("ab", "")}) == 4


def test_only_a_run_that_is_resumed_can_do_without_its_input(tmp_path):
    """For any other its absence is told."""
    job = write_job(tmp_path, SMS)
    assert open_input(job, is_needed=False) is None
    with pytest.raises(InputError, match=r"numbers\.csv"):
        open_input(job, is_needed=True)


def test_a_lost_ledger_is_no_reason_to_send_again(tmp_path):
    """Without it nobody knows what the run has sent: refused, whether the file is gone or empty."""
    with begun(tmp_path, SMS, "tn\n9195550123\n") as (folder, _):
        pass
    folder.ledger.write_bytes(b"")
    for wal in folder.path.glob("ledger.db-*"):
        wal.unlink()
    with pytest.raises(InputError, match=r"ledger\.db: is gone or empty"):
        newest(tmp_path, way_to(account()))
    folder.ledger.unlink()
    with pytest.raises(InputError, match=r"ledger\.db: is gone or empty"):
        newest(tmp_path, way_to(account()))


def test_an_output_without_runs_has_none(tmp_path):
    """Nothing to resume, nothing done."""
    assert newest(tmp_path / "out", way_to(account())) == ([], None)
