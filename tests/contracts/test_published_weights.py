"""Which variants say that there are published weights for them, and which accept those."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from deepcanon.core import catalog  # noqa: E402
from deepcanon.core.catalog import create_model, get_card, list_models  # noqa: E402
from deepcanon.core.errors import BadInput, Unavailable  # noqa: E402

NAMES = [card.name for card in list_models(domain="classify")]


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What fits would be fetched now, and is unavailable."""
    monkeypatch.setenv("DEEPCANON_CACHE", str(tmp_path))
    monkeypatch.setenv("DEEPCANON_OFFLINE", "1")


@pytest.mark.parametrize("name", NAMES)
def test_a_card_says_which_variants_have_published_weights(name: str) -> None:
    for variant, each in get_card(name).variants.items():
        with torch.device("meta"):
            net = create_model(name, variant=variant)
        load = catalog._registered[name].load
        assert load is not None
        wanted = Unavailable if "imagenet" in each.weights else BadInput
        with pytest.raises(wanted):
            load(net, "imagenet")


def test_where_there_are_none_the_variants_that_have_some_are_named() -> None:
    with pytest.raises(BadInput, match="no published imagenet weights for alexnet paper") as no:
        create_model("alexnet", weights="imagenet")
    assert no.value.hint == "variants that have some: torchvision"
    with pytest.raises(BadInput, match="no published imagenet weights for plain20 paper") as no:
        create_model("plain20", weights="imagenet")
    assert "path of a weights file" in no.value.hint
