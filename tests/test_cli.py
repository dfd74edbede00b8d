"""The commands as people and cron use them: exit codes, streams, help, and what bad input gets."""

from __future__ import annotations

import json
import logging
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import structlog

from batcher import __version__
from batcher.__main__ import main
from batcher.cli import cli
from batcher.engine.folder import locked
from batcher.screen import run_text
from tests.processes import COMMAND, asked, at, batcher, environment, simulator, started

ROOT = Path(__file__).parent.parent
COMMANDS = ["check", "run", "status", "report", "resolve", "normalize", "operations", "new", "simulate"]
HEAVY = [
    "aiohttp",
    "anyio",
    "lxml",
    "numpy",
    "pandas",
    "pathlib",
    "pyarrow",
    "pydantic",
    "sqlalchemy",
    "structlog",
    "tqdm",
]
JOB = """\
[input]
path = "numbers.csv"

[carrier]
account_id = "9900012"

[output]
path = "out"

[[step]]
operation = "tn-options"
sms = "on"
"""
NUMBERS = "tn,destination\n9195550123,8045550100\n(919) 555-0124,\n"


class Ended(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def command(capsys, monkeypatch, tmp_path):
    """Run a command in this process, in a folder of its own, without any variable of batcher's."""
    for name in list(os.environ):
        if name.startswith("BATCHER_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "numbers.csv").write_text(NUMBERS)
    (tmp_path / "job.toml").write_text(JOB)
    root, mask, terminate = logging.getLogger(), os.umask(0o022), signal.getsignal(signal.SIGTERM)
    handlers, level = root.handlers[:], root.level

    def call(*arguments: str) -> Ended:
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert isinstance(stop.value.code, int)
        return Ended(stop.value.code, *capsys.readouterr())

    yield call
    os.umask(mask)
    signal.signal(signal.SIGTERM, terminate)
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="module")
def carrier():
    """A simulator in a process of its own, for all tests that should send nothing, or little."""
    with simulator() as address:
        yield address


def write_numbers(path: Path, rows: int) -> None:
    """So many distinct TNs, 919-220-0000 and following."""
    path.write_text("tn\n" + "\n".join(str(9_192_200_000 + number) for number in range(rows)) + "\n", "utf-8")


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.01)


# Help


@pytest.mark.parametrize("flag", ["-h", "--help"])
@pytest.mark.parametrize("name", [None, *COMMANDS])
def test_help_shows_examples_first(command, name, flag):
    """Two of them, before any word about options."""
    ended = command(*filter(None, [name, flag]))
    assert ended.code == 0
    usage, examples, *_ = [block for block in ended.out.split("\n\n") if block.strip()]
    assert usage.startswith("Usage: batcher")
    assert examples.split("\n")[0].strip() == "Examples:"
    lines = [line.strip() for line in examples.split("\n")[1:]]
    assert len(lines) == 2
    assert all(line.startswith(f"batcher {name or ''}".strip()) for line in lines)


def test_help_names_every_command_in_the_order_of_use(command):
    """With what it does, not with its examples."""
    text = command("--help").out.split("Commands:\n")[1]
    shown = re.findall(r"^  ([a-z]+) +(.+)$", text, re.MULTILINE)
    assert [name for name, _ in shown] == list(cli.commands) == COMMANDS
    assert dict(shown)["check"] == "Read, judge and plan; say what would be sent"
    assert "batcher" not in text


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["simulate", "-h"], ["--version"]], ids=" ".join)
def test_help_waits_for_no_heavy_library(arguments, tmp_path):
    """Somebody who asks for help gets it at once."""
    code = (
        "import sys\n"
        "from batcher.__main__ import main\n"
        "try:\n"
        "    main(sys.argv[1:])\n"
        "finally:\n"
        f"    print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)\n"
    )
    result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "[]\n")


