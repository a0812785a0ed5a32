"""Weights files in and out: foreign dialects read as plain tensors, keys mapped one by one.

| file | dialect | how it is read |
|---|---|---|
| ``.pth`` ``.pt`` | torchvision and other PyTorch state dicts | `weights_only`: code never runs |
| ``.safetensors`` | ours, with a `Record` inside | `safetensors` |
| ``.h5`` ``.hdf5`` | Keras 1 to 3, convolutions | `h5py`; kernels become [out, in, h, w] |

`read` gives the tensors, `copy_into` puts them into a module. A `KeyMap` says where each key of a
file goes; ``None`` means dropped on purpose. A key that is left over or missing, another shape, a
NaN: each is an error that names the tensor. Only how many batches a norm has seen may be missing:
PyTorch did not count them before 0.4.1, and files from then are still published.
"""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile, is_zipfile

import torch
from torch import Tensor, nn

from deepcanon.core.atomic import write_whole
from deepcanon.core.errors import BadInput
from deepcanon.core.order import natural
from deepcanon.core.reading import opened
from deepcanon.core.record import KEY, Record, record_in
from deepcanon.nn.preprocessing import Preprocessing

KeyMap = Mapping[str, str | None]

_KERAS_NAMES = {
    "kernel": "weight",  # Keras 2
    "W_1": "weight",  # Keras 1, as in keras.applications' published files
    "bias": "bias",
    "b_1": "bias",
}
_NUMBERED = re.compile(r"(conv2d|dense)(_\d+)?")  # what Keras calls a layer nobody named
_NOT_LAYERS = {"optimizer", "optimizer_weights"}


@dataclass(frozen=True, kw_only=True)
class Weights:
    """What stood in a file: tensors on the CPU, and what the file says about itself."""

    tensors: dict[str, Tensor]
    source: str  # for error messages
    record: Record | None = None
    preprocessing: Preprocessing | None = None  # where the dialect implies one
    order: tuple[str, ...] = field(default=())  # layers in the file's own order (Keras)


