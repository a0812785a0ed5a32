"""Gatys' losses worked by hand, their conventions, and whole runs on a tiny feature network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deepcanon.core import standin
from deepcanon.core.errors import BadInput
from deepcanon.style import gatys
from deepcanon.style.activations import Activations
from deepcanon.style.gatys import (
    LEON_GATYS_CODE,
    MODERN,
    PAPER,
    TORCHVISION,
    VARIANTS,
    Config,
    Convention,
    Layer,
    StageLoss,
    content_factor,
    content_loss,
    repaint,
    style_factor,
    style_loss,
    total_loss,
)
from deepcanon.style.losses import gram
from deepcanon.style.repaint import LBFGS, Adam, Losses, Preview, Stage, Start, Terms, to_tensor
from tests.tiny_features import PaddedFeatures, RotatedFeatures, TinyFeatures

pytestmark = pytest.mark.row("T1")

# The generated pictures cost more than most tests.
photo, painting = cache(standin.photo), cache(standin.painting)
PHOTO, PAINTING = photo(1, (64, 80)), painting(2, (64, 64))
SHORT = replace(PAPER, start=Start.CONTENT, stages=(Stage(iterations=3),))

# Two filters at two positions.
FEATURES = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # [1, 2, 1, 2]


def stage_loss(
    config: Config, features: object | None = None, *, size: tuple[int, int] = (32, 32)
) -> StageLoss:
    return StageLoss(
        to_tensor(photo(1, size)),
        to_tensor(painting(2, size)),
        config=config,
        features=features or TinyFeatures(),
        full_area=size[0] * size[1],
    )


def picture(seed: int = 3, size: tuple[int, int] = (32, 32)) -> torch.Tensor:
    return torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(seed))


# The formulas


def test_content_loss_is_half_the_sum_of_squares() -> None:
    target = torch.tensor([[[[1.0, 0.0]], [[0.0, 4.0]]]])
    assert content_loss(FEATURES, target).tolist() == [6.5]  # (0 + 4 + 9 + 0) / 2


@pytest.mark.parametrize("convention", [Convention.LEON_GATYS_CODE, Convention.PYTORCH_TUTORIAL])
def test_content_loss_is_a_mean_elsewhere(convention: Convention) -> None:
    target = torch.tensor([[[[1.0, 0.0]], [[0.0, 4.0]]]])
    assert content_loss(FEATURES, target, convention=convention).tolist() == [3.25]
    # Four filters of which two components are given: the mean is over the four.
    four = content_loss(FEATURES, target, filters=4, convention=convention)
    assert four.tolist() == [1.625]


@pytest.mark.parametrize(
    ("convention", "expected"),
    [
        (Convention.PAPER, 26 / (4 * 2**2 * 2**2)),
        (Convention.LEON_GATYS_CODE, (26 / 2**2) / 2**2),  # Gram / M, then the mean over N²
        (Convention.PYTORCH_TUTORIAL, (26 / 4**2) / 2**2),  # Gram / (N M), then the mean over N²
    ],
)
def test_style_loss_by_hand(convention: Convention, expected: float) -> None:
    correlations = gram(FEATURES)
    assert correlations.tolist() == [[[5.0, 11.0], [11.0, 25.0]]]
    target = torch.tensor([[[4.0, 11.0], [11.0, 20.0]]])  # (G − A)²: 1 + 0 + 0 + 25
    loss = style_loss(correlations, target, filters=2, positions=2, convention=convention)
    assert loss.tolist() == pytest.approx([expected])


def test_losses_are_one_value_a_picture() -> None:
    both = torch.cat([FEATURES, 2 * FEATURES])
    zero = torch.zeros_like(both)
    assert content_loss(both, zero).tolist() == [15.0, 60.0]
    style = style_loss(gram(both), gram(zero), filters=2, positions=2)
    assert style[1].item() == pytest.approx(16 * style[0].item())


def test_losses_vanish_on_their_targets() -> None:
    assert content_loss(FEATURES, FEATURES).item() == 0
    assert style_loss(gram(FEATURES), gram(FEATURES), filters=2, positions=2).item() == 0


def test_style_loss_forgets_positions() -> None:
    features = picture()
    moved = features.flip(-1)
    assert not torch.equal(features, moved)
    loss = style_loss(gram(moved), gram(features), filters=3, positions=32 * 32)
    assert loss.item() == pytest.approx(0, abs=1e-9)


def test_style_loss_survives_large_sums() -> None:
    # Σ(G − A)² alone is 1e46 here, beyond float32; the loss is not.
    loss = style_loss(torch.full((1, 1, 1), 1e23), torch.zeros(1, 1, 1), filters=1, positions=10**8)
    assert loss.item() == pytest.approx(1e30 / 4)


def test_total_loss() -> None:
    terms = (torch.tensor(float(value)) for value in (2, 3, 5))
    assert total_loss(*terms, alpha=10.0, beta=100.0, gamma=1000.0).item() == 5320


# Conventions


@settings(max_examples=20)
@given(
    filters=st.integers(1, 6),
    height=st.integers(1, 5),
    width=st.integers(1, 5),
    seed=st.integers(0, 999),
)
def test_conventions_convert_to_the_papers_units(
    filters: int, height: int, width: int, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    ours, other = torch.rand(2, 1, filters, height, width, generator=generator).double()
    positions = height * width
    for convention in Convention:
        content = content_loss(ours, other, convention=convention)
        factor = content_factor(convention, filters=filters, positions=positions)
        torch.testing.assert_close(factor * content, content_loss(ours, other))
        sizes = {"filters": filters, "positions": positions}
        style = style_loss(gram(ours), gram(other), **sizes, convention=convention)
        factor = style_factor(convention, filters=filters)
        torch.testing.assert_close(factor * style, style_loss(gram(ours), gram(other), **sizes))


@pytest.mark.parametrize("convention", list(Convention))
def test_a_convention_changes_neither_total_nor_gradient(convention: Convention) -> None:
    def measure(config: Config) -> tuple[Terms, torch.Tensor]:
        x = picture().requires_grad_(True)
        terms = stage_loss(config)(x)
        terms.total.backward()
        assert x.grad is not None
        return terms, x.grad

    paper, paper_gradient = measure(PAPER)
    terms, gradient = measure(replace(PAPER, convention=convention))
    torch.testing.assert_close(terms.total, paper.total)
    torch.testing.assert_close(gradient, paper_gradient)
    if convention is not Convention.PAPER:
        assert terms.content.item() != pytest.approx(paper.content.item())
        assert terms.style.item() != pytest.approx(paper.style.item())


def test_leon_gatys_code_has_the_notebooks_weights() -> None:
    """content 1e0 and style 1e3/n² on the notebook's own losses, at its 512 pixels."""
    leon = LEON_GATYS_CODE
    factor = content_factor(leon.convention, filters=512, positions=64 * 64)
    assert leon.alpha * factor == pytest.approx(1e0)
    for (_, weight), n in zip(leon.style, (64, 128, 256, 512, 512), strict=True):
        native = leon.beta * weight * style_factor(leon.convention, filters=n)
        assert native == pytest.approx(1e3 / n**2)
    assert sum(weight for _, weight in leon.style) == pytest.approx(1)


