"""How fast columns are normalized, as ratios to other ways within one run (process CPU time, medians of three).

Absolute figures say more about the machine than about the code: only the ratios are worth comparing.
"""

from __future__ import annotations

import contextlib
import io
import random
import re
import statistics
import time

import numpy as np
import pandas as pd
import phonenumbers
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from pyarrow import csv

from batcher import tn
from batcher.normalize import e164, normalize

ROWS = 1_000_000
SLOW_ROWS = 30_000
#: Area codes that may have the exchanges 211 to 911.
OUTSIDE_GEOGRAPHY = "(?:[2-9](?:00|22|33|44|55|66|77|88)|456|52[1-9]|532|710)"
#: Shapes by percent of the rows; the last two never become a North American TN.
MIX = {
    "{a}{b}{c}": 35,
    "1{a}{b}{c}": 15,
    "+1{a}{b}{c}": 15,
    "({a}) {b}-{c}": 10,
    "{a}.{b}.{c}": 8,
    "{a} {b} {c}": 3,
    "+1-{a}-{b}-{c}": 4,
    "{a}{b}{c}.0": 4,
    " {a}{b}{c} ": 2,
    "1 ({a}) {b}-{c}": 2,
    "N/A": 1,
    "+4412{b}{c}": 1,
}


def cpu_seconds(work) -> float:
    """The median of three runs, after one that warms up."""
    work()
    seconds = []
    for _ in range(3):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds)


@pytest.fixture(scope="module")
def raw() -> pd.Series:
    rng = random.Random(20_260)
    shapes = rng.choices(list(MIX), weights=list(MIX.values()), k=ROWS)
    # Area codes at random: one in fifty is an N11.
    return pd.Series(
        [
            shape.format(a=rng.randint(200, 999), b=rng.randint(200, 999), c=f"{rng.randrange(10_000):04d}")
            for shape in shapes
        ],
        dtype="str",
    )


@pytest.fixture(scope="module")
def microseconds(raw) -> float:
    """What `normalize` takes a row."""
    return cpu_seconds(lambda: normalize(raw)) / ROWS * 1e6


def is_near(numbers) -> int:
    return int(((numbers >= tn.NORTH_AMERICA[0]) & (numbers <= tn.NORTH_AMERICA[-1])).sum())


def by_phonenumbers(cells) -> int:
    """T1: how many parse as a possible number."""
    count = 0
    for cell in cells:
        with contextlib.suppress(phonenumbers.NumberParseException):
            count += phonenumbers.is_possible_number(phonenumbers.parse(cell, "US"))
    return count


def by_pandas(raw) -> pd.Series:
    """T2: the pipeline that people write, with the rules of structure that the mix needs; int64, 0 where there is none."""
    text = raw.str.strip().str.replace(r"\.0$", "", regex=True).str.replace(r"[ ().\-]", "", regex=True)
    ten = text.str.extract(r"^(?:\+?1)?([2-9][0-8][0-9][2-9][0-9]{6})$", expand=False)
    is_n11 = ten.str.match(r"[2-9]11", na=False)
    has_n11 = ten.str.match(r"[0-9]{3}[2-9]11", na=False) & ~ten.str.match(OUTSIDE_GEOGRAPHY, na=False)
    found: pd.Series = ("1" + ten.mask(is_n11 | has_n11)).fillna("0").astype("int64")
    return found


def by_loop(cells) -> NDArray[np.int64]:
    """T2: a loop over one pattern, with the same result."""
    punctuation = re.compile(r"\.0$|[ ().\-]")
    n11 = rf"(?<={OUTSIDE_GEOGRAPHY})[2-9]11"
    ten = re.compile(rf"(?:\+?1)?([2-9](?!11)[0-8][0-9](?:[2-9](?!11)[0-9]{{2}}|{n11})[0-9]{{4}})")
    found = []
    for cell in cells:
        match = ten.fullmatch(punctuation.sub("", cell))
        found.append(10_000_000_000 + int(match[1]) if match else 0)
    return np.array(found)


