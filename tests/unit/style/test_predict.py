"""The stylizer on a network whose results are known (tests/tiny_style.py)."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepcanon.core.errors import BadInput, Failed
from deepcanon.core.images import Picture, load
from deepcanon.style import predict
from deepcanon.style.color import keep_color, mix
from deepcanon.style.predict import Stylizer, check_style_name, parse_style, style_names
from tests import tiny_style

pytestmark = pytest.mark.row("T2")

NAMES = list(tiny_style.STYLES)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_style.write(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture
def photo() -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 256, (4, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((60, 40)))


def stylizer(style: str, model: Path) -> Stylizer:
    return Stylizer(style, model=model, engine="onnxruntime", threads=1)


# --- the style


@pytest.mark.parametrize("name", ["Monet, Lilies", "a:b", "a/b", "", " ", " a", "a ", "lilies.JPG"])
def test_names_that_could_not_be_asked_for(name: str) -> None:
    with pytest.raises(BadInput, match="name") as caught:
        check_style_name(name, setting="name=...")
    assert caught.value.hint == "choose another name: --set name=..."


@pytest.mark.parametrize("name", ["starry-night", "Monet Lilies", "st. ives", "blue+red", "睡蓮"])
def test_names_that_can(name: str) -> None:
    check_style_name(name, setting="name=...")
    assert parse_style(name, [name]) == {name: 1.0}


def test_one_name_is_the_whole_weight() -> None:
    assert parse_style("udnie", NAMES) == {"udnie": 1.0}


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("starry-night:0.6,udnie:0.4", {"starry-night": 0.6, "udnie": 0.4}),
        ("starry-night:3,udnie:1", {"starry-night": 0.75, "udnie": 0.25}),
        ("starry-night,udnie", {"starry-night": 0.5, "udnie": 0.5}),
        (" starry-night : 1e0 , udnie:0 ", {"starry-night": 1.0, "udnie": 0.0}),
        ("udnie:1e-300", {"udnie": 1.0}),
    ],
)
def test_blends_are_brought_to_a_sum_of_one(text: str, weights: dict[str, float]) -> None:
    assert parse_style(text, NAMES) == pytest.approx(weights)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("starry-night:-1,udnie:2", "weight '-1' of the style 'starry-night'"),
        ("udnie:nan", "weight 'nan'"),
        ("udnie:inf", "weight 'inf'"),
        ("udnie:much", "weight 'much'"),
        ("udnie:", "weight ''"),
        ("udnie:1:2", "weight '1:2'"),
        ("udnie:0", "all weights"),
        ("udnie:0,starry-night:0", "all weights"),
        ("udnie,udnie", "named twice"),
        ("", "no style ''"),
        ("udnie,", "no style ''"),
    ],
)
def test_bad_blends(text: str, says: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        parse_style(text, NAMES)
    assert caught.value.hint


def test_an_unknown_style_names_the_near_ones() -> None:
    with pytest.raises(BadInput, match="'stary-nigt'") as caught:
        parse_style("stary-nigt", NAMES)
    assert caught.value.hint == "did you mean starry-night?"


def test_a_style_like_no_other_lists_them_all() -> None:
    with pytest.raises(BadInput) as caught:
        parse_style("xyzzy", NAMES)
    assert all(name in caught.value.hint for name in NAMES)


def test_style_names_are_the_records(model: Path) -> None:
    assert style_names(model) == NAMES


# --- the picture


@pytest.mark.parametrize("style", [*NAMES, "starry-night:0.6,udnie:0.4"])
def test_the_network_gets_picture_and_weights(style: str, model: Path, photo: np.ndarray) -> None:
    made = stylizer(style, model)(photo)
    assert made.style == parse_style(style, NAMES)
    difference = made.pixels.astype(int) - tiny_style.expected(photo, dict(made.style))
    assert np.abs(difference).max() <= 1  # weights in float32
    assert made.engine == "onnxruntime"
    assert made.seconds >= 0


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino", "auto"])
def test_engines(engine: str, model: Path, photo: np.ndarray) -> None:
    if engine == "openvino":
        pytest.importorskip("openvino")
    made = Stylizer("starry-night", model=model, engine=engine, threads=1)(photo)
    assert np.abs(made.pixels.astype(int) - (255 - photo)).max() <= 1


def test_strength_blends_with_the_photograph(model: Path, photo: np.ndarray) -> None:
    negative = stylizer("starry-night", model)
    assert (negative(photo, strength=0).pixels == photo).all()
    assert (negative(photo, strength=1).pixels == 255 - photo).all()
    assert (negative(photo, strength=0.3).pixels == mix(255 - photo, photo, strength=0.3)).all()


@pytest.mark.parametrize("strength", [-0.1, 1.01, float("nan"), float("inf")])
def test_bad_strength(strength: float, model: Path, photo: np.ndarray) -> None:
    with pytest.raises(BadInput, match="strength"):
        stylizer("udnie", model)(photo, strength=strength)


def test_keep_color(model: Path, photo: np.ndarray) -> None:
    made = stylizer("starry-night", model)(photo, keep_color=True)
    assert (made.pixels == keep_color(255 - photo, photo)).all()


def test_without_a_limit_the_size_is_the_photographs(model: Path) -> None:
    for size in ((17, 33), (40, 16), (61, 59)):
        image = Image.new("RGB", size, (9, 99, 199))
        assert stylizer("udnie", model)(image).pixels.shape == (size[1], size[0], 3)


def test_the_network_is_shown_mirrored_pixels_around(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a network that answers with the place of each pixel, the middle is kept."""
    ours = stylizer("udnie", model)
    shown: list[np.ndarray] = []

    def places(feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        shown.append(feeds["picture"][0])
        rows, columns = np.indices(shown[-1].shape[:2], dtype=np.uint8)
        return {"stylized": np.dstack([rows, columns, 0 * rows])[None]}

    monkeypatch.setattr(ours._session, "run", places)
    picture = np.random.default_rng(0).integers(0, 256, (16, 40, 3), dtype=np.uint8)
    painted = ours(picture).pixels
    assert painted.shape == picture.shape
    assert painted[0, 0].tolist() == [predict.MARGIN, predict.MARGIN, 0]
    around = shown[0][:, predict.MARGIN :]  # rows 2, 1, 0, 1, 2 about the upper border
    assert (around[predict.MARGIN - 2, :40] == picture[2]).all()
    assert (around[predict.MARGIN, :40] == picture[0]).all()


@pytest.mark.parametrize("as_picture", [False, True])
def test_max_size_limits_the_longer_side(as_picture: bool, model: Path, photo: np.ndarray) -> None:
    source = load(photo) if as_picture else photo
    assert stylizer("udnie", model)(source, max_size=30).pixels.shape == (20, 30, 3)
    assert stylizer("udnie", model)(source, max_size=600).pixels.shape == (40, 60, 3)
    with pytest.raises(BadInput, match="max_size"):
        stylizer("udnie", model)(source, max_size=0)
    with pytest.raises(BadInput, match="would be 12 pixels on its short side"):
        stylizer("udnie", model)(source, max_size=18)
    if isinstance(source, Picture):
        assert source.pixels.shape == (40, 60, 3)  # the caller's own stays as it was


def test_alpha_and_profile_come_through(model: Path, photo: np.ndarray, tmp_path: Path) -> None:
    from PIL import ImageCms

    alpha = np.tile(np.arange(60, dtype=np.uint8), (40, 1))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    file = io.BytesIO()
    Image.fromarray(np.dstack([photo, alpha])).save(file, "PNG", icc_profile=profile)

    made = stylizer("starry-night", model)(file.getvalue())
    assert made.image.mode == "RGBA"
    assert made.image.info["icc_profile"] == profile
    made.save(tmp_path / "out.png")
    with Image.open(tmp_path / "out.png") as image:
        assert image.info["icc_profile"] == profile
        assert (np.asarray(image) == np.dstack([255 - photo, alpha])).all()

    made.save(tmp_path / "out.jpg")  # no alpha there
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.mode == "RGB"

    small = stylizer("starry-night", model)(load(file.getvalue()), max_size=30)
    assert small.alpha is not None
    assert small.alpha.shape == (20, 30)


def test_a_list_gives_a_list(model: Path, photo: np.ndarray) -> None:
    pictures = [photo, photo[:20], Image.fromarray(photo[:, :30])]
    made = stylizer("starry-night", model)(pictures)
    assert [each.pixels.shape for each in made] == [(40, 60, 3), (20, 60, 3), (40, 30, 3)]
    assert (made[1].pixels == 255 - photo[:20]).all()
    assert stylizer("starry-night", model)([]) == []


def test_to_dict_is_plain(model: Path, photo: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(photo).save(tmp_path / "photo.png")
    known = stylizer("udnie", model)(tmp_path / "photo.png").to_dict()
    seconds = known.pop("seconds")
    assert seconds >= 0
    assert known == {
        "picture": str(tmp_path / "photo.png"),
        "width": 60,
        "height": 40,
        "style": {"udnie": 1.0},
        "engine": "onnxruntime",
    }


# --- the model


def test_sessions_are_shared_and_renewed(model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(model.read_bytes())
    first, second = stylizer("udnie", copy), stylizer("starry-night", copy)
    assert first._session is second._session
    assert Stylizer("udnie", model=copy, engine="onnxruntime", threads=2)._session is not (
        first._session
    )
    os.utime(copy, ns=(1, 1))
    assert stylizer("udnie", copy)._session is not first._session


def test_an_onnx_file_without_our_record(tmp_path: Path) -> None:
    bare = tiny_style.write(tmp_path / "bare.onnx", metadata={"author": "someone"})
    with pytest.raises(BadInput, match="carries no deepcanon record") as caught:
        Stylizer("udnie", model=bare)
    assert caught.value.hint


def test_a_record_of_another_domain(tmp_path: Path) -> None:
    from deepcanon.core.record import KEY

    text = tiny_style.record(domain="classify", model="vgg16").to_json()
    other = tiny_style.write(tmp_path / "vgg.onnx", metadata={KEY: text})
    with pytest.raises(BadInput, match="not a style network: its record says vgg16, classify"):
        Stylizer("udnie", model=other)


@pytest.mark.parametrize("name", ["missing.onnx", "weights.pth", "weights.safetensors"])
def test_files_that_are_no_model(name: str, tmp_path: Path) -> None:
    if not name.startswith("missing"):
        (tmp_path / name).write_bytes(b"\x80\x04.")
    with pytest.raises(BadInput, match=name):
        Stylizer("udnie", model=tmp_path / name)


def test_an_unknown_engine(model: Path) -> None:
    with pytest.raises(BadInput, match="warpdrive"):
        Stylizer("udnie", model=model, engine="warpdrive")


def test_a_network_that_changes_the_size_is_told_of(
    model: Path, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = stylizer("udnie", model)

    class Cropping:
        name = "onnxruntime"

        def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {"stylized": feeds["picture"][:, 1:]}

    monkeypatch.setattr(broken, "_session", Cropping())
    with pytest.raises(Failed, match=r"made \(87, 108, 3\) of \(88, 108, 3\)"):
        broken(photo)


def test_using_it_never_imports_torch(model: Path, tmp_path: Path) -> None:
    """A whole process: import, repaint, save."""
    Image.new("RGB", (32, 32), (10, 200, 90)).save(tmp_path / "photo.png")
    program = (
        "import sys, deepcanon\n"
        "from pathlib import Path\n"
        f"stylizer = deepcanon.Stylizer('udnie', model=Path({str(model)!r}))\n"
        f"stylizer({str(tmp_path / 'photo.png')!r}).save({str(tmp_path / 'out.png')!r})\n"
        "assert 'torch' not in sys.modules and 'pydantic' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=60)
    assert (tmp_path / "out.png").exists()


def test_the_default_model_is_the_shipped_one(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def find(name: str) -> Path:
        asked.append(name)
        return model

    monkeypatch.setattr(predict, "find", find)
    assert Stylizer().weights == {"starry-night": 1.0}
    assert asked == ["multistyle"]
