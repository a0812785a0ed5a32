from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from deepcanon.core import catalog
from deepcanon.core.assets import shipped
from deepcanon.core.errors import BadInput, DeepcanonError, Failed, Unavailable, how_to_install
from deepcanon.core.onnx_file import OnnxFile
from deepcanon.core.record import Record
from deepcanon.engine import on_openvino, running
from deepcanon.engine import session as sessions
from deepcanon.engine.session import Session, available, open_session

torch = pytest.importorskip("torch")

MakeOnnx = Callable[..., Path]
RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (2, 17, 23, 3), dtype=np.uint8)
DOUBLED = np.minimum(2 * PICTURE.astype(int), 255).astype(np.uint8)

engines = pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])


@pytest.fixture(autouse=True)
def _installed(request: pytest.FixtureRequest) -> None:
    if "engine" in request.fixturenames:
        pytest.importorskip(request.getfixturevalue("engine"))


def two_lines(caught: pytest.ExceptionInfo[DeepcanonError]) -> str:
    for line in (caught.value.message, caught.value.hint):
        assert line and "\n" not in line
    return caught.value.message


@engines
def test_names_and_values_at_several_batches_and_sizes(engine: str, make_onnx: MakeOnnx) -> None:
    session = open_session(make_onnx(), engine=engine, threads=1)
    assert (session.name, session.inputs, session.outputs) == (engine, ("picture",), ("stylized",))
    for feed, expected in (
        (PICTURE, DOUBLED),
        (PICTURE[:1, :16], DOUBLED[:1, :16]),
        (PICTURE[:, ::-1, ::2], DOUBLED[:, ::-1, ::2]),  # not contiguous
    ):
        result = session.run({"picture": feed})
        assert set(result) == {"stylized"} and result["stylized"].dtype == np.uint8
        np.testing.assert_array_equal(result["stylized"], expected)


@engines
def test_a_result_outlives_the_next_run(engine: str, make_onnx: MakeOnnx) -> None:
    session = open_session(make_onnx(), engine=engine)
    first = session.run({"picture": PICTURE})["stylized"]
    session.run({"picture": np.zeros_like(PICTURE)})
    np.testing.assert_array_equal(first, DOUBLED)


def test_ctrl_c_after_two_openvino_sessions_are_gone(make_onnx: MakeOnnx) -> None:
    """Two cores that go in the order in which they came left a stack that was no more."""
    program = (
        "import gc, os, signal, sys\n"
        "from deepcanon.engine.session import open_session\n"
        "first = open_session(sys.argv[1], engine='openvino')\n"
        "second = open_session(sys.argv[1], engine='openvino')\n"
        "del first; gc.collect()\n"
        "del second; gc.collect()\n"
        "signal.signal(signal.SIGINT, lambda *_: print('caught', flush=True))\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(make_onnx())],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ran.returncode, ran.stdout) == (0, "caught\n"), ran.stderr


def blobs(cache: Path) -> list[Path]:
    """What OpenVINO has kept under a user's cache."""
    return sorted((cache / "openvino").rglob("*.blob"))


def test_a_shipped_network_is_compiled_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("openvino")
    cache = tmp_path / "cache"
    monkeypatch.setenv("DEEPCANON_CACHE", str(cache))
    feeds = {"picture": PICTURE[:1], "weights": np.eye(7, dtype=np.float32)[:1]}

    def paint() -> np.ndarray:
        session = open_session(shipped("multistyle"), engine="openvino", threads=1)
        return session.run(feeds)["stylized"]

    first = paint()
    (kept,) = blobs(cache)
    size, written = kept.stat().st_size, kept.stat().st_mtime_ns
    np.testing.assert_array_equal(paint(), first)
    assert kept.stat().st_mtime_ns == written  # read, not made again
    kept.chmod(0o600)
    os.truncate(kept, size // 2)  # as after a full disk
    np.testing.assert_array_equal(paint(), first)
    assert (
        blobs(cache)[0].stat().st_size > size // 2
    )  # whole again; its size is not always the same


def test_no_network_of_a_user_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, make_onnx: MakeOnnx
) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setenv("DEEPCANON_CACHE", str(tmp_path / "cache"))
    open_session(make_onnx(), engine="openvino", threads=1).run({"picture": PICTURE})
    assert not blobs(tmp_path / "cache")


def test_a_cache_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    (tmp_path / "file").touch()
    monkeypatch.setenv("DEEPCANON_CACHE", str(tmp_path / "file"))
    session = open_session(shipped("multistyle"), engine="openvino", threads=1)
    assert session.record is not None


@engines
def test_the_callers_picture_is_not_written_to(engine: str, make_onnx: MakeOnnx) -> None:
    picture = PICTURE.copy()
    open_session(make_onnx(), engine=engine).run({"picture": picture})
    np.testing.assert_array_equal(picture, PICTURE)
    picture.flags.writeable = False
    result = open_session(make_onnx(), engine=engine).run({"picture": picture})
    np.testing.assert_array_equal(result["stylized"], DOUBLED)


@engines
def test_one_session_in_many_threads(engine: str, make_onnx: MakeOnnx) -> None:
    from concurrent.futures import ThreadPoolExecutor

    session = open_session(make_onnx(), engine=engine, threads=1)
    feeds = [np.full((1, 16 + n, 16, 3), n, np.uint8) for n in range(24)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda feed: session.run({"picture": feed})["stylized"], feeds))
    for n, result in enumerate(results):
        np.testing.assert_array_equal(result, np.full((1, 16 + n, 16, 3), 2 * n, np.uint8))


