"""The folders of a run: where its files lie, which runs there are, and the lock that only one process holds."""

from __future__ import annotations

import calendar
import fcntl
import os
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from batcher.errors import InputError, LockHeld, StorageFailed, paths_refused, unwritable

_STAMP = "%Y%m%dT%H%M%SZ"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """`<output>/<run id>/`: everything of one run."""

    path: Path

    @property
    def run_id(self) -> str:
        return self.path.name

    @property
    def ledger(self) -> Path:
        return self.path / "ledger.db"

    @property
    def input(self) -> Path:
        """The rows as they were read; secret cells masked."""
        return self.path / "input.arrow"

    @property
    def secret(self) -> Path:
        """Values that are never written anywhere else; removed when no chunk can be sent any more."""
        return self.path / "secret.arrow"

    @property
    def tn(self) -> Path:
        return self.path / "tn.i8"

    @property
    def same(self) -> Path:
        return self.path / "same.i8"

    def why(self, step: int) -> Path:
        return self.path / f"why.{step}.u1"


def run_folders(output: Path) -> list[RunFolder]:
    """Runs of an output folder, oldest first; names begin with the UTC start time. InputError when one lost its ledger."""
    with paths_refused():
        if not output.is_dir():
            return []
        found = [RunFolder(path) for path in sorted(output.iterdir()) if not path.is_symlink() and path.is_dir()]
    for run in found:
        # The ledger is the first of its files.
        if run.input.exists() and not (run.ledger.is_file() and run.ledger.stat().st_size):
            raise InputError(
                f"{run.ledger}: is gone or empty, and with it what this run has sent. Restore it from a copy; without "
                f"one, look at the carrier for its orders by time and TN, then move {run.path} away."
            )
    return [run for run in found if run.ledger.is_file()]


def run_folder(output: Path, run_id: str | None) -> RunFolder:
    """The run with that id, or the newest. InputError names what there is."""
    runs = run_folders(output)
    found = [run for run in runs if run_id in {None, run.run_id}]
    if not found:
        there = ", ".join(run.run_id for run in runs[-5:]) or "none"
        raise InputError(f"{output}: there is no run {run_id or 'yet'} (runs: {there}).")
    return found[-1]


def new_run_id(output: Path, digest: str) -> str:
    """UTC start time and digest. It sorts behind the runs that are there, in the same second and by a clock set back."""
    seconds = int(time.time())
    for run in run_folders(output):
        with suppress(ValueError):  # somebody gave it another name
            seconds = max(seconds, calendar.timegm(time.strptime(run.run_id[:16], _STAMP)) + 1)
    return f"{time.strftime(_STAMP, time.gmtime(seconds))}-{digest[:6]}"


def prepare_output(output: Path) -> None:
    """Make the output folder and prove that it can be written. InputError otherwise, before anything is sent."""
    probe, latest = output / f".probe.{os.getpid()}", output / "latest"
    with paths_refused():
        if latest.exists() and not latest.is_symlink():
            raise InputError(f"{latest}: is there, and no link of ours to the newest run. Move it away.")
    try:
        output.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe.unlink(missing_ok=True)  # what a killed process of the same number left
        with probe.open("xb") as file:
            file.write(b"\0" * 4096)
            file.flush()
            os.fsync(file.fileno())
        probe.unlink()
    except OSError as error:
        # Elsewhere, what was begun here would be sent once more.
        runs = "Whose folder is it? Its runs go on there alone." if any(output.glob("*/ledger.db")) else None
        raise unwritable(f"{output}: cannot be written", error, runs or "Choose another [output] path.") from error


@contextmanager
def locked(output: Path) -> Generator[None]:
    """Hold the output folder's lock; LockHeld at once when another process does. The kernel frees it when we die."""
    try:
        handle = os.open(output / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise unwritable(f"{output / 'lock'}: cannot be opened", error, "Whose folder is it?") from error
    try:
        _take(handle, output)
        yield
    finally:
        os.close(handle)


def is_locked(output: Path) -> bool:
    """Whether a process holds an output folder's lock; it is not touched, for a start would find it taken."""
    try:
        held = Path("/proc/locks").read_text("utf-8")  # proc_locks(5): … maj:min:inode start end
        return f":{(output / 'lock').stat().st_ino} " in held
    except OSError:
        return False


def _take(handle: int, output: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(handle, 0)
        started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        os.pwrite(handle, f"{socket.gethostname()} pid {os.getpid()} since {started}\n".encode(), 0)
    except BlockingIOError as error:
        owner = os.pread(handle, 200, 0).decode("utf-8", "replace").strip() or "another process"
        raise LockHeld(f"{output}: a run is under way here ({owner}). Wait for it, or stop it.") from error
    except OSError as error:
        raise StorageFailed(f"{output / 'lock'}: cannot be locked ({error.strerror}).") from error
