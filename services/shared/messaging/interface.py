"""The public names of `services.shared.messaging`, each from the module that defines it."""

from services.shared.messaging.codec import MAX_BODY, Codec, encode, new_id
from services.shared.messaging.connection import BrokerAddress
from services.shared.messaging.consumer import Consumer, ConsumerSettings
from services.shared.messaging.database import Database, DatabaseAddress
from services.shared.messaging.errors import (
    AccessRefused,
    BrokerTooOld,
    BrokerUnavailable,
    ConfigurationError,
    DatabaseUnavailable,
    MalformedEvent,
    MessagingError,
    PermanentError,
    TopologyMissing,
    TransientError,
    Unavailable,
    UndecodableProperties,
)
from services.shared.messaging.failures import RetryPolicy
from services.shared.messaging.gathering import Gathering
from services.shared.messaging.handlers import Effect, Handler, Handlers
from services.shared.messaging.outbox import Outbox
from services.shared.messaging.pipeline import Outcome
from services.shared.messaging.processor import Delivery, Processor, Verdict
from services.shared.messaging.publisher import Message, Publisher
from services.shared.messaging.relay import Relay, RelaySettings
from services.shared.messaging.retention import Retention, RetentionSettings, Rule, by_age
from services.shared.messaging.telemetry import Listeners, LogTelemetry, Telemetry
from services.shared.messaging.ticker import Ticker
from services.shared.messaging.transaction import Announcement, Connection, Transaction

__all__ = [
    # What handlers are written with
    "Connection", "Effect", "Handler", "Handlers", "Transaction", "PermanentError", "TransientError",
    # What a process is put together from
    "BrokerAddress", "Codec", "Consumer", "ConsumerSettings", "Database", "DatabaseAddress", "Gathering", "Outbox",
    "Processor", "Publisher", "Relay", "RelaySettings", "RetryPolicy", "Ticker",
    "Retention", "RetentionSettings", "Rule", "by_age",
    # What it tells
    "Listeners", "LogTelemetry", "Outcome", "Telemetry",
    # What travels inside
    "Announcement", "Delivery", "Message", "Verdict", "MAX_BODY", "encode", "new_id",
    # What goes wrong
    "MessagingError", "AccessRefused", "BrokerTooOld", "BrokerUnavailable", "ConfigurationError",
    "DatabaseUnavailable", "MalformedEvent", "TopologyMissing", "Unavailable", "UndecodableProperties",
]  # fmt: skip
