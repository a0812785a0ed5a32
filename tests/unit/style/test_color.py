"""The photograph's colours under the painting's light, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from deepcanon.style.color import finish, keep_color, luma, mix

pytestmark = pytest.mark.row("T2")

PICTURES = arrays.arrays(np.uint8, (5, 4, 3))


def colour(*rgb: int) -> np.ndarray:
    return np.array([[rgb]], dtype=np.uint8)


def test_luma_is_that_of_bt601() -> None:
    assert luma(colour(255, 255, 255))[0, 0] == pytest.approx(255)
    assert luma(colour(100, 0, 0))[0, 0] == pytest.approx(29.9)
    assert luma(colour(0, 100, 0))[0, 0] == pytest.approx(58.7)
    assert luma(colour(0, 0, 100))[0, 0] == pytest.approx(11.4)


def test_keep_color_by_hand() -> None:
    # The photograph: Y = 0.299·150 + 0.587·100 + 0.114·50 = 109.25; chroma +40.75, −9.25, −59.25.
    # The painting is grey 120, so Y = 120: 160.75, 110.75, 60.75.
    assert keep_color(colour(120, 120, 120), colour(150, 100, 50)).tolist() == [[[161, 111, 61]]]


def test_a_colour_too_strong_is_paled_not_clipped() -> None:
    # Pure red has chroma (178.755, −76.245, −76.245). On Y = 200 there is room for 55 of it:
    # a factor 55 / 178.755 = 0.30768, so green and blue are 200 − 23.459.
    assert keep_color(colour(200, 200, 200), colour(255, 0, 0)).tolist() == [[[255, 177, 177]]]


def test_black_and_white_have_no_colour() -> None:
    for grey in (0, 255):
        kept = keep_color(colour(grey, grey, grey), colour(200, 30, 90))
        assert kept.tolist() == [[[grey] * 3]]


@settings(max_examples=60, deadline=None)
@given(painted=PICTURES, photo=PICTURES)
def test_luma_stays_the_painted_one(painted: np.ndarray, photo: np.ndarray) -> None:
    kept = keep_color(painted, photo)
    assert np.abs(luma(kept) - luma(painted)).max() <= 0.51  # rounding of three channels


@settings(max_examples=30, deadline=None)
@given(photo=PICTURES)
def test_a_photograph_keeps_its_own_colours(photo: np.ndarray) -> None:
    assert (keep_color(photo, photo) == photo).all()


def test_bands_do_not_show() -> None:
    random = np.random.default_rng(0)
    painted, photo = random.integers(0, 256, (2, 600, 7, 3), dtype=np.uint8)
    whole = keep_color(painted, photo)
    for row in (0, 255, 256, 511, 512, 599):
        alone = keep_color(painted[row : row + 1], photo[row : row + 1])
        assert (whole[row] == alone[0]).all()
        half = mix(painted[row : row + 1], photo[row : row + 1], strength=0.3)
        assert (mix(painted, photo, strength=0.3)[row] == half[0]).all()


def test_mix_by_hand() -> None:
    painted, photo = colour(200, 0, 255), colour(100, 100, 0)
    assert mix(painted, photo, strength=0.25).tolist() == [[[125, 75, 64]]]
    assert (mix(painted, photo, strength=0) == photo).all()
    assert (mix(painted, photo, strength=1) == painted).all()


def test_finish_keeps_colours_before_it_mixes() -> None:
    painted, photo = colour(120, 120, 120), colour(150, 100, 50)
    done = finish(painted, photo, strength=0.5, keep_colors=True)
    assert (done == mix(keep_color(painted, photo), photo, strength=0.5)).all()
    assert finish(painted, photo, strength=1, keep_colors=False) is painted


@given(strength=st.floats(0, 1))
@settings(max_examples=20, deadline=None)
def test_mixing_stays_between_the_two(strength: float) -> None:
    painted, photo = colour(10, 250, 77), colour(240, 3, 77)
    mixed = mix(painted, photo, strength=strength).astype(int)
    assert (mixed >= np.minimum(painted, photo)).all()
    assert (mixed <= np.maximum(painted, photo)).all()


def test_pictures_of_different_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in size"):
        mix(colour(1, 2, 3), np.zeros((2, 1, 3), np.uint8), strength=0.5)
    with pytest.raises(ValueError, match="differ in size"):
        keep_color(colour(1, 2, 3), np.zeros((2, 1, 3), np.uint8))
