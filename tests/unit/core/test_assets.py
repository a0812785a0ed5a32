from __future__ import annotations

import errno
import hashlib
import http.server
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deepcanon.core import assets
from deepcanon.core.assets import (
    cache_folder,
    enter,
    fetch,
    find,
    manifest,
    set_offline,
    shipped,
    watch_downloads,
)
from deepcanon.core.errors import BadInput, Unavailable

CONTENT = bytes(range(256)) * 9000  # more than two chunks
SHA = hashlib.sha256(CONTENT).hexdigest()
FAR = "https://weights.example.org/models/vgg.bin?v=2"


class _Server(http.server.ThreadingHTTPServer):
    asked: list[str]
    keep: int | None = None  # send only so many bytes of what was promised


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if not self.path.startswith("/models/"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: self.server.keep])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[_Server]:
    with _Server(("127.0.0.1", 0), _Handler) as one:
        one.asked = []
        thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield one
        one.shutdown()
        thread.join()


@pytest.fixture
def mirror(server: _Server, monkeypatch: pytest.MonkeyPatch) -> str:
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("DEEPCANON_MIRROR", address)
    return address


def left_behind() -> list[str]:
    return os.listdir(cache_folder()) if cache_folder().exists() else []


# --- downloads --------------------------------------------------------------------------------


def test_fetch_downloads_once(server: _Server, mirror: str) -> None:
    path = fetch(FAR, sha256=SHA, name="vgg.bin")
    assert path == cache_folder() / "vgg.bin" and path.read_bytes() == CONTENT
    assert fetch(FAR, sha256=SHA, name="vgg.bin") == path
    assert server.asked == ["/models/vgg.bin?v=2"]  # path and query of the address, once
    assert left_behind() == ["vgg.bin"]


def test_a_download_can_be_watched(server: _Server, mirror: str) -> None:
    seen: list[tuple[int, int | None]] = []
    names: list[str] = []

    @contextmanager
    def watch(name: str) -> Iterator[Callable[[int, int | None], None]]:
        names.append(name)
        yield lambda done, total: seen.append((done, total))

    watch_downloads(watch)
    for _ in range(2):
        fetch(FAR, sha256=SHA, name="vgg.bin")
    assert names == ["vgg.bin"]  # the second time it is in the cache
    assert seen[-1] == (len(CONTENT), len(CONTENT)) and len(seen) >= 3


def test_without_a_mirror_the_address_itself(server: _Server) -> None:
    url = f"http://127.0.0.1:{server.server_port}/models/x"
    assert fetch(url, sha256=SHA, name="x").read_bytes() == CONTENT


def test_a_mirror_under_a_path(
    server: _Server, mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPCANON_MIRROR", f"{mirror}/models/")
    fetch(FAR, sha256=SHA, name="x")
    assert server.asked == ["/models/models/vgg.bin?v=2"]


def test_a_folder_as_a_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "vgg.bin").write_bytes(CONTENT)
    monkeypatch.setenv("DEEPCANON_MIRROR", tmp_path.as_uri())
    url = FAR.removesuffix("?v=2")
    assert fetch(url, sha256=SHA, name="x").read_bytes() == CONTENT


def test_a_mirror_that_is_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPCANON_MIRROR", "mirror.example.org")
    with pytest.raises(BadInput, match="DEEPCANON_MIRROR"):
        fetch(FAR, sha256=SHA, name="x")


def test_the_first_digits_of_a_hash_are_enough(mirror: str) -> None:
    assert fetch(FAR, sha256=SHA[:8], name="x").read_bytes() == CONTENT


def test_another_file_is_refused_naming_both_hashes(mirror: str) -> None:
    with pytest.raises(Unavailable) as caught:
        fetch(FAR, sha256="0" * 64, name="x")
    assert SHA in caught.value.message and "0" * 64 in caught.value.message
    assert caught.value.exit_code == 2 and str(cache_folder() / "x") in caught.value.hint
    assert left_behind() == []


