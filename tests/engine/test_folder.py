"""Run folders, and the lock that one process holds."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys

import pytest

from batcher.engine.folder import RunFolder, locked, new_run_id, prepare_output, run_folder, run_folders
from batcher.errors import InputError, LockHeld, StorageFailed

_HOLD = """
import sys, time
from pathlib import Path
from batcher.engine.folder import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_told_who_is_at_work(tmp_path):
    """At once, with the process's number; a killed owner holds nothing."""
    owner = subprocess.Popen([sys.executable, "-c", _HOLD, tmp_path], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    try:
        assert owner.stdout.readline() == "held\n"
        with pytest.raises(LockHeld, match=rf"pid {owner.pid} since 20\d\d-"), locked(tmp_path):
            pass
        assert LockHeld.exit_code == 7
    finally:
        owner.send_signal(signal.SIGKILL)
        owner.wait()
        owner.stdout.close()
    with locked(tmp_path):
        assert f"pid {os.getpid()} " in (tmp_path / "lock").read_text("utf-8")
        assert str(owner.pid) not in (tmp_path / "lock").read_text("utf-8").replace(str(os.getpid()), "")
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


def test_the_lock_is_freed_by_an_error_and_passes_it_on(tmp_path):
    """Whatever ends the block: an OSError of the run is not one of the lock."""
    with pytest.raises(OSError, match="of the run"), locked(tmp_path):
        raise OSError("of the run")
    with locked(tmp_path):
        pass


def test_a_lock_that_cannot_be_opened_is_refused(tmp_path):
    """A link in its place is not followed."""
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="lock: cannot be opened"), locked(tmp_path):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_an_output_folder_is_made_and_proven(tmp_path):
    """With its parents, private; nothing of the proof stays, nor hinders what a killed process left."""
    output = tmp_path / "a" / "b"
    prepare_output(output)
    (output / f".probe.{os.getpid()}").write_bytes(b"left")
    prepare_output(output)
    assert list(output.iterdir()) == []
    assert output.stat().st_mode & 0o777 == 0o700


def test_an_output_that_cannot_be_written_is_refused(tmp_path):
    """Before anything is sent, with the way out."""
    (tmp_path / "file").write_text("x", "utf-8")
    for output in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match=r"cannot be written .* Choose another \[output\] path"):
            prepare_output(output)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_full_disk_at_the_start_passes(tmp_path, monkeypatch, number):
    """It is no reason to go elsewhere, where what was begun here would be sent once more."""

    def full(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFailed, match=r"cannot be written .* Make room, then give the same command again"):
        prepare_output(tmp_path / "out")


def test_an_output_with_runs_is_not_left_for_another(tmp_path, monkeypatch):
    """What is unfinished there goes on there alone."""

    def read_only(_: int) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(os, "fsync", read_only)
    (tmp_path / "20261120T020000Z-4f2a9c").mkdir()
    (tmp_path / "20261120T020000Z-4f2a9c" / "ledger.db").touch()
    with pytest.raises(InputError, match="Its runs go on there alone") as refused:
        prepare_output(tmp_path)
    assert "another" not in str(refused.value)


def test_a_new_run_sorts_behind_those_that_are_there(tmp_path):
    """In the same second, and when the clock was set back; a folder with another name says nothing."""
    first = new_run_id(tmp_path, "ffffff00")
    assert re.fullmatch(r"20\d{6}T\d{6}Z-ffffff", first)
    for there, following in (
        (first, first[:4]),
        ("20991231T235959Z-ffffff", "21000101T000000Z-000000"),
        ("my-backup", "21000101T000000Z-000000"),
    ):
        (tmp_path / there).mkdir()
        (tmp_path / there / "ledger.db").touch()
        run_id = new_run_id(tmp_path, "000000ff")
        assert run_id.startswith(following)
        assert run_id > there or there == "my-backup"


def test_runs_are_found_by_their_ledger_oldest_first(tmp_path):
    """Other folders, files and links are no runs."""
    assert run_folders(tmp_path / "none") == []
    with pytest.raises(InputError, match="there is no run yet"):
        run_folder(tmp_path, None)
    for name in ("20261121T020000Z-aaaaaa", "20261120T020000Z-ffffff"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "ledger.db").touch()
    (tmp_path / "check").mkdir()
    (tmp_path / "lock").touch()
    (tmp_path / "latest").symlink_to("20261120T020000Z-ffffff")
    assert [run.run_id for run in run_folders(tmp_path)] == ["20261120T020000Z-ffffff", "20261121T020000Z-aaaaaa"]
    assert run_folder(tmp_path, None) == RunFolder(tmp_path / "20261121T020000Z-aaaaaa")
    assert run_folder(tmp_path, "20261120T020000Z-ffffff").run_id == "20261120T020000Z-ffffff"
    with pytest.raises(InputError, match=r"no run x \(runs: 20261120T020000Z-ffffff, 20261121T020000Z-aaaaaa\)"):
        run_folder(tmp_path, "x")
