"""`deepcanon export`: files that engines and predictors read."""

from __future__ import annotations

import hashlib
import os
import pickle
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torch
from torch import nn

from deepcanon.classify.weights import resnet as resnet_weights
from deepcanon.core import catalog
from deepcanon.core.catalog import create_model
from deepcanon.core.record import Record, read_record
from deepcanon.core.standin import photo
from deepcanon.engine.session import open_session
from deepcanon.nn.weights import write
from deepcanon.style.johnson import MULTISTYLE, TransformNet
from deepcanon.style.predict import MARGIN, Stylizer
from tests.cli.conftest import Run, refused
from tests.evil_pickle import Evil

pytestmark = pytest.mark.row("T2")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TransformNet]:
    """A small multistyle network of two styles as a training leaves it, and its weights' file."""
    torch.manual_seed(0)
    net = TransformNet(replace(MULTISTYLE, widths=(3, 4, 5), blocks=1, styles=2)).eval()
    for name, parameter in net.named_parameters():
        if name.endswith("scales"):
            torch.nn.init.normal_(parameter, mean=1.0)
    record = Record(
        model="johnson", variant="multistyle", domain="style", config=asdict(net.config),
        labels=["calm", "wild"], preprocessing={}, licence="Apache-2.0", recipe={"steps": 3},
        data="generated", date="2025-01-02", hardware="a test", scores={"loss": 1.0},
    )  # fmt: skip
    path = tmp_path_factory.mktemp("trained") / "net.safetensors"
    return write(net, path, record=record), net


