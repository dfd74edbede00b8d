"""Every row of the table of answers, written out by hand."""

from __future__ import annotations

import pytest

from batcher.carrier.retry import GetVerdict, Verdict, backoff_seconds, judge_get, judge_post, poll_seconds
from batcher.errors import GateShut, NotSent, OutcomeUnknown
from batcher.model import Answer


def answer(status: int) -> Answer:
    return Answer(status, b"")


@pytest.mark.parametrize(
    ("outcome", "order_id", "readable_errors", "accepted_before", "expected"),
    [
        pytest.param(NotSent("DNS"), None, False, False, Verdict.NOT_SENT, id="DNS, refused, TLS, connect timeout"),
        pytest.param(NotSent("DNS"), None, False, True, Verdict.NOT_SENT, id="not sent, on a path that works"),
        pytest.param(GateShut("shut"), None, False, False, Verdict.THROTTLED, id="the gate was shut before it left"),
        pytest.param(OutcomeUnknown("reset"), None, False, False, Verdict.UNKNOWN, id="reset, timeout, truncated"),
        pytest.param(answer(200), "o-1", False, False, Verdict.ACCEPTED, id="200 with an id"),
        pytest.param(answer(201), "o-1", False, False, Verdict.ACCEPTED, id="201 with an id"),
        pytest.param(answer(201), "o-1", True, False, Verdict.ACCEPTED, id="201 with an id and errors"),
        pytest.param(answer(202), "o-1", False, False, Verdict.ACCEPTED, id="202 with an id"),
        pytest.param(answer(200), None, False, False, Verdict.UNKNOWN, id="200 with HTML or nothing"),
        pytest.param(answer(201), None, False, False, Verdict.UNKNOWN, id="201 without id"),
        pytest.param(answer(201), "", False, False, Verdict.UNKNOWN, id="201 with an empty id"),
        pytest.param(answer(201), None, True, False, Verdict.UNKNOWN, id="201 with errors, without id"),
        pytest.param(answer(204), None, False, False, Verdict.UNKNOWN, id="204"),
        pytest.param(answer(101), "o-1", True, False, Verdict.UNKNOWN, id="101"),
        pytest.param(answer(301), "o-1", True, False, Verdict.UNKNOWN, id="301"),
        pytest.param(answer(302), None, False, False, Verdict.UNKNOWN, id="302"),
        pytest.param(answer(303), None, False, False, Verdict.UNKNOWN, id="303"),
        pytest.param(answer(307), None, False, False, Verdict.UNKNOWN, id="307"),
        pytest.param(answer(308), None, False, False, Verdict.UNKNOWN, id="308"),
        pytest.param(answer(400), None, True, False, Verdict.REFUSED, id="400 readable"),
        pytest.param(answer(400), None, True, True, Verdict.REFUSED, id="400 readable, on a path that works"),
        pytest.param(answer(400), None, False, False, Verdict.UNKNOWN, id="400 unreadable"),
        pytest.param(answer(409), None, True, False, Verdict.REFUSED, id="409 readable"),
        pytest.param(answer(409), None, False, False, Verdict.UNKNOWN, id="409 unreadable"),
        pytest.param(answer(422), None, True, False, Verdict.REFUSED, id="422 readable"),
        pytest.param(answer(422), None, False, False, Verdict.UNKNOWN, id="422 unreadable"),
        pytest.param(answer(401), None, False, False, Verdict.DENIED, id="401 after the refresh"),
        pytest.param(answer(401), None, False, True, Verdict.DENIED, id="401 is never executed"),
        pytest.param(answer(403), None, False, False, Verdict.DENIED, id="403"),
        pytest.param(answer(403), None, False, True, Verdict.UNKNOWN, id="403 after this path was accepted"),
        pytest.param(answer(404), None, True, False, Verdict.MISCONFIGURED, id="404"),
        pytest.param(answer(404), None, True, True, Verdict.UNKNOWN, id="404 after this path was accepted"),
        pytest.param(answer(405), None, False, False, Verdict.MISCONFIGURED, id="405"),
        pytest.param(answer(405), None, False, True, Verdict.UNKNOWN, id="405 after this path was accepted"),
        pytest.param(answer(415), None, False, False, Verdict.MISCONFIGURED, id="415"),
        pytest.param(answer(415), None, False, True, Verdict.UNKNOWN, id="415 after this path was accepted"),
        pytest.param(answer(408), None, True, False, Verdict.UNKNOWN, id="408"),
        pytest.param(answer(413), None, False, False, Verdict.TOO_LARGE, id="413"),
        pytest.param(answer(429), None, False, False, Verdict.THROTTLED, id="429"),
        pytest.param(answer(429), None, False, True, Verdict.THROTTLED, id="429, on a path that works"),
        pytest.param(answer(402), None, True, False, Verdict.UNKNOWN, id="402 is not listed"),
        pytest.param(answer(418), None, True, False, Verdict.UNKNOWN, id="418 is not listed"),
        pytest.param(answer(500), None, True, False, Verdict.UNKNOWN, id="500"),
        pytest.param(answer(502), None, False, False, Verdict.UNKNOWN, id="502"),
        pytest.param(answer(503), "o-1", True, False, Verdict.UNKNOWN, id="503, even with an id"),
        pytest.param(answer(504), None, False, False, Verdict.UNKNOWN, id="504"),
        pytest.param(answer(599), None, False, False, Verdict.UNKNOWN, id="599"),
        pytest.param(answer(999), None, False, False, Verdict.UNKNOWN, id="999"),
    ],
)
def test_judge_post(outcome, order_id, readable_errors, accepted_before, expected):
    """A POST counts as executed, or as not executed, only where that is certain."""
    verdict = judge_post(outcome, order_id=order_id, readable_errors=readable_errors, accepted_before=accepted_before)
    assert verdict is expected


