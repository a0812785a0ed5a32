"""`deepcanon visualize`: every method, and what it says when it cannot."""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from deepcanon.classify.googlenet import Config as GoogLeNetConfig
from deepcanon.classify.googlenet import GoogLeNet
from deepcanon.classify.inside.subject import open_subject
from deepcanon.classify.weights import filled
from deepcanon.core.catalog import create_model
from deepcanon.core.errors import BadInput
from deepcanon.nn.preprocessing import INCEPTION
from deepcanon.nn.weights import write
from tests import tiny_classifier
from tests.cli.conftest import Run, files, photo, pixels, refused
from tests.tiny_record import CLASSIFIER

pytestmark = pytest.mark.row("C6")

SMALL: dict[str, Any] = {
    "convolutions": 1,
    "blocks": 2,
    "channels": 4,
    "hidden": 8,
    "image_side": 16,
    "num_classes": 3,
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a pattern network: conv1_1, pool1, conv2_1, pool2, three FC layers."""
    torch.manual_seed(0)
    net = create_model("convnet", **SMALL)
    record = replace(
        CLASSIFIER,
        model="convnet",
        config=asdict(net.config),
        labels=["cat", "dog", "été"],
        preprocessing={**INCEPTION.to_dict(), "side": 16, "resize": 20},
    )
    return write(net, tmp_path_factory.mktemp("net") / "net.safetensors", record=record)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "desk"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def test_filters_need_no_picture(run: Run, desk: Path, weights: Path) -> None:
    ran = run("visualize", weights, "--method", "filters", "-o", "filters.png")
    assert (ran.code, ran.out, ran.err) == (0, "filters.png\n", "")
    page = pixels(desk / "filters.png")
    assert page.shape[0] > 96 and page.shape[1] > 4 * 96


@pytest.mark.parametrize("method", ["activations", "deconvnet", "guided-backprop", "top-patches"])
def test_methods_on_a_folder(run: Run, desk: Path, weights: Path, method: str) -> None:
    photo(desk / "in" / "a.png", size=(48, 32))
    photo(desk / "in" / "b.jpg", size=(30, 40), seed=1)
    words = ["visualize", weights, "in", "--method", method, "-o", "looks.png", "--json"]
    ran = run(*words, "--tile", "24", "--count", "2")
    assert (ran.code, ran.err) == (0, "")
    said = ran.json
    assert (said["command"], said["method"], said["model"]) == ("visualize", method, "convnet")
    assert said["side"] == 16 and said["note"] == ""
    assert [each["input"] for each in said["results"]] == ["a.png", "b.jpg"]
    page = pixels(desk / "looks.png")
    assert page.shape == (said["height"], said["width"], 3)
    # By default the three ReLUs of maps: there are two.
    pictures = 1 if method == "top-patches" else 2
    names = [each["name"] for each in said["sections"]]
    assert names == ["features.relu1_1", "features.relu2_1"] * pictures
    for section in said["sections"]:
        channels = [tile["channel"] for tile in section["tiles"] if "channel" in tile]
        assert 1 <= len(channels) <= 2 and all(0 <= each < 8 for each in channels)


def test_chosen_layers_and_channels(run: Run, desk: Path, weights: Path) -> None:
    photo(desk / "a.png")
    layers = ["--layer", "classifier.fc3", "--layer", "features.conv1_1"]
    ran = run("visualize", weights, "a.png", *layers, "--channel", "2", "-o", "x.png", "--json")
    assert ran.code == 0
    shallow, deep = ran.json["sections"]
    assert (shallow["layer"], deep["layer"]) == ("features.conv1_1", "classifier.fc3")
    assert deep["sees"][0] >= 16
    assert [tile.get("channel") for tile in deep["tiles"]] == [None, 2]


def test_from_standard_input_to_standard_output(run: Run, desk: Path, weights: Path) -> None:
    photo(desk / "a.png")
    content = (desk / "a.png").read_bytes()
    ran = run("visualize", weights, "-", "-o", "-", "--tile", "16", stdin=content)
    assert (ran.code, ran.err) == (0, "")
    assert ran.stdout.startswith(b"\x89PNG")
    assert files(desk) == ["a.png"]


def test_a_bad_picture_among_several(run: Run, desk: Path, weights: Path) -> None:
    photo(desk / "in" / "a.png")
    (desk / "in" / "b.png").write_bytes(b"broken")
    ran = run("visualize", weights, "in", "-o", "x.png")
    assert ran.code == 1
    assert ran.out == "x.png\n" and "skipped b.png" in ran.err and "1 of 2 pictures" in ran.err
    assert (desk / "x.png").exists()
    refused(run("visualize", weights, "in/b.png", "-o", "y.png"), "b.png", "not a picture")
    assert not (desk / "y.png").exists()


def test_random_weights_are_said_to_be_so(run: Run, desk: Path) -> None:
    photo(desk / "a.png")
    words = ["visualize", "resnet20", "a.png", "--method", "guided-backprop", "--count", "1"]
    first = run(*words, "-o", "1.png")
    assert first.code == 0
    assert first.err == "note: the weights of resnet20 are random; --weights FILE fills them\n"
    assert run(*words, "-o", "2.png", "-q").err == ""
    assert np.array_equal(pixels(desk / "1.png"), pixels(desk / "2.png")), "drawn anew"


def test_weights_bring_their_settings(weights: Path) -> None:
    named = open_subject("convnet", weights=weights)
    from_file = open_subject(str(weights))
    for each in (named, from_file):
        assert (each.model, each.variant, each.side, each.resize) == ("convnet", "paper", 16, 20)
        assert each.labels == ("cat", "dog", "été") and each.note == ""
        assert each.preprocessing == INCEPTION
    assert open_subject(str(weights), side=24).resize == 24
    for one, other in zip(named.net.parameters(), from_file.net.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_classifier_that_ships_is_opened_by_its_name() -> None:
    found = open_subject("resnet20-cifar10")
    assert (found.model, found.side, len(found.labels), found.note) == ("resnet20", 32, 10, "")


def test_an_exported_file_shows_the_same(run: Run, desk: Path, weights: Path) -> None:
    photo(desk / "a.png")
    words = ["--method", "deconvnet", "--count", "2", "--tile", "16", "-q"]
    assert run("export", "convnet", "--weights", weights, "-o", "net.onnx", "-q").code == 0
    for number, net in enumerate((weights, "net.onnx")):
        assert run("visualize", net, "a.png", *words, "-o", f"{number}.png").code == 0
    assert np.array_equal(pixels(desk / "0.png"), pixels(desk / "1.png"))


def test_an_exported_file_lacks_what_does_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GoogLeNet's auxiliary classifiers are not in its .onnx file."""
    settings = {"num_classes": 3, "hidden": 4}
    net = GoogLeNet(GoogLeNetConfig(**settings))  # type: ignore[arg-type]
    state = {key: value for key, value in net.state_dict().items() if not key.startswith("heads.")}
    how = {**CLASSIFIER.preprocessing, "side": 224, "resize": 256}
    file = tiny_classifier.write(
        tmp_path / "net.onnx", model="googlenet", config=settings, preprocessing=how
    )
    monkeypatch.setattr(filled, "read_weights", lambda _: state)
    found = open_subject(str(file))
    assert torch.equal(found.net.top.fc.weight, net.top.fc.weight)  # type: ignore[union-attr]
    del state["top.fc.weight"]
    with pytest.raises(BadInput, match=r"lacks top\.fc\.weight"):
        open_subject(str(file))


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (["resnet20", "a.png", "--method", "filters"], "filters are the same", "leave"),
        (["resnet20"], "activations needs a picture", "after the model"),
        (["resnet20", "--method", "filters", "--layer", "a", "--layer", "b"], "one layer", "once"),
        (["resnet21", "a.png"], "no model is named 'resnet21'", "resnet20"),
        (["johnson", "a.png"], "johnson is a network of style", "--domain classify"),
        (["resnet20", "a.png", "--layer", "layer9"], "has no layer 'layer9'", "layer1"),
        (["resnet20", "a.png", "--channel", "99", "--layer", "layer1"], "no channel 99", "0 to 15"),
        (["resnet20", "a.png", "--variant", "caffe"], "no variant 'caffe'", "paper"),
        (["resnet20", "gone.png"], "gone.png does not exist", "path"),
        (["gone.onnx", "a.png"], "gone.onnx does not exist", "check"),
        (["NET", "a.png", "--weights", "x.pth"], "is a file", "leave out --weights"),
        (
            ["resnet20", "a.png", "--weights", "NET"],
            "holds convnet paper, not resnet20",
            "ask for convnet",
        ),
        (["googlenet", "a.png", "--size", "20"], "20x20 pixels is too small", "31x31"),
        (["resnet20", "a.png", "--method", "dreams"], "dreams", "visualize --help"),
    ],
)
def test_bad_input(
    run: Run, desk: Path, weights: Path, words: list[str], error: str, hint: str
) -> None:
    photo(desk / "a.png")
    words = [str(weights) if word == "NET" else word for word in words]
    ran = run("visualize", *words, "-o", "out.png", "-q")
    said = refused(ran, error)
    assert hint.replace("NET", str(weights)) in said
    assert files(desk) == ["a.png"]


def test_outputs_that_cannot_be(run: Run, desk: Path, weights: Path) -> None:
    photo(desk / "a.png")
    refused(run("visualize", weights, "a.png", "-o", "a.png"), "would overwrite an input")
    refused(run("visualize", weights, "a.png", "-o", "a.txt"), "does not name a picture format")
    refused(run("visualize", weights, "a.png"), "missing option '-o'")
    both = run("visualize", weights, "a.png", "-o", "-", "--json")
    refused(both, "both go to standard output")


def test_without_torch(
    run: Run, desk: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    ran = run("visualize", weights, "--method", "filters", "-o", "x.png")
    assert "[train]" in refused(ran, "looking into a network needs packages")


def test_help_has_an_example(run: Run) -> None:
    ran = run("visualize", "--help")
    assert "deepcanon visualize my.onnx photo.jpg --method guided-backprop" in ran.out
