"""Slim against VGG16: the claims, their arithmetic and their form, on two tiny networks."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from deepcanon.core.errors import BadInput
from deepcanon.core.images import load, save
from deepcanon.core.standin import painting, picture_folder
from deepcanon.reproduce import slim_features
from deepcanon.reproduce.slim_features import METHODS, markdown, run, summary
from deepcanon.style.gatys import MODERN
from deepcanon.training import provenance
from tests.tiny_features import TinyFeatures

pytestmark = pytest.mark.row("T1")

SIDE = 32


def quick(out: Path, **options: Any) -> Any:
    settings: dict[str, Any] = {
        "features": TinyFeatures(),
        "student": TinyFeatures(seed=1),
        "iterations": 4,
        "schedule": (3, 2),
        "count": 1,
        "size": SIDE,
    }
    return run(out, **{**settings, **options})


def test_a_whole_run(tmp_path: Path) -> None:
    told: list[tuple[int, int, str]] = []
    large, small = TinyFeatures(), TinyFeatures(seed=1)
    before = torch.get_num_threads()
    done = quick(
        tmp_path / "out",
        features=large,
        student=small,
        count=2,
        threads=1,
        on_progress=lambda *step: told.append(step),
    )
    assert torch.get_num_threads() == before
    page, table, grid = done.files
    assert json.loads(table.read_text(encoding="utf-8")) == done.table
    assert page.read_text(encoding="utf-8") == markdown(done.table)
    assert done.table["machine"] == f"{provenance.hardware()}, 1 threads"
    pairs = done.table["pairs"]
    assert [(pair["photo"], pair["painting"]) for pair in pairs] == [
        (f"generated {content}", f"generated {style}")
        for content, style in [(0, 0), (1, 1), (0, 1), (1, 2), (0, 2), (1, 0)]
    ]
    # 4 under VGG16, as many under slim, 2 more under VGG16: for each of six pairs.
    assert [step for step, _, _ in told] == list(range(1, 6 * 10 + 1))
    assert {total for _, total, _ in told} == {6 * 10}
    assert [told[place][2] for place in (0, 4, 8, 10)] == [
        "generated 0: vgg16",
        "generated 0: slim",
        "generated 0: vgg16",
        "generated 1: vgg16",
    ]
    height, width = load(grid).pixels.shape[:2]
    assert width > 5 * SIDE  # photograph, painting and three results a row
    assert 2 * SIDE < height < 4 * SIDE  # each photograph once
    for pair in pairs:
        seconds = pair["seconds_per_iteration"]
        assert pair["iteration"] == pytest.approx(seconds["vgg16"] / seconds["slim"])
        curves = pair["curves"]
        assert tuple(curves) == METHODS
        assert [point[0] for point in curves["vgg16"]] == [0, 1, 2, 3, 4]
        assert [point[0] for point in curves["slim"]] == list(range(5))
        assert [point[0] for point in curves["schedule"]] == [0, 1, 2, 3, 4, 5]
        for curve in curves.values():
            assert curve[0][2] == curves["vgg16"][0][2]  # all start from the photograph
            losses = [point[2] for point in curve]
            assert losses == sorted(losses, reverse=True)
        # The schedule's first stage is the beginning of slim's run.
        assert curves["schedule"][:3] == curves["slim"][:3]
        assert (pair["early"]["iteration"], pair["late"]["iteration"]) == (1, 4)
        assert pair["late"]["loss"] == curves["vgg16"][4][2]
        assert pair["late"]["seconds"] == curves["vgg16"][4][1]


def test_a_student_as_good_as_its_teacher_reaches_what_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    curves = quick(tmp_path / "levels", student=TinyFeatures()).table["pairs"][0]["curves"]
    ours, theirs = ([point[2] for point in curves[name][:5]] for name in ("slim", "vgg16"))
    assert ours != pytest.approx(theirs)  # in other coordinates
    in_pixels = replace(MODERN, optimiser=slim_features.PIXELS)
    monkeypatch.setattr(slim_features, "MODERN", in_pixels)
    (first, *_) = quick(tmp_path, student=TinyFeatures()).table["pairs"]
    curves = first["curves"]
    assert [point[2] for point in curves["slim"][:5]] == pytest.approx(
        [point[2] for point in curves["vgg16"]]
    )
    assert first["early"]["reached_at"] == 1
    assert first["early"]["ratio"] == pytest.approx(
        first["early"]["reached_seconds"] / first["early"]["seconds"]
    )


def test_total_variation_of_slim_alone(tmp_path: Path) -> None:
    plain = quick(tmp_path / "a").table
    smooth = quick(tmp_path / "b", variation=1e6).table
    assert plain["variation_under_slim"] == plain["variation"] == MODERN.variation
    assert (smooth["variation"], smooth["variation_under_slim"]) == (MODERN.variation, 1e6)
    ours, theirs = plain["pairs"][0]["curves"], smooth["pairs"][0]["curves"]
    losses = [[point[2] for point in each["vgg16"]] for each in (ours, theirs)]
    assert losses[0] == pytest.approx(losses[1])  # VGG16's descent and judgement are the same
    assert ours["slim"][-1][2] != pytest.approx(theirs["slim"][-1][2], rel=1e-3)


def test_folders_and_what_is_taken_of_them(tmp_path: Path) -> None:
    picture_folder(tmp_path / "photos", 3, size=(40, 48))
    for seed in range(4):
        save(painting(seed, (40, 64)), tmp_path / "paintings" / f"{seed}.png")
    done = quick(
        tmp_path / "out",
        photos=f"{tmp_path}/photos/*.jpg",
        paintings=tmp_path / "paintings",
        iterations=1,
        schedule=(1, 1),
        count=2,
    )
    names = {(pair["photo"], pair["painting"]) for pair in done.table["pairs"]}
    assert names == {
        (f"photo-000{photo}.jpg", f"{style}.png") for photo in (0, 1) for style in (0, 1, 2)
    }
    assert done.table["skipped"] == []


def test_a_photograph_that_cannot_be_read_is_skipped(tmp_path: Path) -> None:
    picture_folder(tmp_path / "photos", 2, size=(40, 48))
    (tmp_path / "photos" / "a.jpg").write_bytes(b"no picture")
    options: dict[str, Any] = {"iterations": 1, "schedule": (1, 1), "count": 1, "minutes": 0}
    done = quick(tmp_path / "out", photos=f"{tmp_path}/photos/*.jpg", **options)
    assert [pair["photo"] for pair in done.table["pairs"]] == ["photo-0000.jpg"]
    (complaint,) = done.table["skipped"]
    assert "a.jpg" in complaint


def test_after_its_minutes_it_begins_nothing_new(tmp_path: Path) -> None:
    done = quick(tmp_path, count=2, minutes=0.0)
    assert len(done.table["pairs"]) == 1
    assert done.table["of_pairs"] == 6
    assert done.files[0].read_text(encoding="utf-8").startswith("1 of 6 pairs")


def test_an_interrupted_run_keeps_its_pairs(tmp_path: Path) -> None:
    def stop(step: int, total: int, detail: str) -> None:
        if step > total / 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        quick(tmp_path, on_progress=stop)
    table = json.loads((tmp_path / "slim-features.json").read_text(encoding="utf-8"))
    assert len(table["pairs"]) == 1


@pytest.mark.parametrize(
    "bad",
    [{"iterations": 0}, {"schedule": (5, 0)}, {"schedule": (1, 2, 3)}, {"count": 0}],
)
def test_counts_below_one_are_refused(tmp_path: Path, bad: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        quick(tmp_path, **bad)


def pair(cost: float, early: float | None, late: float | None) -> dict[str, Any]:
    return {"iteration": cost, "early": {"ratio": early}, "late": {"ratio": late}}


def test_the_summary_counts_what_never_arrives_as_slowest() -> None:
    found = summary([pair(6.0, 0.2, 0.4), pair(8.0, 0.3, None), pair(7.0, 0.1, None)])
    assert found["iteration"] == {"min": 6.0, "median": 7.0, "max": 8.0, "reached": 3, "of": 3}
    assert found["early"]["median"] == 0.2
    assert found["late"] == {"min": 0.4, "median": None, "max": None, "reached": 1, "of": 3}
    even = summary([pair(6.0, 0.2, 0.4), pair(8.0, 0.3, None)])
    assert even["late"]["median"] is None
    assert math.isclose(even["early"]["median"], 0.25)


def test_the_page() -> None:
    curve = [[0, 1.0, 8.0], [10, 3.0, 4.0]]
    race = {"iteration": 25}
    table = {
        "pairs": [
            {"early": race, "late": {"iteration": 100}, "curves": dict.fromkeys(METHODS, curve)}
        ],
        "of_pairs": 30,
        "size": 256,
        "machine": "x86_64, 2 cores, torch 2.6, 2 threads",
        "levels": {"vgg16": 1, "slim": 6, "schedule": 6},
        "schedule": [100, 40],
        "summary": summary([pair(6.0, 0.2, None)]),
    }
    lines = markdown(table).splitlines()
    assert lines[4] == "| cost of an iteration: VGG16 / slim | ≥ 6 | 6.00 | 6.00 | 6.00 | 1 of 1 |"
    assert "25 iterations / VGG16's | ≤ 0.25 | 0.20" in lines[5]
    assert "100 iterations / VGG16's | ≤ 0.5 | never | never | never | 0 of 1 |" in lines[6]
    assert lines[12:] == [
        row
        for name in METHODS
        for row in (f"| {name} | 0 | 1.00 | 1.0000 |", f"| {name} | 10 | 3.00 | 0.5000 |")
    ]
