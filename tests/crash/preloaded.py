"""Everything a run imports, for the server that the processes are forked off."""

import gc

import phonenumbers.phonenumbermatcher
import pyarrow.pandas_compat
import sqlalchemy.dialects.sqlite
from tqdm.std import TqdmDefaultWriteLock  # type: ignore[attr-defined]

from batcher import cli, logs, operations, progress
from batcher.engine import check, report, run, status
from tests.crash import killed, oracle

__all__ = [
    "check",
    "cli",
    "killed",
    "logs",
    "oracle",
    "phonenumbers",
    "progress",
    "pyarrow",
    "report",
    "run",
    "sqlalchemy",
]
__all__ += ["status"]

for name in operations.names():
    operations.get(name)
# A semaphore between processes would outlive every kill; each of these processes draws its bar alone.
TqdmDefaultWriteLock.mp_lock = None
# What is imported stays; to look through it again would copy its pages into each process.
gc.collect()
gc.freeze()
