"""The catalogue: what models there are, and how to make one.

Cards stand beside the networks, in files that import torch. So that listing them costs no torch,
an index of the cards (`assets/catalog.json`) is generated from the registered ones:
`python -m deepcanon.core.catalog` writes it, and a test proves that it is current.
"""

from __future__ import annotations

import dataclasses
import json
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from deepcanon.core.errors import BadInput, MissingExtra
from deepcanon.core.near import did_you_mean

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "INDEX",
    "ModelCard",
    "Variant",
    "check_weights",
    "create_model",
    "get_card",
    "index_text",
    "list_models",
    "register",
    "write_index",
]

INDEX = Path(__file__).resolve().parent.parent / "assets" / "catalog.json"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One named set of choices; `differs` says how it departs from the paper ("" = it does not).

    `weights` are the names of published weights that fit it, such as "imagenet"; a name that some
    network has and this variant has not is refused before its loader is asked.
    """

    config: Any
    differs: str
    weights: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What is known about a model before it is built. `input_size` is (channels, height, width)."""

    name: str
    domain: str
    rows: tuple[str, ...]
    title: str
    authors: str
    venue: str
    year: int
    link: str
    new: str
    variants: Mapping[str, Variant]
    input_size: tuple[int, int, int]
    default: str = "paper"

    def to_dict(self) -> dict[str, Any]:
        """All but the variants, ready for JSON."""
        names = (each.name for each in dataclasses.fields(self) if each.name != "variants")
        return {name: getattr(self, name) for name in names}


class Load(Protocol):
    """Fill `model` from `source`: a name such as "imagenet", or a path."""

    def __call__(self, model: Any, source: str | Path) -> object: ...


@dataclass(frozen=True)
class _Entry:
    card: ModelCard
    build: Callable[[Any], Any]
    load: Load | None


_registered: dict[str, _Entry] = {}
_Build = TypeVar("_Build", bound=Callable[[Any], Any])


def register(card: ModelCard, *, load: Load | None = None) -> Callable[[_Build], _Build]:
    """Enter `card` into the catalogue; decorates `def build(config: Config) -> nn.Module`.

    Raises `ValueError` when the name is taken or the card contradicts itself.
    """
    if card.name in _registered:
        raise ValueError(f"the catalogue already has a model named {card.name!r}")
    if card.default not in card.variants:
        raise ValueError(f"{card.name}: the default variant {card.default!r} is not in variants")
    for name, variant in card.variants.items():
        if not dataclasses.is_dataclass(variant.config) or isinstance(variant.config, type):
            raise ValueError(f"{card.name}: the config of variant {name!r} is not a dataclass")

    def enter(build: _Build) -> _Build:
        _registered[card.name] = _Entry(card, build, load)
        return build

    return enter


def list_models(*, domain: str | None = None) -> list[ModelCard]:
    """The cards, by domain and name; each variant's config is a plain dict here.

    Models that were registered from outside the package are among them. Raises `BadInput` when no
    model is of `domain`.
    """
    cards = [get_card(name) for name in {**_index(), **_registered}]
    cards.sort(key=lambda card: (card.domain, card.name))
    domains = sorted({card.domain for card in cards})
    if domain is not None and domain not in domains:
        raise BadInput(f"no domain is named '{domain}'", hint=f"domains: {', '.join(domains)}")
    return [card for card in cards if domain in (None, card.domain)]


def get_card(name: str) -> ModelCard:
    """The card of one model; each variant's config is a plain dict here, imported or not.

    Raises `BadInput` with near names when there is none.
    """
    return _find(name)[0]


def create_model(
    name: str, *, variant: str | None = None, weights: str | Path | None = None, **config: Any
) -> nn.Module:
    """Build a model, randomly initialised as its paper says unless `weights` are given.

    `variant` defaults to the card's; keyword arguments replace fields of its config.
    Raises `BadInput` for an unknown model, variant, field or value and for weights of another
    network, `MissingExtra` without torch.
    """
    _, module = _find(name)
    if find_spec("torch") is None:
        raise MissingExtra(extra="train", need=f"building {name}")
    import_module(module)
    entry = _registered[name]
    chosen = _variant(entry.card, variant)
    if weights is not None:
        _check_published(weights, card=entry.card, variant=variant or entry.card.default)
        check_weights(weights, model=name, variant=variant or entry.card.default)
    model = entry.build(_replace(chosen.config, config, where=name))
    if weights is not None:
        if entry.load is None:
            raise BadInput(
                f"{name} has no loader for weights",
                hint="leave weights out, then load a state dict into the module yourself",
            )
        entry.load(model, weights)
    built: nn.Module = model
    return built


def check_weights(weights: str | Path, *, model: str, variant: str) -> None:
    """Raise `BadInput` where a file of ours says that it holds another network.

    The tensors would not tell: those of plain-20 have the names and shapes of ResNet-20's. Files of
    others, and names such as "imagenet", say nothing.
    """
    from deepcanon.core.record import read_record  # and numpy, which the catalogue does without

    try:
        record = read_record(weights)
    except BadInput:
        return  # a file that is missing or damaged is for its reader to name
    if (record.model, record.variant) == (model, variant):
        return
    raise BadInput(
        f"{weights} holds {record.model} {record.variant}, not {model} {variant}",
        hint=f"ask for {record.model} {record.variant}, or give weights of {model} {variant}",
    )