# What a stage compares


def test_stage_loss_is_the_weighted_sum_of_its_layers() -> None:
    config = replace(
        PAPER,
        content=(Layer("relu2_1", 0.5), Layer("relu4_2", 2.0)),
        style=(Layer("relu1_1", 0.25), Layer("relu3_1", 0.75)),
        alpha=0.1,
        beta=10.0,
        variation=3.0,
    )
    net, x = TinyFeatures(), picture()
    taps = ("relu1_1", "relu2_1", "relu3_1", "relu4_2")
    p, a, f = (net(each, taps) for each in (to_tensor(photo(1, 32)), to_tensor(painting(2, 32)), x))
    content = 0.5 * content_loss(f["relu2_1"], p["relu2_1"])
    content = content + 2 * content_loss(f["relu4_2"], p["relu4_2"])
    style = 0.25 * style_loss(
        gram(f["relu1_1"]), gram(a["relu1_1"]), filters=4, positions=32 * 32
    ) + 0.75 * style_loss(gram(f["relu3_1"]), gram(a["relu3_1"]), filters=6, positions=8 * 8)
    variation = (x[..., 1:, :] - x[..., :-1, :]).square().sum()
    variation = variation + (x[..., 1:] - x[..., :-1]).square().sum()
    terms = stage_loss(config)(x)
    torch.testing.assert_close(terms.content, content.sum())
    torch.testing.assert_close(terms.style, style.sum())
    torch.testing.assert_close(terms.variation, variation)
    total = (0.1 * content + 10 * style + 3 * variation).sum()
    torch.testing.assert_close(terms.total, total)


