"""Writes the files in `samples/`, the same bytes every time: `python -m tests.make_samples OUTDIR`.

Every number is fictional (NPA-555-0100 to 0199, toll-free 8YY-555-0199) and every address private. What is
wrong in a file is wrong on purpose, as in the files that people send; tests/test_samples.py counts it.
"""

from __future__ import annotations

import codecs
import random
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

#: NPAs in service; 804 is kept for destinations, so that no row forwards to itself by chance.
_IN_SERVICE = """
201 202 203 205 206 207 208 209 210 212 213 214 215 216 217 218 219 224 225 228 229 231 234 239 240 248 251 252 253
254 256 260 262 267 269 270 272 276 281 301 302 303 304 305 307 308 309 310 312 313 314 315 316 317 318 319 320 321
323 325 330 331 334 336 337 339 347 351 352 360 361 385 386 401 402 404 405 406 407 408 409 410 412 413 414 415 417
419 423 424 425 430 432 434 435 440 443 458 469 470 475 478 479 480 484 501 502 503 504 505 507 508 509 510 512 513
515 516 517 518 520 530 534 540 541 551 559 561 562 563 567 570 571 573 574 575 580 585 586 601 602 603 605 606 607
608 609 610 612 614 615 616 617 618 619 620 623 626 630 631 636 641 646 650 651 660 661 662 678 681 682 701 702 703
"""
NPAS = _IN_SERVICE.split()
TOLL_FREE = [f"{npa}5550199" for npa in (800, 833, 844, 855, 866, 877, 888)]
NBSP, NARROW, LEFT_TO_RIGHT, POP = "\u00a0", "\u202f", "\u202a", "\u202c"


def tns(chance: random.Random, count: int) -> list[str]:
    """Distinct ten-digit TNs: a few runs as real inventories have them, the rest shuffled."""
    every = [f"{npa}55501{line:02d}" for npa in NPAS for line in range(100)]
    runs, rest = every[:400], every[400:]
    chance.shuffle(rest)
    picked = rest[: count - len(runs)]
    for start in range(0, len(runs), 100):
        place = chance.randrange(len(picked))
        picked[place:place] = runs[start : start + 100]
    return picked


def dashed(tn: str) -> str:
    return f"{tn[:3]}-{tn[3:6]}-{tn[6:]}"


def crlf(lines: Iterable[str]) -> bytes:
    return "".join(f"{line}\r\n" for line in lines).encode()


def nightly_failover() -> tuple[bytes, bytes]:
    """The export of a PBX database, 12,400 rows and a closing remark; and the start of one that was cut off."""
    chance = random.Random(51)
    uris = [f"sip:80455501{60 + number}@10.1.{2 + number % 3}.{3 + number}:5060" for number in range(24)]
    forwards = [f"80455501{number:02d}" for number in range(14)]
    destinations = [*uris * 4, *forwards * 2, *["systemDefault"] * 8]
    reasons = ["nightly", "nightly", "nightly", "PBX maintenance", '"carrier test, planned"', "store moved"]

    rows = [[tn, chance.choice(destinations)] for tn in tns(chance, 12_188)]
    marked = chance.sample(rows, 150 + 50 + 3)
    twice, at_location, to_itself = marked[:150], marked[150:200], marked[200:]
    for row in at_location:
        row[1] = "+18045550142@PSTN"
    for row in to_itself:
        row[1] = row[0]
    plain = [row for row in rows if row not in marked]
    for row in chance.sample(plain, 248):
        row[0] = f"+1{row[0]}"
    for number, (tn, destination) in enumerate(twice):
        other = chance.choice([uri for uri in uris if uri != destination]) if number < 12 else destination
        rows.insert(chance.randrange(len(rows)), [chance.choice([tn, dashed(tn)]), other])
    for _ in range(62):
        rows.insert(chance.randrange(len(rows)), ["", chance.choice(uris)])

    lines = ["TN,SiteId,SipPeerId,FinalDestination,Reason,UpdatedAt"]
    for number, (tn, destination) in enumerate(rows):
        site = chance.randrange(12)
        updated = f"2026-11-19T{number // 3600:02d}:{number // 60 % 60:02d}:{number % 60:02d}Z"
        lines.append(f"{tn},{26000 + site},{617000 + site},{destination},{chance.choice(reasons)},{updated}")
    cut_off = ",".join(lines[119].split(",")[:4])[:-6]
    return crlf([*lines, f"-- {len(rows)} rows --"]), crlf(lines[:119]) + cut_off.encode()


