"""A recipe as YAML to copy and change, with the comments that stand beside its fields."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import io
import json
import math
import re
import textwrap
import tokenize
from collections.abc import Mapping
from enum import Enum
from typing import Any, Literal, get_args, get_origin, get_type_hints

from deepcanon.training.recipe import Named, needed

# Plain YAML text is read back as text when it looks like this and is none of the words below.
_PLAIN = re.compile(r"[A-Za-z][\w./-]*")
_WORDS = {"true", "false", "yes", "no", "on", "off", "y", "n", "null", "none", "inf", "nan"}
_COLUMN = 30  # where comments begin


def summary(recipe: Any) -> str:
    """The first line of what the recipe's class says of itself."""
    return (inspect.getdoc(type(recipe)) or "").partition("\n")[0]


def differs(recipe: Any) -> dict[str, Any]:
    """The fields in which a recipe differs from its class's defaults."""
    usual = type(recipe)()
    names = (field.name for field in dataclasses.fields(recipe))
    return {n: getattr(recipe, n) for n in names if getattr(recipe, n) != getattr(usual, n)}


def to_yaml(named: Named) -> str:
    """Everything a recipe says, as the YAML file that `deepcanon.training.recipe.choose` reads."""
    head = [
        f"# {summary(named.recipe)}",
        f"# deepcanon recipes show {named.name} > mine.yaml, change it, deepcanon train mine.yaml.",
        "# Lines that stay as they are may go.",
        f"recipe: {_scalar(named.name)}",
    ]
    return "\n".join([*head, "", *_block(named.recipe, indent="")]) + "\n"


def _block(recipe: Any, *, indent: str) -> list[str]:
    lines: list[str] = []
    said, hints = notes(type(recipe)), get_type_hints(type(recipe))
    for field in dataclasses.fields(recipe):
        value = getattr(recipe, field.name)
        note = _note(
            said.get(field.name, ""), hints[field.name], needs=field.name in needed(recipe)
        )
        start = f"{indent}{field.name}:"
        if dataclasses.is_dataclass(value):
            lines += [_line(start, note), *_block(value, indent=f"{indent}  ")]
        elif isinstance(value, Mapping) and value:
            lines.append(_line(start, note))
            lines += [f"{indent}  {_scalar(str(k))}: {_scalar(v)}" for k, v in value.items()]
        else:
            lines.append(_line(f"{start} {_scalar(value)}", note))
    return lines


def _line(text: str, note: str) -> str:
    return f"{text:<{_COLUMN}}# {note}" if note else text


def _note(said: str, hint: Any, *, needs: bool) -> str:
    """What stands beside a field: whether it is needed, its comment, and its possible values."""
    values = ""
    if get_origin(hint) is Literal:
        values = " | ".join(str(each) for each in get_args(hint))
    elif isinstance(hint, type) and issubclass(hint, Enum):
        values = " | ".join(str(each.value) for each in hint)
    return "; ".join(part for part in ("needed" if needs else "", said, values) if part)


def _scalar(value: Any) -> str:
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, str):
        plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
        return value if plain else json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_scalar(each) for each in value)}]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(str(k))}: {_scalar(v)}" for k, v in value.items()) + "}"
    return str(value)


def _number(value: float) -> str:
    """YAML 1.1 takes 1e-05 for text: a point is wanted, and a sign."""
    if not math.isfinite(value):
        return ".nan" if math.isnan(value) else f"{'-' if value < 0 else ''}.inf"
    digits, e, exponent = repr(value).partition("e")
    return f"{digits if '.' in digits else digits + '.0'}e{exponent}" if e else digits


def notes(recipe: type) -> dict[str, str]:
    """Field -> the comment behind it in the source, or the lines of comment directly above it.

    Nothing where there is no source to read.
    """
    found: dict[str, str] = {}
    for cls in reversed(recipe.__mro__):
        if not dataclasses.is_dataclass(cls):
            continue
        try:
            source = textwrap.dedent(inspect.getsource(cls))
        except (OSError, TypeError):
            continue
        found |= _notes_in(source)
    return found


def _notes_in(source: str) -> dict[str, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {
        token.start[0]: (token.string.lstrip("# ").strip(), token.line.lstrip().startswith("#"))
        for token in tokens
        if token.type == tokenize.COMMENT
    }
    found = {}
    (body,) = ast.parse(source).body
    assert isinstance(body, ast.ClassDef)
    for node in body.body:
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        if node.end_lineno in comments:
            found[node.target.id] = comments[node.end_lineno][0]
            continue
        above: list[str] = []
        row = node.lineno - 1
        while comments.get(row, ("", False))[1]:
            above.insert(0, comments[row][0])
            row -= 1
        if above:
            found[node.target.id] = " ".join(above)
    return found
