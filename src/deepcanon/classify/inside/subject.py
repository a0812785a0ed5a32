"""The network that is looked into: built by name or read from a file, its layers by name."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from deepcanon.classify.weights.filled import filled
from deepcanon.core.assets import file_of
from deepcanon.core.catalog import check_weights, create_model, get_card
from deepcanon.core.errors import BadInput
from deepcanon.core.near import did_you_mean
from deepcanon.core.record import record_in
from deepcanon.nn import preprocessing
from deepcanon.nn.layer_table import Field, receptive_fields
from deepcanon.nn.preprocessing import Preprocessing
from deepcanon.nn.taps import tap_names

__all__ = ["Subject", "open_subject"]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A classifier, and how a picture becomes what it reads; sides are in pixels."""

    net: nn.Module
    model: str
    variant: str
    preprocessing: Preprocessing
    side: int  # the centre that is cut out
    resize: int  # what the shorter side is brought to before
    labels: tuple[str, ...]  # the classes in the order of the logits; empty where nobody says
    fields: Mapping[str, Field]  # what each part sees of a picture of side x side
    note: str = ""  # what a person should know of the weights

    @property
    def taps(self) -> dict[str, str]:
        """Where layers are only numbered, as VGG's, their names in the literature: conv3_1, ..."""
        stack = getattr(self.net, "features", None)
        if not isinstance(stack, nn.Sequential):
            return {}
        numbers = [name for name, _ in stack.named_children()]
        if not all(name.isdecimal() for name in numbers):
            return {}
        names = zip(tap_names(stack), numbers, strict=True)
        return {tap: f"features.{number}" for tap, number in names}

    def layer(self, name: str) -> str:
        """The name among ``named_modules`` of a layer, which may also be given as in `taps`.

        Raises BadInput for a name that no part has which runs on a picture.
        """
        taps = self.taps
        found = taps.get(name, name)
        if found in self.fields and found:
            return found
        known = [each for each in (*taps, *self.fields) if each]
        listed = f"`deepcanon describe {self.model}` lists them"
        raise BadInput(
            f"{self.model} {self.variant} has no layer '{name}'",
            hint=f"{did_you_mean(name, known, otherwise='')} {listed}".strip(),
        )

    def title(self, layer: str) -> str:
        """The literature's name of a layer where it has one, else its own."""
        return next((tap for tap, own in self.taps.items() if own == layer), layer)

    def prepare(self, pictures: Tensor) -> Tensor:
        """RGB in 0..1 [b, 3, h, w] -> what the network reads."""
        return preprocessing.preprocess(pictures, how=self.preprocessing)


def open_subject(
    model: str,
    *,
    variant: str | None = None,
    weights: str | Path | None = None,
    side: int | None = None,
) -> Subject:
    """A classifier by its name in the catalogue, or from a file of ours, ready to be looked into.

    ``model`` may also be the name of a classifier that ships. ``weights`` fills one of the
    catalogue: "imagenet", or a file; without any they are random (seed 0). ``side`` is that of the
    square it is shown, in place of the record's or the catalogue's. Raises BadInput for names and
    files that do not fit together, for a network of another domain and a side that is too small.
    """
    path = file_of(model)
    if path is not None:
        if weights is not None or variant is not None:
            raise BadInput(
                f"{model} is a file, which says its variant and brings its weights",
                hint="leave out --weights and --variant, or give the name of a model",
            )
        weights = path
    record = record_in(weights)
    if record is not None and path is not None:
        model = record.model
    card = get_card(model)
    if variant is None:
        variant = card.default if record is None or record.model != model else record.variant
    if weights is not None:
        check_weights(weights, model=model, variant=variant)
    if card.domain != "classify":
        raise BadInput(
            f"{model} is a network of {card.domain}, and only classifiers are looked into",
            hint="deepcanon list --domain classify shows them",
        )
    known = {} if record is None else record.preprocessing
    shown = side or known.get("side") or card.input_size[1]
    if weights is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # the same picture each time
            net = create_model(model, variant=variant)
    else:
        settings = {} if record is None else record.config
        net = filled(model, variant=variant, weights=weights, settings=settings, side=shown)
    return Subject(
        net=net.eval(),
        model=model,
        variant=variant,
        preprocessing=_preprocessing(net, known),
        side=shown,
        resize=shown if side is not None else known.get("resize") or shown,
        labels=() if record is None else tuple(record.labels),
        fields=receptive_fields(net, input_size=(3, shown, shown)),
        note=f"the weights of {model} are random; --weights FILE fills them"
        if weights is None
        else "",
    )


def _preprocessing(net: nn.Module, known: Mapping[str, Any]) -> Preprocessing:
    with suppress(KeyError, TypeError, ValueError):
        return Preprocessing.from_dict(known)
    own = getattr(net, "preprocessing", None)
    return own if isinstance(own, Preprocessing) else preprocessing.TORCHVISION
