"""The public names of `warren_messaging`, each from the module that defines it."""

from warren_messaging.amqp.connection import AmqpConnection, BrokerAddress, opened
from warren_messaging.amqp.pipeline import PublishResult
from warren_messaging.amqp.publisher import Message, Publisher
from warren_messaging.codec import MAX_BODY, Codec, encode, new_id
from warren_messaging.consumer.circuit_breaker import CircuitBreaker
from warren_messaging.consumer.consumer import Consumer, ConsumerSettings
from warren_messaging.consumer.delivery import Verdict
from warren_messaging.consumer.processor import Processor
from warren_messaging.consumer.request_coalescer import RequestCoalescer
from warren_messaging.delivery import Delivery
from warren_messaging.errors import (
    AccessRefused,
    BrokerTooOld,
    BrokerUnavailable,
    ConfigurationError,
    DatabaseUnavailable,
    DownstreamUnavailable,
    MalformedEvent,
    MessagingError,
    PermanentError,
    TopologyMissing,
    TransientError,
    Unavailable,
    UndecodableProperties,
)
from warren_messaging.events import AnyEvent, Event, EventData
from warren_messaging.failure import DeliveryFailure, FailureReason
from warren_messaging.handlers import Effect, Handler, Handlers
from warren_messaging.outbox.outbox import Outbox
from warren_messaging.outbox.periodic_job import PeriodicJob
from warren_messaging.outbox.relay import Relay, RelaySettings
from warren_messaging.outbox.schedule import DueMessageMover
from warren_messaging.postgres.database import Database, DatabaseAddress
from warren_messaging.postgres.failures import RetryPolicy
from warren_messaging.postgres.rate_limit import RateLimit
from warren_messaging.postgres.retention import Retention, RetentionRule, RetentionSettings, by_age
from warren_messaging.program import run
from warren_messaging.service import Service
from warren_messaging.service_parts import ConsumerDefinition, Part, ReadinessCheck
from warren_messaging.settings import ServiceSettings, load_settings
from warren_messaging.telemetry import BreakerState, LogTelemetry, Telemetry, TelemetryFanout
from warren_messaging.transaction import Announcement, Connection, Transaction

__all__ = [
    # For handlers
    "CircuitBreaker", "Connection", "Effect", "Handler", "Handlers", "RateLimit", "Transaction", "PermanentError",
    "TransientError",
    # For a service
    "Service", "ServiceSettings", "load_settings", "run", "ConsumerDefinition", "Part", "ReadinessCheck",
    # What a service is built from
    "BrokerAddress", "AmqpConnection", "opened",
    "Codec", "Consumer", "ConsumerSettings", "Database", "DatabaseAddress", "Outbox",
    "RequestCoalescer", "Processor", "Publisher", "Relay", "RelaySettings", "RetryPolicy", "PeriodicJob",
    "DueMessageMover", "Retention", "RetentionSettings", "RetentionRule", "by_age",
    # For telemetry
    "BreakerState", "DeliveryFailure", "FailureReason", "TelemetryFanout", "LogTelemetry", "PublishResult", "Telemetry",
    # Messages and events
    "AnyEvent", "Event", "EventData", "Announcement", "Delivery", "Message", "Verdict", "MAX_BODY", "encode", "new_id",
    # Errors
    "MessagingError", "AccessRefused", "BrokerTooOld", "BrokerUnavailable", "ConfigurationError",
    "DatabaseUnavailable", "DownstreamUnavailable", "MalformedEvent", "TopologyMissing", "Unavailable",
    "UndecodableProperties",
]  # fmt: skip
