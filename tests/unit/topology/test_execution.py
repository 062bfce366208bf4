"""The execution of a plan, with a fake management API that records and refuses requests."""

import asyncio
import gc
from copy import deepcopy

import pytest

from broker_topology.broker.execution import execute_plan, run_concurrently
from broker_topology.credentials.passwords import is_password
from broker_topology.credentials.secrets import Credentials
from broker_topology.errors import ApplyIncomplete, BrokerUnreachable, RequestFailed
from broker_topology.planning.desired import desired_state
from broker_topology.planning.plan import Action, PlanStep, plan
from broker_topology.planning.state import Key, ObjectKind, empty_state

SPEC = {
    "vhostLimits": {"maxQueues": 10, "maxConnections": 10},
    "exchanges": {"a": {"type": "topic"}, "b": {"type": "fanout"}},
    "queues": {"q": {}, "r": {}},
    "bindings": [{"source": "a", "queue": "q", "routingKey": "x"}, {"source": "b", "exchange": "a", "routingKey": ""}],
    "users": {
        "u": {
            "secretName": "s",
            "permissions": {"write": "^a$"},
            "topicPermissions": [{"exchange": "a", "write": "^u"}],
            "limits": {"maxConnections": 1, "maxChannels": 2},
        }
    },
}
KNOWN = {"u": Credentials("u", "right")}


class FakeManagementApi:
    """Accepts every write, except those to a path in `refuse`, and counts concurrent requests."""

    def __init__(self, concurrency=4, refuse=None):
        self.concurrency = concurrency
        self.refuse = refuse or {}
        self.written = []
        self.bodies = {}
        self.running = set()
        self.max_concurrent = 0
        self.overlaps = []

    async def put(self, target, body):
        if target in self.refuse:
            raise self.refuse[target]
        self.overlaps += [(target, other) for other in self.running]
        self.running.add(target)
        self.max_concurrent = max(self.max_concurrent, len(self.running))
        await asyncio.sleep(0.001)
        self.running.discard(target)
        self.written.append(target)
        self.bodies[target] = deepcopy(body)

    post = put


@pytest.fixture
def steps(loaded):
    return plan(desired_state(loaded(SPEC)), empty_state(), {"u": None})


async def test_every_step_is_one_write_and_is_reported(steps):
    api, reported = FakeManagementApi(), []
    await execute_plan(steps, api, KNOWN, {}, lambda step, done, total: reported.append((step, done, total)))
    assert len(api.written) == len(steps.writes)
    assert [done for _, done, _ in reported] == list(range(1, len(steps.writes) + 1))
    assert {total for _, _, total in reported} == {len(steps.writes)}


async def test_dependencies_are_written_first(steps):
    api = FakeManagementApi()
    await execute_plan(steps, api, KNOWN, {})
    order = [target.split("/")[2] for target in api.written]
    for earlier, later in (
        ("vhosts", "exchanges"),
        ("exchanges", "queues"),
        ("queues", "bindings"),
        ("users", "topic-permissions"),
        ("topic-permissions", "permissions"),
    ):
        assert max(i for i, each in enumerate(order) if each == earlier) < order.index(later)


async def test_concurrency_is_bounded_and_used(loaded):
    spec = {"exchanges": {f"e{number}": {"type": "fanout"} for number in range(50)}}
    api = FakeManagementApi(concurrency=7)
    await execute_plan(plan(desired_state(loaded(spec)), empty_state(), {}), api, {}, {})
    assert api.max_concurrent == 7


async def test_limits_of_one_owner_never_overlap(steps):
    """The broker stores them in one record, and loses one of two concurrent changes."""
    api = FakeManagementApi(concurrency=32)
    await execute_plan(steps, api, KNOWN, {})
    limits = [
        (one, other)
        for one, other in api.overlaps
        if "-limits/" in one and one.rsplit("/", 1)[0] == other.rsplit("/", 1)[0]
    ]
    assert limits == []


async def test_a_refused_step_skips_its_dependent_steps_and_no_others(steps):
    api = FakeManagementApi(refuse={"/api/exchanges/v/a": RequestFailed("no such type", 400)})
    done = await execute_plan(steps, api, KNOWN, {})
    assert done.failed_steps == (("exchange a (topic)", "no such type"),)
    waiting = {step for step, _ in done.skipped_steps}
    assert len(api.written) == len(steps.writes) - 1 - len(waiting)
    assert waiting == WAITING
    assert str(ApplyIncomplete(done.failed_steps, done.skipped_steps)).splitlines()[:2] == [
        "1 of the planned steps failed:",
        "  exchange a (topic): no such type",
    ]


