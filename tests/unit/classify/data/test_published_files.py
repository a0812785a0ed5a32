"""CIFAR's and MNIST's files, in every form in which they are published."""

from __future__ import annotations

import gzip
import pickle
from pathlib import Path

import numpy as np
import pytest

from deepcanon.classify.data.cifar_files import CIFAR10
from deepcanon.classify.data.idx_files import FASHION, read_idx
from deepcanon.classify.data.sources import open_source
from deepcanon.core.errors import BadInput
from tests import tiny_pictures
from tests.evil_pickle import Evil
from tests.tiny_pictures import idx, mnist
from tests.unit.classify.data.test_sources import refused


def test_cifar10_binary(tmp_path: Path) -> None:
    wanted = tiny_pictures.cifar10_binary(tmp_path)
    source = open_source(tmp_path)
    assert (source.name, source.classes) == ("cifar10", CIFAR10)
    assert source.train.labels.tolist() == list(range(10))
    assert source.val.labels.tolist() == [9, 8, 7]
    for place in (0, 3, 9):
        np.testing.assert_array_equal(source.train[place], wanted[place])
    assert source.train.name(3) == "training picture 3"


def test_cifar10_names_its_classes_in_a_file(tmp_path: Path) -> None:
    names = [f"kind {i}" for i in range(10)]
    tiny_pictures.cifar10_binary(tmp_path, names=names)
    assert open_source(tmp_path).classes == tuple(names)


def test_the_folder_that_the_archive_was_unpacked_in_will_do(tmp_path: Path) -> None:
    tiny_pictures.cifar10_binary(tmp_path / "cifar-10-batches-bin")
    assert open_source(tmp_path).name == "cifar10"


def test_cifar100_binary(tmp_path: Path) -> None:
    wanted = tiny_pictures.cifar100_binary(tmp_path)
    source = open_source(tmp_path)
    assert (source.name, len(source.classes), source.classes[99]) == ("cifar100", 100, "99")
    assert (source.train.labels.tolist(), source.val.labels.tolist()) == ([7, 99, 0], [5])
    np.testing.assert_array_equal(source.train[1], wanted[1])
    names = "\n".join(f"kind {i}" for i in range(100))
    (tmp_path / "fine_label_names.txt").write_text(names)
    assert open_source(tmp_path).classes[99] == "kind 99"


def test_cifar10_python(tmp_path: Path) -> None:
    wanted = tiny_pictures.cifar10_python(tmp_path)
    source = open_source(tmp_path)
    assert (source.name, source.classes[3]) == ("cifar10", "kind 3")
    assert source.train.labels.tolist() == list(range(10))
    assert source.val.labels.tolist() == [9, 8, 7]
    np.testing.assert_array_equal(source.train[5], wanted[5])


def test_cifar100_python(tmp_path: Path) -> None:
    for file, labels in (("train", [7, 99]), ("test", [5])):
        flat, _ = tiny_pictures.rows(len(labels), seed=1)
        # As Python 3 would write it, keys and all.
        content = {"data": flat, "fine_labels": labels, "coarse_labels": [0] * len(labels)}
        (tmp_path / file).write_bytes(pickle.dumps(content))
    names = {"fine_label_names": [f"kind {i}" for i in range(100)]}
    (tmp_path / "meta").write_bytes(pickle.dumps(names))
    source = open_source(tmp_path)
    assert (source.name, source.classes[7]) == ("cifar100", "kind 7")
    assert (source.train.labels.tolist(), len(source.val)) == ([7, 99], 1)


def test_cifar_files_that_are_not_right(tmp_path: Path) -> None:
    tiny_pictures.cifar10_binary(tmp_path)
    first = tmp_path / "data_batch_1.bin"
    content = first.read_bytes()
    first.write_bytes(content[:-1])
    assert refused(tmp_path, "data_batch_1.bin has 6145 bytes").startswith("unpack")
    first.write_bytes(b"\x0a" + content[1:])
    refused(tmp_path, "picture 0", "label 10", "10 classes")
    first.write_bytes(content)
    (tmp_path / "data_batch_3.bin").unlink()
    refused(tmp_path, "data_batch_3.bin is missing")


def test_a_pickle_that_would_run_a_program_is_refused_and_does_not(tmp_path: Path) -> None:
    tiny_pictures.cifar10_python(tmp_path)
    proof = tmp_path / "it-ran"
    (tmp_path / "data_batch_2").write_bytes(pickle.dumps({"data": Evil(proof)}))
    assert "nothing in it was run" in refused(tmp_path, "data_batch_2 is damaged", "system")
    assert not proof.exists()


