"""Judging a network of known results by pictures of known classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from deepcanon.classify.crops import Crops
from deepcanon.classify.data.pictures import Source
from deepcanon.classify.evaluate import Split, evaluate, match_classes
from deepcanon.classify.predict import Classifier
from deepcanon.core.errors import BadInput
from deepcanon.nn.preprocessing import CAFFE, INCEPTION, TORCHVISION
from tests import tiny_classifier
from tests.tiny_classifier import CLASSES, GAIN, PLAIN, plain

pytestmark = pytest.mark.row("C18")


class Held:
    """Pictures in memory; None stands for one that cannot be read."""

    def __init__(self, pictures: Sequence[np.ndarray | None], labels: Sequence[int]) -> None:
        self.pictures, self.labels = pictures, np.array(labels, np.int64)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int, /) -> np.ndarray:
        found = self.pictures[index]
        if found is None:
            raise BadInput(f"{self.name(index)} is damaged", hint="copy it again")
        return found

    def name(self, index: int) -> str:
        return f"test picture {index}"


def coloured(count: int, *, shift: int = 0) -> Held:
    """Pictures of unlike sizes; number i shows class i % 3 and has the label (i + shift) % 3."""
    pictures = [plain(CLASSES[i % 3], size=(24 + i % 5, 30), strength=200) for i in range(count)]
    return Held(pictures, [(i + shift) % 3 for i in range(count)])


def source(val: Held, *, classes: Sequence[str] = CLASSES, train: Held | None = None) -> Source:
    return Source(name="made", classes=tuple(classes), train=train or val, val=val)


@pytest.fixture
def classifier(tmp_path: Path) -> Classifier:
    return made(tmp_path)


def made(tmp_path: Path, **changes: Any) -> Classifier:
    path = tiny_classifier.write(tmp_path / "tiny.onnx", **changes)
    return Classifier(path, engine="onnxruntime", threads=1)


def test_a_perfect_score(classifier: Classifier) -> None:
    told: list[str] = []
    report = evaluate(classifier, source(coloured(90)), on_step=told.append)
    assert report.top == {1: 1.0}  # of three classes the five best are all
    assert report.confusion.tolist() == [[30, 0, 0], [0, 30, 0], [0, 0, 30]]
    # The logits are (200/255 · GAIN, 0, 0) in some order.
    power = np.exp(200 / 255 * GAIN)
    assert report.loss == pytest.approx(-np.log(power / (power + 2)), rel=1e-4)
    assert report.findings == () and report.skipped == ()
    assert told == [f"test picture {index}" for index in range(90)]
    assert report.settings["recorded"] == {"top1": 1.0}
    assert (report.settings["split"], report.settings["crops"]) == ("val", "1-crop")


def test_errors_where_they_are(classifier: Classifier) -> None:
    """One green picture in three is called red."""
    pictures = coloured(90)
    pictures.labels[:30:3] = 1
    report = evaluate(classifier, source(pictures))
    assert report.top[1] == pytest.approx(80 / 90)
    assert [tuple(each) for each in report.mistakes()] == [("green", "red", 10)]


def test_top_5_of_six_classes(tmp_path: Path) -> None:
    """The logits of six classes; a red picture has class 5 last."""
    weight = np.zeros((3, 6))
    weight[0] = [6, 5, 4, 3, 2, 1]
    names = [str(index) for index in range(6)]
    classifier = made(tmp_path, weight=weight, labels=names)
    pictures = Held([plain("red")] * 4, [0, 4, 5, 5])
    report = evaluate(classifier, source(pictures, classes=names))
    assert report.top == {1: 0.25, 5: 0.5}


def test_the_split_and_the_count(classifier: Classifier) -> None:
    both = source(coloured(9), train=coloured(30))
    assert evaluate(classifier, both).count == 9
    assert evaluate(classifier, both, split=Split.TRAIN).count == 30
    few = evaluate(classifier, both, split=Split.TRAIN, count=3)
    assert few.count == 3
    assert evaluate(classifier, both, count=100).count == 9


def test_a_count_is_spread_over_sorted_pictures(classifier: Classifier) -> None:
    """The first ten of a sorted data set would be all of one class."""
    pictures = [plain(CLASSES[i // 30]) for i in range(90)]
    report = evaluate(classifier, source(Held(pictures, [i // 30 for i in range(90)])), count=9)
    assert np.diagonal(report.confusion).tolist() == [3, 3, 3]


def test_crops(classifier: Classifier) -> None:
    """Rings of 448 red, 320 green and 256 blue pixels; the centre leaves the red out."""
    pixels = plain("red", size=(32, 32))
    pixels[4:28, 4:28] = (0, 255, 0)
    pixels[8:24, 8:24] = (0, 0, 255)
    data = source(Held([pixels] * 3, [1, 1, 1]))
    assert evaluate(classifier, data, crops=Crops.ONE).top[1] == 1.0
    assert evaluate(classifier, data, crops=Crops.DENSE).top[1] == 0.0
    assert evaluate(classifier, data, crops=Crops.TEN).settings["crops"] == "10-crop"


def test_dense_needs_a_network_of_any_size(tmp_path: Path) -> None:
    fixed = made(tmp_path, size=(24, 24))
    with pytest.raises(BadInput, match="dense means the whole picture"):
        evaluate(fixed, source(coloured(3)), crops=Crops.DENSE)


def test_pictures_that_cannot_be_read(classifier: Classifier) -> None:
    pictures = coloured(30)
    pictures.pictures[4] = None  # type: ignore[index]
    report = evaluate(classifier, source(pictures))
    assert report.count == 29 and report.top[1] == 1.0
    assert report.skipped == (("test picture 4", "test picture 4 is damaged"),)
    with pytest.raises(BadInput, match="not one picture of made can be read: test picture 0 is"):
        evaluate(classifier, source(Held([None], [0])))


def test_no_pictures_to_judge_by(classifier: Classifier) -> None:
    empty = source(Held([], []), train=coloured(3))
    with pytest.raises(BadInput, match="made has no pictures held out") as caught:
        evaluate(classifier, empty)
    assert "deepcanon split" in caught.value.hint
    with pytest.raises(BadInput, match="made has no pictures"):
        evaluate(classifier, source(Held([], [])), split=Split.TRAIN)


# --- classes


def test_classes_are_matched_by_name(classifier: Classifier) -> None:
    """A folder's classes stand in the alphabet's order, the network's do not."""
    pictures = coloured(30)
    pictures.labels = np.array([{0: 2, 1: 1, 2: 0}[label] for label in pictures.labels])
    report = evaluate(classifier, source(pictures, classes=("Blue", "GREEN", "red")))
    assert report.top[1] == 1.0
    assert report.classes == CLASSES


