"""The use half never imports torch, nor anything else that only `deepcanon[train]` installs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import deepcanon

PACKAGE = Path(deepcanon.__file__).parent
FORBIDDEN = ("torch", "torchvision", "pytorch_lightning", "pydantic", "yaml", "onnx", "safetensors")


def _use_half() -> list[str]:
    files = [
        PACKAGE / "__init__.py",
        *PACKAGE.glob("core/*.py"),
        *PACKAGE.glob("engine/*.py"),
        *PACKAGE.glob("cli/*.py"),
        *PACKAGE.glob("*/predict.py"),
        *PACKAGE.glob("*/recipes.py"),
    ]
    names = (".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts) for file in files)
    return sorted(name.removesuffix(".__init__") for name in names)


def _imported_after(code: str) -> set[str]:
    """The top-level names in sys.modules after `code`, in a process of its own."""
    code += "\nimport sys; print(*{name.partition('.')[0] for name in sys.modules})"
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120
    )
    assert ran.returncode == 0, ran.stderr
    return set(ran.stdout.splitlines()[-1].split())


def test_the_list_is_the_right_one() -> None:
    names = _use_half()
    assert {"deepcanon", "deepcanon.core.catalog", "deepcanon.engine.session"} <= set(names)
    assert {"deepcanon.cli.app", "deepcanon.style.predict"} <= set(names)


def test_importing_the_use_half_brings_in_no_torch() -> None:
    """One process for all, so that it stays quick; the first module that sins is named."""
    code = f"""
import importlib, sys
for name in {_use_half()}:
    importlib.import_module(name)
    found = [each for each in {FORBIDDEN} if each in sys.modules]
    assert not found, f"{{name}} imports {{found}}"
"""
    assert "deepcanon" in _imported_after(code)


def test_the_probe_sees_what_a_module_imports() -> None:
    assert "yaml" in _imported_after("import yaml")


def test_the_public_names_bring_in_no_torch() -> None:
    code = "import deepcanon; [getattr(deepcanon, name) for name in deepcanon.__all__]"
    assert _imported_after(code + "; deepcanon.list_models()").isdisjoint(FORBIDDEN)


def test_the_package_alone_is_next_to_nothing() -> None:
    assert _imported_after("import deepcanon").isdisjoint({*FORBIDDEN, "numpy", "PIL", "click"})


def test_public_names() -> None:
    assert set(dir(deepcanon)) == set(deepcanon.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        deepcanon.nothing  # noqa: B018
