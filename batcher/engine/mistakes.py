"""Mistakes in a job file, told as `file:line: key: what is wrong - did you mean "…"?`."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel


class Lines:
    """Where a key stands in the file: tomllib does not say."""

    _HEADER = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_.-]+)\s*\]\]?")
    _PART = r"[A-Za-z0-9_-]+|\"[^\"]*\"|'[^']*'"
    _KEY = re.compile(rf"\s*((?:{_PART})(?:\s*\.\s*(?:{_PART}))*)\s*=")

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self._line: dict[tuple[Any, ...], int] = {}
        table: tuple[Any, ...] = ()
        seen: dict[str, int] = {}
        for number, line in enumerate(text.splitlines(), 1):
            if header := self._HEADER.match(line):
                name, *rest = header[2].split(".")
                if header[1] == "[[":
                    seen[name] = seen.get(name, -1) + 1
                table = (name, seen[name], *rest) if name in seen else (name, *rest)
                self._keep(table, number)
            elif key := self._KEY.match(line):
                self._keep((*table, *(part.strip("\"'") for part in re.findall(self._PART, key[1]))), number)

    def _keep(self, where: tuple[Any, ...], number: int) -> None:
        for end in range(1, len(where) + 1):
            self._line.setdefault(where[:end], number)

    def told(self, where: tuple[Any, ...], key: str, message: str, hint: str = "") -> str:
        line = next((self._line[where[:end]] for end in range(len(where), 0, -1) if where[:end] in self._line), None)
        return f"{self.file}:{line}: {key}: {message}{hint}" if line else f"{self.file}: {key}: {message}{hint}"


def near(word: str, words: Sequence[str]) -> str:
    """` - did you mean "…"?`, or nothing."""
    close = difflib.get_close_matches(word, words, 1, 0.6)
    return f' - did you mean "{close[0]}"?' if close else ""


def told(
    lines: Lines, place: tuple[Any, ...], problem: Any, model: type[BaseModel], *, secret: Sequence[str] = ()
) -> str:
    """One pydantic error in our words; a value of a `secret` key is not shown."""
    loc = problem["loc"]
    is_setting = bool(place)
    # Of a setting that may be of several types, pydantic tells each type by itself: they become one mistake.
    where = (*place, *(loc[:1] if is_setting else loc))
    key = str(where[-1])
    if problem["type"] == "extra_forbidden":
        known = _keys(model, loc[:-1])
        return lines.told(where, _dotted(where), "unknown key", near(key, known) or f" (known: {', '.join(known)})")
    if problem["type"] == "missing":
        return lines.told(where[:-1], _dotted(where), "is missing")
    shown = "***" if key in secret else repr(problem["input"])
    if is_setting and len(loc) > 1:
        message = f'should be text in quotes, or {{ column = "…" }}, not {shown}'
    elif problem["type"] == "value_error":
        message = problem["msg"].removeprefix("Value error, ")
    else:
        message = re.sub(r"a valid dictionary( or instance of [A-Za-z]+)?", "a table", problem["msg"])
        message = f"{message.removeprefix('Input ').removeprefix('String ').removeprefix('List ')}, not {shown}"
    literals = [
        str(part).strip("'") for part in re.findall(r"'[^']*'", str(problem.get("ctx", {}).get("expected", "")))
    ]
    return lines.told(where, _dotted(where), message, near(shown.strip("'"), literals))


def _keys(model: type[BaseModel], loc: Sequence[Any]) -> list[str]:
    for part in loc:
        field = model.model_fields.get(str(part))
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            return []
        model = field.annotation
    return list(model.model_fields)


def _dotted(where: Sequence[Any]) -> str:
    return ".".join(str(part + 1) if isinstance(part, int) else str(part) for part in where)


def syntax(path: Path, error: tomllib.TOMLDecodeError) -> str:
    found = re.fullmatch(r"(.*) \(at line ([0-9]+), column [0-9]+\)", str(error))
    return f"{path}:{found[2]}: {found[1]}." if found else f"{path}: {error}."


def by_line(mistake: str) -> tuple[int, str]:
    found = re.search(r":([0-9]+): ", mistake)
    return (int(found[1]) if found else 0, mistake)
