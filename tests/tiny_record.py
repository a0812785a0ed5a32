"""A complete record for weights of a classifier; take `dataclasses.replace` for another."""

from deepcanon.core.record import Record
from deepcanon.nn.preprocessing import CAFFE

CLASSIFIER = Record(
    model="tiny",
    variant="paper",
    domain="classify",
    config={},
    labels=[],
    preprocessing=CAFFE.to_dict(),
    licence="Apache-2.0",
    recipe={},
    data="none",
    date="2025-01-01",
    hardware="none",
    scores={},
)