def test_some_of_the_classes_of_the_network(classifier: Classifier) -> None:
    pictures = Held([plain("blue")] * 5, [0] * 5)
    report = evaluate(classifier, source(pictures, classes=("blue",)))
    assert report.top[1] == 1.0 and report.confusion[2, 2] == 5


def test_spelling_does_not_count(tmp_path: Path) -> None:
    classifier = made(tmp_path, labels=["Sports_Car", "fire engine", "cafe\u0301"])
    found, notes = match_classes(["caf\u00e9", "sports-car"], classifier)
    assert found.tolist() == [2, 0] and notes == []


def test_classes_without_names_are_matched_by_position(tmp_path: Path) -> None:
    found, notes = match_classes(["n01", "n02", "n03"], made(tmp_path, labels=[]))
    assert found.tolist() == [0, 1, 2] and notes == []


def test_classes_of_other_names_are_matched_by_position_and_told_of(
    classifier: Classifier,
) -> None:
    report = evaluate(classifier, source(coloured(30), classes=("rot", "grün", "blau")))
    assert report.top[1] == 1.0
    (note,) = report.findings
    assert note.kind == "class-names" and "(rot; red)" in note.message


@pytest.mark.parametrize(
    ("classes", "says"),
    [
        (("red", "green", "yellow"), "it does not know yellow"),
        (("a", "b"), "the data has 2 classes and tiny.onnx tells 3 apart; it does not know a, b"),
        (("a", "b", "c", "d", "e"), "it does not know a, b, c and 2 more"),
    ],
)
def test_classes_that_do_not_fit(
    classes: tuple[str, ...], says: str, classifier: Classifier
) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        evaluate(classifier, source(coloured(3), classes=classes))
    assert caught.value.hint == "it knows red, green, blue"


