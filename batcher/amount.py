"""How many of something, in words."""

from __future__ import annotations


def amount(count: int, noun: str) -> str:
    """`1 row`, `12,400 rows`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
