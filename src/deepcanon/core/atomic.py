"""Writing a file whole or not at all: an interrupted run leaves no half file behind."""

from __future__ import annotations

import errno
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from deepcanon.core.errors import BadInput, DeepcanonError, Unavailable

__all__ = ["cannot_write", "write_whole"]


@contextmanager
def write_whole(path: str | Path) -> Iterator[BinaryIO]:
    """Open `path` for writing under a temporary name beside it, renamed when the block ends well.

    Folders on the way are made; what stood at `path` stays until the last moment, and its
    permissions carry over. Through a link the file it leads to is replaced; a device or a pipe is
    written to directly. Raises `BadInput` where one may not write, `Unavailable` on a full disk.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
        if target.exists() and not target.is_file():
            with target.open("wb") as file:
                yield file
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{uuid.uuid4().hex[:12]}.part")
        try:
            with partial.open("xb") as file:
                yield file
            if target.exists():
                partial.chmod(target.stat().st_mode & 0o7777)
            os.replace(partial, target)
        except BaseException:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise
    except OSError as cause:
        raise cannot_write(path, cause) from cause


def cannot_write(name: str | Path, cause: OSError) -> DeepcanonError:
    """The two-line error for an `OSError` met while writing `name`.

    A `BrokenPipeError` is raised as it is: that the reader went away (`| head`) is no error.
    """
    if isinstance(cause, BrokenPipeError):
        raise cause
    if cause.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return Unavailable(
            f"{name} could not be written: the disk is full",
            hint="free some space or write elsewhere; nothing was left behind",
        )
    if isinstance(cause, IsADirectoryError):
        return BadInput(f"{name} is a folder", hint="name a file in it")
    return BadInput(
        f"{name} cannot be written: {cause.strerror or cause}",
        hint="choose a folder you may write to",
    )
