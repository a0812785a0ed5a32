"""What every error that a user can cause has: two lines, and an exit code."""

from __future__ import annotations

import pytest

from deepcanon.core.errors import DeepcanonError


def two_lines(caught: pytest.ExceptionInfo[DeepcanonError], *, code: int = 2) -> str:
    """The first of the lines, once all is as it should be."""
    error = caught.value
    assert error.exit_code == code
    for line in (error.message, error.hint):
        assert line.strip() == line and line and "\n" not in line
    return error.message
