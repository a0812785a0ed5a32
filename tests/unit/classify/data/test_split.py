from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from deepcanon.classify.data import split as module
from deepcanon.classify.data.sources import open_source
from deepcanon.classify.data.split import choose, split
from deepcanon.core.errors import BadInput
from tests.cli.conftest import files
from tests.tiny_pictures import class_folders, picture


def refused(folder: Path, *says: str, share: float = 0.1, output: Path | None = None) -> str:
    with pytest.raises(BadInput) as error:
        split(folder, share=share, output=output)
    for each in says:
        assert each in error.value.message
    assert "\n" not in error.value.message + error.value.hint
    return error.value.hint


def test_each_class_is_divided_in_the_same_shares(tmp_path: Path) -> None:
    source = class_folders(tmp_path / "pets", {"cat": 20, "dog": 10, "eel": 2})
    before = files(source)
    made = split(source, share=0.2)
    assert made.output == tmp_path / "pets-split"
    assert made.counts == {"cat": (16, 4), "dog": (8, 2), "eel": (1, 1)}
    # Every picture once, on one side, under its own name; what was there is there.
    sides = {side: files(made.output / side) for side in ("train", "val")}
    assert [len(each) for each in sides.values()] == [25, 7]
    assert sorted(sides["train"] + sides["val"]) == before == files(source)
    opened = open_source(made.output)
    assert (len(opened.train), len(opened.val)) == (25, 7)
    assert made.to_dict()["classes"][0] == {"class": "cat", "train": 16, "val": 4}


def test_the_seed_decides_and_nothing_else(tmp_path: Path) -> None:
    source = class_folders(tmp_path / "pets", {"cat": 20, "dog": 20})
    chosen = [
        files(split(source, share=0.2, output=tmp_path / str(run), seed=seed).output / "val")
        for run, seed in enumerate((0, 0, 1))
    ]
    assert chosen[0] == chosen[1] != chosen[2]


def test_a_picture_that_is_added_moves_few_of_the_others(tmp_path: Path) -> None:
    source = class_folders(tmp_path / "pets", {"cat": 40})
    paths = sorted((source / "cat").iterdir())
    _, before = choose(paths[1:], share=0.25, seed=0)
    _, after = choose(paths, share=0.25, seed=0)
    assert len(set(before) - set(after)) <= 1


def test_files_are_links_where_the_disk_knows_them(tmp_path: Path) -> None:
    source = class_folders(tmp_path / "pets", {"cat": 2})
    made = split(source, share=0.5)
    (val,) = (made.output / "val").rglob("*.png")
    assert os.path.samefile(val, source / "cat" / val.name)
    # And doing away with what was written harms nothing.
    shutil.rmtree(made.output)
    assert files(source) == ["cat/0.png", "cat/1.png"]


def test_files_are_copied_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    source = class_folders(tmp_path / "pets", {"cat": 2})
    made = split(source, share=0.5)
    (val,) = (made.output / "val").rglob("*.png")
    assert not os.path.samefile(val, source / "cat" / val.name)
    assert val.read_bytes() == (source / "cat" / val.name).read_bytes()


def test_a_link_in_the_folder_becomes_the_file_that_it_leads_to(tmp_path: Path) -> None:
    source = class_folders(tmp_path / "pets", {"cat": 1})
    picture(tmp_path / "elsewhere.png", seed=5)
    (source / "cat" / "link.png").symlink_to(tmp_path / "elsewhere.png")
    made = split(source, share=0.5)
    (linked,) = made.output.rglob("link.png")
    assert linked.is_file() and not linked.is_symlink()
    assert os.path.samefile(linked, tmp_path / "elsewhere.png")


def test_folders_below_that_of_the_class_stay(tmp_path: Path) -> None:
    source = class_folders(tmp_path / "pets", {"cat/old": 1, "cat/new": 1, "caf\u00e9": 2})
    made = split(source, share=0.5)
    assert made.counts == {"caf\u00e9": (1, 1), "cat": (1, 1)}
    assert sorted(files(made.output / "train") + files(made.output / "val")) == files(source)


