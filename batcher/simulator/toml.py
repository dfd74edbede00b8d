"""Account and fault files: TOML into a checked model, or one message that names the file and every reason."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from batcher.errors import InputError

Model = TypeVar("Model", bound=BaseModel)


def read_toml(path: Path, model: type[Model]) -> Model:
    """The file as a `model`; InputError names the file and all that is wrong with it at once."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a TOML file: {error}") from error
    try:
        return model.model_validate(table)
    except ValidationError as error:
        # The values stay out of the message: the file may hold credentials.
        reasons = "; ".join(
            f"{_place(problem['loc'])}: {_reason(problem['type'], problem['msg'])}"
            for problem in error.errors(include_input=False, include_url=False)
        )
        raise InputError(f"{path}: {reasons}. The keys are described in docs/simulator.md.") from error


def _place(location: tuple[int | str, ...]) -> str:
    """`("fault", 0, "kind")` as a reader counts: `fault 1.kind`."""
    text = ""
    for part in location:
        text += f" {part + 1}" if isinstance(part, int) else f".{part}"
    return text.lstrip(".") or "file"


def _reason(kind: str, message: str) -> str:
    return "unknown key" if kind == "extra_forbidden" else message.removeprefix("Value error, ")
