"""Starts the program and its witness, kills and freezes them, and goes on until the run has come to its end.

Processes are forked off a server that has imported everything and done nothing: a start costs a fraction of a second,
and a thousand kills minutes. What runs in them is the whole program, from its command line on.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path

from tests.crash import oracle
from tests.crash.cases import Case
from tests.crash.killed import BUG, HASTE, NOWHERE, PATIENCE, RECORDED, ROWS, TRACE
from tests.processes import asked, at, environment

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.crash.preloaded"])
#: Starting a process asks after all others, and an exit code can be read only once.
_LOCK = threading.Lock()
#: A start that takes longer hangs, seconds.
LONGEST_SECONDS = 120.0
#: A run that is not at its end after so many starts without a kill will never be.
MOST_STARTS = 12
#: Of these, so many may leave it to a later one.
MOST_GIVEN_UP = 4


RUN = ("run", "job.toml", "--quiet")


@dataclass
class Trial:
    """One run under way: its folder, its witness, and what was done to it."""

    case: Case
    folder: Path
    address: str
    bug: str = ""
    #: points or moments of SIGKILLs
    kills: list[str] = field(default_factory=list)
    #: kills that met a chunk between its committed intent and its recorded answer
    dangerous: int = 0
    #: chunks that may have stood between intent and answer at those kills: at most so many
    in_doubt: int = 0
    freezes: int = 0
    starts: int = 0
    #: chunks that a person had to decide, by the rules
    resolved: int = 0
    #: starts that ended with 6
    given_up: int = 0

    def start(self, point: str = NOWHERE, occurrence: int = 1, *command: str) -> ForkServerProcess:
        """Start the program in a process of its own, the run if nothing else is said; it dies at the point, or goes on."""
        self.starts += 1
        command = command or (*RUN, *self.case.words)
        settings = {
            ROWS: str(self.case.rows_a_chunk),
            HASTE: str(self.case.haste),
            BUG: self.bug,
            TRACE: str(self.trace),
            PATIENCE: str(self.case.patience or ""),
        }
        process = _CONTEXT.Process(
            target=_become, args=(self.folder, at(self.address) | settings, (point, str(occurrence), "--", *command))
        )
        with _LOCK:
            process.start()
        return process

    @property
    def trace(self) -> Path:
        return self.folder / f"trace.{self.starts:03}"

    def note_kill(self, where: str) -> None:
        """The process that was started last is dead: in which moment?"""
        self.kills.append(where)
        self.dangerous += bool(self._meant("intend.after"))
        self.in_doubt += len(self._meant("intend.before"))

    def passed(self) -> list[tuple[str, str]]:
        """(point, chunk) of all that the process passed that was started last."""
        lines = self.trace.read_text().splitlines() if self.trace.exists() else []
        return [(point, chunk) for point, _, chunk in (line.rpartition(" ") for line in lines)]

    def _meant(self, since: str) -> set[str]:
        """Chunks that had passed a point of their sending when the process died, and no answer of theirs was recorded."""
        meant: set[str] = set()
        for point, chunk in self.passed():
            if point == since:
                meant.add(chunk)
            elif point in {f"{name}.after" for name in RECORDED}:
                meant.discard(chunk)
        return meant

    def kill_at(self, point: str, occurrence: int, *command: str) -> bool:
        """Run up to a point and die there; False when the run ended before it."""
        process = self.start(point, occurrence, *command)
        if ended(process) != -signal.SIGKILL:
            return False
        self.note_kill(f"{point} {occurrence}")
        return True

    def kill_after(self, seconds: float, frozen: tuple[float, float] | None = None) -> bool:
        """Run for so long and be killed; False when the run ended before that. `frozen`: after how long, how long."""
        process = self.start()
        if frozen and exit_code(process, frozen[0]) is None:
            self._freeze(process, frozen[1])
        if exit_code(process, seconds) is not None:
            return False
        process.kill()
        if ended(process) != -signal.SIGKILL:
            return False  # it ended in the very moment
        self.note_kill(f"after {seconds:.3f} s")
        return True

    def _freeze(self, process: ForkServerProcess, seconds: float) -> None:
        """Let a process stand still for so long."""
        assert process.pid is not None
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGCONT)
        self.freezes += 1

    def finish(self) -> int:
        """The same command until the run is at its end; its exit code. What is parked by the rules, a person decides."""
        for _ in range(MOST_STARTS):
            code = ended(self.start())
            if code in {0, 1, 5, self.case.exit_code}:
                return code
            if code == 4:
                self._resolve()
            elif code == 6 and self.given_up < MOST_GIVEN_UP:
                self.given_up += 1
            else:
                raise AssertionError(f"{self.case.name}: ended with {code}\n{self.log()}")
        raise AssertionError(f"{self.case.name}: not at its end after {MOST_STARTS} starts\n{self.log()}")

    def _resolve(self) -> None:
        """Decide parked chunks by what the carrier shows, as a person would."""
        from tests.crash.records import chunks, executed_orders

        orders = executed_orders(self)
        for chunk in chunks(self.folder):
            if chunk["state"] == "PARKED":
                found = orders.get(chunk["customer_order_id"], [])
                words = ("--order", found[0]) if found else ("--not-sent",)
                code = ended(self.start(NOWHERE, 1, "resolve", "job.toml", str(chunk["number"]), *words))
                assert code == 0, self.log()
                self.resolved += 1

    def results(self) -> bytes:
        return (self.folder / "out" / "latest" / "results.csv").read_bytes()

    def log(self) -> str:
        """The end of what the program said."""
        return f"{self.kills}\n{(self.folder / 'log').read_text()[-4000:]}"

    def executed(self) -> dict[str, object]:
        """What the simulator says that it executed."""
        answer: dict[str, object] = asked(self.address, "executed")
        return answer

    def arrived(self) -> Counter[str]:
        """How many requests of each method came to the simulator."""
        return Counter(method for _, method in asked(self.address, "arrivals"))


@contextmanager
def trial(case: Case, folder: Path, bug: str = "") -> Generator[Trial]:
    """A fresh run of a case, with a simulator of its own."""
    folder.mkdir(parents=True)
    (folder / "job.toml").write_text(case.job)
    (folder / "rows.csv").write_text("\n".join(case.lines) + "\n")
    here, there = _CONTEXT.Pipe()
    witness = _CONTEXT.Process(
        target=oracle.run, args=(there, folder, case.options, case.faults, case.latency, case.poison)
    )
    with _LOCK:
        witness.start()
    there.close()
    try:
        assert here.poll(30), "the simulator did not start"
        yield Trial(case, folder, here.recv(), bug)
    finally:
        witness.kill()
        ended(witness)
        here.close()


def exit_code(process: ForkServerProcess, seconds: float) -> int | None:
    """The exit code, below 0 for a signal; None when it still runs after so long."""
    until = time.monotonic() + seconds
    while True:
        with _LOCK:
            code = process.exitcode
        if code is not None or time.monotonic() >= until:
            return code
        time.sleep(0.005)


def ended(process: ForkServerProcess) -> int:
    """The exit code; a process that hangs is an error, and does not outlive it."""
    code = exit_code(process, LONGEST_SECONDS)
    if code is None:
        process.kill()
        exit_code(process, 10)
        raise AssertionError(f"a start hung for {LONGEST_SECONDS:.0f} s")
    return code


def _become(folder: Path, variables: dict[str, str], words: tuple[str, ...]) -> None:
    """In the new process: be the program."""
    from tests.crash import killed

    # Should the driver die, nothing of its making goes on for long.
    signal.alarm(int(LONGEST_SECONDS) + 30)
    os.chdir(folder)
    variables = environment({name: value for name, value in variables.items() if value})
    os.environ.clear()
    os.environ.update(variables)
    log = os.open("log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", closefd=False)
    killed.main(words)
