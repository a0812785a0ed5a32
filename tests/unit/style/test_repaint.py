"""The descent itself, on losses whose minimum is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepcanon.core.errors import BadInput, Failed
from deepcanon.style.repaint import (
    LBFGS,
    SMALLEST_SIDE,
    Adam,
    LineSearch,
    Losses,
    Preview,
    Stage,
    Step,
    Terms,
    descend,
    noise,
    octaves,
    resize,
    run_stages,
    same_area,
    share_out,
    stage_size,
    to_pixels,
    to_tensor,
)

pytestmark = pytest.mark.row("T1")

WOLFE = LBFGS(line_search=LineSearch.STRONG_WOLFE)
GREY = torch.full((1, 3, 8, 8), 0.4)


class Bowl:
    """An ill-conditioned quadratic with its minimum at a fixed picture, times `height`."""

    def __init__(self, height: float = 1.0) -> None:
        generator = torch.Generator().manual_seed(1)
        self.minimum = torch.rand(1, 3, 8, 8, generator=generator)
        self.steepness = height * torch.logspace(-1, 1, 192).view(1, 3, 8, 8)
        self.evaluations = 0

    def __call__(self, picture: torch.Tensor) -> Terms:
        self.evaluations += 1
        total = (self.steepness * (picture - self.minimum).square()).sum()
        zero = total.new_zeros(())
        return Terms(total, total, zero, zero)


def walk(objective: Bowl, optimiser: LBFGS | Adam, iterations: int) -> list[Step]:
    return list(descend(GREY, objective, optimiser=optimiser, iterations=iterations))


@pytest.mark.parametrize(
    ("optimiser", "iterations"), [(LBFGS(), 40), (WOLFE, 40), (Adam(learning_rate=0.05), 150)]
)
def test_it_reaches_the_minimum(optimiser: LBFGS | Adam, iterations: int) -> None:
    bowl = Bowl()
    steps = walk(bowl, optimiser, iterations)
    torch.testing.assert_close(steps[-1].picture, bowl.minimum, rtol=0, atol=5e-3)
    assert steps[-1].losses.total < 1e-2 * steps[0].losses.total
    assert torch.equal(GREY, torch.full((1, 3, 8, 8), 0.4))  # the start is left as it is


@pytest.mark.parametrize("optimiser", [LBFGS(), Adam()])
def test_an_iteration_is_one_evaluation_without_a_line_search(optimiser: LBFGS | Adam) -> None:
    bowl = Bowl()
    steps = walk(bowl, optimiser, 5)
    assert [step.evaluations for step in steps] == [1] * 5
    assert bowl.evaluations == 5


def test_a_line_search_says_what_it_costs() -> None:
    bowl = Bowl()
    steps = walk(bowl, WOLFE, 5)
    assert sum(step.evaluations for step in steps) == bowl.evaluations
    assert bowl.evaluations > 5


@pytest.mark.parametrize("optimiser", [LBFGS(), WOLFE, Adam()])
def test_the_losses_of_a_step_are_those_it_started_from(optimiser: LBFGS | Adam) -> None:
    bowl = Bowl()
    steps = walk(bowl, optimiser, 3)
    assert steps[0].losses.total == pytest.approx(bowl(GREY).total.item())
    assert steps[1].losses.total == pytest.approx(bowl(steps[0].picture).total.item())


@pytest.mark.parametrize("optimiser", [LBFGS(), WOLFE, Adam()])
@pytest.mark.parametrize("height", [1e-12, 1e12])
def test_the_height_of_the_loss_does_not_matter(optimiser: LBFGS | Adam, height: float) -> None:
    plain, other = walk(Bowl(), optimiser, 12), walk(Bowl(height), optimiser, 12)
    torch.testing.assert_close(other[-1].picture, plain[-1].picture, rtol=0, atol=1e-3)
    assert other[-1].losses.total == pytest.approx(height * plain[-1].losses.total, rel=0.05)


def test_without_scaling_a_small_loss_stops_lbfgs() -> None:
    """What the scaling is for: torch's own tolerances end the descent where it began."""
    bowl, x = Bowl(1e-12), GREY.clone().requires_grad_(True)
    plain = torch.optim.LBFGS([x], max_iter=12)

    def evaluate() -> float:
        plain.zero_grad()
        loss = bowl(x).total
        loss.backward()
        return loss.item()

    plain.step(evaluate)
    torch.testing.assert_close(x.detach(), GREY, rtol=0, atol=1e-6)


def test_the_first_step_changes_a_pixel_by_about_one_grey_level() -> None:
    step = next(descend(GREY, Bowl(), optimiser=LBFGS(), iterations=1))
    assert (step.picture - GREY).abs().mean().item() == pytest.approx(1 / 255, rel=1e-3)


def test_a_start_at_the_minimum_stays_there() -> None:
    bowl = Bowl()
    for optimiser in (LBFGS(), WOLFE, Adam()):
        steps = list(descend(bowl.minimum, bowl, optimiser=optimiser, iterations=2))
        assert torch.equal(steps[-1].picture, bowl.minimum)


