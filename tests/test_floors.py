"""The layers: imports point downwards only, and a few libraries have one door each (DESIGN.md section 4)."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "batcher"

#: Every module, the ground floor first. On its own floor a module may import those that stand before it.
FLOORS = (
    "__init__ errors model visible amount codes cell tn",
    (
        "blob spool scan numbering header heading origin delimited parquet markup display sheet archive workbook part table kernel normalize "
        "ledger.tables ledger.states ledger.file ledger.rows ledger.readings ledger.record ledger "
        "carrier carrier.xml carrier.limits carrier.retry carrier.auth carrier.destination carrier.client carrier.breaker carrier.wire "
        "carrier.settle carrier.recorder carrier.refusals carrier.look_up carrier.ensure carrier.converse"
    ),
    "operations operations.import_tn_checker operations.sippeer_failover operations.tn_details operations.tn_options",
    (
        "engine engine.mistakes engine.job engine.folder engine.values engine.duplicates engine.outcome engine.ragged engine.totals engine.judge "
        "engine.identity engine.sample engine.plan engine.submit engine.steps engine.send engine.words engine.summary engine.report "
        "engine.attempt engine.superseded engine.survey engine.run engine.check engine.status engine.renumber engine.rewrite"
    ),
    (
        "process logs progress shipped "
        "simulator.toml simulator.numbers simulator.credentials simulator.options simulator.orders simulator.answers "
        "simulator.tnoptions simulator.sippeers simulator.journal simulator.account simulator.routes simulator.throttle "
        "simulator.faults simulator.app simulator "
        "way screen arguments cli __main__"
    ),
)
PLACES = {module: (floor, place) for floor, line in enumerate(FLOORS) for place, module in enumerate(line.split())}

#: What may be imported at the top of the modules that `--help` and reading a job wait for, besides ourselves and the
#: standard library.
LIGHT = {
    "cli": {"click"},
    "arguments": {"click"},
    "screen": {"click"},
    "way": set(),
    "engine.job": {"pydantic"},
    "model": set(),
    "errors": set(),
    "tn": set(),
}

#: library: the only modules, by their beginnings, that may import it
DOORS = {
    "aiohttp": ("carrier.client",),
    "aiohttp.web": ("simulator.",),
    "sqlalchemy": ("ledger.",),
    "tqdm": ("progress",),
    "click": ("__main__", "arguments", "cli", "screen"),
}


def sources() -> dict[str, str]:
    """Module name without `batcher.` (the package itself: `__init__`) and its text."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path.read_text("utf-8")
    return found


