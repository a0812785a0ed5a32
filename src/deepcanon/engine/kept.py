"""Sessions that stay open for the process: a second predictor of the same file costs nothing."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from deepcanon.engine.session import Session, open_session

__all__ = ["kept_session"]


def kept_session(path: Path, *, engine: str, threads: int | None) -> Session:
    """As `open_session`, which raises; the last four stay open, unless their file has changed."""
    return _opened(path.absolute(), path.stat().st_mtime_ns, engine, threads)


@lru_cache(maxsize=4)
def _opened(path: Path, changed: int, engine: str, threads: int | None) -> Session:
    return open_session(path, engine=engine, threads=threads)
