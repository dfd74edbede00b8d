"""What becomes of the rows of a chunk that the carrier refused: nothing of it was created.

Rows that an error names fail. Where none is named, the chunk goes on in halves, for the others need not fail with the one
that is to blame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import anyio
import numpy as np
import structlog
from numpy.typing import NDArray

from batcher.carrier.recorder import Recorder
from batcher.carrier.settle import halves, named_positions, refuse, split
from batcher.ledger import ACCEPTED, SETTLED, Head, Planned, planned
from batcher.model import Chunk, Issue, Operation

_log = structlog.get_logger()

#: A chunk whose error names nobody is halved so often at most.
MAX_LEVEL = 8
#: Where nothing of it was accepted by then, nothing will be.
HOPELESS_LEVEL = 5
#: How often it is looked whether the other parts were answered.
_LOOK_SECONDS = 0.2


class Refusals:
    """The refusals of one step's operation."""

    def __init__(self, operation: Operation, record: Recorder) -> None:
        self._operation, self._record, self._ledger = operation, record, record.ledger

    async def refused(self, head: Head, chunk: Chunk, attempt: int, issues: Sequence[Issue]) -> None:
        """Nothing was created. Rows that are named fail, and the others go out again as a chunk of their own.

        Where none is named, and one of them may be to blame, the chunk goes on as two halves.
        """
        named = named_positions(chunk, issues)
        if 0 < len(named) < len(chunk.rows):
            rest = np.setdiff1d(np.arange(len(chunk.rows)), named)
            children = [self._child(head, chunk, rest, level=head.level, family=head.family)]
            settlement = refuse(chunk, issues, named_only=True).packed()
            await self._record.keep(self._ledger.refuse, chunk.number, attempt, settlement, children, _said(issues))
        elif not len(named) and await self._may_be_halved(head, chunk, issues):
            halves_of_it = self._halves(head, chunk)
            await self._record.keep(self._ledger.refuse, chunk.number, attempt, None, halves_of_it, _said(issues))
        else:
            await self.fail(chunk, attempt, issues)
        _log.warning("refused", chunk=chunk.number, code=issues[0].code, why=issues[0].text, named=len(named))

    async def fail(self, chunk: Chunk, attempt: int, issues: Sequence[Issue]) -> None:
        settlement = refuse(chunk, issues, named_only=False).packed()
        await self._record.keep(self._ledger.refuse, chunk.number, attempt, settlement, (), _said(issues))

    async def _may_be_halved(self, head: Head, chunk: Chunk, issues: Sequence[Issue]) -> bool:
        """Whether a part of a refused chunk may be without fault, by what the error says and by what was tried already."""
        blamed = {self._operation.blame.get(issue.code, "row") for issue in issues}
        if len(chunk.rows) == 1 or head.level >= MAX_LEVEL or "order" in blamed:
            return False
        if "row" not in blamed and len(chunk.groups) == 1:
            return False
        if head.level < HOPELESS_LEVEL:
            return True
        # Acceptances may take longer than refusals. Nobody waits for this part in turn: those below go on at once.
        while await self._record(self._ledger.is_family_under_way, head.family, HOPELESS_LEVEL):  # ruff: ignore[async-busy-wait] - the ledger tells
            await anyio.sleep(_LOOK_SECONDS)
        # Where half of a half of a half was refused like all before it, it is not this TN or that.
        return not await self._record(self._ledger.is_family_refused, head.family)

    async def _holds_the_fault(self, head: Head, chunk: Chunk) -> bool:
        """Whether a chunk need not be sent to be known to be refused: the other half of what was refused was accepted."""
        if head.after is None or len(chunk.rows) == 1 or head.level >= MAX_LEVEL or head.attempt:
            return False
        sister: Head = await self._record(self._ledger.head, head.after)
        return sister.state in {ACCEPTED, SETTLED}

    async def divided(self, head: Head, chunk: Chunk) -> bool:
        """Whether a chunk went on as two halves without being sent: it is known that it would be refused."""
        if not await self._holds_the_fault(head, chunk):
            return False
        await self._record(self._ledger.divide, head.number, self._halves(head, chunk))
        return True

    def _halves(self, head: Head, chunk: Chunk) -> list[Planned]:
        """Both halves of a chunk in which somebody is to blame; the second one waits for what becomes of the first."""
        first, second = halves(chunk)
        more = {"level": head.level + 1, "family": head.family or chunk.number}
        return [self._child(head, chunk, first, **more), self._child(head, chunk, second, sister=0, **more)]

    async def too_large(self, head: Head, chunk: Chunk, attempt: int) -> None:
        """413: nothing was created; each half goes out as a chunk of its own."""
        if len(chunk.rows) == 1:
            return await self.fail(
                chunk, attempt, [Issue("error", 0, "413", "the carrier finds this request too large")]
            )
        children = [self._child(head, chunk, half, level=head.level, family=head.family) for half in halves(chunk)]
        return await self._record.keep(self._ledger.halve, chunk.number, attempt, children)

    def _child(self, head: Head, chunk: Chunk, keep: NDArray[np.int64], **more: Any) -> Planned:
        return planned(chunk.step, **split(self._bare(chunk), keep), parent=chunk.number, first=head.first, **more)

    def _bare(self, chunk: Chunk) -> Chunk:
        """The chunk without its secret values, as it may be written down."""
        secret = self._operation.secret
        groups = tuple({k: v for k, v in values.items() if k not in secret} for values in chunk.groups)
        return replace(chunk, groups=groups)


def _said(issues: Sequence[Issue]) -> str:
    """Code and text of a refusal's first error."""
    return f"{issues[0].code} {issues[0].text}".strip()
