"""`deepcanon classify` and each of its options, on a network of known results."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest

from deepcanon.core import assets
from deepcanon.core.images import save
from tests import tiny_classifier
from tests.cli.conftest import Run, files, refused
from tests.tiny_classifier import plain

pytestmark = pytest.mark.row("C18")

FAST = ("--engine", "onnxruntime", "--threads", "1")
SURE = " 96.5 %"  # the softmax of (4, 0, 0) is 0.9647, 0.0177, 0.0177
REST = "  1.8 %"


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, with the tiny network as the classifier that ships."""
    monkeypatch.setattr(assets, "FOLDER", tmp_path / "assets")
    tiny_classifier.write(tmp_path / "assets" / "tiny.onnx")
    assets.enter("resnet20-cifar10", file="tiny.onnx", kind="network", licence="Apache-2.0")
    folder = tmp_path / "desk"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def colour(path: str, name: str, *, size: tuple[int, int] = (32, 48)) -> None:
    save(plain(name, size=size), path)


def test_a_picture(run: Run, desk: Path) -> None:
    colour("photo.png", "green")
    ran = run("classify", "photo.png", *FAST)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        f"photo.png  green  {SURE}",
        f"           red    {REST}",
        f"           blue   {REST}",
    ]


def test_folders_globs_and_top(run: Run, desk: Path) -> None:
    """Pictures of unlike sizes, in the natural order of their names."""
    for place, name in enumerate(["blue", "green", "red"]):
        colour(f"in/{8 + place}.png", name, size=(20 + 9 * place, 33))
    colour("more/x.jpg", "red")
    ran = run("classify", "in", "more/*.jpg", "--top", "1", *FAST)
    assert ran.code == 0
    assert [line.split()[:2] for line in ran.out.splitlines()] == [
        ["in/8.png", "blue"],
        ["in/9.png", "green"],
        ["in/10.png", "red"],
        ["more/x.jpg", "red"],
    ]


def test_standard_input(run: Run, desk: Path) -> None:
    colour("photo.png", "blue")
    ran = run("classify", "-", "--top", "1", *FAST, stdin=Path("photo.png").read_bytes())
    assert ran.out.split()[:3] == ["standard", "input", "blue"]


def test_json(run: Run, desk: Path) -> None:
    colour("a.png", "green")
    ran = run("classify", "a.png", "--top", "1", "--json", *FAST)
    assert (ran.code, ran.err) == (0, "")
    content = ran.json
    assert content.pop("seconds") > 0
    assert content["results"][0].pop("seconds") >= 0
    assert content == {
        "command": "classify",
        "model": "tiny paper",
        "crops": "1-crop",
        "results": [
            {
                "input": "a.png",
                "classes": [{"index": 1, "label": "green", "score": 0.964663}],
                "engine": "onnxruntime",
            }
        ],
        "failures": [],
    }


def test_csv(run: Run, desk: Path) -> None:
    colour("a, b.png", "green")
    ran = run("classify", "a, b.png", "--top", "2", "--csv", *FAST)
    assert list(csv.reader(io.StringIO(ran.out))) == [
        ["picture", "rank", "label", "score"],
        ["a, b.png", "1", "green", "0.964663"],
        ["a, b.png", "2", "red", "0.017668"],
    ]


def test_a_file_as_well(run: Run, desk: Path) -> None:
    colour("a.png", "green")
    ran = run("classify", "a.png", "-o", "out/found.csv", *FAST)
    assert ran.out.startswith("a.png  green")
    assert ran.err == "written to out/found.csv\n"
    assert Path("out/found.csv").read_text().splitlines()[1] == "a.png,1,green,0.964663"
    ran = run("classify", "a.png", "-o", "found.json", "-q", *FAST)
    assert (ran.code, ran.stdout, ran.err) == (0, b"", "")
    assert json.loads(Path("found.json").read_text())["results"][0]["input"] == "a.png"


def test_a_model_of_ones_own(run: Run, desk: Path) -> None:
    colour("a.png", "green")
    tiny_classifier.write(Path("my.onnx"), labels=["rot", "grün", "blau"])
    assert run("classify", "a.png", "--model", "my.onnx", *FAST).out.split()[1] == "grün"


def test_crops(run: Run, desk: Path) -> None:
    """A green dot of 16 of 32 pixels: the centre shows more of it than the whole."""
    pixels = plain("red", size=(32, 32))
    pixels[8:24, 8:24] = (0, 255, 0)
    save(pixels, "dot.png")
    best = {
        crops: run("classify", "dot.png", "--crops", crops, "--top", "1", *FAST).out.split()[1:3]
        for crops in ("1-crop", "10-crop", "dense")
    }
    # The centre is 24 of 32 pixels, 16²/24² = 4/9 of it green: logits 20/9, 16/9, 0. All: 3, 1, 0.
    assert best["1-crop"] == ["red", "57.2"]
    assert best["dense"] == ["red", "84.4"]
    assert best["10-crop"] == best["1-crop"]  # each corner has all of the dot, too


