"""The samples that ship with batcher: reproducible, fictional, and exactly as wrong as they claim to be."""

from __future__ import annotations

import csv
import re
import tomllib
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from batcher.engine.renumber import Wish
from batcher.engine.rewrite import rewrite
from batcher.table import open_source
from tests import make_samples

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "samples"
CSV = (
    "nightly_failover",
    "nightly_failover_truncated",
    "import_check",
    "check_then_options",
    "locations",
    "tn_details",
)


def rows_of(name: str, delimiter: str = ",") -> list[list[str]]:
    """Header and rows, by the standard library."""
    with (SAMPLES / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file, delimiter=delimiter, strict=True))


def digits(cell: str) -> str:
    return re.sub(r"[^0-9]", "", cell)[-10:]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    make_samples.write(folder)
    return folder


def test_the_generator_writes_what_is_shipped(written):
    """`python -m tests.make_samples` gives the shipped files: nobody edits them by hand."""
    assert sorted(path.name for path in SAMPLES.iterdir()) == sorted(path.name for path in written.iterdir())
    for name in CSV:
        assert (written / f"{name}.csv").read_bytes() == (SAMPLES / f"{name}.csv").read_bytes()
    report = "inventory_report.txt"
    assert (written / report).read_bytes() == (SAMPLES / report).read_bytes()
    # A Parquet file names the version of its writer: only its rows are ours.
    assert pq.read_table(written / "import_check.parquet").equals(pq.read_table(SAMPLES / "import_check.parquet"))


def test_the_inventory_report_reconciles(tmp_path):
    """UTF-16, tabs, a title, a header twice, numbers that a spreadsheet spoiled: every line is accounted for."""
    summary = rewrite(SAMPLES / "inventory_report.txt", tmp_path / "v2.csv", Wish("e164"))
    assert (summary["rows"], summary["written"], summary["rejected"], summary["added"]) == (1_227, 1_212, 15, 0)
    assert summary["codes"] == {
        "rejected SCI_NOTATION": 8,
        "rejected COUNTRY_AMBIGUOUS": 5,
        "rejected NOT_DATA": 2,
    }
    lines = (tmp_path / "v2.csv").read_text("utf-8").splitlines()
    assert lines[0] == "FullNumber\tCity\tState\tStatus"
    assert all(re.fullmatch(r".*[2-9][0-9]{2}55501[0-9]{2}.*", line) for line in lines[1:])
    assert all(re.match(r'"\+1[0-9]{3}55501[0-9]{2}"\t', line) for line in lines[1:])


def test_samples_are_small():
    """They travel in the wheel."""
    assert sum(path.stat().st_size for path in SAMPLES.iterdir()) < 2_500_000


@pytest.mark.parametrize("name", CSV)
def test_every_number_is_fictional(name):
    """NPA-555-01XX and 8YY-555-0199 belong to nobody: a mistake with a sample rings no telephone."""
    text = (SAMPLES / f"{name}.csv").read_bytes().decode()
    gap = r"[ ./)\u00a0\u202f\u2013-]*"
    numbers = re.findall(rf"(?<![0-9])1?([2-9][0-9]{{2}}{gap}[0-9]{{3}}{gap}[0-9]{{4}})(?![0-9])", text)
    assert len(numbers) > 10
    for number in map(digits, numbers):
        toll_free = re.match(r"8(00|33|44|55|66|77|88)", number)
        assert re.fullmatch(r"[0-9]{3}5550199" if toll_free else r"[0-9]{3}55501[0-9]{2}", number)


def test_the_nightly_export_is_as_described():
    """12,400 rows and a closing remark, with the mess that such an export has, in these numbers."""
    content = (SAMPLES / "nightly_failover.csv").read_bytes()
    assert content.count(b"\r\n") == content.count(b"\n") == 12_402
    header, *rows, remark = rows_of("nightly_failover")
    assert header == ["TN", "SiteId", "SipPeerId", "FinalDestination", "Reason", "UpdatedAt"]
    assert remark == ["-- 12400 rows --"]
    assert len(rows) == 12_400
    assert {len(row) for row in rows} == {6}
    tns = [row[0] for row in rows]
    assert tns.count("") == 62
    assert sum(tn.startswith("+1") for tn in tns) == 248
    destinations: dict[str, list[str]] = {}
    for row in rows:
        destinations.setdefault(digits(row[0]), []).append(row[3])
    del destinations[""]
    assert Counter(map(len, destinations.values())) == {1: 12_038, 2: 150}
    assert sum(len(set(pair)) == 2 for pair in destinations.values()) == 12
    assert sum(tn in wanted for tn, wanted in destinations.items()) == 3
    kinds = Counter("@PSTN" if row[3].endswith("@PSTN") else row[3][:4] for row in rows if digits(row[0]) != row[3])
    assert set(kinds) == {"@PSTN", "sip:", "8045", "syst"}
    assert kinds["@PSTN"] == 50
    assert len({row[3] for row in rows}) == 43
    # Blank, a destination that only a location takes, conflicting pairs, the remark.
    assert (62 + 50 + 2 * 12 + 1) / 12_401 < 0.02


def test_the_closing_remark_is_one_malformed_row():
    """It comes out as a row of its own, the last one, and nothing else is malformed."""
    with open_source(SAMPLES / "nightly_failover.csv") as source:
        batches = list(source.batches())
    assert sum(int(batch.malformed.sum()) for batch in batches) == 1
    assert batches[-1].malformed[-1]
    assert batches[-1].frame.slice(batches[-1].frame.num_rows - 1).to_pylist()[0]["TN"] == "-- 12400 rows --"


