"""The names that the library exports. A change here is a change for every user of the library."""

import ast
import inspect
from pathlib import Path

import pytest

import warren_messaging as messaging
from warren_messaging import errors, testing

FOLDER = Path(messaging.__file__).parent
NAMES = {
    "Service", "ServiceSettings", "load_settings", "run", "ConsumerDefinition", "Part", "ReadinessCheck",
    "AnyEvent", "Event", "EventData",
    "CircuitBreaker", "Connection", "Effect", "Handler", "Handlers", "RateLimit", "Transaction", "PermanentError",
    "TransientError",
    "BrokerAddress", "AmqpConnection", "opened",
    "Codec", "Consumer", "ConsumerSettings", "Database", "DatabaseAddress", "Outbox",
    "RequestCoalescer", "Processor", "Publisher", "Relay", "RelaySettings", "RetryPolicy", "PeriodicJob",
    "DueMessageMover", "Retention", "RetentionSettings", "RetentionRule", "by_age",
    "BreakerState", "DeliveryFailure", "FailureReason", "TelemetryFanout", "LogTelemetry", "PublishResult", "Telemetry",
    "Announcement", "Delivery", "Message", "Verdict", "MAX_BODY", "encode", "new_id",
    "MessagingError", "AccessRefused", "BrokerTooOld", "BrokerUnavailable", "ConfigurationError",
    "DatabaseUnavailable", "DownstreamUnavailable", "MalformedEvent", "TopologyMissing", "Unavailable",
    "UndecodableProperties",
}  # fmt: skip
DOUBLES = {
    "Attempt", "ConsumerHarness", "InMemoryBroker", "InMemoryDatabase", "NeedsDatabase", "ParkedDelivery",
    "ScheduledMessage", "delivery_of", "event_of", "with_new_ids",
}  # fmt: skip


def test_the_library_exports_these_names() -> None:
    assert set(messaging.__all__) == NAMES
    assert len(messaging.__all__) == len(NAMES), "a name is listed twice"


def test_the_testing_package_exports_these_names() -> None:
    assert set(testing.__all__) == DOUBLES


@pytest.mark.parametrize("package", [messaging, testing], ids=lambda package: package.__name__)
def test_every_exported_class_is_defined_in_the_library(package: object) -> None:
    for name in package.__all__:  # type: ignore[attr-defined]
        thing = getattr(package, name)
        if inspect.isclass(thing) and not thing.__module__.startswith(("types", "typing")):
            assert thing.__module__.startswith("warren_messaging."), name


def test_every_error_is_exported_and_documented_in_the_tree() -> None:
    tree = inspect.getdoc(errors) or ""
    kinds = {name for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, Exception)}
    assert kinds <= NAMES
    assert {kind for kind in kinds if kind not in tree} == set()


def test_production_code_does_not_import_the_testing_package() -> None:
    for file in set(FOLDER.rglob("*.py")) - set((FOLDER / "testing").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert "messaging.testing" not in (node.module or ""), file.name
