"""The job files and samples that come with batcher, wherever it is installed."""

from __future__ import annotations

import re
from pathlib import Path

from batcher.errors import InputError

_PACKAGE = Path(__file__).parent
#: In a wheel they lie inside the package, in a checkout beside it.
_ROOT = _PACKAGE if (_PACKAGE / "jobs").is_dir() else _PACKAGE.parent
_SAMPLE = re.compile(r'^path\s*=\s*"\.\./samples/([^"/]+)"', re.MULTILINE)


def names() -> list[str]:
    """Names of the job files, without `.toml`."""
    return sorted(path.stem for path in (_ROOT / "jobs").glob("*.toml"))


def copy(name: str, into: Path) -> list[Path]:
    """Copy a job file into `jobs/` and its sample into `samples/`; the files written.

    InputError when there is no such job, or a file is there already: nothing is ever written over.
    """
    if name not in names():
        raise InputError(f'There is no job "{name}". There are: {", ".join(names())}.')
    job = _ROOT / "jobs" / f"{name}.toml"
    samples = [_ROOT / "samples" / sample for sample in _SAMPLE.findall(job.read_text("utf-8"))]
    pairs = [(source, into / source.parent.name / source.name) for source in (job, *samples)]
    there = [str(target) for _, target in pairs if target.exists()]
    if there:
        raise InputError(f"{', '.join(there)}: is there already, and is not written over. Move it away first.")
    for source, target in pairs:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as file:
                file.write(source.read_bytes())
        except OSError as error:
            raise InputError(f"{target}: cannot be written ({error.strerror}).") from error
    return [target for _, target in pairs]
