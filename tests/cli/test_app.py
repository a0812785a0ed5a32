"""The way in: the table of commands, the switches that go with all, errors and exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

from deepcanon.cli import app
from deepcanon.core import assets
from deepcanon.core.errors import Unavailable
from tests import tiny_style
from tests.cli.conftest import Run
from tests.tiny_pictures import picture

THERE = [
    name
    for name, entry in app.COMMANDS.items()
    if find_spec(f"deepcanon.cli.{entry.module}") is not None
]


def process(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "deepcanon", *words],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
        check=False,
    )


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",)])
def test_help_lists_every_command(words: tuple[str, ...], run: Run) -> None:
    ran = run(*words)
    assert ran.code == 0
    assert ran.err == ""
    for name, entry in app.COMMANDS.items():
        assert f"  {name} " in ran.out
        assert entry.help in ran.out
    assert "examples:" in ran.out


def test_version(run: Run) -> None:
    from deepcanon import __version__

    assert run("--version").out == f"deepcanon {__version__}\n"


@pytest.mark.parametrize("name", THERE)
def test_a_commands_help_has_an_example(name: str, run: Run) -> None:
    ran = run(*name.split(), "--help")
    assert (ran.code, ran.err) == (0, "")
    assert f"deepcanon {name} " in ran.out.split("xamples:")[1] + " "


@pytest.mark.parametrize("name", THERE)
def test_a_commands_help_imports_nothing_heavy(name: str) -> None:
    program = (
        "import sys; from deepcanon.cli import main\n"
        f"assert main({[*name.split(), '--help']!r}) == 0\n"
        "heavy = {'torch', 'numpy', 'PIL', 'onnxruntime', 'openvino', 'rich', 'pydantic'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_help_imports_no_command_line_library() -> None:
    program = (
        "import sys; from deepcanon.cli import main; main(['--help'])\n"
        "assert not {'click', 'numpy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60, capture_output=True)


def test_openvino_brings_in_no_converter_and_no_telemetry() -> None:
    pytest.importorskip("openvino")
    code = """
import sys
from contextlib import suppress
from deepcanon.cli import main
sys.argv = ["deepcanon", "--version"]
main()
import openvino
print(*[name for name in sys.modules if name.startswith("openvino_telemetry")], openvino.Core)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1].startswith("<class")


def test_a_process_with_an_engine_says_all_and_ends_with_its_code(tmp_path: Path) -> None:
    model = tiny_style.write(tmp_path / "tiny.onnx")
    picture(tmp_path / "good.png", size=(16, 20))
    (tmp_path / "bad.png").write_bytes(b"no picture")
    words = ("--model", str(model), "-o", str(tmp_path / "out"), "--json")
    done = process("stylize", str(tmp_path / "good.png"), str(tmp_path / "bad.png"), *words)
    assert done.returncode == 1
    assert [Path(each["output"]).exists() for each in json.loads(done.stdout)["results"]] == [True]
    assert "bad.png" in done.stderr


def test_numpy_starts_no_threads_that_no_command_needs() -> None:
    code = """
import os, sys
from deepcanon.cli import main
main(["--version"])
assert "OPENBLAS_NUM_THREADS" not in os.environ  # a program that calls main is let alone
sys.argv = ["deepcanon", "--version"]
main()
print(os.environ["OPENBLAS_NUM_THREADS"])
"""
    usual = {key: value for key, value in os.environ.items() if key != "OPENBLAS_NUM_THREADS"}
    for chosen, found in ({}, "1"), ({"OPENBLAS_NUM_THREADS": "3"}, "3"):
        done = subprocess.run(
            [sys.executable, "-c", code if not chosen else code.replace("not in", "in")],
            capture_output=True,
            text=True,
            check=True,
            env={**usual, **chosen},
        )
        assert done.stdout.splitlines()[-1] == found


def test_an_unknown_command_names_the_near_ones(run: Run) -> None:
    ran = run("stilize", "photo.jpg")
    assert ran.code == 2
    assert ran.error_lines[0] == "error: there is no command 'stilize'"
    assert "stylize" in ran.error_lines[1]
    assert "--help" in run("xyzzy").error_lines[1]


