"""The errors a user sees: one line that says what and where, one that says what to do."""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "BadInput",
    "DeepcanonError",
    "Failed",
    "MissingExtra",
    "Unavailable",
    "how_to_install",
]


class DeepcanonError(Exception):
    """What went wrong, and in `hint` what to do about it; the CLI prints both, no traceback."""

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    # Exceptions cross process borders (data loaders, batch workers) by pickling, and the default
    # way calls the class with `args` alone, which a keyword-only hint does not survive.
    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.hint)


class BadInput(DeepcanonError):  # noqa: N818 - read as `raise BadInput(...)`
    """Anything the user can mend: a wrong name, path, value or file."""

    exit_code = 2


class Unavailable(DeepcanonError):  # noqa: N818 - as above
    """The surroundings stand in the way, and the user can mend them: a full disk, no network, a
    damaged file of the installation."""

    exit_code = 2


class Failed(DeepcanonError):  # noqa: N818 - as above
    """The work itself failed: a loss became NaN, some pictures of many could not be done."""

    exit_code = 1


class MissingExtra(BadInput):
    """`need` asks for packages that stand in the optional extra `extra`."""

    def __init__(self, *, extra: str, need: str) -> None:
        super().__init__(
            f"{need} needs packages that are not installed",
            hint=how_to_install(extra),
        )


def how_to_install(extra: str) -> str:
    """The command that adds an optional extra, from wherever this deepcanon was installed."""
    import json
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    try:
        origin = json.loads(distribution("deepcanon").read_text("direct_url.json") or "")
        url = str(origin["url"])
    except (PackageNotFoundError, ValueError, KeyError, TypeError):
        return f'pip install "deepcanon[{extra}]"'  # from an index
    if "dir_info" in origin:
        editable = "-e " if origin["dir_info"].get("editable") else ""
        return f'pip install {editable}"{url2pathname(urlsplit(url).path)}[{extra}]"'
    kind = f"{origin['vcs_info']['vcs']}+" if "vcs_info" in origin else ""
    return f'pip install "deepcanon[{extra}] @ {kind}{url}"'


def _rebuild(kind: type[DeepcanonError], message: str, hint: str) -> DeepcanonError:
    error = kind.__new__(kind)
    DeepcanonError.__init__(error, message, hint=hint)
    return error
