"""The custom resource definition: generated from the engine's model, and as strict as the engine."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker_topology.findings import Origin
from broker_topology.resource.decode import decode
from broker_topology.resource.model import LoadedTopology, Topology
from broker_topology.rules.validation import check
from tests.kubernetes.emulator.objects import StatusError
from tests.kubernetes.emulator.schema import StructuralSchema, prune_and_default
from tests.unit.topology_operator.refused_specs import BROKER, REFUSED, Document, document
from topology_operator import crd
from topology_operator.crd.validation_rules import RULES

ROOT = Path(__file__).parents[3]
SCHEMA = StructuralSchema(crd.definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"])


def refusals(body: Document, before: Document | None = None) -> str:
    """Returns the errors of an API server with this definition; empty if it accepts the object."""
    try:
        SCHEMA.admitted(copy.deepcopy(body), before)
    except StatusError as exc:
        return str(exc)
    return ""


def engine_findings(body: Document) -> list[str]:
    """Returns the engine's findings: of the structure, or, if that is right, of its rules."""
    topology, found = decode(body, Topology, Origin("test"))
    if topology is None:
        return [str(each) for each in found]
    return [str(each) for each in check([LoadedTopology(Origin("test"), topology)])]


def test_the_committed_file_is_generated_from_the_model() -> None:
    assert (ROOT / "operator/crds/topologies.yaml").read_text() == crd.rendered(), "run `make crds`"


@pytest.mark.parametrize("file", sorted((ROOT / "charts/warren/topology").glob("[!k]*.yaml")), ids=lambda f: f.stem)
def test_the_definition_accepts_every_topology_of_the_project(file: Path) -> None:
    for body in yaml.safe_load_all(file.read_text()):
        body["spec"]["broker"] = BROKER
        assert refusals(body) == ""


@pytest.mark.parametrize("case", REFUSED)
def test_the_engine_refuses_what_the_definition_refuses(case: str) -> None:
    body, words = REFUSED[case]
    assert words in refusals(body)
    if case not in {"no broker"}:  # the command line has an option instead
        assert engine_findings(body), "the engine accepts what the API server refuses"


def test_each_rule_refuses_a_case() -> None:
    errors = "\n".join(refusals(body) for body, _ in REFUSED.values())
    untested = [
        rule["message"]
        for rules in RULES.values()
        for rule in rules
        if rule["message"] not in errors and "oldSelf" not in rule["rule"]
    ]
    assert not untested


def test_lists_of_type_set_hold_only_strings() -> None:
    """An API server accepts a definition with a set of objects, and then refuses server-side apply of the resource."""

    def sets(schema: Document) -> Iterator[Document]:
        parts = [*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties")]
        if schema.get("x-kubernetes-list-type") == "set":
            yield schema
        for part in parts:
            if isinstance(part, dict):
                yield from sets(part)

    found = list(sets(SPEC))
    assert found
    assert {each["items"]["type"] for each in found} == {"string"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"vhost": "w"}, "virtual host cannot be changed"),
        ({"broker": {"secretRef": {"name": "b"}}}, "broker cannot be"),
    ],
)
def test_vhost_and_broker_are_immutable(change: Document, words: str) -> None:
    before = document()
    assert words in refusals(document(**change), before)
    assert refusals(document(resyncSeconds=10), before) == ""


def test_unknown_fields_are_pruned_and_defaults_equal_those_of_the_model() -> None:
    body = document(queues={"q": {"typo": 1}}, users={"u": {"secretName": "s"}})
    stored = SCHEMA.admitted(copy.deepcopy(body), None)
    assert "typo" not in stored["spec"]["queues"]["q"]
    del body["spec"]["queues"]["q"]["typo"]
    assert decode(stored, Topology, Origin("x"))[0] == decode(body, Topology, Origin("x"))[0]
    assert stored["spec"]["users"]["u"]["permissions"] == {"configure": "^$", "write": "^$", "read": "^$"}


VALUES: st.SearchStrategy[Any] = st.sampled_from([
    True, False, -1, 0, 1, 7, 1.5, 10**12, "", "x", "7D", "quorum", "stream", "classic", "topic", "Import", "drop-head",
    [], ["x"], {}, {"x": 1}, {"name": "x"}, {"exchange": "x"}, {"minSeconds": 1, "maxSeconds": 2}, "a" * 300,
])  # fmt: skip


def _fields(schema: Document) -> st.SearchStrategy[Any]:
    """Documents with the right fields, often with wrong values."""
    if "properties" in schema:
        parts = {name: _fields(inside) for name, inside in schema["properties"].items()}
        required = {name: parts[name] for name in schema.get("required", ())}
        optional = {name: part for name, part in parts.items() if name not in required}
        return st.one_of(st.fixed_dictionaries(required, optional=optional), VALUES)
    if "properties" in schema.get("additionalProperties", {}):
        return st.dictionaries(st.sampled_from(["a", "b"]), _fields(schema["additionalProperties"]), max_size=2)
    if "items" in schema:
        return st.lists(_fields(schema["items"]), max_size=2)
    if "enum" in schema:
        return st.one_of(st.sampled_from(schema["enum"]), VALUES)
    fitting = {"boolean": st.booleans(), "integer": st.integers(-3, 100), "number": st.floats(-1, 100)}
    return st.one_of(fitting.get(schema.get("type", ""), st.sampled_from(["a", "7D", "^x$"])), VALUES)


SPEC = crd.spec_schema()
PARTS = {name: _fields(part) for name, part in SPEC["properties"].items() if name not in {"broker", "vhost"}}


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(st.data())
def test_definition_and_engine_accept_the_same_structures(data: st.DataObject) -> None:
    """One part of the spec at a time, without rules and duplicates, which `refused_specs` covers."""
    name = data.draw(st.sampled_from(sorted(PARTS)))
    body = document(**{name: data.draw(PARTS[name])})
    structural = [
        each
        for each in refusals(body).split(", ")
        if any(words in each for words in ("must be of type", "Unsupported", "should match", "length", "too small"))
        or "too large" in each
        or ("Required" in each and "secretName" not in each)
    ]
    # the engine refuses unknown fields, an API server drops them
    topology, found = decode(body | {"spec": prune_and_default(body["spec"], SPEC)}, Topology, Origin("x"))
    assert bool(structural) == (topology is None), (structural, [str(each) for each in found])
