"""Each finding: who is trained, how large they are, and what follows of hand-made curves."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from itertools import pairwise

import pytest

from deepcanon.classify import vgg
from deepcanon.nn.layer_table import layer_table
from deepcanon.reproduce import (
    REPRODUCTIONS,
    degradation,
    dropout,
    load,
    relu_vs_tanh,
    residual_convergence,
    vgg_depth,
    vgg_lrn,
    vgg_small_kernels,
)
from deepcanon.reproduce import batch_norm as bn
from deepcanon.reproduce.contest import Counts, Finding
from deepcanon.reproduce.curves import Claim, Curve, End
from tests.tiny_contest import curve

COUNTS = Counts(late=10_000, held_out=10_000)
FINDINGS: dict[str, Finding] = {
    name: import_module(f"deepcanon.reproduce.{entry.module}").FINDING
    for name, entry in REPRODUCTIONS.items()
    if entry.row.startswith("C") and name != "bottleneck"
}


def held(claims: list[Claim]) -> list[bool]:
    return [claim.holds for claim in claims]


@pytest.mark.row("C7", "C9", "C10", "C15", "C16")
@pytest.mark.parametrize("name", FINDINGS)
def test_each_finding_is_what_the_list_says(name: str) -> None:
    finding = FINDINGS[name]
    assert finding.name == name
    assert load(name).__self__ is finding  # type: ignore[attr-defined]
    assert f"{finding.steps:,} steps" in REPRODUCTIONS[name].cost
    few = finding.count < 50_000
    assert (f"{finding.count:,} pictures" in REPRODUCTIONS[name].cost) is few
    names = [each.name for each in finding.contestants]
    assert len(set(names)) == len(names) > 1
    assert set(finding.dashed) < set(names)
    assert all(text.isascii() for text in names)  # the chart's font has no more
    assert len({each.recipe.batch for each in finding.contestants}) == 1
    assert len({each.recipe.augmentation for each in finding.contestants}) == 1


def sizes(finding: Finding) -> dict[str, tuple[int, int]]:
    """Parameters and multiply-adds of each contestant, for ten classes."""
    found = {}
    for each in finding.contestants:
        table = layer_table(each.build(10), input_size=(3, 32, 32))
        assert table.layers[-1].output == (10,)
        found[each.name] = (table.parameters, table.multiply_adds)
    return found


@pytest.mark.row("C16")
def test_a_residual_network_is_as_large_as_its_plain_twin() -> None:
    found = sizes(degradation.FINDING)
    assert found["plain20"] == found["resnet20"]
    assert found["plain56"] == found["resnet56"]
    assert found["resnet20"][0] == 269_722  # "0.27M" in Table 6
    assert found["resnet56"][1] / found["resnet20"][1] == pytest.approx(3.1, abs=0.05)


@pytest.mark.row("C10")
def test_the_columns_of_vgg() -> None:
    found = sizes(vgg_depth.FINDING)
    assert [found[name][1] for name in "ABD"] == sorted(each[1] for each in found.values())
    lrn = sizes(vgg_lrn.FINDING)
    assert lrn["A"] == lrn["A-LRN"] == found["A"]
    twin = sizes(vgg_small_kernels.FINDING)
    assert twin["B"] == found["B"]
    # In each pair: 9 in out + 9 out out weights, and two biases a channel; 25 in out in the twin.
    widths = (3, 16, 32, 64, 128, 128)
    difference = sum(
        9 * into * out + 9 * out * out + out - 25 * into * out for into, out in pairwise(widths)
    )
    assert twin["B"][0] - twin["5x5"][0] == difference
    assert [len(stage) for stage in vgg_small_kernels.TWIN.stages] == [1] * 5
    assert [len(stage) for stage in vgg.B.stages] == [2] * 5


@pytest.mark.row("C15")
def test_batch_norm_adds_two_numbers_a_channel_and_takes_the_bias() -> None:
    found = sizes(bn.FINDING)
    assert found["BN"][0] - found["none"][0] == 3 * sum(bn.WIDTHS)
    assert {found[name] for name in ("BN x5", "BN x30", "BN x5 sigmoid")} == {found["BN"]}
    rates = {each.name: each.recipe.learning_rate for each in bn.FINDING.contestants}
    assert rates["BN x30"] == pytest.approx(30 * rates["none"])
    assert rates["BN x5 sigmoid"] == rates["sigmoid x5"] == rates["none x5"] == rates["BN x5"]


@pytest.mark.row("C7", "C9")
def test_the_small_networks_differ_in_one_thing() -> None:
    assert len(set(sizes(relu_vs_tanh.FINDING).values())) == 1
    found = sizes(dropout.FINDING)
    assert found["none"] == found["dropout"]


LOST = curve([], end=End.DIVERGED, train_error=None, held_out_error=None)


@pytest.mark.row("C7", "C9", "C10", "C15", "C16")
@pytest.mark.parametrize("name", FINDINGS)
def test_one_that_diverged_before_its_first_point_is_judged(name: str) -> None:
    """Whichever it is, and all of them: nothing is concluded by luck."""
    finding = FINDINGS[name]
    good = curve([0.5, 0.2], [0.5, 0.2])
    names = [each.name for each in finding.contestants]
    for each in names:
        claims = finding.judge({other: good for other in names} | {each: LOST}, COUNTS)
        if not each.startswith(MAY_DIVERGE):
            assert not all(held(claims)), each
    claims = finding.judge(dict.fromkeys(names, LOST), COUNTS)
    assert not any(held(claims))
    assert any("diverged" in claim.seen or claim.seen == "not in these steps" for claim in claims)


MAY_DIVERGE = ("relu ", "tanh ", "none x5", "sigmoid x5")  # one rate of several; without norms


@pytest.mark.row("C16")
def test_degradation() -> None:
    def at(*errors: float) -> dict[str, Curve]:
        names = ("plain20", "plain56", "resnet20", "resnet56")
        return {name: curve([error]) for name, error in zip(names, errors, strict=True)}

    assert held(degradation.judge(at(0.3, 0.4, 0.25, 0.2), COUNTS)) == [True] * 3
    assert held(degradation.judge(at(0.4, 0.3, 0.25, 0.3), COUNTS)) == [False, False, False]
    # As close as this may be chance: two standard errors are 1.3 % here.
    near = degradation.judge(at(0.3, 0.31, 0.3, 0.305), COUNTS)
    assert held(near) == [False, False, True]
    assert near[0].seen == "31.0 % against 30.0 %"


@pytest.mark.row("C16")
def test_residual_convergence() -> None:
    plain = curve([0.8, 0.7, 0.6, 0.5], held_out_error=0.5)
    fast = curve([0.7, 0.6, 0.5, 0.4], held_out_error=0.5)
    judge = residual_convergence.judge
    claims = judge({"plain20": plain, "resnet20": fast}, COUNTS)
    # The plain one's 0.8 of step 10 is reached at the first point, step 10: not sooner.
    assert held(claims) == [False, True, True, True]
    assert claims[1].seen == "70.0 %: 0.50 of the steps"
    slow = curve([0.9, 0.8, 0.75, 0.7], held_out_error=0.6)
    claims = judge({"plain20": plain, "resnet20": slow}, COUNTS)
    assert held(claims) == [False] * 4
    assert claims[2].seen == "60.0 %: never"


@pytest.mark.row("C10")
def test_the_vgg_findings() -> None:
    def pair(first: str, second: str, *errors: float, **more: float) -> Mapping[str, Curve]:
        one, two = errors
        slower = more.get("slower", 1.0)
        return {
            first: curve([0.5], held_out_error=one),
            second: curve([0.5], held_out_error=two, seconds=slower),
        }

    assert held(vgg_lrn.judge(pair("A", "A-LRN", 0.3, 0.301, slower=2), COUNTS)) == [True, True]
    assert held(vgg_lrn.judge(pair("A", "A-LRN", 0.3, 0.2, slower=0.5), COUNTS)) == [False, False]
    assert held(vgg_small_kernels.judge(pair("B", "5x5", 0.3, 0.35), COUNTS)) == [True]
    assert held(vgg_small_kernels.judge(pair("B", "5x5", 0.3, 0.305), COUNTS)) == [False]
    three = {
        name: curve([0.5], held_out_error=error)
        for name, error in (("A", 0.32), ("B", 0.30), ("D", 0.295))
    }
    assert held(vgg_depth.judge(three, COUNTS)) == [True, False, True]


@pytest.mark.row("C15")
def test_batch_norm() -> None:
    good = {
        "none": curve([0.5], [0.8, 0.7, 0.6, 0.5, 0.51, 0.52], held_out_error=0.52),
        "none x5": curve([], end=End.DIVERGED, train_error=None, held_out_error=None),
        "BN": curve([0.5], [0.6, 0.4], held_out_error=0.4),
        "BN x5": curve([0.5], [0.5, 0.4], held_out_error=0.4),
        "BN x30": curve([0.5], [0.7, 0.6, 0.3], held_out_error=0.3),
        "BN x5 sigmoid": curve([0.5], [0.8], held_out_error=0.6),
        "sigmoid x5": curve([0.5], [0.9], held_out_error=0.9),
    }
    claims = bn.judge(good, COUNTS)
    # The lowest error is that of step 40, and half of it is 20: not under half.
    assert held(claims) == [False, True, True, True, True]
    assert "(50.0 %)" in claims[0].text
    assert claims[0].seen == "20 steps, without 40"
    never = curve([0.5], [0.9], held_out_error=0.9)
    bad = good | {"BN": curve([0.5], [0.5]), "BN x5": never, "BN x30": never, "none x5": good["BN"]}
    bad["sigmoid x5"] = good["BN x5 sigmoid"]
    assert held(bn.judge(bad, COUNTS)) == [True, False, False, False, False]
    # A difference that may be chance is none, and what diverged itself is no measure.
    close = good | {"none x5": curve([0.5], [0.5], held_out_error=0.525)}
    assert held(bn.judge(close, COUNTS))[3] is False
    assert held(bn.judge(good | {"BN x5 sigmoid": LOST, "sigmoid x5": LOST}, COUNTS))[4] is False


@pytest.mark.row("C7")
def test_relu_vs_tanh() -> None:
    def at(**errors: list[float]) -> dict[str, Curve]:
        found = {
            f"{kind} {rate:g}": curve([0.9, 0.8, 0.7])
            for kind in ("relu", "tanh")
            for rate in relu_vs_tanh.RATES
        }
        for key, each in errors.items():
            kind, place = key.split("_")
            found[f"{kind} {relu_vs_tanh.RATES[int(place)]:g}"] = curve(each)
        return found

    both = at(relu_1=[0.2], relu_2=[0.5, 0.2], tanh_0=[0.9, 0.5, 0.3, 0.25])
    claims = relu_vs_tanh.judge(both, COUNTS)
    assert held(claims) == [True, True]
    assert claims[0].seen == "relu 0.01: 10 steps; tanh 0.003: 40"
    assert claims[1].seen == "4.0 times"
    close = relu_vs_tanh.judge(at(relu_1=[0.5, 0.2], tanh_0=[0.9, 0.5, 0.2]), COUNTS)
    assert held(close) == [True, False]
    never = relu_vs_tanh.judge(at(relu_1=[0.2]), COUNTS)
    assert held(never) == [True, True]
    assert never[1].seen == "more than 3.0 times"
    assert held(relu_vs_tanh.judge(at(tanh_1=[0.2]), COUNTS)) == [False]
    lost = at(relu_1=[0.2]) | {f"tanh {rate:g}": LOST for rate in relu_vs_tanh.RATES[1:]}
    assert relu_vs_tanh.judge(lost, COUNTS)[1].seen == "more than 3.0 times"
    lost[f"tanh {relu_vs_tanh.RATES[0]:g}"] = LOST
    assert held(relu_vs_tanh.judge(lost, COUNTS)) == [False]


@pytest.mark.row("C9")
def test_dropout() -> None:
    without = curve([0.5, 0.25, 0.0], train_error=0.0, held_out_error=0.4)
    good = curve([0.6, 0.5, 0.4, 0.25], train_error=0.1, held_out_error=0.3)
    claims = dropout.judge({"none": without, "dropout": good}, COUNTS)
    assert held(claims) == [True, True, True]
    assert claims[2].seen == "40 steps against 20: 2.0 times"
    never = curve([0.6], train_error=0.3, held_out_error=0.41)
    assert held(dropout.judge({"none": without, "dropout": never}, COUNTS)) == [True, False, True]
    near = curve([0.6, 0.25], train_error=0.005, held_out_error=0.4)
    assert held(dropout.judge({"none": without, "dropout": near}, COUNTS))[0] is False
    slow = dropout.judge({"none": never, "dropout": good}, COUNTS)
    assert held(slow) == [False, True, False]
    assert "not reached either" in slow[2].seen
