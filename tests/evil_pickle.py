"""What a pickle may do to whoever reads it in the usual way: run a program."""

from __future__ import annotations

import os
from pathlib import Path


class Evil:
    """Unpickled, it makes the file `victim`; a reader that is safe leaves that away."""

    def __init__(self, victim: Path | str) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch '{self.victim}'",)
