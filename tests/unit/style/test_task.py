"""The objective on tensors small enough to compute by hand, and the task around it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from deepcanon.style.johnson import INSTANCE_NORM, PAPER, Config, Norm, TransformNet
from deepcanon.style.recipes import JohnsonRecipe
from deepcanon.style.task import PerceptualLoss, Repainting, Weighting, paint, shifted
from deepcanon.training.muon import Muon
from tests.tiny_features import TinyFeatures

pytestmark = pytest.mark.row("T2")


class Pixels:
    """Feature maps that are the picture itself, and twice the picture."""

    channels = {"same": 3, "twice": 3}  # noqa: RUF012 - a protocol asks for it

    def __call__(self, pictures: Tensor, taps: Iterable[str]) -> dict[str, Tensor]:
        return {tap: pictures * {"same": 1, "twice": 2}[tap] for tap in taps}


def flat(value: float, *, count: int = 1) -> Tensor:
    return torch.full((count, 3, 2, 2), value)


def weighting(**changes: Any) -> Weighting:
    usual: dict[str, Any] = {
        "content_tap": "same",
        "style_taps": {"same": 1.0},
        "content_weight": 1.0,
        "style_weight": 1.0,
        "tv_weight": 1.0,
    }
    return Weighting(**{**usual, **changes})


def judge(*paintings: Tensor, **changes: Any) -> PerceptualLoss:
    return PerceptualLoss(Pixels(), list(paintings), weighting=weighting(**changes))  # type: ignore[arg-type]


ONE = torch.ones(1, 1)


def test_by_hand() -> None:
    loss = judge(flat(1.0))
    terms = loss(flat(2.0), loss.content(flat(1.0)), ONE)
    # (2 - 1)^2 / 1^2; every entry of G is 4 / 12 for ones and 16 / 12 for twos: (1 / (1 / 3))^2.
    assert (terms.content.item(), terms.style.item()) == (1.0, pytest.approx(9.0))
    assert terms.tv.item() == 0
    assert terms.total.item() == pytest.approx(10.0)


def test_total_variation_by_hand() -> None:
    loss = judge(flat(1.0))
    picture = flat(1.0)
    picture[0, 0, 0, 0] = 3.0
    # One pixel of one channel differs by 2 from its two neighbours: 2 * 4, over 12 numbers.
    terms = loss(picture, loss.content(flat(1.0)), ONE)
    assert terms.tv.item() == pytest.approx(8 / 12)


def test_weights() -> None:
    loss = judge(
        flat(1.0),
        content_weight=2.0,
        style_weight=3.0,
        tv_weight=5.0,
        style_taps={"same": 0.25, "twice": 0.5},
    )
    picture = flat(2.0)
    picture[0, 0, 0, 0] = 3.0
    plain = judge(flat(1.0))(picture, flat(1.0), ONE)
    terms = loss(picture, loss.content(flat(1.0)), ONE)
    # The error is relative, so that both taps see the same one.
    assert terms.style.item() == pytest.approx(0.75 * plain.style.item())
    expected = 2 * plain.content + 3 * 0.75 * plain.style + 5 * plain.tv
    assert terms.total.item() == pytest.approx(expected.item())


def test_a_painting_has_its_own_style_and_a_photograph_its_own_content() -> None:
    generator = torch.Generator().manual_seed(0)
    photo, painting = (torch.rand(1, 3, 16, 16, generator=generator) for _ in range(2))
    loss = PerceptualLoss(
        TinyFeatures(),
        [painting],
        weighting=weighting(content_tap="relu2_1", style_taps={"relu1_1": 0.5, "relu3_1": 0.5}),
    )
    assert loss(painting, loss.content(photo), ONE).style.item() == pytest.approx(0, abs=1e-9)
    assert loss(photo, loss.content(photo), ONE).content.item() == 0
    assert loss(photo, loss.content(photo), ONE).style.item() > 0.001


def test_each_picture_is_judged_by_its_own_style_or_blend() -> None:
    loss = judge(flat(1.0), flat(2.0))
    styles = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    terms = loss(flat(2.0, count=3), loss.content(flat(1.0, count=3)), styles)
    # The blend's Gram entries are (4 + 16) / 24 = 5 / 6, and the picture's are 4 / 3: a
    # difference of 3 / 5 of it.
    assert terms.style.tolist() == pytest.approx([9.0, 0.0, 0.36])
    assert terms.total.shape == (3,)


def test_a_painting_may_have_a_content_weight_of_its_own() -> None:
    alike = judge(flat(1.0), flat(2.0))
    loss = PerceptualLoss(
        alike.features, [flat(1.0), flat(2.0)], weighting=alike.weighting, content_weights=[0.5, 3]
    )
    styles = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]])
    content = loss.content(flat(1.0, count=3))
    own, usual = (each(flat(2.0, count=3), content, styles) for each in (loss, alike))
    more = torch.tensor([0.5, 3.0, 1.75]) - alike.weighting.content_weight
    assert torch.allclose(own.total, usual.total + more * usual.content)
    assert torch.equal(own.content, usual.content)


def test_the_size_of_the_picture_does_not_matter() -> None:
    loss = judge(flat(1.0))
    small = loss(flat(2.0), flat(1.0), ONE)
    large = loss(torch.full((1, 3, 4, 6), 2.0), torch.ones(1, 3, 4, 6), ONE)
    assert small.total.item() == pytest.approx(large.total.item())


def test_only_the_painted_picture_is_pulled() -> None:
    loss = judge(flat(1.0))
    photo, painted = flat(1.0).requires_grad_(), flat(2.0).requires_grad_()
    loss(painted, loss.content(photo), ONE).total.sum().backward()
    assert painted.grad is not None and painted.grad.abs().sum() > 0
    assert photo.grad is None


MULTI = Config(widths=(4, 4, 4), blocks=1, norm=Norm.CONDITIONAL, styles=3)


def task(
    config: Config = MULTI, *, turns: Sequence[int] = (0, 1, 2), steps: int = 100, **changes: Any
) -> Repainting:
    torch.manual_seed(0)
    paintings = [torch.rand(1, 3, 16, 16) for _ in range(config.styles)]
    loss = PerceptualLoss(
        TinyFeatures(),
        paintings,
        weighting=weighting(content_tap="relu2_1", style_taps={"relu1_1": 1.0}),
    )
    usual = {"margin": 4, "learning_rate": 0.01}
    recipe = JohnsonRecipe(steps=steps, **{**usual, **changes})
    return Repainting(TransformNet(config), loss=loss, recipe=recipe, turns=turns)


def at(step: int, on: Repainting) -> Repainting:
    on._trainer = SimpleNamespace(global_step=step)  # type: ignore[assignment]
    return on


def test_every_style_has_its_turn() -> None:
    one, shown = task(), []
    for step in range(6):  # batches of two: 12 pictures, four rounds of three styles
        styles = at(step, one).styles(2)
        assert styles.shape == (2, 3) and styles.sum(1).tolist() == [1, 1]
        shown += styles.argmax(1).tolist()
    rounds = [shown[i : i + 3] for i in range(0, 12, 3)]
    assert all(sorted(each) == [0, 1, 2] for each in rounds)
    assert len({tuple(each) for each in rounds}) > 1
    assert torch.equal(at(4, task()).styles(2), at(4, one).styles(2))
    orders = [
        [at(step, task(seed=seed)).styles(3).argmax(1).tolist() for step in range(5)]
        for seed in (0, 1)
    ]
    assert orders[0] != orders[1]


def test_a_style_may_have_several_turns_in_a_round() -> None:
    one, shown = task(turns=(0, 1, 1, 1, 2)), []
    for step in range(5):  # batches of three: 15 pictures, three rounds of five
        shown += at(step, one).styles(3).argmax(1).tolist()
    assert [sorted(shown[i : i + 5]) for i in (0, 5, 10)] == [[0, 1, 1, 1, 2]] * 3


def test_the_judge_is_no_part_of_what_is_trained_or_saved() -> None:
    one = task()
    assert {name.split(".")[0] for name in one.state_dict()} == {"net", "averaged"}
    trained = {id(weight) for weight in one.net.parameters()}
    found = one.configure_optimizers()
    groups = found["optimizer"].param_groups
    assert {id(weight) for group in groups for weight in group["params"]} == trained
    assert found["lr_scheduler"]["interval"] == "step"  # type: ignore[index]


def test_what_is_frozen_is_not_trained() -> None:
    one = task()
    for name, weight in one.net.named_parameters():
        weight.requires_grad_(name.endswith((".scales", ".shifts")))
    optimizer = one.configure_optimizers()["optimizer"]
    trained = [weight for group in optimizer.param_groups for weight in group["params"]]
    assert len(trained) == sum(weight.requires_grad for weight in one.net.parameters()) > 0
    assert all(weight.requires_grad for weight in trained)


def test_the_average_follows_slowly_and_takes_the_counters_over() -> None:
    one = task(PAPER_SMALL, ema_decay=0.5)
    name = "enter.conv.weight"
    start = one.averaged.state_dict()[name].clone()
    with torch.no_grad():
        for weight in one.net.parameters():
            weight.add_(1)
        one.net.enter.norm.norm.num_batches_tracked.fill_(7)  # type: ignore[union-attr,operator]
    at(1, one).on_train_batch_end()
    # (1 + 1) / (10 + 1) is less than 0.5: early on, nearly all is taken over.
    torch.testing.assert_close(one.averaged.state_dict()[name], start + 1 - 2 / 11)
    at(1000, one).on_train_batch_end()
    torch.testing.assert_close(one.averaged.state_dict()[name], start + 1 - 1 / 11)
    assert one.averaged.state_dict()["enter.norm.norm.num_batches_tracked"] == 7
    assert not any(weight.requires_grad for weight in one.averaged.parameters())


PAPER_SMALL = Config(widths=(4, 4, 4), blocks=1, norm=PAPER.norm)


@pytest.mark.parametrize(
    "config",
    [MULTI, PAPER_SMALL, Config(widths=(4, 4, 4), blocks=1, norm=INSTANCE_NORM.norm)],
    ids=["conditional", "batch", "instance"],
)
def test_steps_lower_the_loss(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    one = task(config, turns=range(config.styles))
    monkeypatch.setattr(one, "log_dict", lambda terms: None)
    optimizer = one.configure_optimizers()["optimizer"]
    for group in optimizer.param_groups:
        group["lr"] = 0.01
    photos = torch.rand(3 if config.styles == 3 else 2, 3, 24, 24)
    losses = []
    for step in range(12):
        at(step, one)
        optimizer.zero_grad()
        loss = one.training_step(photos, step)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_a_margin_is_seen_and_cut_off() -> None:
    """As `Stylizer` paints; without one the borders are others."""
    net = TransformNet(MULTI).eval()
    photos, styles = torch.rand(2, 3, 20, 24), torch.eye(3)[:2]
    with torch.no_grad():
        found = paint(net, photos, styles, margin=6)
        whole = net(functional.pad(photos, (6, 6, 6, 6), mode="reflect"), styles)
        assert torch.equal(paint(net, photos, styles, margin=0), net(photos, styles))
    assert torch.equal(found, whole[..., 6:-6, 6:-6])


def test_a_step_paints_with_the_margin_of_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four pixels on each side reach far into pictures of 24, so the loss is another."""
    photos = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(4))
    losses = []
    for margin in (0, 4):
        one = at(0, task(margin=margin))
        monkeypatch.setattr(one, "log_dict", lambda terms: None)
        losses.append(one.training_step(photos, 0).item())
    assert losses[0] != losses[1]


