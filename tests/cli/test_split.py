"""`deepcanon split DIR`: what it prints, where it writes, what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run, files, refused
from tests.tiny_pictures import class_folders


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    return class_folders(tmp_path / "pets", {"cat": 10, "dog": 20})


def test_a_table_and_the_folder(run: Run, pets: Path) -> None:
    ran = run("split", pets, "--val", "0.1")
    assert (ran.code, ran.err) == (0, "")
    *rows, output = ran.out.splitlines()
    assert [row.split() for row in rows] == [
        ["class", "train", "val"],
        ["cat", "9", "1"],
        ["dog", "18", "2"],
        ["all", "27", "3"],
    ]
    assert output == f"{pets}-split"
    assert len(files(Path(output) / "val")) == 3


def test_json_and_an_output(run: Run, pets: Path, tmp_path: Path) -> None:
    ran = run("split", pets, "--val", "0.5", "-o", tmp_path / "a" / "b", "--seed", 3, "--json")
    assert ran.json == {
        "command": "split",
        "output": str(tmp_path / "a" / "b"),
        "classes": [
            {"class": "cat", "train": 5, "val": 5},
            {"class": "dog", "train": 10, "val": 10},
        ],
    }


def test_quiet(run: Run, pets: Path) -> None:
    ran = run("split", pets, "-q")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert len(files(Path(f"{pets}-split"))) == 30


def test_a_second_time(run: Run, pets: Path) -> None:
    run("split", pets)
    refused(run("split", pets), "pets-split exists and is not empty")


@pytest.mark.parametrize("share", ["0", "1", "2", "-1", "some"])
def test_a_share_that_is_none(share: str, run: Run, pets: Path) -> None:
    refused(run("split", pets, f"--val={share}"), "--val")


def test_no_folder(run: Run, tmp_path: Path) -> None:
    refused(run("split", tmp_path / "none"), "none does not exist")
    refused(run("split", tmp_path), "is empty")
