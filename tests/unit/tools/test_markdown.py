from pathlib import Path

import pytest

from tools.markdown import broken, code_blocks, headings, links

PAGE = """\
# One page

See [two](two.md), [`three`](docs/three.md "title") and ![a](images/a.jpg).
Not `[code](code.md)`, not <!-- [hidden](hidden.md) -->; but <img src="b.jpg" width="10">.

<!-- ![every style](images/sheet.jpg) -->

```console
$ deepcanon list \\
    --json
[not](a-link.md)
$ deepcanon describe vgg16
```

<!-- not run: needs photos -->

```console
$ deepcanon train new-style
```

1. indented:

    ```python
    if True:
        pass
    ```
"""


def test_blocks_in_order() -> None:
    first, second, third = code_blocks(PAGE)
    assert first.commands() == ["deepcanon list --json", "deepcanon describe vgg16"]
    assert (first.language, first.line, first.not_run) == ("console", 8, "")
    assert second.not_run == "needs photos"
    assert third.text == "if True:\n    pass"
    assert third.not_run == ""


def test_an_open_block_is_refused() -> None:
    with pytest.raises(ValueError, match="line 2"):
        code_blocks("text\n```console\n$ ls\n")


def test_links_outside_code_and_comments() -> None:
    assert links(PAGE) == ["two.md", "docs/three.md", "images/a.jpg", "b.jpg"]


def test_headings() -> None:
    text = "# Gatys (T1): α/β\n\n```\n# not me\n```\n## Two words\n"
    assert headings(text) == {"gatys-t1-αβ", "two-words"}


def test_broken_links(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Here\n")
    (tmp_path / "two words.md").touch()
    assert broken("https://example.org/none", page=page) == ""
    assert broken("two%20words.md", page=page) == ""
    assert broken("#here", page=page) == ""
    assert "no such file" in broken("none.md", page=page)
    assert "no such heading" in broken("page.md#there", page=page)