def test_the_photograph_has_no_content_loss_and_the_painting_no_style_loss() -> None:
    loss = stage_loss(PAPER)
    assert loss(to_tensor(photo(1, 32))).content.item() == 0
    assert loss(to_tensor(painting(2, 32))).style.item() == 0


def test_a_painting_of_another_size_is_weighed_as_if_it_had_as_many_positions() -> None:
    pixelwise = TinyFeatures(kernel=1)  # no borders: a tiled picture has the same statistics
    small = to_tensor(painting(2, 32))
    loss = StageLoss(
        to_tensor(photo(1, 32)),
        small.repeat(1, 1, 2, 3),
        config=PAPER,
        features=pixelwise,
        full_area=32 * 32,
    )
    assert loss(small).style.item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("what", [Activations.AS_GIVEN, Activations.LAYER])
def test_components_of_activations_cost_what_the_activations_cost(what: Activations) -> None:
    """Slim answers in an orthonormal basis: distances and Gram distances are the same there."""
    config, net = replace(PAPER, activations=what, mean_activation=2.0), TinyFeatures()
    filters = stage_loss(config, net)(picture())
    components = stage_loss(config, RotatedFeatures(net))(picture())
    for ours, theirs in zip(components, filters, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=0)


def test_n_is_what_the_network_says_it_is() -> None:
    config = replace(PAPER, content=(), style=(Layer("relu2_1", 1.0),))
    plain = stage_loss(config)(picture()).style.item()
    more = stage_loss(config, PaddedFeatures(TinyFeatures(), extra=5))(picture()).style.item()
    assert more == pytest.approx(plain * 5**2 / 10**2, rel=1e-5)


@pytest.mark.parametrize("what", [Activations.LAYER, Activations.FILTER])
def test_scaled_activations_do_not_depend_on_the_networks_units(what: Activations) -> None:
    config = replace(PAPER, activations=what)
    plain = stage_loss(config)(picture())
    large = stage_loss(config, TinyFeatures(gain=300.0))(picture())
    torch.testing.assert_close(large.total, plain.total, rtol=1e-4, atol=0)
    given = replace(PAPER, activations=Activations.AS_GIVEN)
    louder = stage_loss(given, TinyFeatures(gain=10.0))(picture())
    quiet = stage_loss(given)(picture())
    assert louder.content.item() == pytest.approx(1e2 * quiet.content.item(), rel=1e-4)
    assert louder.style.item() == pytest.approx(1e4 * quiet.style.item(), rel=1e-4)


def test_the_balance_of_a_coarse_stage_is_that_of_the_full_size() -> None:
    pixelwise = TinyFeatures(kernel=1)
    tile = to_tensor(photo(1, 32))

    def parts(content: torch.Tensor, x: torch.Tensor, config: Config) -> float:
        loss = StageLoss(
            content, content, config=config, features=pixelwise, full_area=content[0, 0].numel()
        )
        return loss(x).total.item()

    content_only = replace(PAPER, style=(), alpha_side=32)
    noise = picture()
    small = parts(tile, noise, content_only)
    large = parts(tile.repeat(1, 1, 2, 2), noise.repeat(1, 1, 2, 2), content_only)
    assert large == pytest.approx(small, rel=1e-5)  # as a mean would
    small = parts(tile, noise, replace(content_only, alpha_side=None))
    large = parts(
        tile.repeat(1, 1, 2, 2), noise.repeat(1, 1, 2, 2), replace(content_only, alpha_side=None)
    )
    assert large == pytest.approx(4 * small, rel=1e-5)  # formula (1) is a sum


