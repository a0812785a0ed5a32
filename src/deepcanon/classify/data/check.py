"""What is wrong with labelled pictures, all of it at once: `deepcanon check-data DIR`."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from deepcanon.classify.data.cifar_files import open_cifar
from deepcanon.classify.data.folders import Layout, lay_out
from deepcanon.classify.data.idx_files import open_idx
from deepcanon.classify.data.pictures import Pixels, Source, read_pixels
from deepcanon.classify.data.sources import WORDS, open_source
from deepcanon.core.errors import BadInput

__all__ = ["Complaint", "DataReport", "Problem", "Subject", "check", "gather"]


class Problem(StrEnum):
    """What can be wrong."""

    UNREADABLE = "unreadable"  # damaged, cut short, no picture, or too small
    LEAKED = "in two splits"  # one picture on both sides: the score flatters
    CONFLICTING = "in two classes"  # one picture under two names, on one side
    DUPLICATE = "duplicate"  # one picture twice in a class, on one side
    EMPTY = "class without pictures"
    ONE_SIDED = "class not in every split"
    ONLY_ONE = "one class only"


class Complaint(NamedTuple):
    """One problem: the files or folders that have it, and why."""

    problem: Problem
    places: tuple[str, ...]
    why: str

    def to_dict(self) -> dict[str, Any]:
        """The finding, ready for JSON."""
        return {"problem": self.problem.value, "places": list(self.places), "why": self.why}


@dataclass(frozen=True, kw_only=True)
class DataReport:
    """What was looked at, and what was found, in the order of `Problem`."""

    data: str
    counts: dict[str, dict[str, int]]  # split -> class -> pictures
    findings: tuple[Complaint, ...]

    def to_dict(self) -> dict[str, Any]:
        """The report, ready for JSON."""
        return {
            "data": self.data,
            "pictures": self.counts,
            "findings": [each.to_dict() for each in self.findings],
        }


class _Picture(NamedTuple):
    name: str
    split: str
    label: str
    read: Callable[[], Pixels]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """The pictures that are to be checked, none of them opened yet."""

    data: str
    pictures: tuple[_Picture, ...]
    counts: dict[str, dict[str, int]]  # split -> class -> pictures
    folders: dict[tuple[str, str], str]  # (split, class) -> what to call it

    def __len__(self) -> int:
        return len(self.pictures)


def gather(data: str | Path) -> Subject:
    """All pictures of what `open_source` opens; of a folder also one that it would refuse.

    Raises BadInput where there is nothing to check.
    """
    path = Path(data)
    if str(data) in WORDS or not path.is_dir():
        return _of_source(open_source(data))
    source = open_cifar(path) or open_idx(path)
    return _of_source(source) if source is not None else _of_layout(lay_out(path))


def check(subject: Subject, *, on_picture: Callable[[str], None] = lambda name: None) -> DataReport:
    """Decode every picture and compare all of them; ``on_picture`` is told each one's name.

    Two are the same when their pixels are, whatever their files look like.
    """
    findings = list(_of_classes(subject))
    same: defaultdict[bytes, list[_Picture]] = defaultdict(list)
    for picture in subject.pictures:
        try:
            pixels = picture.read()
        except BadInput as error:
            why = error.message.removeprefix(f"{picture.name} ")
            findings.append(Complaint(Problem.UNREADABLE, (picture.name,), why))
        else:
            digest = hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).digest()
            same[digest].append(picture)
        on_picture(picture.name)
    for pictures in same.values():
        if len(pictures) > 1:
            findings.extend(_of_equals(pictures))
    order = list(Problem)
    findings.sort(key=lambda finding: order.index(finding.problem))
    return DataReport(data=subject.data, counts=subject.counts, findings=tuple(findings))


def _of_classes(subject: Subject) -> Iterator[Complaint]:
    named = {name for classes in subject.counts.values() for name in classes}
    if len(named) < 2:
        yield Complaint(Problem.ONLY_ONE, tuple(sorted(named)), "a classifier tells classes apart")
    for (split, name), place in subject.folders.items():
        if not subject.counts[split][name]:
            yield Complaint(Problem.EMPTY, (place,), "it has none")
    for name in sorted(named):
        having = [split for split, classes in subject.counts.items() if classes.get(name)]
        for split in subject.counts:
            if having and (split, name) not in subject.folders:
                places = tuple(subject.folders[each, name] for each in having)
                yield Complaint(Problem.ONE_SIDED, places, f"there is none in {split}")


def _of_equals(pictures: list[_Picture]) -> Iterator[Complaint]:
    """What is wrong with pictures whose pixels are the same."""
    splits = sorted({each.split for each in pictures})
    if len(splits) > 1:
        labels = sorted({each.label for each in pictures})
        why = (
            "the same pixels" if len(labels) == 1 else f"the same pixels as {' and '.join(labels)}"
        )
        yield Complaint(Problem.LEAKED, tuple(each.name for each in pictures), why)
    for split in splits:
        inside = [each for each in pictures if each.split == split]
        labels = sorted({each.label for each in inside})
        places = tuple(each.name for each in inside)
        if len(labels) > 1:
            why = f"the same pixels as {' and '.join(labels)}"
            yield Complaint(Problem.CONFLICTING, places, why)
        elif len(inside) > 1:
            yield Complaint(Problem.DUPLICATE, places, "the same pixels")


def _of_layout(layout: Layout) -> Subject:
    def reader(path: Path) -> Callable[[], Pixels]:
        return lambda: read_pixels(path)

    return Subject(
        data=str(layout.root),
        pictures=tuple(
            _Picture(str(path), split, name, reader(path))
            for split, classes in layout.splits.items()
            for name, paths in classes.items()
            for path in paths
        ),
        counts={
            split: {name: len(paths) for name, paths in classes.items()}
            for split, classes in layout.splits.items()
        },
        folders={
            (split, name): str(layout.folder(split, name))
            for split, classes in layout.splits.items()
            for name in classes
        },
    )


def _of_source(source: Source) -> Subject:
    splits = {"train": source.train, "val": source.val}
    pictures = []
    counts = {}
    for split, found in splits.items():
        labels = found.labels.tolist()
        counts[split] = {name: labels.count(place) for place, name in enumerate(source.classes)}
        for place, label in enumerate(labels):
            # Bound now: the loop's variables will have moved on.
            def read(found: Any = found, place: int = place) -> Pixels:
                pixels: Pixels = found[place]
                return pixels

            pictures.append(_Picture(found.name(place), split, source.classes[label], read))
    return Subject(
        data=source.name,
        pictures=tuple(pictures),
        counts=counts,
        folders={(split, name): f"{split}: {name}" for split in splits for name in source.classes},
    )
