"""A ledger's file: how it is made, opened and recognized, and what is refused before anything is sent."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa

from batcher.errors import InputError, StorageFailed
from batcher.ledger.tables import METADATA

APPLICATION_ID = 0x746E6261  # "tnba"
VERSION = 2
#: How long to wait for somebody else who has the file open, in seconds.
BUSY_SECONDS = 10
#: How a transaction begins that keeps nobody from writing, and one that writes.
READS, WRITES = "BEGIN", "BEGIN IMMEDIATE"
#: Failures that say nothing about the file: locked, disk full, disk failing.
_PASSING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR}
#: WAL shares memory between processes, which these cannot do.
_NETWORK_FILE_SYSTEMS = {
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "afs",
    "ceph",
    "glusterfs",
    "fuse.sshfs",
    "fuse.glusterfs",
}


_REMEDY = "Restore it from a copy. Without one nobody knows what its run has sent: look at the carrier's orders."
#: How the kernel writes a space, tab, line break or backslash in a path (proc_pid_mountinfo(5)).
_ESCAPE = re.compile(r"\\([0-7]{3})")


def open_file(path: Path, *, check: bool) -> sa.Engine:
    """Open `path`, or create it (0600).

    InputError: newer, damaged, another program's, or on a network disk; StorageFailed: locked, or a failing disk.
    """
    refuse_network(path.parent)
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600))
    engine = sa.create_engine(
        f"sqlite:///{path}", poolclass=sa.pool.StaticPool, connect_args={"check_same_thread": False}
    )
    sa.event.listen(engine, "connect", _on_connect)
    try:
        with engine.connect() as db, transaction(db, WRITES if check else READS):
            if not db.exec_driver_sql("PRAGMA schema_version").scalar():
                # New, or its maker was killed before this was committed.
                METADATA.create_all(db)
                db.exec_driver_sql(f"PRAGMA application_id={APPLICATION_ID}")
                db.exec_driver_sql(f"PRAGMA user_version={VERSION}")
            else:
                _recognize(db, path, check=check)
    except sa.exc.DatabaseError as error:
        engine.dispose()
        if isinstance(error.orig, sqlite3.Error) and error.orig.sqlite_errorcode & 0xFF in _PASSING:
            raise StorageFailed(
                f"{path}: the ledger could not be opened ({error.orig}). Check the disk, then give the same command again."
            ) from error
        raise InputError(f"{path}: not a readable ledger ({error.orig}). {_REMEDY}") from error
    except InputError:
        engine.dispose()
        raise
    return engine


@contextmanager
def transaction(db: sa.Connection, begin: str) -> Generator[None]:
    """A transaction that is begun as `begin` says, and of which nothing is left when it fails."""
    try:
        with db.begin():
            db.exec_driver_sql(begin)
            yield
    except BaseException:
        # SQLAlchemy takes a COMMIT that failed for the end of its transaction; SQLite keeps it open.
        db.connection.rollback()
        raise


def refuse_network(folder: Path) -> None:
    """InputError when the folder lies on a network file system, where WAL is not safe."""
    mounts = Path("/proc/self/mountinfo")
    if not mounts.exists():
        return
    where, best = str(folder.resolve()), ("", "")
    for line in mounts.read_text("utf-8", "replace").splitlines():
        left, _, right = line.partition(" - ")
        point, kind = _ESCAPE.sub(lambda escape: chr(int(escape[1], 8)), left.split()[4]), right.split()[0]
        inside = where == point or where.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best[0]):
            best = (point, kind)
    if best[1] in _NETWORK_FILE_SYSTEMS:
        raise InputError(
            f"{folder} lies on a network file system ({best[1]}): the ledger is not safe there. Choose a local [output] path."
        )


def _on_connect(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions are begun by `transaction`, not by the driver
    for pragma in (
        f"busy_timeout={BUSY_SECONDS * 1000:.0f}",  # first: to switch to WAL is to write
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "trusted_schema=OFF",
        "secure_delete=ON",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _recognize(db: sa.Connection, path: Path, *, check: bool) -> None:
    application, version = (
        db.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("application_id", "user_version")
    )
    if application != APPLICATION_ID:
        raise InputError(f"{path} is not a ledger of batcher.")
    if version != VERSION:
        raise InputError(
            f"{path} was written by another version of batcher (ledger version {version}, this one reads {VERSION})."
        )
    if not check:
        return
    damage = db.exec_driver_sql("PRAGMA integrity_check(1)").scalar()
    if damage != "ok":
        raise InputError(f"{path} is damaged ({damage}). {_REMEDY}")
