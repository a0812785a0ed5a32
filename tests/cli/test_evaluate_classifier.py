"""`deepcanon evaluate` of a classifier: the tables, the files, what explains a score, bad input."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from deepcanon.core.images import save
from deepcanon.nn.preprocessing import CAFFE, TORCHVISION
from tests import tiny_classifier
from tests.cli.conftest import Run, files, photo, pixels, refused
from tests.tiny_classifier import CLASSES, PLAIN, plain

pytestmark = pytest.mark.row("C18")

BASE = ("evaluate", "tiny.onnx", "--data", "data", "--engine", "onnxruntime", "--threads", "1")


@pytest.fixture
def lab(desk: Path) -> Path:
    """A perfect network, and ten pictures a class of which one blue one is filed as red."""
    tiny_classifier.write(Path("tiny.onnx"))
    for name in CLASSES:
        for split, count in (("train", 2), ("val", 10)):
            for place in range(count):
                save(plain(name, strength=200 + place), f"data/{split}/{name}/{place}.png")
    Path("data/val/blue/9.png").replace("data/val/red/10.png")
    return desk


def test_the_tables(run: Run, lab: Path) -> None:
    ran = run(*BASE)
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert re.fullmatch(r"top-1 96.67 %  loss \d\.\d{4}  30 pictures", lines[0])
    assert lines[1] == "top-1 in the record: 100.00 %"
    # The classes of the network, in its order, not in that of the folders.
    assert [line.split() for line in lines[3:7]] == [
        ["class", "pictures", "recall", "precision", "F1"],
        ["red", "11", "90.91", "%", "100.00", "%", "95.24", "%"],
        ["green", "10", "100.00", "%", "100.00", "%", "100.00", "%"],
        ["blue", "9", "100.00", "%", "90.00", "%", "94.74", "%"],
    ]
    assert lines[8:] == ["most often mistaken:", "red  for  blue  1"]


def test_json_and_the_files(run: Run, lab: Path) -> None:
    ran = run(*BASE, "--json", "-o", "out/scores.json", "--confusion", "out/confusion.png")
    assert (ran.code, ran.err) == (0, "")
    content = ran.json
    assert content.pop("command") == "evaluate"
    assert content == json.loads(Path("out/scores.json").read_text())
    assert content["top1"] == pytest.approx(29 / 30)
    assert content["confusion"]["counts"] == [[10, 0, 1], [0, 10, 0], [0, 0, 9]]
    assert content["settings"]["data"] == "data"
    assert content["settings"]["engine"] == "onnxruntime"
    picture = pixels(Path("out/confusion.png"))
    assert (picture == (33, 102, 172)).all(axis=2).any()  # the diagonal's blue


def test_the_split_the_count_and_the_crops(run: Run, lab: Path) -> None:
    words = ("--split", "train", "--count", "3", "--crops", "10-crop", "--json")
    content = run(*BASE, *words).json
    assert content["pictures"] == 3
    assert (content["settings"]["split"], content["settings"]["crops"]) == ("train", "10-crop")
    assert run(*BASE, "--crops", "dense", "--json").json["settings"]["crops"] == "dense"


def test_quiet(run: Run, lab: Path) -> None:
    ran = run(*BASE, "-q", "-o", "scores.json")
    assert (ran.code, ran.stdout, ran.err) == (0, b"", "")
    assert Path("scores.json").exists()


def test_ten_crops_of_pictures_that_are_taken_whole(run: Run, lab: Path) -> None:
    preprocessing = {**PLAIN.to_dict(), "side": 32, "resize": 32}
    tiny_classifier.write(Path("tiny.onnx"), preprocessing=preprocessing)
    ran = run(*BASE, "--crops", "10-crop")
    assert ran.code == 0
    assert "of square ones 10-crop is the picture and its mirror image" in ran.err


def test_a_score_at_chance_is_explained(run: Run, lab: Path) -> None:
    """Exported as if trained on torchvision's pictures."""
    weight = np.fliplr(np.eye(3))
    how = {**TORCHVISION.to_dict(), "side": 24, "resize": 32}
    tiny_classifier.write(Path("tiny.onnx"), weight=weight, preprocessing=how)
    ran = run(*BASE)
    assert ran.code == 0
    note, hint = ran.err.splitlines()
    assert note.startswith("note: the network wants its pictures prepared otherwise")
    assert f"as {CAFFE.name}, 96.7 %" in note
    assert hint.startswith("hint: export it again")


