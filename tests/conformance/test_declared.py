"""What a driver cannot show is declared, and shown elsewhere: nothing is left out silently."""

import re
from pathlib import Path

from tests.conformance.conftest import DRIVERS
from tests.conformance.driver import Feature

TESTS = Path(__file__).resolve().parents[1]
MISSING = {
    "in memory": {Feature.SQL, Feature.BROKER, Feature.PROCESSES},
    "in memory, on PostgreSQL": {Feature.BROKER, Feature.PROCESSES},
    "RabbitMQ and PostgreSQL": set(),
}
ELSEWHERE = {
    Feature.BROKER: [
        "integration/messaging/test_outbox.py::test_an_event_that_no_queue_takes_stays_and_is_delivered_once_a_queue_does",
        "integration/messaging/test_outbox.py::test_a_full_queue_refuses_and_the_event_is_kept",
        "integration/messaging/test_outbox.py::test_a_forbidden_exchange_harms_only_its_own_event",
        "integration/messaging/test_consumer.py::test_a_lost_connection_is_replaced_and_nothing_is_lost_or_doubled",
        "integration/messaging/test_connections.py::test_while_the_broker_blocks_publishers_events_are_kept_and_consumers_drain",
        "integration/messaging/test_connections.py::test_a_broker_older_than_4_3_1_is_refused_by_its_version",
        "integration/messaging/test_connections.py::test_a_certificate_of_another_authority_is_refused",
    ],
    Feature.PROCESSES: [
        "integration/messaging/test_crash.py::test_killed_at_the_worst_moment_it_publishes_at_least_once_and_has_one_effect",
        "integration/messaging/test_crash.py::test_killed_between_an_effects_call_and_its_result_it_calls_again_under_the_same_key",
        "integration/messaging/test_crash.py::test_killed_at_any_moment_again_and_again_it_loses_and_doubles_nothing",
        "integration/messaging/test_crash.py::test_7_on_sigterm_it_finishes_what_is_under_way_publishes_it_and_ends_with_0",
    ],
}
"""Tests of a feature whose fault no driver of the suite can be made to have."""


def test_each_driver_lacks_what_it_says_and_no_more() -> None:
    assert {name: set(Feature) - driver.features for name, driver in DRIVERS.items()} == MISSING


def test_what_no_driver_can_be_made_to_suffer_is_tested_elsewhere() -> None:
    for names in ELSEWHERE.values():
        for name in names:
            file, _, test = name.partition("::")
            assert re.search(rf"^(async )?def {test}\(", (TESTS / file).read_text(), re.MULTILINE), name
