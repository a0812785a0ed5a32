"""Gram matrices, total variation and tones by hand."""

from __future__ import annotations

import pytest
import torch

from deepcanon.style.losses import gram, lattice, mean_gram, tone_distance, total_variation

pytestmark = [pytest.mark.row("T1"), pytest.mark.row("T2")]


def test_gram_of_two_maps_by_hand() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, -1.0]]]])  # F = [[1, 2], [3, -1]]
    assert gram(features).tolist() == [[[5.0, 1.0], [1.0, 10.0]]]
    assert mean_gram(features).tolist() == [[[1.25, 0.25], [0.25, 2.5]]]  # / (C H W) = / 4


def test_gram_forgets_where_things_are() -> None:
    features = torch.rand(2, 3, 4, 5)
    shuffled = features.flatten(2)[:, :, torch.randperm(20)].view_as(features)
    torch.testing.assert_close(gram(features), gram(shuffled))


def test_gram_sums_in_float32_under_autocast() -> None:
    features = torch.full((1, 1, 64, 64), 1.0, dtype=torch.bfloat16)
    features[0, 0, 0, 0] = 0.5  # 4095.25: bfloat16 would say 4096
    with torch.autocast("cpu", torch.bfloat16):
        found = gram(features)
    assert found.dtype == torch.float32
    assert found.item() == 4095.25


def test_total_variation_by_hand() -> None:
    # down: (3-1)^2 + (5-2)^2 = 13, across: (2-1)^2 + (5-3)^2 = 5
    pictures = torch.tensor([[[[1.0, 2.0], [3.0, 5.0]]], [[[4.0, 4.0], [4.0, 4.0]]]])
    assert total_variation(pictures).tolist() == [18.0, 0.0]


def tones(*rows: list[float]) -> torch.Tensor:
    """A grey picture of 8x8 squares, each of one value."""
    squares = torch.tensor(rows).repeat_interleave(8, dim=0).repeat_interleave(8, dim=1)
    return squares.expand(1, 3, -1, -1)


def test_tone_distance_by_hand() -> None:
    photo = tones([0.1, 0.3], [0.5, 0.7])
    assert tone_distance(photo, photo).item() == pytest.approx(0, abs=1e-5)
    assert tone_distance(1 - photo, photo).item() == pytest.approx(2, abs=1e-5)
    # Contrast and mean cost nothing.
    assert tone_distance(photo / 2 + 0.4, photo).item() == pytest.approx(0, abs=1e-4)
    # Tones -3 -1 1 3 and 1 3 -3 -1, in tenths: -12 / 20.
    swapped = tones([0.5, 0.7], [0.1, 0.3])
    assert tone_distance(swapped, photo).item() == pytest.approx(1.6, abs=1e-5)


def test_tone_distance_of_what_has_one_tone() -> None:
    flat = torch.full((1, 3, 16, 16), 0.3, requires_grad=True)
    distance = tone_distance(flat, tones([0.1, 0.3], [0.5, 0.7]))
    distance.sum().backward()
    assert distance.item() == pytest.approx(1)
    assert flat.grad is not None and torch.isfinite(flat.grad).all()


def test_tone_is_luma_of_whole_squares() -> None:
    photo = tones([0.1, 0.3], [0.5, 0.7])
    green, blue = photo.clone(), photo.clone()
    green[:, [0, 2]], blue[:, [0, 1]] = 0, 0  # hues carry their tone
    assert tone_distance(green, photo).item() == pytest.approx(0, abs=1e-4)
    assert tone_distance(blue, photo).item() == pytest.approx(0, abs=1e-3)
    checks = photo + 0.1 * (-1.0) ** (torch.arange(16)[:, None] + torch.arange(16))
    assert tone_distance(checks, photo).item() == pytest.approx(0, abs=1e-4)


def waves(*, period: int, levels: float, shape: tuple[int, int] = (64, 64)) -> torch.Tensor:
    """Columns that rise and fall by so many grey levels."""
    angle = 2 * torch.pi * torch.arange(shape[1]) / period
    return (0.5 + levels / 255 * torch.cos(angle)).expand(1, 1, *shape)


def test_lattice_of_stripes_by_hand() -> None:
    # Period 4, two levels: power 2^2 / 2, steps of 2 across and 0 down: (4 + 0) / 2, and 1 more.
    assert lattice(waves(period=4, levels=2)).item() == pytest.approx(2 / 3, abs=2e-3)
    # Period 2: power 2^2, steps of 4 across: (16 + 0) / 2, and 1 more.
    assert lattice(waves(period=2, levels=2)).item() == pytest.approx(4 / 9, abs=2e-3)
    assert lattice(waves(period=8, levels=2)).item() < 1e-3
    assert lattice(waves(period=64, levels=100)).item() < 1e-3


def test_lattice_is_a_mean_over_windows() -> None:
    """The same raster one half of a period further on in the other half of a picture, which in the
    mean of the whole would cancel it, is as visible; one in half of the picture is half as much."""
    stripes = waves(period=4, levels=2, shape=(32, 512))
    other = torch.cat([stripes[..., :256], stripes.roll(2, 3)[..., 256:]], 3)
    half = torch.cat([stripes[..., :256], torch.full_like(stripes[..., 256:], 0.5)], 3)
    whole = lattice(stripes).item()
    assert lattice(other).item() == pytest.approx(whole, rel=0.05)
    assert lattice(half).item() == pytest.approx(whole / 2, rel=0.05)


def test_lattice_counts_where_nothing_hides_it() -> None:
    stripes = waves(period=4, levels=2)
    noise = 0.1 * torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    assert lattice(stripes + noise) < lattice(stripes) / 10
    assert lattice(stripes + noise) > lattice(0.5 + noise)


def test_lattice_takes_the_steps_as_given() -> None:
    """Its numerator is a square: along the picture itself the slope is twice the value."""
    stripes = waves(period=4, levels=2).clone().requires_grad_()
    found = lattice(stripes)
    found.sum().backward()
    assert stripes.grad is not None
    assert (stripes.grad * stripes.detach()).sum().item() == pytest.approx(2 * found.item(), 1e-3)


def test_lattice_of_small_pictures() -> None:
    assert lattice(waves(period=4, levels=2, shape=(9, 13))).item() > 0.5
    with pytest.raises(ValueError, match=r"windows of 8 pixels in \(1, 3, 7, 16\)"):
        lattice(torch.zeros(1, 3, 7, 16))
