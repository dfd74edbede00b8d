"""The registry: each module of this folder is one operation and exports it as `OPERATION`.

Nothing else in the tree names an operation. A module is imported only when its operation is asked for.
"""

# ruff: file-ignore[non-empty-init-module] - the registry stands where the folder is read.

from __future__ import annotations

import difflib
import importlib
import pkgutil
from typing import TYPE_CHECKING

from batcher.errors import InputError

if TYPE_CHECKING:
    from batcher.model import Operation


def names() -> list[str]:
    """The names of all operations, sorted: the module `tn_options` is the operation `tn-options`."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__))


def get(name: str) -> Operation:
    """The operation of that name; InputError names the nearest when there is none."""
    known = names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
        raise InputError(f"unknown operation {name!r}; {hint}")
    module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
    operation: Operation = module.OPERATION
    return operation
