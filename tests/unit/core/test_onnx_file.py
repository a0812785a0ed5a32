from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from deepcanon.core.errors import BadInput, DeepcanonError
from deepcanon.core.onnx_file import open_onnx


def _write(path: Path, tensors: list[onnx.TensorProto], metadata: dict[str, str]) -> Path:
    port = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", 3])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["b", 3])
    # Old exporters list the weights among the graph's inputs.
    inputs = [port, *(helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in tensors)]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])], "g", inputs, [out], tensors
    )
    model = helper.make_model(graph)
    helper.set_model_props(model, metadata)
    path.write_bytes(model.SerializeToString())
    return path


@given(metadata=st.dictionaries(st.text(), st.text(), max_size=5))
def test_metadata_is_what_onnx_reads(
    tmp_path_factory: pytest.TempPathFactory, metadata: dict[str, str]
) -> None:
    path = _write(tmp_path_factory.mktemp("onnx") / "x.onnx", [], metadata)
    expected = {each.key: each.value for each in onnx.load(path).metadata_props}
    assert open_onnx(path).metadata() == expected == metadata


def test_shapes_are_lengths_or_names(tmp_path: Path) -> None:
    weight = numpy_helper.from_array(np.zeros((2, 5), np.float32), "w")
    file = open_onnx(_write(tmp_path / "x.onnx", [weight], {}))
    assert file.shape("x") == file.shape("y") == ("b", 3)
    assert file.shape("w") == (2, 5)
    with pytest.raises(KeyError, match="nothing"):
        file.shape("nothing")


def test_a_side_without_a_length_or_a_name(tmp_path: Path) -> None:
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 3]) for name in "xy"]
    node = helper.make_node("Identity", ["x"], ["y"])
    graph = helper.make_graph([node], "g", ports[:1], ports[1:])
    path = tmp_path / "x.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    assert open_onnx(path).shape("x") == ("", 3)


def _norm(training: int) -> onnx.NodeProto:
    """As torch writes it: with both averages besides where it computes as in training."""
    inputs, outputs = ["x", "scale", "shift", "mean", "variance"], ["n", "m", "v"]
    return helper.make_node(
        "BatchNormalization", inputs, outputs[: 1 + 2 * training], training_mode=training
    )


def _dropout(*more: str) -> onnx.NodeProto:
    """Inputs after the first are the rate and whether to compute as in training."""
    return helper.make_node("Dropout", ["x", *more], ["y"])


def _constant(name: str, value: bool | float) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(value)))


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([_norm(0)], []),
        ([_norm(1)], ["BatchNormalization"]),
        ([_norm(0), _norm(1), _norm(0)], ["BatchNormalization"]),
        ([_dropout()], []),
        ([_constant("t", True), _dropout("", "t")], ["Dropout"]),
        ([_constant("t", False), _dropout("", "t")], []),
        ([_constant("r", 0.5), _dropout("r")], []),
        ([_constant("r", 0.5), _dropout("r", "yes")], ["Dropout"]),
        ([_dropout("", "asked")], []),
        ([_norm(1), _dropout("", "yes")], ["BatchNormalization", "Dropout"]),
        ([helper.make_node("Other", ["x"], ["y"], training_mode=1)], []),
    ],
)
def test_nodes_that_compute_as_in_training(
    tmp_path: Path, nodes: list[onnx.NodeProto], said: list[str]
) -> None:
    graph = helper.make_graph(nodes, "g", [], [], [numpy_helper.from_array(np.array(True), "yes")])
    path = tmp_path / "x.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    assert open_onnx(path).as_in_training() == said


@pytest.mark.parametrize(
    "dtype",
    ["float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8", "uint16", "bool"],
)
@pytest.mark.parametrize("raw", [True, False], ids=["raw", "typed"])
def test_weights_are_what_onnx_reads(tmp_path: Path, dtype: str, raw: bool) -> None:
    values = (np.arange(12).reshape(2, 3, 2) - (0 if dtype[0] in "ub" else 5)).astype(dtype)
    if raw:
        tensor = numpy_helper.from_array(values, "w")
    else:
        kind = helper.np_dtype_to_tensor_dtype(values.dtype)
        tensor = helper.make_tensor("w", kind, values.shape, values.flatten().tolist())
    assert tensor.HasField("raw_data") == raw
    path = _write(tmp_path / "x.onnx", [tensor], {})
    (read,) = open_onnx(path).weights()
    assert read[0] == "w"
    assert read[1].dtype == values.dtype
    np.testing.assert_array_equal(read[1], numpy_helper.to_array(tensor))


