from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deepcanon.classify.data import sources
from deepcanon.classify.data.sources import Check, held_back, open_source
from deepcanon.core.errors import BadInput, how_to_install
from deepcanon.core.standin import SHAPES, shape
from tests.tiny_pictures import class_folders, picture


def refused(data: str | Path, *says: str) -> str:
    with pytest.raises(BadInput) as error:
        open_source(data)
    for each in says:
        assert each in error.value.message
    assert "\n" not in error.value.message + error.value.hint
    return error.value.hint


def test_train_and_val(tmp_path: Path) -> None:
    counts = {"train/cat": 2, "train/dog": 3, "val/cat": 1, "val/dog": 2}
    source = open_source(class_folders(tmp_path / "pets", counts))
    assert (source.name, source.classes, source.skipped) == ("pets", ("cat", "dog"), ())
    assert source.train.labels.tolist() == [0, 0, 1, 1, 1]
    assert source.val.labels.tolist() == [0, 1, 1]
    assert source.val.name(2) == str(tmp_path / "pets/val/dog/1.png")
    assert source.train[4].shape == (10, 12, 3)


def test_a_test_folder_judges_where_there_is_no_val(tmp_path: Path) -> None:
    counts = {"train/a": 1, "train/b": 1, "test/a": 2}
    assert len(open_source(class_folders(tmp_path, counts)).val) == 2
    class_folders(tmp_path, {"val/b": 1}, seed=1)
    assert open_source(tmp_path).val.labels.tolist() == [1]


def test_one_folder_has_nothing_to_judge_by(tmp_path: Path) -> None:
    source = open_source(class_folders(tmp_path, {"b": 1, "a": 2}))
    assert (source.classes, len(source.train), len(source.val)) == (("a", "b"), 3, 0)


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    source = open_source(class_folders(tmp_path, {"bus": 1, "car": 1, "train": 2, "test": 1}))
    assert source.classes == ("bus", "car", "test", "train")
    assert (len(source.train), len(source.val)) == (5, 0)


def test_splits_stay_splits_beside_other_folders(tmp_path: Path) -> None:
    source = open_source(class_folders(tmp_path, {"train/a": 1, "train/b": 1, "notes": 0}))
    assert source.classes == ("a", "b")


def test_pictures_right_in_train_and_val_are_of_no_class(tmp_path: Path) -> None:
    refused(class_folders(tmp_path, {"train": 2, "val": 1}), "train holds pictures and no class")


def test_a_class_may_begin_with_an_underscore(tmp_path: Path) -> None:
    assert open_source(class_folders(tmp_path, {"_none": 1, "a": 1})).classes == ("_none", "a")


def test_numbered_classes_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    source = open_source(class_folders(tmp_path, {"10": 1, "9": 1, "0": 1}))
    assert source.classes == ("0", "9", "10")


def test_a_class_with_a_name_that_is_not_ascii(tmp_path: Path) -> None:
    # The same name in its two spellings, as a Mac and another machine write it.
    counts = {"train/caf\u00e9": 1, "train/猫": 1, "val/cafe\u0301": 1}
    source = open_source(class_folders(tmp_path, counts))
    assert source.classes == ("caf\u00e9", "猫")
    assert source.val.labels.tolist() == [0]
    assert source.val[0].shape == (10, 12, 3)


def test_hidden_and_other_files_are_left_out_and_folders_below_are_not(tmp_path: Path) -> None:
    class_folders(tmp_path, {"a": 1, "b": 1, "b/more": 1, ".git": 1, "__MACOSX": 1})
    (tmp_path / "a" / "notes.txt").write_text("no picture")
    picture(tmp_path / "a" / "._0.png")
    source = open_source(tmp_path)
    assert source.classes == ("a", "b")
    assert source.train.labels.tolist() == [0, 1, 1]


