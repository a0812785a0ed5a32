"""What every test stands on: one thread, no network, no trace of the person's own settings."""

from __future__ import annotations

import os

# Before anything imports numpy, torch or an engine: they read these once.
# ruff: noqa: E402
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"

import socket
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest

from deepcanon.core import assets
from deepcanon.core.record import KEY, Record
from deepcanon.core.standin import photo, picture_folder

# Same examples every time (a red test stays red), and no deadline: the machine may be busy.
hypothesis.settings.register_profile("deepcanon", derandomize=True, deadline=None, max_examples=60)
hypothesis.settings.load_profile("deepcanon")

_connect = socket.socket.connect


def _connect_to_this_machine_only(self: socket.socket, address: Any) -> None:
    if isinstance(address, tuple) and address[0] not in ("127.0.0.1", "localhost", "::1"):
        raise OSError(f"tests have no network, and one asked for {address}")
    _connect(self, address)


socket.socket.connect = _connect_to_this_machine_only  # type: ignore[method-assign]


def pytest_configure() -> None:
    """Where check-ins are judged, a package that `make test` installs must not be skipped over."""
    packages = ("torch", "torchvision", "onnxruntime", "openvino")
    missing = [name for name in packages if find_spec(name) is None]
    if os.environ.get("CI") and missing:
        raise pytest.UsageError(f"not installed, and CI is set: {', '.join(missing)}")


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith("DEEPCANON_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DEEPCANON_CACHE", str(tmp_path / "user-cache"))
    monkeypatch.setattr(assets, "_offline", False)
    monkeypatch.setattr(assets, "_watch", None)


@pytest.fixture(scope="session")
def record() -> Record:
    """A complete record, of a model that does not exist."""
    return Record(
        model="tiny",
        variant="paper",
        domain="style",
        config={"width": 2, "layers": [1, 2]},
        labels=["one", "two"],
        preprocessing={"range": [0, 255], "order": "RGB"},
        licence="Apache-2.0",
        recipe={"steps": 3},
        data="generated",
        date="2025-01-02",
        hardware="a test",
        scores={"loss": 0.25},
    )


@pytest.fixture(scope="session")
def photo_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A 64x48 (width x height) PNG photograph; do not write to it."""
    from deepcanon.core.images import save

    path = tmp_path_factory.mktemp("photo") / "photo.png"
    save(photo(0, (48, 64)), path)
    return path


@pytest.fixture(scope="session")
def photo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four 48x48 JPEG photographs; do not write to it."""
    folder = tmp_path_factory.mktemp("photos")
    picture_folder(folder, 4, size=48)
    return folder


@pytest.fixture
def make_onnx(tmp_path: Path, record: Record) -> Callable[..., Path]:
    """A factory of a small `.onnx`: picture uint8 [b,h,w,3] -> the same, doubled by a 1x1 conv.

    `weight` replaces the [3, 3, 1, 1] kernel, `text` the record's JSON (None: no record).
    """

    def make(
        name: str = "tiny.onnx",
        *,
        weight: np.ndarray[Any, Any] | None = None,
        text: str | None = record.to_json(),
    ) -> Path:
        import onnx
        from onnx import TensorProto, helper, numpy_helper

        if weight is None:
            weight = 2 * np.eye(3, dtype=np.float32)[..., None, None]
        port = {"elem_type": TensorProto.UINT8, "shape": ["b", "h", "w", 3]}
        graph = helper.make_graph(
            [
                helper.make_node("Cast", ["picture"], ["floats"], to=TensorProto.FLOAT),
                helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
                helper.make_node("Conv", ["planes", "conv.weight", "conv.bias"], ["mixed"]),
                helper.make_node("Clip", ["mixed", "low", "high"], ["clipped"]),
                helper.make_node("Transpose", ["clipped"], ["rows"], perm=[0, 2, 3, 1]),
                helper.make_node("Cast", ["rows"], ["stylized"], to=TensorProto.UINT8),
            ],
            "tiny",
            [helper.make_tensor_value_info("picture", **port)],
            [helper.make_tensor_value_info("stylized", **port)],
            [
                numpy_helper.from_array(weight, "conv.weight"),
                numpy_helper.from_array(np.zeros(3, np.float32), "conv.bias"),
                numpy_helper.from_array(np.float32(0), "low"),
                numpy_helper.from_array(np.float32(255), "high"),
            ],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        if text is not None:
            helper.set_model_props(model, {KEY: text, "another": "key"})
        path = tmp_path / name
        onnx.save(model, path)
        return path

    return make
