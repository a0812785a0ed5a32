"""What commands say: JSON, tables, the bar, two lines."""

from __future__ import annotations

import io
import sys

import pytest

from deepcanon.cli.output import (
    download_bar,
    note,
    print_error,
    print_json,
    print_table,
    progress,
)
from deepcanon.core.errors import BadInput, MissingExtra, how_to_install


def test_json_is_strict_and_keeps_any_alphabet(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"名": [1.5, float("nan")], "deep": ({"x": float("inf")},), 3: None})
    out = capsys.readouterr().out
    assert "名" in out
    import json

    assert json.loads(out, parse_constant=lambda word: pytest.fail(word)) == {
        "名": [1.5, None],
        "deep": [{"x": None}],
        "3": None,
    }


def test_tables_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([["a", 1], ["long", 100]], head=["name", "n"])
    assert capsys.readouterr().out == "name    n\na       1\nlong  100\n"
    print_table([["x", "1"], ["yy", "22"]])
    assert capsys.readouterr().out == "x   1\nyy  22\n"


def test_a_table_of_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([], head=["name", "n"])
    print_table([])
    assert capsys.readouterr().out.split() == ["name", "n"]


def test_errors_are_two_lines_whatever_is_in_them(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(BadInput("a\nb is bad", hint="mend\nit"))
    print_error(MissingExtra(extra="train", need="Gatys"))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == [
        "error: a b is bad",
        "hint: mend it",
        "error: Gatys needs packages that are not installed",
        f"hint: {how_to_install('train')}",
    ]


def test_notes_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    note("only this")
    assert capsys.readouterr() == ("", "only this\n")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_is_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    for terminal, total, quiet, shown in [
        (True, 3, False, True),
        (True, 3, True, False),
        (True, 1, False, False),
        (False, 3, False, False),
    ]:
        stream = Terminal() if terminal else io.StringIO()
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setenv("TERM", "xterm")
        with progress("painting", total=total, quiet=quiet) as advance:
            for step in range(total):
                advance(f"[step] {step}")
        assert ("painting" in stream.getvalue()) is shown
        assert ("[step] 2" in stream.getvalue()) is shown


def test_a_download_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with download_bar("vgg19.pth") as tell:
        tell(5_000_000, None)
        tell(10_000_000, 20_000_000)
    assert "vgg19.pth" in stream.getvalue() and "10.0/20.0 MB" in stream.getvalue()


@pytest.mark.parametrize("name", ["scan [final].jpg", "x[/old].jpg"])
def test_bars_show_any_name_as_it_is(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", stream := Terminal())
    with progress(name, total=2, quiet=False) as advance:
        advance("")
    assert name in stream.getvalue()
    monkeypatch.setattr(sys, "stderr", stream := Terminal())
    with download_bar(name) as tell:
        tell(1, 2)
    assert name in stream.getvalue()