def test_an_option_before_the_command(run: Run) -> None:
    ran = run("--style", "udnie")
    assert ran.code == 2
    assert "--style" in ran.error_lines[0]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("stylize",), "missing argument 'PHOTO...'"),
        (("stylize", "a.jpg", "--stile", "udnie"), "no such option '--stile'"),
        (("stylize", "a.jpg", "--strength", "much"), "'much' is not a valid float"),
        (("stylize", "a.jpg", "--strength", "1.5"), "1.5 is not in the range"),
        (("stylize", "a.jpg", "--max-size", "0"), "0 is not in the range"),
        (("stylize", "a.jpg", "--method", "magic"), "'magic' is not one of"),
        (("stylize", "a.jpg", "--threads", "0"), "0 is not in the range"),
        (("stylize", "sheet"), "missing argument 'PHOTO'"),
        (("demo", "extra"), "unexpected extra argument"),
        (("demo", "-o"), "'-o' requires an argument"),
    ],
)
def test_usage_errors_have_two_lines_too(words: tuple[str, ...], says: str, run: Run) -> None:
    ran = run(*words)
    assert ran.code == 2
    error, hint = ran.error_lines
    assert says in error.replace("no such option: --stile", "no such option '--stile'")
    command = "stylize sheet" if words[1:2] == ("sheet",) else words[0]
    assert hint == f"hint: deepcanon {command} --help shows the options and an example"


def test_the_longest_name_wins(run: Run) -> None:
    assert "Usage: deepcanon stylize sheet" in run("stylize", "sheet", "--help").out
    assert "Usage: deepcanon stylize [" in run("stylize", "./sheet", "--help").out


def test_debug_shows_the_traceback() -> None:
    plain = process("stylize", "missing.jpg", "--model", "missing.onnx")
    assert plain.returncode == 2
    assert len(plain.stderr.splitlines()) == 2
    assert "Traceback" not in plain.stderr
    told = process("stylize", "missing.jpg", "--model", "missing.onnx", "--debug")
    assert told.returncode == 2
    assert told.stderr.startswith("Traceback")
    assert told.stderr.endswith(plain.stderr)


def test_words_after_two_dashes_are_no_switches(run: Run, desk: object) -> None:
    ran = run("stylize", "--", "--debug")
    assert ran.code == 2
    assert "--debug does not exist" in ran.error_lines[0]


def test_offline_is_passed_on(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bool] = []
    monkeypatch.setattr(assets, "set_offline", asked.append)
    run("stylize", "--help", "--offline")
    assert asked == [True]


@pytest.mark.parametrize(("words", "watched"), [(("list",), True), (("recipes", "-q"), False)])
def test_downloads_show_a_bar_on_a_terminal(
    words: tuple[str, ...], watched: bool, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    run(*words)
    assert (assets._watch is not None) == watched


def test_a_bug_is_not_the_users_fault(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> object:
        raise RuntimeError("first\nsecond")

    monkeypatch.setattr(app, "load", broken)
    ran = run("stylize", "photo.jpg")
    assert ran.code == 1
    error, hint = ran.error_lines
    assert error == "error: deepcanon itself failed: RuntimeError: first second"
    assert "--debug" in hint
    ran = run("stylize", "photo.jpg", "--debug")
    assert ran.code == 1 and ran.err.startswith("Traceback")
    assert ran.err.splitlines()[-2:] == [error, "hint: please report it"]


@pytest.mark.parametrize(
    ("raised", "code", "says"),
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 1, "not enough memory"),
    ],
)
def test_ends(
    raised: BaseException, code: int, says: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str) -> object:
        raise raised

    monkeypatch.setattr(app, "load", broken)
    ran = run("classify", "photo.jpg")
    assert ran.code == code
    assert says in ran.error_lines[0]
    assert "--" not in ran.err  # no option that only one of the commands has


def test_an_import_that_ctrl_c_spoils_is_an_interruption(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compiled module takes the interrupt for itself and says that it could not be imported."""

    def spoiled(name: str) -> object:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        raise ImportError("initialization failed")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        monkeypatch.setattr(app, "load", spoiled)
        ran = run("stylize", "photo.jpg")
        assert (ran.code, ran.error_lines[0]) == (130, "error: interrupted")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_an_error_after_an_interruption_is_still_told(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when Ctrl-C keeps a picture that then cannot be written."""

    def full(name: str) -> object:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        raise Unavailable("the disk is full", hint="make room")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        monkeypatch.setattr(app, "load", full)
        ran = run("stylize", "photo.jpg")
        assert (ran.code, ran.error_lines[0]) == (2, "error: the disk is full")
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_job_in_the_background_ignores_ctrl_c(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def working(name: str) -> object:
        signal.raise_signal(signal.SIGINT)
        seen.append(name)
        raise Unavailable("the end", hint="of it")

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        monkeypatch.setattr(app, "load", working)
        assert run("stylize", "photo.jpg").code == 2
        assert seen == ["stylize"] and signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_reader_that_goes_away_is_no_error() -> None:
    done = subprocess.run(
        [
            "bash",
            "-c",
            f"{sys.executable} -m deepcanon --help | head -c 1; echo ${{PIPESTATUS[0]}}",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
