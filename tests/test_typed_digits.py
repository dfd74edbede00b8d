"""An oracle that shares nothing with the rules: which digits were typed in a cell, and which cells were damaged on purpose.

`normalize` alone is of ours. How many cells, and which: BATCHER_FUZZ_CELLS and BATCHER_FUZZ_SEED.
"""

from __future__ import annotations

import itertools
import os
import random
import re
import string
import time
import unicodedata
from collections.abc import Callable, Iterator
from decimal import Decimal

import pandas as pd
import pytest

from batcher import tn
from batcher.normalize import normalize

CELLS = int(os.environ.get("BATCHER_FUZZ_CELLS", "100_000"))
SEED = int(os.environ.get("BATCHER_FUZZ_SEED", "7"))
AT_ONCE = 100_000

#: Spellings of ten digits (a, b, c; d is all ten) that say the same to everybody.
SPELLINGS = (
    *("{d}", "1{d}", "+1{d}", "({a}) {b}-{c}", "({a}){b}-{c}", "{a}-{b}-{c}", "{a}.{b}.{c}", "{a} {b} {c}", "{a}/{b}/{c}"),
    *("1-{a}-{b}-{c}", "1 ({a}) {b}-{c}", "+1 ({a}) {b}-{c}", "+1-{a}-{b}-{c}", "1.{a}.{b}.{c}", "+1 {a} {b} {c}"),
    *("tel:+1-{a}-{b}-{c}", "{d}.0", "1{d}.00", '="{d}"', "'{d}", '"{a}-{b}-{c}"', " {d} ", "\ufeff{d}", "{a}\u00a0{b}\u00a0{c}"),
    *("{a}\u2013{b}\u2013{c}", "\u202a{a}-{b}-{c}\u202c", "(+1) {a} {b} {c}", "{a}-{b}{c}", "({a}) {b}{c}", "{d}\r\n"),
)  # fmt: skip
#: The zeros of Arabic-Indic, Devanagari, full-width and mathematical digits.
ZEROS = (0x660, 0x966, 0xFF10, 0x1D7CE)
INVISIBLE = ("\u200b", "\u202a", "\u202c", "\ufeff", "\u00ad")


def ten_digits(rng: random.Random) -> str:
    """Digits that the numbering plan allows: no N9X, no N11, 2 to 9 in front of NPA and NXX."""
    npa = rng.choice("23456789") + rng.choice("02345678") + rng.choice(string.digits)
    return (
        npa
        + rng.choice("23456789")
        + rng.choice("023456789")
        + rng.choice(string.digits)
        + f"{rng.randrange(10**4):04d}"
    )


def spelled(rng: random.Random, digits: str) -> str:
    return rng.choice(SPELLINGS).format(a=digits[:3], b=digits[3:6], c=digits[6:], d=digits)


def sound(rng: random.Random) -> tuple[str, int]:
    """A cell that must be accepted, and as what."""
    digits = ten_digits(rng)
    kind = rng.random()
    if kind < 0.05:
        whole = rng.choice((digits, "1" + digits))
        cell = f"{whole[0]}.{whole[1:]}{rng.choice(('E+', 'e', 'E'))}{len(whole) - 1:02d}"
    elif kind < 0.1:
        zero = rng.choice(ZEROS)
        cell = spelled(rng, digits).translate({ord("0") + place: zero + place for place in range(10)})
    else:
        cell = spelled(rng, digits)
    return cell, int("1" + digits)


def _inserted(rng: random.Random, text: str, more: str) -> str:
    place = rng.randint(1, len(text))
    return text[:place] + more + text[place:]


def _rounded(rng: random.Random, digits: str) -> str:
    whole = rng.choice((digits, "1" + digits, "44" + digits))
    return f"{whole[0]}.{whole[1 : rng.randint(2, len(whole) - 1)]}E+{len(whole) - 1:02d}"


def _replaced(rng: random.Random, digits: str, by: str) -> str:
    place = rng.randrange(10)
    return digits[:place] + by + digits[place + 1 :]


def _two(rng: random.Random, digits: str) -> str:
    between = rng.choice((";", ", ", " / ", "|", " & ", "\n", " "))
    return spelled(rng, digits).strip() + between + spelled(rng, ten_digits(rng)).strip()


def _range(rng: random.Random, digits: str) -> str:
    start = rng.choice(("{d}", "{a}-{b}-{c}", "({a}) {b}-{c}", "+1 {a} {b} {c}"))
    start = start.format(a=digits[:3], b=digits[3:6], c=digits[6:], d=digits)
    between = rng.choice((" - ", "-", " thru ", " to ", " \u2013 "))
    return start + between + rng.choice((f"{rng.randrange(10**4):04d}", digits))