def test_t1_phonenumbers(raw, microseconds):
    """T1: at least 80 times the loop over `is_possible_number`."""
    cells = raw.head(SLOW_ROWS).tolist()
    # It knows no structure: everything that we accept is possible to it, and more.
    assert by_phonenumbers(cells) >= (normalize(raw.head(SLOW_ROWS))["reason"] == 0).sum()
    loop = cpu_seconds(lambda: by_phonenumbers(cells)) / SLOW_ROWS * 1e6
    print(f"\nnormalize {microseconds:.3f} us a row, phonenumbers {loop:.2f}: T1 {loop / microseconds:.0f}x (80x)")


def test_t2_pandas_and_re(raw, microseconds):
    """T2: at least 8 times the pandas pipeline and 10 times the loop; all find the same TNs."""
    tns = normalize(raw)["tn"].to_numpy()
    tns = np.where((tns >= tn.NORTH_AMERICA[0]) & (tns <= tn.NORTH_AMERICA[-1]), tns, 0)
    cells = raw.tolist()
    assert np.array_equal(by_pandas(raw), tns)
    assert np.array_equal(by_loop(cells), tns)
    pandas = cpu_seconds(lambda: by_pandas(raw)) / ROWS * 1e6
    loop = cpu_seconds(lambda: by_loop(cells)) / ROWS * 1e6
    print(f"\npandas .str {pandas:.2f} us a row: T2 {pandas / microseconds:.1f}x (8x)")
    print(f"re loop {loop:.2f} us a row: T2 {loop / microseconds:.1f}x (10x)")


def test_t3_csv_scan(raw, microseconds):
    """T3: alone at least 60 % of a raw scan of the same rows by one thread, reading included at least 35 %."""
    filler = pa.array(["sip:desk@192.0.2.4", "systemDefault", "on"]).take(pa.array(np.arange(ROWS) % 3))
    sink = io.BytesIO()
    csv.write_csv(pa.table({"tn": pa.array(raw), "a": filler, "b": filler, "c": filler}), sink)
    content = sink.getvalue()
    convert = csv.ConvertOptions(
        column_types=dict.fromkeys(("tn", "a", "b", "c"), pa.string()), strings_can_be_null=False
    )

    def batches():
        read = csv.ReadOptions(block_size=1 << 20, use_threads=False)
        return csv.open_csv(io.BytesIO(content), read_options=read, convert_options=convert)

    def scan() -> int:
        return sum(batch.num_rows for batch in batches())

    def read_and_normalize() -> int:
        # As the engine does: all columns are read, and that of the TN becomes a pandas one.
        frames = (batch.select(["tn"]).to_pandas(types_mapper=pd.ArrowDtype) for batch in batches())
        return sum(is_near(normalize(frame["tn"])["tn"].to_numpy()) for frame in frames)

    assert scan() == ROWS
    assert read_and_normalize() == is_near(normalize(raw)["tn"])
    scanned = cpu_seconds(scan) / ROWS * 1e6
    both = cpu_seconds(read_and_normalize) / ROWS * 1e6
    print(f"\nscan {scanned:.3f} us a row, {len(content) / ROWS:.0f} bytes")
    print(
        f"T3 normalize {scanned / microseconds:.0%} of the scan (60 %), read and normalize {scanned / both:.0%} (35 %)"
    )


def test_e164(raw):
    """Text from the integers, against Arrow's own cast and join."""
    tns = normalize(raw)["tn"].to_numpy()
    tns = tns[(tns >= tn.NORTH_AMERICA[0]) & (tns <= tn.NORTH_AMERICA[-1])]
    cast = cpu_seconds(lambda: pa.compute.binary_join_element_wise("+", pa.array(tns).cast(pa.string()), ""))
    template = cpu_seconds(lambda: e164(tns))
    print(f"\ne164 {template / len(tns) * 1e9:.0f} ns a row, cast and join {cast / len(tns) * 1e9:.0f}")
