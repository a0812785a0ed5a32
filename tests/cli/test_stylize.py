"""`deepcanon stylize` and what each of its options does, on a network of known results."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepcanon.core.images import Picture
from deepcanon.engine.session import Session, available
from deepcanon.style.color import keep_color, mix
from tests import tiny_style
from tests.cli.conftest import Run, photo, pixels

pytestmark = pytest.mark.row("T2")

FAST = ("--engine", "onnxruntime", "--threads", "1")


def close(found: np.ndarray, wanted: np.ndarray) -> bool:
    """Equal up to the rounding of weights in float32."""
    return found.shape == wanted.shape and np.abs(found.astype(int) - wanted).max() <= 1


def test_a_photograph_in_a_style(run: Run, desk: Path) -> None:
    original = photo(Path("photo.png"))
    ran = run("stylize", "photo.png", "--style", "starry-night", "-o", "out.png", *FAST)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.split() == ["out.png", "48x32", ran.out.split()[2], "s"]
    assert (pixels(Path("out.png")) == 255 - original).all()


def test_the_default_name_stands_beside_the_photograph(run: Run, desk: Path) -> None:
    photo(Path("in/photo.png"))
    assert run("stylize", "in/photo.png", *FAST).code == 0
    assert run("stylize", "in/photo.png", "--style", "udnie", *FAST).code == 0
    assert run("stylize", "in/photo.png", "--style", "udnie,great-wave:2", *FAST).code == 0
    assert sorted(path.name for path in Path("in").iterdir()) == [
        "photo.png",
        "photo.starry-night.png",
        "photo.udnie+great-wave.png",
        "photo.udnie.png",
    ]


@pytest.mark.parametrize(
    ("name", "made"),
    [("a.jpg", "a.udnie.jpg"), ("a.JPEG", "a.udnie.JPEG"), ("a.gif", "a.udnie.png")],
)
def test_the_default_name_keeps_a_format_that_can_be_written(
    name: str, made: str, run: Run, desk: Path
) -> None:
    photo(Path(name))
    assert run("stylize", name, "--style", "udnie", *FAST).code == 0
    assert Path(made).exists()


def test_a_blend(run: Run, desk: Path) -> None:
    original = photo(Path("photo.png"))
    style = "starry-night:0.6,great-wave:0.4"
    assert run("stylize", "photo.png", "--style", style, "-o", "out.png", *FAST).code == 0
    wanted = tiny_style.expected(original, {"starry-night": 0.6, "great-wave": 0.4})
    assert close(pixels(Path("out.png")), wanted)


def test_strength_and_keep_color(run: Run, desk: Path) -> None:
    original = photo(Path("photo.png"))
    base = ("stylize", "photo.png", "-o", "out.png", *FAST)
    run(*base, "--strength", "0")
    assert (pixels(Path("out.png")) == original).all()
    run(*base, "--strength", "0.25")
    assert (pixels(Path("out.png")) == mix(255 - original, original, strength=0.25)).all()
    run(*base, "--keep-color")
    assert (pixels(Path("out.png")) == keep_color(255 - original, original)).all()


def test_max_size(run: Run, desk: Path) -> None:
    photo(Path("photo.png"), size=(90, 60))
    run("stylize", "photo.png", "-o", "out.png", "--max-size", "45", *FAST)
    assert pixels(Path("out.png")).shape == (30, 45, 3)
    run("stylize", "photo.png", "-o", "out.png", "--max-size", "450", *FAST)
    assert pixels(Path("out.png")).shape == (60, 90, 3)


def test_a_model_of_ones_own(run: Run, desk: Path, tiny_model: Path) -> None:
    original = photo(Path("photo.png"))
    ran = run("stylize", "photo.png", "--model", tiny_model, "-o", "out.png", *FAST)
    assert ran.code == 0
    assert (pixels(Path("out.png")) == 255 - original).all()


@pytest.mark.parametrize("engine", ["auto", "onnxruntime", "openvino"])
def test_engines(engine: str, run: Run, desk: Path) -> None:
    if engine == "openvino":
        pytest.importorskip("openvino")
    original = photo(Path("photo.png"))
    ran = run("stylize", "photo.png", "-o", "out.png", "--engine", engine, "--json")
    assert ran.code == 0
    fastest = available()[0] if engine == "auto" else engine
    assert ran.json["results"][0]["engine"] == fastest
    assert close(pixels(Path("out.png")), 255 - original)


def test_quiet_says_nothing(run: Run, desk: Path) -> None:
    photo(Path("photo.png"))
    ran = run("stylize", "photo.png", "-q", *FAST)
    assert (ran.code, ran.stdout, ran.err) == (0, b"", "")


def test_no_more_threads_than_processors(
    run: Run, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deepcanon.engine import kept

    asked: list[int | None] = []

    def open_session(path: Path, *, engine: str, threads: int | None) -> Session:
        asked.append(threads)
        return original(path, engine=engine, threads=threads)

    original = kept.open_session
    monkeypatch.setattr(kept, "open_session", open_session)
    photo(Path("photo.png"))
    for threads in ("1", "100000"):
        assert run("stylize", "photo.png", "-q", "--threads", threads).code == 0
    assert asked == [1, os.cpu_count()]


# --- several pictures


def test_files_folders_and_globs(run: Run, desk: Path) -> None:
    for name in ("a.png", "in/b.png", "in/c.jpg", "more/d1.png", "more/d2.png", "more/e.png"):
        photo(Path(name))
    Path("in/notes.txt").write_text("no picture")
    ran = run("stylize", "a.png", "in", "more/d*.png", "-o", "out", *FAST)
    assert (ran.code, ran.err) == (0, "")
    made = sorted(path.name.replace(".starry-night", "") for path in Path("out").iterdir())
    assert made == ["a.png", "b.png", "c.jpg", "d1.png", "d2.png"]
    assert len(ran.out.splitlines()) == 5


def test_a_picture_named_twice_is_done_once(run: Run, desk: Path) -> None:
    photo(Path("a.png"))
    ran = run("stylize", "a.png", "./a.png", ".", "-o", "out", "--json", *FAST)
    assert [each["input"] for each in ran.json["results"]] == ["a.png"]


def test_a_second_run_leaves_the_results_of_the_first_alone(run: Run, desk: Path) -> None:
    photo(Path("in/a.png"))
    photo(Path("in/b.jpg"))
    for style in ("udnie", "great-wave", "udnie"):
        ran = run("stylize", "in", "--style", style, "--json", *FAST)
        assert ran.code == 0
        assert [each["input"] for each in ran.json["results"]] == ["in/a.png", "in/b.jpg"]
    assert len(list(Path("in").iterdir())) == 6
    # Named on its own, a result is a photograph like any other.
    assert run("stylize", "in/a.udnie.png", *FAST).code == 0
    assert Path("in/a.udnie.starry-night.png").exists()


def test_three_bad_pictures_among_good_ones(run: Run, desk: Path) -> None:
    for name in ("a.png", "c.png", "e.jpg"):
        photo(Path("in", name))
    Path("in/b.jpg").write_bytes(b"this is not a picture")
    Path("in/d.jpg").write_bytes(Path("in/e.jpg").read_bytes()[:400])
    Path("in/f.png").touch()
    ran = run("stylize", "in", "-o", "out", *FAST)
    assert ran.code == 1
    assert len(ran.out.splitlines()) == 3
    assert len(list(Path("out").iterdir())) == 3
    lines = ran.err.splitlines()
    for line, name in zip(lines, ("in/b.jpg", "in/d.jpg", "in/f.png"), strict=False):
        assert line.startswith(f"skipped {name}: ")
    assert lines[3] == "error: 3 of 6 pictures could not be done"
    assert lines[4] == "hint: the others are finished; mend or leave out those named above"
    assert len(lines) == 5


def test_nothing_but_bad_pictures(run: Run, desk: Path) -> None:
    Path("in").mkdir()
    for name in ("a.jpg", "b.jpg"):
        Path("in", name).write_bytes(b"this is not a picture")
    ran = run("stylize", "in", "-o", "out", *FAST)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.splitlines()[2:] == [
        "error: 2 of 2 pictures could not be done",
        "hint: none is finished; mend those named above",
    ]


def test_a_missing_file_among_good_ones(run: Run, desk: Path) -> None:
    photo(Path("a.png"))
    ran = run("stylize", "gone.png", "a.png", "none/*.png", "-o", "out", "--json", *FAST)
    assert ran.code == 1
    assert [each["input"] for each in ran.json["results"]] == ["a.png"]
    assert [each["input"] for each in ran.json["failures"]] == ["gone.png", "none/*.png"]
    assert ran.err.splitlines()[-2] == "error: 2 of 3 pictures could not be done"


# --- standard input and output


def test_a_pipe(run: Run, desk: Path) -> None:
    original = photo(Path("photo.png"))
    ran = run("stylize", "-", *FAST, stdin=Path("photo.png").read_bytes())
    assert (ran.code, ran.err) == (0, "")
    image = Image.open(io.BytesIO(ran.stdout))
    assert image.format == "PNG"
    assert (np.asarray(image) == 255 - original).all()
    assert sorted(path.name for path in desk.iterdir()) == ["photo.png"]


def test_standard_input_to_a_file_and_a_file_to_standard_output(run: Run, desk: Path) -> None:
    original = photo(Path("photo.png"))
    data = Path("photo.png").read_bytes()
    assert run("stylize", "-", "-o", "out.png", *FAST, stdin=data).out.startswith("out.png")
    assert run("stylize", "-", "-o", "folder/", *FAST, stdin=data).code == 0
    assert Path("folder/picture.starry-night.png").exists()
    ran = run("stylize", "photo.png", "-o", "-", *FAST)
    assert (np.asarray(Image.open(io.BytesIO(ran.stdout))) == 255 - original).all()
    assert (pixels(Path("out.png")) == 255 - original).all()


def test_a_pipe_beside_files_gets_the_picture_alone(run: Run, desk: Path) -> None:
    photo(Path("photo.png"))
    ran = run("stylize", "-", "photo.png", *FAST, stdin=Path("photo.png").read_bytes())
    assert (ran.code, ran.err) == (0, "")
    image = Image.open(io.BytesIO(ran.stdout))
    assert image.size == (48, 32)
    assert ran.stdout.endswith(b"IEND\xaeB`\x82")
    assert Path("photo.starry-night.png").exists()


def test_a_picture_the_engine_fails_on_is_passed_over(
    run: Run, desk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deepcanon.core.errors import Failed
    from deepcanon.style.predict import Stylizer

    paint = Stylizer._paint

    def fails(self: Stylizer, picture: Picture) -> np.ndarray:
        if picture.name == "in/a.png":
            raise Failed("out of memory", hint="a smaller picture")
        return paint(self, picture)

    monkeypatch.setattr(Stylizer, "_paint", fails)
    photo(Path("in/a.png"))
    photo(Path("in/b.png"))
    ran = run("stylize", "in", "-o", "out", *FAST)
    assert ran.code == 1
    assert ran.err.splitlines()[0] == "skipped in/a.png: out of memory"
    assert Path("out/b.starry-night.png").exists()


def test_a_real_pipe(desk: Path, tiny_model: Path) -> None:
    """In a process, warnings as errors: bytes in, bytes out, and no torch."""
    original = photo(Path("photo.png"))
    program = (
        "import sys; from deepcanon.cli import main\n"
        f"code = main(['stylize', '-', '--model', {str(tiny_model)!r}])\n"
        "assert not {'torch', 'pydantic', 'rich'} & set(sys.modules)\n"
        "sys.exit(code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        input=Path("photo.png").read_bytes(),
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert close(np.asarray(Image.open(io.BytesIO(done.stdout))), 255 - original)


def test_python_m(desk: Path, tiny_model: Path) -> None:
    photo(Path("photo.png"))
    done = subprocess.run(
        [sys.executable, "-m", "deepcanon", "stylize", "photo.png", "--model", str(tiny_model)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("photo.starry-night.png  48x32  ")


# --- kinds of pictures


def test_every_kind_of_picture(run: Run, desk: Path) -> None:
    original = photo(Path("rgb.png"))
    image = Image.fromarray(original)
    grey = image.convert("L")
    grey.save("grey.png")
    Image.fromarray(np.asarray(grey).astype(np.uint16) * 257).save("sixteen.png")
    image.convert("CMYK").save("cmyk.jpg", quality=95)
    turned = Image.Exif()
    turned[0x0112] = 6
    image.save("turned.jpg", quality=95, exif=turned)
    ran = run("stylize", "grey.png", "sixteen.png", "cmyk.jpg", "turned.jpg", "-o", "out/", *FAST)
    assert (ran.code, ran.err) == (0, "")
    negative = np.repeat(255 - np.asarray(grey)[..., None], 3, axis=2)
    assert (pixels(Path("out/grey.starry-night.png")) == negative).all()
    assert (pixels(Path("out/sixteen.starry-night.png")) == negative).all()
    assert pixels(Path("out/cmyk.starry-night.jpg")).shape == (32, 48, 3)
    assert pixels(Path("out/turned.starry-night.jpg")).shape == (48, 32, 3)


def test_alpha_and_profile_are_kept(run: Run, desk: Path) -> None:
    from PIL import ImageCms

    original = photo(Path("photo.png"))
    alpha = np.tile(np.arange(48, dtype=np.uint8) * 5, (32, 1))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(np.dstack([original, alpha])).save("alpha.png", icc_profile=profile)
    assert run("stylize", "alpha.png", "-o", "out.png", *FAST).code == 0
    assert (pixels(Path("out.png")) == np.dstack([255 - original, alpha])).all()
    with Image.open("out.png") as image:
        assert image.info["icc_profile"] == profile


# --- JSON


def test_json(run: Run, desk: Path) -> None:
    photo(Path("in/a.png"))
    Path("in/b.jpg").touch()
    ran = run("stylize", "in", "--style", "udnie:3,great-wave:1", "-o", "out", "--json", *FAST)
    assert ran.code == 1
    content = ran.json
    assert content.pop("seconds") > 0
    assert content["results"][0].pop("seconds") >= 0
    hint = content["failures"][0].pop("hint")
    assert hint
    assert content == {
        "command": "stylize",
        "method": "johnson",
        "results": [
            {
                "input": "in/a.png",
                "output": "out/a.udnie+great-wave.png",
                "width": 48,
                "height": 32,
                "style": {"udnie": 0.75, "great-wave": 0.25},
                "engine": "onnxruntime",
            }
        ],
        "failures": [{"input": "in/b.jpg", "error": "in/b.jpg is empty (0 bytes)"}],
    }
    assert json.dumps(content)


def test_names_that_are_no_text(run: Run, desk: Path) -> None:
    name = os.fsdecode(b"\xff\xfe.png")
    photo(Path("photo.png"))
    Path("photo.png").rename(name)
    ran = run("stylize", name, *FAST)
    assert (ran.code, ran.err) == (0, "")
    assert Path(os.fsdecode(b"\xff\xfe.starry-night.png")).exists()
    assert run("stylize", ".", "--json", *FAST).json["results"][0]["input"] == name
    Path(name).write_bytes(b"")
    assert "is empty" in run("stylize", name, *FAST).error_lines[0]


def test_names_in_any_alphabet(run: Run, desk: Path) -> None:
    photo(Path("照片 一.png"))
    assert "照片 一.udnie.png" in run("stylize", "照片 一.png", "--style", "udnie", *FAST).out
    assert Path("照片 一.udnie.png").exists()
