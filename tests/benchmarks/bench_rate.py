"""How much of the allowed rate is used: 200 orders at ten requests a second, answered after 0.2 s. Prints only.

The ideal is that of PERFORMANCE section 4: one order each tenth of a second from the first to the last.
"""

from __future__ import annotations

import pytest

from tests.benchmarks.measured import JOB, batcher, tns, write_numbers
from tests.processes import asked, at, simulator

ORDERS, RATE, LATENCY_SECONDS = 200, 10, 0.2


def most_in_a_second(times: list[float]) -> int:
    """Arrivals in the fullest second that begins with one."""
    return max(sum(start <= time < start + 1 for time in times[place:]) for place, start in enumerate(times))


@pytest.mark.timeout(600)
def test_the_rate_is_used_and_kept(tmp_path):
    write_numbers(tmp_path / "numbers.csv", tns(ORDERS * 5_000))
    (tmp_path / "job.toml").write_text(JOB.format(rate=RATE, settings='sms = "on"'))
    with simulator("--latency", str(LATENCY_SECONDS)) as address:
        figures = batcher("run", "job.toml", cwd=tmp_path, env=at(address))
        arrivals = asked(address, "arrivals")
    assert figures.code == 0
    posts = [time for time, method in arrivals if method == "POST"]
    times = [time for time, _ in arrivals]
    sending, all_in = posts[-1] - posts[0], times[-1] - times[0]
    ideal, ideal_all = (len(posts) - 1) / RATE, (len(times) - 1) / RATE
    print(
        f"\n{len(posts)} orders and {len(times) - len(posts)} other requests, {RATE} a second, {LATENCY_SECONDS} s each"
    )
    print(f"first to last order    {sending:7.2f} s, ideal {ideal:7.2f} s: {sending / ideal:6.3f} x")
    print(f"first to last request  {all_in:7.2f} s, ideal {ideal_all:7.2f} s: {all_in / ideal_all:6.3f} x")
    print(f"most arrivals in any second: {most_in_a_second(times)}")
    print(f"whole run {figures}")
