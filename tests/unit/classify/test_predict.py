"""The classifier on a network whose results are known (tests/tiny_classifier.py)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepcanon.classify.crops import Crops
from deepcanon.classify.predict import Classifier
from deepcanon.classify.results import Classified, save_results
from deepcanon.core import assets
from deepcanon.core.errors import BadInput, DeepcanonError, Failed
from deepcanon.core.images import save
from deepcanon.engine.running import Feeds, Session
from deepcanon.nn.preprocessing import CAFFE
from tests import tiny_classifier
from tests.tiny_classifier import CLASSES, GAIN, PLAIN, plain

pytestmark = pytest.mark.row("C18")

SURE = float(np.exp(GAIN) / (np.exp(GAIN) + 2))  # the softmax of (GAIN, 0, 0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_classifier.write(tmp_path_factory.mktemp("model") / "tiny.onnx")


def opened(path: Path) -> Classifier:
    return Classifier(path, engine="onnxruntime", threads=1)


def made(tmp_path: Path, **changes: object) -> Classifier:
    return opened(tiny_classifier.write(tmp_path / "made.onnx", **changes))  # type: ignore[arg-type]


# --- one picture


def test_a_picture(model: Path) -> None:
    found = opened(model)(plain("green"), top=2)
    assert found.labels == ("green", "red")  # red and blue are equal: the first comes first
    assert found.indices == (1, 0)
    assert found.scores == pytest.approx((SURE, (1 - SURE) / 2))
    assert (found.name, found.engine) == ("array", "onnxruntime")
    assert found.seconds > 0


def test_no_more_classes_than_there_are(model: Path) -> None:
    found = opened(model)(plain("red"))
    assert found.labels == ("red", "green", "blue")
    assert sum(found.scores) == pytest.approx(1)


def test_a_picture_of_the_scores(model: Path) -> None:
    """A row a class, the best first: its bar is the longest."""
    pixels = opened(model)(plain("green")).plot()
    assert (pixels.dtype, pixels.shape) == (np.uint8, (44 + 3 * 20, 560, 3))
    lengths = (pixels == (0, 114, 178)).all(axis=2).sum(axis=1)[[44, 64, 84]]
    assert lengths[0] > 10 * lengths[1] > 0
    assert lengths[1] == lengths[2]


def test_scores_at_any_height_of_the_logits(tmp_path: Path) -> None:
    """exp of 4000 is no number in float32."""
    found = made(tmp_path, weight=1000 * GAIN * np.eye(3))(plain("blue"))
    assert found.scores == (1.0, 0.0, 0.0)


def test_a_file_and_what_it_is_called(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "ein Bild é.png"
    save(plain("blue"), path)
    assert opened(model)(path).name == str(path)
    assert opened(model)(str(path)).labels[0] == "blue"


def test_kinds_of_pictures(model: Path) -> None:
    """Grey, and 8 pixels, which digits have."""
    even = opened(model)(np.full((8, 8), 128, np.uint8))
    assert even.scores == pytest.approx([1 / 3] * 3)
    blue = Image.fromarray(plain("blue"))
    assert opened(model)(blue).labels[0] == "blue"


def test_what_is_transparent_counts_as_white(model: Path) -> None:
    """Red that nobody sees, above blue that everybody sees: 0.5 · white and 0.5 · blue."""
    pixels = np.zeros((32, 32, 4), np.uint8)
    pixels[:16, :, 0] = 255
    pixels[16:, :, 2] = pixels[16:, :, 3] = 255
    found = opened(model)(Image.fromarray(pixels, "RGBA"))
    assert found.labels[0] == "blue"
    assert found.scores[1] == pytest.approx(found.scores[2], rel=1e-5)


def test_pictures_that_are_too_small(model: Path) -> None:
    with pytest.raises(BadInput, match="1x1 pixels"):
        opened(model)(np.zeros((1, 1, 3), np.uint8))


@pytest.mark.parametrize("top", [0, -1])
def test_top(top: int, model: Path) -> None:
    with pytest.raises(BadInput, match=f"top is {top}"):
        opened(model)(plain("red"), top=top)


# --- crops


def edged(*, side: int = 32) -> np.ndarray:
    """Green in the middle, of 16x16 pixels, and red around it."""
    pixels = plain("red", size=(side, side))
    low, high = side // 2 - 8, side // 2 + 8
    pixels[low:high, low:high] = (0, 255, 0)
    return pixels


def softmax(logits: Sequence[float]) -> np.ndarray:
    powers = np.exp(logits)
    return np.asarray(powers / powers.sum())


def test_crops_see_different_parts(tmp_path: Path) -> None:
    """Cut to 16 of 32: the centre is all green, each corner is a quarter green."""
    classifier = made(tmp_path, preprocessing={**PLAIN.to_dict(), "side": 16, "resize": 32})
    one, ten, dense = (
        classifier.scores([edged()], crops=crops)[0]
        for crops in (Crops.ONE, Crops.TEN, Crops.DENSE)
    )
    centre = softmax([0, GAIN, 0])
    quarter = softmax([0.75 * GAIN, 0.25 * GAIN, 0])
    assert one == pytest.approx(centre, rel=1e-5)
    assert ten == pytest.approx(0.8 * quarter + 0.2 * centre, rel=1e-5)
    assert dense == pytest.approx(quarter, rel=1e-5)


def test_dense_with_pictures_of_unlike_sizes(tmp_path: Path) -> None:
    """Each in its own shape: the whole of a picture that is two thirds blue."""
    classifier = made(tmp_path, preprocessing={**PLAIN.to_dict(), "side": 16, "resize": 32})
    wide = plain("blue", size=(32, 96))
    wide[:, :32] = (255, 0, 0)
    pictures = [wide, plain("green"), wide.transpose(1, 0, 2).copy()]
    scores = classifier.scores(pictures, crops=Crops.DENSE)
    assert scores[0] == pytest.approx(softmax([GAIN / 3, 0, 2 * GAIN / 3]), rel=1e-4)
    assert scores[1] == pytest.approx(softmax([0, GAIN, 0]), rel=1e-4)
    assert scores[2] == pytest.approx(scores[0], rel=1e-4)


def test_a_network_of_one_size_is_not_dense(tmp_path: Path) -> None:
    classifier = made(tmp_path, size=(24, 24))
    assert not classifier.any_size
    assert classifier(plain("red")).labels[0] == "red"
    with pytest.raises(BadInput, match=r"made.onnx takes pictures of 24x24 pixels only") as caught:
        classifier(plain("red"), crops=Crops.DENSE)
    assert "10-crop" in caught.value.hint


# --- many pictures


class Counting:
    """A session that counts the pictures of its runs."""

    def __init__(self, inner: Session) -> None:
        self.inner, self.name = inner, inner.name
        self.runs: list[int] = []
        self.broken: int | None = None  # the run that fails

    def run(self, feeds: Feeds) -> dict[str, np.ndarray]:
        self.runs.append(len(next(iter(feeds.values()))))
        if len(self.runs) - 1 == self.broken:
            raise Failed("out of memory", hint="a smaller picture")
        return self.inner.run(feeds)


def counted(classifier: Classifier) -> Counting:
    counting = Counting(classifier._session)
    classifier._session = counting  # type: ignore[assignment]
    return counting


def many(count: int) -> list[np.ndarray]:
    """Pictures of unlike sizes; number i is of class i % 3."""
    return [plain(CLASSES[i % 3], size=(20 + i % 7, 30 + 2 * i % 9)) for i in range(count)]


def test_a_list_runs_in_batches_and_keeps_its_order(model: Path) -> None:
    classifier = opened(model)
    counting = counted(classifier)
    found = classifier(many(70), top=1)
    assert [each.labels[0] for each in found] == [CLASSES[i % 3] for i in range(70)]
    assert counting.runs == [64, 6]
    assert classifier(many(0)) == []


def test_ten_crops_fill_a_batch_ten_at_a_time(model: Path) -> None:
    classifier = opened(model)
    counting = counted(classifier)
    classifier(many(7), crops=Crops.TEN)
    assert counting.runs == [60, 10]


def test_many_large_crops_of_one_picture_are_run_in_parts(tmp_path: Path) -> None:
    classifier = made(tmp_path, preprocessing={**PLAIN.to_dict(), "side": 224, "resize": 256})
    counting = counted(classifier)
    (found,) = classifier.scores([plain("red", size=(256, 300))], crops=Crops.FIFTY)
    assert counting.runs == [15, 15, 15, 5]
    assert found == pytest.approx(softmax([GAIN, 0, 0]), rel=1e-5)


def test_batches_of_large_crops_are_smaller(tmp_path: Path) -> None:
    classifier = made(tmp_path, preprocessing={**PLAIN.to_dict(), "side": 224, "resize": 256})
    assert [classifier.batch(crops) for crops in Crops] == [15, 1, 1, 1]


def test_a_stream_goes_on_past_bad_pictures(model: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"not a picture")
    failed: list[tuple[object, str]] = []

    def on_error(source: object, error: DeepcanonError) -> None:
        failed.append((source, error.message))

    sources = [plain("red"), bad, plain("blue")]
    found = opened(model).stream(sources, on_error=on_error)
    assert [each.labels[0] for each in found] == ["red", "blue"]
    assert failed == [(bad, f"{bad} is not a picture that can be read")]
    with pytest.raises(BadInput, match="not a picture"):
        list(opened(model).stream(sources))


def test_a_batch_that_fails_is_passed_over(model: Path) -> None:
    classifier = opened(model)
    counting = counted(classifier)
    counting.broken = 0
    failed: list[str] = []
    pictures = many(65)
    found = list(classifier.stream(pictures, on_error=lambda _, e: failed.append(e.message)))
    assert failed == ["out of memory"] * 64
    assert [each.labels[0] for each in found] == [CLASSES[64 % 3]]
    with pytest.raises(Failed):
        counting.runs.clear()
        classifier(pictures)


def test_a_stream_is_read_as_it_goes(model: Path) -> None:
    taken: list[int] = []

    def pictures():
        for place, pixels in enumerate(many(200)):
            taken.append(place)
            yield pixels

    stream = opened(model).stream(pictures())
    assert taken == []
    next(stream)
    assert len(taken) == 64


# --- results


def test_results_as_json_and_csv(model: Path, tmp_path: Path) -> None:
    found = opened(model)([plain("red"), plain("blue")], top=2)
    save_results(found, tmp_path / "found.json")
    content = json.loads((tmp_path / "found.json").read_text())
    assert content == [each.to_dict() for each in found]
    assert content[1]["classes"][0] == {"index": 2, "label": "blue", "score": round(SURE, 6)}
    found[0].save(tmp_path / "found.CSV")
    rows = list(csv.reader(io.StringIO((tmp_path / "found.CSV").read_text())))
    assert rows[0] == ["picture", "rank", "label", "score"]
    assert rows[1] == ["array", "1", "red", f"{SURE:.6f}"]
    assert [row[1] for row in rows[1:]] == ["1", "2"]
    with pytest.raises(BadInput, match=r"found.txt does not end in .json or .csv"):
        found[0].save(tmp_path / "found.txt")


def test_names_with_commas_and_bytes_that_are_no_text(tmp_path: Path) -> None:
    odd = Classified(
        name="a\udcff.png",
        labels=("tench, Tinca",),
        scores=(1.0,),
        indices=(0,),
        engine="x",
        seconds=0.0,
    )
    odd.save(tmp_path / "odd.csv")
    assert (tmp_path / "odd.csv").read_text().splitlines()[1] == (
        'a\\udcff.png,1,"tench, Tinca",1.000000'
    )
    odd.save(tmp_path / "odd.json")
    assert json.loads((tmp_path / "odd.json").read_text())[0]["picture"] == "a\udcff.png"


# --- the file


def test_a_classifier_that_ships(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "assets"
    folder.mkdir()
    (folder / "tiny.onnx").write_bytes(model.read_bytes())
    monkeypatch.setattr(assets, "FOLDER", folder)
    assets.enter("resnet20-cifar10", file="tiny.onnx", kind="network", licence="Apache-2.0")
    assert Classifier(engine="onnxruntime").classes == CLASSES
    with pytest.raises(BadInput, match="nothing named 'resnet2O-cifar10' ships") as caught:
        Classifier("resnet2O-cifar10")
    assert "resnet20-cifar10" in caught.value.hint


def test_where_a_record_is_mute(tmp_path: Path) -> None:
    """An export of published weights: no names, no side; the catalogue's network has 224."""
    classifier = made(tmp_path, labels=[], model="vgg16", preprocessing=CAFFE.to_dict())
    assert classifier.classes == ("class 0", "class 1", "class 2")
    assert (classifier.side, classifier.resize) == (224, 256)
    fixed = made(tmp_path, size=(299, 299), preprocessing=CAFFE.to_dict())
    assert (fixed.side, fixed.resize) == (299, 342)
    small = made(tmp_path, size=(32, 32), preprocessing=CAFFE.to_dict())
    assert (small.side, small.resize) == (32, 32)


