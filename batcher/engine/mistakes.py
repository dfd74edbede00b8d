"""Mistakes in a job file, told as `file:line: key: what is wrong - did you mean "…"?`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

#: What inputs are called; a job file that cannot be read and is called so is one of them.
_INPUTS = {".csv", ".tsv", ".txt", ".parquet", ".gz", ".zip", ".xls", ".xlsx"}
_IS_INPUT = "name it in a job file ([input] path), or give --operation NAME with it"
#: What tomllib says, and what it means.
_SYNTAX = (
    (r"Cannot declare step twice", "each step begins with [[step]], in double brackets"),
    (r"Cannot declare (.+) twice", r"[\1] was given before"),
    (r"Cannot (?:mutate immutable|redefine) namespace (.+)", r"\1 has its value already"),
    (r"Duplicate inline table key '(.+)'", r"\1 has its value already"),
    (r"Cannot overwrite a value", "this key has its value already"),
    (r"Illegal character '\\n'", "the quotes are not closed"),
    (r"Invalid value", "what stands here is no value; text stands in quotes"),
)


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

    def told(self, where: tuple[Any, ...], message: str) -> str:
        """`where` is the path of the key, steps counted from 0: ("step", 0, "sms") is told as step.1.sms."""
        line = next((self._line[where[:end]] for end in range(len(where), 0, -1) if where[:end] in self._line), None)
        return f"{self.file}{f':{line}' if line else ''}: {_dotted(where)}: {message}"


def near(word: str, words: Sequence[str]) -> str:
    """` - did you mean "…"?`, or nothing."""
    close = difflib.get_close_matches(word, words, 1, 0.6)
    return f' - did you mean "{close[0]}"?' if close else ""


def told(
    lines: Lines, place: tuple[Any, ...], problem: Any, model: type[BaseModel], *, secret: Sequence[str] = ()
) -> str:
    """One pydantic error in our words; a value of a `secret` key is not shown."""
    loc, kind = problem["loc"], problem["type"]
    is_setting = bool(place)
    # Of a setting that may be of several types, pydantic tells each type by itself: they become one mistake.
    where = (*place, *(loc[:1] if is_setting else loc))
    key = str(where[-1])
    if kind == "extra_forbidden":
        known = _keys(model, loc[:-1])
        hint = near(key, known) or f" (known: {', '.join(known)})"
        return lines.told(where, f"unknown key{hint}")
    if kind == "missing":
        return lines.told(where, "is missing")
    if kind in {"list_type", "too_short"}:
        return lines.told(where, f"begin each {key} with [[{key}]], in double brackets")
    value = "***" if key in secret else shown(problem["input"])
    if is_setting and len(loc) > 1:
        return lines.told(where, f'should be text in quotes, or {{ column = "…" }}, not {value}')
    if kind == "value_error":
        return lines.told(where, problem["msg"].removeprefix("Value error, "))
    if kind == "string_type":
        return lines.told(where, f"should be text in quotes, not {value}")
    message = re.sub(r"a valid dictionary( or instance of [A-Za-z]+)?", "a table", problem["msg"])
    message = message.replace("a valid tuple", 'a list (["…"])')
    message = re.sub(r"^(Input|String) ", "", message).replace("'", '"')
    words = re.findall(r"'([^']*)'", str(problem.get("ctx", {}).get("expected", "")))
    hint = near(value.strip('"'), words)
    return lines.told(where, f"{message}, not {value}{hint}")


def shown(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return f"[{', '.join(map(shown, value))}]"
    if isinstance(value, dict):
        return f"{{ {', '.join(f'{key} = {shown(inner)}' for key, inner in value.items())} }}"
    return str(value)


def _keys(model: type[BaseModel], loc: Sequence[Any]) -> list[str]:
    for part in loc:
        field = model.model_fields.get(str(part))
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            return []
        model = field.annotation
    return list(model.model_fields)


def _dotted(where: Sequence[Any]) -> str:
    return ".".join(str(part + 1) if isinstance(part, int) else str(part) for part in where)


def unreadable(path: Path, error: ValueError | RecursionError) -> str:
    """Why a file is no TOML; who names an input instead of a job file is told so."""
    if path.suffix.lower() in _INPUTS:
        return f"{path}: is an input, not a job file: {_IS_INPUT}."
    if isinstance(error, UnicodeDecodeError):
        line = error.object.count(b"\n", 0, error.start) + 1
        return (
            f"{path}:{line}: the byte 0x{error.object[error.start]:02x} is not UTF-8, as a job file has to be. "
            f"If this is an input, {_IS_INPUT}."
        )
    if isinstance(error, RecursionError):
        return f"{path}: no readable job file (nested too deeply)."
    found = re.fullmatch(r"(.*) \(at line ([0-9]+), column [0-9]+\)", str(error))
    return f"{path}:{found[2]}: {_in_words(found[1])}." if found else f"{path}: no readable job file ({error})."


def _in_words(message: str) -> str:
    """What tomllib says, its tuples of keys as dotted ones."""
    message = re.sub(r"\(('.*'),?\)", lambda found: ".".join(re.findall(r"'([^']*)'", found[1])), message)
    for told_by_python, meant in _SYNTAX:
        if found := re.fullmatch(told_by_python, message):
            return found.expand(meant)
    return message


def by_line(mistake: str) -> tuple[int, str]:
    found = re.search(r":([0-9]+): ", mistake)
    return (int(found[1]) if found else 0, mistake)
