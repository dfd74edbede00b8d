"""What README, docs, job files and help say can be typed: it parses, and the files it names are there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from batcher.cli import cli
from batcher.codes import REASONS, WARNINGS
from batcher.engine.job import read_job

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
TEXTS = {path.name: path.read_text("utf-8") for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: Comments, remarks, and where a shell sends the streams.
END = re.compile(r"\s#.*|\s[0-9]?>+.*|\s{3,}.*")


def typed(text: str) -> list[str]:
    """The commands on lines of a shell, without prompt, schedule, comment and redirection."""
    lines = [END.sub("", line[line.index("batcher ") :]) for line in text.splitlines() if "batcher " in line]
    return [line for line in lines if line.split()[1] in cli.commands or line.split()[1].startswith("-")]


def examples() -> list[str]:
    """Every command that is shown anywhere."""
    found = [
        command
        for text in TEXTS.values()
        for kind, block in BLOCK.findall(text)
        if not kind
        for command in typed(block)
    ]
    for path in sorted((ROOT / "jobs").glob("*.toml")):
        found += typed("\n".join(line for line in path.read_text("utf-8").splitlines() if line.startswith("#     ")))
    for command in (cli, *cli.commands.values()):
        found += typed((command.help or "").partition("\n\n")[0])
    return sorted(set(found))


@pytest.mark.parametrize("example", examples())
def test_an_example_can_be_typed(example):
    """Command, options and arguments are as the parser wants them; nothing is run."""
    _, *words = shlex.split(example)
    with cli.make_context("batcher", words) as context:
        name, command, rest = cli.resolve_command(context, [*context._protected_args, *context.args])
        assert command is not None
        command.make_context(name, rest, parent=context).close()


def test_the_parser_refuses_what_is_wrong():
    """A control for the test above."""
    for wrong in ("batcher run job.toml --simluate", "batcher rnu job.toml", "batcher resolve job.toml first"):
        with pytest.raises(click.UsageError):
            test_an_example_can_be_typed(wrong)


def test_examples_are_found_at_all():
    """A control: a block of every kind of text is among them."""
    assert {
        "batcher run jobs/nightly_failover.toml --simulate",
        "batcher run /etc/batcher/jobs/nightly_failover.toml --log-format json",
        "batcher run jobs/tn_details.toml --simulate",
        "batcher simulate --port 8080",
    } <= set(examples())


@pytest.mark.parametrize("name", list(cli.commands))
def test_the_readme_names_every_command(name):
    """With what it does, in the table."""
    assert re.search(rf"^\| `batcher {name}\b[^|]*\| \S", README, re.MULTILINE)


def test_the_readme_names_every_exit_code():
    """Exactly those that there are."""
    codes = re.findall(r"^\| ([0-9]+) \| \S", README, re.MULTILINE)
    assert codes == ["0", "1", "2", "3", "4", "5", "6", "7", "70"]


def test_the_readme_begins_with_the_two_commands():
    """On the first screen: `make demo` and `make test`, and both are targets."""
    screen = "\n".join(README.splitlines()[:40])
    targets = (ROOT / "Makefile").read_text("utf-8")
    for target in ("demo", "test"):
        assert re.search(rf"^make {target}\b", screen, re.MULTILINE)
        assert re.search(rf"^{target}:", targets, re.MULTILINE)


@pytest.mark.parametrize("name", TEXTS)
def test_files_that_are_named_are_there(name):
    """Job files, samples, and what is linked."""
    text = TEXTS[name]
    folder = ROOT if name == "README.md" else ROOT / "docs"
    named = [ROOT / path for path in re.findall(r"\b(?:jobs|samples)/\w+\.\w+", text)]
    linked = [folder / path for path in re.findall(r"\]\((?!https?:|#)([^)#]+)", text)]
    assert named + linked
    assert [path for path in named + linked if not path.exists()] == []


def test_the_job_file_of_the_readme_is_one(tmp_path):
    """Copied as it stands it is read without a mistake."""
    (block,) = [block for kind, block in BLOCK.findall(README) if kind == "toml" and "[[step]]" in block]
    path = tmp_path / "jobs" / "copied.toml"
    path.parent.mkdir()
    path.write_text(block, "utf-8")
    job = read_job(path)
    assert [step.operation.name for step in job.steps] == ["tn-options"]
    assert job.input_path == tmp_path / "jobs" / "../samples/nightly_failover.csv"


def test_the_files_page_names_every_code():
    """With the very words of the reports: a code that is added there and not here fails."""
    page = (ROOT / "docs" / "files.md").read_text("utf-8")
    for code, hint in (*REASONS[1:], *WARNINGS):
        assert f"| `{code}` | {hint} |" in page
    for code in re.findall(r'"([A-Z]+_[A-Z_]+)"', (ROOT / "batcher" / "part.py").read_text("utf-8")):
        assert f"`{code}`" in page
