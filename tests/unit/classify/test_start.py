"""Networks to train, filled from files that do not fit: each is refused, saying why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from deepcanon.classify.recipes import ClassifierRecipe
from deepcanon.classify.start import build
from deepcanon.classify.weights import filled
from deepcanon.core.catalog import create_model
from deepcanon.core.errors import BadInput
from deepcanon.nn.weights import write
from tests import tiny_classifier
from tests.tiny_record import CLASSIFIER

pytestmark = pytest.mark.row("C18")

RECIPE = ClassifierRecipe(data="colours", precision="float32")


def test_weights_of_another_variant(tmp_path: Path) -> None:
    net = create_model("vgg11", hidden=2, image_side=32, num_classes=3)
    record = replace(CLASSIFIER, model="vgg11", variant="paper", config={"num_classes": 3})
    made = write(net, tmp_path / "net.safetensors", record=record)
    recipe = replace(RECIPE, model="vgg11", variant="torchvision", network={"hidden": 2}, side=32)
    with pytest.raises(
        BadInput, match="holds vgg11 paper, and the recipe trains vgg11 torch"
    ) as no:
        build(replace(recipe, start=str(made)), classes=3)
    assert "--set variant=paper" in no.value.hint


@pytest.mark.parametrize("deep", ["vgg11_lrn", "vgg13", "vgg16_c", "vgg16", "vgg19"])
def test_a_deep_vgg_starts_from_the_layers_of_a_trained_vgg11(deep: str, tmp_path: Path) -> None:
    trained = create_model("vgg11", hidden=2, image_side=32, num_classes=3)
    record = replace(CLASSIFIER, model="vgg11", variant="paper", config={"num_classes": 3})
    made = write(trained, tmp_path / "net.safetensors", record=record)
    recipe = replace(RECIPE, model=deep, network={"hidden": 2}, side=32, start=str(made))
    net = build(recipe, classes=3)
    assert torch.equal(net.features[0].weight, trained.features[0].weight)
    assert torch.equal(net.classifier[6].weight, trained.classifier[6].weight)
    with pytest.raises(BadInput, match=r"of which .* takes the last layer too") as no:
        build(replace(recipe, head="new"), classes=3)
    assert "--set head=same" in no.value.hint
    with pytest.raises(BadInput, match="tells 3 classes apart, and colours has 4"):
        build(recipe, classes=4)


@pytest.mark.parametrize("model", ["vgg11", "alexnet"])
def test_published_weights_are_for_one_side(model: str) -> None:
    recipe = replace(RECIPE, model=model, variant="torchvision", side=128, start="imagenet")
    recipe = replace(recipe, network={"hidden": 2}, head="new")
    with pytest.raises(BadInput, match=r"weights are for side 224, and .* is built for side 128"):
        build(recipe, classes=3)


def test_an_exported_file_that_lacks_a_tensor_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Auxiliary classifiers are never in one: those keep their first draw, and nothing else."""
    recipe = replace(RECIPE, model="googlenet", network={"hidden": 2}, side=31)
    state = build(recipe, classes=3).state_dict()
    found = {key: value + 1 for key, value in state.items() if not key.startswith("heads.")}
    named = tiny_classifier.write(tmp_path / "net.onnx", model="googlenet")
    recipe = replace(recipe, start=str(named))
    monkeypatch.setattr(filled, "read_weights", lambda path: found)
    net = build(recipe, classes=3)
    assert torch.equal(net.state_dict()["top.fc.weight"], found["top.fc.weight"])
    del found["top.fc.bias"]
    with pytest.raises(BadInput, match=r"lacks top\.fc\.bias"):
        build(recipe, classes=3)
