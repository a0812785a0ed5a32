"""Facts of row T1 on the real VGG19: layers, N and M, and the formulas summed in plain numpy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch

from deepcanon.core.standin import painting, photo
from deepcanon.reproduce.style_speed import random_vgg19
from deepcanon.reproduce.style_tradeoff import SERIES
from deepcanon.style.features import FeatureNet, Pooling
from deepcanon.style.gatys import FIGURE_ACTIVATION, LEON_GATYS_CODE, MODERN, PAPER, StageLoss
from deepcanon.style.repaint import to_tensor

pytestmark = pytest.mark.row("T1")


@pytest.fixture(scope="module")
def vgg19() -> FeatureNet:
    return random_vgg19(seed=0)


def test_layers_and_weights() -> None:
    assert PAPER.content == (("relu4_2", 1.0),)
    assert PAPER.style == tuple((f"relu{stage}_1", 0.2) for stage in range(1, 6))
    assert PAPER.pooling is Pooling.AVERAGE
    assert SERIES == (1e-4, 1e-3, 1e-2, 1e-1)


def test_n_and_m(vgg19: FeatureNet) -> None:
    taps = [tap for tap, _ in PAPER.style + PAPER.content]
    with torch.no_grad():
        found = vgg19(torch.rand(1, 3, 64, 64), taps)
    assert [vgg19.channels[tap] for tap in taps] == [64, 128, 256, 512, 512, 512]
    assert [tuple(found[tap].shape[1:]) for tap in taps] == [
        (64, 64, 64),
        (128, 32, 32),
        (256, 16, 16),
        (512, 8, 8),
        (512, 4, 4),
        (512, 8, 8),
    ]


def test_the_total_is_that_of_the_formulas(vgg19: FeatureNet) -> None:
    """½ Σ (F−P)², Σ_l w_l/(4 N² M²) Σ (G−A)² and α L_content + β L_style, written out again."""
    pictures = [to_tensor(each) for each in (photo(1, 48), painting(2, 48), photo(3, 48))]
    taps = [tap for tap, _ in PAPER.style + PAPER.content]
    with torch.no_grad():
        p, a, f = (
            {tap: _flat(each) for tap, each in vgg19(picture, taps).items()} for picture in pictures
        )
        config = replace(PAPER, alpha=0.5, beta=200.0)
        loss = StageLoss(pictures[0], pictures[1], config=config, features=vgg19, full_area=48 * 48)
        terms = loss(pictures[2])
    content = 0.5 * ((f["relu4_2"] - p["relu4_2"]) ** 2).sum()
    style = 0.0
    for stage in range(1, 6):
        ours, theirs = f[f"relu{stage}_1"], a[f"relu{stage}_1"]
        n, m = ours.shape
        style += 0.2 / (4 * n**2 * m**2) * ((ours @ ours.T - theirs @ theirs.T) ** 2).sum()
    assert terms.content.item() == pytest.approx(content, rel=1e-4)
    assert terms.style.item() == pytest.approx(style, rel=1e-4)
    assert terms.total.item() == pytest.approx(0.5 * content + 200 * style, rel=1e-4)


def test_the_figures_and_the_notebook_are_one_balance() -> None:
    notebook = LEON_GATYS_CODE.alpha / LEON_GATYS_CODE.beta
    assert notebook * FIGURE_ACTIVATION**2 == pytest.approx(1e-3)
    assert pytest.approx(37, abs=0.5) == FIGURE_ACTIVATION


def test_coarse_to_fine_costs_less_than_half() -> None:
    cost = sum(stage.iterations * stage.size**2 for stage in MODERN.stages)
    assert cost / MODERN.iterations == pytest.approx(0.4375)


def _flat(features: torch.Tensor) -> npt.NDArray[np.float64]:
    """[1, n, h, w] -> [n, m]"""
    flat: npt.NDArray[np.float64] = features[0].flatten(1).double().numpy()
    return flat
