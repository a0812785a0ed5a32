"""`deepcanon stylize sheet` and `deepcanon demo`: every style on one page."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepcanon.style.sheet import contact_sheet
from tests import tiny_style
from tests.cli.conftest import Run, photo, pixels

pytestmark = pytest.mark.row("T2")

FAST = ("--engine", "onnxruntime", "--threads", "1")
STYLES = list(tiny_style.STYLES)


def holds(page: np.ndarray, tile: np.ndarray) -> bool:
    """Whether `tile` lies somewhere on `page`, pixel for pixel."""
    height, width = tile.shape[:2]
    starts = np.argwhere((page[: -height + 1, : -width + 1] == tile[0, 0]).all(axis=-1))
    return any((page[y : y + height, x : x + width] == tile).all() for y, x in starts)


def test_a_sheet_shows_the_photograph_in_every_style(run: Run, desk: Path) -> None:
    original = photo(Path("photo.png"))
    ran = run("stylize", "sheet", "photo.png", "-o", "sheet.png", *FAST)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("sheet.png  ")
    page = pixels(Path("sheet.png"))
    for tile in [original] + [tiny_style.expected(original, {name: 1.0}) for name in STYLES]:
        assert holds(page, tile)


def test_tile_columns_and_colours(run: Run, desk: Path) -> None:
    photo(Path("photo.png"), size=(96, 64))
    base = ("stylize", "sheet", "photo.png", "-o", "sheet.png", *FAST)
    assert run(*base, "--tile", "48", "--columns", "4").code == 0
    one_row = pixels(Path("sheet.png"))
    assert run(*base, "--tile", "48", "--columns", "1").code == 0
    one_column = pixels(Path("sheet.png"))
    assert one_row.shape[1] > 4 * 48 > one_column.shape[1] > 48
    assert one_column.shape[0] > 4 * 32
    assert run(*base, "--tile", "48", "--columns", "1", "--strength", "0").code == 0
    still = pixels(Path("sheet.png"))
    assert still.shape == one_column.shape
    assert (still != one_column).any()
    assert run(*base, "--tile", "48", "--columns", "1", "--keep-color").code == 0
    assert (pixels(Path("sheet.png")) != one_column).any()


def test_where_a_sheet_goes(run: Run, desk: Path) -> None:
    photo(Path("in/photo.jpg"))
    assert run("stylize", "sheet", "in/photo.jpg", *FAST).code == 0
    assert Path("in/photo.sheet.jpg").exists()
    assert run("stylize", "sheet", "in/photo.jpg", "-o", "out", *FAST).code == 0
    assert Path("out/photo.sheet.jpg").exists()
    data = Path("in/photo.jpg").read_bytes()
    ran = run("stylize", "sheet", "-", *FAST, stdin=data)
    assert Image.open(io.BytesIO(ran.stdout)).format == "PNG"
    assert run("stylize", "sheet", "in/photo.jpg", "-q", *FAST).stdout == b""


def test_a_sheet_as_json(run: Run, desk: Path) -> None:
    photo(Path("photo.png"))
    content = run("stylize", "sheet", "photo.png", "--json", *FAST).json
    total, each = content.pop("seconds"), [style.pop("seconds") for style in content["styles"]]
    assert len(each) == 3 and 0 < sum(each) <= total + 0.001  # both are rounded
    page = pixels(Path("photo.sheet.png"))
    assert content == {
        "command": "stylize sheet",
        "input": "photo.png",
        "output": "photo.sheet.png",
        "width": page.shape[1],
        "height": page.shape[0],
        "styles": [{"name": name} for name in STYLES],
    }


def test_a_sheet_of_a_model_of_ones_own(run: Run, desk: Path, tiny_model: Path) -> None:
    photo(Path("photo.png"))
    ran = run("stylize", "sheet", "photo.png", "--model", tiny_model, "--json", *FAST)
    assert [each["name"] for each in ran.json["styles"]] == STYLES


# --- the demo


@pytest.mark.usefixtures("sample")
def test_the_demo(run: Run, desk: Path) -> None:
    ran = run("demo", *FAST)
    assert (ran.code, ran.err) == (0, "")
    names = ["photograph", "sheet", *STYLES]
    assert sorted(path.name for path in Path("out").iterdir()) == sorted(f"{n}.jpg" for n in names)
    for name in ("sheet", *STYLES):
        assert any(line.startswith(f"out/{name}.jpg  ") for line in ran.out.splitlines())
    assert "look at out/sheet.jpg" in ran.out.splitlines()[-1]
    # JPEG, so not to the last bit.
    before, after = pixels(Path("out/photograph.jpg")), pixels(Path("out/starry-night.jpg"))
    assert np.abs(255 - before.astype(int) - after).mean() < 4


def test_the_demo_takes_the_shipped_photograph(run: Run, desk: Path, sample: np.ndarray) -> None:
    ran = run("demo", "-o", "a/b", "--json", *FAST)
    assert ran.code == 0
    content = ran.json
    assert content["command"] == "demo"
    assert content["seconds"] > 0
    assert [each["output"] for each in content["results"]] == [
        *(f"a/b/{name}.jpg" for name in STYLES),
        "a/b/sheet.jpg",
    ]
    assert {(each["width"], each["height"]) for each in content["results"][:-1]} == {(80, 64)}
    assert pixels(Path("a/b/photograph.jpg")).shape == sample.shape


def test_the_demo_without_its_photograph(run: Run, desk: Path) -> None:
    ran = run("demo", *FAST)
    assert ran.code == 2 and "'sample-photo'" in ran.error_lines[0]


@pytest.mark.usefixtures("sample")
def test_the_demo_twice_and_quietly(run: Run, desk: Path) -> None:
    for _ in range(2):
        ran = run("demo", "-q", "-o", "made", *FAST)
        assert (ran.code, ran.stdout, ran.err) == (0, b"", "")


def test_the_demo_needs_a_folder(run: Run, desk: Path) -> None:
    assert "several files" in run("demo", "-o", "-").error_lines[0]


# --- the page


def grey(height: int, width: int, level: int = 90) -> np.ndarray:
    return np.full((height, width, 3), level, np.uint8)


@pytest.mark.parametrize(
    ("count", "size", "columns"),
    [(1, (300, 400), 1), (8, (300, 400), 4), (8, (400, 300), 4), (6, (300, 300), 3)],
)
def test_the_grid_leaves_little_paper_empty(
    count: int, size: tuple[int, int], columns: int
) -> None:
    page = contact_sheet([(f"style {n}", grey(*size)) for n in range(count)])
    assert page.shape[1] // size[1] == columns


def test_labels_are_written_beneath_and_stay_in_their_column() -> None:
    long = "a name that is a good deal longer than the picture is wide"
    page = contact_sheet([(long, grey(64, 64)), ("b", grey(64, 64, 120))], columns=2)
    ink = (page < 80).all(axis=-1)
    assert ink[:72].sum() == 0
    assert ink[72:].sum() > 10
    assert not ink[:, :2].any()
    assert not ink[:, 74:80].any()


def test_pictures_of_different_sizes_share_a_page() -> None:
    page = contact_sheet([("a", grey(40, 80)), ("b", grey(80, 40, 120))], columns=2)
    assert ((page == 90).all(axis=-1)).sum() == 40 * 80
    assert ((page == 120).all(axis=-1)).sum() == 80 * 40


def test_an_empty_page_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        contact_sheet([])
