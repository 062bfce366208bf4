"""The rules as files: promtool accepts them and its tests pass; each alert is complete, tested and has a runbook."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from devtools.paths import CHECKOUT
from devtools.servers.promtool import Promtool

RULES = CHECKOUT / "charts" / "warren" / "rules"
TESTS = CHECKOUT / "tests" / "rules"
RUNBOOKS = CHECKOUT / "docs" / "runbooks"
FILES = sorted(file.name for file in RULES.glob("*.yaml"))
SEVERITIES = {"page", "ticket"}
DURATION = re.compile(r"\d+[smhd]")


def rules_of(name: str) -> list[dict[str, Any]]:
    content = yaml.safe_load((RULES / name).read_text())
    return [rule for group in content["groups"] for rule in group["rules"]]


ALERTS = [rule for name in FILES for rule in rules_of(name) if "alert" in rule]
RECORDS = [rule for name in FILES for rule in rules_of(name) if "record" in rule]
NAMES = sorted({alert["alert"] for alert in ALERTS})


def label(alert: dict[str, Any]) -> str:
    return f"{alert['alert']} ({alert['labels']['severity']})"


@pytest.fixture(scope="module")
def promtool(tmp_path_factory: pytest.TempPathFactory) -> Promtool:
    return Promtool(tmp_path_factory.mktemp("promtool"))


def test_there_are_rules_and_a_file_of_tests_for_each_file_of_rules() -> None:
    assert len(NAMES) > 20
    assert sorted(file.name for file in TESTS.glob("*.yaml")) == FILES


def test_promtool_accepts_the_rules(promtool: Promtool) -> None:
    paths = [f"charts/warren/rules/{name}" for name in FILES]
    promtool.run("check", "rules", "--lint=all", "--lint-fatal", *paths, files=[RULES])


@pytest.mark.parametrize("name", FILES)
def test_the_tests_of_the_rules_pass(promtool: Promtool, name: str) -> None:
    promtool.run("test", "rules", f"tests/rules/{name}", files=[RULES, TESTS])


def checks_of(test: dict[str, Any]) -> Iterator[set[tuple[str, str]]]:
    """The alerts that fire at each check of one test, in the order of time: name and severity."""
    for check in test["promql_expr_test"]:
        if "ALERTS" in check["expr"]:
            labels = [dict(re.findall(r'(\w+)="([^"]*)"', each["labels"])) for each in check.get("exp_samples", ())]
            yield {(each["alertname"], each["severity"]) for each in labels}


@pytest.mark.parametrize("alert", ALERTS, ids=label)
def test_each_alert_is_tested_before_while_and_after_it_fires(alert: dict[str, Any]) -> None:
    wanted = (alert["alert"], alert["labels"]["severity"])
    seen = []
    for name in FILES:
        for test in yaml.safe_load((TESTS / name).read_text())["tests"]:
            firing = [wanted in found for found in checks_of(test)]
            seen += [firing] if True in firing else []
    assert any(not firing[0] and not firing[-1] for firing in seen), f"{wanted} does not fire and clear in one test"


@pytest.mark.parametrize("alert", ALERTS, ids=label)
def test_each_alert_has_severity_duration_texts_and_runbook(alert: dict[str, Any]) -> None:
    assert alert["alert"].startswith("Warren")
    assert alert["labels"].keys() == {"severity"}
    assert alert["labels"]["severity"] in SEVERITIES
    assert DURATION.fullmatch(alert["for"])
    texts = alert["annotations"]
    assert (
        {"summary", "description", "runbook_url"}
        <= texts.keys()
        <= {"summary", "description", "runbook_url", "dashboard"}
    )
    assert len(texts["summary"]) < 100, "a summary is one line of a message"
    assert texts["description"].endswith((".", "1 %."))
    assert texts["runbook_url"] == f"docs/runbooks/{alert['alert']}.md"
    # The labels of the result are those of its aggregation, so the texts can name no other.
    used = set(re.findall(r"\$labels\.(\w+)", texts["summary"] + texts["description"]))
    if alert["alert"] != "WarrenMetricsMissing":  # absent() has no namespace
        assert "namespace" in used, "an alert names its installation"


def test_each_alert_has_its_reasons_in_a_comment() -> None:
    """A second severity may follow under the comment of the first."""
    for name in FILES:
        lines = [line.strip() for line in (RULES / name).read_text().splitlines()]
        before = ""
        for above, line in itertools.pairwise(lines):
            if line.startswith("- alert:"):
                assert above.startswith("#") or line == before, f"{name}: {line}"
                before = line


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: str(record["record"]))
def test_recording_rules_are_named_level_metric_operations(record: dict[str, Any]) -> None:
    level, metric, operations = record["record"].split(":")
    assert level in {"instance", "namespace", "queue", "outbox"}
    assert metric.startswith(("warren_", "rabbitmq_"))
    assert operations
    if level == "instance":
        assert " by " not in record["expr"]
    else:
        assert (
            f"by ({'namespace' if level == 'namespace' else 'namespace, '}" in record["expr"] or ":" in record["expr"]
        )


def test_the_runbooks_are_those_of_the_alerts_and_the_index_lists_them() -> None:
    pages = {file.stem for file in RUNBOOKS.glob("*.md")} - {"README"}
    assert pages == set(NAMES)
    rows = dict(
        re.findall(r"^\| \[(\w+)\]\(\1\.md\) \| ([a-z, ]+) \|", (RUNBOOKS / "README.md").read_text(), re.MULTILINE)
    )
    severities = {name: {alert["labels"]["severity"] for alert in ALERTS if alert["alert"] == name} for name in NAMES}
    assert {name: set(row.split(", ")) for name, row in rows.items()} == severities


def test_the_texts_of_the_rules_link_to_pages_that_exist() -> None:
    for alert in ALERTS:
        assert (CHECKOUT / alert["annotations"]["runbook_url"]).is_file()
    for page in RUNBOOKS.glob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / Path(target)).exists(), f"{page.name}: {target}"
