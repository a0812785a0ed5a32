"""`deepcanon list`."""

import pytest

from deepcanon.core.catalog import list_models
from tests.cli.conftest import Run


@pytest.mark.row("C10")
def test_one_line_for_each_model(run: Run) -> None:
    ran = run("list")
    assert (ran.code, ran.err) == (0, "")
    head, *lines = ran.out.splitlines()
    assert head.split() == ["name", "domain", "year", "paper", "variants"]
    assert [line.split()[0] for line in lines] == [card.name for card in list_models()]
    line = next(line for line in lines if line.startswith("vgg16 "))
    assert line.split()[1:3] == ["classify", "2015"]
    assert line.endswith("paper, torchvision")


def test_one_domain_as_json(run: Run) -> None:
    ran = run("list", "--domain", "classify", "--json")
    assert ran.code == 0
    assert {card["domain"] for card in ran.json} == {"classify"}
    card = next(card for card in ran.json if card["name"] == "vgg19")
    assert card["link"] == "https://arxiv.org/abs/1409.1556"
    assert card["variants"] == ["paper", "torchvision"]
    assert (card["default"], card["input_size"]) == ("paper", [3, 224, 224])


def test_unknown_domain_lists_the_known(run: Run) -> None:
    ran = run("list", "--domain", "chess")
    assert ran.code == 2
    error, hint = ran.error_lines
    assert "'chess'" in error
    assert "classify" in hint


def test_help_has_an_example(run: Run) -> None:
    ran = run("list", "--help")
    assert ran.code == 0
    assert "deepcanon list --domain classify --json" in ran.out
