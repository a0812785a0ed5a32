"""The transform network: any size, any batch, each style on its own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.testing import assert_close

from deepcanon.core.catalog import create_model, get_card
from deepcanon.core.errors import BadInput
from deepcanon.style import johnson
from deepcanon.style.johnson import CONFIGS, Config, Norm, TransformNet

pytestmark = pytest.mark.row("T2")

SMALL = {name: replace(config, widths=(4, 5, 6), blocks=5) for name, config in CONFIGS.items()}
each_variant = pytest.mark.parametrize("variant", CONFIGS)


def build(config: Config, *, seed: int = 0) -> TransformNet:
    """Random weights, vectors of the styles included."""
    torch.manual_seed(seed)
    net = TransformNet(config).eval()
    for name, parameter in net.named_parameters():
        if name.endswith(("scales", "shifts")):
            torch.nn.init.normal_(parameter, mean=1.0 if name.endswith("scales") else 0.0)
    return net


def pictures(*size: int, seed: int = 1) -> Tensor:
    return torch.rand(size[0], 3, *size[1:], generator=torch.Generator().manual_seed(seed))


def weights_for(config: Config, batch: int, *, style: int = 0) -> Tensor:
    return functional.one_hot(torch.full((batch,), style), config.styles).float()


@each_variant
@pytest.mark.parametrize("size", [(1, 16, 16), (2, 17, 22), (1, 31, 45), (1, 64, 48)])
def test_the_size_stays(variant: str, size: tuple[int, int, int]) -> None:
    config = SMALL[variant]
    x = pictures(*size)
    with torch.no_grad():
        y = build(config)(x, weights_for(config, len(x)))
    assert y.shape == x.shape
    assert y.min() >= 0 and y.max() <= 1 and y.std() > 1e-3


@each_variant
def test_every_variant_is_in_the_catalogue(variant: str) -> None:
    net = create_model("johnson", variant=variant)
    assert isinstance(net, TransformNet) and net.config == CONFIGS[variant]
    differs = get_card("johnson").variants[variant].differs
    assert differs


def test_settings_come_back_from_plain_values() -> None:
    """As they stand in a record."""
    net = create_model(
        "johnson", variant="multistyle", widths=[4, 5, 6], norm="conditional", styles=2
    )
    assert isinstance(net, TransformNet)
    assert net.config == replace(CONFIGS["multistyle"], widths=(4, 5, 6), styles=2)
    assert net.config.norm is Norm.CONDITIONAL
    with pytest.raises(BadInput, match="norm cannot be 'group'"):
        create_model("johnson", norm="group")


@pytest.mark.parametrize("variant", ["instance_norm", "modern", "multistyle"])
def test_pictures_of_a_batch_do_not_know_of_each_other(variant: str) -> None:
    config = SMALL[variant]
    net = build(config).train()  # as in training, where batch norm would mix them
    x = pictures(3, 20, 24)
    together = net(x, weights_for(config, 3))
    for i in range(3):
        alone = net(x[i : i + 1], weights_for(config, 1))
        assert_close(together[i : i + 1], alone, rtol=1e-4, atol=1e-5)


def test_batch_norm_does_mix_them() -> None:
    net = build(SMALL["paper"]).train()
    x = pictures(3, 20, 24)
    assert (net(x)[:1] - net(x[:1])).abs().max() > 1e-3


def test_a_style_does_not_depend_on_the_vectors_of_another() -> None:
    config = SMALL["multistyle"]
    net, x = build(config), pictures(1, 20, 24)
    with torch.no_grad():
        before = [net(x, weights_for(config, 1, style=style)) for style in range(config.styles)]
        for name, parameter in net.named_parameters():
            if name.endswith(("scales", "shifts")):
                parameter[2] += 1
        after = [net(x, weights_for(config, 1, style=style)) for style in range(config.styles)]
    same = [torch.equal(a, b) for a, b in zip(before, after, strict=True)]
    assert same == [style != 2 for style in range(config.styles)]


def test_a_blend_has_the_mean_of_the_vectors() -> None:
    config = replace(SMALL["multistyle"], styles=2)
    net, x = build(config), pictures(1, 20, 24)
    mean = TransformNet(replace(config, styles=1)).eval()
    mean.load_state_dict(
        {
            key: (0.75 * value[:1] + 0.25 * value[1:])
            if key.endswith(("scales", "shifts"))
            else value
            for key, value in net.state_dict().items()
        }
    )
    with torch.no_grad():
        assert_close(net(x, torch.tensor([[0.75, 0.25]])), mean(x, torch.ones(1, 1)))


def test_reflection_far_beyond_a_small_picture() -> None:
    """0 1 2 3 goes on 2 1 0 1 2 3 2 ... and 1 2 3 2 1 0 before."""
    found = johnson._to_and_fro(-7, 11, side=4)
    assert found.tolist() == [1, 0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2]


@pytest.mark.parametrize("size", [(50, 60), (64, 47)])
def test_forty_reflected_pixels_are_those_of_torch(size: tuple[int, int]) -> None:
    x = pictures(1, *size)
    below, right = -size[0] % 4, -size[1] % 4
    expected = functional.pad(x, (40, 40 + right, 40, 40 + below), mode="reflect")
    assert torch.equal(johnson._reflect_around(x), expected)


def test_weights_of_styles_are_needed() -> None:
    with pytest.raises(ValueError, match="style weights"):
        build(SMALL["multistyle"])(pictures(1, 16, 16))


@each_variant
@pytest.mark.parametrize("size", [(1, 15, 32), (1, 32, 15)])
def test_a_picture_that_is_too_small(variant: str, size: tuple[int, int, int]) -> None:
    config = SMALL[variant]
    with pytest.raises(BadInput, match=f"{size[2]}x{size[1]} pixels is too small"):
        build(config)(pictures(*size), weights_for(config, 1))


def test_loading_what_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save(build(SMALL["modern"]).state_dict(), path)
    net = build(SMALL["modern"], seed=3)
    johnson.load(net, path)
    assert torch.equal(net.leave.weight, build(SMALL["modern"]).leave.weight)
    with pytest.raises(BadInput, match="in this model"):
        johnson.load(build(SMALL["multistyle"]), path)
