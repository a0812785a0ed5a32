"""The report of an evaluation: kept style by style, taken up again, never mixed."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from deepcanon.core.errors import BadInput
from deepcanon.style.scores import Score, StyleReport, markdown

pytestmark = pytest.mark.row("T2")

SETTINGS: dict[str, Any] = {"features": "vgg16", "photos": ["a.jpg"], "iterations": 2}


def score(style: str, **changes: Any) -> Score:
    values: dict[str, Any] = {
        "style": style,
        "painting": f"{style}.jpg",
        "total": 1.5,
        "content": 0.25,
        "style_loss": 0.125,
        "tv": 0.0625,
        "spread": 0.5,
        "iterations": 2,
        "curve": (3.0, 2.0, 1.25),
        "date": "2026-11-20",
        "hardware": "an abacus",
    }
    return Score(**{**values, **changes})


def test_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path = tmp_path / "new" / "scores.json"
    first = StyleReport(settings=SETTINGS, path=path)
    first.add(score("udnie"))
    again = StyleReport(settings=dict(SETTINGS), path=path)
    assert again.scores == {"udnie": score("udnie")}
    again.add(score("shipwreck", iterations=None))
    content = json.loads(path.read_text(encoding="utf-8"))
    assert content["settings"] == SETTINGS
    assert [each["style"] for each in content["scores"]] == ["udnie", "shipwreck"]
    assert content["scores"][1]["iterations"] is None
    table = path.with_suffix(".md").read_text(encoding="utf-8")
    assert table == markdown([score("udnie"), score("shipwreck", iterations=None)])


def test_an_old_score_keeps_its_day_and_its_machine(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    StyleReport(settings=SETTINGS, path=path).add(score("udnie"))
    again = StyleReport(settings=SETTINGS, path=path)
    again.add(score("shipwreck", date="2026-11-24", hardware="a slide rule"))
    content = json.loads(path.read_text(encoding="utf-8"))
    assert [(each["date"], each["hardware"]) for each in content["scores"]] == [
        ("2026-11-20", "an abacus"),
        ("2026-11-24", "a slide rule"),
    ]
    assert set(content) == {"settings", "scores"}


def test_a_report_of_an_older_deepcanon_is_taken_over(tmp_path: Path) -> None:
    """It has one day and one machine for all, and other names for two of the terms."""
    path = tmp_path / "scores.json"
    old = asdict(score("udnie"))
    old |= {"texture": old.pop("style_loss"), "variation": old.pop("tv")}
    once = {key: old.pop(key) for key in ("date", "hardware")}
    path.write_text(json.dumps({"settings": SETTINGS, **once, "scores": [old]}))
    assert StyleReport(settings=SETTINGS, path=path).scores == {"udnie": score("udnie")}


def test_without_a_path_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    report = StyleReport(settings=SETTINGS)
    report.add(score("udnie"))
    assert list(tmp_path.iterdir()) == []
    assert report.to_dict()["scores"][0]["style"] == "udnie"


def test_scores_of_other_settings_are_not_mixed(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    StyleReport(settings=SETTINGS, path=path).add(score("udnie"))
    before = path.read_bytes()
    with pytest.raises(BadInput, match=r"measured otherwise: features, iterations$"):
        StyleReport(settings={**SETTINGS, "features": "slim", "iterations": 3}, path=path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"settings": {}, "scores": [{"style": "udnie"}]}', '{"settings": 1}', "3"],
)
def test_another_file_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "scores.json"
    path.write_text(text)
    with pytest.raises(BadInput, match="not a report of deepcanon evaluate"):
        StyleReport(settings=SETTINGS, path=path)
    assert path.read_text() == text


def test_the_table() -> None:
    lines = markdown([score("udnie"), score("shipwreck", iterations=None)]).splitlines()
    assert "| style loss | tv |" in lines[0]
    assert lines[2] == "| udnie | 1.500 ± 0.500 | 0.2500 | 0.1250 | 0.0625 | 3.0000 | 2 |"
    assert lines[3].endswith("| > 2 |")
    assert {line.count("|") for line in lines} == {8}
