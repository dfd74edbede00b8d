"""How these tests run jobs: a job file in a folder, real HTTP to a simulated account that outlives its runs."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from batcher.carrier.auth import Authorization, Basic, Secret
from batcher.engine import run as engine
from batcher.engine.folder import RunFolder
from batcher.engine.identity import Way, opened
from batcher.engine.job import Job, read_job
from batcher.engine.judge import columns_of
from batcher.engine.send import Options as StartOptions
from batcher.engine.send import Progress
from batcher.engine.steps import plan_step, restored
from batcher.errors import Interrupted
from batcher.ledger import Ledger
from batcher.simulator import Account, Fault, Options, create_app, serve
from batcher.table import open_source

#: Two rows, and as many of which one is another.
A = "TN\n2012000001\n2012000002\n"
B = "TN\n2012000001\n2012000003\n"
CHECKER = '[[step]]\noperation = "import-tn-checker"\nsite_id = "486"\n'
FAILOVER = '[[step]]\noperation = "tn-options"\nfinal_destination_uri = { column = "To" }\n'
SMS = '[[step]]\noperation = "tn-options"\nsms = "on"\n'
SMS_OFF = '[[step]]\noperation = "tn-options"\nsms = "off"\n'


class Quiet:
    """Nobody watches."""

    def start(self, title: str, rows: int, done: int) -> None: ...

    def advance(self, rows: int) -> None: ...

    def stop(self) -> None: ...


class StopsAtStart(Quiet):
    """Everything is planned; before the first request the run is stopped."""

    def start(self, title: str, rows: int, done: int) -> None:
        raise Interrupted("stopped")


class StopsAtFirst(Quiet):
    """The run is stopped when the first chunk comes to rest."""

    def advance(self, rows: int) -> None:
        raise Interrupted("stopped")


def write_job(folder: Path, steps: str, rows: str | None = None, *, before: str = "", limits: str = "") -> Job:
    """`job.toml` and `numbers.csv` in a folder, read; `rows` begin with a header."""
    folder.mkdir(exist_ok=True)
    if rows is not None:
        (folder / "numbers.csv").write_text(rows, "utf-8")
    speed = "[limits]\nrequests_per_second = 500\nabsence_seconds = 0\n"
    text = f'[input]\npath = "numbers.csv"\n[output]\npath = "out"\n{before}{limits or speed}{steps}'
    (folder / "job.toml").write_text(text, "utf-8")
    return read_job(folder / "job.toml")


def account(**options: Any) -> Account:
    return Account(Options(**options))


def way_to(
    simulated: Account, *, faults: Sequence[Fault] = (), account_id: str = "9900012", base_url: str = "simulator"
) -> Way:
    """The way to an account; it is the same at the next start."""

    @asynccontextmanager
    async def open_way(_folder: RunFolder) -> AsyncGenerator[str]:
        async with serve(create_app(simulated, faults=faults)) as address:
            yield f"{address}/api/v2"

    return Way(account_id, base_url, Authorization(Basic("me", Secret("invented"))), open_way)


def start(job: Job, way: Way, progress: Progress | None = None, **options: Any) -> dict[str, Any]:
    """One start of a job; the object of summary.json."""
    return engine.run(job, way, StartOptions(**options), progress or Quiet())


def read(path: Path) -> list[list[str]]:
    """Cells of a report, without its header."""
    return list(csv.reader(io.StringIO(path.read_text("utf-8"), newline="")))[1:]


def fates(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(status, code) of every row of a run."""
    return [(cells[3], cells[4]) for cells in read(Path(summary["folder"]) / "results.csv")]


def runs(job: Job) -> list[Path]:
    """Folders of the runs, oldest first."""
    return sorted(path for path in job.output_path.iterdir() if path.is_dir() and not path.is_symlink())


def states(folder: Path) -> dict[str, int]:
    """Chunks of a run by state."""
    with opened(RunFolder(folder)) as ledger:
        return ledger.chunks_by_state()


@contextmanager
def begun(folder: Path, steps: str, rows: str, *, planned: bool = True) -> Generator[tuple[RunFolder, Ledger]]:
    """A run whose input was read and judged, and whose first step is planned; nothing was sent."""
    job = write_job(folder, steps, rows)
    run_folder = RunFolder(folder / "run")
    run_folder.path.mkdir()
    with open_source(job.input_path) as source:
        engine.begin(run_folder, job, way_to(account()), source, "job", columns_of(job, source))
    with opened(run_folder) as ledger:
        if planned:
            plan_step(restored(ledger)[0], run_folder, ledger)
        yield run_folder, ledger
