"""Characters that nobody sees, shown as code points: no file can write to a terminal, and a rejected cell shows why."""

from __future__ import annotations

import re

#: Ranges of code points: controls (C0, C1), soft hyphen, direction marks, zero-width characters, line and paragraph
#: separators, byte order mark.
_RANGES = (
    *((0x00, 0x1F), (0x7F, 0x9F), (0xAD, 0xAD), (0x61C, 0x61C), (0x180E, 0x180E)),
    *((0x200B, 0x200F), (0x2028, 0x202E), (0x2060, 0x2064), (0x2066, 0x206F), (0xFEFF, 0xFEFF)),
)
#: The same for the regular expressions of Arrow (RE2).
PATTERN = "[" + "".join(f"\\x{{{first:x}}}-\\x{{{last:x}}}" for first, last in _RANGES) + "]"
_UNSEEN = re.compile("[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in _RANGES) + "]")


def visible(text: str) -> str:
    r"""The text with each such character as `\u202e`."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
