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
from batcher.ledger import READY, SENDING, SETTLED, UNKNOWN
from batcher.model import FAILED, SKIPPED, Answer, Chunk, Ensure, Issue, Request

_log = structlog.get_logger()

_NOT_AS_WANTED = "it was written, but reads back as something else"
#: A record that was read longer ago is read again before it is written: somebody may have changed it.
_FRESH_SECONDS = 5.0
#: A record that is forbidden waits so long for another that is not.
_OTHERS_SECONDS = 10.0
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
        step: int,
        fill: Callable[[Chunk], Chunk],
        absence_seconds: float,
        proving: set[int],
        goes_stale: Callable[[int], Awaitable[bool]],
    ) -> None:
        self._talk, self._wire, self._record, self._write, self._api = talk, wire, record, write, api
        self._fill, self._absence_seconds = fill, absence_seconds
        self._proving, self._goes_stale = proving, goes_stale
        # A chunk that is settled was read, and perhaps written: a later 403 says nothing about us.
        self._read_before = self._accepted_before = bool(record.ledger.numbers(step, SETTLED, most=1))
        self._forbidden = 0

    async def send(self, chunk: Chunk, *, doubted: bool = False) -> None:
        """Get the record, write it whole with one element changed, read it back.

        `doubted`: it was written before, and read back as it was; if it is as wanted now, we may have made it so.
        """
        number = chunk.number
        while True:
            # A write goes before the others' questions, so that its record is fresh when its turn comes.
            verdict, answer = await self._get(chunk, POLL, forbidden=self._forbidden < FORBIDDEN_IN_A_ROW)
            read_at = elapsed_clock()
            await self._note_access(verdict, answer)
            try:
                request = self._talk.decide(answer, chunk, self._api) if verdict is GetVerdict.OK and answer else None
                unread = [] if verdict is GetVerdict.OK else said(answer)
            except ProtocolError as error:
                request, unread = None, [Issue("error", 0, "", f"its record could not be read: {error}")]
            if request is None or answer is None:
                if unread:
                    settlement = uniform(chunk, FAILED, unread[0].code, unread[0].text).packed()
                else:
                    settlement = None if doubted else uniform(chunk, SKIPPED, "UNCHANGED", "it is so already").packed()
                await self._record(self._record.ledger.settle, number, None, settlement, was=READY)
                return
            await self._wire.turn(POST, is_write=True)
            if await self._goes_stale(number):
                self._wire.writes.unsaid()
                return
            if elapsed_clock() - read_at <= max(_FRESH_SECONDS, 3 / self._wire.gate.requests_per_second):
                break
            self._wire.writes.unsaid()
        with anyio.CancelScope(shield=True):
            attempt = await self._record(self._record.ledger.intend, number, answer.body)
            outcome = await self._write(request, number, attempt)
            written = await self._note_put(chunk, attempt, outcome)
        if written:
            await self._confirm(chunk, attempt)

    async def _get(self, chunk: Chunk, rank: int, *, forbidden: bool = False) -> tuple[GetVerdict, Answer | None]:
        """Ask for the record; what is none of its location is asked for again."""
        return await self._wire.get(
            self._talk.get(chunk, self._api),
            rank,
            seconds=READ_SECONDS,
            forbidden=forbidden,
            read=lambda answer: self._talk.holds(answer, chunk),
        )

    async def _note_access(self, verdict: GetVerdict, answer: Answer | None) -> None:
        """A 403 is about one record when others can be read; several in a row, or the only ones, are about us."""
        is_forbidden = answer is not None and answer.status == 403
        self._forbidden = self._forbidden + 1 if is_forbidden else 0
        self._read_before = self._read_before or verdict is GetVerdict.OK
        until = elapsed_clock() + _OTHERS_SECONDS
        while is_forbidden and not self._read_before:
            if elapsed_clock() >= until or self._forbidden >= FORBIDDEN_IN_A_ROW:
                raise denied(answer)
            await anyio.sleep(0.1)

    async def _note_put(self, chunk: Chunk, attempt: int, outcome: Answer | NotSent | OutcomeUnknown) -> bool:
        """Record what became of a PUT; True when it was answered with success."""
        answer = outcome if isinstance(outcome, Answer) else None
        issues = said(answer) if answer is not None and 400 <= answer.status < 500 else []
        is_readable = answer is not None and bool(refusal(answer))
        verdict = judge_post(
            outcome, order_id="put", readable_errors=is_readable, accepted_before=self._accepted_before
        )
        if answer is not None and answer.status == 403 and is_readable and verdict is Verdict.UNKNOWN:
            verdict = Verdict.REFUSED  # others could be written, and it says why this one cannot
        self._wire.note_write(verdict)
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
        verdict, answer = await self._get(chunk, POLL, forbidden=True)
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
            verdict, answer = await self._get(chunk, LOOK_UP, forbidden=True)
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
            self._proving.add(number)
            await anyio.sleep(left)

    def _holds(self, answer: Answer, chunk: Chunk) -> bool:
        try:
            return self._talk.holds(answer, chunk)
        except ProtocolError:
            return False
