"""Where a key of a job file stands, and how a mistake is told."""

from __future__ import annotations

import pytest

from batcher.engine.mistakes import Lines, by_line, near, shown

TEXT = """\
# title
top.one = 1
top.two = 2
"quoted key" = 3
[table]
key = 1
  indented = 2
[[step]]
operation = "a"
sms.column = "b"
# between
[[step]]
operation = "c"
[step.sms]
column = "d"
[ spaced ]
'single' = 1
"""


@pytest.mark.parametrize(
    ("where", "line"),
    [
        (("top",), 2),
        (("top", "one"), 2),
        (("top", "two"), 3),
        (("quoted key",), 4),
        (("table",), 5),
        (("table", "key"), 6),
        (("table", "indented"), 7),
        (("step",), 8),
        (("step", 0), 8),
        (("step", 0, "operation"), 9),
        (("step", 0, "sms", "column"), 10),
        (("step", 0, "not there"), 8),
        (("step", 1), 12),
        (("step", 1, "operation"), 13),
        (("step", 1, "sms"), 14),
        (("step", 1, "sms", "column"), 15),
        (("spaced", "single"), 17),
    ],
    ids=str,
)
def test_a_key_is_found_on_its_line(where, line):
    """Else on the line of the nearest table around it."""
    told = Lines("job.toml", TEXT).told(where, "wrong")
    assert told.startswith(f"job.toml:{line}: ")
    assert told.endswith(": wrong")


def test_a_key_is_told_in_full():
    """Steps are counted from 1, as people count."""
    assert Lines("job.toml", TEXT).told(("step", 1, "sms"), "wrong") == "job.toml:14: step.2.sms: wrong"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        ("on", '"on"'),
        (1.5, "1.5"),
        (["a", True], '["a", true]'),
        ({"pin": "x", "is": False}, '{ pin = "x", is = false }'),
    ],
    ids=str,
)
def test_a_value_is_shown_as_toml_writes_it(value, text):
    """Nobody who writes a job file has to know Python."""
    assert shown(value) == text


def test_what_is_not_there_has_no_line():
    """A missing table is told for the whole file."""
    assert Lines("job.toml", TEXT).told(("input",), "is missing") == "job.toml: input: is missing"


def test_the_nearest_word_is_named_when_there_is_one():
    """Only one that is near enough to be meant."""
    assert near("smss", ["sms", "nnid"]) == ' - did you mean "sms"?'
    assert not near("zzz", ["sms", "nnid"])


def test_mistakes_are_sorted_by_line_as_numbers():
    """9 stands before 10; what has no line stands first."""
    told = ["job.toml:10: a", "job.toml:9: b", "job.toml: c"]
    assert sorted(told, key=by_line) == ["job.toml: c", "job.toml:9: b", "job.toml:10: a"]
