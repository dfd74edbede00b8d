"""Job files and samples that travel with batcher."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from batcher import shipped
from batcher.errors import InputError

ROOT = Path(__file__).parent.parent


def test_names():
    """One name for each file in jobs/."""
    assert shipped.names() == sorted(path.stem for path in (ROOT / "jobs").glob("*.toml"))
    assert "nightly_failover" in shipped.names()


@pytest.mark.parametrize("name", shipped.names())
def test_a_copied_job_finds_its_sample(tmp_path, name):
    """Job and sample land where the job's own relative path leads."""
    job, *samples = shipped.copy(name, tmp_path)
    assert job == tmp_path / "jobs" / f"{name}.toml"
    assert job.read_bytes() == (ROOT / "jobs" / f"{name}.toml").read_bytes()
    wanted = tomllib.loads(job.read_text("utf-8"))["input"]["path"]
    assert [(job.parent / wanted).resolve()] == [sample.resolve() for sample in samples]
    assert samples[0].read_bytes() == (ROOT / "samples" / samples[0].name).read_bytes()


@pytest.mark.parametrize("there", ["jobs/tn_details.toml", "samples/tn_details.csv"], ids=["job", "sample"])
def test_nothing_is_written_over(tmp_path, there):
    """Neither of the two files is touched when either is there."""
    (tmp_path / there).parent.mkdir()
    (tmp_path / there).write_text("mine")
    with pytest.raises(InputError, match=r"tn_details\.\w+: is there already, and is not written over"):
        shipped.copy("tn_details", tmp_path)
    assert [path.read_text() for path in tmp_path.rglob("*.*")] == ["mine"]


def test_a_dangling_link_is_not_followed(tmp_path):
    """Nothing is written through it."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs/tn_details.toml").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="cannot be written"):
        shipped.copy("tn_details", tmp_path)
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_cannot_be_made(tmp_path):
    """Told in words, with the path."""
    (tmp_path / "jobs").write_text("a file")
    with pytest.raises(InputError, match=r"jobs/tn_details\.toml: cannot be written"):
        shipped.copy("tn_details", tmp_path)


@pytest.mark.parametrize("name", ["nope", "../jobs/tn_details", "tn_details.toml", ""])
def test_an_unknown_name(tmp_path, name):
    """The names that there are stand in the message; no path gets through."""
    with pytest.raises(InputError, match=f'There is no job "{name}". There are: .*nightly_failover'):
        shipped.copy(name, tmp_path)
    assert not list(tmp_path.iterdir())
