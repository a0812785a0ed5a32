"""What every registered model must do; a new one is tested by being registered.

Models are built with few classes and narrow FC layers where their config has such fields, and
ResNets and the later Inceptions are built shallow; of models that are the same in small, the first
stands for all.
"""

from __future__ import annotations

import dataclasses
import json
from inspect import signature
from pathlib import Path

import onnxruntime
import pytest
import torch
from torch import nn
from torch.testing import assert_close
from torch.utils._pytree import tree_leaves

from deepcanon.core.catalog import create_model, get_card, list_models
from deepcanon.core.errors import BadInput
from deepcanon.core.record import Record
from deepcanon.engine.export import Interface, export, interface_of
from deepcanon.nn.layer_table import example_inputs, layer_table
from deepcanon.nn.weights import copy_into, read, write
from tests.tiny_record import CLASSIFIER

ANY_SIZE = {0: "batch", 2: "height", 3: "width"}
FEW = {"num_classes": 5, "hidden": 24, "image_side": 64}
SHALLOW = {"width": 8, "blocks": [1, 2, 1, 1], "depth": 14}  # of networks that have a `shortcut`
SHALLOW_INCEPTION = {
    "blocks": [1, 1, 1],  # where it is a list
    "pool_widths": [64],
    "seven_widths": [128],
    "coarse_modules": 1,
}


def settings(name: str, variant: str) -> dict[str, object]:
    """All settings of a variant, as plain values."""
    config = get_card(name).variants[variant].config
    assert isinstance(config, dict)
    return config


def small(name: str, *, variant: str) -> dict[str, object]:
    """The settings of `FEW` and of `SHALLOW` or its like that this model has."""
    config = settings(name, variant)
    wanted = FEW | (SHALLOW if "shortcut" in config else SHALLOW_INCEPTION)
    return {
        key: value
        for key, value in wanted.items()
        if isinstance(config.get(key), list if isinstance(value, list) else int)
    }


