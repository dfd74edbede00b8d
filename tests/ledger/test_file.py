"""The ledger's file: private, safe against a crash, and recognized before anything is read from it."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from batcher.errors import InputError, StorageFailed
from batcher.ledger import APPLICATION_ID, VERSION, Ledger, file, refuse_network
from batcher.ledger.file import WRITES, open_file, transaction


def made(path: Path) -> Path:
    """A ledger of one run without steps to speak of, closed."""
    ledger = Ledger(path)
    ledger.create_run("20261120T020000Z-4f2a9c", digest="d", prefix="abcdefghij", facts={}, steps=[("tn-options", {})])
    ledger.close()
    return path


def test_is_private(tmp_path):
    """The file and what SQLite puts beside it belong to their owner alone, whatever the umask."""
    before = os.umask(0)
    try:
        ledger = Ledger(tmp_path / "ledger.db")
        ledger.create_run("r", digest="d", prefix="p", facts={}, steps=[("tn-options", {})])
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
        ledger.close()
    finally:
        os.umask(before)
    assert modes == {"ledger.db": 0o600, "ledger.db-wal": 0o600, "ledger.db-shm": 0o600}


def test_pragmas(tmp_path):
    """Every commit is on the disk before it counts, and the file says what it is."""
    engine = open_file(tmp_path / "ledger.db", check=True)
    names = (
        "journal_mode",
        "synchronous",
        "foreign_keys",
        "trusted_schema",
        "secure_delete",
        "busy_timeout",
        "application_id",
        "user_version",
    )
    with engine.begin() as db:
        values = [db.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names]
    engine.dispose()
    assert values == ["wal", 2, 1, 0, 1, 10_000, APPLICATION_ID, VERSION]
    assert APPLICATION_ID.to_bytes(4, "big") == b"tnba"


def test_a_transaction_locks_at_its_beginning(tmp_path, monkeypatch):
    """BEGIN IMMEDIATE: who reads in order to write does so alone."""
    engine = open_file(tmp_path / "ledger.db", check=True)
    other = sqlite3.connect(tmp_path / "ledger.db", timeout=0)
    with (
        engine.connect() as db,
        transaction(db, WRITES),
        pytest.raises(sqlite3.OperationalError, match="locked"),
    ):
        other.execute("BEGIN IMMEDIATE")
    other.close()
    engine.dispose()


def test_opens_again(tmp_path):
    """What was written is there after closing."""
    ledger = Ledger(made(tmp_path / "ledger.db"))
    assert ledger.run()["id"] == "20261120T020000Z-4f2a9c"
    ledger.close()


def test_a_newer_version_is_refused(tmp_path):
    """A ledger of a newer batcher is not guessed at."""
    path = made(tmp_path / "ledger.db")
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version={VERSION + 1}")
    db.close()
    with pytest.raises(InputError, match=rf"another version of batcher \(ledger version {VERSION + 1}, this one"):
        Ledger(path)


def test_another_programs_database_is_refused(tmp_path):
    """A database that is not ours is neither read nor changed."""
    path = tmp_path / "ledger.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE bookmark (url TEXT)")
    db.close()
    with pytest.raises(InputError, match=r"ledger\.db is not a ledger of batcher"):
        Ledger(path)
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT name FROM sqlite_master").fetchall() == [("bookmark",)]
    db.close()


def test_a_text_file_is_refused(tmp_path):
    """What is no database at all is refused, and left as it was."""
    path = tmp_path / "ledger.db"
    path.write_text("tn\n9195550100\n" * 500)
    with pytest.raises(InputError, match=r"not a readable ledger \(file is not a database\)\. Restore it"):
        Ledger(path)
    assert path.read_text().startswith("tn\n9195550100\n")


@pytest.mark.parametrize("page", [1, 2, 5])
def test_a_damaged_file_is_refused(tmp_path, page):
    """Pages that were overwritten are noticed at the start, not in the middle."""
    path = made(tmp_path / "ledger.db")
    content = bytearray(path.read_bytes())
    content[page * 4096 : page * 4096 + 4096] = b"\xa5" * 4096
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"damaged|not a readable ledger"):
        Ledger(path)


def test_a_cut_file_is_refused(tmp_path):
    """A file that lost its end is noticed."""
    path = made(tmp_path / "ledger.db")
    os.truncate(path, 3 * 4096)
    with pytest.raises(InputError, match=r"damaged|not a readable ledger"):
        Ledger(path)


def test_a_locked_file_is_for_later(tmp_path, monkeypatch):
    """Somebody else's transaction is waited for; then it is "try again later", not "refused"."""
    monkeypatch.setattr(file, "BUSY_SECONDS", 0.05)
    path = made(tmp_path / "ledger.db")
    other = sqlite3.connect(path)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageFailed, match="database is locked"):
        Ledger(path)
    other.close()


