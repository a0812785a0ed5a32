import json
from pathlib import Path
from typing import Any

import pytest

from tools.model_pages import FOLDER, INDEX, pages, write

MODULE = '''"""A network.

*What was new*: depth.

Table 1 of the paper (``k``: kernel)::

    conv  3x3  64
    fc         10

*Where the paper is inconsistent.* 3 * 3 is not 10.

*What differs from the paper.* Nothing.
"""

import torch
'''


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A folder with the module that the card names."""
    place = tmp_path / "source" / "deepcanon" / "classify"
    place.mkdir(parents=True)
    (place / "net.py").write_text(MODULE)
    return tmp_path / "source"


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
            "paper": {"differs": "", "weights": [], "config": {"width": 64, "depth": 3}},
            "modern": {
                "differs": "twice\nas wide",
                "weights": ["imagenet"],
                "config": {"width": 128, "depth": 3, "norm": "batch"},
            },
        },
    }


def test_the_committed_pages_are_current() -> None:
    committed = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")}
    assert committed == pages(INDEX), "run `make catalog`"


def test_every_classifier_has_its_papers_table() -> None:
    cards = json.loads(INDEX.read_text(encoding="utf-8"))["models"]
    texts = pages(INDEX)
    for card in cards:
        if card["domain"] == "classify":
            table = texts[f"{card['name']}.md"].partition("## The paper's table")[2]
            assert "```text" in table, card["name"]
            assert "*What differs from the " in table, card["name"]
    assert "7x7/2        112x112x64" in texts["googlenet.md"]
    assert "*Where the table is inconsistent.* A K is 1024 weights" in texts["googlenet.md"]
    assert "conv5_x  7       [3-512 3-512]x2" in texts["resnet18.md"]


def test_a_page_has_the_docstrings_table(
    tmp_path: Path, card: dict[str, Any], source: Path
) -> None:
    (tmp_path / "catalog.json").write_text(json.dumps({"models": [card]}))
    text = pages(tmp_path / "catalog.json", source=source)["net1.md"]
    assert (
        "## The paper's table\n\nTable 1 of the paper (`k`: kernel):\n\n"
        "```text\nconv  3x3  64\nfc         10\n```\n\n"
        "*Where the paper is inconsistent.* 3 * 3 is not 10.\n\n"
        "*What differs from the paper.* Nothing.\n\n"
    ) in text
    assert "import torch" not in text and "*What was new*" not in text
    (source / "deepcanon" / "classify" / "net.py").write_text('"""No table."""')
    assert "paper's table" not in pages(tmp_path / "catalog.json", source=source)["net1.md"]


def test_a_page_says_what_the_card_says(tmp_path: Path, card: dict[str, Any], source: Path) -> None:
    (tmp_path / "catalog.json").write_text(json.dumps({"models": [card]}))
    text = pages(tmp_path / "catalog.json", source=source)["net1.md"]
    assert "A. Author: [*A | network*](https://arxiv.org/abs/0000.00000), ICLR, 2015." in text
    assert "**What was new.** Depth." in text
    assert "| `paper` (default) | nothing |  |" in text
    assert "| `modern` | twice as wide | `imagenet` |" in text
    assert "| `width` | `64` | `128` |" in text
    assert "| `depth` | `3` | same |" in text
    assert '| `norm` |  | `"batch"` |' in text
    assert "3×224×192" in text
    assert "deepcanon.classify.net" in text


def test_the_index_names_every_model(tmp_path: Path, card: dict[str, Any], source: Path) -> None:
    (tmp_path / "catalog.json").write_text(json.dumps({"models": [card]}))
    text = pages(tmp_path / "catalog.json", source=source)["index.md"]
    assert r"| [net1](net1.md) | A \| network (2015) | `paper`, `modern` |" in text
    assert "Object detection" not in text


def test_pages_of_models_that_are_gone_are_removed(
    tmp_path: Path, card: dict[str, Any], source: Path
) -> None:
    (tmp_path / "catalog.json").write_text(json.dumps({"models": [card]}))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "old.md").touch()
    write(tmp_path / "models", index=tmp_path / "catalog.json", source=source)
    assert {path.name for path in (tmp_path / "models").iterdir()} == {"index.md", "net1.md"}


def test_no_catalogue_is_no_models(tmp_path: Path) -> None:
    assert list(pages(tmp_path / "none.json")) == ["index.md"]
