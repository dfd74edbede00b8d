"""The conversation that ensures: get the record, write it whole with one thing changed, read it back.

A record is written by PUT, so it can be read back after a lost answer: as wanted it is done, as it was before it is
sent again, and anything else is left to a person.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import anyio
import structlog

from batcher.carrier.limits import LOOK_UP, POLL, POST
from batcher.carrier.recorder import Recorder
from batcher.carrier.retry import GetVerdict, Verdict, judge_post
from batcher.carrier.settle import uniform
from batcher.carrier.wire import FORBIDDEN_IN_A_ROW, READ_SECONDS, Wire, denied, elapsed_clock, in_words, said
from batcher.carrier.xml import refusal
from batcher.errors import NotSent, OutcomeUnknown, ProtocolError
from batcher.ledger import READY, SENDING, UNKNOWN
from batcher.model import FAILED, SKIPPED, Answer, Chunk, Ensure, Issue, Request

_log = structlog.get_logger()

_NOT_AS_WANTED = "it was written, but reads back as something else"
#: A record that was read longer ago is read again before it is written: somebody may have changed it.
_FRESH_SECONDS = 5.0
#: Sends a write whose intent is committed: (request, chunk number, attempt).
Write = Callable[[Request, int, int], Awaitable[Answer | NotSent | OutcomeUnknown]]


class Ensuring:
    """The records of one step."""

    def __init__(
        self,
        talk: Ensure,
        wire: Wire,
        record: Recorder,
        write: Write,
        *,
        api: str,
        fill: Callable[[Chunk], Chunk],
        absence_seconds: float,
    ) -> None:
        self._talk, self._wire, self._record, self._write, self._api = talk, wire, record, write, api
        self._fill, self._absence_seconds = fill, absence_seconds
        self._accepted_before = False
        self._read_before, self._forbidden = False, 0

    async def send(self, chunk: Chunk) -> None:
        """Get the record, write it whole with one element changed, read it back."""
        number = chunk.number
        while True:
            # A write goes before the others' questions, so that its record is fresh when its turn comes.
            verdict, answer = await self._wire.get(
                self._talk.get(chunk, self._api), POLL, seconds=READ_SECONDS, forbidden=self._forgiving()
            )
            read_at = elapsed_clock()
            self._note_access(verdict, answer)
            try:
                request = self._talk.decide(answer, chunk, self._api) if verdict is GetVerdict.OK and answer else None
                unread = [] if verdict is GetVerdict.OK else said(answer)
            except ProtocolError as error:
                request, unread = None, [Issue("error", 0, "", f"its record could not be read: {error}")]
            if request is None or answer is None:
                settlement = (
                    uniform(chunk, FAILED, unread[0].code, unread[0].text)
                    if unread
                    else uniform(chunk, SKIPPED, "UNCHANGED", "it is so already")
                )
                await self._record(self._record.ledger.settle, number, None, settlement.packed(), was=READY)
                return
            await self._wire.gate.take(POST)
            if elapsed_clock() - read_at <= _FRESH_SECONDS:
                break
        with anyio.CancelScope(shield=True):
            attempt = await self._record(self._record.ledger.intend, number, answer.body)
            outcome = await self._write(request, number, attempt)
            written = await self._note_put(chunk, attempt, outcome)
        if written:
            await self._confirm(chunk, attempt)

    def _forgiving(self) -> bool:
        """A 403 is about one record when others could be read; several in a row are about us."""
        return self._read_before and self._forbidden < FORBIDDEN_IN_A_ROW

    def _note_access(self, verdict: GetVerdict, answer: Answer | None) -> None:
        is_forbidden = answer is not None and answer.status == 403
        self._forbidden = self._forbidden + 1 if is_forbidden else 0
        self._read_before = self._read_before or verdict is GetVerdict.OK

    async def _note_put(self, chunk: Chunk, attempt: int, outcome: Answer | NotSent | OutcomeUnknown) -> bool:
        """Record what became of a PUT; True when it was answered with success."""
        answer = outcome if isinstance(outcome, Answer) else None
        issues = said(answer) if answer is not None and 400 <= answer.status < 500 else []
        is_readable = answer is not None and bool(refusal(answer))
        verdict = judge_post(
            outcome, order_id="put", readable_errors=is_readable, accepted_before=self._accepted_before
        )
        if verdict is Verdict.ACCEPTED:
            self._accepted_before = True
            return True
        if verdict in {Verdict.REFUSED, Verdict.TOO_LARGE}:
            settlement = uniform(chunk, FAILED, issues[0].code, issues[0].text)
            await self._record.keep(self._record.ledger.refuse, chunk.number, attempt, settlement.packed())
        elif verdict in {Verdict.THROTTLED, Verdict.NOT_SENT}:
            await self._record.keep(self._record.ledger.unsend, chunk.number, attempt, in_words(outcome))
        elif verdict in {Verdict.DENIED, Verdict.MISCONFIGURED}:
            await self._record.keep(self._record.ledger.unsend, chunk.number, attempt, in_words(outcome))
            assert answer is not None
            raise denied(answer)
        else:
            await self._record.keep(self._record.ledger.doubt, chunk.number, attempt, in_words(outcome))
        return False

    async def _confirm(self, chunk: Chunk, attempt: int) -> None:
        """The PUT was answered with success: only what reads back as wanted is done."""
        verdict, answer = await self._wire.get(self._talk.get(chunk, self._api), POLL, seconds=READ_SECONDS)
        if verdict is GetVerdict.OK and answer and self._holds(answer, chunk):
            await self._record(self._record.ledger.settle, chunk.number, "COMPLETE", None, was=SENDING, attempt=attempt)
            _log.info("written", chunk=chunk.number)
            return
        why = _NOT_AS_WANTED if verdict is GetVerdict.OK else "it was written, but could not be read back"
        await self._record(self._record.ledger.doubt, chunk.number, attempt, why)
        if verdict is GetVerdict.OK:
            await self._record(self._record.ledger.park, chunk.number, why)

    async def read_back(self, number: int) -> None:
        """A PUT whose answer was lost: as wanted → done; still as it was before → again; else parked."""
        head, chunk, before = await self._record(self._record.ledger.chunk, number)
        chunk, since = self._fill(chunk), elapsed_clock()
        while True:
            verdict, answer = await self._wire.get(self._talk.get(chunk, self._api), LOOK_UP, seconds=READ_SECONDS)
            if verdict is GetVerdict.OK and answer and self._holds(answer, chunk):
                await self._record(
                    self._record.ledger.settle, number, "COMPLETE", None, was=UNKNOWN, attempt=head.attempt
                )
                return
            if verdict is not GetVerdict.OK or answer is None or answer.body != before:
                await self._record(
                    self._record.ledger.park, number, "it reads back neither as wanted nor as it was before"
                )
                return
            left = self._absence_seconds - (elapsed_clock() - since)
            if left <= 0:
                await self._record(self._record.ledger.absent, number, "it reads back as it was before")
                return
            await anyio.sleep(left)

    def _holds(self, answer: Answer, chunk: Chunk) -> bool:
        try:
            return self._talk.holds(answer, chunk)
        except ProtocolError:
            return False
