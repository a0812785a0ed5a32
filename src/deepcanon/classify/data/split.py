"""One folder of labelled pictures made two: some of each class set apart to judge by."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepcanon.classify.data.folders import Layout, lay_out
from deepcanon.core.atomic import cannot_write
from deepcanon.core.errors import BadInput

__all__ = ["Divided", "choose", "split"]


@dataclass(frozen=True, kw_only=True)
class Divided:
    """What `split` wrote: for each class the number of pictures to train on and to judge by."""

    output: Path
    counts: Mapping[str, tuple[int, int]]  # class -> (train, val)

    def to_dict(self) -> dict[str, Any]:
        """The same, ready for JSON."""
        classes = [
            {"class": name, "train": train, "val": val}
            for name, (train, val) in self.counts.items()
        ]
        return {"output": str(self.output), "classes": classes}


def split(
    folder: str | Path, *, share: float, output: str | Path | None = None, seed: int = 0
) -> Divided:
    """Write ``output``/train and ``output``/val with the pictures of ``folder``, a share in val.

    Files are hard links where the disk allows it, else copies: ``folder`` is only read, and what is
    written takes no room on the same disk. ``output`` is FOLDER-split when not given, and appears
    when it is whole. Raises BadInput for a folder that is divided already or has no classes, an
    output that is not empty or lies in the folder, and a class that is too small to divide.
    """
    root = Path(folder)
    whole = Path(os.path.realpath(root))
    # Of ".", too, whose own name does not tell.
    target = whole.with_name(f"{whole.name}-split") if output is None else Path(output)
    if not 0 < share < 1:
        raise BadInput(
            f"a share of {share} would leave nothing on one side",
            hint="0.1 sets one picture in ten apart",
        )
    _check_target(target, whole)
    layout = lay_out(root)
    _check_layout(layout)
    plan = {name: choose(paths, share=share, seed=seed) for name, paths in layout.train.items()}
    _write(layout, plan, target)
    return Divided(
        output=target,
        counts={name: (len(train), len(val)) for name, (train, val) in plan.items()},
    )


def choose(
    paths: Sequence[Path], *, share: float, seed: int
) -> tuple[tuple[Path, ...], tuple[Path, ...]]:
    """The pictures of one class to train on, and those to judge by: the share of them, rounded.

    One at least on either side. A picture is chosen by its name, so that of a folder to which some
    were added the others mostly stay where they were. Files that are equal byte for byte stay
    together. Raises BadInput when there are fewer than two different ones.
    """
    same = sorted(_alike(paths), key=lambda group: _rank(group[0], seed))
    if len(same) < 2:
        raise BadInput(
            f"{paths[0].parent} has one picture only, and each side needs one",
            hint="add pictures to the class (a copy of another does not count), or remove it",
        )
    wanted = max(1, round(share * len(paths)))
    judged: set[Path] = set()
    for group in same[:-1]:
        if len(judged) + len(group) <= wanted:
            judged.update(group)
    if not judged:
        smallest = min(same, key=len)
        judged.update(smallest)
    train = tuple(path for path in paths if path not in judged)
    return train, tuple(path for path in paths if path in judged)


def _rank(path: Path, seed: int) -> bytes:
    name = f"{seed}/{path.parent.name}/{path.name}".encode(errors="surrogateescape")
    return hashlib.sha256(name).digest()


def _alike(paths: Sequence[Path]) -> list[list[Path]]:
    """The files in groups of equal content; only those of equal size are read."""
    by_size: defaultdict[int, list[Path]] = defaultdict(list)
    for path in paths:
        by_size[path.stat().st_size].append(path)
    groups: list[list[Path]] = []
    for sized in by_size.values():
        if len(sized) == 1:
            groups.append(sized)
            continue
        by_content: defaultdict[bytes, list[Path]] = defaultdict(list)
        for path in sized:
            by_content[hashlib.sha256(path.read_bytes()).digest()].append(path)
        groups.extend(by_content.values())
    return groups


def _check_target(target: Path, whole: Path) -> None:
    real = Path(os.path.realpath(target))
    if real == whole or whole in real.parents:
        raise BadInput(
            f"the output {target} lies in the folder that is divided",
            hint="name a folder beside it with -o",
        )
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise BadInput(
            f"{target} exists and is not empty", hint="remove it, or name another folder with -o"
        )


def _check_layout(layout: Layout) -> None:
    if "" not in layout.splits:
        names = " and ".join(f"{name}/" for name in layout.splits)
        raise BadInput(
            f"{layout.root} has {names} already",
            hint=f"it can be used as it is; {layout.folder(next(iter(layout.splits)))} alone can "
            "be divided",
        )
    for name, paths in layout.train.items():
        if not paths:
            raise BadInput(
                f"the class {layout.folder('', name)} holds no pictures",
                hint="put some in, or remove the folder",
            )


def _write(
    layout: Layout,
    plan: Mapping[str, tuple[Sequence[Path], Sequence[Path]]],
    target: Path,
) -> None:
    target = Path(os.path.realpath(target))
    partial = target.with_name(f".{uuid.uuid4().hex[:12]}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        for pair in plan.values():
            for side, paths in zip(("train", "val"), pair, strict=True):
                for path in paths:
                    _place(path, partial / side / path.relative_to(layout.root))
        if target.exists():
            target.rmdir()  # empty, as was checked
        partial.rename(target)
    except BaseException as cause:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(cause, OSError):
            raise cannot_write(target, cause) from cause
        raise


def _place(path: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    real = os.path.realpath(path)
    try:
        os.link(real, place)
    except OSError:  # another disk, or one without links
        shutil.copy2(real, place)
