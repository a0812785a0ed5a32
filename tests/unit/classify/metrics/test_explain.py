"""What mistakes have in common: hand-made predictions, and the assignment against brute force."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from deepcanon.classify.metrics.explain import above_luck, assignment, at_chance, explain

pytestmark = pytest.mark.row("C18")

NAMES = tuple("abcdefghij")


def labels(count: int = 400, *, classes: int = 10) -> np.ndarray:
    return np.random.default_rng(0).integers(0, classes, count)


def with_errors(right: np.ndarray, *, share: float = 0.1, classes: int = 10) -> np.ndarray:
    """Predictions of which about `share` are guesses."""
    random = np.random.default_rng(1)
    guessed = random.random(len(right)) < share
    return np.where(guessed, random.integers(0, classes, len(right)), right)


@given(
    arrays(np.int64, st.integers(1, 5).map(lambda n: (n, n)), elements=st.integers(-20, 20)),
)
def test_the_assignment_is_the_best_of_all(gain: np.ndarray) -> None:
    size = len(gain)
    found = assignment(gain)
    assert sorted(found) == list(range(size))
    rows = np.arange(size)
    best = max(gain[rows, list(order)].sum() for order in permutations(range(size)))
    assert gain[rows, found].sum() == best


def test_a_larger_assignment() -> None:
    order = np.random.default_rng(0).permutation(60)
    gain = np.zeros((60, 60), np.int64)
    gain[np.arange(60), order] = 5
    assert (assignment(gain) == order).all()


def test_luck() -> None:
    """100 guesses among 10: 10 are expected, and 10 + 4 · 3 = 22 is the most that luck has."""
    assert not above_luck(22, 100, luck=0.1)
    assert above_luck(23, 100, luck=0.1)
    assert not above_luck(0, 0, luck=0.1)


def test_at_chance() -> None:
    right = labels()
    assert not at_chance(right, with_errors(right), classes=10)
    assert at_chance(right, with_errors(right, share=1.0), classes=10)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.6, 1.0])
def test_a_network_that_is_merely_not_good_is_not_explained(share: float) -> None:
    right = labels()
    assert explain(right, with_errors(right, share=share), names=NAMES) == []


def test_labels_that_start_at_one() -> None:
    predicted = with_errors(labels(classes=9), classes=9)
    (found,) = explain(labels(classes=9) + 1, predicted, names=NAMES)
    assert found.kind == "labels-shifted"
    assert "one too high" in found.message and "subtract 1" in found.hint


def test_labels_that_are_one_too_low() -> None:
    right = labels(classes=9)
    (found,) = explain(right, right + 1, names=NAMES)
    assert found.message == (
        "the labels are one too low: 0.0 % of the pictures are right, and 100.0 % of them with "
        "labels moved by one"
    )
    assert "add 1" in found.hint


def test_two_classes_exchanged() -> None:
    """A cat that is a dog leaves 80 % right, and is found all the same."""
    right = labels()
    exchanged = np.arange(10)
    exchanged[[2, 7]] = 7, 2
    (found,) = explain(right, exchanged[right], names=NAMES)
    assert found.kind == "class-order"
    assert "c is taken for h, h is taken for c; put right, 100.0 %" in found.message


def test_another_order_of_all_classes() -> None:
    order = np.random.default_rng(3).permutation(10)
    right = labels()
    (found,) = explain(right, with_errors(order[right]), names=NAMES)
    assert found.kind == "class-order"
    assert " and " in found.message and " more" in found.message


def test_a_few_pictures_prove_no_order() -> None:
    """With 3 pictures some order is right for all of them."""
    assert explain(np.array([0, 1, 2]), np.array([1, 2, 0]), names=NAMES) == []


def test_one_class_for_all_pictures() -> None:
    right = labels()
    predicted = np.full_like(right, 4)
    (found,) = explain(right, predicted, names=NAMES)
    assert found.kind == "one-class"
    assert found.message == "100.0 % of the pictures are taken for e"
    assert "collapsed" in found.hint and "batch norms" in found.hint


def test_one_class_that_most_pictures_are_of() -> None:
    right = np.where(np.arange(100) < 80, 4, 5)
    assert explain(right, np.full(100, 4), names=NAMES) == []


def test_nothing_to_explain() -> None:
    nothing = np.empty(0, np.int64)
    assert explain(nothing, nothing, names=NAMES) == []
    assert explain(np.zeros(9, np.int64), np.zeros(9, np.int64), names=("only",)) == []
