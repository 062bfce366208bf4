"""Ready conditions, statuses, and the patches that write them."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from broker_topology import errors
from broker_topology.findings import Finding, Origin
from broker_topology.planning.plan import Action, FieldChange, Plan, PlanStep
from broker_topology.planning.result import ObjectState, Status, TopologyResult
from broker_topology.planning.state import Key, ObjectKind
from tests.kubernetes.emulator.patches import merged
from tests.kubernetes.emulator.schema import StructuralSchema
from topology_operator.crd.status_schema import STATUS
from topology_operator.errors import ApiServerUnreachable, Forbidden, KubernetesError, UnresolvedReference
from topology_operator.reconcile.ready_condition import PAUSED_CONDITION, ReadyCondition, from_error, from_result
from topology_operator.reconcile.status import build_status, merge_patch

Document = dict[str, Any]

NOW, SOON, LATER = "2026-11-22T10:00:00Z", "2026-11-22T10:09:59Z", "2026-11-22T11:00:00Z"
INVALID = errors.InvalidTopology([Finding(Origin("f"), "spec", "no")])


def ready_of(*states: Status, plan_only: bool = False, **parts: tuple[PlanStep, ...]) -> ReadyCondition:
    objects = tuple(ObjectState(ObjectKind.QUEUE, "v", f"q{n}", each, each.value) for n, each in enumerate(states))
    result = TopologyResult(Plan(parts.get("plan", ())), objects, parts.get("repaired", ()))
    return from_result(result, plan_only=plan_only)


def step(name: str, action: Action = Action.CREATE) -> PlanStep:
    body, changes = {"arguments": {"x-queue-type": "quorum"}}, (FieldChange("x-max-length", 1, 2),)
    return PlanStep(action, ObjectKind.QUEUE, Key.of(name, "v"), body, changes, "cannot be changed")


def status_of(ready: ReadyCondition, before: Document | None = None, now: str = NOW, compared: str = "") -> Document:
    broker = {"address": "https://b:15671", "version": "4.3.6"}
    return build_status(ready, before or {}, generation=3, now=now, compared=compared, **broker)


def condition(status: Document, kind: str = "Ready") -> Document:
    (found,) = [each for each in status["conditions"] if each["type"] == kind]
    return found


def test_ready_states_that_the_broker_was_read_back() -> None:
    status = status_of(ready_of(Status.READY, Status.RETAINED))
    assert condition(status) == {
        "type": "Ready",
        "status": "True",
        "reason": "Synced",
        "message": "the broker was read back and matches the spec: 1 object",
        "observedGeneration": 3,
        "lastTransitionTime": NOW,
    }
    assert status["summary"] == {"desired": 1, "synced": 1, "text": "1/1"}
    assert status["objects"][0]["state"] == "Retained", "an object that needs attention is not the first"
    assert "lastError" not in status


@pytest.mark.parametrize(
    ("state", "reason", "again"),
    [
        (Status.BLOCKED, "Blocked", False),
        (Status.MIGRATING, "Migrating", True),
        (Status.PENDING, "Progressing", True),
    ],
)
def test_an_object_that_is_not_synced_gives_the_reason(state: Status, reason: str, again: bool) -> None:
    ready = ready_of(Status.READY, state)
    assert (ready.status, ready.reason, ready.retry or ready.migrating) == ("False", reason, again)
    assert condition(status_of(ready), "Blocked")["status"] == ("True" if state is Status.BLOCKED else "False")


@pytest.mark.parametrize(
    ("error", "status", "reason", "retry"),
    [
        (errors.BrokerUnreachable("away"), "Unknown", "BrokerUnreachable", True),
        (ApiServerUnreachable("away"), "Unknown", "ApiServerUnreachable", True),
        (Forbidden("no"), "False", "Forbidden", True),
        (KubernetesError("no"), "False", "ApiServerError", True),
        (errors.AccessDenied("no"), "Unknown", "AccessDenied", True),
        (errors.CertificateRefused("no"), "Unknown", "CertificateRefused", True),
        (errors.NotRabbitMQ("no"), "Unknown", "NotRabbitMQ", True),
        (errors.BrokerError("no"), "Unknown", "BrokerError", True),
        (errors.BrokerVersionUnsupported("no"), "False", "BrokerVersionUnsupported", True),
        (errors.SecretError("no"), "False", "SecretInvalid", True),
        (INVALID, "False", "InvalidSpec", False),
        (UnresolvedReference("NamespaceNotAllowed", "no"), "False", "NamespaceNotAllowed", False),
    ],
)
def test_each_error_has_a_reason_and_is_retried_if_that_may_help(
    error: Exception, status: str, reason: str, retry: bool
) -> None:
    ready = from_error(error)
    assert (ready.status, ready.reason, ready.retry, ready.message) == (status, reason, retry, str(error))


def test_the_text_of_an_internal_error_stays_in_the_log() -> None:
    ready = from_error(KeyError("perhaps a password"))
    assert (ready.status, ready.reason, ready.retry) == ("Unknown", "InternalError", True)
    assert "password" not in ready.message


def test_the_transition_time_changes_only_with_the_status() -> None:
    first = status_of(from_error(errors.BrokerUnreachable("away")))
    second = status_of(from_error(errors.BrokerUnreachable("still away")), first, LATER)
    assert condition(second)["lastTransitionTime"] == NOW
    third = status_of(ready_of(Status.READY), second, LATER)
    assert condition(third)["lastTransitionTime"] == LATER
    assert "lastError" not in third


def test_an_unchanged_status_is_not_written_but_the_time_of_the_comparison_is_renewed() -> None:
    ready = ready_of(Status.READY, Status.READY)
    first = status_of(ready)
    assert first["lastComparedTime"] == NOW
    assert merge_patch(first, status_of(ready, first, SOON, SOON)) == {}
    assert merge_patch(first, status_of(ready, first, LATER, SOON)) == {"lastComparedTime": LATER}


@pytest.mark.parametrize(
    "ready",
    [
        *map(from_error, (errors.BrokerUnreachable("away"), errors.AccessDenied("no"), INVALID, KeyError("x"))),
        from_error(UnresolvedReference("SecretNotFound", "no")),
        PAUSED_CONDITION,
        ReadyCondition(status="False", reason="Deleting", message="waiting"),
    ],
    ids=lambda ready: ready.reason,
)
def test_without_a_comparison_counts_and_conditions_are_unknown(ready: ReadyCondition) -> None:
    known = status_of(ready_of(Status.READY, Status.BLOCKED))
    away = status_of(ready, known, LATER, SOON)
    assert away["lastComparedTime"] == SOON
    assert away["summary"] == {"text": "Unknown"}
    assert not {"objects", "omitted", "plan"} & away.keys()
    for kind in ("Drifted", "Blocked"):
        found = condition(away, kind)
        assert (found["status"], found["reason"]) == ("Unknown", "NotCompared")
        assert found["message"] == f"the broker was last compared at {SOON}"
    assert merge_patch(away, status_of(ready, away, LATER, SOON)) == {}
    # an operator that has just started knows what the status recorded
    assert status_of(ready, known, LATER)["lastComparedTime"] == NOW
    never = status_of(ready)
    assert "lastComparedTime" not in never
    assert condition(never, "Drifted")["message"] == "the broker has not been compared yet"
    back = status_of(ready_of(Status.READY), away, LATER)
    assert (back["summary"]["text"], condition(back, "Drifted")["status"]) == ("1/1", "False")


def test_an_ownership_conflict_is_blocked_although_the_broker_was_not_compared() -> None:
    status = status_of(from_error(errors.OwnershipConflict("another owns it")))
    assert condition(status, "Blocked")["status"] == "True"
    assert condition(status, "Drifted")["status"] == "Unknown"


def test_repairs_add_up_and_drifted_ends_with_the_next_comparison_without_drift() -> None:
    repaired = ready_of(Status.READY, plan=(step("q"),), repaired=(step("q"),))
    twice = status_of(repaired, status_of(repaired), LATER)
    assert twice["drift"] == {"repaired": 2, "lastRepairTime": LATER, "lastRepaired": ["queue q (quorum)"]}
    assert condition(twice, "Drifted")["message"] == "repaired: queue q (quorum)"
    away = status_of(from_error(errors.BrokerUnreachable("away")), twice, LATER)
    assert condition(away, "Drifted")["status"] == "Unknown"
    calm = status_of(ready_of(Status.READY), away, LATER)
    assert condition(calm, "Drifted")["status"] == "False"
    assert calm["drift"]["repaired"] == 2


def test_mode_plan_shows_the_steps_and_is_ready_only_without_any() -> None:
    planned = status_of(ready_of(Status.PENDING, plan=(step("q"),), plan_only=True))
    assert condition(planned)["reason"] == condition(planned, "Drifted")["reason"] == "OutOfSync"
    assert planned["plan"]["steps"][0] == "+ queue q (quorum)"
    synced = status_of(ready_of(Status.READY, plan_only=True), planned)
    assert condition(synced)["status"] == "True"
    assert synced["plan"] == {"summary": "nothing to do"}


def test_a_status_of_any_size_stays_within_its_schema() -> None:
    states = [Status.READY] * 600 + [Status.BLOCKED] * 300
    steps = tuple(step("x" * 255 + str(number), Action.BLOCKED) for number in range(300))
    status = status_of(ready_of(*states, plan=steps, repaired=steps))
    assert (len(status["objects"]), status["omitted"]) == (500, 400)
    assert {each["state"] for each in status["objects"][:300]} == {"Blocked"}
    schema = StructuralSchema({"properties": {"status": STATUS}})
    assert schema.admitted({"status": status}, None) == {"status": status}


# a merge patch cannot express null, and a status never holds it
SCALARS = st.booleans() | st.integers() | st.text(max_size=3)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), DOCUMENTS)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(OBJECTS, OBJECTS)
def test_a_merge_patch_leads_from_one_document_to_the_other(before: Document, after: Document) -> None:
    assert merged(before, merge_patch(before, after)) == after
