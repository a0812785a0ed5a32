"""Contestants on two dozen pictures: same batches, kept when done, judged when all are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from deepcanon.classify.augment import Augmentation
from deepcanon.classify.recipes import ClassifierRecipe
from deepcanon.classify.samples import Samples
from deepcanon.core.errors import BadInput
from deepcanon.core.images import load
from deepcanon.reproduce import degradation
from deepcanon.reproduce.contest import Contestant, Counts, Finding, _judged
from deepcanon.reproduce.curves import Claim, Curve
from deepcanon.reproduce.page import markdown
from deepcanon.reproduce.pictures import even, open_shared
from deepcanon.training import provenance
from tests.tiny_contest import curve, two_classes

pytestmark = pytest.mark.row("C15", "C16")

STEPS = 6
RECIPE = ClassifierRecipe(
    batch=4, learning_rate=0.05, schedule="constant", augmentation="cifar", precision="float32"
)


class Watched(nn.Module):
    """One linear layer on mean colours, that notes what it is shown."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.fc = nn.Linear(3, classes)
        self.shown: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training:
            self.shown.append(x.detach().clone())
        scores: torch.Tensor = self.fc(x.mean(dim=(2, 3)))
        return scores


class Broken(Watched):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) * (float("nan") if len(self.shown) > 2 else 1.0)


def judge(curves: Mapping[str, Curve], counts: Counts) -> list[Claim]:
    return [Claim("they learn", all(each.judged < 0.5 for each in curves.values()), str(counts))]


@pytest.fixture
def built() -> dict[str, nn.Module]:
    return {}


def trained(built: dict[str, nn.Module]) -> list[str]:
    return [name for name, net in built.items() if net.shown]