def test_version(command):
    """The package's own."""
    assert command("--version") == (0, f"batcher, version {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        pytest.param(["rnu", "job.toml"], "No such command 'rnu'. Did you mean 'run'?", id="command"),
        pytest.param(["run", "--simluate"], "No such option '--simluate'. Did you mean '--simulate'?", id="option"),
        pytest.param(["operations", "tn-optoins"], "did you mean 'tn-options'?", id="operation"),
        pytest.param(["run"], "Missing argument 'JOB'", id="no job"),
        pytest.param(["run", "job.toml", "--api", "v3"], "'v3' is not one of 'v1', 'v2'", id="choice"),
        pytest.param(["run", "job.toml", "--wait", "soon"], '--wait: "soon" is no duration; write 90s', id="duration"),
        pytest.param(["run", "job.toml", "--set", "sms=on"], "--set goes with --operation", id="set without operation"),
        pytest.param(["run", "job.toml", "--column", "sms=A"], "--column goes with --operation", id="column likewise"),
        pytest.param(
            ["run", "numbers.csv", "--operation", "tn-options", "--set", "sms"],
            '--set "sms": write --set key=value',
            id="set without value",
        ),
        pytest.param(["resolve", "job.toml", "x"], "'x' is not a valid integer", id="chunk"),
        pytest.param(
            ["resolve", "job.toml", "1", "--order", "a", "--not-sent"], "contradict each other", id="both decisions"
        ),
        pytest.param(["new", "nope"], 'There is no job "nope". There are: check_then_options', id="no such job"),
        pytest.param(["simulate", "--account", "gone.toml"], "gone.toml", id="no account file"),
        pytest.param(["report", "job.toml"], "there is no run yet", id="nothing to report"),
        pytest.param(["report", "job.toml", "--run", "x"], "there is no run x (runs: none)", id="no such run"),
    ],
)
def test_a_wrong_word_is_refused_with_the_right_one(command, arguments, hint):
    """Exit 2, on stderr, and what was meant."""
    ended = command(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert hint in ended.err
    assert "Traceback" not in ended.err


# The commands


def test_check_sends_nothing_and_says_what_would_be_sent(command, tmp_path):
    """No credentials are needed; rejects.csv is there to be mended."""
    (tmp_path / "numbers.csv").write_text(NUMBERS + "55-0123,\n")
    ended = command("check", "job.toml")
    assert ended.code == 1
    assert re.search(r"to be sent +2 ", ended.out)
    assert "tn-options: 1 order in step 1, 2 requests, about 0 s at the given rate" in ended.out
    assert re.search(r'  TOO_SHORT: Too few digits.*\n    row 3: "55-0123"\n', ended.out)
    assert ended.out.endswith("nothing was sent\n")
    assert (tmp_path / "out/check/rejects.csv").read_text().splitlines()[1].startswith('"55-0123","","TOO_SHORT",')
    assert not list(tmp_path.rglob("ledger.db"))


def test_check_as_json(command):
    """Rows that would be sent count as pending."""
    ended = command("check", "job.toml", "--json")
    summary = json.loads(ended.out)
    assert summary["statuses"]["pending"] == summary["rows"] == 2
    assert (ended.code, summary["exit_code"], summary["planned_orders"]) == (0, 0, 1)


def test_each_bad_value_is_told_with_its_own_cell(command, tmp_path):
    """Two rows of one code, for two reasons."""
    (tmp_path / "numbers.csv").write_text("tn,destination\n9195550123,911\n9195550124,N/A\n")
    words = ["--operation", "tn-options", "--column", "final_destination_uri=destination"]
    shown = command("check", *words, "numbers.csv").out
    assert re.search(r'BAD_VALUE\n +row 1: "9195550123" - column "destination": .*911', shown)
    assert re.search(r' +row 2: "9195550124" - column "destination": .*N/A', shown)


def test_run_status_report(command, tmp_path):
    """A run, the same run again, what is known of it, and its reports anew."""
    first = command("run", "job.toml", "--simulate")
    assert first.code == 0
    assert re.search(r"succeeded +2 +100\.00 %", first.out)
    assert "results.csv" in first.out
    again = command("run", "job.toml", "--simulate", "--json")
    summary = json.loads(again.out)
    assert again.code == 0
    assert "already_done" in summary
    assert [run["run"] for run in json.loads(command("status", "job.toml", "--json").out)] == [summary["run"]]
    told = command("status", "job.toml")
    assert told.out == f"{summary['run']}  finished (exit 0)  2 rows  chunks: 1 SETTLED\n"
    results = tmp_path / "out" / "latest" / "results.csv"
    written = results.read_bytes()
    results.unlink()
    report = command("report", "job.toml", "--json")
    assert report.code == 0
    assert json.loads(report.out)["statuses"]["succeeded"] == 2
    assert results.read_bytes() == written


def test_a_folder_s_reports_are_written_as_its_job_said(command, tmp_path):
    """Where no job file is given: in the same form, with the same columns."""
    (tmp_path / "job.toml").write_text(JOB.replace("[output]", '[output]\nformat = "parquet"\ncarry = ["destination"]'))
    assert command("run", "job.toml", "--simulate").code == 0
    results = tmp_path / "out" / "latest" / "results.parquet"
    written = results.read_bytes()
    results.unlink()
    assert command("report", "out").code == 0
    assert results.read_bytes() == written
    assert not list(results.parent.glob("*.csv"))


def test_a_run_without_a_job_file(command, tmp_path):
    """--operation, --set and --column say what a job file would."""
    words = ["--operation", "tn-options", "--set", "sms=on", "--column", "final_destination_uri=destination"]
    checked = command("check", *words, "numbers.csv", "--json")
    assert json.loads(checked.out)["statuses"]["pending"] == 2
    ended = command("run", *words, "--api", "v1", "--tn", "tn", "--simulate", "--json", "numbers.csv")
    summary = json.loads(ended.out)
    assert (ended.code, summary["statuses"]["succeeded"], summary["api"]) == (0, 2, "v1")
    assert Path(summary["folder"]).parent == tmp_path / "out" / "tn-options"
    elsewhere = command("run", *words, "--simulate", "--json", "--output", "there", "numbers.csv")
    assert Path(json.loads(elsewhere.out)["folder"]).parent == tmp_path / "there"
    assert command("status", "there").out.endswith("finished (exit 0)  2 rows  chunks: 1 SETTLED\n")
    assert json.loads(command("report", "there", "--json").out) == json.loads(elsewhere.out)
    assert command("resolve", "there", "1").out.startswith("chunk 1 of step 1: SETTLED")


def test_operations(command):
    """The list, and the settings of one; every operation can be shown."""
    listed = command("operations").out.splitlines()
    names = [line.split()[0] for line in listed]
    assert names == sorted(names)
    assert "tn-options" in names
    for name in names:
        shown = command("operations", name)
        assert shown.code == 0
        assert shown.out.startswith(f"{name}: ")
        # One line a setting, however long its description.
        settings = shown.out.split("}):\n")[1].splitlines()
        assert all(re.match(r"  [a-z_0-9]+ ", line) for line in settings)
    assert re.search(r"port_out_passcode .*\(secret\)", command("operations", "tn-options").out)


def test_new_never_writes_over_a_file(command, tmp_path):
    """Job and sample are copied once; the next command stands below."""
    ended = command("new", "tn_details")
    assert ended == (
        0,
        "wrote jobs/tn_details.toml\nwrote samples/tn_details.csv\nnext: batcher check jobs/tn_details.toml\n",
        "",
    )
    (tmp_path / "jobs/tn_details.toml").write_text("mine")
    again = command("new", "tn_details")
    assert again.code == 2
    assert "not written over" in again.err
    assert (tmp_path / "jobs/tn_details.toml").read_text() == "mine"
    assert command("new").out.split() == sorted(path.stem for path in (ROOT / "jobs").glob("*.toml"))


def test_resolve_shows_and_decides(command, tmp_path):
    """An order in doubt: its evidence, then a person's word, then the same command goes on."""
    faults = tmp_path / "faults.toml"
    # Executed, its answer lost, and never listed: nobody can prove anything.
    faults.write_text('[[fault]]\nkind = "reset_after"\nmethod = "POST"\n[[fault]]\nkind = "status"\nmethod = "GET"\n')
    with simulator("--faults", faults) as address:
        ended = batcher("run", "job.toml", "--wait", "1s", cwd=tmp_path, env=at(address))
    assert ended.returncode == 4
    shown = command("resolve", "job.toml", "1")
    assert shown.code == 0
    assert re.search(r"chunk 1 of step 1: (UNKNOWN|PARKED)", shown.out)
    assert "sending (attempt 1)" in shown.out
    assert "in doubt" in shown.out
    assert "--order ID if it is there, --not-sent if it is not" in shown.out
    assert command("resolve", "job.toml", "1", "--order", "no id!").code == 2
    decided = command("resolve", "job.toml", "1", "--not-sent")
    assert decided.code == 0
    assert decided.out.endswith("next: batcher run job.toml\n")
    assert "chunk 1 of step 1: READY" in decided.out
    twice = command("resolve", "job.toml", "1", "--not-sent")
    assert twice.code == 2
    assert "Chunk 1 is READY: nothing about it is in doubt." in twice.err
    assert "no chunk 99" in command("resolve", "job.toml", "99").err


def test_the_carrier_simulated_for_other_programs(tmp_path):
    """Its address on stdout, a free port when asked for none, a clean end on SIGTERM; a port in use is refused."""
    process = started("simulate", "--port", "0", cwd=tmp_path)
    try:
        assert process.stdout is not None
        address = process.stdout.readline().split()[2]
        assert asked(address, "executed")["orders"] == 0
        port = address.rpartition(":")[2]
        refused = batcher("simulate", "--port", port, cwd=tmp_path)
        assert refused.returncode == 2
        assert f":{port}: " in refused.stderr
        assert "Choose another port" in refused.stderr
        assert "Traceback" not in refused.stderr
    finally:
        process.terminate()
        _, err = process.communicate(timeout=10)
    assert (process.returncode, err) == (0, "simulator ended\n")


# What bad input gets


class Bad(NamedTuple):
    """What to do to the good job, and what has to be said about it."""

    spoil: Callable[[Path], object]
    told: str


def job(old: str, new: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "job.toml").write_text(JOB.replace(old, new), "utf-8")


def numbers(text: str | bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / "numbers.csv").write_bytes(text if isinstance(text, bytes) else text.encode())


def _unwritable(folder: Path) -> None:
    (folder / "blocked").write_text("a file")
    job('path = "out"', 'path = "blocked/out"')(folder)


def _folder(folder: Path) -> None:
    (folder / "job.toml").unlink()
    (folder / "job.toml").mkdir()


BAD = {
    "no job file": Bad(lambda folder: (folder / "job.toml").unlink(), r"job\.toml: cannot be read \(No such file"),
    "job file is a folder": Bad(_folder, r"job\.toml: cannot be read \(Is a directory\)"),
    "job file is no TOML": Bad(job("[output]", "[output"), r"job\.toml:7: "),
    "missing input": Bad(lambda folder: (folder / "numbers.csv").unlink(), r"numbers\.csv: cannot be opened: No such"),
    "input is a folder": Bad(job("numbers.csv", "."), r": is not a regular file. Give a CSV or Parquet file"),
    "empty file": Bad(numbers(""), r"numbers\.csv: it is empty \(EMPTY_FILE\)"),
    "header alone": Bad(numbers("tn\n"), r"numbers\.csv: it has a header and no rows \(EMPTY_FILE\)"),
    "no TN column": Bad(numbers("a,b\n1,2\n"), r'NO_TN_COLUMN.*"a", "b".*\[input\] tn ='),
    "two TN columns": Bad(numbers("phone,did\n9195550123,\n"), r'"phone", "did".*AMBIGUOUS_TN_COLUMN.*\[input\] tn ='),
    "named column is not there": Bad(
        job('"numbers.csv"', '"numbers.csv"\ntn = "Phone"'), r'no column "Phone".*"tn", "destination"'
    ),
    "column of a setting is not there": Bad(
        job('"on"', '{ column = "destinatoin" }'), r'has no column "destinatoin" - did you mean "destination"\?'
    ),
    "workbook": Bad(numbers(b"PK\x03\x04" + b"\0" * 99), r"numbers\.csv: it is a zip archive"),
    "not UTF-8": Bad(
        numbers(b"tn,\xc3\xa9\n9195550123,\n\xff,\n"), r"numbers\.csv, line 3: the byte 0xff is not UTF-8"
    ),
    "quote not closed": Bad(numbers('tn\n9195550123\n"919\n'), r"numbers\.csv, line 3: a cell opens with a quote"),
    "unknown key": Bad(job("sms =", "smss ="), r'job\.toml:12: step.1.smss: unknown key - did you mean "sms"\?'),
    "unknown table": Bad(job("[output]", "[outptu]"), r'job\.toml:7: outptu: unknown key - did you mean "output"\?'),
    "unknown operation": Bad(
        job('"tn-options"', '"tn-option"'),
        r'job\.toml:11: step\.1\.operation: unknown operation "tn-option" - did you mean',
    ),
    "wrong type": Bad(
        job('"9900012"', "9900012"), r"job\.toml:5: carrier.account_id: should be text in quotes, not 9900012"
    ),
    "constant that the carrier would refuse": Bad(job('"on"', '"maybe"'), r"job\.toml:12: step\.1\.sms: .*maybe"),
    "passcode of three characters": Bad(
        job('sms = "on"', 'port_out_passcode = "a1b"'), r"job\.toml:12: step\.1\.port_out_passcode: .*4 to 10"
    ),
    "passcode with a dash": Bad(
        job('sms = "on"', 'port_out_passcode = "a1-b2"'), r"job\.toml:12: step\.1\.port_out_passcode: "
    ),
    "nothing to set": Bad(job('sms = "on"', ""), r"job\.toml:10: step\.1: tn-options sets nothing"),
    "output below a file": Bad(_unwritable, r"blocked/out: cannot be written \(Not a directory\)\. Choose another"),
    "output in no disk": Bad(job('path = "out"', 'path = "/proc/out"'), r"/proc/out: cannot be written"),
}


@pytest.mark.parametrize("name", ["check", "run"])
@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_bad_input_is_told_before_anything_is_sent(command, tmp_path, monkeypatch, carrier, bad, name):
    """One clear message with file, line and remedy; exit 2; nothing sent; nothing left to resume."""
    for variable, value in at(carrier).items():
        monkeypatch.setenv(variable, value)
    bad.spoil(tmp_path)
    before = len(asked(carrier, "arrivals"))
    ended = command(name, "job.toml")
    assert (ended.code, ended.out) == (2, "")
    message = [line for line in ended.err.splitlines() if not re.match(r"20\S+Z ", line)]
    assert re.search(bad.told, "\n".join(message))
    assert 1 <= len(message) <= 2
    assert "Traceback" not in ended.err
    assert not re.search(r"a1b|a1-b2", ended.err)
    assert len(asked(carrier, "arrivals")) == before
    assert not list(tmp_path.glob("out/2*/ledger.db")) or command("status", "job.toml").out.count("unfinished") == 0


def test_all_mistakes_of_a_job_file_are_told_at_once(command, tmp_path):
    """In the order of their lines."""
    (tmp_path / "job.toml").write_text(JOB.replace("path = ", "paht = ").replace('"on"', '"maybe"'))
    lines = command("check", "job.toml").err.splitlines()
    assert [line.partition(": ")[0] for line in lines if "unknown key" in line] == ["job.toml:2", "job.toml:8"]
    assert any("maybe" in line for line in lines)


def test_a_bad_row_is_a_reject_and_the_rest_goes_on(command, tmp_path):
    """Bad rows are data: exit 1, a code each."""
    (tmp_path / "numbers.csv").write_text("tn,To\n9195550123,x\n55,x\n,\n9195550124\n9195550125,x\n")
    ended = command("run", "job.toml", "--simulate", "--json")
    summary = json.loads(ended.out)
    assert ended.code == 1
    assert (summary["statuses"]["succeeded"], summary["statuses"]["rejected"]) == (2, 3)
    assert summary["codes"] == {"rejected TOO_SHORT": 1, "rejected EMPTY": 1, "rejected ROW_MALFORMED": 1}


# Credentials


def test_missing_credentials_are_told_before_anything(command, tmp_path):
    """Not when simulating or checking: those need none."""
    ended = command("run", "job.toml")
    assert ended.code == 2
    assert "No credentials. Set BATCHER_CLIENT_ID and BATCHER_CLIENT_SECRET" in ended.err
    assert not (tmp_path / "out").exists()
    assert command("check", "job.toml").code == 0
    assert command("run", "job.toml", "--simulate").code == 0


def test_a_missing_account_is_told(command, tmp_path, monkeypatch):
    """A simulated run needs none."""
    monkeypatch.setenv("BATCHER_TOKEN", "simulated-token")
    (tmp_path / "job.toml").write_text(JOB.replace('account_id = "9900012"', ""))
    ended = command("run", "job.toml")
    assert ended.code == 2
    assert "job.toml: no account: set [carrier] account_id or BATCHER_ACCOUNT_ID." in ended.err
    assert command("run", "job.toml", "--simulate").code == 0


@pytest.mark.parametrize(
    ("variables", "name"),
    [
        pytest.param({"BATCHER_USERNAME": "me"}, "BATCHER_PASSWORD", id="Basic"),
        pytest.param({"BATCHER_CLIENT_ID": "me"}, "BATCHER_CLIENT_SECRET", id="OAuth2"),
    ],
)
def test_credentials_from_a_file(command, tmp_path, monkeypatch, variables, name):
    """The right secret gets through and is nowhere to be seen; a wrong one is refused by name, with exit 5."""
    account, file = tmp_path / "account.toml", tmp_path / "secret"
    account.write_text(
        '[credentials]\nclient_id = "me"\nclient_secret = "right-or-wrong"\n'
        'username = "me"\npassword = "right-or-wrong"\n'
    )
    with simulator("--account", account) as address:
        for variable, value in (
            variables | {f"{name}_FILE": str(file), "BATCHER_BASE_URL": f"{address}/api/v2"}
        ).items():
            monkeypatch.setenv(variable, value)
        file.write_text("wrong-canary\n")
        file.chmod(0o600)
        refused = command("run", "job.toml")
        assert refused.code == 5
        assert "refused" in refused.err
        assert "Traceback" not in refused.err
        file.write_text("right-or-wrong\n")
        assert command("run", "job.toml").code == 0
        written = b"".join(path.read_bytes() for path in tmp_path.glob("out/**/*") if path.is_file())
    for secret in ("wrong-canary", "right-or-wrong"):
        assert secret not in refused.err
        assert secret.encode() not in written


def test_variables_are_looked_at(command, monkeypatch, carrier):
    """A variable that nobody reads is named with its neighbour; Basic authentication is named with its end."""
    for variable, value in {
        "BATCHER_USERNAME": "me",
        "BATCHER_PASSWORD": "canary-password",
        "BATCHER_PASWORD_FILE": "/nowhere",
        "BATCHER_BASE_URL": f"{carrier}/api/v2",
    }.items():
        monkeypatch.setenv(variable, value)
    ended = command("run", "job.toml", "--log-format", "json")
    assert ended.code == 0
    # Every line of the log is JSON, these two as well.
    logged = [json.loads(line) for line in ended.err.splitlines()]
    warnings = [line["event"] for line in logged if line["level"] == "warning"]
    assert "BATCHER_PASWORD_FILE: unknown variable - did you mean BATCHER_PASSWORD_FILE?" in warnings
    assert any("2026-12-02" in warning for warning in warnings)
    assert "canary-password" not in ended.err


# Streams and codes


def test_stdout_carries_the_result_and_stderr_the_log(tmp_path):
    """So that the one can be piped while the other is watched; no control character where there is no terminal."""
    (tmp_path / "job.toml").write_text(JOB)
    (tmp_path / "numbers.csv").write_text(NUMBERS)
    ended = batcher("run", "job.toml", "--simulate", "--json", cwd=tmp_path)
    assert ended.returncode == 0
    assert json.loads(ended.stdout)["statuses"]["succeeded"] == 2
    lines = ended.stderr.splitlines()
    assert len(lines) >= 3
    assert all(re.match(r"20\S+Z \[(info|warning) ", line) for line in lines)
    assert "\x1b" not in ended.stdout + ended.stderr
    assert "\r" not in ended.stdout + ended.stderr


def _on_terminal(tmp_path: Path, **env: str) -> str:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, 120))
    process = subprocess.Popen(
        [*COMMAND, "check", "job.toml"],
        cwd=tmp_path,
        env=environment({"TERM": "xterm"} | env),
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    text = b""
    try:
        while block := os.read(ours, 65_536):
            text += block
    except OSError:
        pass  # the other end is closed
    os.close(ours)
    assert process.wait() == 0
    return text.decode()


@pytest.mark.parametrize(
    ("env", "is_coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False)],
    ids=["terminal", "NO_COLOR"],
)
def test_no_color(tmp_path, env, is_coloured):
    """Colour on a terminal, unless somebody asks for none (no-color.org)."""
    (tmp_path / "job.toml").write_text(JOB)
    (tmp_path / "numbers.csv").write_text(NUMBERS)
    text = _on_terminal(tmp_path, **env)
    assert "input read" in text
    assert ("\x1b[" in text) == is_coloured


@pytest.mark.parametrize(
    ("place", "arguments"),
    [
        pytest.param("batcher.engine.check.check", ["check", "job.toml"], id="with logs"),
        pytest.param("batcher.engine.folder.run_folders", ["status", "job.toml"], id="without logs"),
    ],
)
def test_a_bug_is_told_as_one(command, monkeypatch, place, arguments):
    """Exit 70 with a log line on stderr, the traceback in it, and no secret even there."""

    def broken(*_: Any) -> None:
        raise ZeroDivisionError("because of canary-token")

    monkeypatch.setenv("BATCHER_TOKEN", "canary-token")
    monkeypatch.setattr(place, broken)
    ended = command(*arguments)
    assert (ended.code, ended.out) == (70, "")
    assert "[critical ] a bug in batcher; the same command goes on where it was" in ended.err
    assert "ZeroDivisionError: because of ***" in ended.err
    assert "canary" not in ended.err


STREAMS = {
    "full": "2>/dev/full",
    "closed": "2>&-",
    "all closed": "<&- >&- 2>&-",
    "a pipe that nobody reads": "2>&1 >/dev/null | true",
    "a pipe that is read for a line": "2>&1 >/dev/null | head -1",
}


def _in_shell(words: str, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """A command line, its streams bent by a shell; the exit code is batcher's, and not that of who reads from it."""
    program = f"{sys.executable} -m batcher"
    bent = ["bash", "-o", "pipefail", "-c", words.replace("batcher", program, 1)]
    return subprocess.run(bent, cwd=cwd, env=environment(env), capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("bend", STREAMS.values(), ids=STREAMS)
def test_a_log_that_cannot_be_written_stops_nothing(tmp_path, bend):
    """The run goes to its end, with its own exit code, and all its reports; so do errors."""
    (tmp_path / "job.toml").write_text(JOB)
    (tmp_path / "numbers.csv").write_text(NUMBERS + "55,\n")
    assert _in_shell(f"batcher run job.toml --simulate -v {bend}", tmp_path).returncode == 1
    summary = json.loads((tmp_path / "out/latest/summary.json").read_text())
    assert (summary["statuses"]["succeeded"], summary["statuses"]["rejected"]) == (2, 1)
    # Nothing else got the descriptor of a stream that was closed.
    assert not any(b"input read" in path.read_bytes() for path in tmp_path.glob("out/**/*") if path.is_file())
    for wrong in ("run gone.toml", "rnu"):
        assert _in_shell(f"batcher {wrong} {bend}", tmp_path).returncode == 2


def test_a_terminal_that_hangs_up_stops_nothing(tmp_path):
    """Its bar and its log are dropped; the run ends as it would have ended."""
    (tmp_path / "job.toml").write_text(JOB + "[limits]\nrequests_per_second = 4\n")
    write_numbers(tmp_path / "numbers.csv", 20_000)
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (40, 120))
    run = [*COMMAND, "run", "job.toml", "--yes", "--json"]
    with (
        simulator() as address,
        subprocess.Popen(
            run, cwd=tmp_path, env=environment(at(address)), stdout=subprocess.PIPE, stderr=theirs
        ) as process,
    ):
        os.close(theirs)
        text = b""
        while b"row/s" not in text:
            text += os.read(ours, 65_536)
        os.close(ours)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert json.loads(out)["statuses"]["succeeded"] == 20_000


@pytest.mark.parametrize(
    "words",
    ["run job.toml --simulate -q", "check job.toml -q --json", "operations", "new", "run --help", "simulate --port 0"],
)
def test_a_result_that_cannot_be_written_is_told(tmp_path, words):
    """Exit 6 and one line on stderr: whoever reads the file would take an empty result for one."""
    (tmp_path / "job.toml").write_text(JOB)
    (tmp_path / "numbers.csv").write_text(NUMBERS)
    ended = _in_shell(f"batcher {words} >/dev/full", tmp_path)
    assert ended.returncode == 6
    assert ended.stderr == "stdout: the result could not be written (No space left on device).\n"


@pytest.mark.parametrize("words", ["run job.toml --simulate -q --json", "operations", "--help"])
def test_a_reader_that_has_enough_hears_nothing(tmp_path, words):
    """`| head -1` is no error that anybody wants to read about."""
    (tmp_path / "job.toml").write_text(JOB)
    (tmp_path / "numbers.csv").write_text(NUMBERS)
    assert not _in_shell(f"batcher {words} | true", tmp_path).stderr


@pytest.mark.parametrize(
    ("words", "variables", "code", "event"),
    [
        pytest.param(
            ["check", "gone.toml"], {}, 2, "gone.toml: cannot be read (No such file or directory).", id="check"
        ),
        pytest.param(["report", "job.toml"], {}, 2, "out: there is no run yet", id="report"),
        pytest.param(
            ["run", "canary-token.toml"],
            {"BATCHER_TOKEN": "canary-token"},
            2,
            "***.toml: cannot be read",
            id="with a secret",
        ),
        pytest.param(["run", "numbers.csv", "--wait", "1s"], {}, 2, "numbers.csv: is an input, not a job", id="run"),
    ],
)
@pytest.mark.parametrize("by", ["option", "variable"])
def test_an_error_is_a_line_of_the_json_log(command, monkeypatch, words, variables, code, event, by):
    """Whatever reads the log finds the end of a run in it, with the exit code."""
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    if by == "variable":
        monkeypatch.setenv("BATCHER_LOG_FORMAT", "json")
    ended = command(*words, *(["--log-format", "json"] if by == "option" else []))
    assert ended.code == code
    last = [json.loads(line) for line in ended.err.splitlines()][-1]
    assert (last["level"], last["exit_code"]) == ("error", code)
    assert event in last["event"]
    assert "canary" not in ended.err


def test_a_signal_is_a_line_of_the_json_log(tmp_path):
    """A warning: nothing went wrong."""
    (tmp_path / "job.toml").write_text(JOB)
    write_numbers(tmp_path / "numbers.csv", 400_000)
    first = started("run", "job.toml", "--simulate", "--log-format", "json", cwd=tmp_path)
    wait_until(lambda: bool(list(tmp_path.glob("out/2*/input.arrow*"))))
    first.send_signal(signal.SIGINT)
    _, err = first.communicate(timeout=30)
    last = [json.loads(line) for line in err.splitlines()][-1]
    assert (first.returncode, last["level"], last["exit_code"]) == (3, "warning", 3)
    assert last["event"] == "Stopped; nothing is lost. Give the same command again."


SUMMARY = {
    "run": "R2",
    "job": "nightly",
    "operations": ["tn-options"],
    "rows": 7,
    "statuses": {"succeeded": 4, "unknown": 2, "pending": 1},
    "codes": {},
    "warnings": {},
    "orders": {},
    "doubled_orders": [],
    "killed_attempts": 0,
    "requests": 1,
    "throttled": 0,
    "seconds": 1.0,
    "tns_per_second": 4.0,
    "open": True,
    "stale": False,
    "exit_code": 4,
}


def test_what_is_open_is_told_with_the_way_out(tmp_path):
    """Exit code 4 in words; rows that grew too old need another word than rows that are waited for."""
    summary = SUMMARY | {"folder": str(tmp_path)}
    said = "not all is known yet (2 rows unknown, 1 row not sent): give the same command again"
    assert f"{said}, or see batcher status\n" in run_text(summary)
    stale = run_text(summary | {"stale": True})
    assert f"{said}, with --stale for what was too old, or see batcher status\n" in stale
    assert "nothing was sent.\n\n" in run_text(summary | {"stale": True, "already_done": "then"})
    assert "nothing was sent. Use --again to" in run_text(summary | {"already_done": "then"})
    ended = summary | {"open": False, "already_done": "then"}
    assert "1 row not sent): --stale sends what was too old, or" in run_text(ended | {"stale": True})
    assert "look at the orders of these rows at the carrier" in run_text(ended)
    done = run_text(summary | {"exit_code": 0, "statuses": {"succeeded": 7, "unknown": 0, "pending": 0}})
    assert "not all is known" not in done


def test_doubled_orders_stand_above_everything(tmp_path):
    """Each with all its ids: a person has to look at them at the carrier."""
    text = run_text(SUMMARY | {"folder": str(tmp_path), "doubled_orders": [["a-1", "a-2"], ["b-1", "b-2"]]})
    assert text.startswith("DOUBLED ORDERS in run R2: ")
    assert text.index("  a-1, a-2\n  b-1, b-2\n") < text.index("succeeded")


def test_the_run_whose_place_was_taken_is_told(tmp_path):
    """How it ended, where its reports are, and what of it has to be looked at."""
    before = {
        "run": "R1",
        "statuses": {"succeeded": 5_000, "failed": 0, "unknown": 3},
        "doubled_orders": [["c-1", "c-2"]],
        "exit_code": 5,
        "folder": "/out/R1",
    }
    done = {"statuses": {"succeeded": 7, "unknown": 0, "pending": 0}, "exit_code": 5, "folder": str(tmp_path)}
    text = run_text(SUMMARY | done | {"superseded": before})
    assert (
        "in the place of run R1, whose input or job has changed: 5,000 succeeded, 3 unknown (exit 5); "
        "what became of 3 rows has to be looked up at the carrier\n  its reports: /out/R1\n"
    ) in text
    assert "DOUBLED ORDERS in run R1: the carrier holds more than one order for the same rows.\n  c-1, c-2\n" in text
    assert not text.startswith("DOUBLED")


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
def test_a_run_that_was_stopped_shows_what_it_did(command, tmp_path, monkeypatch, as_json):
    """The carrier refuses midway: the result on stdout, the reason on stderr, the reason's exit code."""
    (tmp_path / "faults.toml").write_text('[[fault]]\nkind = "status"\nstatus = 403\nmethod = "POST"\n')
    with simulator("--faults", tmp_path / "faults.toml") as address:
        for variable, value in at(address).items():
            monkeypatch.setenv(variable, value)
        ended = command("run", "job.toml", *(["--json"] if as_json else []))
        unread = _in_shell("batcher run job.toml >/dev/full", tmp_path, at(address))
    assert ended.code == 5
    if as_json:
        assert json.loads(ended.out)["exit_code"] == 5
    else:
        assert re.search(r"pending +2 ", ended.out)
        assert "results.csv" in ended.out
    assert ended.err.splitlines()[-1].startswith("stopped: ")
    # A result that cannot be written hides neither the reason nor its exit code.
    assert unread.returncode == 5
    assert "stdout: the result could not be written" in unread.stderr
    assert unread.stderr.splitlines()[-1].startswith("stopped: ")


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["--set", "sms=on", "--set", "sms=off"], "sms"),
        (["--set", "sms=on", "--column", "sms=destination"], "sms"),
        (["--column", "nnid=a", "--column", "nnid=a"], "nnid"),
        (["--set", "operation=tn-details"], "operation"),
    ],
    ids=["set twice", "set and column", "column twice", "operation"],
)
def test_a_key_that_is_given_twice_is_refused(command, words, key):
    """Nobody can know which of them was meant."""
    ended = command("check", "--operation", "tn-options", *words, "numbers.csv")
    assert (ended.code, ended.out) == (2, "")
    assert f"{key}: is given more than once" in ended.err


