"""`deepcanon evaluate` of a style network: options, the table, the report, and every bad input."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from deepcanon.cli import evaluate_style as command
from deepcanon.core.record import KEY
from deepcanon.style import features
from tests import tiny_style
from tests.cli.conftest import Run, photo, refused
from tests.tiny_features import TinyFeatures

pytestmark = pytest.mark.row("T2")

BASE = ("evaluate", "tiny.onnx", "--photos", "photos/*.png", "--paintings", "paintings")
OBJECTIVE: dict[str, Any] = {
    "painting_side": 32,
    "content_tap": "relu2_1",
    "style_taps": {"relu1_1": 1.0},
    "content_weight": 1.0,
    "style_weight": 2.0,
    "tv_weight": 3.0,
}
QUICK = (*BASE, "--iterations", "2", "--side", "32", "--engine", "onnxruntime")


@pytest.fixture
def lab(desk: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A network with a recipe for two of its three styles, photographs, paintings, a judge."""
    recipe = {**OBJECTIVE, "styles": {"great-wave": "wave.png", "udnie": "udnie.png"}}
    text = tiny_style.record(recipe=recipe).to_json()
    tiny_style.write(desk / "tiny.onnx", metadata={KEY: text})
    for seed in (1, 2, 3):
        photo(Path(f"photos/{seed}.png"), seed=seed)
    photo(Path("paintings/wave.png"), seed=4)
    photo(Path("paintings/udnie.png"), seed=5)
    asked: list[str] = []

    def load_features(name: str) -> TinyFeatures:
        asked.append(name)
        return TinyFeatures()

    monkeypatch.setattr(features, "load_features", load_features)
    return asked


def test_the_table(run: Run, lab: list[str]) -> None:
    ran = run(*QUICK, "--count", "2")
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert re.split(r"\s{2,}", lines[0]) == [
        "style", "loss, one pass", "content", "style loss", "tv", "loss, photograph", "iterations",
    ]  # fmt: skip
    assert [line.split()[0] for line in lines[1:]] == ["great-wave", "udnie"]
    assert len(lines[1].split()) in (7, 8)  # the last may be "> 2"
    said = ran.err.splitlines()
    assert said[0] == "not measured, the record names no painting of them: starry-night"
    assert said[1].startswith("great-wave: one pass ")
    assert lab == ["vgg16"]


def test_json_and_what_was_asked_for(run: Run, lab: list[str]) -> None:
    ran = run(*QUICK, "--count", "2", "--styles", "udnie", "--features", "slim", "--json")
    assert (ran.code, ran.err) == (0, "")
    assert lab == ["slim"]
    found = ran.json
    assert found["command"] == "evaluate"
    settings = found["settings"]
    assert (settings["features"], settings["side"], settings["iterations"]) == ("slim", 32, 2)
    assert settings["photos"] == ["1.png", "2.png"]
    assert settings["engine"] == "onnxruntime"
    (score,) = found["scores"]
    assert (score["style"], score["painting"]) == ("udnie", "udnie.png")
    assert score["total"] > 0
    assert 1 <= len(score["curve"]) <= 3


def test_precision(run: Run, lab: list[str]) -> None:
    words = (*QUICK, "--count", "1", "--styles", "udnie", "--json")
    exact, coarse = (
        run(*words, "--precision", name).json["scores"][0]["total"]
        for name in ("float32", "bfloat16")
    )
    assert exact != coarse
    assert exact == pytest.approx(coarse, rel=0.05)


def test_the_report_is_kept_and_taken_up_again(
    run: Run, lab: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*QUICK, "--count", "2", "-o", "out/scores.json")
    measured: list[str] = []
    original = command._measure

    def measure(comparison: Any, report: Any, style: str, *, quiet: bool) -> None:
        if measured:
            raise KeyboardInterrupt
        measured.append(style)
        original(comparison, report, style, quiet=quiet)

    with monkeypatch.context() as patch:
        patch.setattr(command, "_measure", measure)
        assert run(*words).code == 130
    kept = json.loads(Path("out/scores.json").read_text())
    assert [each["style"] for each in kept["scores"]] == ["great-wave"]
    ran = run(*words)
    assert ran.code == 0
    assert "great-wave: one pass" not in ran.err  # it was not measured again
    assert "udnie: one pass" in ran.err
    assert [line.split()[0] for line in ran.out.splitlines()[1:]] == ["great-wave", "udnie"]
    assert Path("out/scores.md").read_text().count("| udnie |") == 1
    hint = refused(run(*words, "--side", "16", "-q"), "measured otherwise: side")
    assert "-o" in hint


