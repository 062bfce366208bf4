"""SQL is where CONTRIBUTING.md, house rule 6, says: every other module works with rows only through these."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

SERVICES = Path(__file__).resolve().parents[2] / "services"
STATEMENT = re.compile(
    r"\s*(SELECT\s|INSERT INTO |UPDATE \w+ |DELETE FROM |WITH \w+ AS|TRUNCATE |GRANT |REVOKE |SET \w+ =)"
    r"|\s*(CREATE|ALTER) [A-Z]"
)
IN_SERVICES = re.compile(r"(store|\w+_store|queries)\.py")
"""Modules with SQL in a service, and in services/shared/channels."""
IN_CHASSIS = {"migrations.py", "metrics.py"}
LIBRARY = "shared/messaging/warren_messaging/"
IN_LIBRARY = {"postgres", "outbox", "testing"}
"""Folders of the messaging library with SQL."""


def strings(tree: ast.AST) -> Iterator[str]:
    """Returns the string constants of a module, without docstrings and comments on fields."""
    statements = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in statements:
            yield node.value


def has_sql(file: Path) -> bool:
    return any(STATEMENT.match(text) for text in strings(ast.parse(file.read_text())))


def may_have_sql(path: str) -> bool:
    folder, _, name = path.rpartition("/")
    if path.startswith(LIBRARY):
        return path.removeprefix(LIBRARY).split("/")[0] in IN_LIBRARY
    if folder.startswith("shared/chassis"):
        return name in IN_CHASSIS
    return IN_SERVICES.fullmatch(name) is not None


def test_sql_is_only_in_the_modules_that_the_house_rule_names() -> None:
    found = {str(file.relative_to(SERVICES)) for file in SERVICES.rglob("*.py") if has_sql(file)}
    assert len(found) > 15, "the scan finds SQL"
    assert sorted(path for path in found if not may_have_sql(path)) == []