def distinct(models: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """The first of those that differ in nothing but in what `SHALLOW` sets."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for name, variant in models:
        shrunk = small(name, variant=variant)
        alike = json.dumps(settings(name, variant) | shrunk, sort_keys=True)
        key = (get_card(name).title, alike) if SHALLOW.keys() & shrunk else (name, variant)
        found.setdefault(key, (name, variant))
    return list(found.values())


DEFAULTS = [name for name, _ in distinct([(card.name, card.default) for card in list_models()])]
VARIANTS = [(card.name, variant) for card in list_models() for variant in card.variants]
AUXILIARY = [each for each in VARIANTS if "auxiliary_weight" in settings(*each)]
each_model = pytest.mark.parametrize("name", DEFAULTS)
each_variant = pytest.mark.parametrize(("name", "variant"), distinct(VARIANTS))
each_full_size = pytest.mark.parametrize(("name", "variant"), VARIANTS)
each_with_heads = pytest.mark.parametrize(("name", "variant"), AUXILIARY)


class OnPictures(nn.Module):
    """A network with its other arguments given and its outputs in a row."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(tree_leaves(self.net(*example_inputs(self.net, pictures))))

    def exportable(self) -> nn.Module:
        """The form that the network has for export, where it too takes these pictures."""
        wrap = getattr(self.net, "exportable", None)
        form = self.net if wrap is None else wrap()
        return OnPictures(form) if "pictures" in signature(form.forward).parameters else self


class AllLogits(nn.Module):
    """A network with its auxiliary heads, where it has some."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, pictures: torch.Tensor) -> tuple[torch.Tensor, ...]:
        heads = getattr(self.net, "all_logits", None)
        return OnPictures(self.net)(pictures) if heads is None else tuple(heads(pictures))


def build(name: str, *, variant: str | None = None, seed: int = 0) -> nn.Module:
    """The model in small, with weights that keep a signal's size.

    Some papers' starting weights shrink it by many orders of magnitude: then everything would
    equal everything within any tolerance. Batch norms get statistics as if they had been trained,
    of so many pictures that none divides by next to nothing: that would amplify rounding errors.
    """
    torch.manual_seed(seed)
    variant = variant or get_card(name).default
    net = create_model(name, variant=variant, **small(name, variant=variant))
    for parameter in net.parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter)
        else:
            nn.init.normal_(parameter, std=0.1)
    net.eval()
    norms = [each for each in net.modules() if isinstance(each, nn.BatchNorm2d)]
    for norm in norms:
        nn.init.normal_(norm.weight, mean=1, std=0.1)
        nn.init.normal_(norm.running_mean, std=0.1)
    hooks = [norm.register_forward_pre_hook(measure) for norm in norms]
    if hooks:
        with torch.no_grad():
            AllLogits(net)(pictures(name, net, batch=16))
    for hook in hooks:
        hook.remove()
    return net


def measure(norm: nn.BatchNorm2d, inputs: tuple[torch.Tensor]) -> None:
    """Let a batch norm divide by the size of what reaches it."""
    assert norm.running_var is not None
    norm.running_var.copy_(inputs[0].square().mean(dim=(0, 2, 3)))


def outputs(net: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """All tensors that the network answers with."""
    return list(OnPictures(net)(x))


def pictures(
    name: str, net: nn.Module, *, batch: int = 2, higher: int = 0, wider: int = 0
) -> torch.Tensor:
    """Random ones of 64x64 pixels, or of the smallest size of ``net`` where that is larger."""
    side = max(64, getattr(getattr(net, "config", None), "smallest", 1))
    torch.manual_seed(1)
    return torch.rand(batch, get_card(name).input_size[0], side + higher, side + wider)


@each_variant
def test_forward_is_finite_and_depends_on_the_picture(name: str, variant: str) -> None:
    net = build(name, variant=variant)
    with torch.no_grad():
        got = outputs(net, pictures(name, net))
    assert got
    for each in got:
        assert each.shape[0] == 2
        assert torch.isfinite(each).all()
        assert not torch.allclose(each[0], each[1])


@each_model
def test_starting_weights_are_finite_and_seeded(name: str) -> None:
    def fresh(seed: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(seed)
        return create_model(name, **small(name, variant=get_card(name).default)).state_dict()

    first, again, other = fresh(0), fresh(0), fresh(1)
    assert all(torch.isfinite(value).all() for value in first.values())
    assert all(torch.equal(value, again[key]) for key, value in first.items())
    assert any(not torch.equal(value, other[key]) for key, value in first.items())


@each_variant
def test_every_parameter_has_a_gradient(name: str, variant: str) -> None:
    net = build(name, variant=variant)
    sum(each.square().sum() for each in AllLogits(net)(pictures(name, net))).backward()
    without = [
        key
        for key, each in net.named_parameters()
        if each.grad is None or not each.grad.any() or not torch.isfinite(each.grad).all()
    ]
    assert not without


@each_with_heads
def test_the_first_of_all_logits_is_what_forward_gives(name: str, variant: str) -> None:
    net = build(name, variant=variant)
    x = pictures(name, net)
    for layer in net.modules():
        if isinstance(layer, nn.Dropout):
            layer.p = 0.0
    for training in (False, True):
        net.train(training)
        with torch.no_grad():
            first, *others = net.all_logits(x)
            assert_close(net(x), first)
        assert others
        for each in others:
            assert each.shape == first.shape == (2, 5)
            assert torch.isfinite(each).all()
            assert not torch.allclose(each, first)


@each_model
def test_each_picture_of_a_batch_is_on_its_own(name: str) -> None:
    net = build(name)
    x = pictures(name, net, batch=3)
    with torch.no_grad():
        together = [each[1:2] for each in outputs(net, x)]
        assert_close(outputs(net, x[1:2]), together, rtol=1e-4, atol=1e-5)


@each_model
def test_weights_survive_a_file(name: str, tmp_path: Path) -> None:
    net, other = build(name), build(name, seed=7)
    x = pictures(name, net)
    path = write(net, tmp_path / "a.safetensors", record=record_of(name, net))
    with torch.no_grad():
        expected = outputs(net, x)
        assert not torch.allclose(outputs(other, x)[0], expected[0])
        copy_into(other, read(path))
        assert all(map(torch.equal, outputs(other, x), expected))


@pytest.mark.parametrize(
    ("model", "variant", "other", "another"),
    [
        ("plain20", "paper", "resnet20", "paper"),
        ("resnet50", "v1_5", "resnet50", "paper"),
    ],
)
def test_a_twin_with_the_same_tensors_is_refused(
    model: str, variant: str, other: str, another: str, tmp_path: Path
) -> None:
    narrow = {"width": 2} if model == "plain20" else {"width": 4}
    net = create_model(model, variant=variant, **narrow)
    record = dataclasses.replace(record_of(model, net), variant=variant)
    path = write(net, tmp_path / "a.safetensors", record=record)
    copy_into(create_model(other, variant=another, **narrow), read(path))  # they do fit
    says = f"holds {model} {variant}, not {other} {another}"
    with pytest.raises(BadInput, match=says) as refused:
        create_model(other, variant=another, weights=path, **narrow)
    assert f"ask for {model} {variant}" in refused.value.hint
    create_model(model, variant=variant, weights=path, **narrow)


@each_full_size
def test_layer_table_of_the_full_model(name: str, variant: str) -> None:
    with torch.device("meta"):
        net = create_model(name, variant=variant)
    table = layer_table(AllLogits(net), input_size=get_card(name).input_size)
    assert table.parameters == sum(each.numel() for each in net.parameters())
    assert sum(layer.parameters for layer in table.layers) == table.parameters
    assert table.multiply_adds > table.parameters
    assert all(min(layer.output) > 0 for layer in table.layers)


@pytest.mark.parametrize("name", [card.name for card in list_models(domain="classify")])
def test_every_classifier_is_exported_for_any_batch_and_size(name: str) -> None:
    with torch.device("meta"):
        net = create_model(name)
        interface = interface_of(net, input_size=get_card(name).input_size)
    assert interface.dynamic == {"pictures": ANY_SIZE, "output": {0: "batch"}}


@each_model
def test_onnx_equals_torch_at_several_batches_and_sizes(name: str, tmp_path: Path) -> None:
    """Exported as by `deepcanon export`; of a network of styles all that it is made of."""
    inner = build(name)
    shapes = [(2, 32, 0), (1, 0, 0), (3, 8, 36)]
    feeds = [
        {"pictures": pictures(name, inner, batch=batch, higher=higher, wider=wider)}
        for batch, higher, wider in shapes
    ]
    classifies = get_card(name).domain == "classify"
    net = inner if classifies else OnPictures(inner).eval()
    with torch.no_grad():
        expected = [tree_leaves(net(feed["pictures"])) for feed in feeds]
    if classifies:
        channels, height, width = feeds[1]["pictures"].shape[1:]
        interface = interface_of(inner, input_size=(channels, height, width))
    else:
        names = [f"output{n}" for n in range(len(expected[0]))]
        dynamic = {"pictures": ANY_SIZE}
        interface = Interface(example=feeds[0], check=feeds, outputs=names, dynamic=dynamic)
    path = export(
        net,
        tmp_path / f"{name}.onnx",
        example=interface.example,
        outputs=interface.outputs,
        dynamic=interface.dynamic,
        record=record_of(name, net),
        check=feeds,
    )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for feed, wanted in zip(feeds, expected, strict=True):
        got = session.run(None, {"pictures": feed["pictures"].numpy()})
        for ours, theirs in zip(got, wanted, strict=True):
            scale = theirs.abs().max().item()
            assert scale > 1e-3
            assert_close(torch.from_numpy(ours), theirs, rtol=1e-3, atol=1e-4 * scale)


def record_of(name: str, net: nn.Module) -> Record:
    config = getattr(net, "config", None)
    return dataclasses.replace(
        CLASSIFIER,
        model=name,
        variant=get_card(name).default,
        domain=get_card(name).domain,
        config=dataclasses.asdict(config) if dataclasses.is_dataclass(config) else {},
        preprocessing={},
    )
