from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from deepcanon.core.atomic import write_whole
from deepcanon.core.errors import BadInput, Unavailable


def test_written_whole_with_folders_on_the_way(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "x.bin"
    with write_whole(path) as file:
        file.write(b"12")
        assert not path.exists()
        file.write(b"34")
    assert path.read_bytes() == b"1234"
    assert os.listdir(path.parent) == ["x.bin"]


def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with write_whole(tmp_path / "x"):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, OSError(errno.ENOSPC, "full")])
def test_interrupted_what_was_there_stays_and_nothing_is_left_behind(
    tmp_path: Path, error: Any
) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"before")
    with pytest.raises((KeyboardInterrupt, ValueError, Unavailable)), write_whole(path) as file:
        file.write(b"half")
        raise error
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["x"]


def test_a_full_disk_on_the_last_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(Unavailable) as caught, write_whole(tmp_path / "x") as file:
        file.write(b"1")
    assert caught.value.message == f"{tmp_path}/x could not be written: the disk is full"
    assert os.listdir(tmp_path) == []


def test_through_a_link_the_file_it_leads_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"before")
    (tmp_path / "link").symlink_to("real")
    with write_whole(tmp_path / "link") as file:
        file.write(b"after")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"after"


def test_a_device_is_written_to_directly() -> None:
    with write_whole("/dev/null") as file:
        file.write(b"1")
    assert Path("/dev/null").is_char_device()


def test_onto_a_folder(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is a folder"), write_whole(tmp_path):
        pass


def test_a_file_where_a_folder_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput) as caught, write_whole(tmp_path / "file" / "x.png"):
        pass
    assert caught.value.message.startswith(f"{tmp_path}/file/x.png cannot be written: ")
    assert "folder you may write to" in caught.value.hint


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_not_writable(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(BadInput, match="Permission denied"), write_whole(tmp_path / "x"):
        pass


def test_a_folder_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As above, for machines where tests run as root."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(BadInput) as caught, write_whole(tmp_path / "x"):
        pass
    assert caught.value.message == f"{tmp_path}/x cannot be written: Permission denied"
