"""The routing rules of the broker."""

import pytest

from broker_topology.planning.state import Key
from broker_topology.rules.routing import RoutingTable, topic_matches


@pytest.mark.parametrize(
    ("pattern", "routing_key", "matches"),
    [
        ("a.b", "a.b", True),
        ("a.b", "a.b.c", False),
        ("a.*", "a.b", True),
        ("a.*", "a", False),
        ("a.*", "a.b.c", False),
        ("a.#", "a", True),
        ("a.#", "a.b.c", True),
        ("#", "", True),
        ("#.c", "a.b.c", True),
        ("#.c", "c", True),
        ("a.#.c", "a.c", True),
        ("a.#.c.*", "a.c.c.d", True),
        ("a.#.c", "b.c", False),
        ("#.b.#", "a.c", False),
        ("*", "", False),
        ("", "", True),
    ],
)
def test_a_topic_pattern_matches_as_at_the_broker(pattern, routing_key, matches):
    assert topic_matches(pattern, routing_key) is matches


ROUTES = RoutingTable(
    {
        Key.of("in", "v"): {"type": "topic", "arguments": {"alternate-exchange": "rest"}},
        Key.of("direct", "v"): {"type": "direct", "arguments": {}},
        Key.of("rest", "v"): {"type": "fanout", "arguments": {}},
        Key.of("loop", "v"): {"type": "fanout", "arguments": {}},
    },
    [
        Key.of_binding("v", "in", ("queue", "a"), "order.*", {}),
        Key.of_binding("v", "in", ("exchange", "direct"), "#.direct", {}),
        Key.of_binding("v", "direct", ("queue", "b"), "x.direct", {}),
        Key.of_binding("v", "rest", ("queue", "unrouted"), "", {}),
        Key.of_binding("v", "loop", ("exchange", "loop"), "", {}),
        Key.of_binding("v", "loop", ("queue", "c"), "", {}),
    ],
)


@pytest.mark.parametrize(
    ("exchange", "routing_key", "queues"),
    [
        ("in", "order.created", {"a"}),
        ("in", "x.direct", {"b"}),
        ("in", "order.direct", {"a"}),
        ("in", "other", {"unrouted"}),
        ("in", None, {"a", "b", "unrouted"}),
        ("direct", "other", set()),
        ("loop", "any", {"c"}),
        ("", "a", {"a"}),
    ],
)
def test_the_queues_that_a_message_reaches(exchange, routing_key, queues):
    assert ROUTES.queues(exchange, routing_key) == queues
