"""What a `.onnx` file says, read without the onnx package (the use half does not have it).

A `.onnx` file is one protobuf message. Only the few fields that are needed are walked; the rest
is stepped over, so reading the metadata of a large network costs as much as of a small one.
Field numbers are those of onnx.proto (https://github.com/onnx/onnx).
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deepcanon.core.errors import BadInput
from deepcanon.core.reading import opened

__all__ = ["OnnxFile", "open_onnx"]

Span = tuple[int, int]  # first byte, byte after the last

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5

# ModelProto
_GRAPH, _METADATA_PROPS = 7, 14
# GraphProto
_NODE, _INITIALIZER, _INPUT, _OUTPUT = 1, 5, 11, 12
# NodeProto
_NODE_INPUT, _NODE_OUTPUT, _OP_TYPE, _ATTRIBUTE = 1, 2, 4, 5
# AttributeProto
_ATTRIBUTE_NAME, _ATTRIBUTE_INT, _ATTRIBUTE_TENSOR = 1, 3, 5
# TensorProto
_DIMS, _DATA_TYPE, _FLOAT_DATA, _INT32_DATA, _INT64_DATA, _NAME, _RAW_DATA = 1, 2, 4, 5, 7, 8, 9
_DOUBLE_DATA, _DATA_LOCATION = 10, 14
# ValueInfoProto
_VALUE_NAME, _VALUE_TYPE = 1, 2
# TypeProto.tensor_type, TypeProto.Tensor.shape, TensorShapeProto.dim
_TENSOR_TYPE, _SHAPE, _DIM = 1, 2, 1
# TensorShapeProto.Dimension
_DIM_VALUE, _DIM_PARAM = 1, 2

_BFLOAT16 = 16
_DTYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("<f4"),
    2: np.dtype("u1"),
    3: np.dtype("i1"),
    4: np.dtype("<u2"),
    5: np.dtype("<i2"),
    6: np.dtype("<i4"),
    7: np.dtype("<i8"),
    9: np.dtype("?"),
    10: np.dtype("<f2"),
    11: np.dtype("<f8"),
    12: np.dtype("<u4"),
    13: np.dtype("<u8"),
    _BFLOAT16: np.dtype("<u2"),  # its bits; widened to float32 on the way out
}


@dataclass(frozen=True)
class OnnxFile:
    """One file, its bytes mapped (not read) until something is asked of it."""

    path: Path
    content: bytes | mmap.mmap

    def metadata(self) -> dict[str, str]:
        """The metadata_props. Raises `BadInput` when the file is not whole."""
        pairs = {}
        for number, span in self._fields((0, len(self.content))):
            if number == _METADATA_PROPS:
                texts = {1: "", 2: ""}
                for part, inner in self._fields(span):
                    texts[part] = self._text(inner)
                pairs[texts[1]] = texts[2]
        return pairs

    def inputs(self) -> list[str]:
        """Names of the graph's inputs, in order, without those that are weights."""
        weights = {name for name, _ in self._initializers()}
        return [name for name in self._value_names(_INPUT) if name not in weights]

    def outputs(self) -> list[str]:
        """Names of the graph's outputs, in order."""
        return self._value_names(_OUTPUT)

    def shape(self, name: str) -> tuple[int | str, ...]:
        """The sides of an input or an output: lengths, or a name where any length will do.

        Raises `KeyError` when the graph has no such input or output.
        """
        for graph in self._graphs():
            for number, span in self._fields(graph):
                if number in (_INPUT, _OUTPUT) and name in self._texts(span, _VALUE_NAME):
                    path = (_VALUE_TYPE, _TENSOR_TYPE, _SHAPE, _DIM)
                    return tuple(map(self._side, self._inside(span, *path)))
        raise KeyError(name)

    def weights(self) -> Iterator[tuple[str, npt.NDArray[Any]]]:
        """Each initialiser's name and values, one at a time; bfloat16 comes as float32.

        Those of unusual types (strings, 4 bits, kept in another file) are passed over.
        """
        for name, span in self._initializers():
            values = self._tensor(span)
            if values is not None:
                yield name, values

    def as_in_training(self) -> list[str]:
        """Which of BatchNormalization and Dropout the graph computes as training does.

        A Dropout whose third input, which says so, is no constant counts as one that does not.
        """
        constants = dict(self._initializers())
        found = set()
        for graph in self._graphs():
            for node in self._inside(graph, _NODE):
                kind = "".join(self._texts(node, _OP_TYPE))
                if kind == "Constant":
                    values = self._inside(node, _ATTRIBUTE, _ATTRIBUTE_TENSOR)
                    constants.update(zip(self._texts(node, _NODE_OUTPUT), values, strict=False))
                elif kind == "BatchNormalization" and self._is_set(node, "training_mode"):
                    found.add(kind)
                elif kind == "Dropout":
                    given = [constants.get(each) for each in self._texts(node, _NODE_INPUT)[2:]]
                    if any(self._is_true(each) for each in given if each is not None):
                        found.add(kind)
        return sorted(found)

    def _is_set(self, node: Span, name: str) -> bool:
        """Whether the node's attribute of that name is there and an integer other than 0."""
        return any(
            number == _ATTRIBUTE_INT and bool(value)
            for attribute in self._inside(node, _ATTRIBUTE)
            if self._texts(attribute, _ATTRIBUTE_NAME) == [name]
            for number, value in self._all_fields(attribute)
        )

    def _is_true(self, tensor: Span) -> bool:
        values = self._tensor(tensor)
        return values is not None and bool(values.any())

    def _texts(self, span: Span, number: int) -> list[str]:
        return [self._text(inner) for inner in self._inside(span, number)]

    def _graphs(self) -> Iterator[Span]:
        for number, span in self._fields((0, len(self.content))):
            if number == _GRAPH:
                yield span

    def _value_names(self, which: int) -> list[str]:
        names = []
        for graph in self._graphs():
            for number, span in self._fields(graph):
                if number == which:
                    names += self._texts(span, _VALUE_NAME)
        return names

    def _inside(self, span: Span, *path: int) -> Iterator[Span]:
        """The fields that a path of field numbers leads to."""
        if not path:
            yield span
            return
        for number, inner in self._fields(span):
            if number == path[0]:
                yield from self._inside(inner, *path[1:])

    def _side(self, span: Span) -> int | str:
        for number, value in self._all_fields(span):
            if number == _DIM_VALUE and isinstance(value, int):
                return value
            if number == _DIM_PARAM and not isinstance(value, int):
                return self._text(value)
        return ""

    def _initializers(self) -> Iterator[tuple[str, Span]]:
        for graph in self._graphs():
            for number, span in self._fields(graph):
                if number == _INITIALIZER:
                    names = self._texts(span, _NAME)
                    yield (names[0] if names else ""), span

    def _tensor(self, span: Span) -> npt.NDArray[Any] | None:
        dims: list[int] = []
        kind = location = 0
        raw: Span | None = None
        typed: list[tuple[int, Span]] = []
        for number, value in self._all_fields(span):
            if number == _DIMS:
                dims += [value] if isinstance(value, int) else self._packed(value)
            elif number == _DATA_TYPE and isinstance(value, int):
                kind = value
            elif number == _DATA_LOCATION and isinstance(value, int):
                location = value
            elif number == _RAW_DATA and not isinstance(value, int):
                raw = value
            elif number in (_FLOAT_DATA, _INT32_DATA, _INT64_DATA, _DOUBLE_DATA):
                if isinstance(value, int):
                    return None  # one by one, not packed: no exporter of today writes it
                typed.append((number, value))
        dtype = _DTYPES.get(kind)
        if dtype is None or location != 0:
            return None
        values = self._raw(raw, dtype) if raw is not None else self._typed(typed, dtype)
        if values.size != int(np.prod(dims, dtype=np.int64)):
            raise self._damaged("a weight is cut short")
        if kind == _BFLOAT16:
            values = (values.astype(np.uint32) << 16).view(np.float32)
        return values.reshape(dims)

    def _raw(self, span: Span, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        count, rest = divmod(span[1] - span[0], dtype.itemsize)
        if rest:
            raise self._damaged("a weight is cut short")
        return np.frombuffer(self.content, dtype, count, span[0])

    def _typed(self, parts: list[tuple[int, Span]], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        arrays: list[npt.NDArray[Any]] = [np.empty(0, dtype)]
        for number, span in parts:
            if number in (_FLOAT_DATA, _DOUBLE_DATA):
                arrays.append(self._raw(span, np.dtype("<f4" if number == _FLOAT_DATA else "<f8")))
            elif dtype.kind == "f":
                arrays.append(np.array(self._packed(span), np.uint16).view(np.float16))
            else:
                arrays.append(np.array(self._packed(span), np.int64).astype(dtype))
        return np.concatenate(arrays).astype(dtype, copy=False)

    def _fields(self, span: Span) -> Iterator[tuple[int, Span]]:
        """Field number and span of each length-delimited field inside `span`."""
        for number, value in self._all_fields(span):
            if not isinstance(value, int):
                yield number, value

    def _all_fields(self, span: Span) -> Iterator[tuple[int, int | Span]]:
        at, end = span
        while at < end:
            start = at
            tag, at = self._varint(at, end)
            number, kind = tag >> 3, tag & 7
            value: int | Span
            if number == 0:
                raise self._damaged(f"no field at byte {start}")
            if kind == _VARINT:
                value, at = self._varint(at, end)
            elif kind in (_FIXED64, _FIXED32):
                value, at = 0, at + (8 if kind == _FIXED64 else 4)
            elif kind == _LENGTH:
                length, at = self._varint(at, end)
                value, at = (at, at + length), at + length
            else:
                raise self._damaged(f"no field at byte {start}")
            if at > end:
                raise self._damaged(f"the field at byte {start} runs past the end")
            yield number, value

    def _packed(self, span: Span) -> list[int]:
        at, end = span
        values = []
        while at < end:
            value, at = self._varint(at, end)
            values.append(value - (1 << 64) if value >> 63 else value)
        return values

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = 0
        for shift in range(0, 70, 7):
            if at >= end:
                raise self._damaged("it ends inside a number")
            byte = self.content[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at
        raise self._damaged(f"no number at byte {at}")

    def _text(self, span: Span) -> str:
        try:
            return self.content[span[0] : span[1]].decode("utf-8")
        except UnicodeDecodeError as cause:
            raise self._damaged(f"no text at byte {span[0]}") from cause

    def _damaged(self, why: str) -> BadInput:
        return BadInput(
            f"{self.path} is not a whole ONNX file: {why}",
            hint="it may be cut short or of another kind; export or download it again",
        )


def open_onnx(path: str | Path) -> OnnxFile:
    """Open a `.onnx` file. Raises `BadInput` when it is missing, unreadable or empty."""
    path = Path(path)
    with opened(path, what="model file") as file:
        if file.seek(0, 2) == 0:
            raise BadInput(
                f"{path} is not a whole ONNX file: it is empty",
                hint="export or download it again",
            )
        return OnnxFile(path, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
