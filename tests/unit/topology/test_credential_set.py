"""The steps of a rotation, decided from the Secret, the broker and the clock."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from broker_topology.credentials.secrets import Credentials
from broker_topology.errors import SecretError
from broker_topology.resource.objects import Rotation
from broker_topology.rotation.credential_set import (
    CredentialSet,
    RotationFacts,
    UpdateSecret,
    WaitUntil,
    credential_set,
    decide,
    next_name,
)

NOW = datetime(2026, 11, 22, 8, 0, 0, 250_000, tzinfo=UTC)
ROTATION = Rotation(every_hours=24, overlap_minutes=15)
OVERLAP = timedelta(minutes=15)
FIRST, SECOND = Credentials("order.1", "one"), Credentials("order.2", "two")
BOTH = {"order.1": "hash", "order.2": "hash", "admin": "hash"}


def facts(held: CredentialSet, **changed) -> RotationFacts:
    return RotationFacts(
        **({"credential_set": held, "now": NOW, "rotation": ROTATION, "known": {"order.1": "hash"}} | changed)
    )


def changed(step) -> CredentialSet:
    assert isinstance(step, UpdateSecret)
    assert "one" not in step.reason.split() and "two" not in step.reason.split()  # no password in the text
    return step.credential_set


def test_a_new_secret_gets_the_first_generation():
    held = changed(decide("order", facts(CredentialSet(), known={"admin": "hash", "orders.7": "hash"})))
    assert held.current.username == "order.1" and len(held.current.password) >= 40
    assert (held.rotated_at, held.pending, held.previous) == (NOW, None, None)


def test_a_lost_secret_gets_the_next_generation_and_the_last_one_keeps_working():
    held = changed(decide("order", facts(CredentialSet(), known={"order": "h0", "order.9": "h9", "order.10": "h10"})))
    assert held.current.username == "order.11"
    assert held.previous == Credentials("order.10", password_hash="h10")
    assert credential_set("s", held.data()) == held


def test_a_password_of_unknown_age_counts_as_new():
    held = changed(decide("order", facts(CredentialSet(Credentials("order", "old")))))
    assert held == CredentialSet(Credentials("order", "old"), NOW)


def test_a_rotation_is_due_after_its_hours():
    since = NOW - timedelta(hours=24)
    assert decide("order", facts(CredentialSet(FIRST, since + timedelta(seconds=1)))) == WaitUntil(
        NOW + timedelta(seconds=1), "order.1 is in use"
    )
    held = changed(decide("order", facts(CredentialSet(FIRST, since))))
    assert (held.current, held.rotated_at, held.pending.username) == (FIRST, since, "order.2")


def test_a_rotation_on_demand_happens_once():
    old = NOW - timedelta(hours=1)
    for rotation in (ROTATION, None):
        asked = facts(CredentialSet(FIRST, old), requested=NOW - timedelta(minutes=1), rotation=rotation)
        assert changed(decide("order", asked)).pending.username == "order.2"
        done = facts(CredentialSet(SECOND, NOW), requested=NOW - timedelta(minutes=1), rotation=rotation)
        assert isinstance(decide("order", done), WaitUntil)
        within = replace(
            facts(CredentialSet(SECOND, NOW)), requested=NOW - timedelta(microseconds=1), rotation=rotation
        )
        assert isinstance(
            decide("order", replace(within, credential_set=credential_set("s", within.credential_set.data()))),
            WaitUntil,
        )
    later = NOW + timedelta(minutes=1)
    assert decide("order", facts(CredentialSet(FIRST, old), requested=later)) == WaitUntil(later, "order.1 is in use")
    assert changed(decide("order", facts(CredentialSet(FIRST), requested=NOW, rotation=None))).pending is not None


def test_the_secret_is_switched_only_after_the_pending_user_has_its_rights():
    held = CredentialSet(FIRST, NOW - timedelta(days=9), SECOND)
    assert decide("order", facts(held, known=BOTH)) == WaitUntil(None, "order.2 is being given its rights")
    assert changed(decide("order", facts(held, known=BOTH, prepared=True))) == CredentialSet(SECOND, NOW, None, FIRST)


@pytest.mark.parametrize(
    ("passed", "connected", "gone"),
    [
        (0.99, False, False),
        (0.99, True, False),
        (1, False, True),
        (1, True, False),
        (1.99, True, False),
        (2, True, True),
    ],
)
def test_the_previous_user_stays_for_the_overlap_and_a_connected_one_for_two(passed, connected, gone):
    held = CredentialSet(SECOND, NOW - passed * OVERLAP, None, FIRST)
    step = decide("order", facts(held, known=BOTH, connected=connected))
    if gone:
        assert changed(step) == CredentialSet(SECOND, held.rotated_at)
    else:
        assert isinstance(step, WaitUntil)
        assert NOW < step.time <= held.rotated_at + 2 * OVERLAP


def test_the_next_rotation_waits_until_the_previous_user_is_removed():
    held = CredentialSet(SECOND, NOW - timedelta(minutes=1), None, FIRST)
    assert isinstance(decide("order", facts(held, requested=NOW, known=BOTH)), WaitUntil)


def test_a_begun_rotation_completes_when_rotation_is_turned_off():
    held = CredentialSet(FIRST, NOW, SECOND)
    switched = changed(decide("order", facts(held, rotation=None, prepared=True)))
    assert switched.previous == FIRST
    late = facts(switched, rotation=None, now=NOW + timedelta(minutes=10))
    assert changed(decide("order", late)) == CredentialSet(SECOND, NOW)


@pytest.mark.parametrize(
    ("known", "name"),
    [
        ([], "order.1"),
        (["order"], "order.1"),
        (["order.9", "order.10", "order.x", "orders.99", "xorder.99"], "order.11"),
    ],
)
def test_no_generation_is_used_twice(known, name):
    assert next_name("order", known) == name


@pytest.mark.parametrize(
    "held",
    [
        CredentialSet(),
        CredentialSet(FIRST),
        CredentialSet(FIRST, NOW, SECOND),
        CredentialSet(SECOND, NOW, None, FIRST),
        CredentialSet(SECOND, NOW, None, Credentials("order.1", password_hash="h"), {"note": "kept"}),
    ],
)
def test_a_credential_set_is_read_as_it_was_written(held):
    assert credential_set("s", held.data()) == held


def test_an_incomplete_credential_is_ignored_and_a_malformed_time_is_an_error():
    assert credential_set("s", {"username": "order.1", "next-password": "p"}).accounts == ()
    with pytest.raises(SecretError, match="secret s: rotated-at is 'yesterday', which is not a time"):
        credential_set("s", {"rotated-at": "yesterday"})


def test_a_connected_process_keeps_its_user_until_the_overlap_is_over():
    """Holds for any order of changes at the broker and steps of the clock."""
    held, now, used = CredentialSet(), NOW, []
    for step in range(200):
        seen = facts(
            held,
            now=now,
            known={each.username: "h" for each in held.accounts},
            prepared=held.pending is not None and step % 3 == 0,
            connected=step % 5 == 0,
        )
        before, decision = held, decide("order", seen)
        if isinstance(decision, UpdateSecret):
            held = decision.credential_set
            assert before.current is None or before.current in held.accounts
            gone = set(before.accounts) - set(held.accounts)
            assert all(now >= before.rotated_at + OVERLAP for _ in gone)
            used += [each.username for each in held.accounts if each not in before.accounts]
        else:
            now = max(now + timedelta(minutes=1), decision.time or now)
    assert len(used) == len(set(used)) > 10


def test_names_that_a_rotation_needs_are_refused(findings):
    def user(**more):
        return {"secretName": "s", "permissions": {"write": "^events$"}} | more

    limited = [{"exchange": "events", "write": r"^{username}\."}]
    spec = {
        "exchanges": {"events": {"type": "topic"}},
        "users": {
            "order": user(topicPermissions=limited, rotation={"everyHours": 24}, secretName="a"),
            "order.2": user(topicPermissions=limited, secretName="b"),
            "order.x": user(topicPermissions=limited, secretName="c"),
        },
    }
    assert findings(spec) == [
        "spec.users.order.2: is a name that the rotation of user order needs; choose another one",
        "spec.users.order.topicPermissions[0]: with rotation {username} is order.1, then order.2: write order instead",
    ]