@pytest.mark.parametrize("words", [["check"], ["run", "--simulate"], ["run"]], ids=" ".join)
def test_an_account_of_the_environment_is_looked_at_first(command, tmp_path, monkeypatch, words):
    """As the one of a job file: by the name of its variable, before anything is written."""
    (tmp_path / "job.toml").write_text(JOB.replace('account_id = "9900012"', ""))
    monkeypatch.setenv("BATCHER_ACCOUNT_ID", "../9900012")
    ended = command(*words, "job.toml")
    assert (ended.code, ended.out) == (2, "")
    assert 'BATCHER_ACCOUNT_ID: "../9900012" is no account id: 1 to 64 letters, digits and dashes.' in ended.err
    assert not (tmp_path / "out").exists()


def test_orders_that_stay_open_end_the_wait(command, tmp_path, monkeypatch):
    """Exit 4 after --wait; status names the next command, and the evidence of the order is there."""
    (tmp_path / "account.toml").write_text("settle = { seconds = 3600 }\n")
    with simulator("--account", tmp_path / "account.toml") as address:
        for variable, value in at(address).items():
            monkeypatch.setenv(variable, value)
        ended = command("run", "job.toml", "--wait", "1s")
    assert ended.code == 4
    assert re.search(r"unknown +2 ", ended.out)
    assert "not all is known yet (2 rows unknown): give the same command again, or see batcher status\n" in ended.out
    told = command("status", "job.toml").out
    assert "unfinished  2 rows  chunks: 1 ACCEPTED" in told
    assert told.endswith("    next: batcher run job.toml\n")
    assert "The next start asks the carrier for this order." in command("resolve", "job.toml", "1").out


