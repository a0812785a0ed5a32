"""Reading checkpoints, comparing recipes, and the folder of a run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from deepcanon.core.errors import BadInput
from deepcanon.training.resume import check_folder, check_same_recipe, read, start_at
from tests.evil_pickle import Evil

STORED: dict[str, Any] = {
    "steps": 5,
    "photos": "photos",
    "sides": [1, 2],
    "styles": {"one": "1.jpg", "two": "2.jpg"},
}


def checkpoint(path: Path, recipe: dict[str, Any] = STORED) -> Path:
    torch.save({"deepcanon": {"recipe": recipe, "step": 3}}, path)
    return path


@pytest.mark.parametrize(
    "content",
    [{"deepcanon": {"recipe": Evil("was-here")}}, {"state_dict": {}}, [1, 2]],
    ids=["code", "of another program", "no dictionary"],
)
def test_a_file_that_is_no_checkpoint_of_ours(
    content: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(content, tmp_path / "last.ckpt")
    with pytest.raises(BadInput, match=r"last\.ckpt is not a checkpoint of deepcanon's"):
        read(tmp_path / "last.ckpt")
    assert not Path("was-here").exists()


def test_a_checkpoint_cut_short(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "last.ckpt")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadInput, match="is not a checkpoint"):
        read(path)


def test_the_same_recipe_gives_the_step(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "last.ckpt")
    assert check_same_recipe(path, {**STORED, "sides": (1, 2)}) == 3


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"steps": 6}, "(steps: 5 then, 6 now)"),
        ({"steps": 6, "photos": "b"}, "(steps: 5 then, 6 now; photos: 'photos' then, 'b' now)"),
        ({"sides": [2, 1]}, "(sides: [1, 2] then, [2, 1] now)"),
        ({"average": 0.9}, "(average: not there then, 0.9 now)"),
        (
            {"styles": {"one": "1.jpg", "two": "3.jpg"}},
            "(styles.two: '2.jpg' then, '3.jpg' now)",
        ),
        ({"styles": {"one": "1.jpg"}}, "(styles.two: '2.jpg' then, not there now)"),
        (
            {"styles": {"two": "2.jpg", "one": "1.jpg"}},
            "(styles: one, two then, two, one now)",
        ),
    ],
)
def test_every_difference_is_named(changed: dict[str, Any], says: str, tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "last.ckpt")
    with pytest.raises(BadInput) as refused:
        check_same_recipe(path, {**STORED, **changed})
    assert refused.value.message == f"{path} was trained by another recipe {says}"


def test_folders(tmp_path: Path) -> None:
    check_folder(tmp_path, resume=False)
    check_folder(tmp_path / "a" / "b", resume=False)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    for wrong in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(BadInput, match="file is not a folder"):
            check_folder(wrong, resume=False)


def test_a_folder_one_may_not_write_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    with pytest.raises(BadInput, match="cannot be written to"):
        check_folder(tmp_path / "runs", resume=False)


def test_counters_start_where_the_loader_does() -> None:
    def counters(n: int) -> dict[str, Any]:
        return {"total": {"ready": n, "completed": n - 1}, "current": {"ready": n, "completed": n}}

    loop = {
        "state_dict": {},
        "epoch_loop.state_dict": {"_batches_that_stepped": 6},
        "epoch_loop.batch_progress": {**counters(7), "is_last_batch": True},
        "epoch_loop.optim_progress": {"optimizer": {"step": counters(7)}},
        "epoch_progress": counters(1),
    }
    start_at({"deepcanon": {"step": 7}, "loops": {"fit_loop": loop}})
    nothing = {"ready": 0, "completed": 0}
    assert loop == {
        "state_dict": {},
        "epoch_loop.state_dict": {"_batches_that_stepped": 7},
        "epoch_loop.batch_progress": {
            "total": nothing,
            "current": nothing,
            "is_last_batch": False,
        },
        # The total is the step that everybody asks the trainer for.
        "epoch_loop.optim_progress": {
            "optimizer": {"step": {"total": {"ready": 7, "completed": 6}, "current": nothing}}
        },
        "epoch_progress": {"total": nothing, "current": nothing},
    }