@pytest.fixture(scope="module")
def exported(trained: tuple[Path, TransformNet], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network as a `.onnx` file."""
    from deepcanon.cli import main

    path = tmp_path_factory.mktemp("exported") / "net.onnx"
    words = ["export", "johnson", "--weights", str(trained[0]), "-o", str(path), "--quiet"]
    assert main(words) == 0
    return path


def test_what_is_known_of_the_weights_goes_along(
    trained: tuple[Path, TransformNet], exported: Path
) -> None:
    assert read_record(exported) == read_record(trained[0])


@pytest.mark.parametrize("engine", ["onnxruntime", "torch"])
def test_a_predictor_paints_with_it(
    trained: tuple[Path, TransformNet], exported: Path, engine: str
) -> None:
    picture = photo(3, (37, 50))
    painted = Stylizer("calm:0.25,wild:0.75", model=exported, engine=engine)(picture)
    x = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255
    x = nn.functional.pad(x, (MARGIN,) * 4, mode="reflect")
    with torch.no_grad():
        around = trained[1](x, torch.tensor([[0.25, 0.75]]))[0].permute(1, 2, 0) * 255
    expected = around[MARGIN:-MARGIN, MARGIN:-MARGIN]
    assert np.abs(painted.pixels - expected.numpy()).max() < 1
    assert expected.std() > 5, "there is something to compare"


def test_openvino_paints_with_it(exported: Path, trained: tuple[Path, TransformNet]) -> None:
    pytest.importorskip("openvino")
    feeds = {"picture": photo(3, (37, 50))[None], "weights": np.float32([[1, 0]])}
    found = [
        open_session(exported, engine=engine).run(feeds)["stylized"].astype(int)
        for engine in ("openvino", "onnxruntime")
    ]
    # bf16, where the processor has it, has 8 bits: a few grey levels, never another picture
    assert np.abs(found[0] - found[1]).mean() < 2


def test_batches(exported: Path) -> None:
    session = open_session(exported, engine="onnxruntime")
    pictures = np.stack([photo(seed, (24, 32)) for seed in range(3)])
    weights = np.float32([[1, 0], [0, 1], [0.5, 0.5]])
    together = session.run({"picture": pictures, "weights": weights})["stylized"]
    for i in range(3):
        alone = session.run({"picture": pictures[i : i + 1], "weights": weights[i : i + 1]})
        assert np.abs(together[i].astype(int) - alone["stylized"][0]).max() <= 1


def test_an_exported_file_is_weights_too(run: Run, exported: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.onnx"
    ran = run("export", "johnson", "--weights", exported, "-o", again, "--json")
    said = ran.json
    assert (ran.code, ran.err) == (0, "")
    assert said["variant"] == "multistyle" and said["output"] == str(again)
    assert said["inputs"] == ["picture", "weights"] and said["outputs"] == ["stylized"]
    assert {"picture": [1, 16, 16, 3], "weights": [1, 2]} in said["checked"]
    assert said["bytes"] == again.stat().st_size
    assert again.read_bytes() == exported.read_bytes()


# --- bad input ------------------------------------------------------------------------------------


def test_words_that_do_not_fit(
    run: Run, trained: tuple[Path, TransformNet], tmp_path: Path
) -> None:
    out = tmp_path / "net.onnx"
    assert "did you mean johnson" in refused(run("export", "jonson", "-o", out), "'jonson'")
    assert "-o FILE.onnx" in refused(run("export", "johnson", "-o", "net.pt"), "not named .onnx")
    refused(run("export", "johnson"), "missing option '-o' / '--output'")
    hint = refused(run("export", "johnson", "--variant", "big", "-o", out), "no variant 'big'")
    assert "multistyle" in hint
    refused(run("export", "slim_vgg", "-o", out), "SlimVGG takes wanted beside pictures")
    assert not out.exists()


def test_a_place_where_nothing_can_be_written_is_told_first(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(*_: object, **__: object) -> object:
        raise AssertionError("work was begun")

    monkeypatch.setattr(catalog, "create_model", build)
    (tmp_path / "file").touch()
    (tmp_path / "folder.onnx").mkdir()
    refused(run("export", "johnson", "-o", tmp_path / "file" / "net.onnx"), "file is not a folder")
    hint = refused(run("export", "johnson", "-o", tmp_path / "folder.onnx"), "is a folder")
    assert hint.endswith("folder.onnx/model.onnx")
    monkeypatch.setattr(os, "access", lambda *_: False)
    refused(run("export", "johnson", "-o", tmp_path / "net.onnx"), f"{tmp_path} is not writable")


def test_published_weights_say_where_they_are_from(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = create_model("resnet18", variant="torchvision")
    name = "resnet18-f37072fd.pth"
    (tmp_path / "models").mkdir()
    torch.save(net.state_dict(), tmp_path / "models" / name)
    digest = hashlib.sha256((tmp_path / "models" / name).read_bytes()).hexdigest()
    ours = replace(resnet_weights.IMAGENET["resnet18"], sha256=digest[:8])
    monkeypatch.setitem(resnet_weights.IMAGENET, "resnet18", ours)
    monkeypatch.setenv("DEEPCANON_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DEEPCANON_OFFLINE", raising=False)
    out = tmp_path / "net.onnx"
    words = ("export", "resnet18", "--variant", "torchvision", "--weights", "imagenet", "-o", out)
    with mirror(tmp_path) as address:
        monkeypatch.setenv("DEEPCANON_MIRROR", address)
        assert run(*words, "-q").code == 0
    record, url = read_record(out), f"https://download.pytorch.org/models/{name}"
    assert record.recipe == {"start": url, "sha256": {"start": digest}}
    assert (record.licence, record.notes) == (f"that of {url}", f"exported from {url}")
    assert record.data == "ImageNet (ILSVRC 2012)"
    assert (record.labels[0], record.labels[999]) == ("tench", "toilet tissue")
    assert len(set(record.labels)) == 1000


class QuietHandler(SimpleHTTPRequestHandler):
    """Says nothing on standard error, which belongs to the command."""

    def log_message(self, *_: object) -> None:
        return


@contextmanager
def mirror(folder: Path) -> Iterator[str]:
    """A web server that gives the files of `folder`."""
    handler = partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_weights_of_something_else(
    run: Run, trained: tuple[Path, TransformNet], tmp_path: Path
) -> None:
    out = tmp_path / "net.onnx"
    hint = refused(
        run("export", "vgg11", "--weights", trained[0], "-o", out),
        f"{trained[0]} holds johnson multistyle, not vgg11",
    )
    assert "ask for johnson multistyle" in hint
    words = ("export", "johnson", "--variant", "modern", "--weights", trained[0], "-o", out)
    refused(run(*words), "holds johnson multistyle, not johnson modern")
    refused(run("export", "johnson", "--weights", "no.pth", "-o", out), "no.pth does not exist")
    (tmp_path / "bad.onnx").write_bytes(b"")
    refused(run("export", "johnson", "--weights", tmp_path / "bad.onnx", "-o", out), "empty")
    assert not out.exists()


def test_a_pickle_posing_as_weights(run: Run, tmp_path: Path) -> None:
    victim, out = tmp_path / "ran", tmp_path / "net.onnx"
    torch.save({"a": torch.ones(2), "b": Evil(victim)}, tmp_path / "evil.pth")
    (tmp_path / "evil.safetensors").write_bytes(pickle.dumps(Evil(victim)))
    for name in ("evil.pth", "evil.safetensors"):
        refused(run("export", "johnson", "--weights", tmp_path / name, "-o", out), name)
    assert not victim.exists() and not out.exists()
    # The usual reader would have run it.
    pickle.loads((tmp_path / "evil.safetensors").read_bytes())
    assert victim.exists()


PUBLISHED = ("export", "resnet18", "--variant", "torchvision", "--weights", "imagenet", "-o")
FILE = "resnet18-f37072fd.pth"


def test_downloads_switched_off(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "net.onnx"
    hint = refused(run(*PUBLISHED, out, "--offline"), f"{FILE} is not in the cache")
    assert str(tmp_path / "user-cache" / FILE) in hint
    assert not out.exists()


def test_no_network(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "net.onnx"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # bound, and nobody listens
        monkeypatch.setenv("DEEPCANON_MIRROR", f"http://127.0.0.1:{free.getsockname()[1]}")
        hint = refused(run(*PUBLISHED, out), f"{FILE} could not be downloaded")
    assert str(tmp_path / "user-cache" / FILE) in hint
    assert not out.exists()


def test_a_download_that_is_another_file(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / FILE).write_bytes(b"something else")
    out = tmp_path / "net.onnx"
    with mirror(tmp_path) as address:
        monkeypatch.setenv("DEEPCANON_MIRROR", address)
        refused(run(*PUBLISHED, out), FILE, "sha256")
    assert not out.exists() and not list(tmp_path.rglob("user-cache/**/*.pth"))


def test_without_torch(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    hint = refused(run("export", "johnson", "-o", tmp_path / "net.onnx"), "johnson")
    assert "[train]" in hint


def test_importing_the_command_imports_nothing_heavy() -> None:
    code = (
        "import sys, deepcanon.cli.export\n"
        "print(sorted({'torch', 'numpy', 'onnx', 'onnxruntime', 'PIL'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
