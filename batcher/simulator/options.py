"""The account file: what the simulated account holds, how it settles, and what it says about which TNs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, NonNegativeFloat

from batcher.simulator.credentials import Credentials
from batcher.simulator.numbers import TnSet


def _patterns(patterns: tuple[str, ...]) -> tuple[str, ...]:
    TnSet.of(patterns)
    return patterns


def _one_way(settle: Settle) -> Settle:
    if settle != "at once" and len(settle) != 1:
        raise ValueError('write "at once", { polls = 3 } or { seconds = 20 }')
    return settle


Patterns = Annotated[tuple[str, ...], AfterValidator(_patterns)]
#: when an order is done: at once, after so many polls, or after so many seconds
Settle = Literal["at once"] | dict[Literal["polls", "seconds"], NonNegativeFloat]


class Rule(BaseModel, frozen=True, extra="forbid"):
    """What the carrier says about some TNs."""

    #: `+19195550123`, `+1919555*` or `*`
    tns: Patterns
    text: str
    #: left out for a warning: the carrier's warnings have none
    code: str = ""
    operation: Literal["tn-options", "import-tn-checker"] = "tn-options"


class SipPeerEntry(BaseModel, frozen=True, extra="forbid"):
    """A location that exists."""

    site_id: str
    sippeer_id: str
    peer_name: str = "location"
    final_destination_uri: str | None = None


class Options(BaseModel, frozen=True, extra="forbid"):
    """The account file. The defaults are the simulator without one: anybody, any account id, every TN."""

    #: calls for another account get 403; None takes any
    account_id: str | None = None
    credentials: Credentials = Credentials()
    #: life of a token
    token_seconds: float = 3600
    #: the account's TNs; any other fails with 5076
    holds: Patterns = ("*",)
    #: orders settle at once, are at work for so many polls, or for so many seconds
    settle: Annotated[Settle, AfterValidator(_one_way)] = "at once"
    #: seconds until an order appears in lists (a GET by id finds it at once)
    list_lag: NonNegativeFloat = 0
    #: how a list without orders is answered
    empty_list: Literal["empty", "204", "404"] = "empty"
    #: the list names the CustomerOrderId of an order
    summary_customer_order_id: bool = True
    #: whether a FinalDestinationURI may begin with `sip:`
    sip_prefix: Literal["accepted", "refused"] = "accepted"
    #: a tnoptions order that holds one of these is refused as a whole, and nobody is told which it was
    unnamed: Patterns = ()
    error: tuple[Rule, ...] = ()
    warning: tuple[Rule, ...] = ()
    #: the locations there are; with none listed, every one exists
    sippeer: tuple[SipPeerEntry, ...] = ()