def test_the_judge_sees_pictures_shifted() -> None:
    ramp = torch.arange(16.0)[:, None] * 100 + torch.arange(20.0)
    pictures = ramp.expand(2, 3, 16, 20)
    found = [shifted(pictures, margin=8, seed=[0, step]) for step in range(1000)]
    assert {each.shape for each in found} == {(2, 3, 24, 28)}
    places = set()
    for each in found:
        top, left = divmod(each[0, 0, 0, 0].item(), 100)  # the mirror of rows and columns 0
        places.add((top, left))
        whole = each[..., int(top) : int(top) + 16, int(left) : int(left) + 20]
        assert torch.equal(whole, pictures)
    assert places == {(top, left) for top in range(9) for left in range(9)}
    again = shifted(pictures, margin=8, seed=[0, 7])
    assert torch.equal(again, found[7])
    assert torch.equal(shifted(pictures, margin=0, seed=[3, 1]), pictures)


def test_vectors_learn_faster_and_rates_follow_the_schedule() -> None:
    rates = {}
    for schedule in ("cosine", "constant"):
        one = task(steps=40, warmup=100, schedule=schedule, vectors_faster=3.0)
        found = one.configure_optimizers()
        (curve, *_) = found["lr_scheduler"]["scheduler"].lr_lambdas  # type: ignore[index]
        rates[schedule] = [curve(step) for step in (0, 3, 4, 22, 40)]
        initial = [group["initial_lr"] for group in found["optimizer"].param_groups]
        assert initial == pytest.approx([0.01, 0.01, 0.03])
    assert rates["cosine"] == pytest.approx([0.25, 1, 1, 0.5, 0])
    assert rates["constant"] == [0.25, 1, 1, 1, 1]