@engines
def test_the_record_comes_along(engine: str, make_onnx: MakeOnnx, record: Record) -> None:
    assert open_session(make_onnx(), engine=engine).record == record


@engines
def test_feeds_that_do_not_fit(engine: str, make_onnx: MakeOnnx) -> None:
    session = open_session(make_onnx(), engine=engine)
    for feeds in ({}, {"photo": PICTURE}, {"picture": PICTURE, "weights": PICTURE}):
        with pytest.raises(ValueError, match="picture"):
            session.run(feeds)
    with pytest.raises(ValueError, match="picture takes uint8, not float32"):
        session.run({"picture": PICTURE.astype(np.float32)})
    with pytest.raises(Failed) as caught:
        session.run({"picture": PICTURE[..., :2]})
    assert f"{engine} could not run on picture (2, 17, 23, 2): " in two_lines(caught)


def test_what_a_module_of_ours_refuses_is_said_in_its_own_words() -> None:
    class Fussy(torch.nn.Module):
        def forward(self, picture: torch.Tensor) -> torch.Tensor:
            raise BadInput("the picture is too small", hint="enlarge it")

    with pytest.raises(BadInput, match=r"^the picture is too small$"):
        open_session(Fussy()).run({"picture": PICTURE})


# --- bad files --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_nan_among_the_weights(make_onnx: MakeOnnx, dtype: str) -> None:
    weight = np.eye(3, dtype=dtype)[..., None, None]
    weight[1, 1] = np.nan
    path = make_onnx(weight=weight)
    with pytest.raises(BadInput) as caught:
        open_session(path)
    assert two_lines(caught).startswith(str(path)) and "conv.weight" in caught.value.message


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinity_among_the_weights(make_onnx: MakeOnnx, value: float) -> None:
    weight = np.eye(3, dtype=np.float32)[..., None, None]
    weight[1, 1] = value
    path = make_onnx(weight=weight)
    with pytest.raises(BadInput) as caught:
        open_session(path)
    said = f"{path} holds a weight that is not a finite number ({value}): conv.weight"
    assert two_lines(caught) == said


def test_a_constant_may_be_infinite_but_not_nan(
    make_onnx: MakeOnnx, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deepcanon.engine import export

    assert sessions._CONSTANT == export._CONSTANT
    path, holds = make_onnx(), np.float32([0, -np.inf])
    monkeypatch.setattr(OnnxFile, "weights", lambda _: iter([("constant/mask", holds)]))
    assert open_session(path, engine="onnxruntime").record is not None
    holds[0] = np.nan
    with pytest.raises(BadInput, match=r"not a finite number \(nan\): constant/mask"):
        open_session(path, engine="onnxruntime")


def test_no_record(make_onnx: MakeOnnx) -> None:
    path = make_onnx(text=None)
    with pytest.raises(BadInput) as caught:
        open_session(path)
    assert two_lines(caught) == f"{path} carries no deepcanon record"


def test_a_missing_file_and_another_kind(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="does not exist"):
        open_session(tmp_path / "none.onnx")
    with pytest.raises(BadInput, match=r"x\.safetensors is not a \.onnx file"):
        open_session(tmp_path / "x.safetensors")


@engines
def test_a_cut_file(engine: str, make_onnx: MakeOnnx) -> None:
    path = make_onnx()
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(BadInput, match="not a whole ONNX file"):
        open_session(path, engine=engine)


@engines
def test_a_graph_that_means_nothing(engine: str, make_onnx: MakeOnnx) -> None:
    path = make_onnx()
    path.write_bytes(path.read_bytes().replace(b"Transpose", b"Transpoze"))
    with pytest.raises(BadInput) as caught:
        open_session(path, engine=engine)
    message = two_lines(caught)
    assert re.match(rf"{engine} cannot open {re.escape(str(path))}: \w+", message)
    assert "Exception from" not in message and "[ONNXRuntimeError]" not in message


# --- which engine -----------------------------------------------------------------------------


def _pretend(monkeypatch: pytest.MonkeyPatch, *installed: str) -> None:
    monkeypatch.setattr(sessions, "find_spec", lambda name: name in installed or None)


def test_fastest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend(monkeypatch, "torch", "onnxruntime", "openvino", "numpy")
    assert available() == ["openvino", "onnxruntime", "torch"]
    _pretend(monkeypatch, "torch", "onnxruntime")
    assert available() == ["onnxruntime", "torch"]


@pytest.mark.parametrize("installed", [("openvino", "onnxruntime"), ("onnxruntime", "torch")])
def test_auto_opens_the_fastest_installed(
    make_onnx: MakeOnnx, monkeypatch: pytest.MonkeyPatch, installed: tuple[str, ...]
) -> None:
    pytest.importorskip(installed[0])
    _pretend(monkeypatch, *installed)
    assert open_session(make_onnx()).name == installed[0]


@pytest.fixture
def break_openvino(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], None]:
    """`break_openvino(error)`: OpenVINO is installed, and raises that when it is loaded."""

    def break_it(error: Exception) -> None:
        def core() -> object:
            raise error

        _pretend(monkeypatch, "openvino", "onnxruntime")
        monkeypatch.setattr(on_openvino, "_openvino_core", core)

    return break_it


