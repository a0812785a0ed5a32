"""All that a command says: JSON for machines, a bar and a table for people, errors in two lines.

Results go to standard output, everything else to standard error, so `deepcanon … | next` works.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from deepcanon.core.errors import DeepcanonError, Failed

__all__ = [
    "download_bar",
    "note",
    "print_error",
    "print_json",
    "print_table",
    "progress",
    "run",
]

INTERRUPTED = 130  # 128 + SIGINT, as shells have it
_STOPPED = "hint: what was finished is kept, and nothing half-written is left behind"


def print_json(content: object) -> None:
    """Print one JSON document to standard output; what is not finite becomes null."""
    import json

    print(json.dumps(_finite(content), indent=2, ensure_ascii=False, allow_nan=False))


def print_table(rows: Sequence[Sequence[object]], *, head: Sequence[str] = ()) -> None:
    """Print rows in aligned columns to standard output; numbers are set flush right."""
    lines = [[str(cell) for cell in row] for row in ([head] if head else []) + list(rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    right = [all(isinstance(row[at], (int, float)) for row in rows) for at in range(len(widths))]
    for line in lines:
        cells = [
            cell.rjust(width) if flush else cell.ljust(width)
            for cell, width, flush in zip(line, widths, right, strict=True)
        ]
        print("  ".join(cells).rstrip())


def note(text: str) -> None:
    """Print one line for people to standard error."""
    print(_one_line(text), file=sys.stderr, flush=True)


def print_error(error: DeepcanonError) -> None:
    """Print the two lines of an error to standard error."""
    note(f"error: {error.message}")
    note(f"hint: {error.hint}")


@contextmanager
def progress(label: str, *, total: int, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Show a bar on standard error, and yield what moves it on by one: `advance("loss 3.2")`.

    No bar when quiet, when there is one step only, or when standard error is not a terminal.
    """
    if quiet or total < 2 or not sys.stderr.isatty():
        yield lambda detail: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        Remaining(),
        TextColumn("{task.fields[detail]}", markup=False),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total, detail="")
        yield lambda detail: bar.update(task, advance=1, detail=detail)


@contextmanager
def download_bar(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """Show a bar on standard error for the download of `name`, and yield what moves it."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(name, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def run(call: Callable[[], int], *, debug: bool) -> int:
    """Call a command; turn whatever it raises into two lines and an exit code.

    A `KeyboardInterrupt` may bring its own hint. `debug` shows the traceback first.
    """
    _accept_any_name()
    with _interrupts() as seen:
        return _run(call, seen=seen, debug=debug)


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """The signals of Ctrl-C that came so far.

    Python code that is interrupted says so, but a compiled module that is being imported fails with
    an `ImportError`. A process that was told to ignore Ctrl-C (a job in the background) goes on so.
    """
    seen: list[int] = []

    def hear(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        signal.default_int_handler(number, frame)

    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN or threading.current_thread() is not threading.main_thread():
        yield seen
        return
    signal.signal(signal.SIGINT, hear)
    try:
        yield seen
    finally:
        signal.signal(signal.SIGINT, before)


def _run(call: Callable[[], int], *, seen: Sequence[int], debug: bool) -> int:
    try:
        code = call()
        sys.stdout.flush()
        return code
    except KeyboardInterrupt as stop:
        _trace(debug)
        return _interrupted(str(stop))
    except BrokenPipeError:
        # The reader of our output went away (`| head`): not an error worth a word.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except DeepcanonError as error:
        _trace(debug)
        if seen and isinstance(error.__cause__, ImportError):
            return _interrupted("")
        print_error(error)
        return error.exit_code
    except Exception as error:
        if (code_of_exit := _exit_code(error)) is not None:
            return code_of_exit
        usage = _usage_error(error)
        if usage is not None:
            note(usage[0])
            note(usage[1])
            return 2
        _trace(debug)
        if seen and isinstance(error, ImportError):
            return _interrupted("")
        print_error(_unexpected(error, debug=debug))
        return Failed.exit_code


def _trace(wanted: bool) -> None:
    if wanted:
        import traceback

        traceback.print_exc()


def _interrupted(hint: str) -> int:
    note("error: interrupted")
    note(f"hint: {hint}" if hint else _STOPPED)
    return INTERRUPTED


def _exit_code(error: Exception) -> int | None:
    """The code of click's own `Exit`, with which `--help` ends."""
    code = getattr(error, "exit_code", None)
    return code if type(error).__name__ == "Exit" and isinstance(code, int) else None


def _usage_error(error: Exception) -> tuple[str, str] | None:
    """The two lines for click's own complaints about options and arguments."""
    message = getattr(error, "format_message", None)
    if not callable(message):
        return None
    text = str(message()).strip().rstrip(".")
    text = text[:1].lower() + text[1:]
    command = getattr(error, "__notes__", ["deepcanon"])[0]
    return f"error: {text}", f"hint: {command} --help shows the options and an example"


def _unexpected(error: Exception, *, debug: bool) -> DeepcanonError:
    if isinstance(error, MemoryError):
        return Failed(
            "there is not enough memory", hint="a smaller picture or a smaller batch takes less"
        )
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return Failed(
        f"deepcanon itself failed: {text}",
        hint="please report it" if debug else "the same command with --debug shows where",
    )


def _one_line(text: str) -> str:
    return " ".join(text.split("\n"))


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {str(key): _finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite(value) for value in content]
    if isinstance(content, float) and content - content != 0:
        return None
    return content


def _accept_any_name() -> None:
    """File names need not be valid text; printing one must not fail."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, ValueError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
