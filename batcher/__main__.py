"""`python -m batcher`, and what the `batcher` command calls."""

from __future__ import annotations

from batcher.cli import main

if __name__ == "__main__":
    main()
