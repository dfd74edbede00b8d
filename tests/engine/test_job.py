"""Job files: what they say as frozen values, and every mistake at once."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from batcher.engine.job import Binding, job_from, read_job, seconds_of
from batcher.errors import InputError

HEAD = '[input]\npath = "numbers.csv"\n[output]\npath = "out"\n'  # lines 1 to 4
STEP = '[[step]]\noperation = "tn-options"\n'  # lines 5 and 6
SMS = 'sms = "on"\n'


def job_of(tmp_path, text):
    path = tmp_path / "job.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_job(path)


def mistakes(tmp_path, text):
    """The mistakes without the folder before `job.toml`."""
    with pytest.raises(InputError) as caught:
        job_of(tmp_path, text)
    return str(caught.value).replace(f"{tmp_path}/", "").splitlines()


def test_a_job_file_fills_frozen_values(tmp_path):
    """Every table of DESIGN section 5, a value and a column; comments, dotted keys and inline tables are plain TOML."""
    folder = tmp_path / "jobs"
    folder.mkdir()
    job = job_of(
        folder,
        '# Tonight.\ninput = { path = "../samples/a.csv", tn = "TN" }\noutput.path = "../out/nightly"\n'
        'output.format = "parquet"\n[carrier]\naccount_id = "9900012"\napi = "v1"\nbase_url = "https://x/api/v1"\n'
        '[run]\nonce_per = "day"\ntimezone = "America/New_York"\n[limits]\nrequests_per_second = 2.5\nin_flight = 3\n'
        'absence_seconds = 90\nmax_age = "36h"\ntolerated_rejects = "2%"\ntolerated_failures = 100\n'
        '[[step]]\noperation = "import-tn-checker"\nsite_id = 486\n# then\n\n[[step]]\noperation = "tn-options"\n'
        'final_destination_uri = { column = "FinalDestination" }\nprotected = true\n',
    )
    assert job.name == "job"
    assert job.input_path.resolve() == tmp_path / "samples" / "a.csv"
    assert job.output_path == tmp_path / "out" / "nightly"
    assert (job.input.tn, job.output.format, job.needs_tn) == ("TN", "parquet", True)
    assert (job.carrier.account_id, job.carrier.api, job.carrier.base_url) == ("9900012", "v1", "https://x/api/v1")
    assert (job.run.once_per, job.run.timezone) == ("day", "America/New_York")
    limits = job.limits
    assert (limits.requests_per_second, limits.in_flight, limits.absence_seconds) == (2.5, 3, 90)
    assert (limits.max_age, limits.tolerated_rejects, limits.tolerated_failures) == (129_600, 0.02, 100)
    first, second = job.steps
    assert (first.number, first.operation.name, first.max_rows) == (1, "import-tn-checker", 5_000)
    assert first.bindings == (Binding(1, "site_id", None, "486"),)
    assert second.bindings == (
        Binding(2, "protected", None, "true"),
        Binding(2, "final_destination_uri", "FinalDestination", None),
    )


def test_what_is_left_out_has_the_documented_value(tmp_path):
    """DESIGN section 5 and ENGINE: v2, once per input, 10 requests a second, a day of age, nothing tolerated, CSV."""
    job = job_of(tmp_path, HEAD + STEP + SMS)
    assert (job.carrier.api, job.carrier.account_id, job.carrier.base_url) == ("v2", None, None)
    assert (job.run.once_per, job.run.timezone, job.output.format, job.input.tn) == ("input", "UTC", "csv", None)
    assert (job.limits.requests_per_second, job.limits.in_flight, job.limits.absence_seconds) == (10, None, 60)
    assert (job.limits.max_age, job.limits.tolerated_rejects, job.limits.tolerated_failures) == (86_400, 0, 0)


def test_all_mistakes_are_told_at_once_in_order_of_lines(tmp_path):
    """Each with file, line, key, and the nearest known key."""
    text = (
        '[input]\npath = "numbers.csv"\ntnn = "TN"\n[carrier]\napi = "v3"\n[run]\nonce_per = "dai"\n'
        '[limits]\nmax_age = "1w"\ntolerated_rejects = "200%"\ntolerated_failures = -1\nrequests_per_second = true\n'
        'in_flight = 0\n[output]\npath = "out"\nformat = "xls"\n# a comment\n\n[[step]]\noperation = "tn-optoins"\n'
        '# between\n[[step]]\noperation = "tn-options"\nsmss = "on"\n[[step]]\noperation = "tn-options"\nsms = "maybe"\n'
        "[limitz]\nx = 1\n"
    )
    assert mistakes(tmp_path, text) == [
        'job.toml:3: input.tnn: unknown key - did you mean "tn"?',
        'job.toml:5: carrier.api: should be "v1" or "v2", not "v3"',
        'job.toml:7: run.once_per: should be "input", "day" or "start", not "dai" - did you mean "day"?',
        'job.toml:9: limits.max_age: "1w" is no duration; write 90s, 15m, 24h or 3d',
        'job.toml:10: limits.tolerated_rejects: "200%" is neither a count (100) nor a share ("2%")',
        'job.toml:11: limits.tolerated_failures: -1 is neither a count (100) nor a share ("2%")',
        "job.toml:12: limits.requests_per_second: should be a valid number, not true",
        "job.toml:13: limits.in_flight: should be greater than or equal to 1, not 0",
        'job.toml:16: output.format: should be "csv" or "parquet", not "xls"',
        'job.toml:20: step.1.operation: unknown operation "tn-optoins" - did you mean "tn-options"?',
        'job.toml:24: step.2.smss: unknown key - did you mean "sms"?',
        "job.toml:27: step.3.sms: 'maybe' is not one of on, off, unchanged",
        'job.toml:28: limitz: unknown key - did you mean "limits"?',
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param(
            "",
            ["job.toml: input: is missing", "job.toml: output: is missing", "job.toml: step: is missing"],
            id="empty",
        ),
        pytest.param("[input]\n[output]\npath='o'\n" + STEP + SMS, ["job.toml:1: input.path: is missing"], id="path"),
        pytest.param(
            HEAD.replace("numbers.csv", "") + STEP + SMS,
            ['job.toml:2: input.path: should have at least 1 character, not ""'],
            id="empty path",
        ),
        pytest.param(
            'input = 5\noutput.path = "o"\nstep = [1]\n',
            ["job.toml:1: input: should be a table, not 5", "job.toml:3: step.1: should be a table, not 1"],
            id="no tables",
        ),
        pytest.param(
            HEAD + '[[steps]]\noperation = "x"\n',
            ["job.toml: step: is missing", 'job.toml:5: steps: unknown key - did you mean "step"?'],
            id="steps",
        ),
        pytest.param(
            "input.path = 'a'\noutput.path = 'o'\nlimits.max_age = '1w'\nlimits.in_flight = 0\n" + STEP + SMS,
            [
                'job.toml:3: limits.max_age: "1w" is no duration; write 90s, 15m, 24h or 3d',
                "job.toml:4: limits.in_flight: should be greater than or equal to 1, not 0",
            ],
            id="dotted keys",
        ),
        pytest.param(
            HEAD + "limits = { max_age = 5 }\n" + STEP + SMS,
            [
                "job.toml:5: output.limits: unknown key (known: path, format, carry, excel_safe)",
            ],
            id="a key below the wrong header",
        ),
        pytest.param(
            "limits = { max_age = 5 }\n" + HEAD + STEP + SMS,
            ["job.toml:1: limits.max_age: 5 is no duration; write it in quotes: 90s, 15m, 24h or 3d"],
            id="inline table",
        ),
        pytest.param(
            HEAD + "[limits]\nrequests_per_second = nan\nabsence_seconds = inf\n" + STEP + SMS,
            [
                "job.toml:6: limits.requests_per_second: should be a finite number, not nan",
                "job.toml:7: limits.absence_seconds: should be a finite number, not inf",
            ],
            id="numbers that are none",
        ),
        pytest.param(
            HEAD + '[run]\ntimezone = "Mars/Olympus"\n' + STEP + SMS,
            ['job.toml:6: run.timezone: "Mars/Olympus" is no time zone; write "UTC" or "America/New_York"'],
            id="time zone",
        ),
        pytest.param(
            HEAD + '[carrier]\naccount_id = "../1"\nbase_url = 5\n' + STEP + SMS,
            [
                'job.toml:6: carrier.account_id: "../1" is no account id: 1 to 64 letters, digits and dashes',
                "job.toml:7: carrier.base_url: should be text in quotes, not 5",
            ],
            id="account",
        ),
        pytest.param(
            HEAD + "[carrier]\naccount_id = 9900012\n" + STEP + SMS,
            ["job.toml:6: carrier.account_id: should be text in quotes, not 9900012"],
            id="account as a number",
        ),
        pytest.param(
            HEAD + STEP.replace("[[step]]", "[step]") + SMS,
            ["job.toml:5: step: begin each step with [[step]], in double brackets"],
            id="single brackets",
        ),
        pytest.param(
            "step = []\n" + HEAD,
            ["job.toml:1: step: begin each step with [[step]], in double brackets"],
            id="empty list",
        ),
        pytest.param(
            HEAD.replace("numbers.csv", "a\\u0000b").replace('"out"', '"~nobody-at-all/out"') + STEP + SMS,
            [
                "job.toml:2: input.path: a path cannot hold a NUL character",
                'job.toml:4: output.path: "~nobody-at-all/out": there is no such home folder',
            ],
            id="paths that cannot be",
        ),
    ],
)
def test_a_mistake_names_its_line(tmp_path, text, told):
    """What is missing has no line; what is there has that of its key, else that of its table."""
    assert mistakes(tmp_path, text) == told


def test_an_unknown_operation_names_its_neighbour_or_all(tmp_path):
    """Whoever has no idea of the names gets them."""
    near, far = mistakes(tmp_path, HEAD + STEP.replace("tn-options", "tn-option") + STEP.replace("tn-options", "sms"))
    assert near == 'job.toml:6: step.1.operation: unknown operation "tn-option" - did you mean "tn-options"?'
    assert far == (
        'job.toml:8: step.2.operation: unknown operation "sms" '
        "(there are: import-tn-checker, sippeer-failover, tn-details, tn-options)"
    )


def test_a_wrong_type_hides_no_other_mistake_of_its_step(tmp_path):
    """What the carrier would refuse is told beside it; a setting that is there, if wrong, is not called missing."""
    assert mistakes(tmp_path, HEAD + STEP + "sms = true\nnnid = 'x'\nprotected = 'no'\nsmss = 1\n") == [
        'job.toml:7: step.1.sms: should be text in quotes, or { column = "…" }, not true',
        "job.toml:8: step.1.nnid: 'x' is not a whole number (or unchanged, systemDefault)",
        "job.toml:9: step.1.protected: 'no' is not one of true, false, unchanged, systemDefault",
        'job.toml:10: step.1.smss: unknown key - did you mean "sms"?',
    ]
    checker = HEAD + STEP.replace("tn-options", "import-tn-checker")
    assert mistakes(tmp_path, checker + "site_id = 1.5\nsippeer_id = 'a/b'\n") == [
        'job.toml:7: step.1.site_id: should be text in quotes, or { column = "…" }, not 1.5',
        "job.toml:8: step.1.sippeer_id: 'a/b' is not an id: at most 64 letters, digits and dashes",
    ]


def test_a_step_without_an_operation_names_those_there_are(tmp_path):
    """On the line of its table."""
    [told] = mistakes(tmp_path, HEAD + "[[step]]\nsms = 'on'\n")
    assert told.startswith("job.toml:5: step.1.operation: the name of an operation is missing (")
    assert "tn-options" in told


@pytest.mark.parametrize(
    ("line", "told"),
    [
        pytest.param("sms = { column = 5 }", 'step.1.sms: write a value, or { column = "…" }', id="column 5"),
        pytest.param("sms = { column = '' }", 'step.1.sms: write a value, or { column = "…" }', id="no column"),
        pytest.param("sms.colum = 'X'", 'step.1.sms: write a value, or { column = "…" }', id="colum"),
        pytest.param(
            "sms = { step = 2 }", "step.1.sms: no earlier step of this job brings a value for it", id="step 2"
        ),
        pytest.param(
            "sms = true", 'step.1.sms: should be text in quotes, or { column = "…" }, not true', id="not text"
        ),
        pytest.param(
            "nnid = 1.5", 'step.1.nnid: should be text in quotes, or { column = "…" }, not 1.5', id="not whole"
        ),
        pytest.param(
            "routes = ['a']", 'step.1.routes: should be text in quotes, or { column = "…" }, not ["a"]', id="list"
        ),
        pytest.param("sms = ' '", "step.1.sms: '' is not one of on, off, unchanged", id="empty"),
        pytest.param(
            "call_forward = '911'", "step.1.call_forward: 911 is a service code; calls must not be sent there", id="911"
        ),
        pytest.param(
            "route_action = 'asSpecified'", "step.1.route_action: asSpecified needs routes", id="contradiction"
        ),
        pytest.param(
            "sip_prefix = 'stripp'",
            'step.1.sip_prefix: should be "strip", "keep" or "refuse", not "stripp" - did you mean "strip"?',
            id="option",
        ),
        pytest.param(
            "sip_prefix = { column = 'X' }",
            "step.1.sip_prefix: holds for the whole step and cannot come from a column",
            id="option from a column",
        ),
    ],
)
def test_a_mistake_in_a_step_is_told_once(tmp_path, line, told):
    """However many types a setting may have."""
    assert mistakes(tmp_path, HEAD + STEP + line + "\n") == [f"job.toml:7: {told}"]


@pytest.mark.parametrize(
    "value", ['"abc"', '"hush-hush"', "97531", "[97531]", '{ pin = "hush1" }', "97531.5"], ids=lambda value: value
)
def test_a_passcode_is_never_shown(tmp_path, value):
    """Too short, with a dash, a number, a list: the mistake names the key and keeps the value to itself."""
    [told] = mistakes(tmp_path, f"{HEAD}{STEP}port_out_passcode = {value}\n")
    assert told.startswith("job.toml:7: ")
    assert "port_out_passcode" in told
    assert not any(secret in told for secret in ("abc", "hush", "97531"))


def test_a_step_that_does_nothing_is_a_mistake(tmp_path):
    """One that sets nothing, one without what it needs, one about other things than the first."""
    text = (
        f'{HEAD}{STEP}sip_prefix = "keep"\n[[step]]\noperation = "import-tn-checker"\n'
        '[[step]]\noperation = "sippeer-failover"\nsite_id = 1\nsippeer_id = 2\n'
        'final_destination_uri = "sip:desk@192.0.2.4"\n'
    )
    first, second, third = mistakes(tmp_path, text)
    assert first.startswith("job.toml:5: step.1: tn-options sets nothing (it can set: a2p_action, ")
    assert second == 'job.toml:8: step.2.site_id: import-tn-checker needs it: a value, or { column = "…" }'
    assert (
        third
        == "job.toml:10: step.3: the rows of sippeer-failover are named by site_id/sippeer_id, those of step 1 by tn"
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param(HEAD + "[[step]\n", "job.toml:5: Expected ']]' at the end of an array declaration.", id="syntax"),
        pytest.param(
            b"# ok\n\xff\xfe",
            "job.toml:2: the byte 0xff is not UTF-8, as a job file has to be. If this is an input, name it in",
            id="UTF-8",
        ),
        pytest.param("a = " + "[" * 100_000, "job.toml: no readable job file (nested too deeply).", id="nested"),
        pytest.param("#" * (1 << 20) + "\n", "job.toml: no readable job file (larger than 1 MiB).", id="1 MiB"),
        pytest.param(HEAD + "[input]\n", "job.toml:5: [input] was given before.", id="table twice"),
        pytest.param(
            "[step]\na = 1\n[step]\n", "job.toml:3: each step begins with [[step]], in double brackets.", id="steps"
        ),
        pytest.param("a.b = 1\na.b = 2\n", "job.toml:2: this key has its value already.", id="key twice"),
        pytest.param("a = { b = 1, b = 2 }\n", "job.toml:1: b has its value already.", id="inline key twice"),
        pytest.param("a = { b = 1 }\n[a.c]\n", "job.toml:2: [a.c] was given before.", id="closed table"),
        pytest.param("a = { b = 1 }\na.c = 1\n", "job.toml:2: a has its value already.", id="closed value"),
        pytest.param('a = "b\nc = 1\n', "job.toml:1: the quotes are not closed.", id="open quotes"),
        pytest.param("a = on\n", "job.toml:1: what stands here is no value; text stands in quotes.", id="no quotes"),
    ],
)
def test_what_is_no_job_file_is_refused(tmp_path, text, told):
    """In words, with the line where there is one."""
    [line] = mistakes(tmp_path, text)
    assert line.startswith(told)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("small.csv", b"tn\n9195550123\n"),
        ("small.TXT", b"9195550123\n"),
        ("small.parquet", b"PAR1\x15\xff"),
        ("small.csv.gz", b"\x1f\x8b\x08"),
        ("large.csv", b"tn\n" + b"9195550123\n" * 200_000),
    ],
    ids=["csv", "txt", "parquet", "gz", "large"],
)
def test_an_input_in_the_place_of_a_job_file_is_told_so(tmp_path, name, content):
    """With both ways to use it."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as refused:
        read_job(tmp_path / name)
    assert str(refused.value) == (
        f"{tmp_path / name}: is an input, not a job file: "
        "name it in a job file ([input] path), or give --operation NAME with it."
    )


