"""How much of the allowed rate is used, by rate and latency, and how much more is ever sent in a second. Prints only.

Run it alone: `python -m pytest tests/benchmarks/bench_rate.py -s`. The ideal is that of PERFORMANCE section 4: all requests
share one budget, so many as are in flight bound it, and the last answer is waited for. Where those in flight are the bound,
it leaves out that they start one after the other; the earliest times at which they can are the second ideal.
"""

from __future__ import annotations

import math

import pytest

from batcher.carrier.wire import LEAST_AT_ONCE, MOST_AT_ONCE
from tests.benchmarks.measured import JOB, batcher, tns, write_numbers
from tests.processes import asked, at, simulator

#: orders of 5,000 rows by requests a second: about twenty seconds of sending
ORDERS = {5: 100, 10: 200, 50: 1_000}


def most_in_a_second(times: list[float]) -> int:
    """Arrivals in the fullest second that begins with one."""
    most = end = 0
    for start, time in enumerate(times):
        while end < len(times) and times[end] < time + 1:
            end += 1
        most = max(most, end - start)
    return most


def ideal(requests: int, rate: float, in_flight: int, latency: float) -> float:
    """Seconds from the first of so many requests to the last."""
    return max((requests - 1) / rate, (math.ceil(requests / in_flight) - 1) * latency)


def earliest(requests: int, rate: float, in_flight: int, latency: float) -> float:
    """The same, if each begins as soon as the rate and those in flight allow."""
    times = [0.0]
    while len(times) < requests:
        freed = times[-in_flight] + latency if len(times) >= in_flight else 0.0
        times.append(max(times[-1] + 1 / rate, freed))
    return times[-1]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("latency", [0.2, 2.0])
@pytest.mark.parametrize("rate", ORDERS)
def test_the_rate_is_used_and_kept(rate, latency, tmp_path):
    write_numbers(tmp_path / "numbers.csv", tns(ORDERS[rate] * 5_000))
    (tmp_path / "job.toml").write_text(JOB.format(rate=rate, settings='sms = "on"'))
    with simulator("--latency", str(latency)) as address:
        figures = batcher("run", "job.toml", cwd=tmp_path, env=at(address))
        arrivals = asked(address, "arrivals")
    assert figures.code == 0
    posts, times = [time for time, method in arrivals if method == "POST"], [time for time, _ in arrivals]
    in_flight = max(LEAST_AT_ONCE, min(MOST_AT_ONCE, math.ceil(1.25 * rate * latency) + 1))
    sending, best = posts[-1] - posts[0], ideal(len(posts), rate, in_flight, latency)
    all_in, best_all = times[-1] - times[0], (len(times) - 1) / rate
    whole = figures.seconds / (best_all + latency)
    print(f"\n{rate} a second, {latency} s: {len(posts)} orders, {len(times) - len(posts)} other requests")
    possible = earliest(len(posts), rate, in_flight, latency)
    print(
        f"  first to last order    {sending:7.2f} s, ideal {best:7.2f} s: {sending / best:6.3f} x"
        f"; earliest {possible:7.2f} s: {sending / possible:6.3f} x"
    )
    print(f"  first to last request  {all_in:7.2f} s, ideal {best_all:7.2f} s: {all_in / best_all:6.3f} x")
    print(f"  whole run              {figures.seconds:7.2f} s, ideal {best_all + latency:7.2f} s: {whole:6.3f} x")
    print(f"  most arrivals in any second: {most_in_a_second(times)}")