@pytest.fixture
def finding(built: dict[str, nn.Module]) -> Finding:
    def contestant(name: str, kind: type[Watched], rate: float) -> Contestant:
        def build(classes: int) -> nn.Module:
            assert classes == 2
            built[name] = kind(classes)
            return built[name]

        return Contestant(name=name, build=build, recipe=replace(RECIPE, learning_rate=rate))

    return Finding(
        name="tiny",
        title="A tiny contest",
        reproduces="nobody, §0",
        found="nothing.",
        differs="everything.",
        contestants=(contestant("fast", Watched, 0.5), contestant("slow", Watched, 0.05)),
        judge=judge,
        steps=STEPS,
        count=20,
        measurements=3,
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return two_classes(tmp_path / "pair.npz")


def test_a_whole_run(
    tmp_path: Path, data: Path, finding: Finding, built: dict[str, nn.Module]
) -> None:
    told: list[tuple[int, int, str]] = []
    before = torch.get_num_threads()
    done = finding.run(
        tmp_path / "out", data=data, threads=1, on_progress=lambda *step: told.append(step)
    )
    assert torch.get_num_threads() == before
    page, table, picture = done.files
    assert json.loads(table.read_text(encoding="utf-8")) == done.table
    assert page.read_text(encoding="utf-8") == markdown(done.table)
    assert load(picture).pixels.shape == (420, 1120, 3)
    assert [step for step, _, _ in told] == list(range(1, 2 * STEPS + 1))
    assert {total for _, total, _ in told} == {2 * STEPS}
    assert told[-1][2].startswith("slow: ")
    assert done.table["settings"] == {
        "data": "pair",
        "classes": 2,
        "pictures": 20,
        "held_out": 12,
        "steps": STEPS,
        "seed": 0,
        "precision": done.table["settings"]["precision"],
        "threads": 1,
    }
    assert done.table["verdict"] == "reproduced"
    assert done.table["claims"][0]["seen"] == "Counts(late=4, held_out=12)"
    # The same pictures, in the same order, with the same crops.
    fast, slow = (built[name].shown for name in ("fast", "slow"))
    assert len(fast) == STEPS
    assert all(torch.equal(a, b) for a, b in zip(fast, slow, strict=True))
    # The same start: the rate alone makes them differ.
    curve = Curve.from_dict(done.table["contestants"]["fast"])
    assert [point.step for point in curve.running] == list(range(1, STEPS + 1))
    assert [point.step for point in curve.held_out] == [2, 4, 6]
    assert curve.parameters == 8
    assert curve.held_out_error == 0.0
    assert curve.train_error == 0.0
    seconds = [point.seconds for point in curve.running]
    assert seconds == sorted(seconds)
    assert seconds[0] > 0
    assert done.table["contestants"]["slow"]["recipe"]["learning_rate"] == 0.05


def test_a_stopped_run_goes_on_with_the_next(
    tmp_path: Path,
    data: Path,
    finding: Finding,
    built: dict[str, nn.Module],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"
    first = finding.run(out, data=data, minutes=0)
    assert list(first.table["contestants"]) == ["fast"]
    assert first.table["verdict"] == "not judged: 1 of 2 contestants have run"
    assert first.table["claims"] == []
    assert load(first.files[2]).pixels.any()

    def stop(step: int, total: int, detail: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="goes on with the next"):
        finding.run(out, data=data, on_progress=stop)
    assert json.loads(first.files[1].read_text(encoding="utf-8")) == first.table
    built.clear()
    monkeypatch.setattr(provenance, "today", lambda: "2031-01-01")
    second = finding.run(out, data=data)
    fast, slow = (second.table["contestants"][name] for name in ("fast", "slow"))
    assert fast["date"] < slow["date"] == "2031-01-01"
    assert f"{fast['date']}, {fast['machine']}; 2031-01-01, " in second.files[0].read_text()
    assert trained(built) == ["slow"]
    assert second.table["contestants"]["fast"] == first.table["contestants"]["fast"]
    assert second.table["verdict"] == "reproduced"
    # A contestant that is trained another way than it was is not taken from there.
    other = replace(finding.contestants[0], recipe=replace(RECIPE, learning_rate=0.3))
    built.clear()
    replace(finding, contestants=(other, finding.contestants[1])).run(out, data=data)
    assert trained(built) == ["fast"]


def test_a_kept_contestant_began_with_the_same_network(
    tmp_path: Path, data: Path, finding: Finding, built: dict[str, nn.Module]
) -> None:
    finding.run(tmp_path, data=data)
    slow = finding.contestants[1]

    def otherwise(classes: int) -> nn.Module:
        net = slow.build(classes)
        nn.init.ones_(net.fc.weight)  # type: ignore[arg-type]
        return net

    built.clear()
    again = replace(finding, contestants=(finding.contestants[0], replace(slow, build=otherwise)))
    again.run(tmp_path, data=data)
    assert trained(built) == ["slow"]


class Silent(Watched):
    """Learns nothing."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 0 * super().forward(x)


def test_nothing_is_concluded_where_nothing_was_learnt(
    tmp_path: Path, data: Path, finding: Finding
) -> None:
    both = tuple(Contestant(name=name, build=Silent, recipe=RECIPE) for name in "ab")
    done = replace(finding, contestants=both).run(tmp_path, data=data, steps=1)
    assert done.table["claims"] == []
    assert done.table["verdict"] == "not judged: guessing is as good, which is wrong in 50.0 %"


def test_the_running_error_is_that_of_each_step(
    tmp_path: Path, data: Path, finding: Finding
) -> None:
    """A network that always says 0 errs where the label is 1."""
    both = tuple(Contestant(name=name, build=Silent, recipe=RECIPE) for name in "ab")
    done = replace(finding, contestants=both).run(tmp_path, data=data, steps=5, minutes=0)
    shared = open_shared(data, count=finding.count, seed=0)
    samples = Samples(
        shared.train,
        side=32,
        seed=0,
        augmentation=Augmentation.NONE,
        preprocessing=shared.preprocessing,
    )
    labels = [[samples[4 * step + place][1] for place in range(4)] for step in range(5)]
    running = Curve.from_dict(done.table["contestants"]["a"]).running
    assert [point.error for point in running] == [sum(each) / 4 for each in labels]
    assert len({point.error for point in running}) > 1


def test_other_settings_are_refused(tmp_path: Path, data: Path, finding: Finding) -> None:
    out = tmp_path / "out"
    finding.run(out, data=data, minutes=0)
    with pytest.raises(BadInput, match="measured with steps 6, and now it is 7"):
        finding.run(out, data=data, steps=7)
    with pytest.raises(BadInput, match="measured with pictures 20, and now it is 10"):
        finding.run(out, data=data, count=10)
    for text in ("", "[]", '{"settings": {}, "contestants": {"fast": 3}}'):
        (out / "tiny.json").write_text(text)
        with pytest.raises(BadInput, match="not a table of this reproduction") as raised:
            finding.run(out, data=data)
        assert "-o" in raised.value.hint
    for wrong in ({"steps": 0}, {"count": 0}):
        with pytest.raises(BadInput, match="is 0"):
            finding.run(out, data=data, **wrong)  # type: ignore[arg-type]


def test_a_goal_ends_a_contestant(tmp_path: Path, data: Path, finding: Finding) -> None:
    done = replace(finding, goal=0.6).run(tmp_path / "out", data=data, steps=40)
    for each in done.table["contestants"].values():
        curve = Curve.from_dict(each)
        assert curve.end.value == "reached the goal"
        assert curve.running[-1].error <= 0.6 < min([1.0, *(p.error for p in curve.running[:-1])])
        assert curve.running[-1].step == curve.held_out[-1].step < 40
        assert curve.held_out_error is not None


def test_one_that_diverges_is_a_result(tmp_path: Path, data: Path, finding: Finding) -> None:
    bad = Contestant(name="bad", build=Broken, recipe=RECIPE)
    done = replace(finding, contestants=(bad, finding.contestants[0])).run(
        tmp_path / "out", data=data
    )
    curve = Curve.from_dict(done.table["contestants"]["bad"])
    assert (curve.end.value, curve.train_error, curve.held_out_error) == ("diverged", None, None)
    assert [point.step for point in curve.running] == [1, 2]
    assert done.table["verdict"].startswith("not reproduced at this scale: they learn")
    assert "| none: diverged |" in done.files[0].read_text(encoding="utf-8")


def test_what_was_trained_is_kept_when_judging_fails(
    tmp_path: Path, data: Path, finding: Finding, built: dict[str, nn.Module]
) -> None:
    def fail(curves: Mapping[str, Curve], counts: Counts) -> list[Claim]:
        raise IndexError

    with pytest.raises(IndexError):
        replace(finding, judge=fail).run(tmp_path, data=data)
    built.clear()
    assert finding.run(tmp_path, data=data).table["verdict"] == "reproduced"
    assert not trained(built)


def test_no_paper_is_about_stand_in_pictures() -> None:
    settings = {"data": "standin", "classes": 10, "held_out": 200}
    finding = degradation.FINDING
    curves = {each.name: curve([0.5]) for each in finding.contestants}
    assert _judged(finding, curves, settings) == ([], "not judged: stand-in pictures")


def test_a_source_without_held_out_pictures_lends_some(tmp_path: Path) -> None:
    from tests.tiny_pictures import class_folders

    folder = class_folders(tmp_path / "pets", {"cat": 10, "dog": 20})
    shared = open_shared(folder, count=100, seed=0)
    assert (shared.name, shared.classes) == ("pets", 2)
    assert (len(shared.train), len(shared.judged)) == (27, 3)
    assert len(shared.seen) == 27
    names = [shared.train.name(place) for place in range(27)]
    assert not set(names) & {shared.judged.name(place) for place in range(3)}
    assert shared.how["side"] == shared.how["resize"] == 32


def test_the_same_share_of_each_class() -> None:
    labels = np.array([0] * 50 + [1] * 5 + [2] * 50)
    places = even(labels, count=24, seed=3)
    assert len(set(places.tolist())) == 24
    assert np.bincount(labels[places]).tolist() == [10, 5, 9] or np.bincount(
        labels[places]
    ).tolist() == [9, 5, 10]
    assert np.bincount(labels[even(labels, count=1000, seed=3)]).tolist() == [50, 5, 50]
    assert even(labels, count=24, seed=3).tolist() == places.tolist()
    assert even(labels, count=24, seed=4).tolist() != places.tolist()


def test_settings_reach_the_recipes(tmp_path: Path, data: Path, finding: Finding) -> None:
    done: dict[str, Any] = finding.run(tmp_path, data=data, seed=5, steps=2).table
    recipes = [each["recipe"] for each in done["contestants"].values()]
    assert {(each["seed"], each["steps"]) for each in recipes} == {(5, 2)}
