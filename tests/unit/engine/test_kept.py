"""Sessions that stay open: one a file, engine and thread count, and none of a file that changed."""

from __future__ import annotations

import os
from pathlib import Path

from deepcanon.engine.kept import kept_session
from tests import tiny_classifier


def test_the_same_file_gives_the_same_session(tmp_path: Path) -> None:
    path = tiny_classifier.write(tmp_path / "net.onnx")
    first = kept_session(path, engine="onnxruntime", threads=1)
    assert kept_session(path, engine="onnxruntime", threads=1) is first
    assert kept_session(path, engine="onnxruntime", threads=2) is not first


def test_a_file_that_was_written_again_is_opened_again(tmp_path: Path) -> None:
    path = tiny_classifier.write(tmp_path / "net.onnx")
    first = kept_session(path, engine="onnxruntime", threads=1)
    tiny_classifier.write(path, labels=["a", "b", "c"])
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    second = kept_session(path, engine="onnxruntime", threads=1)
    assert second.record is not None and second.record.labels == ["a", "b", "c"]
    assert first.record is not None and first.record.labels == ["red", "green", "blue"]
