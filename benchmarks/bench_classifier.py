"""Classifying pictures: our session against torchvision in PyTorch eager and bare OpenVINO.

The same network with the same weights in all of them, torchvision's, batch by batch in turn. Aims:
3 times as fast as eager float32 in the geometric mean and nowhere under 1.5 times; with ONNX
Runtime alone 1.5 times; 0.95 of the speed of OpenVINO called by hand; and of 1,000 pictures at
least 99 in 100 called the same as in float32. Without --weights these are random, which costs as
much time, but makes of that agreement a test of rounding only: their logits lie close together. It
is measured of trained weights as well: of the ResNet-20 that ships, on generated shapes, or on
CIFAR-10, which it is for, with --data DIR. Files of your own: --trained FILE... --data DIR.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

from sidebyside import THREADS, Spread, in_turn, machine, ratios, seconds, table, two_cores

MODELS = ("resnet50", "vgg16", "alexnet", "googlenet", "inception_v3", "resnet18")
BATCHES = (1, 16)
AUTO, ORT = "deepcanon, fastest", "deepcanon, onnxruntime"
EAGER, BY_HAND = "torchvision eager", "OpenVINO by hand"
TRAINED = "resnet20-cifar10"  # ships with the package
DRAWN = 96  # pixels; drawing a picture at a network's own side takes longer than most networks
REST = 0.05  # seconds: ONNX Runtime's threads spin for a while after a run
HAS_HEADS = ("googlenet", "inception_v3")  # torchvision warns that its own draw of these is slow

Pass = Callable[[Any], Any]  # float32 [b, 3, h, w] -> logits [b, classes]


@dataclass(frozen=True)
class Network:
    """One network in both worlds: our file, and torchvision's module."""

    name: str
    path: Path
    module: Any
    side: int

    def passes(self) -> dict[str, Pass]:
        """Everything that is to be timed."""
        return {
            AUTO: session(self.path, "auto"),
            ORT: session(self.path, "onnxruntime"),
            EAGER: eager(self.module),
            BY_HAND: by_hand(self.path),
        }


def main(words: Sequence[str] | None = None) -> int:
    """Print times, speed-ups pair by pair, and how often the classes agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--models", nargs="*", default=list(MODELS), metavar="NAME")
    parser.add_argument("--batches", type=int, nargs="+", default=list(BATCHES), metavar="N")
    parser.add_argument("--side", type=int, metavar="PIXELS", help="default: each network's own")
    parser.add_argument("--pictures", type=int, default=1000, help="to compare the classes of")
    parser.add_argument("--weights", choices=["imagenet"], help="torchvision's, downloaded")
    parser.add_argument(
        "--trained",
        nargs="*",
        default=[TRAINED],
        metavar="FILE",
        help=".onnx files, or a shipped network",
    )
    parser.add_argument("--data", default="standin", help="pictures for --trained")
    wanted = parser.parse_args(words)
    two_cores()
    import torch

    torch.set_num_threads(THREADS)
    print(machine("deepcanon", "onnxruntime", "openvino", "torch", "torchvision"))
    print(f"medians of {wanted.rounds} passes in turn (least-largest), ratios pair by pair\n")
    rows: list[list[object]] = []
    compared: list[list[object]] = []
    agreed: list[list[object]] = []
    medians: dict[str, list[float]] = {AUTO: [], ORT: []}
    of_hand: dict[str, list[float]] = {AUTO: [], ORT: []}
    with tempfile.TemporaryDirectory() as folder:
        for name in wanted.models:
            network = build(name, Path(folder), weights=wanted.weights, side=wanted.side)
            passes = network.passes()
            for batch in wanted.batches:
                found = timed(passes, network.side, batch=batch, rounds=wanted.rounds)
                rows += [
                    [name, batch, each, Spread.of(times).text(0.001, digits=1)]
                    for each, times in found.items()
                ]
                for ours in (AUTO, ORT):
                    faster = ratios(found[EAGER], found[ours])
                    hand = ratios(found[BY_HAND], found[ours])
                    compared.append([name, batch, ours, faster.text(), hand.text()])
                    medians[ours].append(faster.middle)
                    of_hand[ours].append(hand.middle)
            _progress(f"{name}: timed")
            agreed += agreements(network, passes, pictures=wanted.pictures)
            _progress(f"{name}: classes compared")
            network.path.unlink()
    for file in wanted.trained:
        agreed += agreement_of_a_file(file, wanted.data, pictures=wanted.pictures)
        _progress(f"{file}: classes compared")
    if rows:
        _print_times(rows, compared, medians=medians, of_hand=of_hand)
    weights = "torchvision's" if wanted.weights else "random"
    print("classes as float32 in the first place; weights are trained where pictures are named,")
    print(f"otherwise {weights}\n")
    print(table(["network", "ours", "pictures", "same class (aim ≥ 99 in 100)"], agreed))
    return 0


def _print_times(
    rows: list[list[object]],
    compared: list[list[object]],
    *,
    medians: dict[str, list[float]],
    of_hand: dict[str, list[float]],
) -> None:
    print(table(["network", "batch", "pass", "ms"], rows))
    print()
    head = ["network", "batch", "ours", "speed-up over eager", "speed / OpenVINO's (aim ≥ 0.95)"]
    print(table(head, compared))
    print()
    aims = {AUTO: "≥ 3, none under 1.5", ORT: "≥ 1.5"}
    means = [
        [ours, _mean(found), f"{min(found):.2f}", aims[ours], _mean(of_hand[ours])]
        for ours, found in medians.items()
    ]
    head = ["ours", "speed-up, geometric mean", "least", "aim", "speed / OpenVINO's, the same mean"]
    print(table(head, means))
    print()


def build(name: str, folder: Path, *, weights: str | None, side: int | None) -> Network:
    """torchvision's module and, with the same weights, our `.onnx` file."""
    import torch
    import torchvision

    from deepcanon import create_model
    from deepcanon.core.catalog import get_card
    from deepcanon.core.record import Record
    from deepcanon.engine.export import export, interface_of
    from deepcanon.nn.preprocessing import TORCHVISION

    torch.manual_seed(0)
    settings: dict[str, object] = {"init_weights": False} if name in HAS_HEADS else {}
    if weights is not None:
        settings = {"weights": "DEFAULT" if name not in MODELS else "IMAGENET1K_V1"}
    module = torchvision.models.get_model(name, **settings).eval()
    # With its published weights torchvision turns the statistics of pictures into others first.
    module.transform_input = False
    state = folder / f"{name}.pth"
    torch.save(module.state_dict(), state)
    net = create_model(name, variant="torchvision", weights=state).eval()
    state.unlink()
    channels, height, width = get_card(name).input_size
    size = (channels, side or height, side or width)
    interface = interface_of(net, input_size=size)
    record = Record(
        model=name,
        variant="torchvision",
        domain="classify",
        config={},
        labels=[],
        preprocessing={**TORCHVISION.to_dict(), "side": size[1], "resize": size[1]},
        licence="none",
        recipe={},
        data="none",
        date="none",
        hardware="none",
        scores={},
    )
    path = export(
        net,
        folder / f"{name}.onnx",
        example=interface.example,
        outputs=interface.outputs,
        dynamic=interface.dynamic,
        record=record,
        check=[],
    )
    return Network(name, path, module, size[1])


