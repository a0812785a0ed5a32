"""Top-k, the table of classes and the confusion matrix, worked by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from deepcanon.classify.metrics.confusion import draw_confusion
from deepcanon.classify.metrics.explain import Cause
from deepcanon.classify.metrics.report import (
    ClassScore,
    Report,
    confusion_matrix,
    per_class,
    places,
)
from deepcanon.core.errors import BadInput

pytestmark = pytest.mark.row("C18")

SCORES = np.array([[0.1, 0.7, 0.2], [0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [0.6, 0.1, 0.3]])
LABELS = np.array([1, 2, 1, 2])  # first, last, second, second
# 3 of a: two found, one taken for b. 2 of b: both taken for c. c: none. Of d nothing at all.
CONFUSION = np.array([[2, 1, 0, 0], [0, 0, 2, 0], [0, 0, 0, 0], [0, 0, 0, 0]])


def test_places() -> None:
    assert places(SCORES, LABELS).tolist() == [0, 2, 1, 1]


def test_of_equal_scores_the_first_class_comes_first() -> None:
    """A network that says nothing is right for one class only, not for all."""
    even = np.full((3, 3), 1 / 3)
    assert places(even, np.array([0, 1, 2])).tolist() == [0, 1, 2]


def test_no_picture_at_all() -> None:
    assert places(np.empty((0, 3)), np.empty(0, np.int64)).size == 0


def test_a_score_that_is_no_number_is_not_right() -> None:
    with pytest.raises(ValueError, match="not a finite number"):
        places(np.array([[np.nan, 0.1]]), np.array([0]))


@pytest.mark.parametrize("label", [3, -1])
def test_labels_out_of_range(label: int) -> None:
    with pytest.raises(BadInput, match=f"has the label {label}, .* 3 classes") as caught:
        places(SCORES[:1], np.array([label]))
    assert "0 to 2" in caught.value.hint


def test_the_confusion_matrix() -> None:
    labels, predicted = np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 2, 2])
    assert (confusion_matrix(labels, predicted, classes=4) == CONFUSION).all()
    with pytest.raises(BadInput):
        confusion_matrix(labels, predicted, classes=2)


def test_the_table_of_classes() -> None:
    """a: recall 2/3, precision 2/2, F1 4/5; b: 0/2 found, 0/1 right; c: never shown; d: nothing."""
    assert per_class(CONFUSION, names="abcd") == [
        ClassScore("a", 3, 2 / 3, 1.0, 0.8),
        ClassScore("b", 2, 0.0, 0.0, 0.0),
        ClassScore("c", 0, None, 0.0, None),
        ClassScore("d", 0, None, None, None),
    ]


@pytest.fixture
def report() -> Report:
    return Report(
        settings={"model": "tiny paper"},
        classes=("a", "b", "c", "d"),
        top={1: 0.4},
        loss=1.5,
        confusion=CONFUSION,
        findings=(Cause("one-class", "all", "train"),),
        skipped=(("x.png", "x.png is empty"),),
        seconds=0.12345,
    )


def test_mistakes_come_most_frequent_first(report: Report) -> None:
    assert [tuple(each) for each in report.mistakes()] == [("b", "c", 2), ("a", "b", 1)]
    assert len(report.mistakes(limit=1)) == 1
    assert report.count == 5
    assert CONFUSION[0, 0] == 2  # the report's own is not changed


def test_the_report_as_json(report: Report, tmp_path: Path) -> None:
    report.save(tmp_path / "out" / "report.json")
    content = json.loads((tmp_path / "out" / "report.json").read_text())
    assert content == json.loads(json.dumps(report.to_dict()))
    assert content["top1"] == 0.4 and "top5" not in content
    assert content["pictures"] == 5
    assert content["classes"][2] == {
        "name": "c",
        "pictures": 0,
        "recall": None,
        "precision": 0.0,
        "f1": None,
    }
    assert content["confusion"]["counts"] == CONFUSION.tolist()
    assert content["findings"] == [{"kind": "one-class", "message": "all", "hint": "train"}]
    assert content["skipped"] == [{"picture": "x.png", "error": "x.png is empty"}]


# --- the picture


def colour_at(picture: np.ndarray, row: int, column: int, *, classes: int) -> np.ndarray:
    """A corner of a cell, where no number stands. The frame is found by its ink."""
    ink = (picture == (40, 40, 40)).all(axis=2)
    lines = np.flatnonzero(ink.sum(axis=1) > 40 * classes)  # a cell has 44 pixels
    top, bottom = lines[0] + 1, lines[-1]
    columns = np.flatnonzero(ink.sum(axis=0) > 0.9 * (bottom - top))
    left = columns[0] + 1
    cell = (bottom - top) // classes
    return picture[top + row * cell + 1, left + column * cell + 1]


def test_the_picture_shows_shares_of_rows() -> None:
    matrix = np.array([[4, 0], [2, 2]])
    picture = draw_confusion(matrix, classes=("a", "b"), title="tiny")
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    blue, white, red = (colour_at(picture, *at, classes=2) for at in ((0, 0), (0, 1), (1, 0)))
    assert blue.tolist() == [33, 102, 172]
    assert white.tolist() == [255, 255, 255]
    assert red[0] > red[1] and red[0] > red[2]


@pytest.mark.parametrize("classes", [1, 2, 45, 200])
def test_pictures_of_any_number_of_classes(classes: int) -> None:
    """Names in any alphabet and of any length; a page that a screen can show."""
    matrix = np.arange(classes**2).reshape(classes, classes)
    names = [f"类 {index} {'long ' * 40}" for index in range(classes)]
    picture = draw_confusion(matrix, classes=names, title="a long title " * 30)
    assert 440 <= max(picture.shape) < 1800
    assert draw_confusion(np.zeros_like(matrix), classes=names).std() >= 0
