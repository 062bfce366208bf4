"""Each backend declares the features that it lacks. Faults that no backend can produce have tests elsewhere."""

import re
from pathlib import Path

from tests.conformance.backend import Feature
from tests.conformance.conftest import BACKENDS

TESTS = Path(__file__).resolve().parents[1]
MISSING = {
    "in memory": {Feature.SQL, Feature.BROKER, Feature.PROCESSES},
    "in memory, on PostgreSQL": {Feature.BROKER, Feature.PROCESSES},
    "RabbitMQ and PostgreSQL": set(),
}
ELSEWHERE = {
    Feature.BROKER: [
        "integration/messaging/outbox/test_outbox.py::test_an_event_without_a_queue_stays_in_the_outbox_until_a_queue_is_bound",
        "integration/messaging/outbox/test_outbox.py::test_an_event_that_a_full_queue_refuses_stays_in_the_outbox_until_there_is_room",
        "integration/messaging/outbox/test_outbox.py::test_a_forbidden_exchange_delays_no_other_event",
        "integration/messaging/consumer/test_consumer.py::test_a_lost_connection_is_replaced_and_no_event_is_lost_or_processed_twice",
        "integration/messaging/amqp/test_connections.py::test_while_the_broker_blocks_publishers_events_are_kept_and_consumers_continue",
        "integration/messaging/amqp/test_connections.py::test_a_broker_older_than_4_3_1_is_refused_by_its_version",
        "integration/messaging/amqp/test_connections.py::test_a_certificate_of_another_authority_is_refused",
    ],
    Feature.PROCESSES: [
        "integration/messaging/consumer/test_crash.py::test_an_event_whose_consumer_is_killed_is_published_at_least_once_with_one_effect",
        "integration/messaging/consumer/test_crash.py::test_an_effect_killed_between_its_call_and_its_result_is_repeated_under_the_same_key",
        "integration/messaging/consumer/test_crash.py::test_a_process_killed_repeatedly_at_random_loses_no_event_and_repeats_no_effect",
        "integration/messaging/consumer/test_crash.py::test_7_on_sigterm_a_consumer_finishes_and_publishes_its_batch_and_exits_with_0",
    ],
}
"""By feature, the tests of faults that no backend can produce."""


def test_each_backend_lacks_exactly_the_declared_features() -> None:
    assert {name: set(Feature) - backend.features for name, backend in BACKENDS.items()} == MISSING


def test_faults_that_no_backend_can_produce_are_tested_elsewhere() -> None:
    for names in ELSEWHERE.values():
        for name in names:
            file, _, test = name.partition("::")
            assert re.search(rf"^(async )?def {test}\(", (TESTS / file).read_text(), re.MULTILINE), name