def test_a_second_start_is_told_who_runs(command, tmp_path):
    """Exit 7, at once, with the owner's process and since when."""
    (tmp_path / "out").mkdir()
    with locked(tmp_path / "out"):
        ended = command("run", "job.toml", "--simulate")
    assert (ended.code, ended.out) == (7, "")
    assert re.search(rf"out: a run is under way here \(\S+ pid {os.getpid()} since 20\S+Z\)\. Wait for it", ended.err)
    assert command("run", "job.toml", "--simulate").code == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_stops_a_run_and_the_same_command_finishes_it(tmp_path, number):
    """Exit 3, nothing lost and nothing doubled."""
    (tmp_path / "job.toml").write_text(JOB + "[limits]\nrequests_per_second = 3\n")
    write_numbers(tmp_path / "numbers.csv", 30_000)
    with simulator("--latency", "0.2") as address:
        first = started("run", "job.toml", cwd=tmp_path, env=at(address))
        wait_until(lambda: asked(address, "executed")["orders"] >= 2)
        first.send_signal(number)
        out, err = first.communicate(timeout=30)
        assert first.returncode == 3
        # The reports are written by then, and what they say is shown.
        assert re.search(r"pending +\d+,000 ", out)
        assert "results.csv" in out
        assert f"signal={number.name}" in err
        assert err.endswith("Stopped by a signal. The same command goes on.\n")
        assert asked(address, "executed")["orders"] < 6
        (tmp_path / "job.toml").write_text(JOB + "[limits]\nrequests_per_second = 100\n")
        again = batcher("run", "job.toml", "--json", cwd=tmp_path, env=at(address))
        assert again.returncode == 0
        assert json.loads(again.stdout)["statuses"]["succeeded"] == 30_000
        executed = asked(address, "executed")
    assert executed == {
        "orders": 6,
        "tns": 30_000,
        "executions": 6,
        "doubled_tns": [],
        "doubled_customer_order_ids": [],
    }


