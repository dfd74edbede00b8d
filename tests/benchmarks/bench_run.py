"""Half a million rows from file to results, beside the script that most people would write. Prints only."""

from __future__ import annotations

import statistics
import sys

import pytest

from tests.benchmarks.measured import JOB, Measured, batcher, measured, tns, write_numbers
from tests.processes import asked, at, simulator

ROWS, DESTINATIONS, RUNS = 500_000, 40, 3
#: pandas, requests and eight threads: no ledger, no look-up, no check of a TN but its digits.
NAIVE = """
import sys, time
from concurrent.futures import ThreadPoolExecutor
from xml.etree import ElementTree
import pandas as pd
import requests

url = sys.argv[1] + "/api/v2/accounts/9900012/tnoptions"
frame = pd.read_csv("numbers.csv", dtype=str)
frame["tn"] = "+1" + frame["tn"].str.replace(r"[^0-9]", "", regex=True)
frame = frame.drop_duplicates("tn")

def send(part):
    groups = "".join(
        f"<TnOptionGroup><FinalDestinationURI>{destination}</FinalDestinationURI><TelephoneNumbers>"
        + "".join(f"<TelephoneNumber>{tn}</TelephoneNumber>" for tn in rows)
        + "</TelephoneNumbers></TnOptionGroup>"
        for destination, rows in part.groupby("destination")["tn"]
    )
    body = f"<TnOptionOrder><TnOptionGroups>{groups}</TnOptionGroups></TnOptionOrder>"
    answer = requests.post(url, data=body, auth=("me", "secret"), headers={"Content-Type": "application/xml"})
    answer.raise_for_status()
    order = ElementTree.fromstring(answer.content).findtext(".//OrderId")
    while True:
        time.sleep(1)
        answer = requests.get(f"{url}/{order}", auth=("me", "secret"))
        tree = ElementTree.fromstring(answer.content)
        status = tree.findtext(".//ProcessingStatus")
        if status in ("COMPLETE", "PARTIAL", "FAILED"):
            failed = {error.findtext("TelephoneNumber") for error in tree.iter("Error")}
            return part.assign(order_id=order, status=["failed" if tn in failed else "succeeded" for tn in part["tn"]])

parts = [frame.iloc[start : start + 5_000] for start in range(0, len(frame), 5_000)]
with ThreadPoolExecutor(8) as pool:
    pd.concat(pool.map(send, parts)).to_csv("naive.csv", index=False)
"""


def median(runs: list[Measured]) -> Measured:
    return Measured(
        max(run.code for run in runs),
        statistics.median(run.seconds for run in runs),
        statistics.median(run.cpu_seconds for run in runs),
        statistics.median(run.megabytes for run in runs),
    )


@pytest.mark.timeout(600)
def test_a_run_beside_the_naive_script(tmp_path):
    write_numbers(tmp_path / "numbers.csv", tns(ROWS), DESTINATIONS)
    (tmp_path / "job.toml").write_text(
        JOB.format(rate=100_000, settings='final_destination_uri = { column = "destination" }')
    )
    (tmp_path / "naive.py").write_text(NAIVE)
    ours, naive = [], []
    for _ in range(RUNS):
        with simulator() as address:
            ours.append(batcher("run", "job.toml", "--again", cwd=tmp_path, env=at(address)))
            assert asked(address, "executed")["tns"] == ROWS
        with simulator() as address:
            naive.append(measured([sys.executable, "naive.py", address], cwd=tmp_path))
            assert asked(address, "executed")["tns"] == ROWS
    a, b = median(ours), median(naive)
    assert (a.code, b.code) == (0, 0)
    print(f"\n{ROWS:,} rows, {DESTINATIONS} destinations, medians of {RUNS}")
    print(f"batcher run                 {a}")
    print(f"pandas, requests, 8 threads {b}")
    print(f"the script needs            {b.seconds / a.seconds:8.1f} x      {b.cpu_seconds / a.cpu_seconds:10.1f} x  ")
    print(f"batcher: {1_000 * a.cpu_seconds / (ROWS / 5_000):.1f} ms of CPU an order of 5,000 TNs, all in")
