"""For any values the chart renders valid manifests or refuses them with a message."""

import json
import re
import secrets

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.charts.random_values import RandomValues
from tests.charts.rendering import CHART, NEWEST, helm, identity, objects
from tests.charts.schemas import check

REFUSAL = re.compile(
    r"values don't meet the specifications of the schema|invalid release name|type mismatch on topology-operator|"
    r"execution error at \(warren/templates/validate\.yaml"
)
"""Messages of the schema, of Helm, and of templates/validate.yaml; any other message is an error in a template."""
SERVICE = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")


def fault(seed: int) -> str | None:
    """Returns the error of the rendering with this seed's values, or None."""
    source = RandomValues(seed)
    (name, namespace), values = source.release(), source.values()
    done = helm(NEWEST, "template", name, CHART, "--namespace", namespace, values=values)
    context = f"seed {seed}: release {name} in {namespace} with {json.dumps(values)}: "
    if done.returncode != 0:
        return None if REFUSAL.search(done.stderr) else context + done.stderr
    try:
        bodies = objects(done.stdout)
    except yaml.YAMLError as error:
        return context + str(error)
    for body in bodies:
        try:
            check(body)
        except (jsonschema.ValidationError, kubernetes_validate.ValidationError) as error:
            return f"{context}{identity(body)}: {error.message} at {list(error.absolute_path)}"
        if body["kind"] == "Service" and not SERVICE.fullmatch(body["metadata"]["name"]):
            return context + f"no Service can be called {body['metadata']['name']}"
    names = [identity(body) for body in bodies]
    return None if len(set(names)) == len(names) else context + f"two objects have one name: {sorted(names)}"


def faults(count: int) -> list[str]:
    first = secrets.randbelow(2**32)
    found = [fault(first + number) for number in range(count)]
    return [each for each in found if each is not None]


@pytest.mark.parametrize("part", range(8))
def test_random_values_are_rendered_or_refused_with_a_message(part: int) -> None:
    """Several parts, each well within the time limit of a test on a busy machine."""
    assert faults(5) == []


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_many_random_values_are_rendered_or_refused_with_a_message() -> None:
    assert faults(600) == []