def test_a_broken_openvino_that_is_asked_for(
    make_onnx: MakeOnnx, break_openvino: Callable[[Exception], None]
) -> None:
    cause = ImportError("libopenvino.so: cannot open shared object file")
    break_openvino(cause)
    with pytest.raises(Unavailable) as caught:
        open_session(make_onnx(), engine="openvino")
    assert two_lines(caught) == f"OpenVINO cannot be loaded: {cause}"
    assert "pip install --force-reinstall openvino" in caught.value.hint
    assert "another --engine" in caught.value.hint
    assert caught.value.__cause__ is cause


@pytest.mark.parametrize("error", [ImportError("no libtbb"), RuntimeError("no plugins.xml")])
def test_auto_passes_over_a_broken_openvino(
    make_onnx: MakeOnnx,
    break_openvino: Callable[[Exception], None],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    break_openvino(error)
    assert open_session(make_onnx()).name == "onnxruntime"
    _pretend(monkeypatch, "openvino")  # and nothing else
    with pytest.raises(Unavailable, match=f"OpenVINO cannot be loaded: {error}"):
        open_session(make_onnx())


def test_auto_does_not_pass_over_ctrl_c(
    make_onnx: MakeOnnx, break_openvino: Callable[[Exception], None]
) -> None:
    spoiled = ImportError("initialization failed")
    spoiled.__cause__ = KeyboardInterrupt()
    break_openvino(spoiled)
    with pytest.raises(Unavailable) as caught:
        open_session(make_onnx())
    assert caught.value.__cause__ is spoiled  # by which the command line knows it


def test_an_unknown_engine(make_onnx: MakeOnnx, monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend(monkeypatch, "onnxruntime")
    with pytest.raises(BadInput) as caught:
        open_session(make_onnx(), engine="tensorrt")
    assert two_lines(caught) == "no engine is named 'tensorrt'"
    assert caught.value.hint == "installed: auto, onnxruntime"


def test_an_engine_that_is_not_installed(
    make_onnx: MakeOnnx, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pretend(monkeypatch, "onnxruntime")
    with pytest.raises(BadInput) as caught:
        open_session(make_onnx(), engine="openvino")
    assert two_lines(caught) == "the engine openvino is not installed"
    assert "onnxruntime" in caught.value.hint and how_to_install("fast") in caught.value.hint


def test_no_engine_at_all(make_onnx: MakeOnnx, monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend(monkeypatch)
    with pytest.raises(Unavailable, match="no engine is installed"):
        open_session(make_onnx())


@pytest.mark.parametrize("threads", [0, -2])
def test_threads_below_one(make_onnx: MakeOnnx, threads: int) -> None:
    with pytest.raises(BadInput, match=f"{threads} threads"):
        open_session(make_onnx(), threads=threads)


def test_a_part_of_the_machine_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    assert running.usable_threads() == 0
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 4}, raising=False)
    assert running.usable_threads() == 2
    monkeypatch.delattr(os, "sched_getaffinity")
    assert running.usable_threads() == 0


@engines
def test_only_the_engine_in_use_is_imported(engine: str, make_onnx: MakeOnnx) -> None:
    code = (
        "import sys, pathlib; from deepcanon.engine.session import open_session;"
        "open_session(pathlib.Path(sys.argv[1]), engine=sys.argv[2]);"
        "print(*[name for name in ('openvino', 'onnxruntime', 'torch') if name in sys.modules])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(make_onnx()), engine],
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.split() == [engine]


# --- torch ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Config:
    width: int = 2
    layers: tuple[int, ...] = (1, 2)


class Mixer(torch.nn.Module):
    """What `make_onnx` writes, around a convolution of the same names."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 3, 1)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        mixed = self.conv(picture.float().permute(0, 3, 1, 2))
        return mixed.clamp(0, 255).permute(0, 2, 3, 1).to(torch.uint8)


class Planes(torch.nn.Module):
    """A network that is exported inside another one; the file has its own names all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 3, 1)

    def exportable(self) -> Bytes:
        return Bytes(self)


class Bytes(torch.nn.Module):
    """Planes of bytes around it."""

    def __init__(self, net: Planes) -> None:
        super().__init__()
        self.net = net

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        mixed = self.net.conv(picture.float().permute(0, 3, 1, 2))
        return mixed.clamp(0, 255).permute(0, 2, 3, 1).to(torch.uint8)


@pytest.fixture(params=[Mixer, Planes])
def tiny_in_catalogue(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Config] = []

    def build(config: Config) -> torch.nn.Module:
        built.append(config)
        assert config == Config(), "the record's config arrived as it was"
        return request.param()

    variants = {"paper": catalog.Variant(config=Config(width=9), differs="")}
    card = catalog.ModelCard(
        name="tiny", domain="style", rows=(), title="", authors="", venue="", year=2016, link="",
        new="", variants=variants, input_size=(3, 16, 16),
    )  # fmt: skip
    monkeypatch.setattr(catalog, "_registered", {})
    catalog.register(card)(build)


@pytest.mark.usefixtures("tiny_in_catalogue")
def test_torch_rebuilds_the_model_of_the_record(make_onnx: MakeOnnx) -> None:
    session = open_session(make_onnx(), engine="torch")
    assert (session.name, session.inputs, session.outputs) == ("torch", ("picture",), ("stylized",))
    np.testing.assert_array_equal(session.run({"picture": PICTURE})["stylized"], DOUBLED)


@pytest.mark.usefixtures("tiny_in_catalogue")
def test_weights_of_another_shape(make_onnx: MakeOnnx) -> None:
    path = make_onnx(weight=np.ones((3, 3, 3, 3), np.float32))
    with pytest.raises(BadInput, match=r"conv\.weight in another shape"):
        open_session(path, engine="torch")


def test_weights_that_are_not_there(make_onnx: MakeOnnx, monkeypatch: pytest.MonkeyPatch) -> None:
    class Larger(Mixer):
        def __init__(self) -> None:
            super().__init__()
            self.second = torch.nn.Linear(2, 2)
            self.norm = torch.nn.BatchNorm2d(3)

    monkeypatch.setattr(catalog, "create_model", lambda *_, **__: Larger())
    with pytest.raises(BadInput, match=r"lacks the weight second\.weight"):
        open_session(make_onnx(), engine="torch")


def test_a_record_of_an_unknown_model(make_onnx: MakeOnnx, record: Record) -> None:
    path = make_onnx(text=replace(record, model="no-such-net").to_json())
    with pytest.raises(BadInput, match="no-such-net"):
        open_session(path, engine="torch")


def test_a_module() -> None:
    class Two(torch.nn.Module):
        def forward(self, a: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return a + b, a - b

    session: Session = open_session(Two())
    assert (session.name, session.inputs, session.record) == ("torch", ("a", "b"), None)
    fed = {"b": np.float32([1, 2]), "a": np.float32([5, 5])}
    result = session.run(fed)
    assert session.outputs == ("output_0", "output_1") == tuple(result)
    assert result["output_0"].tolist() == [6, 7] and result["output_1"].tolist() == [4, 3]


def test_a_module_with_named_outputs_runs_in_eval_mode() -> None:
    class Named(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"training": torch.tensor(self.training), "x": x}

    result = open_session(Named()).run({"x": np.ones(2)})
    assert result["training"] == np.array(False) and result["x"].tolist() == [1, 1]
    one = open_session(torch.nn.ReLU()).run({"input": np.float32([-1, 1])})
    assert one["output"].tolist() == [0, 1]


def test_a_module_on_another_engine() -> None:
    with pytest.raises(BadInput, match="this is a torch module"):
        open_session(torch.nn.ReLU(), engine="onnxruntime")