@pytest.mark.parametrize("way", ["missing", "empty", "loose", "one class", "no picture", "a file"])
def test_a_folder_that_is_none_of_labelled_pictures(way: str, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    if way == "missing":
        assert "standin" in refused(folder, "data does not exist")
        return
    folder.mkdir()
    if way == "empty":
        refused(folder, "data is empty")
    elif way == "loose":
        picture(folder / "a.png")
        assert "each class a folder" in refused(folder, "data holds pictures and no class folders")
    elif way == "one class":
        refused(class_folders(folder, {"cat": 3}), "has one class only, cat")
    elif way == "no picture":
        refused(class_folders(folder, {"cat": 0, "dog": 0}), "holds no labelled pictures")
    else:
        (folder / "data.tar").write_bytes(b"")
        assert "unpacks" in refused(folder / "data.tar", "is a file")


def test_nothing_is_named() -> None:
    assert "standin or digits" in refused("", "no pictures are named")


def test_a_class_without_pictures(tmp_path: Path) -> None:
    class_folders(tmp_path, {"train/cat": 1, "train/dog": 0})
    refused(tmp_path, f"{tmp_path / 'train' / 'dog'} holds no pictures")


def test_a_class_in_val_only(tmp_path: Path) -> None:
    class_folders(tmp_path, {"train/a": 1, "train/b": 1, "val/c": 1})
    refused(tmp_path, f"the class c is in {tmp_path / 'val'} and not in {tmp_path / 'train'}")


def test_val_without_train(tmp_path: Path) -> None:
    refused(class_folders(tmp_path, {"val/a": 1, "val/b": 1}), "has val/ and no train/")


def test_a_damaged_picture_shows_when_it_is_asked_for(tmp_path: Path) -> None:
    class_folders(tmp_path, {"a": 2, "b": 1})
    (tmp_path / "a" / "1.png").write_bytes((tmp_path / "a" / "0.png").read_bytes()[:60])
    source = open_source(tmp_path)
    assert len(source.train) == 3
    with pytest.raises(BadInput, match=r"a/1\.png is damaged"):
        source.train[1]


def test_damaged_pictures_are_skipped_when_asked_for(tmp_path: Path) -> None:
    class_folders(tmp_path, {"train/a": 2, "train/b": 2, "val/b": 1})
    bad = [tmp_path / "train" / "a" / "1.png", tmp_path / "val" / "b" / "0.png"]
    for path in bad:
        path.write_bytes(b"")
    source = open_source(tmp_path, check=Check.PIXELS)
    assert source.train.labels.tolist() == [0, 1, 1]
    assert (len(source.val), source.train.name(1)) == (0, str(tmp_path / "train/b/0.png"))
    assert source.skipped == tuple((str(path), "is empty (0 bytes)") for path in bad)
    for path in (tmp_path / "train" / "b").iterdir():
        path.write_bytes(b"")
    with pytest.raises(BadInput, match=r"no picture of the class b .*: .*b/0\.png is empty"):
        open_source(tmp_path, check=Check.PIXELS)


def test_standin_is_ten_shapes_drawn_the_same_each_time() -> None:
    one, two = open_source("standin"), open_source("standin")
    assert one.classes == SHAPES
    assert (len(one.train), len(one.val)) == (2000, 200)
    assert np.bincount(one.train.labels).tolist() == [200] * 10
    np.testing.assert_array_equal(one.train[17], two.train[17])
    np.testing.assert_array_equal(one.train[17], shape(7, [1, 17], 32))
    assert not np.array_equal(one.train[17], one.val[17])


def test_standin_can_be_told_apart() -> None:
    # By the nearest of a few hundred others, light on dark and dark on light taken as one.
    source = open_source("standin")

    def plain(pictures: sources.Pictures, count: int) -> np.ndarray:
        grey = np.stack([pictures[i] for i in range(count)]).mean(3).reshape(count, -1)
        grey -= grey.mean(1, keepdims=True)
        return grey / np.linalg.norm(grey, axis=1, keepdims=True)

    near = np.abs(plain(source.val, 100) @ plain(source.train, 400).T).argmax(1)
    assert (source.train.labels[near] == source.val.labels[:100]).mean() > 0.6


def test_digits_need_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "find_spec", lambda name: None)
    assert refused("digits", "scikit-learn") == how_to_install("train")