def test_bad_pictures_among_good_ones(run: Run, desk: Path) -> None:
    colour("in/a.png", "red")
    colour("in/c.png", "blue")
    Path("in/b.jpg").write_bytes(b"this is not a picture")
    save(np.zeros((16, 16, 3), np.uint8), "in/d.png")
    Path("in/d.png").write_bytes(Path("in/d.png").read_bytes()[:40])
    ran = run("classify", "in", "gone.png", "--top", "1", *FAST)
    assert ran.code == 1
    assert [line.split()[1] for line in ran.out.splitlines()] == ["red", "blue"]
    lines = ran.err.splitlines()
    assert [line.split(":")[0] for line in lines[:3]] == [
        "skipped gone.png",
        "skipped in/b.jpg",
        "skipped in/d.png",
    ]
    assert lines[3] == "error: 3 of 5 pictures could not be done"
    ran = run("classify", "in", "--json", *FAST)
    assert (ran.code, len(ran.json["results"])) == (1, 2)
    assert ran.json["failures"][0]["input"] == "in/b.jpg"


def test_a_bad_picture_alone(run: Run, desk: Path) -> None:
    Path("bad.png").write_bytes(b"no")
    refused(run("classify", "bad.png", *FAST), "bad.png is not a picture")
    save(plain("red", size=(16, 16))[:1, :1], "dot.png")
    refused(run("classify", "dot.png", *FAST), "dot.png is 1x1 pixels")
    refused(run("classify", "gone.png", *FAST), "gone.png does not exist")
    Path("empty").mkdir()
    refused(run("classify", "empty", *FAST), "empty holds no pictures")
    refused(run("classify", "-", *FAST), "standard input is empty")


def test_bad_options(run: Run, desk: Path) -> None:
    colour("a.png", "red")
    refused(run("classify", "a.png", "--top", "0"), "'--top'")
    refused(run("classify", "a.png", "--json", "--csv"), "--json and --csv")
    refused(run("classify", "a.png", "--engine", "warpdrive"), "warpdrive")
    refused(run("classify", "a.png", "--crops", "5-crop"), "'5-crop' is not one of", "'dense'")
    assert files(desk) == ["a.png"]


def test_outputs_that_cannot_be_written(run: Run, desk: Path) -> None:
    colour("a.png", "red")
    os.link("a.png", "a.csv")
    Path("folder.csv").mkdir()
    refused(run("classify", "a.png", "-o", "found.txt", *FAST), "found.txt does not end in .json")
    refused(run("classify", "a.png", "-o", "a.csv", *FAST), "a.csv would overwrite an input")
    refused(run("classify", "a.png", "-o", "folder.csv", *FAST), "folder.csv is a folder")
    refused(run("classify", "a.png", "-o", "a.png/found.csv", *FAST), "a.png is not a folder")
    assert files(desk) == ["a.csv", "a.png"]


def test_bad_models(run: Run, desk: Path, tiny_model: Path) -> None:
    colour("a.png", "red")
    refused(run("classify", "a.png", "--model", "gone.onnx"), "gone.onnx does not exist")
    refused(run("classify", "a.png", "--model", tiny_model), "is not a classifier")
    refused(run("classify", "a.png", "--model", "a.png"), "a.png is not a .onnx file")
    hint = refused(run("classify", "a.png", "--model", "resnet2"), "nothing named 'resnet2'")
    assert "resnet20-cifar10" in hint
    tiny_classifier.write(Path("fixed.onnx"), size=(24, 24))
    refused(
        run("classify", "a.png", "--model", "fixed.onnx", "--crops", "dense", *FAST),
        "takes pictures of 24x24 pixels only",
    )


def test_names_that_are_no_text(run: Run, desk: Path) -> None:
    colour("a.png", "red")
    name = os.fsdecode(b"\xff.png")
    Path("a.png").rename(name)
    ran = run("classify", ".", "--json", "-o", "found.csv", *FAST)
    assert ran.code == 0
    assert ran.json["results"][0]["input"] == name
    assert "\\udcff.png,1,red" in Path("found.csv").read_text()


def test_help(run: Run, desk: Path) -> None:
    ran = run("classify", "--help")
    assert ran.code == 0
    assert "resnet20-cifar10" in ran.out and "Examples:" in ran.out
