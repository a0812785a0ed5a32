from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from deepcanon.classify.augment import Augmentation
from deepcanon.classify.data.pictures import ArrayPictures, Kept, Pictures
from deepcanon.classify.data.sources import open_source
from deepcanon.classify.samples import Samples, Unreadable
from deepcanon.core.errors import BadInput
from deepcanon.nn.preprocessing import CAFFE, TORCHVISION, Preprocessing, preprocess
from tests.tiny_pictures import class_folders

PLAIN = Preprocessing(name="plain", order="RGB", scale=1.0, mean=(0, 0, 0))


def samples(
    pictures: Pictures,
    *,
    seed: int = 0,
    side: int = 8,
    augmentation: Augmentation = Augmentation.NONE,
    how: Preprocessing = PLAIN,
) -> Samples:
    return Samples(pictures, side=side, seed=seed, augmentation=augmentation, preprocessing=how)


def numbered(count: int) -> ArrayPictures:
    """Picture i is of brightness i, and of class i % 3."""
    pixels = np.zeros((count, 8, 8), np.uint8) + np.arange(count, dtype=np.uint8)[:, None, None]
    return ArrayPictures(pixels, np.arange(count) % 3, of="training")


def shown(made: Samples, indices: range) -> list[int]:
    return [round(float(made[index][0][0, 0, 0]) * 255) for index in indices]


def test_a_round_shows_every_picture_once_and_the_next_in_another_order() -> None:
    made = samples(numbered(12))
    first, second = shown(made, range(12)), shown(made, range(12, 24))
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second and first != sorted(first)


def test_labels_and_names_go_with_the_pictures() -> None:
    made = samples(numbered(7))
    for index in (0, 5, 9, 20):
        place = shown(made, range(index, index + 1))[0]
        assert made[index][1] == place % 3
        assert made.name(index) == f"training picture {place}"


@pytest.mark.parametrize("kind", list(Augmentation))
def test_a_sample_depends_on_the_seed_and_its_number_alone(kind: Augmentation) -> None:
    source = open_source("standin")

    def of(seed: int) -> Samples:
        return samples(source.train, seed=seed, side=16, augmentation=kind)

    onwards, at_once = of(0), of(0)
    for index in (3, 4, 4001, 3):  # there and back, over the end of a round
        picture, label = onwards[index]
    again, same_label = at_once[3]
    torch.testing.assert_close(picture, again, rtol=0, atol=0)
    assert label == same_label
    assert not torch.equal(of(1)[3][0], picture)


def test_pictures_come_as_the_network_reads_them() -> None:
    source = open_source("standin")
    made = samples(source.train, side=32, how=CAFFE)
    picture, _ = made[0]
    place = int(made.name(0).split()[-1])
    pixels = torch.from_numpy(source.train[place]).permute(2, 0, 1).float() / 255
    torch.testing.assert_close(picture, preprocess(pixels, how=CAFFE))
    assert picture.shape == (3, 32, 32) and picture.dtype == torch.float32


@pytest.mark.row("C18")
@pytest.mark.parametrize("how", [CAFFE, TORCHVISION], ids=lambda how: how.name)
def test_the_padding_of_cifar_is_zero_for_the_network(how: Preprocessing) -> None:
    white = ArrayPictures(np.full((1, 32, 32), 255, np.uint8), np.zeros(1, np.int64), of="a")
    made = samples(white, side=32, augmentation=Augmentation.CIFAR, how=how)
    padded = 0
    for index in range(20):
        picture = made[index][0]
        zero = picture.abs().amax(0) < 1e-4
        padded += int(zero.sum())
        assert bool((zero | (picture.amin(0) > 0.5)).all())
    assert padded > 100


def test_a_picture_that_no_longer_decodes_in_the_third_round_is_named(tmp_path: Path) -> None:
    source = open_source(class_folders(tmp_path, {"a": 3, "b": 2}))
    made = samples(Kept(source.train, room=0))
    for index in range(10):
        made[index]
    bad = tmp_path / "a" / "1.png"
    bad.write_bytes(bad.read_bytes()[:70])
    failed = []
    for index in range(10, 15):
        try:
            made[index]
        except BadInput as error:
            failed.append((made.name(index), error.message.split(" is damaged")[0]))
    assert failed == [(str(bad), str(bad))]


# From Python 3.12 on the loader is told that it starts processes by forking.
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_damaged_picture_is_named_in_two_lines_by_a_worker_too(tmp_path: Path) -> None:
    source = open_source(class_folders(tmp_path, {"a": 1, "b": 1}))
    bad = tmp_path / "b" / "0.png"
    bad.write_bytes(b"")
    made = samples(source.train)
    loader = torch.utils.data.DataLoader(
        made,  # type: ignore[arg-type]
        sampler=range(2),
        num_workers=1,
    )
    with pytest.raises(Unreadable) as error:
        list(loader)
    assert error.value.message == f"{bad} is empty (0 bytes)"
    assert "check-data" in error.value.hint and error.value.exit_code == 2


def test_a_folder_is_decoded_in_the_first_round_only(tmp_path: Path) -> None:
    source = open_source(class_folders(tmp_path, {"a": 2, "b": 2}))
    made = samples(source.train)
    before = [made[index][0] for index in range(4)]
    for path in tmp_path.rglob("*.png"):
        path.unlink()
    after = [made[index][0] for index in range(4, 8)]
    assert sorted(x.sum() for x in before) == sorted(x.sum() for x in after)


def test_no_picture_to_train_on() -> None:
    with pytest.raises(BadInput, match="no picture to train on"):
        samples(ArrayPictures(np.zeros((0, 8, 8), np.uint8), np.zeros(0, np.int64), of="a"))
