"""What the manifest says ships, ships; and nothing ships that it does not say."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepcanon.classify.predict import Classifier
from deepcanon.core.assets import FOLDER, manifest, shipped
from deepcanon.core.images import save
from deepcanon.core.record import read_record
from deepcanon.core.standin import photo

_INDEXES = {"manifest.json", "catalog.json"}


# What the commands count on, and the most bytes it may have.
LIMITS = {
    "slim-vgg": 4_000_000,
    "sample-photo": 1_000_000,
    "multistyle": 2_000_000,
    "resnet20-cifar10": 1_200_000,
}


@pytest.mark.parametrize("name", LIMITS)
def test_what_has_to_ship_ships(name: str) -> None:
    assert shipped(name).stat().st_size <= LIMITS[name]


@pytest.mark.row("T2")
def test_the_shipped_network_has_seven_styles() -> None:
    assert read_record(shipped("multistyle")).labels == [
        "starry-night",
        "great-wave",
        "the-scream",
        "composition-vii",
        "udnie",
        "woman-with-a-hat",
        "shipwreck",
    ]


@pytest.mark.row("C18")
def test_the_shipped_classifier_is_the_default_and_says_its_score(tmp_path: Path) -> None:
    record = read_record(shipped("resnet20-cifar10"))
    assert (record.model, len(record.labels)) == ("resnet20", 10)
    assert 0.8 < record.scores["top1"] < record.scores["top5"] < 1
    save(photo(0, 64), tmp_path / "photo.png")
    found = Classifier(engine="onnxruntime")(tmp_path / "photo.png", top=10)
    assert set(found.labels) == set(record.labels)
    assert sum(found.scores) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("entry", manifest(), ids=lambda entry: entry["name"])
def test_a_shipped_file_is_what_the_manifest_says(entry: dict[str, object]) -> None:
    path = shipped(str(entry["name"]))
    assert path.stat().st_size == entry["bytes"]
    assert entry["kind"] and entry["licence"]


def test_every_file_is_in_the_manifest() -> None:
    files = {str(p.relative_to(FOLDER)) for p in FOLDER.rglob("*") if p.is_file()}
    assert files - _INDEXES == {entry["file"] for entry in manifest()}