@pytest.mark.parametrize(
    ("outcome", "readable_errors", "expected"),
    [
        pytest.param(NotSent("DNS"), False, GetVerdict.REPEAT, id="not sent"),
        pytest.param(OutcomeUnknown("cut"), False, GetVerdict.REPEAT, id="reset, timeout, truncated, too large"),
        pytest.param(answer(200), False, GetVerdict.OK, id="200"),
        pytest.param(answer(204), False, GetVerdict.OK, id="204: a list without a match"),
        pytest.param(answer(303), False, GetVerdict.REPEAT, id="303 is not followed"),
        pytest.param(answer(307), True, GetVerdict.REPEAT, id="307 is not followed"),
        pytest.param(answer(400), True, GetVerdict.REFUSED, id="400 readable"),
        pytest.param(answer(400), False, GetVerdict.REPEAT, id="400 unreadable"),
        pytest.param(answer(401), True, GetVerdict.DENIED, id="401 after the refresh"),
        pytest.param(answer(403), False, GetVerdict.DENIED, id="403"),
        pytest.param(answer(404), True, GetVerdict.MISSING, id="404 with a body"),
        pytest.param(answer(404), False, GetVerdict.MISSING, id="404 without one"),
        pytest.param(answer(405), False, GetVerdict.REPEAT, id="405 unreadable"),
        pytest.param(answer(405), True, GetVerdict.REFUSED, id="405 readable"),
        pytest.param(answer(408), True, GetVerdict.REPEAT, id="408"),
        pytest.param(answer(409), True, GetVerdict.REFUSED, id="409 readable"),
        pytest.param(answer(422), True, GetVerdict.REFUSED, id="422 readable"),
        pytest.param(answer(429), False, GetVerdict.THROTTLED, id="429"),
        pytest.param(answer(500), True, GetVerdict.REPEAT, id="500"),
        pytest.param(answer(503), False, GetVerdict.REPEAT, id="503"),
        pytest.param(answer(999), True, GetVerdict.REPEAT, id="999"),
    ],
)
def test_judge_get(outcome, readable_errors, expected):
    """A GET is repeated after whatever may pass, and stopped only by an answer that says why."""
    assert judge_get(outcome, readable_errors=readable_errors) is expected


@pytest.mark.parametrize(
    ("failures", "shortest", "longest"),
    [(1, 0.25, 0.5), (2, 0.5, 1.0), (3, 1.0, 2.0), (7, 16.0, 32.0), (8, 30.0, 60.0), (100_000, 30.0, 60.0)],
)
def test_backoff_doubles_up_to_a_minute(failures, shortest, longest):
    """Failures are answered by 0.5 s, doubling to 60 s, between half and the whole of it."""
    assert backoff_seconds(failures, lambda: 0.0) == shortest
    assert backoff_seconds(failures, lambda: 1.0) == longest


@pytest.mark.parametrize(
    ("polls", "shortest", "longest"),
    [(0, 0.8, 1.0), (1, 1.2, 1.5), (2, 1.8, 2.25), (10, 46.1320312, 57.6650390), (11, 48, 60), (100_000, 48, 60)],
)
def test_polls_grow_apart_up_to_a_minute(polls, shortest, longest):
    """An order is polled after 1 s, then half as long again each time, at most 60 s apart."""
    assert poll_seconds(polls, lambda: 0.0) == pytest.approx(shortest)
    assert poll_seconds(polls, lambda: 1.0) == pytest.approx(longest)