def test_copies_of_one_picture_stay_together(tmp_path: Path) -> None:
    folder = tmp_path / "cat"
    for place in range(4):
        picture(folder / f"{place}.png", seed=place)
        for copy in range(2):
            shutil.copy(folder / f"{place}.png", folder / f"{place}-copy{copy}.png")
    for seed in range(8):
        train, val = choose(sorted(folder.iterdir()), share=0.25, seed=seed)
        assert (len(train), len(val)) == (9, 3)
        assert len({path.name[0] for path in val}) == 1


def test_of_copies_that_are_too_many_the_smaller_part_judges(tmp_path: Path) -> None:
    folder = tmp_path / "cat"
    picture(folder / "0.png")
    picture(folder / "1.png", seed=1)
    for copy in range(5):
        shutil.copy(folder / "0.png", folder / f"0-copy{copy}.png")
    for seed in range(6):
        _, val = choose(sorted(folder.iterdir()), share=0.01, seed=seed)
        assert [path.name for path in val] == ["1.png"]


def test_a_class_that_cannot_be_divided(tmp_path: Path) -> None:
    source = class_folders(tmp_path / "pets", {"cat": 3, "dog": 1})
    refused(source, f"{source / 'dog'} has one picture only")
    shutil.copy(source / "dog" / "0.png", source / "dog" / "1.png")
    assert "copy" in refused(source, f"{source / 'dog'} has one picture only")
    shutil.rmtree(source / "dog")
    (source / "dog").mkdir()
    refused(source, f"{source / 'dog'} holds no pictures")
    assert files(tmp_path) == [f"pets/cat/{i}.png" for i in range(3)]


def test_a_folder_that_is_divided_already(tmp_path: Path) -> None:
    source = class_folders(tmp_path / "pets", {"train/cat": 3, "val/cat": 1})
    refused(source, "has train/ and val/ already")
    assert split(source / "train", share=0.5).output == source / "train-split"


@pytest.mark.parametrize("share", [0, 1, -0.5, float("nan")])
def test_a_share_that_is_none(share: float, tmp_path: Path) -> None:
    refused(class_folders(tmp_path, {"cat": 3}), f"a share of {share}", share=share)


def test_an_output_that_would_harm_something(tmp_path: Path) -> None:
    source = class_folders(tmp_path / "pets", {"cat": 3})
    for inside in (source, source / "cat", source / "new" / "er", tmp_path / "pets/../pets/x"):
        refused(source, "lies in the folder that is divided", output=inside)
    (tmp_path / "link").symlink_to(source)
    refused(source, "lies in the folder", output=tmp_path / "link" / "out")
    refused(source, "exists and is not empty", output=tmp_path)
    (tmp_path / "file").write_text("mine")
    refused(source, "exists and is not empty", output=tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"
    assert files(source) == [f"cat/{i}.png" for i in range(3)]


def test_an_empty_output_will_do(tmp_path: Path) -> None:
    source = class_folders(tmp_path / "pets", {"cat": 3})
    (tmp_path / "out").mkdir()
    assert split(source, share=0.5, output=tmp_path / "out").counts == {"cat": (1, 2)}
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["train", "val"]


def test_an_interrupted_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = class_folders(tmp_path / "pets", {"cat": 4})
    left = [2]

    def stop(path: Path, place: Path) -> None:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)

    monkeypatch.setattr(module, "_place", stop)
    with pytest.raises(KeyboardInterrupt):
        split(source, share=0.5)
    assert [path.name for path in tmp_path.iterdir()] == ["pets"]
    assert len(files(source)) == 4


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr(shutil, "copy2", full)
    source = class_folders(tmp_path / "pets", {"cat": 4})
    with pytest.raises(Exception, match="pets-split could not be written: the disk is full"):
        split(source, share=0.5)
    assert [path.name for path in tmp_path.iterdir()] == ["pets"]
