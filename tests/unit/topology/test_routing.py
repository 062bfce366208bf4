"""The routing rules of the broker."""

import pytest

from broker_topology.resource.objects import Binding, Exchange
from broker_topology.rules.routing import RoutingTable, topic_matches


@pytest.mark.parametrize(
    ("pattern", "key", "matches"),
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
def test_topic_patterns(pattern, key, matches):
    assert topic_matches(pattern, key) is matches


ROUTES = RoutingTable(
    {
        "in": Exchange(type="topic", alternate_exchange="rest"),
        "direct": Exchange(type="direct"),
        "rest": Exchange(type="fanout"),
        "loop": Exchange(type="fanout"),
    },
    [
        Binding(source="in", queue="a", routing_key="order.*"),
        Binding(source="in", exchange="direct", routing_key="#.direct"),
        Binding(source="direct", queue="b", routing_key="x.direct"),
        Binding(source="rest", queue="unrouted"),
        Binding(source="loop", exchange="loop"),
        Binding(source="loop", queue="c"),
    ],
)


@pytest.mark.parametrize(
    ("exchange", "key", "queues"),
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
def test_the_queues_that_a_message_reaches(exchange, key, queues):
    assert ROUTES.queues(exchange, key) == queues