def _check_published(weights: str | Path, *, card: ModelCard, variant: str) -> None:
    """Raise `BadInput` for the name of published weights, "imagenet", where none fit."""
    named = {
        name for each in list_models() for own in each.variants.values() for name in own.weights
    }
    if str(weights) not in named or str(weights) in card.variants[variant].weights:
        return
    have = [name for name, each in card.variants.items() if str(weights) in each.weights]
    raise BadInput(
        f"there are no published {weights} weights for {card.name} {variant}",
        hint=f"variants that have some: {', '.join(have)}"
        if have
        else "give the path of a weights file, or leave weights out and train",
    )


def index_text() -> str:
    """The index as it should stand in the repository: imports every module of the package."""
    package = __name__.split(".", maxsplit=1)[0]
    path = import_module(package).__path__
    for module in pkgutil.walk_packages(path, prefix=f"{package}."):
        if module.name != f"{package}.__main__":  # which is not a module but the program
            import_module(module.name)
    entries = [
        entry for entry in _registered.values() if entry.build.__module__.startswith(f"{package}.")
    ]
    entries.sort(key=lambda entry: (entry.card.domain, entry.card.name))
    models = [_to_index(entry) for entry in entries]
    return json.dumps({"format": 1, "models": models}, indent=1, ensure_ascii=False) + "\n"


def write_index() -> Path:
    """Write `assets/catalog.json` anew."""
    text = index_text()
    INDEX.parent.mkdir(exist_ok=True)
    INDEX.write_text(text, encoding="utf-8")
    _index.cache_clear()
    return INDEX


@cache
def _index() -> dict[str, tuple[ModelCard, str]]:
    if not INDEX.exists():
        return {}
    content = json.loads(INDEX.read_text(encoding="utf-8"))
    return {each["name"]: _from_index(each) for each in content["models"]}


def _to_index(entry: _Entry) -> dict[str, Any]:
    card = entry.card
    variants = {
        name: {
            "differs": variant.differs,
            "weights": variant.weights,
            "config": _plain(variant.config),
        }
        for name, variant in card.variants.items()
    }
    return {**card.to_dict(), "module": entry.build.__module__, "variants": variants}


def _from_index(content: dict[str, Any]) -> tuple[ModelCard, str]:
    content = dict(content)
    module = content.pop("module")
    channels, height, width = content["input_size"]
    content["input_size"] = (channels, height, width)
    content["rows"] = tuple(content["rows"])
    content["variants"] = {
        name: Variant(
            config=each["config"], differs=each["differs"], weights=tuple(each["weights"])
        )
        for name, each in content["variants"].items()
    }
    return ModelCard(**content), module


def _find(name: str) -> tuple[ModelCard, str]:
    if name in _registered:
        entry = _registered[name]
        variants = {
            key: dataclasses.replace(each, config=_plain(each.config))
            for key, each in entry.card.variants.items()
        }
        return dataclasses.replace(entry.card, variants=variants), entry.build.__module__
    if name in _index():
        return _index()[name]
    known = sorted({*_index(), *_registered})
    raise BadInput(
        f"no model is named '{name}'",
        hint=did_you_mean(name, known, otherwise="`deepcanon list` shows them all"),
    )


def _variant(card: ModelCard, name: str | None) -> Variant:
    name = card.default if name is None else name
    if name not in card.variants:
        raise BadInput(
            f"{card.name} has no variant '{name}'", hint=f"variants: {', '.join(card.variants)}"
        )
    return card.variants[name]


def _replace(config: Any, changes: Mapping[str, Any], *, where: str) -> Any:
    names = [each.name for each in dataclasses.fields(config) if each.init]
    unknown = [name for name in changes if name not in names]
    if unknown:
        raise BadInput(
            f"{where} has no setting named '{unknown[0]}'", hint=f"settings: {', '.join(names)}"
        )
    cast = {
        name: _like(getattr(config, name), value, where=f"{where}.{name}")
        for name, value in changes.items()
    }
    try:
        return dataclasses.replace(config, **cast)
    except (TypeError, ValueError) as cause:
        raise BadInput(
            f"{where} does not accept {changes}: {cause}", hint=f"settings: {', '.join(names)}"
        ) from cause


def _like(current: Any, value: Any, *, where: str) -> Any:
    """A value that came through JSON (a record's config) back in the kind the config holds."""
    if dataclasses.is_dataclass(current) and isinstance(value, Mapping):
        return _replace(current, value, where=where)
    if isinstance(current, Enum) and not isinstance(value, Enum):
        try:
            return type(current)(value)
        except ValueError as cause:
            choices = ", ".join(str(each.value) for each in type(current))
            raise BadInput(f"{where} cannot be '{value}'", hint=f"choices: {choices}") from cause
    if isinstance(value, list) and not isinstance(current, list):
        return _tuple(value)
    return value


def _tuple(value: Any) -> Any:
    return tuple(_tuple(each) for each in value) if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, Enum):
        return value.value
    if callable(value):
        return value.__name__
    return value


if __name__ == "__main__":
    # Under `python -m` this file is `__main__`, a second copy that no model registers with.
    print(import_module("deepcanon.core.catalog").write_index())
