"""The series of ratios, on a tiny feature network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from deepcanon.core.images import load, save
from deepcanon.core.standin import painting
from deepcanon.reproduce.style_tradeoff import SERIES, run
from tests.tiny_features import TinyFeatures

pytestmark = pytest.mark.row("T1")


def test_it_writes_a_page_and_a_table(tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    done = run(
        tmp_path / "out",
        features=TinyFeatures(),
        iterations=3,
        size=64,
        on_progress=lambda step, total, detail: told.append((step, total, detail)),
    )
    page, table = done.files
    assert json.loads(table.read_text(encoding="utf-8")) == done.table
    assert [row["ratio"] for row in done.table["rows"]] == list(SERIES)
    assert done.table["photograph"] == done.table["painting"] == "generated"
    assert all(row["content_loss"] > 0 and row["style_loss"] > 0 for row in done.table["rows"])
    height, width = load(page).pixels.shape[:2]
    assert width > 3 * 64  # photograph, painting and four ratios, three a row
    assert height > 2 * 64
    assert [step for step, _, _ in told] == list(range(1, 13))
    assert {total for _, total, _ in told} == {12}
    assert "content" in told[0][2]
    assert "style" in told[0][2]


def test_it_takes_pictures_and_ratios(tmp_path: Path, photo_file: Path) -> None:
    other = tmp_path / "painting.png"
    save(painting(3, 80), other)
    done = run(
        tmp_path,
        photo=photo_file,
        painting=other,
        features=TinyFeatures(),
        iterations=1,
        size=32,
        ratios=(1e-2,),
    )
    assert done.table["photograph"] == "photo.png"
    assert done.table["painting"] == "painting.png"
    assert (done.table["width"], done.table["height"]) == (32, 24)
    assert len(done.table["rows"]) == 1


def test_threads_hold_for_the_descent_alone(tmp_path: Path) -> None:
    before, seen = torch.get_num_threads(), []
    torch.set_num_threads(2)
    try:
        run(
            tmp_path,
            features=TinyFeatures(),
            iterations=1,
            size=32,
            ratios=(1e-2,),
            threads=1,
            on_progress=lambda *_: seen.append(torch.get_num_threads()),
        )
        assert (seen, torch.get_num_threads()) == ([1], 2)
    finally:
        torch.set_num_threads(before)


def test_an_interrupt_writes_nothing(tmp_path: Path) -> None:
    def stop(step: int, total: int, detail: str) -> None:
        if step == 3:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run(out, features=TinyFeatures(), iterations=2, size=32, on_progress=stop)
    assert not out.exists()
