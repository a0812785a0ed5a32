"""What a classifier says of pictures, drawn as bars, and kept as JSON or CSV. No torch."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepcanon.core.atomic import write_whole
from deepcanon.core.chart import draw_bars
from deepcanon.core.errors import BadInput
from deepcanon.core.picture import Pixels

__all__ = ["Classified", "check_results_file", "save_results", "to_csv"]


@dataclass(frozen=True, kw_only=True)
class Classified:
    """What a picture shows, best first: `labels`, their softmax `scores` and class `indices`.

    `seconds` is the picture's share of the network's time.
    """

    name: str
    labels: tuple[str, ...]
    scores: tuple[float, ...]
    indices: tuple[int, ...]
    engine: str
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        found = zip(self.indices, self.labels, self.scores, strict=True)
        return {
            "picture": self.name,
            "classes": [
                {"index": index, "label": label, "score": round(score, 6)}
                for index, label, score in found
            ],
            "engine": self.engine,
            "seconds": round(self.seconds, 6),
        }

    def plot(self) -> Pixels:
        """The classes, each with a bar for its score, below the picture's name; uint8 [h, w, 3]."""
        return draw_bars(list(zip(self.labels, self.scores, strict=True)), title=self.name)

    def save(self, path: str | Path) -> None:
        """Write it as the ending says, .json or .csv, whole or not at all; see `save_results`."""
        save_results([self], path)


def to_csv(results: Iterable[Classified]) -> str:
    """A table with a head: picture, rank (from 1), label, score."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["picture", "rank", "label", "score"])
    for each in results:
        found = zip(each.labels, each.scores, strict=True)
        table.writerows(
            [each.name, rank, label, f"{score:.6f}"]
            for rank, (label, score) in enumerate(found, start=1)
        )
    return text.getvalue()


def check_results_file(path: str | Path) -> str:
    """The ending that says the form of a file of results. Raises `BadInput` for another one."""
    ending = Path(path).suffix.lower()
    if ending not in (".json", ".csv"):
        raise BadInput(
            f"{path} does not end in .json or .csv", hint="the ending says what is written"
        )
    return ending


def save_results(results: Sequence[Classified], path: str | Path) -> None:
    """Write results as a JSON list or a CSV table, as the ending says, whole or not at all.

    Raises `BadInput` for another ending, and what `write_whole` raises.
    """
    if check_results_file(path) == ".csv":
        text = to_csv(results)
    else:
        content = [each.to_dict() for each in results]
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    with write_whole(path) as file:
        # The names of files need not be valid text.
        file.write(text.encode("utf-8", errors="backslashreplace"))
