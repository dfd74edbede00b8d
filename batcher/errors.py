"""Everything batcher raises, sorted by what the caller does next.

BatcherError
├── InputError           fix the command, job file, input or ledger; nothing was sent (exit 2)
├── Interrupted          a signal stopped the run; the same command resumes (exit 3)
├── CarrierRefused       a person has to look: credentials, permission, configuration (exit 5)
├── CarrierUnavailable   try again later; the same command resumes (exit 6)
├── StorageFailed        the disk is full or failing; the same command resumes (exit 6)
├── LockHeld             another run holds the output folder (exit 7)
├── NotSent              the request provably never reached the carrier: send it again
├── OutcomeUnknown       the request may have been executed: ask before repeating it
└── ProtocolError        an answer that is not what the carrier's documents describe

A bad row is data, not an exception: it becomes a reject.
"""

from __future__ import annotations

import errno
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, ClassVar


class BatcherError(Exception):
    """The root: any of ours. `exit_code` is what the command ends with when nobody handles it."""

    exit_code: ClassVar[int] = 70
    #: of a run that was stopped midway, its reports written: the object of summary.json
    summary: dict[str, Any] | None = None


class InputError(BatcherError):
    """The command, job file, input file or ledger is refused before anything was sent."""

    exit_code: ClassVar[int] = 2


@contextmanager
def paths_refused() -> Generator[None]:
    """What the system says of a path, nobody's to enter or too long, as InputError: before anything was sent."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"{error.filename}: {error.strerror}. Check the path, and who may enter its folder."
        ) from error


def unwritable(what: str, error: OSError, remedy: str) -> BatcherError:
    """What cannot be written before anything is sent: a disk that is full or failing passes, anything else has a remedy."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EIO}:
        return StorageFailed(f"{what} ({error.strerror}). Make room, then give the same command again.")
    return InputError(f"{what} ({error.strerror}). {remedy}")


class Interrupted(BatcherError):
    """A signal asked us to stop; the ledger is true and the same command resumes."""

    exit_code: ClassVar[int] = 3


class CarrierRefused(BatcherError):
    """The carrier refuses us as a whole (401, 403, wrong path): repeating will not help."""

    exit_code: ClassVar[int] = 5


class CarrierUnavailable(BatcherError):
    """The carrier cannot be reached, or limits us without end."""

    exit_code: ClassVar[int] = 6


class StorageFailed(BatcherError):
    """What has to be on disk could not be written there."""

    exit_code: ClassVar[int] = 6


class LockHeld(BatcherError):
    """Another process runs in this output folder; the message names it."""

    exit_code: ClassVar[int] = 7


class NotSent(BatcherError):
    """No byte of the request reached the carrier (DNS, refused, TLS, connect timeout)."""


class GateShut(NotSent):
    """A 429 shut the gate for long before the request left: it takes its turn anew."""


class OutcomeUnknown(BatcherError):
    """The request left and no readable answer came back: it may have been executed."""


class ProtocolError(BatcherError):
    """An answer could not be read: not XML, a doctype, another root, too large."""
