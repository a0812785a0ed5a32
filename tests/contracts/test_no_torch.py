"""The use half never imports torch, nor anything else that only `deepcanon[train]` installs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import deepcanon
from tests import tiny_classifier

PACKAGE = Path(deepcanon.__file__).parent
FORBIDDEN = ("torch", "torchvision", "pytorch_lightning", "pydantic", "yaml", "onnx", "safetensors")

# What classifying, judging and checking data stand on, what `stylize sheet` does, and what lists
# recipes and reproductions.
ALSO = {
    "classify": ("crops", "evaluate", "network_file", "results"),
    "style": ("color", "sheet"),
    "training": ("__init__", "ranges", "recipe", "recipe_text"),
    "reproduce": ("__init__",),
}


def _use_half() -> list[str]:
    files = [
        PACKAGE / "__init__.py",
        *PACKAGE.glob("core/*.py"),
        *PACKAGE.glob("engine/*.py"),
        *PACKAGE.glob("cli/*.py"),
        *PACKAGE.glob("classify/data/*.py"),
        *PACKAGE.glob("classify/metrics/*.py"),
        *PACKAGE.glob("*/predict.py"),
        *PACKAGE.glob("*/recipes.py"),
        *(PACKAGE / folder / f"{name}.py" for folder, names in ALSO.items() for name in names),
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


@pytest.mark.row("C18")
def test_classifying_and_judging_bring_in_no_torch(tmp_path: Path) -> None:
    model = tiny_classifier.write(tmp_path / "tiny.onnx", labels=["circle", "ring", "square"])
    code = f"""
import numpy as np
import deepcanon
from deepcanon.classify.evaluate import evaluate
from deepcanon.classify.data.pictures import ArrayPictures, Source

classifier = deepcanon.Classifier({str(model)!r}, engine="onnxruntime", threads=1)
red = np.zeros((3, 32, 32, 3), np.uint8) + np.array([255, 0, 0], np.uint8)
assert [each.labels[0] for each in classifier(list(red))] == ["circle"] * 3
pictures = ArrayPictures(red, np.array([0, 0, 1]), of="test")
source = Source(name="made", classes=classifier.classes, train=pictures, val=pictures)
assert evaluate(classifier, source).confusion.tolist() == [[2, 0, 0], [1, 0, 0], [0, 0, 0]]
"""
    assert _imported_after(code).isdisjoint(FORBIDDEN)


def test_the_shipped_networks_run_without_torch() -> None:
    code = """
import numpy as np
import deepcanon

picture = np.zeros((32, 40, 3), np.uint8)
painted = deepcanon.Stylizer(engine="onnxruntime", threads=1)(picture)
assert painted.pixels.shape == (32, 40, 3)
shown = deepcanon.Classifier("resnet20-cifar10", engine="onnxruntime", threads=1)(picture)
assert shown.labels
"""
    assert _imported_after(code).isdisjoint(FORBIDDEN)


def test_the_package_alone_is_next_to_nothing() -> None:
    assert _imported_after("import deepcanon").isdisjoint({*FORBIDDEN, "numpy", "PIL", "click"})


def test_public_names() -> None:
    assert set(dir(deepcanon)) == set(deepcanon.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        deepcanon.nothing  # noqa: B018


def test_the_catalogue_needs_no_numpy() -> None:
    program = "import sys; from deepcanon.core import catalog; catalog.list_models(); "
    program += "assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
