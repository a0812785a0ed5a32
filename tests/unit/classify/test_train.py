"""Training classifiers on a handful of pictures: what comes out, what is refused, exact resume."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from deepcanon.classify import train as training
from deepcanon.classify.data.pictures import ArrayPictures, FilePictures, Kept, Pictures, Source
from deepcanon.classify.recipes import ClassifierRecipe
from deepcanon.classify.samples import Samples
from deepcanon.classify.weights.resnet import IMAGENET
from deepcanon.core.catalog import create_model
from deepcanon.core.errors import BadInput, Failed
from deepcanon.core.images import save
from deepcanon.core.record import read_record
from deepcanon.engine.export import read_weights
from deepcanon.nn.weights import read, write
from deepcanon.training import provenance
from deepcanon.training.recipe import Chosen, start
from tests.tiny_pictures import class_folders
from tests.tiny_record import CLASSIFIER
from tests.tiny_training import assert_same_state

pytestmark = pytest.mark.row("C18")

CLASSES = ("red", "green", "blue")
RECIPE = ClassifierRecipe(
    data="colours",
    model="resnet20",
    network={"depth": 8, "width": 2},
    side=8,
    batch=3,
    steps=4,
    precision="float32",
    measure_every=2,
)


def colours(count: int, *, seed: int, first: int = 0) -> ArrayPictures:
    """Noise with one channel raised: 8x8, the class the channel's place."""
    random = np.random.default_rng(seed)
    labels = np.arange(first, first + count, dtype=np.int64) % 3
    pixels: NDArray[np.uint8] = random.integers(0, 100, (count, 8, 8, 3), dtype=np.uint8)
    for picture, label in zip(pixels, labels, strict=True):
        picture[..., label] += 120
    return ArrayPictures(pixels, labels, of="test")


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> Source:
    """What "colours" names."""
    found = Source(
        name="colours", classes=CLASSES, train=colours(9, seed=0), val=colours(6, seed=1)
    )
    monkeypatch.setattr(training, "open_source", lambda data: found)
    return found


