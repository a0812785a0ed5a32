from __future__ import annotations

import pickle
from importlib import metadata
from types import SimpleNamespace

import pytest

from deepcanon.core.errors import (
    BadInput,
    DeepcanonError,
    Failed,
    MissingExtra,
    Unavailable,
    how_to_install,
)


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
    assert error.hint == how_to_install("train")


@pytest.mark.parametrize(
    ("direct_url", "wanted"),
    [
        (None, 'pip install "deepcanon[train]"'),  # from an index
        (
            '{"url": "file:///home/you/my%20clone", "dir_info": {"editable": true}}',
            'pip install -e "/home/you/my clone[train]"',
        ),
        (
            '{"url": "https://a.b/c.git", "vcs_info": {"vcs": "git"}}',
            'pip install "deepcanon[train] @ git+https://a.b/c.git"',
        ),
        ('{"url": "file:///home/you/c", "dir_info": {}}', 'pip install "/home/you/c[train]"'),
        ("{", 'pip install "deepcanon[train]"'),
    ],
)
def test_it_is_installed_from_where_it_came(
    direct_url: str | None, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        metadata, "distribution", lambda _: SimpleNamespace(read_text=lambda _: direct_url)
    )
    assert how_to_install("train") == wanted


def test_where_nothing_is_installed_it_is_from_an_index(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: str) -> None:
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "distribution", gone)
    assert how_to_install("fast") == 'pip install "deepcanon[fast]"'


@pytest.mark.parametrize(
    "error", [Failed("a", hint="b"), MissingExtra(extra="fast", need="OpenVINO")]
)
def test_an_error_survives_the_way_out_of_a_worker(error: DeepcanonError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert (copy.message, copy.hint, str(copy)) == (error.message, error.hint, str(error))