def read(path: str | Path) -> Weights:
    """Read a weights file by its suffix.

    Raises BadInput for a file that is missing, damaged, of an unknown kind, that would run code,
    or that holds a NaN or an infinity.
    """
    path = Path(path)
    readers = {
        ".pth": _read_torch,
        ".pt": _read_torch,
        ".safetensors": _read_safetensors,
        ".h5": _read_keras,
        ".hdf5": _read_keras,
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise BadInput(
            f"{path} is not a kind of weights file that can be read",
            hint=f"kinds: {', '.join(readers)}",
        )
    with opened(path, what="weights file"):
        weights = reader(path)
    _refuse_not_finite(weights)
    return weights


def write(module: nn.Module, path: str | Path, *, record: Record) -> Path:
    """Write ``module``'s state as ``.safetensors`` with ``record`` inside, whole or not at all.

    Raises BadInput when the folder cannot be written, Unavailable when the disk is full.
    """
    from safetensors.torch import save

    path = Path(path)
    if path.suffix.lower() != ".safetensors":
        raise BadInput(f"{path} is not named .safetensors", hint="weights are written as such")
    tensors = {
        key: value.detach().cpu().contiguous().clone()  # safetensors refuses shared memory
        for key, value in module.state_dict().items()
    }
    content = save(tensors, metadata={KEY: record.to_json()})
    with write_whole(path) as file:
        file.write(content)
    return path


def rename(weights: Weights, key_map: KeyMap) -> Weights:
    """The same tensors under the keys of ``key_map``; those mapped to ``None`` are dropped.

    Raises BadInput for a key of the file that the map does not know, and for one that it lacks.
    Keys that map to ``None`` need not be there.
    """
    unknown = sorted(weights.tensors.keys() - key_map.keys())
    if unknown:
        raise _mismatch(weights.source, f"has no place for {_list(unknown)} in this model")
    wanted = {key for key, target in key_map.items() if target is not None}
    missing = _missing(wanted, weights)
    if missing:
        raise _mismatch(weights.source, f"lacks {_list(missing)}, which this model needs")
    tensors = {
        target: weights.tensors[key]
        for key, target in key_map.items()
        if target is not None and key in weights.tensors
    }
    return replace(weights, tensors=tensors)


def copy_into(module: nn.Module, weights: Weights) -> None:
    """Put every tensor where its key says; the module keeps its own precision and device.

    Raises BadInput for keys left over or missing and for shapes that differ, and then leaves the
    module as it was.
    """
    state = module.state_dict()
    leftover = sorted(weights.tensors.keys() - state.keys())
    if leftover:
        raise _mismatch(weights.source, f"has no place for {_list(leftover)} in this model")
    missing = _missing(state.keys(), weights)
    if missing:
        raise _mismatch(weights.source, f"lacks {_list(missing)}, which this model needs")
    for key, theirs in weights.tensors.items():
        ours = state[key]
        if ours.shape != theirs.shape:
            raise _mismatch(
                weights.source,
                f"has {key} of shape {list(theirs.shape)}; this model's is {list(ours.shape)}",
            )
    with torch.no_grad():
        for key, theirs in weights.tensors.items():
            state[key].copy_(theirs)


def keras_layers(weights: Weights, *, kernels: list[tuple[int, ...]]) -> list[str]:
    """Find a stack of convolutions by the shapes of their kernels, in the file's own order.

    For files whose layers are numbered instead of named. ``kernels`` are [out, in, h, w]; the
    result holds one layer name for each. Raises BadInput when the file has no such sequence.
    """
    found: list[str] = []
    for layer in weights.order:
        if len(found) == len(kernels):
            break
        kernel = weights.tensors.get(f"{layer}.weight")
        if kernel is not None and tuple(kernel.shape) == kernels[len(found)]:
            found.append(layer)
    if len(found) < len(kernels):
        raise _mismatch(
            weights.source,
            f"has no convolution of shape {list(kernels[len(found)])} as number {len(found) + 1}",
        )
    return found


def _missing(wanted: Set[str], weights: Weights) -> list[str]:
    lacking = wanted - weights.tensors.keys()
    return sorted(key for key in lacking if not key.endswith(".num_batches_tracked"))


def _mismatch(source: str, what: str) -> BadInput:
    return BadInput(
        f"{source} {what}", hint="check that the file belongs to this model and this variant"
    )


def _list(keys: list[str], *, most: int = 4) -> str:
    rest = f" and {len(keys) - most} more" if len(keys) > most else ""
    return ", ".join(keys[:most]) + rest


def _refuse_not_finite(weights: Weights) -> None:
    for key, tensor in weights.tensors.items():
        if not tensor.is_floating_point() or bool(torch.isfinite(tensor).all()):
            continue
        what = "NaN" if bool(torch.isnan(tensor).any()) else "an infinity"
        raise BadInput(
            f"{weights.source} holds {what} in the tensor {key}",
            hint="these weights are broken: take an earlier checkpoint, or download them again",
        )


def _damaged(path: Path, kind: str, cause: Exception) -> BadInput:
    why = str(cause).strip().split("\n", maxsplit=1)[0] or "it ends too early"
    return BadInput(
        f"{path} is not a whole {kind} file: {why}",
        hint="it may be cut short or of another kind; download or export it again",
    )


# --- PyTorch -------------------------------------------------------------------------------------


def _read_torch(path: Path) -> Weights:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's remarks on old pickle protocols
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as cause:
        if "unsupported" in str(cause).lower() and _is_pickle(path):
            raise BadInput(
                f"{path} holds more than tensors: opening it could run a program, so it stays shut",
                hint="save only the state dict, torch.save(net.state_dict(), ...), or .safetensors",
            ) from cause
        raise _damaged(path, "PyTorch", ValueError("no PyTorch header")) from cause
    except (PermissionError, MemoryError):
        raise
    except Exception as cause:  # damaged bytes lead torch's reader to errors of every kind
        raise _damaged(path, "PyTorch", cause) from cause
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]  # a training checkpoint
    if not isinstance(content, dict) or not content:
        raise BadInput(
            f"{path} is not a state dict", hint="save one with torch.save(net.state_dict(), ...)"
        )
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise BadInput(
                f"{path} is not a state dict: {key!r} is a {type(value).__name__}, not a tensor",
                hint="save one with torch.save(net.state_dict(), ...)",
            )
    return Weights(tensors=dict(content), source=str(path))


