"""Recipes by name and from files, changed, checked and run."""

from __future__ import annotations

import dataclasses
import importlib
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest

from deepcanon.core.errors import BadInput, MissingExtra
from deepcanon.training import recipe as recipes
from deepcanon.training.recipe import Named, all_recipes, choose, find, start
from deepcanon.training.recipe_text import differs, summary, to_yaml


class Pooling(StrEnum):
    MAX = "max"
    AVERAGE = "average"


@dataclass(frozen=True, kw_only=True)
class Inner:
    width: int = 8  # channels
    depth: int = 2


@dataclass(frozen=True, kw_only=True)
class Everything:
    """A recipe with a field of every kind.

    More about it.
    """

    runner: ClassVar[str] = "tests_runner:train"
    needs: ClassVar[tuple[str, ...]] = ("photos", "paintings")

    photos: str = ""  # a folder
    paintings: str = ""
    steps: int = 10
    # How fast it learns;
    # less is slower.
    rate: float = 1e-05
    precision: Literal["auto", "float32"] = "auto"  # of the sums
    pooling: Pooling = Pooling.MAX
    taps: tuple[str, ...] = ("relu1_1", "relu2_1")
    weights: dict[str, float] = field(default_factory=lambda: {"relu1_1": 1.0})
    flip: bool = True
    limit: int | None = None
    inner: Inner = Inner()

    def __post_init__(self) -> None:
        if self.steps == 13:
            raise ValueError("13 brings bad luck")


EVERYTHING = Everything()


@pytest.fixture(autouse=True)
def _one_more(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    found = {"everything": Named("everything", "style", EVERYTHING), **all_recipes()}
    monkeypatch.setattr(recipes, "all_recipes", lambda: found)
    yield


def chosen(*settings: str) -> Any:
    return choose("everything", settings=settings).recipe


def test_recipes_are_found_in_every_domain() -> None:
    named = find("slim-vgg")
    assert (named.name, named.domain) == ("slim-vgg", "style")
    for each in all_recipes().values():
        module, _, function = each.recipe.runner.partition(":")
        assert callable(getattr(importlib.import_module(module), function)), each.name


def test_two_recipes_of_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = types.ModuleType("deepcanon.classify.recipes")
    twice.RECIPES = {"slim-vgg": EVERYTHING}  # type: ignore[attr-defined]
    twice.__spec__ = importlib.machinery.ModuleSpec(twice.__name__, None)
    monkeypatch.setitem(sys.modules, twice.__name__, twice)
    with pytest.raises(ValueError, match="two recipes are named 'slim-vgg'"):
        all_recipes.__wrapped__()


def test_an_unknown_name_lists_near_ones() -> None:
    with pytest.raises(BadInput, match="no recipe is named 'slim'") as refused:
        choose("slim")
    assert "slim-vgg" in refused.value.hint
    with pytest.raises(BadInput) as refused:
        choose("xyzzy")
    assert refused.value.hint == "deepcanon recipes lists them"


def test_a_name_alone_is_the_recipe_itself() -> None:
    assert choose("everything") == ("everything", "everything", EVERYTHING)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("photos=my photos", {"photos": "my photos"}),
        ("photos=a=b,c", {"photos": "a=b,c"}),
        ("photos=2024", {"photos": "2024"}),
        ("steps=25", {"steps": 25}),
        (" steps = 25 ", {"steps": 25}),
        ("rate=3e-3", {"rate": 0.003}),
        ("rate=1", {"rate": 1.0}),
        ("precision=float32", {"precision": "float32"}),
        ("pooling=average", {"pooling": Pooling.AVERAGE}),
        ("taps=[a, b]", {"taps": ("a", "b")}),
        ("taps=a,b", {"taps": ("a", "b")}),
        ("taps=a", {"taps": ("a",)}),
        ("weights={a: 1, b: 2.5}", {"weights": {"a": 1.0, "b": 2.5}}),
        ("weights.relu2_1=3", {"weights": {"relu1_1": 1.0, "relu2_1": 3.0}}),
        ("weights.a.b=3", {"weights": {"relu1_1": 1.0, "a.b": 3.0}}),
        ("flip=false", {"flip": False}),
        ("flip=no", {"flip": False}),
        ("limit=5", {"limit": 5}),
        ("limit=null", {"limit": None}),
        ("inner.width=4", {"inner": Inner(width=4)}),
    ],
)
def test_settings(setting: str, expected: dict[str, Any]) -> None:
    assert chosen(setting) == dataclasses.replace(EVERYTHING, **expected)
    ((key, value),) = expected.items()
    assert type(getattr(chosen(setting), key)) is type(value)


