"""Putting a trained file into the package."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from deepcanon.core import assets
from deepcanon.core.errors import BadInput
from deepcanon.core.onnx_file import open_onnx
from deepcanon.core.record import read_record
from deepcanon.nn.weights import read, write
from tests import tiny_classifier
from tools import ship

GIVEN = ("--kind", "network", "--licence", "CC0-1.0", "--notes", "small", "--data", "drawn")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in the place of the package's assets."""
    (tmp_path / "assets").mkdir()
    monkeypatch.setattr(assets, "FOLDER", tmp_path / "assets")
    return tmp_path / "assets"


def call(monkeypatch: pytest.MonkeyPatch, *words: str | Path) -> None:
    monkeypatch.setattr(sys, "argv", ["ship.py", *map(str, words)])
    ship.main()


def test_an_onnx_file_keeps_all_but_its_record(tmp_path: Path) -> None:
    path = tiny_classifier.write(tmp_path / "tiny.onnx")
    before = onnx.load(path)
    wanted = dataclasses.replace(read_record(path), notes="another", scores={"top1": 0.5})
    (tmp_path / "new.onnx").write_bytes(ship.with_record(path, wanted))
    assert read_record(tmp_path / "new.onnx") == wanted
    after = onnx.load(tmp_path / "new.onnx")
    assert after.graph == before.graph and len(after.metadata_props) == len(before.metadata_props)
    for (name, old), (same, new) in zip(
        open_onnx(path).weights(), open_onnx(tmp_path / "new.onnx").weights(), strict=True
    ):
        assert name == same and np.array_equal(old, new)


def test_a_safetensors_file_keeps_all_but_its_record(tmp_path: Path) -> None:
    net = torch.nn.Linear(2, 3)
    path = write(net, tmp_path / "tiny.safetensors", record=tiny_classifier.record())
    wanted = tiny_classifier.record(notes="another")
    (tmp_path / "new.safetensors").write_bytes(ship.with_record(path, wanted))
    assert read_record(tmp_path / "new.safetensors") == wanted
    found = read(tmp_path / "new.safetensors").tensors
    assert found.keys() == net.state_dict().keys()
    assert all(torch.equal(found[name], value) for name, value in net.state_dict().items())


def test_an_onnx_file_without_a_record_is_refused(tmp_path: Path) -> None:
    path = tiny_classifier.write(tmp_path / "tiny.onnx")
    model = onnx.load(path)
    record = read_record(path)
    del model.metadata_props[:]
    onnx.save(model, path)
    with pytest.raises(BadInput, match="carries no deepcanon record"):
        ship.with_record(path, record)


def test_shipping_completes_the_record_and_enters_the_file(
    tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tiny_classifier.write(tmp_path / "best.onnx")
    (tmp_path / "measured.json").write_text(json.dumps({"top5": 0.75}))
    call(monkeypatch, path, "tiny", *GIVEN, "--scores", tmp_path / "measured.json")
    shipped = assets.shipped("tiny")
    assert shipped == folder / "tiny.onnx"
    record = read_record(shipped)
    assert (record.licence, record.notes, record.data) == ("CC0-1.0", "small", "drawn")
    assert record.scores == {"top1": 1.0, "top5": 0.75}
    (entry,) = assets.manifest()
    assert (entry["kind"], entry["licence"], entry["bytes"]) == (
        "network",
        "CC0-1.0",
        shipped.stat().st_size,
    )