def test_muon_has_a_rate_for_kernels() -> None:
    one = task(optimiser="muon", kernel_rate=0.5, vectors_faster=3.0)
    optimizer = one.configure_optimizers()["optimizer"]
    assert isinstance(optimizer, Muon)
    rates = {
        id(weight): group["initial_lr"]
        for group in optimizer.param_groups
        for weight in group["params"]
    }
    for name, weight in one.net.named_parameters():
        kind = "vector" if name.endswith((".scales", ".shifts")) else name.rpartition(".")[2]
        expected = {"vector": 0.03, "weight": 0.5, "bias": 0.01}[kind]
        assert rates[id(weight)] == pytest.approx(expected), name


@pytest.mark.parametrize("term", ["tone", "lattice"])
def test_what_is_trained_and_logged_and_no_part_of_the_objective(
    term: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = {"tone_weight": 0.0, "lattice_weight": 0.0}
    photos = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(4))
    found = []
    for weight in (0.0, 2.0):
        one = at(0, task(**{**none, f"{term}_weight": weight}))
        logged: dict[str, torch.Tensor] = {}
        monkeypatch.setattr(one, "log_dict", logged.update)
        found.append((one.training_step(photos, 0), logged))
    (without, plain), (trained, logged) = found
    assert without == plain["total"] == logged["total"]
    assert trained.item() == pytest.approx((logged["total"] + 2 * logged[term]).item())
    assert logged[term] > 0


def test_no_average() -> None:
    one = task(ema_decay=0.0)
    with torch.no_grad():
        for weight in one.net.parameters():
            weight.add_(1)
    at(5, one).on_train_batch_end()
    for kept, new in zip(one.averaged.parameters(), one.net.parameters(), strict=True):
        assert torch.equal(kept, new)
