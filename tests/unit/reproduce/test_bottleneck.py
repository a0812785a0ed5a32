"""The 1x1 arithmetic: the chapter's numbers, worked by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from deepcanon.core.errors import BadInput
from deepcanon.core.images import load
from deepcanon.reproduce.bottleneck import cost, direct, judge, markdown, pairs, run, through

pytestmark = pytest.mark.row("C5")


def test_the_chapters_example() -> None:
    size = (256, 28, 28)
    assert (
        cost(direct(), size) == (28 * 28 * 96 * 25 * 256, 25 * 256 * 96) == (481_689_600, 614_400)
    )
    weights = 256 * 32 + 25 * 32 * 96
    assert cost(through(32), size) == (28 * 28 * weights, weights) == (66_633_728, 84_992)


def test_both_ways_lead_to_maps_of_one_size() -> None:
    for pair in pairs():
        picture = torch.zeros(1, *pair.input)
        straight, narrow = pair.straight(picture), pair.narrow(picture)
        assert straight.shape[2:] == narrow.shape[2:]
        if "module" not in pair.name:  # the naive module passes all its channels through the pool
            assert straight.shape == narrow.shape


def test_resnets_block_by_hand() -> None:
    block = pairs()[2]
    weights = 2 * 9 * 256 * 256, 256 * 64 + 9 * 64 * 64 + 64 * 256
    found = [cost(net, block.input) for net in (block.straight, block.narrow)]
    assert [each.weights for each in found] == list(weights)
    assert [each.multiplications for each in found] == [56 * 56 * each for each in weights]


def test_it_writes(tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    done = run(
        tmp_path, iterations=1, batch=1, threads=1, on_progress=lambda *step: told.append(step)
    )
    page, table, picture = done.files
    assert [path.suffix for path in done.files] == [".md", ".json", ".png"]
    assert json.loads(table.read_text(encoding="utf-8")) == done.table
    assert page.read_text(encoding="utf-8") == markdown(done.table)
    assert "| 481,689,600 | 66,633,728 | 7.2x | 614,400 | 84,992 | 7.2x |" in page.read_text()
    assert load(picture).pixels.shape == (420, 560, 3)
    assert [(step, total) for step, total, _ in told] == [(1, 3), (2, 3), (3, 3)]
    assert all(min(row["seconds"]) > 0 for row in done.table["rows"])
    with pytest.raises(BadInput):
        run(tmp_path, iterations=0)


def test_the_judgement() -> None:
    row = {
        "multiplications": [481_689_600, 66_633_728],
        "weights": [614_400, 84_992],
        "seconds": [2.0, 0.5],
    }
    claims = judge(row)
    assert [claim.holds for claim in claims] == [True, True, True]
    assert claims[0].text == "4.8e+08 and 6.7e+07 multiplications"
    assert claims[2].seen == "4.0 times"
    other = judge({**row, "weights": [614_400, 86_000], "seconds": [1.0, 2.0]})
    assert [claim.holds for claim in other] == [True, False, False]