#: How people type a TN, all of them readable.
SPELLINGS: tuple[Callable[[str], str], ...] = (
    lambda tn: tn,
    dashed,
    lambda tn: f"({tn[:3]}) {tn[3:6]}-{tn[6:]}",
    lambda tn: f"({tn[:3]}){tn[3:6]}-{tn[6:]}",
    lambda tn: f"{tn[:3]}.{tn[3:6]}.{tn[6:]}",
    lambda tn: f"{tn[:3]} {tn[3:6]} {tn[6:]}",
    lambda tn: f"{tn[:3]}/{tn[3:6]}-{tn[6:]}",
    lambda tn: f"1-{dashed(tn)}",
    lambda tn: f"1 ({tn[:3]}) {tn[3:6]}-{tn[6:]}",
    lambda tn: f"+1{tn}",
    lambda tn: f"+1 {tn[:3]} {tn[3:6]} {tn[6:]}",
    lambda tn: f"+1 ({tn[:3]}) {tn[3:6]}-{tn[6:]}",
    lambda tn: f"tel:+1-{dashed(tn)}",
    lambda tn: f"{tn[:3]}{NBSP}{tn[3:6]}{NBSP}{tn[6:]}",
    lambda tn: f"{tn[:3]}{NARROW}{tn[3:6]}{NARROW}{tn[6:]}",
    lambda tn: f"{LEFT_TO_RIGHT}+1 {dashed(tn)}{POP}",
    lambda tn: f"{tn[:3]}\u2013{tn[3:6]}\u2013{tn[6:]}",
    lambda tn: f" {dashed(tn)} ",
    lambda tn: f"{tn}.0",
    lambda tn: f"'{tn}",
    lambda tn: f'="{tn}"',
    lambda tn: "".join(chr(0xFF10 + int(digit)) for digit in tn),
)
#: What is refused, by how many rows hold it.
DAMAGES: tuple[tuple[int, Callable[[str], str]], ...] = (
    (60, lambda tn: f"{dashed(tn)} x12"),
    (30, lambda tn: f"{dashed(tn)} ext. 104"),
    (25, lambda tn: f"{tn[:3]}-555-0100 - 0119"),
    (25, lambda tn: f"{tn[:3]}-555-0101 / 0102"),
    (40, lambda tn: dashed(tn).replace("0", "O")),
    (30, lambda tn: f"{dashed(tn)} (cell)"),
    (20, lambda tn: f"{dashed(tn)} landline"),
    (15, lambda _: "1-800-FLOWERS"),
    (40, lambda tn: f"{tn[0]}.{tn[1:6]}E+09"),
    (50, lambda tn: f"{tn[3:6]}-{tn[6:]}"),
    (20, lambda _: "n/a"),
    (25, lambda _: ""),
)
REGIONS = ("NORTHEAST", "MID-ATLANTIC", "SOUTHEAST", "MIDWEST", "PLAINS", "SOUTHWEST", "MOUNTAIN", "PACIFIC")


def customer(chance: random.Random) -> str:
    first = ("Acme", "Bluebird", "Cedar", "Delta", "Evergreen", "Núñez", "Lakeside", "Summit", "Harbor", "Pioneer")
    second = ("Dental", "Roofing", "Logistics", "Bakery", "Clinic", "Motors", "Legal", "Supply", "Café", "Books")
    return f"{chance.choice(first)} {chance.choice(second)} {chance.randrange(1, 1000)}"


def import_check() -> bytes:
    """A customer's spreadsheet: 6,200 contacts under headings of eight regions, a total below."""
    chance = random.Random(53)
    damaged = [damage for count, damage in DAMAGES for _ in range(count)]
    numbers = tns(chance, 6_200 - len(TOLL_FREE) - 40)
    spelled = [damage(tn) for damage, tn in zip(damaged, numbers, strict=False)]
    readable = numbers[len(damaged) :]
    spelled += [SPELLINGS[number % len(SPELLINGS)](tn) for number, tn in enumerate(readable)]
    spelled += [f"1-{dashed(tn)}" for tn in TOLL_FREE]
    spelled += [dashed(tn) for tn in readable[: 40 * len(SPELLINGS) : len(SPELLINGS)]]
    chance.shuffle(spelled)

    notes = [
        "",
        "",
        "",
        "",
        "port by 12/01",
        '"contract A; renewed"',
        '"call first:\nask for the manager"',
        'desk 5" left',
    ]
    carriers = ["", "Verizon", "AT&T", "Lumen", "T-Mobile", "unknown"]
    lines = ["Name;Phone Number;Fax;Carrier;Notes"]
    for number, phone in enumerate(spelled):
        if number % 775 == 0:
            lines.append(f"{REGIONS[number // 775]};;;;")
        fax = dashed(chance.choice(numbers)) if chance.random() < 0.2 else ""
        lines.append(";".join([customer(chance), phone, fax, chance.choice(carriers), chance.choice(notes)]))
    return crlf([*lines, "Total 6,200;;;;"])