def test_a_stage_weighs_content_and_variation_by_the_pixels_it_lacks() -> None:
    content, style = to_tensor(photo(1, 32)), to_tensor(painting(2, 32))
    config = replace(PAPER, variation=2.0)
    full, quarter = (
        StageLoss(content, style, config=config, features=TinyFeatures(), full_area=area)
        for area in (32 * 32, 64 * 64)
    )
    assert (full.alpha, full.gamma) == (1e-3, 2.0)
    assert (quarter.alpha, quarter.gamma) == (4e-3, 8.0)


# Configs


def test_the_papers_defaults() -> None:
    assert [tap for tap, _ in PAPER.content] == ["relu4_2"]
    assert [tap for tap, _ in PAPER.style] == [f"relu{stage}_1" for stage in range(1, 6)]
    assert {weight for _, weight in PAPER.style} == {0.2}
    assert PAPER.start is Start.NOISE
    assert isinstance(PAPER.optimiser, LBFGS)


@pytest.mark.parametrize(
    "change",
    [
        {"alpha": -1.0},
        {"beta": float("nan")},
        {"variation": float("inf")},
        {"alpha": 0.0, "beta": 0.0},
        {"stages": ()},
        {"content": (), "style": ()},
        {"style": (Layer("relu1_1", -0.2),)},
    ],
)
def test_a_config_that_cannot_work_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(BadInput):
        replace(PAPER, **change)  # type: ignore[arg-type]


def test_with_iterations_keeps_the_proportions_of_the_stages() -> None:
    assert MODERN.with_iterations(30).iterations == 30
    sizes = [(stage.size, stage.iterations) for stage in MODERN.with_iterations(30).stages]
    assert sizes == [(0.25, 10), (0.5, 10), (1.0, 10)]


# Whole runs


@pytest.mark.parametrize("name", list(VARIANTS))
def test_every_variant_repaints(name: str) -> None:
    config = VARIANTS[name].config.with_iterations(4)
    done = repaint(PHOTO, PAINTING, config=config, features=TinyFeatures())
    assert done.pixels.shape == PHOTO.shape
    assert done.pixels.dtype == np.uint8
    assert done.iterations == done.evaluations == 4
    assert done.losses is not None
    assert not done.interrupted
    assert not np.array_equal(done.pixels, PHOTO)


@pytest.mark.parametrize(
    ("config", "below"),
    [
        (replace(TORCHVISION, optimiser=LBFGS()), 0.5),
        (replace(TORCHVISION, optimiser=Adam()), 0.8),
        (replace(TORCHVISION, start=Start.CONTENT), 0.5),
    ],
)
def test_the_loss_falls(config: Config, below: float) -> None:
    done = repaint(PHOTO, PAINTING, config=config.with_iterations(25), features=TinyFeatures())
    assert done.losses is not None
    assert done.losses.total < below * done.history[0].total


def test_a_larger_ratio_keeps_more_of_the_photograph() -> None:
    def content(alpha: float) -> float:
        config = replace(TORCHVISION, alpha=alpha, convention=Convention.PAPER)
        done = repaint(PHOTO, PAINTING, config=config.with_iterations(25), features=TinyFeatures())
        assert done.losses is not None
        return done.losses.content

    losses = [content(alpha) for alpha in (1e-4, 1e-1, 1e2)]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] > 2 * losses[2]


def test_a_run_from_the_photograph_starts_without_content_loss() -> None:
    done = repaint(PHOTO, PAINTING, config=SHORT, features=TinyFeatures())
    assert done.history[0].content == 0
    assert done.history[0].style > 0


def test_the_seed_decides_the_picture() -> None:
    def run(seed: int) -> np.ndarray:
        config = replace(SHORT, start=Start.NOISE)
        return repaint(PHOTO, PAINTING, config=config, features=TinyFeatures(), seed=seed).pixels

    torch.manual_seed(5)
    first = run(1)
    torch.manual_seed(6)  # the global generator has no say
    assert np.array_equal(first, run(1))
    assert not np.array_equal(first, run(2))


