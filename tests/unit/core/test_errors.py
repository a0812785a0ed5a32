from __future__ import annotations

import pickle

import pytest

from deepcanon.core.errors import BadInput, DeepcanonError, Failed, MissingExtra, Unavailable


def test_the_message_is_the_text_and_the_hint_stands_beside_it() -> None:
    error = BadInput("x.png is not there", hint="look elsewhere")
    assert str(error) == error.message == "x.png is not there"
    assert error.hint == "look elsewhere"


def test_exit_codes() -> None:
    assert (BadInput.exit_code, Unavailable.exit_code, Failed.exit_code) == (2, 2, 1)
    assert MissingExtra.exit_code == 2


def test_a_missing_extra_says_what_to_install() -> None:
    error = MissingExtra(extra="train", need="Gatys")
    assert error.message.startswith("Gatys ")
    assert error.hint == 'pip install "deepcanon[train]"'


@pytest.mark.parametrize(
    "error", [Failed("a", hint="b"), MissingExtra(extra="fast", need="OpenVINO")]
)
def test_an_error_survives_the_way_out_of_a_worker(error: DeepcanonError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (copy.message, copy.hint, str(copy)) == (error.message, error.hint, str(error))
