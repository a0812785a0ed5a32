"""What a documentation test needs to know about a Markdown page: its code blocks and its links."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>[\w-]*)\s*$")
_NOT_RUN = re.compile(r"^\s*<!-- not run: (?P<reason>.+?) -->\s*$")
_LINK = re.compile(r"\[(?:[^\]\[]|\[[^\]]*\])*\]\(\s*<?(?P<target>[^)\s>]+)>?[^)]*\)")
_SOURCE = re.compile(r"<(?:img|a)\b[^>]*\b(?:src|href)=\"(?P<target>[^\"]+)\"")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced code block. `line` is that of its fence, from 1; `not_run` is why, or ""."""

    language: str
    text: str
    line: int
    not_run: str

    def commands(self) -> list[str]:
        """Return what follows each `$ ` prompt of a console block, continued lines joined."""
        joined = re.sub(r"\s*\\\n\s*", " ", self.text)
        return [line[2:].strip() for line in joined.splitlines() if line.startswith("$ ")]


def code_blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page in order.

    A block is not to be run when the last line before it that is not blank is the comment
    `<!-- not run: REASON -->`. Raises `ValueError` for a fence that is not closed.
    """
    blocks: list[Block] = []
    lines = text.splitlines()
    before = ""
    at = 0
    while at < len(lines):
        if opening := _FENCE.match(lines[at]):
            end = _closing(lines, at)
            indent = len(opening["indent"])
            body = "\n".join(line[indent:] for line in lines[at + 1 : end])
            reason = _NOT_RUN.match(before)
            blocks.append(
                Block(
                    language=opening["language"],
                    text=body,
                    line=at + 1,
                    not_run=reason["reason"] if reason else "",
                )
            )
            before = ""
            at = end
        elif lines[at].strip():
            before = lines[at]
        at += 1
    return blocks


def _closing(lines: list[str], opening: int) -> int:
    for at in range(opening + 1, len(lines)):
        if lines[at].strip() == "```":
            return at
    raise ValueError(f"the code block of line {opening + 1} is not closed")


def links(text: str) -> list[str]:
    """Return the targets of links and pictures outside code and comments, in order."""
    prose = re.sub(r"^( *)```.*?^\1```\s*$", "", text, flags=re.DOTALL | re.MULTILINE)
    prose = re.sub(r"<!--.*?-->", "", prose, flags=re.DOTALL)
    prose = re.sub(r"`[^`\n]*`", "", prose)
    found = [*_LINK.finditer(prose), *_SOURCE.finditer(prose)]
    return [each["target"] for each in sorted(found, key=lambda each: each.start())]


def headings(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and mkdocs make them."""
    prose = re.sub(r"^```.*?^```\s*$", "", text, flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ (.+?)\s*$", prose, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken(target: str, *, page: Path) -> str:
    """Return why a link on `page` leads nowhere, or "". Links to other hosts are not followed."""
    if re.match(r"[a-z][a-z0-9+.-]*:", target):
        return ""
    path, _, anchor = target.partition("#")
    file = (page.parent / unquote(path)).resolve() if path else page
    if not file.exists():
        return f"{target}: there is no such file"
    if anchor and file.suffix == ".md" and anchor not in headings(file.read_text(encoding="utf-8")):
        return f"{target}: there is no such heading"
    return ""
