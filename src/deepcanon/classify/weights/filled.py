"""A classifier of the catalogue with weights in it, also those of an exported `.onnx` file."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from torch import nn

from deepcanon.core.catalog import check_weights, create_model
from deepcanon.core.record import read_record
from deepcanon.engine.export import read_weights
from deepcanon.nn.layer_table import receptive_fields
from deepcanon.nn.preprocessing import Preprocessing
from deepcanon.nn.weights import Weights, copy_into

__all__ = ["filled"]


def filled(
    model: str, *, variant: str, weights: str | Path, settings: Mapping[str, Any], side: int
) -> nn.Module:
    """The network that `create_model` makes of ``settings``, holding ``weights``.

    They are "imagenet" or a file; a `.onnx` file is one that deepcanon exported. What does not run
    on a picture, ``side`` pixels wide, is not exported (auxiliary classifiers): it keeps its first
    draw. Where the weights say how pictures must be prepared, the network's ``preprocessing`` does.

    Raises BadInput for weights of another network, that lack a tensor or have one too many.
    """
    if Path(weights).suffix.lower() != ".onnx":
        return create_model(model, variant=variant, weights=weights, **settings)
    check_weights(weights, model=model, variant=variant)
    net = create_model(model, variant=variant, **settings)
    found = read_weights(weights)
    own = {key: value for key, value in net.state_dict().items() if key not in found}
    if own:
        runs = receptive_fields(net, input_size=(3, side, side))
        own = {key: value for key, value in own.items() if key.rpartition(".")[0] not in runs}
    copy_into(net, Weights(tensors={**own, **found}, source=str(weights)))
    with suppress(KeyError, TypeError, ValueError):
        net.preprocessing = Preprocessing.from_dict(read_record(weights).preprocessing)  # type: ignore[assignment]
    return net
