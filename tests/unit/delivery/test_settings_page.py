"""The tables of settings are up to date and name every variable that the code reads."""

import re
from pathlib import Path

from devtools.settings_page import LIBRARY_PAGE, PAGE, library_page, page

ROOT = Path(__file__).resolve().parents[3]
FOLDERS = ("services", "warren", "devtools", "operator", "faults", "loadtest", "tests", "charts", "docs/examples")
FILES = ("Makefile", "compose.yaml", "Tiltfile", "Dockerfile", "README.md")


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run `make settings`"


def test_the_table_of_the_library_is_up_to_date() -> None:
    text = LIBRARY_PAGE.read_text()
    assert "| `SHOP_BROKER_URL` | required | text |" in text
    assert text == library_page(), "run `make settings`"


def test_the_page_lists_every_variable() -> None:
    known = set(re.findall(r"`(WARREN_[A-Z_]+)", page()))
    sources = [ROOT / name for name in FILES]
    for folder in FOLDERS:
        sources += [
            file for file in (ROOT / folder).rglob("*") if file.suffix in {".py", ".yaml", ".md", ".sh", ".tpl"}
        ]
    for file in sources:
        read = set(re.findall(r"\bWARREN_[A-Z_]+[A-Z]\b", file.read_text()))
        assert read <= known | {"WARREN_SMTP", "WARREN_X"}, f"{file}: {sorted(read - known)}"
