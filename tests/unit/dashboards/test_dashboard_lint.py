"""Rules for dashboards: everything is explained, every query is right, nothing overlaps."""

import json
import re
from itertools import combinations

import promql_parser
import pytest

from devtools.dashboards.registry import BOARDS
from tests.unit.dashboards.queries import WINDOWS, load, panels, queries, selectors, variables

RATES = {"rate", "irate", "increase", "delta", "deriv"}
NO_NAMESPACE = re.compile(r"topology_reconcile_duration_seconds|topology_broker_reachable")
"""Series of the operator itself, which may run in another namespace than the Topologies that it serves."""


@pytest.mark.parametrize("board", BOARDS)
def test_every_panel_has_title_description_unit_and_legends(board: str) -> None:
    for panel in panels(board):
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            assert target["legendFormat"] not in {"", "__auto"}, panel["title"]


@pytest.mark.parametrize("board", BOARDS)
def test_no_two_panels_have_the_same_title_or_id(board: str) -> None:
    every = load(board)["panels"]
    assert len({each["id"] for each in every}) == len(every)
    for first, second in combinations(panels(board), 2):
        same_row = first["gridPos"]["y"] == second["gridPos"]["y"]
        assert first["title"] != second["title"] or not same_row, first["title"]


@pytest.mark.parametrize("board", BOARDS)
def test_panels_fill_the_grid_and_do_not_overlap(board: str) -> None:
    cells: dict[tuple[int, int], str] = {}
    for panel in load(board)["panels"]:
        grid = panel["gridPos"]
        for x in range(grid["x"], grid["x"] + grid["w"]):
            for y in range(grid["y"], grid["y"] + grid["h"]):
                assert 0 <= x < 24
                assert (x, y) not in cells, f"{panel['title']} overlaps {cells[x, y]}"
                cells[x, y] = panel["title"]
    height = max(y for _, y in cells) + 1
    assert len(cells) == 24 * height, "a gap in the grid"


@pytest.mark.parametrize("board", BOARDS)
def test_every_query_is_promql_for_the_chosen_namespace(board: str) -> None:
    for query in queries(board):
        found = list(selectors(query.expression))
        assert found, query
        for selector in found:
            chosen = [each.value for each in selector.matchers.matchers if each.name == "namespace"]
            assert chosen == ["local"] or NO_NAMESPACE.match(selector.name or ""), query


@pytest.mark.parametrize("board", BOARDS)
def test_windows_follow_the_time_range(board: str) -> None:
    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.MatrixSelector):
            assert promql_parser.display_duration(node.range) in WINDOWS.values(), str(node)
        # A rate of something else than a plain counter is wrong after a restart.
        if isinstance(node, promql_parser.Call) and node.func.name in RATES:
            assert isinstance(node.args[0], promql_parser.MatrixSelector), str(node)

    for query in queries(board):
        promql_parser.walk(promql_parser.parse(query.expression), visit)


@pytest.mark.parametrize("board", BOARDS)
def test_a_number_never_keeps_an_old_value(board: str) -> None:
    # Grafana shows the last value: a filter that leaves no series would leave the one before.
    for panel in panels(board):
        for target in panel["targets"] if panel["type"] == "stat" else ():
            filtered = re.search(r" (==|!=|<|>|<=|>=) (?!bool)", target["expr"])
            assert not filtered or " or " in target["expr"], f"{panel['title']}: {target['expr']}"


@pytest.mark.parametrize("board", BOARDS)
def test_variables_are_defined_and_used(board: str) -> None:
    content = load(board)
    defined = {each["name"] for each in content["templating"]["list"]}
    used = variables(json.dumps(content["panels"]))
    assert used <= defined
    assert defined <= used | {"traces", "logs"}, "a variable without use"


@pytest.mark.parametrize("board", BOARDS)
def test_labels_of_legends_and_links_are_in_the_result(board: str) -> None:
    for panel in panels(board):
        wanted = re.findall(r"__field\.labels\.(\w+)", json.dumps(panel["fieldConfig"]))
        for target in panel["targets"]:
            legend = re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
            for label in {*legend, *wanted}:
                assert label in _labels(target["expr"]), f"{panel['title']}: {label} is in no label of {target['expr']}"


def _labels(text: str) -> set[str]:
    """Return the labels that a query groups or joins by, and those of series that it does not aggregate."""
    grouped = re.findall(r"(?:by|group_left) \(([^)]*)\)", text)
    labels = {label.strip() for group in grouped for label in group.split(",")}
    plain = "(" not in text.replace("rate(", "")
    return labels | ({"datname"} if plain and text.startswith("pg_") else set())
