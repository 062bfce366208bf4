"""An export of many objects."""

import cProfile

import broker_topology
from broker_topology.export.documents import documents, text
from broker_topology.export.draft import ExportDraft
from broker_topology.export.export import refine
from broker_topology.planning.state import ObjectKind, binding_key, empty, key
from broker_topology.rules.validation import check

PER_QUEUE = 20
QUEUE = {"x-queue-type": "quorum", "x-dead-letter-exchange": "e", "x-dead-letter-strategy": "at-most-once"}


def held(bindings, *, refused=0):
    """A virtual host with this number of bindings, of which some are refused."""
    state = empty()
    state[ObjectKind.VHOST][key("v")] = {"description": "", "tags": [], "default_queue_type": None} | dict.fromkeys(
        ("tracing", "protected_from_deletion"), False
    )
    flags = {"durable": True, "auto_delete": False}
    state[ObjectKind.EXCHANGE][key("e", "v")] = {"type": "topic", "internal": False, "arguments": {}, **flags}
    for number in range(bindings // PER_QUEUE):
        arguments = QUEUE | {"x-dead-letter-routing-key": f"k{number}"}
        state[ObjectKind.QUEUE][key(f"q{number}", "v")] = {"arguments": arguments, **flags}
    for number in range(bindings):
        target = f"q{number % (bindings // PER_QUEUE)}" if number >= refused else f"gone{number}"
        routing_key = "." if refused <= number < 2 * refused else f"k{number}"
        state[ObjectKind.BINDING][binding_key("v", "e", ("queue", target), routing_key, {})] = {}
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