def test_an_unreadable_photograph_and_a_style_that_was_added(run: Run, lab: list[str]) -> None:
    Path("photos/0.png").write_bytes(b"no picture")
    base = {"styles": {"great-wave": "wave.png"}}
    recipe = {**OBJECTIVE, "painting": "udnie.png", "base": base}
    text = tiny_style.record(recipe=recipe).to_json()
    tiny_style.write(Path("tiny.onnx"), metadata={KEY: text})
    ran = run(*QUICK, "--count", "1", "--iterations", "1")
    assert ran.code == 0
    said = ran.err.splitlines()
    assert said[0].startswith("skipped: ") and "0.png" in said[0]
    assert said[1].endswith("names no painting of them: starry-night")
    assert said[2] == "measured by the objective of the style added last: udnie"
    assert [line.split()[0] for line in ran.out.splitlines()[1:]] == ["great-wave", "udnie"]
    assert run(*QUICK, "--count", "1", "--styles", "udnie", "-q").err == ""


def test_quiet(run: Run, lab: list[str]) -> None:
    ran = run(*QUICK, "--count", "1", "--styles", "udnie", "-q", "-o", "scores.json")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert Path("scores.json").exists()


def test_a_shipped_network_by_its_name(run: Run, lab: list[str]) -> None:
    """The network that ships in these tests has no recipe."""
    words = ("evaluate", "multistyle", "--photos", "photos/*.png", "--paintings", "paintings")
    refused(run(*words), "the record of johnson multistyle does not say its styles")
    hint = refused(run("evaluate", "multistile", *words[2:]), "nothing named 'multistile'")
    assert "multistyle" in hint


def test_bad_input(run: Run, lab: list[str]) -> None:
    unknown = run(*QUICK, "--styles", "udnie, cubism")
    assert "great-wave" in refused(unknown, "there is no style 'cubism' to measure")
    folder = ("evaluate", "tiny.onnx", "--photos", "photos", "--paintings", "paintings")
    assert "'photos/*'" in refused(run(*folder), "no photograph that training leaves out")
    refused(run(*QUICK[:3], "none", *QUICK[4:]), "none does not exist")
    refused(run("evaluate", "gone.onnx", *QUICK[2:]), "gone.onnx does not exist")
    refused(run("evaluate", "tiny.onnx"), "missing option '--photos'")
    refused(run("evaluate", "tiny.onnx", "--photos", "x"), "missing option '--paintings'")
    refused(run(*QUICK, "--data", "pictures"), "--data is for classifiers")
    refused(run(*QUICK, "--engine", "magic"), "magic")


def test_a_report_that_cannot_be_written_is_found_at_once(run: Run, lab: list[str]) -> None:
    Path("taken").write_text("a file")
    Path("folder.json").mkdir()
    for place, complaint in {
        "scores.md": "scores.md does not end in .json",
        "scores": "scores does not end in .json",
        "folder.json": "folder.json is a folder",
        "taken/scores.json": "taken is not a folder",
    }.items():
        refused(run(*QUICK, "-o", place), complaint)
    assert lab == []  # before the judge was even loaded


def test_a_missing_painting_is_found_missing_at_once(
    run: Run, lab: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("paintings/udnie.png").unlink()
    monkeypatch.setattr(command, "_measure", None)
    ran = run(*QUICK, "--styles", "great-wave,udnie")
    refused(ran, "paintings has no udnie.png, the painting of 'udnie'")


def test_a_run_that_started_from_another_adds_no_style(run: Run, lab: list[str]) -> None:
    styles = {"great-wave": "wave.png", "udnie": "udnie.png"}
    recipe = {**OBJECTIVE, "styles": styles, "base": OBJECTIVE}
    tiny_style.write(Path("tiny.onnx"), metadata={KEY: tiny_style.record(recipe=recipe).to_json()})
    ran = run(*QUICK, "--count", "1", "--iterations", "1", "--styles", "udnie")
    assert ran.code == 0 and "added last" not in ran.err


def test_styles_whose_painting_is_not_there_are_left_out(run: Run, lab: list[str]) -> None:
    """As after `train new-style`: whoever added a style has its painting, and no other."""
    base = {"styles": {"great-wave": "wave.png"}}
    recipe = {**OBJECTIVE, "painting": "udnie.png", "base": base}
    text = tiny_style.record(recipe=recipe).to_json()
    tiny_style.write(Path("tiny.onnx"), metadata={KEY: text})
    Path("paintings/wave.png").unlink()
    ran = run(*QUICK, "--count", "1", "--iterations", "1")
    assert ran.code == 0
    said = ran.err.splitlines()
    assert said[0] == "not measured, the record names no painting of them: starry-night"
    assert said[1] == "not measured, paintings has no painting of them: great-wave"
    assert [line.split()[0] for line in ran.out.splitlines()[1:]] == ["udnie"]


def test_a_folder_without_any_of_the_paintings(run: Run, lab: list[str]) -> None:
    Path("paintings/wave.png").rename("paintings/other.png")
    Path("paintings/udnie.png").unlink()
    hint = refused(run(*QUICK), "paintings has none of the paintings of the styles: wave.png, udn")
    assert "the folder of the paintings" in hint
    Path("paintings/other.png").unlink()
    refused(run(*QUICK), "the folder paintings holds no pictures")


def test_without_torch(run: Run, lab: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        command, "find_spec", lambda name: None if name == "torch" else find_spec(name)
    )
    assert "[train]" in refused(run(*BASE), "evaluating a style network needs packages")