def test_a_job_remembers_where_its_keys_stand(tmp_path):
    """What only the input shows to be a mistake has its line as well; two readings of one file are the same job."""
    job = job_of(tmp_path, HEAD + STEP + "sms = { column = 'SMS' }\n")
    assert job.lines.told(("step", 0, "sms"), "no such column") == (
        f"{tmp_path}/job.toml:7: step.1.sms: no such column"
    )
    assert job == read_job(tmp_path / "job.toml")


def test_what_cannot_be_opened_is_refused(tmp_path):
    """A folder, or nothing at all."""
    with pytest.raises(InputError, match="Is a directory"):
        read_job(tmp_path)
    with pytest.raises(InputError, match="No such file"):
        read_job(tmp_path / "none.toml")


def test_a_byte_order_mark_is_no_mistake(tmp_path):
    """Windows editors write one."""
    assert job_of(tmp_path, b"\xef\xbb\xbf" + (HEAD + STEP + SMS).encode()).name == "job"


def test_a_number_may_stand_where_the_carrier_wants_one(tmp_path):
    """A constant is the text that a cell would hold: nnid = 123, protected = false."""
    job = job_of(tmp_path, HEAD + STEP + "nnid = 123\nprotected = false\n")
    assert [(binding.setting, binding.constant) for binding in job.steps[0].bindings] == [
        ("protected", "false"),
        ("nnid", "123"),
    ]


