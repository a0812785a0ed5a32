"""Recipes: found by name, changed by a YAML file and by ``--set``, checked field by field, run.

A recipe is a frozen dataclass in a domain's ``recipes.py``, and its name a key of ``RECIPES``
there. What the class says beside its fields:

- ``runner``, "module:function" of ``train(recipe, *, folder, resume, quiet) -> Path | None``, where
  None means interrupted. It hands `deepcanon.training.provenance.as_dict` of the recipe to `fit`.
- ``needs``, the fields that have no sensible default and are empty until somebody fills them in.

Listing recipes needs neither PyTorch nor pydantic; those are imported when one is changed or run.
"""

from __future__ import annotations

import dataclasses
import math
import pkgutil
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, get_type_hints

import deepcanon
from deepcanon.core.errors import BadInput, MissingExtra
from deepcanon.core.near import did_you_mean


class Named(NamedTuple):
    """A recipe, what it is called, and the domain it is of."""

    name: str
    domain: str
    recipe: Any


class Chosen(NamedTuple):
    """A recipe as it will be run: the name of its base, and a title to name a folder by."""

    name: str
    title: str
    recipe: Any


@cache
def all_recipes() -> dict[str, Named]:
    """Every recipe of every domain, by name, in the order of the domains' files."""
    found: dict[str, Named] = {}
    for package in pkgutil.iter_modules(deepcanon.__path__):
        module = f"deepcanon.{package.name}.recipes"
        if not package.ispkg or find_spec(module) is None:
            continue
        # The command line has a recipes.py too, with none in it.
        for name, recipe in getattr(import_module(module), "RECIPES", {}).items():
            if name in found:
                raise ValueError(f"two recipes are named {name!r}")
            found[name] = Named(name, package.name, recipe)
    return found


def find(name: str) -> Named:
    """The recipe of a name. Raises BadInput with near names."""
    found = all_recipes()
    if name in found:
        return found[name]
    hint = did_you_mean(name, found, otherwise="deepcanon recipes lists them")
    raise BadInput(f"no recipe is named '{name}'", hint=hint)


def choose(name_or_file: str, *, settings: Sequence[str] = ()) -> Chosen:
    """The recipe of a name or of a YAML file, with ``KEY=VALUE`` settings applied in order.

    A YAML file ends in .yaml or .yml, holds a path separator, or has a name that no recipe has. It
    names its base (``recipe: NAME``) and holds only the keys that differ. Raises
    BadInput for a recipe, key or value that is not right, naming it.
    """
    from_file = _is_file(name_or_file)
    if not from_file:
        find(name_or_file)  # a name that there is not is said before packages are asked for
    if find_spec("pydantic") is None or find_spec("yaml") is None:
        raise MissingExtra(extra="train", need="training")
    path = Path(name_or_file)
    if from_file:
        name, changes = _from_file(path)
        title = path.stem
    else:
        name, changes, title = name_or_file, {}, name_or_file
    base = find(name)
    recipe = base.recipe
    for key, value in changes.items():
        recipe = _with(recipe, str(key), value, of=name)
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key.strip():
            raise BadInput(
                f"--set takes KEY=VALUE, not '{setting}'", hint=f"as in --set {_example(recipe)}"
            )
        recipe = _with(recipe, key.strip(), _Text(text.strip()), of=name)
    return Chosen(name, title, recipe)


def _is_file(name_or_file: str) -> bool:
    """Whether it is spelled like a file, or is one; what only has a recipe's name is the recipe."""
    path = Path(name_or_file)
    if path.suffix.lower() in (".yaml", ".yml") or path.name != name_or_file:
        return True
    return name_or_file not in all_recipes() and path.is_file()


def start(
    chosen: Chosen, *, folder: Path, resume: bool, quiet: bool, threads: int | None = None
) -> Path | None:
    """Run a recipe; returns what it made, or None when it was interrupted (and can be resumed).

    Raises BadInput for settings that are still missing, for a folder that holds another run, and
    whatever the recipe's runner does. A recipe with ``processes`` is run by as many.
    """
    ready(chosen, threads=threads)
    from deepcanon.training.provenance import as_dict
    from deepcanon.training.resume import LAST, check_folder, check_same_recipe

    # `fit` asks the same, but only after the minutes that reading photographs may take.
    check_folder(folder, resume=resume)
    if resume:
        check_same_recipe(folder / LAST, as_dict(chosen.recipe))
    processes = getattr(chosen.recipe, "processes", 1)
    if processes > 1:
        from deepcanon.training.ranks import run_together

        return run_together(
            chosen.recipe.runner,
            chosen.recipe,
            folder=folder,
            resume=resume,
            quiet=quiet,
            processes=processes,
        )
    module, _, function = chosen.recipe.runner.partition(":")
    run = getattr(import_module(module), function)
    made: Path | None = run(chosen.recipe, folder=folder, resume=resume, quiet=quiet)
    return made


