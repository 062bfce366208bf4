"""Every PromQL expression of the chart's rules and dashboards, read from the files themselves."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import promql_parser
import yaml
from promql_parser import BinaryExpr, Call, Expr, MatrixSelector, SubqueryExpr, VectorSelector

from devtools.paths import CHECKOUT

RULES = CHECKOUT / "charts" / "warren" / "rules"
DASHBOARDS = CHECKOUT / "charts" / "warren" / "dashboards"
VARIABLES = {"namespace": "local", "__rate_interval": "1m", "__range": "10m", "__interval": "15s"}
"""Values of Grafana's variables; of any other, all values (`.+`), as with "All" in Grafana."""
COMPARISONS = {"==", "!=", ">", "<", ">=", "<="}
ABSENT = {"absent", "absent_over_time"}
LABEL_VALUES = re.compile(r"label_values\((?:(?P<series>.+),)?\s*\w+\)", re.DOTALL)


@dataclass(frozen=True)
class PromqlExpression:
    origin: str
    """File, and rule or panel."""
    text: str
    """PromQL, with values in place of Grafana's variables."""

    def metrics(self) -> set[str]:
        """Return the names of all series that it reads."""
        return {selector.name or "" for selector in selectors(_parse(self))}

    def data(self) -> list[str]:
        """Return what must have data when all is well: the expression without its comparisons.

        An alert's comparison is empty when all is well, and so is `absent`. The operands of a comparison, of `and` and
        of `unless` are expressions of their own. A subquery is replaced by its expression, since it has data at
        multiples of its step only, which may be a quarter of an hour.
        """
        further: list[Expr] = []

        def replace(node: Expr) -> Expr | None:
            if isinstance(node, Call) and node.func.name in ABSENT:
                argument = node.args[0]
                return argument.vector_selector if isinstance(argument, MatrixSelector) else argument
            if isinstance(node, Call):
                subqueries = [each for each in node.args if isinstance(each, SubqueryExpr)]
                return subqueries[0].expr if subqueries else None
            if isinstance(node, BinaryExpr) and str(node.op) in COMPARISONS | {"and", "unless"}:
                first, *others = [side for side in (node.lhs, node.rhs) if selectors(side)] or [node.lhs]
                further.extend(others)
                return first
            return None

        first = promql_parser.transform(_parse(self), post_visit=replace)
        # The parser removes the escapes of strings, and does not write them again.
        return [str(expression).replace("\\", "\\\\") for expression in (first, *further)]


def rules() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each rule with its origin."""
    for file in sorted(RULES.glob("*.yaml")):
        for group in yaml.safe_load(file.read_text())["groups"]:
            for rule in group["rules"]:
                yield f"{file.name}: {rule.get('alert') or rule['record']}", rule


def recorded() -> set[str]:
    """Return the names of the series that recording rules make."""
    return {rule["record"] for _, rule in rules() if "record" in rule}


def of_rules() -> list[PromqlExpression]:
    return [PromqlExpression(origin, rule["expr"]) for origin, rule in rules()]


def of_dashboards() -> list[PromqlExpression]:
    """Return the expressions of panels and of variables. Panels of traces and logs have other queries."""
    found = []
    for file in sorted(DASHBOARDS.glob("*.json")):
        dashboard = json.loads(file.read_text())
        for panel in _panels(dashboard["panels"]):
            found += [
                PromqlExpression(f"{file.name}: {panel['title']}", _without_variables(target["expr"]))
                for target in panel.get("targets", ())
                if "expr" in target and target.get("datasource", panel.get("datasource", {})).get("type") != "loki"
            ]
        for variable in dashboard.get("templating", {}).get("list", ()):
            query = variable.get("query", "")
            query = query.get("query", "") if isinstance(query, dict) else query
            if (match := LABEL_VALUES.fullmatch(query.strip())) and match["series"]:
                text = _without_variables(match["series"])
                found.append(PromqlExpression(f"{file.name}: variable {variable['name']}", text))
    return found


def _panels(panels: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for panel in panels:
        yield panel
        yield from _panels(panel.get("panels", []))


def _without_variables(text: str) -> str:
    def value(match: re.Match[str]) -> str:
        return VARIABLES.get(match["plain"] or match["braced"], ".+")

    # `$1` in label_replace is no variable.
    return re.sub(r"\$(?:\{(?P<braced>\w+)(?::\w+)?\}|(?P<plain>[a-zA-Z_]\w*))", value, text)


def _parse(expression: PromqlExpression) -> Expr:
    try:
        return promql_parser.parse(expression.text)
    except ValueError as error:
        raise AssertionError(f"{expression.origin}: {error}: {expression.text}") from error


def selectors(expression: Expr) -> list[VectorSelector]:
    """Return every selector of an expression, those of ranges and subqueries too."""
    found = []

    def visit(node: Expr) -> None:
        if isinstance(node, VectorSelector):
            found.append(node)
        elif isinstance(node, MatrixSelector):
            found.append(node.vector_selector)

    promql_parser.walk(expression, pre_visit=visit)
    return found
