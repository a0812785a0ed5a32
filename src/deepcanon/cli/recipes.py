"""`deepcanon recipes`: what can be trained, and one recipe as YAML to copy and change."""

from __future__ import annotations

import sys
from itertools import groupby
from typing import Any

import click

from deepcanon.cli import options
from deepcanon.cli.output import print_json, print_table

__all__ = ["recipes"]

# The fields that tell recipes of a kind apart; no kind has them all.
_TELLING = ("model", "variant", "start", "teacher", "features", "side", "batch", "steps")


@click.group(
    invoke_without_command=True,
    context_settings=options.SETTINGS,
    epilog=options.examples(
        "deepcanon recipes",
        "deepcanon recipes show slim-vgg > mine.yaml",
        "deepcanon train mine.yaml",
    ),
)
@options.json_
@click.pass_context
def recipes(context: click.Context, *, as_json: bool) -> None:
    """List the recipes that `deepcanon train` runs, by what they do.

    `deepcanon recipes show NAME` prints one as YAML.
    """
    if context.invoked_subcommand is not None:
        return
    from deepcanon.training.recipe import all_recipes, needed
    from deepcanon.training.recipe_text import differs, summary

    found = all_recipes().values()
    if as_json:
        print_json(
            [
                {
                    "name": each.name,
                    "domain": each.domain,
                    "summary": summary(each.recipe),
                    "needs": needed(each.recipe),
                    "differs": differs(each.recipe),
                }
                for each in found
            ]
        )
        return
    widest = max(len(each.name) for each in found)
    for does, kind in groupby(found, key=lambda each: summary(each.recipe)):
        rows = [(f"  {each.name:<{widest}}", _gist(each.recipe)) for each in kind]
        print(does)
        print_table(rows)


@recipes.command(
    context_settings=options.SETTINGS,
    epilog=options.examples("deepcanon recipes show new-style > mine.yaml"),
)
@click.argument("name", metavar="NAME")
@options.json_
def show(name: str, *, as_json: bool) -> None:
    """Print one recipe as YAML: every setting, its value, and what it means."""
    import dataclasses

    from deepcanon.training.recipe import find
    from deepcanon.training.recipe_text import to_yaml

    named = find(name)
    if as_json:
        print_json({"recipe": named.name, **dataclasses.asdict(named.recipe)})
    else:
        sys.stdout.write(to_yaml(named))


def _gist(recipe: Any) -> str:
    """``model=resnet20, variant=paper, side=32``, and so on: the settings that say what it is."""
    values = {name: getattr(recipe, name, "") for name in _TELLING}
    return ", ".join(f"{name}={value}" for name, value in values.items() if value != "")
