"""Shipped models and downloaded weights: where they are, and that they are the right ones."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import TypedDict

from deepcanon.core.atomic import write_whole
from deepcanon.core.errors import BadInput, DeepcanonError, Unavailable
from deepcanon.core.near import did_you_mean
from deepcanon.core.reading import opened

__all__ = [
    "FOLDER",
    "Entry",
    "cache_folder",
    "enter",
    "fetch",
    "file_of",
    "find",
    "manifest",
    "set_offline",
    "shipped",
    "ships",
    "watch_downloads",
]

FOLDER = Path(__file__).resolve().parent.parent / "assets"

Progress = Callable[[int, int | None], None]  # bytes so far, bytes in all if known
Watch = Callable[[str], AbstractContextManager[Progress]]

_NETWORKS = (".onnx", ".safetensors")  # what our networks are kept in
_CHUNK = 1 << 20
_TIMEOUT = 30.0  # seconds without a byte
_SCHEMES = ("http", "https", "file")
_TRUE = ("1", "true", "yes", "on")
_RESTORE = "bring it back with git, or install deepcanon again from where it came"

_offline = False
_watch: Watch | None = None


class Entry(TypedDict):
    """One line of the manifest: `file` is relative to the assets folder, `bytes` its size."""

    name: str
    file: str
    sha256: str
    bytes: int
    kind: str
    licence: str


def manifest() -> list[Entry]:
    """What ships with the package, in the order of `assets/manifest.json`."""
    path = FOLDER / "manifest.json"
    if not path.exists():
        return []
    entries: list[Entry] = json.loads(path.read_text(encoding="utf-8"))
    return entries


def shipped(name: str) -> Path:
    """The path of a shipped file; its sha256 is checked once in a process.

    Raises `BadInput` for a name that does not ship, `Unavailable` when the file is not the one that
    was shipped.
    """
    entries = {entry["name"]: entry for entry in manifest()}
    if name not in entries:
        networks = [entry["name"] for entry in manifest() if entry["kind"] != "photo"]
        shown = f"networks that ship: {', '.join(networks) or 'none'}; or give the path of a file"
        raise BadInput(
            f"nothing named '{name}' ships with deepcanon",
            hint=did_you_mean(name, networks, otherwise=shown),
        )
    entry = entries[name]
    path = FOLDER / entry["file"]
    if not path.is_file():
        raise Unavailable(f"{path} is missing from the installation", hint=_RESTORE)
    found = _sha256(path)
    if found != entry["sha256"]:
        raise Unavailable(
            f"{path} is not the shipped file: sha256 {found}, not {entry['sha256']}",
            hint=_RESTORE,
        )
    return path


def find(model: str | Path) -> Path:
    """The file of a model: a path, or the name of what ships.

    What has an ending or a separator is a path; a bare word is a name, whatever stands under it in
    the working folder. Raises `BadInput` when there is no such file, or nothing of the name ships;
    `Unavailable` as `shipped` does.
    """
    path = Path(model)
    if not path.suffix and not any(mark in str(model) for mark in (os.sep, os.altsep) if mark):
        return shipped(str(model))
    with opened(path, what="model file"):
        return path


def file_of(word: str) -> Path | None:
    """The file that a word names, by its path or as a network that ships; None for other words.

    Raises what `find` raises.
    """
    ships = {entry["name"] for entry in manifest() if entry["file"].endswith(_NETWORKS)}
    return find(word) if word in ships or word.lower().endswith(_NETWORKS) else None


def ships(path: Path) -> str | None:
    """The sha256 that the manifest gives for a file of the package, None for any other file."""
    if path.resolve().parent != FOLDER:
        return None
    return next((entry["sha256"] for entry in manifest() if entry["file"] == path.name), None)


def enter(name: str, *, file: str, kind: str, licence: str) -> Entry:
    """Put a file of the assets folder into the manifest (or renew its entry), hash and size."""
    path = FOLDER / file
    content = path.read_bytes()
    entry: Entry = {
        "name": name,
        "file": file,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "kind": kind,
        "licence": licence,
    }
    others = [each for each in manifest() if each["name"] != name]
    entries = sorted([*others, entry], key=lambda each: (each["kind"], each["name"]))
    with write_whole(FOLDER / "manifest.json") as manifest_file:
        manifest_file.write((json.dumps(entries, indent=1, ensure_ascii=False) + "\n").encode())
    return entry


def set_offline(offline: bool) -> None:
    """Forbid downloads in this process (or allow them again); DEEPCANON_OFFLINE=1 also does."""
    global _offline
    _offline = offline


def watch_downloads(watch: Watch | None) -> None:
    """Have `watch(name)` entered for every download of this process, and told how far it is."""
    global _watch
    _watch = watch


def cache_folder() -> Path:
    """Where downloads go: DEEPCANON_CACHE, else XDG_CACHE_HOME/deepcanon, else ~/.cache/..."""
    if chosen := os.environ.get("DEEPCANON_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "deepcanon"


def fetch(url: str, *, sha256: str, name: str) -> Path:
    """The file `name` in the user cache, downloaded from `url` when it is not there yet.

    `sha256` may be the first 8 or more hex digits (torchvision puts them into its file names).
    DEEPCANON_MIRROR replaces scheme and host of the url. Raises `Unavailable`, naming where to put
    the file, when it cannot be had or is another one.
    """
    if not re.fullmatch(r"[0-9a-f]{8,64}", sha256):
        raise ValueError(f"not a sha256: {sha256!r}")
    if Path(name).name != name or name in ("", ".."):
        raise ValueError(f"not a plain file name: {name!r}")
    target = cache_folder() / name
    found = _sha256(target) if target.is_file() else None
    if found is not None and found.startswith(sha256):
        return target
    address = _through_mirror(url)
    where = f"put the file (sha256 {sha256}) at {target}"
    if _offline or os.environ.get("DEEPCANON_OFFLINE", "").lower() in _TRUE:
        if found is not None:
            raise Unavailable(
                f"{target} is another file than the one from {url}: sha256 {found}, not {sha256}",
                hint=f"downloads are off; {where}",
            )
        raise Unavailable(
            f"{name} is not in the cache, and downloads are off", hint=f"{where} ({url})"
        )
    try:
        with nullcontext(_unwatched) if _watch is None else _watch(name) as on_progress:
            _download(address, target, sha256=sha256, where=where, on_progress=on_progress)
    except BadInput as cause:
        raise BadInput(
            cause.message, hint="set DEEPCANON_CACHE to a folder you may write to"
        ) from cause
    return target


def _unwatched(done: int, total: int | None) -> None:
    """Nobody is told."""


def _through_mirror(url: str) -> str:
    mirror = os.environ.get("DEEPCANON_MIRROR")
    if not mirror:
        return url
    from urllib.parse import urlsplit

    if urlsplit(mirror).scheme not in _SCHEMES:
        raise BadInput(
            f"DEEPCANON_MIRROR is '{mirror}', which is not an address",
            hint="give scheme and host, such as https://mirror.example.org",
        )
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    return f"{mirror.rstrip('/')}{parts.path}{query}"


def _download(url: str, target: Path, *, sha256: str, where: str, on_progress: Progress) -> None:
    # Imported here: urllib costs a start of the command line that downloads nothing 30 ms.
    from http.client import HTTPException
    from urllib.error import HTTPError
    from urllib.request import urlopen

    def unreachable(cause: Exception) -> DeepcanonError:
        if isinstance(cause, HTTPError):
            reason = f"HTTP {cause.code} {cause.reason}"
            cause.close()  # it is an open answer, too
        else:
            reason = str(getattr(cause, "reason", "") or cause) or type(cause).__name__
        return Unavailable(
            f"{target.name} could not be downloaded from {url}: {reason}",
            hint=f"{where}, or set DEEPCANON_MIRROR",
        )

    try:
        response = urlopen(url, timeout=_TIMEOUT)
    except (OSError, HTTPException, ValueError) as cause:
        raise unreachable(cause) from cause
    with response, write_whole(target) as file:
        length = response.headers.get("Content-Length")
        total = int(length) if length and length.isdecimal() else None
        digest = hashlib.sha256()
        done = 0
        while True:
            try:
                chunk = response.read(_CHUNK)
            except (OSError, HTTPException) as cause:
                raise unreachable(cause) from cause
            if not chunk:
                break
            file.write(chunk)
            digest.update(chunk)
            done += len(chunk)
            on_progress(done, total)
        found = digest.hexdigest()
        if not found.startswith(sha256):
            cut = total is not None and done < total
            what = f"only {done} of {total} bytes arrived" if cut else "another file arrived"
            raise Unavailable(
                f"{what} from {url}: sha256 {found}, not {sha256}; it was removed",
                hint=f"try again, or {where}",
            )


def _sha256(path: Path) -> str:
    about = path.stat()
    return _hash_of(path, about.st_mtime_ns, about.st_size)


@cache
def _hash_of(path: Path, changed: int, size: int) -> str:
    """Remembered for the process, unless the file has been changed since."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