def imports(text: str) -> Iterator[tuple[int, str, list[str]]]:
    """(line, module, names) of every import, wherever it stands."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports name their module in full"
            yield node.lineno, node.module or "", [alias.name for alias in node.names]


def own_imports(text: str, known: Mapping[str, object]) -> Iterator[tuple[int, str]]:
    """(line, our module) of every import of ours; `from batcher.carrier import xml` is one of `carrier.xml`."""
    for line, module, names in imports(text):
        if module.partition(".")[0] != "batcher":
            continue
        inside = module.removeprefix("batcher").removeprefix(".")
        for name in names or [""]:
            whole = f"{inside}.{name}".strip(".")
            yield line, whole if whole in known else inside or "__init__"


def file_of(module: str, modules: Mapping[str, str]) -> str:
    is_package = any(other.startswith(f"{module}.") for other in modules)
    return f"batcher/{module.replace('.', '/')}{'/__init__' if is_package else ''}.py"


def upward(modules: Mapping[str, str]) -> list[str]:
    """Each module without a place, and each import that points upwards, told with file and line."""
    told = [f"{file_of(module, modules)}: stands on no floor" for module in modules if module not in PLACES]
    for module, text in modules.items():
        for line, imported in own_imports(text, modules):
            if module not in PLACES or imported not in PLACES or PLACES[imported] < PLACES[module]:
                continue
            (above, _), (below, _) = PLACES[imported], PLACES[module]
            told.append(
                f"{file_of(module, modules)}:{line} imports batcher.{imported} (floor {above} from floor {below})"
            )
    return told


def wrong_doors(modules: Mapping[str, str]) -> list[str]:
    """Each import of a library outside of its own door."""
    told = []
    for module, text in modules.items():
        for line, imported, names in imports(text):
            library = f"{imported}.{names[0]}" if f"{imported}.{'.'.join(names)}" in DOORS else imported
            library = library if library in DOORS else library.partition(".")[0]
            if library in DOORS and not any(f"{module}.".startswith(door) for door in DOORS[library]):
                told.append(f"{file_of(module, modules)}:{line} imports {library}")
    return told


def heavy(modules: Mapping[str, str]) -> list[str]:
    """Each library that a light module imports at its top; what only the type checker reads does not count."""
    told = []
    for module, allowed in LIGHT.items():
        top = [node for node in ast.parse(modules[module]).body if isinstance(node, ast.Import | ast.ImportFrom)]
        for line, imported, _ in imports("\n".join(map(ast.unparse, top))):
            library = imported.partition(".")[0]
            if library not in {*sys.stdlib_module_names, "batcher", *allowed}:
                told.append(f"{file_of(module, modules)}: import {line} at the top is {library}")
    return told


def configuring(modules: Mapping[str, str]) -> list[str]:
    """The modules that configure structlog."""
    return [
        module
        for module, text in modules.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("structlog.configure")
    ]


def test_imports_point_downwards():
    """No module knows anything that stands above it, and a new one has to be given its floor."""
    assert upward(sources()) == []


def test_the_table_names_no_module_that_is_gone():
    """The floors are those of the tree as it is."""
    assert sorted(PLACES) == sorted(sources())


def test_each_library_has_its_door():
    """One seam for the wire, one for the ledger, one for the bar, one for the command line."""
    assert wrong_doors(sources()) == []


def test_logs_alone_configures_structlog():
    assert configuring(sources()) == ["logs"]


def test_the_simulator_shares_no_code_with_the_client():
    """Both sides are held against the carrier's documents, never only against each other."""
    shared = [
        (module, imported)
        for module, text in sources().items()
        if module.startswith("simulator")
        for _, imported in own_imports(text, sources())
        if not imported.startswith(("simulator", "errors"))
    ]
    assert shared == []


def test_light_modules_stay_light():
    """`--help`, and a mistake in a job file, do not wait for pandas."""
    assert heavy(sources()) == []


@pytest.mark.parametrize(
    ("module", "line", "message"),
    [
        pytest.param(
            "carrier.xml",
            "from batcher.engine.job import Job",
            "batcher/carrier/xml.py:3 imports batcher.engine.job (floor 3 from floor 1)",
            id="floor above",
        ),
        pytest.param(
            "tn",
            "def late():\n    from batcher import normalize",
            "batcher/tn.py:4 imports batcher.normalize (floor 1 from floor 0)",
            id="inside a function",
        ),
        pytest.param(
            "carrier.wire",
            "import batcher.carrier.converse",
            "batcher/carrier/wire.py:3 imports batcher.carrier.converse (floor 1 from floor 1)",
            id="later on the same floor",
        ),
        pytest.param("carrier.post", "", "batcher/carrier/post.py: stands on no floor", id="module without a floor"),
    ],
)
def test_the_checker_reports_a_planted_import(module, line, message):
    """A control: what the tests above look for is found where it is."""
    assert message in upward(sources() | {module: f'"""Planted."""\n\n{line}\n'})


@pytest.mark.parametrize(
    ("check", "module", "text"),
    [
        pytest.param(wrong_doors, "engine.run", "import aiohttp", id="client beside the wire"),
        pytest.param(wrong_doors, "simulator.app", "from aiohttp import ClientSession", id="client in the simulator"),
        pytest.param(wrong_doors, "carrier.client", "from aiohttp import web", id="server in the client"),
        pytest.param(wrong_doors, "engine.status", "from sqlalchemy import select", id="SQL beside the ledger"),
        pytest.param(wrong_doors, "cli", "from tqdm import tqdm", id="bar beside progress"),
        pytest.param(heavy, "cli", "import pandas as pd", id="pandas at the top of cli"),
        pytest.param(configuring, "cli", "structlog.configure(processors=[])", id="logs configured elsewhere"),
    ],
)
def test_the_other_checkers_report_what_is_planted(check, module, text):
    """A control for doors, light modules and logs."""
    assert len(check(sources() | {module: text})) > len(check(sources()))
