"""The `.onnx` file of a classifier: what it takes, what it tells apart, how pictures are prepared.

Its contract: one input float32 [b, 3, h, w], one output float32 [b, classes] of logits. The record
in it names in `labels` the classes in the order of the logits (or none), and says in
`preprocessing` what pictures must look like: see `nn.preprocessing`, and with `side` the side in
pixels that is cut out and with `resize` what the shorter side is brought to before.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from deepcanon.core.assets import find
from deepcanon.core.catalog import get_card
from deepcanon.core.errors import BadInput
from deepcanon.core.onnx_file import OnnxFile, open_onnx
from deepcanon.core.record import Record, read_record
from deepcanon.nn.preprocessing import Preprocessing

__all__ = ["NetworkFile", "open_network", "usual_resize"]

# ImageNet's habit (AlexNet §4.1): a crop of 224 from a shorter side of 256.
_RESIZE_TO_SIDE = 256 / 224
_TINY = 64  # pictures of this side and less are whole as they are: CIFAR, digits


@dataclass(frozen=True, kw_only=True)
class NetworkFile:
    """A classifier on disk, not yet opened by an engine; `side` and `resize` are in pixels."""

    path: Path
    record: Record
    input: str  # the name of the input
    any_size: bool  # whether pictures of any size go in
    classes: tuple[str, ...]  # in the order of the logits; "class 17" where the record names none
    preprocessing: Preprocessing
    side: int
    resize: int


def open_network(model: str | Path) -> NetworkFile:
    """Read about the classifier in a `.onnx` file, or about one that ships, by its name.

    Raises `BadInput` for another kind of file, one that breaks the contract, and a record that does
    not say how pictures must be prepared; `Unavailable` for a shipped file that is not what was
    shipped.
    """
    path, record = _open(model)
    file = open_onnx(path)
    name, fixed = _input(file)
    preprocessing = _preprocessing(path, record)
    side, resize = _sides(path, record, fixed=fixed)
    return NetworkFile(
        path=path,
        record=record,
        input=name,
        any_size=fixed is None,
        classes=_classes(file, record),
        preprocessing=preprocessing,
        side=side,
        resize=resize,
    )


def usual_resize(side: int) -> int:
    """What the shorter side is brought to, in pixels, before a crop of `side` where nobody says."""
    return side if side <= _TINY else round(side * _RESIZE_TO_SIDE)


def _open(model: str | Path) -> tuple[Path, Record]:
    """The file of a network and its record, which must be that of a classifier."""
    path = find(model)
    if path.suffix.lower() == ".safetensors":
        beside = path.with_suffix(".onnx")
        raise BadInput(
            f"{path} is a checkpoint, and classifiers run from .onnx files",
            hint=f"give {beside}"
            if beside.exists()
            else f"make one: deepcanon export MODEL --weights {path} -o {beside}",
        )
    if path.suffix.lower() != ".onnx":
        raise BadInput(
            f"{path} is not a .onnx file", hint="make one of a checkpoint with deepcanon export"
        )
    record = read_record(path)
    if record.domain != "classify":
        raise BadInput(
            f"{path} is not a classifier: its record says {record.model}, {record.domain}",
            hint="give a file that deepcanon train or export wrote for a classifier",
        )
    return path, record


def _input(file: OnnxFile) -> tuple[str, tuple[int, int] | None]:
    """The name of the input, and the (height, width) it takes if it takes no other."""
    inputs, outputs = file.inputs(), file.outputs()
    shape = file.shape(inputs[0]) if len(inputs) == 1 else ()
    if len(outputs) != 1 or len(shape) != 4 or shape[1] != 3:
        raise BadInput(
            f"{file.path} breaks the contract of a classifier: pictures in, class scores out",
            hint="export it again with deepcanon export",
        )
    height, width = shape[2:]
    if isinstance(height, int) and isinstance(width, int):
        return inputs[0], (height, width)
    return inputs[0], None


def _classes(file: OnnxFile, record: Record) -> tuple[str, ...]:
    (output,) = file.outputs()
    count = file.shape(output)[-1]
    if not isinstance(count, int):
        count = len(record.labels)
    if count < 1 or (record.labels and len(record.labels) != count):
        raise BadInput(
            f"{file.path} names {len(record.labels)} classes and tells {count} apart",
            hint="export it again with deepcanon export",
        )
    return tuple(record.labels) or tuple(f"class {index}" for index in range(count))


def _preprocessing(path: Path, record: Record) -> Preprocessing:
    try:
        return Preprocessing.from_dict(record.preprocessing)
    except (KeyError, TypeError, ValueError) as cause:
        raise BadInput(
            f"the record of {path} does not say how pictures must be prepared",
            hint="export weights that do: those of a training here, or published ones "
            "(imagenet); random ones and plain files of others say nothing",
        ) from cause


def _sides(path: Path, record: Record, *, fixed: tuple[int, int] | None) -> tuple[int, int]:
    """The side that is cut out, and what the shorter side is brought to before, in pixels."""
    side, resize = (record.preprocessing.get(name) for name in ("side", "resize"))
    if side is None:
        side = fixed[0] if fixed is not None else _side_of(record.model)
    if side is None:
        raise BadInput(
            f"the record of {path} does not say how large its pictures must be",
            hint="export or train it again, with the side in its preprocessing",
        )
    if resize is None and isinstance(side, int):
        resize = usual_resize(side)
    if not isinstance(side, int) or not isinstance(resize, int) or not 1 <= side <= resize:
        raise BadInput(
            f"the record of {path} wants {side} pixels cut from a shorter side of {resize}",
            hint="export or train it again: side and resize are whole numbers, side the smaller",
        )
    if fixed not in (None, (side, side)):
        raise BadInput(
            f"{path} takes pictures of {fixed[0]}x{fixed[1]} pixels, and its record says {side}",
            hint="export it again with deepcanon export",
        )
    return side, resize


def _side_of(model: str) -> int | None:
    """The catalogue's side for the model of a record that is mute."""
    try:
        return get_card(model).input_size[1]
    except BadInput:
        return None
