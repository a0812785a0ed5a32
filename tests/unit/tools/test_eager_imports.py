import grimp
import pytest

from tools.eager_imports import lines_inside_functions, remove_lazy_imports, source_file

SOURCE = """\
import os

def first():
    import torch
    return torch

class Second:
    import json
    async def third(self): import csv
"""


def test_only_lines_inside_functions_are_lazy() -> None:
    assert lines_inside_functions(SOURCE) == {4, 5, 9}


def test_source_files_of_modules_and_packages() -> None:
    assert source_file("tools").name == "__init__.py"
    assert source_file("tools.eager_imports").name == "eager_imports.py"
    with pytest.raises(ModuleNotFoundError):
        source_file("no_such_package.module")


def test_an_edge_goes_when_all_its_imports_are_lazy(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("path")
    package = folder / "house_of_imports"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "a.py").touch()
    (package / "lazy.py").write_text("def f():\n    from house_of_imports import a\n    return a\n")
    (package / "eager.py").write_text("from house_of_imports import a\n" + SOURCE)
    monkeypatch.syspath_prepend(str(folder))
    graph = grimp.build_graph("house_of_imports", cache_dir=None)

    remove_lazy_imports(graph)

    assert graph.find_modules_that_directly_import("house_of_imports.a") == {
        "house_of_imports.eager"
    }
