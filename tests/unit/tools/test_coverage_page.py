import json
from pathlib import Path

import pytest

from tools.chapter import ROWS, Row
from tools.coverage_page import PAGE, current_page, marked_rows, page

TWO_ROWS = (Row(id="C1", name="One"), Row(id="T1", name="Two", modules=("pack.two",)))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "src" / "pack").mkdir(parents=True)
    (tmp_path / "src" / "pack" / "two.py").touch()
    (tmp_path / "tests" / "unit").mkdir(parents=True)
    (tmp_path / "tests" / "unit" / "test_two.py").write_text(
        'import pytest\npytestmark = pytest.mark.row("T1")\n'
    )
    return tmp_path


def make_page(project: Path, rows: tuple[Row, ...] = TWO_ROWS) -> str:
    return page(
        rows, index=project / "catalog.json", tests=project / "tests", sources=project / "src"
    )


def test_the_committed_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == current_page(), "run `make coverage`"


def test_every_row_of_the_canon_once() -> None:
    expected = [f"C{i}" for i in range(1, 19)] + [f"D{i}" for i in range(1, 14)]
    expected += [f"S{i}" for i in range(1, 13)] + [f"G{i}" for i in range(1, 12)]
    expected += [f"T{i}" for i in range(1, 5)]
    assert [row.id for row in ROWS] == expected


def test_a_row_with_a_module_and_a_test_is_done(project: Path) -> None:
    text = make_page(project)
    assert "| T1 | Two | `pack.two` | `tests/unit/test_two.py` | done |" in text
    assert "| C1 | One |  |  | not yet |" in text


def test_a_module_without_a_test_is_not_done(project: Path) -> None:
    card = {"name": "one", "rows": ["C1"], "module": "pack.one"}
    (project / "catalog.json").write_text(json.dumps({"models": [card]}))
    assert "| C1 | One | `pack.one` |  | not yet |" in make_page(project)


def test_a_test_without_a_module_is_not_done(project: Path) -> None:
    (project / "src" / "pack" / "two.py").unlink()
    assert "| T1 | Two |  | `tests/unit/test_two.py` | not yet |" in make_page(project)


def test_what_is_missing_is_said(project: Path) -> None:
    row = Row(id="T1", name="Two", modules=("pack.two",), missing="the third")
    assert "| in part; missing: the third |" in make_page(project, (row,))


def test_an_unknown_row_is_refused(project: Path) -> None:
    (project / "tests" / "test_x.py").write_text('@pytest.mark.row("C99")\ndef test(): ...\n')
    with pytest.raises(ValueError, match="C99"):
        make_page(project)


@pytest.mark.parametrize(
    ("source", "rows"),
    [
        ('pytestmark = pytest.mark.row("C10")', {"C10"}),
        ('pytestmark = [pytest.mark.slow, pytest.mark.row("C10", "C5")]', {"C10", "C5"}),
        ('@pytest.mark.row("T1")\ndef test_a(): ...', {"T1"}),
        ('class TestA:\n    @pytest.mark.row("T1")\n    def test_a(self): ...', {"T1"}),
        ('p = pytest.param(1, marks=[pytest.mark.row("D2")])', {"D2"}),
        ("text = 'pytest.mark.row(\"C1\")'", set()),
        ("@pytest.mark.slow\ndef test_a(): ...", set()),
    ],
)
def test_markers_are_found_in_source(source: str, rows: set[str]) -> None:
    assert marked_rows(source) == rows


def test_a_misspelt_row_is_refused() -> None:
    with pytest.raises(ValueError, match="c-10"):
        marked_rows('pytestmark = pytest.mark.row("c-10")')
