from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from deepcanon.core import catalog
from deepcanon.core.catalog import ModelCard, Variant, create_model, get_card, list_models, register
from deepcanon.core.errors import BadInput, MissingExtra


class Pool(Enum):
    MAX = "max"
    AVERAGE = "average"


@dataclass(frozen=True)
class Head:
    width: int = 8


@dataclass(frozen=True)
class Config:
    depth: int = 2
    widths: tuple[tuple[int, ...], ...] = ((1, 2), (3,))
    pool: Pool = Pool.MAX
    head: Head = field(default_factory=Head)
    rate: float | None = None

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise ValueError("depth is below 1")


def card(name: str, **changes: Any) -> ModelCard:
    content: dict[str, Any] = {
        "name": name,
        "domain": "classify",
        "rows": ("C10",),
        "title": "A network",
        "authors": "A. Author",
        "venue": "ICLR",
        "year": 2015,
        "link": "https://example.org",
        "new": "depth",
        "variants": {
            "paper": Variant(config=Config(), differs=""),
            "deep": Variant(config=Config(depth=9), differs="deeper"),
        },
        "input_size": (3, 224, 224),
    }
    return ModelCard(**{**content, **changes})


@pytest.fixture(autouse=True)
def _empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setattr(catalog, "_registered", {})
    monkeypatch.setattr(catalog, "INDEX", tmp_path / "catalog.json")
    catalog._index.cache_clear()
    yield
    catalog._index.cache_clear()


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module that the test's builders claim to stand in."""
    module = ModuleType("deepcanon.classify.made_up")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def enter(home: ModuleType, one: ModelCard, *, load: Any = None) -> None:
    def build(config: Config) -> SimpleNamespace:
        return SimpleNamespace(config=config, weights=None)

    build.__module__ = home.__name__
    register(one, load=load)(build)


def write_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog.pkgutil, "walk_packages", lambda *_, **__: [])
    catalog.write_index()


def test_a_name_can_be_taken_once(home: ModuleType) -> None:
    enter(home, card("vgg16"))
    with pytest.raises(ValueError, match="'vgg16'"):
        enter(home, card("vgg16"))


def test_a_card_that_contradicts_itself(home: ModuleType) -> None:
    with pytest.raises(ValueError, match="default variant 'authors'"):
        enter(home, card("x", default="authors"))
    with pytest.raises(ValueError, match="not a dataclass"):
        enter(home, card("x", variants={"paper": Variant(config={}, differs="")}))
    with pytest.raises(ValueError, match="not a dataclass"):
        enter(home, card("x", variants={"paper": Variant(config=Config, differs="")}))


def test_the_builder_comes_back_unchanged() -> None:
    def build(config: Config) -> int:
        return config.depth

    assert register(card("x"))(build) is build


def test_create_builds_the_default_variant_with_changes(home: ModuleType) -> None:
    enter(home, card("x", default="deep"))
    assert create_model("x").config == Config(depth=9)
    assert create_model("x", variant="paper").config == Config()
    assert create_model("x", rate=0.5).config == Config(depth=9, rate=0.5)


def test_a_config_that_went_through_json_comes_back_as_it_was(home: ModuleType) -> None:
    enter(home, card("x"))
    wanted = Config(widths=((4,), (5, 6)), pool=Pool.AVERAGE, head=Head(width=3), rate=1.0)
    written = json.loads(json.dumps(catalog._plain(wanted)))
    assert written["widths"] == [[4], [5, 6]] and written["pool"] == "average"
    assert create_model("x", **written).config == wanted


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        ({"deptth": 3}, "x has no setting named 'deptth'", "depth, widths, pool, head, rate"),
        ({"head": {"size": 1}}, "x.head has no setting named 'size'", "width"),
        ({"pool": "sum"}, "x.pool cannot be 'sum'", "max, average"),
        ({"depth": 0}, "depth is below 1", "depth, widths"),
    ],
)
def test_bad_settings(home: ModuleType, changes: dict[str, Any], message: str, hint: str) -> None:
    enter(home, card("x"))
    with pytest.raises(BadInput) as caught:
        create_model("x", **changes)
    assert message in caught.value.message and hint in caught.value.hint