@pytest.fixture(autouse=True)
def _no_export(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Exporting takes longer than all steps; one test has it."""
    if "exported" not in request.node.name:
        to_weights = lambda net, path, **_: path.with_suffix(".safetensors")  # noqa: E731
        monkeypatch.setattr(training, "export", to_weights)


def run(folder: Path, recipe: ClassifierRecipe = RECIPE, **how: bool) -> Path | None:
    return training.train(recipe, folder=folder, resume=how.get("resume", False), quiet=True)


def test_what_is_exported_carries_its_record(source: Source, tmp_path: Path) -> None:
    path = run(tmp_path)
    assert path == tmp_path / "resnet20.onnx"
    record = read_record(path)
    assert (record.model, record.variant, record.domain) == ("resnet20", "paper", "classify")
    assert record.labels == list(CLASSES)
    assert record.config == {"depth": 8, "width": 2, "num_classes": 3}
    assert record.preprocessing["side"] == record.preprocessing["resize"] == 8
    assert record.preprocessing["order"] == "RGB"
    assert record.data == "colours: 9 pictures of 3 classes, 6 kept out"
    assert set(record.scores) == {"top1"}  # of three classes the right one is among five
    assert read_record(tmp_path / "resnet20.safetensors") == record
    theirs, ours = read_weights(path), read(tmp_path / "resnet20.safetensors").tensors
    torch.testing.assert_close(theirs["fc.weight"], ours["fc.weight"], rtol=0, atol=0)
    # A network of it goes on from there, and knows how its pictures are prepared.
    more = run(tmp_path / "more", replace(RECIPE, start=str(path), learning_rate=0.0, steps=1))
    assert more is not None
    again = read_weights(more)
    torch.testing.assert_close(again["fc.weight"], ours["fc.weight"], rtol=0, atol=0)
    assert read_record(more).preprocessing == record.preprocessing
    assert set(read_record(more).recipe["sha256"]) == {"training pictures", "kept out", "start.1"}
    assert read_record(more).recipe["start"] == "resnet20.onnx"


def pressing_at(place: int) -> Callable[[Samples, int], Any]:
    """Press Ctrl-C when a sample is fetched."""
    fetch = Samples.__getitem__

    def press(self: Samples, index: int) -> Any:
        if index == place and signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
            os.kill(os.getpid(), signal.SIGINT)
        return fetch(self, index)

    return press


# Everything with a state: plateau and average, draws of mixup and dropout, momentum.
STATEFUL = replace(
    RECIPE,
    model="alexnet",
    network={"hidden": 4},
    side=63,
    ema_decay=0.5,
    mixup=0.4,
    schedule="plateau",
    patience=1,
    measure_every=1,
    label_smoothing=0.1,
    clip=1.0,
)


def test_interrupted_and_resumed_is_never_interrupted(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(tmp_path / "whole", STATEFUL)
    with monkeypatch.context() as patch:
        patch.setattr(Samples, "__getitem__", pressing_at(8))
        assert run(tmp_path / "parts", STATEFUL) is None
    parts = run(tmp_path / "parts", STATEFUL, resume=True)
    assert_same_state(tmp_path / "parts/last.ckpt", tmp_path / "whole/last.ckpt")
    assert whole is not None and parts is not None
    assert whole.read_bytes() == parts.read_bytes()
    state = torch.load(tmp_path / "whole/last.ckpt", weights_only=True)
    assert state["lr_schedulers"][0]["lr_lambdas"][0]["factor"] < 1  # the plateau was one


def test_the_average_is_what_ships(source: Source, tmp_path: Path) -> None:
    made = run(tmp_path, replace(RECIPE, ema_decay=0.9, learning_rate=0.5))
    assert made is not None
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    shipped = read(made).tensors["fc.weight"]
    assert torch.equal(shipped, state["averaged.fc.weight"])
    assert not torch.equal(shipped, state["net.fc.weight"])


def test_the_average_is_the_one_of_its_formula(source: Source, tmp_path: Path) -> None:
    """After the first step d = 2 / 11, so that the average is 2/11 of the start and 9/11 new."""
    made = run(tmp_path, replace(RECIPE, steps=1, ema_decay=0.9))
    assert made is not None
    torch.manual_seed(0)
    state = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    start = training.prepare(RECIPE, quiet=True).task.net.state_dict()["fc.weight"]
    expected = 2 / 11 * start + 9 / 11 * state["net.fc.weight"]
    torch.testing.assert_close(state["averaged.fc.weight"], expected)


def test_the_channels_are_brought_to_mean_zero_and_deviation_one() -> None:
    pixels = np.zeros((2, 1, 2, 3), np.uint8)
    pixels[0, 0, :, 0] = 0, 255
    pixels[1, 0, :, 0] = 255, 255
    pixels[..., 1] = 51
    found = training.measured(ArrayPictures(pixels, np.zeros(2, np.int64), of="test"))
    assert found.mean == (0.75, 0.2, 0.0)
    assert found.std == (pytest.approx(0.75**0.5 / 2, abs=1e-4), 1.0, 1.0)  # plain: left as it is


def test_pictures_are_held_out_where_none_are_set_aside(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = colours(12, seed=0)
    found = Source(name="colours", classes=CLASSES, train=whole, val=colours(0, seed=0))
    monkeypatch.setattr(training, "open_source", lambda data: found)
    prepared = training.prepare(replace(RECIPE, hold_out=4), quiet=True)
    assert sorted(prepared.source.val.labels.tolist()) == [0, 1, 2]
    names = [
        pictures.name(place)
        for pictures in (prepared.source.train, prepared.source.val)
        for place in range(len(pictures))
    ]
    assert sorted(names) == sorted(whole.name(place) for place in range(12))
    made = run(tmp_path, replace(RECIPE, hold_out=0))
    assert made is not None and read_record(made).scores == {}
    assert read_record(made).data.endswith("12 pictures of 3 classes, 0 kept out")


def test_damaged_pictures_are_named_and_left_out_before_the_first_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class_folders(tmp_path, {"train/a": 2, "train/b": 2, "val/a": 2})
    bad = tmp_path / "train" / "b" / "1.png"
    bad.write_bytes(b"")
    prepared = training.prepare(replace(RECIPE, data=str(tmp_path)), quiet=False)
    assert (len(prepared.source.train), len(prepared.source.val)) == (3, 2)
    assert capsys.readouterr().err.splitlines() == [
        f"skipped: {bad}: is empty (0 bytes)",
        "1 skipped, 5 left",
    ]


def test_a_folder_that_would_take_minutes_is_not_looked_through(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class_folders(tmp_path, {"a": 2, "b": 2})
    (tmp_path / "a" / "1.png").write_bytes(b"")
    monkeypatch.setattr(training, "_READ_FIRST", 10)
    recipe = replace(RECIPE, data=str(tmp_path), hold_out=0, preprocessing="torchvision")
    prepared = training.prepare(recipe, quiet=False)
    assert len(prepared.source.train) == 4
    assert capsys.readouterr().err.startswith("note: not looking through 4 pictures for damaged")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"hold_out": 0}, "waits for the error on pictures kept out, and none are"),
        ({"patience": 3}, "waits for 3 measurements, 2 steps apart, and there are 4 steps"),
    ],
)
def test_a_plateau_that_could_never_be_seen(
    changes: dict[str, Any], says: str, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = replace(source, val=colours(0, seed=1))
    monkeypatch.setattr(training, "open_source", lambda data: found)
    with pytest.raises(BadInput, match=says) as refused:
        training.prepare(replace(RECIPE, schedule="plateau", **changes), quiet=True)
    assert "schedule=cosine" in refused.value.hint


@pytest.mark.parametrize("processes", [1, 2])
def test_one_value_per_channel_is_no_batch(processes: int, source: Source) -> None:
    """The last maps of 4x4 pixels are 1x1, those of 8x8 are 2x2."""
    small = replace(RECIPE, side=4, batch=processes, processes=processes)
    with pytest.raises(BadInput, match="one picture of 4x4 a process, a batch norm") as caught:
        training.prepare(small, quiet=True)
    assert caught.value.hint.endswith(f"--set batch={2 * processes}")
    training.prepare(replace(small, batch=2 * processes), quiet=True)
    state = training.prepare(replace(small, side=8), quiet=True).task.net.state_dict()
    counts = [each for name, each in state.items() if name.endswith("num_batches_tracked")]
    assert counts and not any(counts)  # the trial left no trace


def test_a_picture_that_breaks_is_named_and_may_be_mended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In the third round through pictures that there is no room to keep."""

    class NoRoom(Kept):
        def __init__(self, pictures: Pictures, *, short_side: int | None = None) -> None:
            super().__init__(pictures, short_side=short_side, room=0)

    monkeypatch.setattr("deepcanon.classify.samples.Kept", NoRoom)
    pictures = colours(6, seed=0)
    paths = [tmp_path / f"{place}.png" for place in range(6)]
    for place, path in enumerate(paths):
        save(pictures[place], path)
    found = Source(
        name="colours",
        classes=CLASSES,
        train=FilePictures(paths, pictures.labels),
        val=colours(3, seed=1),
    )
    monkeypatch.setattr(training, "open_source", lambda data: found)
    recipe = replace(RECIPE, steps=6)
    whole = run(tmp_path / "whole", recipe)
    fetch, damaged = Samples.__getitem__, tmp_path / "3.png"
    sound = damaged.read_bytes()

    def damage(self: Samples, index: int) -> Any:
        if index == 12:
            damaged.write_bytes(sound[:40])
        return fetch(self, index)

    with monkeypatch.context() as patch:
        patch.setattr(Samples, "__getitem__", damage)
        with pytest.raises(BadInput, match=r"3\.png"):
            run(tmp_path / "parts", recipe)
    damaged.write_bytes(sound)
    parts = run(tmp_path / "parts", recipe, resume=True)
    assert parts is not None and whole is not None
    assert parts.read_bytes() == whole.read_bytes()


def test_a_loss_that_is_no_number_names_the_pictures(source: Source, tmp_path: Path) -> None:
    with pytest.raises(Failed, match="which was shown test picture") as failed:
        run(tmp_path, replace(RECIPE, learning_rate=1e30))
    assert "learning_rate" in failed.value.hint


def test_resuming_with_another_recipe_says_what_differs(source: Source, tmp_path: Path) -> None:
    assert run(tmp_path)
    with pytest.raises(BadInput) as refused:
        run(tmp_path, replace(RECIPE, learning_rate=0.2, model="resnet32"), resume=True)
    assert "model: 'resnet20' then, 'resnet32' now" in refused.value.message
    assert "learning_rate: 0.1 then, 0.2 now" in refused.value.message


def test_resuming_with_other_pictures_is_refused(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(tmp_path)
    other = replace(source, train=colours(9, seed=0, first=1))  # the same names, other labels
    monkeypatch.setattr(training, "open_source", lambda data: other)
    with pytest.raises(BadInput, match=r"other files \(training pictures\)"):
        run(tmp_path, resume=True)


@pytest.mark.parametrize(
    ("changes", "says", "hint"),
    [
        ({"model": "johnson"}, "johnson is not a classifier", "--domain classify"),
        ({"model": "resnet21"}, "no model is named 'resnet21'", "resnet2"),
        ({"variant": "own"}, "resnet20 has no variant 'own'", "paper"),
        ({"network": {"wide": 3}}, "no setting named 'wide'", "width"),
        ({"network": {"num_classes": 7}}, "num_classes=7, and colours has 3 classes", "leave"),
        ({"model": "googlenet", "network": {}}, "side is 8, and the smallest .* is 31", "side"),
    ],
)
def test_networks_that_cannot_be_had(
    changes: dict[str, Any], says: str, hint: str, source: Source, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=says) as refused:
        run(tmp_path / "run", replace(RECIPE, **changes))
    assert hint in refused.value.hint
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ([1, 2, 3], "label 3, and there are 3 classes"),
        ([0, -1, 2], "label -1, and there are 3 classes"),
    ],
)
def test_labels_out_of_range(
    labels: list[int], says: str, source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = ArrayPictures(np.zeros((3, 8, 8, 3), np.uint8), np.array(labels), of="training")
    monkeypatch.setattr(training, "open_source", lambda data: replace(source, train=wrong))
    with pytest.raises(BadInput, match=says):
        run(tmp_path)


def test_one_class_only_and_none(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for changes, says in (
        ({"classes": ("red",)}, "colours has one class only: red"),
        ({"train": colours(0, seed=0)}, "colours has no picture to train on"),
    ):
        found = replace(source, **changes)
        monkeypatch.setattr(training, "open_source", lambda data, found=found: found)
        with pytest.raises(BadInput, match=says):
            run(tmp_path)


@pytest.fixture
def others(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Weights that tell two classes apart."""
    few = replace(
        source, classes=("dark", "light"), train=colours(2, seed=0), val=colours(2, seed=1)
    )
    with monkeypatch.context() as patch:
        patch.setattr(training, "open_source", lambda data: few)
        made = run(tmp_path / "others", replace(RECIPE, batch=2))
    assert made is not None
    return str(made)


def test_weights_of_another_number_of_classes(others: str, source: Source, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="tells 2 classes apart, and colours has 3") as refused:
        run(tmp_path / "run", replace(RECIPE, start=others))
    assert "head=new" in refused.value.hint
    recipe = replace(
        RECIPE, start=others, head="new", learning_rate=0.0, steps=1, preprocessing="caffe"
    )
    made = run(tmp_path / "run", recipe)
    assert made is not None
    before, after = read(others).tensors, read(made).tensors
    assert after["fc.weight"].shape == (3, 8)
    torch.testing.assert_close(after["conv1.weight"], before["conv1.weight"], rtol=0, atol=0)
    # The pictures are prepared as the weights learnt it.
    assert read_record(made).preprocessing == read_record(others).preprocessing


def test_a_new_head_for_as_many_classes_is_drawn_too(source: Source, tmp_path: Path) -> None:
    first = run(tmp_path / "first", replace(RECIPE, steps=1))
    assert first is not None
    recipe = replace(RECIPE, start=str(first), head="new", learning_rate=0.0, seed=1, steps=1)
    second = run(tmp_path / "second", recipe)
    assert second is not None
    before, after = read(first).tensors, read(second).tensors
    assert torch.equal(after["conv1.weight"], before["conv1.weight"])
    assert not torch.equal(after["fc.weight"], before["fc.weight"])


def test_a_network_that_began_with_published_weights_says_which(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPCANON_CACHE", str(tmp_path))
    monkeypatch.setenv("DEEPCANON_OFFLINE", "1")
    official = IMAGENET["resnet18"]
    file = tmp_path / official.url.rsplit("/", 1)[1]
    torch.save(create_model("resnet18", variant="torchvision").state_dict(), file)
    digest = provenance.sha256_of(file)
    monkeypatch.setitem(IMAGENET, "resnet18", replace(official, sha256=digest))
    recipe = replace(RECIPE, model="resnet18", variant="torchvision", network={}, side=32)
    made = run(tmp_path / "run", replace(recipe, start="imagenet", head="new", steps=1))
    assert made is not None
    told = read_record(made)
    assert (told.recipe["start"], told.recipe["sha256"]["start"]) == (official.url, digest)
    assert told.preprocessing["name"] == "torchvision"


def test_weights_of_another_model(others: str, source: Source, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds resnet20 paper, and the recipe trains convnet"):
        run(tmp_path / "run", replace(RECIPE, model="convnet", network={}, start=others))
    with pytest.raises(BadInput, match=r"gone\.onnx"):
        run(tmp_path / "run", replace(RECIPE, start=str(tmp_path / "gone.onnx")))


def test_filters_of_zfnet_stay_small_while_it_learns(source: Source, tmp_path: Path) -> None:
    network = {"hidden": 2, "channels": [4, 4, 4, 4, 4]}
    recipe = replace(RECIPE, model="zfnet", network=network, side=53, learning_rate=0.0, steps=1)
    grown = create_model("zfnet", image_side=53, num_classes=3, **network)
    with torch.no_grad():
        grown.features.conv1.weight.fill_(0.3)
    record = replace(CLASSIFIER, model="zfnet", variant="paper", config={"num_classes": 3})
    weights = write(grown, tmp_path / "grown.safetensors", record=record)
    made = run(tmp_path, replace(recipe, start=str(weights)))
    assert made is not None
    kept = read(made).tensors["features.conv1.weight"]
    torch.testing.assert_close(kept, torch.full_like(kept, 0.1))


def test_auxiliary_classifiers_are_trained(source: Source, tmp_path: Path) -> None:
    recipe = replace(RECIPE, model="googlenet", network={"hidden": 2}, side=31, steps=1)
    made = run(tmp_path, replace(recipe, steps=2))
    assert made is not None
    torch.manual_seed(0)
    start = training.prepare(recipe, quiet=True).task.net.state_dict()["heads.4a.fc2.weight"]
    assert not torch.equal(read(made).tensors["heads.4a.fc2.weight"], start)
    table = (tmp_path / "log/metrics.csv").read_text().splitlines()
    assert table[0] == "step,loss,auxiliary_loss,batch_top1,top1"


def in_two_processes(tmp_path: Path) -> ClassifierRecipe:
    """A recipe without batch norm, for pictures in ``tmp_path/data``."""
    for part, seed in (("train", 0), ("val", 1)):
        pictures = colours(12, seed=seed)
        for place, label in enumerate(pictures.labels.tolist()):
            save(pictures[place], tmp_path / "data" / part / CLASSES[label] / f"{place}.png")
    return replace(
        RECIPE,
        data=str(tmp_path / "data"),
        model="convnet",
        network={"channels": 4, "hidden": 8, "convolutions": 1},
        batch=4,
        ema_decay=0.9,
        learning_rate=0.05,
    )


def states_of(recipe: ClassifierRecipe, tmp_path: Path) -> list[dict[str, torch.Tensor]]:
    """What one process comes to, and what two do."""
    states = []
    for processes in (1, 2):
        chosen = Chosen("mine", "mine", replace(recipe, processes=processes))
        folder = tmp_path / str(processes)
        made = start(chosen, folder=folder, resume=False, quiet=True)
        assert made is not None and read_record(made).scores
        states.append(torch.load(folder / "last.ckpt", weights_only=True)["state_dict"])
    assert not torch.distributed.is_initialized()
    return states


def test_two_processes_take_two_steps_as_one_does(tmp_path: Path) -> None:
    """The one test of several processes that is not slow."""
    one, two = states_of(replace(in_two_processes(tmp_path), steps=2), tmp_path)
    for key, value in one.items():
        torch.testing.assert_close(two[key], value, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_two_processes_are_one_with_the_whole_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without batch norm, to rounding. Interrupted, they go on where they were, bit for bit."""
    recipe = in_two_processes(tmp_path)
    states = states_of(recipe, tmp_path)
    assert states[0].keys() == states[1].keys()
    for key, value in states[0].items():
        torch.testing.assert_close(states[1][key], value, rtol=1e-5, atol=1e-6)

    # Interrupted and resumed they end bit for bit as they did. Only this process is asked to stop.
    chosen = Chosen("mine", "mine", replace(recipe, processes=2))
    with monkeypatch.context() as patch:
        patch.setattr(Samples, "__getitem__", pressing_at(8))
        assert start(chosen, folder=tmp_path / "parts", resume=False, quiet=True) is None
    assert start(chosen, folder=tmp_path / "parts", resume=True, quiet=True) is not None
    assert_same_state(tmp_path / "parts/last.ckpt", tmp_path / "2/last.ckpt")


@pytest.mark.slow
def test_worker_processes_make_the_same_samples(source: Source, tmp_path: Path) -> None:
    states = []
    for workers in (0, 2):
        recipe = replace(RECIPE, workers=workers)
        assert run(tmp_path / str(workers), recipe)
        states.append(read(tmp_path / str(workers) / "resnet20.safetensors").tensors)
    for key, value in states[0].items():
        assert torch.equal(states[1][key], value), key


@pytest.mark.slow
def test_what_another_process_fails_of_is_told(tmp_path: Path) -> None:
    recipe = replace(RECIPE, data="standin", processes=3, model="convnet", network={"channels": 2})
    with pytest.raises(Failed, match="the loss became"):
        start(
            Chosen("mine", "mine", replace(recipe, learning_rate=1e30)),
            folder=tmp_path / "run",
            resume=False,
            quiet=True,
        )
    assert not torch.distributed.is_initialized()
