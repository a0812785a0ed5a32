"""What every registered model must do; a new one is tested by being registered.

Models are built with few classes and narrow FC layers where their config has such fields.
"""

from __future__ import annotations

import dataclasses
from inspect import signature
from pathlib import Path

import onnxruntime
import pytest
import torch
from torch import nn
from torch.testing import assert_close
from torch.utils._pytree import tree_leaves

from deepcanon.core.catalog import create_model, get_card, list_models
from deepcanon.core.record import Record
from deepcanon.engine.export import export
from deepcanon.nn.layer_table import example_inputs, layer_table
from deepcanon.nn.weights import copy_into, read, write

NAMES = [card.name for card in list_models()]
VARIANTS = [(card.name, variant) for card in list_models() for variant in card.variants]

SMALL = {"num_classes": 5, "hidden": 24, "image_side": 64}
SIDE = 64
each_model = pytest.mark.parametrize("name", NAMES)
each_variant = pytest.mark.parametrize(("name", "variant"), VARIANTS)


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


def small(name: str, *, variant: str) -> dict[str, int]:
    """The settings of `SMALL` that this model has."""
    config = get_card(name).variants[variant].config
    return {key: value for key, value in SMALL.items() if key in config}


def build(name: str, *, variant: str | None = None, seed: int = 0) -> nn.Module:
    """The model in small, with weights that keep a signal's size.

    Some papers' starting weights shrink it by many orders of magnitude: then everything would
    equal everything within any tolerance.
    """
    torch.manual_seed(seed)
    variant = variant or get_card(name).default
    net = create_model(name, variant=variant, **small(name, variant=variant))
    for parameter in net.parameters():
        if parameter.ndim > 1:
            nn.init.kaiming_normal_(parameter)
        else:
            nn.init.normal_(parameter, std=0.1)
    return net.eval()


def outputs(net: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """All tensors that the network answers with."""
    return list(OnPictures(net)(x))


def pictures(name: str, *, batch: int = 2, height: int = SIDE, width: int = SIDE) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.rand(batch, get_card(name).input_size[0], height, width)


@each_variant
def test_forward_is_finite_and_depends_on_the_picture(name: str, variant: str) -> None:
    with torch.no_grad():
        got = outputs(build(name, variant=variant), pictures(name))
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
    sum(each.square().sum() for each in outputs(net, pictures(name))).backward()
    without = [
        key
        for key, each in net.named_parameters()
        if each.grad is None or not each.grad.any() or not torch.isfinite(each.grad).all()
    ]
    assert not without


@each_model
def test_each_picture_of_a_batch_is_on_its_own(name: str) -> None:
    net, x = build(name), pictures(name, batch=3)
    with torch.no_grad():
        together = [each[1:2] for each in outputs(net, x)]
        assert_close(outputs(net, x[1:2]), together, rtol=1e-4, atol=1e-5)


@each_model
def test_weights_survive_a_file(name: str, tmp_path: Path) -> None:
    net, other = build(name), build(name, seed=7)
    x = pictures(name)
    path = write(net, tmp_path / "a.safetensors", record=record_of(name, net))
    with torch.no_grad():
        expected = outputs(net, x)
        assert not torch.allclose(outputs(other, x)[0], expected[0])
        copy_into(other, read(path))
        assert all(map(torch.equal, outputs(other, x), expected))


@each_variant
def test_layer_table_of_the_full_model(name: str, variant: str) -> None:
    with torch.device("meta"):
        net = create_model(name, variant=variant)
    table = layer_table(net, input_size=get_card(name).input_size)
    assert table.parameters == sum(each.numel() for each in net.parameters())
    assert sum(layer.parameters for layer in table.layers) == table.parameters
    assert table.multiply_adds > table.parameters
    assert all(min(layer.output) > 0 for layer in table.layers)


@each_model
def test_onnx_equals_torch_at_several_batches_and_sizes(name: str, tmp_path: Path) -> None:
    net = OnPictures(build(name)).eval()
    shapes = [(2, 96, 64), (1, 64, 64), (3, 72, 100)]
    feeds = [
        {"pictures": pictures(name, batch=batch, height=height, width=width)}
        for batch, height, width in shapes
    ]
    with torch.no_grad():
        expected = [net(**feed) for feed in feeds]
    path = export(
        net,
        tmp_path / f"{name}.onnx",
        example=feeds[0],
        outputs=[f"output{n}" for n in range(len(expected[0]))],
        dynamic={"pictures": {0: "batch", 2: "height", 3: "width"}},
        record=record_of(name, net),
        check=feeds,
    )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for feed, wanted in zip(feeds, expected, strict=True):
        got = session.run(None, {"pictures": feed["pictures"].numpy()})
        for ours, theirs in zip(got, wanted, strict=True):
            assert theirs.abs().max() > 1e-3
            assert_close(torch.from_numpy(ours), theirs, rtol=1e-3, atol=1e-4)


def record_of(name: str, net: nn.Module) -> Record:
    config = getattr(net, "config", None)
    return Record(
        model=name,
        variant=get_card(name).default,
        domain=get_card(name).domain,
        config=dataclasses.asdict(config) if dataclasses.is_dataclass(config) else {},
        labels=[],
        preprocessing={},
        licence="Apache-2.0",
        recipe={},
        data="none",
        date="2025-01-01",
        hardware="none",
        scores={},
    )
