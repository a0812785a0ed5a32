"""`deepcanon check-data DIR`: what it prints, its exit codes, what it refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Run, refused
from tests.tiny_pictures import class_folders


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    counts = {"train/cat": 2, "train/dog": 3, "val/cat": 1, "val/dog": 1}
    return class_folders(tmp_path / "pets", counts)


def test_nothing_is_wrong(run: Run, pets: Path) -> None:
    ran = run("check-data", pets)
    assert (ran.code, ran.out) == (0, "")
    assert ran.err.splitlines() == [
        "train: 5 pictures of 2 classes, 2 to 3 of each",
        "val: 2 pictures of 2 classes, 1 of each",
        "nothing wrong was found",
    ]


def test_what_is_wrong_goes_to_standard_output(run: Run, pets: Path) -> None:
    shutil.copy(pets / "train/cat/0.png", pets / "val/cat/copy.png")
    (pets / "train/dog/0.png").write_bytes(b"")
    ran = run("check-data", pets)
    assert ran.code == 1
    dog, cat, copy = pets / "train/dog/0.png", pets / "train/cat/0.png", pets / "val/cat/copy.png"
    assert ran.out.splitlines() == [
        f"unreadable: {dog}: is empty (0 bytes)",
        f"in two splits: {cat} = {copy}: the same pixels",
    ]
    assert ran.err.splitlines()[-1] == "2 problems were found"


def test_json(run: Run, pets: Path) -> None:
    shutil.copy(pets / "train/cat/0.png", pets / "val/cat/copy.png")
    ran = run("check-data", pets, "--json")
    assert (ran.code, ran.err) == (1, "")
    assert ran.json == {
        "command": "check-data",
        "data": str(pets),
        "pictures": {"train": {"cat": 2, "dog": 3}, "val": {"cat": 2, "dog": 1}},
        "findings": [
            {
                "problem": "in two splits",
                "places": [str(pets / "train/cat/0.png"), str(pets / "val/cat/copy.png")],
                "why": "the same pixels",
            }
        ],
    }


def test_quiet_leaves_the_exit_code(run: Run, pets: Path) -> None:
    assert (run("check-data", pets, "-q").code, run("check-data", pets, "-q").err) == (0, "")
    (pets / "val/cat/0.png").write_bytes(b"")
    ran = run("check-data", pets, "-q")
    assert (ran.code, ran.out, ran.err) == (1, "", "")


def test_nothing_to_check(run: Run, tmp_path: Path) -> None:
    refused(run("check-data", tmp_path / "none"), "none does not exist")
    refused(run("check-data", tmp_path), "is empty")
    refused(run("check-data"), "missing argument 'DIR'")
