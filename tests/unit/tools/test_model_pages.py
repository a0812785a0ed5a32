import json
from pathlib import Path
from typing import Any

import pytest

from tools.model_pages import FOLDER, INDEX, pages, write


@pytest.fixture
def card() -> dict[str, Any]:
    return {
        "name": "net1",
        "domain": "classify",
        "rows": ["C4"],
        "title": "A | network",
        "authors": "A. Author",
        "venue": "ICLR",
        "year": 2015,
        "link": "https://arxiv.org/abs/0000.00000",
        "new": "Depth.",
        "input_size": [3, 224, 192],
        "default": "paper",
        "module": "deepcanon.classify.net",
        "variants": {
            "paper": {"differs": "", "config": {"width": 64, "depth": 3}},
            "modern": {
                "differs": "twice\nas wide",
                "config": {"width": 128, "depth": 3, "norm": "batch"},
            },
        },
    }


def test_the_committed_pages_are_current() -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")}
    assert committed == pages(INDEX), "run `make catalog`"


def test_a_page_says_what_the_card_says(tmp_path: Path, card: dict[str, Any]) -> None:
    (tmp_path / "catalog.json").write_text(json.dumps({"models": [card]}))
    text = pages(tmp_path / "catalog.json")["net1.md"]
    assert "A. Author: [*A | network*](https://arxiv.org/abs/0000.00000), ICLR, 2015." in text
    assert "**What was new.** Depth." in text
    assert "| `paper` (default) | nothing |" in text
    assert "| `modern` | twice as wide |" in text
    assert "| `width` | `64` | `128` |" in text
    assert "| `depth` | `3` | same |" in text
    assert '| `norm` |  | `"batch"` |' in text
    assert "3×224×192" in text
    assert "deepcanon.classify.net" in text


def test_the_index_names_every_model(tmp_path: Path, card: dict[str, Any]) -> None:
    (tmp_path / "catalog.json").write_text(json.dumps({"models": [card]}))
    text = pages(tmp_path / "catalog.json")["index.md"]
    assert r"| [net1](net1.md) | A \| network (2015) | `paper`, `modern` |" in text
    assert "Object detection" not in text


def test_pages_of_models_that_are_gone_are_removed(tmp_path: Path, card: dict[str, Any]) -> None:
    (tmp_path / "catalog.json").write_text(json.dumps({"models": [card]}))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "old.md").touch()
    write(tmp_path / "models", index=tmp_path / "catalog.json")
    assert {path.name for path in (tmp_path / "models").iterdir()} == {"index.md", "net1.md"}


def test_no_catalogue_is_no_models(tmp_path: Path) -> None:
    assert list(pages(tmp_path / "none.json")) == ["index.md"]
