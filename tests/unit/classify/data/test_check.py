from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepcanon.classify.data.check import DataReport, Problem, check, gather
from deepcanon.classify.data.folders import lay_out
from deepcanon.core.errors import BadInput
from tests import tiny_pictures
from tests.tiny_pictures import class_folders, picture

CLEAN = {"train/cat": 2, "train/dog": 2, "val/cat": 1, "val/dog": 1}


def found(root: Path) -> list[tuple[Problem, tuple[str, ...]]]:
    """The findings, with places relative to the folder."""
    return [
        (each.problem, tuple(str(Path(place).relative_to(root)) for place in each.places))
        for each in check(gather(root)).findings
    ]


def test_nothing_is_wrong(tmp_path: Path) -> None:
    report = check(gather(class_folders(tmp_path, CLEAN)))
    assert report == DataReport(
        data=str(tmp_path),
        counts={"train": {"cat": 2, "dog": 2}, "val": {"cat": 1, "dog": 1}},
        findings=(),
    )


def test_nothing_is_wrong_with_a_folder_that_is_not_divided(tmp_path: Path) -> None:
    report = check(gather(class_folders(tmp_path, {"cat": 1, "dog": 2})))
    assert (report.counts, report.findings) == ({"": {"cat": 1, "dog": 2}}, ())


def test_pictures_that_cannot_be_read(tmp_path: Path) -> None:
    class_folders(tmp_path, CLEAN)
    cut, dot, empty = (tmp_path / "train" / "cat" / f"{name}.png" for name in ("0", "dot", "null"))
    cut.write_bytes(cut.read_bytes()[:80])
    picture(dot, size=(1, 1))
    empty.touch()
    report = check(gather(tmp_path))
    assert [each.problem for each in report.findings] == [Problem.UNREADABLE] * 3
    why = {Path(each.places[0]).name: each.why for each in report.findings}
    assert "damaged or cut short" in why["0.png"]
    assert "1x1 pixels" in why["dot.png"]
    assert "0 bytes" in why["null.png"]


def test_one_picture_twice(tmp_path: Path) -> None:
    class_folders(tmp_path, CLEAN)
    shutil.copy(tmp_path / "train/cat/0.png", tmp_path / "train/cat/copy.png")
    assert found(tmp_path) == [(Problem.DUPLICATE, ("train/cat/0.png", "train/cat/copy.png"))]


def test_the_same_pixels_in_another_file_format(tmp_path: Path) -> None:
    class_folders(tmp_path, CLEAN)
    with Image.open(tmp_path / "train/cat/0.png") as image:
        image.save(tmp_path / "train/cat/0.bmp")
    assert found(tmp_path) == [(Problem.DUPLICATE, ("train/cat/0.bmp", "train/cat/0.png"))]


def test_the_same_bytes_in_another_shape_are_another_picture(tmp_path: Path) -> None:
    class_folders(tmp_path, CLEAN)
    for name, shape in (("wide", (8, 16, 3)), ("high", (16, 8, 3))):
        Image.fromarray(np.full(shape, 9, np.uint8)).save(tmp_path / "train/cat" / f"{name}.png")
    assert found(tmp_path) == []


def test_one_picture_in_two_classes(tmp_path: Path) -> None:
    class_folders(tmp_path, CLEAN)
    shutil.copy(tmp_path / "train/cat/0.png", tmp_path / "train/dog/copy.png")
    assert found(tmp_path) == [(Problem.CONFLICTING, ("train/cat/0.png", "train/dog/copy.png"))]
    (finding,) = check(gather(tmp_path)).findings
    assert finding.why == "the same pixels as cat and dog"


def test_a_third_split_is_looked_at(tmp_path: Path) -> None:
    class_folders(tmp_path, {**CLEAN, "test/cat": 1, "test/fox": 1})
    shutil.copy(tmp_path / "train/cat/0.png", tmp_path / "test/cat/copy.png")
    (tmp_path / "test/fox/0.png").write_bytes(b"")
    assert check(gather(tmp_path)).counts["test"] == {"cat": 2, "fox": 1}
    problems = found(tmp_path)
    assert (Problem.UNREADABLE, ("test/fox/0.png",)) in problems
    assert (Problem.LEAKED, ("train/cat/0.png", "test/cat/copy.png")) in problems
    assert (Problem.ONE_SIDED, ("test/fox",)) in problems
    judged = lay_out(tmp_path).val
    assert [path.parts[-3] for paths in judged.values() for path in paths] == ["val", "val"]


