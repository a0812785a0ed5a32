"""What the manifest says ships, ships; and nothing ships that it does not say."""

from __future__ import annotations

import pytest

from deepcanon.core.assets import FOLDER, manifest, shipped

_INDEXES = {"manifest.json", "catalog.json"}


@pytest.mark.parametrize("entry", manifest(), ids=lambda entry: entry["name"])
def test_a_shipped_file_is_what_the_manifest_says(entry: dict[str, object]) -> None:
    path = shipped(str(entry["name"]))
    assert path.stat().st_size == entry["bytes"]
    assert entry["kind"] and entry["licence"]


def test_every_file_is_in_the_manifest() -> None:
    files = {str(p.relative_to(FOLDER)) for p in FOLDER.rglob("*") if p.is_file()}
    assert files - _INDEXES == {entry["file"] for entry in manifest()}