#: What damages a cell so that nobody can say which TN was meant, or that it was one.
DAMAGES: dict[str, Callable[[random.Random, str], str]] = {
    "extra digit": lambda rng, d: _inserted(rng, d, rng.choice(string.digits)),
    "extra digit behind 1": lambda rng, d: "1" + _inserted(rng, d, rng.choice(string.digits)),
    "extra digit behind +1": lambda rng, d: spelled(rng, d).strip() + rng.choice("123456789"),
    "missing digit": lambda rng, d: _replaced(rng, d, ""),
    "missing digit behind +1": lambda rng, d: "+1" + _replaced(rng, d, ""),
    "letter for a digit": lambda rng, d: _replaced(rng, d, rng.choice("OolISsBXx")),
    "letter": lambda rng, d: _inserted(rng, spelled(rng, d).strip(), rng.choice("abcOolISXnq\u0437\u00e9")),
    "mask": lambda rng, d: f"{d[:3]}-{d[3:6]}-" + rng.choice(("XXXX", "xxxx", "NNNN", "****", "####", "????")),
    "fraction": lambda rng, d: f"{d}.{rng.choice(('5', '25', '01', '125'))}",
    "fraction behind +": lambda rng, d: f"{rng.choice(('+49', '+43', '+390', '+49 30 '))}{d[:8]}.{rng.choice(('5', '25', '125', '7'))}",
    "float behind + and blanks": lambda rng, d: f"+49 30 {d[:7]}{rng.choice(('.0', '.00', '.000'))}",
    "trunk 0 and more": lambda rng, d: f"+{rng.choice(('61', '49', '44'))} (0{d[:2]}) {d[2:]}",
    "address": lambda rng, d: f"203.{rng.randrange(10, 99)}.{rng.randrange(100, 255)}.{rng.randrange(10, 99)}",
    "fraction behind +1": lambda rng, d: f"+1{d[: rng.randint(7, 9)]}.{d[-rng.randint(1, 3) :]}",
    "time": lambda rng, d: rng.choice(("20{}-4-5 0815", "20{}.8.1 2863", "20{}-05-15 10", "20{}/05/15 10", "20{}.5.15 101")).format(rng.randrange(20, 89)),
    "two numbers": _two,
    "two numbers run together": lambda rng, d: d + ten_digits(rng),
    "range": _range,
    "extension of seven digits": lambda rng, d: f"{d} x{rng.randrange(10**6, 10**7)}",
    "extension that completes": lambda rng, d: f"{d[:9]} x{d[9]}",
    "rounded": _rounded,
    "00": lambda rng, d: rng.choice(("00", "001", "00 1 ")) + d,
    "+ on ten digits": lambda rng, d: rng.choice(("+", "+ ")) + d,
    "011 on ten digits": lambda rng, d: rng.choice(("011", "011 ", "0111", "011 1 ")) + d,
    "trunk 0": lambda rng, d: f"+44 (0){d}",
    "trunk 0 of +1": lambda rng, d: f"+1 (0){d}",
    "country without +": lambda rng, d: rng.choice(("44", "61", "49", "52")) + d,
    "sign": lambda rng, d: rng.choice(("-", "$", "\u2212", "~", "*", "@")) + d,
    "behind": lambda rng, d: d + rng.choice(("%", ".", "-", "*", "\x00", "@PSTN", "\u00b2", "\u2460", "?", "!")),
    "thousands": lambda rng, d: f"{int(d):,}",
    "NPA": lambda rng, d: rng.choice(("0", "1")) + d[1:],
    "NPA N9X": lambda rng, d: f"{d[0]}9{d[2:]}",
    "NPA N11": lambda rng, d: f"{d[0]}11{d[3:]}",
    "NXX": lambda rng, d: f"1{d[:3]}{rng.choice('01')}{d[4:]}",
    "NXX N11": lambda rng, d: f"{rng.choice(('201', '919'))}{d[3]}11{d[6:]}",
    "right-to-left": lambda rng, d: "\u202e" + d,
    "superscript": lambda rng, d: d[:9] + "\u00b9\u00b2\u00b3"[rng.randrange(3)],
    "words": lambda rng, d: f"{rng.choice(('Fax: ', 'do not port ', 'Account ', 'sip:', 'Total '))}{d}",
}  # fmt: skip
#: Damages that some job may allow.
ALLOWED: dict[str, Callable[[random.Random, str], str]] = {
    "extension": lambda rng, d: f"{spelled(rng, d).strip()}{rng.choice((' x', 'x', ' ext. ', ' ext ', '#', ';ext='))}{rng.randint(1, 9999)}",
    "vanity": lambda rng, d: f"1-{d[:3]}-" + "".join(rng.choices("ABCDEFGHJKMNPQRTUVWYZ", k=7)),
    "label": lambda rng, d: rng.choice(("Tel: {}", "Phone {}", "{} (cell)", "US {}", "{} USA")).format(d),
}  # fmt: skip
GROUPS = zip("23456789", ("ABC", "DEF", "GHI", "JKL", "MNO", "PQRS", "TUV", "WXYZ"), strict=True)
KEYS = {letter: key for key, letters in GROUPS for letter in letters}