def test_a_signal_while_the_input_is_read(tmp_path):
    """Before anything is sent a SIGTERM is a Ctrl-C: exit 3, and the next start reads anew."""
    (tmp_path / "job.toml").write_text(JOB)
    write_numbers(tmp_path / "numbers.csv", 400_000)
    first = started("run", "job.toml", "--simulate", cwd=tmp_path)
    wait_until(lambda: bool(list(tmp_path.glob("out/2*/input.arrow*"))))
    first.send_signal(signal.SIGTERM)
    out, err = first.communicate(timeout=30)
    assert (first.returncode, out) == (3, "")
    assert "Give the same command again." in err
    assert "Traceback" not in err


# The wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, cwd=folder)
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as file:
        file.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_holds_the_package_the_jobs_and_the_samples(wheel):
    """Nothing beside them, no tests, no leftovers; name and command as promised."""
    dist = f"tn_batcher-{__version__}.dist-info"
    assert sorted(path.name for path in wheel.iterdir()) == ["batcher", dist]
    for kind in ("jobs", "samples"):
        assert {path.name for path in (wheel / "batcher" / kind).iterdir()} == {
            path.name for path in (ROOT / kind).iterdir()
        }
    modules = {path.relative_to(ROOT) for path in (ROOT / "batcher").rglob("*.py")}
    files = {path.relative_to(wheel) for path in (wheel / "batcher").rglob("*") if path.is_file()}
    assert {path for path in files if path.parts[1] not in {"jobs", "samples"}} == modules
    assert (wheel / dist / "entry_points.txt").read_text() == "[console_scripts]\nbatcher = batcher.__main__:main\n"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = re.findall(r"^Requires-Dist: (.*)", (wheel / dist / "METADATA").read_text(), re.MULTILINE)
    assert len([line for line in wanted if "extra ==" not in line]) == len(project["dependencies"])
    assert [line.partition(">")[0] for line in wanted if "extra == 'excel'" in line] == ["python-calamine"]