@pytest.mark.parametrize(
    ("value", "share"),
    [("0", 0.0), ("7", 7.0), ('"2%"', 0.02), ('"0%"', 0.0), ('"0.5 %"', 0.005), ('"100%"', math.inf)],
    ids=str,
)
def test_shares_and_counts(tmp_path, value, share):
    """A share stays below one, a count at or above; all of them is any count."""
    assert (
        job_of(tmp_path, f"{HEAD}[limits]\ntolerated_rejects = {value}\n{STEP}{SMS}").limits.tolerated_rejects == share
    )


def test_durations():
    """Seconds, minutes, hours, days; nothing else."""
    assert [seconds_of(text) for text in ("90s", "15m", "1.5h", " 3 d ", "0s")] == [90, 900, 5_400, 259_200, 0]
    for text in ("90", "-1s", "1w", "", "s", "1e3s"):
        with pytest.raises(ValueError, match="no duration"):
            seconds_of(text)


def test_the_command_line_says_the_same_without_a_file(tmp_path):
    """Its mistakes have no line; its paths lie in the current folder."""
    tables = {"input": {"path": "a.csv"}, "output": {"path": "out"}, "step": [{"operation": "tn-options", "sms": "on"}]}
    job = job_from(tables, folder=tmp_path)
    assert (job.path, job.name, job.input_path) == (None, "tn-options", Path(tmp_path / "a.csv"))
    tables["step"] = [{"operation": "tn-options", "smss": "on"}]
    with pytest.raises(InputError, match=r'^command line: step\.1\.smss: unknown key - did you mean "sms"\?$'):
        job_from(tables, folder=tmp_path)