def test_each_stage_has_its_size_and_its_network() -> None:
    slim, large = TinyFeatures(seed=1), TinyFeatures(seed=2)
    config = replace(
        SHORT,
        stages=(
            Stage(iterations=2, size=0.5, features="slim"),
            Stage(iterations=1, features="slim"),
            Stage(iterations=3, features="large"),
        ),
    )
    big = photo(1, (128, 160))
    done = repaint(big, PAINTING, config=config, features={"slim": slim, "large": large})
    assert done.pixels.shape == big.shape
    assert done.iterations == 6
    # Two targets and two evaluations; two targets and one; two targets, three, the final losses.
    half, whole = (64, 80), (128, 160)
    square_half, square_whole = (72, 72), (143, 143)  # the painting's sides, of equal area
    assert slim.sizes == [half, square_half, half, half, whole, square_whole, whole]
    assert large.sizes == [whole, square_whole] + [whole] * 4


def test_a_network_that_is_named_but_not_given_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def load(name: str, *, pooling: object) -> TinyFeatures:
        asked.append((name, pooling))
        return TinyFeatures()

    monkeypatch.setattr(gatys, "load_features", load)
    stages = (Stage(iterations=1), Stage(iterations=1, features="vgg16"))
    config = replace(SHORT, stages=stages)
    repaint(PHOTO, PAINTING, config=config, features="slim")
    assert asked == [("slim", config.pooling), ("vgg16", config.pooling)]
    asked.clear()
    repaint(PHOTO, PAINTING, config=config, features=TinyFeatures())
    repaint(PHOTO, PAINTING, config=config, features={"mine": TinyFeatures()})
    assert asked == [("vgg16", config.pooling)] * 2


def test_steps_are_told_with_both_losses() -> None:
    told: list[tuple[int, Losses]] = []
    done = repaint(
        PHOTO,
        PAINTING,
        config=SHORT,
        features=TinyFeatures(),
        on_step=lambda step, losses: told.append((step, losses)),
    )
    assert [step for step, _ in told] == [1, 2, 3]
    assert tuple(losses for _, losses in told) == done.history


def test_previews_have_the_full_size() -> None:
    shown: list[tuple[int, np.ndarray]] = []
    config = replace(SHORT, stages=(Stage(iterations=2, size=0.5), Stage(iterations=2)))
    big = photo(1, (128, 160))
    done = repaint(
        big,
        PAINTING,
        config=config,
        features=TinyFeatures(),
        preview=Preview(every=2, show=lambda step, pixels: shown.append((step, pixels))),
    )
    assert [(step, pixels.shape) for step, pixels in shown] == [(2, big.shape), (4, big.shape)]
    assert np.array_equal(shown[-1][1], done.pixels)


@pytest.mark.parametrize("when", [1, 3])
def test_an_interrupt_gives_back_the_picture_so_far(
    when: int, stop_at: Callable[[int], Callable[[int, Losses], None]]
) -> None:
    config = replace(SHORT, stages=(Stage(iterations=2), Stage(iterations=5)))
    stopped = repaint(
        PHOTO, PAINTING, config=config, features=TinyFeatures(), on_step=stop_at(when)
    )
    assert stopped.interrupted
    assert stopped.iterations == when
    assert stopped.losses == stopped.history[-1]
    stages = (Stage(iterations=min(when, 2)), Stage(iterations=1))[: 1 + (when > 2)]
    whole = repaint(PHOTO, PAINTING, config=replace(config, stages=stages), features=TinyFeatures())
    assert np.array_equal(stopped.pixels, whole.pixels)


@pytest.fixture
def stop_at() -> Callable[[int], Callable[[int, Losses], None]]:
    def make(when: int) -> Callable[[int, Losses], None]:
        def tell(step: int, losses: Losses) -> None:
            if step == when:
                raise KeyboardInterrupt

        return tell

    return make
