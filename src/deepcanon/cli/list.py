"""`deepcanon list`: the networks in the catalogue, one line each."""

from __future__ import annotations

import click

from deepcanon.cli import options
from deepcanon.cli.output import print_json, print_table

__all__ = ["list_"]


@click.command(
    context_settings=options.SETTINGS,
    epilog=options.examples("deepcanon list", "deepcanon list --domain classify --json"),
)
@click.option("--domain", metavar="NAME", help="Only one domain, such as classify or style.")
@options.json_
def list_(domain: str | None, as_json: bool) -> None:
    """Show the networks in the catalogue: name, domain, paper, variants."""
    from deepcanon.core.catalog import list_models

    cards = list_models(domain=domain)
    if as_json:
        print_json([{**card.to_dict(), "variants": list(card.variants)} for card in cards])
        return
    rows = [
        (card.name, card.domain, card.year, _short(card.title), ", ".join(card.variants))
        for card in cards
    ]
    print_table(rows, head=("name", "domain", "year", "paper", "variants"))


def _short(title: str, *, most: int = 60) -> str:
    return title if len(title) <= most else f"{title[: most - 1].rstrip()}…"
