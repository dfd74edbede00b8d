"""What a workbook's number formats put beside a value: digits that whoever looks at a cell sees, and whoever reads it does not."""

from __future__ import annotations

import operator
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from batcher import markup

#: Letters of dates and times; their values are no telephone numbers.
_OF_TIMES = set("ymdhsYMDHS")
#: Digits of a telephone number without its country; shorter values are none in any format.
_NATIONAL = 10
_CONDITION = re.compile(r"\[(<=|>=|<>|<|>|=)(-?[0-9.]+)\]")
_COMPARES: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "<>": operator.ne,
}


class Section(NamedTuple):
    """What a number format writes for the values that meet its condition."""

    #: comparison and number, when it has one
    condition: tuple[str, float] | None
    #: digits and plus signs that it writes by itself
    literal: str
    #: how many digits it fills up with zeros
    zeros: int

    def holds(self, value: float) -> bool:
        return self.condition is None or _COMPARES[self.condition[0]](value, self.condition[1])


def changes(sections: tuple[Section, ...], value: str) -> bool:
    """Whether a whole number, as the file has it, looks like another telephone number than it is."""
    digits = value if value.isdigit() else _whole(value)
    if len(digits) < _NATIONAL:
        return False
    section = next((each for each in sections if each.holds(float(digits))), sections[-1])
    is_said_anyway = section.literal in {"1", "+1"} and len(digits) == _NATIONAL
    is_plus_alone = section.literal == "+" and len(digits) != _NATIONAL
    return section.zeros > len(digits) or not (not section.literal or is_said_anyway or is_plus_alone)


def _whole(value: str) -> str:
    """The digits of a whole number that is written as a float, as some programs do; "" of anything else."""
    try:
        number = float(value)
    except ValueError:
        return ""
    return f"{number:.0f}" if number.is_integer() and 0 <= number < 2**53 else ""


def read_displays(archive: zipfile.ZipFile, part: str) -> Mapping[int, tuple[Section, ...]]:
    """The number formats that write digits, by the number of the cell style; from the workbook's `styles.xml`."""
    codes: dict[str, str] = {}
    styles: list[str] = []
    is_cells = is_format = False

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal is_cells, is_format
        name = markup.local(tag)
        if name == "numFmts":
            is_format = True
        elif name == "numFmt" and is_format:
            codes[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")
        elif name == "cellXfs":
            is_cells = True
        elif name == "xf" and is_cells:
            styles.append(attributes.get("numFmtId", ""))

    def end(tag: str) -> None:
        nonlocal is_cells, is_format
        is_cells = is_cells and markup.local(tag) != "cellXfs"
        is_format = is_format and markup.local(tag) != "numFmts"

    parser = markup.parser()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    with archive.open(part) as content:
        markup.parse(parser, content)
    read = {number: tuple(sections(code)) for number, code in codes.items()}
    return {
        place: read[number]
        for place, number in enumerate(styles)
        if any(each.literal or each.zeros for each in read.get(number, ()))
    }


def sections(code: str) -> Iterator[Section]:
    """What the sections of a format code (ECMA-376 part 1, 18.8.31) write."""
    rest = iter(re.sub(r"[Ee][+-]", "", code))
    while True:
        condition, literal, zeros, is_fraction, is_time, is_last = None, "", 0, False, False, True
        for character in rest:
            if character == ";":
                is_last = False
                break
            if character == '"':
                literal += _until('"', rest)
            elif character == "\\":
                literal += next(rest, "")
            elif character in "_*":
                next(rest, "")
            elif character == "[":
                inside = _until("]", rest)
                if found := _CONDITION.fullmatch(f"[{inside}]"):
                    condition = (found[1], float(found[2]))
                elif inside.startswith("$"):
                    literal += inside[1:].partition("-")[0]
            elif character in _OF_TIMES:
                is_time = True
            elif character == ".":
                is_fraction = True
            elif character == "0":
                zeros += not is_fraction
            else:
                literal += character
        shown = "".join(each for each in literal if each == "+" or each.isdigit())
        yield Section(condition, "" if is_time else shown, 0 if is_time else zeros)
        if is_last:
            return


def _until(end: str, rest: Iterator[str]) -> str:
    found = ""
    for character in rest:
        if character == end:
            break
        found += character
    return found