def session(path: Path, engine: str) -> Pass:
    """Ours, as a program of a user calls it."""
    from deepcanon import Classifier

    return Classifier(path, engine=engine, threads=THREADS).logits


def eager(module: Any) -> Pass:
    """torchvision as its manual has it."""
    import torch

    @torch.inference_mode()
    def forward(batch: Any) -> Any:
        return module(torch.from_numpy(batch)).numpy()

    return forward


def by_hand(path: Path) -> Pass:
    """OpenVINO as its manual has it."""
    import openvino

    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": THREADS}
    compiled = openvino.Core().compile_model(str(path), "CPU", settings)
    return lambda batch: compiled([batch])["output"]


def timed(passes: dict[str, Pass], side: int, *, batch: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each pass, round by round, on a batch of noise."""
    import numpy as np

    noise = np.random.default_rng(0).standard_normal((batch, 3, side, side), np.float32)
    calls = {name: seconds(partial(run, noise)) for name, run in passes.items()}
    return in_turn(calls, rounds=rounds, rest=REST)


def agreements(network: Network, passes: dict[str, Pass], *, pictures: int) -> list[list[object]]:
    """How often both of ours call a picture what eager float32 does."""
    import numpy as np

    from deepcanon.classify.crops import prepare
    from deepcanon.core.images import resize
    from deepcanon.core.record import read_record

    how = read_record(network.path).preprocessing
    same = {AUTO: 0, ORT: 0}
    for first in range(0, pictures, 16):
        seeds = range(first, min(first + 16, pictures))
        shown = [resize(_photo(seed), size=(network.side,) * 2) for seed in seeds]
        batch = prepare(np.stack(shown), how=how)
        right = passes[EAGER](batch).argmax(1)
        for ours in same:
            same[ours] += int((passes[ours](batch).argmax(1) == right).sum())
    return [[network.name, ours, pictures, _share(count, pictures)] for ours, count in same.items()]


@cache
def _photo(seed: int) -> Any:
    from deepcanon.core.standin import photo

    return photo(seed, DRAWN)


def agreement_of_a_file(model: str, data: str, *, pictures: int) -> list[list[object]]:
    """The same of trained weights: the fastest engine against torch in float32."""
    import numpy as np

    from deepcanon import Classifier
    from deepcanon.classify.data.sources import open_source

    source = open_source(data)
    shown = source.val if len(source.val) else source.train
    # Spread over the set: folders come class by class.
    places = np.linspace(0, len(shown), min(pictures, len(shown)), endpoint=False, dtype=int)
    count = len(places)
    plain = Classifier(model, engine="torch", threads=THREADS)
    rows: list[list[object]] = []
    for ours, engine in ((AUTO, "auto"), (ORT, "onnxruntime")):
        fast, same = Classifier(model, engine=engine, threads=THREADS), 0
        for first in range(0, count, 16):
            batch = [shown[int(place)] for place in places[first : first + 16]]
            same += int((fast.scores(batch).argmax(1) == plain.scores(batch).argmax(1)).sum())
        rows.append([f"{Path(model).name} on {source.name}", ours, count, _share(same, count)])
    return rows


def _progress(done: str) -> None:
    print(done, file=sys.stderr, flush=True)


def _mean(found: Sequence[float]) -> str:
    return f"{statistics.geometric_mean(found):.2f}"


def _share(count: int, of: int) -> str:
    return f"{100 * count / of:.1f}" if of else "none compared"


if __name__ == "__main__":
    sys.exit(main())
