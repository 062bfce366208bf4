"""The next attempt of a failed message follows from its attempts and its queue's arguments."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

from warren.cli.discovery import QueueInfo
from warren.cli.retry_delays import delays_of, waiting_messages
from warren.cli.screen import until
from warren_messaging.dead_letters.parked_message import FailureRecord

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
ARGUMENTS = {"x-delayed-retry-type": "failed", "x-delayed-retry-min": 1000, "x-delayed-retry-max": 5000}


def failure(service: str, attempts: int, last_at: datetime = NOW) -> FailureRecord:
    return FailureRecord(service, str(uuid4()), "order.paid", uuid4(), attempts, "why", "retrying", NOW, last_at)


def test_the_delay_grows_with_the_attempts_up_to_the_maximum() -> None:
    delays = delays_of([QueueInfo("payment.queue", ARGUMENTS)])
    found = waiting_messages([failure("payment", attempts) for attempts in (9, 1, 3)], delays)
    assert [(each.failure.attempts, each.next_attempt) for each in found] == [
        (attempts, NOW + timedelta(seconds=seconds)) for attempts, seconds in ((1, 1), (3, 3), (9, 5))
    ]


def test_a_policy_may_set_the_delay_and_without_one_the_next_attempt_is_not_known() -> None:
    policy = {name.removeprefix("x-"): value for name, value in ARGUMENTS.items()}
    delays = delays_of([QueueInfo("payment.queue", {}, policy), QueueInfo("audit.queue"), QueueInfo("email.dlq")])
    found = waiting_messages([failure("audit", 1), failure("payment", 1)], delays)
    assert [(each.queue, each.next_attempt) for each in found] == [
        ("audit.queue", None),
        ("payment.queue", NOW + timedelta(seconds=1)),
    ]


def test_the_next_attempt_is_written_as_the_time_until_then() -> None:
    assert until(NOW + timedelta(seconds=12), NOW) == "in 12 s"
    assert until(NOW + timedelta(minutes=5), NOW) == "in 5 m"
    assert until(NOW, NOW) == "now"
    assert until(None) == "?"
