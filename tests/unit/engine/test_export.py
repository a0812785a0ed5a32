"""Exported files: checked, complete, and with the weights under their own names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from deepcanon.core.errors import BadInput, Failed
from deepcanon.core.record import Record, read_record
from deepcanon.engine.export import export, interface_of, read_weights


class Tiny(nn.Module):
    """Equal weights, a norm with a fold in reach, an unused layer's worth of constants."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 1)
        self.third = nn.Conv2d(4, 4, 1)

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.norm(self.first(pictures)).relu()
        return self.third(self.second(x) + 2.0).sigmoid()


@pytest.fixture
def tiny() -> Tiny:
    torch.manual_seed(0)
    net = Tiny()
    with torch.no_grad():
        for name in ("weight", "bias"):
            getattr(net.third, name).copy_(getattr(net.second, name))
        assert net.norm.running_mean is not None
        net.norm.running_mean.normal_()
    return net


def feed(batch: int, height: int, width: int) -> dict[str, Tensor]:
    return {"pictures": torch.rand(batch, 3, height, width)}


FREE = {"pictures": {0: "batch", 2: "height", 3: "width"}, "shown": {0: "batch"}}


def write(net: nn.Module, path: Path, record: Record, **changes: object) -> Path:
    settings = {
        "example": feed(2, 8, 9),
        "outputs": ["shown"],
        "dynamic": FREE,
        "check": [feed(1, 5, 7), feed(3, 12, 4)],
    } | changes
    return export(net, path, record=record, **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, record: Record) -> tuple[Tiny, Path]:
    """A network in training mode and the file made of it."""
    torch.manual_seed(0)
    net = Tiny()
    net.third.load_state_dict(net.second.state_dict())
    assert net.norm.running_mean is not None
    net.norm.running_mean.normal_()
    path = write(net, tmp_path_factory.mktemp("export") / "tiny.onnx", record)
    return net, path


def test_the_file_computes_the_same_in_evaluation_mode(written: tuple[Tiny, Path]) -> None:
    net, path = written
    assert net.training, "as it was before"
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [(each.name, each.shape) for each in session.get_inputs()] == [
        ("pictures", ["batch", 3, "height", "width"])
    ]
    assert session.get_outputs()[0].name == "shown"
    assert session.get_outputs()[0].shape[0] == "batch"
    x = feed(5, 6, 3)["pictures"]
    net.eval()
    with torch.no_grad():
        expected = net(x).numpy()
    net.train()
    np.testing.assert_allclose(session.run(None, {"pictures": x.numpy()})[0], expected, atol=1e-5)


def test_the_record_is_inside(written: tuple[Tiny, Path], record: Record) -> None:
    assert read_record(written[1]) == record


def test_the_weights_come_back_out(written: tuple[Tiny, Path]) -> None:
    """All of them: equal ones are not merged, the norm is not folded into the convolution."""
    net, path = written
    found = read_weights(path)
    assert found.keys() == net.state_dict().keys()
    assert all(torch.equal(value, found[name]) for name, value in net.state_dict().items())


def test_there_are_no_leftovers(written: tuple[Tiny, Path]) -> None:
    model = onnx.load(written[1])
    assert [node.op_type for node in model.graph.node] == [
        "Conv", "BatchNormalization", "Relu", "Conv", "Add", "Conv", "Sigmoid",
    ]  # fmt: skip
    assert not model.graph.value_info and not model.functions
    assert not any(node.doc_string or node.metadata_props for node in model.graph.node)
    assert model.opset_import[0].version == 18


class Bytes(nn.Module):
    """Bytes around a network."""

    def __init__(self, net: Outside) -> None:
        super().__init__()
        self.net = net

    def forward(self, picture: Tensor, gain: Tensor) -> Tensor:
        return (self.net.conv(picture.permute(0, 3, 1, 2).float()) * gain).round().to(torch.uint8)


class Outside(nn.Module):
    """A network that is exported inside another."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 1, bias=False)
        nn.init.constant_(self.conv.weight, 0.25)

    def exportable(self) -> Bytes:
        return Bytes(self)


def test_a_form_for_export_leaves_no_trace_in_the_names(tmp_path: Path, record: Record) -> None:
    def picture(*size: int) -> dict[str, Tensor]:
        return {
            "picture": torch.randint(0, 256, (*size, 3), dtype=torch.uint8),
            "gain": torch.ones(()),
        }

    net = Outside()
    path = export(
        net,
        tmp_path / "deep" / "net.onnx",
        example=picture(1, 4, 5),
        outputs=["grey"],
        dynamic={"picture": {0: "b", 1: "h", 2: "w"}},
        record=record,
        check=[picture(2, 3, 3)],
    )
    assert list(read_weights(path)) == ["conv.weight"]
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_inputs()] == ["picture", "gain"]


class Forgetful(nn.Module):
    """What it computes in export is not what it computes else."""

    def forward(self, pictures: Tensor) -> Tensor:
        return pictures + (1.0 if torch.compiler.is_exporting() else 1.01)


class Lost(nn.Module):
    """What a training that diverged leaves."""

    def forward(self, pictures: Tensor) -> Tensor:
        return pictures * float("nan")


def test_a_network_that_is_not_finite_itself_is_not_written(tmp_path: Path, record: Record) -> None:
    with pytest.raises(Failed, match="the network's own shown is not finite"):
        write(Lost(), tmp_path / "net.onnx", record)
    assert not list(tmp_path.iterdir())


def test_a_file_that_differs_is_not_written(tmp_path: Path, record: Record) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"what stood here")
    with pytest.raises(Failed) as caught:
        write(Forgetful(), path, record)
    assert caught.value.message == (
        f"{path} was not written: for pictures [1, 3, 5, 7] its shown differs from torch's"
    )
    assert path.read_bytes() == b"what stood here" and len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_written(tmp_path: Path, record: Record) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(BadInput, match="cannot be written"):
        write(nn.Sigmoid(), tmp_path / "file" / "net.onnx", record)


def test_interfaces(tiny: Tiny) -> None:
    """Pictures of one size; of any size where there is a form for export; or what that says."""
    plain = interface_of(tiny, input_size=(3, 32, 40))
    assert plain.dynamic == {"pictures": {0: "batch"}, "output": {0: "batch"}}
    assert [tuple(each["pictures"].shape) for each in plain.check] == [
        (2, 3, 32, 40), (1, 3, 32, 40), (3, 3, 32, 40),
    ]  # fmt: skip

    class AnySize(nn.Module):
        def exportable(self) -> nn.Module:
            return tiny

    free = interface_of(AnySize(), input_size=(3, 32, 40))
    assert free.dynamic["pictures"] == {0: "batch", 2: "height", 3: "width"}
    assert tuple(free.example["pictures"].shape) == (2, 3, 64, 104)
    with pytest.raises(BadInput, match="Bytes takes gain beside pictures"):
        interface_of(Outside(), input_size=(3, 32, 40))
