"""The commands that the documentation shows are run, or at the least exist.

Each page gets a folder of its own with a photograph, a painting and a few photographs in `photos/`;
its console and Python blocks run there, in order. A block under `<!-- not run: REASON -->` is not
run, but its commands and their options must exist.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from itertools import takewhile
from pathlib import Path

import pytest

from deepcanon.core.images import save
from deepcanon.core.standin import painting, photo, picture_folder
from tools.markdown import Block, code_blocks

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PAGES = [ROOT / "README.md", ROOT / "README.zh-CN.md", *sorted((ROOT / "docs/tutorials").glob("*"))]
PROGRAMS = {"deepcanon", "make", "pip", "git", "cat", "."}
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith("DEEPCANON_")},
    "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
    "COLUMNS": "200",
    "NO_COLOR": "1",
    "DEEPCANON_OFFLINE": "1",
    "OMP_NUM_THREADS": "1",
}


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def commands(page: Path) -> list[str]:
    blocks = code_blocks(page.read_text(encoding="utf-8"))
    return [each for block in blocks if block.language == "console" for each in block.commands()]


ALL_COMMANDS = sorted({each for page in PAGES for each in commands(page)})


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the pages' commands are about; the pictures are generated."""
    folder = tmp_path_factory.mktemp("pictures")
    save(photo(0, (48, 64)), folder / "photo.jpg")
    save(painting(0, (48, 64)), folder / "painting.jpg")
    picture_folder(folder / "photos", 3, size=48)
    return folder


@pytest.fixture
def folder(tmp_path: Path, pictures: Path) -> Path:
    """The same pictures in a folder of one's own."""
    return Path(shutil.copytree(pictures, tmp_path / "work"))


# The blocks of README.zh-CN.md are those of README.md: another test below.
@pytest.mark.parametrize("page", [PAGES[0], *PAGES[2:]], ids=name_of)
def test_the_blocks_of_a_page_run(page: Path, folder: Path) -> None:
    for block in code_blocks(page.read_text(encoding="utf-8")):
        if not block.not_run:
            for call in calls(block):
                done = subprocess.run(
                    call,
                    cwd=folder,
                    env=ENVIRONMENT,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    timeout=300,
                    check=False,
                )
                where = f"{name_of(page)}:{block.line}: {call[-1]}"
                assert done.returncode == 0, f"{where}\n{done.stdout}{done.stderr}"


def calls(block: Block) -> list[list[str]]:
    if block.language == "python":
        return [[sys.executable, "-W", "error", "-c", block.text]]
    if block.language == "console":
        return [["bash", "-euo", "pipefail", "-c", command] for command in block.commands()]
    return []


@pytest.mark.parametrize("command", ALL_COMMANDS)
def test_a_command_exists(command: str) -> None:
    for part in re.split(r"\s(?:&&|\||;)\s", command):
        words = shlex.split(part)
        assert words[0] in PROGRAMS, f"no test knows what {words[0]} is"
        if words[0] == "deepcanon":
            missing = [word for word in options(words) if word not in known_options(words)]
            assert not missing, f"deepcanon has no {missing[0]} here"
        elif words[0] == "make":
            targets = [word for word in words[1:] if "=" not in word]
            assert set(targets) <= make_targets()
        elif words[0] == "pip":
            assert extras(part) <= declared_extras()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_a_page_shows_commands(page: Path) -> None:
    assert commands(page)


def test_both_readmes_show_the_same_blocks() -> None:
    english, chinese = (
        [
            (block.language, block.commands() or block.text, bool(block.not_run))
            for block in code_blocks((ROOT / name).read_text(encoding="utf-8"))
        ]
        for name in ("README.md", "README.zh-CN.md")
    )
    assert english == chinese


def options(words: list[str]) -> list[str]:
    named = [word.split("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)]
    return [word for word in named if word not in ("-h", "--help", "--version")]


def known_options(words: list[str]) -> frozenset[str]:
    """Return the options that the help of a command shows.

    A command has one word or two (`stylize sheet`); where the second is an argument, as in
    `deepcanon train NAME --help`, the help is that of the first.
    """
    names = tuple(takewhile(lambda word: re.fullmatch(r"[a-z][a-z-]*", word), words[1:3]))
    return help_options(names)


@cache
def help_options(words: tuple[str, ...]) -> frozenset[str]:
    done = subprocess.run(
        [str(BIN / "deepcanon"), *words, "--help"],
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"deepcanon {' '.join(words)} --help\n{done.stdout}{done.stderr}"
    everywhere = {"--debug", "--offline"}
    return frozenset(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", done.stdout)) | everywhere


@cache
def make_targets() -> frozenset[str]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return frozenset(re.findall(r"^([a-z-]+):", text, flags=re.MULTILINE))


def extras(command: str) -> set[str]:
    return {name for found in re.findall(r"\[([\w,]+)\]", command) for name in found.split(",")}


@cache
def declared_extras() -> frozenset[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return frozenset(project["optional-dependencies"])
