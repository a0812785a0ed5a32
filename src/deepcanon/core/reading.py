"""Opening a file that a user named: what goes wrong is told in two lines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from deepcanon.core.errors import BadInput

__all__ = ["opened"]


@contextmanager
def opened(path: Path, *, what: str) -> Iterator[BinaryIO]:
    """Open a file to read its bytes; `what` names its kind in the hint, as in "model file".

    Raises `BadInput` when it is missing, is a folder, or cannot be read, here or in the block.
    """
    try:
        with path.open("rb") as file:
            yield file
    except FileNotFoundError as cause:
        raise BadInput(f"{path} does not exist", hint=f"check the path of the {what}") from cause
    except IsADirectoryError as cause:
        raise BadInput(f"{path} is a folder", hint=f"name a {what} in it") from cause
    except OSError as cause:
        reason = cause.strerror or str(cause)
        raise BadInput(f"{path} cannot be read: {reason}", hint="check its permissions") from cause
