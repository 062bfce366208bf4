"""The YAML of an export: for any names, for readers of other YAML versions, and for many objects."""

import cProfile
import re

import pytest
import yaml
from hypothesis import given, seed, settings
from hypothesis import strategies as some

import broker_topology
from broker_topology.export.documents import documents, text
from broker_topology.export.draft import ExportDraft
from broker_topology.export.export import refine
from broker_topology.planning.state import Key, ObjectKind, empty_state
from broker_topology.rules.validation import check
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


PER_QUEUE = 20
QUEUE = {"x-queue-type": "quorum", "x-dead-letter-exchange": "e", "x-dead-letter-strategy": "at-most-once"}


def held(bindings, *, refused=0):
    """Returns a virtual host with this number of bindings, of which some are refused."""
    state = empty_state()
    state[ObjectKind.VHOST][Key.of("v")] = {"description": "", "tags": [], "default_queue_type": None} | dict.fromkeys(
        ("tracing", "protected_from_deletion"), False
    )
    flags = {"durable": True, "auto_delete": False}
    state[ObjectKind.EXCHANGE][Key.of("e", "v")] = {"type": "topic", "internal": False, "arguments": {}, **flags}
    for number in range(bindings // PER_QUEUE):
        arguments = QUEUE | {"x-dead-letter-routing-key": f"k{number}"}
        state[ObjectKind.QUEUE][Key.of(f"q{number}", "v")] = {"arguments": arguments, **flags}
    for number in range(bindings):
        target = f"q{number % (bindings // PER_QUEUE)}" if number >= refused else f"gone{number}"
        routing_key = "." if refused <= number < 2 * refused else f"k{number}"
        state[ObjectKind.BINDING][Key.of_binding("v", "e", ("queue", target), routing_key, {})] = {}
    return state


def exported(state):
    draft = ExportDraft(state, "v", "admin", set())
    refine(draft, "v", "shop")
    return draft, text("v", documents("v", draft.sections(), "shop"), draft.omissions)


def calls(function, *arguments):
    profile = cProfile.Profile()
    profile.runcall(function, *arguments)
    return sum(each.callcount for each in profile.getstats())


def test_the_cost_grows_linearly_with_the_bindings():
    small, large = held(1000, refused=100), held(4000, refused=400)
    exported(small)  # fills the caches
    assert calls(exported, large) < 4 * 1.5 * calls(exported, small)


def test_a_section_that_is_too_long_continues_in_another_resource():
    draft, written = exported(held(12_000))
    loaded = broker_topology.parse(written)
    assert draft.omissions == []
    assert [(item.topology.metadata.name, len(item.spec.bindings)) for item in loaded] == [
        ("shop", 5000),
        ("shop-2", 5000),
        ("shop-3", 2000),
    ]
    assert [each for each in check(loaded) if not each.warning] == []
