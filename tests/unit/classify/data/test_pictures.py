from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepcanon.classify.data.pictures import (
    ArrayPictures,
    EncodedPictures,
    FilePictures,
    Kept,
    Picked,
    check_labels,
    read_pixels,
)
from deepcanon.core.errors import BadInput
from tests.tiny_pictures import picture


def test_a_greyscale_picture_has_three_equal_channels(tmp_path: Path) -> None:
    grey = np.arange(100, dtype=np.uint8).reshape(10, 10)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(read_pixels(tmp_path / "grey.png"), np.stack([grey] * 3, 2))


def test_transparent_parts_are_laid_on_white(tmp_path: Path) -> None:
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[..., 0] = 100
    rgba[0, 0, 3], rgba[0, 1, 3] = 255, 51  # opaque; one part in five
    Image.fromarray(rgba).save(tmp_path / "alpha.png")
    pixels = read_pixels(tmp_path / "alpha.png")
    assert pixels[0, 0].tolist() == [100, 0, 0]
    assert pixels[0, 1].tolist() == [224, 204, 204]  # 100/5 + 255*4/5, 255*4/5
    assert pixels[5, 5].tolist() == [255, 255, 255]


@pytest.mark.parametrize("side", [1, 7])
def test_a_picture_that_is_too_small_is_named(side: int, tmp_path: Path) -> None:
    picture(tmp_path / "dot.png", size=(side, 30))
    with pytest.raises(BadInput, match=f"dot.png is {side}x30 pixels; the smallest is 8x8"):
        read_pixels(tmp_path / "dot.png")


def test_the_smallest_picture() -> None:
    assert read_pixels(np.zeros((8, 8), np.uint8)).shape == (8, 8, 3)


def test_arrays_grey_and_coloured() -> None:
    labels = np.array([1, 0])
    grey = ArrayPictures(np.array([[[5, 6]], [[7, 8]]], np.uint8), labels, of="test")
    assert grey[1].tolist() == [[[7, 7, 7], [8, 8, 8]]]
    assert (len(grey), grey.name(1)) == (2, "test picture 1")
    rgb = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
    np.testing.assert_array_equal(ArrayPictures(rgb, labels, of="test")[1], rgb[1])
    with pytest.raises(ValueError, match="2 pictures and 1 labels"):
        ArrayPictures(rgb, labels[:1], of="test")


def _encoded(tmp_path: Path) -> tuple[EncodedPictures, np.ndarray]:
    files = []
    for number in range(2):
        pixels = picture(tmp_path / "each.png", seed=number)
        files.append((tmp_path / "each.png").read_bytes())
    files.append(b"\x89PNG\r\n\x1a\n and no more")
    data = np.frombuffer(b"".join(files), np.uint8)
    offsets = np.cumsum([0, *map(len, files)])
    return EncodedPictures(data, offsets, np.array([0, 1, 1]), of="training"), pixels


def test_encoded_pictures(tmp_path: Path) -> None:
    pictures, second = _encoded(tmp_path)
    assert len(pictures) == 3
    np.testing.assert_array_equal(pictures[1], second)
    with pytest.raises(BadInput, match=r"^training picture 2 is "):
        pictures[2]
    with pytest.raises(ValueError, match="4 offsets for 2 labels"):
        EncodedPictures(pictures.data, pictures.offsets, np.array([0, 1]), of="training")


def test_files_are_named_by_their_paths(tmp_path: Path) -> None:
    wanted = picture(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_bytes(b"no picture")
    pictures = FilePictures([tmp_path / "a.png", tmp_path / "b.jpg"], np.array([0, 1]))
    np.testing.assert_array_equal(pictures[0], wanted)
    assert pictures.name(1) == str(tmp_path / "b.jpg")
    with pytest.raises(BadInput, match=r"b\.jpg is not a picture"):
        pictures[1]


def test_picked_pictures_keep_their_names_and_labels() -> None:
    whole = ArrayPictures(np.arange(5, dtype=np.uint8)[:, None, None], np.arange(5), of="test")
    some = Picked(whole, [4, 1])
    assert (len(some), some.labels.tolist(), some.name(0)) == (2, [4, 1], "test picture 4")
    assert some[1].tolist() == [[[1, 1, 1]]]
    assert len(Picked(whole, [])) == 0


class _Counting(ArrayPictures):
    asked = 0

    def __getitem__(self, index: int, /) -> np.ndarray:
        self.asked += 1
        return super().__getitem__(index)


def test_kept_pictures_are_decoded_once_while_there_is_room() -> None:
    pictures = _Counting(np.zeros((3, 4, 4), np.uint8), np.arange(3), of="test")
    kept = Kept(pictures, room=100)  # a picture takes 4 * 4 * 3 = 48 bytes: two fit
    for _ in range(2):
        assert [kept[place].shape for place in range(3)] == [(4, 4, 3)] * 3
    assert pictures.asked == 3 + 1
    assert (kept.name(2), kept.labels.tolist(), len(kept)) == ("test picture 2", [0, 1, 2], 3)
    with pytest.raises(ValueError, match="read-only"):
        kept[0][:] = 1


def test_kept_pictures_are_shrunk_and_never_enlarged() -> None:
    pictures = ArrayPictures(np.zeros((1, 20, 40), np.uint8), np.zeros(1, np.int64), of="test")
    assert Kept(pictures, short_side=10)[0].shape == (10, 20, 3)
    assert Kept(pictures, short_side=30)[0].shape == (20, 40, 3)


def test_labels_out_of_range() -> None:
    assert check_labels(np.array([0, 2], np.uint8), classes=3, where="here").dtype == np.int64
    with pytest.raises(BadInput, match=r"picture 1 of here has the label 3, .* 3 classes") as error:
        check_labels(np.array([2, 3]), classes=3, where="here")
    assert "0 to 2" in error.value.hint
    with pytest.raises(BadInput, match="label -1"):
        check_labels(np.array([-1, 0]), classes=3, where="here")


def test_labels_that_start_at_one() -> None:
    with pytest.raises(BadInput) as error:
        check_labels(np.array([1, 2, 3]), classes=3, where="here")
    assert "start at 1" in error.value.hint


def test_an_encoded_picture_that_is_damaged_says_so_once(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG")
    cut = np.frombuffer(buffer.getvalue()[:900], np.uint8)
    pictures = EncodedPictures(cut, np.array([0, 900]), np.array([0]), of="test")
    with pytest.raises(BadInput, match=r"^test picture 0 is damaged or cut short"):
        pictures[0]
