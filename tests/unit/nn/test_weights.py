"""Weights files: read, mapped key by key, refused with the tensor's name."""

import os
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.testing import assert_close

from deepcanon.core.errors import BadInput
from deepcanon.core.record import read_record
from deepcanon.nn.preprocessing import CAFFE
from deepcanon.nn.weights import Weights, copy_into, keras_layers, read, rename, write
from tests.evil_pickle import Evil
from tests.tiny_record import CLASSIFIER

pytestmark = pytest.mark.row("C10")


def weights(**tensors: torch.Tensor) -> Weights:
    return Weights(tensors=dict(tensors), source="some.pth")


def refused(path: Path) -> BadInput:
    """The error that reading this file gives, checked to be two single lines."""
    with pytest.raises(BadInput) as caught:
        read(path)
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message + caught.value.hint
    return caught.value


# --- PyTorch -------------------------------------------------------------------------------------


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_state_dict_of_either_format(tmp_path: Path, zipped: bool) -> None:
    net = nn.Linear(3, 2)
    torch.save(net.state_dict(), tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    got = read(tmp_path / "a.pth")
    assert_close(got.tensors, dict(net.state_dict()))
    assert (got.record, got.preprocessing, got.order) == (None, None, ())


def test_state_dict_inside_a_training_checkpoint(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "state_dict": {"a": torch.ones(2)}}, tmp_path / "a.pt")
    assert list(read(tmp_path / "a.pt").tensors) == ["a"]


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".h5"])
def test_pickle_posing_as_weights_is_refused_and_does_not_run(
    tmp_path: Path, protocol: int, suffix: str
) -> None:
    victim = tmp_path / "ran"
    path = tmp_path / f"a{suffix}"
    path.write_bytes(pickle.dumps(Evil(victim), protocol=protocol))
    refused(path)
    assert not victim.exists()


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_code_inside_a_torch_file_is_refused_and_does_not_run(tmp_path: Path, zipped: bool) -> None:
    victim, path = tmp_path / "ran", tmp_path / "a.pth"
    content = {"a": torch.ones(2), "b": Evil(victim)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    error = refused(path)
    assert "could run a program" in error.message
    assert "state_dict()" in error.hint
    assert not victim.exists()


def test_whole_pickled_module_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "a.pth")
    assert "could run a program" in refused(tmp_path / "a.pth").message


@pytest.mark.parametrize(
    "content", [[torch.ones(1)], {"a": 3}, {}, {"a": {"b": torch.ones(1)}}, torch.ones(2)]
)
def test_what_is_no_state_dict_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "a.pth")
    assert "not a state dict" in refused(tmp_path / "a.pth").message


# --- damaged and missing -------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [0, 1, 10, 200, -20])
@pytest.mark.parametrize("name", ["zip.pth", "legacy.pth", "a.safetensors", "a.h5"])
def test_cut_short(tmp_path: Path, name: str, kept: int) -> None:
    path = tmp_path / name
    tensors = {"a.weight": torch.rand(40, 50)}
    if path.suffix == ".pth":
        torch.save(tensors, path, _use_new_zipfile_serialization=name == "zip.pth")
    elif path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        with h5py.File(path, "w") as file:
            file["a/kernel:0"] = tensors["a.weight"].numpy()
    path.write_bytes(path.read_bytes()[:kept])
    error = refused(path)
    assert "is not a whole" in error.message
    assert "cut short" in error.hint


