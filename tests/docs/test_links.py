"""Every link of the documentation that stays in the repository leads somewhere."""

from pathlib import Path

import pytest

from tools.markdown import broken, links

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    found = [why for target in links(text) if (why := broken(target, page=page))]
    assert not found


def test_the_manual_links_only_to_itself() -> None:
    """Pages of docs/ are copied to a site that has nothing else of the repository."""
    for page in (ROOT / "docs").rglob("*.md"):
        for target in links(page.read_text(encoding="utf-8")):
            if ":" not in target:
                file = (page.parent / target.partition("#")[0]).resolve()
                assert file.is_relative_to(ROOT / "docs"), f"{name_of(page)}: {target}"
