"""The simulated rate limit: at most so many requests within any one second; the rest get 429 and execute nothing."""

from __future__ import annotations

import math
from collections import deque
from email.utils import formatdate
from typing import Literal, get_args

#: How a 429 says when to come back; the carrier documents `reset` (API.md 6), the others were met elsewhere.
HeaderStyle = Literal["reset", "reset-ms", "retry-after", "retry-after-date", "none"]
HEADER_STYLES: tuple[str, ...] = get_args(HeaderStyle)


class Throttle:
    """Admits `per_second` requests in any window of one second (below one: a longer window); None admits all."""

    def __init__(self, per_second: float | None, style: HeaderStyle) -> None:
        self._limit = None if per_second is None else max(1, int(per_second))
        self._window_seconds = max(1.0, 1.0 / (per_second or 1.0))
        self._style = style
        self._admitted: deque[float] = deque()

    def refusal(self, now: float) -> dict[str, str] | None:
        """Headers of the 429, or None when the request is admitted. `now` in epoch seconds."""
        if self._limit is None:
            return None
        while self._admitted and now - self._admitted[0] >= self._window_seconds:
            self._admitted.popleft()
        if len(self._admitted) < self._limit:
            self._admitted.append(now)
            return None
        return self._headers(now, math.ceil(self._admitted[0] + self._window_seconds))

    def _headers(self, now: float, reset: int) -> dict[str, str]:
        match self._style:
            case "reset":
                return {"X-RateLimit-Reset": str(reset)}
            case "reset-ms":
                return {"X-RateLimit-Reset": str(reset * 1000)}
            case "retry-after":
                return {"Retry-After": str(max(1, math.ceil(reset - now)))}
            case "retry-after-date":
                return {"Retry-After": formatdate(reset, usegmt=True)}
            case "none":
                return {}