def ready(chosen: Chosen, *, threads: int | None) -> None:
    """See that a recipe can be run, and set the processor threads.

    Raises BadInput for settings that are still missing, MissingExtra without PyTorch.
    """
    if find_spec("torch") is None or find_spec("pytorch_lightning") is None:
        raise MissingExtra(extra="train", need="training")
    if missing := [key for key in needed(chosen.recipe) if not getattr(chosen.recipe, key)]:
        raise BadInput(
            f"recipe {chosen.name} needs {' and '.join(missing)}",
            hint="add " + " ".join(f"--set {key}=..." for key in missing),
        )
    if threads is not None:
        import torch

        torch.set_num_threads(threads)


def needed(recipe: Any) -> tuple[str, ...]:
    """The fields that somebody must fill in before the recipe can be run."""
    return tuple(getattr(recipe, "needs", ()))


class _Text(str):
    """A value as it was typed behind ``--set``, of no type yet."""


def _from_file(path: Path) -> tuple[str, Mapping[str, Any]]:
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadInput(f"{path} does not exist", hint="deepcanon recipes lists the names") from None
    except (OSError, UnicodeDecodeError) as cause:
        raise BadInput(f"{path} cannot be read: {cause}", hint="give a YAML file") from cause
    except yaml.YAMLError as cause:
        mark = getattr(cause, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(cause, "problem", None) or "it cannot be parsed"
        raise BadInput(
            f"{path}{where} is not YAML: {problem}",
            hint="deepcanon recipes show NAME prints one to copy",
        ) from cause
    if not isinstance(content, dict) or not isinstance(content.get("recipe"), str):
        raise BadInput(
            f"{path} does not say which recipe it changes",
            hint="its first line is recipe: NAME, as deepcanon recipes show NAME prints it",
        )
    return content.pop("recipe"), content


def _with(recipe: Any, path: str, value: Any, *, of: str, within: str = "") -> Any:
    """A recipe with one field, or one part of a field ("style_taps.relu1_2"), changed."""
    key, _, rest = path.partition(".")
    names = [field.name for field in dataclasses.fields(recipe)]
    if key not in names:
        raise BadInput(
            f"recipe {of} has no setting '{within}{key}'",
            hint=did_you_mean(key, names, otherwise=f"it has {', '.join(names)}"),
        )
    now = getattr(recipe, key)
    if dataclasses.is_dataclass(now):
        if not rest and not isinstance(value, Mapping):
            raise BadInput(
                f"{within}{key} has settings of its own", hint=f"as in {key}.{_example(now)}"
            )
        for name, part in ({rest: value} if rest else value).items():
            now = _with(now, str(name), part, of=of, within=f"{within}{key}.")
        new = now
    elif rest and not isinstance(now, Mapping):
        raise BadInput(f"{within}{key} has no part '{rest}'", hint=f"set {within}{key} itself")
    else:
        hint = get_type_hints(type(recipe))[key]
        new = _checked({**now, rest: value} if rest else value, hint, name=f"{within}{key}", of=of)
    try:
        return dataclasses.replace(recipe, **{key: new})
    except ValueError as cause:  # a recipe that checks what no type can say
        raise BadInput(f"{within}{key}: {cause}", hint=_where_to_look(of)) from cause


def _checked(value: Any, hint: Any, *, name: str, of: str) -> Any:
    """A value of the type that a field has. Raises BadInput that names the field."""
    from pydantic import TypeAdapter, ValidationError

    adapter: TypeAdapter[Any] = TypeAdapter(hint)
    first: ValidationError | None = None
    for reading in _readings(value):
        try:
            found = adapter.validate_python(reading)
        except ValidationError as error:
            first = first or error
            continue
        if isinstance(reading, bool) and not isinstance(found, bool):  # pydantic: true is 1
            raise BadInput(f"{name} is {reading}, which is not a number", hint=_where_to_look(of))
        if not _sane(found):
            raise BadInput(
                f"{name} is {value}: numbers are finite, and 0 or more", hint=_where_to_look(of)
            )
        return found
    assert first is not None
    complaint = first.errors()[0]
    part = "".join(f".{each}" for each in complaint["loc"])
    message = complaint["msg"][:1].lower() + complaint["msg"][1:]
    raise BadInput(f"{name}{part} = {complaint['input']!r}: {message}", hint=_where_to_look(of))


def _readings(value: Any) -> list[Any]:
    """What a value may mean: as it is; typed text also as YAML, and as a list (``a.jpg,b.jpg``)."""
    if not isinstance(value, _Text):
        return [value]
    import yaml

    readings: list[Any] = [str(value)]
    for text in (value, f"[{value}]"):
        try:
            readings.append(yaml.safe_load(text))
        except yaml.YAMLError:
            continue
    return [each for each in readings if isinstance(each, (str, list, dict)) or each is None]


def _sane(value: Any) -> bool:
    """Whether all numbers in it are finite, and none negative: no setting means such a one."""
    if isinstance(value, Mapping):
        return all(_sane(each) for each in value.values())
    if isinstance(value, (list, tuple)):
        return all(_sane(each) for each in value)
    return not isinstance(value, (int, float)) or (math.isfinite(value) and value >= 0)


def _where_to_look(name: str) -> str:
    return f"deepcanon recipes show {name} prints every setting and its value"


def _example(recipe: Any) -> str:
    """A setting that somebody may want to change: ``steps=2500``."""
    names = [field.name for field in dataclasses.fields(recipe)]
    name = "steps" if "steps" in names else names[0]
    return f"{name}={getattr(recipe, name)}"