# --- a score at chance


def test_another_order_of_classes_is_found(classifier: Classifier) -> None:
    report = evaluate(classifier, source(coloured(90, shift=1)))
    assert report.top[1] == 0.0
    (finding,) = report.findings
    assert finding.kind == "class-order" and "red is taken for blue" in finding.message


def test_a_wrong_preprocessing_is_found(tmp_path: Path) -> None:
    """Trained on Caffe's pictures, and exported as if on torchvision's: red and blue exchanged,
    and a bias for values around 100 that values around 1 cannot move."""
    weight = np.array([[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    honest = made(tmp_path, weight=weight, preprocessing={**CAFFE.to_dict(), "side": 24})
    assert evaluate(honest, source(coloured(90))).top[1] == 1.0
    wrong = made(
        tmp_path, weight=weight, preprocessing={**TORCHVISION.to_dict(), "side": 24, "resize": 32}
    )
    data = source(coloured(90))
    two_of_three = evaluate(wrong, data)
    assert two_of_three.top[1] < 0.5
    (finding,) = two_of_three.findings
    assert finding.kind == "preprocessing"
    assert "than its record says (torchvision): as caffe, 100.0 % of 90 are right" in (
        finding.message
    )
    assert "BGR, white is 255" in finding.hint


def test_one_class_for_all(tmp_path: Path) -> None:
    """Whatever the preparation: the weights only tell how bright a picture is."""
    weight = np.ones((3, 3)) * [2.0, 1.0, 1.0]
    classifier = made(tmp_path, weight=weight)
    report = evaluate(classifier, source(coloured(90)))
    assert report.top[1] == pytest.approx(1 / 3)
    assert [each.kind for each in report.findings] == ["one-class"]


def test_a_score_at_chance_without_a_cause(classifier: Classifier) -> None:
    held = coloured(90)
    held.labels = np.repeat([0, 1, 2], 30)  # each class is called all three equally often
    report = evaluate(classifier, source(held))
    assert report.top[1] == pytest.approx(1 / 3)
    assert [each.kind for each in report.findings] == ["chance"]


def test_a_file_that_computes_as_in_training(tmp_path: Path) -> None:
    """A batch norm that takes away the colour which all pictures of a batch have."""
    path = tiny_classifier.write(tmp_path / "tiny.onnx")
    model = onnx.load(path)
    ports = [("scale", 1), ("shift", 0), ("mean", 0), ("variance", 1)]
    model.graph.initializer.extend(
        numpy_helper.from_array(np.full(3, value, np.float32), name) for name, value in ports
    )
    names = [name for name, _ in ports]
    norm = helper.make_node(
        "BatchNormalization", ["pictures", *names], ["seen", "m", "v"], training_mode=1
    )
    model.graph.node.insert(0, norm)
    model.graph.node[1].input[0] = "seen"
    onnx.save(model, path)
    pictures = Held([plain("red")] * 30, [0] * 30)
    report = evaluate(Classifier(path, engine="onnxruntime", threads=1), source(pictures))
    (finding,) = report.findings
    assert finding.kind == "training-mode" and "net.eval()" in finding.hint
    assert finding.message.startswith("tiny.onnx computes BatchNormalization as in training")


def test_a_good_score_is_not_looked_into(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Classifier, "prepared_as", None)
    assert evaluate(classifier, source(coloured(30))).findings == ()


def test_a_model_by_its_path(classifier: Classifier) -> None:
    assert evaluate(classifier.path, source(coloured(3))).count == 3


def test_a_score_that_was_not_finite_is_no_number(tmp_path: Path) -> None:
    report = evaluate(made(tmp_path, scores={"top1": float("nan")}), source(coloured(3)))
    assert report.to_dict()["settings"]["recorded"] == {"top1": None}


def test_the_preparations_that_are_tried_are_unlike() -> None:
    from deepcanon.classify.evaluate import _OTHERS

    bare = {str(replace(each, name="").to_dict()) for each in _OTHERS}
    assert len(bare) == len(_OTHERS) and {TORCHVISION, CAFFE, INCEPTION} < set(_OTHERS)
    assert str(replace(PLAIN, name="").to_dict()) in bare
