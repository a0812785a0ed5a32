"""From `PHOTO… -o OUT` to pairs of input and output, and a run over them that survives bad ones."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TextIO, TypeAlias, TypeVar

from deepcanon.cli.output import note, print_table, progress
from deepcanon.core.errors import BadInput, DeepcanonError, Failed
from deepcanon.core.images import WRITABLE, check_ending, find, same_file

__all__ = [
    "Failure",
    "Job",
    "Outcome",
    "Place",
    "Plan",
    "check_folder",
    "check_output",
    "check_place",
    "check_report",
    "find_pictures",
    "plan",
    "print_written",
    "refuse_overwriting",
    "run_all",
]

Place: TypeAlias = Path | Literal["-"]
Made = TypeVar("Made")


@dataclass(frozen=True)
class Job:
    """One picture to read and where its result goes; "-" is standard input or output."""

    source: Place
    output: Place


@dataclass(frozen=True)
class Failure:
    """One picture that could not be done, and why."""

    source: str
    error: DeepcanonError

    def to_dict(self) -> dict[str, str]:
        """The failure, ready for JSON."""
        return {"input": self.source, "error": self.error.message, "hint": self.error.hint}


@dataclass
class Plan:
    """What is to be done, and what has failed already because it cannot be found."""

    jobs: list[Job] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)


@dataclass
class Outcome:
    """The results in order (see `print_written` for what is in one), and the failures."""

    results: list[dict[str, Any]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Both, ready for JSON."""
        return {
            "results": self.results,
            "failures": [failure.to_dict() for failure in self.failures],
        }

    def report(self) -> int:
        """Name what failed on standard error and return the exit code."""
        if not self.failures:
            return 0
        for failure in self.failures:
            note(f"skipped {failure.source}: {failure.error.message}")
        total = len(self.results) + len(self.failures)
        note(f"error: {len(self.failures)} of {total} pictures could not be done")
        note(
            "hint: the others are finished; mend or leave out those named above"
            if self.results
            else "hint: none is finished; mend those named above"
        )
        return Failed.exit_code


def plan(
    words: Sequence[str],
    *,
    output: str | None,
    tag: str,
    tags: Iterable[str] = (),
    keep: Iterable[str | Path] = (),
    as_json: bool = False,
) -> Plan:
    """Pair every picture that `words` name with an output.

    `tag` goes into the names that are made up: photo.TAG.jpg. Pictures of a folder or glob that
    are the result of an earlier run (TAG or one of `tags`) are left out. `keep` are files that must
    not be overwritten. Raises `BadInput` when an output would overwrite an input, or two would
    share one; when a picture would go to standard output, and JSON too; and when the only word
    names nothing that can be read.
    """
    made = Plan()
    sources, named = _find(words, made)
    sources = _without_results(sources, named=named, tags=[tag, *tags], output=output)
    folder = _is_folder(output)
    if output == "-" and len(sources) + len(made.failures) > 1:
        raise BadInput("several pictures cannot go to standard output", hint="-o FOLDER")
    if output is not None and not folder and len(sources) + len(made.failures) > 1:
        raise BadInput(f"several pictures cannot go to the one file {output}", hint="-o FOLDER")
    for source in sources:
        made.jobs.append(Job(source, _output_for(source, output, tag=tag, folder=folder)))
    _refuse_clashes(made.jobs, keep=keep)
    for job in made.jobs:
        if job.output == "-" and as_json:
            raise BadInput(
                "the picture and the JSON would both go to standard output",
                hint="leave out --json, or name a file with -o",
            )
        check_output(job.output)
    return made


def find_pictures(words: Sequence[str]) -> tuple[list[Place], list[Failure]]:
    """The pictures that `words` name, without repeats, and the words that name none.

    Raises `BadInput` when the only word names nothing that can be read.
    """
    made = Plan()
    found, _ = _find(words, made)
    return found, made.failures


def run_all(
    made: Plan,
    make: Callable[[Job], Made],
    write: Callable[[Job, Made], dict[str, Any]],
    *,
    label: str,
    quiet: bool,
) -> Outcome:
    """Make and write the result of every job; a bad picture among several is passed over.

    The error of the only picture is raised. So is `Unavailable` in writing: when the disk is full,
    it is for the others too.
    """
    outcome = Outcome(failures=list(made.failures))
    alone = len(made.jobs) + len(made.failures) == 1
    with progress(label, total=len(made.jobs), quiet=quiet) as advance:
        for job in made.jobs:
            try:
                result = make(job)
            except DeepcanonError as error:
                if alone:
                    raise
                outcome.failures.append(Failure(str(job.source), error))
            else:
                try:
                    outcome.results.append(write(job, result))
                except BadInput as error:
                    if alone:
                        raise
                    outcome.failures.append(Failure(str(job.source), error))
            advance(Path(job.source).name)
    return outcome


