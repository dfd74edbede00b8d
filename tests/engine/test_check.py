"""What `check` says before anything is sent, what a run refuses on the same grounds, and how both relax the rules."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from batcher.engine.check import check
from batcher.engine.identity import SIMULATOR, job_digest
from batcher.engine.job import Job, read_job
from batcher.errors import InputError
from tests.engine.runs import CHECKER, FAILOVER, SMS, account, fates, read, runs, start, way_to, write_job

FULL = '[[step]]\noperation = "tn-details"\n'
SUMMARY = '[[step]]\noperation = "tn-details"\ndetail = "summary"\n'
LOCATIONS = (
    '[[step]]\noperation = "sippeer-failover"\nsite_id = 486\nsippeer_id = { column = "P" }\n'
    'final_destination_uri = "sip:a@192.0.2.4"\n'
)


def job_with(folder: Path, steps: str, rows: str, *, words: str = "", limits: str = "") -> Job:
    """The same as `write_job`, with more words in [input]."""
    write_job(folder, steps, rows, limits=limits)
    path = folder / "job.toml"
    path.write_text(path.read_text().replace('path = "numbers.csv"\n', f'path = "numbers.csv"\n{words}'))
    return read_job(path)


def looked_at(folder: Path, steps: str, rows: str, **more: str) -> dict[str, Any]:
    return check(job_with(folder, steps, rows, **more), way_to(account()))


def numbered(count: int) -> str:
    """So many distinct TNs of two exchanges, one a line."""
    return "".join(f"{2_012_000_000 + 10_000_000 * (number % 2) + number}\n" for number in range(count))


# What is told


def test_counts_examples_kinds_and_values(tmp_path):
    """Each row in one status, three examples of each code as they were typed, and what the others set."""
    rows = (
        "TN,To\n2012000001,2015550142\n(201) 200-0001,2015550142\n8002000001,systemDefault\n4162000001,2015550143\n"
        "+442079460000,2015550143\n3722000001,2015550143\n2012000002,2015550142\n2012000002,2015550143\n2012000003,\n"
        "1,x\n2,x\n3,x\n4,x\n2.01855E+09,x\n2012000004,911\n2012000005\n-- 16 rows --\n"
    )
    summary = looked_at(tmp_path, FAILOVER, rows)
    assert summary["rows"] == 17
    assert {name: count for name, count in summary["statuses"].items() if count} == {
        "rejected": 10,
        "duplicate": 1,
        "skipped": 1,
        "pending": 5,
    }
    assert summary["codes"] == {
        "rejected TOO_SHORT": 4,
        "rejected DUPLICATE_CONFLICT": 2,
        "duplicate DUPLICATE": 1,
        "skipped NOTHING_SET": 1,
        "rejected SCI_NOTATION": 1,
        "rejected BAD_VALUE": 1,
        "rejected ROW_MALFORMED": 1,
        "rejected NOT_DATA": 1,
    }
    examples = {code: [tuple(row[:2]) for row in found] for code, found in summary["examples"].items()}
    assert examples == {
        "DUPLICATE_CONFLICT": [(7, "2012000002"), (8, "2012000002")],
        "TOO_SHORT": [(10, "1"), (11, "2"), (12, "3")],
        "SCI_NOTATION": [(14, "2.01855E+09")],
        "BAD_VALUE": [(15, "2012000004")],
        "ROW_MALFORMED": [(16, "2012000005")],
        "NOT_DATA": [(17, "-- 16 rows --")],
    }
    assert summary["examples"]["BAD_VALUE"][0][2].startswith('column "To": 911 is a service code')
    kinds = summary["numbers"]
    assert (kinds["toll_free"], kinds["not_us"], kinds["not_plus_1"], kinds["unknown_npas"]) == (1, 1, 1, {"372": 1})
    assert summary["conflicts"] == 2
    assert summary["values"] == {
        "1.final_destination_uri": 8,
        "1.final_destination_uri systemDefault": 1,
    }
    assert summary["warnings"] == {"batcher NOT_US": 1, "batcher NPA_UNRECOGNIZED": 1}
    assert len(summary["oddities"]) == 1
    assert (summary["refused"], summary["exit_code"]) == ([], 1)


@pytest.mark.parametrize(
    ("steps", "rows", "planned"),
    [
        pytest.param(SMS, "TN\n" + numbered(5_001), ("orders", 2, 4, 0.8), id="an order is posted and polled"),
        pytest.param(CHECKER, "TN\n" + numbered(5_001), ("checks", 2, 2, 0.4), id="a check is one request"),
        pytest.param(LOCATIONS, "P\n1\n2\n3\n", ("records", 3, 9, 1.8), id="a record is got, put and read back"),
        pytest.param(FULL, "TN\n" + numbered(26), ("lots", 2, 26, 5.2), id="a reading of one TN after the other"),
        pytest.param(SUMMARY, "TN\n" + numbered(2_501), ("lots", 2, 2, 0.4), id="a reading of 2,500 TNs at once"),
        pytest.param(FULL, "TN\nx\n", ("lots", 0, 0, 0.0), id="nothing to be read"),
    ],
)
def test_requests_and_time(tmp_path, steps, rows, planned):
    """At five requests a second."""
    summary = looked_at(tmp_path, steps, rows, limits="[limits]\nrequests_per_second = 5\n")
    names = ("planned_as", "planned_orders", "planned_requests", "planned_seconds")
    assert tuple(summary[name] for name in names) == planned


def test_only_the_rejects_stay(tmp_path):
    """To be mended and fed again; nothing is sent, no run folder is left, an older check is replaced."""
    simulated = account()
    job = job_with(tmp_path, CHECKER, "Name,TN\na,2012000001\nb,55\n")
    for _ in range(2):
        summary = check(job, way_to(simulated))
    assert summary["folder"] == str(job.output_path / "check")
    assert sorted(path.name for path in job.output_path.rglob("*")) == ["check", "lock", "rejects.csv"]
    assert [row[:3] for row in read(job.output_path / "check" / "rejects.csv")] == [["b", "55", "TOO_SHORT"]]
    assert simulated.executions == 0
    assert not simulated.orders
    job = replace(job, output=job.output.model_copy(update={"format": "parquet"}))
    check(job, way_to(simulated))
    assert (job.output_path / "check" / "rejects.parquet").exists()


def test_no_secret_is_shown(tmp_path):
    """A passcode stands in no example, no reject and no line of the result, malformed lines included."""
    steps = '[[step]]\noperation = "tn-options"\nsms = { column = "S" }\nport_out_passcode = { column = "PIN" }\n'
    rows = (
        "PIN,TN,S\nhush1,2012000001,on\nhush2!,2012000002,on\nhush3,55,on\nhush4,2012000003,on,extra\nhush5,x,maybe\n"
    )
    summary = looked_at(tmp_path, steps, rows)
    assert summary["statuses"]["rejected"] == 4
    assert set(summary["examples"]) == {"BAD_VALUE", "TOO_SHORT", "ROW_MALFORMED", "LETTERS"}
    assert "hush" not in json.dumps(summary)
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or path.name == "numbers.csv" or b"hush" not in path.read_bytes()


# What is odd


ODD = {
    "scientific notation": ("TN\n2012000001\n2.01855E+09\n", "1 cell in scientific notation"),
    "nothing to send": ("TN\nx\n", "No row is left to be sent."),
    "many rejects": ("TN\n" + numbered(94) + "x\n" * 6, "6 of 100 rows are rejected"),
    "one exchange": (
        "TN\n" + "".join(f"{2_012_000_000 + n}\n" for n in range(100)),
        "All 100 numbers begin with 201200",
    ),
}


@pytest.mark.parametrize(("text", "said"), ODD.values(), ids=ODD)
def test_oddities_are_refusals_when_strict(tmp_path, text, said):
    """Otherwise they are told, and the run goes on."""
    simulated = account()
    job = job_with(tmp_path / "easy", CHECKER, text)
    summary = check(job, way_to(simulated))
    [oddity] = summary["oddities"]
    assert oddity.startswith(said)
    assert summary["refused"] == []
    assert summary["exit_code"] in {0, 1}
    assert start(job, way_to(simulated))["oddities"] == [oddity]
    job = job_with(tmp_path / "strict", CHECKER, text, words="strict = true\n")
    before = simulated.executions
    summary = check(job, way_to(simulated))
    assert (summary["refused"], summary["exit_code"]) == ([oddity], 2)
    with pytest.raises(InputError, match=r"\(strict\) Nothing was sent") as refused:
        start(job, way_to(simulated))
    assert oddity in str(refused.value)
    assert runs(job) == [job.output_path / "check"]
    assert simulated.executions == before


def test_a_plain_file_is_not_odd(tmp_path):
    """Not even strictly."""
    summary = looked_at(tmp_path, CHECKER, "TN\n" + numbered(100), words="strict = true\n")
    assert (summary["oddities"], summary["refused"], summary["exit_code"]) == ([], [], 0)


# How many rejects are too many


@pytest.mark.parametrize(
    ("limits", "good", "bad", "is_refused"),
    [
        pytest.param("", 5, 100, False, id="default, at least 100"),
        pytest.param("", 5, 101, True, id="default, 101 of few"),
        pytest.param("", 2_090, 110, False, id="default, 5 percent"),
        pytest.param("", 2_089, 111, True, id="default, more"),
        pytest.param("max_rejected = 2\n", 5, 2, False, id="a count"),
        pytest.param("max_rejected = 2\n", 5, 3, True, id="more than a count"),
        pytest.param('max_rejected = "10%"\n', 990, 110, False, id="a share"),
        pytest.param('max_rejected = "10%"\n', 989, 111, True, id="more than a share"),
        pytest.param("max_rejected = 0\n", 5, 0, False, id="none"),
        pytest.param("max_rejected = 0\n", 5, 1, True, id="not even one"),
    ],
)
def test_too_many_rejects_refuse_the_run(tmp_path, limits, good, bad, is_refused):
    """Check says so, run leaves nothing behind, and --no-budget sends all the same."""
    simulated = account()
    speed = "requests_per_second = 500\nabsence_seconds = 0\n"
    text = "TN\n" + "x\n" * bad + numbered(good)
    job = job_with(tmp_path, CHECKER, text, limits=f"[limits]\n{speed}{limits}")
    summary = check(job, way_to(simulated))
    assert bool(summary["refused"]) == is_refused
    assert summary["exit_code"] == (2 if is_refused else min(bad, 1))
    if is_refused:
        assert summary["refused"][0].startswith(f"{bad:,} of {good + bad:,} rows are rejected, and limits.max_rejected")
        with pytest.raises(InputError, match="Nothing was sent") as refused:
            start(job, way_to(simulated))
        assert str(refused.value).startswith(f"{job.input_path}: {bad:,} of ")
        assert runs(job) == [job.output_path / "check"]
        assert not (job.output_path / "latest").is_symlink()
        assert simulated.executions == 0
    summary = start(job, way_to(simulated), no_budget=True)
    assert (summary["statuses"]["succeeded"], summary["statuses"]["rejected"]) == (good, bad)


def test_conflicts_and_bad_values_count_as_rejects(tmp_path):
    """Duplicates and rows that set nothing do not."""
    text = "TN,To\n2012000001,2015550142\n2012000001,2015550142\n2012000002,\n"
    limits = "[limits]\nmax_rejected = 0\n"
    assert looked_at(tmp_path, FAILOVER, text, limits=limits)["refused"] == []
    text += "2012000003,2015550142\n2012000003,2015550143\n2012000004,911\n"
    [why] = looked_at(tmp_path, FAILOVER, text, limits=limits)["refused"]
    assert why.startswith("3 of 6 rows are rejected, and limits.max_rejected allows 0.")


# Strict and relaxed rules in a run


RELAXED = {
    "extensions": ("201-200-0001 x12", "EXTENSION", "+12012000001"),
    "vanity": ("1-800-FLOWERS", "LETTERS", "+18003569377"),
    "labels": ("Tel: 201-200-0001", "LETTERS", "+12012000001"),
}


@pytest.mark.parametrize("name", RELAXED)
def test_a_relaxed_rule_accepts_with_a_warning_per_row(tmp_path, name):
    """Otherwise the row is refused by the same code."""
    cell, code, number = RELAXED[name]
    rows = f"TN\n{cell}\n"
    assert fates(start(job_with(tmp_path / "a", CHECKER, rows), way_to(account()))) == [("rejected", code)]
    job = job_with(tmp_path / "b", CHECKER, rows, words=f'relax = ["{name}"]\n')
    assert check(job, way_to(account()))["warnings"] == {f"batcher {code}": 1}
    summary = start(job, way_to(account()))
    folder = Path(summary["folder"])
    assert [row[1:5] for row in read(folder / "results.csv")] == [[cell, number, "succeeded", ""]]
    [warning] = read(folder / "warnings.csv")
    assert warning[:4] == ["1", number, "batcher", code]
    assert summary["warnings"] == {f"batcher {code}": 1}


def test_a_relaxed_rule_warns_of_duplicates_as_well(tmp_path):
    """Of each row an extension was dropped; the first one's warnings are no repetition's."""
    rows = "TN\n919-555-0123\n919-555-0123 x41\n919-555-0123 x42\n"
    summary = start(job_with(tmp_path, CHECKER, rows, words='relax = ["extensions"]\n'), way_to(account()))
    warnings = read(Path(summary["folder"]) / "warnings.csv")
    assert [row[:4] for row in warnings] == [
        ["1", "+19195550123", "batcher", "FICTIONAL_555"],
        ["2", "+19195550123", "batcher", "EXTENSION"],
        ["3", "+19195550123", "batcher", "EXTENSION"],
    ]


def test_check_compares_with_the_last_run_at_the_carrier(tmp_path):
    """What it foretells is such a run; a trial counts for nothing."""
    limits = '[limits]\nmax_row_count_change = "20%"\n'
    trial = replace(way_to(account()), base_url=SIMULATOR)
    start(job_with(tmp_path, CHECKER, f"TN\n{numbered(100)}", limits=limits), trial)
    fewer = job_with(tmp_path, CHECKER, f"TN\n{numbered(30)}", limits=limits)
    looked = check(fewer, trial)
    assert (looked["refused"], looked["oddities"]) == ([], [])
    real = replace(way_to(account()), base_url="https://api.bandwidth.com/api/v2")
    start(job_with(tmp_path, CHECKER, f"TN\n{numbered(100)}", limits=limits), real)
    looked = check(job_with(tmp_path, CHECKER, f"TN\n{numbered(30)}", limits=limits), trial)
    assert [why.partition(",")[0] for why in looked["refused"]] == ["It has 30 rows"]
    assert looked["oddities"] == ["It has 30 rows, and the last finished run had 100: is the file whole?"]


def test_strict_refuses_scientific_notation_with_all_digits(tmp_path):
    """Which is taken with a warning otherwise."""
    rows = "TN\n2.012000001E+09\n2012000002\n"
    summary = start(job_with(tmp_path / "a", CHECKER, rows), way_to(account()))
    assert fates(summary) == [("succeeded", ""), ("succeeded", "")]
    assert [row[:4] for row in read(Path(summary["folder"]) / "warnings.csv")] == [
        ["1", "+12012000001", "batcher", "SCI_EXACT"]
    ]
    summary = looked_at(tmp_path / "b", CHECKER, rows, words="strict = true\n")
    assert summary["codes"] == {"rejected SCI_NOTATION": 1}
    assert summary["exit_code"] == 2


def test_ranges_and_lists_cannot_be_relaxed_in_a_run(tmp_path):
    """A run has one line of the results per row of the input."""
    for name in ("ranges", "lists"):
        with pytest.raises(InputError, match=r"job\.toml:3: input\.relax"):
            job_with(tmp_path, CHECKER, "TN\n2012000001\n", words=f'relax = ["{name}"]\n')


def test_other_rules_are_another_run(tmp_path):
    """What is accepted depends on them; their order does not matter."""
    rows, simulated = "TN\n2012000001\n", account()
    words = ["", "strict = true\n", 'relax = ["labels", "vanity"]\n']
    jobs = [job_with(tmp_path, CHECKER, rows, words=word) for word in words]
    assert len({job_digest(job, way_to(simulated)) for job in jobs}) == 3
    turned = job_with(tmp_path, CHECKER, rows, words='relax = ["vanity", "labels"]\n')
    assert job_digest(turned, way_to(simulated)) == job_digest(jobs[2], way_to(simulated))
    summaries = [start(job, way_to(simulated)) for job in (*jobs, turned)]
    assert ["already_done" in summary for summary in summaries] == [False, False, False, True]
    assert len(runs(jobs[0])) == 3


# Ragged lines


def test_ragged_lines_are_data_or_none(tmp_path):
    """Totals and comments are no data; every other line is malformed, and stands in the rejects as it was."""
    rows = (
        "Name,TN,To\na,2012000001,2015550142\n-- 3 rows --\n# made by cron\nTotal: 3\n(3 rows)\nb,2012000002\nc,1,2,3\n"
    )
    summary = start(job_with(tmp_path, FAILOVER, rows), way_to(account()))
    assert fates(summary) == [
        ("succeeded", ""),
        *[("rejected", "NOT_DATA")] * 4,
        *[("rejected", "ROW_MALFORMED")] * 2,
    ]
    rejects = read(Path(summary["folder"]) / "rejects.csv")
    assert [row[0] for row in rejects] == [
        "-- 3 rows --",
        "# made by cron",
        "Total: 3",
        "(3 rows)",
        "b,2012000002",
        "c,1,2,3",
    ]
    assert {tuple(row[1:3]) for row in rejects} == {("", "")}


def test_a_number_in_a_cell_too_many_is_never_dropped(tmp_path):
    """Where nothing but the TN is used, and it comes first, a ragged line is a row; not with another number in it."""
    refused = [
        "2012345678,+441224003018,Bob",
        "2012345677,Al,+441224003019",
        '2012345670,"2012345671 / 5672",Ed',
        "2012345660,2012345661-5669,Ed",
        "2012345650,Bo,+2012345651",
        "2012345640,1-800-FLOWERS,Bo",
        "2012345630,tel:2012345631,x",
        "2012345620,0101,x",
    ]
    rows = "\n".join(["TN,Name", "2012345601,Al,x", *refused, "2012345602,Bo"]) + "\n"
    summary = start(job_with(tmp_path, CHECKER, rows), way_to(account()))
    assert fates(summary) == [("succeeded", ""), *[("rejected", "ROW_MALFORMED")] * len(refused), ("succeeded", "")]
    assert [row[0] for row in read(Path(summary["folder"]) / "rejects.csv")] == list(refused)


# The command line


def batcher(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "batcher", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


def test_area_codes_that_somebody_knows(tmp_path):
    """Of a file and of the job file together; a file that is no list of them is refused."""
    job_with(tmp_path, CHECKER, "TN\n3722340001\n3732340001\n3742340001\n", words="known_npas = [372]\nstrict = true\n")
    (tmp_path / "npas.txt").write_text("# opened in May\n373, 729 861\n")
    ended = batcher(tmp_path, "check", "job.toml", "--json", "-q", "--known-npa", "npas.txt")
    found = json.loads(ended.stdout)
    assert (found["codes"], found["numbers"]["unknown_npas"]) == ({"rejected NANP_BAD_NPA": 1}, {})
    words = ["normalize", "numbers.csv", "out.csv", "--to", "e164", "--known-npa", "npas.txt", "--strict", "-q"]
    assert batcher(tmp_path, *words).returncode == 1
    assert (tmp_path / "out.csv").read_text() == 'TN\n"+13732340001"\n'
    (tmp_path / "npas.txt").write_text("NPA\n373\n")
    for given in (words, ["check", "job.toml", "--known-npa", "npas.txt"], ["run", "job.toml", "--known-npa", "none"]):
        ended = batcher(tmp_path, *given)
        assert (ended.returncode, ended.stderr.count("--known-npa n")) == (2, 1), ended.stderr


def test_strict_and_no_budget_as_words_of_the_command(tmp_path):
    """`--strict` is `[input] strict`; `--no-budget` sends, and says in the log what is odd."""
    job_with(tmp_path, CHECKER, "TN\n2012000001\n2.01855E+09\n", limits="[limits]\nmax_rejected = 0\n")
    ended = batcher(tmp_path, "check", "job.toml", "--json", "-q")
    assert ended.returncode == json.loads(ended.stdout)["exit_code"] == 2
    assert len(json.loads(ended.stdout)["refused"]) == 1
    ended = batcher(tmp_path, "check", "job.toml", "--strict", "-q")
    assert ended.returncode == 2
    assert "a run would be refused: 1 cell in scientific notation" in ended.stdout
    assert "a run would be refused: 1 of 2 rows are rejected, and limits.max_rejected allows 0." in ended.stdout
    ended = batcher(tmp_path, "run", "job.toml", "--simulate")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "limits.max_rejected allows 0" in ended.stderr
    assert [path.name for path in (tmp_path / "out").iterdir() if path.is_dir()] == ["check"]
    ended = batcher(tmp_path, "run", "job.toml", "--simulate", "--no-budget")
    assert ended.returncode == 1
    assert "1 cell in scientific notation" in ended.stderr
    with (tmp_path / "out" / "latest" / "results.csv").open(newline="") as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["succeeded", "rejected"]