class Breaks(Bowl):
    """Gives NaN from its n-th evaluation on."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self.after = after

    def __call__(self, picture: torch.Tensor) -> Terms:
        terms = super().__call__(picture)
        if self.evaluations > self.after:
            return terms._replace(total=terms.total * torch.nan, style=terms.style + torch.nan)
        return terms


@pytest.mark.parametrize(
    ("after", "optimiser", "message", "hint"),
    [
        (0, LBFGS(), "style.*after 0 iterations", "weights"),
        (2, LBFGS(), "style.*after 2 iterations", "strong_wolfe"),
        (2, Adam(), "style.*after 2 iterations", "learning rate below 0.02"),
    ],
)
def test_a_loss_that_is_no_number_ends_the_run(
    after: int, optimiser: LBFGS | Adam, message: str, hint: str
) -> None:
    with pytest.raises(Failed, match=message) as caught:
        walk(Breaks(after), optimiser, 5)
    assert hint in caught.value.hint


def test_a_last_step_into_nothing_is_noticed() -> None:
    with pytest.raises(Failed, match="after 2 iterations"):
        run_stages(
            GREY,
            (Stage(iterations=2),),
            lambda stage, size: Breaks(2),
            full=(8, 8),
            optimiser=LBFGS(),
        )


class Interrupts(Bowl):
    """Ctrl-C within its n-th evaluation."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at = at

    def __call__(self, picture: torch.Tensor) -> Terms:
        if self.evaluations + 1 == self.at:
            raise KeyboardInterrupt
        return super().__call__(picture)


@pytest.mark.parametrize("optimiser", [LBFGS(), WOLFE, Adam()])
def test_an_interrupt_within_a_step_leaves_the_picture_of_the_last_whole_one(
    optimiser: LBFGS | Adam,
) -> None:
    steps = walk(Bowl(), optimiser, 3)
    spent = sum(step.evaluations for step in steps)
    done = run_stages(
        GREY,
        (Stage(iterations=9),),
        lambda stage, size: Interrupts(spent + (2 if optimiser is WOLFE else 1)),
        full=(8, 8),
        optimiser=optimiser,
    )
    assert done.interrupted
    assert done.iterations == 3
    assert done.evaluations == spent
    assert np.array_equal(done.pixels, to_pixels(steps[-1].picture))


def test_an_interrupt_before_the_first_step_leaves_the_start() -> None:
    done = run_stages(
        GREY,
        (Stage(iterations=9),),
        lambda stage, size: Interrupts(1),
        full=(16, 16),
        optimiser=LBFGS(),
    )
    assert done.interrupted
    assert done.losses is None
    assert done.history == ()
    assert np.array_equal(done.pixels, np.full((16, 16, 3), 102, np.uint8))


# Stages and sizes


def test_octaves() -> None:
    assert octaves(10) == (
        Stage(iterations=4, size=0.25),
        Stage(iterations=3, size=0.5),
        Stage(iterations=3, size=1.0),
    )
    assert octaves(5, levels=1, features="vgg16") == (Stage(iterations=5, features="vgg16"),)
    with pytest.raises(BadInput):
        octaves(2)


@pytest.mark.parametrize("bad", [{"iterations": 0}, {"size": 0.0}, {"size": 1.5}])
def test_a_stage_that_cannot_be_is_refused(bad: dict[str, float]) -> None:
    with pytest.raises(BadInput):
        replace(Stage(iterations=1), **bad)  # type: ignore[arg-type]


def test_a_preview_that_cannot_be_is_refused() -> None:
    with pytest.raises(BadInput):
        Preview(every=0, show=lambda step, pixels: None)


@given(counts=st.lists(st.integers(1, 50), min_size=1, max_size=5), iterations=st.integers(1, 200))
def test_shared_out_iterations_add_up(counts: list[int], iterations: int) -> None:
    stages = tuple(Stage(iterations=count, size=1 / (n + 1)) for n, count in enumerate(counts))
    shared = share_out(stages, iterations)
    assert sum(stage.iterations for stage in shared) == iterations
    assert share_out(stages, sum(counts)) == stages
    assert [stage.size for stage in shared] == sorted(
        (stage.size for stage in shared), reverse=True
    )


def test_stage_sizes() -> None:
    assert stage_size((512, 256), size=0.5) == (256, 128)
    assert stage_size((512, 256), size=0.125) == (128, SMALLEST_SIDE)  # not 64x32
    assert stage_size((40, 30), size=0.25) == (40, 30)  # never larger than the picture


def test_same_area() -> None:
    assert same_area((100, 400), like=(200, 200)) == (100, 400)
    assert same_area((30, 60), like=(120, 60)) == (60, 120)


def test_pixels_survive_the_way_to_a_tensor_and_back() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    pixels.setflags(write=False)  # as Pillow gives them
    picture = to_tensor(pixels)
    assert tuple(picture.shape) == (1, 3, 5, 7)
    assert np.array_equal(to_pixels(picture), pixels)
    assert to_pixels(torch.tensor([-1.0, 0.5, 2.0]).view(1, 3, 1, 1)).tolist() == [[[0, 128, 255]]]


def test_resize_keeps_a_plain_picture_plain() -> None:
    assert resize(GREY, (8, 8)) is GREY
    torch.testing.assert_close(resize(GREY, (20, 5)), torch.full((1, 3, 20, 5), 0.4))


def test_noise_is_white_around_grey() -> None:
    sample = noise((64, 64), std=0.1, seed=3)
    assert sample.mean().item() == pytest.approx(0.5, abs=0.01)
    assert sample.std().item() == pytest.approx(0.1, abs=0.01)
    assert torch.equal(sample, noise((64, 64), std=0.1, seed=3))


def test_losses_are_numbers() -> None:
    terms = Terms(*(torch.tensor(float(value)) for value in (1, 2, 3, 4)))
    assert Losses.of(terms) == Losses(total=1.0, content=2.0, style=3.0, variation=4.0)