def test_digits() -> None:
    source = open_source("digits")
    assert source.classes == tuple("0123456789")
    assert len(source.train) + len(source.val) == 1797
    # 178, 182, 177, 183, 181, 182, 181, 179, 174 and 180 of each: a fifth of each, rounded.
    assert np.bincount(source.val.labels).tolist() == [36, 36, 35, 37, 36, 36, 36, 36, 35, 36]
    assert source.train[0].shape == (8, 8, 3)
    values = np.unique([source.val[i] for i in range(50)])
    assert set(values) <= set(np.rint(np.arange(17) * 255 / 16)) and values.max() == 255


def test_held_back_takes_a_share_of_each_class() -> None:
    labels = np.array([0] * 10 + [1] * 5 + [2] * 2 + [3])
    held = held_back(labels, one_in=5)
    assert np.bincount(labels[held], minlength=4).tolist() == [2, 1, 1, 0]
    np.testing.assert_array_equal(held, held_back(labels, one_in=5))
    assert not np.array_equal(held, held_back(labels, one_in=5, seed=1))


def save(path: Path, **arrays: np.ndarray) -> Path:
    np.savez(path, **arrays)
    return path


def small(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)


def test_an_npz_of_arrays(tmp_path: Path) -> None:
    file = save(
        tmp_path / "mine.npz",
        train_images=small(3),
        train_labels=np.array([[0], [2], [1]]),  # as MedMNIST has them
        test_images=small(2)[..., 0],
        test_labels=np.array([1, 1]),
    )
    source = open_source(file)
    assert (source.name, source.classes) == ("mine", ("0", "1", "2"))
    np.testing.assert_array_equal(source.train[1], small(3)[1])
    assert (source.train.labels.tolist(), source.val.name(1)) == ([0, 2, 1], "test picture 1")
    assert source.val[0].shape == (8, 8, 3)


def test_an_npz_of_encoded_pictures(tmp_path: Path) -> None:
    wanted = picture(tmp_path / "a.png")
    content = np.frombuffer((tmp_path / "a.png").read_bytes(), np.uint8)
    file = save(
        tmp_path / "mine.npz",
        train_jpeg=np.tile(content, 2),
        train_offset=np.array([0, len(content), 2 * len(content)]),
        train_label=np.array([1, 0], np.uint8),
        test_jpeg=content,
        test_offset=np.array([0, len(content)]),
        test_label=np.array([0], np.uint8),
        classes=np.array(["cat", "dog"]),
    )
    source = open_source(file)
    assert (source.classes, source.train.labels.tolist()) == (("cat", "dog"), [1, 0])
    np.testing.assert_array_equal(source.train[1], wanted)


def test_an_npz_that_is_not_right(tmp_path: Path) -> None:
    whole = {
        "train_images": small(2),
        "train_labels": np.array([0, 1]),
        "test_images": small(2),
        "test_labels": np.array([0, 1]),
    }
    file = tmp_path / "mine.npz"
    two = np.array(["a", "b"])

    refused(save(file, images=small(2)), "has the arrays images")
    refused(save(file, **{**whole, "train_labels": np.array([0, 2])}, classes=two), "label 2")
    refused(save(file, **{**whole, "train_labels": np.array([0])}), "int64[1]")
    refused(save(file, **{**whole, "train_images": small(2) / 255}), "float64[2, 8, 8, 3]")
    del whole["test_labels"]
    refused(save(file, **whole), "has no array test_labels")
    file.write_bytes(file.read_bytes()[:200])
    refused(file, "mine.npz is damaged")
    np.savez(file, train_images=np.array([{}], dtype=object))
    refused(file, "no .npz of plain arrays")
    with file.open("wb") as stream:
        np.save(stream, small(2))
    refused(file, "no .npz of plain arrays")


@pytest.mark.parametrize("part", ["sources", "split", "check"])
def test_pictures_need_no_torch(part: str) -> None:
    program = f"""
import sys
import deepcanon.classify.data.{part}
heavy = {{"torch", "torchvision", "scipy", "sklearn", "jaxtyping"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
