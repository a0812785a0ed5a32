"""`deepcanon reproduce`: the list, what each takes, and what is said of the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")

from deepcanon.cli import reproduce as command
from deepcanon.reproduce import REPRODUCTIONS, slim_features, style_speed
from deepcanon.reproduce import style_tradeoff as tradeoff
from tests.cli.conftest import Run, files, photo, refused
from tests.tiny_contest import two_classes
from tests.tiny_features import TinyFeatures


@pytest.fixture
def asked(desk: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every feature network is a tiny one; yields the names that were asked for."""
    names: list[str] = []

    def load_features(name: str, **_: object) -> TinyFeatures:
        names.append(name)
        return TinyFeatures()

    for module in (tradeoff, slim_features, style_speed):
        monkeypatch.setattr(module, "load_features", load_features)
    return names


def test_without_a_name_it_lists_them(run: Run) -> None:
    ran = run("reproduce")
    assert (ran.code, ran.err) == (0, "")
    for name, entry in REPRODUCTIONS.items():
        assert f"\n{name} ({entry.row})\n    {entry.help}\n    {entry.cost}\n" in ran.out
    listed = run("reproduce", "--json").json
    assert [each["name"] for each in listed] == list(REPRODUCTIONS)
    assert set(listed[0]) == {"name", "row", "help", "cost"}


@pytest.mark.row("T1")
def test_the_series_of_ratios(run: Run, asked: list[str]) -> None:
    photo(Path("a.png"))
    photo(Path("b.png"), seed=3)
    ran = run(
        *("reproduce", "style-tradeoff", "--photo", "a.png", "--painting", "b.png"),
        *("--iterations", "1", "--size", "32", "--features", "vgg19", "--seed", "0", "-o", "here"),
    )
    assert (ran.code, ran.err) == (0, "")
    assert asked == ["vgg19"]
    assert files(Path("here")) == ["style-tradeoff.json", "style-tradeoff.png"]
    assert sorted(ran.out.split()) == ["here/style-tradeoff.json", "here/style-tradeoff.png"]
    table = json.loads(Path("here/style-tradeoff.json").read_text())
    assert (table["photograph"], table["painting"]) == ("a.png", "b.png")
    assert (table["iterations"], table["width"], table["seed"]) == (1, 32, 0)


@pytest.mark.row("T1")
def test_slim_against_vgg16(run: Run, asked: list[str]) -> None:
    for seed in range(3):
        photo(Path(f"in/{seed}.png"), seed=seed)
    ran = run(
        *("reproduce", "slim-features", "--photos", "in/*.png", "--paintings", "in"),
        *("--features", "a.h5+b.h5", "--student", "small", "--iterations", "2"),
        *("--schedule", "1,1", "--variation", "0", "--count", "2", "--minutes", "0"),
        *("--size", "32", "--threads", "1", "--json"),
    )
    assert (ran.code, ran.err) == (0, "")
    assert asked == ["a.h5+b.h5", "small"]
    found = ran.json
    assert (found["name"], found["row"]) == ("slim-features", "T1")
    assert found["files"] == [f"out/slim-features.{kind}" for kind in ("md", "json", "jpg")]
    table = found["table"]
    assert (table["schedule"], table["variation_under_slim"], table["size"]) == ([1, 1], 0.0, 32)
    assert (len(table["pairs"]), table["of_pairs"]) == (1, 6)


@pytest.mark.row("T1")
def test_a_photograph_that_was_skipped_is_named(run: Run, asked: list[str]) -> None:
    photo(Path("in/1.png"))
    photo(Path("paintings/1.png"), seed=2)
    Path("in/0.png").write_bytes(b"no picture")
    words = (
        *("reproduce", "slim-features", "--photos", "in/*.png", "--paintings", "paintings"),
        *("--iterations", "1", "--schedule", "1,1", "--count", "1", "--minutes", "0"),
        *("--size", "32"),
    )
    ran = run(*words)
    assert ran.code == 0
    assert ran.err.startswith("skipped: ") and "0.png" in ran.err
    assert run(*words, "-q").err == ""


