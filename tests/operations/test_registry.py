"""The registry of operations."""

from __future__ import annotations

import subprocess
import sys

import pytest

from batcher import operations
from batcher.errors import InputError

NAMES = ["import-tn-checker", "sippeer-failover", "tn-details", "tn-options"]


def test_every_file_is_an_operation_of_its_name():
    """A file in the folder is all that an operation needs to be known, under the name of the file."""
    known = operations.names()

    assert set(NAMES) <= set(known)
    assert known == sorted(known)
    assert [operations.get(name).name for name in known] == known


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("tn-option", "did you mean 'tn-options'"),
        ("tn_options", "did you mean 'tn-options'"),
        ("zzz", "there are: .*tn-details"),
    ],
)
def test_an_unknown_operation_is_told_with_the_nearest(name: str, hint: str):
    """A slip of the pen is answered with the name that was meant; nothing else is imported for it."""
    with pytest.raises(InputError, match=f"unknown operation '{name}'; {hint}"):
        operations.get(name)


def test_names_alone_import_nothing_heavy():
    """Listing the operations for `--help` loads neither them nor what they need."""
    code = (
        "import sys; from batcher import operations; operations.names();"
        "assert not {'lxml', 'numpy', 'pydantic', 'batcher.operations.tn_options'} & set(sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("name", NAMES)
def test_what_an_operation_says_of_itself_is_there(name: str):
    """Settings named as secret, required, key or envelope exist; each setting says what it is."""
    operation = operations.get(name)
    fields = operation.settings.model_fields

    named = {*operation.secret, *operation.required, *operation.envelope, *operation.options, *operation.key} - {"tn"}
    assert named <= set(fields)
    assert all(field.description for field in fields.values())
    assert set(operation.path) == {"v1", "v2"}
