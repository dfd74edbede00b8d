"""The states of a chunk under any order of events, beside a model in plain Python that keeps the promises of the design."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from batcher.ledger import (
    ACCEPTED,
    MAX_RESENDS,
    OPEN_STATES,
    PARKED,
    READY,
    REFUSED,
    RETIRED,
    SENDING,
    SETTLED,
    UNKNOWN,
    Ledger,
    planned,
)
from batcher.ledger.states import TRANSITIONS

FIRST_TN = 19195550100
HOUR = 3600.0


@dataclass
class Modelled:
    """What the ledger should know of a chunk."""

    rows: list[int]
    parent: int | None = None
    sister: int | None = None
    first: bool = False
    state: str = READY
    attempt: int = 0
    resends: int = 0
    doubted: bool = False
    order_id: str | None = None
    status: str | None = None
    why: str | None = None
    audited: bool = False
    #: other orders that carry its id
    strange: list[str] = field(default_factory=list)
    #: sent after a doubt that no person has put aside
    sent_again: int = 0
    in_doubt: bool = False
    #: rows that the refusal named
    failed: list[int] = field(default_factory=list)


def lot(rows: list[int], **more: Any) -> Any:
    """A chunk of these rows as planning writes it."""
    numbers = np.array(rows, np.int64)
    group = np.zeros(len(rows), np.int64)
    return planned(1, rows=numbers, tns=FIRST_TN + numbers, envelope={}, groups=[{"sms": "on"}], group=group, **more)


class Chunks(RuleBasedStateMachine):
    """Rules call the ledger as conversations, starts and people do, in any order that they may."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.ledger = Ledger(Path(self.folder.name) / "ledger.db")
        self.chunks: dict[int, Modelled] = {}
        #: chunks as they came to an end
        self.verdicts: list[int] = []
        self.too_large_ones: set[int] = set()
        self.orders = 0
        self.before: dict[int, str] = {}
        #: chunks whose rows were read: they never change
        self.looked_at: set[int] = set()

    def teardown(self) -> None:
        self.ledger.close()
        self.folder.cleanup()

    @initialize(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=3), sample=st.booleans())
    def plan(self, sizes: list[int], sample: bool) -> None:
        self.ledger.create_run("r", digest="d", prefix="abcdefghij", facts={}, steps=[("tn-options", {})])
        self.ledger.begin_plan(1)
        row = 1
        for number, size in enumerate(sizes, 1):
            first = sample and number == 1
            chunk = Modelled(list(range(row, row + size)), first=first)
            self.ledger.add_chunks([lot(chunk.rows, first=first)])
            self.chunks[number] = chunk
            row += size
        self.ledger.end_plan(1)
        self.rows = row - 1

    def pick(self, data: st.DataObject, *states: str) -> tuple[int, Modelled]:
        """A chunk in one of these states; the rule is skipped where there is none."""
        there = [number for number, chunk in self.chunks.items() if chunk.state in states]
        number = data.draw(st.sampled_from(there))
        return number, self.chunks[number]

    def has(*states: str) -> Callable[[Any], bool]:
        return lambda self: any(chunk.state in states for chunk in self.chunks.values())

    def new_order(self) -> str:
        self.orders += 1
        return f"ab-{self.orders}"

    # What a conversation does

    @precondition(has(READY))
    @rule(data=st.data(), before=st.one_of(st.none(), st.binary(max_size=4)))
    def intend(self, data: st.DataObject, before: bytes | None) -> None:
        self.intended(*self.pick(data, READY), before)

    def intended(self, number: int, chunk: Modelled, before: bytes | None = None) -> None:
        chunk.attempt += 1
        chunk.state = SENDING
        chunk.audited = False
        chunk.sent_again += chunk.in_doubt
        chunk.in_doubt = False
        assert self.ledger.intend(number, before) == chunk.attempt

    @precondition(has(SENDING))
    @rule(data=st.data())
    def unsend(self, data: st.DataObject) -> None:
        number, chunk = self.pick(data, SENDING)
        self.ledger.unsend(number, chunk.attempt, "429")
        # Not executed is free: the try that it takes back was none, and the doubt before it stands where it was.
        chunk.state = READY

    @precondition(has(SENDING))
    @rule(data=st.data())
    def doubt(self, data: st.DataObject) -> None:
        self.lost(*self.pick(data, SENDING))

    def lost(self, number: int, chunk: Modelled) -> None:
        self.ledger.doubt(number, chunk.attempt, "reset")
        chunk.state, chunk.doubted, chunk.why = UNKNOWN, True, "reset"

    @precondition(has(SENDING))
    @rule(data=st.data())
    def accept(self, data: st.DataObject) -> None:
        number, chunk = self.pick(data, SENDING)
        order_id = self.new_order()
        self.ledger.accept(number, chunk.attempt, order_id, "RECEIVED", None)
        chunk.state, chunk.order_id, chunk.status, chunk.why = ACCEPTED, order_id, "RECEIVED", None

    @precondition(has(UNKNOWN, PARKED))
    @rule(data=st.data(), doubles=st.integers(0, 2))
    def found(self, data: st.DataObject, doubles: int) -> None:
        number, chunk = self.pick(data, UNKNOWN, PARKED)
        order_id, others = self.new_order(), [self.new_order() for _ in range(doubles)]
        self.ledger.found(number, order_id, others)
        chunk.state, chunk.order_id, chunk.why = ACCEPTED, order_id, None
        chunk.strange += others

    @precondition(has(UNKNOWN))
    @rule(data=st.data(), times=st.integers(1, 4))
    def absent(self, data: st.DataObject, times: int) -> None:
        """Mostly again and again, or few chunks would be in doubt for a third time."""
        number, chunk = self.pick(data, UNKNOWN)
        self.proven_absent(number, chunk)
        while times > 1 and chunk.state == READY:
            times -= 1
            for step in (self.intended, self.lost, self.proven_absent):
                self.only_known_ways()
                step(number, chunk)

    def proven_absent(self, number: int, chunk: Modelled) -> None:
        state = self.ledger.absent(number, "3 clean misses")
        assert state == (READY if chunk.resends < MAX_RESENDS else PARKED)
        chunk.why = None if state == READY else f"absent again after {chunk.resends} re-sends"
        chunk.state, chunk.resends = state, min(chunk.resends + 1, MAX_RESENDS)
        chunk.in_doubt = state == READY

    @precondition(has(UNKNOWN, ACCEPTED))
    @rule(data=st.data())
    def park(self, data: st.DataObject) -> None:
        number, chunk = self.pick(data, UNKNOWN, ACCEPTED)
        self.ledger.park(number, "who knows")
        chunk.state, chunk.why = PARKED, "who knows"

    @precondition(has(ACCEPTED))
    @rule(data=st.data(), status=st.sampled_from(["COMPLETE", "PARTIAL", "FAILED"]))
    def settle(self, data: st.DataObject, status: str) -> None:
        number, chunk = self.pick(data, ACCEPTED)
        self.ledger.settle(number, status, None)
        self.ended(number, chunk, SETTLED, status)

    @precondition(has(READY, SENDING))
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        """One rule for all that ends a chunk without an order, or most would end before anything happens to them."""
        ways = {SENDING: (self.settle_a_check, self.refuse, self.halve, self.too_large)}
        there = data.draw(st.sampled_from([state for state in (READY, SENDING) if Chunks.has(state)(self)]))
        data.draw(st.sampled_from(ways.get(there, (self.settle_unsent, self.divide, self.retire))))(data)

    def settle_a_check(self, data: st.DataObject) -> None:
        number, chunk = self.pick(data, SENDING)
        self.ledger.settle(number, "COMPLETE", None, was=SENDING, attempt=chunk.attempt)
        self.ended(number, chunk, SETTLED, "COMPLETE")

    def settle_unsent(self, data: st.DataObject) -> None:
        number, chunk = self.pick(data, READY)
        self.ledger.settle(number, None, None, was=READY)
        self.ended(number, chunk, SETTLED, None)

    def ended(self, number: int, chunk: Modelled, state: str, status: str | None) -> None:
        chunk.state, chunk.status, chunk.why = state, status, None
        if number not in self.verdicts:
            self.verdicts.append(number)

    def refuse(self, data: st.DataObject) -> None:
        """Some rows are named and fail; what is left goes on as one chunk."""
        number, chunk = self.pick(data, SENDING)
        chunk.failed = sorted(data.draw(st.sets(st.sampled_from(chunk.rows), min_size=1)))
        rest = [row for row in chunk.rows if row not in chunk.failed]
        children = [lot(rest, parent=number, first=chunk.first)] if rest else []
        self.ledger.refuse(number, chunk.attempt, None, children)
        if rest:
            self.chunks[len(self.chunks) + 1] = Modelled(rest, parent=number, first=chunk.first)
        self.ended(number, chunk, REFUSED, chunk.status)

    def halve(self, data: st.DataObject) -> None:
        number, chunk = self.pick(data, SENDING)
        children = self.halves(number, chunk)
        if not children:
            chunk.failed = chunk.rows
        self.ledger.refuse(number, chunk.attempt, None, children)
        self.ended(number, chunk, REFUSED, chunk.status)

    def too_large(self, data: st.DataObject) -> None:
        """Its halves go on, and nobody counts it as refused, unless it is a quarter of the largest, or less."""
        number, chunk = self.pick(data, SENDING)
        if children := self.halves(number, chunk):
            self.ledger.halve(number, chunk.attempt, children)
            chunk.state, chunk.why = REFUSED, None
            self.too_large_ones.add(number)
            if 4 * len(chunk.rows) <= max(len(each.rows) for each in self.chunks.values()):
                self.verdicts.append(number)

    def divide(self, data: st.DataObject) -> None:
        number, chunk = self.pick(data, READY)
        if len(chunk.rows) > 1:
            self.ledger.divide(number, self.halves(number, chunk))
            chunk.state = REFUSED

    def halves(self, number: int, chunk: Modelled) -> list[Any]:
        """Both halves, the second one behind the first; none of a single row."""
        if len(chunk.rows) == 1:
            return []
        middle, last = len(chunk.rows) // 2, len(self.chunks)
        parts = [chunk.rows[:middle], chunk.rows[middle:]]
        self.chunks[last + 1] = Modelled(parts[0], parent=number, first=chunk.first)
        self.chunks[last + 2] = Modelled(parts[1], parent=number, first=chunk.first, sister=last + 1)
        more = {"parent": number, "first": chunk.first, "level": 1, "family": number}
        return [lot(parts[0], **more), lot(parts[1], **more, sister=0)]

    def retire(self, data: st.DataObject) -> None:
        number, chunk = self.pick(data, READY)
        self.ledger.retire(number, "STALE")
        chunk.state, chunk.why = RETIRED, "STALE"

    @precondition(has(SETTLED, REFUSED, RETIRED))
    @rule(data=st.data(), doubles=st.integers(0, 1))
    def audit(self, data: st.DataObject, doubles: int) -> None:
        number, chunk = self.pick(data, SETTLED, REFUSED, RETIRED)
        strange = [self.new_order() for _ in range(doubles)]
        self.ledger.audited(number, [*([chunk.order_id] if chunk.order_id else []), *strange])
        chunk.audited = True
        chunk.strange += strange

    # An answer that comes too late

    @precondition(lambda self: any(chunk.attempt for chunk in self.chunks.values()))
    @rule(data=st.data())
    def late_answer(self, data: st.DataObject) -> None:
        """Of an earlier attempt, or of this one when it is over: nothing changes, and whoever brings it is told."""
        sent = [number for number, chunk in self.chunks.items() if chunk.attempt]
        number = data.draw(st.sampled_from(sent))
        chunk = self.chunks[number]
        newest = chunk.attempt - 1 if chunk.state == SENDING else chunk.attempt
        attempt = data.draw(st.integers(0, max(newest, 0)))
        call = data.draw(
            st.sampled_from(
                [
                    lambda: self.ledger.unsend(number, attempt, "429"),
                    lambda: self.ledger.doubt(number, attempt, "reset"),
                    lambda: self.ledger.accept(number, attempt, "late", "RECEIVED", b"late"),
                    lambda: self.ledger.refuse(number, attempt, b"late", [lot([1])]),
                    lambda: self.ledger.settle(number, "FAILED", b"late", was=SENDING, attempt=attempt),
                ]
            )
        )
        before = (self.ledger.head(number), self.ledger.events(number), self.ledger.issues(number))
        with pytest.raises(AssertionError, match="somebody else changed it"):
            call()
        assert (self.ledger.head(number), self.ledger.events(number), self.ledger.issues(number)) == before

    # What a start does

    def move_all(self, was: str, to: str, **values: Any) -> int:
        moved = [chunk for chunk in self.chunks.values() if chunk.state == was]
        for chunk in moved:
            chunk.state = to
            for name, value in values.items():
                setattr(chunk, name, value)
        return len(moved)

    @precondition(has(SENDING))
    @rule(repeatable=st.booleans())
    def recover(self, repeatable: bool) -> None:
        why = "found in SENDING at the start of an attempt"
        if repeatable:
            moved = self.move_all(SENDING, READY, why=why)
        else:
            moved = self.move_all(SENDING, UNKNOWN, why=why, doubted=True)
        assert self.ledger.recover(1, repeatable=repeatable) == moved

    @precondition(has(PARKED))
    @rule()
    def unpark(self) -> None:
        moved = [chunk for chunk in self.chunks.values() if chunk.state == PARKED]
        for chunk in moved:
            chunk.state = ACCEPTED if chunk.order_id else UNKNOWN
        assert self.ledger.unpark(1) == len(moved)

    @precondition(lambda self: len(self.chunks) > 4)
    @rule(is_old=st.booleans())
    def retire_stale(self, is_old: bool) -> None:
        moved = self.move_all(READY, RETIRED, why="STALE") if is_old else 0
        assert self.ledger.retire_stale(time.time() + HOUR if is_old else time.time() - HOUR) == moved

    @rule()
    def revive_stale(self) -> None:
        stale = [chunk for chunk in self.chunks.values() if chunk.state == RETIRED and chunk.why == "STALE"]
        assert self.ledger.has_stale() == bool(stale)
        for chunk in stale:
            chunk.state, chunk.why = READY, None
        assert self.ledger.revive_stale() == len(stale)

    @precondition(lambda self: len(self.chunks) > 6)
    @rule()
    def retire_run(self) -> None:
        self.ledger.retire_run("SUPERSEDED")
        self.move_all(READY, RETIRED, why="SUPERSEDED")

    # What a person does

    @precondition(has(UNKNOWN, PARKED))
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        number, chunk = self.pick(data, UNKNOWN, PARKED)
        self.ledger.release(number)
        chunk.state, chunk.resends, chunk.order_id, chunk.status, chunk.why = READY, 0, None, None, None
        chunk.sent_again, chunk.in_doubt = 0, False

    # What holds after each of them

    @invariant()
    def the_ledger_knows_what_happened(self) -> None:
        heads = {head.number: head for head in self.ledger.heads(1)}
        assert heads.keys() == self.chunks.keys()
        for number, chunk in self.chunks.items():
            head = heads[number]
            assert (head.state, head.attempt, head.resends, head.doubted) == (
                chunk.state,
                chunk.attempt,
                chunk.resends,
                chunk.doubted,
            )
            assert (head.order_id, head.status, head.why) == (chunk.order_id, chunk.status, chunk.why)
            assert (head.parent, head.after, head.first) == (chunk.parent, chunk.sister, chunk.first)
            assert head.customer_order_id == f"b-abcdefghij-{number}"

    @invariant()
    def only_known_ways(self) -> None:
        """Each rule moves a chunk by one step at most."""
        now = {number: chunk.state for number, chunk in self.chunks.items()}
        moved = {(self.before[number], state) for number, state in now.items() if number in self.before}
        assert {way for way in moved if way[0] != way[1]} <= TRANSITIONS.keys()
        assert all(state == READY for number, state in now.items() if number not in self.before)
        self.before = now

    @invariant()
    def sent_again_at_most_twice(self) -> None:
        for chunk in self.chunks.values():
            assert chunk.sent_again <= MAX_RESENDS

    @invariant()
    def no_row_is_lost_or_doubled(self) -> None:
        """Of a refused chunk, its children hold exactly the rows that did not fail; and so all rows stand somewhere once."""
        standing: list[int] = []
        for number, chunk in self.chunks.items():
            if number not in self.looked_at:
                self.looked_at.add(number)
                assert self.ledger.chunk(number)[1].rows.tolist() == chunk.rows
            if chunk.state != REFUSED:
                standing += chunk.rows
                continue
            children = [child.rows for child in self.chunks.values() if child.parent == number]
            assert sorted(row for rows in children for row in rows) == sorted(set(chunk.rows) - set(chunk.failed))
            standing += chunk.failed
        assert sorted(standing) == list(range(1, getattr(self, "rows", 0) + 1))

    @invariant()
    def what_is_read_of_it(self) -> None:
        waits = {READY, SENDING, UNKNOWN}
        for first in (False, True):
            sendable = [
                number
                for number, chunk in self.chunks.items()
                if chunk.state == READY
                and (chunk.first or not first)
                and not (chunk.sister and self.chunks[chunk.sister].state in waits)
            ]
            assert self.ledger.sendable(1, after=0, most=100, first=first) == sendable
        assert self.ledger.unaudited(1) == [
            number
            for number, chunk in self.chunks.items()
            if chunk.state in {SETTLED, REFUSED, RETIRED} and (chunk.doubted or chunk.attempt > 1) and not chunk.audited
        ]
        doubles = {
            number: {*chunk.strange, *([chunk.order_id] if chunk.order_id else [])}
            for number, chunk in self.chunks.items()
            if chunk.strange
        }
        assert {number: set(ids) for number, ids in self.ledger.doubles()} == doubles
        planned_ones = [
            number for number in self.verdicts if self.chunks[number].parent in {None, *self.too_large_ones}
        ]
        assert self.ledger.first_verdicts(1, 3) == [
            (number, self.chunks[number].state == REFUSED or self.chunks[number].status == "FAILED")
            for number in planned_ones[:3]
        ]
        states = [chunk.state for chunk in self.chunks.values()]
        assert self.ledger.chunks_by_state() == {state: states.count(state) for state in set(states)}
        assert set(states) <= {*OPEN_STATES, SETTLED, REFUSED, RETIRED}


TestChunks = Chunks.TestCase
#: What fails is shown as it was found: to make it smaller would take minutes.
TestChunks.settings = settings(
    max_examples=50,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
)
