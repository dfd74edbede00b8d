"""Arrays and a little JSON as one compressed blob, as the ledger keeps the rows of a chunk.

Layout: length and CRC-32 of what follows unpacked (4 bytes each), then zstd level 1 of: length of the head (4 bytes),
the head (JSON: `fields`, and name, type and length of each array), the arrays one after another, little-endian.
A row per TN would cost five times the CPU and nine times the space (measured).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_CODEC = pa.Codec("zstd", compression_level=1)
#: No chunk comes near this; a larger length is damage, not data.
_MAX_BYTES = 1 << 30


def pack(fields: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """One blob of JSON-able fields and named one-dimensional arrays."""
    little = {name: np.ascontiguousarray(array, array.dtype.newbyteorder("<")) for name, array in arrays.items()}
    shapes = [[name, array.dtype.str, len(array)] for name, array in little.items()]
    head = json.dumps({"fields": fields, "arrays": shapes}, separators=(",", ":")).encode()
    raw = b"".join([len(head).to_bytes(4, "little"), head, *(array.tobytes() for array in little.values())])
    packed: bytes = _CODEC.compress(raw, asbytes=True)
    return len(raw).to_bytes(4, "little") + zlib.crc32(raw).to_bytes(4, "little") + packed


def unpack(blob: bytes) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The fields and (read-only) arrays of a blob; ValueError when it is none, or damaged."""
    raw = _decompressed(blob)
    # Without it a flipped bit would be another TN: neither SQLite nor zstd looks.
    if zlib.crc32(raw) != int.from_bytes(blob[4:8], "little"):
        raise ValueError("damaged blob")
    start = 4 + int.from_bytes(raw[:4], "little")
    head = json.loads(raw[4:start])
    arrays = {}
    for name, dtype, count in head["arrays"]:
        arrays[name] = np.frombuffer(raw, dtype, count, start)
        start += arrays[name].nbytes
    return head["fields"], arrays


def _decompressed(blob: bytes) -> bytes:
    size = int.from_bytes(blob[:4], "little")
    if not 4 <= size <= _MAX_BYTES:
        raise ValueError("damaged blob")
    try:
        raw: bytes = _CODEC.decompress(blob[8:], decompressed_size=size, asbytes=True)
    except OSError as error:
        raise ValueError("damaged blob") from error
    return raw
