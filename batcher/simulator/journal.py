"""What was executed, one JSON line each, so that a simulator that was killed comes back with the same orders.

A line is handed to the operating system before the answer goes out: it survives the death of the process, not of
the machine.
"""

from __future__ import annotations

import base64
import json
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from batcher.errors import InputError

_PASSCODE = re.compile(rb"(<PortOutPasscode>)(?!unchanged|systemDefault)[^<]*")


def append(path: Path, entry: dict[str, Any], body: bytes) -> None:
    """Add one executed request, its body compressed and without passcodes."""
    packed = base64.b64encode(zlib.compress(_PASSCODE.sub(rb"\g<1>0000", body), 1)).decode()
    line = json.dumps(entry | {"body": packed}, separators=(",", ":")) + "\n"
    with open(path, "ab", buffering=0, opener=_private) as file:
        file.write(line.encode())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def replay(path: Path) -> Iterator[tuple[dict[str, Any], bytes]]:
    """The executed requests, oldest first; InputError where the file is no journal.

    A last line without its end was being written when the process died: its request was never answered. It is
    dropped from the file, so that the next line does not grow out of it.
    """
    if not path.exists():
        return
    text = path.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    if len(whole) < len(text):
        with path.open("r+b") as file:
            file.truncate(len(whole))
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            entry = json.loads(line)
            body = zlib.decompress(base64.b64decode(entry.pop("body"), validate=True))
        except (ValueError, KeyError, TypeError, zlib.error) as error:
            raise InputError(
                f"{path}, line {number}: not a line of a simulator's journal ({error}). Name another file."
            ) from error
        yield entry, body
