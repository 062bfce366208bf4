"""Objects to delete that are retained, because a message may still need them."""

from broker_topology.planning.state import Key, ObjectKind, empty_state
from broker_topology.reconciliation.retention import dead_letter_exchanges, retained

E, Q, B, P = ObjectKind.EXCHANGE, ObjectKind.QUEUE, ObjectKind.BINDING, ObjectKind.POLICY


def broker(exchanges=(), queues=(), bindings=(), policies=()):
    """Returns a broker state from names with arguments, and bindings as (source, kind, target)."""
    state = empty_state()
    for name, arguments in dict(exchanges).items():
        state[E][Key.of(name, "v")] = {"arguments": arguments}
    for name, arguments in dict(queues).items():
        state[Q][Key.of(name, "v")] = {"arguments": arguments}
    for source, kind, target in bindings:
        state[B][Key.of_binding("v", source, (kind, target), "", {})] = {}
    for name, body in dict(policies).items():
        state[P][Key.of(name, "v")] = body
    return state


def everything(state):
    return frozenset((kind, key) for kind in ObjectKind for key in state[kind])


def kept(state, candidates=None, **full):
    reasons = {(Q, Key.of(name, "v")): why for name, why in full.items()}
    found = retained(everything(state) if candidates is None else candidates, state, reasons)
    return {f"{kind.value} {key.name[0]}": why for (kind, key), why in found.items()}


CHAIN = broker(
    exchanges={"in": {}, "dlx": {"alternate-exchange": "rest"}, "rest": {}, "free": {}},
    queues={"q": {"x-dead-letter-exchange": "dlx"}, "parking": {}, "unrouted": {}, "other": {}},
    bindings=[
        ("in", "queue", "q"),
        ("dlx", "queue", "parking"),
        ("rest", "queue", "unrouted"),
        ("free", "queue", "other"),
    ],
    policies={"on-q": {"pattern": "^q$", "apply-to": "queues", "definition": {"dead-letter-exchange": "free"}}},
)


def test_nothing_is_retained_without_messages():
    assert kept(CHAIN) == {}


def test_the_whole_path_of_a_dead_letter_is_retained():
    assert kept(CHAIN, q="holds 1 message") == {
        "queue q": "holds 1 message",
        "exchange dlx": "queue q dead-letters to it",
        "binding dlx": "exchange dlx needs it",
        "policy on-q": "it applies to queue q, which stays",
        "queue parking": "a binding from exchange dlx to it stays",
        "exchange rest": "exchange dlx sends it what it cannot route",
        "binding rest": "exchange rest needs it",
        "queue unrouted": "a binding from exchange rest to it stays",
        "exchange free": "policy on-q names it",
        "binding free": "exchange free needs it",
        "queue other": "a binding from exchange free to it stays",
    }


def test_bindings_to_a_retained_queue_are_not_retained():
    assert "binding in" not in kept(CHAIN, q="holds 1 message")


def test_a_dead_letter_through_the_default_exchange_retains_its_queue():
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "parking"}
    state = broker(queues={"q": arguments, "parking": {}, "other": {}})
    assert kept(state, q="full") == {"queue q": "full", "queue parking": "queue q dead-letters to it"}


def test_a_parking_lot_behind_a_shared_direct_exchange_goes_with_its_queue():
    def lot(name):
        return {"x-dead-letter-exchange": "dlx", "x-dead-letter-routing-key": f"{name}.dlq"}

    state = broker({"dlx": {}}, {"stays": lot("stays"), "stays.dlq": {}, "goes": lot("goes"), "goes.dlq": {}})
    state[E][Key.of("dlx", "v")]["type"] = "direct"
    for name in ("stays.dlq", "goes.dlq"):
        state[B][Key.of_binding("v", "dlx", ("queue", name), name, {})] = {}
    candidates = frozenset(each for each in everything(state) if "goes" in str(each[1].name))
    assert len(candidates) == 3
    assert kept(state, candidates) == {}
    assert set(kept(state, candidates, goes="holds 1 message")) == {"queue goes", "queue goes.dlq", "binding dlx"}
    state[E][Key.of("dlx", "v")]["type"] = "topic"  # where a pattern may match
    assert set(kept(state, candidates)) == {"binding dlx", "queue goes.dlq"}


def test_objects_that_others_use_are_retained():
    state = broker({"e": {}, "theirs": {}}, {"q": {}, "p": {}}, [("e", "queue", "p"), ("theirs", "queue", "q")])
    candidates = frozenset({(E, Key.of("e", "v")), (Q, Key.of("q", "v"))})
    assert kept(state, candidates) == {
        "exchange e": "a binding from it to p stays",
        "queue q": "a binding from exchange theirs to it stays",
    }


def test_a_policy_for_exchanges_is_not_retained_for_a_queue():
    policy = {"pattern": ".*", "apply-to": "exchanges", "definition": {}}
    assert kept(broker(queues={"q": {}}, policies={"p": policy}), q="full") == {"queue q": "full"}


def test_a_pattern_that_python_cannot_evaluate_counts_as_a_match():
    policy = {"pattern": "(?<x>a)(*ACCEPT)", "apply-to": "all", "definition": {}}
    assert "policy p" in kept(broker(queues={"q": {}}, policies={"p": policy}), q="full")


def test_dead_letter_exchanges_of_deleted_queues_are_found():
    candidates = frozenset({(Q, Key.of("q", "v"))})
    assert dead_letter_exchanges(CHAIN[Q], candidates) == {(E, Key.of("dlx", "v"))}
    assert dead_letter_exchanges(CHAIN[Q], frozenset()) == set()
