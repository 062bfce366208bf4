"""The vocabulary of the repository: public class names are unique, and some words never occur."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCE_FOLDERS = ("services", "operator", "warren", "devtools", "faults", "loadtest")
SHARED_NAMES: Mapping[str, str] = {}
"""Class names that occur more than once, each with the reason."""

WORDS = ("nobody", "somebody", "whoever", "anew", "told", "said", "hears", "wishes", "trouble", "at rest", "by then")
WORDS += ("likewise",)
FORBIDDEN = re.compile(
    rf"(?<![A-Za-z])({'|'.join(word.replace(' ', '[ _]') for word in WORDS)})(?![a-z])", re.IGNORECASE
)
SUFFIXES = {".py", ".md", ".yaml", ".sql", ".toml", ".sh", ".tpl", ".txt", ".json", ".patch", ".conf", ".Dockerfile"}
NAMES = {"Makefile", "Dockerfile", "Tiltfile", "run", "_helpers.tpl"}
IGNORED = {".git", ".venv", ".warren", "__pycache__", "migrations"}  # an applied migration never changes


def files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name not in IGNORED and not path.name.endswith("_cache"):
            yield from files(path)
        elif path.is_file() and (path.suffix in SUFFIXES or path.name in NAMES) and path != Path(__file__):
            yield path


def test_public_class_names_are_unique() -> None:
    places: dict[str, list[str]] = {}
    for file in (file for folder in SOURCE_FOLDERS for file in files(ROOT / folder) if file.suffix == ".py"):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(f"{file.relative_to(ROOT)}:{node.lineno}")
    repeated = {name: found for name, found in places.items() if len(found) > 1}
    assert {name: found for name, found in repeated.items() if name not in SHARED_NAMES} == {}
    assert SHARED_NAMES.keys() <= repeated.keys(), "SHARED_NAMES lists a name that is not repeated"


TOP = sorted({file.relative_to(ROOT).parts[0] for file in files(ROOT)})


@pytest.mark.parametrize("name", TOP)
def test_words_without_a_clear_meaning_do_not_occur(name: str) -> None:
    found = []
    for file in files(ROOT / name) if (ROOT / name).is_dir() else [ROOT / name]:
        where = file.relative_to(ROOT)
        found += [f"{where}: {match[0]} in the name"] if (match := FORBIDDEN.search(str(where))) else []
        for number, line in enumerate(file.read_text().splitlines(), 1):
            found += [f"{where}:{number}: {word}" for word in FORBIDDEN.findall(line)]
    assert found == []


def test_every_term_of_the_glossary_is_used() -> None:
    glossary = ROOT / "docs" / "glossary.md"
    terms = {
        term for row in re.findall(r"^\| \*\*(.+?)\*\*", glossary.read_text(), re.MULTILINE) for term in row.split(", ")
    }
    assert len(terms) > 20
    texts = [
        file.read_text().lower().replace("_", " ").replace("-", " ")
        for folder in (*SOURCE_FOLDERS, "docs")
        for file in files(ROOT / folder)
        if file != glossary
    ]
    assert {term for term in terms if not any(term.lower() in text for text in texts)} == set()