WAITING = {
    "binding a --x--> q",
    "binding b --> a",
    "topic permission u on a (write ^u, read ^$)",
    "permission u (configure ^$, write ^a$, read ^$)",  # without the topic permission it would allow every key
}


@pytest.mark.parametrize("again", [False, True], ids=["at first", "once the queue is there"])
async def test_nothing_is_routed_to_a_queue_whose_dead_letters_would_be_lost(loaded, again):
    spec = {
        "exchanges": {"e": {"type": "topic"}, "dlx": {"type": "direct"}},
        "queues": {
            "bad": {"type": "quorum", "deadLetter": {"exchange": "dlx", "routingKey": "bad.dlq"}},
            "good": {"type": "quorum", "deadLetter": {"exchange": "dlx", "routingKey": "good.dlq"}},
            "bad.dlq": {"type": "quorum"},
            "good.dlq": {"type": "quorum"},
        },
        "bindings": [
            *({"source": "e", "queue": name, "routingKey": "x"} for name in ("bad", "good")),
            *({"source": "dlx", "queue": name, "routingKey": name} for name in ("bad.dlq", "good.dlq")),
        ],
    }
    refused = RequestFailed("the limit of queues is reached", 400)
    api = FakeManagementApi(refuse={"/api/queues/v/bad.dlq": refused})
    desired = desired_state(loaded(spec))
    observed = empty_state() | {
        ObjectKind.QUEUE: {name: desired[ObjectKind.QUEUE][name] for name in [Key.of("bad", "v")] if again}
    }
    done = await execute_plan(plan(desired, observed, {}), api, {}, desired[ObjectKind.QUEUE])
    assert set(done.skipped_steps) == {
        ("binding e --x--> bad", "queue bad.dlq"),
        ("binding dlx --bad.dlq--> bad.dlq", "queue bad.dlq"),
    }


async def test_an_unreachable_broker_stops_the_execution(steps):
    api = FakeManagementApi(concurrency=1, refuse={"/api/users/u": BrokerUnreachable("gone")})
    with pytest.raises(BrokerUnreachable, match=r"^gone$"):
        await execute_plan(steps, api, KNOWN, {})
    assert api.written == ["/api/vhosts/v"]


async def test_the_password_is_sent_as_a_hash(steps):
    api = FakeManagementApi()
    await execute_plan(steps, api, KNOWN, {})
    body = api.bodies["/api/users/u"]
    assert set(body) == {"tags", "password_hash", "hashing_algorithm"}
    assert is_password("right", body["password_hash"], body["hashing_algorithm"])


async def test_names_are_escaped_in_every_path(loaded):
    spec = {
        "vhost": "a/b",
        "exchanges": {"x y": {"type": "direct"}},
        "queues": {"q%": {}},
        "bindings": [{"source": "x y", "queue": "q%", "routingKey": "k/k"}],
    }
    api = FakeManagementApi()
    await execute_plan(plan(desired_state(loaded(spec)), empty_state(), {}), api, {}, {})
    assert api.written == [
        "/api/vhosts/a%2Fb",
        "/api/exchanges/a%2Fb/x%20y",
        "/api/queues/a%2Fb/q%25",
        "/api/bindings/a%2Fb/e/x%20y/q/q%25",
    ]
    assert api.bodies["/api/bindings/a%2Fb/e/x%20y/q/q%25"] == {"routing_key": "k/k", "arguments": {}}


async def test_the_first_of_several_failures_is_raised_and_none_is_logged():
    logged, begun = [], []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: logged.append(context))

    async def fail(step):
        begun.append(step)
        await asyncio.sleep(0)
        raise ConnectionError(str(step.key))

    steps = [PlanStep(Action.CREATE, ObjectKind.QUEUE, Key.of(f"q{number}", "v")) for number in range(6)]
    with pytest.raises(ConnectionError):
        await run_concurrently(steps, fail, 3)
    gc.collect()
    assert len(begun) == 3  # no worker begins another step
    assert logged == []