def test_preprocessing_is_that_of_the_record(tmp_path: Path) -> None:
    """Blue first: what was the weight of red is that of blue."""
    classifier = made(tmp_path, preprocessing={**CAFFE.to_dict(), "side": 24, "resize": 24})
    assert classifier(plain("blue")).labels[0] == "red"
    assert classifier.prepared_as(PLAIN)(plain("blue")).labels[0] == "blue"
    assert classifier(plain("blue")).labels[0] == "red"  # which the other one left alone


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"domain": "style"}, "is not a classifier: its record says tiny, style"),
        ({"preprocessing": {}}, "does not say how pictures must be prepared"),
        ({"preprocessing": PLAIN.to_dict()}, "does not say how large its pictures must be"),
        ({"preprocessing": {**PLAIN.to_dict(), "side": 9, "resize": 8}}, "wants 9 pixels cut"),
        ({"size": (32, 32)}, "takes pictures of 32x32 pixels, and its record says 24"),
        ({"labels": ["one", "two"]}, "names 2 classes and tells 3 apart"),
        ({"outputs": ("output", "auxiliary")}, "breaks the contract of a classifier"),
    ],
)
def test_files_that_are_no_classifier(
    changes: dict[str, object], says: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=says):
        made(tmp_path, **changes)


def test_a_checkpoint_is_no_network_to_run(tmp_path: Path) -> None:
    path = tmp_path / "my.safetensors"
    path.touch()
    with pytest.raises(BadInput, match=r"my.safetensors is a checkpoint") as caught:
        Classifier(path)
    assert "deepcanon export MODEL --weights" in caught.value.hint
    tiny_classifier.write(tmp_path / "my.onnx")
    with pytest.raises(BadInput) as caught:
        Classifier(path)
    assert caught.value.hint == f"give {tmp_path / 'my.onnx'}"
    (tmp_path / "my.pth").touch()
    with pytest.raises(BadInput, match=r"my.pth is not a .onnx file"):
        Classifier(tmp_path / "my.pth")


def test_results_that_are_no_numbers(tmp_path: Path) -> None:
    """Weights that are finite, and their products not."""
    classifier = made(tmp_path, weight=np.full((3, 3), 3e38))
    with pytest.raises(Failed, match="not a finite number"):
        classifier(np.full((24, 24, 3), 255, np.uint8))


def test_a_file_that_was_written_anew_is_read_anew(tmp_path: Path) -> None:
    assert made(tmp_path)(plain("red")).labels[0] == "red"
    assert made(tmp_path, weight=-GAIN * np.eye(3))(plain("red")).labels[0] == "green"


def test_openvino_agrees(model: Path) -> None:
    pytest.importorskip("openvino")
    found = Classifier(model, engine="openvino", threads=1)(many(3))
    assert [each.labels[0] for each in found] == list(CLASSES)