def test_an_installed_wheel_brings_its_own_jobs(wheel, tmp_path):
    """`batcher new`, then `batcher check`, far from any checkout."""
    env = {"PYTHONPATH": str(wheel)}
    where = "import batcher, pathlib; print(pathlib.Path(batcher.__file__).parent)"
    found = subprocess.run(
        [sys.executable, "-c", where], cwd=tmp_path, env=environment(env), capture_output=True, text=True
    )
    assert Path(found.stdout.strip()) == wheel / "batcher"
    assert batcher("new", "nightly_failover", cwd=tmp_path, env=env).returncode == 0
    checked = batcher("check", "jobs/nightly_failover.toml", "--json", cwd=tmp_path, env=env)
    assert checked.returncode == 0
    assert json.loads(checked.stdout)["rows"] == 12_401


def test_a_secret_on_the_command_line_is_refused(tmp_path, capsys):
    """Everybody on the machine can read a command line: no passcode is taken from it, and none is shown."""
    numbers = tmp_path / "numbers.csv"
    numbers.write_text("TN\n9195550123\n")
    with pytest.raises(SystemExit) as stop:
        main(["check", "--operation", "tn-options", "--set", "port_out_passcode=Ab12cd", str(numbers)])
    assert stop.value.code == 2
    told = capsys.readouterr().err
    assert "--set port_out_passcode: a secret does not belong on a command line" in told
    assert "Ab12cd" not in told


