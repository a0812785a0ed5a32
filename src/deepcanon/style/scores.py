"""The scores of `deepcanon.style.evaluate`, and the report that keeps them from run to run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from deepcanon.core.atomic import write_whole
from deepcanon.core.errors import BadInput

__all__ = ["Score", "StyleReport", "markdown"]

# What older reports call some fields, and where the whole report had one date and one machine.
_FORMERLY = {"style_loss": "texture", "tv": "variation"}
_ONCE = ("date", "hardware")


@dataclass(frozen=True, kw_only=True)
class Score:
    """What one pass in a style is worth.

    `total` and its unweighted parts `content`, `style_loss` and `tv` (total variation) are means
    over the photographs of what the network painted; `spread` is the standard deviation of the
    total. `curve` is the mean of the best totals so far after 0, 1, ... iterations of L-BFGS,
    as far as it was followed. `iterations` is None when it took more than were allowed.
    `date` and `hardware` are those of the measurement.
    """

    style: str
    painting: str
    total: float
    content: float
    style_loss: float
    tv: float
    spread: float
    iterations: int | None
    curve: tuple[float, ...]
    date: str
    hardware: str

    @property
    def worth(self) -> str:
        """The iterations for people: "57", or "> 60"."""
        return f"> {len(self.curve) - 1}" if self.iterations is None else str(self.iterations)

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Score:
        """From what `dataclasses.asdict` gave, perhaps through JSON."""
        known = {
            each.name: content[each.name if each.name in content else _FORMERLY[each.name]]
            for each in fields(cls)
        }
        return cls(**{**known, "curve": tuple(content["curve"])})


@dataclass(kw_only=True)
class StyleReport:
    """The scores so far and what they depend on; kept in the JSON file `path` if there is one,
    with a table in Markdown beside it.

    A file that is already there is taken over. Raises BadInput when it is something else, or its
    scores depend on other settings.
    """

    settings: dict[str, Any]
    path: Path | None = None
    scores: dict[str, Score] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path is not None and self.path.exists():
            self.scores = self._read(self.path)

    def add(self, score: Score) -> None:
        """Take a score in, and write the files anew."""
        self.scores[score.style] = score
        if self.path is not None:
            text = json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
            with write_whole(self.path) as file:
                file.write((text + "\n").encode())
            with write_whole(self.path.with_suffix(".md")) as file:
                file.write(markdown(list(self.scores.values())).encode())

    def to_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON."""
        return {
            "settings": self.settings,
            "scores": [asdict(score) for score in self.scores.values()],
        }

    def _read(self, path: Path) -> dict[str, Score]:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            settings = content["settings"]
            once = {key: content[key] for key in _ONCE if key in content}
            scores = [Score.of({**once, **each}) for each in content["scores"]]
        except (OSError, ValueError, KeyError, TypeError) as cause:
            raise BadInput(
                f"{path} is there and is not a report of deepcanon evaluate",
                hint="name another file with -o",
            ) from cause
        if settings != json.loads(json.dumps(self.settings)):
            differ = [key for key in self.settings if settings.get(key) != self.settings[key]]
            raise BadInput(
                f"{path} holds scores measured otherwise: {', '.join(differ)}",
                hint="name another file with -o, or remove it to measure anew",
            )
        return {score.style: score for score in scores}


def markdown(scores: Sequence[Score]) -> str:
    """A table for people."""
    lines = [
        "| style | one pass | content | style loss | tv | the photograph | L-BFGS iterations |",
        "|---|---|---|---|---|---|---|",
    ]
    for each in scores:
        figures = (each.content, each.style_loss, each.tv, each.curve[0])
        cells = [each.style, f"{each.total:.3f} ± {each.spread:.3f}"]
        cells += [f"{figure:.4f}" for figure in figures] + [each.worth]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"
