"""An import-linter contract for what happens when a module is *imported*.

import-linter counts an import inside a function like any other. The use half may load torch in a
function that is only called when the make half is installed; what it must not do is need torch in
order to be imported. `EagerForbidden` is import-linter's `forbidden` contract on a graph from which
the imports inside functions are taken away.
"""

import ast
from importlib.util import find_spec
from pathlib import Path

from grimp import ImportGraph
from importlinter import ContractCheck
from importlinter.contracts.forbidden import ForbiddenContract


class EagerForbidden(ForbiddenContract):
    """`forbidden`, blind to imports that stand inside a function."""

    type_name = "eager_forbidden"

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Check the contract on what module bodies import (import-linter hands us a copy)."""
        remove_lazy_imports(graph)
        return super().check(graph, verbose)


def remove_lazy_imports(graph: ImportGraph) -> None:
    """Drop from `graph`, in place, every edge that exists only inside functions."""
    for importer in sorted(graph.modules):
        imports = graph.find_modules_directly_imported_by(importer)
        if not imports:
            continue
        lazy = lines_inside_functions(source_file(importer).read_text(encoding="utf-8"))
        for imported in imports:
            details = graph.get_import_details(importer=importer, imported=imported)
            if details and all(detail["line_number"] in lazy for detail in details):
                graph.remove_import(importer=importer, imported=imported)


def lines_inside_functions(source: str) -> set[int]:
    """Return the numbers, from 1, of the lines in the body of some function of `source`."""
    lines: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines.update(range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1))
    return lines


def source_file(module: str) -> Path:
    """Return the file of a module of an importable package, importing nothing."""
    package, *rest = module.split(".")
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"no package {package}")
    path = Path(spec.submodule_search_locations[0]).joinpath(*rest)
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
