"""What XML costs per order of 5,000 TNs, beside what libxml2 alone needs for the same bytes.

Prints; asserts nothing about time, since a shared machine has none to promise.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable
from functools import partial

import numpy as np
from lxml import etree

from batcher.carrier import xml
from batcher.model import Answer, Chunk
from batcher.operations import tn_options

COUNT = 5_000
TNS = np.random.default_rng(1).permutation(np.arange(12015550000, 12015550000 + COUNT))


def microseconds(work: Callable[[], object]) -> float:
    return min(timeit.repeat(work, number=1, repeat=31)) * 1e6


def chunk(groups: int) -> Chunk:
    values = tuple({"final_destination_uri": f"desk{n}@192.0.2.4:5060"} for n in range(groups))
    group = np.arange(COUNT) % groups
    return Chunk(1, 1, "b-abcdefghij-1", np.arange(1, COUNT + 1), TNS, {}, values, group)


def answer(*, echoed: int, errors: int) -> bytes:
    rows = "".join(f"<TelephoneNumber>+{tn}</TelephoneNumber>" for tn in TNS[:echoed])
    listed = "".join(
        "<Error><Code>5076</Code><Description>Telephone number is not available.</Description>"
        f"<TelephoneNumber>+{tn}</TelephoneNumber></Error>"
        for tn in TNS[:errors]
    )
    return (
        "<TnOptionOrder><OrderId>ddbdc72e</OrderId><ProcessingStatus>PARTIAL</ProcessingStatus><TnOptionGroups>"
        f"<TnOptionGroup><Sms>on</Sms><TelephoneNumbers>{rows}</TelephoneNumbers></TnOptionGroup></TnOptionGroups>"
        f"<ErrorList>{listed}</ErrorList></TnOptionOrder>"
    ).encode()


def test_building():
    """Rows, the whole order, and reading it back before it is sent."""
    print(f"\n{COUNT} rows: {microseconds(partial(xml.tn_rows, TNS, 'v2')):.0f} us")
    for groups in (1, 100, COUNT):
        planned = chunk(groups)
        body = tn_options.build(planned, "v2")
        built = microseconds(partial(tn_options.build, planned, "v2"))
        verified = microseconds(partial(tn_options.verify, body, planned, "v2"))
        print(f"{groups} groups, {len(body):,} bytes: build {built:.0f} us, read back {verified:.0f} us")


def test_reading():
    """An order's answer, by how much of it is errors."""
    cases = {
        "echoed, 1 % errors": answer(echoed=COUNT, errors=50),
        "echoed, 5 % errors": answer(echoed=COUNT, errors=250),
        "not echoed, 5 % errors": answer(echoed=0, errors=250),
        "echoed, all errors": answer(echoed=COUNT, errors=COUNT),
    }
    print()
    for name, body in cases.items():
        bare = microseconds(partial(etree.fromstring, body))
        read = microseconds(partial(tn_options.read, Answer(200, body)))
        print(f"{name}, {len(body):,} bytes: {read:.0f} us, bare parse {bare:.0f} us, ratio {read / bare:.2f}")
