"""The part of an alert's expression that has data when all is well."""

import json
from pathlib import Path

import pytest

from tests.observability import expressions
from tests.observability.expressions import PromqlExpression


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("rate(a[5m]) > 0.5", ["rate(a{}[5m])"]),
        ("0 < a", ["a{}"]),
        ("a > b", ["a{}", "b{}"]),
        ('a{x="1"} > 0 unless on (q) b > 0', ['a{x="1"}', "b{}"]),
        ("a > 0 and b > 1 and c", ["a{}", "b{}", "c{}"]),
        ("absent(a)", ["a{}"]),
        ("absent_over_time(a[10m])", ["a{}"]),
        ("sum(a == 0) / count(a)", ["sum(a{}) / count(a{})"]),
        ("count_over_time((a > 0)[1h:5m]) >= 3", ["(a{})"]),
        ("a or vector(0)", ["a{} or  vector(0)"]),
        ("vector(1)", ["vector(1)"]),
        (r'a{q=~".+\\.dlq"} > 0', [r'a{q=~".+\\.dlq"}']),
    ],
)
def test_comparisons_are_left_out(text: str, data: list[str]) -> None:
    assert PromqlExpression("test", text).data() == data


def test_names_of_series_are_found_at_any_depth() -> None:
    text = "max by (q) (rate(a_total[1m])) / on (q) sum(c:d:e offset 1h) > 0 or absent(f) and max_over_time(g[5m:1m])"
    assert PromqlExpression("test", text).metrics() == {"a_total", "c:d:e", "f", "g"}


def test_a_wrong_expression_is_named() -> None:
    with pytest.raises(AssertionError, match=r"orders\.yaml: Late: .*sum\("):
        PromqlExpression("orders.yaml: Late", "sum(").metrics()


def test_panels_rows_and_variables_of_a_dashboard_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prometheus, loki = {"type": "prometheus"}, {"type": "loki"}
    replacing = "label_replace(rate(b[$__rate_interval]), 'q', '$1', 'd', '.')"
    inner = {"title": "inner", "targets": [{"expr": replacing}], "datasource": prometheus}
    outer = {"title": "outer", "targets": [{"expr": 'a{n="$namespace",s=~"${service:regex}"}'}, {"query": "{}"}]}
    logs = {"title": "logs", "targets": [{"expr": '{app="warren"}', "datasource": loki}]}
    text = {"title": "text", "type": "text"}
    variable = {"name": "queue", "query": {"query": 'label_values(c{n="$namespace"}, queue)'}}
    dashboard = {
        "panels": [outer, {"title": "row", "panels": [inner]}, logs, text],
        "templating": {"list": [variable, {"name": "namespace", "query": "label_values(namespace)"}]},
    }
    (tmp_path / "shop.json").write_text(json.dumps(dashboard))
    monkeypatch.setattr(expressions, "DASHBOARDS", tmp_path)
    assert [(each.origin, each.text) for each in expressions.of_dashboards()] == [
        ("shop.json: outer", 'a{n="local",s=~".+"}'),
        ("shop.json: inner", "label_replace(rate(b[1m]), 'q', '$1', 'd', '.')"),
        ("shop.json: variable queue", 'c{n="local"}'),
    ]
