from __future__ import annotations

import errno
from pathlib import Path

import pytest

from deepcanon.core.errors import BadInput
from deepcanon.core.reading import opened


def test_bytes_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12")
    with opened(tmp_path / "a", what="model file") as file:
        assert file.read() == b"12"


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("none", "does not exist", "check the path of the model file"),
        ("", "is a folder", "name a model file in it"),
        ("a/b", "cannot be read: Not a directory", "check its permissions"),
    ],
)
def test_what_cannot_be_opened(name: str, message: str, hint: str, tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(BadInput) as caught, opened(tmp_path / name, what="model file"):
        pass
    assert caught.value.message == f"{tmp_path / name} {message}"
    assert caught.value.hint == hint


def test_what_breaks_off_while_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.touch()
    with pytest.raises(BadInput, match="cannot be read: Input"), opened(path, what="model file"):
        raise OSError(errno.EIO, "Input/output error")
