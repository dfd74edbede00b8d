"""What a careful colleague looks at before numbers are sent: what kinds there are, and what is odd about the file.

It only informs. What refuses a run is said by `limits`, and by `strict`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from typing import Any

import numpy as np

from batcher.amount import amount
from batcher.engine.folder import RunFolder
from batcher.engine.job import Limits
from batcher.normalize import is_north_american
from batcher.numbering import of_npa
from batcher.spool import BATCH_ROWS, read_fixed
from batcher.tn import MASK, TOLL_FREE, Rules, structure

#: So many exchanges are named.
_MOST_EXCHANGES = 5
#: A file of fewer rows may well have one exchange, or many rejects.
_MANY = 100
#: So many rejected rows are not too many, whatever share of the rows they are.
_FEW_REJECTED = 100
#: A change of the number of rows that somebody should know about, as a share.
_FAR_FROM_LAST = 0.5


def numbers(folder: RunFolder, rows: int, rules: Rules) -> dict[str, Any]:
    """What kinds of numbers the rows of a run hold; rows without one are not counted.

    `largest_exchanges`: the most frequent NPA-NXX as [digits, rows]; `unknown_npas`: rows by area code that neither a list nor the job knows.
    """
    exchanges, abroad = np.zeros(1_000_000, np.int64), 0
    for start in range(0, rows, BATCH_ROWS):
        tns = read_fixed(folder.tn, "<i8", start, min(BATCH_ROWS, rows - start))
        is_near = is_north_american(tns)
        exchanges += np.bincount(tns[is_near] // 10_000 - 1_000_000, minlength=1_000_000)
        abroad += int(((tns > 0) & ~is_near).sum())
    npas = {npa: count for npa, count in enumerate(exchanges.reshape(1000, 1000).sum(axis=1).tolist()) if count}
    largest = np.argsort(exchanges, kind="stable")[::-1][:_MOST_EXCHANGES]
    return {
        #: libphonenumber's, by which area codes are known
        "metadata": version("phonenumberslite"),
        "numbers": int(exchanges.sum()) + abroad,
        "toll_free": sum(count for npa, count in npas.items() if npa in TOLL_FREE),
        "not_us": sum(count for npa, count in npas.items() if _warned(npa, "NOT_US", rules)),
        "not_plus_1": abroad,
        "unknown_npas": {str(npa): count for npa, count in npas.items() if _warned(npa, "NPA_UNRECOGNIZED", rules)},
        "largest_exchanges": [[f"{place:06d}", int(exchanges[place])] for place in largest if exchanges[place]],
    }


def _warned(npa: int, code: str, rules: Rules) -> bool:
    """Whether numbers of an area code get this warning, as each cell of them does."""
    _, warnings = structure(10_002_340_000 + npa * 10_000_000, replace(rules, strict=False), of_npa)
    return warnings & MASK[code] > 0


def oddities(facts: Mapping[str, Any]) -> list[str]:
    """What should make somebody look at the file before it is sent (TN_RULES section 3), as sentences."""
    found, rows, seen = [], facts["rows"], facts["numbers"]
    if scientific := facts["reasons"].get("SCI_NOTATION", 0):
        found.append(
            f"{amount(scientific, 'cell')} in scientific notation: a spreadsheet has rounded numbers. "
            "Format the column as text and export it again."
        )
    if facts["sendable"] == 0:
        found.append("No row is left to be sent.")
    if rows >= _MANY and facts["rejected"] > 0.05 * rows:
        share = 100 * facts["rejected"] / rows
        found.append(f"{facts['rejected']:,} of {rows:,} rows are rejected ({share:.1f} %): is it the right column?")
    if (last := facts["last_rows"]) and abs(rows - last) > _FAR_FROM_LAST * last:
        found.append(f"It has {amount(rows, 'row')}, and the last finished run had {last:,}: is the file whole?")
    if len(seen["largest_exchanges"]) == 1 and seen["numbers"] == seen["largest_exchanges"][0][1] >= _MANY:
        found.append(
            f"All {seen['numbers']:,} numbers begin with {seen['largest_exchanges'][0][0]}: is the file whole?"
        )
    return found


def refusals(facts: Mapping[str, Any], limits: Limits) -> list[str]:
    """Why there are too many rows, rejected rows, or more or fewer rows than last time, for a run; as sentences."""
    found, rows, last = [], facts["rows"], facts["last_rows"]
    limit = limits.max_rejected
    allowed = limit if limit >= 1 or limit == 0 else max(limit * rows, _FEW_REJECTED)
    if facts["rejected"] > allowed:
        found.append(
            f"{facts['rejected']:,} of {rows:,} rows are rejected, and limits.max_rejected allows {int(allowed):,}. batcher "
            "check shows them: mend the file, raise the limit, or give --no-budget."
        )
    if limits.max_rows is not None and rows > limits.max_rows:
        found.append(
            f"It has {amount(rows, 'row')}, and limits.max_rows allows {limits.max_rows:,}: is it the right file?"
        )
    change = limits.max_row_count_change
    if change is not None and last is not None and abs(rows - last) > _most(change, last):
        found.append(
            f"It has {amount(rows, 'row')}, the last finished run had {last:,}, and limits.max_row_count_change allows "
            f"{_in_words(change)}: is the file whole? --no-budget sends it all the same."
        )
    return found


def _most(change: float, last: int) -> float:
    """By how many rows the count may change: by 100 % to none, or to twice as many."""
    if change == math.inf:
        return last
    return change if change >= 1 else change * last


def _in_words(change: float) -> str:
    if change == math.inf:
        return "100 % more or fewer"
    return f"{change:,.0f} more or fewer" if change >= 1 else f"{100 * change:g} % more or fewer"
