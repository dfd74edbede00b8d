"""What an answer means for the chunk or the question it belongs to, and how long to wait before the next try.

Pure: it judges what it is handed. Reading the XML, writing the ledger and the breaker are left to others.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum

from batcher.errors import GateShut, NotSent, OutcomeUnknown
from batcher.model import Answer

#: Longest wait before the next try or the next poll, in seconds.
MAX_WAIT_SECONDS = 60.0


class Verdict(Enum):
    """What the outcome of a POST means for its chunk."""

    #: there is an order with an id, with or without errors
    ACCEPTED = "accepted"
    #: nothing was done, and the answer says why
    REFUSED = "refused"
    #: nothing was done: halve it
    TOO_LARGE = "too large"
    #: not executed: gate everything until the reset, or it is shut already
    THROTTLED = "throttled"
    #: no byte left: send it again
    NOT_SENT = "not sent"
    #: it may have been executed: look it up
    UNKNOWN = "unknown"
    #: not executed: credentials or permission; stop the run
    DENIED = "denied"
    #: not executed: wrong base, path or account; stop the run
    MISCONFIGURED = "misconfigured"


class GetVerdict(Enum):
    """What the outcome of a GET means; it can always be asked again."""

    OK = "ok"
    #: any failure that may pass: ask again after `backoff_seconds`
    REPEAT = "repeat"
    THROTTLED = "throttled"
    #: credentials or permission; stop the run
    DENIED = "denied"
    #: 404: not there, not there yet, or a list without a match
    MISSING = "missing"
    #: the answer says what is wrong with the question
    REFUSED = "refused"


def judge_post(
    outcome: Answer | NotSent | OutcomeUnknown,
    *,
    order_id: str | None,
    readable_errors: bool,
    accepted_before: bool,
) -> Verdict:
    """Judge what became of a POST; whatever is not certain is UNKNOWN.

    `order_id` and `readable_errors` are what was read from the answer's body; `accepted_before`
    says that this path has accepted an order in this run, so that a 403, 404, 405 or 415 cannot be
    a wrong configuration and may come from something between us and the carrier. A 401 is one
    that came back after the token was refreshed. 429 is the only status that the carrier
    documents as not executed.
    """
    if isinstance(outcome, NotSent):
        return Verdict.THROTTLED if isinstance(outcome, GateShut) else Verdict.NOT_SENT
    if isinstance(outcome, OutcomeUnknown):
        return Verdict.UNKNOWN
    match outcome.status:
        case status if 200 <= status < 300:
            return Verdict.ACCEPTED if order_id else Verdict.UNKNOWN
        case 400 | 409 | 422:
            return Verdict.REFUSED if readable_errors else Verdict.UNKNOWN
        case 401:
            return Verdict.DENIED
        case 403:
            return Verdict.UNKNOWN if accepted_before else Verdict.DENIED
        case 404 | 405 | 415:
            return Verdict.UNKNOWN if accepted_before else Verdict.MISCONFIGURED
        case 413:
            return Verdict.TOO_LARGE
        case 429:
            return Verdict.THROTTLED
        case _:
            return Verdict.UNKNOWN


def judge_get(outcome: Answer | NotSent | OutcomeUnknown, *, readable_errors: bool = False) -> GetVerdict:
    """Judge what became of a GET. A 4xx counts as refused only when its body says why."""
    if not isinstance(outcome, Answer):
        return GetVerdict.THROTTLED if isinstance(outcome, GateShut) else GetVerdict.REPEAT
    match outcome.status:
        case status if 200 <= status < 300:
            return GetVerdict.OK
        case 401 | 403:
            return GetVerdict.DENIED
        case 404:
            return GetVerdict.MISSING
        case 408:
            return GetVerdict.REPEAT
        case 429:
            return GetVerdict.THROTTLED
        case status if 400 <= status < 500 and readable_errors:
            return GetVerdict.REFUSED
        case _:
            return GetVerdict.REPEAT


def backoff_seconds(failures: int, random: Callable[[], float]) -> float:
    """Seconds to wait after the `failures`-th failure in a row (from 1): 0.5, 1, 2, … 60, half of it by chance."""
    # The exponent is capped as well: 2.0**5000 is an OverflowError.
    wait = min(MAX_WAIT_SECONDS, 0.5 * 2.0 ** min(failures - 1, 16))
    return wait * (0.5 + 0.5 * random())


def poll_seconds(polls: int, random: Callable[[], float]) -> float:
    """Seconds to wait after `polls` polls of one order: 1, 1.5, 2.25, … 60, a fifth of it by chance."""
    wait = min(MAX_WAIT_SECONDS, 1.5 ** min(polls, 32))
    return wait * (0.8 + 0.2 * random())
