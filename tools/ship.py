"""Put a trained file into the package: its record completed, its hash in the manifest.

``python tools/ship.py FILE NAME --kind network --licence TEXT [--notes TEXT] [--data TEXT]
[--scores measured.json]``; the file's own record says the rest. For the project's own models.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path

import onnx
from safetensors import safe_open
from safetensors.torch import save

from deepcanon.core import assets
from deepcanon.core.atomic import write_whole
from deepcanon.core.errors import BadInput
from deepcanon.core.record import KEY, Record, read_record


def with_record(path: Path, record: Record) -> bytes:
    """The file's bytes with another record in the place of its own.

    Raises `BadInput` for a `.onnx` file that has none.
    """
    if path.suffix == ".onnx":
        model = onnx.load(path)
        place = next((entry for entry in model.metadata_props if entry.key == KEY), None)
        if place is None:
            raise BadInput(
                f"{path} carries no deepcanon record", hint="ship what `deepcanon export` wrote"
            )
        place.value = record.to_json()
        return bytes(model.SerializeToString())
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    return save(tensors, metadata={KEY: record.to_json()})


def main() -> None:
    """Write the asset and its manifest entry."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("name")
    parser.add_argument("--kind", required=True)
    parser.add_argument("--licence", required=True)
    parser.add_argument("--notes")
    parser.add_argument("--data")
    parser.add_argument("--scores", type=Path, help="a JSON object of numbers, added to the scores")
    given = parser.parse_args()
    record = read_record(given.file)
    scores = json.loads(given.scores.read_text()) if given.scores else {}
    record = dataclasses.replace(
        record,
        licence=given.licence,
        notes=given.notes or record.notes,
        data=given.data or record.data,
        scores={**record.scores, **scores},
    )
    file = f"{given.name}{given.file.suffix}"
    with write_whole(assets.FOLDER / file) as out:
        out.write(with_record(given.file, record))
    print(assets.enter(given.name, file=file, kind=given.kind, licence=given.licence))


if __name__ == "__main__":
    main()
