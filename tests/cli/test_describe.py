"""`deepcanon describe MODEL`, with PyTorch and without."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from deepcanon.cli import describe_file
from deepcanon.core.assets import shipped
from deepcanon.core.errors import how_to_install
from deepcanon.core.record import read_record
from tests import tiny_classifier
from tests.cli.conftest import Run, refused
from tests.tiny_record import CLASSIFIER

pytestmark = pytest.mark.row("C5", "C10")


def test_card_and_layers_for_people(run: Run) -> None:
    ran = run("describe", "vgg16")
    assert (ran.code, ran.err) == (0, "")
    assert "Very Deep Convolutional Networks for Large-Scale Image Recognition" in ran.out
    assert "Karen Simonyan, Andrew Zisserman, ICLR 2015, https://arxiv.org/abs/1409.1556" in ran.out
    assert "What was new: " in ran.out
    assert "  paper (default): " in ran.out and "  torchvision: " in ran.out
    rows = {line.split()[0]: line.split() for line in ran.out.splitlines() if line.strip()}
    assert rows["features.28"] == [
        "features.28", "Conv2d", "512x14x14", "2,359,808", "462,422,016", "196",
    ]  # fmt: skip
    assert rows["classifier.2"] == ["classifier.2", "Dropout", "4096", "404"]
    assert rows["total"] == ["total", "138,357,544", "15,470,264,320"]


def test_names_of_layers_are_not_cut(run: Run) -> None:
    ran = run("describe", "bn_inception")
    assert "inception.5b.branches.three_twice.second.conv  Conv2d " in ran.out
    assert "…" not in ran.out
    heads = [line.split()[-1] for line in ran.out.splitlines() if "receptive" in line]
    assert heads == ["receptive"]  # above "field", as the column is narrow


def test_everything_for_machines(run: Run) -> None:
    card = run("describe", "vgg11", "--json", "--size", "64", "--variant", "torchvision").json
    assert (card["name"], card["rows"], card["year"]) == ("vgg11", ["C10"], 2015)
    assert (card["default"], card["variant"], card["input"]) == (
        "paper",
        "torchvision",
        [3, 64, 64],
    )
    assert card["variants"]["torchvision"]["config"]["head"] == "adaptive"
    assert card["parameters"] == 132_863_336
    assert card["layers"][0] == {
        "name": "features.0",
        "kind": "Conv2d",
        "output": [64, 64, 64],
        "parameters": 1792,
        "multiply_adds": 64 * 64 * 64 * 27,
        "receptive_field": [3, 3],
    }
    assert card["multiply_adds"] == sum(layer["multiply_adds"] for layer in card["layers"])


def test_without_torch_the_card_and_what_to_install(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    ran = run("describe", "vgg16")
    assert ran.code == 0
    assert "Karen Simonyan" in ran.out and "features.0" not in ran.out
    assert ran.err == f"the layer table needs PyTorch: {how_to_install('train')}\n"
    card = run("describe", "vgg16", "--json").json
    assert card["layers"] is None
    assert "[train]" in card["note"]


def test_importing_the_commands_imports_nothing_heavy() -> None:
    code = (
        "import sys, deepcanon.cli.describe, deepcanon.cli.list\n"
        "print(sorted({'torch', 'numpy', 'rich', 'PIL'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (["vgg17"], "no model is named 'vgg17'", "vgg19"),
        (["vgg16", "--variant", "caffe"], "no variant 'caffe'", "paper, torchvision"),
        (["vgg16", "--size", "20"], "20x20 pixels", "32x32"),
        ([], "missing argument", "deepcanon describe --help"),
    ],
)
def test_bad_input(run: Run, words: list[str], error: str, hint: str) -> None:
    ran = run("describe", *words)
    assert ran.code == 2
    lines = ran.error_lines
    assert error in lines[0]
    assert hint in lines[1]


def test_help_has_an_example(run: Run) -> None:
    assert "deepcanon describe vgg16" in run("describe", "--help").out


# --- --compare -----------------------------------------------------------------------------------


def test_two_side_by_side(run: Run) -> None:
    ran = run("describe", "--compare", "plain20", "resnet20")
    assert (ran.code, ran.err) == (0, "")
    rows = [line.split() for line in ran.out.splitlines() if line.strip()]
    assert rows[0] == ["plain20", "resnet20"]
    by_name = {" ".join(row[:-2]): row[-2:] for row in rows}
    # Table 6 says 0.27M; option A's shortcuts cost nothing.
    assert by_name["parameters"] == ["269,722", "269,722"]
    assert by_name["input"] == ["3x32x32", "3x32x32"]
    assert by_name["layers with weights"] == ["20", "20"]
    stages = {row[0]: row[1:] for row in rows}
    # 432 + 6 x 2304 weights, and 32 of each of 7 batch norms.
    assert stages["32x32"] == ["7", "16", "14,480", "14,598,144"] * 2
    assert stages["vector"] == ["1", "10", "650", "640"] * 2
    assert list(stages).index("16x16") > list(stages).index("32x32")


def test_two_for_machines_of_chosen_variants(run: Run) -> None:
    ran = run("describe", "--compare", "resnet50", "resnet50:v1_5", "--json", "--size", "64")
    (one, other) = ran.json["compare"]
    assert ran.json["note"] == ""
    assert (one["variant"], other["variant"]) == ("paper", "v1_5")
    assert one["input"] == other["input"] == [3, 64, 64]
    assert one["parameters"] == other["parameters"] == 25_557_032
    assert one["multiply_adds"] < other["multiply_adds"]  # the 3x3 runs before it strides
    for side in (one, other):
        for name in ("parameters", "multiply_adds"):
            assert sum(stage[name] for stage in side["stages"]) == side[name]


def test_what_ships_beside_the_papers_own(run: Run) -> None:
    ran = run("describe", "--compare", "resnet20-cifar10", "resnet20")
    assert (ran.code, ran.err) == (0, "")
    rows = [line.split() for line in ran.out.splitlines() if line.strip()]
    assert " ".join(rows[0]) == "resnet20-cifar10 (resnet20 paper) resnet20"
    assert ["parameters", "269,722", "269,722"] in rows
    told = run("describe", "--compare", "resnet20-cifar10", "resnet20", "--json").json["compare"]
    assert [each["compared"] for each in told] == ["resnet20-cifar10 (resnet20 paper)", "resnet20"]
    assert [each["settings"] for each in told] == [{"num_classes": 10}, {}]


def test_compared_without_torch(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    ran = run("describe", "--compare", "vgg16", "resnet50")
    assert ran.code == 0 and "Deep Residual Learning" in ran.out
    assert "By the size" not in ran.out
    assert ran.err == f"the layer table needs PyTorch: {how_to_install('train')}\n"
    content = run("describe", "--compare", "vgg16", "resnet50", "--json").json
    assert content["compare"][0]["stages"] is None and "[train]" in content["note"]


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (["vgg16", "--compare", "vgg11", "vgg13"], "vgg16 stands beside", "--compare vgg11 vgg13"),
        (["--compare", "vgg11"], "requires 2 arguments", "deepcanon describe --help"),
        (["--compare", "vgg11", "vgg17"], "no model is named 'vgg17'", "vgg19"),
        (["--compare", "vgg11", "a.jpg"], "a.jpg is not a .onnx or .safetensors", "deepcanon list"),
        (["--compare", "vgg11", "a.onnx"], "a.onnx", "path"),
        (["--compare", "vgg11:caffe", "vgg13"], "no variant 'caffe'", "paper, torchvision"),
        (
            ["--compare", "vgg11", "vgg13", "--variant", "torchvision"],
            "does not say of which",
            "vgg11:torchvision vgg13",
        ),
    ],
)
def test_comparing_bad_input(run: Run, words: list[str], error: str, hint: str) -> None:
    ran = run("describe", *words)
    assert ran.code == 2
    lines = ran.error_lines
    assert error in lines[0]
    assert hint in lines[1]


def test_what_ships_shows_its_record_and_its_layers(run: Run) -> None:
    out = run("describe", "resnet20-cifar10").out
    assert "network: resnet20 paper (classify)" in out
    scores = read_record(shipped("resnet20-cifar10")).scores
    assert f"scores: top1 {scores['top1']}, top5 {scores['top5']}" in out
    assert "labels: airplane, automobile, bird" in out
    assert "Layers of resnet20 paper for one input of 3x32x32:" in out and "269,722" in out
    assert "start ," not in out  # empty settings are left out


def test_a_file_shows_what_it_was_built_with(run: Run, tmp_path: Path) -> None:
    config = {"num_classes": 3, "depth": 8, "width": 2}
    path = tiny_classifier.write(tmp_path / "net.onnx", model="resnet20", config=config)
    found = json.loads(run("describe", str(path), "--json").out)
    assert (found["file"], found["record"]["labels"]) == (str(path), ["red", "green", "blue"])
    assert (found["input"], found["layers"][-1]["output"]) == ([3, 24, 24], [3])
    own = run("describe", str(tiny_classifier.write(tmp_path / "own.onnx")))
    assert "network: tiny paper (classify)" in own.out and "Layers" not in own.out
    assert (own.code, own.err) == (0, "")


def test_of_many_labels_the_first_are_shown(run: Run, tmp_path: Path) -> None:
    labels = [f"class{place}" for place in range(25)]
    text = describe_file.lines(tmp_path, replace(CLASSIFIER, labels=labels))
    assert any(line.endswith("class19 and 5 more") for line in text)


def test_a_file_that_is_not_there_and_a_variant_that_it_does_not_hold(run: Run) -> None:
    refused(run("describe", "gone.onnx"), "gone.onnx does not exist")
    refused(run("describe", "photo.jpg"), "photo.jpg is not a .onnx or .safetensors file")
    hint = refused(run("describe", "multistyle", "--variant", "paper"), "holds johnson multistyle")
    assert hint == "hint: leave --variant out"