def test_a_download_that_breaks_off(server: _Server, mirror: str) -> None:
    server.keep = 1_500_000
    with pytest.raises(Unavailable) as caught:
        fetch(FAR, sha256=SHA, name="x")
    assert "1500000 of 2304000 bytes" in caught.value.message
    assert left_behind() == []


def test_a_file_that_went_bad_in_the_cache_is_fetched_anew(server: _Server, mirror: str) -> None:
    path = fetch(FAR, sha256=SHA, name="x")
    path.write_bytes(b"rotten")
    assert fetch(FAR, sha256=SHA, name="x").read_bytes() == CONTENT
    assert len(server.asked) == 2


def test_what_is_not_on_the_server(mirror: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable) as caught:
        fetch("https://weights.example.org/other", sha256=SHA, name="x")
    assert f"{mirror}/other: HTTP 404" in caught.value.message


def test_no_network_says_where_to_put_the_file() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/vgg.bin"  # bound, nobody listens
        with pytest.raises(Unavailable) as caught:
            fetch(url, sha256=SHA, name="vgg.bin")
    message, hint = caught.value.message, caught.value.hint
    assert message.startswith(f"vgg.bin could not be downloaded from {url}: ")
    assert "refused" in message
    assert hint == (
        f"put the file (sha256 {SHA}) at {cache_folder() / 'vgg.bin'}, or set DEEPCANON_MIRROR"
    )
    assert "\n" not in message + hint