def print_written(results: Iterable[dict[str, Any]]) -> None:
    """A line for each picture written: its `output`, `width` x `height` and `seconds`.

    Nothing when one of them went to standard output, where the lines would be added to it.
    """
    rows = [
        [each["output"], f"{each['width']}x{each['height']}", f"{each['seconds']:.2f} s"]
        for each in results
    ]
    if rows and all(row[0] != "-" for row in rows):
        print_table(rows)


def check_output(output: Place) -> None:
    """Raise `BadInput` now for an output that could not be written after minutes of work."""
    if output == "-":
        if _is_terminal(sys.stdout):
            raise BadInput(
                "a picture would be written to the terminal",
                hint="name a file with -o, or send it on: … -o - > picture.png",
            )
        return
    check_ending(output)
    check_place(output, example="picture.jpg")


def check_place(output: Path, *, example: str) -> None:
    """Raise `BadInput` for a folder, and where no file could be made.

    `example` is the name of a file, for the hint.
    """
    if output.is_dir():
        raise BadInput(f"{output} is a folder", hint=f"-o {output}/{example}")
    check_folder(output.absolute().parent)


def refuse_overwriting(output: Path, sources: Iterable[Place]) -> None:
    """Raise `BadInput` when the one file that is written is also read."""
    if any(source != "-" and same_file(source, output) for source in sources):
        raise BadInput(
            f"the output {output} would overwrite an input", hint="name another file with -o"
        )


def check_report(output: str) -> None:
    """Raise `BadInput` now for scores that could not be written after minutes of work."""
    if Path(output).suffix.lower() != ".json":
        raise BadInput(f"{output} does not end in .json", hint="the scores are written as JSON")
    check_place(Path(output), example="scores.json")


def check_folder(output: Path) -> None:
    """Raise `BadInput` for a folder that is none, or that no file could be made in."""
    wanted = output.absolute()
    folder = next(each for each in (wanted, *wanted.parents) if os.path.lexists(each))
    if not folder.is_dir():
        raise BadInput(f"{folder} is not a folder", hint="choose another output with -o")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise BadInput(f"the folder {folder} is not writable", hint="choose another output with -o")


def _is_terminal(stream: TextIO) -> bool:
    return stream.isatty()


def _find(words: Sequence[str], made: Plan) -> tuple[list[Place], set[Place]]:
    """The pictures without repeats, and those of them that were named one by one."""
    found: dict[str, Place] = {}
    named: set[Place] = set()
    for word in words:
        try:
            places = find([word])
        except BadInput as error:
            if len(words) == 1:
                raise
            made.failures.append(Failure(word, error))
            continue
        for place in places:
            found.setdefault("-" if place == "-" else os.path.realpath(place), place)
        if len(places) == 1 and str(places[0]) == str(Path(word)):
            named.update(places)
    return list(found.values()), named


def _without_results(
    sources: list[Place], *, named: set[Place], tags: Sequence[str], output: str | None
) -> list[Place]:
    """Running twice on one folder must not repaint what the first run made."""
    folder = _is_folder(output)
    results = {
        os.path.realpath(_output_for(source, output if folder else None, tag=tag, folder=folder))
        for source in sources
        if source != "-"
        for tag in tags
    }
    return [
        place
        for place in sources
        if place == "-" or place in named or os.path.realpath(place) not in results
    ]


def _is_folder(output: str | None) -> bool:
    if output is None or output == "-":
        return False
    return output.endswith(("/", os.sep)) or Path(output).is_dir() or not Path(output).suffix


def _output_for(source: Place, output: str | None, *, tag: str, folder: bool) -> Place:
    if output is not None and not folder:
        return "-" if output == "-" else Path(output)
    if source == "-":
        return Path(output, f"picture.{tag}.png") if output is not None else "-"
    # A format that can be read and not written becomes PNG.
    suffix = source.suffix if source.suffix.lower() in WRITABLE else ".png"
    return (Path(output) if output is not None else source.parent) / f"{source.stem}.{tag}{suffix}"


def _refuse_clashes(jobs: Sequence[Job], *, keep: Iterable[str | Path]) -> None:
    inputs = {os.path.realpath(job.source): job.source for job in jobs if job.source != "-"}
    kept = {os.path.realpath(each) for each in keep}
    taken: dict[str, Place] = {}
    for job in jobs:
        if job.output == "-":
            continue
        path = os.path.realpath(job.output)
        linked = job.source != "-" and same_file(job.source, job.output)
        if linked or path in inputs or path in kept:
            raise BadInput(
                f"the output {job.output} would overwrite an input",
                hint="name another file or folder with -o",
            )
        if path in taken:
            raise BadInput(
                f"{taken[path]} and {job.source} would both be written to {job.output}",
                hint="rename one of them, or give them different folders",
            )
        taken[path] = job.source