def import_check_twin() -> pa.Table:
    """The same kind of list from a warehouse: a number column with gaps has become floating point there."""
    chance = random.Random(54)
    numbers = [float(tn) for tn in tns(chance, 6_140)]
    column = [*numbers, *[None] * 60]
    chance.shuffle(column)
    kinds = pa.array([chance.choice(["CARRIER", "SUBSCRIBER"]) for _ in column]).dictionary_encode()
    customers = pa.array([customer(chance) for _ in column])
    return pa.table({"tn": pa.array(column, pa.float64()), "loa_type": kinds, "customer": customers})


def check_then_options() -> bytes:
    """2,000 TNs with options of their own. Some passcodes start with a zero, some cells are empty: unchanged."""
    chance = random.Random(55)
    lines = ["TN,Destination,Passcode,CallerName,Note"]
    for tn in tns(chance, 2_000):
        destination = chance.choice(
            [f"80455501{chance.randrange(20):02d}", "sip:desk@192.0.2.14:5060", "systemDefault", ""]
        )
        passcode = chance.choice([f"{chance.randrange(10**6):06d}", f"0{chance.randrange(10**3):03d}", ""])
        name, note = chance.choice(["on", "off", ""]), chance.choice(["", "", "wave 1", '"wave 2, late"'])
        lines.append(f"{tn},{destination},{passcode},{name},{note}")
    return crlf(lines)


def locations() -> bytes:
    """60 locations, two of them with a destination that no location takes; the last line repeats an earlier one."""
    lines = ["SiteId,SipPeerId,Location,FailoverUri"]
    for number in range(60):
        uri = f"sip:failover@pbx{number}.example.com" if number % 3 else f"+180455501{number:02d}@PSTN"
        uri = {17: "8045550117", 41: "sip:failover"}.get(number, uri)
        lines.append(f"{26000 + number // 5},{617000 + number},{REGIONS[number % 8].title()} {number},{uri}")
    return crlf([*lines, lines[8]])


def tn_details() -> bytes:
    chance = random.Random(57)
    lines = ["TN,Customer"]
    lines += [f"{'+1' * (number % 3 == 0)}{tn},{customer(chance)}" for number, tn in enumerate(tns(chance, 600)[::3])]
    return crlf(lines)


def inventory_report() -> bytes:
    """The carrier's inventory report, opened in a spreadsheet and saved as "Unicode text": 1,200 numbers and their mishaps."""
    chance = random.Random(58)
    every = tns(chance, 1_200)
    lines = ["Iris Telephone Number Inventory Report\t\t\t", "", "FullNumber\tCity\tState\tStatus"]
    for number, tn in enumerate(every):
        form = "+1" * (number % 25 == 3) + "1" * (number % 50 == 7) + tn
        lines.append(f"{form}\t{REGIONS[number % 8]}\tNC\tInservice")
    # Two reports were put together, and their footer; numbers of other countries lost their + and their digits.
    lines.insert(700, lines[2])
    lines += [f'="{tn}"\tADDED\tBY\thand' for tn in every[40:52]]
    lines += ["4.41224E+11\tLONDON\t\tInservice"] * 8 + ["61870933122\tADELAIDE\t\tInservice"] * 5
    lines.append("Total\t1225\t\t")
    return codecs.BOM_UTF16_LE + "".join(f"{line}\r\n" for line in lines).encode("utf-16-le")


def write(folder: Path) -> None:
    whole, cut = nightly_failover()
    files = {
        "nightly_failover.csv": whole,
        "nightly_failover_truncated.csv": cut,
        "import_check.csv": import_check(),
        "check_then_options.csv": check_then_options(),
        "locations.csv": locations(),
        "tn_details.csv": tn_details(),
        "inventory_report.txt": inventory_report(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    pq.write_table(import_check_twin(), folder / "import_check.parquet", compression="zstd")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