def test_the_truncated_export_ends_within_a_row():
    """What a full disk on the other side leaves: the last row is malformed, not shorter by a few digits."""
    content = (SAMPLES / "nightly_failover_truncated.csv").read_bytes()
    assert not content.endswith(b"\n")
    with open_source(SAMPLES / "nightly_failover_truncated.csv") as source:
        [batch] = source.batches()
    assert batch.malformed.tolist() == [False] * 118 + [True]


def test_the_spreadsheet_is_as_described():
    """6,200 contacts in every spelling, eight headings, a total; 389 rows without a number that can be sent."""
    header, *rows = rows_of("import_check", ";")
    assert header == ["Name", "Phone Number", "Fax", "Carrier", "Notes"]
    assert len(rows) == 6_209
    assert {len(row) for row in rows} == {5}
    assert rows[-1] == ["Total 6,200", "", "", "", ""]
    assert sum(row[0].isupper() for row in rows if not any(row[1:])) == 8
    phones = [row[1] for row in rows]
    found = {
        "extension": sum(bool(re.search(r" x12$| ext\. 104$", phone)) for phone in phones),
        "range": sum(phone.endswith("-0100 - 0119") for phone in phones),
        "two": sum(" / 0102" in phone for phone in phones),
        "letter O": sum("O" in phone and "FLOWERS" not in phone for phone in phones),
        "words": sum(phone.endswith((" (cell)", " landline")) for phone in phones),
        "vanity": phones.count("1-800-FLOWERS"),
        "scientific": sum("E+09" in phone for phone in phones),
        "seven digits": sum(bool(re.fullmatch(r"555-01[0-9]{2}", phone)) for phone in phones),
        "n/a": phones.count("n/a"),
        "none": phones.count("") - 8 - 1,
    }
    assert found == {
        "extension": 90,
        "range": 25,
        "two": 25,
        "letter O": 40,
        "words": 50,
        "vanity": 15,
        "scientific": 40,
        "seven digits": 50,
        "n/a": 20,
        "none": 25,
    }
    for mark in ("\u00a0", "\u202f", "\u202a", "\u2013", "\uff11", "tel:", '="', "'", ".0"):
        assert sum(mark in phone for phone in phones) > 200, mark
    assert sum(bool(re.fullmatch(r"1-8(00|33|44|55|66|77|88)-555-0199", phone)) for phone in phones) == 7
    assert any("\n" in row[4] for row in rows)


def test_the_warehouse_twin_holds_floats_with_gaps():
    """6,200 rows, 60 of them without a number; the others come out as ten digits each."""
    file = pq.ParquetFile(SAMPLES / "import_check.parquet")
    assert str(file.schema_arrow.field("tn").type) == "double"
    with open_source(SAMPLES / "import_check.parquet") as source:
        assert source.columns == ("tn", "loa_type", "customer")
        rows = [row for batch in source.batches() for row in batch.frame.to_pylist()]
    assert len(rows) == 6_200
    assert sum(not row["tn"] for row in rows) == 60
    assert all(re.fullmatch(r"[2-9][0-9]{2}55501[0-9]{2}", row["tn"]) for row in rows if row["tn"])
    assert {row["loa_type"] for row in rows} == {"CARRIER", "SUBSCRIBER"}


def test_the_list_for_two_steps_is_as_described():
    """2,000 TNs, each once; passcodes of four or six digits, some with a leading zero, some left as they are."""
    _, *rows = rows_of("check_then_options")
    assert len({row[0] for row in rows}) == len(rows) == 2_000
    passcodes = [row[2] for row in rows]
    assert all(re.fullmatch(r"([0-9]{4}|[0-9]{6})?", passcode) for passcode in passcodes)
    assert sum(passcode.startswith("0") for passcode in passcodes) > 500
    assert passcodes.count("") > 500
    assert {row[3] for row in rows} == {"on", "off", ""}


def test_the_locations_are_as_described():
    """60 locations, the last line once more an earlier one, two destinations that no location takes."""
    _, *rows = rows_of("locations")
    assert len(rows) == 61
    assert rows[-1] in rows[:-1]
    assert len({(row[0], row[1]) for row in rows}) == 60
    good = re.compile(r"sip:failover@pbx[0-9]+\.example\.com|\+180455501[0-9]{2}@PSTN")
    assert [row[3] for row in rows if not good.fullmatch(row[3])] == ["8045550117", "sip:failover"]


def test_the_list_of_details_is_as_described():
    """200 TNs, each once, E.164 and ten digits mixed."""
    _, *rows = rows_of("tn_details")
    assert len({digits(row[0]) for row in rows}) == len(rows) == 200
    assert sum(row[0].startswith("+1") for row in rows) == 67


@pytest.mark.parametrize("job", sorted((ROOT / "jobs").glob("*.toml")), ids=lambda path: path.stem)
def test_every_job_file_fits_its_sample(job):
    """The input is there, and so is every column that the job names; the output lies in `out/` under its own name."""
    read = tomllib.loads(job.read_text(encoding="utf-8"))
    with open_source(job.parent / read["input"]["path"]) as source:
        named = [read["input"][key] for key in ("tn",) if key in read["input"]]
        for step in read["step"]:
            named += [value["column"] for value in step.values() if isinstance(value, dict)]
        assert set(named) <= set(source.columns)
    assert read["output"]["path"] == f"../out/{job.stem}"
    assert f"jobs/{job.name}" in job.read_text(encoding="utf-8")


def test_the_nightly_job_sets_nothing_but_the_destination():
    """People copy this file: it must not switch anything else on or off."""
    [step] = tomllib.loads((ROOT / "jobs" / "nightly_failover.toml").read_text(encoding="utf-8"))["step"]
    assert step == {"operation": "tn-options", "final_destination_uri": {"column": "FinalDestination"}}