def test_later_settings_win_and_none_changes_the_recipe() -> None:
    found = chosen("steps=1", "weights.a=1", "steps=2", "weights.b=2")
    assert (found.steps, found.weights) == (2, {"relu1_1": 1.0, "a": 1.0, "b": 2.0})
    assert EVERYTHING.weights == {"relu1_1": 1.0}


@pytest.mark.parametrize(
    ("setting", "error", "hint"),
    [
        ("stpes=3", "recipe everything has no setting 'stpes'", "did you mean steps"),
        ("xyzzy=3", "recipe everything has no setting 'xyzzy'", "it has photos, paintings"),
        ("inner.widht=3", "has no setting 'inner.widht'", "did you mean width"),
        ("runner=os:remove", "has no setting 'runner'", ""),
        ("steps", "--set takes KEY=VALUE, not 'steps'", "--set steps=10"),
        ("=3", "--set takes KEY=VALUE", ""),
        ("steps=many", "steps = 'many': input should be a valid integer", "recipes show"),
        ("steps=1.5", "steps = '1.5': input should be a valid integer", ""),
        ("steps=", "steps = '': input should be a valid integer", ""),
        ("steps=-1", "steps is -1: numbers are finite, and 0 or more", ""),
        ("steps=13", "steps: 13 brings bad luck", ""),
        ("rate=nan", "rate is nan", ""),
        ("rate=inf", "rate is inf", ""),
        ("precision=half", "precision = 'half': input should be 'auto' or 'float32'", ""),
        ("pooling=mean", "pooling = 'mean': input should be 'max' or 'average'", ""),
        ("weights=3", "weights = '3': input should be a valid dictionary", ""),
        ("weights.a=x", "weights.a = 'x': input should be a valid number", ""),
        ("weights.a=-1", "0 or more", ""),
        ("steps.a=1", "steps has no part 'a'", "set steps itself"),
        ("flip=perhaps", "flip = 'perhaps': input should be a valid boolean", ""),
        ("inner=4", "inner has settings of its own", "inner.width=8"),
        ("taps={a: 1}", "taps = ", ""),
        ("taps=[a", "taps = '[a': input should be a valid tuple", ""),
    ],
)
def test_bad_settings(setting: str, error: str, hint: str) -> None:
    with pytest.raises(BadInput) as refused:
        chosen(setting)
    assert error in refused.value.message
    assert hint in refused.value.hint
    assert "\n" not in refused.value.message + refused.value.hint


