"""What the slim student is taught: principal components, two errors, disturbed pictures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from deepcanon.core.errors import BadInput
from deepcanon.core.standin import picture_folder
from deepcanon.style import distill
from deepcanon.style.distill import (
    Distillation,
    disturb,
    feature_error,
    gram_error,
    principal_components,
    walk,
)
from deepcanon.style.losses import gram
from deepcanon.style.recipes import SlimRecipe
from deepcanon.style.slim import Config, SlimVGG
from tests.tiny_recipes import TinyTeacher

pytestmark = pytest.mark.row("T1")

RECIPE = SlimRecipe(side=16, batch=2, steps=3, precision="float32")


class Mixture:
    """64 feature maps that are mixtures of the three channels: of rank three."""

    channels = {"relu1_1": 64}  # noqa: RUF012 - a protocol asks for it

    def __call__(self, pictures: Tensor, taps: Iterable[str]) -> dict[str, Tensor]:
        mixture = torch.randn(64, 3, generator=torch.Generator().manual_seed(1))
        return {tap: torch.einsum("bchw,dc->bdhw", pictures, mixture) for tap in taps}


def components(teacher: Any, pictures: Tensor, config: Config) -> dict[str, tuple[Tensor, Tensor]]:
    return principal_components(teacher, pictures, config=config)


def test_components_are_orthonormal_and_the_strongest_come_first() -> None:
    pictures = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    config = Config()
    found = components(TinyTeacher(), pictures, config)
    assert set(found) == set(config.taps)
    for tap, (basis, energy) in found.items():
        width = config.channels(tap)
        assert basis.shape == (4 * width, width) and energy.shape == (width,)
        torch.testing.assert_close(basis.T @ basis, torch.eye(width), atol=1e-5, rtol=0)
        assert (energy.diff() <= 0).all() and (energy > 0).all()


def test_energies_are_mean_squares_of_the_components() -> None:
    pictures = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    basis, energy = components(Mixture(), pictures, Config(taps=("relu1_1",)))["relu1_1"]
    activation = Mixture()(pictures, ["relu1_1"])["relu1_1"]
    projected = torch.einsum("bchw,cd->bdhw", activation, basis)
    torch.testing.assert_close(projected.square().mean((0, 2, 3))[:3], energy[:3])
    # What has no energy is kept from dividing by zero.
    assert (energy[3:] >= energy[0] * 1e-9).all() and (energy[3:] < energy[0] * 1e-6).all()


def test_distances_between_grams_survive_the_change_of_basis() -> None:
    one, two = torch.rand(2, 2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    basis, _ = components(Mixture(), torch.cat([one, two]), Config(taps=("relu1_1",)))["relu1_1"]

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return (gram(a) - gram(b)).square().sum((1, 2))

    whole = [Mixture()(each, ["relu1_1"])["relu1_1"] for each in (one, two)]
    slim = [torch.einsum("bchw,cd->bdhw", each, basis) for each in whole]
    torch.testing.assert_close(distance(*slim), distance(*whole), rtol=1e-3, atol=0)


def test_feature_error_by_hand() -> None:
    target = torch.tensor([[[[2.0]], [[4.0]]]])
    answer = torch.tensor([[[[1.0]], [[0.0]]]])
    # Squares over the square roots of the energies 4 and 16: (1 / 2 + 16 / 4) / (4 / 2 + 16 / 4).
    error = feature_error(answer, target, torch.tensor([4.0, 16.0]))
    assert error.item() == pytest.approx(4.5 / 6)
    assert feature_error(target, target, torch.tensor([4.0, 16.0])).item() == 0


def test_gram_error_by_hand() -> None:
    target = torch.tensor([[[[1.0, 1.0]]], [[[3.0, 0.0]]]])
    answer = torch.tensor([[[[2.0, 2.0]]], [[[0.0, 3.0]]]])
    # G is 8 for 2 in the first picture, (6 / 2)^2 = 9; the second only moved: 0.
    assert gram_error(answer, target).item() == pytest.approx(4.5)


def test_half_of_the_pictures_are_disturbed_by_the_seed_alone() -> None:
    pictures = torch.rand(200, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    once = disturb(pictures, seed=[1, 2])
    same = [bool(torch.equal(a, b)) for a, b in zip(once, pictures, strict=True)]
    assert 70 < sum(same) < 130
    assert float(once.min()) >= -0.11 and float(once.max()) <= 1.11
    torch.manual_seed(9)
    np.random.seed(9)
    assert torch.equal(disturb(pictures, seed=[1, 2]), once)
    assert not torch.equal(disturb(pictures, seed=[1, 3]), once)
    assert torch.isfinite(once).all()


def test_a_disturbed_picture_still_shows_what_it_did() -> None:
    ramp = torch.linspace(0, 1, 32).expand(100, 3, 32, 32).clone()
    changed = disturb(ramp, seed=[0, 0])
    for picture in changed:
        left, right = picture[..., :8].mean((1, 2)), picture[..., -8:].mean((1, 2))
        assert (right > left).all()


def test_every_second_picture_walks_down_the_students_own_loss() -> None:
    torch.manual_seed(0)
    student = SlimVGG(Config(taps=("relu1_1", "relu2_1")))
    pictures = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    pictures[1::2] = pictures[1::2] / 3 + 0.2  # what the others walk towards
    given = pictures.clone()
    moved = walk(student, pictures, steps=3, rate=0.01)
    assert torch.equal(pictures, given) and torch.equal(moved[1::2], given[1::2])
    distance = (moved - given)[::2].abs()
    assert 0.005 < distance.mean() < 0.03 and distance.max() < 0.09 + 1e-6  # 3 x 3 x rate
    assert all(weight.grad is None for weight in student.parameters())

    def loss(x: Tensor) -> Tensor:
        with torch.no_grad():
            ours, next_ones = student(x, student.config.taps), student(given, student.config.taps)
        pairs = ((ours[tap][::2], next_ones[tap].roll(-1, 0)[::2]) for tap in ours)
        return torch.stack([gram_error(*pair) for pair in pairs]).sum()

    assert loss(moved) < 0.8 * loss(given)


def test_a_walk_that_has_nowhere_to_go() -> None:
    flat = torch.full((2, 3, 16, 16), 0.5)
    student = SlimVGG(Config(taps=("relu1_1",)))
    moved = walk(student, flat, steps=2, rate=0.01)  # the slope is nothing, up to rounding
    assert torch.isfinite(moved).all()


def test_how_far_pictures_walk_is_drawn_by_seed_and_step(monkeypatch: pytest.MonkeyPatch) -> None:
    walked: list[int] = []

    def count(_: SlimVGG, pictures: Tensor, *, steps: int, rate: float) -> Tensor:
        walked.append(steps)
        return pictures

    monkeypatch.setattr(distill, "walk", count)
    pictures = torch.rand(2, 3, 16, 16)
    one = task()
    monkeypatch.setattr(one, "log_dict", lambda terms: None)
    for step in range(12):
        one._trainer = SimpleNamespace(global_step=step % 6)  # type: ignore[assignment]
        one.training_step(pictures, step)
    assert walked[:6] == walked[6:]
    assert min(walked) >= 1 and max(walked) <= RECIPE.walk and len(set(walked)) > 2
    still = task(walk=0)
    monkeypatch.setattr(still, "log_dict", lambda terms: None)
    still.training_step(pictures, 0)
    assert len(walked) == 12


@pytest.mark.parametrize("quiet", [True, False])
def test_skipped_pictures_are_named_unless_quiet(
    quiet: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture_folder(tmp_path, 5, seed=1)
    (tmp_path / "bad.png").write_bytes(b"no picture")
    recipe = replace(RECIPE, photos=str(tmp_path), paintings=str(tmp_path), teacher="gone.h5")
    with pytest.raises(BadInput, match=r"gone\.h5"):  # it is looked for after the pictures
        distill.train(recipe, folder=tmp_path / "run", resume=False, quiet=quiet)
    assert ("bad.png" in capsys.readouterr().err) is not quiet


def task(**changes: Any) -> Distillation:
    torch.manual_seed(0)
    pictures = torch.rand(2, 3, 16, 16)
    teacher, config = TinyTeacher(), Config()
    return Distillation(
        SlimVGG(config),
        teacher=teacher,
        components=components(teacher, pictures, config),
        recipe=replace(RECIPE, **changes),
    )


def test_only_the_student_learns_and_the_teacher_is_not_saved() -> None:
    one = task()
    assert {name.split(".")[0] for name in one.state_dict()} == {"student", "bases", "energies"}
    optimizer = one.configure_optimizers()["optimizer"]
    trained = {id(weight) for group in optimizer.param_groups for weight in group["params"]}
    assert trained == {id(weight) for weight in one.student.parameters()}
    assert not any(weight.requires_grad for weight in [*one.bases.values(), *one.energies.values()])


def test_the_students_scale_is_the_teachers() -> None:
    one = task()
    for place, tap in enumerate(one.student.config.taps):
        expected = one.energies[tap].mean().sqrt()
        torch.testing.assert_close(one.student.scale[place], expected.detach())


def test_steps_lower_both_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    one, logged = task(), []
    monkeypatch.setattr(
        one, "log_dict", lambda terms: logged.append({k: v.item() for k, v in terms.items()})
    )
    optimizer = torch.optim.Adam(one.student.parameters(), lr=3e-3)
    pictures = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(5))
    losses = []
    for step in range(12):
        optimizer.zero_grad()
        loss = one.training_step(pictures, step)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    first, last = logged[0], logged[-1]
    assert last["features"] < 0.9 * first["features"]
    assert losses[-1] < losses[0]
    weighed = first["features"] + RECIPE.gram_weight * first["grams"]
    assert losses[0] == pytest.approx(weighed, rel=1e-5)