def test_an_unknown_variant_lists_the_known(home: ModuleType) -> None:
    enter(home, card("x"))
    with pytest.raises(BadInput) as caught:
        create_model("x", variant="keras")
    assert caught.value.hint == "variants: paper, deep"


def test_an_unknown_model_lists_near_names(home: ModuleType) -> None:
    enter(home, card("vgg16"))
    enter(home, card("johnson"))
    for ask in (get_card, create_model):
        with pytest.raises(BadInput) as caught:
            ask("VGG-16")
        assert "did you mean vgg16?" in caught.value.hint and "johnson" not in caught.value.hint


def test_weights_go_to_the_loader(home: ModuleType) -> None:
    def load(model: Any, source: str | Path) -> None:
        model.weights = source

    enter(home, card("x"), load=load)
    assert create_model("x").weights is None
    assert create_model("x", weights="imagenet").weights == "imagenet"
    assert create_model("x", weights=Path("w.safetensors")).weights == Path("w.safetensors")


def test_weights_without_a_loader(home: ModuleType) -> None:
    enter(home, card("x"))
    with pytest.raises(BadInput, match="x has no loader"):
        create_model("x", weights="imagenet")


def test_without_torch_it_says_what_to_install(
    home: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(home, card("x"))
    monkeypatch.setattr(catalog, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra) as caught:
        create_model("x")
    assert "[train]" in caught.value.hint


def test_the_index_holds_the_cards(home: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(home, card("b"))
    enter(home, card("a"))
    enter(home, card("net", domain="style", default="deep"))
    write_index(monkeypatch)
    monkeypatch.setattr(catalog, "_registered", {})
    assert [one.name for one in list_models()] == ["a", "b", "net"]
    assert [one.name for one in list_models(domain="style")] == ["net"]
    read = get_card("a")
    plain = {"depth": 2, "widths": [[1, 2], [3]], "pool": "max", "head": {"width": 8}, "rate": None}
    assert read.variants["paper"] == Variant(config=plain, differs="")
    assert replace(read, variants={}) == replace(card("a"), variants={})


def test_a_card_reads_the_same_once_its_module_is_imported(
    home: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(home, card("a"))
    write_index(monkeypatch)
    imported = get_card("a")
    monkeypatch.setattr(catalog, "_registered", {})
    assert get_card("a") == imported


def test_an_unknown_domain(home: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(home, card("a"))
    write_index(monkeypatch)
    with pytest.raises(BadInput) as caught:
        list_models(domain="clasify")
    assert caught.value.hint == "domains: classify"


def test_create_imports_the_module_that_the_index_names(
    home: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter(home, card("a"))
    write_index(monkeypatch)
    monkeypatch.setattr(catalog, "_registered", {})
    imported = []

    def import_module(name: str) -> ModuleType:
        imported.append(name)
        enter(home, card("a"))
        return home

    monkeypatch.setattr(catalog, "import_module", import_module)
    assert create_model("a", depth=4).config == Config(depth=4)
    assert imported == [home.__name__]


def test_models_of_others_stay_out_of_the_index(monkeypatch: pytest.MonkeyPatch) -> None:
    register(card("mine"))(lambda config: None)
    write_index(monkeypatch)
    assert catalog._index() == {}


def test_models_of_others_are_listed(home: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(home, card("b"))
    write_index(monkeypatch)
    register(card("a"))(lambda config: None)
    register(card("mine", domain="audio"))(lambda config: None)
    listed = list_models()
    assert [each.name for each in listed] == ["mine", "a", "b"]
    assert [each.name for each in list_models(domain="audio")] == ["mine"]
    assert listed[1].variants["deep"].config["depth"] == 9  # plain, as those of the index