def test_bfloat16_is_widened(tmp_path: Path) -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.BFLOAT16, dims=[3])
    tensor.raw_data = np.array([0x3F80, 0xC000, 0x7FC0], "<u2").tobytes()  # 1, -2, NaN
    ((_, values),) = open_onnx(_write(tmp_path / "x.onnx", [tensor], {})).weights()
    np.testing.assert_array_equal(values, np.array([1, -2, np.nan], np.float32))


def test_scalars_empty_and_unusual_tensors(tmp_path: Path) -> None:
    tensors = [
        numpy_helper.from_array(np.float32(3), "scalar"),
        numpy_helper.from_array(np.zeros((0, 4), np.float32), "empty"),
        helper.make_tensor("text", TensorProto.STRING, [1], [b"a"]),
    ]
    weights = dict(open_onnx(_write(tmp_path / "x.onnx", tensors, {})).weights())
    assert set(weights) == {"scalar", "empty"}
    assert weights["scalar"].shape == () and weights["scalar"] == 3
    assert weights["empty"].shape == (0, 4)


def test_ports_leave_the_weights_out(tmp_path: Path) -> None:
    path = _write(tmp_path / "x.onnx", [numpy_helper.from_array(np.ones(3), "w")], {})
    file = open_onnx(path)
    assert file.inputs() == ["x"] and file.outputs() == ["y"]


def test_every_cut_of_a_file_is_noticed_or_harmless(make_onnx: Callable[..., Path]) -> None:
    """Cut anywhere: a two-line error, or (cut between two fields) less of it, never a crash."""
    path = make_onnx()
    content = path.read_bytes()
    whole = open_onnx(path).metadata()
    caught = 0
    ends = range(0, len(content), 3)
    for end in ends:
        path.write_bytes(content[:end])
        try:
            file = open_onnx(path)
            assert file.metadata().items() <= whole.items()
            list(file.weights())
        except BadInput as error:
            assert str(path) in error.message and error.hint
            caught += 1
    assert caught > 0.95 * len(ends)


@given(noise=st.binary(min_size=1, max_size=60))
def test_noise_never_crashes(tmp_path_factory: pytest.TempPathFactory, noise: bytes) -> None:
    path = tmp_path_factory.mktemp("noise") / "x.onnx"
    path.write_bytes(noise)
    for ask in (
        lambda f: f.metadata(),
        lambda f: list(f.weights()),
        lambda f: f.inputs(),
        lambda f: f.as_in_training(),
    ):
        _quietly(ask, path)


@given(at=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_a_flipped_byte_never_crashes(
    onnx_bytes: bytes, tmp_path_factory: pytest.TempPathFactory, at: int, byte: int
) -> None:
    content = bytearray(onnx_bytes)
    content[at % len(content)] = byte
    path = tmp_path_factory.mktemp("flip") / "x.onnx"
    path.write_bytes(content)
    for ask in (
        lambda f: f.metadata(),
        lambda f: list(f.weights()),
        lambda f: f.outputs(),
        lambda f: f.as_in_training(),
    ):
        _quietly(ask, path)


@pytest.fixture(scope="module")
def onnx_bytes(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    tensor = numpy_helper.from_array(np.ones((2, 3), np.float32), "w")
    return _write(tmp_path_factory.mktemp("b") / "x.onnx", [tensor], {"key": "value"}).read_bytes()


def _quietly(ask: Callable[[Any], object], path: Path) -> None:
    try:
        ask(open_onnx(path))
    except DeepcanonError as error:
        assert error.hint


def test_empty_missing_and_a_folder(tmp_path: Path) -> None:
    empty = tmp_path / "empty.onnx"
    empty.touch()
    for path, why in ((empty, "empty"), (tmp_path / "none.onnx", "exist"), (tmp_path, "a folder")):
        with pytest.raises(BadInput, match=why):
            open_onnx(path)
