"""The list of what can be reproduced."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from deepcanon import reproduce
from deepcanon.core.errors import BadInput, MissingExtra
from deepcanon.reproduce import REPRODUCTIONS, find, load, write_table


@pytest.mark.parametrize("name", REPRODUCTIONS)
def test_every_entry_can_be_run_and_says_what_it_costs(name: str) -> None:
    pytest.importorskip("torch")
    entry = find(name)
    assert callable(load(name))
    assert entry.help
    assert entry.cost
    assert name == entry.module.replace("_", "-")


def test_every_module_is_listed() -> None:
    folder = Path(reproduce.__file__).parent
    runs = re.compile(r"^(def run\(|run = )", re.MULTILINE)  # others are what these share
    modules = {path.stem for path in folder.glob("*.py") if runs.search(path.read_text("utf-8"))}
    assert modules == {entry.module for entry in REPRODUCTIONS.values()}


def test_an_unknown_name_gets_near_ones() -> None:
    with pytest.raises(BadInput) as caught:
        find("style-trade-off")
    assert "style-tradeoff" in caught.value.hint
    with pytest.raises(BadInput) as caught:
        find("xyz")
    assert "style-speed" in caught.value.hint


def test_without_torch_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        reproduce, "find_spec", lambda name: None if name == "torch" else find_spec(name)
    )
    with pytest.raises(MissingExtra) as caught:
        load("style-speed")
    assert "[train]" in caught.value.hint


def test_listing_needs_no_torch() -> None:
    code = "import sys, deepcanon.reproduce; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_table_with_what_is_no_number_is_not_written(tmp_path: Path) -> None:
    path = write_table({"α": 1}, tmp_path / "new" / "table.json")
    assert path.read_text(encoding="utf-8") == '{\n  "α": 1\n}\n'
    with pytest.raises(ValueError, match="JSON"):
        write_table({"α": float("nan")}, path)
    assert path.read_text(encoding="utf-8") == '{\n  "α": 1\n}\n'
