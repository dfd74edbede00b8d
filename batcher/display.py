"""What a workbook's number formats put beside a value: digits that whoever looks at a cell sees, and whoever reads it does not."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from typing import NamedTuple

from batcher import markup

#: Letters of dates and times; their values are no telephone numbers.
_OF_TIMES = set("ymdhsYMDHS")
#: The fewest digits of a value that may be a telephone number, and those of one without its country.
_FEW_DIGITS, _NATIONAL = 7, 10


class Display(NamedTuple):
    """One number format."""

    #: digits and plus signs that it writes by itself
    literal: str
    #: how many digits it fills up with zeros
    zeros: int

    def changes(self, digits: str) -> bool:
        """Whether a whole number looks like another telephone number than it is."""
        if len(digits) < _FEW_DIGITS:
            return False
        is_said_anyway = self.literal in {"1", "+1"} and len(digits) == _NATIONAL
        is_plus_alone = self.literal == "+" and len(digits) != _NATIONAL
        return self.zeros > len(digits) or not (not self.literal or is_said_anyway or is_plus_alone)


def read_displays(archive: zipfile.ZipFile, part: str) -> Mapping[int, Display]:
    """The number formats that write digits, by the number of the cell style; from the workbook's `styles.xml`."""
    codes: dict[str, str] = {}
    styles: list[str] = []
    is_cells = False

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal is_cells
        name = markup.local(tag)
        if name == "numFmt":
            codes[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")
        elif name == "cellXfs":
            is_cells = True
        elif name == "xf" and is_cells:
            styles.append(attributes.get("numFmtId", ""))

    def end(tag: str) -> None:
        nonlocal is_cells
        is_cells = is_cells and markup.local(tag) != "cellXfs"

    parser = markup.parser()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    with archive.open(part) as content:
        markup.parse(parser, content)
    read = {number: display(code) for number, code in codes.items()}
    found = {place: read[number] for place, number in enumerate(styles) if number in read}
    return {place: each for place, each in found.items() if each.literal or each.zeros}


def display(code: str) -> Display:
    """What a format code (ECMA-376 part 1, 18.8.31) writes for positive numbers."""
    literal, zeros, is_fraction = "", 0, False
    rest = iter(code)
    for character in rest:
        if character == ";":
            break
        if character == '"':
            for quoted in rest:
                if quoted == '"':
                    break
                literal += quoted
        elif character == "\\":
            literal += next(rest, "")
        elif character in "_*":
            next(rest, "")
        elif character == "[":
            for inside in rest:
                if inside == "]":
                    break
        elif character in _OF_TIMES:
            return Display("", 0)
        elif character == ".":
            is_fraction = True
        elif character == "0":
            zeros += not is_fraction
        else:
            literal += character
    return Display("".join(each for each in literal if each == "+" or each.isdigit()), zeros)
