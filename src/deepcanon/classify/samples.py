"""Labelled pictures as training takes them: without end, each sample decided by its number."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from deepcanon.classify.augment import Augmentation, augment, longest_short_side
from deepcanon.classify.data.pictures import Kept, Pictures
from deepcanon.core.errors import BadInput
from deepcanon.nn.preprocessing import Preprocessing, preprocess

__all__ = ["Samples", "Unreadable"]


class Unreadable(BadInput):
    """A picture that training came to and could not read.

    Made of one text alone, so that it comes through from a loader's worker process: torch makes
    what was raised there anew from its traceback, which ends in our own words.
    """

    def __init__(self, text: str) -> None:
        words = text.rstrip().rsplit(f"{type(self).__name__}: ", 1)[-1]
        super().__init__(
            words,
            hint="mend it (deepcanon check-data DIR lists all there are)",
        )


class Samples:
    """Augmented pictures with their labels; sample ``index`` depends on seed and index alone.

    Each round through the pictures takes all of them, in a new order. Decoded pictures are kept
    while there is room. Raises BadInput where there is none.
    """

    def __init__(
        self,
        pictures: Pictures,
        *,
        side: int,
        seed: int,
        augmentation: Augmentation,
        preprocessing: Preprocessing,
    ) -> None:
        if not len(pictures):
            raise BadInput(
                "there is no picture to train on",
                hint="deepcanon check-data DIR says what is there",
            )
        if not isinstance(pictures, Kept):
            pictures = Kept(pictures, short_side=longest_short_side(augmentation, side=side))
        self.pictures = pictures
        self.side, self.seed = side, seed
        self.augmentation, self.preprocessing = augmentation, preprocessing
        self._fill = _mean_colour(preprocessing)
        self._round, self._order = -1, np.empty(0, np.int64)

    def __getitem__(self, index: int) -> tuple[Float[Tensor, "3 side side"], int]:
        """Sample ``index``, 0 or more: the picture as the network reads it, and its label.

        Raises Unreadable, naming the picture, when it cannot be read.
        """
        place = self._place(index)
        try:
            pixels = self.pictures[place]
        except BadInput as error:
            raise Unreadable(error.message) from error
        view = augment(
            pixels,
            side=self.side,
            augmentation=self.augmentation,
            rng=np.random.default_rng([self.seed, 2, index]),
            fill=self._fill,
        )
        planes = torch.from_numpy(np.ascontiguousarray(view.transpose(2, 0, 1)))
        return preprocess(planes, how=self.preprocessing), int(self.pictures.labels[place])

    def name(self, index: int) -> str:
        """Which picture sample ``index`` shows."""
        return self.pictures.name(self._place(index))

    def _place(self, index: int) -> int:
        round_, place = divmod(index, len(self.pictures))
        if round_ != self._round:
            order = np.random.default_rng([self.seed, 1, round_]).permutation(len(self.pictures))
            self._round, self._order = round_, order
        return int(self._order[place])


def _mean_colour(how: Preprocessing) -> tuple[float, float, float]:
    """The colour, RGB in 0..1, that preprocessing turns into zeros."""
    first, second, third = (value / how.scale for value in how.mean)
    return (first, second, third) if how.order == "RGB" else (third, second, first)
