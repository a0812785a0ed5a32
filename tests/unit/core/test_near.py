from __future__ import annotations

import pytest

from deepcanon.core.near import did_you_mean


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("stilize", "did you mean stylize?"),
        ("STYLIZE", "did you mean stylize?"),
        ("mixed_5b", "did you mean Mixed_5b or Mixed_5c?"),
        ("xyz", "nothing is near"),
        ("", "nothing is near"),
    ],
)
def test_near_names(word: str, says: str) -> None:
    known = ["stylize", "Mixed_5b", "Mixed_5c"]
    assert did_you_mean(word, known, otherwise="nothing is near") == says


def test_three_at_most() -> None:
    known = [f"vgg{depth}" for depth in (11, 13, 16, 19)]
    assert did_you_mean("vgg", known, otherwise="").count("vgg") == 3