@pytest.mark.parametrize("stopped_at", ["BEGIN IMMEDIATE", "CREATE TABLE chunk", "PRAGMA application_id", "COMMIT"])
def test_killed_while_it_was_made(tmp_path, stopped_at):
    """A process that dies at any statement of the making leaves a file that the next one makes whole."""
    script = f"""
import os, sys
from pathlib import Path
import sqlalchemy as sa
from batcher.ledger import Ledger
def stop(connection, cursor, statement, *_):
    if statement.strip().startswith({stopped_at!r}):
        os._exit(9)
def commit(connection):
    if {stopped_at!r} == "COMMIT":
        os._exit(9)
sa.event.listen(sa.Engine, "before_cursor_execute", stop)
sa.event.listen(sa.Engine, "commit", commit)
Ledger(Path(sys.argv[1]))
"""
    path = tmp_path / "ledger.db"
    assert subprocess.run([sys.executable, "-c", script, str(path)]).returncode == 9
    assert path.exists()
    ledger = Ledger(path)
    ledger.create_run("r", digest="d", prefix="p", facts={}, steps=[("tn-options", {})])
    assert ledger.run()["id"] == "r"
    ledger.close()


def test_a_link_is_not_followed_where_a_ledger_is_made(tmp_path):
    """A link that leads nowhere yet is not the way to make a file somewhere else."""
    (tmp_path / "ledger.db").symlink_to(tmp_path / "elsewhere.db")
    with pytest.raises(OSError, match=r"ledger\.db"):
        Ledger(tmp_path / "ledger.db")
    assert not (tmp_path / "elsewhere.db").exists()


MOUNTS = """\
22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
30 22 0:30 / /srv rw,relatime shared:1 - {srv} server:/export rw
31 30 8:2 / /srv/local rw,relatime - xfs /dev/sdb1 rw
32 22 0:32 / /mnt/my\\040share rw,relatime - cifs //server/share rw
33 22 0:33 / /twice rw,relatime - ext4 /dev/sdc1 rw
34 22 0:34 / /twice rw,relatime - nfs4 server:/twice rw
"""


@pytest.mark.parametrize(
    ("folder", "kind", "refused"),
    [
        ("/srv/out", "nfs4", "nfs4"),
        ("/srv", "nfs", "nfs"),
        ("/srv/out", "fuse.sshfs", "fuse.sshfs"),
        ("/srv/out", "btrfs", None),
        ("/srv/local/out", "nfs4", None),
        ("/srvice", "nfs4", None),
        ("/home/out", "nfs4", None),
        ("/mnt/my share/out", "nfs4", "cifs"),
        ("/twice/out", "ext4", "nfs4"),
    ],
)
def test_network_file_systems_are_refused(monkeypatch, folder, kind, refused):
    """The innermost, latest mount decides; WAL is not safe on a network file system."""
    monkeypatch.setattr(Path, "read_text", lambda *_: MOUNTS.format(srv=kind))
    if refused is None:
        refuse_network(Path(folder))
        return
    with pytest.raises(
        InputError, match=rf"{folder} lies on a network file system \({refused}\).*local \[output\] path"
    ):
        refuse_network(Path(folder))


def test_this_disk_is_local(tmp_path):
    """The real list of mounts can be read."""
    refuse_network(tmp_path)


def test_tables_have_no_row_per_tn(tmp_path):
    """What a chunk holds is a blob: none of the tables has a column for a TN."""
    engine = open_file(tmp_path / "ledger.db", check=True)
    columns = {
        column["name"]
        for table in sa.inspect(engine).get_table_names()
        for column in sa.inspect(engine).get_columns(table)
    }
    engine.dispose()
    assert "tn" not in columns
    assert {"state", "attempt", "customer_order_id", "order_id", "before", "issues"} <= columns