@pytest.mark.parametrize(
    "content",
    [
        {"labels": [0, 1]},
        {"data": np.zeros((2, 3072), np.uint8)},
        {"data": np.zeros((2, 3072), np.uint8), "labels": [0]},
        {"data": np.zeros((2, 3072), np.float32), "labels": [0, 1]},
        {"data": np.zeros((2, 100), np.uint8), "labels": [0, 1]},
    ],
)
def test_a_pickle_that_is_no_batch(content: object, tmp_path: Path) -> None:
    tiny_pictures.cifar10_python(tmp_path)
    (tmp_path / "data_batch_2").write_bytes(pickle.dumps(content))
    refused(tmp_path, "data_batch_2 is not a batch of CIFAR pictures with their labels")


def test_a_pickle_of_something_else_or_cut_short(tmp_path: Path) -> None:
    tiny_pictures.cifar10_python(tmp_path)
    batch = tmp_path / "data_batch_2"
    content = batch.read_bytes()
    batch.write_bytes(pickle.dumps([1, 2]))
    refused(tmp_path, "data_batch_2 is not a file of CIFAR")
    batch.write_bytes(content[:500])
    refused(tmp_path, "data_batch_2 is damaged")


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_mnist(ending: str, tmp_path: Path) -> None:
    wanted = mnist(tmp_path / "mnist", ending=ending)
    source = open_source(tmp_path / "mnist")
    assert (source.name, source.classes) == ("mnist", tuple("0123456789"))
    assert source.train.labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert source.val.labels.tolist() == [9, 0]
    np.testing.assert_array_equal(source.train[4], np.stack([wanted[4]] * 3, 2))


def test_fashion_mnist_is_known_by_its_folder(tmp_path: Path) -> None:
    mnist(tmp_path / "Fashion-MNIST")
    source = open_source(tmp_path / "Fashion-MNIST")
    assert (source.name, source.classes) == ("fashion-mnist", FASHION)


@pytest.mark.parametrize(
    ("folder", "fashion"),
    [
        ("FashionMNIST/raw", True),
        ("fashion/mnist", True),
        ("data/fashion_mnist", True),
        ("old-fashioned/mnist", False),
        ("fashion/sets/mnist", False),
    ],
)
def test_fashion_is_a_word_in_one_of_the_last_two_names(
    folder: str, fashion: bool, tmp_path: Path
) -> None:
    mnist(tmp_path / folder)
    assert (open_source(tmp_path / folder).classes == FASHION) is fashion


def test_names_beside_idx_files(tmp_path: Path) -> None:
    mnist(tmp_path)
    (tmp_path / "labels.txt").write_text("".join(f"kind {i}\n" for i in range(10)))
    assert open_source(tmp_path).classes[9] == "kind 9"
    (tmp_path / "labels.txt").write_text("one\ntwo\n")
    refused(tmp_path, "label 2", "2 classes")


def test_files_with_a_dot_in_their_names(tmp_path: Path) -> None:
    mnist(tmp_path)
    for path in list(tmp_path.iterdir()):
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))
    assert len(open_source(tmp_path).train) == 6


def test_idx_files_that_are_not_right(tmp_path: Path) -> None:
    mnist(tmp_path)
    images, labels = (tmp_path / f"train-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1"))
    content = images.read_bytes()
    images.write_bytes(content[:-10])
    # 16 bytes of head and 6 pictures of 28 * 28 bytes
    refused(tmp_path, "cut short: it has 4710 bytes of 4720")
    images.write_bytes(b"\x00\x00\x0d" + content[3:])
    refused(tmp_path, "is not an idx file of bytes")
    images.write_bytes(content)
    idx(labels, np.arange(5))
    refused(tmp_path, "has 5 labels", "6 pictures")
    labels.unlink()
    refused(tmp_path, "has no file train-labels-idx1-ubyte")


def test_a_compressed_idx_file_that_is_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "train-labels-idx1-ubyte.gz"
    idx(path, np.arange(200) % 10)
    assert read_idx(path).tolist() == (np.arange(200) % 10).tolist()
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(BadInput, match="is damaged or cannot be read"):
        read_idx(path)
    path.write_bytes(gzip.compress(b"\x00\x00\x08\x03\x00"))
    with pytest.raises(BadInput, match="cut short"):
        read_idx(path)