def test_offline_uses_the_cache_and_nothing_else(
    server: _Server, mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPCANON_OFFLINE", "1")
    with pytest.raises(Unavailable) as caught:
        fetch(FAR, sha256=SHA, name="x")
    assert "downloads are off" in caught.value.message
    assert str(cache_folder() / "x") in caught.value.hint and FAR in caught.value.hint
    assert server.asked == []
    cache_folder().mkdir()
    (cache_folder() / "x").write_bytes(CONTENT)
    assert fetch(FAR, sha256=SHA, name="x").read_bytes() == CONTENT
    (cache_folder() / "x").write_bytes(b"another")
    with pytest.raises(Unavailable, match=hashlib.sha256(b"another").hexdigest()):
        fetch(FAR, sha256=SHA, name="x")
    assert server.asked == [] and (cache_folder() / "x").read_bytes() == b"another"


def test_offline_by_call(server: _Server, mirror: str) -> None:
    set_offline(True)
    with pytest.raises(Unavailable, match="downloads are off"):
        fetch(FAR, sha256=SHA, name="x")
    set_offline(False)
    fetch(FAR, sha256=SHA, name="x")


def test_a_cache_that_cannot_be_written(
    tmp_path: Path, mirror: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("DEEPCANON_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(BadInput) as caught:
        fetch(FAR, sha256=SHA, name="x")
    assert "DEEPCANON_CACHE" in caught.value.hint


def test_a_full_disk(mirror: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(Unavailable, match="the disk is full"):
        fetch(FAR, sha256=SHA, name="x")
    assert left_behind() == []


@pytest.mark.parametrize("name", ["../x", "a/b", "/x", "", ".."])
def test_a_name_cannot_leave_the_cache(name: str) -> None:
    with pytest.raises(ValueError, match="not a plain file name"):
        fetch(FAR, sha256=SHA, name=name)


@pytest.mark.parametrize("sha256", ["", "abc", "x" * 64, SHA + "0", SHA.upper()])
def test_a_hash_that_is_none(sha256: str) -> None:
    with pytest.raises(ValueError, match="not a sha256"):
        fetch(FAR, sha256=sha256, name="x")


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPCANON_CACHE", "~/mine")
    assert cache_folder() == Path.home() / "mine"
    monkeypatch.delenv("DEEPCANON_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert cache_folder() == Path("/xdg/deepcanon")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_folder() == Path.home() / ".cache" / "deepcanon"


# --- what ships -------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(assets, "FOLDER", tmp_path)
    (tmp_path / "net.onnx").write_bytes(b"net")
    (tmp_path / "photo.jpg").write_bytes(b"photo")
    return tmp_path


def test_enter_and_read_back(folder: Path) -> None:
    assert manifest() == []
    enter("sample", file="photo.jpg", kind="picture", licence="CC0-1.0")
    enter("net", file="net.onnx", kind="model", licence="Apache-2.0")
    assert manifest()[0] == {
        "name": "net",
        "file": "net.onnx",
        # printf net | sha256sum
        "sha256": hashlib.sha256(b"net").hexdigest(),
        "bytes": 3,
        "kind": "model",
        "licence": "Apache-2.0",
    }
    assert [entry["name"] for entry in manifest()] == ["net", "sample"]
    assert shipped("net") == folder / "net.onnx"


def test_entering_again_renews(folder: Path) -> None:
    enter("net", file="net.onnx", kind="model", licence="Apache-2.0")
    (folder / "net.onnx").write_bytes(b"better")
    with pytest.raises(Unavailable):
        shipped("net")
    enter("net", file="net.onnx", kind="model", licence="Apache-2.0")
    assert [entry["bytes"] for entry in manifest()] == [6]
    assert shipped("net").read_bytes() == b"better"


def test_a_changed_file_names_both_hashes(folder: Path) -> None:
    enter("net", file="net.onnx", kind="model", licence="Apache-2.0")
    (folder / "net.onnx").write_bytes(b"tampered")
    with pytest.raises(Unavailable) as caught:
        shipped("net")
    for content in (b"net", b"tampered"):
        assert hashlib.sha256(content).hexdigest() in caught.value.message
    assert "git" in caught.value.hint and "pip" not in caught.value.hint


def test_a_missing_file(folder: Path) -> None:
    enter("net", file="net.onnx", kind="model", licence="Apache-2.0")
    (folder / "net.onnx").unlink()
    with pytest.raises(Unavailable, match=r"net\.onnx is missing"):
        shipped("net")


def test_an_unknown_name_lists_near_ones(folder: Path) -> None:
    enter("multistyle", file="net.onnx", kind="model", licence="Apache-2.0")
    with pytest.raises(BadInput) as caught:
        shipped("multstyle")
    assert "did you mean multistyle?" in caught.value.hint


def test_the_hash_is_taken_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    enter("net", file="net.onnx", kind="model", licence="Apache-2.0")
    shipped("net")

    def again(*_: object) -> None:
        raise AssertionError("hashed a second time")

    monkeypatch.setattr(hashlib, "file_digest", again)
    shipped("net")


# --- a path, or the name of what ships --------------------------------------------------------


@pytest.fixture
def beside(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    enter("net", file="net.onnx", kind="model", licence="Apache-2.0")
    monkeypatch.chdir(tmp_path_factory.mktemp("working"))
    return folder


def test_a_bare_word_is_what_ships_whatever_the_folder_holds(beside: Path) -> None:
    assert find("net") == find(Path("net")) == beside / "net.onnx"
    Path("net").mkdir()
    assert find("net") == beside / "net.onnx"
    Path("net").rmdir()
    Path("net").touch()
    assert find("net") == beside / "net.onnx"


@pytest.mark.parametrize("name", ["mine.onnx", "runs/mine", "./net", "mine.v2"])
def test_an_ending_or_a_separator_is_a_path(beside: Path, name: str) -> None:
    with pytest.raises(BadInput) as caught:
        find(name)
    assert caught.value.message == f"{Path(name)} does not exist"
    assert caught.value.hint == "check the path of the model file"
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).touch()
    assert find(name) == find(Path.cwd() / name).relative_to(Path.cwd()) == Path(name)


def test_a_folder_is_no_model(beside: Path) -> None:
    Path("runs").mkdir()
    with pytest.raises(BadInput, match="runs is a folder"):
        find("runs/")


def test_a_word_that_does_not_ship(beside: Path) -> None:
    with pytest.raises(BadInput, match="nothing named 'nett' ships") as caught:
        find("nett")
    assert "did you mean net?" in caught.value.hint