def write(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_file_says_its_base_and_what_differs(tmp_path: Path) -> None:
    text = "recipe: everything\nsteps: 20\nweights: {a: 2}\ninner: {depth: 5}\ninner.width: 3\n"
    found = choose(write(tmp_path / "mine.yaml", text), settings=["steps=30"])
    assert (found.name, found.title) == ("everything", "mine")
    assert found.recipe == dataclasses.replace(
        EVERYTHING, steps=30, weights={"a": 2.0}, inner=Inner(width=3, depth=5)
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "does not say which recipe it changes"),
        ("steps: 3", "does not say which recipe it changes"),
        ("- recipe", "does not say which recipe it changes"),
        ("recipe: [a]", "does not say which recipe it changes"),
        ("recipe: everythin", "no recipe is named 'everythin'"),
        ("recipe: everything\nstpes: 3", "has no setting 'stpes'"),
        ("recipe: everything\n5: 3", "has no setting '5'"),
        ("recipe: everything\nsteps: many", "steps = 'many'"),
        ("recipe: everything\nsteps: true", "steps is True, which is not a number"),
        ("recipe: everything\nphotos: 2024", "photos = 2024: input should be a valid string"),
        ("recipe: everything\nsteps: [1", "mine.yaml, line 2 is not YAML"),
        ("recipe: !!python/object/apply:os.getcwd []", "is not YAML"),
        ("recipe: everything\n\tsteps: 1", "is not YAML"),
    ],
)
def test_bad_files(text: str, error: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput) as refused:
        choose(write(tmp_path / "mine.yaml", text))
    assert error in refused.value.message
    assert "\n" not in refused.value.message


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"no\.yaml does not exist"):
        choose(str(tmp_path / "no.yaml"))
    (tmp_path / "binary.yml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match=r"binary\.yml cannot be read"):
        choose(str(tmp_path / "binary.yml"))
    (tmp_path / "folder.yaml").mkdir()
    with pytest.raises(BadInput, match=r"folder\.yaml cannot be read"):
        choose(str(tmp_path / "folder.yaml"))


def test_a_file_does_not_hide_the_recipe_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("everything", "mine"):
        write(tmp_path / name, "recipe: everything\nsteps: 20\n")
    assert choose("everything").recipe == EVERYTHING
    for spelled in ("./everything", str(tmp_path / "everything"), "mine"):
        assert choose(spelled).recipe.steps == 20, spelled
    with pytest.raises(BadInput, match="nowhere/everything does not exist"):
        choose("nowhere/everything")


def test_without_the_make_half(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pydantic", None)
    monkeypatch.setattr(recipes, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra):
        choose("everything")
    with pytest.raises(MissingExtra):
        start(choose_nothing(), folder=Path("x"), resume=False, quiet=True)


def choose_nothing() -> recipes.Chosen:
    return recipes.Chosen("everything", "everything", EVERYTHING)


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the recipe's runner was called with."""
    calls: list[Any] = []
    module = types.ModuleType("tests_runner")

    def train(recipe: Any, **how: Any) -> Path:
        calls.append((recipe, how))
        return Path("made")

    module.train = train  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tests_runner", module)
    return calls


def test_start_calls_the_runner(runner: list[Any], tmp_path: Path) -> None:
    ready = choose("everything", settings=["photos=a", "paintings=b"])
    assert start(ready, folder=tmp_path, resume=False, quiet=True) == Path("made")
    assert runner == [(ready.recipe, {"folder": tmp_path, "resume": False, "quiet": True})]


def test_start_says_what_is_missing_and_what_is_in_the_way(
    runner: list[Any], tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="recipe everything needs photos and paintings") as refused:
        start(choose_nothing(), folder=tmp_path, resume=False, quiet=True)
    assert refused.value.hint == "add --set photos=... --set paintings=..."
    ready = choose("everything", settings=["photos=a", "paintings=b"])
    with pytest.raises(BadInput, match="to resume"):
        start(ready, folder=tmp_path, resume=True, quiet=True)
    (tmp_path / "last.ckpt").write_text("")
    with pytest.raises(BadInput, match="already holds a run"):
        start(ready, folder=tmp_path, resume=False, quiet=True)
    assert runner == []


def test_another_recipe_is_told_before_anything_is_read(runner: list[Any], tmp_path: Path) -> None:
    import torch

    from deepcanon.training.provenance import as_dict

    ready = choose("everything", settings=["photos=a", "paintings=b"])
    stored = {**as_dict(ready.recipe), "steps": 11}
    torch.save({"deepcanon": {"recipe": stored, "step": 1}}, tmp_path / "last.ckpt")
    with pytest.raises(BadInput, match=r"\(steps: 11 then, 10 now\)"):
        start(ready, folder=tmp_path, resume=True, quiet=True)
    assert runner == []


def test_yaml_with_a_note_beside_each_field() -> None:
    assert to_yaml(find_everything()) == TEXT


def find_everything() -> Named:
    return Named("everything", "style", EVERYTHING)


TEXT = """\
# A recipe with a field of every kind.
# deepcanon recipes show everything > mine.yaml, change it, deepcanon train mine.yaml.
# Lines that stay as they are may go.
recipe: everything

photos: ""                    # needed; a folder
paintings: ""                 # needed
steps: 10
rate: 1.0e-05                 # How fast it learns; less is slower.
precision: auto               # of the sums; auto | float32
pooling: max                  # max | average
taps: [relu1_1, relu2_1]
weights:
  relu1_1: 1.0
flip: true
limit: null
inner:
  width: 8                    # channels
  depth: 2
"""


def test_what_is_printed_is_read_back(tmp_path: Path) -> None:
    odd = Everything(
        photos='say "no": # ☃',
        paintings="yes",
        rate=2.5e20,
        weights={"on": 0.1, "a b": 3.0},
        taps=("null", "1", "a,b"),
        inner=Inner(width=0),
    )
    text = to_yaml(Named("everything", "style", odd))
    assert choose(write(tmp_path / "mine.yaml", text)).recipe == odd


@pytest.mark.parametrize("name", list(all_recipes()))
def test_every_recipe_is_read_back(name: str, tmp_path: Path) -> None:
    text = to_yaml(all_recipes()[name])
    found = choose(write(tmp_path / "mine.yaml", text))
    assert found.name == name
    assert found.recipe == all_recipes()[name].recipe


def test_summary_and_what_differs() -> None:
    assert summary(EVERYTHING) == "A recipe with a field of every kind."
    assert differs(EVERYTHING) == {}
    assert differs(Everything(steps=3, flip=False)) == {"steps": 3, "flip": False}
