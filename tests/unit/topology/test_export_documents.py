"""The YAML of an export, for any names and for readers of other YAML versions."""

import re

import pytest
import yaml
from hypothesis import given, seed, settings
from hypothesis import strategies as some

import broker_topology
from broker_topology.export.documents import documents, text
from tests.conftest import SEED

names = some.text(
    some.characters(exclude_categories=["Cs"]) | some.sampled_from("\x85\u2028\ufeff\x00'\"%: #"), min_size=1
)
values = some.recursive(
    names | some.booleans() | some.integers(-(2**53), 2**53) | some.floats(allow_nan=False, allow_infinity=False),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)


@seed(SEED)
@settings(max_examples=200, deadline=None, database=None)
@given(names, some.dictionaries(names, values, max_size=3), some.lists(names, max_size=2))
def test_any_text_is_read_as_it_was_written(name, arguments, left_out):
    sections = {
        "exchanges": {name: {"type": "topic", "arguments": arguments}},
        "bindings": [{"source": name, "exchange": name, "routingKey": name, "arguments": arguments}],
    }
    written = text(name, documents(name, sections, "shop"), left_out)
    (loaded,) = broker_topology.parse(written)
    (exchange,) = loaded.spec.exchanges.items()
    assert (loaded.spec.vhost, exchange[0], exchange[1].arguments) == (name, name, arguments)
    (binding,) = loaded.spec.bindings
    assert (binding.source, binding.routing_key, binding.arguments) == (name, name, arguments)


@pytest.mark.parametrize(
    "word", ["1e3", "0x1f", "0o17", "1_000", "1:30", "y", "No", "null", "~", ".5", "2020-01-01", ""]
)
def test_text_that_another_yaml_version_reads_differently_is_quoted(word):
    written = text("v", documents("v", {"bindings": [{"source": word, "exchange": word}]}, "shop"), [])
    assert f"{{source: '{word}', exchange: '{word}'}}" in written
    assert yaml.safe_load(written)["spec"]["bindings"][0]["source"] == word


def test_names_are_escaped_in_comments():
    written = text("v\nspec: {}", documents("v", {}, "shop"), ["queue a\nb: gone", "queue c\x85d: gone"])
    assert [line for line in re.split("[\r\n\x85\u2028]", written) if line.startswith(("spec", "b", "d"))] == ["spec:"]
