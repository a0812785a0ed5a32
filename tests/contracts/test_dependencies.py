"""What the package imports is what pyproject.toml declares, in the half that it declares it for."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tools.eager_imports import lines_inside_functions

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "src"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "importlinter"
]["contracts"]
# Where a distribution does not carry the name of what is imported from it.
PACKAGES = {
    "pillow": {"PIL"},
    "pyyaml": {"yaml"},
    "pytorch-lightning": {"pytorch_lightning", "lightning_fabric"},
    "lightning-utilities": {"lightning_utilities"},
    "onnx-ir": {"onnx_ir"},
}


def declared(*requirements: str) -> set[str]:
    names = {re.split(r"[\s<>=!~;\[]", each, maxsplit=1)[0].lower() for each in requirements}
    return {package for name in names for package in PACKAGES.get(name, {name})}


USE = declared(*PROJECT["dependencies"])
ALL = USE | declared(
    *(each for extra in ("train", "fast") for each in PROJECT["optional-dependencies"][extra])
)


def module_of(path: Path) -> str:
    parts = path.relative_to(SOURCES).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield the line and the top package of what a module imports from elsewhere."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module]
        for name in names:
            top = name.split(".")[0]
            if top not in sys.stdlib_module_names and top != "deepcanon":
                yield node.lineno, top


def type_checking_lines(tree: ast.Module) -> set[int]:
    lines: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            lines.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return lines


def in_use_half(module: str) -> bool:
    patterns = next(each for each in CONTRACTS if each["id"] == "use-half")["source_modules"]
    return any(fnmatch(module, pattern.replace("**", "*")) for pattern in patterns)


@pytest.mark.parametrize("path", sorted(SOURCES.rglob("*.py")), ids=module_of)
def test_imports_are_declared(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    later = lines_inside_functions(source) | type_checking_lines(tree)
    for line, top in imports(tree):
        allowed = USE if in_use_half(module_of(path)) and line not in later else ALL
        assert top in allowed, f"{path.name}:{line} imports {top}, which is not declared"


def test_the_use_half_declares_nothing_in_vain() -> None:
    used = {
        top
        for path in SOURCES.rglob("*.py")
        for _, top in imports(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert used >= USE
