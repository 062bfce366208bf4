"""What people read: verdicts, statuses, and the patches that carry them."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker_topology.errors import (
    AccessDenied,
    BrokerError,
    BrokerUnreachable,
    CertificateRefused,
    InvalidTopology,
    NotRabbitMQ,
    OwnershipConflict,
    SecretError,
)
from broker_topology.findings import Finding, Origin
from broker_topology.planning.plan import Action, FieldChange, Plan, PlanStep
from broker_topology.planning.result import ObjectState, Status, TopologyResult
from broker_topology.planning.state import ObjectKind, key
from tests.kubernetes.emulator.patches import merged
from topology_operator import crd
from topology_operator.errors import ApiServerUnreachable, UnresolvedReference
from topology_operator.reconcile import ready_condition
from topology_operator.reconcile.ready_condition import ReadyCondition
from topology_operator.reconcile.status import merge_patch, status_of

NOW, SOON, LATER = "2026-11-22T10:00:00Z", "2026-11-22T10:09:59Z", "2026-11-22T11:00:00Z"


def outcome(*states: Status, plan: tuple[PlanStep, ...] = (), repaired: tuple[PlanStep, ...] = ()) -> TopologyResult:
    objects = tuple(ObjectState(ObjectKind.QUEUE, "v", f"q{n}", each, each.value) for n, each in enumerate(states))
    return TopologyResult(Plan(plan), objects, repaired)


def step(name: str, action: Action = Action.CREATE) -> PlanStep:
    body = {"arguments": {"x-queue-type": "quorum"}}
    return PlanStep(
        action, ObjectKind.QUEUE, key(name, "v"), body, (FieldChange("x-max-length", 1, 2),), "cannot be changed"
    )


def written(
    given: ReadyCondition, before: dict[str, Any] | None = None, now: str = NOW, compared: str = ""
) -> dict[str, Any]:
    address = "https://b:15671"
    return status_of(given, before or {}, generation=3, now=now, address=address, version="4.3.6", compared=compared)


def condition(status: dict[str, Any], kind: str = "Ready") -> dict[str, Any]:
    (found,) = [each for each in status["conditions"] if each["type"] == kind]
    return found


def test_ready_says_that_the_broker_was_read_back() -> None:
    status = written(ready_condition.of_outcome(outcome(Status.READY, Status.RETAINED), plan_only=False))
    assert condition(status) == {
        "type": "Ready",
        "status": "True",
        "reason": "Held",
        "message": "the broker was read back and holds what the spec asks for: 1 object",
        "observedGeneration": 3,
        "lastTransitionTime": NOW,
    }
    assert status["summary"] == {"wanted": 1, "held": 1, "text": "1/1"}
    assert status["objects"][0]["state"] == "Retained", "what is not as it should be comes first"
    assert "lastError" not in status


@pytest.mark.parametrize(
    ("state", "reason", "again"),
    [
        (Status.BLOCKED, "Blocked", False),
        (Status.MIGRATING, "Migrating", True),
        (Status.PENDING, "Pending", True),
    ],
)
def test_what_is_not_held_has_a_reason_of_its_own(state: Status, reason: str, again: bool) -> None:
    given = ready_condition.of_outcome(outcome(Status.READY, state), plan_only=False)
    assert (given.ready, given.reason, given.failed or given.moving) == ("False", reason, again)
    assert condition(written(given), "Blocked")["status"] == ("True" if state is Status.BLOCKED else "False")


@pytest.mark.parametrize(
    ("error", "truth", "reason", "again"),
    [
        (BrokerUnreachable("away"), "Unknown", "BrokerUnreachable", True),
        (ApiServerUnreachable("away"), "Unknown", "KubernetesUnreachable", True),
        (AccessDenied("no"), "Unknown", "AccessRefused", True),
        (CertificateRefused("no"), "Unknown", "CertificateRefused", True),
        (NotRabbitMQ("no"), "Unknown", "NotRabbitMQ", True),
        (BrokerError("no"), "Unknown", "BrokerRefused", True),
        (SecretError("no"), "False", "SecretUnusable", True),
        (InvalidTopology([Finding(Origin("f"), "spec", "no")]), "False", "Invalid", False),
        (UnresolvedReference("NamespaceNotAllowed", "no"), "False", "NamespaceNotAllowed", False),
    ],
)
def test_every_error_has_a_word_and_is_tried_again_where_that_helps(
    error: Exception, truth: str, reason: str, again: bool
) -> None:
    given = ready_condition.of_error(error)
    assert (given.ready, given.reason, given.failed, given.message) == (truth, reason, again, str(error))


def test_a_fault_of_the_operator_is_no_readiness_and_its_text_stays_in_the_log() -> None:
    given = ready_condition.of_error(KeyError("perhaps a password"))
    assert (given.ready, given.reason, given.failed) == ("Unknown", "InternalError", True)
    assert "password" not in given.message


def test_the_time_of_a_condition_changes_only_with_its_status() -> None:
    first = written(ready_condition.of_error(BrokerUnreachable("away")))
    second = written(ready_condition.of_error(BrokerUnreachable("still away")), first, LATER)
    assert condition(second)["lastTransitionTime"] == NOW
    third = written(ready_condition.of_outcome(outcome(Status.READY), plan_only=False), second, LATER)
    assert condition(third)["lastTransitionTime"] == LATER
    assert "lastError" not in third


def test_the_same_verdict_again_writes_nothing() -> None:
    given = ready_condition.of_outcome(outcome(Status.READY, Status.READY), plan_only=False)
    first = written(given)
    assert merge_patch(first, written(given, first, SOON, SOON)) == {}


def test_the_time_of_the_last_comparison_is_renewed_and_nothing_else() -> None:
    given = ready_condition.of_outcome(outcome(Status.READY), plan_only=False)
    first = written(given)
    assert first["lastComparedTime"] == NOW
    assert merge_patch(first, written(given, first, LATER, SOON)) == {"lastComparedTime": LATER}


@pytest.mark.parametrize(
    "given",
    [
        ready_condition.of_error(BrokerUnreachable("away")),
        ready_condition.of_error(AccessDenied("no")),
        ready_condition.of_error(InvalidTopology([Finding(Origin("f"), "spec", "no")])),
        ready_condition.of_error(UnresolvedReference("SecretMissing", "no")),
        ready_condition.of_error(KeyError("x")),
        ready_condition.PAUSED,
        ReadyCondition(ready="False", reason="Releasing", message="waiting"),
    ],
    ids=lambda given: given.reason,
)
def test_what_was_not_compared_is_unknown_since_the_last_comparison(given: ReadyCondition) -> None:
    known = written(ready_condition.of_outcome(outcome(Status.READY, Status.BLOCKED), plan_only=False))
    away = written(given, known, LATER, SOON)
    assert away["lastComparedTime"] == SOON
    assert away["summary"] == {"text": "Unknown"}
    assert not {"objects", "omitted", "plan"} & away.keys()
    for kind in ("Drifted", "Blocked"):
        found = condition(away, kind)
        assert (found["status"], found["reason"]) == ("Unknown", "NotCompared")
        assert found["message"] == f"the broker was last compared at {SOON}"
    assert merge_patch(away, written(given, away, LATER, SOON)) == {}
    # an operator that has just started knows what the status recorded
    assert written(given, known, LATER)["lastComparedTime"] == NOW
    never = written(given)
    assert "lastComparedTime" not in never
    assert condition(never, "Drifted")["message"] == "the broker has not been compared yet"
    back = written(ready_condition.of_outcome(outcome(Status.READY), plan_only=False), away, LATER)
    assert (back["summary"]["text"], condition(back, "Drifted")["status"]) == ("1/1", "False")


def test_what_is_known_to_stand_in_the_way_is_not_unknown() -> None:
    away = written(ready_condition.of_error(OwnershipConflict("another owns it")))
    assert condition(away, "Blocked")["status"] == "True"
    assert condition(away, "Drifted")["status"] == "Unknown"


def test_drift_adds_up_and_its_condition_ends_with_the_next_calm_look() -> None:
    repaired = ready_condition.of_outcome(
        outcome(Status.READY, plan=(step("q"),), repaired=(step("q"),)), plan_only=False
    )
    once = written(repaired)
    twice = written(repaired, once, LATER)
    assert twice["drift"] == {"repaired": 2, "lastTime": LATER, "last": ["queue q (quorum)"]}
    assert condition(twice, "Drifted")["message"] == "put back: queue q (quorum)"
    away = written(ready_condition.of_error(BrokerUnreachable("away")), twice, LATER)
    assert condition(away, "Drifted")["status"] == "Unknown"
    calm = written(ready_condition.of_outcome(outcome(Status.READY), plan_only=False), away, LATER)
    assert condition(calm, "Drifted")["status"] == "False"
    assert calm["drift"]["repaired"] == 2


def test_mode_plan_shows_the_steps_and_is_not_ready_before_there_are_none() -> None:
    planned = written(ready_condition.of_outcome(outcome(Status.PENDING, plan=(step("q"),)), plan_only=True))
    assert condition(planned)["reason"] == "Planned"
    assert planned["plan"]["steps"][0] == "+ queue q (quorum)"
    held = written(ready_condition.of_outcome(outcome(Status.READY), plan_only=True), planned)
    assert condition(held)["status"] == "True"
    assert held["plan"] == {"summary": "nothing to do"}


def test_a_status_stays_within_its_schema_however_much_there_is_to_say() -> None:
    states = [Status.READY] * 600 + [Status.BLOCKED] * 300
    steps = tuple(step("x" * 255 + str(number), Action.BLOCKED) for number in range(300))
    status = written(ready_condition.of_outcome(outcome(*states, plan=steps, repaired=steps), plan_only=False))
    assert (len(status["objects"]), status["omitted"]) == (500, 400)
    assert {each["state"] for each in status["objects"][:300]} == {"Blocked"}
    assert within(status, crd.definition()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["status"])


def within(value: Any, schema: dict[str, Any]) -> bool:
    if schema["type"] == "object":
        assert set(value) <= set(schema["properties"]), value.keys()
        return all(within(each, schema["properties"][name]) for name, each in value.items())
    if schema["type"] == "array":
        assert len(value) <= schema["maxItems"]
        return all(within(each, schema["items"]) for each in value)
    if schema["type"] == "string":
        assert len(value) <= schema.get("maxLength", 1000)
        assert value in schema.get("enum", [value])
        return True
    return isinstance(value, int)


DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


def without_nulls(value: Any) -> Any:
    """A merge patch cannot say null; a status never does."""
    if isinstance(value, dict):
        return {key: without_nulls(each) for key, each in value.items() if each is not None}
    return value


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from("abc"), DOCUMENTS), st.dictionaries(st.sampled_from("abc"), DOCUMENTS))
def test_a_merge_patch_leads_from_one_document_to_the_other(before: dict[str, Any], after: dict[str, Any]) -> None:
    before, after = without_nulls(before), without_nulls(after)
    assert merged(before, merge_patch(before, after)) == after
