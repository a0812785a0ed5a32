"""A folder of labelled pictures: a folder for each class, divided into train and val or not."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepcanon.classify.data.pictures import FilePictures, Source, read_pixels
from deepcanon.core.errors import BadInput
from deepcanon.core.images import SUFFIXES
from deepcanon.core.order import natural

__all__ = ["Classes", "Layout", "lay_out", "open_layout", "without_damaged"]

TRAIN = ("train", "training")
_TEST = ("test", "testing")
# The first of these that is there judges: with val and test both, test stays for the very end.
VAL = ("val", "validation", "valid", *_TEST)

_NO_CLASS = "__MACOSX"  # what a Mac puts beside the content of an archive

# The pictures of each class, in the order of the class names and then of the files' own names.
Classes = Mapping[str, tuple[Path, ...]]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """What lies where, nothing opened yet; a class may be without pictures here."""

    root: Path
    splits: Mapping[str, Classes]  # by the names of their folders; "" where it is not divided

    @property
    def train(self) -> Classes:
        """The classes to train on."""
        return next(iter(self.splits.values()))

    @property
    def val(self) -> Classes:
        """The classes to be judged by, of the second split; none where there is none."""
        return next(iter(list(self.splits.values())[1:]), {})

    def folder(self, split: str, name: str = "") -> Path:
        """Where a split, or a class in it, lies."""
        return self.root / split / name


def lay_out(root: Path) -> Layout:
    """Find the classes and the pictures of each, also in folders below that of the class.

    Names are put in the natural order (2 before 10). Hidden folders and files are left out, and
    files that do not end like a picture. Among other folders, train/ with pictures right in it is
    a class of that name. Raises BadInput where no class has a picture, and for anything but a
    folder.
    """
    inside = _folders(root)
    named = {path.name.casefold(): path for path in inside}
    if named.keys() - {*TRAIN, *VAL}:
        named = {name: path for name, path in named.items() if _may_be_split(path)}
    train = next((named[name] for name in TRAIN if name in named), None)
    judges = [named[name] for name in VAL if name in named]
    if train is None and judges and len(inside) <= 2:
        raise BadInput(
            f"{root} has {judges[0].name}/ and no train/",
            hint=f"name {judges[0]} for its pictures, or: deepcanon split DIR makes both from one "
            "folder",
        )
    if train is None:
        splits = {"": _classes(root, inside)}
    else:
        # Pictures for the very end may well be without labels: nothing is judged by them then.
        labelled = [path for path in judges if path.name.casefold() not in _TEST or _folders(path)]
        divided = [train, *labelled]
        splits = {path.name: _classes(path, _folders(path)) for path in divided}
    if not any(any(classes.values()) for classes in splits.values()):
        raise _nothing(root, train or root)
    return Layout(root=root, splits=splits)


def open_layout(layout: Layout) -> Source:
    """The pictures with their labels, none of them opened yet.

    Raises BadInput, saying which, for a class without pictures or in val only, and for fewer than
    two classes.
    """
    classes = tuple(layout.train)
    split, *rest = layout.splits
    if len(classes) < 2:
        raise BadInput(
            f"{layout.folder(split)} has one class only, {classes[0]}",
            hint="a classifier tells classes apart: give each a folder of its own, two or more",
        )
    for name, paths in layout.train.items():
        if not paths:
            raise BadInput(
                f"the class {layout.folder(split, name)} holds no pictures",
                hint="put some in, or remove the folder; deepcanon check-data lists all there is",
            )
    for name, paths in layout.val.items():
        if paths and name not in classes:
            raise BadInput(
                f"the class {name} is in {layout.folder(rest[0])} and not in "
                f"{layout.folder(split)}",
                hint="nothing can be learnt of it: move some of its pictures, or remove it",
            )
    return Source(
        name=layout.root.resolve().name,
        classes=classes,
        train=_pictures(layout.train, classes),
        val=_pictures(layout.val, classes),
    )


def without_damaged(source: Source) -> Source:
    """Of an opened folder those pictures that can be decoded; the others stand in ``skipped``.

    Raises BadInput when a class has none left to train on.
    """
    skipped: list[tuple[str, str]] = []
    kept: list[FilePictures] = []
    for pictures in (source.train, source.val):
        assert isinstance(pictures, FilePictures)
        good = []
        for place, path in enumerate(pictures.paths):
            try:
                read_pixels(path)
            except BadInput as error:
                skipped.append((str(path), error.message.removeprefix(f"{path} ")))
            else:
                good.append(place)
        labels = pictures.labels[np.asarray(good, np.int64)]
        kept.append(FilePictures([pictures.paths[place] for place in good], labels))
    for label, name in enumerate(source.classes):
        if label not in kept[0].labels:
            first = source.train.name(int(np.argmax(source.train.labels == label)))
            raise BadInput(
                f"no picture of the class {name} can be read: {first} {dict(skipped)[first]}",
                hint="deepcanon check-data lists all that are damaged",
            )
    return Source(
        name=source.name,
        classes=source.classes,
        train=kept[0],
        val=kept[1],
        skipped=tuple(skipped),
    )


def _pictures(found: Classes, classes: tuple[str, ...]) -> FilePictures:
    pairs = [(path, classes.index(name)) for name, paths in found.items() for path in paths]
    return FilePictures(
        [path for path, _ in pairs], np.asarray([label for _, label in pairs], np.int64)
    )


def _folders(root: Path) -> list[Path]:
    try:
        return [path for path in root.iterdir() if path.is_dir() and _is_shown(path.name)]
    except FileNotFoundError as cause:
        raise BadInput(f"{root} does not exist", hint="check the path of the folder") from cause
    except OSError as cause:
        reason = cause.strerror or str(cause)
        raise BadInput(f"{root} cannot be read: {reason}", hint="name a readable folder") from cause


def _is_shown(name: str) -> bool:
    return not name.startswith(".") and name != _NO_CLASS


def _may_be_split(folder: Path) -> bool:
    """Whether it holds folders, as of classes, and no picture beside them."""
    if not _folders(folder):
        return False
    return not any(_is_picture(path.name) for path in folder.iterdir() if path.is_file())


def _is_picture(name: str) -> bool:
    return not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES


def _classes(root: Path, folders: list[Path]) -> Classes:
    found: dict[str, list[Path]] = {}
    for path in folders:
        # One name may be spelt in two ways, é or e with an accent, and folders that went through
        # a Mac are spelt in the other one.
        found.setdefault(unicodedata.normalize("NFC", path.name), []).extend(_below(path))
    return {
        name: tuple(sorted(found[name], key=lambda path: natural(str(path.relative_to(root)))))
        for name in sorted(found, key=lambda name: (natural(name), name))
    }


def _below(folder: Path) -> list[Path]:
    pictures = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if _is_shown(name)]
        pictures += [Path(place, name) for name in files if _is_picture(name)]
    return pictures


def _nothing(root: Path, looked: Path) -> BadInput:
    if any(_is_picture(path.name) for path in looked.iterdir() if path.is_file()):
        return BadInput(
            f"{looked} holds pictures and no class folders",
            hint="give each class a folder, named as the class, with its pictures in it",
        )
    empty = not any(root.iterdir())
    return BadInput(
        f"the folder {root} {'is empty' if empty else 'holds no labelled pictures'}",
        hint="name a folder with a folder of pictures for each class; or CIFAR's, or MNIST's files",
    )
