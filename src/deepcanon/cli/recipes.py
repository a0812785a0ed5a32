"""`deepcanon recipes`: what can be trained, and one recipe as YAML to copy and change."""

from __future__ import annotations

import sys
from typing import Any

import click

from deepcanon.cli import options
from deepcanon.cli.output import print_json, print_table

__all__ = ["recipes"]


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
    """List the recipes that `deepcanon train` runs, and where each differs from its kind.

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
    rows = [
        (each.name, each.domain, summary(each.recipe), ", ".join(_short(differs(each.recipe))))
        for each in found
    ]
    print_table(rows, head=("name", "domain", "what it does", "with"))


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


def _short(settings: dict[str, Any]) -> list[str]:
    """``variant=paper``; of several values only how many."""
    return [
        f"{key}: {len(value)}" if isinstance(value, (dict, list, tuple)) else f"{key}={value}"
        for key, value in settings.items()
    ]