def test_a_class_that_one_split_of_three_lacks_is_told_once(tmp_path: Path) -> None:
    class_folders(tmp_path, {**CLEAN, "test/cat": 1})
    (finding,) = check(gather(tmp_path)).findings
    assert finding.problem is Problem.ONE_SIDED and finding.why == "there is none in test"
    assert finding.places == (str(tmp_path / "train/dog"), str(tmp_path / "val/dog"))


@pytest.mark.parametrize("layout", [CLEAN, {"train/cat": 2, "train/dog": 2}])
def test_a_test_split_without_labels_is_none(layout: dict[str, int], tmp_path: Path) -> None:
    class_folders(tmp_path, layout)
    (tmp_path / "test").mkdir()
    picture(tmp_path / "test" / "0.png")
    assert found(tmp_path) == []
    assert "test" not in lay_out(tmp_path).splits


@pytest.mark.parametrize("name", ["cat", "dog"])
def test_one_picture_in_train_and_val(name: str, tmp_path: Path) -> None:
    class_folders(tmp_path, CLEAN)
    shutil.copy(tmp_path / "train/cat/0.png", tmp_path / "val" / name / "copy.png")
    assert found(tmp_path) == [(Problem.LEAKED, ("train/cat/0.png", f"val/{name}/copy.png"))]
    (finding,) = check(gather(tmp_path)).findings
    assert finding.why == "the same pixels" + (" as cat and dog" if name == "dog" else "")


def test_a_class_without_pictures(tmp_path: Path) -> None:
    class_folders(tmp_path, {**CLEAN, "train/eel": 0, "val/eel": 1})
    assert found(tmp_path) == [(Problem.EMPTY, ("train/eel",))]


def test_a_class_in_one_split_only(tmp_path: Path) -> None:
    class_folders(tmp_path, {**CLEAN, "train/eel": 1, "val/fox": 1})
    assert found(tmp_path) == [
        (Problem.ONE_SIDED, ("train/eel",)),
        (Problem.ONE_SIDED, ("val/fox",)),
    ]


def test_one_class_only(tmp_path: Path) -> None:
    class_folders(tmp_path, {"cat": 2})
    report = check(gather(tmp_path))
    assert [(each.problem, each.places) for each in report.findings] == [
        (Problem.ONLY_ONE, ("cat",))
    ]


def test_a_class_with_a_name_that_is_not_ascii(tmp_path: Path) -> None:
    counts = {"train/caf\u00e9": 1, "train/猫": 1, "val/cafe\u0301": 1, "val/猫": 1}
    class_folders(tmp_path, counts)
    assert found(tmp_path) == []


def test_the_worst_comes_first_and_every_picture_is_told(tmp_path: Path) -> None:
    class_folders(tmp_path, {**CLEAN, "val/fox": 1})
    shutil.copy(tmp_path / "train/cat/0.png", tmp_path / "train/cat/copy.png")
    (tmp_path / "val/dog/0.png").write_bytes(b"no picture")
    told: list[str] = []
    subject = gather(tmp_path)
    report = check(subject, on_picture=told.append)
    assert [each.problem for each in report.findings] == [
        Problem.UNREADABLE,
        Problem.DUPLICATE,
        Problem.ONE_SIDED,
    ]
    assert len(told) == len(subject) == 8


def test_files_of_a_published_set_are_checked_too(tmp_path: Path) -> None:
    # Of the tiny MNIST the two test pictures are training pictures too, under other labels.
    tiny_pictures.mnist(tmp_path)
    report = check(gather(tmp_path))
    leaked = [each for each in report.findings if each.problem is Problem.LEAKED]
    assert [each.places for each in leaked] == [
        ("training picture 0", "test picture 0"),
        ("training picture 1", "test picture 1"),
    ]
    assert report.counts["train"]["5"] == 1 and report.counts["val"]["5"] == 0


def test_nothing_to_check(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="is empty"):
        gather(tmp_path)