def test_more_classes_than_a_screen_has_lines(run: Run, lab: Path) -> None:
    """60 classes; of those with pictures the worst ten are listed."""
    weight = np.zeros((3, 60))
    weight[:, :3] = 4 * np.eye(3)
    names = [*CLASSES, *(f"other {index}" for index in range(57))]
    tiny_classifier.write(Path("tiny.onnx"), weight=weight, labels=names)
    for place in range(57):
        save(plain("red"), f"data/train/other {place}/0.png")
        save(plain("red"), f"data/val/other {place}/0.png")
    ran = run(*BASE)
    assert ran.code == 0
    assert "top-5" in ran.out.splitlines()[0]
    assert "the 10 classes that are found least:" in ran.out
    # Ten in the table; of the ten most frequent mistakes one is the blue picture filed as red.
    assert len([line for line in ran.out.splitlines() if line.startswith("other ")]) == 19


def test_pictures_that_cannot_be_read(run: Run, lab: Path) -> None:
    Path("data/val/red/3.png").write_bytes(b"no")
    ran = run(*BASE)
    assert ran.code == 1
    assert "29 pictures" in ran.out
    lines = ran.err.splitlines()
    assert lines[0].startswith("skipped data/val/red/3.png: ")
    assert lines[1] == "error: 1 of 30 pictures could not be read"
    assert "check-data" in lines[2]
    assert run(*BASE, "--json").json["skipped"][0]["picture"] == "data/val/red/3.png"


def test_options_of_the_other_kind_of_network(run: Run, lab: Path, tiny_model: Path) -> None:
    refused(run(*BASE, "--photos", "x"), "--photos is for style networks, and tiny.onnx is none")
    refused(run(*BASE, "--iterations", "3"), "--iterations is for style networks")
    refused(run("evaluate", tiny_model, "--crops", "dense"), "--crops is for classifiers")
    tiny_classifier.write(Path("other.onnx"), domain="detect")
    refused(run("evaluate", "other.onnx"), "other.onnx is of the domain 'detect'")


def test_bad_data(run: Run, lab: Path) -> None:
    refused(run("evaluate", "tiny.onnx"), "missing option '--data'")
    refused(run("evaluate", "tiny.onnx", "--data", "gone"), "gone does not exist")
    photo(Path("one/only/a.png"))
    refused(run("evaluate", "tiny.onnx", "--data", "one"), "one class only")
    photo(Path("pair/cat/a.png"))
    photo(Path("pair/dog/a.png"))
    ran = run("evaluate", "tiny.onnx", "--data", "pair", "--split", "train")
    refused(ran, "2 classes", "tells 3 apart")
    for name in CLASSES:
        photo(Path(f"whole/{name}/a.png"))
    hint = refused(run("evaluate", "tiny.onnx", "--data", "whole"), "whole has no pictures held")
    assert "deepcanon split" in hint


def test_outputs_that_cannot_be_written(run: Run, lab: Path) -> None:
    before = files(lab)
    refused(run(*BASE, "-o", "scores.txt"), "scores.txt does not end in .json")
    refused(run(*BASE, "-o", "tiny.onnx/scores.json"), "tiny.onnx is not a folder")
    refused(run(*BASE, "--confusion", "matrix.doc"), "matrix.doc", "'.doc'")
    refused(run(*BASE, "--confusion", "data"), "data")
    assert files(lab) == before


def test_dense_with_a_network_of_one_size(run: Run, lab: Path) -> None:
    tiny_classifier.write(Path("tiny.onnx"), size=(24, 24))
    refused(run(*BASE, "--crops", "dense"), "takes pictures of 24x24 pixels only")
