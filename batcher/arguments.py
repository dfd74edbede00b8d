"""The words of the command line that several commands share, and the job that they make."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from batcher.errors import InputError, paths_refused

if TYPE_CHECKING:
    from pathlib import Path

    from batcher.engine.job import Job


class _Path(click.Path):
    """A path of a word, made when there is one: `--help` does not wait for pathlib either."""

    def coerce_path_result(self, value: str | os.PathLike[str]) -> Any:  # ruff: ignore[no-self-use]
        from pathlib import Path

        return Path(value)


PATH = _Path()
JOB_OR_FOLDER = click.argument("job", type=PATH)
JSON = click.option("--json", "as_json", is_flag=True, help="Print the object of summary.json.")
LOG_FORMAT = click.option(
    "--log-format",
    type=click.Choice(["console", "json"]),
    envvar="BATCHER_LOG_FORMAT",
    default="console",
    show_default=True,
)
VERBOSE = click.option("-v", "--verbose", is_flag=True, help="Log more.")
QUIET = click.option("-q", "--quiet", is_flag=True, help="Log warnings only.")


STRICT = click.option("--strict", is_flag=True, help="Refuse scientific notation, unknown area codes and odd files.")


KNOWN_NPAS = click.option(
    "--known-npa",
    "known_npas",
    type=PATH,
    metavar="FILE",
    help="Area codes in service that no list knows yet, as [input] known_npas.",
)


#: Characters of a file of area codes at most; there are 800 of them.
_MOST_NPAS = 65_536


def read_npas(file: Path | None) -> frozenset[int]:
    """The area codes of a text file, apart by blanks, commas or lines; `#` begins a remark."""
    if file is None:
        return frozenset()
    try:
        with file.open(encoding="utf-8-sig") as opened:
            text = opened.read(_MOST_NPAS)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--known-npa {file}: cannot be read ({error}).") from error
    words = re.sub(r"#.*", "", text).replace(",", " ").split()
    if wrong := [word for word in words if not re.fullmatch(r"[2-9][0-9]{2}", word)]:
        raise InputError(f'--known-npa {file}: "{wrong[0][:40]}" is no area code. Write three digits each, as 729 861.')
    return frozenset(map(int, words))


def job_options(command: Callable[..., int]) -> Callable[..., int]:
    for option in (
        click.argument("job", type=PATH, metavar="JOB"),
        click.option("--operation", metavar="NAME", help="Without a job file: what to do; JOB is then the input."),
        click.option(
            "--set", "constants", multiple=True, metavar="KEY=VALUE", help="With --operation: a value for every row."
        ),
        click.option(
            "--column", "columns", multiple=True, metavar="KEY=COLUMN", help="With --operation: a value from a column."
        ),
        click.option("--tn", metavar="COLUMN", help="Column of the TN, as [input] tn."),
        click.option("--relax", multiple=True, metavar="NAME", help="extensions, vanity or labels, as [input] relax."),
        STRICT,
        KNOWN_NPAS,
        click.option("--output", metavar="FOLDER", help="Where the runs go, as [output] path."),
        click.option("--api", type=click.Choice(["v1", "v2"]), help="API version, as [carrier] api."),
        LOG_FORMAT,
        VERBOSE,
        QUIET,
        JSON,
    )[::-1]:
        command = option(command)
    return command


def load(job: Path, words: Mapping[str, Any]) -> Job:
    from pathlib import Path

    from batcher.engine.job import job_from, read_job

    if not words.get("operation"):
        for word in ("constants", "columns", "tn", "api", "relax"):
            if words.get(word):
                raise InputError(
                    f"--{'set' if word == 'constants' else word.rstrip('s')} goes with --operation; a job file says it itself."
                )
        loaded = read_job(job)
        if words.get("output"):
            loaded = replace(loaded, output_path=Path(words["output"]).resolve())
        known_npas = {*loaded.input.known_npas, *read_npas(words.get("known_npas"))}
        changes = {"strict": loaded.input.strict or bool(words.get("strict")), "known_npas": tuple(sorted(known_npas))}
        return replace(loaded, input=loaded.input.model_copy(update=changes))
    constants = [_pair(word, "--set") for word in words["constants"]]
    columns = [_pair(word, "--column") for word in words["columns"]]
    given = ["operation", *(key for key, _ in constants + columns)]
    if twice := {key for key in given if given.count(key) > 1}:
        raise InputError(f"{min(twice)}: is given more than once (--operation, --set, --column); give it once.")
    _refuse_secrets(words["operation"], dict(constants))
    settings: dict[str, Any] = {**dict(constants), **{key: {"column": column} for key, column in columns}}
    tables: dict[str, Any] = {
        "input": {"path": str(job), "strict": words["strict"], "relax": words["relax"]}
        | {"known_npas": sorted(read_npas(words["known_npas"]))}
        | ({"tn": words["tn"]} if words["tn"] else {}),
        "carrier": {"api": words["api"]} if words["api"] else {},
        "output": {"path": words["output"] or f"out/{words['operation']}"},
        "step": [{"operation": words["operation"], **settings}],
    }
    return job_from(tables, folder=Path.cwd())


def _refuse_secrets(operation: str, settings: Mapping[str, Any]) -> None:
    """What stands on a command line is seen by everybody on the machine."""
    from batcher import operations as registry

    for key in settings:
        if operation in registry.names() and key in registry.get(operation).secret:
            raise InputError(
                f"--set {key}: a secret does not belong on a command line. Use --column {key}=COLUMN, or a job file."
            )


def _pair(word: str, option: str) -> tuple[str, Any]:
    key, equals, value = word.partition("=")
    if not (key and equals and value):
        raise InputError(f'{option} "{word}": write {option} key=value.')
    return key, {"true": True, "false": False}.get(value, value) if option == "--set" else value


def runs_of(job: Path) -> tuple[Path, Job | None]:
    """Where the runs are, and the job that says so; the folder itself may be given, of runs without one."""
    with paths_refused():
        is_folder = job.is_dir()
    loaded = None if is_folder else load(job, {})
    return (loaded.output_path if loaded else job.resolve()), loaded
