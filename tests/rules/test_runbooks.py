"""The commands of the runbooks exist and take their arguments, and their PromQL can be parsed."""

import re
import shlex
from pathlib import Path

import promql_parser
import pytest

from devtools.paths import CHECKOUT
from warren.cli.commands import app

PAGES = sorted((CHECKOUT / "docs" / "runbooks").glob("*.md"))
SECTIONS = ["What customers notice", "First look", "Causes", "Escalate"]
GOLDEN = (CHECKOUT / "tests" / "charts" / "golden.yaml").read_text()
CREATED_BY_OPERATORS = {
    "warren-rabbitmq",
    "rabbitmq-tls",
    "postgresql-tls",
    "warren-trust",
    "postgresql-admin",
    "dlq-rabbitmq",
}
"""Objects that an operator or a Job of the chart creates: no manifest is about them."""


def blocks(page: Path, language: str) -> str:
    return "\n".join(re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL))


def commands(page: Path) -> list[str]:
    """Each line of a block, and each command in the text, without comments."""
    spans = re.findall(r"`((?:warren|kubectl|broker-topology) [^`]+)`", page.read_text())
    found = [line.strip() for line in blocks(page, "sh").splitlines()] + spans
    return [command for line in found if (command := re.split(r"\s+#\s", line)[0])]


WARREN = sorted({(page.name, line) for page in PAGES for line in commands(page) if line.startswith("warren ")})
KUBECTL = sorted({(page.name, line) for page in PAGES for line in commands(page) if line.startswith("kubectl ")})
QUERIES = [
    (page.name, query)
    for page in PAGES
    for query in blocks(page, "promql").splitlines()
    if query and not query.startswith("#")
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.stem))
def test_a_page_has_every_section(page: Path) -> None:
    if page.stem != "README":
        assert re.findall(r"^## (.+)$", page.read_text(), re.MULTILINE) == SECTIONS
        assert blocks(page, "sh")
        assert blocks(page, "promql")


@pytest.mark.parametrize(("page", "line"), WARREN)
def test_a_command_of_warren_takes_its_arguments(page: str, line: str) -> None:
    tokens = shlex.split(re.split(r"[|>&]", line)[0])[1:]
    app.parse_args(tokens, exit_on_error=False, print_error=False)


@pytest.mark.parametrize(("page", "line"), KUBECTL)
def test_a_command_of_kubectl_names_objects_of_the_chart(page: str, line: str) -> None:
    names = set(re.findall(r"\b(?:deployment|statefulset|service|secret|configmap)[/ ]([\w-]+)", line))
    for name in names - CREATED_BY_OPERATORS:
        assert re.search(rf'name: "?{name}"?$', GOLDEN, re.MULTILINE), f"{line}: the chart has no {name}"
    for component in re.findall(r"component=(\w[\w-]*)", line):
        assert re.search(rf'component: "?{component}"?$', GOLDEN, re.MULTILINE), f"{line}: no component {component}"


@pytest.mark.parametrize(("page", "query"), QUERIES)
def test_a_query_can_be_parsed(page: str, query: str) -> None:
    promql_parser.parse(query)


def test_there_are_commands_of_every_kind() -> None:
    assert min(len(WARREN), len(KUBECTL), len(QUERIES)) > 30