def test_cut_short_anywhere_is_bad_input(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save({"a.weight": torch.rand(9)}, path, _use_new_zipfile_serialization=False)
    content = path.read_bytes()
    for kept in range(len(content)):
        path.write_bytes(content[:kept])
        refused(path)


def test_text_is_not_weights(tmp_path: Path) -> None:
    for suffix in (".pth", ".safetensors", ".h5"):
        path = tmp_path / f"a{suffix}"
        path.write_text("<html>404 not found</html>")
        assert "is not a whole" in refused(path).message


def test_missing_file_folder_and_unknown_kind(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "a.pth").message
    (tmp_path / "b.pth").mkdir()
    assert "is a folder" in refused(tmp_path / "b.pth").message
    (tmp_path / "c.caffemodel").write_bytes(b"1")
    assert ".safetensors" in refused(tmp_path / "c.caffemodel").hint


@pytest.mark.parametrize(("value", "word"), [(float("nan"), "NaN"), (float("inf"), "an infinity")])
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_not_finite_is_refused_by_name(
    tmp_path: Path, value: float, word: str, suffix: str
) -> None:
    bad = torch.ones(3, 4)
    bad[1, 2] = value
    tensors = {"fine": torch.ones(2), "counter": torch.tensor(3), "layer.weight": bad}
    path = tmp_path / f"a{suffix}"
    (torch.save if suffix == ".pth" else save_file)(tensors, path)
    assert f"{word} in the tensor layer.weight" in refused(path).message


# --- ours ----------------------------------------------------------------------------------------


def test_write_and_read_with_the_record(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    path = write(net, tmp_path / "new" / "a.safetensors", record=CLASSIFIER)
    got = read(path)
    assert_close(got.tensors, dict(net.state_dict()))
    assert got.record == CLASSIFIER == read_record(path)
    assert got.preprocessing == CAFFE
    assert os.listdir(path.parent) == ["a.safetensors"]


def test_write_separates_shared_weights(tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    net[1].weight = net[0].weight
    got = read(write(net, tmp_path / "a.safetensors", record=CLASSIFIER)).tensors
    assert_close(got["0.weight"], got["1.weight"])


def test_write_takes_one_suffix_only(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"not named \.safetensors"):
        write(nn.Linear(1, 1), tmp_path / "a.pth", record=CLASSIFIER)


def test_safetensors_without_a_record(tmp_path: Path) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "a.safetensors")
    got = read(tmp_path / "a.safetensors")
    assert (got.record, got.preprocessing) == (None, None)


# --- keys ----------------------------------------------------------------------------------------


def test_rename_moves_and_drops() -> None:
    a, b = torch.ones(1), torch.ones(2)
    got = rename(weights(a=a, b=b), {"a": "x.y", "b": None, "absent": None})
    assert list(got.tensors) == ["x.y"]
    assert got.tensors["x.y"] is a


def test_rename_refuses_a_leftover_and_a_missing_key() -> None:
    with pytest.raises(BadInput, match=r"some\.pth has no place for c in this model"):
        rename(weights(a=torch.ones(1), c=torch.ones(1)), {"a": "x"})
    with pytest.raises(BadInput, match=r"some\.pth lacks b, which"):
        rename(weights(a=torch.ones(1)), {"a": "x", "b": "y"})


def test_copy_into_refuses_and_leaves_the_module_alone() -> None:
    net = nn.Linear(3, 2)
    before = net.weight.detach().clone()
    good = {"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}
    for tensors, message in [
        (good | {"extra": torch.ones(1)}, "no place for extra"),
        ({"weight": good["weight"]}, "lacks bias"),
        (good | {"bias": torch.ones(3)}, r"has bias of shape \[3\]; this model's is \[2\]"),
    ]:
        with pytest.raises(BadInput, match=message):
            copy_into(net, weights(**tensors))
        assert torch.equal(net.weight, before)


def test_only_the_count_of_batches_may_be_missing() -> None:
    net = nn.Sequential(nn.BatchNorm2d(2))
    old = {f"0.{part}": torch.full((2,), 3.0) for part in ("weight", "bias", "running_mean")}
    with pytest.raises(BadInput, match=r"lacks 0\.running_var, which"):
        copy_into(net, weights(**old))
    old["0.running_var"] = torch.full((2,), 4.0)
    copy_into(net, weights(**old))
    assert net[0].num_batches_tracked == 0 and net[0].running_var[0] == 4

    key_map = {f"bn.{key}": f"0.{key}" for key in net[0].state_dict()}
    renamed = rename(weights(**{key.replace("0.", "bn."): old[key] for key in old}), key_map)
    assert renamed.tensors.keys() == old.keys()
    copy_into(net, weights(**old, **{"0.num_batches_tracked": torch.tensor(7)}))
    assert net[0].num_batches_tracked == 7


def test_many_keys_are_not_all_named() -> None:
    with pytest.raises(BadInput, match="a0, a1, a2, a3 and 6 more"):
        copy_into(nn.Identity(), weights(**{f"a{n}": torch.ones(1) for n in range(10)}))


def test_copy_into_keeps_precision_and_identity() -> None:
    net = nn.Linear(2, 1).double()
    parameter = net.weight
    copy_into(net, weights(weight=torch.tensor([[1.5, 2.5]]), bias=torch.tensor([3.0])))
    assert net.weight is parameter
    assert_close(net.weight.detach(), torch.tensor([[1.5, 2.5]], dtype=torch.float64))


# --- Keras ---------------------------------------------------------------------------------------


def kernel(seed: int) -> np.ndarray:
    """[h, w, in, out], as Keras keeps it."""
    return np.random.default_rng(seed).random((3, 2, 4, 5), dtype=np.float32)


def check(got: Weights, name: str, seed: int) -> None:
    ours = got.tensors[f"{name}.weight"]
    assert ours.shape == (5, 4, 3, 2)
    assert ours[1, 2, 0, 1] == kernel(seed)[0, 1, 2, 1]
    assert_close(got.tensors[f"{name}.bias"], torch.full((5,), float(seed)))


def test_keras_1_file_keeps_its_own_order(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["layer_names"] = [b"input", b"zebra", b"ant"]
        file.create_group("input")
        for seed, name in enumerate(["zebra", "ant"]):
            file[f"{name}/{name}_W_1:0"] = kernel(seed)
            file[f"{name}/{name}_b_1:0"] = np.full(5, seed, np.float32)
    got = read(tmp_path / "a.h5")
    assert got.order == ("zebra", "ant")
    check(got, "zebra", 0)
    check(got, "ant", 1)


def test_keras_2_model_file(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["model_weights/one/one/kernel:0"] = kernel(7)
        file["model_weights/one/one/bias:0"] = np.full(5, 7, np.float32)
        file["model_weights/fc/fc/kernel:0"] = np.arange(6, dtype=np.float32).reshape(2, 3)
        file["optimizer_weights/momentum:0"] = np.zeros(5, np.float32)
        file["model_weights"].attrs["layer_names"] = ["one", "fc"]
    got = read(tmp_path / "a.h5")
    check(got, "one", 7)
    assert_close(got.tensors["fc.weight"], torch.tensor([[0.0, 3], [1, 4], [2, 5]]))
    assert set(got.tensors) == {"one.weight", "one.bias", "fc.weight"}


def test_keras_3_file_with_names_beside_the_arrays(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        for seed, (path, name) in enumerate(
            [("b/layers/conv2d", "first"), ("b/layers/conv2d_1", "second"), ("side", "conv2d_9")]
        ):
            file[f"{path}/vars/0"] = kernel(seed)
            file[f"{path}/vars/1"] = np.full(5, seed, np.float32)
            file[f"{path}/vars"].attrs["name"] = name
        file["optimizer/vars/0"] = np.zeros(5, np.float32)
    got = read(tmp_path / "a.weights.h5")
    assert got.order == ("first", "second", "side")  # conv2d_9 is what Keras made up
    for seed, name in enumerate(got.order):
        check(got, name, seed)


def test_keras_3_file_without_names_is_in_counting_order(tmp_path: Path) -> None:
    numbers = [11, 2, 0, 10, 1]
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        for n in numbers:
            path = "layers/conv2d" + (f"_{n}" if n else "")
            file[f"{path}/vars/0"] = kernel(n)
            file[f"{path}/vars/1"] = np.full(5, n, np.float32)
    got = read(tmp_path / "a.weights.h5")
    assert got.order == (
        "layers/conv2d",
        "layers/conv2d_1",
        "layers/conv2d_2",
        "layers/conv2d_10",
        "layers/conv2d_11",
    )
    check(got, "layers/conv2d_10", 10)


def test_two_keras_layers_of_one_name_are_refused(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x/same/kernel:0"] = kernel(0)
        file["y/same/kernel:0"] = kernel(1)
    assert "two layers called same" in refused(tmp_path / "a.h5").message


def test_convolutions_are_found_by_their_shapes_in_order() -> None:
    def layers(*shapes: tuple[int, int]) -> Weights:
        tensors = {
            f"l{n}.weight": torch.zeros(out, into, 3, 3) for n, (out, into) in enumerate(shapes)
        }
        order = tuple(f"l{n}" for n in range(len(shapes)))
        return Weights(tensors=tensors, source="x.h5", order=order)

    wanted = [(4, 3, 3, 3), (4, 4, 3, 3), (8, 4, 3, 3)]
    found = keras_layers(layers((4, 3), (1, 4), (4, 4), (8, 4), (8, 4)), kernels=wanted)
    assert found == ["l0", "l2", "l3"]
    with pytest.raises(BadInput, match=r"no convolution of shape \[8, 4, 3, 3\] as number 3"):
        keras_layers(layers((8, 4), (4, 3), (4, 4)), kernels=wanted)
