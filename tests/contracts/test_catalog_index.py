"""The committed index of the catalogue is what the registered cards give."""

from __future__ import annotations

import pytest

from deepcanon.core.catalog import INDEX, index_text

pytest.importorskip("torch")


def test_the_committed_index_is_current() -> None:
    assert INDEX.read_text(encoding="utf-8") == index_text(), (
        "run: python -m deepcanon.core.catalog"
    )
