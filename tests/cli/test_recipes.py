"""`deepcanon recipes` and `deepcanon recipes show`, without PyTorch and with."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from deepcanon.core.errors import how_to_install
from deepcanon.training.recipe import all_recipes, choose
from tests.cli.conftest import Run, refused


def test_one_line_each(run: Run) -> None:
    ran = run("recipes")
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    rows = [line for line in lines if line.startswith("  ")]
    assert [row.split()[0] for row in rows] == list(all_recipes())
    (paper,) = (row for row in rows if row.startswith("  johnson-paper "))
    assert "variant=paper" in paper and "features=vgg16" in paper
    assert lines.count("Train a classifier on labelled pictures.") == 1
    assert max(map(len, lines)) <= 100


def test_every_line_tells_its_recipe_apart(run: Run) -> None:
    rows = [line.split(maxsplit=1)[1] for line in run("recipes").out.splitlines() if line[0] == " "]
    assert len(set(rows)) == len(rows)


def test_json(run: Run) -> None:
    found = {each["name"]: each for each in run("recipes", "--json").json}
    assert list(found) == list(all_recipes())
    assert found["slim-vgg"]["domain"] == "style"
    assert found["slim-vgg"]["summary"] == "Distil a slim VGG from a VGG16."
    assert found["johnson-paper"]["differs"]["variant"] == "paper"


@pytest.mark.parametrize("name", list(all_recipes()))
def test_show_prints_a_file_that_train_reads(name: str, run: Run, tmp_path: Path) -> None:
    ran = run("recipes", "show", name)
    assert (ran.code, ran.err) == (0, "")
    assert yaml.safe_load(ran.out)["recipe"] == name
    (tmp_path / "mine.yaml").write_text(ran.out)
    assert choose(str(tmp_path / "mine.yaml")).recipe == all_recipes()[name].recipe
    assert run("recipes", "show", name, "--json").json == yaml.safe_load(ran.out)


def test_show_says_what_fields_mean(run: Run) -> None:
    lines = run("recipes", "show", "slim-vgg").out.splitlines()
    assert lines[0] == "# Distil a slim VGG from a VGG16."
    (side,) = (line for line in lines if line.startswith("side:"))
    assert side == "side: 128                     # of the crops, pixels; ours"
    (precision,) = (line for line in lines if line.startswith("precision:"))
    assert precision.endswith("# auto | float32 | bfloat16")


def test_an_unknown_name_lists_near_ones(run: Run) -> None:
    hint = refused(run("recipes", "show", "new-stile"), "no recipe is named 'new-stile'")
    assert hint == "hint: did you mean new-style?"


@pytest.mark.parametrize(
    ("words", "error"),
    [(("show",), "missing argument 'NAME'"), (("shwo",), "no such command 'shwo'")],
)
def test_usage(words: tuple[str, ...], error: str, run: Run) -> None:
    hint = refused(run("recipes", *words), error)
    assert hint == "hint: deepcanon recipes --help shows the options and an example"


def test_help_has_examples(run: Run) -> None:
    assert "deepcanon train mine.yaml" in run("recipes", "--help").out
    assert "deepcanon recipes show new-style > mine.yaml" in run("recipes", "show", "-h").out


def test_nothing_of_the_make_half_is_needed() -> None:
    program = (
        "import sys\n"
        "for name in ('torch', 'pydantic', 'yaml', 'numpy'): sys.modules[name] = None\n"
        "from deepcanon.cli import main\n"
        "sys.exit(main(['recipes']) or main(['recipes', 'show', 'multistyle']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "recipe: multistyle" in done.stdout


def test_training_without_the_make_half_says_what_to_install() -> None:
    program = (
        "import sys\n"
        "import importlib.util\n"
        "find = importlib.util.find_spec\n"
        "gone = {'torch', 'pydantic', 'yaml', 'pytorch_lightning'}\n"
        "importlib.util.find_spec = lambda name: None if name in gone else find(name)\n"
        "from deepcanon.cli import main\n"
        "sys.exit(main(['train', 'slim-vgg']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: training needs packages that are not installed",
        f"hint: {how_to_install('train')}",
    ]
