"""The values of a step over a batch of rows: judged once per distinct cell, hashed, combined."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from batcher.engine.values import Values, combinations, hashed, judge_cell, values_at
from tests.engine.runs import write_job

STEPS = '[[step]]\noperation = "tn-options"\nsms = { column = "S" }\nnnid = { column = "N" }\nprotected = true\n'


@pytest.fixture
def step(tmp_path):
    return write_job(tmp_path, STEPS).steps[0]


def columns(**cells):
    return {name: pa.array(texts, pa.string()) for name, texts in cells.items()}


def test_a_row_sets_what_its_cells_say_and_every_constant(step):
    """Cells as the carrier wants them; an empty one leaves its setting out; a refused one says why."""
    values = Values(step)
    assert values.columns() == {"S", "N"}
    evaluated = values.of(columns(S=[" ON ", "", "maybe", "on"], N=["007", "7", " ", "x"]), 4)
    assert [values_at(evaluated, row) for row in range(4)] == [
        {"protected": "true", "sms": "on", "nnid": "7"},
        {"protected": "true", "nnid": "7"},
        {"protected": "true"},
        {"protected": "true", "sms": "on"},
    ]
    by_name = {value.binding.setting: value for value in evaluated}
    assert by_name["sms"].is_set().tolist() == [True, False, False, True]
    assert by_name["sms"].is_refused().tolist() == [False, False, True, False]
    assert by_name["nnid"].is_refused().tolist() == [False, False, False, True]
    assert by_name["protected"].is_set().tolist() == [True] * 4


def test_the_same_cell_is_judged_alike_in_every_batch(step):
    """What was judged is remembered, and forgotten again before it fills the memory."""
    values = Values(step)
    for start in range(0, 300_000, 50_000):
        cells = [str(number) for number in range(start, start + 50_000)]
        nnid = values.of(columns(S=[""] * 50_000, N=cells), 50_000)[2]
        assert nnid.texts[nnid.codes[49_999]] == cells[-1]
    assert sum(len(known) for known in values._known.values()) <= 150_002


def test_a_cell_tells_why_it_would_be_refused(tmp_path):
    """An empty cell is refused only where the carrier needs one."""
    step = write_job(tmp_path, '[[step]]\noperation = "import-tn-checker"\nsite_id = { column = "S" }\n').steps[0]
    assert judge_cell(step, "site_id", " 486 ")[:2] == ("486", None)
    assert judge_cell(step, "site_id", " ") == (None, "is empty, and the carrier needs it", 0)
    assert judge_cell(step, "sippeer_id", "") == (None, None, 0)
    assert judge_cell(step, "site_id", "a/b")[1] == "'a/b' is not an id: at most 64 letters, digits and dashes"


def test_rows_that_set_the_same_have_the_same_hash(step, tmp_path):
    """By what is sent, not by how it was typed; values that change places are different."""
    evaluated = Values(step).of(columns(S=["on", " ON", "off", "", "on"], N=["7", "007", "7", "7", ""]), 5)
    first, same, other, without, less = hashed(evaluated, 5).tolist()
    assert first == same
    assert len({first, other, without, less}) == 4
    swap = (
        '[[step]]\noperation = "tn-options"\na2p_message_class = { column = "A" }\na2p_campaign_id = { column = "B" }\n'
    )
    swapped = Values(write_job(tmp_path, swap).steps[0]).of(columns(A=["x", "y"], B=["y", "x"]), 2)
    assert len(set(hashed(swapped, 2).tolist())) == 2


def test_combinations_are_the_distinct_rows(step):
    """Of the rows asked for alone, each with a position that shows it."""
    evaluated = Values(step).of(columns(S=["on", "off", "on", "", "on"], N=["1", "1", "1", "", "2"]), 5)
    examples, which = combinations(evaluated, np.array([0, 2, 3, 4]))
    assert which[0] == which[1]
    assert len(set(which.tolist())) == 3 == len(examples)
    assert [values_at(evaluated, examples[number]) for number in which] == [
        {"protected": "true", "sms": "on", "nnid": "1"},
        {"protected": "true", "sms": "on", "nnid": "1"},
        {"protected": "true"},
        {"protected": "true", "sms": "on", "nnid": "2"},
    ]


def test_combinations_of_many_distinct_values_stay_distinct(tmp_path):
    """More columns and values than fit into one number."""
    names = ["espid", "a2p_message_class", "a2p_campaign_id", "rewrite_user"]
    steps = '[[step]]\noperation = "tn-options"\n' + "".join(f'{name} = {{ column = "{name}" }}\n' for name in names)
    rows = 20_000
    cells = {
        name: [f"{name[:3]}{number * (place + 3) % 9_973}" for number in range(rows)]
        for place, name in enumerate(names)
    }
    evaluated = Values(write_job(tmp_path, steps).steps[0]).of(columns(**cells), rows)
    examples, which = combinations(evaluated, np.arange(rows))
    expected = list(zip(*cells.values(), strict=True))
    assert len(examples) == len(set(expected)) == 9_973
    seen: dict[int, tuple[str, ...]] = {}
    for row, number in zip(expected, which.tolist(), strict=True):
        assert seen.setdefault(number, row) == row
