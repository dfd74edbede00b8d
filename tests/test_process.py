"""What a process of ours asks of the operating system."""

from __future__ import annotations

import subprocess
import sys

import pytest

CODE = """
import os, resource, sys
from pathlib import Path
from batcher.process import keep_private
keep_private()
Path("file").write_text("x")
Path("folder").mkdir()
print(oct(os.stat("file").st_mode & 0o777), oct(os.stat("folder").st_mode & 0o777))
print(resource.getrlimit(resource.RLIMIT_CORE))
"""


def said(code: str, folder) -> list[str]:
    result = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, umask=0)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.splitlines()


def test_what_we_write_is_ours_alone(tmp_path):
    """Files 0600, folders 0700, however open the caller's mask is; no core dump, which could hold credentials."""
    assert said(CODE, tmp_path) == ["0o600 0o700", "(0, 0)"]


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_no_other_process_reads_our_memory(tmp_path):
    """Not dumpable: neither a debugger of the same user nor a crash handler gets at the credentials."""
    code = CODE + "import ctypes; print(ctypes.CDLL(None).prctl(3, 0))"
    assert said(code, tmp_path)[-1] == "0"


def test_memory_goes_back_to_the_system(tmp_path):
    """Arrow uses the system's allocator, which gives back what is free."""
    code = "from batcher.process import keep_small\nkeep_small()\nimport pyarrow as pa\nprint(pa.default_memory_pool().backend_name)"
    assert said(code, tmp_path) == ["system"]


def test_the_module_is_the_command(tmp_path):
    """`python -m batcher` says what `batcher` says."""
    result = subprocess.run([sys.executable, "-m", "batcher", "--version"], capture_output=True, text=True)
    assert result.stdout.startswith("batcher, version ")
