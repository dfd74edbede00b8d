"""Characters that nobody sees, shown as code points: no file can write to a terminal, and a rejected cell shows why."""

from __future__ import annotations

import re
from functools import cache

#: Ranges of code points: controls (C0, C1), soft hyphen, direction marks, zero-width and joining characters, fillers that
#: are drawn as nothing, line and paragraph separators, variation selectors, byte order mark, tags.
_RANGES = (
    *((0x00, 0x1F), (0x7F, 0x9F), (0xAD, 0xAD), (0x34F, 0x34F), (0x61C, 0x61C), (0x115F, 0x1160), (0x17B4, 0x17B5)),
    *((0x180B, 0x180F), (0x200B, 0x200F), (0x2028, 0x202E), (0x2060, 0x206F), (0x2800, 0x2800), (0x3164, 0x3164)),
    *((0xFE00, 0xFE0F), (0xFEFF, 0xFEFF), (0xFFA0, 0xFFA0), (0xFFF0, 0xFFFB), (0xE0000, 0xE0FFF)),
)
#: What Python makes of the bytes of a file's name that are no UTF-8; no text of a file holds them.
_SURROGATES = "\ud800-\udfff"
#: The same for the regular expressions of Arrow (RE2).
PATTERN = "[" + "".join(f"\\x{{{first:x}}}-\\x{{{last:x}}}" for first, last in _RANGES) + "]"


@cache
def _unseen() -> re.Pattern[str]:
    """Compiled when it is needed: `--help` does not wait for it."""
    return re.compile("[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in _RANGES) + _SURROGATES + "]")


def visible(text: str) -> str:
    r"""The text with each such character as `\u202e`."""
    return _unseen().sub(lambda found: f"\\u{ord(found[0]):04x}", text)
