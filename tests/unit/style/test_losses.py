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


def test_lattice_by_hand() -> None:
    # One raster, twice as wide: the places' means are the picture's own, 1 in one of sixteen.
    dot = torch.zeros(1, 1, 4, 8)
    dot[0, 0, 1, [2, 6]] = 1
    assert lattice(dot).item() == pytest.approx(1 / 16 - 1 / 256)
    dot[0, 0, 1, 6] = 0  # seen in one raster of two: half of the mean, a fourth of the variance
    assert lattice(dot).item() == pytest.approx((1 / 16 - 1 / 256) / 4)


def test_lattice_is_the_power_of_the_waves_of_periods_two_and_four() -> None:
    columns = torch.arange(32.0)
    stripes = 0.02 * torch.cos(torch.pi * columns)[None] + torch.zeros(24, 32)
    waves = 0.03 * torch.sin(torch.pi / 2 * columns)[None] + torch.zeros(24, 32)
    both = torch.stack([stripes, waves])[:, None] + 0.5
    torch.testing.assert_close(lattice(both), torch.tensor([0.02**2, 0.03**2 / 2]))


def test_lattice_of_a_picture_without_one() -> None:
    columns = torch.arange(36.0)
    smooth = (torch.sin(2 * torch.pi * columns / 12)[None] + torch.zeros(36, 36))[None, None]
    assert lattice(smooth).item() < 1e-12
    cut = smooth[..., :35, :34]  # what makes no whole raster is left out
    torch.testing.assert_close(lattice(cut), lattice(smooth[..., :32, :32]))
    with pytest.raises(ValueError, match=r"raster of 4 pixels in \(3, 8\)"):
        lattice(torch.zeros(1, 3, 3, 8))
