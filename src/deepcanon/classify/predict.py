"""Name what pictures show with a trained classifier: no torch.

    Classifier("resnet20-cifar10")("photo.jpg").labels[0]

The network is a `.onnx` file that carries its record; its contract stands in `network_file`.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import numpy as np
import numpy.typing as npt

from deepcanon.classify.crops import Crops, cut, prepare
from deepcanon.classify.data.pictures import LEAST_SIDE, on_white
from deepcanon.classify.network_file import open_network
from deepcanon.classify.results import Classified
from deepcanon.core.errors import BadInput, DeepcanonError, Failed
from deepcanon.core.images import Picture, Source, load
from deepcanon.core.picture import Pixels
from deepcanon.engine.kept import kept_session
from deepcanon.nn.preprocessing import Preprocessing

__all__ = ["DEFAULT", "Classified", "Classifier"]

DEFAULT = "resnet20-cifar10"  # the manifest's name of the classifier that ships

Floats = npt.NDArray[np.float32]

# A run holds about this many pixels, and this many crops at most: the activations of the widest
# network (VGG at 224) then take half a gigabyte, and small pictures still come in useful batches.
_PIXELS, _CROPS = 800_000, 64
_CROPS_OF = {Crops.TEN: 10, Crops.FIFTY: 50}  # of one picture


class Classifier:
    """Names what pictures show: `Classifier("my.onnx")(["a.jpg", "b.jpg"], top=3)`.

    `model` is a `.onnx` file with a record, or the name of a classifier that ships; `engine` is one
    of openvino, onnxruntime, torch, or auto. The network stays loaded for the process. `side`,
    `resize` and `preprocessing` are how pictures are cut and scaled, `classes` the names in the
    order of the logits ("class 17" where the file has none), `any_size` whether the network takes
    pictures of any size. Raises `BadInput` for a file that is not a classifier, or does not say how
    pictures must be prepared.
    """

    def __init__(
        self, model: str | Path = DEFAULT, *, engine: str = "auto", threads: int | None = None
    ) -> None:
        file = open_network(model)
        self.path, self.record = file.path, file.record
        self.classes, self.any_size = file.classes, file.any_size
        self.side, self.resize = file.side, file.resize
        self.preprocessing = file.preprocessing
        self._input = file.input
        self._session = kept_session(self.path, engine=engine, threads=threads)

    @property
    def engine(self) -> str:
        """The engine that runs the network."""
        return self._session.name

    def prepared_as(self, preprocessing: Preprocessing) -> Classifier:
        """The same network, fed otherwise: what `evaluate` tries when a score is at chance."""
        other = copy.copy(self)
        other.preprocessing = preprocessing
        return other

    def logits(self, batch: Floats) -> Floats:
        """Prepared pictures, float32 [b, 3, h, w] -> class scores before softmax [b, classes].

        Raises `Failed` when the network does not give as many numbers, or not finite ones.
        """
        (found,) = self._session.run({self._input: batch}).values()
        if found.shape != (len(batch), len(self.classes)):
            raise Failed(
                f"the network made {found.shape} of {len(batch)} pictures, where "
                f"{len(self.classes)} classes were promised",
                hint="it breaks the contract of a classifier: export it with deepcanon export",
            )
        if not np.isfinite(found).all():
            raise Failed(
                "the network's result is not a finite number (NaN or infinity)",
                hint="another engine may be more exact: --engine onnxruntime; or train it again",
            )
        return np.asarray(found, np.float32)

    def scores(self, pictures: Sequence[Pixels], *, crops: Crops = Crops.ONE) -> Floats:
        """The softmax of each picture, uint8 [h, w, 3] of any size: [n, classes].

        That of several crops is the mean of theirs. Raises `BadInput` for `Crops.DENSE` with a
        network that takes one size only, and what `logits` raises.
        """
        self.check_crops(crops)
        return self._scores([self._cut(pixels, crops) for pixels in pictures])

    def batch(self, crops: Crops = Crops.ONE) -> int:
        """How many pictures to give `scores` at once: more of them only take more memory."""
        if crops is Crops.DENSE:
            return 1  # one size after another
        return max(1, _room(self.side**2) // _CROPS_OF.get(crops, 1))

    def check_crops(self, crops: Crops) -> None:
        """Raise `BadInput` for `Crops.DENSE` with a network that takes one size only."""
        if crops is Crops.DENSE and not self.any_size:
            raise BadInput(
                f"{self.path} takes pictures of {self.side}x{self.side} pixels only, "
                "and dense means the whole picture",
                hint=f"choose {Crops.ONE.value}, {Crops.TEN.value} or {Crops.FIFTY.value}",
            )

    def stream(
        self,
        pictures: Iterable[Source | Picture],
        *,
        top: int = 5,
        crops: Crops = Crops.ONE,
        on_error: Callable[[Source | Picture, DeepcanonError], None] | None = None,
    ) -> Iterator[Classified]:
        """Name what each of many pictures shows, in batches; only their crops are held.

        ``on_error(picture, error)`` is told of one that cannot be done, which is then left out;
        without it the error is raised. Raises `BadInput` for `top` below 1 and as `scores` does.
        """
        if top < 1:
            raise BadInput(f"top is {top}", hint="ask for 1 class or more")
        self.check_crops(crops)
        return self._stream(pictures, top=top, crops=crops, on_error=on_error)

    @overload
    def __call__(
        self,
        picture: list[Source | Picture] | tuple[Source | Picture, ...],
        *,
        top: int = ...,
        crops: Crops = ...,
    ) -> list[Classified]: ...

    @overload
    def __call__(
        self, picture: Source | Picture, *, top: int = ..., crops: Crops = ...
    ) -> Classified: ...

    def __call__(
        self,
        picture: Source | Picture | list[Source | Picture] | tuple[Source | Picture, ...],
        *,
        top: int = 5,
        crops: Crops = Crops.ONE,
    ) -> Classified | list[Classified]:
        """Name what one picture shows, or each of a list, by the `top` best classes.

        A picture is whatever `core.images.load` reads. Raises what that raises, and as `stream`.
        """
        if isinstance(picture, (list, tuple)):
            return list(self.stream(picture, top=top, crops=crops))
        (found,) = self.stream([picture], top=top, crops=crops)
        return found

    def _stream(
        self,
        pictures: Iterable[Source | Picture],
        *,
        top: int,
        crops: Crops,
        on_error: Callable[[Source | Picture, DeepcanonError], None] | None,
    ) -> Iterator[Classified]:
        waiting: list[_Waiting] = []
        room = self.batch(crops)

        def finish() -> list[Classified]:
            try:
                return self._run(waiting, top=top)
            except DeepcanonError as error:
                if on_error is None:
                    raise
                for each in waiting:
                    on_error(each.source, error)
                return []
            finally:
                waiting.clear()

        for source in pictures:
            try:
                picture = (
                    source if isinstance(source, Picture) else load(source, min_side=LEAST_SIDE)
                )
                views = self._cut(on_white(picture), crops)
            except DeepcanonError as error:
                if on_error is None:
                    raise
                on_error(source, error)
                continue
            waiting.append(_Waiting(source, picture.name, views))
            if len(waiting) == room:
                yield from finish()
        if waiting:
            yield from finish()

    def _run(self, waiting: Sequence[_Waiting], *, top: int) -> list[Classified]:
        start = time.perf_counter()
        scores = self._scores([each.views for each in waiting])
        seconds = (time.perf_counter() - start) / len(waiting)
        found = []
        for each, row in zip(waiting, scores, strict=True):
            best = np.argsort(-row, kind="stable")[:top]  # of equal ones the first class
            found.append(
                Classified(
                    name=each.name,
                    labels=tuple(self.classes[index] for index in best),
                    scores=tuple(float(row[index]) for index in best),
                    indices=tuple(int(index) for index in best),
                    engine=self.engine,
                    seconds=seconds,
                )
            )
        return found

    def _cut(self, pixels: Pixels, crops: Crops) -> Pixels:
        return cut(pixels, crops=crops, side=self.side, resize=self.resize)

    def _scores(self, views: Sequence[Pixels]) -> Floats:
        """Of each picture the mean softmax of its crops; those of one size run together."""
        how = self.preprocessing.to_dict()
        scores = np.empty((len(views), len(self.classes)), np.float32)
        for size in {each.shape for each in views}:
            alike = [index for index, each in enumerate(views) if each.shape == size]
            crops = np.concatenate([views[index] for index in alike])
            room = _room(size[1] * size[2])
            found = [
                _softmax(self.logits(prepare(crops[at : at + room], how=how)))
                for at in range(0, len(crops), room)
            ]
            each_crop = np.concatenate(found).reshape(len(alike), size[0], -1)
            scores[alike] = each_crop.mean(axis=1)
        return scores


@dataclass(frozen=True)
class _Waiting:
    """A picture whose crops [n, h, w, 3] wait for the batch to be full."""

    source: Source | Picture
    name: str
    views: Pixels


def _room(pixels: int) -> int:
    """How many crops of so many pixels a run holds."""
    return min(_CROPS, max(1, _PIXELS // pixels))


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=1, keepdims=True)
    return shares
