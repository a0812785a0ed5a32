"""`deepcanon stylize` after a painting of one's own: Gatys' descent behind the same options."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")

from deepcanon.cli import stylize  # noqa: E402
from deepcanon.core.errors import how_to_install  # noqa: E402
from deepcanon.style import features, gatys, predict  # noqa: E402
from deepcanon.style.color import keep_color, mix  # noqa: E402
from tests.cli.conftest import Run, files, photo, pixels, refused  # noqa: E402

pytestmark = pytest.mark.row("T1")


class TinyFeatures:
    """Each tap a random convolution of the picture, halved from stage to stage."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.kernel = torch.randn(4, 3, 3, 3, generator=generator)
        self.channels = {f"relu{s}_{n}": 4 for s in range(1, 6) for n in range(1, 5)}

    def __call__(self, pictures: Any, taps: Iterable[str]) -> dict[str, Any]:
        maps = torch.nn.functional.conv2d(pictures, self.kernel, padding=1).relu()
        return {tap: torch.nn.functional.avg_pool2d(maps, int(tap[4])) for tap in taps}


@pytest.fixture
def studio(desk: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A photograph, a painting, and a feature network of one layer; yields what was asked for."""
    photo(Path("photo.png"), seed=1)
    photo(Path("painting.jpg"), size=(64, 64), seed=2)
    asked: list[str] = []

    def load_features(name: str, *, pooling: object) -> TinyFeatures:
        asked.append(name)
        return TinyFeatures()

    monkeypatch.setattr(features, "load_features", load_features)
    return asked


BASE = ("stylize", "photo.png", "--style", "painting.jpg", "--iterations", "4", "--threads", "1")


def test_a_painting_file_is_painted_after_by_gatys(run: Run, studio: list[str]) -> None:
    original = pixels(Path("photo.png"))
    ran = run(*BASE, "--json")
    assert (ran.code, ran.err) == (0, "")
    assert ran.json["method"] == "gatys"
    (result,) = ran.json["results"]
    assert result["output"] == "photo.painting.png"
    assert result["style"] == {"painting.jpg": 1.0}
    assert result["engine"] == "torch"
    made = pixels(Path("photo.painting.png"))
    assert made.shape == original.shape
    assert (made != original).any()
    assert studio == ["slim"]


def test_features_iterations_and_the_limit_on_size(
    run: Run, studio: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[int, tuple[int, ...]]] = []
    original = gatys.repaint

    def repaint(content: np.ndarray, style: np.ndarray, **options: Any) -> Any:
        told.append((options["config"].iterations, content.shape))
        return original(content, style, **options)

    monkeypatch.setattr(gatys, "repaint", repaint)
    photo(Path("large.png"), size=(600, 32))
    base = ("stylize", "--style", "painting.jpg", "-q", "--iterations", "1")
    assert run(*base, "large.png", "--features", "vgg19").code == 0
    assert run(*base, "large.png", "--max-size", "300").code == 0
    assert studio == ["vgg19", "slim"]
    assert told == [(1, (27, 512, 3)), (1, (16, 300, 3))]


def test_a_large_photograph_keeps_its_size_and_its_alpha(run: Run, studio: list[str]) -> None:
    made = photo(Path("large.png"), size=(600, 40))
    alpha = np.random.default_rng(0).integers(256, size=(40, 600), dtype=np.uint8)
    Image.fromarray(np.dstack([made, alpha])).save("large.png")
    words = ("stylize", "large.png", "--style", "painting.jpg", "--iterations", "1")
    ran = run(*words, "-o", "whole.png", "--keep-color")
    assert ran.code == 0
    assert ran.err == (
        "large.png: repainted at 512 pixels and enlarged; --max-size N repaints at N\n"
    )
    whole = pixels(Path("whole.png"))
    assert whole.shape == (40, 600, 4)
    assert (whole[..., 3] == alpha).all()
    limited = run(*words, "-o", "limited.png", "--max-size", "560")
    assert (limited.code, limited.err) == (0, "")
    assert pixels(Path("limited.png")).shape == (37, 560, 4)
    assert run(*words, "-q", "-o", "quiet.png").err == ""
    assert (pixels(Path("quiet.png"))[..., 3] == alpha).all()


def test_strength_and_colours_apply_to_it_too(run: Run, studio: list[str]) -> None:
    original = pixels(Path("photo.png"))
    run(*BASE, "-o", "full.png")
    run(*BASE, "-o", "half.png", "--strength", "0.5")
    run(*BASE, "-o", "colour.png", "--keep-color")
    full = pixels(Path("full.png"))
    assert (pixels(Path("half.png")) == mix(full, original, strength=0.5)).all()
    assert (pixels(Path("colour.png")) == keep_color(full, original)).all()


def test_a_folder_and_a_bad_picture_in_it(run: Run, studio: list[str]) -> None:
    photo(Path("in/a.png"))
    Path("in/b.png").touch()
    ran = run("stylize", "in", "--style", "painting.jpg", "--iterations", "1", "-o", "out")
    assert ran.code == 1
    assert files(Path("out")) == ["a.painting.png"]
    assert studio == ["slim"]


def test_noise_at_the_start_is_that_of_its_seed(run: Run, studio: list[str]) -> None:
    for name, seed in {"a.png": "7", "b.png": "7", "c.png": "8"}.items():
        assert run(*BASE, "-o", name, "--start", "noise", "--seed", seed, "-q").code == 0
    assert (pixels(Path("a.png")) == pixels(Path("b.png"))).all()
    assert (pixels(Path("a.png")) != pixels(Path("c.png"))).any()


def test_previews_stand_beside_the_result_and_are_finished_like_it(
    run: Run, studio: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[str] = []
    save = predict.save

    def spy(pixels: np.ndarray, path: Any, **options: Any) -> None:
        saved.append(str(path))
        save(pixels, path, **options)

    monkeypatch.setattr(predict, "save", spy)
    made = photo(Path("photo.png"), seed=1)
    Image.fromarray(np.dstack([made, np.full(made.shape[:2], 9, np.uint8)])).save("photo.png")
    words = ("--preview", "1", "--strength", "0.5", "--keep-color")
    assert run(*BASE, "-o", "out.png", *words).code == 0
    assert saved == ["out.preview.png"] * 4 + ["out.png"]
    # The last preview is the result.
    assert (pixels(Path("out.preview.png")) == pixels(Path("out.png"))).all()
    assert (pixels(Path("out.preview.png"))[..., 3] == 9).all()


def test_a_failure_after_a_preview_leaves_what_was_there(
    run: Run, studio: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = itertools.count()
    original = TinyFeatures.__call__

    def failing(self: TinyFeatures, pictures: Any, taps: Iterable[str]) -> dict[str, Any]:
        found = original(self, pictures, taps)
        return {tap: each * torch.nan for tap, each in found.items()} if next(calls) > 6 else found

    monkeypatch.setattr(TinyFeatures, "__call__", failing)
    Path("out.png").write_bytes(b"what was there")
    refused(run(*BASE, "-o", "out.png", "--preview", "1"), "not a finite number", code=1)
    assert Path("out.png").read_bytes() == b"what was there"
    assert Path("out.preview.png").is_file()


def test_previews_of_an_earlier_run_are_no_photographs(run: Run, studio: list[str]) -> None:
    photo(Path("in/a.png"))
    words = ("stylize", "in", "--style", "painting.jpg", "--iterations", "1", "--preview", "1")
    for _ in range(2):
        assert run(*words, "-q").code == 0
        assert files(Path("in")) == ["a.painting.png", "a.painting.preview.png", "a.png"]


def test_ctrl_c_keeps_the_picture_so_far(
    run: Run, studio: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = itertools.count()
    original = TinyFeatures.__call__

    def interrupted(self: TinyFeatures, pictures: Any, taps: Iterable[str]) -> dict[str, Any]:
        if next(calls) == 5:
            raise KeyboardInterrupt
        return original(self, pictures, taps)

    monkeypatch.setattr(TinyFeatures, "__call__", interrupted)
    hint = refused(run(*BASE, "-o", "out.png"), "interrupted", code=130)
    assert hint.startswith("hint: out.png holds the picture as it was after ")
    assert pixels(Path("out.png")).shape == pixels(Path("photo.png")).shape


def test_ctrl_c_before_the_first_step_writes_nothing(
    run: Run, studio: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: TinyFeatures, pictures: Any, taps: Iterable[str]) -> dict[str, Any]:
        raise KeyboardInterrupt

    monkeypatch.setattr(TinyFeatures, "__call__", interrupted)
    refused(run(*BASE, "-o", "out.png"), "interrupted", code=130)
    assert not Path("out.png").exists()


def test_without_the_make_half_it_says_what_to_install(
    run: Run, studio: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stylize, "find_spec", lambda name: None)
    refused(run("stylize", "photo.png", "--style", "gone.jpg"), "gone.jpg does not exist")
    hint = refused(run(*BASE), "a painting of your own")
    assert hint == f"hint: {how_to_install('train')}"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--style", "gone.jpg"), "gone.jpg does not exist"),
        (("--style", "./gone"), "gone does not exist"),
        (("--style", "notes.txt"), "notes.txt is not a picture"),
        (("--style", "udnie", "--method", "gatys"), "needs a picture of the painting, not udnie"),
        (("--method", "gatys"), "needs a picture of the painting, not nothing"),
        (("--style", "painting.jpg", "--method", "johnson"), "no network for painting.jpg"),
        (("--style", "gone.jpg", "--method", "johnson"), "gone.jpg does not exist"),
        (("--style", "painting.jpg", "--engine", "onnxruntime"), "no --engine"),
        (("--style", "painting.jpg", "--model", "a.onnx"), "no --model"),
        (("--style", "udnie", "--iterations", "5"), "--iterations is for --method gatys"),
        (("--style", "udnie", "--features", "slim"), "--features is for --method gatys"),
        (("--style", "udnie", "--preview", "5"), "--preview is for --method gatys"),
        (("--style", "udnie", "--start", "noise"), "--start is for --method gatys"),
        (("--style", "udnie", "--seed", "0"), "--seed is for --method gatys"),
        (("--style", "painting.jpg", "--seed", "5"), "--seed is that of the noise"),
        (("--style", "painting.jpg", "--preview", "5", "-o", "-"), "--preview cannot go to"),
        (
            ("--style", "art.preview.jpg", "--preview", "5", "-o", "art.jpg"),
            "the preview art.preview.jpg would overwrite an input",
        ),
        (("--style", "painting.jpg", "-o", "painting.jpg"), "would overwrite an input"),
    ],
)
def test_what_does_not_go_together(
    words: tuple[str, ...], says: str, run: Run, studio: list[str]
) -> None:
    Path("notes.txt").write_text("no picture")
    photo(Path("art.preview.jpg"))
    before = files(Path())
    refused(run("stylize", "photo.png", *words), says)
    assert files(Path()) == before


def test_the_help_says_the_defaults(run: Run, desk: Path) -> None:
    assert gatys.MODERN.iterations == stylize.ITERATIONS
    said = " ".join(run("stylize", "--help").out.split())
    assert "a weights file. [default: slim]" in said
    assert f"gatys: how many. [default: {gatys.MODERN.iterations}]" in said