@pytest.mark.row("T4")
def test_the_speed_table(run: Run, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    original = style_speed.run
    told: dict[str, object] = {}

    def quick(out: str, **options: object) -> object:
        told.update(options)
        return original(out, **{**options, "passes": 1})  # type: ignore[arg-type]

    quick.__signature__ = command.inspect.signature(original)  # type: ignore[attr-defined]
    monkeypatch.setattr(style_speed, "run", quick)
    words = ("reproduce", "style-speed", "--size", "32", "--size", "48", "--iterations", "1")
    ran = run(*words, "--features", "vgg16", "--engine", "onnxruntime", "-q")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert asked == ["vgg16"]
    assert told.pop("on_progress") is not None
    assert told == {
        "sizes": (32, 48),
        "iterations": 1,
        "features": "vgg16",
        "engine": "onnxruntime",
    }
    table = json.loads(Path("out/style-speed.json").read_text())
    assert [row["size"] for row in table["rows"]] == [32, 48]
    assert (table["engine"], table["weights"]) == ("onnxruntime", "given")


def test_what_it_does_not_take(run: Run, asked: list[str]) -> None:
    hint = refused(run("reproduce", "style-speed", "--photo", "a.png"), "takes no --photo")
    assert "--size" in hint
    assert "--photo" not in hint
    hint = refused(run("reproduce", "style-tradeoff", "--schedule", "1,2"), "takes no --schedule")
    assert hint == (
        "hint: it takes --photo, --painting, --features, --iterations, --size, --seed, --threads"
    )
    two = run("reproduce", "style-tradeoff", "--size", "32", "--size", "64")
    refused(two, "style-tradeoff has one size, not 2")
    assert files(Path()) == []


def test_bad_input(run: Run, asked: list[str]) -> None:
    assert "style-tradeoff" in refused(run("reproduce", "style-tradeof"), "no reproduction")
    slim = ("reproduce", "slim-features", "--schedule")
    refused(run(*slim, "1,x"), "'1,x' is not a list of counts")
    refused(run(*slim, "1,2,3"), "schedule (1, 2, 3)")
    refused(run("reproduce", "style-speed", "--iterations", "0"), "0 is not in the range")
    refused(run("reproduce", "style-tradeoff", "--photo", "gone.png"), "gone.png does not exist")


def test_a_place_that_cannot_be_written_is_found_at_once(
    run: Run, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("taken").write_text("a file")
    monkeypatch.setattr(tradeoff, "repaint", None)
    for place in ("taken", "taken/below"):
        ran = run("reproduce", "style-tradeoff", "--size", "32", "-o", place)
        refused(ran, "taken is not a folder")
    assert asked == []


def test_progress_opens_when_its_length_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, int, bool] | str] = []

    class Bar:
        def __init__(self, label: str, *, total: int, quiet: bool) -> None:
            seen.append((label, total, quiet))

        def __enter__(self) -> object:
            return seen.append

        def __exit__(self, *_: object) -> None:
            seen.append("closed")

    monkeypatch.setattr(command, "progress", Bar)
    with command._bar("slim", quiet=False) as on_progress:
        assert seen == []
        on_progress(1, 5, "one")
        on_progress(3, 5, "three")  # a step may be skipped
    assert seen == [("slim", 5, False), "one", "three", "three", "closed"]


@pytest.mark.row("C10")
def test_a_finding(run: Run, desk: Path) -> None:
    two_classes(Path("pair.npz"))
    words = ("reproduce", "vgg-lrn", "--data", "pair.npz", "--steps", "1", "--count", "8")
    ran = run(*words, "--seed", "2", "--minutes", "0", "--threads", "1", "-o", "here")
    assert ran.code == 0
    assert ran.err == "vgg-lrn: not judged: 1 of 2 contestants have run\n"
    assert sorted(ran.out.split()) == [f"here/vgg-lrn.{kind}" for kind in ("json", "md", "png")]
    assert files(Path("here")) == ["vgg-lrn.json", "vgg-lrn.md", "vgg-lrn.png"]
    table = json.loads(Path("here/vgg-lrn.json").read_text())
    assert list(table["contestants"]) == ["A"]
    assert (table["settings"]["data"], table["settings"]["pictures"]) == ("pair", 8)
    assert (table["settings"]["steps"], table["settings"]["seed"]) == (1, 2)
    again = run(*words, "-o", "here", "--json")
    assert "measured with seed 2, and now it is 0" in again.err
    short = ("--steps", "1", "--count", "8", "--minutes", "0", "--threads", "1")
    generated = run(*words[:2], *short, "-o", "generated")
    assert generated.err.startswith("note: on generated pictures nothing is judged; --data takes")
    refused(run(*words[:2], "--data", "gone"), "gone does not exist")
    refused(run(*words[:2], "--photo", "a.png"), "vgg-lrn takes no --photo")