@pytest.mark.parametrize(
    "words",
    [
        ["status", "a" * 300],
        ["normalize", "numbers.csv", "o" * 250 + ".csv", "--to", "e164"],
        ["normalize", "*" + "a" * 300, "out.csv", "--to", "e164"],
        ["run", "--operation", "tn-options", "--set", "sms=on", "numbers.csv", "--simulate", "--output", "a" * 300],
    ],
    ids=["status", "a target", "a pattern", "an output"],
)
def test_a_path_that_the_system_refuses_is_no_bug(tmp_path, words):
    """Exit 2 and one sentence."""
    write_numbers(tmp_path / "numbers.csv", 2)
    ended = batcher(*words, cwd=tmp_path)
    assert ended.returncode == 2
    assert re.search(r"(File name too long|no file has such a name)", ended.stderr)
    assert len(ended.stderr.splitlines()) == 1


def test_names_of_files_that_are_no_utf8(tmp_path):
    """A job that was saved by an old system runs like any other, and shows its name as far as it can be shown."""
    write_numbers(tmp_path / "numbers.csv", 2)
    job = tmp_path / os.fsdecode(b"j\xff.toml")
    job.write_text(JOB)
    ended = subprocess.run([*COMMAND, "run", job, "--simulate", "-q"], cwd=tmp_path, capture_output=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert b"j\\udcff" in ended.stdout
    assert "j\\udcff" in (tmp_path / "out" / "latest" / "summary.txt").read_text()