def typed(cell: str, *, relaxed: bool = False) -> set[int]:
    """The E.164 digits that a cell may stand for: exactly its own, less what says nothing about the number."""
    text = "".join(c for c in cell.replace("\u00a0", " ") if c not in INVISIBLE)
    text = "".join(str(unicodedata.decimal(c)) if unicodedata.category(c) == "Nd" else c for c in text)
    text = text.strip(" \t\r\n\u200b\ufeff\u202a\u202c\u00ad\u00a0").removeprefix("=").strip("\"'").strip()
    if relaxed:
        text = re.sub(r"[ ,]*(?:;?ext[ .=]*|x|#)[0-9]+$", "", text)
        text = "".join(KEYS.get(c, c) for c in text.upper()) if re.search(r"-[A-Z]{7}$", text) else text
    if re.fullmatch(r"[0-9]+([.,][0-9]*)?[eE]\+?[0-9]+", text):
        value = Decimal(text.replace(",", "."))
        return {int("1" + str(int(value))), int(value)} if value == int(value) else set()
    text = re.sub(r"^(\+?[0-9]{8,})\.0+$", r"\1", text)
    digits = re.sub(r"[^0-9]", "", text)
    if re.match(r"[^0-9+]*\+", text):
        return {int(digits)}
    if digits.startswith("011"):
        return {int(digits[3:] or 0)}
    return (
        {int("1" + digits)} if len(digits) == 10 else {int(digits)} if len(digits) == 11 and digits[0] == "1" else set()
    )


def noise(rng: random.Random) -> str:
    """A sound or damaged cell with something more done to it: nobody knows whether it should be accepted."""
    digits = ten_digits(rng) if rng.random() < 0.8 else str(rng.randrange(10 ** rng.randint(8, 16)))
    cell = spelled(rng, digits) if rng.random() < 0.7 else rng.choice(("+44", "+", "011", "+49 ", "+81-")) + digits
    for _ in range(rng.randint(1, 3)):
        place = rng.randint(0, len(cell))
        more = rng.choice((*" ().-+/0123456789", *INVISIBLE, "\u00a0", "\u0663", "", "E+09", ".0", "1 ", "\u2212"))
        cell = cell[:place] + more + cell[place + rng.randint(0, 1) :]
    return cell


def blocks(make: Callable[[random.Random], tuple[str, str, int]]) -> Iterator[list[tuple[str, str, int]]]:
    """(Cell, kind, TN) in blocks that fit in memory."""
    rng = random.Random(SEED)
    for start in range(0, CELLS, AT_ONCE):
        yield [make(rng) for _ in range(min(AT_ONCE, CELLS - start))]


def any_cell(rng: random.Random) -> tuple[str, str, int]:
    chance = rng.random()
    if chance < 0.3:
        cell, number = sound(rng)
        return cell, "sound", number
    if chance < 0.6:
        return noise(rng), "noise", 0
    kinds = DAMAGES if chance < 0.95 else ALLOWED
    kind = rng.choice(list(kinds))
    return kinds[kind](rng, ten_digits(rng)), kind, 0


@pytest.mark.parametrize(
    "rules",
    [
        pytest.param(tn.Rules(), id="default"),
        pytest.param(tn.Rules("v1", strict=True), id="v1 and strict"),
        pytest.param(tn.Rules(relax=frozenset({"extensions", "vanity", "labels"})), id="relaxed"),
    ],
)
def test_accepts_exactly_the_digits_that_were_typed(rules):
    """No accepted TN has a digit more, less or other than its cell; what is damaged is refused, what is sound is not."""
    started = time.process_time()
    count, accepted, wrong_numbers, wrong_accepts, wrong_refusals = 0, 0, [], [], []
    for block in blocks(any_cell):
        cells = [cell for cell, _, _ in block]
        numbers = normalize(pd.Series(cells, dtype="str"), rules)["tn"].tolist()
        count += len(cells)
        for (cell, kind, sound_number), number in zip(block, numbers, strict=True):
            accepted += number > 0
            if number and number not in typed(cell, relaxed=bool(rules.relax)):
                wrong_numbers.append((kind, cell, number))
            if number and (kind in DAMAGES or (kind in ALLOWED and not rules.relax)):
                wrong_accepts.append((kind, cell, number))
            if kind == "sound" and number != sound_number and not rules.strict:
                wrong_refusals.append((cell, number))
    print(
        f"\n{count:,} cells, {accepted:,} accepted: {len(wrong_numbers)} wrong numbers, {len(wrong_accepts)} wrong accepts,"
        f" {len(wrong_refusals)} sound ones refused, {time.process_time() - started:.0f} s"
    )
    assert (wrong_numbers[:5], wrong_accepts[:5], wrong_refusals[:5]) == ([], [], [])
    assert accepted > count // 5


@pytest.mark.parametrize("kind", ["sound", *DAMAGES, *ALLOWED])
def test_every_kind_is_told_apart(kind):
    """A control: each kind by itself is refused, and only sound cells are accepted."""
    rng = random.Random(SEED)
    cells = [sound(rng)[0] if kind == "sound" else (DAMAGES | ALLOWED)[kind](rng, ten_digits(rng)) for _ in range(200)]
    accepted = itertools.compress(cells, normalize(pd.Series(cells, dtype="str"))["tn"])
    assert list(accepted) == (cells if kind == "sound" else [])
