"""Templates quote every value, or pass it through a function that quotes it or converts it to a number."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.charts.rendering import CHART

ACTION = re.compile(r"\{\{-?\s*(?P<words>/\*.*?\*/|.*?)\s*-?\}\}", re.DOTALL)
SILENT = re.compile(r"(/\*|if\b|else\b|end\b|range\b|with\b|define\b|fail\b|\$\w*\s*:?=)")
SAFE = re.compile(r"\|\s*(quote|toJson|int|(n?indent)\s+\d+)$")
ALONE = re.compile(r"\{\{-(?!\s*/\*).*-\}\}")
"""A helper's text, which the including template quotes."""
TEMPLATES = sorted(CHART.glob("**/templates/**/*.yaml")) + sorted(CHART.glob("**/templates/*.tpl"))


def unquoted(text: str, *, helper: bool) -> Iterator[str]:
    for found in ACTION.finditer(text):
        words = found["words"]
        if SILENT.match(words) or SAFE.search(words):
            continue
        start = text.rfind("\n", 0, found.start()) + 1
        line = text[start : text.find("\n", found.end())].strip()
        if not (helper and ALONE.fullmatch(line)):
            yield line


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: str(path.relative_to(CHART)))
def test_no_value_is_rendered_unquoted(path: Path) -> None:
    assert list(unquoted(path.read_text(), helper=path.suffix == ".tpl")) == []


@pytest.mark.parametrize(
    "line",
    [
        "name: {{ .Release.Name }}",
        "name: {{ $name }}-service",
        "replicas: {{ $it.replicas }}",
        "- ipBlock: {cidr: {{ . }}}",
        "value: {{ $value | toString }}",
        'name: {{ include "warren.name" . }}',
        "spec: {{- toYaml .Values.x }}",
    ],
)
def test_an_unquoted_value_is_detected(line: str) -> None:
    assert list(unquoted(f"a: b\n{line}\nc: d\n", helper=True)) == [line]