def _is_pickle(path: Path) -> bool:
    """Whether the file looks like a pickle or like PyTorch's zip of one."""
    if is_zipfile(path):
        with ZipFile(path) as archive:
            return any(name.endswith("data.pkl") for name in archive.namelist())
    with path.open("rb") as file:
        return file.read(1) == b"\x80"  # the PROTO opcode that every pickle since Python 2.3 has


# --- safetensors ---------------------------------------------------------------------------------


def _read_safetensors(path: Path) -> Weights:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except SafetensorError as cause:
        raise _damaged(path, "safetensors", cause) from cause
    record = record_in(path)
    return Weights(
        tensors=tensors, source=str(path), record=record, preprocessing=_recorded(record)
    )


def _recorded(record: Record | None) -> Preprocessing | None:
    if record is None or not record.preprocessing:
        return None
    try:
        return Preprocessing.from_dict(record.preprocessing)
    except (KeyError, TypeError, ValueError):
        return None  # a record of a model that reads something else than RGB pictures


# --- Keras ---------------------------------------------------------------------------------------


def _read_keras(path: Path) -> Weights:
    """Convolution and dense layers of a Keras file, under ``layer.weight`` and ``layer.bias``.

    Keras 3 (`.weights.h5`) numbers the arrays and keeps the layer's name as an attribute; Keras 1
    and 2 name the groups. Convolution kernels are turned from [h, w, in, out] to [out, in, h, w],
    dense ones from [in, out] to [out, in].
    """
    import h5py

    tensors: dict[str, Tensor] = {}
    order: list[str] = []
    try:
        with h5py.File(path, "r") as file:
            for layer, part, array in _keras_arrays(file):
                key = f"{layer}.{part}"
                if key in tensors:
                    raise _mismatch(str(path), f"has two layers called {layer}")
                tensors[key] = _from_keras(torch.from_numpy(array))
                if layer not in order:
                    order.append(layer)
    except (OSError, KeyError) as cause:
        raise _damaged(path, "HDF5", cause) from cause
    return Weights(tensors=tensors, source=str(path), order=tuple(order))


def _from_keras(array: Tensor) -> Tensor:
    if array.ndim == 4:
        return array.permute(3, 2, 0, 1).contiguous()
    return array.t().contiguous() if array.ndim == 2 else array


def _keras_arrays(group: Any) -> Iterator[tuple[str, str, Any]]:
    """Walk (layer name, "weight" or "bias", array), in the order in which a person counts."""
    import h5py

    if "layer_names" in group.attrs:  # Keras 1 and 2 write down the order of their layers
        names = [_text(name) for name in group.attrs["layer_names"]]
    else:
        names = sorted(group.keys() - _NOT_LAYERS, key=natural)
    for child in (group[name] for name in names):
        if isinstance(child, h5py.Dataset):
            yield _keras_layer(group), _keras_part(child.name), child[()]
        else:
            yield from _keras_arrays(child)


def _keras_layer(group: Any) -> str:
    """The name that Keras 3 notes beside the variables, if a person gave it, else the path's."""
    name = _text(group.attrs.get("name", ""))
    if name and not _NUMBERED.fullmatch(name):
        return name
    path = str(group.name).strip("/")
    if path.endswith("/vars"):  # Keras 3: the whole path, as the last part alone is not unique
        return path.removesuffix("/vars")
    return path.rsplit("/", maxsplit=1)[-1]


def _keras_part(name: str) -> str:
    """``kernel:0``, ``block1_conv1_W_1:0`` and ``0`` are a weight; ``bias:0``, ... a bias."""
    last = name.rsplit("/", maxsplit=1)[-1].split(":", maxsplit=1)[0]
    for ending, part in _KERAS_NAMES.items():
        if last == ending or last.endswith(f"_{ending}"):
            return part
    return {"0": "weight", "1": "bias"}.get(last, last)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
