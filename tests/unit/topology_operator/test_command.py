"""The command line: settings, help, exit codes."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from topology_operator import crd
from topology_operator.errors import SettingsError
from topology_operator.settings import TopologyOperatorSettings, read

ROOT = Path(__file__).parents[3]


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    base = {key: value for key, value in os.environ.items() if not key.startswith(("KUBE", "TOPOLOGY"))}
    return subprocess.run(
        [sys.executable, "-m", "topology_operator", *arguments],
        env=base | {"PYTHONPATH": str(ROOT / "operator"), "HOME": "/nonexistent"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_help_lists_every_setting() -> None:
    result = command("--help")
    assert result.returncode == 0
    for field in TopologyOperatorSettings.__struct_fields__:
        assert f"TOPOLOGY_OPERATOR_{field.upper()}" in result.stdout
    assert "exit codes:" in result.stdout


def test_the_definition_is_printed_without_a_cluster() -> None:
    assert command("crd").stdout == crd.rendered()


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, "set KUBECONFIG"),
        ({"KUBECONFIG": "/nowhere"}, "the kubeconfig cannot be used"),
        ({"TOPOLOGY_OPERATOR_METRICS_PORT": "http"}, "TOPOLOGY_OPERATOR_METRICS_PORT='http'"),
    ],
    ids=["nothing", "no-file", "setting"],
)
def test_a_wrong_setting_is_reported_in_one_line_with_exit_code_2(environment: dict[str, str], words: str) -> None:
    result = command(**environment)
    assert result.returncode == 2
    assert result.stderr == ""
    line = json.loads(result.stdout)
    assert (line["event"], line["level"], line["service"]) == ("failed", "critical", "topology-operator")
    assert words in line["reason"]


def test_settings_report_every_mistake_and_ignore_variables_of_kubernetes() -> None:
    with pytest.raises(SettingsError) as refusal:
        read({"TOPOLOGY_OPERATOR_LOG_FORMAT": "xml", "TOPOLOGY_OPERATOR_CONCURRENCY": "0"})
    assert "not one of console, json" in str(refusal.value)
    assert "CONCURRENCY" in str(refusal.value)
    assert read({"TOPOLOGY_OPERATOR_PORT": "tcp://10.0.0.1:80"}) == TopologyOperatorSettings()
    assert read({"TOPOLOGY_OPERATOR_NAMESPACES": " a, b,"}).served_namespaces == ("a", "b")


def test_no_handler_runs_in_a_thread() -> None:
    """kopf calls plain functions in threads; two of them at once have stopped the whole process."""
    source = (ROOT / "operator/topology_operator/kopf_handlers.py").read_text()
    handlers = re.findall(r"@kopf\.[^\n]*(?:\n[^\n]*)*?\n    (async def|def) (on_\w+)", source)
    assert len(handlers) == 5
    assert {keyword for keyword, _ in handlers} == {"async def"}
