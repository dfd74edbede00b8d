"""What docs/reliability.md and the systemd units say is so."""

from __future__ import annotations

import configparser
import shlex
import shutil
import subprocess
from pathlib import Path

import click.testing
import pytest

from batcher.cli import cli
from batcher.ledger.states import STATES, TRANSITIONS

DOCS = Path(__file__).parent.parent / "docs"
UNITS = sorted((DOCS / "systemd").iterdir())


def test_every_transition_stands_in_the_documents():
    """The table is that of the code."""
    text = (DOCS / "reliability.md").read_text("utf-8")
    rows = [line for line in text.splitlines() if line.startswith("| ") and line.split()[1] in STATES]
    assert rows == [f"| {was} | {to} | {why} |" for (was, to), why in TRANSITIONS.items()]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_calls_commands_that_there_are(unit):
    """With options that they have."""
    parser = configparser.RawConfigParser(strict=False, delimiters=("=",))
    parser.optionxform = str  # type: ignore[method-assign,assignment]
    parser.read(unit)
    service = dict(parser["Service"]) if "Service" in parser else {}
    for key in {"ExecStart", "ExecCondition"} & service.keys():
        words = shlex.split(" ".join(shlex.split(service[key])))
        for place, word in enumerate(words):
            if word.endswith("/batcher"):
                command = words[place + 1]
                said = click.testing.CliRunner().invoke(cli, [command, "-h"])
                assert said.exit_code == 0
                assert all(option in said.output for option in words[place:] if option.startswith("--"))


def test_only_what_ended_before_its_end_is_started_again():
    """A finished run may have ended with 1 or 4, and a job with once_per = "start" would be sent once more."""
    text = (DOCS / "systemd" / "batcher@.service").read_text("utf-8")
    values = dict(line.split("=", 1) for line in text.splitlines() if "=" in line and not line.startswith("#"))
    kept = {*values["SuccessExitStatus"].split(), *values["RestartPreventExitStatus"].split()}
    assert kept == {"1", "2", "3", "4", "5", "7", "70"}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not on this machine")
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_understands_a_unit(unit, tmp_path):
    """Every key is known where it stands; the program itself need not be installed."""
    for each in UNITS:
        text = each.read_text("utf-8").replace("/opt/batcher/bin/batcher", "/bin/true").replace("%i", "job")
        (tmp_path / each.name.replace("@", "@job")).write_text(text)
    verified = subprocess.run(
        ["systemd-analyze", "verify", tmp_path / unit.name.replace("@", "@job")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert verified.returncode == 0, verified.stderr
    assert str(tmp_path) not in verified.stderr, verified.stderr
