"""`python -m batcher`, and what the `batcher` command calls: a command runs, and the process ends with its exit code."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and end the process with its exit code."""
    # Imports make no garbage: looking for it took a tenth of the start (measured). `keep_quick` ends this.
    gc.disable()
    from batcher.screen import guarded_streams

    # Outside of the sending, which has its own way to stop, a SIGTERM is a Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with guarded_streams():
        code = _exit_code(arguments)
        # All is said and written: one more signal would only take the exit code away.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # The interpreter would look through everything once more before it ends, for a quarter of a second (measured).
    gc.freeze()
    sys.exit(code)


def _exit_code(arguments: Sequence[str] | None) -> int:
    """Run a command; what stopped it is told on stderr."""
    import click

    from batcher.cli import cli
    from batcher.errors import BatcherError, InputError, Interrupted
    from batcher.screen import tell, told

    words = list(arguments) if arguments is not None else None
    try:
        code = cli.main(args=words, prog_name="batcher", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except (click.Abort, KeyboardInterrupt):
        tell("Stopped; nothing is lost. Give the same command again.", "warning", Interrupted.exit_code)
        return Interrupted.exit_code
    except click.ClickException as error:
        error.show(sys.stderr)
        return InputError.exit_code
    except BatcherError as error:
        tell(told(error), "warning" if isinstance(error, Interrupted) else "error", error.exit_code)
        return error.exit_code
    except Exception:  # ruff: ignore[blind-except] - the one place where a bug is told instead of a traceback thrown
        _log_bug()
        return BatcherError.exit_code
    return code or 0


def _log_bug() -> None:
    import structlog

    from batcher.errors import BatcherError
    from batcher.way import secrets

    if not structlog.is_configured():
        from batcher.logs import configure

        configure(sys.stderr, json=False, level="info", colors=False, secrets=secrets())
    structlog.get_logger().critical(
        "a bug in batcher; the same command goes on where it was", exit_code=BatcherError.exit_code, exc_info=True
    )


if __name__ == "__main__":
    main()
