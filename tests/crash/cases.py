"""Jobs that are killed, what the simulated carrier does to them, and where each row has to end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from batcher.simulator import Fault, Options
from batcher.simulator.options import Rule, SipPeerEntry
from tests.crash.oracle import TOO_LARGE, Poison

FIRST_TN = 19_192_200_000
_HEAD = """\
[input]
path = "rows.csv"

[carrier]
account_id = "9900012"

[limits]
requests_per_second = {rate}
absence_seconds = 0.3

[output]
path = "out"
"""
_CHECK = '\n[[step]]\noperation = "import-tn-checker"\nsite_id = "26000"\n'
_OPTIONS = '\n[[step]]\noperation = "tn-options"\nsms = "on"\ncalling_name_display = { column = "name" }\n'
_LOCATIONS = """
[[step]]
operation = "sippeer-failover"
site_id = "26000"
sippeer_id = { column = "peer" }
final_destination_uri = "sip:desk@192.0.2.4"
"""


@dataclass(frozen=True)
class Case:
    """A job, its rows, its carrier, and the status of every row in the end."""

    name: str
    job: str
    #: the lines of the input, its header first
    lines: Sequence[str]
    #: by row, from 1; all others succeed
    ends: Mapping[int, str] = field(default_factory=dict)
    rows_a_chunk: int = 6
    options: Options = field(default_factory=Options)
    faults: Sequence[Fault] = ()
    latency: float = 0.0
    poison: Poison = field(default_factory=dict)
    #: what each start says besides the job
    words: tuple[str, ...] = ()
    #: the command that is killed; none: the run
    command: tuple[str, ...] = ()
    #: what a run ends with that nobody killed, and which statuses are no end then
    code: int | None = None
    #: points that a plain run was killed at before the kill that is tried
    before: Sequence[tuple[str, int]] = ()
    #: exit code of a plain run that came before, and nobody killed
    began: int | None = None
    #: it sends as ORDERS does, or nothing: `make test` kills it only where that is not killed
    resembles: bool = False
    #: where orders of TNs are made; else records are written, or only questions asked
    has_orders: bool = True
    #: all waits of the run are multiplied by this
    haste: float = 0.1
    #: seconds until a request without an answer is given up; 0: as the product has it
    patience: float = 0.0

    @property
    def statuses(self) -> list[str]:
        return [self.ends.get(row, "succeeded") for row in range(1, len(self.lines))]

    @property
    def exit_code(self) -> int:
        return int("failed" in self.ends.values()) if self.code is None else self.code


def _tns(rows: int) -> list[str]:
    """A header and rows of TNs, every third with another caller name."""
    return ["tn,name", *(f"{FIRST_TN + row},{'off' if row % 3 else 'on'}" for row in range(1, rows + 1))]


def _named(*rows: int) -> tuple[str, ...]:
    return tuple(f"+{FIRST_TN + row}" for row in rows)


_OUT_OF_SERVICE = Rule(tns=_named(4, 17), code="5074", text="Telephone number is not in service.")
_NOT_OURS = Rule(tns=_named(2, 9), code="19006", text="These cannot be imported.", operation="import-tn-checker")
_LOST = (
    Fault(kind="reset_after", method="POST", nth=(2,)),
    Fault(kind="reset_before", method="POST", nth=(3,)),
    Fault(kind="status", method="POST", nth=(4,), status=429),
)

ORDERS = Case(
    "orders",
    _HEAD.format(rate=500) + _OPTIONS,
    _tns(30),
    ends={4: "failed", 17: "failed"},
    options=Options(settle={"polls": 1}, error=(_OUT_OF_SERVICE,)),
    faults=_LOST,
)
#: What the second start of a run does that was killed with orders in doubt.
IN_DOUBT = replace(ORDERS, name="orders in doubt", faults=(), before=(("post.after", 3),))
LOCATIONS = Case(
    "locations",
    _HEAD.format(rate=500) + _LOCATIONS,
    ["peer", *(str(500_000 + row) for row in range(1, 8))],
    ends={6: "skipped"},
    options=Options(
        sippeer=tuple(
            SipPeerEntry(
                site_id="26000",
                sippeer_id=str(500_000 + row),
                final_destination_uri=f"sip:desk@192.0.2.{4 if row == 6 else 9}",
            )
            for row in range(1, 8)
        )
    ),
    faults=(
        Fault(kind="reset_after", method="PUT", nth=(2,)),
        Fault(kind="reset_before", method="PUT", nth=(4,)),
        Fault(kind="status", method="PUT", nth=(5,), status=429),
    ),
    has_orders=False,
)
CHECK = Case(
    "check",
    _HEAD.format(rate=500) + _CHECK,
    _tns(24),
    ends={2: "failed", 9: "failed"},
    options=Options(error=(_NOT_OURS,)),
    faults=(Fault(kind="reset_after", method="POST", nth=(2,)),),
    has_orders=False,
)
TWO_STEPS = Case(
    "two steps",
    _HEAD.format(rate=500) + _CHECK + _OPTIONS,
    _tns(18),
    ends=dict.fromkeys((2, 4, 9, 17), "failed"),
    options=Options(error=(_NOT_OURS, _OUT_OF_SERVICE)),
)
REFUSALS = Case(
    "refusals",
    _HEAD.format(rate=500) + _OPTIONS,
    _tns(24),
    ends={3: "failed", 14: "failed"},
    rows_a_chunk=8,
    poison={
        FIRST_TN + 3: ("5070", f"Telephone number {FIRST_TN + 3} cannot be changed."),
        FIRST_TN + 14: ("5999", "Something is wrong with this order."),
        FIRST_TN + 20: (TOO_LARGE, ""),
    },
)
#: A sample of a run that was planned without one; the list of orders is late.
FIRST = Case(
    "first",
    _HEAD.format(rate=500) + _OPTIONS,
    _tns(12),
    ends=dict.fromkeys((row for row in range(1, 13) if row not in {1, 2, 3, 6}), "pending"),
    options=Options(settle={"polls": 3}, list_lag=0.2),
    words=("--first", "4"),
    code=3,
    before=(("end_plan.after", 1),),
    resembles=True,
)
_TOO_OLD = _HEAD.format(rate=500).replace("[limits]\n", '[limits]\nmax_age = "0s"\n')
GROWN_STALE = Case(
    "grown stale",
    _TOO_OLD + _OPTIONS,
    _tns(12),
    ends=dict.fromkeys(range(1, 13), "pending"),
    code=4,
    has_orders=False,
    resembles=True,
)
STALE = replace(GROWN_STALE, name="stale", ends={}, words=("--stale",), code=None, began=4, has_orders=True)
#: Its only order is lost, and the account holds none by which that could be proven.
PARKED = Case(
    "parked",
    _HEAD.format(rate=500) + _OPTIONS,
    _tns(6),
    faults=(Fault(kind="reset_before", method="POST", nth=(1,)),),
    ends=dict.fromkeys(range(1, 7), "unknown"),
    code=4,
)
RESOLVED = replace(
    PARKED,
    name="resolved",
    ends={},
    command=("resolve", "job.toml", "1", "--not-sent"),
    code=None,
    began=4,
    resembles=True,
)
CASES = (
    *(ORDERS, IN_DOUBT, LOCATIONS, CHECK, TWO_STEPS, REFUSALS),
    *(FIRST, GROWN_STALE, STALE, PARKED, RESOLVED),
)


def chaos(seed: int, share: float) -> Case:
    """520 TNs in 26 orders; of all requests, this share meets a fault, drawn from the seed. The rows are always the same."""

    def fault(kind: Any, part: float, draw: int, **more: Any) -> Fault:
        return Fault(kind=kind, share=share * part, seed=100 * seed + draw, **more)

    faults = [
        *(
            fault(kind, 1 / 6, draw, method="POST")
            for draw, kind in enumerate(("reset_after", "truncate", "garbage", "status_after"))
        ),
        *(fault(kind, 1 / 12, 10 + draw, method="POST") for draw, kind in enumerate(("reset_before", "hang"))),
        fault("reset_before", 1 / 2, 20, method="GET"),
        fault("status", 1 / 3, 21, method="GET"),
        fault("status", 1 / 6, 30, status=429),
    ]
    is_late = seed % 4 == 0
    return replace(
        ORDERS,
        name=f"chaos {seed}",
        job=_HEAD.format(rate=40).replace("absence_seconds = 0.3", f"absence_seconds = {1 if is_late else 0.3}")
        + _OPTIONS,
        lines=_tns(520),
        rows_a_chunk=20,
        options=Options(error=(_OUT_OF_SERVICE,), list_lag=0.1 if is_late else 0),
        faults=faults if share else (),
        latency=0.2,
        patience=1.5,
    )
