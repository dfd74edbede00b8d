"""What holds requests back when one after the other fails: a pause, then a single try, and a longer pause if that fails too.

It counts and keeps the time; who tries what, and what counts as a failure, is the wire's business.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

#: So many failures in a row open it.
MOST_FAILURES = 5
#: The first pause, and the longest, in seconds; each is twice the one before.
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 30.0, 300.0


@dataclass
class Breaker:
    """Failures in a row of one kind of request. `clock` gives seconds that go on while the machine is suspended."""

    clock: Callable[[], float]
    failures: int = 0
    #: when the present row of failures began
    since: float | None = None
    _until: float = 0.0
    _pause: float = 0.0
    _is_tried: bool = False

    @property
    def is_open(self) -> bool:
        """Nothing goes but a try, once the pause is over."""
        return self._pause > 0

    def pause_seconds(self) -> float:
        """Seconds until the next try may go; 0 when it may now."""
        return max(0.0, self._until - self.clock())

    def down_seconds(self) -> float:
        """How long nothing has succeeded; 0 while the last one did."""
        return 0.0 if self.since is None else self.clock() - self.since

    @property
    def is_shut(self) -> bool:
        """Nothing may go now: it pauses, or what became of the try behind the pause is not known yet."""
        return self.is_open and (self._is_tried or self.pause_seconds() > 0)

    def admits(self) -> bool:
        """Whether a request may go now; behind a pause, whoever is told so is the try."""
        if self.is_shut:
            return False
        self._is_tried = self.is_open
        return True

    def failed(self) -> None:
        """A request failed. One that was under way when the breaker opened does not make the pause longer."""
        self.failures += 1
        self.since = self.clock() if self.since is None else self.since
        if self.failures < MOST_FAILURES or self.pause_seconds():
            return
        self._pause = min(LONGEST_PAUSE_SECONDS, 2 * self._pause) or FIRST_PAUSE_SECONDS
        self._until, self._is_tried = self.clock() + self._pause, False

    def worked(self) -> None:
        """A request succeeded: everything goes again."""
        self.failures, self.since = 0, None
        self._until, self._pause, self._is_tried = 0.0, 0.0, False

    def unsaid(self) -> None:
        """The try was neither (a 429): another may go."""
        self._is_tried = False
